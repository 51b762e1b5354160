//! Nothing is lost, doubled or left behind when the daemon dies, stops or is replaced. Line 8 of what must
//! work, and of line 3 that a keeper outlives the daemon.

use std::{collections::BTreeMap, fs};

use wezterm_parallel_schemas::{
    daemon::StatusView,
    event::EventKind,
    process::{ProcessView, State},
};

use crate::support::site::{Site, executable, finish, kill, lives, wait_end};

const PROCESSES: usize = 8;

/// Programs that count their starts in a file each, so that a second one of the same kind would show.
fn site() -> Site {
    let site = Site::new();
    let mut config = String::from(
        "version: 1\ndefaults: { restart: { backoff: { initial: 1ms } } }\nworkspaces:\n  w:\n    cwd: $WORK\n    processes:\n",
    );
    for n in 0..PROCESSES {
        config += &format!("      p{n}: {{ command: [sh, -c, 'echo x >> p{n}; exec tail -f p{n}'] }}\n");
    }
    site.config(&config);
    site.daemon();
    for n in 0..PROCESSES {
        site.wait_state(&format!("w/p{n}"), State::Running);
    }
    site
}

fn by_name(site: &Site) -> BTreeMap<String, ProcessView> {
    site.processes().into_iter().map(|p| (p.name.clone(), p)).collect()
}

/// Each program runs exactly once, whatever the daemon believes.
fn assert_none_doubled(site: &Site) {
    for n in 0..PROCESSES {
        let command = format!("tail -f p{n}");
        let count = site.living().iter().filter(|(_, c)| *c == command).count();
        assert_eq!(count, 1, "{command}: {:#?}", site.living());
    }
}

#[test]
fn every_run_is_adopted_after_the_daemon_was_killed_any_number_of_times() {
    let site = site();
    let before = by_name(&site);
    for _ in 0..3 {
        site.kill_daemon();
        site.daemon();
        let after = by_name(&site);
        for (name, process) in &before {
            let adopted = &after[name];
            assert_eq!(adopted.state, State::Running, "{name}: {:?}", adopted.state_reason);
            assert_eq!(
                (&adopted.id, &adopted.run_id, adopted.pid, adopted.keeper_pid, adopted.restarts),
                (&process.id, &process.run_id, process.pid, process.keeper_pid, process.restarts),
                "{name}"
            );
        }
        assert_eq!(after.len(), PROCESSES);
        assert_none_doubled(&site);
    }
    for n in 0..PROCESSES {
        assert_eq!(fs::read_to_string(site.path(&format!("work/p{n}"))).expect("it ran"), "x\n", "p{n}");
    }
}

#[test]
fn what_died_while_no_daemon_was_there_is_replaced_and_nothing_else() {
    let site = site();
    let before = by_name(&site);
    site.kill_daemon();
    for name in ["p1", "p2"] {
        let pid = before[name].pid.expect("it runs");
        kill(pid);
        wait_end(before[name].keeper_pid.expect("it has a keeper"));
    }
    site.daemon();
    for name in ["p1", "p2"] {
        let full = format!("w/{name}");
        let after = site.wait_process(&full, |p| p.state == State::Running && p.pid != before[name].pid);
        assert_eq!(after.last_exit.and_then(|e| e.signal), Some(9), "{name}");
    }
    let after = by_name(&site);
    for n in [0, 3, 4, 5, 6, 7] {
        let name = format!("p{n}");
        assert_eq!(after[&name].pid, before[&name].pid, "{name}");
    }
    assert_none_doubled(&site);
}

#[test]
fn the_daemon_can_die_in_the_middle_of_starts_restarts_and_stops() {
    let site = site();
    for round in 0..5 {
        // commands that are under way when it dies: nobody waits for their answers
        let mut clients: Vec<_> = (0..PROCESSES).map(|_| site.client()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            let method = ["process.restart", "process.stop", "process.start"][(n + round) % 3];
            client.send(method, &serde_json::json!({ "workspace": "w", "process": format!("p{n}") }));
        }
        for process in site.processes().iter().take(2) {
            if let Some(pid) = process.pid {
                kill(pid);
            }
        }
        site.kill_daemon();
        drop(clients);
        site.daemon();
        for n in 0..PROCESSES {
            let name = format!("w/p{n}");
            site.wait_process(&name, |p| matches!(p.state, State::Running | State::Stopped));
            site.run(&["process", "start", &name]).ok();
            site.wait_state(&name, State::Running);
        }
        assert_none_doubled(&site);
    }
}

#[test]
fn a_killed_keeper_takes_its_program_along_and_both_are_replaced() {
    let site = site();
    let before = site.process("w/p0");
    kill(before.keeper_pid.expect("it has a keeper"));
    let after = site.wait_process("w/p0", |p| p.state == State::Running && p.pid != before.pid);
    assert!(!lives(before.pid.expect("it ran")));
    let note = after.last_exit.and_then(|e| e.note).unwrap_or_default();
    assert!(note.contains("keeper"), "{note:?}");
    assert_none_doubled(&site);
}

#[test]
fn stop_leaves_nothing_at_all() {
    let site = site();
    let living = site.living();
    assert!(living.len() > 2 * PROCESSES, "{living:#?}");
    site.run(&["stop", "--yes"]).ok();
    assert_eq!(site.living(), []);
    site.run(&["status"]).exits(3);
    assert!(!site.socket().exists());
}

#[test]
fn stop_keep_leaves_the_runs_and_the_next_daemon_takes_them_over() {
    let site = site();
    let before = by_name(&site);
    let daemon = site.daemon_pid();
    site.run(&["stop", "--keep", "--yes"]).ok();
    assert!(!lives(daemon));
    assert_none_doubled(&site);
    site.daemon();
    let after = by_name(&site);
    for (name, process) in &before {
        assert_eq!((after[name].pid, after[name].restarts), (process.pid, process.restarts), "{name}");
    }
}

#[test]
fn a_daemon_that_was_asked_to_end_by_a_signal_keeps_the_runs() {
    let site = site();
    let before = by_name(&site);
    let daemon = site.daemon_pid();
    let pid = rustix::process::Pid::from_raw(daemon).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
    wait_end(daemon);
    assert_none_doubled(&site);
    site.daemon();
    assert_eq!(by_name(&site)["p0"].pid, before["p0"].pid);
}

#[test]
fn what_was_stopped_stays_stopped_and_what_was_made_stays_made() {
    let site = site();
    site.run(&["process", "stop", "w/p0"]).ok();
    site.project("other");
    site.run(&["workspace", "create", "other", "--cwd", site.path("work/other").to_str().expect("text")])
        .ok();
    site.run(&["process", "add", "other", "mine", "--", "tail", "-f", "/dev/null"]).ok();
    let mine = site.process("other/mine");
    site.kill_daemon();
    site.daemon();
    assert_eq!(site.process("w/p0").state, State::Stopped);
    let adopted = site.process("other/mine");
    assert_eq!((adopted.pid, adopted.id, adopted.source), (mine.pid, mine.id, mine.source));
}

#[test]
fn a_config_edited_while_no_daemon_was_there_is_applied_by_the_next_one() {
    let site = site();
    let before = by_name(&site);
    site.kill_daemon();
    let text = fs::read_to_string(site.config_path()).expect("it is there");
    site.config(&text.replace("p7: {", "new: {"));
    site.daemon();
    site.wait_state("w/new", State::Running);
    site.wait_event(0, "p7 is gone", |e| {
        e.kind == EventKind::ProcessRemoved && e.process.as_deref() == Some("p7")
    });
    let after = by_name(&site);
    assert!(!after.contains_key("p7"), "{after:#?}");
    assert_eq!(after["p0"].pid, before["p0"].pid);
}

#[test]
fn a_config_that_became_bad_while_no_daemon_was_there_leaves_the_last_good_one_in_force() {
    let site = site();
    let before = by_name(&site);
    site.kill_daemon();
    site.config("version: 1\nworkspaces: [\n");
    site.daemon();
    let status: StatusView = site.run(&["status", "--json"]).ok().json();
    assert!(status.daemon.config_error.is_some());
    assert_eq!(by_name(&site)["p0"].pid, before["p0"].pid);
    assert_eq!(status.processes.len(), PROCESSES);
}

#[test]
fn a_stop_whose_client_goes_away_ends_the_daemon_all_the_same() {
    let site = site();
    let pid = site.daemon_pid();
    let mut client = site.client();
    client.send("daemon.stop", &serde_json::json!({}));
    drop(client);
    wait_end(pid);
    assert_eq!(site.living(), []);
}

#[test]
fn a_stop_that_is_asked_for_twice_ends_the_daemon_also_if_its_client_goes_away() {
    let site = site();
    let pid = site.daemon_pid();
    let mut client = site.client();
    client.send("daemon.stop", &serde_json::json!({}));
    client.send("daemon.stop", &serde_json::json!({}));
    drop(client);
    wait_end(pid);
    assert_eq!(site.living(), []);
}

#[test]
fn a_stop_with_a_key_that_was_used_ends_the_runs_of_a_later_daemon_too() {
    let site = site();
    for _ in 0..2 {
        site.daemon();
        site.wait_state("w/p0", State::Running);
        let pid = site.daemon_pid();
        site.client().send("daemon.stop", &serde_json::json!({ "key": "again" }));
        wait_end(pid);
        assert_eq!(site.living(), []);
    }
}

#[test]
fn a_restart_that_the_daemon_does_not_live_to_see_is_finished_by_the_next_one() {
    let site = Site::new();
    site.config("version: 1\nworkspaces: { w: { cwd: $WORK, processes: { p: { command: [sh, -c, 'trap \"sleep 1; exit\" TERM; while :; do sleep 0.1; done'] } } } }\n");
    site.daemon();
    let before = site.wait_state("w/p", State::Running);
    let mut client = site.client();
    client.send("process.restart", &serde_json::json!({ "process": "w/p" }));
    site.wait_state("w/p", State::Stopping);
    site.kill_daemon();
    site.daemon();
    let after = site.wait_process("w/p", |p| p.state == State::Running && p.pid != before.pid);
    assert!(!lives(before.pid.expect("it ran")) && after.pid.is_some());
}

#[test]
fn a_daemon_started_from_inside_of_a_run_outlives_it() {
    let site = Site::new();
    let state = site.path("inner");
    let exe = executable();
    // its own places, so that it is a daemon of its own
    site.script(
        "nested",
        &format!("#!/bin/sh\nexport WEZTERM_PARALLEL_STATE_DIR={0}/state WEZTERM_PARALLEL_RUNTIME_DIR={0}/run\n{exe} daemon > {0}/up\nexec tail -f /dev/null\n", state.display()),
    );
    fs::create_dir_all(&state).expect("it is ours");
    site.config("version: 1\nworkspaces: { w: { cwd: $WORK, processes: { p: { command: [nested] } } } }\n");
    site.daemon();
    site.wait_file(&state.join("up"), |text| text.contains("serves"));
    let info = fs::read_to_string(state.join("state/daemon.json")).expect("it serves");
    let info: serde_json::Value = serde_json::from_str(&info).expect("json");
    let inner = i32::try_from(info["pid"].as_i64().expect("a number")).expect("a process id");
    site.run(&["process", "stop", "w/p"]).ok();
    assert!(lives(inner), "the inner daemon is not part of the run");
    let mut stop = site.command(exe);
    stop.env("WEZTERM_PARALLEL_STATE_DIR", state.join("state"));
    stop.env("WEZTERM_PARALLEL_RUNTIME_DIR", state.join("run")).args(["stop", "--yes"]);
    finish(stop).ok();
}
