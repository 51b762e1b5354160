//! The handle that everybody holds.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use indexmap::IndexMap;
use rusqlite::Connection;
use wezterm_parallel_schemas::{inbox::AskView, prompt::PromptView, task::TaskAdd};

use crate::{
    error::StoreError,
    event::{self, EventFilter, Events},
    file,
    load::{self, Loaded, load_reply},
    record::{self, ASKS_KEPT_MAX, PROMPTS_KEPT_MAX},
    row::{Change, PromptRow, ReplyRow, TaskBrought, TaskLoaded},
    task,
    upkeep::Upkeep,
    writer::{Command, QUEUE_COMMANDS_MAX, Writer, now},
};

/// How many events are kept: days of fifty busy agents, in some 10 MB.
pub const EVENTS_KEPT_MAX: u64 = 100_000;
/// How many rows of the journal are kept. A row holds a whole definition, about a kilobyte: ten times
/// as many make opening take 160 ms instead of 60.
pub const JOURNAL_KEPT_MAX: u64 = 10_000;
/// How many events are read at a time: a frame of the wire holds them.
pub const EVENTS_READ_MAX: u32 = 1_000;
/// Time between two backups while there is work, in milliseconds: what a damaged disk may cost.
const BACKUP_EVERY_MS: u64 = 60 * 60 * 1000;
/// Stack of the writer thread, in bytes. SQLite needs less than a third of it.
const WRITER_STACK_BYTES: usize = 256 << 10;

/// How a store behaves. The default is what the daemon uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Added to each commit before it is answered, to try how all goes with a slow disk. None by default.
    pub fsync_delay: Duration,
    /// How many events are kept, give or take a few thousand. [`EVENTS_KEPT_MAX`] by default.
    pub events_kept_max: u64,
    /// How many rows of the journal are kept, give or take a few thousand. [`JOURNAL_KEPT_MAX`] by
    /// default.
    pub journal_kept_max: u64,
    /// Time between two backups while there is work. An hour by default.
    pub backup_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fsync_delay: Duration::ZERO,
            events_kept_max: EVENTS_KEPT_MAX,
            journal_kept_max: JOURNAL_KEPT_MAX,
            backup_every: Duration::from_millis(BACKUP_EVERY_MS),
        }
    }
}

/// A handle to the store; clones are the same store. When the last one is dropped, what waits is
/// committed, and the writer thread ends.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// None only while it is dropped.
    commands: Option<SyncSender<Command>>,
    writer: Option<JoinHandle<()>>,
    path: PathBuf,
    /// Opened at the first question: most daemons are never asked.
    reader: Mutex<Option<Connection>>,
}

/// The variables of a task's environment, if it has one of its own.
pub type Variables = Option<IndexMap<String, String>>;

impl Store {
    /// Opens the store in `state_dir`, or makes it, and loads all that it holds. To be called by the
    /// one daemon of that directory. Blocks for as long as it takes to read the database once.
    ///
    /// A damaged database is no error: it is moved aside, the newest good backup takes its place, and
    /// [`Loaded::problem`] says so.
    ///
    /// # Errors
    /// `Newer`, `Foreign` or `Unreadable` if this release must not touch the database; `Full` or `Io`
    /// if the disk refuses.
    pub fn open(state_dir: &Path) -> Result<(Self, Loaded), StoreError> {
        Self::open_with(state_dir, &Options::default())
    }

    /// Opens the store with other options.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(state_dir: &Path, options: &Options) -> Result<(Self, Loaded), StoreError> {
        let (db, loaded) = file::open(state_dir, now())?;
        let upkeep = Upkeep::new(state_dir.to_path_buf(), options)?;
        let writer = Writer { db, upkeep, fsync_delay: options.fsync_delay };
        let (commands, waiting) = sync_channel(QUEUE_COMMANDS_MAX);
        let writer = thread::Builder::new()
            .name("store".into())
            .stack_size(WRITER_STACK_BYTES)
            .spawn(move || writer.run(&waiting))
            .map_err(|e| StoreError::io("cannot start the writer thread", &e))?;
        let inner = Inner {
            commands: Some(commands),
            writer: Some(writer),
            path: state_dir.join(file::FILE),
            reader: Mutex::new(None),
        };
        Ok((Self { inner: Arc::new(inner) }, loaded))
    }

    /// Makes `changes`, in this order, all of them or none. Never blocks; `on_done` is called once, on
    /// the writer thread, when they are on the disk or have failed, in the order of the calls. It must
    /// not block and must not wait for the store. No changes at all are a way to learn that all
    /// earlier ones are done.
    ///
    /// # Errors
    /// `on_done` gets them: `Refused` if a change contradicts what is there, `Full`, `Io` or `Corrupt`
    /// if the disk does not take it, and, from the calling thread, `Busy` if too many wait or
    /// `Stopped` if the writer has ended.
    pub fn commit(
        &self,
        changes: Vec<Change>,
        on_done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        let command = Command::new(changes, on_done);
        let Some(commands) = &self.inner.commands else { return };
        match commands.try_send(command) {
            Ok(()) => {}
            Err(TrySendError::Full(command)) => command.finish(Err(StoreError::Busy)),
            Err(TrySendError::Disconnected(command)) => command.finish(Err(StoreError::Stopped)),
        }
    }

    /// Makes `changes` and waits until they are on the disk.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_wait(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let (done, wait) = sync_channel(1);
        self.commit(changes, move |result| {
            // the receiver is this call, which is still there
            let _ = done.send(result);
        });
        wait.recv().unwrap_or(Err(StoreError::Stopped))
    }

    /// Committed events after number `seq` that pass `filter`, at most `limit` and never more than
    /// [`EVENTS_READ_MAX`], in order. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn events_since(&self, seq: u64, limit: u32, filter: &EventFilter) -> Result<Events, StoreError> {
        self.read(|db| event::since(db, seq, limit.min(EVENTS_READ_MAX), filter))
    }

    /// The committed answer for an idempotency key, if it is younger than 24 hours. Blocks for the
    /// time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn reply(&self, key: &str) -> Result<Option<ReplyRow>, StoreError> {
        self.read(|db| load_reply(db, key, now()))
    }

    /// The newest requests of agents, at most `limit`, newest first. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn asks(&self, limit: u32) -> Result<Vec<AskView>, StoreError> {
        self.asks_with(limit, |ask| ask)
    }

    /// The same, each as `keep` leaves it: so that no more of them is in memory than is wanted.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn asks_with<T>(&self, limit: u32, keep: impl FnMut(AskView) -> T) -> Result<Vec<T>, StoreError> {
        self.read(|db| record::newest_asks(db, limit.min(ASKS_KEPT_MAX), keep))
    }

    /// One request, by its id. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn ask(&self, id: &str) -> Result<Option<AskView>, StoreError> {
        self.read(|db| record::ask(db, id))
    }

    /// Ids of the newest requests that end so, at most `limit`. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable` or `Io`.
    pub fn asks_ending(&self, end: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        self.read(|db| record::asks_ending(db, end, limit))
    }

    /// Whether a request of an agent is kept that is over. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn ask_is_over(&self, id: &str) -> Result<bool, StoreError> {
        self.read(|db| record::ask_is_over(db, id))
    }

    /// What is shown of the newest prompts, at most `limit`, newest first, without their whole texts: those
    /// of one process or of all, and those that are over if wanted. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn prompts(
        &self,
        process: Option<&str>,
        over: bool,
        limit: u32,
    ) -> Result<Vec<PromptView>, StoreError> {
        self.read(|db| record::prompt_views(db, process, over, limit.clamp(1, PROMPTS_KEPT_MAX)))
    }

    /// The newest prompt that was sent with this idempotency key. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn prompt_of_key(&self, key: &str) -> Result<Option<PromptRow>, StoreError> {
        self.read(|db| record::prompt_of_key(db, key))
    }

    /// The prompts of a process that are not over, oldest first. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn prompts_under_way(&self, process: &str) -> Result<Vec<PromptRow>, StoreError> {
        self.read(|db| record::prompts_under_way_of(db, process))
    }

    /// One prompt, by its id. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn prompt(&self, id: &str) -> Result<Option<PromptRow>, StoreError> {
        self.read(|db| record::prompt(db, id))
    }

    /// All tasks, and the groups that are paused. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn tasks(&self) -> Result<(Vec<TaskLoaded>, Vec<String>), StoreError> {
        self.read(|db| Ok((load::tasks(db)?, load::paused_groups(db)?)))
    }

    /// What was asked of a task, and the variables of its environment, if it has one of its own. Blocks for the
    /// time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn task_asked(&self, id: &str) -> Result<Option<(TaskAdd, Variables)>, StoreError> {
        self.read(|db| task::asked(db, id))
    }

    /// What the last attempt of a task has brought, if one is over. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Unreadable`, `Io` or `Corrupt`.
    pub fn task_brought(&self, id: &str) -> Result<Option<TaskBrought>, StoreError> {
        self.read(|db| task::brought(db, id))
    }

    /// Directories that workspaces have had, those that are deleted as well, with when each was last written
    /// down, newest first: as far back as the journal goes. Blocks for the time of a read.
    ///
    /// # Errors
    /// `Io` or `Corrupt`.
    pub fn workspace_directories(&self, limit: u32) -> Result<Vec<(PathBuf, i64)>, StoreError> {
        self.read(|db| record::workspace_directories(db, limit))
    }

    fn read<T>(&self, ask: impl FnOnce(&mut Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut reader = self.inner.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let db = match &mut *reader {
            Some(db) => db,
            none => none.insert(file::open_reader(&self.inner.path)?),
        };
        ask(db)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // before the writer closes its own: the last one to close empties the write-ahead log, which a
        // reader cannot
        *self.reader.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        self.commands = None;
        let Some(writer) = self.writer.take() else { return };
        // the last handle may have been held by a callback, and a thread cannot wait for itself
        if writer.thread().id() != thread::current().id() && writer.join().is_err() {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}
