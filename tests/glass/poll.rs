//! Waiting for what tells of itself to nobody. The long run measures beside it, so that each look has its
//! pace, and a rest between two of them.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::DEADLINE;

/// Looks so often until something is there. After [`DEADLINE`] it says what has not come.
pub fn until<T>(what: impl FnOnce() -> String, every: Duration, came: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, every, came).unwrap_or_else(|| panic!("it does not come: {}", what()))
}

/// Looks so often until something is there, or the time is over.
pub fn within<T>(span: Duration, every: Duration, mut came: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + span;
    loop {
        if let Some(it) = came() {
            return Some(it);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(every);
    }
}
