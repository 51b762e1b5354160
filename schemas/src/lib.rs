//! The contract of wezterm-parallel: everything that two of its programs, or two of its releases,
//! must agree on. It knows serde and schemars, and nothing of sockets, clocks or processes.
//!
//! Rules for every type here: add, never rename, never reuse; new fields have a default; readers on
//! the wire skip what they do not know, the config refuses it.

pub mod config;
pub mod daemon;
pub mod envelope;
pub mod environment;
pub mod error;
pub mod event;
pub mod evidence;
pub mod gui;
pub mod hook;
pub mod inbox;
pub mod keeper;
pub mod layout;
pub mod lease;
pub mod limit;
pub mod mcp;
pub mod method;
pub mod on;
pub mod places;
pub mod process;
pub mod prompt;
pub mod rpc;
pub mod scan;
pub mod session;
pub mod task;
pub mod units;
pub mod workspace;

/// Oldest and newest version of the wire protocol that this build speaks.
pub const PROTOCOL: [u32; 2] = [1, 1];
