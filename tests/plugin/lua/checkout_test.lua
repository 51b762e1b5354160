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
  local link = ("%s it's a my-plugin.lua checkout, longer than any name that an error of Lua keeps whole"):format(name)
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

--- Whether a config can use it as it would use the plugin, to no effect; what it says.
local function said_by(ok, module)
  assert(ok, module)
  local config = {}
  fake.same(module.apply_to_config(config, {}), config)
  fake.same(module.setup(config), config)
  fake.same(module.actions.create_workspace, 'nop')
  local window = fake.window(1)
  for _, handler in ipairs(fake.handlers['window-config-reloaded']) do
    handler(window)
  end
  return window.toasts[1].text
end

function T.a_relative_path_is_refused_in_words_and_throws_nothing()
  local ok, module = loaded(function()
    return load(assert(io.open(ROOT .. '/plugin.lua')):read 'a', '@plugin.lua')()
  end)
  fake.has(said_by(ok, module), 'its whole path')
end

function T.a_broken_checkout_takes_no_config_down()
  local directory = os.tmpname()
  os.remove(directory)
  local function sh(command)
    assert(os.execute(command:format(directory)))
  end
  sh "mkdir -p '%s/plugin'"
  local copy = assert(io.open(directory .. '/plugin.lua', 'w'))
  copy:write(assert(io.open(ROOT .. '/plugin.lua')):read 'a')
  copy:close()
  local function load_it()
    return dofile(directory .. '/plugin.lua')
  end
  fake.has(said_by(loaded(load_it)), 'plugin/init.lua')
  sh "echo '<<<<<<< HEAD' > '%s/plugin/init.lua'"
  fake.has(said_by(loaded(load_it)), 'plugin/init.lua:1')
  sh "echo \"error 'no such module'\" > '%s/plugin/init.lua'"
  fake.has(said_by(loaded(load_it)), 'no such module')
  sh "rm -r '%s'"
end

function T.what_stands_in_for_the_plugin_has_all_that_it_has()
  local ok, module = loaded(function()
    return load(assert(io.open(ROOT .. '/plugin.lua')):read 'a', '@plugin.lua')()
  end)
  assert(ok)
  fake.fresh()
  for name, value in pairs(require 'wezterm_parallel.api') do
    if name ~= 'version' then
      fake.same(type(module[name]), type(value), name)
    end
  end
end

return T
