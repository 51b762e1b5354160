//! The scenarios. Each plays something with the real Claude and says whether its status told the truth:
//! how late, or what was wrong.

use wezterm_parallel_schemas::process::{Blocked, State, Status};

use crate::{
    stage::{LEAD, Stage, now},
    support::{pty::Pty, site},
};

/// Something that happens to an agent.
pub struct Scenario {
    /// As it stands in the table.
    pub name: &'static str,
    /// Further arguments of Claude.
    pub args: &'static [&'static str],
    /// Further environment.
    pub env: &'static [(&'static str, &'static str)],
    /// Its directory is not trusted.
    pub untrusted: bool,
    /// Plays it. How late the latest status was, in milliseconds, or what was wrong.
    pub play: fn(&mut Stage) -> Result<i64, String>,
}

const fn scenario(name: &'static str, play: fn(&mut Stage) -> Result<i64, String>) -> Scenario {
    Scenario { name, args: &[], env: &[], untrusted: false, play }
}

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    scenario("idle at the start", idle_at_the_start),
    scenario("working, and done", working),
    Scenario { args: &["--allowedTools", "Bash"], ..scenario("a long tool", long_tool) },
    scenario("Esc before the first text", esc_before_text),
    scenario("Esc in the middle of a text", esc_in_text),
    Scenario { args: &["--allowedTools", "Bash"], ..scenario("Esc in the middle of a tool", esc_in_tool) },
    scenario("a permission shown", permission_shown),
    scenario("a permission allowed in the pane", permission_allowed),
    scenario("a permission denied in the pane", permission_denied),
    scenario("a question, and its answer", question),
    scenario("an error of the API (400)", error_400),
    scenario("a rate limit that passes with retries (429)", retries_429),
    Scenario {
        env: &[("CLAUDE_CODE_MAX_RETRIES", "1")],
        ..scenario("overloaded, and given up (529)", overloaded_529)
    },
    Scenario {
        env: &[("ANTHROPIC_API_KEY", ""), ("CLAUDE_CODE_OAUTH_TOKEN", "fake-for-loopback")],
        ..scenario("a usage limit, and its reset", usage_limit)
    },
    Scenario { args: &["--allowedTools", "Bash"], ..scenario("a subagent that works on", subagent) },
    scenario("compaction", compaction),
    scenario("/clear", clear),
    scenario("/exit", exit),
    scenario("Ctrl-C twice", ctrl_c_twice),
    scenario("SIGKILL, and back", sigkill),
    scenario("a stream that hangs", hung_stream),
    scenario("the daemon killed and back during work", daemon_killed),
    scenario("all terminals closed during a permission", all_closed),
    Scenario {
        untrusted: true,
        env: &[("ANTHROPIC_API_KEY", "")],
        ..scenario("a question of trust, then of login", trust_and_login)
    },
];

const PERMISSION: Status = Status::Blocked(Blocked::Permission);
const QUESTION: Status = Status::Blocked(Blocked::Question);

fn dialog(screen: &vt100::Screen) -> bool {
    screen.contents().contains("Do you want to proceed?")
}

fn shows_dialog(pty: &Pty) -> i64 {
    pty.wait_for("the dialog", dialog);
    now()
}

/// Asks for a permission, and says when it was on the screen.
fn ask(s: &Stage, pty: &Pty, command: &str) -> i64 {
    s.prompt(pty, &format!("[[bash:{command}]][[text:used]]"));
    shows_dialog(pty)
}

fn idle_at_the_start(s: &mut Stage) -> Result<i64, String> {
    let pty = s.site.terminal(110, 32, &["process", "attach", LEAD]);
    pty.wait_for_text("❯");
    let shown = now();
    s.becomes(Status::Idle, shown)
}

fn working(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let asked = s.work(&pty, "[[hold:gate]][[text:hello there]]");
    let late = s.becomes(Status::Working, asked)?;
    drop(pty);
    s.site.wait_attached(LEAD, 0);
    s.only(asked, &[Status::Working])?;
    s.site.mock().release("gate");
    let done = s.becomes(Status::Idle, now())?;
    let p = s.site.wait_process(LEAD, |p| p.unread);
    if p.status != Some(Status::Idle) {
        return Err(format!("unread, and {:?}", p.status));
    }
    Ok(late.max(done))
}

fn long_tool(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let asked = s.work(&pty, "[[bash:timeout 3 tail -f /dev/null; true]][[hold:gate]][[text:over]]");
    let late = s.becomes(Status::Working, asked)?;
    s.site.mock().wait("the end of the tool", |r| r.prompt.contains("timeout 3") && r.turn == 1);
    s.only(asked, &[Status::Working])?;
    s.site.mock().release("gate");
    Ok(late.max(s.becomes(Status::Idle, now())?))
}

fn esc_before_text(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let asked = s.work(&pty, "[[hold:gate]][[text:late]]");
    s.becomes(Status::Working, asked)?;
    escaped(s, &pty)
}

fn esc_in_text(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let words: String = (0..60).map(|n| format!("word{n} ")).collect();
    let asked = s.work(&pty, &format!("[[slow:20]][[text:{words}]]"));
    s.becomes(Status::Working, asked)?;
    pty.wait_for("the beginning of the answer", |s| s.contents().matches("word0").count() >= 2);
    escaped(s, &pty)
}

fn esc_in_tool(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let asked = s.work(&pty, "[[bash:timeout 60 tail -f /dev/null]][[text:over]]");
    s.becomes(Status::Working, asked)?;
    pty.wait_for("the tool", |s| {
        s.contents().contains("esc to interrupt") || s.contents().contains("Running")
    });
    escaped(s, &pty)
}

/// Presses Esc, and waits until it is idle, and not because a turn ended.
fn escaped(s: &Stage, pty: &Pty) -> Result<i64, String> {
    s.site
        .client()
        .call::<wezterm_parallel_schemas::method::SeeProcess>(
            wezterm_parallel_schemas::process::ProcessTarget { process: LEAD.into(), ..Default::default() },
        )
        .map_err(|e| e.message)?;
    let pressed = now();
    pty.type_keys("\x1b");
    let late = s.becomes(Status::Idle, pressed)?;
    match s.process().unread {
        false => Ok(late),
        true => Err("an interrupted turn counts as finished".into()),
    }
}

fn permission_shown(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let shown = ask(s, &pty, "echo hi > made");
    let (late, seen) = s.comes("blocked(permission)", shown, |s| s.status == Some(PERMISSION))?;
    match seen.reason {
        Some(reason) if reason.contains("echo hi > made") => Ok(late),
        other => Err(format!("it does not say what for: {other:?}")),
    }
}

fn permission_allowed(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    s.prompt(&pty, "[[bash:timeout 2 tail -f /dev/null > made; true]][[hold:gate]][[text:used]]");
    let shown = shows_dialog(&pty);
    s.becomes(PERMISSION, shown)?;
    pty.press_until("\r", "the dialog is gone", |s| !dialog(s));
    let pressed = now();
    let late = s.becomes(Status::Working, pressed)?;
    s.site.mock().wait("the end of the tool", |r| r.prompt.contains("timeout 2") && r.turn == 1);
    s.only(pressed, &[Status::Working])?;
    s.site.mock().release("gate");
    Ok(late.max(s.becomes(Status::Idle, now())?))
}

fn permission_denied(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let shown = ask(s, &pty, "echo hi > made");
    s.becomes(PERMISSION, shown)?;
    pty.press_until("\x1b", "the dialog is gone", |s| !dialog(s));
    let late = s.becomes(Status::Idle, now())?;
    if s.site.path("work/api/made").exists() {
        return Err("the tool was used".into());
    }
    Ok(late)
}

fn question(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let question = r#"{"questions":[{"question":"Which one?","header":"Pick","multiSelect":false,"options":[{"label":"Alpha","description":"a"},{"label":"Beta","description":"b"}]}]}"#;
    s.prompt(&pty, &format!("[[tool:AskUserQuestion:{question}]][[hold:gate]][[text:thanks]]"));
    pty.wait_for("the question", |s| {
        s.contents().contains("Beta") && s.contents().contains("Enter to select")
    });
    let (late, seen) = s.comes("blocked(question)", now(), |s| s.status == Some(QUESTION))?;
    if !seen.reason.as_ref().is_some_and(|r| r.contains("Which one?")) {
        return Err(format!("it does not say what is asked: {:?}", seen.reason));
    }
    pty.press_until("\r", "the question is gone", |s| !s.contents().contains("Enter to select"));
    let back = s.becomes(Status::Working, now())?;
    s.site.mock().release("gate");
    Ok(late.max(back).max(s.becomes(Status::Idle, now())?))
}

fn error_400(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    s.prompt(&pty, "[[status:400]]");
    pty.wait_for_text("API Error");
    error(s, "400")
}

fn error(s: &Stage, text: &str) -> Result<i64, String> {
    let (late, seen) = s.comes("error", now(), |s| s.status == Some(Status::Error))?;
    match seen.reason {
        Some(reason) if reason.contains(text) => Ok(late),
        other => Err(format!("it does not say what failed: {other:?}")),
    }
}

fn retries_429(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let asked = s.work(&pty, "[[status:429,n=2,ra=1]][[hold:gate]][[text:recovered]]");
    let late = s.becomes(Status::Working, asked)?;
    // the third request is the one that is answered
    pty.wait_for("the last retry", |_| s.site.mock().count(|r| r.prompt.contains("recovered")) == 3);
    s.only(asked, &[Status::Working])?;
    s.site.mock().release("gate");
    pty.wait_for("the answer", |s| s.contents().matches("recovered").count() >= 2);
    Ok(late.max(s.becomes(Status::Idle, now())?))
}

fn overloaded_529(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let asked = s.work(&pty, "[[status:529]]");
    let late = s.becomes(Status::Working, asked)?;
    pty.wait_for("the end of the retries", |s| s.contents().contains("API Error"));
    Ok(late.max(error(s, "529")?))
}

fn usage_limit(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    s.prompt(&pty, "[[rl:status=rejected,5h=1,7d=0.5,reset=6]][[status:429,n=1]][[text:went on]]");
    pty.wait_for("the limit", |s| {
        s.contents().contains("hit your") || s.contents().contains("limit reached")
    });
    let hit = now();
    let late = s.becomes(Status::RateLimited, hit)?;
    let p = s.process();
    match p.limited_until {
        Some(until) if (until - hit - 6_000).abs() < 60_000 => {}
        other => return Err(format!("it does not say until when: {other:?}")),
    }
    let from = p.limited_until.unwrap_or(hit);
    let (back, seen) = s.comes("something else", from, |s| s.status != Some(Status::RateLimited))?;
    match seen.status {
        Some(Status::Idle | Status::Error | Status::Blocked(Blocked::Question)) => Ok(late.max(back)),
        other => Err(format!("after the reset it is {other:?}")),
    }
}

fn subagent(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let agent = r#"{"description":"sub","prompt":"[[bash:timeout 3 tail -f /dev/null; true]][[text:sub answer]]","subagent_type":"general-purpose","run_in_background":true}"#;
    let asked = s.work(&pty, &format!("[[tool:Agent:{agent}]][[text:main is done]]"));
    let late = s.becomes(Status::Working, asked)?;
    pty.wait_for("the end of the main turn", |s| s.contents().matches("main is done").count() >= 2);
    let begun = now();
    s.site.mock().wait("the end of the subagent's tool", |r| {
        r.prompt.contains("timeout 3") && r.turn == 1 && !r.prompt.contains("Agent")
    });
    s.only(begun + 200, &[Status::Working, Status::Idle])?;
    let early = s.only(begun + 200, &[Status::Working]);
    let ended = now();
    let late = late.max(s.becomes(Status::Idle, ended)?);
    early.map(|()| late)
}

fn compaction(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    // one turn alone is not enough for the older one
    for text in ["something to compact", "and some more of it"] {
        s.work(&pty, &format!("[[text:{text}]]"));
        pty.wait_for("the answer", |s| s.contents().matches(text).count() >= 2);
        s.becomes(Status::Idle, now())?;
    }
    let before = now();
    pty.type_keys("/compact");
    pty.wait_for_text("/compact");
    pty.type_keys("\r");
    pty.wait_for("the end of it", |s| s.contents().contains("ompacted"));
    let done = now();
    let late = s.becomes(Status::Idle, done)?;
    s.was(before, Status::Working)?;
    s.only(before, &[Status::Working, Status::Idle])?;
    Ok(late)
}

fn clear(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    s.work(&pty, "[[text:something to forget]]");
    pty.wait_for("the answer", |s| s.contents().matches("something to forget").count() >= 2);
    s.becomes(Status::Idle, now())?;
    let before = s.process().session_id;
    pty.type_keys("/clear");
    pty.wait_for_text("/clear");
    let from = now();
    pty.type_keys("\r");
    pty.wait_for("an empty screen", |s| !s.contents().contains("something to forget"));
    let done = now();
    s.site.wait_process(LEAD, |p| p.session_id != before);
    let late = s.becomes(Status::Idle, done)?;
    s.only(from, &[Status::Working, Status::Idle])?;
    Ok(late)
}

fn exit(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    pty.type_keys("/exit");
    pty.wait_for_text("/exit");
    pty.type_keys("\r");
    ended(s)
}

fn ctrl_c_twice(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    pty.type_keys("\x03");
    pty.wait_for_text("Press Ctrl-C again to exit");
    pty.type_keys("\x03");
    ended(s)
}

/// It has ended by itself, and has no status any more.
fn ended(s: &Stage) -> Result<i64, String> {
    let p = s.state(State::Exited);
    let ended = p.last_exit.as_ref().map_or_else(now, |e| e.ended_at);
    s.comes("none", ended, |s| s.status.is_none()).map(|(late, _)| late)
}

fn sigkill(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let asked = s.work(&pty, "[[hang]]");
    s.becomes(Status::Working, asked)?;
    let first = s.process();
    let killed = now();
    site::kill(first.pid.ok_or("it does not run")?);
    let second = s.site.wait_process(LEAD, |p| p.pid.is_some() && p.pid != first.pid);
    if second.restarts != 1 {
        return Err(format!("restarted {} times", second.restarts));
    }
    s.comes("idle", killed, |s| s.status == Some(Status::Idle))?;
    s.left(Status::Working, killed)
}

fn hung_stream(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let asked = s.work(&pty, "[[hang]]");
    let late = s.becomes(Status::Working, asked)?;
    // its clock goes on: it is watched for as long as it takes to count some seconds
    pty.wait_for("some seconds", |s| s.contents().contains("(3s") || s.contents().contains("(4s"));
    s.only(asked, &[Status::Working])?;
    pty.type_keys("\x1b");
    Ok(late.max(s.becomes(Status::Idle, now())?))
}

fn daemon_killed(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let asked = s.work(&pty, "[[hold:gate]][[text:answered after all]]");
    s.becomes(Status::Working, asked)?;
    let before = s.process();
    s.site.kill_daemon();
    s.site.daemon();
    let back = now();
    s.watch();
    let late = s.becomes(Status::Working, back)?;
    let after = s.process();
    if (after.pid, &after.session_id) != (before.pid, &before.session_id) {
        return Err("it is another one".into());
    }
    s.site.mock().release("gate");
    pty.wait_for("the answer", |s| s.contents().matches("answered after all").count() >= 2);
    Ok(late.max(s.becomes(Status::Idle, now())?))
}

fn all_closed(s: &mut Stage) -> Result<i64, String> {
    let pty = s.idle()?;
    let second = s.attach();
    let shown = ask(s, &pty, "echo hi > made");
    let late = s.becomes(PERMISSION, shown)?;
    let closed = now();
    pty.close_as_wezterm_does();
    second.close_as_wezterm_does();
    s.site.wait_attached(LEAD, 0);
    let p = s.process();
    if p.status != Some(PERMISSION) || s.site.path("work/api/made").exists() {
        return Err(format!("closing the windows made it {:?}", p.status));
    }
    s.only(closed, &[PERMISSION])?;
    let pty = s.site.terminal(110, 32, &["process", "attach", LEAD]);
    pty.wait_for("the dialog, again", dialog);
    pty.press_until("\r", "the tool is used", |s| !dialog(s));
    s.site.mock().wait("the end of the tool", |r| r.prompt.contains("echo hi > made") && r.turn == 1);
    Ok(late.max(s.becomes(Status::Idle, now())?))
}

fn trust_and_login(s: &mut Stage) -> Result<i64, String> {
    let pty = s.site.terminal(110, 32, &["process", "attach", LEAD]);
    pty.wait_for_text("trust this folder");
    let trust = s.becomes(Status::Blocked(Blocked::Trust), now());
    // the older one has the answer chosen already
    let chosen = |text: &str| text.lines().any(|l| l.contains('❯') && l.contains("I trust"));
    if !chosen(&pty.contents()) {
        pty.press_until("\x1b[B", "the answer", |s| chosen(&s.contents()));
    }
    pty.press_until("\r", "the question is gone", |s| !s.contents().contains("I trust this folder"));
    s.becomes(Status::Idle, now())?;
    // there is no key: it shows its prompt, and says so when it is given something to do
    s.prompt(&pty, "hello");
    pty.wait_for_text("Not logged in");
    let login = s.becomes(Status::Blocked(Blocked::Auth), now());
    Ok(trust?.max(login?))
}
