//! Claude's sessions: followed wherever they go, never open twice, and Claudes that somebody started by hand.
//! Left out by `WEZTERM_PARALLEL_SKIP_CLAUDE=1`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use wezterm_parallel_schemas::{
    error::Code,
    event::EventKind,
    method::{Method as _, StartProcess},
    process::{ProcessTarget, ProcessView, Source, State, Status},
    session::SessionView,
};

use crate::support::{
    pty::Pty,
    site::{Site, kill},
};

/// Claudes whose status comes from the terminal and the registry alone: no hook says which session it is.
const CLAUDES: &str = "version: 1
defaults: { restart: { backoff: { initial: 10ms } } }
agents: { claude: { args: [--permission-mode, manual], status: [osc7501, registry] } }
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

/// Types a line. The text goes first: keys that come with their Enter in one piece may be a paste.
fn say(pty: &Pty, text: &str) {
    pty.type_keys(text);
    pty.wait_for_text(&text.chars().take(20).collect::<String>());
    pty.type_keys("\r");
}

/// Says something and waits for the answer, which repeats it.
fn talk(pty: &Pty, text: &str) {
    say(pty, &format!("[[text:{text}]]"));
    pty.wait_for("the answer", |s| s.contents().matches(text).count() >= 2);
}

/// Waits until Claude has written the answer down: it does so a moment after it has shown it.
fn written(site: &Site, process: &ProcessView) {
    let directory = process.cwd.display().to_string();
    let directory: String =
        directory.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let directory = site.path("home/.claude/projects").join(directory);
    fs::create_dir_all(&directory).expect("a directory below our home");
    let file = directory.join(format!("{}.jsonl", session(process)));
    site.wait_file(&file, |text| text.contains(r#""type":"assistant""#));
}

fn session(process: &ProcessView) -> &str {
    process.session_id.as_deref().expect("a Claude has a session")
}

#[test]
fn a_session_is_followed_over_clear_and_resume_without_hooks() {
    let Some(site) = site() else { return };
    let first = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    talk(&pty, "alpha");
    let seq = site.seq();
    say(&pty, "/clear");
    let cleared = site.wait_process("api/lead", |p| p.session_id != first.session_id);
    assert_eq!(cleared.pid, first.pid);
    let told = |kind: EventKind, session: &Option<String>| {
        site.wait_event(seq, kind.name(), |e| e.kind == kind && e.session_id == *session);
    };
    told(EventKind::SessionEnded, &first.session_id);
    told(EventKind::SessionStarted, &cleared.session_id);
    site.wait_status("api/lead", Status::Idle);
    talk(&pty, "beta");
    say(&pty, &format!("/resume {}", session(&first)));
    site.wait_process("api/lead", |p| p.session_id == first.session_id);
    pty.wait_for_text("alpha");
    // and back again: where it is when it is killed is where it goes on
    say(&pty, &format!("/resume {}", session(&cleared)));
    let back = site.wait_process("api/lead", |p| p.session_id == cleared.session_id);
    pty.wait_for_text("beta");
    kill(back.pid.expect("it runs"));
    let again = site.wait_process("api/lead", |p| p.pid != back.pid && p.status == Some(Status::Idle));
    assert_eq!(session(&again), session(&cleared));
    pty.wait_for_text("beta");
}

#[test]
fn a_claude_behind_a_script_is_followed_and_what_it_starts_itself_is_not() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    site.script("wrapped", "#!/bin/sh\nclaude \"$@\"\nexit $?\n");
    site.config(&format!(
        "{}  api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: claude }} }} }}\n",
        CLAUDES
            .replace("claude: { args", "claude: { kind: claude, command: [wrapped], args")
            .replace("manual]", "manual, --allowedTools, Bash]")
    ));
    site.daemon();
    let first = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    talk(&pty, "alpha");
    say(&pty, "[[bash:claude -p '[[text:inner]]' < /dev/null | tee inner]]");
    pty.wait_for_text("MOCK: done");
    assert_eq!(fs::read_to_string(site.path("work/api/inner")).expect("it ran").trim(), "inner");
    let inner =
        site.mock().wait("the inner one", |r| r.prompt.contains("inner") && r.session != session(&first));
    assert_ne!(inner.session, session(&first));
    assert_eq!(session(&site.process("api/lead")), session(&first));
    say(&pty, "/clear");
    let cleared = site.wait_process("api/lead", |p| p.session_id != first.session_id);
    assert_ne!(session(&cleared), inner.session);
}

/// A Claude that somebody started by hand, in a terminal of its own.
fn by_hand(site: &Site, project: &str, arguments: &[&str]) -> Pty {
    let mut command = site.command("claude");
    command.args(["--permission-mode", "manual"]).args(arguments).current_dir(site.project(project));
    let pty = Pty::spawn(command, 110, 32);
    pty.wait_for_text("❯");
    pty
}

/// Claudes that somebody started by hand, as they are shown.
fn foreign(site: &Site) -> Vec<ProcessView> {
    let all: Vec<ProcessView> = site.run(&["process", "list", "--all", "--json"]).ok().json();
    all.into_iter().filter(|p| p.source == Source::Foreign).collect()
}

/// The only one, once it has this status: it is told of by its file alone, of which there are no events.
fn the_foreign(site: &Site, status: Status) -> ProcessView {
    let directory = site.path("home/.claude/sessions");
    fs::create_dir_all(&directory).expect("a directory below our home");
    let mut found = Vec::new();
    site.wait_directory(&directory, || {
        found = foreign(site);
        matches!(&found[..], [one] if one.status == Some(status))
    });
    found.remove(0)
}

fn sessions(site: &Site) -> Vec<SessionView> {
    site.run(&["session", "list", "--all", "--json"]).ok().json()
}

#[test]
fn claudes_of_somebody_else_are_shown_and_left_alone() {
    let Some(site) = site() else { return };
    site.wait_status("api/lead", Status::Idle);
    let pty = by_hand(&site, "web", &[]);
    talk(&pty, "alpha");
    let found = the_foreign(&site, Status::Idle);
    assert_eq!((found.workspace.as_str(), &found.cwd), ("", &site.path("work/web")));
    assert!(!site.processes().iter().any(|p| p.source == Source::Foreign), "they are shown when asked for");
    let shown = site.run(&["process", "list", "--all"]).ok();
    assert!(shown.out.contains("foreign"), "{}", shown.out);
    written(&site, &found);
    let session = session(&found);
    let listed = sessions(&site);
    let one = listed.iter().find(|s| s.session_id == session).expect("it has been spoken to");
    assert_eq!(one.first_prompt.as_deref(), Some("[[text:alpha]]"));
    let open = one.open.as_ref().expect("it is open");
    assert_eq!((open.pid, open.process.as_deref()), (found.pid.expect("it runs"), None));
    site.run(&["stop", "--yes"]).ok();
    talk(&pty, "beta");
    // what SIGKILL leaves behind is not taken for a Claude
    site.daemon();
    kill(found.pid.expect("it runs"));
    assert_eq!(foreign(&site), []);
}

#[test]
fn an_adopted_claude_goes_on_with_its_conversation_under_supervision() {
    let Some(site) = site() else { return };
    site.wait_status("api/lead", Status::Idle);
    let mut pty = by_hand(&site, "api", &[]);
    talk(&pty, "alpha");
    let found = the_foreign(&site, Status::Idle);
    written(&site, &found);
    let pid = found.pid.expect("it runs").to_string();

    say(&pty, "[[hold:gate]][[text:beta]]");
    the_foreign(&site, Status::Working);
    site.run(&["process", "adopt", &pid, "--yes"]).exits(1).says("it is working");
    site.mock().release("gate");
    pty.wait_for("the answer", |s| s.contents().matches("beta").count() >= 2);
    the_foreign(&site, Status::Idle);

    site.run(&["process", "adopt", &pid]).exits(1).says("you did not agree");
    site.run(&["process", "adopt", &pid, "--yes", "--name", "lead"])
        .exits(1)
        .says("has a process lead already");
    assert_eq!(foreign(&site).len(), 1, "a refusal ends nothing");
    let adopted: ProcessView = site.run(&["process", "adopt", &pid, "--yes", "--json"]).ok().json();
    assert!(pty.wait_for_end().is_some(), "the one before has ended");
    assert_eq!(adopted.session_id, found.session_id);
    let name = format!("api/{}", adopted.name);
    site.wait_status(&name, Status::Idle);
    assert_eq!(foreign(&site), []);
    let pty = attach(&site, &name);
    pty.wait_for_text("alpha");
    talk(&pty, "gamma");
    let request = site.mock().wait("the prompt", |r| r.prompt.contains("gamma"));
    assert_eq!(Some(&request.session), found.session_id.as_ref());
    assert!(request.texts.iter().any(|t| t.contains("alpha")), "{request:#?}");
    site.run(&["process", "adopt", &adopted.pid.expect("it runs").to_string(), "--yes"])
        .exits(1)
        .says("already");
}

#[test]
fn a_claude_that_was_never_spoken_to_is_not_ended_to_be_adopted() {
    let Some(site) = site() else { return };
    site.wait_status("api/lead", Status::Idle);
    let pty = by_hand(&site, "api", &[]);
    let found = the_foreign(&site, Status::Idle);
    let pid = found.pid.expect("it runs").to_string();
    site.run(&["process", "adopt", &pid, "--yes"]).exits(1).says("nothing has been said in it yet");
    site.run(&["process", "adopt", "1", "--yes"]).exits(1).says("there is no such Claude");
    talk(&pty, "alpha");
    assert_eq!(foreign(&site).len(), 1);
}

#[test]
fn a_session_is_never_opened_a_second_time() {
    let Some(site) = site() else { return };
    let lead = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    talk(&pty, "alpha");
    written(&site, &lead);
    let own = session(&lead).to_owned();
    let resume = |session: &str| site.run(&["process", "add", "api", "--resume", session]);
    // open in one of ours, then only its own
    resume(&own).exits(1).says("api/lead");
    site.run(&["process", "stop", "api/lead"]).ok();
    resume(&own[..8]).exits(1).says("belongs to api/lead");
    // open in somebody's, while the process that it belongs to is stopped
    let mut hand = by_hand(&site, "api", &["--resume", &own]);
    hand.wait_for_text("alpha");
    let found = the_foreign(&site, Status::Idle);
    let pid = found.pid.expect("it runs").to_string();
    site.run(&["process", "start", "api/lead"]).exits(1).says(&pid);
    resume(&own).exits(1).says(&pid);
    assert_eq!(site.process("api/lead").state, State::Failed);
    say(&hand, "/exit");
    hand.wait_for_end();
    site.run(&["process", "start", "api/lead"]).ok();
    site.wait_status("api/lead", Status::Idle);
    resume("0199").exits(1).says("there is no session 0199");
    resume("../../etc").exits(1).says("cannot be the id of a session");
}

#[test]
fn a_resumed_session_runs_where_it_took_place() {
    let Some(site) = site() else { return };
    site.wait_status("api/lead", Status::Idle);
    let mut hand = by_hand(&site, "web", &[]);
    talk(&hand, "alpha");
    let found = the_foreign(&site, Status::Idle);
    say(&hand, "/exit");
    hand.wait_for_end();
    let prefix = &session(&found)[..8];
    let added = site.run(&["process", "add", "api", "back", "--resume", prefix]).ok();
    added.says("took place in");
    let back = site.wait_status("api/back", Status::Idle);
    assert_eq!((session(&back), &back.cwd), (session(&found), &site.path("work/web")));
    attach(&site, "api/back").wait_for_text("alpha");
}

#[test]
fn a_fork_has_what_was_said_and_an_id_of_its_own_over_a_restart() {
    let Some(site) = site() else { return };
    let lead = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    talk(&pty, "alpha");
    written(&site, &lead);
    let added: ProcessView =
        site.run(&["process", "add", "api", "fork", "--fork", session(&lead), "--json"]).ok().json();
    let fork = site.wait_status("api/fork", Status::Idle);
    assert_eq!(fork.session_id, added.session_id);
    assert_ne!(fork.session_id, lead.session_id);
    // before a word is said in it, it is not on the disk: it is forked once more
    kill(fork.pid.expect("it runs"));
    let again = site.wait_process("api/fork", |p| p.pid != fork.pid && p.status == Some(Status::Idle));
    assert_eq!(again.session_id, fork.session_id);
    let forked = attach(&site, "api/fork");
    forked.wait_for_text("alpha");
    talk(&forked, "beta");
    let request = site.mock().wait("the prompt", |r| r.prompt.contains("beta"));
    assert_eq!(Some(&request.session), fork.session_id.as_ref());
    assert!(request.texts.iter().any(|t| t.contains("alpha")), "{request:#?}");
    site.run(&["process", "restart", "api/fork"]).ok();
    let last = site.wait_process("api/fork", |p| p.pid != again.pid && p.status == Some(Status::Idle));
    assert_eq!(last.session_id, fork.session_id);
    forked.wait_for_text("beta");
    // the one that it was taken from goes on as it was
    talk(&pty, "gamma");
    let request = site.mock().wait("the prompt", |r| r.prompt.contains("gamma"));
    assert_eq!(Some(&request.session), lead.session_id.as_ref());
    assert!(!request.texts.iter().any(|t| t.contains("beta")), "{request:#?}");
}

#[test]
fn sessions_are_listed_with_their_prompts_and_their_cost() {
    let Some(site) = site() else { return };
    let lead = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    talk(&pty, "alpha");
    talk(&pty, "beta");
    site.run(&["process", "stop", "api/lead"]).ok();
    let list: Vec<SessionView> =
        site.run_in(&site.path("work/api"), &["session", "list", "--json"]).ok().json();
    let [one] = &list[..] else { panic!("{list:#?}") };
    assert_eq!(one.session_id, session(&lead));
    assert_eq!(one.cwd, site.path("work/api"));
    assert_eq!(one.first_prompt.as_deref(), Some("[[text:alpha]]"));
    assert_eq!(one.last_prompt.as_deref(), Some("[[text:beta]]"));
    assert!(one.cost_usd.is_some_and(|usd| usd > 0.0), "{one:#?}");
    assert!(one.model.is_some() && one.open.is_none() && one.bytes > 0, "{one:#?}");
    let other = site.run(&["session", "list", "--json"]).ok();
    assert_eq!(other.json::<Vec<SessionView>>(), []);
    let shown = site.run_in(&site.path("work/api"), &["session", "list"]).ok();
    assert!(shown.out.contains("[[text:alpha]]"), "{}", shown.out);
}

#[test]
fn two_processes_that_the_config_gives_one_session_do_not_both_run() {
    let Some(site) = site() else { return };
    let lead = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    talk(&pty, "alpha");
    drop(pty);
    written(&site, &lead);
    let own = session(&lead);
    // lead goes, and its session with it; the two that come name it in their arguments
    site.config(&format!(
        "{CLAUDES}  api: {{ cwd: $WORK/api, processes: {{ one: {{ agent: claude, args: [--resume, {own}], autostart: false }}, two: {{ agent: claude, args: [--resume={own}], autostart: false }} }} }}\n"
    ));
    site.wait_process("api/two", |p| p.state == State::Stopped);
    site.wait_gone("api/lead");
    // both are asked for before either has answered
    let asked = ["one", "two"].map(|process| {
        let target = ProcessTarget { workspace: Some("api".into()), process: process.into(), key: None };
        let mut client = site.client();
        let id = client.send(StartProcess::NAME, &target);
        (client, id)
    });
    let answers = asked.map(|(mut client, id)| client.answer(id));
    assert!(answers.iter().any(|a| a.as_ref().is_err_and(|e| e.code == Code::Conflict)), "{answers:#?}");
    let all = site.processes();
    let running: Vec<_> = all.iter().filter(|p| p.state == State::Running).collect();
    let failed: Vec<_> = all.iter().filter(|p| p.state == State::Failed).collect();
    assert!(running.len() == 1 && failed.len() == 1, "{all:#?}");
    let why = failed[0].state_reason.as_deref().unwrap_or_default();
    assert!(why.contains("is open in"), "{why}");
}

#[test]
fn a_claude_that_another_daemon_keeps_is_not_taken_over() {
    let Some(site) = site() else { return };
    let lead = site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    talk(&pty, "alpha");
    written(&site, &lead);
    let places = [("XDG_STATE_HOME", "state"), ("XDG_RUNTIME_DIR", "run"), ("XDG_CONFIG_HOME", "config")];
    let place = |suffix: &str| {
        for (variable, directory) in places {
            let path = site.path(&format!("{directory}{suffix}"));
            fs::create_dir_all(&path).expect("a directory of ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("it is ours");
            site.set_env(variable, path.to_str().expect("text"));
        }
    };
    place("2");
    site.daemon();
    site.run_in(&site.path("work/api"), &["workspace", "create", "api"]).ok();
    let pid = lead.pid.expect("it runs").to_string();
    site.run(&["process", "adopt", &pid, "--yes", "--now"]).exits(1).says("another daemon of ours keeps it");
    site.run(&["process", "add", "api", "--resume", session(&lead)]).exits(1).says(&pid);
    site.run(&["stop", "--yes"]).ok();
    place("");
    assert_eq!(site.process("api/lead").pid, lead.pid);
}
