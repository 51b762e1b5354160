//! A line of `--output-format stream-json`. Seen with 2.1.330. Every line is kept as it came, whatever it is.

use std::path::Path;

use serde_json::Value;

use super::{
    hook::is_session_id,
    request,
    statusline::number,
    transcript::Tokens,
    usage_limit::{self, RateLimit},
};

/// What `api_error` is when a usage limit was reached.
const USAGE_LIMIT: &str = "usage_limit_reached";

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Claude's session.
    pub session_id: Option<String>,
    /// Set if a subagent speaks: the use of the tool that began it.
    pub parent: Option<String>,
    /// What it says.
    pub said: Said,
    /// The line itself; a text if it is no JSON.
    pub raw: Value,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A turn begins; there may be several for one prompt.
    Init {
        /// The model.
        model: Option<String>,
        /// Claude's version.
        version: Option<String>,
        /// `default`, `acceptEdits`, …
        permission_mode: Option<String>,
        /// Where it works.
        cwd: Option<String>,
    },
    /// The model said something, or an error stands in its place.
    Assistant {
        /// Id of the message; several lines may have parts of one.
        id: Option<String>,
        /// The model.
        model: Option<String>,
        /// What was said, without its other blocks.
        text: Option<String>,
        /// Tools that it asks for.
        tools: Vec<ToolUse>,
        /// What the message used; that of its beginning.
        tokens: Tokens,
        /// `rate_limit`, `overloaded`, `server_error`, `authentication_failed`, …
        error: Option<String>,
        /// A usage limit, if that is the error.
        limit: Option<Limit>,
    },
    /// The user said something, or tools gave their results.
    User {
        /// The results.
        results: Vec<ToolResult>,
        /// Files that a command changed, as Claude saw it. A subagent does not say.
        changed: Vec<String>,
    },
    /// The end of a turn.
    Result(Box<Ended>),
    /// The API refused, and is asked again.
    ApiRetry {
        /// Which time, from 1.
        attempt: u32,
        /// How often at most.
        most: u32,
        /// After how many milliseconds.
        delay_ms: u64,
        /// Status of HTTP.
        status: Option<u16>,
        /// As for [`Said::Assistant`].
        error: Option<String>,
    },
    /// The account's usage windows.
    RateLimit(RateLimit),
    /// A tool may not be used.
    PermissionDenied {
        /// Which use of it.
        id: String,
        /// Which.
        tool: String,
        /// Why.
        message: String,
    },
    /// `compacting`, or nothing any more.
    Status(Option<String>),
    /// `running`, `requires_action`, `idle`.
    SessionState(String),
    /// All that runs in the background now, by the ids of the tasks: subagents and shells.
    Background(Vec<String>),
    /// A task in the background: its id, and the subtype.
    Task {
        /// Its id.
        id: String,
        /// `task_started`, `task_updated`, `task_progress`, `task_notification`.
        event: String,
        /// `completed`, `failed`, …
        status: Option<String>,
    },
    /// Anything else, by its type and subtype.
    Other(String),
}

/// A use of a tool, begun or denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolUse {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it is to do, in short.
    pub what: String,
    /// The file that it writes, if it is one that writes a file.
    pub writes: Option<String>,
}

/// What became of a use of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// Id of the use.
    pub id: String,
    /// It failed, or was denied.
    pub failed: bool,
}

/// A usage limit that was reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// In words.
    pub text: String,
    /// When it is over, in milliseconds since 1970.
    pub resets_at: Option<i64>,
}

/// How a turn ended. `is_error` tells, not the subtype: a failure of the API is a `success`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// It failed.
    pub is_error: bool,
    /// `success`, `error_max_turns`, …
    pub subtype: String,
    /// `completed`, `api_error`, `aborted_streaming`, `max_turns`, …
    pub reason: Option<String>,
    /// Why the model stopped: `end_turn`, `refusal`, …
    pub stop: Option<String>,
    /// The last message, or the error in words.
    pub text: Option<String>,
    /// What failed otherwise, in words.
    pub errors: Vec<String>,
    /// Which result of this process it is, from 0. A turn that had to wait for others gives its own later.
    pub index: Option<u64>,
    /// How long the turn took, in milliseconds.
    pub duration_ms: u64,
    /// Uses of tools that were denied in it.
    pub denied: Vec<ToolUse>,
    /// US dollars, over the whole session, also over `--resume`.
    pub cost_usd: Option<f64>,
    /// Tokens of all models, over the whole session.
    pub tokens: Tokens,
    /// Tokens of all models since the result before, or since the process began.
    pub tokens_since: Tokens,
    /// Status of HTTP, if the API failed.
    pub status: Option<u16>,
    /// A usage limit, if that is the error.
    pub limit: Option<Limit>,
}

/// Reads a line. There is none that cannot be read.
pub fn parse(line: &str) -> Line {
    let raw = serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.to_owned()));
    let text = |name: &str| raw.get(name).and_then(Value::as_str).map(str::to_owned);
    Line {
        session_id: text("session_id").filter(|id| is_session_id(id)),
        parent: text("parent_tool_use_id"),
        said: said(&raw),
        raw,
    }
}

fn said(raw: &Value) -> Said {
    let text = |name: &str| raw.get(name).and_then(Value::as_str).map(str::to_owned);
    let count = |name: &str| raw.get(name).and_then(Value::as_u64);
    let status = |name: &str| count(name).and_then(|n| u16::try_from(n).ok());
    let (kind, subtype) = (text("type").unwrap_or_default(), text("subtype").unwrap_or_default());
    match (kind.as_str(), subtype.as_str()) {
        ("system", "init") => Said::Init {
            model: text("model"),
            version: text("claude_code_version"),
            permission_mode: text("permissionMode"),
            cwd: text("cwd"),
        },
        ("assistant", _) => assistant(raw),
        ("user", _) => user(raw),
        ("result", _) => Said::Result(Box::new(Ended {
            is_error: raw["is_error"] == true,
            subtype,
            reason: text("terminal_reason"),
            stop: text("stop_reason"),
            text: text("result"),
            errors: texts(&raw["errors"]),
            index: count("result_index"),
            duration_ms: count("duration_ms").unwrap_or(0),
            denied: items(&raw["permission_denials"])
                .map(|d| tool_use(&d["tool_use_id"], &d["tool_name"], &d["tool_input"]))
                .collect(),
            cost_usd: number(raw.get("total_cost_usd")),
            tokens: Tokens::of_models(&raw["modelUsage"]),
            tokens_since: Tokens::of_models(&raw["model_usage_since_last_result"]),
            status: status("api_error_status"),
            limit: limit(raw, text("result").unwrap_or_default()),
        })),
        ("system", "api_retry") => Said::ApiRetry {
            attempt: count("attempt").and_then(|n| n.try_into().ok()).unwrap_or(0),
            most: count("max_retries").and_then(|n| n.try_into().ok()).unwrap_or(0),
            delay_ms: number(raw.get("retry_delay_ms")).unwrap_or(0.0) as u64,
            status: status("error_status"),
            error: text("error"),
        },
        ("rate_limit_event", _) => match RateLimit::read(&raw["rate_limit_info"]) {
            Some(limit) => Said::RateLimit(limit),
            None => Said::Other(kind),
        },
        ("system", "permission_denied") => Said::PermissionDenied {
            id: text("tool_use_id").unwrap_or_default(),
            tool: text("tool_name").unwrap_or_default(),
            message: text("message").unwrap_or_default(),
        },
        ("system", "status") => Said::Status(text("status")),
        ("system", "session_state_changed") => Said::SessionState(text("state").unwrap_or_default()),
        ("system", "background_tasks_changed") => {
            let ids = items(&raw["tasks"]).filter_map(|task| task["task_id"].as_str());
            Said::Background(ids.map(str::to_owned).collect())
        }
        ("system", event) if event.starts_with("task_") => Said::Task {
            id: text("task_id").unwrap_or_default(),
            event: subtype.clone(),
            status: text("status").or_else(|| raw.pointer("/patch/status")?.as_str().map(str::to_owned)),
        },
        _ if subtype.is_empty() => Said::Other(kind),
        _ => Said::Other(format!("{kind}/{subtype}")),
    }
}

fn assistant(raw: &Value) -> Said {
    let message = &raw["message"];
    let own = |value: &Value| value.as_str().map(str::to_owned);
    let blocks = || items(&message["content"]);
    let of = |kind: &'static str, name: &'static str| {
        blocks().filter(move |b| b["type"] == kind).filter_map(move |b| b[name].as_str())
    };
    let text: Vec<&str> = of("text", "text").collect();
    let text = (!text.is_empty()).then(|| text.join("\n"));
    Said::Assistant {
        id: own(&message["id"]),
        model: own(&message["model"]).filter(|m| !m.starts_with('<')),
        tools: blocks()
            .filter(|b| b["type"] == "tool_use")
            .map(|b| tool_use(&b["id"], &b["name"], &b["input"]))
            .collect(),
        tokens: Tokens::of_message(&message["usage"]),
        error: own(&raw["error"]),
        limit: limit(raw, text.clone().unwrap_or_default()),
        text,
    }
}

fn user(raw: &Value) -> Said {
    let results = items(&raw["message"]["content"]).filter(|b| b["type"] == "tool_result");
    let result = |b: &Value| ToolResult { id: string(&b["tool_use_id"]), failed: b["is_error"] == true };
    Said::User {
        results: results.map(result).collect(),
        changed: texts(&raw["tool_use_result"]["bashEditDiff"]["changedFiles"]),
    }
}

fn tool_use(id: &Value, name: &Value, input: &Value) -> ToolUse {
    let name = string(name);
    // the result names the same file, but in a line of a subagent it is not there
    let field = match name.as_str() {
        "Edit" | "MultiEdit" | "Write" => Some("file_path"),
        "NotebookEdit" => Some("notebook_path"),
        _ => None,
    };
    ToolUse {
        id: string(id),
        what: request::summary(&name, input, Path::new("")),
        writes: field.and_then(|f| input.get(f)?.as_str().map(str::to_owned)),
        name,
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> Vec<String> {
    items(value).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The usage limit that a line tells of: by its code, or, of an older Claude, by its words.
fn limit(raw: &Value, text: String) -> Option<Limit> {
    let by_code = raw["api_error"] == USAGE_LIMIT;
    let by_words = raw["error"] == "rate_limit" || raw["is_error"] == true;
    if !(by_code || by_words && usage_limit::says_so(&text)) {
        return None;
    }
    let info = RateLimit::read(&raw["api_error_params"]["rate_limit_info"]);
    Some(Limit { text, resets_at: info.and_then(|i| i.resets_at) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claude::captures::{CAPTURES, capture};

    fn result(lines: &[Line]) -> &Ended {
        let found = lines.iter().rev().find_map(|l| match &l.said {
            Said::Result(ended) => Some(ended),
            _ => None,
        });
        found.expect("a result")
    }

    #[test]
    fn every_line_of_every_capture_is_read_and_kept() {
        let mut others = Vec::new();
        for (name, text) in CAPTURES {
            // what Claude writes to its standard error stands in between
            for line in text.lines().filter(|l| l.starts_with('{')) {
                let read = parse(line);
                assert_eq!(read.raw, serde_json::from_str::<Value>(line).expect("JSON"), "{name}");
                assert!(read.session_id.is_some(), "{name}: {line}");
                others.extend(match read.said {
                    Said::Other(what) => Some(what),
                    _ => None,
                });
            }
        }
        others.sort();
        others.dedup();
        let known = [
            "stream_event",
            "system/compact_boundary",
            "system/hook_response",
            "system/hook_started",
            "system/informational",
            "system/model_refusal_no_fallback",
            "system/thinking_tokens",
        ];
        assert_eq!(others, known, "kept, and said to be nothing that we know");
    }

    #[test]
    fn a_turn_has_its_beginning_its_messages_and_its_end() {
        let lines = capture("success");
        let Said::Init { model, version, .. } = &lines[0].said else { panic!("{:?}", lines[0]) };
        assert_eq!((model.as_deref(), version.as_deref()), (Some("claude-opus-5-5"), Some("2.1.330")));
        let ended = result(&lines);
        assert_eq!((ended.is_error, ended.reason.as_deref()), (false, Some("completed")));
        assert_eq!(ended.tokens.output, 20);
        assert!(ended.cost_usd.is_some_and(|c| c > 0.0));
        assert_eq!(ended.limit, None);
    }

    #[test]
    fn a_usage_limit_has_its_time_and_a_429_is_none() {
        let lines = capture("oauth_limit");
        let event = lines.iter().find_map(|l| match &l.said {
            Said::RateLimit(limit) => Some(limit),
            _ => None,
        });
        let event = event.expect("an event");
        assert!(event.rejected());
        assert_eq!((event.window.as_deref(), event.windows.len()), (Some("five_hour"), 2));
        assert_eq!(event.windows[0].used_percent, Some(100.0));
        let limit = Limit {
            text: "You've hit your limit · resets 8:43am (UTC)".into(),
            resets_at: Some(1_795_337_037_000),
        };
        let told = lines.iter().find_map(|l| match &l.said {
            Said::Assistant { limit, .. } => limit.clone(),
            _ => None,
        });
        assert_eq!(told, Some(limit.clone()));
        let ended = result(&lines).limit.clone().expect("a limit");
        assert_eq!(ended.text, limit.text);

        let lines = capture("429_fail");
        let retry = Said::ApiRetry {
            attempt: 1,
            most: 2,
            delay_ms: 620,
            status: Some(429),
            error: Some("rate_limit".into()),
        };
        assert!(lines.iter().any(|l| l.said == retry), "{lines:#?}");
        let ended = result(&lines);
        assert_eq!((ended.is_error, ended.status, &ended.limit), (true, Some(429), &None));
        assert!(!lines.iter().any(|l| matches!(l.said, Said::Assistant { limit: Some(_), .. })));
    }

    #[test]
    fn what_happens_beside_the_messages_is_understood() {
        let said = |name: &str| capture(name).into_iter().map(|l| l.said).collect::<Vec<_>>();
        assert!(said("compact").contains(&Said::Status(Some("compacting".into()))));
        assert!(said("compact").contains(&Said::Status(None)));
        assert!(said("permission_denied").iter().any(
            |s| matches!(s, Said::PermissionDenied { tool, message, .. } if tool == "Bash" && message.contains("approval"))
        ));
        let tasks = said("subagent");
        let task = |event: &str, status: Option<&str>| {
            tasks.iter().any(|s| {
                matches!(s, Said::Task { event: e, status: st, .. } if e == event && st.as_deref() == status)
            })
        };
        assert!(task("task_started", None) && task("task_updated", Some("completed")));
        assert!(
            said("bypass_tool").iter().any(
                |s| matches!(s, Said::Assistant { tools, .. } if tools.iter().any(|t| t.name == "Bash"))
            )
        );
        assert!(tasks.contains(&Said::Background(vec!["a4b67a915c1c73a1a".into()])));
        assert!(tasks.contains(&Said::Background(Vec::new())));
        assert!(result(&capture("max_turns")).is_error && result(&capture("budget")).is_error);
    }

    #[test]
    fn a_state_of_the_session_is_understood_and_a_line_of_a_newer_claude_is_kept() {
        let line = r#"{"type":"system","subtype":"session_state_changed","state":"requires_action"}"#;
        assert_eq!(parse(line).said, Said::SessionState("requires_action".into()));
        let line = parse(r#"{"type":"daydream","depth":3}"#);
        assert_eq!((line.said, &line.raw["depth"]), (Said::Other("daydream".into()), &Value::from(3)));
        let line = parse("no JSON at all");
        assert_eq!((line.said, line.raw), (Said::Other(String::new()), "no JSON at all".into()));
    }

    proptest! {
        #[test]
        fn no_line_panics(line in ".{0,200}") {
            parse(&line);
        }
    }
}
