//! Claude's transcripts: whether a prompt stands in one, and what was said after it.
//!
//! Facts, seen with 2.1.197 and 2.1.330: a transcript is `CONFIG_DIR/projects/*/SESSION.jsonl`, a line of
//! JSON per entry, in the order of time. A prompt is a line of the type `user` whose content is a text, or
//! a list of blocks; one that was typed while Claude worked is first a `queue-operation` `enqueue`, and an
//! `attachment` if it was taken up in the middle of a turn. A command is a text with its name in a tag.

use std::{
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;
use serde_json::Value;
use wezterm_parallel_core::prompt::{
    Found,
    text::{Likeness, likeness},
};

/// How much of a transcript's end is read, in bytes: a prompt of the last minutes stands in it, beside the
/// largest outputs that Claude keeps.
const TAIL_BYTES_MAX: u64 = 16 << 20;
/// Transcripts that are looked at where the session is not the one that is known: `/clear` and `/resume`
/// begin others.
const OTHERS_MAX: usize = 16;
/// A file's time may lag behind its content's by as much.
const SLACK: Duration = Duration::from_secs(2);

/// Looks for a prompt among what was written since `since`, in milliseconds since 1970: in the session's
/// transcript, then in those that have changed since. Reads the disk.
pub fn find(config_dir: &Path, session: Option<&str>, text: &str, since: i64) -> Option<Found> {
    let own = session.map(|session| format!("{session}.jsonl"));
    let projects: Vec<PathBuf> =
        std::fs::read_dir(config_dir.join("projects")).ok()?.flatten().map(|p| p.path()).collect();
    if let Some(own) = &own {
        let mut found = projects.iter().map(|p| p.join(own)).filter(|path| path.is_file());
        if let Some(found) = found.find_map(|path| find_in(&path, text, since)) {
            return Some(found);
        }
    }
    let since_time = UNIX_EPOCH + Duration::from_millis(since.try_into().unwrap_or(0)) - SLACK;
    let mut others: Vec<(SystemTime, PathBuf)> = projects
        .iter()
        .filter_map(|project| std::fs::read_dir(project).ok())
        .flat_map(|files| files.flatten())
        .filter(|file| file.path().extension().is_some_and(|e| e == "jsonl"))
        .filter(|file| own.as_ref().is_none_or(|own| file.file_name() != own.as_str()))
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())))
        .filter(|(at, _)| *at >= since_time)
        .collect();
    others.sort_by(|a, b| b.cmp(a));
    others.iter().take(OTHERS_MAX).find_map(|(_, path)| find_in(path, text, since))
}

/// Stands before the name of a command.
const COMMAND_NAME: &str = "<command-name>";

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(rename = "sessionId", default)]
    session: Option<String>,
    #[serde(rename = "promptId", default)]
    prompt: Option<String>,
    #[serde(rename = "isSidechain", default)]
    sidechain: bool,
    /// Claude's own words in the user's name.
    #[serde(rename = "isMeta", default)]
    meta: bool,
    #[serde(default)]
    message: Option<Message>,
    /// Of a `queue-operation`.
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    content: Value,
    #[serde(default)]
    attachment: Option<Attachment>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Value,
}

#[derive(Deserialize)]
struct Attachment {
    #[serde(default)]
    prompt: Value,
}

fn find_in(path: &Path, text: &str, since: i64) -> Option<Found> {
    let mut file = super::plain::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES_MAX))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let mut found: Option<Found> = None;
    // the last line may be half there
    for line in bytes.split(|b| *b == b'\n') {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { continue };
        if line.sidechain
            || line.meta
            || line.timestamp.as_deref().and_then(milliseconds).is_none_or(|at| at < since)
        {
            continue;
        }
        let said = said(&line);
        match (&mut found, line.kind.as_str()) {
            (None, "assistant") => {}
            (None, _) => {
                if said.iter().any(|said| is_prompt(said, text)) {
                    found = Some(Found { session_id: line.session, prompt_id: line.prompt, answer: None });
                }
            }
            (Some(found), "assistant") => {
                if let Some(text) = said.last() {
                    found.answer = Some(text.clone());
                }
            }
            (Some(found), "user") => {
                if found.prompt_id.is_none() && said.iter().any(|said| is_prompt(said, text)) {
                    // it was queued, and its turn begins
                    found.prompt_id = line.prompt;
                } else if !said.is_empty() && found.answer.is_some() && line.prompt != found.prompt_id {
                    // another one's turn
                    break;
                }
            }
            (Some(_), _) => {}
        }
    }
    found
}

/// The texts of a line: of a user's or an agent's message, of what was queued.
fn said(line: &Line) -> Vec<String> {
    let texts = |content: &Value| match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => {
            let text = |block: &Value| match block.get("type").and_then(Value::as_str) {
                Some("text") => block.get("text").and_then(Value::as_str).map(str::to_owned),
                _ => None,
            };
            blocks.iter().filter_map(text).collect()
        }
        _ => Vec::new(),
    };
    match line.kind.as_str() {
        "user" | "assistant" => line.message.as_ref().map(|m| texts(&m.content)).unwrap_or_default(),
        "queue-operation" if line.operation.as_deref() == Some("enqueue") => texts(&line.content),
        "attachment" => line.attachment.as_ref().map(|a| texts(&a.prompt)).unwrap_or_default(),
        // commands that Claude carries out itself; whatever else it says there, nobody sent
        "system" => texts(&line.content).into_iter().filter(|text| text.contains(COMMAND_NAME)).collect(),
        _ => Vec::new(),
    }
}

/// Whether a text of a transcript is the prompt, alone or with what was typed along with it.
fn is_prompt(said: &str, prompt: &str) -> bool {
    if let Some((_, rest)) = said.split_once(COMMAND_NAME)
        && let Some((name, _)) = rest.split_once("</command-name>")
    {
        return prompt.split_whitespace().next() == Some(name.trim());
    }
    likeness(said, prompt) != Likeness::Other
}

/// `2026-11-22T06:26:40.323Z` in milliseconds since 1970.
fn milliseconds(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let fraction = text.get(20..).and_then(|rest| rest.strip_suffix('Z')).unwrap_or("0");
    let milliseconds: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    // days since 1970, by years that begin in March
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 719_469;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_795_328_800_000;

    fn write(lines: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let project = dir.path().join("projects/-home-dev-repo");
        std::fs::create_dir_all(&project).expect("a directory");
        std::fs::write(project.join("s1.jsonl"), lines.join("\n")).expect("a file");
        dir
    }

    const USER: &str = r#"{"parentUuid":null,"isSidechain":false,"promptId":"t1","type":"user","message":{"role":"user","content":"fix the tests"},"timestamp":"2026-11-22T06:26:41.323Z","sessionId":"s1"}"#;
    const ANSWER: &str = r#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"thinking","thinking":"x"},{"type":"text","text":"all done"}]},"timestamp":"2026-11-22T06:26:43.000Z","sessionId":"s1"}"#;

    #[test]
    fn a_prompt_is_found_with_its_turn_and_what_was_said_after_it() {
        let dir = write(&[USER, ANSWER, "{half"]);
        let found = find(dir.path(), Some("s1"), "fix the tests", AT).expect("it is there");
        assert_eq!((found.session_id.as_deref(), found.prompt_id.as_deref()), (Some("s1"), Some("t1")));
        assert_eq!(found.answer.as_deref(), Some("all done"));
        // in another session than the one that is known
        assert!(find(dir.path(), Some("s0"), "fix the tests", AT).is_some());
        // one of before, and another one
        assert_eq!(find(dir.path(), Some("s1"), "fix the tests", AT + 5_000), None);
        assert_eq!(find(dir.path(), Some("s1"), "break the tests", AT), None);
    }

    #[test]
    fn what_was_typed_while_it_worked_is_found_in_its_queue() {
        let queued = r#"{"type":"queue-operation","operation":"enqueue","timestamp":"2026-11-22T06:26:40.500Z","sessionId":"s1","content":"fix the tests"}"#;
        let dir = write(&[queued]);
        let found = find(dir.path(), Some("s1"), "fix the tests", AT).expect("it is there");
        assert_eq!(found.prompt_id, None);
        let dir = write(&[queued, USER, ANSWER]);
        let found = find(dir.path(), Some("s1"), "fix the tests", AT).expect("it is there");
        assert_eq!(found.prompt_id.as_deref(), Some("t1"));
        let taken = r#"{"type":"queue-operation","operation":"popAll","timestamp":"2026-11-22T06:26:40.600Z","sessionId":"s1","content":"fix the tests"}"#;
        assert_eq!(find(write(&[taken]).path(), Some("s1"), "fix the tests", AT), None);
    }

    #[test]
    fn what_only_has_a_prompt_in_it_is_not_that_prompt() {
        let hint = r#"{"type":"system","content":"fix the tests","timestamp":"2026-11-22T06:26:41.323Z","sessionId":"s1"}"#;
        let meta = USER.replace("\"isSidechain\":false", "\"isSidechain\":false,\"isMeta\":true");
        let side = USER.replace("\"isSidechain\":false", "\"isSidechain\":true");
        let within = USER.replace("fix the tests", "do not fix the tests yet");
        for line in [hint, meta.as_str(), side.as_str(), within.as_str()] {
            assert_eq!(find(write(&[line]).path(), Some("s1"), "fix the tests", AT), None, "{line}");
        }
        for (said, short) in [("look at 1 file", "1"), ("it is ok", "ok"), ("go on", "go")] {
            let line = USER.replace("fix the tests", said);
            assert_eq!(find(write(&[&line]).path(), Some("s1"), short, AT), None, "{short}");
        }
        let along = USER.replace("fix the tests", "half typed fix the tests");
        assert!(find(write(&[&along]).path(), Some("s1"), "fix the tests", AT).is_some());
    }

    #[test]
    fn the_answer_ends_where_another_turn_begins() {
        let other = USER.replace("fix the tests", "another").replace("t1", "t2");
        let later = ANSWER.replace("all done", "the other's");
        let dir = write(&[USER, ANSWER, &other, &later]);
        let found = find(dir.path(), Some("s1"), "fix the tests", AT).expect("it is there");
        assert_eq!(found.answer.as_deref(), Some("all done"));
    }

    #[test]
    fn a_command_is_found_by_its_name() {
        let command = USER.replace(
            "fix the tests",
            "<command-name>/clear</command-name>\\n<command-message>clear</command-message>",
        );
        let dir = write(&[&command]);
        assert!(find(dir.path(), Some("s1"), "/clear", AT).is_some());
        assert_eq!(find(dir.path(), Some("s1"), "/cost", AT), None);
    }

    #[test]
    fn times_are_read() {
        assert_eq!(milliseconds("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(milliseconds("2026-11-22T06:26:40.323Z"), Some(1_795_328_800_323));
        assert_eq!(milliseconds("2024-02-29T23:59:59Z"), Some(1_709_251_199_000));
        assert_eq!(milliseconds("yesterday"), None);
    }
}
