//! The screen as the program sees it. `alacritty_terminal` keeps the cells and most modes; around it
//! stands what that library keeps private or drops, so that the whole state can be written out as
//! escape sequences and come up the same in another terminal. Images are not part of it.

mod dump;
mod layout;
mod row;

use alacritty_terminal::{
    event::VoidListener,
    grid::{Cursor, Dimensions},
    index::Line,
    term::{Config, Term, cell::Cell},
    vte::ansi::{CursorShape, CursorStyle, Processor, Rgb, Timeout},
};
use std::time::Duration;

use crate::{history::History, os};
use layout::Layout;

/// Smallest width: the library cannot lay out a wide character on less.
const COLS_MIN: u16 = 2;
/// Largest width and height. A row of cells is 24 bytes a column, so this bounds a screen at 24 MB.
const SIDE_MAX: u16 = 1000;
/// Lines that a resize may push off the top: what is on the screen, folded to two columns.
const REFLOW_LINES_MAX: usize = 20_000;
/// Different modes that are remembered. Terminals have about fifty.
const MODES_MAX: usize = 128;
/// Different OSC states that are remembered, each at most [`OSC_BYTES_MAX`]: WezTerm's user variables.
const OSCS_MAX: usize = 64;
/// Longest OSC state that is remembered.
const OSC_BYTES_MAX: usize = 4 << 10;
/// Output that is laid out line by line without asking whether it could be skipped.
const SKIP_BYTES_MIN: usize = 128 << 10;

/// A terminal's state.
pub struct Screen {
    term: Term<VoidListener>,
    parser: Processor<NoTimeout>,
    extra: Extra,
}

/// What the library keeps private or drops.
struct Extra {
    cols: usize,
    rows: usize,
    /// Scroll region, from 0, end exclusive.
    region: (usize, usize),
    /// DEC private modes touched since the last reset, the last touched at the end.
    modes: Vec<(u16, bool)>,
    /// ANSI modes, the same.
    ansi_modes: Vec<(u16, bool)>,
    /// Stacks of kitty keyboard flags, of the main and of the alternate screen.
    kitty: [Vec<u8>; 2],
    /// The mode by which the alternate screen was entered, while it is shown.
    alternate: Option<u16>,
    /// The main screen as escape sequences while the alternate one is shown: the library hides it.
    hidden_main: Vec<u8>,
    /// The main screen's saved cursor while the alternate one is shown, if the library would lose it.
    hidden_saved: Option<Cursor<Cell>>,
    /// Tab stops, once they have been changed.
    tabs: Option<Vec<bool>>,
    /// Which of the character sets is active.
    charset: usize,
    cursor_style: Option<CursorStyle>,
    title: Option<String>,
    titles: Vec<Option<String>>,
    modify_other_keys: u8,
    keypad: bool,
    /// Changed colours; 256, 257 and 258 are foreground, background and cursor.
    palette: Vec<(usize, Rgb)>,
    /// The last OSC of each kind that terminals keep as state: 7, 9;4, 1337;SetUserVar=name.
    oscs: Vec<(Vec<u8>, Vec<u8>)>,
    history: History,
}

impl Screen {
    /// A blank screen of this size (within bounds) that keeps `history_bytes` of scrolled-off text.
    pub fn new(cols: u16, rows: u16, history_bytes: usize) -> Self {
        let (cols, rows) = bounded(cols, rows);
        let mut term = Term::new(config(0), &Cells { cols, rows }, VoidListener);
        shrink_idle_grid(&mut term);
        Self {
            term,
            parser: Processor::new(),
            extra: Extra {
                cols,
                rows,
                region: (0, rows),
                modes: vec![],
                ansi_modes: vec![],
                kitty: Default::default(),
                alternate: None,
                hidden_main: vec![],
                hidden_saved: None,
                tabs: None,
                charset: 0,
                cursor_style: None,
                title: None,
                titles: vec![],
                modify_other_keys: 0,
                keypad: false,
                palette: vec![],
                oscs: vec![],
                history: History::new(history_bytes),
            },
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        let side = |n| u16::try_from(n).expect("sides are bounded by SIDE_MAX");
        (side(self.extra.cols), side(self.extra.rows))
    }

    /// What has scrolled off.
    pub fn history(&self) -> &History {
        &self.extra.history
    }

    /// The title, if there is one.
    pub fn title(&self) -> Option<&str> {
        self.extra.title.as_deref()
    }

    /// Lays out output. A long backlog of plain or coloured lines is skipped but for its end, if all the
    /// rest would have left both the screen and the history: the result is the same.
    pub fn feed(&mut self, bytes: &[u8]) {
        let history_max = self.extra.history.bytes_max();
        let keep = history_max + history_max / 4 + 4 * self.extra.cols * self.extra.rows;
        if bytes.len() < keep + SKIP_BYTES_MIN || !self.extra.scrolls_whole() {
            return self.parse(bytes);
        }
        let Some(line_end) = memchr::memmem::rfind(&bytes[..bytes.len() - keep], b"\r\n") else {
            return self.parse(bytes);
        };
        self.feed_tail(bytes, line_end + 2);
    }

    /// Lays out `bytes` from `cut`, a line's beginning, and before it only what could make a difference.
    fn feed_tail(&mut self, bytes: &[u8], cut: usize) {
        // Anything but colours and erasing to the line's end is a barrier: lay out up to it. `pen_from`
        // is the place of the last full reset of the colours.
        let (mut start, mut pen_from, mut i) = (0, None, 0);
        while let Some(k) = memchr::memchr3(0x1b, 0x0e, 0x0f, &bytes[i..cut]) {
            i += k;
            match harmless(&bytes[i..cut]) {
                Some(Harmless { length, resets_pen, .. }) => {
                    i += length;
                    if resets_pen {
                        pen_from = Some(i);
                    }
                }
                None => {
                    let line_end = memchr::memchr(b'\n', &bytes[i..cut]).map_or(cut, |n| i + n + 1);
                    self.parse(&bytes[start..line_end]);
                    if !self.extra.scrolls_whole() {
                        return self.parse(&bytes[line_end..]);
                    }
                    (start, pen_from, i) = (line_end, None, line_end);
                }
            }
        }
        let skipped = memchr::memchr_iter(b'\n', &bytes[start..cut]).count();
        if skipped < self.extra.rows {
            return self.parse(&bytes[start..]);
        }
        // the colours as they are at the cut
        if pen_from.is_some() {
            self.parse(b"\x1b[m");
        }
        let mut i = pen_from.unwrap_or(start);
        while let Some(k) = memchr::memchr(0x1b, &bytes[i..cut]) {
            i += k;
            let Some(Harmless { length, sets_pen, .. }) = harmless(&bytes[i..cut]) else { break };
            if sets_pen {
                self.parse(&bytes[i..i + length]);
            }
            i += length;
        }
        self.parse(b"\r");
        self.extra.history.clear(skipped as u64);
        // the rows that stand there now will all have scrolled off by the end
        self.parse(&bytes[cut..]);
    }

    fn parse(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut Layout { term: &mut self.term, extra: &mut self.extra }, bytes);
    }

    /// DECSTR, which the library does not know.
    pub fn soft_reset(&mut self) {
        self.parse(b"\x1b[?6l\x1b[?1l\x1b[?66l\x1b[?25h\x1b[?7h\x1b[4l\x1b[m\x1b[r\x1b(B\x1b)B\x0f\x1b>");
    }

    /// Remembers an OSC that terminals keep as state. `body` is what stands between `ESC ]` and the end.
    pub fn keep_osc(&mut self, number: u16, body: &[u8]) {
        let kind: &[u8] = match number {
            7 => b"7",
            9 if body.starts_with(b"9;4;") => b"9;4",
            1337 if body.starts_with(b"1337;SetUserVar=") => {
                body.splitn(3, |&c| c == b'=').nth(1).unwrap_or_default()
            }
            _ => return,
        };
        let oscs = &mut self.extra.oscs;
        oscs.retain(|osc| osc.0 != kind);
        if oscs.len() < OSCS_MAX && body.len() < OSC_BYTES_MAX {
            oscs.push((kind.to_vec(), body.to_vec()));
        }
    }

    /// Gives the screen another size (within bounds); what does not fit goes into the history.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        let (cols, rows) = bounded(cols, rows);
        if (cols, rows) == (self.extra.cols, self.extra.rows) {
            return;
        }
        if self.extra.alternate.is_some() {
            self.resize_hidden_main(cols, rows);
        }
        let pushed = self.extra.alternate.is_none();
        resize_term(&mut self.term, cols, rows, pushed.then_some(&mut self.extra.history));
        if self.extra.alternate.is_none() {
            shrink_idle_grid(&mut self.term);
        }
        self.extra.cols = cols;
        self.extra.rows = rows;
        self.extra.region = (0, rows);
        if let Some(tabs) = &mut self.extra.tabs {
            let before = tabs.len();
            tabs.resize(cols, false);
            for c in (before..cols).filter(|c| c % 8 == 0) {
                tabs[c] = true;
            }
        }
        os::give_back_memory();
    }

    /// The library reflows its hidden main screen but does not show it, so do the same to a copy.
    fn resize_hidden_main(&mut self, cols: usize, rows: usize) {
        let size = Cells { cols: self.extra.cols, rows: self.extra.rows };
        let mut copy = Term::new(config(0), &size, VoidListener);
        let mut parser: Processor<NoTimeout> = Processor::new();
        parser.advance(&mut copy, &self.extra.hidden_main);
        resize_term(&mut copy, cols, rows, Some(&mut self.extra.history));
        self.extra.hidden_main = dump::main_screen(&copy, rows);
    }

    /// Row and column of the cursor as a program is told them: from 1, within the region in origin mode.
    pub fn cursor_report(&self) -> (usize, usize) {
        let point = self.term.grid().cursor.point;
        let row = line_number(point.line);
        let top = if self.extra.mode(6) == Some(true) { self.extra.region.0.min(row) } else { 0 };
        (row - top + 1, point.column.0 + 1)
    }

    /// Flags of the kitty keyboard protocol.
    pub fn kitty_flags(&self) -> u8 {
        self.extra.kitty[self.extra.which()].last().copied().unwrap_or(0)
    }

    /// How keys with modifiers are reported: 0, 1 or 2.
    pub fn modify_other_keys(&self) -> u8 {
        self.extra.modify_other_keys
    }

    /// State of a mode as DECRPM reports it: 0 not known, 1 set, 2 reset.
    pub fn mode_report(&self, private: bool, number: u16) -> u8 {
        const KNOWN: [u16; 19] =
            [1, 5, 6, 7, 12, 25, 45, 69, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1016, 2004, 2026, 2031];
        let on = match (private, number) {
            (false, 4 | 20) => self.extra.ansi_modes.contains(&(number, true)),
            (false, _) => return 0,
            (true, 47 | 1047 | 1049) => self.extra.alternate.is_some(),
            (true, 66) => self.extra.keypad,
            (true, n) if KNOWN.contains(&n) => self.extra.mode(n).unwrap_or(matches!(n, 7 | 25)),
            (true, _) => return 0,
        };
        if on { 1 } else { 2 }
    }

    /// Body of the answer to DECRQSS, if the setting is known.
    pub fn setting(&self, name: &[u8]) -> Option<Vec<u8>> {
        match name {
            b"m" => Some(row::pen_report(&self.term.grid().cursor.template)),
            b"r" => Some(format!("{};{}r", self.extra.region.0 + 1, self.extra.region.1).into_bytes()),
            b" q" => Some(format!("{} q", style_number(self.extra.cursor_style)).into_bytes()),
            _ => None,
        }
    }

    /// A colour that the program changed; 256, 257 and 258 are foreground, background and cursor.
    pub fn palette_color(&self, slot: usize) -> Option<[u8; 3]> {
        self.extra.palette.iter().find(|entry| entry.0 == slot).map(|(_, c)| [c.r, c.g, c.b])
    }
}

impl Extra {
    fn mode(&self, number: u16) -> Option<bool> {
        self.modes.iter().find(|mode| mode.0 == number).map(|mode| mode.1)
    }

    /// 0 on the main screen, 1 on the alternate one.
    fn which(&self) -> usize {
        usize::from(self.alternate.is_some())
    }

    /// Whether every line feed at the bottom moves the whole screen up, into the history.
    fn scrolls_whole(&self) -> bool {
        self.alternate.is_none()
            && self.region == (0, self.rows)
            && self.mode(6) != Some(true)
            && self.mode(7) != Some(false)
    }

    /// RIS.
    fn reset(&mut self) {
        self.region = (0, self.rows);
        self.modes.clear();
        self.ansi_modes.clear();
        self.kitty = Default::default();
        self.alternate = None;
        self.hidden_main = Vec::new();
        self.tabs = None;
        self.charset = 0;
        self.cursor_style = None;
        self.title = None;
        self.titles.clear();
        self.modify_other_keys = 0;
        self.keypad = false;
        self.palette.clear();
        self.oscs.clear();
        self.history.clear(0);
    }
}

/// Remembers a mode as the last one touched: where modes replace each other, the last one counts.
fn touch(modes: &mut Vec<(u16, bool)>, number: u16, on: bool) {
    modes.retain(|mode| mode.0 != number);
    if modes.len() < MODES_MAX {
        modes.push((number, on));
    }
}

fn bounded(cols: u16, rows: u16) -> (usize, usize) {
    (usize::from(cols.clamp(COLS_MIN, SIDE_MAX)), usize::from(rows.clamp(1, SIDE_MAX)))
}

/// A line of the visible screen as a number from 0.
fn line_number(line: Line) -> usize {
    usize::try_from(line.0).expect("the cursor is on the visible screen")
}

/// A row of the visible screen, from 0.
fn visible(row: usize) -> Line {
    Line(i32::try_from(row).expect("sides are bounded by SIDE_MAX"))
}

fn config(history_lines: usize) -> Config {
    Config { scrolling_history: history_lines, kitty_keyboard: true, ..Config::default() }
}

struct Cells {
    cols: usize,
    rows: usize,
}

impl Dimensions for Cells {
    fn total_lines(&self) -> usize {
        self.rows
    }
    fn screen_lines(&self) -> usize {
        self.rows
    }
    fn columns(&self) -> usize {
        self.cols
    }
}

/// Lets the library reflow into a history of its own, and takes that over.
fn resize_term(term: &mut Term<VoidListener>, cols: usize, rows: usize, history: Option<&mut History>) {
    term.set_options(config(REFLOW_LINES_MAX));
    term.resize(Cells { cols, rows });
    if let Some(history) = history {
        let pushed = term.grid().total_lines() - term.grid().screen_lines();
        for i in (1..=pushed).rev() {
            let line = Line(-i32::try_from(i).expect("bounded by REFLOW_LINES_MAX"));
            row::push(&term.grid()[line], Some(&term.grid()[line + 1]), history);
        }
    }
    term.set_options(config(0));
    term.grid_mut().truncate();
}

/// The library allocates both screens for good. While the alternate one is not shown it is made tiny
/// (192 kB less at 160×50); [`show_alternate`] gives it its size back.
fn shrink_idle_grid(term: &mut Term<VoidListener>) {
    let saved = term.grid().saved_cursor.clone();
    term.swap_alt();
    term.grid_mut().resize(false, 1, usize::from(COLS_MIN));
    term.grid_mut().truncate();
    term.swap_alt();
    term.grid_mut().saved_cursor = saved;
}

fn show_alternate(term: &mut Term<VoidListener>, cols: usize, rows: usize) {
    term.swap_alt();
    let cursor = term.grid().cursor.clone();
    term.grid_mut().resize(false, rows, cols);
    term.grid_mut().reset_region(..);
    term.grid_mut().cursor = Cursor { input_needs_wrap: false, ..cursor };
    term.grid_mut().saved_cursor = Cursor::default();
}

/// Shows the main screen again. `saved` is its saved cursor, from before any resize.
fn show_main(term: &mut Term<VoidListener>, saved: Option<Cursor<Cell>>) {
    term.swap_alt();
    if let Some(mut saved) = saved {
        saved.point.line = saved.point.line.min(term.bottommost_line());
        saved.point.column = saved.point.column.min(term.last_column());
        term.grid_mut().saved_cursor = saved;
    }
    shrink_idle_grid(term);
}

/// The number that DECSCUSR gives to a cursor style.
fn style_number(style: Option<CursorStyle>) -> u8 {
    let Some(style) = style else { return 0 };
    let blinking = match style.shape {
        CursorShape::Underline => 3,
        CursorShape::Beam => 5,
        CursorShape::Block | CursorShape::HollowBlock | CursorShape::Hidden => 1,
    };
    blinking + u8::from(!style.blinking)
}

/// Synchronized updates are not buffered by the parser: the keeper does not look inside one.
#[derive(Default)]
struct NoTimeout;

impl Timeout for NoTimeout {
    fn set_timeout(&mut self, _: Duration) {}
    fn clear_timeout(&mut self) {}
    fn pending_timeout(&self) -> bool {
        false
    }
}

/// A sequence that changes colours or erases to the line's end, and nothing else.
struct Harmless {
    length: usize,
    sets_pen: bool,
    resets_pen: bool,
}

fn harmless(b: &[u8]) -> Option<Harmless> {
    /// Longest colour sequence looked at; real ones have some twenty bytes.
    const PARAMETER_BYTES_MAX: usize = 48;
    if b.get(1) != Some(&b'[') {
        return None;
    }
    let parameters = &b[2..];
    let n = parameters.iter().take(PARAMETER_BYTES_MAX).position(|c| !matches!(c, b'0'..=b';'))?;
    let length = n + 3;
    match parameters[n] {
        b'm' => {
            let resets_pen = matches!(&parameters[..n], b"" | b"0");
            Some(Harmless { length, sets_pen: true, resets_pen })
        }
        b'K' => Some(Harmless { length, sets_pen: false, resets_pen: false }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
