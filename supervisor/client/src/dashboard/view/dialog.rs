//! The foot of the screen: the keys, what is asked, what went wrong. And an agent's questions.

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use wezterm_parallel_schemas::{
    inbox::AskKind,
    task::{TaskKind, TaskState},
};

use super::Pen;
use crate::dashboard::{
    answer::Answering,
    line,
    model::{Dialog, Link, Model, Page, Tab},
};

/// Draws the foot; gives where the cursor is, if something is typed there.
pub fn footer(buffer: &mut Buffer, model: &Model, pen: Pen, area: Rect) -> Option<Position> {
    if area.height == 0 {
        return None;
    }
    match &model.dialog {
        Some(Dialog::Confirm(question, _)) => {
            const CHOICE: &str = " [y/N]";
            let room = usize::from(area.width).saturating_sub(CHOICE.len());
            let text = pen.text(question);
            let text = format!("{}{CHOICE}", pen.fit(&text, room));
            pen.line(buffer, area, 0, Line::styled(text, pen.strong()));
            return None;
        }
        Some(Dialog::Filter(line, _)) => return Some(typed(buffer, pen, area, "/", line)),
        Some(Dialog::Prompt(line, targets)) => {
            let label = match &targets[..] {
                [one] => format!("prompt for {one}: "),
                all => format!("prompt for {}: ", all.len()),
            };
            return Some(typed(buffer, pen, area, &label, line));
        }
        Some(Dialog::Deny(line, _, who)) => {
            return Some(typed(buffer, pen, area, &format!("deny {who}, and say: "), line));
        }
        Some(Dialog::Answer(answering)) => {
            if let Some(line) = &answering.own {
                return Some(typed(buffer, pen, area, "your answer: ", line));
            }
            let keys: &[_] = if answering.at().multi_select {
                &[("space", "choose"), ("Enter", "answer"), ("Esc", "leave it")]
            } else {
                &[("Enter", "answer"), ("Esc", "leave it")]
            };
            hints(buffer, pen, area, keys);
            return None;
        }
        None => {}
    }
    if let Some(notice) = &model.notice {
        let style = if notice.bad { pen.bad() } else { pen.strong() };
        let text = pen.text(&notice.text);
        let text = if notice.bad { format!("{} {text}", pen.glyph('✗')) } else { text };
        pen.line(buffer, area, 0, Line::styled(text, style));
        return None;
    }
    hints(buffer, pen, area, &keys(model));
    None
}

/// The keys of this page, those first that matter most now.
fn keys(model: &Model) -> Vec<(&'static str, &'static str)> {
    let decide: &[_] = match model.chosen_ask().map(|ask| ask.kind) {
        None => &[],
        Some(AskKind::Question) => &[("A", "answer"), ("d", "deny")],
        Some(_) => &[("a", "allow"), ("d", "deny")],
    };
    let mut keys = Vec::new();
    if model.tab == Tab::Tasks && matches!(model.page, Page::Table | Page::Detail { .. }) {
        return task_keys(model);
    }
    match model.page {
        Page::Table => {
            if model.link == Link::Here && !model.table.rows.is_empty() {
                keys.extend_from_slice(decide);
                let go = if model.in_wezterm { "go to" } else { "attach" };
                if model.chosen_workspace().is_some() {
                    keys.extend([("Enter", go), ("s/S", "open/close")]);
                } else {
                    keys.extend([("Enter", go), ("p", "prompt"), ("s/S", "start/stop"), ("r", "restart")]);
                }
                keys.extend([("n", "next"), ("i", "inbox"), ("t", "tasks"), ("/", "filter"), ("g", "group")]);
            }
            keys.extend([("?", "help"), ("q", "quit")]);
        }
        Page::Inbox { .. } => {
            keys.extend_from_slice(decide);
            keys.extend([("Enter", "go to"), ("PgDn", "scroll"), ("Esc", "back"), ("?", "help")]);
        }
        Page::Detail { .. } => {
            keys.extend_from_slice(decide);
            keys.extend([("Enter", "go to"), ("PgDn", "scroll"), ("Esc", "back"), ("?", "help")]);
        }
        Page::Log { .. } | Page::Help { .. } => keys.extend([("PgDn", "scroll"), ("Esc", "back")]),
    }
    keys
}

fn task_keys(model: &Model) -> Vec<(&'static str, &'static str)> {
    let mut keys = Vec::new();
    if let (Some(t), Link::Here) = (model.chosen_task(), &model.link) {
        let pause = if t.state == TaskState::Paused { "resume" } else { "pause" };
        let group = if model.tasks.paused.contains(&t.group) { "resume group" } else { "pause group" };
        if t.state.is_end() {
            keys.extend([("Enter", "logs"), ("r", "retry"), ("o", "open")]);
        } else {
            keys.extend([("Enter", "attach"), ("c", "cancel")]);
            // a command that runs cannot go on where it was ended
            if t.state != TaskState::Running || t.kind == TaskKind::Prompt {
                keys.push(("p", pause));
            }
        }
        if model.page == Page::Table {
            keys.push(("t", "processes"));
        }
        keys.push(("g", group));
    }
    if model.page == Page::Table {
        if model.tasks.all.is_empty() {
            keys.push(("t", "processes"));
        } else {
            keys.push(("/", "filter"));
        }
        keys.extend([("?", "help"), ("q", "quit")]);
    } else {
        keys.extend([("PgDn", "scroll"), ("Esc", "back"), ("?", "help")]);
    }
    keys
}

/// As many as fit; the last two always do, as they lead to all others and out.
fn hints(buffer: &mut Buffer, pen: Pen, area: Rect, keys: &[(&str, &str)]) {
    const GAP: &str = "  ";
    let cols = |(key, what): &(&str, &str)| key.len() + 1 + what.len() + GAP.len();
    let (first, last) = keys.split_at(keys.len().saturating_sub(2));
    let mut room = (usize::from(area.width) + GAP.len()).saturating_sub(last.iter().map(cols).sum());
    let fitting = first.iter().take_while(|key| {
        let fits = cols(key) <= room;
        room = room.saturating_sub(cols(key));
        fits
    });
    let mut spans = Vec::new();
    for (key, what) in fitting.chain(last) {
        spans.push(Span::styled((*key).to_owned(), pen.strong()));
        spans.push(Span::styled(format!(" {what}{GAP}"), pen.faint()));
    }
    if let Some(last) = spans.last_mut() {
        last.content = last.content.trim_end().to_owned().into();
    }
    pen.line(buffer, area, 0, Line::from(spans));
}

/// A line that is typed: its end where there is no room for all. Line breaks have a sign of their own.
fn typed(buffer: &mut Buffer, pen: Pen, area: Rect, label: &str, line: &line::Line) -> Position {
    let width = usize::from(area.width);
    let label = pen.text(label);
    let label = pen.fit(&label, width / 2);
    let sign = |text: &str| pen.text(&text.replace('\n', if pen.0.ascii { "|" } else { "⏎" }));
    let room = width.saturating_sub(label.width() + 1);
    // a prompt may be very long; what is far from the cursor is not on the screen
    let mut before = String::new();
    for c in line.before().chars().rev().take(room) {
        before.insert(0, c);
    }
    let mut before = sign(&before);
    while before.width() > room {
        before.remove(0);
    }
    let after: String = line.text()[line.before().len()..].chars().take(room).collect();
    let x = label.width() + before.width();
    let text = format!("{before}{}", sign(&after));
    pen.line(
        buffer,
        Rect { height: 1, ..area },
        0,
        Line::from(vec![Span::styled(label.into_owned(), pen.strong()), Span::raw(text)]),
    );
    Position::new(area.x + u16::try_from(x.min(width.saturating_sub(1))).unwrap_or(0), area.y)
}

/// A question over the lower part of the page.
pub fn answer(buffer: &mut Buffer, pen: Pen, page: Rect, answering: &Answering) {
    let question = answering.at();
    let width = usize::from(page.width);
    let mut lines: Vec<Line<'static>> = Vec::new();
    let all = answering.ask.questions.len();
    let count = if all > 1 { format!(" ({} of {all})", answering.question + 1) } else { String::new() };
    for text in pen.fold(&format!("{}{count}", question.question), width) {
        lines.push(Line::styled(text, pen.strong()));
    }
    let mut cursor_line = 0;
    for place in 0..=question.options.len() {
        let mark = if place == answering.cursor { '>' } else { ' ' };
        let text = match question.options.get(place) {
            Some(option) => {
                let several = match (question.multi_select, answering.chosen.contains(&place)) {
                    (false, _) => "",
                    (true, false) => "[ ] ",
                    (true, true) => "[x] ",
                };
                let about = if option.description.is_empty() { "" } else { ": " };
                format!("{mark} {}) {several}{}{about}{}", place + 1, option.label, option.description)
            }
            None => format!("{mark} {}) in your own words", place + 1),
        };
        let style = if place == answering.cursor {
            Style::new().add_modifier(Modifier::REVERSED)
        } else {
            Style::new()
        };
        if place == answering.cursor {
            cursor_line = lines.len();
        }
        lines.extend(pen.fold(&text, width).into_iter().map(|text| Line::styled(text, style)));
    }
    let height = u16::try_from(lines.len() + 1).unwrap_or(u16::MAX).min(page.height);
    let area = Rect { y: page.y + page.height - height, height, ..page };
    for y in area.y..area.y + area.height {
        let blank = " ".repeat(width);
        buffer.set_stringn(area.x, y, blank, width, Style::reset());
    }
    if height == 0 {
        return;
    }
    buffer.set_stringn(area.x, area.y, pen.rule().repeat(width), width, pen.faint());
    let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let scroll = (cursor_line + 1).saturating_sub(usize::from(below.height));
    pen.lines(buffer, below, &lines, scroll);
}
