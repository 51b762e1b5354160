//! What is kept, a struct per table, and the changes that can be made to it.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use wezterm_parallel_core::{
    spec::{ProcessSpec, WorkspaceSpec},
    task::TaskRow,
};
use wezterm_parallel_schemas::{
    event::Event,
    gui::Intent,
    inbox::AskView,
    keeper::ExitRecord,
    layout::Window as Glass,
    limit::{Usage, Window},
    process::{Source, State},
    prompt::PromptView,
    task::{TaskAdd, TaskResult},
};

/// One change of one row. `Put` inserts the row or replaces the one with the same key.
///
/// The text form of all but records (prompts, requests, accounts, tasks, answers, events) stands in the
/// journal, so it follows the rules of
/// the wire: add, never rename, new fields have a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A workspace. Refused if another one has its name.
    PutWorkspace(WorkspaceRow),
    /// A workspace goes, by its id, with its processes and their runs.
    DeleteWorkspace(String),
    /// A process. Refused if its workspace is not there or has another one of its name.
    PutProcess(ProcessRow),
    /// A process goes, by its id, with its runs.
    DeleteProcess(String),
    /// A run. Refused if its process is not there, or has another run that has not ended.
    PutRun(RunRow),
    /// A run goes, by its id.
    DeleteRun(String),
    /// A config that was applied. The newest [`CONFIGS_KEPT_MAX`](crate::CONFIGS_KEPT_MAX) are kept.
    PutConfig(ConfigRow),
    /// A config goes, by its generation.
    DeleteConfig(u64),
    /// A project's file is trusted as it is.
    PutTrust(TrustRow),
    /// A project's file, by its path, is no longer trusted.
    DeleteTrust(PathBuf),
    /// A prompt. Its text is written once, with the first change.
    PutPrompt(PromptRow),
    /// A request of an agent.
    PutAsk(AskView),
    /// What an account uses up.
    PutAccount(AccountRow),
    /// An account goes, by its name.
    DeleteAccount(String),
    /// What a GUI is asked to do. Written again where another GUI gets it; nothing else of it changes.
    PutIntent(IntentRow),
    /// It is done, or not worth doing any more; by its id.
    DeleteIntent(String),
    /// How the panes of a workspace lie. Goes with its workspace.
    PutArrangement(ArrangementRow),
    /// A task that was added.
    AddTask(Box<TaskKept>),
    /// How a task stands now, and what its last attempt has brought, if that is over.
    PutTask(Box<TaskPut>),
    /// A task was changed by somebody.
    EditTask(Box<TaskKept>),
    /// A task is not remembered any more, by its id.
    DeleteTask(String),
    /// Whether a group of tasks is paused.
    PutGroup {
        /// Its name.
        name: String,
        /// Nothing more of it starts.
        paused: bool,
    },
    /// An environment that tasks run in; one that is there stays as it is.
    PutEnvironment {
        /// SHA-256 of what it says, in hexadecimal.
        id: String,
        /// The variables.
        variables: IndexMap<String, String>,
    },
    /// Something is leased.
    PutLease(LeaseRow),
    /// It is not leased any more; by its name.
    DeleteLease(String),
    /// The answer to a call with an idempotency key. Refused if the key has one that is younger than
    /// 24 hours: in the same commit as the effect, it keeps the effect from happening twice.
    PutReply(ReplyRow),
    /// Something happened. Refused if its number is 0 or taken.
    Event(Event),
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceRow {
    /// Its id (a ULID), which stays when it is renamed.
    pub id: String,
    /// Its name; no two have the same.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Its definition, kept as given.
    pub spec: WorkspaceSpec,
    /// Whether it is open.
    pub open: bool,
    /// Its place among the workspaces.
    pub position: u32,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessRow {
    /// Its id (a ULID), which stays when it is renamed.
    pub id: String,
    /// Its workspace.
    pub workspace_id: String,
    /// Its name; no two of a workspace have the same.
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Its definition.
    pub spec: ProcessSpec,
    /// Whether it is meant to run.
    pub wanted: bool,
    /// Claude's session.
    pub session_id: Option<String>,
    /// Whether Claude has begun that session, so that the next run resumes it.
    pub session_started: bool,
    /// How often it was started again since somebody started it.
    pub restarts: u32,
    /// The supervisor's view.
    pub state: State,
    /// Why it is in that state, in words.
    pub state_reason: Option<String>,
    /// A turn has ended and nobody has looked since.
    pub unread: bool,
    /// Its place in the workspace.
    pub position: u32,
}

/// A run of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its id (a ULID); also the name of its directory.
    pub run_id: String,
    /// The process it is a run of.
    pub process_id: String,
    /// How far it has come.
    pub state: RunState,
    /// Process id of its keeper.
    pub keeper_pid: Option<i32>,
    /// Process id of the program itself.
    pub pid: Option<i32>,
    /// When the program was started, in milliseconds since 1970.
    pub started_at: Option<i64>,
    /// Id of the machine's boot that it runs in.
    pub boot_id: Option<String>,
    /// How it ended.
    pub exit: Option<ExitRecord>,
    /// When the id was given out, in milliseconds since 1970: before anything was started.
    pub claimed_at: i64,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its id is given out. Its keeper may or may not have been started.
    Starting,
    /// Its keeper has said that the program runs.
    Running,
    /// It is known to be over.
    Ended,
}

/// A config that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRow {
    /// Its number; grows by one with each.
    pub generation: u64,
    /// The file that it was read from.
    pub path: PathBuf,
    /// The file's text.
    pub text: String,
    /// What it is written in: `yaml` or `toml`.
    pub format: String,
    /// When it was applied, in milliseconds since 1970.
    pub at: i64,
}

/// A project's own config file that is trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustRow {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the text that is trusted, in hexadecimal.
    pub sha256: String,
    /// That text, which stays in force while a newer one waits for trust.
    pub text: String,
    /// When it was trusted, in milliseconds since 1970.
    pub at: i64,
}

/// A prompt that was sent to an agent.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptRow {
    /// All of it.
    pub text: String,
    /// What has become of it; its own `text` is the beginning.
    pub view: PromptView,
}

impl std::fmt::Debug for PromptRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // what people say to their agents is nobody else's business
        f.debug_struct("PromptRow")
            .field("id", &self.view.id)
            .field("state", &self.view.state)
            .finish_non_exhaustive()
    }
}

/// What an account has used up, as far as it was told here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountRow {
    /// Claude's config directory, and the kind of its credentials if the environment has them.
    pub account: String,
    /// Until when it is limited, in milliseconds since 1970.
    pub limited_until: Option<i64>,
    /// Since when.
    pub limited_since: Option<i64>,
    /// What Claude said with it.
    pub reason: Option<String>,
    /// Its usage windows.
    pub windows: Vec<Window>,
    /// What all its sessions have cost since they are known here, in US dollars.
    pub cost_usd: f64,
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// The newest figures of each session, which grow over its life: what is above them is new.
    pub sessions: IndexMap<String, Usage>,
    /// Processes that the limit stopped in the middle of a turn, by id.
    pub stopped: Vec<String>,
    /// When that was, of each of them in this order, in milliseconds since 1970.
    pub stopped_at: Vec<i64>,
}

/// What a GUI is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentRow {
    /// It.
    pub intent: Intent,
    /// The GUI that it was given to, by the name that it gave itself.
    #[serde(default)]
    pub gui: Option<String>,
}

/// A task as it was added, and how it stood then.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskKept {
    /// How it stands.
    pub row: TaskRow,
    /// What is shown of it in a list.
    pub card: TaskCard,
    /// All that was asked, without the environment of whoever asked.
    pub asked: TaskAdd,
    /// The environment that it runs in, by its id; the daemon's if none.
    pub environment: Option<String>,
}

impl std::fmt::Debug for TaskKept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // what people ask their agents is nobody else's business
        f.debug_struct("TaskKept").field("row", &self.row).finish_non_exhaustive()
    }
}

/// What is shown of a task in a list, and does not change while it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskCard {
    /// Its name.
    pub name: String,
    /// It is a command, not a prompt.
    pub command: bool,
    /// The beginning of what was asked.
    pub text: String,
    /// Its workspace.
    pub workspace: Option<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// When it was added, in milliseconds since 1970.
    pub added_at: i64,
    /// The agent that has added it: `WORKSPACE/PROCESS` or a task's id.
    pub added_by: Option<String>,
    /// Id of the process or task that has added it.
    pub adder: Option<String>,
    /// Id of the process or task at which it began that agents added tasks.
    pub root: Option<String>,
    /// The agent that is asked; `claude` if none.
    pub agent: Option<String>,
    /// How many tasks stand above it that have added one another.
    pub depth: u32,
    /// Options of Claude that it has from the agent that has added it: it may do no more than that one.
    pub inherited: Vec<String>,
    /// The idempotency key that it was added with.
    pub key: Option<String>,
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskPut {
    /// It.
    pub row: TaskRow,
    /// What its last attempt has brought: none leaves what is there.
    pub brought: Option<TaskBrought>,
}

/// What an attempt has brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskBrought {
    /// What the session has cost so far, in US dollars.
    pub cost_usd: Option<f64>,
    /// The rest.
    pub result: TaskResult,
}

/// A task as it is loaded: what a list needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskLoaded {
    /// How it stands.
    pub row: TaskRow,
    /// What is shown of it.
    pub card: TaskCard,
    /// What its session has cost so far, in US dollars.
    pub cost_usd: Option<f64>,
}

/// Something that is leased.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaseRow {
    /// What: the path of a file, or `port:NUMBER`, or any name.
    pub name: String,
    /// To whom: `WORKSPACE/PROCESS` or a task's id.
    pub holder: String,
    /// The run that holds it: it ends with it.
    pub run_id: String,
    /// Since when, in milliseconds since 1970.
    pub at: i64,
    /// Until when, if it was given for a time.
    pub until: Option<i64>,
    /// What for, in words.
    pub reason: Option<String>,
}

/// How the panes of a workspace were last left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ArrangementRow {
    /// Id of the workspace.
    pub workspace_id: String,
    /// When that was told, in milliseconds since 1970.
    pub at: i64,
    /// It was on the glass.
    pub shown: bool,
    /// The GUI that told it, by the name that it gave itself.
    pub gui: String,
    /// Its windows.
    pub windows: Vec<Glass>,
}

/// The answer to a call with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyRow {
    /// The key.
    pub key: String,
    /// The method that was called.
    pub method: String,
    /// SHA-256 of its parameters, in hexadecimal: the same key with others is a mistake of the caller.
    pub params_sha256: String,
    /// The answer, encoded as it went out.
    pub result: Vec<u8>,
    /// When it was given, in milliseconds since 1970.
    pub at: i64,
}
