--- The inbox: what agents ask, shown with what it is about, and answered.

local choices = require 'wezterm_parallel.choices'
local clock = require 'wezterm_parallel.clock'
local dialogs = require 'wezterm_parallel.dialogs'
local outcome = require 'wezterm_parallel.actions.outcome'
local views = require 'wezterm_parallel.views'

local M = {}

local TEXT = {
  title = 'Inbox',
  empty = 'no agent asks anything',
  go = 'Go to its pane',
  allow = 'Allow',
  deny = 'Deny',
  deny_with = 'Deny, and say why …',
  why = 'What the agent is told:',
  other = 'Something else …',
  answer = 'Your answer:',
  enough = 'Done',
  more = '… %d more lines; the pane has all of it',
  plan = 'its plan',
}

--- Lines of what a request is about that are shown below the answers. More than a screen has would only be
--- scrolled past.
local LINES_MAX = 60
local LINE_CELLS_MAX = 200
--- Characters of a line that are shown in one: a wide one takes two cells. The rest is shown below.
local PIECE_CHARACTERS_MAX = 100
--- Longest line that is taken apart: what is longer than the lines that are shown is not shown whole anyway.
local LINE_CHARACTERS_MAX = 8000

--- A line in pieces: what is allowed must have been there to be read, also its end.
---@param line string
---@return string[]
local function pieces(line)
  line = choices.plain(line, LINE_CHARACTERS_MAX)
  local list, from = {}, 1
  while from <= #line do
    local after = utf8.offset(line, PIECE_CHARACTERS_MAX + 1, from) or #line + 1
    table.insert(list, line:sub(from, after - 1))
    from = after
  end
  return #list > 0 and list or { '' }
end

--- What it is about, line by line: a diff, else the whole command or plan.
---@param ask table an `AskView`
---@return string[] lines
---@return boolean whole nothing of it is left out
function M.details(ask)
  local text = ask.diff
  if not text and ask.kind ~= 'question' then
    text = ask.summary
  end
  local lines = {}
  for line in ((text or ''):gsub('\r', '') .. '\n'):gmatch '(.-)\n' do
    for _, piece in ipairs(pieces(line)) do
      table.insert(lines, piece)
    end
  end
  while #lines > 0 and lines[#lines] == '' do
    table.remove(lines)
  end
  if #lines > LINES_MAX then
    local left = #lines - LINES_MAX
    for i = #lines, LINES_MAX + 1, -1 do
      lines[i] = nil
    end
    table.insert(lines, TEXT.more:format(left))
    return lines, false
  end
  return lines, true
end

local function go(window, ask)
  outcome.report(window, views.show_process(window, ask.workspace .. '/' .. ask.process))
end

local function send_answers(window, ask, answers)
  outcome.call(window, 'inbox.answer', { item = ask.id, answers = answers })
end

local answer_from

--- Takes the answer to one question, and goes on to the next.
local function answered(window, pane, ask, at, answers, text)
  answers[ask.questions[at].question] = text
  if at < #ask.questions then
    return answer_from(window, pane, ask, at + 1, answers)
  end
  send_answers(window, ask, answers)
end

local function several(window, pane, ask, at, answers, taken)
  local question = ask.questions[at]
  local list = { { id = 'done', label = TEXT.enough } }
  for i, option in ipairs(question.options or {}) do
    local label = ('[%s] %s  %s'):format(taken[i] and 'x' or ' ', option.label, option.description or '')
    table.insert(list, { id = tostring(i), label = choices.plain(label, LINE_CELLS_MAX) })
  end
  dialogs.choose(window, pane, {
    title = question.header ~= '' and question.header or TEXT.title,
    text = choices.plain(question.question, LINE_CELLS_MAX),
    choices = list,
  }, function(w, p, id)
    if id ~= 'done' then
      taken[tonumber(id)] = not taken[tonumber(id)]
      return several(w, p, ask, at, answers, taken)
    end
    local labels = {}
    for i, option in ipairs(question.options or {}) do
      if taken[i] then
        table.insert(labels, option.label)
      end
    end
    if #labels > 0 then
      answered(w, p, ask, at, answers, table.concat(labels, ', '))
    end
  end)
end

function answer_from(window, pane, ask, at, answers)
  local question = ask.questions[at]
  if question.multi_select then
    return several(window, pane, ask, at, answers, {})
  end
  local list = {}
  for i, option in ipairs(question.options or {}) do
    local label = option.label .. '  ' .. (option.description or '')
    table.insert(list, { id = tostring(i), label = choices.plain(label, LINE_CELLS_MAX) })
  end
  table.insert(list, { id = 'other', label = TEXT.other })
  table.insert(list, { id = 'go', label = TEXT.go })
  dialogs.choose(window, pane, {
    title = question.header ~= '' and question.header or TEXT.title,
    text = choices.plain(question.question, LINE_CELLS_MAX),
    choices = list,
  }, function(w, p, id)
    if id == 'go' then
      return go(w, ask)
    elseif id == 'other' then
      return dialogs.line(w, p, TEXT.answer, function(w2, p2, line)
        if line ~= '' then
          answered(w2, p2, ask, at, answers, line)
        end
      end)
    end
    answered(w, p, ask, at, answers, question.options[tonumber(id)].label)
  end)
end

--- Shows one request with what can be done about it. What Enter would take first changes nothing.
local function show(window, pane, ask)
  if ask.kind == 'question' and #(ask.questions or {}) > 0 then
    return answer_from(window, pane, ask, 1, {})
  end
  local details, whole = M.details(ask)
  local list = { { id = 'go', label = TEXT.go } }
  if whole then
    -- what is not here to be read is allowed in its pane, or by the dashboard
    table.insert(list, { id = 'allow', label = TEXT.allow })
  end
  table.insert(list, { id = 'deny', label = TEXT.deny })
  table.insert(list, { id = 'deny_with', label = TEXT.deny_with })
  for _, line in ipairs(details) do
    table.insert(list, { id = 'line', label = '   ' .. line })
  end
  dialogs.choose(window, pane, {
    title = ('%s/%s: %s'):format(ask.workspace, ask.process, ask.tool),
    text = choices.plain(('%s/%s  %s: %s'):format(ask.workspace, ask.process, ask.tool, ask.summary), LINE_CELLS_MAX),
    choices = list,
  }, function(w, p, id)
    if id == 'go' then
      go(w, ask)
    elseif id == 'allow' then
      outcome.call(w, 'inbox.allow', { item = ask.id })
    elseif id == 'deny' then
      outcome.call(w, 'inbox.deny', { item = ask.id })
    elseif id == 'deny_with' then
      dialogs.line(w, p, TEXT.why, function(w2, _, line)
        outcome.call(w2, 'inbox.deny', { item = ask.id, message = line ~= '' and line or nil })
      end)
    else
      -- a line of what it is about: nothing to be done with it
      show(w, p, ask)
    end
  end)
end

--- Lists what is asked. With a single request, that one.
function M.open(window, pane)
  local asks = outcome.call(window, 'inbox.list', {})
  if not asks then
    return
  end
  if #asks == 0 then
    return outcome.say(window, TEXT.empty)
  end
  local function show_whole(w, p, id)
    local ask = outcome.call(w, 'inbox.show', { item = id })
    if ask then
      show(w, p, ask)
    end
  end
  if #asks == 1 then
    return show_whole(window, pane, asks[1].id)
  end
  local list = choices.asks(asks, clock.now_ms() // 1000)
  dialogs.choose(window, pane, { title = TEXT.title, choices = list, fuzzy = true }, show_whole)
end

return M
