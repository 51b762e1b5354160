-- Colors by what they are for, out of the scheme of the window. They only repeat what words and signs say.

local options = require 'wezterm_parallel.options'

local M = {}

--- Places in `ansi` and `brights` of a palette, where Lua counts from 1.
local RED, GREEN, YELLOW, MAGENTA, CYAN, GREY = 2, 3, 4, 6, 7, 1

--- WezTerm's own colors, for a config without a scheme: its palette then has nothing in it.
local DEFAULT = {
  foreground = '#b2b2b2',
  ansi = { '#000000', '#cc5555', '#55cc55', '#cdcd55', '#5455cb', '#cc55cc', '#7acaca', '#cccccc' },
  brights = { '#767676', '#ff5555', '#55ff55', '#ffff55', '#5555ff', '#ff55ff', '#55ffff', '#ffffff' },
}

--- The role of each mood; others are `text`.
M.ROLES = {
  working = 'working',
  needs_you = 'needs_you',
  idle = 'idle',
  unread = 'unread',
  failed = 'failed',
  limited = 'limited',
  restarting = 'limited',
  starting = 'muted',
  stopped = 'muted',
  unknown = 'muted',
  running = 'text',
}

--- The colors of a palette; what the user has set wins. Blue is not among them: on most bars it is dark.
---@param palette table?
---@return table<string, string>
function M.from(palette)
  local function pick(list, place)
    local ok, color = pcall(function()
      return palette and palette[list] and palette[list][place]
    end)
    return tostring(ok and color or DEFAULT[list][place])
  end
  local text = tostring(palette and palette.foreground or DEFAULT.foreground)
  local colors = {
    working = pick('ansi', GREEN),
    needs_you = pick('ansi', YELLOW),
    idle = text,
    unread = pick('ansi', CYAN),
    failed = pick('ansi', RED),
    limited = pick('ansi', MAGENTA),
    problem = pick('ansi', RED),
    muted = pick('brights', GREY),
    text = text,
  }
  for role, color in pairs(options.get().colors) do
    colors[role] = color
  end
  return colors
end

--- By window, until the config is evaluated anew: asking for the palette copies the whole config.
local kept = {}

--- The colors of a window. Waits.
---@param window any
---@return table<string, string>
function M.of(window)
  local ok, id = pcall(window.window_id, window)
  id = ok and id or 0
  if not kept[id] then
    local asked, palette = pcall(function()
      return window:effective_config().resolved_palette
    end)
    kept[id] = M.from(asked and palette or nil)
  end
  return kept[id]
end

--- Those of any window that is known, for what may not wait.
---@return table<string, string>
function M.any()
  local _, colors = next(kept)
  return colors or M.from(nil)
end

--- The scheme may be another one now.
function M.forget()
  kept = {}
end

return M
