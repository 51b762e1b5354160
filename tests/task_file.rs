//! The whole of it: a file of thirty tasks that wait for one another, run by the real Claude Code four at a
//! time, over three kills of the daemon and a usage limit, to a report. Left out by
//! `WEZTERM_PARALLEL_SKIP_CLAUDE=1`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use wezterm_parallel_schemas::{
    event::{Event, EventKind, EventList},
    method::{ListEvents, ListTasks},
    task::{TaskList, TaskState, TaskView},
};

use crate::support::site::{Site, say};

const TASKS: usize = 30;
/// Tasks of a layer; each waits for two of the layer before.
const WIDTH: usize = 6;
const PARALLEL: usize = 4;
/// The one that meets the usage limit.
const LIMITED: usize = 8;
/// How long the limit holds, from the beginning of the run, in seconds.
const LIMIT_S: u64 = 20;

fn file(until: u64) -> String {
    let mut text = "# thirty tasks in five layers\ntasks:\n".to_owned();
    for n in 0..TASKS {
        let after = match n.checked_sub(WIDTH) {
            None => String::new(),
            Some(above) => {
                let beside = above / WIDTH * WIDTH + (above + 1) % WIDTH;
                format!(", after: [t{above:02}, t{beside:02}]")
            }
        };
        let steps = if n == LIMITED {
            format!("[[rl:status=rejected,5h=1.0,7d=0.5,at={until}]][[status:429,n=1]]")
        } else {
            format!("[[bash:echo t{n:02} >> lives; sleep 0.2]]")
        };
        let priority = (n * 7) % 10;
        writeln!(
            text,
            "  - {{ name: t{n:02}, prompt: '{steps}[[text:the answer of {n:02}]]', allow: [Bash], group: book, priority: {priority}{after} }}"
        )
        .expect("a text grows");
    }
    text
}

fn tasks(site: &Site) -> Vec<TaskView> {
    let list = TaskList { group: Some("book".into()), over: Some(1_000), ..TaskList::default() };
    site.client().call::<ListTasks>(list).expect("a list")
}

fn done(site: &Site) -> usize {
    tasks(site).iter().filter(|t| t.state == TaskState::Done).count()
}

/// Waits until so many are done.
fn wait_done(site: &Site, count: usize) {
    let mut since = 0;
    while done(site) < count {
        let event = site.wait_event(since, "a task that is done", |e| {
            e.seq > since && e.kind == EventKind::TaskChanged && e.task_state == Some(TaskState::Done)
        });
        since = event.seq;
    }
}

/// Most tasks that ran at the same time, as the events tell it.
fn most_at_once(events: &[Event]) -> usize {
    let mut running = BTreeSet::new();
    let mut most = 0;
    for event in events.iter().filter(|e| e.kind == EventKind::TaskChanged) {
        let task = event.task.clone().expect("it names its task");
        match event.task_state {
            Some(TaskState::Running) => drop(running.insert(task)),
            _ => drop(running.remove(&task)),
        }
        most = most.max(running.len());
    }
    most
}

#[test]
fn a_file_of_thirty_tasks_comes_to_its_report_over_kills_and_a_usage_limit() {
    let Some(site) = Site::with_claude() else { return };
    site.unset_env("ANTHROPIC_API_KEY");
    site.set_env("CLAUDE_CODE_OAUTH_TOKEN", "fake-for-loopback");
    site.set_env("CLAUDE_CODE_MAX_RETRIES", "1");
    let api = site.project("api");
    site.config(&format!(
        "version: 1\ntasks: {{ parallel: {PARALLEL} }}\nworkspaces: {{ api: {{ cwd: $WORK/api }} }}\n"
    ));
    site.daemon();
    let until = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + LIMIT_S;
    fs::write(api.join("book.yaml"), file(until)).expect("a file");
    site.run_in(&api, &["task", "import", "book.yaml"]).ok();
    assert_eq!(tasks(&site).len(), TASKS);
    let kill = |why: &str| {
        let running = tasks(&site).iter().filter(|t| t.pid.is_some()).count();
        say(&format!("killed {why}: {} done, {running} ran", done(&site)));
        site.kill_daemon();
        site.daemon();
    };
    wait_done(&site, 3);
    kill("after three");
    site.wait_event(0, "the limit", |e| e.kind == EventKind::LimitReached);
    kill("at the limit");
    let says = |t: &TaskView| t.reason.as_deref().is_some_and(|r| r.contains("usage limit"));
    site.wait_event(0, "the task that waits", |e| {
        let limited = e.message.as_deref().is_some_and(|m| m.contains("usage limit"));
        limited && e.task_name.as_deref() == Some(&*format!("t{LIMITED:02}"))
    });
    assert!(tasks(&site).iter().any(says), "tasks that wait say why: {:#?}", tasks(&site));
    wait_done(&site, 22);
    kill("after 22");
    wait_done(&site, TASKS);
    let all: BTreeMap<String, TaskView> = tasks(&site).into_iter().map(|t| (t.name.clone(), t)).collect();
    let by_id: BTreeMap<&String, &TaskView> = all.values().map(|t| (&t.id, t)).collect();
    for task in all.values() {
        assert_eq!(task.state, TaskState::Done, "{task:?}");
        for other in &task.after {
            let other = by_id[other];
            assert!(other.ended_at <= task.started_at, "{} began before {} was over", task.name, other.name);
        }
    }
    let limited = &all[&format!("t{LIMITED:02}")];
    assert_eq!(limited.attempt, 2, "{limited:?}");
    assert!(limited.started_at.is_some_and(|at| at >= i64::try_from(until * 1_000).expect("a time")));
    let events = site.client().call::<ListEvents>(EventList { since: Some(0), limit: None }).expect("events");
    assert!(events.iter().any(|e| e.kind == EventKind::LimitPassed), "the end of the limit was told of");
    assert!(most_at_once(&events) <= PARALLEL, "{}", most_at_once(&events));
    let mut lives: Vec<String> =
        fs::read_to_string(api.join("lives")).expect("they ran").lines().map(str::to_owned).collect();
    lives.sort();
    let wanted: Vec<String> = (0..TASKS).filter(|n| *n != LIMITED).map(|n| format!("t{n:02}")).collect();
    assert_eq!(lives, wanted, "each has run once");
    let report = site.run_in(&api, &["group", "report", "book"]).ok().out;
    for n in (0..TASKS).filter(|n| *n != LIMITED) {
        assert!(report.contains(&format!("the answer of {n:02}")), "{report}");
    }
    say(&report);
}
