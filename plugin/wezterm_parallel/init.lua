-- For those who have the directory `plugin` on their package.path: `require 'wezterm_parallel'`.

local _, path = ...
local directory = type(path) == 'string' and path:match '^(.*)/wezterm_parallel/[^/]*$'
if directory then
  local init = directory .. '/init.lua'
  return assert(loadfile(init))('wezterm_parallel', init)
end
return require 'wezterm_parallel.api'
