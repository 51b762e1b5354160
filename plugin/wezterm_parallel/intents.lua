-- What the daemon asks of this GUI: to show something, or to tell the user something. Each is done once,
-- however often it comes, and is acknowledged with the next `gui.wait`.
--
-- What was begun and what is done stands in wezterm.GLOBAL, since the config may be evaluated anew between
-- the two: a line for each, `ID STATE EXPIRES PROBLEM`.

local clock = require 'wezterm_parallel.clock'
local global = require 'wezterm_parallel.global'
local log = require 'wezterm_parallel.log'
local safe = require 'wezterm_parallel.safe'

local M = {}

local KEY = 'intents'
--- Most that are remembered. The daemon gives them away by ones and twos, and forgets what is acknowledged.
local REMEMBERED_MAX = 64

---@class (exact) wezterm_parallel.Carried
---@field id string
---@field state 'begun'|'done'|'told' told: the daemon knows that it is done
---@field expires integer
---@field problem string?

---@return wezterm_parallel.Carried[]
local function load()
  local list = {}
  for line in (global.get(KEY) or ''):gmatch '[^\n]+' do
    local id, state, expires, problem = line:match '^(%S+) (%S+) (%d+) ?(.*)$'
    if id then
      list[#list + 1] = {
        id = id,
        state = state,
        expires = math.tointeger(tonumber(expires)) or 0,
        problem = problem ~= '' and problem or nil,
      }
    end
  end
  return list
end

---@param list wezterm_parallel.Carried[]
local function save(list)
  local lines = {}
  for i = math.max(1, #list - REMEMBERED_MAX + 1), #list do
    local it = list[i]
    local problem = (it.problem or ''):gsub('%c', ' ')
    lines[#lines + 1] = ('%s %s %d %s'):format(it.id, it.state, it.expires, problem)
  end
  if not global.set(KEY, table.concat(lines, '\n')) then
    -- a problem that is not UTF-8: what was done counts more than why it was not
    for i, line in ipairs(lines) do
      lines[i] = line:match '^%S+ %S+ %d+' .. ' '
    end
    global.set(KEY, table.concat(lines, '\n'))
  end
end

local function find(list, id)
  for _, it in ipairs(list) do
    if it.id == id then
      return it
    end
  end
end

local function mark(intent, state, problem)
  local list = load()
  local it = find(list, intent.id)
  if not it then
    it = { id = intent.id, expires = intent.expires_at }
    list[#list + 1] = it
  end
  it.state, it.problem = state, problem
  save(list)
  log.debug(('intent %s %s: %s'):format(intent.id, problem and 'failed' or state, problem or intent.kind))
end

--- Does one. Each of these gives true, or nil and why not.
---@type table<string, fun(window: any, intent: wezterm_parallel.Intent): any, string?>
local DO = {
  toast = function(window, intent)
    return require('wezterm_parallel.toast').intent(window, intent)
  end,
  show_workspace = function(window, intent)
    return require('wezterm_parallel.views').show_workspace(window, intent.workspace)
  end,
  show_process = function(window, intent)
    local name = ('%s/%s'):format(intent.workspace, intent.process)
    return require('wezterm_parallel.views').show_process(window, name)
  end,
  show_dashboard = function(window)
    return require('wezterm_parallel.views').show_dashboard(window)
  end,
}

local TEXT = {
  unknown = 'this release of the plugin cannot do that: update it',
  expired = 'it came too late',
  no_window = 'this WezTerm has no window',
  failed = 'it failed; the log of WezTerm has more',
  interrupted = 'it was interrupted',
}

--- Does one if it was not begun before.
---@param intent wezterm_parallel.Intent
---@param window any a GUI window; nil if there is none
---@return boolean begun
local function carry_out(intent, window)
  local before = find(load(), intent.id)
  if before then
    if before.state == 'told' then
      -- the daemon gives it again, so it does not know after all
      mark(intent, 'done', before.problem)
    elseif before.state == 'begun' and clock.now_ms() >= before.expires then
      mark(intent, 'done', TEXT.interrupted)
    end
    return false
  end
  local act = DO[intent.kind]
  if not act then
    mark(intent, 'done', TEXT.unknown)
    return true
  end
  if clock.now_ms() >= intent.expires_at then
    mark(intent, 'done', TEXT.expired)
    return true
  end
  if not window then
    mark(intent, 'done', TEXT.no_window)
    return true
  end
  mark(intent, 'begun')
  local ok, done, problem = safe.call('intent ' .. intent.kind, act, window, intent)
  if ok and done then
    mark(intent, 'done')
  else
    mark(intent, 'done', tostring(problem or TEXT.failed))
  end
  return true
end

--- Does all of them that were not begun before, one after another. Waits for what they wait for.
---@param list wezterm_parallel.Intent[]
---@param window any a GUI window; nil if there is none
function M.carry_out(list, window)
  for _, intent in ipairs(list) do
    carry_out(intent, window)
  end
end

--- What the daemon is to be told now.
---@return { id: string, problem: string? }[]
function M.done()
  local list = {}
  for _, it in ipairs(load()) do
    if it.state == 'done' then
      list[#list + 1] = { id = it.id, problem = it.problem }
    end
  end
  return list
end

--- The daemon has been told of these.
---@param done { id: string }[]
function M.told(done)
  if #done == 0 then
    return
  end
  local list = load()
  for _, told in ipairs(done) do
    local it = find(list, told.id)
    if it then
      it.state, it.problem = 'told', nil
    end
  end
  save(list)
end

return M
