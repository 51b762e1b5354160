//! Signals as something that can be waited for together with a terminal and a socket.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicI32, Ordering},
};

use rustix::pipe::{PipeFlags, pipe_with};

/// Signals that end this program, after the terminal has been restored.
const ENDING: [i32; 4] = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT];

static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note_signal(signal: i32) {
    let Ok(byte) = u8::try_from(signal) else { return };
    // SAFETY: write is allowed in a handler; the descriptor is the pipe's or -1. If the pipe is full,
    // enough has been noted.
    unsafe {
        libc::write(SIGNAL_PIPE.load(Ordering::Relaxed), std::ptr::from_ref(&byte).cast(), 1);
    }
}

/// Signals as bytes in a pipe, which can be read when one has come. What they did before is put back when
/// this is dropped. There is one at a time.
pub struct Signals {
    read: OwnedFd,
    _write: OwnedFd,
    before: Vec<(i32, libc::sigaction)>,
}

impl Signals {
    /// Catches those that would end the program, and `others`.
    pub fn catch(others: &[i32]) -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        SIGNAL_PIPE.store(write.as_raw_fd(), Ordering::Relaxed);
        let mut before = vec![];
        for signal in ENDING.iter().chain(others) {
            // SAFETY: zeroed sigactions with an empty mask are valid, and the handler does only what a
            // handler may.
            unsafe {
                let mut new: libc::sigaction = std::mem::zeroed();
                let mut old: libc::sigaction = std::mem::zeroed();
                new.sa_sigaction = note_signal as *const () as libc::sighandler_t;
                libc::sigemptyset(&mut new.sa_mask);
                if libc::sigaction(*signal, &new, &mut old) == 0 {
                    before.push((*signal, old));
                }
            }
        }
        Ok(Self { read, _write: write, before })
    }

    /// Those that came since the last look.
    pub fn take(&self) -> Vec<i32> {
        let mut bytes = [0; 64];
        let n = rustix::io::read(&self.read, &mut bytes).unwrap_or(0);
        bytes[..n].iter().map(|&byte| i32::from(byte)).collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (signal, action) in &self.before {
            // SAFETY: the action is what the kernel gave for this signal.
            unsafe {
                libc::sigaction(*signal, action, std::ptr::null_mut());
            }
        }
        SIGNAL_PIPE.store(-1, Ordering::Relaxed);
    }
}

/// The one among `came` that ends the program.
pub fn ending(came: &[i32]) -> Option<i32> {
    came.iter().copied().find(|signal| ENDING.contains(signal))
}

/// Has a signal do what it does by itself: end this program, or halt it until somebody goes on with it.
pub fn pass_on(signal: i32) {
    // SAFETY: a default action and a signal to this process.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}
