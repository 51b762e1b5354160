//! Tasks: queued, run, retried, canceled, paused, and none of them lost, doubled or left behind.

use std::{collections::BTreeMap, fs};

use wezterm_parallel_schemas::{
    daemon::Empty,
    error::{Code, Error},
    event::EventKind,
    method::{
        AddTask, CancelTask, EditTask, ImportTasks, ListGroups, ListTasks, Method, PauseGroup, PauseTask,
        ReportGroup, ResumeGroup, ResumeTask, RetryTask, ShowTask, WaitForTasks,
    },
    task::{
        GroupTarget, OnFailedDependency, TaskAdd, TaskDetail, TaskEdit, TaskImport, TaskList, TaskRetry,
        TaskState, TaskTarget, TaskView, TaskWait,
    },
};

use crate::support::site::{Site, kill, lives, wait_end};

fn call<M: Method>(site: &Site, params: M::Params) -> Result<M::Result, Error> {
    site.client().call::<M>(params)
}

/// A place with a daemon and this config of tasks.
fn site(tasks: &str) -> Site {
    let site = Site::new();
    site.config(&format!("version: 1\ntasks: {tasks}\n"));
    site.daemon();
    site
}

/// A command for the shell, in the place's directory for work.
fn command(site: &Site, name: &str, script: &str) -> TaskAdd {
    TaskAdd {
        name: Some(name.into()),
        command: vec!["sh".into(), "-c".into(), script.into()],
        cwd: Some(site.path("work")),
        ..TaskAdd::default()
    }
}

fn prompt(site: &Site, name: &str, text: &str) -> TaskAdd {
    TaskAdd { prompt: Some(text.into()), command: Vec::new(), ..command(site, name, "") }
}

fn after(task: TaskAdd, others: &[&str]) -> TaskAdd {
    TaskAdd { after: others.iter().map(|o| (*o).to_owned()).collect(), ..task }
}

fn add(site: &Site, task: TaskAdd) -> TaskView {
    call::<AddTask>(site, task).expect("it is added")
}

fn target(task: &str) -> TaskTarget {
    TaskTarget { task: task.into(), key: None }
}

fn show(site: &Site, task: &str) -> TaskDetail {
    call::<ShowTask>(site, target(task)).expect("it is known")
}

fn wait(site: &Site, tasks: &[&str]) -> BTreeMap<String, TaskView> {
    let tasks = tasks.iter().map(|t| (*t).to_owned()).collect();
    let views = call::<WaitForTasks>(site, TaskWait { tasks, ..TaskWait::default() }).expect("they end");
    views.into_iter().map(|view| (view.name.clone(), view)).collect()
}

fn wait_for(site: &Site, task: &str, state: TaskState) -> TaskView {
    let since = site.seq();
    let now = show(site, task).task;
    if now.state == state && (state != TaskState::Running || now.pid.is_some()) {
        return now;
    }
    loop {
        site.wait_event(since, &format!("{task} is {state}"), |e| {
            e.kind.topic() == "task" && (e.task.as_deref() == Some(&*now.id)) && e.task_state == Some(state)
        });
        let now = show(site, task).task;
        if now.state == state && (state != TaskState::Running || now.pid.is_some()) {
            return now;
        }
    }
}

fn lines(site: &Site, file: &str) -> Vec<String> {
    let text = fs::read_to_string(site.path("work").join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_command_runs_and_what_it_brings_is_kept() {
    let site = site("{}");
    let task = add(
        &site,
        TaskAdd {
            env: [("WHO".into(), "me".into())].into(),
            ..command(&site, "hello", "echo hello $WHO; pwd; echo wrong >&2; cat")
        },
    );
    assert!(matches!(task.state, TaskState::Queued | TaskState::Running), "{task:?}");
    let done = &wait(&site, &["hello"])["hello"];
    assert_eq!((done.state, done.attempt, done.pid, &done.reason), (TaskState::Done, 1, None, &None));
    assert!(done.started_at.zip(done.ended_at).is_some_and(|(from, to)| from <= to), "{done:?}");
    let detail = show(&site, &task.id);
    let result = detail.result.expect("it has a result");
    let text = result.text.expect("it wrote something");
    let work = fs::canonicalize(site.path("work")).expect("it is there");
    assert_eq!(text, format!("hello me\n{}\nwrong\n", work.display()));
    assert_eq!(result.exit.expect("it ended").code, Some(0));
    assert_eq!(detail.asked.command[0], "sh");
    let log = detail.run_dir.expect("it ran").join("log");
    assert_eq!(fs::read_to_string(log).expect("its log"), text);
}

#[test]
fn what_cannot_be_is_refused_in_words_and_nothing_of_it_is_added() {
    let site = site("{}");
    let refused = |task: TaskAdd| call::<AddTask>(&site, task).expect_err("it cannot be");
    for (task, what) in [
        (TaskAdd { command: vec![], ..command(&site, "x", "") }, "neither a prompt nor a command"),
        (TaskAdd { cwd: None, ..command(&site, "x", "") }, "not said where it runs"),
        (TaskAdd { cwd: Some("/nowhere/at/all".into()), ..command(&site, "x", "") }, "no such directory"),
        (TaskAdd { workspace: Some("nix".into()), ..command(&site, "x", "") }, "no workspace nix"),
        (after(command(&site, "x", ""), &["nobody"]), "no task nobody"),
        (TaskAdd { priority: 1_000, ..command(&site, "x", "") }, "from -100 to 100"),
        (TaskAdd { agent: Some("codex".into()), ..prompt(&site, "x", "do") }, "no agent codex"),
    ] {
        let error = refused(task);
        assert!(error.message.contains(what), "{what}: {}", error.message);
    }
    assert_eq!(call::<ShowTask>(&site, target("x")).expect_err("there is none").code, Code::NotFound);
    assert_eq!(call::<ListTasks>(&site, TaskList::default()).expect("a list"), []);
}

#[test]
fn a_command_that_fails_is_tried_again_as_often_as_was_said() {
    let site = site("{}");
    let script = "echo x >> tries; test $(wc -l < tries) -ge 2";
    add(&site, TaskAdd { retries: Some(1), ..command(&site, "again", script) });
    add(&site, command(&site, "once", "exit 3"));
    let views = wait(&site, &["again", "once"]);
    assert_eq!((views["again"].state, views["again"].attempt), (TaskState::Done, 2));
    assert_eq!((views["once"].state, views["once"].attempt), (TaskState::Failed, 1));
    assert_eq!(views["once"].reason.as_deref(), Some("exit code 3"));
}

#[test]
fn tasks_wait_for_those_that_come_first_and_the_limits_hold() {
    let site = site("{ parallel: 2, groups: { slow: { parallel: 1 } } }");
    // each notes that it begins and that it ends, and ends when it is told to
    let script = "echo + >> $0; while ! test -e go; do sleep 0.01; done; echo - >> $0";
    let task = |name: &str, group: &str| TaskAdd {
        command: ["sh", "-c", script, group].map(str::to_owned).to_vec(),
        group: Some(group.into()),
        ..command(&site, name, "")
    };
    let last = after(command(&site, "last", "cat slow fast > all"), &["s1", "s2", "f1", "f2"]);
    let tasks = vec![task("s1", "slow"), task("s2", "slow"), task("f1", "fast"), task("f2", "fast"), last];
    let import = TaskImport { tasks, ..TaskImport::default() };
    let added = call::<ImportTasks>(&site, import).expect("they are added");
    assert_eq!(added.len(), 5);
    assert_eq!(added[4].state, TaskState::Waiting);
    assert_eq!(added[4].after, added[..4].iter().map(|t| t.id.clone()).collect::<Vec<_>>());
    wait_for(&site, "s1", TaskState::Running);
    wait_for(&site, "f1", TaskState::Running);
    let states = |names: [&str; 2]| names.map(|name| show(&site, name).task.state);
    assert_eq!(states(["s2", "f2"]), [TaskState::Queued; 2], "two run, and one of a group");
    fs::write(site.path("work/go"), "").expect("a file");
    let views = wait(&site, &["last"]);
    assert_eq!(views["last"].state, TaskState::Done);
    assert_eq!(lines(&site, "slow"), ["+", "-", "+", "-"], "one after the other");
    assert_eq!(lines(&site, "all").len(), 8, "the last one came after all others");
}

#[test]
fn a_limit_in_the_config_holds_as_soon_as_it_is_saved() {
    let site = site("{ parallel: 0 }");
    add(&site, command(&site, "a", "true"));
    assert_eq!(show(&site, "a").task.state, TaskState::Queued);
    site.config("version: 1\ntasks: { parallel: 1 }\n");
    assert_eq!(wait(&site, &["a"])["a"].state, TaskState::Done);
}

#[test]
fn what_follows_a_failure_is_by_choice() {
    let site = site("{ parallel: 1 }");
    let on = |name: &str, on_failed_dependency| TaskAdd {
        on_failed_dependency,
        ..after(command(&site, name, "true"), &["bad"])
    };
    let tasks = vec![
        command(&site, "bad", "exit 1"),
        on("skip", OnFailedDependency::Skip),
        on("fail", OnFailedDependency::Fail),
        on("run", OnFailedDependency::Run),
        after(command(&site, "behind", "true"), &["skip"]),
    ];
    call::<ImportTasks>(&site, TaskImport { tasks, ..TaskImport::default() }).expect("they are added");
    let views = wait(&site, &["skip", "fail", "run", "behind"]);
    let states: Vec<_> = ["skip", "fail", "run", "behind"].iter().map(|n| views[*n].state).collect();
    assert_eq!(states, [TaskState::Skipped, TaskState::Failed, TaskState::Done, TaskState::Skipped]);
    // tried again it brings back those that were skipped because of it
    let edit = TaskRetry { task: "bad".into(), ..TaskRetry::default() };
    call::<RetryTask>(&site, edit).expect("it begins again");
    let views = wait(&site, &["bad", "skip", "behind"]);
    assert_eq!((views["bad"].state, views["bad"].attempt), (TaskState::Failed, 2));
    assert_eq!((views["skip"].state, views["behind"].state), (TaskState::Skipped, TaskState::Skipped));
}

#[test]
fn an_import_is_taken_whole_or_not_at_all() {
    let site = site("{}");
    let import =
        |tasks: Vec<TaskAdd>| call::<ImportTasks>(&site, TaskImport { tasks, ..TaskImport::default() });
    let refused = |tasks| import(tasks).expect_err("it cannot be").message;
    let circle = refused(vec![
        after(command(&site, "a", ""), &["b"]),
        after(command(&site, "b", ""), &["a"]),
        command(&site, "c", ""),
    ]);
    assert!(
        circle.contains("a: it waits for itself") && circle.contains("b: it waits for itself"),
        "{circle}"
    );
    let both = refused(vec![
        after(command(&site, "a", ""), &["x"]),
        command(&site, "b", ""),
        command(&site, "b", ""),
    ]);
    assert!(both.contains("a: there is no task x") && both.contains("b: there are several"), "{both}");
    let own = refused(vec![after(command(&site, "a", ""), &["a"]), command(&site, "b", "")]);
    assert!(own.contains("a: it waits for itself"), "{own}");
    assert_eq!(call::<ListTasks>(&site, TaskList::default()).expect("a list"), []);
}

#[test]
fn a_task_is_canceled_wherever_it_stands() {
    let site = site("{ parallel: 1 }");
    let task = add(
        &site,
        command(&site, "runs", "trap 'echo ended > told; exit 1' TERM; echo x > begun; sleep 600 & wait"),
    );
    add(&site, command(&site, "waits", "true"));
    add(&site, after(command(&site, "behind", "true"), &["runs"]));
    let running = wait_for(&site, "runs", TaskState::Running);
    site.wait_file(&site.path("work/begun"), |text| !text.is_empty());
    let canceled = call::<CancelTask>(&site, target("waits")).expect("it is canceled");
    assert_eq!((canceled.state, canceled.attempt), (TaskState::Canceled, 0));
    let canceled = call::<CancelTask>(&site, target(&task.id[20..])).expect("it is canceled");
    assert_eq!(canceled.state, TaskState::Canceled);
    assert!(!lives(running.pid.expect("it ran")), "the answer comes when nothing of it runs");
    assert_eq!(lines(&site, "told"), ["ended"], "it was asked first");
    assert_eq!(wait(&site, &["behind"])["behind"].state, TaskState::Skipped);
    let again = call::<CancelTask>(&site, target("runs")).expect_err("it is over");
    assert_eq!(again.code, Code::Conflict);
}

#[test]
fn what_takes_too_long_is_ended_and_has_failed() {
    let site = site("{}");
    add(&site, TaskAdd { timeout_ms: Some(100), ..command(&site, "slow", "sleep 600") });
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later").as_millis();
    let deadline = Some(i64::try_from(now).expect("it fits") + 200);
    add(&site, TaskAdd { deadline, retries: Some(5), ..command(&site, "late", "sleep 600") });
    let views = wait(&site, &["slow", "late"]);
    assert_eq!(
        (views["slow"].state, views["slow"].reason.as_deref()),
        (TaskState::Failed, Some("it took too long"))
    );
    assert_eq!(
        (views["late"].state, views["late"].reason.as_deref()),
        (TaskState::Failed, Some("its deadline has passed"))
    );
}

#[test]
fn a_group_is_paused_over_a_restart_of_the_daemon_and_goes_on() {
    let site = site("{ groups: { docs: {} } }");
    let docs = || GroupTarget { group: "docs".into(), key: None };
    let nobody = call::<PauseGroup>(&site, GroupTarget { group: "nix".into(), key: None });
    assert_eq!(nobody.expect_err("there is none").code, Code::NotFound);
    add(&site, TaskAdd { group: Some("docs".into()), ..command(&site, "first", "true") });
    wait(&site, &["first"]);
    assert!(call::<PauseGroup>(&site, docs()).expect("it is paused").paused);
    site.kill_daemon();
    site.daemon();
    add(&site, TaskAdd { group: Some("docs".into()), ..command(&site, "a", "true") });
    add(&site, command(&site, "other", "true"));
    wait(&site, &["other"]);
    let stands = show(&site, "a").task;
    assert_eq!(
        (stands.state, stands.reason.as_deref()),
        (TaskState::Queued, Some("the group docs is paused"))
    );
    assert!(!call::<ResumeGroup>(&site, docs()).expect("it goes on").paused);
    wait(&site, &["a"]);
    let groups = call::<ListGroups>(&site, Empty {}).expect("a list");
    let docs = groups.iter().find(|g| g.name == "docs").expect("it is there");
    assert_eq!((docs.tasks.done, docs.paused), (2, false));
    let report =
        call::<ReportGroup>(&site, GroupTarget { group: "docs".into(), key: None }).expect("a report");
    assert_eq!(report.tasks.iter().map(|t| t.task.name.as_str()).collect::<Vec<_>>(), ["first", "a"]);
}

#[test]
fn a_task_that_waits_is_paused_and_changed_and_goes_on() {
    let site = site("{ parallel: 1 }");
    add(&site, command(&site, "first", "while ! test -e go; do sleep 0.01; done"));
    wait_for(&site, "first", TaskState::Running);
    add(&site, command(&site, "a", "echo a >> order"));
    add(&site, command(&site, "b", "echo b >> order"));
    let runs = call::<PauseTask>(&site, target("first")).expect_err("a command that runs cannot go on later");
    assert_eq!(runs.code, Code::Conflict);
    assert_eq!(call::<PauseTask>(&site, target("a")).expect("it is paused").state, TaskState::Paused);
    let edit = |task: &str| TaskEdit { task: task.into(), ..TaskEdit::default() };
    let edited = TaskEdit {
        command: ["sh", "-c", "echo A >> order"].map(str::to_owned).to_vec(),
        priority: Some(10),
        name: Some("better".into()),
        ..edit("a")
    };
    let view = call::<EditTask>(&site, edited).expect("it is changed");
    assert_eq!((view.name.as_str(), view.priority, view.state), ("better", 10, TaskState::Paused));
    let refused = call::<EditTask>(&site, TaskEdit { priority: Some(1), ..edit("first") });
    assert_eq!(refused.expect_err("it runs").code, Code::Conflict);
    assert_eq!(call::<ResumeTask>(&site, target("better")).expect("it goes on").state, TaskState::Queued);
    fs::write(site.path("work/go"), "").expect("a file");
    wait(&site, &["better", "b"]);
    assert_eq!(lines(&site, "order"), ["A", "b"]);
}

#[test]
fn a_task_added_with_a_key_is_added_once() {
    let site = site("{ parallel: 0 }");
    let task = || TaskAdd { key: Some("k1".into()), ..command(&site, "a", "true") };
    let first = add(&site, task());
    assert_eq!(add(&site, task()).id, first.id);
    site.kill_daemon();
    site.daemon();
    assert_eq!(add(&site, task()).id, first.id);
    assert_eq!(call::<ListTasks>(&site, TaskList::default()).expect("a list").len(), 1);
}

#[test]
fn killing_the_daemon_at_any_time_loses_and_doubles_nothing() {
    const TASKS: usize = 40;
    const KILLS: usize = 6;
    let site = site("{ parallel: 4 }");
    let mut tasks = Vec::new();
    for n in 0..TASKS {
        // each life of a task leaves a line with its run's name
        let script = format!(
            "echo $WEZTERM_PARALLEL_RUN >> lives; sleep 0.1; echo {n} >> ends; exit $(({n} % 10 == 3))"
        );
        let task = command(&site, &format!("t{n}"), &script);
        tasks.push(if n % 4 == 1 { after(task, &[&format!("t{}", n - 1)]) } else { task });
    }
    let added =
        call::<ImportTasks>(&site, TaskImport { tasks, ..TaskImport::default() }).expect("they are added");
    for n in 0..KILLS {
        let so_far = n * TASKS / KILLS;
        site.wait_file(&site.path("work/lives"), |text| text.lines().count() > so_far);
        site.kill_daemon();
        site.daemon();
    }
    let ids: Vec<&str> = added.iter().map(|t| t.id.as_str()).collect();
    let views = wait(&site, &ids);
    for (n, view) in ids.iter().enumerate().map(|(n, _)| (n, &views[&format!("t{n}")])) {
        let wanted = if n % 10 == 3 { TaskState::Failed } else { TaskState::Done };
        assert_eq!(view.state, wanted, "{view:?}");
    }
    // a daemon that was killed between the row of an attempt and its start leaves that one unlived
    let mut lives: Vec<String> =
        lines(&site, "lives").iter().map(|run| run.rsplit_once('-').expect("a run").0.to_owned()).collect();
    lives.sort();
    assert_eq!(lives, ids, "each task lived once");
    let mut ends: Vec<usize> = lines(&site, "ends").iter().map(|n| n.parse().expect("a number")).collect();
    ends.sort_unstable();
    assert_eq!(ends, (0..TASKS).collect::<Vec<_>>());
}

#[test]
fn what_runs_is_adopted_and_what_has_ended_meanwhile_is_recorded() {
    let site = site("{ parallel: 3 }");
    add(&site, command(&site, "long", "while ! test -e go; do sleep 0.01; done; echo ready"));
    add(&site, command(&site, "short", "while ! test -e short; do sleep 0.01; done; echo over"));
    add(&site, command(&site, "orphan", "sleep 600"));
    let before = ["long", "short", "orphan"].map(|name| wait_for(&site, name, TaskState::Running));
    site.kill_daemon();
    fs::write(site.path("work/short"), "").expect("a file");
    wait_end(before[1].keeper_pid.expect("it has a keeper"));
    // a keeper that is killed takes its program along, or the next daemon does
    kill(before[2].keeper_pid.expect("it has a keeper"));
    site.daemon();
    let short = &wait(&site, &["short"])["short"];
    assert_eq!((short.state, short.attempt), (TaskState::Done, 1));
    assert_eq!(show(&site, "short").result.expect("a result").text.as_deref(), Some("over\n"));
    let long = wait_for(&site, "long", TaskState::Running);
    assert_eq!((long.pid, long.attempt), (before[0].pid, 1), "it goes on");
    fs::write(site.path("work/go"), "").expect("a file");
    assert_eq!(wait(&site, &["long"])["long"].state, TaskState::Done);
    let orphan = wait_for(&site, "orphan", TaskState::Running);
    assert_eq!(orphan.attempt, 2, "its run is gone, and that is no failure of its own");
    assert!(!lives(before[2].pid.expect("it ran")), "nothing of the first run is left");
    call::<CancelTask>(&site, target("orphan")).expect("it is canceled");
}

#[test]
fn a_stop_ends_what_runs_and_the_next_daemon_has_it_go_on() {
    let site = site("{}");
    let script = "echo x >> begun; while ! test -e go; do sleep 0.01; done";
    let task = add(&site, command(&site, "a", script));
    let running = wait_for(&site, "a", TaskState::Running);
    site.run(&["stop", "--yes"]).ok();
    assert!(!lives(running.pid.expect("it ran")), "a stop ends tasks as well");
    fs::write(site.path("work/go"), "").expect("a file");
    site.daemon();
    let done = &wait(&site, &[&task.id])["a"];
    assert_eq!((done.state, done.attempt), (TaskState::Done, 2));
    let events = site.wait_event(0, "the task's end", |e| {
        e.kind == EventKind::TaskChanged && e.task_state == Some(TaskState::Done)
    });
    assert_eq!(events.task_name.as_deref(), Some("a"));
}

#[test]
fn a_command_that_ends_well_when_it_is_told_to_is_not_done() {
    let site = site("{}");
    let script = "trap 'exit 0' TERM; echo x >> begun; sleep 600 & wait";
    let begun = |count: usize| {
        site.wait_file(&site.path("work/begun"), |text| text.lines().count() == count);
    };
    add(&site, command(&site, "canceled", script));
    add(&site, after(command(&site, "behind", "true"), &["canceled"]));
    begun(1);
    assert_eq!(call::<CancelTask>(&site, target("canceled")).expect("an end").state, TaskState::Canceled);
    assert_eq!(wait(&site, &["behind"])["behind"].state, TaskState::Skipped);
    add(&site, TaskAdd { timeout_ms: Some(500), ..command(&site, "slow", script) });
    let slow = &wait(&site, &["slow"])["slow"];
    assert_eq!((slow.state, slow.reason.as_deref()), (TaskState::Failed, Some("it took too long")));
    add(&site, command(&site, "stopped", script));
    begun(3);
    site.run(&["stop", "--yes"]).ok();
    site.daemon();
    begun(4);
    assert_eq!(show(&site, "stopped").task.attempt, 2, "the next daemon begins it anew");
    call::<CancelTask>(&site, target("stopped")).expect("an end");
}

#[test]
fn an_import_with_a_key_is_taken_once() {
    let site = site("{ parallel: 0 }");
    let import = || TaskImport {
        tasks: vec![command(&site, "a", "true"), after(command(&site, "b", "true"), &["a"])],
        key: Some("k".into()),
        ..TaskImport::default()
    };
    let ids = |views: Vec<TaskView>| views.into_iter().map(|v| v.id).collect::<Vec<_>>();
    let first = ids(call::<ImportTasks>(&site, import()).expect("they are added"));
    assert_eq!(ids(call::<ImportTasks>(&site, import()).expect("they are there")), first);
    assert_eq!(call::<ListTasks>(&site, TaskList::default()).expect("a list").len(), 2);
}

/// What is paused is known to the next daemon before it starts anything, and starting waits for its limits.
#[test]
fn a_daemon_that_finds_a_paused_group_starts_no_more_than_may_run_and_forgets_nothing() {
    let site = site("{ parallel: 1, groups: { docs: { parallel: 1 } } }");
    let docs = || GroupTarget { group: "docs".into(), key: None };
    call::<PauseGroup>(&site, docs()).expect("it is paused");
    add(&site, command(&site, "long", "while ! [ -e go ]; do sleep 0.05; done"));
    wait_for(&site, "long", TaskState::Running);
    for name in ["one", "two", "three"] {
        add(&site, command(&site, name, "true"));
    }
    add(&site, TaskAdd { group: Some("docs".into()), ..command(&site, "held", "true") });
    site.kill_daemon();
    site.daemon();
    let states = || -> Vec<(String, TaskState)> {
        let all = call::<ListTasks>(&site, TaskList::default()).expect("a list");
        all.into_iter().map(|task| (task.name, task.state)).collect()
    };
    let running = states().into_iter().filter(|(_, state)| *state == TaskState::Running).count();
    assert_eq!(running, 1, "{:?}", states());
    fs::write(site.path("work/go"), "").expect("a file of ours");
    let over = wait(&site, &["long", "one", "two", "three"]);
    assert!(over.values().all(|task| task.state == TaskState::Done && task.attempt == 1), "{over:#?}");
    assert_eq!(show(&site, "held").task.state, TaskState::Queued);
    call::<ResumeGroup>(&site, docs()).expect("it goes on");
    assert_eq!(wait(&site, &["held"])["held"].state, TaskState::Done);
}

#[test]
fn what_an_agent_was_asked_that_is_taken_out_of_the_config_waits_until_it_is_back() {
    let site = Site::new();
    let agent = site.script("agent", "#!/bin/sh\nexec sleep 1000\n");
    let with = format!(
        "version: 1\ntasks: {{ parallel: 1 }}\nagents: {{ other: {{ kind: claude, command: [{}] }} }}\n",
        agent.display()
    );
    site.config(&with);
    site.daemon();
    add(&site, command(&site, "first", "while ! [ -e go ]; do sleep 0.05; done"));
    let asked = TaskAdd { agent: Some("other".into()), ..prompt(&site, "asked", "do it") };
    add(&site, asked);
    site.config("version: 1\ntasks: { parallel: 1 }\n");
    site.run(&["config", "reload"]).ok();
    let why = || show(&site, "asked").task.reason;
    assert_eq!(why().as_deref(), Some("the config has no agent other"));
    fs::write(site.path("work/go"), "").expect("a file of ours");
    add(&site, command(&site, "second", "true"));
    wait(&site, &["first", "second"]);
    assert_eq!(show(&site, "asked").task.state, TaskState::Queued);
    // the next daemon knows it too
    site.kill_daemon();
    site.daemon();
    let now = show(&site, "asked").task;
    assert_eq!((now.state, now.reason), (TaskState::Queued, Some("the config has no agent other".into())));
    site.config(&with);
    let runs = wait_for(&site, "asked", TaskState::Running);
    assert_eq!((runs.attempt, runs.reason), (1, None));
    call::<CancelTask>(&site, target("asked")).expect("it is canceled");
}
