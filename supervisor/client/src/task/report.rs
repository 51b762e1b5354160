//! What a group has brought, as Markdown.

use wezterm_parallel_schemas::task::{GroupReport, TaskReport, TaskState, TaskView};

use super::show;
use crate::{inbox::clear_lines, limit, output::clean, time, view};

/// Shortest fence around a text.
const FENCE_TICKS_MIN: usize = 3;

/// The report; `now` in milliseconds since 1970.
pub fn markdown(report: &GroupReport, now: i64) -> String {
    let GroupReport { group, tasks } = report;
    let mut out = format!("# Tasks of the group {}\n\n", text(&group.name));
    let counts = show::counts(&[group.tasks]).unwrap_or_else(|| "no tasks".into());
    let mut about = vec![counts];
    if group.paused {
        about.push("the group is paused".into());
    }
    let took: i64 = tasks.iter().map(|t| took(t, now)).sum();
    about.push(format!("{} in all", time::span(took)));
    let cost = tasks.iter().filter_map(|t| t.task.cost_usd).sum::<f64>();
    if cost > 0.0 {
        about.push(limit::cost(cost));
    }
    out += &format!("{}. As of {}.\n", about.join(" · "), time::point(now));
    if tasks.is_empty() {
        return out;
    }
    out += "\n| # | Task | State | Time | Cost | Files | Why |\n|--:|---|---|--:|--:|--:|---|\n";
    for (n, report) in (1..).zip(tasks) {
        let TaskReport { task, result } = report;
        let files = result.as_ref().map_or(0, |r| r.files.len());
        out += &format!(
            "| {n} | {} | {} {} | {} | {} | {} | {} |\n",
            text(&task.name),
            view::task_glyph(task),
            task.state,
            if task.attempt > 0 { time::span(self::took(report, now)) } else { String::new() },
            task.cost_usd.map(limit::cost).unwrap_or_default(),
            if files > 0 { files.to_string() } else { String::new() },
            task.reason.as_deref().map(text).unwrap_or_default(),
        );
    }
    for (n, report) in (1..).zip(tasks) {
        out += &section(n, report);
    }
    out
}

fn section(n: usize, report: &TaskReport) -> String {
    let TaskReport { task, result } = report;
    let mut out = format!("\n## {n}. {}\n\n{}\n", text(&task.name), head(task));
    let Some(result) = result else { return out };
    if let Some(answer) = result.text.as_ref().filter(|text| !text.trim().is_empty()) {
        out += &format!("\n{}\n", fenced(answer));
        if result.cut {
            let id = show::short(&task.id);
            out += &format!("\nThere is more of it: `wezterm-parallel task result {id}`.\n");
        }
    }
    if !result.files.is_empty() {
        out += "\nChanged files:\n\n";
        for file in &result.files {
            out += &format!("- {}\n", code(file));
        }
    }
    if !result.denials.is_empty() {
        out += "\nNot allowed:\n\n";
        for denial in &result.denials {
            out += &format!("- {} {}\n", text(&denial.tool), code(&denial.what));
        }
    }
    out
}

/// How a task stands, in a sentence.
fn head(task: &TaskView) -> String {
    let reason = task.reason.as_ref().map(|r| format!(": {}", text(r))).unwrap_or_default();
    let attempts = if task.attempt > 1 { format!(" after {} attempts", task.attempt) } else { String::new() };
    let state = match task.state {
        TaskState::Failed => format!("**{}**", task.state),
        TaskState::Queued
        | TaskState::Waiting
        | TaskState::Running
        | TaskState::Paused
        | TaskState::Done
        | TaskState::Canceled
        | TaskState::Skipped => task.state.to_string(),
    };
    format!("`{}` · {state}{attempts}{reason}", task.id)
}

fn took(report: &TaskReport, now: i64) -> i64 {
    match (report.task.started_at, report.task.ended_at) {
        (Some(from), Some(to)) => (to - from).max(0),
        (Some(from), None) if report.task.state == TaskState::Running => (now - from).max(0),
        _ => 0,
    }
}

/// A text of somebody else's within a line: nothing in it means anything to Markdown.
fn text(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text).chars() {
        if "\\`*_{}[]<>()#+!|~&$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The same as code. In a list, so a line break would end it; there is none.
fn code(text: &str) -> String {
    let text = clean(text);
    let ticks = "`".repeat(longest_ticks(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{space}{text}{space}{ticks}")
}

/// A text of several lines, in a fence that is longer than any in it.
fn fenced(text: &str) -> String {
    let text = clear_lines(&text.replace('\t', "    "));
    let fence = "`".repeat(FENCE_TICKS_MIN.max(longest_ticks(&text) + 1));
    format!("{fence}text\n{text}\n{fence}")
}

fn longest_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::task::{GroupView, TaskCounts};

    use super::{
        super::show::tests::{detail, task},
        *,
    };
    use crate::view::tests::NOW;

    #[test]
    fn a_report_has_a_table_and_what_each_task_brought() {
        let done = detail();
        let mut result = done.result.clone().expect("it has one");
        result.text = Some("a | b\n```rust\nfn main() {}\n```\n# no heading\n".into());
        result.cut = true;
        let failed = TaskView {
            reason: Some("exit code 1 | twice\n# x".into()),
            attempt: 3,
            started_at: Some(NOW - 5_000),
            ended_at: Some(NOW - 2_000),
            ..task("a|b *c* <script> `d`", TaskState::Failed)
        };
        let report = GroupReport {
            group: GroupView {
                name: "night".into(),
                paused: true,
                tasks: TaskCounts { done: 1, failed: 1, queued: 1, ..TaskCounts::default() },
                ..GroupView::default()
            },
            tasks: vec![
                TaskReport { task: done.task, result: Some(result) },
                TaskReport { task: failed, result: None },
                TaskReport { task: task("later", TaskState::Queued), result: None },
            ],
        };
        let text = markdown(&report, NOW);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 5, "{text}");
        for row in &rows {
            let bars = row.replace("\\|", "").matches('|').count();
            assert_eq!(bars, 8, "{row}");
        }
        insta::assert_snapshot!(text);
        let none =
            GroupReport { group: GroupView { name: "x".into(), ..GroupView::default() }, tasks: vec![] };
        assert_eq!(markdown(&none, NOW).lines().count(), 3);
    }

    #[test]
    fn code_holds_any_tick() {
        assert_eq!([code("a"), code("a`b"), code("``")], ["`a`", "``a`b``", "``` `` ```"]);
    }
}
