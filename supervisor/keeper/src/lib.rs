//! Holds one run: a program on a terminal or on pipes, its screen, its log, its exit record. It is
//! nobody's child, has one thread and one `poll`, and no timer while nothing happens.
//!
//! Reading order: how a run begins ([`start`]), its directory ([`rundir`]), the loop ([`keep`]) and
//! what it is made of.

mod start;

pub mod rundir;

mod keep;

mod client;
mod ending;
mod keys;
mod log;
mod stage;

mod answers;
mod forgery;
mod history;
mod scan;
mod screen;

mod os;
mod signals;
mod spawn;

pub mod mark;
pub mod reset;

pub use os::children;
pub use start::main;
