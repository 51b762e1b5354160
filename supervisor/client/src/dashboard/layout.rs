//! What stands where at which size. Pure arithmetic: drawing and the mouse go by the same.

use ratatui::layout::Rect;

use super::{model::Sort, tasks};

/// From so many rows on the chosen row is shown whole below the table.
const DETAIL_ROWS_MIN: u16 = 30;
/// From so many rows on a line of its own is given to what would otherwise be left out.
const ROOMY_ROWS_MIN: u16 = 20;
/// Columns between two columns.
const GAP_COLS: u16 = 1;
/// Before a name: chosen, glyph, marked.
pub const MARKS_COLS: u16 = 3;
/// A reason in fewer columns says nothing.
const REASON_COLS_MIN: u16 = 12;

/// Where what is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// Counts and cost.
    pub header: Rect,
    /// Accounts, or what is wrong.
    pub second: Option<Rect>,
    /// Heads of the columns.
    pub heads: Rect,
    /// Rows of the table.
    pub table: Rect,
    /// The chosen row, whole.
    pub detail: Option<Rect>,
    /// The chosen row's reason, where there is no room for all.
    pub reason: Option<Rect>,
    /// Keys, what is asked, what went wrong.
    pub footer: Rect,
    /// All between header and footer, for the other pages.
    pub page: Rect,
}

/// Divides a terminal of `size`, given in columns and rows. `second`: there is something for a second line.
pub fn areas(size: (u16, u16), second: bool) -> Areas {
    let (width, rows) = size;
    let line = |y: u16, height: u16| Rect::new(0, y, width, height);
    let roomy = rows >= ROOMY_ROWS_MIN;
    let second = (second && roomy).then(|| line(1, 1));
    let first = 1 + u16::from(second.is_some());
    let footer = rows.saturating_sub(1).max(first);
    let middle = footer - first;
    let below = match (rows >= DETAIL_ROWS_MIN, rows) {
        (true, _) => middle * 2 / 5,
        (false, 8..) => 1 + u16::from(roomy),
        (false, _) => 0,
    };
    let heads = line(first, middle.min(1));
    let table = line(first + heads.height, middle.saturating_sub(below + heads.height));
    let lower = line(footer - below, below);
    let detail = rows >= DETAIL_ROWS_MIN;
    Areas {
        header: line(0, rows.min(1)),
        second,
        heads,
        table,
        detail: detail.then_some(lower),
        reason: (!detail && below > 0).then_some(lower),
        footer: line(footer, rows.saturating_sub(footer).min(1)),
        page: line(first, middle),
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<S = Sort> {
    /// What it shows, and what a click on its head sorts by; the reason sorts by need, as the status does.
    pub sort: S,
    /// What stands above it.
    pub head: &'static str,
    /// Its first column on the screen.
    pub x: u16,
    /// How wide it is.
    pub width: u16,
    /// Numbers stand at the right.
    pub right: bool,
    /// It is the reason, which takes what is left.
    pub reason: bool,
}

/// The columns that a table of this width has room for, from left to right.
pub fn columns(width: u16) -> Vec<Column> {
    // what matters most first; the order on the screen is below
    let name = match width {
        0..50 => 12,
        50..70 => 14,
        70..100 => 17,
        100..150 => 24,
        _ => 30,
    };
    let optional: [(Sort, &str, u16); 7] = [
        (Sort::Since, "SINCE", 7),
        (Sort::Cost, "COST", 7),
        (Sort::Cpu, "CPU", 5),
        (Sort::Memory, "MEM", 5),
        (Sort::Context, "CTX", 5),
        (Sort::Restarts, "RST", 4),
        (Sort::Attached, "ATT", 3),
    ];
    const STATUS_COLS: u16 = 12;
    let mut used = MARKS_COLS + name + GAP_COLS + STATUS_COLS;
    let mut shown: Vec<(Sort, &str, u16)> = Vec::new();
    for column in optional {
        // each further one must leave the reason more, so that it grows with the terminal as well
        let reason = GAP_COLS + REASON_COLS_MIN + 2 * u16::try_from(shown.len()).unwrap_or(0);
        if used + GAP_COLS + column.2 + reason > width {
            break;
        }
        used += GAP_COLS + column.2;
        shown.push(column);
    }
    let mut x = MARKS_COLS;
    let mut columns = Vec::new();
    let mut add = |sort, head, width, right, reason| {
        columns.push(Column { sort, head, x, width, right, reason });
        x += width + GAP_COLS;
    };
    add(Sort::Name, "PROCESS", name, false, false);
    add(Sort::Need, "STATUS", STATUS_COLS, false, false);
    for (sort, head, width) in shown {
        add(sort, head, width, true, false);
    }
    let left = width.saturating_sub(used + GAP_COLS);
    if left > 0 {
        add(Sort::Need, "REASON", left, false, true);
    }
    columns
}

/// The columns that a table of tasks of this width has room for, from left to right.
pub fn task_columns(width: u16) -> Vec<Column<tasks::Sort>> {
    use tasks::Sort::{Attempt, Cost, Group, Name, Need, Since};
    let name = match width {
        0..50 => 12,
        50..70 => 14,
        70..100 => 17,
        100..150 => 26,
        _ => 34,
    };
    // what matters most first
    let optional = [(Since, "SINCE", 9), (Cost, "COST", 6), (Attempt, "TRY", 3), (Group, "GROUP", 8)];
    const STATE_COLS: u16 = 8;
    let mut used = MARKS_COLS + name + GAP_COLS + STATE_COLS;
    let mut shown = Vec::new();
    for column in optional {
        let reason = GAP_COLS + REASON_COLS_MIN + 2 * u16::try_from(shown.len()).unwrap_or(0);
        if used + GAP_COLS + column.2 + reason > width {
            break;
        }
        used += GAP_COLS + column.2;
        shown.push(column);
    }
    let mut x = MARKS_COLS;
    let mut columns = Vec::new();
    let mut add = |sort, head, width, right, reason| {
        columns.push(Column { sort, head, x, width, right, reason });
        x += width + GAP_COLS;
    };
    add(Name, "TASK", name, false, false);
    add(Need, "STATE", STATE_COLS, false, false);
    for (sort, head, width) in shown {
        add(sort, head, width, sort != Group, false);
    }
    let left = width.saturating_sub(used + GAP_COLS);
    if left > 0 {
        add(Need, "WHAT IT DOES, OR WHY", left, false, true);
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_any_size_nothing_lies_outside_and_nothing_overlaps() {
        for cols in 1..200 {
            for rows in 1..70 {
                for second in [false, true] {
                    let a = areas((cols, rows), second);
                    let parts = [Some(a.header), a.second, Some(a.heads), Some(a.table), a.detail, a.reason];
                    let mut y = 0;
                    for part in parts.into_iter().flatten().chain([a.footer]).filter(|p| p.height > 0) {
                        assert!(part.y >= y, "{cols}x{rows}: {a:?}");
                        y = part.y + part.height;
                    }
                    assert!(y <= rows, "{cols}x{rows}: {a:?}");
                }
            }
        }
    }

    #[test]
    fn a_wider_table_has_more_columns_and_never_a_narrower_reason_than_its_head() {
        let mut before = 0;
        for width in 40..200 {
            let columns = columns(width);
            let last = columns[columns.len() - 1];
            assert!(columns.len() >= before || width % 10 == 0, "{width}: {columns:?}");
            assert!(last.reason && last.width >= REASON_COLS_MIN - 1, "{width}: {columns:?}");
            assert_eq!(last.x + last.width, width, "{columns:?}");
            before = columns.len();
        }
    }
}
