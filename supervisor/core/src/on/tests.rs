use wezterm_parallel_schemas::process::Blocked;

use super::*;

/// An event in words: `r1 blocked`, `r1 idle unread`, `r1 running`, `inbox.asked`.
fn event(words: &str) -> Event {
    let parts: Vec<&str> = words.split(' ').collect();
    let [run, what] = parts[..2.min(parts.len())] else { return Event::new(kind(words)) };
    let unread = parts.contains(&"unread");
    let mut event = match what {
        "exit" => Event::new(EventKind::ProcessExit),
        "removed" => Event::new(EventKind::ProcessRemoved),
        "running" => Event { state: Some(State::Running), ..Event::new(EventKind::ProcessState) },
        "stopping" => Event { state: Some(State::Stopping), ..Event::new(EventKind::ProcessState) },
        "backoff" => Event { state: Some(State::Backoff), ..Event::new(EventKind::ProcessState) },
        "failed" => Event { state: Some(State::Failed), ..Event::new(EventKind::ProcessState) },
        "crash_loop" => Event { state: Some(State::CrashLoop), ..Event::new(EventKind::ProcessState) },
        other => {
            let status = match other {
                "starting" => Some(Status::Starting),
                "idle" => Some(Status::Idle),
                "working" => Some(Status::Working),
                "blocked" => Some(Status::Blocked(Blocked::Permission)),
                "question" => Some(Status::Blocked(Blocked::Question)),
                "limited" => Some(Status::RateLimited),
                "error" => Some(Status::Error),
                "unknown" => Some(Status::Unknown),
                "none" => None,
                other => panic!("no such event: {other}"),
            };
            Event { status, unread: Some(unread), ..Event::new(EventKind::ProcessStatus) }
        }
    };
    event.run_id = (run != "-").then(|| run.to_owned());
    event.id = Some("P".into());
    event
}

fn kind(name: &str) -> EventKind {
    serde_json::from_value(name.into()).expect("a kind has a name")
}

/// Which names each event has, one after another.
fn check(rows: &[(&str, &[&str])]) {
    let mut hooks = Hooks::default();
    for (number, (words, wanted)) in rows.iter().enumerate() {
        let names: Vec<&str> = hooks.learn(&event(words)).into_iter().map(OnEvent::name).collect();
        assert_eq!(names, *wanted, "{words}, row {number}");
    }
}

#[test]
fn every_kind_of_event_has_the_names_that_the_config_knows() {
    for (words, wanted) in [
        ("inbox.asked", &["inbox_asked"][..]),
        ("inbox.decided", &["inbox_decided"]),
        ("limit.reached", &["limit_reached"]),
        ("limit.passed", &["limit_passed"]),
        ("limit.warning", &[]),
        ("config.applied", &["config_applied"]),
        ("config.refused", &["config_refused"]),
        ("daemon.started", &[]),
        ("workspace.added", &[]),
        ("prompt.answered", &[]),
        ("process.usage", &[]),
        ("r1 exit", &["process_exited"]),
        ("r1 running", &["process_started"]),
        ("r1 stopping", &[]),
        ("r1 backoff", &[]),
        ("r1 failed", &["process_failed"]),
        ("r1 crash_loop", &["process_crash_loop"]),
        ("r1 blocked", &["process_blocked"]),
        ("r1 limited", &["process_rate_limited"]),
        ("r1 idle unread", &["process_done"]),
        ("r1 limited unread", &["process_rate_limited", "process_done"]),
        ("r1 idle", &[]),
        ("r1 working", &[]),
        ("r1 unknown", &[]),
    ] {
        let names: Vec<&str> =
            names(&event(words), &Known::default()).into_iter().map(OnEvent::name).collect();
        assert_eq!(names, wanted, "{words}");
    }
    let of = |state| task(state).map(OnEvent::name);
    assert_eq!(of(TaskState::Running), Some("task_started"));
    assert_eq!(of(TaskState::Done), Some("task_done"));
    assert_eq!(of(TaskState::Failed), Some("task_failed"));
    assert_eq!(of(TaskState::Canceled), Some("task_canceled"));
    assert_eq!(of(TaskState::Skipped), Some("task_skipped"));
    for state in [TaskState::Queued, TaskState::Waiting, TaskState::Paused] {
        assert_eq!(of(state), None, "{state}");
    }
}

#[test]
fn what_goes_on_is_no_news_however_often_it_is_told() {
    check(&[
        ("r1 running", &["process_started"]),
        ("r1 running", &[]),
        ("r1 stopping", &[]),
        ("r1 running", &[]),
        ("r1 blocked", &["process_blocked"]),
        ("r1 blocked", &[]),
        ("r1 question", &["process_blocked"]),
        ("r1 working", &[]),
        ("r1 question", &["process_blocked"]),
        ("r1 limited", &["process_rate_limited"]),
        ("r1 limited", &[]),
        ("r1 failed", &["process_failed"]),
        ("r1 failed", &[]),
        ("r2 running", &["process_started"]),
        ("r1 exit", &["process_exited"]),
        ("r2 exit", &["process_exited"]),
    ]);
}

#[test]
fn a_daemon_that_begins_anew_beside_a_run_tells_nothing_twice() {
    for between in ["r1 unknown", "r1 starting", "- none", "r1 none"] {
        check(&[
            ("r1 running", &["process_started"]),
            ("r1 blocked", &["process_blocked"]),
            (between, &[]),
            ("r1 running", &[]),
            ("r1 blocked", &[]),
            // another run asks by itself
            ("r2 starting", &[]),
            ("r2 blocked", &["process_blocked"]),
        ]);
    }
}

#[test]
fn each_turn_that_nobody_sees_end_is_told_once() {
    check(&[
        ("r1 working", &[]),
        ("r1 idle unread", &["process_done"]),
        ("r1 idle unread", &[]),
        // the next one, sent from afar
        ("r1 working unread", &[]),
        ("r1 blocked unread", &["process_blocked"]),
        ("r1 working unread", &[]),
        ("r1 error unread", &["process_done"]),
        ("r1 idle unread", &[]),
        // the end is told before the status has followed
        ("r1 idle", &[]),
        ("r1 working", &[]),
        ("r1 working unread", &["process_done"]),
        ("r1 idle unread", &[]),
        // somebody looks on
        ("r1 idle", &[]),
        ("r1 working", &[]),
        ("r1 idle", &[]),
        // one that was cut off by the end of its run is no end of a turn
        ("r1 working", &[]),
        ("r1 idle unread", &["process_done"]),
        ("r1 working unread", &[]),
        ("r2 starting unread", &[]),
        ("r2 idle unread", &[]),
        ("r2 removed", &[]),
        ("r2 idle unread", &["process_done"]),
    ]);
}

fn spec(name: &str) -> OnSpec {
    OnSpec { command: vec![name.into()], timeout: 1_000 }
}

fn wanted(names: &[&str]) -> Input {
    Input::Wanted([(OnEvent::InboxAsked, names.iter().map(|n| spec(n)).collect())].into())
}

/// What is done, in words.
fn words(effects: &[Effect]) -> Vec<String> {
    let word = |effect: &Effect| match effect {
        Effect::Run(job) => format!("run {} for {}", job.spec.command[0], job.on.name()),
        Effect::LeftOut(n) => format!("{n} left out"),
    };
    effects.iter().map(word).collect()
}

#[test]
fn four_run_at_a_time_and_others_wait_in_order() {
    let mut hooks = Hooks::default();
    assert_eq!(hooks.step(wanted(&["a", "b", "c"]), 0), []);
    let asked = || Input::Happened(Rc::new(event("inbox.asked")));
    let run = |name: &str| format!("run {name} for inbox_asked");
    assert_eq!(words(&hooks.step(asked(), 0)), [run("a"), run("b"), run("c")]);
    assert_eq!(words(&hooks.step(asked(), 0)), [run("a")]);
    assert_eq!(words(&hooks.step(Input::Ended, 0)), [run("b")]);
    assert_eq!(words(&hooks.step(Input::Ended, 0)), [run("c")]);
    for _ in 0..4 {
        assert_eq!(hooks.step(Input::Ended, 0), []);
    }
    assert_eq!(words(&hooks.step(asked(), 0)).len(), 3);
}

#[test]
fn what_does_not_fit_is_left_out_and_told_once_in_a_while() {
    let mut hooks = Hooks::default();
    hooks.step(wanted(&["a"]), 0);
    let asked = || Input::Happened(Rc::new(event("inbox.asked")));
    for _ in 0..RUNNING_HOOKS_MAX + WAITING_HOOKS_MAX {
        let effects = hooks.step(asked(), 0);
        assert!(matches!(effects[..], [] | [Effect::Run(_)]), "{effects:?}");
    }
    assert_eq!(hooks.step(asked(), 10), [Effect::LeftOut(1)]);
    for at in 11..20 {
        assert_eq!(hooks.step(asked(), at), []);
    }
    assert_eq!(hooks.step(asked(), 10 + LEFT_OUT_MS), [Effect::LeftOut(10)]);
    assert_eq!(hooks.step(asked(), 11 + LEFT_OUT_MS), []);
    // the rest is told when all is quiet
    let mut effects = Vec::new();
    for _ in 0..RUNNING_HOOKS_MAX + WAITING_HOOKS_MAX {
        effects.extend(hooks.step(Input::Ended, 12 + LEFT_OUT_MS));
    }
    assert_eq!(effects.len(), WAITING_HOOKS_MAX + 1);
    assert_eq!(effects.last(), Some(&Effect::LeftOut(1)));
}

#[test]
fn what_was_taken_out_of_the_config_waits_no_longer() {
    let mut hooks = Hooks::default();
    hooks.step(wanted(&["a", "b"]), 0);
    for _ in 0..4 {
        hooks.step(Input::Happened(Rc::new(event("inbox.asked"))), 0);
    }
    hooks.step(wanted(&["b"]), 0);
    let left: Vec<String> = (0..4).flat_map(|_| words(&hooks.step(Input::Ended, 0))).collect();
    assert_eq!(left, ["run b for inbox_asked"; 2]);
}

#[test]
fn what_happened_before_this_daemon_has_no_hooks() {
    let mut hooks = Hooks::default();
    let all = [OnEvent::ProcessDone, OnEvent::ProcessStarted, OnEvent::ProcessFailed];
    hooks.step(Input::Wanted(all.map(|on| (on, vec![spec("x")])).into()), 0);
    hooks.knew("P".into(), Known::left(State::Running, true, Some("r1".into())));
    for words in ["r1 running", "r1 idle unread"] {
        assert_eq!(hooks.step(Input::Happened(Rc::new(event(words))), 0), [], "{words}");
    }
    hooks.past(&event("r2 failed"));
    assert_eq!(hooks.step(Input::Happened(Rc::new(event("r2 failed"))), 0), []);
    let effects = hooks.step(Input::Happened(Rc::new(event("r3 running"))), 0);
    assert_eq!(words(&effects), ["run x for process_started"]);
}

#[test]
fn a_task_is_told_of_once_for_each_state() {
    let mut hooks = Hooks::default();
    let mut told = |task: &str, state, reason: &str| {
        let event = Event {
            task: Some(task.into()),
            task_state: Some(state),
            message: Some(reason.into()),
            ..Event::new(EventKind::TaskChanged)
        };
        hooks.learn(&event).into_iter().map(OnEvent::name).collect::<Vec<_>>().join(" ")
    };
    for (state, reason, names) in [
        (TaskState::Queued, "", ""),
        (TaskState::Running, "", "task_started"),
        (TaskState::Running, "is being paused", ""),
        (TaskState::Paused, "", ""),
        (TaskState::Running, "", "task_started"),
        (TaskState::Failed, "exit code 1", "task_failed"),
        (TaskState::Queued, "", ""),
        (TaskState::Running, "", "task_started"),
        (TaskState::Done, "", "task_done"),
    ] {
        assert_eq!(told("a", state, reason), names, "{state} {reason}");
    }
    assert_eq!(told("b", TaskState::Skipped, ""), "task_skipped");
    assert_eq!(told("c", TaskState::Canceled, ""), "task_canceled");
    assert_eq!(hooks.known.len(), 0, "what is over is not remembered");
}
