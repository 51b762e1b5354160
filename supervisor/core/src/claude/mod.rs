//! Claude Code's own forms of data, as it writes them: hooks, the file of living sessions, the status
//! line, stream-json. Read here and nowhere else; what a newer Claude adds is skipped, what it leaves out
//! is none, and what cannot be read at all is an error with its reason, never a panic.

pub mod attempt;
#[cfg(test)]
mod captures;
pub mod decision;
pub mod digest;
pub mod hook;
pub mod registry;
pub mod request;
pub mod statusline;
pub mod stream;
pub mod transcript;
pub mod usage_limit;
