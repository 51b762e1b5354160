//! Time, as the core takes it: milliseconds since 1970 that never go back, whatever somebody does to
//! the machine's clock, and that go on after the machine has slept.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A monotonic clock stands still while the machine sleeps, and what agents say bears the time of the
/// wall. When the wall is ahead by this much, in milliseconds, it is followed.
const AHEAD_MS_MAX: u64 = 1_000;

/// By how much the wall has been followed, in milliseconds. One per program, as there is one wall.
static FOLLOWED_MS: AtomicU64 = AtomicU64::new(0);

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
        let own = u64::try_from((self.began_at + self.began.elapsed()).as_millis()).unwrap_or(u64::MAX);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        follow(own, u64::try_from(wall).unwrap_or(0), &FOLLOWED_MS)
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

/// Our own time, put forward to the wall's where that is far ahead.
fn follow(own: u64, wall: u64, followed: &AtomicU64) -> u64 {
    let now = own.saturating_add(followed.load(Ordering::Relaxed));
    if wall <= now.saturating_add(AHEAD_MS_MAX) {
        return now;
    }
    followed.store(wall - own, Ordering::Relaxed);
    wall
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_after_a_sleep_and_never_back() {
        let followed = AtomicU64::new(0);
        assert_eq!(follow(1_000, 1_010, &followed), 1_000);
        assert_eq!(follow(2_000, 9_000, &followed), 9_000, "the machine slept for 7 s");
        assert_eq!(follow(2_100, 9_100, &followed), 9_100);
        assert_eq!(follow(2_200, 5_000, &followed), 9_200, "somebody put the clock back");
    }
}
