//! Durable truth: SQLite behind one writer thread. What is meant to be there, what runs, what
//! happened, which config is trusted. A change is answered when it is on the disk, never before.
//!
//! ```text
//! Store::commit ─▸ bounded queue ─▸ writer thread: one transaction for all that waits ─▸ on_done
//! Store::events_since, Store::reply ─▸ a read-only connection of their own
//! ```
//!
//! There is one store per state directory; the daemon's lock sees to that. No async runtime is
//! needed: a callback says when a commit is true.

mod row;
mod store;

mod apply;
mod backup;
mod error;
mod event;
mod file;
mod load;
mod record;
mod task;
mod upkeep;
mod writer;

pub use crate::{
    apply::{CONFIGS_KEPT_MAX, REPLY_AGE_MS_MAX},
    error::StoreError,
    event::{EventFilter, Events, Take},
    load::{Loaded, REPLIES_LOADED_MAX},
    record::{ASKS_KEPT_MAX, PROMPTS_KEPT_MAX},
    row::{
        AccountRow, ArrangementRow, Change, ConfigRow, IntentRow, LeaseRow, ProcessRow, PromptRow, ReplyRow,
        RunRow, RunState, TaskBrought, TaskCard, TaskKept, TaskLoaded, TaskPut, TrustRow, WorkspaceRow,
    },
    store::{EVENTS_KEPT_MAX, EVENTS_READ_MAX, JOURNAL_KEPT_MAX, Options, Store},
    upkeep::REPLIES_KEPT_MAX,
    writer::{GROUP_COMMANDS_MAX, GROUP_MS_MAX, QUEUE_COMMANDS_MAX},
};
