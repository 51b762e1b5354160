//! One line that is typed: a filter, a prompt, a word to an agent.

/// The text, and where the cursor is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// A place between two characters, in bytes.
    at: usize,
}

use super::input::{Input, Key};

/// Longest text, in bytes: as much as a prompt may have.
const TEXT_BYTES_MAX: usize = wezterm_parallel_schemas::prompt::PROMPT_BYTES_MAX;

impl Line {
    /// With a text, and the cursor behind it.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), at: text.len() }
    }

    /// What was typed. Pasted text may have several lines.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    pub fn before(&self) -> &str {
        &self.text[..self.at]
    }

    /// Does what a key does in a line; false if it does nothing there.
    pub fn take(&mut self, input: &Input) -> bool {
        match input {
            Input::Paste(text) => self.insert(text),
            Input::Key(Key::Char(c)) => self.insert(c.encode_utf8(&mut [0; 4])),
            Input::Key(Key::Backspace | Key::Ctrl('h')) => {
                let from = self.left();
                self.text.drain(from..self.at);
                self.at = from;
            }
            Input::Key(Key::Delete | Key::Ctrl('d')) => {
                let to = self.right();
                self.text.drain(self.at..to);
            }
            Input::Key(Key::Left | Key::Ctrl('b')) => self.at = self.left(),
            Input::Key(Key::Right | Key::Ctrl('f')) => self.at = self.right(),
            Input::Key(Key::Home | Key::Ctrl('a')) => self.at = 0,
            Input::Key(Key::End | Key::Ctrl('e')) => self.at = self.text.len(),
            Input::Key(Key::Ctrl('u')) => {
                self.text.drain(..self.at);
                self.at = 0;
            }
            Input::Key(Key::Ctrl('k')) => self.text.truncate(self.at),
            Input::Key(Key::Ctrl('w')) => {
                let word = self.before().trim_end();
                let from = word
                    .rfind(char::is_whitespace)
                    .map_or(0, |i| i + word[i..].chars().next().map_or(1, char::len_utf8));
                self.text.drain(from..self.at);
                self.at = from;
            }
            Input::Key(_) | Input::Mouse(..) | Input::Focus(_) => return false,
        }
        true
    }

    fn insert(&mut self, text: &str) {
        if self.text.len() + text.len() <= TEXT_BYTES_MAX {
            self.text.insert_str(self.at, text);
            self.at += text.len();
        }
    }

    fn left(&self) -> usize {
        self.before().char_indices().next_back().map_or(0, |(i, _)| i)
    }

    fn right(&self) -> usize {
        self.text[self.at..].chars().next().map_or(self.at, |c| self.at + c.len_utf8())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_what_they_do_in_a_shell() {
        use Key::{Backspace, Char, Ctrl, Delete, End, Home, Left};
        for (keys, text, before) in [
            (&[Char('a'), Char('語'), Char('b')][..], "a語b", "a語b"),
            (&[Char('a'), Char('語'), Backspace], "a", "a"),
            (&[Char('a'), Char('語'), Left, Left, Left, Delete], "語", ""),
            (&[Char('a'), Char(' '), Char('b'), Ctrl('w')], "a ", "a "),
            (&[Char('a'), Char('b'), Left, Ctrl('u')], "b", ""),
            (&[Char('a'), Char('b'), Home, Ctrl('k'), End, Char('c')], "c", "c"),
        ] {
            let mut line = Line::default();
            for key in keys {
                assert!(line.take(&Input::Key(*key)), "{key:?}");
            }
            assert_eq!((line.text(), line.before()), (text, before), "{keys:?}");
        }
    }

    #[test]
    fn a_paste_goes_in_whole_and_not_beyond_what_a_prompt_may_have() {
        let mut line = Line::new("ab");
        line.take(&Input::Key(Key::Left));
        line.take(&Input::Paste("1\n2".into()));
        assert_eq!(line.text(), "a1\n2b");
        line.take(&Input::Paste("x".repeat(TEXT_BYTES_MAX)));
        assert_eq!(line.text(), "a1\n2b");
    }
}
