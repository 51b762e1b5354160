//! Why a row could not be measured: a text for whoever reads the table.

use std::{error::Error, fmt::Display};

/// What a measurement gives: a figure, or why there is none.
pub type Try<T> = Result<T, Box<dyn Error>>;

/// A failure in words.
pub fn failed(why: impl Into<String>) -> Box<dyn Error> {
    why.into().into()
}

/// Says what was tried.
pub trait Context<T> {
    /// Puts "failed to `what`" before the reason.
    fn failed_to(self, what: impl Display) -> Try<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn failed_to(self, what: impl Display) -> Try<T> {
        self.map_err(|e| failed(format!("failed to {what}: {e}")))
    }
}
