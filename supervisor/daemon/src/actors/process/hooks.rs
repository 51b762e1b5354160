//! What the hooks of its Claude tell: evidence of its status, and the session that it is in.

use actix::{Context, Handler, Message};
use wezterm_parallel_core::{
    claude::hook::{Hook, HookEvent},
    process::Input,
    status::{Claim, Word},
};
use wezterm_parallel_schemas::event::{Event, EventKind};

use super::ProcessActor;

/// A hook of its Claude ran.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Hooked {
    /// In which run.
    pub run_id: String,
    /// What it was told.
    pub hook: Hook,
    /// When it began, in milliseconds since 1970.
    pub at: i64,
}

impl Handler<Hooked> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Hooked, ctx: &mut Context<Self>) {
        // one of a run that is over may come late: it says nothing of this one
        if self.runs.last().is_none_or(|r| r.run_id != m.run_id) {
            return;
        }
        let mut events = Vec::new();
        if m.hook.agent_id.is_none() {
            self.follow_session(&m.hook, &mut events);
        }
        self.note_hook(&m.hook, m.at, ctx);
        // the evidence goes first: what follows from the hook is to find the status that it tells of
        let hook = m.hook.clone();
        self.hooks_heard += 1;
        let word = Word { seq: self.hooks_heard, at: m.at, claim: Claim::Hook(Box::new(m.hook)) };
        let effects = self.machine.step(Input::Heard(word), self.shared.clock.now());
        self.settle(effects, Vec::new(), events, ctx);
        self.hook_prompts(&m.run_id, &hook, ctx);
    }
}

impl ProcessActor {
    /// Claude is in another session after `/clear`, `/resume` and a fork: the next run goes on there.
    fn follow_session(&mut self, hook: &Hook, events: &mut Vec<Event>) {
        let (kind, how) = match &hook.event {
            HookEvent::SessionStart { source, .. } => (EventKind::SessionStarted, source),
            HookEvent::SessionEnd { reason } => (EventKind::SessionEnded, reason),
            _ => return,
        };
        let Some(session) = &hook.session_id else { return };
        if kind == EventKind::SessionStarted {
            self.session = Some(session.clone());
        }
        let mut event = self.event(kind);
        event.run_id = self.runs.last().map(|r| r.run_id.clone());
        event.session_id = Some(session.clone());
        event.message = Some(how.clone());
        events.push(event);
    }
}
