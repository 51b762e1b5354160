-- Calls of the daemon. The only file that leaves Lua: WezTerm's Lua has no sockets, so a small program,
-- `wezterm-parallel relay`, carries the bytes of a request in and those of the answer out.
--
-- Everything here waits, so it must be called where waiting is possible: in handlers of events that are
-- not formatters, in actions, in what `call_after` calls. Never while a module is loaded, in a comparison
-- of table.sort, or in a formatter.

local wezterm = require 'wezterm'

local executable = require 'wezterm_parallel.executable'
local msgpack = require 'wezterm_parallel.msgpack'
local options = require 'wezterm_parallel.options'
local problems = require 'wezterm_parallel.problems'
local version = require 'wezterm_parallel.version'
local wire = require 'wezterm_parallel.wire'

local M = {}

--- How often a daemon has answered. Grows, so that one who waits for it can tell that it is there.
M.answers = 0

local TEXT = {
  other_config = "the daemon's config is %s, not %s of the option `config_path`",
}

--- Largest request on the command line: as hex it is twice that, and Linux takes 128 KiB in one argument.
local ARGUMENT_BYTES_MAX = 32 * 1024

--- Calls whose parameters hold names, ids, numbers and paths of WezTerm alone. A command line can be read by
--- every program of the machine, so all other calls, also those of later releases, go by a file.
local NO_TEXT = {
  ['gui.wait'] = true,
  ['gui.focus'] = true,
  ['gui.list'] = true,
  ['gui.announce'] = true,
  ['daemon.status'] = true,
  ['workspace.list'] = true,
  ['workspace.open'] = true,
  ['workspace.close'] = true,
  ['process.list'] = true,
  ['process.start'] = true,
  ['process.stop'] = true,
  ['process.restart'] = true,
  ['process.seen'] = true,
  ['inbox.list'] = true,
  ['inbox.show'] = true,
  ['inbox.allow'] = true,
  ['layout.list'] = true,
  ['layout.show'] = true,
  ['layout.plan'] = true,
  ['layout.left'] = true,
  ['limit.list'] = true,
  ['task.list'] = true,
  ['task.show'] = true,
  ['task.cancel'] = true,
  ['task.pause'] = true,
  ['task.resume'] = true,
  ['task.retry'] = true,
  ['group.list'] = true,
}

local HEX = {}
for b = 0, 255 do
  HEX[string.char(b)] = ('%02x'):format(b)
end

---@param code string
---@param message string
---@param hint string?
---@return wezterm_parallel.Error
local function failure(code, message, hint)
  return { code = code, message = message, hint = hint }
end

--- Whether the parameters of such a call hold no text all the same: why something could not be done is told
--- in words, which may have a path or a command of the user's in them.
local function has_no_text(method, params)
  for _, done in ipairs(params.done or {}) do
    if done.problem then
      return false
    end
  end
  return NO_TEXT[method] or false
end

--- The frames of a call: `hello`, and the call itself.
---@param method string
---@param params table
---@return string? bytes, wezterm_parallel.Error?
function M.frames(method, params)
  local hello = {
    protocol = wire.protocol,
    client = 'wezterm plugin ' .. wire.version,
    config = options.get().config_path,
  }
  local first = msgpack.encode { 0, 1, 'hello', { hello } }
  local second, problem = msgpack.encode { 0, 2, method, { params } }
  if not first or not second then
    return nil, failure('bad_params', ('the parameters of %s cannot be sent: %s'):format(method, problem))
  end
  if #second > wire.frame_bytes_max then
    return nil, failure('bad_params', ('the parameters of %s are too large: %d bytes'):format(method, #second))
  end
  return first .. second
end

--- A file that only its owner can read, with `bytes` in it. os.tmpname makes one by mkstemp: a new file
--- with a name that nobody could know, of mode 0600 from its beginning.
local function private_file(bytes)
  -- where no file can be made, it raises
  local made, path = pcall(os.tmpname)
  local file, problem = nil, path
  if made then
    file, problem = io.open(path, 'wb')
  end
  if not file then
    return nil, failure('storage', 'a file for the request cannot be written: ' .. tostring(problem))
  end
  local ok, why = file:write(bytes)
  file:close()
  if not ok then
    os.remove(path)
    return nil, failure('storage', 'a file for the request cannot be written: ' .. tostring(why))
  end
  return path
end

--- One answer as it stands on the wire, and where the next one begins.
---@return boolean ok, any result_or_error, integer? next
local function read_answer(bytes, at)
  local answer, next_at, ok = msgpack.decode(bytes, at)
  if not ok or type(answer) ~= 'table' or answer[1] ~= 1 then
    return false, nil
  end
  if answer[3] == nil then
    return true, answer[4] == nil and {} or answer[4], next_at
  end
  local body = answer[4]
  if type(body) == 'table' and type(body.message) == 'string' then
    return false, failure(tostring(body.code), body.message, body.hint), next_at
  end
  -- an answer in the form that other programs of MessagePack-RPC use
  local text = type(answer[3]) == 'table' and answer[3][2] or answer[3]
  return false, failure('unknown', tostring(text)), next_at
end

local function content(path)
  local file = io.open(path, 'rb')
  local text = file and file:read 'a'
  if file then
    file:close()
  end
  return text
end

--- The config that was compared with ours last, as each answer names it.
local compared

--- Says so if the daemon has another config than the option names. It may be the same file by another path,
--- and Lua cannot tell; the same words in it are as good.
local function compare_config(theirs)
  local ours = options.get().config_path
  local pair = ('%s\n%s'):format(ours, theirs)
  if compared == pair then
    return
  end
  compared = pair
  local other = ours and theirs and theirs ~= '' and theirs ~= ours and content(ours) ~= content(theirs)
  problems.set('place', other and TEXT.other_config:format(theirs, ours) or nil)
end

--- Keeps what the daemon says of itself: whether it is of this release, and has the config that is meant.
---@param welcome table
function M.heard(welcome)
  M.answers = M.answers + 1
  problems.set('version', version.problem(tostring(welcome.server), wire.version))
  compare_config(welcome.config)
  M.welcome = welcome
end

--- What came out of `relay`: the answers to `hello` and to the call.
---@param stdout string
---@param stderr string
---@return any? result, wezterm_parallel.Error?
function M.read(stdout, stderr)
  if stdout == '' then
    local line = stderr:match '[^\r\n]+' or 'it said nothing'
    if stderr:find('unrecognized subcommand', 1, true) then
      return nil, failure('outdated', 'the executable is older than the plugin', executable.HINT)
    end
    return nil, failure('internal', 'relay failed: ' .. line)
  end
  local ok, welcome, at = read_answer(stdout, 1)
  if not ok then
    return nil, welcome or failure('internal', 'the answer cannot be read')
  end
  M.heard(welcome)
  local result
  ok, result = read_answer(stdout, at)
  if not ok then
    return nil, result or failure('internal', 'the answer cannot be read')
  end
  return result
end

--- Calls the daemon, and waits for its answer: 10 s, or with `wait` for as long as it takes.
---@param method string
---@param params table?
---@param how { environment: boolean?, wait: boolean?, start: boolean? }?
---@return any? result, wezterm_parallel.Error?
function M.call(method, params, how)
  how = how or {}
  local bin, missing = executable.find()
  if not bin then
    return nil, failure('program_missing', missing or 'the executable is not there', executable.HINT)
  end
  local bytes, problem = M.frames(method, params or {})
  if not bytes then
    return nil, problem
  end

  local args = { bin, 'relay' }
  if how.wait then
    args[#args + 1] = '--wait'
  end
  if how.start then
    args[#args + 1] = '--start'
  end
  if options.get().config_path then
    args[#args + 1] = '--config'
    args[#args + 1] = options.get().config_path
  end
  if how.environment then
    args[#args + 1] = '--environment'
  end
  local file
  if has_no_text(method, params or {}) and #bytes <= ARGUMENT_BYTES_MAX then
    args[#args + 1] = (bytes:gsub('.', HEX))
  else
    file, problem = private_file(bytes)
    if not file then
      return nil, problem
    end
    args[#args + 1] = '--file'
    args[#args + 1] = file
  end

  local ran, thrown_or_ok, stdout, stderr = pcall(wezterm.run_child_process, args)
  if file then
    -- relay has removed it, unless it could not even begin
    os.remove(file)
  end
  if not ran then
    executable.forget()
    return nil, failure('program_missing', ('%s cannot be run: %s'):format(bin, tostring(thrown_or_ok)))
  end
  return M.read(stdout or '', stderr or '')
end

--- A call for something that the user wants now: it also starts the daemon, unless that was turned off.
---@param method string
---@param params table?
---@param how { environment: boolean?, wait: boolean? }?
---@return any? result, wezterm_parallel.Error?
function M.ask(method, params, how)
  how = how or {}
  return M.call(method, params, {
    environment = how.environment,
    wait = how.wait,
    start = options.get().auto_start,
  })
end

--- An error in one line, for people.
---@param problem wezterm_parallel.Error
---@return string
function M.line(problem)
  return problem.hint and ('%s (%s)'):format(problem.message, problem.hint) or problem.message
end

return M
