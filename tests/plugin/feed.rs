//! One loop that hears from the daemon: over reloads, kills and other versions.

use std::fs;

use serde_json::json;
use wezterm_parallel_schemas::rpc;

use crate::{
    fake::{Flavour, Host},
    scene::{FLAVOURS, SLEEP, bare_site, config, guis, site, started},
};

#[test]
fn a_reload_hands_the_loop_over_and_one_waits() {
    for flavour in FLAVOURS {
        let site = site();
        let host = started(&site, flavour, "{}");
        for _ in 0..5 {
            host.reload();
            host.connected();
        }
        host.wait("one long poll", |host| host.waiting() == 1);
        host.wait("one call at the daemon", |_| guis(&site).iter().map(|g| g.waiting).eq([1]));
        // and it is the one of the newest config that hears
        site.run(&["process", "stop", "api/one"]).ok();
        host.hears("api/one", "stopped");
    }
}

#[test]
fn reloads_in_quick_succession_leave_one_loop() {
    let site = site();
    let host = started(&site, Flavour::Nightly, "{}");
    host.block(async {
        for _ in 0..8 {
            crate::fake::host::reload_later(&host.world);
            tokio::task::yield_now().await;
        }
    });
    host.wait("the end of the reloads", |host| host.record().evaluations >= 2 + 8 * 3);
    host.connected();
    host.wait("one long poll", |host| host.waiting() == 1);
    assert_eq!(guis(&site).len(), 1);
    site.run(&["process", "stop", "api/one"]).ok();
    host.hears("api/one", "stopped");
}

#[test]
fn a_daemon_that_was_killed_is_missed_once_and_found_again() {
    let site = site();
    site.daemon();
    let host = started(&site, Flavour::Stable, "{ auto_start = false }");
    host.hears("api/one", "running");
    let before = site.process("api/one").pid;
    site.kill_daemon();
    host.wait("the gap", |host| host.ask("state", "M.connected()") == json!(false));
    let no_daemon =
        |host: &Host| host.record().toasts.iter().filter(|t| t.message.contains("no daemon")).count();
    host.wait("a toast", |host| no_daemon(host) > 0);
    host.reload();
    host.status_says("no daemon answers");
    host.status();
    assert_eq!(no_daemon(&host), 1, "{:?}", host.record().toasts);
    // what needs no daemon still works
    host.press("CTRL|SHIFT", "W");
    host.choose("default");
    assert!(!host.palette().is_empty());
    site.daemon();
    host.connected();
    host.wait("the problem is gone", |host| !host.right_status().contains("no daemon"));
    assert_eq!(site.process("api/one").pid, before, "no agent was lost");
    host.wait("one long poll", |host| host.waiting() == 1);
}

#[test]
fn with_auto_start_a_daemon_that_was_killed_comes_back_and_one_that_was_stopped_does_not() {
    let site = site();
    let host = started(&site, Flavour::Nightly, "{}");
    let first = site.daemon_pid();
    site.kill_daemon();
    host.wait("the gap", |host| host.ask("state", "M.connected()") == json!(false));
    host.connected();
    assert_ne!(site.daemon_pid(), first);
    host.cli(&site, &["stop"]).ok();
    host.status_says("was stopped");
    assert!(!site.socket().exists() || std::os::unix::net::UnixStream::connect(site.socket()).is_err());
    // until something is done that needs it
    host.press("CTRL|SHIFT", "N");
    host.question();
    host.cancel();
    host.connected();
}

/// A program in the place of ours that gives back canned answers.
fn stand_in(site: &crate::support::site::Site, answers: &[Vec<u8>]) {
    let bytes: Vec<u8> = answers.concat();
    fs::write(site.path("tmp/answers"), bytes).expect("a file");
    let script = site.script("stand-in", &format!("#!/bin/sh\ncat {}\n", site.path("tmp/answers").display()));
    site.set_env("WEZTERM_PARALLEL_BIN", script.to_str().expect("text"));
}

#[test]
fn a_daemon_of_another_protocol_says_what_to_do_and_is_not_asked_again_and_again() {
    let site = bare_site();
    let refused = rmp_serde::to_vec(&(
        1,
        0,
        (0, "bad_hello: the daemon speaks protocol 9 (update the plugin)"),
        json!({ "code": "bad_hello", "message": "the daemon speaks protocol 9", "hint": "update the plugin" }),
    ))
    .expect("an answer");
    stand_in(&site, &[refused]);
    let host = Host::new(&site, Flavour::Stable);
    host.start(&config("{}"));
    host.status_says("update the plugin");
    let before = host.record().children.len();
    for _ in 0..10 {
        host.status();
    }
    assert_eq!(host.record().children.len(), before, "a plugin that is refused waits");
    assert_eq!(host.record().toasts.len(), 1, "{:?}", host.record().toasts);
}

#[test]
fn a_daemon_of_another_release_is_used_and_said() {
    let site = bare_site();
    let hello = rmp_serde::to_vec(&(
        1,
        0,
        json!(null),
        json!({ "protocol": rpc_version(), "server": "99.0.0", "features": [], "limits": {} }),
    ))
    .expect("an answer");
    let news = rmp_serde::to_vec(&(1, 1, json!(null), json!({ "seq": 1, "daemon": "d", "whole": true })))
        .expect("an answer");
    stand_in(&site, &[hello, news]);
    let host = Host::new(&site, Flavour::Nightly);
    host.start(&config("{ toasts = 'desktop' }"));
    host.status_says("the daemon is 99.0.0");
    host.connected();
}

fn rpc_version() -> u32 {
    let _ = std::any::type_name::<rpc::WireError>();
    wezterm_parallel_schemas::PROTOCOL[1]
}

#[test]
fn what_is_no_answer_at_all_throws_nothing() {
    for answers in [
        &b"\xc1\xc1\xc1"[..],
        b"",
        b"\x94\x01\x00",
        b"\x93\x01\x02\x03",
        b"{\"json\":1}",
        b"\x94\x01\x00\xc0\xdd\xff\xff\xff\xff",
    ] {
        let site = bare_site();
        stand_in(&site, &[answers.to_vec()]);
        let host = Host::new(&site, Flavour::Stable);
        host.start(&config("{}"));
        host.wait("an answer", |host| host.record().children.iter().any(|c| c.ended.is_some()));
        host.status();
        host.press("CTRL|SHIFT", "N");
        host.status();
        assert!(!host.palette().is_empty());
    }
}

#[test]
fn a_config_that_is_broken_shows_its_line_and_is_told_once() {
    let site = site();
    let host = started(&site, Flavour::Stable, "{}");
    site.config("version: 1\nworkspaces:\n  api: { cwd: $WORK/api, procesess: {} }\n");
    host.status_says("config.yaml:3");
    host.wait("a toast with the line", |host| host.record().toasts.iter().any(|t| t.message.contains(":3:")));
    host.reload();
    host.connected();
    host.status();
    let told = host.record().toasts.iter().filter(|t| t.message.contains(":3:")).count();
    assert_eq!(told, 1, "{:?}", host.record().toasts);
    site.config(&format!(
        "version: 1\nworkspaces:\n  api: {{ cwd: $WORK/api, processes: {{ one: {{ command: {SLEEP} }} }} }}\n"
    ));
    host.wait("the problem is gone", |host| !host.right_status().contains("config.yaml"));
}

#[test]
fn at_idle_nothing_is_started_but_the_one_call() {
    let site = site();
    let host = started(&site, Flavour::Nightly, "{}");
    host.hears("api/one", "running");
    host.hears("api/two", "running");
    // what follows the start, as the question what to restore, comes to its end
    let minute = || {
        let before = host.record().children.len();
        for _ in 0..60 {
            host.status();
        }
        host.record().children.len() - before
    };
    assert!((0..4).any(|_| minute() == 0), "something is started again and again\n{}", host.describe());
    host.wait("nothing but the call", |host| host.running(|_| true) == 1);
}

#[test]
fn the_call_ends_with_the_gui() {
    let site = site();
    let host = started(&site, Flavour::Stable, "{}");
    host.wait("the call", |_| guis(&site)[0].waiting == 1);
    drop(host);
    let mut events = 0;
    while guis(&site).iter().any(|g| g.waiting > 0) {
        events += 1;
        assert!(events < 10_000, "its relay still waits");
    }
}
