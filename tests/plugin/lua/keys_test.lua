local fake = require 'fake'
local mux = require 'fake_mux'

local T = {}

local function apply(config, given)
  mux.fresh()
  local unknown = require('wezterm_parallel.keys').apply(config, given == nil and {} or given)
  return config.keys or {}, unknown
end

local function of(keys, event)
  for _, key in ipairs(keys) do
    if type(key.action) == 'table' and key.action.argument == 'wezterm-parallel: ' .. event then
      return key
    end
  end
end

function T.the_defaults_are_there()
  local keys = apply {}
  fake.same(of(keys, 'create workspace').key, 'N')
  fake.same(of(keys, 'switch workspace').key, 'W')
  fake.same(of(keys, 'dashboard').key, 'D')
  fake.same(of(keys, 'dashboard').mods, 'CTRL|SHIFT')
end

function T.a_key_of_the_user_stays_however_it_is_spelled()
  for _, own in ipairs {
    { key = 'N', mods = 'CTRL|SHIFT' },
    { key = 'n', mods = 'SHIFT|CTRL' },
    { key = 'N', mods = 'CTRL' },
    { key = 'n', mods = 'CTRL | SHIFT' },
    { key = 'phys:N', mods = 'CTRL|SHIFT' },
    { key = 'mapped:n', mods = 'CTRL|SHIFT' },
  } do
    own.action = 'mine'
    local keys = apply { keys = { own } }
    fake.same(keys[1], own)
    fake.same(of(keys, 'create workspace'), nil)
    assert(of(keys, 'switch workspace'), 'the others are there')
  end
end

function T.another_key_is_another_key()
  for _, own in ipairs {
    { key = 'n', mods = 'CTRL' },
    { key = 'N', mods = 'CTRL|SHIFT|ALT' },
    { key = 'N', mods = 'LEADER|CTRL|SHIFT' },
  } do
    local keys = apply { keys = { own } }
    assert(of(keys, 'create workspace'), own.key .. own.mods)
  end
end

function T.keys_can_be_changed_taken_away_and_added()
  local keys, unknown = apply({}, {
    create_workspace = { key = 'c', mods = 'ALT' },
    switch_workspace = false,
    restore = { key = 'F5' },
    dance = { key = 'F6' },
  })
  fake.same(of(keys, 'create workspace').mods, 'ALT')
  fake.same(of(keys, 'switch workspace'), nil)
  fake.same(of(keys, 'restore').key, 'F5')
  fake.same(table.concat(unknown, ' '), 'dance')
end

function T.all_keys_can_be_left_out()
  local config = { keys = { { key = 'x' } } }
  apply(config, false)
  fake.same(#config.keys, 1)
end

function T.the_list_of_the_user_is_not_changed()
  local own = { { key = 'x' } }
  local config = { keys = own }
  apply(config)
  fake.same(#own, 1)
  assert(#config.keys > 1)
end

return T
