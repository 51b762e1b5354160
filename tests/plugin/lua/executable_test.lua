local fake = require 'fake'
local T = {}

local function executable(given)
  fake.fresh()
  local options = require 'wezterm_parallel.options'
  options.set((options.check(given)))
  return require 'wezterm_parallel.executable'
end

local function with_env(env, f)
  local real = os.getenv
  os.getenv = function(name) -- luacheck: ignore 122
    return env[name]
  end
  local ok, thrown = pcall(f)
  os.getenv = real -- luacheck: ignore 122
  assert(ok, thrown)
end

local function paths(module)
  local list = {}
  for _, candidate in ipairs(module.candidates()) do
    list[#list + 1] = candidate.path
  end
  return list
end

function T.what_the_user_names_is_the_only_place()
  local module = executable { binary = '/bin/true' }
  fake.same(module.find(), '/bin/true')
  module = executable { binary = '/nowhere' }
  local found, problem = module.find()
  fake.same(found, nil)
  fake.same(problem, 'the option `binary` names /nowhere, which is not there')
  with_env({ WEZTERM_PARALLEL_BIN = '/bin/true', HOME = '/h' }, function()
    fake.same(executable({}).find(), '/bin/true')
  end)
end

function T.the_plugins_own_version_comes_before_all_others()
  with_env({ HOME = '/h' }, function()
    local list = paths(executable {})
    fake.same(list[1], '/h/.local/share/wezterm-parallel/bin/0.1.0/wezterm-parallel')
    fake.same(list[2], '/h/.local/bin/wezterm-parallel')
    fake.same(list[3], '/h/.cargo/bin/wezterm-parallel')
  end)
  with_env({ HOME = '/h', XDG_DATA_HOME = '/d' }, function()
    fake.same(paths(executable {})[1], '/d/wezterm-parallel/bin/0.1.0/wezterm-parallel')
  end)
end

function T.only_absolute_places_are_looked_at()
  with_env({ HOME = '/h', XDG_DATA_HOME = 'data', PATH = '/evil' }, function()
    for _, path in ipairs(paths(executable {})) do
      fake.same(path:sub(1, 1), '/')
      assert(not path:find('evil', 1, true) and not path:find '^data')
    end
  end)
end

function T.a_directory_of_that_name_is_no_program()
  fake.same(executable({ binary = '/tmp' }).find(), nil)
end

function T.that_there_is_none_is_believed_for_two_seconds_and_then_looked_at_anew()
  local path = os.tmpname()
  os.remove(path)
  local module = executable { binary = path }
  fake.same(module.find(), nil)
  local file = assert(io.open(path, 'w'))
  file:write '#!/bin/sh\n'
  file:close()
  fake.same(module.find(), nil)
  module.forget()
  fake.same(module.find(), path)
  os.remove(path)
end

function T.a_pane_gets_the_whole_path_and_the_config()
  local module = executable { binary = '/bin/true', config_path = '/c.yaml' }
  local args, environment = module.command { 'attach', 'api/lead' }
  fake.same(table.concat(args, ' '), '/bin/true attach api/lead')
  fake.same(environment.WEZTERM_PARALLEL_CONFIG, '/c.yaml')
  fake.same(select(2, executable({ binary = '/bin/true' }).command { 'x' }), nil)
end

--- The older one that was found before went on to be used until the config was read anew.
function T.a_better_one_that_is_installed_later_is_used()
  local home = os.tmpname()
  os.remove(home)
  local function put(path)
    assert(os.execute(("mkdir -p '%s' && echo x > '%s/wezterm-parallel'"):format(path, path)))
    return path .. '/wezterm-parallel'
  end
  local time, now = os.time, 1000
  os.time = function() -- luacheck: ignore 122
    return now
  end
  with_env({ HOME = home }, function()
    local older = put(home .. '/.cargo/bin')
    local module = executable {}
    fake.same(module.find(), older)
    local newer = put(home .. '/.local/share/wezterm-parallel/bin/0.1.0')
    fake.same(module.find(), older)
    now = now + 3
    fake.same(module.find(), newer)
  end)
  os.time = time -- luacheck: ignore 122
  os.execute(("rm -r '%s'"):format(home))
end

return T
