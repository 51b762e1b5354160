//! What every command starts from: the places, the config file, and the way to the daemon.

use std::path::{Path, PathBuf};

use wezterm_parallel_config::place;
use wezterm_parallel_schemas::places::{CONFIG_VARIABLE, Places, RUNTIME_DIR_VARIABLE, STATE_DIR_VARIABLE};

use crate::{
    connection::{ConnectError, Connection},
    failure::{Context, Failure, Outcome},
    output,
};

/// One call of the program.
pub struct App {
    /// Where things lie.
    pub places: Places,
    /// The home directory.
    pub home: PathBuf,
    /// JSON instead of tables.
    pub json: bool,
    /// A config file that was named, and goes before what the environment says.
    pub config_given: Option<PathBuf>,
}

impl App {
    /// Works out the places from the environment of this program. All of them are absolute.
    pub fn new(json: bool) -> Outcome<Self> {
        let what = || "find your home directory".to_owned();
        let home = std::env::home_dir().filter(|h| h.is_absolute());
        let home = home.ok_or_else(|| Failure::new(what(), "HOME is not set to an absolute path"))?;
        let lookup = |name: &str| std::env::var_os(name);
        let mut places = Places::new(lookup, &home);
        for path in [&mut places.config, &mut places.runtime_dir, &mut places.state_dir, &mut places.data_dir]
        {
            *path = std::path::absolute(&*path).failed_to(what)?;
        }
        Ok(Self { places, home, json, config_given: None })
    }

    /// The config file that this environment means, which need not exist.
    pub fn config(&self) -> Outcome<PathBuf> {
        let given = |name: &str| match &self.config_given {
            Some(config) if name == CONFIG_VARIABLE => Some(config.clone().into_os_string()),
            _ => std::env::var_os(name),
        };
        place::locate(given, &self.home).failed_to(|| "find the config file".into())
    }

    /// The places as they are handed to a daemon, so that it finds the same ones however it is started.
    pub fn variables(&self) -> Outcome<[(&'static str, PathBuf); 3]> {
        Ok([
            (CONFIG_VARIABLE, self.config()?),
            (RUNTIME_DIR_VARIABLE, self.places.runtime_dir.clone()),
            (STATE_DIR_VARIABLE, self.places.state_dir.clone()),
        ])
    }

    /// Connects to the daemon, or fails with the exit code for that.
    pub fn connect(&self) -> Outcome<Connection> {
        self.connect_or_none()?.ok_or_else(|| ConnectError::NoDaemon(self.places.socket()).failure())
    }

    /// Connects to the daemon if there is one. Says so once if it was started with another config.
    pub fn connect_or_none(&self) -> Outcome<Option<Connection>> {
        // a config that cannot be told apart is the daemon's to complain about
        let config = self.config().unwrap_or_else(|_| self.places.config.clone());
        let connection = match Connection::open(&self.places, &config) {
            Ok(connection) => connection,
            Err(ConnectError::NoDaemon(_)) => return Ok(None),
            Err(error) => return Err(error.failure()),
        };
        let theirs = &connection.welcome().config;
        if !theirs.as_os_str().is_empty() && !same_file(theirs, &config) {
            output::note(format_args!(
                "the daemon's config is {}, not {}",
                theirs.display(),
                config.display()
            ));
        }
        Ok(Some(connection))
    }
}

/// Whether two paths mean one file, also by links, also if it does not exist.
pub fn same_file(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
