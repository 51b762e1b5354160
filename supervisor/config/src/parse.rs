//! Text into types, by serde-saphyr or toml. Nothing is forgiven: unknown keys, keys given twice,
//! anything but `true` and `false` for a boolean.

use std::{ops::Range, path::Path};

use serde::de::DeserializeOwned;
use serde_saphyr::{Error as YamlError, MessageFormatter, Options, UserMessageFormatter};
use wezterm_parallel_schemas::{
    config::{Config, ProjectConfig},
    layout::Layout,
};

use crate::{
    error::{ConfigError, KeyPath, Problem, invalid},
    lines::{LineStarts, Lines},
    suggest::did_you_mean,
};

/// Deepest nesting of a YAML file. Ours needs 8.
const YAML_DEPTH_MAX: usize = 64;
/// Most values in a YAML file, more than 1 MiB of text needs.
const YAML_NODES_MAX: usize = 500_000;
/// Most values that aliases may repeat. A file that shares an `env` among 100 processes needs 2,000;
/// a bomb of ten lines has a milliard.
const YAML_REPLAYED_MAX: usize = 50_000;
/// What is said of a word that is none of several.
const UNKNOWN_VALUE: &str = "unknown value";
/// The version of the format.
const VERSION: u32 = 1;

/// How a config file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML, in a file with any name but those below.
    Yaml,
    /// TOML, in a file that ends in `.toml`.
    Toml,
}

impl Format {
    /// The format of a file, by its name.
    pub fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml")) { Self::Toml } else { Self::Yaml }
    }
}

/// Reads the text of a config file. `path` names it in messages, and its extension says the format.
///
/// # Errors
/// [`ConfigError::Invalid`] with the first thing that is wrong.
pub fn config(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let config: Config = typed(text, path)?;
    check_version(config.version, text, path)?;
    Ok(config)
}

/// Reads the text of a project's own file.
///
/// # Errors
/// [`ConfigError::Invalid`] with the first thing that is wrong.
pub fn project(text: &str, path: &Path) -> Result<ProjectConfig, ConfigError> {
    let config: ProjectConfig = typed(text, path)?;
    check_version(config.version, text, path)?;
    Ok(config)
}

/// Reads the text of a template's file.
///
/// # Errors
/// [`ConfigError::Invalid`] with the first thing that is wrong.
pub fn layout(text: &str, path: &Path) -> Result<Layout, ConfigError> {
    typed(text, path)
}

/// Reads any YAML text. JSON is YAML, but for what only JSON's own reader knows: it is asked first.
pub(crate) fn yaml<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    if text.trim_start().starts_with('{')
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    serde_saphyr::from_str_with_options(text, yaml_options())
        .map_err(|e| invalid(path, text, Format::Yaml, vec![yaml_problem(text, &e)]))
}

fn check_version(version: u32, text: &str, path: &Path) -> Result<(), ConfigError> {
    if version == VERSION {
        return Ok(());
    }
    let problem = Problem::new(
        KeyPath::of(["version"]),
        format!("this release reads version {VERSION}, not {version}"),
    )
    .hint(format!("write `version: {VERSION}`, or use a release that knows version {version}"));
    Err(invalid(path, text, Format::of(path), vec![problem]))
}

fn typed<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    let format = Format::of(path);
    let result = match format {
        Format::Yaml => {
            serde_saphyr::from_str_with_options(text, yaml_options()).map_err(|e| yaml_problem(text, &e))
        }
        Format::Toml => toml::from_str(text).map_err(|e| toml_problem(text, &e)),
    };
    result.map_err(|problem| invalid(path, text, format, vec![problem]))
}

fn yaml_options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: YAML_DEPTH_MAX, max_nodes: YAML_NODES_MAX },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: YAML_REPLAYED_MAX },
        strict_booleans: true,
        with_snippet: false,
    }
}

/// What serde says of a wrong value, in our words: with the key, and with what to write instead.
fn yaml_problem(text: &str, error: &YamlError) -> Problem {
    let (error, place) = match error.without_snippet() {
        // what an alias repeats is wrong where it is used
        YamlError::AliasError { error, locations, .. } => {
            (error.without_snippet(), Some(locations.reference_location))
        }
        error => (error, error.location()),
    };
    let (message, hint) = yaml_words(error);
    let Some(place) = place else { return Problem::new(KeyPath::default(), message).hint(hint) };
    let line = usize::try_from(place.line()).unwrap_or(usize::MAX);
    let column = usize::try_from(place.column()).unwrap_or(usize::MAX).saturating_sub(1);
    let start = LineStarts::of(text).byte(text, line, column);
    let lines = Lines::of_yaml(text);
    let at = lines.key_at(start).cloned().unwrap_or_default();
    let at = match error {
        YamlError::SerdeUnknownField { .. } | YamlError::DuplicateMappingKey { .. } => around(at),
        YamlError::SerdeUnknownVariant { variant, expected, .. }
            if lines
                .nearest(&at)
                .is_some_and(|(mark, _)| mark.key.start == start && mark.key != mark.value) =>
        {
            // one of several keys, to serde
            let (message, hint) = unknown("key", variant, expected);
            return Problem::new(around(at), message).hint(hint).span(start..start + word_len(text, start));
        }
        YamlError::Eof { .. } | YamlError::MultipleDocuments { .. } => KeyPath::default(),
        YamlError::SerdeMissingField { .. } if at.0.len() < 2 => {
            return Problem::new(KeyPath::default(), message).hint(hint);
        }
        // shown at the first key beside which it is missing
        YamlError::SerdeMissingField { .. } => around(at),
        YamlError::Unexpected { expected: "sequence start", .. } if is_hooks(&at) => {
            let hint = "one text for each command, as in `[notify-send done]`".to_owned();
            return Problem::new(at, message).hint(hint).span(start..start + word_len(text, start));
        }
        _ => at,
    };
    Problem::new(at, message).hint(hint).span(start..start + word_len(text, start))
}

/// Message and hint.
fn yaml_words(error: &YamlError) -> (String, Option<String>) {
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        YamlError::SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        YamlError::SerdeMissingField { field, .. } => missing(field),
        YamlError::DuplicateMappingKey { key, .. } => match key {
            Some(key) => (format!("the key `{key}` is there twice"), None),
            None => ("this key is there twice".into(), None),
        },
        YamlError::Unexpected { expected: "sequence start", .. } => expected_list(),
        YamlError::Unexpected { expected: "mapping start", .. } => expected_map(),
        YamlError::Unexpected { expected: "string scalar", .. } => ("a text is expected here".into(), None),
        YamlError::InvalidScalar { ty, .. } => (scalar_words(ty), None),
        YamlError::InvalidBooleanStrict { .. } => ("`true` or `false` is expected here".into(), None),
        YamlError::NullIntoString { .. } => (
            "there is no value here".into(),
            Some("`~` alone is YAML for nothing: write \"~\" in quotes for the home directory".into()),
        ),
        YamlError::Eof { .. } => empty(),
        YamlError::MultipleDocuments { .. } => {
            ("a second document begins here".into(), Some("take out the line `---`".into()))
        }
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. } => (
            "this is more than a config can hold: it is nested too deep or repeats itself too often".into(),
            Some("write out what the aliases (`*name`) stand for".into()),
        ),
        YamlError::UnknownAnchor { .. } => (
            "this alias has no anchor before it".into(),
            Some("a text that begins with `*` or `&` needs quotes".into()),
        ),
        other => (UserMessageFormatter.format_message(other).into_owned(), None),
    }
}

fn toml_problem(text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    let lines = Lines::of_toml(text);
    let at = lines.key_at(span.start).cloned().unwrap_or_default();
    // one of several keys is a value, to serde
    let is_key = |at: &KeyPath| {
        lines.nearest(at).is_some_and(|(mark, _)| mark.key.start == span.start && mark.key != mark.value)
    };
    let (message, hint, at) = match serde_words(error.message()) {
        Some(_) if text.trim().is_empty() => (empty().0, None, at),
        Some(Words::UnknownKey(message, hint)) => (message, hint, around(at)),
        Some(Words::Other(message, hint)) if message.starts_with(UNKNOWN_VALUE) && is_key(&at) => {
            (message.replacen(UNKNOWN_VALUE, "unknown key", 1), hint, around(at))
        }
        Some(Words::Other(message, hint)) => (message, hint, at),
        None if error.message() == "duplicate key" => ("this key is there twice".to_owned(), None, at),
        None => (error.message().to_lowercase().replace('\n', " "), None, at),
    };
    Problem::new(at, message).hint(hint).span(span)
}

/// What serde's usual sentences say.
pub(crate) enum Words {
    /// A key is not known: message and hint.
    UnknownKey(String, Option<String>),
    /// Anything else: message and hint.
    Other(String, Option<String>),
}

/// Serde's usual sentences, which its formats hand on as text, in our words.
pub(crate) fn serde_words(message: &str) -> Option<Words> {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (first, rest) = quoted.split_first()?;
    if message.starts_with("unknown field") {
        let (message, hint) = unknown("key", first, rest);
        return Some(Words::UnknownKey(message, hint));
    }
    let (message, hint) = if message.starts_with("unknown variant") {
        unknown("value", first, rest)
    } else if message.starts_with("missing field") {
        missing(first)
    } else {
        return None;
    };
    Some(Words::Other(message, hint))
}

fn unknown(what: &str, word: &str, known: &[&str]) -> (String, Option<String>) {
    let all = || match known {
        [] => "nothing can stand here".into(),
        _ => format!("known are {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    };
    let hint = did_you_mean(word, known.iter().copied()).unwrap_or_else(all);
    (format!("unknown {what} `{word}`"), Some(hint))
}

fn missing(key: &str) -> (String, Option<String>) {
    let hint = (key == "version").then(|| format!("write `version: {VERSION}` in the first line"));
    (format!("the key `{key}` is missing"), hint)
}

fn empty() -> (String, Option<String>) {
    ("the file is empty".into(), Some(format!("begin with `version: {VERSION}`")))
}

fn expected_list() -> (String, Option<String>) {
    ("a list is expected here".into(), Some("as in `[cargo, test]`, each argument by itself".into()))
}

fn expected_map() -> (String, Option<String>) {
    ("keys with values are expected here".into(), Some("write `{}` for none".into()))
}

fn scalar_words(ty: &str) -> String {
    let range = match ty {
        "u16" => u16::MAX.to_string(),
        "u32" => u32::MAX.to_string(),
        "i32" => return "a whole number is expected here".into(),
        "f32" | "f64" => return "a number is expected here".into(),
        "bool" => return "`true` or `false` is expected here".into(),
        _ => return format!("this is not a valid {ty}"),
    };
    format!("a whole number from 0 to {range} is expected here")
}

/// Whether hooks stand here: in a list of texts, where elsewhere one text is an argument.
fn is_hooks(at: &KeyPath) -> bool {
    at.0.len() == 2 && at.0[0] == "on"
}

/// The key around this one.
fn around(mut at: KeyPath) -> KeyPath {
    at.0.pop();
    at
}

/// Length in bytes of the word that begins here, at least one character, for the mark below it.
fn word_len(text: &str, start: usize) -> usize {
    let rest = &text[start.min(text.len())..];
    let end = rest.find(|c: char| c.is_whitespace() || ",:]}[{".contains(c)).unwrap_or(rest.len());
    let first: Range<usize> = 0..rest.chars().next().map_or(0, char::len_utf8);
    end.max(first.end)
}
