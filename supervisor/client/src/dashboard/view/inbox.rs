//! All that agents ask: a list, and the chosen one whole.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::Line,
};
use wezterm_parallel_schemas::inbox::AskView;

use super::{Pen, detail};
use crate::{dashboard::model::Model, time};

/// Rows of the list that are always there.
const LIST_ROWS_MIN: u16 = 2;

/// Where the list and the chosen request are drawn.
pub fn parts(model: &Model, page: Rect) -> (Rect, Rect) {
    let all = u16::try_from(model.asks.len()).unwrap_or(u16::MAX).max(1);
    let list = all.min((page.height / 3).max(LIST_ROWS_MIN)).min(page.height);
    let rule = u16::from(page.height > list);
    let below = Rect { y: page.y + list + rule, height: page.height - list - rule, ..page };
    (Rect { height: list, ..page }, below)
}

/// Draws both.
pub fn draw(buffer: &mut Buffer, model: &Model, pen: Pen, page: Rect, cursor: usize, scroll: usize) {
    let (list, below) = parts(model, page);
    if model.asks.is_empty() {
        pen.line(buffer, list, 0, Line::styled("no agent asks anything", pen.faint()));
        return;
    }
    let top = (cursor + 1).saturating_sub(usize::from(list.height));
    for (y, (place, ask)) in (0..list.height).zip(model.asks.iter().enumerate().skip(top)) {
        pen.line(buffer, list, y, Line::raw(row(model, pen, ask, place == cursor)));
        if place == cursor {
            let area = Rect { y: list.y + y, height: 1, ..list };
            buffer.set_style(area, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
    if below.y > list.y + list.height {
        let rule = pen.rule().repeat(usize::from(page.width));
        buffer.set_stringn(page.x, list.y + list.height, rule, usize::from(page.width), pen.faint());
    }
    let lines = lines(model, pen, page.width);
    let last = lines.len().saturating_sub(usize::from(below.height));
    pen.lines(buffer, below, &lines, scroll.min(last));
    let rest = last.saturating_sub(scroll);
    if rest > 0 && below.y > 0 {
        let more = format!(" {rest} more lines: PgDn ");
        let x = page.x + page.width.saturating_sub(u16::try_from(more.len()).unwrap_or(0) + 1);
        buffer.set_stringn(x, below.y - 1, more, usize::from(page.width), pen.notable());
    }
}

fn row(model: &Model, pen: Pen, ask: &AskView, chosen: bool) -> String {
    let mark = if chosen { '>' } else { ' ' };
    let (who, age) = (format!("{}/{}", ask.workspace, ask.process), time::span(model.now - ask.at));
    pen.text(&format!("{mark} {who}  {age}  {}: {}", ask.tool, ask.summary))
}

/// The chosen request.
pub fn lines(model: &Model, pen: Pen, width: u16) -> Vec<Line<'static>> {
    let Some(chosen) = model.chosen_ask() else { return Vec::new() };
    let whole = model.whole.as_ref().filter(|whole| whole.id == chosen.id);
    detail::request_lines(whole.unwrap_or(chosen), model.now, pen, width)
}
