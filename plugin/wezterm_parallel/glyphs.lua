-- Signs for what a process is. They differ in form, so that no color is needed to tell them apart.

local wezterm = require 'wezterm'

local M = {}

local UNICODE = {
  working = '●',
  needs_you = '▲',
  idle = '○',
  unread = '◆',
  failed = '✗',
  limited = '▽',
  starting = '◇',
  restarting = '△',
  running = '●',
  stopped = '□',
  unknown = '?',
  problem = '▲',
  zoomed = '+',
  typing = '»',
  separator = ' · ',
  ellipsis = '…',
}

local ASCII = {
  working = '>',
  needs_you = '!',
  idle = '-',
  unread = '*',
  failed = 'x',
  limited = '%',
  starting = '~',
  restarting = '^',
  running = '>',
  stopped = '.',
  unknown = '?',
  problem = '!',
  zoomed = '+',
  typing = '>>',
  separator = ' | ',
  ellipsis = '...',
}

--- By the names of wezterm.nerdfonts, of which a release may lack some.
local NERD = {
  working = 'md_cog',
  needs_you = 'md_bell_ring',
  idle = 'md_sleep',
  unread = 'md_email',
  failed = 'md_alert_circle',
  limited = 'md_timer_sand',
  starting = 'md_dots_horizontal',
  restarting = 'md_restart',
  running = 'md_play',
  stopped = 'md_stop',
  unknown = 'md_help',
  problem = 'md_alert',
  zoomed = 'md_magnify_plus',
  typing = 'md_keyboard',
}

local function nerd()
  local set = {}
  for name, sign in pairs(UNICODE) do
    local icon = NERD[name]
    local ok, found = pcall(function()
      return icon and wezterm.nerdfonts[icon]
    end)
    set[name] = ok and found or sign
  end
  return set
end

--- The signs of a set, by moods (see `state.mood`) and a few more.
---@param set 'nerd'|'unicode'|'ascii'
---@return table<string, string>
function M.set(set)
  if set == 'ascii' then
    return ASCII
  elseif set == 'nerd' then
    return nerd()
  end
  return UNICODE
end

return M
