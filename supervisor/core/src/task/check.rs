//! What is wrong with tasks that are to be added. All of it is said, and nothing is added then.

use std::collections::{HashMap, HashSet};

use super::{PRIORITY_MAX, TaskSpec, Tasks};

/// Tasks that are remembered at the same time, over and not over: their rows stay below a hundred megabytes.
pub const TASKS_MAX: usize = 100_000;

/// Something is wrong with a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which, by its place among the new ones, from 0.
    pub task: usize,
    /// What, in words.
    pub message: String,
}

/// Looks at tasks that are to be added to these, all at once. Ids that are named in `after` must be those of
/// the new ones, or be known.
///
/// # Errors
/// Everything that is wrong with them.
pub fn check(tasks: &Tasks, new: &[TaskSpec]) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut fault = |task: usize, message: String| faults.push(Fault { task, message });
    if tasks.len() + new.len() > TASKS_MAX {
        fault(0, format!("there are at most {TASKS_MAX} tasks"));
    }
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (n, spec) in new.iter().enumerate() {
        if tasks.row(&spec.id).is_some() || places.insert(&spec.id, n).is_some() {
            fault(n, format!("there is a task {} already", spec.id));
        }
        if spec.priority.abs() > PRIORITY_MAX {
            fault(n, format!("the priority is from -{PRIORITY_MAX} to {PRIORITY_MAX}"));
        }
    }
    for (n, spec) in new.iter().enumerate() {
        let mut seen = HashSet::new();
        for other in &spec.after {
            if !seen.insert(other) {
                fault(n, format!("{other} is named twice"));
            } else if tasks.row(other).is_none() && !places.contains_key(other.as_str()) {
                fault(n, format!("there is no task {other}"));
            }
        }
    }
    for n in in_circles(new, &places) {
        fault(n, "it waits for itself, by way of those that it waits for".into());
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Those that can never begin, as each of them waits for another of them.
fn in_circles(new: &[TaskSpec], places: &HashMap<&str, usize>) -> Vec<usize> {
    let after: Vec<HashSet<usize>> = new
        .iter()
        .map(|spec| spec.after.iter().filter_map(|id| places.get(id.as_str()).copied()).collect())
        .collect();
    let mut open: Vec<usize> = after.iter().map(HashSet::len).collect();
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); new.len()];
    for (n, others) in after.iter().enumerate() {
        for other in others {
            before[*other].push(n);
        }
    }
    let mut free: Vec<usize> = (0..new.len()).filter(|n| open[*n] == 0).collect();
    let mut left: Vec<bool> = vec![true; new.len()];
    while let Some(n) = free.pop() {
        left[n] = false;
        for next in &before[n] {
            open[*next] -= 1;
            if open[*next] == 0 {
                free.push(*next);
            }
        }
    }
    (0..new.len()).filter(|n| left[*n]).collect()
}
