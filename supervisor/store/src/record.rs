//! Prompts and requests that are over, read when somebody asks for them.

use std::path::PathBuf;

use rusqlite::{Connection, Params, params};
use serde::de::DeserializeOwned;
use wezterm_parallel_schemas::{inbox::AskView, prompt::PromptView};

use crate::{error::StoreError, row::PromptRow};

/// How many requests are kept, decided ones included: some weeks of a busy user's.
pub const ASKS_KEPT_MAX: u32 = 10_000;
/// How many prompts are kept that are over.
pub const PROMPTS_KEPT_MAX: u32 = 1_000;

/// States of a prompt in which something is still to be done with it.
const PROMPT_UNDER_WAY: &str = "state IN ('queued', 'typing', 'delivered')";

/// Prompts that are not over, oldest first.
pub(crate) fn prompts_under_way(db: &Connection) -> Result<Vec<PromptRow>, StoreError> {
    prompts(db, &format!("SELECT id, text, data FROM prompt WHERE {PROMPT_UNDER_WAY} ORDER BY at, id"), [])
}

/// Those of one process.
pub(crate) fn prompts_under_way_of(db: &Connection, process: &str) -> Result<Vec<PromptRow>, StoreError> {
    let of = format!("process_id = ?1 AND {PROMPT_UNDER_WAY}");
    prompts(db, &format!("SELECT id, text, data FROM prompt WHERE {of} ORDER BY at, id"), [process])
}

/// Directories that workspaces have had, newest first.
pub(crate) fn workspace_directories(db: &Connection, limit: u32) -> Result<Vec<(PathBuf, i64)>, StoreError> {
    let mut statement = db.prepare_cached(
        r#"SELECT json_extract(change, '$.put_workspace.spec.cwd') AS cwd, max(at) FROM journal
         WHERE change LIKE '{"put_workspace"%' GROUP BY cwd ORDER BY max(at) DESC, cwd LIMIT ?1"#,
    )?;
    let found = statement.query_map([limit], |row| {
        let cwd: Option<String> = row.get(0)?;
        Ok(cwd.map(PathBuf::from).zip(row.get(1)?))
    })?;
    // a journal of another release may say it elsewhere
    found.filter_map(Result::transpose).collect::<Result<_, _>>().map_err(StoreError::from)
}

/// What is shown of the newest prompts, newest first: of one process or of all, with those that are over or
/// without.
pub(crate) fn prompt_views(
    db: &Connection,
    process: Option<&str>,
    over: bool,
    limit: u32,
) -> Result<Vec<PromptView>, StoreError> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT id, data FROM prompt WHERE (?1 IS NULL OR process_id = ?1) AND (?2 OR {PROMPT_UNDER_WAY})
         ORDER BY at DESC, id DESC LIMIT ?3"
    ))?;
    let mut found = statement.query(params![process, over, limit])?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        let id: String = row.get(0)?;
        all.push(read(&format!("prompt {id}"), &row.get::<_, String>(1)?)?);
    }
    Ok(all)
}

/// The newest prompt that was sent with this idempotency key.
pub(crate) fn prompt_of_key(db: &Connection, key: &str) -> Result<Option<PromptRow>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT id, text, data FROM prompt WHERE json_extract(data, '$.key') = ?1
         ORDER BY at DESC, id DESC LIMIT 1",
    )?;
    let mut found = statement.query([key])?;
    found.next()?.map(prompt_row).transpose()
}

/// One prompt.
pub(crate) fn prompt(db: &Connection, id: &str) -> Result<Option<PromptRow>, StoreError> {
    let mut statement = db.prepare_cached("SELECT id, text, data FROM prompt WHERE id = ?1")?;
    let mut found = statement.query([id])?;
    found.next()?.map(prompt_row).transpose()
}

fn prompts(db: &Connection, sql: &str, params: impl Params) -> Result<Vec<PromptRow>, StoreError> {
    let mut statement = db.prepare(sql)?;
    let mut found = statement.query(params)?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(prompt_row(row)?);
    }
    Ok(all)
}

fn prompt_row(row: &rusqlite::Row<'_>) -> Result<PromptRow, StoreError> {
    let id: String = row.get(0)?;
    Ok(PromptRow { text: row.get(1)?, view: read(&format!("prompt {id}"), &row.get::<_, String>(2)?)? })
}

/// Requests that wait for an answer, oldest first.
pub(crate) fn open_asks(db: &Connection) -> Result<Vec<AskView>, StoreError> {
    asks(db, "SELECT id, data FROM ask WHERE state = 'open' ORDER BY at, id LIMIT ?1", [ASKS_KEPT_MAX], |a| a)
}

/// Whether a request is kept that is over.
pub(crate) fn ask_is_over(db: &Connection, id: &str) -> Result<bool, StoreError> {
    let mut statement = db.prepare_cached("SELECT 1 FROM ask WHERE id = ?1 AND state <> 'open'")?;
    Ok(statement.exists([id])?)
}

/// What `keep` makes of the newest requests, newest first, one after the other.
pub(crate) fn newest_asks<T>(
    db: &Connection,
    limit: u32,
    keep: impl FnMut(AskView) -> T,
) -> Result<Vec<T>, StoreError> {
    asks(db, "SELECT id, data FROM ask ORDER BY at DESC, id DESC LIMIT ?1", [limit], keep)
}

/// One request.
pub(crate) fn ask(db: &Connection, id: &str) -> Result<Option<AskView>, StoreError> {
    Ok(asks(db, "SELECT id, data FROM ask WHERE id = ?1", [id], |a| a)?.pop())
}

/// Ids of the newest requests that end so, newest first.
pub(crate) fn asks_ending(db: &Connection, end: &str, limit: u32) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT id FROM ask WHERE substr(id, -length(?1)) = ?1 ORDER BY at DESC, id DESC LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let found = statement.query_map(params![end, limit], |row| row.get(0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn asks<T>(
    db: &Connection,
    sql: &str,
    params: impl Params,
    mut keep: impl FnMut(AskView) -> T,
) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut found = statement.query(params)?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        let id: String = row.get(0)?;
        all.push(keep(read(&format!("request {id}"), &row.get::<_, String>(1)?)?));
    }
    Ok(all)
}

/// Removes what is above the bounds, oldest first; never what is not over.
pub(crate) fn trim(db: &Connection) -> Result<(), StoreError> {
    db.prepare_cached(
        "DELETE FROM ask WHERE state <> 'open'
            AND at < (SELECT at FROM ask ORDER BY at DESC LIMIT 1 OFFSET ?1)",
    )?
    .execute(params![ASKS_KEPT_MAX])?;
    db.prepare_cached(&format!(
        "DELETE FROM prompt WHERE NOT {PROMPT_UNDER_WAY}
            AND at < (SELECT at FROM prompt ORDER BY at DESC LIMIT 1 OFFSET ?1)"
    ))?
    .execute(params![PROMPTS_KEPT_MAX])?;
    Ok(())
}

fn read<T: DeserializeOwned>(row: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::Unreadable { row: row.to_owned(), why: e.to_string() })
}
