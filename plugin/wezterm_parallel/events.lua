-- Listens to WezTerm. Each handler is short, calls what belongs to it, and throws nothing.

local wezterm = require 'wezterm'

local colors = require 'wezterm_parallel.colors'
local feed = require 'wezterm_parallel.feed'
local options = require 'wezterm_parallel.options'
local problems = require 'wezterm_parallel.problems'
local safe = require 'wezterm_parallel.safe'
local segments = require 'wezterm_parallel.segments'
local titles = require 'wezterm_parallel.titles'
local toast = require 'wezterm_parallel.toast'
local typing = require 'wezterm_parallel.typing'

local M = {}

local registered = false
local problems_told = -1

--- Tells what is wrong and has not been told: once there is a window to tell it in.
local function tell_problems(window)
  if problems_told == problems.changes() then
    return
  end
  problems_told = problems.changes()
  for _, problem in ipairs(problems.untold()) do
    toast.problem(window, problem.text)
  end
end

--- What is told of panes, and what is to be restored.
local function see_to_panes(window)
  safe.call('keep', function()
    require('wezterm_parallel.keep').tick(window)
  end)
  safe.call('restore', function()
    require('wezterm_parallel.restore').tick(window)
  end)
end

--- The daemon is there, or something is wrong. What is to be done about it is not left to the next
--- `update-status`: where no status line is set and nothing happens, there is none.
local function woken()
  wezterm.time.call_after(0, function()
    safe.call('woken', function()
      local window = feed.window()
      tell_problems(window)
      see_to_panes(window)
    end)
  end)
end

--- Each second and more often, in each window.
local function update_status(window)
  feed.poke()
  feed.focus(window, false)
  tell_problems(window)
  segments.draw(window)
  see_to_panes(window)
end

local function config_reloaded(window)
  colors.forget()
  feed.poke()
  segments.draw(window)
end

local function focus_changed(window)
  feed.poke()
  feed.focus(window, window:is_focused())
end

--- What is typed into several panes comes this way. Most user vars are other people's.
local function user_var_changed(window, pane, name, value)
  if name == typing.VAR then
    require('wezterm_parallel.actions.typing').heard(window, pane, value)
  end
end

--- Registers all handlers; once, however often the config calls.
function M.register()
  if registered then
    return
  end
  registered = true
  local function on(name, f)
    wezterm.on(name, safe.handler(name, f))
  end
  feed.woken = woken
  require('wezterm_parallel.dialogs').register()
  on('wezterm-parallel: look at the panes', function(window)
    require('wezterm_parallel.keep').look_later(window)
  end)
  on('gui-startup', feed.poke)
  on('gui-attached', feed.poke)
  on('window-config-reloaded', config_reloaded)
  on('window-focus-changed', focus_changed)
  on('update-status', update_status)
  on('user-var-changed', user_var_changed)
  -- of these WezTerm calls the first handler alone: each can be switched off, and is exported
  if options.get().tab_titles then
    wezterm.on(
      'format-tab-title',
      safe.formatter('format-tab-title', function(tab, _, _, config, _, max_width)
        return titles.format(tab, config, max_width)
      end)
    )
  end
  if options.get().palette then
    wezterm.on(
      'augment-command-palette',
      safe.formatter('augment-command-palette', function(window, pane)
        return require('wezterm_parallel.palette').entries(window, pane)
      end)
    )
  end
end

return M
