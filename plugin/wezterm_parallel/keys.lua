-- Default keys. None is set that the config has already, however it spells it; what the user sets after
-- that wins, as WezTerm takes the last of two equal keys.

local actions = require 'wezterm_parallel.actions'

local M = {}

--- In the order of the documentation. All of them are free in WezTerm but the first two, which open and
--- close a window and a tab there.
---@type { action: string, key: string, mods: string }[]
M.DEFAULTS = {
  { action = 'create_workspace', key = 'N', mods = 'CTRL|SHIFT' },
  { action = 'switch_workspace', key = 'W', mods = 'CTRL|SHIFT' },
  { action = 'show_dashboard', key = 'D', mods = 'CTRL|SHIFT' },
  { action = 'next_that_needs_me', key = 'A', mods = 'CTRL|SHIFT' },
  { action = 'inbox', key = 'I', mods = 'CTRL|SHIFT' },
  { action = 'send_prompt', key = 'S', mods = 'CTRL|SHIFT' },
  { action = 'type_into_several', key = 'B', mods = 'CTRL|SHIFT' },
}

local SAME = { OPT = 'ALT', META = 'ALT', CMD = 'SUPER', WIN = 'SUPER', CONTROL = 'CTRL' }

--- A key as one text, the same for all spellings of it: `n` with Shift is `N`, the order of modifiers means
--- nothing, and a physical key is the one that has this letter.
---@param key string
---@param mods string?
---@return string
function M.normal(key, mods)
  local set = {}
  for mod in (type(mods) == 'string' and mods or ''):gmatch '[%a_]+' do
    mod = mod:upper()
    set[SAME[mod] or mod] = true
  end
  set.NONE = nil
  key = key:gsub('^%a+:(.)', '%1')
  if key:find '^%u$' then
    set.SHIFT = true
  end
  local names = {}
  for name in pairs(set) do
    table.insert(names, name)
  end
  table.sort(names)
  table.insert(names, key:lower())
  return table.concat(names, '+')
end

--- The keys of the actions: the defaults, with what the user has changed.
---@param given table<string, { key: string, mods?: string }|false> the option `keys`
---@return { action: string, key: string, mods?: string }[]
---@return string[] unknown names that are no action
function M.wanted(given)
  local wanted, known, unknown = {}, {}, {}
  for _, action in ipairs(actions.LIST) do
    known[action.name] = true
  end
  known.install = true
  for _, default in ipairs(M.DEFAULTS) do
    if given[default.action] == nil then
      table.insert(wanted, default)
    end
  end
  local names = {}
  for name in pairs(given) do
    table.insert(names, name)
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local key = given[name]
    if not known[name] then
      table.insert(unknown, name)
    elseif key then
      table.insert(wanted, { action = name, key = key.key, mods = key.mods })
    end
  end
  return wanted, unknown
end

--- Adds keys to a config, but none that it has.
---@param config table
---@param given table<string, { key: string, mods?: string }|false>|false the option `keys`
---@return string[] unknown names that are no action
function M.apply(config, given)
  if not given then
    return {}
  end
  local wanted, unknown = M.wanted(given)
  local keys, taken = {}, {}
  for _, key in ipairs(config.keys or {}) do
    table.insert(keys, key)
    if type(key) == 'table' and type(key.key) == 'string' then
      taken[M.normal(key.key, key.mods)] = true
    end
  end
  for _, key in ipairs(wanted) do
    local normal = M.normal(key.key, key.mods)
    if not taken[normal] then
      taken[normal] = true
      table.insert(keys, { key = key.key, mods = key.mods, action = actions[key.action] })
    end
  end
  config.keys = keys
  return unknown
end

return M
