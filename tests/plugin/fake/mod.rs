//! A WezTerm without windows: real Lua 5.4, embedded as WezTerm embeds it, with a `wezterm` module that
//! keeps WezTerm's rules of dispatch, and a mux that is only a model.
//!
//! Whatever awaits here really gives up its turn, always. In WezTerm a child that ends at once may succeed
//! by luck where awaiting is not possible; here it never does.

pub mod action;
pub mod child;
pub mod events;
pub mod format;
pub mod global;
pub mod gui;
pub mod host;
pub mod info;
pub mod module;
pub mod mux;
pub mod mux_lua;
pub mod pane;
pub mod perform;
pub mod plugin;
pub mod time;
pub mod world;

pub use host::Host;
pub use world::Flavour;
