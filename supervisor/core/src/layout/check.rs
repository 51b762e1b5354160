//! The rules of templates, and the bounds of what a GUI tells.

use std::{
    collections::HashSet,
    path::{Component, Path},
};

use wezterm_parallel_schemas::layout::{Layout, Pane, Window};

use crate::spec::{NAME_BYTES_MAX, is_name};

/// Deepest nesting of panes. In a frame, which may be 32 deep, a level takes two and what is around the
/// panes five; on a screen the twelfth level of halves has a fraction of a cell.
pub const DEPTH_MAX: usize = 12;
/// Most tabs of a template: nobody finds one among more.
pub const TABS_MAX: usize = 32;
/// Most panes of a template, splits included: each may become a program that is started.
pub const PANES_MAX: usize = 128;
/// Most panes of a workspace that are kept as they were left, splits included: 50 tabs with a grid each.
pub const LEFT_PANES_MAX: usize = 512;
/// Longest title, in bytes: a tab shows some 30 characters.
const TITLE_BYTES_MAX: usize = 256;
/// Longest `about`, in bytes: a line.
const ABOUT_BYTES_MAX: usize = 256;
/// Longest command of a pane, in bytes, all its words together.
const COMMAND_BYTES_MAX: usize = 16 << 10;
/// Longest path of a system that we run on, in bytes.
const PATH_BYTES_MAX: usize = 4_096;
/// By how much sizes may miss 100 %: `33.3%` three times is meant well.
const SLACK: f64 = 0.5;

/// Something wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, from the template down: `tabs`, `0`, `size`.
    pub at: Vec<String>,
    /// It is the key that is wrong, not its value.
    pub on_key: bool,
    /// What is wrong, in lower case.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// All that is wrong with a template by itself, in its order. Which agents there are is not known here.
pub fn check(layout: &Layout) -> Vec<Fault> {
    let mut work = Check::default();
    let tabs = At::default().key("tabs");
    if layout.about.as_ref().is_some_and(|about| !is_line(about, ABOUT_BYTES_MAX)) {
        work.fault(&At::default().key("about"), "this is a line of at most 256 bytes", None);
    }
    if layout.tabs.is_empty() {
        work.fault(&tabs, "a layout has at least one tab", Some("a tab with a shell in it is `- {}`"));
    }
    if layout.tabs.len() > TABS_MAX {
        work.fault(&tabs, &format!("a layout has at most {TABS_MAX} tabs"), None);
        return work.faults;
    }
    for (i, tab) in layout.tabs.iter().enumerate() {
        (work.focus, work.zoomed) = (0, 0);
        let at = tabs.key(&i.to_string());
        if tab.size.is_some() {
            work.key_fault(
                &at.key("size"),
                "a tab fills its window: only a pane of a split has a size",
                None,
            );
        }
        work.pane(&at, tab, 1);
        if work.focus > 1 {
            work.fault(&at, "only one pane of a tab has the focus", None);
        }
        if work.zoomed > 1 {
            work.fault(&at, "only one pane of a tab is zoomed", None);
        }
    }
    if work.panes > PANES_MAX {
        work.fault(&tabs, &format!("a layout has at most {PANES_MAX} panes"), None);
    }
    work.faults
}

#[derive(Clone, Default)]
struct At(Vec<String>);

impl At {
    fn key(&self, key: &str) -> Self {
        Self([&self.0[..], &[key.to_owned()]].concat())
    }
}

#[derive(Default)]
struct Check {
    faults: Vec<Fault>,
    names: HashSet<String>,
    panes: usize,
    /// Of the tab at hand.
    focus: usize,
    zoomed: usize,
}

impl Check {
    fn push(&mut self, at: &At, on_key: bool, message: &str, hint: Option<&str>) {
        let hint = hint.map(str::to_owned);
        self.faults.push(Fault { at: at.0.clone(), on_key, message: message.to_owned(), hint });
    }
    fn fault(&mut self, at: &At, message: &str, hint: Option<&str>) {
        self.push(at, false, message, hint);
    }
    fn key_fault(&mut self, at: &At, message: &str, hint: Option<&str>) {
        self.push(at, true, message, hint);
    }

    fn pane(&mut self, at: &At, pane: &Pane, depth: usize) {
        self.panes += 1;
        self.focus += usize::from(pane.focus);
        self.zoomed += usize::from(pane.zoomed);
        if depth > DEPTH_MAX {
            let hint = "use a second tab";
            self.fault(at, &format!("panes are nested at most {DEPTH_MAX} deep"), Some(hint));
            return;
        }
        if let Some(title) = &pane.title {
            if depth > 1 && pane.split.is_some() {
                let hint = "write it at the tab, or at one of the panes";
                self.key_fault(&at.key("title"), "only a tab and a pane have a title", Some(hint));
            } else if !is_line(title, TITLE_BYTES_MAX) {
                self.fault(&at.key("title"), "a title is a line of at most 256 bytes", None);
            }
        }
        match (&pane.split, pane.panes.is_empty()) {
            (None, true) => self.leaf(at, pane),
            (None, false) => self.key_fault(
                &at.key("panes"),
                "nothing says how these panes lie",
                Some("write `split: right` or `split: down` beside them"),
            ),
            (Some(_), _) => self.split(at, pane, depth),
        }
        for (i, inner) in pane.panes.iter().enumerate() {
            self.pane(&at.key("panes").key(&i.to_string()), inner, depth + 1);
        }
    }

    fn split(&mut self, at: &At, pane: &Pane, depth: usize) {
        if pane.panes.len() < 2 {
            let hint = "name them in `panes`";
            self.key_fault(&at.key("split"), "a split has at least two panes", Some(hint));
        }
        let own = [
            ("process", pane.process.is_some()),
            ("agent", pane.agent.is_some()),
            ("command", pane.command.is_some()),
            ("cwd", pane.cwd.is_some()),
            ("zoomed", pane.zoomed),
            ("focus", pane.focus && depth > 1),
        ];
        for (key, _) in own.into_iter().filter(|(_, there)| *there) {
            self.key_fault(&at.key(key), "this belongs to one of the panes of the split", None);
        }
        let sizes: f64 = pane.panes.iter().filter_map(|p| p.size).map(|s| s.0).sum();
        let open = pane.panes.iter().any(|p| p.size.is_none());
        if sizes > 100.0 + SLACK {
            let hint = "all sizes of a split are at most 100% together";
            self.key_fault(
                &at.key("panes"),
                &format!("these panes take {}%", (sizes * 100.0).round() / 100.0),
                Some(hint),
            );
        } else if open && sizes > 100.0 - SLACK {
            let message = "nothing is left for the panes without a size";
            self.key_fault(&at.key("panes"), message, Some("make the others smaller"));
        }
    }

    fn leaf(&mut self, at: &At, pane: &Pane) {
        match &pane.process {
            Some(name) if !is_name(name) => self.fault(
                &at.key("process"),
                "this cannot be the name of a process",
                Some(&format!(
                    "letters, digits, `.`, `_` and `-`, at most {NAME_BYTES_MAX} of them, a letter or digit first"
                )),
            ),
            Some(name) if !self.names.insert(name.clone()) => {
                self.fault(&at.key("process"), &format!("`{name}` has a pane already"), None);
            }
            Some(_) => {}
            None if pane.agent.is_some() => self.key_fault(
                &at.key("agent"),
                "an agent is a process, and this one has no name",
                Some("write `process: NAME` beside it"),
            ),
            None => {}
        }
        if pane.agent.is_some() && pane.command.is_some() {
            self.key_fault(&at.key("command"), "it runs an agent or a command, not both", None);
        }
        if let Some(command) = &pane.command {
            if command.first().is_none_or(String::is_empty) {
                self.fault(&at.key("command"), "the command is empty", None);
            } else if let Some(why) = bad_command(command) {
                self.fault(&at.key("command"), why, None);
            }
        }
        if let Some(cwd) = &pane.cwd
            && let Some(why) = bad_path(cwd)
        {
            let hint = "write `~/…` for your own home directory, and other paths in full";
            self.fault(&at.key("cwd"), why, Some(hint));
        }
    }
}

fn is_line(text: &str, most: usize) -> bool {
    text.len() <= most && !text.chars().any(char::is_control)
}

fn bad_command(command: &[String]) -> Option<&'static str> {
    if command.iter().any(|word| word.contains('\0')) {
        return Some("an argument cannot hold a NUL character");
    }
    let bytes: usize = command.iter().map(String::len).sum();
    (bytes > COMMAND_BYTES_MAX).then_some("a command has at most 16 KiB")
}

fn bad_path(path: &Path) -> Option<&'static str> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.is_empty() || bytes.contains(&0) || bytes.len() > PATH_BYTES_MAX {
        return Some("this cannot be a path");
    }
    match path.components().next() {
        Some(Component::Normal(first)) if first != "~" && first.to_string_lossy().starts_with('~') => {
            Some("this is not expanded")
        }
        _ => None,
    }
}

/// Why what a GUI tells of its panes cannot be kept.
///
/// # Errors
/// In words.
pub fn left(windows: &[Window]) -> Result<(), String> {
    let mut panes = 0;
    for window in windows {
        if window.title.as_ref().is_some_and(|t| !is_line(t, TITLE_BYTES_MAX)) {
            return Err("the title of a window is a line of at most 256 bytes".into());
        }
        if window.tabs.is_empty() {
            return Err("a window has at least one tab".into());
        }
        for tab in &window.tabs {
            left_pane(tab, 1, &mut panes)?;
        }
    }
    Ok(())
}

fn left_pane(pane: &Pane, depth: usize, panes: &mut usize) -> Result<(), String> {
    *panes += 1;
    if *panes > LEFT_PANES_MAX {
        return Err(format!("a workspace has at most {LEFT_PANES_MAX} panes"));
    }
    if depth > DEPTH_MAX {
        return Err(format!("panes are nested at most {DEPTH_MAX} deep"));
    }
    if pane.split.is_some() == pane.panes.is_empty() {
        return Err("a split has panes, and what has panes is a split".into());
    }
    if pane.title.as_ref().is_some_and(|t| !is_line(t, TITLE_BYTES_MAX)) {
        return Err("the title of a tab is a line of at most 256 bytes".into());
    }
    if let Some(name) = pane.process.as_ref().filter(|name| !is_name(name)) {
        return Err(format!("`{name}` cannot be the name of a process"));
    }
    if let Some(why) = pane.command.as_ref().and_then(|c| bad_command(c)) {
        return Err(why.into());
    }
    if pane.cwd.as_ref().is_some_and(|cwd| !cwd.is_absolute() || bad_path(cwd).is_some()) {
        return Err("the directory of a pane is an absolute path".into());
    }
    pane.panes.iter().try_for_each(|inner| left_pane(inner, depth + 1, panes))
}
