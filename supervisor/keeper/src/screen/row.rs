//! Writing rows of cells as text with SGR.

use std::io::Write as _;

use alacritty_terminal::{
    grid::Row,
    index::Column,
    term::cell::{Cell, Flags, Hyperlink},
    vte::ansi::{Color, NamedColor},
};

use crate::history::{History, LineEnd};

/// A bit of the library's flags that it does not use: it carries SGR 5 and 6 through the cells.
pub const BLINK: Flags = Flags::from_bits_retain(0x8000);

/// The flags that SGR sets.
const VISIBLE: Flags = Flags::INVERSE
    .union(Flags::BOLD_ITALIC)
    .union(Flags::DIM)
    .union(Flags::HIDDEN)
    .union(Flags::STRIKEOUT)
    .union(Flags::ALL_UNDERLINES)
    .union(BLINK);

/// Each visible flag and its SGR.
const SGR: [(Flags, &str); 12] = [
    (Flags::BOLD, ";1"),
    (Flags::DIM, ";2"),
    (Flags::ITALIC, ";3"),
    (BLINK, ";5"),
    (Flags::INVERSE, ";7"),
    (Flags::HIDDEN, ";8"),
    (Flags::STRIKEOUT, ";9"),
    (Flags::UNDERLINE, ";4"),
    (Flags::DOUBLE_UNDERLINE, ";4:2"),
    (Flags::UNDERCURL, ";4:3"),
    (Flags::DOTTED_UNDERLINE, ";4:4"),
    (Flags::DASHED_UNDERLINE, ";4:5"),
];

/// Whether the row goes on in the next one.
pub fn wraps(row: &Row<Cell>) -> bool {
    row[Column(row.len() - 1)].flags.contains(Flags::WRAPLINE)
}

/// Adds a row to the history. `below` is the row that it may go on in.
pub fn push(row: &Row<Cell>, below: Option<&Row<Cell>>, history: &mut History) {
    let (width, end) = if !wraps(row) {
        (content_width(row), LineEnd::Hard)
    } else {
        let width = flowing_width(row, below);
        (width, if width < row.len() { LineEnd::SoftLeftFree } else { LineEnd::Soft })
    };
    if !begins_wide(row) {
        history.fill_left_free();
    }
    history.push(end, |out| write_flowing(row, width, out));
}

/// Columns that are written of a row that goes on below: all, but not the last one if that was left free
/// for want of room for a wide character. If that no longer stands below, the place must be filled, for
/// the wrap to come at the same column.
pub fn flowing_width(row: &Row<Cell>, below: Option<&Row<Cell>>) -> usize {
    let last = &row[Column(row.len() - 1)];
    let is_left_free = last.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER) && below.is_none_or(begins_wide);
    if is_left_free { row.len() - 1 } else { row.len() }
}

/// Writes the first `cols` columns of a row that may be reached by a soft wrap. A wrap that scrolls fills
/// the new row with the colour of what wrapped: the rest is cleared of it.
pub fn write_flowing(row: &Row<Cell>, cols: usize, out: &mut Vec<u8>) {
    write(row, cols, out);
    let is_coloured = row[Column(0)].bg != Color::Named(NamedColor::Background);
    if is_coloured && (1..row.len()).contains(&cols) {
        out.extend_from_slice(b"\x1b[K");
    }
}

/// Whether a wide character stands at the row's beginning.
pub fn begins_wide(row: &Row<Cell>) -> bool {
    row[Column(0)].flags.contains(Flags::WIDE_CHAR) && !is_half(&row[..], 0)
}

/// Columns up to the last cell that shows anything.
pub fn content_width(row: &Row<Cell>) -> usize {
    let cells = &row[..];
    let shows = |i: usize| !has_blank_look(&cells[i]) || shows_text(cells, i);
    let Some(last) = (0..cells.len()).rev().find(|&i| shows(i)) else { return 0 };
    let is_wide = cells[last].flags.contains(Flags::WIDE_CHAR);
    (last + 1 + usize::from(is_wide)).min(cells.len())
}

/// Whether a cell would show nothing with a space in it.
fn has_blank_look(cell: &Cell) -> bool {
    const SHOWS_ON_BLANK: Flags = Flags::INVERSE.union(Flags::ALL_UNDERLINES).union(Flags::STRIKEOUT);
    cell.bg == Color::Named(NamedColor::Background)
        && cell.hyperlink().is_none()
        && !cell.flags.intersects(SHOWS_ON_BLANK)
}

fn shows_text(cells: &[Cell], i: usize) -> bool {
    let cell = &cells[i];
    (!matches!(cell.c, ' ' | '\t') || is_combined(cell)) && !is_half(cells, i)
}

/// Half of a wide character, cut by the edge or by what overwrote the rest: it shows nothing.
fn is_half(cells: &[Cell], i: usize) -> bool {
    let has = |i: usize, flag| cells.get(i).is_some_and(|cell| cell.flags.contains(flag));
    if has(i, Flags::WIDE_CHAR_SPACER) {
        i == 0 || !has(i - 1, Flags::WIDE_CHAR)
    } else {
        has(i, Flags::WIDE_CHAR) && !has(i + 1, Flags::WIDE_CHAR_SPACER)
    }
}

/// Whether characters of no width stand on the cell. The library keeps an empty list where some stood.
fn is_combined(cell: &Cell) -> bool {
    cell.zerowidth().is_some_and(|zero| !zero.is_empty())
}

/// Writes the first `cols` columns, beginning and ending with a default pen.
pub fn write(row: &Row<Cell>, cols: usize, out: &mut Vec<u8>) {
    let cells = &row[..][..cols.min(row.len())];
    out.reserve(cells.len() + 8);
    let mut pen = Pen::default();
    for (i, cell) in cells.iter().enumerate() {
        // the common case first: the same pen and one ASCII character
        if pen.prints_as_is(cell) {
            out.push(cell.c as u8);
            continue;
        }
        let is_half = is_half(cells, i);
        if cell.flags.contains(Flags::WIDE_CHAR_SPACER) && !is_half {
            continue;
        }
        pen.switch(cell, out);
        if is_half {
            out.push(b' ');
            continue;
        }
        let is_wide = cell.flags.contains(Flags::WIDE_CHAR);
        write_character(cell, out);
        let next = i + 1 + usize::from(is_wide);
        if is_combined(cell) && next < row.len() {
            // terminals disagree about the width of clusters: say where the next cell is
            goto_column(next, out);
        }
    }
    pen.finish(out);
}

/// Moves to a column, from 0.
pub fn goto_column(col: usize, out: &mut Vec<u8>) {
    put(out, format_args!("\x1b[{}G", col + 1));
}

/// The cell's character and what is combined with it.
pub fn write_character(cell: &Cell, out: &mut Vec<u8>) {
    let mut utf8 = [0; 4];
    let c = if cell.c == '\t' { ' ' } else { cell.c };
    out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
    for c in cell.zerowidth().into_iter().flatten() {
        out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
    }
}

/// The pen of a cell as DECRQSS reports it: `0;1;31m`.
pub fn pen_report(cell: &Cell) -> Vec<u8> {
    let mut out = vec![];
    Pen::default().switch(cell, &mut out);
    // without the CSI; a link that follows is no part of the answer
    match out.strip_prefix(b"\x1b[") {
        Some(rest) => rest.split_inclusive(|&c| c == b'm').next().unwrap_or_default().to_vec(),
        None => b"0m".to_vec(),
    }
}

/// Formats into a buffer.
pub fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}

/// Attributes as the receiving terminal has them now.
pub struct Pen {
    foreground: Color,
    background: Color,
    flags: Flags,
    underline: Option<Color>,
    link: Option<Hyperlink>,
}

impl Default for Pen {
    fn default() -> Self {
        Self {
            foreground: Color::Named(NamedColor::Foreground),
            background: Color::Named(NamedColor::Background),
            flags: Flags::empty(),
            underline: None,
            link: None,
        }
    }
}

impl Pen {
    #[inline]
    fn prints_as_is(&self, cell: &Cell) -> bool {
        cell.extra.is_none()
            && matches!(cell.c, ' '..='~')
            && self.flags == cell.flags
            && self.foreground == cell.fg
            && self.background == cell.bg
            && self.underline.is_none()
            && self.link.is_none()
    }

    /// Changes the attributes to the cell's.
    pub fn switch(&mut self, cell: &Cell, out: &mut Vec<u8>) {
        let flags = cell.flags & VISIBLE;
        let (underline, link) = match &cell.extra {
            None => (None, None),
            Some(_) => (cell.underline_color(), cell.hyperlink()),
        };
        if self.foreground != cell.fg
            || self.background != cell.bg
            || self.flags != flags
            || self.underline != underline
        {
            out.extend_from_slice(b"\x1b[0");
            for (_, sgr) in SGR.iter().filter(|(flag, _)| flags.contains(*flag)) {
                out.extend_from_slice(sgr.as_bytes());
            }
            color(cell.fg, 30, out);
            color(cell.bg, 40, out);
            match underline {
                Some(Color::Spec(c)) => put(out, format_args!(";58:2::{}:{}:{}", c.r, c.g, c.b)),
                Some(Color::Indexed(i)) => put(out, format_args!(";58:5:{i}")),
                Some(Color::Named(_)) | None => {}
            }
            out.push(b'm');
            (self.foreground, self.background) = (cell.fg, cell.bg);
            (self.flags, self.underline) = (flags, underline);
        }
        if self.link.as_ref().map(target) != link.as_ref().map(target) {
            match link.as_ref().map(target) {
                None => out.extend_from_slice(b"\x1b]8;;\x1b\\"),
                Some((None, uri)) => put(out, format_args!("\x1b]8;;{uri}\x1b\\")),
                Some((Some(id), uri)) => put(out, format_args!("\x1b]8;id={id};{uri}\x1b\\")),
            }
            self.link = link;
        }
    }

    /// Back to default attributes.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.switch(&Cell::default(), out);
    }
}

/// A link's id and address. The library makes up an id where there was none, another one each time.
fn target(link: &Hyperlink) -> (Option<&str>, &str) {
    (Some(link.id()).filter(|id| !id.ends_with("_alacritty")), link.uri())
}

fn color(color: Color, base: u16, out: &mut Vec<u8>) {
    match color {
        Color::Named(name) => match name as u16 {
            i @ 0..=7 => put(out, format_args!(";{}", base + i)),
            i @ 8..=15 => put(out, format_args!(";{}", base + 60 + i - 8)),
            _ => {}
        },
        Color::Indexed(i) => put(out, format_args!(";{};5;{i}", base + 8)),
        Color::Spec(c) => put(out, format_args!(";{};2;{};{};{}", base + 8, c.r, c.g, c.b)),
    }
}
