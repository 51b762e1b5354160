//! Saved templates on the disk, one file each, in the directory beside the config and nowhere else.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    path::Path,
    time::{Duration, SystemTime},
};

use ulid::Ulid;
use wezterm_parallel_config::layout;
use wezterm_parallel_schemas::layout::{Layout, LayoutSource, LayoutView};

/// A new file that is older than this was left by a daemon that was killed: one is written in some
/// milliseconds, on a disk that is being hammered in seconds.
const LEFT_AGE: Duration = Duration::from_secs(600);

/// A saved template, right or not; none if there is no file of this name. Reads the disk.
pub fn saved(dir: &Path, name: &str, agents: &[String]) -> Option<LayoutView> {
    let file = layout::file(dir, name)?;
    // also a link that leads nowhere is there: it is not to be overwritten unasked
    file.symlink_metadata().ok()?;
    let (layout, problem) = match layout::load(&file) {
        Ok(layout) => {
            let problem = layout::unknown_agent(&layout, agents.iter().map(String::as_str));
            (layout, problem)
        }
        Err(e) => (Layout::default(), Some(e.to_string())),
    };
    Some(LayoutView { name: name.to_owned(), source: LayoutSource::Saved, file: Some(file), layout, problem })
}

/// All saved templates, by name. Reads the disk.
pub fn all_saved(dir: &Path, agents: &[String]) -> Vec<LayoutView> {
    layout::saved_names(dir).iter().filter_map(|name| saved(dir, name, agents)).collect()
}

/// Writes a template into its file, whole or not at all. Writes the disk.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] if there is one and it is not to be replaced; and whatever the disk says.
pub fn save(file: &Path, text: &str, replace: bool) -> io::Result<()> {
    let dir = file.parent().ok_or(ErrorKind::InvalidInput)?;
    fs::create_dir_all(dir)?;
    remove_left(dir);
    // no name of a template begins with a dot, and no other save writes into this one
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = dir.join(format!(".{name}.{}.new", Ulid::generate()));
    let written = write(&new, text).and_then(|()| put(&new, file, replace));
    let _ = fs::remove_file(&new);
    written?;
    File::open(dir)?.sync_all()
}

/// Removes what saves have left that did not come to their end.
fn remove_left(dir: &Path) {
    let made_at = |path: &Path| {
        let name = path.file_name()?.to_str()?.strip_prefix('.')?.strip_suffix(".new")?;
        Some(name.rsplit_once('.')?.1.parse::<Ulid>().ok()?.datetime())
    };
    let now = SystemTime::now();
    let is_left = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age > LEFT_AGE);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if made_at(&entry.path()).is_some_and(is_left) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn put(new: &Path, file: &Path, replace: bool) -> io::Result<()> {
    if replace {
        return fs::rename(new, file);
    }
    // a link is made only where there is nothing yet
    match fs::hard_link(new, file) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists && file.symlink_metadata().is_err() => {
            // a file system without hard links
            fs::rename(new, file)
        }
        linked => linked,
    }
}

/// Removes a saved template. Writes the disk.
///
/// # Errors
/// [`ErrorKind::NotFound`] if there is none; and whatever the disk says.
pub fn delete(file: &Path) -> io::Result<()> {
    fs::remove_file(file)?;
    File::open(file.parent().ok_or(ErrorKind::InvalidInput)?)?.sync_all()
}

/// Writes the schema that the modelines name, where it is not there as it should be. Writes the disk.
pub fn write_schema(file: &Path) {
    let text = format!("{:#}\n", layout::schema());
    if fs::read_to_string(file).is_ok_and(|old| old == text) {
        return;
    }
    if let Err(e) = save(file, &text, true) {
        // an editor does not complete; nothing else is amiss
        tracing::warn!(file = %file.display(), error = %e, "the schema of layouts cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, thread};

    use super::*;

    #[test]
    fn a_template_is_replaced_only_where_that_is_asked_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("layouts/mine.yaml");
        save(&file, "tabs: [{}]\n", false).expect("it is new");
        let refused = save(&file, "other", false).expect_err("it is there");
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "tabs: [{}]\n");
        save(&file, "other", true).expect("asked for");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "other");
        let names: Vec<_> =
            fs::read_dir(dir.path().join("layouts")).expect("a directory").flatten().collect();
        assert_eq!(names.len(), 1, "nothing is left lying about");
        delete(&file).expect("it is there");
        assert_eq!(delete(&file).expect_err("it is gone").kind(), ErrorKind::NotFound);
    }

    #[test]
    fn saves_of_one_layout_at_the_same_time_do_not_touch_each_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mine, new) = (dir.path().join("mine.yaml"), dir.path().join("new.yaml"));
        let all_at_once = Barrier::new(4);
        let made = thread::scope(|scope| {
            let each = ["a", "b", "c", "d"].map(|text| {
                let (mine, new, all_at_once) = (&mine, &new, &all_at_once);
                scope.spawn(move || {
                    all_at_once.wait();
                    for _ in 0..8 {
                        save(mine, &text.repeat(9_000), true).expect("nobody else's save is in its way");
                    }
                    save(new, text, false).map_err(|e| e.kind())
                })
            });
            each.map(|one| one.join().expect("it ends"))
        });
        let text = fs::read_to_string(&mine).expect("it is there");
        assert!(text.len() == 9_000 && text.chars().all(|c| text.starts_with(c)), "the whole of one of them");
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
        let refused = made.iter().filter(|made| **made == Err(ErrorKind::AlreadyExists));
        assert_eq!(refused.count(), 3, "{made:?}");
    }

    #[test]
    fn what_a_save_has_left_that_was_cut_short_is_no_layout_and_goes_with_the_next_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let before = |ago: Duration| Ulid::from_datetime(SystemTime::now() - ago);
        let left = dir.path().join(format!(".mine.yaml.{}.new", before(2 * LEFT_AGE)));
        let under_way = dir.path().join(format!(".mine.yaml.{}.new", before(Duration::ZERO)));
        let others = dir.path().join(".mine.yaml.new");
        for file in [&left, &under_way, &others] {
            fs::write(file, "tabs: [{}]\n").expect("written");
        }
        assert_eq!(all_saved(dir.path(), &[]), []);
        save(&dir.path().join("other.yaml"), "tabs: [{}]\n", false).expect("it is new");
        assert_eq!([&left, &under_way, &others].map(|file| file.exists()), [false, true, true]);
        let names: Vec<String> = all_saved(dir.path(), &[]).into_iter().map(|v| v.name).collect();
        assert_eq!(names, ["other"]);
    }

    #[test]
    fn a_link_in_the_directory_is_not_written_through() {
        let dir = tempfile::tempdir().expect("a directory");
        let (outside, file) = (dir.path().join("outside"), dir.path().join("layouts/mine.yaml"));
        fs::write(&outside, "precious").expect("written");
        fs::create_dir(dir.path().join("layouts")).expect("a directory");
        std::os::unix::fs::symlink(&outside, &file).expect("a link");
        assert!(save(&file, "new", false).is_err());
        save(&file, "new", true).expect("asked for");
        assert_eq!(fs::read_to_string(&outside).expect("it is there"), "precious");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), "new");
    }

    #[test]
    fn a_file_that_is_wrong_is_shown_with_what_is_wrong() {
        let dir = tempfile::tempdir().expect("a directory");
        let agents = ["claude".to_owned()];
        fs::write(dir.path().join("bad.yaml"), "tabs: [{ splt: right }]\n").expect("written");
        fs::write(dir.path().join("other.yaml"), "tabs: [{ process: a, agent: cloude }]\n").expect("written");
        let all = all_saved(dir.path(), &agents);
        let problems: Vec<_> = all.iter().map(|v| v.problem.as_deref().unwrap_or_default()).collect();
        assert!(problems[0].contains("bad.yaml:1:10: tabs.0: unknown key `splt`"), "{problems:?}");
        assert_eq!(problems[1], "there is no agent `cloude` (did you mean `claude`?)");
        assert!(saved(dir.path(), "../bad", &agents).is_none());
    }
}
