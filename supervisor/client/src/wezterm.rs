//! WezTerm on this machine: its config files, the plugin's checkouts, and the small module that
//! `install-wezterm-config.sh` puts beside the config.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    app::App,
    failure::{Context, Outcome},
};

/// First line of what `install-wezterm-config.sh` writes.
const MARK: &str =
    "-- Written by install-wezterm-config.sh of wezterm-parallel, and removed by its --uninstall.";
/// The oldest WezTerm that the plugin works in: the stable release of that day.
const DAY_MIN: u32 = 20_240_203;

/// Where WezTerm looks for its files.
pub struct WezTerm {
    config_dir: PathBuf,
    plugins_dir: PathBuf,
    home: PathBuf,
    config_given: Option<PathBuf>,
}

/// A checkout of the plugin.
#[derive(Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The directory of its repository.
    pub dir: PathBuf,
    /// The version that its files say.
    pub version: Option<String>,
}

impl WezTerm {
    /// As this program's environment has it.
    pub fn here(app: &App) -> Self {
        Self::new(&app.home, |name| std::env::var_os(name))
    }

    fn new(home: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let xdg = |name: &str, below: &str| {
            let set = variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
            set.unwrap_or_else(|| home.join(below)).join("wezterm")
        };
        Self {
            config_dir: xdg("XDG_CONFIG_HOME", ".config"),
            plugins_dir: xdg("XDG_DATA_HOME", ".local/share").join("plugins"),
            home: home.to_owned(),
            config_given: variable("WEZTERM_CONFIG_FILE").filter(|v| !v.is_empty()).map(PathBuf::from),
        }
    }

    /// The config that WezTerm reads: the first of these that is there.
    pub fn config(&self) -> Option<PathBuf> {
        let usual = [self.home.join(".wezterm.lua"), self.config_dir.join("wezterm.lua")];
        self.config_given.iter().cloned().chain(usual).find(|file| file.exists())
    }

    /// Whether a config says something of the plugin.
    pub fn names_plugin(config: &Path) -> bool {
        let text = fs::read(config).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.contains("wezterm_parallel") || text.contains("wezterm-parallel")
    }

    /// The module for `require 'wezterm_parallel'`.
    fn shim(&self) -> PathBuf {
        self.config_dir.join("wezterm_parallel.lua")
    }

    /// Takes that module away if it is ours; gives its path if it did.
    pub fn remove_shim(&self) -> Outcome<Option<PathBuf>> {
        let shim = self.shim();
        let ours = fs::read_to_string(&shim).is_ok_and(|text| text.lines().next() == Some(MARK));
        if !ours {
            return Ok(None);
        }
        fs::remove_file(&shim).failed_to(|| format!("remove {}", shim.display()))?;
        Ok(Some(shim))
    }

    /// What that script had put aside, the oldest first.
    pub fn put_aside(&self) -> Vec<PathBuf> {
        let mut found = entries(&self.config_dir);
        let begins = |p: &PathBuf| {
            p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("wezterm_parallel.lua.backup-"))
        };
        found.retain(begins);
        found.sort();
        found
    }

    /// All checkouts of the plugin: those of `wezterm.plugin`, and the one that the module names.
    pub fn checkouts(&self) -> Vec<Checkout> {
        let mut dirs = entries(&self.plugins_dir);
        dirs.sort();
        let shim = fs::read_to_string(self.shim()).unwrap_or_default();
        dirs.extend(shim.lines().find_map(named_checkout));
        let lua = |dir: &Path| dir.join("plugin/wezterm_parallel/wire.lua");
        dirs.retain(|dir| lua(dir).exists());
        dirs.into_iter()
            .map(|dir| {
                let text = fs::read_to_string(lua(&dir)).unwrap_or_default();
                Checkout { version: text.lines().find_map(stated_version), dir }
            })
            .collect()
    }
}

/// What is to be said of a version of WezTerm, `wezterm 20240203-110809-5046fc22`, if it is too old.
pub fn too_old(version: &str) -> Option<String> {
    let stamp = version.split_whitespace().find(|word| word.starts_with("20"))?;
    let day: u32 = stamp.split('-').next()?.parse().ok()?;
    (day < DAY_MIN).then(|| format!("the plugin needs WezTerm of {DAY_MIN} or later"))
}

/// `return dofile "/DIR/plugin.lua"`.
fn named_checkout(line: &str) -> Option<PathBuf> {
    let quoted = line.strip_prefix("return dofile \"")?.strip_suffix('"')?;
    let mut path = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        path.push(if c == '\\' { chars.next()? } else { c });
    }
    Some(Path::new(&path).parent()?.to_owned())
}

/// `wire.version = '0.1.0'`.
fn stated_version(line: &str) -> Option<String> {
    Some(line.strip_prefix("wire.version = '")?.strip_suffix('\'')?.to_owned())
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|found| found.flatten().map(|e| e.path()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("a file");
    }

    #[test]
    fn checkouts_are_found_where_wezterm_clones_them_and_where_the_module_says() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path().join("a \"home\"");
        let wezterm = WezTerm::new(&home, |_| None);
        assert_eq!(wezterm.checkouts(), []);
        let cloned = home.join(".local/share/wezterm/plugins/httpssCssZsexample");
        put(&cloned.join("plugin/wezterm_parallel/wire.lua"), "local wire = {}\nwire.version = '0.0.9'\n");
        put(&home.join(".local/share/wezterm/plugins/another/plugin/init.lua"), "");
        let own = home.join("src");
        put(&own.join("plugin/wezterm_parallel/wire.lua"), "");
        let quoted = own.join("plugin.lua").display().to_string().replace('"', "\\\"");
        put(&wezterm.shim(), &format!("{MARK}\nreturn dofile \"{quoted}\"\n"));
        assert_eq!(
            wezterm.checkouts(),
            [Checkout { dir: cloned, version: Some("0.0.9".into()) }, Checkout { dir: own, version: None }]
        );
    }

    #[test]
    fn only_a_module_of_ours_is_taken_away() {
        let dir = tempfile::tempdir().expect("a directory");
        let wezterm = WezTerm::new(dir.path(), |_| None);
        assert_eq!(wezterm.remove_shim(), Ok(None));
        put(&wezterm.shim(), "return {}\n");
        assert_eq!(wezterm.remove_shim(), Ok(None));
        put(&wezterm.shim(), &format!("{MARK}\nreturn {{}}\n"));
        assert_eq!(wezterm.remove_shim(), Ok(Some(wezterm.shim())));
        assert!(!wezterm.shim().exists());
        put(&dir.path().join(".config/wezterm/wezterm_parallel.lua.backup-20260101-000000"), "");
        assert_eq!(wezterm.put_aside().len(), 1);
    }

    #[test]
    fn the_config_is_the_first_that_wezterm_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path();
        let given = home.join("mine.lua");
        let wezterm = WezTerm::new(home, |n| (n == "WEZTERM_CONFIG_FILE").then(|| given.clone().into()));
        assert_eq!(wezterm.config(), None);
        for file in [home.join(".config/wezterm/wezterm.lua"), home.join(".wezterm.lua"), given] {
            put(&file, "return {}\n");
            assert_eq!(wezterm.config().as_ref(), Some(&file));
            assert!(!WezTerm::names_plugin(&file));
        }
        put(&home.join("mine.lua"), "local multi_dev = require 'wezterm_parallel'\n");
        assert!(WezTerm::names_plugin(&home.join("mine.lua")));
    }

    #[test]
    fn a_wezterm_older_than_the_plugin_needs_is_told_by_its_day() {
        assert!(too_old("wezterm 20230712-072601-f4abf8fd").is_some());
        for fine in ["wezterm 20240203-110809-5046fc22", "wezterm 20250223-000000-abc", "wezterm 0.1", ""] {
            assert_eq!(too_old(fine), None, "{fine}");
        }
    }
}
