//! Programs with windows (a WezTerm GUI with the plugin in it): what they hear, and what they are asked to
//! do there.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{limit::AccountView, process::ProcessView, task::TaskCounts, workspace::WorkspaceView};

/// Parameters of `gui.wait`: the one call that a GUI has open all the time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GuiWait {
    /// A name that this GUI process made up for itself when it began, and that no other one has.
    pub gui: String,
    /// Its process id.
    pub pid: i32,
    /// Its socket, which `wezterm cli` speaks to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Directory of its executables: `wezterm` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executables: Option<PathBuf>,
    /// Version of WezTerm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When one of its windows last got the focus, in milliseconds since 1970; 0 if none ever had it.
    pub focused_at: i64,
    /// The workspace that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The `seq` of the news that it had last. Without it the answer comes at once and has everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The daemon that it had them from, by `daemon` in its answers. Another one answers with everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daemon: Option<String>,
    /// Which loop of the GUI waits: a later one takes the place of an earlier one.
    pub turn: u64,
    /// What it was asked to do and has done, or could not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<IntentDone>,
    /// When this GUI process first heard from a daemon, in milliseconds since 1970; none until it has. It tells
    /// so with each call, so that a daemon that comes later knows it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<i64>,
}

/// The answer to `gui.wait`: what is new.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GuiNews {
    /// Number of the newest change that these news hold: `after` of the next call.
    pub seq: u64,
    /// Names this life of the daemon.
    pub daemon: String,
    /// `processes` and `workspaces` are all there are; else only those that changed.
    pub whole: bool,
    /// Processes that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessView>,
    /// Workspaces that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workspaces: Vec<WorkspaceView>,
    /// Ids of processes and workspaces that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// All accounts, if any of them changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<AccountView>>,
    /// How many tasks are in each state, if that changed; left out of whole news where there are none. Counted
    /// are all that are not over, and of those that are over the ones of the same batch: a batch begins when a
    /// task comes to a queue that had come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TaskCounts>,
    /// What is wrong with the config file or the store, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What the GUI is asked to do. Each comes again until it is in `done`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<Intent>,
    /// Another loop of the same GUI waits now; this one ends.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
}

/// Something that only a GUI can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// Its id (a ULID). It is carried out once, however often it comes.
    pub id: String,
    /// What is to be done.
    pub kind: IntentKind,
    /// When it was asked for, in milliseconds since 1970.
    pub at: i64,
    /// After this it is not worth doing any more, in milliseconds since 1970.
    pub expires_at: i64,
    /// The workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The process, by its name in the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// What it is about, in a few words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The rest of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Of a toast: what it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<ToastAbout>,
}

impl Intent {
    /// One that names nothing yet: a workspace, a process or words are added where it is made.
    pub fn new(id: String, kind: IntentKind, at: i64, expires_at: i64) -> Self {
        Self {
            id,
            kind,
            at,
            expires_at,
            workspace: None,
            process: None,
            title: None,
            text: None,
            about: None,
        }
    }
}

/// What a GUI can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntentKind {
    /// Show a workspace, with its panes.
    ShowWorkspace,
    /// Show a process: the pane that it is attached in, or a new one.
    ShowProcess,
    /// Show the dashboard.
    ShowDashboard,
    /// Tell the user something that happened.
    Toast,
    /// A kind of a newer release.
    #[serde(other)]
    Unknown,
}

/// What a toast tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToastAbout {
    /// An agent waits for its user.
    Blocked,
    /// A process failed and is not started again.
    Failed,
    /// A process failed too often.
    CrashLoop,
    /// A long turn has ended.
    Finished,
    /// An account has reached its usage limit, or the limit has passed.
    Limit,
    /// The config file cannot be used as it is.
    Config,
    /// A task has failed.
    TaskFailed,
    /// The last task of a group is over.
    TasksDone,
    /// Several of the above, told together.
    Several,
    /// A kind of a newer release.
    #[serde(other)]
    Unknown,
}

/// A GUI has done what it was asked to, or could not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IntentDone {
    /// Id of the intent.
    pub id: String,
    /// Why it could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Parameters of `gui.focus`: told when the focus or the shown workspace changes, or something that was asked
/// for is done while `gui.wait` is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GuiFocus {
    /// The GUI, by the name that it gave itself.
    pub gui: String,
    /// When one of its windows last got the focus, in milliseconds since 1970.
    pub focused_at: i64,
    /// The workspace that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// What it was asked to do and has done, or could not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<IntentDone>,
}

/// A GUI as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuiView {
    /// The name that it gave itself.
    pub gui: String,
    /// Its process id.
    pub pid: i32,
    /// Its socket, which `wezterm cli` speaks to.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// Version of WezTerm.
    #[serde(default)]
    pub version: Option<String>,
    /// When one of its windows last got the focus, in milliseconds since 1970.
    pub focused_at: i64,
    /// The workspace that it shows.
    #[serde(default)]
    pub workspace: Option<String>,
    /// Intents that it has not yet said to be done.
    pub intents: u32,
    /// How many calls `gui.wait` of it are open now: one, but for a moment between two.
    pub waiting: u32,
    /// When this GUI process first heard from a daemon, of this or an earlier life, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<i64>,
}

/// Parameters of `gui.show`: what is to be shown. A workspace, a process of it, or the dashboard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GuiShow {
    /// The workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The dashboard.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dashboard: bool,
    /// The GUI; the one that had the focus last if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gui: Option<String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
