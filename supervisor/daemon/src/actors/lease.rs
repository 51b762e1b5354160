//! Leases.
//!
//! Owns: who holds what, and the calls that wait for it. Receives: who wants something or gives it back, ends of
//! runs, of connections and of calls. Sends: answers to those calls, rows and events to the board.
//! Dies when: the daemon ends. After a panic it goes on from the rows that it last saved; what connections held
//! is gone, and calls that waited fail.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, MessageResult, SpawnHandle, Supervised};
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    lease::{Claim, Effect, Input, Lease, Leases, Life, Ticket},
    limit::look_in,
};
use wezterm_parallel_schemas::{
    error::Error,
    event::{Event, EventKind},
    lease::LeaseView,
};
use wezterm_parallel_store::{Change, LeaseRow};

use crate::{board::Board, clock::Clock};

/// Where the answer goes to a call that wants something.
pub type Reply = oneshot::Sender<Result<LeaseView, Error>>;

/// See the module.
pub struct LeaseActor {
    board: Rc<Board>,
    clock: Clock,
    leases: Leases,
    /// As last handed to the store: only what runs hold, as connections do not outlive the daemon.
    rows: BTreeMap<String, LeaseRow>,
    /// Rows whose run did not live when the daemon began.
    dead: Vec<LeaseRow>,
    replies: HashMap<Ticket, Reply>,
    timer: Option<SpawnHandle>,
}

impl LeaseActor {
    /// With what was kept. `lives` says whether a run does.
    pub fn new(board: Rc<Board>, clock: Clock, rows: Vec<LeaseRow>, lives: impl Fn(&str) -> bool) -> Self {
        let (alive, dead): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| lives(&row.run_id));
        let rows: BTreeMap<String, LeaseRow> = alive.into_iter().map(|row| (row.name.clone(), row)).collect();
        let leases = restored(&rows);
        Self { board, clock, leases, rows, dead, replies: HashMap::new(), timer: None }
    }

    fn run(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        let (mut changes, mut events, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Hold { lease, news } => {
                    if news {
                        events.push(acquired(&lease));
                    }
                    if let Life::Run(run) = &lease.life {
                        let row = row(&lease, run);
                        changes.push(Change::PutLease(row.clone()));
                        self.rows.insert(lease.name.clone(), row);
                    }
                }
                Effect::Free { lease, why } => {
                    events.push(released(&lease.name, &lease.holder, lease.life.run(), why));
                    if self.rows.remove(&lease.name).is_some() {
                        changes.push(Change::DeleteLease(lease.name));
                    }
                }
                Effect::Grant(ticket, view) => answers.push((ticket, Ok(view))),
                Effect::Refuse(ticket, e) => answers.push((ticket, Err(e))),
            }
        }
        if !changes.is_empty() || !events.is_empty() {
            self.board.commit(changes, events, None);
        }
        for (ticket, answer) in answers {
            if let Some(reply) = self.replies.remove(&ticket) {
                // whoever has gone is told of by `Left`
                let _ = reply.send(answer);
            }
        }
        self.arm(ctx);
    }

    /// Sets the one timer. There is none while nothing waits for a time.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let Some(at) = self.leases.wake_at() else { return };
        let wait = Duration::from_millis(look_in(at, self.clock.at()));
        self.timer = Some(ctx.run_later(wait, |actor, ctx| {
            actor.timer = None;
            let effects = actor.leases.step(Input::Tick, actor.clock.at());
            actor.run(effects, ctx);
        }));
    }
}

fn restored(rows: &BTreeMap<String, LeaseRow>) -> Leases {
    Leases::restore(rows.values().cloned().map(|row| Lease {
        name: row.name,
        holder: row.holder,
        life: Life::Run(row.run_id),
        at: row.at,
        until: row.until,
        reason: row.reason,
        // its call was answered by another daemon: no call of this one has this number
        ticket: 0,
    }))
}

fn row(lease: &Lease, run: &str) -> LeaseRow {
    LeaseRow {
        name: lease.name.clone(),
        holder: lease.holder.clone(),
        run_id: run.to_owned(),
        at: lease.at,
        until: lease.until,
        reason: lease.reason.clone(),
    }
}

fn acquired(lease: &Lease) -> Event {
    Event {
        lease: Some(lease.name.clone()),
        message: Some(lease.holder.clone()),
        run_id: lease.life.run().map(str::to_owned),
        until: lease.until,
        ..Event::new(EventKind::LeaseAcquired)
    }
}

fn released(name: &str, holder: &str, run: Option<&str>, why: &str) -> Event {
    Event {
        lease: Some(name.to_owned()),
        message: Some(format!("{holder}: {why}")),
        run_id: run.map(str::to_owned),
        ..Event::new(EventKind::LeaseReleased)
    }
}

impl Actor for LeaseActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let dead = std::mem::take(&mut self.dead);
        if !dead.is_empty() {
            let why = "its run ended while there was no daemon";
            let event = |row: &LeaseRow| released(&row.name, &row.holder, Some(&row.run_id), why);
            let events = dead.iter().map(event).collect();
            let changes = dead.into_iter().map(|row| Change::DeleteLease(row.name)).collect();
            self.board.commit(changes, events, None);
        }
        self.arm(ctx);
    }
}

impl Supervised for LeaseActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        self.leases = restored(&self.rows);
        self.replies.clear();
        self.timer = None;
        self.arm(ctx);
    }
}

/// Somebody wants something.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Acquire {
    /// What.
    pub claim: Claim,
    /// Where the answer goes.
    pub reply: Reply,
}

impl Handler<Acquire> for LeaseActor {
    type Result = ();
    fn handle(&mut self, m: Acquire, ctx: &mut Context<Self>) {
        self.replies.insert(m.claim.ticket, m.reply);
        let effects = self.leases.step(Input::Acquire(m.claim), self.clock.at());
        self.run(effects, ctx);
    }
}

/// Somebody gives something back.
#[derive(Message)]
#[rtype(result = "Result<(), Error>")]
pub struct Release {
    /// What.
    pub name: String,
    /// Whose it is to be; none: anybody's.
    pub by: Option<Life>,
}

impl Handler<Release> for LeaseActor {
    type Result = Result<(), Error>;
    fn handle(&mut self, m: Release, ctx: &mut Context<Self>) -> Self::Result {
        let effects = self.leases.release(&m.name, m.by.as_ref(), self.clock.at())?;
        self.run(effects, ctx);
        Ok(())
    }
}

/// Something that leases end with has happened.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tell(pub Input);

impl Handler<Tell> for LeaseActor {
    type Result = ();
    fn handle(&mut self, m: Tell, ctx: &mut Context<Self>) {
        if let Input::Left(ticket) = &m.0 {
            self.replies.remove(ticket);
        }
        let effects = self.leases.step(m.0, self.clock.at());
        self.run(effects, ctx);
    }
}

/// All that is held.
#[derive(Message)]
#[rtype(result = "Vec<LeaseView>")]
pub struct List;

impl Handler<List> for LeaseActor {
    type Result = MessageResult<List>;
    fn handle(&mut self, _: List, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.leases.views())
    }
}
