//! Hooks of the user's: which of them an event is for, and which run now, later or not at all.
//!
//! Events tell how a process is, and are told again when something else of it has changed. So what was
//! last told of each is kept. It is fed with events of before this daemon too, so that nothing is taken for
//! new that only goes on.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use indexmap::IndexMap;
use wezterm_parallel_schemas::{
    event::{Event, EventKind},
    on::OnEvent,
    process::{State, Status},
    task::TaskState,
};

use crate::spec::OnSpec;

/// Hooks that run at the same time: as many as a small machine has processors, and a few that only wait.
pub const RUNNING_HOOKS_MAX: usize = 4;
/// Hooks that wait for their turn: what fifty agents bring about in a busy minute. One that waits behind
/// more than that would tell of something long past.
pub const WAITING_HOOKS_MAX: usize = 100;
/// That hooks are left out is told at most this often, in milliseconds.
pub const LEFT_OUT_MS: i64 = 60_000;

/// A hook that is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// What it is for.
    pub on: OnEvent,
    /// What is run.
    pub spec: OnSpec,
    /// What has happened.
    pub event: Rc<Event>,
}

/// What comes in.
#[derive(Debug)]
pub enum Input {
    /// These are the hooks from now on.
    Wanted(IndexMap<OnEvent, Vec<OnSpec>>),
    /// Something has happened.
    Happened(Rc<Event>),
    /// A hook has ended.
    Ended,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Run this one.
    Run(Job),
    /// Say that so many were left out since that was last said.
    LeftOut(u64),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Hooks {
    hooks: IndexMap<OnEvent, Vec<OnSpec>>,
    known: HashMap<String, Known>,
    running: usize,
    waiting: VecDeque<Job>,
    left_out: u64,
    told_at: Option<i64>,
}

/// What was last told of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Its state.
    state: Option<State>,
    /// The state of a task.
    task: Option<TaskState>,
    /// A turn has ended that nobody has seen.
    unread: bool,
    /// The newest run of which it was told that it runs.
    started: Option<String>,
    /// The run that the following is about.
    run: Option<String>,
    /// The newest status that says what it does. One who begins or of whom nothing is known has not left
    /// what it was in: a daemon that begins anew goes through both.
    status: Option<Status>,
    /// It has worked, and no turn has been told to have ended since.
    turn: bool,
}

/// What an event is for hooks, when `known` is what was told before it.
pub fn names(event: &Event, known: &Known) -> Vec<OnEvent> {
    match event.kind {
        EventKind::ProcessState => state(event, known).into_iter().collect(),
        EventKind::ProcessStatus => status(event, known),
        EventKind::ProcessExit => vec![OnEvent::ProcessExited],
        EventKind::InboxAsked => vec![OnEvent::InboxAsked],
        EventKind::InboxDecided => vec![OnEvent::InboxDecided],
        EventKind::LimitReached => vec![OnEvent::LimitReached],
        EventKind::LimitPassed => vec![OnEvent::LimitPassed],
        EventKind::ConfigApplied => vec![OnEvent::ConfigApplied],
        EventKind::ConfigRefused => vec![OnEvent::ConfigRefused],
        // told again where only the reason is another one
        EventKind::TaskChanged | EventKind::TaskAdded if known.task != event.task_state => {
            event.task_state.and_then(task).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn state(event: &Event, known: &Known) -> Option<OnEvent> {
    let new = known.state != event.state;
    match event.state? {
        State::Running => (known.started != event.run_id).then_some(OnEvent::ProcessStarted),
        State::Failed => new.then_some(OnEvent::ProcessFailed),
        State::CrashLoop => new.then_some(OnEvent::ProcessCrashLoop),
        State::Stopped | State::Starting | State::Backoff | State::Stopping | State::Exited => None,
    }
}

fn status(event: &Event, known: &Known) -> Vec<OnEvent> {
    let known = known.in_run(event.run_id.as_ref());
    let mut names = Vec::new();
    let new = known.status != event.status;
    let rests = match event.status {
        Some(Status::Blocked(_)) => {
            names.extend(new.then_some(OnEvent::ProcessBlocked));
            false
        }
        Some(Status::RateLimited) => {
            names.extend(new.then_some(OnEvent::ProcessRateLimited));
            true
        }
        Some(Status::Idle | Status::Error) => true,
        Some(Status::Starting | Status::Working | Status::Unknown) | None => false,
    };
    // it stays unread over further turns that nobody sees
    if event.unread == Some(true) && (!known.unread || (known.turn && rests)) {
        names.push(OnEvent::ProcessDone);
    }
    names
}

/// What a state of a task is for hooks.
pub fn task(state: TaskState) -> Option<OnEvent> {
    match state {
        TaskState::Running => Some(OnEvent::TaskStarted),
        TaskState::Done => Some(OnEvent::TaskDone),
        TaskState::Failed => Some(OnEvent::TaskFailed),
        TaskState::Canceled => Some(OnEvent::TaskCanceled),
        TaskState::Skipped => Some(OnEvent::TaskSkipped),
        TaskState::Queued | TaskState::Waiting | TaskState::Paused => None,
    }
}

impl Known {
    /// A process as the daemon before this one left it: its state, whether it is unread, and the run that it
    /// had, if it ran.
    pub fn left(state: State, unread: bool, run: Option<String>) -> Self {
        Self { state: Some(state), unread, started: run, ..Self::default() }
    }

    /// The same of a task.
    pub fn task(state: TaskState) -> Self {
        Self { task: Some(state), ..Self::default() }
    }

    /// The same, as far as it is true of this run.
    fn in_run(&self, run: Option<&String>) -> Self {
        let other = run.is_some() && self.run.as_ref() != run;
        let known = self.clone();
        if other { Self { run: run.cloned(), status: None, turn: false, ..known } } else { known }
    }

    fn learn(&mut self, event: &Event) {
        match event.kind {
            EventKind::TaskChanged | EventKind::TaskAdded => self.task = event.task_state,
            EventKind::ProcessState => {
                self.state = event.state;
                if event.state == Some(State::Running) {
                    self.started.clone_from(&event.run_id);
                }
            }
            EventKind::ProcessStatus => {
                let done = status(event, self).contains(&OnEvent::ProcessDone);
                *self = self.in_run(event.run_id.as_ref());
                self.unread = event.unread == Some(true);
                let says = match event.status {
                    Some(Status::Working) => {
                        self.turn |= self.status != Some(Status::Working);
                        true
                    }
                    Some(Status::Idle | Status::Error | Status::RateLimited) => {
                        // somebody has seen it end
                        self.turn &= self.unread;
                        true
                    }
                    Some(Status::Blocked(_)) => true,
                    Some(Status::Starting | Status::Unknown) | None => false,
                };
                self.turn &= !done;
                if says {
                    self.status = event.status;
                }
            }
            _ => {}
        }
    }
}

impl Hooks {
    /// Takes note of how a process was left by the daemon before this one.
    pub fn knew(&mut self, id: String, known: Known) {
        self.known.insert(id, known);
    }

    /// Takes note of an event of before this daemon: its hooks have had their time.
    pub fn past(&mut self, event: &Event) {
        self.learn(event);
    }

    /// Those that wait are not run any more.
    pub fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// One step. `now` is in milliseconds since 1970.
    pub fn step(&mut self, input: Input, now: i64) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Wanted(hooks) => {
                self.hooks = hooks;
                // what was taken out of the config is not run from here on
                let hooks = &self.hooks;
                self.waiting.retain(|job| hooks.get(&job.on).is_some_and(|all| all.contains(&job.spec)));
            }
            Input::Happened(event) => {
                let names = self.learn(&event);
                for on in names {
                    for spec in self.hooks.get(&on).into_iter().flatten() {
                        let job = Job { on, spec: spec.clone(), event: Rc::clone(&event) };
                        if self.running < RUNNING_HOOKS_MAX {
                            self.running += 1;
                            effects.push(Effect::Run(job));
                        } else if self.waiting.len() < WAITING_HOOKS_MAX {
                            self.waiting.push_back(job);
                        } else {
                            self.left_out += 1;
                        }
                    }
                }
                if self.told_at.is_none_or(|at| now >= at + LEFT_OUT_MS) {
                    self.tell_left_out(now, &mut effects);
                }
            }
            Input::Ended => {
                self.running = self.running.saturating_sub(1);
                if let Some(job) = self.waiting.pop_front() {
                    self.running += 1;
                    effects.push(Effect::Run(job));
                } else if self.running == 0 {
                    // the rest of a flood, which no later one may follow
                    self.tell_left_out(now, &mut effects);
                }
            }
        }
        effects
    }

    fn tell_left_out(&mut self, now: i64, effects: &mut Vec<Effect>) {
        if self.left_out > 0 {
            effects.push(Effect::LeftOut(std::mem::take(&mut self.left_out)));
            self.told_at = Some(now);
        }
    }

    /// What the event is for hooks; from now on it is known.
    fn learn(&mut self, event: &Event) -> Vec<OnEvent> {
        if let (EventKind::TaskChanged | EventKind::TaskAdded, Some(task)) = (event.kind, &event.task) {
            let known = self.known.entry(task.clone()).or_default();
            let names = names(event, known);
            known.learn(event);
            if event.task_state.is_some_and(TaskState::is_end) {
                // of one that is over nothing is told again
                self.known.remove(task);
            }
            return names;
        }
        match (event.kind, &event.id) {
            (EventKind::ProcessState | EventKind::ProcessStatus, Some(id)) => {
                let known = self.known.entry(id.clone()).or_default();
                let names = names(event, known);
                known.learn(event);
                names
            }
            (EventKind::ProcessRemoved, Some(id)) => {
                self.known.remove(id);
                Vec::new()
            }
            _ => names(event, &Known::default()),
        }
    }
}

#[cfg(test)]
mod tests;
