//! The plugin in the Lua that WezTerm has: real Lua 5.4 with a `wezterm` module that keeps WezTerm's rules,
//! the real daemon behind it; and with `WEZTERM_PARALLEL_TEST_WEZTERM` in a real WezTerm.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod support;

#[allow(dead_code, reason = "a model of WezTerm is whole, not just what is used today")]
mod fake;

mod feed;
mod glass;
mod install;
mod real;
mod rules;
mod scene;
mod tasks;
mod workspaces;
