//! Stands between the parser and the library: sees every call, mirrors what the library hides, and
//! saves lines before they scroll off.

use alacritty_terminal::{
    event::VoidListener,
    index::{Column, Line},
    term::{
        Term, TermMode,
        cell::{Cell, Flags},
    },
    vte::ansi::{
        Attr, CharsetIndex, ClearMode, CursorStyle, Handler, Hyperlink, KeyboardModes,
        KeyboardModesApplyBehavior, LineClearMode, Mode, ModifyOtherKeys, PrivateMode, Rgb, StandardCharset,
        TabulationClearMode,
    },
};
use unicode_width::UnicodeWidthChar;

use super::{
    Extra, dump, line_number,
    row::{self, BLINK},
    show_alternate, show_main, shrink_idle_grid, touch, visible,
};

/// Characters of no width that one cell may hold. The longest emoji has nine; a flood of combining
/// characters must not grow one cell without bound.
const COMBINED_MAX: usize = 16;
/// Titles that may be saved, as in xterm.
const TITLES_MAX: usize = 10;
/// Sets of keyboard flags that may be saved. The protocol asks for a bound and names none.
const KITTY_FLAGS_MAX: usize = 32;

/// The parser's view of the screen.
pub struct Layout<'a> {
    pub term: &'a mut Term<VoidListener>,
    pub extra: &'a mut Extra,
}

impl Layout<'_> {
    /// `lines` lines are about to leave at the top.
    fn save_leaving(&mut self, lines: usize) {
        if self.extra.alternate.is_some() || self.extra.region.0 != 0 {
            return;
        }
        let grid = self.term.grid();
        for line in 0..lines.min(self.extra.region.1) {
            let below = (line + 1 < self.extra.rows).then(|| &grid[visible(line + 1)]);
            row::push(&grid[visible(line)], below, &mut self.extra.history);
        }
    }

    #[inline]
    fn is_at_bottom(&self) -> bool {
        line_number(self.term.grid().cursor.point.line) + 1 == self.extra.region.1
    }

    /// Whether the next character of this width will wrap, and by that scroll.
    #[inline]
    fn will_scroll(&self, width: usize) -> bool {
        let cursor = &self.term.grid().cursor;
        let is_full = cursor.input_needs_wrap && width > 0
            || width == 2 && cursor.point.column.0 + 1 >= self.extra.cols;
        is_full && self.is_at_bottom() && self.term.mode().contains(TermMode::LINE_WRAP)
    }

    /// Place of the last character printed: what a character of no width is combined with.
    fn last_printed(&self) -> Option<(Line, Column)> {
        let grid = self.term.grid();
        let (line, mut col) = (grid.cursor.point.line, grid.cursor.point.column.0);
        if !grid.cursor.input_needs_wrap {
            col = col.checked_sub(1)?;
        }
        if grid[line][Column(col)].flags.contains(Flags::WIDE_CHAR_SPACER) {
            col = col.saturating_sub(1);
        }
        Some((line, Column(col)))
    }

    /// Whether WezTerm joins `c` to the character before, where the library would not: skin tones, and
    /// what follows a zero width joiner.
    fn joins(&self, c: char) -> bool {
        let is_skin_tone = ('\u{1f3fb}'..='\u{1f3ff}').contains(&c);
        if !is_skin_tone && !matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}') {
            return false;
        }
        let Some((line, col)) = self.last_printed() else { return false };
        let cell: &Cell = &self.term.grid()[line][col];
        if is_skin_tone {
            let is_base = matches!(cell.c, '\u{2600}'..='\u{27bf}' | '\u{1f300}'..='\u{1faff}');
            is_base && cell.zerowidth().is_none_or(|zero| zero.iter().all(|c| *c == '\u{fe0f}'))
        } else {
            cell.zerowidth().is_some_and(|zero| zero.last() == Some(&'\u{200d}'))
        }
    }

    fn combine(&mut self, c: char) {
        let Some((line, col)) = self.last_printed() else { return };
        let cell = &mut self.term.grid_mut()[line][col];
        if cell.zerowidth().map_or(0, <[char]>::len) < COMBINED_MAX {
            cell.push_zerowidth(c);
        }
    }

    fn enter_alternate(&mut self, mode: u16) {
        if self.extra.alternate.is_some() {
            return;
        }
        self.extra.hidden_main = dump::main_screen(self.term, self.extra.rows);
        self.extra.alternate = Some(mode);
        // the library saves the cursor with every switch, as only 1049 should
        let keeps_saved = mode != 1049;
        self.extra.hidden_saved = keeps_saved.then(|| self.term.grid().saved_cursor.clone());
        show_alternate(self.term, self.extra.cols, self.extra.rows);
    }

    fn leave_alternate(&mut self) {
        if self.extra.alternate.take().is_none() {
            return;
        }
        self.extra.hidden_main = Vec::new();
        self.extra.kitty[1].clear();
        show_main(self.term, self.extra.hidden_saved.take());
    }

    fn tabs(&mut self) -> &mut Vec<bool> {
        let cols = self.extra.cols;
        self.extra.tabs.get_or_insert_with(|| (0..cols).map(|col| col % 8 == 0).collect())
    }

    fn kitty(&mut self) -> &mut Vec<u8> {
        let which = self.extra.which();
        &mut self.extra.kitty[which]
    }
}

macro_rules! forward {
    ($($name:ident($($a:ident: $t:ty),*);)*) => {
        $(#[inline] fn $name(&mut self, $($a: $t),*) { self.term.$name($($a),*) })*
    };
}

impl Handler for Layout<'_> {
    #[inline]
    fn input(&mut self, c: char) {
        if c.is_ascii() {
            if self.will_scroll(1) {
                self.save_leaving(1);
            }
        } else {
            if self.joins(c) {
                return self.combine(c);
            }
            let width = c.width().unwrap_or(0);
            if width == 0 {
                return self.combine(c);
            }
            if self.will_scroll(width) {
                self.save_leaving(1);
            }
        }
        self.term.input(c);
    }

    fn linefeed(&mut self) {
        if self.is_at_bottom() {
            self.save_leaving(1);
        }
        self.term.linefeed();
    }

    fn newline(&mut self) {
        if self.is_at_bottom() {
            self.save_leaving(1);
        }
        self.term.newline();
    }

    fn scroll_up(&mut self, lines: usize) {
        self.save_leaving(lines);
        self.term.scroll_up(lines);
    }

    fn delete_lines(&mut self, lines: usize) {
        if self.term.grid().cursor.point.line == 0 {
            self.save_leaving(lines);
        }
        self.term.delete_lines(lines);
    }

    fn clear_screen(&mut self, mode: ClearMode) {
        if matches!(mode, ClearMode::Saved) {
            self.extra.history.clear(0);
        }
        self.term.clear_screen(mode);
    }

    fn reset_state(&mut self) {
        self.extra.reset();
        self.term.reset_state();
        // the library has put the main screen back; its idle one may be the full-size one
        shrink_idle_grid(self.term);
    }

    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let end = bottom.unwrap_or(self.extra.rows).min(self.extra.rows);
        if top < end {
            self.extra.region = (top.saturating_sub(1), end);
        }
        self.term.set_scrolling_region(top, bottom);
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        match mode.raw() {
            number @ (47 | 1047 | 1049) => self.enter_alternate(number),
            1048 => self.term.save_cursor_position(),
            // 132 columns: a terminal in a window does not do that
            3 => {}
            number => {
                touch(&mut self.extra.modes, number, true);
                if number == 66 {
                    self.extra.keypad = true;
                }
                self.term.set_private_mode(mode);
            }
        }
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        match mode.raw() {
            1049 => {
                self.leave_alternate();
                self.term.restore_cursor_position();
            }
            47 | 1047 => self.leave_alternate(),
            1048 => self.term.restore_cursor_position(),
            3 => {}
            number => {
                touch(&mut self.extra.modes, number, false);
                if number == 66 {
                    self.extra.keypad = false;
                }
                self.term.unset_private_mode(mode);
            }
        }
    }

    fn set_mode(&mut self, mode: Mode) {
        touch(&mut self.extra.ansi_modes, mode.raw(), true);
        self.term.set_mode(mode);
    }

    fn unset_mode(&mut self, mode: Mode) {
        touch(&mut self.extra.ansi_modes, mode.raw(), false);
        self.term.unset_mode(mode);
    }

    fn terminal_attribute(&mut self, attribute: Attr) {
        let flags = &mut self.term.grid_mut().cursor.template.flags;
        match attribute {
            Attr::BlinkSlow | Attr::BlinkFast => flags.insert(BLINK),
            Attr::CancelBlink => flags.remove(BLINK),
            _ => {}
        }
        self.term.terminal_attribute(attribute);
    }

    fn set_horizontal_tabstop(&mut self) {
        let col = self.term.grid().cursor.point.column.0;
        self.tabs()[col] = true;
        self.term.set_horizontal_tabstop();
    }

    fn clear_tabs(&mut self, mode: TabulationClearMode) {
        let col = self.term.grid().cursor.point.column.0;
        let tabs = self.tabs();
        match mode {
            TabulationClearMode::Current => tabs[col] = false,
            TabulationClearMode::All => tabs.fill(false),
        }
        self.term.clear_tabs(mode);
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        self.extra.charset = index as usize;
        self.term.set_active_charset(index);
    }

    fn set_cursor_style(&mut self, style: Option<CursorStyle>) {
        self.extra.cursor_style = style;
        self.term.set_cursor_style(style);
    }

    fn set_title(&mut self, title: Option<String>) {
        self.extra.title = title;
    }

    fn push_title(&mut self) {
        if self.extra.titles.len() < TITLES_MAX {
            self.extra.titles.push(self.extra.title.clone());
        }
    }

    fn pop_title(&mut self) {
        if let Some(title) = self.extra.titles.pop() {
            self.extra.title = title;
        }
    }

    fn set_color(&mut self, slot: usize, color: Rgb) {
        self.reset_color(slot);
        self.extra.palette.push((slot, color));
    }

    fn reset_color(&mut self, slot: usize) {
        self.extra.palette.retain(|entry| entry.0 != slot);
    }

    fn set_keypad_application_mode(&mut self) {
        self.extra.keypad = true;
    }

    fn unset_keypad_application_mode(&mut self) {
        self.extra.keypad = false;
    }

    fn push_keyboard_mode(&mut self, mode: KeyboardModes) {
        let stack = self.kitty();
        if stack.len() == KITTY_FLAGS_MAX {
            stack.remove(0);
        }
        stack.push(mode.bits());
    }

    fn pop_keyboard_modes(&mut self, count: u16) {
        let stack = self.kitty();
        stack.truncate(stack.len().saturating_sub(usize::from(count)));
    }

    fn set_keyboard_mode(&mut self, mode: KeyboardModes, apply: KeyboardModesApplyBehavior) {
        let stack = self.kitty();
        let before = stack.pop().unwrap_or(0);
        stack.push(match apply {
            KeyboardModesApplyBehavior::Replace => mode.bits(),
            KeyboardModesApplyBehavior::Union => before | mode.bits(),
            KeyboardModesApplyBehavior::Difference => before & !mode.bits(),
        });
    }

    fn set_modify_other_keys(&mut self, mode: ModifyOtherKeys) {
        self.extra.modify_other_keys = mode as u8;
    }

    forward! {
        goto(line: i32, col: usize); goto_line(line: i32); goto_col(col: usize); insert_blank(count: usize);
        move_up(rows: usize); move_down(rows: usize); move_forward(cols: usize); move_backward(cols: usize);
        move_down_and_cr(rows: usize); move_up_and_cr(rows: usize); put_tab(count: u16); backspace();
        carriage_return(); substitute(); scroll_down(rows: usize); insert_blank_lines(rows: usize);
        erase_chars(count: usize); delete_chars(count: usize); move_backward_tabs(count: u16);
        move_forward_tabs(count: u16); save_cursor_position(); restore_cursor_position();
        clear_line(mode: LineClearMode); reverse_index(); decaln();
        configure_charset(index: CharsetIndex, charset: StandardCharset);
        set_hyperlink(link: Option<Hyperlink>);
    }
}
