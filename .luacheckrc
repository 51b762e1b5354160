std = 'lua54'
max_line_length = 120
cache = false
-- declarations name things that no code of theirs uses
files['plugin/wezterm_parallel/types.lua'] = { ignore = { '211' } }
files['tests/plugin/lua'] = { globals = { 'ROOT' } }
