local fake = require 'fake'
local mux = require 'fake_mux'

local T = {}

local NOW = 1700000000

local API = { id = 'W', name = 'api', cwd = '/tmp/api', open = true, source = 'runtime', running = 1 }

--- A window of the workspace `api`, which the daemon knows unless `workspaces` says otherwise.
local function fresh(workspaces)
  mux.fresh()
  require('wezterm_parallel.state').apply {
    seq = 1,
    daemon = 'D',
    whole = true,
    processes = {},
    workspaces = workspaces or { API },
  }
  mux.active_workspace = 'api'
  return mux.gui(mux.window 'api')
end

local function run(name, gui)
  require('wezterm_parallel.actions').run(name, gui, gui:active_pane())
end

local function dialog(gui)
  local action = gui.performed[#gui.performed]
  return action and action.argument, action and action.name
end

local function labels(gui)
  local words = {}
  for i, choice in ipairs(dialog(gui).choices) do
    words[i] = choice.label
  end
  return table.concat(words, '\n')
end

local function ids(gui)
  local words = {}
  for i, choice in ipairs(dialog(gui).choices) do
    words[i] = choice.id
  end
  return table.concat(words, ' ')
end

local function answer(gui, value)
  mux.answer(gui, value)
end

--- The program and its arguments in the tab that was opened last.
local function in_the_tab(gui)
  return table.concat(gui:active_pane().spawn.args, ' ')
end

local function task(name, state, more)
  local view = {
    id = 'ID-' .. name,
    name = name,
    state = state,
    priority = 0,
    group = 'default',
    after = {},
    attempt = 0,
    kind = 'prompt',
    text = 'do ' .. name,
    added_at = (NOW - 600) * 1000,
    cwd = '/tmp/api',
    workspace = 'api',
  }
  for key, value in pairs(more or {}) do
    view[key] = value
  end
  return view
end

local function detail(view, asked)
  return { task = view, asked = asked or {}, seq = 1 }
end

--- The list, with this task chosen from it.
local function chosen(view, asked)
  local gui = fresh()
  mux.answers['task.list'] = { view }
  mux.answers['task.show'] = detail(view, asked)
  run('tasks', gui)
  answer(gui, view.id)
  return gui
end

function T.a_task_is_added_to_this_workspace_by_its_prompt_alone()
  local gui = fresh()
  mux.answers['task.add'] = task('tests', 'queued')
  run('add_task', gui)
  answer(gui, 'write the tests')
  fake.has(labels(gui), 'Where: workspace api')
  answer(gui, 'add')
  local sent = mux.calls('task.add')[1]
  fake.same(sent.prompt, 'write the tests')
  fake.same(sent.workspace, 'api')
  fake.same(sent.group, nil)
  fake.same(sent.priority, nil)
  fake.same(gui.toasts[1].text, '`tests` is queued')
end

function T.the_form_of_a_task_takes_what_is_typed_and_comes_again()
  local gui = fresh { API, { id = 'V', name = 'web', cwd = '/tmp/web', open = true } }
  mux.answers['task.add'] = task('tests', 'queued')
  run('add_task', gui)
  answer(gui, 'write the tests')
  answer(gui, 'group')
  answer(gui, ' nightly ')
  answer(gui, 'priority')
  answer(gui, '1000')
  fake.has(gui.toasts[1].text, 'no number from -100 to 100')
  answer(gui, 'priority')
  answer(gui, '-5')
  answer(gui, 'name')
  answer(gui, 'tests')
  answer(gui, 'where')
  answer(gui, 'web')
  fake.same(
    labels(gui),
    'Add it\nWhere: workspace web …\nGroup: nightly …\nPriority: -5 …\nName: tests …\nDo not add it'
  )
  answer(gui, 'add')
  local sent = mux.calls('task.add')[1]
  fake.same(sent.workspace .. ' ' .. sent.group .. ' ' .. sent.priority .. ' ' .. sent.name, 'web nightly -5 tests')
end

function T.nothing_is_added_that_was_left_or_is_empty()
  local gui = fresh()
  run('add_task', gui)
  answer(gui, '  ')
  fake.same(#gui.performed, 1)
  run('add_task', gui)
  answer(gui, 'write the tests')
  answer(gui, 'leave')
  fake.same(#mux.calls 'task.add', 0)
end

function T.outside_of_our_workspaces_a_task_runs_where_the_pane_is()
  local gui = fresh {}
  mux.answers['task.add'] = task('tests', 'queued')
  gui:active_pane().spawn.cwd = '/tmp/elsewhere'
  run('add_task', gui)
  answer(gui, 'write the tests')
  answer(gui, 'add')
  local sent = mux.calls('task.add')[1]
  fake.same(sent.workspace, nil)
  fake.same(sent.cwd, '/tmp/elsewhere')
end

function T.tasks_are_listed_by_who_needs_somebody_and_what_comes_next()
  local choices = require 'wezterm_parallel.choices'
  fresh()
  local list = choices.tasks({
    task('old', 'failed', { ended_at = (NOW - 200000) * 1000 }),
    task('done', 'done', { ended_at = (NOW - 60) * 1000, cost_usd = 1.5 }),
    task('later', 'queued'),
    task('sooner', 'queued', { priority = 10 }),
    task('broken', 'failed', { ended_at = (NOW - 120) * 1000, reason = 'exit code 1' }),
    task('works', 'running', {
      started_at = (NOW - 30) * 1000,
      group = 'nightly',
      progress = { doing = 'Bash: make\27[2J' },
    }),
  }, NOW)
  local order, text = {}, {}
  for i, choice in ipairs(list) do
    order[i], text[i] = choice.id:gsub('^ID%-', ''), choice.label
  end
  fake.same(table.concat(order, ' '), 'broken works sooner later done old')
  fake.same(text[1], 'x broken  failed    2m                    exit code 1')
  fake.same(text[2], '> works   running   30s          nightly  Bash: make [2J')
  fake.has(text[5], '$1.50')
end

function T.a_list_without_tasks_says_so()
  local gui = fresh()
  mux.answers['task.list'] = {}
  run('tasks', gui)
  fake.same(#gui.performed, 0)
  fake.has(gui.toasts[1].text, 'there are no tasks')
end

function T.what_can_be_done_with_a_task_depends_on_how_it_stands_now()
  local deeds = {
    { task('a', 'running'), 'attach pause cancel' },
    { task('a', 'running', { kind = 'command' }), 'attach cancel' },
    { task('a', 'queued', { kind = 'command' }), 'attach pause cancel' },
    { task('a', 'paused'), 'attach resume cancel' },
    { task('a', 'failed', { session_id = 'S' }), 'result logs open retry fresh' },
    { task('a', 'done', { kind = 'command' }), 'result logs retry' },
    { task('a', 'skipped'), 'result logs retry' },
  }
  for _, case in ipairs(deeds) do
    fake.same(ids(chosen(case[1])), case[2])
  end
end

function T.a_task_is_followed_and_read_in_a_tab_by_its_id()
  local gui = chosen(task('tests', 'running'))
  answer(gui, 'attach')
  fake.has(in_the_tab(gui), 'task attach ID-tests')
  gui = chosen(task('tests', 'done'))
  answer(gui, 'result')
  fake.has(in_the_tab(gui), 'task result ID-tests')
  gui = chosen(task('tests', 'done'))
  answer(gui, 'logs')
  fake.has(in_the_tab(gui), 'task logs ID-tests')
end

function T.a_task_is_paused_resumed_and_tried_again_by_calls()
  for _, case in ipairs {
    { 'running', 'pause', 'task.pause' },
    { 'paused', 'resume', 'task.resume' },
    { 'failed', 'retry', 'task.retry' },
    { 'failed', 'fresh', 'task.retry' },
  } do
    local view = task('tests', case[1], { session_id = 'S' })
    local gui = chosen(view)
    mux.answers[case[3]] = task('tests', 'queued')
    answer(gui, case[2])
    local sent = mux.calls(case[3])[1]
    fake.same(sent.task, 'ID-tests')
    fake.same(sent.fresh, case[2] == 'fresh' or nil)
    fake.same(gui.toasts[1].text, '`tests` is queued')
  end
end

function T.a_task_is_canceled_after_a_question()
  local gui = chosen(task('tests', 'queued'))
  mux.answers['task.cancel'] = task('tests', 'canceled')
  answer(gui, 'cancel')
  fake.same(#mux.calls 'task.cancel', 0)
  answer(gui, 'yes')
  fake.same(mux.calls('task.cancel')[1].task, 'ID-tests')
end

function T.a_refusal_is_said_with_what_to_do()
  local gui = chosen(task('tests', 'queued'))
  mux.refusals = { ['task.pause'] = { code = 'conflict', message = 'tests is over: done', hint = 'retry it' } }
  answer(gui, 'pause')
  fake.same(gui.toasts[1].text, 'tests is over: done (retry it)')
end

function T.a_task_that_was_forgotten_meanwhile_says_so()
  local gui = fresh()
  mux.answers['task.list'] = { task('tests', 'done') }
  mux.refusals = { ['task.show'] = { code = 'not_found', message = 'there is no task' } }
  run('tasks', gui)
  answer(gui, 'ID-tests')
  fake.same(gui.toasts[1].text, 'that task is forgotten')
end

function T.the_session_of_a_task_goes_on_as_a_process_of_its_workspace()
  local gui = chosen(task('tests', 'failed', { session_id = 'S' }), { agent = 'opus' })
  local made = fake.process('api/claude-1', {})
  mux.answers['process.add'] = made
  answer(gui, 'open')
  local sent = mux.calls('process.add')[1]
  fake.same(sent.workspace .. ' ' .. sent.agent .. ' ' .. sent.resume, 'api opus S')
  -- one that belongs to no workspace asks for one
  gui = chosen(task('tests', 'failed', { session_id = 'S', workspace = false }))
  mux.answers['process.add'] = made
  answer(gui, 'open')
  answer(gui, 'api')
  fake.same(mux.calls('process.add')[1].agent, 'claude')
end

function T.a_file_of_tasks_is_imported_in_a_tab()
  local gui = fresh()
  run('import_tasks', gui)
  fake.has(dialog(gui).description, '/tmp/api/tasks.yaml')
  answer(gui, '/nowhere/at/all.yaml')
  fake.same(gui.toasts[1].text, 'there is no file /nowhere/at/all.yaml')
  local path = os.tmpname()
  run('import_tasks', gui)
  answer(gui, path)
  fake.has(in_the_tab(gui), 'task import ' .. path)
  os.remove(path)
end

function T.groups_are_paused_and_resumed_reported_and_drawn()
  local groups = {
    { name = 'default', paused = false, tasks = { running = 1, done = 3 } },
    { name = 'nightly', paused = true, tasks = { queued = 2 } },
  }
  local gui = fresh()
  mux.answers['group.list'] = groups
  mux.answers['group.pause'], mux.answers['group.resume'] = groups[1], groups[2]
  run('pause_tasks', gui)
  fake.same(labels(gui), 'default  1 running · 3 done')
  answer(gui, 'default')
  fake.same(mux.calls('group.pause')[1].group, 'default')
  run('resume_tasks', gui)
  fake.same(labels(gui), 'nightly  paused · 2 queued')
  answer(gui, 'nightly')
  fake.same(mux.calls('group.resume')[1].group, 'nightly')
  run('report_tasks', gui)
  answer(gui, 'nightly')
  fake.has(in_the_tab(gui), 'group report -- nightly')
  run('task_graph', gui)
  answer(gui, 'nightly')
  fake.has(in_the_tab(gui), 'task graph --group=nightly')
  run('task_graph', gui)
  answer(gui, ':all')
  assert(in_the_tab(gui):find 'task graph$', in_the_tab(gui))
end

function T.the_dashboard_begins_with_tasks_and_one_that_is_open_is_left_as_it_is()
  local gui = fresh()
  run('show_tasks', gui)
  fake.has(in_the_tab(gui), 'dashboard --tasks')
  gui:active_pane().vars.wezterm_parallel = 'dashboard'
  run('show_tasks', gui)
  fake.has(gui.toasts[1].text, 't in the dashboard shows tasks')
end

--- Any program can read a command line.
function T.what_is_typed_stands_on_no_command_line()
  fake.fresh()
  local options = require 'wezterm_parallel.options'
  options.set((options.check { binary = '/bin/true' }))
  local seen = {}
  package.loaded.wezterm.run_child_process = function(args)
    table.insert(seen, table.concat(args, ' '))
    return true, '', 'nothing'
  end
  local relay = require 'wezterm_parallel.relay'
  relay.ask('task.add', { prompt = 'a secret' })
  relay.ask('group.pause', { group = 'a secret' })
  relay.ask('task.show', { task = 'ID' })
  fake.has(seen[1], '--file')
  fake.has(seen[2], '--file')
  assert(not seen[3]:find('--file', 1, true), seen[3])
end

return T
