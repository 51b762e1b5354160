//! The pipe between the plugin and the daemon, as the plugin uses it: frames in, answers out.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use serde::{Serialize, de::DeserializeOwned};
use wezterm_parallel_schemas::{
    PROTOCOL,
    daemon::{Empty, Hello, StatusView, Welcome},
    envelope::{Message, split},
    error::{Code, Error},
    method::{DaemonStatus, HelloCall, Method, OpenWorkspace, StopProcess},
    process::{ProcessStop, State},
    rpc::{Request, WireError},
    scan::{Limits, Scanner},
    workspace::{WorkspaceOpen, WorkspaceView},
};

use crate::support::{
    DEADLINE,
    site::{Site, executable, kill, lives, wait_end},
};

const CONFIG: &str =
    "version: 1\nworkspaces: { w: { cwd: $WORK, processes: { a: { command: [tail, -f, /dev/null] } } } }\n";

#[test]
fn what_is_asked_by_hexadecimal_digits_is_answered_by_bytes() {
    let site = Site::new();
    site.config(CONFIG);
    site.daemon();
    let said = relay(&site, &[&hex(&[hello(), request::<DaemonStatus>(2, &Empty {})])]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(said.answers.len(), 2);
    assert_eq!(said.result::<Welcome>(0).protocol, 1);
    assert_eq!(said.result::<StatusView>(1).processes[0].name, "a");
    // an error of the daemon's is an answer like any other
    let open = WorkspaceOpen { workspace: "none".into(), ..WorkspaceOpen::default() };
    let said = relay(&site, &[&hex(&[hello(), request::<OpenWorkspace>(2, &open)])]);
    assert_eq!((said.code, said.error(1).code), (0, Code::NotFound));
    // and one that is meant for the connection is the last one
    let said = relay(&site, &[&hex(&[request::<DaemonStatus>(2, &Empty {}), hello()])]);
    assert_eq!((said.code, said.answers.len(), said.error(0).code), (1, 1, Code::BadHello));
}

#[test]
fn without_a_daemon_it_says_so_and_ends_with_3() {
    let site = Site::new();
    for args in [&[][..], &["--wait"]] {
        let frames = hex(&[hello()]);
        let said = relay(&site, &[args, &[&frames]].concat());
        assert_eq!((said.code, said.answers.len()), (3, 1));
        let error = said.error(0);
        assert_eq!(error.code, Code::NoDaemon);
        assert!(error.hint.expect("what to do").contains("wezterm-parallel daemon"), "{}", said.err);
    }
}

#[test]
fn what_is_no_request_is_wrong_usage_and_is_not_shown() {
    let site = Site::new();
    let (whole, secret) = (hex(&[hello()]), "my-secret-prompt");
    let half = &whole[..whole.len() - 2];
    for args in [
        &[][..],
        &[half],
        &["zz"],
        &["--file"],
        &["--file", "/none"],
        &["--fly", &whole],
        &[&whole, secret],
        &[secret],
    ] {
        let said = relay(&site, args);
        assert_eq!(said.code, 2, "{args:?}: {}", said.err);
        assert!(matches!(said.error(0).code, Code::BadParams | Code::BadFrame), "{args:?}");
        assert!(!said.err.contains(secret), "{}", said.err);
    }
}

#[test]
fn a_file_is_read_and_deleted_if_it_is_ours_alone() {
    let site = Site::new();
    site.config(CONFIG);
    site.daemon();
    let file = site.path("tmp/of the plugin's");
    let put = |mode| {
        let bytes = [hello(), request::<DaemonStatus>(2, &Empty {})].concat();
        let _ = fs::remove_file(&file);
        fs::write(&file, bytes).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    put(0o644);
    let path = file.to_str().expect("text");
    let said = relay(&site, &["--file", path]);
    assert_eq!((said.code, said.error(0).code), (2, Code::BadParams));
    assert!(said.err.contains("0600"), "{}", said.err);
    assert!(file.exists());
    put(0o600);
    let link = site.path("tmp/link");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    assert_eq!(relay(&site, &["--file", link.to_str().expect("text")]).code, 2);
    assert!(file.exists());
    let said = relay(&site, &["--file", path]);
    assert_eq!((said.code, said.answers.len()), (0, 2));
    assert!(!file.exists());
}

#[test]
fn the_environment_of_the_caller_is_what_a_workspace_is_opened_in() {
    let site = Site::new();
    site.config(
        "version: 1
workspaces:
  w:
    cwd: $WORK
    processes: { a: { command: [sh, -c, 'env > environment; echo done >> environment; exec tail -f /dev/null'] } }
",
    );
    site.daemon();
    site.wait_file(&site.path("work/environment"), |text| text.contains("done"));
    site.run(&["workspace", "close", "w"]).ok();
    fs::remove_file(site.path("work/environment")).expect("a file of ours");
    site.set_env("OPENED_BY", "the plugin");
    site.set_env("WEZTERM_PANE", "7");
    let open = WorkspaceOpen { workspace: "w".into(), ..WorkspaceOpen::default() };
    let said = relay(&site, &["--environment", &hex(&[hello(), request::<OpenWorkspace>(2, &open)])]);
    assert_eq!((said.code, said.result::<WorkspaceView>(1).name.as_str()), (0, "w"));
    let env = site.wait_file(&site.path("work/environment"), |text| text.contains("done"));
    assert!(env.contains("OPENED_BY=the plugin\n") && !env.contains("WEZTERM_PANE="), "{env}");
}

#[test]
fn several_at_once_start_one_daemon_with_the_config_that_was_given() {
    let site = Site::new();
    site.config(CONFIG);
    let config = site.path("config/my own.yaml");
    fs::rename(site.config_path(), &config).expect("within one directory");
    let frames = hex(&[hello(), request::<DaemonStatus>(2, &Empty {})]);
    let all: Vec<Child> = (0..6)
        .map(|_| start(&site, &["--start", "--config", config.to_str().expect("text"), &frames]))
        .collect();
    let all: Vec<Said> = all.into_iter().map(end).collect();
    let pid = site.daemon_pid();
    for said in all {
        assert_eq!(said.code, 0, "{}", said.err);
        assert_eq!(said.result::<Welcome>(0).config, config);
        assert_eq!(said.result::<StatusView>(1).daemon.pid, pid);
    }
    let daemons: Vec<_> =
        site.living().into_iter().filter(|(_, command)| command.contains("daemon --foreground")).collect();
    assert_eq!(daemons.len(), 1, "{daemons:?}");
}

#[test]
fn a_daemon_that_cannot_be_started_is_said_with_its_reason() {
    let site = Site::new();
    fs::write(site.path("state/wezterm-parallel"), "in the way").expect("a file");
    let said = relay(&site, &["--start", &hex(&[hello()])]);
    let error = said.error(0);
    assert_eq!((said.code, error.code), (3, Code::NoDaemon));
    assert!(error.message.contains("failed to start the daemon"), "{error:?}");
}

/// A daemon with a call that is not answered before somebody ends `w/a`.
fn with_a_long_call(site: &Site) -> (String, i32) {
    // something that ignores SIGTERM and costs nothing
    site.config(
        "version: 1
workspaces:
  w:
    cwd: $WORK
    processes:
      a: { command: [sh, -c, 'trap \"\" TERM; echo ready > ready; exec tail -f /dev/null'], stop: { grace: 15m } }
",
    );
    site.daemon();
    site.wait_file(&site.path("work/ready"), |text| text.contains("ready"));
    let stop = ProcessStop { workspace: Some("w".into()), process: "a".into(), ..ProcessStop::default() };
    let pid = site.wait_state("w/a", State::Running).pid.expect("it runs");
    (hex(&[hello(), request::<StopProcess>(2, &stop)]), pid)
}

#[test]
fn a_call_that_is_waited_for_is_answered_however_long_it_takes() {
    let site = Site::new();
    let (frames, pid) = with_a_long_call(&site);
    let waiting = start(&site, &["--wait", &frames]);
    site.wait_state("w/a", State::Stopping);
    kill(pid);
    let said = end(waiting);
    assert_eq!((said.code, said.answers.len()), (0, 2), "{}", said.err);
}

#[test]
fn a_daemon_that_is_killed_ends_the_wait_at_once() {
    let site = Site::new();
    let (frames, pid) = with_a_long_call(&site);
    let waiting = start(&site, &["--wait", &frames]);
    let keeper = site.wait_state("w/a", State::Stopping).keeper_pid.expect("it is kept");
    site.kill_daemon();
    let said = end(waiting);
    // the hello that was answered, and why the rest is not
    assert_eq!((said.code, said.answers.len(), said.error(1).code), (3, 2, Code::NoDaemon));
    kill(pid);
    wait_end(keeper);
}

#[test]
fn a_reader_that_is_gone_ends_the_wait_at_once() {
    let site = Site::new();
    let (frames, pid) = with_a_long_call(&site);
    let mut waiting = start(&site, &["--wait", &frames]);
    site.wait_state("w/a", State::Stopping);
    assert!(lives(i32::try_from(waiting.id()).expect("a process id")));
    drop(waiting.stdout.take());
    wait_end(i32::try_from(waiting.id()).expect("a process id"));
    let status = waiting.wait().expect("it is our child");
    assert_eq!(status.code(), Some(1));
    kill(pid);
}

#[test]
fn a_wait_costs_nothing_while_nothing_happens() {
    let site = Site::new();
    let (frames, pid) = with_a_long_call(&site);
    let waiting = start(&site, &["--wait", &frames]);
    site.wait_state("w/a", State::Stopping);
    let switches = || {
        let status = fs::read_to_string(format!("/proc/{}/status", waiting.id())).expect("it lives");
        let line = status.lines().find(|l| l.starts_with("voluntary_ctxt_switches")).expect("Linux says so");
        line.to_owned()
    };
    // the answer to its hello was sent before this one; once it sleeps it has taken it
    assert_eq!(site.run(&["status"]).code, 0);
    let sleeps =
        || fs::read_to_string(format!("/proc/{}/stat", waiting.id())).is_ok_and(|s| s.contains(") S "));
    while !sleeps() {
        thread::yield_now();
    }
    let before = switches();
    // a second of the daemon's time, and all that happens in it
    for _ in 0..20 {
        assert_eq!(site.run(&["status"]).code, 0);
    }
    assert_eq!(switches(), before);
    kill(pid);
    assert_eq!(end(waiting).code, 0);
}

/// What a call of it came to.
struct Said {
    code: i32,
    answers: Vec<Vec<u8>>,
    err: String,
}

impl Said {
    #[track_caller]
    fn result<R: DeserializeOwned>(&self, i: usize) -> R {
        match split(&self.answers[i]) {
            Ok(Message::Response { error: None, result, .. }) => {
                rmp_serde::from_slice(result).expect("the contract's type")
            }
            other => panic!("no result: {other:?} {}", self.err),
        }
    }

    /// The error, which its text and its map say alike.
    #[track_caller]
    fn error(&self, i: usize) -> Error {
        let Ok(Message::Response { error: Some(text), result, .. }) = split(&self.answers[i]) else {
            panic!("no error: {} answers, {}", self.answers.len(), self.err);
        };
        let error: Error = rmp_serde::from_slice(result).expect("the contract's type");
        let WireError(told) = rmp_serde::from_slice(text).expect("the contract's type");
        assert_eq!(told, error);
        error
    }
}

fn hello() -> Vec<u8> {
    request::<HelloCall>(1, &Hello { protocol: PROTOCOL, client: "test".into(), config: None })
}

fn request<M: Method>(id: u32, params: &M::Params) -> Vec<u8>
where
    M::Params: Serialize,
{
    rmp_serde::to_vec_named(&Request::new(id, M::NAME, params)).expect("it encodes")
}

fn hex(frames: &[Vec<u8>]) -> String {
    frames.concat().iter().map(|b| format!("{b:02x}")).collect()
}

fn start(site: &Site, args: &[&str]) -> Child {
    let mut command: Command = site.command(executable());
    command.arg("relay").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the executable can be run")
}

fn relay(site: &Site, args: &[&str]) -> Said {
    end(start(site, args))
}

fn end(child: Child) -> Said {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver.recv_timeout(DEADLINE).expect("it ends").expect("it is our child");
    let (mut scanner, mut rest, mut answers) = (Scanner::new(Limits::ANSWER), &output.stdout[..], Vec::new());
    while let Some(end) = scanner.scan(rest).expect("whole frames") {
        answers.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    assert_eq!(rest, b"", "nothing behind the frames");
    let err = String::from_utf8(output.stderr).expect("text");
    Said { code: output.status.code().expect("it ended by itself"), answers, err }
}

#[test]
fn a_daemon_that_was_stopped_is_told_from_one_that_was_lost() {
    let site = Site::new();
    site.config(CONFIG);
    let said = |code: Code| {
        let said = relay(&site, &[&hex(&[hello(), request::<DaemonStatus>(2, &Empty {})])]);
        assert_eq!((said.code, said.error(0).code), (3, code));
    };
    said(Code::NoDaemon);
    site.daemon();
    site.kill_daemon();
    said(Code::NoDaemon);
    site.daemon();
    site.run(&["stop", "--yes"]).ok();
    said(Code::ShuttingDown);
    // whoever wants one gets one all the same
    let said = relay(&site, &["--start", &hex(&[hello(), request::<DaemonStatus>(2, &Empty {})])]);
    assert_eq!((said.code, said.answers.len()), (0, 2));
}
