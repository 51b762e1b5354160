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
/// Ends a line that goes on in the next one (soft wrap). Encoded text never has this byte.
const SOFT_END: u8 = 0x1f;
/// Ends a line.
const HARD_END: u8 = b'\n';

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

    /// Adds a line. `wrapped`: it goes on in the next one.
    pub fn push(&mut self, wrapped: bool, encode: impl FnOnce(&mut Vec<u8>)) {
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
        block.text.push(if wrapped { SOFT_END } else { HARD_END });
        block.lines += 1;
        self.bytes += block.text.len() - before;
        while self.bytes > self.bytes_max && self.blocks.len() > 1 {
            self.drop_oldest();
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

    /// Writes the lines numbered `from` and up as a terminal takes them.
    pub fn replay(&self, from: u64, out: &mut Vec<u8>) {
        let mut number = self.first;
        for block in &self.blocks {
            let end = number + block.lines;
            if end > from {
                let mut rest = &block.text[..];
                while let Some(k) = memchr::memchr2(HARD_END, SOFT_END, rest) {
                    if number >= from {
                        out.extend_from_slice(&rest[..k]);
                        if rest[k] == HARD_END {
                            out.extend_from_slice(b"\r\n");
                        }
                    }
                    rest = &rest[k + 1..];
                    number += 1;
                }
            }
            number = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(lines: usize, bytes_max: usize) -> History {
        let mut history = History::new(bytes_max);
        for i in 0..lines {
            history.push(false, |out| {
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
        history.push(true, |o| o.extend_from_slice(b"one "));
        history.push(false, |o| o.extend_from_slice(b"line"));
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
