//! What a program may not say: that its pane shows another process. The pane tells the plugin so by a user
//! variable ([`crate::mark`]), and the strip that takes what is typed into several panes by another one. Those
//! and all others whose names begin in the same way are ours, and a program that sets one is not passed on.
//!
//! WezTerm finds such a sequence in more ways than it is meant to be written in: an 8-bit introducer, controls
//! and stray bytes anywhere within, an end by almost anything. What is looked for here is all that its parser
//! (vtparse) takes, and some that it does not: where that depends on how it decodes UTF-8, bytes are taken for
//! what they may be. A text that is mistaken for ours by that needs all of the words of such a sequence.

use memchr::memchr2;
use wezterm_parallel_schemas::keeper::USER_VARIABLE;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
/// OSC in one byte. In UTF-8 it ends with the same.
const OSC: u8 = 0x9d;

/// With the name behind it, it sets a variable of ours. WezTerm takes no zeros before the number.
const SET: &[u8] = b"1337;SetUserVar=";
const WORDS: usize = SET.len() + USER_VARIABLE.len();
const _: () = assert!(WORDS < 64, "places among them are the bits of a number");

/// How far a terminal is in what it reads.
#[derive(Clone, Copy, Default)]
pub struct Reading {
    /// An escape sequence has begun.
    escape: bool,
    /// Bit n: it may be in an OSC of which the first n bytes are those of ours.
    places: u64,
}

impl Reading {
    /// Nothing of ours has begun.
    fn is_idle(self) -> bool {
        !self.escape && self.places == 0
    }

    fn names_ours(self) -> bool {
        self.places >> WORDS & 1 == 1
    }

    fn next(self, byte: u8) -> Self {
        let Self { escape, places } = self;
        match byte {
            ESC => Self { escape: true, places: 0 },
            CAN | SUB => Self::default(),
            BEL => Self { escape, places: 0 },
            OSC => Self { escape, places: places | 1 },
            // left out by WezTerm, at least in some places
            0x00..=0x1f | 0x80.. => self,
            0x7f if escape => self,
            b']' if escape => Self { escape: false, places: 1 },
            // one before the number is left out as well
            b';' => Self { escape: false, places: advance(places, byte) | places & 1 },
            _ => Self { escape: false, places: advance(places, byte) },
        }
    }
}

/// The places at which `byte` is the next one, each moved on by it.
fn advance(places: u64, byte: u8) -> u64 {
    if places == 0 {
        return 0;
    }
    let words = SET.iter().chain(USER_VARIABLE.as_bytes());
    let fits = words.enumerate().filter(|(_, word)| **word == byte).fold(0, |fits, (n, _)| fits | 1 << n);
    (places & fits) << 1
}

/// Whether there is a variable of ours in this, read from the beginning.
pub fn is_in(bytes: &[u8]) -> bool {
    find(&mut [Reading::default()], bytes).is_some()
}

/// Makes each variable of ours in what is read next by all of these into none: the last byte of its name
/// becomes a semicolon, and what has one there WezTerm does not know.
pub fn spoil(readings: &mut [Reading], bytes: &mut [u8]) {
    let mut i = 0;
    while let Some(at) = find(readings, &bytes[i..]) {
        i += at;
        bytes[i] = b';';
    }
}

/// Reads on, up to the first byte with which one of these would have the name of a variable of ours.
fn find(readings: &mut [Reading], bytes: &[u8]) -> Option<usize> {
    let mut i = 0;
    while i < bytes.len() {
        if readings.iter().all(|reading| reading.is_idle()) {
            i += memchr2(ESC, OSC, &bytes[i..])?;
        }
        if readings.iter().any(|reading| reading.next(bytes[i]).names_ours()) {
            return Some(i);
        }
        for reading in &mut *readings {
            *reading = reading.next(bytes[i]);
        }
        i += 1;
    }
    None
}
