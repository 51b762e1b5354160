-- Hears from the daemon: one call `gui.wait` is open all the time, one per GUI process, and everything that
-- is new comes through it.
--
-- The loop is begun by the first event of WezTerm, never by the evaluation of the config, which happens
-- several times and in processes that have no windows. It belongs to the newest evaluation: `owner` and
-- `turn` in wezterm.GLOBAL say whose it is. After a reload the new one's first event claims it, with a
-- higher turn; the daemon then ends the old one's call, and the old loop ends with it. An evaluation for the
-- overrides of a window gets no events, so it never claims anything.

local wezterm = require 'wezterm'

local clock = require 'wezterm_parallel.clock'
local executable = require 'wezterm_parallel.executable'
local global = require 'wezterm_parallel.global'
local intents = require 'wezterm_parallel.intents'
local log = require 'wezterm_parallel.log'
local options = require 'wezterm_parallel.options'
local problems = require 'wezterm_parallel.problems'
local relay = require 'wezterm_parallel.relay'
local safe = require 'wezterm_parallel.safe'
local state = require 'wezterm_parallel.state'

local M = {}

--- Wait before the first further attempt. A daemon that was killed and is started anew is there after it.
local RETRY_MS_MIN = 200
--- Longest wait: nobody waits longer for the glass to be right again after the daemon is back.
local RETRY_MS_MAX = 5000
--- Wait where the daemon answers but cannot be talked to (another protocol): only an update helps.
local REFUSED_MS = 30000
--- A loop that was asked for and has not begun by then never will: WezTerm drops it if the config is
--- evaluated anew in that moment.
local LOST_AFTER_MS = 3000
--- A connection that held this long was a good one: the waits begin anew after it.
local GOOD_AFTER_MS = 10000
--- News that follow one another closer than this are a burst, and further ones are taken together: fifty busy
--- agents would otherwise have a call made, and the status drawn, for each of their words.
local BURST_MS = 100
--- Rest between two calls in a burst. With what a call takes, a change is known within 20 ms all the same.
local BURST_REST_MS = 10

local TEXT = {
  gone = 'no daemon answers; every agent goes on. Start it: wezterm-parallel daemon',
  stopped = 'the daemon was stopped. Start it: wezterm-parallel daemon',
}

--- Number of this evaluation of the config in this process. A count and not the time: a clock that was set back
--- would have a reloaded config wait for its turn.
M.evaluation = (global.get 'evaluations' or 0) + 1
global.set('evaluations', M.evaluation)
local turn
local running = false
local asked_at
--- Which loop of this evaluation it is, and while it sleeps, how often a daemon had answered before.
local round, answers_before = 0, nil
local rest_until_ms = 0

--- What the daemon told last.
local after, daemon
--- Attempts in a row that failed, and when the last connection began.
local failures, connected_at = 0, 0
--- When it told something last.
local heard_at = 0

--- Called when the daemon is there, or there again, and when something is wrong. It must not wait.
---@type fun()?
M.woken = nil

local function rouse()
  if M.woken then
    M.woken()
  end
end

--- The name of this GUI process.
---@return string
function M.gui()
  local id = global.get 'gui'
  if not id then
    id = ('%d-%08x'):format(wezterm.procinfo.pid(), math.random(0, 0xffffffff))
    global.set('gui', id)
  end
  return id
end

--- Whether the loop belongs to this evaluation of the config.
local function is_ours()
  return global.get 'owner' == M.evaluation
end

--- Makes it belong to this one, unless a newer one has it.
local function claim()
  local owner = global.get 'owner' or 0
  if owner > M.evaluation then
    return false
  end
  if owner < M.evaluation then
    global.set('owner', M.evaluation)
    turn = (global.get 'turn' or 0) + 1
    global.set('turn', turn)
  end
  return true
end

local function redraw()
  require('wezterm_parallel.segments').redraw()
end

--- A window to show things in: one that has the focus before others. Waits.
---@return any?
function M.window()
  local ok, windows = pcall(wezterm.gui.gui_windows)
  for _, window in ipairs(ok and windows or {}) do
    local asked, focused = pcall(window.is_focused, window)
    if asked and focused then
      return window
    end
  end
  return ok and windows[1] or nil
end

local function parameters(done)
  return {
    gui = M.gui(),
    pid = wezterm.procinfo.pid(),
    socket = os.getenv 'WEZTERM_UNIX_SOCKET',
    executables = wezterm.executable_dir,
    version = wezterm.version,
    focused_at = global.get 'focused_at' or 0,
    workspace = global.get 'workspace',
    after = after,
    daemon = daemon,
    turn = turn,
    done = #done > 0 and done or nil,
    connected_at = global.get 'connected_at',
  }
end

--- Whether this attempt also starts the daemon: once in each gap, and not if somebody has stopped it.
local function may_start()
  if failures == 0 and connected_at > 0 then
    return false
  end
  if not options.get().auto_start or global.get 'gap' then
    return false
  end
  global.set('gap', 'tried')
  return true
end

---@param problem wezterm_parallel.Error
---@return integer pause_ms
local function failed(problem)
  log.debug(('gui.wait failed: %s: %s'):format(problem.code, problem.message))
  local was_good = connected_at > 0 and clock.now_ms() - connected_at >= GOOD_AFTER_MS
  failures = was_good and state.connected() and 1 or failures + 1
  if problem.code == 'shutting_down' then
    global.set('gap', 'stopped')
  end
  local lost = state.lost()
  local said = false
  if problem.code == 'bad_hello' or problem.code == 'unknown_method' or problem.code == 'outdated' then
    said = problems.set('daemon', relay.line(problem))
    failures = 0
    connected_at = 0
  elseif problem.code == 'program_missing' then
    said = problems.set('executable', problem.message)
  elseif global.get 'gap' == 'stopped' then
    said = problems.set('daemon', TEXT.stopped)
  elseif failures > 1 or not options.get().auto_start or problem.code ~= 'no_daemon' then
    -- the first one may be the moment between a daemon that ends and the one that follows it
    if failures > 1 or not options.get().auto_start then
      said = problems.set('daemon', problem.code == 'no_daemon' and TEXT.gone or relay.line(problem))
    end
  end
  if lost or said then
    redraw()
  end
  if said then
    rouse()
  end
  if failures == 0 then
    return REFUSED_MS
  end
  return math.min(RETRY_MS_MAX, RETRY_MS_MIN << math.min(failures - 1, 10))
end

--- Tells what is done of what was asked. What cannot be told now goes with the next call.
local function acknowledge()
  local done = intents.done()
  if #done == 0 then
    return
  end
  local told = relay.call('gui.focus', {
    gui = M.gui(),
    focused_at = global.get 'focused_at' or 0,
    workspace = global.get 'workspace',
    done = done,
  })
  if told then
    intents.told(done)
  end
end

---@param news wezterm_parallel.News
---@return integer? pause_ms
local function heard(news)
  local now = clock.now_ms()
  local is_burst = now - heard_at < BURST_MS
  heard_at = now
  if failures > 0 or connected_at == 0 then
    connected_at = clock.now_ms()
  end
  failures = 0
  global.set('gap', nil)
  if not global.get 'connected_at' then
    -- not when it began: of two that have waited for a daemon none has restored anything
    global.set('connected_at', now)
  end
  after, daemon = news.seq, news.daemon
  log.debug(('news up to %d: %d processes%s'):format(news.seq, #(news.processes or {}), news.whole and ', all' or ''))
  state.apply(news)
  problems.set('daemon', nil)
  problems.set('config', news.problem)
  redraw()
  if news.whole then
    rouse()
  end
  if news.intents and #news.intents > 0 then
    -- beside the loop: what else happens while panes are opened is heard, and the daemon sees us waiting
    wezterm.time.call_after(0, function()
      safe.call('intents', intents.carry_out, news.intents, M.window())
      safe.call('intents', acknowledge)
    end)
  end
  return is_burst and BURST_REST_MS or nil
end

--- One call. Gives the time to wait before the next one; nil for none; false to end.
---@return integer|nil|false
local function step()
  local bin, missing = executable.find()
  if not bin then
    local lost = state.lost()
    if problems.set('executable', ('%s: %s'):format(missing, executable.HINT)) or lost then
      redraw()
    end
    return false
  end
  local done = intents.done()
  local news, problem = relay.call('gui.wait', parameters(done), { wait = true, start = may_start() })
  if not is_ours() then
    return false
  end
  -- a file that is there and cannot be run is as good as none, and is told once
  if news or problem.code ~= 'program_missing' then
    problems.set('executable', nil)
  end
  if not news then
    return failed(problem)
  end
  intents.told(done)
  if news.superseded then
    -- nobody else has our name, so it can only be an earlier call of ours that the daemon still has
    turn = (global.get 'turn' or 0) + 1
    global.set('turn', turn)
    return RETRY_MS_MIN
  end
  return heard(news)
end

local function loop()
  if running or not claim() then
    return
  end
  running, asked_at = true, nil
  round = round + 1
  local mine = round
  while is_ours() do
    local ok, pause = safe.call('feed', step)
    if not ok then
      pause = RETRY_MS_MAX
    end
    if pause == false then
      break
    elseif pause then
      answers_before = relay.answers
      -- sleeping here, not by call_after: each of those stays in WezTerm's memory until the next reload
      wezterm.sleep_ms(pause)
      if round ~= mine then
        return
      end
      answers_before = nil
    end
  end
  running = false
  -- where there is no executable: the next event looks again, but not each one
  rest_until_ms = clock.now_ms() + 2 * RETRY_MS_MIN
end

--- Leaves a loop that sleeps to itself if a daemon has answered another call meanwhile: it is there, so there
--- is no reason to wait any longer.
local function wake()
  if answers_before and relay.answers > answers_before then
    running, answers_before = false, nil
    round = round + 1
  end
end

--- Sees to it that the loop runs. Called by every event; costs a microsecond where it does.
function M.poke()
  wake()
  if running or not wezterm.gui then
    return
  end
  local now = clock.now_ms()
  if now < rest_until_ms or (asked_at and now - asked_at < LOST_AFTER_MS) then
    return
  end
  if not claim() then
    return
  end
  asked_at = now
  wezterm.time.call_after(0, loop)
end

-- the focus

local telling = false
local told

--- Tells the daemon which window had the focus last, and the workspace: toasts and the like go there.
local function tell_focus()
  while true do
    local focused_at, workspace = global.get 'focused_at' or 0, global.get 'workspace'
    local now = ('%d %s'):format(focused_at, workspace)
    if now == told or not state.connected() then
      break
    end
    told = now
    relay.call('gui.focus', { gui = M.gui(), focused_at = focused_at, workspace = workspace })
  end
end

--- A window has got or lost the focus, or shows another workspace. Waits for the window.
---@param window any
---@param got_focus boolean
function M.focus(window, got_focus)
  if got_focus then
    global.set('focused_at', clock.now_ms())
  end
  local workspace = window:active_workspace()
  if not got_focus and workspace == global.get 'workspace' then
    return
  end
  global.set('workspace', workspace)
  if telling or not state.connected() then
    return
  end
  telling = true
  wezterm.time.call_after(0, function()
    safe.call('focus', tell_focus)
    telling = false
  end)
end

return M
