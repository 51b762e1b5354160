local msgpack = require 'wezterm_parallel.msgpack'
local wire = require 'wezterm_parallel.wire'

local T = {}

local function unhex(s)
  return (s:gsub('%s', ''):gsub('..', function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function hex(s)
  return (s:gsub('.', function(c)
    return ('%02x'):format(c:byte())
  end))
end

local function golden(name)
  local file = assert(io.open(ROOT .. '/schemas/golden/' .. name .. '.hex'))
  local text = file:read 'a'
  file:close()
  return unhex(text)
end

local function names()
  local file = assert(io.open(ROOT .. '/schemas/golden/names.txt'))
  local found = {}
  for line in file:lines() do
    found[#found + 1] = line
  end
  file:close()
  return found
end

function T.every_golden_message_is_read_and_written_again_byte_for_byte()
  local seen = 0
  for _, method in ipairs(wire.methods) do
    for _, part in ipairs { 'request', 'response' } do
      local bytes = golden(('%s.%s.1'):format(method, part))
      local value, next_at, ok = msgpack.decode(bytes, 1, { keep = true })
      assert(ok, ('%s: %s'):format(method, next_at))
      assert(next_at == #bytes + 1, method .. ': not all of it was read')
      local again = assert(msgpack.encode(value))
      assert(again == bytes, ('%s.%s:\n%s\n%s'):format(method, part, hex(bytes), hex(again)))
      seen = seen + 1
    end
  end
  assert(seen == 2 * #wire.methods and seen > 100, seen)
end

function T.views_are_read_as_plain_tables()
  local answer = msgpack.decode(golden 'gui.wait.response.1')
  local news = answer[4]
  assert(answer[1] == 1 and answer[3] == nil)
  assert(news.seq == 42 and news.whole == true)
  local view = news.processes[1]
  assert(view.workspace == 'api' and view.status == 'blocked(permission)' and view.unread == true)
  assert(view.last_exit.code == nil and view.last_exit.signal == 9)
  assert(view.title == '✳ 直した' or #view.title == 10)
  assert(math.type(view.status_since) == 'integer' and view.status_since > 1700000000000)
end

--- Bytes of a value, and what they are read as.
local function both(value, bytes)
  local encoded = assert(msgpack.encode(value))
  assert(hex(encoded) == bytes, ('%s: %s, not %s'):format(tostring(value), hex(encoded), bytes))
  local decoded = msgpack.decode(encoded)
  assert(decoded == value or type(value) == 'table', tostring(decoded))
  if type(value) == 'number' then
    assert(math.type(decoded) == math.type(value))
  end
end

function T.numbers_have_their_shortest_form_and_their_kind()
  both(0, '00')
  both(127, '7f')
  both(128, 'cc80')
  both(255, 'ccff')
  both(256, 'cd0100')
  both(65535, 'cdffff')
  both(65536, 'ce00010000')
  both(4294967295, 'ceffffffff')
  both(4294967296, 'cf0000000100000000')
  both(math.maxinteger, 'cf7fffffffffffffff')
  both(-1, 'ff')
  both(-32, 'e0')
  both(-33, 'd0df')
  both(-128, 'd080')
  both(-129, 'd1ff7f')
  both(-32769, 'd2ffff7fff')
  both(math.mininteger, 'd38000000000000000')
  both(1.0, 'cb3ff0000000000000')
  both(-0.5, 'cbbfe0000000000000')
  assert(msgpack.decode(unhex 'cfffffffffffffffff') == 2.0 ^ 64)
  assert(msgpack.decode(unhex 'ca3fc00000') == 1.5)
  local nan = msgpack.decode(msgpack.encode(0 / 0))
  assert(nan ~= nan)
end

function T.texts_and_bytes_of_every_length_come_back()
  for _, n in ipairs { 0, 1, 31, 32, 255, 256, 65535, 65536 } do
    local s = ('ä'):rep(n // 2) .. ('x'):rep(n % 2)
    assert(msgpack.decode(assert(msgpack.encode(s))) == s, n)
    assert(msgpack.decode(assert(msgpack.encode(msgpack.bin(s)))) == s, n)
  end
  assert(hex(msgpack.encode(msgpack.bin '\0\255')) == 'c40200ff')
  assert(hex(msgpack.encode 'ab') == 'a26162')
end

function T.an_empty_table_is_a_map_unless_it_is_marked()
  both({}, '80')
  both(msgpack.array {}, '90')
  assert(hex(msgpack.encode(msgpack.decode(unhex '90'))) == '90', 'an array that was read stays one')
end

function T.tables_of_every_length_come_back()
  for _, n in ipairs { 1, 15, 16, 65535, 65536 } do
    local array, map = {}, {}
    for i = 1, n do
      array[i] = i
      map['k' .. i] = i
    end
    local a = msgpack.decode(assert(msgpack.encode(array)))
    assert(#a == n and a[n] == n)
    local m = msgpack.decode(assert(msgpack.encode(map)))
    assert(m['k' .. n] == n)
  end
end

function T.the_same_map_makes_the_same_bytes()
  assert(hex(msgpack.encode { b = 1, a = true, c = 'x' }) == '83a161c3a16201a163a178')
end

function T.nil_is_kept_only_where_it_is_asked_for()
  local bytes = unhex '82a161c0a16201'
  local plain = msgpack.decode(bytes)
  assert(plain.a == nil and plain.b == 1)
  assert(msgpack.decode(bytes, 1, { keep = true }).a == msgpack.null)
  local _, next_at, ok = msgpack.decode(unhex 'c0')
  assert(ok and next_at == 2)
end

function T.extensions_are_skipped()
  for _, ext in ipairs {
    'd401ff',
    'd501ffff',
    'd6ff00000000',
    'd7ff0000000000000000',
    'd801' .. ('00'):rep(16),
    'c70205ffff',
    'c8000205ffff',
    'c90000000205ffff',
  } do
    local value = msgpack.decode(unhex('92' .. ext .. '07'))
    assert(value[1] == nil and value[2] == 7, ext)
  end
end

function T.what_cannot_be_sent_is_said_and_not_thrown()
  local function refused(v, words)
    local bytes, problem = msgpack.encode(v)
    assert(bytes == nil and problem:find(words, 1, true), tostring(problem))
  end
  refused({ f = print }, 'function cannot be sent')
  refused({ 1, 2, x = 3 }, 'both numbers and names')
  refused({ [3] = 1 }, 'key of a map is a number')
  local deep = {}
  for _ = 1, 40 do
    deep = { deep }
  end
  refused(deep, 'deeper than 32')
  local round = {}
  round.round = round
  refused(round, 'deeper than 32')
end

function T.what_is_cut_off_is_said_and_not_thrown()
  local whole = golden 'gui.wait.response.1'
  for n = 0, #whole - 1 do
    local value, problem, ok = msgpack.decode(whole:sub(1, n))
    assert(not ok and value == nil and problem == 'it ends too early', ('%d: %s'):format(n, problem))
  end
end

function T.no_bytes_are_too_strange()
  math.randomseed(7)
  for _ = 1, 20000 do
    local bytes = {}
    for i = 1, math.random(0, 40) do
      bytes[i] = string.char(math.random(0, 255))
    end
    local value, next_at, ok = msgpack.decode(table.concat(bytes))
    assert(ok or (value == nil and type(next_at) == 'string'))
  end
end

function T.bombs_are_refused()
  local function refused(bytes, words)
    local value, problem, ok = msgpack.decode(bytes)
    assert(not ok and value == nil and problem:find(words, 1, true), tostring(problem))
  end
  refused(unhex 'c1', 'begins no value')
  refused(unhex 'ddffffffff', 'values')
  refused(unhex 'dfffffffff', 'values')
  refused(unhex 'dbffffffff', 'ends too early')
  refused(unhex 'c6ffffffff', 'ends too early')
  refused(('\x91'):rep(100), 'deeper than 32')
  refused(('\x81'):rep(100), 'deeper than 32')
  refused(('\0'):rep(wire.answer_bytes_max + 1), 'bytes')
end

function T.several_values_in_a_row_are_read_one_by_one()
  local bytes = msgpack.encode 'one' .. msgpack.encode { two = 2 }
  local one, at = msgpack.decode(bytes)
  local two, next_at = msgpack.decode(bytes, at)
  assert(one == 'one' and two.two == 2 and next_at == #bytes + 1)
end

function T.the_list_of_golden_names_has_every_method()
  local listed = table.concat(names(), '\n')
  for _, method in ipairs(wire.methods) do
    assert(listed:find(method, 1, true), method)
  end
end

return T
