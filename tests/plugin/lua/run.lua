-- Runs the tests of the plugin's parts that need no WezTerm:
--   lua5.4 tests/plugin/lua/run.lua [FILE-PATTERN [NAME-PATTERN]]
-- A file `*_test.lua` returns a table of functions by their names; a test that throws has failed.

local here = arg[0]:match '^(.*)/[^/]*$' or '.'
local root = here .. '/../../..'
package.path = root .. '/plugin/?.lua;' .. here .. '/?.lua;' .. package.path
-- where tests find the repository
_G.ROOT = root

local function files()
  local list = {}
  local pipe = assert(io.popen(("ls '%s'"):format(here)))
  for name in pipe:lines() do
    list[#list + 1] = name:match '^(.*_test)%.lua$'
  end
  pipe:close()
  return list
end

local file_pattern, name_pattern = arg[1] or '', arg[2] or ''
local passed, failed = 0, {}
for _, file in ipairs(files()) do
  if file:find(file_pattern) then
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
