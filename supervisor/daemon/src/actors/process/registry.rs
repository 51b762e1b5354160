//! What Claude's file of its living session says of the agent of a process: what it does, and in which
//! session it is.

use actix::{AsyncContext as _, Context, Handler, Message};
use wezterm_parallel_core::{
    claude::registry::Entry,
    process::Input,
    status::{Claim, Word},
};
use wezterm_parallel_schemas::{
    config::StatusFrom,
    event::{Event, EventKind},
    process::Kind,
};

use super::ProcessActor;
use crate::{
    actors::registry::{Follow, Leave},
    effects::claude,
};

/// What a process knows by way of the registry.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The run that is followed.
    run_id: Option<String>,
    /// How much has been said in it.
    seq: u64,
    /// The session that it is in has been told of.
    told: bool,
    /// The Claude of the run: another process than the program where a script stands between.
    pid: Option<i32>,
}

impl Registry {
    /// The Claude of the run, if its file has been seen.
    pub(super) fn pid(&self) -> Option<i32> {
        self.pid
    }
}

impl ProcessActor {
    /// Has the agent of the current run followed, and that of no other.
    pub(super) fn follow_agent(&mut self, ctx: &mut Context<Self>) {
        let run = self.machine.run().filter(|_| self.machine.spec().kind == Kind::Claude);
        if run.map(|r| &r.id) == self.registry.run_id.as_ref() {
            return;
        }
        if let Some(run_id) = self.registry.run_id.take() {
            self.shared.registry.do_send(Leave { run_id });
        }
        let run = run.cloned();
        // a run that was there before the daemon has told of its session
        self.registry = Registry { told: self.view.is_none(), ..Registry::default() };
        if let (Some(run), Some(account)) = (run, claude::config_dir(&self.environment())) {
            self.registry.run_id = Some(run.id.clone());
            let (pid, keeper_pid) = (run.pid, run.keeper_pid);
            let process = ctx.address();
            self.shared.registry.do_send(Follow { run_id: run.id, pid, keeper_pid, account, process });
        }
    }
}

/// What the file of its agent says now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Registered {
    /// The run that the agent is of.
    pub run_id: String,
    /// What the file says.
    pub entry: Entry,
}

impl Handler<Registered> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Registered, ctx: &mut Context<Self>) {
        if self.machine.run().is_none_or(|run| run.id != m.run_id) {
            return;
        }
        let entry = m.entry;
        self.registry.seq += 1;
        self.registry.pid = Some(entry.pid);
        let events = self.follow_entry(&entry);
        if !self.machine.spec().status.reads(StatusFrom::Registry) {
            return self.settle(Vec::new(), Vec::new(), events, ctx);
        }
        let at = entry.status_at.or(entry.updated_at).unwrap_or(entry.started_at);
        let word = Word { seq: self.registry.seq, at, claim: Claim::Registry(Box::new(entry)) };
        let effects = self.machine.step(Input::Heard(word), self.shared.clock.now());
        self.settle(effects, Vec::new(), events, ctx);
    }
}

impl ProcessActor {
    /// Takes the session over that its agent is in. Where hooks tell of it too, they come at about the same
    /// time, know how it came about, and say so in events; otherwise they are made here.
    fn follow_entry(&mut self, entry: &Entry) -> Vec<Event> {
        // one that cannot resume its session shows another for a moment, before it says what it does
        let (Some(session), Some(_)) = (&entry.session_id, &entry.status) else { return Vec::new() };
        let new = self.session.as_ref() != Some(session);
        let first = !std::mem::replace(&mut self.registry.told, true);
        let old = self.session.replace(session.clone());
        if self.machine.spec().status.reads(StatusFrom::Hooks) || !(new || first) {
            return Vec::new();
        }
        let event =
            |kind, session_id| Event { run_id: self.registry.run_id.clone(), session_id, ..self.event(kind) };
        let ended = (new && !first).then(|| event(EventKind::SessionEnded, old));
        ended.into_iter().chain([event(EventKind::SessionStarted, Some(session.clone()))]).collect()
    }
}
