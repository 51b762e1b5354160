-- A mux for tests: windows, tabs and panes as WezTerm's Lua has them, with its way of splitting. What is gone
-- raises, as it does there.

local fake = require 'fake'

local M = {}

local function numbered(list, id)
  for i, it in ipairs(list) do
    if it.id == id then
      return it, i
    end
  end
end

local next_id
local getenv = os.getenv

local function new_id()
  next_id = next_id + 1
  return next_id
end

local function copy(node)
  return { left = node.left, top = node.top, width = node.width, height = node.height }
end

local function panes_of(tab)
  local list = {}
  local function walk(node)
    if node.first then
      walk(node.first)
      walk(node.second)
    else
      table.insert(list, node)
    end
  end
  walk(tab.root)
  return list
end

local function raise_if_gone(it)
  if it.gone then
    error(it.kind .. ' ' .. it.id .. ' not found in mux')
  end
end

local Pane, Tab, Window = {}, {}, {}
Pane.__index, Tab.__index, Window.__index = Pane, Tab, Window

local function new_pane(tab, spawn)
  if M.refuse and M.refuse(spawn) then
    error 'cannot spawn'
  end
  local pane = setmetatable({ kind = 'pane id', id = new_id(), in_tab = tab, vars = {}, spawn = spawn }, Pane)
  table.insert(M.panes, pane)
  return pane
end

local function new_tab(window, spawn, size)
  local tab = setmetatable({ kind = 'tab id', id = new_id(), in_window = window, title = '', size = size }, Tab)
  local pane = new_pane(tab, spawn)
  tab.root = { left = 0, top = 0, width = size.cols, height = size.rows, pane = pane }
  tab.active = pane
  table.insert(window.tab_list, tab)
  window.active = tab
  return tab, pane
end

function Pane:pane_id()
  return self.id
end
function Pane:get_user_vars()
  raise_if_gone(self)
  return self.vars
end
function Pane:get_domain_name()
  raise_if_gone(self)
  return self.domain or M.domain or 'local'
end
function Pane:get_current_working_dir()
  raise_if_gone(self)
  M.directories_asked = (M.directories_asked or 0) + 1
  return self.spawn.cwd and { file_path = self.spawn.cwd } or nil
end
function Pane:tab()
  raise_if_gone(self)
  return self.in_tab
end
function Pane:get_title()
  return self.title or 'bash'
end
--- A pane gets the focus of its tab. WezTerm hears of it in its next turn, and sets that focus again then:
--- two changes in one turn undo each other for ever.
local function give_focus(tab, pane)
  if tab.active ~= pane then
    M.fights = M.fights + (M.unheard and 1 or 0)
    M.unheard = true
  end
  tab.active = pane
end

function Pane:activate()
  raise_if_gone(self)
  give_focus(self.in_tab, self)
  self.in_tab.in_window.active = self.in_tab
end
function Pane:split(spawn)
  raise_if_gone(self)
  local tab = self.in_tab
  for _, node in ipairs(panes_of(tab)) do
    if node.pane == self then
      local down = spawn.direction == 'Bottom'
      local whole = down and node.height or node.width
      local target = spawn.size < 1 and math.floor(whole * spawn.size) or spawn.size
      local rest = whole - target - 1
      if rest < 1 or target < 1 then
        error 'No space for split!'
      end
      local pane = new_pane(tab, spawn)
      local first, second = copy(node), copy(node)
      if down then
        first.height, second.height, second.top = rest, target, node.top + rest + 1
      else
        first.width, second.width, second.left = rest, target, node.left + rest + 1
      end
      first.pane, second.pane = self, pane
      node.first, node.second, node.pane = first, second, nil
      give_focus(tab, pane)
      return pane
    end
  end
end

function Tab:tab_id()
  return self.id
end
function Tab:get_title()
  raise_if_gone(self)
  return self.title
end
function Tab:set_title(title)
  self.title = title
end
function Tab:get_size()
  raise_if_gone(self)
  return self.size
end
function Tab:active_pane()
  return self.active
end
function Tab:activate()
  self.in_window.active = self
end
function Tab:set_zoomed(zoomed)
  self.zoomed = zoomed and self.active or nil
end
function Tab:panes()
  local list = {}
  for i, node in ipairs(panes_of(self)) do
    list[i] = node.pane
  end
  return list
end
function Tab:panes_with_info()
  raise_if_gone(self)
  local list = {}
  for i, node in ipairs(panes_of(self)) do
    list[i] = copy(node)
    list[i].index, list[i].pane = i - 1, node.pane
    list[i].is_active, list[i].is_zoomed = self.active == node.pane, self.zoomed == node.pane
  end
  return list
end

function Window:active_pane()
  return self.active.active
end
function Window:window_id()
  return self.id
end
function Window:get_workspace()
  raise_if_gone(self)
  return self.workspace
end
function Window:set_workspace(name)
  raise_if_gone(self)
  if name ~= self.workspace then
    self.workspace = name
    self.told = (self.told or 0) + 1
  end
end
function Window:get_title()
  return self.title
end
function Window:set_title(title)
  self.title = title
end
function Window:tabs()
  raise_if_gone(self)
  return { table.unpack(self.tab_list) }
end
function Window:tabs_with_info()
  raise_if_gone(self)
  local list = {}
  for i, tab in ipairs(self.tab_list) do
    list[i] = { index = i - 1, is_active = self.active == tab, tab = tab }
  end
  return list
end
function Window:active_tab()
  return self.active
end
function Window.gui_window()
  return nil
end
function Window:spawn_tab(spawn)
  raise_if_gone(self)
  local tab, pane = new_tab(self, spawn, self.tab_list[1].size)
  return tab, pane, self
end

--- Closes a window, or a pane that is alone in its tab.
function M.close(it)
  it.gone = true
  if it.tab_list then
    local _, i = numbered(M.windows, it.id)
    table.remove(M.windows, i)
    for _, tab in ipairs(it.tab_list) do
      tab.gone = true
      for _, pane in ipairs(tab:panes()) do
        pane.gone = true
      end
    end
  end
end

--- Closes a pane of any tab; a tab without panes and a window without tabs go too.
local function close_pane(id)
  local pane = assert(numbered(M.panes, id), 'no such pane')
  local tab = pane.in_tab
  pane.gone = true
  table.insert(M.closed, id)
  local function without(node)
    if node.pane == pane then
      return nil
    elseif not node.first then
      return node
    end
    local first, second = without(node.first), without(node.second)
    if first and second then
      node.first, node.second = first, second
      return node
    end
    return first or second
  end
  tab.root = without(tab.root)
  if tab.root then
    tab.active = panes_of(tab)[1].pane
    return
  end
  local window = tab.in_window
  local _, i = numbered(window.tab_list, tab.id)
  table.remove(window.tab_list, i)
  window.active = window.tab_list[1]
end

--- A window with a shell in it.
function M.window(workspace)
  local _, _, window = fake.wezterm.mux.spawn_window { workspace = workspace }
  return window
end

--- All that a workspace shows, tab by tab, in a line.
function M.picture(workspace)
  local lines = {}
  for _, window in ipairs(M.windows) do
    if window.workspace == workspace then
      for _, tab in ipairs(window.tab_list) do
        local words = {}
        for _, pane in ipairs(tab:panes()) do
          local args = pane.spawn.args
          table.insert(words, args and args[#args] or 'shell')
        end
        table.insert(lines, table.concat(words, ' '))
      end
    end
  end
  return table.concat(lines, ' | ')
end

--- A value as text. Not JSON, which nobody reads but its own counterpart.
function M.encode(value)
  if type(value) ~= 'table' then
    return ('%q'):format(value)
  end
  local words = {}
  for key, inner in pairs(value) do
    table.insert(words, ('[%q]=%s'):format(key, M.encode(inner)))
  end
  return '{' .. table.concat(words, ',') .. '}'
end

--- Answers the question that was asked last, as WezTerm does: by an event.
---@param gui table
---@param answer string?
function M.answer(gui, answer)
  local dialog = gui.performed[#gui.performed]
  local event = dialog.argument.action
  fake.same(event.name, 'EmitEvent')
  for _, handler in ipairs(fake.handlers[event.argument] or {}) do
    handler(gui, nil, answer)
  end
end

--- Loads the plugin anew with this mux, and a relay that answers by `M.answers`.
function M.fresh(keep_global)
  fake.fresh(keep_global)
  next_id = 0
  M.windows, M.panes, M.asked, M.refuse, M.directories_asked = {}, {}, {}, nil, 0
  M.domain, M.closed, M.refusals = nil, {}, nil
  M.answers = {}
  M.fights, M.unheard = 0, false
  M.active_workspace = 'default'
  local wezterm = fake.wezterm
  wezterm.action = setmetatable({}, {
    __index = function(_, name)
      return function(argument)
        return { name = name, argument = argument }
      end
    end,
  })
  wezterm.has_action = function(name)
    return M.has_actions and M.has_actions[name] or false
  end
  wezterm.sleep_ms = function(ms)
    fake.now = fake.now + ms
    M.unheard = false
    if M.slept then
      M.slept(ms)
    end
  end
  wezterm.run_child_process = function(args)
    local verb, id = table.concat(args, ' '):match '/wezterm cli %-%-no%-auto%-start (%S+) %-%-pane%-id (%d+)$'
    fake.same(verb, 'kill-pane')
    close_pane(tonumber(id))
    return true, '', ''
  end
  os.getenv = function(name) -- luacheck: ignore 122
    if name == 'WEZTERM_UNIX_SOCKET' then
      return M.socket or '/run/user/1000/wezterm/gui-sock-4711'
    end
    return getenv(name)
  end
  wezterm.json_encode = M.encode
  wezterm.json_parse = function(text)
    return assert(load('return ' .. text, 'json', 't', {}))()
  end
  wezterm.mux = {
    all_windows = function()
      -- in any order, as WezTerm gives them
      local list = {}
      for i = #M.windows, 1, -1 do
        table.insert(list, M.windows[i])
      end
      return list
    end,
    get_active_workspace = function()
      return M.active_workspace
    end,
    set_active_workspace = function(name)
      M.active_workspace = name
    end,
    get_workspace_names = function()
      local names = {}
      for _, window in ipairs(M.windows) do
        table.insert(names, window.workspace)
      end
      return names
    end,
    get_pane = function(id)
      local pane = numbered(M.panes, id)
      if not pane or pane.gone then
        error 'pane not found in mux'
      end
      return pane
    end,
    spawn_window = function(spawn)
      local window = setmetatable({ kind = 'window id', id = new_id(), title = '', tab_list = {} }, Window)
      window.workspace = spawn.workspace or M.active_workspace
      local size = { cols = spawn.width or 140, rows = spawn.height or 40, pixel_width = spawn.width and 0 or 1400 }
      local tab, pane = new_tab(window, spawn, size)
      table.insert(M.windows, window)
      return tab, pane, window
    end,
  }
  for _, name in ipairs { 'panes', 'keep', 'restore' } do
    package.loaded['wezterm_parallel.' .. name] = nil
  end
  local function call(method, params)
    table.insert(M.asked, { method = method, params = params })
    if M.refusals and M.refusals[method] then
      return nil, M.refusals[method]
    end
    local answer = M.answers[method]
    if type(answer) == 'function' then
      return answer(params)
    end
    if answer == nil then
      return nil, { code = 'no_daemon', message = 'none listens', hint = 'start it' }
    end
    return answer
  end
  package.loaded['wezterm_parallel.relay'] = {
    call = call,
    ask = call,
    line = function(problem)
      return problem.hint and ('%s (%s)'):format(problem.message, problem.hint) or problem.message
    end,
  }
  local options = require 'wezterm_parallel.options'
  options.set((options.check { binary = '/bin/true' }))
  require('wezterm_parallel.dialogs').register()
end

--- The calls of a method so far.
function M.calls(method)
  local list = {}
  for _, it in ipairs(M.asked) do
    if it.method == method then
      table.insert(list, it.params)
    end
  end
  return list
end

--- A GUI window on one of the mux.
function M.gui(window)
  local gui = fake.window(window and window.id or 0, { performed = {} })
  gui.mux_window = function()
    return window
  end
  gui.active_tab = function()
    return window and window.active
  end
  gui.active_pane = function()
    return window and window.active.active
  end
  gui.perform_action = function(it, action)
    table.insert(it.performed, action)
    if action.name == 'SwitchToWorkspace' then
      M.active_workspace = action.argument.name
    end
  end
  return gui
end

return M
