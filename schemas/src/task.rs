//! Tasks: queued work, a prompt for Claude Code or a command.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
        })
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
