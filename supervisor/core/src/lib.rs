//! What the supervisor decides, and nothing of what it does: pure state machines of the form
//! `step(input, now) -> effects`. No clock, no file, no socket, no thread; time comes in as a number.

pub mod plan;
pub mod spec;
