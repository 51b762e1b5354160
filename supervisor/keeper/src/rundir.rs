//! A run's directory: what lies in it, and how others read it. `wezterm_parallel_schemas::keeper` lists
//! the files.
//!
//! The directory is put together under a name of its own, `lock` already locked, and then renamed:
//! that is the gate through which each run comes exactly once, and there is no moment at which it
//! stands there without its lock held or without its socket.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read},
    os::unix::{
        fs::{DirBuilderExt, FileExt, OpenOptionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, getpid, kill_process},
};
use wezterm_parallel_schemas::keeper::{ExitRecord, RUN_MARK, RunMeta};

use crate::os;

const LOCK: &str = "lock";
const SOCKET: &str = "sock";
const META: &str = "meta";
const LOG: &str = "log";
const SCREEN: &str = "screen";
const EXIT: &str = "exit";
/// The exit record's room on the disk, taken at the start.
const EXIT_RESERVED: &str = "exit.tmp";

/// Largest exit record. Its note is some hundred bytes.
const EXIT_BYTES_MAX: usize = 4 << 10;
/// Largest `meta`.
const META_BYTES_MAX: u64 = 64 << 10;
/// Longest run id. A ULID has 26.
const RUN_ID_BYTES_MAX: usize = 128;
/// How long [`sweep_marked`] kills what comes up again. A process that cannot be killed sits in the
/// kernel, and waiting longer does not help.
const SWEEP_MS_MAX: u64 = 2_000;
/// Pause between two looks of a sweep.
const SWEEP_PAUSE_MS: u64 = 2;

/// Directory of a run.
pub fn run_dir(runs_dir: &Path, run_id: &str) -> PathBuf {
    runs_dir.join(run_id)
}

/// The current log file of a run.
pub fn log_path(run_dir: &Path) -> PathBuf {
    run_dir.join(LOG)
}

/// All log files of a run that are there, the oldest first.
///
/// # Errors
/// The directory cannot be read.
pub fn log_paths(run_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(run_dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == LOG {
            found.push((0, path));
        } else if let Some(age) = name.strip_prefix(LOG).and_then(|rest| rest.strip_prefix('.'))
            && let Ok(age) = age.parse::<u32>()
        {
            found.push((age, path));
        }
    }
    found.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The last screen of a run that has ended, as escape sequences.
pub fn screen_path(run_dir: &Path) -> PathBuf {
    run_dir.join(SCREEN)
}

/// Connects to the keeper of a run. Paths longer than a socket's address are fine on Linux.
///
/// # Errors
/// Not found or refused: there is no keeper any more.
pub fn connect(run_dir: &Path) -> io::Result<UnixStream> {
    os::connect(run_dir, SOCKET)
}

/// Whether the run's keeper lives. The answer is the kernel's and knows no race with process ids. A
/// killed keeper's connections may close a moment before its lock is free: [`wait_until_gone`] is for
/// those who have just seen that.
///
/// What cannot be looked at, for want of descriptors say, counts as alive: to wait is safe, and to start a
/// second one beside it is not.
pub fn is_alive(run_dir: &Path) -> bool {
    match File::open(run_dir.join(LOCK)) {
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(e) => !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    }
}

/// Closes the gate of a run that is not to begin any more: a keeper that comes late finds the name taken.
/// False if one has passed it already.
///
/// # Errors
/// The disk refuses.
pub fn close_gate(runs_dir: &Path, run_id: &str) -> io::Result<bool> {
    let draft = runs_dir.join(format!(".{run_id}.{}", getpid()));
    let _ = fs::remove_dir_all(&draft);
    DirBuilder::new().mode(0o700).create(&draft)?;
    create(&draft.join(LOCK))?;
    match fs::rename(&draft, run_dir(runs_dir, run_id)) {
        Ok(()) => Ok(true),
        Err(e) => {
            let _ = fs::remove_dir_all(&draft);
            match e.kind() {
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => Ok(false),
                _ => Err(e),
            }
        }
    }
}

/// Blocks until the run's keeper has ended, which it may have already.
///
/// # Errors
/// The lock cannot be read, other than by not being there.
pub fn wait_until_gone(run_dir: &Path) -> io::Result<()> {
    let file = match File::open(run_dir.join(LOCK)) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    loop {
        match flock(&file, FlockOperation::LockShared) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// How the run ended; none if it has not, or if its keeper was killed before it could say.
///
/// # Errors
/// The file is there and cannot be read or understood.
pub fn read_exit(run_dir: &Path) -> io::Result<Option<ExitRecord>> {
    read(&run_dir.join(EXIT), EXIT_BYTES_MAX as u64)
}

/// Who runs or ran here; none if there is no such run.
///
/// # Errors
/// The file is there and cannot be read or understood.
pub fn read_meta(run_dir: &Path) -> io::Result<Option<RunMeta>> {
    read(&run_dir.join(META), META_BYTES_MAX)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path, bytes_max: u64) -> io::Result<Option<T>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = vec![];
    file.take(bytes_max).read_to_end(&mut bytes)?;
    rmp_serde::from_slice(&bytes).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Kills what a killed keeper has left behind, found by its environment mark, and everything that
/// descends from it. Returns how many processes there were. Blocks for some milliseconds, and for two
/// seconds at most if something cannot be killed.
pub fn sweep_marked(run_id: &str) -> u32 {
    let mark = format!("{RUN_MARK}={run_id}");
    let deadline = Instant::now() + Duration::from_millis(SWEEP_MS_MAX);
    let mut killed: Vec<Pid> = vec![];
    loop {
        let mut found = os::marked(mark.as_bytes());
        found.retain(|pid| *pid != getpid());
        if found.is_empty() || Instant::now() > deadline {
            return u32::try_from(killed.len()).unwrap_or(u32::MAX);
        }
        for root in found {
            for pid in std::iter::once(root).chain(descendants(root)) {
                if kill_process(pid, Signal::KILL).is_ok() && !killed.contains(&pid) {
                    killed.push(pid);
                }
            }
        }
        // only to let the kernel do it; there is nothing to wait on for processes of others
        std::thread::sleep(Duration::from_millis(SWEEP_PAUSE_MS));
    }
}

/// Removes what keepers left that were killed before their directory stood. Returns how many there were.
///
/// # Errors
/// The directory cannot be read.
pub fn remove_abandoned(runs_dir: &Path) -> io::Result<u32> {
    let mut removed = 0;
    for entry in fs::read_dir(runs_dir)?.flatten() {
        let name = entry.file_name();
        let maker =
            name.to_str().and_then(|name| name.strip_prefix('.')).and_then(|name| name.rsplit_once('.'));
        let Some(pid) = maker.and_then(|(_, pid)| pid.parse().ok()).and_then(Pid::from_raw) else { continue };
        let lives = rustix::process::test_kill_process(pid).is_ok() || is_alive(&entry.path());
        if !lives && fs::remove_dir_all(entry.path()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// All that descends from a process now, parents first. A daemon that somebody started from inside of a
/// run, and the keepers that came to us with it, hold runs of their own: they are not part of this one.
pub(crate) fn descendants(root: Pid) -> Vec<Pid> {
    let mut found = os::children(root);
    found.retain(|pid| !os::is_one_of_us(*pid));
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        for child in os::children(pid) {
            if !found.contains(&child) && !os::is_one_of_us(child) {
                found.push(child);
            }
        }
        next += 1;
    }
    found
}

/// The directory of a run, held by its keeper.
pub(crate) struct RunDir {
    path: PathBuf,
    exit: File,
    /// Locked for as long as the keeper lives. Closed on exec, so nobody inherits the lock.
    _lock: File,
}

/// Why a keeper does not hold the directory.
pub(crate) enum NotHeld {
    /// There is one of this name.
    Exists,
    Failed(io::Error),
}

impl RunDir {
    /// Passes the gate, or not. The socket listens already, but nobody is served yet.
    pub fn create(runs_dir: &Path, meta: &RunMeta) -> Result<(Self, UnixListener), NotHeld> {
        if !is_plain_name(&meta.run_id) {
            let message = format!("the run id {:?} is no file name", meta.run_id);
            return Err(NotHeld::Failed(io::Error::new(io::ErrorKind::InvalidInput, message)));
        }
        let path = run_dir(runs_dir, &meta.run_id);
        if path.join(LOCK).exists() {
            return Err(NotHeld::Exists);
        }
        let draft = runs_dir.join(format!(".{}.{}", meta.run_id, getpid()));
        let made = Self::make(&draft, meta).map_err(NotHeld::Failed);
        let gone_through = made.and_then(|(lock, exit, listener)| {
            // a directory that is not empty is not replaced: exactly one keeper gets through
            fs::rename(&draft, &path).map_err(|e| match e.kind() {
                io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => NotHeld::Exists,
                _ => NotHeld::Failed(e),
            })?;
            Ok((Self { path, exit, _lock: lock }, listener))
        });
        if gone_through.is_err() {
            let _ = fs::remove_dir_all(&draft);
        }
        gone_through
    }

    fn make(draft: &Path, meta: &RunMeta) -> io::Result<(File, File, UnixListener)> {
        let _ = fs::remove_dir_all(draft);
        DirBuilder::new().mode(0o700).create(draft)?;
        let lock = create(&draft.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let meta = rmp_serde::to_vec_named(meta).map_err(io::Error::other)?;
        create(&draft.join(META))?.write_all_at(&meta, 0)?;
        let exit = create(&draft.join(EXIT_RESERVED))?;
        os::reserve(&exit, EXIT_BYTES_MAX as u64)?;
        let listener = os::bind(draft, SOCKET)?;
        listener.set_nonblocking(true)?;
        Ok((lock, exit, listener))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the directory away again: the run has not begun. It is gone under its name at once.
    pub fn remove(self) {
        let aside = self.path.with_file_name(format!(
            ".{}.{}",
            self.path.file_name().unwrap_or_default().to_string_lossy(),
            getpid()
        ));
        let _ = fs::rename(&self.path, &aside);
        let _ = fs::remove_dir_all(&aside);
    }

    /// Writes the last screen, as well as it goes.
    pub fn write_screen(&self, screen: &[u8]) -> io::Result<()> {
        let draft = self.path.join("screen.tmp");
        let written = create(&draft)
            .and_then(|file| file.write_all_at(screen, 0))
            .and_then(|()| fs::rename(&draft, self.path.join(SCREEN)));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written
    }

    /// Writes how the run ended, into the room that was taken at the start, so that a full disk does
    /// not matter, and shows it under its name.
    pub fn write_exit(&self, record: &ExitRecord) -> io::Result<()> {
        let mut record = record.clone();
        let mut bytes = rmp_serde::to_vec_named(&record).map_err(io::Error::other)?;
        if bytes.len() > EXIT_BYTES_MAX {
            record.note = None;
            bytes = rmp_serde::to_vec_named(&record).map_err(io::Error::other)?;
        }
        self.exit.write_all_at(&bytes, 0)?;
        self.exit.set_len(bytes.len() as u64)?;
        self.exit.sync_data()?;
        fs::rename(self.path.join(EXIT_RESERVED), self.path.join(EXIT))
    }

    /// Takes the socket's name away: nobody else is to come.
    pub fn close_socket(&self) {
        let _ = fs::remove_file(self.path.join(SOCKET));
    }
}

/// Makes a new file that only its owner can read.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= RUN_ID_BYTES_MAX
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
}
