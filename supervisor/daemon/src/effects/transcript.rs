//! Claude's transcripts: what a session has used, read as it grows, and how its last turn failed.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use wezterm_parallel_core::claude::{
    transcript::{self, Line, Tally, Tokens},
    usage_limit::RateLimit,
};

/// Most that is read at once, in bytes: of a longer transcript only its end counts, and what Claude has
/// summed up in it. A day's work has some 10 MB.
const READ_BYTES_MAX: u64 = 32 << 20;
/// What is read to find how the last turn failed: the failure stands in the last few lines.
const TAIL_BYTES: u64 = 256 << 10;

/// A transcript that is read as it grows.
#[derive(Debug, Default)]
pub struct Reader {
    path: PathBuf,
    offset: u64,
    tally: Tally,
}

impl Reader {
    /// Of this file; nothing is read yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, ..Self::default() }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What has been counted so far.
    pub fn tokens(&self) -> Tokens {
        self.tally.tokens()
    }

    /// Reads what has been added. One that is not there yet has nothing in it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&mut self) -> io::Result<&Tally> {
        let mut file = match super::plain::open(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(&self.tally),
            file => file?,
        };
        let size = file.metadata()?.len();
        if size < self.offset {
            // another one under its name
            (self.offset, self.tally) = (0, Tally::default());
        }
        let start = self.offset.max(size.saturating_sub(READ_BYTES_MAX));
        file.seek(SeekFrom::Start(start))?;
        let mut lines = BufReader::new(file.take(READ_BYTES_MAX));
        let mut line = Vec::new();
        if start > self.offset {
            self.offset = start + lines.read_until(b'\n', &mut line)? as u64;
        }
        loop {
            line.clear();
            let n = lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                // half a line: it is read when it is whole
                return Ok(&self.tally);
            }
            self.offset += n as u64;
            if matters(&line) {
                self.tally.take(&transcript::parse(&line));
            }
        }
    }
}

/// Most lines have nothing to do with it, and some are large.
fn matters(line: &[u8]) -> bool {
    let has = |word: &[u8]| line.windows(word.len()).any(|w| w == word);
    has(b"\"assistant\"") || has(b"\"cost-state\"")
}

/// How the last turn of a transcript failed: the text, and what the API said of limits. None if it did not.
pub fn last_failure(path: &Path) -> Option<(String, Option<RateLimit>)> {
    let mut file = super::plain::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    let lines = bytes.split(|b| *b == b'\n').rev();
    lines.filter(|l| matters(l)).find_map(|line| match transcript::parse(line) {
        Line::Failed { text, limit } => Some(Some((text, limit))),
        Line::Message { .. } => Some(None),
        Line::CostState { .. } | Line::Other => None,
    })?
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use super::*;

    fn message(id: &str, input: u64) -> String {
        let usage = serde_json::json!({ "input_tokens": input, "output_tokens": 1 });
        let message = serde_json::json!({ "id": id, "model": "m", "usage": usage });
        serde_json::json!({ "type": "assistant", "message": message }).to_string()
    }

    #[test]
    fn what_is_added_is_read_once_and_half_a_line_when_it_is_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.jsonl");
        let mut reader = Reader::new(path.clone());
        assert_eq!(reader.read().expect("read").tokens(), Tokens::default());
        let mut file = File::create(&path).expect("a file");
        let (one, two) = (message("a", 10), message("b", 5));
        let (half, rest) = two.split_at(two.len() / 2);
        write!(file, "{one}\n{{\"type\":\"user\"}}\n{half}").expect("written");
        assert_eq!(reader.read().expect("read").tokens(), Tokens { input: 10, output: 1 });
        writeln!(file, "{rest}").expect("written");
        assert_eq!(reader.read().expect("read").tokens(), Tokens { input: 15, output: 2 });
        assert_eq!(reader.read().expect("read").tokens(), Tokens { input: 15, output: 2 });
        File::create(&path).expect("another one").write_all(format!("{one}\n").as_bytes()).expect("written");
        assert_eq!(reader.read().expect("read").tokens(), Tokens { input: 10, output: 1 });
    }

    #[test]
    fn how_the_last_turn_failed_stands_at_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.jsonl");
        assert_eq!(last_failure(&path), None);
        let failed = serde_json::json!({
            "type": "assistant", "isApiErrorMessage": true,
            "message": { "content": [{ "type": "text", "text": "You've hit your limit" }] },
            "quotaLimits": { "status": "rejected", "resetsAt": 7 },
        });
        std::fs::write(&path, format!("{}\n{failed}\n{{\"type\":\"system\"}}\n", message("a", 1)))
            .expect("a file");
        let (text, limit) = last_failure(&path).expect("it failed");
        assert_eq!((text.as_str(), limit.and_then(|l| l.resets_at)), ("You've hit your limit", Some(7_000)));
        std::fs::write(&path, format!("{failed}\n{}\n", message("a", 1))).expect("a file");
        assert_eq!(last_failure(&path), None, "it went on");
    }
}
