local fake = require 'fake'
local T = {}

local feed, state, problems, segments_drawn

local function fresh(keep, given)
  fake.fresh(keep)
  local options = require 'wezterm_parallel.options'
  local all = { binary = '/bin/true' }
  for key, value in pairs(given or {}) do
    all[key] = value
  end
  options.set((options.check(all)))
  segments_drawn = 0
  package.loaded['wezterm_parallel.segments'] = {
    redraw = function()
      segments_drawn = segments_drawn + 1
    end,
  }
  feed = require 'wezterm_parallel.feed'
  state = require 'wezterm_parallel.state'
  problems = require 'wezterm_parallel.problems'
  return feed
end

--- An event comes, and the loop that it asks for begins; gives what the loop waits for.
local function begin()
  feed.poke()
  fake.same(#fake.after, 1)
  return fake.begin_after()
end

local function sent(waits)
  local method, params, words = fake.request(waits.child)
  fake.same(method, 'gui.wait')
  fake.same(words.wait, true)
  return params, words
end

local function news(given)
  local it = { seq = 1, daemon = 'D', whole = true }
  for key, value in pairs(given or {}) do
    it[key] = value
  end
  return fake.answer(it)
end

local GONE = { 'no_daemon', 'the daemon hung up' }
local function gone()
  return fake.refusal(GONE[1], GONE[2], nil, true)
end

function T.nothing_happens_before_the_first_event()
  fresh()
  fake.same(#fake.after, 0)
end

function T.events_begin_one_loop_however_many_come()
  fresh()
  for _ = 1, 5 do
    feed.poke()
  end
  fake.same(#fake.after, 1)
  local _, waits = fake.begin_after()
  for _ = 1, 5 do
    feed.poke()
  end
  fake.same(#fake.after, 0)
  local params = sent(waits)
  fake.same(params.turn, 1)
  fake.same(params.after, nil)
  fake.same(params.pid, 4711)
  fake.same(params.version, fake.wezterm.version)
end

function T.since_when_it_has_heard_from_a_daemon_is_told_also_after_a_reload()
  fresh()
  local thread, waits = begin()
  fake.same(sent(waits).connected_at, nil)
  local first = fake.now
  waits = fake.go_on(thread, news())
  fake.same(sent(waits).connected_at, first)
  fake.now = fake.now + 60000
  fresh(true)
  local _, again = begin()
  fake.same(sent(again).connected_at, first)
end

function T.where_there_are_no_windows_there_is_no_loop()
  fresh()
  fake.wezterm.gui = nil
  feed.poke()
  fake.same(#fake.after, 0)
end

function T.each_call_goes_on_from_the_news_before_it()
  fresh()
  local thread = begin()
  local waits = fake.go_on(thread, news { seq = 7, processes = { fake.process 'api/lead' } })
  assert(state.connected() and state.process 'api/lead')
  fake.same(segments_drawn, 1)
  local params = sent(waits)
  fake.same(params.after, 7)
  fake.same(params.daemon, 'D')
end

function T.a_reload_takes_over_with_a_higher_turn_and_the_old_loop_ends()
  fresh()
  local old = begin()
  local old_feed, old_gui = feed, feed.gui()
  fresh(true)
  fake.same(feed.gui(), old_gui)
  local _, waits = begin()
  fake.same(sent(waits).turn, 2)
  fake.same(sent(waits).after, nil)
  -- the daemon ends the old one's call; it does not make another, and no event brings it back
  fake.same(fake.go_on(old, news { superseded = true }), nil)
  old_feed.poke()
  fake.same(#fake.after, 0)
end

function T.a_reload_takes_over_though_the_clock_was_set_back()
  fresh()
  local old = begin()
  fake.now = fake.now - 3600000
  fresh(true)
  local _, waits = begin()
  fake.same(sent(waits).turn, 2)
  fake.same(fake.go_on(old, news { superseded = true }), nil)
end

function T.news_that_reach_an_old_loop_are_not_lost_as_the_new_one_asks_for_all()
  fresh()
  local old = begin()
  local old_state = state
  fresh(true)
  local _, waits = begin()
  fake.same(fake.go_on(old, news { processes = { fake.process 'api/lead' } }), nil)
  fake.same(#old_state.processes(), 0)
  fake.same(sent(waits).after, nil)
end

function T.an_old_evaluation_that_gets_a_late_event_does_not_take_the_loop_back()
  fresh()
  local old_feed = feed
  fresh(true)
  begin()
  old_feed.poke()
  fake.same(#fake.after, 0)
end

function T.an_evaluation_without_events_takes_nothing()
  fresh()
  local thread = begin()
  -- as for the overrides of a window: it is evaluated, and that is all
  local before = { feed, state, problems, package.loaded['wezterm_parallel.segments'] }
  fresh(true)
  feed, state, problems, package.loaded['wezterm_parallel.segments'] = table.unpack(before)
  local waits = fake.go_on(thread, news())
  fake.same(sent(waits).turn, 1)
end

function T.a_loop_that_wezterm_has_dropped_is_begun_anew()
  fresh()
  feed.poke()
  fake.after = {}
  feed.poke()
  fake.same(#fake.after, 0)
  fake.now = fake.now + 3000
  feed.poke()
  fake.same(#fake.after, 1)
end

function T.the_first_call_starts_the_daemon_and_no_other_does_while_it_lives()
  fresh()
  local thread, waits = begin()
  local _, words = sent(waits)
  fake.same(words.start, true)
  waits = fake.go_on(thread, news())
  _, words = sent(waits)
  fake.same(words.start, nil)
end

function T.without_auto_start_it_is_never_started_and_that_is_said()
  fresh(false, { auto_start = false })
  local thread, waits = begin()
  local _, words = sent(waits)
  fake.same(words.start, nil)
  waits = fake.go_on(thread, fake.refusal('no_daemon', 'no daemon listens'))
  assert(waits.sleep)
  fake.has(problems.first(), 'no daemon answers')
end

function T.in_each_gap_it_is_started_once()
  fresh()
  local thread = begin()
  fake.go_on(thread, news())
  local starts, sleeps = 0, {}
  local waits = fake.go_on(thread, gone())
  for _ = 1, 8 do
    sleeps[#sleeps + 1] = waits.sleep
    waits = fake.go_on(thread)
    local _, words = sent(waits)
    starts = starts + (words.start and 1 or 0)
    waits = fake.go_on(thread, fake.refusal('no_daemon', 'no daemon listens'))
  end
  fake.same(starts, 1)
  fake.same(table.concat(sleeps, ' '), '200 400 800 1600 3200 5000 5000 5000')
  fake.go_on(thread)
  waits = fake.go_on(thread, news { daemon = 'E' })
  local params, words = sent(waits)
  fake.same(words.start, nil)
  fake.same(params.daemon, 'E')
  waits = fake.go_on(thread, gone())
  assert(waits.sleep)
  waits = fake.go_on(thread)
  fake.same(select(2, sent(waits)).start, true)
end

function T.a_reload_in_a_gap_starts_nothing_once_more()
  fresh()
  local thread = begin()
  fake.go_on(thread, fake.refusal('no_daemon', 'it cannot be started'))
  fresh(true)
  local _, waits = begin()
  local _, words = sent(waits)
  fake.same(words.start, nil)
end

function T.a_daemon_that_somebody_stopped_is_left_stopped()
  fresh()
  local thread = begin()
  fake.go_on(thread, news())
  local waits = fake.go_on(thread, fake.refusal('shutting_down', 'the daemon is shutting down', nil, true))
  assert(waits.sleep)
  fake.has(problems.first(), 'was stopped')
  waits = fake.go_on(thread)
  local _, words = sent(waits)
  fake.same(words.start, nil)
end

function T.a_loop_that_sleeps_is_followed_by_another_one_as_soon_as_a_daemon_answers_anything()
  fresh()
  local old = begin()
  fake.go_on(old, fake.refusal('no_daemon', 'no daemon listens'))
  feed.poke()
  fake.same(#fake.after, 0)
  local thread = fake.begin(require('wezterm_parallel.relay').ask, 'process.list', {})
  fake.go_on(thread, fake.answer {})
  local _, waits = begin()
  sent(waits)
  -- the one that slept ends without a further call
  fake.same(fake.go_on(old), nil)
  feed.poke()
  fake.same(#fake.after, 0)
end

function T.one_that_wakes_before_its_follower_has_begun_ends_too()
  fresh()
  local old = begin()
  fake.go_on(old, fake.refusal('no_daemon', 'no daemon listens'))
  local thread = fake.begin(require('wezterm_parallel.relay').ask, 'process.list', {})
  fake.go_on(thread, fake.answer {})
  feed.poke()
  fake.same(fake.go_on(old), nil)
  local _, waits = fake.begin_after()
  sent(waits)
end

function T.a_loop_that_sleeps_while_the_config_is_reloaded_ends_without_a_further_call()
  fresh()
  local old = begin()
  fake.go_on(old, fake.refusal('no_daemon', 'no daemon listens'))
  fresh(true)
  begin()
  fake.same(fake.go_on(old), nil)
end

function T.a_daemon_that_is_gone_for_a_moment_is_no_problem_and_one_that_stays_gone_is_said_once()
  fresh()
  local thread = begin()
  fake.go_on(thread, news { processes = { fake.process 'api/lead' } })
  fake.go_on(thread, gone())
  fake.same(problems.first(), nil)
  assert(not state.connected() and state.process 'api/lead')
  fake.go_on(thread)
  fake.go_on(thread, fake.refusal('no_daemon', 'no daemon listens'))
  fake.has(problems.first(), 'no daemon answers')
  fake.same(#problems.untold(), 1)
  for _ = 1, 5 do
    fake.go_on(thread)
    fake.go_on(thread, fake.refusal('no_daemon', 'no daemon listens'))
    fake.same(#problems.untold(), 0)
  end
  fake.go_on(thread)
  fake.go_on(thread, news { daemon = 'E' })
  fake.same(problems.first(), nil)
  assert(state.connected())
end

function T.a_daemon_of_another_protocol_is_asked_seldom_and_said()
  fresh()
  local thread = begin()
  local waits = fake.go_on(thread, fake.refusal('bad_hello', 'no common protocol version', 'restart the daemon'))
  fake.same(waits.sleep, 30000)
  fake.has(problems.first(), 'no common protocol version (restart the daemon)')
end

function T.a_broken_config_is_a_problem_for_as_long_as_it_is_broken()
  fresh()
  local thread = begin()
  fake.go_on(thread, news { problem = 'config.yaml:3:7: unknown key' })
  fake.has(problems.first(), 'config.yaml:3:7')
  fake.go_on(thread, news { seq = 2 })
  fake.same(problems.first(), nil)
end

function T.without_an_executable_the_loop_rests_and_events_look_again()
  fresh(false, { binary = '/nowhere/wezterm-parallel' })
  feed.poke()
  local _, waits = fake.begin_after()
  fake.same(waits, nil)
  fake.has(problems.first(), '/nowhere/wezterm-parallel')
  feed.poke()
  fake.same(#fake.after, 0)
  fake.now = fake.now + 400
  feed.poke()
  fake.same(#fake.after, 1)
end

function T.news_that_follow_others_closely_are_taken_together()
  fresh()
  local thread = begin()
  local waits = fake.go_on(thread, news())
  sent(waits)
  fake.now = fake.now + 30
  waits = fake.go_on(thread, news { seq = 2 })
  fake.same(waits.sleep, 10)
  waits = fake.go_on(thread)
  sent(waits)
  fake.now = fake.now + 200
  waits = fake.go_on(thread, news { seq = 3 })
  sent(waits)
end

--- The loop waits for news, and beside it something is told to have been done; gives what that waits for.
local function beside(waits)
  fake.same(sent(waits).done, nil)
  local thread, told = fake.begin_after()
  local method, params = fake.request(told.child)
  fake.same(method, 'gui.focus')
  return thread, params
end

function T.what_was_done_is_told_at_once_while_the_loop_waits()
  fresh()
  local thread = begin()
  local intent = { id = 'A', kind = 'dance', at = fake.now, expires_at = fake.now + 1000 }
  local waits = fake.go_on(thread, news { intents = { intent } })
  local telling, params = beside(waits)
  fake.same(params.done[1].id, 'A')
  fake.same(fake.go_on(telling, fake.answer {}), nil)
  fake.now = fake.now + 200
  waits = fake.go_on(thread, news { seq = 2 })
  fake.same(sent(waits).done, nil)
end

function T.what_could_not_be_told_goes_with_the_next_call_until_it_has_arrived()
  fresh()
  local thread = begin()
  local intent = { id = 'A', kind = 'dance', at = fake.now, expires_at = fake.now + 1000 }
  local waits = fake.go_on(thread, news { intents = { intent } })
  local telling = beside(waits)
  fake.same(fake.go_on(telling, gone()), nil)
  waits = fake.go_on(thread, gone())
  assert(waits.sleep)
  waits = fake.go_on(thread)
  fake.same(sent(waits).done[1].id, 'A')
  -- it is not known whether this one arrived
  waits = fake.go_on(thread, gone())
  assert(waits.sleep)
  waits = fake.go_on(thread)
  fake.same(sent(waits).done[1].id, 'A')
  waits = fake.go_on(thread, news { seq = 2 })
  fake.same(sent(waits).done, nil)
end

function T.an_error_of_ours_ends_no_loop()
  fresh()
  local thread = begin()
  package.loaded['wezterm_parallel.segments'].redraw = function()
    error 'boom'
  end
  local waits = fake.go_on(thread, news())
  fake.same(waits.sleep, 5000)
  fake.has(table.concat(fake.logged, '\n'), 'boom')
  waits = fake.go_on(thread)
  sent(waits)
end

-- the focus

local function connect()
  fresh()
  local thread = begin()
  fake.go_on(thread, news())
  return thread
end

function T.a_focus_that_changes_is_told_and_only_one_call_is_under_way()
  connect()
  local window = fake.window(1, { workspace = 'api' })
  fake.run(feed.focus, window, true)
  fake.same(#fake.after, 1)
  local thread, waits = fake.begin_after()
  local method, params = fake.request(waits.child)
  fake.same(method, 'gui.focus')
  fake.same(params.workspace, 'api')
  fake.same(params.focused_at, fake.now)
  fake.now = fake.now + 5
  window.workspace = 'web'
  fake.run(feed.focus, window, true)
  fake.same(#fake.after, 0)
  waits = fake.go_on(thread, fake.answer {})
  params = select(2, fake.request(waits.child))
  fake.same(params.workspace, 'web')
  fake.same(params.focused_at, fake.now)
  fake.same(fake.go_on(thread, fake.answer {}), nil)
end

function T.what_has_not_changed_is_not_told()
  connect()
  local window = fake.window(1, { workspace = 'api' })
  fake.run(feed.focus, window, false)
  local thread = fake.begin_after()
  fake.go_on(thread, fake.answer {})
  for _ = 1, 5 do
    fake.run(feed.focus, window, false)
  end
  fake.same(#fake.after, 0)
end

function T.without_a_daemon_the_focus_is_kept_for_the_next_call()
  fresh()
  fake.run(feed.focus, fake.window(1, { workspace = 'api' }), true)
  fake.same(#fake.after, 0)
  local _, waits = begin()
  local params = sent(waits)
  fake.same(params.workspace, 'api')
  fake.same(params.focused_at, fake.now)
end

return T
