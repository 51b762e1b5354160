//! Leases: who holds what, and who waits for it. One holder at a time, the others in the order in which they
//! came; what is held ends with the life that it is bound to.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use wezterm_parallel_schemas::{
    error::{Code, Error},
    lease::{LEASE_NAME_BYTES_MAX, LEASE_REASON_BYTES_MAX, LeaseView},
};

/// Things that one run or connection holds or waits for: an agent that leases each file of a project has
/// misunderstood what they are for.
pub const OF_A_LIFE_MAX: usize = 256;
/// All that is held. A listing of them fits an answer.
pub const HELD_MAX: usize = 10_000;
/// Who waits for one thing: the last of them would wait for hours.
pub const WAITERS_MAX: usize = 64;

/// Names a call that waits.
pub type Ticket = u64;

/// What a lease is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// The run of an agent.
    Run(String),
    /// A connection, and the run that it comes from, if it comes from an agent.
    Connection {
        /// Its number.
        id: u64,
        /// The run.
        run: Option<String>,
    },
}

impl Life {
    /// The run of the agent.
    pub fn run(&self) -> Option<&str> {
        match self {
            Self::Run(run) => Some(run),
            Self::Connection { run, .. } => run.as_deref(),
        }
    }

    /// Whether what `self` holds is also there for `other`: what its agent holds as a whole serves each of its
    /// connections, and not the other way round.
    fn serves(&self, other: &Self) -> bool {
        match self {
            Self::Run(run) => other.run() == Some(run),
            Self::Connection { .. } => self == other,
        }
    }

    fn ends_with(&self, end: &End) -> bool {
        match end {
            End::Run(run) => self.run() == Some(run),
            End::Connection(ended) => matches!(self, Self::Connection { id, .. } if id == ended),
        }
    }
}

/// The end of a life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A run is over.
    Run(String),
    /// A connection was hung up.
    Connection(u64),
}

/// What somebody wants to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The call.
    pub ticket: Ticket,
    /// What.
    pub name: String,
    /// Who, as others are told.
    pub holder: String,
    /// What it is bound to.
    pub life: Life,
    /// How long it waits, in milliseconds.
    pub wait: u64,
    /// For how long it wants it, in milliseconds.
    pub time: Option<u64>,
    /// What for.
    pub reason: Option<String>,
}

/// Something that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What.
    pub name: String,
    /// Who, as others are told.
    pub holder: String,
    /// What it is bound to.
    pub life: Life,
    /// Since when, in milliseconds since 1970.
    pub at: i64,
    /// Until when.
    pub until: Option<i64>,
    /// What for.
    pub reason: Option<String>,
    /// The call that got it.
    pub ticket: Ticket,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Somebody wants something.
    Acquire(Claim),
    /// A life is over.
    Over(End),
    /// The caller of a call that was not answered has gone.
    Left(Ticket),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is held like this from now on. `news`: it was not held by this one before.
    Hold {
        /// It.
        lease: Lease,
        /// It has changed hands.
        news: bool,
    },
    /// It is not held any more.
    Free {
        /// It.
        lease: Lease,
        /// Why, in words.
        why: &'static str,
    },
    /// A call is answered: it has it.
    Grant(Ticket, LeaseView),
    /// A call is answered: it does not get it.
    Refuse(Ticket, Error),
}

/// All leases.
#[derive(Debug, Default)]
pub struct Leases {
    held: BTreeMap<String, Held>,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    claim: Claim,
    until: i64,
}

impl Leases {
    /// With what was kept.
    pub fn restore(leases: impl IntoIterator<Item = Lease>) -> Self {
        let held = |lease: Lease| (lease.name.clone(), Held { lease, waiting: VecDeque::new() });
        Self { held: leases.into_iter().map(held).collect() }
    }

    /// Takes an input in.
    pub fn step(&mut self, input: Input, now: i64) -> Vec<Effect> {
        let mut effects = Vec::new();
        // who has waited too long by now is in nobody's way
        self.give_up(now.saturating_sub(1), now, &mut effects);
        match input {
            Input::Acquire(claim) => self.acquire(claim, now, &mut effects),
            Input::Over(end) => {
                for held in self.held.values_mut() {
                    held.waiting.retain(|waiter| !waiter.claim.life.ends_with(&end));
                }
                let why = match end {
                    End::Run(_) => "its run is over",
                    End::Connection(_) => "it has hung up",
                };
                self.free_all(|lease| lease.life.ends_with(&end), why, now, &mut effects);
            }
            Input::Left(ticket) => {
                for held in self.held.values_mut() {
                    held.waiting.retain(|waiter| waiter.claim.ticket != ticket);
                }
                // it was given to a call that nobody waits for any more
                self.free_all(|lease| lease.ticket == ticket, "it has hung up", now, &mut effects);
            }
            Input::Tick => {
                let over = |lease: &Lease| lease.until.is_some_and(|until| until <= now);
                self.free_all(over, "its time is over", now, &mut effects);
            }
        }
        // those first that get it at the last moment
        self.give_up(now, now, &mut effects);
        effects
    }

    /// Gives something back. `by` none: the user, who may take it from whoever holds it.
    ///
    /// # Errors
    /// `not_found` if nobody holds it, `forbidden` if another one does.
    pub fn release(&mut self, name: &str, by: Option<&Life>, now: i64) -> Result<Vec<Effect>, Error> {
        let Some(held) = self.held.get(name) else {
            return Err(Error::new(Code::NotFound, format!("nobody holds {name}"))
                .hint("`wezterm-parallel lease list` shows what is held"));
        };
        let why = match by {
            None => "the user took it",
            Some(life) if held.lease.life.serves(life) || same_run(&held.lease.life, life) => {
                "it gave it back"
            }
            Some(_) => {
                let who = &held.lease.holder;
                return Err(Error::new(Code::Forbidden, format!("{name} is held by {who}"))
                    .hint("only who holds it may give it back; acquire it with a time to wait"));
            }
        };
        let mut effects = Vec::new();
        self.give_up(now.saturating_sub(1), now, &mut effects);
        self.free_all(|lease| lease.name == name, why, now, &mut effects);
        Ok(effects)
    }

    /// All that is held, by name.
    pub fn views(&self) -> Vec<LeaseView> {
        self.held.values().map(Held::view).collect()
    }

    /// When something ends by itself, if anything does.
    pub fn wake_at(&self) -> Option<i64> {
        let until = |held: &Held| {
            let waiters = held.waiting.iter().map(|waiter| waiter.until);
            waiters.chain(held.lease.until).filter(|until| *until < i64::MAX).min()
        };
        self.held.values().filter_map(until).min()
    }

    fn acquire(&mut self, claim: Claim, now: i64, effects: &mut Vec<Effect>) {
        if let Err(e) = check(&claim) {
            return effects.push(Effect::Refuse(claim.ticket, e));
        }
        // one whose time is over just now is not in the way
        let over = |lease: &Lease| lease.name == claim.name && lease.until.is_some_and(|until| until <= now);
        self.free_all(over, "its time is over", now, effects);
        let of_life = |life: &Life| same_life(life, &claim.life);
        let mine = self.held.values().filter(|held| of_life(&held.lease.life)).count()
            + self.held.values().flat_map(|held| &held.waiting).filter(|w| of_life(&w.claim.life)).count();
        let (held_in_all, free) = (self.held.len(), !self.held.contains_key(&claim.name));
        if let Some(held) = self.held.get_mut(&claim.name)
            && held.lease.life.serves(&claim.life)
        {
            let whole = held.lease.life == claim.life;
            if whole {
                held.lease.until = until(now, claim.time);
                held.lease.reason = claim.reason.or(held.lease.reason.take());
                effects.push(Effect::Hold { lease: held.lease.clone(), news: false });
            }
            return effects.push(Effect::Grant(claim.ticket, held.view()));
        }
        if mine >= OF_A_LIFE_MAX || (free && held_in_all >= HELD_MAX) {
            let e = Error::new(Code::Busy, "too much is leased").hint("give back what is not needed");
            return effects.push(Effect::Refuse(claim.ticket, e));
        }
        match self.held.get_mut(&claim.name) {
            None => self.hand_over(claim, now, effects),
            Some(held) if claim.wait == 0 => {
                effects.push(Effect::Refuse(claim.ticket, held.conflict(&claim.life, now)));
            }
            Some(held) if held.waiting.len() >= WAITERS_MAX => {
                let message = format!("{WAITERS_MAX} wait for {} already", claim.name);
                let e = Error::new(Code::Busy, message).hint("do something else first");
                effects.push(Effect::Refuse(claim.ticket, e));
            }
            Some(held) => {
                let until = now.saturating_add(i64::try_from(claim.wait).unwrap_or(i64::MAX));
                held.waiting.push_back(Waiter { claim, until });
            }
        }
    }

    /// Something that nobody holds goes to this one.
    fn hand_over(&mut self, claim: Claim, now: i64, effects: &mut Vec<Effect>) {
        let lease = Lease {
            name: claim.name.clone(),
            holder: claim.holder,
            life: claim.life,
            at: now,
            until: until(now, claim.time),
            reason: claim.reason,
            ticket: claim.ticket,
        };
        effects.push(Effect::Hold { lease: lease.clone(), news: true });
        let held = Held { lease, waiting: VecDeque::new() };
        effects.push(Effect::Grant(claim.ticket, held.view()));
        self.held.insert(claim.name, held);
    }

    /// Frees what fits, and hands each over to who has waited longest.
    fn free_all(
        &mut self,
        fits: impl Fn(&Lease) -> bool,
        why: &'static str,
        now: i64,
        effects: &mut Vec<Effect>,
    ) {
        let names: Vec<String> =
            self.held.values().filter(|held| fits(&held.lease)).map(|held| held.lease.name.clone()).collect();
        for name in names {
            let Some(Held { lease, mut waiting }) = self.held.remove(&name) else { continue };
            effects.push(Effect::Free { lease, why });
            let Some(next) = waiting.pop_front() else { continue };
            self.hand_over(next.claim, now, effects);
            let Some(held) = self.held.get_mut(&name) else { continue };
            // those whom the new one serves would wait for themselves
            let (served, rest): (Vec<Waiter>, Vec<Waiter>) =
                waiting.into_iter().partition(|waiter| held.lease.life.serves(&waiter.claim.life));
            held.waiting = rest.into();
            let view = held.view();
            effects.extend(served.into_iter().map(|w| Effect::Grant(w.claim.ticket, view.clone())));
        }
    }

    /// Answers those who wanted to wait no longer than until `last`.
    fn give_up(&mut self, last: i64, now: i64, effects: &mut Vec<Effect>) {
        for held in self.held.values_mut() {
            let (late, rest): (Vec<Waiter>, Vec<Waiter>) =
                std::mem::take(&mut held.waiting).into_iter().partition(|waiter| waiter.until <= last);
            held.waiting = rest.into();
            let refuse =
                |waiter: Waiter| Effect::Refuse(waiter.claim.ticket, held.conflict(&waiter.claim.life, now));
            effects.extend(late.into_iter().map(refuse));
        }
    }
}

impl Held {
    fn view(&self) -> LeaseView {
        let Lease { name, holder, life, at, until, reason, .. } = self.lease.clone();
        let waiting = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        LeaseView { name, holder, run_id: life.run().map(str::to_owned), at, until, reason, waiting }
    }

    fn conflict(&self, asker: &Life, now: i64) -> Error {
        let Lease { name, holder, life, at, reason, .. } = &self.lease;
        let you = if same_run(life, asker) { ", which is you, by another connection," } else { "" };
        let since = span(now.saturating_sub(*at));
        let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Error::new(Code::Conflict, format!("{name} is held by {holder}{you} for {since} so far{why}"))
            .hint("wait for it with a time to wait, or do something else first")
    }
}

fn check(claim: &Claim) -> Result<(), Error> {
    let wrong = |what: String| Err(Error::new(Code::BadParams, what));
    let name = &claim.name;
    if name.is_empty() || name.len() > LEASE_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return wrong(format!("a name has 1 to {LEASE_NAME_BYTES_MAX} bytes, and no control characters"));
    }
    if claim.reason.as_ref().is_some_and(|reason| reason.len() > LEASE_REASON_BYTES_MAX) {
        return wrong(format!("a reason has at most {LEASE_REASON_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// Whether both come from the same agent.
fn same_run(a: &Life, b: &Life) -> bool {
    a.run().is_some() && a.run() == b.run()
}

fn same_life(a: &Life, b: &Life) -> bool {
    a == b || same_run(a, b)
}

fn until(now: i64, time: Option<u64>) -> Option<i64> {
    time.map(|time| now.saturating_add(i64::try_from(time).unwrap_or(i64::MAX)))
}

/// `12 s`, `5 min`, `3 h`.
fn span(ms: i64) -> String {
    let seconds = Duration::from_millis(ms.max(0).unsigned_abs()).as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests;
