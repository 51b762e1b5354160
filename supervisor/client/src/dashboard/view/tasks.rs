//! Tasks: a row for each, and all of the chosen one.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};
use wezterm_parallel_schemas::task::{TaskKind, TaskState, TaskView};

use super::{Pen, detail::Out, table};
use crate::{
    dashboard::{
        layout::{self, Areas},
        model::{Link, Model},
        tasks::{Need, Sort, need, note, since},
    },
    limit, time, view,
};

/// Lines of tasks before and behind the chosen one. Beyond that, `task graph` shows them.
const NEIGHBOURS_MAX: usize = 8;
/// How far the tasks before the chosen one are followed back, in steps: a graph of a screen is not read here.
const STEPS_MAX: usize = 2;
/// Characters of a prompt and of an answer that are shown. `task show` has all of it.
const TEXT_CHARS_MAX: usize = 4_000;
/// Files and denials that are listed, of each.
const LISTED_MAX: usize = 20;

/// Draws the heads and the rows.
pub fn draw(buffer: &mut Buffer, model: &Model, pen: Pen, areas: &Areas) {
    let columns = layout::task_columns(areas.table.width);
    let tasks = &model.tasks;
    for column in &columns {
        let sorted = tasks.sort == column.sort && !column.reason;
        let style = if sorted && column.sort != Sort::Need { pen.strong() } else { pen.faint() };
        let mark = match (sorted && (column.sort != Sort::Need || tasks.reversed), tasks.reversed) {
            (false, _) => "",
            (true, false) => "v",
            (true, true) => "^",
        };
        table::cell(buffer, pen, areas.heads, column, &format!("{}{mark}", column.head), style);
    }
    let refused = matches!(model.link, Link::Refused(..));
    if tasks.rows.is_empty() || refused {
        let text = match (&model.link, tasks.all.is_empty()) {
            (Link::Here, true) => "no tasks: `wezterm-parallel task add` adds one; t shows processes".into(),
            (Link::Here, false) => "nothing here has these words; Esc shows all again".into(),
            (Link::Connecting, _) => String::new(),
            (Link::Gone(why), _) => format!("{why}; `wezterm-parallel up` starts a daemon"),
            (Link::Refused(why, hint), _) => format!("{why}\n{hint}"),
        };
        let folded = pen.fold(&text, usize::from(areas.table.width));
        let lines: Vec<Line<'_>> = folded.into_iter().map(|text| Line::styled(text, pen.faint())).collect();
        pen.lines(buffer, areas.table, &lines, 0);
        return;
    }
    for (y, (place, at)) in (tasks.top..).zip(model.shown_tasks()).enumerate() {
        let Ok(y) = u16::try_from(y) else { break };
        let area = Rect { y: areas.table.y + y, height: 1, ..areas.table };
        row(buffer, model, pen, area, &columns, &tasks.all[*at]);
        if place == tasks.cursor {
            buffer.set_string(area.x, area.y, ">", pen.strong());
            buffer.set_style(area, Style::reset().add_modifier(Modifier::REVERSED));
        }
    }
}

fn row(
    buffer: &mut Buffer,
    model: &Model,
    pen: Pen,
    area: Rect,
    columns: &[layout::Column<Sort>],
    t: &TaskView,
) {
    let style = style(pen, t, model.now);
    buffer.set_string(area.x + 1, area.y, pen.glyph(view::task_glyph(t)).to_string(), style);
    for column in columns {
        let (text, style) = match column.sort {
            _ if column.reason => {
                let note = note(t);
                // what is yet to come has nothing to say of itself but what was asked
                if note.is_empty() { (t.text.clone(), pen.faint()) } else { (note.to_owned(), Style::new()) }
            }
            Sort::Name => (t.name.clone(), Style::new()),
            Sort::Need => (t.state.to_string(), style),
            Sort::Since => (since_text(t, model.now), Style::new()),
            Sort::Attempt => {
                (if t.attempt > 1 { t.attempt.to_string() } else { String::new() }, Style::new())
            }
            Sort::Group => {
                let paused = model.tasks.paused.contains(&t.group);
                (t.group.clone(), if paused { pen.notable() } else { pen.faint() })
            }
            Sort::Cost => (t.cost_usd.map(limit::cost).unwrap_or_default(), Style::new()),
        };
        table::cell(buffer, pen, area, column, &text, style);
    }
}

fn style(pen: Pen, t: &TaskView, now: i64) -> Style {
    match need(t, now) {
        Need::Failed => pen.bad(),
        Need::Running => pen.good(),
        Need::Held | Need::Paused => pen.notable(),
        Need::Queued | Need::Waiting => Style::new(),
        Need::Over => pen.faint(),
    }
}

/// How long it has stood so; of what waits for a time, how long it still does.
fn since_text(t: &TaskView, now: i64) -> String {
    match t.held_until.filter(|_| !t.state.is_end()) {
        Some(at) => format!("in {}", time::span((at - now + 999).max(0))),
        None => time::span(now - since(t)),
    }
}

/// The chosen row's reason on lines of its own, with what was asked.
pub fn reason(buffer: &mut Buffer, model: &Model, pen: Pen, area: Rect) {
    if let Some(t) = model.chosen_task() {
        let note = note(t);
        table::reason_lines(buffer, pen, area, &t.name, if note.is_empty() { &t.text } else { note });
    }
}

/// All there is to say about the chosen task.
pub fn detail(out: &mut Out, model: &Model) {
    let Some(t) = model.chosen_task() else {
        return out.line(Line::styled("nothing is chosen", out.pen.faint()));
    };
    let now = model.now;
    let span = since_text(t, now);
    let mut facts = vec![match t.state {
        TaskState::Running => format!("for {span}"),
        TaskState::Queued | TaskState::Waiting | TaskState::Paused if t.held_until.is_some() => {
            format!("again {span}")
        }
        TaskState::Queued | TaskState::Waiting | TaskState::Paused => format!("added {span} ago"),
        TaskState::Done | TaskState::Failed | TaskState::Canceled | TaskState::Skipped => {
            format!("{span} ago")
        }
    }];
    if let (true, Some(from), Some(to)) = (t.state.is_end(), t.started_at, t.ended_at) {
        facts.push(format!("took {}", time::span(to - from)));
    }
    facts.extend(t.pid.map(|pid| format!("pid {pid}")));
    if t.attempt > 1 {
        facts.push(format!("attempt {}", t.attempt));
    }
    if t.priority != 0 {
        facts.push(format!("priority {}", t.priority));
    }
    let paused = if model.tasks.paused.contains(&t.group) { ", which is paused" } else { "" };
    facts.push(format!("group {}{paused}", t.group));
    out.head(&t.name, &t.state.to_string(), style(out.pen, t, now), &facts.join(out.pen.dot()));
    out.named("reason", t.reason.as_deref().unwrap_or_default());
    let whole = model.task_whole();
    let result = whole.and_then(|whole| whole.result.as_ref()).filter(|_| t.state.is_end());
    let progress = t.progress.as_ref();
    out.named("doing", progress.and_then(|p| p.doing.as_deref()).unwrap_or_default());
    out.named("said", progress.and_then(|p| p.text.as_deref()).unwrap_or_default());
    let used = match (progress, result) {
        (Some(p), _) => Some((p.turns, p.input_tokens, p.output_tokens)),
        (None, Some(r)) => Some((r.turns, r.input_tokens, r.output_tokens)),
        (None, None) => None,
    };
    let mut uses: Vec<String> = t.cost_usd.map(limit::cost).into_iter().collect();
    if let Some((turns, input, output)) = used.filter(|used| *used != (0, 0, 0)) {
        uses.push(format!("{turns} turns"));
        uses.push(format!("{} tokens in, {} out", tokens(input), tokens(output)));
    }
    out.named("uses", &uses.join(out.pen.dot()));
    neighbours(out, model, t);
    if let Some(result) = result {
        out.named("result", &beginning(result.text.as_deref().unwrap_or_default()));
        let denied = result.denials.iter().map(|d| format!("{}: {}", d.tool, d.what));
        listed(out, "denied", denied.collect());
        listed(out, "files", result.files.clone());
        out.named("exit", &result.exit.as_ref().map(|e| e.text()).unwrap_or_default());
    }
    let asked = whole.and_then(|whole| whole.asked.prompt.as_deref()).unwrap_or(&t.text);
    out.named(if t.kind == TaskKind::Prompt { "prompt" } else { "command" }, &beginning(asked));
    out.named("directory", &t.cwd.display().to_string());
    out.named("workspace", t.workspace.as_deref().unwrap_or_default());
    out.named("session", t.session_id.as_deref().unwrap_or_default());
    out.named("added by", t.added_by.as_deref().unwrap_or_default());
    out.named("id", &t.id);
}

/// What comes first, each with what comes before that, and what comes then.
fn neighbours(out: &mut Out, model: &Model, t: &TaskView) {
    let [before, after] = model.task_neighbours();
    let mut lines = Vec::new();
    for one in &before {
        back(model, one, 0, &mut lines);
    }
    // of what was over long ago nothing but its id is known
    lines.extend(t.after.iter().filter(|id| model.task(id).is_none()).map(|id| (0, None, id.as_str())));
    graph(out, model, "first", &lines);
    let lines: Vec<_> = after.into_iter().map(|t| (0, Some(t), t.name.as_str())).collect();
    graph(out, model, "then", &lines);
}

type Node<'a> = (usize, Option<&'a TaskView>, &'a str);

fn back<'a>(model: &'a Model, t: &'a TaskView, step: usize, lines: &mut Vec<Node<'a>>) {
    if lines.len() > NEIGHBOURS_MAX {
        return;
    }
    lines.push((step, Some(t), &t.name));
    // what came before one that is over has done its part
    if step + 1 < STEPS_MAX && !t.state.is_end() {
        for one in model.tasks.all.iter().filter(|other| t.after.contains(&other.id)) {
            back(model, one, step + 1, lines);
        }
    }
}

fn graph(out: &mut Out, model: &Model, name: &str, lines: &[Node<'_>]) {
    let more = lines.len().saturating_sub(NEIGHBOURS_MAX);
    let mut name = name;
    for (step, task, called) in lines.iter().take(NEIGHBOURS_MAX) {
        let bend = if *step == 0 { "" } else { out.pen.bend() };
        let called = out.pen.text(called);
        let spans = match task {
            Some(t) => {
                let style = style(out.pen, t, model.now);
                let glyph = out.pen.glyph(view::task_glyph(t));
                vec![Span::styled(format!("{bend}{glyph} {called} "), style), Span::raw(t.state.to_string())]
            }
            None => vec![Span::styled(format!("{bend}{called}"), out.pen.faint())],
        };
        out.named_spans(std::mem::take(&mut name), spans);
    }
    if more > 0 {
        out.named_spans("", vec![Span::styled(format!("and {more} more"), out.pen.faint())]);
    }
}

fn listed(out: &mut Out, name: &str, all: Vec<String>) {
    let more = all.len().saturating_sub(LISTED_MAX);
    let mut text: Vec<String> = all.into_iter().take(LISTED_MAX).collect();
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    out.named(name, &text.join("\n"));
}

fn beginning(text: &str) -> String {
    let mut out: String = text.trim().chars().take(TEXT_CHARS_MAX).collect();
    if text.chars().nth(TEXT_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}

/// `950`, `1.2k`, `34k`, `1.2M`.
fn tokens(n: u64) -> String {
    let thousands = n as f64 / 1e3;
    match n {
        0..1_000 => n.to_string(),
        1_000..10_000 => format!("{thousands:.1}k"),
        10_000..1_000_000 => format!("{thousands:.0}k"),
        _ => format!("{:.1}M", thousands / 1e3),
    }
}
