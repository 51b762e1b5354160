//! Accounts: a table of what is said and what follows, and any order of it.

use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn cost(account: &mut Account, session: &str, cost: f64, at: i64) -> Vec<Effect> {
    let usage = Usage { cost_usd: Some(cost), context_percent: Some(1.0), at, ..Usage::default() };
    account.step(Input::Used { session: session.into(), usage }, at)
}

fn window(name: &str, percent: f64, resets_at: i64) -> WindowUse {
    WindowUse { name: name.into(), used_percent: Some(percent), resets_at: Some(resets_at) }
}

fn told(account: &mut Account, session: &str, windows: &[WindowUse], now: i64) -> Vec<Effect> {
    let usage = Usage { at: now, ..Usage::default() };
    account.step(Input::Used { session: session.into(), usage }, now);
    let all = account.step(Input::Windows { session: session.into(), windows: windows.to_vec() }, now);
    all.into_iter().filter(|e| *e != Effect::Changed).collect()
}

fn reached(account: &mut Account, process: &str, until: Option<Until>, now: i64) -> Vec<Effect> {
    let text = "You've hit your limit".to_owned();
    let input = Input::Reached { process: process.into(), until, text, said_at: now };
    account.step(input, now).into_iter().filter(|e| *e != Effect::Changed).collect()
}

fn until_of(account: &Account) -> Option<i64> {
    account.limit().map(|l| l.until)
}

fn limited(until: i64, news: bool) -> Vec<Effect> {
    vec![Effect::Limited { until, reason: "You've hit your limit".into(), news }]
}

#[test]
fn what_a_session_cost_is_counted_once_over_resume_kill_and_restart() {
    // as 2.1.330 says it: a session, resumed after a clean end, killed, resumed, and forked
    let mut account = Account::default();
    let said = [0.0, 0.007, 0.007, 0.007, 0.014, 0.007, 0.014];
    for (at, figure) in said.into_iter().enumerate() {
        cost(&mut account, "a", figure, at as i64);
    }
    assert!((account.record().cost_usd - 0.021).abs() < 1e-9, "three turns of 0.007 each");
    // over a restart of the daemon
    let mut account = Account::restore(account.record(), 10);
    cost(&mut account, "a", 0.021, 11);
    assert!((account.record().cost_usd - 0.028).abs() < 1e-9);
    // a fork brings the figures of its origin along
    cost(&mut account, "fork", 0.021, 12);
    cost(&mut account, "fork", 0.028, 13);
    assert!((account.record().cost_usd - 0.035).abs() < 1e-9);
}

#[test]
fn a_session_that_begins_with_each_of_its_turns_is_counted_once() {
    // as 2.1.330 with `--input-format stream-json` says it: `init` before each turn, and sums after it
    let mut account = Account::default();
    for (turn, sum) in [(0, 1.0), (1, 2.0), (2, 3.0)] {
        account.step(Input::Begins { session: "a".into(), at: 2 * turn }, 2 * turn);
        let at = 2 * turn + 1;
        let usage = Usage { cost_usd: Some(sum), input_tokens: Some(sum as u64), at, ..Usage::default() };
        account.step(Input::Used { session: "a".into(), usage }, at);
    }
    let record = account.record();
    assert_eq!((record.cost_usd, record.input_tokens), (3.0, 3));
    // one that costs nothing yet after it was killed goes on from there
    let zero = Usage { cost_usd: Some(0.0), at: 10, ..Usage::default() };
    account.step(Input::Used { session: "a".into(), usage: zero }, 10);
    cost(&mut account, "a", 1.0, 11);
    assert_eq!(account.record().cost_usd, 4.0);
}

#[test]
fn tokens_count_from_the_beginning_of_a_session_and_else_from_what_is_heard_first() {
    let mut account = Account::default();
    let mut tokens = |session: &str, cost: f64, context, input, at| {
        let usage = Usage {
            cost_usd: Some(cost),
            context_percent: context,
            input_tokens: input,
            output_tokens: input,
            at,
            ..Usage::default()
        };
        account.step(Input::Used { session: session.into(), usage }, at);
        (account.record().input_tokens, account.record().output_tokens)
    };
    tokens("new", 0.0, None, None, 0);
    assert_eq!(tokens("new", 0.1, Some(1.0), Some(100), 1), (100, 100));
    // one that was resumed without its cost
    tokens("old", 0.0, Some(1.0), Some(5_000), 2);
    assert_eq!(tokens("old", 0.1, Some(1.0), Some(5_100), 3), (200, 200));
}

#[test]
fn a_word_that_was_overtaken_changes_nothing() {
    let mut account = Account::default();
    cost(&mut account, "a", 0.0, 0);
    cost(&mut account, "a", 0.2, 2);
    assert_eq!(cost(&mut account, "a", 0.1, 1), []);
    cost(&mut account, "a", 0.3, 3);
    assert!((account.record().cost_usd - 0.3).abs() < 1e-9);
}

#[test]
fn a_window_warns_once_at_each_threshold() {
    let mut a = Account::default();
    let warns = |effects: Vec<Effect>| effects.iter().any(|e| matches!(e, Effect::Warn { .. }));
    assert!(!warns(told(&mut a, "s", &[window("five_hour", 74.0, HOUR)], 0)));
    assert!(warns(told(&mut a, "s", &[window("five_hour", 76.0, HOUR)], 1)));
    assert!(!warns(told(&mut a, "t", &[window("five_hour", 77.0, HOUR)], 2)), "told already");
    assert!(!warns(told(&mut a, "u", &[window("five_hour", 10.0, HOUR)], 3)), "an old word");
    assert!(!warns(told(&mut a, "s", &[window("five_hour", 78.0, HOUR)], 4)));
    assert!(warns(told(&mut a, "s", &[window("five_hour", 96.0, HOUR)], 5)), "two at once");
    let mut a = Account::restore(a.record(), 6);
    assert!(!warns(told(&mut a, "s", &[window("five_hour", 97.0, HOUR)], 7)), "after a restart");
    assert!(warns(told(&mut a, "s", &[window("five_hour", 80.0, 6 * HOUR)], 2 * HOUR)), "the next window");
}

#[test]
fn a_limit_holds_until_its_time_and_then_those_it_stopped_may_be_told_to_continue() {
    let mut a = Account::default();
    let until = Some(Until::Exactly(HOUR));
    assert_eq!(reached(&mut a, "lead", until, 0), limited(HOUR, true));
    assert_eq!(reached(&mut a, "lead", until, 1), [], "said twice");
    assert_eq!(reached(&mut a, "help", until, 2), [], "it holds already");
    assert_eq!(until_of(&a), Some(HOUR));
    assert_eq!(a.wake_at(), Some(HOUR));
    assert_eq!(a.step(Input::Look, HOUR - 1), []);
    assert_eq!(a.step(Input::Look, HOUR), [Effect::Passed { early: false }]);
    // one goes on by itself
    a.step(Input::Began { process: "help".into(), at: HOUR + 1 }, HOUR + 1);
    assert_eq!(a.wake_at(), Some(HOUR + CONTINUE_MS));
    let tell = Effect::Continue { process: "lead".into() };
    assert_eq!(a.step(Input::Look, HOUR + CONTINUE_MS), [tell]);
    assert_eq!(a.wake_at(), None);
    assert_eq!(a.step(Input::Look, 3 * HOUR), []);
}

#[test]
fn a_late_word_of_the_turn_that_was_stopped_does_not_make_it_go_on() {
    let mut a = Account::default();
    reached(&mut a, "lead", Some(Until::Exactly(HOUR)), 10);
    a.step(Input::Began { process: "lead".into(), at: 9 }, 11);
    assert_eq!(a.step(Input::EndedWell { process: "lead".into(), at: 10 }, 12), []);
    assert_eq!(a.step(Input::Look, HOUR), [Effect::Passed { early: false }]);
    assert_eq!(a.wake_at(), Some(HOUR + CONTINUE_MS));
}

#[test]
fn one_that_was_idle_at_the_limit_or_is_gone_is_never_told_to_continue() {
    let mut a = Account::default();
    reached(&mut a, "lead", Some(Until::Exactly(HOUR)), 0);
    assert_eq!(a.step(Input::Gone { process: "lead".into() }, 1), [Effect::Changed]);
    assert_eq!(a.step(Input::Look, HOUR), [Effect::Passed { early: false }]);
    assert_eq!(a.wake_at(), None);
}

#[test]
fn a_limit_outlives_the_daemon_and_so_does_who_was_stopped() {
    let mut a = Account::default();
    reached(&mut a, "lead", Some(Until::Exactly(HOUR)), 0);
    let mut b = Account::restore(a.record(), 10);
    assert_eq!(until_of(&b), until_of(&a));
    // what the agent's terminal still says when the daemon comes back
    assert_eq!(reached(&mut b, "lead", Some(Until::Exactly(HOUR)), 11), []);
    assert_eq!(b.step(Input::Look, HOUR), [Effect::Passed { early: false }]);
    let mut c = Account::restore(b.record(), HOUR + 5);
    let tell = Effect::Continue { process: "lead".into() };
    assert_eq!(c.step(Input::Look, HOUR + 5 + CONTINUE_MS), [tell]);
}

#[test]
fn the_clock_is_looked_at_more_often_the_nearer_the_end_is() {
    assert_eq!(look_in(7 * 24 * HOUR, 0), 10 * 60_000);
    assert_eq!(look_in(HOUR, 0), 7 * 60_000 + 30_000);
    assert_eq!(look_in(5 * MINUTE, 0), 60_000);
    assert_eq!(look_in(7, 5), 2, "at its time and not later");
    assert_eq!(look_in(5, 7), 0);
}

#[test]
fn an_account_that_nobody_uses_is_forgotten_when_it_is_old_or_one_of_too_many() {
    let heard = |at: i64| {
        let mut account = Account::default();
        cost(&mut account, "s", 1.0, at);
        account
    };
    let now = 2 * ACCOUNT_KEPT_MS;
    let mut limited = heard(1);
    reached(&mut limited, "lead", Some(Until::Exactly(now + HOUR)), 1);
    let mut passed = limited.clone();
    passed.step(Input::Look, now + HOUR);
    let all = BTreeMap::from([
        ("silent".to_owned(), Account::default()),
        ("old".to_owned(), heard(now - ACCOUNT_KEPT_MS)),
        ("young".to_owned(), heard(now - ACCOUNT_KEPT_MS + 1)),
        ("limited".to_owned(), limited),
        ("has a Claude to tell".to_owned(), passed),
    ]);
    assert_eq!(forgotten(all.iter(), now), ["old", "silent"]);
    let many = 0..ACCOUNTS_KEPT_MAX as i64 + 2;
    let many: BTreeMap<String, Account> = many.map(|i| (format!("{i:03}"), heard(now - i))).collect();
    let last = [ACCOUNTS_KEPT_MAX, ACCOUNTS_KEPT_MAX + 1].map(|i| format!("{i:03}"));
    assert_eq!(forgotten(many.iter(), now), last, "the oldest");
}

#[test]
fn what_was_done_while_no_daemon_heard_it_is_dated_by_the_limit_and_not_by_the_restart() {
    let mut a = Account::default();
    for process in ["works", "done", "waits"] {
        reached(&mut a, process, Some(Until::Exactly(HOUR)), 10);
    }
    // `works` and `done` go on at 20 while the daemon is away; it is back at 30
    let began = Input::Began { process: "works".into(), at: 20 };
    let mut b = Account::restore(a.record(), 30);
    assert_eq!(b.limit().map(|limit| limit.since), Some(10));
    b.step(began.clone(), 30);
    b.step(Input::EndedWell { process: "done".into(), at: 25 }, 30);
    let ended = b.step(Input::EndedWell { process: "works".into(), at: 40 }, 40);
    assert_eq!(ended, [Effect::Passed { early: true }], "it shows that there is no limit");
    assert_eq!(b.record().stopped, BTreeMap::from([("waits".into(), 10)]));
    // and where the limit had passed meanwhile
    a.step(Input::Look, HOUR);
    let mut b = Account::restore(a.record(), HOUR + 30);
    b.step(Input::Began { process: "works".into(), at: HOUR + 20 }, HOUR + 30);
    b.step(Input::EndedWell { process: "done".into(), at: HOUR + 25 }, HOUR + 30);
    let told = b.step(Input::Look, HOUR + 30 + CONTINUE_MS);
    assert_eq!(told, [Effect::Continue { process: "waits".into() }]);
}

#[test]
fn what_was_said_before_is_over_when_its_time_has_come() {
    let mut a = Account::default();
    assert_eq!(reached(&mut a, "lead", Some(Until::Exactly(HOUR)), 2 * HOUR), []);
    let input = Input::Reached {
        process: "lead".into(),
        until: None,
        text: "You've hit your limit".into(),
        said_at: 0,
    };
    assert_eq!(a.step(input, LIMIT_MS_UNKNOWN), []);
    assert_eq!(a.limit(), None);
}

#[test]
fn a_time_in_words_becomes_the_one_of_the_window_it_means() {
    let mut a = Account::default();
    told(&mut a, "s", &[window("five_hour", 99.0, HOUR + 8_000), window("seven_day", 9.0, 99 * HOUR)], 0);
    assert_eq!(reached(&mut a, "lead", Some(Until::Minute(HOUR)), 1), limited(HOUR + 8_000, true));
    // and without one it ends with its minute, until something better is known
    let mut a = Account::default();
    assert_eq!(reached(&mut a, "lead", Some(Until::Minute(HOUR)), 1), limited(HOUR + MINUTE, true));
    assert_eq!(reached(&mut a, "lead", Some(Until::Exactly(HOUR + 8)), 2), limited(HOUR + 8, false));
    assert_eq!(reached(&mut a, "help", Some(Until::Minute(HOUR)), 3), [], "no step back");
}

#[test]
fn what_claude_says_of_a_limit_is_its_reason_whoever_came_first() {
    let mut a = Account::default();
    told(&mut a, "s", &[window("five_hour", 100.0, HOUR)], 0);
    assert_eq!(reached(&mut a, "lead", Some(Until::Exactly(HOUR)), 1), limited(HOUR, false));
    assert_eq!(told(&mut a, "t", &[window("five_hour", 100.0, HOUR)], 2), []);
    assert_eq!(a.limit().map(|l| l.reason.as_str()), Some("You've hit your limit"));
}

#[test]
fn the_later_of_two_limits_counts() {
    let mut a = Account::default();
    reached(&mut a, "lead", Some(Until::Exactly(HOUR)), 0);
    assert_eq!(reached(&mut a, "help", Some(Until::Exactly(9 * HOUR)), 1), limited(9 * HOUR, false));
    assert_eq!(reached(&mut a, "third", Some(Until::Exactly(HOUR)), 2), []);
    assert_eq!(a.step(Input::Look, HOUR), []);
}

#[test]
fn a_window_that_is_used_up_is_a_limit_until_somebody_goes_on_beyond_it() {
    let mut a = Account::default();
    let full = [window("five_hour", 100.0, HOUR)];
    let effects = told(&mut a, "s", &full, 0);
    assert!(matches!(effects[..], [Effect::Limited { until: HOUR, news: true, .. }]), "{effects:?}");
    // a turn that was under way may end well all the same
    assert_eq!(a.step(Input::EndedWell { process: "help".into(), at: 1 }, 1), []);
    // one that began afterwards shows that the account goes on beyond the window
    a.step(Input::Began { process: "lead".into(), at: 2 }, 2);
    let effects = a.step(Input::EndedWell { process: "lead".into(), at: 3 }, 3);
    assert_eq!(effects, [Effect::Passed { early: true }]);
    assert_eq!(told(&mut a, "t", &full, 4), [], "and it is not limited again by the same word");
    assert_eq!(
        reached(&mut a, "lead", Some(Until::Exactly(HOUR)), 5),
        limited(HOUR, true),
        "but by a refusal"
    );
}

#[test]
fn a_session_that_repeats_itself_has_nothing_new() {
    let mut a = Account::default();
    let full = [window("five_hour", 100.0, HOUR)];
    told(&mut a, "s", &full, 0);
    a.step(Input::Look, HOUR);
    assert_eq!(told(&mut a, "s", &full, HOUR + 1), []);
    assert_eq!(told(&mut a, "late", &full, HOUR + 2), [], "a window that is over");
    assert_eq!(a.record().windows, []);
}

proptest! {
    /// Whatever is said in whatever order: sums never fall, a limit always ends, and nothing is told to
    /// continue that no limit has stopped, or while one is in force.
    #[test]
    fn sums_never_fall_and_every_limit_ends(
        script in proptest::collection::vec((0u8..8, 0u8..4, 0i64..120, -5.0f64..200.0), 1..200),
    ) {
        let mut a = Account::default();
        let mut now = 0;
        let mut stopped = BTreeSet::new();
        let mut cost = 0.0;
        for (what, who, minutes, n) in script {
            now += minutes * 10_000;
            let (process, session) = (format!("p{who}"), format!("s{who}"));
            let until = now + minutes * MINUTE;
            let input = match what {
                0 => Input::Used {
                    session,
                    usage: Usage { cost_usd: Some(n), input_tokens: Some(n.abs() as u64), at: now - minutes, ..Usage::default() },
                },
                1 => Input::Windows { session, windows: vec![window("five_hour", n, until)] },
                2 => {
                    if until > now { stopped.insert(process.clone()); }
                    Input::Reached { process, until: Some(Until::Exactly(until)), text: "x".into(), said_at: now }
                }
                3 => Input::Began { process, at: now },
                4 => Input::EndedWell { process, at: now },
                5 => Input::Gone { process },
                6 => Input::Begins { session, at: now - minutes },
                _ => Input::Look,
            };
            for effect in a.step(input, now) {
                if let Effect::Continue { process } = effect {
                    prop_assert!(stopped.remove(&process), "{process}");
                    prop_assert!(a.limit().is_none());
                }
            }
            let sum = a.record().cost_usd;
            prop_assert!(sum >= cost, "{sum} < {cost}");
            cost = sum;
            prop_assert!(a.limit().is_none_or(|l| l.until > now));
            prop_assert!(a.limit().is_none() || a.wake_at().is_some());
        }
        while let Some(at) = a.wake_at() {
            a.step(Input::Look, at);
        }
        prop_assert_eq!(a.limit(), None);
    }
}
