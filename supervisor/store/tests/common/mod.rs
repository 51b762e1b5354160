//! Rows to store, and the journal read back.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::{collections::BTreeMap, path::Path};

use indexmap::IndexMap;
use rusqlite::Connection;
use wezterm_parallel_core::{
    spec::{ProcessSpec, RestartSpec, WorkspaceSpec},
    task::{TaskRow, TaskSpec, Wish},
};
use wezterm_parallel_schemas::{
    event::{Event, EventKind},
    gui::{Intent, IntentKind},
    inbox::{AskKind, AskState, AskView},
    keeper::ExitRecord,
    layout::{Pane, Split, Window},
    process::{Kind, Source, State},
    prompt::{PromptState, PromptView},
    task::{OnFailedDependency, TaskAdd, TaskResult, TaskState},
    units::Percent,
};
use wezterm_parallel_store::{
    AccountRow, ArrangementRow, Change, ConfigRow, IntentRow, LeaseRow, Loaded, ProcessRow, PromptRow,
    ReplyRow, RunRow, RunState, TaskBrought, TaskCard, TaskKept, TrustRow, WorkspaceRow,
};

/// A directory that is gone when the test ends.
pub fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A connection that goes round the store, to look at what is committed.
pub fn look(dir: &Path) -> Connection {
    Connection::open(dir.join("state.db")).expect("the database")
}

pub fn workspace(id: &str, name: &str) -> WorkspaceRow {
    WorkspaceRow {
        id: id.into(),
        name: name.into(),
        source: Source::Config,
        spec: WorkspaceSpec {
            cwd: "/home/me/src/api".into(),
            source: Source::Config,
            strategy: Default::default(),
            on_crash_loop: Default::default(),
            layout: Some("default".into()),
            processes: IndexMap::new(),
        },
        open: true,
        position: 0,
    }
}

pub fn process(id: &str, workspace_id: &str, name: &str) -> ProcessRow {
    ProcessRow {
        id: id.into(),
        workspace_id: workspace_id.into(),
        name: name.into(),
        source: Source::Runtime,
        spec: ProcessSpec {
            source: Source::Runtime,
            agent: Some("claude".into()),
            kind: Kind::Claude,
            command: vec!["claude".into(), "--model".into(), "opus".into()],
            cwd: "/home/me/src/api".into(),
            env: IndexMap::from([("B".into(), "2".into()), ("A".into(), "1".into())]),
            screen: Default::default(),
            autostart: true,
            restart: RestartSpec::default(),
            stop_grace: 3_000,
            after: IndexMap::new(),
            ready: None,
            ready_timeout: 60_000,
            resume: None,
            fork: None,
            status: Default::default(),
            on_limit: Default::default(),
            mcp: true,
            log_bytes: 8 << 20,
            log_files: 4,
            history_bytes: 1 << 20,
        },
        wanted: true,
        session_id: Some("0f5c7a5e-7c39-4b8e-9d62-0f1c9a1f2b3c".into()),
        session_started: true,
        restarts: 2,
        state: State::CrashLoop,
        state_reason: Some("5 failures in a minute — 失敗".into()),
        unread: true,
        position: 1,
    }
}

pub fn run(run_id: &str, process_id: &str, state: RunState) -> RunRow {
    RunRow {
        run_id: run_id.into(),
        process_id: process_id.into(),
        state,
        keeper_pid: Some(41),
        pid: Some(42),
        started_at: Some(1_767_000_000_001),
        boot_id: Some("boot".into()),
        exit: (state == RunState::Ended).then_some(ExitRecord {
            code: None,
            signal: Some(9),
            ended_at: 1_767_000_000_002,
            stopped: false,
            leftovers: 1,
            cpu_ms: 7,
            max_rss_kib: 8,
            log_lost: 0,
            note: None,
        }),
        claimed_at: 1_767_000_000_000,
    }
}

pub fn config(generation: u64) -> ConfigRow {
    ConfigRow {
        generation,
        path: "/home/me/.config/wezterm-parallel/config.yaml".into(),
        text: format!("version: 1 # {generation}\n"),
        format: "yaml".into(),
        at: 1_767_000_000_000,
    }
}

pub fn trust(path: &str) -> TrustRow {
    TrustRow {
        path: path.into(),
        sha256: "ab".repeat(32),
        text: "version: 1\n".into(),
        at: 1_767_000_000_000,
    }
}

pub fn prompt(id: &str, process_id: &str, state: PromptState) -> PromptRow {
    PromptRow {
        text: "fix the tests\n直して".into(),
        view: PromptView {
            id: id.into(),
            workspace: "api".into(),
            process: "lead".into(),
            process_id: process_id.into(),
            state,
            reason: None,
            text: "fix the tests".into(),
            command: false,
            key: None,
            at: 1_767_000_000_003,
            typed_at: None,
            delivered_at: None,
            proof: None,
            place: None,
            session_id: Some("0f5c7a5e-7c39-4b8e-9d62-0f1c9a1f2b3c".into()),
            prompt_id: None,
            answer: None,
        },
    }
}

pub fn ask(id: &str, state: AskState) -> AskView {
    AskView {
        id: id.into(),
        workspace: "api".into(),
        process: "lead".into(),
        process_id: "p".into(),
        run_id: "r1".into(),
        session_id: None,
        kind: AskKind::Permission,
        tool: "Bash".into(),
        summary: "echo hi > zz".into(),
        input: r#"{"command":"echo hi > zz"}"#.into(),
        shortened: false,
        diff: None,
        questions: Vec::new(),
        cwd: "/home/me/src/api".into(),
        agent: None,
        agent_id: None,
        at: 1_767_000_000_004,
        state,
        decision: None,
    }
}

pub fn intent(id: &str) -> IntentRow {
    IntentRow {
        intent: Intent {
            workspace: Some("api".into()),
            process: Some("lead".into()),
            ..Intent::new(id.into(), IntentKind::ShowProcess, 1_700_000_000_000, 1_700_000_060_000)
        },
        gui: Some("4711-a".into()),
    }
}

pub fn arrangement(workspace_id: &str) -> ArrangementRow {
    let pane = Pane { process: Some("lead".into()), size: Some(Percent(60.0)), ..Pane::default() };
    let tab = Pane { split: Some(Split::Right), panes: vec![pane, Pane::default()], ..Pane::default() };
    ArrangementRow {
        workspace_id: workspace_id.into(),
        at: 1_700_000_000_000,
        shown: true,
        gui: String::new(),
        windows: vec![Window { title: None, tabs: vec![tab] }],
    }
}

pub fn account(name: &str) -> AccountRow {
    AccountRow {
        account: name.into(),
        limited_until: Some(1_767_000_900_000),
        reason: Some("You've hit your limit".into()),
        cost_usd: 1.5,
        input_tokens: 10,
        output_tokens: 20,
        ..AccountRow::default()
    }
}

pub fn reply(key: &str, at: i64) -> ReplyRow {
    ReplyRow {
        key: key.into(),
        method: "process.add".into(),
        params_sha256: "cd".repeat(32),
        result: vec![0x80, 0xff, 0],
        at,
    }
}

pub fn event(seq: u64, kind: EventKind) -> Event {
    let mut event = Event::new(kind);
    event.seq = seq;
    event.at = 1_767_000_000_000;
    event.process = Some("lead".into());
    event
}

pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the year 292277026")
}

/// The tables that the journal tells of, each row by its key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    pub workspaces: BTreeMap<String, WorkspaceRow>,
    pub processes: BTreeMap<String, ProcessRow>,
    pub runs: BTreeMap<String, RunRow>,
    pub configs: BTreeMap<u64, ConfigRow>,
    pub trust: BTreeMap<String, TrustRow>,
}

impl Tables {
    /// What the journal gives: the checkpoint, and then every row, one after the other. A change does
    /// to its own row what it says and nothing else.
    pub fn replayed(db: &Connection) -> Self {
        let mut tables = Self::default();
        for sql in ["SELECT change FROM checkpoint", "SELECT change FROM journal ORDER BY n"] {
            let mut statement = db.prepare(sql).expect("a statement");
            let texts = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
            for text in texts {
                tables.apply(serde_json::from_str(&text.expect("a row")).expect("a change"));
            }
        }
        tables
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::PutWorkspace(row) => drop(self.workspaces.insert(row.id.clone(), row)),
            Change::DeleteWorkspace(id) => drop(self.workspaces.remove(&id)),
            Change::PutProcess(row) => drop(self.processes.insert(row.id.clone(), row)),
            Change::DeleteProcess(id) => drop(self.processes.remove(&id)),
            Change::PutRun(row) => drop(self.runs.insert(row.run_id.clone(), row)),
            Change::DeleteRun(run_id) => drop(self.runs.remove(&run_id)),
            Change::PutConfig(row) => drop(self.configs.insert(row.generation, row)),
            Change::DeleteConfig(generation) => drop(self.configs.remove(&generation)),
            Change::PutTrust(row) => drop(self.trust.insert(row.path.display().to_string(), row)),
            Change::DeleteTrust(path) => drop(self.trust.remove(&path.display().to_string())),
            Change::PutPrompt(_)
            | Change::PutAsk(_)
            | Change::PutAccount(_)
            | Change::DeleteAccount(_)
            | Change::PutIntent(_)
            | Change::DeleteIntent(_)
            | Change::PutArrangement(_)
            | Change::AddTask(_)
            | Change::PutTask(_)
            | Change::EditTask(_)
            | Change::DeleteTask(_)
            | Change::PutGroup { .. }
            | Change::PutEnvironment { .. }
            | Change::PutLease(_)
            | Change::DeleteLease(_)
            | Change::PutReply(_)
            | Change::Event(_) => panic!("it has no place in the journal"),
        }
    }

    /// What was loaded, of all configs only the newest.
    pub fn loaded(loaded: &Loaded) -> Self {
        Self {
            workspaces: loaded.workspaces.iter().map(|row| (row.id.clone(), row.clone())).collect(),
            processes: loaded.processes.iter().map(|row| (row.id.clone(), row.clone())).collect(),
            runs: loaded.runs.iter().map(|row| (row.run_id.clone(), row.clone())).collect(),
            configs: loaded.config.iter().map(|row| (row.generation, row.clone())).collect(),
            trust: loaded.trust.iter().map(|row| (row.path.display().to_string(), row.clone())).collect(),
        }
    }

    /// With the newest config alone, to compare with what was loaded.
    pub fn with_last_config(mut self) -> Self {
        self.configs = self.configs.pop_last().into_iter().collect();
        self
    }
}

/// A task that waits for another one, with an environment of its own.
pub fn task(id: &str) -> TaskKept {
    let spec = TaskSpec {
        id: id.into(),
        group: "docs".into(),
        priority: 5,
        after: vec!["before".into()],
        on_failed_dependency: OnFailedDependency::Fail,
        retries: 2,
        timeout: Some(60_000),
        deadline: Some(4_102_444_800_000),
        account: Some("/home/me/.claude".into()),
        agent: None,
    };
    let row = TaskRow {
        spec,
        state: TaskState::Waiting,
        reason: Some("one task comes first".into()),
        attempt: 1,
        failures: 1,
        pushbacks: 1,
        queued_at: 1_795_000_000_000,
        held_until: Some(1_795_000_001_000),
        session: Some("0d9e4a10-5a1c-4a52-9c0f-2a1f0a6f3b11".into()),
        first: 1,
        wish: Some(Wish::Pause),
        started_at: Some(1_795_000_000_100),
        ended_at: Some(1_795_000_000_200),
    };
    let card = TaskCard {
        name: "tests".into(),
        command: true,
        text: "write the tests".into(),
        workspace: Some("api".into()),
        cwd: "/home/me/src/api".into(),
        added_at: 1_795_000_000_000,
        added_by: Some("api/lead".into()),
        adder: Some("p".into()),
        root: Some("p".into()),
        agent: Some("claude".into()),
        depth: 1,
        inherited: vec!["--model".into(), "opus".into()],
        key: Some("k".into()),
    };
    let asked = TaskAdd { prompt: Some("write the tests".into()), ..TaskAdd::default() };
    TaskKept { row, card, asked, environment: Some("e".into()) }
}

/// What an attempt has brought.
pub fn brought() -> TaskBrought {
    let result = TaskResult { text: Some("All is green.".into()), turns: 3, ..TaskResult::default() };
    TaskBrought { cost_usd: Some(0.25), result }
}

pub fn lease(name: &str) -> LeaseRow {
    LeaseRow {
        name: name.into(),
        holder: "api/lead".into(),
        run_id: "r1".into(),
        at: 1_795_000_000_000,
        until: Some(1_795_000_060_000),
        reason: Some("the server of the tests".into()),
    }
}
