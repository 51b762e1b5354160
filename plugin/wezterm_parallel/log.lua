-- Lines in WezTerm's log (its debug overlay, Ctrl+Shift+L). The same line is written once in a minute at
-- most: handlers run every second, and a log of one error a second has filled disks.

local wezterm = require 'wezterm'

local M = {}

local AGAIN_AFTER_S = 60
--- Most lines that are remembered, so that lines that differ each time cannot fill the memory.
local REMEMBERED_MAX = 100

local said, said_count = {}, 0
local debugging = false

---@param on boolean
function M.set_debug(on)
  debugging = on
end

local function write(level, text)
  local now = os.time()
  if said[text] and now - said[text] < AGAIN_AFTER_S then
    return
  end
  if said_count >= REMEMBERED_MAX then
    said, said_count = {}, 0
  end
  said[text], said_count = now, said_count + 1
  pcall(wezterm['log_' .. level], 'wezterm-parallel: ' .. text)
end

---@param text string
function M.error(text)
  write('error', text)
end

---@param text string
function M.warn(text)
  write('warn', text)
end

--- Only with the option `debug`.
---@param text string
function M.debug(text)
  if debugging then
    pcall(wezterm.log_info, 'wezterm-parallel: ' .. text)
  end
end

return M
