//! Tasks as the dashboard knows them: which there are, in which order they stand, which one is chosen.

use std::{cmp::Reverse, collections::BTreeSet};

use wezterm_parallel_schemas::task::{TaskCounts, TaskDetail, TaskKind, TaskState, TaskView};

use super::{ask::Job, model::Model};

/// What failed longer ago than this, in milliseconds, is of the past: nobody is called to it any more.
const FAILED_MS: i64 = 24 * 60 * 60_000;
/// A minute of waiting counts as one more of priority, as in the daemon's queue. In milliseconds.
const AGE_MS: i64 = 60_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Tasks {
    /// All that are not over, and the newest that are.
    pub all: Vec<TaskView>,
    /// Groups of which nothing more starts.
    pub paused: BTreeSet<String>,
    /// The chosen one, whole.
    pub whole: Option<Box<TaskDetail>>,
    /// What is shown, in order: places in `all`.
    pub rows: Vec<usize>,
    /// The chosen row's place.
    pub cursor: usize,
    /// Id of the task in it.
    pub chosen: Option<String>,
    /// The first row on the screen.
    pub top: usize,
    /// Only what holds all of these words.
    pub filter: String,
    /// By what it is sorted.
    pub sort: Sort,
    /// The other way round.
    pub reversed: bool,
}

/// By what the table of tasks is sorted, and what its columns show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// What needs somebody, then what runs, then what comes next.
    #[default]
    Need,
    Name,
    Since,
    Attempt,
    Group,
    Cost,
}

/// In which order tasks stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// It has failed, lately.
    Failed,
    Running,
    /// It waits for a time: after a failure, or until a usage limit has passed.
    Held,
    /// It may start as soon as there is room.
    Queued,
    /// It waits for others.
    Waiting,
    Paused,
    Over,
}

/// Where a task stands in the order.
pub fn need(t: &TaskView, now: i64) -> Need {
    match t.state {
        TaskState::Failed if t.ended_at.is_none_or(|at| now - at < FAILED_MS) => Need::Failed,
        TaskState::Running => Need::Running,
        TaskState::Waiting if t.held_until.is_some() => Need::Held,
        TaskState::Queued => Need::Queued,
        TaskState::Waiting => Need::Waiting,
        TaskState::Paused => Need::Paused,
        TaskState::Failed | TaskState::Done | TaskState::Canceled | TaskState::Skipped => Need::Over,
    }
}

/// Since when it stands so, in milliseconds since 1970; of what waits, since when it is there.
pub fn since(t: &TaskView) -> i64 {
    match t.state {
        TaskState::Running => t.started_at.unwrap_or(t.added_at),
        TaskState::Queued | TaskState::Waiting | TaskState::Paused => t.added_at,
        TaskState::Done | TaskState::Failed | TaskState::Canceled | TaskState::Skipped => {
            t.ended_at.unwrap_or(t.added_at)
        }
    }
}

/// What it does now, else why it stands as it does.
pub fn note(t: &TaskView) -> &str {
    let doing = t.progress.as_ref().and_then(|p| p.doing.as_deref().or(p.text.as_deref()));
    match (t.state, &t.reason) {
        (TaskState::Running, None) => doing.unwrap_or_default(),
        (_, reason) => reason.as_deref().unwrap_or_default(),
    }
}

impl Model {
    /// The task in the chosen row.
    pub fn chosen_task(&self) -> Option<&TaskView> {
        self.task(self.tasks.chosen.as_deref()?)
    }

    /// The task with this id.
    pub fn task(&self, id: &str) -> Option<&TaskView> {
        self.tasks.all.iter().find(|t| t.id == id)
    }

    /// The chosen task, as it is named to the daemon and to a person.
    pub fn chosen_job(&self) -> Option<Job> {
        self.chosen_task().map(|t| Job { id: t.id.clone(), name: t.name.clone() })
    }

    /// All that is known of the chosen task, if that has come.
    pub fn task_whole(&self) -> Option<&TaskDetail> {
        self.tasks.whole.as_deref().filter(|whole| Some(&whole.task.id) == self.tasks.chosen.as_ref())
    }

    /// Tasks that come before the chosen one, and those that come after it.
    pub fn task_neighbours(&self) -> [Vec<&TaskView>; 2] {
        let Some(chosen) = self.chosen_task() else { return Default::default() };
        let before = self.tasks.all.iter().filter(|t| chosen.after.contains(&t.id)).collect();
        let after = self.tasks.all.iter().filter(|t| t.after.contains(&chosen.id)).collect();
        [before, after]
    }

    /// How many tasks are in each state; of those that failed the ones of late.
    pub fn task_counts(&self) -> TaskCounts {
        let mut counts = TaskCounts::default();
        for t in &self.tasks.all {
            if t.state != TaskState::Failed || need(t, self.now) == Need::Failed {
                *counts.of(t.state) += 1;
            }
        }
        counts
    }

    /// What the tasks that are known have cost, in US dollars.
    pub fn tasks_cost(&self) -> f64 {
        self.tasks.all.iter().filter_map(|t| t.cost_usd).sum()
    }

    /// The tasks on the screen, as places in the list.
    pub fn shown_tasks(&self) -> &[usize] {
        let top = self.tasks.top.min(self.tasks.rows.len());
        let end = (top + usize::from(self.areas().table.height)).min(self.tasks.rows.len());
        &self.tasks.rows[top..end]
    }

    /// Puts the rows in order. What was chosen stays so, wherever it stands now.
    pub fn arrange_tasks(&mut self) {
        let words: Vec<String> =
            self.tasks.filter.to_lowercase().split_whitespace().map(Into::into).collect();
        let fits = |at: &usize| fits(&self.tasks.all[*at], &words);
        let mut rows: Vec<usize> = (0..self.tasks.all.len()).filter(fits).collect();
        rows.sort_by(|a, b| self.compare_tasks(&self.tasks.all[*a], &self.tasks.all[*b]));
        let place = self.tasks.chosen.as_ref();
        let place = place.and_then(|id| rows.iter().position(|at| self.tasks.all[*at].id == *id));
        let place = place.unwrap_or_else(|| self.tasks.cursor.min(rows.len().saturating_sub(1)));
        self.tasks.rows = rows;
        self.choose_task(place);
    }

    fn compare_tasks(&self, a: &TaskView, b: &TaskView) -> std::cmp::Ordering {
        let number = |t: &TaskView| t.cost_usd.unwrap_or(-1.0);
        let order = match self.tasks.sort {
            Sort::Need => self.standing(a).cmp(&self.standing(b)),
            Sort::Name => a.name.cmp(&b.name),
            // the youngest, the most expensive comes first
            Sort::Since => since(b).cmp(&since(a)),
            Sort::Attempt => b.attempt.cmp(&a.attempt),
            Sort::Group => a.group.cmp(&b.group),
            Sort::Cost => number(b).total_cmp(&number(a)),
        };
        let order = order.then_with(|| a.id.cmp(&b.id));
        if self.tasks.reversed { order.reverse() } else { order }
    }

    /// What waits for room stands in the order in which it will get it, what is over the newest first, and what
    /// else there is the longest first.
    fn standing(&self, t: &TaskView) -> (Need, Reverse<i64>, i64) {
        let need = need(t, self.now);
        match need {
            Need::Over => (need, Reverse(since(t)), 0),
            Need::Queued => (need, Reverse(0), t.added_at - i64::from(t.priority) * AGE_MS),
            Need::Held => (need, Reverse(0), t.held_until.unwrap_or(0)),
            Need::Failed | Need::Running | Need::Waiting | Need::Paused => (need, Reverse(0), since(t)),
        }
    }

    /// Chooses the task at this place, and has it on the screen.
    pub fn choose_task(&mut self, place: usize) {
        let height = usize::from(self.areas().table.height).max(1);
        let tasks = &mut self.tasks;
        tasks.cursor = place.min(tasks.rows.len().saturating_sub(1));
        tasks.chosen = tasks.rows.get(tasks.cursor).map(|at| tasks.all[*at].id.clone());
        let least = (tasks.cursor + 1).saturating_sub(height);
        let last = tasks.rows.len().saturating_sub(height);
        tasks.top = tasks.top.min(last).clamp(least, tasks.cursor.max(least));
    }
}

fn fits(t: &TaskView, words: &[String]) -> bool {
    if words.is_empty() {
        return true;
    }
    let kind = match t.kind {
        TaskKind::Prompt => "prompt",
        TaskKind::Command => "command",
    };
    let workspace = t.workspace.as_deref().unwrap_or_default();
    let text = format!("{} {} {} {workspace} {kind} {} {}", t.name, t.state, t.group, note(t), t.text);
    let text = text.to_lowercase();
    words.iter().all(|word| text.contains(word))
}
