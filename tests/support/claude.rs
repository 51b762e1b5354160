//! The real Claude Code, in one fixed version, installed once below `target/`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// The version that the tests are written for.
pub const VERSION: &str = "2.1.330";

/// An older one, which does not report its status to its terminal: what npm gives on Node.js 20.
pub const OLD_VERSION: &str = "2.1.197";

/// Environment variable that leaves out every test that needs Claude Code. Any value but `0` will do.
pub const SKIP_VARIABLE: &str = "WEZTERM_PARALLEL_SKIP_CLAUDE";

/// The executable. None if those who run the tests asked to leave it out, which is then said on the
/// terminal. The first call installs it by npm; tests that run at the same time wait for it.
pub fn executable() -> Option<PathBuf> {
    executable_of(VERSION)
}

/// The executable of a version.
pub fn executable_of(version: &str) -> Option<PathBuf> {
    if std::env::var_os(SKIP_VARIABLE).is_some_and(|v| !v.is_empty() && v != "0") {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        super::site::say(&format!("left out, as {SKIP_VARIABLE} is set: {test}"));
        return None;
    }
    let target = target_dir();
    let prefix =
        target.join(if version == VERSION { "claude".to_owned() } else { format!("claude-{version}") });
    // held until the end of this function, by one test in one process
    let lock = File::create(target.join("claude.lock")).expect("the target directory can be written to");
    lock.lock().expect("a file in the target directory can be locked");
    if !prefix.exists() {
        install(&target, &prefix, version);
    }
    Some(native(&prefix).unwrap_or_else(|| {
        panic!("no Claude Code in {}: remove it to have it installed anew", prefix.display())
    }))
}

/// Installs beside the place where it is to be, so that an interrupted installation is not taken for one.
fn install(target: &Path, prefix: &Path, version: &str) {
    let partial = target.join("claude.partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).expect("the target directory can be written to");
    super::site::say(&format!("installing Claude Code {version} into {} by npm, once", prefix.display()));
    let npm = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(&partial)
        .arg(format!("@anthropic-ai/claude-code@{version}"))
        .output();
    let output = npm.unwrap_or_else(|e| {
        panic!(
            "these tests drive the real Claude Code, which npm installs below target/, and npm cannot be run \
             ({e}). Install Node.js with npm, or set {SKIP_VARIABLE}=1 to leave them out"
        )
    });
    assert!(
        output.status.success(),
        "npm could not install Claude Code {version} ({}); {SKIP_VARIABLE}=1 leaves these tests out:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&partial, prefix).expect("a directory can be renamed within the target directory");
}

/// The native executable of this machine's platform, which needs no Node.js.
fn native(prefix: &Path) -> Option<PathBuf> {
    let packages = prefix.join("node_modules/@anthropic-ai");
    let mut found: Vec<PathBuf> = fs::read_dir(packages)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("claude")))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.into_iter().next()
}

/// Cargo's target directory: two above the executable that is tested.
fn target_dir() -> PathBuf {
    let executable = Path::new(env!("CARGO_BIN_EXE_wezterm-parallel"));
    executable.ancestors().nth(2).expect("cargo puts it into target/PROFILE").to_path_buf()
}
