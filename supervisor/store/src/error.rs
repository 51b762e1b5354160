//! What can go wrong, told apart by what the caller can do about it.

use std::{fmt, path::PathBuf};

use rusqlite::ErrorCode;

/// Why the store did not do as told. Nothing of the commit that failed is kept.
///
/// Messages are in lower case and read after "failed to …:". Those of a commit hold no paths and no
/// values, so a client may see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// No room is left on the disk. Later commits work again once there is.
    Full,
    /// The disk or the operating system refused. Later commits may work again.
    Io(String),
    /// The change contradicts what is there; it says how. Other commits are not touched by it.
    Refused(String),
    /// More commits wait than [`QUEUE_COMMANDS_MAX`](crate::QUEUE_COMMANDS_MAX): the disk is too slow.
    Busy,
    /// The database is damaged. Opening it anew restores what can be restored.
    Corrupt(String),
    /// A newer release has written the database.
    Newer {
        /// The database.
        path: PathBuf,
        /// Version of its schema.
        found: i64,
        /// The newest that this release knows.
        known: i64,
    },
    /// The file is a database of another program.
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A row cannot be understood: a newer release wrote it, or somebody edited the database.
    Unreadable {
        /// The table and the row's key.
        row: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store has been closed.
    Stopped,
}

impl StoreError {
    /// The error of an operation on files.
    pub(crate) fn io(what: &str, e: &std::io::Error) -> Self {
        if e.kind() == std::io::ErrorKind::StorageFull {
            return Self::Full;
        }
        Self::Io(format!("{what}: {e}"))
    }

    /// Whether it is the fault of one change, and the rest of its group can go on.
    pub(crate) fn is_of_one_change(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Full
            | Self::Io(_)
            | Self::Busy
            | Self::Corrupt(_)
            | Self::Newer { .. }
            | Self::Foreign { .. }
            | Self::Unreadable { .. }
            | Self::Stopped => false,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::Io(why) => write!(f, "the database could not be written or read: {why}"),
            Self::Refused(why) => f.write_str(why),
            Self::Busy => f.write_str("too many changes wait for the disk"),
            Self::Corrupt(why) => write!(f, "the database is damaged: {why}"),
            Self::Newer { path, found, known } => write!(
                f,
                "{} was written by a newer release (schema {found}, this release knows {known}); \
                 run that release, or move the file away to start with nothing",
                path.display()
            ),
            Self::Foreign { path } => write!(
                f,
                "{} is a database of another program; move it away or choose another state directory",
                path.display()
            ),
            Self::Unreadable { row, why } => write!(
                f,
                "{row} in the database cannot be understood ({why}); if a newer release wrote it, run that release"
            ),
            Self::Stopped => f.write_str("the store is closed"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> Self {
        let Some(code) = e.sqlite_error_code() else {
            return Self::Refused(e.to_string());
        };
        let why = e.to_string();
        match code {
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt(why),
            ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch => {
                Self::Refused(conflict(&why))
            }
            // busy and locked too: only another program can hold our database
            _ => Self::Io(why),
        }
    }
}

/// SQLite's words for a broken constraint, as a person would say it.
fn conflict(why: &str) -> String {
    let known = [
        ("workspace.name", "there is a workspace of this name already"),
        ("process.workspace_id, process.name", "the workspace has a process of this name already"),
        ("run.process_id", "the process has a run that has not ended"),
        ("event.seq", "there is an event of this number already"),
        ("FOREIGN KEY", "it belongs to something that is not there"),
    ];
    known
        .iter()
        .find(|(part, _)| why.contains(part))
        .map_or_else(|| why.to_string(), |(_, text)| (*text).to_string())
}
