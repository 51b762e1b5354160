//! What Claude gives a hook, made to fit.

use serde::Deserialize;
use serde_json::{Map, Value};
use wezterm_parallel_schemas::hook::{PAYLOAD_BYTES_MAX, SHORTENED};

/// Fields that go along of a payload that is too large, beside those that are short anyway.
const NEEDED: &[&str] = &["tool_input", "last_assistant_message", "prompt", "message", "tool_name"];
/// A text that is cut keeps this much of its beginning, in bytes; there are a few of them at most.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Shorter fields stay as they are.
const SHORT_BYTES_MAX: usize = 1 << 10;

/// Who asks for leave to use a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// The agent itself.
    Agent,
    /// A subagent of it.
    Subagent,
}

/// Whether it asks for leave to use a tool, and who.
pub fn asks(payload: &str) -> Option<Asks> {
    #[derive(Deserialize)]
    struct Named {
        hook_event_name: String,
        #[serde(default)]
        agent_id: Value,
    }
    let named: Named = serde_json::from_str(payload).ok()?;
    let who = if named.agent_id.is_null() { Asks::Agent } else { Asks::Subagent };
    (named.hook_event_name == "PermissionRequest").then_some(who)
}

/// A payload that may be sent: this one, or if it is too large its needed fields, shortened and marked
/// as such. None if that is too large too, or it is no JSON.
pub fn fitting(payload: String) -> Option<String> {
    if payload.len() <= PAYLOAD_BYTES_MAX {
        return Some(payload);
    }
    let Ok(Value::Object(whole)) = serde_json::from_str(&payload) else { return None };
    let mut short = Map::new();
    for (name, value) in whole {
        if NEEDED.contains(&name.as_str()) {
            short.insert(name, cut(value));
        } else if value.to_string().len() <= SHORT_BYTES_MAX {
            short.insert(name, value);
        }
    }
    short.insert(SHORTENED.into(), true.into());
    let short = Value::Object(short).to_string();
    (short.len() <= PAYLOAD_BYTES_MAX).then_some(short)
}

/// The same with its long texts cut.
fn cut(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > TEXT_BYTES_MAX => {
            let end = text.floor_char_boundary(TEXT_BYTES_MAX);
            Value::String(format!("{}… ({} bytes more)", &text[..end], text.len() - end))
        }
        Value::Array(all) => Value::Array(all.into_iter().map(cut).collect()),
        Value::Object(all) => Value::Object(all.into_iter().map(|(k, v)| (k, cut(v))).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_of_permission_asks() {
        let request = r#"{"session_id":"x","hook_event_name":"PermissionRequest","tool_name":"Bash"}"#;
        assert_eq!(asks(request), Some(Asks::Agent));
        let subagent = r#"{"agent_id":"x","agent_type":"Explore","hook_event_name":"PermissionRequest"}"#;
        assert_eq!(asks(subagent), Some(Asks::Subagent));
        for other in ["", "{}", r#"{"hook_event_name":"Stop"}"#, r#"{"prompt":"PermissionRequest"}"#] {
            assert_eq!(asks(other), None, "{other}");
        }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let payload = r#"{ "hook_event_name" : "Stop", "new": [1] }"#.to_owned();
        assert_eq!(fitting(payload.clone()), Some(payload));
    }

    #[test]
    fn what_is_too_large_is_cut_and_says_so() {
        let text = "é".repeat(PAYLOAD_BYTES_MAX);
        let large = serde_json::json!({
            "hook_event_name": "PermissionRequest", "session_id": "s", "tool_name": "Write",
            "tool_input": { "file_path": "/x", "content": text }, "tool_response": { "stdout": text },
        });
        let short: Value =
            serde_json::from_str(&fitting(large.to_string()).expect("it fits now")).expect("it is JSON");
        assert_eq!(short["hook_event_name"], "PermissionRequest");
        assert_eq!(short["tool_input"]["file_path"], "/x");
        assert!(short["tool_input"]["content"].as_str().expect("a text").ends_with("bytes more)"));
        assert_eq!(short.get("tool_response"), None);
        assert_eq!(short[SHORTENED], true);
    }

    #[test]
    fn what_is_too_large_and_no_json_is_not_sent() {
        assert_eq!(fitting("x".repeat(PAYLOAD_BYTES_MAX + 1)), None);
    }
}
