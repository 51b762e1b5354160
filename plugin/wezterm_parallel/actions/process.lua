--- Actions on processes: the next one that needs its user, attach, add, start, restart, stop, remove, logs.

local choices = require 'wezterm_parallel.choices'
local clock = require 'wezterm_parallel.clock'
local dialogs = require 'wezterm_parallel.dialogs'
local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local state = require 'wezterm_parallel.state'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  none = 'there is no process for that',
  nobody = 'nobody needs you',
  nobody_else = 'nobody else needs you',
  attach = 'Show a process',
  add = 'Add a process to `%s`',
  add_where = 'Add a process to which workspace?',
  claude = 'Claude Code',
  resume = 'Claude Code, on a session that it had before …',
  session = 'Session to go on with',
  no_session = 'there is no session to go on with in %s',
  command = 'another program …',
  command_line = 'Program and arguments, as a shell reads them:',
  name = 'Name of the process: letters, digits, . _ - (Enter: one is made up)',
  start = 'Start a process',
  restart = 'Restart a process',
  stop = 'Stop a process',
  remove = 'Remove a process',
  works = '`%s` is working. %s it all the same?',
  restart_verb = 'Restart',
  stop_verb = 'Stop',
  remove_question = 'Remove `%s`? It is stopped and forgotten; its Claude session stays resumable.',
  remove_yes = 'Remove it',
  no_workspace = 'there is no open workspace; create one first',
}

local function seconds()
  return clock.now_ms() // 1000
end

--- Lets a process be chosen; the pane's own stands first if it fits.
---@param fits fun(view: table): boolean
---@param chosen fun(window: any, pane: any, view: table)
function M.choose(window, pane, title, fits, chosen)
  local some = {}
  for _, view in ipairs(state.processes()) do
    if view.source ~= 'foreign' and fits(view) then
      table.insert(some, view)
    end
  end
  if #some == 0 then
    return outcome.say(window, TEXT.none)
  end
  local list = choices.processes(some, seconds())
  local here = panes.process_of(pane)
  for i, choice in ipairs(list) do
    if choice.id == here then
      table.insert(list, 1, table.remove(list, i))
      break
    end
  end
  dialogs.choose(window, pane, { title = title, choices = list, fuzzy = true }, function(w, p, id)
    local view = state.process(id)
    if view then
      chosen(w, p, view)
    else
      outcome.say(w, TEXT.none)
    end
  end)
end

local function any()
  return true
end

function M.attach(window, pane)
  M.choose(window, pane, TEXT.attach, any, function(w, _, view)
    outcome.report(w, views.show_process(w, choices.id(view)))
  end)
end

--- Goes to the process that needs its user most; from one that does, to the next one, round and round.
function M.next(window, pane)
  local wanting = state.needs_me()
  if #wanting == 0 then
    return outcome.say(window, TEXT.nobody)
  end
  local here = panes.process_of(pane)
  local next_at = 1
  for i, view in ipairs(wanting) do
    if choices.id(view) == here then
      next_at = i % #wanting + 1
    end
  end
  local id = choices.id(wanting[next_at])
  if id == here then
    return outcome.say(window, TEXT.nobody_else)
  end
  outcome.report(window, views.show_process(window, id))
end

--- Words of a command line, as a shell would read them but without anything that a shell would carry out.
---@param line string
---@return string[]
function M.words(line)
  local words, word, quote = {}, nil, nil
  local i = 1
  while i <= #line do
    local c = line:sub(i, i)
    if quote == "'" then
      if c == "'" then
        quote = nil
      else
        word = word .. c
      end
    elseif c == '\\' and i < #line and (quote == nil or line:sub(i + 1, i + 1):find '["\\$`]') then
      i = i + 1
      word = (word or '') .. line:sub(i, i)
    elseif quote == '"' then
      if c == '"' then
        quote = nil
      else
        word = word .. c
      end
    elseif c == '"' or c == "'" then
      quote, word = c, word or ''
    elseif c:find '%s' then
      if word then
        table.insert(words, word)
        word = nil
      end
    else
      word = (word or '') .. c
    end
    i = i + 1
  end
  if word then
    table.insert(words, word)
  end
  return words
end

local function add(window, params)
  local view = outcome.call(window, 'process.add', params, { environment = true })
  if view then
    outcome.report(window, views.show_process(window, choices.id(view)))
  end
end

local function named(window, pane, params)
  dialogs.line(window, pane, TEXT.name, function(w, _, line)
    local name = line:match '^%s*(.-)%s*$'
    params.name = name ~= '' and name or nil
    add(w, params)
  end)
end

local function resumed(window, pane, workspace)
  local found = outcome.call(window, 'session.list', { cwd = workspace.cwd })
  if not found then
    return
  end
  local list = {}
  for _, session in ipairs(found) do
    local title = choices.plain(session.title or session.first_prompt or session.session_id, 100)
    if not session.open then
      table.insert(list, { id = session.session_id, label = title })
    end
  end
  if #list == 0 then
    return outcome.say(window, TEXT.no_session:format(workspace.cwd))
  end
  dialogs.choose(window, pane, { title = TEXT.session, choices = list, fuzzy = true }, function(w, p, id)
    named(w, p, { workspace = workspace.name, agent = 'claude', resume = id })
  end)
end

local function kind_then(window, pane, workspace)
  dialogs.choose(window, pane, {
    title = TEXT.add:format(workspace.name),
    text = TEXT.add:format(workspace.name),
    choices = {
      { id = 'claude', label = TEXT.claude },
      { id = 'resume', label = TEXT.resume },
      { id = 'command', label = TEXT.command },
    },
  }, function(w, p, kind)
    if kind == 'claude' then
      named(w, p, { workspace = workspace.name, agent = 'claude' })
    elseif kind == 'resume' then
      resumed(w, p, workspace)
    else
      dialogs.line(w, p, TEXT.command_line, function(w2, p2, line)
        local words = M.words(line)
        if #words > 0 then
          named(w2, p2, { workspace = workspace.name, command = words })
        end
      end)
    end
  end)
end

--- Adds to the workspace on the glass, if it is the daemon's; else asks to which.
function M.add(window, pane)
  local active = panes.active_workspace()
  local open = {}
  for _, view in ipairs(state.workspaces()) do
    if view.open then
      if view.name == active then
        return kind_then(window, pane, view)
      end
      table.insert(open, view)
    end
  end
  if #open == 0 then
    return outcome.say(window, TEXT.no_workspace)
  end
  local list = choices.workspaces(open, {}, active)
  dialogs.choose(window, pane, { title = TEXT.add_where, choices = list, fuzzy = true }, function(w, p, name)
    kind_then(w, p, state.workspace(name) or { name = name, cwd = '' })
  end)
end

local function works(view)
  return view.status == 'working'
end

--- Does something to a process; asks before if it is working.
local function unless_working(window, pane, view, verb, action)
  if not works(view) then
    return action(window)
  end
  dialogs.confirm(window, pane, TEXT.works:format(choices.id(view), verb), verb, action)
end

local function target(view)
  return { workspace = view.workspace, process = view.name }
end

local RUNS = { starting = true, running = true, backoff = true, stopping = true }

function M.start(window, pane)
  M.choose(window, pane, TEXT.start, function(view)
    return not RUNS[view.state]
  end, function(w, _, view)
    outcome.call(w, 'process.start', target(view))
  end)
end

function M.restart(window, pane)
  M.choose(window, pane, TEXT.restart, any, function(w, p, view)
    unless_working(w, p, view, TEXT.restart_verb, function(w2)
      outcome.call(w2, 'process.restart', target(view))
    end)
  end)
end

function M.stop(window, pane)
  M.choose(window, pane, TEXT.stop, function(view)
    return RUNS[view.state] or false
  end, function(w, p, view)
    unless_working(w, p, view, TEXT.stop_verb, function(w2)
      outcome.call(w2, 'process.stop', target(view))
    end)
  end)
end

function M.remove(window, pane)
  M.choose(window, pane, TEXT.remove, function(view)
    return view.source == 'runtime'
  end, function(w, p, view)
    dialogs.confirm(w, p, TEXT.remove_question:format(choices.id(view)), TEXT.remove_yes, function(w2)
      outcome.call(w2, 'process.remove', target(view))
    end)
  end)
end

return M
