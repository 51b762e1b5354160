//! What every actor has at hand.

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::HashMap,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
};

use actix::Addr;
use indexmap::IndexMap;
use wezterm_parallel_schemas::{
    event::{Event, EventKind},
    places::Places,
};

use wezterm_parallel_store::PromptRow;

use crate::{
    actors::{
        gate::GateActor, gui::GuiActor, inbox::InboxActor, lease::LeaseActor, limit::LimitActor, on::OnActor,
        process::ProcessActor, registry::RegistryActor, task::TasksActor,
    },
    board::Board,
    clock::Clock,
    guard::OnPanic,
    layouts::Layouts,
    sessions::Sessions,
};

/// What every actor has at hand. One per daemon, on its one thread.
pub struct Shared {
    /// Where things lie.
    pub places: Places,
    /// The user's home.
    pub home: PathBuf,
    /// This executable, which is also the keeper's.
    pub executable: PathBuf,
    /// Id of the machine's boot.
    pub boot_id: String,
    /// Time.
    pub clock: Clock,
    /// Views and events.
    pub board: Rc<Board>,
    /// The queue of starts.
    pub gate: Addr<GateActor>,
    /// Sessions that are open in processes.
    pub sessions: Sessions,
    /// Living Claudes.
    pub registry: Addr<RegistryActor>,
    /// The accounts and their limits.
    pub limits: Addr<LimitActor>,
    /// The environment for processes whose workspace no client has opened.
    pub environment: RefCell<Arc<IndexMap<String, String>>>,
    /// When the daemon before this one last had something to say, in milliseconds since 1970.
    pub last_word: i64,
    /// The daemon is ending, and ends the runs: what is meant to run stays meant to.
    pub ending: Cell<bool>,
    /// The actors of all processes, by id: for what comes from outside and names one.
    pub agents: Rc<Agents>,
    /// Prompts that were not over when the daemon before this one ended, by process: taken by its actor.
    pub prompts: RefCell<HashMap<String, Vec<PromptRow>>>,
    /// Templates for panes, and how they were last left.
    pub layouts: Layouts,
    /// What agents ask.
    pub inbox: Addr<InboxActor>,
    /// GUIs.
    pub gui: Addr<GuiActor>,
    /// What is leased.
    pub leases: Addr<LeaseActor>,
    /// Hooks of the user's.
    pub on: Addr<OnActor>,
    /// The tasks; set when they begin, right after this.
    pub tasks: OnceCell<Addr<TasksActor>>,
    /// Runs of tasks that live, by the tasks' ids.
    pub task_homes: RefCell<HashMap<String, TaskHome>>,
}

/// Where a task lives, for what comes from inside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskHome {
    /// The task.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its run.
    pub run_id: String,
    /// Its workspace.
    pub workspace: Option<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// It is a command of the user's, not an agent.
    pub command: bool,
    /// How many tasks stand above it that have added one another.
    pub depth: u32,
    /// Id of the process or task at which it began that agents added tasks.
    pub root: Option<String>,
    /// Options that it has from the agent that has added it.
    pub inherited: Vec<String>,
    /// The agent that is asked.
    pub agent: Option<String>,
    /// Its program.
    pub pid: Option<i32>,
    /// The keeper of its run.
    pub keeper_pid: Option<i32>,
}

/// Actors of processes, by the processes' ids.
pub type Agents = RefCell<HashMap<String, Addr<ProcessActor>>>;

impl Shared {
    /// What is done when an actor panics: it stands in the log with its path, and as an event.
    pub fn on_panic(self: &Rc<Self>) -> OnPanic {
        panic_report(self.board.clone())
    }
}

/// Logs a panic with the actor's path, and publishes it.
pub fn panic_report(board: Rc<Board>) -> OnPanic {
    Rc::new(move |path, what, goes_on| {
        tracing::error!(actor = path, goes_on, "actor panicked: {what}");
        let mut event = Event::new(EventKind::DaemonPanic);
        let then = if goes_on { "it goes on from its last saved state" } else { "it is given up" };
        event.message = Some(format!("{path} panicked: {what}; {then}"));
        board.commit(Vec::new(), vec![event], None);
    })
}
