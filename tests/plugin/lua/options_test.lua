local fake = require 'fake'
local T = {}

local function check(given)
  fake.fresh()
  return require('wezterm_parallel.options').check(given)
end

local function refused(given, words)
  local options, problems = check(given)
  fake.same(#problems, 1)
  fake.has(problems[1], words)
  return options
end

function T.without_options_there_are_defaults()
  local options, problems = check(nil)
  fake.same(#problems, 0)
  fake.same(options.auto_start, true)
  fake.same(options.status, 'right')
  fake.same(options.restore, 'ask')
  fake.same(options.binary, nil)
end

function T.what_is_given_is_taken()
  local options, problems = check {
    config_path = '/c.yaml',
    auto_start = false,
    status = false,
    keys = { create_workspace = { key = 'N', mods = 'CTRL' }, show_dashboard = false },
    toasts = 'status',
    toast_seconds = 3,
    colors = { working = '#ffffff' },
  }
  fake.same(#problems, 0)
  fake.same(options.auto_start, false)
  fake.same(options.status, false)
  fake.same(options.keys.create_workspace.key, 'N')
  fake.same(options.colors.working, '#ffffff')
end

function T.a_wrong_value_names_its_key_and_the_default_is_used()
  fake.same(refused({ auto_start = 'yes' }, "option `auto_start` is 'yes'; expected true or false").auto_start, true)
  fake.same(refused({ status = 'top' }, "expected 'right', 'left' or false").status, 'right')
  fake.same(refused({ binary = 'wezterm-parallel' }, 'expected an absolute path').binary, nil)
  refused({ config_path = 7 }, 'option `config_path` is 7')
  refused({ keys = true }, 'option `keys` is true')
  refused({ toast_seconds = -1 }, '0 to 3600')
  refused({ debug = {} }, 'option `debug` is a table')
end

function T.a_wrong_value_inside_of_a_table_is_named_with_its_path()
  refused({ colors = { workin = 'red' } }, 'option `colors.workin`')
  refused({ colors = { working = 7 } }, 'option `colors.working` is 7')
  refused({ keys = { create_workspace = 'CTRL+N' } }, "option `keys.create_workspace` is 'CTRL+N'")
end

function T.an_unknown_key_is_told_the_one_that_was_meant()
  refused({ auto_strat = true }, 'unknown option `auto_strat` (did you mean `auto_start`?)')
  refused({ zzzzzzzzz = true }, 'unknown option `zzzzzzzzz`')
  local _, problems = check { zzzzzzzzz = true }
  assert(not problems[1]:find('mean', 1, true))
end

function T.several_wrong_values_are_all_named_and_the_right_ones_count()
  local options, problems = check { status = 1, glyphs = 2, debug = true }
  fake.same(#problems, 2)
  fake.same(options.debug, true)
end

function T.what_is_no_table_is_said()
  refused('fast', 'the options are a string; expected a table')
end

function T.a_path_may_begin_at_home()
  local options = check { binary = '~/x/wezterm-parallel' }
  fake.same(options.binary, os.getenv 'HOME' .. '/x/wezterm-parallel')
end

function T.a_long_value_is_cut_in_the_message()
  local _, problems = check { status = ('x'):rep(500) }
  assert(#problems[1] < 150, #problems[1])
end

function T.every_option_is_documented()
  fake.fresh()
  local file = assert(io.open(ROOT .. '/docs/PLUGIN.md'))
  local text = file:read 'a'
  file:close()
  for _, name in ipairs(require('wezterm_parallel.options').names()) do
    fake.has(text, '| `' .. name .. '` |')
  end
end

return T
