-- Which panes are typed into at once: a line in wezterm.GLOBAL, so that a reload of the config does not leave
-- the strip behind with nobody who hears it. The doing is in actions/typing.lua.

local wezterm = require 'wezterm'

local global = require 'wezterm_parallel.global'

local M = {}

--- The user var that the strip tells by.
M.VAR = 'wezterm_parallel_typing'

--- `STRIP ORIGIN PANE…`, by their ids.
local GROUP = 'typing'

local TEXT = { mark = 'typing into %d panes' }

--- A pane by its id; nil if it is gone.
---@param id integer?
---@return any?
function M.pane(id)
  local ok, pane = pcall(function()
    return wezterm.mux.get_pane(id)
  end)
  return ok and pane or nil
end

---@param strip integer
---@param origin integer
---@param ids integer[]
function M.set(strip, origin, ids)
  global.set(GROUP, ('%d %d %s'):format(strip, origin, table.concat(ids, ' ')))
end

function M.clear()
  global.set(GROUP, nil)
end

--- The strip, the panes that are typed into, and the one that had the focus; nil if there is no strip, or it
--- was closed.
---@return integer? strip
---@return integer[]? ids
---@return integer? origin
function M.current()
  local text = global.get(GROUP)
  if not text then
    return nil
  end
  local ids = {}
  for id in text:gmatch '%d+' do
    table.insert(ids, math.tointeger(tonumber(id)))
  end
  local strip, origin = table.remove(ids, 1), table.remove(ids, 1)
  if not M.pane(strip) then
    M.clear()
    return nil
  end
  return strip, ids, origin
end

--- Whether a pane is one of those; for marks on tabs.
---@param pane_id integer
---@return boolean
function M.includes(pane_id)
  local _, ids = M.current()
  for _, id in ipairs(ids or {}) do
    if id == pane_id then
      return true
    end
  end
  return false
end

--- What the status shows while it lasts.
---@return string?
function M.mark()
  local _, ids = M.current()
  return ids and TEXT.mark:format(#ids) or nil
end

return M
