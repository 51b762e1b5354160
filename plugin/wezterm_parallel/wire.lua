-- What the plugin and the daemon must agree on. Generated from the types by schemas/tests/generated.rs.

---@class (exact) wezterm_parallel.Wire
local wire = {}

--- Version of the plugin: that of the release that it came with.
wire.version = '0.1.0'
--- Oldest and newest version of the protocol.
wire.protocol = { 1, 1 }
--- Largest request, in bytes.
wire.frame_bytes_max = 1048576
--- Largest answer, in bytes.
wire.answer_bytes_max = 16777216
--- Most values in one answer.
wire.answer_items_max = 1048576
--- Deepest nesting.
wire.frame_depth_max = 32
--- States of a process.
wire.states = {
  'stopped',
  'starting',
  'running',
  'backoff',
  'crash_loop',
  'stopping',
  'exited',
  'failed',
}
--- Statuses of an agent.
wire.statuses = {
  'starting',
  'idle',
  'working',
  'blocked(permission)',
  'blocked(question)',
  'blocked(trust)',
  'blocked(auth)',
  'blocked(setup)',
  'rate_limited',
  'error',
  'unknown',
}
--- What a GUI can be asked to do.
wire.intents = {
  'show_workspace',
  'show_process',
  'show_dashboard',
  'toast',
  'unknown',
}
--- What a toast can tell of.
wire.toasts = {
  'blocked',
  'failed',
  'crash_loop',
  'finished',
  'limit',
  'config',
  'task_failed',
  'tasks_done',
  'several',
  'unknown',
}
--- Codes of errors.
wire.codes = {
  'bad_frame',
  'bad_hello',
  'unknown_method',
  'bad_params',
  'not_found',
  'exists',
  'bad_name',
  'conflict',
  'managed_by_config',
  'bad_config',
  'program_missing',
  'cwd_missing',
  'timeout',
  'busy',
  'shutting_down',
  'storage',
  'forbidden',
  'undelivered',
  'internal',
  'no_daemon',
  'unknown',
}
--- Calls.
wire.methods = {
  'hello',
  'daemon.status',
  'daemon.stop',
  'workspace.list',
  'workspace.create',
  'workspace.open',
  'workspace.close',
  'workspace.delete',
  'workspace.rename',
  'process.list',
  'process.add',
  'process.remove',
  'process.start',
  'process.stop',
  'process.restart',
  'process.attach',
  'process.seen',
  'process.explain',
  'process.send',
  'process.adopt',
  'prompt.list',
  'prompt.cancel',
  'prompt.wait',
  'session.list',
  'inbox.list',
  'inbox.show',
  'inbox.allow',
  'inbox.deny',
  'inbox.answer',
  'inbox.test',
  'limit.list',
  'limit.open',
  'task.add',
  'task.import',
  'task.list',
  'task.show',
  'task.cancel',
  'task.retry',
  'task.edit',
  'task.pause',
  'task.resume',
  'task.wait',
  'group.list',
  'group.pause',
  'group.resume',
  'group.report',
  'lease.acquire',
  'lease.release',
  'lease.list',
  'layout.list',
  'layout.show',
  'layout.save',
  'layout.delete',
  'layout.plan',
  'layout.keep',
  'layout.left',
  'project.list',
  'gui.wait',
  'gui.focus',
  'gui.list',
  'gui.show',
  'gui.announce',
  'hook.report',
  'config.diff',
  'config.reload',
  'config.show',
  'config.export',
  'config.trust',
  'config.untrust',
  'event.list',
  'subscribe',
}

return wire
