//! The bytes on the wire, held fast: `golden/` has a request and a response of every method, an event
//! of every kind, and an error in both forms. The keeper's protocol has its own, in `golden/keeper/`.
//!
//! A file is `NAME.RELEASE.hex`. The newest one of a name is what this release writes, byte for byte;
//! all of them must be understood for ever. So a file is never edited: when a type gets a field, add
//! `NAME.RELEASE+1.hex`. To have missing files written, run
//! `WEZTERM_PARALLEL_GOLDEN=write cargo test -p wezterm-parallel-schemas --test golden`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use indexmap::IndexMap;
use serde::{Serialize, de::DeserializeOwned};
use wezterm_parallel_schemas::{
    PROTOCOL,
    config::{OnCrashLoop, Rule, Strategy},
    daemon::{
        ConfigAction, ConfigChange, ConfigPlan, ConfigTarget, ConfigTrust, DaemonStop, DaemonView, Empty,
        Hello, Limits, StatusView, Stopped, Text, Welcome,
    },
    envelope::{Message, split},
    error::{Code, Error},
    event::{Event, EventKind, EventList, Snapshot, Subscribe},
    evidence::{Evidence, EvidenceSource, Explanation, Standing},
    gui::{GuiFocus, GuiNews, GuiShow, GuiView, GuiWait, Intent, IntentDone, IntentKind, ToastAbout},
    hook::{HookAnswer, HookKind, HookReport},
    inbox::{
        AskKind, AskState, AskView, Decision, InboxAnswer, InboxDeny, InboxList, InboxTarget, InboxTest,
        Question, QuestionOption, RuleAction, RuleVerdict,
    },
    keeper::{self, ExitRecord},
    layout::{
        Arrangement, ArrangementFrom, Layout, LayoutKeep, LayoutPlan, LayoutSave, LayoutSource, LayoutTarget,
        LayoutView, Pane, ProjectFrom, ProjectList, ProjectView, Split, Window as Glass,
    },
    lease::{LeaseAcquire, LeaseRelease, LeaseView},
    limit::{AccountView, LimitOpen, Usage, Window},
    method::{self, METHODS, Method},
    process::{
        AttachPoint, Blocked, Kind, ProcessAdd, ProcessList, ProcessStop, ProcessTarget, ProcessView, Source,
        State, Status,
    },
    prompt::{
        Answer, ProcessSend, PromptList, PromptState, PromptTarget, PromptView, PromptWait, Proof,
        WhileWorking,
    },
    rpc,
    scan::Scanner,
    session::{ProcessAdopt, SessionList, SessionOpen, SessionView},
    task::{
        Denial, GroupReport, GroupTarget, GroupView, OnFailedDependency, TaskAdd, TaskCounts, TaskDetail,
        TaskEdit, TaskImport, TaskKind, TaskList, TaskProgress, TaskReport, TaskResult, TaskRetry, TaskState,
        TaskTarget, TaskView, TaskWait,
    },
    units::Percent,
    workspace::{WorkspaceCreate, WorkspaceOpen, WorkspaceRename, WorkspaceTarget, WorkspaceView},
};

#[test]
fn every_method_has_golden_bytes_of_its_request_and_its_response() {
    let g = Golden::default();
    g.call::<method::HelloCall>(hello(), welcome());
    g.call::<method::DaemonStatus>(Empty {}, status());
    g.call::<method::StopDaemon>(DaemonStop { keep: true }, Stopped { ended: 0, kept: 2 });
    g.call::<method::ListWorkspaces>(Empty {}, vec![workspace()]);
    g.call::<method::CreateWorkspace>(
        WorkspaceCreate {
            name: "api".into(),
            cwd: "/home/u/src/api".into(),
            layout: Some("default".into()),
            key: key(),
        },
        workspace(),
    );
    g.call::<method::OpenWorkspace>(
        WorkspaceOpen { workspace: "api".into(), environment: environment(), key: key() },
        workspace(),
    );
    g.call::<method::CloseWorkspace>(
        workspace_target(),
        WorkspaceView { open: false, running: 0, ..workspace() },
    );
    g.call::<method::DeleteWorkspace>(workspace_target(), Empty {});
    g.call::<method::RenameWorkspace>(
        WorkspaceRename { workspace: "api".into(), name: "backend".into(), key: key() },
        WorkspaceView { name: "backend".into(), ..workspace() },
    );
    g.call::<method::ListProcesses>(
        ProcessList { workspace: Some("api".into()), all: false },
        vec![claude(), command(), resting()],
    );
    g.call::<method::AddProcess>(
        ProcessAdd {
            workspace: "api".into(),
            name: Some("lead".into()),
            agent: Some("claude".into()),
            resume: Some(SESSION.into()),
            fork: None,
            command: vec!["--model".into(), "opus".into()],
            environment: environment(),
            key: key(),
        },
        claude(),
    );
    g.call::<method::RemoveProcess>(target(), Empty {});
    g.call::<method::StartProcess>(target(), claude());
    g.call::<method::StopProcess>(process_stop(), resting());
    g.call::<method::RestartProcess>(process_stop(), claude());
    g.call::<method::AttachProcess>(
        target(),
        AttachPoint {
            process: claude(),
            run_dir: Some(format!("/home/u/.local/state/wezterm-parallel/runs/{RUN}").into()),
            seq: 42,
        },
    );
    g.call::<method::SeeProcess>(target(), ProcessView { unread: false, ..claude() });
    g.call::<method::ExplainProcess>(
        target(),
        Explanation {
            process: claude_with_all(),
            because: "the agent tells its terminal itself".into(),
            evidence: vec![evidence()],
            history: vec![Evidence { standing: Standing::Overruled, ..evidence() }],
        },
    );
    g.call::<method::SendPrompt>(
        ProcessSend {
            workspace: Some("api".into()),
            process: "lead".into(),
            text: "fix the tests\n直して".into(),
            while_working: WhileWorking::Queue,
            command: true,
            key: key(),
        },
        prompt(),
    );
    g.call::<method::AdoptProcess>(
        ProcessAdopt {
            pid: 4_711,
            workspace: "api".into(),
            name: Some("lead".into()),
            session_id: Some(SESSION.into()),
            while_working: true,
            environment: environment(),
            key: key(),
        },
        claude(),
    );
    g.call::<method::ListPrompts>(
        PromptList { workspace: Some("api".into()), process: Some("lead".into()), all: true },
        vec![prompt()],
    );
    g.call::<method::CancelPrompt>(
        PromptTarget { prompt: PROMPT.into(), key: key() },
        PromptView { state: PromptState::Canceled, answer: None, ..prompt() },
    );
    g.call::<method::WaitForPrompt>(PromptWait { prompt: PROMPT.into(), timeout_ms: Some(60_000) }, prompt());
    g.call::<method::ListSessions>(
        SessionList {
            cwd: Some("/home/u/src/api".into()),
            config_dir: Some("/home/u/.claude".into()),
            limit: Some(20),
        },
        vec![SessionView {
            session_id: SESSION.into(),
            cwd: "/home/u/src/api".into(),
            title: Some("直す".into()),
            first_prompt: Some("fix the tests".into()),
            last_prompt: Some("and the docs".into()),
            started_at: AT,
            updated_at: AT + 60_000,
            cost_usd: Some(1.25),
            model: Some("claude-opus-5-5".into()),
            branch: Some("main".into()),
            bytes: 34_567,
            open: Some(SessionOpen { pid: 4_001, process: Some("api/lead".into()) }),
        }],
    );
    g.call::<method::ListAsks>(
        InboxList { all: true, workspace: Some("api".into()), limit: Some(5) },
        vec![ask()],
    );
    let item = InboxTarget { item: ask().id, key: key() };
    g.call::<method::ShowAsk>(item.clone(), ask());
    g.call::<method::AllowAsk>(item, AskView { state: AskState::Allowed, ..ask() });
    g.call::<method::DenyAsk>(
        InboxDeny { item: ask().id, message: Some("not there".into()), key: key() },
        AskView { state: AskState::Denied, ..ask() },
    );
    g.call::<method::AnswerAsk>(
        InboxAnswer {
            item: ask().id,
            answers: [("Which one?".to_string(), "A".to_string())].into_iter().collect(),
            key: key(),
        },
        ask(),
    );
    g.call::<method::TestRules>(
        InboxTest { rule: Some(rule()), limit: Some(10) },
        vec![RuleVerdict { ask: ask(), would: Some(RuleAction::Deny), rule: Some(1) }],
    );
    layouts(&g);
    guis(&g);
    g.call::<method::ListLimits>(Empty {}, vec![account()]);
    g.call::<method::ReportHook>(
        HookReport {
            kind: HookKind::StatusLine,
            run: RUN.into(),
            process: PROCESS.into(),
            pid: Some(4_001),
            at: AT,
            payload: r#"{"session_id":"x"}"#.into(),
            hold: true,
            attended: true,
            ask: Some(ask().id),
            taken: true,
        },
        HookAnswer { output: Some("{}".into()) },
    );
    g.call::<method::DiffConfig>(ConfigTarget { path: Some("/tmp/new.yaml".into()) }, plan(0));
    g.call::<method::ReloadConfig>(Empty {}, plan(7));
    g.call::<method::ShowConfig>(Empty {}, Text { text: "version: 1\n".into() });
    g.call::<method::ExportConfig>(Empty {}, Text { text: "workspaces: {}\n".into() });
    let trust = ConfigTrust { path: "/home/u/src/api/.wezterm-parallel.yaml".into() };
    g.call::<method::TrustProject>(trust.clone(), plan(8));
    g.call::<method::UntrustProject>(trust, plan(9));
    g.call::<method::ListEvents>(
        EventList { since: Some(40), limit: Some(2) },
        vec![event(EventKind::ProcessState)],
    );
    g.call::<method::SubscribeCall>(
        Subscribe { topics: vec!["process".into()], from_seq: Some(12) },
        Snapshot { seq: 42, gap: Some([13, 20]), workspaces: vec![workspace()], processes: vec![claude()] },
    );

    tasks(&g);
    leases(&g);

    let seen = g.seen.into_inner().expect("no test panicked");
    let missing: Vec<&str> = METHODS
        .iter()
        .map(|row| row.name)
        .filter(|name| !seen.contains(&format!("{name}.request")))
        .collect();
    assert!(missing.is_empty(), "no golden bytes of {missing:?}: add them to this test");
}

#[test]
fn every_kind_of_event_has_golden_bytes() {
    let g = Golden::default();
    for name in names_of::<EventKind>() {
        let kind: EventKind = serde_json::from_value(name.as_str().into()).expect("a name from the schema");
        assert_eq!(kind.name(), name);
        g.check(&format!("event.{name}"), &event_frame(&event(kind)), |frame| match split(frame) {
            Ok(Message::Notification { method: "event", params }) => decode::<Event>(params).map(drop),
            other => Err(format!("{other:?}")),
        });
    }
    // everything an event can hold, and that it comes back
    for (name, full) in [
        ("event", full_event()),
        ("event.with_all", event_with_all()),
        ("event.with_task", event_with_task()),
        ("event.with_group", event_with_group()),
        ("event.with_lease", event_with_lease()),
        ("event.with_method", event_with_method()),
    ] {
        g.check(name, &event_frame(&full), |frame| match split(frame) {
            Ok(Message::Notification { method: "event", params }) => {
                assert_eq!(decode::<Event>(params)?, full);
                Ok(())
            }
            other => Err(format!("{other:?}")),
        });
    }
}

#[test]
fn errors_have_golden_bytes_in_the_form_that_neovim_shows() {
    let g = Golden::default();
    let plain = Error::new(Code::NotFound, "no process `lead` in `api`");
    let hinted = Error::new(Code::BadHello, "no common protocol version")
        .hint("restart the daemon: wezterm-parallel stop --keep");
    for (name, error) in [("error", plain), ("error.hint", hinted)] {
        g.check(name, &encode(&rpc::Failure::new(7, &error)), |frame| match split(frame) {
            Ok(Message::Response { id: 7, error: Some(body), result }) => {
                assert_eq!(decode::<rpc::WireError>(body)?.0, error);
                assert_eq!(decode::<Error>(result)?, error);
                // exactly a number and a text, or Neovim shows "unknown error"
                assert_eq!(body[..2], [0x92, 0x00]);
                Ok(())
            }
            other => Err(format!("{other:?}")),
        });
    }
}

#[test]
fn bytes_of_a_newer_release_are_understood() {
    // a map with a key that this release does not know, and names that it does not know
    let mut v: serde_json::Value = serde_json::to_value(claude()).expect("json");
    v["status"] = "pondering".into();
    v["mood"] = serde_json::json!({ "deep": [1, 2, { "er": null }] });
    let view: ProcessView = decode(&encode(&v)).expect("unknown keys are skipped");
    assert_eq!(view.status, Some(Status::Unknown));

    let mut v = serde_json::to_value(event(EventKind::ProcessState)).expect("json");
    v["kind"] = "task.done".into();
    assert_eq!(decode::<Event>(&encode(&v)).expect("an event").kind, EventKind::Unknown);
}

#[test]
fn parameters_left_out_have_their_defaults() {
    fn check<M: Method>() {
        if let Err(e) = decode::<M::Params>(&[0x80]) {
            panic!("{} takes no empty map: {e}", M::NAME);
        }
    }
    check::<method::HelloCall>();
    check::<method::StopDaemon>();
    check::<method::OpenWorkspace>();
    check::<method::ListProcesses>();
    check::<method::AddProcess>();
    check::<method::StopProcess>();
    check::<method::DiffConfig>();
    check::<method::ListEvents>();
    check::<method::SubscribeCall>();
}

#[test]
fn names_on_the_wire_are_only_ever_added() {
    let mut now = BTreeSet::new();
    let mut add = |what: &str, names: &mut dyn Iterator<Item = String>| {
        for name in names {
            assert!(now.insert(format!("{what} {name}")), "{what} {name} stands for two things");
        }
    };
    add("method", &mut METHODS.iter().map(|row| row.name.into()));
    add("code", &mut names_of::<Code>().into_iter());
    add("event", &mut names_of::<EventKind>().into_iter());
    add("state", &mut names_of::<State>().into_iter());
    add("status", &mut Status::ALL.iter().map(|s| s.name().into()));
    add("frame", &mut FRAMES.iter().map(|(kind, name)| format!("{} {name}", char::from(*kind))));
    add("protocol", &mut (PROTOCOL[0]..=PROTOCOL[1]).map(|n| n.to_string()));

    let path = golden_dir().join("names.txt");
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    let kept: BTreeSet<String> = text.lines().map(String::from).collect();
    let gone: Vec<_> = kept.difference(&now).collect();
    assert!(gone.is_empty(), "released names are gone or changed their meaning: {gone:?}");
    let new: Vec<_> = now.difference(&kept).collect();
    if !new.is_empty() {
        assert!(may_write(), "names not in golden/names.txt: {new:?}; {HOW_TO_WRITE}");
        for line in new {
            let _ = writeln!(text, "{line}");
        }
        fs::write(&path, text).expect("golden/names.txt can be written");
    }
}

/// Kinds of frames of the keeper's protocol.
const FRAMES: [(u8, &str); 17] = {
    use keeper::frame::*;
    [
        (HELLO, "hello"),
        (INPUT, "input"),
        (RESIZE, "resize"),
        (STOP, "stop"),
        (SCREEN, "screen"),
        (WELCOME, "welcome"),
        (OUTPUT, "output"),
        (STATUS, "status"),
        (TITLE, "title"),
        (TYPE, "type"),
        (TYPED, "typed"),
        (PROGRESS, "progress"),
        (ATTACHED, "attached"),
        (LOOKED, "looked"),
        (DETACHED, "detached"),
        (EXIT, "exit"),
        (ERROR, "error"),
    ]
};

const HOW_TO_WRITE: &str =
    "WEZTERM_PARALLEL_GOLDEN=write cargo test -p wezterm-parallel-schemas --test golden adds what is missing";

fn may_write() -> bool {
    std::env::var("WEZTERM_PARALLEL_GOLDEN").is_ok_and(|v| v == "write")
}

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// All golden bytes of `name`, by release.
fn releases(name: &str) -> BTreeMap<u32, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(golden_dir()).expect("schemas/golden is there") {
        let path = entry.expect("schemas/golden can be read").path();
        let file = path.file_name().and_then(|f| f.to_str()).unwrap_or_default();
        let release = file
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|rest| rest.strip_suffix(".hex"))
            .and_then(|release| release.parse().ok());
        if let Some(release) = release {
            let text = fs::read_to_string(&path).expect("a golden file can be read");
            found.insert(release, from_hex(&text).unwrap_or_else(|| panic!("{file} is not hexadecimal")));
        }
    }
    found
}

/// Compares with the files, and notes what was compared.
#[derive(Default)]
struct Golden {
    seen: Mutex<BTreeSet<String>>,
}

impl Golden {
    /// `bytes` must be the newest golden bytes of `name`; `decodes` must take them and all older ones.
    fn check(&self, name: &str, bytes: &[u8], decodes: impl Fn(&[u8]) -> Result<(), String>) {
        let mut all = releases(name);
        let newest = all.keys().next_back().copied();
        if newest.is_none() && may_write() {
            fs::write(golden_dir().join(format!("{name}.1.hex")), to_hex(bytes)).expect("it can be written");
            all.insert(1, bytes.to_vec());
        }
        let Some(golden) = all.values().next_back() else {
            panic!("no golden bytes of {name}; {HOW_TO_WRITE}");
        };
        assert!(
            golden == bytes,
            "{name} is not written as before; if it is meant to change, add {name}.{}.hex:\n{}",
            newest.unwrap_or_default() + 1,
            to_hex(bytes)
        );
        for (release, bytes) in &all {
            if let Err(e) = decodes(bytes) {
                panic!("{name}.{release}.hex is not understood any more: {e}");
            }
        }
        self.seen.lock().expect("no test panicked").insert(name.into());
    }

    /// A request and its successful response.
    fn call<M: Method>(&self, params: M::Params, result: M::Result)
    where
        M::Params: PartialEq + std::fmt::Debug,
        M::Result: PartialEq + std::fmt::Debug,
    {
        let request = encode(&rpc::Request::new(7, M::NAME, &params));
        self.check(&format!("{}.request", M::NAME), &request, |frame| match split(frame) {
            Ok(Message::Request { id: 7, method, params }) if method == M::NAME => {
                decode::<M::Params>(params).map(drop)
            }
            other => Err(format!("{other:?}")),
        });
        let response = encode(&rpc::Success(rpc::RESPONSE, 7, (), &result));
        self.check(&format!("{}.response", M::NAME), &response, |frame| match split(frame) {
            Ok(Message::Response { id: 7, error: None, result }) => decode::<M::Result>(result).map(drop),
            other => Err(format!("{other:?}")),
        });
        // the newest ones come back whole
        let Ok(Message::Request { params: p, .. }) = split(&request) else { panic!("it was split above") };
        assert_eq!(decode::<M::Params>(p).as_ref(), Ok(&params), "{}", M::NAME);
        let Ok(Message::Response { result: r, .. }) = split(&response) else { panic!("it was split above") };
        assert_eq!(decode::<M::Result>(r).as_ref(), Ok(&result), "{}", M::NAME);
    }
}

fn encode(v: &impl Serialize) -> Vec<u8> {
    let bytes = rmp_serde::to_vec_named(v).expect("it encodes");
    assert_eq!(Scanner::default().scan(&bytes), Ok(Some(bytes.len())), "it is a frame within the limits");
    bytes
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|e| e.to_string())
}

fn event_frame(event: &Event) -> Vec<u8> {
    encode(&rpc::Notification(rpc::NOTIFICATION, "event", (event,)))
}

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(32) {
        for b in line {
            let _ = write!(text, "{b:02x}");
        }
        text.push('\n');
    }
    text
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.split_whitespace().flat_map(str::bytes).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// The names of an enum's variants on the wire, from its schema.
fn names_of<T: schemars::JsonSchema>() -> Vec<String> {
    let schema = serde_json::to_value(schemars::schema_for!(T)).expect("a schema is json");
    let plain = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|v| v["enum"].as_array().into_iter().flatten().chain(v.get("const")));
    let names: Vec<String> = plain.chain(described).filter_map(|v| v.as_str().map(String::from)).collect();
    assert!(names.len() > 2, "a schema of another form: {schema}");
    names
}

const SESSION: &str = "0d9e4a10-5a1c-4a52-9c0f-2a1f0a6f3b11";
const RUN: &str = "01JD7Z3Q0V5W8X2Y4Z6A8B0C2D";
const TASK: &str = "01JD7Z3Q0V00000000000TASK1";
const PROMPT: &str = "01JD7Z3Q0V0000000000PR0MPT";
const PROCESS: &str = "01JD7Z3Q0V000000000000PR0C";
/// 2026-11-22T06:00:00Z, in milliseconds.
const AT: i64 = 1_795_327_200_000;

fn key() -> Option<String> {
    Some("01JD7Z3Q0V0000000000000KEY".into())
}

fn environment() -> IndexMap<String, String> {
    [("HOME".to_string(), "/home/u".to_string()), ("LANG".into(), "ja_JP.UTF-8".into())].into_iter().collect()
}

fn hello() -> Hello {
    Hello {
        protocol: [1, 1],
        client: "wezterm-parallel 0.1.0".into(),
        config: Some("/home/u/.config/wezterm-parallel/config.yaml".into()),
    }
}

fn welcome() -> Welcome {
    Welcome {
        protocol: 1,
        server: "0.1.0".into(),
        features: vec!["later".into()],
        limits: Limits { frame_bytes: 1 << 20, frame_depth: 32, connections: 256, in_flight: 64 },
        config: "/home/u/.config/wezterm-parallel/config.yaml".into(),
    }
}

fn status() -> StatusView {
    StatusView {
        daemon: DaemonView {
            pid: 3_999,
            version: "0.1.0".into(),
            protocol: 1,
            socket: "/run/user/1000/wezterm-parallel/daemon.sock".into(),
            config: "/home/u/.config/wezterm-parallel/config.yaml".into(),
            config_generation: 7,
            config_error: Some("workspaces.api.colour: unknown key".into()),
            started_at: AT,
            problem: Some("the disk is full".into()),
        },
        workspaces: vec![workspace()],
        processes: vec![claude()],
    }
}

fn layouts(g: &Golden) {
    let target = || LayoutTarget { name: "claude-dev".into(), key: key() };
    g.call::<method::ListLayouts>(Empty {}, vec![layout_view()]);
    g.call::<method::ShowLayout>(target(), layout_view());
    g.call::<method::SaveLayout>(
        LayoutSave {
            name: "mine".into(),
            layout: Some(layout()),
            workspace: Some("api".into()),
            replace: true,
            key: key(),
        },
        LayoutView {
            source: LayoutSource::Saved,
            file: Some("/home/u/.config/wezterm-parallel/layouts/mine.yaml".into()),
            problem: Some("it names no pane".into()),
            ..layout_view()
        },
    );
    g.call::<method::DeleteLayout>(target(), Empty {});
    g.call::<method::PlanLayout>(
        LayoutPlan {
            workspace: "api".into(),
            layout: Some("claude-dev".into()),
            create: true,
            environment: environment(),
            key: key(),
        },
        Arrangement {
            missing: vec!["tests".into()],
            problems: vec!["the layout `mine` cannot be read: it is gone".into()],
            away: vec!["/home/u/src/api/web".into()],
            ..arrangement()
        },
    );
    g.call::<method::KeepLayout>(
        LayoutKeep {
            gui: "4711-a1".into(),
            workspace: "api".into(),
            windows: arrangement().windows,
            shown: true,
        },
        Empty {},
    );
    g.call::<method::LeftLayouts>(Empty {}, vec![arrangement()]);
    g.call::<method::ListProjects>(
        ProjectList { limit: Some(100) },
        vec![ProjectView {
            path: "/home/u/src/api".into(),
            workspace: Some("api".into()),
            from: ProjectFrom::Workspace,
            used_at: Some(AT),
        }],
    );
}

fn guis(g: &Golden) {
    g.call::<method::WaitGui>(
        GuiWait {
            gui: "4711-a1".into(),
            pid: 4711,
            socket: Some("/run/user/1000/wezterm/gui-sock-4711".into()),
            executables: Some("/usr/bin".into()),
            version: Some("20240203-110809-5046fc22".into()),
            focused_at: AT,
            workspace: Some("api".into()),
            after: Some(41),
            daemon: Some("01JD7Z3Q0V00000000000DAEMN".into()),
            turn: 3,
            done: vec![
                IntentDone { id: INTENT.into(), problem: None },
                IntentDone { id: INTENT.into(), problem: Some("there is no such pane".into()) },
            ],
            connected_at: Some(AT - 5_000),
        },
        GuiNews {
            seq: 42,
            daemon: "01JD7Z3Q0V00000000000DAEMN".into(),
            whole: true,
            processes: vec![claude()],
            workspaces: vec![workspace()],
            removed: vec!["01JD7Z3Q0V000000000000PR0C".into()],
            accounts: Some(Vec::new()),
            tasks: Some(TaskCounts { running: 2, queued: 5, failed: 1, ..TaskCounts::default() }),
            problem: Some("config.yaml:3: unknown key".into()),
            intents: vec![intent()],
            superseded: true,
        },
    );
    g.call::<method::FocusGui>(
        GuiFocus {
            gui: "4711-a1".into(),
            focused_at: AT,
            workspace: Some("api".into()),
            done: vec![IntentDone { id: INTENT.into(), problem: None }],
        },
        Empty {},
    );
    g.call::<method::ListGuis>(Empty {}, vec![gui()]);
    g.call::<method::ShowInGui>(
        GuiShow {
            workspace: Some("api".into()),
            process: Some("lead".into()),
            dashboard: true,
            gui: Some("4711-a1".into()),
            key: key(),
        },
        gui(),
    );
    g.call::<method::AnnounceToGui>(Empty {}, Empty {});
}

const INTENT: &str = "01JD7Z3Q0V00000000000NTENT";

fn intent() -> Intent {
    Intent {
        id: INTENT.into(),
        kind: IntentKind::Toast,
        at: AT,
        expires_at: AT + 60_000,
        workspace: Some("api".into()),
        process: Some("lead".into()),
        title: Some("api/lead asks".into()),
        text: Some("Bash: npm test".into()),
        about: Some(ToastAbout::Blocked),
    }
}

fn gui() -> GuiView {
    GuiView {
        gui: "4711-a1".into(),
        pid: 4711,
        socket: Some("/run/user/1000/wezterm/gui-sock-4711".into()),
        version: Some("20240203-110809-5046fc22".into()),
        focused_at: AT,
        workspace: Some("api".into()),
        intents: 1,
        waiting: 1,
        connected_at: Some(AT - 5_000),
    }
}

fn layout() -> Layout {
    let lead = Pane {
        process: Some("lead".into()),
        agent: Some("claude".into()),
        size: Some(Percent(60.0)),
        focus: true,
        ..Pane::default()
    };
    let shell = Pane { cwd: Some("web".into()), zoomed: true, ..Pane::default() };
    let tests = Pane {
        process: Some("tests".into()),
        command: Some(vec!["cargo".into(), "test".into()]),
        ..Pane::default()
    };
    let column = Pane { split: Some(Split::Down), panes: vec![shell, tests], ..Pane::default() };
    let tab = Pane {
        title: Some("code".into()),
        split: Some(Split::Right),
        panes: vec![lead, column],
        ..Pane::default()
    };
    Layout { about: Some("a lead and its tests".into()), tabs: vec![tab] }
}

fn layout_view() -> LayoutView {
    LayoutView {
        name: "claude-dev".into(),
        source: LayoutSource::Shipped,
        file: None,
        layout: layout(),
        problem: None,
    }
}

fn arrangement() -> Arrangement {
    Arrangement {
        workspace: workspace(),
        from: ArrangementFrom::Left,
        windows: vec![Glass { title: Some("api".into()), tabs: layout().tabs }],
        shown: true,
        at: Some(AT),
        missing: Vec::new(),
        problems: Vec::new(),
        away: Vec::new(),
    }
}

fn workspace() -> WorkspaceView {
    WorkspaceView {
        name: "api".into(),
        id: "01JD7Z3Q0V00000000000WRKSP".into(),
        cwd: "/home/u/src/api".into(),
        open: true,
        source: Source::Config,
        strategy: Strategy::OneForOne,
        on_crash_loop: OnCrashLoop::Nothing,
        layout: Some("default".into()),
        processes: 2,
        running: 2,
        problem: None,
    }
}

fn workspace_target() -> WorkspaceTarget {
    WorkspaceTarget { workspace: "api".into(), key: key() }
}

fn target() -> ProcessTarget {
    ProcessTarget { workspace: Some("api".into()), process: "lead".into(), key: key() }
}

fn process_stop() -> ProcessStop {
    ProcessStop { workspace: Some("api".into()), process: "lead".into(), now: true, key: key() }
}

/// A Claude that asks for something: every field that can be set is.
fn claude() -> ProcessView {
    ProcessView {
        workspace: "api".into(),
        name: "lead".into(),
        id: PROCESS.into(),
        kind: Kind::Claude,
        state: State::Running,
        state_reason: Some("adopted".into()),
        status: Some(Status::Blocked(Blocked::Permission)),
        status_reason: Some("approve Bash: echo hi > zz".into()),
        status_since: Some(AT + 2_000),
        unread: true,
        pid: Some(4_001),
        keeper_pid: Some(4_000),
        run_id: Some(RUN.into()),
        session_id: Some(SESSION.into()),
        restarts: 1,
        started_at: Some(AT),
        source: Source::Config,
        agent: Some("claude".into()),
        command: vec!["claude".into(), "--model".into(), "opus".into()],
        cwd: "/home/u/src/api".into(),
        title: Some("✳ 直す".into()),
        attached: 1,
        last_exit: Some(exit_by_signal()),
        next_start_at: None,
        limited_until: None,
        usage: None,
        prompts: 0,
        asks: 0,
    }
}

/// What came with later releases, all of it set.
fn claude_with_all() -> ProcessView {
    ProcessView {
        status: Some(Status::RateLimited),
        limited_until: Some(AT + 3_600_000),
        usage: Some(usage()),
        prompts: 2,
        asks: 1,
        ..claude()
    }
}

fn usage() -> Usage {
    Usage {
        model: Some("claude-opus-5-5".into()),
        cost_usd: Some(1.25),
        input_tokens: Some(120_000),
        output_tokens: Some(3_400),
        context_percent: Some(12.5),
        context_size: Some(1_000_000),
        at: AT,
    }
}

fn evidence() -> Evidence {
    Evidence {
        source: EvidenceSource::Osc7501,
        seq: 7,
        at: AT,
        said: "state=working:app=claude-code".into(),
        status: Some(Status::Working),
        standing: Standing::Won,
        why: "the agent tells its terminal itself".into(),
    }
}

fn prompt() -> PromptView {
    PromptView {
        id: PROMPT.into(),
        workspace: "api".into(),
        process: "lead".into(),
        process_id: PROCESS.into(),
        state: PromptState::Answered,
        reason: Some("it worked, and was waited for".into()),
        text: "fix the tests".into(),
        command: true,
        key: Some("key".into()),
        at: AT,
        typed_at: Some(AT + 5),
        delivered_at: Some(AT + 40),
        proof: Some(Proof::Hook),
        place: Some(1),
        session_id: Some(SESSION.into()),
        prompt_id: Some("8e60c03d-b075-4d7b-909b-a875dbd006be".into()),
        answer: Some(Answer {
            text: Some("done".into()),
            status: Status::Idle,
            reason: Some("it is done".into()),
            cost_usd: Some(0.02),
            at: AT + 9_000,
        }),
    }
}

fn ask() -> AskView {
    AskView {
        id: "01JD7Z3Q0V00000000000000ASK".into(),
        workspace: "api".into(),
        process: "lead".into(),
        process_id: PROCESS.into(),
        run_id: RUN.into(),
        session_id: Some(SESSION.into()),
        kind: AskKind::Question,
        tool: "AskUserQuestion".into(),
        summary: "Which one?".into(),
        input: r#"{"questions":[]}"#.into(),
        shortened: true,
        diff: Some("-a\n+b\n".into()),
        questions: vec![Question {
            question: "Which one?".into(),
            header: "Pick".into(),
            multi_select: true,
            options: vec![QuestionOption { label: "A".into(), description: "the first".into() }],
        }],
        cwd: "/home/u/src/api".into(),
        agent: Some("general-purpose".into()),
        agent_id: Some("a756cafcdbf887f74".into()),
        at: AT,
        state: AskState::Answered,
        decision: Some(Decision {
            at: AT + 1_000,
            by: "user".into(),
            pid: Some(4_242),
            denied: true,
            message: Some("the first is enough".into()),
            answers: [("Which one?".to_string(), "A".to_string())].into_iter().collect(),
        }),
    }
}

fn rule() -> Rule {
    Rule {
        allow: Some("Bash".into()),
        deny: None,
        pattern: Some("git status*".into()),
        path: Some("src/**".into()),
        process: Some("api/*".into()),
        until: Some("2026-12-31".into()),
        why: Some("it only looks".into()),
    }
}

/// A command in `backoff`.
fn command() -> ProcessView {
    ProcessView {
        name: "tests".into(),
        id: "01JD7Z3Q0V0000000000TESTS0".into(),
        kind: Kind::Command,
        state: State::Backoff,
        state_reason: Some("exit code 1".into()),
        status: None,
        status_reason: None,
        status_since: None,
        unread: false,
        pid: None,
        keeper_pid: None,
        session_id: None,
        restarts: 3,
        started_at: None,
        source: Source::Project,
        agent: None,
        command: vec!["cargo".into(), "test".into()],
        title: None,
        attached: 0,
        last_exit: Some(exit_by_code()),
        next_start_at: Some(AT + 4_000),
        ..claude()
    }
}

/// A process that has never run.
fn resting() -> ProcessView {
    ProcessView {
        state: State::Stopped,
        state_reason: None,
        run_id: None,
        restarts: 0,
        source: Source::Runtime,
        last_exit: None,
        next_start_at: None,
        ..command()
    }
}

fn plan(generation: u64) -> ConfigPlan {
    let change = |action, target: &str, keys: &[&str]| ConfigChange {
        action,
        target: target.into(),
        keys: keys.iter().map(|k| (*k).into()).collect(),
    };
    ConfigPlan {
        generation,
        changes: vec![
            change(ConfigAction::Add, "api/tests", &[]),
            change(ConfigAction::Restart, "api/lead", &["args", "env.RUST_LOG"]),
            change(ConfigAction::Change, "claude", &["start_at_once"]),
            change(ConfigAction::Remove, "web", &[]),
        ],
    }
}

fn exit_by_signal() -> ExitRecord {
    ExitRecord {
        code: None,
        signal: Some(9),
        ended_at: AT - 1_000,
        stopped: false,
        leftovers: 2,
        cpu_ms: 1_234,
        max_rss_kib: 230_000,
        log_lost: 0,
        note: None,
    }
}

fn exit_by_code() -> ExitRecord {
    ExitRecord {
        code: Some(1),
        signal: None,
        stopped: true,
        leftovers: 0,
        log_lost: 17,
        note: Some("the disk was full".into()),
        ..exit_by_signal()
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        seq: 42,
        at: AT,
        workspace: Some("api".into()),
        process: Some("lead".into()),
        id: Some(PROCESS.into()),
        ..Event::new(kind)
    }
}

fn full_event() -> Event {
    Event {
        run_id: Some(RUN.into()),
        state: Some(State::Running),
        status: Some(Status::Working),
        unread: Some(false),
        session_id: Some(SESSION.into()),
        pid: Some(4_001),
        message: Some("it was killed".into()),
        exit: Some(exit_by_signal()),
        ..event(EventKind::ProcessExit)
    }
}

/// What came with later releases, all of it set.
fn event_with_all() -> Event {
    Event {
        ask: Some(ask().id),
        prompt: Some(PROMPT.into()),
        account: Some("/home/u/.claude".into()),
        until: Some(AT + 3_600_000),
        usage: Some(usage()),
        ..full_event()
    }
}

/// What came with tasks.
fn event_with_task() -> Event {
    Event {
        task: Some(TASK.into()),
        task_name: Some("tests".into()),
        task_state: Some(TaskState::Running),
        group: Some("docs".into()),
        ..event(EventKind::TaskChanged)
    }
}

/// What came with the end of a group.
fn event_with_group() -> Event {
    Event {
        group: Some("docs".into()),
        tasks: Some(TaskCounts {
            queued: 1,
            waiting: 2,
            running: 3,
            paused: 4,
            done: 5,
            failed: 6,
            canceled: 7,
            skipped: 8,
        }),
        ..event(EventKind::GroupOver)
    }
}

/// What came with leases.
fn event_with_lease() -> Event {
    Event {
        lease: Some("port:8080".into()),
        message: Some("api/lead".into()),
        run_id: Some(RUN.into()),
        until: Some(AT + 600_000),
        ..event(EventKind::LeaseAcquired)
    }
}

/// What came with the rights of agents.
fn event_with_method() -> Event {
    Event {
        method: Some("inbox.allow".into()),
        message: Some("the agent api/lead may not decide what agents may do".into()),
        ..event(EventKind::AgentRefused)
    }
}

fn leases(g: &Golden) {
    let lease = LeaseView {
        name: "port:8080".into(),
        holder: "api/lead".into(),
        run_id: Some(RUN.into()),
        at: AT,
        until: Some(AT + 600_000),
        reason: Some("the dev server".into()),
        waiting: 1,
    };
    g.call::<method::AcquireLease>(
        LeaseAcquire {
            name: "port:8080".into(),
            wait_ms: Some(60_000),
            for_ms: Some(600_000),
            reason: Some("the dev server".into()),
            while_connected: true,
        },
        lease.clone(),
    );
    g.call::<method::ReleaseLease>(LeaseRelease { name: "port:8080".into(), key: key() }, Empty {});
    let of_user = LeaseView { holder: "user 4711".into(), run_id: None, ..lease.clone() };
    g.call::<method::ListLeases>(Empty {}, vec![lease, of_user]);
}

fn account() -> AccountView {
    AccountView {
        account: "/home/u/.claude".into(),
        limited_until: Some(AT + 3_600_000),
        reason: Some("You've hit your limit".into()),
        windows: vec![Window {
            name: "five_hour".into(),
            used_percent: Some(100.0),
            resets_at: Some(AT + 3_600_000),
            at: AT,
        }],
        processes: vec!["api/lead".into()],
        cost_usd: 1.25,
        input_tokens: 120_000,
        output_tokens: 3_400,
    }
}

fn task_add() -> TaskAdd {
    TaskAdd {
        name: Some("tests".into()),
        prompt: Some("write the tests".into()),
        workspace: Some("api".into()),
        cwd: Some("/home/u/src/api".into()),
        agent: Some("claude".into()),
        model: Some("opus".into()),
        permission_mode: Some("acceptEdits".into()),
        allow: vec!["Bash(git log:*)".into()],
        env: IndexMap::from([("LANG".into(), "C".into())]),
        priority: 5,
        after: vec!["plan".into()],
        on_failed_dependency: OnFailedDependency::Run,
        group: Some("docs".into()),
        retries: Some(1),
        timeout_ms: Some(600_000),
        deadline: Some(AT + 3_600_000),
        budget_usd: Some(2.5),
        max_turns: Some(20),
        environment: IndexMap::from([("PATH".into(), "/usr/bin".into())]),
        key: Some("k".into()),
        command: Vec::new(),
    }
}

fn task_command() -> TaskAdd {
    TaskAdd { command: vec!["make".into(), "check".into()], ..TaskAdd::default() }
}

fn task_target() -> TaskTarget {
    TaskTarget { task: TASK.into(), key: Some("k".into()) }
}

fn task_view() -> TaskView {
    TaskView {
        id: TASK.into(),
        name: "tests".into(),
        state: TaskState::Running,
        reason: Some("is being paused".into()),
        priority: 5,
        group: "docs".into(),
        after: vec![PROMPT.into()],
        attempt: 2,
        pid: Some(4_001),
        session_id: Some(SESSION.into()),
        cost_usd: Some(0.25),
        started_at: Some(AT),
        ended_at: None,
        added_at: AT - 1_000,
        kind: TaskKind::Prompt,
        text: "write the tests".into(),
        workspace: Some("api".into()),
        cwd: "/home/u/src/api".into(),
        held_until: Some(AT + 1_000),
        account: Some("/home/u/.claude".into()),
        added_by: Some("api/lead".into()),
        progress: Some(TaskProgress {
            doing: Some("Bash: make check".into()),
            turns: 3,
            input_tokens: 1_000,
            output_tokens: 200,
            text: Some("I run the tests.".into()),
        }),
        keeper_pid: Some(4_000),
        run_id: Some(format!("{TASK}.2")),
    }
}

fn task_result() -> TaskResult {
    TaskResult {
        text: Some("All is green.".into()),
        cut: true,
        files: vec!["/home/u/src/api/tests/a.rs".into()],
        denials: vec![Denial { tool: "Bash".into(), what: "rm -r /".into() }],
        turns: 7,
        input_tokens: 2_000,
        output_tokens: 400,
        duration_ms: 61_000,
        exit: Some(exit_by_signal()),
    }
}

fn group_view() -> GroupView {
    let tasks = TaskCounts { queued: 1, running: 2, done: 3, ..TaskCounts::default() };
    GroupView { name: "docs".into(), parallel: Some(2), paused: true, tasks, cost_usd: 1.5 }
}

fn tasks(g: &Golden) {
    g.call::<method::AddTask>(task_add(), task_view());
    let import = TaskImport {
        tasks: vec![task_add(), task_command()],
        environment: IndexMap::from([("PATH".into(), "/usr/bin".into())]),
        key: Some("k".into()),
    };
    g.call::<method::ImportTasks>(import, vec![task_view()]);
    let list = TaskList {
        group: Some("docs".into()),
        workspace: Some("api".into()),
        states: vec![TaskState::Failed],
        over: Some(10),
    };
    g.call::<method::ListTasks>(list, vec![task_view()]);
    let asked = TaskAdd { environment: IndexMap::new(), ..task_add() };
    let detail = TaskDetail {
        task: task_view(),
        asked,
        result: Some(task_result()),
        run_dir: Some("/state/runs/x.2".into()),
        seq: 42,
    };
    g.call::<method::ShowTask>(task_target(), detail);
    g.call::<method::CancelTask>(task_target(), task_view());
    g.call::<method::RetryTask>(
        TaskRetry { task: TASK.into(), fresh: true, key: Some("k".into()) },
        task_view(),
    );
    let edit = TaskEdit {
        task: TASK.into(),
        name: Some("tests".into()),
        prompt: Some("write more tests".into()),
        command: vec!["make".into()],
        priority: Some(7),
        group: Some("docs".into()),
        model: Some("opus".into()),
        retries: Some(0),
        timeout_ms: Some(1_000),
        deadline: Some(AT),
        budget_usd: Some(1.0),
        max_turns: Some(3),
        key: Some("k".into()),
    };
    g.call::<method::EditTask>(edit, task_view());
    g.call::<method::PauseTask>(task_target(), task_view());
    g.call::<method::ResumeTask>(task_target(), task_view());
    let wait = TaskWait { tasks: vec![TASK.into()], group: Some("docs".into()), timeout_ms: Some(5_000) };
    g.call::<method::WaitForTasks>(wait, vec![task_view()]);
    g.call::<method::ListGroups>(Empty {}, vec![group_view()]);
    let group = GroupTarget { group: "docs".into(), key: Some("k".into()) };
    g.call::<method::PauseGroup>(group.clone(), group_view());
    g.call::<method::ResumeGroup>(group.clone(), group_view());
    let report = TaskReport { task: task_view(), result: Some(task_result()) };
    g.call::<method::ReportGroup>(group, GroupReport { group: group_view(), tasks: vec![report] });
    g.call::<method::OpenLimit>(
        LimitOpen { account: Some("/home/u/.claude".into()), key: Some("k".into()) },
        vec![account()],
    );
}
