//! Our own executable, and the copy of it that outlives `cargo clean`: keepers, panes and hooks are
//! started from it for months.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    app::{App, same_file},
    failure::{Context, Failure, Outcome},
    output, program,
};

const NAME: &str = "wezterm-parallel";

/// This program's file.
pub fn current() -> Outcome<PathBuf> {
    let exe = std::env::current_exe().failed_to(|| "find this program's own file".into())?;
    // Linux says so of a file that was replaced by a newer build; the newer one lies in its place
    let text = exe.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(exe))
}

/// The stable link to the newest copy.
pub fn link(app: &App) -> PathBuf {
    app.home.join(".local/bin").join(NAME)
}

/// The copy of this version.
pub fn copy_of_this_version(app: &App) -> PathBuf {
    app.places.executables().join(env!("CARGO_PKG_VERSION")).join(NAME)
}

/// Sees to a copy of this program that stays. Gives the file that a daemon is to be started from.
///
/// Asked is only about a program in a build directory: one that was installed stays anyway. With `yes`
/// a copy is made of any.
pub fn settle(app: &App, yes: bool) -> Outcome<PathBuf> {
    let current = current()?;
    let copy = copy_of_this_version(app);
    if current.starts_with(app.places.executables()) {
        return Ok(current);
    }
    let there = program::same_bytes(&current, &copy).unwrap_or(false);
    if !there {
        let question = format!("Copy this program to {}, so that it outlives `cargo clean`?", copy.display());
        let wanted = yes || (in_build_directory(&current) && output::ask(&question, true));
        if !wanted {
            return Ok(current);
        }
        put(&current, &copy)?;
        output::progress(format_args!("copied this program to {}", copy.display()));
    }
    if let Linked::Done = put_link(app, &copy)? {
        output::progress(format_args!("linked it as {}", link(app).display()));
    }
    Ok(copy)
}

/// cargo leaves its lock beside what it builds.
fn in_build_directory(exe: &Path) -> bool {
    let beside = |name| exe.parent().is_some_and(|dir| dir.join(name).exists());
    beside(".cargo-lock") || exe.components().any(|c| c.as_os_str() == "target")
}

fn put(from: &Path, to: &Path) -> Outcome {
    let what = || format!("copy this program to {}", to.display());
    let dir = to.parent().expect("it lies in the directory of its version");
    fs::create_dir_all(dir).failed_to(what)?;
    // whoever runs the old one keeps it: the name is given to a new file
    let fresh = dir.join(format!(".{NAME}.{}", std::process::id()));
    let done = fs::copy(from, &fresh).and_then(|_| fs::rename(&fresh, to));
    if done.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    done.failed_to(what)
}

enum Linked {
    Done,
    Already,
    NotOurs,
}

fn put_link(app: &App, to: &Path) -> Outcome<Linked> {
    let link = link(app);
    let what = || format!("link {}", link.display());
    match link_state(app, &link) {
        LinkState::Ours(target) if target == to => return Ok(Linked::Already),
        LinkState::Foreign => {
            output::note(format_args!("{} is not ours and is left as it is", link.display()));
            return Ok(Linked::NotOurs);
        }
        LinkState::Ours(_) | LinkState::None => {}
    }
    let dir = link.parent().ok_or_else(|| Failure::new(what(), "it has no directory"))?;
    fs::create_dir_all(dir).failed_to(what)?;
    let fresh = dir.join(format!(".{NAME}.{}", std::process::id()));
    symlink(to, &fresh).and_then(|()| fs::rename(&fresh, &link)).failed_to(what)?;
    let on_path =
        std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|p| same_file(&p, dir)));
    if !on_path {
        output::hint(format_args!("put {} on your PATH to have `{NAME}` at hand", dir.display()));
    }
    Ok(Linked::Done)
}

enum LinkState {
    None,
    Ours(PathBuf),
    Foreign,
}

fn link_state(app: &App, link: &Path) -> LinkState {
    match fs::read_link(link) {
        Ok(target) if target.starts_with(app.places.executables()) => LinkState::Ours(target),
        Ok(_) => LinkState::Foreign,
        Err(_) if link.symlink_metadata().is_ok() => LinkState::Foreign,
        Err(_) => LinkState::None,
    }
}

/// Takes the link away if it is ours; says whether it did.
pub fn remove_link(app: &App) -> Outcome<bool> {
    let link = link(app);
    match link_state(app, &link) {
        LinkState::Ours(_) => {
            fs::remove_file(&link).failed_to(|| format!("remove {}", link.display())).map(|()| true)
        }
        LinkState::None | LinkState::Foreign => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(dir: &Path) -> App {
        let places = wezterm_parallel_schemas::places::Places::new(|_| None, dir);
        App { places, home: dir.to_owned(), json: false, config_given: None }
    }

    #[test]
    fn a_newer_copy_takes_the_name_and_the_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let app = app(dir.path());
        let (from, copy) = (dir.path().join("built"), copy_of_this_version(&app));
        for bytes in ["old", "new"] {
            fs::write(&from, bytes).expect("a file");
            put(&from, &copy).expect("copied");
            put_link(&app, &copy).expect("linked");
            assert_eq!(fs::read_to_string(link(&app)).expect("through the link"), bytes);
        }
        assert!(matches!(put_link(&app, &copy), Ok(Linked::Already)));
        let names: Vec<_> = fs::read_dir(link(&app).parent().expect("a directory")).expect("read").collect();
        assert_eq!(names.len(), 1, "nothing half made is left");
        assert_eq!(remove_link(&app), Ok(true));
        assert_eq!(remove_link(&app), Ok(false));
    }

    #[test]
    fn a_program_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let app = app(dir.path());
        fs::create_dir_all(link(&app).parent().expect("a directory")).expect("made");
        fs::write(link(&app), "theirs").expect("a file");
        assert!(matches!(put_link(&app, Path::new("/x")), Ok(Linked::NotOurs)));
        assert_eq!(remove_link(&app), Ok(false));
        assert_eq!(fs::read_to_string(link(&app)).expect("still there"), "theirs");
    }
}
