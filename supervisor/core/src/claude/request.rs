//! What Claude asks for in a request of permission, in words that fit a line.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use wezterm_parallel_schemas::inbox::{AskKind, Question, QuestionOption};

/// Longest summary, in characters: a line of a wide terminal.
const SUMMARY_CHARS_MAX: usize = 200;
/// Fields that say best what a tool is to do, the best one first.
const TELLING: &[&str] =
    &["command", "file_path", "notebook_path", "url", "query", "pattern", "path", "prompt", "description"];

/// What kind of answer a tool's request wants.
pub fn kind(tool: &str) -> AskKind {
    match tool {
        "AskUserQuestion" => AskKind::Question,
        "ExitPlanMode" => AskKind::Plan,
        _ => AskKind::Permission,
    }
}

/// The questions of a request, if it has any.
pub fn questions(input: &Value) -> Vec<Question> {
    let read = |q: &Value| Raw::deserialize(q).ok();
    let all = input.get("questions").and_then(Value::as_array).into_iter().flatten();
    let of = |raw: Raw| Question {
        question: raw.question,
        header: raw.header,
        multi_select: raw.multi_select,
        options: raw
            .options
            .into_iter()
            .map(|o| QuestionOption { label: o.label, description: o.description })
            .collect(),
    };
    all.filter_map(read).map(of).collect()
}

/// What a tool is to do, on one line without control characters.
pub fn summary(tool: &str, input: &Value, cwd: &Path) -> String {
    let text = |name: &str| input.get(name).and_then(Value::as_str).filter(|t| !t.trim().is_empty());
    let said = match kind(tool) {
        AskKind::Question => {
            let all = questions(input);
            all.first().map(|first| match all.len() {
                1 => first.question.clone(),
                n => format!("{} (and {} more)", first.question, n - 1),
            })
        }
        AskKind::Plan => text("plan").map(str::to_owned).or_else(|| Some("leave plan mode".into())),
        _ => TELLING.iter().find_map(|name| text(name)).map(|t| {
            let below = Path::new(t).strip_prefix(cwd).ok().and_then(Path::to_str).filter(|p| !p.is_empty());
            below.unwrap_or(t).to_owned()
        }),
    };
    one_line(&said.unwrap_or_else(|| input.to_string()))
}

/// A text on one line: what could move a cursor becomes a blank.
fn one_line(text: &str) -> String {
    let mut out = String::new();
    for (n, word) in
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).enumerate()
    {
        if n > 0 {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > 4 * SUMMARY_CHARS_MAX {
            break;
        }
    }
    match out.char_indices().nth(SUMMARY_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &out[..end]),
        None => out,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    question: String,
    #[serde(default)]
    header: String,
    #[serde(default)]
    multi_select: bool,
    #[serde(default)]
    options: Vec<RawOption>,
}

#[derive(Deserialize)]
struct RawOption {
    label: String,
    #[serde(default)]
    description: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_told_on_one_line_that_moves_no_cursor() {
        let cwd = Path::new("/home/u/api");
        for (tool, input, line) in [
            ("Bash", json!({"command": "cargo test\n  --all", "description": "Test"}), "cargo test --all"),
            ("Edit", json!({"file_path": "/home/u/api/src/a.rs", "old_string": "x"}), "src/a.rs"),
            ("Write", json!({"file_path": "/etc/passwd", "content": "x"}), "/etc/passwd"),
            ("WebFetch", json!({"url": "https://docs.rs", "prompt": "read"}), "https://docs.rs"),
            ("mcp__x__y", json!({"n": 1}), "{\"n\":1}"),
            ("ExitPlanMode", json!({}), "leave plan mode"),
            ("ExitPlanMode", json!({"plan": "# Plan\n1. do"}), "# Plan 1. do"),
            ("Bash", json!({"command": "\u{1b}[2Jecho\u{7} hi\u{85}x"}), "[2Jecho hi x"),
            (
                "AskUserQuestion",
                json!({"questions": [{"question": "Why?"}, {"question": "How?"}]}),
                "Why? (and 1 more)",
            ),
        ] {
            assert_eq!(summary(tool, &input, cwd), line, "{tool} {input}");
        }
        let long = summary("Bash", &json!({ "command": "é".repeat(5_000) }), cwd);
        assert_eq!(long.chars().count(), SUMMARY_CHARS_MAX + 1);
    }

    #[test]
    fn questions_of_the_real_claude_are_understood() {
        let input = json!({"questions":[{"question":"Which one?","header":"Pick","multiSelect":true,"options":[{"label":"A","description":"a"},{"label":"B"}]},7]});
        let all = questions(&input);
        assert_eq!(all.len(), 1, "what is no question is left out");
        assert!(all[0].multi_select);
        assert_eq!(all[0].options[1].label, "B");
    }
}
