--- Templates: the panes of this workspace saved as one, one applied to this workspace.

local choices = require 'wezterm_parallel.choices'
local dialogs = require 'wezterm_parallel.dialogs'
local keep = require 'wezterm_parallel.keep'
local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local state = require 'wezterm_parallel.state'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  not_ours = "the workspace `%s` is none of the daemon's; create one first",
  name = 'Name of the template (letters, digits, . _ -):',
  saved = 'saved as `%s` in %s',
  replace = 'There is a template `%s`. Replace it?',
  replace_yes = 'Replace it',
  apply = 'Apply a template to `%s`: what it shows and is not open gets panes',
  none = 'there is no template',
}

local function workspace(window)
  local name = panes.active_workspace()
  local view = name and state.workspace(name)
  if not view then
    outcome.say(window, TEXT.not_ours:format(name or '?'))
  end
  return view
end

function M.save(window, pane)
  local view = workspace(window)
  if not view then
    return
  end
  dialogs.line(window, pane, TEXT.name, function(w, p, line)
    local name = line:match '^%s*(.-)%s*$'
    if name == '' then
      return
    end
    -- what is saved is how the panes were last told to lie: that is now
    local told, err = keep.now(view.name)
    if not told then
      return outcome.error(w, err)
    end
    local function save(w2, replace)
      local params = { name = name, workspace = view.name, replace = replace }
      local layout, why = outcome.try('layout.save', params)
      if layout then
        return outcome.say(w2, TEXT.saved:format(name, layout.file or '?'))
      end
      if why.code == 'exists' and not replace then
        return dialogs.confirm(w2, p, TEXT.replace:format(name), TEXT.replace_yes, function(w3)
          save(w3, true)
        end)
      end
      outcome.error(w2, why)
    end
    save(w, nil)
  end)
end

function M.apply(window, pane)
  local view = workspace(window)
  if not view then
    return
  end
  local layouts = outcome.call(window, 'layout.list', {})
  if not layouts then
    return
  end
  if #layouts == 0 then
    return outcome.say(window, TEXT.none)
  end
  dialogs.choose(window, pane, {
    title = TEXT.apply:format(view.name),
    text = TEXT.apply:format(view.name),
    choices = choices.layouts(layouts),
    fuzzy = true,
  }, function(w, _, name)
    outcome.report(w, views.show_workspace(w, view.name, { layout = name, create = true }))
  end)
end

return M
