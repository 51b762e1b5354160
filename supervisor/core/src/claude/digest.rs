//! Transcripts, `CONFIG_DIR/projects/DIRECTORY/SESSION.jsonl`: what a list of sessions needs of them. They may
//! have tens of megabytes, and what stands in them was written by anybody: so only their beginning and their
//! end are looked at, and what cannot be read is passed over. Seen with 2.1.197 and 2.1.330.

use std::path::{Path, PathBuf};

use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

/// Longest text that is kept, in characters: two lines of a wide screen.
const TEXT_CHARS_MAX: usize = 200;
/// Longest name of a project directory before it is shortened, in UTF-16 units.
const PROJECT_UNITS_MAX: usize = 200;
/// How a line about the conversation begins. Those of the conversation begin with their `parentUuid`.
const NOTE: &[u8] = br#"{"type":""#;
/// How texts begin that stand in a line of the user and are not the user's.
const NOT_SAID: &[&str] = &[
    "<command-name>",
    "<command-message>",
    "<local-command-",
    "<system-reminder>",
    "<task-notification>",
    "<bash-input>",
    "<bash-stdout>",
    "<bash-stderr>",
    "[Request interrupted by user",
    "Caveat: The messages below",
];

/// What is known of a conversation by its transcript.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Digest {
    /// A line of the user stands in it: it can be gone on with.
    pub begun: bool,
    /// Where it took place at first.
    pub cwd: Option<PathBuf>,
    /// The git branch at its beginning.
    pub branch: Option<String>,
    /// When it began, in milliseconds since 1970.
    pub started_at: Option<i64>,
    /// The name that the user gave it, else the one that Claude did.
    pub title: Option<String>,
    /// The first thing that the user said.
    pub first_prompt: Option<String>,
    /// The last thing that the user said.
    pub last_prompt: Option<String>,
    /// What it has cost, in US dollars.
    pub cost_usd: Option<f64>,
    /// The model that answered last.
    pub model: Option<String>,
}

impl Digest {
    /// Takes in the beginning of a transcript, from its first byte. `whole`: nothing follows it. False if the
    /// first prompt does not stand in it: then more of it is wanted.
    pub fn head(&mut self, text: &[u8], whole: bool) -> bool {
        for (line, complete) in lines(text) {
            if line.starts_with(NOTE) {
                let note = parse::<Note>(line).and_then(|n| n.custom_title.or(n.ai_title));
                self.title = note.as_deref().and_then(one_line).or(self.title.take());
                continue;
            }
            if !is(line, b"user") {
                continue;
            }
            // a first line that is larger than what was read begins a conversation all the same
            self.begun = true;
            let Some(user) = (complete || whole).then(|| parse::<Line>(line)).flatten() else { continue };
            if self.cwd.is_none() {
                self.cwd = user.cwd.clone().filter(|dir| dir.is_absolute());
                self.branch = user.branch.as_deref().and_then(one_line);
                self.started_at = user.timestamp.as_deref().and_then(millis);
            }
            if let Some(prompt) = user.prompt() {
                self.first_prompt = Some(prompt);
                return true;
            }
        }
        false
    }

    /// Takes in the end of a transcript. Its first line may be half there.
    pub fn tail(&mut self, text: &[u8]) {
        let (mut generated, mut named) = (None, None);
        for line in text.rsplit(|b| *b == b'\n') {
            let all = self.cost_usd.is_some() && self.model.is_some() && self.last_prompt.is_some();
            if all && named.is_some() {
                break;
            }
            if line.starts_with(NOTE) {
                let Some(note) = parse::<Note>(line) else { continue };
                match note.kind.as_str() {
                    "cost-state" if self.cost_usd.is_none() => {
                        self.cost_usd = note.cost.filter(|c| c.is_finite() && *c >= 0.0);
                    }
                    "last-prompt" if self.last_prompt.is_none() => {
                        self.last_prompt = note.last_prompt.as_deref().and_then(one_line);
                    }
                    "custom-title" if named.is_none() => {
                        named = note.custom_title.as_deref().and_then(one_line);
                    }
                    "ai-title" if generated.is_none() => {
                        generated = note.ai_title.as_deref().and_then(one_line);
                    }
                    _ => {}
                }
            } else if self.model.is_none() && is(line, b"assistant") {
                self.model = parse::<Line>(line).and_then(|l| l.model());
            } else if self.last_prompt.is_none() && is(line, b"user") {
                self.last_prompt = parse::<Line>(line).and_then(|l| l.prompt());
            }
        }
        self.title = named.or(generated).or(self.title.take());
    }
}

/// The lines of a text, and whether each is there to its end.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    text.split_inclusive(|b| *b == b'\n').map(|line| {
        let whole = line.strip_suffix(b"\n");
        (whole.unwrap_or(line), whole.is_some())
    })
}

/// Whether a line is of this type. In a text within the line, the quotes would stand behind backslashes.
fn is(line: &[u8], kind: &[u8]) -> bool {
    let mark = [br#""type":""#, kind, b"\""].concat();
    memmem::find(line, &mark).is_some()
}

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

pub(super) fn millis(text: &str) -> Option<i64> {
    let at = humantime::parse_rfc3339(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(at.as_millis()).ok()
}

/// A text on one line, without what could steer a terminal or turn the direction of writing round.
pub fn one_line(text: &str) -> Option<String> {
    Some(line(text, TEXT_CHARS_MAX)).filter(|line| !line.is_empty())
}

/// The same, of at most so many characters; empty if there is nothing in it.
pub fn line(text: &str, chars_max: usize) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let plain: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !turns(*c)).collect();
    let words: String = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = words.chars().take(chars_max).collect();
    if short.len() < words.len() {
        short.pop();
        short.push('…');
    }
    short
}

/// The directory below `projects` in which Claude keeps transcripts of this directory. Others may share it.
pub fn project(cwd: &Path) -> String {
    let cwd = cwd.to_string_lossy();
    let units: Vec<u16> = cwd.encode_utf16().collect();
    let plain = |unit: &u16| match u8::try_from(*unit) {
        Ok(c) if c.is_ascii_alphanumeric() => char::from(c),
        _ => '-',
    };
    if units.len() <= PROJECT_UNITS_MAX {
        return units.iter().map(plain).collect();
    }
    let hash = units.iter().fold(0_i32, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(*unit)));
    let mut name: String = units.iter().take(PROJECT_UNITS_MAX).map(plain).collect();
    name.push('-');
    name.push_str(&base36(hash.unsigned_abs()));
    name
}

fn base36(mut n: u32) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit(n % 36, 36).unwrap_or('0'));
        n /= 36;
        if n == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// A line of the conversation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    is_meta: bool,
    #[serde(default)]
    is_sidechain: bool,
    #[serde(default)]
    is_compact_summary: bool,
    #[serde(default)]
    message: Message,
    #[serde(default)]
    cwd: Option<PathBuf>,
    #[serde(default, rename = "gitBranch")]
    branch: Option<String>,
    #[serde(default)]
    timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    content: Value,
    #[serde(default)]
    model: Option<String>,
}

impl Line {
    /// What the user said in it, if it was the user.
    fn prompt(&self) -> Option<String> {
        if self.kind != "user" || self.is_meta || self.is_sidechain || self.is_compact_summary {
            return None;
        }
        let said = |text: &str| {
            let text = text.trim_start();
            let own = !NOT_SAID.iter().any(|mark| text.starts_with(mark));
            own.then(|| one_line(text)).flatten()
        };
        match &self.message.content {
            Value::String(text) => said(text),
            Value::Array(blocks) => blocks.iter().find_map(|b| b.get("text")?.as_str().and_then(said)),
            _ => None,
        }
    }

    /// The model that answered; none if it was Claude Code itself, for an error.
    fn model(self) -> Option<String> {
        let own = self.kind == "assistant" && !self.is_sidechain;
        self.message.model.filter(|m| own && m != "<synthetic>").as_deref().and_then(one_line)
    }
}

/// A line about the conversation.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "totalCostUSD")]
    cost: Option<f64>,
    #[serde(default)]
    last_prompt: Option<String>,
    #[serde(default)]
    custom_title: Option<String>,
    #[serde(default)]
    ai_title: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(text: &[u8]) -> Digest {
        let mut digest = Digest::default();
        digest.head(text, true);
        digest.tail(text);
        digest
    }

    fn user(more: &str, content: &str) -> String {
        format!(
            "{{\"parentUuid\":null,\"isSidechain\":false,{more}\"type\":\"user\",\"message\":{{\"role\":\"user\",\"content\":{content}}},\"timestamp\":\"2026-11-24T06:05:20.294Z\",\"cwd\":\"/home/dev/repo\",\"gitBranch\":\"main\"}}\n"
        )
    }

    #[test]
    fn a_transcript_of_the_real_claude_is_understood() {
        let d = digest(include_bytes!("fixtures/session-2.1.330.jsonl"));
        assert!(d.begun);
        assert_eq!(d.cwd.as_deref(), Some(Path::new("/home/dev/repo")));
        assert_eq!(d.branch.as_deref(), Some("HEAD"));
        assert_eq!(d.started_at, Some(1_795_500_742_785));
        assert_eq!(d.title.as_deref(), Some("newname"));
        assert_eq!(d.first_prompt.as_deref(), Some("[[text:one]]"));
        assert_eq!(d.last_prompt.as_deref(), Some("[[text:six]]"));
        assert_eq!(d.cost_usd, Some(0.005924));
        assert_eq!(d.model.as_deref(), Some("claude-opus-5-5"));
    }

    #[test]
    fn a_transcript_of_an_older_claude_is_understood() {
        let d = digest(include_bytes!("fixtures/session-2.1.197.jsonl"));
        assert_eq!(d.first_prompt.as_deref(), Some("[[text:one]]"));
        assert!(d.title.is_some() && d.model.is_some());
        assert_eq!(d.cost_usd, None);
    }

    #[test]
    fn a_cleared_session_has_begun_and_nothing_was_said_in_it() {
        let d = digest(include_bytes!("fixtures/session-cleared.jsonl"));
        assert_eq!((d.begun, d.first_prompt, d.last_prompt), (true, None, None));
    }

    #[test]
    fn only_what_the_user_said_is_a_prompt() {
        for (more, content, prompt) in [
            ("", r#""hello""#, Some("hello")),
            (
                "",
                r#"[{"type":"text","text":"<system-reminder>x</system-reminder>"},{"type":"text","text":"hi"}]"#,
                Some("hi"),
            ),
            ("", r#"[{"type":"image","source":{}},{"type":"text","text":"see this"}]"#, Some("see this")),
            ("\"isMeta\":true,", r#""hello""#, None),
            ("\"isCompactSummary\":true,", r#""This session is being continued""#, None),
            ("", r#""<command-name>/clear</command-name>""#, None),
            ("", r#""<local-command-stdout></local-command-stdout>""#, None),
            ("", r#""<local-command-caveat>The command below""#, None),
            ("", r#""<task-notification>""#, None),
            ("", r#""[Request interrupted by user for tool use]""#, None),
            ("", r#"[{"tool_use_id":"t","type":"tool_result","content":"x"}]"#, None),
            ("", "7", None),
        ] {
            assert_eq!(digest(user(more, content).as_bytes()).first_prompt.as_deref(), prompt, "{content}");
        }
    }

    #[test]
    fn a_text_of_somebody_cannot_steer_the_terminal() {
        let d = digest(user("", r#""a\u001b]0;owned\u0007\nb\u202ec\u009b2J""#).as_bytes());
        assert_eq!(d.first_prompt.as_deref(), Some("a ]0;owned bc 2J"));
        let long = one_line(&"x".repeat(5_000)).expect("a text");
        assert_eq!(long.chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn a_first_line_larger_than_what_is_read_begins_a_session_all_the_same() {
        let text = user("", &format!("\"{}\"", "x".repeat(4_000)));
        let mut d = Digest::default();
        assert!(!d.head(&text.as_bytes()[..1_000], false));
        assert!(d.begun);
        assert!(d.head(text.as_bytes(), false));
    }

    #[test]
    fn what_is_quoted_in_a_text_is_no_line() {
        let line = r#"{"type":"attachment","text":"{\"type\":\"user\",\"message\":{\"content\":\"x\"}}"}"#;
        assert_eq!(digest(line.as_bytes()), Digest::default());
    }

    #[test]
    fn directories_have_the_names_that_claude_gives_them() {
        for (cwd, name) in [
            ("/home/dev/repo", "-home-dev-repo"),
            ("/home/dev/my.repo_2", "-home-dev-my-repo-2"),
            ("/ü/日本/👍", "--------"),
        ] {
            assert_eq!(project(Path::new(cwd)), name);
        }
        let exact = format!("/{}", "a".repeat(199));
        assert_eq!(project(Path::new(&exact)), exact.replace('/', "-"));
        let long = project(Path::new(&format!("/{}", "a".repeat(200))));
        assert!(long.starts_with(&format!("-{}-", "a".repeat(199))) && long.len() > 201, "{long}");
    }

    proptest! {
        #[test]
        fn nothing_that_stands_in_a_file_panics(text in prop::collection::vec(any::<u8>(), 0..400), at in 0_usize..2_000) {
            digest(&text);
            let whole = include_bytes!("fixtures/session-2.1.330.jsonl");
            let at = at.min(whole.len());
            let mut d = Digest::default();
            d.head(&whole[..at], false);
            d.tail(&whole[at..]);
        }
    }
}
