//! Copies of the database, made while it is in use, for the day it is damaged.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use crate::error::StoreError;

/// How many backups are kept: the last three hours of work.
const BACKUPS_KEPT_MAX: usize = 3;
/// Folder of the backups in the state directory.
const FOLDER: &str = "backups";
/// What stands around the time in a backup's name.
const PREFIX: &str = "state-";
const SUFFIX: &str = ".db";

/// A backup.
pub(crate) struct Backup {
    /// The file.
    pub path: PathBuf,
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
}

/// All backups, the newest first.
pub(crate) fn newest_first(dir: &Path) -> Result<Vec<Backup>, StoreError> {
    let folder = match fs::read_dir(dir.join(FOLDER)) {
        Ok(folder) => folder,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(StoreError::io("cannot read the backups", &e)),
    };
    let mut all: Vec<Backup> = folder
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let at = name.to_str()?.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
            Some(Backup { path: entry.path(), at })
        })
        .collect();
    all.sort_unstable_by_key(|backup| std::cmp::Reverse(backup.at));
    Ok(all)
}

/// Makes a backup named after `now`, in milliseconds since 1970, and removes the oldest beyond
/// [`BACKUPS_KEPT_MAX`]. It is there whole or not at all.
pub(crate) fn make(db: &Connection, dir: &Path, now: i64) -> Result<(), StoreError> {
    let failed = |e: io::Error| StoreError::io("cannot make a backup", &e);
    let folder = dir.join(FOLDER);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
    let unfinished = folder.join("unfinished");
    remove_if_there(&unfinished).map_err(failed)?;
    // SQLite writes into an empty file as well, and this one is ours alone to read
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(failed)?;
    let name = unfinished
        .to_str()
        .ok_or_else(|| StoreError::Io("the state directory's path is not UTF-8".into()))?;
    let made = db.execute("VACUUM INTO ?1", [name]).map_err(StoreError::from).and_then(|_| {
        // VACUUM INTO leaves this to its caller
        File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
        fs::rename(&unfinished, folder.join(format!("{PREFIX}{now}{SUFFIX}"))).map_err(failed)
    });
    if made.is_err() {
        // half a copy would only take room; the failure that led here is the one to report
        let _ = fs::remove_file(&unfinished);
    }
    made?;
    sync_dir(&folder)?;
    for old in newest_first(dir)?.iter().skip(BACKUPS_KEPT_MAX) {
        remove_if_there(&old.path).map_err(failed)?;
    }
    Ok(())
}

/// Puts a copy of `backup` at `path`, whole or not at all.
pub(crate) fn restore(backup: &Path, path: &Path) -> Result<(), StoreError> {
    let failed = |e: io::Error| StoreError::io("cannot restore a backup", &e);
    let unfinished = path.with_extension("db.restoring");
    remove_if_there(&unfinished).map_err(failed)?;
    let mut to =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(failed)?;
    io::copy(&mut File::open(backup).map_err(failed)?, &mut to).map_err(failed)?;
    to.sync_all().map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes renames in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| StoreError::io("cannot sync a directory", &e))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
