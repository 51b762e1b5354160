local fake = require 'fake'
local T = {}

local function problems(keep)
  fake.fresh(keep)
  return require 'wezterm_parallel.problems'
end

function T.the_one_that_matters_most_is_first()
  local module = problems()
  module.set('config', 'line 3')
  module.set('executable', 'missing')
  fake.same(module.first(), 'missing')
  module.set('executable', nil)
  fake.same(module.first(), 'line 3')
end

function T.each_is_told_once_also_over_a_reload()
  local module = problems()
  module.set('options', 'wrong')
  fake.same(#module.untold(), 1)
  fake.same(#module.untold(), 0)
  module = problems(true)
  module.set('options', 'wrong')
  fake.same(#module.untold(), 0)
  module.set('options', 'wrong in another way')
  fake.same(#module.untold(), 1)
end

function T.one_that_was_put_right_and_comes_back_is_told_again()
  local module = problems()
  module.set('daemon', 'gone')
  module.untold()
  module = problems(true)
  module.set('daemon', nil)
  module.set('daemon', 'gone')
  fake.same(#module.untold(), 1)
end

return T
