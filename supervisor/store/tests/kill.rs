//! `kill -9` at any moment: what was acknowledged is there, and nothing is half there.

mod common;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
};

use common::{Tables, event, look, process, workspace};
use wezterm_parallel_schemas::event::EventKind;
use wezterm_parallel_store::{Change, Options, Store};

/// Set in the process that writes: the state directory.
const WRITER: &str = "WEZTERM_PARALLEL_TEST_WRITER";
const ROUNDS: u64 = 10;
/// Commits that wait at the same time, so that most transactions hold several.
const WAITING: usize = 16;

#[test]
fn nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    if let Some(dir) = env::var_os(WRITER) {
        write_until_killed(Path::new(&dir));
    }
    let dir = common::dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    store
        .commit_wait(vec![
            Change::PutWorkspace(workspace("w", "api")),
            Change::PutProcess(process("p", "w", "lead")),
            Change::Event(event(1, EventKind::ProcessAdded)),
        ])
        .expect("committed");
    drop(store);

    for round in 0..ROUNDS {
        let mut writer = Writer::spawn(dir.path());
        // a different moment in each round: the first commits, the first checkpoint, a backup
        let moment = 1 + round * round * 23;
        let mut acknowledged = writer.acknowledged().take(usize::try_from(moment).expect("small")).last();
        writer.0.kill().expect("killed");
        writer.0.wait().expect("dead");
        // what it still said before it died
        acknowledged = writer.acknowledged().last().or(acknowledged);
        let acknowledged = acknowledged.expect("it has written");

        let (store, loaded) = Store::open(dir.path()).expect("the database is intact");
        drop(store);
        assert_eq!(loaded.problem, None);
        assert!(loaded.last_seq >= acknowledged, "{} < {acknowledged}", loaded.last_seq);
        // each commit holds both
        assert_eq!(u64::from(loaded.processes[0].restarts), loaded.last_seq);
        let db = look(dir.path());
        let verdict: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
        assert_eq!(verdict, "ok");
        assert_eq!(Tables::replayed(&db), Tables::loaded(&loaded));
        let events: i64 =
            db.query_row("SELECT count(*) FROM event WHERE seq > 1", [], |r| r.get(0)).expect("counted");
        assert_eq!(events.cast_unsigned(), loaded.last_seq - 1, "no gap");
    }
}

/// Commits for ever and says the number of each when it is acknowledged.
fn write_until_killed(dir: &Path) -> ! {
    let options = Options { backup_every: std::time::Duration::from_millis(20), ..Options::default() };
    let (store, loaded) = Store::open_with(dir, &options).expect("a store");
    let (acknowledge, acknowledged) = mpsc::channel();
    for seq in loaded.last_seq + 1.. {
        let mut row = process("p", "w", "lead");
        row.restarts = u32::try_from(seq).expect("small");
        let acknowledge = acknowledge.clone();
        store.commit(
            vec![Change::PutProcess(row), Change::Event(event(seq, EventKind::ProcessState))],
            move |result| {
                result.expect("committed");
                writeln!(std::io::stdout(), "acknowledged {seq}").expect("the test listens");
                acknowledge.send(()).expect("the loop goes on");
            },
        );
        if seq - loaded.last_seq > WAITING as u64 {
            acknowledged.recv().expect("the writer lives");
        }
    }
    unreachable!("it is killed before it has counted so far")
}

struct Writer(Child, BufReader<std::process::ChildStdout>);

impl Writer {
    fn spawn(dir: &Path) -> Self {
        let mut child = Command::new(env::current_exe().expect("a path"))
            .args(["nothing_acknowledged_is_lost_when_the_writer_is_killed", "--exact", "--nocapture"])
            .env(WRITER, dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self(child, output)
    }

    /// The numbers that it says, up to the end of its output.
    fn acknowledged(&mut self) -> impl Iterator<Item = u64> {
        (&mut self.1).lines().map_while(Result::ok).filter_map(|line| {
            // the test harness has lines of its own
            line.split_once("acknowledged ")?.1.parse().ok()
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // it may be gone already
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
