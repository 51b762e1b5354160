//! What Claude gives its status line on its standard input: at the start and after each change. Seen with
//! 2.1.197 and 2.1.330.
//!
//! `context_window.total_input_tokens` is that of the last request alone; only the cost is a sum over the
//! session. `rate_limits` is there with a subscription, and only if the last answer of the API had it: that
//! it is missing says nothing.

use std::path::PathBuf;

use serde_json::Value;

use super::hook::is_session_id;

/// What the status line is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusLine {
    /// Claude's session.
    pub session_id: Option<String>,
    /// Where the conversation is written down.
    pub transcript_path: Option<PathBuf>,
    /// The prompt whose turn it is or was.
    pub prompt_id: Option<String>,
    /// Claude's version.
    pub version: Option<String>,
    /// Id of the model.
    pub model: Option<String>,
    /// US dollars, over the session so far.
    pub cost_usd: Option<f64>,
    /// Part of the context window that is in use, in percent; none before the first answer.
    pub context_percent: Option<f64>,
    /// Size of the context window, in tokens.
    pub context_size: Option<u64>,
    /// The account's usage windows.
    pub windows: Vec<WindowUse>,
}

/// How much of a usage window is used.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowUse {
    /// Claude's name of it: `five_hour`, `seven_day`.
    pub name: String,
    /// In percent.
    pub used_percent: Option<f64>,
    /// When it begins anew, in milliseconds since 1970.
    pub resets_at: Option<i64>,
}

/// Reads it. A field that is missing, or of another type than it was, is none.
///
/// # Errors
/// It is no JSON object; in words.
pub fn parse(json: &str) -> Result<StatusLine, String> {
    let raw: Value = serde_json::from_str(json).map_err(|e| format!("no input of a status line: {e}"))?;
    let Value::Object(_) = raw else { return Err("no input of a status line: no object".into()) };
    let text = |pointer: &str| raw.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let windows = raw.get("rate_limits").and_then(Value::as_object);
    let window = |(name, window): (&String, &Value)| WindowUse {
        name: name.clone(),
        used_percent: number(window.get("used_percentage")),
        resets_at: moment(window.get("resets_at")),
    };
    Ok(StatusLine {
        session_id: text("/session_id").filter(|id| is_session_id(id)),
        transcript_path: text("/transcript_path").map(PathBuf::from),
        prompt_id: text("/prompt_id"),
        version: text("/version"),
        model: text("/model/id"),
        cost_usd: number(raw.pointer("/cost/total_cost_usd")),
        context_percent: number(raw.pointer("/context_window/used_percentage")),
        context_size: raw.pointer("/context_window/context_window_size").and_then(Value::as_u64),
        windows: windows.into_iter().flatten().map(window).collect(),
    })
}

/// A number that is one, and not below zero.
pub(super) fn number(value: Option<&Value>) -> Option<f64> {
    value.and_then(Value::as_f64).filter(|n| n.is_finite() && *n >= 0.0)
}

/// Seconds since 1970, as Claude has them, in milliseconds.
pub(super) fn moment(value: Option<&Value>) -> Option<i64> {
    value.and_then(Value::as_i64).and_then(|s| s.checked_mul(1_000)).filter(|at| *at > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPTURE: &str = include_str!("../../tests/fixtures/statusline.jsonl");

    #[test]
    fn what_the_real_claude_says_is_understood() {
        let all: Vec<StatusLine> = CAPTURE.lines().map(|l| parse(l).expect("a status line")).collect();
        let (first, last) = (&all[0], &all[all.len() - 1]);
        assert_eq!((first.cost_usd, first.context_percent), (Some(0.0), None));
        assert_eq!(first.windows, []);
        assert_eq!(last.model.as_deref(), Some("claude-sonnet-5-5"));
        assert_eq!((last.context_percent, last.context_size), (Some(0.0), Some(1_000_000)));
        assert_eq!(last.version.as_deref(), Some("2.1.330"));
        let window = |name: &str, used| WindowUse {
            name: name.into(),
            used_percent: Some(used),
            resets_at: Some(1_795_337_064_000),
        };
        assert_eq!(last.windows, [window("five_hour", 100.0), window("seven_day", 50.0)]);
    }

    #[test]
    fn a_field_of_another_type_is_none_and_what_is_new_is_skipped() {
        let line = r#"{"session_id":7,"cost":"dear","context_window":[],"rate_limits":{"moon":{"used_percentage":-1,"resets_at":"soon"}},"new":{}}"#;
        let moon = WindowUse { name: "moon".into(), used_percent: None, resets_at: None };
        assert_eq!(parse(line), Ok(StatusLine { windows: vec![moon], ..StatusLine::default() }));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for bad in ["", "[]", "null", "7", "{half"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_panics(text in ".{0,200}", seconds: i64) {
            let _ = parse(&text);
            let _ = parse(&format!("{{\"rate_limits\":{{\"x\":{{\"resets_at\":{seconds}}}}}}}"));
        }
    }
}
