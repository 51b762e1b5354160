//! The key that detaches, as people write it and as a terminal sends it.

use std::{fmt, str::FromStr};

/// A key with Ctrl, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetachKey(Option<u8>);

impl Default for DetachKey {
    /// Ctrl-\: the key that quits a program, which nobody presses by chance. Claude does not use it.
    fn default() -> Self {
        Self(Some(0x1c))
    }
}

impl DetachKey {
    /// What a plain terminal sends for it; empty if there is no such key.
    pub fn bytes(self) -> Vec<u8> {
        self.0.into_iter().collect()
    }
}

impl FromStr for DetachKey {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let lower = s.to_ascii_lowercase();
        if lower == "none" {
            return Ok(Self(None));
        }
        let key = ["ctrl-", "ctrl+", "c-", "^"].iter().find_map(|p| lower.strip_prefix(p));
        let byte = match key.map(str::as_bytes) {
            // a terminal sends the same bytes for keys that everybody needs
            Some([b'i' | b'm' | b'j' | b'h' | b'[']) => {
                return Err(format!("`{s}` cannot be told from Tab, Enter, Backspace or Escape"));
            }
            Some(b"space") => 0,
            Some([c @ (b'a'..=b'z' | b'@' | b'\\' | b']' | b'^' | b'_')]) => c & 0x1f,
            _ => {
                return Err(format!("`{s}` is not a key that detaches: write `ctrl-\\`, `ctrl-q` or `none`"));
            }
        };
        Ok(Self(Some(byte)))
    }
}

impl fmt::Display for DetachKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("none"),
            Some(0) => f.write_str("ctrl-space"),
            Some(b) => write!(f, "ctrl-{}", char::from(b | 0x40).to_ascii_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_in_every_common_spelling() {
        for (text, bytes, shown) in [
            ("ctrl-\\", &[0x1c][..], "ctrl-\\"),
            ("Ctrl+Q", &[0x11], "ctrl-q"),
            ("C-a", &[1], "ctrl-a"),
            ("^]", &[0x1d], "ctrl-]"),
            ("^^", &[0x1e], "ctrl-^"),
            ("ctrl-space", &[0], "ctrl-space"),
            ("ctrl-@", &[0], "ctrl-space"),
            ("none", &[], "none"),
        ] {
            let key: DetachKey = text.parse().expect(text);
            assert_eq!((key.bytes().as_slice(), key.to_string().as_str()), (bytes, shown), "{text}");
            assert_eq!(shown.parse(), Ok(key), "it reads back as shown");
        }
    }

    #[test]
    fn keys_that_mean_something_else_are_refused() {
        for text in ["", "q", "ctrl-", "ctrl-ab", "alt-x", "ctrl-m", "ctrl-[", "ctrl-i", "ctrl-é"] {
            assert!(text.parse::<DetachKey>().is_err(), "{text}");
        }
    }
}
