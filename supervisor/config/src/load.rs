//! A config file from the disk to what the supervisor acts on.

use std::{
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use wezterm_parallel_core::spec::Desired;
use wezterm_parallel_schemas::config::Config;

use crate::{
    error::{ConfigError, invalid},
    layers::{VARIABLE_PREFIX, layered},
    layout,
    parse::{self, Format},
    resolve::{Dirs, resolve},
};

/// Largest config file, in bytes. 1,000 processes take a tenth of it.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// A config file that is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What is meant to be there.
    pub desired: Desired,
    /// The config in force, all layers together.
    pub config: Config,
    /// The file as it was read.
    pub text: String,
    /// SHA-256 of the file, in hexadecimal.
    pub hash: String,
    /// The file.
    pub path: PathBuf,
    /// What is allowed and yet can hardly be meant, a sentence each.
    pub warnings: Vec<String>,
}

/// Reads a config file, checks it whole and puts the layers together. `variables` is the environment,
/// of which names that begin with [`VARIABLE_PREFIX`] count; `home` is what `~` stands for, absolute.
///
/// # Errors
/// Any [`ConfigError`]; [`ConfigError::Missing`] if the file is not there.
pub fn load(
    path: &Path,
    variables: impl IntoIterator<Item = (String, String)>,
    home: &Path,
) -> Result<Loaded, ConfigError> {
    let text = read(path)?;
    load_with(text, path, variables, home, Some(&layout::saved_names(&layout::dir(path))))
}

/// The same of a text at hand: the last good config, say, that was kept. Names of templates are not checked.
///
/// # Errors
/// [`ConfigError::Invalid`].
pub fn load_text(
    text: String,
    path: &Path,
    variables: impl IntoIterator<Item = (String, String)>,
    home: &Path,
) -> Result<Loaded, ConfigError> {
    load_with(text, path, variables, home, None)
}

fn load_with(
    text: String,
    path: &Path,
    variables: impl IntoIterator<Item = (String, String)>,
    home: &Path,
    saved: Option<&[String]>,
) -> Result<Loaded, ConfigError> {
    let refuse = |problems| invalid(path, &text, Format::of(path), problems);
    let dirs = Dirs { home, base: path.parent().unwrap_or(home), saved };
    let user = parse::config(&text, path)?;
    // the file by itself first: what is wrong with it is shown in its lines
    resolve(&user, dirs).map_err(refuse)?;
    let variables: Vec<(String, String)> =
        variables.into_iter().filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)).collect();
    let about_variables = |problems: Vec<crate::Problem>| {
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        refuse(
            problems
                .into_iter()
                .map(|p| match p.at.0.is_empty() {
                    true => p,
                    false => crate::Problem::new(
                        Default::default(),
                        format!("with {} set, {}: {}", names.join(", "), p.at, p.message),
                    )
                    .hint(p.hint),
                })
                .collect(),
        )
    };
    let config = layered(&user, &variables).map_err(about_variables)?;
    let resolved = resolve(&config, dirs).map_err(about_variables)?;
    let hash = hash(text.as_bytes());
    Ok(Loaded {
        desired: resolved.desired,
        config,
        hash,
        path: path.to_owned(),
        warnings: resolved.warnings,
        text,
    })
}

/// SHA-256 in hexadecimal.
pub(crate) fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// The text of a file of at most [`FILE_BYTES_MAX`]. Never waits, also not for a pipe of that name.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable { path: path.to_owned(), reason };
    let io = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => ConfigError::Missing { path: path.to_owned() },
        _ => unreadable(e.to_string().to_lowercase()),
    };
    let file =
        std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(unreadable("this is not a file".into()));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        unreadable(format!("the text is not UTF-8, from line {line} on"))
    })
}
