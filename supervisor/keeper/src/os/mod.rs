//! What differs between operating systems. Linux is tested; macOS stands here untested.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
};

use rustix::fs::{Mode, OFlags};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::{become_reaper, children, is_one_of_us, marked, peer_uid, reopen_terminal};

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub use macos::{become_reaper, children, is_one_of_us, marked, peer_uid, reopen_terminal};

/// Longest path that every system takes as a socket's address; above it the directory is entered
/// by its descriptor where that can be done. Linux has 107, macOS 103.
const ADDRESS_BYTES_MAX: usize = 100;

/// Binds a socket in a directory, whatever the length of its path.
pub fn bind(dir: &Path, name: &str) -> io::Result<UnixListener> {
    with_address(dir, name, |address| UnixListener::bind(address))
}

/// Connects to a socket in a directory, whatever the length of its path.
pub fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    with_address(dir, name, |address| UnixStream::connect(address))
}

fn with_address<T>(dir: &Path, name: &str, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = dir.join(name);
    if path.as_os_str().len() <= ADDRESS_BYTES_MAX || !cfg!(target_os = "linux") {
        return act(&path);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(dir, flags, Mode::empty())?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
    act(Path::new(&format!("/proc/self/fd/{number}/{name}")))
}

/// Takes room on the disk for a file, so that writing it later cannot fail for want of it.
pub fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        // blocks that were written stay the file's own
        use std::os::unix::fs::FileExt;
        file.write_all_at(&vec![0; usize::try_from(bytes).unwrap_or(0)], 0)
    }
}

/// Keeps large buffers out of the heap proper, so that they really go when they are freed, and small
/// ones from growing it in large steps.
pub fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const THRESHOLD_BYTES: i32 = 64 << 10;
        // SAFETY: mallopt only sets parameters of the allocator, and there is one thread.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, THRESHOLD_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, THRESHOLD_BYTES);
            libc::mallopt(libc::M_TOP_PAD, 0);
        }
    }
}

/// Gives freed memory back to the system: glibc keeps pages that are not at the end of its heap.
pub fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim touches only memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// The terminal behind a passed descriptor, as a file description of our own: being non-blocking is a
/// property of the description, and the passed one is shared with the client's shell.
pub fn own_terminal(fd: &OwnedFd) -> Option<OwnedFd> {
    if !rustix::termios::isatty(fd.as_fd()) {
        return None;
    }
    reopen_terminal(fd, OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).ok()
}

/// CPU time in milliseconds, and the largest resident size in KiB, of all children that have ended and
/// of theirs.
pub fn used_by_children() -> (u64, u64) {
    // SAFETY: a zeroed rusage is valid, and getrusage only fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let ms = |t: libc::timeval| t.tv_sec as u64 * 1000 + t.tv_usec as u64 / 1000;
    // macOS counts bytes
    let unit = if cfg!(target_os = "macos") { 1024 } else { 1 };
    (ms(usage.ru_utime) + ms(usage.ru_stime), u64::try_from(usage.ru_maxrss).unwrap_or(0) / unit)
}
