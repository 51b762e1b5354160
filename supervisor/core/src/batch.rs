//! Tasks that belong together in time: how many there are of each state, and when the last one is over.
//!
//! A batch begins when a task comes to a queue in which nothing is left to do, and lasts until the next one
//! begins. So what failed of this morning's tasks is counted until there are others, and what failed last week
//! is not. There is one batch over all groups, and one of each group.

use std::collections::HashMap;

use wezterm_parallel_schemas::task::{TaskCounts, TaskState};

/// See the module.
#[derive(Debug, Default)]
pub struct Batches {
    all: Batch,
    groups: HashMap<String, Batch>,
    /// The group that each task was last seen in.
    of: HashMap<String, String>,
}

#[derive(Debug, Default)]
struct Batch {
    tasks: HashMap<String, TaskState>,
    counts: TaskCounts,
    open: usize,
}

/// The last task of a group is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The group.
    pub group: String,
    /// What has become of its batch.
    pub counts: TaskCounts,
    /// It was the last task of all groups, of which others had some too.
    pub last: bool,
}

impl Batches {
    /// What tasks that were kept tell of the past: in any order, each with when it was added, when it was over,
    /// and how it stands.
    pub fn restore<'a>(tasks: impl Iterator<Item = (&'a str, &'a str, i64, Option<i64>, TaskState)>) -> Self {
        let mut past = Vec::new();
        for (id, group, added_at, ended_at, state) in tasks {
            // what comes and goes in the same millisecond comes first
            past.push((added_at, false, id, group, if state.is_end() { TaskState::Queued } else { state }));
            if state.is_end() {
                past.push((ended_at.unwrap_or(added_at).max(added_at), true, id, group, state));
            }
        }
        past.sort_unstable_by_key(|(at, over, id, ..)| (*at, *over, *id));
        let mut batches = Self::default();
        for (_, _, id, group, state) in past {
            batches.put(id, group, state);
        }
        batches
    }

    /// A task stands so now; the end of its group, if it was the last one there.
    pub fn put(&mut self, id: &str, group: &str, state: TaskState) -> Option<End> {
        if let Some(before) = self.of.get(id).filter(|before| *before != group).cloned() {
            // it was moved: that a group has become empty by this is no end of it
            self.leave(id, &before);
        }
        if !self.of.contains_key(id) {
            self.of.insert(id.to_owned(), group.to_owned());
        }
        let ended = self.all.put(id, state);
        let batch = self.groups.entry(group.to_owned()).or_default();
        let counts = batch.put(id, state).then_some(batch.counts)?;
        let last = ended && self.all.tasks.len() > batch.tasks.len();
        Some(End { group: group.to_owned(), counts, last })
    }

    /// A task is forgotten.
    pub fn remove(&mut self, id: &str) {
        self.all.remove(id);
        if let Some(group) = self.of.remove(id) {
            self.leave(id, &group);
        }
    }

    fn leave(&mut self, id: &str, group: &str) {
        self.of.remove(id);
        if let Some(batch) = self.groups.get_mut(group) {
            batch.remove(id);
            if batch.tasks.is_empty() {
                self.groups.remove(group);
            }
        }
    }

    /// How many tasks of the present batch are in each state: all that are not over, and what has become of the
    /// others.
    pub fn counts(&self) -> TaskCounts {
        self.all.counts
    }
}

impl Batch {
    /// Whether nothing is left to do by this.
    fn put(&mut self, id: &str, state: TaskState) -> bool {
        let before = self.tasks.get(id).copied();
        if before == Some(state) || (before.is_none() && state.is_end()) {
            // the end of a task of a batch before this one is old
            return false;
        }
        if self.open == 0 && !state.is_end() {
            *self = Self::default();
        } else {
            self.remove(id);
        }
        let was_open = before.is_some_and(|state| !state.is_end());
        self.tasks.insert(id.to_owned(), state);
        *self.counts.of(state) += 1;
        self.open += usize::from(!state.is_end());
        was_open && self.open == 0
    }

    fn remove(&mut self, id: &str) {
        if let Some(state) = self.tasks.remove(id) {
            *self.counts.of(state) -= 1;
            self.open -= usize::from(!state.is_end());
        }
    }
}

/// `12 done, 1 failed`.
pub fn text(mut counts: TaskCounts) -> String {
    let states = [
        TaskState::Done,
        TaskState::Failed,
        TaskState::Canceled,
        TaskState::Skipped,
        TaskState::Running,
        TaskState::Queued,
        TaskState::Waiting,
        TaskState::Paused,
    ];
    let parts = states.into_iter().filter_map(|state| {
        let n = *counts.of(state);
        (n > 0).then(|| format!("{n} {state}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use TaskState::{Canceled, Done, Failed, Queued, Running};

    use super::*;

    fn put(batches: &mut Batches, rows: &[(&str, TaskState)]) -> Vec<String> {
        let one = |(task, state): &(&str, TaskState)| {
            let group = task.split('/').next().expect("a group");
            let end = batches.put(task, group, *state)?;
            Some(format!("{}: {}{}", end.group, text(end.counts), if end.last { ", the last" } else { "" }))
        };
        rows.iter().filter_map(one).collect()
    }

    #[test]
    fn the_last_task_of_a_group_ends_it_once() {
        let mut batches = Batches::default();
        let added = [("a/1", Queued), ("a/2", Queued), ("b/1", Queued), ("a/1", Running)];
        assert_eq!(put(&mut batches, &added), [""; 0]);
        assert_eq!(put(&mut batches, &[("a/1", Failed), ("a/2", Done)]), ["a: 1 done, 1 failed"]);
        assert_eq!(put(&mut batches, &[("a/2", Done)]), [""; 0], "it is known");
        assert_eq!(text(batches.counts()), "1 done, 1 failed, 1 queued");
        assert_eq!(put(&mut batches, &[("b/1", Canceled)]), ["b: 1 canceled, the last"]);
    }

    #[test]
    fn what_failed_is_counted_until_there_are_others() {
        let mut batches = Batches::default();
        put(&mut batches, &[("a/1", Queued), ("a/1", Failed)]);
        assert_eq!(text(batches.counts()), "1 failed");
        put(&mut batches, &[("b/1", Queued)]);
        assert_eq!(text(batches.counts()), "1 queued");
        put(&mut batches, &[("a/1", Queued)]);
        assert_eq!(text(batches.counts()), "2 queued", "it is tried again");
    }

    #[test]
    fn a_task_that_is_moved_or_forgotten_ends_no_group() {
        let mut batches = Batches::default();
        put(&mut batches, &[("a/1", Queued), ("a/2", Queued), ("a/2", Done)]);
        assert_eq!(batches.put("a/1", "b", Queued), None);
        assert_eq!(text(batches.counts()), "1 done, 1 queued");
        let counts = TaskCounts { done: 1, ..TaskCounts::default() };
        assert_eq!(batches.put("a/1", "b", Done), Some(End { group: "b".into(), counts, last: true }));
        batches.remove("a/2");
        batches.remove("a/2");
        assert_eq!(text(batches.counts()), "1 done");
    }

    #[test]
    fn the_batch_of_before_a_restart_is_known_from_the_times() {
        let rows = [
            // the batch of before: over before the next one was added
            ("1", "a", 10, Some(20), Failed),
            ("2", "a", 30, Some(40), Done),
            ("3", "a", 35, None, Running),
            ("4", "b", 40, Some(40), Failed),
        ];
        let mut batches = Batches::restore(rows.into_iter());
        assert_eq!(text(batches.counts()), "1 done, 1 failed, 1 running");
        let counts = TaskCounts { done: 2, ..TaskCounts::default() };
        assert_eq!(batches.put("3", "a", Done), Some(End { group: "a".into(), counts, last: true }));
    }
}
