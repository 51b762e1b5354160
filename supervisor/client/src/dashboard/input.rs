//! Keys, mouse, focus and pasted text, out of the bytes that a terminal sends for them.
//!
//! crossterm has a reader for this; it cannot be waited for together with a socket, leaves what is behind its
//! first kilobyte lying, and spins when the terminal is gone. What a dashboard needs of it is this file.

/// Longest pasted text, in bytes: as much as a prompt may have. The rest of it is left out.
const PASTE_BYTES_MAX: usize = wezterm_parallel_schemas::prompt::PROMPT_BYTES_MAX;
/// Longest sequence, in bytes: what is longer is no key.
const SEQUENCE_BYTES_MAX: usize = 64;
/// What stands before pasted text, and behind it.
const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// Something that came from the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Key),
    /// The mouse: what it did, and where, counted from 0.
    Mouse(Mouse, u16, u16),
    /// Text that was pasted.
    Paste(String),
    /// The terminal has got the focus, or lost it.
    Focus(bool),
}

/// A key that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// A letter with Ctrl.
    Ctrl(char),
    Enter,
    Esc,
    Tab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

/// What a mouse does that means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mouse {
    /// The left button went down.
    Click,
    WheelUp,
    WheelDown,
}

/// Takes bytes as they come, whole sequences or parts of them.
#[derive(Default)]
pub struct Decoder {
    pending: Vec<u8>,
    paste: Option<Vec<u8>>,
}

impl Decoder {
    /// What these bytes complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Input> {
        self.pending.extend_from_slice(bytes);
        self.take(false)
    }

    /// Whether the beginning of something waits for its rest, or is the Escape key.
    pub fn waits(&self) -> bool {
        !self.pending.is_empty() && self.paste.is_none()
    }

    /// What waits, taken for all there is.
    pub fn flush(&mut self) -> Vec<Input> {
        self.take(true)
    }

    fn take(&mut self, all: bool) -> Vec<Input> {
        let mut found = Vec::new();
        loop {
            if self.paste.is_some() {
                match self.pasted() {
                    Some(text) => found.push(Input::Paste(text)),
                    None => return found,
                }
            }
            let Some((length, input)) = parse(&self.pending, all) else { return found };
            let paste = self.pending[..length] == *PASTE_BEGIN;
            self.pending.drain(..length);
            if paste {
                self.paste = Some(Vec::new());
            }
            found.extend(input);
        }
    }

    /// The pasted text, if its end has come.
    fn pasted(&mut self) -> Option<String> {
        let text = self.paste.as_mut()?;
        let end = self.pending.windows(PASTE_END.len()).position(|w| w == PASTE_END);
        // the end may be cut in two
        let sure = end.unwrap_or(self.pending.len().saturating_sub(PASTE_END.len() - 1));
        let room = PASTE_BYTES_MAX.saturating_sub(text.len()).min(sure);
        text.extend_from_slice(&self.pending[..room]);
        self.pending.drain(..sure);
        end?;
        self.pending.drain(..PASTE_END.len());
        let text = self.paste.take()?;
        // terminals send a carriage return for a line break
        Some(String::from_utf8_lossy(&text).replace("\r\n", "\n").replace('\r', "\n"))
    }
}

/// The first thing in `bytes` and its length; none if its rest is missing. `all`: nothing more comes.
fn parse(bytes: &[u8], all: bool) -> Option<(usize, Option<Input>)> {
    let key = |key| Some(Input::Key(key));
    match *bytes.first()? {
        0x1b => match bytes.get(1) {
            None if all => Some((1, key(Key::Esc))),
            None => None,
            Some(b'[') => control(bytes, all),
            Some(b'O') => match bytes.get(2) {
                None if all => Some((2, None)),
                None => None,
                Some(last) => Some((3, named(*last).map(Input::Key))),
            },
            Some(0x1b) => Some((1, key(Key::Esc))),
            // a key with Alt, of which none means anything
            Some(_) => parse(&bytes[1..], all).map(|(length, _)| (length + 1, None)),
        },
        b'\r' | b'\n' => Some((1, key(Key::Enter))),
        b'\t' => Some((1, key(Key::Tab))),
        0x7f | 0x08 => Some((1, key(Key::Backspace))),
        c @ 0x01..=0x1a => Some((1, key(Key::Ctrl(char::from(c | 0x60))))),
        0x00 | 0x1c..=0x1f => Some((1, None)),
        b => {
            let length = match b {
                0..0x80 => 1,
                0xc0..0xe0 => 2,
                0xe0..0xf0 => 3,
                0xf0..=0xff => 4,
                0x80..0xc0 => return Some((1, None)),
            };
            match bytes.get(..length) {
                Some(bytes) => {
                    let c = std::str::from_utf8(bytes).ok().and_then(|s| s.chars().next());
                    Some(c.map_or((1, None), |c| (length, key(Key::Char(c)))))
                }
                None if all => Some((bytes.len(), None)),
                None => None,
            }
        }
    }
}

/// `ESC [`, parameters, and a last byte that says what it is.
fn control(bytes: &[u8], all: bool) -> Option<(usize, Option<Input>)> {
    let Some(length) = bytes[2..].iter().position(|b| (0x40..=0x7e).contains(b)).map(|at| at + 3) else {
        let over = all || bytes.len() > SEQUENCE_BYTES_MAX;
        return over.then_some((bytes.len(), None));
    };
    let parameters = std::str::from_utf8(&bytes[2..length - 1]).unwrap_or_default();
    let last = bytes[length - 1];
    let input = match last {
        b'I' => Some(Input::Focus(true)),
        b'O' => Some(Input::Focus(false)),
        b'M' | b'm' => parameters.strip_prefix('<').and_then(|p| mouse(p, last == b'M')),
        b'~' => match parameters.split(';').next() {
            Some("1" | "7") => Some(Input::Key(Key::Home)),
            Some("3") => Some(Input::Key(Key::Delete)),
            Some("4" | "8") => Some(Input::Key(Key::End)),
            Some("5") => Some(Input::Key(Key::PageUp)),
            Some("6") => Some(Input::Key(Key::PageDown)),
            _ => None,
        },
        last => named(last).map(Input::Key),
    };
    Some((length, input))
}

fn named(last: u8) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => return None,
    })
}

/// `BUTTON;COLUMN;ROW`, both counted from 1.
fn mouse(parameters: &str, down: bool) -> Option<Input> {
    let mut numbers = parameters.split(';').map(|n| n.parse::<u16>().ok());
    let (button, col, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    // the modifiers, which change nothing
    let what = match (button & !0b1_1100, down) {
        (0, true) => Mouse::Click,
        (64, true) => Mouse::WheelUp,
        (65, true) => Mouse::WheelDown,
        _ => return None,
    };
    Some(Input::Mouse(what, col.saturating_sub(1), row.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &[u8]) -> Vec<Input> {
        let mut decoder = Decoder::default();
        let mut found = decoder.push(text);
        found.extend(decoder.flush());
        found
    }

    #[test]
    fn what_a_terminal_sends_is_understood() {
        let key = |k| vec![Input::Key(k)];
        for (bytes, inputs) in [
            (&b"a"[..], key(Key::Char('a'))),
            ("é".as_bytes(), key(Key::Char('é'))),
            ("語".as_bytes(), key(Key::Char('語'))),
            (b"\r", key(Key::Enter)),
            (b"\x03", key(Key::Ctrl('c'))),
            (b"\x1b", key(Key::Esc)),
            (b"\x1b[A", key(Key::Up)),
            (b"\x1bOB", key(Key::Down)),
            (b"\x1b[1;5C", key(Key::Right)),
            (b"\x1b[5~", key(Key::PageUp)),
            (b"\x1b[I", vec![Input::Focus(true)]),
            (b"\x1b[O", vec![Input::Focus(false)]),
            (b"\x1b[<0;3;5M", vec![Input::Mouse(Mouse::Click, 2, 4)]),
            (b"\x1b[<0;3;5m", vec![]),
            (b"\x1b[<65;1;1M", vec![Input::Mouse(Mouse::WheelDown, 0, 0)]),
            (b"\x1b[<68;1;1M", vec![Input::Mouse(Mouse::WheelUp, 0, 0)]),
            (b"\x1bx", vec![]),
            (b"\x1b[?1;2c", vec![]),
            (b"\xff\xfe", vec![]),
            (b"\x1b[200~a\rb\x1b[31mc\x1b[201~", vec![Input::Paste("a\nb\x1b[31mc".into())]),
        ] {
            assert_eq!(keys(bytes), inputs, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn it_makes_no_difference_where_the_bytes_are_cut() {
        let bytes = "a\x1b[A語\x1b[<0;3;5M\x1b[200~two\rlines\x1b[201~q".as_bytes();
        let whole = keys(bytes);
        assert_eq!(whole.len(), 6);
        for at in 0..bytes.len() {
            let mut decoder = Decoder::default();
            let mut found = decoder.push(&bytes[..at]);
            found.extend(decoder.push(&bytes[at..]));
            assert_eq!(found, whole, "cut at {at}");
        }
    }

    #[test]
    fn a_sequence_without_an_end_is_not_kept_for_ever() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.push(&[b"\x1b[".as_slice(), &[b'1'; 80]].concat()), []);
        assert!(!decoder.waits());
        assert_eq!(decoder.push(b"q"), [Input::Key(Key::Char('q'))]);
    }

    #[test]
    fn more_is_not_pasted_than_a_prompt_may_have() {
        let mut decoder = Decoder::default();
        decoder.push(PASTE_BEGIN);
        for _ in 0..3 {
            decoder.push(&vec![b'x'; PASTE_BYTES_MAX / 2]);
        }
        let Some(Input::Paste(text)) = decoder.push(PASTE_END).pop() else { panic!("nothing pasted") };
        assert_eq!(text.len(), PASTE_BYTES_MAX);
    }
}
