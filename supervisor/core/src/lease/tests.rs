use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn run(name: &str) -> Life {
    Life::Run(name.into())
}

fn claim(ticket: Ticket, name: &str, life: Life) -> Claim {
    let holder = life.run().map_or_else(|| "user 7".to_owned(), |run| format!("api/{run}"));
    Claim { ticket, name: name.into(), holder, life, wait: 0, time: None, reason: None }
}

fn waits(ticket: Ticket, name: &str, life: Life, wait: u64) -> Claim {
    Claim { wait, ..claim(ticket, name, life) }
}

/// What is said of each effect: `1 has x`, `2 does not`, `x is free`.
fn said(effects: &[Effect]) -> Vec<String> {
    let say = |effect: &Effect| match effect {
        Effect::Hold { news: true, lease } => format!("{} to {}", lease.name, lease.holder),
        Effect::Hold { news: false, lease } => format!("{} again to {}", lease.name, lease.holder),
        Effect::Free { lease, why } => format!("{} free: {why}", lease.name),
        Effect::Grant(ticket, _) => format!("{ticket} yes"),
        Effect::Refuse(ticket, e) => format!("{ticket} {}", e.code.name()),
    };
    effects.iter().map(say).collect()
}

#[track_caller]
fn check(script: &[(Input, i64, &[&str])]) -> Leases {
    let mut leases = Leases::default();
    for (input, now, expected) in script {
        assert_eq!(said(&leases.step(input.clone(), *now)), *expected, "{input:?}");
    }
    leases
}

use Input::{Acquire, Left, Over, Tick};

#[test]
fn one_has_it_and_the_others_hear_who() {
    let mut leases = check(&[
        (Acquire(claim(1, "x", run("a"))), 0, &["x to api/a", "1 yes"]),
        (Acquire(claim(2, "y", run("b"))), 0, &["y to api/b", "2 yes"]),
    ]);
    let reason = Some("the dev server".to_owned());
    leases.step(Acquire(Claim { reason, ..claim(3, "x", run("a")) }), 1_000);
    let effects = leases.step(Acquire(claim(4, "x", run("b"))), 65_000);
    let [Effect::Refuse(4, e)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((e.code, &*e.message), (Code::Conflict, "x is held by api/a for 65 s so far: the dev server"));
}

#[test]
fn who_waits_gets_it_in_order() {
    check(&[
        (Acquire(claim(1, "x", run("a"))), 0, &["x to api/a", "1 yes"]),
        (Acquire(waits(2, "x", run("b"), 100)), 1, &[]),
        (Acquire(waits(3, "x", run("c"), 100)), 2, &[]),
        (Acquire(waits(4, "x", run("d"), 10)), 3, &[]),
        (Tick, 13, &["4 conflict"]),
        (Over(End::Run("a".into())), 20, &["x free: its run is over", "x to api/b", "2 yes"]),
        (Over(End::Run("b".into())), 102, &["x free: its run is over", "x to api/c", "3 yes"]),
    ]);
}

#[test]
fn who_is_over_or_has_gone_waits_no_more() {
    check(&[
        (Acquire(claim(1, "x", run("a"))), 0, &["x to api/a", "1 yes"]),
        (Acquire(waits(2, "x", run("b"), 100)), 0, &[]),
        (Acquire(waits(3, "x", run("c"), 100)), 0, &[]),
        (Acquire(waits(4, "x", run("d"), 100)), 0, &[]),
        (Over(End::Run("b".into())), 1, &[]),
        (Left(3), 1, &[]),
        (Over(End::Run("a".into())), 2, &["x free: its run is over", "x to api/d", "4 yes"]),
        // its caller has gone before it was told
        (Left(4), 3, &["x free: it has hung up"]),
    ]);
}

#[test]
fn the_same_run_renews_and_keeps_its_place_in_time() {
    let timed = |ticket, time| Claim { time, ..claim(ticket, "x", run("a")) };
    let mut leases = check(&[
        (Acquire(timed(1, Some(50))), 0, &["x to api/a", "1 yes"]),
        (Acquire(timed(2, Some(50))), 40, &["x again to api/a", "2 yes"]),
        (Tick, 60, &[]),
        (Acquire(timed(3, None)), 70, &["x again to api/a", "3 yes"]),
        (Tick, 1_000, &[]),
    ]);
    assert_eq!((leases.views()[0].at, leases.views()[0].until, leases.wake_at()), (0, None, None));
    leases.step(Acquire(timed(4, Some(10))), 1_000);
    assert_eq!(leases.wake_at(), Some(1_010));
    assert_eq!(said(&leases.step(Tick, 1_010)), ["x free: its time is over"]);
}

#[test]
fn a_time_that_is_over_is_not_in_the_way_though_nobody_has_looked() {
    check(&[
        (Acquire(Claim { time: Some(10), ..claim(1, "x", run("a")) }), 0, &["x to api/a", "1 yes"]),
        (Acquire(claim(2, "x", run("b"))), 10, &["x free: its time is over", "x to api/b", "2 yes"]),
    ]);
}

#[test]
fn a_connection_holds_for_itself_and_its_agent_holds_for_all_of_its_own() {
    let connection = |id, run: Option<&str>| Life::Connection { id, run: run.map(str::to_owned) };
    check(&[
        (Acquire(claim(1, "x", connection(1, Some("a")))), 0, &["x to api/a", "1 yes"]),
        // two commands of one agent keep each other out, and it itself as a whole
        (Acquire(claim(2, "x", connection(2, Some("a")))), 0, &["2 conflict"]),
        (Acquire(claim(3, "x", run("a"))), 0, &["3 conflict"]),
        (Over(End::Connection(1)), 1, &["x free: it has hung up"]),
        (Acquire(claim(4, "x", run("a"))), 2, &["x to api/a", "4 yes"]),
        (Acquire(claim(5, "x", connection(3, Some("a")))), 3, &["5 yes"]),
        // what the agent holds stays when its command has ended
        (Over(End::Connection(3)), 4, &[]),
        (Acquire(claim(6, "y", connection(4, Some("a")))), 5, &["y to api/a", "6 yes"]),
        (Over(End::Run("a".into())), 6, &["x free: its run is over", "y free: its run is over"]),
        (Acquire(claim(7, "x", connection(5, None))), 7, &["x to user 7", "7 yes"]),
        (Acquire(claim(8, "x", connection(6, None))), 7, &["8 conflict"]),
    ]);
}

#[test]
fn of_several_calls_of_one_agent_none_waits_for_another() {
    check(&[
        (Acquire(claim(1, "x", run("a"))), 0, &["x to api/a", "1 yes"]),
        (Acquire(waits(2, "x", run("b"), 100)), 0, &[]),
        (Acquire(waits(3, "x", run("c"), 100)), 0, &[]),
        (Acquire(waits(4, "x", run("b"), 100)), 0, &[]),
        (Over(End::Run("a".into())), 1, &["x free: its run is over", "x to api/b", "2 yes", "4 yes"]),
    ]);
}

#[test]
fn only_the_holder_and_the_user_give_it_back() {
    let mut leases = check(&[
        (Acquire(claim(1, "x", run("a"))), 0, &["x to api/a", "1 yes"]),
        (Acquire(waits(2, "x", run("b"), 100)), 0, &[]),
    ]);
    assert_eq!(leases.release("x", Some(&run("b")), 1).expect_err("it may not").code, Code::Forbidden);
    assert_eq!(leases.release("y", None, 1).expect_err("there is none").code, Code::NotFound);
    let effects = leases.release("x", Some(&run("a")), 1).expect("it may");
    assert_eq!(said(&effects), ["x free: it gave it back", "x to api/b", "2 yes"]);
    assert_eq!(said(&leases.release("x", None, 1).expect("he may")), ["x free: the user took it"]);
}

#[test]
fn there_is_an_end_to_what_one_run_can_hold_and_to_who_waits() {
    let mut leases = Leases::default();
    let max = OF_A_LIFE_MAX as u64;
    for n in 0..max {
        assert_eq!(leases.step(Acquire(claim(n, &format!("{n}"), run("a"))), 0).len(), 2);
    }
    assert_eq!(said(&leases.step(Acquire(claim(max, "more", run("a"))), 0)), [format!("{max} busy")]);
    // what it has it may renew
    assert_eq!(leases.step(Acquire(claim(max, "0", run("a"))), 0).len(), 2);
    for n in 0..WAITERS_MAX as u64 {
        assert_eq!(leases.step(Acquire(waits(1_000 + n, "0", run(&format!("w{n}")), 9)), 0), []);
    }
    assert_eq!(said(&leases.step(Acquire(waits(2_000, "0", run("late"), 9)), 0)), ["2000 busy"]);
    for bad in ["", "a\nb", &"x".repeat(LEASE_NAME_BYTES_MAX + 1)] {
        assert_eq!(said(&leases.step(Acquire(claim(1, bad, run("b"))), 0)), ["1 bad_params"]);
    }
}

/// What a random history is made of.
#[derive(Clone, Debug)]
enum Act {
    Acquire { name: u8, run: u8, connection: Option<u8>, wait: u64, time: Option<u64> },
    Release { name: u8, run: u8 },
    Over(u8),
    HangUp(u8),
    Left(usize),
    Tick,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..3_u8, 0..5_u8, prop::option::weighted(0.2, 0..4_u8), 0..40_u64, prop::option::of(1..30_u64))
            .prop_map(|(name, run, connection, wait, time)| Act::Acquire { name, run, connection, wait, time }),
        2 => (0..3_u8, 0..5_u8).prop_map(|(name, run)| Act::Release { name, run }),
        1 => (0..5_u8).prop_map(Act::Over),
        1 => (0..4_u8).prop_map(Act::HangUp),
        1 => (0..20_usize).prop_map(Act::Left),
        3 => Just(Act::Tick),
    ]
}

/// What must hold, kept beside the machine by somebody who only sees its effects.
#[derive(Default)]
struct Witness {
    holders: HashMap<String, Lease>,
    /// Calls that wait, in the order in which they came.
    waiting: Vec<Claim>,
    answered: Vec<Ticket>,
}

impl Witness {
    fn watch(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Hold { lease, news } => {
                    let before = self.holders.insert(lease.name.clone(), lease.clone());
                    assert_eq!(before.is_none(), *news, "two hold {}", lease.name);
                    if let Some(before) = before {
                        assert_eq!(before.life, lease.life, "it changed hands without having been free");
                    }
                }
                Effect::Free { lease, .. } => {
                    let before = self.holders.remove(&lease.name);
                    assert_eq!(before.map(|l| l.life), Some(lease.life.clone()), "it was not held");
                }
                Effect::Grant(ticket, view) => {
                    self.answer(*ticket);
                    let claim = self.waiting.iter().position(|claim| claim.ticket == *ticket);
                    let holder = &self.holders[&view.name];
                    if let Some(at) = claim {
                        let claim = self.waiting.remove(at);
                        let before = self.waiting[..at].iter().filter(|other| other.name == claim.name);
                        for earlier in before {
                            assert!(
                                holder.life.serves(&claim.life)
                                    && claim.life.run() == holder.life.run()
                                    && holder.ticket != claim.ticket,
                                "{claim:?} came after {earlier:?}"
                            );
                        }
                        assert!(holder.life.serves(&claim.life));
                    }
                }
                Effect::Refuse(ticket, _) => {
                    self.answer(*ticket);
                    self.waiting.retain(|claim| claim.ticket != *ticket);
                }
            }
        }
    }

    fn answer(&mut self, ticket: Ticket) {
        assert!(!self.answered.contains(&ticket), "{ticket} was answered twice");
        self.answered.push(ticket);
    }
}

proptest! {
    #[test]
    fn never_two_hold_it_and_who_came_first_gets_it_first(acts in prop::collection::vec(act(), 1..120)) {
        let mut leases = Leases::default();
        let mut witness = Witness::default();
        for (n, act) in acts.into_iter().enumerate() {
            let now = 3 * n as i64;
            let life = |run: u8, connection: Option<u8>| match connection {
                Some(id) => Life::Connection { id: id.into(), run: Some(format!("r{run}")) },
                None => Life::Run(format!("r{run}")),
            };
            let effects = match act {
                Act::Acquire { name, run, connection, wait, time } => {
                    // a connection comes from one run
                    let run = connection.unwrap_or(run);
                    let claim = Claim { wait, time, ..claim(n as u64, &format!("n{name}"), life(run, connection)) };
                    witness.waiting.push(claim.clone());
                    let effects = leases.step(Acquire(claim), now);
                    // one that is answered at once has not waited
                    if effects.iter().any(|e| matches!(e, Effect::Grant(t, _) | Effect::Refuse(t, _) if *t == n as u64)) {
                        let own = witness.waiting.iter().position(|c| c.ticket == n as u64);
                        let own = own.map(|at| witness.waiting.remove(at));
                        let freed = effects.iter().any(|e| matches!(e, Effect::Free { .. }));
                        prop_assert!(own.is_some() || freed);
                    }
                    effects
                }
                Act::Release { name, run } => {
                    leases.release(&format!("n{name}"), Some(&life(run, None)), now).unwrap_or_default()
                }
                Act::Over(run) => {
                    let run = format!("r{run}");
                    witness.waiting.retain(|claim| claim.life.run() != Some(&run));
                    let effects = leases.step(Over(End::Run(run.clone())), now);
                    witness.watch(&effects);
                    prop_assert!(witness.holders.values().all(|lease| lease.life.run() != Some(&run)));
                    Vec::new()
                }
                Act::HangUp(id) => {
                    let end = End::Connection(id.into());
                    witness.waiting.retain(|claim| !claim.life.ends_with(&end));
                    leases.step(Over(end), now)
                }
                Act::Left(ticket) => {
                    witness.waiting.retain(|claim| claim.ticket != ticket as u64);
                    leases.step(Left(ticket as u64), now)
                }
                Act::Tick => {
                    let effects = leases.step(Tick, now);
                    prop_assert!(leases.wake_at().is_none_or(|at| at > now), "something was due");
                    effects
                }
            };
            witness.watch(&effects);
            for held in leases.held.values() {
                prop_assert_eq!(&witness.holders[&held.lease.name].life, &held.lease.life);
                for waiter in &held.waiting {
                    prop_assert!(!held.lease.life.serves(&waiter.claim.life), "it waits for itself");
                    prop_assert!(witness.waiting.contains(&waiter.claim));
                }
            }
            prop_assert_eq!(leases.held.len(), witness.holders.len());
            let waiting: usize = leases.held.values().map(|held| held.waiting.len()).sum();
            prop_assert_eq!(waiting, witness.waiting.len(), "somebody waits for nothing");
        }
    }
}
