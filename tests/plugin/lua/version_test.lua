local fake = require 'fake'
local T = {}

function T.releases_are_compared_by_their_numbers()
  fake.fresh()
  local compare = require('wezterm_parallel.version').compare
  fake.same(compare('0.1.0', '0.1.0'), 0)
  fake.same(compare('0.9.0', '0.10.0'), -1)
  fake.same(compare('1.0.0', '0.10.9'), 1)
  fake.same(compare('v1.2.3-rc1', '1.2.3'), 0)
  fake.same(compare('unknown', '1.2.3'), nil)
end

function T.each_difference_says_what_to_do()
  local problem = require('wezterm_parallel.version').problem
  fake.same(problem('0.1.0', '0.1.0'), nil)
  fake.has(problem('0.2.0', '0.1.0'), 'update the plugin')
  fake.has(problem('0.1.0', '0.2.0'), 'install the executable')
  fake.has(problem('nil', '0.2.0'), 'install the executable')
end

return T
