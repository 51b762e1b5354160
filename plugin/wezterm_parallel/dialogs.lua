--- What the user is asked, over the tab: a list, a line, yes or no. Each calls back when it is answered, and
--- not at all when it is left with Esc.
---
--- WezTerm tells an answer by an event. `wezterm.action_callback` would make one for each question, which stays
--- in memory until the config is read anew and is gone after it. These have names of their own: a number that is
--- free again when the question is over, and that of the evaluation of the config, so that an answer never comes
--- to another question.

local wezterm = require 'wezterm'

local feed = require 'wezterm_parallel.feed'
local global = require 'wezterm_parallel.global'
local panes = require 'wezterm_parallel.panes'
local safe = require 'wezterm_parallel.safe'
local toast = require 'wezterm_parallel.toast'

local M = {}

local TEXT = {
  help = 'Enter takes it, Esc leaves, / searches',
  no = 'No',
  reloaded = 'the config was read anew meanwhile; choose the action once more',
}

--- A choice or a line comes with the answer, or with nil where it was left; a yes and a no come with nothing.
local ANSWER, AGREED, LEFT = 'answer', 'agreed', 'left'

--- Names of the questions that are open, of all evaluations: text in wezterm.GLOBAL.
local ASKED = 'asked'
--- Most of them that are kept. More than one is rare, and one whose tab was closed is never answered.
local ASKED_MAX = 32

--- What is done with the answers of those that are open, by their numbers; false where none is.
---@type (fun(window: any, pane: any, answer: any)|false)[]
local open = {}

---@param place integer
---@return string
local function name_of(place)
  return ('wezterm-parallel: question %d.%d'):format(feed.evaluation, place)
end

--- Keeps which questions are open: `name` is, or is not any more.
---@param name string
---@param is_open boolean
local function keep(name, is_open)
  local names = {}
  for other in (global.get(ASKED) or ''):gmatch '[^\n]+' do
    if other ~= name then
      table.insert(names, other)
    end
  end
  if is_open then
    table.insert(names, name)
  end
  global.set(ASKED, table.concat(names, '\n', math.max(1, #names - ASKED_MAX + 1)))
end

local function answered(place, window, pane, answer)
  local call = open[place]
  open[place] = false
  keep(name_of(place), false)
  if call and answer then
    call(window, panes.real(window, pane), answer)
  end
end

--- Handles the events of a question.
---@param name string
---@param heard fun(window: any, pane: any, answer: any)
local function on(name, heard)
  wezterm.on(name .. ' ' .. ANSWER, function(window, pane, answer)
    safe.call('answer', heard, window, pane, answer)
  end)
  wezterm.on(name .. ' ' .. AGREED, function(window, pane)
    safe.call('answer', heard, window, pane, true)
  end)
  wezterm.on(name .. ' ' .. LEFT, function(window, pane)
    safe.call('answer', heard, window, pane, nil)
  end)
end

--- Registers what is said to answers of questions that an earlier evaluation of the config has asked.
function M.register()
  for name in (global.get(ASKED) or ''):gmatch '[^\n]+' do
    on(name, function(window, _, answer)
      keep(name, false)
      if answer then
        toast.answer(window, TEXT.reloaded)
      end
    end)
  end
end

--- The name of the question that is opened now.
---@param call fun(window: any, pane: any, answer: any)
---@return string
local function ask(call)
  local place = 1
  while open[place] do
    place = place + 1
  end
  local name = name_of(place)
  if open[place] == nil then
    on(name, function(window, pane, answer)
      answered(place, window, pane, answer)
    end)
  end
  open[place] = call
  keep(name, true)
  return name
end

---@param name string
---@param event string
---@return any action
local function emit(name, event)
  return wezterm.action.EmitEvent(name .. ' ' .. event)
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
      action = emit(ask(chosen), ANSWER),
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
      action = emit(ask(typed), ANSWER),
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
    local name = ask(agreed)
    return show(
      window,
      pane,
      wezterm.action.Confirmation {
        message = question,
        action = emit(name, AGREED),
        cancel = emit(name, LEFT),
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
