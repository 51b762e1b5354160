-- Nothing of the plugin throws into what is not the plugin's: an error in a handler stops all handlers
-- behind it, and one in the config takes the whole config away.

local log = require 'wezterm_parallel.log'

local M = {}

--- Calls `f`; what it throws goes to the log. May be used around what waits.
---@param name string what it is, for the log
---@param f function
---@return boolean ok, any ... what it returned
function M.call(name, f, ...)
  local results = table.pack(pcall(f, ...))
  if not results[1] then
    log.error(('%s: %s'):format(name, tostring(results[2])))
    return false
  end
  return table.unpack(results, 1, results.n)
end

--- A handler that returns nothing, whatever happens.
---@param name string
---@param f function
---@return function
function M.handler(name, f)
  return function(...)
    M.call(name, f, ...)
  end
end

--- The same, but what `f` returns counts, as in the handlers of titles and of the palette.
---@param name string
---@param f function
---@return function
function M.formatter(name, f)
  return function(...)
    local results = table.pack(M.call(name, f, ...))
    if results[1] then
      return table.unpack(results, 2, results.n)
    end
  end
end

return M
