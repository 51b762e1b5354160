//! A client of the daemon's socket that keeps out of the way: blocking, one buffer, and a round trip that
//! decodes nothing.

use std::{
    collections::HashMap,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};
use wezterm_parallel_schemas::{
    PROTOCOL,
    daemon::Hello,
    envelope::{Message, split},
    method::{HelloCall, Method},
    rpc::{Request, WireError},
    scan::{Limits, Scanner},
};

use crate::{
    failure::{Context, Try, failed},
    place::DEADLINE,
};

/// Read at one go: a listing of 50 processes is half of this.
const BUFFER_BYTES: usize = 64 << 10;

/// A connection after `hello`.
pub struct Client {
    socket: UnixStream,
    scanner: Scanner,
    received: Vec<u8>,
    buffer: Vec<u8>,
    next_id: u32,
    /// Answers to calls that nobody has waited for yet.
    early: HashMap<u32, Vec<u8>>,
}

impl Client {
    /// Connects and says `hello`.
    pub fn connect(path: &Path) -> Try<Self> {
        let socket = UnixStream::connect(path).failed_to(format!("connect to {}", path.display()))?;
        socket.set_read_timeout(Some(DEADLINE)).failed_to("set a timeout")?;
        let (scanner, buffer) = (Scanner::new(Limits::ANSWER), vec![0; BUFFER_BYTES]);
        let mut client =
            Self { socket, scanner, received: Vec::new(), buffer, next_id: 1, early: HashMap::new() };
        client.call::<HelloCall>(&Hello { protocol: PROTOCOL, client: "bench".into(), config: None })?;
        Ok(client)
    }

    /// Calls a method and waits for its answer.
    pub fn call<M: Method>(&mut self, params: &M::Params) -> Try<M::Result> {
        let id = self.send::<M>(params)?;
        self.answer::<M>(id)
    }

    /// Sends a request and does not wait. Returns its number.
    pub fn send<M: Method>(&mut self, params: &M::Params) -> Try<u32> {
        let id = self.next_id;
        self.next_id += 1;
        self.socket.write_all(&encode(id, M::NAME, params)?).failed_to(format!("send {}", M::NAME))?;
        Ok(id)
    }

    /// Waits for the answer to request `id`. Several may be under way, and be answered in any order.
    pub fn answer<M: Method>(&mut self, id: u32) -> Try<M::Result> {
        loop {
            let frame = match self.early.remove(&id) {
                Some(frame) => frame,
                None => self.frame()?,
            };
            match split(&frame).failed_to("take a frame apart")? {
                Message::Response { id: answered, .. } if answered != id => {
                    self.early.insert(answered, frame);
                }
                Message::Response { error: Some(error), .. } => {
                    return Err(failed(format!("{}: {}", M::NAME, decode::<WireError>(error)?.0.line())));
                }
                Message::Response { result, .. } => return decode(result),
                Message::Notification { .. } => {}
                Message::Request { method, .. } => return Err(failed(format!("the daemon calls {method}"))),
            }
        }
    }

    /// The time between sending `request` (see [`encode`]) and the last byte of its answer, which is
    /// neither decoded nor looked at, and its size in bytes.
    pub fn round_trip(&mut self, request: &[u8]) -> Try<(Duration, usize)> {
        let began = Instant::now();
        self.socket.write_all(request).failed_to("send a request")?;
        let end = self.frame_end()?;
        let took = began.elapsed();
        self.received.drain(..end);
        Ok((took, end))
    }

    fn frame(&mut self) -> Try<Vec<u8>> {
        let end = self.frame_end()?;
        let rest = self.received.split_off(end);
        Ok(std::mem::replace(&mut self.received, rest))
    }

    /// Reads until a whole frame is there, and returns its size.
    fn frame_end(&mut self) -> Try<usize> {
        loop {
            if let Some(end) = self.scanner.scan(&self.received).failed_to("find the end of a frame")? {
                return Ok(end);
            }
            match self.socket.read(&mut self.buffer).failed_to("hear from the daemon")? {
                0 => return Err(failed("the daemon hung up")),
                n => self.received.extend_from_slice(&self.buffer[..n]),
            }
        }
    }
}

/// The bytes of a request.
pub fn encode(id: u32, method: &str, params: &impl Serialize) -> Try<Vec<u8>> {
    rmp_serde::to_vec_named(&Request::new(id, method, params)).failed_to("encode a request")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Try<T> {
    rmp_serde::from_slice(bytes).failed_to("decode an answer")
}
