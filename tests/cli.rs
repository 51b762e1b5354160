//! The command line's contract: exit codes, JSON, tables, errors. "The command line" of the issue, and line 9.

use serde_json::Value;
use wezterm_parallel_schemas::{
    daemon::StatusView, event::Event, process::ProcessView, process::State, workspace::WorkspaceView,
};

use crate::support::site::Site;

fn site() -> Site {
    let site = Site::new();
    site.config("version: 1\nworkspaces: { w: { cwd: $WORK, processes: { a: { command: [tail, -f, /dev/null] } } } }\n");
    site.daemon();
    site.wait_state("w/a", State::Running);
    site
}

#[test]
fn wrong_usage_ends_with_2_and_names_what_is_wrong() {
    let site = Site::new();
    for args in [&["fly"][..], &["process", "stop"], &["status", "--colour"], &["events", "--since", "now"]] {
        let output = site.run(args).exits(2);
        assert!(output.out.is_empty() && !output.err.is_empty(), "{output:?}");
    }
}

#[test]
fn without_a_daemon_every_other_verb_ends_with_3_and_says_how_to_start_one() {
    let site = Site::new();
    site.config("version: 1\n");
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["stop", "--yes"],
        &["workspace", "list"],
        &["workspace", "open", "w"],
        &["process", "list"],
        &["process", "start", "w/a"],
        &["process", "attach", "w/a"],
        &["process", "logs", "w/a"],
        &["config", "diff"],
        &["config", "show"],
        &["config", "reload"],
        &["config", "export"],
        &["events"],
    ] {
        site.run(args).exits(3).says("wezterm-parallel up");
    }
    // what needs none works without
    for args in [
        &["config", "check"][..],
        &["config", "path"],
        &["config", "schema"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ] {
        site.run(args).ok();
    }
    assert_eq!(site.run(&["config", "path"]).out.trim(), site.config_path().to_str().expect("text"));
}

#[test]
fn the_json_of_processes_has_the_keys_that_scripts_use() {
    let site = site();
    let list: Value = site.run(&["process", "list", "--json"]).ok().json();
    let process = list[0].as_object().expect("an array of objects");
    for key in [
        "workspace",
        "name",
        "id",
        "kind",
        "state",
        "status",
        "status_reason",
        "unread",
        "pid",
        "keeper_pid",
        "run_id",
        "session_id",
        "restarts",
        "started_at",
        "source",
    ] {
        assert!(process.contains_key(key), "no {key} in {process:#?}");
    }
    assert_eq!(process["state"], "running");
    assert_eq!(process["status"], Value::Null);
    // the program's own, not its keeper's
    let pid = process["pid"].as_i64().expect("it runs");
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("it lives");
    assert_eq!(command, "tail\0-f\0/dev/null\0");
    let _: Vec<ProcessView> = site.run(&["process", "list", "w", "--json"]).ok().json();
    let none: Vec<ProcessView> = site.run(&["process", "list", "--json", "w"]).ok().json();
    assert_eq!(none.len(), 1);
}

#[test]
fn the_json_of_status_has_the_keys_that_scripts_use() {
    let site = site();
    let status: Value = site.run(&["status", "--json"]).ok().json();
    for key in ["pid", "version", "protocol", "socket", "config_generation", "config_error"] {
        assert!(status["daemon"].as_object().expect("an object").contains_key(key), "no {key} in {status:#}");
    }
    assert_eq!(status["daemon"]["socket"], site.socket().to_str().expect("text"));
    let typed: StatusView = site.run(&["status", "--json"]).ok().json();
    assert_eq!((typed.workspaces.len(), typed.processes.len()), (1, 1));
    let workspaces: Vec<WorkspaceView> = site.run(&["workspace", "list", "--json"]).ok().json();
    assert_eq!(workspaces[0].running, 1);
}

#[test]
fn tables_are_for_people() {
    let site = site();
    for args in [&["status"][..], &["process", "list"], &["workspace", "list"]] {
        let output = site.run(args).ok();
        assert!(output.out.contains('w') && !output.out.contains('{'), "{}", output.out);
        assert!(!output.out.contains('\x1b'), "no colours where there is no terminal: {}", output.out);
    }
    let output = site.run(&["process", "list"]).ok();
    assert!(output.out.contains("running"), "{}", output.out);
}

#[test]
fn errors_say_what_why_and_what_to_do() {
    let site = site();
    site.run(&["process", "stop", "w/nobody"]).exits(1).says("nobody");
    site.run(&["workspace", "open", "nowhere"]).exits(1).says("nowhere");
    // it belongs to the file
    site.run(&["workspace", "delete", "w"]).exits(1).says("config.yaml");
    site.run(&["workspace", "rename", "w", "v"]).exits(1).says("config.yaml");
}

#[test]
fn a_process_can_be_named_without_its_workspace_if_there_is_one_only() {
    let site = site();
    site.run(&["process", "stop", "a"]).ok();
    site.project("v");
    site.run(&["workspace", "create", "v", "--cwd", site.path("work/v").to_str().expect("text")]).ok();
    site.run(&["process", "add", "v", "a", "--", "tail", "-f", "/dev/null"]).ok();
    site.run(&["process", "stop", "a"]).exits(1).says("w/a").says("v/a");
    site.run(&["process", "stop", "v/a"]).ok();
}

#[test]
fn a_workspace_is_made_renamed_closed_and_deleted_by_commands() {
    let site = site();
    site.project("v");
    let cwd = site.path("work/v");
    site.run_in(&cwd, &["workspace", "create", "v"]).ok();
    site.run(&["workspace", "create", "v"]).exits(1).says("v");
    site.run(&["process", "add", "v", "--", "tail", "-f", "/dev/null"]).ok();
    site.run(&["workspace", "rename", "v", "u"]).ok();
    let workspaces: Vec<WorkspaceView> = site.run(&["workspace", "list", "--json"]).ok().json();
    let made = workspaces.iter().find(|w| w.name == "u").expect("it has its new name");
    assert_eq!((made.cwd.as_path(), made.running), (cwd.as_path(), 1));
    site.run(&["workspace", "close", "u"]).ok();
    site.run(&["workspace", "delete", "u"]).ok();
    assert_eq!(site.processes().len(), 1);
}

#[test]
fn events_are_listed_followed_and_continued() {
    let site = site();
    let before: Vec<Event> = site.run(&["events", "--json"]).ok().json();
    let last = before.last().expect("something has happened").seq;
    let follow = site.terminal(200, 50, &["events", "--follow", "--since", &last.to_string()]);
    site.run(&["process", "restart", "w/a"]).ok();
    follow.wait_for_text("running");
    let after: Vec<Event> = site.run(&["events", "--json", "--since", &last.to_string()]).ok().json();
    assert_eq!(after.first().map(|e| e.seq), Some(last + 1));
}

#[test]
fn output_into_a_closed_pipe_is_no_error() {
    let site = site();
    let mut command = site.command("sh");
    command.args(["-c", &format!("{} completions bash | head -1", crate::support::site::executable())]);
    let output = crate::support::site::finish(command).ok();
    assert!(output.err.is_empty(), "{}", output.err);
}
