local fake = require 'fake'
local T = {}

local shown

local function intents(keep)
  fake.fresh(keep)
  if not keep then
    shown = {}
  end
  package.loaded['wezterm_parallel.views'] = {
    show_workspace = function(_, name)
      shown[#shown + 1] = name
      if name == 'gone' then
        return nil, 'there is no such workspace'
      elseif name == 'throws' then
        error 'boom'
      elseif name == 'slow' then
        coroutine.yield {}
      end
      return true
    end,
    show_process = function(_, name)
      shown[#shown + 1] = name
      return true
    end,
    show_dashboard = function()
      shown[#shown + 1] = 'dashboard'
      return true
    end,
  }
  return require 'wezterm_parallel.intents'
end

local function intent(id, kind, given)
  local it = { id = id, kind = kind, at = fake.now, expires_at = fake.now + 15000 }
  for key, value in pairs(given or {}) do
    it[key] = value
  end
  return it
end

local WINDOW = fake.window(1)

local function done(module)
  local texts = {}
  for _, it in ipairs(module.done()) do
    texts[#texts + 1] = it.problem and ('%s: %s'):format(it.id, it.problem) or it.id
  end
  return table.concat(texts, ', ')
end

function T.each_kind_is_done_and_acknowledged_in_order()
  local module = intents()
  module.carry_out({
    intent('A', 'show_workspace', { workspace = 'api' }),
    intent('B', 'show_process', { workspace = 'api', process = 'lead' }),
    intent('C', 'show_dashboard'),
  }, WINDOW)
  fake.same(table.concat(shown, ' '), 'api api/lead dashboard')
  fake.same(done(module), 'A, B, C')
end

function T.one_that_comes_again_is_acknowledged_again_and_not_done_again()
  local module = intents()
  local it = intent('A', 'show_workspace', { workspace = 'api' })
  module.carry_out({ it }, WINDOW)
  module.told(module.done())
  fake.same(done(module), '')
  module.carry_out({ it }, WINDOW)
  fake.same(#shown, 1)
  fake.same(done(module), 'A')
end

function T.after_a_reload_of_the_config_it_is_not_done_again()
  local it = intent('A', 'show_workspace', { workspace = 'api' })
  intents().carry_out({ it }, WINDOW)
  local module = intents(true)
  module.carry_out({ it }, WINDOW)
  fake.same(#shown, 1)
  fake.same(done(module), 'A')
end

function T.one_that_the_former_evaluation_is_at_is_left_to_it_and_given_up_when_it_expires()
  local it = intent('A', 'show_workspace', { workspace = 'slow' })
  fake.begin(intents().carry_out, { it }, WINDOW)
  local module = intents(true)
  module.carry_out({ it }, WINDOW)
  fake.same(#shown, 1)
  fake.same(done(module), '')
  fake.now = it.expires_at
  module.carry_out({ it }, WINDOW)
  fake.same(#shown, 1)
  fake.same(done(module), 'A: it was interrupted')
end

function T.what_could_not_be_done_says_why()
  local module = intents()
  module.carry_out({
    intent('A', 'show_workspace', { workspace = 'gone' }),
    intent('B', 'show_workspace', { workspace = 'throws' }),
    intent('C', 'dance'),
    intent('D', 'show_dashboard', { expires_at = fake.now }),
  }, WINDOW)
  local text = done(module)
  fake.has(text, 'A: there is no such workspace')
  fake.has(text, 'B: it failed')
  fake.has(text, 'C: this release of the plugin cannot do that')
  fake.has(text, 'D: it came too late')
  fake.same(table.concat(shown, ' '), 'gone throws')
end

function T.without_a_window_it_says_so()
  local module = intents()
  module.carry_out({ intent('A', 'show_dashboard') }, nil)
  fake.has(done(module), 'no window')
end

function T.what_is_remembered_is_bounded_and_the_oldest_is_forgotten()
  local module = intents()
  for i = 1, 200 do
    module.carry_out({ intent('I' .. i, 'show_dashboard') }, WINDOW)
  end
  fake.same(#module.done(), 64)
  fake.same(module.done()[64].id, 'I200')
end

function T.a_problem_of_several_lines_stays_one()
  local module = intents()
  package.loaded['wezterm_parallel.views'].show_dashboard = function()
    return nil, 'one\ntwo\x1b[2J'
  end
  module.carry_out({ intent('A', 'show_dashboard'), intent('B', 'show_workspace', { workspace = 'x' }) }, WINDOW)
  fake.same(done(module), 'A: one two [2J, B')
end

return T
