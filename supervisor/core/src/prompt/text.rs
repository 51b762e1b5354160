//! A prompt as keys, and whether what an agent says it was told is that prompt.
//!
//! Facts, seen with Claude Code 2.1.197 and 2.1.330 on a pseudo terminal: a bracketed paste is taken as
//! text, but for a leading `/` (a command, completed if it is half of one), a leading `!` (a shell command
//! that nobody is asked about) and the words that end it; a blank of Braille before them is kept, shown as
//! nothing, and makes them words. 2.1.330 wraps a paste of more than 800 characters or three lines into
//! `<pasted_content>` and warns the model of it; several pastes below both bounds stay what they are,
//! joined by a bare line feed at every height of the terminal. 2.1.197 wraps nothing, and of several
//! pastes at once keeps only the last. A backslash at the end makes Enter a new line, and a blank behind
//! it does not. A tab becomes four blanks, blanks at the end are dropped, invisible characters go.

use wezterm_parallel_schemas::process::Kind;

/// Stashes what stands in Claude's input box; it comes back by itself after the next prompt.
const STASH: u8 = 0x13;
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
/// Shown as nothing, kept by every version seen, and no blank to those who trim.
const BRAILLE_BLANK: char = '\u{2800}';
/// Characters of one paste: 2.1.330 wraps what has more than 800.
const PASTE_CHARS_MAX: usize = 700;
/// Line feeds of one paste: 2.1.330 wraps what has more than two, in a terminal of twelve rows and more.
const PASTE_LINES_MAX: usize = 2;
/// Up to this many bytes each line is a paste of its own, which is right in a terminal of any height and
/// takes 40 µs a byte; a longer text would take seconds.
const BY_LINE_BYTES_MAX: usize = 8 << 10;
/// Up to this many bytes it is several pastes: each takes Claude the longer the more stands in its box
/// already, 0.3 s in all for this, 20 s for 60 kB and minutes for 500. A longer text is one paste, which
/// arrives whole within a second, and wrapped.
const PASTES_BYTES_MAX: usize = 20 << 10;
/// Characters, without blanks, from which on a prompt can be known within other words: `ok`, `1` and `go on`
/// stand in much that was never sent.
const TELLING_CHARS_MIN: usize = 8;
/// What ends Claude if it is all that is said.
const FAREWELLS: &[&str] = &["exit", "quit", ":q", ":q!", ":wq", ":wq!"];

/// A version of Claude Code.
pub type Version = (u32, u32, u32);

/// The first version that was seen to keep several pastes apart and to wrap a large one.
const PASTES_JOIN: Version = (2, 1, 330);

/// Reads `2.1.330`.
pub fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Some((major, minor, patch)),
        _ => None,
    }
}

/// The text without what a terminal would take for keys: line ends are line feeds, control characters but
/// tabs are left out, and blanks at the end. None if nothing is left.
pub fn clean(text: &str) -> Option<String> {
    let lines = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
    let mut clean: String = lines.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    clean.truncate(clean.trim_end().len());
    (!clean.trim_matches(|c: char| c.is_whitespace() || is_invisible(c)).is_empty()).then_some(clean)
}

/// The keys that put a clean text into a program's input, without the Enter that sends it.
pub fn keys(text: &str, kind: Kind, command: bool, stash: bool, version: Option<Version>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 4 + 32);
    if stash {
        out.push(STASH);
    }
    let mut words = String::new();
    if kind == Kind::Claude && !command {
        words.extend(guard(text));
    }
    words.push_str(text);
    if words.ends_with('\\') {
        words.push(' ');
    }
    let joins = kind == Kind::Claude && version.is_some_and(|v| v >= PASTES_JOIN);
    if !joins || words.len() > PASTES_BYTES_MAX {
        paste(&words, &mut out);
    } else if words.len() <= BY_LINE_BYTES_MAX {
        for (i, line) in words.split('\n').enumerate() {
            if i > 0 {
                out.push(b'\n');
            }
            pastes(line, &mut out);
        }
    } else {
        pastes(&words, &mut out);
    }
    out
}

/// What has to stand before words that are no command, so that they are none.
fn guard(text: &str) -> Option<char> {
    let trimmed = text.trim_start();
    if trimmed.starts_with('!') {
        return (trimmed.len() == text.len()).then_some(' ');
    }
    let is_command = trimmed.strip_prefix('/').is_some_and(|rest| {
        let name = rest.split(char::is_whitespace).next().unwrap_or_default();
        // a path has a second slash or a dot
        name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ':'))
    });
    (is_command || FAREWELLS.contains(&trimmed.trim_end())).then_some(BRAILLE_BLANK)
}

fn paste(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(PASTE_BEGIN);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(PASTE_END);
}

/// As many pastes as stay below the bounds.
fn pastes(text: &str, out: &mut Vec<u8>) {
    let (mut start, mut chars, mut lines) = (0, 0, 0);
    for (i, c) in text.char_indices() {
        let feeds = usize::from(c == '\n');
        if chars == PASTE_CHARS_MAX || lines + feeds > PASTE_LINES_MAX {
            paste(&text[start..i], out);
            (start, chars, lines) = (i, 0, 0);
        }
        chars += 1;
        lines += feeds;
    }
    if start < text.len() {
        paste(&text[start..], out);
    }
}

/// How what an agent was told relates to a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// It is the prompt.
    Same,
    /// It has the prompt in it, and more.
    Within,
    /// It is something else.
    Other,
}

/// Whether nobody says this by chance.
pub fn is_telling(prompt: &str) -> bool {
    bare(prompt).chars().count() >= TELLING_CHARS_MIN
}

/// Compares what an agent was told with a prompt: blanks, what cannot be seen, and what Claude puts around
/// a paste do not count. What stood in the box goes before a prompt, what somebody types into it behind;
/// a short prompt may stand there by chance.
pub fn likeness(told: &str, prompt: &str) -> Likeness {
    let (told, prompt) = (bare(&unwrapped(told)), bare(prompt));
    let tells = is_telling(&prompt);
    if told == prompt {
        Likeness::Same
    } else if tells && (told.ends_with(&prompt) || told.starts_with(&prompt)) {
        Likeness::Within
    } else {
        Likeness::Other
    }
}

fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !is_invisible(*c)).collect()
}

/// Leaves out `<pasted_content id="…">` and its end.
fn unwrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("pasted_content id=\"") {
        let before = &rest[..at];
        let opened = before.strip_suffix("</").or_else(|| before.strip_suffix('<'));
        match (opened, rest[at..].find("\">")) {
            (Some(before), Some(end)) => {
                out.push_str(before);
                rest = &rest[at + end + 2..];
            }
            _ => {
                let next = at + "pasted_content".len();
                out.push_str(&rest[..next]);
                rest = &rest[next..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | BRAILLE_BLANK | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEW: Option<Version> = Some((2, 1, 330));

    fn typed(text: &str, version: Option<Version>) -> String {
        String::from_utf8(keys(text, Kind::Claude, false, false, version)).expect("text")
    }

    #[test]
    fn what_a_terminal_would_take_for_keys_is_left_out() {
        for (text, clean_text) in [
            ("a\x1b[201~b", Some("a[201~b")),
            ("a\r\nb\rc\u{2028}d", Some("a\nb\nc\nd")),
            ("tab\there \n\n", Some("tab\there")),
            ("\x03\x04x\u{9b}y\x7f\0", Some("xy")),
            (" \n\t", None),
            ("\x1b\x07", None),
            ("\u{200b}\u{feff}", None),
            ("", None),
        ] {
            assert_eq!(clean(text).as_deref(), clean_text, "{text:?}");
        }
    }

    #[test]
    fn words_that_would_be_a_command_are_made_words() {
        for (text, first) in [
            ("/cost", '\u{2800}'),
            ("  /comp", '\u{2800}'),
            ("/co\nmore", '\u{2800}'),
            ("exit", '\u{2800}'),
            (":q", '\u{2800}'),
            ("!rm -rf x", ' '),
            (" !rm", ' '),
            ("/etc/hosts is broken", '/'),
            ("exit the loop", 'e'),
            ("#note", '#'),
            ("@file", '@'),
        ] {
            let keys = typed(text, NEW);
            assert_eq!(
                keys.strip_prefix("\x1b[200~").and_then(|k| k.chars().next()),
                Some(first),
                "{text:?}"
            );
        }
        assert_eq!(keys("/clear", Kind::Claude, true, false, NEW), b"\x1b[200~/clear\x1b[201~");
    }

    #[test]
    fn each_version_gets_pastes_that_it_takes_as_they_are() {
        assert_eq!(typed("a\nb", NEW), "\x1b[200~a\x1b[201~\n\x1b[200~b\x1b[201~");
        assert_eq!(typed("a\n\nb", NEW), "\x1b[200~a\x1b[201~\n\n\x1b[200~b\x1b[201~");
        assert_eq!(typed("a\nb", Some((2, 1, 197))), "\x1b[200~a\nb\x1b[201~");
        assert_eq!(typed("a\nb", None), "\x1b[200~a\nb\x1b[201~");
        assert_eq!(typed("a\\", None), "\x1b[200~a\\ \x1b[201~");
        assert_eq!(keys("a", Kind::Claude, false, true, None), b"\x13\x1b[200~a\x1b[201~");
        assert_eq!(version("2.1.330"), NEW);
        assert_eq!(version("2.1"), None);
    }

    #[test]
    fn what_claude_makes_of_a_prompt_is_still_that_prompt() {
        let long = "line\n".repeat(400);
        let wrapped = format!("\n\n<pasted_content id=\"d339\">\n{long}</pasted_content id=\"d339\">\n");
        for (told, prompt, likeness_) in [
            (wrapped.as_str(), long.as_str(), Likeness::Same),
            ("tab    here", "tab\there", Likeness::Same),
            ("\u{2800}/cost", "/cost", Likeness::Same),
            ("a b", "a\u{200b} b", Likeness::Same),
            ("half typed fix the tests", "fix the tests", Likeness::Within),
            ("fix the tests and more", "fix the tests", Likeness::Within),
            ("do not fix the tests yet", "fix the tests", Likeness::Other),
            ("look", "ok", Likeness::Other),
            ("1 + 1", "1", Likeness::Other),
            ("ok", "ok", Likeness::Same),
            ("a", "b", Likeness::Other),
            ("", "b", Likeness::Other),
            ("see pasted_content id=\"x", "see pasted_content id=\"x", Likeness::Same),
        ] {
            assert_eq!(likeness(told, prompt), likeness_, "{told:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_of_a_text_is_lost_between_its_pastes(text in "[ab \\n\u{e4}\u{65e5}]{0,3000}x") {
            for version in [None, NEW] {
                let keys = typed(&text, version);
                let plain = keys.replace("\x1b[200~", "").replace("\x1b[201~", "");
                prop_assert_eq!(&plain, &text);
            }
        }

        #[test]
        fn no_paste_can_be_ended_from_within(text in "\\PC{0,40}") {
            let text = format!("{text}\x1b[201~{text}");
            if let Some(clean) = clean(&text) {
                prop_assert!(!clean.contains('\x1b'));
                prop_assert_eq!(likeness(&clean, &clean), Likeness::Same);
            }
        }

        #[test]
        fn pastes_stay_below_the_bounds(text in "[a\\n]{9000,12000}x") {
            for paste in typed(&text, NEW).split("\x1b[200~").skip(1) {
                let paste = paste.strip_suffix("\x1b[201~").expect("it is ended");
                prop_assert!(paste.chars().count() <= PASTE_CHARS_MAX);
                prop_assert!(paste.matches('\n').count() <= PASTE_LINES_MAX);
            }
        }
    }
}
