//! Writing rows of cells as text with SGR.

use std::io::Write as _;

use alacritty_terminal::{
    grid::Row,
    index::Column,
    term::cell::{Cell, Flags, Hyperlink},
    vte::ansi::{Color, NamedColor},
};

use crate::history::History;

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

/// Adds a row to the history.
pub fn push(row: &Row<Cell>, history: &mut History) {
    let wrapped = wraps(row);
    history.push(wrapped, |out| write(row, if wrapped { row.len() } else { content_width(row) }, out));
}

/// Columns up to the last cell that shows anything.
pub fn content_width(row: &Row<Cell>) -> usize {
    row[..].iter().rposition(|cell| !is_blank(cell)).map_or(0, |last| last + 1)
}

fn is_blank(cell: &Cell) -> bool {
    const SHOWS_ON_BLANK: Flags =
        Flags::INVERSE.union(Flags::ALL_UNDERLINES).union(Flags::STRIKEOUT).union(Flags::WIDE_CHAR_SPACER);
    matches!(cell.c, ' ' | '\t')
        && cell.bg == Color::Named(NamedColor::Background)
        && cell.extra.is_none()
        && !cell.flags.intersects(SHOWS_ON_BLANK)
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
        let follows_wide = i > 0 && cells[i - 1].flags.contains(Flags::WIDE_CHAR);
        if cell.flags.contains(Flags::WIDE_CHAR_SPACER) && follows_wide
            || cell.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER) && i + 1 == row.len()
        {
            continue;
        }
        pen.switch(cell, out);
        let is_wide = cell.flags.contains(Flags::WIDE_CHAR);
        let has_room = cells.get(i + 1).is_some_and(|next| next.flags.contains(Flags::WIDE_CHAR_SPACER));
        if is_wide && !has_room || cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
            // half of a wide character, cut by the edge or by what overwrote the rest
            out.push(b' ');
            continue;
        }
        write_character(cell, out);
        let next = i + 1 + usize::from(is_wide);
        if cell.zerowidth().is_some() && next < row.len() {
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
        if self.link != link {
            match &link {
                None => out.extend_from_slice(b"\x1b]8;;\x1b\\"),
                // the library makes up an id where there was none
                Some(l) if l.id().ends_with("_alacritty") => {
                    put(out, format_args!("\x1b]8;;{}\x1b\\", l.uri()))
                }
                Some(l) => put(out, format_args!("\x1b]8;id={};{}\x1b\\", l.id(), l.uri())),
            }
            self.link = link;
        }
    }

    /// Back to default attributes.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.switch(&Cell::default(), out);
    }
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
