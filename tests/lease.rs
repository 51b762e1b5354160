//! Leases: one holder at a time, whoever dies. Agents are real Claudes that ask by our MCP server; those tests
//! are left out by `WEZTERM_PARALLEL_SKIP_CLAUDE=1`.

use std::process::{Child, Stdio};

use serde_json::{Value, json};
use wezterm_parallel_schemas::{
    daemon::Empty,
    error::Code,
    event::EventKind,
    lease::{LeaseAcquire, LeaseRelease, LeaseView},
    method::{AcquireLease, ListLeases, ReleaseLease},
};

use crate::support::site::{Site, executable, kill, wait_end};

fn leases(site: &Site) -> Vec<LeaseView> {
    site.client().call::<ListLeases>(Empty {}).expect("leases can be listed")
}

fn acquire(name: &str) -> LeaseAcquire {
    LeaseAcquire { name: name.into(), ..LeaseAcquire::default() }
}

/// Waits until something is leased, and gives the number of that event.
fn wait_acquired(site: &Site, since: u64, holder: &str) -> u64 {
    let is_it = |e: &wezterm_parallel_schemas::event::Event| {
        e.kind == EventKind::LeaseAcquired && e.message.as_deref() == Some(holder)
    };
    site.wait_event(since, &format!("{holder} has it"), is_it).seq
}

fn wait_released(site: &Site, since: u64) -> String {
    let event = site.wait_event(since, "it is free", |e| e.kind == EventKind::LeaseReleased);
    event.message.expect("it says why")
}

fn claude(name: &str, input: &Value) -> String {
    let prompt = format!("{name} [[tool:mcp__wezterm-parallel__lease_acquire:{input}]][[hang]]");
    let prompt = Value::from(prompt);
    format!(
        "{name}: {{ agent: claude, args: [-p, {prompt}], autostart: false, restart: {{ policy: never }} }}"
    )
}

/// A place with two Claudes that want the same port, of which none is started.
fn contended() -> Option<Site> {
    let site = Site::with_claude()?;
    site.project("api");
    let first = claude("first", &json!({ "name": "port:08080", "reason": "the dev server" }));
    let second = claude("second", &json!({ "name": "port:8080", "wait_seconds": 600 }));
    site.config(&format!(
        "version: 1\nworkspaces:\n  api: {{ cwd: $WORK/api, processes: {{ {first}, {second} }} }}\n"
    ));
    site.daemon();
    Some(site)
}

fn results(site: &Site, name: &str) -> String {
    let heard = site.mock().wait(name, |r| r.prompt.starts_with(name) && !r.results.is_empty());
    heard.results[0].clone()
}

#[test]
fn of_two_agents_the_second_gets_it_when_the_first_is_killed() {
    let Some(site) = contended() else { return };
    site.run(&["process", "start", "api/first"]).ok();
    let seq = wait_acquired(&site, 0, "api/first");
    assert!(results(&site, "first").contains("\"name\":\"port:8080\""));
    site.run(&["process", "start", "api/second"]).ok();
    // it waits in line
    let waits = || leases(&site).first().is_some_and(|lease| lease.waiting == 1);
    site.mock().wait("it has begun", |r| r.prompt.starts_with("second"));
    while !waits() {
        std::thread::yield_now();
    }
    let refused = site.client().call::<AcquireLease>(acquire("port:8080")).expect_err("it is held");
    assert_eq!(refused.code, Code::Conflict);
    assert!(refused.message.starts_with("port:8080 is held by api/first for"), "{}", refused.message);
    assert!(refused.message.ends_with("the dev server"), "{}", refused.message);
    let shown = site.run(&["lease", "list"]).ok().out;
    assert!(shown.contains("port:8080") && shown.contains("api/first"), "{shown}");

    kill(site.process("api/first").pid.expect("it runs"));
    assert_eq!(wait_released(&site, seq), "api/first: its run is over");
    wait_acquired(&site, seq, "api/second");
    assert!(results(&site, "second").contains("\"holder\":\"api/second\""));
    let held = leases(&site);
    assert_eq!((held.len(), held[0].waiting), (1, 0));
    assert_eq!(held[0].run_id, site.process("api/second").run_id);
}

#[test]
fn a_killed_daemon_takes_no_lease_and_the_next_one_takes_those_of_the_dead() {
    let Some(site) = contended() else { return };
    site.run(&["process", "start", "api/first"]).ok();
    wait_acquired(&site, 0, "api/first");
    results(&site, "first");
    let held = leases(&site);
    site.kill_daemon();
    site.daemon();
    assert_eq!(leases(&site), held, "it is held as before");
    // one that waits goes on to wait at the next daemon
    site.run(&["process", "start", "api/second"]).ok();
    site.mock().wait("it has begun", |r| r.prompt.starts_with("second"));
    while leases(&site)[0].waiting == 0 {
        std::thread::yield_now();
    }
    let seq = site.seq();
    let first = site.process("api/first");
    site.kill_daemon();
    kill(first.pid.expect("it runs"));
    wait_end(first.keeper_pid.expect("it has one"));
    site.daemon();
    assert_eq!(wait_released(&site, seq), "api/first: its run ended while there was no daemon");
    wait_acquired(&site, seq, "api/second");
    assert!(results(&site, "second").contains("\"holder\":\"api/second\""));
}

/// Starts `lease run` in the background.
fn run(site: &Site, args: &[&str]) -> Child {
    let mut command = site.command(executable());
    command.args(["lease", "run"]).args(args).stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().expect("the executable can be run")
}

fn pid(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("a process id")
}

#[test]
fn a_user_holds_a_lease_while_a_command_runs_and_gets_its_exit_code() {
    let site = Site::new();
    site.project("api");
    site.config("version: 1\n");
    site.daemon();
    // it ends when its input does
    let mut first = run(&site, &["api/file", "--reason", "to try", "--", "sh", "-c", "cat; exit 7"]);
    let holder = format!("user {}", pid(&first));
    let seq = wait_acquired(&site, 0, &holder);
    let held = leases(&site);
    let path = site.path("work/api/file").canonicalize();
    assert!(path.is_err(), "a file need not be there");
    let path = site.path("work/api").canonicalize().expect("it is there").join("file");
    assert_eq!((held[0].name.as_str(), &held[0].run_id), (path.to_str().expect("text"), &None));
    site.run(&["lease", "run", "./api/../api/file", "--wait", "1ms", "--", "true"])
        .exits(1)
        .says(&format!("is held by {holder}"));
    site.run(&["lease", "acquire", "other"]).exits(1).says("lease run");
    let mut second = run(&site, &["api/file", "--", "cat"]);
    while leases(&site)[0].waiting == 0 {
        std::thread::yield_now();
    }
    drop(first.stdin.take());
    assert_eq!(first.wait().expect("it is our child").code(), Some(7));
    wait_acquired(&site, seq, &format!("user {}", pid(&second)));
    // killed, it holds nothing, and nobody is asked
    let seq = site.seq();
    kill(pid(&second));
    second.wait().expect("it is our child");
    assert!(wait_released(&site, seq).ends_with("it has hung up"));
    assert_eq!(leases(&site), []);
    assert_eq!(site.run(&["lease", "run", "x", "--", "no-such-program"]).code, 127);
}

#[test]
fn a_command_holds_its_lease_again_at_the_next_daemon_or_says_that_it_is_lost() {
    let site = Site::new();
    site.config("version: 1\n");
    site.daemon();
    let mut command = site.command(executable());
    command.args(["lease", "run", "x", "--", "cat"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the executable can be run");
    let holder = format!("user {}", pid(&child));
    wait_acquired(&site, 0, &holder);
    let seq = site.seq();
    site.kill_daemon();
    site.daemon();
    wait_acquired(&site, seq, &holder);
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("it is our child");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the daemon is gone") && said.contains("held again"), "{said}");
}

#[test]
fn the_user_takes_a_lease_from_whoever_holds_it() {
    let site = Site::new();
    site.config("version: 1\n");
    site.daemon();
    let mut holder = site.client();
    holder.call::<AcquireLease>(acquire("x")).expect("it is free");
    let release = || LeaseRelease { name: "x".into(), key: None };
    site.client().call::<ReleaseLease>(release()).expect("he may");
    let none = site.client().call::<ReleaseLease>(release()).expect_err("nobody holds it");
    assert_eq!(none.code, Code::NotFound);
    let timed = LeaseAcquire { for_ms: Some(50), ..acquire("y") };
    let seq = site.seq();
    holder.call::<AcquireLease>(timed).expect("it is free");
    assert!(wait_released(&site, seq).ends_with("its time is over"));
    for bad in ["", "port:0", "src/x"] {
        assert_eq!(holder.call::<AcquireLease>(acquire(bad)).expect_err(bad).code, Code::BadParams);
    }
}
