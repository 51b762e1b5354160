//! The journal tells the same as the tables, whatever is done.

mod common;

use std::time::Duration;

use common::{Tables, config, look, process, run, trust, workspace};
use proptest::prelude::*;
use wezterm_parallel_core::spec::BackoffSpec;
use wezterm_parallel_schemas::process::State;
use wezterm_parallel_store::{Change, Options, RunState, Store};

/// Few ids and names, so that changes meet.
fn change() -> impl Strategy<Value = Change> {
    let id = |prefix: &'static str, n: u8| (0..n).prop_map(move |i| format!("{prefix}{i}"));
    prop_oneof![
        (id("w", 3), id("name", 3), any::<bool>(), any::<u32>()).prop_map(|(id, name, open, position)| {
            let mut row = workspace(&id, &name);
            row.open = open;
            row.position = position;
            Change::PutWorkspace(row)
        }),
        id("w", 3).prop_map(Change::DeleteWorkspace),
        (id("p", 5), id("w", 3), id("name", 4), any::<f64>(), "\\PC*", any::<bool>()).prop_map(
            |(id, workspace_id, name, factor, text, unread)| {
                let mut row = process(&id, &workspace_id, &name);
                row.spec.restart.backoff = BackoffSpec { factor, ..BackoffSpec::default() };
                row.spec.command = vec![text.clone()];
                row.state = if unread { State::Running } else { State::Backoff };
                row.state_reason = Some(text).filter(|t| t.len() % 2 == 0);
                row.unread = unread;
                Change::PutProcess(row)
            }
        ),
        id("p", 5).prop_map(Change::DeleteProcess),
        (id("r", 8), id("p", 5), 0..3).prop_map(|(run_id, process_id, state)| {
            let state = [RunState::Starting, RunState::Running, RunState::Ended][state as usize];
            Change::PutRun(run(&run_id, &process_id, state))
        }),
        id("r", 8).prop_map(Change::DeleteRun),
        (1_u64..20).prop_map(|generation| Change::PutConfig(config(generation))),
        (1_u64..20).prop_map(Change::DeleteConfig),
        id("/project", 3).prop_map(|path| Change::PutTrust(trust(&path))),
        id("/project", 3).prop_map(|path| Change::DeleteTrust(path.into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn replaying_the_journal_gives_the_tables(
        lives in prop::collection::vec(prop::collection::vec(prop::collection::vec(change(), 1..6), 1..12), 1..6),
        journal_kept_max in 0_u64..20,
    ) {
        let dir = common::dir();
        let options = Options { journal_kept_max, backup_every: Duration::MAX, ..Options::default() };
        for commits in lives {
            let (store, _) = Store::open_with(dir.path(), &options).expect("a store");
            for changes in commits {
                // many are refused, which must leave no trace in either
                let _ = store.commit_wait(changes);
            }
            drop(store);
            let db = look(dir.path());
            let replayed = Tables::replayed(&db);
            let generations: Vec<u64> = db
                .prepare("SELECT generation FROM config ORDER BY generation")
                .and_then(|mut s| s.query_map([], |row| row.get::<_, i64>(0).map(i64::cast_unsigned))?.collect())
                .expect("read");
            prop_assert_eq!(replayed.configs.keys().copied().collect::<Vec<_>>(), generations);
            drop(db);
            let (store, loaded) = Store::open_with(dir.path(), &options).expect("a store");
            drop(store);
            prop_assert_eq!(replayed.with_last_config(), Tables::loaded(&loaded));
        }
    }
}
