//! What agents use up, and the usage limits of their accounts, with the real Claude Code. Left out by
//! `WEZTERM_PARALLEL_SKIP_CLAUDE=1`.

use std::{
    fs,
    io::Write as _,
    process::Stdio,
    time::{SystemTime, UNIX_EPOCH},
};

use wezterm_parallel_schemas::{
    daemon::Empty,
    event::{Event, EventKind, EventList},
    limit::AccountView,
    method::{ListEvents, ListLimits},
    process::{Blocked, ProcessView, State, Status},
};

use crate::support::{
    claude,
    pty::Pty,
    site::{Site, executable, say},
};

/// A place with Claudes of a subscription, which have usage windows. None idles for a person's time.
fn site(processes: &str) -> Option<Site> {
    site_of(claude::VERSION, "manual", processes)
}

/// The same with a version of Claude, and its word for asking before each tool.
fn site_of(version: &str, mode: &str, processes: &str) -> Option<Site> {
    let site = Site::with_claude_of(version)?;
    site.unset_env("ANTHROPIC_API_KEY");
    site.set_env("CLAUDE_CODE_OAUTH_TOKEN", "fake-for-loopback");
    site.set_env("CLAUDE_CODE_MAX_RETRIES", "1");
    site.project("api");
    site.config(&format!(
        "version: 1
agents: {{ claude: {{ args: [--permission-mode, {mode}] }} }}
workspaces: {{ api: {{ cwd: $WORK/api, processes: {{ {processes} }} }} }}
"
    ));
    Some(site)
}

fn attach(site: &Site, process: &str) -> Pty {
    let pty = site.terminal(110, 32, &["process", "attach", process]);
    pty.wait_for_text("❯");
    pty
}

/// Types a prompt. The text goes first: keys that come with their Enter in one piece may be a paste.
fn prompt(pty: &Pty, text: &str) {
    pty.type_keys(text);
    pty.wait_for_text(&text.chars().take(20).collect::<String>());
    pty.type_keys("\r");
}

fn seconds_from_now(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + seconds
}

/// What has happened since.
fn events(site: &Site, since: u64) -> Vec<Event> {
    let list = EventList { since: Some(since), limit: None };
    site.client().call::<ListEvents>(list).expect("events can be listed")
}

/// The one account of a place.
fn account(site: &Site) -> AccountView {
    let all = site.client().call::<ListLimits>(Empty {}).expect("accounts can be listed");
    let [one] = &all[..] else { panic!("not one account: {all:#?}") };
    one.clone()
}

/// Waits until a process's session has used something of which `wanted` is true.
fn wait_cost(site: &Site, name: &str, wanted: impl Fn(f64) -> bool) -> ProcessView {
    site.wait_process(name, |p| p.usage.as_ref().and_then(|u| u.cost_usd).is_some_and(&wanted))
}

#[test]
fn a_usage_limit_stops_all_of_the_account_until_its_time_and_nothing_is_resumed() {
    let Some(site) = site("lead: { agent: claude }, help: { agent: claude }") else { return };
    site.daemon();
    site.wait_status("api/lead", Status::Idle);
    site.wait_status("api/help", Status::Idle);
    let pty = attach(&site, "api/lead");
    let seq = site.seq();
    let at = seconds_from_now(12);
    prompt(&pty, &format!("[[rl:status=rejected,5h=1.0,7d=0.5,at={at}]][[status:429]]"));
    let until = i64::try_from(at * 1_000).expect("a time");
    for name in ["api/lead", "api/help"] {
        let limited = site
            .wait_process(name, |p| p.status == Some(Status::RateLimited) && p.limited_until == Some(until));
        let reason = limited.status_reason.unwrap_or_default();
        assert!(reason.contains("You've hit your limit"), "{name}: {reason}");
    }
    let reached = site.wait_event(seq, "the limit", |e| e.kind == EventKind::LimitReached);
    assert!(reached.message.is_some_and(|m| m.contains("You've hit your limit")));
    let shown = account(&site);
    assert_eq!(shown.limited_until, Some(until));
    assert_eq!(shown.processes, ["api/help", "api/lead"]);
    let table = site.run(&["limit", "list"]).ok().out;
    assert!(table.contains("for ") && table.contains("api/help api/lead"), "{table}");

    // it is known to the next daemon too
    site.kill_daemon();
    site.daemon();
    assert_eq!(account(&site).limited_until, Some(until));
    let passed = site.wait_event(seq, "its end", |e| e.kind == EventKind::LimitPassed);
    assert!(passed.at >= until, "{} < {until}", passed.at);
    site.wait_status("api/help", Status::Idle);
    // Claude asks what to do about the limit, and goes on asking: it has not been told to continue
    let asks = site.wait_status("api/lead", Status::Blocked(Blocked::Question));
    assert_eq!(asks.limited_until, None);
    pty.wait_for_text("What do you want to do?");
    assert_eq!(site.mock().count(|_| true), 1, "something was resumed");
    assert_eq!(account(&site).limited_until, None);
    let reached = |e: &Event| e.kind == EventKind::LimitReached;
    let all: Vec<_> = events(&site, seq).into_iter().filter(reached).collect();
    assert_eq!(all.len(), 1, "one limit, told once: {all:#?}");
}

/// It says the time in words alone, cut to the minute; which time that is, a window says that it told of
/// before.
#[test]
fn an_older_claude_stops_until_the_time_of_the_window_that_its_words_mean() {
    let processes = "lead: { agent: claude }, help: { agent: claude }";
    let Some(site) = site_of(claude::OLD_VERSION, "default", processes) else { return };
    site.daemon();
    site.wait_status("api/lead", Status::Idle);
    site.wait_status("api/help", Status::Idle);
    let pty = attach(&site, "api/lead");
    let at = seconds_from_now(25);
    let seq = site.seq();
    prompt(&pty, &format!("first [[rl:status=allowed_warning,5h=0.8,7d=0.2,at={at}]][[text:said]]"));
    site.wait_event(seq, "its windows", |e| e.kind == EventKind::LimitWarning);
    prompt(&pty, &format!("second [[rl:status=rejected,5h=1.0,7d=0.2,at={at}]][[status:429]]"));
    let until = i64::try_from(at * 1_000).expect("a time");
    for name in ["api/lead", "api/help"] {
        site.wait_process(name, |p| p.status == Some(Status::RateLimited) && p.limited_until == Some(until));
    }
    site.wait_event(seq, "its end", |e| e.kind == EventKind::LimitPassed);
    site.wait_status("api/help", Status::Idle);
    site.wait_status("api/lead", Status::Blocked(Blocked::Question));
    assert_eq!(site.mock().count(|_| true), 2, "something was resumed");
    // and nothing of ours disturbs it
    assert!(!pty.contents().to_lowercase().contains("settings"), "{}", pty.contents());
}

#[test]
fn a_claude_without_a_terminal_counts_and_its_limit_stops_the_others_too() {
    let at = seconds_from_now(30);
    let headless = |name: &str, prompt: &str| {
        format!(
            "{name}: {{ agent: claude, args: [-p, '{prompt}', --output-format, stream-json, --verbose], \
             autostart: false, restart: {{ policy: never }} }}"
        )
    };
    let processes = format!(
        "lead: {{ agent: claude }}, {}, {}",
        headless("works", "[[usage:in=100000,out=100]][[text:done]]"),
        headless("stops", &format!("[[rl:status=rejected,5h=1.0,at={at}]][[status:429]]")),
    );
    let Some(site) = site(&processes) else { return };
    site.daemon();
    site.wait_status("api/lead", Status::Idle);
    site.run(&["process", "start", "api/works"]).ok();
    let done = site.wait_state("api/works", State::Exited).usage.expect("it has used something");
    let cost = done.cost_usd.expect("it has a price");
    assert_eq!((cost > 0.1, done.input_tokens), (true, Some(100_000)));
    assert!((account(&site).cost_usd - cost).abs() < 1e-6, "{:#?}", account(&site));
    site.run(&["process", "start", "api/stops"]).ok();
    let until = i64::try_from(at * 1_000).expect("a time");
    let lead = site.wait_process("api/lead", |p| {
        let said = p.status_reason.as_ref().is_some_and(|r| r.contains("You've hit your limit"));
        said && p.limited_until == Some(until)
    });
    assert_eq!(lead.status, Some(Status::RateLimited));
}

#[test]
fn a_limit_of_one_login_is_none_of_another_in_the_same_directory() {
    let other = "other: { agent: claude, env: { CLAUDE_CODE_OAUTH_TOKEN: another-fake } }";
    let Some(site) = site(&format!("lead: {{ agent: claude }}, {other}")) else { return };
    site.daemon();
    site.wait_status("api/lead", Status::Idle);
    site.wait_status("api/other", Status::Idle);
    let pty = attach(&site, "api/lead");
    let seq = site.seq();
    let at = seconds_from_now(3_600);
    prompt(&pty, &format!("[[rl:status=rejected,5h=1.0,at={at}]][[status:429]]"));
    site.wait_status("api/lead", Status::RateLimited);
    let reached = site.wait_event(seq, "the limit", |e| e.kind == EventKind::LimitReached);
    let pty = attach(&site, "api/other");
    prompt(&pty, "[[text:all is well]]");
    wait_cost(&site, "api/other", |c| c > 0.0);
    let other = site.process("api/other");
    assert_eq!((other.status, other.limited_until), (Some(Status::Idle), None));
    let all = site.client().call::<ListLimits>(Empty {}).expect("accounts can be listed");
    let of = |name: &str| all.iter().find(|a| a.processes == [name]).expect("each has its own");
    assert_eq!(reached.account.as_ref(), Some(&of("api/lead").account));
    assert!(of("api/other").limited_until.is_none() && of("api/other").account.contains("(login "));
    assert!(all.iter().all(|a| !a.account.contains("fake")), "{all:#?}");
}

#[test]
fn a_429_of_the_api_is_an_error_and_no_usage_limit() {
    let Some(site) = site("lead: { agent: claude }, help: { agent: claude }") else { return };
    site.daemon();
    site.wait_status("api/lead", Status::Idle);
    site.wait_status("api/help", Status::Idle);
    let pty = attach(&site, "api/lead");
    let seq = site.seq();
    prompt(&pty, "[[status:429]]");
    let failed = site.wait_status("api/lead", Status::Error);
    assert!(failed.status_reason.is_some_and(|r| r.contains("429")));
    // the other one works meanwhile
    let help = attach(&site, "api/help");
    prompt(&help, "[[text:all is well]]");
    wait_cost(&site, "api/help", |c| c > 0.0);
    assert_eq!(site.process("api/help").status, Some(Status::Idle));
    assert_eq!(account(&site).limited_until, None);
    assert!(!events(&site, seq).iter().any(|e| e.kind == EventKind::LimitReached));
}

#[test]
fn cost_tokens_and_context_are_shown_and_a_window_that_fills_up_warns_once() {
    let Some(site) = site("lead: { agent: claude }") else { return };
    site.daemon();
    site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    let seq = site.seq();
    let at = seconds_from_now(3_600);
    let windows = format!("[[rl:status=allowed_warning,5h=0.91,7d=0.2,at={at}]]");
    prompt(&pty, &format!("first {windows}[[usage:in=420000,out=50]][[text:one]]"));
    let shown = site.wait_process("api/lead", |p| {
        p.usage.as_ref().is_some_and(|u| u.input_tokens == Some(420_000) && u.context_percent == Some(42.0))
    });
    let usage = shown.usage.expect("it has used something");
    assert_eq!((usage.output_tokens, usage.model.is_some()), (Some(50), true));
    let cost = usage.cost_usd.expect("it has a price");
    assert!(cost > 0.1, "{cost}");
    let told = site.wait_event(seq, "the usage", |e| {
        e.kind == EventKind::ProcessUsage && e.usage.as_ref().is_some_and(|u| u.cost_usd == Some(cost))
    });
    assert_eq!(told.process.as_deref(), Some("lead"));
    let table = site.run(&["process", "list"]).ok().out;
    assert!(table.contains(&format!("${cost:.2}")) && table.contains("42 %"), "{table}");

    let warning = site.wait_event(seq, "a warning", |e| e.kind == EventKind::LimitWarning);
    assert_eq!(warning.until, i64::try_from(at * 1_000).ok());
    prompt(&pty, &format!("second {}[[text:two]]", windows.replace("0.91", "0.92")));
    wait_cost(&site, "api/lead", |c| c > cost);
    let warnings = events(&site, seq).into_iter().filter(|e| e.kind == EventKind::LimitWarning).count();
    assert_eq!(warnings, 1, "once for each threshold");
    let table = site.run(&["limit", "list"]).ok().out;
    assert!(table.contains("five_hour") && table.contains("92 %"), "{table}");
    let window = &account(&site).windows[0];
    assert_eq!((window.name.as_str(), window.used_percent), ("five_hour", Some(92.0)));
}

/// A place with an agent that runs this script, in the place of a Claude that writes its transcript late.
/// Its arguments begin with `--session-id`, and `$transcript` is where its conversation is written down.
fn late(script: &str) -> Site {
    let site = Site::new();
    site.project("api");
    let agent = site.script(
        "late",
        &format!(
            "#!/bin/sh
while [ \"$1\" != --session-id ]; do shift; done
mkdir -p $HOME/.claude/projects/x; transcript=$HOME/.claude/projects/x/$2.jsonl
wait_for() {{ while ! [ -e $1 ]; do sleep 0.05; done; }}
{script}
wait_for line; mv line $transcript; exec sleep 1000
"
        ),
    );
    site.config(&format!(
        "version: 1
agents: {{ late: {{ kind: claude, command: [{}] }} }}
workspaces: {{ api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: late }} }} }} }}
",
        agent.display()
    ));
    site.daemon();
    // a real one needs longer for its start than the daemon to know of it
    site.wait_state("api/lead", State::Running);
    site
}

/// Has the agent of [`late`] write this line down.
fn write_down(site: &Site, line: &serde_json::Value) {
    fs::write(site.path("work/api/new"), format!("{line}\n")).expect("a file of ours");
    fs::rename(site.path("work/api/new"), site.path("work/api/line")).expect("a file of ours");
}

/// Claude runs its status line at the end of a turn, and writes the turn down a moment later.
#[test]
fn tokens_that_are_written_down_after_the_last_status_line_are_counted() {
    let line = r#"{"session_id":"%s","transcript_path":"%s","cost":{"total_cost_usd":1.5}}"#;
    let site = late(&format!(
        "wait_for begin; printf '{line}' $2 $transcript | {} statusline --state $XDG_STATE_HOME/wezterm-parallel",
        executable()
    ));
    fs::write(site.path("work/api/begin"), "").expect("a file of ours");
    let tokens = |input: u64| {
        site.wait_process("api/lead", |p| p.usage.as_ref().is_some_and(|u| u.input_tokens == Some(input)))
    };
    assert_eq!(tokens(0).usage.and_then(|u| u.cost_usd), Some(1.5));
    let usage = serde_json::json!({ "input_tokens": 7, "output_tokens": 3 });
    let message = serde_json::json!({ "id": "m", "model": "x", "usage": usage });
    write_down(&site, &serde_json::json!({ "type": "assistant", "message": message }));
    assert_eq!(tokens(7).usage.and_then(|u| u.output_tokens), Some(3));
}

/// Claude says the time in words, cut to the minute, and writes the exact one down later: this one a second.
#[test]
fn the_exact_time_of_a_limit_counts_also_if_it_is_written_down_late() {
    let text = "You've hit your limit · resets 3am (UTC)";
    let site = late(
        "wait_for said
printf '\\033]7501;state=working:app=claude-code\\007'
printf '\\033]7501;state=error:app=claude-code:msg=%s\\007' $(base64 -w 0 said)
sleep 1",
    );
    fs::write(site.path("work/api/new"), text).expect("a file of ours");
    fs::rename(site.path("work/api/new"), site.path("work/api/said")).expect("a file of ours");
    let by_words = site.wait_process("api/lead", |p| p.limited_until.is_some()).limited_until;
    let at = seconds_from_now(3_601);
    let until = i64::try_from(at * 1_000).ok();
    assert_ne!(by_words, until);
    let content = serde_json::json!([{ "type": "text", "text": text }]);
    write_down(
        &site,
        &serde_json::json!({
            "type": "assistant",
            "isApiErrorMessage": true,
            "message": { "id": "m", "model": "<synthetic>", "content": content },
            "quotaLimits": { "status": "rejected", "resetsAt": at },
        }),
    );
    site.wait_process("api/lead", |p| p.limited_until == until);
}

#[test]
fn what_a_session_cost_is_counted_once_over_restarts_of_daemon_and_claude() {
    let Some(site) = site("lead: { agent: claude }") else { return };
    site.daemon();
    site.wait_status("api/lead", Status::Idle);
    let pty = attach(&site, "api/lead");
    let turn = |text: &str, above: f64| {
        prompt(&pty, &format!("{text} [[usage:in=100000,out=100]][[text:said {text}]]"));
        let used = wait_cost(&site, "api/lead", |c| c > above);
        let tokens = used.usage.as_ref().and_then(|u| u.cost_usd).expect("it costs");
        assert!((account(&site).cost_usd - tokens).abs() < 1e-6, "{text}: {:#?}", account(&site));
        tokens
    };
    let first = turn("one", 0.0);
    site.run(&["stop", "--keep", "--yes"]).ok();
    site.daemon();
    // it is known without a word of Claude's
    let back = site.wait_process("api/lead", |p| p.usage.is_some());
    assert_eq!(back.usage.and_then(|u| u.cost_usd), Some(first));
    let second = turn("two", first);
    site.kill_daemon();
    site.daemon();
    let before = site.wait_process("api/lead", |p| p.usage.is_some());
    site.run(&["process", "restart", "api/lead"]).ok();
    site.wait_process("api/lead", |p| p.pid != before.pid && p.status == Some(Status::Idle));
    pty.wait_for_text("❯");
    let third = turn("three", second);
    say(&format!("three turns cost {first}, {second}, {third}"));
    assert!((third - first * 3.0).abs() < first * 0.1);
}

#[test]
fn the_users_own_status_line_is_shown_with_what_claude_gives_it() {
    for (version, mode) in [(claude::VERSION, "manual"), (claude::OLD_VERSION, "default")] {
        own_status_line(version, mode);
    }
}

fn own_status_line(version: &str, mode: &str) {
    let processes = "lead: { agent: claude }, bare: { agent: claude, cwd: bare }";
    let Some(site) = site_of(version, mode, processes) else { return };
    site.project("api/bare/.claude");
    let own = site.script(
        "own-line",
        "#!/bin/sh\nsession=$(sed 's/.*\"session_id\":\"\\([^\"]*\\).*/\\1/')\n\
         printf 'MINE %s %s cols %s\\n' \"$1\" \"$session\" \"$COLUMNS\"\n",
    );
    let settings = |which: &str| {
        let command = format!("{} {which}", own.display());
        serde_json::json!({ "statusLine": { "type": "command", "command": command } }).to_string()
    };
    fs::create_dir_all(site.path("home/.claude")).expect("made");
    fs::write(site.path("home/.claude/settings.json"), settings("user")).expect("written");
    fs::write(site.path("work/api/bare/.claude/settings.local.json"), settings("local")).expect("written");
    site.daemon();
    for (name, which) in [("api/lead", "user"), ("api/bare", "local")] {
        let process = site.wait_status(name, Status::Idle);
        let pty = attach(&site, name);
        let session = process.session_id.expect("a Claude has a session");
        // the size is that of its terminal; an older Claude runs it anew only when something is said
        pty.wait_for_text(&format!("MINE {which} {session} cols 1"));
    }
    // and what is told of it arrives all the same
    site.wait_process("api/lead", |p| p.usage.is_some());
}

/// So a slow one is as slow as it is without us, a halted one is ended by Claude as ever, and Claude sees how
/// it ended.
#[test]
fn the_users_own_status_line_runs_in_the_very_process_that_claude_has_started() {
    let site = Site::new();
    fs::create_dir_all(site.path("home/.claude")).expect("made");
    let own = r#"printf '%s ' "$$" "$MARK"; cat; exit 7"#;
    let settings = serde_json::json!({ "statusLine": { "type": "command", "command": own } });
    fs::write(site.path("home/.claude/settings.json"), settings.to_string()).expect("written");
    let mut command = site.command(executable());
    command.args(["statusline", "--state"]).arg(site.path("state/wezterm-parallel")).env("MARK", "passed on");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("our executable runs");
    let pid = child.id();
    let input = format!(r#"{{"session_id":"x","padding":"{}"}}"#, "x".repeat(100_000));
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let out = child.wait_with_output().expect("it ends");
    assert_eq!(out.status.code(), Some(7));
    assert_eq!(String::from_utf8_lossy(&out.stdout), format!("{pid} passed on {input}"));
    assert!(out.stderr.is_empty(), "{out:?}");
}

/// In the full-screen renderer of 2.1.330 a row stays empty for it, in the classic one there is none.
#[test]
fn without_a_status_line_of_the_users_nothing_is_shown() {
    let Some(site) = site("lead: { agent: claude }, classic: { agent: plain }") else { return };
    let config = fs::read_to_string(site.config_path()).expect("a config");
    let agents = "agents: { plain: { command: [claude, --permission-mode, manual], screen: classic }, ";
    site.config(&config.replace("agents: { ", agents));
    site.daemon();
    for (name, empty) in [("api/classic", false), ("api/lead", true)] {
        site.wait_process(name, |p| p.usage.is_some());
        let pty = attach(&site, name);
        let footer = "manual mode on";
        pty.wait_for_text(footer);
        let screen = pty.contents();
        let lines: Vec<&str> = screen.lines().collect();
        let at = lines.iter().position(|l| l.contains(footer)).expect("it is there");
        let above = if empty { at - 2 } else { at - 1 };
        assert!(lines[above].starts_with('─'), "{name}: something stands below the box:\n{screen}");
        assert!(!empty || lines[at - 1].trim().is_empty(), "{name}:\n{screen}");
    }
}
