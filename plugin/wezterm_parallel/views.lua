--- Shows workspaces, processes and the dashboard: finds their panes, or opens them.
---
--- The functions await, so they are called from async handlers only. Each gives `true`, or nil and a
--- sentence that says why not. A pane is opened only for what no pane of this GUI shows yet: a process
--- that is attached elsewhere stays where it is, and the rest is built without it.

local wezterm = require 'wezterm'
local clock = require 'wezterm_parallel.clock'
local executable = require 'wezterm_parallel.executable'
local global = require 'wezterm_parallel.global'
local log = require 'wezterm_parallel.log'
local options = require 'wezterm_parallel.options'
local panes = require 'wezterm_parallel.panes'
local relay = require 'wezterm_parallel.relay'
local safe = require 'wezterm_parallel.safe'
local tree = require 'wezterm_parallel.tree'

local M = {}

local ask = panes.ask

local TEXT = {
  no_process = 'there is no process `%s`; add it, or edit the layout',
  directory_gone = 'the directory %s is not there; its pane begins in %s',
  not_spawned = 'a pane for %s cannot be opened',
  nothing = 'nothing of the workspace `%s` can be shown',
  busy = 'the workspace `%s` is being opened',
  no_window = 'there is no window to show it in',
}

--- How long a window is waited for to take a workspace over. It takes a frame or two; after this the panes
--- are built all the same, and WezTerm fits them later.
local SWITCH_MS_MAX = 100

--- Another attempt to open the same workspace is refused for so long at most: a config that was reloaded in
--- the middle forgets the end of the first one.
local BUSY_S_MAX = 10

local BUSY = 'opening_'
--- Between two looks whether it is open now: less than anybody sees.
local OPENING_STEP_MS = 20

--- Splits may be given exact cells only while nothing is smaller than this; else WezTerm refuses for want
--- of room, and what did not fit gets a tab of its own.
M.LEAF_CELLS_MIN = 2

---@param directory string?
---@return boolean
local function is_there(directory)
  if not directory then
    return false
  end
  local file = io.open(directory)
  if file then
    file:close()
  end
  return file ~= nil
end

local function what(leaf)
  return leaf.process or (leaf.command and leaf.command[1]) or 'a shell'
end

--- A command line of our program, and the environment that it needs beside WezTerm's own.
---@param args string[]
---@return string[] args
---@return table<string, string> environment
function M.command(args)
  return { executable.find() or executable.program_name(), table.unpack(args) }, {
    WEZTERM_PARALLEL_CONFIG = options.get().config_path,
  }
end

--- A shell below a line that says what is wrong: a pane that closed at once would say nothing.
local function notice(text)
  return { '/bin/sh', '-c', 'printf "%s\\n" "$1"; exec "${SHELL:-/bin/sh}"', 'sh', 'wezterm-parallel: ' .. text }
end

--- What a leaf shows, as panes say it: a process of the workspace; one of another workspace, or the
--- dashboard, which are kept as commands of ours.
---@param leaf wezterm_parallel.Pane
---@param workspace string
---@return string?
local function shows(leaf, workspace)
  if leaf.process then
    return workspace .. '/' .. leaf.process
  end
  local command = leaf.command
  if command and #command > 1 and command[1]:match '[^/]*$' == executable.program_name() then
    return command[2] == 'attach' and command[3] or command[2] == 'dashboard' and panes.DASHBOARD or nil
  end
end

--- By what a pane without a name is told from others: its command, or that it is a shell.
---@param leaf wezterm_parallel.Pane|wezterm_parallel.Memory
---@return string
local function nameless_key(leaf)
  return leaf.command and table.concat(leaf.command, '\0') or ''
end

--- A tally of what a workspace shows already and has no name: shells by their number, commands by their words.
--- What a template names is opened once, however often it is applied.
---@param workspace string
---@return table<string, integer>
local function nameless(workspace)
  local tally = {}
  for _, record in ipairs(panes.all()) do
    if record.workspace == workspace and not record.shows then
      local memory = panes.memory(record.pane)
      local key = nameless_key(memory.wish or memory)
      tally[key] = (tally[key] or 0) + 1
    end
  end
  return tally
end

--- The directory of a pane: the wanted one, else that of the workspace, else home. The daemon has looked
--- which of them are there, where it was asked for a plan: a look at a dead mount would stop the GUI.
---@param wanted string?
---@param plan wezterm_parallel.Plan
---@return string?
local function directory(wanted, plan)
  local function fits(path)
    return path and not plan.away[path] and is_there(path)
  end
  if not wanted or fits(wanted) then
    return wanted
  end
  return fits(plan.cwd) and plan.cwd or wezterm.home_dir
end

---@class (exact) wezterm_parallel.Plan of a workspace, as far as a pane has to do with it
---@field workspace string
---@field cwd? string
---@field away table<string, boolean> directories that are not there

--- What runs in the pane of a leaf.
---@param leaf wezterm_parallel.Pane
---@param plan wezterm_parallel.Plan
---@param problems string[]
---@return table spawn
---@return wezterm_parallel.Memory
local function command_of(leaf, plan, problems)
  local memory = { title = leaf.title }
  local wanted = leaf.cwd or plan.cwd
  local cwd = directory(wanted, plan)
  local spawn = { cwd = cwd }
  local id = shows(leaf, plan.workspace)
  if cwd ~= wanted and not id then
    table.insert(problems, TEXT.directory_gone:format(wanted, cwd))
    memory.wish = { command = leaf.command, cwd = wanted, instead = cwd }
  end
  if id then
    -- by the executable of today: the one that was kept may be of another release
    local args = id == panes.DASHBOARD and { 'dashboard' } or { 'attach', id }
    spawn.args, spawn.set_environment_variables = M.command(args)
    memory.shows = id
  elseif leaf.command and #leaf.command > 0 then
    spawn.args, memory.command = leaf.command, leaf.command
  end
  return spawn, memory
end

--- Opens the pane of a leaf by `open`; one that says what is wrong if it cannot be; nil if not even that.
local function open_leaf(leaf, plan, problems, open)
  local spawn, memory = command_of(leaf, plan, problems)
  local ok, made = panes.change(open, spawn)
  if not ok then
    log.warn('cannot open a pane: ' .. tostring(made))
    local text = TEXT.not_spawned:format(what(leaf))
    table.insert(problems, text)
    memory = { title = leaf.title, wish = { process = leaf.process, command = leaf.command, cwd = leaf.cwd } }
    ok, made = panes.change(open, { cwd = spawn.cwd, args = notice(text) })
    if not ok then
      return nil
    end
  end
  panes.remember(made.pane, memory)
  return made
end

--- Waits until the window has fitted the tab to itself: splits that are made before would be fitted by
--- WezTerm with no regard for their ratios.
local function wait_for_fit(tab, size)
  if not size then
    return
  end
  local until_ms = clock.now_ms() + SWITCH_MS_MAX
  while clock.now_ms() < until_ms do
    local now = panes.size(tab)
    if not now or (now.pixel_width == size.pixel_width and now.cols == size.cols and now.rows == size.rows) then
      return
    end
    wezterm.sleep_ms(1)
  end
end

--- Puts a workspace on the glass. It has windows.
---@param name string
---@return boolean
function M.switch_to(name)
  return panes.active_workspace() == name or (pcall(wezterm.mux.set_active_workspace, name))
end

--- The GUI window to work in: the given one, else any.
function M.any_window(window)
  if window and panes.real(window) then
    return window
  end
  local ok, windows = pcall(function()
    return wezterm.gui.gui_windows()
  end)
  for _, other in ipairs(ok and windows or {}) do
    if ask(other, 'is_focused') then
      return other
    end
  end
  return ok and windows[1] or nil
end

--- Has a window paint its active tab. What the mux alone has changed is not seen before something else has
--- the window painted. Not waited for: the window answers when it has painted.
---@param mux_window any
---@param tab any
local function paint(mux_window, tab)
  wezterm.time.call_after(
    0,
    safe.handler('paint a tab', function()
      local gui = ask(mux_window, 'gui_window')
      local pane = ask(tab, 'active_pane')
      local id = ask(tab, 'tab_id')
      for i, other in ipairs(gui and pane and ask(mux_window, 'tabs') or {}) do
        if ask(other, 'tab_id') == id then
          gui:perform_action(wezterm.action.ActivateTab(i - 1), pane)
        end
      end
    end)
  )
end

--- Brings a tab to the front of its window, and a pane of it to the focus.
---@param mux_window any
---@param tab any
---@param pane? any
---@return boolean
function M.bring_forward(mux_window, tab, pane)
  local before = ask(ask(mux_window, 'active_tab'), 'tab_id')
  if before ~= nil and before == ask(tab, 'tab_id') then
    local active = panes.id(ask(tab, 'active_pane'))
    if active ~= nil and (pane == nil or active == panes.id(pane)) then
      -- it is in front already
      return true
    end
  end
  if not panes.activate(pane or tab) then
    return false
  end
  if ask(tab, 'tab_id') ~= before then
    paint(mux_window, tab)
  end
  return true
end

--- Brings a pane to the front: its workspace, its window, its tab.
---@param record wezterm_parallel.PaneRecord
function M.focus(record)
  if not record.workspace or not M.switch_to(record.workspace) then
    return nil, TEXT.no_window
  end
  if not M.bring_forward(record.window, record.tab, record.pane) then
    return nil, TEXT.no_window
  end
  -- only where a workspace has several windows is there another one to raise
  if #panes.windows_of(record.workspace) > 1 then
    local gui = ask(record.window, 'gui_window')
    if gui and not ask(gui, 'is_focused') then
      ask(gui, 'focus')
    end
  end
  return true
end

--- The panes of a tab: splits its first pane as the tree says.
---@param focus? string what is to have the focus, whatever the tree says: `WORKSPACE/PROCESS`
local function build_splits(node, first, plan, problems, focus)
  local size = panes.size(ask(first.pane, 'tab'))
  local leaves, steps = tree.to_splits(node, size)
  local made = { first }
  local left_over = {}
  for i, step in ipairs(steps) do
    local from = made[step.from]
    local leaf = leaves[i + 1]
    local opened
    if from then
      opened = open_leaf(leaf, plan, problems, function(spawn)
        spawn.direction, spawn.size, spawn.domain = step.direction, step.size, 'CurrentPaneDomain'
        return { pane = from.pane:split(spawn) }
      end)
    end
    if not opened then
      -- what has no room here gets a tab of its own, and what was to be split off it stays here
      table.insert(left_over, leaf)
    end
    made[i + 1] = opened or from
  end
  local wanted, focused, zoomed
  for i, leaf in ipairs(leaves) do
    if made[i] and focus and shows(leaf, plan.workspace) == focus then
      wanted = made[i]
    end
    if made[i] and leaf.focus then
      focused = made[i]
    end
    if made[i] and leaf.zoomed then
      zoomed = made[i]
    end
  end
  panes.activate((wanted or zoomed or focused or first).pane)
  zoomed = zoomed and (not wanted or wanted == zoomed) and zoomed
  if zoomed then
    ask(ask(zoomed.pane, 'tab'), 'set_zoomed', true)
  end
  return left_over
end

--- The tabs of a window, all but those that show nothing that is left to be shown.
---@param there table<string, integer> what the workspace has already: see `nameless`
local function wanted_tabs(window, plan, shown, there)
  local tabs = {}
  for _, node in ipairs(window.tabs or {}) do
    local pruned = tree.prune(node, function(leaf)
      local id = shows(leaf, plan.workspace)
      if id then
        return not shown[id]
      end
      local key = nameless_key(leaf)
      local has = (there[key] or 0) > 0
      there[key] = has and there[key] - 1 or nil
      return not has
    end)
    if pruned then
      table.insert(tabs, pruned)
    end
  end
  return tabs
end

local function has_focus(node)
  local found = node.focus
  tree.each_leaf(node, function(leaf)
    found = found or leaf.focus
  end)
  return found
end

--- The tab in front: the one that says so itself, else the first in which a pane does.
local function front(tabs)
  for i, node in ipairs(tabs) do
    if node.focus then
      return i
    end
  end
  for i, node in ipairs(tabs) do
    if has_focus(node) then
      return i
    end
  end
  return 1
end

--- Tells a mux server the workspace of a window that it was just given: WezTerm tells it the one on the
--- glass instead, and would have the window there after the next attach. Only a change is told on, so it is
--- changed and changed back; what is told is what it is in the end.
local function tell_workspace(window, pane, name)
  if ask(pane, 'get_domain_name') ~= 'local' and panes.active_workspace() ~= name then
    ask(window, 'set_workspace', name .. ' …')
    ask(window, 'set_workspace', name)
  end
end

--- Opens a tab with the first pane of a tree in it; the first one makes the window.
---@param made { window?: any, size?: table, switch?: fun(tab: any), title?: string } what there is so far
local function open_first(node, plan, made, problems)
  local leaf = tree.to_splits(node)[1]
  local opened = open_leaf(leaf, plan, problems, function(spawn)
    if made.window then
      local tab, pane = made.window:spawn_tab(spawn)
      return { tab = tab, pane = pane }
    end
    spawn.workspace = plan.workspace
    if made.size then
      spawn.width, spawn.height = made.size.cols, made.size.rows
    end
    local tab, pane, window = wezterm.mux.spawn_window(spawn)
    return { tab = tab, pane = pane, window = window }
  end)
  if opened and opened.window then
    made.window = opened.window
    tell_workspace(made.window, opened.pane, plan.workspace)
    if made.title then
      ask(made.window, 'set_title', made.title)
    end
    if made.switch then
      -- from here on it has the size of the glass
      made.switch(opened.tab)
    end
  end
  if opened and node.title then
    ask(opened.tab, 'set_title', node.title)
  end
  return opened
end

--- Opens a window, or what is missing in one that is there.
---@return boolean something of it was opened
local function build_window(window, plan, how, problems)
  local tabs = wanted_tabs(window, plan, panes.shown(), how.there)
  local made = { window = how.into, size = how.size, switch = how.switch, title = window.title }
  local opened_tabs, some = {}, false
  local i = 1
  -- what has no room in its tab is added at the end while this goes on
  while i <= #tabs do
    local opened = open_first(tabs[i], plan, made, problems)
    if opened then
      some = true
      opened_tabs[i] = opened.tab
      for _, left in ipairs(build_splits(tabs[i], opened, plan, problems, how.focus)) do
        table.insert(tabs, { process = left.process, command = left.command, cwd = left.cwd, title = left.process })
      end
    end
    i = i + 1
  end
  local tab = #tabs > 0 and opened_tabs[front(tabs)]
  if tab then
    M.bring_forward(made.window, tab)
  end
  return some
end

--- Several problems in one line, each once.
---@param problems string[]
---@return string?
local function all_of(problems)
  local list, seen = {}, {}
  for _, problem in ipairs(problems) do
    if not seen[problem] then
      seen[problem] = true
      table.insert(list, problem)
    end
  end
  return #list > 0 and table.concat(list, '; ') or nil
end

--- What the daemon could not do as a template says. What was left and is gone since needs no word.
---@param plan table an `Arrangement`
---@param problems string[]
local function problems_of(plan, problems)
  if plan.from == 'left' then
    return
  end
  for _, process in ipairs(plan.missing or {}) do
    table.insert(problems, TEXT.no_process:format(plan.workspace.name .. '/' .. process))
  end
  for _, problem in ipairs(plan.problems or {}) do
    table.insert(problems, problem)
  end
end

--- Opens the windows of an arrangement, as far as what they show is not shown yet.
---@param plan table an `Arrangement`
---@param how { window?: any, show?: boolean, into?: any, focus?: string }
---@return true? some of it was opened
---@return string? problem what could not be done, even where the rest was
function M.build(plan, how)
  local name = plan.workspace.name
  local key = BUSY .. name
  local since = global.get(key)
  if since and os.time() - since < BUSY_S_MAX then
    return nil, TEXT.busy:format(name)
  end
  global.set(key, os.time())
  local ok, built, problems = pcall(M.build_now, plan, how)
  global.set(key, nil)
  if not ok then
    log.error('cannot open ' .. name .. ': ' .. tostring(built))
    return nil, TEXT.nothing:format(name)
  end
  local problem = all_of(problems)
  if not built then
    -- without a problem, all of it is shown already
    return nil, problem
  end
  return true, problem
end

---@package
function M.build_now(plan, how)
  local name = plan.workspace.name
  local about = { workspace = name, cwd = plan.workspace.cwd, away = {} }
  for _, path in ipairs(plan.away or {}) do
    about.away[path] = true
  end
  local problems = {}
  problems_of(plan, problems)
  local window = M.any_window(how.window)
  local size = panes.size(ask(window, 'active_tab'))
  local into = how.into
  -- what is opened from nothing is opened whole
  local there = into and nameless(name) or {}
  local built = 0
  for _, one in ipairs(plan.windows or {}) do
    local opened = build_window(one, about, {
      into = into,
      focus = how.focus,
      there = there,
      size = size,
      switch = how.show and built == 0 and function(tab)
        M.switch_to(name)
        wait_for_fit(tab, size)
      end or nil,
    }, problems)
    if opened then
      built = built + 1
    end
    into = nil
  end
  if built > 0 and how.show then
    M.switch_to(name)
  end
  return built > 0, problems
end

--- Whether a workspace is being opened just now.
---@param name string
---@return boolean
function M.is_opening(name)
  local since = global.get(BUSY .. name)
  return since ~= nil and os.time() - since < BUSY_S_MAX
end

--- Waits until nobody opens a workspace any more.
---@param name string
local function wait_until_opened(name)
  while M.is_opening(name) do
    if not pcall(wezterm.sleep_ms, OPENING_STEP_MS) then
      return
    end
  end
end

--- Shows a workspace: switches to it, and opens its panes if it has none.
---@param window any? the GUI window
---@param name string
---@param how? { create?: boolean, layout?: string, focus?: string } make the processes that its template names;
--- which template; the process that is to have the focus
---@return true?
---@return string? problem
function M.show_workspace(window, name, how)
  how = how or {}
  wait_until_opened(name)
  if #panes.windows_of(name) > 0 and not how.layout then
    if M.switch_to(name) then
      return true
    end
    return nil, TEXT.no_window
  end
  local params = { workspace = name, layout = how.layout, create = how.create }
  local plan, err = relay.ask('layout.plan', params, { environment = how.create })
  if not plan then
    return nil, relay.line(err)
  end
  -- somebody else may have begun meanwhile: what is asked for twice is opened once
  wait_until_opened(name)
  local existing = panes.windows_of(name)
  if existing[1] and not how.layout and M.switch_to(name) then
    return true
  end
  if #existing == 0 and #(plan.windows or {}) == 0 then
    -- it has nothing to show yet: a shell in its directory
    plan.windows = { { tabs = { {} } } }
  end
  local built, problem = M.build(plan, { window = window, show = true, into = existing[1], focus = how.focus })
  if built then
    return true, problem
  end
  if existing[1] and M.switch_to(name) then
    return true, problem
  end
  -- all of it is on the glass elsewhere
  for id, record in pairs(panes.shown()) do
    if panes.names(id) == name then
      return M.focus(record)
    end
  end
  return nil, problem or TEXT.nothing:format(name)
end

--- Shows a process: its pane wherever that is, else a new one in its workspace.
---@param window any?
---@param id string `WORKSPACE/PROCESS`
---@return true?
---@return string? problem
function M.show_process(window, id)
  local record = panes.find(id)
  if record then
    return M.focus(record)
  end
  local workspace, process = panes.names(id)
  if #panes.windows_of(workspace) == 0 then
    local ok, problem = M.show_workspace(window, workspace, { focus = id })
    if not ok then
      return nil, problem
    end
    record = panes.find(id)
    if record then
      return M.focus(record)
    end
  end
  return M.open_tab({ process = process }, workspace)
end

--- A tab for one pane, in a window of its workspace.
---@param leaf wezterm_parallel.Pane
---@param workspace string
---@return true?
---@return string? problem
function M.open_tab(leaf, workspace)
  local into = panes.windows_of(workspace)[1]
  if not into then
    return nil, TEXT.no_window
  end
  local problems = {}
  local opened = open_leaf(leaf, { workspace = workspace, away = {} }, problems, function(spawn)
    local tab, pane = into:spawn_tab(spawn)
    return { tab = tab, pane = pane }
  end)
  if not opened then
    return nil, problems[1] or TEXT.not_spawned:format(what(leaf))
  end
  if leaf.title then
    ask(opened.tab, 'set_title', leaf.title)
  end
  return M.focus { pane = opened.pane, tab = opened.tab, window = into, workspace = workspace }
end

--- Shows the dashboard: the one there is, else a new one, as the option `dashboard` says.
---@param window any?
---@param how? { tasks?: boolean } a new one begins with tasks
---@return true?
---@return string? problem
---@return true? was_open
function M.show_dashboard(window, how)
  local record = panes.find(panes.DASHBOARD)
  if record then
    local shown, problem = M.focus(record)
    return shown, problem, true
  end
  window = M.any_window(window)
  local pane = panes.real(window)
  if not pane then
    return nil, TEXT.no_window
  end
  local args, environment = M.command(how and how.tasks and { 'dashboard', '--tasks' } or { 'dashboard' })
  local spawn = { args = args, set_environment_variables = environment, domain = { DomainName = 'local' } }
  local ok, made
  if options.get().dashboard == 'split' then
    spawn.direction, spawn.size, spawn.top_level = 'Right', 0.4, true
    ok, made = panes.change(pane.split, pane, spawn)
  else
    ok, made = panes.change(function()
      local _, opened = window:mux_window():spawn_tab(spawn)
      return opened
    end)
  end
  if not ok then
    log.warn('cannot open the dashboard: ' .. tostring(made))
    return nil, TEXT.not_spawned:format 'the dashboard'
  end
  panes.remember(made, { shows = panes.DASHBOARD })
  panes.activate(made)
  return true
end

return M
