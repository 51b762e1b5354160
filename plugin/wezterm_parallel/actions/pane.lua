--- Panes by the name of their process: focus, zoom, move, swap, resize.
---
--- WezTerm's Lua can move a pane only to a tab or window of its own, and swaps two only by a letter that
--- the user types (PaneSelect). But a pane of ours is only a view: what it shows can be attached anywhere.
--- So a process is moved by a new pane at the new place, after which the old one is closed, and two processes
--- are swapped by doing that twice; places and sizes stay exactly as they are.

local wezterm = require 'wezterm'

local choices = require 'wezterm_parallel.choices'
local dialogs = require 'wezterm_parallel.dialogs'
local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local process = require 'wezterm_parallel.actions.process'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  focus = 'Go to the pane of',
  zoom = 'Zoom the pane of',
  move = 'Move the pane of',
  move_where = 'Where is `%s` to go?',
  right = 'to the right of this pane',
  down = 'below this pane',
  tab = 'into a tab of its own',
  window = 'into a window of its own',
  swap = 'Swap `%s` with',
  resize = 'Resize the pane of',
  resize_to = 'How large is `%s` to be?',
  width = '%d %% of the width of its tab',
  height = '%d %% of the height of its tab',
  stays = 'the old pane of `%s` did not close; close it by hand',
  itself = 'that is this pane itself',
  not_moved = 'the pane cannot be moved: %s',
  alone = 'it is alone in its tab',
}

local PARTS = { 25, 33, 50, 67, 75 }

local function shown(view)
  return panes.find(choices.id(view)) ~= nil
end

local function any()
  return true
end

function M.focus(window, pane)
  process.choose(window, pane, TEXT.focus, shown, function(w, _, view)
    outcome.report(w, views.show_process(w, choices.id(view)))
  end)
end

local function is_zoomed(tab)
  for _, info in ipairs(panes.ask(tab, 'panes_with_info') or {}) do
    if info.is_zoomed then
      return true, panes.id(info.pane)
    end
  end
  return false
end

--- Zooms it, or takes that back if it is zoomed.
function M.zoom(window, pane)
  process.choose(window, pane, TEXT.zoom, any, function(w, _, view)
    local id = choices.id(view)
    local record = panes.find(id)
    local zoomed, which = is_zoomed(record and record.tab)
    if zoomed then
      panes.ask(record.tab, 'set_zoomed', false)
      if which == panes.id(record.pane) then
        return
      end
    end
    if outcome.report(w, views.show_process(w, id)) then
      record = panes.find(id)
      panes.ask(record and record.tab, 'set_zoomed', true)
    end
  end)
end

--- Closes the pane that showed a process until now. Only one that was opened for it and still shows it: where
--- somebody has typed `attach` into a shell, that would go too.
local function close(window, record)
  local ours = panes.memory(record.pane).shows == record.shows and panes.process_of(record.pane) == record.shows
  if not ours or not panes.close(record.pane) then
    outcome.say(window, TEXT.stays:format(record.shows))
  end
end

--- Splits `place`, and shows in the new half what another pane shows.
---@return boolean ok
---@return any pane_or_problem
local function split_for(place, record, direction)
  local id = record.shows
  local args, environment = views.command { 'attach', id }
  local ok, made = panes.change(place.split, place, {
    args = args,
    set_environment_variables = environment,
    direction = direction,
    size = 0.5,
    domain = 'CurrentPaneDomain',
  })
  if ok then
    panes.remember(made, { shows = id, title = panes.memory(record.pane).title })
  end
  return ok, made
end

local function move(window, pane, id, where)
  local record = panes.find(id)
  if not record then
    return outcome.report(window, views.show_process(window, id))
  end
  local ok, problem
  if where == 'tab' then
    ok, problem = panes.change(record.pane.move_to_new_tab, record.pane)
  elseif where == 'window' then
    ok, problem = panes.change(record.pane.move_to_new_window, record.pane, record.workspace)
  else
    if panes.id(record.pane) == panes.id(pane) then
      return outcome.say(window, TEXT.itself)
    end
    ok, problem = split_for(pane, record, where)
    if ok then
      close(window, record)
      panes.activate(problem)
      return
    end
  end
  if not ok then
    outcome.say(window, TEXT.not_moved:format(tostring(problem)))
  else
    outcome.report(window, views.show_process(window, id))
  end
end

function M.move(window, pane)
  process.choose(window, pane, TEXT.move, any, function(w, p, view)
    local id = choices.id(view)
    dialogs.choose(w, p, {
      title = TEXT.move_where:format(id),
      text = TEXT.move_where:format(id),
      choices = {
        { id = 'Right', label = TEXT.right },
        { id = 'Bottom', label = TEXT.down },
        { id = 'tab', label = TEXT.tab },
        { id = 'window', label = TEXT.window },
      },
    }, function(w2, p2, where)
      move(w2, p2, id, where)
    end)
  end)
end

local function swap(window, one, other)
  local ok, first = split_for(one.pane, other, 'Right')
  if not ok then
    return outcome.say(window, TEXT.not_moved:format(tostring(first)))
  end
  local both, problem = split_for(other.pane, one, 'Right')
  if not both then
    panes.close(first)
    return outcome.say(window, TEXT.not_moved:format(tostring(problem)))
  end
  close(window, one)
  close(window, other)
  panes.activate(first)
end

--- Swaps this pane with that of another process. If this one shows none, WezTerm's own way: its panes get
--- letters, and one is typed.
function M.swap(window, pane)
  local here = panes.process_of(pane)
  local by_letter = wezterm.action.PaneSelect { mode = 'SwapWithActive' }
  local one = here and panes.find(here)
  if not one then
    return window:perform_action(by_letter, pane)
  end
  process.choose(window, pane, TEXT.swap:format(here), function(view)
    local record = panes.find(choices.id(view))
    return choices.id(view) ~= here and record ~= nil and record.workspace == one.workspace
  end, function(w, _, view)
    local other = panes.find(choices.id(view))
    one = panes.find(here)
    if one and other then
      swap(w, one, other)
    end
  end)
end

local function info_of(record)
  local infos = panes.ask(record.tab, 'panes_with_info') or {}
  for _, info in ipairs(infos) do
    if panes.id(info.pane) == panes.id(record.pane) then
      return info, #infos
    end
  end
end

--- Moves the line beside a pane until the pane has so many cells. Which way a line goes depends on the side
--- that the pane is on, which is not known: if it went the wrong way, it is moved back twice as far.
local function resize(window, record, length, directions, wanted)
  local info = info_of(record)
  local delta = info and wanted - info[length] or 0
  if delta == 0 then
    return
  end
  local way = delta > 0 and directions[2] or directions[1]
  local back = delta > 0 and directions[1] or directions[2]
  -- it works on the window that it is done in, whatever pane it is given
  local gui = panes.ask(record.window, 'gui_window') or window
  local function adjust(direction, cells)
    gui:perform_action(wezterm.action.AdjustPaneSize { direction, cells }, record.pane)
  end
  adjust(way, math.abs(delta))
  local now = info_of(record)
  if now and math.abs(wanted - now[length]) > math.abs(delta) then
    adjust(back, 2 * math.abs(delta))
  end
end

function M.resize(window, pane)
  process.choose(window, pane, TEXT.resize, shown, function(w, p, view)
    local id = choices.id(view)
    local list = {}
    for _, part in ipairs(PARTS) do
      table.insert(list, { id = 'width ' .. part, label = TEXT.width:format(part) })
    end
    for _, part in ipairs(PARTS) do
      table.insert(list, { id = 'height ' .. part, label = TEXT.height:format(part) })
    end
    dialogs.choose(w, p, { title = TEXT.resize_to:format(id), choices = list }, function(w2, _, chosen)
      local record = panes.find(id)
      if not record or not outcome.report(w2, views.focus(record)) then
        return
      end
      local _, count = info_of(record)
      if count == 1 then
        return outcome.say(w2, TEXT.alone)
      end
      local size = panes.size(record.tab)
      local what, part = chosen:match '^(%a+) (%d+)$'
      if what == 'width' then
        resize(w2, record, 'width', { 'Left', 'Right' }, size.cols * part // 100)
      else
        resize(w2, record, 'height', { 'Up', 'Down' }, size.rows * part // 100)
      end
    end)
  end)
end

return M
