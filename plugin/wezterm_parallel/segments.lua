-- The status line: `3 working · 1 needs you · 2 idle`, what it costs, and what is wrong. As pieces for those
-- who draw it themselves, and drawn at once when something changes for those who do not.

local wezterm = require 'wezterm'

local clock = require 'wezterm_parallel.clock'
local colors = require 'wezterm_parallel.colors'
local global = require 'wezterm_parallel.global'
local glyphs = require 'wezterm_parallel.glyphs'
local options = require 'wezterm_parallel.options'
local problems = require 'wezterm_parallel.problems'
local safe = require 'wezterm_parallel.safe'
local state = require 'wezterm_parallel.state'
local toast = require 'wezterm_parallel.toast'
local typing = require 'wezterm_parallel.typing'

local M = {}

--- Widest problem in cells; the toast and the log have all of it.
local PROBLEM_CELLS_MAX = 60
--- From here on a usage window has the color of a limit.
local LIMIT_PERCENT_NEAR = 80

--- In the order of the line, with their words.
local COUNTS = {
  { 'working', '%d working' },
  { 'needs_you', '%d needs you', '%d need you' },
  { 'failed', '%d failed' },
  { 'limited', '%d limited' },
  { 'unread', '%d unread' },
  { 'idle', '%d idle' },
  { 'unknown', '%d unknown' },
}

--- Claude's names of usage windows, shorter.
local WINDOWS = { five_hour = '5h', seven_day = '7d' }

local function cut(text, cells, ellipsis)
  if wezterm.column_width(text) <= cells then
    return text
  end
  return wezterm.truncate_right(text, cells - wezterm.column_width(ellipsis)) .. ellipsis
end

--- What tasks do: `2 tasks`, `5 queued`, `1 failed`. Where no other says so, it is said that it is a task.
---@param add fun(name: string, role: string, text: string, value: number)
function M.add_tasks(add)
  local counts = state.tasks()
  local running = counts.running or 0
  -- for a person both wait for their turn
  local queued = (counts.queued or 0) + (counts.waiting or 0)
  local failed = counts.failed or 0
  if running > 0 then
    add('tasks', 'working', (running > 1 and '%d tasks' or '%d task'):format(running), running)
  end
  if queued > 0 then
    add('tasks_queued', 'text', ('%d queued'):format(queued), queued)
  end
  if failed > 0 then
    local told = running + queued > 0
    local text = told and '%d failed' or failed > 1 and '%d tasks failed' or '%d task failed'
    add('tasks_failed', 'failed', text:format(failed), failed)
  end
end

--- What the status line says now, piece by piece. Waits for nothing.
---@return wezterm_parallel.Piece[]
function M.pieces()
  local set = options.get()
  local signs = glyphs.set(set.glyphs)
  local pieces = {}
  local function add(name, role, text, value)
    pieces[#pieces + 1] = { name = name, role = role, text = text, value = value }
  end
  local mark = typing.mark()
  if mark then
    add('typing', 'needs_you', signs.typing .. ' ' .. mark)
  end
  local message = toast.current()
  if message then
    add('toast', 'text', message)
  end
  local problem = problems.first()
  if problem then
    add('problem', 'problem', signs.problem .. ' ' .. cut(problem, PROBLEM_CELLS_MAX, signs.ellipsis))
  end
  local summary = state.summary()
  for _, count in ipairs(COUNTS) do
    local name, one, many = count[1], count[2], count[3]
    local n = summary[name]
    if n > 0 then
      add(name, colors.ROLES[name], (n > 1 and many or one):format(n), n)
    end
  end
  if set.status_tasks then
    M.add_tasks(add)
  end
  if set.status_cost and (summary.cost_usd or 0) >= 0.005 then
    add('cost', 'text', ('$%.2f'):format(summary.cost_usd), summary.cost_usd)
  end
  if set.status_limits and summary.limit_percent then
    local percent = math.floor(summary.limit_percent + 0.5)
    local role = percent >= LIMIT_PERCENT_NEAR and 'limited' or 'text'
    local name = WINDOWS[summary.limit_name] or summary.limit_name
    add('limit', role, ('%s %d%%'):format(name, percent), summary.limit_percent)
  end
  return pieces
end

--- The pieces, each with its color: for status lines of other plugins and of one's own.
---@return wezterm_parallel.Piece[]
function M.status_segments()
  local known = colors.any()
  local pieces = M.pieces()
  for _, piece in ipairs(pieces) do
    piece.color = known[piece.role]
  end
  return pieces
end

--- The pieces as wezterm.format takes them.
---@param pieces wezterm_parallel.Piece[]
---@param by_role table<string, string>
---@param signs table<string, string>
---@param connected boolean
---@return table[]
function M.format_items(pieces, by_role, signs, connected)
  local items = {}
  local function add(color, text)
    items[#items + 1] = { Foreground = { Color = color } }
    items[#items + 1] = { Text = text }
  end
  for i, piece in ipairs(pieces) do
    if i > 1 then
      add(by_role.muted, signs.separator)
    end
    -- what nobody tells any more is as good as the memory of it
    local stale = not connected and piece.value ~= nil
    add(stale and by_role.muted or by_role[piece.role], piece.text)
  end
  return items
end

--- Something of ours is in the status line. Only that is erased: a status line of the user's own stays. In
--- wezterm.GLOBAL, as the line outlives a reload of the config, and a window outlives its workspace.
local DRAWN = 'drawn'
--- Turns when titles of tabs are others than before, so that WezTerm draws them: it leaves them as they are
--- while the status line is the same text. Two forms of nothing to see. Where neither has changed nothing is
--- painted, as costs and clocks in titles of fifty agents change all the time.
local phase = false
local titled

---@param window any
---@param side 'left'|'right'
---@param text string
local function put(window, side, text)
  if side == 'left' then
    window:set_left_status(text)
  else
    window:set_right_status(text)
  end
end

---@param side 'left'|'right'
local function erase(side)
  if not global.get(DRAWN) then
    return
  end
  global.set(DRAWN, nil)
  for _, window in ipairs(wezterm.gui.gui_windows()) do
    put(window, side, '')
  end
end

---@param window any
local function draw(window)
  local side = options.get().status
  if not side then
    return
  end
  local pieces = M.pieces()
  if #pieces == 0 then
    return erase(side)
  end
  if not global.get(DRAWN) then
    global.set(DRAWN, true)
  end
  local signs = glyphs.set(options.get().glyphs)
  local items = M.format_items(pieces, colors.of(window), signs, state.connected())
  put(window, side, ' ' .. wezterm.format(items) .. ' ' .. (phase and '\x1b[0m' or ''))
end

--- Draws in one window, as each second, or when it is new. Waits.
---@param window any
function M.draw(window)
  safe.call('status', draw, window)
end

--- Between two redraws where news follow one another closely: nobody reads faster, and each has WezTerm paint the
--- whole window. Fifty busy agents would have it painted sixteen times a second.
local REDRAW_MS = 250
--- A redraw that was put off and has not come by then never will: a reload has taken it.
local PUT_OFF_MS_MAX = 2000

local drawn_at, put_off_at = 0, nil
local dirty = false

local function draw_all()
  dirty, drawn_at = false, clock.now_ms()
  if titled ~= state.moods() then
    titled = state.moods()
    phase = not phase
  end
  local ok, windows = pcall(wezterm.gui.gui_windows)
  for _, window in ipairs(ok and windows or {}) do
    M.draw(window)
  end
end

--- Draws what has been put off, for as long as something is. One function for all of it: each that call_after is
--- given stays in WezTerm's memory until the next reload.
local function draw_later()
  while dirty do
    wezterm.sleep_ms(REDRAW_MS)
    put_off_at = clock.now_ms()
    draw_all()
  end
  put_off_at = nil
end

--- Draws in all windows: something has changed. At once, or soon where that was done just now. Waits.
function M.redraw()
  dirty = true
  local now = clock.now_ms()
  if put_off_at and math.abs(now - put_off_at) < PUT_OFF_MS_MAX then
    return
  end
  if math.abs(now - drawn_at) >= REDRAW_MS then
    return draw_all()
  end
  put_off_at = now
  wezterm.time.call_after(0, safe.handler('redraw', draw_later))
end

return M
