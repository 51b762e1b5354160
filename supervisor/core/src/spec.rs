//! Definitions with every default filled in: what the config and the commands come down to.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use wezterm_parallel_schemas::{
    config::{
        Condition, OnCrashLoop, OnLimit, Ready, RestartPolicy, Rule, Screen, StatusFrom, Strategy,
        TitleMeaning,
    },
    evidence::EvidenceSource,
    layout::Layout,
    on::OnEvent,
    process::{Kind, Source},
};

/// Milliseconds. Points in time count from 1970, spans from their beginning.
pub type Millis = u64;

/// Tasks at the same time, where the config says nothing: what a laptop and one account bear.
pub const TASKS_PARALLEL_DEFAULT: u32 = 4;

/// Everything that is meant to be there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Desired {
    /// Agents, by name.
    pub agents: IndexMap<String, AgentSpec>,
    /// Workspaces, by name.
    pub workspaces: IndexMap<String, WorkspaceSpec>,
    /// What the daemon keeps to.
    pub daemon: DaemonSpec,
    /// What is decided of agents' requests without asking the user; the first that fits.
    #[serde(default)]
    pub permissions: Vec<Rule>,
    /// What the user is told by a toast.
    #[serde(default)]
    pub notify: NotifySpec,
    /// How many tasks run at once.
    #[serde(default)]
    pub tasks: TasksSpec,
    /// What is run when something happens, in order; none of the lists is empty.
    #[serde(default)]
    pub on: IndexMap<OnEvent, Vec<OnSpec>>,
    /// Templates for panes, by name.
    #[serde(default)]
    pub layouts: IndexMap<String, Layout>,
    /// Directories whose subdirectories are offered for a new workspace, absolute.
    #[serde(default)]
    pub project_roots: Vec<PathBuf>,
}

/// What the daemon keeps to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DaemonSpec {
    /// What is started again after a reboot.
    pub resume: wezterm_parallel_schemas::config::Resume,
    /// Agents wait to start below this much free memory, in bytes.
    pub min_free_memory: u64,
}

impl Default for DaemonSpec {
    fn default() -> Self {
        Self { resume: Default::default(), min_free_memory: MIN_FREE_MEMORY_DEFAULT }
    }
}

/// How many tasks run at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TasksSpec {
    /// Of all groups together.
    pub parallel: u32,
    /// Groups that have a limit of their own.
    pub groups: IndexMap<String, u32>,
}

impl Default for TasksSpec {
    fn default() -> Self {
        Self { parallel: TASKS_PARALLEL_DEFAULT, groups: IndexMap::new() }
    }
}

/// What the user is told by a toast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifySpec {
    /// An agent asks its user.
    pub blocked: bool,
    /// A process failed and is not started again.
    pub failed: bool,
    /// A process failed too often.
    pub crash_loop: bool,
    /// A long turn has ended.
    pub finished: bool,
    /// An account has reached its usage limit, or that has passed.
    pub limit: bool,
    /// The config file cannot be used as it is.
    pub config: bool,
    /// A task has failed.
    pub task_failed: bool,
    /// The last task of a group is over.
    pub tasks_done: bool,
    /// What a long turn is.
    pub long_turn: Millis,
    /// At most so many in a minute; at least 1.
    pub at_most: u32,
    /// No toasts in these minutes of the day, from the first to before the second.
    pub quiet_hours: Vec<[u16; 2]>,
}

impl Default for NotifySpec {
    fn default() -> Self {
        Self {
            blocked: true,
            failed: true,
            crash_loop: true,
            finished: true,
            limit: true,
            config: true,
            task_failed: true,
            tasks_done: true,
            long_turn: LONG_TURN_MS_DEFAULT,
            at_most: TOASTS_DEFAULT,
            quiet_hours: Vec::new(),
        }
    }
}

/// A hook of the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long it has.
    pub timeout: Millis,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Claude Code or not.
    pub kind: Kind,
    /// The program and its first arguments.
    pub command: Vec<String>,
    /// Further arguments.
    pub args: Vec<String>,
    /// Environment.
    pub env: IndexMap<String, String>,
    /// How many may be starting at the same time; at least 1.
    pub start_at_once: u32,
    /// Which of Claude's renderers.
    pub screen: Screen,
    /// How its status is known.
    #[serde(default)]
    pub status: StatusSpec,
    /// What is done when a usage limit has passed.
    #[serde(default)]
    pub on_limit: OnLimit,
    /// A Claude gets our MCP server. True where a definition of before this was a choice does not say: or each
    /// of them would be restarted by an upgrade.
    #[serde(default = "yes")]
    pub mcp: bool,
}

fn yes() -> bool {
    true
}

/// How the status of an agent is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusSpec {
    /// Where it is read from.
    pub from: Vec<StatusFrom>,
    /// What its titles mean: regular expressions.
    #[serde(default)]
    pub titles: IndexMap<TitleMeaning, String>,
}

impl StatusSpec {
    /// Where the status of a program is read from if the config does not say.
    pub fn of(kind: Kind) -> Self {
        let from = match kind {
            Kind::Claude => vec![StatusFrom::Osc7501, StatusFrom::Hooks, StatusFrom::Registry],
            Kind::Command => vec![StatusFrom::Osc7501],
        };
        Self { from, titles: IndexMap::new() }
    }
    /// Whether it is read from there.
    pub fn reads(&self, from: StatusFrom) -> bool {
        self.from.contains(&from)
    }
    /// Whether what this source says counts.
    pub fn reads_source(&self, source: EvidenceSource) -> bool {
        let from = match source {
            EvidenceSource::Osc7501 => StatusFrom::Osc7501,
            EvidenceSource::Hook => StatusFrom::Hooks,
            EvidenceSource::Registry => StatusFrom::Registry,
            EvidenceSource::Title => StatusFrom::Title,
            EvidenceSource::Progress => StatusFrom::Progress,
            // asked for by arguments, or true of every process
            _ => return true,
        };
        self.reads(from)
    }
}

impl Default for StatusSpec {
    /// That of a Claude: what definitions of before this was a choice mean.
    fn default() -> Self {
        Self::of(Kind::Claude)
    }
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceSpec {
    /// The project directory, absolute.
    pub cwd: PathBuf,
    /// Where the definition comes from.
    pub source: Source,
    /// Which others are restarted with a process that failed.
    pub strategy: Strategy,
    /// What else happens at a crash loop.
    pub on_crash_loop: OnCrashLoop,
    /// Name of the pane layout.
    pub layout: Option<String>,
    /// Its processes, by name, in start order (no `after` points forward).
    pub processes: IndexMap<String, ProcessSpec>,
}

/// A process, with everything filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Where the definition comes from.
    pub source: Source,
    /// Name of its agent, if it has one.
    pub agent: Option<String>,
    /// Claude Code or not.
    pub kind: Kind,
    /// The program and all its arguments: the agent's command and args, then the process's own.
    /// Session arguments of Claude are added when it starts.
    pub command: Vec<String>,
    /// Where to run, absolute.
    pub cwd: PathBuf,
    /// Environment over that of the opening client: agent's, workspace's, process's, in that order.
    pub env: IndexMap<String, String>,
    /// Which of Claude's renderers.
    pub screen: Screen,
    /// Starts with its workspace.
    pub autostart: bool,
    /// When it is started again.
    pub restart: RestartSpec,
    /// How long it has after SIGTERM.
    pub stop_grace: Millis,
    /// What comes first.
    pub after: IndexMap<String, Condition>,
    /// How to tell that it is ready; none: Claude's first idle, any other program's start.
    pub ready: Option<Ready>,
    /// Not ready after this long is a failure.
    pub ready_timeout: Millis,
    /// A Claude session to go on with at the first start.
    #[serde(default)]
    pub resume: Option<String>,
    /// A Claude session to begin a new one from at the first start.
    #[serde(default)]
    pub fork: Option<String>,
    /// How its status is known.
    #[serde(default)]
    pub status: StatusSpec,
    /// What is done when a usage limit has passed.
    #[serde(default)]
    pub on_limit: OnLimit,
    /// A Claude gets our MCP server. True where a definition of before this was a choice does not say: or each
    /// of them would be restarted by an upgrade.
    #[serde(default = "yes")]
    pub mcp: bool,
    /// Size of a log file in bytes.
    pub log_bytes: u64,
    /// Log files of a run.
    pub log_files: u32,
    /// Scrolled-off text kept by the keeper, in bytes.
    pub history_bytes: u64,
}

/// When a process is started again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestartSpec {
    /// After which endings.
    pub policy: RestartPolicy,
    /// More restarts than this within `within` are a crash loop.
    pub max_restarts: u32,
    /// The period in which restarts are counted.
    pub within: Millis,
    /// The waits between.
    pub backoff: BackoffSpec,
}

/// The waits between restarts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackoffSpec {
    /// The first wait.
    pub initial: Millis,
    /// By how much each further one is longer; at least 1.
    pub factor: f64,
    /// The longest.
    pub max: Millis,
    /// Part left to chance, 0 to 1.
    pub jitter: f64,
    /// A run this long forgets the failures before it.
    pub reset_after: Millis,
}

/// Longest name of a workspace, process, agent or template, in bytes. Names become parts of file names and
/// tab titles.
pub const NAME_BYTES_MAX: usize = 64;

/// Whether this can be the name of a workspace, a process, an agent or a template.
pub fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Free memory below which agents wait: a Claude takes 200 MB at once and as much again while it works.
pub const MIN_FREE_MEMORY_DEFAULT: u64 = 512 << 20;
/// A long turn: of a shorter one its user has hardly looked away.
pub const LONG_TURN_MS_DEFAULT: Millis = 30_000;
/// Toasts in a minute: more than one each ten seconds nobody reads.
pub const TOASTS_DEFAULT: u32 = 6;
/// Time that a hook has: what tells somebody something takes a second or two, over a slow network.
pub const ON_TIMEOUT_MS_DEFAULT: Millis = 30_000;
/// The shortest: on a busy machine a shell alone may take half of it.
pub const ON_TIMEOUT_MS_MIN: Millis = 1_000;
/// The longest: four that hang hold up all others.
pub const ON_TIMEOUT_MS_MAX: Millis = 600_000;
/// Claudes starting at once: with 5 the first prompt comes after 0.8 s on 2 cores, with 10 after 2.3 s.
pub const START_AT_ONCE_DEFAULT: u32 = 4;
/// Time after SIGTERM. Claude ends in 0.3 s; servers take a second or two.
pub const STOP_GRACE_MS_DEFAULT: Millis = 3_000;
/// Time to become ready. Ten Claudes at once need 2.3 s; a build before a server may need most of this.
pub const READY_TIMEOUT_MS_DEFAULT: Millis = 60_000;
/// Size of a log file.
pub const LOG_BYTES_DEFAULT: u64 = 8 << 20;
/// Log files of a run.
pub const LOG_FILES_DEFAULT: u32 = 4;
/// Scrolled-off text: some 10,000 lines.
pub const HISTORY_BYTES_DEFAULT: u64 = 1 << 20;

impl Default for BackoffSpec {
    fn default() -> Self {
        Self { initial: 500, factor: 2.0, max: 60_000, jitter: 0.2, reset_after: 600_000 }
    }
}

impl Default for RestartSpec {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::OnFailure,
            max_restarts: 5,
            within: 60_000,
            backoff: BackoffSpec::default(),
        }
    }
}
