//! Saved templates on the disk, one file each, in the directory beside the config and nowhere else.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use wezterm_parallel_config::layout;
use wezterm_parallel_schemas::layout::{Layout, LayoutSource, LayoutView};

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
    // no name of a template begins with a dot
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = dir.join(format!(".{name}.{}.new", std::process::id()));
    let _ = fs::remove_file(&new);
    let written = write(&new, text).and_then(|()| put(&new, file, replace));
    let _ = fs::remove_file(&new);
    written?;
    File::open(dir)?.sync_all()
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

/// Those of these directories that are not there. Reads the disk.
pub fn gone(directories: Vec<PathBuf>) -> HashSet<PathBuf> {
    directories.into_iter().filter(|dir| !dir.is_dir()).collect()
}

#[cfg(test)]
mod tests {
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
