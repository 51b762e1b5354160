//! What the real Claude asks, answered from outside: first answer wins, nothing is allowed by itself, and
//! without us Claude's own dialog goes on. Left out by `WEZTERM_PARALLEL_SKIP_CLAUDE=1`.

use std::fs;

use wezterm_parallel_schemas::{
    event::EventKind,
    inbox::{AskKind, AskState, AskView, InboxList, InboxTarget, RuleVerdict},
    method::{AllowAsk, ListAsks},
    process::{Blocked, Status},
};

use crate::support::{
    claude,
    pty::Pty,
    site::{Site, kill},
};

const DIALOG: &str = "Do you want to proceed?";

/// A place with one Claude in `api/lead` that begins with this prompt, with further arguments, and with
/// these rules.
fn site(prompt: &str, args: &str, rules: &str) -> Option<Site> {
    site_of(claude::VERSION, prompt, args, rules)
}

fn site_of(version: &str, prompt: &str, args: &str, rules: &str) -> Option<Site> {
    let site = Site::with_claude_of(version)?;
    site.project("api");
    site.config(&config(prompt, args, rules));
    site.daemon();
    Some(site)
}

fn config(prompt: &str, args: &str, rules: &str) -> String {
    let prompt = serde_json::Value::from(prompt);
    format!(
        "version: 1
permissions: [{rules}]
workspaces:
  api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: claude, args: [{args}, {prompt}], restart: {{ policy: never }} }} }} }}
"
    )
}

/// In its terminal: its dialog stands there.
fn tui(prompt: &str) -> Option<Site> {
    site(prompt, "--permission-mode, manual", "")
}

/// With `-p`: nobody but us can answer.
fn headless(prompt: &str, rules: &str) -> Option<Site> {
    site(prompt, "-p", rules)
}

const MAKES_A_FILE: &str = "[[bash:echo hi > made]][[text:the turn is over]]";

fn asked(site: &Site) -> AskView {
    let event = site.wait_event(0, "it asks", |e| e.kind == EventKind::InboxAsked);
    let all = open(site);
    all.into_iter().find(|a| Some(&a.id) == event.ask.as_ref()).expect("it is in the inbox")
}

fn open(site: &Site) -> Vec<AskView> {
    site.client().call::<ListAsks>(InboxList::default()).expect("it can be listed")
}

fn all(site: &Site) -> Vec<AskView> {
    site.run(&["inbox", "list", "--all", "--json"]).ok().json()
}

/// Waits until the newest request has become something, and gives it.
fn decided(site: &Site) -> AskView {
    site.wait_event(0, "it is decided", |e| e.kind == EventKind::InboxDecided);
    let newest = all(site).remove(0);
    assert_eq!(open(site), []);
    newest
}

/// Waits until the tool has made its file.
fn made(site: &Site) {
    site.wait_file(&site.path("work/api/made"), |text| text == "hi\n");
}

fn attach(site: &Site) -> Pty {
    let pty = site.terminal(110, 32, &["process", "attach", "api/lead"]);
    pty.wait_for_text(DIALOG);
    pty
}

#[test]
fn a_request_is_allowed_from_outside_and_the_agent_goes_on_before_the_command_returns() {
    let Some(site) = tui(MAKES_A_FILE) else { return };
    let ask = asked(&site);
    assert_eq!(
        (ask.kind, ask.tool.as_str(), ask.summary.as_str()),
        (AskKind::Permission, "Bash", "echo hi > made")
    );
    assert_eq!(ask.cwd, site.path("work/api").canonicalize().expect("it is there"));
    site.wait_status("api/lead", Status::Blocked(Blocked::Permission));
    site.wait_process("api/lead", |p| p.asks == 1);
    let shown = site.run(&["inbox", "list"]).ok().out;
    assert!(shown.contains("api/lead") && shown.contains("echo hi > made"), "{shown}");
    let allowed: AskView = site.run(&["inbox", "allow", "api/lead", "--json"]).ok().json();
    assert_eq!((allowed.id, allowed.state), (ask.id, AskState::Allowed));
    let lead = site.process("api/lead");
    assert_ne!(lead.status, Some(Status::Blocked(Blocked::Permission)), "it is told when it is true");
    assert_eq!(lead.asks, 0);
    made(&site);
    let event = site.wait_event(0, "it is decided", |e| e.kind == EventKind::InboxDecided);
    assert_eq!(event.message.as_deref(), Some("allowed by the user"));
    site.wait_status("api/lead", Status::Idle);
}

#[test]
fn a_request_is_denied_with_words_that_reach_the_model() {
    let Some(site) = tui(MAKES_A_FILE) else { return };
    asked(&site);
    site.run(&["inbox", "deny", "api/lead", "--message", "not in this directory"]).ok();
    let heard = site.mock().wait("the denial", |r| !r.results.is_empty());
    assert_eq!(heard.results, ["not in this directory"]);
    assert!(!site.path("work/api/made").exists());
    let kept = decided(&site);
    let decision = kept.decision.expect("somebody decided");
    assert_eq!((kept.state, decision.by.as_str()), (AskState::Denied, "user"));
    assert_eq!(decision.message.as_deref(), Some("not in this directory"));
    assert!(decision.pid.is_some());
}

const QUESTIONS: &str = r#"[[tool:AskUserQuestion:{"questions":[{"question":"Which one?","header":"Pick","multiSelect":false,"options":[{"label":"Left","description":"l"},{"label":"Right","description":"r"}]},{"question":"Which several?","header":"Many","multiSelect":true,"options":[{"label":"X","description":"x"},{"label":"Y","description":"y"},{"label":"Z","description":"z"}]}]}]][[text:the turn is over]]"#;

#[test]
fn questions_are_answered_from_outside_by_number_and_in_words_of_ones_own() {
    let Some(site) = tui(QUESTIONS) else { return };
    let ask = asked(&site);
    assert_eq!((ask.kind, ask.questions.len()), (AskKind::Question, 2));
    site.run(&["inbox", "allow", "api/lead"]).exits(1).says("questions want answers");
    site.run(&["inbox", "answer", "api/lead", "2"]).exits(1).says("Which several?");
    site.run(&["inbox", "answer", "api/lead", "neither \"of them\"", "1, Z"]).ok();
    let heard = site.mock().wait("the answers", |r| !r.results.is_empty());
    assert!(heard.results[0].contains("neither \"of them\""), "{heard:#?}");
    assert!(heard.results[0].contains("X, Z"), "{heard:#?}");
    assert_eq!(decided(&site).state, AskState::Answered);
}

#[test]
fn a_plan_is_allowed_from_outside() {
    let plan = r#"[[tool:ExitPlanMode:{"plan":"1. do it"}]][[text:the turn is over]]"#;
    let Some(site) = site(plan, "--permission-mode, plan", "") else { return };
    assert_eq!(asked(&site).kind, AskKind::Plan);
    site.run(&["inbox", "allow", "api/lead"]).ok();
    let heard = site.mock().wait("the leave", |r| !r.results.is_empty());
    assert!(heard.results[0].contains("approved"), "{heard:#?}");
}

#[test]
fn who_is_later_than_the_dialog_hears_so() {
    let Some(site) = tui(MAKES_A_FILE) else { return };
    let ask = asked(&site);
    let pty = attach(&site);
    pty.press_until("\r", "the tool is used", |s| !s.contents().contains(DIALOG));
    let kept = decided(&site);
    assert_eq!((&kept.id, kept.state), (&ask.id, AskState::Elsewhere));
    for late in [["inbox", "allow", ask.id.as_str()], ["inbox", "deny", ask.id.as_str()]] {
        site.run(&late).exits(1).says("answered in the agent's own dialog at 20");
    }
    made(&site);
}

/// It reports to no terminal: that somebody has answered is seen by its session file alone.
#[test]
fn an_older_claude_is_answered_from_outside_and_in_its_dialog() {
    let prompt = format!("[[bash:echo hi > first]]{MAKES_A_FILE}");
    let Some(site) = site_of(claude::OLD_VERSION, &prompt, "--permission-mode, default", "") else { return };
    let first = asked(&site);
    site.run(&["inbox", "allow", &first.id]).ok();
    site.wait_file(&site.path("work/api/first"), |text| text == "hi\n");
    let second = site
        .wait_event(0, "it asks", |e| e.kind == EventKind::InboxAsked && e.ask.as_ref() != Some(&first.id));
    let pty = attach(&site);
    pty.press_until("\r", "the tool is used", |s| !s.contents().contains(DIALOG));
    site.wait_event(second.seq, "it is decided", |e| {
        e.kind == EventKind::InboxDecided && e.ask == second.ask
    });
    let became: Vec<AskState> = all(&site).iter().map(|a| a.state).collect();
    assert_eq!(became, [AskState::Elsewhere, AskState::Allowed]);
    made(&site);
}

#[test]
fn a_subagent_in_the_background_is_answered_from_outside() {
    let agent = r#"{"description":"s","prompt":"[[bash:echo hi > made]][[text:done]]","subagent_type":"general-purpose"}"#;
    let Some(site) = tui(&format!("[[tool:Agent:{agent}]][[text:the turn is over]]")) else { return };
    let ask = asked(&site);
    assert_eq!(ask.agent.as_deref(), Some("general-purpose"));
    site.run(&["inbox", "allow", "api/lead"]).ok();
    made(&site);
    assert_eq!(decided(&site).state, AskState::Allowed);
}

/// While its hook waits, Claude shows no dialog for it: a hook that waited for the next daemon would hide it.
#[test]
fn without_a_daemon_a_subagent_is_answered_in_the_dialog() {
    let agent = r#"{"description":"s","prompt":"[[bash:echo hi > made]][[text:done]]","subagent_type":"general-purpose"}"#;
    let Some(site) = tui(&format!("[[tool:Agent:{agent}]][[text:the turn is over]]")) else { return };
    asked(&site);
    let pty = site.terminal(110, 32, &["process", "attach", "api/lead"]);
    site.wait_attached("api/lead", 1);
    site.kill_daemon();
    pty.wait_for_text(DIALOG);
    site.daemon();
    site.wait_event(0, "it is moot", |e| e.kind == EventKind::InboxDecided);
}

#[test]
fn no_in_the_dialog_takes_the_request_out_of_the_inbox() {
    let Some(site) = tui(MAKES_A_FILE) else { return };
    asked(&site);
    let pty = attach(&site);
    pty.press_until("\x1b", "the dialog is gone", |s| !s.contents().contains(DIALOG));
    assert_eq!(decided(&site).state, AskState::Elsewhere);
    assert!(!site.path("work/api/made").exists());
}

#[test]
fn of_two_who_decide_one_wins_and_the_other_hears_who() {
    let Some(site) = tui(MAKES_A_FILE) else { return };
    let ask = asked(&site);
    site.run(&["inbox", "allow", &ask.id]).ok();
    site.run(&["inbox", "deny", &ask.id]).exits(1).says("it was allowed by the user (process");
    made(&site);
}

#[test]
fn a_killed_daemon_leaves_the_dialog_as_it_is_and_the_next_one_has_the_request_again() {
    let Some(site) = tui(&format!("[[bash:echo hi > first]]{MAKES_A_FILE}")) else { return };
    let first = asked(&site);
    let pty = attach(&site);
    site.kill_daemon();
    pty.press_until("\r", "the tool is used", |s| s.contents().contains("echo hi > made"));
    site.wait_file(&site.path("work/api/first"), |text| text == "hi\n");
    pty.wait_for_text(DIALOG);
    site.daemon();
    // the second one was asked while nobody was there; the first is answered by now
    let event = site
        .wait_event(0, "it asks", |e| e.kind == EventKind::InboxAsked && e.ask.as_ref() != Some(&first.id));
    let second = event.ask.expect("a request");
    site.kill_daemon();
    site.daemon();
    let allowed = site.client().call::<AllowAsk>(InboxTarget { item: second.clone(), key: None });
    assert_eq!(allowed.expect("it came back").state, AskState::Allowed);
    made(&site);
    site.wait_event(0, "the first one is over", |e| {
        e.kind == EventKind::InboxDecided && e.ask.as_ref() == Some(&first.id)
    });
    let became: Vec<AskState> = all(&site).iter().map(|a| a.state).collect();
    assert_eq!(became, [AskState::Allowed, AskState::Elsewhere]);
}

#[test]
fn without_a_terminal_only_the_inbox_answers_and_without_a_daemon_claude_does_so_itself() {
    let Some(site) = headless(MAKES_A_FILE, "") else { return };
    let ask = asked(&site);
    let blocked = site.wait_status("api/lead", Status::Blocked(Blocked::Permission));
    assert_eq!(blocked.status_reason.as_deref(), Some("approve Bash: echo hi > made"));
    site.run(&["inbox", "allow", &ask.id]).ok();
    made(&site);
    site.wait_process("api/lead", |p| p.last_exit.as_ref().is_some_and(|e| e.code == Some(0)));

    fs::remove_file(site.path("work/api/made")).expect("it was made");
    site.run(&["process", "start", "api/lead"]).ok();
    let run = site.process("api/lead").run_id;
    site.wait_event(0, "it asks again", |e| e.kind == EventKind::InboxAsked && e.run_id == run);
    site.kill_daemon();
    let heard = site.mock().wait("the refusal", |r| r.results.iter().any(|r| r.contains("approval")));
    // what was allowed before is in the session that goes on
    assert_eq!(heard.results.len(), 2);
    site.daemon();
    site.wait_event(0, "it is moot", |e| e.kind == EventKind::InboxDecided && e.run_id == run);
    // whether Claude has ended, or only gone on, by the time that the daemon is back
    assert!(matches!(all(&site)[0].state, AskState::Gone | AskState::Elsewhere));
    assert!(!site.path("work/api/made").exists());
}

#[test]
fn the_end_of_a_run_takes_its_requests_along() {
    let Some(site) = tui(MAKES_A_FILE) else { return };
    let ask = asked(&site);
    kill(site.process("api/lead").pid.expect("it runs"));
    let kept = decided(&site);
    assert_eq!((&kept.id, kept.state), (&ask.id, AskState::Gone));
    site.run(&["inbox", "allow", &ask.id]).exits(1).says("the run has ended");
}

#[test]
fn a_rule_allows_what_it_names_and_nothing_behind_it() {
    let prompt = "[[bash:mkdir one]][[bash:mkdir two; echo hi > made]][[text:the turn is over]]";
    let rules = "{ allow: Bash, pattern: 'mkdir *', process: 'api/*', why: it makes directories only }";
    let Some(site) = headless(prompt, rules) else { return };
    let ask = asked(&site);
    assert_eq!(ask.summary, "mkdir two; echo hi > made");
    assert!(site.path("work/api/one").is_dir() && !site.path("work/api/two").exists());
    let kept = all(&site);
    let by_rule = kept.last().and_then(|a| a.decision.as_ref()).expect("it is on record");
    assert_eq!(
        (by_rule.by.as_str(), by_rule.message.as_deref()),
        ("rule 1", Some("it makes directories only"))
    );
    let asked = site.run(&["events", "--json"]).ok().out.matches("inbox.asked").count();
    assert_eq!(asked, 1, "who is not asked is not told of a request");

    let verdicts: Vec<RuleVerdict> = site.run(&["inbox", "test", "--json"]).ok().json();
    assert_eq!(verdicts.iter().map(|v| v.rule).collect::<Vec<_>>(), [None, Some(1)]);
    let shown = site.run(&["inbox", "test", "--deny", "Bash", "--pattern", "echo*"]).ok().out;
    assert!(shown.contains("0 would be allowed, 1 denied, 1 asked"), "{shown}");
    site.run(&["inbox", "deny", "api/lead"]).ok();
}

#[test]
fn a_rule_that_denies_tells_the_agent_why_and_another_one_is_in_force_at_once() {
    let prompt = "[[bash:echo hi > one]][[hold:gate]][[bash:echo hi > made]][[text:the turn is over]]";
    let Some(site) = headless(prompt, "{ deny: Bash, why: no shell here }") else { return };
    let heard = site.mock().wait("the denial", |r| !r.results.is_empty());
    assert_eq!(heard.results, ["no shell here"]);
    let seq = site.seq();
    site.config(&config(prompt, "-p", ""));
    site.wait_event(seq, "the config is applied", |e| e.kind == EventKind::ConfigApplied);
    site.mock().release("gate");
    assert_eq!(asked(&site).summary, "echo hi > made");
    site.run(&["inbox", "deny", "api/lead"]).ok();
}

#[test]
fn an_edit_is_shown_as_a_diff_and_a_rule_knows_where_a_link_leads() {
    let write = |path: &str| format!(r#"[[tool:Write:{{"file_path":"{path}","content":"hi\n"}}]]"#);
    let Some(site) = Site::with_claude() else { return };
    let api = site.project("api");
    fs::create_dir(api.join("src")).expect("a directory");
    std::os::unix::fs::symlink(site.path("work"), api.join("src/up")).expect("a link");
    let (fine, link) = (api.join("src/fine"), api.join("src/up/made"));
    let prompt = format!(
        "{}{}[[text:the turn is over]]",
        write(fine.to_str().expect("text")),
        write(link.to_str().expect("text"))
    );
    site.config(&config(&prompt, "-p", "{ allow: Write, path: 'src/**' }"));
    site.daemon();
    let ask = asked(&site);
    assert_eq!(fs::read_to_string(fine).expect("the rule has allowed it"), "hi\n");
    assert!(ask.summary.ends_with("src/up/made"), "{ask:#?}");
    let shown = site.run(&["inbox", "show", "api/lead"]).ok().out;
    assert!(shown.contains("+hi"), "{shown}");
    site.run(&["inbox", "deny", "api/lead"]).ok();
    assert!(!site.path("work/made").exists());
}

#[test]
fn an_agent_may_not_allow_itself_or_another() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    let us = crate::support::site::executable();
    let (first, second) = (
        serde_json::Value::from(MAKES_A_FILE),
        serde_json::Value::from(format!("[[bash:{us} inbox allow api/lead]][[text:the turn is over]]")),
    );
    site.config(&format!(
        "version: 1
permissions: [{{ allow: Bash, pattern: '{us} inbox *' }}]
workspaces:
  api: {{ cwd: $WORK/api, processes: {{
    lead: {{ agent: claude, args: [-p, {first}], restart: {{ policy: never }}, ready_timeout: 1s }},
    help: {{ agent: claude, args: [-p, {second}], restart: {{ policy: never }}, autostart: false }} }} }}
"
    ));
    site.daemon();
    let ask = asked(&site);
    site.run(&["process", "start", "api/help"]).ok();
    let heard = site.mock().wait("what came of it", |r| r.results.iter().any(|r| r.contains("error")));
    assert!(heard.results[0].contains("the agent api/help may not decide"), "{heard:#?}");
    assert_eq!(open(&site).iter().map(|a| &a.id).collect::<Vec<_>>(), [&ask.id]);
    site.run(&["inbox", "deny", "api/lead"]).ok();
}

#[test]
fn an_agent_may_not_make_itself_another_one_with_more_leave() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    let us = crate::support::site::executable();
    let commands = [
        "process add api more --agent claude -- --dangerously-skip-permissions",
        "process add api more -- sleep 1000",
        "workspace delete api",
        "stop --keep",
    ];
    let calls: String = commands.iter().map(|command| format!("[[bash:{us} {command}]]")).collect();
    let prompt = serde_json::Value::from(format!("{calls}[[text:the turn is over]]"));
    site.config(&format!(
        "version: 1
permissions: [{{ allow: Bash, pattern: '{us} *' }}]
workspaces:
  api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: claude, args: [-p, {prompt}], restart: {{ policy: never }}, ready_timeout: 1s }} }} }}
"
    ));
    site.daemon();
    let heard = site.mock().wait("what came of it", |r| r.results.len() == commands.len());
    for (command, result) in commands.iter().zip(&heard.results) {
        assert!(result.contains("the agent api/lead may not"), "{command}: {result}");
    }
    assert_eq!(site.processes().len(), 1);
}
