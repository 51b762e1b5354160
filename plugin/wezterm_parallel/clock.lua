-- The time, in milliseconds since 1970, as all views have it.

local wezterm = require 'wezterm'

local M = {}

---@return integer
function M.now_ms()
  local ok, text = pcall(function()
    return wezterm.time.now():format '%s%3f'
  end)
  return ok and math.tointeger(tonumber(text)) or os.time() * 1000
end

return M
