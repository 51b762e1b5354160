-- Where `wezterm-parallel` is. Absolute paths only: a GUI that was started from a dock has next to no PATH.

local wezterm = require 'wezterm'

local options = require 'wezterm_parallel.options'
local wire = require 'wezterm_parallel.wire'

local M = {}

--- What to do where there is none, or an old one.
M.HINT = 'choose "install the executable" in the palette'

local NAME = 'wezterm-parallel'
--- How long it is believed that there is none. Opening eight files costs some 20 µs.
local LOOK_AGAIN_S = 2

local found, is_best, looked_at

local function home()
  return os.getenv 'HOME' or wezterm.home_dir
end

--- Where it is looked for, in this order; with what named it, for those that a user has named.
---@return { path: string, named_by: string? }[]
function M.candidates()
  local list = {}
  local function add(path, named_by)
    if path and path:sub(1, 1) == '/' then
      list[#list + 1] = { path = path, named_by = named_by }
    end
  end
  local binary = options.get().binary
  if binary then
    add(binary, 'the option `binary`')
    return list
  end
  local variable = os.getenv 'WEZTERM_PARALLEL_BIN'
  if variable and variable ~= '' then
    add(variable, '$WEZTERM_PARALLEL_BIN')
    return list
  end
  local data = os.getenv 'XDG_DATA_HOME'
  if not data or data:sub(1, 1) ~= '/' then
    data = home() .. '/.local/share'
  end
  add(('%s/%s/bin/%s/%s'):format(data, NAME, wire.version, NAME))
  add(('%s/.local/bin/%s'):format(home(), NAME))
  add(('%s/.cargo/bin/%s'):format(home(), NAME))
  add('/opt/homebrew/bin/' .. NAME)
  add('/usr/local/bin/' .. NAME)
  add('/home/linuxbrew/.linuxbrew/bin/' .. NAME)
  return list
end

--- A file that can be read and has something in it. A directory can be opened, but not read.
local function is_file(path)
  local file = io.open(path, 'rb')
  if not file then
    return false
  end
  local start = file:read(2)
  file:close()
  return start ~= nil
end

--- The executable, or nil and what to say. What is found first in the order is kept until `forget`; for
--- anything better than what was found it is looked again after a while, as it may just have been installed.
---@return string?, string?
function M.find()
  if found and is_best then
    return found
  end
  local now = os.time()
  if looked_at and now - looked_at < LOOK_AGAIN_S then
    return found, not found and M.missing() or nil
  end
  looked_at, found = now, nil
  for i, candidate in ipairs(M.candidates()) do
    if is_file(candidate.path) then
      found, is_best = candidate.path, i == 1
      return found
    end
  end
  return nil, M.missing()
end

--- That there is none, in words.
---@return string
function M.missing()
  local first = M.candidates()[1]
  if first and first.named_by then
    return ('%s names %s, which is not there'):format(first.named_by, first.path)
  end
  return 'the executable `wezterm-parallel` is not installed'
end

--- The command line of a pane that runs one of its verbs, and what to add to its environment.
---@param verb string[] as `{ 'attach', 'api/lead' }`
---@return string[] args, table<string, string>? environment
function M.command(verb)
  local args = { (M.find()) or NAME }
  table.move(verb, 1, #verb, 2, args)
  local config = options.get().config_path
  return args, config and { WEZTERM_PARALLEL_CONFIG = config } or nil
end

--- Looks anew the next time: it may have been installed, replaced, or removed.
function M.forget()
  found, is_best, looked_at = nil, nil, nil
end

--- Name of the program as WezTerm sees it among the processes of a pane.
---@return string
function M.program_name()
  local path = found or (M.candidates()[1] or {}).path or NAME
  return path:match '([^/]+)$' or NAME
end

return M
