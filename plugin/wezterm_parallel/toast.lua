-- Short messages: as a notification of the desktop, and for some seconds in the status segment, since many
-- a desktop shows none and WezTerm cannot know.

local wezterm = require 'wezterm'

local clock = require 'wezterm_parallel.clock'
local options = require 'wezterm_parallel.options'
local problems = require 'wezterm_parallel.problems'
local safe = require 'wezterm_parallel.safe'

local M = {}

local TITLE = 'wezterm-parallel'
--- Widest text in the segment, in cells: it shares the tab bar with the tabs.
local SEGMENT_CELLS_MAX = 60

---@type { text: string, until_ms: integer }?
local shown

--- What the segment shows now.
---@return string?
function M.current()
  if shown and clock.now_ms() >= shown.until_ms then
    shown = nil
  end
  return shown and shown.text
end

local function desktop(window, title, text)
  safe.call('toast', function()
    window:toast_notification(title, text, nil, options.get().toast_seconds * 1000)
  end)
end

local function segment(text)
  local line = text:gsub('%s+', ' ')
  shown = {
    text = wezterm.truncate_right(line, SEGMENT_CELLS_MAX),
    until_ms = clock.now_ms() + math.floor(options.get().toast_seconds * 1000),
  }
end

---@param window any a GUI window; without one it is only kept for the segment
---@param text string
---@param title string?
---@param how boolean|'desktop'|'status' as the option `toasts` has it
local function show(window, text, title, how)
  if window and how ~= 'status' then
    desktop(window, title or TITLE, text)
  end
  if how ~= 'desktop' then
    segment(title and ('%s: %s'):format(title, text) or text)
    require('wezterm_parallel.segments').redraw()
  end
end

--- Tells the user something that he waits for: how an action ended. The status line has it also where toasts
--- are switched off, which are for what comes by itself.
---@param window any a GUI window; without one it is only kept for the segment
---@param text string
function M.answer(window, text)
  show(window, text, nil, options.get().toasts or 'status')
end

--- Tells the user something that happened.
---@param window any a GUI window; without one it is only kept for the segment
---@param text string
---@param title string?
function M.show(window, text, title)
  local how = options.get().toasts
  if how ~= false then
    show(window, text, title, how)
  end
end

--- Tells of what the status line shows anyway, for as long as it is so.
---@param window any a GUI window
---@param text string
function M.problem(window, text)
  local how = options.get().toasts
  if how == true or how == 'desktop' then
    desktop(window, TITLE, text)
  end
end

--- Whether the pane that has the focus of this GUI shows the process. Waits.
---@param name string `WORKSPACE/PROCESS`
---@return boolean
local function is_looked_at(name)
  local panes = require 'wezterm_parallel.panes'
  for _, window in ipairs(wezterm.gui.gui_windows()) do
    local ok, yes = pcall(function()
      return window:is_focused() and panes.process_of(window:active_pane()) == name
    end)
    if ok and yes then
      return true
    end
  end
  return false
end

--- A toast that the daemon asks for. None for what one is looking at.
---@param window any
---@param intent wezterm_parallel.Intent
---@return true
function M.intent(window, intent)
  if intent.process and is_looked_at(('%s/%s'):format(intent.workspace, intent.process)) then
    return true
  end
  if intent.about == 'config' and not problems.tell 'config' then
    -- the status line has it, and a toast of our own has told it
    return true
  end
  M.show(window, intent.text or '', intent.title)
  return true
end

return M
