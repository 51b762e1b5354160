//! The way from a hook to the daemon: everything that is said in one piece, and never a wait without a
//! bound while Claude waits for us.

use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket},
};
use serde::Serialize;
use wezterm_parallel_schemas::{
    PROTOCOL,
    daemon::Hello,
    envelope::{Message, split},
    hook::{HookAnswer, HookReport},
    method::{HelloCall, Method as _, ReportHook},
    places::Places,
    rpc::Request,
    scan::{Limits, Scanner},
};

use crate::connection::daemon_info;

/// Between two tries to reach a daemon whose queue of clients is full.
const KNOCK_MS: u64 = 2;
/// Number of the hello among our requests; the report has the next one, its receipt the one after.
const HELLO: u32 = 1;

/// A connection to the daemon.
pub struct Line {
    stream: UnixStream,
    /// Number of the last request.
    last: u32,
    greeted: bool,
    scanner: Scanner,
    buffer: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The daemon is gone, or does not answer.
    Daemon {
        /// It had spoken before.
        greeted: bool,
    },
    /// Claude does not listen any more: somebody has answered in its own dialog, or it has ended.
    Claude,
}

/// It has not spoken.
const SILENT: Lost = Lost::Daemon { greeted: false };

impl Line {
    /// Connects to the daemon that the state directory names. No later than `until`.
    pub fn open(places: &Places, until: Instant) -> Result<Self, Lost> {
        let socket = daemon_info(places).ok_or(SILENT)?.socket;
        loop {
            match knock(&socket) {
                Ok(fd) => {
                    return Ok(Self {
                        stream: fd.into(),
                        last: 0,
                        greeted: false,
                        scanner: Scanner::new(Limits::ANSWER),
                        buffer: Vec::new(),
                    });
                }
                Err(Errno::AGAIN) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(KNOCK_MS));
                }
                Err(_) => return Err(SILENT),
            }
        }
    }

    /// Sends a report, behind a hello if it is the first one. When this returns, the socket has all of it.
    pub fn tell(&mut self, report: &HookReport, until: Instant) -> Result<(), Lost> {
        let mut bytes = Vec::new();
        if self.last == 0 {
            let client = concat!("wezterm-parallel hook ", env!("CARGO_PKG_VERSION")).into();
            bytes = encode(HELLO, HelloCall::NAME, &Hello { protocol: PROTOCOL, client, config: None });
            self.last = HELLO;
        }
        self.last += 1;
        bytes.extend(encode(self.last, ReportHook::NAME, report));
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let left = until.saturating_duration_since(Instant::now());
                    let mut fds = [PollFd::new(&self.stream, PollFlags::OUT)];
                    if left.is_zero() || poll(&mut fds, Some(&timespec(left))) == Ok(0) {
                        return Err(self.lost());
                    }
                }
                Err(_) => return Err(self.lost()),
            }
        }
        Ok(())
    }

    /// Waits for the answer to the last report, for as long as Claude wants it. `greeting` is when the
    /// daemon must have spoken for the first time.
    pub fn answer(&mut self, greeting: Option<Instant>) -> Result<HookAnswer, Lost> {
        loop {
            while let Some(end) = self.scanner.scan(&self.buffer).map_err(|_| SILENT)? {
                let frame: Vec<u8> = self.buffer.drain(..end).collect();
                match split(&frame) {
                    Ok(Message::Response { id, error: None, result }) if id == self.last => {
                        return rmp_serde::from_slice(result).map_err(|_| SILENT);
                    }
                    // what it has refused it refuses again: Claude goes on as if we were not there
                    Ok(Message::Response { id, error: Some(_), .. }) if id == self.last => {
                        return Ok(HookAnswer::default());
                    }
                    Ok(_) => self.greeted = true,
                    Err(_) => return Err(self.lost()),
                }
            }
            let wait = match greeting.filter(|_| !self.greeted) {
                Some(until) => match until.saturating_duration_since(Instant::now()) {
                    Duration::ZERO => return Err(SILENT),
                    left => Some(timespec(left)),
                },
                None => None,
            };
            let out = io::stdout();
            // no event is asked for of the output: an error is told all the same
            let mut fds = [PollFd::new(&self.stream, PollFlags::IN), PollFd::new(&out, PollFlags::empty())];
            match poll(&mut fds, wait.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return Err(self.lost()),
            }
            let [from_daemon, to_claude] = fds.map(|fd| fd.revents());
            if to_claude.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
                return Err(Lost::Claude);
            }
            if from_daemon.is_empty() {
                continue;
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(self.lost()),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => return Err(self.lost()),
            }
        }
    }

    fn lost(&self) -> Lost {
        Lost::Daemon { greeted: self.greeted }
    }
}

/// Whether Claude stops listening within this time.
pub fn claude_is_gone(within: Duration) -> bool {
    let out = io::stdout();
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match poll(&mut [PollFd::new(&out, PollFlags::empty())], Some(&timespec(left))) {
            Err(Errno::INTR) => {}
            done => return done != Ok(0),
        }
    }
}

/// Connects without ever waiting.
fn knock(path: &Path) -> Result<OwnedFd, Errno> {
    let fd = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(fd.as_fd(), true)?;
    connect(&fd, &SocketAddrUnix::new(path)?)?;
    Ok(fd)
}

fn encode<P: Serialize>(id: u32, method: &str, params: &P) -> Vec<u8> {
    rmp_serde::to_vec_named(&Request::new(id, method, params)).expect("our own types encode")
}

fn timespec(d: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX), tv_nsec: d.subsec_nanos().into() }
}
