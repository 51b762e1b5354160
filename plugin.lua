-- For those who keep a checkout, instead of `wezterm.plugin.require`:
--
--   local wezterm_parallel = dofile '/home/me/wezterm-parallel/plugin.lua'
--
-- `require` by a path works too, and so does `loadfile(path)(path)`. It throws nothing: a config must not go
-- down with a checkout.

local first, second = ...

--- Where this file lies. `require` says so; `dofile` does not, and WezTerm's Lua has no `debug` library, but
--- the code of a function has the name of its file in it, whole.
local function own_path()
  for _, given in ipairs { second or false, first or false } do
    if type(given) == 'string' and given:find('/', 1, true) then
      return given
    end
  end
  return string.dump(function() end):match '@(/.*plugin%.lua)'
end

--- What a config gets where there is no plugin to be had: all of it is there, does nothing, and says why.
local function nothing(why)
  local wezterm = require 'wezterm'
  local text = 'it cannot be loaded: ' .. tostring(why)
  wezterm.log_error('wezterm-parallel: ' .. text)
  wezterm.on('window-config-reloaded', function(window)
    window:toast_notification('wezterm-parallel', text, nil, 10000)
  end)
  local function same(config)
    return config
  end
  local function none()
    return {}
  end
  return {
    apply_to_config = same,
    setup = same,
    palette_entries = none,
    status_segments = none,
    status_text = function()
      return ''
    end,
    tab_title = function() end,
    actions = setmetatable({}, {
      __index = function()
        return wezterm.action.Nop
      end,
    }),
  }
end

local directory = (own_path() or ''):match '^(.*)/[^/]*$'
if not directory then
  return nothing 'say where plugin.lua lies by its whole path'
end

local init = directory .. '/plugin/init.lua'
local chunk, problem = loadfile(init)
if not chunk then
  return nothing(problem)
end
local ok, plugin = pcall(chunk, 'wezterm_parallel', init)
return ok and plugin or nothing(plugin)
