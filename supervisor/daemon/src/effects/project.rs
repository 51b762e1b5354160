//! Directories that others know: those below the user's roots, those with sessions of Claude, zoxide's.

use std::{
    collections::HashSet,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use indexmap::IndexMap;
use tokio::{io::AsyncReadExt as _, process::Command};
use wezterm_parallel_core::project::{Known, PROJECTS_MAX, is_offered};
use wezterm_parallel_schemas::layout::ProjectFrom;

use super::sessions;

/// Most entries of a root that are looked at: reading so many takes some milliseconds.
const ROOT_ENTRIES_MAX: usize = 2_000;
/// Most directories with sessions whose transcripts are looked into, the newest first: each takes a tenth of a
/// millisecond.
const SESSION_DIRS_MAX: usize = 500;
/// zoxide answers in 2 ms. Somebody waits for the list.
const ZOXIDE_TIMEOUT: Duration = Duration::from_millis(500);
/// What is read of its answer, in bytes: some thousand directories.
const ZOXIDE_BYTES_MAX: u64 = 256 << 10;
/// Where programs lie that a daemon without a login shell's PATH does not find, below the home directory and
/// in full.
const USUAL_PLACES: [&str; 5] =
    ["~/.cargo/bin", "~/.local/bin", "/opt/homebrew/bin", "/usr/local/bin", "/home/linuxbrew/.linuxbrew/bin"];

/// The direct subdirectories of the roots, but for hidden ones, each root's by name. Reads the disk.
pub fn below(roots: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in roots {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten().take(ROOT_ENTRIES_MAX);
        let mut own: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| is_offered(p)).collect();
        own.sort();
        found.extend(own);
    }
    found
}

/// Where the sessions of an account took place, with when each was last written to, newest first. Reads the
/// disk.
pub fn of_sessions(account: &Path) -> Vec<(PathBuf, i64)> {
    let mut seen = HashSet::new();
    // Claude has a directory for each; the newest transcript in it stands for all
    let newest = sessions::all(account, None)
        .into_iter()
        .filter(|t| t.path.parent().is_some_and(|dir| seen.insert(dir.to_owned())));
    let newest: Vec<_> = newest.take(SESSION_DIRS_MAX).collect();
    newest.iter().filter_map(|t| Some((sessions::digest(t)?.cwd?, t.updated_at))).collect()
}

/// A directory as it is known, if it is there. Reads the disk.
pub fn known(
    path: &Path,
    from: ProjectFrom,
    workspace: Option<String>,
    used_at: Option<i64>,
) -> Option<Known> {
    let path = path.canonicalize().ok().filter(|p| p.is_dir())?;
    Some(Known { path, from, workspace, used_at })
}

/// What zoxide knows, in its order; nothing if it is not there or does not answer.
pub async fn of_zoxide(env: &IndexMap<String, String>, home: &Path) -> Vec<PathBuf> {
    let path = env.get("PATH").cloned().unwrap_or_default();
    let home = home.to_owned();
    let found = tokio::task::spawn_blocking(move || find("zoxide", &path, &home)).await;
    let Ok(Some(program)) = found else { return Vec::new() };
    let mut command = Command::new(program);
    command.args(["query", "--list"]).env_clear().envs(env).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut answer = Vec::new();
    let ask = async {
        let mut child = command.spawn()?;
        if let Some(stdout) = child.stdout.take() {
            stdout.take(ZOXIDE_BYTES_MAX).read_to_end(&mut answer).await?;
        }
        child.wait().await.map(drop)
    };
    // when the time is up it is killed, and what it has said counts all the same
    match tokio::time::timeout(ZOXIDE_TIMEOUT, ask).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::debug!(error = %e, "zoxide cannot be asked"),
        Err(_) => tracing::debug!("zoxide takes too long"),
    }
    let lines = answer.split_inclusive(|b| *b == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    let paths = lines.map(|line| PathBuf::from(std::ffi::OsStr::from_bytes(line)));
    paths.filter(|path| path.is_absolute()).take(PROJECTS_MAX as usize).collect()
}

/// A program by its whole path, on the PATH or where such programs usually lie. Reads the disk.
fn find(program: &str, path: &str, home: &Path) -> Option<PathBuf> {
    let usual = USUAL_PLACES.iter().map(|place| match place.strip_prefix("~/") {
        Some(below) => home.join(below),
        None => PathBuf::from(place),
    });
    let all = std::env::split_paths(path).filter(|dir| dir.is_absolute()).chain(usual);
    let runs =
        |file: &PathBuf| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    all.map(|dir| dir.join(program)).find(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_hidden_lies_below_a_root() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["b", "a", ".hidden"] {
            std::fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let roots = [dir.path().to_owned(), dir.path().join("none")];
        assert_eq!(below(&roots), [dir.path().join("a"), dir.path().join("b")]);
    }

    #[test]
    fn a_program_is_found_off_the_path_and_what_does_not_run_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let (bin, own) = (dir.path().join("bin"), dir.path().join(".local/bin"));
        for place in [&bin, &own] {
            std::fs::create_dir_all(place).expect("a directory");
            std::fs::write(place.join("prog"), "").expect("written");
        }
        let path = bin.to_string_lossy().into_owned();
        assert_eq!(find("prog", &path, dir.path()), None);
        std::fs::set_permissions(own.join("prog"), std::fs::Permissions::from_mode(0o700)).expect("ours");
        assert_eq!(find("prog", &path, dir.path()), Some(own.join("prog")));
    }
}
