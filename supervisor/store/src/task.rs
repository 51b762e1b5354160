//! What was asked of tasks and what they have brought: read when somebody asks for it, as there may be much.

use indexmap::IndexMap;
use rusqlite::{Connection, OptionalExtension as _};
use serde::de::DeserializeOwned;
use wezterm_parallel_schemas::task::TaskAdd;

use crate::{error::StoreError, row::TaskBrought};

/// What was asked of a task, and the variables of its environment, if it has one of its own.
pub(crate) type Asked = (TaskAdd, Option<IndexMap<String, String>>);

/// What was asked of a task.
pub(crate) fn asked(db: &Connection, id: &str) -> Result<Option<Asked>, StoreError> {
    let found = db
        .prepare_cached(
            "SELECT task.asked, environment.data FROM task
             LEFT JOIN environment ON environment.id = task.environment WHERE task.id = ?1",
        )?
        .query_row([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?)))
        .optional()?;
    let Some((asked, environment)) = found else { return Ok(None) };
    let environment = environment.map(|text| read(id, &text)).transpose()?;
    Ok(Some((read(id, &asked)?, environment)))
}

/// What the last attempt of a task has brought.
pub(crate) fn brought(db: &Connection, id: &str) -> Result<Option<TaskBrought>, StoreError> {
    let found = db
        .prepare_cached("SELECT result FROM task WHERE id = ?1")?
        .query_row([id], |row| row.get::<_, Option<String>>(0))
        .optional()?;
    found.flatten().map(|text| read(id, &text)).transpose()
}

/// Removes environments that no task runs in any more.
pub(crate) fn trim(db: &Connection) -> Result<(), StoreError> {
    db.prepare_cached(
        "DELETE FROM environment WHERE id NOT IN (SELECT environment FROM task WHERE environment IS NOT NULL)",
    )?
    .execute([])?;
    Ok(())
}

fn read<T: DeserializeOwned>(id: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|e| StoreError::Unreadable { row: format!("task {id}"), why: e.to_string() })
}
