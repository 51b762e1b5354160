-- What outlives a reload of the config: strings, numbers and booleans in wezterm.GLOBAL, which each process
-- of WezTerm has one of. Nothing else of the plugin does; caches are filled anew.

local wezterm = require 'wezterm'

local M = {}

local PREFIX = 'wezterm_parallel_'

---@param key string
---@return any
function M.get(key)
  local ok, value = pcall(function()
    return wezterm.GLOBAL[PREFIX .. key]
  end)
  return ok and value or nil
end

---@param key string
---@param value string|number|boolean|nil
---@return boolean kept
function M.set(key, value)
  -- text that is not UTF-8 is refused, by throwing
  return (pcall(function()
    wezterm.GLOBAL[PREFIX .. key] = value
  end))
end

return M
