local fake = require 'fake'
local T = {}

local function titles(given, views)
  fake.fresh()
  local options = require 'wezterm_parallel.options'
  options.set((options.check(given)))
  require('wezterm_parallel.state').apply { seq = 1, daemon = 'D', whole = true, processes = views or {} }
  -- panes that were just opened are known by their number
  local known = { [77] = { shows = 'api/new' }, [78] = { title = 'notes' } }
  package.loaded['wezterm_parallel.panes'].memory_of = function(id)
    return known[id]
  end
  return require 'wezterm_parallel.titles'
end

local function pane(shows, given)
  local it = {
    pane_id = 1,
    is_active = false,
    is_zoomed = false,
    title = 'bash',
    user_vars = { wezterm_parallel = shows },
  }
  for key, value in pairs(given or {}) do
    it[key] = value
  end
  return it
end

local function tab(panes, given)
  local it = { tab_index = 0, tab_title = '', panes = panes, active_pane = panes[1] }
  panes[1].is_active = true
  for key, value in pairs(given or {}) do
    it[key] = value
  end
  return it
end

local CLASSIC = { use_fancy_tab_bar = false, show_tab_index_in_tab_bar = true }

local function text(items)
  local all = ''
  for _, item in ipairs(items) do
    all = all .. (item.Text or '')
  end
  return all
end

local VIEWS = {
  fake.process('api/lead', { status = 'working' }),
  fake.process('api/tests', { status = 'blocked(permission)' }),
  fake.process('api/docs', { unread = true }),
}

function T.a_tab_without_processes_is_left_to_wezterm()
  local module = titles()
  fake.same(module.format(tab { pane(nil) }, CLASSIC, 20), nil)
  fake.same(module.format(tab { pane 'dashboard' }, CLASSIC, 20), nil)
end

function T.a_tab_has_the_sign_of_its_process_and_its_name()
  local module = titles({}, VIEWS)
  fake.same(text(module.format(tab { pane 'api/lead' }, CLASSIC, 30)), ' 1: ● lead ')
  fake.same(text(module.format(tab { pane 'api/docs' }, CLASSIC, 30)), ' 1: ◆ docs ')
end

function T.the_worst_of_several_counts()
  local module = titles({ glyphs = 'ascii' }, VIEWS)
  local it = tab { pane 'api/lead', pane 'api/docs', pane 'api/tests' }
  fake.same(text(module.format(it, CLASSIC, 30)), ' 1: ! lead ')
end

function T.a_title_that_was_given_to_the_tab_stays()
  local module = titles({}, VIEWS)
  local it = tab({ pane 'api/lead' }, { tab_title = 'my tab' })
  fake.same(text(module.format(it, CLASSIC, 30)), ' 1: ● my tab ')
end

function T.the_active_pane_names_the_tab_also_if_it_is_a_shell()
  local module = titles({}, VIEWS)
  fake.same(text(module.format(tab { pane(nil, { title = 'vim' }), pane 'api/lead' }, CLASSIC, 30)), ' 1: ● vim ')
end

function T.a_zoomed_tab_is_marked()
  local module = titles({}, VIEWS)
  fake.same(text(module.format(tab { pane('api/lead', { is_zoomed = true }) }, CLASSIC, 30)), ' 1: ● lead + ')
end

function T.the_index_and_the_spaces_follow_the_users_tab_bar()
  local module = titles({}, VIEWS)
  local it = tab({ pane 'api/lead' }, { tab_index = 2 })
  local zero = { show_tab_index_in_tab_bar = true, tab_and_split_indices_are_zero_based = true }
  zero.use_fancy_tab_bar = true
  fake.same(text(module.format(it, zero, 30)), '2: ● lead')
  fake.same(text(module.format(it, { use_fancy_tab_bar = false }, 30)), ' ● lead ')
end

function T.a_long_title_is_cut_to_the_room_there_is()
  local module = titles({}, VIEWS)
  local it = tab({ pane 'api/lead' }, { tab_title = ('ü'):rep(50) })
  fake.same(utf8.len(text(module.format(it, CLASSIC, 16))), 16)
end

function T.a_pane_that_was_just_opened_is_known_by_what_it_was_opened_for()
  local module = titles({}, { fake.process('api/new', { status = 'starting' }) })
  fake.same(text(module.format(tab { pane(nil, { pane_id = 77 }) }, CLASSIC, 30)), ' 1: ◇ new ')
end

function T.a_process_that_nobody_knows_has_the_sign_of_the_unknown()
  local module = titles {}
  fake.same(text(module.format(tab { pane 'api/gone' }, CLASSIC, 30)), ' 1: ? gone ')
end

function T.a_pane_that_a_layout_has_named_names_its_tab_while_it_has_the_focus()
  local module = titles({}, VIEWS)
  local named = { pane_id = 78 }
  fake.same(module.tab_title(tab { pane('api/lead', named) }, 30).title, 'notes')
  fake.same(module.tab_title(tab { pane 'api/lead', pane(nil, named) }, 30).title, 'lead')
  fake.same(module.tab_title(tab({ pane('api/lead', named) }, { tab_title = 'mine' }), 30).title, 'mine')
  -- without a process there is no sign, but there is the name
  fake.same(text(module.format(tab { pane('', named) }, CLASSIC, 30)), ' 1: notes ')
  fake.same(module.format(tab { pane '' }, CLASSIC, 30), nil)
end

return T
