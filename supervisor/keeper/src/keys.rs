//! Finding the detach key in what a terminal sends: as a plain byte, in the kitty keyboard protocol's
//! form (`CSI 92;5u`) and in that of modifyOtherKeys (`CSI 27;5;92~`), for a program may have switched to
//! either. A pasted one is text.

/// Longest control sequence that is looked at.
const SEQUENCE_BYTES_MAX: usize = 48;
/// Modifiers that matter: shift, alt, ctrl, super, hyper, meta, but not caps lock and num lock.
const MODIFIERS: u32 = 0b0011_1111;
const CTRL: u32 = 0b100;
const RELEASE: u32 = 3;
const ESC: u8 = 0x1b;

/// Whether a terminal's input is somebody typing. Not: reports of the focus and of the mouse, which a
/// terminal sends when a window is only passed by.
pub fn is_typing(mut input: &[u8]) -> bool {
    while !input.is_empty() {
        let Some(rest) = input.strip_prefix(b"\x1b[") else { return true };
        input = match rest {
            [b'I' | b'O', rest @ ..] => rest,
            [b'M', _, _, _, rest @ ..] => rest,
            [b'<', report @ ..] => {
                let Some(end) = report.iter().position(|b| matches!(b, b'M' | b'm')) else { return true };
                let is_report = report[..end].iter().all(|b| b.is_ascii_digit() || *b == b';');
                if !is_report {
                    return true;
                }
                &report[end + 1..]
            }
            _ => return true,
        };
    }
    false
}

/// Looks for one key in a stream of input. Nothing is ever held back: a key whose bytes come in pieces
/// is found with the last, and the program has had the first.
pub struct DetachKey {
    plain: Vec<u8>,
    /// How much of `plain` the input ends with.
    matched: usize,
    /// A control sequence as far as it has come.
    sequence: Vec<u8>,
    in_paste: bool,
}

impl DetachKey {
    /// The key as a plain terminal sends it; empty for none.
    pub fn new(plain: &[u8]) -> Self {
        Self { plain: plain.to_vec(), matched: 0, sequence: vec![], in_paste: false }
    }

    /// If the key was pressed in this input, how many bytes of it came before.
    pub fn find(&mut self, input: &[u8]) -> Option<usize> {
        if self.plain.is_empty() {
            return None;
        }
        // plain typing has neither, and is looked at no further
        if self.sequence.is_empty()
            && self.matched == 0
            && memchr::memchr2(ESC, self.plain[0], input).is_none()
        {
            return None;
        }
        for (i, &byte) in input.iter().enumerate() {
            if self.ends_plain(byte) {
                return Some((i + 1).saturating_sub(self.plain.len()));
            }
            let length = self.sequence.len() + 1;
            if self.ends_sequence(byte) {
                return Some((i + 1).saturating_sub(length));
            }
        }
        None
    }

    fn ends_plain(&mut self, byte: u8) -> bool {
        if self.in_paste {
            self.matched = 0;
            return false;
        }
        if byte != self.plain[self.matched] {
            self.matched = 0;
        }
        if byte == self.plain[self.matched] {
            self.matched += 1;
        }
        let found = self.matched == self.plain.len();
        if found {
            self.matched = 0;
            self.sequence.clear();
        }
        found
    }

    fn ends_sequence(&mut self, byte: u8) -> bool {
        match (self.sequence.len(), byte) {
            (_, ESC) => self.sequence.clear(),
            (0, _) => return false,
            (1, b'[') => {}
            (1, _) | (SEQUENCE_BYTES_MAX.., _) => {
                self.sequence.clear();
                return false;
            }
            _ => {}
        }
        self.sequence.push(byte);
        if self.sequence.len() < 3 || !(0x40..=0x7e).contains(&byte) {
            return false;
        }
        let sequence = std::mem::take(&mut self.sequence);
        let parameters = &sequence[2..sequence.len() - 1];
        match (parameters, byte) {
            (b"200", b'~') => self.in_paste = true,
            (b"201", b'~') => self.in_paste = false,
            _ if self.in_paste => {}
            (_, b'u') => return self.is_kitty_form(parameters),
            (_, b'~') => return self.is_other_keys_form(parameters),
            _ => {}
        }
        false
    }

    /// The character on the key that with Ctrl makes the plain byte.
    fn character(&self) -> Option<u32> {
        match self.plain[..] {
            [byte @ 0x00..=0x1f] => Some(u32::from(char::from(byte + 0x40).to_ascii_lowercase())),
            _ => None,
        }
    }

    /// `code[:shifted[:base]] ; modifiers[:event] [; text] u`
    fn is_kitty_form(&self, parameters: &[u8]) -> bool {
        let Some(character) = self.character() else { return false };
        let mut fields = parameters.split(|&c| c == b';').map(|f| f.split(|&c| c == b':').map(number));
        let Some(mut codes) = fields.next() else { return false };
        let Some(mut how) = fields.next() else { return false };
        let modifiers = how.next().flatten().unwrap_or(1).wrapping_sub(1) & MODIFIERS;
        let event = how.next().flatten().unwrap_or(1);
        codes.any(|code| code == Some(character)) && modifiers == CTRL && event != RELEASE
    }

    /// `27 ; modifiers ; code ~`
    fn is_other_keys_form(&self, parameters: &[u8]) -> bool {
        let Some(character) = self.character() else { return false };
        let mut fields = parameters.split(|&c| c == b';').map(number);
        fields.next() == Some(Some(27))
            && fields.next().flatten().is_some_and(|m| m.wrapping_sub(1) & MODIFIERS == CTRL)
            && fields.next() == Some(Some(character))
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_focus_and_the_mouse_are_nobody_typing() {
        for report in
            ["\x1b[I", "\x1b[O\x1b[I", "\x1b[<35;10;4M", "\x1b[<0;1;1M\x1b[<0;1;1m", "\x1b[M !!", ""]
        {
            assert!(!is_typing(report.as_bytes()), "{report:?}");
        }
        for keys in ["a", "\r", "\x1b", "\x1b[A", "\x1b[200~x\x1b[201~", "\x1b[Ia", "\x1b[<x", "\x1b[<5A0m"] {
            assert!(is_typing(keys.as_bytes()), "{keys:?}");
        }
    }

    const CTRL_BACKSLASH: &[u8] = b"\x1c";

    #[test]
    fn the_key_is_found_in_every_form_that_terminals_send() {
        let table: &[(&[u8], Option<usize>)] = &[
            (b"ab\x1cc", Some(2)),
            (b"ab\x1b[92;5u", Some(2)),
            (b"\x1b[92;5:1u", Some(0)),
            (b"\x1b[92;5:2u", Some(0)),
            (b"\x1b[92;133u", Some(0)),      // with num lock
            (b"\x1b[92:124;69:1u", Some(0)), // with caps lock and the shifted key told
            (b"\x1b[228::92;5u", Some(0)),   // another layout, the key where a US one has it
            (b"\x1b[27;5;92~", Some(0)),
            (b"\x1b[92;5:3u", None), // let go
            (b"\x1b[92;1u", None),   // without ctrl
            (b"\x1b[92;7u", None),   // with alt as well
            (b"\x1b[93;5u", None),
            (b"\x1b[27;6;92~", None),
            (b"\x1b[A\x1b[1;5C", None),
            (b"plain text", None),
        ];
        for (input, expected) in table {
            assert_eq!(
                DetachKey::new(CTRL_BACKSLASH).find(input),
                *expected,
                "{:?}",
                String::from_utf8_lossy(input)
            );
        }
    }

    #[test]
    fn a_pasted_key_is_text() {
        let mut key = DetachKey::new(CTRL_BACKSLASH);
        assert_eq!(key.find(b"\x1b[200~a\x1cb\x1b[92;5u\x1b[27;5;92~"), None);
        assert_eq!(key.find(b"\x1c still inside"), None);
        assert_eq!(key.find(b"\x1b[201~"), None);
        assert_eq!(key.find(b"x\x1c"), Some(1));
    }

    #[test]
    fn the_key_is_found_however_its_bytes_arrive() {
        for form in [&b"\x1b[92;5u"[..], b"\x1b[27;5;92~", b"\x1b[92;5:1u"] {
            let mut key = DetachKey::new(CTRL_BACKSLASH);
            let (last, first) = form.split_last().expect("bytes");
            for byte in first {
                assert_eq!(key.find(&[*byte]), None);
            }
            assert_eq!(key.find(&[*last]), Some(0));
        }
    }

    #[test]
    fn a_key_of_several_bytes_and_no_key_at_all_work_too() {
        let mut key = DetachKey::new(b"\x02d");
        assert_eq!(key.find(b"a\x02\x02d"), Some(2));
        assert_eq!(DetachKey::new(b"\x1bd").find(b"x\x1bd"), Some(1));
        assert_eq!(DetachKey::new(b"").find(b"a\x1cb"), None);
    }
}
