//! Who calls, as far as an answer may depend on it.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// Who calls.
pub struct Caller {
    /// Its process id, as the kernel has it. Who it was when it connected: the number may be another
    /// process's by now.
    pub pid: Option<i32>,
    /// The number of its connection, which no other one gets.
    pub id: u64,
    watched: Cell<bool>,
    left: Cell<bool>,
    leaves: Notify,
}

impl Caller {
    /// A caller that has just connected.
    pub fn new(pid: Option<i32>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            pid,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            watched: Cell::new(false),
            left: Cell::new(false),
            leaves: Notify::new(),
        }
    }

    /// Whether nobody watches yet for what must be done when it hangs up. True once.
    pub fn watch(&self) -> bool {
        !self.watched.replace(true)
    }

    /// It has hung up.
    pub fn leave(&self) {
        self.left.set(true);
        self.leaves.notify_waiters();
    }

    /// Waits until it hangs up.
    pub async fn gone(&self) {
        let leaves = self.leaves.notified();
        if !self.left.get() {
            leaves.await;
        }
    }
}
