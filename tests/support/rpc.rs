//! A typed client of the wire, for tests: it writes and reads nothing but the contract's own types.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Instant,
};

use serde::{Serialize, de::DeserializeOwned};
use wezterm_parallel_schemas::{
    PROTOCOL,
    daemon::Hello,
    envelope::{Message, split},
    error::Error,
    event::{Event, Snapshot, Subscribe},
    method::{HelloCall, Method, SubscribeCall},
    rpc::{Request, WireError},
    scan::{Limits, Scanner},
};

use super::DEADLINE;

/// A connection to the daemon.
pub struct Client {
    socket: UnixStream,
    scanner: Scanner,
    received: Vec<u8>,
    events: VecDeque<Event>,
    next_id: u32,
}

impl Client {
    /// Connects and says `hello`.
    pub fn connect(socket: &Path) -> Self {
        let mut client = Self::connect_silently(socket);
        let hello = Hello { protocol: PROTOCOL, client: "test".into(), config: None };
        client.call::<HelloCall>(hello).expect("the daemon greets");
        client
    }

    /// Connects and says nothing.
    pub fn connect_silently(socket: &Path) -> Self {
        let connection = UnixStream::connect(socket)
            .unwrap_or_else(|e| panic!("nobody answers at {}: {e}", socket.display()));
        Self {
            socket: connection,
            scanner: Scanner::new(Limits::ANSWER),
            received: Vec::new(),
            events: VecDeque::new(),
            next_id: 1,
        }
    }

    /// Calls a method and waits for its answer.
    pub fn call<M: Method>(&mut self, params: M::Params) -> Result<M::Result, Error> {
        let id = self.send(M::NAME, &params);
        loop {
            let frame = self.frame().unwrap_or_else(|| panic!("the daemon hung up on {}", M::NAME));
            match split(&frame).expect("the daemon sends messages") {
                Message::Response { id: answered, error, result } => {
                    assert_eq!(answered, id, "an answer to another call");
                    return match error {
                        Some(error) => Err(decode::<WireError>(error).0),
                        None => Ok(decode(result)),
                    };
                }
                Message::Notification { params, .. } => self.events.push_back(decode(params)),
                Message::Request { method, .. } => panic!("the daemon calls {method}"),
            }
        }
    }

    /// Sends a request and does not wait. Returns its number.
    pub fn send(&mut self, method: &str, params: &impl Serialize) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let request = Request::new(id, method, params);
        self.send_bytes(&rmp_serde::to_vec_named(&request).expect("a request encodes"));
        id
    }

    /// Sends bytes as they are. A daemon that has hung up already is not an error: what it had to say
    /// can still be read.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        match self.socket.write_all(bytes) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            Err(e) => panic!("the daemon does not read: {e}"),
        }
    }

    /// The next frame, whatever it is; none if the daemon has hung up.
    pub fn frame(&mut self) -> Option<Vec<u8>> {
        self.frame_before(Instant::now() + DEADLINE).expect("the daemon says something, or hangs up")
    }

    fn frame_before(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, Late> {
        loop {
            if let Some(end) = self.scanner.scan(&self.received).expect("the daemon keeps to the limits") {
                let rest = self.received.split_off(end);
                return Ok(Some(std::mem::replace(&mut self.received, rest)));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Late);
            }
            self.socket.set_read_timeout(Some(left)).expect("it is longer than nothing");
            let mut buffer = [0; 65_536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(n) => self.received.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(e) => panic!("the daemon cannot be read: {e}"),
            }
        }
    }

    /// The answer to request `id`, as an error or not; what it says is not decoded.
    pub fn answer(&mut self, id: u32) -> Result<(), Error> {
        let frame = self.frame().expect("the daemon answers");
        match split(&frame) {
            Ok(Message::Response { id: answered, error, .. }) => {
                assert_eq!(answered, id, "an answer to another call");
                error.map_or(Ok(()), |e| Err(decode::<WireError>(e).0))
            }
            other => panic!("not an answer: {other:?}"),
        }
    }

    /// The result of the call that was sent last.
    pub fn result<T: DeserializeOwned>(&mut self) -> T {
        let frame = self.frame().expect("the daemon answers");
        match split(&frame) {
            Ok(Message::Response { error: None, result, .. }) => decode(result),
            Ok(Message::Response { error: Some(error), .. }) => panic!("{:?}", decode::<WireError>(error).0),
            other => panic!("not an answer: {other:?}"),
        }
    }

    /// Subscribes to everything.
    pub fn subscribe(&mut self) -> Snapshot {
        self.call::<SubscribeCall>(Subscribe::default()).expect("everybody may subscribe")
    }

    /// The next event after [`Client::subscribe`].
    pub fn event(&mut self) -> Event {
        self.event_before(Instant::now() + DEADLINE).expect("something happens")
    }

    /// The next event after [`Client::subscribe`], however long it takes; none when the daemon is gone.
    pub fn event_or_end(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let Ok(frame) = self.frame_before(Instant::now() + DEADLINE) else { continue };
            if let Message::Notification { method: "event", params } = split(&frame?).ok()? {
                self.events.push_back(decode(params));
            }
        }
    }

    /// The next event after [`Client::subscribe`]; none if there is none before the deadline.
    pub fn event_before(&mut self, deadline: Instant) -> Option<Event> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        let frame = self.frame_before(deadline).ok()?.expect("the daemon lives");
        match split(&frame) {
            Ok(Message::Notification { method: "event", params }) => Some(decode(params)),
            other => panic!("not an event: {other:?}"),
        }
    }
}

/// Nothing came before the deadline.
#[derive(Debug)]
struct Late;

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    rmp_serde::from_slice(bytes).unwrap_or_else(|e| {
        let mut rest = bytes;
        panic!("the daemon does not keep to the contract: {e}: {:?}", rmpv::decode::read_value(&mut rest))
    })
}
