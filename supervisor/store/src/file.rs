//! The database file: made, checked, brought up to date, and replaced if it is damaged.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, params};
use rusqlite_migration::{M, Migrations};

use crate::{
    backup,
    error::StoreError,
    load::{Loaded, load},
};

/// Name of the database in the state directory. SQLite adds `-wal` and `-shm` beside it.
pub(crate) const FILE: &str = "state.db";
/// How many damaged databases are kept: enough to look into, and no disk filled by a bad one.
const CORRUPT_KEPT_MAX: usize = 3;
/// `application_id` of our databases, set by the first migration.
const APPLICATION_ID: i64 = 0x575A_504C;
/// Page cache of a connection, in KiB. All rows of a hundred processes fit; the default is 2 MB.
const CACHE_KIB: i64 = 512;
/// Size to which the write-ahead log is cut down after a checkpoint, in bytes: a usual one's.
const WAL_BYTES_KEPT: i64 = 4 << 20;
/// Prepared statements kept by a connection: all there are.
const STATEMENTS_KEPT_MAX: usize = 48;
/// How long another program's lock is waited for, in milliseconds. Nobody has one but a person who
/// looks into the database.
const BUSY_MS_MAX: u64 = 2_000;
/// Key in `meta`: event numbers up to this one may have been given out before a restore.
pub(crate) const SEQ_FLOOR: &str = "seq_floor";

/// Every schema there ever was, in order.
const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("../migrations/0001-first.sql")),
    M::up(include_str!("../migrations/0002-agents.sql")),
    M::up(include_str!("../migrations/0003-glass.sql")),
    M::up(include_str!("../migrations/0004-tasks.sql")),
];
/// The schema's version: how many migrations there are.
const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// Opens the database in `dir`, makes it if it is not there, and loads what it holds. A damaged one is
/// moved aside and the newest good backup takes its place; `Loaded::problem` then says so.
///
/// # Errors
/// `Newer`, `Foreign` and `Unreadable` leave the file as it is; `Full` and `Io` too.
pub(crate) fn open(dir: &Path, now: i64) -> Result<(Connection, Loaded), StoreError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| StoreError::io("cannot make the state directory", &e))?;
    let path = dir.join(FILE);
    let why = match open_file(&path, now) {
        Err(StoreError::Corrupt(why)) => why,
        other => return other,
    };

    let aside = move_aside(dir, now)?;
    let mut problem = format!("the database was damaged ({why}) and has been moved to {}; ", aside.display());
    for backup in backup::newest_first(dir)? {
        backup::restore(&backup.path, &path)?;
        match open_file(&path, now) {
            Ok((db, mut loaded)) => {
                let minutes = (now - backup.at).max(0) / 60_000;
                problem.push_str(&format!(
                    "the backup of {minutes} minutes ago was restored, what changed since is lost"
                ));
                raise_seq_floor(&db, &mut loaded, now)?;
                loaded.problem = Some(problem);
                return Ok((db, loaded));
            }
            Err(StoreError::Corrupt(_)) => remove(&path)?,
            Err(e) => return Err(e),
        }
    }
    let (db, mut loaded) = open_file(&path, now)?;
    problem.push_str("there is no good backup, so it starts with nothing");
    raise_seq_floor(&db, &mut loaded, now)?;
    loaded.problem = Some(problem);
    Ok((db, loaded))
}

/// A connection that can only read.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    small_and_patient(&db)?;
    Ok(db)
}

fn open_file(path: &Path, now: i64) -> Result<(Connection, Loaded), StoreError> {
    // made by us and not by SQLite, which would let others read it; -wal and -shm follow its mode
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
        .map_err(|e| StoreError::io("cannot open the database", &e))?;
    let mut db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    small_and_patient(&db)?;
    // looked at before anything is written: it may not be ours
    let application: i64 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let objects: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (objects > 0 || version > 0) {
        return Err(StoreError::Foreign { path: path.into() });
    }
    if version > SCHEMA {
        return Err(StoreError::Newer { path: path.into(), found: version, known: SCHEMA });
    }
    durable(&db)?;
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Corrupt(verdict));
    }
    Migrations::from_slice(MIGRATIONS).to_latest(&mut db).map_err(|e| match e {
        rusqlite_migration::Error::RusqliteError { err, .. } => err.into(),
        e => StoreError::Corrupt(e.to_string()),
    })?;
    let loaded = load(&db, now)?;
    Ok((db, loaded))
}

fn small_and_patient(db: &Connection) -> Result<(), StoreError> {
    db.busy_timeout(std::time::Duration::from_millis(BUSY_MS_MAX))?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_KEPT_MAX);
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;
    db.pragma_update(None, "mmap_size", 0)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

/// What a commit's answer promises: it is on the disk, also after a power failure.
fn durable(db: &Connection) -> Result<(), StoreError> {
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Io(format!(
            "the state directory's file system cannot hold a write-ahead log (journal_mode is {mode})"
        )));
    }
    db.pragma_update(None, "synchronous", "FULL")?;
    // macOS alone: its fsync leaves the data in the drive's cache
    db.pragma_update(None, "fullfsync", true)?;
    db.pragma_update(None, "checkpoint_fullfsync", true)?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    Ok(())
}

/// Moves the database away with all that belongs to it, so that it can be looked into.
fn move_aside(dir: &Path, now: i64) -> Result<PathBuf, StoreError> {
    let aside = dir.join(format!("{FILE}.corrupt-{now}"));
    for suffix in ["-wal", "-shm", ""] {
        let from = with_suffix(&dir.join(FILE), suffix);
        match fs::rename(&from, with_suffix(&aside, suffix)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("cannot move the damaged database away", &e));
            }
            _ => {}
        }
    }
    backup::sync_dir(dir)?;
    let mut old: Vec<i64> = fs::read_dir(dir)
        .map_err(|e| StoreError::io("cannot read the state directory", &e))?
        .flatten()
        .filter_map(|entry| {
            entry.file_name().to_str()?.strip_prefix(&format!("{FILE}.corrupt-"))?.parse().ok()
        })
        .collect();
    old.sort_unstable();
    for at in old.iter().rev().skip(CORRUPT_KEPT_MAX) {
        remove(&dir.join(format!("{FILE}.corrupt-{at}")))?;
    }
    Ok(aside)
}

/// Removes a database and what SQLite keeps beside it.
fn remove(path: &Path) -> Result<(), StoreError> {
    for suffix in ["-wal", "-shm", ""] {
        match fs::remove_file(with_suffix(path, suffix)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("cannot remove a damaged database", &e));
            }
            _ => {}
        }
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Numbers of lost events must not be given out again: a client that saw the lost ones would take the
/// new ones for them. The time in milliseconds is above any number there was, as events are rarer.
fn raise_seq_floor(db: &Connection, loaded: &mut Loaded, now: i64) -> Result<(), StoreError> {
    let floor = now.max(loaded.last_seq.cast_signed());
    db.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![SEQ_FLOOR, floor.to_string()],
    )?;
    loaded.last_seq = floor.cast_unsigned();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_valid_and_counted() {
        assert!(Migrations::from_slice(MIGRATIONS).validate().is_ok());
        let mut db = Connection::open_in_memory().expect("a database");
        Migrations::from_slice(MIGRATIONS).to_latest(&mut db).expect("migrated");
        let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("a version");
        assert_eq!(version, SCHEMA);
        let id: i64 = db.query_row("PRAGMA application_id", [], |row| row.get(0)).expect("an id");
        assert_eq!(id, APPLICATION_ID);
    }
}
