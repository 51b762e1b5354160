-- What `require` gives to a config.

local wezterm = require 'wezterm'

local executable = require 'wezterm_parallel.executable'
local log = require 'wezterm_parallel.log'
local options = require 'wezterm_parallel.options'
local problems = require 'wezterm_parallel.problems'
local safe = require 'wezterm_parallel.safe'
local wire = require 'wezterm_parallel.wire'

---@class wezterm_parallel.Api
local M = { version = wire.version }

--- What WezTerm closes without asking, as long as the user has set nothing.
local CLOSED_UNASKED = {
  'bash',
  'sh',
  'zsh',
  'fish',
  'tmux',
  'nu',
  'nu.exe',
  'cmd.exe',
  'pwsh.exe',
  'powershell.exe',
}

--- A pane of ours is a view: closing it ends nothing, so nobody need be asked.
local function skip_close_confirmation(config)
  local names = {}
  local name = executable.program_name()
  for _, known in ipairs(config.skip_close_confirmation_for_processes_named or CLOSED_UNASKED) do
    names[#names + 1] = known
    if known == name then
      return
    end
  end
  names[#names + 1] = name
  config.skip_close_confirmation_for_processes_named = names
end

local function apply(config, given)
  local checked, wrong = options.check(given)
  options.set(checked)
  log.set_debug(checked.debug)
  if checked.skip_close_confirmation then
    safe.call('skip_close_confirmation', skip_close_confirmation, config)
  end
  safe.call('keys', function()
    for _, name in ipairs(require('wezterm_parallel.keys').apply(config, checked.keys)) do
      wrong[#wrong + 1] = ('option `keys.%s`: there is no action of this name'):format(name)
    end
  end)
  problems.set('options', #wrong > 0 and table.concat(wrong, '; ') or nil)
  -- the process of a mux server, and those of `wezterm cli`, have no windows and so none of our events
  if wezterm.gui then
    require('wezterm_parallel.events').register()
  end
end

--- Adds wezterm-parallel to a config. Starts nothing, waits for nothing, and throws nothing. A second call
--- changes the options and registers nothing twice.
---@param config table what wezterm.config_builder() gave, or a plain table
---@param opts wezterm_parallel.GivenOptions?
function M.apply_to_config(config, opts)
  safe.call('apply_to_config', apply, config, opts)
  return config
end

--- The same.
M.setup = M.apply_to_config

--- Entries of the command palette, for a handler of `augment-command-palette` of one's own.
---@return table[]
function M.palette_entries(window, pane)
  local ok, entries = safe.call('palette_entries', function()
    return require('wezterm_parallel.palette').entries(window, pane)
  end)
  return ok and entries or {}
end

--- What the status line says, piece by piece.
---@return wezterm_parallel.Piece[]
function M.status_segments()
  local ok, pieces = safe.call('status_segments', function()
    return require('wezterm_parallel.segments').status_segments()
  end)
  return ok and pieces or {}
end

--- What the status line says as one plain text, '' if it says nothing: a component of other status lines.
---@return string
function M.status_text()
  local texts = {}
  for i, piece in ipairs(M.status_segments()) do
    texts[i] = piece.text
  end
  local signs = require('wezterm_parallel.glyphs').set(options.get().glyphs)
  return table.concat(texts, signs.separator)
end

--- The title of a tab with processes in it, for a handler of `format-tab-title` of one's own; nil for
--- others.
---@param tab any
---@param max_width integer?
function M.tab_title(tab, max_width)
  local ok, title = safe.call('tab_title', function()
    return require('wezterm_parallel.titles').tab_title(tab, max_width or 40)
  end)
  return ok and title or nil
end

--- Actions for keys, by name. Loaded when the first one is asked for.
M.actions = setmetatable({}, {
  __index = function(_, name)
    local ok, action = safe.call('action ' .. tostring(name), function()
      return require('wezterm_parallel.actions')[name]
    end)
    if ok and action ~= nil then
      return action
    end
    log.error(('there is no action `%s`'):format(tostring(name)))
    return wezterm.action.Nop
  end,
})

return M
