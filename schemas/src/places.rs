//! Where things lie: the config, the socket, the store, the log, the runs. Every program of ours must
//! find the same places, so they are worked out here, from an environment that the caller hands in.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// Environment variable that names the config file.
pub const CONFIG_VARIABLE: &str = "WEZTERM_PARALLEL_CONFIG";
/// Environment variable that names the directory of the socket.
pub const RUNTIME_DIR_VARIABLE: &str = "WEZTERM_PARALLEL_RUNTIME_DIR";
/// Environment variable that names the directory of the store, the log and the runs.
pub const STATE_DIR_VARIABLE: &str = "WEZTERM_PARALLEL_STATE_DIR";
/// Environment variable with the number of a descriptor on which a daemon that was just started writes
/// one line: `ready`, or why it cannot serve.
pub const READY_FD_VARIABLE: &str = "WEZTERM_PARALLEL_READY_FD";
/// Our directory in each of the XDG directories.
pub const DIRECTORY: &str = "wezterm-parallel";
/// Longest path of a Unix socket in bytes, without the NUL at its end. Linux has room for 107, macOS
/// for 103: the smaller one, so that a place that works here works there.
pub const SOCKET_PATH_BYTES_MAX: usize = 103;

/// The directories and files of one user. All paths are absolute if the environment's are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The config file as it is written if there is none. An existing one may be TOML beside it.
    pub config: PathBuf,
    /// Directory of the socket. Gone after a reboot.
    pub runtime_dir: PathBuf,
    /// Directory of the store, the log and the runs.
    pub state_dir: PathBuf,
    /// Directory of installed programs: our own executable by version, and Claude Code.
    pub data_dir: PathBuf,
}

impl Places {
    /// The places that `env` names, or the XDG ones below `home`. Empty variables count as unset, and
    /// so do XDG variables that are not absolute (as the XDG Base Directory Specification has it).
    pub fn new(env: impl Fn(&str) -> Option<OsString>, home: &Path) -> Self {
        let own = |name: &str| env(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let xdg = |name: &str| own(name).filter(|p| p.is_absolute()).map(|p| p.join(DIRECTORY));

        let config = own(CONFIG_VARIABLE).unwrap_or_else(|| {
            xdg("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config").join(DIRECTORY)).join("config.yaml")
        });
        let state_dir = own(STATE_DIR_VARIABLE)
            .or_else(|| xdg("XDG_STATE_HOME"))
            .unwrap_or_else(|| home.join(".local/state").join(DIRECTORY));
        let runtime_dir = own(RUNTIME_DIR_VARIABLE)
            .or_else(|| xdg("XDG_RUNTIME_DIR"))
            .unwrap_or_else(|| state_dir.join("run"));
        let data_dir = xdg("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share").join(DIRECTORY));
        Self { config, runtime_dir, state_dir, data_dir }
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.runtime_dir.join("daemon.sock")
    }
    /// Locked for as long as a daemon serves: there is one per state directory.
    pub fn lock(&self) -> PathBuf {
        self.state_dir.join("daemon.lock")
    }
    /// Locked by whoever starts a daemon, until it serves: several that find none start one.
    pub fn start_lock(&self) -> PathBuf {
        self.state_dir.join("start.lock")
    }
    /// [`DaemonInfo`] of the daemon that serves, or served last.
    pub fn info(&self) -> PathBuf {
        self.state_dir.join("daemon.json")
    }
    /// The daemon's log.
    pub fn log(&self) -> PathBuf {
        self.state_dir.join("daemon.log")
    }
    /// Directories of all runs.
    pub fn runs(&self) -> PathBuf {
        self.state_dir.join("runs")
    }
    /// Settings that Claudes are started with, a file for each process.
    pub fn settings(&self) -> PathBuf {
        self.state_dir.join("settings")
    }
    /// Directory into which Claude Code is installed where there is none.
    pub fn claude_prefix(&self) -> PathBuf {
        self.data_dir.join("claude")
    }
    /// Where Claude Code's program lies in [`Self::claude_prefix`] once npm has installed it, the likelier
    /// one first: npm's own link leads to a stub if install scripts are turned off.
    pub fn claude_programs(&self) -> [PathBuf; 2] {
        let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
        let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        let modules = self.claude_prefix().join("node_modules");
        [
            modules.join(format!("@anthropic-ai/claude-code-{os}-{machine}/claude")),
            modules.join(".bin/claude"),
        ]
    }
    /// The JSON Schema of the config, which the modeline of the template names.
    pub fn config_schema(&self) -> PathBuf {
        self.data_dir.join("config.schema.json")
    }
    /// The JSON Schema of a saved template for panes, which the modeline of its file names.
    pub fn layout_schema(&self) -> PathBuf {
        self.data_dir.join("layout.schema.json")
    }
    /// Directory of our own executables, one directory per version.
    pub fn executables(&self) -> PathBuf {
        self.data_dir.join("bin")
    }
}

/// What a daemon writes of itself as soon as it serves. A login over ssh may have another runtime
/// directory than the desktop, but both have the same state directory, and find the socket by this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonInfo {
    /// Its process id.
    pub pid: i32,
    /// Its socket.
    pub socket: PathBuf,
    /// Its version.
    pub version: String,
    /// Its config file.
    pub config: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(env: &[(&str, &str)]) -> Places {
        Places::new(
            |name| env.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v)),
            Path::new("/home/u"),
        )
    }

    #[test]
    fn without_an_environment_everything_lies_below_home() {
        let p = places(&[]);
        assert_eq!(p.config, Path::new("/home/u/.config/wezterm-parallel/config.yaml"));
        assert_eq!(p.state_dir, Path::new("/home/u/.local/state/wezterm-parallel"));
        assert_eq!(p.socket(), Path::new("/home/u/.local/state/wezterm-parallel/run/daemon.sock"));
        assert_eq!(p.data_dir, Path::new("/home/u/.local/share/wezterm-parallel"));
    }

    #[test]
    fn xdg_directories_get_a_directory_of_ours_each() {
        let p = places(&[
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_RUNTIME_DIR", "/r"),
            ("XDG_DATA_HOME", "/d"),
        ]);
        assert_eq!(p.config, Path::new("/c/wezterm-parallel/config.yaml"));
        assert_eq!(p.lock(), Path::new("/s/wezterm-parallel/daemon.lock"));
        assert_eq!(p.socket(), Path::new("/r/wezterm-parallel/daemon.sock"));
        assert_eq!(p.claude_prefix(), Path::new("/d/wezterm-parallel/claude"));
    }

    #[test]
    fn our_own_variables_win_and_are_taken_as_they_are() {
        let p = places(&[
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_RUNTIME_DIR", "/r"),
            (CONFIG_VARIABLE, "/x/my.toml"),
            (RUNTIME_DIR_VARIABLE, "/x/run"),
            (STATE_DIR_VARIABLE, "/x/state"),
        ]);
        assert_eq!(p.config, Path::new("/x/my.toml"));
        assert_eq!(p.socket(), Path::new("/x/run/daemon.sock"));
        assert_eq!(p.info(), Path::new("/x/state/daemon.json"));
    }

    #[test]
    fn empty_and_relative_xdg_variables_count_as_unset() {
        assert_eq!(places(&[("XDG_STATE_HOME", ""), ("XDG_RUNTIME_DIR", "run")]), places(&[]));
    }
}
