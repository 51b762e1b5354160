//! Shows one run in this terminal: hands the terminal to the run's keeper, which writes to it and
//! reads from it straight, and waits. Where that is not possible the bytes are relayed.
//!
//! On every way out (detached, ended, an error, SIGTERM, SIGHUP, a panic) the terminal gets back its
//! settings, its modes and its title. It is never asked anything: the answer would go to the program.

use std::{
    io::{self, IoSlice, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags},
    stdio::{stdin, stdout},
    termios::{OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr},
};
use wezterm_parallel_keeper::{reset::RESET, rundir};
use wezterm_parallel_schemas::keeper::{
    ExitRecord, Frames, Hello, PAYLOAD_BYTES_MAX, Role, Size, encode, frame,
};

use crate::attach::pane;
use crate::signals::{self, Signals};

/// Read at one go, from the keeper or from the terminal.
const BUFFER_BYTES: usize = 64 << 10;
/// How long the keeper has to let go of the terminal. It takes microseconds, unless it is halted.
const LET_GO_MS_MAX: u64 = 500;
/// What a terminal has that does not tell its size.
const SIZE_DEFAULT: Size = Size { cols: 80, rows: 24 };

/// How to attach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The key that detaches, as a plain terminal sends it; empty for none. The keeper finds it in its
    /// other forms too, and never in pasted text.
    pub detach_key: Vec<u8>,
    /// Relay bytes instead of handing the terminal over.
    pub relay: bool,
    /// Send no input and never decide the size. The detach key works all the same.
    pub read_only: bool,
    /// What WezTerm is told that the pane shows; nothing is told if there is none.
    pub mark: Option<String>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By the detach key.
    Detached,
    /// The run ended.
    Exited(ExitRecord),
    /// The keeper is gone without a word: it was killed.
    Lost,
}

/// Shows the run that lives in `run_dir` until it ends or the detach key is pressed.
///
/// # Errors
/// Standard input is no terminal, there is no keeper, or the keeper refuses and says why.
pub fn attach(run_dir: &Path, options: &Options) -> io::Result<Outcome> {
    if !isatty(stdin()) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "standard input is not a terminal"));
    }
    let socket = rundir::connect(run_dir)?;
    let signals = Signals::catch(&[libc::SIGWINCH])?;
    let restore = Restore::begin()?;
    let result = Attached {
        socket: &socket,
        signals: &signals,
        frames: Frames::default(),
        relays: options.relay || !stdout_is_the_terminal(),
    }
    .run(options);
    // nothing of the program may come after the reset
    wait_until_let_go(socket);
    drop(restore);
    if let Ok(End::Signal(signal)) = result {
        if options.mark.is_some() {
            pane::take_back();
        }
        signals::pass_on(signal);
    }
    match result? {
        End::Outcome(outcome) => Ok(outcome),
        End::Signal(_) => Err(io::ErrorKind::Interrupted.into()),
    }
}

enum End {
    Outcome(Outcome),
    Signal(i32),
}

struct Attached<'a> {
    socket: &'a UnixStream,
    signals: &'a Signals,
    frames: Frames,
    relays: bool,
}

impl Attached<'_> {
    fn run(mut self, options: &Options) -> io::Result<End> {
        self.say_hello(options)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let mut fds =
                vec![PollFd::new(self.socket, PollFlags::IN), PollFd::new(self.signals, PollFlags::IN)];
            if self.relays {
                fds.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready[1] {
                let came = self.signals.take();
                if let Some(signal) = signals::ending(&came) {
                    return Ok(End::Signal(signal));
                }
                if came.contains(&libc::SIGWINCH) {
                    self.send(frame::RESIZE, &size())?;
                }
            }
            if ready.get(2) == Some(&true) {
                match rustix::io::read(stdin(), &mut buffer) {
                    // the window is gone
                    Ok(0) => return Ok(End::Outcome(Outcome::Detached)),
                    Ok(n) => self.send_bytes(frame::INPUT, &buffer[..n])?,
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            if ready[0] {
                match rustix::io::read(self.socket, &mut buffer) {
                    Ok(0) | Err(Errno::CONNRESET) => return Ok(End::Outcome(Outcome::Lost)),
                    Ok(n) => self.frames.push(&buffer[..n]),
                    Err(Errno::INTR | Errno::AGAIN) => {}
                    Err(e) => return Err(e.into()),
                }
                if let Some(outcome) = self.take_frames()? {
                    return Ok(End::Outcome(outcome));
                }
            }
        }
    }

    /// The first frame, with the terminal if it is to be handed over.
    fn say_hello(&self, options: &Options) -> io::Result<()> {
        let hello = Hello {
            size: Some(size()),
            detach_key: options.detach_key.clone(),
            read_only: options.read_only,
            mark: options.mark.clone(),
            ..Hello::new(Role::Attach)
        };
        let mut bytes = vec![];
        encode(frame::HELLO, &rmp_serde::to_vec_named(&hello).map_err(io::Error::other)?, &mut bytes);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let terminal = [stdin()];
        if !self.relays {
            ancillary.push(SendAncillaryMessage::ScmRights(&terminal));
        }
        let sent =
            rustix::net::sendmsg(self.socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::empty())?;
        write_all(self.socket, &bytes[sent..])
    }

    fn take_frames(&mut self) -> io::Result<Option<Outcome>> {
        loop {
            let next = self.frames.take().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            let Some((kind, payload)) = next else { return Ok(None) };
            match kind {
                frame::OUTPUT => {
                    // also if the terminal was handed over and the keeper could not open it
                    self.relays = true;
                    write_all(stdout(), payload)?;
                }
                frame::DETACHED => return Ok(Some(Outcome::Detached)),
                frame::EXIT => {
                    let record = rmp_serde::from_slice(payload)
                        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
                    return Ok(Some(Outcome::Exited(record)));
                }
                frame::ERROR => return Err(io::Error::other(String::from_utf8_lossy(payload).into_owned())),
                // a newer keeper may say what this program does not know
                _ => {}
            }
        }
    }

    fn send(&self, kind: u8, message: &impl serde::Serialize) -> io::Result<()> {
        self.send_bytes(kind, &rmp_serde::to_vec_named(message).map_err(io::Error::other)?)
    }

    fn send_bytes(&self, kind: u8, payload: &[u8]) -> io::Result<()> {
        const { assert!(BUFFER_BYTES <= PAYLOAD_BYTES_MAX) };
        let mut bytes = vec![];
        encode(kind, payload, &mut bytes);
        match write_all(self.socket, &bytes) {
            // a keeper that has gone has said so, and that is read next
            Err(e) if matches!(e.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                Ok(())
            }
            result => result,
        }
    }
}

/// Ends the connection and waits until the keeper has ended it too: then it has let go of the terminal.
fn wait_until_let_go(mut socket: UnixStream) {
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let _ = socket.set_read_timeout(Some(Duration::from_millis(LET_GO_MS_MAX)));
    let mut buffer = [0; 4096];
    // a keeper that hangs is not waited for
    while matches!(socket.read(&mut buffer), Ok(1..)) {}
}

fn size() -> Size {
    match tcgetwinsize(stdin()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size { cols: size.ws_col, rows: size.ws_row },
        _ => SIZE_DEFAULT,
    }
}

/// Whether what is handed over is also where the screen is to be seen.
fn stdout_is_the_terminal() -> bool {
    let device = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).ok().map(|stat| stat.st_rdev);
    isatty(stdout()) && device(stdin()) == device(stdout())
}

fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                // somebody else has made it non-blocking
                let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
                let _ = poll(&mut fds, None);
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// The terminal as it was, put back when this is dropped.
struct Restore {
    before: Termios,
}

impl Restore {
    /// Raw mode, the title saved, and what stood on the screen moved up into the scrollback: the shell's
    /// own text is never overwritten, and what the program scrolls off comes below it.
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        // WezTerm types Enter and the end-of-file key into a pane that is closed, to end what reads there;
        // here that would submit a half-written prompt. Without such a key it types nothing.
        raw.special_codes[SpecialCodeIndex::VEOF] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        let restore = Self { before };
        let mut bytes = b"\x1b[22;0t".to_vec();
        for _ in 0..size().rows {
            bytes.extend_from_slice(b"\r\n");
        }
        if isatty(stdout()) {
            write_all(stdout(), &bytes)?;
        }
        Ok(restore)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if isatty(stdout()) {
            let mut bytes = RESET.to_vec();
            // show what is there, below it a free line, and the title of before
            bytes.extend_from_slice(b"\x1b[?2026l\x1b[?25h\x1b[999;1H\r\n\x1b[23;0t");
            // a window that is gone does not take it, and does not need it
            let _ = write_all(stdout(), &bytes);
            let _ = io::stdout().flush();
        }
        // what was typed for the program and not read is not for the shell
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.before);
    }
}
