//! Claude's files of living sessions, `CONFIG_DIR/sessions/PID.json`: reading them, and hearing when one
//! changes.
//!
//! A file alone proves nothing: SIGKILL leaves it behind, and process ids come around. So each is held
//! against the machine: the process lives, and began when the file says that it did.

use std::{
    collections::{BTreeMap, HashSet},
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use wezterm_parallel_core::{claude::registry, registry::Living};

use super::{pid, plain};

/// Largest file that is read, in bytes; they have some 600.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Most files of one directory that are looked at: far more than a machine can run Claudes.
const FILES_MAX: usize = 1_024;
/// A file is written in one piece of some 600 bytes: a torn one is whole after this.
const REREAD: Duration = Duration::from_millis(5);
/// One that is torn for longer than so many looks is not being written.
const REREADS_MAX: usize = 4;

/// What a file came to.
#[derive(Debug)]
pub enum Reading {
    /// It is of a Claude that lives.
    Living(Box<Living>),
    /// It is not there, or of a Claude that is gone.
    Gone,
    /// It is being written.
    Torn,
}

/// The directory of an account's living sessions.
pub fn sessions_dir(account: &Path) -> PathBuf {
    account.join("sessions")
}

/// The process that a file is of, by its name.
pub fn pid_of(file: &Path) -> Option<i32> {
    let name = file.file_name()?.to_str()?.strip_suffix(".json")?;
    name.parse().ok().filter(|pid| *pid > 0)
}

/// Reads a file and looks at its process. Reads the disk.
pub fn read(account: &Path, file: &Path) -> Reading {
    let (Some(pid), Ok(opened)) = (pid_of(file), plain::open(file)) else { return Reading::Gone };
    let mut text = Vec::new();
    if opened.take(FILE_BYTES_MAX).read_to_end(&mut text).is_err() {
        return Reading::Gone;
    }
    let Ok(entry) = registry::parse(&text) else { return Reading::Torn };
    let began = pid::began(pid);
    let same = match (&entry.proc_start, began) {
        (_, None) => false,
        // elsewhere Claude counts by another clock than we do
        (Some(said), Some(began)) if cfg!(target_os = "linux") => *said == began.to_string(),
        (Some(_) | None, Some(_)) => true,
    };
    if entry.pid != pid || !same {
        return Reading::Gone;
    }
    Reading::Living(Box::new(Living { entry, account: account.to_owned(), ancestors: pid::ancestors(pid) }))
}

/// The same, and again if it is torn: a moment later it is whole. Waits between.
pub fn read_whole(account: &Path, file: &Path) -> Reading {
    for _ in 0..REREADS_MAX {
        match read(account, file) {
            Reading::Torn => std::thread::sleep(REREAD),
            whole => return whole,
        }
    }
    read(account, file)
}

/// All living Claudes of an account. Reads the disk.
pub fn all(account: &Path) -> Vec<Living> {
    let Ok(files) = std::fs::read_dir(sessions_dir(account)) else { return Vec::new() };
    let files = files.flatten().map(|f| f.path()).filter(|f| pid_of(f).is_some()).take(FILES_MAX);
    let living = |file: PathBuf| match read_whole(account, &file) {
        Reading::Living(living) => Some(*living),
        Reading::Gone | Reading::Torn => None,
    };
    files.filter_map(living).collect()
}

/// Something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// A file of a living session.
    File(PathBuf),
    /// A directory that is watched, or one that is waited for; or the system has lost count.
    Directories,
}

/// Hears of changes. The directory need not be there: until it is, the nearest one above it is watched
/// that is, up to the account's own parent. While nothing changes, its thread sleeps.
pub struct Watch {
    watcher: RecommendedWatcher,
    /// What is watched for each account: its sessions, or what is above them.
    watched: BTreeMap<PathBuf, PathBuf>,
    /// Directories of which a change means that what is watched must be looked at anew.
    awaited: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Watch {
    /// A watch over nothing as yet. `tell` is called on a thread of its own.
    ///
    /// # Errors
    /// The system cannot watch: it is out of inotify instances, mostly.
    pub fn start(tell: impl Fn(Touched) + Send + 'static) -> notify::Result<Self> {
        let awaited: Arc<Mutex<HashSet<PathBuf>>> = Arc::default();
        let known = awaited.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => tell(Touched::Directories),
            Ok(event) if is_change(event.kind) => {
                for path in event.paths {
                    if pid_of(&path).is_some() {
                        tell(Touched::File(path));
                    } else if known.lock().unwrap_or_else(PoisonError::into_inner).contains(&path) {
                        tell(Touched::Directories);
                    }
                }
            }
            Ok(_) => {}
            Err(_) => tell(Touched::Directories),
        })?;
        Ok(Self { watcher, watched: BTreeMap::new(), awaited })
    }

    /// Watches these accounts and no others, as the disk is now. Reads the disk.
    pub fn set(&mut self, accounts: &[PathBuf]) {
        {
            let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
            *awaited = accounts.iter().flat_map(|a| [a.clone(), sessions_dir(a)]).collect();
        }
        let gone: Vec<PathBuf> = self.watched.keys().filter(|a| !accounts.contains(a)).cloned().collect();
        for account in gone {
            self.put(&account, None);
        }
        for account in accounts {
            // a directory that comes to be between the look and the watch would go unseen: so it looks
            // again until nothing has changed. Three steps lead from the parent to the sessions
            for _ in 0..4 {
                let nearest = nearest(account);
                let same = self.watched.get(account) == nearest.as_ref();
                // one that was exchanged for another of its name is to be watched anew
                self.put(account, nearest);
                if same {
                    break;
                }
            }
        }
    }

    fn put(&mut self, account: &Path, directory: Option<PathBuf>) {
        if let Some(old) = self.watched.remove(account)
            && !self.watched.values().any(|d| *d == old)
        {
            // it may be gone, and its watch with it
            let _ = self.watcher.unwatch(&old);
        }
        let Some(directory) = directory else { return };
        match self.watcher.watch(&directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(account.to_owned(), directory);
            }
            Err(e) => tracing::warn!(directory = %directory.display(), error = %e, "cannot be watched"),
        }
    }
}

/// The nearest directory to an account's sessions that is there.
fn nearest(account: &Path) -> Option<PathBuf> {
    let sessions = sessions_dir(account);
    sessions.ancestors().take(3).find(|dir| dir.is_dir()).map(Path::to_owned)
}

/// Our own reading is an access, and must not make us read again. The end of a writing is one too.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Far above what it takes: only a test that would never end is ended by it.
    const DEADLINE: Duration = Duration::from_secs(60);

    fn entry(pid: i32, start: &str) -> String {
        format!(r#"{{"pid":{pid},"procStart":"{start}","sessionId":"236c11d6","status":"idle"}}"#)
    }

    fn own() -> (i32, String) {
        let pid = std::process::id().cast_signed();
        (pid, pid::began(pid).expect("this process lives").to_string())
    }

    #[test]
    fn only_a_file_whose_process_lives_and_began_then_is_believed() {
        let account = tempfile::tempdir().expect("a directory");
        let dir = sessions_dir(account.path());
        std::fs::create_dir(&dir).expect("a directory");
        let (pid, start) = own();
        let file = dir.join(format!("{pid}.json"));
        let reading = |text: &str| {
            std::fs::write(&file, text).expect("a file");
            read(account.path(), &file)
        };
        assert!(matches!(reading(&entry(pid, &start)), Reading::Living(l) if l.entry.pid == pid));
        assert_eq!(all(account.path()).len(), 1);
        assert!(matches!(reading(&entry(pid, "1")), Reading::Gone), "another process of this number");
        assert!(matches!(reading(&entry(pid + 1, &start)), Reading::Gone), "of another process");
        assert!(matches!(reading("{\"pid\""), Reading::Torn));
        assert!(matches!(read(account.path(), &dir.join("0.json")), Reading::Gone));
        assert_eq!(all(account.path()), []);
    }

    #[test]
    fn a_file_that_is_being_written_is_read_when_it_is_whole() {
        let account = tempfile::tempdir().expect("a directory");
        let dir = sessions_dir(account.path());
        std::fs::create_dir(&dir).expect("a directory");
        let (pid, start) = own();
        let file = dir.join(format!("{pid}.json"));
        std::fs::write(&file, "{\"pid\"").expect("a file");
        assert!(matches!(read_whole(account.path(), &file), Reading::Torn), "it stays torn");
        std::fs::write(&file, entry(pid, &start)).expect("a file");
        assert!(matches!(read_whole(account.path(), &file), Reading::Living(_)));
    }

    #[test]
    fn a_pipe_among_the_files_is_nobody_and_holds_nothing_up() {
        let account = tempfile::tempdir().expect("a directory");
        let dir = sessions_dir(account.path());
        std::fs::create_dir(&dir).expect("a directory");
        let pipe = dir.join(format!("{}.json", own().0));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
        assert!(matches!(read(account.path(), &pipe), Reading::Gone));
        assert_eq!(all(account.path()), []);
    }

    #[test]
    fn changes_are_heard_of_also_when_the_directories_come_later() {
        let home = tempfile::tempdir().expect("a directory");
        let account = home.path().join(".claude");
        let (tell, told) = mpsc::channel();
        let mut watch = Watch::start(move |touched| drop(tell.send(touched))).expect("this system can watch");
        let accounts = [account.clone()];
        watch.set(&accounts);
        assert_eq!(watch.watched.get(&account), Some(&home.path().to_owned()));
        let dir = sessions_dir(&account);
        let hear = |watch: &mut Watch, wanted: Touched| {
            while told.recv_timeout(DEADLINE).expect("it is heard of") != wanted {
                watch.set(&accounts);
            }
            watch.set(&accounts);
        };
        std::fs::create_dir(&account).expect("a directory");
        hear(&mut watch, Touched::Directories);
        std::fs::create_dir(&dir).expect("a directory");
        hear(&mut watch, Touched::Directories);
        assert_eq!(watch.watched.get(&account), Some(&dir));
        std::fs::write(dir.join("77.json"), "{}").expect("a file");
        hear(&mut watch, Touched::File(dir.join("77.json")));
        // the whole directory is exchanged
        std::fs::remove_dir_all(&dir).expect("it is ours");
        hear(&mut watch, Touched::Directories);
        std::fs::create_dir(&dir).expect("a directory");
        hear(&mut watch, Touched::Directories);
        while told.try_recv().is_ok() {}
        std::fs::write(dir.join("78.json"), "{}").expect("a file");
        hear(&mut watch, Touched::File(dir.join("78.json")));
        watch.set(&[]);
        assert!(watch.watched.is_empty());
    }
}
