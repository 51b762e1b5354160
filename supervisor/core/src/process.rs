//! One process: what it is meant to be, what it is, and what must be done about the difference.
//!
//! Start, reload, crash and shutdown are one path: inputs change what is meant or what is, and
//! [`Process::step`] ends by comparing the two.

use regex::Regex;
use serde::{Deserialize, Serialize};
use wezterm_parallel_schemas::{
    config::{StatusFrom, TitleMeaning},
    keeper::{ExitRecord, ProgramStatus, StartFailure},
    process::{Blocked, Kind, State, Status},
};

use crate::{
    restart::{History, Verdict},
    spec::{Millis, ProcessSpec},
    status::{Held, LOOK_MS, Limit, Tracker, Word},
};

/// Grace of a Claude that is killed at once: a SIGKILL in its first seconds would make its next start
/// use the other renderer, and it ends within 0.3 s of a SIGTERM.
const CLAUDE_KILL_GRACE_MS: Millis = 1_000;

/// A run that was adopted has at least this long to say how it stands: its keeper repeats its last word
/// within a few milliseconds, on a busy machine within a second.
const RECALL_MS: Millis = 10_000;

/// What is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// It shall run.
    Up,
    /// It shall not run.
    Down,
}

/// What is.
#[derive(Clone, Debug, PartialEq)]
enum Actual {
    Down(Rest),
    /// Waits for processes that come first.
    AwaitsOthers {
        why: Option<String>,
    },
    /// Waits for its place in the queue.
    AwaitsGate {
        why: Option<String>,
    },
    /// Its keeper has been asked for.
    Launching {
        run_id: String,
    },
    Up {
        run: Run,
        ready: bool,
    },
    /// It is being ended; `failure` says why, if that is not what anybody wanted.
    Stopping {
        run: Run,
        failure: Option<String>,
    },
    Backoff {
        until: Millis,
        why: String,
    },
}

/// How a process that does not run came to rest.
#[derive(Clone, Debug, PartialEq)]
enum Rest {
    Stopped,
    Exited,
    Failed(String),
    CrashLoop(String),
}

/// A life of the process.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Process id of the keeper.
    pub keeper_pid: i32,
    /// Process id of the program.
    pub pid: i32,
    /// When it began.
    pub started_at: Millis,
}

/// Something happened, or is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// It shall run. Forgets crash loops.
    Start,
    /// It shall not run. `now`: without the grace time.
    Stop {
        /// Kill at once.
        now: bool,
    },
    /// It shall end and run again. `now`: without the grace time.
    Restart {
        /// Kill at once.
        now: bool,
    },
    /// It shall end and run again because others do; not if somebody wants it down.
    Bounce,
    /// Those that come first have come far enough.
    Cleared,
    /// It waits for others, for this reason.
    HeldBack(String),
    /// It may start; the new run has this id.
    Admitted {
        /// Id of the new run.
        run_id: String,
    },
    /// It waits in the queue, for this reason.
    Queued(String),
    /// The program runs.
    Launched(Run),
    /// The program could not be started.
    LaunchFailed {
        /// Why.
        reason: StartFailure,
        /// Why, in words.
        message: String,
    },
    /// A run that lives already, found at the start of the daemon.
    Adopted(Run),
    /// The check of readiness came out well.
    Ready,
    /// The agent reported.
    Said(ProgramStatus),
    /// What the agent had reported last when the daemon came back to it.
    Recalled {
        /// The report.
        report: ProgramStatus,
        /// It came while the daemon was away.
        news: bool,
    },
    /// Something else was said about the agent.
    Heard(Word),
    /// The account of its agent has reached a usage limit, or is free again.
    Limited(Option<Limit>),
    /// It waits for a decision with a hook that is held open and no dialog beside, or no longer.
    Held(Option<Held>),
    /// What was decided of its agent held only until now, or the machine was to be looked at.
    Tick,
    /// Somebody attached or typed.
    Seen,
    /// The run is over.
    Exited {
        /// Which.
        run_id: String,
        /// How.
        exit: ExitRecord,
    },
    /// A timer that was armed has run out.
    Timer {
        /// Which.
        epoch: u64,
    },
    /// Lines that its Claude wrote were lost on the way.
    StreamLost,
    /// It is defined differently from now on. `restart`: what runs no longer fits.
    Redefined {
        /// The new definition.
        spec: Box<ProcessSpec>,
        /// Whether a running one must be started again.
        restart: bool,
    },
}

/// Something must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the workspace whether those that come first have come far enough.
    AskClearance,
    /// Ask for a place in the queue of starts.
    AskGate,
    /// Leave the queue of starts: it runs and has shown its first prompt, or no longer wants to.
    LeaveGate,
    /// Start the program as this run.
    Launch {
        /// Id of the run.
        run_id: String,
    },
    /// Find out whether it is ready, and say so.
    Probe {
        /// Id of the run.
        run_id: String,
    },
    /// End the run.
    Stop {
        /// Id of the run.
        run_id: String,
        /// Milliseconds after SIGTERM; 0 kills at once.
        grace: Millis,
    },
    /// Say [`Input::Timer`] with this epoch after so many milliseconds.
    Arm {
        /// Which.
        epoch: u64,
        /// After how long.
        delay: Millis,
    },
    /// Tell the workspace.
    Report(Report),
}

/// What the workspace is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Its program runs.
    Started,
    /// It is ready.
    Ready,
    /// It does not run any more, and is not about to. True if it ended well by itself.
    Rested {
        /// Ended by itself, with success.
        success: bool,
    },
    /// It failed and will start again: the others may have to as well.
    Failed,
    /// It failed too often.
    CrashLoop,
}

/// When something happens, and where chance falls.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Milliseconds since 1970; never goes back.
    pub at: Millis,
    /// From 0 to 1.
    pub chance: f64,
}

/// The state machine of one process.
#[derive(Clone, Debug)]
pub struct Process {
    spec: ProcessSpec,
    goal: Goal,
    /// It is to end before it may run again.
    bounce: bool,
    /// End it without the grace time.
    at_once: bool,
    actual: Actual,
    history: History,
    restarts: u32,
    status: Tracker,
    epoch: u64,
    last_exit: Option<ExitRecord>,
    /// A graceful stop has been sent for this run already: with this grace.
    stop_sent: Option<Millis>,
    /// The timer after which it must be ready.
    ready_deadline: Option<u64>,
    /// It stands in the queue of starts, or has been let in and is not through.
    at_gate: bool,
}

impl Process {
    /// A process that rests. `goal` is only remembered: nothing starts before [`Input::Start`].
    pub fn new(spec: ProcessSpec) -> Self {
        let mut status = Tracker::default();
        status.set_titles(titles(&spec), 0);
        Self {
            spec,
            goal: Goal::Down,
            bounce: false,
            at_once: false,
            actual: Actual::Down(Rest::Stopped),
            history: History::default(),
            restarts: 0,
            status,
            epoch: 0,
            last_exit: None,
            stop_sent: None,
            ready_deadline: None,
            at_gate: false,
        }
    }

    /// Puts back what was known before a restart of the daemon.
    pub fn restore(
        &mut self,
        restarts: u32,
        unread: bool,
        state: State,
        reason: Option<String>,
        last_exit: Option<ExitRecord>,
    ) {
        self.restarts = restarts;
        self.status.restore_unread(unread);
        self.last_exit = last_exit;
        let reason = reason.unwrap_or_default();
        self.actual = Actual::Down(match state {
            State::Exited => Rest::Exited,
            State::Failed => Rest::Failed(reason),
            State::CrashLoop => Rest::CrashLoop(reason),
            State::Stopped | State::Starting | State::Running | State::Backoff | State::Stopping => {
                Rest::Stopped
            }
        });
    }

    /// A run of this id was asked for when the daemon ended, and nobody knows how far that came.
    pub fn resume_launch(&mut self, run_id: String, goal: Goal) {
        self.goal = goal;
        self.actual = Actual::Launching { run_id };
    }

    /// A run that was alive when the daemon ended, about to be adopted or found dead.
    /// `ending`: it was being ended then; if it is meant to run, it was to start again after that.
    pub fn resume_run(&mut self, run: Run, goal: Goal, ending: bool) {
        self.goal = goal;
        self.bounce = ending && goal == Goal::Up;
        self.status.started(run.started_at.cast_signed());
        self.actual = Actual::Up { run, ready: false };
    }

    /// Takes one input and says what must be done.
    pub fn step(&mut self, input: Input, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take(input, now, &mut effects);
        self.reconcile(&mut effects);
        effects
    }

    fn take(&mut self, input: Input, now: Now, out: &mut Vec<Effect>) {
        match input {
            Input::Start => {
                let resting = matches!(self.actual, Actual::Down(_) | Actual::Backoff { .. });
                if self.goal == Goal::Down || resting {
                    self.history.forget();
                    self.restarts = 0;
                }
                // it is on its way down: it goes all the way, and then up again
                self.bounce |= self.goal == Goal::Down && matches!(self.actual, Actual::Stopping { .. });
                self.goal = Goal::Up;
                if resting {
                    self.epoch += 1;
                    self.ask_others(out);
                }
            }
            Input::Stop { now } => {
                self.goal = Goal::Down;
                self.bounce = false;
                self.at_once |= now;
            }
            Input::Restart { now } => {
                self.goal = Goal::Up;
                self.at_once |= now;
                match self.actual {
                    Actual::Down(_) | Actual::Backoff { .. } => {
                        self.history.forget();
                        self.restarts = 0;
                        self.epoch += 1;
                        self.ask_others(out);
                    }
                    Actual::AwaitsOthers { .. } | Actual::AwaitsGate { .. } => {
                        self.leave_gate(out);
                        self.ask_others(out);
                    }
                    Actual::Launching { .. } | Actual::Up { .. } | Actual::Stopping { .. } => {
                        self.bounce = true
                    }
                }
            }
            Input::Bounce => {
                let crashed = matches!(self.actual, Actual::Down(Rest::CrashLoop(_)));
                if self.goal == Goal::Up || crashed {
                    self.take(Input::Restart { now: false }, now, out);
                }
            }
            Input::Cleared => {
                if let Actual::AwaitsOthers { .. } = self.actual {
                    self.actual = Actual::AwaitsGate { why: None };
                    self.at_gate = true;
                    out.push(Effect::AskGate);
                }
            }
            Input::HeldBack(reason) => {
                if let Actual::AwaitsOthers { why } = &mut self.actual {
                    *why = Some(reason);
                }
            }
            Input::Queued(reason) => {
                if let Actual::AwaitsGate { why } = &mut self.actual {
                    *why = Some(reason);
                }
            }
            Input::Admitted { run_id } => match self.actual {
                Actual::AwaitsGate { .. } => {
                    self.actual = Actual::Launching { run_id: run_id.clone() };
                    self.stop_sent = None;
                    out.push(Effect::Launch { run_id });
                }
                _ => self.leave_gate(out),
            },
            Input::Launched(run) => self.launched(run, now, out),
            Input::Adopted(run) => {
                if self.goal == Goal::Down && matches!(self.actual, Actual::Down(_)) {
                    // an orphan nobody wants: it is taken in only to be ended
                    self.actual = Actual::Stopping { run, failure: None };
                    self.stop_sent = None;
                } else {
                    self.launched(run, now, out);
                }
            }
            Input::LaunchFailed { reason, message } => self.launch_failed(reason, message, now, out),
            Input::Ready => {
                self.leave_gate(out);
                self.ready(out);
                if self.spec.kind == Kind::Command {
                    self.status.silent(now.at.cast_signed());
                }
            }
            Input::Said(report) if self.spec.status.reads(StatusFrom::Osc7501) => {
                self.said(|status| status.said(&report, now.at.cast_signed()), out);
            }
            Input::Recalled { report, news } if self.spec.status.reads(StatusFrom::Osc7501) => {
                self.said(|status| status.recall(&report, news, now.at.cast_signed()), out);
            }
            Input::Said(_) | Input::Recalled { .. } => {}
            Input::Heard(word) if !self.spec.status.reads_source(word.claim.source()) => {}
            Input::StreamLost => self.said(|status| status.stream_ended(now.at.cast_signed()), out),
            Input::Heard(word) => self.said(|status| status.hear(word, now.at.cast_signed()), out),
            // also while it does not run: it may be started before the limit has passed
            Input::Limited(limit) => self.status.set_limit(limit, now.at.cast_signed()),
            Input::Held(held) => self.said(|status| status.set_held(held, now.at.cast_signed()), out),
            Input::Tick => self.said(|status| status.tick(now.at.cast_signed()), out),
            Input::Seen => self.status.seen(),
            Input::Exited { run_id, exit } => self.exited(&run_id, exit, now, out),
            Input::Timer { epoch } => self.timer(epoch, now, out),
            Input::Redefined { spec, restart } => {
                self.spec = *spec;
                let (at, from) = (now.at.cast_signed(), self.spec.status.clone());
                let titles = titles(&self.spec);
                self.status.set_titles(titles, at);
                self.said(|status| status.read_only(|source| from.reads_source(source), at), out);
                if restart && self.goal == Goal::Up {
                    self.take(Input::Restart { now: false }, now, out);
                }
            }
        }
    }

    /// When the machine is to be looked at, if it was looked at then for the last time: a Claude only, since
    /// others need not draw while they work. Not again at once where the last look saw nothing.
    pub fn look_due(&self, looked_at: Option<Millis>) -> Option<Millis> {
        let due = self.status().filter(|_| self.spec.kind == Kind::Claude)?.look_due()?;
        Some(due.max(looked_at.map_or(0, |at| at + LOOK_MS.unsigned_abs())))
    }

    /// Its agent said something, which `note` takes down.
    fn said(&mut self, note: impl FnOnce(&mut Tracker), out: &mut Vec<Effect>) {
        if !matches!(self.actual, Actual::Up { .. } | Actual::Stopping { .. }) {
            return;
        }
        note(&mut self.status);
        if self.spec.kind != Kind::Claude {
            return;
        }
        if self.status.status() != Some(Status::Starting) {
            self.leave_gate(out);
        }
        if self.spec.ready.is_none() && self.status.ready() {
            self.ready(out);
        }
    }

    /// Compares what is with what is meant.
    fn reconcile(&mut self, out: &mut Vec<Effect>) {
        let meant_up = self.goal == Goal::Up && !self.bounce;
        match &self.actual {
            Actual::Down(_) if self.bounce => {
                self.bounce = false;
                if self.goal == Goal::Up {
                    self.ask_others(out);
                }
            }
            Actual::AwaitsOthers { .. } | Actual::AwaitsGate { .. } | Actual::Backoff { .. } if !meant_up => {
                self.epoch += 1;
                self.leave_gate(out);
                self.rest(Rest::Stopped, false, out);
            }
            Actual::Up { run, .. } if !meant_up => {
                let run = run.clone();
                self.epoch += 1;
                self.stop_sent = None;
                self.actual = Actual::Stopping { run, failure: None };
                self.leave_gate(out);
                self.send_stop(out);
            }
            Actual::Stopping { .. } => self.send_stop(out),
            Actual::Down(_)
            | Actual::AwaitsOthers { .. }
            | Actual::AwaitsGate { .. }
            | Actual::Backoff { .. }
            | Actual::Launching { .. }
            | Actual::Up { .. } => {}
        }
    }

    /// Asks for the end of the run, once, or once more with less grace.
    fn send_stop(&mut self, out: &mut Vec<Effect>) {
        let Actual::Stopping { run, .. } = &self.actual else { return };
        let grace = match (self.at_once, self.spec.kind) {
            (false, _) => self.spec.stop_grace,
            (true, Kind::Claude) => CLAUDE_KILL_GRACE_MS.min(self.spec.stop_grace),
            (true, Kind::Command) => 0,
        };
        if self.stop_sent.is_none_or(|sent| grace < sent) {
            self.stop_sent = Some(grace);
            out.push(Effect::Stop { run_id: run.id.clone(), grace });
        }
    }

    fn ask_others(&mut self, out: &mut Vec<Effect>) {
        self.actual = Actual::AwaitsOthers { why: None };
        out.push(Effect::AskClearance);
    }

    fn launched(&mut self, run: Run, now: Now, out: &mut Vec<Effect>) {
        self.status.started(run.started_at.cast_signed());
        let run_id = run.id.clone();
        self.actual = Actual::Up { run, ready: false };
        self.stop_sent = None;
        out.push(Effect::Report(Report::Started));
        let waits_for_prompt = self.spec.kind == Kind::Claude;
        if !waits_for_prompt {
            self.leave_gate(out);
        }
        if self.spec.ready.is_some() {
            out.push(Effect::Probe { run_id });
        } else if !waits_for_prompt {
            self.ready(out);
            // an agent that says nothing for that long is not known to do anything
            if self.spec.agent.is_none() {
                return;
            }
        }
        self.epoch += 1;
        self.ready_deadline = Some(self.epoch);
        let waited = now.at.saturating_sub(self.run().map_or(now.at, |r| r.started_at));
        out.push(Effect::Arm {
            epoch: self.epoch,
            delay: self.spec.ready_timeout.saturating_sub(waited).max(RECALL_MS),
        });
    }

    fn ready(&mut self, out: &mut Vec<Effect>) {
        if let Actual::Up { ready, .. } = &mut self.actual
            && !*ready
        {
            *ready = true;
            self.ready_deadline = None;
            out.push(Effect::Report(Report::Ready));
        }
    }

    fn launch_failed(&mut self, reason: StartFailure, message: String, now: Now, out: &mut Vec<Effect>) {
        if !matches!(self.actual, Actual::Launching { .. }) {
            return;
        }
        self.leave_gate(out);
        if self.goal == Goal::Down || self.bounce {
            return self.rest(Rest::Stopped, false, out);
        }
        match reason {
            // nothing that waiting would mend
            StartFailure::Program | StartFailure::Cwd => {
                self.goal = Goal::Down;
                self.rest(Rest::Failed(message), false, out);
            }
            StartFailure::System => self.failed(false, 0, message, now, out),
        }
    }

    fn exited(&mut self, run_id: &str, exit: ExitRecord, now: Now, out: &mut Vec<Effect>) {
        let (run, lasted, asked, failure) = match &self.actual {
            Actual::Up { run, .. } => (&run.id, now.at.saturating_sub(run.started_at), false, None),
            Actual::Stopping { run, failure } => (&run.id, 0, failure.is_none(), failure.clone()),
            // it was over before the daemon heard that it had begun
            Actual::Launching { run_id: launching } => (launching, 0, false, None),
            Actual::Down(_)
            | Actual::AwaitsOthers { .. }
            | Actual::AwaitsGate { .. }
            | Actual::Backoff { .. } => return,
        };
        if run != run_id {
            return;
        }
        self.epoch += 1;
        self.at_once = false;
        self.status.ended();
        self.leave_gate(out);
        let success = exit.success() && failure.is_none();
        let text = failure.clone().unwrap_or_else(|| exit.text());
        let stopped = exit.stopped;
        self.last_exit = Some(exit);
        if asked || self.goal == Goal::Down || self.bounce {
            self.rest(Rest::Stopped, false, out);
        } else if stopped && failure.is_none() {
            // somebody else told the keeper to end it
            self.goal = Goal::Down;
            self.rest(Rest::Stopped, false, out);
        } else {
            self.failed(success, lasted, text, now, out);
        }
    }

    /// It ended by itself: what now?
    fn failed(&mut self, success: bool, lasted: Millis, why: String, now: Now, out: &mut Vec<Effect>) {
        match self.history.after_exit(&self.spec.restart, success, lasted, now.at, now.chance) {
            Verdict::Leave => {
                self.goal = Goal::Down;
                self.rest(if success { Rest::Exited } else { Rest::Failed(why) }, success, out);
            }
            Verdict::GiveUp(restarts) => {
                self.goal = Goal::Down;
                let within = self.spec.restart.within / 1_000;
                let reason = format!("restarted {restarts} times within {within} s; last: {why}");
                self.rest(Rest::CrashLoop(reason), false, out);
                out.push(Effect::Report(Report::CrashLoop));
            }
            Verdict::Again(wait) => {
                self.restarts = self.restarts.saturating_add(1);
                out.push(Effect::Report(Report::Failed));
                if wait == 0 {
                    self.ask_others(out);
                } else {
                    self.epoch += 1;
                    self.actual = Actual::Backoff { until: now.at + wait, why };
                    out.push(Effect::Arm { epoch: self.epoch, delay: wait });
                }
            }
        }
    }

    fn timer(&mut self, epoch: u64, now: Now, out: &mut Vec<Effect>) {
        if epoch != self.epoch {
            return;
        }
        match &self.actual {
            Actual::Backoff { .. } => self.ask_others(out),
            Actual::Up { ready: true, .. } if self.ready_deadline == Some(epoch) => {
                self.ready_deadline = None;
                self.status.silent(now.at.cast_signed());
            }
            Actual::Up { run, ready: false } if self.ready_deadline == Some(epoch) => {
                let run = run.clone();
                if self.spec.kind == Kind::Claude && self.spec.ready.is_none() {
                    // it may wait for its user; ending it would only make it ask again
                    self.status.silent(now.at.cast_signed());
                    self.leave_gate(out);
                    return;
                }
                let failure = Some(format!("was not ready after {} ms", self.spec.ready_timeout));
                self.stop_sent = None;
                self.actual = Actual::Stopping { run, failure };
            }
            _ => {}
        }
    }
}

/// The patterns of its titles. One that is none was refused with the config.
fn titles(spec: &ProcessSpec) -> Vec<(TitleMeaning, Regex)> {
    let compiled = spec.status.titles.iter().filter_map(|(m, p)| Some((*m, Regex::new(p).ok()?)));
    compiled.collect()
}

impl Process {
    fn rest(&mut self, rest: Rest, success: bool, out: &mut Vec<Effect>) {
        self.actual = Actual::Down(rest);
        self.at_once = false;
        out.push(Effect::Report(Report::Rested { success }));
    }

    fn leave_gate(&mut self, out: &mut Vec<Effect>) {
        if std::mem::take(&mut self.at_gate) {
            out.push(Effect::LeaveGate);
        }
    }

    /// Its definition.
    pub fn spec(&self) -> &ProcessSpec {
        &self.spec
    }
    /// Whether it is meant to run.
    pub fn goal(&self) -> Goal {
        self.goal
    }
    /// Its current run: launched and not yet gone.
    pub fn run(&self) -> Option<&Run> {
        match &self.actual {
            Actual::Up { run, .. } | Actual::Stopping { run, .. } => Some(run),
            Actual::Down(_)
            | Actual::AwaitsOthers { .. }
            | Actual::AwaitsGate { .. }
            | Actual::Launching { .. }
            | Actual::Backoff { .. } => None,
        }
    }
    /// Its keeper has been asked for, and has not reported.
    pub fn launching(&self) -> bool {
        matches!(self.actual, Actual::Launching { .. })
    }
    /// The supervisor's view.
    pub fn state(&self) -> State {
        match &self.actual {
            Actual::Down(Rest::Stopped) => State::Stopped,
            Actual::Down(Rest::Exited) => State::Exited,
            Actual::Down(Rest::Failed(_)) => State::Failed,
            Actual::Down(Rest::CrashLoop(_)) => State::CrashLoop,
            Actual::AwaitsOthers { .. } | Actual::AwaitsGate { .. } | Actual::Launching { .. } => {
                State::Starting
            }
            Actual::Up { .. } => State::Running,
            Actual::Stopping { .. } => State::Stopping,
            Actual::Backoff { .. } => State::Backoff,
        }
    }
    /// Why it is in that state, where there is something to say.
    pub fn reason(&self) -> Option<&str> {
        match &self.actual {
            Actual::Down(Rest::Failed(why) | Rest::CrashLoop(why)) => Some(why),
            Actual::AwaitsOthers { why } | Actual::AwaitsGate { why } => why.as_deref(),
            Actual::Stopping { failure, .. } => failure.as_deref(),
            Actual::Backoff { why, .. } => Some(why),
            Actual::Down(Rest::Stopped | Rest::Exited) | Actual::Launching { .. } | Actual::Up { .. } => None,
        }
    }
    /// Whether it runs and is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self.actual, Actual::Up { ready: true, .. })
    }
    /// When it starts again, while in `backoff`.
    pub fn next_start(&self) -> Option<Millis> {
        match self.actual {
            Actual::Backoff { until, .. } => Some(until),
            Actual::Down(_)
            | Actual::AwaitsOthers { .. }
            | Actual::AwaitsGate { .. }
            | Actual::Launching { .. }
            | Actual::Up { .. }
            | Actual::Stopping { .. } => None,
        }
    }
    /// How often it was started again since somebody started it.
    pub fn restarts(&self) -> u32 {
        self.restarts
    }
    /// How the last run ended.
    pub fn last_exit(&self) -> Option<&ExitRecord> {
        self.last_exit.as_ref()
    }
    /// What is known of its agent; none if it has no agent.
    pub fn status(&self) -> Option<&Tracker> {
        let has_agent = self.spec.kind == Kind::Claude || self.spec.agent.is_some();
        (has_agent || self.status.heard()).then_some(&self.status)
    }
    /// A question of its agent that others would only ask again.
    pub fn question(&self) -> Option<Blocked> {
        match self.status.status() {
            Some(Status::Blocked(b @ (Blocked::Trust | Blocked::Auth | Blocked::Setup))) => Some(b),
            _ => None,
        }
    }
    /// Nothing of it runs, and nothing is about to.
    pub fn at_rest(&self) -> bool {
        matches!(self.actual, Actual::Down(_))
    }
    /// It is somewhere on its way; a caller who waits for a start or a stop goes on waiting.
    pub fn settled(&self) -> bool {
        match &self.actual {
            Actual::Down(_) | Actual::Up { .. } | Actual::Backoff { .. } => !self.bounce,
            // the queue, or another process, may take any time: that is an answer too
            Actual::AwaitsOthers { why } | Actual::AwaitsGate { why } => why.is_some(),
            Actual::Launching { .. } | Actual::Stopping { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use proptest::prelude::*;
    use wezterm_parallel_schemas::{
        config::{Ready, RestartPolicy, Screen},
        process::Source,
    };

    use super::*;
    use crate::{
        spec::{BackoffSpec, RestartSpec, StatusSpec},
        status::Claim,
    };

    fn spec(kind: Kind) -> ProcessSpec {
        ProcessSpec {
            source: Source::Config,
            agent: None,
            kind,
            command: vec!["x".into()],
            cwd: "/".into(),
            env: IndexMap::new(),
            screen: Screen::Default,
            autostart: true,
            restart: RestartSpec {
                backoff: BackoffSpec { jitter: 0.0, ..BackoffSpec::default() },
                ..RestartSpec::default()
            },
            stop_grace: 3_000,
            after: IndexMap::new(),
            ready: None,
            ready_timeout: 60_000,
            resume: None,
            fork: None,
            status: Default::default(),
            on_limit: Default::default(),
            mcp: true,
            log_bytes: 1,
            log_files: 1,
            history_bytes: 1,
        }
    }

    fn at(at: Millis) -> Now {
        Now { at, chance: 0.5 }
    }

    fn run(id: &str) -> Run {
        Run { id: id.into(), keeper_pid: 10, pid: 11, started_at: 0 }
    }

    fn exit(code: i32) -> ExitRecord {
        ExitRecord {
            code: Some(code),
            signal: None,
            ended_at: 0,
            stopped: false,
            leftovers: 0,
            cpu_ms: 0,
            max_rss_kib: 0,
            log_lost: 0,
            note: None,
        }
    }

    fn said(seq: u64, body: &str) -> Input {
        Input::Said(ProgramStatus { seq, at: 0, body: body.into() })
    }

    /// A process that has been started and runs as `r1`.
    fn up(spec: ProcessSpec) -> Process {
        let mut p = Process::new(spec);
        assert_eq!(p.step(Input::Start, at(0)), [Effect::AskClearance]);
        assert_eq!(p.step(Input::Cleared, at(0)), [Effect::AskGate]);
        assert_eq!(
            p.step(Input::Admitted { run_id: "r1".into() }, at(0)),
            [Effect::Launch { run_id: "r1".into() }]
        );
        p.step(Input::Launched(run("r1")), at(0));
        assert_eq!(p.state(), State::Running);
        p
    }

    fn relaunch(p: &mut Process, id: &str, now: Millis) {
        p.step(Input::Cleared, at(now));
        p.step(Input::Admitted { run_id: id.into() }, at(now));
        p.step(Input::Launched(Run { started_at: now, ..run(id) }), at(now));
    }

    #[test]
    fn a_command_is_ready_as_soon_as_it_runs() {
        assert!(up(spec(Kind::Command)).is_ready());
    }

    #[test]
    fn a_claude_is_ready_at_its_first_idle_and_leaves_the_queue_then() {
        let mut p = up(spec(Kind::Claude));
        assert!(!p.is_ready());
        let e = p.step(said(1, "state=idle"), at(300));
        assert_eq!(e, [Effect::LeaveGate, Effect::Report(Report::Ready)]);
        assert!(p.is_ready());
        assert_eq!(p.step(said(2, "state=working"), at(400)), []);
    }

    #[test]
    fn a_claude_that_asks_for_a_login_leaves_the_queue_and_is_not_ready() {
        let mut p = up(spec(Kind::Claude));
        let e = p.step(said(1, "state=blocked:kind=auth:msg=Tm90IGxvZ2dlZCBpbg=="), at(300));
        assert_eq!(e, [Effect::LeaveGate]);
        assert_eq!((p.is_ready(), p.question()), (false, Some(Blocked::Auth)));
    }

    #[test]
    fn a_claude_that_never_reports_is_left_alone_and_unknown() {
        let mut p = Process::new(spec(Kind::Claude));
        p.step(Input::Start, at(0));
        p.step(Input::Cleared, at(0));
        p.step(Input::Admitted { run_id: "r1".into() }, at(0));
        let e = p.step(Input::Launched(run("r1")), at(0));
        let Some(Effect::Arm { epoch, delay: 60_000 }) = e.last() else { panic!("{e:?}") };
        assert_eq!(p.step(Input::Timer { epoch: *epoch }, at(60_000)), [Effect::LeaveGate]);
        assert_eq!(p.state(), State::Running);
        assert_eq!(p.status().and_then(Tracker::status), Some(Status::Unknown));
    }

    fn agent(from: &[StatusFrom]) -> ProcessSpec {
        ProcessSpec {
            agent: Some("codex".into()),
            status: StatusSpec {
                from: from.to_vec(),
                titles: IndexMap::from([(TitleMeaning::Working, "^⠋".into())]),
            },
            ..spec(Kind::Command)
        }
    }

    #[test]
    fn another_agent_has_a_status_and_one_that_says_nothing_is_unknown() {
        let mut p = Process::new(agent(&[StatusFrom::Osc7501, StatusFrom::Progress, StatusFrom::Title]));
        p.step(Input::Start, at(0));
        p.step(Input::Cleared, at(0));
        p.step(Input::Admitted { run_id: "r1".into() }, at(0));
        let e = p.step(Input::Launched(run("r1")), at(0));
        assert!(p.is_ready(), "as any other program");
        assert_eq!(p.status().and_then(Tracker::status), Some(Status::Starting));
        let Some(Effect::Arm { epoch, delay: 60_000 }) = e.last() else { panic!("{e:?}") };
        assert_eq!(p.step(Input::Timer { epoch: *epoch }, at(60_000)), []);
        assert_eq!(p.status().and_then(Tracker::status), Some(Status::Unknown));
        let title =
            |title: &str, at: i64| Input::Heard(Word { seq: 0, at, claim: Claim::Title(title.into()) });
        p.step(title("⠋ Thinking", 61_000), at(61_000));
        assert_eq!(p.status().and_then(Tracker::status), Some(Status::Working));
        p.step(title("anything else", 62_000), at(62_000));
        assert_eq!(p.status().and_then(Tracker::status), Some(Status::Working), "it says nothing");
    }

    #[test]
    fn what_the_config_does_not_read_says_nothing_and_a_plain_command_has_no_status() {
        let mut p = up(agent(&[StatusFrom::Osc7501]));
        let title = Word { seq: 0, at: 1, claim: Claim::Title("⠋ Thinking".into()) };
        p.step(Input::Heard(title.clone()), at(1));
        assert_eq!(p.status().and_then(Tracker::status), Some(Status::Starting));
        let mut p = up(spec(Kind::Command));
        p.step(Input::Heard(title), at(1));
        assert!(p.status().is_none());
        p.step(said(1, "state=working"), at(2));
        assert_eq!(p.status().and_then(Tracker::status), Some(Status::Working), "it reports by itself");
    }

    #[test]
    fn a_failure_is_waited_out_and_started_again() {
        let mut p = up(spec(Kind::Command));
        let e = p.step(Input::Exited { run_id: "r1".into(), exit: exit(1) }, at(1_000));
        let [Effect::Report(Report::Failed), Effect::Arm { epoch, delay: 500 }] = e[..] else {
            panic!("{e:?}")
        };
        assert_eq!((p.state(), p.next_start()), (State::Backoff, Some(1_500)));
        assert_eq!(p.step(Input::Timer { epoch: epoch - 1 }, at(1_500)), [], "a late timer is ignored");
        assert_eq!(p.step(Input::Timer { epoch }, at(1_500)), [Effect::AskClearance]);
        relaunch(&mut p, "r2", 1_500);
        assert_eq!((p.state(), p.restarts()), (State::Running, 1));
    }

    #[test]
    fn a_success_is_left_alone() {
        let mut p = up(spec(Kind::Command));
        let e = p.step(Input::Exited { run_id: "r1".into(), exit: exit(0) }, at(1_000));
        assert_eq!(e, [Effect::Report(Report::Rested { success: true })]);
        assert_eq!((p.state(), p.goal()), (State::Exited, Goal::Down));
    }

    #[test]
    fn crash_loop_escalates_after_five_restarts_in_a_minute_and_a_start_by_hand_forgets_it() {
        let mut s = spec(Kind::Command);
        s.restart.backoff.initial = 0;
        let mut p = up(s);
        for i in 1..=5 {
            let e = p.step(Input::Exited { run_id: format!("r{i}"), exit: exit(1) }, at(i));
            assert_eq!(e, [Effect::Report(Report::Failed), Effect::AskClearance]);
            relaunch(&mut p, &format!("r{}", i + 1), i);
        }
        let e = p.step(Input::Exited { run_id: "r6".into(), exit: exit(1) }, at(6));
        assert_eq!(e, [Effect::Report(Report::Rested { success: false }), Effect::Report(Report::CrashLoop)]);
        assert_eq!(p.state(), State::CrashLoop);
        assert_eq!(p.reason(), Some("restarted 5 times within 60 s; last: exit code 1"));
        assert_eq!(p.step(Input::Start, at(7)), [Effect::AskClearance]);
        assert_eq!(p.restarts(), 0);
    }

    #[test]
    fn a_stop_is_graceful_and_a_second_one_may_be_quicker() {
        let mut p = up(spec(Kind::Command));
        let e = p.step(Input::Stop { now: false }, at(1));
        assert_eq!(e, [Effect::Stop { run_id: "r1".into(), grace: 3_000 }]);
        assert_eq!(p.step(Input::Stop { now: false }, at(2)), [], "once is enough");
        assert_eq!(
            p.step(Input::Stop { now: true }, at(3)),
            [Effect::Stop { run_id: "r1".into(), grace: 0 }]
        );
        let e = p.step(Input::Exited { run_id: "r1".into(), exit: exit(143) }, at(4));
        assert_eq!(e, [Effect::Report(Report::Rested { success: false })]);
        assert_eq!(p.state(), State::Stopped);
    }

    #[test]
    fn a_claude_is_never_killed_without_a_second_of_grace() {
        let mut p = up(spec(Kind::Claude));
        let e = p.step(Input::Stop { now: true }, at(1));
        assert!(e.contains(&Effect::Stop { run_id: "r1".into(), grace: 1_000 }), "{e:?}");
    }

    #[test]
    fn a_stop_while_its_keeper_starts_ends_it_as_soon_as_it_runs() {
        let mut p = Process::new(spec(Kind::Command));
        p.step(Input::Start, at(0));
        p.step(Input::Cleared, at(0));
        p.step(Input::Admitted { run_id: "r1".into() }, at(0));
        assert_eq!(p.step(Input::Stop { now: false }, at(1)), []);
        let e = p.step(Input::Launched(run("r1")), at(2));
        assert!(e.contains(&Effect::Stop { run_id: "r1".into(), grace: 3_000 }), "{e:?}");
    }

    #[test]
    fn a_restart_ends_it_and_starts_it_again() {
        let mut p = up(spec(Kind::Command));
        p.step(Input::Restart { now: false }, at(1));
        assert_eq!(p.state(), State::Stopping);
        let e = p.step(Input::Exited { run_id: "r1".into(), exit: exit(143) }, at(2));
        assert_eq!(e, [Effect::Report(Report::Rested { success: false }), Effect::AskClearance]);
        relaunch(&mut p, "r2", 3);
        assert_eq!((p.state(), p.restarts()), (State::Running, 0));
    }

    #[test]
    fn what_is_not_ready_in_time_has_failed() {
        let mut s = spec(Kind::Command);
        s.ready = Some(Ready::Port(1));
        s.restart.policy = RestartPolicy::Never;
        let mut p = Process::new(s);
        p.step(Input::Start, at(0));
        p.step(Input::Cleared, at(0));
        p.step(Input::Admitted { run_id: "r1".into() }, at(0));
        let e = p.step(Input::Launched(run("r1")), at(0));
        assert!(e.contains(&Effect::Probe { run_id: "r1".into() }));
        let Some(Effect::Arm { epoch, .. }) = e.last() else { panic!("{e:?}") };
        let e = p.step(Input::Timer { epoch: *epoch }, at(60_000));
        assert_eq!(e, [Effect::Stop { run_id: "r1".into(), grace: 3_000 }]);
        p.step(
            Input::Exited { run_id: "r1".into(), exit: ExitRecord { stopped: true, ..exit(143) } },
            at(60_001),
        );
        assert_eq!((p.state(), p.reason()), (State::Failed, Some("was not ready after 60000 ms")));
    }

    #[test]
    fn a_missing_program_is_no_crash_loop() {
        let mut p = Process::new(spec(Kind::Command));
        p.step(Input::Start, at(0));
        p.step(Input::Cleared, at(0));
        p.step(Input::Admitted { run_id: "r1".into() }, at(0));
        let e = p.step(
            Input::LaunchFailed { reason: StartFailure::Program, message: "no such program: x".into() },
            at(1),
        );
        assert_eq!(e, [Effect::LeaveGate, Effect::Report(Report::Rested { success: false })]);
        assert_eq!((p.state(), p.reason()), (State::Failed, Some("no such program: x")));
    }

    #[test]
    fn the_end_of_another_run_changes_nothing() {
        let mut p = up(spec(Kind::Command));
        assert_eq!(p.step(Input::Exited { run_id: "r0".into(), exit: exit(1) }, at(1)), []);
        assert_eq!(p.state(), State::Running);
    }

    #[test]
    fn an_old_claude_that_is_adopted_is_not_called_unknown_before_its_keeper_could_speak() {
        let mut p = Process::new(spec(Kind::Claude));
        p.resume_run(run("r1"), Goal::Up, false);
        let e = p.step(Input::Adopted(run("r1")), at(3_600_000));
        let Some(Effect::Arm { delay, .. }) = e.last() else { panic!("{e:?}") };
        assert_eq!(*delay, 10_000);
    }

    #[test]
    fn one_that_was_stopped_while_it_launched_does_not_come_back_after_a_restart_of_the_daemon() {
        let mut p = Process::new(spec(Kind::Command));
        p.resume_launch("r1".into(), Goal::Down);
        let e = p.step(Input::Launched(run("r1")), at(1));
        assert!(e.contains(&Effect::Stop { run_id: "r1".into(), grace: 3_000 }), "{e:?}");
    }

    #[test]
    fn a_start_while_it_ends_starts_it_again_afterwards() {
        let mut p = up(spec(Kind::Command));
        p.step(Input::Stop { now: false }, at(1));
        assert_eq!(p.step(Input::Start, at(2)), []);
        let e = p.step(Input::Exited { run_id: "r1".into(), exit: exit(143) }, at(3));
        assert_eq!(e, [Effect::Report(Report::Rested { success: false }), Effect::AskClearance]);
    }

    #[test]
    fn a_restart_that_the_daemon_did_not_live_to_see_is_finished_by_the_next_one() {
        let mut p = Process::new(spec(Kind::Command));
        p.resume_run(run("r1"), Goal::Up, true);
        let e = p.step(
            Input::Exited { run_id: "r1".into(), exit: ExitRecord { stopped: true, ..exit(143) } },
            at(3),
        );
        assert_eq!(e, [Effect::Report(Report::Rested { success: false }), Effect::AskClearance]);
    }

    #[test]
    fn what_somebody_wants_down_is_not_started_again_with_the_others() {
        let mut p = up(spec(Kind::Command));
        p.step(Input::Stop { now: false }, at(1));
        p.step(Input::Bounce, at(2));
        p.step(Input::Exited { run_id: "r1".into(), exit: exit(143) }, at(3));
        assert_eq!(p.state(), State::Stopped);
    }

    #[test]
    fn one_that_is_ready_by_another_sign_leaves_the_queue() {
        let mut s = spec(Kind::Claude);
        s.ready = Some(Ready::Port(1));
        let mut p = up(s);
        assert_eq!(p.step(Input::Ready, at(1)), [Effect::LeaveGate, Effect::Report(Report::Ready)]);
    }

    #[test]
    fn an_orphan_nobody_wants_is_ended() {
        let mut p = Process::new(spec(Kind::Command));
        let e = p.step(Input::Adopted(run("r9")), at(0));
        assert_eq!(e, [Effect::Stop { run_id: "r9".into(), grace: 3_000 }]);
    }

    proptest! {
        /// Whatever comes in whatever order: at most one run is asked for before the last one is over,
        /// and what is meant to rest comes to rest.
        #[test]
        fn never_two_runs_at_once(script in proptest::collection::vec(0u8..12, 1..200)) {
            let mut p = Process::new(spec(Kind::Claude));
            let mut alive: Option<String> = None;
            let mut launching: Option<String> = None;
            let mut gate = false;
            let mut cleared = false;
            let mut timers = vec![];
            let mut n = 0;
            for (i, c) in script.iter().enumerate() {
                let now = at(i as u64 * 200);
                let input = match c {
                    0 | 1 => Input::Start,
                    2 => Input::Stop { now: false },
                    3 => Input::Stop { now: true },
                    4 => Input::Restart { now: false },
                    5 if cleared => { cleared = false; Input::Cleared }
                    6 if gate => { gate = false; n += 1; Input::Admitted { run_id: format!("r{n}") } }
                    7 => match launching.take() {
                        Some(id) => { alive = Some(id.clone()); Input::Launched(Run { started_at: now.at, ..run(&id) }) }
                        None => continue,
                    },
                    8 => match alive.take() {
                        Some(id) => Input::Exited { run_id: id, exit: exit(i32::from(i % 3 == 0)) },
                        None => continue,
                    },
                    9 => match timers.pop() { Some(epoch) => Input::Timer { epoch }, None => continue },
                    10 => said(i as u64 + 1, "state=idle"),
                    11 => match launching.take() {
                        Some(_) => Input::LaunchFailed { reason: StartFailure::System, message: "no memory".into() },
                        None => continue,
                    },
                    _ => continue,
                };
                for e in p.step(input, now) {
                    match e {
                        Effect::Launch { run_id } => {
                            prop_assert!(alive.is_none() && launching.is_none(), "{run_id} beside {alive:?} {launching:?}");
                            launching = Some(run_id);
                        }
                        Effect::AskGate => gate = true,
                        Effect::AskClearance => cleared = true,
                        Effect::Arm { epoch, .. } => timers.push(epoch),
                        Effect::Stop { run_id, .. } => prop_assert_eq!(Some(&run_id), alive.as_ref()),
                        Effect::LeaveGate | Effect::Probe { .. } | Effect::Report(_) => {}
                    }
                }
            }
            let end = at(1_000_000);
            p.step(Input::Stop { now: false }, end);
            if let Some(id) = launching { p.step(Input::Launched(run(&id)), end); alive = Some(id); }
            if let Some(id) = alive { p.step(Input::Exited { run_id: id, exit: exit(0) }, end); }
            prop_assert!(p.at_rest(), "{:?}", p);
        }
    }

    #[test]
    fn only_a_claude_is_looked_at_and_not_again_at_once() {
        let working = |kind| {
            let mut p = up(ProcessSpec { kind, ..agent(&[StatusFrom::Osc7501]) });
            p.step(said(1, "state=working"), at(1_000));
            assert_eq!(p.status().and_then(Tracker::status), Some(Status::Working));
            p
        };
        let claude = working(Kind::Claude);
        assert_eq!(claude.look_due(None), Some(31_000));
        assert_eq!(claude.look_due(Some(40_000)), Some(70_000), "a look that saw nothing");
        assert_eq!(working(Kind::Command).look_due(None), None);
    }
}
