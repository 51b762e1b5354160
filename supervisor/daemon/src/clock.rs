//! Time, as the core takes it: milliseconds since 1970 that never go back, whatever somebody does to
//! the machine's clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wezterm_parallel_core::{process::Now, spec::Millis};

/// Where the time of this daemon begins.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    began_at: Duration,
}

impl Clock {
    /// A clock that shows the machine's time now, and goes on by itself from here.
    pub fn start() -> Self {
        let began_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_at }
    }

    /// Milliseconds since 1970.
    pub fn millis(&self) -> Millis {
        u64::try_from((self.began_at + self.began.elapsed()).as_millis()).unwrap_or(u64::MAX)
    }

    /// The same, as the wire has it.
    pub fn at(&self) -> i64 {
        self.millis().cast_signed()
    }

    /// The time, and a new throw of the dice.
    pub fn now(&self) -> Now {
        Now { at: self.millis(), chance: fastrand::f64() }
    }
}
