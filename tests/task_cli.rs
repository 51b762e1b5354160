//! Tasks on the command line: what is printed, what is asked for, and the exit codes.

use std::{fs, path::PathBuf};

use serde_json::Value;
use wezterm_parallel_schemas::{
    method::ShowTask,
    process::Status,
    task::{GroupReport, GroupView, TaskDetail, TaskReport, TaskState, TaskTarget, TaskView},
};

use crate::support::site::{Output, Site, executable, finish};

/// A place with a daemon that runs at most one task of the group `one` at once.
fn site() -> Site {
    let site = Site::new();
    site.config("version: 1\ntasks: { parallel: 8, groups: { one: { parallel: 1 } } }\nworkspaces: { w: { cwd: $WORK } }\n");
    site.daemon();
    site
}

fn task(site: &Site, args: &[&str]) -> Output {
    site.run(&[&["task"], args].concat())
}

/// Adds a script for the shell and gives its id.
fn add(site: &Site, name: &str, options: &[&str], script: &str) -> String {
    let args = [&["add", name], options, &["--", "sh", "-c", script]].concat();
    task(site, &args).ok().out.trim().to_owned()
}

fn show(site: &Site, name: &str) -> TaskDetail {
    task(site, &["show", name, "--json"]).ok().json()
}

fn file(site: &Site, name: &str, text: &str) -> PathBuf {
    let path = site.path("work").join(name);
    fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("it can be made");
    fs::write(&path, text).expect("it can be written");
    path
}

fn names(list: &[TaskView]) -> Vec<&str> {
    list.iter().map(|t| t.name.as_str()).collect()
}

/// A script that says `begun` in a file of its name, and ends when `let_go` says so.
const HELD: &str = "echo begun > $NAME.begun; mkfifo $NAME.go; read x < $NAME.go; echo went on";

fn held(site: &Site, name: &str, options: &[&str]) -> String {
    let variable = format!("NAME={name}");
    let id = add(site, name, &[&["--env", &variable], options].concat(), HELD);
    site.wait_directory(&site.path("work"), || site.path("work").join(format!("{name}.go")).exists());
    id
}

fn let_go(site: &Site, name: &str) {
    fs::write(site.path("work").join(format!("{name}.go")), "x\n").expect("its script reads");
}

#[test]
fn a_task_is_added_by_its_id_waited_for_and_shown() {
    let site = site();
    let here = site.project("here");
    let added = site.run_in(&here, &["task", "add", "hello", "--", "sh", "-c", "pwd; echo $COLOUR"]).ok();
    let id = added.out.trim();
    assert_eq!((id.len(), added.err.as_str()), (26, ""), "the id and nothing else: {added:?}");
    // by its id, the end of it, and its name
    for name in [id, &id[20..], &id[22..].to_lowercase(), "hello"] {
        let waited = task(&site, &["wait", name]).ok();
        assert!(waited.out.starts_with("✓ hello done"), "{}", waited.out);
    }
    let detail = show(&site, "hello");
    let here = fs::canonicalize(here).expect("it is there");
    assert_eq!(detail.task.cwd, here, "where the command was run");
    assert_eq!(
        task(&site, &["result", "hello"]).ok().out,
        format!("{}\n\n", here.display()).trim_end().to_owned() + "\n"
    );
    let text = task(&site, &["show", "hello"]).ok().out;
    assert!(text.contains(id) && text.contains("sh -c 'pwd; echo $COLOUR'"), "{text}");
    let view: TaskView = task(
        &site,
        &["add", "--json", "--workspace", "w", "--env", "COLOUR=red", "--", "printenv", "COLOUR"],
    )
    .ok()
    .json();
    assert_eq!((view.workspace.as_deref(), view.name.as_str()), (Some("w"), "printenv COLOUR"));
    task(&site, &["wait", &view.id, "--json"]).ok();
    let report: TaskReport = task(&site, &["result", &view.id, "--json"]).ok().json();
    assert_eq!(report.result.and_then(|r| r.text).as_deref(), Some("red\n"));
}

#[test]
fn a_task_runs_in_the_environment_of_whoever_added_it() {
    let site = site();
    site.set_env("WHOSE", "mine");
    let output = task(&site, &["add", "--wait", "--", "printenv", "WHOSE"]).ok();
    assert_eq!(output.out, "mine\n");
}

#[test]
fn a_command_that_fails_hands_its_exit_code_on_to_who_waits_for_it() {
    let site = site();
    let failed = task(&site, &["add", "bad", "--wait", "--", "sh", "-c", "echo out; exit 7"]).exits(7);
    assert_eq!(failed.out, "out\n");
    assert!(failed.err.contains("✗ bad failed") && failed.err.contains("exit code 7"), "{}", failed.err);
    task(&site, &["add", "killed", "--wait", "--", "sh", "-c", "kill -9 $$"]).exits(137);
    let json = task(&site, &["add", "worse", "--wait", "--json", "--", "sh", "-c", "exit 3"]).exits(3);
    assert_eq!(json.json::<TaskReport>().task.state, TaskState::Failed);
    task(&site, &["add", "--wait", "--", "true"]).ok();
    task(&site, &["wait", "bad"]).exits(1).says("failed to get bad done: exit code 7").says("task show");
    let several = task(&site, &["wait", "bad", "worse", "--json"]).exits(1).says("2 of 2 tasks are not");
    assert_eq!(several.json::<Vec<TaskView>>().len(), 2);
    task(&site, &["attach", "bad"]).exits(7).says("✗ bad failed");
    task(&site, &["add", "x", "--wait", "--", "no-such-program"]).exits(1).says("no-such-program");
}

#[test]
fn who_waits_too_long_is_told_so_and_the_task_goes_on() {
    let site = site();
    held(&site, "long", &["--group", "one"]);
    task(&site, &["wait", "long", "--timeout", "50ms"]).exits(1).says("not over yet").says("task wait");
    task(&site, &["result", "long"]).exits(1).says("it is running").says("task wait");
    task(&site, &["wait", "--group", "nobody"]).exits(1).says("there are none in the group nobody");
    let_go(&site, "long");
    task(&site, &["wait", "--group", "one"]).ok();
}

#[test]
fn logs_are_followed_until_the_attempt_is_over() {
    let site = site();
    // it waits for its turn at first: its directory is not there yet
    held(&site, "first", &["--group", "one"]);
    add(
        &site,
        "second",
        &["--group", "one"],
        "echo one; mkfifo second.go; read x < second.go; printf two; exit 3",
    );
    let mut follow = site.terminal(100, 20, &["task", "logs", "-f", "second"]);
    task(&site, &["logs", "second"]).exits(1).says("has not run yet").says("task logs -f");
    let_go(&site, "first");
    follow.wait_for_text("one");
    site.wait_directory(&site.path("work"), || site.path("work/second.go").exists());
    let_go(&site, "second");
    follow.wait_for_text("✗ second failed");
    assert_eq!(follow.wait_for_end(), Some(0), "to have seen its end is no failure");
    assert!(follow.contents().lines().any(|line| line.trim() == "two"), "{}", follow.contents());
    assert_eq!(task(&site, &["logs", "second"]).ok().out, "one\ntwo");
    task(&site, &["logs", "-f", "second"]).ok().says("exit code 3");
}

#[test]
fn escape_sequences_of_a_command_are_shown_only_if_asked_for() {
    let site = site();
    task(&site, &["add", "red", "--wait", "--", "printf", "\\033[31mred\\033[0m\\n"]).ok();
    assert_eq!(task(&site, &["logs", "red"]).ok().out, "red\n");
    assert_eq!(task(&site, &["logs", "red", "--raw"]).ok().out, "\x1b[31mred\x1b[0m\n");
}

#[test]
fn an_attached_task_is_followed_over_its_attempts_and_left_by_ctrl_c() {
    let site = site();
    let script = "echo try >> tries; echo attempt $(wc -l < tries); mkfifo go.$(wc -l < tries); \
                  read x < go.$(wc -l < tries); test $(wc -l < tries) -ge 2";
    add(&site, "twice", &["--retries", "1"], script);
    let mut attached = site.terminal(100, 20, &["task", "attach", "twice"]);
    attached.wait_for_text("attempt 1");
    attached.wait_for_text("· running");
    let mut left = site.terminal(100, 20, &["task", "attach", "twice"]);
    left.wait_for_text("· running");
    left.type_keys("\x03");
    left.wait_for_text("it goes on");
    assert_eq!(left.wait_for_end(), Some(130));
    fs::write(site.path("work/go.1"), "x\n").expect("its script reads");
    attached.wait_for_text("attempt 2");
    site.wait_directory(&site.path("work"), || site.path("work/go.2").exists());
    fs::write(site.path("work/go.2"), "x\n").expect("its script reads");
    attached.wait_for_text("✓ twice done");
    assert_eq!(attached.wait_for_end(), Some(0));
    assert_eq!(show(&site, "twice").task.attempt, 2);
}

#[test]
fn whoever_waits_on_a_terminal_sees_how_far_it_is() {
    let site = site();
    held(&site, "a", &[]);
    add(&site, "b", &["--after", "a"], "true");
    let mut wait = site.terminal(80, 10, &["task", "wait", "a", "b"]);
    wait.wait_for_text("1 running · 1 waiting");
    let_go(&site, "a");
    wait.wait_for_text("✓ b done");
    assert_eq!(wait.wait_for_end(), Some(0));
    assert!(!wait.contents().contains("running ·"), "the line is gone: {}", wait.contents());
}

const GOOD_FILE: &str = "defaults: { group: one, timeout: 5m }
tasks:
  - { name: build, command: [sh, -c, 'echo built > built'], cwd: out }
  - name: tests
    command: cat out/built; echo $SIZE
    env: { SIZE: 3 }
    after: [build]
    priority: -5
  - { name: look, command: [pwd], after: [tests, build], group: two }
";

#[test]
fn a_file_of_tasks_is_added_as_it_says() {
    let site = site();
    let path = file(&site, "deep/night.yaml", GOOD_FILE);
    fs::create_dir(site.path("work/deep/out")).expect("it can be made");
    let args = ["import", "deep/night.yaml"];
    let dry = task(&site, &[&args[..], &["--dry-run"]].concat()).ok();
    assert_eq!(dry.out, "3 tasks could be added\n");
    assert_eq!(task(&site, &["list"]).ok().out, "no tasks\n");
    let added = task(&site, &args).ok();
    assert!(added.out.ends_with("added 3 tasks\n") && added.out.contains("build"), "{}", added.out);
    task(&site, &["wait", "build", "tests", "look"]).ok();
    assert_eq!(task(&site, &["result", "tests"]).ok().out, "built\n3\n");
    let looked = task(&site, &["result", "look"]).ok().out;
    let dir = fs::canonicalize(path.parent().expect("it lies in a directory")).expect("it is there");
    assert_eq!(looked.trim(), dir.display().to_string());
    let detail = show(&site, "tests");
    assert_eq!((detail.task.group.as_str(), detail.task.priority), ("one", -5));
    assert_eq!(
        (detail.asked.timeout_ms, detail.asked.command[2].as_str()),
        (Some(300_000), "cat out/built; echo $SIZE")
    );
    // JSON, and from standard input
    file(&site, "more.json", r#"{ "tasks": [ { "name": "j", "command": ["true"], "after": ["look"] } ] }"#);
    let mut command = site.command("sh");
    command.args(["-c", &format!("{} task import - --json < more.json", executable())]);
    let views: Vec<TaskView> = finish(command).ok().json();
    assert_eq!((names(&views), views[0].after.len()), (vec!["j"], 1));
}

#[test]
fn everything_that_is_wrong_in_a_file_is_said_and_nothing_is_added() {
    let site = site();
    add(&site, "known", &[], "true");
    file(
        &site,
        "bad.yaml",
        "tasks:\n  - { name: a, command: [a], after: [b, known] }\n  - { name: b, command: [b], after: [a] }\n\
         \x20 - { name: b, command: [b] }\n  - { name: d, command: [d], after: [nobody], prompt: x }\n\
         \x20 - { name: e, prompt_file: nowhere.md, deadline: 2020-01-01 }\n",
    );
    let said = task(&site, &["import", "bad.yaml"]).exits(1).err;
    for what in [
        "bad.yaml:2:38: tasks.0.after.0: these wait for one another: `a` waits for `b` waits for `a`",
        "bad.yaml:4:13: tasks.2.name: there are several tasks `b`",
        "there is no task `nobody`",
        "it has a prompt and a command",
        "nowhere.md: no such file",
        "`2020-01-01` is over already",
        "5 |   - { name: d, command: [d], after: [nobody], prompt: x }",
    ] {
        assert!(said.contains(what), "{what}:\n{said}");
    }
    assert!(!said.contains("no task `known`"), "it is there: {said}");
    file(
        &site,
        "unreadable.yaml",
        "tasks:\n  - { name: a, comand: [x], priority: high }\n  - { pompt: x }\n",
    );
    let said = task(&site, &["import", "unreadable.yaml", "--dry-run"]).exits(1).err;
    for what in ["unknown key `comand`", "did you mean `command`?", "a whole number is expected", "`pompt`"] {
        assert!(said.contains(what), "{what}:\n{said}");
    }
    task(&site, &["import", "none.yaml"]).exits(1).says("none.yaml");
    let list: Vec<TaskView> = task(&site, &["list", "--json"]).ok().json();
    assert_eq!(names(&list), ["known"]);
}

#[test]
fn a_dry_run_needs_no_daemon_and_warns_of_names_that_are_not_in_the_file() {
    let site = Site::new();
    file(
        &site,
        "x.yaml",
        "tasks:\n  - { name: a, command: [a], after: [old] }\n  - { command: [b], after: [a] }\n",
    );
    task(&site, &["import", "x.yaml", "--dry-run"]).ok().says("`a` waits for `old`");
    file(
        &site,
        "c.yaml",
        "tasks:\n  - { name: a, command: [a], after: [b] }\n  - { name: b, command: [b], after: [a] }\n",
    );
    task(&site, &["import", "c.yaml", "--dry-run"]).exits(1).says("wait for one another");
    task(&site, &["import", "x.yaml"]).exits(3).says("wezterm-parallel up");
    task(&site, &["list"]).exits(3);
    site.run(&["group", "list"]).exits(3);
}

#[test]
fn two_thousand_tasks_come_in_at_once_and_are_listed() {
    let site = site();
    site.run(&["group", "list"]).ok();
    let tasks: String = (0..2_000)
        .map(|n| format!("  - {{ name: t{n}, command: [\"true\"], after: [gate], group: many }}\n"))
        .collect();
    held(&site, "gate", &[]);
    file(&site, "many.yaml", &format!("tasks:\n{tasks}"));
    task(&site, &["import", "many.yaml"]).ok();
    let list: Vec<TaskView> =
        task(&site, &["list", "--json", "--group", "many", "--state", "waiting"]).ok().json();
    assert_eq!(list.len(), 2_000);
    let groups: Vec<GroupView> = site.run(&["group", "list", "--json"]).ok().json();
    assert!(groups.iter().any(|g| g.name == "many" && g.tasks.waiting == 2_000), "{groups:?}");
    assert_eq!(task(&site, &["graph", "--group", "many"]).ok().out.lines().count(), 2_001);
    let more: String = (0..10_000).map(|n| format!("  - {{ name: x{n}, command: [\"true\"] }}\n")).collect();
    file(&site, "more.yaml", &format!("tasks:\n{more}"));
    task(&site, &["import", "more.yaml"]).exits(1).says("at most 5000 tasks");
    task(&site, &["cancel", "gate"]).ok();
    task(&site, &["wait", "--group", "many"]).exits(1).says("2000 of 2000 tasks are not");
}

#[test]
fn a_list_shows_what_is_not_over_and_the_last_that_are() {
    let site = site();
    let many: String = (0..25).map(|n| format!("  - {{ name: t{n}, command: ['true'] }}\n")).collect();
    file(&site, "many.yaml", &format!("tasks:\n{many}"));
    task(&site, &["import", "many.yaml"]).ok();
    task(&site, &["wait", "--group", "default"]).ok();
    held(&site, "runs", &[]);
    add(&site, "waits", &["--after", "runs", "--workspace", "w"], "true");
    let some = task(&site, &["list", "--json"]).ok().says("task list --all");
    assert_eq!(some.json::<Vec<TaskView>>().len(), 22);
    let all = task(&site, &["list", "--json", "--all"]).ok();
    assert_eq!((all.json::<Vec<TaskView>>().len(), all.err.as_str()), (27, ""));
    let filtered =
        |args: &[&str]| -> Vec<TaskView> { task(&site, &[&["list", "--json"], args].concat()).ok().json() };
    assert_eq!(names(&filtered(&["--state", "running,waiting"])), ["runs", "waits"]);
    assert_eq!(names(&filtered(&["--workspace", "w"])), ["waits"]);
    assert_eq!(filtered(&["--state", "done"]).len(), 25);
    let table = site.terminal(80, 40, &["task", "list", "--state", "running", "waiting"]);
    table.wait_for_text("waits");
    let status = site.run(&["status"]).ok().out;
    assert!(status.contains("tasks: 1 running · 1 waiting · 25 done"), "{status}");
    let_go(&site, "runs");
}

#[test]
fn a_graph_shows_which_tasks_wait_for_which() {
    let site = site();
    held(&site, "build", &[]);
    add(&site, "tests", &["--after", "build"], "true");
    add(&site, "docs", &["--after", "build", "--group", "one"], "true");
    add(&site, "deploy", &["--after", "tests", "--after", "docs"], "true");
    let text = task(&site, &["graph"]).ok().out;
    let lines: Vec<String> =
        text.lines().map(|l| l.rsplit_once(' ').map_or(l, |(l, _)| l).to_owned()).collect();
    assert_eq!(
        lines,
        [
            "● build running",
            "├─ ○ tests waiting",
            "│  └─ ○ deploy waiting",
            "└─ ○ docs waiting",
            "   └─ ○ deploy waiting"
        ],
        "{text}"
    );
    let one = task(&site, &["graph", "--group", "one"]).ok().out;
    assert_eq!(one.lines().count(), 2, "{one}");
    let json: Value = task(&site, &["graph", "--json"]).ok().json();
    assert_eq!(json[3]["after"].as_array().map(Vec::len), Some(2), "{json}");
    let dot = task(&site, &["graph", "--dot"]).ok().out;
    assert_eq!((dot.matches("->").count(), dot.starts_with("digraph")), (4, true), "{dot}");
    let_go(&site, "build");
    task(&site, &["wait", "deploy"]).ok();
    assert_eq!(task(&site, &["graph"]).ok().out, "no tasks\n");
    assert_eq!(task(&site, &["graph", "--all"]).ok().out.lines().count(), 5);
}

#[test]
fn a_group_is_paused_resumed_and_reported_on() {
    let site = site();
    site.run(&["group", "pause", "nobody"]).exits(1).says("no group nobody").says("group list");
    let paused = site.run(&["group", "pause", "one"]).ok();
    assert_eq!(paused.out, "paused one (no tasks)\n");
    add(&site, "a | b", &["--group", "one"], "echo 'x | y'; echo '```'");
    add(&site, "bad", &["--group", "one"], "exit 4");
    let list = task(&site, &["list", "--group", "one"]).ok().out;
    assert_eq!(list.matches("the group one is paused").count(), 2, "{list}");
    let groups: Vec<GroupView> = site.run(&["group", "list", "--json"]).ok().json();
    let one = groups.iter().find(|g| g.name == "one").expect("the config has it");
    assert_eq!((one.paused, one.parallel, one.tasks.queued), (true, Some(1), 2));
    site.run(&["group", "resume", "one"]).ok();
    task(&site, &["wait", "--group", "one"]).exits(1);
    let report = site.run(&["group", "report", "one"]).ok().out;
    for what in [
        "# Tasks of the group one",
        "1 failed · 1 done",
        "| 1 | a \\| b | ✓ done |",
        "````text\nx | y\n```\n````",
        "exit code 4",
    ] {
        assert!(report.contains(what), "{what}:\n{report}");
    }
    let report: GroupReport = site.run(&["group", "report", "one", "--json"]).ok().json();
    assert_eq!(report.tasks.len(), 2);
    site.run(&["group", "report", "nobody"]).exits(1).says("no group nobody");
}

#[test]
fn tasks_are_canceled_retried_paused_resumed_and_changed() {
    let site = site();
    held(&site, "a", &["--group", "one"]);
    add(&site, "b", &["--group", "one"], "echo b");
    add(&site, "c", &["--after", "b"], "test -e c.may");
    let paused: Value = task(&site, &["pause", "b", "c", "--json"]).ok().json();
    assert_eq!(paused[1]["view"]["state"], "paused", "{paused}");
    task(&site, &["pause", "a"]).exits(1).says("command that runs").says("task cancel");
    task(
        &site,
        &[
            "edit",
            "b",
            "--name",
            "bee",
            "--priority",
            "-7",
            "--group",
            "two",
            "--timeout",
            "1m",
            "--deadline",
            "2h",
            "--",
            "echo",
            "changed",
        ],
    )
    .ok();
    let detail = show(&site, "bee");
    assert_eq!((detail.task.priority, detail.task.group.as_str()), (-7, "two"));
    assert_eq!(
        (detail.asked.timeout_ms, detail.asked.command.join(" ").as_str()),
        (Some(60_000), "echo changed")
    );
    assert!(detail.asked.deadline.is_some());
    task(&site, &["edit", "bee", "--prompt", "x"]).exits(1).says("it is a command");
    task(&site, &["edit", "a", "--priority", "1"]).exits(1).says("running").says("pause or cancel it first");
    let resumed = task(&site, &["resume", "bee", "c"]).ok();
    assert_eq!(resumed.out.lines().count(), 2, "{}", resumed.out);
    task(&site, &["wait", "c"]).exits(1);
    assert_eq!(task(&site, &["result", "bee"]).ok().out, "changed\n");
    file(&site, "c.may", "");
    task(&site, &["retry", "c"]).ok();
    task(&site, &["wait", "c"]).ok();
    // one of them cannot be, and the other is all the same
    let some = task(&site, &["cancel", "a", "nobody"]).exits(1).says("there is no task nobody");
    assert!(some.out.starts_with("canceled ") && some.out.contains(" a (canceled"), "{}", some.out);
    task(&site, &["cancel", "c"]).exits(1).says("c is over: done");
    task(&site, &["retry", "a", "nobody", "c2"]).exits(1).says("2 could not be");
}

#[test]
fn what_was_skipped_says_because_of_whom() {
    let site = site();
    add(&site, "first", &[], "exit 1");
    task(&site, &["wait", "first"]).exits(1);
    add(&site, "second", &["--after", "first"], "true");
    let list = task(&site, &["list", "--state", "skipped"]).ok().out;
    assert!(
        list.contains("first comes first, and is failed") || list.contains("first comes first"),
        "{list}"
    );
    add(&site, "third", &["--after", "first", "--on-failed-dependency", "run"], "echo ran");
    task(&site, &["wait", "third"]).ok();
}

#[test]
fn errors_say_what_why_and_what_to_do() {
    let site = site();
    for (args, code, says) in [
        (
            &["show", "nobody"][..],
            1,
            &["failed to show the task nobody", "there is no task nobody", "task list"][..],
        ),
        (&["logs", "nobody"], 1, &["nobody"]),
        (&["attach", "nobody"], 1, &["nobody"]),
        (&["open", "nobody"], 1, &["nobody"]),
        (&["add", "--after", "nobody", "--", "true"], 1, &["no task nobody"]),
        (&["add", "--workspace", "nix", "--", "true"], 1, &["no workspace nix"]),
        (&["add", "--cwd", "/nowhere", "--", "true"], 1, &["no such directory"]),
        (
            &["add", "--deadline", "yesterday", "--", "true"],
            2,
            &["`yesterday` is no time", "2026-12-01 08:00"],
        ),
        (&["add", "--priority", "1000", "--", "true"], 1, &["from -100 to 100"]),
        (&["add", "--model", "x", "--", "true"], 1, &["no use for a model"]),
        (&["add", "--prompt-file", "nowhere.md"], 1, &["nowhere.md: no such file"]),
        (&["add", "--prompt", " "], 1, &["nothing in its prompt"]),
        (&["add", "--", ""], 1, &["no program"]),
        (&["add"], 2, &["required"]),
    ] {
        let output = task(&site, args).exits(code);
        for what in says {
            assert!(output.err.contains(what), "{args:?} does not say {what}: {}", output.err);
        }
    }
    add(&site, "command", &[], "true");
    task(&site, &["wait", "command"]).ok();
    task(&site, &["open", "command"]).exits(1).says("is a command, and has no session").says("task logs");
    site.run(&["limit", "open"]).exits(1).says("no such account is closed").says("limit list");
}

#[test]
fn a_key_adds_a_task_once() {
    let site = site();
    let once = || task(&site, &["add", "--key", "nightly-1", "--", "true"]).ok().out;
    assert_eq!(once(), once());
    let list: Vec<TaskView> = task(&site, &["list", "--json"]).ok().json();
    assert_eq!(list.len(), 1);
}

#[test]
fn who_waits_or_follows_is_told_when_the_daemon_ends() {
    let site = site();
    held(&site, "a", &[]);
    let mut attached = site.terminal(100, 20, &["task", "attach", "a"]);
    attached.wait_for_text("· running");
    let mut waiting = site.terminal(100, 20, &["task", "wait", "a"]);
    waiting.wait_for_text("1 running");
    site.kill_daemon();
    attached.wait_for_text("the daemon has ended");
    assert_eq!((attached.wait_for_end(), waiting.wait_for_end()), (Some(1), Some(1)));
    site.daemon();
    let_go(&site, "a");
    task(&site, &["attach", "a"]).ok().says("✓ a done");
    let shown =
        site.client().call::<ShowTask>(TaskTarget { task: "a".into(), key: None }).expect("it is known");
    assert_eq!(shown.task.attempt, 1);
}

#[test]
fn a_prompt_is_answered_shown_as_a_text_and_its_session_gone_on_with() {
    let Some(site) = Site::with_claude() else { return };
    site.config("version: 1\nworkspaces: { w: { cwd: $WORK } }\n");
    site.daemon();
    let prompt = "look [[bash:echo made]] [[hold:go]] [[text:all is | well]]";
    let id =
        task(&site, &["add", "look", "--workspace", "w", "--allow", "Bash", "--prompt", prompt]).ok().out;
    let mut attached = site.terminal(100, 30, &["task", "attach", "look"]);
    attached.wait_for_text("● Bash echo made");
    task(&site, &["open", "look"]).exits(1).says("it is running").says("task cancel");
    site.mock().release("go");
    attached.wait_for_text("✓ look done");
    assert_eq!(attached.wait_for_end(), Some(0));
    let shown = attached.contents();
    assert!(shown.contains("all is | well") && shown.contains("2 turns"), "{shown}");
    let answer = task(&site, &["result", id.trim()]).ok().says("2 turns");
    assert_eq!(answer.out, "all is | well\n");
    let text = task(&site, &["logs", "look"]).ok().out;
    assert!(text.contains("● Bash echo made") && !text.contains("\"type\""), "{text}");
    assert!(task(&site, &["logs", "look", "--raw"]).ok().out.contains("\"type\":\"result\""));
    let report = site.run(&["group", "report", "default"]).ok().out;
    assert!(report.contains("```text\nall is | well\n```"), "{report}");

    let opened: Value = task(&site, &["open", "look", "--name", "again", "--json"]).ok().json();
    assert_eq!(opened["session_id"], show(&site, "look").task.session_id.as_deref().expect("it has one"));
    site.wait_status("w/again", Status::Idle);
    task(&site, &["open", "look"]).exits(1);

    let nowhere = task(&site, &["add", "nowhere", "--wait", "--prompt", "say [[text:hello]]"]).ok();
    assert_eq!(nowhere.out, "hello\n");
    task(&site, &["open", "nowhere"]).exits(1).says("belongs to no workspace").says("--workspace NAME");
}
