//! The prompts of one process: each is typed once, into an agent that waits for one, and proven.
//!
//! A prompt that is typed goes through: saved (so that a daemon that dies knows of it) · looked at the
//! agent (is a dialog open that its status does not tell of?) · its text · a pause, in which a dialog that
//! opens meanwhile is heard of · Enter · the proof. Text and Enter are typed only if the agent has said
//! nothing newer in between, so that Enter answers no dialog. Nothing is ever typed a second time.

pub mod text;

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc};

use wezterm_parallel_schemas::{
    error::{Code, Error},
    event::EventKind,
    process::{Kind, Status},
    prompt::{Answer, PromptState, PromptView, Proof, WhileWorking},
};

use self::text::{Likeness, Version, likeness};

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
/// Between two tries to begin with a prompt that waits for something that nobody tells of.
const RETRY_MS: u64 = 2_000;
/// How long after its proof a turn may show no sign of having begun.
const BEGIN_MS: i64 = 3_000;
/// An agent at rest for this long has ended its turn, also if no hook said so: between two turns it rests
/// for some 10 ms, and a hook comes 20 ms before the rest.
const SETTLE_MS: u64 = 1_000;
/// The figures of a turn's cost come so long after its end, and its status 20 ms after it.
const COST_MS: u64 = 700;
/// Some programs take a moment until what they do is written down.
const RECOVER_MS: u64 = 1_500;
/// A proof that comes later than this is of something else.
const LATE_MS_MAX: i64 = 120_000;
/// Clears the input box: on an idle agent, once.
const CLEAR: &[u8] = b"\x03";
const ENTER: &[u8] = b"\r";

/// A prompt, and what has become of it.
#[derive(Clone, Debug, PartialEq)]
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
    /// The newest thing that the agent has said to its terminal of itself.
    pub status_seq: Option<u64>,
    /// Anything tells its status at all.
    pub tells: bool,
    /// Hooks have been heard of in this run.
    pub hooks: bool,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Claude's session.
    pub session_id: Option<String>,
    /// Claude's id of the turn.
    pub prompt_id: Option<String>,
    /// The last thing that was said after it.
    pub answer: Option<String>,
}

/// Something must be done.
#[derive(Clone, Debug, PartialEq)]
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

/// The one that is being typed.
#[derive(Debug)]
struct Current {
    prompt: Prompt,
    stage: Stage,
    /// The order whose answer is awaited.
    order: u64,
    timer: u64,
    version: Option<Version>,
    /// What the user had typed was stashed before it.
    stashed: bool,
    /// It is typed into an agent that works.
    working: bool,
    tries: u32,
    /// Its text was ordered to be typed, and not refused.
    ordered: bool,
    /// When its text was typed, and what the agent had said last by then.
    typed: Option<(i64, Option<u64>)>,
    /// The agent was seen at work since its Enter.
    worked: bool,
    run: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preparing,
    Clearing,
    Texting,
    Pausing,
    Entering,
    /// A dialog stands between the text and its Enter.
    Held,
    Proving {
        looks: u32,
    },
    Looking {
        looks: u32,
    },
}

/// A prompt that the agent has, and whose turn is not known to be over.
#[derive(Debug)]
struct Turn {
    prompt: Prompt,
    /// It was typed into an agent that worked: its turn has no id that is known beforehand.
    merged: bool,
    worked: bool,
    last_message: Option<String>,
    ended: bool,
    failed: bool,
    /// Its end is known and not told yet.
    timer: Option<u64>,
    /// The transcript is being looked at for its answer.
    look: Option<u64>,
    cost_before: Option<f64>,
}

#[derive(Debug)]
struct Recovering {
    prompt: Prompt,
    order: u64,
    timer: Option<u64>,
    looked: bool,
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
                    let timer = Some(self.arm(TYPE_MS, &mut out));
                    self.recovering.push(Recovering { prompt, order, timer, looked: false });
                }
                PromptState::Delivered => self.turns.push(Turn {
                    prompt,
                    merged: true,
                    worked: true,
                    last_message: None,
                    ended: false,
                    failed: false,
                    timer: None,
                    look: None,
                    cost_before: None,
                }),
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
                self.changed(scene, &mut out);
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
                let typed = self.current.as_ref().is_some_and(|c| c.is_typed() && c.prompt.view.command);
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
                self.turn_over(|turn| turn.ended, scene, &mut out);
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

    /// Takes all back that wait, since the process goes.
    pub fn abandon(&mut self, why: &str) -> Vec<Effect> {
        let mut out = Vec::new();
        let typing = self.current.take().map(|c| c.prompt);
        let recovering = self.recovering.drain(..).map(|r| r.prompt);
        let all: Vec<Prompt> = typing.into_iter().chain(recovering).chain(self.queue.drain(..)).collect();
        for prompt in all {
            over(prompt, PromptState::Undelivered, Some(why.to_owned()), &mut out);
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
            typed: None,
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

    /// The next stage of the one under way, which is left if nothing comes of it in so many milliseconds.
    fn enter(&mut self, stage: Stage, within: u64, out: &mut Vec<Effect>) {
        let timer = self.arm(within, out);
        if let Some(current) = &mut self.current {
            current.stage = stage;
            current.timer = timer;
        }
    }

    fn type_in(&mut self, bytes: Vec<u8>, quiet_ms: Option<u64>, scene: &Scene, out: &mut Vec<Effect>) {
        let order = self.number();
        if let Some(current) = &mut self.current {
            current.order = order;
        }
        out.push(Effect::Type { order, status_seq: scene.status_seq, quiet_ms, bytes });
    }

    fn prepared(
        &mut self,
        version: Option<Version>,
        obstacle: Option<String>,
        scene: &Scene,
        out: &mut Vec<Effect>,
    ) {
        let Some(current) = &mut self.current else { return };
        if current.stage != Stage::Preparing {
            return;
        }
        current.version = version;
        if let Some(why) = obstacle {
            return self.not_now(Obstacle::Busy(why), scene, out);
        }
        if let Err(why) = allowed(&current.prompt, scene) {
            return self.not_now(why, scene, out);
        }
        if !self.input.dirty || scene.kind != Kind::Claude {
            return self.type_text(false, scene, out);
        }
        if scene.status == Some(Status::Working) {
            let why = "words of another prompt stand in its input box, and cannot be cleared while it works";
            return self.not_now(Obstacle::Busy(why.into()), scene, out);
        }
        self.enter(Stage::Clearing, TYPE_MS, out);
        self.type_in(CLEAR.to_vec(), Some(QUIET_MS), scene, out);
    }

    fn type_text(&mut self, stash: bool, scene: &Scene, out: &mut Vec<Effect>) {
        let empty_at = self.input.empty_at;
        let Some(current) = &mut self.current else { return };
        let stash = stash && scene.kind == Kind::Claude;
        current.stashed = stash;
        current.ordered = true;
        current.working = scene.status == Some(Status::Working);
        let view = &current.prompt.view;
        let bytes = text::keys(&current.prompt.text, scene.kind, view.command, stash, current.version);
        // whatever was typed since the box was empty last may stand in it
        let unknown = !stash && scene.kind == Kind::Claude;
        let quiet = if unknown { u64::try_from(scene.at - empty_at).unwrap_or(0) } else { 0 };
        let kib = u64::try_from(bytes.len() >> 10).unwrap_or(0);
        self.enter(Stage::Texting, TYPE_MS + kib * TYPE_MS_PER_KIB, out);
        self.type_in(bytes, Some(quiet.max(QUIET_MS)), scene, out);
    }

    fn type_enter(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(current) = &self.current else { return };
        if allowed_enter(current, scene).is_err() {
            return self.enter(Stage::Held, HELD_MS_MAX, out);
        }
        let since = current.typed.map_or(0, |(at, _)| scene.at - at);
        self.enter(Stage::Entering, TYPE_MS, out);
        // what somebody has typed into the text would go with it
        self.type_in(ENTER.to_vec(), u64::try_from(since).ok(), scene, out);
    }

    fn typed(&mut self, outcome: Outcome, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(current) = &mut self.current else { return };
        let stage = current.stage;
        if stage == Stage::Texting && matches!(outcome, Outcome::Status | Outcome::Person | Outcome::Full) {
            current.ordered = false;
        }
        match (stage, outcome) {
            (Stage::Clearing, Outcome::Done) => {
                self.input.dirty = false;
                self.input.empty_at = scene.at;
                // it takes a moment; and a second one right behind it would end the agent
                self.enter(Stage::Clearing, PAUSE_MS, out);
            }
            (Stage::Texting, Outcome::Done) => {
                current.typed = Some((scene.at, scene.status_seq));
                self.enter(Stage::Pausing, PAUSE_MS, out);
            }
            (Stage::Entering, Outcome::Done) => {
                if scene.kind != Kind::Claude && !scene.tells {
                    let why = "it was typed; nothing tells whether the program has taken it";
                    return self.delivered(None, None, None, Some(why.into()), scene, out);
                }
                self.enter(Stage::Proving { looks: 0 }, PROOF_MS, out);
            }
            (Stage::Clearing | Stage::Texting | Stage::Entering, Outcome::Status) => {
                current.tries += 1;
                let tries = current.tries;
                if stage == Stage::Entering && tries < TRIES_MAX {
                    return self.type_enter(scene, out);
                }
                if stage == Stage::Entering {
                    return self.enter(Stage::Proving { looks: PROOFS_MAX - 1 }, PROOF_MS, out);
                }
                match allowed(&current.prompt, scene) {
                    Ok(()) if tries < TRIES_MAX && stage == Stage::Texting => {
                        let stashed = current.stashed;
                        self.type_text(stashed, scene, out);
                    }
                    Ok(()) => self.not_now(Obstacle::Busy("it changes all the time".into()), scene, out),
                    Err(why) => self.not_now(why, scene, out),
                }
            }
            (Stage::Texting, Outcome::Person) if !current.stashed && scene.kind == Kind::Claude => {
                self.type_text(true, scene, out);
            }
            (Stage::Texting | Stage::Clearing, Outcome::Person) => {
                let waited = scene.at - current.prompt.view.typed_at.unwrap_or(scene.at);
                if current.prompt.mode != WhileWorking::Queue && waited > PERSON_MS_MAX {
                    return self.not_now(Obstacle::Busy("somebody types in its pane".into()), scene, out);
                }
                // by the timer, from the start
                self.enter(Stage::Preparing, QUIET_MS, out);
                if let Some(current) = &mut self.current {
                    current.order = 0;
                }
            }
            (Stage::Entering, Outcome::Person) => {
                // their Enter may have sent it: a proof would come
                self.enter(Stage::Proving { looks: PROOFS_MAX - 1 }, PROOF_MS, out);
            }
            (_, Outcome::Full) if !current.is_typed() => {
                let why = "it does not read what is typed";
                self.over(PromptState::Undelivered, Some(why.into()), out);
            }
            (_, Outcome::Lost) if !current.is_typed() => {
                self.input.dirty = true;
                let why = "the connection to its keeper broke while it was being typed";
                self.over(PromptState::Undelivered, Some(why.into()), out);
            }
            (_, Outcome::Full | Outcome::Lost) => {
                self.enter(Stage::Proving { looks: PROOFS_MAX - 1 }, PROOF_MS, out);
            }
            (
                Stage::Preparing
                | Stage::Pausing
                | Stage::Held
                | Stage::Proving { .. }
                | Stage::Looking { .. },
                _,
            ) => {}
        }
    }

    /// It cannot be typed, and nothing of it has been: it waits on, or is refused.
    fn not_now(&mut self, why: Obstacle, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(Current { mut prompt, .. }) = self.current.take() else { return };
        if prompt.mode != WhileWorking::Queue {
            return over(prompt, PromptState::Undelivered, Some(why.error(WhileWorking::Now).message), out);
        }
        prompt.view.state = PromptState::Queued;
        prompt.view.typed_at = None;
        prompt.view.reason = Some(why.error(prompt.mode).message);
        prompt.view.place = Some(1);
        out.push(Effect::Put(Box::new(prompt.clone()), None));
        self.queue.push_front(prompt);
        self.place(out);
        // if its status allows it, nobody will tell when the obstacle has gone
        if self.queue.front().is_some_and(|next| self.may_begin(next, scene).is_ok()) {
            self.retry = Some(self.arm(RETRY_MS, out));
        }
    }

    fn over(&mut self, state: PromptState, reason: Option<String>, out: &mut Vec<Effect>) {
        if let Some(current) = self.current.take() {
            if state == PromptState::Undelivered && current.is_typed() {
                let mut prompt = current.prompt.clone();
                prompt.view.state = state;
                self.unproven = Some(prompt);
            }
            over(current.prompt, state, reason, out);
        }
    }

    /// It was typed, and nothing shows that the agent has it.
    fn unproven(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(current) = &self.current else { return };
        let proof = (current.worked && !scene.hooks && !current.prompt.view.command).then_some(Proof::Status);
        if proof.is_some() {
            return self.delivered(proof, None, None, None, scene, out);
        }
        let held = current.stage == Stage::Held;
        let same_run = current.run.is_some() && current.run == scene.run.as_ref().map(|(run, _)| run.clone());
        let quiet_ms = current.typed.and_then(|(at, _)| u64::try_from(scene.at - at).ok());
        let at_rest = matches!(scene.status, Some(Status::Idle | Status::Error));
        let why = if held {
            "a dialog opened while it was being typed, and stayed open"
        } else {
            "it was typed, and nothing shows that the agent has it"
        };
        self.over(PromptState::Undelivered, Some(why.into()), out);
        self.input.dirty |= same_run;
        if at_rest && same_run && !held && scene.kind == Kind::Claude {
            // what may stand in the box must not be sent with the next one, nor what somebody typed be lost
            let order = self.number();
            let bytes = CLEAR.to_vec();
            out.push(Effect::Type { order, status_seq: scene.status_seq, quiet_ms, bytes });
            self.input.clearing = Some(order);
            self.input.empty_at = scene.at;
            // the next one must not be typed into what is being cleared
            self.retry = Some(self.arm(RETRY_MS, out));
        }
    }

    fn submitted(
        &mut self,
        told: &str,
        prompt_id: Option<String>,
        session_id: Option<String>,
        scene: &Scene,
        out: &mut Vec<Effect>,
    ) {
        let likeness = |p: &Prompt| likeness(told, &p.text);
        if let Some(current) = self.current.as_ref().filter(|c| c.is_typed()) {
            let found = likeness(&current.prompt);
            if found != Likeness::Other {
                let reason = (found == Likeness::Within)
                    .then(|| "it was sent together with words that stood in the input box".to_owned());
                return self.delivered(Some(Proof::Hook), session_id, prompt_id, reason, scene, out);
            }
        }
        let late = |p: &Prompt| scene.at - p.view.typed_at.unwrap_or(0) < LATE_MS_MAX;
        if let Some(prompt) = self.unproven.take_if(|p| late(p) && likeness(p) == Likeness::Same) {
            let reason = "its proof came late".to_owned();
            self.turn(prompt, Some(Proof::Hook), session_id, prompt_id, Some(reason), false, scene, out);
        }
        if self.current.is_none() {
            // what stood in the box went with it
            self.input.empty_at = scene.at;
            self.input.dirty = false;
        }
    }

    fn delivered(
        &mut self,
        proof: Option<Proof>,
        session_id: Option<String>,
        prompt_id: Option<String>,
        reason: Option<String>,
        scene: &Scene,
        out: &mut Vec<Effect>,
    ) {
        let Some(current) = self.current.take() else { return };
        self.input.dirty = false;
        if !current.stashed {
            // what was stashed is in the box again; otherwise all of it went with the prompt
            self.input.empty_at = scene.at;
        }
        self.turn(current.prompt, proof, session_id, prompt_id, reason, current.working, scene, out);
    }

    #[expect(clippy::too_many_arguments, reason = "what is known of a delivery, each from elsewhere")]
    fn turn(
        &mut self,
        mut prompt: Prompt,
        proof: Option<Proof>,
        session_id: Option<String>,
        prompt_id: Option<String>,
        reason: Option<String>,
        merged: bool,
        scene: &Scene,
        out: &mut Vec<Effect>,
    ) {
        prompt.view.state = PromptState::Delivered;
        prompt.view.delivered_at = Some(scene.at);
        prompt.view.proof = proof;
        prompt.view.session_id = session_id.or(prompt.view.session_id);
        prompt.view.prompt_id = prompt_id;
        prompt.view.reason = reason;
        out.push(Effect::Put(Box::new(prompt.clone()), Some(EventKind::PromptDelivered)));
        let working = scene.status == Some(Status::Working);
        let mut turn = Turn {
            prompt,
            merged,
            worked: working,
            last_message: None,
            ended: false,
            failed: false,
            timer: None,
            look: None,
            cost_before: self.cost,
        };
        if !working {
            turn.timer = Some(self.arm(BEGIN_MS.unsigned_abs(), out));
        }
        self.turns.push(turn);
        if self.turns.len() > QUEUE_MAX {
            // an agent of which nothing is known any more
            let oldest = self.turns.remove(0);
            self.answered(oldest, Some("how it ended is not known".into()), scene, out);
        }
    }

    fn ended(
        &mut self,
        prompt_id: Option<&str>,
        last_message: Option<String>,
        failed: bool,
        out: &mut Vec<Effect>,
    ) {
        for i in 0..self.turns.len() {
            let turn = &mut self.turns[i];
            let own = turn.prompt.view.prompt_id.as_deref();
            turn.failed = failed;
            if turn.merged {
                // it may be of the turn before, or of its own: whichever is the last
                turn.last_message.clone_from(&last_message);
            } else if own.is_none() || prompt_id.is_none() || own == prompt_id {
                turn.last_message.clone_from(&last_message);
                turn.ended = true;
                let timer = self.arm(COST_MS, out);
                self.turns[i].timer = Some(timer);
            }
        }
    }

    /// Turns that have ended are over when the agent takes a prompt again: who was told of the end may send
    /// the next. Where figures of their cost are to come, they are waited for.
    fn rested(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        if self.cost.is_none()
            && matches!(scene.status, Some(Status::Idle | Status::Error | Status::RateLimited))
        {
            self.turn_over(|turn| turn.ended, scene, out);
        }
    }

    fn changed(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let works = scene.status == Some(Status::Working);
        let working = works || matches!(scene.status, Some(Status::Blocked(_)));
        if let Some(current) = &mut self.current {
            let proving = matches!(current.stage, Stage::Proving { .. } | Stage::Looking { .. });
            let begins = proving && works && !current.worked;
            current.worked |= begins;
            let (stage, command) = (current.stage, current.prompt.view.command);
            if proving && command && working && !current.working {
                // a command that opens a dialog, or works
                self.delivered(Some(Proof::Status), None, None, None, scene, out);
            } else if stage == Stage::Held && allowed_enter(current, scene).is_ok() {
                self.enter(Stage::Pausing, PAUSE_MS, out);
            } else if begins && !scene.hooks && matches!(stage, Stage::Proving { .. }) {
                // its transcript has it in a moment
                self.enter(Stage::Proving { looks: PROOFS_MAX - 1 }, PAUSE_MS * 3, out);
            }
        }
        let at_rest = matches!(scene.status, Some(Status::Idle | Status::Error | Status::RateLimited));
        for i in 0..self.turns.len() {
            let turn = &mut self.turns[i];
            if working {
                turn.worked = true;
                if !turn.ended {
                    (turn.timer, turn.look) = (None, None);
                }
            } else if at_rest && turn.worked && turn.timer.is_none() && turn.look.is_none() {
                let timer = self.arm(SETTLE_MS, out);
                self.turns[i].timer = Some(timer);
            }
        }
    }

    fn timer(&mut self, number: u64, scene: &Scene, out: &mut Vec<Effect>) {
        if self.retry == Some(number) {
            self.retry = None;
        }
        if let Some(current) = self.current.as_ref().filter(|c| c.timer == number) {
            match current.stage {
                Stage::Preparing if current.order == 0 => {
                    let order = self.number();
                    out.push(Effect::Prepare { order });
                    self.enter(Stage::Preparing, TYPE_MS, out);
                    if let Some(current) = &mut self.current {
                        current.order = order;
                    }
                }
                Stage::Preparing => {
                    self.not_now(Obstacle::Busy("it could not be looked at".into()), scene, out);
                }
                Stage::Clearing if !self.input.dirty => match allowed(&current.prompt, scene) {
                    Ok(()) => self.type_text(false, scene, out),
                    Err(why) => self.not_now(why, scene, out),
                },
                Stage::Clearing | Stage::Texting => {
                    self.input.dirty = true;
                    let why = "it does not read what is typed; the text may still reach it";
                    self.over(PromptState::Undelivered, Some(why.into()), out);
                }
                Stage::Pausing => self.type_enter(scene, out),
                Stage::Held => self.unproven(scene, out),
                Stage::Entering => self.enter(Stage::Proving { looks: PROOFS_MAX - 1 }, PROOF_MS, out),
                Stage::Proving { looks } => {
                    let prompt = &current.prompt;
                    let (text, since) = (prompt.text.clone(), prompt.view.typed_at.unwrap_or(prompt.view.at));
                    let order = self.number();
                    out.push(Effect::Look { order, text, since });
                    self.enter(Stage::Looking { looks: looks + 1 }, TYPE_MS, out);
                    if let Some(current) = &mut self.current {
                        current.order = order;
                    }
                }
                Stage::Looking { .. } => self.unproven(scene, out),
            }
        }
        for i in 0..self.recovering.len() {
            if self.recovering[i].timer == Some(number) {
                if self.recovering[i].looked {
                    return self.recovered(i, None, scene, out);
                }
                let (order, timer) = (self.number(), self.arm(TYPE_MS, out));
                let waiting = &mut self.recovering[i];
                (waiting.timer, waiting.order, waiting.looked) = (Some(timer), order, true);
                let since = waiting.prompt.view.typed_at.unwrap_or(waiting.prompt.view.at);
                out.push(Effect::Look { order, text: waiting.prompt.text.clone(), since });
            }
        }
        self.turn_over(|turn| turn.timer == Some(number), scene, out);
    }

    /// The turns of which this is true are over, if the agent rests.
    fn turn_over(&mut self, which: impl Fn(&Turn) -> bool, scene: &Scene, out: &mut Vec<Effect>) {
        let at_rest = matches!(scene.status, Some(Status::Idle | Status::Error | Status::RateLimited));
        let mut i = 0;
        while i < self.turns.len() {
            if !which(&self.turns[i]) {
                i += 1;
                continue;
            }
            self.turns[i].timer = None;
            let told = self.turns[i].last_message.is_some() || self.turns[i].look.is_some();
            if told && (self.turns[i].ended || at_rest) {
                let turn = self.turns.remove(i);
                self.answered(turn, None, scene, out);
                continue;
            }
            if at_rest || self.turns[i].ended || (scene.kind != Kind::Claude && !scene.tells) {
                // no hook said what the agent did: the transcript may
                let (order, timer) = (self.number(), self.arm(TYPE_MS, out));
                let turn = &mut self.turns[i];
                (turn.look, turn.timer) = (Some(order), Some(timer));
                let since = turn.prompt.view.typed_at.unwrap_or(turn.prompt.view.at);
                out.push(Effect::Look { order, text: turn.prompt.text.clone(), since });
            } else {
                // whatever it does: its next rest is the end
                self.turns[i].worked = true;
            }
            i += 1;
        }
    }

    fn answered(&mut self, turn: Turn, why: Option<String>, scene: &Scene, out: &mut Vec<Effect>) {
        let mut prompt = turn.prompt;
        let cost = match (turn.cost_before, self.cost) {
            (Some(before), Some(after)) if after >= before => Some(after - before),
            // without the figures of before it is not known which part of them is its
            _ => None,
        };
        // that a turn has ended may be told of before the agent's status is
        let (status, reason) = match scene.status {
            Some(Status::Working | Status::Idle) if turn.ended && turn.failed => (Status::Error, None),
            Some(Status::Working) if turn.ended => (Status::Idle, None),
            status => (status.unwrap_or(Status::Unknown), scene.reason.clone()),
        };
        prompt.view.answer = Some(Answer {
            text: turn.last_message,
            status,
            reason: why.or(reason),
            cost_usd: cost,
            at: scene.at,
        });
        prompt.view.state = PromptState::Answered;
        out.push(Effect::Put(Box::new(prompt), Some(EventKind::PromptAnswered)));
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
        let Some(current) = self.current.as_ref().filter(|c| c.order == order) else { return };
        let Stage::Looking { looks } = current.stage else { return };
        if let Some(found) = found {
            let proof = Some(Proof::Transcript);
            return self.delivered(proof, found.session_id, found.prompt_id, None, scene, out);
        }
        // an Enter is safe only where nothing has moved: if the text had been sent, what was stashed would be
        // back in the box, or a suggestion, and it would send that
        let unmoved = current.typed.is_some_and(|(_, seq)| seq.is_some() && seq == scene.status_seq);
        if looks < PROOFS_MAX && unmoved && !current.worked && !current.working {
            return self.type_enter_again(looks, scene, out);
        }
        if looks < PROOFS_MAX && !current.prompt.view.command {
            return self.enter(Stage::Proving { looks }, PROOF_MS, out);
        }
        self.unproven(scene, out);
    }

    fn type_enter_again(&mut self, looks: u32, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(current) = &self.current else { return };
        let since = current.typed.map_or(0, |(at, _)| scene.at - at);
        self.enter(Stage::Proving { looks }, PROOF_MS, out);
        // its answer changes nothing: the proof tells
        let order = self.number();
        let quiet_ms = u64::try_from(since).ok();
        out.push(Effect::Type { order, status_seq: scene.status_seq, quiet_ms, bytes: ENTER.to_vec() });
    }

    fn recovered(&mut self, i: usize, found: Option<Found>, scene: &Scene, out: &mut Vec<Effect>) {
        if found.is_none() && !self.recovering[i].looked && scene.run.is_some() {
            let timer = self.arm(RECOVER_MS, out);
            self.recovering[i].timer = Some(timer);
            return;
        }
        let Recovering { prompt, .. } = self.recovering.remove(i);
        match found {
            Some(found) => {
                let (session, id) = (found.session_id, found.prompt_id);
                self.turn(prompt, Some(Proof::Transcript), session, id, None, true, scene, out);
                if let Some(turn) = self.turns.last_mut() {
                    turn.worked = true;
                }
            }
            None => {
                self.input.dirty = true;
                let why = "the daemon ended while it was being typed, and the agent does not have it";
                over(prompt, PromptState::Undelivered, Some(why.into()), out);
            }
        }
    }

    fn exited(&mut self, why: &str, scene: &Scene, out: &mut Vec<Effect>) {
        self.input = InputBox::default();
        self.unproven = None;
        if let Some(current) = &self.current {
            if current.prompt.view.command && current.is_typed() {
                // the command may have been to end
                self.delivered(Some(Proof::Status), None, None, Some(why.to_owned()), scene, out);
            } else if current.is_typed() {
                // it may have had it: its transcript outlives it
                let looks = PROOFS_MAX;
                let prompt = &current.prompt;
                let (text, since) = (prompt.text.clone(), prompt.view.typed_at.unwrap_or(prompt.view.at));
                let order = self.number();
                out.push(Effect::Look { order, text, since });
                self.enter(Stage::Looking { looks }, TYPE_MS, out);
                if let Some(current) = &mut self.current {
                    current.order = order;
                }
            } else {
                self.not_now(Obstacle::Down(format!("its run ended ({why})")), scene, out);
            }
        }
        for turn in std::mem::take(&mut self.turns) {
            let scene = Scene { status: None, reason: None, ..scene.clone() };
            self.answered(turn, Some(format!("its run ended: {why}")), &scene, out);
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

impl Current {
    /// Some of it may have reached the agent.
    fn is_typed(&self) -> bool {
        self.ordered
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

fn begun_late(turn: &Turn, at: i64) -> bool {
    at - turn.prompt.view.delivered_at.unwrap_or(0) >= BEGIN_MS
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

/// Whether the Enter of a text that stands in the box may be typed: also if the agent works by now.
fn allowed_enter(current: &Current, scene: &Scene) -> Result<(), Obstacle> {
    let prompt = Prompt { mode: WhileWorking::Now, ..current.prompt.clone() };
    allowed(&prompt, scene)
}
