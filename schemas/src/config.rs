//! `config.yaml`, as a person writes it. Unknown keys are errors; every key has a default but
//! `version` and a workspace's `cwd`.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    layout::Layout,
    on::On,
    units::{Bytes, Span},
};

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Version of this format. Always 1.
    pub version: u32,
    /// What processes get that do not say otherwise.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: Defaults,
    /// What the daemon itself keeps to.
    #[serde(default, skip_serializing_if = "is_default")]
    pub daemon: Daemon,
    /// Programs that processes can be told to run by name. `claude` is always there.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub agents: IndexMap<String, Agent>,
    /// What agents may do without asking, and what they may not. The first rule that fits decides; where
    /// none does, you are asked. Nothing is allowed by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<Rule>,
    /// Directories whose subdirectories are offered for a new workspace. `~` is the home directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub project_roots: Vec<PathBuf>,
    /// What you are told by a toast in WezTerm.
    #[serde(default, skip_serializing_if = "is_default")]
    pub notify: Notify,
    /// How many tasks run at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tasks: Tasks,
    /// Commands that are run when something happens.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on: On,
    /// Templates for the panes of a workspace, by name. A template of yours goes before a shipped one of
    /// the same name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub layouts: IndexMap<String, Layout>,
    /// The workspaces, by name.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub workspaces: IndexMap<String, Workspace>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: 1,
            defaults: Defaults::default(),
            daemon: Daemon::default(),
            agents: IndexMap::new(),
            permissions: Vec::new(),
            project_roots: Vec::new(),
            notify: Notify::default(),
            tasks: Tasks::default(),
            on: On::default(),
            layouts: IndexMap::new(),
            workspaces: IndexMap::new(),
        }
    }
}

/// A project's own `.wezterm-parallel.yaml`: it defines its own workspace and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectConfig {
    /// Version of this format. Always 1.
    pub version: u32,
    /// Name of the workspace; the directory's name if it is left out.
    #[serde(default)]
    pub name: Option<String>,
    /// The workspace. Its `cwd` is relative to the file's directory, and that directory if left out.
    pub workspace: Workspace,
}

/// What processes get that do not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// When a process is started again, and when that is given up.
    #[serde(skip_serializing_if = "is_default")]
    pub restart: Restart,
    /// How a process is asked to end.
    #[serde(skip_serializing_if = "is_default")]
    pub stop: Stop,
    /// How much of a process's output is kept on disk.
    #[serde(skip_serializing_if = "is_default")]
    pub log: Log,
    /// How much scrolled-off text a keeper holds for those who attach. 1MiB by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Bytes>,
}

/// What you are told by a toast in WezTerm. Nothing is told of the process that has the focus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// An agent waits for you. true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked: Option<bool>,
    /// A process failed and is not started again. true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<bool>,
    /// A process failed too often and is left alone. true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_loop: Option<bool>,
    /// A turn of at least `long_turn` has ended. true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<bool>,
    /// An account has reached its usage limit, or that has passed. true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<bool>,
    /// The config file cannot be used as it is. true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<bool>,
    /// A task has failed, as often as it may. true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_failed: Option<bool>,
    /// The last task of a group is over. true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks_done: Option<bool>,
    /// What a long turn is. 30s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_turn: Option<Span>,
    /// At most so many toasts in a minute; what comes after them is told together. 6 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
    /// No toasts in these hours of the machine's time: `22:00-07:30`. What is quiet then is not told later.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quiet_hours: Vec<String>,
}

/// How many tasks run at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tasks {
    /// Of all groups together. 4 by default; 0 starts none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
    /// Groups that have a limit of their own, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub groups: IndexMap<String, TaskGroup>,
}

/// A group of tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TaskGroup {
    /// How many of its tasks run at once. As many as there is room for by default; 0 starts none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
}

/// What the daemon itself keeps to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Daemon {
    /// What is started again after a reboot: what was open (`open`, the default), everything with
    /// `autostart` (`all`), or nothing until it is attached or started (`lazy`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// Agents wait to start while the machine has less free memory than this. 512MiB by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_free_memory: Option<Bytes>,
}

/// What is started again after a reboot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// What was open when the machine went down.
    #[default]
    Open,
    /// Everything with `autostart`.
    All,
    /// Nothing until it is attached to or started.
    Lazy,
}

/// When a process is started again. Every field left out is taken from `defaults.restart`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Restart {
    /// `always`, `on-failure` (the default) or `never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<RestartPolicy>,
    /// More restarts than this within `within` park the process in `crash_loop`. 5 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u32>,
    /// The period in which `max_restarts` are counted. 60s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// How long to wait before each restart.
    #[serde(skip_serializing_if = "is_default")]
    pub backoff: Backoff,
}

/// Whether a process that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// However it ended (OTP: permanent).
    Always,
    /// If it ended with a failure or by a signal (OTP: transient).
    #[default]
    OnFailure,
    /// Never (OTP: temporary).
    Never,
}

/// How long to wait before a restart: `initial`, times `factor` for each failure in a row, at most
/// `max`, give or take `jitter`; from the start again once a run has lasted `reset_after`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Backoff {
    /// The first wait. 500ms by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<Span>,
    /// By how much each further wait is longer, at least 1. 2 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// The longest wait. 60s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Span>,
    /// Part of the wait that is left to chance, from 0 to 1. 0.2 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
    /// A run this long forgets the failures before it. 10m by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_after: Option<Span>,
}

/// How a process is asked to end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// How long it has after SIGTERM before it and all it started are killed. 3s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<Span>,
}

/// How much of a process's output is kept on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Size of one log file. 8MiB by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Bytes>,
    /// How many log files of a run are kept, the current one included. 4 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u32>,
}

/// A program that processes can be told to run by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Whether it is Claude Code. By default it is if the program's file name is `claude`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<AgentKind>,
    /// The program and its first arguments. `[claude]` for the agent `claude`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments of every process of this agent, before the process's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment of every process of this agent.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// How many of it may be starting at the same time. 4 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_at_once: Option<u32>,
    /// Which of Claude's two renderers to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen: Option<Screen>,
    /// Where its status is read from. A Claude's: `[osc7501, hooks, registry]`; any other program's:
    /// `[osc7501]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<StatusFrom>>,
    /// What its titles mean, for `status: [title]`: a regular expression for each status. The first that
    /// matches is meant; a title that matches none says nothing.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub titles: IndexMap<TitleMeaning, String>,
    /// What is done when the usage limit of its account has passed. `notify` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_limit: Option<OnLimit>,
    /// Whether a Claude gets our MCP server, by which it adds tasks, sees and tells others, and leases things.
    /// true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp: Option<bool>,
}

/// Where the status of an agent is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusFrom {
    /// The Program Status Protocol: the agent tells its terminal.
    Osc7501,
    /// Claude's hooks, and its status line: given to it by `--settings`; your own go on.
    Hooks,
    /// Claude's file of living sessions.
    Registry,
    /// Progress reports to the terminal (`OSC 9;4`): working while there is one.
    Progress,
    /// The title, by the patterns in `titles`.
    Title,
}

/// What a title can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TitleMeaning {
    /// It waits for a prompt.
    Idle,
    /// It works.
    Working,
    /// It waits for an answer of the user.
    Blocked,
    /// Its last turn ended with an error.
    Error,
}

/// What is done when a usage limit has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// You are told.
    #[default]
    Notify,
    /// Those that were stopped by it are told to continue.
    Continue,
}

/// What is decided of a request without asking you. Write `allow` or `deny`, and what it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Tools that may be used: `Bash`, `Edit`, `mcp__github__*`. `*` stands for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// Tools that are denied where Claude would ask. What it does without asking, by its own rules and
    /// modes, no rule here sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<String>,
    /// Only if this fits what the tool is to do: the command of Bash, the address of WebFetch, else the
    /// input as JSON. `*` stands for anything; an `allow` never fits a command with anything in it by
    /// which a shell might do more than that: a second one behind it, a redirection, a variable, a brace,
    /// a pattern for files, a quote within a word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Only if the file that the tool works on lies here: `src/**`, relative to the process's directory,
    /// or absolute. `*` stops at a `/`, `**` does not. What gives an agent more leave (`.claude`,
    /// `.mcp.json`, `.git`, our own config) an `allow` must name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only for processes of this name, `WORKSPACE/PROCESS`; `*` stands for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Only until then: `2026-12-31`, or `2026-12-31T18:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why: kept with each decision, and told to an agent that is denied something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What kind of program an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    /// Claude Code: sessions, status, `--resume`.
    Claude,
    /// Any other program.
    Command,
}

/// Which of Claude's renderers to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Screen {
    /// Whatever Claude chooses, which is full screen in most cases.
    #[default]
    Default,
    /// No alternate screen: what scrolls off stays in the terminal's own history.
    Classic,
}

/// A WezTerm workspace bound to a project directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// The project directory. `~` is the home directory.
    #[serde(default)]
    pub cwd: PathBuf,
    /// Which others are restarted with a process that is: none, all, or those started after it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub strategy: Strategy,
    /// What else happens when a process goes into `crash_loop`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_crash_loop: OnCrashLoop,
    /// Name of the template for its panes: one of `layouts`, a saved one, or a shipped one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Environment of every process in it.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// The processes, by name, in start order unless `after` says otherwise.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub processes: IndexMap<String, Process>,
}

/// Which others are restarted together with a process that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// None.
    #[default]
    OneForOne,
    /// All of the workspace.
    OneForAll,
    /// Those that start after it.
    RestForOne,
}

/// What else happens when a process goes into `crash_loop`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnCrashLoop {
    /// Nothing: innocent neighbours go on.
    #[default]
    Nothing,
    /// All processes of the workspace are restarted, once per period.
    RestartWorkspace,
    /// All processes of the workspace are stopped.
    StopWorkspace,
}

/// A supervised long-lived program. It runs `agent` or `command`, not both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Process {
    /// Name of the agent to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The program to run and its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Arguments after those of the agent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Where to run, relative to the workspace's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Environment, over that of the agent and the workspace.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// Whether it starts with its workspace. true by default.
    #[serde(skip_serializing_if = "is_true")]
    pub autostart: bool,
    /// When it is started again.
    #[serde(skip_serializing_if = "is_default")]
    pub restart: Restart,
    /// How it is asked to end.
    #[serde(skip_serializing_if = "is_default")]
    pub stop: Stop,
    /// Processes of the same workspace that come first, and how far they must have come.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub after: IndexMap<String, Condition>,
    /// How to tell that it is ready. A Claude is ready at its first idle, any other program when it
    /// has started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Ready>,
    /// A process that is not ready after this long counts as failed. 60s by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_timeout: Option<Span>,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            agent: None,
            command: None,
            args: Vec::new(),
            cwd: None,
            env: IndexMap::new(),
            autostart: true,
            restart: Restart::default(),
            stop: Stop::default(),
            after: IndexMap::new(),
            ready: None,
            ready_timeout: None,
        }
    }
}

/// How far a process must have come before another one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its program runs.
    Started,
    /// It is ready.
    Ready,
    /// It has ended well.
    Exited,
}

/// How to tell that a process is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ready {
    /// A line of its output matches this regular expression.
    Log(String),
    /// Something listens on this TCP port of the loopback interface.
    Port(u16),
    /// This command, run in its directory, ends with 0.
    Command(Vec<String>),
}

fn is_default<T: Default + PartialEq>(v: &T) -> bool {
    *v == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_true(v: &bool) -> bool {
    *v
}
