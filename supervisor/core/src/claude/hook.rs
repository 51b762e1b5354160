//! What Claude gives a hook on its standard input. Seen with 2.1.197 and 2.1.330.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

/// A hook's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// Claude's session.
    pub session_id: Option<String>,
    /// The prompt whose turn this belongs to; the same from UserPromptSubmit to Stop.
    pub prompt_id: Option<String>,
    /// Where the conversation is written down.
    pub transcript_path: Option<PathBuf>,
    /// Where the agent is.
    pub cwd: Option<PathBuf>,
    /// Set if a subagent speaks, and not the agent itself.
    pub agent_id: Option<String>,
    /// What kind of subagent.
    pub agent_type: Option<String>,
    /// What happened.
    pub event: HookEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum HookEvent {
    /// A session begins: `startup`, `resume`, `clear`, `compact`, `fork`.
    SessionStart {
        /// How.
        source: String,
        /// The model.
        model: Option<String>,
    },
    /// A session is left: `clear`, `resume`, `logout`, `prompt_input_exit`, `other`.
    SessionEnd {
        /// Why.
        reason: String,
    },
    /// The user said something.
    UserPromptSubmit {
        /// What.
        prompt: String,
    },
    /// A tool is about to be used.
    PreToolUse {
        /// Which.
        tool: String,
        /// What for.
        input: Value,
    },
    /// A tool was used. `failed`: with an error.
    PostToolUse {
        /// Which.
        tool: String,
        /// Whether it failed.
        failed: bool,
        /// Whether the user interrupted it.
        interrupted: bool,
    },
    /// Leave to use a tool is asked for.
    PermissionRequest {
        /// Which.
        tool: String,
        /// What for.
        input: Value,
    },
    /// A tool may not be used.
    PermissionDenied {
        /// Which.
        tool: String,
    },
    /// Claude would like to notify the user.
    Notification {
        /// `permission_prompt`, `idle_prompt`, `auth_success`, `elicitation_dialog`.
        kind: String,
        /// In words.
        message: String,
    },
    /// A turn is over.
    Stop {
        /// The last thing that was said.
        last_message: Option<String>,
        /// Subagents that go on in the background: it works on when they are done.
        subagents: usize,
        /// Commands that go on in the background.
        shells: usize,
    },
    /// A turn is over, with an error of the API.
    StopFailure {
        /// `rate_limit`, `overloaded`, `server_error`, `authentication_failed`, `invalid_request`, …
        error: String,
        /// The error in words.
        last_message: Option<String>,
    },
    /// A subagent begins.
    SubagentStart,
    /// A subagent is done.
    SubagentStop,
    /// The conversation is about to be compacted.
    PreCompact {
        /// `manual` or `auto`.
        trigger: String,
    },
    /// It has been.
    PostCompact {
        /// `manual` or `auto`.
        trigger: String,
    },
    /// An MCP server asks the user for something.
    Elicitation,
    /// Anything else, by its name.
    Other(String),
}

impl HookEvent {
    /// Claude's name of it.
    pub fn name(&self) -> &str {
        match self {
            Self::SessionStart { .. } => "SessionStart",
            Self::SessionEnd { .. } => "SessionEnd",
            Self::UserPromptSubmit { .. } => "UserPromptSubmit",
            Self::PreToolUse { .. } => "PreToolUse",
            Self::PostToolUse { failed: false, .. } => "PostToolUse",
            Self::PostToolUse { failed: true, .. } => "PostToolUseFailure",
            Self::PermissionRequest { .. } => "PermissionRequest",
            Self::PermissionDenied { .. } => "PermissionDenied",
            Self::Notification { .. } => "Notification",
            Self::Stop { .. } => "Stop",
            Self::StopFailure { .. } => "StopFailure",
            Self::SubagentStart => "SubagentStart",
            Self::SubagentStop => "SubagentStop",
            Self::PreCompact { .. } => "PreCompact",
            Self::PostCompact { .. } => "PostCompact",
            Self::Elicitation => "Elicitation",
            Self::Other(name) => name,
        }
    }
}

/// Reads a hook's input.
///
/// # Errors
/// It is no JSON object with a `hook_event_name`; in words.
pub fn parse(json: &str) -> Result<Hook, String> {
    let raw: Raw = serde_json::from_str(json).map_err(|e| format!("no input of a hook: {e}"))?;
    let tool = raw.tool_name.unwrap_or_default();
    let event = match raw.hook_event_name.as_str() {
        "SessionStart" => {
            HookEvent::SessionStart { source: raw.source.unwrap_or_default(), model: raw.model }
        }
        "SessionEnd" => HookEvent::SessionEnd { reason: raw.reason.unwrap_or_default() },
        "UserPromptSubmit" => HookEvent::UserPromptSubmit { prompt: raw.prompt.unwrap_or_default() },
        "PreToolUse" => HookEvent::PreToolUse { tool, input: raw.tool_input },
        "PostToolUse" => HookEvent::PostToolUse { tool, failed: false, interrupted: false },
        "PostToolUseFailure" => {
            HookEvent::PostToolUse { tool, failed: true, interrupted: raw.is_interrupt.unwrap_or_default() }
        }
        "PermissionRequest" => HookEvent::PermissionRequest { tool, input: raw.tool_input },
        "PermissionDenied" => HookEvent::PermissionDenied { tool },
        "Notification" => HookEvent::Notification {
            kind: raw.notification_type.unwrap_or_default(),
            message: raw.message.unwrap_or_default(),
        },
        "Stop" => HookEvent::Stop {
            last_message: raw.last_assistant_message,
            subagents: background(&raw.background_tasks, |kind| kind != "shell"),
            shells: background(&raw.background_tasks, |kind| kind == "shell"),
        },
        "StopFailure" => HookEvent::StopFailure {
            error: raw.error.unwrap_or_default(),
            last_message: raw.last_assistant_message,
        },
        "SubagentStart" => HookEvent::SubagentStart,
        "SubagentStop" => HookEvent::SubagentStop,
        "PreCompact" => HookEvent::PreCompact { trigger: raw.trigger.unwrap_or_default() },
        "PostCompact" => HookEvent::PostCompact { trigger: raw.trigger.unwrap_or_default() },
        "Elicitation" => HookEvent::Elicitation,
        other => HookEvent::Other(other.to_owned()),
    };
    Ok(Hook {
        session_id: raw.session_id.filter(|id| is_session_id(id)),
        prompt_id: raw.prompt_id,
        transcript_path: raw.transcript_path,
        cwd: raw.cwd,
        agent_id: raw.agent_id.filter(|id| !id.is_empty()),
        agent_type: raw.agent_type,
        event,
    })
}

/// How many tasks of these kinds run in the background.
fn background(tasks: &Value, wanted: impl Fn(&str) -> bool) -> usize {
    let tasks = tasks.as_array().into_iter().flatten();
    let running = tasks.filter(|t| t["status"].as_str().is_none_or(|s| s == "running"));
    running.filter(|t| wanted(t["type"].as_str().unwrap_or_default())).count()
}

/// Whether a text can be a session's id: it becomes an argument and part of a file's name.
pub fn is_session_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[derive(Deserialize)]
struct Raw {
    hook_event_name: String,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    prompt_id: Option<String>,
    #[serde(default)]
    transcript_path: Option<PathBuf>,
    #[serde(default)]
    cwd: Option<PathBuf>,
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    agent_type: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    tool_name: Option<String>,
    #[serde(default)]
    tool_input: Value,
    #[serde(default)]
    is_interrupt: Option<bool>,
    #[serde(default)]
    notification_type: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    last_assistant_message: Option<String>,
    #[serde(default)]
    background_tasks: Value,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    trigger: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_real_claude_says_is_understood() {
        let hook = parse(
            r#"{"session_id":"f649621f-d2eb-4d4c-9c1e-a713353676e1","transcript_path":"/h/x.jsonl","cwd":"/home/dev/repo","prompt_id":"a5d5c6ba","permission_mode":"default","hook_event_name":"Stop","stop_hook_active":false,"last_assistant_message":"all done","background_tasks":[{"id":"a7","type":"subagent"}],"session_crons":[]}"#,
        )
        .expect("a hook");
        assert_eq!(hook.prompt_id.as_deref(), Some("a5d5c6ba"));
        assert_eq!(
            hook.event,
            HookEvent::Stop { last_message: Some("all done".into()), subagents: 1, shells: 0 }
        );
        assert_eq!(hook.event.name(), "Stop");
    }

    #[test]
    fn a_hook_of_a_newer_claude_is_known_by_its_name() {
        let hook = parse(r#"{"hook_event_name":"Daydream","session_id":"x","depth":[{}]}"#).expect("a hook");
        assert_eq!(hook.event, HookEvent::Other("Daydream".into()));
    }

    #[test]
    fn what_is_no_session_id_never_becomes_an_argument() {
        for bad in ["--dangerously-skip-permissions", "a b", "../x", ""] {
            let json = serde_json::json!({ "hook_event_name": "Stop", "session_id": bad }).to_string();
            assert_eq!(parse(&json).expect("a hook").session_id, None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_hook_is_an_error() {
        for bad in ["", "{}", "[]", "{\"hook_event_name\":7}", "null"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
