//! One process.
//!
//! Owns: the state machine of a process, the connection to its keeper, its rows in the store.
//! Receives: orders (from the router), what others of the workspace allow it, what its keeper says.
//! Sends: reports to its workspace, requests to the gate, changes and events to the board.
//! Dies when: it is retired, or the daemon ends. After a panic it goes on from its row, and finds its
//! run again as it would after a restart of the daemon.

mod hooks;
mod limit;
mod mark;
mod prompts;
pub mod registry;
mod session;
mod status;

use std::{path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message,
    SpawnHandle, Supervised, WrapFuture as _,
};
use indexmap::IndexMap;
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    gate::{Hold, Ticket},
    process::{Effect, Goal, Input, Process, Report, Run},
    spec::ProcessSpec,
    status::{Claim, Word},
};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::{
    config::{OnLimit, Screen, StatusFrom},
    error::{Code, Error},
    event::{Event, EventKind},
    keeper::{ExitRecord, Mode, Progress, RunSpec, Size, StartFailure, StartReport},
    process::{Blocked, Kind, ProcessView, Source, State, Status},
};
use wezterm_parallel_store::{Change, ProcessRow, RunRow, RunState};

pub use limit::{Continue, StatusLined, Used};
pub use mark::Announce;
pub use status::Explain;

use self::session::Refused;
use super::{
    gate,
    workspace::{FromProcess, News, WorkspaceActor},
};
use crate::{
    effects::{
        claude,
        keeper::{self, Found, Link, Said},
        mcp, probe, scope, settings,
        stream::Stream,
    },
    guard,
    shared::Shared,
};

pub use hooks::{Asks, Hooked};
pub use prompts::{CancelPrompt, SendPrompt, WaitForPrompt, new_prompt};

/// Ended runs of a process whose logs are kept.
const RUNS_KEPT_MAX: usize = 3;
/// Some programs draw a clock into their title: told of it at most this often, a person sees it move.
const TITLE_EVENT_MS: u64 = 1_000;
/// Size of a terminal before anybody has attached: what most full-screen programs are made for.
const SIZE_DEFAULT: Size = Size { cols: 120, rows: 40 };

/// What is done with a process that has no living run when its actor starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is started.
    Start,
    /// It is left at rest.
    Rest,
}

/// What a process actor is made of.
pub struct Made {
    /// What every actor has.
    pub shared: Rc<Shared>,
    /// Its workspace.
    pub workspace: Addr<WorkspaceActor>,
    /// The workspace's name.
    pub workspace_name: String,
    /// Its row.
    pub row: ProcessRow,
    /// Its runs, oldest first.
    pub runs: Vec<RunRow>,
    /// Environment of the client that opened the workspace, if one has.
    pub environment: Option<Arc<IndexMap<String, String>>>,
    /// What to do if nothing of it lives.
    pub begin: Begin,
}

/// See the module.
pub struct ProcessActor {
    shared: Rc<Shared>,
    workspace: Addr<WorkspaceActor>,
    workspace_name: String,
    environment: Option<Arc<IndexMap<String, String>>>,
    begin: Begin,
    machine: Process,
    /// As last handed to the store.
    row: ProcessRow,
    runs: Vec<RunRow>,
    session: Option<String>,
    /// Reports of hooks in this life of the daemon.
    hooks_heard: u64,
    registry: registry::Registry,
    /// What its Claude uses up.
    limits: limit::Own,
    sending: prompts::Sending,
    /// It goes on after a panic: its prompts are in the store.
    panicked: bool,
    /// Requests that wait for its user.
    asks: u32,
    /// What the inbox was told last of why it is blocked.
    blocked_told: Option<Option<String>>,
    view: Option<ProcessView>,
    link: Option<Link>,
    probe: Option<SpawnHandle>,
    /// When the status must be decided anew, and the timer for it.
    status_due: Option<u64>,
    /// When the machine was looked at last.
    looked_at: Option<u64>,
    status_timer: Option<SpawnHandle>,
    /// The lines that its Claude writes, if it writes any.
    stream: Option<Stream>,
    title: Option<String>,
    title_told: Option<String>,
    /// The title was told of lately.
    title_rests: bool,
    attached: u32,
    hold: Option<Hold>,
    start_failure: Option<Error>,
    waiters: Vec<(Until, oneshot::Sender<Result<ProcessView, Error>>)>,
    retiring: bool,
    /// What was last handed to the store was refused by the disk.
    resave: bool,
    /// Runs that are still in the store and should not be.
    undeleted: Vec<String>,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// It runs, has failed, or is known to wait for something that may take long.
    Settled,
    /// It and all it started are gone.
    Rest,
}

impl ProcessActor {
    /// Starts the actor of a process.
    pub fn start(made: Made) -> Addr<Self> {
        let path = format!("workspace/{}/process/{}", made.workspace_name, made.row.name);
        let (report, gate) = (made.shared.on_panic(), made.shared.gate.clone());
        let (workspace, id) = (made.workspace.clone(), made.row.id.clone());
        let on_panic: guard::OnPanic = Rc::new(move |path, what, goes_on| {
            report(path, what, goes_on);
            if !goes_on {
                // nobody may wait for it, nor for its place in the queue
                gate.do_send(gate::Leave { process: id.clone(), through: false, prompt: false });
                workspace.do_send(FromProcess { process: id.clone(), news: News::Lost });
            }
        });
        let mut machine = Process::new(made.row.spec.clone());
        let last_exit = made.runs.iter().rev().find_map(|r| r.exit.clone());
        machine.restore(
            made.row.restarts,
            made.row.unread,
            made.row.state,
            made.row.state_reason.clone(),
            last_exit,
        );
        let actor = Self {
            shared: made.shared,
            workspace: made.workspace,
            workspace_name: made.workspace_name,
            environment: made.environment,
            begin: made.begin,
            machine,
            session: made.row.session_id.clone(),
            row: made.row,
            registry: registry::Registry::default(),
            sending: prompts::Sending::default(),
            panicked: false,
            runs: made.runs,
            hooks_heard: 0,
            limits: limit::Own::default(),
            asks: 0,
            blocked_told: None,
            view: None,
            link: None,
            probe: None,
            status_due: None,
            looked_at: None,
            status_timer: None,
            stream: None,
            title: None,
            title_told: None,
            title_rests: false,
            attached: 0,
            hold: None,
            start_failure: None,
            waiters: Vec::new(),
            retiring: false,
            resave: false,
            undeleted: Vec::new(),
        };
        let (agents, id) = (actor.shared.clone(), actor.row.id.clone());
        let address = guard::start(path, actor, on_panic);
        agents.agents.borrow_mut().insert(id, address.clone());
        address
    }

    /// Feeds the machine and does what it says.
    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let effects = self.machine.step(input, self.shared.clock.now());
        self.settle(effects, Vec::new(), Vec::new(), ctx);
    }

    /// Saves and publishes what changed, then does what follows from it.
    fn settle(
        &mut self,
        effects: Vec<Effect>,
        mut changes: Vec<Change>,
        mut events: Vec<Event>,
        ctx: &mut Context<Self>,
    ) {
        // the gate must know of a question before it hears that the one who asks is through
        self.hold_others();
        self.follow_agent(ctx);
        self.hold_session();
        self.keep_account(ctx);
        let mut launch = None;
        for effect in effects {
            match effect {
                Effect::Launch { run_id } => {
                    changes.push(Change::PutRun(self.claim(&run_id)));
                    launch = Some(run_id);
                }
                other => self.run(other, ctx),
            }
        }
        self.publish(&mut changes, &mut events);
        match launch {
            // the run is on the disk before anything is started: whatever happens to the daemon, the
            // next one knows that this run may exist, and under which id
            Some(run_id) => {
                let board = self.shared.board.clone();
                let lost = deletions(&changes);
                let saved = async move { board.commit_and_wait(changes, events).await };
                ctx.spawn(saved.into_actor(self).map(move |saved, actor, ctx| match saved {
                    Ok(()) => actor.launch(run_id, ctx),
                    Err(e) => {
                        actor.unsaved(lost);
                        actor.runs.retain(|r| r.run_id != run_id);
                        let message = e.line();
                        actor.input(Input::LaunchFailed { reason: StartFailure::System, message }, ctx);
                    }
                }));
            }
            None if changes.is_empty() && events.is_empty() => {}
            None => {
                let me = ctx.address();
                let lost = deletions(&changes);
                let then: Box<dyn FnOnce(Result<(), Error>)> = Box::new(move |saved| {
                    if saved.is_err() {
                        me.do_send(Unsaved(lost));
                    }
                });
                self.shared.board.commit(changes, events, Some(then));
            }
        }
        self.arm_status(ctx);
        self.follow_prompts(ctx);
        self.answer();
        if self.retiring && self.machine.at_rest() {
            self.retire(ctx);
        }
    }

    fn run(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            Effect::AskClearance => self.tell_workspace(News::Asks),
            Effect::Report(report) => self.tell_workspace(News::Told(report)),
            Effect::AskGate => self.ask_gate(ctx),
            Effect::LeaveGate => {
                let through = self.machine.run().is_some() && self.machine.state() == State::Running;
                let prompt = self.machine.is_ready() || self.machine.status().is_some_and(|s| s.ready());
                self.shared.gate.do_send(gate::Leave { process: self.row.id.clone(), through, prompt });
            }
            Effect::Arm { epoch, delay } => {
                ctx.run_later(Duration::from_millis(delay), move |actor, ctx| {
                    actor.input(Input::Timer { epoch }, ctx);
                });
            }
            Effect::Stop { run_id, grace } => match &self.link {
                Some(link) => link.stop(grace),
                None => tracing::warn!(run = run_id, "nothing to tell a keeper to stop with"),
            },
            Effect::Probe { run_id } => self.probe(&run_id, ctx),
            // done by the caller, after the commit
            Effect::Launch { .. } => {}
        }
    }

    fn tell_workspace(&self, news: News) {
        self.workspace.do_send(FromProcess { process: self.row.id.clone(), news });
    }

    fn ask_gate(&mut self, ctx: &mut Context<Self>) {
        let Some(agent) =
            self.machine.spec().agent.clone().filter(|_| self.machine.spec().kind == Kind::Claude)
        else {
            // only agents are ramped: others start in the time that it takes to ask
            ctx.notify(Admitted);
            return;
        };
        let env = self.environment();
        let account = claude::config_dir(&env).unwrap_or_default().display().to_string();
        let directory = self.machine.spec().cwd.display().to_string();
        let ticket = Ticket { process: self.row.id.clone(), agent, account, directory };
        let me = ctx.address();
        let ear: gate::Ear = Box::new(move |told| match told {
            gate::Told::Admitted => me.do_send(Admitted),
            gate::Told::Waits(reason) => me.do_send(Tell(Input::Queued(reason))),
            gate::Told::AskAgain => me.do_send(Tell(Input::Restart { now: false })),
        });
        self.shared.gate.do_send(gate::Ask(ticket, ear));
    }

    /// Tells the gate when a question to the user begins or ends that others would only repeat.
    fn hold_others(&mut self) {
        let hold = self.machine.question().map(|q| match q {
            Blocked::Trust => Hold::Directory(self.machine.spec().cwd.display().to_string()),
            Blocked::Auth | Blocked::Setup | Blocked::Permission | Blocked::Question => {
                let dir = claude::config_dir(&self.environment()).unwrap_or_default();
                Hold::Account(dir.display().to_string())
            }
        });
        if hold != self.hold {
            self.hold.clone_from(&hold);
            self.shared.gate.do_send(gate::Holds { process: self.row.id.clone(), hold });
        }
    }

    /// The environment that it runs in.
    fn environment(&self) -> IndexMap<String, String> {
        let base = match &self.environment {
            Some(own) => own.clone(),
            None => self.shared.environment.borrow().clone(),
        };
        let mut env = (*base).clone();
        env.extend(self.machine.spec().env.iter().map(|(k, v)| (k.clone(), v.clone())));
        if self.machine.spec().kind == Kind::Claude && self.machine.spec().screen == Screen::Classic {
            env.insert("CLAUDE_CODE_DISABLE_ALTERNATE_SCREEN".into(), "1".into());
        }
        env
    }

    /// A new row for a run that is about to be started, and a session for a Claude that has none.
    fn claim(&mut self, run_id: &str) -> RunRow {
        if self.session.is_none() && self.machine.spec().kind == Kind::Claude {
            let chosen = claude::chooses_session(&self.machine.spec().command);
            let resume = self.machine.spec().resume.clone().filter(|_| !chosen);
            self.session = resume.or_else(|| (!chosen).then(|| uuid::Uuid::new_v4().to_string()));
        }
        let row = RunRow {
            run_id: run_id.to_owned(),
            process_id: self.row.id.clone(),
            state: RunState::Starting,
            keeper_pid: None,
            pid: None,
            started_at: None,
            boot_id: Some(self.shared.boot_id.clone()),
            exit: None,
            claimed_at: self.shared.clock.at(),
        };
        self.runs.push(row.clone());
        row
    }

    /// Whether and how its hooks are set up.
    fn settings(&self) -> Option<settings::Place> {
        let (spec, places) = (self.machine.spec(), &self.shared.places);
        let from = &spec.status;
        (spec.kind == Kind::Claude && from.reads(StatusFrom::Hooks)).then(|| settings::Place {
            file: settings::file(places, &self.row.id),
            state_dir: places.state_dir.clone(),
            executable: settings::lasting(&self.shared.executable, &self.shared.home, places),
            // each costs a few milliseconds of every tool, and the others know the same sooner
            tools: !from.reads(StatusFrom::Osc7501) && !from.reads(StatusFrom::Registry),
            config_dir: claude::config_dir(&self.environment()),
            mcp: spec.mcp,
            auto_continue: spec.on_limit == OnLimit::Continue,
        })
    }

    /// Whether and how it can ask us.
    fn mcp(&self) -> Option<mcp::Place> {
        let (spec, places) = (self.machine.spec(), &self.shared.places);
        (spec.kind == Kind::Claude && spec.mcp).then(|| mcp::Place {
            file: settings::mcp(&settings::file(places, &self.row.id)),
            state_dir: places.state_dir.clone(),
            executable: settings::lasting(&self.shared.executable, &self.shared.home, places),
        })
    }

    fn launch(&mut self, run_id: String, ctx: &mut Context<Self>) {
        let plan = Plan {
            run_id: run_id.clone(),
            process_id: self.row.id.clone(),
            runs_dir: self.shared.places.runs(),
            claude_prefix: self.shared.places.claude_prefix(),
            settings: self.settings(),
            mcp: self.mcp(),
            spec: self.machine.spec().clone(),
            env: self.environment(),
            session: self.session.clone(),
        };
        let executable = self.shared.executable.clone();
        if let Err(refused) = self.take_session() {
            return self.refused(run_id, refused, ctx);
        }
        let start = async move {
            let prepared = tokio::task::spawn_blocking(move || plan.prepare()).await;
            match prepared {
                Ok(Ok((spec, session))) => Ok((keeper::launch(&executable, &spec).await, session)),
                Ok(Err(refused)) => Err(refused),
                Err(e) => Err(Refused::new(StartFailure::System, e.to_string())),
            }
        };
        ctx.spawn(start.into_actor(self).map(move |started, actor, ctx| match started {
            Ok((report, session)) => {
                if session.is_some() {
                    actor.session = session;
                }
                actor.on_report(run_id, report, ctx);
            }
            Err(refused) => actor.refused(run_id, refused, ctx),
        }));
    }

    /// It is not started.
    fn refused(&mut self, run_id: String, refused: Refused, ctx: &mut Context<Self>) {
        let Refused { reason, error } = refused;
        let message = error.message.clone();
        tracing::warn!(process = self.row.name, workspace = self.workspace_name, "not started: {message}");
        self.start_failure = Some(error);
        self.runs.retain(|r| r.run_id != run_id);
        let effects = self.machine.step(Input::LaunchFailed { reason, message }, self.shared.clock.now());
        self.settle(effects, vec![Change::DeleteRun(run_id)], Vec::new(), ctx);
    }

    fn on_report(&mut self, run_id: String, report: StartReport, ctx: &mut Context<Self>) {
        match report {
            StartReport::Started { keeper_pid, pid, started_at } => {
                self.start_failure = None;
                let about = format!("wezterm-parallel: {}/{}", self.workspace_name, self.row.name);
                scope::put(format!("wezterm-parallel-run-{run_id}"), about, vec![keeper_pid, pid]);
                self.launched(
                    Run { id: run_id, keeper_pid, pid, started_at: started_at.cast_unsigned() },
                    ctx,
                );
            }
            // one of before a restart of the daemon came first: it is this very run
            StartReport::Exists => self.open_link(&run_id, ctx),
            StartReport::Failed { reason, message } => {
                self.refused(run_id, Refused::new(reason, message), ctx);
            }
        }
    }

    /// The program runs: remembers it and listens to its keeper.
    fn launched(&mut self, run: Run, ctx: &mut Context<Self>) {
        let mut changes = Vec::new();
        if let Some(row) = self.runs.iter_mut().find(|r| r.run_id == run.id) {
            row.state = RunState::Running;
            row.keeper_pid = Some(run.keeper_pid);
            row.pid = Some(run.pid);
            row.started_at = Some(run.started_at.cast_signed());
            changes.push(Change::PutRun(row.clone()));
        }
        let run_id = run.id.clone();
        let effects = self.machine.step(Input::Launched(run), self.shared.clock.now());
        self.open_link(&run_id, ctx);
        self.settle(effects, changes, Vec::new(), ctx);
    }

    fn open_link(&mut self, run_id: &str, ctx: &mut Context<Self>) {
        self.read_stream(run_id, ctx);
        let me = ctx.address();
        let id = run_id.to_owned();
        let clock = self.shared.clock;
        self.link = Some(Link::open(self.shared.places.runs(), run_id.to_owned(), clock, move |said| {
            me.do_send(Heard { run_id: id.clone(), said });
        }));
    }

    fn probe(&mut self, run_id: &str, ctx: &mut Context<Self>) {
        let Some(ready) = self.machine.spec().ready.clone() else { return };
        let place = probe::Place {
            run_dir: rundir::run_dir(&self.shared.places.runs(), run_id),
            cwd: self.machine.spec().cwd.clone(),
            env: self.environment(),
        };
        let wait = async move { probe::until_ready(&ready, &place).await };
        let handle = ctx.spawn(wait.into_actor(self).map(|(), actor, ctx| actor.input(Input::Ready, ctx)));
        self.probe = Some(handle);
    }

    fn on_exit(&mut self, run_id: &str, exit: ExitRecord, ctx: &mut Context<Self>) {
        self.link = None;
        self.stream = None;
        self.attached = 0;
        self.title = None;
        if let Some(handle) = self.probe.take() {
            ctx.cancel_future(handle);
        }
        let pid = self.registry.pid().or_else(|| self.machine.run().map(|r| r.pid));
        if let (Some(pid), Kind::Claude) = (pid, self.machine.spec().kind) {
            // what a killed Claude leaves behind: one small file, read here since its last change may not
            // have been told of yet, and the run that follows must go on in the right session
            let dir = claude::config_dir(&self.environment());
            if let Some(session) = dir.and_then(|dir| claude::session_of(&dir, pid)) {
                self.session = Some(session);
            }
        }
        let mut changes = Vec::new();
        if let Some(row) = self.runs.iter_mut().find(|r| r.run_id == run_id) {
            row.state = RunState::Ended;
            row.exit = Some(exit.clone());
            changes.push(Change::PutRun(row.clone()));
        }
        let mut event = self.event(EventKind::ProcessExit);
        event.run_id = Some(run_id.to_owned());
        event.pid = self.machine.run().map(|r| r.pid);
        event.message = Some(exit.text());
        event.exit = Some(exit.clone());
        let why = exit.text();
        let effects =
            self.machine.step(Input::Exited { run_id: run_id.to_owned(), exit }, self.shared.clock.now());
        self.forget_old_runs(&mut changes);
        self.run_over(run_id);
        self.settle(effects, changes, vec![event], ctx);
        self.end_prompts(why, ctx);
    }

    /// Keeps the logs of the last few runs, and no more.
    fn forget_old_runs(&mut self, changes: &mut Vec<Change>) {
        let ended = self.runs.iter().filter(|r| r.state == RunState::Ended).count();
        let mut too_many = ended.saturating_sub(RUNS_KEPT_MAX);
        let mut gone = Vec::new();
        self.runs.retain(|r| {
            let go = r.state == RunState::Ended && too_many > 0;
            if go {
                too_many -= 1;
                gone.push(r.run_id.clone());
            }
            !go
        });
        changes.extend(gone.iter().cloned().map(Change::DeleteRun));
        keeper::remove(self.shared.places.runs(), gone);
    }

    /// Puts what changed on the board, and into what is about to be saved.
    fn publish(&mut self, changes: &mut Vec<Change>, events: &mut Vec<Event>) {
        let view = self.make_view();
        let old = self.view.as_ref();
        let known = old.is_some();
        let what = |v: &ProcessView| (v.state, v.state_reason.clone(), v.run_id.clone(), v.pid);
        if known && old.map(what) != Some(what(&view)) {
            let mut event = self.event(EventKind::ProcessState);
            event.state = Some(view.state);
            event.run_id.clone_from(&view.run_id);
            event.pid = view.pid;
            event.message.clone_from(&view.state_reason);
            event.session_id.clone_from(&view.session_id);
            events.push(event);
        }
        let what = |v: &ProcessView| {
            (v.status, v.status_reason.clone(), v.unread, v.session_id.clone(), v.limited_until)
        };
        if known && old.map(what) != Some(what(&view)) {
            let mut event = self.event(EventKind::ProcessStatus);
            event.status = view.status;
            event.state = Some(view.state);
            event.unread = Some(view.unread);
            event.run_id.clone_from(&view.run_id);
            event.message.clone_from(&view.status_reason);
            event.until = view.limited_until;
            event.session_id.clone_from(&view.session_id);
            events.push(event);
        }
        self.tell_inbox(&view);
        if self.view.as_ref() != Some(&view) {
            self.shared.board.put_process(self.row.position, view.clone());
            self.view = Some(view);
        }
        let row = self.make_row();
        if self.resave {
            // the disk did not take what came before: all of it goes along with what comes now
            self.resave = false;
            let mut all: Vec<Change> = self.undeleted.drain(..).map(Change::DeleteRun).collect();
            all.push(Change::PutProcess(row.clone()));
            all.extend(self.runs.iter().cloned().map(Change::PutRun));
            all.append(changes);
            *changes = all;
            self.row = row;
        } else if row != self.row {
            self.row = row.clone();
            // before the runs that belong to it
            changes.insert(0, Change::PutProcess(row));
        }
    }

    /// The disk did not take a change, and these deletions with it.
    fn unsaved(&mut self, deletions: Vec<String>) {
        self.resave = true;
        self.undeleted.extend(deletions);
    }

    fn make_row(&self) -> ProcessRow {
        let wanted = if self.shared.ending.get() { self.row.wanted } else { self.machine.goal() == Goal::Up };
        ProcessRow {
            spec: self.machine.spec().clone(),
            wanted,
            session_id: self.session.clone(),
            session_started: self.row.session_started
                || self.machine.status().is_some_and(|s| s.status() == Some(Status::Working)),
            restarts: self.machine.restarts(),
            state: self.machine.state(),
            state_reason: self.machine.reason().map(str::to_owned),
            unread: self.machine.status().is_some_and(|s| s.unread()),
            ..self.row.clone()
        }
    }

    fn make_view(&self) -> ProcessView {
        let spec = self.machine.spec();
        let run = self.machine.run();
        let status = self.machine.status();
        ProcessView {
            workspace: self.workspace_name.clone(),
            name: self.row.name.clone(),
            id: self.row.id.clone(),
            kind: spec.kind,
            state: self.machine.state(),
            state_reason: self.machine.reason().map(str::to_owned),
            status: status.and_then(|s| s.status()),
            status_reason: status.and_then(|s| s.reason()).map(str::to_owned),
            status_since: status.and_then(|s| s.since()),
            unread: status.is_some_and(|s| s.unread()),
            pid: run.map(|r| r.pid),
            keeper_pid: run.map(|r| r.keeper_pid),
            run_id: self.runs.last().map(|r| r.run_id.clone()),
            session_id: self.session.clone(),
            restarts: self.machine.restarts(),
            started_at: run.map(|r| r.started_at.cast_signed()),
            source: self.row.source,
            agent: spec.agent.clone(),
            command: spec.command.clone(),
            cwd: spec.cwd.clone(),
            title: self.title.clone(),
            attached: self.attached,
            last_exit: self.machine.last_exit().cloned(),
            next_start_at: self.machine.next_start().map(u64::cast_signed),
            limited_until: status
                .filter(|s| s.status() == Some(Status::RateLimited))
                .and_then(|s| s.limited_until()),
            usage: self.limits.usage().cloned(),
            prompts: self.sending.waiting(),
            asks: self.asks,
        }
    }

    fn event(&self, kind: EventKind) -> Event {
        Event {
            workspace: Some(self.workspace_name.clone()),
            process: Some(self.row.name.clone()),
            id: Some(self.row.id.clone()),
            ..Event::new(kind)
        }
    }

    /// Answers those whose wait is over.
    fn answer(&mut self) {
        if self.waiters.is_empty() {
            return;
        }
        let (settled, rests) = (self.machine.settled(), self.machine.at_rest());
        let view = self.make_view();
        let failure = self.start_failure.clone().filter(|_| view.state == State::Failed);
        for (until, reply) in std::mem::take(&mut self.waiters) {
            let answer = match until {
                Until::Settled if settled => failure.clone().map_or(Ok(view.clone()), Err),
                Until::Rest if rests => Ok(view.clone()),
                Until::Settled | Until::Rest => {
                    self.waiters.push((until, reply));
                    continue;
                }
            };
            // a caller that has gone away needs no answer
            let _ = reply.send(answer);
        }
    }

    /// It rests and is not needed any more: its rows, its logs and itself go.
    fn retire(&mut self, ctx: &mut Context<Self>) {
        self.abandon_prompts(ctx);
        let board = &self.shared.board;
        board.drop_process(&self.row.id);
        self.shared.agents.borrow_mut().remove(&self.row.id);
        self.shared.sessions.leave(&self.row.id);
        self.removed();
        self.shared.gate.do_send(gate::Leave { process: self.row.id.clone(), through: false, prompt: false });
        let event = self.event(EventKind::ProcessRemoved);
        let (workspace, id) = (self.workspace.clone(), self.row.id.clone());
        let gone: Box<dyn FnOnce(Result<(), Error>)> = Box::new(move |_| {
            workspace.do_send(FromProcess { process: id, news: News::Gone });
        });
        board.commit(vec![Change::DeleteProcess(self.row.id.clone())], vec![event], Some(gone));
        let runs = self.runs.drain(..).map(|r| r.run_id).collect();
        keeper::remove(self.shared.places.runs(), runs);
        let settings = settings::file(&self.shared.places, &self.row.id);
        tokio::task::spawn_blocking(move || settings::remove(&settings));
        ctx.stop();
    }

    /// Finds what is left of the last run, and goes on from there.
    fn recover(&mut self, ctx: &mut Context<Self>) {
        let Some(run) = self.runs.iter().find(|r| r.state != RunState::Ended).cloned() else {
            return self.begin(ctx);
        };
        let (runs_dir, run_id, now) = (self.shared.places.runs(), run.run_id.clone(), self.shared.clock.at());
        let look = tokio::task::spawn_blocking(move || keeper::find(&runs_dir, &run_id, now));
        // nothing may be asked of it before this is known, or a second run might be started
        ctx.wait(look.into_actor(self).map(move |found, actor, ctx| match found {
            Ok(found) => actor.found(&run, found, ctx),
            Err(e) => std::panic::resume_unwind(Box::new(e.to_string())),
        }));
    }

    fn found(&mut self, row: &RunRow, found: Found, ctx: &mut Context<Self>) {
        let goal = if self.row.wanted { Goal::Up } else { Goal::Down };
        let run = Run {
            id: row.run_id.clone(),
            keeper_pid: row.keeper_pid.unwrap_or_default(),
            pid: row.pid.unwrap_or_default(),
            started_at: row.started_at.unwrap_or(row.claimed_at).cast_unsigned(),
        };
        let rebooted = row.boot_id.as_deref().is_some_and(|b| b != self.shared.boot_id);
        match found {
            Found::Alive if row.state == RunState::Starting => {
                self.machine.resume_launch(run.id.clone(), goal);
                self.open_link(&run.id, ctx);
                self.settle(Vec::new(), Vec::new(), Vec::new(), ctx);
            }
            Found::Alive => {
                self.machine.resume_run(run.clone(), goal, self.row.state == State::Stopping);
                self.tell_workspace(News::Adopted);
                self.open_link(&run.id, ctx);
                let effects = self.machine.step(Input::Adopted(run), self.shared.clock.now());
                self.settle(effects, Vec::new(), Vec::new(), ctx);
            }
            Found::Never if row.state == RunState::Starting && !rebooted && self.begin == Begin::Start => {
                self.machine.resume_launch(run.id.clone(), goal);
                self.settle(Vec::new(), Vec::new(), Vec::new(), ctx);
                self.launch(run.id, ctx);
            }
            Found::Over(_) | Found::Never if rebooted => {
                let now = self.shared.clock.at();
                let changes = self.close_run(row, keeper::unknown_exit("the machine went down", 0, now));
                self.settle(Vec::new(), changes, Vec::new(), ctx);
                self.begin(ctx);
            }
            Found::Never => {
                self.runs.retain(|r| r.run_id != row.run_id);
                self.settle(Vec::new(), vec![Change::DeleteRun(row.run_id.clone())], Vec::new(), ctx);
                self.begin(ctx);
            }
            Found::Over(exit) => {
                self.machine.resume_run(run.clone(), goal, self.row.state == State::Stopping);
                self.on_exit(&run.id, exit, ctx);
            }
        }
    }

    fn close_run(&mut self, row: &RunRow, exit: ExitRecord) -> Vec<Change> {
        let Some(run) = self.runs.iter_mut().find(|r| r.run_id == row.run_id) else { return Vec::new() };
        run.state = RunState::Ended;
        run.exit = Some(exit);
        vec![Change::PutRun(run.clone())]
    }

    /// Nothing of it lives.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        match self.begin {
            Begin::Start => self.input(Input::Start, ctx),
            Begin::Rest => {
                let success = self.machine.state() == State::Exited;
                self.tell_workspace(News::Told(Report::Rested { success }));
                self.settle(Vec::new(), Vec::new(), Vec::new(), ctx);
            }
        }
    }
}

/// Runs that these changes delete.
fn deletions(changes: &[Change]) -> Vec<String> {
    let deleted = |c: &Change| match c {
        Change::DeleteRun(id) => Some(id.clone()),
        _ => None,
    };
    changes.iter().filter_map(deleted).collect()
}

/// All that it takes to say how a run is to be started.
struct Plan {
    run_id: String,
    process_id: String,
    runs_dir: PathBuf,
    claude_prefix: PathBuf,
    settings: Option<settings::Place>,
    mcp: Option<mcp::Place>,
    spec: ProcessSpec,
    env: IndexMap<String, String>,
    session: Option<String>,
}

impl Plan {
    /// Looks at the disk: is the directory there, is the program, has the session begun? Gives the
    /// session too, which is another one if the one before is spent.
    fn prepare(self) -> Result<(RunSpec, Option<String>), Refused> {
        let spec = self.spec;
        if !spec.cwd.is_dir() {
            let message = format!("the directory {} is not there", spec.cwd.display());
            return Err(Refused::new(StartFailure::Cwd, message));
        }
        let mut command = spec.command;
        let is_claude = spec.kind == Kind::Claude;
        claude::locate(&mut command, &spec.cwd, &self.env, is_claude.then_some(&*self.claude_prefix))
            .map_err(|why| Refused::new(StartFailure::Program, why))?;
        if let Some(place) = &self.settings
            && let Err(e) = settings::inject(&mut command, &spec.cwd, place)
        {
            // it works all the same; less is known of it
            tracing::warn!(process = self.process_id, "started without hooks: {e}");
        }
        if let Some(place) = &self.mcp
            && let Err(e) = mcp::inject(&mut command, place)
        {
            tracing::warn!(process = self.process_id, "started without our MCP server: {e}");
        }
        let mut session = self.session;
        let account = claude::config_dir(&self.env);
        if let Some(id) = session.as_deref().or(claude::chosen_session(&command)).filter(|_| is_claude) {
            session::open_elsewhere(account.as_deref(), id)?;
        }
        if is_claude
            && let Some(id) = &session
            && !claude::chooses_session(&command)
        {
            let fork = spec.fork.as_deref();
            let (arguments, now) = claude::session_arguments(account.as_deref(), id, fork);
            claude::add_options(&mut command, arguments);
            session = Some(now);
        }
        let spec = RunSpec {
            run_id: self.run_id,
            process_id: self.process_id,
            runs_dir: self.runs_dir,
            mode: Mode::Pty,
            command,
            cwd: spec.cwd,
            env: self.env,
            size: SIZE_DEFAULT,
            history_bytes: spec.history_bytes,
            log_bytes: spec.log_bytes,
            log_files: spec.log_files,
            program_status: spec.status.reads(StatusFrom::Osc7501),
            input: None,
        };
        Ok((spec, session))
    }
}

impl Actor for ProcessActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.recount_asks();
        self.recover(ctx);
        // when it is known what became of its run
        ctx.notify(prompts::Recall);
    }
}

impl Supervised for ProcessActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        // what was in memory when it panicked is not trusted: the rows are
        self.machine = Process::new(self.row.spec.clone());
        let last_exit = self.runs.iter().rev().find_map(|r| r.exit.clone());
        let (state, reason) = (self.row.state, self.row.state_reason.clone());
        self.machine.restore(self.row.restarts, self.row.unread, state, reason, last_exit);
        self.begin = if self.row.wanted { Begin::Start } else { Begin::Rest };
        self.session.clone_from(&self.row.session_id);
        self.registry = registry::Registry::default();
        self.link = None;
        self.limits = limit::Own::default();
        self.shared.limits.do_send(super::limit::Leave(self.row.id.clone()));
        self.probe = None;
        self.status_due = None;
        self.looked_at = None;
        self.status_timer = None;
        self.stream = None;
        self.title_rests = false;
        self.hold = None;
        // their callers learn that the answer is lost
        self.waiters.clear();
        self.sending = prompts::Sending::default();
        self.panicked = true;
        self.shared.gate.do_send(gate::Leave { process: self.row.id.clone(), through: false, prompt: false });
    }
}

/// An input for the machine, from the workspace or the gate.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tell(pub Input);

impl Handler<Tell> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Tell, ctx: &mut Context<Self>) {
        self.input(m.0, ctx);
    }
}

/// The disk did not take a change of its rows, nor these deletions of runs.
#[derive(Message)]
#[rtype(result = "()")]
struct Unsaved(Vec<String>);

impl Handler<Unsaved> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Unsaved, _: &mut Context<Self>) {
        self.unsaved(m.0);
    }
}

/// It may start.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Admitted;

impl Handler<Admitted> for ProcessActor {
    type Result = ();
    fn handle(&mut self, _: Admitted, ctx: &mut Context<Self>) {
        if self.shared.ending.get() {
            // the door is closed: whatever else has been decided meanwhile, nothing starts any more
            return self.input(Input::Stop { now: false }, ctx);
        }
        self.input(Input::Admitted { run_id: ulid::Ulid::generate().to_string() }, ctx);
    }
}

/// Its keeper said something.
#[derive(Message)]
#[rtype(result = "()")]
struct Heard {
    run_id: String,
    said: Said,
}

impl Handler<Heard> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Heard, ctx: &mut Context<Self>) {
        match &m.said {
            Said::Status(report) => self.note_report_seq(&m.run_id, report.seq),
            Said::Welcome(welcome) => {
                if let Some(report) = &welcome.status {
                    self.note_report_seq(&m.run_id, report.seq);
                }
            }
            Said::Title(_) | Said::Progress(_) | Said::Attached(_) | Said::Looked | Said::Exit(_) => {}
        }
        match m.said {
            Said::Exit(exit) => self.on_exit(&m.run_id, exit, ctx),
            Said::Welcome(welcome) => {
                if self.machine.run().is_none_or(|r| r.id != m.run_id) {
                    let (keeper_pid, pid) = (welcome.keeper_pid, welcome.pid);
                    let started_at = welcome.started_at.cast_unsigned();
                    self.launched_by_another(Run { id: m.run_id, keeper_pid, pid, started_at }, ctx);
                }
                self.title = welcome.title;
                if let Some(title) = self.title.clone() {
                    // it is not known since when: all else that was said is newer
                    let at = self.machine.run().map_or(0, |r| r.started_at.cast_signed());
                    let word = Word { seq: 0, at, claim: Claim::Title(title) };
                    self.input(Input::Heard(word), ctx);
                }
                self.attached = welcome.attached;
                if let Some(progress) = welcome.progress {
                    self.input(Input::Heard(heard(&progress)), ctx);
                }
                self.tell_attached();
                match welcome.status {
                    Some(report) => {
                        self.note_report(&report, ctx);
                        let looked = welcome.looked_seq >= report.seq;
                        let news = report.at > self.shared.last_word && !looked;
                        self.input(Input::Recalled { report, news }, ctx);
                        if looked {
                            self.input(Input::Seen, ctx);
                        }
                    }
                    None => self.settle(Vec::new(), Vec::new(), Vec::new(), ctx),
                }
            }
            Said::Status(status) => {
                self.note_report(&status, ctx);
                self.input(Input::Said(status), ctx);
            }
            Said::Progress(progress) => {
                let word = heard(&progress);
                // a program may report many times in a second, and of most nobody wants to know
                if self.machine.spec().status.reads_source(word.claim.source()) {
                    self.input(Input::Heard(word), ctx);
                }
            }
            Said::Title(title) => {
                self.title = Some(title.clone()).filter(|t| !t.is_empty());
                let word = Word { seq: 0, at: self.shared.clock.at(), claim: Claim::Title(title) };
                self.input(Input::Heard(word), ctx);
                self.tell_title(ctx);
            }
            Said::Attached(clients) => {
                self.attached = clients;
                self.tell_attached();
                self.settle(Vec::new(), Vec::new(), Vec::new(), ctx);
            }
            Said::Looked => self.input(Input::Seen, ctx),
        }
    }
}

fn heard(progress: &Progress) -> Word {
    Word { seq: progress.seq, at: progress.at, claim: Claim::Progress { state: progress.state } }
}

impl ProcessActor {
    /// Says that the title changed, at once and then at most every [`TITLE_EVENT_MS`].
    fn tell_title(&mut self, ctx: &mut Context<Self>) {
        if self.title_told == self.title || self.title_rests {
            return;
        }
        self.title_told.clone_from(&self.title);
        self.title_rests = true;
        ctx.run_later(Duration::from_millis(TITLE_EVENT_MS), |actor, ctx| {
            actor.title_rests = false;
            actor.tell_title(ctx);
        });
        let mut event = self.event(EventKind::ProcessChanged);
        event.message.clone_from(&self.title);
        self.shared.board.commit(Vec::new(), vec![event], None);
    }

    /// A run that was being started when the daemon ended turns out to live.
    fn launched_by_another(&mut self, run: Run, ctx: &mut Context<Self>) {
        if let Some(row) = self.runs.iter_mut().find(|r| r.run_id == run.id) {
            row.state = RunState::Running;
            row.keeper_pid = Some(run.keeper_pid);
            row.pid = Some(run.pid);
            row.started_at = Some(run.started_at.cast_signed());
            let change = Change::PutRun(row.clone());
            let effects = self.machine.step(Input::Launched(run), self.shared.clock.now());
            self.settle(effects, vec![change], Vec::new(), ctx);
        }
    }
}

/// The environment that it runs in.
#[derive(Message)]
#[rtype(result = "IndexMap<String, String>")]
pub struct Surroundings;

impl Handler<Surroundings> for ProcessActor {
    type Result = actix::MessageResult<Surroundings>;
    fn handle(&mut self, _: Surroundings, _: &mut Context<Self>) -> Self::Result {
        actix::MessageResult(self.environment())
    }
}

/// What somebody wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// That it runs.
    Start,
    /// That it does not run.
    Stop {
        /// Without the grace time.
        now: bool,
    },
    /// That it ends and runs again.
    Restart {
        /// Without the grace time.
        now: bool,
    },
    /// That it counts as seen.
    Seen,
}

/// An order, to be answered when it is carried out.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Do {
    /// What.
    pub order: Order,
    /// Environment of whoever wants it started, if it came along.
    pub environment: Option<Arc<IndexMap<String, String>>>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<ProcessView, Error>>,
}

impl Handler<Do> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Do, ctx: &mut Context<Self>) {
        if m.environment.is_some() {
            self.environment = m.environment;
        }
        let (input, until) = match m.order {
            Order::Start => (Input::Start, Until::Settled),
            Order::Stop { now } => (Input::Stop { now }, Until::Rest),
            Order::Restart { now } => (Input::Restart { now }, Until::Settled),
            Order::Seen => (Input::Seen, Until::Settled),
        };
        if self.retiring && !matches!(m.order, Order::Stop { .. }) {
            let _ = m.reply.send(Err(Error::new(Code::Conflict, "the process is being removed")));
            return;
        }
        let effects = self.machine.step(input, self.shared.clock.now());
        self.waiters.push((until, m.reply));
        self.settle(effects, Vec::new(), Vec::new(), ctx);
    }
}

/// It is defined differently from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Define {
    /// The definition.
    pub spec: ProcessSpec,
    /// Where it comes from.
    pub source: Source,
    /// Its place in the workspace.
    pub position: u32,
    /// Whether what runs must be started again.
    pub restart: bool,
}

impl Handler<Define> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Define, ctx: &mut Context<Self>) {
        self.row.source = m.source;
        self.row.position = m.position;
        let changed = self.machine.spec() != &m.spec;
        let input = Input::Redefined { spec: Box::new(m.spec), restart: m.restart };
        let effects = self.machine.step(input, self.shared.clock.now());
        let events = if changed { vec![self.event(EventKind::ProcessChanged)] } else { Vec::new() };
        // the row is saved in any case: its place may have changed
        let changes = vec![Change::PutProcess(self.make_row())];
        self.row = self.make_row();
        self.settle(effects, changes, events, ctx);
    }
}

/// Its workspace has another name, or another environment.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Moved {
    /// The workspace's name.
    pub workspace: String,
    /// The environment, if it came along.
    pub environment: Option<Arc<IndexMap<String, String>>>,
}

impl Handler<Moved> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Moved, ctx: &mut Context<Self>) {
        if self.workspace_name != m.workspace {
            self.workspace_name = m.workspace;
            self.announce();
        }
        if m.environment.is_some() {
            self.environment = m.environment;
        }
        self.settle(Vec::new(), Vec::new(), Vec::new(), ctx);
    }
}

/// It is not needed any more: it ends, and then says [`News::Gone`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Retire;

impl Handler<Retire> for ProcessActor {
    type Result = ();
    fn handle(&mut self, _: Retire, ctx: &mut Context<Self>) {
        self.retiring = true;
        self.input(Input::Stop { now: false }, ctx);
    }
}

/// Tell the workspace again how it stands, as if it had just come there.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Recount;

impl Handler<Recount> for ProcessActor {
    type Result = ();
    fn handle(&mut self, _: Recount, _: &mut Context<Self>) {
        match self.machine.state() {
            State::Running | State::Stopping => {
                self.tell_workspace(News::Told(Report::Started));
                if self.machine.is_ready() {
                    self.tell_workspace(News::Told(Report::Ready));
                }
            }
            State::Starting => self.tell_workspace(News::Asks),
            State::Exited => self.tell_workspace(News::Told(Report::Rested { success: true })),
            State::Stopped | State::Backoff | State::CrashLoop | State::Failed => {
                self.tell_workspace(News::Told(Report::Rested { success: false }));
            }
        }
    }
}
