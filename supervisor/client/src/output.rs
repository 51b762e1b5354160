//! What a person sees: results on standard output, everything else on standard error, colours only
//! where a terminal takes them.

use std::{
    fmt,
    io::{self, BufRead, IsTerminal, Write},
};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// Something that failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something to look at.
pub const NOTABLE: Style = AnsiColor::Yellow.on_default();
/// Something that is as it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What to do.
pub const ADVICE: Style = AnsiColor::Cyan.on_default();
/// What stands back.
pub const FAINT: Style = Style::new().dimmed();
/// What stands out.
pub const STRONG: Style = Style::new().bold();

/// Prints a result to standard output.
pub fn print(text: impl fmt::Display) -> Outcome {
    let mut out = anstream::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(|e| Failure::output(&e))
}

/// Prints a result as JSON, for scripts.
pub fn print_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).expect("our own types have a JSON form");
    print(format_args!("{text}\n"))
}

/// Prints a result as JSON on one line, for a stream of them.
pub fn print_json_line(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string(value).expect("our own types have a JSON form");
    print(format_args!("{text}\n"))
}

/// Says on standard error how far things are.
pub fn progress(text: impl fmt::Display) {
    say(format_args!("{FAINT}·{FAINT:#} {text}\n"));
}

/// Says on standard error how something has ended, in the words that stand for themselves.
pub fn aside(text: impl fmt::Display) {
    say(format_args!("{text}\n"));
}

/// Says something on standard error that is not an error.
pub fn note(text: impl fmt::Display) {
    say(format_args!("{NOTABLE}note:{NOTABLE:#} {text}\n"));
}

/// Says on standard error what to do.
pub fn hint(text: impl fmt::Display) {
    say(format_args!("{ADVICE}hint:{ADVICE:#} {text}\n"));
}

/// Says on standard error how a command failed.
pub fn failure(failure: &Failure) {
    let why = clean_lines(&failure.why);
    say(format_args!("{BAD}error:{BAD:#} failed to {}: {why}\n", clean(&failure.what)));
    if let Some(text) = &failure.hint {
        hint(clean_lines(text));
    }
}

fn say(text: fmt::Arguments<'_>) {
    // where standard error is gone, there is nobody to tell
    let _ = anstream::stderr().lock().write_fmt(text);
}

/// Whether somebody is there to answer a question.
pub fn somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question on the terminal; Enter alone means `default`. Without a terminal the answer is no:
/// nobody has agreed.
pub fn ask(question: &str, default: bool) -> bool {
    if !somebody_there() {
        return false;
    }
    let choice = if default { "[Y/n]" } else { "[y/N]" };
    loop {
        say(format_args!("{STRONG}?{STRONG:#} {question} {choice} "));
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
        if let Some(answer) = understand(&line, default) {
            return answer;
        }
    }
}

fn understand(line: &str, default: bool) -> Option<bool> {
    match line.trim().to_lowercase().as_str() {
        "" => Some(default),
        "y" | "yes" | "はい" => Some(true),
        "n" | "no" | "いいえ" => Some(false),
        _ => None,
    }
}

/// Columns of the terminal on standard output; none if it is not one: then lines are as long as they
/// are, as `grep` wants them.
pub fn width() -> Option<u16> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(&stdout).ok().map(|size| size.ws_col).filter(|cols| *cols > 0)
}

/// A line at the end of standard error that is written over again and again, where that is a terminal.
#[derive(Default)]
pub struct Passing {
    cols: Option<u16>,
    shown: bool,
}

impl Passing {
    /// None is shown yet.
    pub fn new() -> Self {
        let stderr = io::stderr();
        let cols = stderr.is_terminal().then(|| rustix::termios::tcgetwinsize(&stderr).ok()).flatten();
        Self { cols: cols.map(|size| size.ws_col).filter(|cols| *cols > 2), shown: false }
    }

    /// Whether there is a terminal to show it on.
    pub fn can_show(&self) -> bool {
        self.cols.is_some()
    }

    /// Shows this in its place, as far as it fits.
    pub fn show(&mut self, text: &str) {
        let Some(cols) = self.cols else { return };
        let mut line = String::new();
        // the mark before it and the last column stay free
        let most = usize::from(cols) - 3;
        let mut used = 0;
        for c in clean(text).chars() {
            used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
            if used > most {
                break;
            }
            line.push(c);
        }
        // as bytes: where colours are off this is not one of them
        let _ = io::stderr().lock().write_all(b"\r\x1b[K");
        say(format_args!("{FAINT}·{FAINT:#} {line}"));
        self.shown = true;
    }

    /// Takes it away, before something else is written.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            // as bytes: where colours are off this is not one of them
            let _ = io::stderr().lock().write_all(b"\r\x1b[K");
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A text of somebody else's on one line and without control characters: a title or an error of an
/// agent must not steer the terminal of whoever lists it.
pub fn clean(text: &str) -> String {
    text.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The same, with its lines left as they are.
pub fn clean_lines(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood_and_others_asked_again() {
        for (line, default, answer) in [
            ("\n", true, Some(true)),
            ("\n", false, Some(false)),
            ("Y\n", false, Some(true)),
            (" no \n", true, Some(false)),
            ("perhaps\n", true, None),
        ] {
            assert_eq!(understand(line, default), answer, "{line:?}");
        }
    }

    #[test]
    fn a_text_of_an_agent_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b]0;owned\x07b\r\nc\u{9b}2J"), "a ]0;owned b c 2J");
        assert_eq!(clean_lines("line 1\n  ^ here\x1b[2J\n"), "line 1\n  ^ here [2J");
    }
}
