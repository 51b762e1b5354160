//! A disk that takes no more: the commit fails whole, and when there is room again all goes on.

mod common;

use std::{env, path::Path, process::Command};

use common::{Tables, config, look, process, workspace};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wezterm_parallel_store::{Change, Store, StoreError};

/// Set in the process whose files may not grow: the state directory.
const LIMITED: &str = "WEZTERM_PARALLEL_TEST_LIMITED";
/// No file grows beyond this: room for the tables and a few hundred rows.
const FILE_BYTES_MAX: u64 = 512 << 10;

#[test]
fn a_commit_that_the_disk_refuses_leaves_nothing_and_later_ones_work() {
    if let Some(dir) = env::var_os(LIMITED) {
        return fill(Path::new(&dir));
    }
    // the limit is for a whole process, so it gets one of its own
    let dir = common::dir();
    let name = "a_commit_that_the_disk_refuses_leaves_nothing_and_later_ones_work";
    let output = Command::new("sh")
        // otherwise the signal that comes with the limit would kill it
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env::current_exe().expect("a path"))
        .args([name, "--exact", "--nocapture"])
        .env(LIMITED, dir.path())
        .output()
        .expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let (_store, loaded) = Store::open(dir.path()).expect("the database is intact");
    assert_eq!(loaded.problem, None);
    assert_eq!(loaded.workspaces, [workspace("w", "api")]);
    assert_eq!(loaded.processes, [process("after", "w", "after")]);
    assert_eq!(Tables::replayed(&look(dir.path())), Tables::loaded(&loaded));
}

fn fill(dir: &Path) {
    let (store, _) = Store::open(dir).expect("a store");
    store.commit_wait(vec![Change::PutWorkspace(workspace("w", "api"))]).expect("committed");
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(FILE_BYTES_MAX), ..before }).expect("limited");

    let mut large = config(1);
    large.text = "x".repeat(usize::try_from(2 * FILE_BYTES_MAX).expect("small"));
    let half = vec![Change::PutProcess(process("half", "w", "half")), Change::PutConfig(large)];
    let e = store.commit_wait(half).expect_err("there is no room");
    assert!(matches!(e, StoreError::Full | StoreError::Io(_)), "{e:?}");
    // it is small, and so there is room for it
    store.commit_wait(vec![Change::PutProcess(process("after", "w", "after"))]).expect("committed");

    setrlimit(Resource::Fsize, before).expect("lifted");
    store.commit_wait(vec![]).expect("committed");
}
