--- Sends a prompt: to one agent, or to several at once.

local wezterm = require 'wezterm'

local choices = require 'wezterm_parallel.choices'
local clock = require 'wezterm_parallel.clock'
local dialogs = require 'wezterm_parallel.dialogs'
local outcome = require 'wezterm_parallel.actions.outcome'
local panes = require 'wezterm_parallel.panes'
local relay = require 'wezterm_parallel.relay'
local safe = require 'wezterm_parallel.safe'
local state = require 'wezterm_parallel.state'

local M = {}

local TEXT = {
  title = 'Send a prompt to',
  none = 'there is no agent that runs',
  here = 'This one: %s',
  workspace = 'This workspace: %d agents of `%s`',
  idle = 'All that are idle: %d agents',
  all = 'All: %d agents',
  pattern = 'Those with a name …',
  pattern_line = 'Part of the name, or a pattern with * as in `test-*` or `api/*`:',
  no_match = 'no running agent is called like `%s`',
  text = 'Prompt for %s:',
  send = 'Send to %s%s',
  works = '; it is working',
  working = '; %d of them are working',
  queue = 'Send; where one works, when it is done',
  refuse = 'Send; leave out those that work',
  now = 'Send now, also into a turn that is under way',
  cancel = 'Do not send',
  one = '%s',
  several = '%d agents: %s',
  sent = 'sent to %s',
  partly = 'sent to %d of %d; %s: %s',
}

--- Names that are written out in a question; of more, the number says enough.
local NAMES_MAX = 6

--- Agents that can take a prompt.
local function agents()
  local some = {}
  for _, view in ipairs(state.processes()) do
    if view.kind == 'claude' and view.source ~= 'foreign' and view.state == 'running' then
      table.insert(some, view)
    end
  end
  return some
end

local function filter(views, fits)
  local some = {}
  for _, view in ipairs(views) do
    if fits(view) then
      table.insert(some, view)
    end
  end
  return some
end

local function in_words(views)
  if #views == 1 then
    return TEXT.one:format(choices.id(views[1]))
  end
  local names = {}
  for i, view in ipairs(views) do
    if i > NAMES_MAX then
      table.insert(names, '…')
      break
    end
    table.insert(names, choices.id(view))
  end
  return TEXT.several:format(#views, table.concat(names, ', '))
end

--- Sends to all at once: one may be slow to take it, and the others need not wait for that one.
local function send(window, views, text, while_working)
  local left, failed = #views, {}
  for _, view in ipairs(views) do
    wezterm.time.call_after(
      0,
      safe.handler('send a prompt', function()
        local params = { workspace = view.workspace, process = view.name, text = text, while_working = while_working }
        local prompt, err = relay.ask('process.send', params)
        if not prompt then
          table.insert(failed, { id = choices.id(view), why = relay.line(err) })
        end
        left = left - 1
        if left > 0 then
          return
        end
        if #failed == 0 then
          return outcome.say(window, TEXT.sent:format(in_words(views)))
        end
        outcome.say(window, TEXT.partly:format(#views - #failed, #views, failed[1].id, failed[1].why))
      end)
    )
  end
end

--- Asks once more, with whom it goes to, unless it is a single one that is idle.
local function confirm(window, pane, views, text)
  local working = #filter(views, function(view)
    return view.status == 'working'
  end)
  if #views == 1 and working == 0 then
    return send(window, views, text, 'refuse')
  end
  local busy = ''
  if working > 0 then
    busy = #views == 1 and TEXT.works or TEXT.working:format(working)
  end
  local question = TEXT.send:format(in_words(views), busy)
  dialogs.choose(window, pane, {
    title = question,
    text = question,
    choices = {
      { id = 'queue', label = TEXT.queue },
      { id = 'refuse', label = TEXT.refuse },
      { id = 'now', label = TEXT.now },
      { id = 'cancel', label = TEXT.cancel },
    },
  }, function(w, _, id)
    if id ~= 'cancel' then
      send(w, views, text, id)
    end
  end)
end

local function text_then(window, pane, views)
  dialogs.line(window, pane, TEXT.text:format(in_words(views)), function(w, p, line)
    if line:find '%S' then
      confirm(w, p, views, line)
    end
  end)
end

function M.send(window, pane)
  local running = agents()
  if #running == 0 then
    return outcome.say(window, TEXT.none)
  end
  local here = panes.process_of(pane)
  local active = panes.active_workspace()
  local sets, list = {}, {}
  local function offer(id, label, views)
    if #views > 0 then
      sets[id] = views
      table.insert(list, { id = id, label = label })
    end
  end
  local mine = filter(running, function(view)
    return choices.id(view) == here
  end)
  offer(':here', TEXT.here:format(here or ''), mine)
  local neighbours = filter(running, function(view)
    return view.workspace == active
  end)
  offer(':workspace', TEXT.workspace:format(#neighbours, active or ''), neighbours)
  local idle = filter(running, function(view)
    return view.status == 'idle'
  end)
  offer(':idle', TEXT.idle:format(#idle), idle)
  offer(':all', TEXT.all:format(#running), running)
  table.insert(list, { id = ':pattern', label = TEXT.pattern })
  for _, choice in ipairs(choices.processes(running, clock.now_ms() // 1000)) do
    sets[choice.id] = { state.process(choice.id) }
    table.insert(list, choice)
  end
  dialogs.choose(window, pane, { title = TEXT.title, choices = list, fuzzy = true }, function(w, p, id)
    if id ~= ':pattern' then
      return text_then(w, p, sets[id])
    end
    dialogs.line(w, p, TEXT.pattern_line, function(w2, p2, line)
      local views = filter(agents(), function(view)
        return choices.matches(choices.id(view), line)
      end)
      if #views == 0 then
        return outcome.say(w2, TEXT.no_match:format(line))
      end
      text_then(w2, p2, views)
    end)
  end)
end

return M
