//! What is wrong with tasks that are to be added. All of it is said, and nothing is added then.

use std::collections::{HashMap, HashSet};

use wezterm_parallel_schemas::{
    prompt::PROMPT_BYTES_MAX,
    task::{NAME_CHARS_MAX, TaskAdd},
};

use super::{PRIORITY_MAX, TaskSpec, Tasks};
use crate::spec::is_name;

/// Tasks that are remembered at the same time, over and not over: a listing of all of them fits an answer.
pub const TASKS_MAX: usize = 30_000;

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

/// Longest time that a task can be given, in milliseconds: a month.
const TIME_MS_MAX: u64 = 31 * 24 * 60 * 60 * 1_000;
/// Most further attempts after a failure: with waits that double these are some hours.
const RETRIES_MAX: u32 = 100;
/// Largest budget, in US dollars.
const BUDGET_USD_MAX: f64 = 100_000.0;

/// Looks at what is asked of one task, by itself.
///
/// # Errors
/// Everything that is wrong with it, in words.
pub fn faults(asked: &TaskAdd) -> Result<(), Vec<String>> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    match (&asked.prompt, &asked.command[..]) {
        (None, []) => must(false, "it has neither a prompt nor a command".into()),
        (Some(_), [_, ..]) => must(false, "it has a prompt and a command: one of the two".into()),
        (Some(prompt), []) => {
            must(!prompt.trim().is_empty(), "there is nothing in its prompt".into());
            let fits = prompt.len() <= PROMPT_BYTES_MAX;
            must(fits, format!("a prompt has at most {PROMPT_BYTES_MAX} bytes"));
            must(!prompt.contains('\0'), "its prompt has a zero byte in it".into());
        }
        (None, [program, ..]) => {
            must(!program.is_empty(), "its command has no program".into());
            let bytes: usize = asked.command.iter().map(String::len).sum();
            must(bytes <= PROMPT_BYTES_MAX, format!("a command has at most {PROMPT_BYTES_MAX} bytes"));
            must(!asked.command.iter().any(|w| w.contains('\0')), "its command has a zero byte in it".into());
            let of_claude = [
                ("a model", asked.model.is_some()),
                ("an agent", asked.agent.is_some()),
                ("a permission mode", asked.permission_mode.is_some()),
                ("tools to allow", !asked.allow.is_empty()),
                ("a budget", asked.budget_usd.is_some()),
                ("a limit of turns", asked.max_turns.is_some()),
            ];
            for (what, _) in of_claude.iter().filter(|(_, has)| *has) {
                must(false, format!("a command has no use for {what}"));
            }
        }
    }
    if let Some(name) = &asked.name {
        let fits = !name.trim().is_empty() && name.chars().count() <= NAME_CHARS_MAX;
        must(fits, format!("a name has from 1 to {NAME_CHARS_MAX} characters"));
        must(!name.chars().any(char::is_control), "its name has control characters in it".into());
    }
    if let Some(group) = &asked.group {
        must(
            is_name(group),
            format!("`{group}` cannot be the name of a group: letters, digits, `.`, `_` and `-`, 64 at most"),
        );
    }
    if let Some(workspace) = &asked.workspace {
        must(!workspace.is_empty(), "its workspace has no name".into());
    }
    for (name, value) in &asked.env {
        let good = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        must(good, format!("`{}` cannot be a variable", name.escape_debug()));
    }
    must(asked.retries.is_none_or(|n| n <= RETRIES_MAX), format!("there are at most {RETRIES_MAX} retries"));
    let timeout = asked.timeout_ms.is_none_or(|ms| (1..=TIME_MS_MAX).contains(&ms));
    must(timeout, "its timeout is from a millisecond to 31 days".into());
    must(asked.max_turns != Some(0), "it has to have a turn".into());
    let budget = asked.budget_usd.is_none_or(|usd| usd > 0.0 && usd <= BUDGET_USD_MAX);
    must(budget, format!("its budget is more than nothing, and at most {BUDGET_USD_MAX} US dollars"));
    let word = |text: &String| !text.is_empty() && !text.starts_with('-') && !text.contains('\0');
    must(asked.model.as_ref().is_none_or(word), "that is no name of a model".into());
    must(asked.permission_mode.as_ref().is_none_or(word), "that is no permission mode".into());
    for tool in &asked.allow {
        must(word(tool), format!("`{tool}` is no tool"));
    }
    must(
        asked.priority.abs() <= PRIORITY_MAX,
        format!("the priority is from -{PRIORITY_MAX} to {PRIORITY_MAX}"),
    );
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_asked_of_a_task_is_said_all_at_once() {
        let prompt = |text: &str| TaskAdd { prompt: Some(text.into()), ..TaskAdd::default() };
        let command = |words: &[&str]| TaskAdd {
            command: words.iter().map(|w| (*w).to_owned()).collect(),
            ..TaskAdd::default()
        };
        let said = |asked: &TaskAdd| faults(asked).err().unwrap_or_default().join("; ");
        for good in [
            prompt("write"),
            command(&["make", ""]),
            TaskAdd { group: Some("docs".into()), name: Some("ein schöner Name".into()), ..prompt("write") },
            TaskAdd { timeout_ms: Some(1), retries: Some(0), budget_usd: Some(0.01), ..prompt("write") },
        ] {
            assert_eq!(said(&good), "", "{good:?}");
        }
        for (bad, what) in [
            (TaskAdd::default(), "neither a prompt nor a command"),
            (TaskAdd { prompt: Some("write".into()), ..command(&["make"]) }, "one of the two"),
            (prompt(" \n"), "nothing in its prompt"),
            (prompt(&"x".repeat(PROMPT_BYTES_MAX + 1)), "at most 524288 bytes"),
            (command(&[""]), "no program"),
            (TaskAdd { model: Some("opus".into()), ..command(&["make"]) }, "no use for a model"),
            (TaskAdd { name: Some("x".repeat(65)), ..prompt("write") }, "from 1 to 64 characters"),
            (TaskAdd { name: Some("a\u{1b}[2J".into()), ..prompt("write") }, "control characters"),
            (TaskAdd { group: Some("a/b".into()), ..prompt("write") }, "`a/b` cannot be the name of a group"),
            (TaskAdd { env: [("A=B".into(), "c".into())].into(), ..prompt("write") }, "cannot be a variable"),
            (TaskAdd { retries: Some(101), ..prompt("write") }, "at most 100 retries"),
            (TaskAdd { timeout_ms: Some(0), ..prompt("write") }, "its timeout"),
            (TaskAdd { max_turns: Some(0), ..prompt("write") }, "have a turn"),
            (TaskAdd { budget_usd: Some(-1.0), ..prompt("write") }, "its budget"),
            (TaskAdd { budget_usd: Some(f64::NAN), ..prompt("write") }, "its budget"),
            (
                TaskAdd { model: Some("--dangerously-skip-permissions".into()), ..prompt("write") },
                "no name of a model",
            ),
            (TaskAdd { allow: vec!["--settings".into()], ..prompt("write") }, "is no tool"),
            (TaskAdd { priority: 101, ..prompt("write") }, "from -100 to 100"),
        ] {
            assert!(said(&bad).contains(what), "{what}: {}", said(&bad));
        }
        let both = TaskAdd { max_turns: Some(0), priority: -101, ..prompt("write") };
        assert_eq!(said(&both).matches("; ").count(), 1);
    }
}
