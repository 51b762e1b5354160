--- How an action ends: what it could not do is said, with what to do about it.

local relay = require 'wezterm_parallel.relay'
local toast = require 'wezterm_parallel.toast'

local M = {}

--- Tells the user something, for a while.
---@param window any?
---@param text string
function M.say(window, text)
  toast.answer(window, text)
end

--- Says an error of a call, with what to do about it.
---@param window any?
---@param err { message: string, hint?: string }?
function M.error(window, err)
  if err then
    M.say(window, relay.line(err))
  end
end

--- Calls the daemon for something that the user wants now.
---@param method string
---@param params table
---@param how? { environment?: boolean }
---@return any? result
---@return { code: string, message: string, hint?: string }? err
function M.try(method, params, how)
  return relay.ask(method, params, how)
end

--- The same; an error is said.
---@param window any?
---@param method string
---@param params table
---@param how? { environment?: boolean }
---@return any? result
---@return { code: string, message: string, hint?: string }? err
function M.call(window, method, params, how)
  local result, err = M.try(method, params, how)
  if result == nil then
    M.error(window, err)
  end
  return result, err
end

--- Says what is in the way, if anything is, of something that gives `true`, or nil and a sentence.
---@param window any?
---@param ok true?
---@param problem string?
function M.report(window, ok, problem)
  if problem then
    M.say(window, problem)
  end
  return ok
end

return M
