//! The `config.yaml` that a new user gets.

use std::path::Path;

use crate::resolve::to_name;

/// The text of a first config: one workspace for `cwd` with one Claude, and a word on each key.
/// `schema_path` is the JSON Schema that the editor's modeline names. `workspace` is made into a name
/// that can be one: what cannot stand in it becomes `-`.
pub fn text(schema_path: &Path, cwd: &Path, workspace: &str) -> String {
    let name = quoted(to_name(workspace, "main"));
    // a JSON string is a YAML string, whatever is in it
    let cwd = serde_json::to_string(&cwd.to_string_lossy()).expect("a text is JSON");
    let schema = schema_path.to_string_lossy().replace(['\n', '\r'], " ");
    TEMPLATE.replace("{schema}", &schema).replace("{name}", &name).replace("{cwd}", &cwd)
}

/// The name for a workspace in this directory.
pub fn workspace_name(cwd: &Path) -> String {
    to_name(&cwd.file_name().unwrap_or_default().to_string_lossy(), "main")
}

/// In quotes, if YAML would read it as something else than a text.
fn quoted(name: String) -> String {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let word = WORDS.iter().any(|word| name.eq_ignore_ascii_case(word));
    if word || !name.starts_with(|c: char| c.is_ascii_alphabetic()) { format!("{name:?}") } else { name }
}

const TEMPLATE: &str = r#"# yaml-language-server: $schema={schema}
#
# Saved, it is applied: only what differs is started, stopped or restarted. If something is wrong with
# it, nothing changes, and `wezterm-parallel status` says what. `wezterm-parallel config check` asks first.
version: 1

# What processes get that do not say otherwise. These are the values if nothing is written.
# defaults:
#   restart:
#     policy: on-failure        # always | on-failure | never
#     max_restarts: 5           # more than this ...
#     within: 60s               # ... in this time is a crash loop: it is left alone until you start it
#     backoff: { initial: 500ms, factor: 2, max: 60s, jitter: 0.2, reset_after: 10m }
#   stop: { grace: 3s }         # after SIGTERM, before it and all it started are killed
#   log: { max_size: 8MiB, files: 4 }
#   history: 1MiB               # scrolled-off text that `attach` gives back

# daemon:
#   resume: open                # after a reboot: open (what was open) | all (with autostart) | lazy (nothing)
#   min_free_memory: 512MiB     # agents wait to start below this

# Programs that processes run by name. `claude` is always there.
# agents:
#   claude:
#     command: [claude]         # found on the PATH
#     args: []                  # for every process of it
#     env: {}
#     start_at_once: 4          # further ones wait for their turn
#     screen: default           # default | classic (no alternate screen: the terminal's own scrollback)
#     status: [osc7501, hooks, registry]  # where its status is read from; without hooks, no cost and limits
#     on_limit: notify          # notify | continue: whether it goes on by itself after a usage limit
#     mcp: true                 # whether it can add tasks, tell others something and lease things
#   # Others have a status by what they show in their terminal; see docs/CONFIG.md, "Other agents":
#   # untried, never run with the real program:
#   # gemini:
#   #   command: [gemini]
#   #   status: [osc7501, title]
#   #   titles: { idle: '^◇', working: '^[✦⏲]', blocked: '^✋' }

# What is decided of agents' requests without asking you; the first that fits. Nothing is allowed by default.
# permissions:
#   - { deny: Bash, pattern: 'git push*', why: I push myself }
#   - { allow: Bash, pattern: 'cargo test*', until: 2026-12-31 }
#   - { allow: Edit, path: 'src/**', process: 'api/*' }

# What you are told by a toast in WezTerm; never of the process that has the focus.
# notify:
#   blocked: true               # an agent asks you; so with failed, crash_loop, finished, limit, config,
#                               # task_failed, tasks_done
#   long_turn: 30s              # a turn this long is told to be finished
#   at_most: 6                  # in a minute; what comes after them is told together
#   quiet_hours: ['22:00-07:30']

# How many tasks run at once: of all groups together, and of a group.
# tasks:
#   parallel: 4
#   groups: { docs: { parallel: 1 } }
# Commands that are run when something happens, with the event as JSON on their standard input.
# on:
#   process_blocked: [notify-send 'an agent asks']    # for sh; 17 others are in docs/ON.md
#   process_done: [{ command: [my-program, --flag], timeout: 10s }]

# Where your projects lie: their subdirectories are offered for a new workspace.
# project_roots: [~/src]

# Templates for the panes of a workspace. `wezterm-parallel layout list` shows those that are there already.
# layouts:
#   mine:
#     tabs:
#       - title: work
#         split: right          # right | down
#         panes:
#           - { process: claude, size: 60%, focus: true }
#           - split: down
#             panes:
#               - { process: server, command: [npm, run, dev] }   # made if it is not there
#               - { cwd: docs }                                   # a shell

workspaces:
  {name}:
    cwd: {cwd}
    # strategy: one_for_one     # one_for_one | one_for_all | rest_for_one: who is restarted along with it
    # on_crash_loop: nothing    # nothing | restart_workspace | stop_workspace
    # layout: claude-dev        # default: processes side by side
    # env: {}                   # for every process in it
    processes:
      claude: { agent: claude }
      # lead: { agent: claude, args: [--model, opus] }
      # tests:
      #   command: [cargo, watch, -x, test]
      #   cwd: server           # relative to the workspace
      #   env: { RUST_LOG: info }
      #   autostart: true       # with its workspace
      #   restart: { policy: always }
      #   stop: { grace: 10s }
      #   after: { lead: ready }            # started | ready | exited
      #   ready: { log: 'listening on' }    # or { port: 8080 }, or { command: [curl, -fs, localhost] }
      #   ready_timeout: 60s
"#;
