//! What Claude 2.1.330 wrote with `--output-format stream-json`, run by run.

use super::stream::{Line, parse};

macro_rules! captures {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../tests/fixtures/stream_", $name, ".jsonl")))),*]
    };
}

/// All of them, by name.
pub(super) const CAPTURES: &[(&str, &str)] = captures![
    "400",
    "429_fail",
    "429_wait",
    "500",
    "529_fail",
    "529_retry",
    "auth",
    "background_killed",
    "background_shell",
    "background_terminated",
    "bad_model",
    "billing",
    "budget",
    "bypass_tool",
    "compact",
    "connection_refused",
    "dropped",
    "files",
    "interrupted_tool",
    "killed_tool",
    "max_turns",
    "no_session",
    "not_logged_in",
    "oauth_429",
    "oauth_limit",
    "oauth_warning",
    "output_limit",
    "partial",
    "permission_denied",
    "prompt_too_long",
    "refusal",
    "refusal_once",
    "subagent",
    "subagent_foreground",
    "subagent_slow",
    "success",
    "terminated_tool",
    "timeout",
    "tool_deferred",
];

/// The lines of one.
pub(super) fn capture(name: &str) -> Vec<Line> {
    let (_, text) = CAPTURES.iter().find(|(n, _)| *n == name).expect("a capture");
    text.lines().map(parse).collect()
}
