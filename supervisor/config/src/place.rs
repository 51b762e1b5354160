//! Where the config file is.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::error::ConfigError;

/// The variable that names the config file instead of the usual place.
pub const VARIABLE: &str = "WEZTERM_PARALLEL_CONFIG";

/// The config file: what `WEZTERM_PARALLEL_CONFIG` says, else `wezterm-parallel/config.yaml` in
/// `$XDG_CONFIG_HOME` or `~/.config`, else `config.toml` there if only that exists. The file need not
/// exist. The path is absolute if `home` is.
///
/// # Errors
/// [`ConfigError::Both`] if `config.yaml` and `config.toml` both exist.
pub fn locate(variable: impl Fn(&str) -> Option<OsString>, home: &Path) -> Result<PathBuf, ConfigError> {
    let set = |name| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(path) = set(VARIABLE) {
        // relative to where the caller stands, as any other path on a command line
        return std::path::absolute(&path)
            .map_err(|e| ConfigError::Unreadable { path, reason: e.to_string().to_lowercase() });
    }
    // a relative XDG_CONFIG_HOME is to be ignored, says the XDG base directory specification
    let base = set("XDG_CONFIG_HOME").filter(|p| p.is_absolute()).unwrap_or_else(|| home.join(".config"));
    let dir = base.join("wezterm-parallel");
    let (yaml, toml) = (dir.join("config.yaml"), dir.join("config.toml"));
    // a dangling link counts as there: what it points to may come back
    match (yaml.symlink_metadata().is_ok(), toml.symlink_metadata().is_ok()) {
        (true, true) => Err(ConfigError::Both { yaml, toml }),
        (false, true) => Ok(toml),
        (_, false) => Ok(yaml),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<'a>(vars: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v))
    }

    #[test]
    fn the_file_is_where_the_variables_say_and_else_below_the_home_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path();
        let found = |vars: &[(&str, &str)]| locate(with(vars), home).expect("a place");
        let yaml = home.join(".config/wezterm-parallel/config.yaml");
        assert_eq!(found(&[]), yaml);
        assert_eq!(
            found(&[(VARIABLE, "/etc/x.toml"), ("XDG_CONFIG_HOME", "/xdg")]),
            Path::new("/etc/x.toml")
        );
        assert_eq!(
            found(&[(VARIABLE, ""), ("XDG_CONFIG_HOME", "/xdg")]),
            Path::new("/xdg/wezterm-parallel/config.yaml")
        );
        assert_eq!(found(&[("XDG_CONFIG_HOME", "relative")]), yaml);
    }

    #[test]
    fn toml_is_used_if_there_is_no_yaml_and_both_are_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().join(".config/wezterm-parallel");
        std::fs::create_dir_all(&place).expect("a directory");
        std::fs::write(place.join("config.toml"), "version = 1").expect("written");
        assert_eq!(locate(|_| None, dir.path()).expect("a place"), place.join("config.toml"));
        std::fs::write(place.join("config.yaml"), "version: 1").expect("written");
        let error = locate(|_| None, dir.path()).expect_err("two files").to_string();
        assert!(
            error.ends_with(
                "/config.yaml: there is a config.toml as well\n  = keep the one that is meant, or name it in WEZTERM_PARALLEL_CONFIG"
            ),
            "{error}"
        );
    }
}
