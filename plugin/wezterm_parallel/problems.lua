-- What is wrong, by where it comes from: kept until it is put right, shown in the status segment, and told
-- once by a toast.

local global = require 'wezterm_parallel.global'
local log = require 'wezterm_parallel.log'

local M = {}

--- The one that matters most first.
---@alias wezterm_parallel.ProblemSource 'executable'|'daemon'|'version'|'options'|'place'|'config'
local SOURCES = { 'executable', 'daemon', 'version', 'options', 'place', 'config' }

---@type table<string, string>
local texts = {}
local changes = 0

--- Says that something is wrong, or with nil, that it is right again.
---@param source wezterm_parallel.ProblemSource
---@param text string?
---@return boolean changed
function M.set(source, text)
  if not text and global.get('said_' .. source) then
    -- so that it is told again if it comes back
    global.set('said_' .. source, nil)
  end
  if texts[source] == text then
    return false
  end
  texts[source] = text
  changes = changes + 1
  if text then
    log.warn(text)
  end
  return true
end

--- The one that matters most.
---@return string? text, wezterm_parallel.ProblemSource? source
function M.first()
  for _, source in ipairs(SOURCES) do
    if texts[source] then
      return texts[source], source
    end
  end
end

---@return { source: wezterm_parallel.ProblemSource, text: string }[]
function M.all()
  local list = {}
  for _, source in ipairs(SOURCES) do
    if texts[source] then
      list[#list + 1] = { source = source, text = texts[source] }
    end
  end
  return list
end

--- Grows whenever anything here changes.
---@return integer
function M.changes()
  return changes
end

--- Counts a problem as told from now on, also after a reload.
---@param source wezterm_parallel.ProblemSource
---@return boolean was_untold
function M.tell(source)
  if not texts[source] then
    -- it is told before it is known, or put right already: by whoever asks
    return true
  end
  if global.get('said_' .. source) == texts[source] then
    return false
  end
  global.set('said_' .. source, texts[source])
  return true
end

--- Those that nobody has been told yet. They count as told from then on, also after a reload: a problem
--- that stays is told once.
---@return { source: wezterm_parallel.ProblemSource, text: string }[]
function M.untold()
  local list = {}
  for _, problem in ipairs(M.all()) do
    if M.tell(problem.source) then
      list[#list + 1] = problem
    end
  end
  return list
end

return M
