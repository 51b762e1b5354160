//! What Claude's hooks tell: from Claude over `wezterm-parallel hook` to the daemon, and no delay where
//! there is none.

use std::{
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    time::Instant,
};

use wezterm_parallel_schemas::{
    event::EventKind,
    hook::{HookKind, HookReport, PAYLOAD_BYTES_MAX},
    keeper::{PROCESS_MARK, RUN_MARK},
    method::{Method as _, ReportHook},
    process::{ProcessView, State, Status},
};

use crate::support::site::{Site, executable};

/// A place with one agent that is only called Claude, so that a test says what its hooks say.
fn still() -> Site {
    let site = Site::new();
    site.project("api");
    site.script("claude", "#!/bin/sh\nexec sleep 1000\n");
    site.config(
        "version: 1\nworkspaces: { api: { cwd: $WORK/api, processes: { lead: { agent: claude } } } }\n",
    );
    site.daemon();
    site
}

/// Runs the hook as Claude does, with this on its standard input, and gives what it printed.
fn hook(site: &Site, process: &ProcessView, input: &str) -> String {
    ended(start(command(site, process), input))
}

fn command(site: &Site, process: &ProcessView) -> Command {
    let mut command = site.command(executable());
    command.arg("hook").arg("--state").arg(site.path("state/wezterm-parallel"));
    command.env(RUN_MARK, process.run_id.as_ref().expect("it runs")).env(PROCESS_MARK, &process.id);
    command
}

/// Starts the hook of a Claude in its terminal that asks for leave: the agent itself if no subagent.
fn asks(site: &Site, process: &ProcessView, subagent: &str) -> Child {
    let mut request = serde_json::json!({
        "hook_event_name": "PermissionRequest", "session_id": "00000000-0000-4000-8000-000000000001",
        "cwd": "/", "tool_name": "Bash", "tool_input": { "command": "true" },
    });
    if !subagent.is_empty() {
        request["agent_id"] = subagent.into();
        request["agent_type"] = "Explore".into();
    }
    let mut command = command(site, process);
    command.env("CLAUDE_CODE_SESSION_ATTENDED", "1");
    start(command, &request.to_string())
}

fn start(mut command: Command, input: &str) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("our executable runs");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    child
}

/// What a hook printed.
fn ended(child: Child) -> String {
    let out = child.wait_with_output().expect("it ends");
    assert!(out.status.success() && out.stderr.is_empty(), "a hook disturbs Claude: {out:?}");
    String::from_utf8(out.stdout).expect("it prints text")
}

fn begins(session: &str, padding: usize) -> String {
    let mut input = serde_json::json!({
        "hook_event_name": "SessionStart", "session_id": session, "source": "clear", "cwd": "/", "model": "m",
    });
    input["new_field"] = "x".repeat(padding).into();
    input.to_string()
}

#[test]
fn what_a_hook_says_arrives_though_it_does_not_wait_and_however_large_it_is() {
    let site = still();
    let lead = site.wait_state("api/lead", State::Running);
    for (n, padding) in [0, 3_000, 5_000, 100_000, PAYLOAD_BYTES_MAX * 2].into_iter().enumerate() {
        let (seq, session) = (site.seq(), format!("00000000-0000-4000-8000-00000000000{n}"));
        assert_eq!(hook(&site, &lead, &begins(&session, padding)), "");
        let event = site.wait_event(seq, "a session", |e| e.kind == EventKind::SessionStarted);
        assert_eq!(event.session_id.as_deref(), Some(session.as_str()), "{padding}");
        assert_eq!(site.process("api/lead").session_id, Some(session));
    }
}

#[test]
fn a_hook_of_a_run_that_is_over_says_nothing_of_the_next_one() {
    let site = still();
    let first = site.wait_state("api/lead", State::Running);
    site.run(&["process", "restart", "api/lead"]).ok();
    let second = site.wait_state("api/lead", State::Running);
    assert_eq!(hook(&site, &first, &begins("00000000-0000-4000-8000-000000000001", 0)), "");
    assert_eq!(hook(&site, &second, &begins("00000000-0000-4000-8000-000000000002", 0)), "");
    let new = Some("00000000-0000-4000-8000-000000000002");
    site.wait_process("api/lead", |p| p.session_id.as_deref() == new);
    let told = site.run(&["events", "--json"]).ok().out;
    assert!(!told.contains("00000000-0000-4000-8000-000000000001"), "{told}");
}

#[test]
fn a_process_asks_nothing_in_the_name_of_another_one() {
    let site = Site::new();
    site.project("api");
    site.script("claude", "#!/bin/sh\nexec sleep 1000\n");
    let fifo = site.path("marks");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo runs");
    assert!(made.success());
    let asks = r#"{"hook_event_name":"PermissionRequest","session_id":"s","tool_name":"Bash","tool_input":{"command":"ls"}}"#;
    let forger = format!(
        "#!/bin/sh\nread -r run process < '{}'\nexport {RUN_MARK}=$run {PROCESS_MARK}=$process\necho '{asks}' | '{}' hook --state '{}' > out\necho done > ended\nexec sleep 1000\n",
        fifo.display(),
        executable(),
        site.path("state/wezterm-parallel").display(),
    );
    let forger = site.script("forger", &forger);
    site.config(&format!(
        "version: 1
workspaces: {{ api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: claude }}, forger: {{ command: ['{}'] }} }} }} }}
",
        forger.display()
    ));
    site.daemon();
    let lead = site.wait_state("api/lead", State::Running);
    site.wait_state("api/forger", State::Running);
    let marks = format!("{} {}\n", lead.run_id.expect("it runs"), lead.id);
    std::fs::write(&fifo, marks).expect("it is read");
    // one that is held would not end
    site.wait_file(&site.path("work/api/ended"), |text| text == "done\n");
    assert_eq!(std::fs::read_to_string(site.path("work/api/out")).expect("it was made"), "");
    let asked: Vec<serde_json::Value> = site.run(&["inbox", "list", "--all", "--json"]).ok().json();
    assert_eq!(asked, Vec::<serde_json::Value>::new());
}

#[test]
fn without_a_daemon_and_with_nonsense_a_hook_ends_well_and_says_nothing() {
    let site = still();
    let lead = site.wait_state("api/lead", State::Running);
    for nonsense in ["", "{}", "null", "[", "\u{0}", "{\"hook_event_name\":7}"] {
        assert_eq!(hook(&site, &lead, nonsense), "");
    }
    site.kill_daemon();
    assert_eq!(hook(&site, &lead, &begins("00000000-0000-4000-8000-000000000001", 0)), "");
    site.daemon();
}

#[test]
fn a_real_claude_is_followed_into_the_session_after_a_clear() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    site.config(
        "version: 1\nagents: { claude: { args: [--permission-mode, manual] } }\nworkspaces: { api: { cwd: $WORK/api, processes: { lead: { agent: claude } } } }\n",
    );
    site.daemon();
    let seq = site.seq();
    let lead = site.wait_status("api/lead", Status::Idle);
    let first = lead.session_id.expect("a Claude has a session");
    let pty = site.terminal(110, 32, &["process", "attach", "api/lead"]);
    pty.wait_for_text("❯");
    pty.type_keys("/clear");
    pty.wait_for_text("/clear");
    pty.type_keys("\r");
    let left = site.wait_event(seq, "the session is left", |e| e.kind == EventKind::SessionEnded);
    assert_eq!((left.session_id.as_ref(), left.message.as_deref()), (Some(&first), Some("clear")));
    let next = site.wait_event(left.seq, "another one begins", |e| e.kind == EventKind::SessionStarted);
    assert_eq!(next.message.as_deref(), Some("clear"));
    assert_ne!(next.session_id.as_ref(), Some(&first));
    assert_eq!(site.process("api/lead").session_id, next.session_id);
}

/// Claude waits for each of its hooks: with no daemon, and with one that is halted.
#[test]
fn a_halted_daemon_does_not_hold_up_a_hook() {
    let site = still();
    let lead = site.wait_state("api/lead", State::Running);
    let daemon = rustix::process::Pid::from_raw(site.daemon_pid()).expect("a process id");
    rustix::process::kill_process(daemon, rustix::process::Signal::STOP).expect("it is ours");
    let began = Instant::now();
    // more than its socket takes while nobody reads
    for _ in 0..3 {
        hook(&site, &lead, &begins("00000000-0000-4000-8000-000000000001", PAYLOAD_BYTES_MAX - 1_000));
    }
    // no measure of speed: without its bound, a hook would never end
    assert!(began.elapsed() < crate::support::DEADLINE);
    rustix::process::kill_process(daemon, rustix::process::Signal::CONT).expect("it is ours");
}

/// For a subagent Claude shows no dialog for as long as a hook waits: one that waits for a daemon that is
/// gone would keep it from the user.
#[test]
fn a_request_of_a_subagent_is_given_back_when_the_daemon_is_gone() {
    let site = still();
    let lead = site.wait_state("api/lead", State::Running);
    let start = || asks(&site, &lead, "a1");
    let held = start();
    site.wait_event(0, "it asks", |e| e.kind == EventKind::InboxAsked);
    site.kill_daemon();
    assert_eq!(ended(held), "");
    assert_eq!(ended(start()), "", "and of one that was never there");
    site.daemon();
    site.wait_event(0, "it is moot", |e| e.kind == EventKind::InboxDecided);
}

#[test]
fn what_cannot_be_saved_is_not_allowed() {
    let site = still();
    let lead = site.wait_state("api/lead", State::Running);
    let held = asks(&site, &lead, "");
    site.wait_event(0, "it asks", |e| e.kind == EventKind::InboxAsked);
    // somebody else has the database for longer than it is waited for
    let mut lock = site.command("python3");
    lock.args(["-c", "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"]);
    lock.arg(site.path("state/wezterm-parallel/state.db")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut lock = lock.spawn().expect("python3 runs");
    let mut said = [0; 6];
    lock.stdout.as_mut().expect("it is piped").read_exact(&mut said).expect("it says so");
    site.run(&["inbox", "allow", "api/lead"]).exits(1).says("the decision could not be saved");
    assert_eq!(ended(held), "", "Claude has its dialog, and no allowance");
    drop(lock.stdin.take());
    lock.wait().expect("it ends");
}

/// Hooks that wait must leave room for the commands that answer them.
#[test]
fn more_requests_than_can_be_held_are_left_to_claude() {
    const HELD_MAX: u32 = 192;
    let site = still();
    let lead = site.wait_state("api/lead", State::Running);
    let report = |n: u32| HookReport {
        kind: HookKind::Hook,
        run: lead.run_id.clone().expect("it runs"),
        process: lead.id.clone(),
        pid: None,
        at: 0,
        payload: serde_json::json!({
            "hook_event_name": "PermissionRequest", "session_id": "00000000-0000-4000-8000-000000000001",
            "cwd": "/", "tool_name": "Bash", "tool_input": { "command": "true" },
        })
        .to_string(),
        hold: true,
        attended: false,
        ask: Some(format!("01ARZ3NDEKTSV4RRFFQ69G{n:04}")),
        taken: false,
    };
    // as many on each connection as one may have under way
    let mut clients = [site.client(), site.client(), site.client()];
    for n in 0..HELD_MAX {
        clients[(n % 3) as usize].send(ReportHook::NAME, &report(n));
    }
    let each = |kind: EventKind| {
        (0..HELD_MAX).fold(0, |seq, n| site.wait_event(seq, &format!("{n} of them"), |e| e.kind == kind).seq)
    };
    each(EventKind::InboxAsked);
    let answer = site.client().call::<ReportHook>(report(HELD_MAX)).expect("it is answered at once");
    assert_eq!(answer.output, None);
    drop(clients);
    let seq = each(EventKind::InboxDecided);
    let mut again = site.client();
    again.send(ReportHook::NAME, &report(HELD_MAX));
    site.wait_event(seq, "there is room again", |e| e.kind == EventKind::InboxAsked);
}
