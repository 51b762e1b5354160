//! Who calls, as far as an answer may depend on it.

use std::cell::Cell;

use tokio::sync::Notify;

/// Who calls.
pub struct Caller {
    /// Its process id, as the kernel has it. Who it was when it connected: the number may be another
    /// process's by now.
    pub pid: Option<i32>,
    left: Cell<bool>,
    leaves: Notify,
}

impl Caller {
    /// A caller that has just connected.
    pub fn new(pid: Option<i32>) -> Self {
        Self { pid, left: Cell::new(false), leaves: Notify::new() }
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
