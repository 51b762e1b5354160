//! What happens, in order: the answer to `event.list` and the notifications after `subscribe`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    keeper::ExitRecord,
    limit::Usage,
    process::{ProcessView, State, Status},
    task::{TaskCounts, TaskState},
    workspace::WorkspaceView,
};

/// What kind of thing happened. The part before the dot is its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub enum EventKind {
    /// The daemon serves.
    #[serde(rename = "daemon.started")]
    DaemonStarted,
    /// The daemon is about to end.
    #[serde(rename = "daemon.stopping")]
    DaemonStopping,
    /// A part of the daemon failed and was started again; `message` has its path.
    #[serde(rename = "daemon.panic")]
    DaemonPanic,
    /// The config was read anew and applied.
    #[serde(rename = "config.applied")]
    ConfigApplied,
    /// The config was read anew and refused; `message` says why.
    #[serde(rename = "config.refused")]
    ConfigRefused,
    /// A workspace has come to be.
    #[serde(rename = "workspace.added")]
    WorkspaceAdded,
    /// A workspace was opened, closed, renamed or otherwise changed.
    #[serde(rename = "workspace.changed")]
    WorkspaceChanged,
    /// A workspace is gone.
    #[serde(rename = "workspace.removed")]
    WorkspaceRemoved,
    /// A process has come to be.
    #[serde(rename = "process.added")]
    ProcessAdded,
    /// A process's definition changed.
    #[serde(rename = "process.changed")]
    ProcessChanged,
    /// A process went from one state to another.
    #[serde(rename = "process.state")]
    ProcessState,
    /// An agent's status, its reason or `unread` changed.
    #[serde(rename = "process.status")]
    ProcessStatus,
    /// A run of a process ended; `exit` says how.
    #[serde(rename = "process.exit")]
    ProcessExit,
    /// A process is gone.
    #[serde(rename = "process.removed")]
    ProcessRemoved,
    /// What a process has used changed; told every few seconds at most.
    #[serde(rename = "process.usage")]
    ProcessUsage,
    /// A process has begun or taken up a session of Claude; `message` says how: `startup`, `resume`,
    /// `clear`, `compact`, `fork`.
    #[serde(rename = "session.started")]
    SessionStarted,
    /// A process has left a session of Claude; `message` says why.
    #[serde(rename = "session.ended")]
    SessionEnded,
    /// A prompt waits for its agent to be idle.
    #[serde(rename = "prompt.queued")]
    PromptQueued,
    /// An agent has a prompt.
    #[serde(rename = "prompt.delivered")]
    PromptDelivered,
    /// A prompt did not reach its agent; `message` says why.
    #[serde(rename = "prompt.undelivered")]
    PromptUndelivered,
    /// The turn that a prompt began is over; `message` has the beginning of the answer.
    #[serde(rename = "prompt.answered")]
    PromptAnswered,
    /// Somebody took a prompt back.
    #[serde(rename = "prompt.canceled")]
    PromptCanceled,
    /// An agent asks its user for something; `message` says what.
    #[serde(rename = "inbox.asked")]
    InboxAsked,
    /// A request has been decided, or is moot; `message` says how and by whom.
    #[serde(rename = "inbox.decided")]
    InboxDecided,
    /// An account has reached a usage limit; `until` says when it ends.
    #[serde(rename = "limit.reached")]
    LimitReached,
    /// A usage window has passed a threshold that Claude warns of.
    #[serde(rename = "limit.warning")]
    LimitWarning,
    /// A usage limit is over.
    #[serde(rename = "limit.passed")]
    LimitPassed,
    /// A task was added.
    #[serde(rename = "task.added")]
    TaskAdded,
    /// A task went from one state to another, there is another reason for it, or its program runs now;
    /// `task_state`, `message` and `pid`.
    #[serde(rename = "task.state")]
    TaskChanged,
    /// A task that runs has come further; told every second at most. `message` says what it does.
    #[serde(rename = "task.progress")]
    TaskProgress,
    /// A group of tasks was paused or resumed; `message` says which of the two.
    #[serde(rename = "group.changed")]
    GroupChanged,
    /// The last task of a group that was not over is; `tasks` and `message` say what has become of them.
    #[serde(rename = "group.over")]
    GroupOver,
    /// Something was leased; `lease` names it, `message` its holder.
    #[serde(rename = "lease.acquired")]
    LeaseAcquired,
    /// Something is not leased any more; `message` says who held it and why it ended.
    #[serde(rename = "lease.released")]
    LeaseReleased,
    /// An agent asked for something that it may not; `method` is the call, `message` says what. The same one is
    /// told once in 10 seconds.
    #[serde(rename = "agent.refused")]
    AgentRefused,
    /// A kind of a newer release.
    #[serde(other, rename = "unknown")]
    Unknown,
}

impl EventKind {
    /// The kind as it stands on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DaemonStarted => "daemon.started",
            Self::DaemonStopping => "daemon.stopping",
            Self::DaemonPanic => "daemon.panic",
            Self::ConfigApplied => "config.applied",
            Self::ConfigRefused => "config.refused",
            Self::WorkspaceAdded => "workspace.added",
            Self::WorkspaceChanged => "workspace.changed",
            Self::WorkspaceRemoved => "workspace.removed",
            Self::ProcessAdded => "process.added",
            Self::ProcessChanged => "process.changed",
            Self::ProcessState => "process.state",
            Self::ProcessStatus => "process.status",
            Self::ProcessExit => "process.exit",
            Self::ProcessRemoved => "process.removed",
            Self::ProcessUsage => "process.usage",
            Self::SessionStarted => "session.started",
            Self::SessionEnded => "session.ended",
            Self::PromptQueued => "prompt.queued",
            Self::PromptDelivered => "prompt.delivered",
            Self::PromptUndelivered => "prompt.undelivered",
            Self::PromptAnswered => "prompt.answered",
            Self::PromptCanceled => "prompt.canceled",
            Self::InboxAsked => "inbox.asked",
            Self::InboxDecided => "inbox.decided",
            Self::LimitReached => "limit.reached",
            Self::LimitWarning => "limit.warning",
            Self::LimitPassed => "limit.passed",
            Self::TaskAdded => "task.added",
            Self::TaskChanged => "task.state",
            Self::TaskProgress => "task.progress",
            Self::GroupChanged => "group.changed",
            Self::GroupOver => "group.over",
            Self::LeaseAcquired => "lease.acquired",
            Self::LeaseReleased => "lease.released",
            Self::AgentRefused => "agent.refused",
            Self::Unknown => "unknown",
        }
    }
    /// The part before the dot.
    pub fn topic(self) -> &'static str {
        self.name().split('.').next().unwrap_or_default()
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number; grows by one with each event, over restarts of the daemon too.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What kind of thing.
    pub kind: EventKind,
    /// The workspace's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The process's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The workspace's or process's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The process's state after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The agent's status after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Whether a turn has ended that nobody has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<bool>,
    /// Claude's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Process id of the program itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The reason, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<ExitRecord>,
    /// The request in the inbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The account, as [`crate::limit::AccountView`] names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Until when, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// What has been used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Id of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_name: Option<String>,
    /// Its state after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_state: Option<TaskState>,
    /// The group of tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many of its tasks are in each state: of those that were added since its last end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TaskCounts>,
    /// What is leased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// The call, by its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

impl Event {
    /// An event with no number and no time yet: both are given where it is published.
    pub fn new(kind: EventKind) -> Self {
        Self {
            seq: 0,
            at: 0,
            kind,
            workspace: None,
            process: None,
            id: None,
            run_id: None,
            state: None,
            status: None,
            unread: None,
            session_id: None,
            pid: None,
            message: None,
            exit: None,
            ask: None,
            prompt: None,
            account: None,
            until: None,
            usage: None,
            task: None,
            task_name: None,
            task_state: None,
            group: None,
            tasks: None,
            lease: None,
            method: None,
        }
    }
}

/// Parameters of `subscribe`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Subscribe {
    /// Topics (`process`, `workspace`, `config`, `daemon`, `session`, `prompt`, `inbox`, `limit`, `task`,
    /// `group`, `lease`, `agent`); all if empty.
    pub topics: Vec<String>,
    /// First send what happened after this event, if it is still kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_seq: Option<u64>,
}

/// The answer to `subscribe`: how things stand at `seq`. `event` notifications follow in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// Number of the newest event that this snapshot holds.
    pub seq: u64,
    /// Events that were asked for and are no longer kept: the range before those that follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<[u64; 2]>,
    /// All workspaces.
    pub workspaces: Vec<WorkspaceView>,
    /// All processes.
    pub processes: Vec<ProcessView>,
}

/// Parameters of `event.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventList {
    /// Only events after this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// At most this many, the newest; 1,000 at most and by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
