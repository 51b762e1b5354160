local fake = require 'fake'
local T = {}

local function install(directory)
  fake.fresh()
  local options = require 'wezterm_parallel.options'
  options.set((options.check { plugin_dir = directory, binary = '/bin/true' }))
  local spawned = {}
  local window = fake.window(1, {
    mux_window = function()
      return {
        spawn_tab = function(_, spec)
          spawned[#spawned + 1] = spec
        end,
      }
    end,
  })
  fake.windows = { window }
  return require 'wezterm_parallel.install', window, spawned
end

function T.it_is_done_in_a_tab_by_the_plugins_own_script()
  local directory = os.tmpname()
  os.remove(directory)
  assert(os.execute(("mkdir -p '%s/bin' && : > '%s/bin/install.sh'"):format(directory, directory)))
  local module, window, spawned = install(directory)
  fake.run(module.run, window)
  os.execute(("rm -r '%s'"):format(directory))
  fake.same(table.concat(spawned[1].args, ' '), '/bin/sh ' .. directory .. '/bin/install.sh')
end

function T.without_the_script_it_is_said()
  local module, window, spawned = install '/nowhere'
  fake.run(module.run, window)
  fake.same(#spawned, 0)
  fake.has(window.toasts[1].text, '/nowhere/bin/install.sh')
end

return T
