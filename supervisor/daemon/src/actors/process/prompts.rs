//! The prompts of a process: carries what happens to their machine, and what it decides to the keeper, the
//! disk and those who wait.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    claude::{
        hook::{Hook, HookEvent},
        registry::Activity,
    },
    prompt::{Effect, Input, Outcome, Prompt, Prompts, Scene, text},
};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    event::Event,
    keeper::{Type, TypeRefusal, Typed},
    process::{Kind, ProcessView, State},
    prompt::{PromptState, PromptView, WhileWorking},
};
use wezterm_parallel_store::{Change, PromptRow};

use super::ProcessActor;
use crate::{
    board::Then,
    effects::{
        claude, conversation,
        keeper::Typing,
        registry::{self, Reading},
    },
};

/// Characters of an answer that its event has.
const MESSAGE_CHARS_MAX: usize = 200;

/// Characters of a prompt that are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// A prompt for a process, as it is before anything has become of it. The text is a clean one.
pub fn new_prompt(to: &ProcessView, text: String, mode: WhileWorking, at: i64) -> Prompt {
    Prompt {
        view: PromptView {
            id: ulid::Ulid::generate().to_string(),
            workspace: to.workspace.clone(),
            process: to.name.clone(),
            process_id: to.id.clone(),
            state: PromptState::Queued,
            reason: None,
            text: text.chars().take(SHOWN_CHARS_MAX).collect(),
            command: false,
            key: None,
            at,
            typed_at: None,
            delivered_at: None,
            proof: None,
            place: None,
            session_id: None,
            prompt_id: None,
            answer: None,
        },
        text: Arc::from(text),
        mode,
    }
}

/// When what the disk has refused is put again if nothing else is to be kept before.
const PUT_AGAIN: Duration = Duration::from_secs(5);

/// What a process knows of its prompts.
#[derive(Default)]
pub(super) struct Sending {
    machine: Prompts,
    outbox: Outbox,
    waiters: Vec<Waiter>,
    /// The newest report that the agent has made to its terminal, in this run.
    status_seq: Option<(String, u64)>,
    /// The run of which a hook has been heard.
    hooked: Option<String>,
    /// As the machine last saw it, but for the time.
    scene: Option<Scene>,
    /// How many wait, as shown.
    shown: u32,
    /// When what the session has cost was said last.
    cost_at: i64,
}

/// Rows that are on their way to the disk, in their newest form, and whether it has refused some: then all
/// are put again, or the next daemon would do what is done or was taken back.
#[derive(Default)]
struct Outbox {
    last: u64,
    rows: BTreeMap<String, (u64, PromptRow)>,
    refused: bool,
}

impl Outbox {
    /// What must be put now, and the number by which [`Self::settled`] knows it.
    fn put(&mut self, rows: Vec<PromptRow>) -> (u64, Vec<Change>) {
        self.last += 1;
        let again = std::mem::take(&mut self.refused);
        for row in rows {
            self.rows.insert(row.view.id.clone(), (self.last, row));
        }
        let mut changes = Vec::new();
        for (number, row) in self.rows.values_mut() {
            if again {
                *number = self.last;
            }
            if *number == self.last {
                changes.push(Change::PutPrompt(row.clone()));
            }
        }
        (self.last, changes)
    }

    fn settled(&mut self, number: u64, saved: bool) {
        if saved {
            self.rows.retain(|_, (own, _)| *own != number);
        } else {
            self.refused = true;
        }
    }
}

struct Waiter {
    prompt: String,
    until: Until,
    reply: oneshot::Sender<Result<PromptView, Error>>,
}

/// How far a prompt must have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// The agent has it, or it is kept in the queue, or neither can be.
    Kept,
    /// The agent has it, or will not.
    Taken,
    /// Its turn is over.
    Over,
}

impl Sending {
    /// How many prompts wait.
    pub(super) fn waiting(&self) -> u32 {
        u32::try_from(self.machine.waiting()).unwrap_or(u32::MAX)
    }
}

impl ProcessActor {
    /// Takes up what was not over when the daemon before this one ended, or when this actor panicked.
    fn recall_prompts(&mut self, ctx: &mut Context<Self>) {
        let rows = self.shared.prompts.borrow_mut().remove(&self.row.id);
        if let Some(rows) = rows {
            self.restore_prompts(rows, ctx);
        } else if self.panicked {
            let (board, id) = (self.shared.board.clone(), self.row.id.clone());
            let read = async move {
                // what was on its way to the disk when it panicked is there by now
                board.commit_and_wait(Vec::new(), Vec::new()).await.ok()?;
                let store = board.store().clone();
                let read = tokio::task::spawn_blocking(move || store.prompts_under_way(&id)).await.ok()?;
                read.inspect_err(|e| tracing::error!(error = %e, "prompts cannot be read again")).ok()
            };
            // nothing new is typed before it is known what was being typed
            ctx.wait(read.into_actor(self).map(|rows: Option<Vec<PromptRow>>, actor, ctx| {
                let mut rows = rows.unwrap_or_default();
                rows.retain(|row| actor.sending.machine.all().all(|p| p.view.id != row.view.id));
                actor.restore_prompts(rows, ctx);
            }));
        }
    }

    /// Puts back what was not over when the daemon ended, or when this actor panicked.
    fn restore_prompts(&mut self, rows: Vec<PromptRow>, ctx: &mut Context<Self>) {
        if rows.is_empty() {
            return;
        }
        let prompt =
            |row: PromptRow| Prompt { text: Arc::from(row.text), view: row.view, mode: WhileWorking::Queue };
        let scene = self.scene();
        let effects = self.sending.machine.restore(rows.into_iter().map(prompt).collect(), &scene);
        self.sending.scene = Some(scene);
        self.do_prompts(effects, ctx);
    }

    /// The agent reported to its terminal.
    pub(super) fn note_report_seq(&mut self, run_id: &str, seq: u64) {
        self.sending.status_seq = Some((run_id.to_owned(), seq));
    }

    /// Tells the machine of prompts if the process stands otherwise than before.
    pub(super) fn follow_prompts(&mut self, ctx: &mut Context<Self>) {
        if self.sending.machine.is_empty() && self.sending.scene.is_none() {
            return;
        }
        let cost = self.limits.usage().and_then(|usage| Some((usage.at, usage.cost_usd?)));
        if let Some((at, cost)) = cost.filter(|(at, _)| *at != self.sending.cost_at) {
            self.sending.cost_at = at;
            self.prompt_input(Input::Cost(cost), ctx);
        }
        let scene = self.scene();
        let same = |old: &Scene| Scene { at: scene.at, ..old.clone() } == scene;
        if !self.sending.scene.as_ref().is_some_and(same) {
            self.prompt_input(Input::Changed, ctx);
        }
    }

    fn scene(&self) -> Scene {
        let spec = self.machine.spec();
        let run = self.machine.run().filter(|_| self.machine.state() == State::Running);
        let status = self.machine.status();
        let of_run = |id: &String| run.is_some_and(|run| run.id == *id);
        let status_seq = self.sending.status_seq.as_ref().filter(|(id, _)| of_run(id)).map(|(_, seq)| *seq);
        Scene {
            at: self.shared.clock.at(),
            kind: spec.kind,
            run: run.map(|run| (run.id.clone(), run.started_at.cast_signed())),
            status: status.and_then(|s| s.status()),
            reason: status.and_then(|s| s.reason()).map(str::to_owned),
            dialog: status.is_some_and(|s| s.dialog()),
            status_seq,
            tells: spec.kind == Kind::Claude || status_seq.is_some() || status.is_some_and(|s| s.ready()),
            hooks: self.sending.hooked.as_ref().is_some_and(of_run),
        }
    }

    pub(super) fn prompt_input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let scene = self.scene();
        let effects = self.sending.machine.step(input, &scene);
        self.sending.scene = Some(scene);
        self.do_prompts(effects, ctx);
    }

    /// A hook of its agent, as far as it is about prompts.
    pub(super) fn hook_prompts(&mut self, run_id: &str, hook: &Hook, ctx: &mut Context<Self>) {
        self.sending.hooked = Some(run_id.to_owned());
        if hook.agent_id.is_some() {
            return;
        }
        let (prompt_id, session_id) = (hook.prompt_id.clone(), hook.session_id.clone());
        let input = match &hook.event {
            HookEvent::UserPromptSubmit { prompt } => {
                Input::Submitted { text: prompt.clone(), prompt_id, session_id }
            }
            HookEvent::Stop { last_message, .. } => {
                Input::Ended { prompt_id, last_message: last_message.clone(), failed: false }
            }
            HookEvent::StopFailure { last_message, .. } => {
                Input::Ended { prompt_id, last_message: last_message.clone(), failed: true }
            }
            HookEvent::SessionStart { .. } | HookEvent::PreCompact { .. } => Input::Stirred { session_id },
            HookEvent::Other(name) if name == "UserPromptExpansion" => Input::Stirred { session_id },
            _ => return,
        };
        self.prompt_input(input, ctx);
    }

    /// A run is over.
    pub(super) fn end_prompts(&mut self, why: String, ctx: &mut Context<Self>) {
        if !self.sending.machine.is_empty() {
            self.prompt_input(Input::Exited(why), ctx);
        }
    }

    /// The process goes, and with it what waits for it.
    pub(super) fn abandon_prompts(&mut self, ctx: &mut Context<Self>) {
        let scene = self.scene();
        let effects = self.sending.machine.abandon("the process was removed", &scene);
        self.do_prompts(effects, ctx);
    }

    fn do_prompts(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        let (mut rows, mut events, mut over) = (Vec::new(), Vec::new(), Vec::new());
        let mut later = Vec::new();
        for effect in effects {
            match effect {
                Effect::Put(prompt, kind) => {
                    let view = self.shown_prompt(&prompt.view);
                    events.extend(kind.map(|kind| self.prompt_event(kind, &view)));
                    rows.push(PromptRow { text: prompt.text.to_string(), view: view.clone() });
                    over.push(view);
                }
                other => later.push(other),
            }
        }
        // on its way to the disk before anything follows from it
        self.keep_prompts(rows, events, ctx);
        for view in over {
            self.answer_prompt(&view);
        }
        for effect in later {
            match effect {
                Effect::Prepare { order } => self.prepare(order, ctx),
                Effect::Type { order, status_seq, quiet_ms, bytes } => {
                    self.type_in(Type { id: order, status_seq, quiet_ms, bytes }, ctx);
                }
                Effect::Look { order, text, since } => self.look_for(order, text, since, ctx),
                Effect::Arm(number, delay) => {
                    ctx.run_later(Duration::from_millis(delay), move |actor, ctx| {
                        actor.prompt_input(Input::Timer(number), ctx);
                    });
                }
                Effect::Put(..) => {}
            }
        }
        if self.sending.waiting() != self.sending.shown {
            self.sending.shown = self.sending.waiting();
            self.settle(Vec::new(), Vec::new(), Vec::new(), ctx);
        }
    }

    /// Puts rows, and with them what the disk has refused before.
    fn keep_prompts(&mut self, rows: Vec<PromptRow>, events: Vec<Event>, ctx: &mut Context<Self>) {
        let (number, changes) = self.sending.outbox.put(rows);
        if changes.is_empty() {
            return;
        }
        let me = ctx.address();
        let then: Then = Box::new(move |saved| me.do_send(Settled { number, saved: saved.is_ok() }));
        self.shared.board.commit(changes, events, Some(then));
    }

    /// With the names of today: it may have waited while they changed.
    fn shown_prompt(&self, view: &PromptView) -> PromptView {
        PromptView { workspace: self.workspace_name.clone(), process: self.row.name.clone(), ..view.clone() }
    }

    fn prompt_event(&self, kind: wezterm_parallel_schemas::event::EventKind, view: &PromptView) -> Event {
        let mut event = self.event(kind);
        event.prompt = Some(view.id.clone());
        event.session_id.clone_from(&view.session_id);
        event.message = match &view.answer {
            Some(answer) => {
                event.status = Some(answer.status);
                answer.text.as_ref().map(|text| text.chars().take(MESSAGE_CHARS_MAX).collect())
            }
            None => view.reason.clone(),
        };
        event
    }

    fn await_prompt(&mut self, waiter: Waiter) {
        // a wait that has timed out, or whose caller has gone away
        self.sending.waiters.retain(|w| !w.reply.is_closed());
        self.sending.waiters.push(waiter);
    }

    fn answer_prompt(&mut self, view: &PromptView) {
        let mut i = 0;
        while i < self.sending.waiters.len() {
            let waiter = &self.sending.waiters[i];
            match verdict(view, waiter.until).filter(|_| waiter.prompt == view.id) {
                Some(answer) => {
                    // a caller that has gone away needs no answer
                    let _ = self.sending.waiters.swap_remove(i).reply.send(answer);
                }
                None => i += 1,
            }
        }
    }

    /// Waits until the prompt is on the disk, then looks at the agent.
    fn prepare(&mut self, order: u64, ctx: &mut Context<Self>) {
        let board = self.shared.board.clone();
        let before = board.refusals().0;
        let env = self.environment();
        let pid = self.registry.pid().or(self.machine.run().map(|run| run.pid));
        let file = (self.machine.spec().kind == Kind::Claude)
            .then(|| claude::config_dir(&env))
            .flatten()
            .zip(pid)
            .map(|(account, pid)| (registry::sessions_dir(&account).join(format!("{pid}.json")), account));
        let prepare = async move {
            let saved = board.commit_and_wait(Vec::new(), Vec::new()).await;
            let refused = board.refusals();
            if let Err(e) = saved.and(if refused.0 > before { refused.1.map_or(Ok(()), Err) } else { Ok(()) })
            {
                return (None, Some(format!("it cannot be kept on the disk: {}", e.message)));
            }
            let Some((file, account)) = file else { return (None, None) };
            match tokio::task::spawn_blocking(move || registry::read(&account, &file)).await {
                Ok(Reading::Living(living)) => {
                    let entry = living.entry;
                    let waits = entry.status == Some(Activity::Waiting);
                    let what = entry.waiting_for.unwrap_or_else(|| "its user".into());
                    let version = entry.version.as_deref().and_then(text::version);
                    (version, waits.then(|| format!("it waits in its pane: {what}")))
                }
                // torn or not there: its status has to do
                _ => (None, None),
            }
        };
        ctx.spawn(prepare.into_actor(self).map(move |(version, obstacle), actor, ctx| {
            actor.prompt_input(Input::Prepared { order, version, obstacle }, ctx);
        }));
    }

    fn type_in(&mut self, order: Type, ctx: &mut Context<Self>) {
        let id = order.id;
        let Some(link) = &self.link else {
            // there is nobody to type it
            let full = Input::Typed { order: id, outcome: Outcome::Full };
            ctx.spawn(std::future::ready(()).into_actor(self).map(|(), a, ctx| a.prompt_input(full, ctx)));
            return;
        };
        ctx.spawn(link.type_in(order).into_actor(self).map(move |typing, actor, ctx| {
            let outcome = match typing {
                Typing::Answered(Typed { refused: None, .. }) | Typing::Sent => Outcome::Done,
                Typing::Answered(Typed { refused: Some(TypeRefusal::Status), .. }) => Outcome::Status,
                Typing::Answered(Typed { refused: Some(TypeRefusal::Person), .. }) => Outcome::Person,
                Typing::Answered(Typed { refused: Some(TypeRefusal::Full), .. }) => Outcome::Full,
                Typing::Lost => Outcome::Lost,
            };
            actor.prompt_input(Input::Typed { order: id, outcome }, ctx);
        }));
    }

    fn look_for(&mut self, order: u64, text: Arc<str>, since: i64, ctx: &mut Context<Self>) {
        let is_claude = self.machine.spec().kind == Kind::Claude;
        let account = is_claude.then(|| claude::config_dir(&self.environment())).flatten();
        let session = self.session.clone();
        let look = async move {
            let account = account?;
            let find = move || conversation::find(&account, session.as_deref(), &text, since);
            tokio::task::spawn_blocking(find).await.ok().flatten()
        };
        ctx.spawn(look.into_actor(self).map(move |found, actor, ctx| {
            actor.prompt_input(Input::Looked { order, found }, ctx);
        }));
    }
}

/// What a caller is told who waits for this; none if it has to wait on.
fn verdict(view: &PromptView, until: Until) -> Option<Result<PromptView, Error>> {
    let failed = |code, fallback: &str| {
        let message = view.reason.clone().unwrap_or_else(|| fallback.to_owned());
        Some(Err(Error::new(code, message).hint(format!("its id is {}", view.id))))
    };
    match (view.state, until) {
        (PromptState::Queued, Until::Kept) => Some(Ok(view.clone())),
        (PromptState::Delivered, Until::Kept | Until::Taken) | (PromptState::Answered, _) => {
            Some(Ok(view.clone()))
        }
        // who waits for its end is told how it ended, whatever that is
        (PromptState::Undelivered | PromptState::Canceled, Until::Over) => Some(Ok(view.clone())),
        (PromptState::Undelivered, _) => failed(Code::Undelivered, "it did not reach the agent"),
        (PromptState::Canceled, _) => failed(Code::Conflict, "it was taken back"),
        _ => None,
    }
}

/// The disk has taken rows of prompts, or not.
#[derive(Message)]
#[rtype(result = "()")]
struct Settled {
    number: u64,
    saved: bool,
}

impl Handler<Settled> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Settled, ctx: &mut Context<Self>) {
        self.sending.outbox.settled(m.number, m.saved);
        if !m.saved {
            ctx.run_later(PUT_AGAIN, |actor, ctx| actor.keep_prompts(Vec::new(), Vec::new(), ctx));
        }
    }
}

/// Take up the prompts of before.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Recall;

impl Handler<Recall> for ProcessActor {
    type Result = ();
    fn handle(&mut self, _: Recall, ctx: &mut Context<Self>) {
        self.recall_prompts(ctx);
    }
}

/// Send this prompt; answered when the agent has it, it is kept in the queue, or neither can be.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SendPrompt {
    /// The prompt.
    pub prompt: Prompt,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<PromptView, Error>>,
}

impl Handler<SendPrompt> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: SendPrompt, ctx: &mut Context<Self>) {
        if self.retiring {
            let _ = m.reply.send(Err(Error::new(Code::Conflict, "the process is being removed")));
            return;
        }
        let scene = self.scene();
        let (id, mode) = (m.prompt.view.id.clone(), m.prompt.mode);
        let mut prompt = m.prompt;
        prompt.view.session_id.clone_from(&self.session);
        match self.sending.machine.send(prompt, &scene) {
            Ok(effects) => {
                let until = if mode == WhileWorking::Queue { Until::Kept } else { Until::Taken };
                self.await_prompt(Waiter { prompt: id, until, reply: m.reply });
                self.sending.scene = Some(scene);
                self.do_prompts(effects, ctx);
            }
            Err(e) => {
                let _ = m.reply.send(Err(e));
            }
        }
    }
}

/// Wait for a prompt. The answer is none if it is over, and stands in the store.
#[derive(Message)]
#[rtype(result = "Option<oneshot::Receiver<Result<PromptView, Error>>>")]
pub struct WaitForPrompt {
    /// Its id.
    pub prompt: String,
    /// Only until the agent has it, as [`SendPrompt`].
    pub taken: bool,
}

impl Handler<WaitForPrompt> for ProcessActor {
    type Result = Option<oneshot::Receiver<Result<PromptView, Error>>>;
    fn handle(&mut self, m: WaitForPrompt, _: &mut Context<Self>) -> Self::Result {
        let view = self.sending.machine.all().find(|p| p.view.id == m.prompt).map(|p| p.view.clone())?;
        let until = if m.taken { Until::Kept } else { Until::Over };
        let (reply, answer) = oneshot::channel();
        self.await_prompt(Waiter { prompt: m.prompt, until, reply });
        let view = self.shown_prompt(&view);
        self.answer_prompt(&view);
        Some(answer)
    }
}

/// Take a prompt back that waits.
#[derive(Message)]
#[rtype(result = "Result<(), Error>")]
pub struct CancelPrompt(pub String);

impl Handler<CancelPrompt> for ProcessActor {
    type Result = Result<(), Error>;
    fn handle(&mut self, m: CancelPrompt, ctx: &mut Context<Self>) -> Self::Result {
        let state = self.sending.machine.all().find(|p| p.view.id == m.0).map(|p| p.view.state);
        match state {
            Some(PromptState::Queued) => {
                self.prompt_input(Input::Cancel(m.0), ctx);
                Ok(())
            }
            Some(PromptState::Typing) => Err(Error::new(Code::Conflict, "it is being typed already")
                .hint("`wezterm-parallel prompt wait` says what becomes of it")),
            Some(_) => Err(Error::new(Code::Conflict, "the agent has it already")
                .hint("press Esc in its pane to interrupt it")),
            None => Err(Error::new(Code::Conflict, "it is over already")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, state: PromptState) -> PromptRow {
        let view = serde_json::json!({
            "id": id, "workspace": "api", "process": "lead", "process_id": "p", "state": state,
            "text": "words", "at": 1,
        });
        let view = serde_json::from_value(view).expect("a prompt");
        PromptRow { text: "words".into(), view }
    }

    fn put(changes: &[Change]) -> Vec<(String, PromptState)> {
        let row = |change: &Change| match change {
            Change::PutPrompt(row) => (row.view.id.clone(), row.view.state),
            other => panic!("{other:?}"),
        };
        changes.iter().map(row).collect()
    }

    #[test]
    fn what_the_disk_refused_is_put_again_in_its_newest_form() {
        use PromptState::{Canceled, Delivered, Queued, Typing};
        let mut outbox = Outbox::default();
        let (first, changes) = outbox.put(vec![row("a", Queued), row("b", Queued)]);
        assert_eq!(changes.len(), 2);
        outbox.settled(first, true);
        let (second, changes) = outbox.put(vec![row("a", Canceled), row("b", Typing)]);
        assert_eq!(changes.len(), 2);
        let (third, changes) = outbox.put(vec![row("b", Delivered)]);
        assert_eq!(put(&changes), [("b".into(), Delivered)]);
        outbox.settled(second, false);
        // the one after it may have been refused as well, or not
        let (fourth, changes) = outbox.put(Vec::new());
        assert_eq!(put(&changes), [("a".into(), Canceled), ("b".into(), Delivered)]);
        outbox.settled(third, true);
        outbox.settled(fourth, false);
        let (fifth, changes) = outbox.put(vec![row("c", Queued)]);
        assert_eq!(put(&changes), [("a".into(), Canceled), ("b".into(), Delivered), ("c".into(), Queued)]);
        outbox.settled(fifth, true);
        assert!(outbox.put(Vec::new()).1.is_empty() && outbox.rows.is_empty());
    }
}
