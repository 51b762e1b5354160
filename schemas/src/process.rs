//! Processes: what is asked of them and how they are shown.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{keeper::ExitRecord, limit::Usage};

/// The supervisor's view of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does not run and is not meant to.
    Stopped,
    /// It is about to run: waits for another process, for its place in the queue, or for its program.
    Starting,
    /// It runs.
    Running,
    /// It failed and waits to be started again.
    Backoff,
    /// It failed too often in too short a time and is left alone until somebody starts it.
    CrashLoop,
    /// It is being ended.
    Stopping,
    /// It ended by itself with success, and its policy leaves it so.
    Exited,
    /// It ended with a failure, or could not be started, and its policy leaves it so.
    Failed,
}

impl State {
    /// The state as it stands on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Backoff => "backoff",
            Self::CrashLoop => "crash_loop",
            Self::Stopping => "stopping",
            Self::Exited => "exited",
            Self::Failed => "failed",
        }
    }
}

/// An agent's own view of itself. On the wire it is one string: `working`, `blocked(permission)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It has been started and has not said anything yet.
    Starting,
    /// It waits for a prompt.
    Idle,
    /// It works.
    Working,
    /// It waits for an answer of the user.
    Blocked(Blocked),
    /// It waits for a usage limit to pass.
    RateLimited,
    /// Its last turn ended with an error.
    Error,
    /// Nothing is known, or what is known contradicts itself.
    Unknown,
}

/// What an agent waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// Leave to use a tool.
    Permission,
    /// An answer to a question.
    Question,
    /// Trust in the directory.
    Trust,
    /// A login.
    Auth,
    /// Its first-run questions.
    Setup,
}

impl Status {
    /// All there are, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::Starting,
        Self::Idle,
        Self::Working,
        Self::Blocked(Blocked::Permission),
        Self::Blocked(Blocked::Question),
        Self::Blocked(Blocked::Trust),
        Self::Blocked(Blocked::Auth),
        Self::Blocked(Blocked::Setup),
        Self::RateLimited,
        Self::Error,
        Self::Unknown,
    ];

    /// The status as it stands on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Blocked(Blocked::Permission) => "blocked(permission)",
            Self::Blocked(Blocked::Question) => "blocked(question)",
            Self::Blocked(Blocked::Trust) => "blocked(trust)",
            Self::Blocked(Blocked::Auth) => "blocked(auth)",
            Self::Blocked(Blocked::Setup) => "blocked(setup)",
            Self::RateLimited => "rate_limited",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }
}

impl Serialize for Status {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        // a status of a newer release is one that this release knows nothing of
        Ok(Self::ALL.into_iter().find(|v| v.name() == s).unwrap_or(Self::Unknown))
    }
}

impl JsonSchema for Status {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Status".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = Self::ALL.iter().map(|s| s.name()).collect();
        schemars::json_schema!({ "type": "string", "enum": names, "description": "An agent's own view of itself" })
    }
}

/// What a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Claude Code.
    Claude,
    /// Any other program.
    Command,
}

/// Where a workspace or a process comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The user's config file.
    Config,
    /// A project's own file.
    Project,
    /// A command; kept in the store.
    Runtime,
    /// Somebody started it by hand: it is shown, and never touched.
    Foreign,
}

/// A process as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessView {
    /// Its workspace.
    pub workspace: String,
    /// Its name, unique in the workspace.
    pub name: String,
    /// Its id (a ULID), which stays when it is renamed.
    pub id: String,
    /// What it runs.
    pub kind: Kind,
    /// The supervisor's view.
    pub state: State,
    /// Why it is in that state, in words, where there is something to say.
    #[serde(default)]
    pub state_reason: Option<String>,
    /// The agent's own view; null where there is no agent or it does not run.
    pub status: Option<Status>,
    /// What the agent said with it: the permission it asks for, the error.
    #[serde(default)]
    pub status_reason: Option<String>,
    /// When the status last changed, in milliseconds since 1970.
    #[serde(default)]
    pub status_since: Option<i64>,
    /// A turn has ended and nobody has looked since.
    pub unread: bool,
    /// Process id of the program itself.
    pub pid: Option<i32>,
    /// Process id of its keeper.
    pub keeper_pid: Option<i32>,
    /// Id of the current or last run (a ULID).
    pub run_id: Option<String>,
    /// Claude's session, which `--resume` takes.
    pub session_id: Option<String>,
    /// How often it was started again since somebody started it.
    pub restarts: u32,
    /// When the current run began, in milliseconds since 1970.
    pub started_at: Option<i64>,
    /// Where it comes from.
    pub source: Source,
    /// Its agent, if it has one.
    #[serde(default)]
    pub agent: Option<String>,
    /// The program and its arguments, as configured.
    #[serde(default)]
    pub command: Vec<String>,
    /// Where it runs.
    #[serde(default)]
    pub cwd: PathBuf,
    /// The title that it gave its terminal.
    #[serde(default)]
    pub title: Option<String>,
    /// How many are attached to it now.
    #[serde(default)]
    pub attached: u32,
    /// How the last run ended.
    #[serde(default)]
    pub last_exit: Option<ExitRecord>,
    /// When it is started again, in milliseconds since 1970, while in `backoff`.
    #[serde(default)]
    pub next_start_at: Option<i64>,
    /// Until when its account is limited, in milliseconds since 1970, while it is `rate_limited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_until: Option<i64>,
    /// What its session has used, where the agent says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Prompts that wait to be sent to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub prompts: u32,
    /// Requests of it that wait in the inbox.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asks: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Names one process: `PROCESS`, `WORKSPACE/PROCESS`, or an id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessTarget {
    /// The workspace, if the name alone does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The process's name or id.
    pub process: String,
    /// Idempotency key: a second call with the same key within 24 hours changes nothing and gets the
    /// first one's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `process.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessList {
    /// Only those of this workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Also Claudes that somebody started by hand, with the source `foreign`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// Parameters of `process.add`: a process made by a command, kept in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessAdd {
    /// The workspace.
    pub workspace: String,
    /// The name; one is made up if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The agent; `claude` if there is no command either.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// A Claude session to go on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// A Claude session to begin a new one from, with all that was said in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fork: Option<String>,
    /// The program and its arguments, or with an agent, further arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment of the caller, for the process to run in. Never shown, never logged.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `process.stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessStop {
    /// The workspace, if the name alone does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The process's name or id.
    pub process: String,
    /// Kill at once, without the grace time.
    pub now: bool,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Where the run of a process can be reached on this machine: the answer to `process.attach`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttachPoint {
    /// The process as it is now.
    pub process: ProcessView,
    /// Directory of the current or last run: `sock` and the log files lie in it.
    pub run_dir: Option<PathBuf>,
    /// Sequence number of the newest event that `process` holds.
    pub seq: u64,
}
