//! What the daemon can rely on.

mod common;

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use common::{config, dir, event, look, now, process, reply, run, trust, workspace};
use rusqlite::Connection;
use wezterm_parallel_schemas::event::EventKind;
use wezterm_parallel_store::{
    CONFIGS_KEPT_MAX, Change, EventFilter, GROUP_COMMANDS_MAX, Loaded, Options, QUEUE_COMMANDS_MAX,
    REPLY_AGE_MS_MAX, RunState, Store, StoreError, Take,
};

fn open(dir: &Path) -> (Store, Loaded) {
    Store::open(dir).expect("a store")
}

fn one_workspace() -> Vec<Change> {
    vec![
        Change::PutWorkspace(workspace("w", "api")),
        Change::PutProcess(process("p", "w", "lead")),
        Change::PutRun(run("r", "p", RunState::Running)),
    ]
}

#[test]
fn what_was_committed_is_there_after_opening_anew() {
    let dir = dir();
    let (store, loaded) = open(dir.path());
    assert_eq!(loaded, Loaded::default());
    let at = now();
    let mut changes = one_workspace();
    changes.extend([
        Change::PutRun(run("r0", "p", RunState::Ended)),
        Change::PutConfig(config(1)),
        Change::PutConfig(config(2)),
        Change::PutTrust(trust("/home/me/src/api/.wezterm-parallel.yaml")),
        Change::PutReply(reply("key", at)),
        Change::Event(event(1, EventKind::ProcessAdded)),
        Change::Event(event(2, EventKind::ProcessState)),
    ]);
    store.commit_wait(changes).expect("committed");
    assert_eq!(store.reply("nothing"), Ok(None));
    drop(store);
    assert_eq!(names(dir.path()), ["backups", "state.db"], "the write-ahead log is empty and gone");

    let (store, loaded) = open(dir.path());
    assert_eq!(
        loaded,
        Loaded {
            workspaces: vec![workspace("w", "api")],
            processes: vec![process("p", "w", "lead")],
            runs: vec![run("r", "p", RunState::Running), run("r0", "p", RunState::Ended)],
            config: Some(config(2)),
            trust: vec![trust("/home/me/src/api/.wezterm-parallel.yaml")],
            replies: vec![reply("key", at)],
            prompts: Vec::new(),
            asks: Vec::new(),
            accounts: Vec::new(),
            intents: Vec::new(),
            arrangements: Vec::new(),
            tasks: vec![],
            paused_groups: vec![],
            leases: vec![],
            last_seq: 2,
            problem: None,
        }
    );
    assert_eq!(store.reply("key"), Ok(Some(reply("key", at))));
    assert_eq!(store.reply("other"), Ok(None));
}

#[test]
fn deleting_takes_along_what_belongs_to_it() {
    let dir = dir();
    let (store, _) = open(dir.path());
    store.commit_wait(one_workspace()).expect("committed");
    store.commit_wait(vec![Change::DeleteWorkspace("w".into())]).expect("deleted");
    store.commit_wait(vec![Change::DeleteWorkspace("w".into())]).expect("deleting nothing is no error");
    drop(store);
    let (_store, loaded) = open(dir.path());
    assert_eq!(loaded, Loaded::default());
}

#[test]
fn a_commit_is_answered_when_it_is_on_the_disk_and_in_order() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let outside = Arc::new(Mutex::new(look(dir.path())));
    let (sender, answers) = mpsc::channel();
    for seq in 1..=500_u64 {
        let (sender, outside) = (sender.clone(), outside.clone());
        store.commit(vec![Change::Event(event(seq, EventKind::ProcessStatus))], move |result| {
            // another connection sees a commit only when it is one
            let outside = outside.lock().expect("not poisoned");
            let seen: i64 = outside
                .query_row("SELECT count(*) FROM event WHERE seq = ?1", [seq.cast_signed()], |r| r.get(0))
                .expect("counted");
            sender.send((seq, result, seen)).expect("the test listens");
        });
    }
    drop(sender);
    let answers: Vec<_> = answers.iter().collect();
    let expected: Vec<_> = (1..=500).map(|seq| (seq, Ok(()), 1)).collect();
    assert_eq!(answers, expected);
}

#[test]
fn a_refused_commit_leaves_nothing_and_harms_no_other() {
    let dir = dir();
    let (store, _) = open(dir.path());
    store.commit_wait(one_workspace()).expect("committed");
    let gate = Gate::close(&store);
    let (sender, answers) = mpsc::channel();
    // all three are one group, as they wait at the same time
    for changes in [
        vec![Change::Event(event(1, EventKind::ProcessState))],
        vec![
            Change::Event(event(2, EventKind::ProcessState)),
            Change::PutWorkspace(workspace("other", "api")),
        ],
        vec![Change::Event(event(3, EventKind::ProcessState))],
    ] {
        let sender = sender.clone();
        store.commit(changes, move |result| sender.send(result).expect("the test listens"));
    }
    gate.open();
    let answers: Vec<_> = answers.iter().take(3).collect();
    let refused = Err(StoreError::Refused("there is a workspace of this name already".into()));
    assert_eq!(answers, [Ok(()), refused, Ok(())]);
    let events = store.events_since(0, 10, &EventFilter::default()).expect("events").events;
    assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn a_process_cannot_have_two_runs_that_live() {
    let dir = dir();
    let (store, _) = open(dir.path());
    store.commit_wait(one_workspace()).expect("committed");
    let second = run("r2", "p", RunState::Starting);
    let refused = store.commit_wait(vec![Change::PutRun(second.clone())]);
    assert_eq!(refused, Err(StoreError::Refused("the process has a run that has not ended".into())));
    store
        .commit_wait(vec![Change::PutRun(run("r", "p", RunState::Ended)), Change::PutRun(second)])
        .expect("the first has ended");
}

#[test]
fn what_contradicts_the_rest_is_refused() {
    let dir = dir();
    let (store, _) = open(dir.path());
    store.commit_wait(one_workspace()).expect("committed");
    store.commit_wait(vec![Change::Event(event(7, EventKind::ProcessState))]).expect("committed");
    let mut endless = process("p", "w", "lead");
    endless.spec.restart.backoff.factor = f64::INFINITY;
    for (change, why) in [
        (Change::PutProcess(process("p2", "nowhere", "x")), "not there"),
        (Change::PutRun(run("r2", "nothing", RunState::Ended)), "not there"),
        (Change::PutProcess(process("p2", "w", "lead")), "process of this name"),
        (Change::Event(event(7, EventKind::ProcessState)), "event of this number"),
        (Change::Event(event(0, EventKind::ProcessState)), "no number"),
        (Change::Event(event(u64::MAX, EventKind::ProcessState)), "too large"),
        (Change::PutProcess(endless), "not a number"),
    ] {
        let refused = store.commit_wait(vec![change.clone()]).expect_err("refused");
        assert!(matches!(&refused, StoreError::Refused(text) if text.contains(why)), "{change:?}: {refused}");
    }
}

#[test]
fn an_idempotency_key_holds_for_a_day() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let old = now() - REPLY_AGE_MS_MAX;
    store.commit_wait(vec![Change::PutReply(reply("old", old))]).expect("committed");
    assert_eq!(store.reply("old"), Ok(None), "it is too old");
    store.commit_wait(vec![Change::PutReply(reply("old", now()))]).expect("the key is free again");
    let again = vec![Change::Event(event(1, EventKind::ProcessAdded)), Change::PutReply(reply("old", now()))];
    assert!(matches!(store.commit_wait(again), Err(StoreError::Refused(_))));
    let events = store.events_since(0, 10, &EventFilter::default()).expect("events");
    assert_eq!(events.events, [], "the effect did not happen twice");
}

#[test]
fn old_answers_go() {
    let dir = dir();
    let (store, _) = open(dir.path());
    store.commit_wait(vec![Change::PutReply(reply("old", now() - REPLY_AGE_MS_MAX))]).expect("committed");
    store.commit_wait(vec![Change::PutReply(reply("new", now()))]).expect("committed");
    drop(store);
    let keys: String = look(dir.path())
        .query_row("SELECT group_concat(key) FROM reply", [], |row| row.get(0))
        .expect("keys");
    assert_eq!(keys, "new");
}

#[test]
fn only_the_last_configs_are_kept() {
    let dir = dir();
    let (store, _) = open(dir.path());
    for generation in 1..=CONFIGS_KEPT_MAX + 3 {
        store.commit_wait(vec![Change::PutConfig(config(generation))]).expect("committed");
    }
    drop(store);
    let (_store, loaded) = open(dir.path());
    assert_eq!(loaded.config, Some(config(CONFIGS_KEPT_MAX + 3)));
    let kept: (u64, u64) = look(dir.path())
        .query_row("SELECT min(generation), count(*) FROM config", [], |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
        })
        .expect("counted");
    assert_eq!(kept, (4, CONFIGS_KEPT_MAX));
}

#[test]
fn events_are_read_by_number_topic_and_end() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let none = store.events_since(0, 10, &EventFilter::default()).expect("no events");
    assert_eq!((none.events.len(), none.oldest_kept), (0, None));
    let kinds = [
        EventKind::DaemonStarted,
        EventKind::ProcessAdded,
        EventKind::WorkspaceChanged,
        EventKind::ProcessState,
        EventKind::ProcessExit,
    ];
    let events: Vec<_> = (3..).zip(kinds).map(|(seq, kind)| event(seq, kind)).collect();
    store.commit_wait(events.iter().cloned().map(Change::Event).collect()).expect("committed");
    let read = |since, limit, topics: &[&str], take| {
        let topics = topics.iter().map(|t| (*t).to_string()).collect();
        let found = store.events_since(since, limit, &EventFilter { topics, take }).expect("events");
        assert_eq!(found.oldest_kept, Some(3));
        found.events
    };
    assert_eq!(read(0, 10, &[], Take::Oldest), events);
    assert_eq!(read(3, 2, &[], Take::Oldest), events[1..3]);
    assert_eq!(read(3, 2, &[], Take::Newest), events[3..]);
    assert_eq!(read(0, 10, &["daemon", "workspace"], Take::Oldest), [events[0].clone(), events[2].clone()]);
    assert_eq!(read(7, 10, &[], Take::Oldest), []);
    assert_eq!(read(u64::MAX, 10, &[], Take::Newest), []);
}

#[test]
fn events_and_journal_are_bounded() {
    let dir = dir();
    let options = Options { events_kept_max: 1_000, journal_kept_max: 500, ..Options::default() };
    let (store, _) = Store::open_with(dir.path(), &options).expect("a store");
    store.commit_wait(one_workspace()).expect("committed");
    for seq in 1..=6_000_u64 {
        let mut row = process("p", "w", "lead");
        row.restarts = u32::try_from(seq).expect("small");
        store.commit(
            vec![Change::PutProcess(row), Change::Event(event(seq, EventKind::ProcessState))],
            move |result| assert_eq!(result, Ok(())),
        );
        if seq % 1_000 == 0 {
            store.commit_wait(vec![]).expect("all before are done");
        }
    }
    drop(store);
    // a daemon that is restarted goes on with it
    for seq in 6_001..=6_010 {
        let (store, _) = Store::open_with(dir.path(), &options).expect("a store");
        store.commit_wait(vec![Change::Event(event(seq, EventKind::ProcessState))]).expect("committed");
    }
    let db = look(dir.path());
    let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("counted");
    assert_eq!(count("SELECT count(*) FROM event"), 1_000);
    assert_eq!(count("SELECT max(seq) FROM event"), 6_010);
    assert_eq!(count("SELECT count(*) FROM journal"), 500);
    assert_eq!(count("SELECT count(*) FROM checkpoint"), 3);
    let (_store, loaded) = Store::open_with(dir.path(), &options).expect("a store");
    assert_eq!(common::Tables::replayed(&db), common::Tables::loaded(&loaded));
    assert_eq!(loaded.processes[0].restarts, 6_000);
}

#[test]
fn too_many_waiting_commits_are_refused_and_not_kept() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let gate = Gate::close(&store);
    for _ in 0..QUEUE_COMMANDS_MAX {
        store.commit(vec![], |result| assert_eq!(result, Ok(())));
    }
    assert_eq!(store.commit_wait(vec![Change::PutConfig(config(1))]), Err(StoreError::Busy));
    gate.open();
    // the queue empties, and all goes on
    while store.commit_wait(vec![Change::PutConfig(config(1))]) == Err(StoreError::Busy) {
        thread::yield_now();
    }
}

#[test]
fn what_waits_when_the_last_handle_goes_is_committed() {
    let dir = dir();
    let (store, _) = open(dir.path());
    let gate = Gate::close(&store);
    for seq in 1..=(GROUP_COMMANDS_MAX as u64 * 2) {
        store.commit(vec![Change::Event(event(seq, EventKind::ProcessState))], |_| {});
    }
    let closing = thread::spawn(move || drop(store));
    gate.open();
    closing.join().expect("closed");
    assert_eq!(open(dir.path()).1.last_seq, GROUP_COMMANDS_MAX as u64 * 2);
}

#[test]
fn a_callback_may_hold_the_last_handle_or_panic() {
    let dir = dir();
    let (store, _) = open(dir.path());
    store.commit(vec![], |_| panic!("a fault of the caller"));
    store.commit_wait(vec![]).expect("the writer lives");
    let (sender, done) = mpsc::channel();
    let handle = store.clone();
    let gate = Gate::close(&store);
    store.commit(vec![], move |_| {
        drop(handle);
        sender.send(()).expect("the test listens");
    });
    drop(store);
    gate.open();
    done.recv().expect("nobody waits for himself");
}

#[test]
fn nobody_else_can_read_it() {
    let dir = dir();
    let state = dir.path().join("state");
    let options = Options { backup_every: Duration::ZERO, ..Options::default() };
    let (store, _) = Store::open_with(&state, &options).expect("a store");
    store.commit_wait(one_workspace()).expect("committed");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        assert_eq!(mode(&state.join(file)), 0o600, "{file}");
    }
    drop(store);
    let backups = backups(&state);
    assert_eq!(backups.len(), 1);
    assert_eq!(mode(&state.join("backups").join(&backups[0])), 0o600);
    // whatever it was: it holds environments
    fs::set_permissions(state.join("state.db"), fs::Permissions::from_mode(0o644)).expect("set");
    open(&state);
    assert_eq!(mode(&state.join("state.db")), 0o600);
}

#[test]
fn a_backup_is_made_at_most_once_an_hour_and_three_are_kept() {
    let dir = dir();
    let folder = dir.path().join("backups");
    fs::create_dir(&folder).expect("made");
    let (store, _) = open(dir.path());
    store.commit_wait(vec![]).expect("committed");
    drop(store);
    assert_eq!(backups(dir.path()), [""; 0], "nothing has changed");
    for hours in [2, 3, 4] {
        let at = now() - hours * 3_600_000;
        fs::copy(dir.path().join("state.db"), folder.join(format!("state-{at}.db"))).expect("copied");
    }
    let before = backups(dir.path());
    let (store, _) = open(dir.path());
    store.commit_wait(one_workspace()).expect("committed");
    store.commit_wait(vec![Change::DeleteRun("r".into())]).expect("committed");
    store.commit_wait(vec![Change::DeleteProcess("p".into())]).expect("committed");
    drop(store);
    let after = backups(dir.path());
    assert_eq!(after.len(), 3);
    assert_eq!(after[..2], before[1..], "the oldest went, one came");
}

#[test]
fn a_damaged_database_is_moved_aside_and_the_newest_good_backup_restored() {
    let dir = dir();
    let options = Options { backup_every: Duration::ZERO, ..Options::default() };
    let (store, _) = Store::open_with(dir.path(), &options).expect("a store");
    let mut first = one_workspace();
    first.push(Change::Event(event(1, EventKind::ProcessAdded)));
    store.commit_wait(first).expect("committed");
    drop(store);
    // a newer backup is damaged as well
    fs::write(dir.path().join("backups").join(format!("state-{}.db", now() + 1)), vec![7; 8192])
        .expect("written");
    let (store, _) = open(dir.path());
    store.commit_wait(vec![Change::Event(event(2, EventKind::ProcessState))]).expect("committed");
    drop(store);
    damage(&dir.path().join("state.db"));

    let (store, loaded) = open(dir.path());
    let problem = loaded.problem.expect("said loudly");
    assert!(problem.contains("damaged") && problem.contains("minutes ago was restored"), "{problem}");
    let aside: Vec<_> =
        names(dir.path()).into_iter().filter(|n| n.starts_with("state.db.corrupt-")).collect();
    assert_eq!(aside.len(), 1);
    assert!(problem.contains(&aside[0]), "{problem}");
    assert_eq!(loaded.workspaces, [workspace("w", "api")]);
    assert_eq!(loaded.processes, [process("p", "w", "lead")]);
    assert!(loaded.last_seq > 2, "lost numbers are not given out again");
    let seq = loaded.last_seq;
    drop(store);

    let (_store, loaded) = open(dir.path());
    assert_eq!((loaded.problem, loaded.last_seq), (None, seq), "once it is enough");
}

#[test]
fn without_a_good_backup_a_damaged_database_gives_an_empty_one() {
    let dir = dir();
    for _ in 0..5 {
        fs::write(dir.path().join("state.db"), vec![7; 8192]).expect("written");
        let (_store, loaded) = open(dir.path());
        assert!(loaded.problem.is_some_and(|p| p.contains("starts with nothing")));
        assert_eq!(loaded.workspaces, []);
    }
    let aside = names(dir.path()).into_iter().filter(|n| n.starts_with("state.db.corrupt-")).count();
    assert_eq!(aside, 3, "a bad disk does not fill up with them");
}

#[test]
fn a_database_of_a_newer_release_is_left_alone() {
    let dir = dir();
    drop(open(dir.path()));
    look(dir.path()).pragma_update(None, "user_version", 99).expect("set");
    let before = fs::read(dir.path().join("state.db")).expect("read");
    let e = Store::open(dir.path()).expect_err("refused");
    assert!(matches!(e, StoreError::Newer { found: 99, .. }));
    assert!(e.to_string().contains("written by a newer release"), "{e}");
    assert_eq!(fs::read(dir.path().join("state.db")).expect("read"), before);
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let dir = dir();
    let other = Connection::open(dir.path().join("state.db")).expect("a database");
    other.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1);").expect("made");
    drop(other);
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Foreign { .. })));
    assert_eq!(names(dir.path()), ["state.db"]);
}

#[test]
fn a_row_that_cannot_be_understood_is_named_and_kept() {
    let dir = dir();
    let (store, _) = open(dir.path());
    store.commit_wait(one_workspace()).expect("committed");
    drop(store);
    look(dir.path()).execute("UPDATE process SET state = 'dreaming'", []).expect("set");
    let e = Store::open(dir.path()).expect_err("refused");
    let text = e.to_string();
    assert!(text.contains("column `state` of `p`") && text.contains("dreaming"), "{text}");
    look(dir.path()).execute("UPDATE process SET state = 'running'", []).expect("set");
    assert_eq!(open(dir.path()).1.processes.len(), 1);
}

#[test]
fn a_state_directory_that_cannot_be_made_is_an_error() {
    let dir = dir();
    fs::write(dir.path().join("file"), "").expect("written");
    assert!(matches!(Store::open(&dir.path().join("file/state")), Err(StoreError::Io(_))));
}

/// Holds the writer in a callback, so that what is committed meanwhile waits together.
struct Gate {
    key: mpsc::Sender<()>,
}

impl Gate {
    fn close(store: &Store) -> Self {
        let (key, lock) = mpsc::channel::<()>();
        let (sender, closed) = mpsc::channel();
        store.commit(vec![], move |_| {
            sender.send(()).expect("the test listens");
            // until the key is used or dropped
            let _ = lock.recv();
        });
        closed.recv().expect("the writer has come to the gate");
        Self { key }
    }
    fn open(self) {
        drop(self.key);
    }
}

/// Overwrites the middle of a database, its header spared.
fn damage(path: &Path) {
    let length = fs::metadata(path).expect("there").len();
    let mut file = fs::OpenOptions::new().write(true).open(path).expect("opened");
    file.seek(SeekFrom::Start(4096)).expect("sought");
    file.write_all(&vec![0xA5; usize::try_from(length - 4096).expect("small")]).expect("written");
}

fn backups(dir: &Path) -> Vec<String> {
    names(&dir.join("backups"))
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|e| e.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}
