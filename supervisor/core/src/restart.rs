//! When a process is started again: policy, backoff, and the limit past which it is given up.

use std::collections::VecDeque;

use wezterm_parallel_schemas::config::RestartPolicy;

use crate::spec::{BackoffSpec, Millis, RestartSpec};

/// How often and how lately a process was restarted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// When it was restarted, within the period that counts, oldest first.
    recent: VecDeque<Millis>,
    /// Failures in a row.
    streak: u32,
}

/// What follows an ending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Leave it.
    Leave,
    /// Start it again after this long.
    Again(Millis),
    /// It has been restarted this often within the period: no more.
    GiveUp(u32),
}

impl History {
    /// Decides after a run that ended by itself.
    ///
    /// `lasted` is how long it ran; `chance`, from 0 to 1, is where in the jitter the wait falls.
    pub fn after_exit(
        &mut self,
        spec: &RestartSpec,
        success: bool,
        lasted: Millis,
        now: Millis,
        chance: f64,
    ) -> Verdict {
        let again = match spec.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => !success,
            RestartPolicy::Never => false,
        };
        if !again {
            return Verdict::Leave;
        }
        if lasted >= spec.backoff.reset_after {
            self.streak = 0;
        }
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|t| now.saturating_sub(*t) > spec.within) {
            self.recent.pop_front();
        }
        let restarts = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if restarts > spec.max_restarts {
            return Verdict::GiveUp(spec.max_restarts);
        }
        let wait = wait(&spec.backoff, self.streak, chance);
        self.streak = self.streak.saturating_add(1);
        Verdict::Again(wait)
    }

    /// Somebody started it by hand: the past is forgotten.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// The wait before restart number `streak` (from 0) in a row.
fn wait(spec: &BackoffSpec, streak: u32, chance: f64) -> Millis {
    let full = spec.initial as f64 * spec.factor.max(1.0).powi(streak.min(64).cast_signed());
    let capped = full.min(spec.max as f64);
    let jitter = 1.0 + spec.jitter.clamp(0.0, 1.0) * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
    (capped * jitter).round() as Millis
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(policy: RestartPolicy) -> RestartSpec {
        RestartSpec { policy, ..Default::default() }
    }

    #[test]
    fn the_policy_says_which_endings_count() {
        for (policy, success, again) in [
            (RestartPolicy::Always, true, true),
            (RestartPolicy::Always, false, true),
            (RestartPolicy::OnFailure, true, false),
            (RestartPolicy::OnFailure, false, true),
            (RestartPolicy::Never, true, false),
            (RestartPolicy::Never, false, false),
        ] {
            let verdict = History::default().after_exit(&spec(policy), success, 0, 0, 0.5);
            assert_eq!(verdict != Verdict::Leave, again, "{policy:?} success={success}");
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_one() {
        let mut s = spec(RestartPolicy::Always);
        s.max_restarts = 100;
        let mut h = History::default();
        let waits: Vec<_> = (0..9).map(|_| h.after_exit(&s, false, 0, 0, 0.5)).collect();
        let expect = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000];
        assert_eq!(waits, expect.map(Verdict::Again));
    }

    #[test]
    fn a_long_run_forgets_the_failures_before_it() {
        let mut s = spec(RestartPolicy::Always);
        s.max_restarts = 100;
        let mut h = History::default();
        for _ in 0..4 {
            h.after_exit(&s, false, 0, 0, 0.5);
        }
        assert_eq!(h.after_exit(&s, false, 600_000, 600_000, 0.5), Verdict::Again(500));
    }

    #[test]
    fn crash_loop_after_more_than_five_restarts_in_a_minute() {
        let s = spec(RestartPolicy::OnFailure);
        let mut h = History::default();
        for i in 0..5 {
            assert!(matches!(h.after_exit(&s, false, 0, i * 10_000, 0.5), Verdict::Again(_)), "restart {i}");
        }
        assert_eq!(h.after_exit(&s, false, 0, 50_000, 0.5), Verdict::GiveUp(5));
    }

    #[test]
    fn restarts_further_apart_than_the_period_are_no_crash_loop() {
        let s = spec(RestartPolicy::OnFailure);
        let mut h = History::default();
        for i in 0..100 {
            assert!(matches!(h.after_exit(&s, false, 0, i * 13_000, 0.5), Verdict::Again(_)), "restart {i}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_jitter(streak in 0u32..200, chance in 0.0f64..1.0) {
            let b = BackoffSpec::default();
            let w = wait(&b, streak, chance) as f64;
            let middle = (500.0 * 2f64.powi(streak.min(64) as i32)).min(60_000.0);
            prop_assert!(w >= (middle * 0.8).floor() && w <= (middle * 1.2).ceil());
        }
    }
}
