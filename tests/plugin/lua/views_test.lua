local fake = require 'fake'
local mux = require 'fake_mux'

local T = {}

local function plan(name, tabs, given)
  local it = {
    workspace = { name = name, cwd = '/tmp' },
    from = 'template',
    windows = { { tabs = tabs } },
  }
  for key, value in pairs(given or {}) do
    it[key] = value
  end
  return it
end

local DEV = {
  {
    title = 'main',
    split = 'right',
    panes = {
      { process = 'lead', size = '60%', focus = true },
      { split = 'down', size = '40%', panes = { { process = 'tests' }, { command = { 'htop' } }, {} } },
    },
  },
  { process = 'log' },
}

local function views()
  return require 'wezterm_parallel.views'
end

local function fresh()
  mux.fresh()
  local gui = mux.gui(mux.window 'default')
  return gui
end

function T.a_workspace_without_panes_is_opened_as_its_plan_says()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', DEV)
  fake.same(views().show_workspace(gui, 'api'), true)
  fake.same(mux.picture 'api', 'api/lead api/tests htop shell | api/log')
  fake.same(mux.active_workspace, 'api')
  local window = mux.windows[2]
  fake.same(window.tab_list[1].title, 'main')
  fake.same(window.active, window.tab_list[1])
  fake.same(window.active.active.spawn.args[3], 'api/lead')
  local lead = window.tab_list[1]:panes_with_info()[1]
  fake.same(lead.width, 83)
end

--- A real GUI was seen to do nothing else any more, with a processor for itself.
function T.no_two_changes_of_focus_come_in_one_turn_of_wezterm()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', DEV)
  fake.same(views().show_process(gui, 'api/tests'), true)
  fake.same(mux.windows[2].active.active.spawn.args[3], 'api/tests')
  fake.same(views().show_process(gui, 'api/lead'), true)
  fake.same(mux.fights, 0)
end

function T.a_workspace_with_panes_is_only_switched_to()
  local gui = fresh()
  mux.window 'api'
  fake.same(views().show_workspace(gui, 'api'), true)
  fake.same(#mux.calls 'layout.plan', 0)
  fake.same(mux.active_workspace, 'api')
end

function T.a_process_that_is_shown_elsewhere_gets_no_second_pane()
  local gui = fresh()
  mux.windows[1].active.active.vars.wezterm_parallel = 'api/lead'
  mux.answers['layout.plan'] = plan('api', DEV)
  views().show_workspace(gui, 'api')
  fake.same(mux.picture 'api', 'api/tests htop shell | api/log')
end

function T.if_all_of_it_is_shown_elsewhere_that_is_shown()
  local gui = fresh()
  mux.window('other').active.active.vars.wezterm_parallel = 'api/lead'
  mux.answers['layout.plan'] = plan('api', { { process = 'lead' } })
  fake.same(views().show_workspace(gui, 'api'), true)
  fake.same(#mux.windows, 2)
  fake.same(mux.active_workspace, 'other')
end

function T.a_mux_server_is_told_the_workspace_of_a_window_that_is_not_on_the_glass()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', { { process = 'lead' } })
  views().show_workspace(gui, 'api')
  fake.same(mux.windows[2].told, nil)
  gui = fresh()
  mux.domain = 'unix'
  mux.answers['layout.plan'] = plan('api', { { process = 'lead' } })
  views().show_workspace(gui, 'api')
  fake.same(mux.windows[2].told, 2)
  fake.same(mux.windows[2].workspace, 'api')
end

function T.what_cannot_be_opened_says_so_and_the_rest_is_opened()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', DEV)
  mux.refuse = function(spawn)
    return spawn.args and spawn.args[1] == 'htop'
  end
  local ok, problem = views().show_workspace(gui, 'api')
  fake.same(ok, true)
  fake.has(problem, 'htop')
  fake.has(mux.picture 'api', 'wezterm-parallel: a pane for htop cannot be opened')
  fake.has(mux.picture 'api', 'api/tests')
end

function T.what_was_to_be_split_off_a_pane_that_failed_keeps_its_place()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', {
    {
      split = 'right',
      panes = { { process = 'a' }, { split = 'down', panes = { { command = { 'htop' } }, { process = 'b' } } } },
    },
    { process = 'c' },
  })
  -- not even a pane that says so
  mux.refuse = function(spawn)
    return spawn.args and table.concat(spawn.args, ' '):find 'htop' ~= nil
  end
  fake.same(views().show_workspace(gui, 'api'), true)
  fake.same(mux.picture 'api', 'api/a api/b | api/c')
end

--- The daemon leaves its pane out, as there is nothing to show.
function T.a_process_that_is_not_there_is_said()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', { {} }, { missing = { 'ghost' } })
  local ok, problem = views().show_workspace(gui, 'api')
  fake.same(ok, true)
  fake.has(problem, 'there is no process `api/ghost`')
end

function T.a_directory_that_is_gone_is_said_and_another_one_is_taken()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', { { cwd = '/no/such/directory' } })
  local ok, problem = views().show_workspace(gui, 'api')
  fake.same(ok, true)
  fake.has(problem, '/no/such/directory is not there; its pane begins in ')
  fake.same(mux.windows[2].active.active.spawn.cwd, '/tmp')
end

--- The daemon has looked already, and a second look at a mount that answers nobody would stop the GUI. It is
--- only away, so it is kept where the pane was to begin.
function T.a_directory_that_is_away_is_not_looked_at_and_stays_wanted()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', { { cwd = '/usr' }, { cwd = '/tmp' } }, { away = { '/usr', '/tmp' } })
  local ok, problem = views().show_workspace(gui, 'api')
  fake.same(ok, true)
  fake.has(problem, '/usr is not there')
  fake.same(mux.windows[2].tab_list[1].active.spawn.cwd, '/home/u')
  local windows = require('wezterm_parallel.keep').windows('api', true)
  fake.same(windows[1].tabs[1].cwd, '/usr')
  fake.same(windows[1].tabs[2].cwd, '/tmp')
end

function T.what_has_no_room_gets_a_tab_of_its_own()
  local gui = fresh()
  local many = {}
  for i = 1, 60 do
    many[i] = { process = 'p' .. i }
  end
  mux.answers['layout.plan'] = plan('api', { { split = 'down', panes = many } })
  views().show_workspace(gui, 'api')
  local count = 0
  for _ in mux.picture('api'):gmatch 'api/p%d+' do
    count = count + 1
  end
  fake.same(count, 60)
end

function T.a_workspace_with_nothing_to_show_has_a_shell()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', {}, { windows = {} })
  fake.same(views().show_workspace(gui, 'api'), true)
  fake.same(mux.picture 'api', 'shell')
end

function T.without_a_daemon_it_is_said_why_nothing_is_shown()
  local gui = fresh()
  local ok, problem = views().show_workspace(gui, 'api')
  fake.same(ok, nil)
  fake.same(problem, 'none listens (start it)')
end

function T.a_process_is_shown_where_it_is()
  local gui = fresh()
  local pane = mux.window('api').active.active
  pane.vars.wezterm_parallel = 'api/lead'
  fake.same(views().show_process(gui, 'api/lead'), true)
  fake.same(mux.active_workspace, 'api')
  fake.same(#mux.windows, 2)
end

function T.a_process_without_a_pane_gets_a_tab_in_its_workspace()
  local gui = fresh()
  mux.window 'api'
  fake.same(views().show_process(gui, 'api/lead'), true)
  fake.same(mux.picture 'api', 'shell | api/lead')
  -- its terminal has not said yet what it shows, and still it is known
  views().show_process(gui, 'api/lead')
  fake.same(mux.picture 'api', 'shell | api/lead')
end

function T.a_pane_that_is_gone_is_no_error()
  local gui = fresh()
  local window = mux.window 'api'
  window.active.active.vars.wezterm_parallel = 'api/lead'
  local record = require('wezterm_parallel.panes').find 'api/lead'
  mux.close(window)
  local ok = views().focus(gui, record)
  fake.same(ok, nil)
  fake.same(require('wezterm_parallel.panes').find 'api/lead', nil)
end

function T.the_dashboard_is_opened_once()
  local gui = fresh()
  fake.same(views().show_dashboard(gui), true)
  fake.same(views().show_dashboard(gui), true)
  fake.same(mux.picture 'default', 'shell | dashboard')
end

--- Enter was pressed twice, or a daemon took its time to start: the second one came back with a plan for a
--- workspace that was open by then, and opened its shells and commands once more.
function T.two_attempts_at_once_open_one_workspace()
  local gui = fresh()
  local threads = {}
  local asked = 0
  mux.answers['layout.plan'] = function()
    asked = asked + 1
    -- the second plan comes when the first one has been carried out
    for _ = 1, asked == 2 and 100 or 1 do
      coroutine.yield()
    end
    return plan('api', { { split = 'right', panes = { { process = 'a' }, {}, { command = { 'htop' } } } } })
  end
  mux.slept = function()
    if coroutine.isyieldable() then
      coroutine.yield()
    end
  end
  for i = 1, 2 do
    threads[i] = coroutine.create(function()
      local ok, problem = views().show_workspace(gui, 'api')
      assert(ok, problem)
    end)
  end
  local alive = true
  while alive do
    alive = false
    for _, thread in ipairs(threads) do
      if coroutine.status(thread) ~= 'dead' then
        assert(coroutine.resume(thread))
        alive = true
      end
    end
  end
  mux.slept = nil
  fake.same(mux.picture 'api', 'api/a shell htop')
  fake.same(mux.active_workspace, 'api')
end

function T.a_workspace_that_is_being_opened_is_waited_for()
  local gui = fresh()
  mux.answers['layout.plan'] = plan('api', DEV)
  fake.wezterm.GLOBAL.wezterm_parallel_opening_api = os.time()
  mux.slept = function()
    fake.wezterm.GLOBAL.wezterm_parallel_opening_api = nil
  end
  local ok = views().show_workspace(gui, 'api')
  mux.slept = nil
  fake.same(ok, true)
end

--- Two handlers that wait for their turn at the same time come out of it at the same time.
function T.changes_of_two_handlers_come_one_after_the_other_too()
  fresh()
  local panes = require 'wezterm_parallel.panes'
  local window = mux.window 'api'
  local one = window.active.active
  local other = select(2, panes.change(one.split, one, { direction = 'Right', size = 0.5 }))
  mux.fights = 0
  local threads = {}
  mux.slept = function()
    -- WezTerm has heard of what was changed before anybody waited, and wakes all that wait after that
    coroutine.yield()
  end
  for i, pane in ipairs { one, other } do
    threads[i] = coroutine.create(function()
      panes.activate(pane)
    end)
  end
  local rounds = 0
  while coroutine.status(threads[1]) ~= 'dead' or coroutine.status(threads[2]) ~= 'dead' do
    rounds = rounds + 1
    assert(rounds < 20)
    for _, thread in ipairs(threads) do
      if coroutine.status(thread) ~= 'dead' then
        assert(coroutine.resume(thread))
      end
    end
  end
  mux.slept = nil
  fake.same(mux.fights, 0)
end

function T.a_pane_of_a_mux_server_is_given_time_to_hear_of_its_focus()
  fresh()
  local panes = require 'wezterm_parallel.panes'
  local pane = mux.window('api').active.active
  pane.domain = 'unix'
  local before = fake.now
  panes.activate(pane)
  panes.activate(pane)
  assert(fake.now - before >= 30)
end

--- The process that was asked for is given the focus as its workspace is built, and not after another one.
function T.a_process_of_a_workspace_that_is_not_open_has_the_focus_at_once()
  local gui = fresh()
  mux.answers['layout.plan'] =
    plan('api', { { split = 'right', panes = { { process = 'a', focus = true }, { process = 'b' } } } })
  local panes, count = require 'wezterm_parallel.panes', 0
  local activate = panes.activate
  panes.activate = function(...)
    count = count + 1
    return activate(...)
  end
  fake.same(views().show_process(gui, 'api/b'), true)
  panes.activate = activate
  fake.same(count, 1)
  fake.same(mux.windows[2].active.active.spawn.args[3], 'api/b')
end

--- What was remembered of each pane that was ever opened stayed in wezterm.GLOBAL as long as the GUI lived.
function T.what_is_known_of_panes_that_are_gone_is_forgotten()
  mux.fresh()
  local panes = require 'wezterm_parallel.panes'
  local windows = {}
  for i = 1, 3 do
    windows[i] = mux.window 'api'
    panes.remember(windows[i].active.active, { shows = 'api/p' .. i })
  end
  mux.close(windows[1])
  mux.close(windows[2])
  local last = mux.window('api').active.active
  panes.remember(last, { shows = 'api/last' })
  local remembered = {}
  for key in pairs(fake.global) do
    local id = key:match 'pane_(%d+)$'
    if id then
      table.insert(remembered, tonumber(id))
    end
  end
  table.sort(remembered)
  fake.same(table.concat(remembered, ' '), windows[3].active.active.id .. ' ' .. last.id)
  fake.same(panes.shows(windows[3].active.active), 'api/p3')
end

return T
