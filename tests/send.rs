//! Prompts that surely arrive: `process send` and what becomes of them, with the real Claude. Left out by
//! `WEZTERM_PARALLEL_SKIP_CLAUDE=1`.

use std::{io::Write as _, process::Stdio, thread};

use wezterm_parallel_schemas::{
    error::Code,
    event::EventKind,
    method::{CancelPrompt, ListPrompts, SendPrompt, WaitForPrompt},
    process::{Blocked, Status},
    prompt::{
        ProcessSend, PromptList, PromptState, PromptTarget, PromptView, PromptWait, Proof, WhileWorking,
    },
};

use crate::support::{
    pty::Pty,
    site::{Output, Site, executable, kill, wait_end},
};

const CONFIG: &str = "version: 1
defaults: { restart: { backoff: { initial: 10ms } } }
agents: { claude: { args: [--permission-mode, manual] } }
workspaces:
";

/// A place with one Claude that is idle.
fn site() -> Option<Site> {
    site_of(&["lead"])
}

fn site_of(names: &[&str]) -> Option<Site> {
    let site = Site::with_claude()?;
    site.project("api");
    let processes: Vec<String> = names.iter().map(|name| format!("{name}: {{ agent: claude }}")).collect();
    site.config(&format!("{CONFIG}  api: {{ cwd: $WORK/api, processes: {{ {} }} }}\n", processes.join(", ")));
    site.daemon();
    for name in names {
        site.wait_status(&format!("api/{name}"), Status::Idle);
    }
    Some(site)
}

fn attach(site: &Site, process: &str) -> Pty {
    let pty = site.terminal(110, 32, &["process", "attach", process]);
    pty.wait_for_text("❯");
    pty
}

fn params(text: &str, while_working: WhileWorking) -> ProcessSend {
    ProcessSend { process: "api/lead".into(), text: text.into(), while_working, ..ProcessSend::default() }
}

fn send(site: &Site, text: &str, while_working: WhileWorking) -> PromptView {
    let sent = site.client().call::<SendPrompt>(params(text, while_working));
    sent.unwrap_or_else(|e| panic!("{text:.80}: {e:?}\n{}", site.log()))
}

fn wait(site: &Site, prompt: &PromptView) -> PromptView {
    let wait = PromptWait { prompt: prompt.id.clone(), timeout_ms: None };
    site.client().call::<WaitForPrompt>(wait).expect("a prompt can be waited for")
}

/// Every request that had this text as its prompt.
fn asked(site: &Site, text: &str) -> usize {
    site.mock().count(|r| r.prompt.trim() == text.trim() && r.turn == 0)
}

/// Waits until every prompt is over, and the agent is idle.
fn until_none_is_under_way(site: &Site) {
    let mut events = site.client();
    events.subscribe();
    while !site.client().call::<ListPrompts>(PromptList::default()).expect("a list").is_empty() {
        events.event();
    }
    site.wait_status("api/lead", Status::Idle);
}

/// Runs a command with this on its standard input.
fn run_with(site: &Site, args: &[&str], input: &str) -> Output {
    let mut command = site.command(executable());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("our executable runs");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let out = child.wait_with_output().expect("it ends");
    Output {
        command: args.join(" "),
        code: out.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&out.stdout).into_owned(),
        err: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

#[test]
fn a_prompt_is_delivered_proven_and_answered() {
    let Some(site) = site() else { return };
    let seq = site.seq();
    let sent = send(&site, "[[text:the answer]]", WhileWorking::Refuse);
    assert_eq!((sent.state, sent.proof), (PromptState::Delivered, Some(Proof::Hook)));
    assert_eq!(sent.reason, None);
    let over = wait(&site, &sent);
    assert_eq!(over.state, PromptState::Answered);
    let answer = over.answer.expect("an answer");
    assert_eq!((answer.text.as_deref(), answer.status), (Some("the answer"), Status::Idle));
    assert_eq!(asked(&site, "[[text:the answer]]"), 1);
    assert!(over.prompt_id.is_some() && over.session_id == site.process("api/lead").session_id);
    site.wait_event(seq, "its delivery", |e| {
        e.kind == EventKind::PromptDelivered && e.prompt.as_ref() == Some(&sent.id)
    });
    site.wait_event(seq, "its answer", |e| {
        e.kind == EventKind::PromptAnswered && e.message.as_deref() == Some("the answer")
    });
    // by the command line, from standard input
    let out =
        run_with(&site, &["process", "send", "--wait", "api/lead", "-"], "[[text:of standard input]]\n");
    assert_eq!(out.clone().ok().out, "of standard input\n");
    let out = site.run(&["process", "send", "--json", "--wait", "lead", "--", "[[text:by", "words]]"]).ok();
    let json: serde_json::Value = out.json();
    assert_eq!(json[0]["prompt"]["answer"]["text"], "by words");
    assert!(json[0]["prompt"]["answer"]["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{json}");
    let list = site.run(&["prompt", "list", "--all"]).ok().out;
    assert_eq!(list.matches("answered").count(), 3, "{list}");
}

#[test]
fn every_text_reaches_the_model_as_it_is() {
    let Some(site) = site() else { return };
    let lines =
        |n: usize| (0..n).map(|i| format!("{i:05} the quick brown fox 日本")).collect::<Vec<_>>().join("\n");
    let texts = [
        "plain words".to_owned(),
        "line one\nline two\n\n  indented three".to_owned(),
        "cr\r\nlf and\rcr".to_owned(),
        "héllo 😀👩‍👩‍👧 漢字かな 한국 Ώ «é»".to_owned(),
        "/etc/hosts is broken".to_owned(),
        "/cost".to_owned(),
        "/comp".to_owned(),
        "/clear\nand more".to_owned(),
        "!echo made > made".to_owned(),
        "#note this".to_owned(),
        "@nofile.zzz and @file".to_owned(),
        "exit".to_owned(),
        ":q".to_owned(),
        "?".to_owned(),
        "1".to_owned(),
        "ends with a backslash\\".to_owned(),
        "an end \x1b[201~ within\r/cost".to_owned(),
        "control \x03\x04\x15 characters \x07".to_owned(),
        "word ".repeat(400).trim().to_owned(),
        lines(100),
        lines(400),
    ];
    let plain =
        |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace() && *c != '\u{2800}').collect() };
    for text in &texts {
        let sent = send(&site, text, WhileWorking::Refuse);
        assert_eq!((sent.state, sent.reason.as_deref()), (PromptState::Delivered, None), "{text:.80}");
        let over = wait(&site, &sent);
        assert_eq!(over.state, PromptState::Answered, "{text:.80}");
        let clean: String = text.replace("\r\n", "\n").replace('\r', "\n");
        let clean: String = clean.chars().filter(|c| !c.is_control() || *c == '\n').collect();
        let request = site.mock().wait("the text", |r| plain(&r.prompt) == plain(&clean) && r.turn == 0);
        assert!(!request.prompt.contains("pasted_content"), "{text:.80}");
        let lines =
            |t: &str| t.trim().lines().map(|l| l.trim_end().replace('\u{2800}', "")).collect::<Vec<_>>();
        assert_eq!(lines(&request.prompt), lines(&clean), "{text:.80}");
    }
    assert!(!site.path("work/api/made").exists(), "a shell command was run");
    for text in &texts {
        let clean: String =
            text.replace("\r\n", "\n").replace('\r', "\n").chars().filter(|c| !c.is_control()).collect();
        assert_eq!(site.mock().count(|r| plain(&r.prompt) == plain(&clean) && r.turn == 0), 1, "{text:.80}");
    }
}

#[test]
fn long_texts_arrive_whole() {
    let Some(site) = site() else { return };
    for bytes in [60_000, 500_000] {
        let text: String =
            (0..).map(|i| format!("{i:06} 日本 line of a long text\n")).take(bytes / 40).collect();
        let sent = send(&site, &text, WhileWorking::Refuse);
        assert_eq!((sent.state, sent.reason.as_deref()), (PromptState::Delivered, None), "{bytes}");
        wait(&site, &sent);
        let plain = |text: &str| -> String { text.chars().filter(|c| !c.is_whitespace()).collect() };
        let wanted = plain(&text);
        site.mock().wait("all of it", |r| plain(&r.prompt).contains(&wanted));
    }
    let too_long = params(&"x".repeat(600_000), WhileWorking::Refuse);
    let refused = site.client().call::<SendPrompt>(too_long).expect_err("it is too long");
    assert_eq!(refused.code, Code::BadParams);
    let refused =
        site.client().call::<SendPrompt>(params(" \n\x1b", WhileWorking::Refuse)).expect_err("nothing");
    assert_eq!(refused.code, Code::BadParams);
}

#[test]
fn while_it_works_a_prompt_is_refused_queued_or_typed() {
    let Some(site) = site() else { return };
    let first = send(&site, "[[hold:gate]][[text:first answer]]", WhileWorking::Refuse);
    site.wait_status("api/lead", Status::Working);
    let out = site.run(&["process", "send", "api/lead", "not now"]).exits(1);
    let out = out.says("it works").says("--queue").says("--now");
    assert_eq!(out.out, "");
    let queued = send(&site, "[[text:queued answer]]", WhileWorking::Queue);
    assert_eq!((queued.state, queued.place), (PromptState::Queued, Some(1)));
    let second = send(&site, "[[text:another]]", WhileWorking::Queue);
    assert_eq!(second.place, Some(2));
    assert_eq!(site.process("api/lead").prompts, 2);
    let now = send(&site, "[[text:answer of now]]", WhileWorking::Now);
    assert_eq!((now.state, now.proof), (PromptState::Delivered, Some(Proof::Hook)));
    let list = site.client().call::<ListPrompts>(PromptList::default()).expect("a list");
    assert_eq!(list.len(), 4, "{list:#?}");
    let cancel = PromptTarget { prompt: second.id.clone(), key: None };
    let canceled = site.client().call::<CancelPrompt>(cancel.clone()).expect("it waits");
    assert_eq!(canceled.state, PromptState::Canceled);
    assert_eq!(site.client().call::<CancelPrompt>(cancel).expect_err("it is over").code, Code::Conflict);
    site.mock().release("gate");
    let text = |p: &PromptView| wait(&site, p).answer.and_then(|a| a.text);
    assert_eq!(text(&first).as_deref(), Some("first answer"));
    assert_eq!(text(&now).as_deref(), Some("answer of now"));
    assert_eq!(text(&queued).as_deref(), Some("queued answer"));
    assert_eq!(asked(&site, "[[text:another]]"), 0);
    assert_eq!(asked(&site, "[[text:queued answer]]"), 1);
}

#[test]
fn nothing_is_typed_into_a_dialog() {
    let Some(site) = site() else { return };
    let first = send(&site, "[[bash:echo hi > made]][[text:it ran]]", WhileWorking::Refuse);
    site.wait_status("api/lead", Status::Blocked(Blocked::Permission));
    let pty = attach(&site, "api/lead");
    pty.wait_for_text("Do you want to proceed?");
    for mode in [WhileWorking::Refuse, WhileWorking::Now] {
        let refused =
            site.client().call::<SendPrompt>(params("into it", mode)).expect_err("a dialog is open");
        assert_eq!(refused.code, Code::Busy);
        assert!(refused.message.contains("echo hi > made"), "{refused:?}");
    }
    let queued = send(&site, "[[text:after it]]", WhileWorking::Queue);
    assert_eq!(queued.state, PromptState::Queued);
    assert_eq!(site.process("api/lead").status, Some(Status::Blocked(Blocked::Permission)));
    assert!(!site.path("work/api/made").exists());
    pty.press_until("\r", "the tool is used", |s| !s.contents().contains("Do you want to proceed?"));
    assert_eq!(wait(&site, &first).answer.and_then(|a| a.text).as_deref(), Some("it ran"));
    assert_eq!(wait(&site, &queued).answer.and_then(|a| a.text).as_deref(), Some("after it"));
}

#[test]
fn a_panel_that_the_user_has_opened_is_not_typed_into() {
    let Some(site) = site() else { return };
    let pty = attach(&site, "api/lead");
    pty.type_keys("/model");
    pty.wait_for_text("/model");
    pty.press_until("\r", "the panel", |s| s.contents().contains("Select model"));
    let refused =
        site.client().call::<SendPrompt>(params("into it", WhileWorking::Refuse)).expect_err("a panel");
    assert!(matches!(refused.code, Code::Busy | Code::Undelivered), "{refused:?}");
    let queued = send(&site, "[[text:after it]]", WhileWorking::Queue);
    pty.press_until("\x1b", "the panel is gone", |s| !s.contents().contains("Select model"));
    assert_eq!(wait(&site, &queued).answer.and_then(|a| a.text).as_deref(), Some("after it"));
}

#[test]
fn half_typed_words_of_the_user_stay_theirs() {
    let Some(site) = site() else { return };
    let pty = attach(&site, "api/lead");
    pty.type_keys("half of a thought");
    pty.wait_for_text("half of a thought");
    let sent = send(&site, "[[text:mine alone]]", WhileWorking::Refuse);
    assert_eq!((sent.state, sent.reason.as_deref()), (PromptState::Delivered, None));
    wait(&site, &sent);
    assert_eq!(asked(&site, "[[text:mine alone]]"), 1);
    pty.wait_for_text("half of a thought");
    pty.type_keys(" goes on\r");
    site.mock().wait("the user's words", |r| r.prompt.trim() == "half of a thought goes on");
}

#[test]
fn a_queued_prompt_survives_the_daemon_and_is_sent_once() {
    let Some(site) = site() else { return };
    let first = send(&site, "[[hold:gate]][[text:first answer]]", WhileWorking::Refuse);
    site.wait_status("api/lead", Status::Working);
    let queued = send(&site, "[[text:queued answer]]", WhileWorking::Queue);
    let command = ProcessSend { command: true, ..params("/clear", WhileWorking::Queue) };
    let command = site.client().call::<SendPrompt>(command).expect("it is kept");
    site.kill_daemon();
    site.daemon();
    assert_eq!(site.process("api/lead").prompts, 2);
    site.mock().release("gate");
    let over = wait(&site, &first);
    assert_eq!(over.answer.as_ref().and_then(|a| a.text.as_deref()), Some("first answer"), "{over:#?}");
    assert_eq!(wait(&site, &queued).answer.and_then(|a| a.text).as_deref(), Some("queued answer"));
    assert_eq!(asked(&site, "[[text:queued answer]]"), 1);
    assert_eq!(wait(&site, &command).state, PromptState::Answered);
    assert_ne!(site.process("api/lead").session_id, queued.session_id);
}

#[test]
fn whatever_the_moment_the_daemon_is_killed_at_a_prompt_is_sent_once_or_said_not_to_be() {
    let Some(site) = site() else { return };
    for round in 0..6 {
        let text = format!("[[text:round {round} is answered]]");
        let mut client = site.client();
        client.send("process.send", &params(&text, WhileWorking::Queue));
        if round % 2 == 0 {
            // the very moment that it begins
            let listed =
                || site.client().call::<ListPrompts>(PromptList { all: true, ..PromptList::default() });
            while listed().expect("a list").iter().all(|p| !text.starts_with(&p.text)) {}
        }
        site.kill_daemon();
        site.daemon();
        until_none_is_under_way(&site);
        let all = PromptList { all: true, ..PromptList::default() };
        let list = site.client().call::<ListPrompts>(all).expect("a list");
        let Some(sent) = list.iter().find(|p| p.text == text) else {
            // it had not been taken
            assert_eq!(asked(&site, &text), 0);
            continue;
        };
        let over = wait(&site, sent);
        match over.state {
            PromptState::Answered => assert_eq!(asked(&site, &text), 1, "{over:#?}"),
            PromptState::Undelivered => assert_eq!(asked(&site, &text), 0, "{over:#?}"),
            other => panic!("{other:?}: {over:#?}"),
        }
    }
    // and what may have been left in its box went with none of them
    let sent = send(&site, "[[text:the last]]", WhileWorking::Refuse);
    assert_eq!((sent.state, sent.reason.as_deref()), (PromptState::Delivered, None));
    wait(&site, &sent);
    assert_eq!(asked(&site, "[[text:the last]]"), 1);
}

#[test]
fn commands_are_commands_if_they_are_meant_to_be() {
    let Some(site) = site() else { return };
    let sent = send(&site, "[[text:before]]", WhileWorking::Refuse);
    wait(&site, &sent);
    let session = site.process("api/lead").session_id;
    site.run(&["process", "send", "--command", "--wait", "api/lead", "/clear"]).ok();
    let cleared = site.wait_process("api/lead", |p| p.session_id != session);
    assert_eq!(cleared.status, Some(Status::Idle));
    wait(&site, &send(&site, "[[text:something to compact]]", WhileWorking::Refuse));
    let out = site.run(&["process", "send", "--command", "--json", "api/lead", "/compact"]).ok();
    let json: serde_json::Value = out.json();
    assert_eq!(json[0]["prompt"]["state"], "delivered", "{json}");
    site.wait_status("api/lead", Status::Idle);
}

#[test]
fn many_agents_are_told_at_once() {
    let Some(site) = site_of(&["one", "two", "three"]) else { return };
    let out = site.run(&["process", "send", "--wait", "api/*", "[[text:told]]"]).ok();
    for name in ["one", "two", "three"] {
        assert!(out.out.contains(&format!("── api/{name}\ntold\n")), "{}", out.out);
    }
    assert_eq!(asked(&site, "[[text:told]]"), 3);
    // one that works does not keep the others from it
    let hold = ProcessSend { process: "api/one".into(), text: "[[hang]]".into(), ..ProcessSend::default() };
    site.client().call::<SendPrompt>(hold).expect("it is idle");
    site.wait_status("api/one", Status::Working);
    let out = site.run(&["process", "send", "api/one", "two", "api/three", "[[text:again]]"]).exits(1);
    assert!(out.err.contains("api/one") && out.err.contains("it works"), "{}", out.err);
    assert_eq!(out.out.matches("delivered").count(), 2, "{}", out.out);
    site.run(&["process", "send", "api/none*", "x"]).exits(1).says("no process has such a name");
}

#[test]
fn a_prompt_sent_again_with_its_key_is_sent_once() {
    let Some(site) = site() else { return };
    let keyed = ProcessSend { key: Some("k1".into()), ..params("[[text:keyed]]", WhileWorking::Refuse) };
    let (one, two) = thread::scope(|scope| {
        let clients = [site.client(), site.client()];
        let keyed = &keyed;
        let both = clients.map(|mut c| scope.spawn(move || c.call::<SendPrompt>(keyed.clone())));
        let [one, two] = both.map(|t| t.join().expect("it does not panic").expect("it is delivered"));
        (one, two)
    });
    assert_eq!(one, two);
    wait(&site, &one);
    // also over the death of a daemon
    site.kill_daemon();
    site.daemon();
    let again = site.client().call::<SendPrompt>(keyed.clone()).expect("it was delivered");
    assert_eq!(again.id, one.id);
    assert_eq!(asked(&site, "[[text:keyed]]"), 1);
    let other = ProcessSend { text: "something else".into(), ..keyed };
    assert_eq!(site.client().call::<SendPrompt>(other).expect_err("another call").code, Code::Conflict);
}

#[test]
fn a_claude_that_is_killed_in_its_turn_ends_the_wait_and_the_next_takes_what_is_queued() {
    let Some(site) = site() else { return };
    let first = send(&site, "[[hang]]", WhileWorking::Refuse);
    let working = site.wait_status("api/lead", Status::Working);
    let queued = send(&site, "[[text:of the next]]", WhileWorking::Queue);
    kill(working.pid.expect("it runs"));
    let over = wait(&site, &first);
    let answer = over.answer.expect("how it ended");
    assert_eq!((answer.text, answer.status), (None, Status::Unknown));
    assert!(answer.reason.is_some_and(|r| r.contains("SIGKILL")));
    assert_eq!(wait(&site, &queued).answer.and_then(|a| a.text).as_deref(), Some("of the next"));
    assert_eq!(asked(&site, "[[text:of the next]]"), 1);
}

#[test]
fn a_wait_ends_if_its_claude_ended_while_no_daemon_was_there() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    let processes = "{ lead: { agent: claude, restart: { policy: never } } }";
    site.config(&format!("{CONFIG}  api: {{ cwd: $WORK/api, processes: {processes} }}\n"));
    site.daemon();
    site.wait_status("api/lead", Status::Idle);
    let sent = send(&site, "[[hang]]", WhileWorking::Refuse);
    let working = site.wait_status("api/lead", Status::Working);
    let queued = send(&site, "[[text:of the next]]", WhileWorking::Queue);
    site.kill_daemon();
    let pid = working.pid.expect("it runs");
    kill(pid);
    wait_end(pid);
    site.daemon();
    let limit = PromptWait { prompt: sent.id.clone(), timeout_ms: Some(60_000) };
    let over = site.client().call::<WaitForPrompt>(limit).expect("its run is over");
    let answer = over.answer.expect("how it ended");
    assert_eq!((over.state, answer.text, answer.status), (PromptState::Answered, None, Status::Unknown));
    assert!(answer.reason.is_some_and(|r| r.contains("run")));
    // and what is queued is not held up by it
    site.run(&["process", "start", "api/lead"]).ok();
    assert_eq!(wait(&site, &queued).answer.and_then(|a| a.text).as_deref(), Some("of the next"));
    assert_eq!(asked(&site, "[[text:of the next]]"), 1);
}

#[test]
fn a_wait_ends_with_its_timeout_and_with_an_interruption() {
    let Some(site) = site() else { return };
    let out = site.run(&["process", "send", "--wait", "--timeout", "300ms", "api/lead", "[[hang]]"]).exits(1);
    out.says("not over yet");
    let list = site.client().call::<ListPrompts>(PromptList::default()).expect("a list");
    let pty = attach(&site, "api/lead");
    pty.type_keys("\x1b");
    let over = wait(&site, &list[0]);
    assert_eq!(over.state, PromptState::Answered);
    assert_eq!(over.answer.expect("how it ended").status, Status::Idle);
}

#[test]
fn a_program_that_is_no_agent_is_typed_into_only_if_told_to() {
    let site = Site::new();
    site.project("api");
    site.config(
        "version: 1\nworkspaces: { api: { cwd: $WORK/api, processes: { lead: { command: [cat, -u] } } } }\n",
    );
    site.daemon();
    site.wait_process("api/lead", |p| p.pid.is_some());
    let refused =
        site.client().call::<SendPrompt>(params("hello", WhileWorking::Refuse)).expect_err("unknown");
    assert!(refused.hint.is_some_and(|h| h.contains("--now")));
    let pty = site.terminal(80, 24, &["process", "attach", "api/lead"]);
    let sent = send(&site, "hello there", WhileWorking::Now);
    assert_eq!((sent.state, sent.proof), (PromptState::Delivered, None));
    pty.wait_for("its echo", |s| s.contents().matches("hello there").count() >= 2);
}

#[test]
fn an_agent_may_not_send_commands_that_nobody_is_asked_about() {
    let site = Site::new();
    site.project("api");
    let us = executable();
    site.script(
        "agent",
        &format!(
            "#!/bin/sh\n{us} process send --now --command api/lead '!touch made' > said 2>&1\n{us} process send --now api/lead 'mere words' >> said 2>&1\n{us} process send --now api/shell 'touch made' >> said 2>&1\necho over >> said\nexec cat\n"
        ),
    );
    site.config(
        "version: 1\nagents: { other: { command: [agent] }, echo: { command: [cat, -u] } }\nworkspaces: { api: { cwd: $WORK/api, processes: {\n  lead: { agent: echo }, shell: { command: [sh] }, help: { agent: other, after: { lead: started, shell: started } } } } }\n",
    );
    site.daemon();
    let said = site.wait_file(&site.path("work/api/said"), |text| text.contains("over\n"));
    assert!(said.contains("the agent api/help may not send commands"), "{said}");
    // each line would be a command in the user's own shell
    assert!(said.contains("the agent api/help may not type into a program that is no agent"), "{said}");
    assert!(!site.path("work/api/made").exists());
    // words to an agent are another thing, and it sees whose they are
    let list = PromptList { all: true, ..PromptList::default() };
    let list = site.client().call::<ListPrompts>(list).expect("a list");
    assert_eq!(list.len(), 1, "{said}");
    let text = &list[0].text;
    assert!(text.starts_with("Message from api/help. ") && text.ends_with("\n\nmere words"), "{text}");
}
