-- Installs the executable, where the user says so: in a tab of its own, so that everything that is done can
-- be seen. Nothing is ever built or downloaded unasked.

local executable = require 'wezterm_parallel.executable'
local feed = require 'wezterm_parallel.feed'
local options = require 'wezterm_parallel.options'
local toast = require 'wezterm_parallel.toast'

local M = {}

local TEXT = {
  no_script = 'the plugin has no %s: install wezterm-parallel by hand, as its README says',
}

--- Directory of the plugin, which has `bin/install.sh` in it. Set by init.lua.
---@type string?
M.directory = nil

--- Where the script is.
---@return string
function M.script()
  local directory = options.get().plugin_dir or M.directory or ''
  return directory:gsub('/+$', '') .. '/bin/install.sh'
end

--- Opens the tab.
---@param window any
function M.run(window)
  local script = M.script()
  local file = io.open(script)
  if not file then
    toast.answer(window, TEXT.no_script:format(script))
    return
  end
  file:close()
  window:mux_window():spawn_tab { args = { '/bin/sh', script } }
  -- found as soon as it is there: the feed looks at each event while there is none
  executable.forget()
  feed.poke()
end

return M
