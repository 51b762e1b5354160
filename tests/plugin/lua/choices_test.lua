local fake = require 'fake'

local T = {}

local NOW = 1790000100

local function choices(views)
  fake.fresh()
  require('wezterm_parallel.state').apply { seq = 1, daemon = 'D', whole = true, processes = views or {} }
  return require 'wezterm_parallel.choices'
end

local function ids(list)
  local words = {}
  for i, choice in ipairs(list) do
    words[i] = choice.id
  end
  return table.concat(words, ' ')
end

function T.those_that_need_their_user_come_first()
  local views = {
    fake.process('a/idle', {}),
    fake.process('a/works', { status = 'working' }),
    fake.process('b/asks', { status = 'blocked(permission)', status_reason = 'Bash: rm\27[2J -rf' }),
    fake.process('b/done', { unread = true }),
    fake.process('c/broken', { state = 'crash_loop', status = false }),
  }
  local list = choices(views).processes(views, NOW)
  fake.same(ids(list), 'b/asks c/broken b/done a/works a/idle')
  fake.has(list[1].label, 'needs you: permission')
  -- what an agent says cannot move the cursor of the list
  fake.has(list[1].label, 'Bash: rm [2J -rf')
end

function T.a_workspace_is_where_its_worst_process_is()
  local views = {
    fake.process('web/ui', { status = 'blocked(question)' }),
    fake.process('web/api', { status = 'working' }),
    fake.process('api/lead', { status = 'working' }),
  }
  local module = choices(views)
  local list = module.workspaces({
    { name = 'api', cwd = '/home/u/src/api', open = true },
    { name = 'old', cwd = '/gone', open = false, problem = 'the directory is gone' },
    { name = 'web', cwd = '/srv/web', open = true },
  }, { 'default', 'web' }, 'web', '/home/u')
  fake.same(ids(list), 'web api old default')
  fake.has(list[1].label, 'web (here)')
  fake.has(list[1].label, '1 needs you · 1 working')
  fake.has(list[2].label, '~/src/api')
  fake.has(list[3].label, 'closed  the directory is gone')
  fake.has(list[4].label, 'only in WezTerm')
end

function T.a_directory_gives_a_name_that_is_free()
  local module = choices()
  fake.same(module.workspace_name('/src/api', {}), 'api')
  fake.same(module.workspace_name('/src/api/', { api = true, ['api-2'] = true }), 'api-3')
  fake.same(module.workspace_name("/src/my pröj's (new)", {}), 'my-pr-j-s-new')
  fake.same(module.workspace_name('/', {}), 'workspace')
  fake.same(module.workspace_name('/src/.config', {}), 'config')
end

function T.patterns_mean_names()
  local matches = choices().matches
  assert(matches('api/test-1', 'test'))
  assert(matches('api/test-1', 'test-*'))
  assert(matches('api/test-1', 'api/*'))
  assert(not matches('api/test-1', 'te.t*'))
  assert(not matches('api/latest', 'test*'))
  assert(not matches('api/test-1', ''))
end

function T.long_text_is_cut_by_letters()
  local plain = choices().plain
  fake.same(plain('日本語日本語', 4), '日本語…')
  fake.same(plain 'a\r\nb\tc', 'a b c')
end

function T.times_are_in_one_unit()
  local ago = choices().ago
  fake.same(ago(NOW * 1000 - 5000, NOW), '5s')
  fake.same(ago(NOW * 1000 - 3600000, NOW), '1h')
  fake.same(ago(NOW * 1000 + 5000, NOW), '0s')
  fake.same(ago(nil, NOW), '')
end

return T
