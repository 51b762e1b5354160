//! The tasks.
//!
//! Owns: the queue, and what is shown of each task. Receives: what users and agents want of tasks, what becomes
//! of runs, limits of accounts. Sends: rows and events to the board, orders to runs.
//! Dies when: the daemon ends. After a panic it goes on from the store, and finds its runs again.

mod find;
mod orders;
mod run;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    rc::Rc,
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, SpawnHandle, Supervised};
use indexmap::IndexMap;
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    batch::{self, Batches},
    limit::{self, look_in},
    spec::{AgentSpec, TasksSpec},
    task::{Effect, Input, Outcome, TaskRow, Tasks, attempt_of, run_of},
};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::{
    error::Error,
    event::{Event, EventKind},
    process::Kind,
    task::{TaskKind, TaskProgress, TaskState, TaskView},
};
use wezterm_parallel_store::{Change, TaskBrought, TaskCard, TaskKept, TaskLoaded, TaskPut};

use self::run::{Begin, Plan, RunActor};
use crate::{
    effects::keeper,
    shared::{Shared, TaskHome},
};

pub use find::{Find, List, Show};
pub use orders::{
    Add, Edit, EndRuns, GoOn, Group, GroupOrder, Groups, Limited, New, NoLogin, Open, Order, Target, Wait,
    name_of, text_of,
};

/// Tasks that are remembered when they are over, the newest ones.
const OVER_KEPT_MAX: usize = 10_000;
/// Of so many tasks that are over, the newest ones, the output is kept: some kilobytes each.
const OUTPUTS_KEPT_MAX: usize = 2_000;
/// Attempts of a task whose output is kept.
const ATTEMPTS_KEPT_MAX: u32 = 3;
/// A run whose actor was given up is looked at anew after this long.
const ABANDONED_MS: u64 = 5_000;
/// What the disk has refused is handed to it again after this long.
const RESAVE_MS: u64 = 5_000;
/// Why an account starts nothing whose login was refused.
pub const NO_LOGIN: &str = "its login was refused: log in, then `wezterm-parallel limit open`";
/// The agent that is asked where none is named.
const AGENT_DEFAULT: &str = "claude";

/// See the module.
pub struct TasksActor {
    shared: Rc<Shared>,
    machine: Tasks,
    shown: HashMap<String, Shown>,
    /// Which tasks belong together in time, and how they stand.
    batches: Batches,
    /// Ids of tasks by their names, oldest first.
    names: HashMap<String, Vec<String>>,
    /// Ids of tasks by the idempotency keys that they were added with.
    keys: HashMap<String, String>,
    /// Runs that were asked for, by the task.
    runs: HashMap<String, Living>,
    agents: Rc<IndexMap<String, AgentSpec>>,
    limits: TasksSpec,
    /// Tasks that are over, in the order in which they ended.
    over: VecDeque<String>,
    /// Those of them whose output is kept.
    outputs: VecDeque<String>,
    /// Rows that are on their way to the disk: the newest number of each task.
    unsaved: HashMap<String, u64>,
    /// Tasks whose newest row the disk has refused.
    refused: HashSet<String>,
    /// What the disk has refused and no row can say again, in its order.
    lost: Vec<Change>,
    /// The same, on its way to the disk, by the number of the commit.
    at_stake: HashMap<u64, Vec<Change>>,
    /// When what was refused is handed to the disk again, in milliseconds since 1970.
    resave_at: Option<i64>,
    waits: Vec<Waiting>,
    commits: u64,
    /// What follows commits that are under way.
    replies: HashMap<u64, Reply>,
    ids: ulid::Generator,
    /// What was left to do when the rows were read.
    pending: Vec<Effect>,
    ends: Vec<oneshot::Sender<()>>,
    timer: Option<SpawnHandle>,
    /// The daemon ends: nothing starts any more, and what ends was ended by it.
    ending: bool,
}

type Reply = Box<dyn FnOnce(&mut TasksActor, Result<(), Error>)>;

/// What is known of a task beside its row.
struct Shown {
    card: TaskCard,
    cost_usd: Option<f64>,
    /// What subscribers were told last.
    told: (TaskState, Option<String>),
}

/// A run that was asked for.
struct Living {
    run: String,
    address: Addr<RunActor>,
    pid: Option<i32>,
    keeper_pid: Option<i32>,
    progress: Option<TaskProgress>,
    /// What it waits for in the queue of starts.
    waits: Option<String>,
}

/// Somebody who waits for tasks.
struct Waiting {
    tasks: Vec<String>,
    /// So many of the first of them have come to where they are waited for.
    found: usize,
    until: Until,
    reply: oneshot::Sender<Result<Vec<TaskView>, Error>>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// It is over.
    Over,
    /// Nothing of it runs.
    Rest,
    /// It is on the disk as it stands.
    Saved,
}

/// What goes along with a commit.
#[derive(Default)]
struct Along {
    added: HashMap<String, Box<TaskKept>>,
    brought: HashMap<String, TaskBrought>,
    changes: Vec<Change>,
    events: Vec<Event>,
    reply: Option<Reply>,
}

impl TasksActor {
    /// With what was kept. It begins to work when it knows the limits.
    pub fn new(shared: Rc<Shared>, loaded: Vec<TaskLoaded>, paused: Vec<String>) -> Self {
        let mut actor = Self {
            shared,
            machine: Tasks::default(),
            shown: HashMap::new(),
            batches: Batches::default(),
            names: HashMap::new(),
            keys: HashMap::new(),
            runs: HashMap::new(),
            agents: Rc::default(),
            limits: TasksSpec::default(),
            over: VecDeque::new(),
            outputs: VecDeque::new(),
            unsaved: HashMap::new(),
            refused: HashSet::new(),
            lost: Vec::new(),
            at_stake: HashMap::new(),
            resave_at: None,
            waits: Vec::new(),
            commits: 0,
            replies: HashMap::new(),
            ids: ulid::Generator::new(),
            pending: Vec::new(),
            ends: Vec::new(),
            timer: None,
            ending: false,
        };
        actor.restore(loaded, paused);
        actor
    }

    fn restore(&mut self, loaded: Vec<TaskLoaded>, paused: Vec<String>) {
        (self.shown, self.names, self.keys) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut rows = Vec::new();
        let mut over = Vec::new();
        for TaskLoaded { mut row, card, cost_usd } in loaded {
            // a row of an older release does not say it
            row.spec.agent = agent_of(&card);
            if row.state.is_end() {
                over.push((row.ended_at, row.spec.id.clone()));
            }
            let told = (row.state, row.reason.clone());
            self.enter(&row.spec.id, Shown { card, cost_usd, told });
            rows.push(row);
        }
        self.batches = Batches::restore(rows.iter().filter_map(|row| {
            let added_at = self.shown.get(&row.spec.id)?.card.added_at;
            Some((row.spec.id.as_str(), row.spec.group.as_str(), added_at, row.ended_at, row.state))
        }));
        self.shared.board.put_tasks(self.batches.counts());
        over.sort();
        self.over = over.into_iter().map(|(_, id)| id).collect();
        self.outputs = self.over.iter().rev().take(OUTPUTS_KEPT_MAX).rev().cloned().collect();
        // a dependency may have ended without those behind it having been told: what comes of that is done
        // when the limits are known
        let now = self.shared.clock.now();
        let at = now.at.cast_signed();
        let (machine, mut effects) = Tasks::restore(rows, at);
        self.machine = machine;
        for group in paused {
            effects.extend(self.machine.step(Input::PauseGroup(group), at, now.chance));
        }
        self.pending = effects;
        // from the first call on it is known who calls, also before a run is found again
        for row in self.machine.runs() {
            let run = row.run();
            let meta = rundir::read_meta(&rundir::run_dir(&self.shared.places.runs(), &run));
            if let Ok(Some(meta)) = meta {
                self.put_home_of(&row.spec.id, &run, None, Some(meta.keeper_pid));
            }
        }
    }

    /// The agents of the config that can be asked.
    fn known_agents(&self) -> HashSet<String> {
        let asked = self.agents.iter().filter(|(_, agent)| agent.kind == Kind::Claude);
        asked.map(|(name, _)| name.clone()).collect()
    }

    fn enter(&mut self, id: &str, shown: Shown) {
        self.names.entry(shown.card.name.clone()).or_default().push(id.to_owned());
        if let Some(key) = &shown.card.key {
            self.keys.insert(key.clone(), id.to_owned());
        }
        self.shown.insert(id.to_owned(), shown);
    }

    fn leave(&mut self, id: &str) {
        let Some(shown) = self.shown.remove(id) else { return };
        if let Some(ids) = self.names.get_mut(&shown.card.name) {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                self.names.remove(&shown.card.name);
            }
        }
        if let Some(key) = shown.card.key.filter(|key| self.keys.get(key).is_some_and(|of| of == id)) {
            self.keys.remove(&key);
        }
    }

    /// Feeds the queue and does what it says.
    fn input(&mut self, input: Input, along: Along, ctx: &mut Context<Self>) {
        let now = self.shared.clock.now();
        let effects = self.machine.step(input, now.at.cast_signed(), now.chance);
        self.settle(effects, along, ctx);
    }

    fn settle(&mut self, effects: Vec<Effect>, mut along: Along, ctx: &mut Context<Self>) {
        let mut saves: Vec<(String, u64)> = Vec::new();
        let mut rest = Vec::new();
        for effect in effects {
            match effect {
                Effect::Save { row, number } => {
                    saves.push((row.spec.id.clone(), number));
                    self.save(*row, &mut along);
                }
                other => rest.push(other),
            }
        }
        let resave = self.resave_at.is_some_and(|at| at <= self.shared.clock.at());
        if resave {
            self.resave_at = None;
            along.changes.append(&mut self.lost);
        }
        for id in if resave { std::mem::take(&mut self.refused) } else { HashSet::new() } {
            // the disk did not take what came before
            if let Some(row) = self.machine.row(&id) {
                along.changes.push(Change::PutTask(Box::new(TaskPut { row: row.clone(), brought: None })));
                saves.push((id, 0));
            }
        }
        self.shared.board.put_tasks(self.batches.counts());
        self.commit(saves, along, ctx);
        for effect in rest {
            match effect {
                // its row says that it runs: the next daemon finds that it has not begun
                Effect::Launch { .. } if self.ending => {}
                Effect::Launch { run, session } => self.launch(&run, session, ctx),
                Effect::Stop { run } => self.stop(&run),
                Effect::Save { .. } => {}
            }
        }
        self.arm(ctx);
    }

    /// Puts a row and the event that tells of it among what is about to be saved.
    fn save(&mut self, row: TaskRow, along: &mut Along) {
        let id = row.spec.id.clone();
        let told = (row.state, row.reason.clone());
        if row.state.is_end() {
            self.over.push_back(id.clone());
            self.outputs.push_back(id.clone());
        }
        let said = row.reason.clone().map(|reason| self.with_names(&row, reason));
        let Some(shown) = self.shown.get_mut(&id) else { return };
        let news = shown.told != told;
        shown.told = told;
        let added = along.added.remove(&id);
        if news || added.is_some() {
            let kind = if added.is_some() { EventKind::TaskAdded } else { EventKind::TaskChanged };
            along.events.push(Event { message: said, ..event(kind, &row, &shown.card) });
        }
        if let Some(batch::End { group, counts, last }) = self.batches.put(&id, &row.spec.group, row.state) {
            let more = if last { "; no task is left" } else { "" };
            along.events.push(Event {
                group: Some(group),
                message: Some(format!("{}{more}", batch::text(counts))),
                tasks: Some(counts),
                ..Event::new(EventKind::GroupOver)
            });
        }
        let brought = along.brought.remove(&id);
        along.changes.push(match added {
            Some(kept) => Change::AddTask(Box::new(TaskKept { row, ..*kept })),
            None => Change::PutTask(Box::new(TaskPut { row, brought })),
        });
    }

    fn commit(&mut self, saves: Vec<(String, u64)>, along: Along, ctx: &mut Context<Self>) {
        let Along { changes, events, reply, .. } = along;
        if changes.is_empty() && events.is_empty() && reply.is_none() {
            return;
        }
        for (id, number) in &saves {
            self.unsaved.insert(id.clone(), *number);
        }
        self.commits += 1;
        let number = self.commits;
        if let Some(reply) = reply {
            self.replies.insert(number, reply);
        }
        let only_here = |change: &&Change| match change {
            Change::PutTask(put) => put.brought.is_some(),
            Change::EditTask(_) => true,
            _ => false,
        };
        let at_stake: Vec<Change> = changes.iter().filter(only_here).cloned().collect();
        if !at_stake.is_empty() {
            self.at_stake.insert(number, at_stake);
        }
        let me = ctx.address();
        let then: Box<dyn FnOnce(Result<(), Error>)> =
            Box::new(move |result| me.do_send(Committed { number, saves, result }));
        self.shared.board.commit(changes, events, Some(then));
    }

    fn launch(&mut self, run: &str, session: Option<String>, ctx: &mut Context<Self>) {
        let Some((task, _)) = attempt_of(run) else { return };
        let agent = self.shown.get(task).and_then(|shown| agent_of(&shown.card));
        if agent.is_some_and(|agent| !self.known_agents().contains(&agent)) {
            // it was taken out of the config just now: nothing has begun
            return self.input(Input::Lost { run: run.to_owned() }, Along::default(), ctx);
        }
        self.start_run(task, run, session, Begin::Launch, ctx);
    }

    fn start_run(
        &mut self,
        task: &str,
        run: &str,
        session: Option<String>,
        begin: Begin,
        ctx: &mut Context<Self>,
    ) {
        let (Some(row), Some(shown)) = (self.machine.row(task), self.shown.get(task)) else { return };
        let card = &shown.card;
        let agent_name = agent_of(card).unwrap_or_default();
        let plan = Plan {
            run_id: run.to_owned(),
            task: task.to_owned(),
            command: card.command,
            attempt: row.attempt,
            session,
            first: row.first,
            cwd: card.cwd.clone(),
            inherited: card.inherited.clone(),
            agent: self.agents.get(&agent_name).filter(|a| a.kind == Kind::Claude).cloned(),
            agent_name,
        };
        let address = RunActor::start(self.shared.clone(), ctx.address(), plan, begin);
        let living =
            Living { run: run.to_owned(), address, pid: None, keeper_pid: None, progress: None, waits: None };
        self.runs.insert(task.to_owned(), living);
    }

    fn stop(&self, run: &str) {
        if let Some(living) = self.living(run) {
            living.address.do_send(run::Stop);
        }
    }

    fn living(&self, run: &str) -> Option<&Living> {
        let (task, _) = attempt_of(run)?;
        self.runs.get(task).filter(|living| living.run == run)
    }

    /// Sets the one timer. There is none while nothing waits for a time.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let now = self.shared.clock.at();
        let resave = self.resave_at.map(|at| u64::try_from(at - now).unwrap_or(0));
        let due = self.machine.wake_at().filter(|_| !self.ending).map(|at| look_in(at, now));
        let Some(wait) = resave.into_iter().chain(due).min() else { return };
        self.timer = Some(ctx.run_later(Duration::from_millis(wait), |actor, ctx| {
            actor.timer = None;
            actor.input(Input::Tick, Along::default(), ctx);
        }));
    }

    /// Answers those whose wait is over.
    fn answer(&mut self) {
        for mut wait in std::mem::take(&mut self.waits) {
            if wait.reply.is_closed() {
                // nobody waits any more
                continue;
            }
            let until = wait.until;
            let is_done = |id: &String| {
                let Some(row) = self.machine.row(id) else { return true };
                let reached = match until {
                    Until::Over => row.state.is_end(),
                    Until::Rest => !self.machine.is_running(id),
                    Until::Saved => true,
                };
                reached && !self.unsaved.contains_key(id)
            };
            // what was found to be so once is not looked at again: there may be thousands
            wait.found += wait.tasks[wait.found..].iter().take_while(|id| is_done(id)).count();
            if wait.found == wait.tasks.len() {
                let views = wait.tasks.iter().filter_map(|id| self.view(id)).collect();
                // a caller that has gone away needs no answer
                let _ = wait.reply.send(Ok(views));
            } else {
                self.waits.push(wait);
            }
        }
    }

    /// Forgets the oldest of what is over.
    fn forget(&mut self, ctx: &mut Context<Self>) {
        let mut gone = Vec::new();
        while self.over.len() > OVER_KEPT_MAX {
            let Some(id) = self.over.pop_front() else { break };
            // one that was tried again is there once more, or is not over
            if self.machine.row(&id).is_some_and(|row| row.state.is_end()) && !self.over.contains(&id) {
                gone.push(id);
            }
        }
        while self.outputs.len() > OUTPUTS_KEPT_MAX {
            let Some(id) = self.outputs.pop_front() else { break };
            if let Some(row) = self.machine.row(&id).filter(|row| row.state.is_end())
                && !self.outputs.contains(&id)
            {
                self.remove_outputs(&id, 1, row.attempt);
            }
        }
        if gone.is_empty() {
            return;
        }
        let changes = gone.iter().cloned().map(Change::DeleteTask).collect();
        for id in &gone {
            if let Some(row) = self.machine.row(id) {
                self.remove_outputs(id, 1, row.attempt);
            }
            self.leave(id);
            self.batches.remove(id);
        }
        self.input(Input::Forget(gone), Along { changes, ..Along::default() }, ctx);
    }

    /// Removes the directories of attempts, from the first to the last.
    fn remove_outputs(&self, task: &str, first: u32, last: u32) {
        let names = (first..=last).map(|n| run_of(task, n)).collect();
        keeper::remove(self.shared.places.runs(), names);
    }

    /// What is shown of a task.
    fn view(&self, id: &str) -> Option<TaskView> {
        let (row, shown) = (self.machine.row(id)?, self.shown.get(id)?);
        let living = self.runs.get(id).filter(|_| self.machine.is_running(id));
        let card = &shown.card;
        Some(TaskView {
            id: id.to_owned(),
            name: card.name.clone(),
            state: row.state,
            reason: living.and_then(|l| l.waits.clone()).or_else(|| self.reason(row)),
            priority: row.spec.priority,
            group: row.spec.group.clone(),
            after: row.spec.after.clone(),
            attempt: row.attempt,
            pid: living.and_then(|l| l.pid),
            session_id: row.session.clone(),
            cost_usd: shown.cost_usd,
            started_at: row.started_at,
            ended_at: row.ended_at,
            added_at: card.added_at,
            kind: if card.command { TaskKind::Command } else { TaskKind::Prompt },
            text: card.text.clone(),
            workspace: card.workspace.clone(),
            cwd: card.cwd.clone(),
            held_until: row.held_until,
            account: row.spec.account.clone(),
            added_by: card.added_by.clone(),
            progress: living.and_then(|l| l.progress.clone()),
            keeper_pid: living.and_then(|l| l.keeper_pid),
            run_id: (row.attempt > 0).then(|| row.run()),
        })
    }

    /// Why a task stands as it does: what keeps all of its kind from starting is said of each.
    fn reason(&self, row: &TaskRow) -> Option<String> {
        if row.state != TaskState::Queued || row.reason.is_some() {
            return row.reason.clone().map(|reason| self.with_names(row, reason));
        }
        if self.machine.is_paused(&row.spec.group) {
            return Some(format!("the group {} is paused", row.spec.group));
        }
        let account = row.spec.account.as_deref()?;
        let (_, until) = self.machine.closed(self.shared.clock.at()).find(|(name, _)| *name == account)?;
        Some(match until {
            i64::MAX => "its account is not logged in; `wezterm-parallel limit open` tries again".into(),
            _ => "its account has reached its usage limit".into(),
        })
    }

    /// A reason that names tasks by their names and not by their ids, which say nothing to a person.
    fn with_names(&self, row: &TaskRow, reason: String) -> String {
        row.spec.after.iter().fold(reason, |reason, id| match self.shown.get(id) {
            Some(other) => reason.replace(id.as_str(), &other.card.name),
            None => reason,
        })
    }

    /// Where a task lives, for who asks which agent a caller is.
    fn put_home(&self, task: &str) {
        let Some(living) = self.runs.get(task) else { return };
        self.put_home_of(task, &living.run, living.pid, living.keeper_pid);
    }

    fn put_home_of(&self, task: &str, run: &str, pid: Option<i32>, keeper_pid: Option<i32>) {
        let Some(shown) = self.shown.get(task) else { return };
        let card = &shown.card;
        let home = TaskHome {
            id: task.to_owned(),
            name: card.name.clone(),
            run_id: run.to_owned(),
            workspace: card.workspace.clone(),
            cwd: card.cwd.clone(),
            command: card.command,
            depth: card.depth,
            root: card.root.clone(),
            inherited: card.inherited.clone(),
            agent: card.agent.clone(),
            pid,
            keeper_pid,
        };
        self.shared.task_homes.borrow_mut().insert(task.to_owned(), home);
    }
}

fn event(kind: EventKind, row: &TaskRow, card: &TaskCard) -> Event {
    Event {
        workspace: card.workspace.clone(),
        task: Some(row.spec.id.clone()),
        task_name: Some(card.name.clone()),
        task_state: Some(row.state),
        group: Some(row.spec.group.clone()),
        message: row.reason.clone(),
        session_id: row.session.clone(),
        run_id: (row.attempt > 0).then(|| row.run()),
        ..Event::new(kind)
    }
}

/// The agent of the config that a task asks; none for a command.
fn agent_of(card: &TaskCard) -> Option<String> {
    (!card.command).then(|| card.agent.clone().unwrap_or_else(|| AGENT_DEFAULT.into()))
}

impl Actor for TasksActor {
    type Context = Context<Self>;
}

impl Supervised for TasksActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        for (_, living) in self.runs.drain() {
            living.address.do_send(run::Abandon);
        }
        self.shared.task_homes.borrow_mut().clear();
        // their callers learn that the answer is lost
        self.waits.clear();
        self.replies.clear();
        self.unsaved.clear();
        self.refused.clear();
        self.lost.clear();
        self.at_stake.clear();
        self.resave_at = None;
        self.timer = None;
        match self.shared.board.store().tasks() {
            Ok((loaded, paused)) => self.restore(loaded, paused),
            Err(e) => tracing::error!("the tasks cannot be read again: {e}"),
        }
        self.begin(ctx);
    }
}

impl TasksActor {
    /// Does what was left to do, and looks for the runs of before.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        if self.ending {
            return;
        }
        let runs: Vec<(String, String, Option<String>)> = self
            .machine
            .runs()
            .filter(|row| !self.runs.contains_key(&row.spec.id))
            .map(|row| (row.spec.id.clone(), row.run(), row.session.clone()))
            .collect();
        for (task, run, session) in runs {
            self.start_run(&task, &run, session, Begin::Adopt, ctx);
        }
        let pending = std::mem::take(&mut self.pending);
        self.settle(pending, Along::default(), ctx);
        let limits = Input::Limits {
            parallel: self.limits.parallel as usize,
            groups: self.limits.groups.iter().map(|(name, n)| (name.clone(), *n as usize)).collect(),
            agents: self.known_agents(),
        };
        self.input(limits, Along::default(), ctx);
    }
}

/// The config in force.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Config {
    /// How many run at once.
    pub tasks: TasksSpec,
    /// The agents.
    pub agents: IndexMap<String, AgentSpec>,
}

impl Handler<Config> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: Config, ctx: &mut Context<Self>) {
        self.limits = m.tasks;
        self.agents = Rc::new(m.agents);
        self.begin(ctx);
    }
}

/// A commit is on the disk, or was refused.
#[derive(Message)]
#[rtype(result = "()")]
struct Committed {
    number: u64,
    saves: Vec<(String, u64)>,
    result: Result<(), Error>,
}

impl Handler<Committed> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: Committed, ctx: &mut Context<Self>) {
        for (id, number) in &m.saves {
            if self.unsaved.get(id) == Some(number) {
                self.unsaved.remove(id);
            }
        }
        let now = self.shared.clock.now();
        let mut effects = Vec::new();
        let mut step = |machine: &mut Tasks, input| {
            effects.extend(machine.step(input, now.at.cast_signed(), now.chance));
        };
        let at_stake = self.at_stake.remove(&m.number).unwrap_or_default();
        if m.result.is_err() {
            self.lost.extend(at_stake);
            self.resave_at = Some(now.at.cast_signed() + RESAVE_MS.cast_signed());
        }
        match &m.result {
            Ok(()) => {
                for (id, number) in m.saves {
                    step(&mut self.machine, Input::Saved { id, number });
                }
            }
            Err(_) => {
                step(&mut self.machine, Input::Unsaved(m.saves.clone()));
                for (id, _) in m.saves {
                    match self.machine.row(&id) {
                        Some(_) => drop(self.refused.insert(id)),
                        // it was never accepted
                        None => {
                            self.leave(&id);
                            self.batches.remove(&id);
                        }
                    }
                }
            }
        }
        self.settle(effects, Along::default(), ctx);
        if let Some(reply) = self.replies.remove(&m.number) {
            reply(self, m.result);
        }
        self.answer();
        self.forget(ctx);
    }
}

/// What becomes of a run.
#[derive(Message)]
#[rtype(result = "()")]
pub struct FromRun {
    /// Which.
    pub run: String,
    /// What.
    pub news: News,
}

/// What becomes of a run.
#[derive(Debug)]
pub enum News {
    /// It waits in the queue of starts.
    Waits(String),
    /// Its program runs.
    Lives {
        /// The program.
        pid: i32,
        /// Its keeper.
        keeper_pid: i32,
        /// Claude's session.
        session: Option<String>,
    },
    /// Claude is in this session.
    Session(String),
    /// It has come further.
    Progress {
        /// How far.
        progress: TaskProgress,
        /// What the session has cost so far.
        cost_usd: Option<f64>,
    },
    /// It is over.
    Over(Box<run::Over>),
    /// It has never begun and never will.
    Lost,
    /// Its actor has failed too often: what has become of it is looked at anew.
    Abandoned,
}

impl Handler<FromRun> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: FromRun, ctx: &mut Context<Self>) {
        let FromRun { run, news } = m;
        let Some(task) = attempt_of(&run).map(|(task, _)| task.to_owned()) else { return };
        // of an earlier attempt, or of one that was given up
        let Some(living) = self.runs.get_mut(&task).filter(|living| living.run == run) else { return };
        match news {
            News::Waits(reason) => living.waits = Some(reason),
            News::Lives { pid, keeper_pid, session } => {
                living.waits = None;
                let news = living.pid.replace(pid) != Some(pid);
                living.keeper_pid = Some(keeper_pid);
                self.put_home(&task);
                let mut along = Along::default();
                if let (Some(row), Some(shown), true) = (self.machine.row(&task), self.shown.get(&task), news)
                {
                    let told = event(EventKind::TaskChanged, row, &shown.card);
                    along.events.push(Event { pid: Some(pid), ..told });
                }
                self.input(Input::Lives { run, session }, along, ctx);
            }
            News::Session(session) => {
                self.input(Input::Lives { run, session: Some(session) }, Along::default(), ctx);
            }
            News::Progress { progress, cost_usd } => {
                let doing = progress.doing.clone();
                living.progress = Some(progress);
                let (Some(row), Some(shown)) = (self.machine.row(&task), self.shown.get_mut(&task)) else {
                    return;
                };
                shown.cost_usd = cost_usd.or(shown.cost_usd);
                let event = Event { message: doing, ..event(EventKind::TaskProgress, row, &shown.card) };
                self.shared.board.commit(Vec::new(), vec![event], None);
            }
            News::Over(over) => {
                self.runs.remove(&task);
                self.shared.task_homes.borrow_mut().remove(&task);
                self.run_over(&task, run, *over, ctx);
            }
            News::Lost => {
                self.runs.remove(&task);
                self.shared.task_homes.borrow_mut().remove(&task);
                if !self.ending {
                    self.input(Input::Lost { run }, Along::default(), ctx);
                }
            }
            News::Abandoned => {
                self.runs.remove(&task);
                let session = self.machine.row(&task).and_then(|row| row.session.clone());
                // what makes it fail each time is not to use up a processor
                ctx.run_later(Duration::from_millis(ABANDONED_MS), move |actor, ctx| {
                    if actor.machine.is_running(&task) && !actor.runs.contains_key(&task) {
                        actor.start_run(&task, &run, session, Begin::Adopt, ctx);
                    }
                });
                return;
            }
        }
        self.answer_ended();
    }
}

impl TasksActor {
    /// What is told when the API has refused the login of an account: nothing of it starts from here on.
    fn no_login(&self, task: &str) -> Option<Event> {
        let account = self.machine.row(task)?.spec.account.clone();
        let message = Some(NO_LOGIN.to_owned());
        Some(Event { account, message, task: Some(task.to_owned()), ..Event::new(EventKind::LimitReached) })
    }

    /// All of the account hear of a limit that a task has met.
    fn tell_limit(&self, task: &str, until: i64) {
        let Some(account) = self.machine.row(task).and_then(|row| row.spec.account.clone()) else { return };
        let process = task.to_owned();
        let said_at = self.shared.clock.at();
        let text = "a task has met the usage limit".to_owned();
        let reached = limit::Input::Reached {
            process: process.clone(),
            until: Some(limit::Until::Exactly(until)),
            text,
            said_at,
        };
        // it runs no more: it goes on by the queue, not by a word to it
        for input in [reached, limit::Input::Gone { process }] {
            self.shared.limits.do_send(super::limit::Told { account: account.clone(), input });
        }
    }

    fn run_over(&mut self, task: &str, run: String, over: run::Over, ctx: &mut Context<Self>) {
        if self.ending {
            // its row says that it runs: the next daemon finds out what has become of it
            return;
        }
        let mut along = Along::default();
        if let Some(brought) = over.brought {
            if let Some(shown) = self.shown.get_mut(task) {
                shown.cost_usd = brought.cost_usd.or(shown.cost_usd);
            }
            along.brought.insert(task.to_owned(), brought);
        }
        if let Some(attempt) = self.machine.row(task).map(|row| row.attempt)
            && let Some(old) = attempt.checked_sub(ATTEMPTS_KEPT_MAX).filter(|old| *old > 0)
        {
            self.remove_outputs(task, old, old);
        }
        // ended by the daemon before this one as it ended itself: no failure of the task's
        let with_the_daemon = over.stopped && !self.machine.is_unwanted(task);
        match over.outcome {
            Outcome::UsageLimit { until } => self.tell_limit(task, until),
            Outcome::Auth => along.events.extend(self.no_login(task)),
            Outcome::Success | Outcome::Busy { .. } | Outcome::Crash(_) | Outcome::Final(_) => {}
        }
        let input = match over.outcome {
            outcome if !with_the_daemon || outcome == Outcome::Success => {
                Input::Ended { run, outcome, session: over.session }
            }
            _ => Input::Lost { run },
        };
        self.input(input, along, ctx);
    }
}
