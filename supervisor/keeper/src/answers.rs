//! What the keeper, being the terminal, answers a program that asks: always, attached or not, and as
//! WezTerm would, so that nothing is answered twice or not at all.
//!
//! Images are refused here: no answer to kitty graphics and to sixel's limits, and no sixel among the
//! attributes. A program that sends them all the same has them passed to who is attached; the screen
//! does not keep them.

use std::fmt::Write as _;

use crate::{scan::Query, screen::Screen};

/// What the program is told of the terminal's colours, red green blue. WezTerm's defaults: what the
/// attached terminal really has is not asked for.
struct Colors {
    foreground: [u8; 3],
    background: [u8; 3],
    cursor: [u8; 3],
}

const COLORS: Colors = Colors { foreground: [0xb2; 3], background: [0; 3], cursor: [0x52, 0xad, 0x70] };

/// Size of a cell in pixels, as told to programs: nobody may be attached to ask.
pub const CELL_PIXELS: (u16, u16) = (8, 16);

/// Whether the answer depends on what has been laid out so far.
pub fn needs_screen(query: &Query) -> bool {
    match query {
        Query::CursorPosition { .. }
        | Query::Mode { .. }
        | Query::KittyKeyboard
        | Query::ModifyOtherKeys
        | Query::Setting(_)
        | Query::Title
        | Query::Color { .. } => true,
        Query::PrimaryAttributes
        | Query::SecondaryAttributes
        | Query::TertiaryAttributes
        | Query::Version
        | Query::DeviceStatus
        | Query::ColorScheme
        | Query::WindowPixels
        | Query::CellPixels
        | Query::WindowCells
        | Query::ProgramStatus
        | Query::ClipboardRead
        | Query::TermCap(_)
        | Query::KittyGraphics
        | Query::GraphicsLimits => false,
    }
}

/// Appends the answer; nothing where no answer means "not supported".
pub fn answer(query: &Query, screen: &Screen, out: &mut Vec<u8>) {
    let (cols, rows) = screen.size();
    let mut text = String::new();
    let said = match query {
        Query::PrimaryAttributes => write!(text, "\x1b[?65;6;18;22;52c"),
        Query::SecondaryAttributes => write!(text, "\x1b[>1;277;0c"),
        Query::TertiaryAttributes => write!(text, "\x1bP!|00000000\x1b\\"),
        Query::Version => write!(text, "\x1bP>|WezTerm 20240203-110809-5046fc22\x1b\\"),
        Query::KittyKeyboard => write!(text, "\x1b[?{}u", screen.kitty_flags()),
        Query::ModifyOtherKeys => write!(text, "\x1b[>4;{}m", screen.modify_other_keys()),
        Query::Mode { private, number } => {
            let mark = if *private { "?" } else { "" };
            write!(text, "\x1b[{mark}{number};{}$y", screen.mode_report(*private, *number))
        }
        Query::CursorPosition { private } => {
            let mark = if *private { "?" } else { "" };
            let (row, col) = screen.cursor_report();
            write!(text, "\x1b[{mark}{row};{col}R")
        }
        Query::DeviceStatus => write!(text, "\x1b[0n"),
        Query::ColorScheme => {
            let light = COLORS.background.iter().map(|&c| u16::from(c)).sum::<u16>() > 3 * 128;
            write!(text, "\x1b[?997;{}n", if light { 2 } else { 1 })
        }
        Query::WindowPixels => {
            let (width, height) = CELL_PIXELS;
            write!(
                text,
                "\x1b[4;{};{}t",
                u32::from(rows) * u32::from(height),
                u32::from(cols) * u32::from(width)
            )
        }
        Query::CellPixels => write!(text, "\x1b[6;{};{}t", CELL_PIXELS.1, CELL_PIXELS.0),
        Query::WindowCells => write!(text, "\x1b[8;{rows};{cols}t"),
        Query::Title => write!(text, "\x1b]l{}\x1b\\", screen.title().unwrap_or_default()),
        Query::ProgramStatus => write!(text, "\x1b]7501;?\x07"),
        Query::Color { osc, index, bell } => {
            color(screen, *osc, *index, if *bell { "\x07" } else { "\x1b\\" }, &mut text)
        }
        Query::TermCap(names) => {
            out.extend_from_slice(b"\x1bP0+r");
            out.extend_from_slice(names);
            out.extend_from_slice(b"\x1b\\");
            Ok(())
        }
        Query::Setting(setting) => {
            match screen.setting(setting) {
                Some(value) => {
                    out.extend_from_slice(b"\x1bP1$r");
                    out.extend_from_slice(&value);
                }
                None => out.extend_from_slice(b"\x1bP0$r"),
            }
            out.extend_from_slice(b"\x1b\\");
            Ok(())
        }
        // no answer is the answer; who asks sends a DA1 behind it, which is answered
        Query::KittyGraphics | Query::GraphicsLimits | Query::ClipboardRead => Ok(()),
    };
    said.expect("writing to a string does not fail");
    out.extend_from_slice(text.as_bytes());
}

fn color(screen: &Screen, osc: u16, index: Option<u16>, end: &str, text: &mut String) -> std::fmt::Result {
    // the numbers that the screen's library gives to the three colours without an index
    let (slot, default) = match (osc, index) {
        (10, _) => (256, COLORS.foreground),
        (11, _) => (257, COLORS.background),
        (12, _) => (258, COLORS.cursor),
        (_, Some(i)) => match u8::try_from(i) {
            Ok(n) => (usize::from(n), xterm_color(n)),
            Err(_) => return Ok(()),
        },
        _ => return Ok(()),
    };
    let [r, g, b] = screen.palette_color(slot).unwrap_or(default);
    write!(text, "\x1b]{osc}")?;
    if let Some(i) = index {
        write!(text, ";{i}")?;
    }
    write!(text, ";rgb:{r:02x}{r:02x}/{g:02x}{g:02x}/{b:02x}{b:02x}{end}")
}

/// The 256 colours: WezTerm's first sixteen, then xterm's cube and greys.
fn xterm_color(i: u8) -> [u8; 3] {
    const FIRST: [[u8; 3]; 16] = [
        [0, 0, 0],
        [204, 85, 85],
        [85, 204, 85],
        [205, 205, 85],
        [84, 85, 203],
        [204, 85, 204],
        [122, 202, 202],
        [204, 204, 204],
        [85, 85, 85],
        [255, 85, 85],
        [85, 255, 85],
        [255, 255, 85],
        [85, 85, 255],
        [255, 85, 255],
        [85, 255, 255],
        [255, 255, 255],
    ];
    match i {
        0..=15 => FIRST[usize::from(i)],
        16..=231 => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            [level((i - 16) / 36), level((i - 16) / 6 % 6), level((i - 16) % 6)]
        }
        232.. => [8 + 10 * (i - 232); 3],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_the_one_wezterm_gives() {
        let mut screen = Screen::new(100, 30, 0);
        screen.feed(b"abc\r\nde\x1b[>5u\x1b[?2004h\x1b]2;hello\x07\x1b[1;31m\x1b]11;rgb:10/20/30\x07");
        let table: &[(Query, &str)] = &[
            (Query::PrimaryAttributes, "\x1b[?65;6;18;22;52c"),
            (Query::CursorPosition { private: false }, "\x1b[2;3R"),
            (Query::CursorPosition { private: true }, "\x1b[?2;3R"),
            (Query::KittyKeyboard, "\x1b[?5u"),
            (Query::Mode { private: true, number: 2004 }, "\x1b[?2004;1$y"),
            (Query::Mode { private: true, number: 2026 }, "\x1b[?2026;2$y"),
            (Query::Mode { private: true, number: 4321 }, "\x1b[?4321;0$y"),
            (Query::Mode { private: false, number: 4 }, "\x1b[4;2$y"),
            (Query::Title, "\x1b]lhello\x1b\\"),
            (Query::WindowCells, "\x1b[8;30;100t"),
            (Query::WindowPixels, "\x1b[4;480;800t"),
            (Query::ProgramStatus, "\x1b]7501;?\x07"),
            (Query::Color { osc: 11, index: None, bell: true }, "\x1b]11;rgb:1010/2020/3030\x07"),
            (Query::Color { osc: 4, index: Some(1), bell: false }, "\x1b]4;1;rgb:cccc/5555/5555\x1b\\"),
            (Query::Setting(b"m".to_vec()), "\x1bP1$r0;1;31m\x1b\\"),
            (Query::Setting(b"r".to_vec()), "\x1bP1$r1;30r\x1b\\"),
            (Query::Setting(b"zz".to_vec()), "\x1bP0$r\x1b\\"),
            (Query::KittyGraphics, ""),
            (Query::ClipboardRead, ""),
        ];
        for (query, expected) in table {
            let mut out = vec![];
            answer(query, &screen, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), *expected, "{query:?}");
        }
    }
}
