//! One run on this terminal: connects to the run's keeper, hands the terminal over or relays it, and
//! returns when the run ends, the user detaches, or the keeper is lost.

use std::{io, path::Path};

use wezterm_parallel_schemas::keeper::ExitRecord;

/// How to attach.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bytes of the key that detaches; none if empty.
    pub detach_key: Vec<u8>,
    /// All bytes pass through this program.
    pub relay: bool,
    /// Sends no input and never decides the size.
    pub read_only: bool,
}

/// How it ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// By the detach key.
    Detached,
    /// With the run.
    Exited(ExitRecord),
    /// The keeper hung up without a word.
    Lost,
}

/// Attaches this terminal to the run in `run_dir`.
pub fn attach(run_dir: &Path, options: &Options) -> io::Result<Outcome> {
    let _ = options;
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("no way yet to attach to {}", run_dir.display())))
}
