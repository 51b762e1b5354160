//! The writer thread: takes what waits, commits it as one transaction, then says so.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, TryRecvError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rusqlite::Connection;

use crate::{apply::apply, error::StoreError, row::Change, upkeep::Upkeep};

/// How many commits may wait. Fifty agents make some hundred a second at their busiest, so this many
/// only wait if the disk has stood still for seconds.
pub const QUEUE_COMMANDS_MAX: usize = 4_096;
/// How many commits share a transaction. From here on one costs less than its share of the fsync.
pub const GROUP_COMMANDS_MAX: usize = 256;
/// How long a transaction is added to, in milliseconds, if commits keep coming: less than an fsync on
/// most disks. Nobody is waited for: it ends at once when the queue is empty.
pub const GROUP_MS_MAX: u64 = 2;

/// Called when a commit is on the disk, or when it has failed.
type OnDone = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A commit that waits. It is always answered: dropped without an answer, it says `Stopped`.
pub(crate) struct Command {
    changes: Vec<Change>,
    on_done: Option<OnDone>,
}

impl Command {
    /// A commit of `changes`, in this order.
    pub(crate) fn new(
        changes: Vec<Change>,
        on_done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Self {
        Self { changes, on_done: Some(Box::new(on_done)) }
    }

    /// Answers it.
    pub(crate) fn finish(mut self, result: Result<(), StoreError>) {
        self.answer(result);
    }

    fn answer(&mut self, result: Result<(), StoreError>) {
        let Some(on_done) = self.on_done.take() else { return };
        // a caller's fault must not end the thread that all others depend on
        if catch_unwind(AssertUnwindSafe(|| on_done(result))).is_err() {
            tracing::error!("a commit's callback panicked");
        }
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        self.answer(Err(StoreError::Stopped));
    }
}

/// The writer: owns the only connection that can write.
pub(crate) struct Writer {
    pub db: Connection,
    pub upkeep: Upkeep,
    /// Added to every commit, to try how it goes with a slow disk.
    pub fsync_delay: Duration,
}

impl Writer {
    /// Commits what comes until nobody can send any more.
    pub(crate) fn run(mut self, commands: &Receiver<Command>) {
        let mut next = commands.recv().ok();
        while let Some(first) = next {
            self.commit_group(first, commands);
            let waiting = commands.try_recv();
            if waiting.is_err() || self.upkeep.is_overdue() {
                self.upkeep.run(&mut self.db, now());
            }
            next = match waiting {
                Ok(command) => Some(command),
                Err(TryRecvError::Empty) => commands.recv().ok(),
                Err(TryRecvError::Disconnected) => None,
            };
        }
    }

    /// Commits `first` and what waits behind it, then answers them in the order in which they came.
    fn commit_group(&mut self, first: Command, commands: &Receiver<Command>) {
        let mut group: Vec<(Command, Result<(), StoreError>)> = Vec::new();
        let all = self.apply_group(first, commands, &mut group).and_then(|()| {
            self.db.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        });
        match &all {
            Ok(()) => {
                let kept = group.iter().filter(|(_, result)| result.is_ok());
                self.upkeep.committed(kept.map(|(command, _)| command.changes.len()).sum());
                if !self.fsync_delay.is_zero() {
                    std::thread::sleep(self.fsync_delay);
                }
            }
            Err(_) => self.roll_back(),
        }
        for (command, result) in group {
            command.finish(all.clone().and(result));
        }
    }

    /// Applies the group's commands in one transaction, which it leaves open. Each has a savepoint, so
    /// that one that is refused takes nothing along.
    ///
    /// # Errors
    /// What makes it impossible to go on with the transaction.
    fn apply_group(
        &self,
        first: Command,
        commands: &Receiver<Command>,
        group: &mut Vec<(Command, Result<(), StoreError>)>,
    ) -> Result<(), StoreError> {
        let until = Instant::now() + Duration::from_millis(GROUP_MS_MAX);
        let at = now();
        let mut next = Some(first);
        let mut begun = Ok(());
        while let Some(command) = next {
            if group.is_empty() {
                begun = self.execute("BEGIN IMMEDIATE");
            }
            let result = begun.clone().and_then(|()| self.apply_command(&command, at));
            group.push((command, result.clone()));
            match result {
                Err(e) if !e.is_of_one_change() => return Err(e),
                _ => {}
            }
            next = if group.len() < GROUP_COMMANDS_MAX && Instant::now() < until {
                commands.try_recv().ok()
            } else {
                None
            };
        }
        Ok(())
    }

    fn apply_command(&self, command: &Command, at: i64) -> Result<(), StoreError> {
        self.execute("SAVEPOINT command")?;
        let result = command.changes.iter().try_for_each(|change| apply(&self.db, change, at));
        match &result {
            Err(e) if !e.is_of_one_change() => return result,
            Err(_) => self.execute("ROLLBACK TO command")?,
            Ok(()) => {}
        }
        self.execute("RELEASE command")?;
        result
    }

    fn roll_back(&self) {
        // SQLite has done so itself after some errors
        if !self.db.is_autocommit()
            && let Err(e) = self.execute("ROLLBACK")
        {
            tracing::error!("failed to roll a transaction back: {e}");
        }
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.db.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};

    use wezterm_parallel_schemas::event::{Event, EventKind};

    use super::*;
    use crate::{file, store::Options};

    fn event(seq: u64, text: &str) -> Change {
        let mut event = Event::new(EventKind::ProcessState);
        event.seq = seq;
        event.message = Some(text.into());
        Change::Event(event)
    }

    #[test]
    fn a_full_disk_fails_the_whole_group_and_later_ones_work() {
        let dir = tempfile::tempdir().expect("a directory");
        let (db, _) = file::open(dir.path(), now()).expect("a database");
        let upkeep = Upkeep::new(dir.path().into(), &Options::default()).expect("upkeep");
        let mut writer = Writer { db, upkeep, fsync_delay: Duration::ZERO };
        let (sender, waiting) = sync_channel(8);
        let (answer, answers) = channel();
        let commit = |seq: u64, text: &str| {
            let answer = answer.clone();
            Command::new(vec![event(seq, text)], move |result| {
                answer.send((seq, result)).expect("the test listens");
            })
        };
        let pages: i64 = writer.db.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("counted");
        writer.db.pragma_update(None, "max_page_count", pages + 2).expect("limited");

        sender.send(commit(2, &"x".repeat(100_000))).expect("sent");
        writer.commit_group(commit(1, "small"), &waiting);
        assert_eq!(
            answers.try_iter().collect::<Vec<_>>(),
            [(1, Err(StoreError::Full)), (2, Err(StoreError::Full))]
        );
        writer.commit_group(commit(1, "small"), &waiting);
        assert_eq!(
            answers.try_iter().collect::<Vec<_>>(),
            [(1, Ok(()))],
            "its number is free, there is room"
        );
    }

    #[test]
    fn a_group_is_bounded() {
        let dir = tempfile::tempdir().expect("a directory");
        let (db, _) = file::open(dir.path(), now()).expect("a database");
        let upkeep = Upkeep::new(dir.path().into(), &Options::default()).expect("upkeep");
        let mut writer = Writer { db, upkeep, fsync_delay: Duration::ZERO };
        let (sender, waiting) = sync_channel(QUEUE_COMMANDS_MAX);
        let (answer, answers) = channel();
        for _ in 0..QUEUE_COMMANDS_MAX {
            let answer = answer.clone();
            let command = Command::new(vec![], move |result| answer.send(result).expect("the test listens"));
            sender.send(command).expect("there is room");
        }
        let first = waiting.recv().expect("sent");
        writer.commit_group(first, &waiting);
        let answered = answers.try_iter().count();
        assert!((1..=GROUP_COMMANDS_MAX).contains(&answered), "{answered}");
        drop(waiting);
        assert_eq!(answers.try_iter().last(), Some(Err(StoreError::Stopped)), "the others are answered, too");
    }
}
