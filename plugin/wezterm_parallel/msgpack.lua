-- MessagePack, whole, in Lua alone: WezTerm's Lua can load no C modules and has only JSON itself.
--
-- A table is an array if it has [1] or was marked by `array`; else a map. An empty table is a map, as
-- parameters without keys are. Keys of maps are written in the order of their bytes, so that the same
-- table always makes the same bytes.
--
-- Bad input is never thrown: both functions return nil and a text.

local wire = require 'wezterm_parallel.wire'

local byte, sub, pack, unpack = string.byte, string.sub, string.pack, string.unpack
local math_type, concat = math.type, table.concat

local M = {}

--- Stands for nil where a table must hold one.
M.null = setmetatable({}, {
  __tostring = function()
    return 'null'
  end,
})

local ARRAY = {}
local BIN = {}

--- Marks a table as an array, even if it is empty.
---@generic T: table
---@param t T
---@return T
function M.array(t)
  return setmetatable(t, ARRAY)
end

--- Bytes that are no text.
---@param s string
function M.bin(s)
  return setmetatable({ s }, BIN)
end

-- encoding

local encode_value

local function encode_integer(n)
  if n >= 0 then
    if n < 0x80 then
      return pack('B', n)
    elseif n < 0x100 then
      return pack('>BI1', 0xcc, n)
    elseif n < 0x10000 then
      return pack('>BI2', 0xcd, n)
    elseif n < 0x100000000 then
      return pack('>BI4', 0xce, n)
    end
    return pack('>Bi8', 0xcf, n)
  elseif n >= -0x20 then
    return pack('b', n)
  elseif n >= -0x80 then
    return pack('>Bi1', 0xd0, n)
  elseif n >= -0x8000 then
    return pack('>Bi2', 0xd1, n)
  elseif n >= -0x80000000 then
    return pack('>Bi4', 0xd2, n)
  end
  return pack('>Bi8', 0xd3, n)
end

local function encode_string(s)
  local n = #s
  if n < 0x20 then
    return pack('B', 0xa0 | n) .. s
  elseif n < 0x100 then
    return pack('>BI1', 0xd9, n) .. s
  elseif n < 0x10000 then
    return pack('>BI2', 0xda, n) .. s
  end
  return pack('>BI4', 0xdb, n) .. s
end

local function encode_bin(s)
  local n = #s
  if n < 0x100 then
    return pack('>BI1', 0xc4, n) .. s
  elseif n < 0x10000 then
    return pack('>BI2', 0xc5, n) .. s
  end
  return pack('>BI4', 0xc6, n) .. s
end

local function encode_array(t, out, depth)
  local n = #t
  if n < 0x10 then
    out[#out + 1] = pack('B', 0x90 | n)
  elseif n < 0x10000 then
    out[#out + 1] = pack('>BI2', 0xdc, n)
  else
    out[#out + 1] = pack('>BI4', 0xdd, n)
  end
  for i = 1, n do
    encode_value(t[i], out, depth)
  end
end

local function encode_map(t, keys, out, depth)
  local n = #keys
  if n < 0x10 then
    out[#out + 1] = pack('B', 0x80 | n)
  elseif n < 0x10000 then
    out[#out + 1] = pack('>BI2', 0xde, n)
  else
    out[#out + 1] = pack('>BI4', 0xdf, n)
  end
  for _, key in ipairs(keys) do
    encode_value(key, out, depth)
    encode_value(t[key], out, depth)
  end
end

local function encode_table(t, out, depth)
  if t == M.null then
    out[#out + 1] = '\xc0'
    return
  end
  local mark = getmetatable(t)
  if mark == BIN then
    out[#out + 1] = encode_bin(t[1])
    return
  end
  if depth >= wire.frame_depth_max then
    error { 'deeper than ' .. wire.frame_depth_max .. ' levels' }
  end
  if type(mark) == 'table' and mark.keys then
    return encode_map(t, mark.keys, out, depth + 1)
  end
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  if mark == ARRAY or t[1] ~= nil then
    if #keys ~= #t then
      error { 'a table has both numbers and names as keys, or holes' }
    end
    return encode_array(t, out, depth + 1)
  end
  for _, key in ipairs(keys) do
    if type(key) ~= 'string' then
      error { 'a key of a map is a ' .. type(key) }
    end
  end
  table.sort(keys)
  return encode_map(t, keys, out, depth + 1)
end

function encode_value(v, out, depth)
  local kind = type(v)
  if kind == 'string' then
    out[#out + 1] = encode_string(v)
  elseif kind == 'number' then
    out[#out + 1] = math_type(v) == 'integer' and encode_integer(v) or pack('>Bd', 0xcb, v)
  elseif kind == 'table' then
    encode_table(v, out, depth)
  elseif kind == 'boolean' then
    out[#out + 1] = v and '\xc3' or '\xc2'
  elseif kind == 'nil' then
    out[#out + 1] = '\xc0'
  else
    error { 'a ' .. kind .. ' cannot be sent' }
  end
end

--- What was thrown, as a text: by us a table with a text in it, by string.unpack a text with a place.
local function reason(thrown)
  if type(thrown) == 'table' then
    return thrown[1]
  end
  if tostring(thrown):find('too short', 1, true) then
    return 'it ends too early'
  end
  return tostring(thrown)
end

--- The bytes of a value.
---@param v any
---@return string?, string?
function M.encode(v)
  local out = {}
  local ok, thrown = pcall(encode_value, v, out, 0)
  if not ok then
    return nil, reason(thrown)
  end
  return concat(out)
end

-- decoding

local decode_value

--- How many values have been read, of the decoding under way. There is one at a time, and it never waits.
local items = 0
--- Keep what tables of Lua lose: nil, the order of keys, what is bin.
local keep = false

local function count(n)
  items = items + n
  if items > wire.answer_items_max then
    error { 'more than ' .. wire.answer_items_max .. ' values' }
  end
end

local function take(s, i, n)
  local last = i + n - 1
  if last > #s then
    error { 'it ends too early' }
  end
  return sub(s, i, last), last + 1
end

local function decode_array(s, i, n, depth)
  count(n)
  if depth >= wire.frame_depth_max then
    error { 'deeper than ' .. wire.frame_depth_max .. ' levels' }
  end
  local t = {}
  for k = 1, n do
    t[k], i = decode_value(s, i, depth + 1)
  end
  return setmetatable(t, ARRAY), i
end

local function decode_map(s, i, n, depth)
  count(2 * n)
  if depth >= wire.frame_depth_max then
    error { 'deeper than ' .. wire.frame_depth_max .. ' levels' }
  end
  local t = {}
  local keys = keep and {} or nil
  for _ = 1, n do
    local key, v
    key, i = decode_value(s, i, depth + 1)
    v, i = decode_value(s, i, depth + 1)
    -- nil and not-a-number cannot be keys of a table; a map with such a key has nothing for us
    if key ~= nil and key == key then
      t[key] = v
      if keys then
        keys[#keys + 1] = key
      end
    end
  end
  return keys and setmetatable(t, { keys = keys }) or t, i
end

local function decode_bin(s, i, n)
  local v
  v, i = take(s, i, n)
  return keep and M.bin(v) or v, i
end

--- What an extension holds is for others: it counts as nil.
local function skip_ext(s, i, n)
  local _
  _, i = take(s, i, n + 1)
  return keep and M.null or nil, i
end

local function decode_u64(s, i)
  local n
  n, i = unpack('>i8', s, i)
  if n < 0 then
    -- above what an integer of Lua holds: as near as a float comes
    n = (n >> 1) * 2.0 + (n & 1)
  end
  return n, i
end

local function sized(head, decode)
  return function(s, i, depth)
    local n
    n, i = unpack(head, s, i)
    return decode(s, i, n, depth)
  end
end

local function number(format)
  return function(s, i)
    return unpack(format, s, i)
  end
end

local function fixext(n)
  return function(s, i)
    return skip_ext(s, i, n)
  end
end

--- By their first byte, what does not hold its size or value in that byte.
local BY_MARKER = {
  [0xc0] = function(_, i)
    return keep and M.null or nil, i
  end,
  [0xc2] = function(_, i)
    return false, i
  end,
  [0xc3] = function(_, i)
    return true, i
  end,
  [0xc4] = sized('>I1', decode_bin),
  [0xc5] = sized('>I2', decode_bin),
  [0xc6] = sized('>I4', decode_bin),
  [0xc7] = sized('>I1', skip_ext),
  [0xc8] = sized('>I2', skip_ext),
  [0xc9] = sized('>I4', skip_ext),
  [0xca] = number '>f',
  [0xcb] = number '>d',
  [0xcc] = number '>I1',
  [0xcd] = number '>I2',
  [0xce] = number '>I4',
  [0xcf] = decode_u64,
  [0xd0] = number '>i1',
  [0xd1] = number '>i2',
  [0xd2] = number '>i4',
  [0xd3] = number '>i8',
  [0xd4] = fixext(1),
  [0xd5] = fixext(2),
  [0xd6] = fixext(4),
  [0xd7] = fixext(8),
  [0xd8] = fixext(16),
  [0xd9] = sized('>I1', take),
  [0xda] = sized('>I2', take),
  [0xdb] = sized('>I4', take),
  [0xdc] = sized('>I2', decode_array),
  [0xdd] = sized('>I4', decode_array),
  [0xde] = sized('>I2', decode_map),
  [0xdf] = sized('>I4', decode_map),
}

function decode_value(s, i, depth)
  local b = byte(s, i)
  if not b then
    error { 'it ends too early' }
  elseif b < 0x80 then
    return b, i + 1
  elseif b < 0x90 then
    return decode_map(s, i + 1, b & 0x0f, depth)
  elseif b < 0xa0 then
    return decode_array(s, i + 1, b & 0x0f, depth)
  elseif b < 0xc0 then
    -- the commonest one, so without a further call
    local last = i + (b & 0x1f)
    if last > #s then
      error { 'it ends too early' }
    end
    return sub(s, i + 1, last), last + 1
  elseif b >= 0xe0 then
    return b - 0x100, i + 1
  end
  local decode = BY_MARKER[b]
  if not decode then
    error { ('the byte %02x begins no value'):format(b) }
  end
  return decode(s, i + 1, depth)
end

--- The value that begins at `at`, and where the next one begins. nil, and a text, if there is none.
--- Arrays come marked, so that they are arrays again when they are encoded.
---@param s string
---@param at integer? 1 if it is left out
---@param options { keep: boolean? }? keep: nil as `null`, the order of keys, what is bin
---@return any value, integer|string next or what is wrong
---@return boolean ok so that a value that is nil can be told from a failure
function M.decode(s, at, options)
  if #s > wire.answer_bytes_max then
    return nil, 'more than ' .. wire.answer_bytes_max .. ' bytes', false
  end
  items, keep = 0, options ~= nil and options.keep == true
  local ok, value, next_at = pcall(decode_value, s, at or 1, 0)
  keep = false
  if not ok then
    return nil, reason(value), false
  end
  return value, next_at, true
end

return M
