-- Whether the daemon that answers is of the plugin's release, and what to do if not. Pure.

local M = {}

local NEWER = 'the daemon is %s, the plugin %s: update the plugin with wezterm.plugin.update_all()'
local OLDER = 'the daemon is %s, the plugin %s: choose "install the executable" in the palette; every agent goes on'

---@param text any
---@return integer[]? numbers
local function numbers(text)
  if type(text) ~= 'string' then
    return nil
  end
  local major, minor, patch = text:match '^v?(%d+)%.(%d+)%.(%d+)'
  return major and { math.tointeger(major), math.tointeger(minor), math.tointeger(patch) } or nil
end

--- -1, 0 or 1 as `a` is older than, the same as or newer than `b`; nil if one of them is no version.
---@param a string
---@param b string
---@return integer?
function M.compare(a, b)
  local x, y = numbers(a), numbers(b)
  if not x or not y then
    return nil
  end
  for i = 1, 3 do
    if x[i] ~= y[i] then
      return x[i] < y[i] and -1 or 1
    end
  end
  return 0
end

--- What to tell a user whose daemon is of another release; nil if it is of this one.
---@param daemon string its version
---@param plugin string
---@return string?
function M.problem(daemon, plugin)
  if daemon == plugin then
    return nil
  end
  local what = M.compare(daemon, plugin) == 1 and NEWER or OLDER
  return what:format(daemon, plugin)
end

return M
