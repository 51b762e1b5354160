//! What the dashboard wants done outside of it, and what comes back.

use std::collections::HashMap;

use indexmap::IndexMap;
use wezterm_parallel_schemas::{
    daemon::StatusView,
    error::Error,
    event::{Event, Snapshot},
    inbox::AskView,
    limit::AccountView,
    process::ProcessView,
    prompt::PromptView,
    task::{GroupView, TaskDetail, TaskView},
};

use super::{input::Input, load::Load};

/// Something that has happened.
#[derive(Debug)]
pub enum Msg {
    /// Time has passed: milliseconds since 1970.
    Now(i64),
    /// The terminal has another size: columns, rows.
    Resize(u16, u16),
    /// A key, the mouse, the focus.
    Input(Input),
    /// The daemon is there: how things stand.
    Linked(Box<Snapshot>),
    /// It is not there, and why.
    Gone(String),
    /// It is there and cannot be talked to; what to do.
    Refused(String, String),
    /// Something happened in the daemon.
    Event(Box<Event>),
    /// What was asked for.
    Fetched(Fetch, Result<Fetched, Error>),
    /// What was to be done is done, with what came of it in words, or was refused.
    Done(Deed, Result<String, Error>),
    /// WezTerm shows it now, or could not.
    Shown(Which, Result<(), Error>),
    /// What runs use.
    Loads(HashMap<String, Load>),
    /// Last words of a process.
    Log(String, Vec<String>),
    /// Something went wrong outside of the daemon.
    Failed(String),
}

/// Something that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Of the daemon, to know.
    Fetch(Fetch),
    /// Of the daemon, to do.
    Do(Deed),
    /// Of WezTerm, by the daemon: to show it.
    Show(Which),
    /// To attach to a process in this terminal.
    Attach { which: Which, read_only: bool },
    /// Last words of a process that does not run.
    Log(Which),
    /// To run another command of this program in this terminal.
    Run(Verb, Job),
    /// To be halted, as by Ctrl-Z in a shell.
    Suspend,
    /// To end.
    Quit,
}

/// A process or a workspace, and how it is named to a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Which {
    /// Its workspace.
    pub workspace: String,
    /// The process in it; none for the workspace itself.
    pub process: Option<String>,
    /// Its id.
    pub id: String,
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.workspace)?;
        self.process.iter().try_for_each(|process| write!(f, "/{process}"))
    }
}

impl From<&ProcessView> for Which {
    fn from(p: &ProcessView) -> Self {
        Self { workspace: p.workspace.clone(), process: Some(p.name.clone()), id: p.id.clone() }
    }
}

/// A task, and how it is named to a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// A command `task VERB TASK` of this program that needs the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Follows it.
    Attach,
    /// What it has written.
    Logs,
    /// Goes on with its session, as a process.
    Open,
}

impl Verb {
    /// As it stands on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Logs => "logs",
            Self::Open => "open",
        }
    }
}

/// Something to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fetch {
    /// All workspaces and processes, and the daemon.
    All,
    /// One process, by its id.
    Process(String),
    /// Open requests.
    Asks,
    /// One request, whole.
    Ask(String),
    /// All accounts.
    Accounts,
    /// Prompts that wait, of one process.
    Prompts(String),
    /// All tasks that are not over, and the newest that are.
    Tasks,
    /// One task, whole, by its id.
    Task(String),
    /// All groups of tasks.
    Groups,
}

/// What is known now.
#[derive(Debug)]
pub enum Fetched {
    All(Box<StatusView>),
    Process(Box<ProcessView>),
    Asks(Vec<AskView>),
    Ask(Box<AskView>),
    Accounts(Vec<AccountView>),
    Prompts(Vec<PromptView>),
    Tasks(Vec<TaskView>),
    Task(Box<TaskDetail>),
    Groups(Vec<GroupView>),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    Start(Which),
    Stop(Which),
    Restart(Which),
    Open(Which),
    Close(Which),
    /// The request, and who asks.
    Allow(String, String),
    /// The same, and what the agent is told.
    Deny(String, String, Option<String>),
    /// The same, with an answer to each question.
    Answer(String, String, IndexMap<String, String>),
    Send(Which, String),
    Reload,
    Cancel(Job),
    Pause(Job),
    Resume(Job),
    Retry(Job),
    /// A group, by its name.
    PauseGroup(String),
    ResumeGroup(String),
}

impl Deed {
    /// What is being done, as it reads after "failed to".
    pub fn what(&self) -> String {
        match self {
            Self::Start(which) => format!("start {which}"),
            Self::Stop(which) => format!("stop {which}"),
            Self::Restart(which) => format!("restart {which}"),
            Self::Open(which) => format!("open {which}"),
            Self::Close(which) => format!("close {which}"),
            Self::Allow(_, who) => format!("allow the request of {who}"),
            Self::Deny(_, who, _) => format!("deny the request of {who}"),
            Self::Answer(_, who, _) => format!("answer {who}"),
            Self::Send(which, _) => format!("send the prompt to {which}"),
            Self::Reload => "reload the config".into(),
            Self::Cancel(job) => format!("cancel {job}"),
            Self::Pause(job) => format!("pause {job}"),
            Self::Resume(job) => format!("resume {job}"),
            Self::Retry(job) => format!("retry {job}"),
            Self::PauseGroup(group) => format!("pause the group {group}"),
            Self::ResumeGroup(group) => format!("resume the group {group}"),
        }
    }
}
