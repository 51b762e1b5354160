-- Where WezTerm begins: `wezterm.plugin.require` loads this file, and hands over its name and its path. All
-- modules lie below one directory of a name of their own, since all plugins share one list of modules.

local _, path = ...
-- `dofile` hands nothing over: then the directory must be on package.path already
local directory = type(path) == 'string' and path:match '^(.*)/[^/]*$'
if directory and not package.path:find(directory .. '/?.lua;', 1, true) then
  package.path = directory .. '/?.lua;' .. package.path
end
if directory then
  require('wezterm_parallel.install').directory = directory
end

return require 'wezterm_parallel.api'
