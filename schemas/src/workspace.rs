//! Workspaces: what is asked of them and how they are shown.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{OnCrashLoop, Strategy},
    process::Source,
};

/// A workspace as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceView {
    /// Its name.
    pub name: String,
    /// Its id (a ULID), which stays when it is renamed.
    pub id: String,
    /// The project directory.
    pub cwd: PathBuf,
    /// Open: its processes are meant to run. Closed: they are not.
    pub open: bool,
    /// Where it comes from.
    pub source: Source,
    /// Which others are restarted with a process that failed.
    pub strategy: Strategy,
    /// What else happens when a process goes into `crash_loop`.
    pub on_crash_loop: OnCrashLoop,
    /// Name of the pane layout.
    pub layout: Option<String>,
    /// Number of processes in it.
    pub processes: u32,
    /// How many of them run.
    pub running: u32,
    /// What is wrong with it, in words: a directory that is gone, a project file not trusted.
    #[serde(default)]
    pub problem: Option<String>,
}

/// Names one workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkspaceTarget {
    /// Its name or id.
    pub workspace: String,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `workspace.create`: a workspace made by a command, kept in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkspaceCreate {
    /// Its name.
    pub name: String,
    /// The project directory, absolute.
    pub cwd: PathBuf,
    /// Name of the pane layout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `workspace.open`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkspaceOpen {
    /// Its name or id.
    pub workspace: String,
    /// Environment of the caller, for its processes to run in. Never shown, never logged.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `workspace.rename`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkspaceRename {
    /// Its name or id.
    pub workspace: String,
    /// The new name.
    pub name: String,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
