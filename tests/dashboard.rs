//! The dashboard in a real terminal: it shows what is, keys do what they say, and it comes back by itself.

use rustix::process::{Pid, Signal, kill_process};
use wezterm_parallel_schemas::{
    daemon::Empty,
    inbox::AskState,
    method::{AddTask, ListGroups, ShowTask},
    process::{State, Status},
    task::{TaskAdd, TaskState, TaskTarget},
};

use crate::support::{pty::Pty, site::Site};

/// Ctrl-\, which detaches.
const DETACH: &str = "\x1c";

/// Two programs that run, and one that has failed.
fn site() -> Site {
    let site = Site::new();
    site.script("program", "#!/bin/sh\necho the program is here\nexec tail -f /dev/null\n");
    site.config(
        "version: 1
workspaces:
  w:
    cwd: $WORK
    processes:
      web: { command: [program] }
      api: { command: [program] }
      broken: { command: [sh, -c, 'echo its last words; exit 3'], restart: { policy: never } }
",
    );
    site.daemon();
    site.wait_state("w/web", State::Running);
    site.wait_state("w/api", State::Running);
    site.wait_state("w/broken", State::Failed);
    site
}

fn dashboard(site: &Site) -> Pty {
    let pty = site.terminal(100, 24, &["dashboard"]);
    wait_row(&pty, "w/web", "running");
    pty
}

/// Waits until the row of a process has these words.
fn wait_row(pty: &Pty, name: &str, words: &str) {
    pty.wait_for(&format!("{name}: {words}"), |s| row(s, name).is_some_and(|row| row.contains(words)));
}

fn row(screen: &vt100::Screen, name: &str) -> Option<String> {
    screen
        .contents()
        .lines()
        .skip(2)
        .find(|line| line.get(..40).unwrap_or(line).contains(name))
        .map(Into::into)
}

/// Has only this process in the table, and so chosen.
fn choose(pty: &Pty, name: &str) {
    pty.type_keys(&format!("/{name}\r"));
    pty.wait_for("only that one", |s| s.contents().contains(&format!("only \"{name}\"")));
}

fn foot(screen: &vt100::Screen) -> String {
    screen.contents().lines().nth(23).unwrap_or_default().to_owned()
}

#[test]
fn the_table_is_live_and_keys_stop_and_start_what_is_chosen() {
    let site = site();
    let mut pty = dashboard(&site);
    pty.wait_for_text("1 failed · 2 running");
    pty.wait_for("who failed is first", |s| row(s, "w/broken").is_some_and(|row| row.starts_with(">✗")));
    // the title, for the tab
    pty.wait_for_bytes(b"\x1b]2;dashboard: 1 failed\x07");

    choose(&pty, "web");
    pty.type_keys("S");
    pty.wait_for_text("stop w/web, which is at work? [y/N]");
    pty.type_keys("n");
    pty.wait_for("it is left", |s| foot(s).contains("left as it is"));
    assert_eq!(site.process("w/web").state, State::Running);
    pty.type_keys("Sy");
    wait_row(&pty, "w/web", "stopped");
    assert_eq!(site.process("w/web").state, State::Stopped);
    pty.type_keys("s");
    wait_row(&pty, "w/web", "running");
    assert_eq!(site.process("w/web").state, State::Running);

    // what others do is seen as it happens
    site.run(&["process", "stop", "w/web"]).ok();
    wait_row(&pty, "w/web", "stopped");
    pty.type_keys("\x1b");
    wait_row(&pty, "w/api", "running");
    site.run(&["process", "add", "w", "fresh", "--", "sleep", "1000"]).ok();
    wait_row(&pty, "w/fresh", "running");
    site.run(&["process", "remove", "w/fresh"]).ok();
    pty.wait_for("it is gone", |s| row(s, "w/fresh").is_none());

    pty.type_keys("q");
    assert_eq!(pty.wait_for_end(), Some(0));
    pty.wait_for("the terminal as it was", |s| !s.alternate_screen() && !s.hide_cursor());
    assert_eq!(site.process("w/api").state, State::Running, "all goes on running");
}

#[test]
fn with_the_daemon_gone_the_picture_stays_and_it_comes_back_by_itself() {
    let site = site();
    let pty = dashboard(&site);
    site.kill_daemon();
    pty.wait_for_text("✗ no daemon");
    pty.wait_for("the last picture", |s| row(s, "w/web").is_some_and(|row| row.contains("running")));
    pty.type_keys("S");
    pty.wait_for_text("there is no daemon to do it");
    site.daemon();
    pty.wait_for("it is live again", |s| {
        s.contents().contains("1 failed") && !s.contents().contains("no daemon")
    });
    site.run(&["process", "stop", "w/web"]).ok();
    wait_row(&pty, "w/web", "stopped");
}

#[test]
fn it_can_be_there_before_the_daemon() {
    let site = Site::new();
    site.config(
        "version: 1\nworkspaces: { w: { cwd: $WORK, processes: { p: { command: [sleep, '1000'] } } } }\n",
    );
    let pty = site.terminal(80, 24, &["dashboard"]);
    pty.wait_for_text("`wezterm-parallel up` starts a daemon");
    site.daemon();
    wait_row(&pty, "w/p", "running");
}

#[test]
fn enter_attaches_in_this_terminal_and_detaching_comes_back() {
    let site = site();
    let pty = dashboard(&site);
    choose(&pty, "api");
    pty.type_keys("\r");
    pty.wait_for_text("the program is here");
    site.wait_attached("w/api", 1);
    // nobody keeps its events for it meanwhile
    site.run(&["process", "stop", "w/web"]).ok();
    pty.type_keys(DETACH);
    pty.wait_for("it is back", |s| s.alternate_screen() && row(s, "w/api").is_some());
    choose(&pty, "web");
    wait_row(&pty, "w/web", "stopped");
    // of one that does not run there are its last words
    choose(&pty, "broken");
    pty.type_keys("L");
    pty.wait_for_text("its last words");
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let site = site();
    let mut pty = dashboard(&site);
    let pid = Pid::from_raw(pty.pid()).expect("a process has a number");
    kill_process(pid, Signal::TERM).expect("it is ours");
    assert_eq!(pty.wait_for_end(), None, "it ends by the signal, as others do");
    pty.wait_for("the terminal as it was", |s| !s.alternate_screen() && !s.hide_cursor());
    pty.wait_for_bytes(b"\x1b[?1004l");
}

#[test]
fn another_size_is_drawn_anew() {
    let site = site();
    let pty = dashboard(&site);
    pty.resize(40, 12);
    pty.wait_for("all at the new size", |s| {
        let lines: Vec<String> = s.contents().lines().map(Into::into).collect();
        lines.len() == 12 && lines[11].contains("q quit") && row(s, "w/web").is_some()
    });
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let site = Site::new();
    site.run(&["dashboard"])
        .exits(1)
        .says("there is no terminal to show it on")
        .says("wezterm-parallel status");
}

#[test]
fn what_a_real_claude_asks_is_allowed_by_a_key() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    let prompt = serde_json::Value::from("[[bash:echo hi > made]][[text:the turn is over]]");
    site.config(&format!(
        "version: 1
workspaces:
  api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: claude, args: [--permission-mode, manual, {prompt}], restart: {{ policy: never }} }} }} }}
"
    ));
    site.daemon();
    let pty = site.terminal(120, 40, &["dashboard"]);
    wait_row(&pty, "api/lead", "blocked");
    wait_row(&pty, "api/lead", "Bash: echo hi > made");
    pty.wait_for_text("1 needs you");
    // it is in the pane below, whole, so that one key decides it
    pty.press_until("a", "it is allowed", |s| s.contents().contains("allowed api/lead: Bash echo hi > made"));
    site.wait_file(&site.path("work/api/made"), |text| text == "hi\n");
    site.wait_status("api/lead", Status::Idle);
    wait_row(&pty, "api/lead", "unread");
    let asks: Vec<wezterm_parallel_schemas::inbox::AskView> =
        site.run(&["inbox", "list", "--all", "--json"]).ok().json();
    assert_eq!(asks.iter().map(|a| a.state).collect::<Vec<_>>(), [AskState::Allowed]);

    // and a prompt goes to it
    pty.type_keys("p[[text:done as you said]]\r");
    pty.wait_for_text("api/lead: delivered");
    site.mock().wait("the prompt", |r| r.prompt.contains("done as you said"));
}

fn add_task(site: &Site, name: &str, script: &str) -> String {
    let add = TaskAdd {
        name: Some(name.into()),
        command: vec!["sh".into(), "-c".into(), script.into()],
        cwd: Some(site.path("work")),
        ..TaskAdd::default()
    };
    site.client().call::<AddTask>(add).expect("it is added").id
}

fn task_state(site: &Site, id: &str) -> TaskState {
    let target = TaskTarget { task: id.into(), key: None };
    site.client().call::<ShowTask>(target).expect("it is known").task.state
}

#[test]
fn tasks_are_live_and_keys_do_to_them_what_they_say() {
    let site = Site::new();
    site.config("version: 1\ntasks: { parallel: 1 }\n");
    site.daemon();
    let first = add_task(&site, "first", "echo it begins; exec sleep 1000");
    let pty = site.terminal(100, 24, &["dashboard", "--tasks"]);
    wait_row(&pty, "first", "running");

    // what others add is seen as it happens
    let second = add_task(&site, "second", "exit 3");
    wait_row(&pty, "second", "queued");
    pty.wait_for_text("1 running · 1 queued");
    pty.type_keys("jp");
    wait_row(&pty, "second", "paused");
    pty.type_keys("p");
    wait_row(&pty, "second", "queued");
    pty.type_keys("g");
    pty.wait_for_text("nothing more of the group default starts");
    let paused = || {
        let groups = site.client().call::<ListGroups>(Empty {}).expect("they can be listed");
        groups.iter().any(|g| g.paused)
    };
    assert!(paused());
    wait_row(&pty, "second", "the group default is paused");
    pty.type_keys("g");
    pty.wait_for_text("the group default goes on");
    assert!(!paused());

    // canceled only when that was meant
    pty.type_keys("kc");
    pty.wait_for_text("cancel first, which runs? [y/N]");
    pty.type_keys("n");
    pty.wait_for("it is left", |s| foot(s).contains("left as it is"));
    assert_eq!(task_state(&site, &first), TaskState::Running);
    pty.type_keys("cy");
    wait_row(&pty, "first", "canceled");
    wait_row(&pty, "second", "exit code 3");
    pty.wait_for("what failed is first", |s| row(s, "second").is_some_and(|row| row.contains("✗")));
    assert_eq!(task_state(&site, &second), TaskState::Failed);

    // a command of the program in the dashboard's place
    pty.type_keys("/second\r\r");
    pty.wait_for("the command", |s| !s.alternate_screen() && s.contents().contains("back to the dashboard"));
    pty.type_keys("\r");
    pty.wait_for("the table", |s| s.alternate_screen());
    wait_row(&pty, "second", "failed");
    pty.type_keys("r");
    wait_row(&pty, "second", "exit code 3");

    // the other view, which has them in its header
    pty.type_keys("t");
    pty.wait_for_text("tasks: 1 failed");
    pty.type_keys("q");
    pty.wait_for("the terminal as it was", |s| !s.alternate_screen());
}
