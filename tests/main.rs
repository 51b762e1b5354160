//! The product from outside: the real executable, the real Claude Code, a real terminal.
//!
//! One test program rather than one per file, as each would link the same support again. A file per
//! chapter of what is promised; each test's name is a sentence of it.

#[allow(dead_code, reason = "the other test programs use the rest")]
mod support;

mod agents;
mod attach;
mod bad_input;
mod claude;
mod cli;
mod config;
mod dashboard;
mod durability;
mod gui;
mod hooks;
mod inbox;
mod install;
mod layout;
mod lease;
mod limits;
mod mcp;
mod on;
mod relay;
mod send;
mod sessions;
mod setup;
mod supervision;
mod task;
mod task_claude;
mod task_cli;
mod task_file;
mod wire;
