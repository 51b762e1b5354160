//! The status of a process's agent: its timers, the looks at the machine, and the explanation.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, WrapFuture as _};
use wezterm_parallel_core::{
    claude::stream::Line,
    process::Input,
    status::{Claim, Word},
};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::{
    evidence::{Evidence, EvidenceSource, Explanation, Standing},
    process::Kind,
};

use super::ProcessActor;
use crate::effects::{
    machine,
    stream::{self, Stream},
};

impl ProcessActor {
    /// Sets the one timer after which the status must be decided anew, or the machine looked at. There is
    /// none while nothing is under way.
    pub(super) fn arm_status(&mut self, ctx: &mut Context<Self>) {
        let due = [self.machine.status().and_then(|s| s.due()), self.machine.look_due(self.looked_at)];
        let due = due.into_iter().flatten().min().filter(|_| self.machine.run().is_some());
        if due == self.status_due {
            return;
        }
        self.status_due = due;
        if let Some(timer) = self.status_timer.take() {
            ctx.cancel_future(timer);
        }
        let Some(due) = due else { return };
        let wait = Duration::from_millis(due.saturating_sub(self.shared.clock.millis()));
        self.status_timer = Some(ctx.run_later(wait, |actor, ctx| {
            actor.status_timer = None;
            actor.status_due = None;
            actor.status_is_due(ctx);
        }));
    }

    fn status_is_due(&mut self, ctx: &mut Context<Self>) {
        let now = self.shared.clock.millis();
        let look = self.machine.look_due(self.looked_at).is_some_and(|at| at <= now);
        let Some(run) = self.machine.run().filter(|_| look) else {
            return self.input(Input::Tick, ctx);
        };
        self.looked_at = Some(now);
        let (pid, run_dir) = (run.pid, rundir::run_dir(&self.shared.places.runs(), &run.id));
        let run_id = run.id.clone();
        let read = tokio::task::spawn_blocking(move || machine::look(pid, &run_dir));
        ctx.spawn(read.into_actor(self).map(move |seen, actor, ctx| {
            let same = actor.machine.run().is_some_and(|r| r.id == run_id);
            match seen {
                Ok(Some(seen)) if same => {
                    let word = Word { seq: 0, at: actor.shared.clock.at(), claim: Claim::Machine(seen) };
                    actor.input(Input::Heard(word), ctx);
                }
                _ => actor.input(Input::Tick, ctx),
            }
        }));
    }
}

impl ProcessActor {
    /// Reads what a Claude writes line by line, if it does.
    pub(super) fn read_stream(&mut self, run_id: &str, ctx: &mut Context<Self>) {
        self.stream = None;
        let spec = self.machine.spec();
        if spec.kind != Kind::Claude || !stream::is_written_by(&spec.command) {
            return;
        }
        let (me, id) = (ctx.address(), run_id.to_owned());
        let runs = self.shared.places.runs();
        let mut seq = 0;
        self.stream = Some(Stream::open(runs, run_id.to_owned(), move |line| {
            seq += 1;
            me.do_send(Wrote { run_id: id.clone(), seq, line: line.map(Box::new) });
        }));
    }
}

/// Its Claude wrote a line; none: lines were lost.
#[derive(Message)]
#[rtype(result = "()")]
struct Wrote {
    run_id: String,
    seq: u64,
    line: Option<Box<Line>>,
}

impl Handler<Wrote> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Wrote, ctx: &mut Context<Self>) {
        if self.machine.run().is_none_or(|r| r.id != m.run_id) {
            return;
        }
        let Some(line) = m.line else { return self.input(Input::StreamLost, ctx) };
        let at = self.shared.clock.at();
        self.note_line(&line, at, ctx);
        let word = Word { seq: m.seq, at, claim: Claim::Stream(line) };
        self.input(Input::Heard(word), ctx);
    }
}

/// Why has it the status that it has?
#[derive(Message)]
#[rtype(result = "Explanation")]
pub struct Explain;

impl Handler<Explain> for ProcessActor {
    type Result = actix::MessageResult<Explain>;
    fn handle(&mut self, _: Explain, _: &mut Context<Self>) -> Self::Result {
        let process = self.make_view();
        let explained = self.machine.status().map(|s| s.explain());
        let (because, mut evidence, history) = explained
            .unwrap_or_else(|| ("it is no agent, and reports no status".into(), Vec::new(), Vec::new()));
        // how a run ended is the last word on it
        if let Some(exit) = process.last_exit.as_ref().filter(|_| process.pid.is_none()) {
            let ended = Evidence {
                source: EvidenceSource::Exit,
                seq: 1,
                at: exit.ended_at,
                said: exit.text(),
                status: None,
                standing: Standing::Won,
                why: "its run is over".into(),
            };
            evidence.insert(0, ended);
        }
        actix::MessageResult(Explanation { process, because, evidence, history })
    }
}
