--- Tells the daemon how the panes of its workspaces lie, when that has changed, so that they can be opened
--- again as they were left.
---
--- It looks at the mux objects once a second, which costs some 30 µs a pane and starts nothing. What is seen
--- twice the same is told; the second look is its own, as WezTerm sends `update-status` again only where
--- something has happened or a status line was set. An empty workspace never is: a GUI that is being closed
--- loses its windows one after another, and what was left is what was there before.

local wezterm = require 'wezterm'

local feed = require 'wezterm_parallel.feed'
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

--- Windows of WezTerm's own, which tell of an error in the config, are panes of this domain.
local OWN_DOMAIN = 'TermWizTerminalDomain'

--- Of this evaluation of the config alone: after a reload each is told once more, which changes nothing.
---@type table<string, wezterm_parallel.Kept>
local kept = {}
local last_tick = 0

---@param pane any
---@return string?
function M.directory(pane)
  local url = ask(pane, 'get_current_working_dir')
  if type(url) == 'string' then
    return (url:gsub('^file://[^/]*', ''))
  end
  local ok, path = pcall(function()
    return url and url.file_path
  end)
  path = ok and path or nil
  -- WezTerm ends it with a slash or not, as the shell told it
  return path and #path > 1 and path:gsub('/$', '') or path
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
  if shows then
    local of, process = panes.names(shows)
    if of == workspace then
      leaf.process = process
    elseif shows == panes.DASHBOARD then
      leaf.command = (views.command { 'dashboard' })
    else
      leaf.command = (views.command { 'attach', shows })
    end
  else
    leaf.command = panes.memory(info.pane).command
    if directories then
      leaf.cwd = M.directory(info.pane)
    end
  end
  -- a single pane has the focus of its tab in any case
  leaf.focus = not alone and info.is_active or nil
  leaf.zoomed = info.is_zoomed or nil
  return leaf
end

local function filled(text)
  return text and text ~= '' and text or nil
end

--- How the panes of a workspace lie; without windows if there are none.
---@param workspace string
---@param directories boolean also where shells and commands are
---@return { title?: string, tabs: wezterm_parallel.Pane[] }[]
function M.windows(workspace, directories)
  local windows = {}
  for _, window in ipairs(panes.windows_of(workspace)) do
    local tabs = {}
    local infos = ask(window, 'tabs_with_info') or {}
    for _, tab_info in ipairs(infos) do
      local infos_of_tab = {}
      for _, info in ipairs(ask(tab_info.tab, 'panes_with_info') or {}) do
        if ask(info.pane, 'get_domain_name') ~= OWN_DOMAIN and panes.shows(info.pane) ~= panes.PASSING then
          table.insert(infos_of_tab, info)
        end
      end
      local node = tree.from_panes(infos_of_tab, function(info)
        return describe(workspace, info, #infos_of_tab == 1, directories)
      end)
      if node then
        node.title = filled(ask(tab_info.tab, 'get_title'))
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
  return windows
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

---@param name string
---@param now integer seconds
---@param shown boolean
---@return boolean again it has to be looked at once more
local function look(name, now, shown)
  local windows = M.windows(name, false)
  if #windows == 0 then
    -- what is told of it next is told even if it is as it was
    kept[name] = nil
    return false
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
  known.looked_at = now
  local whole = M.windows(name, true)
  local directories = M.signature(whole)
  if seen ~= known.told or directories ~= known.directories then
    if not tell(name, whole, shown) then
      return true
    end
    known.told, known.directories = seen, directories
  end
  return false
end

--- A further look is on its way.
local scheduled = false

---@param window any? a GUI window
local function look_again(window)
  local pane = not scheduled and panes.real(window)
  if pane then
    scheduled = true
    scheduled = pcall(window.perform_action, window, wezterm.action.EmitEvent(M.LOOK), pane)
  end
end

--- Handles the event of a further look.
---@param window any
function M.look_later(window)
  wezterm.sleep_ms(LOOK_AGAIN_MS)
  scheduled = false
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
  local windows = M.windows(name, true)
  if #windows == 0 then
    return true
  end
  local ok, err = tell(name, windows, name == panes.active_workspace())
  return ok and true or nil, err
end

---@package
function M.forget()
  kept, last_tick = {}, 0
end

return M
