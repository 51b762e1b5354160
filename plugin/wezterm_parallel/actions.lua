-- Everything that can be done, by name: for keys, and for the palette. `actions.NAME` is an action of
-- WezTerm; it is made when it is first asked for, as a config is evaluated often and uses few of them.

local wezterm = require 'wezterm'

local panes = require 'wezterm_parallel.panes'
local safe = require 'wezterm_parallel.safe'

---@class (exact) wezterm_parallel.Action
---@field name string its name in `actions` and in the option `keys`
---@field brief string what the palette calls it. WezTerm remembers by this text what is used often: it stays
---@field doc string
---@field icon string a name of wezterm.nerdfonts
---@field module string
---@field call string

local M = {}

---@type string[][] name, brief, doc, icon, module, function
local ROWS = {
  { 'create_workspace', 'create workspace', 'A directory, a name, a layout', 'md_plus_box', 'workspace', 'create' },
  { 'switch_workspace', 'switch workspace', 'Those that need you first', 'md_view_list', 'workspace', 'switch' },
  { 'next_that_needs_me', 'next process that needs me', 'From one to the next', 'md_bell', 'process', 'next' },
  { 'show_dashboard', 'dashboard', 'All workspaces and processes', 'md_view_dashboard', 'system', 'dashboard' },
  { 'inbox', 'inbox', 'What agents ask: allow, deny, answer', 'md_inbox', 'inbox', 'open' },
  { 'send_prompt', 'send a prompt', 'To one agent or to several', 'md_send', 'prompt', 'send' },
  { 'type_into_several', 'type into several panes', 'Typed once, sent to all', 'md_keyboard', 'typing', 'toggle' },
  { 'add_task', 'add a task', 'A prompt that waits for its turn', 'md_playlist_plus', 'task', 'add' },
  { 'tasks', 'tasks', 'Attach, cancel, pause, retry, open, result', 'md_format_list_checks', 'task', 'list' },
  { 'show_tasks', 'dashboard of tasks', 'All tasks', 'md_view_list', 'system', 'dashboard_of_tasks' },
  { 'import_tasks', 'import tasks', 'From a file, all of them or none', 'md_import', 'task', 'import' },
  { 'pause_tasks', 'pause a group of tasks', 'Nothing more of it starts', 'md_pause', 'task', 'pause_group' },
  { 'resume_tasks', 'resume a group of tasks', 'It goes on', 'md_play_pause', 'task', 'resume_group' },
  { 'report_tasks', 'report of a group of tasks', 'What it has brought', 'md_file_document', 'task', 'report' },
  { 'task_graph', 'graph of tasks', 'Which wait for which', 'md_graph', 'task', 'graph' },
  { 'open_workspace', 'open workspace', 'Starts its processes', 'md_folder_open', 'workspace', 'open' },
  { 'close_workspace', 'close workspace', 'Ends what runs in it', 'md_folder', 'workspace', 'close' },
  { 'delete_workspace', 'delete workspace', 'One that a command made', 'md_folder_remove', 'workspace', 'delete' },
  { 'rename_workspace', 'rename workspace', 'One that a command made', 'md_folder_edit', 'workspace', 'rename' },
  { 'attach_process', 'show process', 'Its pane, or a new one', 'md_console', 'process', 'attach' },
  { 'add_process', 'add process', 'A Claude Code, or another program', 'md_plus', 'process', 'add' },
  { 'start_process', 'start process', 'One that does not run', 'md_play', 'process', 'start' },
  { 'restart_process', 'restart process', 'A Claude goes on with its session', 'md_restart', 'process', 'restart' },
  { 'stop_process', 'stop process', 'It and all that it started', 'md_stop', 'process', 'stop' },
  { 'remove_process', 'remove process', 'One that a command made', 'md_delete', 'process', 'remove' },
  { 'focus_pane', 'focus pane', 'By the name of its process', 'md_target', 'pane', 'focus' },
  { 'zoom_pane', 'zoom pane', 'By the name of its process', 'md_magnify_plus', 'pane', 'zoom' },
  { 'move_pane', 'move pane', 'By the name of its process', 'md_arrow_all', 'pane', 'move' },
  { 'swap_panes', 'swap panes', 'This one and that of another process', 'md_swap_horizontal', 'pane', 'swap' },
  { 'resize_pane', 'resize pane', 'By the name of its process', 'md_resize', 'pane', 'resize' },
  { 'save_layout', 'save layout as template', 'The panes of this workspace', 'md_content_save', 'layout', 'save' },
  { 'apply_layout', 'apply template', 'To this workspace', 'md_view_quilt', 'layout', 'apply' },
  { 'restore', 'restore', 'Opens panes as they were last left', 'md_history', 'system', 'restore' },
  { 'reload_config', 'reload config', 'Reads config.yaml anew', 'md_reload', 'system', 'reload_config' },
  { 'doctor', 'doctor', 'What is wrong on this machine', 'md_stethoscope', 'system', 'doctor' },
  { 'logs', 'logs', 'What a process wrote, and writes', 'md_text', 'system', 'logs' },
  { 'install', 'install the executable', 'In a tab, where you see it', 'md_download', 'system', 'install' },
}

---@type wezterm_parallel.Action[]
M.LIST = {}
for i, row in ipairs(ROWS) do
  M.LIST[i] = {
    name = row[1],
    brief = 'wezterm-parallel: ' .. row[2],
    doc = row[3],
    icon = row[4],
    module = 'wezterm_parallel.actions.' .. row[5],
    call = row[6],
  }
end

--- Does it: for those that call actions from handlers of their own.
---@param name string
---@param window any
---@param pane any
function M.run(name, window, pane)
  for _, action in ipairs(M.LIST) do
    if action.name == name then
      safe.call(action.brief, function()
        require(action.module)[action.call](window, panes.real(window, pane))
      end)
    end
  end
end

local made = {}

return setmetatable(M, {
  __index = function(_, name)
    if made[name] then
      return made[name]
    end
    for _, action in ipairs(M.LIST) do
      if action.name == name then
        -- an event with a name of its own: WezTerm's palette lists bound keys too, and shows it
        wezterm.on(action.brief, function(window, pane)
          M.run(name, window, pane)
        end)
        made[name] = wezterm.action.EmitEvent(action.brief)
        return made[name]
      end
    end
  end,
})
