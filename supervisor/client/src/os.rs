//! What Linux and macOS do differently.

#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(not(target_os = "linux"))]
pub use other::*;

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        io,
        os::fd::AsFd,
        time::{Duration, Instant},
    };

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    /// A process whose end can be waited for. It is held by a descriptor, so that another process that
    /// gets its number is not taken for it.
    pub struct Watched(Option<rustix::fd::OwnedFd>);

    /// Takes hold of a process. One that is gone already is one that has ended.
    pub fn watch(pid: i32) -> io::Result<Watched> {
        let Some(pid) = Pid::from_raw(pid) else { return Ok(Watched(None)) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(Watched(Some(fd))),
            Err(rustix::io::Errno::SRCH) => Ok(Watched(None)),
            Err(e) => Err(e.into()),
        }
    }

    impl Watched {
        /// Waits for its end; false if it has not come in time.
        pub fn wait(&self, patience: Duration) -> io::Result<bool> {
            match &self.0 {
                None => Ok(true),
                Some(fd) => crate::connection::readable(fd.as_fd(), Some(Instant::now() + patience)),
            }
        }
    }
}

/// macOS. Untested.
#[cfg(not(target_os = "linux"))]
mod other {
    use std::{
        io, thread,
        time::{Duration, Instant},
    };

    use rustix::process::{Pid, test_kill_process};

    /// How often the process is looked for: kqueue would tell, but this is for one wait at a stop.
    const LOOK_MS: u64 = 20;

    /// A process whose end can be waited for.
    pub struct Watched(Option<Pid>);

    /// Takes hold of a process.
    pub fn watch(pid: i32) -> io::Result<Watched> {
        Ok(Watched(Pid::from_raw(pid)))
    }

    impl Watched {
        /// Waits for its end; false if it has not come in time.
        pub fn wait(&self, patience: Duration) -> io::Result<bool> {
            let deadline = Instant::now() + patience;
            let Some(pid) = self.0 else { return Ok(true) };
            while test_kill_process(pid).is_ok() {
                if Instant::now() > deadline {
                    return Ok(false);
                }
                thread::sleep(Duration::from_millis(LOOK_MS));
            }
            Ok(true)
        }
    }
}
