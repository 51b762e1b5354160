//! What agents ask, and who is first to answer.
//!
//! Each request is held by a hook that waits for us, beside Claude's own dialog. Somebody answers here,
//! or in the dialog, or nobody does. A decision is on the disk before the hook gets it, and counts once
//! the hook has handed it over; until then the dialog may have been quicker.
//!
//! What Claude does, seen with 2.1.197 and 2.1.330: "No" and Esc in the dialog end the hook by SIGTERM;
//! "Yes" leaves it waiting for ever, and all that can be seen is that the agent is not blocked any more.
//! For a subagent in the background no dialog is shown for as long as a hook waits.

use indexmap::{IndexMap, IndexSet};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    inbox::{AskKind, AskState, AskView, Decision, Question, QuestionOption},
    process::Blocked,
};

use crate::{claude::decision, spec::Millis, status::Held};

/// An agent that is not blocked any more, and a hook that was killed, are looked at again after this long:
/// the next dialog, or the end of the run, may be what it means.
pub const SETTLE_MS: Millis = 300;
/// After the hook has handed a decision over, Claude takes some 50 ms to act on it; one that shows nothing
/// of it in this time will not.
pub const PROOF_MS: Millis = 1_000;
/// A hook hands a decision over as soon as it has it. One that is halted may do so at any time: after this
/// long, whoever decided is told how it stands.
pub const HANDED_MS: Millis = 10_000;
/// How long after a restart of the daemon a hook may take to come back. It tries every second at most.
pub const RETURN_MS: Millis = 5_000;
/// A hook that comes this long after it began has waited for a daemon: its dialog may have been answered
/// meanwhile, of which it knows nothing.
pub const LATE_MS: i64 = 2_000;
/// While the request of a subagent is held, Claude may show no dialog. Whoever sits before it gets it
/// after this long.
pub const HIDDEN_MS: Millis = 20_000;
/// Open requests at the same time: some hundred agents, each with several subagents.
pub const OPEN_MAX: usize = 1_000;

/// Requests that are over and whose ids are still known, so that none comes back before the disk knows.
const OVER_MAX: usize = OPEN_MAX;
/// All of them together, in bytes: their inputs, diffs and questions are held in memory, and each may have
/// several hundred KiB.
pub const OPEN_BYTES_MAX: usize = 64 << 20;

/// Why a request is let go of while nobody has answered.
const LEFT_TO_DIALOG: &str = "left to the agent's own dialog, which Claude shows only now";

/// Number of a connection that a hook waits on.
pub type Holder = u64;

/// A request that has come in.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What is asked: open, and not decided.
    pub view: AskView,
    /// Claude shows a dialog of its own beside.
    pub attended: bool,
    /// Who waits for the answer.
    pub holder: Holder,
}

/// What comes in.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A hook asks, or comes back for what it had asked.
    Asked(Box<Asked>),
    /// The hook has handed the decision to Claude.
    Taken {
        /// The request.
        id: String,
        /// The run that the hook is of.
        run_id: String,
    },
    /// A hook's connection is over.
    Left(Holder),
    /// Whether, and why, a process is blocked by a dialog that could be one of these.
    Blocked {
        /// The process.
        process_id: String,
        /// The reason that is shown, if it is blocked.
        why: Option<String>,
    },
    /// A turn is over, or another one has begun: nothing that the agent itself asked before is open.
    Turned {
        /// The run.
        run_id: String,
        /// When, by the hook that says so.
        at: i64,
    },
    /// A subagent is done.
    SubagentOver {
        /// The run.
        run_id: String,
        /// Claude's id of it.
        agent_id: String,
        /// When, by the hook that says so.
        at: i64,
    },
    /// A run is over.
    RunOver {
        /// The process.
        process_id: String,
        /// The run.
        run_id: String,
    },
    /// A process is removed.
    Removed {
        /// The process.
        process_id: String,
    },
    /// How many sit before a process.
    Attached {
        /// The process.
        process_id: String,
        /// Whether somebody does.
        attached: bool,
    },
    /// A time that was armed has passed.
    Timer {
        /// The request.
        id: String,
        /// What it was armed with.
        epoch: u64,
    },
}

/// What somebody decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// The tool may be used.
    Allow,
    /// It may not be used.
    Deny {
        /// What the agent is told.
        message: Option<String>,
    },
    /// Answers, by question.
    Answer(IndexMap<String, String>),
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It is to be kept.
    Save(Box<AskView>),
    /// Somebody is to hear that it was asked.
    TellAsked(String),
    /// The hook gets its answer, after what is saved with it; none: Claude goes on as if we were not there.
    Give(Holder, Option<String>),
    /// Time is to be told when it has passed.
    Arm {
        /// The request.
        id: String,
        /// Handed back with it.
        epoch: u64,
        /// From now.
        delay: Millis,
    },
    /// It is over: somebody is to hear what has become of it.
    Over(Box<AskView>),
    /// The open requests of a process have become more or fewer.
    Count(String),
}

/// All that is open.
#[derive(Debug, Default)]
pub struct Inbox {
    open: IndexMap<String, Open>,
    /// The newest that are over.
    over: IndexSet<String>,
    standings: IndexMap<String, Standing>,
    epoch: u64,
    now: i64,
}

#[derive(Debug)]
struct Open {
    view: AskView,
    attended: bool,
    holder: Option<Holder>,
    /// Its dialog may stand on the screen.
    shown: bool,
    phase: Phase,
    epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody has decided.
    Waiting,
    /// The agent is not blocked any more, as it seems: somebody has answered in the dialog.
    Doubtful,
    /// The hook is gone, and nothing was decided.
    Left,
    /// The hook has the decision, or will get it.
    Given,
    /// It has handed it over.
    Taken,
}

/// What is known of a process.
#[derive(Debug, Default)]
struct Standing {
    /// Its status has been told since the daemon began.
    known: bool,
    /// Why it is blocked, by a dialog that could be one of these.
    blocked: Option<String>,
    /// Somebody sits before it.
    attached: bool,
}

/// What a request takes in memory, roughly.
fn bytes(view: &AskView) -> usize {
    let option = |o: &QuestionOption| o.label.len() + o.description.len();
    let question =
        |q: &Question| q.question.len() + q.header.len() + q.options.iter().map(option).sum::<usize>();
    let questions: usize = view.questions.iter().map(question).sum();
    view.input.len() + view.summary.len() + view.diff.as_ref().map_or(0, String::len) + questions
}

impl Inbox {
    /// What was open when the daemon ended. Hooks come back for it, or it is gone.
    pub fn restore(&mut self, views: Vec<AskView>) -> Vec<Effect> {
        let mut out = Vec::new();
        for view in views {
            let phase = if view.decision.is_some() { Phase::Given } else { Phase::Waiting };
            let id = view.id.clone();
            out.push(Effect::Count(view.process_id.clone()));
            let open = Open { view, attended: true, holder: None, shown: false, phase, epoch: 0 };
            self.open.insert(id.clone(), open);
            self.arm(&id, RETURN_MS, &mut out);
        }
        out
    }

    /// Everything that is open, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &AskView> {
        self.open.values().map(|o| &o.view)
    }

    /// One that is open.
    pub fn get(&self, id: &str) -> Option<&AskView> {
        self.open.get(id).map(|o| &o.view)
    }

    /// How many wait for an answer, of a process.
    pub fn count(&self, process_id: &str) -> u32 {
        let waits = |o: &&Open| o.view.process_id == process_id && o.phase == Phase::Waiting;
        u32::try_from(self.open.values().filter(waits).count()).unwrap_or(u32::MAX)
    }

    /// What an agent itself waits for where it shows no dialog, the oldest first.
    pub fn held(&self, process_id: &str) -> Option<Held> {
        let waits = |o: &&Open| {
            o.view.process_id == process_id
                && !o.attended
                && o.holder.is_some()
                && o.view.agent.is_none()
                && o.phase == Phase::Waiting
        };
        let view = &self.open.values().find(waits)?.view;
        let (kind, words) = match view.kind {
            AskKind::Question => (Blocked::Question, format!("answer: {}", view.summary)),
            AskKind::Plan => (Blocked::Permission, "approve plan".into()),
            _ => (Blocked::Permission, format!("approve {}: {}", view.tool, view.summary)),
        };
        Some(Held { at: view.at, kind, reason: Some(words) })
    }

    /// Something has happened. `now` in milliseconds since 1970.
    pub fn step(&mut self, input: Input, now: i64) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Asked(asked) => self.asked(*asked),
            Input::Taken { id, run_id } => self.taken(&id, &run_id),
            Input::Left(holder) => self.left(holder),
            Input::Blocked { process_id, why } => self.blocked(&process_id, why),
            Input::Turned { run_id, at } => self.turned(&run_id, at),
            Input::SubagentOver { run_id, agent_id, at } => self.subagent_over(&run_id, &agent_id, at),
            Input::RunOver { process_id, run_id } => self.run_over(&process_id, &run_id),
            Input::Removed { process_id } => self.removed(&process_id),
            Input::Attached { process_id, attached } => self.attached(&process_id, attached),
            Input::Timer { id, epoch } => self.timer(&id, epoch),
        }
    }

    fn asked(&mut self, asked: Asked) -> Vec<Effect> {
        let mut out = Vec::new();
        let Asked { view, attended, holder } = asked;
        let id = view.id.clone();
        if let Some(open) = self.open.get_mut(&id) {
            if open.view.run_id != view.run_id {
                // an id of ours in another run: nothing of it is given away
                out.push(Effect::Give(holder, None));
                return out;
            }
            if let Some(before) = open.holder.replace(holder) {
                out.push(Effect::Give(before, None));
            }
            open.attended = attended;
            open.epoch = 0;
            match open.phase {
                // it was decided, and nobody knows whether the answer had come to it
                Phase::Given | Phase::Taken => {
                    open.phase = Phase::Given;
                    out.push(Effect::Give(holder, decision::output(&open.view)));
                }
                Phase::Waiting | Phase::Doubtful | Phase::Left => open.phase = Phase::Waiting,
            }
            let process = open.view.process_id.clone();
            out.push(Effect::Count(process));
            let waiting = open.phase == Phase::Waiting;
            if attended && waiting {
                // it may have been answered in the dialog meanwhile, of which its hook knows nothing
                self.arm(&id, PROOF_MS, &mut out);
            } else if !waiting {
                self.arm(&id, HANDED_MS, &mut out);
            }
            return out;
        }
        let bytes: usize = self.open.values().map(|o| bytes(&o.view)).sum();
        let full = self.open.len() >= OPEN_MAX || bytes + self::bytes(&view) > OPEN_BYTES_MAX;
        // what has become of it is on record, and stays as it is
        if full || self.over.contains(&id) {
            out.push(Effect::Give(holder, None));
            return out;
        }
        let standing = self.standings.entry(view.process_id.clone()).or_default();
        let shown = attended && view.agent.is_none() && standing.blocked.is_some();
        let hidden = attended && view.agent.is_some();
        let late = attended && self.now - view.at > LATE_MS;
        out.push(Effect::Save(Box::new(view.clone())));
        out.push(Effect::TellAsked(id.clone()));
        out.push(Effect::Count(view.process_id.clone()));
        let open = Open { view, attended, holder: Some(holder), shown, phase: Phase::Waiting, epoch: 0 };
        self.open.insert(id.clone(), open);
        if hidden {
            self.arm(&id, HIDDEN_MS, &mut out);
        } else if late {
            self.arm(&id, PROOF_MS, &mut out);
        }
        out
    }

    /// Somebody decides.
    ///
    /// # Errors
    /// `conflict` if somebody was first, `bad_params` if it cannot be decided so.
    pub fn decide(&mut self, id: &str, choice: Choice, by: Decision) -> Result<Vec<Effect>, Error> {
        let Some(open) = self.open.get_mut(id) else {
            return Err(Error::new(Code::NotFound, format!("there is no open request {id}")));
        };
        match open.phase {
            Phase::Waiting => {}
            Phase::Doubtful | Phase::Left => {
                return Err(Error::new(Code::Conflict, "it was answered in the agent's own dialog")
                    .hint("`wezterm-parallel inbox list --all` shows what became of it"));
            }
            Phase::Given | Phase::Taken => return Err(decision::late(&open.view)),
        }
        let mut decision = by;
        match choice {
            Choice::Allow if open.view.kind == AskKind::Question => {
                return Err(Error::new(Code::BadParams, "questions want answers")
                    .hint("answer them with `wezterm-parallel inbox answer`, or deny them"));
            }
            // Claude would take the leave only with the plan, which we have not whole
            Choice::Allow if open.view.kind == AskKind::Plan && open.view.shortened => {
                return Err(Error::new(Code::BadParams, "the plan is too large to be allowed from here")
                    .hint("allow it in the agent's own dialog, or deny it"));
            }
            Choice::Allow => {}
            Choice::Deny { message } => {
                decision.message = message.or(decision.message);
                decision.denied = true;
            }
            Choice::Answer(answers) => {
                decision.answers = decision::complete(&open.view, answers)?;
            }
        }
        open.view.decision = Some(decision);
        open.phase = Phase::Given;
        open.epoch = 0;
        let mut out = vec![Effect::Save(Box::new(open.view.clone()))];
        out.push(Effect::Count(open.view.process_id.clone()));
        match open.holder {
            Some(holder) => {
                out.push(Effect::Give(holder, decision::output(&open.view)));
                self.arm(id, HANDED_MS, &mut out);
            }
            // the daemon has just come back, and the hook has not yet
            None => self.arm(id, RETURN_MS, &mut out),
        }
        Ok(out)
    }

    /// What was decided could not be saved, and the hook has not got it: an allowance that nobody could
    /// read of afterwards is none.
    pub fn unsaved(&mut self, holder: Holder, now: i64) -> Vec<Effect> {
        self.now = now;
        let mut out = Vec::new();
        let given = |o: &&Open| o.holder == Some(holder) && o.phase == Phase::Given;
        let Some(id) = self.open.values().find(given).map(|o| o.view.id.clone()) else { return out };
        self.gone(&id, "the decision could not be saved", &mut out);
        out
    }

    fn taken(&mut self, id: &str, run_id: &str) -> Vec<Effect> {
        let mut out = Vec::new();
        let Some(open) = self.open.get_mut(id).filter(|o| o.view.run_id == run_id) else { return out };
        if open.phase != Phase::Given {
            return out;
        }
        open.phase = Phase::Taken;
        let blocked = self.standings.get(&open.view.process_id).is_some_and(|s| s.blocked.is_some());
        if blocked && open.shown {
            self.arm(id, PROOF_MS, &mut out);
        } else {
            self.decided(id, &mut out);
        }
        out
    }

    fn left(&mut self, holder: Holder) -> Vec<Effect> {
        let mut out = Vec::new();
        let found = self.open.iter().find(|(_, o)| o.holder == Some(holder)).map(|(id, _)| id.clone());
        let Some(id) = found else { return out };
        let Some(open) = self.open.get_mut(&id) else { return out };
        open.holder = None;
        match open.phase {
            // what it has handed over stands
            Phase::Taken => {}
            Phase::Waiting | Phase::Doubtful | Phase::Given => {
                if open.phase != Phase::Given {
                    open.phase = Phase::Left;
                }
                out.push(Effect::Count(open.view.process_id.clone()));
                self.arm(&id, SETTLE_MS, &mut out);
            }
            Phase::Left => {}
        }
        out
    }

    fn blocked(&mut self, process_id: &str, why: Option<String>) -> Vec<Effect> {
        let mut out = Vec::new();
        let standing = self.standings.entry(process_id.to_owned()).or_default();
        standing.known = true;
        let before = std::mem::replace(&mut standing.blocked, why.clone());
        if before == why {
            return out;
        }
        if let Some(before) = &before {
            self.left_dialog(process_id, before, why.as_deref(), &mut out);
        }
        if let Some(why) = &why {
            self.entered_dialog(process_id, why, &mut out);
        }
        out
    }

    /// A dialog stands on the screen.
    fn entered_dialog(&mut self, process_id: &str, why: &str, out: &mut Vec<Effect>) {
        let own = |o: &Open| o.view.process_id == process_id && o.attended;
        let named = self.open.values().any(|o| own(o) && decision::names(why, &o.view));
        for open in self.open.values_mut().filter(|o| own(o)) {
            open.shown |= open.view.agent.is_none() || decision::names(why, &open.view);
            // one that seemed answered stands there again
            if open.phase == Phase::Doubtful && (!named || decision::names(why, &open.view)) {
                open.phase = Phase::Waiting;
                open.epoch = 0;
                out.push(Effect::Count(process_id.to_owned()));
            }
        }
    }

    /// A dialog is gone, or another one stands in its place.
    fn left_dialog(&mut self, process_id: &str, before: &str, after: Option<&str>, out: &mut Vec<Effect>) {
        let own = || self.open.values().filter(|o| o.view.process_id == process_id && o.attended && o.shown);
        if let Some(proof) = own().find(|o| o.phase == Phase::Taken) {
            let id = proof.view.id.clone();
            return self.decided(&id, out);
        }
        let named = |phase| own().any(|o| o.phase == phase && decision::names(before, &o.view));
        let given = own().any(|o| o.phase == Phase::Given);
        // it is gone because of what was decided here, unless its text is another one's
        if named(Phase::Given) || (given && !named(Phase::Waiting)) {
            return;
        }
        // several may be asked at once, and one dialog stands at a time: its text says whose
        let waiting = || own().filter(|o| o.phase == Phase::Waiting);
        let whose = waiting().find(|o| decision::names(before, &o.view));
        let whose = match after {
            None => whose.or_else(|| waiting().next()),
            // the same one may be told of in other words
            Some(after) => whose.filter(|o| !decision::names(after, &o.view)),
        };
        let Some(id) = whose.map(|o| o.view.id.clone()) else { return };
        if let Some(open) = self.open.get_mut(&id) {
            open.phase = Phase::Doubtful;
        }
        out.push(Effect::Count(process_id.to_owned()));
        self.arm(&id, SETTLE_MS, out);
    }

    fn turned(&mut self, run_id: &str, at: i64) -> Vec<Effect> {
        let of_turn = |o: &Open| {
            o.view.run_id == run_id
                && o.view.agent.is_none()
                && o.view.at < at
                && matches!(o.phase, Phase::Waiting | Phase::Doubtful)
        };
        self.each(of_turn, Self::elsewhere)
    }

    fn subagent_over(&mut self, run_id: &str, agent_id: &str, at: i64) -> Vec<Effect> {
        let of_it = |o: &Open| {
            o.view.run_id == run_id
                && o.view.agent_id.as_deref() == Some(agent_id)
                && o.view.at < at
                && matches!(o.phase, Phase::Waiting | Phase::Doubtful)
        };
        self.each(of_it, Self::elsewhere)
    }

    fn run_over(&mut self, process_id: &str, run_id: &str) -> Vec<Effect> {
        if let Some(standing) = self.standings.get_mut(process_id) {
            *standing = Standing::default();
        }
        self.each(
            |o| o.view.run_id == run_id,
            |inbox, id, out| match inbox.open.get(id).map(|o| o.phase) {
                Some(Phase::Taken) => inbox.decided(id, out),
                _ => inbox.gone(id, "the run has ended", out),
            },
        )
    }

    fn removed(&mut self, process_id: &str) -> Vec<Effect> {
        self.standings.swap_remove(process_id);
        self.each(
            |o| o.view.process_id == process_id,
            |inbox, id, out| inbox.gone(id, "the process was removed", out),
        )
    }

    fn attached(&mut self, process_id: &str, attached: bool) -> Vec<Effect> {
        self.standings.entry(process_id.to_owned()).or_default().attached = attached;
        let hidden = |o: &Open| {
            o.view.process_id == process_id && o.view.agent.is_some() && o.epoch == 0 && o.attended
        };
        if !attached {
            return Vec::new();
        }
        self.each(
            |o| hidden(o) && o.phase == Phase::Waiting && o.holder.is_some(),
            |inbox, id, out| inbox.arm(id, SETTLE_MS, out),
        )
    }

    fn timer(&mut self, id: &str, epoch: u64) -> Vec<Effect> {
        let mut out = Vec::new();
        let Some(open) = self.open.get_mut(id).filter(|o| o.epoch == epoch) else { return out };
        open.epoch = 0;
        match open.phase {
            Phase::Waiting if open.holder.is_none() => {
                self.gone(id, "its hook did not come back after a restart of the daemon", &mut out);
            }
            // one that has come back
            Phase::Waiting if open.view.agent.is_none() => {
                let standing = self.standings.get(&open.view.process_id);
                if standing.is_some_and(|s| s.known && s.blocked.is_none()) {
                    self.elsewhere(id, &mut out);
                }
            }
            Phase::Waiting => {
                let standing = self.standings.get(&open.view.process_id);
                let (dialog, attached) =
                    standing.map_or((false, false), |s| (s.blocked.is_some(), s.attached));
                match (attached, dialog) {
                    // some dialog is there: perhaps its own
                    (true, true) => self.arm(id, HIDDEN_MS, &mut out),
                    (true, false) => self.close(id, AskState::Elsewhere, Some(LEFT_TO_DIALOG), &mut out),
                    // nobody is there to see one
                    (false, _) => {}
                }
            }
            Phase::Doubtful => self.elsewhere(id, &mut out),
            Phase::Left => self.elsewhere(id, &mut out),
            Phase::Taken => self.decided(id, &mut out),
            // the hook has it and is halted: what was decided is what it will hand over
            Phase::Given if open.holder.is_some() => self.decided(id, &mut out),
            Phase::Given => {
                // the decision stays on record; whether the agent has it nobody knows
                self.gone(id, "its hook ended before it had handed the decision over", &mut out);
            }
        }
        out
    }

    fn each(
        &mut self,
        which: impl Fn(&Open) -> bool,
        act: impl Fn(&mut Self, &str, &mut Vec<Effect>),
    ) -> Vec<Effect> {
        let ids: Vec<String> = self.open.iter().filter(|(_, o)| which(o)).map(|(id, _)| id.clone()).collect();
        let mut out = Vec::new();
        for id in ids {
            act(self, &id, &mut out);
        }
        out
    }

    fn arm(&mut self, id: &str, delay: Millis, out: &mut Vec<Effect>) {
        self.epoch += 1;
        if let Some(open) = self.open.get_mut(id) {
            open.epoch = self.epoch;
            out.push(Effect::Arm { id: id.to_owned(), epoch: self.epoch, delay });
        }
    }

    /// It is as it was decided here.
    fn decided(&mut self, id: &str, out: &mut Vec<Effect>) {
        let state = self.open.get(id).and_then(|o| o.view.decision.as_ref()).map(decision::outcome);
        self.close(id, state.unwrap_or(AskState::Gone), None, out);
    }

    /// The agent has gone on without us: somebody has answered in its dialog, if it had one.
    fn elsewhere(&mut self, id: &str, out: &mut Vec<Effect>) {
        if self.open.get(id).is_some_and(|o| o.attended) {
            self.close(id, AskState::Elsewhere, None, out);
        } else {
            self.gone(id, "Claude has gone on without an answer", out);
        }
    }

    fn gone(&mut self, id: &str, why: &str, out: &mut Vec<Effect>) {
        self.close(id, AskState::Gone, Some(why), out);
    }

    fn close(&mut self, id: &str, state: AskState, why: Option<&str>, out: &mut Vec<Effect>) {
        let Some(mut open) = self.open.shift_remove(id) else { return };
        open.view.state = state;
        if self.over.len() >= OVER_MAX {
            self.over.shift_remove_index(0);
        }
        self.over.insert(id.to_owned());
        if let Some(holder) = open.holder {
            out.push(Effect::Give(holder, None));
        }
        if matches!(state, AskState::Elsewhere | AskState::Gone) {
            let by = if state == AskState::Elsewhere { "pane" } else { "daemon" };
            // what somebody had decided here, and what came to nothing, stays readable
            let before = open.view.decision.take();
            let why = match (why, &before) {
                (Some(why), Some(before)) => Some(format!("{why}; {} had decided", before.by)),
                (Some(why), None) => Some(why.to_owned()),
                (None, Some(before)) => Some(format!("before {} was heard", before.by)),
                (None, None) => None,
            };
            let (at, by) = (self.now, by.into());
            open.view.decision = Some(Decision { at, by, message: why, ..Decision::default() });
        }
        out.push(Effect::Save(Box::new(open.view.clone())));
        out.push(Effect::Count(open.view.process_id.clone()));
        out.push(Effect::Over(Box::new(open.view)));
    }
}

#[cfg(test)]
pub(crate) mod tests;
