//! What a Claude writes line by line with `--output-format stream-json`: read from its keeper as it comes.

use std::{io, path::PathBuf, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use wezterm_parallel_core::claude::stream::{self, Line};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::keeper::{Frames, Hello, Role, frame};

use super::keeper;

/// Longest line that is read, in bytes; the result of a tool may be long, and says nothing of the status.
const LINE_BYTES_MAX: usize = 256 << 10;
/// From a lost connection to the next attempt: a keeper drops who reads too slowly, and a busy daemon is
/// through with its work by then.
const RECONNECT: Duration = Duration::from_secs(1);
/// Read at once.
const READ_BYTES: usize = 16 << 10;

/// Whether a command line makes Claude write such lines.
pub fn is_written_by(command: &[String]) -> bool {
    super::claude::option(command, "--output-format") == Some("stream-json")
}

/// Hears every line of a run from now on. It ends when the run does, or this is dropped.
#[derive(Debug)]
pub struct Stream {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stream {
    /// Begins to hear. A connection that breaks while the run lives is made again; none is heard for the
    /// lines that were lost by it.
    pub fn open(runs: PathBuf, run_id: String, mut hear: impl FnMut(Option<Line>) + 'static) -> Self {
        let task = actix_rt::spawn(async move {
            let mut again = false;
            while let Ok(stream) = rundir::connect(&rundir::run_dir(&runs, &run_id)) {
                if std::mem::replace(&mut again, true) {
                    hear(None);
                }
                if let Err(e) = read(stream, &mut |line| hear(Some(line))).await {
                    tracing::debug!(run = run_id, error = %e, "lost a stream");
                }
                tokio::time::sleep(RECONNECT).await;
            }
        });
        Self { task }
    }
}

async fn read(stream: std::os::unix::net::UnixStream, hear: &mut impl FnMut(Line)) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    let hello = Hello::new(Role::Observe);
    stream.write_all(&keeper::message(frame::HELLO, &hello)?).await?;
    let (mut frames, mut lines) = (Frames::default(), Lines::default());
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        frames.push(&buffer[..n]);
        while let Some((kind, payload)) = frames.take().map_err(io::Error::other)? {
            if kind == frame::OUTPUT {
                lines.take(payload, &mut *hear);
            }
        }
    }
}

/// Lines out of pieces of any size.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
    /// The line that goes on is longer than it may be.
    skips: bool,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], hear: &mut impl FnMut(Line)) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            if self.rest.len() + text.len() > LINE_BYTES_MAX {
                self.skips = true;
                self.rest.clear();
            }
            if !self.skips {
                self.rest.extend_from_slice(text);
            }
            if ends {
                if !self.skips {
                    let line = String::from_utf8_lossy(&self.rest);
                    let line = line.trim();
                    if line.starts_with('{') {
                        hear(stream::parse(line));
                    }
                }
                self.skips = false;
                self.rest.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_however_they_arrive_and_one_too_long_is_passed_over() {
        let long = format!("{{\"type\":\"user\",\"x\":\"{}\"}}", "y".repeat(LINE_BYTES_MAX));
        let text = format!(
            "{{\"type\":\"system\"}}\r\nnoise\n{long}\n{{\"type\":\"result\",\"subtype\":\"success\"}}\n{{\"half"
        );
        for size in [1, 7, 4_096, text.len()] {
            let (mut lines, mut heard) = (Lines::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                lines.take(piece, &mut |line| heard.push(line.raw["type"].as_str().unwrap_or("").to_owned()));
            }
            assert_eq!(heard, ["system", "result"], "in pieces of {size}");
        }
    }

    #[test]
    fn only_a_claude_that_is_told_to_writes_lines() {
        let command = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_written_by(&command("claude -p x --output-format stream-json --verbose")));
        assert!(is_written_by(&command("claude --output-format=stream-json")));
        assert!(!is_written_by(&command("claude -p x --output-format json")));
        assert!(!is_written_by(&command("claude -- --output-format stream-json")));
    }
}
