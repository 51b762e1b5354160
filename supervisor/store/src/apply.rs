//! One change, as SQL. What is done to a table stands in the journal, in the same transaction.

use std::path::Path;

use rusqlite::{Connection, Params, params};
use serde::Serialize;
use wezterm_parallel_core::spec::{ProcessSpec, WorkspaceSpec};
use wezterm_parallel_schemas::{event::Event, inbox::AskView};

use crate::{
    error::StoreError,
    row::{
        AccountRow, ArrangementRow, Change, ConfigRow, IntentRow, LeaseRow, ProcessRow, PromptRow, ReplyRow,
        RunRow, TaskKept, TaskPut, TrustRow, WorkspaceRow,
    },
};

/// How many applied configs are kept: the one in force, and enough to see what was changed before it.
pub const CONFIGS_KEPT_MAX: u64 = 8;
/// How long an idempotency key holds, in milliseconds: the 24 hours that the wire promises.
pub const REPLY_AGE_MS_MAX: i64 = 24 * 60 * 60 * 1000;

/// Applies `change` at the time `now`, in milliseconds since 1970. To be called in a transaction.
///
/// # Errors
/// `Refused` if it contradicts what is there: a savepoint of the caller takes back what it has done.
pub(crate) fn apply(db: &Connection, change: &Change, now: i64) -> Result<(), StoreError> {
    match change {
        Change::PutWorkspace(row) => put_workspace(db, row)?,
        Change::DeleteWorkspace(id) => return delete_workspace(db, id, now),
        Change::PutProcess(row) => put_process(db, row)?,
        Change::DeleteProcess(id) => return delete_process(db, id, now),
        Change::PutRun(row) => put_run(db, row)?,
        Change::DeleteRun(run_id) => run_sql(db, "DELETE FROM run WHERE run_id = ?1", [run_id])?,
        Change::PutConfig(row) => return put_config(db, row, now),
        Change::DeleteConfig(generation) => {
            run_sql(db, "DELETE FROM config WHERE generation = ?1", [integer(*generation)?])?;
        }
        Change::PutTrust(row) => put_trust(db, row)?,
        Change::DeleteTrust(path) => run_sql(db, "DELETE FROM trust WHERE path = ?1", [text_of_path(path)?])?,
        // these are records of what happened, not state: they have no history of their own
        Change::PutPrompt(row) => return put_prompt(db, row),
        Change::PutAsk(row) => return put_ask(db, row),
        Change::PutAccount(row) => return put_account(db, row),
        Change::DeleteAccount(account) => {
            return run_sql(db, "DELETE FROM account WHERE account = ?1", [account]);
        }
        Change::PutIntent(row) => return put_intent(db, row),
        Change::DeleteIntent(id) => return run_sql(db, "DELETE FROM intent WHERE id = ?1", [id]),
        Change::PutArrangement(row) => return put_arrangement(db, row),
        Change::AddTask(kept) => return add_task(db, kept),
        Change::PutTask(put) => return put_task(db, put),
        Change::EditTask(kept) => return edit_task(db, kept),
        Change::DeleteTask(id) => return run_sql(db, "DELETE FROM task WHERE id = ?1", [id]),
        Change::PutGroup { name, paused } => return put_group(db, name, *paused),
        Change::PutEnvironment { id, variables } => {
            let sql = "INSERT INTO environment (id, data) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
            return run_sql(db, sql, [id, &json(variables)?]);
        }
        Change::PutLease(row) => return put_lease(db, row),
        Change::DeleteLease(name) => return run_sql(db, "DELETE FROM lease WHERE name = ?1", [name]),
        Change::PutReply(row) => return put_reply(db, row),
        Change::Event(event) => return put_event(db, event),
    }
    journal(db, change, now)
}

fn journal(db: &Connection, change: &Change, now: i64) -> Result<(), StoreError> {
    run_sql(db, "INSERT INTO journal (at, change) VALUES (?1, ?2)", params![now, json(change)?])
}

fn put_workspace(db: &Connection, row: &WorkspaceRow) -> Result<(), StoreError> {
    check_workspace(&row.spec)?;
    run_sql(
        db,
        "INSERT INTO workspace (id, name, source, spec, open, position) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET
            name = excluded.name, source = excluded.source, spec = excluded.spec, open = excluded.open,
            position = excluded.position",
        params![row.id, row.name, name(&row.source)?, json(&row.spec)?, row.open, row.position],
    )
}

fn delete_workspace(db: &Connection, id: &str, now: i64) -> Result<(), StoreError> {
    // not ON DELETE CASCADE: the journal must name every row that goes
    for process in keys(db, "SELECT id FROM process WHERE workspace_id = ?1", id)? {
        delete_process(db, &process, now)?;
    }
    run_sql(db, "DELETE FROM arrangement WHERE workspace_id = ?1", [id])?;
    run_sql(db, "DELETE FROM workspace WHERE id = ?1", [id])?;
    journal(db, &Change::DeleteWorkspace(id.to_string()), now)
}

fn put_process(db: &Connection, row: &ProcessRow) -> Result<(), StoreError> {
    check_process(&row.spec)?;
    run_sql(
        db,
        "INSERT INTO process (id, workspace_id, name, source, spec, wanted, session_id, session_started,
            restarts, state, state_reason, unread, position)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (id) DO UPDATE SET
            workspace_id = excluded.workspace_id, name = excluded.name, source = excluded.source,
            spec = excluded.spec, wanted = excluded.wanted, session_id = excluded.session_id,
            session_started = excluded.session_started, restarts = excluded.restarts,
            state = excluded.state, state_reason = excluded.state_reason, unread = excluded.unread,
            position = excluded.position",
        params![
            row.id,
            row.workspace_id,
            row.name,
            name(&row.source)?,
            json(&row.spec)?,
            row.wanted,
            row.session_id,
            row.session_started,
            row.restarts,
            name(&row.state)?,
            row.state_reason,
            row.unread,
            row.position
        ],
    )
}

fn delete_process(db: &Connection, id: &str, now: i64) -> Result<(), StoreError> {
    for run_id in keys(db, "SELECT run_id FROM run WHERE process_id = ?1", id)? {
        apply(db, &Change::DeleteRun(run_id), now)?;
    }
    run_sql(db, "DELETE FROM prompt WHERE process_id = ?1", [id])?;
    run_sql(db, "DELETE FROM process WHERE id = ?1", [id])?;
    journal(db, &Change::DeleteProcess(id.to_string()), now)
}

fn put_run(db: &Connection, row: &RunRow) -> Result<(), StoreError> {
    let exit = row.exit.as_ref().map(json).transpose()?;
    run_sql(
        db,
        "INSERT INTO run (run_id, process_id, state, keeper_pid, pid, started_at, boot_id, exit, claimed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (run_id) DO UPDATE SET
            process_id = excluded.process_id, state = excluded.state, keeper_pid = excluded.keeper_pid,
            pid = excluded.pid, started_at = excluded.started_at, boot_id = excluded.boot_id,
            exit = excluded.exit, claimed_at = excluded.claimed_at",
        params![
            row.run_id,
            row.process_id,
            name(&row.state)?,
            row.keeper_pid,
            row.pid,
            row.started_at,
            row.boot_id,
            exit,
            row.claimed_at
        ],
    )
}

fn put_config(db: &Connection, row: &ConfigRow, now: i64) -> Result<(), StoreError> {
    let generation = integer(row.generation)?;
    run_sql(
        db,
        "INSERT INTO config (generation, path, text, format, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (generation) DO UPDATE SET
            path = excluded.path, text = excluded.text, format = excluded.format, at = excluded.at",
        params![generation, text_of_path(&row.path)?, row.text, row.format, row.at],
    )?;
    journal(db, &Change::PutConfig(row.clone()), now)?;
    let old: Vec<u64> = db
        .prepare_cached("SELECT generation FROM config ORDER BY generation DESC LIMIT -1 OFFSET ?1")?
        .query_map([integer(CONFIGS_KEPT_MAX)?], |r| r.get::<_, i64>(0).map(i64::cast_unsigned))?
        .collect::<Result<_, _>>()?;
    for generation in old {
        apply(db, &Change::DeleteConfig(generation), now)?;
    }
    Ok(())
}

fn put_trust(db: &Connection, row: &TrustRow) -> Result<(), StoreError> {
    run_sql(
        db,
        "INSERT INTO trust (path, sha256, text, at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (path) DO UPDATE SET sha256 = excluded.sha256, text = excluded.text, at = excluded.at",
        params![text_of_path(&row.path)?, row.sha256, row.text, row.at],
    )
}

fn put_reply(db: &Connection, row: &ReplyRow) -> Result<(), StoreError> {
    let put = db
        .prepare_cached(
            "INSERT INTO reply (key, method, params_sha256, result, at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (key) DO UPDATE SET
                method = excluded.method, params_sha256 = excluded.params_sha256, result = excluded.result,
                at = excluded.at
             WHERE reply.at <= excluded.at - ?6",
        )?
        .execute(params![row.key, row.method, row.params_sha256, row.result, row.at, REPLY_AGE_MS_MAX])?;
    if put == 0 {
        return Err(StoreError::Refused("there is an answer for this key already".into()));
    }
    Ok(())
}

fn put_prompt(db: &Connection, row: &PromptRow) -> Result<(), StoreError> {
    let view = &row.view;
    run_sql(
        db,
        "INSERT INTO prompt (id, process_id, state, at, text, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, data = excluded.data",
        params![view.id, view.process_id, name(&view.state)?, view.at, row.text, json(view)?],
    )
}

/// What is over is on record, and nothing changes it.
fn put_ask(db: &Connection, row: &AskView) -> Result<(), StoreError> {
    run_sql(
        db,
        "INSERT INTO ask (id, state, at, data) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, data = excluded.data
         WHERE ask.state = 'open'",
        params![row.id, name(&row.state)?, row.at, json(row)?],
    )
}

fn put_account(db: &Connection, row: &AccountRow) -> Result<(), StoreError> {
    if !row.cost_usd.is_finite() {
        return Err(StoreError::Refused("the cost is not a number".into()));
    }
    run_sql(
        db,
        "INSERT INTO account (account, data) VALUES (?1, ?2)
         ON CONFLICT (account) DO UPDATE SET data = excluded.data",
        [&row.account, &json(row)?],
    )
}

/// An intent is what it was asked to be; only who has it changes.
fn put_intent(db: &Connection, row: &IntentRow) -> Result<(), StoreError> {
    run_sql(
        db,
        "INSERT INTO intent (id, at, data) VALUES (?1, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET data = excluded.data",
        params![row.intent.id, row.intent.at, json(row)?],
    )
}

fn put_arrangement(db: &Connection, row: &ArrangementRow) -> Result<(), StoreError> {
    run_sql(
        db,
        "INSERT INTO arrangement (workspace_id, at, data) VALUES (?1, ?2, ?3)
         ON CONFLICT (workspace_id) DO UPDATE SET at = excluded.at, data = excluded.data",
        params![row.workspace_id, row.at, json(row)?],
    )
}

/// No two tasks have the same id, so that one that was added twice by mistake is refused.
fn add_task(db: &Connection, kept: &TaskKept) -> Result<(), StoreError> {
    run_sql(
        db,
        "INSERT INTO task (id, card, data, asked, environment) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![kept.row.spec.id, json(&kept.card)?, json(&kept.row)?, json(&kept.asked)?, kept.environment],
    )
}

fn put_task(db: &Connection, put: &TaskPut) -> Result<(), StoreError> {
    if put.brought.as_ref().and_then(|b| b.cost_usd).is_some_and(|cost| !cost.is_finite()) {
        return Err(StoreError::Refused("the cost is not a number".into()));
    }
    let brought = put.brought.as_ref().map(json).transpose()?;
    run_sql(
        db,
        "UPDATE task SET data = ?2, result = coalesce(?3, result) WHERE id = ?1",
        params![put.row.spec.id, json(&put.row)?, brought],
    )
}

fn edit_task(db: &Connection, kept: &TaskKept) -> Result<(), StoreError> {
    run_sql(
        db,
        "UPDATE task SET card = ?2, data = ?3, asked = ?4 WHERE id = ?1",
        params![kept.row.spec.id, json(&kept.card)?, json(&kept.row)?, json(&kept.asked)?],
    )
}

fn put_group(db: &Connection, name: &str, paused: bool) -> Result<(), StoreError> {
    run_sql(
        db,
        "INSERT INTO task_group (name, paused) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET paused = excluded.paused",
        params![name, paused],
    )
}

fn put_lease(db: &Connection, row: &LeaseRow) -> Result<(), StoreError> {
    run_sql(
        db,
        "INSERT INTO lease (name, data) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET data = excluded.data",
        [&row.name, &json(row)?],
    )
}

fn put_event(db: &Connection, event: &Event) -> Result<(), StoreError> {
    if event.seq == 0 {
        return Err(StoreError::Refused("the event has no number".into()));
    }
    run_sql(
        db,
        "INSERT INTO event (seq, at, kind, data) VALUES (?1, ?2, ?3, ?4)",
        params![integer(event.seq)?, event.at, event.kind.name(), json(event)?],
    )
}

/// JSON has no word for an infinite number; what was written could never be read.
fn check_process(spec: &ProcessSpec) -> Result<(), StoreError> {
    let backoff = &spec.restart.backoff;
    if backoff.factor.is_finite() && backoff.jitter.is_finite() {
        return Ok(());
    }
    Err(StoreError::Refused("the backoff's factor or jitter is not a number".into()))
}

fn check_workspace(spec: &WorkspaceSpec) -> Result<(), StoreError> {
    spec.processes.values().try_for_each(check_process)
}

fn run_sql(db: &Connection, sql: &str, params: impl Params) -> Result<(), StoreError> {
    db.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

fn keys(db: &Connection, sql: &str, of: &str) -> Result<Vec<String>, StoreError> {
    Ok(db.prepare_cached(sql)?.query_map([of], |r| r.get(0))?.collect::<Result<_, _>>()?)
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|e| StoreError::Refused(format!("it cannot be written as JSON: {e}")))
}

/// The word that a unit variant has on the wire.
fn name<T: Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        other => Err(StoreError::Refused(format!("it is not a word: {other:?}"))),
    }
}

fn integer(n: u64) -> Result<i64, StoreError> {
    i64::try_from(n).map_err(|_| StoreError::Refused(format!("{n} is too large a number")))
}

fn text_of_path(path: &Path) -> Result<&str, StoreError> {
    path.to_str().ok_or_else(|| StoreError::Refused("the path is not UTF-8".into()))
}
