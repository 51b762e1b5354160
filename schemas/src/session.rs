//! Claude's conversations: which there are, and which are open somewhere.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters of `session.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionList {
    /// Only those of this directory, absolute; of all directories if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Claude's config directory, absolute; the daemon's own environment says which if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_dir: Option<PathBuf>,
    /// At most this many, the newest; 200 by default, 1,000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A conversation that can be gone on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SessionView {
    /// Its id, which `--resume` takes.
    pub session_id: String,
    /// Where it took place.
    pub cwd: PathBuf,
    /// The name that the user or Claude gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The first thing that the user said: 200 characters at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_prompt: Option<String>,
    /// The last thing that the user said, where Claude notes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_prompt: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub started_at: i64,
    /// When it was last written to.
    pub updated_at: i64,
    /// What it has cost so far, in US dollars, where Claude notes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// The model that answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The git branch at its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Size of its transcript in bytes.
    pub bytes: u64,
    /// Where it is open now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<SessionOpen>,
}

/// Where a session is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionOpen {
    /// Process id of the Claude that has it.
    pub pid: i32,
    /// `WORKSPACE/PROCESS`, if it is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// Parameters of `process.adopt`: a Claude that somebody started by hand is asked to end, and its session
/// goes on as a process of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessAdopt {
    /// Process id of the Claude, as `process.list` with `all` shows it.
    pub pid: i32,
    /// The workspace that it becomes a process of.
    pub workspace: String,
    /// The name; one is made up if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its session as the caller saw it: if it has another by now, nothing is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// End it even if it works.
    pub while_working: bool,
    /// Environment of the caller, for the process to run in. Never shown, never logged.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub environment: IndexMap<String, String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
