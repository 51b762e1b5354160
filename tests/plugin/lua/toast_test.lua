local fake = require 'fake'
local T = {}

local function toast(given)
  fake.fresh()
  local options = require 'wezterm_parallel.options'
  options.set((options.check(given)))
  fake.windows = { fake.window(1, { focused = true }) }
  return require 'wezterm_parallel.toast', fake.windows[1]
end

local ASKS = { id = 'A', kind = 'toast', workspace = 'api', process = 'lead', title = 'api/lead asks', text = 'Bash' }

function T.a_toast_is_on_the_desktop_and_for_a_while_in_the_segment()
  local module, window = toast()
  fake.same(module.intent(window, ASKS), true)
  fake.same(window.toasts[1].title, 'api/lead asks')
  fake.same(window.toasts[1].text, 'Bash')
  fake.same(window.toasts[1].ms, 10000)
  fake.has(window.right, 'api/lead asks: Bash')
  fake.same(module.current(), 'api/lead asks: Bash')
  fake.now = fake.now + 10000
  fake.same(module.current(), nil)
end

function T.a_config_that_was_refused_is_told_by_one_toast_whoever_is_the_first()
  local module, window = toast()
  local problems = require 'wezterm_parallel.problems'
  local refused = { id = 'B', kind = 'toast', about = 'config', title = 'the config was refused', text = 'line 3' }
  problems.set('config', 'line 3')
  module.intent(window, refused)
  fake.same(#window.toasts, 1)
  fake.same(#problems.untold(), 0)
  problems.set('config', 'line 4')
  fake.same(#problems.untold(), 1)
  module.intent(window, refused)
  fake.same(#window.toasts, 1)
end

function T.there_is_none_for_what_one_looks_at()
  local module, window = toast()
  window.pane = { showing = 'api/lead' }
  fake.same(module.intent(window, ASKS), true)
  fake.same(#window.toasts, 0)
  fake.same(module.current(), nil)
end

function T.there_is_one_if_the_window_with_that_pane_has_not_the_focus()
  local module, window = toast()
  window.pane, window.focused = { showing = 'api/lead' }, false
  module.intent(window, ASKS)
  fake.same(#window.toasts, 1)
end

function T.each_place_can_be_switched_off()
  local module, window = toast { toasts = 'status' }
  module.intent(window, ASKS)
  fake.same(#window.toasts, 0)
  assert(module.current())
  module, window = toast { toasts = 'desktop' }
  module.intent(window, ASKS)
  fake.same(#window.toasts, 1)
  fake.same(module.current(), nil)
  module, window = toast { toasts = false }
  module.intent(window, ASKS)
  fake.same(#window.toasts, 0)
  fake.same(module.current(), nil)
end

function T.a_desktop_that_throws_leaves_the_segment()
  local module, window = toast()
  window.toast_notification = function()
    error 'no bus'
  end
  module.intent(window, ASKS)
  assert(module.current())
end

return T
