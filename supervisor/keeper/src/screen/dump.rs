//! The screen written out as escape sequences.

use alacritty_terminal::{
    event::VoidListener,
    grid::Cursor,
    index::Column,
    term::{
        Term,
        cell::{Cell, Flags},
    },
    vte::ansi::{CharsetIndex, StandardCharset},
};

use crate::history::LineEnd;

use super::{
    Screen, line_number,
    row::{self, Pen, put},
    style_number, visible,
};

impl Screen {
    /// Appends the whole state for a terminal that is as [`crate::reset`] leaves it, empty: the history
    /// from line `history_from` on, what is hidden, what is shown, and every mode.
    pub fn dump(&self, history_from: u64, out: &mut Vec<u8>) {
        let (extra, term) = (&self.extra, &self.term);
        out.extend_from_slice(b"\x1b[?2026h");
        self.dump_palette(out);
        self.dump_tabs(out);
        let last_line = extra.history.replay(history_from, out);
        if last_line != LineEnd::Hard {
            self.join_history(last_line, out);
        }
        for flags in &extra.kitty[0] {
            put(out, format_args!("\x1b[>{flags}u"));
        }
        match extra.alternate {
            None => dump_rows(term, extra.rows, out),
            Some(mode) => {
                out.extend_from_slice(&extra.hidden_main);
                put(out, format_args!("\x1b[?{mode}h\x1b[m\x1b]8;;\x1b\\\x1b(B\x1b)B\x1b*B\x1b+B\x1b[2J"));
                for flags in &extra.kitty[1] {
                    put(out, format_args!("\x1b[>{flags}u"));
                }
                out.extend_from_slice(b"\x1b[H");
                dump_rows(term, extra.rows, out);
            }
        }
        let saved = &term.grid().saved_cursor;
        if *saved != Cursor::default() {
            dump_saved_cursor(saved, out);
        }
        if extra.region != (0, extra.rows) {
            put(out, format_args!("\x1b[{};{}r", extra.region.0 + 1, extra.region.1));
        }
        for title in &extra.titles {
            put(out, format_args!("\x1b]2;{}\x1b\\\x1b[22;2t", title.as_deref().unwrap_or_default()));
        }
        if extra.title.is_some() || !extra.titles.is_empty() {
            put(out, format_args!("\x1b]2;{}\x1b\\", extra.title.as_deref().unwrap_or_default()));
        }
        for (_, osc) in &extra.oscs {
            out.extend_from_slice(b"\x1b]");
            out.extend_from_slice(osc);
            out.extend_from_slice(b"\x1b\\");
        }
        if extra.cursor_style.is_some() {
            put(out, format_args!("\x1b[{} q", style_number(extra.cursor_style)));
        }
        self.dump_cursor(out);
        out.extend_from_slice(if self.shows_cursor() { b"\x1b[?25h" } else { b"\x1b[?25l" });
        out.extend_from_slice(b"\x1b[?2026l");
    }

    /// Appends what is on the screen now as a terminal of `cols`×`rows` can show it: the part with the
    /// cursor if it is smaller, and with room left over if it is larger, `note` below. Nothing scrolls,
    /// and the modes that keys and mouse depend on are set.
    pub fn paint(&self, cols: u16, rows: u16, note: &str, out: &mut Vec<u8>) {
        let (cols, rows) = (usize::from(cols), usize::from(rows));
        let (own_cols, own_rows) = (self.extra.cols, self.extra.rows);
        let grid = self.term.grid();
        let cursor = grid.cursor.point;
        let cursor_row = line_number(cursor.line);
        let first = if own_rows > rows { (cursor_row + 1).saturating_sub(rows) } else { 0 };
        out.extend_from_slice(b"\x1b[?2026h\x1b[?25l\x1b[?6l\x1b[r\x1b[?7l\x1b[m\x1b(B\x0f");
        for line in 0..rows.min(own_rows) {
            put(out, format_args!("\x1b[{}H", line + 1));
            row::write(&grid[visible(first + line)], cols.min(own_cols), out);
            out.extend_from_slice(b"\x1b[K");
        }
        if rows > own_rows {
            put(out, format_args!("\x1b[{}H\x1b[J", own_rows + 1));
            let fitting: String = note.chars().take(cols).collect();
            put(out, format_args!("\x1b[2m{fitting}\x1b[m"));
        }
        self.dump_input_modes(out);
        put(out, format_args!("\x1b[={};1u", self.kitty_flags()));
        put(out, format_args!("\x1b[{};{}H", cursor_row - first + 1, cursor.column.0.min(cols - 1) + 1));
        out.extend_from_slice(if self.shows_cursor() { b"\x1b[?7h\x1b[?25h" } else { b"\x1b[?7h" });
        out.extend_from_slice(b"\x1b[?2026l");
    }

    /// Sees to it that the screen begins on a row of its own though the history ends in a soft wrap: the
    /// top row may have changed since.
    fn join_history(&self, last_line: LineEnd, out: &mut Vec<u8>) {
        let (begins_empty, begins_wide) = match self.extra.alternate {
            None => {
                (begins_empty(&self.term, self.extra.rows), row::begins_wide(&self.term.grid()[visible(0)]))
            }
            // hidden: as it was when its line scrolled off, but for what a program drew over it since
            Some(_) => (self.extra.hidden_main.starts_with(b"\r\n"), last_line == LineEnd::SoftLeftFree),
        };
        if last_line == LineEnd::SoftLeftFree && !begins_wide && !begins_empty {
            out.push(b' ');
        }
        if begins_empty {
            // a terminal wraps only when something is printed
            out.extend_from_slice(b"\r\n");
        }
    }

    fn shows_cursor(&self) -> bool {
        self.extra.mode(25) != Some(false)
    }

    fn dump_palette(&self, out: &mut Vec<u8>) {
        for (slot, color) in &self.extra.palette {
            match slot {
                0..=255 => put(out, format_args!("\x1b]4;{slot}")),
                256..=258 => put(out, format_args!("\x1b]{}", slot - 246)),
                _ => continue,
            }
            put(out, format_args!(";rgb:{:02x}/{:02x}/{:02x}\x1b\\", color.r, color.g, color.b));
        }
    }

    fn dump_tabs(&self, out: &mut Vec<u8>) {
        let Some(tabs) = &self.extra.tabs else { return };
        out.extend_from_slice(b"\x1b[3g");
        for (col, _) in tabs.iter().enumerate().filter(|(_, set)| **set) {
            row::goto_column(col, out);
            out.extend_from_slice(b"\x1bH");
        }
        out.push(b'\r');
    }

    /// The cursor with its pending wrap, its pen and character sets, and the modes.
    fn dump_cursor(&self, out: &mut Vec<u8>) {
        let extra = &self.extra;
        let grid = self.term.grid();
        let cursor = &grid.cursor;
        let (line, col) = (line_number(cursor.point.line), cursor.point.column.0);
        let mut pen = Pen::default();
        let origin = extra.mode(6) == Some(true);
        if origin {
            out.extend_from_slice(b"\x1b[?6h");
        }
        let told_line = if origin { line.saturating_sub(extra.region.0) } else { line };
        if cursor.input_needs_wrap {
            // the only way to stand behind the last column is to print its cell again
            let cells = &grid[cursor.point.line];
            let is_spacer = cells[Column(col)].flags.contains(Flags::WIDE_CHAR_SPACER) && col > 0;
            let first = if is_spacer { col - 1 } else { col };
            put(out, format_args!("\x1b[{};{}H", told_line + 1, first + 1));
            pen.switch(&cells[Column(first)], out);
            row::write_character(&cells[Column(first)], out);
        } else {
            put(out, format_args!("\x1b[{};{}H", told_line + 1, col + 1));
        }
        dump_charsets(cursor, out);
        out.push(if extra.charset == 1 { 0x0e } else { 0x0f });
        for &(number, on) in &extra.ansi_modes {
            put(out, format_args!("\x1b[{number}{}", letter(on)));
        }
        self.dump_input_modes(out);
        pen.switch(&cursor.template, out);
    }

    /// The modes without those that the dump itself works with: origin, cursor, updates, screens, and the
    /// one that clears the screen.
    fn dump_input_modes(&self, out: &mut Vec<u8>) {
        for &(number, on) in &self.extra.modes {
            if !matches!(number, 3 | 6 | 25 | 2026 | 47 | 1047 | 1048 | 1049) {
                put(out, format_args!("\x1b[?{number}{}", letter(on)));
            }
        }
        if self.extra.keypad {
            out.extend_from_slice(b"\x1b=");
        }
        if self.extra.modify_other_keys != 0 {
            put(out, format_args!("\x1b[>4;{}m", self.extra.modify_other_keys));
        }
    }
}

/// The main screen of `term`, which is about to be hidden: text, saved cursor, cursor and its pen.
pub fn main_screen(term: &Term<VoidListener>, rows: usize) -> Vec<u8> {
    let mut out = vec![];
    dump_rows(term, rows, &mut out);
    let grid = term.grid();
    if grid.saved_cursor != Cursor::default() {
        dump_saved_cursor(&grid.saved_cursor, &mut out);
    }
    let point = grid.cursor.point;
    put(&mut out, format_args!("\x1b[{};{}H", point.line.0 + 1, point.column.0 + 1));
    dump_charsets(&grid.cursor, &mut out);
    Pen::default().switch(&grid.cursor.template, &mut out);
    out.shrink_to_fit();
    out
}

/// The rows in flow, so that soft wraps stay soft and what stands above scrolls off by itself.
fn dump_rows(term: &Term<VoidListener>, rows: usize, out: &mut Vec<u8>) {
    for (line, (width, flows)) in flow(term, rows).into_iter().enumerate() {
        row::write_flowing(&term.grid()[visible(line)], width, out);
        if !flows && line + 1 < rows {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Whether the first row shows nothing, so that it cannot be reached by a wrap.
fn begins_empty(term: &Term<VoidListener>, rows: usize) -> bool {
    flow(term, rows).first().is_none_or(|(width, _)| *width == 0)
}

/// For each row, how many columns are written, and whether it goes on in the next one. Since a terminal
/// wraps only when something is printed, no row goes on in an empty one.
fn flow(term: &Term<VoidListener>, rows: usize) -> Vec<(usize, bool)> {
    let mut flow = vec![(0, false); rows];
    for line in (0..rows).rev() {
        let cells = &term.grid()[visible(line)];
        let flows = row::wraps(cells) && flow.get(line + 1).is_some_and(|below| below.0 > 0);
        let width = if flows {
            row::flowing_width(cells, Some(&term.grid()[visible(line + 1)]))
        } else {
            row::content_width(cells)
        };
        flow[line] = (width, flows);
    }
    flow
}

fn dump_saved_cursor(saved: &Cursor<Cell>, out: &mut Vec<u8>) {
    dump_charsets(saved, out);
    put(out, format_args!("\x1b[{};{}H", saved.point.line.0 + 1, saved.point.column.0 + 1));
    let mut pen = Pen::default();
    pen.switch(&saved.template, out);
    out.extend_from_slice(b"\x1b7");
    pen.finish(out);
    out.extend_from_slice(b"\x1b(B\x1b)B\x1b*B\x1b+B");
}

fn dump_charsets(cursor: &Cursor<Cell>, out: &mut Vec<u8>) {
    const SETS: [(CharsetIndex, u8); 4] = [
        (CharsetIndex::G0, b'('),
        (CharsetIndex::G1, b')'),
        (CharsetIndex::G2, b'*'),
        (CharsetIndex::G3, b'+'),
    ];
    for (set, designator) in SETS {
        match cursor.charsets[set] {
            StandardCharset::SpecialCharacterAndLineDrawing => {
                out.extend_from_slice(&[0x1b, designator, b'0'])
            }
            StandardCharset::Ascii => {}
        }
    }
}

fn letter(on: bool) -> char {
    if on { 'h' } else { 'l' }
}
