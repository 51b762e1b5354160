//! The daemon itself, and its config while it runs.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{process::ProcessView, workspace::WorkspaceView};

/// Parameters of `hello`, the first call on every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Hello {
    /// Oldest and newest protocol version that the client speaks.
    pub protocol: [u32; 2],
    /// Name and version of the client, for the log.
    pub client: String,
    /// The config file that the client would use. If the daemon has another, its answer says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
}

/// The answer to `hello`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Welcome {
    /// The protocol version that is spoken from here on.
    pub protocol: u32,
    /// The daemon's version.
    pub server: String,
    /// What this daemon can do beyond the protocol version. Appended to, never reused.
    pub features: Vec<String>,
    /// What it refuses to go beyond.
    pub limits: Limits,
    /// The daemon's config file.
    pub config: PathBuf,
}

/// What the daemon refuses to go beyond.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// Largest frame, in bytes.
    pub frame_bytes: u32,
    /// Deepest nesting of a frame.
    pub frame_depth: u32,
    /// Connections at the same time.
    pub connections: u32,
    /// Unanswered calls on one connection.
    pub in_flight: u32,
}

/// How everything stands: the answer to `daemon.status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// The daemon.
    pub daemon: DaemonView,
    /// All workspaces.
    pub workspaces: Vec<WorkspaceView>,
    /// All processes.
    pub processes: Vec<ProcessView>,
}

/// The daemon as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DaemonView {
    /// Its process id.
    pub pid: i32,
    /// Its version.
    pub version: String,
    /// The protocol version it speaks.
    pub protocol: u32,
    /// Its socket.
    pub socket: PathBuf,
    /// Its config file.
    pub config: PathBuf,
    /// How many configs have been applied so far.
    pub config_generation: u64,
    /// The whole message of a config that was refused, as long as it is so.
    pub config_error: Option<String>,
    /// When it began to serve, in milliseconds since 1970.
    pub started_at: i64,
    /// What is wrong with it, in words: a full disk.
    #[serde(default)]
    pub problem: Option<String>,
}

/// Parameters of `daemon.stop`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DaemonStop {
    /// Leave the runs alone: only the daemon ends.
    pub keep: bool,
}

/// The answer to `daemon.stop`, sent when it is true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stopped {
    /// Runs that were ended.
    pub ended: u32,
    /// Runs that were left alone.
    pub kept: u32,
}

/// Parameters of `config.check`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConfigTarget {
    /// A file instead of the daemon's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// What a reload would do, or has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConfigPlan {
    /// Number of the applied config; 0 if nothing was applied.
    pub generation: u64,
    /// What changes, a line each, in the order in which it is done.
    pub changes: Vec<ConfigChange>,
}

/// One line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigChange {
    /// What is done.
    pub action: ConfigAction,
    /// The workspace or `WORKSPACE/PROCESS` that it is done to; `daemon` or an agent's name for what
    /// concerns all.
    pub target: String,
    /// Why: the keys that differ.
    pub keys: Vec<String>,
}

/// What a config change leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConfigAction {
    /// A workspace or process comes to be.
    Add,
    /// A workspace or process goes.
    Remove,
    /// A process is stopped and started again with its new definition.
    Restart,
    /// Applied without touching what runs.
    Change,
}

/// Names a project's own config file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConfigTrust {
    /// The file, or its directory.
    pub path: PathBuf,
}

/// A text: the answer to `config.show`, `config.export` and `config.schema`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Text {
    /// The text.
    pub text: String,
}

/// Nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Empty {}
