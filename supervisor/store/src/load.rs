//! All that the daemon needs to go on, read once when the store is opened.

use std::path::PathBuf;

use rusqlite::{Connection, Row};
use serde::{Serialize, de::DeserializeOwned};
use wezterm_parallel_schemas::{event::Event, inbox::AskView};

use crate::{
    apply::REPLY_AGE_MS_MAX,
    error::StoreError,
    file::SEQ_FLOOR,
    record,
    row::{
        AccountRow, ArrangementRow, ConfigRow, IntentRow, LeaseRow, ProcessRow, PromptRow, ReplyRow, RunRow,
        TaskLoaded, TrustRow, WorkspaceRow,
    },
};

/// How many answers are loaded: one is about a kilobyte, and [`Store::reply`](crate::Store::reply)
/// finds the others.
pub const REPLIES_LOADED_MAX: u32 = 1_000;

/// What was there when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Loaded {
    /// All workspaces, by position.
    pub workspaces: Vec<WorkspaceRow>,
    /// All processes, by workspace and position.
    pub processes: Vec<ProcessRow>,
    /// All runs that are still kept, in the order in which they were claimed.
    pub runs: Vec<RunRow>,
    /// The config that was applied last.
    pub config: Option<ConfigRow>,
    /// All projects' files that are trusted.
    pub trust: Vec<TrustRow>,
    /// The newest answers of the last 24 hours, at most [`REPLIES_LOADED_MAX`], newest first.
    pub replies: Vec<ReplyRow>,
    /// Prompts that are not over, oldest first.
    pub prompts: Vec<PromptRow>,
    /// Requests that wait for an answer, oldest first.
    pub asks: Vec<AskView>,
    /// All accounts.
    pub accounts: Vec<AccountRow>,
    /// What GUIs are still asked to do, oldest first.
    pub intents: Vec<IntentRow>,
    /// How the panes of workspaces were last left, by the ids of the workspaces.
    pub arrangements: Vec<ArrangementRow>,
    /// All tasks, in the order in which they were added.
    pub tasks: Vec<TaskLoaded>,
    /// Groups of tasks that are paused.
    pub paused_groups: Vec<String>,
    /// All that is leased.
    pub leases: Vec<LeaseRow>,
    /// Number of the newest event; the next one is greater. 0 if there has been none.
    pub last_seq: u64,
    /// What went wrong and was mended, in words: to be said loudly.
    pub problem: Option<String>,
}

/// Reads everything; `now` in milliseconds since 1970.
///
/// # Errors
/// `Unreadable` names the row that cannot be understood.
pub(crate) fn load(db: &Connection, now: i64) -> Result<Loaded, StoreError> {
    Ok(Loaded {
        workspaces: rows(db, "SELECT * FROM workspace ORDER BY position, id", &[], |f| {
            Ok(WorkspaceRow {
                id: f.get("id")?,
                name: f.get("name")?,
                source: f.word("source")?,
                spec: f.json("spec")?,
                open: f.get("open")?,
                position: f.get("position")?,
            })
        })?,
        processes: rows(db, "SELECT * FROM process ORDER BY workspace_id, position, id", &[], |f| {
            Ok(ProcessRow {
                id: f.get("id")?,
                workspace_id: f.get("workspace_id")?,
                name: f.get("name")?,
                source: f.word("source")?,
                spec: f.json("spec")?,
                wanted: f.get("wanted")?,
                session_id: f.get("session_id")?,
                session_started: f.get("session_started")?,
                restarts: f.get("restarts")?,
                state: f.word("state")?,
                state_reason: f.get("state_reason")?,
                unread: f.get("unread")?,
                position: f.get("position")?,
            })
        })?,
        runs: rows(db, "SELECT * FROM run ORDER BY claimed_at, run_id", &[], |f| {
            Ok(RunRow {
                run_id: f.get("run_id")?,
                process_id: f.get("process_id")?,
                state: f.word("state")?,
                keeper_pid: f.get("keeper_pid")?,
                pid: f.get("pid")?,
                started_at: f.get("started_at")?,
                boot_id: f.get("boot_id")?,
                exit: f.json_or_none("exit")?,
                claimed_at: f.get("claimed_at")?,
            })
        })?,
        config: rows(db, "SELECT * FROM config ORDER BY generation DESC LIMIT 1", &[], |f| {
            Ok(ConfigRow {
                generation: f.number("generation")?,
                path: f.path("path")?,
                text: f.get("text")?,
                format: f.get("format")?,
                at: f.get("at")?,
            })
        })?
        .pop(),
        trust: rows(db, "SELECT * FROM trust ORDER BY path", &[], |f| {
            Ok(TrustRow {
                path: f.path("path")?,
                sha256: f.get("sha256")?,
                text: f.get("text")?,
                at: f.get("at")?,
            })
        })?,
        replies: rows(
            db,
            "SELECT * FROM reply WHERE at > ?1 ORDER BY at DESC, key LIMIT ?2",
            &[now - REPLY_AGE_MS_MAX, i64::from(REPLIES_LOADED_MAX)],
            reply,
        )?,
        prompts: record::prompts_under_way(db)?,
        asks: record::open_asks(db)?,
        accounts: rows(db, "SELECT * FROM account ORDER BY account", &[], |f| f.json("data"))?,
        intents: rows(db, "SELECT * FROM intent ORDER BY at, id", &[], |f| f.json("data"))?,
        arrangements: rows(db, "SELECT * FROM arrangement ORDER BY workspace_id", &[], |f| f.json("data"))?,
        tasks: tasks(db)?,
        paused_groups: paused_groups(db)?,
        leases: rows(db, "SELECT * FROM lease ORDER BY name", &[], |f| f.json("data"))?,
        last_seq: last_seq(db)?,
        problem: None,
    })
}

/// All tasks, in the order in which they were added.
pub(crate) fn tasks(db: &Connection) -> Result<Vec<TaskLoaded>, StoreError> {
    let sql = "SELECT id, card, data, json_extract(result, '$.cost_usd') AS cost FROM task ORDER BY id";
    rows(db, sql, &[], |f| {
        Ok(TaskLoaded { row: f.json("data")?, card: f.json("card")?, cost_usd: f.get("cost")? })
    })
}

/// Groups of tasks that are paused.
pub(crate) fn paused_groups(db: &Connection) -> Result<Vec<String>, StoreError> {
    rows(db, "SELECT name FROM task_group WHERE paused ORDER BY name", &[], |f| f.get("name"))
}

/// The answer for `key`, if it is younger than 24 hours at `now`.
pub(crate) fn load_reply(db: &Connection, key: &str, now: i64) -> Result<Option<ReplyRow>, StoreError> {
    let mut statement = db.prepare_cached("SELECT * FROM reply WHERE key = ?1 AND at > ?2")?;
    let mut found = statement.query(rusqlite::params![key, now - REPLY_AGE_MS_MAX])?;
    found.next()?.map(|row| reply(&Fields { row })).transpose()
}

/// An event from its column `data`.
pub(crate) fn event(row: &Row<'_>) -> Result<Event, StoreError> {
    Fields { row }.json("data")
}

fn reply(f: &Fields<'_>) -> Result<ReplyRow, StoreError> {
    Ok(ReplyRow {
        key: f.get("key")?,
        method: f.get("method")?,
        params_sha256: f.get("params_sha256")?,
        result: f.get("result")?,
        at: f.get("at")?,
    })
}

fn last_seq(db: &Connection) -> Result<u64, StoreError> {
    let newest: i64 = db.query_row(
        "SELECT max(coalesce((SELECT max(seq) FROM event), 0),
                    coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?1), 0))",
        [SEQ_FLOOR],
        |row| row.get(0),
    )?;
    Ok(newest.cast_unsigned())
}

fn rows<T>(
    db: &Connection,
    sql: &str,
    params: &[i64],
    read: impl Fn(&Fields<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare(sql)?;
    let mut found = statement.query(rusqlite::params_from_iter(params))?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(read(&Fields { row })?);
    }
    Ok(all)
}

/// A row's columns by name, with errors that name the row.
struct Fields<'a> {
    row: &'a Row<'a>,
}

impl Fields<'_> {
    fn get<T: rusqlite::types::FromSql>(&self, column: &str) -> Result<T, StoreError> {
        self.row.get(column).map_err(|e| match e {
            e @ rusqlite::Error::SqliteFailure(..) => e.into(),
            e => self.unreadable(column, &e.to_string()),
        })
    }
    fn number(&self, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(column)?).map_err(|e| self.unreadable(column, &e.to_string()))
    }
    fn path(&self, column: &str) -> Result<PathBuf, StoreError> {
        Ok(PathBuf::from(self.get::<String>(column)?))
    }
    fn word<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_value(serde_json::Value::String(self.get(column)?))
            .map_err(|e| self.unreadable(column, &e.to_string()))
    }
    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.get::<String>(column)?)
            .map_err(|e| self.unreadable(column, &e.to_string()))
    }
    fn json_or_none<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, StoreError> {
        match self.get::<Option<String>>(column)? {
            Some(_) => self.json(column).map(Some),
            None => Ok(None),
        }
    }

    /// `column "spec" of 01J…`: the first column is every table's key.
    fn unreadable(&self, column: &str, why: &str) -> StoreError {
        let key = self.row.get_ref(0).map_or_else(
            |_| "a row".into(),
            |v| match v {
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => format!("{other:?}"),
            },
        );
        StoreError::Unreadable { row: format!("column `{column}` of `{key}`"), why: why.into() }
    }
}
