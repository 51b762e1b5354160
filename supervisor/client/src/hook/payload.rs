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

/// Whether it asks for leave to use a tool.
pub fn asks(payload: &str) -> bool {
    #[derive(Deserialize)]
    struct Named {
        hook_event_name: String,
    }
    serde_json::from_str::<Named>(payload).is_ok_and(|n| n.hook_event_name == "PermissionRequest")
}

/// Whether it is about a subagent, for which Claude shows no dialog for as long as a hook waits.
pub fn of_subagent(payload: &str) -> bool {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        agent_id: Value,
    }
    serde_json::from_str::<Named>(payload).is_ok_and(|n| !matches!(n.agent_id.as_str(), None | Some("")))
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
        assert!(asks(r#"{"session_id":"x","hook_event_name":"PermissionRequest","tool_name":"Bash"}"#));
        for other in ["", "{}", r#"{"hook_event_name":"Stop"}"#, r#"{"prompt":"PermissionRequest"}"#] {
            assert!(!asks(other), "{other}");
        }
    }

    #[test]
    fn a_subagent_is_told_by_its_id() {
        assert!(of_subagent(r#"{"hook_event_name":"PermissionRequest","agent_id":"a1"}"#));
        for other in ["", "{}", r#"{"agent_id":null}"#, r#"{"agent_id":""}"#, r#"{"agent_type":"x"}"#] {
            assert!(!of_subagent(other), "{other}");
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
