//! Tasks as a person reads them. Pure: texts out of views.

use wezterm_parallel_schemas::task::{
    GROUP_DEFAULT, GroupView, OnFailedDependency, TaskCounts, TaskDetail, TaskKind, TaskState, TaskView,
};

use super::brought;
use crate::{
    inbox::{clear, clear_lines},
    limit,
    output::{BAD, FAINT, GOOD, NOTABLE, STRONG},
    table::{Column, column, render, text},
    time,
    view::{paint, task_glyph},
};

/// Characters of an id in a table, its last ones: a task can be named by them.
const ID_CHARS: usize = 6;

const COLUMNS: &[Column] = &[
    column("  TASK", 0),
    text("NAME", 0),
    column("STATE", 0),
    column("SINCE", 2),
    column("TRY", 6),
    column("PRIO", 7),
    column("GROUP", 5),
    column("COST", 4),
    text("NOTE", 1),
];

const GROUP_COLUMNS: &[Column] =
    &[column("GROUP", 0), column("PARALLEL", 3), column("STARTS", 1), column("COST", 2), text("TASKS", 0)];

/// The end of an id, by which a task can be named.
pub fn short(id: &str) -> &str {
    id.len().checked_sub(ID_CHARS).and_then(|at| id.get(at..)).unwrap_or(id)
}

/// A table of tasks; `now` in milliseconds since 1970.
pub fn tasks(list: &[TaskView], now: i64, width: Option<u16>) -> String {
    if list.is_empty() {
        return "no tasks\n".into();
    }
    let rows: Vec<_> = list.iter().map(|t| row(t, now)).collect();
    paint(&render(COLUMNS, &rows, width))
}

fn row(t: &TaskView, now: i64) -> Vec<String> {
    let since = match t.state {
        TaskState::Running => t.started_at,
        TaskState::Done | TaskState::Failed | TaskState::Canceled | TaskState::Skipped => t.ended_at,
        TaskState::Queued | TaskState::Waiting | TaskState::Paused => None,
    };
    vec![
        format!("{} {}", task_glyph(t), short(&t.id)),
        clear(&t.name),
        t.state.name().into(),
        time::span(now - since.unwrap_or(t.added_at)),
        if t.attempt > 0 { t.attempt.to_string() } else { String::new() },
        if t.priority == 0 { String::new() } else { t.priority.to_string() },
        if t.group == GROUP_DEFAULT { String::new() } else { t.group.clone() },
        t.cost_usd.map(limit::cost).unwrap_or_default(),
        clear(&note(t, now)),
    ]
}

/// The one thing there is to say of a task: why it stands as it does, what it does, else what was asked.
pub fn note(t: &TaskView, now: i64) -> String {
    let until = t.held_until.filter(|at| *at > now).map(|at| format!("in {}", time::span(at - now + 999)));
    let doing = t.progress.as_ref().and_then(|p| p.doing.clone().or_else(|| p.text.clone()));
    match (&t.reason, until, doing) {
        (Some(reason), Some(until), _) => format!("{reason}; again {until}"),
        (Some(reason), None, _) => reason.clone(),
        (None, Some(until), _) => format!("again {until}"),
        (None, None, Some(doing)) => doing,
        (None, None, None)
            if t.text.starts_with(t.name.trim_end_matches('…')) && t.text.len() <= t.name.len() =>
        {
            String::new()
        }
        (None, None, None) => t.text.clone(),
    }
}

/// Why it is not done.
pub fn why(t: &TaskView) -> String {
    t.reason.clone().map_or_else(|| format!("it is {}", t.state), |why| clear(&why))
}

/// A task on a line, after a word of what was done with it.
pub fn line(t: &TaskView) -> String {
    let reason = t.reason.as_ref().map(|r| format!(": {}", clear(r))).unwrap_or_default();
    format!("{} {} ({}{reason})", short(&t.id), clear(&t.name), t.state)
}

/// How a task has ended, on a line.
pub fn end_line(t: &TaskView) -> String {
    let style = match t.state {
        TaskState::Done => GOOD,
        TaskState::Failed => BAD,
        TaskState::Queued
        | TaskState::Waiting
        | TaskState::Running
        | TaskState::Paused
        | TaskState::Canceled
        | TaskState::Skipped => FAINT,
    };
    let took = match (t.started_at, t.ended_at) {
        (Some(from), Some(to)) => Some(format!("in {}", time::span(to - from))),
        _ => None,
    };
    let words: Vec<String> =
        [Some(t.state.name().to_owned()), took, t.cost_usd.map(limit::cost)].into_iter().flatten().collect();
    let reason = t.reason.as_ref().map(|r| format!(": {}", clear(r))).unwrap_or_default();
    let glyph = task_glyph(t);
    format!("{style}{glyph}{style:#} {STRONG}{}{STRONG:#} {}{reason}\n", clear(&t.name), words.join(", "))
}

/// How many there are in which state; none if there are none at all.
pub fn counts(all: &[TaskCounts]) -> Option<String> {
    let states = [
        TaskState::Running,
        TaskState::Queued,
        TaskState::Waiting,
        TaskState::Paused,
        TaskState::Failed,
        TaskState::Canceled,
        TaskState::Skipped,
        TaskState::Done,
    ];
    let count = |state| all.iter().map(|c| *c.clone().of(state)).sum::<u32>();
    let words: Vec<String> = states
        .into_iter()
        .map(|state| (count(state), state))
        .filter(|(n, _)| *n > 0)
        .map(|(n, state)| format!("{n} {state}"))
        .collect();
    (!words.is_empty()).then(|| words.join(" · "))
}

/// One task, whole. `names` has the tasks that it waits for.
pub fn whole(detail: &TaskDetail, names: &[TaskView], now: i64) -> String {
    let (t, asked) = (&detail.task, &detail.asked);
    let mut out = format!("{STRONG}{}{STRONG:#}\n", clear(&t.name));
    let mut line = |name: &str, value: &str| {
        out.push_str(&format!("{FAINT}{name:>10}{FAINT:#}  {}\n", clear(value)));
    };
    let point = |at: i64| match at > now {
        true => format!("{} (in {})", time::point(at), time::span(at - now)),
        false => format!("{} ({} ago)", time::point(at), time::span(now - at)),
    };
    line("id", &t.id);
    line("state", t.state.name());
    if let Some(reason) = &t.reason {
        line("because", reason);
    }
    if let Some(at) = t.held_until {
        line("until", &point(at));
    }
    if let Some(progress) = &t.progress {
        if let Some(doing) = &progress.doing {
            line("doing", doing);
        }
        let (turns, input, output) = (progress.turns, progress.input_tokens, progress.output_tokens);
        let tokens = format!("{}/{} tokens in/out", limit::count(input), limit::count(output));
        line("so far", &format!("{}, {tokens}", crate::view::count(turns, "turn")));
        if let Some(text) = &progress.text {
            line("says", text);
        }
    }
    if t.attempt > 0 {
        let retries = asked.retries.map(|n| format!(", {n} more after failures at most"));
        line("attempt", &format!("{}{}", t.attempt, retries.unwrap_or_default()));
    }
    line("group", &t.group);
    if t.priority != 0 {
        line("priority", &t.priority.to_string());
    }
    for id in &t.after {
        let other = names.iter().find(|other| other.id == *id);
        let other = other.map(|o| format!("{} {} ({})", short(id), o.name, o.state));
        line("after", other.as_deref().unwrap_or(id));
    }
    match asked.on_failed_dependency {
        OnFailedDependency::Skip => {}
        OnFailedDependency::Fail => line("", "fails if one of these does not succeed"),
        OnFailedDependency::Run => line("", "runs also if one of these does not succeed"),
    }
    if let Some(workspace) = &t.workspace {
        line("workspace", workspace);
    }
    line("directory", &t.cwd.display().to_string());
    let of_claude = [
        ("agent", &asked.agent),
        ("model", &asked.model),
        ("mode", &asked.permission_mode),
        ("account", &t.account),
        ("session", &t.session_id),
        ("added by", &t.added_by),
    ];
    for (name, value) in of_claude {
        if let Some(value) = value {
            line(name, value);
        }
    }
    for tool in &asked.allow {
        line("may use", tool);
    }
    // values may be secret
    for name in asked.env.keys() {
        line("variable", name);
    }
    if let Some(ms) = asked.timeout_ms {
        line("timeout", &time::span(i64::try_from(ms).unwrap_or(i64::MAX)));
    }
    if let Some(at) = asked.deadline {
        line("deadline", &point(at));
    }
    if let Some(usd) = asked.budget_usd {
        line("budget", &limit::cost(usd));
    }
    if let Some(turns) = asked.max_turns {
        line("turns", &format!("{turns} at most"));
    }
    line("added", &point(t.added_at));
    if let Some(at) = t.started_at {
        line("started", &point(at));
    }
    if let Some(at) = t.ended_at {
        line("ended", &point(at));
    }
    if let Some(pid) = t.pid {
        line("pid", &pid.to_string());
    }
    if let Some(dir) = &detail.run_dir {
        line("run", &dir.display().to_string());
    }
    out.push('\n');
    out.push_str(&match (t.kind, &asked.prompt) {
        (TaskKind::Prompt, Some(prompt)) => format!("{}\n", clear_lines(prompt)),
        (TaskKind::Prompt | TaskKind::Command, _) => format!("{}\n", clear(&command_line(&asked.command))),
    });
    if let Some(result) = &detail.result {
        let style = if t.state == TaskState::Failed { BAD } else { NOTABLE };
        out.push_str(&format!("\n{style}it has brought{style:#}\n"));
        if let Some(text) = &result.text {
            out.push_str(&format!("{}\n", clear_lines(text)));
        }
        for line in brought::account(detail) {
            out.push_str(&format!("{FAINT}{}{FAINT:#}\n", clear(&line)));
        }
    }
    out
}

/// A command as a shell would take it.
fn command_line(words: &[String]) -> String {
    let plain = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_alphanumeric() || "-_./=:,@%+".contains(c));
    let word = |w: &String| if plain(w) { w.clone() } else { format!("'{}'", w.replace('\'', "'\\''")) };
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// A table of groups.
pub fn groups(list: &[GroupView], width: Option<u16>) -> String {
    let row = |g: &GroupView| {
        vec![
            g.name.clone(),
            g.parallel.map(|n| n.to_string()).unwrap_or_default(),
            if g.paused { "paused" } else { "yes" }.into(),
            if g.cost_usd > 0.0 { limit::cost(g.cost_usd) } else { String::new() },
            counts(&[g.tasks]).unwrap_or_else(|| "none".into()),
        ]
    };
    paint(&render(GROUP_COLUMNS, &list.iter().map(row).collect::<Vec<_>>(), width))
}

#[cfg(test)]
pub mod tests {
    use wezterm_parallel_schemas::{
        keeper::ExitRecord,
        task::{Denial, TaskAdd, TaskProgress, TaskResult},
    };

    use super::*;
    use crate::view::tests::{NOW, exit};

    pub fn task(name: &str, state: TaskState) -> TaskView {
        TaskView {
            id: "01J0000000000000000000000A".into(),
            name: name.into(),
            state,
            reason: None,
            priority: 0,
            group: GROUP_DEFAULT.into(),
            after: Vec::new(),
            attempt: 0,
            pid: None,
            session_id: None,
            cost_usd: None,
            started_at: None,
            ended_at: None,
            added_at: NOW - 7_500_000,
            kind: TaskKind::Prompt,
            text: name.into(),
            workspace: None,
            cwd: "/src/api".into(),
            held_until: None,
            account: None,
            added_by: None,
            progress: None,
            keeper_pid: None,
            run_id: None,
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn some() -> Vec<TaskView> {
        vec![
            TaskView {
                attempt: 2,
                started_at: Some(NOW - 65_000),
                cost_usd: Some(1.236),
                progress: Some(TaskProgress {
                    doing: Some("Bash: cargo test --workspace --all-targets\x1b[2J".into()),
                    turns: 4,
                    input_tokens: 123_456,
                    output_tokens: 789,
                    text: Some("now the tests".into()),
                }),
                ..task("review the last commit and say wh…", TaskState::Running)
            },
            TaskView { priority: -5, text: "cargo test".into(), ..task("tests", TaskState::Queued) },
            TaskView {
                reason: Some("exit code 101".into()),
                held_until: Some(NOW + 90_000),
                group: "night".into(),
                attempt: 1,
                ..task("flaky", TaskState::Waiting)
            },
            TaskView { reason: Some("waits for tests".into()), ..task("deploy", TaskState::Waiting) },
            TaskView {
                reason: Some("somebody has paused it".into()),
                ..task("日本語のタスク", TaskState::Paused)
            },
            TaskView { ended_at: Some(NOW - 5_000), attempt: 1, ..task("build", TaskState::Done) },
            TaskView {
                ended_at: Some(NOW - 5_000),
                reason: Some("the budget of $2.00 is used up".into()),
                ..task("budget", TaskState::Failed)
            },
            TaskView { ended_at: Some(NOW), ..task("gone", TaskState::Canceled) },
        ]
    }

    #[test]
    fn tasks_at_several_widths() {
        let show = |width| plain(&tasks(&some(), NOW, width));
        insta::assert_snapshot!(format!("{}\n{}\n{}", show(None), show(Some(80)), show(Some(40))));
        for line in show(Some(80)).lines() {
            assert!(unicode_width::UnicodeWidthStr::width(line) <= 80, "{line}");
        }
    }

    #[test]
    fn colours_repeat_the_glyph_and_an_agent_cannot_steer_the_terminal() {
        let list = tasks(&some(), NOW, Some(80));
        assert!(
            list.contains(&format!("{GOOD}✓{GOOD:#}")) && list.contains(&format!("{BAD}✗{BAD:#}")),
            "{list}"
        );
        assert!(!list.contains("\x1b[2J"), "{list}");
    }

    pub fn detail() -> TaskDetail {
        let asked = TaskAdd {
            prompt: Some("review it\nand say what is wrong".into()),
            allow: vec!["Bash(git log:*)".into()],
            env: [("TOKEN".into(), "secret".into())].into(),
            model: Some("opus".into()),
            retries: Some(3),
            deadline: Some(NOW + 7_200_000),
            timeout_ms: Some(600_000),
            budget_usd: Some(2.0),
            on_failed_dependency: OnFailedDependency::Run,
            ..TaskAdd::default()
        };
        let result = TaskResult {
            text: Some("two things:\n\x1b[31m1. it\u{202e} does not build".into()),
            files: vec!["/src/api/a.rs".into(), "/src/api/b.rs".into()],
            denials: vec![Denial { tool: "Bash".into(), what: "rm -rf /".into() }],
            turns: 3,
            input_tokens: 12_000,
            output_tokens: 340,
            duration_ms: 65_000,
            exit: Some(ExitRecord { code: Some(0), ..exit(0) }),
            cut: false,
        };
        let view = TaskView {
            after: vec!["01J0000000000000000000000A".into(), "01J0000000000000000000000Z".into()],
            cost_usd: Some(0.42),
            attempt: 1,
            started_at: Some(NOW - 70_000),
            ended_at: Some(NOW - 5_000),
            workspace: Some("api".into()),
            session_id: Some("236c11d6-8d66-427f-9f5d-c3215e6e1e1b".into()),
            ..task("review", TaskState::Done)
        };
        TaskDetail { task: view, asked, result: Some(result), run_dir: Some("/runs/x.1".into()), seq: 7 }
    }

    #[test]
    fn one_task_whole() {
        let running = TaskDetail {
            task: some().remove(0),
            asked: TaskAdd {
                command: ["sh", "-c", "echo 'it''s'"].map(String::from).to_vec(),
                ..TaskAdd::default()
            },
            result: None,
            run_dir: None,
            seq: 1,
        };
        let text =
            whole(&detail(), &[task("build", TaskState::Done)], NOW) + "----\n" + &whole(&running, &[], NOW);
        assert!(!text.contains("secret"), "{text}");
        insta::assert_snapshot!(plain(&text));
    }

    #[test]
    fn an_end_is_told_on_a_line() {
        let lines: String = [detail().task].iter().chain(&some()[5..]).map(end_line).collect();
        insta::assert_snapshot!(plain(&lines));
    }

    #[test]
    fn groups_are_counted() {
        let tasks = TaskCounts { running: 2, queued: 5, failed: 1, done: 40, ..TaskCounts::default() };
        assert_eq!(counts(&[tasks, tasks]).as_deref(), Some("4 running · 10 queued · 2 failed · 80 done"));
        assert_eq!(counts(&[TaskCounts::default()]), None);
        let list = [
            GroupView { name: "default".into(), tasks, cost_usd: 1.5, ..GroupView::default() },
            GroupView { name: "night".into(), parallel: Some(2), paused: true, ..GroupView::default() },
        ];
        insta::assert_snapshot!(plain(&groups(&list, Some(80))));
    }

    #[test]
    fn the_end_of_an_id_is_short_and_other_ids_stay() {
        assert_eq!(
            [short("01J0000000000000000000000A"), short("abc"), short("aä日")],
            ["00000A", "abc", "aä日"]
        );
    }
}
