//! Everything that touches the outside: keepers, Claude's files, the environment, the machine.

pub mod ancestry;
pub mod claude;
pub mod config_file;
pub mod conversation;
pub mod edit;
pub mod keeper;
pub mod layout;
pub mod machine;
pub mod mcp;
pub mod mounts;
pub mod on;
pub mod pid;
pub mod plain;
pub mod print;
pub mod probe;
pub mod project;
pub mod registry;
pub mod scope;
pub mod sessions;
pub mod settings;
mod status_line;
pub mod stream;
pub mod transcript;
pub mod wezterm;
pub mod zone;
