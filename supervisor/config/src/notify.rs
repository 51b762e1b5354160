//! `notify` of a config: what a user is told by a toast.

use wezterm_parallel_core::{notify::hours, spec::NotifySpec};
use wezterm_parallel_schemas::config::Notify;

use crate::{
    error::KeyPath,
    resolve::{Resolver, millis},
};

/// Most toasts in a minute that can be asked for: one each second.
const TOASTS_MAX: u32 = 60;

impl Resolver<'_> {
    /// It with every default filled in.
    pub(crate) fn notify(&mut self, notify: &Notify) -> NotifySpec {
        let at = KeyPath::of(["notify"]);
        let own = NotifySpec::default();
        let at_most = notify.at_most.unwrap_or(own.at_most);
        if !(1..=TOASTS_MAX).contains(&at_most) {
            self.problem_with_hint(
                at.key("at_most"),
                format!("a number from 1 to {TOASTS_MAX} is needed"),
                Some("to be told nothing of a kind, switch it off, as in `finished: false`".into()),
            );
        }
        let mut quiet_hours = Vec::new();
        for (number, text) in notify.quiet_hours.iter().enumerate() {
            match hours(text) {
                Some(hours) => quiet_hours.push(hours),
                None => self.problem_with_hint(
                    at.key("quiet_hours").key(&number.to_string()),
                    format!("`{text}` are no hours of the day"),
                    Some("write when it begins and ends, as in `22:00-07:30`".into()),
                ),
            }
        }
        NotifySpec {
            blocked: notify.blocked.unwrap_or(own.blocked),
            failed: notify.failed.unwrap_or(own.failed),
            crash_loop: notify.crash_loop.unwrap_or(own.crash_loop),
            finished: notify.finished.unwrap_or(own.finished),
            limit: notify.limit.unwrap_or(own.limit),
            config: notify.config.unwrap_or(own.config),
            task_failed: notify.task_failed.unwrap_or(own.task_failed),
            tasks_done: notify.tasks_done.unwrap_or(own.tasks_done),
            long_turn: notify.long_turn.map_or(own.long_turn, millis),
            at_most,
            quiet_hours,
        }
    }
}
