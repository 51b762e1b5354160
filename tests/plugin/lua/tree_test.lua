--- The tree of splits, against a small model of WezTerm's own: a binary tree of rectangles that is split
--- as `MuxPane:split` splits.

local tree = require 'wezterm_parallel.tree'

local T = {}

local SIZES = { { cols = 80, rows = 24 }, { cols = 140, rows = 40 }, { cols = 211, rows = 57 } }

--- A tab of the model. `tab.split(n, direction, size)` splits the pane that was made as the n-th.
local function new_tab(size)
  local root = { number = 1, left = 0, top = 0, width = size.cols, height = size.rows }
  local made = { root }
  local tab = {}

  function tab.split(from, direction, wanted)
    local node = made[from]
    local vertical = direction == 'Bottom'
    local whole = vertical and node.height or node.width
    local target = wanted < 1 and math.floor(whole * math.floor(wanted * 100) / 100) or wanted
    target = math.max(target, 1)
    local rest = whole - target - 1
    assert(rest > 0, 'no space for split')
    local first = { number = node.number, left = node.left, top = node.top, width = node.width, height = node.height }
    local second = { number = #made + 1, left = node.left, top = node.top, width = node.width, height = node.height }
    if vertical then
      first.height, second.height, second.top = rest, target, node.top + rest + 1
    else
      first.width, second.width, second.left = rest, target, node.left + rest + 1
    end
    node.children = { first, second }
    made[node.number], made[second.number] = first, second
  end

  function tab.panes()
    local panes = {}
    local function walk(node)
      if node.children then
        walk(node.children[1])
        walk(node.children[2])
      else
        table.insert(panes, node)
      end
    end
    walk(root)
    return panes
  end

  return tab
end

--- Builds a tree in the model and reads it back.
local function there_and_back(pane, size)
  local leaves, steps = tree.to_splits(pane, size)
  local tab = new_tab(size)
  for _, step in ipairs(steps) do
    tab.split(step.from, step.direction, step.size)
  end
  local back = tree.from_panes(tab.panes(), function(info)
    return { process = leaves[info.number].process, width = info.width, height = info.height }
  end)
  return back, tab.panes()
end

local function shape(pane)
  if not pane.panes then
    return pane.process or '?'
  end
  local parts = {}
  for i, child in ipairs(pane.panes) do
    parts[i] = shape(child)
  end
  return pane.split .. '(' .. table.concat(parts, ' ') .. ')'
end

--- A tree without splits directly in splits of the same direction, as those are one split.
local function random_tree(depth, above, names)
  if depth == 0 or math.random(3) == 1 then
    names.n = names.n + 1
    return { process = 'p' .. names.n }
  end
  local split = math.random(2) == 1 and 'right' or 'down'
  if above then
    split = above == 'right' and 'down' or 'right'
  end
  local children = {}
  local left = 100
  local count = math.random(2, 3)
  for i = 1, count do
    local child = random_tree(depth - 1, split, names)
    local part = i == count and left or math.random(20, left - 20 * (count - i))
    left = left - part
    child.size = part .. '%'
    children[i] = child
  end
  return { split = split, panes = children }
end

--- How many cells the smaller side of a split of the tree has at least, so that a cell more or less can be
--- told from a part more or less.
local function assert_close(one, other, room, path)
  assert((one.panes == nil) == (other.panes == nil), path .. ': a leaf is no split')
  if not one.panes then
    return
  end
  local wide = one.split == 'right'
  local cells = (wide and room.cols or room.rows) - #one.panes + 1
  local wanted = tree.fractions(one.panes)
  local got = tree.fractions(other.panes)
  for i, child in ipairs(one.panes) do
    local off = math.abs(wanted[i] - got[i]) * cells
    assert(off <= 1.01, ('%s: child %d is off by %.2f cells'):format(path, i, off))
    local inner = {
      cols = wide and math.floor(got[i] * cells + 0.5) or room.cols,
      rows = wide and room.rows or math.floor(got[i] * cells + 0.5),
    }
    assert_close(child, other.panes[i], inner, path .. '/' .. i)
  end
end

T['a tree that is built comes back as it was, within a cell'] = function()
  math.randomseed(7)
  local tried = 0
  for _ = 1, 400 do
    local wanted = random_tree(3, nil, { n = 0 })
    for _, size in ipairs(SIZES) do
      local ok, back = pcall(there_and_back, wanted, size)
      -- small screens have no room for some
      if ok then
        tried = tried + 1
        assert(shape(back) == shape(wanted), shape(wanted) .. ' became ' .. shape(back))
        assert_close(wanted, back, size, 'root')
      end
    end
  end
  assert(tried > 700, 'only ' .. tried .. ' had room')
end

T['what was read is built again exactly'] = function()
  math.randomseed(11)
  for _ = 1, 200 do
    local size = SIZES[2]
    local ok, once, first = pcall(there_and_back, random_tree(2, nil, { n = 0 }), size)
    if ok then
      local _, second = there_and_back(once, size)
      for i, pane in ipairs(first) do
        for _, key in ipairs { 'left', 'top', 'width', 'height' } do
          assert(pane[key] == second[i][key], key .. ' of pane ' .. i)
        end
      end
    end
  end
end

T['three panes beside one another are one split of three'] = function()
  local tab = new_tab { cols = 80, rows = 24 }
  tab.split(1, 'Right', 0.5)
  tab.split(1, 'Right', 0.5)
  local back = tree.from_panes(tab.panes(), function()
    return {}
  end)
  assert(shape(back) == 'right(? ? ?)', shape(back))
end

T['rows of columns are told from columns of rows where the lines alone would not say'] = function()
  local function of(first, second)
    local tab = new_tab { cols = 81, rows = 25 }
    tab.split(1, first, 12)
    tab.split(1, second, 12)
    tab.split(2, second, 12)
    return shape(tree.from_panes(tab.panes(), function()
      return {}
    end))
  end
  assert(of('Bottom', 'Right') == 'down(right(? ?) right(? ?))', of('Bottom', 'Right'))
  assert(of('Right', 'Bottom') == 'right(down(? ?) down(? ?))', of('Right', 'Bottom'))
end

T['parts are of what the panes have, without the lines between them'] = function()
  local tab = new_tab { cols = 101, rows = 24 }
  tab.split(1, 'Right', 40)
  local back = tree.from_panes(tab.panes(), function()
    return {}
  end)
  assert(back.panes[1].size == '60%' and back.panes[2].size == '40%', back.panes[1].size)
end

T['a zoomed tab that was made larger keeps the parts of its splits'] = function()
  -- the rectangles are those of before it was zoomed
  local panes = {
    { left = 0, top = 0, width = 30, height = 24, is_zoomed = true },
    { left = 31, top = 0, width = 49, height = 24 },
  }
  local back = tree.from_panes(panes, function(info)
    return { zoomed = info.is_zoomed }
  end)
  assert(back.panes[1].zoomed and back.panes[1].size == '37.97%', back.panes[1].size)
end

T['panes that no splits can make are beside one another and none is lost'] = function()
  -- a pinwheel
  local panes = {
    { left = 0, top = 0, width = 20, height = 10 },
    { left = 21, top = 0, width = 10, height = 20 },
    { left = 11, top = 21, width = 20, height = 10 },
    { left = 0, top = 11, width = 10, height = 20 },
    { left = 11, top = 11, width = 9, height = 9 },
  }
  local back = tree.from_panes(panes, function()
    return {}
  end)
  local count = 0
  tree.each_leaf(back, function()
    count = count + 1
  end)
  assert(count == 5, count .. ' panes')
end

T['those without a size share what is left'] = function()
  local fractions = tree.fractions { { size = '60%' }, {}, {} }
  assert(math.abs(fractions[1] - 0.6) < 1e-9 and math.abs(fractions[2] - 0.2) < 1e-9)
end

T['sizes that are too large together still leave something for each'] = function()
  local fractions = tree.fractions { { size = '100%' }, { size = '100%' }, {} }
  local total = 0
  for _, fraction in ipairs(fractions) do
    assert(fraction > 0.03)
    total = total + fraction
  end
  assert(math.abs(total - 1) < 1e-9)
end

T['without a size of the tab the splits are fractions'] = function()
  local _, steps = tree.to_splits { split = 'right', panes = { {}, {}, {} } }
  assert(math.abs(steps[1].size - 2 / 3) < 1e-9 and math.abs(steps[2].size - 0.5) < 1e-9)
end

T['a split that loses all but one of its panes is that pane'] = function()
  local pane = {
    title = 'main',
    split = 'right',
    panes = { { process = 'a', size = '30%' }, { split = 'down', size = '70%', panes = { { process = 'b' }, {} } } },
  }
  local pruned = tree.prune(pane, function(leaf)
    return leaf.process == 'b'
  end)
  assert(pruned.process == 'b' and pruned.title == 'main' and not pruned.panes and not pruned.size)
  assert(#pane.panes == 2 and not pane.panes[2].process, 'the original is as it was')
end

T['nothing is left of a tree that loses all its panes'] = function()
  assert(tree.prune({ split = 'down', panes = { {}, {} } }, function()
    return false
  end) == nil)
end

return T
