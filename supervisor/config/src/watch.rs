//! Tells when the content of a file changes, however it is written: in place, by renaming, behind a
//! symbolic link, by an exchange of the directory it lies in.
//!
//! A file itself cannot be watched: it is gone after the first editor that saves by renaming. So the
//! directories are watched, of every link on the way and of the file at its end, and any event in them
//! only asks to look again; names in events are not looked at, since what is exchanged may be a
//! directory further up. While nothing happens the thread sleeps: there is no timer and no polling.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::load::{FILE_BYTES_MAX, hash};

/// How long nothing must have happened before the file is looked at. Editors write, rename and remove
/// within some ms; a person does not notice.
const DEBOUNCE_MS: u64 = 150;
/// After this long the file is looked at although events keep coming: a busy directory must not keep an
/// edit from being seen.
const DEBOUNCE_MS_MAX: u64 = 1_000;
/// Most links that are followed, as the kernel does.
const LINKS_MAX: usize = 40;

/// Watches a file for as long as it lives.
#[derive(Debug)]
pub struct Watcher {
    signals: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Looks now, whatever the system has told: for file systems that tell nothing (NFS), and SIGHUP.
    /// If the content is the same as last time, nothing is called.
    pub fn poke(&self) {
        // its thread is gone only if it panicked, in `on_change`
        let _ = self.signals.send(Signal::Poke);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.signals.send(Signal::End);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Calls `on_change`, on a thread of its own, whenever the content of the file at `path` is another one
/// than before, its coming and going included. Neither the file nor its directory need exist; `path`
/// must be absolute.
///
/// # Errors
/// The system cannot watch: out of inotify instances or watches, mostly.
pub fn watch(path: &Path, on_change: impl Fn() + Send + 'static) -> notify::Result<Watcher> {
    let (signals, inbox) = mpsc::channel();
    let events = signals.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // our own reading is an access, and must not make us read again
        if !event.is_ok_and(|e| matches!(e.kind, EventKind::Access(_))) {
            let _ = events.send(Signal::Event);
        }
    })?;
    let mut watch = Watch { path: path.to_owned(), watcher, dirs: BTreeSet::new(), content: None };
    watch.arm()?;
    watch.content = content(path);
    let thread = std::thread::Builder::new()
        .name("config-watch".into())
        .spawn(move || watch.run(&inbox, &on_change))
        .map_err(notify::Error::io)?;
    Ok(Watcher { signals, thread: Some(thread) })
}

enum Signal {
    Event,
    Poke,
    End,
}

struct Watch {
    path: PathBuf,
    watcher: RecommendedWatcher,
    dirs: BTreeSet<PathBuf>,
    content: Option<String>,
}

impl Watch {
    fn run(mut self, inbox: &Receiver<Signal>, on_change: &dyn Fn()) {
        while let Ok(first) = inbox.recv() {
            let go_on = match first {
                Signal::Event => settle(inbox),
                Signal::Poke => true,
                Signal::End => false,
            };
            if !go_on {
                return;
            }
            // what cannot be watched now is tried again at the next event or poke
            let _ = self.arm();
            let content = content(&self.path);
            if content != self.content {
                self.content = content;
                on_change();
            }
        }
    }

    /// Watches the directories on the way to the file as it is now, and no others.
    ///
    /// A directory that comes to be between the look and the watch would go unseen: so it looks again
    /// until nothing has changed.
    fn arm(&mut self) -> notify::Result<()> {
        loop {
            let wanted = directories(&self.path);
            // a directory that was removed and made again under the same name lost its watch; adding it
            // again costs nothing if it did not
            let gone: Vec<PathBuf> = self.dirs.difference(&wanted).cloned().collect();
            for dir in gone {
                let _ = self.watcher.unwatch(&dir);
                self.dirs.remove(&dir);
            }
            let mut failed = None;
            for dir in &wanted {
                match self.watcher.watch(dir, RecursiveMode::NonRecursive) {
                    Ok(()) => {
                        self.dirs.insert(dir.clone());
                    }
                    Err(error) => failed = Some(error),
                }
            }
            if directories(&self.path) == wanted {
                return failed.map_or(Ok(()), Err);
            }
        }
    }
}

/// Waits until the events have ceased; false if it is time to end.
fn settle(inbox: &Receiver<Signal>) -> bool {
    let latest = Instant::now() + Duration::from_millis(DEBOUNCE_MS_MAX);
    loop {
        let left = latest.saturating_duration_since(Instant::now());
        match inbox.recv_timeout(left.min(Duration::from_millis(DEBOUNCE_MS))) {
            Ok(Signal::Event) if !left.is_zero() => {}
            Ok(Signal::Event | Signal::Poke) | Err(RecvTimeoutError::Timeout) => return true,
            Ok(Signal::End) | Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// Directories in which a change can change what is found at `path`: that of each link on the way, also
/// of links that are directories, and that of the file. Of what does not exist, the nearest above it.
fn directories(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut parts: Vec<PathBuf> = path.components().rev().map(|c| PathBuf::from(c.as_os_str())).collect();
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(part) = parts.pop() {
        match part.components().next() {
            Some(Component::ParentDir) => {
                at.pop();
                continue;
            }
            Some(Component::Normal(_)) => {}
            _ => {
                at = if part.is_absolute() { part } else { at };
                continue;
            }
        }
        let next = at.join(&part);
        match std::fs::symlink_metadata(&next) {
            Ok(meta) if meta.is_symlink() && links < LINKS_MAX => {
                links += 1;
                found.insert(at.clone());
                if let Ok(target) = std::fs::read_link(&next) {
                    parts.extend(target.components().rev().map(|c| PathBuf::from(c.as_os_str())));
                }
            }
            Ok(meta) if meta.is_dir() && !parts.is_empty() => at = next,
            // the file, what stands in its way, or what comes first of all that is missing
            _ => {
                found.insert(at);
                return found;
            }
        }
    }
    found.insert(at);
    found
}

/// What the file holds, as a hash; none if it cannot be read. A file that is too large counts by its
/// size: it is refused anyway.
fn content(path: &Path) -> Option<String> {
    use std::{io::Read, os::unix::fs::OpenOptionsExt};
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return Some(format!("{:?} of {} bytes", meta.file_type(), meta.len()));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    Some(hash(&bytes))
}
