//! Lines that have scrolled off the top, kept as text with their own colours and bounded in bytes: as
//! cells they would be five times as large. Every line has a number that only grows, so that a client
//! can be given exactly what it missed.

use std::collections::VecDeque;

/// Size of one block. Blocks are what is dropped when the bound is reached, so this is also the
/// grain of the bound.
const BLOCK_BYTES: usize = 32 << 10;
/// First block of a program that scrolls little.
const FIRST_BLOCK_BYTES: usize = 2 << 10;
/// A block with less room than this is full. A line of 200 plain columns fits.
const LINE_ROOM_BYTES: usize = 1 << 10;
/// How a line ends, as a byte that encoded text never has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// With a line break.
    Hard = b'\n' as isize,
    /// It goes on in the next one (soft wrap).
    Soft = 0x1f,
    /// It goes on in the next one, and its last column was left free for want of room for a wide
    /// character.
    SoftLeftFree = 0x1e,
}

impl LineEnd {
    fn of(byte: u8) -> Self {
        match byte {
            0x1f => Self::Soft,
            0x1e => Self::SoftLeftFree,
            _ => Self::Hard,
        }
    }
}

/// What has scrolled off.
pub struct History {
    blocks: VecDeque<Block>,
    bytes: usize,
    bytes_max: usize,
    first: u64,
    next: u64,
}

struct Block {
    text: Vec<u8>,
    lines: u64,
}

impl History {
    /// An empty history that keeps about `bytes_max` bytes; with 0 it only counts lines.
    pub fn new(bytes_max: usize) -> Self {
        Self { blocks: VecDeque::new(), bytes: 0, bytes_max, first: 0, next: 0 }
    }

    /// Bound in bytes.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Number of the oldest line that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number that the next line will have.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Adds a line.
    pub fn push(&mut self, end: LineEnd, encode: impl FnOnce(&mut Vec<u8>)) {
        self.next += 1;
        if self.bytes_max == 0 {
            self.first = self.next;
            return;
        }
        if self.blocks.back().is_none_or(|block| block.text.len() + LINE_ROOM_BYTES > BLOCK_BYTES) {
            let text = self.new_block();
            self.blocks.push_back(Block { text, lines: 0 });
        }
        let block = self.blocks.back_mut().expect("a block was just made");
        let before = block.text.len();
        encode(&mut block.text);
        block.text.push(end as u8);
        block.lines += 1;
        self.bytes += block.text.len() - before;
        while self.bytes > self.bytes_max && self.blocks.len() > 1 {
            self.drop_oldest();
        }
    }

    /// What follows the last line does not begin with a wide character after all: the column that was
    /// left free for one is filled, so that the wrap comes at the same place.
    pub fn fill_left_free(&mut self) {
        let Some(block) = self.blocks.back_mut() else { return };
        if let Some(end @ &mut 0x1e) = block.text.last_mut() {
            *end = b' ';
            block.text.push(LineEnd::Soft as u8);
            self.bytes += 1;
        }
    }

    /// Memory for a block: the oldest one's if the bound is reached, so that a flood allocates nothing.
    fn new_block(&mut self) -> Vec<u8> {
        if self.bytes + BLOCK_BYTES > self.bytes_max
            && self.blocks.len() > 1
            && let Some(mut oldest) = self.drop_oldest()
        {
            oldest.text.clear();
            return oldest.text;
        }
        Vec::with_capacity(if self.blocks.is_empty() { FIRST_BLOCK_BYTES } else { BLOCK_BYTES })
    }

    fn drop_oldest(&mut self) -> Option<Block> {
        let block = self.blocks.pop_front()?;
        self.bytes -= block.text.len();
        self.first += block.lines;
        Some(block)
    }

    /// Forgets everything; `skipped` further lines count as having passed.
    pub fn clear(&mut self, skipped: u64) {
        self.blocks.clear();
        self.bytes = 0;
        self.next += skipped;
        self.first = self.next;
    }

    /// Writes the lines numbered `from` and up as a terminal takes them. Returns how the last one ends.
    pub fn replay(&self, from: u64, out: &mut Vec<u8>) -> LineEnd {
        let mut number = self.first;
        let mut last = LineEnd::Hard;
        for block in &self.blocks {
            let block_end = number + block.lines;
            if block_end > from {
                let mut rest = &block.text[..];
                while let Some(k) = memchr::memchr3(b'\n', 0x1f, 0x1e, rest) {
                    if number >= from {
                        if last != LineEnd::Hard && k == 0 {
                            // a terminal wraps only when something is printed
                            out.extend_from_slice(b"\r\n");
                        }
                        out.extend_from_slice(&rest[..k]);
                        last = LineEnd::of(rest[k]);
                        if last == LineEnd::Hard {
                            out.extend_from_slice(b"\r\n");
                        }
                    }
                    rest = &rest[k + 1..];
                    number += 1;
                }
            }
            number = block_end;
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(lines: usize, bytes_max: usize) -> History {
        let mut history = History::new(bytes_max);
        for i in 0..lines {
            history.push(LineEnd::Hard, |out| {
                out.extend_from_slice(format!("line {i:06} {}", "x".repeat(80)).as_bytes())
            });
        }
        history
    }

    #[test]
    fn a_full_history_keeps_the_newest_lines_within_its_bound() {
        let history = filled(50_000, 256 << 10);
        assert!(history.bytes <= 256 << 10, "{} bytes", history.bytes);
        assert!(history.next() - history.first() > 1_000);
        let mut out = vec![];
        history.replay(0, &mut out);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.lines().count() as u64, history.next() - history.first());
        assert!(text.starts_with(&format!("line {:06}", history.first())));
        assert!(text.trim_end().lines().last().expect("lines").starts_with("line 049999"));
    }

    #[test]
    fn a_client_is_given_exactly_the_lines_it_missed() {
        let history = filled(5_000, 1 << 20);
        let mut out = vec![];
        history.replay(4_990, &mut out);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.lines().count(), 10);
        assert!(text.starts_with("line 004990"));
    }

    #[test]
    fn soft_wraps_are_replayed_without_a_line_break() {
        let mut history = History::new(4096);
        history.push(LineEnd::Soft, |o| o.extend_from_slice(b"one "));
        history.push(LineEnd::Hard, |o| o.extend_from_slice(b"line"));
        let mut out = vec![];
        history.replay(0, &mut out);
        assert_eq!(out, b"one line\r\n");
    }

    #[test]
    fn a_history_of_no_bytes_only_counts() {
        let history = filled(7, 0);
        assert_eq!((history.first(), history.next()), (7, 7));
    }
}
