//! Tasks of the real Claude Code: what they bring, what goes wrong and what follows, with a stand-in for its
//! API. Left out by `WEZTERM_PARALLEL_SKIP_CLAUDE=1`.

use std::{
    collections::BTreeMap,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use wezterm_parallel_schemas::{
    daemon::Empty,
    error::{Code, Error},
    event::{EventKind, EventList},
    inbox::{InboxList, InboxTarget},
    limit::LimitOpen,
    method::{
        AddTask, AllowAsk, CancelTask, EditTask, ListAsks, ListEvents, ListLimits, Method, OpenLimit,
        PauseTask, ResumeTask, ShowTask, WaitForTasks,
    },
    task::{TaskAdd, TaskDetail, TaskEdit, TaskState, TaskTarget, TaskView, TaskWait},
};

use crate::support::site::{Site, kill, lives};

/// A place with Claude, and this config of tasks. A Claude asks a refusing API once more, not ten times.
fn site(tasks: &str) -> Option<Site> {
    let site = Site::with_claude()?;
    site.set_env("CLAUDE_CODE_MAX_RETRIES", "1");
    site.project("api");
    site.config(&format!("version: 1\ntasks: {tasks}\nworkspaces: {{ api: {{ cwd: $WORK/api }} }}\n"));
    site.daemon();
    Some(site)
}

fn call<M: Method>(site: &Site, params: M::Params) -> Result<M::Result, Error> {
    site.client().call::<M>(params)
}

fn prompt(name: &str, text: &str) -> TaskAdd {
    TaskAdd {
        name: Some(name.into()),
        prompt: Some(text.into()),
        workspace: Some("api".into()),
        ..TaskAdd::default()
    }
}

/// One that may use the shell without asking.
fn with_shell(name: &str, text: &str) -> TaskAdd {
    TaskAdd { allow: vec!["Bash".into()], ..prompt(name, text) }
}

fn add(site: &Site, task: TaskAdd) -> TaskView {
    call::<AddTask>(site, task).expect("it is added")
}

fn target(task: &str) -> TaskTarget {
    TaskTarget { task: task.into(), key: None }
}

fn show(site: &Site, task: &str) -> TaskDetail {
    call::<ShowTask>(site, target(task)).expect("it is known")
}

fn wait(site: &Site, tasks: &[&str]) -> BTreeMap<String, TaskView> {
    let tasks = tasks.iter().map(|t| (*t).to_owned()).collect();
    let views = call::<WaitForTasks>(site, TaskWait { tasks, ..TaskWait::default() }).expect("they end");
    views.into_iter().map(|view| (view.name.clone(), view)).collect()
}

fn wait_until(site: &Site, task: &str, wanted: impl Fn(&TaskView) -> bool) -> TaskView {
    let first = show(site, task);
    if wanted(&first.task) {
        return first.task;
    }
    let mut since = first.seq;
    loop {
        let event = site.wait_event(since, "word of the task", |e| {
            e.seq > since && e.task.as_deref() == Some(&*first.task.id)
        });
        since = event.seq;
        let last = show(site, task).task;
        if wanted(&last) {
            return last;
        }
        assert!(!last.state.is_end(), "it has ended otherwise: {last:?}");
    }
}

#[test]
fn a_prompt_brings_an_answer_files_and_what_it_cost() {
    let Some(site) = site("{}") else { return };
    let made = site.path("work/api/made");
    let input = serde_json::json!({ "file_path": made, "content": "hi\n" });
    let text = format!("[[tool:Write:{input}]][[text:All is done.]]");
    let task = add(&site, TaskAdd { allow: vec!["Write".into()], ..prompt("make", &text) });
    let done = &wait(&site, &["make"])["make"];
    assert_eq!((done.state, done.attempt, &done.reason), (TaskState::Done, 1, &None));
    assert!(done.cost_usd.is_some_and(|usd| usd > 0.0), "{done:?}");
    let result = show(&site, &task.id).result.expect("a result");
    assert_eq!(result.text.as_deref(), Some("All is done."));
    assert_eq!((result.turns, result.denials.len()), (2, 0));
    assert_eq!(result.files, [made.to_string_lossy()]);
    assert!(result.input_tokens > 0 && result.output_tokens > 0, "{result:?}");
    assert_eq!(fs::read_to_string(site.path("work/api/made")).expect("it made it"), "hi\n");
    let session = done.session_id.clone().expect("it has a session");
    assert_eq!(site.mock().wait("its question", |_| true).session, session);
}

#[test]
fn nobody_reads_a_prompt_from_a_list_of_processes() {
    let Some(site) = site("{}") else { return };
    add(&site, prompt("secret", "the secret word [[hang]]"));
    let running = wait_until(&site, "secret", |t| t.pid.is_some());
    site.mock().wait("its question", |r| r.prompt.contains("the secret word"));
    let pid = running.pid.expect("it runs");
    let line =
        String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).expect("it lives")).into_owned();
    assert!(line.contains("stream-json") && !line.contains("secret"), "{line}");
    let canceled = call::<CancelTask>(&site, target("secret")).expect("it is canceled");
    assert_eq!(canceled.state, TaskState::Canceled);
    assert!(!lives(pid));
}

/// The request was held with the homes of all tasks borrowed, and the next task that began was a panic.
#[test]
fn other_tasks_begin_and_end_while_one_asks() {
    let Some(site) = site("{}") else { return };
    add(&site, prompt("asks", "[[bash:echo x > leave]][[text:over]]"));
    let event = site.wait_event(0, "a request", |e| e.kind.name() == "inbox.asked");
    let command =
        TaskAdd { command: vec!["true".into()], prompt: None, allow: Vec::new(), ..prompt("other", "") };
    add(&site, command);
    assert_eq!(wait(&site, &["other"])["other"].state, TaskState::Done);
    let item = event.ask.expect("a request has an id");
    call::<AllowAsk>(&site, InboxTarget { item, ..InboxTarget::default() }).expect("allowed");
    wait(&site, &["asks"]);
    let events = site.client().call::<ListEvents>(EventList::default()).expect("they are kept");
    assert!(events.iter().all(|e| e.kind != EventKind::DaemonPanic), "{}", site.log());
}

#[test]
fn what_is_not_allowed_is_asked_in_the_inbox() {
    let Some(site) = site("{}") else { return };
    let task = add(&site, prompt("ask", "[[bash:echo hi > asked]][[text:over]]"));
    let asks = || call::<ListAsks>(&site, InboxList::default()).expect("a list");
    let event = site.wait_event(0, "a request", |e| e.kind.name() == "inbox.asked");
    assert_eq!(event.process.as_deref(), Some("ask"));
    let [ask] = &asks()[..] else { panic!("{:#?}", asks()) };
    assert_eq!((ask.workspace.as_str(), ask.process.as_str(), &ask.process_id), ("api", "ask", &task.id));
    assert!(ask.summary.contains("echo hi > asked"), "{ask:?}");
    call::<AllowAsk>(&site, InboxTarget { item: ask.id.clone(), ..InboxTarget::default() }).expect("allowed");
    assert_eq!(wait(&site, &["ask"])["ask"].state, TaskState::Done);
    assert!(site.path("work/api/asked").exists());
    assert_eq!(asks(), []);
}

#[test]
fn an_api_that_refuses_for_a_while_is_waited_for() {
    let Some(site) = site("{}") else { return };
    add(&site, prompt("429", "[[status:429,n=1]][[text:fine after 429]]"));
    add(&site, prompt("529", "[[status:529,n=2]][[text:fine after 529]]"));
    add(&site, prompt("500", "[[status:500,n=2]][[text:fine after 500]]"));
    let views = wait(&site, &["429", "529", "500"]);
    let stands = |name: &str| (views[name].state, views[name].attempt);
    assert_eq!(stands("429"), (TaskState::Done, 1), "Claude itself has asked again");
    assert_eq!(stands("529"), (TaskState::Done, 2), "we have");
    assert_eq!(stands("500"), (TaskState::Done, 2), "we have");
    let sessions = |name: &str| views[name].session_id.clone().expect("a session");
    for name in ["529", "500"] {
        let asked = site.mock().count(|r| r.session == sessions(name));
        assert!(asked >= 3, "{name} has gone on with its session: {asked}");
    }
}

#[test]
fn what_would_come_to_the_same_end_again_is_not_tried_again() {
    let Some(site) = site("{ parallel: 3 }") else { return };
    add(
        &site,
        TaskAdd { max_turns: Some(1), ..with_shell("turns", "[[bash:true]][[bash:true]][[text:no]]") },
    );
    add(
        &site,
        TaskAdd {
            budget_usd: Some(0.01),
            ..with_shell("budget", "[[usage:in=900000,out=90000]][[bash:true]][[text:no]]")
        },
    );
    add(&site, prompt("refusal", "[[refuse]]"));
    add(&site, prompt("bad", "[[status:400]]"));
    add(&site, TaskAdd { permission_mode: Some("nonsense".into()), ..prompt("usage", "hello") });
    let names = ["turns", "budget", "refusal", "bad", "usage"];
    let views = wait(&site, &names);
    for (name, what) in names.iter().zip(["turns", "budget", "safeguards", "400", "nonsense"]) {
        let view = &views[*name];
        assert_eq!((view.state, view.attempt), (TaskState::Failed, 1), "{view:?}");
        let reason = view.reason.clone().unwrap_or_default().to_lowercase();
        assert!(reason.contains(what), "{name}: {reason}");
    }
}

#[test]
fn a_claude_that_is_killed_or_hangs_goes_on_with_its_session() {
    let Some(site) = site("{}") else { return };
    let text = "[[bash:echo x >> tool; timeout 600 tail -f /dev/null]][[text:over]]";
    add(&site, with_shell("killed", text));
    let running = wait_until(&site, "killed", |t| t.pid.is_some());
    site.wait_file(&site.path("work/api/tool"), |text| !text.is_empty());
    kill(running.pid.expect("it runs"));
    let done = &wait(&site, &["killed"])["killed"];
    assert_eq!((done.state, done.attempt), (TaskState::Done, 2), "{done:?}");
    let session = done.session_id.clone().expect("a session");
    let went_on =
        site.mock().wait("the further attempt", |r| r.prompt.starts_with("Go on where you left off"));
    assert_eq!(went_on.session, session);
    assert!(
        went_on.texts.iter().any(|t| t.contains("echo x >> tool")),
        "it knows what it was asked: {went_on:?}"
    );

    add(&site, TaskAdd { timeout_ms: Some(3_000), retries: Some(0), ..prompt("hangs", "[[hang]]") });
    let failed = &wait(&site, &["hangs"])["hangs"];
    assert_eq!((failed.state, failed.reason.as_deref()), (TaskState::Failed, Some("it took too long")));
    add(&site, TaskAdd { retries: Some(0), ..prompt("drops", "[[drop]]") });
    let drops = &wait(&site, &["drops"])["drops"];
    assert!(drops.state.is_end(), "{drops:?}");
}

#[test]
fn a_usage_limit_pauses_all_of_the_account_until_its_time_and_costs_nothing() {
    let Some(site) = Site::with_claude() else { return };
    site.unset_env("ANTHROPIC_API_KEY");
    site.set_env("CLAUDE_CODE_OAUTH_TOKEN", "fake-for-loopback");
    site.set_env("CLAUDE_CODE_MAX_RETRIES", "1");
    site.project("api");
    site.config("version: 1\ntasks: { parallel: 1 }\nworkspaces: { api: { cwd: $WORK/api } }\n");
    site.daemon();
    let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 15;
    let text = format!("[[rl:status=rejected,5h=1.0,7d=0.5,at={at}]][[status:429,n=1]][[text:fine]]");
    add(&site, prompt("limited", &text));
    add(&site, prompt("next", "hello"));
    let held = wait_until(&site, "limited", |t| t.state == TaskState::Waiting);
    assert_eq!(held.held_until, Some(i64::try_from(at * 1_000).expect("a time")));
    assert!(held.reason.as_deref().is_some_and(|r| r.contains("usage limit")), "{held:?}");
    let next = show(&site, "next").task;
    assert_eq!((next.state, next.attempt), (TaskState::Queued, 0), "it waits as well: {next:?}");
    assert!(next.reason.as_deref().is_some_and(|r| r.contains("usage limit")), "{next:?}");
    let accounts = call::<ListLimits>(&site, Empty {}).expect("a list");
    assert!(accounts.iter().any(|a| a.limited_until.is_some()), "it is seen elsewhere too: {accounts:?}");
    // it is known to the next daemon as well
    site.kill_daemon();
    site.daemon();
    assert_eq!(show(&site, "next").task.attempt, 0);
    let views = wait(&site, &["limited", "next"]);
    assert_eq!((views["limited"].state, views["limited"].attempt), (TaskState::Done, 2));
    assert_eq!((views["next"].state, views["next"].attempt), (TaskState::Done, 1));
    assert!(views["next"].started_at.is_some_and(|from| from >= i64::try_from(at * 1_000).expect("a time")));
}

#[test]
fn an_account_that_is_not_logged_in_starts_nothing_until_somebody_says_so() {
    let Some(site) = site("{ parallel: 1 }") else { return };
    add(&site, prompt("first", "[[status:401,n=2]][[text:fine]]"));
    add(&site, prompt("second", "hello"));
    let closed = wait_until(&site, "first", |t| t.state == TaskState::Queued && t.attempt == 1);
    assert!(closed.reason.as_deref().is_some_and(|r| r.contains("not logged in")), "{closed:?}");
    let second = show(&site, "second").task;
    assert_eq!((second.state, second.attempt), (TaskState::Queued, 0), "{second:?}");
    assert!(second.reason.as_deref().is_some_and(|r| r.contains("limit open")), "{second:?}");
    let accounts = call::<ListLimits>(&site, Empty {}).expect("a list");
    assert!(accounts.iter().any(|a| a.reason.as_deref().is_some_and(|r| r.contains("login was refused"))));
    site.wait_event(0, "word of it", |e| {
        e.kind.name() == "limit.reached"
            && e.message.as_deref().is_some_and(|m| m.contains("login was refused"))
    });
    call::<OpenLimit>(&site, LimitOpen::default()).expect("it is tried again");
    let views = wait(&site, &["first", "second"]);
    assert_eq!((views["first"].state, views["second"].state), (TaskState::Done, TaskState::Done));
    let none = call::<OpenLimit>(&site, LimitOpen::default()).expect_err("none is closed");
    assert_eq!(none.code, Code::NotFound);
}

#[test]
fn a_prompt_is_paused_in_the_middle_and_goes_on_with_its_session() {
    let Some(site) = site("{}") else { return };
    let text = "[[bash:echo x >> tool; timeout 600 tail -f /dev/null]][[text:over]]";
    add(&site, with_shell("long", text));
    let running = wait_until(&site, "long", |t| t.pid.is_some());
    site.wait_file(&site.path("work/api/tool"), |text| !text.is_empty());
    let paused = call::<PauseTask>(&site, target("long")).expect("it is paused");
    assert_eq!((paused.state, paused.pid), (TaskState::Paused, None));
    assert!(!lives(running.pid.expect("it ran")));
    site.kill_daemon();
    site.daemon();
    assert_eq!(show(&site, "long").task.state, TaskState::Paused);
    call::<ResumeTask>(&site, target("long")).expect("it goes on");
    let done = &wait(&site, &["long"])["long"];
    assert_eq!((done.state, done.session_id.is_some()), (TaskState::Done, true), "{done:?}");
    let went_on = site.mock().wait("the further attempt", |r| r.prompt.starts_with("Go on"));
    assert_eq!(Some(went_on.session), done.session_id);
}

#[test]
fn a_claude_goes_on_over_a_daemon_that_is_killed_and_its_progress_is_known_again() {
    let Some(site) = site("{}") else { return };
    let text =
        "[[bash:echo one]][[bash:echo x >> tool; while ! test -e go; do sleep 0.05; done]][[text:over]]";
    add(&site, with_shell("long", text));
    site.wait_file(&site.path("work/api/tool"), |text| !text.is_empty());
    let before = wait_until(&site, "long", |t| t.progress.as_ref().is_some_and(|p| p.turns == 2));
    let doing = before.progress.clone().and_then(|p| p.doing).unwrap_or_default();
    assert!(doing.contains("Bash"), "{before:?}");
    site.kill_daemon();
    site.daemon();
    let after = wait_until(&site, "long", |t| t.progress.as_ref().is_some_and(|p| p.turns == 2));
    assert_eq!((after.pid, after.attempt, &after.session_id), (before.pid, 1, &before.session_id));
    fs::write(site.path("work/api/go"), "").expect("a file");
    let done = &wait(&site, &["long"])["long"];
    assert_eq!((done.state, done.attempt), (TaskState::Done, 1));
    assert_eq!(show(&site, "long").result.expect("a result").text.as_deref(), Some("over"));
}

#[test]
fn a_prompt_that_is_changed_after_it_has_begun_begins_anew() {
    let Some(site) = site("{}") else { return };
    add(&site, with_shell("long", "[[bash:echo x >> tool; timeout 600 tail -f /dev/null]][[text:over]]"));
    site.wait_file(&site.path("work/api/tool"), |text| !text.is_empty());
    let paused = call::<PauseTask>(&site, target("long")).expect("it is paused");
    let prompt = Some("[[text:another answer]]".to_owned());
    call::<EditTask>(&site, TaskEdit { task: "long".into(), prompt, ..TaskEdit::default() })
        .expect("changed");
    call::<ResumeTask>(&site, target("long")).expect("it goes on");
    let done = &wait(&site, &["long"])["long"];
    assert_eq!(show(&site, "long").result.expect("a result").text.as_deref(), Some("another answer"));
    assert_ne!(done.session_id, paused.session_id);
}
