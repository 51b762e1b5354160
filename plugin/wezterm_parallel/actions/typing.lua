-- Types into several panes at once.
--
-- WezTerm's Lua hears of no key as such. Keys that are bound would do, but only those of ASCII, and of two
-- events of one name that come quickly WezTerm drops one: letters get lost. A line prompt covers the panes,
-- and cannot send Esc or an arrow, which dialogs of agents are answered with. So what is typed goes to a
-- strip of two rows below the pane that has the focus: a shell script there reads the terminal byte by byte,
-- and tells them by a user var, of which WezTerm drops none. Any letter, an input method and the clipboard
-- work as always, one sees what arrives in each pane, and the strip is the mark that it lasts. Closing it
-- ends it. It takes its rows from that one pane, which has them back exactly when it is closed; below all
-- panes of the tab, it would leave them with other sizes than they had.

local choices = require 'wezterm_parallel.choices'
local dialogs = require 'wezterm_parallel.dialogs'
local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local state = require 'wezterm_parallel.state'
local typing = require 'wezterm_parallel.typing'

local M = {}

local STRIP_ROWS = 2

--- The key that ends it, as the strip reads it: Ctrl-\, which also detaches.
local END = '\28'

local PASTE_BEGINS, PASTE_ENDS = '\27[200~', '\27[201~'

--- $1 is the text of the strip, $2 the name of the user var. Hex, as a user var that is not UTF-8 is dropped,
--- and a letter may come in two pieces. What is pasted is bracketed, so that it can be pasted on.
local SCRIPT = [[
stty raw -echo
printf '\033[?2004h\033[7m%s\033[K\033[0m' "$1"
ended=
while test -z "$ended"; do
  bytes=$(dd bs=1024 count=1 2>/dev/null | od -An -v -tx1 | tr -s ' \n' ' ')
  case $bytes in '' | *' 1c'*) ended=1 ;; esac
  printf '\033]1337;SetUserVar=%s=%s\007' "$2" "$(printf %s "$bytes" | base64 | tr -d '\n')"
done
# the focus is to be back in its pane before this one goes
sleep 0.2
]]

local TEXT = {
  title = 'Type into',
  tab = 'The panes of this tab: %d',
  workspace = 'The panes of this workspace: %d',
  agents = 'All agents in this workspace: %d',
  idle = 'All agents that are idle: %d',
  few = 'there are no two panes to type into',
  exclude = 'Leave out? Enter begins',
  begin = 'Type into %d panes',
  strip = ' Typing into %d panes: %s. Ctrl-\\ ends ',
  no_strip = 'there is no room for the strip that takes what is typed',
}

--- Names that the strip has room for.
local NAMES_MAX = 6

--- Ends it: the strip closes itself.
local function stop(strip, origin)
  typing.clear()
  panes.activate(typing.pane(origin))
  panes.ask(typing.pane(strip), 'send_text', END)
end

--- What is being pasted, until its end has come. Of this evaluation of the config: a reload in the middle of
--- pasting loses the beginning.
local pasting

--- Cuts what was typed into pieces that are sent as keys, and those that are pasted.
---@param bytes string
---@param send fun(text: string, paste: boolean)
function M.pieces(bytes, send)
  while bytes ~= '' do
    if pasting then
      pasting = pasting .. bytes
      local at = pasting:find(PASTE_ENDS, 1, true)
      if not at then
        return
      end
      bytes = pasting:sub(at + #PASTE_ENDS)
      local text = pasting:sub(1, at - 1)
      pasting = nil
      send(text, true)
    else
      local at = bytes:find(PASTE_BEGINS, 1, true)
      if at ~= 1 then
        send(bytes:sub(1, (at or 0) - 1), false)
      end
      if not at then
        return
      end
      pasting, bytes = '', bytes:sub(at + #PASTE_BEGINS)
    end
  end
end

--- Hears from the strip: what was typed, in hex.
---@param window any
---@param pane any
---@param value string
function M.heard(window, pane, value)
  local strip, ids, origin = typing.current()
  if not strip or panes.id(pane) ~= strip then
    return
  end
  local bytes = value:gsub('%s*(%x%x)%s*', function(hex)
    return string.char(tonumber(hex, 16))
  end)
  if bytes == '' or bytes:find(END, 1, true) then
    return stop(strip, origin)
  end
  local gone = true
  for _, id in ipairs(ids or {}) do
    gone = gone and not typing.pane(id)
  end
  if gone then
    stop(strip, origin)
    return outcome.say(window, TEXT.few)
  end
  M.pieces(bytes, function(text, paste)
    for _, id in ipairs(ids or {}) do
      panes.ask(typing.pane(id), paste and 'send_paste' or 'send_text', text)
    end
  end)
end

local function label_of(record)
  return record.shows or choices.plain(panes.ask(record.pane, 'get_title') or '', 60)
end

local function begin(window, pane, records)
  local ids, names = {}, {}
  for i, record in ipairs(records) do
    table.insert(ids, panes.id(record.pane))
    if i <= NAMES_MAX then
      table.insert(names, label_of(record))
    elseif i == NAMES_MAX + 1 then
      table.insert(names, '…')
    end
  end
  if #ids < 2 then
    return outcome.say(window, TEXT.few)
  end
  local text = TEXT.strip:format(#ids, table.concat(names, ', '))
  local ok, strip = panes.change(pane.split, pane, {
    args = { '/bin/sh', '-c', SCRIPT, 'sh', text, typing.VAR },
    direction = 'Bottom',
    size = STRIP_ROWS,
    domain = { DomainName = 'local' },
  })
  if not ok then
    return outcome.say(window, TEXT.no_strip)
  end
  panes.remember(strip, { shows = panes.PASSING })
  typing.set(panes.id(strip), panes.id(pane), ids)
  panes.activate(strip)
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
  local strip, _, origin = typing.current()
  if strip then
    return stop(strip, origin)
  end
  local tab = panes.ask(panes.ask(pane, 'tab'), 'tab_id')
  local active = panes.active_workspace()
  local sets = { tab = {}, workspace = {}, agents = {}, idle = {} }
  for _, record in ipairs(panes.all()) do
    local view = record.shows and state.process(record.shows)
    local here = record.workspace == active and record.shows ~= panes.DASHBOARD
    if panes.ask(record.tab, 'tab_id') == tab then
      table.insert(sets.tab, record)
    end
    if here then
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

return M
