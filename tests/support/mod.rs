//! What the end-to-end tests stand on: a place of their own, a terminal, a typed client of the wire, the
//! real Claude Code and a stand-in for the API it talks to.
//!
//! Nothing here sleeps. Whatever is waited for is a named event, and the deadline only ends a test that
//! would never end.

use std::time::Duration;

pub mod claude;
pub mod mock;
pub mod pty;
pub mod rpc;
pub mod screen;
pub mod site;

/// How long anything may take before a test gives up. Far above what is measured (a Claude starts in
/// 0.3 s on an idle machine, in 5 s beside twenty others), since it is no statement about speed.
pub const DEADLINE: Duration = Duration::from_secs(120);
