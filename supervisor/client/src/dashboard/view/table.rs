//! The table: a row for each process, and for each workspace where they are grouped.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::Line,
};
use unicode_width::UnicodeWidthStr;
use wezterm_parallel_schemas::{
    process::{ProcessView, State, Status},
    workspace::WorkspaceView,
};

use super::Pen;
use crate::{
    dashboard::{
        layout::{self, Areas, Column},
        load::Load,
        model::{Link, Model, Row, Sort, need, since, word},
    },
    limit, time, view,
};

/// Draws the heads and the rows.
pub fn draw(buffer: &mut Buffer, model: &Model, pen: Pen, areas: &Areas) {
    let columns = layout::columns(areas.table.width);
    for column in &columns {
        let sorted = model.table.sort == column.sort && !column.reason;
        let style = if sorted && column.sort != Sort::Need { pen.strong() } else { pen.faint() };
        let mark = match (sorted && (column.sort != Sort::Need || model.table.reversed), model.table.reversed)
        {
            (false, _) => "",
            (true, false) => "v",
            (true, true) => "^",
        };
        cell(buffer, pen, areas.heads, column, &format!("{}{mark}", column.head), style);
    }
    // of a daemon that cannot be talked to there is no picture, and what to do must be read whole
    let refused = matches!(model.link, Link::Refused(..));
    if model.table.rows.is_empty() || refused {
        let text = match (&model.link, model.processes.is_empty()) {
            (Link::Here, true) => "no processes: `wezterm-parallel up` in a project directory begins".into(),
            (Link::Here, false) => "nothing here has these words; Esc shows all again".into(),
            (Link::Connecting, _) => String::new(),
            (Link::Gone(why), _) => format!("{why}; `wezterm-parallel up` starts a daemon"),
            (Link::Refused(why, hint), _) => format!("{why}\n{hint}"),
        };
        let lines: Vec<Line<'_>> = pen
            .fold(&text, usize::from(areas.table.width))
            .into_iter()
            .map(|text| Line::styled(text, pen.faint()))
            .collect();
        pen.lines(buffer, areas.table, &lines, 0);
        return;
    }
    for (y, (place, row)) in (model.table.top..).zip(model.shown()).enumerate() {
        let Ok(y) = u16::try_from(y) else { break };
        let area = Rect { y: areas.table.y + y, height: 1, ..areas.table };
        match row {
            Row::Workspace(at) => workspace(buffer, model, pen, area, &columns, &model.workspaces[*at]),
            Row::Process(at) => process(buffer, model, pen, area, &columns, &model.processes[*at]),
        }
        if place == model.table.cursor {
            buffer.set_string(area.x, area.y, ">", pen.strong());
            // one bar; coloured cells of it would be patches
            buffer.set_style(area, Style::reset().add_modifier(Modifier::REVERSED));
        }
    }
}

fn process(buffer: &mut Buffer, model: &Model, pen: Pen, area: Rect, columns: &[Column], p: &ProcessView) {
    let style = pen.need(need(p));
    buffer.set_string(area.x + 1, area.y, pen.glyph(view::glyph(p)).to_string(), style);
    if model.table.marked.contains(&p.id) {
        buffer.set_string(area.x + 2, area.y, "+", pen.strong());
    }
    let [cost, context] = limit::usage(p.usage.as_ref());
    let load = model.loads.get(&p.id).filter(|_| runs(p)).copied().unwrap_or_default();
    for column in columns {
        let (text, style) = match column.sort {
            _ if column.reason => (reason_of(model, p), Style::new()),
            Sort::Name if model.table.grouped => (format!("  {}", p.name), Style::new()),
            Sort::Name => (format!("{}/{}", p.workspace, p.name), Style::new()),
            Sort::Need => (word(p).into(), style),
            Sort::Since => (since_text(p, model.now), Style::new()),
            Sort::Cost => (cost.clone(), Style::new()),
            Sort::Context => (context.clone(), Style::new()),
            Sort::Cpu => (cpu(load), Style::new()),
            Sort::Memory => (memory(load), Style::new()),
            Sort::Restarts => (some(p.restarts), Style::new()),
            Sort::Attached => (some(p.attached), Style::new()),
        };
        cell(buffer, pen, area, column, &text, style);
    }
}

fn workspace(
    buffer: &mut Buffer,
    model: &Model,
    pen: Pen,
    area: Rect,
    columns: &[Column],
    w: &WorkspaceView,
) {
    let (glyph, style) = match (&w.problem, w.open) {
        (Some(_), _) => ('✗', pen.bad()),
        (None, true) => ('●', Style::new()),
        (None, false) => ('○', pen.faint()),
    };
    buffer.set_string(area.x + 1, area.y, pen.glyph(glyph).to_string(), style);
    for column in columns {
        let (text, style) = match column.sort {
            _ if column.reason => {
                let runs = format!("{} of {} run", w.running, w.processes);
                (w.problem.clone().unwrap_or(runs), style)
            }
            Sort::Name => (w.name.clone(), pen.strong()),
            Sort::Need => (if w.open { "open" } else { "closed" }.into(), style),
            Sort::Cost => {
                let of = model.processes.iter().filter(|p| p.workspace == w.name);
                let cost: f64 = of.filter_map(|p| p.usage.as_ref()?.cost_usd).sum();
                (if cost > 0.0 { limit::cost(cost) } else { String::new() }, pen.faint())
            }
            Sort::Since | Sort::Context | Sort::Cpu | Sort::Memory | Sort::Restarts | Sort::Attached => {
                continue;
            }
        };
        cell(buffer, pen, area, column, &text, style);
    }
}

/// Writes into a column, as much as fits.
pub fn cell<S>(buffer: &mut Buffer, pen: Pen, area: Rect, column: &Column<S>, text: &str, style: Style) {
    let width = usize::from(column.width).min(usize::from(area.width.saturating_sub(column.x)));
    if width == 0 || area.height == 0 {
        return;
    }
    let text = pen.text(text);
    let text = pen.fit(&text, width);
    let gap = if column.right { width.saturating_sub(text.width()) } else { 0 };
    let gap = u16::try_from(gap).unwrap_or(0);
    buffer.set_stringn(area.x + column.x + gap, area.y, text, width, style);
}

/// The chosen row's reason on lines of its own, and what else is left out above.
pub fn reason(buffer: &mut Buffer, model: &Model, pen: Pen, area: Rect) {
    match (model.chosen_process(), model.chosen_workspace()) {
        (Some(p), _) => {
            let reason = reason_of(model, p);
            let reason = if reason.is_empty() { p.cwd.display().to_string() } else { reason };
            reason_lines(buffer, pen, area, &format!("{}/{}", p.workspace, p.name), &reason);
        }
        (None, Some(w)) => {
            let text = w.problem.clone().unwrap_or_else(|| w.cwd.display().to_string());
            reason_lines(buffer, pen, area, &w.name, &text);
        }
        (None, None) => {}
    }
}

/// A name and what there is to say of it, on as many lines as there are.
pub fn reason_lines(buffer: &mut Buffer, pen: Pen, area: Rect, name: &str, reason: &str) {
    let name = pen.text(name);
    let width = usize::from(area.width);
    let whole = format!("{name} {}", pen.text(reason));
    for (y, line) in (0..area.height).zip(pen.fold(&whole, width)) {
        let more = y + 1 == area.height && pen.fold(&whole, width).len() > usize::from(area.height);
        let line = if more { pen.fit(&format!("{line}    "), width).into_owned() } else { line };
        buffer.set_stringn(area.x, area.y + y, line, width, Style::new());
    }
    if area.height > 0 {
        let cols = name.width().min(width);
        let cols = u16::try_from(cols).unwrap_or(area.width);
        buffer.set_style(Rect::new(area.x, area.y, cols, 1), pen.strong());
    }
}

/// What there is to say about a process, on one line: what it asks, else why it is as it is.
pub fn reason_of(model: &Model, p: &ProcessView) -> String {
    if p.state == State::Running
        && let Some(ask) = model.ask_of(&p.id)
    {
        return format!("{}: {}", ask.tool, ask.summary);
    }
    let note = view::process_note(p, model.now);
    match (p.state, p.status) {
        (State::Running, Some(Status::Blocked(on))) => {
            let on = Status::Blocked(on).name().trim_start_matches("blocked(").trim_end_matches(')');
            if note.is_empty() { on.into() } else { format!("{on}: {note}") }
        }
        _ => note,
    }
}

/// How long it has stood so; of one that waits to be started again, how long it still does.
pub fn since_text(p: &ProcessView, now: i64) -> String {
    match (p.state, p.next_start_at) {
        (State::Backoff, Some(at)) => format!("in {}", time::span((at - now + 999).max(0))),
        _ => since(p).map(|at| time::span(now - at)).unwrap_or_default(),
    }
}

fn runs(p: &ProcessView) -> bool {
    matches!(p.state, State::Running | State::Stopping)
}

fn some(n: u32) -> String {
    if n > 0 { n.to_string() } else { String::new() }
}

/// `12%` of one processor.
pub fn cpu(load: Load) -> String {
    load.cpu.map(|cpu| format!("{cpu:.0}%")).unwrap_or_default()
}

/// `34K`, `512M`, `1.2G`.
pub fn memory(load: Load) -> String {
    let bytes = load.memory as f64;
    match bytes {
        ..1.0 => String::new(),
        ..1e6 => format!("{:.0}K", bytes / 1e3),
        ..1e9 => format!("{:.0}M", bytes / 1e6),
        _ => format!("{:.1}G", bytes / 1e9),
    }
}
