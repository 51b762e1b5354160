//! Hooks of the user's: what they are given, and that none of them holds anything up.

use std::{fs, path::PathBuf};

use wezterm_parallel_schemas::{
    daemon::Empty,
    event::{Event, EventKind},
    method::{AddTask, ImportTasks, ReloadConfig, WaitForTasks},
    process::{Blocked, State, Status},
    task::{TaskAdd, TaskImport, TaskWait},
};

use crate::support::{
    pty::Pty,
    site::{Site, lives, wait_end},
};

/// Reports to its terminal what it is told to.
const AGENT: &str = r#"#!/bin/sh
stty -echo
while read -r word; do
    printf '\033]7501;%s\007' "$word"
    printf 'did %s\r\n' "$word"
done
"#;

/// A place with one agent that says how it is, and these hooks.
fn site(on: &str) -> Site {
    let site = Site::new();
    site.project("api");
    site.script("agent", AGENT);
    configure(&site, on);
    site.daemon();
    site
}

fn configure(site: &Site, on: &str) {
    site.config(&format!(
        "version: 1
agents: {{ agent: {{ command: [agent] }} }}
workspaces: {{ api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: agent }} }} }} }}
{}",
        on.replace("$OUT", site.path("tmp").to_str().expect("text"))
    ));
}

fn attach(site: &Site) -> Pty {
    site.wait_state("api/lead", State::Running);
    site.terminal(100, 30, &["process", "attach", "api/lead"])
}

fn tell(pty: &Pty, line: &str) {
    pty.type_keys(&format!("{line}\r"));
    pty.wait_for_text(&format!("did {line}"));
}

fn out(site: &Site, name: &str) -> PathBuf {
    site.path("tmp").join(name)
}

fn events(text: &str) -> Vec<Event> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line is an event")).collect()
}

#[test]
fn a_hook_of_an_agent_that_asks_has_the_event_and_runs_once_in_the_projects_directory() {
    let site = site(
        "on:
  process_blocked:
    - cat >> $OUT/blocked; echo \"$WEZTERM_PARALLEL_EVENT $(pwd -P)\" >> $OUT/where
    - [touch, 'a b']
  process_started: ['cat >> $OUT/started']
",
    );
    let pty = attach(&site);
    let started = events(&site.wait_file(&out(&site, "started"), |text| text.ends_with('\n')));
    assert_eq!(started[0].state, Some(State::Running), "{started:?}");
    tell(&pty, "state=blocked:kind=question:text=really?");
    site.wait_status("api/lead", Status::Blocked(Blocked::Question));
    let place = site.path("work/api").canonicalize().expect("it is there");
    let where_it_ran = format!("process_blocked {}\n", place.display());
    site.wait_file(&out(&site, "where"), |text| text == where_it_ran);
    let told = events(&site.wait_file(&out(&site, "blocked"), |text| text.ends_with('\n')));
    let kept: Vec<Event> = site.run(&["events", "--json"]).ok().json();
    assert_eq!(told, kept.iter().filter(|e| e.seq == told[0].seq).cloned().collect::<Vec<_>>());
    assert_eq!(told[0].status, Some(Status::Blocked(Blocked::Question)));
    site.wait_directory(&place, || place.join("a b").exists());
    // another daemon tells nothing of what happened before it
    site.kill_daemon();
    site.daemon();
    site.wait_status("api/lead", Status::Blocked(Blocked::Question));
    tell(&pty, "state=working");
    tell(&pty, "state=blocked:kind=permission");
    let told = events(&site.wait_file(&out(&site, "blocked"), |text| text.lines().count() > 1));
    let asked: Vec<_> = told.iter().map(|e| e.status).collect();
    let both = [Blocked::Question, Blocked::Permission].map(|kind| Some(Status::Blocked(kind)));
    assert_eq!(asked, both, "{told:#?}");
    assert_eq!(events(&fs::read_to_string(out(&site, "started")).expect("it is there")), started);
}

/// A daemon reads the newest events alone, and a task that runs for long is not among those.
#[test]
fn that_a_task_runs_is_told_once_also_by_a_daemon_after_many_events() {
    let site = site("tasks: { parallel: 16 }\non:\n  task_started: ['cat >> $OUT/tasks']\n");
    let task = |name: &str, script: &str| TaskAdd {
        name: Some(name.into()),
        command: vec!["sh".into(), "-c".into(), script.into()],
        cwd: Some(site.path("work")),
        ..TaskAdd::default()
    };
    site.client().call::<AddTask>(task("long", "exec sleep 1000")).expect("it is added");
    site.wait_file(&out(&site, "tasks"), |text| text.contains("\"long\""));
    let tasks = (0..200).map(|n| TaskAdd { group: Some("many".into()), ..task(&n.to_string(), "true") });
    let import = TaskImport { tasks: tasks.collect(), ..TaskImport::default() };
    site.client().call::<ImportTasks>(import).expect("they are added");
    let wait = TaskWait { group: Some("many".into()), ..TaskWait::default() };
    site.client().call::<WaitForTasks>(wait).expect("they are over");
    site.kill_daemon();
    site.daemon();
    // what would be told of the long one is told before this one
    site.client().call::<AddTask>(task("last", "true")).expect("it is added");
    let text = site.wait_file(&out(&site, "tasks"), |text| text.contains("\"last\""));
    assert_eq!(text.matches("\"long\"").count(), 1, "{text}");
}

#[test]
fn a_hook_that_hangs_is_ended_when_its_time_is_up_and_holds_up_nothing() {
    let site = site(
        "on:
  process_started:
    - { command: \"echo $$ > $OUT/new; mv $OUT/new $OUT/pid; echo oh >&2; trap '' TERM; sleep 1000; sleep 1000\", timeout: 1s }
",
    );
    let pid = site.wait_file(&out(&site, "pid"), |text| !text.is_empty());
    let pid = pid.trim().parse().expect("a process id");
    assert!(lives(pid));
    site.run(&["status"]).ok();
    assert_eq!(site.process("api/lead").state, State::Running);
    wait_end(pid);
    site.run(&["status"]).ok();
    let log = site.path("state/wezterm-parallel/daemon.log");
    site.wait_file(&log, |text| text.contains("it was ended after 1s; it said: oh"));
}

#[test]
fn a_flood_of_events_leaves_the_daemon_as_quick_as_it_was() {
    // 50 for each event, of which 4 run and 100 wait
    let hook = "while ! [ -e $OUT/go ]; do sleep 0.05; done; echo x >> $OUT/ran";
    let hooks = vec![format!("    - '{hook}'\n"); 50].concat();
    let site = site(&format!("on:\n  config_applied:\n{hooks}"));
    let mut client = site.client();
    for _ in 0..6 {
        client.call::<ReloadConfig>(Empty {}).expect("it is applied");
    }
    site.run(&["process", "restart", "api/lead"]).ok();
    let log = site.path("state/wezterm-parallel/daemon.log");
    site.wait_file(&log, |text| text.contains("hooks were left out"));
    fs::write(out(&site, "go"), "").expect("a file of ours");
    // the rest is told when all is quiet
    site.wait_file(&log, |text| left_out(text) == 6 * 50 - 104);
    let ran = fs::read_to_string(out(&site, "ran")).expect("some have run");
    assert_eq!(ran.lines().count(), 104);
}

/// How many hooks were left out, by the daemon's log.
fn left_out(log: &str) -> usize {
    let lines = log.lines().filter(|line| line.contains("hooks were left out"));
    let counts = lines
        .filter_map(|line| line.split("count=").nth(1)?.split_whitespace().next()?.parse::<usize>().ok());
    counts.sum()
}

#[test]
fn other_hooks_count_from_the_moment_the_file_is_saved() {
    let site = site("on: { process_exited: ['cat >> $OUT/one'] }\n");
    site.wait_state("api/lead", State::Running);
    site.run(&["process", "restart", "api/lead"]).ok();
    site.wait_file(&out(&site, "one"), |text| text.ends_with('\n'));
    let (seq, daemon) = (site.seq(), site.daemon_pid());
    let run = site.process("api/lead").run_id;
    configure(
        &site,
        "on: { config_applied: ['cat >> $OUT/applied'], process_exited: ['cat >> $OUT/two'] }\n",
    );
    let applied = site.wait_event(seq, "it is applied", |e| e.kind == EventKind::ConfigApplied);
    let told = site.wait_file(&out(&site, "applied"), |text| text.ends_with('\n'));
    assert_eq!(events(&told), [applied]);
    assert_eq!(site.process("api/lead").run_id, run, "nothing is restarted");
    site.run(&["process", "restart", "api/lead"]).ok();
    let told = events(&site.wait_file(&out(&site, "two"), |text| text.ends_with('\n')));
    assert_eq!((told[0].kind, told[0].run_id.as_ref()), (EventKind::ProcessExit, run.as_ref()));
    assert_eq!(fs::read_to_string(out(&site, "one")).expect("it is there").lines().count(), 1);
    // one that is wrong changes nothing
    let seq = site.seq();
    configure(&site, "on: { process_exitd: [x] }\n");
    let refused = site.wait_event(seq, "it is refused", |e| e.kind == EventKind::ConfigRefused);
    assert!(refused.message.is_some_and(|m| m.contains("did you mean `process_exited`?")));
    assert_eq!(site.daemon_pid(), daemon);
    site.run(&["process", "restart", "api/lead"]).ok();
    site.wait_file(&out(&site, "two"), |text| text.lines().count() == 2);
}

#[test]
fn a_hook_that_runs_outlives_the_daemon() {
    let site = site(
        "on: { process_started: ['echo > $OUT/runs; while ! [ -e $OUT/go ]; do sleep 0.05; done; echo x > $OUT/ended'] }\n",
    );
    site.wait_file(&out(&site, "runs"), |text| !text.is_empty());
    site.run(&["stop", "--yes"]).ok();
    assert!(!out(&site, "ended").exists());
    fs::write(out(&site, "go"), "").expect("a file of ours");
    site.wait_file(&out(&site, "ended"), |text| !text.is_empty());
    site.wait_directory(&site.path("tmp"), || site.living().is_empty());
}

#[test]
fn a_projects_own_file_has_no_hooks() {
    let site = site("");
    let project = site.path("work/api");
    fs::write(
        project.join(".wezterm-parallel.yaml"),
        "version: 1\non: { process_started: [touch evil] }\nworkspace: {}\n",
    )
    .expect("a file of ours");
    site.run_in(&project, &["config", "trust"]).exits(1).says("unknown key `on`");
    site.run(&["process", "restart", "api/lead"]).ok();
    assert!(!project.join("evil").exists());
}
