--- Opens the panes of all open workspaces again as they were last left: after a GUI that ended, a crash, a
--- reboot. What the panes show are processes, which live on without them or are resumed by the daemon; no
--- text of a screen is kept or written anywhere.
---
--- Twice is the same as once: only what no pane shows is opened. With two GUIs one restores: see `may_begin`.

local wezterm = require 'wezterm'

local announce = require 'wezterm_parallel.announce'
local dialogs = require 'wezterm_parallel.dialogs'
local feed = require 'wezterm_parallel.feed'
local global = require 'wezterm_parallel.global'
local keep = require 'wezterm_parallel.keep'
local log = require 'wezterm_parallel.log'
local options = require 'wezterm_parallel.options'
local panes = require 'wezterm_parallel.panes'
local relay = require 'wezterm_parallel.relay'
local safe = require 'wezterm_parallel.safe'
local state = require 'wezterm_parallel.state'
local toast = require 'wezterm_parallel.toast'
local tree = require 'wezterm_parallel.tree'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  nothing = 'there is nothing to restore: all that was open is on the glass',
  title = 'Restore the panes of %s?',
  yes = 'Restore as they were left',
  no = 'Not now (the palette has it as "restore")',
  one = 'the workspace `%s`',
  several = '%d workspaces',
  partly = '%s: %s',
}

--- What this GUI process has done about it: 'done', or nothing yet. In wezterm.GLOBAL, as a reload of the
--- config is no new GUI.
local CLAIM = 'restore'

--- How long a GUI leaves another one that began at the same moment the time to attach.
local OTHER_GUI_MS = 1000

--- Which processes an arrangement shows, as `WORKSPACE/PROCESS`.
local function processes_of(arrangement)
  local ids = {}
  for _, window in ipairs(arrangement.windows or {}) do
    for _, tab in ipairs(window.tabs or {}) do
      tree.each_leaf(tab, function(leaf)
        if leaf.process then
          table.insert(ids, arrangement.workspace.name .. '/' .. leaf.process)
        end
      end)
    end
  end
  return ids
end

--- GUIs that came to a daemon within this time of one another came together: at a login, because a crash took
--- both, or as both waited for one. One that has been there for longer has restored what it was to, and shows it.
local TOGETHER_MS = 10000

--- Whether this GUI is the one that restores. Of those that came together only the first does, and after a while
--- in which another one has attached: the daemon then counts terminals at the processes, and what is attached
--- anywhere is left alone. That goes for what GUIs show that came long before, too. All times are the daemon's
--- word, so that all GUIs come to the same end.
local function may_begin()
  local guis = relay.call('gui.list', {}) or {}
  local mine = feed.gui()
  local since
  for _, gui in ipairs(guis) do
    if gui.gui == mine then
      since = gui.connected_at
    end
  end
  local is_first, others = true, 0
  for _, gui in ipairs(guis) do
    -- a daemon of before says nothing of times: then names decide
    local other = gui.connected_at or since
    local together = not since or math.abs(other - since) <= TOGETHER_MS
    if gui.gui ~= mine and gui.waiting > 0 and together then
      others = others + 1
      if gui.gui < mine and other == since or since and other < since then
        is_first = false
      end
    end
  end
  if others > 0 then
    wezterm.sleep_ms(OTHER_GUI_MS)
  end
  return is_first
end

--- Which processes have a terminal somewhere that is not a pane of this GUI.
local function attached_elsewhere()
  local attached = {}
  local here = panes.shown()
  for _, process in ipairs(relay.call('process.list', {}) or {}) do
    local id = process.workspace .. '/' .. process.name
    if (process.attached or 0) > 0 and not here[id] then
      attached[id] = true
    end
  end
  return attached
end

--- The arrangements that are not on the glass.
---@param automatic boolean leave alone what another terminal shows
---@return table[]? arrangements
---@return table? err
local function missing(automatic)
  announce.hear()
  local left, err = relay.call('layout.left', {})
  if not left then
    return nil, err
  end
  local elsewhere = automatic and attached_elsewhere() or {}
  local here = panes.shown()
  local arrangements = {}
  for _, arrangement in ipairs(left) do
    local ids = processes_of(arrangement)
    local some_elsewhere, some_missing = false, #ids == 0
    for _, id in ipairs(ids) do
      some_elsewhere = some_elsewhere or elsewhere[id] or false
      some_missing = some_missing or not here[id]
    end
    local has_windows = #panes.windows_of(arrangement.workspace.name) > 0
    -- asked for by hand, it also fills up what has windows already
    local wanted = some_missing and not some_elsewhere and (not has_windows or (not automatic and #ids > 0))
    if wanted and #(arrangement.windows or {}) > 0 then
      table.insert(arrangements, arrangement)
    end
  end
  return arrangements
end

--- Opens arrangements; shows the one that was on the glass.
---@param window any?
---@param arrangements table[]
local function open(window, arrangements)
  local shown
  for _, arrangement in ipairs(arrangements) do
    local name = arrangement.workspace.name
    local into = panes.windows_of(name)[1]
    -- the one that is shown is opened on the glass, where its size is known
    local show = arrangement.shown and not shown
    local ok, problem = views.build(arrangement, { window = window, show = show, into = into })
    if ok and show then
      shown = name
    end
    if problem then
      log.warn(TEXT.partly:format(name, problem))
      toast.show(window, TEXT.partly:format(name, problem))
      keep.accept(name)
    end
  end
end

local function count(arrangements)
  if #arrangements == 1 then
    return TEXT.one:format(arrangements[1].workspace.name)
  end
  return TEXT.several:format(#arrangements)
end

local function ask(window, arrangements)
  local text = TEXT.title:format(count(arrangements))
  dialogs.choose(window, nil, {
    title = text,
    text = text,
    choices = { { id = 'yes', label = TEXT.yes }, { id = 'no', label = TEXT.no } },
  }, function(inner, _, id)
    if id == 'yes' then
      M.by_hand(inner)
    end
  end)
end

--- Restores because somebody asked for it.
---@param window any?
---@return true?
---@return string? problem
function M.by_hand(window)
  local arrangements, err = missing(false)
  if not arrangements then
    return nil, relay.line(err)
  end
  if #arrangements == 0 then
    return nil, TEXT.nothing
  end
  open(window, arrangements)
  return true
end

local function begin(window, how)
  if global.get(CLAIM) then
    return
  end
  global.set(CLAIM, 'done')
  if not may_begin() then
    return
  end
  local arrangements, err = missing(true)
  if not arrangements then
    -- the daemon went away in between: another try when it is back
    log.warn('cannot restore: ' .. relay.line(err))
    global.set(CLAIM, nil)
    return
  end
  if #arrangements == 0 then
    return
  end
  if how == 'ask' then
    ask(window, arrangements)
  else
    open(window, arrangements)
  end
end

--- Of this evaluation of the config: `begin` has been put on its way.
local scheduled = false

--- Restores when a GUI begins, as the option `restore` says. Called with every `update-status`; does
--- something once in the life of a GUI process, as soon as the daemon is there.
---@param window any?
function M.tick(window)
  local how = options.get().restore
  if how == 'never' or scheduled or global.get(CLAIM) or not state.connected() then
    return
  end
  scheduled = true
  -- not here: what waits in update-status keeps the next one of this window from coming
  wezterm.time.call_after(0, function()
    safe.call('restore', begin, window, how)
    scheduled = false
  end)
end

return M
