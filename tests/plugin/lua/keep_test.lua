local fake = require 'fake'
local mux = require 'fake_mux'

local T = {}

local clock, gui

--- The plugin with a workspace `api` of the daemon's. `tick` is a second that passes.
local function fresh()
  mux.fresh()
  clock = 1000
  gui = mux.gui(mux.window 'default')
  mux.answers['layout.keep'] = {}
  require('wezterm_parallel.state').apply {
    seq = 1,
    daemon = 'D',
    whole = true,
    workspaces = { { id = 'W', name = 'api', cwd = '/tmp', open = true } },
  }
  return require 'wezterm_parallel.keep'
end

local function tick(keep, times)
  local time = os.time
  for _ = 1, times or 1 do
    clock = clock + 1
    os.time = function() -- luacheck: ignore 122
      return clock
    end
    keep.tick(gui)
    -- the events that are on their way come within the second
    local on_their_way = gui.performed
    gui.performed = {}
    for _, action in ipairs(on_their_way) do
      fake.same(action.argument, keep.LOOK)
      keep.look_later(gui)
    end
    os.time = time -- luacheck: ignore 122
  end
end

local function shows(window, id)
  window.active.active.vars.wezterm_parallel = id
end

function T.what_is_seen_twice_the_same_is_told_once()
  local keep = fresh()
  shows(mux.window 'api', 'api/lead')
  tick(keep)
  fake.same(#mux.calls 'layout.keep', 0)
  tick(keep, 5)
  local told = mux.calls 'layout.keep'
  fake.same(#told, 1)
  fake.same(told[1].workspace, 'api')
  fake.same(told[1].windows[1].tabs[1].process, 'lead')
  fake.same(told[1].shown, false)
end

function T.a_change_is_told()
  local keep = fresh()
  local window = mux.window 'api'
  shows(window, 'api/lead')
  tick(keep, 3)
  window.active.active:split { direction = 'Right', size = 0.4, cwd = '/usr' }
  tick(keep, 2)
  local told = mux.calls 'layout.keep'
  fake.same(#told, 2)
  local tab = told[2].windows[1].tabs[1]
  fake.same(tab.split, 'right')
  fake.same(tab.panes[1].process, 'lead')
  fake.same(tab.panes[2].cwd, '/usr')
  fake.same(tab.panes[2].focus, true)
end

function T.a_workspace_that_is_empty_is_never_told()
  local keep = fresh()
  local window = mux.window 'api'
  shows(window, 'api/lead')
  tick(keep, 3)
  mux.close(window)
  tick(keep, 5)
  fake.same(#mux.calls 'layout.keep', 1)
end

function T.a_gui_that_loses_its_panes_one_after_another_tells_nothing()
  local keep = fresh()
  local one, other = mux.window 'api', mux.window 'api'
  shows(one, 'api/lead')
  shows(other, 'api/tests')
  tick(keep, 3)
  fake.same(#mux.calls 'layout.keep', 1)
  mux.close(one)
  tick(keep)
  mux.close(other)
  tick(keep, 3)
  fake.same(#mux.calls 'layout.keep', 1)
end

function T.workspaces_that_are_not_the_daemons_are_left_alone()
  local keep = fresh()
  mux.window 'mine'
  tick(keep, 5)
  fake.same(#mux.calls 'layout.keep', 0)
end

function T.nothing_is_told_while_there_is_no_daemon_and_all_of_it_after()
  local keep = fresh()
  shows(mux.window 'api', 'api/lead')
  require('wezterm_parallel.state').lost()
  tick(keep, 5)
  fake.same(#mux.asked, 0)
  require('wezterm_parallel.state').apply { seq = 2, daemon = 'D' }
  tick(keep, 3)
  fake.same(#mux.calls 'layout.keep', 1)
end

function T.what_could_not_be_told_is_told_later()
  local keep = fresh()
  shows(mux.window 'api', 'api/lead')
  mux.answers['layout.keep'] = nil
  tick(keep, 3)
  local before = #mux.calls 'layout.keep'
  assert(before > 0)
  mux.answers['layout.keep'] = {}
  tick(keep, 5)
  fake.same(#mux.calls 'layout.keep', before + 1)
end

function T.directories_are_asked_for_only_when_something_is_told()
  local keep = fresh()
  local _, first, window = fake.wezterm.mux.spawn_window { workspace = 'api', cwd = '/usr' }
  first:split { direction = 'Right', size = 0.5, cwd = '/usr' }
  tick(keep, 2)
  fake.same(mux.directories_asked, 2)
  tick(keep, 30)
  fake.same(mux.directories_asked, 2)
  -- but a shell that has gone elsewhere is noticed some time
  window.active.active.spawn.cwd = '/var'
  tick(keep, 60)
  local told = mux.calls 'layout.keep'
  fake.same(told[#told].windows[1].tabs[1].panes[2].cwd, '/var')
end

--- WezTerm opens one where it switches to a workspace that has no panes: what is to be restored there is kept.
function T.a_shell_alone_takes_the_place_of_no_arrangement()
  local keep = fresh()
  local window = mux.window 'api'
  tick(keep, 70)
  fake.same(#mux.calls 'layout.keep', 0)
  shows(window, 'api/lead')
  tick(keep, 3)
  fake.same(#mux.calls 'layout.keep', 1)
end

function T.titles_zoom_and_the_tab_in_front_are_told()
  local keep = fresh()
  local window = mux.window 'api'
  window:set_title 'big'
  shows(window, 'api/lead')
  local first = window.active
  first:set_title 'one'
  window.active.active:split { direction = 'Bottom', size = 10 }
  first.tab_id(first)
  window:spawn_tab {}
  first.active = first:panes()[1]
  first:set_zoomed(true)
  first:activate()
  tick(keep, 2)
  local told = mux.calls('layout.keep')[1].windows[1]
  fake.same(told.title, 'big')
  fake.same(told.tabs[1].title, 'one')
  fake.same(told.tabs[1].focus, true)
  fake.same(told.tabs[1].panes[1].zoomed, true)
  fake.same(told.tabs[2].focus, nil)
end

function T.windows_are_told_in_the_order_in_which_they_were_made()
  local keep = fresh()
  shows(mux.window 'api', 'api/one')
  shows(mux.window 'api', 'api/two')
  tick(keep, 2)
  local told = mux.calls('layout.keep')[1].windows
  fake.same(told[1].tabs[1].process, 'one')
  fake.same(told[2].tabs[1].process, 'two')
end

function T.a_command_pane_keeps_its_command()
  local keep = fresh()
  local window = mux.window 'api'
  require('wezterm_parallel.panes').remember(window.active.active, { command = { 'htop', '-d', '5' } })
  tick(keep, 2)
  fake.same(table.concat(mux.calls('layout.keep')[1].windows[1].tabs[1].command, ' '), 'htop -d 5')
end

function T.panes_that_pass_and_those_of_wezterm_itself_are_left_out()
  local keep = fresh()
  local window = mux.window 'api'
  shows(window, 'api/lead')
  local strip = window.active.active:split { direction = 'Bottom', size = 2 }
  require('wezterm_parallel.panes').remember(strip, { shows = 'passing' })
  local error_window = mux.window 'api'
  error_window.active.active.domain = 'TermWizTerminalDomain'
  tick(keep, 2)
  local told = mux.calls('layout.keep')[1].windows
  fake.same(#told, 1)
  fake.same(told[1].tabs[1].process, 'lead')
end

function T.a_process_of_another_workspace_is_attached_by_a_command()
  local keep = fresh()
  shows(mux.window 'api', 'web/ui')
  tick(keep, 2)
  local leaf = mux.calls('layout.keep')[1].windows[1].tabs[1]
  fake.same(leaf.process, nil)
  fake.same(table.concat(leaf.command, ' '), '/bin/true attach web/ui')
end

--- What waits in `update-status` keeps the next one of its window from coming.
function T.nothing_is_told_in_update_status_itself()
  local keep = fresh()
  shows(mux.window 'api', 'api/lead')
  local time = os.time
  for second = 1, 5 do
    os.time = function() -- luacheck: ignore 122
      return 1000 + second
    end
    keep.tick(gui)
    os.time = time -- luacheck: ignore 122
  end
  fake.same(#mux.asked, 0)
  fake.same(#gui.performed, 1, 'one look at a time')
end

function T.a_look_whose_window_is_gone_is_asked_for_again()
  local keep = fresh()
  shows(mux.window 'api', 'api/lead')
  keep.tick(gui)
  gui.performed = {}
  local time = os.time
  os.time = function() -- luacheck: ignore 122
    return time() + 40
  end
  keep.tick(gui)
  os.time = time -- luacheck: ignore 122
  fake.same(#gui.performed, 1)
end

--- A second GUI, or one that has attached a domain later: the marks were set before it came.
function T.a_pane_of_a_domain_is_asked_what_it_shows_before_it_is_told_of()
  local keep = fresh()
  local pane = mux.window('api').active.active
  local shell = pane:split { direction = 'Right', size = 0.5 }
  pane.domain, shell.domain = 'unix', 'unix'
  mux.answers['gui.announce'] = function()
    pane.vars.wezterm_parallel = 'api/lead'
    return {}
  end
  tick(keep, 5)
  fake.same(#mux.calls 'gui.announce', 1)
  local told = mux.calls 'layout.keep'
  fake.same(#told, 1)
  fake.same(told[1].windows[1].tabs[1].panes[1].process, 'lead')
  fake.same(told[1].windows[1].tabs[1].panes[2].process, nil)
end

function T.without_a_daemon_to_ask_a_pane_of_a_domain_stays_unknown()
  local keep = fresh()
  local pane = mux.window('api').active.active
  pane:split { direction = 'Right', size = 0.5, cwd = '/usr' }
  pane.domain = 'unix'
  tick(keep, 5)
  fake.same(#mux.calls 'layout.keep', 0)
end

--- A directory that is away, or a process that could not be shown: a reload of the config must not have it
--- forgotten that it was wanted.
function T.what_stands_in_for_something_else_is_told_as_what_it_was_to_be()
  local keep = fresh()
  local panes = require 'wezterm_parallel.panes'
  local window = mux.window 'api'
  local first = window.active.active
  local second = first:split { direction = 'Right', size = 0.5, cwd = '/home/u' }
  panes.remember(first, { wish = { process = 'lead' } })
  panes.remember(second, { wish = { cwd = '/mnt/away', instead = '/home/u' } })
  tick(keep, 2)
  local leaves = mux.calls('layout.keep')[1].windows[1].tabs[1].panes
  fake.same(leaves[1].process, 'lead')
  fake.same(leaves[2].cwd, '/mnt/away')
  -- who goes elsewhere in it means it
  second.spawn.cwd = '/srv'
  tick(keep, 65)
  local told = mux.calls 'layout.keep'
  fake.same(told[#told].windows[1].tabs[1].panes[2].cwd, '/srv')
end

function T.the_name_of_a_pane_in_a_split_is_told()
  local keep = fresh()
  local window = mux.window 'api'
  local second = window.active.active:split { direction = 'Right', size = 0.5 }
  require('wezterm_parallel.panes').remember(second, { title = 'notes' })
  tick(keep, 2)
  local other = window:spawn_tab {}
  require('wezterm_parallel.panes').remember(other.active, { title = 'alone' })
  tick(keep, 2)
  local told = mux.calls 'layout.keep'
  local tabs = told[#told].windows[1].tabs
  fake.same(tabs[1].panes[2].title, 'notes')
  fake.same(tabs[2].title, 'alone')
end

--- One bad pane, and how the whole workspace lies was refused each second, for ever.
function T.what_a_program_tells_of_its_directory_and_title_may_be_anything()
  local keep = fresh()
  local window = mux.window 'api'
  shows(window, 'api/lead')
  window.active.active:split { direction = 'Right', size = 0.4, cwd = 'y' }
  window.active:set_title(('ü'):rep(200) .. '\n')
  tick(keep, 3)
  local tab = mux.calls('layout.keep')[1].windows[1].tabs[1]
  fake.same(tab.panes[2].cwd, nil)
  fake.same(tab.title, ('ü'):rep(128))
end

function T.what_is_refused_is_not_told_again_until_it_is_another()
  local keep = fresh()
  local window = mux.window 'api'
  shows(window, 'api/lead')
  mux.refusals = { ['layout.keep'] = { code = 'bad_params', message = 'too many panes' } }
  tick(keep, 30)
  fake.same(#mux.calls 'layout.keep', 1)
  fake.has(table.concat(fake.logged, '\n'), 'too many panes')
  mux.refusals = nil
  window.active.active:split { direction = 'Right', size = 0.4 }
  tick(keep, 3)
  fake.same(#mux.calls 'layout.keep', 2)
end

function T.what_changes_while_it_is_told_is_left_to_the_next_look()
  local keep = fresh()
  local window = mux.window 'api'
  shows(window, 'api/lead')
  tick(keep, 1)
  local time = os.time
  os.time = function() -- luacheck: ignore 122
    return clock + 1
  end
  keep.tick(gui)
  window.active.active:split { direction = 'Right', size = 0.4 }
  gui.performed = {}
  keep.look_later(gui)
  os.time = time -- luacheck: ignore 122
  fake.same(#mux.calls 'layout.keep', 0)
end

return T
