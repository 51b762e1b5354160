local fake = require 'fake'
local T = {}

local BIN = '/bin/true'

local function relay(given)
  fake.fresh()
  local options = require 'wezterm_parallel.options'
  local all = { binary = BIN }
  for key, value in pairs(given or {}) do
    all[key] = value
  end
  options.set((options.check(all)))
  return require 'wezterm_parallel.relay'
end

local function mode(path)
  local pipe = assert(io.popen("stat -c '%a' " .. path .. ' 2>/dev/null || stat -f %Lp ' .. path))
  local text = pipe:read 'l'
  pipe:close()
  return text
end

--- Makes a call and answers it; gives the command line, the request and the result.
local function call(module, method, params, how, stdout)
  local result
  local thread, waits = fake.begin(function()
    result = table.pack(module.call(method, params, how))
  end)
  local asked, sent, words, hello = fake.request(waits.child)
  local file_mode = words.file and mode(words.file)
  fake.go_on(thread, stdout)
  return { method = asked, params = sent, words = words, hello = hello, mode = file_mode, args = waits.child }, result
end

function T.a_call_is_hello_and_the_call_itself()
  local module = relay()
  local sent, result = call(module, 'process.list', { workspace = 'api' }, nil, fake.answer { { name = 'lead' } })
  fake.same(sent.args[1], BIN)
  fake.same(sent.args[2], 'relay')
  fake.same(sent.method, 'process.list')
  fake.same(sent.params.workspace, 'api')
  fake.same(sent.hello.protocol[2], 1)
  fake.same(sent.words.wait, nil)
  fake.same(sent.words.start, nil)
  fake.same(result[1][1].name, 'lead')
end

function T.flags_go_with_it()
  local module = relay { config_path = '/my config.yaml' }
  local how = { wait = true, start = true, environment = true }
  local sent = call(module, 'workspace.open', { workspace = 'api' }, how, fake.answer {})
  assert(sent.words.wait and sent.words.start and sent.words.environment)
  fake.same(sent.words.config, '/my config.yaml')
  fake.same(sent.hello.config, '/my config.yaml')
end

function T.what_the_user_asks_for_starts_the_daemon_unless_that_is_off()
  for on, expected in pairs { [true] = true, [false] = false } do
    local module = relay { auto_start = on }
    local thread, waits = fake.begin(module.ask, 'process.list', {})
    local _, _, words = fake.request(waits.child)
    fake.same(words.start == true, expected)
    fake.go_on(thread, fake.answer {})
  end
end

function T.free_text_never_stands_on_the_command_line()
  local module = relay()
  local secret = 'the secret words of a prompt'
  local sent, result = call(module, 'process.send', { process = 'lead', text = secret }, nil, fake.answer { id = 'P' })
  fake.same(sent.params.text, secret)
  assert(sent.words.file)
  local hex = secret:gsub('.', function(c)
    return ('%02x'):format(c:byte())
  end)
  for _, arg in ipairs(sent.args) do
    assert(not arg:find(hex, 1, true) and not arg:find(secret, 1, true))
  end
  fake.same(sent.mode, '600')
  fake.same(result[1].id, 'P')
  fake.same(io.open(sent.words.file), nil)
end

--- Why something could not be done is told in words that may have a path or a command of the user's in them.
function T.what_could_not_be_done_goes_by_a_file()
  local done = { { id = 'I', problem = 'the directory /home/u/secret is gone' } }
  local sent = call(relay(), 'gui.wait', { gui = 'g', done = done }, nil, fake.answer {})
  assert(sent.words.file)
  sent = call(relay(), 'gui.wait', { gui = 'g', done = { { id = 'I' } } }, nil, fake.answer {})
  fake.same(sent.words.file, nil)
end

function T.where_no_file_can_be_made_the_call_fails_and_says_so()
  local module = relay()
  local tmpname = os.tmpname
  os.tmpname = function() -- luacheck: ignore 122
    error 'unable to generate a unique filename'
  end
  local ok, _, problem = pcall(module.call, 'process.send', { text = 'x' })
  os.tmpname = tmpname -- luacheck: ignore 122
  assert(ok, 'it throws nothing')
  fake.same(problem.code, 'storage')
  fake.has(problem.message, 'unique filename')
end

function T.a_method_that_nobody_thought_of_goes_by_a_file()
  local sent = call(relay(), 'task.create', { prompt = 'x' }, nil, fake.answer {})
  assert(sent.words.file)
end

function T.a_long_call_goes_by_a_file()
  local many = {}
  for i = 1, 2000 do
    many[i] = { id = ('%026d'):format(i) }
  end
  local sent = call(relay(), 'gui.wait', { gui = 'g', done = many }, nil, fake.answer {})
  assert(sent.words.file)
  fake.same(#sent.params.done, 2000)
  fake.same(sent.mode, '600')
end

function T.the_file_is_gone_also_when_the_program_cannot_be_run()
  local module = relay()
  local _, problem
  local thread, waits = fake.begin(function()
    _, problem = module.call('process.send', { text = 'x' })
  end)
  local path = waits.child[4]
  assert(io.open(path)):close()
  fake.go_on(thread, 'throw:No such file or directory')
  fake.same(io.open(path), nil)
  fake.same(problem.code, 'program_missing')
  fake.has(problem.message, BIN)
end

function T.an_error_comes_as_code_message_and_hint()
  local module = relay()
  local stdout = fake.refusal('not_found', 'no process `x`', 'see `process list`', true)
  local _, result = call(module, 'process.start', { process = 'x' }, nil, stdout)
  fake.same(result[1], nil)
  fake.same(result[2].code, 'not_found')
  fake.same(module.line(result[2]), 'no process `x` (see `process list`)')
end

function T.without_a_daemon_the_relay_answers_itself()
  local _, result = call(relay(), 'process.list', {}, nil, fake.refusal('no_daemon', 'no daemon answers'))
  fake.same(result[2].code, 'no_daemon')
end

function T.an_answer_that_cannot_be_read_is_an_error()
  for _, stdout in ipairs { 'garbage', '\x94', fake.answer({}):sub(1, -2), 'x' .. fake.answer {} } do
    local _, result = call(relay(), 'process.list', {}, nil, stdout)
    fake.same(result[1], nil)
    fake.same(result[2].code, 'internal')
  end
end

function T.silence_is_an_error_with_what_was_said_beside()
  fake.stderr = 'thread main panicked\nmore'
  local _, result = call(relay(), 'process.list', {}, nil, false)
  fake.stderr = nil
  fake.has(result[2].message, 'thread main panicked')
end

function T.an_executable_from_before_relay_is_said_to_be_old()
  fake.stderr = "error: unrecognized subcommand 'relay'\n"
  local _, result = call(relay(), 'process.list', {}, nil, false)
  fake.stderr = nil
  fake.same(result[2].code, 'outdated')
  fake.has(result[2].hint, 'install')
end

function T.without_an_executable_nothing_is_run()
  local module = relay { binary = '/nowhere/wezterm-parallel' }
  local result, problem = fake.run(module.call, 'process.list', {})
  fake.same(result, nil)
  fake.same(problem.code, 'program_missing')
  fake.has(problem.message, '/nowhere/wezterm-parallel')
  fake.has(problem.hint, 'install')
end

function T.parameters_that_cannot_be_sent_are_an_error()
  local result, problem = fake.run(relay().call, 'process.list', { f = print })
  fake.same(result, nil)
  fake.same(problem.code, 'bad_params')
end

function T.a_daemon_with_another_config_is_a_problem_and_one_that_has_the_same_by_another_path_is_none()
  local mine, same, other = os.tmpname(), os.tmpname(), os.tmpname()
  for path, text in pairs { [mine] = 'version: 1', [same] = 'version: 1', [other] = 'version: 1 # other' } do
    local file = assert(io.open(path, 'w'))
    file:write(text)
    file:close()
  end
  local function with(config, option)
    local module = relay { config_path = option }
    local welcome = { protocol = 1, server = '0.1.0', features = {}, limits = {}, config = config }
    call(module, 'process.list', {}, nil, fake.answer({}, welcome))
    return require('wezterm_parallel.problems').first()
  end
  fake.has(with(other, mine), ("the daemon's config is %s, not %s"):format(other, mine))
  fake.same(with(same, mine), nil)
  fake.same(with(mine, mine), nil)
  fake.same(with(other, nil), nil)
  for _, path in ipairs { mine, same, other } do
    os.remove(path)
  end
end

function T.a_daemon_of_another_release_is_a_problem_that_says_what_to_do()
  local module = relay()
  local problems = require 'wezterm_parallel.problems'
  local function with(server)
    local welcome = { protocol = 1, server = server, features = {}, limits = {}, config = '' }
    call(module, 'process.list', {}, nil, fake.answer({}, welcome))
    return problems.first()
  end
  fake.same(with '0.1.0', nil)
  fake.has(with '0.2.0', 'update the plugin')
  fake.has(with '0.0.9', 'install the executable')
  fake.same(with '0.1.0', nil)
end

return T
