use std::collections::VecDeque;

use super::*;

const NOW: i64 = 1_000_000_000_000;

/// A task with nothing special about it.
pub(super) fn task(id: &str) -> TaskSpec {
    TaskSpec {
        id: id.into(),
        group: "default".into(),
        priority: 0,
        after: Vec::new(),
        on_failed_dependency: OnFailedDependency::Skip,
        retries: 0,
        timeout: None,
        deadline: None,
        account: None,
        agent: None,
    }
}

/// So many may run at once.
fn room(parallel: usize) -> Input {
    Input::Limits { parallel, groups: HashMap::new(), agents: HashSet::new() }
}

fn after(id: &str, others: &[&str]) -> TaskSpec {
    TaskSpec { after: others.iter().map(|o| (*o).to_owned()).collect(), ..task(id) }
}

/// Tasks with a disk that keeps everything at once, and what was asked for.
struct Bench {
    tasks: Tasks,
    now: i64,
    launched: Vec<String>,
    stopped: Vec<String>,
}

impl Bench {
    fn new(parallel: usize) -> Self {
        let mut bench = Self { tasks: Tasks::default(), now: NOW, launched: Vec::new(), stopped: Vec::new() };
        bench.step(room(parallel));
        bench
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for effect in self.tasks.step(input, self.now, 0.5) {
                match effect {
                    Effect::Save { row, number } => {
                        inputs.push_back(Input::Saved { id: row.spec.id.clone(), number });
                    }
                    Effect::Launch { run, .. } => self.launched.push(run),
                    Effect::Stop { run } => self.stopped.push(run),
                }
            }
        }
    }

    fn add(&mut self, specs: Vec<TaskSpec>) {
        assert_eq!(check(&self.tasks, &specs), Ok(()));
        self.step(Input::Add(specs));
    }

    fn end(&mut self, run: &str, outcome: Outcome) {
        self.step(Input::Ended { run: run.into(), outcome, session: None });
    }

    fn wait(&mut self, ms: i64) {
        self.now += ms;
        self.step(Input::Tick);
    }

    fn state(&self, id: &str) -> TaskState {
        self.tasks.row(id).expect("it is known").state
    }

    /// What was launched since this was asked last.
    fn launched(&mut self) -> String {
        std::mem::take(&mut self.launched).join(" ")
    }
}

fn crash() -> Outcome {
    Outcome::Crash("exit code 1".into())
}

#[test]
fn no_more_run_than_may_and_the_next_one_follows() {
    let mut bench = Bench::new(2);
    bench.add(vec![task("a"), task("b"), task("c")]);
    assert_eq!(bench.launched(), "a-1 b-1");
    assert_eq!(bench.state("c"), TaskState::Queued);
    bench.end("a-1", Outcome::Success);
    assert_eq!((bench.launched().as_str(), bench.state("a")), ("c-1", TaskState::Done));
}

#[test]
fn a_group_has_a_limit_of_its_own_and_costs_no_other_group_its_turn() {
    let mut bench = Bench::new(3);
    let docs = |id| TaskSpec { group: "docs".into(), ..task(id) };
    bench.step(Input::Limits {
        parallel: 3,
        groups: HashMap::from([("docs".into(), 1)]),
        agents: HashSet::new(),
    });
    bench.add(vec![docs("d1"), docs("d2"), docs("d3"), task("x")]);
    assert_eq!(bench.launched(), "d1-1 x-1");
    bench.end("d1-1", Outcome::Success);
    assert_eq!(bench.launched(), "d2-1");
    bench.step(Input::PauseGroup("docs".into()));
    bench.end("d2-1", Outcome::Success);
    assert_eq!(bench.launched(), "");
    bench.step(Input::ResumeGroup("docs".into()));
    assert_eq!(bench.launched(), "d3-1");
}

#[test]
fn priority_goes_first_and_a_minute_of_waiting_is_worth_one_of_it() {
    let mut bench = Bench::new(1);
    let with = |id, priority| TaskSpec { priority, ..task(id) };
    bench.add(vec![task("first")]);
    bench.add(vec![with("low", 0)]);
    bench.now += 3 * AGE_MS;
    bench.add(vec![with("two", 2), with("four", 4)]);
    bench.launched();
    for (over, next) in [("first-1", "four-1"), ("four-1", "low-1"), ("low-1", "two-1")] {
        bench.end(over, Outcome::Success);
        assert_eq!(bench.launched(), next);
    }
}

#[test]
fn what_comes_after_others_waits_for_all_of_them() {
    let mut bench = Bench::new(4);
    bench.add(vec![after("c", &["a", "b"]), task("a"), task("b"), after("d", &["c"])]);
    assert_eq!(bench.launched(), "a-1 b-1");
    bench.end("a-1", Outcome::Success);
    assert_eq!((bench.launched().as_str(), bench.state("c")), ("", TaskState::Waiting));
    bench.end("b-1", Outcome::Success);
    assert_eq!(bench.launched(), "c-1");
    // also if it comes when they are over
    bench.add(vec![after("late", &["a", "c"])]);
    bench.end("c-1", Outcome::Success);
    assert_eq!(bench.launched(), "d-1 late-1");
}

#[test]
fn what_comes_after_one_that_failed_does_what_it_was_told_to() {
    let mut bench = Bench::new(1);
    let told = |id, on_failed_dependency| TaskSpec { on_failed_dependency, ..after(id, &["a"]) };
    bench.add(vec![
        task("a"),
        told("skip", OnFailedDependency::Skip),
        told("fail", OnFailedDependency::Fail),
        told("run", OnFailedDependency::Run),
        after("behind", &["skip"]),
    ]);
    bench.end("a-1", crash());
    let states = ["a", "skip", "fail", "behind"].map(|id| bench.state(id));
    assert_eq!(states, [TaskState::Failed, TaskState::Skipped, TaskState::Failed, TaskState::Skipped]);
    assert_eq!(bench.launched(), "a-1 run-1");
    assert_eq!(
        bench.tasks.row("behind").and_then(|r| r.reason.as_deref()),
        Some("skip comes first, and is skipped")
    );
}

#[test]
fn a_failure_is_tried_again_after_a_while_as_often_as_it_may() {
    let mut bench = Bench::new(1);
    bench.add(vec![TaskSpec { retries: 2, ..task("a") }]);
    for (attempt, wait) in [(1, 1_000), (2, 2_000)] {
        assert_eq!(bench.launched(), format!("a-{attempt}"));
        bench.end(&format!("a-{attempt}"), crash());
        assert_eq!(bench.state("a"), TaskState::Waiting);
        bench.wait(wait - 1);
        assert_eq!(bench.launched(), "");
        bench.wait(1);
    }
    bench.end("a-3", crash());
    let row = bench.tasks.row("a").expect("it is known");
    assert_eq!((row.state, row.failures, row.reason.as_deref()), (TaskState::Failed, 3, Some("exit code 1")));
}

#[test]
fn what_would_come_to_the_same_end_is_not_tried_again() {
    let mut bench = Bench::new(1);
    bench.add(vec![TaskSpec { retries: 9, ..task("a") }]);
    bench.end("a-1", Outcome::Final("the budget is used up".into()));
    assert_eq!(bench.state("a"), TaskState::Failed);
}

fn of(account: &str, id: &str) -> TaskSpec {
    TaskSpec { account: Some(account.into()), ..task(id) }
}

#[test]
fn a_usage_limit_stops_its_account_until_it_has_passed_and_costs_no_attempt() {
    let mut bench = Bench::new(1);
    bench.add(vec![of("me", "a"), of("me", "b"), of("work", "c")]);
    let until = bench.now + 3_600_000;
    bench.end("a-1", Outcome::UsageLimit { until });
    assert_eq!(bench.launched(), "a-1 c-1");
    bench.end("c-1", Outcome::Success);
    assert_eq!((bench.launched().as_str(), bench.tasks.wake_at()), ("", Some(until)));
    bench.wait(3_600_000);
    assert_eq!((bench.launched().as_str(), bench.tasks.row("a").map(|r| r.failures)), ("a-2", Some(0)));
}

#[test]
fn an_account_that_is_opened_by_hand_goes_on_at_once() {
    let mut bench = Bench::new(2);
    bench.add(vec![of("me", "a")]);
    bench.end("a-1", Outcome::UsageLimit { until: bench.now + 3_600_000 });
    bench.launched();
    bench.step(Input::Open("me".into()));
    assert_eq!(bench.launched(), "a-2");
    bench.end("a-2", Outcome::Auth);
    bench.wait(86_400_000);
    assert_eq!((bench.launched().as_str(), bench.tasks.wake_at()), ("", None));
    bench.step(Input::Open("me".into()));
    assert_eq!(bench.launched(), "a-3");
}

#[test]
fn starts_of_one_account_come_one_after_another_and_slower_where_its_api_is_busy() {
    let mut bench = Bench::new(8);
    bench.add(vec![of("me", "a"), of("me", "b"), task("command")]);
    assert_eq!(bench.launched(), "a-1 command-1");
    bench.wait(GAP_MS.cast_signed());
    assert_eq!(bench.launched(), "b-1");
    bench.wait(GAP_MS.cast_signed());
    bench.end("a-1", Outcome::Busy { wait: Some(5_000) });
    bench.end("b-1", Outcome::Busy { wait: None });
    bench.add(vec![of("me", "c")]);
    assert_eq!(bench.launched(), "");
    bench.wait(4 * GAP_MS.cast_signed());
    assert_eq!(bench.launched(), "b-2", "twice it was told to be slower");
    bench.wait(4 * GAP_MS.cast_signed());
    assert_eq!(bench.launched(), "c-1");
    bench.wait(5_000);
    assert_eq!(bench.launched(), "a-2");
}

#[test]
fn an_api_that_is_always_busy_is_a_failure_in_the_end() {
    let mut bench = Bench::new(1);
    bench.add(vec![of("me", "a")]);
    for attempt in 1..=PUSHBACKS_MAX + 1 {
        assert_eq!(bench.launched(), format!("a-{attempt}"));
        bench.end(&format!("a-{attempt}"), Outcome::Busy { wait: None });
        bench.wait(400_000);
    }
    assert_eq!(bench.state("a"), TaskState::Failed);
}

#[test]
fn what_takes_too_long_is_ended_and_counts_as_a_failure() {
    let mut bench = Bench::new(1);
    bench.add(vec![TaskSpec { timeout: Some(10_000), retries: 1, ..task("a") }]);
    bench.wait(9_999);
    assert_eq!(bench.stopped, [""; 0]);
    bench.wait(1);
    assert_eq!(bench.stopped, ["a-1"]);
    bench.end("a-1", crash());
    let row = bench.tasks.row("a").expect("it is known");
    assert_eq!((row.failures, row.reason.as_deref()), (1, Some("it took too long")));
    bench.wait(1_000);
    bench.launched();
    // one that came to its end all the same has done so
    bench.wait(10_000);
    bench.end("a-2", Outcome::Success);
    assert_eq!(bench.state("a"), TaskState::Done);
}

#[test]
fn past_its_deadline_nothing_is_begun_and_what_runs_is_ended() {
    let mut bench = Bench::new(1);
    let until = |id, ms| TaskSpec { deadline: Some(NOW + ms), retries: 5, ..task(id) };
    bench.add(vec![
        until("a", 5_000),
        until("b", 4_000),
        TaskSpec { after: vec!["a".into()], ..until("c", 4_000) },
    ]);
    bench.wait(4_000);
    assert_eq!((bench.state("b"), bench.state("c")), (TaskState::Failed, TaskState::Failed));
    bench.wait(1_000);
    assert_eq!(bench.stopped, ["a-1"]);
    bench.end("a-1", crash());
    assert_eq!((bench.state("a"), bench.tasks.wake_at()), (TaskState::Failed, None));
}

#[test]
fn one_that_is_canceled_ends_whatever_it_was_doing() {
    let mut bench = Bench::new(1);
    bench.add(vec![task("a"), task("b"), after("c", &["a"])]);
    bench.step(Input::Cancel("b".into()));
    bench.step(Input::Cancel("c".into()));
    assert_eq!((bench.state("b"), bench.state("c")), (TaskState::Canceled, TaskState::Canceled));
    bench.step(Input::Cancel("a".into()));
    assert_eq!(
        (bench.stopped.as_slice(), bench.state("a")),
        (["a-1".to_owned()].as_slice(), TaskState::Running)
    );
    bench.end("a-1", crash());
    assert_eq!(bench.state("a"), TaskState::Canceled);
}

#[test]
fn one_that_is_paused_goes_on_with_its_session() {
    let mut bench = Bench::new(1);
    bench.add(vec![task("a"), task("b")]);
    bench.step(Input::Lives { run: "a-1".into(), session: Some("S".into()) });
    bench.step(Input::Pause("a".into()));
    assert_eq!(bench.stopped, ["a-1"]);
    bench.end("a-1", crash());
    assert_eq!((bench.state("a"), bench.launched().as_str()), (TaskState::Paused, "a-1 b-1"));
    bench.step(Input::Resume("a".into()));
    assert_eq!(bench.state("a"), TaskState::Queued);
    let row = bench.tasks.row("a").expect("it is known");
    assert_eq!((row.failures, row.session.as_deref()), (0, Some("S")));
}

#[test]
fn one_that_was_paused_behind_others_is_still_behind_them_also_after_a_restart() {
    let mut bench = Bench::new(1);
    bench.add(vec![task("a"), after("b", &["a"])]);
    bench.step(Input::Pause("b".into()));
    let rows = bench.tasks.rows().cloned().collect();
    bench.tasks = Tasks::restore(rows, bench.now).0;
    bench.step(room(1));
    bench.step(Input::Resume("b".into()));
    assert_eq!(bench.state("b"), TaskState::Waiting);
    bench.end("a-1", Outcome::Success);
    assert_eq!(bench.launched(), "a-1 b-1");
}

#[test]
fn a_run_is_asked_for_only_when_the_disk_knows_its_name() {
    let mut tasks = Tasks::default();
    tasks.step(room(1), NOW, 0.5);
    let out = tasks.step(Input::Add(vec![task("a")]), NOW, 0.5);
    let numbers: Vec<u64> = out
        .iter()
        .filter_map(|e| if let Effect::Save { number, .. } = e { Some(*number) } else { None })
        .collect();
    assert_eq!((out.len(), numbers.len()), (2, 2), "as it was added, and as it runs");
    assert_eq!(tasks.step(Input::Saved { id: "a".into(), number: numbers[0] }, NOW, 0.5), []);
    let launch = Effect::Launch { run: "a-1".into(), session: None };
    assert_eq!(tasks.step(Input::Saved { id: "a".into(), number: numbers[1] }, NOW, 0.5), [launch]);
    assert_eq!(tasks.step(Input::Saved { id: "a".into(), number: numbers[1] }, NOW, 0.5), [], "once");
}

#[test]
fn one_that_the_disk_never_took_is_none_and_one_whose_start_it_refuses_waits() {
    let mut tasks = Tasks::default();
    tasks.step(room(1), NOW, 0.5);
    let save = |out: &[Effect]| match out.last() {
        Some(Effect::Save { number, .. }) => *number,
        other => panic!("{other:?}"),
    };
    let number = save(&tasks.step(Input::Add(vec![task("a")]), NOW, 0.5));
    tasks.step(Input::Unsaved(vec![("a".into(), number)]), NOW, 0.5);
    assert_eq!((tasks.row("a"), tasks.wake_at()), (None, None));
    let out = tasks.step(Input::Add(vec![task("b")]), NOW, 0.5);
    let Some(Effect::Save { number: added, .. }) = out.first() else { panic!("{out:?}") };
    tasks.step(Input::Saved { id: "b".into(), number: *added }, NOW, 0.5);
    tasks.step(Input::Unsaved(vec![("b".into(), save(&out))]), NOW, 0.5);
    assert_eq!(tasks.row("b").map(|r| (r.state, r.attempt)), Some((TaskState::Waiting, 0)));
    assert_eq!(tasks.wake_at(), Some(NOW + REFUSED_MS));
}

#[test]
fn after_a_restart_everything_goes_on_where_it_was() {
    let mut bench = Bench::new(2);
    bench.add(vec![task("a"), task("b"), task("c"), after("d", &["a"])]);
    bench.step(Input::Cancel("b".into()));
    let rows: Vec<TaskRow> = bench.tasks.rows().cloned().collect();
    let (tasks, _) = Tasks::restore(rows, bench.now);
    bench.tasks = tasks;
    bench.launched();
    bench.step(room(2));
    assert_eq!(bench.launched(), "", "what may live takes its room");
    let mut runs: Vec<String> = bench.tasks.runs().map(TaskRow::run).collect();
    runs.sort();
    assert_eq!(runs, ["a-1", "b-1"]);
    bench.stopped.clear();
    bench.step(Input::Lives { run: "b-1".into(), session: None });
    assert_eq!(bench.stopped, ["b-1"], "what was wanted is not forgotten");
    bench.step(Input::Lost { run: "a-1".into() });
    assert_eq!((bench.launched().as_str(), bench.tasks.row("a").map(|r| r.failures)), ("a-2", Some(0)));
    bench.end("b-1", crash());
    assert_eq!((bench.launched().as_str(), bench.state("b")), ("c-1", TaskState::Canceled));
    bench.end("a-2", Outcome::Success);
    assert_eq!(bench.launched(), "d-1");
}

/// The daemon was killed after the end of the first one was kept, and before that of those behind it was.
#[test]
fn what_came_after_one_that_failed_is_not_run_by_a_daemon_that_comes_later() {
    let mut bench = Bench::new(1);
    bench.add(vec![task("a"), after("b", &["a"])]);
    let b = bench.tasks.row("b").expect("it is known").clone();
    bench.end("a-1", crash());
    let a = bench.tasks.row("a").expect("it is known").clone();
    let (tasks, out) = Tasks::restore(vec![a, b], bench.now);
    assert_eq!(tasks.row("b").map(|r| r.state), Some(TaskState::Skipped));
    assert!(matches!(&out[..], [Effect::Save { row, .. }] if row.state == TaskState::Skipped), "{out:?}");
}

#[test]
fn word_of_an_earlier_attempt_means_nothing() {
    let mut bench = Bench::new(1);
    bench.add(vec![TaskSpec { retries: 1, ..task("a") }]);
    bench.end("a-1", crash());
    bench.wait(1_000);
    for word in [Outcome::Success, crash()] {
        bench.end("a-1", word);
    }
    bench.step(Input::Lost { run: "a-1".into() });
    assert_eq!((bench.state("a"), bench.tasks.row("a").map(|r| r.attempt)), (TaskState::Running, Some(2)));
}

#[test]
fn all_that_is_wrong_with_new_tasks_is_said() {
    let mut bench = Bench::new(1);
    bench.add(vec![task("old")]);
    let new = [
        after("a", &["b", "nobody"]),
        after("b", &["a"]),
        TaskSpec { priority: 101, ..task("old") },
        after("c", &["old", "old"]),
        after("d", &["old"]),
        after("e", &["e"]),
    ];
    let faults = check(&bench.tasks, &new).expect_err("much is wrong");
    let said: Vec<String> = faults.iter().map(|f| format!("{} {}", f.task, f.message)).collect();
    assert_eq!(
        said,
        [
            "2 there is a task old already",
            "2 the priority is from -100 to 100",
            "0 there is no task nobody",
            "3 old is named twice",
            "0 it waits for itself, by way of those that it waits for",
            "1 it waits for itself, by way of those that it waits for",
            "5 it waits for itself, by way of those that it waits for",
        ]
    );
}

#[test]
fn a_task_that_is_tried_again_brings_back_what_was_skipped_because_of_it() {
    let mut bench = Bench::new(1);
    bench.add(vec![task("a"), after("b", &["a"]), after("c", &["b"]), task("d")]);
    bench.step(Input::Lives { run: "a-1".into(), session: Some("s".into()) });
    bench.end("a-1", Outcome::Final("no".into()));
    bench.end("d-1", Outcome::Success);
    assert_eq!((bench.state("b"), bench.state("c")), (TaskState::Skipped, TaskState::Skipped));
    bench.launched();
    bench.step(Input::Retry { id: "a".into(), fresh: false });
    assert_eq!(bench.launched(), "a-2");
    assert_eq!(bench.tasks.row("a").expect("it is known").session.as_deref(), Some("s"));
    assert_eq!((bench.state("b"), bench.state("d")), (TaskState::Waiting, TaskState::Done));
    bench.end("a-2", Outcome::Success);
    bench.end("b-1", Outcome::Success);
    bench.end("c-1", Outcome::Success);
    assert_eq!(bench.state("c"), TaskState::Done);
    bench.launched();
    bench.step(Input::Retry { id: "a".into(), fresh: true });
    assert_eq!(
        (bench.launched().as_str(), bench.tasks.row("a").and_then(|r| r.session.clone())),
        ("a-3", None)
    );
    bench.step(Input::Retry { id: "a".into(), fresh: true });
    assert_eq!(bench.launched(), "", "it runs");
}

#[test]
fn a_task_is_changed_where_it_waits_and_not_where_it_runs_or_is_over() {
    let mut bench = Bench::new(1);
    bench.add(vec![task("a"), task("b"), task("c")]);
    bench.step(Input::Edit { spec: Box::new(TaskSpec { priority: 9, ..task("c") }), fresh: false });
    bench.step(Input::Edit { spec: Box::new(TaskSpec { priority: 9, ..task("a") }), fresh: false });
    assert_eq!(bench.tasks.row("a").expect("it is known").spec.priority, 0, "it runs");
    bench.launched();
    bench.end("a-1", Outcome::Success);
    assert_eq!(bench.launched(), "c-1");
    bench.step(Input::Edit { spec: Box::new(TaskSpec { deadline: Some(NOW), ..task("b") }), fresh: false });
    assert_eq!(bench.state("b"), TaskState::Failed, "its deadline has passed");
    bench.step(Input::Edit { spec: Box::new(TaskSpec { priority: 9, ..task("b") }), fresh: false });
    assert_eq!(bench.tasks.row("b").expect("it is known").spec.priority, 0, "it is over");
}

#[test]
fn an_account_whose_limit_was_reached_somewhere_else_starts_nothing_until_then() {
    let mut bench = Bench::new(2);
    bench.step(Input::Close { account: "me".into(), until: NOW + 60_000 });
    bench.add(vec![TaskSpec { account: Some("me".into()), ..task("a") }, task("b")]);
    assert_eq!(bench.launched(), "b-1");
    assert_eq!(bench.tasks.closed(NOW).collect::<Vec<_>>(), [("me", NOW + 60_000)]);
    assert_eq!(bench.tasks.wake_at(), Some(NOW + 60_000));
    bench.wait(60_000);
    assert_eq!(bench.launched(), "a-1");
    assert_eq!(bench.tasks.closed(bench.now).count(), 0);
}

#[test]
fn what_is_over_can_be_forgotten_and_nothing_else() {
    let mut bench = Bench::new(1);
    bench.add(vec![task("a"), after("b", &["a"]), task("c")]);
    bench.end("a-1", Outcome::Success);
    bench.step(Input::Forget(vec!["a".into(), "b".into(), "c".into(), "x".into()]));
    assert_eq!((bench.tasks.row("a"), bench.tasks.len()), (None, 2));
    bench.end("b-1", Outcome::Success);
    bench.end("c-1", Outcome::Success);
    assert_eq!((bench.state("b"), bench.state("c")), (TaskState::Done, TaskState::Done));
}

#[test]
fn one_that_took_too_long_before_its_start_has_failed() {
    let mut bench = Bench::new(1);
    bench.add(vec![TaskSpec { timeout: Some(1_000), ..task("a") }]);
    bench.wait(1_000);
    assert_eq!(bench.stopped, ["a-1"]);
    bench.step(Input::Lost { run: "a-1".into() });
    assert_eq!(bench.state("a"), TaskState::Failed);
}

#[test]
fn what_waits_for_one_that_is_tried_again_waits_for_it_once_more() {
    let mut bench = Bench::new(2);
    bench.add(vec![task("a"), task("b"), after("c", &["a", "b"])]);
    bench.end("a-1", Outcome::Success);
    bench.step(Input::Retry { id: "a".into(), fresh: false });
    bench.launched();
    bench.end("b-1", Outcome::Success);
    assert_eq!((bench.state("c"), bench.launched().as_str()), (TaskState::Waiting, ""));
    bench.end("a-2", Outcome::Success);
    assert_eq!(bench.launched(), "c-1");
}

#[test]
fn one_behind_a_task_that_could_not_be_kept_does_not_wait_for_ever() {
    let mut tasks = Tasks::default();
    let a = tasks.step(Input::Add(vec![task("a")]), NOW, 0.5);
    let number = |effects: &[Effect]| match &effects[0] {
        Effect::Save { number, .. } => *number,
        other => panic!("{other:?}"),
    };
    let b = tasks.step(Input::Add(vec![after("b", &["a"])]), NOW, 0.5);
    tasks.step(Input::Saved { id: "b".into(), number: number(&b) }, NOW, 0.5);
    tasks.step(Input::Unsaved(vec![("a".into(), number(&a))]), NOW, 0.5);
    assert_eq!((tasks.row("a"), tasks.row("b").map(|r| r.state)), (None, Some(TaskState::Skipped)));
}

#[test]
fn what_an_agent_is_asked_that_the_config_has_not_waits_for_it() {
    let limits = |agents: &[&str]| Input::Limits {
        parallel: 1,
        groups: HashMap::new(),
        agents: agents.iter().map(|name| (*name).to_owned()).collect(),
    };
    let asks = |id: &str, agent: &str| TaskSpec { agent: Some(agent.into()), ..task(id) };
    let mut bench = Bench::new(1);
    bench.step(limits(&["claude", "other"]));
    bench.add(vec![asks("a", "claude"), asks("b", "other"), asks("c", "claude"), task("d")]);
    assert_eq!(bench.launched(), "a-1");
    bench.step(limits(&["claude"]));
    let said = |bench: &Bench, id: &str| bench.tasks.row(id).expect("it is known").reason.clone();
    assert_eq!(said(&bench, "b").as_deref(), Some("the config has no agent other"));
    assert_eq!((said(&bench, "c"), said(&bench, "d")), (None, None));
    bench.end("a-1", Outcome::Success);
    assert_eq!(bench.launched(), "c-1", "it keeps nobody from starting");
    bench.end("c-1", Outcome::Success);
    bench.end("d-1", Outcome::Success);
    assert_eq!(bench.tasks.wake_at(), None, "nothing but the config changes it");
    // as it is read again from the disk
    let rows = bench.tasks.rows().cloned().collect();
    let effects;
    (bench.tasks, effects) = Tasks::restore(rows, bench.now);
    let of_b = |e: &&Effect| matches!(e, Effect::Save { row, .. } if row.spec.id == "b");
    let Some(Effect::Save { row, .. }) = effects.iter().find(of_b) else { panic!("{effects:?}") };
    assert_eq!(row.reason.as_deref(), Some("the config has no agent other"), "it is not told anew");
    bench.step(limits(&["claude"]));
    assert_eq!((bench.state("b"), bench.launched()), (TaskState::Queued, "d-1".into()));
    assert_eq!(said(&bench, "b").as_deref(), Some("the config has no agent other"));
    bench.step(limits(&["claude", "other"]));
    assert_eq!((bench.state("b"), bench.launched()), (TaskState::Running, "b-1".into()));
    assert_eq!(said(&bench, "b"), None);
}

#[test]
fn nothing_starts_before_it_is_known_what_may() {
    let mut bench = Bench::new(0);
    bench.add(vec![task("a"), TaskSpec { group: "docs".into(), ..task("b") }]);
    let rows = bench.tasks.rows().cloned().collect();
    (bench.tasks, _) = Tasks::restore(rows, bench.now);
    bench.step(Input::PauseGroup("docs".into()));
    bench.wait(1_000);
    assert_eq!((bench.state("a"), bench.launched().as_str()), (TaskState::Queued, ""));
    assert_eq!(bench.tasks.wake_at(), None);
    bench.step(room(2));
    assert_eq!((bench.state("b"), bench.launched().as_str()), (TaskState::Queued, "a-1"));
}
