//! One client: its frames in, answers and events out.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixStream, unix::OwnedReadHalf, unix::OwnedWriteHalf},
    sync::Notify,
    time::Instant,
};
use wezterm_parallel_schemas::{
    PROTOCOL,
    daemon::{Hello, Limits, Welcome},
    envelope::{Message, split},
    error::{Code, Error},
    event::{Event, Snapshot, Subscribe},
    method::{self as call, Method as _},
    rpc::{
        ANSWER_BYTES_MAX, FRAME_BYTES_MAX, FRAME_DEPTH_MAX, Failure, NOTIFICATION, Notification, RESPONSE,
    },
    scan::{Refused, Scanner},
};
use wezterm_parallel_store::{EventFilter, Take};

use crate::{board::Listener, caller::Caller, listener::CONNECTIONS_MAX, router::Router};

/// Unanswered calls on one connection: more than any client of ours has, fewer than would harm.
pub const IN_FLIGHT_MAX: u32 = 64;
/// A client says hello at once; one that does not is no client.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// A frame that has begun is whole within this time: they are small and the socket is local.
const FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// What may wait for a client that does not read: two of the largest answers, or some 10,000 events.
const OUTBOX_BYTES_MAX: usize = 4 << 20;
/// Read at once.
const READ_BYTES: usize = 4 << 10;

/// Serves one client until it leaves or breaks a rule. True if it asked the daemon to end.
pub async fn serve(stream: UnixStream, router: Rc<Router>) -> bool {
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let (from, to) = stream.into_split();
    let outbox = Rc::new(Outbox::default());
    let writer = actix_rt::spawn(write(to, outbox.clone()));
    let client = Rc::new(Client {
        router,
        caller: Rc::new(Caller::new(pid)),
        outbox: outbox.clone(),
        in_flight: Cell::new(0),
        greeted: Cell::new(false),
        end_daemon: Cell::new(false),
        stopping: RefCell::new(None),
        subscription: RefCell::new(None),
    });
    if let Err(reason) = client.read(from).await {
        tracing::debug!(reason = %reason.message, "ended a connection");
        match reason.code {
            // it has had its answer, or has not said a word
            Code::BadHello => {}
            // it belongs to no call that could be named
            Code::BadFrame => outbox.put(&Failure::new(0, &reason)),
            _ => outbox.put(&Notification(NOTIFICATION, "closing", (&reason,))),
        }
    }
    client.caller.leave();
    client.subscription.borrow_mut().take();
    let stopping = client.stopping.borrow_mut().take();
    if let Some(stopping) = stopping {
        // who asked for the end may be gone before it has come; it comes all the same
        let _ = stopping.await;
    }
    outbox.close();
    // what is still to be said is said, the last word included
    let _ = tokio::time::timeout(FRAME_TIMEOUT, writer).await;
    client.end_daemon.get()
}

struct Client {
    router: Rc<Router>,
    caller: Rc<Caller>,
    outbox: Rc<Outbox>,
    in_flight: Cell<u32>,
    greeted: Cell<bool>,
    end_daemon: Cell<bool>,
    /// A `daemon.stop` that is under way.
    stopping: RefCell<Option<tokio::task::JoinHandle<()>>>,
    subscription: RefCell<Option<Rc<dyn Listener>>>,
}

impl Client {
    async fn read(self: &Rc<Self>, mut from: OwnedReadHalf) -> Result<(), Error> {
        let mut scanner = Scanner::default();
        let mut buffer: Vec<u8> = Vec::new();
        let mut chunk = vec![0; READ_BYTES];
        let connected = Instant::now();
        let mut frame_began = connected;
        loop {
            let read = async {
                tokio::select! {
                    n = from.read(&mut chunk) => n.unwrap_or(0),
                    () = self.outbox.broken() => 0,
                }
            };
            // no timer where nothing is owed
            let n = match (self.greeted.get(), buffer.is_empty()) {
                (false, _) => tokio::time::timeout_at(connected + HELLO_TIMEOUT, read)
                    .await
                    .map_err(|_| Error::new(Code::BadHello, "no hello came in time"))?,
                (true, false) => tokio::time::timeout_at(frame_began + FRAME_TIMEOUT, read)
                    .await
                    .map_err(|_| Error::new(Code::BadFrame, "the rest of a frame did not come in time"))?,
                (true, true) => read.await,
            };
            if n == 0 {
                return match self.outbox.overrun.get() {
                    true => Err(Error::new(Code::Busy, "too much is waiting to be read")
                        .hint("read faster, or subscribe to fewer topics; then `subscribe` again")),
                    false => Ok(()),
                };
            }
            if buffer.is_empty() {
                frame_began = Instant::now();
            }
            buffer.extend_from_slice(&chunk[..n]);
            while let Some(end) = scanner.scan(&buffer).map_err(|e| refused(&e))? {
                let frame: Vec<u8> = buffer.drain(..end).collect();
                self.take(frame)?;
                frame_began = Instant::now();
            }
            if buffer.is_empty() && buffer.capacity() > 4 * READ_BYTES {
                buffer = Vec::new();
            }
        }
    }

    /// Takes one frame. An error ends the connection.
    fn take(self: &Rc<Self>, frame: Vec<u8>) -> Result<(), Error> {
        let (id, method) = match split(&frame) {
            Ok(Message::Request { id, method, .. }) => (id, method.to_owned()),
            // a client has nothing to notify us of, and we ask it nothing
            Ok(Message::Notification { .. } | Message::Response { .. }) => return Ok(()),
            Err(Refused::Params { id: Some(id) }) => {
                let e = Error::new(Code::BadParams, "the parameters must be an array of at most one map");
                self.outbox.put(&Failure::new(id, &e));
                return Ok(());
            }
            Err(e) => return Err(refused(&e)),
        };
        if !self.greeted.get() && method != call::HelloCall::NAME {
            let e = Error::new(Code::BadHello, "the first call must be `hello`");
            self.outbox.put(&Failure::new(id, &e));
            return Err(e);
        }
        if self.in_flight.get() >= IN_FLIGHT_MAX {
            let e = Error::new(Code::Busy, format!("{IN_FLIGHT_MAX} calls are under way already"))
                .hint("wait for an answer first");
            self.outbox.put(&Failure::new(id, &e));
            return Ok(());
        }
        match method.as_str() {
            call::HelloCall::NAME => self.hello(id, params_of(&frame)),
            call::SubscribeCall::NAME => {
                let client = self.clone();
                self.in_flight.set(self.in_flight.get() + 1);
                actix_rt::spawn(async move {
                    client.subscribe(id, params_of(&frame)).await;
                    client.in_flight.set(client.in_flight.get() - 1);
                });
                Ok(())
            }
            _ => {
                let client = self.clone();
                self.in_flight.set(self.in_flight.get() + 1);
                let stops = method == call::StopDaemon::NAME;
                let carried_out = actix_rt::spawn(async move {
                    let answer = client.router.call(&client.caller, &method, params_of(&frame)).await;
                    if method == call::StopDaemon::NAME && answer.is_ok() {
                        client.end_daemon.set(true);
                    }
                    client.answer(id, answer);
                    client.in_flight.set(client.in_flight.get() - 1);
                    if client.end_daemon.get() {
                        client.outbox.end();
                    }
                });
                if stops {
                    let mut stopping = self.stopping.borrow_mut();
                    // a second one is refused, and is not what the first one is waited for by
                    if stopping.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                        *stopping = Some(carried_out);
                    }
                }
                Ok(())
            }
        }
    }

    fn answer(&self, id: u32, answer: Result<Vec<u8>, Error>) {
        match answer {
            Ok(result) if result.len() + 16 <= ANSWER_BYTES_MAX => {
                // [1, id, nil, result], the result being encoded already
                let mut frame = Vec::with_capacity(result.len() + 8);
                frame.extend_from_slice(&[0x94, RESPONSE]);
                frame.extend(rmp_serde::to_vec(&id).expect("a number always fits"));
                frame.push(0xc0);
                frame.extend_from_slice(&result);
                self.outbox.put_frame(frame);
            }
            Ok(_) => {
                let e = Error::new(Code::Internal, "the answer is larger than a frame may be")
                    .hint("ask for less: a workspace, or fewer events");
                self.outbox.put(&Failure::new(id, &e));
            }
            Err(e) => self.outbox.put(&Failure::new(id, &e)),
        }
    }

    fn hello(&self, id: u32, params: &[u8]) -> Result<(), Error> {
        let answer = rmp_serde::from_slice::<Hello>(params)
            .map_err(|e| Error::new(Code::BadHello, format!("the hello does not fit: {e}")))
            .and_then(|hello| self.welcome(&hello));
        match answer {
            Ok(welcome) => {
                self.greeted.set(true);
                let encoded = rmp_serde::to_vec_named(&welcome);
                self.answer(id, encoded.map_err(|e| Error::new(Code::Internal, e.to_string())));
                Ok(())
            }
            Err(e) => {
                self.outbox.put(&Failure::new(id, &e));
                Err(e)
            }
        }
    }

    fn welcome(&self, hello: &Hello) -> Result<Welcome, Error> {
        let [oldest, newest] = hello.protocol;
        if newest < PROTOCOL[0] || oldest > PROTOCOL[1] {
            return Err(Error::new(
                Code::BadHello,
                format!("this daemon speaks protocol {} to {}, the client {oldest} to {newest}", PROTOCOL[0], PROTOCOL[1]),
            )
            .hint("update the older of the two; `wezterm-parallel stop --keep` and `up` exchange the daemon and keep all runs"));
        }
        tracing::debug!(client = hello.client, "hello");
        Ok(Welcome {
            protocol: newest.min(PROTOCOL[1]),
            server: env!("CARGO_PKG_VERSION").into(),
            features: vec!["idempotency".into(), "subscribe".into()],
            limits: Limits {
                frame_bytes: FRAME_BYTES_MAX as u32,
                frame_depth: FRAME_DEPTH_MAX as u32,
                connections: CONNECTIONS_MAX,
                in_flight: IN_FLIGHT_MAX,
            },
            config: self.router.shared().places.config.clone(),
        })
    }

    /// Answers with how things stand, then lets every event follow, in order and without a gap.
    async fn subscribe(&self, id: u32, params: &[u8]) {
        let subscribe: Subscribe = match rmp_serde::from_slice(params) {
            Ok(s) => s,
            Err(e) => {
                let e = Error::new(Code::BadParams, format!("the parameters of subscribe do not fit: {e}"));
                return self.outbox.put(&Failure::new(id, &e));
            }
        };
        let board = &self.router.shared().board;
        let wants = {
            let topics = subscribe.topics.clone();
            move |e: &Event| topics.is_empty() || topics.iter().any(|t| t == e.kind.topic())
        };
        let seq = board.seq();
        // what the snapshot holds is not told again; to who asks for the past it is, also what is still
        // being written down
        let (past, gap, after) = match subscribe.from_seq {
            Some(from) => {
                let told = board.told();
                let (past, gap) = if from < told { self.past(from, told) } else { (Vec::new(), None) };
                (past, gap, from.max(told))
            }
            None => (Vec::new(), None, seq),
        };
        let listener: Rc<dyn Listener> =
            Rc::new(Subscription { outbox: self.outbox.clone(), wants: Box::new(wants.clone()) });
        board.subscribe(&listener, after);
        *self.subscription.borrow_mut() = Some(listener);
        let snapshot = Snapshot { seq, gap, workspaces: board.workspaces(), processes: board.processes() };
        let encoded = rmp_serde::to_vec_named(&snapshot);
        self.answer(id, encoded.map_err(|e| Error::new(Code::Internal, e.to_string())));
        for event in past.iter().filter(|e| wants(e)) {
            self.outbox.put(&Notification(NOTIFICATION, "event", (&**event,)));
        }
    }

    /// Events after `from` up to `told`, and the range that is no longer kept.
    fn past(&self, from: u64, told: u64) -> (Vec<Rc<Event>>, Option<[u64; 2]>) {
        let board = &self.router.shared().board;
        if let Some(recent) = board.recent(from) {
            return (recent, None);
        }
        let filter = EventFilter { topics: Vec::new(), take: Take::Newest };
        // one read of an indexed table; who was away for longer than this gets a gap
        match board.store().events_since(from, 1_000, &filter) {
            Ok(read) => {
                let events: Vec<Rc<Event>> =
                    read.events.into_iter().filter(|e| e.seq <= told).map(Rc::new).collect();
                let first = events.first().map_or(told + 1, |e| e.seq);
                (events, (first > from + 1).then_some([from + 1, first - 1]))
            }
            Err(e) => {
                tracing::error!(error = %e, "cannot read events");
                (Vec::new(), Some([from + 1, told]))
            }
        }
    }
}

/// The parameters of a frame that has been split before.
fn params_of(frame: &[u8]) -> &[u8] {
    match split(frame) {
        Ok(Message::Request { params, .. }) => params,
        _ => wezterm_parallel_schemas::envelope::NO_PARAMS,
    }
}

fn refused(e: &Refused) -> Error {
    Error::new(Code::BadFrame, e.to_string()).hint("the connection ends; see docs/PROTOCOL.md for the limits")
}

type Wants = Box<dyn Fn(&Event) -> bool>;

struct Subscription {
    outbox: Rc<Outbox>,
    wants: Wants,
}

impl Listener for Subscription {
    fn hear(&self, event: &Rc<Event>) -> bool {
        if (self.wants)(event) {
            self.outbox.put(&Notification(NOTIFICATION, "event", (&**event,)));
        }
        !self.outbox.closed.get()
    }
}

/// What waits to be written to a client.
#[derive(Default)]
struct Outbox {
    frames: RefCell<VecDeque<Vec<u8>>>,
    bytes: Cell<usize>,
    closed: Cell<bool>,
    overrun: Cell<bool>,
    ended: Cell<bool>,
    more: Notify,
    broken: Notify,
}

impl Outbox {
    fn put(&self, message: &impl serde::Serialize) {
        match rmp_serde::to_vec_named(message) {
            Ok(frame) => self.put_frame(frame),
            Err(e) => tracing::error!(error = %e, "cannot encode a message"),
        }
    }

    fn put_frame(&self, frame: Vec<u8>) {
        if self.closed.get() {
            return;
        }
        // one answer always has room, however large
        if self.bytes.get() > 0 && self.bytes.get() + frame.len() > OUTBOX_BYTES_MAX {
            // it is told why, if it reads on; what waited is dropped, or memory would have no bound
            self.overrun.set(true);
            self.frames.borrow_mut().clear();
            self.bytes.set(0);
            self.broken.notify_one();
            return;
        }
        self.bytes.set(self.bytes.get() + frame.len());
        self.frames.borrow_mut().push_back(frame);
        self.more.notify_one();
    }

    /// Nothing more is accepted; what waits is written.
    fn close(&self) {
        self.closed.set(true);
        self.more.notify_one();
    }

    /// The connection is over as soon as what waits is written.
    fn end(&self) {
        self.ended.set(true);
        self.broken.notify_one();
    }

    async fn broken(&self) {
        if !self.overrun.get() && !self.ended.get() {
            self.broken.notified().await;
        }
    }
}

async fn write(mut to: OwnedWriteHalf, outbox: Rc<Outbox>) {
    loop {
        let next = outbox.frames.borrow_mut().pop_front();
        match next {
            Some(frame) => {
                outbox.bytes.set(outbox.bytes.get().saturating_sub(frame.len()));
                if to.write_all(&frame).await.is_err() {
                    // it has gone; what it said before is still read to its end
                    outbox.closed.set(true);
                    return;
                }
            }
            None if outbox.closed.get() => return,
            None => outbox.more.notified().await,
        }
    }
}
