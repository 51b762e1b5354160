//! How the panes of a workspace lie: templates, and what was last left.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{units::Percent, workspace::WorkspaceView};

/// A template for the panes of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Layout {
    /// What it is for, in a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The tabs, from left to right. Each is a pane, or a split with panes in it.
    pub tabs: Vec<Pane>,
}

/// A pane, or a split with panes in it. With nothing but a `title`, it is a shell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pane {
    /// Title of the tab, for what is directly below `tabs`; of a pane in a split, its name, by which the tab
    /// goes while that pane has the focus and the tab has no title of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Shows this process of the workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// With `process`: the agent that it runs, if the workspace has no process of that name yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// With `process`: the command that it runs, if the workspace has no process of that name yet. Alone:
    /// a command that lives and dies with the pane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Where its shell or command runs, relative to the workspace's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// How the panes in it lie: beside one another (`right`), or one below the other (`down`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// The panes of a split.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub panes: Vec<Pane>,
    /// Its part of the split that it is in: `60%`. What is left is shared evenly by those without a size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Percent>,
    /// It has the focus in its tab; of a tab, or of a pane in it: that tab is in front.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub focus: bool,
    /// It fills its tab.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub zoomed: bool,
}

/// How the panes of a split lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Beside one another, from left to right.
    Right,
    /// One below the other, from top to bottom.
    Down,
}

/// Where a template comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LayoutSource {
    /// It comes with the program.
    Shipped,
    /// The config file.
    Config,
    /// Saved from a workspace, in a file beside the config.
    Saved,
}

/// A template as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LayoutView {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub source: LayoutSource,
    /// Its file, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The template.
    pub layout: Layout,
    /// Why it cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Names one template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LayoutTarget {
    /// Its name.
    pub name: String,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `layout.save`: writes a template into a file of its own beside the config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LayoutSave {
    /// Its name.
    pub name: String,
    /// The template. Without it, the panes of `workspace` as they were last left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// The workspace whose panes are saved. Its agents are kept by name, so that the template makes them
    /// in another workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Replace one that was saved under this name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// One window with the panes of a workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Window {
    /// Its title, if it was given one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its tabs, from left to right.
    pub tabs: Vec<Pane>,
}

/// Parameters of `layout.keep`: how the panes of a workspace lie now. Told by a GUI when they have changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LayoutKeep {
    /// The GUI, by the name that it gave itself.
    pub gui: String,
    /// The workspace.
    pub workspace: String,
    /// Its windows. Without any, what was told before stays: closing the last pane forgets nothing.
    pub windows: Vec<Window>,
    /// The GUI shows this workspace, and no other one.
    pub shown: bool,
}

/// Parameters of `layout.plan`: which panes a workspace is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LayoutPlan {
    /// The workspace.
    pub workspace: String,
    /// The template; without it the panes as they were last left, else the workspace's own template, else
    /// its processes side by side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Make the processes that the template names with an agent or a command, and that are not there yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub create: bool,
    /// Environment of the caller, for those processes to run in. Never shown, never logged.
    #[serde(skip_serializing_if = "indexmap::IndexMap::is_empty")]
    pub environment: indexmap::IndexMap<String, String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Which panes a workspace is to have, ready to be built: each `process` is one that is there, and in one
/// pane; directories are absolute; the sizes of a split are 100 % together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Arrangement {
    /// The workspace.
    pub workspace: WorkspaceView,
    /// Where it comes from.
    pub from: ArrangementFrom,
    /// Its windows.
    pub windows: Vec<Window>,
    /// It was on the glass when the GUI that had it ended.
    #[serde(default)]
    pub shown: bool,
    /// When it was last told, in milliseconds since 1970; none if it comes from a template.
    #[serde(default)]
    pub at: Option<i64>,
    /// Processes that it names and that the workspace does not have: they have no pane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What else is not as it was meant to be, in words: a template that cannot be read, a process that could
    /// not be made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Directories of panes that are not there. Such a pane begins in that of the workspace, or in the home
    /// directory if that is among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<PathBuf>,
}

/// Where an arrangement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArrangementFrom {
    /// As it was last left.
    Left,
    /// A template.
    Template,
    /// Neither: the processes of the workspace, side by side.
    Processes,
}

/// Parameters of `project.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProjectList {
    /// At most so many; 500 by default and at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A directory that a workspace could be made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectView {
    /// The directory.
    pub path: PathBuf,
    /// The workspace that it has, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// How it is known.
    pub from: ProjectFrom,
    /// When it was last used, in milliseconds since 1970, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<i64>,
}

/// How a directory is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProjectFrom {
    /// A workspace is or was there.
    Workspace,
    /// Claude has sessions there.
    Session,
    /// It lies directly below one of `project_roots`.
    Root,
    /// zoxide knows it.
    Zoxide,
}
