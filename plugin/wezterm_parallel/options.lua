-- What the user may set: checked once, when the config is evaluated, and trusted from then on. A wrong
-- value is said with the name of its key, and the default is used in its place.

local M = {}

local COLORS = { 'working', 'needs_you', 'idle', 'unread', 'failed', 'limited', 'problem', 'muted', 'text' }

local function one_of(...)
  local values = { ... }
  return function(value)
    for _, v in ipairs(values) do
      if value == v then
        return true
      end
    end
    local names = {}
    for i, v in ipairs(values) do
      names[i] = type(v) == 'string' and ("'%s'"):format(v) or tostring(v)
    end
    return false, table.concat(names, ', ', 1, #names - 1) .. ' or ' .. names[#names]
  end
end

local boolean = one_of(true, false)

local function path(value)
  if type(value) == 'string' and (value:sub(1, 1) == '/' or value:sub(1, 2) == '~/') then
    return true
  end
  return false, 'an absolute path'
end

--- A key of its own, or all of them off.
local function keys(value)
  if value == false then
    return true
  end
  if type(value) ~= 'table' then
    return false, 'a table of keys by actions, or false'
  end
  for action, key in pairs(value) do
    if type(action) ~= 'string' then
      return false, 'a table of keys by actions, or false'
    end
    local fits = key == false
      or (type(key) == 'table' and type(key.key) == 'string' and (key.mods == nil or type(key.mods) == 'string'))
    if not fits then
      return false, 'a key as in { key = "N", mods = "CTRL|SHIFT" }, or false', action
    end
  end
  return true
end

local function colors(value)
  if type(value) ~= 'table' then
    return false, 'a table of colors by what they are for'
  end
  local known = one_of(table.unpack(COLORS))
  for role, color in pairs(value) do
    local ok, expected = known(role)
    if not ok then
      return false, 'a color of ' .. expected, tostring(role)
    end
    if type(color) ~= 'string' then
      return false, 'a color as in "#f38ba8" or "red"', role
    end
  end
  return true
end

local function seconds(value)
  if type(value) == 'number' and value >= 0 and value <= 3600 then
    return true
  end
  return false, 'a number of seconds from 0 to 3600'
end

---@type table<string, { default: any, check: fun(value: any): boolean, string?, string? }>
local KNOWN = {
  config_path = { check = path },
  auto_start = { default = true, check = boolean },
  debug = { default = false, check = boolean },
  binary = { check = path },
  keys = { default = {}, check = keys },
  status = { default = 'right', check = one_of('right', 'left', false) },
  status_cost = { default = true, check = boolean },
  status_limits = { default = true, check = boolean },
  status_tasks = { default = true, check = boolean },
  tab_titles = { default = true, check = boolean },
  palette = { default = true, check = boolean },
  toasts = { default = true, check = one_of(true, false, 'desktop', 'status') },
  toast_seconds = { default = 10, check = seconds },
  glyphs = { default = 'unicode', check = one_of('nerd', 'unicode', 'ascii') },
  dashboard = { default = 'tab', check = one_of('tab', 'split') },
  restore = { default = 'ask', check = one_of('ask', 'automatic', 'never') },
  colors = { default = {}, check = colors },
  skip_close_confirmation = { default = true, check = boolean },
  plugin_dir = { check = path },
}

local function home(value)
  if type(value) == 'string' and value:sub(1, 2) == '~/' then
    return (os.getenv 'HOME' or '~') .. value:sub(2)
  end
  return value
end

--- How alike two words are: the number of letters to change, up to what is no longer alike.
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local corner = row[0]
    row[0] = i
    for j = 1, #b do
      local change = a:byte(i) == b:byte(j) and 0 or 1
      corner, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, corner + change)
    end
  end
  return row[#b]
end

local function nearest(word)
  local best, best_distance
  for known in pairs(KNOWN) do
    local d = distance(word, known)
    if d <= 3 and (not best or d < best_distance or (d == best_distance and known < best)) then
      best, best_distance = known, d
    end
  end
  return best
end

--- How a wrong value is shown: it may be long, or a table.
local function shown(value)
  if type(value) == 'string' then
    return ("'%s'"):format(#value > 40 and value:sub(1, 40) .. '…' or value)
  end
  return type(value) == 'table' and 'a table' or tostring(value)
end

--- The options in full, and what is wrong with those that were given.
---@param given any what the user has given
---@return wezterm_parallel.Options, string[]
function M.check(given)
  local options, problems = {}, {}
  for key, known in pairs(KNOWN) do
    options[key] = known.default
  end
  if given == nil then
    return options, problems
  end
  if type(given) ~= 'table' then
    return options, { ('the options are a %s; expected a table'):format(type(given)) }
  end
  local names = {}
  for key in pairs(given) do
    names[#names + 1] = key
  end
  table.sort(names, function(a, b)
    return tostring(a) < tostring(b)
  end)
  for _, key in ipairs(names) do
    local value = given[key]
    local known = KNOWN[key]
    if not known then
      local near = type(key) == 'string' and nearest(key)
      local hint = near and (' (did you mean `%s`?)'):format(near) or ''
      problems[#problems + 1] = ('unknown option `%s`%s'):format(tostring(key), hint)
    else
      local ok, expected, inner = known.check(value)
      if ok then
        options[key] = home(value)
      else
        local name = inner and ('%s.%s'):format(key, inner) or key
        local what = inner and type(value) == 'table' and value[inner] or value
        problems[#problems + 1] = ('option `%s` is %s; expected %s'):format(name, shown(what), expected)
      end
    end
  end
  return options, problems
end

local current = M.check(nil)

--- Those in force.
---@return wezterm_parallel.Options
function M.get()
  return current
end

---@param options wezterm_parallel.Options
function M.set(options)
  current = options
end

--- All keys there are, for the documentation's test.
---@return string[]
function M.names()
  local names = {}
  for key in pairs(KNOWN) do
    names[#names + 1] = key
  end
  table.sort(names)
  return names
end

return M
