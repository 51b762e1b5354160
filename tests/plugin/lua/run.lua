-- Runs the tests of the plugin's parts that need no WezTerm:
--   lua5.4 tests/plugin/lua/run.lua [FILE-PATTERN [NAME-PATTERN]]
-- A file `*_test.lua` returns a table of functions by their names; a test that throws has failed.

local here = arg[0]:match '^(.*)/[^/]*$' or '.'
local root = here .. '/../../..'
package.path = root .. '/plugin/?.lua;' .. here .. '/?.lua;' .. package.path
-- where tests find the repository
_G.ROOT = root

local FILES = {
  'colors_test',
  'executable_test',
  'feed_test',
  'glyphs_test',
  'install_test',
  'intents_test',
  'log_test',
  'msgpack_test',
  'options_test',
  'problems_test',
  'relay_test',
  'segments_test',
  'state_test',
  'titles_test',
  'toast_test',
  'version_test',
}

local file_pattern, name_pattern = arg[1] or '', arg[2] or ''
local passed, failed = 0, {}
for _, file in ipairs(FILES) do
  if file:find(file_pattern) and io.open(here .. '/' .. file .. '.lua') then
    local tests = dofile(here .. '/' .. file .. '.lua')
    local names = {}
    for name in pairs(tests) do
      names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
      if name:find(name_pattern) then
        local ok, thrown = xpcall(tests[name], debug.traceback)
        if ok then
          passed = passed + 1
        else
          failed[#failed + 1] = ('%s: %s\n%s'):format(file, name, thrown)
        end
      end
    end
  end
end

for _, text in ipairs(failed) do
  print('FAILED ' .. text .. '\n')
end
print(('%d passed, %d failed'):format(passed, #failed))
os.exit(#failed == 0)
