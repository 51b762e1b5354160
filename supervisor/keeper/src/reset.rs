//! Bringing a used terminal back to a known state, without RIS, which would take its scrollback along.

/// To the state that a screen's dump starts from. An unfinished sequence is cancelled first; the alternate
/// screen, margins, attributes, links, character sets, keyboard and mouse modes, paste, focus, cursor
/// shape and colours go back to their defaults. Text and cursor stay where they are, and the cursor's
/// and updates' visibility are left to what follows.
pub const RESET: &[u8] =
    b"\x18\x1b[?1049l\x1b[!p\x1b[?69l\x1b[r\x1b[?6l\x1b[m\x1b]8;;\x1b\\\x1b(B\x1b)B\x0f\x1b>\
\x1b[<99u\x1b[>4;0m\x1b[4l\x1b[20l\x1b[?1l\x1b[?5l\x1b[?7h\x1b[?12l\x1b[?45l\
\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\x1b[?1007l\x1b[?1015l\x1b[?1016l\
\x1b[?2004l\x1b[?2031l\x1b[?9001l\x1b[?2048l\x1b]9;4;0\x1b\\\
\x1b[0 q\x1b]104\x1b\\\x1b]110\x1b\\\x1b]111\x1b\\\x1b]112\x1b\\";

/// Empties the screen (not the scrollback) and stands at its top left.
pub const CLEAR: &[u8] = b"\x1b[H\x1b[J";
