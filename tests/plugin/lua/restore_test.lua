local fake = require 'fake'
local mux = require 'fake_mux'

local T = {}

local function left(name, tabs, shown)
  return {
    workspace = { name = name, cwd = '/tmp', open = true },
    from = 'left',
    windows = { { tabs = tabs } },
    shown = shown,
  }
end

local LEFT = {
  left(
    'api',
    { { title = 'main', split = 'right', panes = { { process = 'lead', size = '70%' }, { process = 'tests' } } } },
    true
  ),
  left('web', { { process = 'ui' }, { cwd = '/usr' } }),
}

local function fresh(how)
  mux.fresh()
  local options = require 'wezterm_parallel.options'
  options.set((options.check { binary = '/bin/true', restore = how }))
  mux.answers['gui.list'] = {}
  mux.answers['process.list'] = {}
  mux.answers['layout.left'] = LEFT
  require('wezterm_parallel.state').apply { seq = 1, daemon = 'D', whole = true }
  return mux.gui(mux.window 'default')
end

--- A second of a GUI: what it puts off is done.
local function tick(gui)
  require('wezterm_parallel.restore').tick(gui)
  while #fake.after > 0 do
    table.remove(fake.after, 1).f()
  end
end

function T.all_open_workspaces_come_back_as_they_were_left()
  local gui = fresh 'automatic'
  tick(gui)
  fake.same(mux.picture 'api', 'api/lead api/tests')
  fake.same(mux.picture 'web', 'web/ui | shell')
  fake.same(mux.active_workspace, 'api')
  fake.same(mux.windows[2].tab_list[1].title, 'main')
  fake.same(mux.windows[2].tab_list[1]:panes_with_info()[1].width, 97)
end

function T.twice_is_the_same_as_once()
  local gui = fresh 'automatic'
  tick(gui)
  local windows = #mux.windows
  tick(gui)
  local ok, problem = require('wezterm_parallel.restore').by_hand(gui)
  fake.same(ok, nil)
  fake.has(problem, 'nothing to restore')
  fake.same(#mux.windows, windows)
end

function T.a_reload_of_the_config_restores_nothing_again()
  local gui = fresh 'automatic'
  tick(gui)
  mux.close(mux.windows[3])
  local kept, windows, panes = fake.global, mux.windows, mux.panes
  mux.fresh(true)
  fake.global, mux.windows, mux.panes = kept, windows, panes
  local options = require 'wezterm_parallel.options'
  options.set((options.check { restore = 'automatic' }))
  require('wezterm_parallel.state').apply { seq = 1, daemon = 'D', whole = true }
  tick(gui)
  fake.same(mux.picture 'web', '')
  fake.same(#mux.asked, 0)
end

function T.never_is_never_and_ask_asks()
  local gui = fresh 'never'
  tick(gui)
  fake.same(#mux.asked, 0)
  gui = fresh 'ask'
  tick(gui)
  fake.same(#mux.windows, 1)
  local dialog = gui.performed[1]
  fake.same(dialog.name, 'InputSelector')
  fake.has(dialog.argument.description, '2 workspaces')
  mux.answer(gui, 'no')
  fake.same(#mux.windows, 1)
  gui = fresh 'ask'
  tick(gui)
  mux.answer(gui, 'yes')
  fake.same(mux.picture 'api', 'api/lead api/tests')
end

function T.what_another_terminal_shows_is_left_alone()
  local gui = fresh 'automatic'
  mux.answers['process.list'] = { { workspace = 'api', name = 'lead', attached = 1 } }
  tick(gui)
  fake.same(mux.picture 'api', '')
  fake.same(mux.picture 'web', 'web/ui | shell')
end

function T.of_two_guis_that_begin_at_once_one_restores()
  local restored = 0
  for _, mine in ipairs { '1-a', '2-b' } do
    local gui = fresh 'automatic'
    fake.global.wezterm_parallel_gui = mine
    mux.answers['gui.list'] = { { gui = '1-a', waiting = 1 }, { gui = '2-b', waiting = 1 } }
    local before = fake.now
    tick(gui)
    assert(fake.now - before >= 1000, 'the other one is given time to attach')
    restored = restored + (mux.picture 'api' ~= '' and 1 or 0)
  end
  fake.same(restored, 1)
end

--- Whether a GUI called `mine` restores beside these, and how long it waits for them.
local function beside(mine, guis)
  local gui = fresh 'automatic'
  fake.global.wezterm_parallel_gui = mine
  mux.answers['gui.list'] = guis
  local before = fake.now
  tick(gui)
  return mux.picture 'api' ~= '', fake.now - before
end

function T.a_gui_that_starts_beside_one_that_has_run_for_long_restores_whatever_their_names()
  for _, other in ipairs { '1-a', '3-c' } do
    local restores, waited = beside('2-b', {
      { gui = other, waiting = 1, connected_at = 1000 },
      { gui = '2-b', waiting = 1, connected_at = 7200000 },
    })
    fake.same(restores, true)
    assert(waited < 1000, 'what the other one shows has been attached for long')
  end
end

function T.of_guis_that_come_to_a_daemon_within_ten_seconds_the_first_restores_and_names_decide_a_tie()
  local guis = {
    { gui = '1-a', waiting = 1, connected_at = 109000 },
    { gui = '2-b', waiting = 1, connected_at = 100000 },
    { gui = '3-c', waiting = 1, connected_at = 100000 },
    { gui = '0-long-ago', waiting = 1, connected_at = 1000 },
  }
  local restored = {}
  for _, gui in ipairs(guis) do
    if beside(gui.gui, guis) then
      table.insert(restored, gui.gui)
    end
  end
  fake.same(table.concat(restored, ' '), '2-b 0-long-ago')
end

function T.where_nobody_says_when_it_came_names_decide()
  fake.same(beside('1-a', { { gui = '2-b', waiting = 1 } }), true)
  fake.same(beside('2-b', { { gui = '1-a', waiting = 1 } }), false)
end

function T.a_gui_that_is_gone_does_not_count()
  local gui = fresh 'automatic'
  fake.global.wezterm_parallel_gui = '2-b'
  mux.answers['gui.list'] = { { gui = '1-a', waiting = 0 }, { gui = '2-b', waiting = 1 } }
  tick(gui)
  fake.same(mux.picture 'api', 'api/lead api/tests')
end

function T.panes_of_a_mux_server_are_waited_for_and_used()
  local gui = fresh 'automatic'
  local pane = mux.window('api').active.active
  pane.domain = 'unix'
  mux.answers['gui.announce'] = {}
  local waits = 0
  mux.slept = function(ms)
    waits = waits + (ms > 1 and 1 or 0)
    if waits == 3 then
      pane.vars.wezterm_parallel = 'api/lead'
    end
  end
  tick(gui)
  mux.slept = nil
  fake.same(#mux.calls 'gui.announce', 1)
  fake.same(waits, 3)
  fake.same(mux.picture 'api', 'shell')
end

function T.a_workspace_whose_processes_are_all_here_under_another_name_is_left_so()
  local gui = fresh 'automatic'
  mux.windows[1].active.active.vars.wezterm_parallel = 'web/ui'
  tick(gui)
  fake.same(mux.picture 'web', '')
  fake.same(mux.picture 'api', 'api/lead api/tests')
end

function T.what_another_workspace_has_opened_meanwhile_is_no_problem()
  local gui = fresh 'automatic'
  mux.answers['layout.left'] = {
    left('api', { { command = { '/old/true', 'attach', 'web/ui' } }, { process = 'lead' } }),
    left('web', { { process = 'ui' } }),
  }
  tick(gui)
  fake.same(mux.picture 'api', 'web/ui | api/lead')
  fake.same(mux.picture 'web', '')
  fake.same(#gui.toasts, 0)
end

function T.panes_that_never_say_what_they_show_are_not_waited_for_for_ever()
  local gui = fresh 'automatic'
  mux.window('other').active.active.domain = 'unix'
  mux.answers['gui.announce'] = {}
  local before = fake.now
  tick(gui)
  assert(fake.now - before <= 2000, 'it is bounded')
  fake.same(mux.picture 'api', 'api/lead api/tests')
end

function T.by_hand_it_fills_up_what_is_missing_in_a_workspace()
  local gui = fresh 'never'
  mux.window('api').active.active.vars.wezterm_parallel = 'api/lead'
  fake.same(require('wezterm_parallel.restore').by_hand(gui), true)
  fake.same(mux.picture 'api', 'shell | api/tests')
end

function T.by_hand_it_opens_no_shell_that_is_there_already()
  local gui = fresh 'never'
  mux.window('web').active.active.vars.other = '1'
  fake.same(require('wezterm_parallel.restore').by_hand(gui), true)
  fake.same(mux.picture 'web', 'shell | web/ui')
end

function T.without_a_daemon_it_is_tried_again_when_there_is_one()
  local gui = fresh 'automatic'
  mux.answers['layout.left'] = nil
  tick(gui)
  fake.same(#mux.windows, 1)
  mux.answers['layout.left'] = LEFT
  tick(gui)
  fake.same(mux.picture 'api', 'api/lead api/tests')
end

return T
