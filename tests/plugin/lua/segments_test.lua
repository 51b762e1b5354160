local fake = require 'fake'
local T = {}

local function segments(given, views)
  fake.fresh()
  local options = require 'wezterm_parallel.options'
  options.set((options.check(given)))
  fake.windows = { fake.window(1) }
  if views then
    require('wezterm_parallel.state').apply { seq = 1, daemon = 'D', whole = true, processes = views }
  end
  return require 'wezterm_parallel.segments', fake.windows[1]
end

--- News have come, after a while in which there were none.
local function redraw(module)
  fake.now = fake.now + 1000
  module.redraw()
end

local function texts(pieces)
  local list = {}
  for _, piece in ipairs(pieces) do
    list[#list + 1] = piece.text
  end
  return table.concat(list, ', ')
end

local SIX = {
  fake.process('a/1', { status = 'working', usage = { cost_usd = 1.234 } }),
  fake.process('a/2', { status = 'working' }),
  fake.process('a/3', { status = 'working' }),
  fake.process('a/4', { status = 'blocked(question)' }),
  fake.process 'a/5',
  fake.process 'a/6',
}

function T.the_line_says_what_works_what_needs_you_and_what_rests()
  local module = segments({ status_cost = false }, SIX)
  fake.same(texts(module.pieces()), '3 working, 1 needs you, 2 idle')
end

function T.cost_and_the_fullest_limit_are_told_where_they_are_known()
  local module = segments({}, SIX)
  local accounts = { { account = 'a', windows = { { name = 'five_hour', used_percent = 82.6 } } } }
  require('wezterm_parallel.state').apply { seq = 2, daemon = 'D', accounts = accounts }
  local pieces = module.status_segments()
  fake.has(texts(pieces), '$1.23, 5h 83%')
  fake.same(pieces[5].role, 'limited')
  fake.same(pieces[5].value, 82.6)
  fake.same(pieces[1].color, require('wezterm_parallel.colors').any().working)
  module = segments({ status_cost = false, status_limits = false }, SIX)
  require('wezterm_parallel.state').apply { seq = 2, daemon = 'D', accounts = accounts }
  fake.same(texts(module.pieces()), '3 working, 1 needs you, 2 idle')
end

function T.tasks_that_run_wait_and_failed_are_told_and_nothing_where_there_are_none()
  local module = segments({ status_cost = false }, SIX)
  local state = require 'wezterm_parallel.state'
  local function tasks(counts)
    state.apply { seq = 2, daemon = 'D', tasks = counts }
    local parts = {}
    for _, piece in ipairs(module.pieces()) do
      if piece.name:find '^tasks' then
        table.insert(parts, piece.text)
      end
    end
    return table.concat(parts, ' · ')
  end
  fake.same(tasks(nil), '')
  fake.same(tasks { running = 2, queued = 4, waiting = 1, failed = 1, done = 7 }, '2 tasks · 5 queued · 1 failed')
  fake.same(tasks(nil), '2 tasks · 5 queued · 1 failed')
  fake.same(tasks { running = 1 }, '1 task')
  fake.same(tasks { failed = 1, done = 3 }, '1 task failed')
  fake.same(tasks { failed = 2 }, '2 tasks failed')
  fake.same(tasks { done = 2 }, '')
  tasks { running = 2 }
  -- of a daemon that has none
  state.apply { seq = 1, daemon = 'E', whole = true, processes = SIX }
  fake.same(texts(module.pieces()), '3 working, 1 needs you, 2 idle')
  module = segments({ status_cost = false, status_tasks = false }, SIX)
  state = require 'wezterm_parallel.state'
  fake.same(tasks { running = 2 }, '')
end

function T.what_is_wrong_comes_first_and_is_cut()
  local module = segments({ glyphs = 'ascii' }, SIX)
  require('wezterm_parallel.problems').set('config', ('é'):rep(200))
  local piece = module.pieces()[1]
  fake.same(piece.name, 'problem')
  fake.same(utf8.len(piece.text), 62)
end

function T.the_line_is_drawn_at_once_on_the_side_that_was_chosen()
  local module, window = segments({ status_cost = false }, SIX)
  redraw(module)
  fake.has(window.right, ' 3 working · 1 needs you · 2 idle ')
  module, window = segments({ status = 'left', glyphs = 'ascii' }, SIX)
  redraw(module)
  fake.has(window.left, '3 working | 1 needs you')
  fake.same(window.right, nil)
  module, window = segments({ status = false }, SIX)
  redraw(module)
  fake.same(window.right, nil)
end

function T.news_of_a_title_change_the_text_so_that_titles_are_drawn_too()
  local module, window = segments({ status_cost = false }, SIX)
  redraw(module)
  local first = window.right
  -- the same figures, but of others
  local one, other = fake.process 'a/1', fake.process('a/5', { status = 'working' })
  require('wezterm_parallel.state').apply { seq = 2, daemon = 'D', processes = { one, other } }
  redraw(module)
  assert(window.right ~= first)
  fake.same(window.right:gsub('\x1b%[0m', ''), first:gsub('\x1b%[0m', ''))
  -- but not each second
  local before = window.right
  module.draw(window)
  fake.same(window.right, before)
end

--- Each word of each agent had the whole window painted.
function T.news_that_nothing_on_the_glass_is_made_of_paint_nothing()
  local module, window = segments({ status_cost = false }, SIX)
  redraw(module)
  local before = window.right
  local one = fake.process('a/1', { status = 'working', title = 'another', attached = 1 })
  require('wezterm_parallel.state').apply { seq = 2, daemon = 'D', processes = { one } }
  redraw(module)
  fake.same(window.right, before)
end

function T.with_nothing_to_say_the_users_own_line_stays()
  local module, window = segments({}, {})
  redraw(module)
  fake.same(window.drawn, nil)
end

function T.what_was_drawn_is_erased_once_when_there_is_nothing_more_to_say()
  local module, window = segments({}, SIX)
  redraw(module)
  require('wezterm_parallel.state').apply { seq = 2, daemon = 'D', whole = true }
  redraw(module)
  fake.same(window.right, '')
  fake.same(window.drawn, 2)
  redraw(module)
  fake.same(window.drawn, 2)
end

function T.a_window_that_is_gone_harms_no_other()
  local module, window = segments({}, SIX)
  local gone = fake.window(2, {
    window_id = function()
      error 'window 2 not found in mux'
    end,
  })
  fake.windows = { gone, window }
  redraw(module)
  fake.has(window.right, 'working')
end

function T.the_palette_is_asked_for_once_a_window_and_anew_after_a_reload()
  local module, window = segments({}, SIX)
  window.palette = { foreground = '#111111', ansi = { '1', '2', 'green!', '4', '5', '6', '7', '8' } }
  for _ = 1, 5 do
    module.draw(window)
  end
  fake.same(window.asked, 1)
  fake.same(require('wezterm_parallel.colors').of(window).working, 'green!')
  require('wezterm_parallel.colors').forget()
  module.draw(window)
  fake.same(window.asked, 2)
end

function T.figures_of_a_daemon_that_is_gone_have_the_color_of_the_past()
  local module = segments({}, SIX)
  local colors = require('wezterm_parallel.colors').any()
  local pieces = module.pieces()
  local fresh = module.format_items(pieces, colors, { separator = ' ' }, true)
  local stale = module.format_items(pieces, colors, { separator = ' ' }, false)
  fake.same(fresh[1].Foreground.Color, colors.working)
  fake.same(stale[1].Foreground.Color, colors.muted)
end

function T.the_users_own_colors_win()
  segments { colors = { working = '#123456' } }
  fake.same(require('wezterm_parallel.colors').from({ ansi = {} }).working, '#123456')
end

--- Fifty busy agents had WezTerm paint its windows as often as it could.
function T.news_that_follow_one_another_are_drawn_four_times_a_second()
  local module, window = segments({ status_cost = false }, SIX)
  redraw(module)
  local function news(n)
    local status = n % 2 == 0 and 'working' or 'idle'
    require('wezterm_parallel.state').apply {
      seq = n,
      daemon = 'D',
      processes = { fake.process('a/1', { status = status }) },
    }
    module.redraw()
  end
  fake.same(window.drawn, 1)
  news(1)
  fake.same(window.drawn, 1)
  fake.same(#fake.after, 1)
  local thread, waits = fake.begin_after()
  for n = 2, 100 do
    news(n)
  end
  fake.same(#fake.after, 0)
  fake.same(waits.sleep, 250)
  waits = fake.go_on(thread)
  fake.same(window.drawn, 2)
  fake.has(window.right, '3 working')
  -- nothing more has come: it is over, and the next news are drawn at once
  fake.same(waits, nil)
  fake.now = fake.now + 250
  news(101)
  fake.same(window.drawn, 3)
  fake.has(window.right, '2 working')
end

function T.a_redraw_that_a_reload_has_taken_is_not_waited_for()
  local module, window = segments({}, SIX)
  redraw(module)
  module.redraw()
  fake.same(#fake.after, 1)
  fake.after = {}
  fake.now = fake.now + 3000
  module.redraw()
  fake.same(window.drawn, 2)
end

return T
