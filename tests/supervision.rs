//! Supervision: restarts, crash loops, strategies, start and stop order, and what a stop leaves behind.
//! Line 2 of what must work, and of line 3 that a stop sweeps the whole tree.

use std::{fs, io::Write, path::Path};

use rustix::fs::{Mode, mknodat};
use wezterm_parallel_schemas::{
    event::EventKind,
    process::{State, Status},
};

use crate::support::site::{Site, kill, lives};

/// A program that does nothing, for ever.
const IDLE: &str = "[tail, -f, /dev/null]";

fn site(workspace: &str) -> Site {
    let site = Site::new();
    site.config(&format!(
        "version: 1\ndefaults: {{ restart: {{ backoff: {{ initial: 1ms, max: 10ms }} }} }}\nworkspaces:\n  w:\n    cwd: $WORK\n{workspace}"
    ));
    site.daemon();
    site
}

/// A named pipe, from which a program reads a line as soon as the test opens the gate.
fn gate(site: &Site, name: &str) -> impl Fn() + use<> {
    let path = site.path("work").join(name);
    mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0)
        .expect("a new pipe");
    move || open_gate(&path)
}

fn open_gate(path: &Path) {
    let mut pipe = fs::OpenOptions::new().write(true).open(path).expect("the program opens the other end");
    pipe.write_all(b"go\n").expect("the program reads");
}

#[test]
fn a_killed_process_is_replaced_by_exactly_one() {
    let site = site(&format!("    processes: {{ a: {{ command: {IDLE} }} }}\n"));
    let before = site.wait_state("w/a", State::Running);
    kill(before.pid.expect("a running process has one"));
    let after = site.wait_process("w/a", |p| p.state == State::Running && p.pid != before.pid);
    assert_eq!(after.restarts, 1);
    assert_ne!(after.run_id, before.run_id);
    let tails = site.living().into_iter().filter(|(_, command)| command == "tail -f /dev/null").count();
    assert_eq!(tails, 1, "{:#?}", site.living());
    assert_eq!(after.last_exit.and_then(|e| e.signal), Some(9));
}

#[test]
fn the_policy_decides_whether_a_process_that_ended_is_started_again() {
    let site = site(
        "    processes:
      good:    { command: [sh, -c, exit 0], restart: { policy: on-failure } }
      once:    { command: [sh, -c, exit 7], restart: { policy: never } }
      forever: { command: [sh, -c, echo x >> forever; exit 0], restart: { policy: always, max_restarts: 2 } }
",
    );
    let good = site.wait_state("w/good", State::Exited);
    assert_eq!((good.restarts, good.pid), (0, None));
    let once = site.wait_state("w/once", State::Failed);
    assert_eq!((once.restarts, once.last_exit.and_then(|e| e.code)), (0, Some(7)));
    site.wait_state("w/forever", State::CrashLoop);
    assert_eq!(fs::read_to_string(site.path("work/forever")).expect("it ran"), "x\nx\nx\n");
}

#[test]
fn a_crash_loop_is_a_state_with_its_reason_and_leaves_the_neighbours_alone() {
    let site = site(&format!(
        "    processes:
      a: {{ command: [sh, -c, 'test -e ok && exec tail -f /dev/null; exit 3'], restart: {{ max_restarts: 3 }} }}
      b: {{ command: {IDLE} }}
"
    ));
    let neighbour = site.wait_state("w/b", State::Running);
    let looping = site.wait_state("w/a", State::CrashLoop);
    assert_eq!(looping.restarts, 3);
    let reason = looping.state_reason.expect("a crash loop has a reason");
    assert!(reason.contains("exit code 3"), "{reason}");
    assert_eq!(site.process("w/b"), neighbour);

    // it is left alone until somebody starts it
    fs::write(site.path("work/ok"), "").expect("a file of ours");
    site.run(&["process", "start", "w/a"]).ok();
    let running = site.wait_state("w/a", State::Running);
    assert_eq!(running.restarts, 0);
}

#[test]
fn on_crash_loop_can_stop_the_whole_workspace() {
    let site = site(&format!(
        "    on_crash_loop: stop_workspace
    processes:
      b: {{ command: {IDLE} }}
      a: {{ command: [sh, -c, exit 3], restart: {{ max_restarts: 1 }}, after: {{ b: started }} }}
"
    ));
    site.wait_state("w/a", State::CrashLoop);
    site.wait_state("w/b", State::Stopped);
}

#[test]
fn one_for_all_restarts_every_process_of_the_workspace() {
    let site = site(&format!(
        "    strategy: one_for_all\n    processes: {{ a: {{ command: {IDLE} }}, b: {{ command: {IDLE} }} }}\n"
    ));
    let (a, b) = (site.wait_state("w/a", State::Running), site.wait_state("w/b", State::Running));
    kill(a.pid.expect("it runs"));
    site.wait_process("w/a", |p| p.state == State::Running && p.pid != a.pid);
    site.wait_process("w/b", |p| p.state == State::Running && p.pid != b.pid);
}

#[test]
fn rest_for_one_restarts_what_starts_after_and_nothing_before() {
    let site = site(&format!(
        "    strategy: rest_for_one
    processes:
      a: {{ command: {IDLE} }}
      b: {{ command: {IDLE}, after: {{ a: started }} }}
      c: {{ command: {IDLE}, after: {{ b: started }} }}
"
    ));
    let [a, b, c] = ["w/a", "w/b", "w/c"].map(|name| site.wait_state(name, State::Running));
    kill(b.pid.expect("it runs"));
    site.wait_process("w/b", |p| p.state == State::Running && p.pid != b.pid);
    site.wait_process("w/c", |p| p.state == State::Running && p.pid != c.pid);
    assert_eq!(site.process("w/a").pid, a.pid);
}

#[test]
fn a_process_waits_until_those_before_it_are_ready() {
    let site = Site::new();
    let open = gate(&site, "gate");
    site.config(&format!(
        "version: 1
workspaces:
  w:
    cwd: $WORK
    processes:
      client: {{ command: {IDLE}, after: {{ server: ready }} }}
      server: {{ command: [sh, -c, 'read x < gate; echo listening on 80; exec tail -f /dev/null'], ready: {{ log: 'listening on [0-9]+' }} }}
"
    ));
    site.daemon();
    site.wait_process("w/server", |p| p.pid.is_some());
    let waiting = site.process("w/client");
    assert_eq!((waiting.state, waiting.pid), (State::Starting, None));
    let reason = waiting.state_reason.expect("who waits says what for");
    assert!(reason.contains("server"), "{reason}");
    open();
    site.wait_state("w/client", State::Running);
}

#[test]
fn a_process_is_ready_when_its_port_is_open_or_its_command_succeeds() {
    let site = site(&format!(
        "    processes:
      port:    {{ command: [python3, -m, http.server, '--bind', 127.0.0.1, '48731'], ready: {{ port: 48731 }} }}
      command: {{ command: {IDLE}, ready: {{ command: [test, -e, ok] }} }}
      one:     {{ command: {IDLE}, after: {{ port: ready }} }}
      two:     {{ command: {IDLE}, after: {{ command: ready }} }}
"
    ));
    site.wait_state("w/one", State::Running);
    assert_eq!(site.process("w/two").pid, None);
    fs::write(site.path("work/ok"), "").expect("a file of ours");
    site.wait_state("w/two", State::Running);
}

#[test]
fn a_process_can_wait_for_another_one_to_have_ended_well() {
    let site = Site::new();
    let open = gate(&site, "gate");
    site.config(
        "version: 1
workspaces:
  w:
    cwd: $WORK
    processes:
      build: { command: [sh, -c, 'read x < gate; echo built > built'] }
      app:   { command: [sh, -c, 'cat built && exec tail -f /dev/null'], after: { build: exited } }
",
    );
    site.daemon();
    site.wait_process("w/build", |p| p.pid.is_some());
    assert_eq!(site.process("w/app").state, State::Starting);
    open();
    site.wait_state("w/app", State::Running);
    assert_eq!(site.process("w/build").state, State::Exited);
}

#[test]
fn a_process_that_is_not_ready_in_time_counts_as_failed() {
    let site = site(&format!(
        "    processes: {{ a: {{ command: {IDLE}, ready: {{ log: never }}, ready_timeout: 50ms, restart: {{ policy: never }} }} }}\n"
    ));
    let failed = site.wait_state("w/a", State::Failed);
    let reason = failed.state_reason.expect("a failure has a reason");
    assert!(reason.contains("ready"), "{reason}");
    assert_eq!(failed.pid, None);
}

#[test]
fn processes_stop_in_the_reverse_of_their_start_order() {
    let program = |name: &str| {
        format!(
            "[sh, -c, 'trap \"echo {name} >> stopped; exit 0\" TERM; echo up; tail -f /dev/null & while :; do wait; done']"
        )
    };
    let site = site(&format!(
        "    processes:
      a: {{ command: {}, ready: {{ log: up }} }}
      b: {{ command: {}, ready: {{ log: up }}, after: {{ a: ready }} }}
      c: {{ command: {}, ready: {{ log: up }}, after: {{ b: ready }} }}
      d: {{ command: {IDLE}, after: {{ c: ready }} }}
",
        program("a"),
        program("b"),
        program("c"),
    ));
    site.wait_state("w/d", State::Running);
    site.run(&["workspace", "close", "w"]).ok();
    assert_eq!(fs::read_to_string(site.path("work/stopped")).expect("they were asked"), "c\nb\na\n");
    assert!(site.processes().iter().all(|p| p.state == State::Stopped), "{:#?}", site.processes());
    site.run(&["workspace", "open", "w"]).ok();
    site.wait_state("w/d", State::Running);
}

#[test]
fn a_stop_ends_what_ignores_sigterm_and_what_has_left_the_session() {
    let site = site(
        r#"    processes:
      a:
        command:
          - sh
          - -c
          - |
            trap '' TERM
            setsid tail -f /dev/null &
            setsid sh -c 'setsid tail -f /dev/null & setsid tail -f /dev/null &' &
            setsid env -i sh -c 'trap "" TERM HUP INT; cd /; tail -f /dev/null' &
            echo up
            while :; do wait; done
        ready: { log: up }
        stop: { grace: 50ms }
      b: { command: [tail, -f, /dev/null], after: { a: ready } }
"#,
    );
    site.wait_state("w/b", State::Running);
    site.run(&["process", "stop", "w/b"]).ok();
    let tree = descendants(site.process("w/a").keeper_pid.expect("a run has a keeper"));
    assert!(tree.len() >= 5, "{tree:?}");
    site.run(&["process", "stop", "w/a"]).ok();
    let left: Vec<_> = tree.into_iter().filter(|pid| lives(*pid)).collect();
    assert!(left.is_empty(), "alive after the stop: {left:?}");
}

#[test]
fn what_a_program_leaves_behind_when_it_ends_is_swept_too() {
    let site = site("    processes: { a: { command: [sh, -c, 'setsid tail -f /dev/null & exit 0'] } }\n");
    site.wait_state("w/a", State::Exited);
    let left: Vec<_> = site.living().into_iter().filter(|(_, c)| c.starts_with("tail")).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_process_without_autostart_rests_until_it_is_started() {
    let site = site(&format!(
        "    processes: {{ a: {{ command: {IDLE}, autostart: false }}, b: {{ command: {IDLE} }} }}\n"
    ));
    site.wait_state("w/b", State::Running);
    assert_eq!(site.process("w/a").state, State::Stopped);
    site.run(&["process", "start", "w/a"]).ok();
    site.wait_state("w/a", State::Running);
}

#[test]
fn commands_are_answered_when_their_effect_is_true() {
    let site = site(&format!("    processes: {{ a: {{ command: {IDLE} }} }}\n"));
    let first = site.wait_state("w/a", State::Running);
    site.run(&["process", "stop", "w/a"]).ok();
    let stopped = site.process("w/a");
    assert_eq!((stopped.state, stopped.pid), (State::Stopped, None));
    assert!(!lives(first.pid.expect("it ran")) && !lives(first.keeper_pid.expect("it ran")));
    site.run(&["process", "start", "w/a"]).ok();
    let second = site.process("w/a");
    assert_eq!(second.state, State::Running);
    site.run(&["process", "restart", "w/a"]).ok();
    let third = site.process("w/a");
    assert_eq!(third.state, State::Running);
    assert_ne!(third.pid, second.pid);
    assert!(!lives(second.pid.expect("it ran")));
}

#[test]
fn every_end_of_a_run_is_an_event_that_says_how() {
    let site = site(&format!("    processes: {{ a: {{ command: {IDLE} }} }}\n"));
    let running = site.wait_state("w/a", State::Running);
    let seq = site.seq();
    kill(running.pid.expect("it runs"));
    let event = site.wait_event(seq, "the end of the run", |e| e.kind == EventKind::ProcessExit);
    assert_eq!(event.run_id, running.run_id);
    assert_eq!(event.exit.and_then(|e| e.signal), Some(9));
    site.wait_process("w/a", |p| p.state == State::Running && p.pid != running.pid);
}

#[test]
fn starts_of_claude_are_ramped_and_the_place_in_the_queue_is_shown() {
    let site = Site::new();
    let open = gate(&site, "gate");
    // shows its prompt as soon as the test lets it
    stand_in(&site, "slow", "read x < gate; say idle");
    site.config(
        "version: 1
agents: { slow: { kind: claude, command: [slow], start_at_once: 1 } }
workspaces:
  w:
    cwd: $WORK
    processes:
      a: { agent: slow }
      b: { agent: slow, autostart: false }
      c: { agent: slow, autostart: false }
      d: { agent: slow, autostart: false }
",
    );
    site.daemon();
    // the first one in a directory is alone in any case: it may ask for trust
    site.wait_process("w/a", |p| p.pid.is_some());
    open();
    site.wait_status("w/a", Status::Idle);
    for name in ["w/b", "w/c", "w/d"] {
        // answered when it runs, or when it waits for its place
        site.run(&["process", "start", name]).ok();
    }
    assert!(site.process("w/b").pid.is_some());
    let third = site.process("w/d");
    assert_eq!((third.state, third.pid), (State::Starting, None));
    let reason = third.state_reason.expect("who waits says what for");
    assert!(reason.contains("number 2 in the queue"), "{reason}");
    for name in ["w/b", "w/c", "w/d"] {
        site.wait_process(name, |p| p.pid.is_some());
        open();
        site.wait_status(name, Status::Idle);
    }
}

/// Puts a stand-in for Claude Code on the PATH: `say STATE` in it tells the terminal what Claude would.
fn stand_in(site: &Site, name: &str, script: &str) {
    site.script(
        name,
        &format!(
            "#!/bin/sh\nsay() {{ printf '\\033]7501;state=%s:app=claude-code\\007' \"$1\"; }}\n{script}\nexec tail -f /dev/null\n"
        ),
    );
}

#[test]
fn starts_of_claude_are_held_below_the_floor_of_free_memory() {
    let site = Site::new();
    stand_in(&site, "agent", "say idle");
    let config = |floor: &str| {
        format!(
            "version: 1
daemon: {{ min_free_memory: {floor} }}
agents: {{ agent: {{ kind: claude, command: [agent] }} }}
workspaces: {{ w: {{ cwd: $WORK, processes: {{ a: {{ agent: agent }}, b: {{ command: {IDLE} }} }} }} }}
"
        )
    };
    site.config(&config("1000TiB"));
    site.daemon();
    let held = site.wait_process("w/a", |p| p.state_reason.as_deref().is_some_and(|r| r.contains("memory")));
    assert_eq!((held.state, held.pid), (State::Starting, None));
    // only agents are held
    site.wait_state("w/b", State::Running);
    site.config(&config("1MiB"));
    site.wait_status("w/a", Status::Idle);
}

#[test]
fn a_stop_asks_first_if_an_agent_works() {
    let site = Site::new();
    stand_in(&site, "agent", "say working");
    site.config(
        "version: 1
agents: { agent: { kind: claude, command: [agent] } }
workspaces: { w: { cwd: $WORK, processes: { a: { agent: agent } } } }
",
    );
    site.daemon();
    let working = site.wait_status("w/a", Status::Working);
    let mut terminal = site.terminal(80, 24, &["stop"]);
    terminal.wait_for_text("w/a is working");
    terminal.type_keys("n\r");
    assert_eq!(terminal.wait_for_end(), Some(1));
    assert_eq!(site.process("w/a").pid, working.pid);
    let mut terminal = site.terminal(80, 24, &["stop"]);
    terminal.wait_for_text("w/a is working");
    terminal.type_keys("y\r");
    assert_eq!(terminal.wait_for_end(), Some(0));
    assert_eq!(site.living(), []);
}

#[test]
fn a_crash_loop_can_restart_the_whole_workspace_and_at_the_second_one_stops_it() {
    let site = site(&format!(
        "    on_crash_loop: restart_workspace
    processes:
      b: {{ command: {IDLE} }}
      a: {{ command: [sh, -c, 'echo x >> starts; exit 3'], restart: {{ max_restarts: 1 }}, after: {{ b: started }} }}
"
    ));
    let loops = |e: &wezterm_parallel_schemas::event::Event| e.state == Some(State::CrashLoop);
    let first = site.wait_event(0, "the first crash loop", loops);
    site.wait_event(first.seq, "the second crash loop", loops);
    site.wait_state("w/b", State::Stopped);
    assert_eq!(site.process("w/a").state, State::CrashLoop);
    assert_eq!(fs::read_to_string(site.path("work/starts")).expect("it ran"), "x\n".repeat(4));
}

#[test]
fn a_process_runs_in_the_environment_of_whoever_opened_its_workspace() {
    let site = Site::new();
    site.set_env("OPENED_BY", "somebody");
    site.set_env("WEZTERM_PANE", "7");
    site.set_env("CLAUDECODE", "1");
    site.set_env("SECRET_TOKEN", "not-to-be-seen-anywhere");
    site.config(
        "version: 1
workspaces:
  w:
    cwd: $WORK
    env: { COLOUR: red, SHAPE: round }
    processes: { a: { command: [sh, -c, 'env > environment; exec tail -f /dev/null'], env: { COLOUR: blue } } }
",
    );
    site.daemon();
    site.wait_state("w/a", State::Running);
    let env = site.wait_file(&site.path("work/environment"), |text| text.contains("COLOUR"));
    let has = |line: &str| env.lines().any(|l| l == line);
    for line in ["OPENED_BY=somebody", "COLOUR=blue", "SHAPE=round", "SECRET_TOKEN=not-to-be-seen-anywhere"] {
        assert!(has(line), "no {line} in\n{env}");
    }
    assert!(env.contains("WEZTERM_PARALLEL_RUN=") && env.contains("WEZTERM_PARALLEL_PROCESS="), "{env}");
    for name in ["WEZTERM_PANE=", "CLAUDECODE="] {
        assert!(!env.lines().any(|l| l.starts_with(name)), "{name} in\n{env}");
    }
    for (pid, command) in site.living() {
        assert!(!command.contains("not-to-be-seen"), "{pid}: {command}");
    }
    let seen = format!(
        "{}{}{}{}",
        site.log(),
        site.run(&["status", "--json"]).ok().out,
        site.run(&["events", "--json"]).ok().out,
        site.run(&["config", "show"]).ok().out
    );
    assert!(!seen.contains("not-to-be-seen"), "{seen}");
}

/// Process ids of all that descend from a process.
fn descendants(pid: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut found = Vec::new();
    for child in children.split_whitespace().filter_map(|n| n.parse().ok()) {
        found.push(child);
        found.extend(descendants(child));
    }
    found
}
