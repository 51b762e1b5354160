//! Prompts, requests and accounts: kept as records, bounded, and never lost while something is to be done.

mod common;

use common::{account, arrangement, ask, dir, intent, process, prompt, workspace};
use wezterm_parallel_schemas::{inbox::AskState, prompt::PromptState};
use wezterm_parallel_store::{ASKS_KEPT_MAX, Change, PROMPTS_KEPT_MAX, Store};

#[test]
fn a_prompt_under_way_is_there_after_a_restart_and_one_that_is_over_only_if_asked_for() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let typing = prompt("m1", "p", PromptState::Typing);
    let mut done = prompt("m2", "p", PromptState::Queued);
    store.commit_wait(vec![Change::PutPrompt(typing.clone()), Change::PutPrompt(done.clone())]).expect("put");
    done.view.state = PromptState::Answered;
    // the text is written once: what a later change says of it does not count
    let mut later = done.clone();
    later.text = "another".into();
    store.commit_wait(vec![Change::PutPrompt(later)]).expect("put");
    drop(store);
    let (store, loaded) = Store::open(dir.path()).expect("a store");
    assert_eq!(loaded.prompts, [typing]);
    assert_eq!(store.prompt("m2").expect("read"), Some(done));
    assert_eq!(store.prompt("m3").expect("read"), None);
    assert_eq!(store.prompts(None, true, 10).expect("read").len(), 2);
}

#[test]
fn prompts_are_chosen_by_their_process_and_state_and_found_by_their_key() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let rows = ["m1", "m2", "m3", "m4"].into_iter().zip(1..).map(|(id, at)| {
        let state = if at % 2 == 0 { PromptState::Answered } else { PromptState::Queued };
        let mut row = prompt(id, if at < 3 { "p" } else { "q" }, state);
        row.view.at = at;
        row.view.key = Some(format!("k{}", at / 4));
        row
    });
    let rows: Vec<_> = rows.collect();
    store.commit_wait(rows.iter().cloned().map(Change::PutPrompt).collect()).expect("put");
    for (process, over, limit, ids) in [
        (None, true, 10, vec!["m4", "m3", "m2", "m1"]),
        (None, false, 10, vec!["m3", "m1"]),
        (Some("p"), true, 10, vec!["m2", "m1"]),
        (Some("q"), false, 10, vec!["m3"]),
        (None, true, 1, vec!["m4"]),
    ] {
        let found = store.prompts(process, over, limit).expect("read");
        assert_eq!(found.iter().map(|v| v.id.as_str()).collect::<Vec<_>>(), ids);
    }
    assert_eq!(store.prompt_of_key("k0").expect("read").as_ref(), Some(&rows[2]), "the newest");
    assert_eq!(store.prompt_of_key("k1").expect("read").as_ref(), Some(&rows[3]));
    assert_eq!(store.prompt_of_key("k").expect("read"), None);
}

#[test]
fn prompts_under_way_are_found_however_many_came_after_them() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let mut first = prompt("m0", "p", PromptState::Queued);
    first.view.at = 0;
    let mut rows = vec![first.clone(), prompt("m1", "another", PromptState::Queued)];
    rows.extend((0..PROMPTS_KEPT_MAX + 5).map(|i| prompt(&format!("n{i}"), "p", PromptState::Answered)));
    store.commit_wait(rows.into_iter().map(Change::PutPrompt).collect()).expect("put");
    assert_eq!(store.prompts_under_way("p").expect("read"), [first]);
}

#[test]
fn prompts_go_with_their_process_and_requests_stay() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    store
        .commit_wait(vec![
            Change::PutWorkspace(workspace("w", "api")),
            Change::PutProcess(process("p", "w", "lead")),
            Change::PutPrompt(prompt("m", "p", PromptState::Queued)),
            Change::PutAsk(ask("k", AskState::Denied)),
            Change::DeleteWorkspace("w".into()),
        ])
        .expect("committed");
    assert_eq!(store.prompts(None, true, 10).expect("read"), []);
    assert_eq!(store.asks(10).expect("read").len(), 1);
}

#[test]
fn what_has_become_of_a_request_is_never_written_over() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    store.commit_wait(vec![Change::PutAsk(ask("k", AskState::Open))]).expect("put");
    assert!(!store.ask_is_over("k").expect("read"));
    let denied = ask("k", AskState::Denied);
    store.commit_wait(vec![Change::PutAsk(denied.clone())]).expect("put");
    assert!(store.ask_is_over("k").expect("read") && !store.ask_is_over("l").expect("read"));
    for again in [AskState::Open, AskState::Allowed] {
        store.commit_wait(vec![Change::PutAsk(ask("k", again))]).expect("put");
        assert_eq!(store.asks(10).expect("read"), std::slice::from_ref(&denied));
    }
}

#[test]
fn records_are_bounded_and_what_is_not_over_is_never_removed() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let mut oldest = ask("open", AskState::Open);
    oldest.at = 0;
    store.commit_wait(vec![Change::PutAsk(oldest)]).expect("put");
    let mut queued = prompt("queued", "p", PromptState::Queued);
    queued.view.at = 0;
    store.commit_wait(vec![Change::PutPrompt(queued)]).expect("put");
    for from in (0..i64::from(ASKS_KEPT_MAX) + 2_000).step_by(500) {
        let changes = (from..from + 500).flat_map(|n| {
            let (mut a, mut p) = (
                ask(&format!("a{n}"), AskState::Allowed),
                prompt(&format!("p{n}"), "p", PromptState::Answered),
            );
            (a.at, p.view.at) = (n + 1, n + 1);
            [Change::PutAsk(a), Change::PutPrompt(p)]
        });
        store.commit_wait(changes.collect()).expect("put");
    }
    drop(store);
    let (store, loaded) = Store::open(dir.path()).expect("a store");
    assert_eq!((loaded.asks.len(), loaded.prompts.len()), (1, 1));
    // trimmed while nobody waits for a commit: this one waits for all before it
    store.commit_wait(vec![Change::PutAccount(account("/a"))]).expect("put");
    drop(store);
    let db = common::look(dir.path());
    let count = |table: &str| -> u32 {
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
    };
    assert!(count("ask") <= ASKS_KEPT_MAX + 2, "{}", count("ask"));
    assert!(count("prompt") <= PROMPTS_KEPT_MAX + 2, "{}", count("prompt"));
}

#[test]
fn an_account_is_its_newest_figures() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let mut row = account("/home/me/.claude");
    store.commit_wait(vec![Change::PutAccount(row.clone())]).expect("put");
    row.cost_usd = 2.5;
    store.commit_wait(vec![Change::PutAccount(row.clone()), Change::PutAccount(account("/x"))]).expect("put");
    store.commit_wait(vec![Change::DeleteAccount("/x".into())]).expect("put");
    row.cost_usd = f64::NAN;
    assert!(store.commit_wait(vec![Change::PutAccount(row.clone())]).is_err());
    drop(store);
    row.cost_usd = 2.5;
    assert_eq!(Store::open(dir.path()).expect("a store").1.accounts, [row]);
}

#[test]
fn a_request_is_found_by_its_id_and_by_the_end_of_it() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let all = ["01AB", "02AB", "03AC"].map(|id| ask(id, AskState::Denied));
    store.commit_wait(all.iter().cloned().map(Change::PutAsk).collect()).expect("put");
    assert_eq!(store.ask("02AB").expect("read").as_ref(), Some(&all[1]));
    assert_eq!(store.ask("AB").expect("read"), None);
    assert_eq!(store.asks_ending("AB", 10).expect("read"), ["02AB", "01AB"]);
    assert_eq!(store.asks_ending("AB", 1).expect("read"), ["02AB"]);
    assert_eq!(store.asks_ending("%", 10).expect("read"), [""; 0]);
    assert_eq!(store.asks_with(2, |a| a.id).expect("read"), ["03AC", "02AB"]);
}

#[test]
fn what_a_gui_is_asked_to_do_is_there_after_a_restart_until_it_is_done() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    store.commit_wait(vec![Change::PutIntent(intent("a")), Change::PutIntent(intent("b"))]).expect("put");
    store.commit_wait(vec![Change::DeleteIntent("a".into())]).expect("deleted");
    drop(store);
    assert_eq!(Store::open(dir.path()).expect("a store").1.intents, [intent("b")]);
}

#[test]
fn directories_of_workspaces_are_known_after_the_workspaces_are_gone() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    store.commit_wait(vec![Change::PutWorkspace(workspace("w", "api"))]).expect("put");
    store.commit_wait(vec![Change::DeleteWorkspace("w".into())]).expect("deleted");
    drop(store);
    let (store, _) = Store::open(dir.path()).expect("a store");
    let known = store.workspace_directories(10).expect("read");
    let [(cwd, at)] = &known[..] else { panic!("{known:?}") };
    assert_eq!((cwd, *at > 0), (&workspace("w", "api").spec.cwd, true));
}

#[test]
fn how_panes_lie_is_kept_for_as_long_as_their_workspace() {
    let dir = dir();
    let (store, _) = Store::open(dir.path()).expect("a store");
    let mut left = arrangement("w");
    store
        .commit_wait(vec![Change::PutWorkspace(workspace("w", "api")), Change::PutArrangement(left.clone())])
        .expect("put");
    left.shown = false;
    left.windows.clear();
    store.commit_wait(vec![Change::PutArrangement(left.clone())]).expect("put");
    drop(store);
    let (store, loaded) = Store::open(dir.path()).expect("a store");
    assert_eq!(loaded.arrangements, [left]);
    store.commit_wait(vec![Change::DeleteWorkspace("w".into())]).expect("deleted");
    drop(store);
    assert_eq!(Store::open(dir.path()).expect("a store").1.arrangements, []);
}
