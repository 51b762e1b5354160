//! What the writer does when nobody waits for it: old rows go, a backup is made. No timer: without
//! commits there is nothing to do.

use std::{collections::HashMap, path::PathBuf};

use rusqlite::{Connection, TransactionBehavior, params};

use crate::{apply::REPLY_AGE_MS_MAX, backup, error::StoreError, record, row::Change, store::Options, task};

/// How many answers are kept, at most, also within their 24 hours: one call a second for a day is less.
pub const REPLIES_KEPT_MAX: u32 = 100_000;
/// For this many changes, up to twice as many rows are trimmed, so that it catches up: some
/// milliseconds' work, as a commit may come and wait for it.
const TRIM_ROWS_MAX: u64 = 1_000;
/// So many changes without a quiet moment, and the commits that wait have to wait for it.
const OVERDUE_ROWS: u64 = 8 * TRIM_ROWS_MAX;
/// Time between two looks for old answers, in milliseconds.
const REPLIES_EVERY_MS: i64 = 60 * 60 * 1000;

/// What is due.
pub(crate) struct Upkeep {
    dir: PathBuf,
    events_kept_max: u64,
    journal_kept_max: u64,
    backup_every_ms: i64,
    /// Events and journal rows that came since the tables were trimmed.
    grown: u64,
    replies_at: i64,
    backup_at: i64,
    changed: bool,
}

impl Upkeep {
    /// For the database in `dir`.
    pub(crate) fn new(dir: PathBuf, options: &Options) -> Result<Self, StoreError> {
        Ok(Self {
            events_kept_max: options.events_kept_max,
            journal_kept_max: options.journal_kept_max,
            backup_every_ms: i64::try_from(options.backup_every.as_millis()).unwrap_or(i64::MAX),
            // as if they had grown already: a daemon that is restarted often must trim, too
            grown: TRIM_ROWS_MAX,
            replies_at: 0,
            backup_at: backup::newest_first(&dir)?.first().map_or(i64::MIN, |backup| backup.at),
            changed: false,
            dir,
        })
    }

    /// `rows` changes have been committed.
    pub(crate) fn committed(&mut self, rows: usize) {
        self.grown += rows as u64;
        self.changed |= rows > 0;
    }

    /// Whether it can be put off no longer, though commits wait.
    pub(crate) fn is_overdue(&self) -> bool {
        self.grown >= OVERDUE_ROWS
    }

    /// Does what is due at `now`, in milliseconds since 1970. What fails is logged and tried again
    /// after further commits: the truth does not depend on it.
    pub(crate) fn run(&mut self, db: &mut Connection, now: i64) {
        if !self.changed {
            return;
        }
        if self.grown >= TRIM_ROWS_MAX {
            match trim(db, self.events_kept_max, self.journal_kept_max) {
                Ok(()) => self.grown -= TRIM_ROWS_MAX,
                Err(e) => tracing::warn!("failed to remove old events: {e}"),
            }
        }
        if now - self.replies_at >= REPLIES_EVERY_MS {
            match trim_replies(db, now).and_then(|()| task::trim(db)) {
                Ok(()) => self.replies_at = now,
                Err(e) => tracing::warn!("failed to remove old answers: {e}"),
            }
        }
        // a clock that went back must not put it off for ever
        if now.saturating_sub(self.backup_at) >= self.backup_every_ms || now < self.backup_at {
            self.backup_at = now;
            match backup::make(db, &self.dir, now) {
                Ok(()) => self.changed = false,
                Err(e) => tracing::warn!("failed to back the database up: {e}"),
            }
        }
    }
}

fn trim(db: &mut Connection, events_kept_max: u64, journal_kept_max: u64) -> Result<(), StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    trim_events(&transaction, events_kept_max)?;
    trim_journal(&transaction, journal_kept_max)?;
    record::trim(&transaction)?;
    Ok(transaction.commit()?)
}

fn trim_events(db: &Connection, kept_max: u64) -> Result<(), StoreError> {
    // by counting, as their numbers may have gaps
    db.prepare_cached(
        "DELETE FROM event WHERE seq IN (
            SELECT seq FROM event
            WHERE seq <= (SELECT seq FROM event ORDER BY seq DESC LIMIT 1 OFFSET ?1)
            ORDER BY seq LIMIT ?2)",
    )?
    .execute(params![kept_max.cast_signed(), 2 * TRIM_ROWS_MAX.cast_signed()])?;
    Ok(())
}

/// Folds the oldest rows of the journal into the checkpoint, so that both together still give the
/// tables.
fn trim_journal(db: &Connection, kept_max: u64) -> Result<(), StoreError> {
    // what the rows leave of each row of a table: its last change, or nothing
    let mut left: HashMap<(&'static str, String), Option<String>> = HashMap::new();
    let mut last = None;
    let mut old = db.prepare_cached(
        "SELECT n, change FROM journal WHERE n <= (SELECT max(n) FROM journal) - ?1 ORDER BY n LIMIT ?2",
    )?;
    let mut rows = old.query(params![kept_max.cast_signed(), 2 * TRIM_ROWS_MAX.cast_signed()])?;
    while let Some(row) = rows.next()? {
        let n: i64 = row.get(0)?;
        let text: String = row.get(1)?;
        let change: Change = serde_json::from_str(&text)
            .map_err(|e| StoreError::Unreadable { row: format!("journal {n}"), why: e.to_string() })?;
        match effect(change) {
            Some(Effect::Put(kind, key)) => left.insert((kind, key), Some(text)),
            Some(Effect::Delete(kind, key)) => left.insert((kind, key), None),
            None => None,
        };
        last = Some(n);
    }
    for ((kind, key), change) in left {
        match change {
            Some(change) => db
                .prepare_cached(
                    "INSERT INTO checkpoint (kind, key, change) VALUES (?1, ?2, ?3)
                     ON CONFLICT (kind, key) DO UPDATE SET change = excluded.change",
                )?
                .execute([kind, &key, &change])?,
            None => db
                .prepare_cached("DELETE FROM checkpoint WHERE kind = ?1 AND key = ?2")?
                .execute([kind, &key])?,
        };
    }
    if let Some(last) = last {
        db.prepare_cached("DELETE FROM journal WHERE n <= ?1")?.execute([last])?;
    }
    Ok(())
}

/// What a change of the journal leaves: one row, by its table and key, or one row less.
enum Effect {
    Put(&'static str, String),
    Delete(&'static str, String),
}

fn effect(change: Change) -> Option<Effect> {
    Some(match change {
        Change::PutWorkspace(row) => Effect::Put("workspace", row.id),
        Change::DeleteWorkspace(id) => Effect::Delete("workspace", id),
        Change::PutProcess(row) => Effect::Put("process", row.id),
        Change::DeleteProcess(id) => Effect::Delete("process", id),
        Change::PutRun(row) => Effect::Put("run", row.run_id),
        Change::DeleteRun(run_id) => Effect::Delete("run", run_id),
        Change::PutConfig(row) => Effect::Put("config", row.generation.to_string()),
        Change::DeleteConfig(generation) => Effect::Delete("config", generation.to_string()),
        Change::PutTrust(row) => Effect::Put("trust", row.path.to_string_lossy().into_owned()),
        Change::DeleteTrust(path) => Effect::Delete("trust", path.to_string_lossy().into_owned()),
        Change::PutPrompt(_)
        | Change::PutAsk(_)
        | Change::PutAccount(_)
        | Change::DeleteAccount(_)
        | Change::PutIntent(_)
        | Change::DeleteIntent(_)
        | Change::PutArrangement(_)
        | Change::AddTask(_)
        | Change::PutTask(_)
        | Change::EditTask(_)
        | Change::DeleteTask(_)
        | Change::PutGroup { .. }
        | Change::PutEnvironment { .. }
        | Change::PutLease(_)
        | Change::DeleteLease(_)
        | Change::PutReply(_)
        | Change::Event(_) => return None,
    })
}

fn trim_replies(db: &Connection, now: i64) -> Result<(), StoreError> {
    db.prepare_cached(
        "DELETE FROM reply WHERE at <= ?1
            OR at < (SELECT at FROM reply ORDER BY at DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![now - REPLY_AGE_MS_MAX, REPLIES_KEPT_MAX])?;
    Ok(())
}
