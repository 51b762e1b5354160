//! Databases of every release open for ever. `golden/vN.db` was written by the first release with
//! schema N and is never written again; `golden/vN.json` is what that release loaded from it.

mod common;

use std::{fs, path::PathBuf};

use common::{
    account, arrangement, ask, brought, config, dir, event, intent, lease, look, process, prompt, reply, run,
    task, trust, workspace,
};
use serde_json::Value;
use wezterm_parallel_schemas::{event::EventKind, inbox::AskState, prompt::PromptState};
use wezterm_parallel_store::{Change, EventFilter, RunState, Store, TaskPut};

/// Set to write the database of a schema that has none yet.
const WRITE: &str = "WEZTERM_PARALLEL_WRITE_GOLDEN";
const SCHEMA: u32 = 4;

#[test]
fn the_database_of_every_release_opens() {
    if std::env::var_os(WRITE).is_some() {
        write();
    }
    for version in 1..=SCHEMA {
        let dir = dir();
        fs::copy(golden(version, "db"), dir.path().join("state.db")).expect("copied");
        let (store, loaded) = Store::open(dir.path()).expect("it opens");
        let expected: Value =
            serde_json::from_slice(&fs::read(golden(version, "json")).expect("read")).expect("JSON");
        let found = serde_json::to_value(&loaded).expect("JSON");
        assert_holds(&found, &expected, &format!("v{version}"));
        let events = store.events_since(0, 10, &EventFilter::default()).expect("events").events;
        assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2]);
        store.commit_wait(vec![Change::DeleteWorkspace("w".into())]).expect("it can be written to");
    }
}

/// `found` has all that `expected` has; fields of later releases may be there as well.
fn assert_holds(found: &Value, expected: &Value, at: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (key, expected) in expected {
                assert_holds(found.get(key).unwrap_or(&Value::Null), expected, &format!("{at}.{key}"));
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{at}");
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                assert_holds(found, expected, &format!("{at}[{i}]"));
            }
        }
        (found, expected) => assert_eq!(found, expected, "{at}"),
    }
}

fn write() {
    let to = golden(SCHEMA, "db");
    assert!(!to.exists(), "a golden database is never written again");
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    store
        .commit_wait(vec![
            Change::PutWorkspace(workspace("w", "api")),
            Change::PutProcess(process("p", "w", "lead")),
            Change::PutRun(run("r0", "p", RunState::Ended)),
            Change::PutRun(run("r1", "p", RunState::Running)),
            Change::PutConfig(config(1)),
            Change::PutConfig(config(2)),
            Change::PutTrust(trust("/home/me/src/api/.wezterm-parallel.yaml")),
            // answers are kept for a day: this one is of the year 2100
            Change::PutPrompt(prompt("m0", "p", PromptState::Answered)),
            Change::PutPrompt(prompt("m1", "p", PromptState::Queued)),
            Change::PutAsk(ask("k", AskState::Open)),
            Change::PutAccount(account("/home/me/.claude")),
            Change::PutIntent(intent("i")),
            Change::PutArrangement(arrangement("w")),
            Change::PutEnvironment { id: "e".into(), variables: [("LANG".into(), "C".into())].into() },
            Change::AddTask(Box::new(task("t"))),
            Change::PutTask(Box::new(TaskPut { row: task("t").row, brought: Some(brought()) })),
            Change::PutGroup { name: "docs".into(), paused: true },
            Change::PutLease(lease("port:8080")),
            Change::PutReply(reply("key", 4_102_444_800_000)),
            Change::Event(event(1, EventKind::ProcessAdded)),
            Change::Event(event(2, EventKind::ProcessExit)),
        ])
        .expect("committed");
    drop(store);
    let (store, loaded) = Store::open(dir.path()).expect("a store");
    drop(store);
    fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    look(dir.path()).execute("VACUUM INTO ?1", [to.to_str().expect("UTF-8")]).expect("written");
    let text = serde_json::to_string_pretty(&loaded).expect("JSON") + "\n";
    fs::write(golden(SCHEMA, "json"), text).expect("written");
}

fn golden(version: u32, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}.{extension}"))
}
