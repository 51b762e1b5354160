//! Templates for panes: those that come with the program, and those that are saved beside the config, each
//! in a file of its own. One reader for all of them, and for those in the config.

use std::path::{Path, PathBuf};

use wezterm_parallel_core::{
    layout::check::{Fault, check},
    spec::is_name,
};
use wezterm_parallel_schemas::layout::{Layout, Pane};

use crate::{
    error::{ConfigError, KeyPath, PROBLEMS_MAX, Problem, invalid},
    load::read,
    parse::{self, Format},
    suggest::did_you_mean,
};

/// The directory of saved templates, beside the config file.
pub const DIRECTORY: &str = "layouts";
/// Ending of their files.
pub const EXTENSION: &str = "yaml";
/// The name that stands for no template: the processes of the workspace, side by side.
pub const DEFAULT: &str = "default";
/// Most files there that are looked at: a list of more is not one to choose from.
pub const SAVED_MAX: usize = 200;

/// The templates that come with the program.
const SHIPPED: [(&str, &str); 5] = [
    ("claude-dev", include_str!("../layouts/claude-dev.yaml")),
    ("web-dev", include_str!("../layouts/web-dev.yaml")),
    ("rust-dev", include_str!("../layouts/rust-dev.yaml")),
    ("research", include_str!("../layouts/research.yaml")),
    ("grid-4", include_str!("../layouts/grid-4.yaml")),
];

/// Names of the templates that come with the program.
pub fn shipped_names<'a>() -> impl Iterator<Item = &'a str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// A template that comes with the program.
pub fn shipped(name: &str) -> Option<Layout> {
    let (_, text) = SHIPPED.iter().find(|(own, _)| *own == name)?;
    let path = PathBuf::from(name).with_extension(EXTENSION);
    Some(parse::layout(text, &path).expect("a test reads all of them"))
}

/// The directory of saved templates that belongs to a config file.
pub fn dir(config: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(DIRECTORY)
}

/// The file of a saved template; none if this cannot be a name, so that no name leads out of the directory.
pub fn file(dir: &Path, name: &str) -> Option<PathBuf> {
    is_name(name).then(|| dir.join(format!("{name}.{EXTENSION}")))
}

/// Names of the saved templates, in order; also of those that cannot be read. Reads the disk.
pub fn saved_names(dir: &Path) -> Vec<String> {
    let name = |path: PathBuf| {
        let stem = path.file_stem()?.to_str().filter(|stem| is_name(stem))?;
        (path.extension()? == EXTENSION).then(|| stem.to_owned())
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| name(e.path())).take(SAVED_MAX).collect();
    names.sort();
    names
}

/// Reads a saved template. Reads the disk. Whether its agents are there is for [`unknown_agent`] to say.
///
/// # Errors
/// Any [`ConfigError`], with the lines that are wrong.
pub fn load(path: &Path) -> Result<Layout, ConfigError> {
    from_text(&read(path)?, path)
}

/// The same of a text at hand.
///
/// # Errors
/// [`ConfigError::Invalid`].
pub fn from_text(text: &str, path: &Path) -> Result<Layout, ConfigError> {
    let layout = parse::layout(text, path)?;
    let faults = check(&layout);
    if faults.is_empty() {
        return Ok(layout);
    }
    let problems = faults.into_iter().map(|f| problem(&KeyPath::default(), f)).collect();
    Err(invalid(path, text, Format::of(path), problems))
}

/// What is wrong with a template that comes as values, a sentence each.
pub fn faults(layout: &Layout) -> Vec<String> {
    let words = |fault: Fault| {
        let hint = fault.hint.map_or(String::new(), |h| format!(" ({h})"));
        format!("{}: {}{hint}", KeyPath(fault.at), fault.message)
    };
    check(layout).into_iter().take(PROBLEMS_MAX).map(words).collect()
}

/// A template as its file has it. `schema` is the JSON Schema that the editor's modeline names.
pub fn to_text(layout: &Layout, schema: &Path) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let yaml = serde_saphyr::to_string_with_options(layout, options)
        .expect("a template has nothing that YAML cannot hold");
    let schema = schema.to_string_lossy().replace(['\n', '\r'], " ");
    format!("# yaml-language-server: $schema={schema}\n{yaml}")
}

/// The JSON Schema of a saved template's file.
pub fn schema() -> serde_json::Value {
    let mut schema = schemars::schema_for!(Layout).to_value();
    schema["title"] = "layouts/NAME.yaml of wezterm-parallel".into();
    schema
}

/// The first agent of a template that is not among these, in words.
pub fn unknown_agent<'a>(layout: &Layout, known: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let mut found = None;
    agents(&KeyPath::default(), layout, &mut |_, agent| {
        if found.is_none() && !known.clone().any(|k| k == agent) {
            let hint = did_you_mean(agent, known.clone()).map_or(String::new(), |h| format!(" ({h})"));
            found = Some(format!("there is no agent `{agent}`{hint}"));
        }
    });
    found
}

/// The name that was probably meant, of a template that is not there.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    did_you_mean(name, known)
}

/// A fault of a template that stands at `at`.
pub(crate) fn problem(at: &KeyPath, fault: Fault) -> Problem {
    let Fault { at: within, on_key, message, hint } = fault;
    let at = within.iter().fold(at.clone(), |at, key| at.key(key));
    let problem = Problem::new(at, message).hint(hint);
    if on_key { problem.on_key() } else { problem }
}

/// Every agent that a template names, with its place.
pub(crate) fn agents(at: &KeyPath, layout: &Layout, visit: &mut dyn FnMut(KeyPath, &str)) {
    fn panes(at: &KeyPath, all: &[Pane], visit: &mut dyn FnMut(KeyPath, &str)) {
        for (i, pane) in all.iter().enumerate() {
            let at = at.key(&i.to_string());
            if let Some(agent) = &pane.agent {
                visit(at.key("agent"), agent);
            }
            panes(&at.key("panes"), &pane.panes, visit);
        }
    }
    panes(&at.key("tabs"), &layout.tabs, visit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_template_is_right_and_says_what_it_is_for() {
        for (name, text) in SHIPPED {
            let layout = from_text(text, Path::new(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(shipped(name).as_ref(), Some(&layout));
            assert!(layout.about.is_some(), "{name}");
            assert_eq!(unknown_agent(&layout, ["claude"].into_iter()), None, "{name}");
            let again = from_text(&to_text(&layout, Path::new("/x.json")), Path::new(name));
            assert_eq!(again.as_ref(), Ok(&layout), "{name} reads back as it was written");
        }
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        let dir = Path::new("/c/layouts");
        assert_eq!(file(dir, "mine"), Some("/c/layouts/mine.yaml".into()));
        for bad in ["../config", "a/b", "", ".", ".hidden", "/etc/passwd", "a\0", "-x", &"a".repeat(65)] {
            assert_eq!(file(dir, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_files_with_a_name_that_can_be_one_are_saved_templates() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["b.yaml", "a.yaml", ".hidden.yaml", "a.yaml.tmp", "notes.txt", "no name.yaml"] {
            std::fs::write(dir.path().join(name), "tabs: [{}]").expect("written");
        }
        assert_eq!(saved_names(dir.path()), ["a", "b"]);
        assert!(saved_names(&dir.path().join("none")).is_empty());
    }
}
