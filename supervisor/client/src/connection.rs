//! The connection to the daemon: typed calls, one after the other, and the events that come between.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket},
};
use serde::{Serialize, de::DeserializeOwned};
use wezterm_parallel_schemas::{
    PROTOCOL,
    daemon::{Hello, Welcome},
    envelope::{Message, split},
    error::{Code, Error},
    event::Event,
    method::{HelloCall, Method},
    places::{DaemonInfo, Places, SOCKET_PATH_BYTES_MAX},
    rpc::{FRAME_BYTES_MAX, Request, WireError},
    scan::{Limits, Scanner},
};

use crate::failure::{Exit, Failure, Outcome};

/// How long `hello` may take. The daemon answers it from memory: more than this and it hangs.
const HELLO_MS: u64 = 5_000;
/// How long a question may take. It waits behind a reload and an fsync at most.
const QUESTION_MS: u64 = 30_000;
/// How long an effect may take: a stop waits for the grace time that the user configured.
const EFFECT_MS: u64 = 15 * 60_000;
/// A turn of an agent may take days; a year is more than any.
const FOREVER_S: u64 = 365 * 24 * 60 * 60;
/// How long the socket may refuse to take more. A request is smaller than its buffer in most cases.
const WRITE_MS: u64 = 30_000;
/// Bytes read at once: most answers whole.
const READ_BYTES: usize = 64 << 10;

/// A connection on which `hello` has been said.
pub struct Connection {
    stream: UnixStream,
    scanner: Scanner,
    buffer: Vec<u8>,
    events: VecDeque<Event>,
    last_id: u32,
    welcome: Welcome,
    socket: PathBuf,
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It only asks.
    Question,
    /// It is answered when something is true that takes its time.
    Effect,
    /// As long as it takes: somebody waits for it.
    Forever,
}

impl Patience {
    fn span(self) -> Duration {
        match self {
            Self::Question => Duration::from_millis(QUESTION_MS),
            Self::Effect => Duration::from_millis(EFFECT_MS),
            Self::Forever => Duration::from_secs(FOREVER_S),
        }
    }
}

/// Why a call did not give a result.
#[derive(Debug)]
pub enum CallError {
    /// The daemon refused it.
    Refused(Error),
    /// The daemon is gone, or hung up.
    Lost(io::Error),
    /// No answer came in time. The effect may still come.
    Late(Duration),
    /// What came is not what this program understands.
    Garbled(String),
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// Nothing listens there.
    NoDaemon(PathBuf),
    /// Something listens and did not say hello as it should.
    Hello(PathBuf, CallError),
    /// No socket can have a path so long.
    TooLong(PathBuf),
    /// The socket cannot be reached.
    Unreachable(PathBuf, io::Error),
}

impl Connection {
    /// Connects to the daemon of `places` and says hello. The daemon's own word on where its socket is
    /// comes first: over ssh the runtime directory may be another one than on the desktop.
    pub fn open(places: &Places, config: &Path) -> Result<Self, ConnectError> {
        let own = places.socket();
        let told = daemon_info(places).map(|info| info.socket).filter(|told| *told != own);
        if let Some(told) = told
            && let Ok(connection) = Self::open_at(&told, config)
        {
            return Ok(connection);
        }
        Self::open_at(&own, config)
    }

    fn open_at(socket: &Path, config: &Path) -> Result<Self, ConnectError> {
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            return Err(ConnectError::TooLong(socket.to_owned()));
        }
        let stream = UnixStream::connect(socket).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ConnectError::NoDaemon(socket.to_owned())
            }
            _ => ConnectError::Unreachable(socket.to_owned(), e),
        })?;
        stream
            .set_write_timeout(Some(Duration::from_millis(WRITE_MS)))
            .map_err(|e| ConnectError::Unreachable(socket.to_owned(), e))?;
        let mut connection = Self {
            stream,
            scanner: Scanner::new(Limits::ANSWER),
            buffer: Vec::new(),
            events: VecDeque::new(),
            last_id: 0,
            welcome: Welcome::default(),
            socket: socket.to_owned(),
        };
        let hello = Hello {
            protocol: PROTOCOL,
            client: concat!("wezterm-parallel ", env!("CARGO_PKG_VERSION")).into(),
            config: Some(config.to_owned()),
        };
        connection.welcome = connection
            .call_within::<HelloCall>(&hello, Duration::from_millis(HELLO_MS))
            .map_err(|e| match e {
                // it died, or was ending, just as we came: nobody has answered
                CallError::Lost(_) => ConnectError::NoDaemon(socket.to_owned()),
                e => ConnectError::Hello(socket.to_owned(), e),
            })?;
        Ok(connection)
    }

    /// What the daemon said of itself.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The daemon's socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks something that is answered at once.
    pub fn ask<M: Method>(&mut self, params: &M::Params) -> Result<M::Result, CallError> {
        self.call::<M>(params, Patience::Question)
    }

    /// Calls a method and waits for its answer. Events that come meanwhile are kept.
    pub fn call<M: Method>(
        &mut self,
        params: &M::Params,
        patience: Patience,
    ) -> Result<M::Result, CallError> {
        self.call_within::<M>(params, patience.span())
    }

    /// Calls a method once for each of `params`, all at the same time, and gives each answer, with its
    /// place among them, as it comes. What the daemon refuses is an answer.
    pub fn call_all<M: Method>(
        &mut self,
        params: &[M::Params],
        patience: Patience,
        mut answered: impl FnMut(usize, Result<M::Result, Error>),
    ) -> Result<(), CallError> {
        let span = patience.span();
        let deadline = Instant::now() + span;
        let first = self.last_id.wrapping_add(1);
        for params in params {
            self.begin::<M>(params)?;
        }
        let mut open: Vec<bool> = vec![true; params.len()];
        while open.contains(&true) {
            match self.receive(Some(deadline))? {
                None => return Err(CallError::Late(span)),
                Some(Received::Event(event)) => self.events.push_back(*event),
                Some(Received::Answer(id, answer)) => {
                    let i = usize::try_from(id.wrapping_sub(first)).unwrap_or(usize::MAX);
                    if open.get(i) == Some(&true) {
                        open[i] = false;
                        let answer = match answer {
                            Ok(result) => Ok(decode(&result)?),
                            Err(error) => Err(error),
                        };
                        answered(i, answer);
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends a call and does not wait: its answer comes from [`Connection::come`] under the number that
    /// this gives.
    pub fn begin<M: Method>(&mut self, params: &M::Params) -> Result<u32, CallError> {
        self.last_id = self.last_id.wrapping_add(1);
        let frame = encode(&Request::new(self.last_id, M::NAME, params))?;
        self.stream.write_all(&frame).map_err(CallError::Lost)?;
        Ok(self.last_id)
    }

    /// What has come, an answer or an event, in its order; none if that is all. Does not wait.
    pub fn come(&mut self) -> Result<Option<Received>, CallError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(Received::Event(Box::new(event))));
        }
        self.receive(Some(Instant::now()))
    }

    /// Calls a method and waits for its answer, for this long.
    pub fn call_within<M: Method>(
        &mut self,
        params: &M::Params,
        patience: Duration,
    ) -> Result<M::Result, CallError> {
        let deadline = Instant::now() + patience;
        let id = self.begin::<M>(params)?;
        loop {
            match self.receive(Some(deadline))? {
                None => return Err(CallError::Late(patience)),
                Some(Received::Answer(answered, answer)) if answered == id => {
                    return match answer {
                        Ok(result) => decode(&result),
                        Err(error) => Err(CallError::Refused(error)),
                    };
                }
                // why the daemon ends this connection: it belongs to no call
                Some(Received::Answer(0, Err(error))) => return Err(CallError::Refused(error)),
                // the answer to a call that was given up
                Some(Received::Answer(..)) => {}
                Some(Received::Event(event)) => self.events.push_back(*event),
            }
        }
    }

    /// The next event after a `subscribe`, or none at `deadline`. Without one it waits for ever.
    pub fn next_event(&mut self, deadline: Option<Instant>) -> Result<Option<Event>, CallError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        loop {
            match self.receive(deadline)? {
                None => return Ok(None),
                Some(Received::Event(event)) => return Ok(Some(*event)),
                Some(Received::Answer(..)) => {}
            }
        }
    }

    /// One frame that is an answer or an event; none at `deadline`.
    fn receive(&mut self, deadline: Option<Instant>) -> Result<Option<Received>, CallError> {
        loop {
            let end = self.scanner.scan(&self.buffer).map_err(|e| CallError::Garbled(e.to_string()))?;
            if let Some(end) = end {
                let received = understand(&self.buffer[..end]);
                self.buffer.drain(..end);
                match received? {
                    Some(received) => return Ok(Some(received)),
                    None => continue,
                }
            }
            if !readable(self.stream.as_fd(), deadline).map_err(CallError::Lost)? {
                return Ok(None);
            }
            let mut chunk = [0; READ_BYTES];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(CallError::Lost(e)),
            }
        }
    }
}

impl AsFd for Connection {
    /// To wait for the connection and for something else. Events that were read already do not make it
    /// readable: take them with [`Connection::next_event`] first.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// What the daemon wrote of itself, if it did. It may be long gone.
pub fn daemon_info(places: &Places) -> Option<DaemonInfo> {
    serde_json::from_slice(&std::fs::read(places.info()).ok()?).ok()
}

/// Connects without ever waiting.
pub fn knock(path: &Path) -> Result<OwnedFd, Errno> {
    let fd = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&fd, true)?;
    connect(&fd, &SocketAddrUnix::new(path)?)?;
    Ok(fd)
}

/// Whether `fd` can be read before `deadline`. Signals do not end the wait.
pub fn readable(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let timeout = left.map(|d| Timespec {
            tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: d.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// What a frame comes to. A result is decoded by whoever knows its type.
#[derive(Debug)]
pub enum Received {
    /// The answer to the call of this number: its result, encoded, or why there is none.
    Answer(u32, Result<Vec<u8>, Error>),
    /// Something that happened.
    Event(Box<Event>),
}

/// Takes a frame apart; none if it is a kind of notification that a newer daemon sends.
fn understand(frame: &[u8]) -> Result<Option<Received>, CallError> {
    match split(frame).map_err(|e| CallError::Garbled(e.to_string()))? {
        Message::Response { id, error: None, result } => Ok(Some(Received::Answer(id, Ok(result.to_vec())))),
        Message::Response { id, error: Some(error), .. } => {
            let WireError(error) = decode(error)?;
            Ok(Some(Received::Answer(id, Err(error))))
        }
        Message::Notification { method: "event", params } => {
            Ok(Some(Received::Event(Box::new(decode(params)?))))
        }
        Message::Notification { .. } => Ok(None),
        Message::Request { .. } => Err(CallError::Garbled("the daemon sent a request".into())),
    }
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>, CallError> {
    let frame = rmp_serde::to_vec_named(value).expect("our own types encode");
    if frame.len() > FRAME_BYTES_MAX {
        // the environment is what can be so large
        return Err(CallError::Refused(
            Error::new(Code::BadFrame, format!("the request is larger than {FRAME_BYTES_MAX} bytes"))
                .hint("unset large environment variables, or shorten the command"),
        ));
    }
    // the daemon would hang up in the middle of it, and nobody would hear why
    if let Err(refused) = Scanner::new(Limits::default()).scan(&frame) {
        return Err(CallError::Refused((&refused).into()));
    }
    Ok(frame)
}

/// The result of a call.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CallError> {
    rmp_serde::from_slice(bytes).map_err(|e| CallError::Garbled(e.to_string()))
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(e) => e.fmt(f),
            Self::Lost(e) if e.kind() == io::ErrorKind::UnexpectedEof => f.write_str("the daemon hung up"),
            Self::Lost(e) => write!(f, "the connection to the daemon broke: {e}"),
            Self::Late(d) => {
                write!(f, "the daemon did not answer within {}", humantime::format_duration(*d))
            }
            Self::Garbled(why) => write!(f, "the daemon's answer was not understood: {why}"),
        }
    }
}

impl CallError {
    /// The failure to do `what` that this means for a command.
    pub fn failure(self, what: impl Into<String>) -> Failure {
        match self {
            Self::Refused(error) => Failure::refused(what, error),
            Self::Lost(_) => Failure::new(what, &self).hint("see `wezterm-parallel status`"),
            Self::Late(_) => {
                Failure::new(what, &self).hint("it may still happen: see `wezterm-parallel status`")
            }
            Self::Garbled(_) => {
                Failure::new(what, &self).hint("program and daemon may differ: run `wezterm-parallel doctor`")
            }
        }
    }
}

impl ConnectError {
    /// The failure that this means for a command that needs the daemon.
    pub fn failure(self) -> Failure {
        match self {
            Self::NoDaemon(socket) => {
                Failure::new("reach the daemon", format!("none listens at {}", socket.display()))
                    .hint("start it with `wezterm-parallel up`")
                    .exit(Exit::NoDaemon)
            }
            Self::Hello(socket, CallError::Refused(error)) => {
                let mut failure =
                    Failure::refused(format!("talk to the daemon at {}", socket.display()), error);
                failure.hint.get_or_insert_with(|| "run `wezterm-parallel doctor`".into());
                failure
            }
            Self::Hello(socket, error) => {
                Failure::new(format!("talk to the daemon at {}", socket.display()), error)
                    .hint("run `wezterm-parallel doctor`")
            }
            Self::TooLong(socket) => Failure::new(
                "reach the daemon",
                format!(
                    "the path of its socket has {} bytes, and may have {SOCKET_PATH_BYTES_MAX}: {}",
                    socket.as_os_str().len(),
                    socket.display()
                ),
            )
            .hint("set WEZTERM_PARALLEL_RUNTIME_DIR to a shorter directory of your own"),
            Self::Unreachable(socket, error) => {
                Failure::new(format!("reach the daemon at {}", socket.display()), error)
                    .hint("run `wezterm-parallel doctor`")
            }
        }
    }
}

/// Adds to a failed call what it was about.
pub trait CallContext<T> {
    /// Turns the error into a failure to do `what`.
    fn to(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T> CallContext<T> for Result<T, CallError> {
    fn to(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|e| e.failure(what()))
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use wezterm_parallel_schemas::{
        daemon::Empty,
        event::EventKind,
        method::{ListProcesses, ListWorkspaces},
        process::ProcessList,
        rpc::{FRAME_DEPTH_MAX, Failure as WireFailure, NOTIFICATION, Notification, RESPONSE, Success},
    };

    use super::*;

    /// A daemon that says hello and then, for each further request, sends what `answer` gives.
    fn daemon(answer: impl Fn(u32) -> Vec<u8> + Send + 'static) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).expect("a socket");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let (mut scanner, mut buffer, mut chunk) = (Scanner::default(), Vec::new(), [0; 4096]);
            loop {
                while let Some(end) = scanner.scan(&buffer).expect("a frame") {
                    let Message::Request { id, method, .. } = split(&buffer[..end]).expect("a message")
                    else {
                        panic!("not a request");
                    };
                    let bytes = match method {
                        "hello" => {
                            let welcome = Welcome { protocol: 1, ..Default::default() };
                            rmp_serde::to_vec_named(&Success(RESPONSE, id, (), welcome)).expect("bytes")
                        }
                        _ => answer(id),
                    };
                    buffer.drain(..end);
                    if stream.write_all(&bytes).is_err() || bytes.is_empty() {
                        return;
                    }
                }
                match stream.read(&mut chunk) {
                    Ok(n) if n > 0 => buffer.extend_from_slice(&chunk[..n]),
                    _ => return,
                }
            }
        });
        (dir, socket)
    }

    fn ask(answer: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Result<usize, CallError> {
        let (_dir, socket) = daemon(answer);
        let mut c = Connection::open_at(&socket, Path::new("/c")).expect("a connection");
        c.ask::<ListWorkspaces>(&Empty {}).map(|list| list.len())
    }

    fn empty_list(id: u32) -> Vec<u8> {
        rmp_serde::to_vec_named(&Success(RESPONSE, id, (), Vec::<u8>::new())).expect("bytes")
    }

    #[test]
    fn an_answer_is_decoded_and_events_before_it_are_kept_in_order() {
        let (_dir, socket) = daemon(|id| {
            let mut bytes = Vec::new();
            for seq in [7, 8] {
                let event = Event { seq, ..Event::new(EventKind::ConfigApplied) };
                bytes.extend(
                    rmp_serde::to_vec_named(&Notification(NOTIFICATION, "event", (event,))).expect("bytes"),
                );
            }
            bytes.extend(empty_list(id));
            bytes
        });
        let mut c = Connection::open_at(&socket, Path::new("/c")).expect("a connection");
        assert_eq!(c.ask::<ListProcesses>(&ProcessList::default()).expect("a list"), []);
        for seq in [7, 8] {
            assert_eq!(c.next_event(None).expect("an event").map(|e| e.seq), Some(seq));
        }
    }

    #[test]
    fn the_answer_to_another_call_and_an_unknown_notification_are_skipped() {
        let list = ask(|id| {
            let unknown = Notification(NOTIFICATION, "weather", (Empty {},));
            let mut bytes = rmp_serde::to_vec_named(&unknown).expect("bytes");
            let other = Error::new(Code::Internal, "the answer to another call");
            bytes.extend(rmp_serde::to_vec_named(&WireFailure::new(id + 9, &other)).expect("bytes"));
            bytes.extend(empty_list(id));
            bytes
        });
        assert_eq!(list.expect("a list"), 0);
    }

    #[test]
    fn a_refusal_keeps_its_code_and_hint() {
        let error = Error::new(Code::NotFound, "no such thing").hint("look again");
        let sent = error.clone();
        let got = ask(move |id| rmp_serde::to_vec_named(&WireFailure::new(id, &sent)).expect("bytes"));
        let Err(CallError::Refused(got)) = got else { panic!("{got:?}") };
        assert_eq!(got, error);
        let failure = Failure::refused("see it", got);
        assert_eq!(failure.to_string(), "failed to see it: no such thing");
        assert_eq!((failure.exit, failure.hint.as_deref()), (Exit::Failed, Some("look again")));
    }

    #[test]
    fn a_daemon_that_hangs_up_is_not_waited_for() {
        let got = ask(|_| Vec::new());
        assert!(matches!(got, Err(CallError::Lost(_))), "{got:?}");
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_decoded() {
        let got = ask(|_| vec![0x91; FRAME_DEPTH_MAX + 2]);
        assert!(matches!(got, Err(CallError::Garbled(_))), "{got:?}");
    }

    #[test]
    fn a_request_larger_than_a_frame_is_not_sent() {
        let params = ProcessList { workspace: Some("w".repeat(FRAME_BYTES_MAX)), all: false };
        let got = encode(&Request::new(1, "process.list", &params));
        assert!(matches!(got, Err(CallError::Refused(e)) if e.code == Code::BadFrame));
    }

    #[test]
    fn no_socket_and_a_dead_socket_both_mean_no_daemon() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("s");
        for round in ["no file", "nobody listens"] {
            let got = Connection::open_at(&socket, Path::new("/c"));
            let Err(e @ ConnectError::NoDaemon(_)) = got.map(|_| ()) else { panic!("{round}") };
            assert_eq!(e.failure().exit, Exit::NoDaemon);
            drop(UnixListener::bind(&socket));
        }
    }

    #[test]
    fn a_daemon_that_dies_as_we_come_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let dies = thread::spawn(move || drop(listener.accept().expect("a client")));
        let got = Connection::open_at(&socket, Path::new("/c"));
        assert!(matches!(got.map(|_| ()), Err(ConnectError::NoDaemon(_))));
        dies.join().expect("it accepted");
    }

    #[test]
    fn the_daemons_own_word_on_its_socket_comes_first() {
        let (dir, told) = daemon(empty_list);
        let places = Places {
            config: "/c".into(),
            runtime_dir: dir.path().join("elsewhere"),
            state_dir: dir.path().to_owned(),
            data_dir: dir.path().to_owned(),
        };
        let info = DaemonInfo { pid: 1, socket: told.clone(), version: "0".into(), config: "/c".into() };
        std::fs::write(places.info(), serde_json::to_vec(&info).expect("json")).expect("a file");
        let c = Connection::open(&places, &places.config).expect("a connection");
        assert_eq!(c.socket(), told);
    }
}
