-- A WezTerm for tests of single modules: what it is asked is written down, and what waits is handed to the
-- test, which goes on with it when it wants. How WezTerm dispatches events is tested elsewhere, with the real
-- rules.

local M = {}

--- Loads all modules of the plugin anew, as a reload of the config does. wezterm.GLOBAL stays, unless
--- `keep_global` is left out.
---@param keep_global boolean?
function M.fresh(keep_global)
  for name in pairs(package.loaded) do
    if name:find '^wezterm_parallel' then
      package.loaded[name] = nil
    end
  end
  if not keep_global then
    M.global = {}
    M.now = 1790000000000
  end
  M.now = M.now + 1
  M.logged, M.after, M.handlers = {}, {}, {}
  M.windows = M.windows_kept or {}

  local wezterm = { version = '20240203-110809-5046fc22', executable_dir = '/usr/bin', home_dir = '/home/u' }
  wezterm.GLOBAL = setmetatable({}, {
    __index = function(_, key)
      return M.global[key]
    end,
    __newindex = function(_, key, value)
      assert(value == nil or type(value) ~= 'table' and type(value) ~= 'function', 'GLOBAL cannot hold it')
      assert(type(value) ~= 'string' or utf8.len(value), 'GLOBAL holds text alone')
      M.global[key] = value
    end,
  })
  for _, level in ipairs { 'info', 'warn', 'error' } do
    wezterm['log_' .. level] = function(text)
      M.logged[#M.logged + 1] = ('%s %s'):format(level, text)
    end
  end
  wezterm.time = {
    now = function()
      return {
        format = function(_, how)
          assert(how == '%s%3f')
          return tostring(M.now)
        end,
      }
    end,
    call_after = function(seconds, f)
      M.after[#M.after + 1] = { seconds = seconds, f = f }
    end,
  }
  wezterm.procinfo = {
    pid = function()
      return 4711
    end,
  }
  wezterm.run_child_process = function(args)
    local answer = coroutine.yield { child = args }
    if type(answer) == 'string' and answer:sub(1, 6) == 'throw:' then
      error(answer:sub(7))
    end
    return answer ~= false, answer or '', M.stderr or ''
  end
  wezterm.sleep_ms = function(ms)
    M.now = M.now + ms
    coroutine.yield { sleep = ms }
  end
  wezterm.gui = {
    gui_windows = function()
      return M.windows
    end,
  }
  wezterm.on = function(name, f)
    M.handlers[name] = M.handlers[name] or {}
    table.insert(M.handlers[name], f)
  end
  wezterm.truncate_right = function(text, cells)
    local stop = utf8.offset(text, cells + 1)
    return stop and text:sub(1, stop - 1) or text
  end
  wezterm.column_width = function(text)
    return utf8.len(text)
  end
  wezterm.format = function(items)
    local text = ''
    for _, item in ipairs(items) do
      text = text .. (item.Text or '')
    end
    return text
  end
  wezterm.action_callback = function(f)
    return { callback = f }
  end
  wezterm.action = { Nop = 'nop' }
  wezterm.nerdfonts = {}
  M.wezterm = wezterm
  package.loaded.wezterm = wezterm
  -- what other files of the plugin say of panes
  package.loaded['wezterm_parallel.panes'] = {
    shows = function(pane)
      return pane.showing
    end,
    process_of = function(pane)
      return pane.showing
    end,
    memory_of = function() end,
  }
  for _, name in ipairs { 'keep', 'restore' } do
    package.loaded['wezterm_parallel.' .. name] = { tick = function() end }
  end
end

--- A window of the GUI.
---@param id integer
---@param given table?
function M.window(id, given)
  local window = {
    id = id,
    focused = false,
    workspace = 'default',
    right = nil,
    left = nil,
    toasts = {},
    window_id = function(w)
      return w.id
    end,
    is_focused = function(w)
      return w.focused
    end,
    active_workspace = function(w)
      return w.workspace
    end,
    active_pane = function(w)
      return w.pane or {}
    end,
    effective_config = function(w)
      w.asked = (w.asked or 0) + 1
      return { resolved_palette = w.palette or {} }
    end,
    set_right_status = function(w, text)
      w.right, w.drawn = text, (w.drawn or 0) + 1
    end,
    set_left_status = function(w, text)
      w.left = text
    end,
    toast_notification = function(w, title, text, url, ms)
      w.toasts[#w.toasts + 1] = { title = title, text = text, url = url, ms = ms }
    end,
  }
  for key, value in pairs(given or {}) do
    window[key] = value
  end
  return window
end

--- Begins something that waits; gives what it waits for first.
---@return thread, table? waits
function M.begin(f, ...)
  local thread = coroutine.create(f)
  return thread, M.go_on(thread, ...)
end

--- Goes on with it; gives what it waits for next, nil if it has ended.
function M.go_on(thread, ...)
  local ok, waits = coroutine.resume(thread, ...)
  if not ok then
    error(debug.traceback(thread, waits))
  end
  return coroutine.status(thread) ~= 'dead' and waits or nil
end

--- Runs something that is to wait for nothing.
function M.run(f, ...)
  local thread = coroutine.create(f)
  local results = table.pack(coroutine.resume(thread, ...))
  assert(results[1], results[2])
  assert(coroutine.status(thread) == 'dead', 'it waits')
  return table.unpack(results, 2, results.n)
end

--- Begins what call_after was given last.
function M.begin_after()
  local it = assert(table.remove(M.after, 1), 'nothing is to be called')
  return M.begin(it.f)
end

--- The call that a command line of `relay` carries: method, parameters, and the words before the frames.
function M.request(args)
  local msgpack = require 'wezterm_parallel.msgpack'
  local words, bytes = {}, nil
  local i = 3
  while i <= #args do
    if args[i] == '--file' then
      local file = assert(io.open(args[i + 1], 'rb'))
      bytes = file:read 'a'
      file:close()
      words.file = args[i + 1]
      i = i + 1
    elseif args[i] == '--config' then
      words.config = args[i + 1]
      i = i + 1
    elseif args[i]:sub(1, 2) == '--' then
      words[args[i]:sub(3)] = true
    else
      bytes = args[i]:gsub('..', function(pair)
        return string.char(tonumber(pair, 16))
      end)
    end
    i = i + 1
  end
  local hello, at = msgpack.decode(bytes)
  local call = msgpack.decode(bytes, at)
  assert(hello[3] == 'hello')
  return call[3], call[4][1], words, hello[4][1]
end

M.WELCOME = { protocol = 1, server = '0.1.0', features = {}, limits = {}, config = '/c' }

--- What `relay` writes when the daemon answers.
function M.answer(result, welcome)
  local msgpack = require 'wezterm_parallel.msgpack'
  return msgpack.encode { 1, 1, msgpack.null, welcome or M.WELCOME } .. msgpack.encode { 1, 2, msgpack.null, result }
end

--- What it writes when it, or the daemon, refuses.
function M.refusal(code, message, hint, after_hello)
  local msgpack = require 'wezterm_parallel.msgpack'
  local body = { code = code, message = message, hint = hint }
  local refused = msgpack.encode { 1, 0, { 0, ('%s: %s'):format(code, message) }, body }
  return after_hello and msgpack.encode { 1, 1, msgpack.null, M.WELCOME } .. refused or refused
end

--- A process as the daemon shows it.
function M.process(name, given)
  local workspace, process = name:match '^(.-)/(.*)$'
  local view = {
    workspace = workspace,
    name = process,
    id = 'ID' .. name,
    kind = 'claude',
    state = 'running',
    status = 'idle',
    unread = false,
    restarts = 0,
  }
  for key, value in pairs(given or {}) do
    view[key] = value
  end
  if given and given.status == false then
    view.status = nil
  end
  return view
end

function M.same(got, expected)
  if got ~= expected then
    error(('expected %s, got %s'):format(tostring(expected), tostring(got)), 2)
  end
end

function M.has(text, part)
  if not tostring(text):find(part, 1, true) then
    error(('`%s` is not in `%s`'):format(part, tostring(text)), 2)
  end
end

M.fresh()
return M
