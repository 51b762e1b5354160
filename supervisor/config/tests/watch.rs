//! A change of the config is noticed, however it is written.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use tempfile::TempDir;
use wezterm_parallel_config::watch::{Watcher, watch};

/// How long a test waits for what must come before it counts as never coming.
const PATIENCE: Duration = Duration::from_secs(60);

struct Watched {
    dir: TempDir,
    watcher: Watcher,
    changes: Receiver<()>,
}

/// Watches `path` in a directory that `prepare` has filled.
fn watched(path: &str, prepare: impl FnOnce(&Path)) -> Watched {
    let dir = tempfile::tempdir().expect("a directory");
    prepare(dir.path());
    let (tell, changes) = channel();
    let watcher = watch(&dir.path().join(path), move || {
        let _ = tell.send(());
    })
    .expect("a watcher");
    Watched { dir, watcher, changes }
}

impl Watched {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    fn sees(&self, what: &str) {
        self.changes.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("not seen: {what}"));
    }
    /// Ends the watcher and says how many changes it told that were not waited for.
    fn rest(self) -> usize {
        drop(self.watcher);
        self.changes.iter().count()
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
}

/// As most editors save.
fn write_by_renaming(path: &Path, text: &str) {
    let new = path.with_extension("new");
    write(&new, text);
    fs::rename(new, path).expect("renamed");
}

#[test]
fn every_way_to_save_a_file_is_seen_and_every_time() {
    let w = watched("config.yaml", |dir| write(&dir.join("config.yaml"), "0"));
    let path = w.path("config.yaml");
    write(&path, "1");
    w.sees("written in place");
    write_by_renaming(&path, "2");
    w.sees("renamed over");
    write_by_renaming(&path, "3");
    w.sees("renamed over once more");
    fs::rename(&path, w.path("config.yaml~")).expect("renamed");
    write(&path, "4");
    w.sees("moved away and written anew, as vim does");
    fs::remove_file(&path).expect("removed");
    w.sees("removed");
    write(&path, "5");
    w.sees("made again");
    assert_eq!(w.rest(), 0);
}

#[test]
fn what_leaves_the_content_as_it_is_tells_nothing() {
    let w = watched("config.yaml", |dir| write(&dir.join("config.yaml"), "same"));
    write_by_renaming(&w.path("config.yaml"), "same");
    write(&w.path("another"), "file");
    w.watcher.poke();
    // not in place: the poke may come while the file is empty
    write_by_renaming(&w.path("config.yaml"), "other");
    w.sees("the one change");
    w.watcher.poke();
    assert_eq!(w.rest(), 0);
}

#[test]
fn a_file_whose_directory_does_not_exist_yet_is_seen_when_it_comes() {
    let w = watched("a/b/config.yaml", |_| {});
    fs::create_dir_all(w.path("a/b")).expect("made");
    write(&w.path("a/b/config.yaml"), "1");
    w.sees("made with its directories");
    write_by_renaming(&w.path("a/b/config.yaml"), "2");
    w.sees("saved");
    fs::remove_dir_all(w.path("a")).expect("removed");
    w.sees("removed with its directories");
    fs::create_dir_all(w.path("a/b")).expect("made");
    write(&w.path("a/b/config.yaml"), "3");
    w.sees("made again");
}

#[test]
fn a_file_behind_links_is_seen_at_both_ends() {
    // home/config.yaml -> ../dotfiles/link.yaml -> v1/real.yaml
    let w = watched("home/config.yaml", |dir| {
        for sub in ["home", "dotfiles/v1", "dotfiles/v2"] {
            fs::create_dir_all(dir.join(sub)).expect("made");
        }
        write(&dir.join("dotfiles/v1/real.yaml"), "1");
        symlink("v1/real.yaml", dir.join("dotfiles/link.yaml")).expect("linked");
        symlink("../dotfiles/link.yaml", dir.join("home/config.yaml")).expect("linked");
    });
    write_by_renaming(&w.path("dotfiles/v1/real.yaml"), "2");
    w.sees("the file at the end");
    write(&w.path("dotfiles/v2/real.yaml"), "3");
    symlink("v2/real.yaml", w.path("dotfiles/new")).expect("linked");
    fs::rename(w.path("dotfiles/new"), w.path("dotfiles/link.yaml")).expect("renamed");
    w.sees("the link in the middle");
    write(&w.path("dotfiles/v2/real.yaml"), "4");
    w.sees("the file at the new end");
    write_by_renaming(&w.path("home/config.yaml"), "5");
    w.sees("a file in place of the link");
}

#[test]
fn an_exchange_of_a_directory_of_links_is_seen() {
    // as Kubernetes mounts a ConfigMap: config.yaml -> ..data/config.yaml, ..data -> ..v1
    let w = watched("config.yaml", |dir| {
        for v in ["..v1", "..v2"] {
            fs::create_dir(dir.join(v)).expect("made");
            write(&dir.join(v).join("config.yaml"), v);
        }
        symlink("..v1", dir.join("..data")).expect("linked");
        symlink("..data/config.yaml", dir.join("config.yaml")).expect("linked");
    });
    symlink("..v2", w.path("..tmp")).expect("linked");
    fs::rename(w.path("..tmp"), w.path("..data")).expect("renamed");
    w.sees("the exchange");
    write(&w.path("..v2/config.yaml"), "edited");
    w.sees("an edit after it");
}

#[test]
fn a_directory_that_is_exchanged_as_a_whole_is_seen() {
    let w = watched("conf/config.yaml", |dir| {
        for sub in ["conf", "next"] {
            fs::create_dir(dir.join(sub)).expect("made");
            write(&dir.join(sub).join("config.yaml"), sub);
        }
    });
    fs::rename(w.path("conf"), w.path("old")).expect("renamed");
    fs::rename(w.path("next"), w.path("conf")).expect("renamed");
    w.sees("the exchange");
    write(&w.path("conf/config.yaml"), "edited");
    w.sees("an edit in the new one");
}

#[test]
fn a_link_to_itself_does_no_harm() {
    let w = watched("config.yaml", |dir| symlink("config.yaml", dir.join("config.yaml")).expect("linked"));
    fs::remove_file(w.path("config.yaml")).expect("removed");
    write(&w.path("config.yaml"), "1");
    w.sees("a file in its place");
}
