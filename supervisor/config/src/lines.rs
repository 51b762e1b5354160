//! Where each key of a file stands, so that a problem found in the meaning can be shown in the text.
//! Made only when there is something to show.

use std::{collections::HashMap, ops::Range};

use serde_saphyr::granit_parser::{Event, Parser};

use crate::error::KeyPath;

/// Where a key and its value stand, in bytes from the beginning of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
    /// The value is a map: what is wrong with it as a whole is shown at its key.
    pub(crate) map: bool,
}

/// Where every key of a file stands.
#[derive(Debug, Default)]
pub(crate) struct Lines(HashMap<KeyPath, Mark>);

impl Lines {
    /// The keys of a YAML text, as far as it can be read. Aliases are not followed.
    pub(crate) fn of_yaml(text: &str) -> Self {
        let mut walk = YamlWalk { text, lines: Self::default(), open: Vec::new(), path: Vec::new() };
        let starts = LineStarts::of(text);
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { break };
            let range = starts.byte(text, span.start.line(), span.start.col())
                ..starts.byte(text, span.end.line(), span.end.col());
            walk.step(&event, range);
        }
        walk.lines
    }

    /// The keys of a TOML text, if it can be read.
    pub(crate) fn of_toml(text: &str) -> Self {
        let mut lines = Self::default();
        if let Ok(table) = toml::de::DeTable::parse(text) {
            walk_toml(table.get_ref(), &mut Vec::new(), &mut lines);
        }
        lines
    }

    /// Where the key stands, or the nearest one around it; and whether it is that key itself.
    pub(crate) fn nearest(&self, at: &KeyPath) -> Option<(&Mark, bool)> {
        (1..=at.0.len())
            .rev()
            .find_map(|n| self.0.get(&KeyPath(at.0[..n].to_vec())).map(|m| (m, n == at.0.len())))
    }

    /// The innermost key that stands at this byte, or whose value begins there.
    pub(crate) fn key_at(&self, byte: usize) -> Option<&KeyPath> {
        self.0
            .iter()
            .filter(|(_, m)| m.key.contains(&byte) || m.value.start == byte || m.key.start == byte)
            .max_by_key(|(path, _)| path.0.len())
            .map(|(path, _)| path)
    }

    /// Whether this part of the text holds values of the environment, which may be secret.
    pub(crate) fn holds_environment(&self, part: &Range<usize>) -> bool {
        self.0.iter().any(|(path, m)| {
            path.is_environment() && m.key.start < part.end && part.start < m.value.end.max(m.key.end)
        })
    }
}

struct YamlWalk<'a> {
    text: &'a str,
    lines: Lines,
    open: Vec<Open>,
    path: Vec<String>,
}

/// A collection that has begun and not ended.
enum Open {
    /// A map; with the key that waits for its value.
    Map { key: Option<(String, Range<usize>)>, start: usize },
    /// A list; with the number of items so far.
    List { items: usize, start: usize },
}

impl YamlWalk<'_> {
    fn step(&mut self, event: &Event<'_>, range: Range<usize>) {
        match event {
            Event::Scalar(text, ..) => {
                if let Some(Open::Map { key: key @ None, .. }) = self.open.last_mut() {
                    *key = Some((text.to_string(), range));
                } else {
                    self.enter(range.clone(), false);
                    self.leave(range);
                }
            }
            Event::Alias(_) => {
                self.enter(range.clone(), false);
                self.leave(range);
            }
            Event::MappingStart(..) => {
                self.enter(range.clone(), true);
                self.open.push(Open::Map { key: None, start: range.start });
            }
            Event::SequenceStart(..) => {
                self.enter(range.clone(), false);
                self.open.push(Open::List { items: 0, start: range.start });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let start = match self.open.pop() {
                    Some(Open::Map { start, .. } | Open::List { start, .. }) => start,
                    None => range.start,
                };
                self.leave(start..range.end);
            }
            _ => {}
        }
    }

    /// A value begins: its key becomes part of the path.
    fn enter(&mut self, range: Range<usize>, map: bool) {
        match self.open.last_mut() {
            Some(Open::Map { key, .. }) => {
                let (name, mark) = key.clone().unwrap_or_else(|| (String::new(), range.clone()));
                self.path.push(name);
                self.lines.0.insert(KeyPath(self.path.clone()), Mark { key: mark, value: range, map });
            }
            Some(Open::List { items, .. }) => {
                self.path.push(items.to_string());
                *items += 1;
                self.lines
                    .0
                    .insert(KeyPath(self.path.clone()), Mark { key: range.clone(), value: range, map });
            }
            None => {}
        }
    }

    /// A value has ended.
    fn leave(&mut self, range: Range<usize>) {
        match self.open.last_mut() {
            Some(Open::Map { key, .. }) => *key = None,
            Some(Open::List { .. }) => {}
            None => return,
        }
        if let Some(mark) = self.lines.0.get_mut(&KeyPath(self.path.clone())) {
            // a block ends where the next thing begins: the white space before is not part of it
            let end = range.start + self.text[range.clone()].trim_end().len();
            mark.value = range.start..end.max(range.start);
        }
        self.path.pop();
    }
}

fn walk_toml(table: &toml::de::DeTable<'_>, path: &mut Vec<String>, lines: &mut Lines) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        lines.0.insert(
            KeyPath(path.clone()),
            Mark { key: key.span(), value: value.span(), map: value.get_ref().is_table() },
        );
        walk_toml_value(value, path, lines);
        path.pop();
    }
}

fn walk_toml_value(value: &toml::Spanned<toml::de::DeValue<'_>>, path: &mut Vec<String>, lines: &mut Lines) {
    match value.get_ref() {
        toml::de::DeValue::Table(inner) => walk_toml(inner, path, lines),
        toml::de::DeValue::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                path.push(i.to_string());
                lines.0.insert(
                    KeyPath(path.clone()),
                    Mark { key: item.span(), value: item.span(), map: item.get_ref().is_table() },
                );
                walk_toml_value(item, path, lines);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Where each line of a text begins, in bytes.
pub(crate) struct LineStarts(Vec<usize>);

impl LineStarts {
    pub(crate) fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect())
    }

    /// The byte of a line (from 1) and a column (characters from 0); the end of the text beyond it.
    pub(crate) fn byte(&self, text: &str, line: usize, column: usize) -> usize {
        let Some(start) = self.0.get(line.saturating_sub(1)) else { return text.len() };
        let rest = &text[*start..];
        rest.char_indices().nth(column).map_or(text.len(), |(i, _)| start + i)
    }

    /// The line (from 1) that a byte stands on, and the bytes of that line without its end.
    pub(crate) fn line(&self, text: &str, byte: usize) -> (usize, Range<usize>) {
        let line = self.0.partition_point(|start| *start <= byte).max(1);
        let start = self.0[line - 1];
        let end = self.0.get(line).map_or(text.len(), |next| next - 1);
        let end = start + text[start..end].trim_end_matches('\r').len();
        (line, start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(keys: &[&str]) -> KeyPath {
        KeyPath(keys.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_key_of_a_yaml_text_is_found_where_it_stands() {
        let text =
            "version: 1\nworkspaces:\n  日本:\n    cwd: ~/x # why\n    processes: { a: { args: [-n, 5] } }\n";
        let lines = Lines::of_yaml(text);
        let at = |keys: &[&str]| {
            let (mark, exact) = lines.nearest(&path(keys)).expect("a mark");
            assert!(exact, "{keys:?}");
            (&text[mark.key.clone()], &text[mark.value.clone()])
        };
        assert_eq!(at(&["version"]), ("version", "1"));
        assert_eq!(at(&["workspaces", "日本", "cwd"]), ("cwd", "~/x"));
        assert_eq!(at(&["workspaces", "日本", "processes", "a", "args"]), ("args", "[-n, 5]"));
        assert_eq!(at(&["workspaces", "日本", "processes", "a", "args", "1"]), ("5", "5"));
        assert_eq!(at(&["workspaces", "日本"]).0, "日本");
    }

    #[test]
    fn every_key_of_a_toml_text_is_found_where_it_stands() {
        let text = "version = 1\n[workspaces.api]\ncwd = '~/x'\n";
        let lines = Lines::of_toml(text);
        let (mark, _) = lines.nearest(&path(&["workspaces", "api", "cwd"])).expect("a mark");
        assert_eq!((&text[mark.key.clone()], &text[mark.value.clone()]), ("cwd", "'~/x'"));
    }

    #[test]
    fn a_key_that_is_not_there_is_shown_at_the_one_around_it() {
        let text = "workspaces:\n  api: {}\n";
        let lines = Lines::of_yaml(text);
        let (mark, exact) = lines.nearest(&path(&["workspaces", "api", "cwd"])).expect("a mark");
        assert_eq!((&text[mark.key.clone()], exact), ("api", false));
    }
}
