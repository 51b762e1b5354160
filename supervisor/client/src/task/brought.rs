//! What a task has brought: its answer, and what it took.

use std::io::{IsTerminal as _, Write as _};

use wezterm_parallel_schemas::task::{TaskDetail, TaskKind, TaskState};

use super::show;
use crate::{
    failure::{Exit, Failure, Outcome},
    inbox::clear_lines,
    limit, output, time, view,
};

/// Files and denials that are listed for a person; `--json` has all.
const LISTED_MAX: usize = 20;
/// What shells add to the number of a signal.
pub const CODE_OF_SIGNAL: i32 = 128;

/// The answer alone on standard output, so that it can be used; what else there is to say on the other.
pub fn print(detail: &TaskDetail) -> Outcome {
    let task = &detail.task;
    if let Some(text) = detail.result.as_ref().and_then(|r| r.text.as_ref()) {
        let text = text.trim_end_matches('\n');
        if std::io::stdout().is_terminal() {
            output::print(format_args!("{}\n", clear_lines(&text.replace('\t', "    "))))?;
        } else {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{text}").map_err(|e| Failure::output(&e))?;
        }
    } else if task.state == TaskState::Done {
        output::note("it ended without a word");
    }
    for line in account(detail) {
        output::progress(output::clean(&line));
    }
    match task.state {
        TaskState::Failed | TaskState::Canceled | TaskState::Skipped => {
            output::aside(show::end_line(task).trim_end());
        }
        TaskState::Queued | TaskState::Waiting | TaskState::Running | TaskState::Paused | TaskState::Done => {
        }
    }
    Ok(())
}

/// What it took, what it changed, and what it was not allowed, a line each.
pub fn account(detail: &TaskDetail) -> Vec<String> {
    let Some(result) = &detail.result else { return Vec::new() };
    let mut lines = Vec::new();
    if result.cut {
        let short = show::short(&detail.task.id);
        lines.push(format!("there is more of it: `wezterm-parallel task logs {short}` has all"));
    }
    let more = |n: usize| (n > LISTED_MAX).then(|| format!("and {} more", n - LISTED_MAX));
    for file in result.files.iter().take(LISTED_MAX) {
        lines.push(format!("changed {file}"));
    }
    lines.extend(more(result.files.len()));
    for denial in result.denials.iter().take(LISTED_MAX) {
        lines.push(format!("was not allowed {}: {}", denial.tool, denial.what));
    }
    lines.extend(more(result.denials.len()));
    let took = match (result.duration_ms, detail.task.started_at, detail.task.ended_at) {
        (0, Some(from), Some(to)) => to - from,
        (ms, ..) => i64::try_from(ms).unwrap_or(i64::MAX),
    };
    let mut parts = vec![time::span(took)];
    if detail.task.kind == TaskKind::Prompt {
        parts.extend(detail.task.cost_usd.map(limit::cost));
        parts.push(view::count(result.turns, "turn"));
        let (input, output) = (limit::count(result.input_tokens), limit::count(result.output_tokens));
        parts.push(format!("{input}/{output} tokens in/out"));
    }
    if let Some(exit) = result.exit.as_ref().filter(|exit| exit.code != Some(0)) {
        parts.push(exit.text());
    }
    lines.push(format!("took {}", parts.join(", ")));
    lines
}

/// The exit code that a task stands for: 0 if it is done, that of a command that has failed, else 1.
pub fn exit_code(detail: &TaskDetail) -> i32 {
    if detail.task.state == TaskState::Done {
        return 0;
    }
    let exit = detail.result.as_ref().and_then(|r| r.exit.as_ref());
    let exit =
        exit.filter(|_| detail.task.kind == TaskKind::Command && detail.task.state == TaskState::Failed);
    let code = exit.and_then(|e| e.code.or(e.signal.map(|n| CODE_OF_SIGNAL + n)));
    code.filter(|code| *code != 0).unwrap_or(Exit::Failed as i32)
}

#[cfg(test)]
mod tests {
    use super::{super::show::tests::detail, *};
    use crate::view::tests::exit;

    #[test]
    fn the_exit_code_is_that_of_a_command_that_failed() {
        let with = |kind, state, record| {
            let mut detail = detail();
            (detail.task.kind, detail.task.state) = (kind, state);
            detail.result.as_mut().expect("it has one").exit = Some(record);
            exit_code(&detail)
        };
        let (command, prompt) = (TaskKind::Command, TaskKind::Prompt);
        assert_eq!(with(command, TaskState::Done, exit(0)), 0);
        assert_eq!(with(command, TaskState::Failed, exit(7)), 7);
        let mut killed = exit(0);
        (killed.code, killed.signal) = (None, Some(9));
        assert_eq!(with(command, TaskState::Failed, killed), 137);
        assert_eq!(with(command, TaskState::Failed, exit(0)), 1, "its deadline passed");
        assert_eq!(with(command, TaskState::Canceled, exit(7)), 1);
        assert_eq!(with(prompt, TaskState::Failed, exit(7)), 1);
    }

    #[test]
    fn what_it_took_is_told_in_lines() {
        insta::assert_snapshot!(account(&detail()).join("\n"));
    }
}
