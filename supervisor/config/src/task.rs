//! `tasks` of a config: how many run at once.

use indexmap::IndexMap;
use wezterm_parallel_core::spec::{TASKS_PARALLEL_DEFAULT, TasksSpec};
use wezterm_parallel_schemas::config::Tasks;

use crate::{error::KeyPath, resolve::Resolver};

/// Most tasks at once that can be asked for: each Claude takes some 200 MB.
const PARALLEL_MAX: u32 = 1_000;

impl Resolver<'_> {
    /// It with every default filled in.
    pub(crate) fn tasks(&mut self, tasks: &Tasks) -> TasksSpec {
        let at = KeyPath::of(["tasks"]);
        self.parallel(at.key("parallel"), tasks.parallel);
        let mut groups = IndexMap::new();
        for (name, group) in &tasks.groups {
            let at = at.key("groups").key(name);
            self.check_name(&at, "a group of tasks", name);
            self.parallel(at.key("parallel"), group.parallel);
            if let Some(parallel) = group.parallel {
                groups.insert(name.clone(), parallel);
            }
        }
        TasksSpec { parallel: tasks.parallel.unwrap_or(TASKS_PARALLEL_DEFAULT), groups }
    }

    fn parallel(&mut self, at: KeyPath, parallel: Option<u32>) {
        if parallel.is_some_and(|n| n > PARALLEL_MAX) {
            self.problem_with_hint(at, format!("a number from 0 to {PARALLEL_MAX} is needed"), None);
        }
    }
}
