--- The rest: dashboard, config, doctor, logs, restore.

local choices = require 'wezterm_parallel.choices'
local install = require 'wezterm_parallel.install'
local outcome = require 'wezterm_parallel.actions.outcome'
local passing = require 'wezterm_parallel.actions.passing'
local process = require 'wezterm_parallel.actions.process'
local restore = require 'wezterm_parallel.restore'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  reloaded = 'the config is applied',
  logs = 'Logs of',
  press_t = 't in the dashboard shows tasks',
}

function M.dashboard(window)
  outcome.report(window, views.show_dashboard(window))
end

--- The dashboard, on tasks. One that is open already is left as it is: its user may have chosen what it shows.
function M.dashboard_of_tasks(window)
  local shown, problem, was_open = views.show_dashboard(window, { tasks = true })
  if outcome.report(window, shown, problem) and was_open then
    outcome.say(window, TEXT.press_t)
  end
end

function M.reload_config(window)
  if outcome.call(window, 'config.reload', {}) then
    outcome.say(window, TEXT.reloaded)
  end
end

function M.doctor(window)
  passing.run(window, 'doctor', { 'doctor' })
end

function M.logs(window, pane)
  process.choose(window, pane, TEXT.logs, function()
    return true
  end, function(w, _, view)
    local id = choices.id(view)
    passing.run(w, 'logs ' .. id, { 'process', 'logs', '--follow', id })
  end)
end

function M.install(window)
  install.run(window)
end

function M.restore(window)
  outcome.report(window, restore.by_hand(window))
end

return M
