--- Tells the daemon how the panes of its workspaces lie, when that has changed, so that they can be opened
--- again as they were left.
---
--- It looks at the mux objects once a second, which costs some 30 µs a pane and starts nothing. What is seen
--- twice the same is told; the second look is its own, as WezTerm sends `update-status` again only where
--- something has happened or a status line was set. An empty workspace never is: a GUI that is being closed
--- loses its windows one after another, and what was left is what was there before.

local wezterm = require 'wezterm'

local announce = require 'wezterm_parallel.announce'
local feed = require 'wezterm_parallel.feed'
local log = require 'wezterm_parallel.log'
local panes = require 'wezterm_parallel.panes'
local relay = require 'wezterm_parallel.relay'
local state = require 'wezterm_parallel.state'
local tree = require 'wezterm_parallel.tree'
local views = require 'wezterm_parallel.views'

local M = {}

local ask = panes.ask

--- WezTerm finds a shell's directory by a walk through all processes, if the shell does not tell it. So it
--- is asked for when something else has changed, and else only this often.
local DIRECTORIES_S = 60

---@class wezterm_parallel.Kept what is known of a workspace
---@field seen? string how it was at the last look
---@field told? string how it was when it was last told
---@field directories? string the same, with directories
---@field looked_at integer when directories were last asked for

--- The event of a further look. By an event with a name and not by call_after, each of whose functions stays
--- in WezTerm's memory until the next reload.
M.LOOK = 'wezterm-parallel: look at the panes'

--- Until a further look: the next second.
local LOOK_AGAIN_MS = 1000

--- Of this evaluation of the config alone: after a reload each is told once more, which changes nothing.
---@type table<string, wezterm_parallel.Kept>
local kept = {}
local last_tick = 0

---@param pane any
---@return string?
function M.directory(pane)
  local url = ask(pane, 'get_current_working_dir')
  local ok, path = pcall(function()
    -- before it was an object it was a text
    return type(url) == 'string' and url:gsub('^file://[^/]*', '') or url and url.file_path
  end)
  path = ok and path or nil
  -- a program may tell anything
  if not path or path:sub(1, 1) ~= '/' then
    return nil
  end
  -- WezTerm ends it with a slash or not, as the shell told it
  return #path > 1 and (path:gsub('/$', '')) or path
end

--- What a pane was to be, where something else had to take its place: that is what it is to be the next time.
---@param pane any
---@param wish wezterm_parallel.Pane
---@param directories boolean
---@return wezterm_parallel.Pane
local function wished(pane, wish, directories)
  local leaf = { process = wish.process, command = wish.command }
  if directories then
    local now = M.directory(pane)
    -- who has gone elsewhere meanwhile has another wish
    leaf.cwd = (not wish.instead or now == nil or now == wish.instead) and wish.cwd or now
  end
  return leaf
end

--- What a pane shows, as the protocol says it.
---@param workspace string
---@param info table
---@param alone boolean it is the only pane of its tab
---@param directories boolean
---@return wezterm_parallel.Pane
local function describe(workspace, info, alone, directories)
  local leaf = {}
  local shows = panes.shows(info.pane)
  local memory = panes.memory(info.pane)
  if memory.wish then
    leaf = wished(info.pane, memory.wish, directories)
  elseif shows then
    local of, process = panes.names(shows)
    if of == workspace then
      leaf.process = process
    elseif shows == panes.DASHBOARD then
      leaf.command = (views.command { 'dashboard' })
    else
      leaf.command = (views.command { 'attach', shows })
    end
  else
    leaf.command = memory.command
    if directories then
      leaf.cwd = M.directory(info.pane)
    end
  end
  leaf.title = memory.title
  -- a single pane has the focus of its tab in any case
  leaf.focus = not alone and info.is_active or nil
  leaf.zoomed = info.is_zoomed or nil
  return leaf
end

--- The daemon keeps lines of at most so many bytes.
local TITLE_BYTES_MAX = 256

--- A title as it is kept; nil for none.
---@param text string?
---@return string?
local function filled(text)
  local line = (text or ''):gsub('%c', ' ')
  if #line > TITLE_BYTES_MAX then
    local stop = TITLE_BYTES_MAX + 1
    while stop > 1 and (line:byte(stop) or 0) & 0xc0 == 0x80 do
      stop = stop - 1
    end
    line = line:sub(1, stop - 1)
  end
  return line ~= '' and line or nil
end

--- How the panes of a workspace lie; without windows if there are none.
---@param workspace string
---@param directories boolean also where shells and commands are
---@return { title?: string, tabs: wezterm_parallel.Pane[] }[]
---@return boolean whole it is known of each pane what it shows
function M.windows(workspace, directories)
  local windows, whole = {}, true
  for _, window in ipairs(panes.windows_of(workspace)) do
    local tabs = {}
    local infos = ask(window, 'tabs_with_info') or {}
    for _, tab_info in ipairs(infos) do
      local infos_of_tab = {}
      for _, info in ipairs(ask(tab_info.tab, 'panes_with_info') or {}) do
        if ask(info.pane, 'get_domain_name') ~= panes.OWN_DOMAIN and panes.shows(info.pane) ~= panes.PASSING then
          table.insert(infos_of_tab, info)
          whole = whole and not panes.is_unknown(info.pane)
        end
      end
      local node = tree.from_panes(infos_of_tab, function(info)
        return describe(workspace, info, #infos_of_tab == 1, directories)
      end)
      if node then
        node.title = filled(ask(tab_info.tab, 'get_title')) or node.title
        if tab_info.is_active and #infos > 1 then
          node.focus = true
        end
        table.insert(tabs, node)
      end
    end
    if #tabs > 0 then
      table.insert(windows, { title = filled(ask(window, 'get_title')), tabs = tabs })
    end
  end
  return windows, whole
end

local KEYS = { 'title', 'process', 'cwd', 'split', 'size', 'focus', 'zoomed' }

--- A text that is the same for the same arrangement.
---@param windows table[]
---@return string
function M.signature(windows)
  local parts = {}
  local function add(node)
    for _, key in ipairs(KEYS) do
      if node[key] ~= nil then
        table.insert(parts, key .. '=' .. tostring(node[key]))
      end
    end
    for _, word in ipairs(node.command or {}) do
      table.insert(parts, 'command=' .. word)
    end
    for _, children in ipairs { node.tabs or false, node.panes or false } do
      if children then
        table.insert(parts, '(')
        for _, child in ipairs(children) do
          add(child)
        end
        table.insert(parts, ')')
      end
    end
    table.insert(parts, ';')
  end
  for _, window in ipairs(windows) do
    add(window)
  end
  return table.concat(parts, '\0')
end

local function tell(workspace, windows, shown)
  return relay.call('layout.keep', { gui = feed.gui(), workspace = workspace, windows = windows, shown = shown })
end

--- One shell and nothing else: what WezTerm itself opens. It is nobody's arrangement, and takes the place of
--- none that is still to be restored.
local function is_bare(windows)
  local tab = #windows == 1 and #windows[1].tabs == 1 and windows[1].tabs[1]
  return tab and not (tab.split or tab.process or tab.command) or false
end

--- What is to be told, by workspace: whether it is the one on the glass. And whether panes have to say first
--- what they show.
---@type table<string, boolean>
local due = {}
local unheard = false

---@param name string
---@param now integer seconds
---@param shown boolean
---@return boolean again it has to be looked at once more
local function look(name, now, shown)
  local windows, whole = M.windows(name, false)
  if #windows == 0 then
    -- what is told of it next is told even if it is as it was
    kept[name] = nil
    return false
  end
  if not whole then
    -- a pane that is not known yet would be kept as a shell
    unheard = true
    return true
  end
  if not kept[name] and is_bare(windows) then
    return false
  end
  local known = kept[name] or { looked_at = now }
  kept[name] = known
  local seen = M.signature(windows) .. (shown and '+' or '-')
  local stable = seen == known.seen
  known.seen = seen
  if not stable then
    return seen ~= known.told
  elseif seen == known.told and now - known.looked_at < DIRECTORIES_S then
    return false
  end
  due[name] = shown
  return true
end

--- Tells of a workspace that is due, if that is news.
---@param name string
---@param shown boolean
local function tell_of(name, shown)
  local known = kept[name]
  local windows, whole = M.windows(name, true)
  if not known or not whole or #windows == 0 then
    return
  end
  known.looked_at = os.time()
  local seen = M.signature(M.windows(name, false)) .. (shown and '+' or '-')
  local directories = M.signature(windows)
  if seen ~= known.seen then
    -- it changes just now: what it comes to is seen by the next look
    return
  end
  if seen == known.told and directories == known.directories then
    return
  end
  local ok, err = tell(name, windows, shown)
  if ok or err.code == 'bad_params' then
    known.told, known.directories = seen, directories
  end
  if not ok and err.code == 'bad_params' then
    -- it would be refused each second until it is another
    log.warn(('how the panes of %s lie cannot be kept: %s'):format(name, relay.line(err)))
  end
end

--- When a further look was put on its way.
local scheduled_at

--- A look that was asked for and has not come after so long never will: its window is gone.
local LOOK_S_MAX = 30

---@param window any? a GUI window
local function look_again(window)
  local now = os.time()
  if scheduled_at and now - scheduled_at < LOOK_S_MAX then
    return
  end
  local pane = panes.real(window)
  local ok = pane and pcall(window.perform_action, window, wezterm.action.EmitEvent(M.LOOK), pane)
  scheduled_at = ok and now or nil
end

--- Handles the event of a further look: tells what is due, and looks again after a while. One after another,
--- so that what was told last is what is so; and not in `update-status`, which must not wait for a daemon.
---@param window any
function M.look_later(window)
  if unheard then
    unheard = false
    announce.hear()
  end
  local names = due
  due = {}
  for name, shown in pairs(names) do
    tell_of(name, shown)
  end
  wezterm.sleep_ms(LOOK_AGAIN_MS)
  scheduled_at = nil
  M.tick(window)
end

--- Looks at the workspaces of the daemon. Called with every `update-status`, of every window; looks once a
--- second.
---@param window any? a GUI window
function M.tick(window)
  if not state.connected() then
    return
  end
  local now = os.time()
  if now == last_tick then
    -- what has changed within the second must be seen, though nothing else may happen
    return look_again(window)
  end
  last_tick = now
  local active = panes.active_workspace()
  local again = false
  for _, workspace in ipairs(state.workspaces()) do
    if views.is_opening(workspace.name) then
      again = true
    elseif look(workspace.name, now, workspace.name == active) then
      again = true
    end
  end
  if again then
    look_again(window)
  end
end

--- Takes a workspace as it is now for told: what could not be opened is not forgotten by that.
---@param name string
function M.accept(name)
  local windows = M.windows(name, true)
  local shown = name == panes.active_workspace()
  local seen = M.signature(M.windows(name, false)) .. (shown and '+' or '-')
  kept[name] = { seen = seen, told = seen, directories = M.signature(windows), looked_at = os.time() }
end

--- The panes of a workspace as they are now, told at once: for what asks the daemon about them next.
---@param name string
---@return true?
---@return table? err
function M.now(name)
  announce.hear()
  local windows = M.windows(name, true)
  if #windows == 0 then
    return true
  end
  local ok, err = tell(name, windows, name == panes.active_workspace())
  return ok and true or nil, err
end

return M
