--- Which pane shows what. `wezterm-parallel attach` has its pane told by the user var `wezterm_parallel`;
--- a pane that was just opened has none yet, and for it what it was opened for is remembered in
--- wezterm.GLOBAL, which outlives a reload of the config.
---
--- Every handle may be of something that is gone by now, and then WezTerm raises. Here that is `gone`, and
--- never an error.

local wezterm = require 'wezterm'

local global = require 'wezterm_parallel.global'

local M = {}

--- What the dashboard says it is. No process is called so, as each has a `/` in it.
M.DASHBOARD = 'dashboard'

--- What is not opened again: the strip that takes what is typed into several panes, doctor, logs.
M.PASSING = 'passing'

--- Windows of WezTerm's own, which tell of an error in the config, are panes of this domain.
M.OWN_DOMAIN = 'TermWizTerminalDomain'

local VAR = 'wezterm_parallel'
local MEMORY = 'pane_'
--- The panes that are remembered, so that what is known of those that are gone can be forgotten.
local REMEMBERED = 'panes'

---@class (exact) wezterm_parallel.Memory what a pane was opened for
---@field shows? string `WORKSPACE/PROCESS`, `dashboard` or `passing`
---@field command? string[]
---@field title? string the name that a layout gives to a pane of a split
---@field wish? wezterm_parallel.Pane what it was to be, where something else had to take its place

---@class wezterm_parallel.PaneRecord where a pane lies
---@field shows? string `WORKSPACE/PROCESS` or `dashboard`
---@field pane any
---@field tab any
---@field window any the mux window
---@field workspace string

--- Calls a method of a handle; nil if what it stands for is gone.
---@param object any
---@param method string
function M.ask(object, method, ...)
  if object == nil then
    return nil
  end
  local ok, value = pcall(object[method], object, ...)
  if ok then
    return value
  end
end

--- How many changes of focus there were, and up to which one WezTerm has heard of them.
local changes, heard = 0, 0
--- How long it takes to hear of the last one, in milliseconds.
local turn_ms = 1

--- A change of focus in a pane of a mux server goes there, comes back, and is carried out once more. This is
--- twice what that takes on a machine of its own that is near; the one of this machine needs a millisecond.
local REMOTE_TURN_MS = 30

--- Whether what was changed, or what came of it, is a pane of a mux server.
local function is_remote(object, made)
  local pane = type(made) == 'table' and made.pane or made
  for _, it in ipairs { pane or false, object or false } do
    local domain = it and type(it) ~= 'function' and M.ask(it, 'get_domain_name')
    if domain then
      return domain ~= 'local'
    end
  end
  return false
end

--- Changes the focus by `change`: gives a pane or a tab the focus, splits, opens a tab. Waits.
---
--- WezTerm tells itself of each change of focus, and on hearing so sets that focus again. Of two changes that
--- it has not heard of yet each undoes the other, without end, and the window does nothing else any more. So
--- it gets to hear of each before there is another one. Several handlers may wait here at the same time: who
--- comes out goes on only if nobody has changed anything meanwhile.
---@param change function
---@return boolean ok, any ... what it returned, or what it threw
function M.change(change, object, ...)
  while heard < changes do
    local now = changes
    -- turns of its event loop; where waiting is not possible, nothing
    pcall(wezterm.sleep_ms, turn_ms)
    heard = math.max(heard, now)
  end
  changes = changes + 1
  local results = table.pack(pcall(change, object, ...))
  turn_ms = is_remote(object, results[1] and results[2]) and REMOTE_TURN_MS or 1
  return table.unpack(results, 1, results.n)
end

--- Gives a pane or a tab the focus; false if it is gone. Waits.
---@param object any
---@return boolean
function M.activate(object)
  if object == nil then
    return false
  end
  return (M.change(object.activate, object))
end

local ask = M.ask

---@param pane any
---@return integer?
function M.id(pane)
  return ask(pane, 'pane_id')
end

--- A pane to work with: the given one, or the active one of the window. A question lies over its tab as a
--- pane that is in no tab, and which is what WezTerm takes for the active one while the question is there,
--- also while it is going. With a pane that is gone WezTerm does nothing.
---@param window any a GUI window
---@param pane any?
---@return any?
function M.real(window, pane)
  if pane ~= nil and ask(pane, 'tab') then
    return pane
  end
  return ask(ask(window, 'mux_window'), 'active_pane')
end

--- Adds a pane to those that are remembered, and forgets those that are gone.
---@param id integer
local function enlist(id)
  local ids = { tostring(id) }
  for other in (global.get(REMEMBERED) or ''):gmatch '%d+' do
    if tonumber(other) == id or not pcall(wezterm.mux.get_pane, tonumber(other)) then
      global.set(MEMORY .. other, nil)
    else
      table.insert(ids, other)
    end
  end
  global.set(REMEMBERED, table.concat(ids, ' '))
end

--- Remembers what a pane was opened for.
---@param pane any
---@param memory wezterm_parallel.Memory
function M.remember(pane, memory)
  local id = M.id(pane)
  if id then
    enlist(id)
    global.set(MEMORY .. id, wezterm.json_encode(memory))
  end
end

--- What the pane with this id was opened for; nil if it is none of ours.
---@param id integer?
---@return wezterm_parallel.Memory?
function M.memory_of(id)
  local text = id and global.get(MEMORY .. id)
  if text then
    local ok, memory = pcall(wezterm.json_parse, text)
    if ok and type(memory) == 'table' then
      return memory
    end
  end
end

--- What a pane was opened for.
---@param pane any
---@return wezterm_parallel.Memory
function M.memory(pane)
  return M.memory_of(M.id(pane)) or {}
end

--- Whether it is not known yet what a pane shows. A pane of a mux server has been told its mark, if it has
--- one, before this GUI attached it, and WezTerm does not tell us of what was set before.
---@param pane any
---@return boolean
function M.is_unknown(pane)
  local domain = ask(pane, 'get_domain_name')
  if not domain or domain == 'local' or domain == M.OWN_DOMAIN then
    return false
  end
  local vars = ask(pane, 'get_user_vars')
  return vars ~= nil and vars[VAR] == nil and M.memory_of(M.id(pane)) == nil
end

--- What a pane shows: a process as `WORKSPACE/PROCESS`, `dashboard`, or nothing of ours.
---@param pane any
---@return string?
function M.shows(pane)
  local vars = ask(pane, 'get_user_vars')
  if not vars then
    return nil
  end
  local told = vars[VAR]
  if told == nil then
    return M.memory(pane).shows
  end
  return told ~= '' and told or nil
end

--- The process that a pane shows, as `WORKSPACE/PROCESS`.
---@param pane any
---@return string?
function M.process_of(pane)
  local shows = M.shows(pane)
  if shows and shows:find('/', 1, true) then
    return shows
  end
end

--- All windows of all workspaces, in the order in which they were made: WezTerm gives them in any.
---@return any[]
function M.windows()
  local ok, windows = pcall(wezterm.mux.all_windows)
  if not ok then
    return {}
  end
  table.sort(windows, function(a, b)
    return (ask(a, 'window_id') or 0) < (ask(b, 'window_id') or 0)
  end)
  return windows
end

--- The windows of a workspace.
---@param workspace string
---@return any[]
function M.windows_of(workspace)
  local found = {}
  for _, window in ipairs(M.windows()) do
    if ask(window, 'get_workspace') == workspace then
      table.insert(found, window)
    end
  end
  return found
end

--- Every pane there is.
---@return wezterm_parallel.PaneRecord[]
function M.all()
  local records = {}
  for _, window in ipairs(M.windows()) do
    local workspace = ask(window, 'get_workspace')
    for _, tab in ipairs(workspace and ask(window, 'tabs') or {}) do
      for _, pane in ipairs(ask(tab, 'panes') or {}) do
        table.insert(records, {
          shows = M.shows(pane),
          pane = pane,
          tab = tab,
          window = window,
          workspace = workspace,
        })
      end
    end
  end
  return records
end

--- The pane that shows something; the one of the workspace on the glass before others.
---@param shows string `WORKSPACE/PROCESS` or `dashboard`
---@return wezterm_parallel.PaneRecord?
function M.find(shows)
  local active = M.active_workspace()
  local found
  for _, record in ipairs(M.all()) do
    if record.shows == shows then
      if record.workspace == active then
        return record
      end
      found = found or record
    end
  end
  return found
end

--- What is shown anywhere in this GUI, each with its pane.
---@return table<string, wezterm_parallel.PaneRecord>
function M.shown()
  local shown = {}
  for _, record in ipairs(M.all()) do
    if record.shows and not shown[record.shows] then
      shown[record.shows] = record
    end
  end
  return shown
end

---@return string?
function M.active_workspace()
  local ok, name = pcall(wezterm.mux.get_active_workspace)
  return ok and name or nil
end

--- Closes a pane, whatever it shows. What is typed into a pane to have it close may be read by something else
--- by then, and WezTerm's Lua has no other way; its command line has. Waits.
---@param pane any
---@return boolean
function M.close(pane)
  local id = M.id(pane)
  local socket = os.getenv 'WEZTERM_UNIX_SOCKET' or ''
  -- ids of panes mean something in their own GUI alone
  if not id or tonumber(socket:match 'gui%-sock%-(%d+)$') ~= wezterm.procinfo.pid() then
    return false
  end
  local ok, done = pcall(wezterm.run_child_process, {
    wezterm.executable_dir .. '/wezterm',
    'cli',
    '--no-auto-start',
    'kill-pane',
    '--pane-id',
    tostring(id),
  })
  return ok and done
end

--- The size of a tab in cells.
---@param tab any
---@return { cols: integer, rows: integer, pixel_width: integer }?
function M.size(tab)
  return ask(tab, 'get_size')
end

--- Splits `WORKSPACE/PROCESS`.
---@param id string
---@return string workspace
---@return string process
function M.names(id)
  local workspace, process = id:match '^([^/]*)/(.*)$'
  return workspace or '', process or id
end

return M
