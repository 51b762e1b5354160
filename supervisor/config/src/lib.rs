//! `config.yaml`: found, read, layered, checked whole, resolved into what the supervisor acts on, and
//! watched. A file that is not right changes nothing; its message says where, what, and what to do.
//!
//! The way through: [`place`] finds the file, [`load()`] reads it; [`parse`] makes text into types,
//! [`layers`] puts the defaults under it and the environment over it, [`resolve()`] checks the whole
//! and fills in every default. [`project`] adds what a project's own trusted file asks for. What the
//! result changes is decided elsewhere, by the core's `plan`.

pub mod place;

mod load;
pub mod parse;

pub mod layers;
mod notify;
mod on;
mod resolve;
mod task;

pub mod project;

pub mod layout;

pub mod deadline;
pub mod import;

pub mod error;
mod lines;
mod suggest;

mod print;
pub mod template;

pub mod watch;

pub use error::{ConfigError, KeyPath, Problem};
pub use load::{FILE_BYTES_MAX, Loaded, load, load_text};
pub use print::{schema, to_yaml};
pub use resolve::{Dirs, Resolved, resolve};
