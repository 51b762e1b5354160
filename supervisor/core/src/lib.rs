//! What the supervisor decides, and nothing of what it does: pure state machines of the form
//! `step(input, now) -> effects`. No clock, no file, no socket, no thread; time and chance come in as
//! numbers.

pub mod batch;
pub mod claude;
pub mod gate;
pub mod gui;
pub mod inbox;
pub mod layout;
pub mod lease;
pub mod limit;
pub mod notify;
pub mod on;
pub mod plan;
pub mod process;
pub mod project;
pub mod prompt;
pub mod registry;
pub mod restart;
pub mod rule;
pub mod spec;
pub mod status;
pub mod task;
pub mod workspace;
