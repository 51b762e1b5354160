//! Tables that fit the terminal: columns that matter less go first, then texts are folded.

use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Row, Table as Layout, Width};
use unicode_width::UnicodeWidthStr;

use crate::output::clean;

/// Columns between two columns.
const GAP_COLS: usize = 2;
/// A text narrower than this is not worth a column.
const TEXT_COLS_MIN: usize = 14;
/// Lines that one row may take: two say what it is about, more push the others off the screen.
const ROW_LINES_MAX: usize = 2;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What stands above it.
    pub head: &'static str,
    /// Columns of a higher rank are left out first where there is no room; 0 never is.
    pub rank: u8,
    /// Free text: may be folded, down to a width at which it still says something.
    pub text: bool,
}

/// A column that holds `head`, left out by `rank`.
pub const fn column(head: &'static str, rank: u8) -> Column {
    Column { head, rank, text: false }
}

/// A column of free text.
pub const fn text(head: &'static str, rank: u8) -> Column {
    Column { head, rank, text: true }
}

/// Lays out `rows` (a cell per column) for a terminal of `width` columns, or as wide as they are.
/// Columns without any content are left out. Ends with a line break.
pub fn render(columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|c| clean(c)).collect()).collect();
    let natural: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| rows.iter().map(|r| r[i].width()).chain([c.head.width()]).max().unwrap_or(0))
        .collect();
    let mut shown: Vec<usize> = (0..columns.len())
        .filter(|&i| columns[i].rank == 0 || rows.iter().any(|r| !r[i].is_empty()))
        .collect();
    if let Some(width) = width {
        leave_out(&mut shown, columns, &natural, width.into());
    }

    let mut layout = Layout::new();
    layout.load_style(comfy_table::presets::NOTHING);
    layout.set_header(shown.iter().map(|&i| columns[i].head));
    for row in &rows {
        let mut cells = Row::from(shown.iter().map(|&i| Cell::new(&row[i])).collect::<Vec<_>>());
        cells.max_height(ROW_LINES_MAX);
        layout.add_row(cells);
    }
    // the last column has no gap behind it
    for (at, column) in layout.column_iter_mut().enumerate() {
        column.set_padding((0, if at + 1 == shown.len() { 0 } else { 2 }));
    }
    match width {
        None => layout.set_content_arrangement(ContentArrangement::Disabled),
        Some(width) => {
            layout.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            if needed(&shown, columns, &natural) <= usize::from(width) {
                // only texts give way
                for (at, &i) in shown.iter().enumerate().filter(|(_, i)| !columns[**i].text) {
                    let gap = if at + 1 == shown.len() { 0 } else { GAP_COLS };
                    let cols = u16::try_from(natural[i] + gap).unwrap_or(u16::MAX);
                    if let Some(column) = layout.column_mut(at) {
                        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(cols)));
                    }
                }
            }
            &mut layout
        }
    };
    layout.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn leave_out(shown: &mut Vec<usize>, columns: &[Column], natural: &[usize], width: usize) {
    while needed(shown, columns, natural) > width {
        let Some(at) = (0..shown.len()).rev().max_by_key(|&at| columns[shown[at]].rank) else { return };
        if columns[shown[at]].rank == 0 {
            return;
        }
        shown.remove(at);
    }
}

/// Columns that a table needs in which texts are as narrow as they may be.
fn needed(shown: &[usize], columns: &[Column], natural: &[usize]) -> usize {
    let cells =
        shown.iter().map(|&i| if columns[i].text { natural[i].min(TEXT_COLS_MIN) } else { natural[i] });
    cells.sum::<usize>() + GAP_COLS * shown.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[column("NAME", 0), column("STATE", 0), column("PID", 2), text("NOTE", 1)];

    fn rows() -> Vec<Vec<String>> {
        let row = |cells: [&str; 4]| cells.map(String::from).to_vec();
        vec![
            row(["api/lead", "running", "4711", ""]),
            row(["api/tests", "backoff", "", "exit code 101, starts again in 8 s because it failed twice"]),
            row(["日本語/テスト", "running", "12", ""]),
        ]
    }

    #[test]
    fn without_a_terminal_nothing_is_folded_or_left_out() {
        insta::assert_snapshot!(render(COLUMNS, &rows(), None));
    }

    #[test]
    fn a_text_is_folded_before_anything_is_left_out() {
        insta::assert_snapshot!(render(COLUMNS, &rows(), Some(60)));
    }

    #[test]
    fn columns_of_a_high_rank_go_first_in_a_narrow_terminal() {
        insta::assert_snapshot!(render(COLUMNS, &rows(), Some(40)));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 10..=100 {
            for line in render(COLUMNS, &rows(), Some(width)).lines() {
                assert!(line.width() <= usize::from(width), "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn an_empty_column_takes_no_room() {
        let rows = vec![["a", "b", "", ""].map(String::from).to_vec()];
        assert_eq!(render(COLUMNS, &rows, Some(80)), "NAME  STATE\na     b\n");
    }
}
