//! Looks at places of which any may lie on a mount that does not answer: one of a server that is gone, or of
//! a program of FUSE's that hangs. Nobody can take such a look back: its thread waits until the kernel lets
//! it go. So there are few such threads, none touches a mount that another one waits for, and what is known
//! in time is the answer.
//!
//! They are threads of their own and not those for the disk: those are everybody's, and a daemon that ends
//! waits for them.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet, VecDeque},
    ffi::{OsStr, OsString},
    fs,
    io::ErrorKind,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::{timeout, timeout_at},
};

/// A mount that has not answered for this long is gone on without. A far server takes some ten milliseconds;
/// a disk that has to spin up takes seconds, and is there the next time.
const STILL: Duration = Duration::from_secs(1);
/// Longest that all looks for one answer take together: somebody waits for it. Two mounts that have just died
/// are found out in this time, and all else is looked at.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// Threads that look at the same time. Each dead mount holds one, and more of those than three have not been
/// heard of; the rest is for looks that come back.
const THREADS_MAX: usize = 4;
/// They read paths, small files and lists of names.
const STACK_BYTES: usize = 256 << 10;
/// Most links on the way to a place, as the kernel has it.
const LINKS_MAX: u32 = 40;

/// See the module. One per daemon.
pub struct Looks {
    room: Arc<Semaphore>,
    waits: Waits,
    /// Number of the thread that began last.
    number: Cell<u64>,
    home: PathBuf,
    mounts: fn() -> Mounts,
}

/// What each thread waits for, by the numbers of the threads.
#[derive(Clone, Default)]
struct Waits(Arc<(Mutex<HashMap<u64, Wait>>, Condvar)>);

impl Waits {
    fn all(&self) -> MutexGuard<'_, HashMap<u64, Wait>> {
        locked(&self.0.0)
    }

    /// A thread has come back.
    fn end(&self, number: u64) {
        if self.all().remove(&number).is_some() {
            self.0.1.notify_all();
        }
    }

    /// Waits until no other thread is at this mount, for as long as one that answers may take. False: it does
    /// not answer. So of several that come to a mount that has just died, one stays there.
    fn enter(&self, number: u64, mount: &Path) -> bool {
        let until = Instant::now() + STILL;
        let mut all = self.all();
        loop {
            let others = all.iter().filter(|(n, wait)| **n != number && wait.mount == mount);
            let Some(since) = others.map(|(_, wait)| wait.since).min() else { break };
            let now = Instant::now();
            if now.duration_since(since) >= STILL {
                return false;
            }
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                // it answers the other one all the time
                break;
            }
            let left = left.min(STILL.saturating_sub(now.duration_since(since)));
            all = self.0.1.wait_timeout(all, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        all.insert(number, Wait { mount: mount.to_owned(), since: Instant::now() });
        true
    }
}

struct Wait {
    mount: PathBuf,
    since: Instant,
}

impl Looks {
    /// For the user of this home. Where that does not answer nothing does, so it is never gone on without
    /// before the time is up.
    pub fn new(home: &Path) -> Self {
        Self {
            room: Arc::new(Semaphore::new(THREADS_MAX)),
            waits: Waits::default(),
            number: Cell::new(0),
            home: home.canonicalize().unwrap_or_else(|_| home.to_owned()),
            mounts: Mounts::read,
        }
    }

    /// Looks at all these places, in their order, and at those that they lead to. What is found counts if it
    /// is found in time.
    pub async fn at<P, T>(
        &self,
        places: Vec<P>,
        one: impl Fn(P, &Look) -> (Option<T>, Vec<P>) + Send + Sync + 'static,
    ) -> Vec<T>
    where
        P: Send + 'static,
        T: Send + 'static,
    {
        let deadline = Instant::now() + LOOK_TIMEOUT;
        let left = Left { places: places.into(), found: Vec::new(), number: 0 };
        let work = Arc::new(Work { left: Mutex::new(left), one });
        while Instant::now() < deadline {
            let Ok(Ok(room)) = timeout(STILL, self.room.clone().acquire_owned()).await else {
                tracing::warn!("so many mounts do not answer that nothing more is looked at");
                break;
            };
            let Some((number, ended)) = self.begin(&work, room) else { break };
            if self.has_ended(number, ended, deadline).await {
                break;
            }
        }
        let mut left = locked(&work.left);
        // a thread that comes back later has nothing to do here any more
        left.number = 0;
        std::mem::take(&mut left.found)
    }

    /// A thread goes on with this work, and no other one does from now on.
    fn begin<P, T, F>(
        &self,
        work: &Arc<Work<P, T, F>>,
        room: OwnedSemaphorePermit,
    ) -> Option<(u64, oneshot::Receiver<()>)>
    where
        P: Send + 'static,
        T: Send + 'static,
        F: Fn(P, &Look) -> (Option<T>, Vec<P>) + Send + Sync + 'static,
    {
        let number = self.number.get() + 1;
        self.number.set(number);
        locked(&work.left).number = number;
        let (tell, ended) = oneshot::channel();
        let (work, waits, home, mounts) = (work.clone(), self.waits.clone(), self.home.clone(), self.mounts);
        let thread = thread::Builder::new().name("look".into()).stack_size(STACK_BYTES);
        let begun = thread.spawn(move || {
            let mounts = mounts();
            let own = [mounts.of(Path::new("/")).to_owned(), mounts.of(&home).to_owned()];
            let look = Look { number, waits, mounts, own, _room: room, _ended: tell };
            work.go_on(&look);
        });
        match begun {
            Ok(_) => Some((number, ended)),
            Err(e) => {
                tracing::warn!(error = %e, "no thread can be had to look at directories");
                None
            }
        }
    }

    /// Waits for the end of a thread. False if it waits for a mount that does not answer, or time is up.
    async fn has_ended(&self, number: u64, mut ended: oneshot::Receiver<()>, deadline: Instant) -> bool {
        loop {
            let now = Instant::now();
            let since = self.waits.all().get(&number).map_or(now, |wait| wait.since);
            let until = deadline.min(since + STILL);
            if until <= now {
                return false;
            }
            if timeout_at(until.into(), &mut ended).await.is_ok() {
                return true;
            }
        }
    }
}

/// What is to be looked at, how, and what was found.
struct Work<P, T, F> {
    left: Mutex<Left<P, T>>,
    one: F,
}

struct Left<P, T> {
    places: VecDeque<P>,
    found: Vec<T>,
    /// The thread whose work it is.
    number: u64,
}

impl<P, T, F: Fn(P, &Look) -> (Option<T>, Vec<P>)> Work<P, T, F> {
    fn go_on(&self, look: &Look) {
        let own = || Some(locked(&self.left)).filter(|left| left.number == look.number);
        while let Some(place) = own().and_then(|mut left| left.places.pop_front()) {
            let (found, more) = (self.one)(place, look);
            let Some(mut left) = own() else { return };
            left.found.extend(found);
            for place in more.into_iter().rev() {
                left.places.push_front(place);
            }
        }
    }
}

/// A thread that looks.
pub struct Look {
    number: u64,
    waits: Waits,
    mounts: Mounts,
    /// Mounts without which nothing goes.
    own: [PathBuf; 2],
    _room: OwnedSemaphorePermit,
    _ended: oneshot::Sender<()>,
}

impl Look {
    /// Asked before each touch of the disk, with a path that has no links on the way. Waits while somebody else is
    /// on the same mount. False: it is to be left alone, as that one gets no answer.
    pub fn may_touch(&self, path: &Path) -> bool {
        let mount = self.mounts.of(path);
        self.waits.end(self.number);
        self.own.iter().any(|own| own == mount) || self.waits.enter(self.number, mount)
    }

    /// The path without links on the way, as [`Path::canonicalize`] has it; none also if a mount on the way
    /// is to be left alone. Reads the disk.
    pub fn resolve(&self, path: &Path) -> Option<PathBuf> {
        let parts =
            |path: &Path| path.components().rev().map(|c| c.as_os_str().to_owned()).collect::<Vec<_>>();
        let mut rest: Vec<OsString> = parts(Some(path).filter(|path| path.is_absolute())?);
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == OsStr::new(".") {
                continue;
            }
            if part == OsStr::new("..") {
                at.pop();
                continue;
            }
            // the root is what it begins with, and takes the place of all before
            let next = at.join(&part);
            if !self.may_touch(&next) {
                return None;
            }
            match fs::read_link(&next) {
                Ok(_) if links == LINKS_MAX => return None,
                Ok(to) => {
                    links += 1;
                    rest.extend(parts(&to));
                }
                // it is there, and is no link
                Err(e) if e.kind() == ErrorKind::InvalidInput => at = next,
                Err(_) => return None,
            }
        }
        Some(at)
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.waits.end(self.number);
    }
}

/// Where something is mounted.
struct Mounts(HashSet<PathBuf>);

impl Mounts {
    /// As the kernel has it, which asks no mount for that. On a system that does not tell, each path counts as
    /// a mount of its own.
    fn read() -> Self {
        let all = fs::read("/proc/self/mountinfo").unwrap_or_default();
        let lines = all.split(|byte| *byte == b'\n');
        let places = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
        Self(places.map(unescaped).collect())
    }

    /// The mount that a path without links lies on.
    fn of<'a>(&self, path: &'a Path) -> &'a Path {
        path.ancestors().find(|above| self.0.contains(*above)).unwrap_or(path)
    }
}

/// A path of the kernel's list, in which blanks and the like are three octal digits.
fn unescaped(mut field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    loop {
        field = match field {
            [] => return PathBuf::from(OsString::from_vec(path)),
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', rest @ ..] => {
                path.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest
            }
            [byte, rest @ ..] => {
                path.push(*byte);
                rest
            }
        };
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // nothing is half done where a look panics
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Everything below a root directory whose name begins with `dead` hangs until it is let go.
    struct Disk {
        touched: Arc<Mutex<Vec<PathBuf>>>,
        hold: Arc<Mutex<Option<mpsc::Sender<()>>>>,
        hangs: Arc<Mutex<mpsc::Receiver<()>>>,
    }

    impl Disk {
        fn new() -> Self {
            let (hold, hangs) = mpsc::channel();
            let hold = Arc::new(Mutex::new(Some(hold)));
            Self { touched: Arc::default(), hold, hangs: Arc::new(Mutex::new(hangs)) }
        }

        async fn look(&self, looks: &Looks, places: &[&str]) -> Vec<PathBuf> {
            let (touched, hangs) = (self.touched.clone(), self.hangs.clone());
            let places = places.iter().map(PathBuf::from).collect();
            let one = move |place: PathBuf, look: &Look| {
                if !look.may_touch(&place) {
                    return (None, Vec::new());
                }
                locked(&touched).push(place.clone());
                if place.starts_with("/dead1") || place.starts_with("/dead2") {
                    // the end of the channel is what lets all of them go
                    let _ = locked(&hangs).recv();
                }
                (Some(place), Vec::new())
            };
            looks.at(places, one).await
        }

        /// What was touched since this was asked last.
        fn touched(&self) -> Vec<PathBuf> {
            std::mem::take(&mut *locked(&self.touched))
        }

        /// Lets go what hangs, and waits until it has come back.
        async fn answer(&self, looks: &Looks) {
            locked(&self.hold).take();
            let all = u32::try_from(THREADS_MAX).expect("a small number");
            drop(looks.room.acquire_many(all).await.expect("it is never closed"));
        }
    }

    fn looks() -> Looks {
        let mounts = || Mounts(["/", "/dead1", "/dead2"].map(PathBuf::from).into_iter().collect());
        Looks { mounts, ..Looks::new(Path::new("/home")) }
    }

    fn paths(all: &[&str]) -> Vec<PathBuf> {
        all.iter().map(PathBuf::from).collect()
    }

    #[actix::test]
    async fn what_a_dead_mount_has_is_left_out_and_keeps_one_thread_until_it_answers() {
        let (disk, looks) = (Disk::new(), looks());
        let places = ["/a", "/dead1/x", "/dead1/y", "/b"];
        let began = Instant::now();
        assert_eq!(disk.look(&looks, &places).await, paths(&["/a", "/b"]));
        assert!(began.elapsed() < LOOK_TIMEOUT, "it was not waited for to the end");
        assert_eq!(disk.touched(), paths(&["/a", "/dead1/x", "/b"]), "no second one waits there");
        for _ in 0..2 * THREADS_MAX {
            assert_eq!(disk.look(&looks, &places).await, paths(&["/a", "/b"]));
            assert_eq!(disk.touched(), paths(&["/a", "/b"]), "it is known to be dead");
        }
        assert_eq!(looks.room.available_permits(), THREADS_MAX - 1);
        disk.answer(&looks).await;
        assert_eq!(disk.look(&looks, &places).await, paths(&places));
    }

    #[actix::test]
    async fn of_many_that_come_to_a_mount_that_has_just_died_one_stays_there() {
        let (disk, looks) = (Disk::new(), looks());
        let places = ["/dead1/x", "/b"];
        let all = (0..2 * THREADS_MAX).map(|_| disk.look(&looks, &places));
        for found in futures_util::future::join_all(all).await {
            assert_eq!(found, paths(&["/b"]));
        }
        assert_eq!(looks.room.available_permits(), THREADS_MAX - 1);
        disk.answer(&looks).await;
    }

    #[actix::test]
    async fn several_dead_mounts_hold_a_thread_each_and_cost_no_other_place() {
        let (disk, looks) = (Disk::new(), looks());
        let places = ["/dead1/x", "/dead2/x", "/dead2/y", "/dead1/y", "/b"];
        assert_eq!(disk.look(&looks, &places).await, paths(&["/b"]));
        assert_eq!(disk.look(&looks, &places).await, paths(&["/b"]));
        assert_eq!(looks.room.available_permits(), THREADS_MAX - 2);
        disk.answer(&looks).await;
        assert_eq!(looks.waits.all().len(), 0);
    }

    #[actix::test]
    async fn a_place_leads_to_others_which_come_before_those_behind_it() {
        let looks = looks();
        let one = |n: u32, _: &Look| (Some(n), if n < 10 { vec![10 * n, 10 * n + 1] } else { Vec::new() });
        assert_eq!(looks.at(vec![1, 2], one).await, [1, 10, 11, 2, 20, 21]);
    }

    #[actix::test]
    async fn a_path_is_resolved_as_the_system_does_it() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("it is there");
        fs::create_dir_all(root.join("a/b")).expect("made");
        fs::write(root.join("a/file"), "").expect("written");
        for (link, to) in [
            ("up", "../a/./b/../b".as_ref()),
            ("whole", root.join("a/up").as_path()),
            ("two", "whole/..".as_ref()),
            ("round", "round".as_ref()),
            ("nowhere", "none/at/all".as_ref()),
        ] {
            symlink::<&Path, _>(to, root.join("a").join(link)).expect("a link");
        }
        let ways =
            ["a", "a/b", "a/up", "a/whole", "a/two", "a/round", "a/nowhere", "a/none", "a/file", "a/b/.."];
        let expected: Vec<_> = ways.iter().map(|way| root.join(way).canonicalize().ok()).collect();
        let all = ways.iter().map(|way| root.join(way)).collect();
        let looks = Looks::new(&root);
        let found = looks.at(all, |path: PathBuf, look| (Some(look.resolve(&path)), Vec::new())).await;
        assert_eq!(found, expected);
        assert_eq!(expected.iter().flatten().count(), 7, "{expected:?}");
    }

    #[test]
    fn a_path_lies_on_the_innermost_mount_above_it() {
        let mounts = Mounts(["/", "/mnt", "/mnt/far away"].map(PathBuf::from).into_iter().collect());
        let of = |path: &str| mounts.of(Path::new(path)).to_owned();
        assert_eq!(
            ["/mnt/far away/x/y", "/mnt/far away", "/mnt/far", "/mntx", "/"].map(of),
            ["/mnt/far away", "/mnt/far away", "/mnt", "/", "/"].map(PathBuf::from)
        );
        assert_eq!(unescaped(br"/mnt/far\040away\134x\9"), Path::new(r"/mnt/far away\x\9"));
    }
}
