--- Labels and orders of lists: processes, workspaces, directories, requests. Pure but for the state's cache.

local state = require 'wezterm_parallel.state'

local M = {}

--- Widest name in a list before its column is no longer kept.
local NAME_CELLS_MAX = 32

--- A sign for each mood, for a list that has one column for it.
local SIGNS = {
  needs_you = '!',
  failed = 'x',
  unread = '*',
  restarting = '~',
  limited = '%',
  unknown = '?',
  working = '>',
  starting = '.',
  idle = '-',
  running = '+',
  stopped = ' ',
}

local WORDS = { needs_you = 'needs you' }

--- The moods, the most urgent first.
local MOODS = {}
for mood, urgency in pairs(state.URGENCY) do
  MOODS[urgency] = mood
end

local function urgency(view)
  return state.URGENCY[state.mood(view)]
end

---@param view table
---@return string
function M.id(view)
  return view.workspace .. '/' .. view.name
end

--- What a process does, in a word or two.
---@param view table
---@return string
function M.word(view)
  local status = view.status
  if status then
    local about = status:match '^blocked%((.*)%)$'
    if about then
      return 'needs you: ' .. about
    end
    if status == 'idle' and view.unread then
      return 'done, unread'
    end
    return (status:gsub('_', ' '))
  end
  return (view.state:gsub('_', ' '))
end

--- How long ago, in one unit.
---@param since integer? milliseconds since 1970
---@param now integer seconds since 1970
---@return string
function M.ago(since, now)
  if not since then
    return ''
  end
  local s = math.max(0, now - since // 1000)
  if s < 60 then
    return s .. 's'
  elseif s < 3600 then
    return s // 60 .. 'm'
  elseif s < 86400 then
    return s // 3600 .. 'h'
  end
  return s // 86400 .. 'd'
end

--- Text on one line, without what a terminal would take for more than text.
---@param text string?
---@param max? integer characters
---@return string
function M.plain(text, max)
  local line = (text or ''):gsub('[%c\127]+', ' ')
  if max and (utf8.len(line) or #line) > max then
    local cut = utf8.offset(line, max)
    line = line:sub(1, (cut or max) - 1) .. '…'
  end
  return line
end

local function padded(text, width)
  return text .. (' '):rep(math.max(0, width - (utf8.len(text) or #text)))
end

local function widest(texts)
  local width = 0
  for _, text in ipairs(texts) do
    width = math.max(width, utf8.len(text) or #text)
  end
  return math.min(width, NAME_CELLS_MAX)
end

--- A list of processes: those first that need their user.
---@param views table[]
---@param now integer seconds since 1970
---@return wezterm_parallel.Choice[]
function M.processes(views, now)
  local sorted = { table.unpack(views) }
  table.sort(sorted, function(a, b)
    local one, other = urgency(a), urgency(b)
    if one ~= other then
      return one < other
    end
    return M.id(a) < M.id(b)
  end)
  local ids, words = {}, {}
  for i, view in ipairs(sorted) do
    ids[i], words[i] = M.id(view), M.word(view)
  end
  local id_cells, word_cells = widest(ids), widest(words)
  local choices = {}
  for i, view in ipairs(sorted) do
    local reason = view.status_reason or view.state_reason or view.title
    local label = ('%s %s  %s  %s  %s'):format(
      SIGNS[state.mood(view)],
      padded(ids[i], id_cells),
      padded(words[i], word_cells),
      padded(M.ago(view.status_since or view.started_at, now), 3),
      M.plain(reason, 80)
    )
    choices[i] = { id = ids[i], label = (label:gsub('%s+$', '')) }
  end
  return choices
end

--- How many of a workspace's processes do what: `1 needs you · 2 working`.
---@param views table[] its processes
---@return string text
---@return integer urgency of the most urgent
function M.summary(views)
  local counts, best = {}, #MOODS
  for _, view in ipairs(views) do
    local mood = state.mood(view)
    counts[mood] = (counts[mood] or 0) + 1
    best = math.min(best, state.URGENCY[mood])
  end
  local parts = {}
  for _, mood in ipairs(MOODS) do
    if counts[mood] then
      table.insert(parts, counts[mood] .. ' ' .. (WORDS[mood] or mood))
    end
  end
  return table.concat(parts, ' · '), best
end

--- A path with `~` for the home directory.
---@param path string
---@param home string?
---@return string
function M.short_path(path, home)
  if home and #home > 1 and (path == home or path:sub(1, #home + 1) == home .. '/') then
    return '~' .. path:sub(#home + 1)
  end
  return path
end

--- A list of workspaces: the daemon's, those first that need their user; then WezTerm's own.
---@param workspaces table[] `WorkspaceView`s
---@param plain string[] all workspaces that WezTerm has panes of
---@param active string? the one on the glass
---@param home string?
---@return wezterm_parallel.Choice[]
function M.workspaces(workspaces, plain, active, home)
  local processes = {}
  for _, view in ipairs(state.processes()) do
    processes[view.workspace] = processes[view.workspace] or {}
    table.insert(processes[view.workspace], view)
  end
  local ours, rows = {}, {}
  for _, workspace in ipairs(workspaces) do
    ours[workspace.name] = true
    local text, rank = M.summary(processes[workspace.name] or {})
    if not workspace.open then
      text, rank = 'closed', #MOODS + 1
    elseif text == '' then
      text = 'no processes'
    end
    if workspace.problem then
      text = text .. '  ' .. M.plain(workspace.problem, 60)
    end
    table.insert(rows, {
      name = workspace.name,
      rank = rank,
      mark = MOODS[rank] and SIGNS[MOODS[rank]] or ' ',
      text = text,
      path = M.short_path(workspace.cwd or '', home),
    })
  end
  for _, name in ipairs(plain) do
    if not ours[name] then
      table.insert(rows, { name = name, rank = #MOODS + 2, mark = ' ', text = 'only in WezTerm', path = '' })
    end
  end
  table.sort(rows, function(a, b)
    if a.rank ~= b.rank then
      return a.rank < b.rank
    end
    return a.name < b.name
  end)
  local names, texts = {}, {}
  for i, row in ipairs(rows) do
    names[i] = row.name .. (row.name == active and ' (here)' or '')
    texts[i] = row.text
  end
  local name_cells, text_cells = widest(names), widest(texts)
  local choices = {}
  for i, row in ipairs(rows) do
    local name, text = padded(names[i], name_cells), padded(texts[i], text_cells)
    local label = ('%s %s  %s  %s'):format(row.mark, name, text, row.path)
    choices[i] = { id = row.name, label = (label:gsub('%s+$', '')) }
  end
  return choices
end

local FROM = {
  workspace = 'workspace',
  session = 'Claude sessions',
  root = 'project root',
  zoxide = 'zoxide',
}

--- A list of directories.
---@param projects table[] `ProjectView`s, in their order
---@param home string?
---@return wezterm_parallel.Choice[]
function M.projects(projects, home)
  local choices = {}
  for i, project in ipairs(projects) do
    local about = project.workspace and ('workspace ' .. project.workspace) or FROM[project.from] or project.from
    choices[i] = { id = project.path, label = ('%s   (%s)'):format(M.plain(M.short_path(project.path, home)), about) }
  end
  return choices
end

--- A list of templates.
---@param layouts table[] `LayoutView`s
---@return wezterm_parallel.Choice[]
function M.layouts(layouts)
  local names = {}
  for i, layout in ipairs(layouts) do
    names[i] = layout.name
  end
  local cells = widest(names)
  local choices = {}
  for i, layout in ipairs(layouts) do
    local about = layout.problem and ('cannot be used: ' .. layout.problem) or layout.layout.about or layout.source
    choices[i] = { id = layout.name, label = padded(layout.name, cells) .. '  ' .. M.plain(about, 100) }
  end
  return choices
end

--- A list of requests, oldest first.
---@param asks table[] `AskView`s
---@param now integer seconds since 1970
---@return wezterm_parallel.Choice[]
function M.asks(asks, now)
  local ids = {}
  for i, ask in ipairs(asks) do
    ids[i] = ask.workspace .. '/' .. ask.process
  end
  local cells = widest(ids)
  local choices = {}
  for i, ask in ipairs(asks) do
    choices[i] = {
      id = ask.id,
      label = ('%s  %s  %s: %s'):format(
        padded(ids[i], cells),
        padded(M.ago(ask.at, now), 3),
        ask.tool,
        M.plain(ask.summary, 120)
      ),
    }
  end
  return choices
end

--- A sign for each state of a task.
local TASK_SIGNS = {
  failed = 'x',
  running = '>',
  queued = '.',
  waiting = '~',
  paused = '=',
  done = '+',
  canceled = '-',
  skipped = '-',
}

--- Where a task stands in a list: what failed within a day, what runs, what is yet to come, what is over.
local FAILED_SECONDS = 24 * 60 * 60
local PLACES = { running = 2, queued = 3, waiting = 4, paused = 5 }

local function place(task, now)
  if task.state == 'failed' and now - (task.ended_at or 0) // 1000 < FAILED_SECONDS then
    return 1
  end
  return PLACES[task.state] or 6
end

--- Since when a task stands as it does; of what waits, since when it is there.
local function since(task)
  if PLACES[task.state] then
    return task.state == 'running' and task.started_at or task.added_at
  end
  return task.ended_at or task.added_at
end

--- What a task does, else why it stands as it does, else what was asked.
---@param task wezterm_parallel.Task
---@return string
function M.task_note(task)
  local progress = task.state == 'running' and task.progress or {}
  return task.reason or progress.doing or progress.text or task.text
end

--- A list of tasks: what failed of late, what runs, what comes next, what is over.
---@param tasks wezterm_parallel.Task[]
---@param now integer seconds since 1970
---@return wezterm_parallel.Choice[]
function M.tasks(tasks, now)
  local sorted = { table.unpack(tasks) }
  local function standing(task)
    local at = place(task, now)
    -- the newest of what is over; of what waits the one whose turn comes first, as a minute counts as one more
    local by = at == 6 and -since(task) or at == 3 and task.added_at - (task.priority or 0) * 60000 or since(task)
    return at, by
  end
  table.sort(sorted, function(a, b)
    local one, by_one = standing(a)
    local other, by_other = standing(b)
    if one ~= other then
      return one < other
    elseif by_one ~= by_other then
      return by_one < by_other
    end
    return a.id < b.id
  end)
  local names, groups = {}, {}
  for i, task in ipairs(sorted) do
    names[i] = M.plain(task.name, NAME_CELLS_MAX)
    groups[i] = task.group ~= 'default' and M.plain(task.group, NAME_CELLS_MAX) or ''
  end
  local name_cells, group_cells = widest(names), widest(groups)
  local choices = {}
  for i, task in ipairs(sorted) do
    local cost = task.cost_usd and ('$%.2f'):format(task.cost_usd) or ''
    local label = ('%s %s  %s  %s  %s  %s  %s'):format(
      TASK_SIGNS[task.state] or '?',
      padded(names[i], name_cells),
      padded(task.state, 8),
      padded(M.ago(since(task), now), 3),
      padded(cost, 6),
      padded(groups[i], group_cells),
      M.plain(M.task_note(task), 80)
    )
    choices[i] = { id = task.id, label = (label:gsub('%s+$', '')) }
  end
  return choices
end

--- A list of groups of tasks, each with how many of its tasks are in each state.
---@param groups table[] `GroupView`s
---@return wezterm_parallel.Choice[]
function M.groups(groups)
  local names = {}
  for i, group in ipairs(groups) do
    names[i] = M.plain(group.name, NAME_CELLS_MAX)
  end
  local cells = widest(names)
  local choices = {}
  for i, group in ipairs(groups) do
    local parts = {}
    for _, state_name in ipairs { 'running', 'queued', 'waiting', 'paused', 'failed', 'done', 'canceled', 'skipped' } do
      local n = (group.tasks or {})[state_name] or 0
      if n > 0 then
        table.insert(parts, n .. ' ' .. state_name)
      end
    end
    local about = (group.paused and 'paused · ' or '') .. (#parts > 0 and table.concat(parts, ' · ') or 'no tasks')
    choices[i] = { id = group.name, label = padded(names[i], cells) .. '  ' .. about }
  end
  return choices
end

--- A name for a workspace of a directory: letters and digits, `.`, `_` and `-`, that no other one has.
---@param path string
---@param taken table<string, boolean>
---@return string
function M.workspace_name(path, taken)
  local base = (path:match '([^/]+)/*$' or 'workspace'):gsub('[^%w%._%-]+', '-'):gsub('^[^%w]+', ''):gsub('%-+$', '')
  if base == '' then
    base = 'workspace'
  end
  local name, n = base, 2
  while taken[name] do
    name = base .. '-' .. n
    n = n + 1
  end
  return name
end

--- Whether a process is one that a pattern means: a part of its name, or with `*` all of it.
---@param id string `WORKSPACE/PROCESS`
---@param pattern string
---@return boolean
function M.matches(id, pattern)
  if pattern == '' then
    return false
  end
  local process = id:match '/(.*)$' or id
  if pattern:find('*', 1, true) then
    local lua = '^' .. pattern:gsub('[%^%$%(%)%%%.%[%]%+%-%?]', '%%%0'):gsub('%*', '.*') .. '$'
    return process:find(lua) ~= nil or id:find(lua) ~= nil
  end
  return id:find(pattern, 1, true) ~= nil
end

return M
