//! Tasks: queued work, a prompt for Claude Code or a command.

use std::{fmt, path::PathBuf};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::keeper::ExitRecord;

/// How a task stands. The last four are ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// It may start as soon as there is room.
    Queued,
    /// It waits for tasks that come first, or for a time: after a failure, or until a usage limit has passed.
    Waiting,
    /// A run of it lives, or is about to.
    Running,
    /// Somebody has paused it.
    Paused,
    /// It has succeeded.
    Done,
    /// It has failed, as often as it may.
    Failed,
    /// Somebody has ended it.
    Canceled,
    /// A task that comes first has not succeeded.
    Skipped,
}

impl TaskState {
    /// Nothing more becomes of it by itself.
    pub fn is_end(self) -> bool {
        match self {
            Self::Queued | Self::Waiting | Self::Running | Self::Paused => false,
            Self::Done | Self::Failed | Self::Canceled | Self::Skipped => true,
        }
    }
}

impl TaskState {
    /// The state as it stands on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What becomes of a task when one that comes first has not succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailedDependency {
    /// It is skipped, and so is what comes after it.
    #[default]
    Skip,
    /// It fails too.
    Fail,
    /// It runs all the same.
    Run,
}

/// The group of a task that names none.
pub const GROUP_DEFAULT: &str = "default";
/// Most tasks in one `task.import`: a frame holds 65,536 values, and a small task has ten.
pub const IMPORT_TASKS_MAX: usize = 5_000;
/// Longest name of a task or a group, in characters.
pub const NAME_CHARS_MAX: usize = 64;

/// Parameters of `task.add`: either a prompt or a command.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskAdd {
    /// Its name; the beginning of its prompt or command if left out. Several tasks may have the same one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What Claude is asked; 512 KiB at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A program and its arguments, instead of a prompt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The workspace whose directory it runs in, and that its session can be opened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Where it runs, absolute; the workspace's directory if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Which agent of the config is asked; `claude` if left out. One whose kind is Claude.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `default`, `acceptEdits`, `plan`, …: what Claude may do without asking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    /// Tools that it may use without asking, as Claude writes them: `Bash(git log:*)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Variables for its environment.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// From -100 to 100; larger goes first. A minute of waiting counts as one.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Tasks that come first, by id or name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What becomes of it when one of them does not succeed.
    #[serde(skip_serializing_if = "is_skip")]
    pub on_failed_dependency: OnFailedDependency,
    /// Its group; `default` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Further attempts after a failure: 2 for a prompt and none for a command if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long an attempt may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// It has failed if it is not over by then, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<i64>,
    /// What its session may cost, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// How many turns an attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// The environment of whoever adds it, which it runs in; the daemon's if left out.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
    /// Idempotency key: of several tasks with the same one only the first is added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(n: &i32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_skip(on: &OnFailedDependency) -> bool {
    *on == OnFailedDependency::Skip
}

impl fmt::Debug for TaskAdd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the environment holds secrets, and prompts and arguments are nobody else's business
        f.debug_struct("TaskAdd").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Parameters of `task.import`: all of them are added, or none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskImport {
    /// The tasks. `after` may name others of them by their names, which must differ then.
    pub tasks: Vec<TaskAdd>,
    /// The environment that all of them run in that have none of their own.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of calls that are about one task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskTarget {
    /// Its id, the last characters of it, or its name if no other has the same.
    pub task: String,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `task.retry`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskRetry {
    /// As for [`TaskTarget`].
    pub task: String,
    /// Begin a new session instead of going on with its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `task.edit`: what is left out stays. Only of a task that neither runs nor is over.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskEdit {
    /// As for [`TaskTarget`].
    pub task: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its prompt, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Its command, if it has one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Its priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Further attempts after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long an attempt may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// When it must be over, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<i64>,
    /// What its session may cost, in US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// How many turns an attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl fmt::Debug for TaskEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEdit").field("task", &self.task).finish_non_exhaustive()
    }
}

/// Parameters of `task.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskList {
    /// Only those of this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Only those of this workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Only those in one of these states; all if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<TaskState>,
    /// At most so many that are over, the newest; 200 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<u32>,
}

/// Parameters of `task.wait`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskWait {
    /// Tasks, as for [`TaskTarget`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// All of this group that are there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How long to wait, in milliseconds; without end if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    /// Its id (a ULID).
    pub id: String,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: TaskState,
    /// Why, in words, where there is something to say.
    pub reason: Option<String>,
    /// Its priority.
    pub priority: i32,
    /// Its group.
    pub group: String,
    /// Ids of the tasks that come first.
    pub after: Vec<String>,
    /// How many attempts have begun.
    pub attempt: u32,
    /// Process id of its program, while it runs.
    pub pid: Option<i32>,
    /// Claude's session.
    pub session_id: Option<String>,
    /// What the session has cost so far, in US dollars.
    pub cost_usd: Option<f64>,
    /// When the present or last attempt began, in milliseconds since 1970.
    pub started_at: Option<i64>,
    /// When it was over.
    pub ended_at: Option<i64>,
    /// When it was added.
    pub added_at: i64,
    /// A prompt or a command.
    pub kind: TaskKind,
    /// The beginning of the prompt or command: 200 characters at most.
    pub text: String,
    /// Its workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Until when it waits, if it waits for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<i64>,
    /// The account whose limits it shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Who has added it, if that was an agent: `WORKSPACE/PROCESS` or a task's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_by: Option<String>,
    /// How far it has come, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<TaskProgress>,
    /// Process id of the keeper of its run, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeper_pid: Option<i32>,
    /// Name of the present or last run, which is also that of its directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
}

/// What a task is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// A prompt for `claude -p`.
    Prompt,
    /// A program with its arguments.
    Command,
}

/// How far an attempt has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskProgress {
    /// What it does now: the tool and what with, 120 characters at most; or that the API is asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doing: Option<String>,
    /// How often the model has answered.
    pub turns: u32,
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// The last thing that the model said: 200 characters at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What an attempt has brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskResult {
    /// The answer, or the last of what a command has written: 64 KiB at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The answer is longer; the log has all of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Files that Claude has changed, as far as its tools say: 1,000 at most.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// What it was not allowed to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial>,
    /// How often the model has answered.
    pub turns: u32,
    /// Tokens that went in, over the whole session.
    pub input_tokens: u64,
    /// Tokens that came out, over the whole session.
    pub output_tokens: u64,
    /// How long the attempt has taken, in milliseconds.
    pub duration_ms: u64,
    /// How its program ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitRecord>,
}

/// Something that a task was not allowed to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Denial {
    /// The tool.
    pub tool: String,
    /// What with: 200 characters at most.
    pub what: String,
}

/// A task, whole: the answer to `task.show`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskDetail {
    /// How it stands.
    pub task: TaskView,
    /// As it was added, without the environment of whoever added it.
    pub asked: TaskAdd,
    /// What its last attempt has brought, once that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<TaskResult>,
    /// Directory of its present or last run, with the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_dir: Option<PathBuf>,
    /// Number of the newest event that this holds.
    pub seq: u64,
}

/// Parameters of calls that are about a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GroupTarget {
    /// Its name.
    pub group: String,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A group of tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// How many of its tasks may run at once, if it has a limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
    /// Nothing more of it starts.
    pub paused: bool,
    /// How many of its tasks are in each state.
    pub tasks: TaskCounts,
    /// What those that are remembered have cost, in US dollars.
    pub cost_usd: f64,
}

/// How many tasks are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskCounts {
    /// As [`TaskState::Queued`].
    pub queued: u32,
    /// As [`TaskState::Waiting`].
    pub waiting: u32,
    /// As [`TaskState::Running`].
    pub running: u32,
    /// As [`TaskState::Paused`].
    pub paused: u32,
    /// As [`TaskState::Done`].
    pub done: u32,
    /// As [`TaskState::Failed`].
    pub failed: u32,
    /// As [`TaskState::Canceled`].
    pub canceled: u32,
    /// As [`TaskState::Skipped`].
    pub skipped: u32,
}

impl TaskCounts {
    /// The count of a state.
    pub fn of(&mut self, state: TaskState) -> &mut u32 {
        match state {
            TaskState::Queued => &mut self.queued,
            TaskState::Waiting => &mut self.waiting,
            TaskState::Running => &mut self.running,
            TaskState::Paused => &mut self.paused,
            TaskState::Done => &mut self.done,
            TaskState::Failed => &mut self.failed,
            TaskState::Canceled => &mut self.canceled,
            TaskState::Skipped => &mut self.skipped,
        }
    }
}

/// What a group has brought: the answer to `group.report`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GroupReport {
    /// The group.
    pub group: GroupView,
    /// Its tasks with what they have brought, in the order in which they were added. Answers are cut to 4 KiB
    /// where there are many.
    pub tasks: Vec<TaskReport>,
}

/// A task and what it has brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskReport {
    /// The task.
    pub task: TaskView,
    /// What its last attempt has brought, once that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<TaskResult>,
}
