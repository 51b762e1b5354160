//! Finding out whether a process is ready: a line in its output, a port, a command.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use indexmap::IndexMap;
use regex::bytes::Regex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    process::Command,
};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::{
    config::Ready,
    keeper::{Frames, Hello, Role, Welcome, frame},
};

use super::keeper;

/// Between two looks at a port: a connection to the own machine costs some 30 µs.
const PORT_INTERVAL: Duration = Duration::from_millis(50);
/// Between two runs of a command.
const COMMAND_INTERVAL: Duration = Duration::from_millis(250);
/// A command that takes longer than this has not answered.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest line that is looked at, in bytes; what is longer is cut.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Where and as what the process runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// Directory of the run.
    pub run_dir: PathBuf,
    /// Directory of the process.
    pub cwd: PathBuf,
    /// Environment of the process.
    pub env: IndexMap<String, String>,
}

/// Ends when the process is ready. It may take for ever: drop it when the time is up or the run over.
pub async fn until_ready(ready: &Ready, place: &Place) {
    match ready {
        Ready::Port(port) => until_port(*port).await,
        Ready::Command(command) => until_command(command, place).await,
        Ready::Log(pattern) => match until_log(pattern, &place.run_dir).await {
            Ok(()) => {}
            // the run is over, or its keeper does not talk: then it will not become ready this way
            Err(e) => {
                tracing::debug!(error = %e, "gave up waiting for a line of output");
                std::future::pending::<()>().await;
            }
        },
    }
}

async fn until_port(port: u16) {
    loop {
        let (v4, v6) = tokio::join!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)),
            TcpStream::connect((Ipv6Addr::LOCALHOST, port))
        );
        if v4.is_ok() || v6.is_ok() {
            return;
        }
        tokio::time::sleep(PORT_INTERVAL).await;
    }
}

async fn until_command(command: &[String], place: &Place) {
    let Some((program, arguments)) = command.split_first() else { return };
    loop {
        let mut child = Command::new(program);
        child.args(arguments).current_dir(&place.cwd).env_clear().envs(&place.env);
        child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let status = tokio::time::timeout(COMMAND_TIMEOUT, child.status()).await;
        if matches!(status, Ok(Ok(s)) if s.success()) {
            return;
        }
        tokio::time::sleep(COMMAND_INTERVAL).await;
    }
}

async fn until_log(pattern: &str, run_dir: &Path) -> io::Result<()> {
    let pattern = Regex::new(pattern).map_err(io::Error::other)?;
    let stream = rundir::connect(run_dir)?;
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    let hello = Hello::new(Role::Observe);
    stream.write_all(&keeper::message(frame::HELLO, &hello)?).await?;
    let mut frames = Frames::default();
    let mut buffer = vec![0; 8192];
    let mut lines = Lines { pattern, rest: Vec::new() };
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        frames.push(&buffer[..n]);
        while let Some((kind, payload)) = frames.take().map_err(io::Error::other)? {
            let found = match kind {
                // what was said before we came stands in the log; then follows what is said from now on
                frame::WELCOME => {
                    let welcome: Welcome = keeper::decode(payload)?;
                    let dir = run_dir.to_owned();
                    let read = move || written(&dir, welcome.log_offset);
                    lines.feed(&tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??)
                }
                frame::OUTPUT => lines.feed(payload),
                frame::EXIT => return Err(io::Error::other("the run is over")),
                _ => false,
            };
            if found {
                return Ok(());
            }
        }
    }
}

/// The last bytes of the log up to `offset`, as far as the current file has them.
fn written(run_dir: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut log = std::fs::read(run_dir.join("log"))?;
    // output that came since is also sent to us
    log.truncate(usize::try_from(offset).unwrap_or(usize::MAX).min(log.len()));
    Ok(log)
}

/// Output cut into lines, without escape sequences.
struct Lines {
    pattern: Regex,
    rest: Vec<u8>,
}

impl Lines {
    /// Whether a line matches, the unfinished last one included: a prompt has no end.
    fn feed(&mut self, output: &[u8]) -> bool {
        self.rest.extend_from_slice(output);
        let start = self.rest.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let found = self.rest.split(|b| *b == b'\n').any(|line| {
            let line = &line[..line.len().min(LINE_BYTES_MAX)];
            self.pattern.is_match(&strip_ansi_escapes::strip(line))
        });
        self.rest.drain(..start);
        if self.rest.len() > LINE_BYTES_MAX {
            self.rest.clear();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_however_it_arrives_and_whatever_colours_it_has() {
        let text = b"starting\r\n\x1b[32mlistening\x1b[0m on port 80\r\n";
        let pattern = Regex::new("^listening on").expect("a pattern");
        for cut in 0..text.len() {
            let mut lines = Lines { pattern: pattern.clone(), rest: Vec::new() };
            let found = lines.feed(&text[..cut]) | lines.feed(&text[cut..]);
            assert!(found, "cut at {cut}");
        }
        let mut lines = Lines { pattern: Regex::new("ready").expect("a pattern"), rest: Vec::new() };
        assert!(!lines.feed(text));
    }
}
