//! `claude -p`: how a task's Claude is started, and what its output has come to.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read},
    path::Path,
};

use wezterm_parallel_core::{
    claude::{attempt::Attempt, stream},
    spec::AgentSpec,
};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::task::TaskAdd;

/// Longest line that is read, in bytes: the answer stands in one.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// How much of what is no line of Claude's is kept, in bytes: the last of it says why something went wrong.
pub const TAIL_BYTES_MAX: usize = 64 << 10;

/// The command line of a task's Claude, without its session and its settings. The prompt is not on it: it goes
/// to standard input, as everybody can read a command line.
pub fn command(agent: &AgentSpec, asked: &TaskAdd, inherited: &[String]) -> Vec<String> {
    let mut command: Vec<String> =
        agent.command.iter().chain(&agent.args).chain(inherited).cloned().collect();
    let mut add = |words: &[&str]| {
        super::claude::add_options(&mut command, words.iter().map(|w| (*w).to_owned()));
    };
    add(&["-p", "--output-format", "stream-json", "--verbose"]);
    if let Some(model) = &asked.model {
        add(&["--model", model]);
    }
    if let Some(mode) = &asked.permission_mode {
        add(&["--permission-mode", mode]);
    }
    for tool in &asked.allow {
        add(&["--allowedTools", tool]);
    }
    if let Some(turns) = asked.max_turns {
        add(&["--max-turns", &turns.to_string()]);
    }
    if let Some(budget) = asked.budget_usd {
        add(&["--max-budget-usd", &budget.to_string()]);
    }
    command
}

/// What a run has written.
#[derive(Default)]
pub struct Output {
    /// What Claude has said in its lines.
    pub attempt: Attempt,
    /// The last of the rest.
    pub tail: String,
    /// There was more of the rest.
    pub cut: bool,
}

/// Reads all that a run has written and that is still in its log. Blocks for the time of a read.
///
/// # Errors
/// The log is there and cannot be read.
pub fn read(run_dir: &Path, claude: bool) -> io::Result<Output> {
    let mut output = Output::default();
    let mut tail: Vec<u8> = Vec::new();
    // a line may begin in one file and end in the next
    let mut all: Box<dyn Read> = Box::new(io::empty());
    for path in rundir::log_paths(run_dir)? {
        all = Box::new(all.chain(File::open(path)?));
    }
    let mut all = BufReader::new(all);
    let mut line = Vec::new();
    while (&mut all).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? > 0 {
        if claude && line.starts_with(b"{") {
            output.attempt.hear(&stream::parse(String::from_utf8_lossy(&line).trim()));
        } else {
            tail.extend_from_slice(&line);
        }
        line.clear();
        if tail.len() > 2 * TAIL_BYTES_MAX {
            output.cut = true;
            tail.drain(..tail.len() - TAIL_BYTES_MAX);
        }
    }
    if tail.len() > TAIL_BYTES_MAX {
        output.cut = true;
        tail.drain(..tail.len() - TAIL_BYTES_MAX);
    }
    output.tail = String::from_utf8_lossy(&tail).into_owned();
    Ok(output)
}
