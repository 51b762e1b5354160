-- For those who have the directory `plugin` on their package.path: `require 'wezterm_parallel'`.

local _, path = ...
local directory = type(path) == 'string' and path:match '^(.*)/wezterm_parallel/[^/]*$'
if directory and not package.path:find(directory .. '/?.lua;', 1, true) then
  package.path = directory .. '/?.lua;' .. package.path
end
if directory then
  require('wezterm_parallel.install').directory = directory
end

return require 'wezterm_parallel.api'
