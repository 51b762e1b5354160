--- Types into several panes at once.
---
--- WezTerm tells Lua of no key as such, only of keys that are bound. So while it lasts a key table is active
--- that binds every key that a keyboard sends as ASCII, and each is sent to all panes of the group: one sees
--- in all of them what one types, as it is typed. A line prompt instead would cover the panes, and could
--- send no Esc, no arrow and no Shift-Tab, which is what dialogs of agents are answered with. What has no
--- key of its own (other letters, an input method, the clipboard) is typed in a line all the same: Ctrl+Shift+V
--- opens it. Keys that the table does not have do what they always do.

local wezterm = require 'wezterm'

local choices = require 'wezterm_parallel.choices'
local dialogs = require 'wezterm_parallel.dialogs'
local global = require 'wezterm_parallel.global'
local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local safe = require 'wezterm_parallel.safe'
local state = require 'wezterm_parallel.state'

local M = {}

--- Name of the key table.
M.TABLE = 'wezterm_parallel_typing'

local EVENT = 'wezterm-parallel-type-'
local GROUP = 'typing'

--- How long a program has to take a pasted line before Enter comes: as one piece with it, agents take Enter
--- for a part of what was pasted.
local ENTER_S = 0.1

local TEXT = {
  title = 'Type into',
  tab = 'The panes of this tab: %d',
  workspace = 'The panes of this workspace: %d',
  agents = 'All agents in this workspace: %d',
  idle = 'All agents that are idle: %d',
  few = 'there are no two panes to type into',
  exclude = 'Leave out? Enter begins',
  begin = 'Type into %d panes',
  line = 'Text for %d panes (Enter sends it with Enter):',
  mark = 'typing into %d panes',
  ended = 'typing into one pane again',
}

---@return integer[]? ids of the panes
function M.group()
  local text = global.get(GROUP)
  if not text then
    return nil
  end
  local ids = {}
  for id in text:gmatch '%d+' do
    table.insert(ids, math.tointeger(tonumber(id)))
  end
  return ids
end

--- Whether a pane is one of those that are typed into; for marks on tabs.
---@param pane_id integer
---@return boolean
function M.includes(pane_id)
  for _, id in ipairs(M.group() or {}) do
    if id == pane_id then
      return true
    end
  end
  return false
end

--- What the status shows while it lasts.
---@return string?
function M.mark()
  local group = M.group()
  return group and TEXT.mark:format(#group) or nil
end

local function send(window, text, paste)
  local gone = true
  for _, id in ipairs(M.group() or {}) do
    local ok, pane = pcall(wezterm.mux.get_pane, id)
    if ok and pane then
      gone = false
      panes.ask(pane, paste and 'send_paste' or 'send_text', text)
    end
  end
  if gone then
    M.stop(window)
  end
end

--- Ends it.
function M.stop(window)
  if not M.group() then
    return
  end
  global.set(GROUP, nil)
  local pane = panes.ask(window, 'active_pane')
  if pane then
    pcall(window.perform_action, window, wezterm.action.PopKeyTable, pane)
  end
  outcome.say(window, TEXT.ended)
end

local function begin(window, pane, records)
  local ids = {}
  for _, record in ipairs(records) do
    table.insert(ids, panes.id(record.pane))
  end
  if #ids < 2 then
    return outcome.say(window, TEXT.few)
  end
  global.set(GROUP, table.concat(ids, ' '))
  local action = wezterm.action.ActivateKeyTable { name = M.TABLE, one_shot = false, until_unknown = false }
  window:perform_action(action, pane)
end

local function label_of(record)
  return record.shows or choices.plain(panes.ask(record.pane, 'get_title') or '', 60)
end

--- Which of them are left out.
local function exclude(window, pane, records, out)
  local list, count = {}, 0
  for i, record in ipairs(records) do
    count = count + (out[i] and 0 or 1)
    table.insert(list, { id = tostring(i), label = ('[%s] %s'):format(out[i] and ' ' or 'x', label_of(record)) })
  end
  table.insert(list, 1, { id = 'begin', label = TEXT.begin:format(count) })
  dialogs.choose(window, pane, { title = TEXT.title, text = TEXT.exclude, choices = list }, function(w, p, id)
    if id ~= 'begin' then
      out[tonumber(id)] = not out[tonumber(id)]
      return exclude(w, p, records, out)
    end
    local left = {}
    for i, record in ipairs(records) do
      if not out[i] then
        table.insert(left, record)
      end
    end
    begin(w, p, left)
  end)
end

--- Begins, or ends if it lasts.
function M.toggle(window, pane)
  if M.group() then
    return M.stop(window)
  end
  local tab = panes.ask(panes.ask(pane, 'tab'), 'tab_id')
  local active = panes.active_workspace()
  local sets = { tab = {}, workspace = {}, agents = {}, idle = {} }
  for _, record in ipairs(panes.all()) do
    local view = record.shows and state.process(record.shows)
    local here = record.workspace == active
    if panes.ask(record.tab, 'tab_id') == tab then
      table.insert(sets.tab, record)
    end
    if here and record.shows ~= panes.DASHBOARD then
      table.insert(sets.workspace, record)
    end
    if view and view.kind == 'claude' then
      if here then
        table.insert(sets.agents, record)
      end
      if view.status == 'idle' then
        table.insert(sets.idle, record)
      end
    end
  end
  local list = {}
  for _, id in ipairs { 'tab', 'workspace', 'agents', 'idle' } do
    if #sets[id] > 1 then
      table.insert(list, { id = id, label = TEXT[id]:format(#sets[id]) })
    end
  end
  if #list == 0 then
    return outcome.say(window, TEXT.few)
  end
  dialogs.choose(window, pane, { title = TEXT.title, choices = list }, function(w, p, id)
    exclude(w, p, sets[id], {})
  end)
end

--- A line for all of them, with Enter.
local function line(window, pane)
  dialogs.line(window, pane, TEXT.line:format(#(M.group() or {})), function(w, _, text)
    if text ~= '' then
      send(w, text, true)
    end
    wezterm.time.call_after(
      ENTER_S,
      safe.handler('typing', function()
        send(w, '\r')
      end)
    )
  end)
end

local NAMED = {
  { 'Enter', 'NONE', '\r' },
  { 'Tab', 'NONE', '\t' },
  { 'Tab', 'SHIFT', '\27[Z' },
  { 'Backspace', 'NONE', '\127' },
  { 'Escape', 'NONE', '\27' },
  { 'UpArrow', 'NONE', '\27[A' },
  { 'DownArrow', 'NONE', '\27[B' },
  { 'RightArrow', 'NONE', '\27[C' },
  { 'LeftArrow', 'NONE', '\27[D' },
  { 'Home', 'NONE', '\27[H' },
  { 'End', 'NONE', '\27[F' },
  { 'Delete', 'NONE', '\27[3~' },
  { 'PageUp', 'NONE', '\27[5~' },
  { 'PageDown', 'NONE', '\27[6~' },
}

--- The keys of the table; registers what they do.
---@param end_key { key: string, mods?: string }? the key that ends it
---@param end_action any
---@return table[]
function M.keys(end_key, end_action)
  local keys = {}
  local number = 0
  local function bind(key, mods, text)
    number = number + 1
    local event = EVENT .. number
    wezterm.on(event, function(window)
      safe.call('typing', send, window, text)
    end)
    table.insert(keys, { key = key, mods = mods, action = wezterm.action.EmitEvent(event) })
  end
  for byte = 32, 126 do
    local char = string.char(byte)
    bind(char, 'NONE', char)
    -- signs that are typed with Shift come with it or without, as the keyboard has it
    if not char:find '[%a ]' then
      bind(char, 'SHIFT', char)
    end
  end
  for byte = string.byte 'a', string.byte 'z' do
    local char = string.char(byte)
    bind(char, 'CTRL', string.char(byte & 0x1f))
    bind(char, 'ALT', '\27' .. char)
  end
  for _, named in ipairs(NAMED) do
    bind(named[1], named[2], named[3])
  end
  wezterm.on(EVENT .. 'line', safe.handler('typing', line))
  table.insert(keys, { key = 'V', mods = 'CTRL|SHIFT', action = wezterm.action.EmitEvent(EVENT .. 'line') })
  if end_key then
    table.insert(keys, { key = end_key.key, mods = end_key.mods, action = end_action })
  end
  return keys
end

return M
