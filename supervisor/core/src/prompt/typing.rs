//! The one prompt that is being typed: from the look at its agent to the proof that the agent has it.

use super::*;

/// What is said of a prompt whose agent was told more than it.
const TOGETHER: &str = "it was sent together with words that stood in the input box";

/// The one that is being typed.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) prompt: Prompt,
    pub(super) stage: Stage,
    /// The order whose answer is awaited.
    pub(super) order: u64,
    pub(super) timer: u64,
    pub(super) version: Option<Version>,
    /// What the user had typed was stashed before it.
    pub(super) stashed: bool,
    /// It is typed into an agent that works.
    pub(super) working: bool,
    pub(super) tries: u32,
    /// Its text was ordered to be typed, and not refused.
    pub(super) ordered: bool,
    /// When its text was ordered: a proof is newer.
    pub(super) texted_at: Option<i64>,
    /// Its Enter was ordered to be typed, and the agent had said nothing newer: from then on it may have it.
    pub(super) entered: bool,
    /// The agent did not work when Enter was ordered.
    pub(super) rested: bool,
    /// Since when keys that somebody types go into its text: since it was ordered, or since the dialog went
    /// that stood before it.
    pub(super) alone_since: Option<i64>,
    /// What the agent had said last when its text was typed.
    pub(super) said: Option<u64>,
    /// A dialog has opened since its text was ordered, and takes the keys.
    pub(super) dialog: bool,
    /// The agent was seen at work since its Enter.
    pub(super) worked: bool,
    pub(super) run: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
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

impl Prompts {
    /// The next stage of the one under way, which is left if nothing comes of it in so many milliseconds.
    pub(super) fn enter(&mut self, stage: Stage, within: u64, out: &mut Vec<Effect>) {
        let timer = self.arm(within, out);
        if let Some(current) = &mut self.current {
            current.stage = stage;
            current.timer = timer;
        }
    }

    pub(super) fn type_in(
        &mut self,
        bytes: Vec<u8>,
        quiet_ms: Option<u64>,
        scene: &Scene,
        out: &mut Vec<Effect>,
    ) {
        let order = self.number();
        if let Some(current) = &mut self.current {
            current.order = order;
        }
        out.push(Effect::Type { order, status_seq: scene.status_seq, quiet_ms, bytes });
    }

    pub(super) fn prepared(
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
        let age = scene.run.as_ref().map_or(0, |(_, started_at)| scene.at - started_at);
        if scene.kind == Kind::Claude && scene.status_seq.is_none() && age < START_MS {
            // looked at again when it reads keys
            self.enter(Stage::Preparing, (START_MS - age).unsigned_abs(), out);
            if let Some(current) = &mut self.current {
                current.order = 0;
            }
            return;
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

    pub(super) fn type_text(&mut self, stash: bool, scene: &Scene, out: &mut Vec<Effect>) {
        let empty_at = self.input.empty_at;
        let Some(current) = &mut self.current else { return };
        let stash = stash && scene.kind == Kind::Claude;
        current.stashed = stash;
        current.ordered = true;
        // what is typed while a long text is being read stands in the box as well
        (current.texted_at, current.alone_since) = (Some(scene.at), Some(scene.at));
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

    pub(super) fn type_enter(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(current) = &mut self.current else { return };
        if allowed_enter(current, scene).is_err() {
            return self.enter(Stage::Held, HELD_MS_MAX, out);
        }
        (current.entered, current.rested) = (true, scene.status != Some(Status::Working));
        let quiet_ms = current.alone_ms(scene);
        self.enter(Stage::Entering, TYPE_MS, out);
        // what somebody has typed into the text would go with it
        self.type_in(ENTER.to_vec(), quiet_ms, scene, out);
    }

    pub(super) fn typed(&mut self, outcome: Outcome, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(current) = &mut self.current else { return };
        let stage = current.stage;
        if stage == Stage::Texting && matches!(outcome, Outcome::Status | Outcome::Person | Outcome::Full) {
            current.ordered = false;
        }
        if stage == Stage::Entering && outcome == Outcome::Status {
            (current.entered, current.worked) = (false, false);
        }
        match (stage, outcome) {
            (Stage::Clearing, Outcome::Done) => {
                self.input.dirty = false;
                self.input.empty_at = scene.at;
                // it takes a moment; and a second one right behind it would end the agent
                self.enter(Stage::Clearing, PAUSE_MS, out);
            }
            (Stage::Texting, Outcome::Done) => {
                current.said = scene.status_seq;
                self.enter(Stage::Pausing, PAUSE_MS, out);
            }
            (Stage::Entering, Outcome::Done) => {
                if scene.kind != Kind::Claude && !scene.tells {
                    let why = "it was typed; nothing tells whether the program has taken it";
                    return self.delivered(None, None, None, Some(why.into()), scene, out);
                }
                if current.worked && !scene.hooks {
                    // it has begun already, and its transcript has it in a moment
                    return self.enter(Stage::Proving { looks: PROOFS_MAX - 1 }, PAUSE_MS * 3, out);
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
    pub(super) fn not_now(&mut self, why: Obstacle, scene: &Scene, out: &mut Vec<Effect>) {
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

    pub(super) fn over(&mut self, state: PromptState, reason: Option<String>, out: &mut Vec<Effect>) {
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
    pub(super) fn unproven(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(current) = &self.current else { return };
        let proof = (current.worked && !scene.hooks && !current.prompt.view.command).then_some(Proof::Status);
        if proof.is_some() {
            return self.delivered(proof, None, None, None, scene, out);
        }
        let held = current.stage == Stage::Held;
        let same_run = current.run.is_some() && current.run == scene.run.as_ref().map(|(run, _)| run.clone());
        let quiet_ms = current.alone_ms(scene);
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

    pub(super) fn submitted(
        &mut self,
        told: &str,
        prompt_id: Option<String>,
        session_id: Option<String>,
        scene: &Scene,
        out: &mut Vec<Effect>,
    ) {
        let likeness = |p: &Prompt| likeness(told, &p.text);
        if let Some(current) = self.current.as_ref().filter(|c| c.entered) {
            let found = likeness(&current.prompt);
            if found != Likeness::Other {
                let reason = (found == Likeness::Within).then(|| TOGETHER.to_owned());
                return self.delivered(Some(Proof::Hook), session_id, prompt_id, reason, scene, out);
            }
        }
        if let Some(i) = self.recovering.iter().position(|r| likeness(&r.prompt) != Likeness::Other) {
            let Recovering { prompt, .. } = self.recovering.remove(i);
            (self.input.empty_at, self.input.dirty) = (scene.at, false);
            let reason = (likeness(&prompt) == Likeness::Within).then(|| TOGETHER.to_owned());
            return self.turn(
                prompt,
                Some(Proof::Hook),
                session_id,
                prompt_id,
                reason,
                true,
                None,
                scene,
                out,
            );
        }
        // the box was cleared since: a short text is somebody else's as well
        let is_its_own = |p: &Prompt| likeness(p) == Likeness::Same && text::is_telling(&p.text);
        let late = |p: &Prompt| scene.at - p.view.typed_at.unwrap_or(0) < LATE_MS_MAX;
        if let Some(prompt) = self.unproven.take_if(|p| late(p) && is_its_own(p)) {
            let reason = "its proof came late".to_owned();
            let run = scene.run.as_ref().map(|(run, _)| run.clone());
            self.turn(prompt, Some(Proof::Hook), session_id, prompt_id, Some(reason), false, run, scene, out);
        }
        if self.current.is_none() {
            // what stood in the box went with it
            self.input.empty_at = scene.at;
            self.input.dirty = false;
        }
    }

    pub(super) fn delivered(
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
        let Current { prompt, working, run, .. } = current;
        self.turn(prompt, proof, session_id, prompt_id, reason, working, run, scene, out);
    }

    pub(super) fn changed_typing(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let works = scene.status == Some(Status::Working);
        let working = works || matches!(scene.status, Some(Status::Blocked(_)));
        for waiting in &mut self.recovering {
            waiting.worked |= works;
        }
        if let Some(current) = &mut self.current {
            let proving = matches!(current.stage, Stage::Proving { .. } | Stage::Looking { .. });
            // it may begin before its keeper has said that Enter was typed
            let entering = current.stage == Stage::Entering && current.rested;
            let begins = (proving || entering) && works && !current.worked;
            current.worked |= begins;
            if current.is_typed() {
                let dialog = scene.dialog || matches!(scene.status, Some(Status::Blocked(_)));
                if current.dialog && !dialog {
                    // what was typed until now was its answer
                    current.alone_since = Some(scene.at);
                }
                current.dialog = dialog;
            }
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
    }

    pub(super) fn typing_timer(&mut self, number: u64, scene: &Scene, out: &mut Vec<Effect>) {
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
                    let (text, since) = current.sought();
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
    }

    pub(super) fn looked_typing(
        &mut self,
        order: u64,
        found: Option<Found>,
        scene: &Scene,
        out: &mut Vec<Effect>,
    ) {
        let Some(current) = self.current.as_ref().filter(|c| c.order == order) else { return };
        let Stage::Looking { looks } = current.stage else { return };
        if let Some(found) = found {
            let proof = Some(Proof::Transcript);
            return self.delivered(proof, found.session_id, found.prompt_id, None, scene, out);
        }
        // an Enter is safe only where nothing has moved: if the text had been sent, what was stashed would be
        // back in the box, or a suggestion, and it would send that
        let unmoved = current.said.is_some() && current.said == scene.status_seq;
        if looks < PROOFS_MAX && unmoved && !current.worked && !current.working {
            return self.type_enter_again(looks, scene, out);
        }
        if looks < PROOFS_MAX && !current.prompt.view.command {
            return self.enter(Stage::Proving { looks }, PROOF_MS, out);
        }
        self.unproven(scene, out);
    }

    pub(super) fn type_enter_again(&mut self, looks: u32, scene: &Scene, out: &mut Vec<Effect>) {
        let Some(current) = &self.current else { return };
        let quiet_ms = current.alone_ms(scene);
        self.enter(Stage::Proving { looks }, PROOF_MS, out);
        // its answer changes nothing: the proof tells
        let order = self.number();
        out.push(Effect::Type { order, status_seq: scene.status_seq, quiet_ms, bytes: ENTER.to_vec() });
    }

    pub(super) fn exited(&mut self, why: &str, scene: &Scene, out: &mut Vec<Effect>) {
        self.input = InputBox::default();
        self.unproven = None;
        if let Some(current) = &self.current {
            if current.prompt.view.command && current.entered {
                // the command may have been to end
                self.delivered(Some(Proof::Status), None, None, Some(why.to_owned()), scene, out);
            } else if current.is_typed() {
                // it may have had it: its transcript outlives it
                let looks = PROOFS_MAX;
                let (text, since) = current.sought();
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
}

impl Current {
    /// Some of it may have reached the agent.
    pub(super) fn is_typed(&self) -> bool {
        self.ordered
    }

    /// What is looked for in a transcript, and since when.
    pub(super) fn sought(&self) -> (Arc<str>, i64) {
        let view = &self.prompt.view;
        (self.prompt.text.clone(), self.texted_at.or(view.typed_at).unwrap_or(view.at))
    }

    /// For how long nobody must have typed for the text in the box to be as it was typed.
    pub(super) fn alone_ms(&self, scene: &Scene) -> Option<u64> {
        let since = self.alone_since.map_or(0, |at| scene.at - at);
        u64::try_from(since).ok()
    }
}

/// Whether the Enter of a text that stands in the box may be typed: also if the agent works by now.
pub(super) fn allowed_enter(current: &Current, scene: &Scene) -> Result<(), Obstacle> {
    let prompt = Prompt { mode: WhileWorking::Now, ..current.prompt.clone() };
    allowed(&prompt, scene)
}
