//! The way from a hook to the daemon: everything that is said in one piece, and never a wait without a
//! bound while Claude waits for us.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
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

use crate::connection::{daemon_info, knock};

/// Between two tries to reach a daemon whose queue of clients is full.
const KNOCK_MS: u64 = 2;
/// Number of the hello among our requests; the report has the next one, its receipt the one after.
const HELLO: u32 = 1;
/// What the daemon refuses before it has read anything has this number: too many are connected, mostly.
const UNREAD: u32 = 0;
/// Where Claude shows no dialog, the daemon is asked this often whether it is still there. A person takes
/// minutes to answer, and a hook that waits should cost nothing.
const LIVES_MS: u64 = 30_000;
/// It has this long to say so: a machine that is overloaded is slow, one that is halted says nothing at all.
const LIVES_WITHIN_MS: u64 = 10_000;

/// A connection to the daemon.
pub struct Line {
    stream: UnixStream,
    /// Number of the last request.
    last: u32,
    greeted: bool,
    /// How often it is asked whether it lives, and how long it has to say so.
    lives: [Duration; 2],
    scanner: Scanner,
    buffer: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The daemon is gone, or does not answer.
    Daemon {
        /// It had welcomed us.
        greeted: bool,
    },
    /// The daemon does not take us in: it has too many clients, or speaks another protocol.
    Refused,
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
                Ok(fd) => return Ok(Self::over(fd.into())),
                Err(Errno::AGAIN) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(KNOCK_MS));
                }
                Err(_) => return Err(SILENT),
            }
        }
    }

    fn over(stream: UnixStream) -> Self {
        Self {
            stream,
            last: 0,
            greeted: false,
            lives: [LIVES_MS, LIVES_WITHIN_MS].map(Duration::from_millis),
            scanner: Scanner::new(Limits::ANSWER),
            buffer: Vec::new(),
        }
    }

    /// Sends a report, behind a hello if it is the first one. When this returns, the socket has all of it.
    pub fn tell(&mut self, report: &HookReport, until: Instant) -> Result<(), Lost> {
        let mut bytes = Vec::new();
        if self.last == 0 {
            bytes = hello();
            self.last = HELLO;
        }
        self.last += 1;
        bytes.extend(encode(self.last, ReportHook::NAME, report));
        self.send(&bytes, until)
    }

    fn send(&mut self, bytes: &[u8], until: Instant) -> Result<(), Lost> {
        let mut rest = bytes;
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
    /// daemon must have welcomed us; from then on it must show that it lives. With none, a dialog of
    /// Claude's stands beside, and a daemon may be silent for as long as it likes.
    pub fn answer(&mut self, greeting: Option<Instant>) -> Result<HookAnswer, Lost> {
        // when the hello that is under way must be answered, and if none is, when the next one is due
        let (mut answered_by, mut due) = (greeting, Instant::now());
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
                    Ok(Message::Response { id: HELLO, error: None, .. }) => {
                        self.greeted = true;
                        answered_by = None;
                        due = Instant::now() + self.lives[0];
                    }
                    Ok(Message::Response { id: HELLO | UNREAD, error: Some(_), .. }) => {
                        return Err(Lost::Refused);
                    }
                    Ok(_) => {}
                    Err(_) => return Err(self.lost()),
                }
            }
            let wait = match (greeting, answered_by) {
                (None, _) => None,
                (_, Some(until)) => match until.saturating_duration_since(Instant::now()) {
                    Duration::ZERO => return Err(self.lost()),
                    left => Some(timespec(left)),
                },
                (_, None) => match due.saturating_duration_since(Instant::now()) {
                    Duration::ZERO => {
                        let until = Instant::now() + self.lives[1];
                        self.send(&hello(), until)?;
                        answered_by = Some(until);
                        continue;
                    }
                    left => Some(timespec(left)),
                },
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

fn hello() -> Vec<u8> {
    let client = concat!("wezterm-parallel hook ", env!("CARGO_PKG_VERSION")).into();
    encode(HELLO, HelloCall::NAME, &Hello { protocol: PROTOCOL, client, config: None })
}

fn encode<P: Serialize>(id: u32, method: &str, params: &P) -> Vec<u8> {
    rmp_serde::to_vec_named(&Request::new(id, method, params)).expect("our own types encode")
}

fn timespec(d: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX), tv_nsec: d.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use wezterm_parallel_schemas::{
        error::{Code, Error},
        hook::HookKind,
        rpc::{Failure, Success},
    };

    use super::*;

    fn report() -> HookReport {
        HookReport {
            kind: HookKind::Hook,
            run: "r".into(),
            process: "p".into(),
            pid: None,
            at: 0,
            payload: "{}".into(),
            hold: true,
            attended: false,
            ask: None,
            taken: false,
        }
    }

    /// A line over which a report was sent, and the daemon's end of it.
    fn told() -> (Line, UnixStream) {
        let (own, daemon) = UnixStream::pair().expect("a pair of sockets");
        own.set_nonblocking(true).expect("it is ours");
        let mut line = Line::over(own);
        line.tell(&report(), soon()).expect("it fits the socket");
        (line, daemon)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn failure(id: u32) -> Vec<u8> {
        rmp_serde::to_vec_named(&Failure::new(id, &Error::new(Code::Busy, "full"))).expect("it encodes")
    }

    fn success<R: Serialize>(id: u32, result: &R) -> Vec<u8> {
        rmp_serde::to_vec_named(&Success(1, id, (), result)).expect("it encodes")
    }

    #[test]
    fn a_daemon_that_refuses_has_not_welcomed_anybody() {
        for id in [UNREAD, HELLO] {
            let (mut line, mut daemon) = told();
            daemon.write_all(&failure(id)).expect("it fits the socket");
            drop(daemon);
            assert_eq!(line.answer(None).expect_err("refused"), Lost::Refused, "{id}");
        }
        let (mut line, daemon) = told();
        drop(daemon);
        assert_eq!(line.answer(None).expect_err("gone"), Lost::Daemon { greeted: false });
        let (mut line, mut daemon) = told();
        daemon.write_all(&success(HELLO, &())).expect("it fits the socket");
        drop(daemon);
        assert_eq!(line.answer(None).expect_err("gone"), Lost::Daemon { greeted: true });
    }

    #[test]
    fn where_no_dialog_stands_a_daemon_must_show_that_it_lives() {
        let (mut line, mut daemon) = told();
        line.lives = [Duration::from_millis(1), Duration::from_secs(60)];
        // it answers the hello of the beginning and two more, then the report
        let answering = thread::spawn(move || {
            let (mut scanner, mut buffer, mut hellos) = (Scanner::new(Limits::default()), Vec::new(), 0);
            while hellos < 3 {
                let mut chunk = [0; 4096];
                let n = daemon.read(&mut chunk).expect("it is open");
                buffer.extend_from_slice(&chunk[..n]);
                while let Some(end) = scanner.scan(&buffer).expect("frames") {
                    let frame: Vec<u8> = buffer.drain(..end).collect();
                    if matches!(split(&frame), Ok(Message::Request { id: HELLO, .. })) {
                        hellos += 1;
                        daemon.write_all(&success(HELLO, &())).expect("it is open");
                    }
                }
            }
            let answer = HookAnswer { output: Some("yes".into()) };
            daemon.write_all(&success(HELLO + 1, &answer)).expect("it is open");
            daemon
        });
        assert_eq!(line.answer(Some(soon())).expect("an answer").output.as_deref(), Some("yes"));
        let _daemon = answering.join().expect("it has answered");
        // one that was halted since
        let (mut line, mut daemon) = told();
        line.lives = [Duration::ZERO, Duration::from_millis(1)];
        daemon.write_all(&success(HELLO, &())).expect("it fits the socket");
        assert_eq!(line.answer(Some(soon())).expect_err("it is silent"), Lost::Daemon { greeted: true });
    }
}
