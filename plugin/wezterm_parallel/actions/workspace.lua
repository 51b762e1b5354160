--- Actions on workspaces: create, switch, open, close, delete, rename.

local wezterm = require 'wezterm'
local choices = require 'wezterm_parallel.choices'
local dialogs = require 'wezterm_parallel.dialogs'
local keep = require 'wezterm_parallel.keep'
local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local relay = require 'wezterm_parallel.relay'
local state = require 'wezterm_parallel.state'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  create = 'Create a workspace',
  directory = 'Directory of the project',
  typed = 'Type a directory …',
  type_directory = 'Directory of the project, absolute or from ~:',
  not_there = 'there is no directory %s',
  has_workspace = '%s has the workspace `%s`',
  show_it = 'Show `%s`',
  another = 'Create another one there',
  name = 'Name of the workspace: letters, digits, . _ - (Enter: %s)',
  layout = 'Layout of its panes',
  no_layout = 'none: one shell, and processes as they are added',
  switch = 'Switch workspace',
  open = 'Open a workspace',
  close = 'Close a workspace',
  delete = 'Delete a workspace',
  rename = 'Rename a workspace',
  new_name = 'New name of `%s`:',
  none = 'there is no workspace for that',
  close_question = 'Close `%s`? Its %d running processes are stopped.',
  close_yes = 'Close it',
  delete_question = 'Delete `%s`? Its processes are stopped and forgotten; the directory stays as it is.',
  delete_yes = 'Delete it',
  renamed = 'renamed to `%s`',
}

local TYPED = ':typed'
local NONE = ':none'

local function workspace(name)
  for _, view in ipairs(state.workspaces()) do
    if view.name == name then
      return view
    end
  end
end

local function taken()
  local names = {}
  for _, view in ipairs(state.workspaces()) do
    names[view.name] = true
  end
  local ok, plain = pcall(wezterm.mux.get_workspace_names)
  for _, name in ipairs(ok and plain or {}) do
    names[name] = true
  end
  return names
end

local function layout_then(window, pane, chosen)
  local layouts = relay.call('layout.list', {}) or {}
  local list = choices.layouts(layouts)
  table.insert(list, { id = NONE, label = TEXT.no_layout })
  dialogs.choose(window, pane, { title = TEXT.layout, choices = list, fuzzy = true }, function(w, p, id)
    chosen(w, p, id ~= NONE and id or nil)
  end)
end

local function make(window, name, cwd, layout)
  local made = outcome.call(window, 'workspace.create', { name = name, cwd = cwd, layout = layout })
  if not made then
    return
  end
  -- the processes of a project's own file, if it has one, run in this GUI's environment
  outcome.call(window, 'workspace.open', { workspace = name }, { environment = true })
  outcome.report(window, views.show_workspace(window, name, { create = true }))
end

local function name_then_layout(window, pane, cwd)
  local default = choices.workspace_name(cwd, taken())
  dialogs.line(window, pane, TEXT.name:format(default), function(w, p, line)
    local name = line:match '^%s*(.-)%s*$'
    name = name ~= '' and name or default
    layout_then(w, p, function(w2, _, layout)
      make(w2, name, cwd, layout)
    end)
  end)
end

--- An absolute path of what somebody typed; nil if no such directory is there.
local function resolve(pane, typed)
  local path = typed:match '^%s*(.-)%s*$'
  if path == '~' or path:sub(1, 2) == '~/' then
    path = wezterm.home_dir .. path:sub(2)
  elseif path:sub(1, 1) ~= '/' then
    path = (keep.directory(pane) or wezterm.home_dir) .. '/' .. path
  end
  path = #path > 1 and path:gsub('/+$', '') or path
  local file = io.open(path .. '/.')
  if file then
    file:close()
    return path
  end
  return nil, path
end

local function with_directory(window, pane, cwd, known)
  if not known then
    return name_then_layout(window, pane, cwd)
  end
  dialogs.choose(window, pane, {
    title = TEXT.has_workspace:format(choices.short_path(cwd, wezterm.home_dir), known),
    text = TEXT.has_workspace:format(choices.short_path(cwd, wezterm.home_dir), known),
    choices = { { id = 'show', label = TEXT.show_it:format(known) }, { id = 'another', label = TEXT.another } },
  }, function(w, p, id)
    if id == 'show' then
      M.go(w, known)
    else
      name_then_layout(w, p, cwd)
    end
  end)
end

--- Create: a directory, a name, a layout.
function M.create(window, pane)
  local projects, err = relay.ask('project.list', {})
  -- a daemon of an older release knows of none: a directory can still be typed
  if not projects and err and err.code ~= 'unknown_method' then
    return outcome.say(window, relay.line(err))
  end
  projects = projects or {}
  local known = {}
  for _, project in ipairs(projects) do
    known[project.path] = project.workspace
  end
  local function typed(w, p)
    dialogs.line(w, p, TEXT.type_directory, function(w2, p2, line)
      local path, tried = resolve(p2, line)
      if not path then
        return outcome.say(w2, TEXT.not_there:format(tried))
      end
      with_directory(w2, p2, path, known[path])
    end)
  end
  if #projects == 0 then
    return typed(window, pane)
  end
  local list = choices.projects(projects, wezterm.home_dir)
  table.insert(list, 1, { id = TYPED, label = TEXT.typed })
  dialogs.choose(window, pane, {
    title = TEXT.create,
    text = TEXT.directory,
    choices = list,
    fuzzy = true,
  }, function(w, p, id)
    if id == TYPED then
      return typed(w, p)
    end
    with_directory(w, p, id, known[id])
  end)
end

--- Shows a workspace; opens it first if it is closed.
function M.go(window, name)
  local view = workspace(name)
  if not view then
    -- one of WezTerm's own
    return outcome.report(window, views.switch_to(name))
  end
  if not view.open then
    if not outcome.call(window, 'workspace.open', { workspace = name }, { environment = true }) then
      return
    end
  end
  return outcome.report(window, views.show_workspace(window, name))
end

function M.switch(window, pane)
  local ok, plain = pcall(wezterm.mux.get_workspace_names)
  local list = choices.workspaces(state.workspaces(), ok and plain or {}, panes.active_workspace(), wezterm.home_dir)
  dialogs.choose(window, pane, { title = TEXT.switch, choices = list, fuzzy = true }, function(w, _, name)
    M.go(w, name)
  end)
end

--- Lets one of the daemon's workspaces be chosen.
local function choose(window, pane, title, fits, chosen)
  local some = {}
  for _, view in ipairs(state.workspaces()) do
    if fits(view) then
      table.insert(some, view)
    end
  end
  if #some == 0 then
    return outcome.say(window, TEXT.none)
  end
  local list = choices.workspaces(some, {}, panes.active_workspace(), wezterm.home_dir)
  dialogs.choose(window, pane, { title = title, choices = list, fuzzy = true }, function(w, p, name)
    chosen(w, p, workspace(name) or { name = name, running = 0 })
  end)
end

function M.open(window, pane)
  choose(window, pane, TEXT.open, function(view)
    return not view.open
  end, function(w, _, view)
    M.go(w, view.name)
  end)
end

--- Tells how its panes lie before it goes, so that they come back when it is opened again.
local function close(window, view)
  keep.now(view.name)
  outcome.call(window, 'workspace.close', { workspace = view.name })
end

function M.close(window, pane)
  choose(window, pane, TEXT.close, function(view)
    return view.open
  end, function(w, p, view)
    if (view.running or 0) == 0 then
      return close(w, view)
    end
    dialogs.confirm(w, p, TEXT.close_question:format(view.name, view.running), TEXT.close_yes, function(w2)
      close(w2, view)
    end)
  end)
end

function M.delete(window, pane)
  choose(window, pane, TEXT.delete, function(view)
    return view.source == 'runtime'
  end, function(w, p, view)
    dialogs.confirm(w, p, TEXT.delete_question:format(view.name), TEXT.delete_yes, function(w2)
      outcome.call(w2, 'workspace.delete', { workspace = view.name })
    end)
  end)
end

function M.rename(window, pane)
  choose(window, pane, TEXT.rename, function(view)
    return view.source == 'runtime'
  end, function(w, p, view)
    dialogs.line(w, p, TEXT.new_name:format(view.name), function(w2, _, line)
      local name = line:match '^%s*(.-)%s*$'
      if name == '' or name == view.name then
        return
      end
      if not outcome.call(w2, 'workspace.rename', { workspace = view.name, name = name }) then
        return
      end
      if #panes.windows_of(view.name) > 0 then
        pcall(wezterm.mux.rename_workspace, view.name, name)
      end
      -- panes say by the old name what they show, until they are told
      relay.call('gui.announce', {})
      outcome.say(w2, TEXT.renamed:format(name))
    end)
  end)
end

return M
