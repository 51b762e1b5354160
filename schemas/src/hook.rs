//! What `wezterm-parallel hook` tells the daemon: Claude's hooks and its status line, as they come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Largest payload that is sent whole, in bytes; of a larger one only the fields that are needed go along.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 10;

/// A field that the hook adds to a payload of which it sends only a part: nothing may be allowed by a
/// rule that has not seen the whole.
pub const SHORTENED: &str = "wezterm_parallel_shortened";

/// Parameters of `hook.report`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HookReport {
    /// What the payload is.
    pub kind: HookKind,
    /// The run, from the environment that its keeper gave it.
    pub run: String,
    /// The process's id, from the same.
    pub process: String,
    /// Process id of the Claude that runs the hook, where its environment says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// When the hook began, in milliseconds since 1970.
    pub at: i64,
    /// The JSON that Claude gave it.
    pub payload: String,
    /// Wait for a decision: for a request of permission.
    pub hold: bool,
    /// Claude shows a dialog of its own beside, which somebody may answer.
    #[serde(skip_serializing_if = "is_false")]
    pub attended: bool,
    /// Id of a held request (a ULID). The hook chooses it, and says it again when it comes back to a
    /// daemon that was exchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// The answer to `ask` has been handed to Claude: its receipt, without a payload.
    #[serde(skip_serializing_if = "is_false")]
    pub taken: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(v: &bool) -> bool {
    !*v
}

/// What a hook's payload is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HookKind {
    /// That of a hook.
    #[default]
    Hook,
    /// That of the status line.
    StatusLine,
}

/// The answer to `hook.report`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HookAnswer {
    /// What the hook is to print; nothing if Claude is to go on as if it were not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}
