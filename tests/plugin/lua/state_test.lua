local fake = require 'fake'
local T = {}

local function state(views)
  fake.fresh()
  local module = require 'wezterm_parallel.state'
  module.apply { seq = 1, daemon = 'D', whole = true, processes = views or {} }
  return module
end

local function mood(given)
  local module = state()
  return module.mood(fake.process('api/lead', given))
end

function T.every_state_and_status_has_a_mood_with_a_glyph_a_color_and_an_urgency()
  local wire = require 'wezterm_parallel.wire'
  local module = state()
  local glyphs = require 'wezterm_parallel.glyphs'
  local colors = require 'wezterm_parallel.colors'
  for _, name in ipairs(wire.states) do
    for i = 0, #wire.statuses do
      local it = module.mood(fake.process('a/b', { state = name, status = wire.statuses[i] or false }))
      assert(module.URGENCY[it], it)
      assert(colors.ROLES[it], it)
      for _, set in ipairs { 'nerd', 'unicode', 'ascii' } do
        assert(glyphs.set(set)[it], set .. it)
      end
      assert(module.summary()[it], it)
    end
  end
end

function T.a_mood_is_what_matters_most()
  fake.same(mood { status = 'working' }, 'working')
  fake.same(mood { status = 'blocked(question)' }, 'needs_you')
  fake.same(mood { status = 'working', asks = 1 }, 'needs_you')
  fake.same(mood { unread = true }, 'unread')
  fake.same(mood { status = 'working', unread = true }, 'working')
  fake.same(mood { state = 'crash_loop', status = false }, 'failed')
  fake.same(mood { status = 'error' }, 'failed')
  fake.same(mood { state = 'backoff', status = false }, 'restarting')
  fake.same(mood { status = 'rate_limited' }, 'limited')
  fake.same(mood { status = false }, 'running')
  fake.same(mood { state = 'exited', status = false }, 'stopped')
  fake.same(mood { status = 'of a newer release' }, 'unknown')
end

function T.news_replace_what_they_name_and_leave_the_rest()
  local module = state { fake.process 'api/lead', fake.process 'api/tests' }
  local before = module.version()
  module.apply { seq = 2, daemon = 'D', processes = { fake.process('api/lead', { status = 'working' }) } }
  fake.same(#module.processes(), 2)
  fake.same(module.process('api/lead').status, 'working')
  assert(module.version() > before)
  module.apply { seq = 3, daemon = 'D', removed = { 'IDapi/tests' } }
  fake.same(module.process 'api/tests', nil)
  fake.same(#module.processes(), 1)
end

function T.whole_news_forget_what_they_do_not_name()
  local module = state { fake.process 'api/lead' }
  module.apply { seq = 9, daemon = 'E', whole = true, processes = { fake.process 'web/x' } }
  fake.same(#module.processes(), 1)
  fake.same(module.process 'api/lead', nil)
end

function T.a_renamed_process_is_found_by_its_new_name_alone()
  local module = state { fake.process 'api/lead' }
  local renamed = fake.process 'api/lead'
  renamed.workspace = 'core'
  module.apply { seq = 2, daemon = 'D', processes = { renamed } }
  fake.same(module.process 'api/lead', nil)
  assert(module.process 'core/lead')
end

function T.the_most_urgent_comes_first_and_then_the_one_that_waits_longest()
  local module = state {
    fake.process('a/unread', { unread = true, status_since = 1 }),
    fake.process('a/late', { status = 'blocked(question)', status_since = 9 }),
    fake.process('a/early', { status = 'blocked(permission)', status_since = 3 }),
    fake.process('a/dead', { state = 'failed', status = false }),
    fake.process('a/busy', { status = 'working' }),
    fake.process 'a/idle',
  }
  local names = {}
  for _, view in ipairs(module.needs_me()) do
    names[#names + 1] = view.name
  end
  fake.same(table.concat(names, ' '), 'early late dead unread')
end

function T.the_summary_counts_and_adds_up()
  local module = state {
    fake.process('a/1', { status = 'working', usage = { cost_usd = 1.5 } }),
    fake.process('a/2', { status = 'working', usage = { cost_usd = 0.25 } }),
    fake.process('b/3', { status = 'blocked(trust)' }),
    fake.process 'b/4',
  }
  module.apply {
    seq = 2,
    daemon = 'D',
    accounts = {
      { account = 'a', windows = { { name = 'five_hour', used_percent = 12 }, { name = 'seven_day' } } },
      { account = 'b', windows = { { name = 'five_hour', used_percent = 91.5 } } },
    },
  }
  local summary = module.summary()
  fake.same(summary.working, 2)
  fake.same(summary.needs_you, 1)
  fake.same(summary.idle, 1)
  fake.same(summary.total, 4)
  fake.same(summary.cost_usd, 1.75)
  fake.same(summary.limit_name, 'five_hour')
  fake.same(summary.limit_percent, 91.5)
end

function T.what_is_known_stays_when_the_daemon_is_gone()
  local module = state { fake.process 'api/lead' }
  assert(module.connected())
  assert(module.lost())
  assert(not module.lost(), 'it is lost once')
  assert(not module.connected())
  fake.same(#module.processes(), 1)
end

return T
