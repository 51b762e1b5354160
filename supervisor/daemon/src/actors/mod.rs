//! The actors. They carry inputs to the core and effects to the world, and decide nothing.
//!
//! ```text
//! supervisor ─┬─ workspace ─┬─ process
//!             │             └─ process
//!             ├─ workspace ─── process
//!             ├─ config          (reads and watches the config)
//!             ├─ gate            (the queue of starts)
//!             ├─ registry        (Claude's files of living sessions)
//!             ├─ limit           (accounts and their limits)
//!             ├─ inbox           (what agents ask)
//!             ├─ lease           (what is leased)
//!             ├─ gui             (what GUIs hear, and what they are asked to do)
//!             └─ on              (hooks of the user's)
//! ```

pub mod config;
pub mod gate;
pub mod gui;
pub mod inbox;
pub mod lease;
pub mod limit;
pub mod on;
pub mod process;
pub mod registry;
pub mod supervisor;
pub mod task;
pub mod workspace;
