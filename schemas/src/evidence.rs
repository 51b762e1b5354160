//! Why an agent has the status that it has: the answer to `process.explain`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::process::{ProcessView, Status};

/// Where a piece of evidence comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EvidenceSource {
    /// The Program Status Protocol: the agent tells its terminal (`OSC 7501`).
    Osc7501,
    /// A hook of Claude Code, which runs `wezterm-parallel hook`.
    Hook,
    /// Claude's file of living sessions, `sessions/PID.json`.
    Registry,
    /// A line of `--output-format stream-json`.
    Stream,
    /// The JSON that Claude gives its status line: cost, limits, the model.
    StatusLine,
    /// The title that the agent gives its terminal (`OSC 0`, `OSC 2`), matched by the config's patterns.
    Title,
    /// A progress report to the terminal (`OSC 9;4`).
    Progress,
    /// The machine: whether the process is there, halted, drawing, or has children that run.
    Machine,
    /// How the run ended.
    Exit,
    /// A source of a newer release.
    #[serde(other)]
    Unknown,
}

/// What became of a piece of evidence when the status was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// The status is what it says.
    Won,
    /// It says the same as what won.
    Agrees,
    /// Something newer, or of a better source, says otherwise.
    Overruled,
    /// It says otherwise, and neither can be believed: the status is `unknown`.
    Contradicts,
    /// It is older than it may be.
    Stale,
    /// It says nothing about the status.
    Silent,
    /// A standing of a newer release.
    #[serde(other)]
    Unknown,
}

/// The newest word of one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Where it comes from.
    pub source: EvidenceSource,
    /// Its number among those of its source in this run.
    pub seq: u64,
    /// When it was said, in milliseconds since 1970.
    pub at: i64,
    /// What was said, in the source's own words, shortened.
    pub said: String,
    /// The status that it stands for, if it says anything about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What became of it.
    pub standing: Standing,
    /// Why, in words.
    pub why: String,
}

/// Why an agent has the status that it has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The process as it is shown.
    pub process: ProcessView,
    /// The rule that decided, in words.
    pub because: String,
    /// The newest word of each source, the one that won first.
    pub evidence: Vec<Evidence>,
    /// What was said before, newest first, across all sources: 32 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Evidence>,
}
