//! The config while it runs. Line 6 of what must work, and the parts of "bad input" that concern it.

use std::fs;

use wezterm_parallel_schemas::{
    daemon::StatusView,
    event::EventKind,
    process::{Source, State},
};

use crate::support::site::{Site, lives};

fn config(processes: &str) -> String {
    format!("version: 1\nworkspaces:\n  w:\n    cwd: $WORK\n    processes:\n{processes}")
}

const A: &str = "      a: { command: [tail, -f, /dev/null] }\n";
const B: &str = "      b: { command: [tail, -f, /dev/null] }\n";

fn site() -> Site {
    let site = Site::new();
    site.config(&config(A));
    site.daemon();
    site.wait_state("w/a", State::Running);
    site
}

#[test]
fn editing_the_file_adds_and_removes_exactly_what_differs() {
    let site = site();
    let a = site.process("w/a");
    site.config(&config(&format!("{A}{B}")));
    let b = site.wait_state("w/b", State::Running);
    assert_eq!(site.process("w/a"), a);
    let seq = site.seq();
    site.config(&config(A));
    site.wait_event(seq, "b is removed", |e| e.kind == EventKind::ProcessRemoved);
    assert_eq!(site.processes().len(), 1);
    assert!(!lives(b.pid.expect("it ran")));
    assert_eq!(site.process("w/a"), a);
}

#[test]
fn a_changed_command_restarts_that_process_and_no_other() {
    let site = site();
    site.config(&config(&format!("{A}{B}")));
    let a = site.process("w/a");
    let b = site.wait_state("w/b", State::Running);
    site.config(&config(&format!("{A}      b: {{ command: [sh, -c, exec tail -f /dev/null] }}\n")));
    site.wait_process("w/b", |p| p.state == State::Running && p.pid != b.pid);
    assert_eq!(site.process("w/a"), a);
}

#[test]
fn a_changed_policy_restarts_nothing() {
    let site = site();
    let a = site.process("w/a");
    let seq = site.seq();
    site.config(&config(
        "      a: { command: [tail, -f, /dev/null], restart: { policy: never }, stop: { grace: 1s } }\n",
    ));
    site.wait_event(seq, "the config is applied", |e| e.kind == EventKind::ConfigApplied);
    assert_eq!(site.process("w/a").pid, a.pid);
    // and it is in force
    crate::support::site::kill(a.pid.expect("it runs"));
    site.wait_state("w/a", State::Failed);
}

#[test]
fn a_bad_file_changes_nothing_and_says_where_and_why() {
    let site = site();
    let a = site.process("w/a");
    for (bad, expected) in [
        ("version: 1\nworkspaces:\n  w: { cwd: $WORK, proceses: {} }\n", "processes"),
        ("version: 1\nworkspaces:\n  w: { cwd: $WORK, processes: { a: { command: tail } } }\n", "command"),
        ("version: 1\nworkspaces: { w: { cwd: $WORK }, w: { cwd: $WORK } }\n", "w"),
        ("version: 1\nworkspaces: [\n", "config.yaml:2:"),
        (
            "version: 1\nworkspaces: { w: { cwd: $WORK, processes: { a: { command: [x], after: { b: started } }, b: { command: [x], after: { a: started } } } } }\n",
            "after",
        ),
        ("version: 1\nworkspaces: { w: { cwd: $WORK, processes: { a: { agent: cluade } } } }\n", "cluade"),
        ("version: 2\n", "version"),
        (BOMB, ""),
    ] {
        let seq = site.seq();
        site.config(bad);
        let event = site.wait_event(seq, bad, |e| e.kind == EventKind::ConfigRefused);
        let message = event.message.expect("a refusal says why");
        assert!(message.contains(expected), "{bad}\n{message}");
        let status: StatusView = site.run(&["status", "--json"]).ok().json();
        assert_eq!(status.daemon.config_error.as_deref(), Some(message.as_str()));
        assert_eq!(status.processes, std::slice::from_ref(&a));
        // people see it too
        let shown = site.run(&["status"]).ok();
        let first = message.lines().next().unwrap_or_default();
        assert!(shown.out.contains(first) || shown.err.contains(first), "{shown:?}");
        site.run(&["config", "check"]).exits(1).says(expected);
    }
    let seq = site.seq();
    site.config(&config(A));
    site.wait_event(seq, "the config is applied", |e| e.kind == EventKind::ConfigApplied);
    let status: StatusView = site.run(&["status", "--json"]).ok().json();
    assert_eq!(status.daemon.config_error, None);
    assert_eq!(status.processes, [a]);
}

/// Ten levels of ten aliases: 10 GB if it is expanded.
const BOMB: &str = "version: 1
a: &a [x,x,x,x,x,x,x,x,x,x]
b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]
g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]
h: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g,*g]
i: &i [*h,*h,*h,*h,*h,*h,*h,*h,*h,*h]
workspaces: *i
";

#[test]
fn a_misspelt_key_is_answered_with_the_right_one_and_its_line() {
    let site = Site::new();
    site.config("version: 1\nworkspaces:\n  w:\n    cwd: $WORK\n    proceses: {}\n");
    let output = site.run(&["config", "check"]).exits(1).says("proceses").says("processes");
    assert!(output.err.contains('5'), "the line: {}", output.err);
}

#[test]
fn a_diff_says_what_would_change_and_changes_nothing() {
    let site = site();
    let a = site.process("w/a");
    let other = site.path("work/other.yaml");
    let text = config(&format!("      a: {{ command: [tail, -F, /dev/null] }}\n{B}"));
    fs::write(&other, text.replace("$WORK", site.path("work").to_str().expect("text")))
        .expect("a file of ours");
    let diff = site.run(&["config", "diff", other.to_str().expect("text")]).ok();
    assert!(diff.out.contains("w/a") && diff.out.contains("w/b"), "{}", diff.out);
    assert_eq!(site.processes(), [a]);
}

#[test]
fn toml_of_the_same_shape_is_read_as_well() {
    let site = Site::new();
    let path = site.path("config/wezterm-parallel/config.toml");
    fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("it can be made");
    let work = site.path("work");
    fs::write(
        path,
        format!(
            "version = 1\n[workspaces.w]\ncwd = {work:?}\n[workspaces.w.processes.a]\ncommand = [\"tail\", \"-f\", \"/dev/null\"]\n"
        ),
    )
    .expect("a file of ours");
    site.daemon();
    site.wait_state("w/a", State::Running);
}

#[test]
fn the_file_may_be_a_link_and_is_watched_where_it_lies() {
    let site = Site::new();
    let real = site.path("work/dotfiles.yaml");
    let text =
        |processes: &str| config(processes).replace("$WORK", site.path("work").to_str().expect("text"));
    fs::write(&real, text(A)).expect("a file of ours");
    fs::create_dir_all(site.config_path().parent().expect("it lies in a directory")).expect("it can be made");
    std::os::unix::fs::symlink(&real, site.config_path()).expect("a new link");
    site.daemon();
    site.wait_state("w/a", State::Running);
    // written in place, as some editors do
    fs::write(&real, text(&format!("{A}{B}"))).expect("a file of ours");
    site.wait_state("w/b", State::Running);
}

#[test]
fn what_commands_made_is_kept_by_a_reload_and_can_be_exported() {
    let site = site();
    site.run(&["process", "add", "w", "mine", "--", "tail", "-f", "/dev/null"]).ok();
    let mine = site.process("w/mine");
    assert_eq!((mine.source, mine.state), (Source::Runtime, State::Running));
    site.config(&config(&format!("{A}{B}")));
    site.wait_state("w/b", State::Running);
    assert_eq!(site.process("w/mine"), mine);
    let export = site.run(&["config", "export"]).ok();
    assert!(export.out.contains("mine") && !export.out.contains("b:"), "{}", export.out);
    // what the file has is changed in the file
    site.run(&["process", "remove", "w/a"]).exits(1).says("config");
    site.run(&["process", "remove", "w/mine"]).ok();
    assert!(!lives(mine.pid.expect("it ran")));
}

/// A config whose workspace `proj` has the directory of a project, and nothing in it.
const PROJECT: &str = "version: 1\nworkspaces: { proj: { cwd: $WORK/proj } }\n";

#[test]
fn a_projects_own_file_counts_when_it_is_trusted_as_it_is() {
    let site = Site::new();
    let project = site.project("proj");
    let file = project.join(".wezterm-parallel.yaml");
    let text = |name: &str| {
        format!("version: 1\nworkspace:\n  processes:\n    {name}: {{ command: [tail, -f, /dev/null] }}\n")
    };
    fs::write(&file, text("one")).expect("a file of ours");
    site.config(PROJECT);
    site.daemon();
    assert!(problem(&site).contains("config trust"), "{}", problem(&site));
    assert_eq!(site.processes(), []);
    site.run_in(&project, &["config", "trust"]).ok();
    let one = site.wait_state("proj/one", State::Running);
    assert_eq!(one.source, Source::Project);
    assert_eq!(problem(&site), "");

    // any change asks again, and what was trusted stays meanwhile
    let seq = site.seq();
    fs::write(&file, text("two")).expect("a file of ours");
    site.wait_event(seq, "it is not trusted any more", |e| e.kind == EventKind::WorkspaceChanged);
    assert!(problem(&site).contains("config trust"), "{}", problem(&site));
    assert_eq!(site.process("proj/one").pid, one.pid);
    site.run_in(&project, &["config", "trust"]).ok();
    site.wait_state("proj/two", State::Running);
    assert!(!lives(one.pid.expect("it ran")));
    site.run_in(&project, &["config", "untrust"]).ok();
    assert_eq!(site.processes(), []);
}

/// What is wrong with the workspace `proj`.
fn problem(site: &Site) -> String {
    let status: StatusView = site.run(&["status", "--json"]).ok().json();
    let workspace = status.workspaces.into_iter().find(|w| w.name == "proj").expect("it is in the config");
    workspace.problem.unwrap_or_default()
}

#[test]
fn a_project_can_add_to_its_own_workspace_and_nothing_else() {
    let site = Site::new();
    let project = site.project("proj");
    site.config(PROJECT);
    site.daemon();
    for (evil, key) in [
        ("version: 1\nagents: { claude: { command: [evil] } }\nworkspace: {}\n", "agents"),
        (
            "version: 1\nworkspace: { processes: { a: { agent: claude, args: [--dangerously-skip-permissions] } } }\n",
            "--dangerously-skip-permissions",
        ),
        (
            "version: 1\nworkspace: { env: { ANTHROPIC_BASE_URL: 'http://evil' }, processes: { a: { agent: claude } } }\n",
            "ANTHROPIC_BASE_URL",
        ),
        ("version: 1\nworkspace: { cwd: /etc }\n", "cwd"),
    ] {
        fs::write(project.join(".wezterm-parallel.yaml"), evil).expect("a file of ours");
        site.run_in(&project, &["config", "trust"]).exits(1).says(key);
        assert_eq!(site.processes(), []);
    }
}

#[test]
fn sighup_reads_the_file_and_ends_nothing() {
    let site = site();
    let (a, daemon) = (site.process("w/a"), site.daemon_pid());
    let pid = rustix::process::Pid::from_raw(daemon).expect("a process id");
    // more than one at a time, and while the file is written
    for _ in 0..3 {
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it is ours");
    }
    site.config(&config(&format!("{A}{B}")));
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it is ours");
    site.wait_state("w/b", State::Running);
    assert_eq!((site.daemon_pid(), site.process("w/a")), (daemon, a));
}

#[test]
fn a_reload_that_was_asked_for_is_answered_with_what_it_did() {
    let site = site();
    let nothing = site.run(&["config", "reload"]).ok();
    site.config("version: 1\nworkspaces: [\n");
    site.run(&["config", "reload"]).exits(1).says("config.yaml:2:");
    site.config(&config(A));
    site.run(&["config", "reload"]).ok();
    assert!(!nothing.out.contains("w/a"), "{}", nothing.out);
}

#[test]
fn the_schema_that_editors_read_is_printed() {
    let site = Site::new();
    let printed: serde_json::Value = site.run(&["config", "schema"]).ok().json();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/generated/config.schema.json");
    let generated: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(file).expect("it is part of the repository")).expect("json");
    assert_eq!(printed, generated);
}

#[test]
fn a_config_that_is_moved_away_for_a_moment_takes_nothing_away() {
    let site = site();
    let a = site.process("w/a");
    let seq = site.seq();
    let aside = site.config_path().with_extension("aside");
    fs::rename(site.config_path(), &aside).expect("it is there");
    let event = site.wait_event(seq, "it is missed", |e| e.kind == EventKind::ConfigRefused);
    assert!(event.message.is_some_and(|m| m.contains("config.yaml")));
    assert_eq!(site.process("w/a"), a);
    // nor does a daemon that starts without it
    site.kill_daemon();
    site.daemon();
    assert_eq!(site.wait_state("w/a", State::Running).pid, a.pid);
    let seq = site.seq();
    fs::rename(&aside, site.config_path()).expect("it is there");
    site.wait_event(seq, "it is back", |e| e.kind == EventKind::ConfigApplied);
    assert_eq!(site.process("w/a").pid, a.pid);
}

#[test]
fn a_workspace_that_is_taken_out_and_put_back_while_it_ends_comes_back_whole() {
    let site = Site::new();
    // takes its time to end
    let slow =
        "      a: { command: [sh, -c, 'trap \"sleep 0.5; exit\" TERM; while :; do sleep 0.1; done'] }\n";
    site.config(&config(slow));
    site.daemon();
    let before = site.wait_state("w/a", State::Running);
    let seq = site.seq();
    site.config("version: 1\n");
    site.wait_event(seq, "it ends", |e| e.state == Some(State::Stopping));
    site.config(&config(slow));
    site.wait_event(seq, "the old one is gone", |e| e.kind == EventKind::WorkspaceRemoved);
    let after = site.wait_process("w/a", |p| p.id != before.id && p.state == State::Running);
    assert!(!lives(before.pid.expect("it ran")));
    // and it is on the disk: the next daemon finds it
    site.kill_daemon();
    site.daemon();
    assert_eq!(site.wait_state("w/a", State::Running).pid, after.pid);
}
