--- What the user is asked, over the tab: a list, a line, yes or no. Each calls back when it is answered, and
--- not at all when it is left with Esc.
---
--- WezTerm tells an answer by an event. `wezterm.action_callback` would make one for each question, which stays
--- in memory until the config is read anew and is gone after it; these are a few with names of their own, taken
--- in turn.

local wezterm = require 'wezterm'
local panes = require 'wezterm_parallel.panes'
local safe = require 'wezterm_parallel.safe'
local toast = require 'wezterm_parallel.toast'

local M = {}

local TEXT = {
  help = 'Enter takes it, Esc leaves, / searches',
  no = 'No',
  reloaded = 'the config was read anew meanwhile; choose the action once more',
}

--- Questions that can be open at the same time, each over a tab of its own. Of one more, the oldest is answered
--- as after a reload.
local OPEN_MAX = 16

--- A choice or a line comes with the answer, or with nil where it was left; a yes comes with nothing.
local ANSWER, AGREED = 'wezterm-parallel: answer ', 'wezterm-parallel: agreed '

--- What is done with the answers of those that are open.
---@type table<integer, fun(window: any, pane: any, answer: string|true)>
local open = {}
local newest = 0

local function answered(place, window, pane, answer)
  local call = open[place]
  open[place] = nil
  if not answer then
    return
  elseif call then
    call(window, panes.real(window, pane), answer)
  else
    toast.answer(window, TEXT.reloaded)
  end
end

--- Registers the events; once for each evaluation of the config.
function M.register()
  for place = 1, OPEN_MAX do
    wezterm.on(ANSWER .. place, function(window, pane, answer)
      safe.call('answer', answered, place, window, pane, answer)
    end)
    wezterm.on(AGREED .. place, function(window, pane)
      safe.call('answer', answered, place, window, pane, true)
    end)
  end
end

--- The action that answers the question that is opened now.
---@param event string
---@param call fun(window: any, pane: any, answer: any)
---@return any action
local function to(event, call)
  newest = newest % OPEN_MAX + 1
  open[newest] = call
  return wezterm.action.EmitEvent(event .. newest)
end

---@class wezterm_parallel.Choice
---@field id string
---@field label string may have escapes of wezterm.format

---@class (exact) wezterm_parallel.Dialog
---@field title string
---@field text? string one line over the choices
---@field choices wezterm_parallel.Choice[]
---@field fuzzy? boolean typing searches

local function show(window, pane, action)
  safe.call('dialog', function()
    window:perform_action(action, panes.real(window, pane))
  end)
end

--- Lets one of several be chosen. WezTerm gives back the id alone, so that labels may be anything.
---@param window any
---@param pane any
---@param dialog wezterm_parallel.Dialog
---@param chosen fun(window: any, pane: any, id: string)
function M.choose(window, pane, dialog, chosen)
  show(
    window,
    pane,
    wezterm.action.InputSelector {
      title = dialog.title,
      choices = dialog.choices,
      fuzzy = dialog.fuzzy or false,
      description = dialog.text and (dialog.text .. '   ' .. TEXT.help) or TEXT.help,
      fuzzy_description = (dialog.text or dialog.title) .. ': ',
      action = to(ANSWER, chosen),
    }
  )
end

--- Asks for a line.
---@param window any
---@param pane any
---@param text string over the line
---@param typed fun(window: any, pane: any, line: string)
function M.line(window, pane, text, typed)
  show(
    window,
    pane,
    wezterm.action.PromptInputLine {
      description = text,
      action = to(ANSWER, typed),
    }
  )
end

local function has_confirmation()
  local ok, has = pcall(function()
    return wezterm.has_action 'Confirmation'
  end)
  return ok and has == true
end

--- Asks whether to go on. Where WezTerm has no question of its own (it came after the release 20240203), a
--- list of two; the one that Enter takes changes nothing.
---@param window any
---@param pane any
---@param question string
---@param yes string what is done then, as a verb: `Stop it`
---@param agreed fun(window: any, pane: any)
function M.confirm(window, pane, question, yes, agreed)
  if has_confirmation() then
    return show(
      window,
      pane,
      wezterm.action.Confirmation {
        message = question,
        action = to(AGREED, agreed),
      }
    )
  end
  M.choose(window, pane, {
    title = question,
    text = question,
    choices = { { id = 'no', label = TEXT.no }, { id = 'yes', label = yes } },
  }, function(inner, inner_pane, id)
    if id == 'yes' then
      agreed(inner, inner_pane)
    end
  end)
end

return M
