//! `task graph`: which tasks wait for which, as a tree in text or for Graphviz.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use wezterm_parallel_schemas::task::{TaskState, TaskView};

use super::{all_of, show};
use crate::{
    app::App,
    arguments,
    failure::Outcome,
    inbox::clear,
    output::{self, BAD, FAINT, GOOD, NOTABLE},
    view::task_glyph,
};

/// `task graph`.
pub fn run(app: &App, args: &arguments::TaskGraph) -> Outcome {
    let tasks = all_of(&mut app.connect()?, None)?;
    let shown = chosen(&tasks, args.group.as_deref(), args.all);
    if app.json {
        return output::print_json(&shown.iter().map(|t| Node::of(t)).collect::<Vec<_>>());
    }
    output::print(if args.dot { dot(&shown) } else { tree(&shown) })
}

/// A task and those that come first.
#[derive(Serialize)]
struct Node<'a> {
    id: &'a str,
    name: &'a str,
    state: TaskState,
    group: &'a str,
    after: &'a [String],
}

impl<'a> Node<'a> {
    fn of(t: &'a TaskView) -> Self {
        Self { id: &t.id, name: &t.name, state: t.state, group: &t.group, after: &t.after }
    }
}

/// Those that are shown: without `all` what belongs together must hold one that is not over. Those of other
/// groups that are waited for are shown too.
fn chosen<'a>(tasks: &'a [TaskView], group: Option<&str>, all: bool) -> Vec<&'a TaskView> {
    let places: HashMap<&str, usize> = tasks.iter().enumerate().map(|(n, t)| (t.id.as_str(), n)).collect();
    let mut near: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    for (n, task) in tasks.iter().enumerate() {
        for other in task.after.iter().filter_map(|id| places.get(id.as_str())) {
            near[n].push(*other);
            near[*other].push(n);
        }
    }
    let mut seen = vec![false; tasks.len()];
    let mut shown = vec![false; tasks.len()];
    for start in 0..tasks.len() {
        let mut together = Vec::new();
        let mut open = vec![start];
        while let Some(n) = open.pop() {
            if !std::mem::replace(&mut seen[n], true) {
                together.push(n);
                open.extend(&near[n]);
            }
        }
        if all || group.is_some() || together.iter().any(|n| !tasks[*n].state.is_end()) {
            for n in together {
                shown[n] = true;
            }
        }
    }
    if let Some(group) = group {
        let own: HashSet<usize> = (0..tasks.len()).filter(|n| tasks[*n].group == group).collect();
        let waited_for: HashSet<&str> =
            own.iter().flat_map(|n| &tasks[*n].after).map(String::as_str).collect();
        for (n, task) in tasks.iter().enumerate() {
            shown[n] &= own.contains(&n) || waited_for.contains(task.id.as_str());
        }
    }
    tasks.iter().zip(shown).filter(|(_, shown)| *shown).map(|(task, _)| task).collect()
}

/// Each below the first that it waits for, and once more, in short, below the others.
fn tree(tasks: &[&TaskView]) -> String {
    if tasks.is_empty() {
        return "no tasks\n".into();
    }
    let places: HashMap<&str, usize> = tasks.iter().enumerate().map(|(n, t)| (t.id.as_str(), n)).collect();
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); tasks.len()];
    let mut roots = Vec::new();
    for (n, task) in tasks.iter().enumerate() {
        let before: Vec<usize> =
            task.after.iter().filter_map(|id| places.get(id.as_str()).copied()).collect();
        if before.is_empty() {
            roots.push(n);
        }
        for other in before {
            below[other].push(n);
        }
    }
    let mut out = String::new();
    let mut drawn: HashSet<usize> = HashSet::new();
    // what is still to be drawn, the next one last: its place, what stands before it, and before those below it
    let mut open: Vec<(usize, String, String)> =
        roots.into_iter().rev().map(|n| (n, String::new(), String::new())).collect();
    while let Some((n, head, tail)) = open.pop() {
        let first = drawn.insert(n);
        out.push_str(&head);
        out.push_str(&line(tasks[n], !first && !below[n].is_empty()));
        if !first {
            continue;
        }
        for (at, next) in below[n].iter().enumerate().rev() {
            let last = at + 1 == below[n].len();
            let (branch, trunk) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            open.push((*next, format!("{tail}{branch}"), format!("{tail}{trunk}")));
        }
    }
    out
}

fn line(t: &TaskView, above: bool) -> String {
    let style = match t.state {
        TaskState::Running | TaskState::Done => GOOD,
        TaskState::Failed => BAD,
        TaskState::Paused => NOTABLE,
        TaskState::Queued | TaskState::Waiting | TaskState::Canceled | TaskState::Skipped => FAINT,
    };
    let above = if above { " (see above)" } else { "" };
    let (glyph, id) = (task_glyph(t), show::short(&t.id));
    format!("{style}{glyph}{style:#} {} {} {FAINT}{id}{above}{FAINT:#}\n", clear(&t.name), t.state)
}

/// In the language of Graphviz.
fn dot(tasks: &[&TaskView]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut out = String::from("digraph tasks {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n");
    let ids: HashSet<&str> = tasks.iter().map(|t| t.id.as_str()).collect();
    for t in tasks {
        let colour = match t.state {
            TaskState::Running | TaskState::Done => "darkgreen",
            TaskState::Failed => "red",
            TaskState::Paused => "orange",
            TaskState::Queued | TaskState::Waiting | TaskState::Canceled | TaskState::Skipped => "gray",
        };
        let label =
            quoted(&format!("{} {}\n{}", task_glyph(t), clear(&t.name), t.state)).replace('\n', "\\n");
        out += &format!("  {} [label={label}, color={colour}];\n", quoted(&t.id));
    }
    for t in tasks {
        for before in t.after.iter().filter(|id| ids.contains(id.as_str())) {
            out += &format!("  {} -> {};\n", quoted(before), quoted(&t.id));
        }
    }
    out + "}\n"
}

#[cfg(test)]
mod tests {
    use super::{super::show::tests::task, *};

    fn some() -> Vec<TaskView> {
        let one = |n: usize, name: &str, state, after: &[usize], group: &str| TaskView {
            id: format!("01J000000000000000000000{n:02}"),
            after: after.iter().map(|n| format!("01J000000000000000000000{n:02}")).collect(),
            group: group.into(),
            ..task(name, state)
        };
        vec![
            one(1, "build", TaskState::Done, &[], "night"),
            one(2, "tests", TaskState::Running, &[1], "night"),
            one(3, "docs", TaskState::Failed, &[1], "default"),
            one(4, "deploy", TaskState::Waiting, &[2, 3], "night"),
            one(5, "tell \"all\"\x1b[2J", TaskState::Waiting, &[4], "night"),
            one(6, "alone", TaskState::Paused, &[], "default"),
            one(7, "over", TaskState::Done, &[], "default"),
            one(8, "over too", TaskState::Skipped, &[7, 99], "default"),
        ]
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_tree_has_every_task_below_what_it_waits_for() {
        let tasks = some();
        let show = |group, all| plain(&tree(&chosen(&tasks, group, all)));
        insta::assert_snapshot!(format!(
            "{}\n{}\n{}",
            show(None, false),
            show(Some("night"), false),
            show(None, true)
        ));
        assert_eq!(tree(&[]), "no tasks\n");
    }

    #[test]
    fn graphviz_gets_every_edge() {
        insta::assert_snapshot!(dot(&chosen(&some(), None, true)));
    }

    #[test]
    fn a_diamond_of_many_levels_is_not_drawn_more_often_than_it_has_edges() {
        // each level has two that wait for both of the level before: 2^200 ways through it
        let id = |level: usize, n: usize| format!("{level:012}{n:014}");
        let tasks: Vec<TaskView> = (0..200)
            .flat_map(|level| (0..2).map(move |n| (level, n)))
            .map(|(level, n)| TaskView {
                id: id(level, n),
                after: if level == 0 { vec![] } else { vec![id(level - 1, 0), id(level - 1, 1)] },
                ..task("x", TaskState::Waiting)
            })
            .collect();
        let all: Vec<&TaskView> = tasks.iter().collect();
        assert_eq!(tree(&all).lines().count(), 2 + 199 * 4);
    }
}
