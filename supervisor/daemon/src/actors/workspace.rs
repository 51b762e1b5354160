//! One workspace.
//!
//! Owns: its definition, the actors of its processes, the machine that says who may start when.
//! Receives: definitions and orders of the supervisor, reports of its processes.
//! Sends: permissions and orders to its processes, its row and events to the board.
//! Dies when: it is deleted, or the daemon ends. After a panic the processes go on as they are, and
//! say anew how they stand.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use actix::{Actor, ActorContext as _, Addr, AsyncContext as _, Context, Handler, Message, Supervised};
use indexmap::IndexMap;
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    plan,
    process::{Input as ProcessInput, Report},
    spec::{ProcessSpec, WorkspaceSpec},
    workspace::{Effect, Input, Member as CoreMember, Workspace},
};
use wezterm_parallel_schemas::{
    config::Resume,
    event::{Event, EventKind},
    process::State,
    workspace::WorkspaceView,
};
use wezterm_parallel_store::{Change, ProcessRow, RunRow, RunState, WorkspaceRow};

use super::process::{Begin, Define, Made, Moved, ProcessActor, Retire, Tell};
use super::supervisor::all_told;
use crate::{guard, shared::Shared};

/// See the module.
pub struct WorkspaceActor {
    shared: Rc<Shared>,
    row: WorkspaceRow,
    machine: Workspace,
    /// In start order.
    members: IndexMap<String, Member>,
    /// Taken out, and still ending, by process id.
    leaving: HashMap<String, Leaving>,
    environment: Option<Arc<IndexMap<String, String>>>,
    /// What was in the store when the daemon started; taken at the first start of the actor.
    stored: Vec<(ProcessRow, Vec<RunRow>)>,
    resume: Resume,
    problem: Option<String>,
    closing: Vec<oneshot::Sender<()>>,
    deleting: Option<oneshot::Sender<()>>,
}

struct Member {
    id: String,
    address: Addr<ProcessActor>,
    spec: ProcessSpec,
}

struct Leaving {
    name: String,
    /// Comes to be when the old one of this name is gone.
    next: Option<ProcessSpec>,
    told: Vec<oneshot::Sender<()>>,
}

impl WorkspaceActor {
    /// Starts the actor of a workspace, with what the store has of its processes.
    pub fn start(
        shared: Rc<Shared>,
        row: WorkspaceRow,
        stored: Vec<(ProcessRow, Vec<RunRow>)>,
        resume: Resume,
        environment: Option<Arc<IndexMap<String, String>>>,
    ) -> Addr<Self> {
        let path = format!("workspace/{}", row.name);
        let on_panic = shared.on_panic();
        let actor = Self {
            shared,
            row,
            machine: Workspace::default(),
            members: IndexMap::new(),
            leaving: HashMap::new(),
            environment,
            stored,
            resume,
            problem: None,
            closing: Vec::new(),
            deleting: None,
        };
        guard::start(path, actor, on_panic)
    }

    fn step(&mut self, input: Input) {
        let effects = self.machine.step(input, self.shared.clock.millis());
        self.run(effects);
    }

    fn run(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let (name, input) = match effect {
                Effect::Start(name) => (name, ProcessInput::Start),
                Effect::Stop(name) => (name, ProcessInput::Stop { now: false }),
                Effect::Restart(name) => (name, ProcessInput::Bounce),
                Effect::Clear(name) => (name, ProcessInput::Cleared),
                Effect::HoldBack(name, why) => (name, ProcessInput::HeldBack(why)),
                Effect::Closed => {
                    for told in self.closing.drain(..) {
                        let _ = told.send(());
                    }
                    continue;
                }
            };
            if let Some(member) = self.members.get(&name) {
                member.address.do_send(Tell(input));
            }
        }
    }

    /// Tells the machine who the members are.
    fn set_members(&mut self) {
        self.machine.rules(self.row.spec.strategy, self.row.spec.on_crash_loop);
        let members: Vec<_> = self
            .members
            .iter()
            .map(|(name, m)| {
                (name.clone(), CoreMember { after: m.spec.after.clone(), autostart: m.spec.autostart })
            })
            .collect();
        let effects = self.machine.members(members);
        self.run(effects);
    }

    fn publish(&self) {
        let view = WorkspaceView {
            name: self.row.name.clone(),
            id: self.row.id.clone(),
            cwd: self.row.spec.cwd.clone(),
            open: self.row.open,
            source: self.row.source,
            strategy: self.row.spec.strategy,
            on_crash_loop: self.row.spec.on_crash_loop,
            layout: self.row.spec.layout.clone(),
            // counted by the board
            processes: 0,
            running: 0,
            problem: self.problem.clone(),
        };
        self.shared.board.put_workspace(self.row.position, view);
    }

    fn event(&self, kind: EventKind) -> Event {
        Event { workspace: Some(self.row.name.clone()), id: Some(self.row.id.clone()), ..Event::new(kind) }
    }

    /// Saves the row, and says that it changed.
    fn save(&self) {
        self.shared.board.commit(
            vec![Change::PutWorkspace(self.row.clone())],
            vec![self.event(EventKind::WorkspaceChanged)],
            None,
        );
        self.publish();
    }

    /// Makes the actor of a process that the store knows.
    fn take_in(&mut self, row: ProcessRow, runs: Vec<RunRow>, begin: Begin, ctx: &mut Context<Self>) {
        let (name, id, spec) = (row.name.clone(), row.id.clone(), row.spec.clone());
        let address = ProcessActor::start(Made {
            shared: self.shared.clone(),
            workspace: ctx.address(),
            workspace_name: self.row.name.clone(),
            row,
            runs,
            environment: self.environment.clone(),
            begin,
        });
        self.members.insert(name, Member { id, address, spec });
    }

    /// Makes a process that is new.
    fn make(&mut self, name: &str, spec: ProcessSpec, position: u32, ctx: &mut Context<Self>) {
        let begin = if self.row.open && spec.autostart { Begin::Start } else { Begin::Rest };
        let row = ProcessRow {
            id: ulid::Ulid::generate().to_string(),
            workspace_id: self.row.id.clone(),
            name: name.to_owned(),
            source: spec.source,
            wanted: begin == Begin::Start,
            session_id: None,
            session_started: false,
            restarts: 0,
            state: State::Stopped,
            state_reason: None,
            unread: false,
            position,
            spec,
        };
        let event = Event {
            workspace: Some(self.row.name.clone()),
            process: Some(name.to_owned()),
            id: Some(row.id.clone()),
            ..Event::new(EventKind::ProcessAdded)
        };
        self.shared.board.commit(vec![Change::PutProcess(row.clone())], vec![event], None);
        self.take_in(row, Vec::new(), begin, ctx);
    }

    /// Takes a process out: it ends, and is then forgotten.
    fn take_out(&mut self, name: &str, told: Option<oneshot::Sender<()>>) {
        let Some(member) = self.members.shift_remove(name) else { return };
        member.address.do_send(Retire);
        let leaving = Leaving { name: name.to_owned(), next: None, told: told.into_iter().collect() };
        self.leaving.insert(member.id, leaving);
    }

    /// Brings its members to a new definition.
    fn define(&mut self, spec: WorkspaceSpec, ctx: &mut Context<Self>) -> Vec<oneshot::Receiver<()>> {
        let mut waits = Vec::new();
        let gone: Vec<String> =
            self.members.keys().filter(|name| !spec.processes.contains_key(*name)).cloned().collect();
        // the last one started is the first one to end
        for name in gone.iter().rev() {
            let (tell, wait) = oneshot::channel();
            self.take_out(name, Some(tell));
            waits.push(wait);
        }
        for (position, (name, process)) in (0u32..).zip(&spec.processes) {
            if let Some(member) = self.members.get_mut(name) {
                let restart = plan::needs_restart(&member.spec, process);
                if member.spec != *process {
                    member.spec = process.clone();
                    member.address.do_send(Define {
                        spec: process.clone(),
                        source: process.source,
                        position,
                        restart,
                    });
                }
            } else if let Some(leaving) = self.leaving.values_mut().find(|l| l.name == *name) {
                leaving.next = Some(process.clone());
            } else {
                self.make(name, process.clone(), position, ctx);
            }
        }
        let order = |name: &String| spec.processes.get_index_of(name).unwrap_or(usize::MAX);
        self.members.sort_by(|a, _, b, _| order(a).cmp(&order(b)));
        self.row.spec = WorkspaceSpec { processes: IndexMap::new(), ..spec };
        self.set_members();
        waits
    }

    fn gone(&mut self, id: &str, ctx: &mut Context<Self>) {
        let Some(leaving) = self.leaving.remove(id) else { return };
        for told in leaving.told {
            let _ = told.send(());
        }
        if let Some(spec) = leaving.next {
            let position = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
            self.make(&leaving.name, spec, position, ctx);
            self.set_members();
        }
        self.maybe_delete(ctx);
    }

    fn maybe_delete(&mut self, ctx: &mut Context<Self>) {
        if self.members.is_empty()
            && self.leaving.is_empty()
            && let Some(told) = self.deleting.take()
        {
            self.shared.board.drop_workspace(&self.row.id);
            self.shared.layouts.forget(&self.row.id);
            let event = self.event(EventKind::WorkspaceRemoved);
            let then: Box<dyn FnOnce(Result<(), wezterm_parallel_schemas::error::Error>)> =
                Box::new(move |_| {
                    let _ = told.send(());
                });
            self.shared.board.commit(
                vec![Change::DeleteWorkspace(self.row.id.clone())],
                vec![event],
                Some(then),
            );
            ctx.stop();
        }
    }
}

impl Actor for WorkspaceActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.publish();
        let resume = self.resume;
        let (mut done, mut unknown) = (Vec::new(), Vec::new());
        for (row, runs) in std::mem::take(&mut self.stored) {
            // after a reboot the config says what starts again; after a mere restart of the daemon, what
            // was meant to run is meant to run
            let boot = runs.last().and_then(|r| r.boot_id.as_ref());
            let rebooted = boot.is_some_and(|b| *b != self.shared.boot_id);
            let start = match resume {
                Resume::Open => row.wanted,
                _ if !rebooted => row.wanted,
                Resume::All => row.wanted || (row.spec.autostart && self.row.open),
                Resume::Lazy => false,
            };
            if runs.iter().any(|r| r.state != RunState::Ended) {
                unknown.push(row.name.clone());
            } else if row.state == State::Exited {
                done.push(row.name.clone());
            }
            let begin = if start { Begin::Start } else { Begin::Rest };
            self.take_in(row, runs, begin, ctx);
        }
        self.set_members();
        for name in done {
            self.machine.adopt_done(&name);
        }
        for name in unknown {
            self.machine.adopt_unknown(&name);
        }
    }
}

impl Supervised for WorkspaceActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.machine = Workspace::default();
        self.closing.clear();
        // every member says again how it stands, and asks again for what it waits for
        self.set_members();
        for member in self.members.values() {
            member.address.do_send(super::process::Recount);
        }
    }
}

/// What a process tells its workspace.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FromProcess {
    /// The process's id.
    pub process: String,
    /// What.
    pub news: News,
}

/// What a process tells its workspace.
pub enum News {
    /// It asks whether it may start.
    Asks,
    /// It was found alive.
    Adopted,
    /// Something happened to it.
    Told(Report),
    /// It is retired: nothing of it is left.
    Gone,
    /// Its actor was given up after too many panics.
    Lost,
}

impl Handler<FromProcess> for WorkspaceActor {
    type Result = ();
    fn handle(&mut self, m: FromProcess, ctx: &mut Context<Self>) {
        if matches!(m.news, News::Gone | News::Lost) && self.leaving.contains_key(&m.process) {
            return self.gone(&m.process, ctx);
        }
        let Some(name) = self.members.iter().find(|(_, p)| p.id == m.process).map(|(n, _)| n.clone()) else {
            return;
        };
        match m.news {
            News::Asks => self.step(Input::Asks(name)),
            News::Told(report) => self.step(Input::Told(name, report)),
            News::Adopted => self.machine.adopt(&name),
            News::Lost => self.step(Input::Told(name, Report::Rested { success: false })),
            News::Gone => {}
        }
    }
}

/// Be like this from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct DefineWorkspace {
    /// The definition, its processes with it.
    pub spec: WorkspaceSpec,
    /// Its place among the workspaces.
    pub position: u32,
    /// What is wrong with it, in words.
    pub problem: Option<String>,
    /// Hears when what had to go is gone.
    pub told: oneshot::Sender<()>,
}

impl Handler<DefineWorkspace> for WorkspaceActor {
    type Result = ();
    fn handle(&mut self, m: DefineWorkspace, ctx: &mut Context<Self>) {
        let before = (self.row.clone(), self.problem.clone());
        self.row.source = m.spec.source;
        self.row.position = m.position;
        self.problem = m.problem;
        // the row first: its processes refer to it
        let spec = m.spec;
        let own = WorkspaceSpec { processes: IndexMap::new(), ..spec.clone() };
        self.row.spec = own;
        if (&self.row, &self.problem) != (&before.0, &before.1) {
            self.save();
        }
        let waits = self.define(spec, ctx);
        actix_rt::spawn(async move {
            all_told(waits).await;
            let _ = m.told.send(());
        });
    }
}

/// Open: what has `autostart` starts.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Open {
    /// Environment of whoever opens it.
    pub environment: Option<Arc<IndexMap<String, String>>>,
}

impl Handler<Open> for WorkspaceActor {
    type Result = ();
    fn handle(&mut self, m: Open, _: &mut Context<Self>) {
        if let Some(environment) = m.environment {
            self.environment = Some(environment.clone());
            for member in self.members.values() {
                let moved =
                    Moved { workspace: self.row.name.clone(), environment: Some(environment.clone()) };
                member.address.do_send(moved);
            }
        }
        if !self.row.open {
            self.row.open = true;
            self.save();
        }
        // who waits for its end learns that it is open again
        self.closing.clear();
        self.step(Input::Open);
    }
}

/// Close: everything ends, in reverse start order. `told` hears when it has.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Close {
    /// Who wants to know.
    pub told: oneshot::Sender<()>,
    /// Only end what runs: the workspace counts as open. For the end of the daemon.
    pub stay_open: bool,
}

impl Handler<Close> for WorkspaceActor {
    type Result = ();
    fn handle(&mut self, m: Close, _: &mut Context<Self>) {
        if self.row.open && !m.stay_open {
            self.row.open = false;
            self.save();
        }
        self.closing.push(m.told);
        self.step(Input::Close);
    }
}

/// Delete: everything ends and is forgotten. `told` hears when it is.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Delete {
    /// Who wants to know.
    pub told: oneshot::Sender<()>,
}

impl Handler<Delete> for WorkspaceActor {
    type Result = ();
    fn handle(&mut self, m: Delete, ctx: &mut Context<Self>) {
        self.deleting = Some(m.told);
        for leaving in self.leaving.values_mut() {
            leaving.next = None;
        }
        let names: Vec<String> = self.members.keys().rev().cloned().collect();
        for name in names {
            self.take_out(&name, None);
        }
        self.maybe_delete(ctx);
    }
}

/// Take another name.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Rename(pub String);

impl Handler<Rename> for WorkspaceActor {
    type Result = ();
    fn handle(&mut self, m: Rename, _: &mut Context<Self>) {
        self.row.name = m.0;
        self.save();
        for member in self.members.values() {
            member.address.do_send(Moved { workspace: self.row.name.clone(), environment: None });
        }
    }
}

/// The address of a process.
#[derive(Message)]
#[rtype(result = "Option<Addr<ProcessActor>>")]
pub struct Find(
    /// The process's id.
    pub String,
);

impl Handler<Find> for WorkspaceActor {
    type Result = actix::MessageResult<Find>;
    fn handle(&mut self, m: Find, _: &mut Context<Self>) -> Self::Result {
        actix::MessageResult(self.members.values().find(|p| p.id == m.0).map(|p| p.address.clone()))
    }
}

/// One of its processes was asked for by a client with this environment.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Lend {
    /// The process's name.
    pub process: String,
    /// The environment.
    pub environment: Arc<IndexMap<String, String>>,
}

impl Handler<Lend> for WorkspaceActor {
    type Result = ();
    fn handle(&mut self, m: Lend, _: &mut Context<Self>) {
        if let Some(member) = self.members.get(&m.process) {
            let moved = Moved { workspace: self.row.name.clone(), environment: Some(m.environment) };
            member.address.do_send(moved);
        }
    }
}

/// The actor of a process, by its name.
#[derive(Message)]
#[rtype(result = "Option<Addr<ProcessActor>>")]
pub struct FindByName(
    /// The process's name.
    pub String,
);

impl Handler<FindByName> for WorkspaceActor {
    type Result = actix::MessageResult<FindByName>;
    fn handle(&mut self, m: FindByName, _: &mut Context<Self>) -> Self::Result {
        actix::MessageResult(self.members.get(&m.0).map(|p| p.address.clone()))
    }
}
