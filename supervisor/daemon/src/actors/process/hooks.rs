//! What the hooks of its Claude tell: evidence of its status, and the session that it is in.

use actix::{Context, Handler, Message};
use wezterm_parallel_core::{
    claude::hook::{Hook, HookEvent},
    inbox, lease,
    process::Input,
    status::{Claim, Held, Word},
};
use wezterm_parallel_schemas::{
    event::{Event, EventKind},
    process::{Blocked, ProcessView, Status},
};

use super::ProcessActor;
use crate::actors::{
    inbox::{Recount, Tell},
    lease::Tell as TellLeases,
};

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
        self.pass_on(&hook, m.at);
        self.hooks_heard += 1;
        let word = Word { seq: self.hooks_heard, at: m.at, claim: Claim::Hook(Box::new(m.hook)) };
        let effects = self.machine.step(Input::Heard(word), self.shared.clock.now());
        self.settle(effects, Vec::new(), events, ctx);
        self.hook_prompts(&m.run_id, &hook, ctx);
    }
}

/// Its requests that wait for its user.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Asks {
    /// How many.
    pub count: u32,
    /// The one that it waits for without a dialog, of which nothing else tells.
    pub held: Option<Held>,
}

impl Handler<Asks> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Asks, ctx: &mut Context<Self>) {
        self.asks = m.count;
        self.input(Input::Held(m.held), ctx);
    }
}

/// What the inbox hears of it.
impl ProcessActor {
    /// Tells which dialog stands on its screen, when that changes.
    pub(super) fn tell_inbox(&mut self, view: &ProcessView) {
        let why = match view.status {
            Some(Status::Blocked(Blocked::Permission | Blocked::Question)) => {
                Some(view.status_reason.clone().unwrap_or_default())
            }
            // a status that is not known says nothing of a dialog
            None | Some(Status::Starting | Status::Unknown) => return,
            Some(_) => None,
        };
        if self.blocked_told.as_ref() != Some(&why) {
            self.blocked_told = Some(why.clone());
            self.tell(inbox::Input::Blocked { process_id: self.row.id.clone(), why });
        }
    }

    pub(super) fn tell_attached(&self) {
        self.tell(inbox::Input::Attached { process_id: self.row.id.clone(), attached: self.attached > 0 });
    }

    pub(super) fn run_over(&self, run_id: &str) {
        self.tell(inbox::Input::RunOver { process_id: self.row.id.clone(), run_id: run_id.to_owned() });
        let over = lease::Input::Over(lease::End::Run(run_id.to_owned()));
        self.shared.leases.do_send(TellLeases(over));
    }

    pub(super) fn removed(&self) {
        self.tell(inbox::Input::Removed { process_id: self.row.id.clone() });
    }

    pub(super) fn recount_asks(&self) {
        self.shared.inbox.do_send(Recount(self.row.id.clone()));
    }

    /// A prompt that is submitted says nothing here: Claude takes one also while a dialog stands.
    fn pass_on(&self, hook: &Hook, at: i64) {
        let Some(run_id) = self.runs.last().map(|r| r.run_id.clone()) else { return };
        match (&hook.event, &hook.agent_id) {
            (HookEvent::Stop { .. } | HookEvent::StopFailure { .. } | HookEvent::SessionEnd { .. }, None) => {
                self.tell(inbox::Input::Turned { run_id, at })
            }
            (HookEvent::SubagentStop, Some(agent)) => {
                self.tell(inbox::Input::SubagentOver { run_id, agent_id: agent.clone(), at });
            }
            _ => {}
        }
    }

    fn tell(&self, input: inbox::Input) {
        self.shared.inbox.do_send(Tell(input));
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
