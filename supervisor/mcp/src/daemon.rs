//! The way to the daemon: a connection for each call, so that one that waits is in nobody's way, and so that the
//! next daemon is found when this one has ended.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::net::{Shutdown, shutdown};
use wezterm_parallel_client::connection::{CallError, ConnectError, Connection};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    method::Method,
    places::Places,
};

/// How long a daemon is looked for that is not there: one that is exchanged for a newer one is back within a
/// second.
const AWAY_MS: u64 = 5_000;
/// Between two looks.
const LOOK_MS: u64 = 100;

/// The daemon.
pub struct Daemon {
    places: Places,
}

/// Ends a call from outside.
#[derive(Default)]
pub struct Hangup {
    connection: Mutex<Option<OwnedFd>>,
    hung_up: AtomicBool,
}

impl Hangup {
    /// Whoever has asked does not want to know any more.
    pub fn hang_up(&self) {
        self.hung_up.store(true, Ordering::SeqCst);
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = &*connection {
            // it may have ended by itself
            let _ = shutdown(connection, Shutdown::Both);
        }
    }

    fn hold(&self, connection: &Connection) {
        let fd = connection.as_fd().try_clone_to_owned().ok();
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = fd;
        if self.is_hung_up() {
            self.hang_up();
        }
    }

    fn is_hung_up(&self) -> bool {
        self.hung_up.load(Ordering::SeqCst)
    }
}

impl Daemon {
    /// The daemon of these places.
    pub fn new(places: Places) -> Self {
        Self { places }
    }

    /// Calls a method and waits for its answer. A call whose daemon has ended is made again at the next one, so
    /// it must be one that does no harm twice: it has a key, or changes nothing when it is repeated.
    ///
    /// # Errors
    /// What the daemon refuses; `no_daemon` if there is none for some seconds, `timeout`.
    pub fn call<M: Method>(
        &self,
        params: &M::Params,
        patience: Duration,
        hangup: &Hangup,
    ) -> Result<M::Result, Error> {
        let until = Instant::now() + patience;
        let mut away = None;
        loop {
            if hangup.is_hung_up() {
                return Err(Error::new(Code::Conflict, "the call was taken back"));
            }
            let refused = match Connection::open(&self.places, &self.places.config) {
                Ok(mut connection) => {
                    away = None;
                    hangup.hold(&connection);
                    let left = until.saturating_duration_since(Instant::now());
                    match connection.call_within::<M>(params, left) {
                        Ok(result) => return Ok(result),
                        Err(CallError::Refused(e)) if e.code != Code::ShuttingDown => return Err(e),
                        Err(CallError::Refused(_) | CallError::Lost(_)) => None,
                        Err(CallError::Late(_)) => {
                            return Err(Error::new(Code::Timeout, "the daemon did not answer in time"));
                        }
                        Err(e @ CallError::Garbled(_)) => {
                            return Err(Error::new(Code::Internal, e.to_string()));
                        }
                    }
                }
                Err(ConnectError::NoDaemon(_)) => None,
                Err(e) => Some(e.failure()),
            };
            if let Some(failure) = refused {
                let error = Error::new(Code::NoDaemon, failure.to_string());
                return Err(failure.hint.into_iter().fold(error, Error::hint));
            }
            let since = *away.get_or_insert_with(Instant::now);
            if since.elapsed() >= Duration::from_millis(AWAY_MS) {
                return Err(Error::new(Code::NoDaemon, "the daemon of wezterm-parallel does not run")
                    .hint("go on without it, or ask your user to run `wezterm-parallel up`"));
            }
            std::thread::sleep(Duration::from_millis(LOOK_MS));
        }
    }
}
