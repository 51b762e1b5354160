//! The turns that prompts have begun, until they are over.

use super::*;

/// A prompt that the agent has, and whose turn is not known to be over.
pub(super) struct Turn {
    pub(super) prompt: Prompt,
    /// It was typed into an agent that worked: its turn has no id that is known beforehand.
    pub(super) merged: bool,
    pub(super) worked: bool,
    pub(super) last_message: Option<String>,
    pub(super) ended: bool,
    /// It has ended for so long that its figures are not waited for, only the rest of its agent.
    pub(super) overdue: bool,
    pub(super) failed: bool,
    /// Its end is known and not told yet.
    pub(super) timer: Option<u64>,
    /// The transcript is being looked at for its answer.
    pub(super) look: Option<u64>,
    pub(super) cost_before: Option<f64>,
    /// What was known of it when the turn ended: what it has cost in all is told after that.
    pub(super) cost_at_end: Option<f64>,
    /// The run that has it; none if that was before a restart of the daemon.
    pub(super) run: Option<String>,
}

impl Turn {
    /// Its run is over: nothing more comes of it.
    fn is_gone(&self, scene: &Scene) -> bool {
        let Some((run, started_at)) = &scene.run else { return true };
        match &self.run {
            Some(own) => own != run,
            None => self.prompt.view.typed_at.is_some_and(|at| at < *started_at),
        }
    }
}

impl Prompts {
    #[expect(clippy::too_many_arguments, reason = "what is known of a delivery, each from elsewhere")]
    pub(super) fn turn(
        &mut self,
        mut prompt: Prompt,
        proof: Option<Proof>,
        session_id: Option<String>,
        prompt_id: Option<String>,
        reason: Option<String>,
        merged: bool,
        run: Option<String>,
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
            overdue: false,
            failed: false,
            timer: None,
            look: None,
            cost_before: self.cost,
            cost_at_end: None,
            run,
        };
        if !working || turn.is_gone(scene) {
            turn.timer = Some(self.arm(BEGIN_MS.unsigned_abs(), out));
        }
        self.turns.push(turn);
        if self.turns.len() > QUEUE_MAX {
            // an agent of which nothing is known any more
            let oldest = self.turns.remove(0);
            self.answered(oldest, Some("how it ended is not known".into()), scene, out);
        }
    }

    pub(super) fn ended(
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
                turn.cost_at_end = self.cost;
                let timer = self.arm(COST_MS, out);
                self.turns[i].timer = Some(timer);
            }
        }
    }

    /// Turns that have ended are over when the agent takes a prompt again: who was told of the end may send
    /// the next. Where figures of their cost are to come, they are waited for.
    pub(super) fn rested(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let cost = self.cost;
        let told = |turn: &Turn| turn.overdue || cost.is_none() || cost != turn.cost_at_end;
        if at_rest(scene) {
            // one whose transcript is looked at is over when that has been read
            self.turn_over(|turn| turn.ended && turn.look.is_none() && told(turn), scene, out);
        }
    }

    /// Whether a turn whose time is up has ended and only its agent's rest is waited for, a while longer.
    pub(super) fn waits_for_rest(&mut self, timer: u64, scene: &Scene, out: &mut Vec<Effect>) -> bool {
        let waits = |t: &Turn| {
            t.timer == Some(timer) && t.ended && !t.overdue && !at_rest(scene) && !t.is_gone(scene)
        };
        let Some(i) = self.turns.iter().position(waits) else { return false };
        let timer = self.arm(REST_MS, out);
        (self.turns[i].overdue, self.turns[i].timer) = (true, Some(timer));
        true
    }

    pub(super) fn changed_turns(&mut self, scene: &Scene, out: &mut Vec<Effect>) {
        let working = matches!(scene.status, Some(Status::Working | Status::Blocked(_)));
        let at_rest = at_rest(scene);
        for i in 0..self.turns.len() {
            let turn = &mut self.turns[i];
            if turn.is_gone(scene) {
                // how another run stands says nothing of it: its timer ends it
            } else if working {
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

    /// The turns of which this is true are over, if the agent rests or their run is over.
    pub(super) fn turn_over(&mut self, which: impl Fn(&Turn) -> bool, scene: &Scene, out: &mut Vec<Effect>) {
        let at_rest = at_rest(scene);
        let mut i = 0;
        while i < self.turns.len() {
            if !which(&self.turns[i]) {
                i += 1;
                continue;
            }
            self.turns[i].timer = None;
            let gone = self.turns[i].is_gone(scene);
            let told = self.turns[i].last_message.is_some() || self.turns[i].look.is_some();
            if told && (self.turns[i].ended || at_rest || gone) {
                let turn = self.turns.remove(i);
                self.answered(turn, None, scene, out);
                continue;
            }
            if at_rest || gone || self.turns[i].ended || (scene.kind != Kind::Claude && !scene.tells) {
                // no hook said what the agent did: the transcript may
                let (order, timer) = (self.number(), self.arm(TYPE_MS, out));
                let turn = &mut self.turns[i];
                (turn.look, turn.timer) = (Some(order), Some(timer));
                let since = turn.prompt.view.typed_at.unwrap_or(turn.prompt.view.at);
                out.push(Effect::Look { order, text: turn.prompt.text.clone(), since });
            } else {
                // whatever it does: its next rest is the end
                (self.turns[i].worked, self.turns[i].look) = (true, None);
            }
            i += 1;
        }
    }

    pub(super) fn answered(&mut self, turn: Turn, why: Option<String>, scene: &Scene, out: &mut Vec<Effect>) {
        let gone = turn.is_gone(scene);
        let why = why.or_else(|| gone.then(|| "its run is over".to_owned()));
        let mut prompt = turn.prompt;
        let cost = match (turn.cost_before, self.cost) {
            (Some(before), Some(after)) if after > before => Some(after - before),
            // without the figures of before it is not known which part of them is its, and without new ones
            // nothing at all
            _ => None,
        };
        // that a turn has ended may be told of before the agent's status is
        let (status, reason) = match scene.status {
            // of another run
            _ if gone => (Status::Unknown, None),
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
}

/// The agent takes a prompt.
fn at_rest(scene: &Scene) -> bool {
    matches!(scene.status, Some(Status::Idle | Status::Error | Status::RateLimited))
}

pub(super) fn begun_late(turn: &Turn, at: i64) -> bool {
    at - turn.prompt.view.delivered_at.unwrap_or(0) >= BEGIN_MS
}
