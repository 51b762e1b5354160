use wezterm_parallel_schemas::task::TaskCounts;

use super::*;

/// In words, at a time in milliseconds: `10 blocked "approve Bash: a"`.
type Row<'a> = (i64, &'a str, Option<&'a str>, &'a [&'a str]);

fn event(at: i64, what: &str, message: Option<&str>) -> Event {
    let (kind, status, state, unread) = match what {
        "blocked" => (EventKind::ProcessStatus, Some(Status::Blocked(Blocked::Permission)), None, false),
        "working" => (EventKind::ProcessStatus, Some(Status::Working), None, false),
        "idle" => (EventKind::ProcessStatus, Some(Status::Idle), None, false),
        "idle unread" => (EventKind::ProcessStatus, Some(Status::Idle), None, true),
        "error unread" => (EventKind::ProcessStatus, Some(Status::Error), None, true),
        "limited" => (EventKind::ProcessStatus, Some(Status::RateLimited), None, false),
        "unknown" => (EventKind::ProcessStatus, Some(Status::Unknown), None, false),
        "failed" => (EventKind::ProcessState, None, Some(State::Failed), false),
        "crash_loop" => (EventKind::ProcessState, None, Some(State::CrashLoop), false),
        "running" => (EventKind::ProcessState, None, Some(State::Running), false),
        "backoff" => (EventKind::ProcessState, None, Some(State::Backoff), false),
        "removed" => (EventKind::ProcessRemoved, None, None, false),
        "limit.reached" => (EventKind::LimitReached, None, None, false),
        "limit.passed" => (EventKind::LimitPassed, None, None, false),
        "config.refused" => (EventKind::ConfigRefused, None, None, false),
        "config.applied" => (EventKind::ConfigApplied, None, None, false),
        "task queued" | "task running" | "task failed" | "task done" => {
            (EventKind::TaskChanged, None, None, false)
        }
        "group.over" => (EventKind::GroupOver, None, None, false),
        other => panic!("no such event: {other}"),
    };
    let mut event = Event::new(kind);
    event.at = at;
    (event.status, event.state, event.unread) = (status, state, Some(unread));
    match kind.topic() {
        "process" => {
            event.id = Some("P".into());
            (event.workspace, event.process) = (Some("api".into()), Some("lead".into()));
        }
        "task" => {
            (event.task, event.task_name) = (Some("T".into()), Some("tests".into()));
            event.group = Some("docs".into());
            event.task_state = match what {
                "task queued" => Some(TaskState::Queued),
                "task running" => Some(TaskState::Running),
                "task failed" => Some(TaskState::Failed),
                _ => Some(TaskState::Done),
            };
        }
        "group" => {
            event.group = Some("docs".into());
            let counts = TaskCounts::default();
            event.tasks = Some(match message {
                Some("1 failed") => TaskCounts { failed: 1, ..counts },
                Some("1 failed, 1 skipped") => TaskCounts { failed: 1, skipped: 1, ..counts },
                Some("2 canceled") => TaskCounts { canceled: 2, ..counts },
                _ => TaskCounts { done: 2, ..counts },
            });
        }
        "limit" => event.account = Some("/home/u/.claude".into()),
        _ => {}
    }
    event.message = message.map(str::to_owned);
    event
}

fn at(at: i64) -> Now {
    Now { at, minute: Some(720) }
}

fn shown(toasts: &[Toast]) -> Vec<String> {
    toasts.iter().map(|t| format!("{}: {}", t.title, t.text)).collect()
}

fn check(rows: &[Row<'_>]) {
    check_with(&NotifySpec::default(), rows);
}

fn check_with(spec: &NotifySpec, rows: &[Row<'_>]) {
    let mut notify = Notify::default();
    notify.set_spec(spec.clone());
    for (time, what, message, wanted) in rows {
        let toasts = notify.hear(&event(*time, what, *message), at(*time));
        assert_eq!(shown(&toasts), *wanted, "{what} at {time}");
    }
}

#[test]
fn an_agent_that_asks_is_told_once_until_it_has_been_answered() {
    check(&[
        (0, "blocked", Some("approve Bash: a"), &["api/lead asks: approve Bash: a"]),
        (9_000, "blocked", Some("approve Bash: a"), &[]),
        (10_000, "working", None, &[]),
        (30_000, "blocked", Some("approve Bash: a"), &["api/lead asks: approve Bash: a"]),
        (31_000, "working", None, &[]),
        (32_000, "blocked", Some("approve Bash: b"), &["api/lead asks: approve Bash: b"]),
        (60_000, "blocked", Some("approve Bash: c"), &["api/lead asks: approve Bash: c"]),
    ]);
}

#[test]
fn what_flickers_is_not_told_again() {
    check(&[
        (0, "blocked", Some("approve Bash: a"), &["api/lead asks: approve Bash: a"]),
        (1_000, "working", None, &[]),
        (1_200, "blocked", Some("approve Bash: a"), &[]),
        (1_300, "unknown", None, &[]),
        (4_000, "blocked", Some("approve Bash: a"), &[]),
        (4_100, "blocked", Some("Bash: a"), &[]),
        (5_000, "failed", Some("exit code 1"), &["api/lead failed: exit code 1"]),
        (5_100, "running", None, &[]),
        (5_200, "failed", Some("exit code 1"), &[]),
        (9_000, "running", None, &[]),
        (14_000, "failed", Some("exit code 1"), &["api/lead failed: exit code 1"]),
    ]);
}

#[test]
fn an_agent_that_does_not_say_what_it_asks_is_told_all_the_same() {
    check(&[(0, "blocked", None, &["api/lead asks: it wants leave to use a tool"])]);
}

#[test]
fn a_failure_is_told_when_it_is_for_good() {
    check(&[
        (0, "backoff", Some("exit code 1"), &[]),
        (100, "running", None, &[]),
        (
            200,
            "crash_loop",
            Some("failed 6 times in 60s"),
            &["api/lead keeps failing: failed 6 times in 60s"],
        ),
        (900_000, "crash_loop", Some("failed 6 times in 60s"), &[]),
    ]);
}

#[test]
fn a_task_that_failed_and_the_end_of_a_group_are_told() {
    let rows: &[Row<'_>] = &[
        (0, "task running", None, &[]),
        (1_000, "task failed", Some("exit code 1"), &["the task tests failed: exit code 1"]),
        (1_000, "group.over", Some("1 failed"), &[]),
        (2_000, "task queued", None, &[]),
        (2_500, "task failed", Some("exit code 1"), &["the task tests failed: exit code 1"]),
        (3_000, "task running", None, &[]),
        (9_000, "task done", None, &[]),
        (9_000, "group.over", Some("2 done"), &["the tasks of docs are over: 2 done"]),
        // another one that is added and over at once
        (9_500, "task queued", None, &[]),
        (9_600, "task done", None, &[]),
        (9_600, "group.over", Some("2 done"), &[]),
        (20_000, "task queued", None, &[]),
        (30_000, "task done", None, &[]),
        (30_000, "group.over", Some("2 done"), &["the tasks of docs are over: 2 done"]),
        (40_000, "task queued", None, &[]),
        (50_000, "group.over", Some("2 canceled"), &[]),
        (60_000, "task queued", None, &[]),
        (
            70_000,
            "group.over",
            Some("1 failed, 1 skipped"),
            &["the tasks of docs are over: 1 failed, 1 skipped"],
        ),
    ];
    check(rows);
    let silent = NotifySpec { task_failed: false, tasks_done: false, ..NotifySpec::default() };
    let rows: Vec<Row<'_>> = rows.iter().map(|(at, what, why, _)| (*at, *what, *why, &[][..])).collect();
    check_with(&silent, &rows);
}

#[test]
fn what_failed_and_is_tried_again_before_it_was_told_is_not_told() {
    let mut notify = Notify::default();
    notify.set_spec(NotifySpec { at_most: 1, ..NotifySpec::default() });
    assert_eq!(notify.hear(&event(0, "failed", None), at(0)).len(), 1);
    assert!(notify.hear(&event(1, "task failed", Some("exit code 1")), at(1)).is_empty(), "there is no room");
    notify.hear(&event(2, "task queued", None), at(2));
    assert_eq!(notify.tick(at(PERIOD_MS)), []);
}

#[test]
fn a_long_turn_that_nobody_saw_end_is_told() {
    check(&[
        (0, "working", None, &[]),
        (29_999, "idle unread", None, &[]),
        (30_000, "working", None, &[]),
        (40_000, "blocked", Some("a"), &["api/lead asks: a"]),
        (50_000, "working", None, &[]),
        (60_000, "idle unread", None, &["api/lead is done: after 30s"]),
        (61_000, "idle unread", None, &[]),
        // looked on
        (70_000, "working", None, &[]),
        (170_000, "idle", None, &[]),
        // it is known to be idle before it is known that nobody looks
        (180_000, "working", None, &[]),
        (385_000, "idle", None, &[]),
        (385_100, "idle unread", None, &["api/lead is done: after 3m 25s"]),
        (400_000, "working", None, &[]),
        (
            500_000,
            "error unread",
            Some("API Error: 400"),
            &["api/lead is done: it ended with an error: API Error: 400"],
        ),
        // a limit is told by itself
        (600_000, "working", None, &[]),
        (700_000, "limited", None, &[]),
        (700_100, "idle unread", None, &[]),
    ]);
}

#[test]
fn a_limit_and_its_end_are_told_once_each() {
    check(&[
        (0, "limit.reached", Some("resets 8:44am"), &["usage limit reached: resets 8:44am"]),
        (1_000, "limit.reached", Some("resets 8:44am"), &[]),
        (90_000, "limit.passed", Some("its time has come"), &["usage limit passed: /home/u/.claude"]),
        (200_000, "limit.reached", Some("resets 8:44am"), &["usage limit reached: resets 8:44am"]),
        (300_000, "limit.passed", None, &["usage limit passed: /home/u/.claude"]),
    ]);
}

#[test]
fn a_config_that_is_refused_is_told_by_its_first_line_until_it_is_mended() {
    let refused = Some("config.yaml:3:1: unknown key\n 3 | x: 1");
    check(&[
        (0, "config.refused", refused, &["the config was refused: config.yaml:3:1: unknown key"]),
        (10_000, "config.refused", refused, &[]),
        (
            20_000,
            "config.refused",
            Some("config.yaml:4:1: no"),
            &["the config was refused: config.yaml:4:1: no"],
        ),
        (30_000, "config.applied", None, &[]),
        (
            40_000,
            "config.refused",
            Some("config.yaml:4:1: no"),
            &["the config was refused: config.yaml:4:1: no"],
        ),
    ]);
}

#[test]
fn each_kind_can_be_switched_off() {
    let off = NotifySpec {
        blocked: false,
        failed: false,
        crash_loop: false,
        finished: false,
        limit: false,
        config: false,
        ..NotifySpec::default()
    };
    check_with(
        &off,
        &[
            (0, "working", None, &[]),
            (100_000, "blocked", Some("a"), &[]),
            (100_001, "idle unread", None, &[]),
            (100_002, "failed", None, &[]),
            (100_003, "crash_loop", None, &[]),
            (100_004, "limit.reached", None, &[]),
            (100_005, "limit.passed", None, &[]),
            (100_006, "config.refused", None, &[]),
        ],
    );
}

/// `n` agents that ask at once.
fn burst(notify: &mut Notify, now: Now, from: u32, n: u32) -> Vec<String> {
    let mut out = Vec::new();
    for n in from..from + n {
        let mut asks = event(now.at, "blocked", Some("a"));
        (asks.id, asks.process) = (Some(n.to_string()), Some(n.to_string()));
        out.extend(notify.hear(&asks, now));
    }
    shown(&out)
}

#[test]
fn so_many_in_a_minute_and_then_one_for_all_the_others() {
    let mut notify = Notify::default();
    assert_eq!(burst(&mut notify, at(0), 0, 9).len(), 6);
    assert_eq!(notify.wake_at(), Some(PERIOD_MS));
    assert_eq!(burst(&mut notify, at(1_000), 9, 4), Vec::<String>::new(), "they wait with the others");
    // one of them has been answered meanwhile
    let mut answered = event(2_000, "working", None);
    answered.id = Some("6".into());
    notify.hear(&answered, at(2_000));
    assert_eq!(notify.tick(at(PERIOD_MS - 1)), []);
    let told = notify.tick(at(PERIOD_MS));
    assert_eq!(told.iter().map(|t| t.about).collect::<Vec<_>>(), [ToastAbout::Several]);
    assert_eq!(
        shown(&told),
        ["6 more things have happened: api/7 asks, api/8 asks, api/9 asks, api/10 asks, and 2 more"]
    );
    assert_eq!((notify.tick(at(PERIOD_MS)), notify.wake_at()), (vec![], None));
    // one alone is told as it is
    burst(&mut notify, at(PERIOD_MS), 20, 6);
    assert_eq!(shown(&notify.tick(at(3 * PERIOD_MS))), ["api/25 asks: a"]);
}

#[test]
fn what_is_held_back_is_bounded_and_counted() {
    let mut notify = Notify::default();
    burst(&mut notify, at(0), 0, 206);
    assert!(notify.held.len() <= HELD_MAX);
    let told = shown(&notify.tick(at(PERIOD_MS)));
    assert!(told[0].starts_with("200 more things") && told[0].ends_with("and 196 more"), "{told:?}");
}

#[test]
fn what_an_earlier_life_held_back_is_not_told_by_the_next() {
    let mut notify = Notify::default();
    burst(&mut notify, at(0), 0, 206);
    notify.forget_held();
    assert_eq!((notify.wake_at(), notify.tick(at(PERIOD_MS))), (None, vec![]));
}

#[test]
fn quiet_hours_are_quiet_and_told_of_never() {
    let mut notify = Notify::default();
    let quiet_hours = vec![hours("22:00-07:30").expect("hours"), hours("12:00-13:00").expect("hours")];
    notify.set_spec(NotifySpec { quiet_hours, at_most: 1, ..NotifySpec::default() });
    let when = |minute| Now { at: i64::from(minute) * 60_000, minute: Some(minute) };
    for (minute, loud) in
        [(0, false), (449, false), (450, true), (719, true), (720, false), (780, true), (1_320, false)]
    {
        let told = burst(&mut notify, when(minute), u32::from(minute), 1);
        assert_eq!(told.len(), usize::from(loud), "at minute {minute}");
    }
    burst(&mut notify, when(600), 10_000, 3);
    assert_eq!(notify.held.len(), 2);
    assert_eq!((notify.tick(when(725)), notify.wake_at()), (vec![], None), "it has become quiet");
}

#[test]
fn hours_are_read_as_people_write_them() {
    for (text, wanted) in [
        ("22:00-07:30", Some([1_320, 450])),
        ("7:05 - 24:00", Some([425, 1_440])),
        ("00:00-24:00", Some([0, 1_440])),
        ("12:00-12:00", None),
        ("24:00-07:00", None),
        ("24:01-07:00", None),
        ("22:60-07:00", None),
        ("22-7", None),
        ("22:0-7:00", None),
        ("+2:00-7:00", None),
        ("22:00", None),
        ("", None),
    ] {
        assert_eq!(hours(text), wanted, "{text}");
    }
}

#[test]
fn a_process_that_is_gone_is_forgotten() {
    let mut notify = Notify::default();
    notify.hear(&event(0, "blocked", Some("a")), at(0));
    notify.hear(&event(1, "working", None), at(1));
    notify.hear(&event(2, "removed", None), at(2));
    assert!(notify.turns.is_empty() && notify.told.is_empty());
}

#[test]
fn texts_of_agents_are_one_short_line() {
    let long = format!("a\tb\x1b[2J{}\nsecond", "x".repeat(500));
    let mut notify = Notify::default();
    let told = notify.hear(&event(0, "blocked", Some(&long)), at(0));
    assert!(told[0].text.starts_with("a b [2Jx") && told[0].text.ends_with("x…"), "{told:?}");
    assert_eq!(told[0].text.chars().count(), TEXT_CHARS_MAX);
}
