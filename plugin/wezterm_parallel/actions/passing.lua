--- A command of our program in a tab that stays when it has ended, until Enter closes it.

local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  no_tab = 'a tab cannot be opened',
  closes = 'Enter closes this tab',
}

--- Runs our program in a tab.
---@param window any
---@param title string of the tab
---@param args string[]
function M.run(window, title, args)
  local command, environment = views.command(args)
  local script = '"$@"; printf "\\n%s" "' .. TEXT.closes .. '"; read -r _'
  local ok, tab, pane = panes.change(function()
    return window:mux_window():spawn_tab {
      args = { '/bin/sh', '-c', script, 'sh', table.unpack(command) },
      set_environment_variables = environment,
    }
  end)
  if not ok then
    return outcome.say(window, TEXT.no_tab)
  end
  panes.remember(pane, { shows = panes.PASSING })
  panes.ask(tab, 'set_title', title)
  panes.activate(tab)
end

return M
