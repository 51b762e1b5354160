//! Claude's sessions: followed wherever they go, never open twice, and Claudes that somebody started by hand.
//! Left out by `WEZTERM_PARALLEL_SKIP_CLAUDE=1`.

use std::fs;

use wezterm_parallel_schemas::{
    event::EventKind,
    process::{ProcessView, Status},
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
