--- How the panes of a tab lie: from WezTerm's geometry to a tree of splits, and from a tree to the splits
--- that build it. Pure: it knows no `wezterm`.
---
--- WezTerm has a binary tree and shows only rectangles: `left`, `top`, `width`, `height` in cells, in the
--- order of its tree, with one cell between two panes. A zoomed tab still gives the rectangles of its
--- splits, but those of the tab's size before it was zoomed; so everything here is measured against the
--- rectangle around all panes, never against the tab.

local M = {}

--- Cells between two panes of a split.
M.SEPARATOR_CELLS = 1

---@class wezterm_parallel.Pane the `Pane` of the protocol
---@field title? string
---@field process? string
---@field agent? string
---@field command? string[]
---@field cwd? string
---@field split? 'right'|'down'
---@field panes? wezterm_parallel.Pane[]
---@field size? string
---@field focus? boolean
---@field zoomed? boolean

---@class wezterm_parallel.Rectangle an entry of `MuxTab:panes_with_info()`
---@field left integer
---@field top integer
---@field width integer
---@field height integer
---@field is_active? boolean
---@field is_zoomed? boolean

---@class wezterm_parallel.Size
---@field cols integer
---@field rows integer

---@class wezterm_parallel.SplitStep
---@field from integer the number of the leaf that is split
---@field direction 'Right'|'Bottom'
---@field size number what the new pane gets: a fraction below 1, or cells

local AXES = {
  right = { start = 'left', length = 'width', cells = 'cols', direction = 'Right' },
  down = { start = 'top', length = 'height', cells = 'rows', direction = 'Bottom' },
}

--- A part as the protocol writes it: a hundredth of a percent is less than a cell of any screen.
---@param fraction number
---@return string
local function percent(fraction)
  local text = string.format('%.2f', fraction * 100):gsub('0+$', ''):gsub('%.$', '')
  return text .. '%'
end

---@param text string?
---@return number?
local function fraction_of(text)
  local number = text and tonumber((text:gsub('%%', '')))
  if number and number > 0 and number <= 100 then
    return number / 100
  end
end

--- Cuts panes into groups along an axis, wherever a line crosses none of them. Panes come in the order of
--- WezTerm's tree; a cut that would not keep that order is none, so that rows are told from columns where
--- the rectangles alone would not say.
---@param panes wezterm_parallel.Rectangle[]
---@param axis table
---@return wezterm_parallel.Rectangle[][]
local function groups_along(panes, axis)
  -- from the last pane backwards: where everything after it begins
  local begins = {}
  local least = math.huge
  for i = #panes, 1, -1 do
    begins[i] = least
    least = math.min(least, panes[i][axis.start])
  end
  local groups = { {} }
  local ends = -math.huge
  for i, pane in ipairs(panes) do
    table.insert(groups[#groups], pane)
    ends = math.max(ends, pane[axis.start] + pane[axis.length])
    if i < #panes and begins[i] >= ends + M.SEPARATOR_CELLS then
      table.insert(groups, {})
    end
  end
  return groups
end

--- Cells of a group along an axis.
local function extent(panes, axis)
  local first, last = math.huge, -math.huge
  for _, pane in ipairs(panes) do
    first = math.min(first, pane[axis.start])
    last = math.max(last, pane[axis.start] + pane[axis.length])
  end
  return last - first
end

--- The tree of splits that the panes of a tab lie in; nil without panes.
---@param panes wezterm_parallel.Rectangle[] in WezTerm's order
---@param describe fun(info: wezterm_parallel.Rectangle): wezterm_parallel.Pane what a pane shows
---@return wezterm_parallel.Pane?
function M.from_panes(panes, describe)
  if #panes == 0 then
    return nil
  end
  if #panes == 1 then
    return describe(panes[1])
  end
  local split = 'right'
  local groups = groups_along(panes, AXES.right)
  if #groups < 2 then
    split = 'down'
    groups = groups_along(panes, AXES.down)
  end
  if #groups < 2 then
    -- not of WezTerm's making: beside one another is better than lost
    split = 'right'
    groups = {}
    for i, pane in ipairs(panes) do
      groups[i] = { pane }
    end
  end
  local axis = AXES[split]
  local total = 0
  local cells = {}
  for i, group in ipairs(groups) do
    cells[i] = math.max(1, extent(group, axis))
    total = total + cells[i]
  end
  local children = {}
  for i, group in ipairs(groups) do
    local child = M.from_panes(group, describe) --[[@as wezterm_parallel.Pane]]
    child.size = percent(cells[i] / total)
    children[i] = child
  end
  return { split = split, panes = children }
end

--- The fractions of the children of a split: what is left is shared evenly by those without a size, and
--- what does not add up to a whole is stretched or shrunk to it.
---@param children wezterm_parallel.Pane[]
---@return number[]
function M.fractions(children)
  local given, without = 0, 0
  local fractions = {}
  for i, child in ipairs(children) do
    local fraction = fraction_of(child.size)
    fractions[i] = fraction or false
    given = given + (fraction or 0)
    without = without + (fraction and 0 or 1)
  end
  -- those without a size get something even where the others leave nothing
  local share = math.max(1 - given, 0.1) / math.max(without, 1)
  local total = given + share * without
  for i, fraction in ipairs(fractions) do
    fractions[i] = (fraction or share) / total
  end
  return fractions
end

--- Whole cells for each fraction, which together are all there are.
local function share_out(cells, fractions)
  local shares, edge, before = {}, 0, 0
  for i, fraction in ipairs(fractions) do
    edge = edge + fraction * cells
    local whole = i == #fractions and cells or math.floor(edge + 0.5)
    shares[i] = math.max(1, whole - before)
    before = before + shares[i]
  end
  return shares
end

--- The splits that build a tree, in their order. The first leaf is the pane that is there already; step
--- `i` makes leaf `i + 1`. With `size`, each gets whole cells and comes out as wide as it was; without,
--- fractions.
---@param pane wezterm_parallel.Pane
---@param size wezterm_parallel.Size?
---@return wezterm_parallel.Pane[] leaves
---@return wezterm_parallel.SplitStep[] steps
function M.to_splits(pane, size)
  local leaves, steps = {}, {}

  local function first_leaf(node)
    while node.panes and #node.panes > 0 do
      node = node.panes[1]
    end
    return node
  end

  -- `at` is the number of the leaf that fills the room of `node`
  local function build(node, at, room)
    local children = node.panes
    if not children or #children == 0 then
      return
    end
    if #children == 1 then
      return build(children[1], at, room)
    end
    local axis = AXES[node.split] or AXES.right
    local fractions = M.fractions(children)
    local shares
    if room then
      shares = share_out(math.max(room[axis.cells] - #children + 1, #children), fractions)
    end
    local places = { at }
    local left = 1
    for i = 2, #children do
      -- what is split off holds this child and all after it
      local taken
      if shares then
        taken = 0
        for k = i, #children do
          taken = taken + shares[k] + (k > i and M.SEPARATOR_CELLS or 0)
        end
      else
        taken = (left - fractions[i - 1]) / left
        left = left - fractions[i - 1]
      end
      table.insert(leaves, first_leaf(children[i]))
      places[i] = #leaves
      table.insert(steps, { from = places[i - 1], direction = axis.direction, size = taken })
    end
    for i, child in ipairs(children) do
      local inner
      if shares then
        inner = { cols = room.cols, rows = room.rows, [axis.cells] = shares[i] }
      end
      build(child, places[i], inner)
    end
  end

  leaves[1] = first_leaf(pane)
  build(pane, 1, size)
  return leaves, steps
end

--- The tree without the leaves that `keep` refuses. A split that is left with one child is that child.
---@param pane wezterm_parallel.Pane
---@param keep fun(leaf: wezterm_parallel.Pane): boolean
---@return wezterm_parallel.Pane?
function M.prune(pane, keep)
  if not pane.panes or #pane.panes == 0 then
    return keep(pane) and pane or nil
  end
  local children = {}
  for _, child in ipairs(pane.panes) do
    table.insert(children, M.prune(child, keep))
  end
  if #children == 0 then
    return nil
  end
  local copy = {}
  for key, value in pairs(#children == 1 and children[1] or pane) do
    copy[key] = value
  end
  if #children > 1 then
    copy.panes = children
  end
  copy.title, copy.size = pane.title or copy.title, pane.size
  copy.focus = pane.focus or copy.focus
  return copy
end

--- Calls `visit` with each leaf, from left to right and from top to bottom.
---@param pane wezterm_parallel.Pane
---@param visit fun(leaf: wezterm_parallel.Pane)
function M.each_leaf(pane, visit)
  if not pane.panes or #pane.panes == 0 then
    return visit(pane)
  end
  for _, child in ipairs(pane.panes) do
    M.each_leaf(child, visit)
  end
end

return M
