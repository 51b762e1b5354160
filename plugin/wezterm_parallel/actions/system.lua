--- The rest: dashboard, config, doctor, logs, restore.

local choices = require 'wezterm_parallel.choices'
local install = require 'wezterm_parallel.install'
local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local process = require 'wezterm_parallel.actions.process'
local restore = require 'wezterm_parallel.restore'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  reloaded = 'the config is applied',
  logs = 'Logs of',
  no_tab = 'a tab cannot be opened',
  closes = 'Enter closes this tab',
}

function M.dashboard(window)
  outcome.report(window, views.show_dashboard(window))
end

function M.reload_config(window)
  if outcome.call(window, 'config.reload', {}) then
    outcome.say(window, TEXT.reloaded)
  end
end

--- Runs our program in a tab that stays open when it has ended.
---@param args string[]
local function in_a_tab(window, title, args)
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

function M.doctor(window)
  in_a_tab(window, 'doctor', { 'doctor' })
end

function M.logs(window, pane)
  process.choose(window, pane, TEXT.logs, function()
    return true
  end, function(w, _, view)
    local id = choices.id(view)
    in_a_tab(w, 'logs ' .. id, { 'process', 'logs', '--follow', id })
  end)
end

function M.install(window)
  install.run(window)
end

function M.restore(window)
  outcome.report(window, restore.by_hand(window))
end

return M
