//! Claude's stream-json as a person reads it: what it says, the tools that it uses, what it was not allowed,
//! and how it ended. Only for showing: what these lines come to is decided elsewhere.

use std::io::{self, Write};

use serde_json::Value;

use crate::{
    inbox::{clear, clear_lines},
    limit,
    output::{BAD, FAINT, GOOD, NOTABLE, STRONG},
    time, view,
};

/// Longest line that is shown, in bytes. The result of a tool may be longer, and is not shown whole anyway.
const LINE_BYTES_MAX: usize = 4 << 20;
/// Characters of what a tool is used with, and of what it said when it failed.
const SHORT_CHARS: usize = 120;
/// The key of a tool's input that says the most, the first that is there.
const TELLING: [&str; 9] =
    ["command", "file_path", "notebook_path", "path", "pattern", "url", "query", "description", "prompt"];

/// Takes lines in pieces of any size, and writes them as texts.
pub struct Lines<W> {
    out: W,
    rest: Vec<u8>,
    /// The line that goes on is longer than it may be.
    skips: bool,
    /// The last thing that Claude said: a result repeats it.
    said: String,
}

impl<W: Write> Lines<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, rest: Vec::new(), skips: false, said: String::new() }
    }

    /// Writes the line that has no end.
    pub fn end(&mut self) -> io::Result<()> {
        self.line()?;
        self.flush()
    }

    fn line(&mut self) -> io::Result<()> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned();
        if std::mem::take(&mut self.skips) || line.trim().is_empty() {
            return Ok(());
        }
        let text = match serde_json::from_str::<Value>(line.trim()) {
            Ok(Value::Object(line)) => self.told(&Value::Object(line)),
            // what it writes to its standard error
            _ => format!("{}\n", clear_lines(&line)),
        };
        self.out.write_all(text.as_bytes())
    }

    fn told(&mut self, line: &Value) -> String {
        let indent = if line["parent_tool_use_id"].is_string() { "  " } else { "" };
        let subtype = line["subtype"].as_str().unwrap_or_default();
        match (line["type"].as_str().unwrap_or_default(), subtype) {
            ("system", "init") => {
                let words = ["model", "permissionMode", "cwd"].map(|key| text(&line[key]));
                let words: Vec<&str> = words.iter().map(String::as_str).filter(|w| !w.is_empty()).collect();
                format!("{FAINT}{}{FAINT:#}\n", words.join(" · "))
            }
            ("system", "api_retry") => {
                let status = line["error_status"].as_u64().map(|s| format!(" after {s}")).unwrap_or_default();
                let (n, most) = (&line["attempt"], &line["max_retries"]);
                format!("{NOTABLE}▲{NOTABLE:#} the API is asked again{status}: {n} of {most}\n")
            }
            ("system", "permission_denied") => {
                let (tool, why) = (text(&line["tool_name"]), short(&line["message"]));
                format!("{indent}{BAD}✗{BAD:#} {tool} was not allowed: {why}\n")
            }
            ("assistant", _) => self.assistant(line, indent),
            ("user", _) => failures(line, indent),
            ("result", _) => self.result(line, subtype),
            _ => String::new(),
        }
    }

    fn assistant(&mut self, line: &Value, indent: &str) -> String {
        let mut out = String::new();
        for block in items(&line["message"]["content"]) {
            match block["type"].as_str() {
                Some("text") => {
                    let text = block["text"].as_str().unwrap_or_default();
                    if indent.is_empty() {
                        text.trim().clone_into(&mut self.said);
                    }
                    for line in clear_lines(text).lines() {
                        out.push_str(&format!("{indent}{line}\n"));
                    }
                }
                Some("tool_use") => {
                    let (name, with) = (text(&block["name"]), with(&block["input"]));
                    let with = if with.is_empty() { with } else { format!(" {with}") };
                    out.push_str(&format!("{indent}{GOOD}●{GOOD:#} {STRONG}{name}{STRONG:#}{with}\n"));
                }
                _ => {}
            }
        }
        out
    }

    fn result(&self, line: &Value, subtype: &str) -> String {
        let failed = line["is_error"] == true;
        let mut out = String::new();
        let text = line["result"].as_str().unwrap_or_default();
        if !text.trim().is_empty() && text.trim() != self.said {
            out.push_str(&clear_lines(text));
            out.push('\n');
        }
        for error in items(&line["errors"]).filter_map(Value::as_str) {
            out.push_str(&format!("{BAD}✗{BAD:#} {}\n", clear(error)));
        }
        for denied in items(&line["permission_denials"]) {
            let (tool, with) = (self::text(&denied["tool_name"]), with(&denied["tool_input"]));
            out.push_str(&format!("{BAD}✗{BAD:#} {tool} was not allowed: {with}\n"));
        }
        let mut words = Vec::new();
        if failed || subtype != "success" {
            words.push(if failed && subtype == "success" {
                "failed".into()
            } else {
                subtype.replace('_', " ")
            });
        }
        words.extend(line["num_turns"].as_u64().map(|n| view::count(n, "turn")));
        words.extend(line["total_cost_usd"].as_f64().map(limit::cost));
        words.extend(line["duration_ms"].as_i64().map(time::span));
        let (style, glyph) = if failed { (BAD, '✗') } else { (GOOD, '✓') };
        out + &format!("{style}{glyph}{style:#} {FAINT}{}{FAINT:#}\n", words.join(", "))
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            if self.rest.len() + piece.len() > LINE_BYTES_MAX {
                self.skips = true;
                self.rest.clear();
            }
            if !self.skips {
                self.rest.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Tools that failed. What they say otherwise is their model's business.
fn failures(line: &Value, indent: &str) -> String {
    let failed = items(&line["message"]["content"])
        .filter(|b| b["type"] == "tool_result" && b["is_error"] == true)
        .map(|b| match &b["content"] {
            Value::Array(parts) => parts.first().map(|part| short(&part["text"])).unwrap_or_default(),
            other => short(other),
        });
    failed.map(|why| format!("{indent}  {BAD}✗{BAD:#} {why}\n")).collect()
}

/// What a tool is used with, in short.
fn with(input: &Value) -> String {
    match TELLING.iter().find_map(|key| input.get(*key).filter(|v| v.is_string())) {
        Some(telling) => short(telling),
        None if input.as_object().is_none_or(serde_json::Map::is_empty) => String::new(),
        None => cut(&input.to_string()),
    }
}

fn short(value: &Value) -> String {
    cut(value.as_str().unwrap_or_default())
}

/// On one line, and not too long.
fn cut(text: &str) -> String {
    let line = clear(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHORT_CHARS) {
        Some(_) => line.chars().take(SHORT_CHARS - 1).chain(['…']).collect(),
        None => line,
    }
}

fn text(value: &Value) -> String {
    clear(value.as_str().unwrap_or_default())
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = r#"warning: a line of standard error
{"type":"system","subtype":"init","model":"claude-opus-5-5","permissionMode":"default","cwd":"/src/api"}
{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"I look.\nThen I\u001b[2J write."},{"type":"tool_use","id":"1","name":"Bash","input":{"command":"cargo test\n  --all","description":"tests"}}]}}
{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"1","is_error":true,"content":"Exit code 101\nmany lines"}]}}
{"type":"assistant","parent_tool_use_id":"2","message":{"content":[{"type":"text","text":"a subagent"},{"type":"tool_use","name":"Read","input":{"file_path":"/a/b.rs"}}]}}
{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"error_status":529}
{"type":"system","subtype":"permission_denied","tool_name":"Bash","message":"not today"}
{"type":"user","message":{"content":"not a list"}}
{"type":"something new"}
{"type":"assistant","message":{"content":[{"type":"text","text":"done"},{"type":"tool_use","name":"Strange","input":{"n":1}}]}}
{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":3,"total_cost_usd":0.1234,"duration_ms":65000,"permission_denials":[{"tool_name":"Bash","tool_input":{"command":"rm x"}}]}
{"type":"result","subtype":"error_max_turns","is_error":true,"errors":["too many"],"num_turns":1}
no line end"#;

    fn shown(pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out);
        for piece in pieces {
            lines.write_all(piece).expect("a vector takes all");
        }
        lines.end().expect("a vector takes all");
        anstream::adapter::strip_str(&String::from_utf8(out).expect("text")).to_string()
    }

    #[test]
    fn lines_become_texts() {
        insta::assert_snapshot!(shown(&[STREAM.as_bytes()]));
    }

    #[test]
    fn it_does_not_matter_how_lines_are_cut() {
        let whole = shown(&[STREAM.as_bytes()]);
        for size in [1, 7, 1_000] {
            assert_eq!(shown(&STREAM.as_bytes().chunks(size).collect::<Vec<_>>()), whole, "{size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = format!("{{\"type\":\"user\",\"x\":\"{}\"}}\nafter it\n", "y".repeat(LINE_BYTES_MAX));
        assert_eq!(shown(&[long.as_bytes()]), "after it\n");
    }
}
