-- Entries of the command palette.

local actions = require 'wezterm_parallel.actions'

local M = {}

--- The same entries each time: WezTerm sorts them by what was used last, and knows them by `brief`.
---@return { brief: string, doc: string, icon: string, action: any }[]
function M.entries()
  local entries = {}
  for i, action in ipairs(actions.LIST) do
    entries[i] = { brief = action.brief, doc = action.doc, icon = action.icon, action = actions[action.name] }
  end
  return entries
end

return M
