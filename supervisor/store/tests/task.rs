//! Tasks: what is loaded of them, and what is read when somebody asks.

mod common;

use common::{brought, dir, task};
use wezterm_parallel_schemas::task::{TaskAdd, TaskState};
use wezterm_parallel_store::{Change, Store, StoreError, TaskKept, TaskPut};

fn environment() -> Change {
    Change::PutEnvironment { id: "e".into(), variables: [("LANG".into(), "C".into())].into() }
}

#[test]
fn a_task_is_loaded_as_it_stands_and_the_rest_is_read_when_it_is_asked_for() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let kept = task("t2");
    let bare = TaskKept { environment: None, ..task("t1") };
    let changes =
        vec![environment(), Change::AddTask(Box::new(kept.clone())), Change::AddTask(Box::new(bare))];
    store.commit_wait(changes).expect("committed");
    assert_eq!(store.task_brought("t2").expect("read"), None);
    let mut row = kept.row.clone();
    row.state = TaskState::Done;
    let put = |brought| vec![Change::PutTask(Box::new(TaskPut { row: row.clone(), brought }))];
    store.commit_wait(put(Some(brought()))).expect("committed");
    // what an attempt has brought stays until another one brings more
    store.commit_wait(put(None)).expect("committed");
    drop(store);
    let (store, loaded) = Store::open(dir.path()).expect("a store");
    let ids: Vec<_> = loaded.tasks.iter().map(|t| t.row.spec.id.as_str()).collect();
    assert_eq!(ids, ["t1", "t2"]);
    assert_eq!((&loaded.tasks[1].row, &loaded.tasks[1].card), (&row, &kept.card));
    assert_eq!((loaded.tasks[0].cost_usd, loaded.tasks[1].cost_usd), (None, Some(0.25)));
    let (asked, variables) = store.task_asked("t2").expect("read").expect("it is there");
    assert_eq!(asked, kept.asked);
    assert_eq!(variables.expect("its own")["LANG"], "C");
    assert_eq!(store.task_asked("t1").expect("read").expect("it is there").1, None);
    assert_eq!(store.task_asked("t3").expect("read"), None);
    assert_eq!(store.task_brought("t2").expect("read"), Some(brought()));
}

#[test]
fn no_task_is_added_twice_and_one_can_be_changed_and_forgotten() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let kept = task("t");
    store.commit_wait(vec![Change::AddTask(Box::new(kept.clone()))]).expect("committed");
    let again = store.commit_wait(vec![Change::AddTask(Box::new(kept.clone()))]);
    assert!(matches!(again, Err(StoreError::Refused(_))), "{again:?}");
    let asked = TaskAdd { prompt: Some("write more tests".into()), ..TaskAdd::default() };
    let edited = TaskKept { asked: asked.clone(), ..kept };
    store.commit_wait(vec![Change::EditTask(Box::new(edited))]).expect("committed");
    assert_eq!(store.task_asked("t").expect("read").expect("it is there").0, asked);
    store.commit_wait(vec![Change::DeleteTask("t".into())]).expect("committed");
    assert_eq!(store.task_asked("t").expect("read"), None);
}

#[test]
fn paused_groups_are_remembered() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let put = |name: &str, paused| Change::PutGroup { name: name.into(), paused };
    store.commit_wait(vec![put("a", true), put("b", true), put("a", false)]).expect("committed");
    drop(store);
    assert_eq!(Store::open(dir.path()).expect("a store").1.paused_groups, ["b"]);
}
