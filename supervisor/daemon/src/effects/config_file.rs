//! The config and the projects' files, from the disk to what is meant to be there.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use wezterm_parallel_config::{
    ConfigError, Loaded, load, load_text,
    project::{self, Projects, Trusted},
};
use wezterm_parallel_store::{ConfigRow, TrustRow};

/// What was read.
pub struct Read {
    /// The config; its `desired` holds what the projects add.
    pub loaded: Loaded,
    /// What the projects' files say.
    pub projects: Projects,
}

/// Where to read from and what to believe.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The config file.
    pub path: PathBuf,
    /// The user's home.
    pub home: PathBuf,
    /// Trusted files of projects, by path.
    pub trust: HashMap<PathBuf, TrustRow>,
    /// A config has been in force: if the file is gone now, somebody moved it for a moment, and nothing is
    /// taken away for that.
    pub in_force: bool,
}

/// An empty config, for who has written none yet.
pub const NOTHING: &str = "version: 1\n";

impl Sources {
    /// Reads the config file and the projects' files. A config that is not there counts as empty if there
    /// never was one. Blocks.
    ///
    /// # Errors
    /// The whole message of what is wrong with the config. What is wrong with a project's file is in
    /// [`Read::projects`].
    pub fn read(&self) -> Result<Read, ConfigError> {
        match load(&self.path, variables(), &self.home) {
            Err(ConfigError::Missing { .. }) if !self.in_force => self.read_text(NOTHING.to_owned()),
            loaded => loaded.map(|l| self.with_projects(l)),
        }
    }

    /// The same of another file.
    ///
    /// # Errors
    /// As [`Sources::read`], and if the file is not there.
    pub fn read_file(&self, path: &Path) -> Result<Read, ConfigError> {
        load(path, variables(), &self.home).map(|l| self.with_projects(l))
    }

    /// The same of a config that was kept.
    ///
    /// # Errors
    /// As [`Sources::read`].
    pub fn read_kept(&self, row: &ConfigRow) -> Result<Read, ConfigError> {
        let path = if row.format == "toml" { self.path.with_extension("toml") } else { self.path.clone() };
        load_text(row.text.clone(), &path, variables(), &self.home).map(|l| self.with_projects(l))
    }

    fn read_text(&self, text: String) -> Result<Read, ConfigError> {
        load_text(text, &self.path, variables(), &self.home).map(|l| self.with_projects(l))
    }

    fn with_projects(&self, mut loaded: Loaded) -> Read {
        let trusted = |path: &Path| {
            self.trust.get(path).map(|row| Trusted { hash: row.sha256.clone(), text: row.text.clone() })
        };
        let mut projects = project::add_all(&mut loaded.desired, &loaded.config, &trusted, &self.home);
        for (name, workspace) in &loaded.desired.workspaces {
            if !workspace.cwd.is_dir() {
                let gone = format!("the directory {} is not there", workspace.cwd.display());
                projects.problems.entry(name.clone()).or_insert(gone);
            }
        }
        Read { loaded, projects }
    }
}

fn variables() -> Vec<(String, String)> {
    std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))).collect()
}
