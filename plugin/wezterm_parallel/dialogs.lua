--- What the user is asked, over the tab: a list, a line, yes or no. Each calls back when it is answered, and
--- not at all when it is left with Esc.

local wezterm = require 'wezterm'
local panes = require 'wezterm_parallel.panes'
local safe = require 'wezterm_parallel.safe'

local M = {}

local TEXT = {
  help = 'Enter takes it, Esc leaves, / searches',
  no = 'No',
}

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
      action = wezterm.action_callback(safe.handler(dialog.title, function(inner, inner_pane, id)
        if id then
          chosen(inner, panes.real(inner, inner_pane), id)
        end
      end)),
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
      action = wezterm.action_callback(safe.handler(text, function(inner, inner_pane, line)
        if line then
          typed(inner, panes.real(inner, inner_pane), line)
        end
      end)),
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
        action = wezterm.action_callback(safe.handler(question, function(inner, inner_pane)
          agreed(inner, panes.real(inner, inner_pane))
        end)),
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
