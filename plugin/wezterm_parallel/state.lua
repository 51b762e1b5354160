-- What is known of the daemon's processes and workspaces: a cache that the feed fills, and everything that
-- draws reads. Formatters may not wait, so they have nothing but this.

local M = {}

local processes, workspaces = {}, {}
local accounts = {}
local tasks = {}
local connected = false
local changes = 0

--- Made of the above when it is asked for, and kept until something changes.
local by_name, list, workspace_list, summary, wanting, moods

local function changed()
  changes = changes + 1
  by_name, list, workspace_list, summary, wanting, moods = nil, nil, nil, nil, nil, nil
end

--- Takes news in, as `gui.wait` gives them.
---@param news wezterm_parallel.News
function M.apply(news)
  if news.whole then
    processes, workspaces, tasks = {}, {}, {}
  end
  for _, view in ipairs(news.processes or {}) do
    processes[view.id] = view
  end
  for _, view in ipairs(news.workspaces or {}) do
    workspaces[view.id] = view
  end
  for _, id in ipairs(news.removed or {}) do
    processes[id], workspaces[id] = nil, nil
  end
  if news.accounts then
    accounts = news.accounts
  end
  if news.tasks then
    tasks = news.tasks
  end
  connected = true
  changed()
end

--- Nobody tells any more. What is known is kept, as the best there is.
---@return boolean changed
function M.lost()
  if not connected then
    return false
  end
  connected = false
  changed()
  return true
end

---@return boolean
function M.connected()
  return connected
end

--- Grows whenever anything changes.
---@return integer
function M.version()
  return changes
end

---@param view wezterm_parallel.Process
---@return string
function M.full_name(view)
  return view.workspace .. '/' .. view.name
end

--- All processes, by workspace and name.
---@return wezterm_parallel.Process[]
function M.processes()
  if not list then
    list = {}
    for _, view in pairs(processes) do
      list[#list + 1] = view
    end
    table.sort(list, function(a, b)
      if a.workspace ~= b.workspace then
        return a.workspace < b.workspace
      end
      return a.name < b.name
    end)
  end
  return list
end

--- The process of this name, `WORKSPACE/PROCESS`.
---@param name string
---@return wezterm_parallel.Process?
function M.process(name)
  if not by_name then
    by_name = {}
    for _, view in pairs(processes) do
      by_name[M.full_name(view)] = view
    end
  end
  return by_name[name]
end

--- What every process is, as one text: the same text for the same titles of tabs.
---@return string
function M.moods()
  if not moods then
    local words = { tostring(connected) }
    for _, view in ipairs(M.processes()) do
      words[#words + 1] = M.full_name(view) .. ' ' .. M.mood(view)
    end
    moods = table.concat(words, '\n')
  end
  return moods
end

--- All workspaces, by name.
---@return wezterm_parallel.Workspace[]
function M.workspaces()
  if not workspace_list then
    workspace_list = {}
    for _, view in pairs(workspaces) do
      workspace_list[#workspace_list + 1] = view
    end
    table.sort(workspace_list, function(a, b)
      return a.name < b.name
    end)
  end
  return workspace_list
end

---@param name string
---@return wezterm_parallel.Workspace?
function M.workspace(name)
  for _, view in ipairs(M.workspaces()) do
    if view.name == name then
      return view
    end
  end
end

---@return wezterm_parallel.Account[]
function M.accounts()
  return accounts
end

--- How many tasks are in each state: all that are not over, and what has become of their batch. None of a state
--- that nothing is told of.
---@return wezterm_parallel.TaskCounts
function M.tasks()
  return tasks
end

--- What a process is, in one word, for counts, colors and glyphs.
---@param view wezterm_parallel.Process
---@return wezterm_parallel.Mood
function M.mood(view)
  if view.state == 'crash_loop' or view.state == 'failed' then
    return 'failed'
  elseif view.state == 'backoff' then
    return 'restarting'
  elseif view.state == 'stopped' or view.state == 'exited' then
    return 'stopped'
  end
  local status = view.status
  if (status and status:sub(1, 7) == 'blocked') or (view.asks or 0) > 0 then
    return 'needs_you'
  elseif view.state == 'starting' or view.state == 'stopping' or status == 'starting' then
    return 'starting'
  elseif status == nil then
    return 'running'
  elseif status == 'working' then
    return 'working'
  elseif status == 'rate_limited' then
    return 'limited'
  elseif status == 'error' then
    return 'failed'
  elseif view.unread then
    return 'unread'
  elseif status == 'idle' then
    return 'idle'
  end
  return 'unknown'
end

--- How much a mood wants somebody: the smallest first.
---@type table<wezterm_parallel.Mood, integer>
M.URGENCY = {
  needs_you = 1,
  failed = 2,
  unread = 3,
  restarting = 4,
  limited = 5,
  unknown = 6,
  working = 7,
  starting = 8,
  idle = 9,
  running = 10,
  stopped = 11,
}

--- Processes that want somebody, the most urgent first, and of the same urgency the one that waits longest.
---@return wezterm_parallel.Process[]
function M.needs_me()
  if not wanting then
    wanting = {}
    for _, view in ipairs(M.processes()) do
      if M.URGENCY[M.mood(view)] <= M.URGENCY.unread then
        wanting[#wanting + 1] = view
      end
    end
    table.sort(wanting, function(a, b)
      local x, y = M.URGENCY[M.mood(a)], M.URGENCY[M.mood(b)]
      if x ~= y then
        return x < y
      end
      x, y = a.status_since or math.maxinteger, b.status_since or math.maxinteger
      if x ~= y then
        return x < y
      end
      return M.full_name(a) < M.full_name(b)
    end)
  end
  return wanting
end

--- The usage window that is fullest, of all accounts.
local function fullest()
  local best
  for _, account in ipairs(accounts) do
    for _, window in ipairs(account.windows or {}) do
      if window.used_percent and (not best or window.used_percent > best.used_percent) then
        best = window
      end
    end
  end
  return best
end

--- Counts over all processes.
---@return wezterm_parallel.Summary
function M.summary()
  if not summary then
    summary = { working = 0, needs_you = 0, idle = 0, unread = 0, failed = 0, limited = 0, unknown = 0 }
    summary.starting, summary.restarting, summary.running, summary.stopped, summary.total = 0, 0, 0, 0, 0
    for _, view in pairs(processes) do
      local mood = M.mood(view)
      summary[mood] = summary[mood] + 1
      summary.total = summary.total + 1
      local cost = view.usage and view.usage.cost_usd
      if cost then
        summary.cost_usd = (summary.cost_usd or 0) + cost
      end
    end
    local window = fullest()
    summary.limit_name = window and window.name
    summary.limit_percent = window and window.used_percent
  end
  return summary
end

--- Forgets everything, for tests.
function M.reset()
  processes, workspaces, accounts, tasks, connected = {}, {}, {}, {}, false
  changed()
end

return M
