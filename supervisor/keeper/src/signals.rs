//! Signals as bytes in a pipe, which a `poll` can wait for. A pipe rather than signalfd because it is
//! the same on every system.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicI32, Ordering},
};

use rustix::pipe::{PipeFlags, pipe_with};

static PIPE: AtomicI32 = AtomicI32::new(-1);

/// The reading end, and the writing one to keep it open.
pub struct Signals {
    read: OwnedFd,
    _write: OwnedFd,
}

/// What has been signalled since the last look.
#[derive(Default)]
pub struct Signalled {
    /// A child ended.
    pub child: bool,
    /// SIGTERM.
    pub terminate: bool,
}

impl Signals {
    /// Takes SIGCHLD and SIGTERM, and ignores what a terminal or a full disk would end a keeper with.
    pub fn catch() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        PIPE.store(write.as_raw_fd(), Ordering::Relaxed);
        for signal in [libc::SIGCHLD, libc::SIGTERM] {
            set(signal, note as *const () as libc::sighandler_t);
        }
        let ignored = [
            libc::SIGHUP,
            libc::SIGINT,
            libc::SIGQUIT,
            libc::SIGTTOU,
            libc::SIGTTIN,
            libc::SIGTSTP,
            libc::SIGPIPE,
        ]
        .into_iter()
        .chain([libc::SIGXFSZ, libc::SIGUSR1, libc::SIGUSR2]);
        for signal in ignored {
            set(signal, libc::SIG_IGN);
        }
        unblock_all();
        Ok(Self { read, _write: write })
    }

    /// What to poll for reading.
    pub fn fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.read)
    }

    /// Takes what has come.
    pub fn take(&self) -> Signalled {
        let mut signalled = Signalled::default();
        let mut bytes = [0; 64];
        while let Ok(n @ 1..) = rustix::io::read(&self.read, &mut bytes) {
            for signal in &bytes[..n] {
                match i32::from(*signal) {
                    libc::SIGCHLD => signalled.child = true,
                    libc::SIGTERM => signalled.terminate = true,
                    _ => {}
                }
            }
        }
        signalled
    }
}

/// Gives every signal its default action, as a fresh program expects; called between fork and exec.
pub fn reset_all() {
    const LAST: i32 = 31;
    for signal in 1..=LAST {
        set(signal, libc::SIG_DFL);
    }
    unblock_all();
}

fn set(signal: i32, action: libc::sighandler_t) {
    // SAFETY: the action is a default, an ignore, or `note`, which does only what a handler may. A
    // zeroed sigaction with an empty mask is a valid one.
    unsafe {
        let mut how: libc::sigaction = std::mem::zeroed();
        how.sa_sigaction = action;
        how.sa_flags = libc::SA_RESTART;
        libc::sigemptyset(&mut how.sa_mask);
        libc::sigaction(signal, &how, std::ptr::null_mut());
    }
}

fn unblock_all() {
    // SAFETY: the set is a local that is initialised before it is used.
    unsafe {
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

extern "C" fn note(signal: i32) {
    let fd = PIPE.load(Ordering::Relaxed);
    let Ok(byte) = u8::try_from(signal) else { return };
    // SAFETY: write is allowed in a handler; the descriptor is the pipe's, which lives as long as the
    // process. If the pipe is full, enough has been noted. errno is put back for whoever was interrupted.
    unsafe {
        let errno = errno_place();
        let before = *errno;
        libc::write(fd, std::ptr::from_ref(&byte).cast(), 1);
        *errno = before;
    }
}

unsafe fn errno_place() -> *mut i32 {
    #[cfg(target_os = "macos")]
    // SAFETY: always returns the thread's own errno.
    unsafe {
        libc::__error()
    }
    #[cfg(not(target_os = "macos"))]
    // SAFETY: always returns the thread's own errno.
    unsafe {
        libc::__errno_location()
    }
}
