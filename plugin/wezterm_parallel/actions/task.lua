--- Actions on tasks: add, list, import; groups of them; what they have brought.

local wezterm = require 'wezterm'

local choices = require 'wezterm_parallel.choices'
local clock = require 'wezterm_parallel.clock'
local dialogs = require 'wezterm_parallel.dialogs'
local keep = require 'wezterm_parallel.keep'
local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local passing = require 'wezterm_parallel.actions.passing'
local state = require 'wezterm_parallel.state'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  prompt = 'What Claude is to do, by itself, when its turn comes:',
  add = 'Add the task `%s`',
  add_yes = 'Add it',
  where = 'Where: %s …',
  where_title = 'Where is it to run?',
  where_workspace = 'workspace %s',
  where_directory = 'directory %s',
  name = 'Name: %s …',
  no_name = 'the beginning of the prompt',
  name_line = 'Name of the task:',
  group = 'Group: %s …',
  group_line = 'Group of the task:',
  priority = 'Priority: %d …',
  priority_line = 'Priority, from -100 to 100; larger goes first, and a minute of waiting counts as one:',
  no_number = '`%s` is no number from -100 to 100',
  leave = 'Do not add it',
  added = '`%s` is %s',
  nowhere = 'there is no directory for it; show a workspace first',
  title = 'Tasks',
  none = 'there are no tasks; `add a task` adds one',
  gone = 'that task is forgotten',
  attach = 'Follow it in a tab',
  logs = 'Show what it has written, in a tab',
  result = 'Show what it has brought, in a tab',
  open = 'Go on with its session, as a process',
  open_where = 'In which workspace is its session to go on?',
  pause = 'Pause it',
  resume = 'Have it go on',
  retry = 'Have it begin again',
  fresh = 'Have it begin again, in a new session',
  cancel = 'Cancel it',
  cancel_question = 'Cancel `%s`? What runs of it is ended, and it does not begin again by itself.',
  stands = '`%s` is %s',
  file = 'File with tasks, YAML or JSON (Enter: %s):',
  no_file = 'there is no file %s',
  pause_group = 'Of which group is nothing more to start?',
  resume_group = 'Which group is to go on?',
  paused = 'nothing more of `%s` starts',
  resumed = '`%s` goes on',
  none_paused = 'no group is paused',
  report = 'Report of which group?',
  graph = 'Graph of which tasks?',
  graph_all = 'all that are not over',
  no_workspace = 'there is no workspace; create one first',
}

--- What a file of tasks is called that nobody has named.
local FILE_DEFAULT = 'tasks.yaml'
--- Tasks that are over and are listed with the others.
local OVER_LISTED = 50
local PRIORITY_MAX = 100
--- Widest text of a task in a question, in characters.
local TITLE_CHARACTERS_MAX = 60

local ALL = ':all'

local function trimmed(line)
  return line:match '^%s*(.-)%s*$'
end

--- The workspace that a new task belongs to: that of the active pane, if it is one of the daemon's; else the
--- directory of the pane.
local function place_of(pane)
  local name = panes.active_workspace()
  if name and state.workspace(name) then
    return { workspace = name }
  end
  return { cwd = keep.directory(pane) }
end

local function place_text(task)
  if task.workspace then
    return TEXT.where_workspace:format(task.workspace)
  end
  return TEXT.where_directory:format(choices.short_path(task.cwd or '?', wezterm.home_dir))
end

--- Lets a workspace of the daemon's be chosen; `extra` stand first.
local function workspace_then(window, pane, title, extra, chosen)
  local list = { table.unpack(extra) }
  for _, choice in ipairs(choices.workspaces(state.workspaces(), {}, panes.active_workspace(), wezterm.home_dir)) do
    table.insert(list, choice)
  end
  if #list == 0 then
    return outcome.say(window, TEXT.no_workspace)
  end
  dialogs.choose(window, pane, { title = title, choices = list, fuzzy = true }, chosen)
end

local function send(window, task)
  if not (task.workspace or task.cwd) then
    return outcome.say(window, TEXT.nowhere)
  end
  local view = outcome.call(window, 'task.add', task, { environment = true })
  if view then
    outcome.say(window, TEXT.added:format(choices.plain(view.name, TITLE_CHARACTERS_MAX), view.state))
  end
end

local form

--- Asks for one line of the form, and shows the form again.
local function line_then(window, pane, task, text, taken)
  dialogs.line(window, pane, text, function(w, p, line)
    local problem = taken(trimmed(line))
    if problem then
      outcome.say(w, problem)
    end
    form(w, p, task)
  end)
end

local function optional(text)
  return text ~= '' and text or nil
end

local FORM = {
  add = function(window, _, task)
    send(window, task)
  end,
  where = function(window, pane, task)
    local extra = {}
    local cwd = keep.directory(pane)
    if cwd then
      local short = choices.short_path(cwd, wezterm.home_dir)
      table.insert(extra, { id = ALL, label = TEXT.where_directory:format(short) })
    end
    workspace_then(window, pane, TEXT.where_title, extra, function(w, p, id)
      task.workspace = id ~= ALL and id or nil
      task.cwd = id == ALL and cwd or nil
      form(w, p, task)
    end)
  end,
  name = function(window, pane, task)
    line_then(window, pane, task, TEXT.name_line, function(line)
      task.name = optional(line)
    end)
  end,
  group = function(window, pane, task)
    line_then(window, pane, task, TEXT.group_line, function(line)
      task.group = optional(line)
    end)
  end,
  priority = function(window, pane, task)
    line_then(window, pane, task, TEXT.priority_line, function(line)
      local number = line == '' and 0 or math.tointeger(tonumber(line))
      if not number or math.abs(number) > PRIORITY_MAX then
        return TEXT.no_number:format(line)
      end
      task.priority = number ~= 0 and number or nil
    end)
  end,
  leave = function() end,
}

--- The task as it stands, to be added or changed. What Enter takes first adds it.
function form(window, pane, task)
  local title = TEXT.add:format(choices.plain(task.name or task.prompt, TITLE_CHARACTERS_MAX))
  dialogs.choose(window, pane, {
    title = title,
    text = title,
    choices = {
      { id = 'add', label = TEXT.add_yes },
      { id = 'where', label = TEXT.where:format(place_text(task)) },
      { id = 'group', label = TEXT.group:format(task.group or 'default') },
      { id = 'priority', label = TEXT.priority:format(task.priority or 0) },
      { id = 'name', label = TEXT.name:format(task.name or TEXT.no_name) },
      { id = 'leave', label = TEXT.leave },
    },
  }, function(w, p, id)
    FORM[id](w, p, task)
  end)
end

--- Adds a task: what is to be done, then where and with what, which may be left as it is.
function M.add(window, pane)
  dialogs.line(window, pane, TEXT.prompt, function(w, p, line)
    if line:find '%S' then
      local task = place_of(p)
      task.prompt = line
      form(w, p, task)
    end
  end)
end

--- Goes on with the session of a task that is over, as a process.
local function open(window, pane, detail)
  local function in_workspace(w, name)
    local params = { workspace = name, agent = detail.asked.agent or 'claude', resume = detail.task.session_id }
    local view = outcome.call(w, 'process.add', params, { environment = true })
    if view then
      outcome.report(w, views.show_process(w, choices.id(view)))
    end
  end
  local name = detail.task.workspace
  if name and state.workspace(name) then
    return in_workspace(window, name)
  end
  workspace_then(window, pane, TEXT.open_where, {}, function(w, _, id)
    in_workspace(w, id)
  end)
end

local function order(method, params)
  return function(window, _, detail)
    local call = { task = detail.task.id }
    for key, value in pairs(params or {}) do
      call[key] = value
    end
    local view = outcome.call(window, method, call)
    if view then
      outcome.say(window, TEXT.stands:format(choices.plain(view.name, TITLE_CHARACTERS_MAX), view.state))
    end
  end
end

local function in_a_tab(verb)
  return function(window, _, detail)
    -- by its id: a name is a text of the user's
    passing.run(window, choices.plain(detail.task.name, TITLE_CHARACTERS_MAX), { 'task', verb, detail.task.id })
  end
end

local cancel = order 'task.cancel'

--- What can be done with a task, by what is chosen.
local DEEDS = {
  attach = in_a_tab 'attach',
  logs = in_a_tab 'logs',
  result = in_a_tab 'result',
  open = open,
  pause = order 'task.pause',
  resume = order 'task.resume',
  retry = order 'task.retry',
  fresh = order('task.retry', { fresh = true }),
  cancel = function(window, pane, detail)
    local question = TEXT.cancel_question:format(choices.plain(detail.task.name, TITLE_CHARACTERS_MAX))
    dialogs.confirm(window, pane, question, TEXT.cancel, function(w, p)
      cancel(w, p, detail)
    end)
  end,
}

local OVER = { done = true, failed = true, canceled = true, skipped = true }

--- What fits a task as it stands now. What Enter takes first changes nothing.
---@param detail table a `TaskDetail`
---@return wezterm_parallel.Choice[]
function M.deeds(detail)
  local task, list = detail.task, {}
  local function offer(id)
    table.insert(list, { id = id, label = TEXT[id] })
  end
  if OVER[task.state] then
    offer 'result'
    offer 'logs'
    if task.kind == 'prompt' and task.session_id then
      offer 'open'
    end
    offer 'retry'
    if task.session_id then
      offer 'fresh'
    end
    return list
  end
  offer 'attach'
  -- a command that runs cannot go on where it was ended
  if task.state == 'paused' then
    offer 'resume'
  elseif task.state ~= 'running' or task.kind == 'prompt' then
    offer 'pause'
  end
  offer 'cancel'
  return list
end

--- Lists tasks; the one that is chosen can be followed, canceled, paused, tried again, opened.
function M.list(window, pane)
  local tasks = outcome.call(window, 'task.list', { over = OVER_LISTED })
  if not tasks then
    return
  end
  if #tasks == 0 then
    return outcome.say(window, TEXT.none)
  end
  local list = choices.tasks(tasks, clock.now_ms() // 1000)
  dialogs.choose(window, pane, { title = TEXT.title, choices = list, fuzzy = true }, function(w, p, id)
    -- it may have come further since the list was made
    local detail, err = outcome.try('task.show', { task = id })
    if not detail then
      return err and err.code == 'not_found' and outcome.say(w, TEXT.gone) or outcome.error(w, err)
    end
    local title = ('%s: %s  %s'):format(detail.task.name, detail.task.state, choices.task_note(detail.task))
    title = choices.plain(title, 2 * TITLE_CHARACTERS_MAX)
    dialogs.choose(w, p, { title = title, text = title, choices = M.deeds(detail) }, function(w2, p2, deed)
      DEEDS[deed](w2, p2, detail)
    end)
  end)
end

--- An absolute path of what somebody typed.
local function resolve(pane, typed)
  if typed == '~' or typed:sub(1, 2) == '~/' then
    return wezterm.home_dir .. typed:sub(2)
  elseif typed:sub(1, 1) == '/' then
    return typed
  end
  local place = place_of(pane)
  local view = place.workspace and state.workspace(place.workspace)
  return (view and view.cwd or place.cwd or wezterm.home_dir) .. '/' .. typed
end

--- Imports a file of tasks, in a tab: if anything is wrong with it, all of that is said there.
function M.import(window, pane)
  local default = choices.short_path(resolve(pane, FILE_DEFAULT), wezterm.home_dir)
  dialogs.line(window, pane, TEXT.file:format(default), function(w, p, line)
    local path = resolve(p, optional(trimmed(line)) or FILE_DEFAULT)
    local file = io.open(path)
    if not file then
      return outcome.say(w, TEXT.no_file:format(path))
    end
    file:close()
    passing.run(w, 'import tasks', { 'task', 'import', path })
  end)
end

--- Lets a group be chosen of those that fit.
local function group_then(window, pane, title, fits, none, chosen)
  local groups = outcome.call(window, 'group.list', {})
  if not groups then
    return
  end
  local some = {}
  for _, group in ipairs(groups) do
    if fits(group) then
      table.insert(some, group)
    end
  end
  if #some == 0 then
    return outcome.say(window, none)
  end
  dialogs.choose(window, pane, { title = title, choices = choices.groups(some), fuzzy = true }, chosen)
end

function M.pause_group(window, pane)
  group_then(
    window,
    pane,
    TEXT.pause_group,
    function(group)
      return not group.paused
    end,
    TEXT.none,
    function(w, _, name)
      if outcome.call(w, 'group.pause', { group = name }) then
        outcome.say(w, TEXT.paused:format(name))
      end
    end
  )
end

function M.resume_group(window, pane)
  group_then(
    window,
    pane,
    TEXT.resume_group,
    function(group)
      return group.paused
    end,
    TEXT.none_paused,
    function(w, _, name)
      if outcome.call(w, 'group.resume', { group = name }) then
        outcome.say(w, TEXT.resumed:format(name))
      end
    end
  )
end

local function any()
  return true
end

function M.report(window, pane)
  group_then(window, pane, TEXT.report, any, TEXT.none, function(w, _, name)
    passing.run(w, 'report ' .. name, { 'group', 'report', '--', name })
  end)
end

function M.graph(window, pane)
  local groups = outcome.call(window, 'group.list', {})
  if not groups then
    return
  end
  local function show(w, name)
    passing.run(w, 'graph of tasks', name == ALL and { 'task', 'graph' } or { 'task', 'graph', '--group=' .. name })
  end
  if #groups < 2 then
    return show(window, ALL)
  end
  local list = choices.groups(groups)
  table.insert(list, 1, { id = ALL, label = TEXT.graph_all })
  dialogs.choose(window, pane, { title = TEXT.graph, choices = list, fuzzy = true }, function(w, _, name)
    show(w, name)
  end)
end

return M
