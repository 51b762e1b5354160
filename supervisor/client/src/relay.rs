//! `wezterm-parallel relay`: a dumb pipe between the plugin, which has no sockets, and the daemon. What is
//! to be said comes as whole frames on the command line, or in a file; the answers go to the standard
//! output as they came. It knows nothing of what is said: no runtime, no command line parser.
//!
//! Exit codes: 0 everything was answered, if only with an error; 1 it was not; 2 wrong usage; 3 no daemon.
//! Whatever is not said by the daemon is said by one more answer, with the number 0.

mod frames;

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    termios::isatty,
};
use wezterm_parallel_schemas::{
    envelope::{Message, split},
    error::{Code, Error},
    rpc::Failure as WireFailure,
    scan::{Limits, Refused, Scanner},
};

use crate::{
    app::App,
    connection::{daemon_info, knock},
    daemon, executable,
    failure::{Exit, Failure},
    relay::frames::{Frames, plain},
};

/// How long the answers may take. Effects take longer, and are waited for with `--wait`; there it is the
/// time for the first answer, to `hello`, which a daemon that lives gives at once.
const ANSWERS_MS: u64 = 10_000;
/// Between two tries to reach a daemon whose queue of clients is full.
const KNOCK_MS: u64 = 2;
/// Bytes read at once: most answers whole.
const READ_BYTES: usize = 64 << 10;
/// What the daemon refuses before it has read anything is answered with this number, and so is what this
/// program says in its stead.
const NO_REQUEST: u32 = 0;
const USAGE: &str =
    "wezterm-parallel relay [--wait] [--start] [--config PATH] [--environment] (--file PATH | HEX)";

/// Carries out `relay` and gives the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> i32 {
    let done = Call::take(args).and_then(|call| call.carry_out());
    let Err(ended) = done else { return 0 };
    match ended {
        Ended::Unread | Ended::Answered => Exit::Failed as i32,
        Ended::Misused(error) => {
            tell(&error);
            Exit::Usage as i32
        }
        Ended::Failed(error) => {
            tell(&error);
            if is_none(error.code) { Exit::NoDaemon as i32 } else { Exit::Failed as i32 }
        }
    }
}

/// Says an error as the daemon would: an answer for the plugin, and a line for people.
fn tell(error: &Error) {
    let _ = writeln!(io::stderr(), "{}", error.line());
    let out = io::stdout();
    if !isatty(&out) {
        let answer = rmp_serde::to_vec_named(&WireFailure::new(NO_REQUEST, error));
        let _ = out.lock().write_all(&answer.expect("our own types encode"));
        let _ = out.lock().flush();
    }
}

/// Why not everything was answered.
enum Ended {
    /// Whoever wanted to know is gone.
    Unread,
    /// The daemon has said why by itself.
    Answered,
    /// The call itself makes no sense.
    Misused(Error),
    /// Anything else.
    Failed(Error),
}

/// One call of the program.
struct Call {
    frames: Frames,
    /// Answers may take as long as they like.
    wait: bool,
    /// A daemon is started if there is none.
    start: bool,
    /// The config file of a daemon that is started.
    config: Option<PathBuf>,
}

impl Call {
    fn take(mut args: impl Iterator<Item = OsString>) -> Result<Self, Ended> {
        let (mut wait, mut start, mut environment) = (false, false, false);
        let (mut config, mut file, mut hex) = (None, None, None);
        let misused = |what: String| Ended::Misused(Error::new(Code::BadParams, what).hint(USAGE));
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| misused(format!("{} needs a path", arg.display())));
            match arg.to_str() {
                Some("--wait") => wait = true,
                Some("--start") => start = true,
                Some("--environment") => environment = true,
                Some("--config") => config = Some(PathBuf::from(value()?)),
                Some("--file") => file = Some(PathBuf::from(value()?)),
                Some(text) if !text.starts_with('-') && hex.is_none() => hex = Some(text.to_owned()),
                // not shown: it may be free text
                _ => return Err(misused("an argument is not known".into())),
            }
        }
        let mut frames = match (file, hex) {
            (Some(file), None) => Frames::from_file(&file),
            (None, Some(hex)) => Frames::from_hex(&hex),
            _ => return Err(misused("one of --file and HEX is needed".into())),
        }
        .map_err(Ended::Misused)?;
        if environment {
            frames.add_environment(std::env::vars_os()).map_err(Ended::Misused)?;
        }
        Ok(Self { frames, wait, start, config })
    }

    fn carry_out(self) -> Result<(), Ended> {
        let mut app = App::new(true).map_err(|failure| Ended::Failed(internal(&failure)))?;
        app.config_given = self.config;
        let mut answered = 0;
        let mut talk = |app: &App| {
            let line = Line { socket: reach(app)?, wait: self.wait };
            line.talk(&self.frames, &mut answered)
        };
        match talk(&app) {
            // one that was there and has ended before it said anything is as good as none
            Err(Ended::Failed(error)) if self.start && is_none(error.code) => {
                if answered > 0 {
                    return Err(Ended::Failed(error));
                }
            }
            done => return done,
        }
        executable::current()
            .and_then(|exe| daemon::start(&app, &exe))
            .map_err(|failure| Ended::Failed(not_started(&failure)))?;
        Line { socket: reach(&app)?, wait: self.wait }.talk(&self.frames, &mut answered)
    }
}

/// A daemon that could not be started.
fn not_started(failure: &Failure) -> Error {
    Error { code: Code::NoDaemon, ..internal(failure) }
}

fn internal(failure: &Failure) -> Error {
    // a message that ends with parentheses, and has no hint behind it, would be taken apart wrongly
    let hint = failure.hint.clone().unwrap_or_else(|| "run `wezterm-parallel doctor`".into());
    Error::new(Code::Internal, failure.to_string()).hint(hint)
}

/// Connects to the daemon. Its own word on where its socket is comes first.
fn reach(app: &App) -> Result<UnixStream, Ended> {
    let own = app.places.socket();
    let told = daemon_info(&app.places).map(|info| info.socket).filter(|told| *told != own);
    let until = Instant::now() + Duration::from_millis(ANSWERS_MS);
    let mut why = Errno::NOENT;
    for socket in told.iter().chain([&own]) {
        loop {
            match knock(socket) {
                Ok(fd) => return Ok(fd.into()),
                Err(Errno::AGAIN) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(KNOCK_MS));
                }
                Err(e) => {
                    why = e;
                    break;
                }
            }
        }
    }
    let at = own.display();
    let error = match why {
        Errno::NOENT | Errno::CONNREFUSED if was_stopped(&app.places) => {
            Error::new(Code::ShuttingDown, "the daemon was stopped")
                .hint("start it with `wezterm-parallel daemon`")
        }
        Errno::NOENT | Errno::CONNREFUSED => Error::new(Code::NoDaemon, format!("no daemon listens at {at}"))
            .hint("start it with `wezterm-parallel daemon`"),
        Errno::AGAIN => Error::new(Code::Busy, format!("the daemon at {at} takes nobody in")),
        why => Error::new(
            Code::NoDaemon,
            format!("the daemon at {at} cannot be reached: {}", plain(&why.into())),
        )
        .hint("run `wezterm-parallel doctor`"),
    };
    Err(Ended::Failed(error))
}

/// Whether the last daemon ended because somebody wanted it to: then it has taken its address away. One that
/// was lost has left it behind.
fn was_stopped(places: &wezterm_parallel_schemas::places::Places) -> bool {
    places.log().exists() && !places.info().exists()
}

/// Nobody is there to talk to.
fn is_none(code: Code) -> bool {
    matches!(code, Code::NoDaemon | Code::ShuttingDown)
}

/// A connection to the daemon.
struct Line {
    socket: UnixStream,
    wait: bool,
}

impl Line {
    /// Sends all frames and hands their answers on, which it counts.
    fn talk(mut self, frames: &Frames, answered: &mut usize) -> Result<(), Ended> {
        let until = Instant::now() + Duration::from_millis(ANSWERS_MS);
        let mut unsent = frames.bytes();
        let mut scanner = Scanner::new(Limits::ANSWER);
        let mut buffer = Vec::new();
        // what the daemon says as it hangs up, and whether an answer has said so already
        let (mut closing, mut refused) = (None, false);
        let out = io::stdout();
        loop {
            while let Some(end) = scanner.scan(&buffer).map_err(|e| Ended::Failed(garbled(&e)))? {
                match split(&buffer[..end]).map_err(|e| Ended::Failed(garbled(&e)))? {
                    Message::Response { error, .. } => {
                        refused |= error.is_some();
                        let mut out = out.lock();
                        out.write_all(&buffer[..end])
                            .and_then(|()| out.flush())
                            .map_err(|_| Ended::Unread)?;
                        *answered += 1;
                    }
                    Message::Notification { method: "closing", params } => {
                        closing = rmp_serde::from_slice::<Error>(params).ok();
                    }
                    Message::Notification { .. } | Message::Request { .. } => {}
                }
                buffer.drain(..end);
                if *answered == frames.requests() {
                    return Ok(());
                }
            }
            let patient = self.wait && *answered > 0;
            let left = until.saturating_duration_since(Instant::now());
            if !patient && left.is_zero() {
                let seconds = ANSWERS_MS / 1_000;
                let error =
                    Error::new(Code::Timeout, format!("the daemon did not answer within {seconds} s"));
                return Err(Ended::Failed(error.hint("it may still happen: see `wezterm-parallel status`")));
            }
            let wanted = if unsent.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            // no event is asked for of the output: that its reader is gone is told all the same
            let mut fds = [PollFd::new(&self.socket, wanted), PollFd::new(&out, PollFlags::empty())];
            match poll(&mut fds, (!patient).then_some(timespec(left)).as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(Ended::Failed(lost(&e.into()))),
            }
            let [from_daemon, to_reader] = fds.map(|fd| fd.revents());
            if to_reader.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
                return Err(Ended::Unread);
            }
            if from_daemon.contains(PollFlags::OUT) {
                match self.socket.write(unsent) {
                    Ok(n) => unsent = &unsent[n..],
                    Err(e) if later(&e) => {}
                    // it has hung up; its reason may be there to be read
                    Err(_) => unsent = &[],
                }
            }
            if !from_daemon.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                continue;
            }
            let mut chunk = [0; READ_BYTES];
            match self.socket.read(&mut chunk) {
                Ok(0) if refused => return Err(Ended::Answered),
                Ok(0) => return Err(Ended::Failed(closing.unwrap_or_else(hung_up))),
                Ok(n) => buffer.extend_from_slice(&chunk[..n]),
                Err(e) if later(&e) => {}
                Err(_) if refused => return Err(Ended::Answered),
                Err(e) => return Err(Ended::Failed(closing.unwrap_or_else(|| lost(&e)))),
            }
        }
    }
}

fn later(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn hung_up() -> Error {
    Error::new(Code::NoDaemon, "the daemon hung up").hint("see `wezterm-parallel status`")
}

fn lost(why: &io::Error) -> Error {
    Error::new(Code::NoDaemon, format!("the connection to the daemon broke: {}", plain(why)))
        .hint("see `wezterm-parallel status`")
}

fn garbled(why: &Refused) -> Error {
    Error::new(Code::Internal, format!("the daemon's answer was not understood: {why}"))
        .hint("program and daemon may differ: run `wezterm-parallel doctor`")
}

fn timespec(d: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX), tv_nsec: d.subsec_nanos().into() }
}
