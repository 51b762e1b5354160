//! What a person may have in front of them, for tests.

use wezterm_parallel_schemas::{
    daemon::DaemonView,
    event::Snapshot,
    inbox::{AskKind, AskView, Question, QuestionOption},
    keeper::ExitRecord,
    limit::{AccountView, Usage, Window},
    process::{Blocked, Kind, ProcessView, State, Status},
    task::{Denial, GroupView, TaskAdd, TaskDetail, TaskKind, TaskProgress, TaskResult, TaskState, TaskView},
};

use super::{
    ask::{Ask, Fetch, Fetched, Msg},
    input::{Input, Key},
    load::Load,
    model::{Look, Model},
    update::update,
};
pub(super) use crate::view::tests::NOW;
use crate::{
    inbox,
    view::{
        self,
        tests::{process, workspace},
    },
};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60_000;

/// A running Claude.
pub fn agent(workspace: &str, name: &str, status: Status, since: i64) -> ProcessView {
    ProcessView {
        id: format!("{workspace}-{name}"),
        status: Some(status),
        status_since: Some(NOW - since),
        started_at: Some(NOW - 125 * MINUTE),
        pid: Some(41_000),
        keeper_pid: Some(40_999),
        session_id: Some("0199a3c2-77aa-7a11-b5c3-0242ac120002".into()),
        ..process(workspace, name, State::Running)
    }
}

/// Any other process.
pub fn program(workspace: &str, name: &str, state: State) -> ProcessView {
    ProcessView {
        id: format!("{workspace}-{name}"),
        kind: Kind::Command,
        command: vec!["cargo".into(), "watch".into()],
        ..process(workspace, name, state)
    }
}

pub fn usage(cost: f64, context: f64) -> Option<Usage> {
    Some(Usage {
        model: Some("claude-opus".into()),
        cost_usd: Some(cost),
        context_percent: Some(context),
        ..Usage::default()
    })
}

fn exit(code: i32, ago: i64) -> Option<ExitRecord> {
    Some(ExitRecord { ended_at: NOW - ago, ..view::tests::exit(code) })
}

pub fn processes() -> Vec<ProcessView> {
    vec![
        ProcessView { usage: usage(12.34, 42.0), ..agent("api", "docs", Status::Idle, 40 * MINUTE) },
        ProcessView {
            usage: usage(0.004, 7.0),
            title: Some("✳ Write the tests".into()),
            attached: 1,
            ..agent("api", "tests", Status::Working, 12 * SECOND)
        },
        ProcessView {
            usage: usage(3.2, 93.0),
            status_reason: Some("Edit: src/main.rs\x1b[2J".into()),
            title: Some("✳ Fix the login".into()),
            asks: 1,
            prompts: 1,
            restarts: 2,
            ..agent("api", "lead", Status::Blocked(Blocked::Permission), 3 * MINUTE)
        },
        ProcessView { asks: 1, ..agent("web", "lead", Status::Blocked(Blocked::Question), 65 * MINUTE) },
        ProcessView {
            limited_until: Some(NOW + 83 * MINUTE),
            ..agent("web", "third", Status::RateLimited, 5 * MINUTE)
        },
        ProcessView { unread: true, ..agent("web", "second", Status::Idle, 26 * 60 * MINUTE) },
        ProcessView {
            started_at: Some(NOW - 125 * MINUTE),
            keeper_pid: Some(40_000),
            pid: Some(40_001),
            ..program("api", "server", State::Running)
        },
        ProcessView {
            last_exit: exit(101, 3 * SECOND),
            next_start_at: Some(NOW + 1_500),
            restarts: 2,
            ..program("api", "watch", State::Backoff)
        },
        ProcessView {
            last_exit: exit(1, 2 * MINUTE),
            state_reason: Some("failed 6 times in 60s: exit code 1".into()),
            restarts: 6,
            ..program("web", "vite", State::CrashLoop)
        },
        program("web", "storybook", State::Stopped),
    ]
}

pub fn ask(process: &ProcessView) -> AskView {
    AskView {
        id: format!("ask-{}", process.id),
        workspace: process.workspace.clone(),
        process: process.name.clone(),
        process_id: process.id.clone(),
        tool: "Edit".into(),
        summary: "src/main.rs".into(),
        input: "{}".into(),
        at: NOW - 3 * MINUTE,
        ..inbox::tests::ask()
    }
}

pub fn edit(process: &ProcessView) -> AskView {
    let diff = "--- a/src/main.rs\n+++ b/src/main.rs\n@@ -1,3 +1,3 @@\n fn main() {\n-\tprintln!(\"old\");\n+\tprintln!(\"new\x1b[2J and a line that is longer than the terminal is wide, so that it is folded\");\n }\n";
    AskView { diff: Some(diff.into()), ..ask(process) }
}

pub fn question(process: &ProcessView) -> AskView {
    let option = |label: &str, description: &str| QuestionOption {
        label: label.into(),
        description: description.into(),
    };
    AskView {
        kind: AskKind::Question,
        tool: "AskUserQuestion".into(),
        summary: "Which database?".into(),
        at: NOW - 65 * MINUTE,
        questions: vec![
            Question {
                question: "Which database?".into(),
                header: "Database".into(),
                multi_select: false,
                options: vec![option("SQLite", "one file"), option("Postgres", "a server of its own")],
            },
            Question {
                question: "Which features?".into(),
                header: "Features".into(),
                multi_select: true,
                options: vec![option("Login", ""), option("Search", "")],
            },
        ],
        ..ask(process)
    }
}

fn accounts() -> Vec<AccountView> {
    let window = |name: &str, used, resets| Window {
        name: name.into(),
        used_percent: Some(used),
        resets_at: Some(NOW + resets),
        at: NOW,
    };
    vec![AccountView {
        account: "/home/u/.claude".into(),
        limited_until: Some(NOW + 83 * MINUTE),
        reason: None,
        windows: vec![
            window("five_hour", 100.0, 83 * MINUTE),
            window("seven_day", 41.0, 3 * 24 * 60 * MINUTE),
        ],
        processes: Vec::new(),
        cost_usd: 15.5,
        input_tokens: 0,
        output_tokens: 0,
    }]
}

/// Nothing is known yet.
pub fn empty(size: (u16, u16)) -> Model {
    let mut model = Model::new(Look { ascii: false, plain: true }, size, NOW);
    model.home = "/home/u".into();
    model
}

/// With these, and the daemon at hand.
pub fn with(size: (u16, u16), processes: Vec<ProcessView>) -> Model {
    let mut model = empty(size);
    let workspaces =
        [("api", true), ("web", true), ("old", false)].map(|(name, open)| workspace_named(name, open));
    let snapshot = Snapshot { seq: 1, gap: None, workspaces: workspaces.into(), processes };
    update(&mut model, Msg::Linked(Box::new(snapshot)));
    for (fetch, fetched) in
        [(Fetch::Asks, Fetched::Asks(Vec::new())), (Fetch::Accounts, Fetched::Accounts(Vec::new()))]
    {
        update(&mut model, Msg::Fetched(fetch, Ok(fetched)));
    }
    for fetch in [Fetch::All, Fetch::Tasks, Fetch::Groups] {
        model.fetches.under_way.remove(&fetch);
    }
    model
}

fn workspace_named(name: &str, open: bool) -> wezterm_parallel_schemas::workspace::WorkspaceView {
    wezterm_parallel_schemas::workspace::WorkspaceView { id: format!("w-{name}"), ..workspace(name, open) }
}

/// A usual day.
pub fn some(size: (u16, u16)) -> Model {
    let mut model = with(size, processes());
    let asks: Vec<AskView> = vec![
        edit(model.process("api-lead").expect("it is there")),
        question(model.process("web-lead").expect("it is there")),
    ];
    for (fetch, fetched) in
        [(Fetch::Asks, Fetched::Asks(asks)), (Fetch::Accounts, Fetched::Accounts(accounts()))]
    {
        answer(&mut model, fetch, fetched);
    }
    let loads = [("api-lead", 3.4, 312e6), ("api-server", 187.0, 1.23e9), ("api-tests", 0.0, 45e6)];
    let loads = loads.map(|(id, cpu, bytes)| (id.to_owned(), Load { cpu: Some(cpu), memory: bytes as u64 }));
    update(&mut model, Msg::Loads(loads.into()));
    settle(&mut model);
    update(&mut model, Msg::Now(NOW));
    model
}

pub fn daemon() -> DaemonView {
    DaemonView {
        pid: 1,
        version: "0.1.0".into(),
        protocol: 1,
        socket: "/run/s".into(),
        config: "/c.yaml".into(),
        config_generation: 1,
        config_error: None,
        started_at: NOW,
        problem: None,
    }
}

/// Gives the answer to something that was asked, and to what follows from it.
pub fn answer(model: &mut Model, fetch: Fetch, fetched: Fetched) {
    model.fetches.under_way.insert(fetch.clone());
    update(model, Msg::Fetched(fetch, Ok(fetched)));
}

/// Answers what details are asked for until nothing is.
pub fn settle(model: &mut Model) {
    loop {
        let open: Vec<Fetch> = model.fetches.under_way.iter().cloned().collect();
        let Some(fetch) =
            open.into_iter().find(|f| matches!(f, Fetch::Ask(_) | Fetch::Prompts(_) | Fetch::Task(_)))
        else {
            break;
        };
        match &fetch {
            Fetch::Ask(id) => {
                let ask = model.asks.iter().find(|ask| ask.id == *id).cloned();
                let ask = Fetched::Ask(Box::new(ask.expect("it is open")));
                update(model, Msg::Fetched(fetch, Ok(ask)));
            }
            Fetch::Prompts(_) => {
                update(model, Msg::Fetched(fetch, Ok(Fetched::Prompts(Vec::new()))));
            }
            Fetch::Task(id) => {
                let detail = whole(model.task(id).expect("it is there"));
                update(model, Msg::Fetched(fetch, Ok(Fetched::Task(Box::new(detail)))));
            }
            _ => {}
        }
    }
    // somebody has looked at it for a while
    pass(model, 1_000);
}

/// Has time pass.
pub fn pass(model: &mut Model, ms: i64) {
    let now = model.now + ms;
    update(model, Msg::Now(now));
}

/// Presses keys; gives what is wanted for the last one.
pub fn press(model: &mut Model, keys: &[Key]) -> Vec<Ask> {
    let mut asks = Vec::new();
    for key in keys {
        asks = update(model, Msg::Input(Input::Key(*key)));
        asks.retain(|ask| !matches!(ask, Ask::Fetch(_)));
    }
    asks
}

/// Types a text.
pub fn type_in(model: &mut Model, text: &str) {
    for c in text.chars() {
        press(model, &[Key::Char(c)]);
    }
}

/// A task, added so long ago.
pub fn task(name: &str, state: TaskState, ago: i64) -> TaskView {
    TaskView {
        id: format!("t-{name}"),
        name: name.into(),
        state,
        reason: None,
        priority: 0,
        group: "default".into(),
        after: Vec::new(),
        attempt: 0,
        pid: None,
        session_id: None,
        cost_usd: None,
        started_at: None,
        ended_at: state.is_end().then_some(NOW - ago),
        added_at: NOW - ago,
        kind: TaskKind::Prompt,
        text: format!("{name}: do what has to be done"),
        workspace: Some("api".into()),
        cwd: "/home/u/src/api".into(),
        held_until: None,
        account: None,
        added_by: None,
        progress: None,
        keeper_pid: None,
        run_id: None,
    }
}

/// All that is known of a task.
pub fn whole(task: &TaskView) -> TaskDetail {
    let result = TaskResult {
        text: Some("The tests fail:\n- parse.rs: two cases\x1b[2J\n- lex.rs: one".into()),
        files: vec!["src/parse.rs".into(), "src/lex.rs".into()],
        denials: vec![Denial { tool: "Bash".into(), what: "git push".into() }],
        turns: 7,
        input_tokens: 1_234,
        output_tokens: 56_789,
        duration_ms: 61_000,
        ..TaskResult::default()
    };
    TaskDetail {
        task: task.clone(),
        asked: TaskAdd { prompt: Some(task.text.clone()), ..TaskAdd::default() },
        result: task.state.is_end().then_some(result),
        run_dir: None,
        seq: 1,
    }
}

pub fn tasks() -> Vec<TaskView> {
    let build = TaskView {
        kind: TaskKind::Command,
        text: "cargo build".into(),
        group: "nightly".into(),
        started_at: Some(NOW - 50 * MINUTE),
        ..task("build", TaskState::Done, 40 * MINUTE)
    };
    let tests = TaskView {
        after: vec![build.id.clone()],
        group: "nightly".into(),
        attempt: 2,
        started_at: Some(NOW - 30 * SECOND),
        cost_usd: Some(0.314),
        session_id: Some("0199a3c2-77aa-7a11-b5c3-0242ac120002".into()),
        progress: Some(TaskProgress {
            doing: Some("Bash: cargo test --workspace".into()),
            turns: 3,
            input_tokens: 12_345,
            output_tokens: 678,
            text: Some("I run the tests\x1b[2J now.".into()),
        }),
        ..task("tests", TaskState::Running, 45 * MINUTE)
    };
    let deploy = TaskView {
        after: vec![tests.id.clone(), "t-forgotten".into()],
        group: "nightly".into(),
        reason: Some("waits for tests".into()),
        ..task("deploy", TaskState::Waiting, 45 * MINUTE)
    };
    vec![
        build,
        tests,
        deploy,
        task("later", TaskState::Queued, 3 * MINUTE),
        TaskView { priority: 10, ..task("sooner", TaskState::Queued, 2 * MINUTE) },
        TaskView {
            held_until: Some(NOW + 83 * MINUTE),
            reason: Some("usage limit".into()),
            attempt: 1,
            ..task("limited", TaskState::Waiting, 20 * MINUTE)
        },
        TaskView {
            reason: Some("exit code 101".into()),
            attempt: 3,
            started_at: Some(NOW - 7 * MINUTE),
            cost_usd: Some(1.5),
            ..task("review of the last commit", TaskState::Failed, 5 * MINUTE)
        },
        TaskView {
            reason: Some("exit code 1".into()),
            ..task("of the past", TaskState::Failed, 50 * 60 * MINUTE)
        },
        task("halted", TaskState::Paused, 15 * MINUTE),
        TaskView {
            reason: Some("of the past failed".into()),
            ..task("left out", TaskState::Skipped, 50 * 60 * MINUTE)
        },
    ]
}

/// A usual day, and the tasks of it.
pub fn busy(size: (u16, u16)) -> Model {
    let mut model = some(size);
    answer(&mut model, Fetch::Tasks, Fetched::Tasks(tasks()));
    let group = GroupView { name: "nightly".into(), paused: true, ..GroupView::default() };
    answer(&mut model, Fetch::Groups, Fetched::Groups(vec![group]));
    press(&mut model, &[Key::Char('t')]);
    settle(&mut model);
    update(&mut model, Msg::Now(NOW));
    model
}

/// Chooses a task by its name.
pub fn choose_task(model: &mut Model, name: &str) {
    let place = model.tasks.rows.iter().position(|at| model.tasks.all[*at].name == name);
    model.choose_task(place.expect("it is in the table"));
    pass(model, 0);
    settle(model);
}
