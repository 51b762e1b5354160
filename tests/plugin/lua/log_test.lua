local fake = require 'fake'
local T = {}

function T.the_same_line_is_written_once_a_minute()
  fake.fresh()
  local log = require 'wezterm_parallel.log'
  for _ = 1, 10 do
    log.error 'boom'
  end
  log.warn 'other'
  fake.same(#fake.logged, 2)
  fake.same(fake.logged[1], 'error wezterm-parallel: boom')
end

function T.lines_that_differ_each_time_do_not_fill_the_memory()
  fake.fresh()
  local log = require 'wezterm_parallel.log'
  for i = 1, 1000 do
    log.warn('line ' .. i)
  end
  log.warn 'line 1000'
  fake.same(#fake.logged, 1000)
end

function T.the_rest_is_written_only_where_it_is_asked_for()
  fake.fresh()
  local log = require 'wezterm_parallel.log'
  log.debug 'x'
  fake.same(#fake.logged, 0)
  log.set_debug(true)
  log.debug 'x'
  fake.same(#fake.logged, 1)
end

function T.what_a_handler_throws_goes_to_the_log_and_no_further()
  fake.fresh()
  local safe = require 'wezterm_parallel.safe'
  safe.handler('update-status', function()
    error 'boom'
  end)()
  fake.has(fake.logged[1], 'update-status: ')
  local format = safe.formatter('format', function(x)
    return x, nil, 3
  end)
  local a, b, c = format(1)
  assert(a == 1 and b == nil and c == 3)
  fake.same(select('#', safe.formatter('format', error) 'x'), 0)
end

return T
