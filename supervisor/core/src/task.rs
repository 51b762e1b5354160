//! Tasks: which of them may start, and what becomes of each.
//!
//! A task is accepted when its row is on the disk. A run of it is asked for only when the row that names the
//! run is there too; and the name is made of the task's id and the number of the attempt, so that no attempt
//! can be made twice, whoever asks. A daemon that comes after a killed one finds the names of all runs that may
//! live in the rows, looks for each, and seals those that have not begun.
//!
//! What waits for room is ordered by priority, and by a minute of waiting as if that were one more: so nothing
//! starves, and the order of two tasks never changes while they wait.

mod check;
mod lanes;

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use wezterm_parallel_schemas::task::{OnFailedDependency, TaskState};

pub use check::{Fault, TASKS_MAX, check, faults};
use lanes::{Lane, Lanes, Place};

use crate::spec::{Millis, TASKS_PARALLEL_DEFAULT};

/// So long waiting counts as much as one more of priority: a task of the lowest priority is overtaken for some
/// three hours at most.
pub const AGE_MS: i64 = 60_000;
/// Largest priority, and with a minus the smallest.
pub const PRIORITY_MAX: i32 = 100;
/// First wait before a further attempt; each further one is twice as long.
const RETRY_MS_MIN: Millis = 1_000;
/// Longest wait before a further attempt.
const RETRY_MS_MAX: Millis = 300_000;
/// How far a wait is spread, up and down: many tasks fail at the same moment.
const JITTER: f64 = 0.2;
/// How often an attempt may be turned away by a busy API before that counts as a failure: with waits that
/// double these are some 20 minutes.
pub const PUSHBACKS_MAX: u32 = 10;
/// Between two starts of one account: a Claude takes half a second of a processor to start.
pub const GAP_MS: Millis = 250;
/// Longest time between two starts of an account whose API is busy.
pub const GAP_MS_MAX: Millis = 60_000;
/// Shortest wait at a usage limit.
const LIMIT_MS_MIN: i64 = 5_000;
/// What the disk has refused to keep is tried again after this long.
const REFUSED_MS: i64 = 5_000;

/// What the queue has to know of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its id (a ULID).
    pub id: String,
    /// Its group.
    pub group: String,
    /// From -100 to 100; larger goes first.
    pub priority: i32,
    /// Ids of the tasks that come first.
    pub after: Vec<String>,
    /// What becomes of it when one of them has not succeeded.
    pub on_failed_dependency: OnFailedDependency,
    /// Further attempts after a failure.
    pub retries: u32,
    /// How long an attempt may take.
    pub timeout: Option<Millis>,
    /// It has failed if it is not over by then.
    pub deadline: Option<i64>,
    /// The account whose limits it shares; none for a command.
    pub account: Option<String>,
    /// The agent of the config that is asked; none for a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// What somebody wants of a task that runs: it is kept, so that it is not forgotten with the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// It is to end for good.
    Cancel,
    /// It is to end, and to go on later.
    Pause,
}

/// A task as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// What it is.
    pub spec: TaskSpec,
    /// How it stands.
    pub state: TaskState,
    /// Why, in words.
    pub reason: Option<String>,
    /// How many attempts have begun; the last one is the one that runs.
    pub attempt: u32,
    /// How many of them count as failures.
    pub failures: u32,
    /// How often it was turned away in a row by a busy API.
    pub pushbacks: u32,
    /// Since when it has wanted to run.
    pub queued_at: i64,
    /// Until when it waits, if it waits for a time.
    pub held_until: Option<i64>,
    /// The session that a further attempt goes on with.
    pub session: Option<String>,
    /// The first attempt of those that belong together: a fresh one goes on with nothing of before.
    #[serde(default)]
    pub first: u32,
    /// What is wanted of its run.
    pub wish: Option<Wish>,
    /// When the present or last attempt began.
    pub started_at: Option<i64>,
    /// When it ended.
    pub ended_at: Option<i64>,
}

impl TaskRow {
    /// That of a task that has just been added.
    pub fn new(spec: TaskSpec, now: i64) -> Self {
        Self {
            spec,
            state: TaskState::Waiting,
            reason: None,
            attempt: 0,
            failures: 0,
            pushbacks: 0,
            queued_at: now,
            held_until: None,
            session: None,
            first: 0,
            wish: None,
            started_at: None,
            ended_at: None,
        }
    }

    /// The name of the run of its present or last attempt.
    pub fn run(&self) -> String {
        run_of(&self.spec.id, self.attempt)
    }
}

/// The name of the run of an attempt, which is also that of its directory.
pub fn run_of(task: &str, attempt: u32) -> String {
    format!("{task}-{attempt}")
}

/// The task and the attempt that a run is of, if it is that of a task.
pub fn attempt_of(run: &str) -> Option<(&str, u32)> {
    let (task, attempt) = run.rsplit_once('-')?;
    Some((task, attempt.parse().ok()?))
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it was meant to.
    Success,
    /// The account's usage limit is reached.
    UsageLimit {
        /// When it has passed, if that was said.
        until: i64,
    },
    /// The API is busy, or has had enough of this account for now.
    Busy {
        /// How long it asks to be left alone.
        wait: Option<Millis>,
    },
    /// The account is not logged in.
    Auth,
    /// It crashed, or was killed by somebody.
    Crash(String),
    /// Another attempt would come to the same end: a refusal, too many turns, the budget, bad usage.
    Final(String),
}

/// Something happened, or is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// New tasks, which [`check`] has found nothing wrong with.
    Add(Vec<TaskSpec>),
    /// A row is on the disk.
    Saved {
        /// The task.
        id: String,
        /// Number of the [`Effect::Save`].
        number: u64,
    },
    /// The disk has refused rows that were to be kept together: tasks, by id, and numbers of [`Effect::Save`].
    Unsaved(Vec<(String, u64)>),
    /// A run lives.
    Lives {
        /// Its name.
        run: String,
        /// The session, as soon as that is known.
        session: Option<String>,
    },
    /// A run is over.
    Ended {
        /// Its name.
        run: String,
        /// How.
        outcome: Outcome,
        /// The session, if there was one.
        session: Option<String>,
    },
    /// A run does not live, has left no record, and can never begin any more.
    Lost {
        /// Its name.
        run: String,
    },
    /// Somebody ends a task.
    Cancel(String),
    /// Somebody pauses a task.
    Pause(String),
    /// Somebody has a paused task go on.
    Resume(String),
    /// Nothing more of this group starts.
    PauseGroup(String),
    /// It does again.
    ResumeGroup(String),
    /// What the config says of what may run.
    Limits {
        /// How many at once, together.
        parallel: usize,
        /// How many at once of a group.
        groups: HashMap<String, usize>,
        /// Of which agents. What another one is to be asked waits until there is one of its name.
        agents: HashSet<String>,
    },
    /// The account may be used again, whatever was said before.
    Open(String),
    /// The account may not be used before a time: its limit was reached somewhere else.
    Close {
        /// The account.
        account: String,
        /// Until when.
        until: i64,
    },
    /// Somebody has a task that is over begin again, and with it those that were skipped because of it.
    Retry {
        /// The task.
        id: String,
        /// It begins a session of its own anew.
        fresh: bool,
    },
    /// A task that neither runs nor is over is another one: the same id, the same tasks that come first.
    Edit {
        /// What it is from now on.
        spec: Box<TaskSpec>,
        /// It is asked something else: it goes on with nothing of before.
        fresh: bool,
    },
    /// Tasks that are over are not remembered any more.
    Forget(Vec<String>),
    /// Time has passed.
    Tick,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The row is to be kept; then comes [`Input::Saved`] with this number. Rows of one task are kept in their
    /// order.
    Save {
        /// It.
        row: Box<TaskRow>,
        /// The number.
        number: u64,
    },
    /// A run is to begin, unless one of this name has begun before.
    Launch {
        /// Its name.
        run: String,
        /// The session that it goes on with.
        session: Option<String>,
    },
    /// A run is to end.
    Stop {
        /// Its name.
        run: String,
    },
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// So many come first and are not over.
    Behind(usize),
    /// Until its time has come.
    Held,
    /// In its lane.
    Queued,
    Paused,
    /// The row that names its run is on its way to the disk.
    Saving,
    /// Its run was asked for, or lives, or may live: a daemon before this one has asked for it.
    Alive,
    Over,
}

impl Stage {
    /// It takes room.
    fn runs(self) -> bool {
        matches!(self, Self::Saving | Self::Alive)
    }
}

struct Task {
    row: TaskRow,
    stage: Stage,
    /// Number of its newest row.
    number: u64,
    /// Its run is being ended since it took too long.
    overdue: bool,
    /// When it is to be looked at.
    timer: Option<i64>,
    /// It has been on the disk: it is accepted.
    kept: bool,
}

impl Task {
    fn new(row: TaskRow, stage: Stage, kept: bool) -> Self {
        Self { row, stage, number: 0, overdue: false, timer: None, kept }
    }
}

/// An account: whether its tasks may start, and how quickly one after another.
#[derive(Default)]
struct Account {
    /// Nothing of it starts before this; [`i64::MAX`]: before somebody says so.
    closed_until: Option<i64>,
    /// How busy its API was lately: each is twice the time between two starts.
    slowness: u32,
    /// The next start of it is not before this.
    next_at: i64,
}

impl Account {
    fn may_start(&self, now: i64) -> bool {
        self.closed_until.is_none_or(|until| until <= now) && self.next_at <= now
    }

    fn gap(&self) -> Millis {
        GAP_MS.saturating_mul(1 << self.slowness.min(16)).min(GAP_MS_MAX)
    }
}

/// All tasks. See the module.
pub struct Tasks {
    tasks: HashMap<String, Task>,
    /// Who waits for a task, by its id.
    dependents: HashMap<String, BTreeSet<String>>,
    lanes: Lanes,
    timers: BTreeSet<(i64, String)>,
    accounts: HashMap<String, Account>,
    paused_groups: HashSet<String>,
    parallel: usize,
    groups: HashMap<String, usize>,
    /// Those of the config; none before it was read.
    agents: Option<HashSet<String>>,
    /// How many run, by group.
    running: HashMap<String, usize>,
    saves: u64,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            tasks: HashMap::new(),
            dependents: HashMap::new(),
            lanes: Lanes::default(),
            timers: BTreeSet::new(),
            accounts: HashMap::new(),
            paused_groups: HashSet::new(),
            parallel: TASKS_PARALLEL_DEFAULT as usize,
            groups: HashMap::new(),
            agents: None,
            running: HashMap::new(),
            saves: 0,
        }
    }
}

impl Tasks {
    /// What was kept, as a daemon finds it that begins, and what follows. Nothing starts before the first
    /// [`Input::Limits`]. For each run of [`Tasks::runs`] must
    /// come [`Input::Lives`], [`Input::Ended`] or [`Input::Lost`]; until then it takes its room.
    pub fn restore(rows: Vec<TaskRow>, now: i64) -> (Self, Vec<Effect>) {
        let mut tasks = Self::default();
        let mut waiting = Vec::new();
        for row in rows {
            let stage = match row.state {
                TaskState::Queued | TaskState::Waiting if row.held_until.is_some() => Stage::Held,
                TaskState::Queued | TaskState::Waiting => Stage::Behind(0),
                TaskState::Running => Stage::Alive,
                TaskState::Paused => Stage::Paused,
                TaskState::Done | TaskState::Failed | TaskState::Canceled | TaskState::Skipped => Stage::Over,
            };
            if stage.runs() {
                *tasks.running.entry(row.spec.group.clone()).or_default() += 1;
            }
            if stage == Stage::Behind(0) {
                waiting.push(row.spec.id.clone());
            }
            tasks.tasks.insert(row.spec.id.clone(), Task::new(row, stage, true));
        }
        let mut out = Vec::new();
        waiting.sort();
        for id in waiting {
            tasks.place(&id, now, &mut out);
        }
        let ids: Vec<String> = tasks.tasks.keys().cloned().collect();
        for id in ids {
            tasks.arm(&id);
        }
        (tasks, out)
    }

    /// All tasks that run or may run.
    pub fn runs(&self) -> impl Iterator<Item = &TaskRow> {
        self.tasks.values().filter(|task| task.stage == Stage::Alive).map(|task| &task.row)
    }

    /// A task, as it stands now.
    pub fn row(&self, id: &str) -> Option<&TaskRow> {
        self.tasks.get(id).map(|task| &task.row)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// A run of it was asked for, or lives.
    pub fn is_running(&self, id: &str) -> bool {
        self.tasks.get(id).is_some_and(|task| task.stage.runs())
    }

    /// Its run is to end, since somebody wants it or it takes too long.
    pub fn is_unwanted(&self, id: &str) -> bool {
        self.tasks.get(id).is_some_and(|task| task.overdue || task.row.wish.is_some())
    }

    /// Nothing more of this group starts.
    pub fn is_paused(&self, group: &str) -> bool {
        self.paused_groups.contains(group)
    }

    /// Until when each account is closed that is; [`i64::MAX`]: before somebody says so.
    pub fn closed(&self, now: i64) -> impl Iterator<Item = (&str, i64)> {
        self.accounts.iter().filter_map(move |(name, account)| {
            let until = account.closed_until.filter(|until| *until > now)?;
            Some((name.as_str(), until))
        })
    }

    /// All tasks, in no order.
    pub fn rows(&self) -> impl Iterator<Item = &TaskRow> {
        self.tasks.values().map(|task| &task.row)
    }

    /// Something has happened. `now` in milliseconds since 1970; `chance`, from 0 to 1, is where in the jitter a
    /// wait falls.
    pub fn step(&mut self, input: Input, now: i64, chance: f64) -> Vec<Effect> {
        let mut out = Vec::new();
        match input {
            Input::Add(specs) => self.add(specs, now, &mut out),
            Input::Saved { id, number } => self.saved(&id, number, now, &mut out),
            Input::Unsaved(rows) => {
                for (id, number) in rows {
                    self.unsaved(&id, number, now, &mut out);
                }
            }
            Input::Lives { run, session } => self.lives(&run, session, &mut out),
            Input::Ended { run, outcome, session } => {
                if let Some(id) = self.alive(&run) {
                    self.ended(&id, outcome, session, now, chance, &mut out);
                }
            }
            Input::Lost { run } => {
                if let Some(id) = self.alive(&run) {
                    self.lost(&id, now, chance, &mut out);
                }
            }
            Input::Cancel(id) => self.cancel(&id, now, &mut out),
            Input::Pause(id) => self.pause(&id, &mut out),
            Input::Resume(id) => self.resume(&id, now, &mut out),
            Input::PauseGroup(group) => {
                self.paused_groups.insert(group);
            }
            Input::ResumeGroup(group) => {
                self.paused_groups.remove(&group);
            }
            Input::Limits { parallel, groups, agents } => {
                (self.parallel, self.groups) = (parallel, groups);
                self.know_agents(agents, &mut out);
            }
            Input::Open(account) => self.open(&account, now, &mut out),
            Input::Close { account, until } => {
                let account = self.accounts.entry(account).or_default();
                account.closed_until = Some(account.closed_until.unwrap_or(0).max(until));
            }
            Input::Retry { id, fresh } => self.retry(&id, fresh, now, &mut out),
            Input::Edit { spec, fresh } => self.edit(*spec, fresh, now, &mut out),
            Input::Forget(ids) => {
                for id in ids {
                    if self.tasks.get(&id).is_some_and(|task| task.stage == Stage::Over) {
                        self.tasks.remove(&id);
                    }
                }
            }
            Input::Tick => {}
        }
        self.look_at_times(now, &mut out);
        self.start(now, &mut out);
        out
    }

    /// When time has something to bring, in milliseconds since 1970.
    pub fn wake_at(&self) -> Option<i64> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let has_room = self.running.values().sum::<usize>() < self.parallel;
        let may = |lane: &&Lane| {
            has_room && self.group_has_room(&lane.group) && self.has_agent(lane.agent.as_ref())
        };
        let opens = self.lanes.lanes().filter(may);
        let opens = opens.filter_map(|lane| {
            let account = self.accounts.get(lane.account.as_ref()?)?;
            Some(account.next_at.max(account.closed_until.unwrap_or(0)))
        });
        timer.into_iter().chain(opens.filter(|at| *at < i64::MAX)).min()
    }

    // what is wanted

    fn add(&mut self, specs: Vec<TaskSpec>, now: i64, out: &mut Vec<Effect>) {
        let ids: Vec<String> = specs.iter().map(|spec| spec.id.clone()).collect();
        for spec in specs {
            let row = TaskRow::new(spec, now);
            self.tasks.insert(row.spec.id.clone(), Task::new(row, Stage::Behind(0), false));
        }
        for id in ids {
            // one that came before may have decided it already
            if self.tasks.get(&id).is_some_and(|task| task.stage != Stage::Over) {
                self.place(&id, now, out);
            }
        }
    }

    /// Finds its place for a task that neither runs nor waits for a time: behind others, in its lane, or over.
    fn place(&mut self, id: &str, now: i64, out: &mut Vec<Effect>) {
        let open = self.wait_for_others(id);
        if let Some(failed) = self.failed_dependency(id) {
            return self.left_behind(id, &failed, now, out);
        }
        if open == 0 {
            return self.queue(id, now, out);
        }
        self.set_stage(id, Stage::Behind(open));
        self.set(id, TaskState::Waiting, Some(behind(open)), out);
        self.arm(id);
    }

    fn cancel(&mut self, id: &str, now: i64, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        match task.stage {
            Stage::Over => {}
            Stage::Alive => {
                task.row.wish = Some(Wish::Cancel);
                out.push(Effect::Stop { run: task.row.run() });
                self.set(id, TaskState::Running, Some("is being canceled".into()), out);
            }
            // its run was not asked for: the row that says so comes behind the one that names it
            Stage::Saving | Stage::Behind(_) | Stage::Held | Stage::Queued | Stage::Paused => {
                self.end(id, TaskState::Canceled, None, now, out);
            }
        }
    }

    fn pause(&mut self, id: &str, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        match task.stage {
            Stage::Over | Stage::Paused => {}
            Stage::Alive => {
                if task.row.wish.is_none() {
                    task.row.wish = Some(Wish::Pause);
                    out.push(Effect::Stop { run: task.row.run() });
                    self.set(id, TaskState::Running, Some("is being paused".into()), out);
                }
            }
            Stage::Saving | Stage::Behind(_) | Stage::Held | Stage::Queued => {
                task.row.held_until = None;
                self.set_stage(id, Stage::Paused);
                self.set(id, TaskState::Paused, None, out);
            }
        }
    }

    fn resume(&mut self, id: &str, now: i64, out: &mut Vec<Effect>) {
        if self.tasks.get(id).is_none_or(|task| task.stage != Stage::Paused) {
            return;
        }
        self.place(id, now, out);
    }

    fn retry(&mut self, id: &str, fresh: bool, now: i64, out: &mut Vec<Effect>) {
        let mut again = Vec::new();
        let mut next = vec![id.to_owned()];
        // only a person asks for this, and not often: all tasks are looked at, once
        let mut behind: HashMap<String, Vec<String>> = HashMap::new();
        for task in self.tasks.values() {
            for other in &task.row.spec.after {
                behind.entry(other.clone()).or_default().push(task.row.spec.id.clone());
            }
        }
        while let Some(id) = next.pop() {
            let Some(task) = self.tasks.get_mut(&id).filter(|task| task.stage == Stage::Over) else {
                continue;
            };
            task.stage = Stage::Behind(0);
            task.row.ended_at = None;
            (task.row.failures, task.row.pushbacks) = (0, 0);
            task.row.queued_at = now;
            // what is done is not gone on with, but done again
            if fresh || task.row.state == TaskState::Done {
                (task.row.session, task.row.first) = (None, task.row.attempt + 1);
            }
            let mut others = behind.remove(&id).unwrap_or_default();
            others.sort();
            for other in others {
                let Some(task) = self.tasks.get_mut(&other) else { continue };
                match task.stage {
                    Stage::Over if task.row.state == TaskState::Skipped => next.push(other),
                    // it waits for others still: from now on for this one too
                    Stage::Behind(open) => {
                        if self.dependents.entry(id.clone()).or_default().insert(other) {
                            task.stage = Stage::Behind(open + 1);
                        }
                    }
                    Stage::Over
                    | Stage::Held
                    | Stage::Queued
                    | Stage::Paused
                    | Stage::Saving
                    | Stage::Alive => {}
                }
            }
            again.push(id);
        }
        for id in again {
            self.place(&id, now, out);
        }
    }

    fn edit(&mut self, spec: TaskSpec, fresh: bool, now: i64, out: &mut Vec<Effect>) {
        let id = spec.id.clone();
        let Some(task) =
            self.tasks.get_mut(&id).filter(|task| !task.stage.runs() && task.stage != Stage::Over)
        else {
            return;
        };
        let stage = task.stage;
        if stage == Stage::Queued {
            self.lanes.remove(&id);
        }
        let Some(task) = self.tasks.get_mut(&id) else { return };
        task.row.spec = TaskSpec { after: task.row.spec.after.clone(), ..spec };
        if fresh {
            (task.row.session, task.row.first) = (None, task.row.attempt + 1);
        }
        let (state, reason) = (task.row.state, task.row.reason.clone());
        self.set_stage(&id, stage);
        self.set(&id, state, reason, out);
        self.arm(&id);
        self.look_at_times(now, out);
    }

    /// The config has these agents now. What waits for one says so.
    fn know_agents(&mut self, agents: HashSet<String>, out: &mut Vec<Effect>) {
        if self.agents.as_ref() == Some(&agents) {
            return;
        }
        self.agents = Some(agents);
        let queued = self.tasks.iter().filter(|(_, task)| task.stage == Stage::Queued);
        let mut queued: Vec<String> = queued.map(|(id, _)| id.clone()).collect();
        queued.sort();
        for id in queued {
            let (why, said) = (self.without_agent(&id), self.tasks[&id].row.reason.as_deref());
            // another reason stays while its agent is there
            let gone = why.is_none() && said.is_some_and(|said| said.starts_with(NO_AGENT));
            if gone || why.as_deref().is_some_and(|why| said != Some(why)) {
                self.set(&id, TaskState::Queued, why, out);
            }
        }
    }

    /// Why a task waits that the config has no agent for. Before that is known, what was said stays.
    fn without_agent(&self, id: &str) -> Option<String> {
        let row = &self.tasks.get(id)?.row;
        let agent = row.spec.agent.as_ref()?;
        if self.agents.is_none() {
            return row.reason.clone().filter(|said| said.starts_with(NO_AGENT));
        }
        (!self.has_agent(Some(agent))).then(|| format!("{NO_AGENT} {agent}"))
    }

    /// Whether the config has the agent that is asked, if one is. No before the config is known.
    fn has_agent(&self, agent: Option<&String>) -> bool {
        self.agents.as_ref().is_some_and(|agents| agent.is_none_or(|agent| agents.contains(agent)))
    }

    fn open(&mut self, name: &str, now: i64, out: &mut Vec<Effect>) {
        let until = self.accounts.remove(name).and_then(|account| account.closed_until);
        let held = self.tasks.values().filter(|task| {
            task.stage == Stage::Held
                && task.row.spec.account.as_deref() == Some(name)
                && task.row.held_until.is_some_and(|at| Some(at) <= until)
                && task.row.pushbacks == 0
        });
        let mut held: Vec<String> = held.map(|task| task.row.spec.id.clone()).collect();
        held.sort();
        for id in held {
            self.queue(&id, now, out);
        }
    }

    // what happens

    fn saved(&mut self, id: &str, number: u64, now: i64, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.kept = true;
        if task.stage == Stage::Saving && task.number == number {
            task.stage = Stage::Alive;
            // what the disk took is not its own time
            task.row.started_at = Some(now);
            out.push(Effect::Launch { run: task.row.run(), session: task.row.session.clone() });
            self.arm(id);
        }
    }

    /// One that was never kept is none. A run that cannot be kept is not asked for, as a daemon after this one
    /// would not know of it: the attempt is taken back.
    fn unsaved(&mut self, id: &str, number: u64, now: i64, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        if !task.kept {
            self.set_stage(id, Stage::Over);
            self.disarm(id);
            self.tasks.remove(id);
            // one that has been put behind it meanwhile would wait for ever
            for dependent in self.dependents.remove(id).unwrap_or_default() {
                if self.tasks.get(&dependent).is_some_and(|t| t.kept && matches!(t.stage, Stage::Behind(_))) {
                    let why = format!("{id} comes first, and could not be kept");
                    self.end(&dependent, TaskState::Skipped, Some(why), now, out);
                }
            }
        } else if task.stage == Stage::Saving && task.number == number {
            task.row.attempt -= 1;
            task.row.state = TaskState::Waiting;
            task.row.reason = Some("the disk keeps nothing".into());
            task.row.held_until = Some(now + REFUSED_MS);
            self.set_stage(id, Stage::Held);
            self.arm(id);
        }
    }

    fn lives(&mut self, run: &str, session: Option<String>, out: &mut Vec<Effect>) {
        let Some(id) = self.alive(run) else { return };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if session.is_some() && session != task.row.session {
            task.row.session = session;
            self.set(&id, TaskState::Running, None, out);
        }
        let Some(task) = self.tasks.get_mut(&id) else { return };
        // wanted before a daemon ended, or before the run began
        if task.row.wish.is_some() {
            out.push(Effect::Stop { run: run.to_owned() });
        }
    }

    fn ended(
        &mut self,
        id: &str,
        outcome: Outcome,
        session: Option<String>,
        now: i64,
        chance: f64,
        out: &mut Vec<Effect>,
    ) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        if session.is_some() {
            task.row.session = session;
        }
        let (wish, overdue) = (task.row.wish.take(), std::mem::take(&mut task.overdue));
        let deadline = task.row.spec.deadline.is_some_and(|at| at <= now);
        let account = task.row.spec.account.clone();
        if outcome == Outcome::Success {
            task.row.pushbacks = 0;
            if let Some(account) = account.and_then(|name| self.accounts.get_mut(&name)) {
                account.slowness = account.slowness.saturating_sub(1);
            }
            return self.end(id, TaskState::Done, None, now, out);
        }
        match wish {
            Some(Wish::Cancel) => return self.end(id, TaskState::Canceled, None, now, out),
            _ if deadline => return self.end(id, TaskState::Failed, Some(DEADLINE.into()), now, out),
            Some(Wish::Pause) => {
                self.set_stage(id, Stage::Paused);
                return self.set(id, TaskState::Paused, None, out);
            }
            None => {}
        }
        if overdue {
            return self.failed(id, TOO_LONG.into(), now, chance, out);
        }
        match outcome {
            Outcome::Success => unreachable!("handled above"),
            Outcome::UsageLimit { until } => {
                // an API that still refuses when its own time has come is not asked again at once
                let until = until.max(now + LIMIT_MS_MIN);
                if let Some(name) = account {
                    let account = self.accounts.entry(name).or_default();
                    account.closed_until = Some(account.closed_until.unwrap_or(0).max(until));
                }
                self.hold(id, until, "waits until the usage limit has passed".into(), out);
            }
            Outcome::Busy { wait } => {
                task.row.pushbacks += 1;
                let pushbacks = task.row.pushbacks;
                if let Some(name) = account {
                    let account = self.accounts.entry(name).or_default();
                    account.slowness = (account.slowness + 1).min(16);
                    account.next_at = account.next_at.max(now + signed(account.gap()));
                }
                if pushbacks > PUSHBACKS_MAX {
                    return self.failed(id, "the API is too busy".into(), now, chance, out);
                }
                let wait = wait.unwrap_or(0).max(backoff(pushbacks, chance));
                self.hold(id, now + signed(wait), "the API is busy".into(), out);
            }
            Outcome::Auth => {
                if let Some(name) = account {
                    self.accounts.entry(name).or_default().closed_until = Some(i64::MAX);
                }
                self.queue(id, now, out);
                self.say(id, "its account is not logged in", out);
            }
            Outcome::Crash(why) => self.failed(id, why, now, chance, out),
            Outcome::Final(why) => self.end(id, TaskState::Failed, Some(why), now, out),
        }
    }

    /// An attempt has failed: another one follows after a while, or none.
    fn failed(&mut self, id: &str, why: String, now: i64, chance: f64, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        task.row.failures += 1;
        task.row.pushbacks = 0;
        if task.row.failures > task.row.spec.retries {
            return self.end(id, TaskState::Failed, Some(why), now, out);
        }
        let wait = backoff(task.row.failures, chance);
        self.hold(id, now + signed(wait), why, out);
    }

    /// Its run went with the machine, or has never begun. That is no failure of the task's.
    fn lost(&mut self, id: &str, now: i64, chance: f64, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let overdue = std::mem::take(&mut task.overdue);
        match task.row.wish.take() {
            Some(Wish::Cancel) => self.end(id, TaskState::Canceled, None, now, out),
            Some(Wish::Pause) => {
                self.set_stage(id, Stage::Paused);
                self.set(id, TaskState::Paused, None, out);
            }
            // it waited so long for its start
            None if overdue => self.failed(id, TOO_LONG.into(), now, chance, out),
            None => self.queue(id, now, out),
        }
    }

    // moves

    /// It is over. What waits for it is told.
    fn end(&mut self, id: &str, state: TaskState, reason: Option<String>, now: i64, out: &mut Vec<Effect>) {
        let mut over = vec![(id.to_owned(), state, reason)];
        while let Some((id, state, reason)) = over.pop() {
            self.set_stage(&id, Stage::Over);
            if let Some(task) = self.tasks.get_mut(&id) {
                task.row.ended_at = Some(now);
                task.row.held_until = None;
                task.row.wish = None;
            }
            self.set(&id, state, reason, out);
            self.disarm(&id);
            for dependent in self.dependents.remove(&id).unwrap_or_default() {
                let Some(task) = self.tasks.get_mut(&dependent) else { continue };
                let Stage::Behind(open) = task.stage else { continue };
                match (state, task.row.spec.on_failed_dependency) {
                    (TaskState::Done, _) | (_, OnFailedDependency::Run) if open <= 1 => {
                        self.queue(&dependent, now, out);
                    }
                    (TaskState::Done, _) | (_, OnFailedDependency::Run) => {
                        task.stage = Stage::Behind(open - 1);
                    }
                    (_, OnFailedDependency::Skip) => {
                        over.push((dependent, TaskState::Skipped, Some(follows(&id, state))));
                    }
                    (_, OnFailedDependency::Fail) => {
                        over.push((dependent, TaskState::Failed, Some(follows(&id, state))));
                    }
                }
            }
        }
    }

    /// One that comes first has not succeeded, and that decides.
    fn left_behind(&mut self, id: &str, failed: &str, now: i64, out: &mut Vec<Effect>) {
        let Some(state) = self.tasks.get(failed).map(|task| task.row.state) else { return };
        let end = match self.tasks[id].row.spec.on_failed_dependency {
            OnFailedDependency::Fail => TaskState::Failed,
            OnFailedDependency::Skip | OnFailedDependency::Run => TaskState::Skipped,
        };
        self.end(id, end, Some(follows(failed, state)), now, out);
    }

    /// It may start when there is room.
    fn queue(&mut self, id: &str, now: i64, out: &mut Vec<Effect>) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.row.held_until = None;
            if matches!(task.stage, Stage::Behind(_)) && task.row.attempt == 0 {
                // before that it did not wait for room
                task.row.queued_at = now;
            }
        }
        self.set_stage(id, Stage::Queued);
        self.set(id, TaskState::Queued, self.without_agent(id), out);
        self.arm(id);
    }

    /// It waits for a time.
    fn hold(&mut self, id: &str, until: i64, why: String, out: &mut Vec<Effect>) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.row.held_until = Some(until);
        }
        self.set_stage(id, Stage::Held);
        self.set(id, TaskState::Waiting, Some(why), out);
        self.arm(id);
    }

    /// What the times bring that have come.
    fn look_at_times(&mut self, now: i64, out: &mut Vec<Effect>) {
        while let Some((at, id)) = self.timers.first().cloned() {
            if at > now {
                break;
            }
            self.disarm(&id);
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let late = task.row.spec.deadline.is_some_and(|at| at <= now);
            match task.stage {
                Stage::Over => {}
                Stage::Alive => {
                    if !task.overdue {
                        task.overdue = true;
                        out.push(Effect::Stop { run: task.row.run() });
                    }
                }
                Stage::Saving | Stage::Behind(_) | Stage::Held | Stage::Queued | Stage::Paused if late => {
                    self.end(&id, TaskState::Failed, Some(DEADLINE.into()), now, out);
                }
                Stage::Held => self.queue(&id, now, out),
                Stage::Saving | Stage::Behind(_) | Stage::Queued | Stage::Paused => self.arm(&id),
            }
        }
    }

    /// Starts what has room, in its order: nothing before it is known what the config says.
    fn start(&mut self, now: i64, out: &mut Vec<Effect>) {
        while self.running.values().sum::<usize>() < self.parallel {
            let may = |lane: &Lane| {
                self.group_has_room(&lane.group)
                    && self.has_agent(lane.agent.as_ref())
                    && lane
                        .account
                        .as_ref()
                        .and_then(|name| self.accounts.get(name))
                        .is_none_or(|account| account.may_start(now))
            };
            let Some(id) = self.lanes.first(may) else { return };
            self.set_stage(&id, Stage::Saving);
            let Some(task) = self.tasks.get_mut(&id) else { return };
            task.row.attempt += 1;
            task.row.started_at = Some(now);
            if let Some(name) = task.row.spec.account.clone() {
                let account = self.accounts.entry(name).or_default();
                account.next_at = now + signed(account.gap());
            }
            self.set(&id, TaskState::Running, None, out);
            self.arm(&id);
        }
    }

    // small parts

    /// The task whose present run has this name and was asked for.
    fn alive(&self, run: &str) -> Option<String> {
        let (id, attempt) = attempt_of(run)?;
        let task = self.tasks.get(id)?;
        (task.stage == Stage::Alive && attempt == task.row.attempt).then(|| id.to_owned())
    }

    fn group_has_room(&self, group: &str) -> bool {
        let running = self.running.get(group).copied().unwrap_or_default();
        !self.paused_groups.contains(group) && self.groups.get(group).is_none_or(|limit| running < *limit)
    }

    /// Says how a task stands, and has it kept.
    fn set(&mut self, id: &str, state: TaskState, reason: Option<String>, out: &mut Vec<Effect>) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        (task.row.state, task.row.reason) = (state, reason);
        self.saves += 1;
        task.number = self.saves;
        out.push(Effect::Save { row: Box::new(task.row.clone()), number: task.number });
    }

    fn say(&mut self, id: &str, reason: &str, out: &mut Vec<Effect>) {
        if let Some(state) = self.tasks.get(id).map(|task| task.row.state) {
            self.set(id, state, Some(reason.into()), out);
        }
    }

    /// Moves a task, in and out of its lane and of those that run.
    fn set_stage(&mut self, id: &str, stage: Stage) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let before = std::mem::replace(&mut task.stage, stage);
        let spec = &task.row.spec;
        if before == Stage::Queued && stage != Stage::Queued {
            self.lanes.remove(id);
        }
        if stage == Stage::Queued {
            let lane =
                Lane { group: spec.group.clone(), account: spec.account.clone(), agent: spec.agent.clone() };
            self.lanes.put(lane, Place { rank: rank(&task.row), id: id.to_owned() });
        }
        if before.runs() != stage.runs() {
            let running = self.running.entry(spec.group.clone()).or_default();
            *running = if stage.runs() { *running + 1 } else { running.saturating_sub(1) };
        }
    }

    /// Enters a task with those that it waits for. How many are not over.
    fn wait_for_others(&mut self, id: &str) -> usize {
        let Some(after) = self.tasks.get(id).map(|task| task.row.spec.after.clone()) else { return 0 };
        for other in after {
            if self.tasks.get(&other).is_some_and(|task| task.stage != Stage::Over) {
                self.dependents.entry(other).or_default().insert(id.to_owned());
            }
        }
        self.open_dependencies(id)
    }

    fn open_dependencies(&self, id: &str) -> usize {
        let after = self.tasks.get(id).map_or(&[][..], |task| &task.row.spec.after);
        after.iter().filter(|other| self.tasks.get(*other).is_some_and(|t| t.stage != Stage::Over)).count()
    }

    /// The first that has not succeeded of those that come first, where that matters.
    fn failed_dependency(&self, id: &str) -> Option<String> {
        let spec = &self.tasks.get(id)?.row.spec;
        let failed = |other: &&String| {
            let other = self.tasks.get(*other);
            other.is_some_and(|task| task.stage == Stage::Over && task.row.state != TaskState::Done)
        };
        if spec.on_failed_dependency == OnFailedDependency::Run {
            return None;
        }
        spec.after.iter().find(failed).cloned()
    }

    /// Sets the one timer of a task.
    fn arm(&mut self, id: &str) {
        self.disarm(id);
        let Some(task) = self.tasks.get_mut(id) else { return };
        let spec = &task.row.spec;
        let at = match task.stage {
            Stage::Over => None,
            Stage::Held => earliest(task.row.held_until, spec.deadline),
            Stage::Alive if !task.overdue => {
                let limit = spec.timeout.zip(task.row.started_at).map(|(ms, at)| at + signed(ms));
                earliest(limit, spec.deadline)
            }
            Stage::Alive => None,
            Stage::Saving | Stage::Behind(_) | Stage::Queued | Stage::Paused => spec.deadline,
        };
        task.timer = at;
        self.timers.extend(at.map(|at| (at, id.to_owned())));
    }

    fn disarm(&mut self, id: &str) {
        if let Some(at) = self.tasks.get_mut(id).and_then(|task| task.timer.take()) {
            self.timers.remove(&(at, id.to_owned()));
        }
    }
}

const TOO_LONG: &str = "it took too long";
const DEADLINE: &str = "its deadline has passed";
const NO_AGENT: &str = "the config has no agent";

/// Where a task stands in its lane; the smallest goes first.
fn rank(row: &TaskRow) -> i64 {
    let priority = row.spec.priority.clamp(-PRIORITY_MAX, PRIORITY_MAX);
    row.queued_at - i64::from(priority) * AGE_MS
}

fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

fn signed(ms: Millis) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX / 2)
}

/// The wait after so many failures in a row, from 1.
fn backoff(failures: u32, chance: f64) -> Millis {
    let full = RETRY_MS_MIN.saturating_mul(1 << failures.saturating_sub(1).min(32)).min(RETRY_MS_MAX);
    (full as f64 * (1.0 + JITTER * (2.0 * chance - 1.0))) as Millis
}

fn behind(open: usize) -> String {
    if open == 1 { "one task comes first".into() } else { format!("{open} tasks come first") }
}

fn follows(other: &str, state: TaskState) -> String {
    format!("{other} comes first, and is {state}")
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
