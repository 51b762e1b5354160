-- Titles of tabs with processes in them: a sign for the worst of them, and the name. WezTerm asks for them
-- often and does not wait, so they are made of what is known already.

local wezterm = require 'wezterm'

local colors = require 'wezterm_parallel.colors'
local glyphs = require 'wezterm_parallel.glyphs'
local options = require 'wezterm_parallel.options'
local panes = require 'wezterm_parallel.panes'
local state = require 'wezterm_parallel.state'
local typing = require 'wezterm_parallel.typing'

local M = {}

--- Cells that WezTerm's own titles have at least, for the mouse.
local CELLS_MIN = 5

--- The process that a pane shows. `pane` is a PaneInformation of WezTerm, which no other file gets.
---@param pane any
---@return string?
local function process_of(pane)
  local vars = pane.user_vars
  local shows = vars and vars.wezterm_parallel
  if shows == nil then
    -- just opened: its terminal has not been told yet
    shows = (panes.memory_of(pane.pane_id) or {}).shows
  end
  if shows and shows:find('/', 1, true) then
    return shows
  end
end

--- The processes in the panes of a tab, and that of its active pane.
---@param tab any a TabInformation of WezTerm
---@return string[] names, string? active
function M.processes(tab)
  local names, active = {}, nil
  for _, pane in ipairs(tab.panes or {}) do
    local name = process_of(pane)
    if name then
      names[#names + 1] = name
      if pane.is_active then
        active = name
      end
    end
  end
  return names, active
end

--- What matters most among some processes.
---@param names string[]
---@return wezterm_parallel.Mood
function M.worst(names)
  local worst = 'stopped'
  for _, name in ipairs(names) do
    local view = state.process(name)
    local mood = view and state.mood(view) or 'unknown'
    if state.URGENCY[mood] < state.URGENCY[worst] then
      worst = mood
    end
  end
  return worst
end

--- The name that a layout gives to a pane.
---@param pane any a PaneInformation of WezTerm
---@return string?
local function given_title(pane)
  local memory = panes.memory_of(pane.pane_id)
  return memory and memory.title
end

--- Whether any of its panes is typed into together with others.
---@param tab any a TabInformation of WezTerm
---@return boolean
local function is_typed_into(tab)
  for _, pane in ipairs(tab.panes or {}) do
    if typing.includes(pane.pane_id) then
      return true
    end
  end
  return false
end

--- The title of a tab in pieces; nil for one without processes.
---@param tab any a TabInformation of WezTerm
---@param max_width integer
---@return wezterm_parallel.TabTitle?
function M.tab_title(tab, max_width)
  local names, active = M.processes(tab)
  if #names == 0 then
    return nil
  end
  local signs = glyphs.set(options.get().glyphs)
  local mood = M.worst(names)
  local title = tab.tab_title
  if not title or title == '' then
    local pane = tab.active_pane
    title = pane and given_title(pane) or active and active:match '/(.*)$' or pane and pane.title or names[1]
  end
  local zoomed = tab.active_pane ~= nil and tab.active_pane.is_zoomed == true
  -- the sign and a space; a space, the sign of zooming
  local room = max_width - 2 - (zoomed and 2 or 0)
  return {
    mood = mood,
    glyph = signs[mood],
    color = colors.any()[colors.ROLES[mood] or 'text'],
    title = wezterm.truncate_right(title, math.max(room, 1)),
    zoomed = zoomed,
    typing = is_typed_into(tab),
  }
end

--- A tab without processes whose active pane was given a name: that, and nothing else.
---@param tab any a TabInformation of WezTerm
---@param max_width integer
---@return string?
local function name_alone(tab, max_width)
  local given = (tab.tab_title or '') == '' and tab.active_pane and given_title(tab.active_pane)
  return given and wezterm.truncate_right(given, math.max(max_width, 1)) or nil
end

--- The handler of `format-tab-title`: nil leaves a tab to WezTerm.
---@param tab any
---@param config any
---@param max_width integer
function M.format(tab, config, max_width)
  local space = config.use_fancy_tab_bar and '' or ' '
  local index = ''
  if config.show_tab_index_in_tab_bar then
    local first = config.tab_and_split_indices_are_zero_based and 0 or 1
    index = ('%d: '):format(tab.tab_index + first)
  end
  local room = max_width - #index - 2 * #space
  local it = M.tab_title(tab, room)
  if not it then
    local name = name_alone(tab, room)
    return name and { { Text = space .. index .. name .. space } }
  end
  local signs = glyphs.set(options.get().glyphs)
  local rest = ' ' .. it.title .. (it.zoomed and ' ' .. signs.zoomed or '') .. (it.typing and ' ' .. signs.typing or '')
  local cells = #index + 1 + wezterm.column_width(rest)
  return {
    { Text = space .. index },
    { Foreground = { Color = it.color } },
    { Text = it.glyph },
    { Foreground = 'Default' },
    { Text = rest .. (' '):rep(CELLS_MIN - cells) .. space },
  }
end

return M
