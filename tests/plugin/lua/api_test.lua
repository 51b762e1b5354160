local fake = require 'fake'
local T = {}

local applied

local function api(keep)
  fake.fresh(keep)
  applied = {}
  package.loaded['wezterm_parallel.keys'] = {
    apply = function(config, keys)
      applied[#applied + 1] = keys
      config.keys = config.keys or {}
      return type(keys) == 'table' and keys.danse and { 'danse' } or {}
    end,
  }
  package.loaded['wezterm_parallel.palette'] = {
    entries = function()
      return { { brief = 'x' } }
    end,
  }
  package.loaded['wezterm_parallel.actions'] = { create_workspace = 'an action' }
  return require 'wezterm_parallel.api'
end

--- The events that are listened to; of those that differ by a number, one.
local function handlers()
  local names, numbered = {}, {}
  for name, list in pairs(fake.handlers) do
    fake.same(#list, 1)
    local kind = name:match '^(.-) %d+$'
    if not kind then
      names[#names + 1] = name
    elseif not numbered[kind] then
      numbered[kind] = true
      names[#names + 1] = kind
    end
  end
  table.sort(names)
  return table.concat(names, ' ')
end

function T.the_config_gets_what_it_needs_and_nothing_is_run()
  local module = api()
  local config = {}
  fake.same(fake.run(module.apply_to_config, config, { binary = '/bin/true' }), config)
  fake.same(#applied, 1)
  fake.same(#fake.after, 0)
  fake.same(
    handlers(),
    'augment-command-palette format-tab-title gui-attached gui-startup update-status user-var-changed '
      .. 'wezterm-parallel: look at the panes '
      .. 'window-config-reloaded window-focus-changed'
  )
  local closed = table.concat(config.skip_close_confirmation_for_processes_named, ' ')
  fake.has(closed, 'bash')
  fake.has(closed, 'true')
end

function T.a_second_call_registers_nothing_twice()
  local module = api()
  local config = {}
  module.apply_to_config(config)
  module.setup(config, { status = 'left' })
  handlers()
  fake.same(#config.skip_close_confirmation_for_processes_named, 11)
  fake.same(require('wezterm_parallel.options').get().status, 'left')
end

function T.the_users_own_list_of_programs_is_added_to()
  local module = api()
  local config = { skip_close_confirmation_for_processes_named = { 'mine' } }
  module.apply_to_config(config)
  fake.same(table.concat(config.skip_close_confirmation_for_processes_named, ' '), 'mine wezterm-parallel')
  config = {}
  module.apply_to_config(config, { skip_close_confirmation = false })
  fake.same(config.skip_close_confirmation_for_processes_named, nil)
end

function T.what_may_be_owned_by_the_user_can_be_switched_off()
  local module = api()
  module.apply_to_config({}, { tab_titles = false, palette = false, keys = false })
  fake.same(
    handlers(),
    'gui-attached gui-startup update-status user-var-changed '
      .. 'wezterm-parallel: look at the panes '
      .. 'window-config-reloaded window-focus-changed'
  )
  fake.same(applied[1], false)
  fake.same(module.palette_entries()[1].brief, 'x')
end

function T.in_a_mux_server_there_are_no_handlers()
  local module = api()
  fake.wezterm.gui = nil
  module.apply_to_config({}, {})
  fake.same(next(fake.handlers), nil)
end

function T.bad_options_are_a_problem_and_not_an_error()
  local module = api()
  module.apply_to_config({}, { status = 7 })
  fake.has(require('wezterm_parallel.problems').first(), 'option `status` is 7')
  fake.has(fake.logged[1], 'option `status` is 7')
  module.apply_to_config({}, { keys = { danse = { key = 'x' } } })
  fake.same(require('wezterm_parallel.problems').first(), 'option `keys.danse`: there is no action of this name')
  module.apply_to_config({}, 'nonsense')
  module.apply_to_config(nil, nil)
  module.apply_to_config({}, {})
  fake.same(require('wezterm_parallel.problems').first(), nil)
end

function T.actions_are_there_by_name_and_an_unknown_one_does_nothing()
  local module = api()
  fake.same(module.actions.create_workspace, 'an action')
  fake.same(module.actions.creat_workspace, 'nop')
  fake.has(fake.logged[1], 'creat_workspace')
end

function T.pieces_are_there_before_anything_is_known()
  local module = api()
  module.apply_to_config({}, {})
  fake.same(#module.status_segments(), 0)
  fake.same(module.status_text(), '')
  fake.same(module.tab_title({ panes = {} }, 20), nil)
  fake.same(module.version, require('wezterm_parallel.wire').version)
end

function T.the_status_line_is_there_as_one_text()
  local module = api()
  module.apply_to_config({}, { glyphs = 'ascii' })
  local views = { fake.process('a/1', { status = 'working' }), fake.process 'a/2' }
  require('wezterm_parallel.state').apply { seq = 1, daemon = 'D', whole = true, processes = views }
  fake.same(module.status_text(), '1 working | 1 idle')
end

function T.what_is_wrong_is_told_once_in_the_first_window()
  local module = api()
  module.apply_to_config({}, { status = 7, binary = '/bin/true' })
  local window = fake.window(1)
  fake.windows = { window }
  for _ = 1, 3 do
    fake.run(fake.handlers['update-status'][1], window)
  end
  fake.same(#window.toasts, 1)
  fake.has(window.toasts[1].text, 'option `status` is 7')
  fake.has(window.right, 'option `status` is 7')
end

function T.a_handler_that_fails_hides_none_of_the_others()
  local module = api()
  module.apply_to_config({}, { binary = '/bin/true' })
  package.loaded['wezterm_parallel.keep'].tick = function()
    error 'boom'
  end
  local restored = 0
  package.loaded['wezterm_parallel.restore'].tick = function()
    restored = restored + 1
  end
  fake.run(fake.handlers['update-status'][1], fake.window(1))
  fake.same(restored, 1)
  fake.same(#fake.after, 1)
end

--- Loads an entry file as WezTerm does: with a name and its path.
local function entry(path)
  fake.fresh()
  local before = package.path
  local module = assert(loadfile(path))('component', path)
  local after = package.path
  package.path = before
  return module, after, require('wezterm_parallel.install').directory
end

function T.the_plugin_finds_itself_by_its_path()
  local root = ROOT .. '/plugin'
  local module, path, directory = entry(root .. '/init.lua')
  fake.same(module, require 'wezterm_parallel.api')
  fake.same(directory, root)
  fake.has(path, root .. '/?.lua;')
  module, path, directory = entry(root .. '/wezterm_parallel/init.lua')
  fake.has(path, root .. '/?.lua;')
  fake.same(module, require 'wezterm_parallel.api')
  fake.same(directory, root)
end

function T.no_module_waits_while_it_is_loaded()
  fake.fresh()
  -- run outside of a coroutine, so whatever waits throws
  for _, name in ipairs { 'api', 'events', 'install', 'feed', 'titles' } do
    require('wezterm_parallel.' .. name)
  end
end

return T
