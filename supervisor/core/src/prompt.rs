//! The prompts of one process: each is typed once, into an agent that waits for one, and proven.
//!
//! A prompt that is typed goes through: saved (so that a daemon that dies knows of it) · looked at the
//! agent (is a dialog open that its status does not tell of?) · its text · a pause, in which a dialog that
//! opens meanwhile is heard of · Enter · the proof. Text and Enter are typed only if the agent has said
//! nothing newer in between, so that Enter answers no dialog. Nothing is ever typed a second time.

mod debug;
pub mod text;
mod turn;
mod typing;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc};

use wezterm_parallel_schemas::{
    error::{Code, Error},
    event::EventKind,
    process::{Kind, Status},
    prompt::{Answer, PromptState, PromptView, Proof, WhileWorking},
};

use self::{
    text::{Likeness, Version, likeness},
    turn::{Turn, begun_late},
    typing::{Current, Stage},
};

/// Prompts of one process that wait: a day's work, and what is not read by then nobody means any more.
pub const QUEUE_MAX: usize = 100;
/// Between the text and its Enter. A dialog is told of 400 ms before it takes keys; and keys that come in
/// one piece with a long text are part of it.
const PAUSE_MS: u64 = 100;
/// How long nobody must have typed for a pane to count as left alone.
const QUIET_MS: u64 = 1_500;
/// How long a program may take to read what is typed, and more for each KiB: Claude reads 25 KiB a second.
const TYPE_MS: u64 = 10_000;
const TYPE_MS_PER_KIB: u64 = 100;
/// A proof takes 30 ms on an idle machine, and a second beside twenty others.
const PROOF_MS: u64 = 2_000;
/// Looks for a proof, with an Enter after each but the last: an Enter can be lost.
const PROOFS_MAX: u32 = 4;
/// How often a text or an Enter is tried again because the agent said something meanwhile.
const TRIES_MAX: u32 = 40;
/// How long somebody who is typing in the pane is waited for.
const PERSON_MS_MAX: i64 = 30_000;
/// How long a dialog may stand between a text and its Enter.
const HELD_MS_MAX: u64 = 10 * 60_000;
/// The session file says `idle` before Claude reads keys, which are lost then; a report to its terminal
/// comes when it does.
const START_MS: i64 = 5_000;
/// Between two tries to begin with a prompt that waits for something that nobody tells of.
const RETRY_MS: u64 = 2_000;
/// How long after its proof a turn may show no sign of having begun.
const BEGIN_MS: i64 = 3_000;
/// An agent at rest for this long has ended its turn, also if no hook said so: between two turns it rests
/// for some 10 ms, and a hook comes 20 ms before the rest.
const SETTLE_MS: u64 = 1_000;
/// The figures of a turn's cost come 300 to 700 ms after its end, and later from a busy machine. Those of a
/// turn that has cost nothing are those of before it.
const COST_MS: u64 = 1_500;
/// After its end an agent is at rest within some 20 ms. One that is not after so long does something else.
const REST_MS: u64 = 5_000;
/// A proof that comes later than this is of something else.
const LATE_MS_MAX: i64 = 120_000;
/// Clears the input box: on an idle agent, once.
const CLEAR: &[u8] = b"\x03";
const ENTER: &[u8] = b"\r";

/// A prompt, and what has become of it.
#[derive(Clone, PartialEq)]
pub struct Prompt {
    /// As it is shown.
    pub view: PromptView,
    /// All of its text.
    pub text: Arc<str>,
    /// What is done with it while the agent works.
    pub mode: WhileWorking,
}

/// How the process stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// Milliseconds since 1970.
    pub at: i64,
    /// What it runs.
    pub kind: Kind,
    /// Its run, and when that began; none if it does not run.
    pub run: Option<(String, i64)>,
    /// The agent's status.
    pub status: Option<Status>,
    /// What was said with it.
    pub reason: Option<String>,
    /// A dialog is open, whatever the status says: where a limit is reached, the list of what can be done
    /// about it.
    pub dialog: bool,
    /// The newest thing that the agent has said to its terminal of itself.
    pub status_seq: Option<u64>,
    /// Anything tells its status at all.
    pub tells: bool,
    /// Hooks have been heard of in this run.
    pub hooks: bool,
}

/// Something happened.
#[derive(Clone, PartialEq)]
pub enum Input {
    /// The scene is another.
    Changed,
    /// Somebody takes a prompt back that waits.
    Cancel(String),
    /// The prompt is saved, and the agent was looked at.
    Prepared {
        /// Of [`Effect::Prepare`].
        order: u64,
        /// The agent's version.
        version: Option<Version>,
        /// Why it cannot be typed now: a dialog, a disk.
        obstacle: Option<String>,
    },
    /// What became of an [`Effect::Type`].
    Typed {
        /// Its number.
        order: u64,
        /// What.
        outcome: Outcome,
    },
    /// The agent says that it was told this.
    Submitted {
        /// What.
        text: String,
        /// Claude's id of the turn.
        prompt_id: Option<String>,
        /// Claude's session.
        session_id: Option<String>,
    },
    /// Something happened that only follows on a command: the session changed, a compaction began.
    Stirred {
        /// Claude's session.
        session_id: Option<String>,
    },
    /// A turn is over.
    Ended {
        /// Claude's id of it.
        prompt_id: Option<String>,
        /// The last thing that was said.
        last_message: Option<String>,
        /// With an error.
        failed: bool,
    },
    /// What the transcript has.
    Looked {
        /// Of [`Effect::Look`].
        order: u64,
        /// The prompt, if it is there.
        found: Option<Found>,
    },
    /// What the session has cost by now, in US dollars.
    Cost(f64),
    /// A run is over, for this reason.
    Exited(String),
    /// A timer has run out.
    Timer(u64),
}

/// What became of an order to type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The program's terminal has it.
    Done,
    /// Nothing was typed: the program has said something since.
    Status,
    /// Nothing was typed: somebody is typing.
    Person,
    /// Nothing was typed: the program does not read.
    Full,
    /// Nobody knows.
    Lost,
}

/// A prompt in a transcript.
#[derive(Clone, Default, PartialEq)]
pub struct Found {
    /// Claude's session.
    pub session_id: Option<String>,
    /// Claude's id of the turn.
    pub prompt_id: Option<String>,
    /// The last thing that was said after it.
    pub answer: Option<String>,
}

/// Something must be done.
#[derive(Clone, PartialEq)]
pub enum Effect {
    /// Keep the prompt, and tell of it.
    Put(Box<Prompt>, Option<EventKind>),
    /// When all that was to be kept is on the disk, look at the agent and say [`Input::Prepared`].
    Prepare {
        /// Number of this.
        order: u64,
    },
    /// Type, on conditions, and say [`Input::Typed`].
    Type {
        /// Number of this.
        order: u64,
        /// The newest report of the agent that may be.
        status_seq: Option<u64>,
        /// For how long nobody may have typed.
        quiet_ms: Option<u64>,
        /// What.
        bytes: Vec<u8>,
    },
    /// Look for a prompt in the transcripts, among what was written since, and say [`Input::Looked`].
    Look {
        /// Number of this.
        order: u64,
        /// The prompt.
        text: Arc<str>,
        /// Since when, in milliseconds since 1970.
        since: i64,
    },
    /// Say [`Input::Timer`] with this number after so many milliseconds.
    Arm(u64, u64),
}

/// The prompts of one process that are not over.
#[derive(Debug, Default)]
pub struct Prompts {
    queue: VecDeque<Prompt>,
    current: Option<Current>,
    turns: Vec<Turn>,
    /// Prompts of before a restart of the daemon, which were being typed when it ended.
    recovering: Vec<Recovering>,
    /// The last prompt that was typed and not proven.
    unproven: Option<Prompt>,
    input: InputBox,
    cost: Option<f64>,
    retry: Option<u64>,
    /// Numbers orders and timers.
    last: u64,
}

#[derive(Debug)]
struct Recovering {
    prompt: Prompt,
    /// The look that is under way; 0 between two.
    order: u64,
    timer: u64,
    looks: u32,
    /// Its agent was seen at work since.
    worked: bool,
}

/// What is known of the agent's input box.
#[derive(Debug, Default)]
struct InputBox {
    run: Option<String>,
    /// Nothing stands in it that was typed before.
    empty_at: i64,
    /// Words of ours may stand in it.
    dirty: bool,
    /// The order that clears it, after a prompt that was not proven.
    clearing: Option<u64>,
}

impl Prompts {
    /// Puts back what was not over when the daemon ended.
    pub fn restore(&mut self, prompts: Vec<Prompt>, scene: &Scene) -> Vec<Effect> {
        let mut out = Vec::new();
        for prompt in prompts {
            match prompt.view.state {
                PromptState::Queued => self.queue.push_back(prompt),
                PromptState::Typing => {
                    let since = prompt.view.typed_at.unwrap_or(prompt.view.at);
                    let order = self.number();
                    out.push(Effect::Look { order, text: prompt.text.clone(), since });
                    let timer = self.arm(TYPE_MS, &mut out);
                    let worked = scene.status == Some(Status::Working);
                    self.recovering.push(Recovering { prompt, order, timer, looks: 0, worked });
                }
                PromptState::Delivered => {
                    // its run may be over, and its agent at rest: then nothing changes any more
                    let timer = Some(self.arm(SETTLE_MS, &mut out));
                    self.turns.push(Turn {
                        prompt,
                        merged: true,
                        worked: true,
                        last_message: None,
                        ended: false,
                        overdue: false,
                        failed: false,
                        timer,
                        look: None,
                        cost_before: None,
                        cost_at_end: None,
                        run: None,
                    });
                }
                PromptState::Answered
                | PromptState::Undelivered
                | PromptState::Canceled
                | PromptState::Unknown
                | _ => {}
            }
        }
        self.place(&mut out);
        self.go_on(scene, &mut out);
        out
    }

    /// Takes a prompt.
    ///
    /// # Errors
    /// `busy` or `conflict` if it can be neither typed nor queued; then it is not kept.
    pub fn send(&mut self, mut prompt: Prompt, scene: &Scene) -> Result<Vec<Effect>, Error> {
        let ready = self.may_begin(&prompt, scene);
        let queued = self.queue.len();
        if queued >= QUEUE_MAX {
            let message = format!("{queued} prompts wait for it already");
            return Err(Error::new(Code::Busy, message).hint("`wezterm-parallel prompt list` shows them"));
        }
        if prompt.mode != WhileWorking::Queue {
            if let Err(why) = ready {
                return Err(why.error(prompt.mode));
            }
            if prompt.mode == WhileWorking::Refuse
                && (self.current.is_some() || !self.queue.is_empty() || !self.recovering.is_empty())
            {
                return Err(Obstacle::Busy("another prompt is on its way to it".into()).error(prompt.mode));
            }
        }
        let mut out = Vec::new();
        prompt.view.state = PromptState::Queued;
        let at_once = self.current.is_none() && self.recovering.is_empty();
        let event = (!at_once || ready.is_err() || !self.queue.is_empty()).then_some(EventKind::PromptQueued);
        if prompt.mode == WhileWorking::Now {
            let ahead = self.queue.iter().take_while(|p| p.mode == WhileWorking::Now).count();
            self.queue.insert(ahead, prompt.clone());
        } else {
            self.queue.push_back(prompt.clone());
        }
        if event.is_some() {
            let place = self.queue.iter().position(|p| p.view.id == prompt.view.id).unwrap_or_default();
            prompt.view.place = u32::try_from(place + 1).ok();
            self.queue[place].view.place = prompt.view.place;
            out.push(Effect::Put(Box::new(prompt), event));
        }
        self.go_on(scene, &mut out);
        Ok(out)
    }

    /// Takes one input and says what must be done.
    pub fn step(&mut self, input: Input, scene: &Scene) -> Vec<Effect> {
        let mut out = Vec::new();
        match input {
            Input::Changed => {
                self.changed_typing(scene, &mut out);
                self.changed_turns(scene, &mut out);
                self.rested(scene, &mut out);
            }
            Input::Cancel(id) => self.cancel(&id, &mut out),
            Input::Prepared { order, version, obstacle } => {
                if self.awaits(order) {
                    self.prepared(version, obstacle, scene, &mut out);
                }
            }
            Input::Typed { order, outcome } => {
                if self.input.clearing == Some(order) {
                    self.input.clearing = None;
                    self.input.dirty = outcome != Outcome::Done;
                }
                if self.awaits(order) {
                    self.typed(outcome, scene, &mut out);
                }
            }
            Input::Submitted { text, prompt_id, session_id } => {
                self.submitted(&text, prompt_id, session_id, scene, &mut out);
            }
            Input::Stirred { session_id } => {
                let typed = self.current.as_ref().is_some_and(|c| c.entered && c.prompt.view.command);
                if typed {
                    self.delivered(Some(Proof::Hook), session_id, None, None, scene, &mut out);
                }
            }
            Input::Ended { prompt_id, last_message, failed } => {
                self.ended(prompt_id.as_deref(), last_message, failed, &mut out);
                self.rested(scene, &mut out);
            }
            Input::Looked { order, found } => self.looked(order, found, scene, &mut out),
            Input::Cost(total) => {
                self.cost = Some(total);
                self.rested(scene, &mut out);
            }
            Input::Exited(why) => self.exited(&why, scene, &mut out),
            Input::Timer(number) => self.timer(number, scene, &mut out),
        }
        self.go_on(scene, &mut out);
        out
    }

    /// How many wait to be typed or proven.
    pub fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.current.is_some()) + self.recovering.len()
    }

    /// Nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting() == 0 && self.turns.is_empty()
    }

    /// All that are not over.
    pub fn all(&self) -> impl Iterator<Item = &Prompt> {
        let turns = self.turns.iter().map(|t| &t.prompt);
        let typing = self.recovering.iter().map(|r| &r.prompt).chain(self.current.iter().map(|c| &c.prompt));
        turns.chain(typing).chain(&self.queue)
    }

    /// Ends all that is under way, since the process goes.
    pub fn abandon(&mut self, why: &str, scene: &Scene) -> Vec<Effect> {
        let mut out = Vec::new();
        let typing = self.current.take().map(|c| c.prompt);
        let recovering = self.recovering.drain(..).map(|r| r.prompt);
        let all: Vec<Prompt> = typing.into_iter().chain(recovering).chain(self.queue.drain(..)).collect();
        for prompt in all {
            over(prompt, PromptState::Undelivered, Some(why.to_owned()), &mut out);
        }
        for turn in std::mem::take(&mut self.turns) {
            self.answered(turn, Some(why.to_owned()), scene, &mut out);
        }
        out
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn awaits(&self, order: u64) -> bool {
        self.current.as_ref().is_some_and(|c| c.order == order)
    }

    /// Whether a prompt can be typed now, as far as is known.
    fn may_begin(&self, prompt: &Prompt, scene: &Scene) -> Result<(), Obstacle> {
        allowed(prompt, scene)?;
        let may_begin_yet = |t: &Turn| !t.worked && !begun_late(t, scene.at);
        if prompt.mode != WhileWorking::Now && self.turns.iter().any(may_begin_yet) {
            // it has the last one, and its status does not say so yet
            return Err(Obstacle::Busy("it works".into()));
        }
        Ok(())
    }

    /// Begins with the next prompt if nothing stands against it.
    fn go_on(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        if let Some((run, started_at)) = &scene.run
            && self.input.run.as_ref() != Some(run)
        {
            // a new run: an empty box
            let dirty = self.input.run.is_none() && self.input.dirty;
            self.input = InputBox { run: Some(run.clone()), empty_at: *started_at, dirty, clearing: None };
        }
        if self.current.is_some() || !self.recovering.is_empty() || self.retry.is_some() {
            return;
        }
        let mut prompt = loop {
            let Some(next) = self.queue.front() else { return };
            let ready = self.may_begin(next, scene);
            // it goes out when all that went before is over, so that the answers can be told apart
            let waits = ready.is_err() || !self.turns.is_empty();
            if next.mode == WhileWorking::Queue && waits {
                return;
            }
            let Some(next) = self.queue.pop_front() else { return };
            match ready {
                Ok(()) => break next,
                // it could be typed when it was sent, and waited for one before it
                Err(why) => {
                    over(next, PromptState::Undelivered, Some(why.error(WhileWorking::Now).message), out)
                }
            }
        };
        prompt.view.state = PromptState::Typing;
        prompt.view.typed_at = Some(scene.at);
        prompt.view.place = None;
        prompt.view.reason = None;
        out.push(Effect::Put(Box::new(prompt.clone()), None));
        let order = self.number();
        out.push(Effect::Prepare { order });
        let timer = self.arm(TYPE_MS, out);
        self.current = Some(Current {
            prompt,
            stage: Stage::Preparing,
            order,
            timer,
            version: None,
            stashed: false,
            working: false,
            tries: 0,
            ordered: false,
            texted_at: None,
            entered: false,
            rested: false,
            alone_since: None,
            said: None,
            dialog: false,
            worked: false,
            run: scene.run.as_ref().map(|(run, _)| run.clone()),
        });
        self.place(out);
    }

    /// Tells those that wait their places, if these changed.
    fn place(&mut self, out: &mut Vec<Effect>) {
        for (i, prompt) in self.queue.iter_mut().enumerate() {
            let place = u32::try_from(i + 1).ok();
            if prompt.view.place != place {
                prompt.view.place = place;
                out.push(Effect::Put(Box::new(prompt.clone()), None));
            }
        }
    }

    fn arm(&mut self, delay: u64, out: &mut Vec<Effect>) -> u64 {
        let number = self.number();
        out.push(Effect::Arm(number, delay));
        number
    }

    fn timer(&mut self, number: u64, scene: &Scene, out: &mut Vec<Effect>) {
        if self.retry == Some(number) {
            self.retry = None;
        }
        self.typing_timer(number, scene, out);
        if let Some(i) = self.recovering.iter().position(|r| r.timer == number) {
            if self.recovering[i].order != 0 {
                // that look comes to nothing
                return self.recovered(i, None, scene, out);
            }
            let (order, timer) = (self.number(), self.arm(TYPE_MS, out));
            let waiting = &mut self.recovering[i];
            (waiting.timer, waiting.order, waiting.looks) = (timer, order, waiting.looks + 1);
            let since = waiting.prompt.view.typed_at.unwrap_or(waiting.prompt.view.at);
            out.push(Effect::Look { order, text: waiting.prompt.text.clone(), since });
        }
        if !self.waits_for_rest(number, scene, out) {
            self.turn_over(|turn| turn.timer == Some(number), scene, out);
        }
    }

    fn looked(&mut self, order: u64, found: Option<Found>, scene: &Scene, out: &mut Vec<Effect>) {
        if let Some(i) = self.recovering.iter().position(|r| r.order == order) {
            return self.recovered(i, found, scene, out);
        }
        if let Some(i) = self.turns.iter().position(|t| t.look == Some(order)) {
            let mut turn = self.turns.remove(i);
            turn.look = None;
            let found = found.unwrap_or_default();
            turn.last_message = turn.last_message.or(found.answer);
            let interrupted = turn.last_message.is_none() && !turn.ended && !turn.prompt.view.command;
            let why = (interrupted && scene.status == Some(Status::Idle))
                .then(|| "it ended without a message: it may have been interrupted".to_owned());
            return self.answered(turn, why, scene, out);
        }
        self.looked_typing(order, found, scene, out);
    }

    fn recovered(&mut self, i: usize, found: Option<Found>, scene: &Scene, out: &mut Vec<Effect>) {
        // as often as after an Enter that this daemon has typed
        if found.is_none() && self.recovering[i].looks < PROOFS_MAX && scene.run.is_some() {
            let timer = self.arm(PROOF_MS, out);
            (self.recovering[i].timer, self.recovering[i].order) = (timer, 0);
            return;
        }
        let Recovering { prompt, worked, .. } = self.recovering.remove(i);
        match found {
            Some(found) => {
                let (session, id) = (found.session_id, found.prompt_id);
                self.turn(prompt, Some(Proof::Transcript), session, id, None, true, None, scene, out);
                if let Some(turn) = self.turns.last_mut() {
                    turn.worked = true;
                }
            }
            None => {
                self.input.dirty = true;
                let typed_at = prompt.view.typed_at.unwrap_or(prompt.view.at);
                if scene.run.as_ref().is_some_and(|(_, started_at)| typed_at >= *started_at) {
                    self.unproven = Some(prompt.clone());
                }
                let why = if worked {
                    "the daemon ended while it was being typed; the agent has worked since, and may have it"
                } else {
                    "the daemon ended while it was being typed, and nothing shows that the agent has it"
                };
                over(prompt, PromptState::Undelivered, Some(why.into()), out);
            }
        }
    }

    fn cancel(&mut self, id: &str, out: &mut Vec<Effect>) {
        if let Some(i) = self.queue.iter().position(|p| p.view.id == id)
            && let Some(prompt) = self.queue.remove(i)
        {
            over(prompt, PromptState::Canceled, None, out);
            self.place(out);
        }
    }
}

fn over(mut prompt: Prompt, state: PromptState, reason: Option<String>, out: &mut Vec<Effect>) {
    prompt.view.state = state;
    prompt.view.reason = reason;
    prompt.view.place = None;
    let event = match state {
        PromptState::Canceled => EventKind::PromptCanceled,
        _ => EventKind::PromptUndelivered,
    };
    out.push(Effect::Put(Box::new(prompt), Some(event)));
}

/// Why a prompt cannot be typed.
#[derive(Clone, Debug, PartialEq)]
enum Obstacle {
    /// It works, or has something else to do first.
    Busy(String),
    /// It does not run.
    Down(String),
    /// Nothing tells how it stands.
    Mute,
}

impl Obstacle {
    fn error(self, mode: WhileWorking) -> Error {
        match self {
            Self::Busy(why) if mode == WhileWorking::Refuse => Error::new(Code::Busy, why)
                .hint("--queue sends it when the agent is idle; --now types it while the agent works"),
            Self::Busy(why) => Error::new(Code::Busy, why).hint("--queue sends it when the agent is idle"),
            Self::Down(why) => Error::new(Code::Conflict, why).hint(
                "`wezterm-parallel process start` starts it; --queue keeps the prompt until it is idle",
            ),
            Self::Mute => Error::new(Code::Conflict, "nothing tells whether it waits for a prompt")
                .hint("--now types it all the same"),
        }
    }
}

/// Whether the agent takes a prompt now, by its status.
fn allowed(prompt: &Prompt, scene: &Scene) -> Result<(), Obstacle> {
    let now = prompt.mode == WhileWorking::Now;
    if scene.run.is_none() {
        return Err(Obstacle::Down("it does not run".into()));
    }
    let because = |what: &str| match &scene.reason {
        Some(reason) => Obstacle::Busy(format!("{what}: {reason}")),
        None => Obstacle::Busy(what.to_owned()),
    };
    if scene.dialog {
        return Err(because("it waits for an answer in its pane"));
    }
    match scene.status {
        Some(Status::Idle | Status::Error) => Ok(()),
        // its registry tells of a dialog 40 ms after it takes keys, and an Enter would answer it
        Some(Status::Working) if now && scene.kind == Kind::Claude && scene.status_seq.is_none() => {
            let why = "it works, and of a dialog that opens it would be known too late (it does not report to \
                       its terminal)";
            Err(Obstacle::Busy(why.into()))
        }
        Some(Status::Working | Status::RateLimited) if now => Ok(()),
        Some(Status::Working) => Err(Obstacle::Busy("it works".into())),
        Some(Status::RateLimited) => Err(because("its account has reached a limit")),
        Some(Status::Blocked(_)) => Err(because("it waits for an answer in its pane")),
        _ if scene.kind != Kind::Claude && !scene.tells => {
            if now {
                Ok(())
            } else {
                Err(Obstacle::Mute)
            }
        }
        Some(Status::Starting) => Err(Obstacle::Busy("it starts".into())),
        Some(Status::Unknown) | None => Err(because("its status is not known")),
    }
}
