//! Directories that others know: those below the user's roots, those with sessions of Claude, zoxide's.

use std::{
    collections::{HashSet, VecDeque},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use indexmap::IndexMap;
use tokio::{io::AsyncReadExt as _, process::Command};
use wezterm_parallel_core::project::{Known, PROJECTS_MAX, is_offered};
use wezterm_parallel_schemas::layout::ProjectFrom;

use super::{
    mounts::{Look, Looks},
    sessions,
};

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

/// Something that may be the directory of a project, or leads to some.
#[derive(Clone, Debug)]
pub enum Place {
    /// A directory that somebody knows.
    Directory(Known),
    /// One whose subdirectories are projects.
    Root(PathBuf),
    /// An account of Claude's. Its sessions took place somewhere.
    Account(PathBuf),
}

impl Place {
    /// A directory that somebody knows and no workspace has.
    pub fn of(path: PathBuf, from: ProjectFrom, used_at: Option<i64>) -> Self {
        Self::Directory(Known { path, from, workspace: None, used_at })
    }
}

/// The directory if it is there, or where the place leads. Reads the disk.
pub fn look_at(place: Place, look: &Look) -> (Option<Known>, Vec<Place>) {
    match place {
        Place::Directory(known) => {
            let there = look.resolve(&known.path).filter(|path| path.is_dir());
            (there.map(|path| Known { path, ..known }), Vec::new())
        }
        Place::Root(root) => {
            let found = look.resolve(&root).map(|_| below(&root)).unwrap_or_default();
            (None, found.into_iter().map(|path| Place::of(path, ProjectFrom::Root, None)).collect())
        }
        Place::Account(account) => {
            let found = look.resolve(&account.join("projects")).map(|_| of_sessions(&account));
            let place = |(path, at)| Place::of(path, ProjectFrom::Session, Some(at));
            (None, found.unwrap_or_default().into_iter().map(place).collect())
        }
    }
}

/// The direct subdirectories of a root, but for hidden ones, by name. Reads the disk.
fn below(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten().take(ROOT_ENTRIES_MAX);
    let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| is_offered(p)).collect();
    found.sort();
    found
}

/// Where the sessions of an account took place, with when each was last written to, newest first. Reads the
/// disk.
fn of_sessions(account: &Path) -> Vec<(PathBuf, i64)> {
    let mut seen = HashSet::new();
    // Claude has a directory for each; the newest transcript in it stands for all
    let newest = sessions::all(account, None)
        .into_iter()
        .filter(|t| t.path.parent().is_some_and(|dir| seen.insert(dir.to_owned())));
    let newest: Vec<_> = newest.take(SESSION_DIRS_MAX).collect();
    newest.iter().filter_map(|t| Some((sessions::digest(t)?.cwd?, t.updated_at))).collect()
}

/// What zoxide knows, in its order; nothing if it is not there or does not answer.
pub async fn of_zoxide(looks: &Looks, env: &IndexMap<String, String>, home: &Path) -> Vec<PathBuf> {
    let path = env.get("PATH").map_or("", String::as_str);
    let Some(program) = find(looks, "zoxide", path, home).await else { return Vec::new() };
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
async fn find(looks: &Looks, program: &str, path: &str, home: &Path) -> Option<PathBuf> {
    let usual = USUAL_PLACES.iter().map(|place| match place.strip_prefix("~/") {
        Some(below) => home.join(below),
        None => PathBuf::from(place),
    });
    let all = std::env::split_paths(path).filter(|dir| dir.is_absolute()).chain(usual);
    let files: VecDeque<PathBuf> = all.map(|dir| dir.join(program)).collect();
    looks.at(vec![files], first_that_runs).await.pop()
}

/// The first of these files if it can be run, else those that are left.
fn first_that_runs(mut files: VecDeque<PathBuf>, look: &Look) -> (Option<PathBuf>, Vec<VecDeque<PathBuf>>) {
    let Some(file) = files.pop_front() else { return (None, Vec::new()) };
    let there = look.resolve(&file).and_then(|path| path.metadata().ok());
    match there.is_some_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0) {
        true => (Some(file), Vec::new()),
        false => (None, vec![files]),
    }
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
        assert_eq!(below(dir.path()), [dir.path().join("a"), dir.path().join("b")]);
        assert_eq!(below(&dir.path().join("none")), [""; 0].map(PathBuf::from));
    }

    #[actix::test]
    async fn a_program_is_found_off_the_path_and_what_does_not_run_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let (bin, own) = (dir.path().join("bin"), dir.path().join(".local/bin"));
        for place in [&bin, &own] {
            std::fs::create_dir_all(place).expect("a directory");
            std::fs::write(place.join("prog"), "").expect("written");
        }
        let path = bin.to_string_lossy().into_owned();
        let looks = Looks::new(dir.path());
        assert_eq!(find(&looks, "prog", &path, dir.path()).await, None);
        std::fs::set_permissions(own.join("prog"), std::fs::Permissions::from_mode(0o700)).expect("ours");
        assert_eq!(find(&looks, "prog", &path, dir.path()).await, Some(own.join("prog")));
    }
}
