//! A shell's command, as rules read it. An `allow` fits what can be nothing but one command as it is
//! written; a `deny` finds a command under each way to write it that is worth a line here.

use super::glob;

/// Words that a command may stand behind: each of the next words may be its beginning.
const WRAPPERS: &[&str] = &[
    "bash",
    "builtin",
    "busybox",
    "chrt",
    "command",
    "coproc",
    "dash",
    "doas",
    "env",
    "eval",
    "exec",
    "find",
    "flock",
    "ionice",
    "ksh",
    "nice",
    "nocorrect",
    "noglob",
    "nohup",
    "parallel",
    "script",
    "setsid",
    "sh",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "systemd-run",
    "time",
    "timeout",
    "unshare",
    "watch",
    "xargs",
    "zsh",
];
/// Words of the shell's own that a command may follow.
const KEYWORDS: &[&str] = &["!", "-", "do", "elif", "else", "if", "then", "until", "while"];
/// Words behind a wrapper that are tried as the beginning of a command: options with values come before it.
const BEGINNINGS_MAX: usize = 16;

/// Whether a shell would run this one command and nothing else, word by word as it is written, whatever
/// quotes stand where. What only might be more is more, and so is what the shell might turn into other
/// words: a brace, a pattern for names of files, a quote within a word.
pub fn is_one_command(command: &str) -> bool {
    let special = |c: char| {
        matches!(c, ';' | '&' | '|' | '`' | '$' | '<' | '>' | '(' | ')' | '{' | '}' | '\\') || c.is_control()
    };
    !command.trim().is_empty() && !command.chars().any(special) && words_are_plain(command)
}

/// Whether quotes stand around whole words alone, and nothing outside of them is a pattern.
fn words_are_plain(command: &str) -> bool {
    let mut chars = command.chars().peekable();
    let mut begins = true;
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                if !begins || !chars.any(|other| other == c) {
                    return false;
                }
                // the word ends with its quote
                if chars.peek().is_some_and(|next| *next != ' ') {
                    return false;
                }
            }
            '*' | '?' | '[' => return false,
            _ => {}
        }
        begins = c == ' ';
    }
    true
}

/// Whether a pattern fits a command, or a part of it that may be a command of its own: as it is written,
/// or as the shell would read it.
pub fn is_in(pattern: &str, command: &str) -> bool {
    // a line that goes on in the next one
    let joined = command.replace("\\\n", "");
    pieces(command).any(|piece| glob(pattern, piece))
        || pieces(&joined).any(|piece| glob(pattern, piece) || fits_words(pattern, &words(piece)))
}

/// A command, and each part of it that may be a command of its own.
fn pieces(command: &str) -> impl Iterator<Item = &str> {
    let cut = |c: char| {
        matches!(c, ';' | '&' | '|' | '`' | '(' | ')' | '{' | '}' | '$') || (c.is_control() && c != '\t')
    };
    std::iter::once(command).chain(command.split(cut)).map(str::trim).filter(|piece| !piece.is_empty())
}

/// The words of a part, without quotes and redirections, one blank between two.
fn words(piece: &str) -> String {
    let (mut text, mut word) = (String::with_capacity(piece.len()), String::new());
    // the file of a redirection belongs to no command
    let mut file = false;
    let mut quote = None;
    let mut end = |word: &mut String, file: &mut bool| {
        if word.is_empty() {
            return;
        }
        if !std::mem::take(file) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        word.clear();
    };
    for c in piece.chars() {
        match c {
            '\\' => {}
            '\'' | '"' if quote.is_none_or(|q| q == c) => {
                quote = if quote.is_some() { None } else { Some(c) };
            }
            // what a variable is set to is one word; other texts in quotes may be commands themselves
            c if quote.is_some() && c.is_whitespace() && is_assignment(&word) => word.push('_'),
            '<' | '>' => {
                // the number of what is redirected
                if word.bytes().all(|b| b.is_ascii_digit()) {
                    word.clear();
                }
                end(&mut word, &mut file);
                file = true;
            }
            c if c.is_whitespace() => end(&mut word, &mut file),
            c => word.push(c),
        }
    }
    end(&mut word, &mut file);
    text
}

/// Whether a pattern fits what is left of the words from where a command may begin.
fn fits_words(pattern: &str, words: &str) -> bool {
    // a program by the whole way to it
    let fits = |rest: &str| {
        let (head, arguments) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
        glob(pattern, rest)
            || head.rsplit_once('/').is_some_and(|(_, name)| glob(pattern, &format!("{name}{arguments}")))
    };
    if fits(words) {
        return true;
    }
    let (mut rest, mut wrapped, mut tried) = (words, false, 0);
    while !rest.is_empty() && tried < BEGINNINGS_MAX {
        let (head, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        let name = head.rsplit('/').next().unwrap_or(head);
        let passed = is_assignment(head) || (wrapped && head.starts_with('-'));
        if !passed {
            tried += 1;
            if fits(rest) {
                return true;
            }
            wrapped |= WRAPPERS.contains(&name);
            if !wrapped && !KEYWORDS.contains(&head) {
                return false;
            }
        }
        rest = behind;
    }
    false
}

/// A variable that is set for the command behind it.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        let name = name.strip_suffix('+').unwrap_or(name);
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'[' | b']'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_is_what_no_shell_turns_into_another() {
        for one in ["cargo test", "cargo  test", "git commit -m \"a word\"", "grep 'a*b' x", "ls \"x\" 'y'"] {
            assert!(is_one_command(one), "{one}");
        }
        for more in [
            "cargo publis{h,}",
            "cargo pub'lish'",
            "cargo 'pub'lish",
            "cargo \"pub\"'lish'",
            "cargo publis[h]",
            "cargo publis?",
            "cargo p*",
            "cargo pub\\lish",
            "cargo 'publish",
            "cargo \"it's",
            "cargo\ttest",
        ] {
            assert!(!is_one_command(more), "{more}");
        }
    }

    #[test]
    fn a_command_is_found_however_it_is_written() {
        for hidden in [
            "cargo publish",
            "cargo  publish",
            "cargo\tpublish",
            "cargo 'publish'",
            "cargo \"publish\"",
            "car\"go\" pub'lis'h",
            "\\cargo pub\\lish",
            "cargo pub\\\nlish",
            "X=1 cargo publish",
            "X=1 Y='a b' cargo publish",
            "if true; then cargo publish; fi",
            "for x in y; do cargo publish; done",
            "true && ! cargo publish",
            "env X=1 cargo publish",
            "/usr/bin/env -i X=1 cargo publish",
            "sudo -u root cargo publish",
            "command cargo publish",
            "exec cargo publish",
            "nice -n 5 cargo publish",
            "time cargo publish",
            "timeout 5 nohup cargo publish",
            "bash -c 'cargo publish'",
            "bash -c \"true; cargo publish\"",
            "echo x | xargs cargo publish",
            "~/.cargo/bin/cargo publish",
            "> out cargo publish",
            "2>/dev/null cargo publish",
            "cargo 2>x publish",
            "cargo publish>out",
        ] {
            assert!(is_in("cargo publish*", hidden), "{hidden}");
        }
        for other in ["cargo test", "echo cargo publish", "git commit -m 'cargo publish'", "xcargo publish"] {
            assert!(!is_in("cargo publish*", other), "{other}");
        }
    }

    #[test]
    fn a_long_command_is_read_in_a_moment() {
        let long = "sudo a ".repeat(40_000);
        assert!(!is_in("rm *x*", &long));
        assert!(is_in("* rm *", &format!("{long} r'm' x")));
    }
}
