//! How a command fails: what it was about, why, what to do, and the exit code.

use std::{fmt, io};

use wezterm_parallel_schemas::error::{Code, Error};

/// What an exit code says. Scripts rely on these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was understood and did not work.
    Failed = 1,
    /// It was not understood. The same code that clap ends with.
    Usage = 2,
    /// No daemon answers.
    NoDaemon = 3,
}

/// Why a command failed, in the three parts that a person needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was to be done; reads after "failed to".
    pub what: String,
    /// Why that did not work.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Nobody reads our output any more (`… | head`): nothing is printed, and it counts as success.
    pub unread: bool,
}

/// What every command returns.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure to do `what`, because of `why`.
    pub fn new(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { exit: Exit::Failed, what: what.into(), why: why.to_string(), hint: None, unread: false }
    }
    /// The same with another exit code.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// A call that the daemon refused.
    pub fn refused(what: impl Into<String>, error: Error) -> Self {
        let mut failure = Self::new(what, error.message);
        failure.hint = error.hint;
        if failure.hint.is_none() && error.code == Code::UnknownMethod {
            failure.hint = Some("the daemon is older than this program: run `wezterm-parallel stop --keep`, then `wezterm-parallel daemon`".into());
        }
        failure
    }
    /// Output that could not be written.
    pub fn output(error: &io::Error) -> Self {
        let mut failure = Self::new("write the output", error);
        failure.unread = error.kind() == io::ErrorKind::BrokenPipe;
        failure
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {}: {}", self.what, self.why)
    }
}

impl std::error::Error for Failure {}

/// Adds to an error what it was about.
pub trait Context<T> {
    /// Turns the error into a failure to do `what`.
    fn failed_to(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn failed_to(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|e| Failure::new(what(), e))
    }
}
