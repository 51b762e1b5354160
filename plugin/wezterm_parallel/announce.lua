--- Panes of a mux server may show our processes without our knowing: see `panes.is_unknown`. Here they are had
--- say again what they show.

local wezterm = require 'wezterm'

local panes = require 'wezterm_parallel.panes'
local relay = require 'wezterm_parallel.relay'

local M = {}

--- How long they are waited for. They are told to at once; a round trip to a far server takes a few hundred
--- milliseconds.
local WAIT_MS_MAX = 1500
local STEP_MS = 20

---@return any[]
local function unknown()
  local list = {}
  for _, record in ipairs(panes.all()) do
    if panes.is_unknown(record.pane) then
      table.insert(list, record.pane)
    end
  end
  return list
end

--- Has all panes say what they show, if it is not known of some, and waits for it. What says nothing then is
--- a shell, or what else the user runs there. Waits.
---@return boolean all of them are known now
function M.hear()
  if #unknown() == 0 then
    return true
  end
  if not relay.call('gui.announce', {}) then
    return false
  end
  for _ = 1, WAIT_MS_MAX // STEP_MS do
    if #unknown() == 0 then
      return true
    end
    wezterm.sleep_ms(STEP_MS)
  end
  for _, pane in ipairs(unknown()) do
    panes.remember(pane, {})
  end
  return true
end

return M
