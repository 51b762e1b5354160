-- For those who keep a checkout, instead of `wezterm.plugin.require`:
--
--   local wezterm_parallel = dofile '/home/me/wezterm-parallel/plugin.lua'
--
-- `require` by a path works too, and so does `loadfile(path)(path)`.

local first, second = ...

--- Where this file lies. `require` says so; `dofile` does not, and WezTerm's Lua has no `debug` library, but
--- the code of a function has the name of its file in it, whole.
local function own_path()
  for _, given in ipairs { second or false, first or false } do
    if type(given) == 'string' and given:find('/', 1, true) then
      return given
    end
  end
  return string.dump(function() end):match '@(/.-plugin%.lua)'
end

local directory = (own_path() or ''):match '^(.*)/[^/]*$'
if not directory then
  error('wezterm-parallel: say where plugin.lua lies by its whole path', 0)
end

local init = directory .. '/plugin/init.lua'
return assert(loadfile(init))('wezterm_parallel', init)
