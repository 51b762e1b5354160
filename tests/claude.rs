//! The real Claude Code, supervised: sessions, status, trust, and its screen. Line 5 of what must work, and
//! "done when". Left out by `WEZTERM_PARALLEL_SKIP_CLAUDE=1`.

use std::fs;

use wezterm_parallel_schemas::process::{Blocked, ProcessView, State, Status};

use crate::support::{
    pty::Pty,
    site::{Site, kill, lives},
};

const CLAUDES: &str = "version: 1
defaults: { restart: { backoff: { initial: 10ms } } }
agents: { claude: { args: [--permission-mode, manual] } }
workspaces:
";

fn site() -> Option<Site> {
    let site = Site::with_claude()?;
    site.project("api");
    site.config(&format!(
        "{CLAUDES}  api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: claude }} }} }}\n"
    ));
    site.daemon();
    Some(site)
}

fn attach(site: &Site, process: &str) -> Pty {
    let pty = site.terminal(110, 32, &["process", "attach", process]);
    pty.wait_for_text("❯");
    pty
}

/// Where Claude writes down what is said in a session in `work/api`, in a directory that is there.
fn transcript(site: &Site, session: &str) -> std::path::PathBuf {
    let project = site.path("work/api").display().to_string();
    let project: String = project.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let directory = site.path("home/.claude/projects").join(project);
    fs::create_dir_all(&directory).expect("a directory below our home");
    directory.join(format!("{session}.jsonl"))
}

/// Types a prompt. The text goes first: keys that come with their Enter in one piece may be a paste.
fn prompt(pty: &Pty, text: &str) {
    pty.type_keys(text);
    pty.wait_for_text(&text.chars().take(20).collect::<String>());
    pty.type_keys("\r");
}

/// Answers the question whether the directory is trusted. "No, exit" is chosen at first.
fn trust(pty: &Pty) {
    pty.wait_for_text("Yes, I trust this folder");
    pty.press_until("\x1b[B", "the other answer", |s| s.contents().contains("❯ Yes, I trust"));
    pty.press_until("\r", "the question is gone", |s| !s.contents().contains("I trust this folder"));
}

fn reason(process: &ProcessView) -> &str {
    process.status_reason.as_deref().unwrap_or_default()
}

/// The support itself: without the product in between.
#[test]
fn the_mock_and_the_terminal_drive_the_real_claude() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    let mut command = site.command("claude");
    command.args(["--permission-mode", "manual"]).current_dir(site.path("work/api"));
    let pty = Pty::spawn(command, 110, 32);
    pty.wait_for_text("❯");
    prompt(&pty, "[[hold:gate]][[text:the answer is here]]");
    site.mock().wait("the prompt", |r| r.prompt.contains("the answer") && r.turn == 0);
    site.mock().release("gate");
    pty.wait_for("the answer", |s| s.contents().matches("the answer is here").count() >= 2);
    prompt(&pty, "[[bash:echo hi > made]]");
    pty.wait_for_text("Do you want to proceed?");
    pty.press_until("\r", "the tool is used", |s| s.contents().contains("MOCK: done"));
    assert_eq!(fs::read_to_string(site.path("work/api/made")).expect("the tool ran"), "hi\n");
}

#[test]
fn a_turn_goes_from_idle_over_working_to_idle_and_unread_until_somebody_looks() {
    let Some(site) = site() else { return };
    let idle = site.wait_status("api/lead", Status::Idle);
    assert_eq!((idle.state, idle.unread), (State::Running, false));
    let session = idle.session_id.expect("a Claude has a session");
    let pty = attach(&site, "api/lead");
    prompt(&pty, "[[hold:gate]][[text:hello there]]");
    site.wait_status("api/lead", Status::Working);
    let request = site.mock().wait("the prompt", |r| r.prompt.contains("hello there"));
    assert_eq!(request.session, session);
    // nobody looks when the turn ends
    drop(pty);
    site.wait_attached("api/lead", 0);
    site.mock().release("gate");
    let done = site.wait_process("api/lead", |p| p.status == Some(Status::Idle) && p.unread);
    assert_eq!(done.session_id.as_deref(), Some(session.as_str()));
    let pty = attach(&site, "api/lead");
    pty.wait_for_text("hello there");
    site.wait_process("api/lead", |p| !p.unread);
}

#[test]
fn a_permission_dialog_is_blocked_with_its_text_and_esc_is_idle_again() {
    let Some(site) = site() else { return };
    site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    prompt(&pty, "[[bash:echo hi > made]]");
    let blocked = site.wait_status("api/lead", Status::Blocked(Blocked::Permission));
    assert!(reason(&blocked).contains("echo hi > made"), "{}", reason(&blocked));
    let dialog = |s: &vt100::Screen| s.contents().contains("Do you want to proceed?");
    pty.wait_for("the dialog", dialog);
    pty.press_until("\x1b", "the dialog is gone", |s| !dialog(s));
    let idle = site.wait_status("api/lead", Status::Idle);
    assert_eq!(idle.status_reason, None);
    assert!(!site.path("work/api/made").exists());

    // and while it works
    prompt(&pty, "[[hang]]");
    site.wait_status("api/lead", Status::Working);
    site.mock().wait("the prompt", |r| r.prompt.contains("[[hang]]"));
    pty.type_keys("\x1b");
    site.wait_status("api/lead", Status::Idle);
}

#[test]
fn a_question_is_blocked_with_its_text() {
    let Some(site) = site() else { return };
    site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    let question = r#"{"questions":[{"question":"Which one?","header":"Pick","multiSelect":false,"options":[{"label":"A","description":"a"},{"label":"B","description":"b"}]}]}"#;
    prompt(&pty, &format!("[[tool:AskUserQuestion:{question}]]"));
    let blocked = site.wait_status("api/lead", Status::Blocked(Blocked::Question));
    assert!(reason(&blocked).contains("Which one?"), "{}", reason(&blocked));
}

#[test]
fn an_error_of_the_api_is_a_status_with_its_text() {
    let Some(site) = site() else { return };
    site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    prompt(&pty, "[[status:400]]");
    let failed = site.wait_status("api/lead", Status::Error);
    assert!(reason(&failed).contains("400"), "{}", reason(&failed));
    assert_eq!(failed.state, State::Running);
}

#[test]
fn a_killed_claude_comes_back_on_its_session() {
    let Some(site) = site() else { return };
    let first = site.wait_status("api/lead", Status::Idle);
    let session = first.session_id.clone().expect("a Claude has a session");
    let transcript = transcript(&site, &session);
    let pty = attach(&site, "api/lead");
    prompt(&pty, "[[text:remember me]]");
    pty.wait_for("the answer", |s| s.contents().matches("remember me").count() >= 2);
    // what Claude has not written down by then, nobody can bring back
    site.wait_file(&transcript, |text| text.contains(r#""type":"assistant""#));
    kill(first.pid.expect("it runs"));
    let second = site.wait_process("api/lead", |p| p.pid != first.pid && p.status == Some(Status::Idle));
    assert_eq!(second.session_id, first.session_id);
    assert_eq!(second.restarts, 1);
    // the terminal has followed, and the conversation goes on
    pty.wait_for_text("remember me");
    prompt(&pty, "[[text:second prompt]]");
    let request = site.mock().wait("the second prompt", |r| r.prompt.contains("second prompt"));
    assert_eq!(Some(&request.session), first.session_id.as_ref());
    assert!(request.texts.iter().any(|t| t.contains("remember me")), "{request:#?}");
}

#[test]
fn a_claude_killed_in_its_first_turn_comes_back_all_the_same() {
    let Some(site) = site() else { return };
    let first = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    prompt(&pty, "[[hang]]");
    site.mock().wait("the prompt", |r| r.prompt.contains("[[hang]]"));
    // its transcript may have a beginning and no word of the user: it can be neither begun nor gone on with
    kill(first.pid.expect("it runs"));
    let second = site.wait_process("api/lead", |p| p.pid != first.pid && p.status == Some(Status::Idle));
    assert_eq!(second.restarts, 1);
    prompt(&pty, "[[text:once more]]");
    pty.wait_for("the answer", |s| s.contents().matches("once more").count() >= 2);
}

#[test]
fn a_claude_that_was_never_spoken_to_comes_back_with_its_session_all_the_same() {
    let Some(site) = site() else { return };
    let first = site.wait_status("api/lead", Status::Idle);
    kill(first.pid.expect("it runs"));
    let second = site.wait_process("api/lead", |p| p.pid != first.pid && p.status == Some(Status::Idle));
    assert_eq!((second.session_id, second.restarts), (first.session_id, 1));
}

#[test]
fn a_daemon_that_is_killed_while_all_work_loses_none_and_doubles_none() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    site.project("web");
    let processes = "{ lead: { agent: claude }, help: { agent: claude } }";
    site.config(&format!(
        "{CLAUDES}  api: {{ cwd: $WORK/api, processes: {processes} }}\n  web: {{ cwd: $WORK/web, processes: {processes} }}\n"
    ));
    site.daemon();
    let names = ["api/lead", "api/help", "web/lead", "web/help"];
    let mut terminals = Vec::new();
    for name in names {
        site.wait_status(name, Status::Idle);
        let pty = attach(&site, name);
        prompt(&pty, &format!("[[hold:gate]][[text:answer of {name}]]"));
        terminals.push(pty);
    }
    let before = names.map(|name| site.wait_status(name, Status::Working));
    site.kill_daemon();
    site.daemon();
    for (name, before) in names.iter().zip(&before) {
        let after = site.wait_status(name, Status::Working);
        assert_eq!((after.pid, &after.session_id), (before.pid, &before.session_id), "{name}");
    }
    let claudes = site
        .living()
        .into_iter()
        .filter(|(_, c)| c.contains("--session-id"))
        .filter(|(_, c)| !c.contains("keeper"));
    assert_eq!(claudes.count(), 4, "{:#?}", site.living());
    site.mock().release("gate");
    for (name, pty) in names.iter().zip(&terminals) {
        let answer = format!("answer of {name}");
        pty.wait_for(&answer, |s| s.contents().matches(&answer).count() >= 2);
        site.wait_status(name, Status::Idle);
        assert_eq!(site.mock().count(|r| r.prompt.contains(&answer) && r.turn == 0), 1, "{name} asked twice");
    }
    drop(terminals);
    site.run(&["stop", "--yes"]).ok();
    assert_eq!(site.living(), []);
}

#[test]
fn after_a_stop_the_same_sessions_are_resumed() {
    let Some(site) = site() else { return };
    let first = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    prompt(&pty, "[[text:before the stop]]");
    pty.wait_for("the answer", |s| s.contents().matches("before the stop").count() >= 2);
    drop(pty);
    site.run(&["stop", "--yes"]).ok();
    site.daemon();
    let second = site.wait_status("api/lead", Status::Idle);
    assert_eq!(second.session_id, first.session_id);
    let pty = attach(&site, "api/lead");
    pty.wait_for_text("before the stop");
}

#[test]
fn a_directory_that_is_not_trusted_blocks_and_holds_further_starts_until_it_is() {
    let Some(site) = Site::with_claude() else { return };
    let state = fs::read_to_string(site.path("home/.claude.json")).expect("it is there");
    let mut state: serde_json::Value = serde_json::from_str(&state).expect("json");
    state["projects"] = serde_json::json!({});
    fs::write(site.path("home/.claude.json"), state.to_string()).expect("it is ours");
    site.project("api");
    site.config(&format!(
        "{CLAUDES}  api: {{ cwd: $WORK/api, processes: {{ one: {{ agent: claude }}, two: {{ agent: claude, autostart: false }} }} }}\n"
    ));
    site.daemon();
    site.wait_status("api/one", Status::Blocked(Blocked::Trust));
    site.run(&["process", "start", "api/two"]).ok();
    let held = site.wait_process("api/two", |p| p.state == State::Starting && p.state_reason.is_some());
    let why = held.state_reason.as_deref().unwrap_or_default();
    assert!(why.contains("trust"), "{why}");
    assert_eq!(held.pid, None);
    let pty = site.terminal(110, 32, &["process", "attach", "api/one"]);
    pty.wait_for_text("trust");
    trust(&pty);
    site.wait_status("api/one", Status::Idle);
    site.wait_status("api/two", Status::Idle);
}

#[test]
fn the_classic_screen_can_be_chosen_and_our_kills_never_switch_the_users() {
    let Some(site) = site() else { return };
    let first = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    let full = |s: &vt100::Screen| s.alternate_screen();
    pty.wait_for("full screen", full);
    // twice right after a start: by SIGKILL, Claude would fall back to the classic screen for good
    let mut last = first;
    for _ in 0..2 {
        site.run(&["process", "restart", "--now", "api/lead"]).ok();
        last = site.wait_process("api/lead", |p| p.pid != last.pid && p.status == Some(Status::Idle));
    }
    pty.wait_for("full screen", full);
    drop(pty);
    let pty = attach(&site, "api/lead");
    pty.wait_for("full screen", full);

    site.config(&format!(
        "{}  api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: claude }} }} }}\n",
        CLAUDES.replace("manual]", "manual], screen: classic")
    ));
    site.wait_process("api/lead", |p| p.pid != last.pid && p.status == Some(Status::Idle));
    let classic = attach(&site, "api/lead");
    classic.wait_for("no full screen", |s| !s.alternate_screen() && s.contents().contains('❯'));
}

#[test]
fn attaching_again_shows_claudes_screen_as_it_is() {
    let Some(site) = site() else { return };
    site.wait_status("api/lead", Status::Idle);
    let mut first = attach(&site, "api/lead");
    prompt(&first, "[[text:日本語の答え 👍]]");
    first.wait_for("the answer", |s| s.contents().matches("日本語の答え").count() >= 2);
    site.wait_status("api/lead", Status::Idle);
    first.type_keys("\x1c");
    assert_eq!(first.wait_for_end(), Some(0));
    let second = attach(&site, "api/lead");
    second.wait_for("the answer", |s| s.contents().matches("日本語の答え").count() >= 2);
    // who was there all the time sees the same as who has just come, also after another change
    let third = attach(&site, "api/lead");
    third.wait_to_look_like(&second);
    second.type_keys("half a prompt");
    third.wait_for_text("half a prompt");
    third.wait_to_look_like(&second);
}

#[test]
fn a_claude_asked_to_stop_is_gone_with_everything_it_runs() {
    let Some(site) = site() else { return };
    site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    prompt(&pty, "[[bash:timeout 600 tail -f /dev/null]]");
    site.wait_status("api/lead", Status::Blocked(Blocked::Permission));
    pty.wait_for_text("Do you want to proceed?");
    pty.press_until("\r", "the tool is used", |s| !s.contents().contains("Do you want to proceed?"));
    site.wait_status("api/lead", Status::Working);
    let before = site.process("api/lead");
    site.run(&["process", "stop", "api/lead"]).ok();
    assert!(!lives(before.pid.expect("it ran")));
    let left: Vec<_> = site.living().into_iter().filter(|(_, c)| c.contains("tail -f")).collect();
    assert!(left.is_empty(), "{left:#?}");
}
