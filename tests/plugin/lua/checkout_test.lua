local fake = require 'fake'
local T = {}

--- Loads plugin.lua of a checkout by `load`, as a WezTerm does that knows no module of it yet.
local function loaded(load)
  fake.fresh()
  local path, wezterm = package.path, package.loaded.wezterm
  local debug_library = _G.debug
  package.path = ''
  -- WezTerm's Lua has none
  _G.debug = nil
  local ok, module = pcall(load)
  _G.debug = debug_library
  package.path = path
  local install = package.loaded['wezterm_parallel.install']
  package.loaded.wezterm = wezterm
  return ok, module, install and install.directory
end

--- The repository, by a path as people have them; it is removed after `use`.
local function by_link(use)
  local name = os.tmpname()
  os.remove(name)
  local link = ("%s it's a checkout, with a name longer than any that an error message of Lua keeps whole"):format(name)
  local quoted = "'" .. link:gsub("'", [['\'']]) .. "'"
  local pwd = assert(io.popen(("cd '%s' && pwd"):format(ROOT)))
  assert(os.execute(("ln -s '%s' %s"):format(pwd:read 'l', quoted)))
  pwd:close()
  local ok, thrown = pcall(use, link)
  os.remove(link)
  assert(ok, thrown)
end

function T.dofile_and_loadfile_find_it_wherever_it_lies()
  by_link(function(link)
    local file = link .. '/plugin.lua'
    for _, load in ipairs {
      function()
        return dofile(file)
      end,
      function()
        return loadfile(file)(file)
      end,
      function()
        return loadfile(file)('plugin', file)
      end,
    } do
      local ok, module, directory = loaded(load)
      fake.same(ok, true)
      fake.same(type(module.apply_to_config), 'function')
      fake.same(directory, link .. '/plugin')
    end
  end)
end

function T.a_relative_path_is_refused_in_words()
  local ok, said = loaded(function()
    return load(assert(io.open(ROOT .. '/plugin.lua')):read 'a', '@plugin.lua')()
  end)
  fake.same(ok, false)
  fake.has(said, 'its whole path')
end

return T
