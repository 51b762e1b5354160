//! What is wrong with a config, as a person reads it: the place, the line itself, what to do.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::{
    lines::{LineStarts, Lines},
    parse::Format,
};

/// Most problems that one message shows. More of them have one cause, and nobody reads on.
pub const PROBLEMS_MAX: usize = 20;

/// Why there is no config. Its text is the whole message that people see: it reads after "failed to …:"
/// and may have several lines, the first of which says it all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no such file.
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file cannot be read as a text.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, in lower case.
        reason: String,
    },
    /// There are two config files, and no way to tell which is meant.
    Both {
        /// The one.
        yaml: PathBuf,
        /// The other.
        toml: PathBuf,
    },
    /// It can be read and is not right.
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, at least one thing and at most [`PROBLEMS_MAX`].
        problems: Vec<Problem>,
        /// All of it in words, with the lines concerned.
        text: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(
                f,
                "{}: there is no such file\n  = `wezterm-parallel up` writes a commented one",
                path.display()
            ),
            Self::Unreadable { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::Both { yaml, toml } => write!(
                f,
                "{}: there is a {} as well\n  = keep the one that is meant, or name it in WEZTERM_PARALLEL_CONFIG",
                yaml.display(),
                toml.file_name().unwrap_or(toml.as_os_str()).display()
            ),
            Self::Invalid { text, .. } => f.write_str(text),
        }
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key it is about; empty if it is about the whole file.
    pub at: KeyPath,
    /// What is wrong, in lower case.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The bytes of the text that it is about, where that is known better than by the key.
    pub(crate) span: Option<Range<usize>>,
    /// It is about the key itself, not about its value.
    pub(crate) on_key: bool,
}

impl Problem {
    /// A problem with a key.
    pub fn new(at: KeyPath, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None, span: None, on_key: false }
    }
    /// The same, with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }
    pub(crate) fn on_key(mut self) -> Self {
        self.on_key = true;
        self
    }
    pub(crate) fn span(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }
}

/// A key with all those around it, outermost first: `workspaces.api.cwd`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyPath(pub Vec<String>);

impl KeyPath {
    /// The path of these keys.
    pub fn of<const N: usize>(keys: [&str; N]) -> Self {
        Self(keys.map(str::to_owned).to_vec())
    }
    /// A key inside of this one.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut keys = self.0.clone();
        keys.push(key.to_owned());
        Self(keys)
    }
    /// Whether it is a variable of an environment, whose value may be secret.
    pub(crate) fn is_environment(&self) -> bool {
        let keys: Vec<&str> = self.0.iter().map(String::as_str).collect();
        // a workspace or an agent may be called `env` too
        matches!(keys[..], [.., "env", _]) && !matches!(keys[..], ["agents" | "workspaces", "env", _])
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.0.iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
            if plain { write!(f, "{dot}{key}")? } else { write!(f, "{dot}{key:?}")? }
        }
        Ok(())
    }
}

/// The error that these problems of a file make. The list must not be empty.
pub(crate) fn invalid(path: &Path, text: &str, format: Format, mut problems: Vec<Problem>) -> ConfigError {
    let lines = match format {
        Format::Yaml => Lines::of_yaml(text),
        Format::Toml => Lines::of_toml(text),
    };
    let starts = LineStarts::of(text);
    let found = problems.len();
    problems.truncate(PROBLEMS_MAX);
    let mut message =
        problems.iter().map(|p| show(path, text, &lines, &starts, p)).collect::<Vec<_>>().join("\n\n");
    if found > PROBLEMS_MAX {
        message.push_str(&format!("\n\nand {} more", found - PROBLEMS_MAX));
    }
    ConfigError::Invalid { path: path.to_owned(), problems, text: printable(&message) }
}

/// The text without what would move a terminal's cursor or turn its writing direction: a project's file
/// may come from anybody.
fn printable(text: &str) -> String {
    let harmless = |c: char| {
        c == '\n' || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    };
    text.chars().map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

fn show(path: &Path, text: &str, lines: &Lines, starts: &LineStarts, problem: &Problem) -> String {
    let span = problem.span.clone().or_else(|| {
        let (mark, exact) = lines.nearest(&problem.at)?;
        // a missing key is shown at the one that should hold it, a wrong value at the value
        let short = !text[mark.value.clone()].contains('\n') && !mark.value.is_empty() && !mark.map;
        Some(if exact && short && !problem.on_key { mark.value.clone() } else { mark.key.clone() })
    });
    let at = if problem.at.0.is_empty() { String::new() } else { format!("{}: ", problem.at) };
    let hint = problem.hint.as_ref().map_or(String::new(), |h| format!("\n  = {h}"));
    let Some(span) = span else {
        return format!("{}: {at}{}{hint}", path.display(), problem.message);
    };
    let start = span.start.min(text.len());
    let (line, range) = starts.line(text, start);
    let source = &text[range.clone()];
    let column = text[range.start..start.min(range.end)].chars().count() + 1;
    let head = format!("{}:{line}:{column}: {at}{}", path.display(), problem.message);
    // the line may be sent to logs and clients: none that holds a variable's value
    if source.trim().is_empty() || lines.holds_environment(&range) {
        return format!("{head}{hint}");
    }
    let mark = start - range.start..span.end.clamp(start, range.end.max(start)) - range.start;
    format!("{head}\n{}{hint}", snippet(source, line, mark))
}

/// The line with its number, and a mark below the part that is meant.
fn snippet(source: &str, line: usize, mark: Range<usize>) -> String {
    let snippet =
        Snippet::source(source).line_start(line).annotation(AnnotationKind::Primary.span(mark)).fold(false);
    Renderer::plain().render(&[Group::with_level(Level::ERROR).element(snippet)]).trim_end().to_owned()
}
