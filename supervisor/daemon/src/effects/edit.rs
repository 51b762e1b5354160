//! What an agent wants to do to a file: where the file really lies, and what an edit would change.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;
use similar::TextDiff;
use wezterm_parallel_config::layout;
use wezterm_parallel_core::rule::{File, absolute, named_paths};
use wezterm_parallel_schemas::places::{DIRECTORY, Places};

use super::plain;

/// Largest file that is read for a diff, in bytes: source files are far below.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest file that an edit may come to, in bytes, for a diff of the whole: an edit that replaces all of
/// something may make any file larger than memory.
const EDITED_BYTES_MAX: usize = 4 << 20;
/// Edits in one request that are tried on a file; each reads all of it.
const EDITS_MAX: usize = 100;
/// Longest diff that is kept, in bytes: some thousand lines, more than anybody reads in a terminal.
const DIFF_BYTES_MAX: usize = 64 << 10;
/// How long the best diff is looked for; then a good one will do.
const DIFF_MS: u64 = 100;
/// Lines around a change.
const CONTEXT_LINES: usize = 3;

/// What is to be known of a request besides what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The directory of the process, without symbolic links on the way: rules stand there.
    pub cwd: PathBuf,
    /// The files that the tool says it works on.
    pub files: Vec<File>,
    /// Places of our own, without symbolic links on the way.
    pub guarded: Vec<PathBuf>,
}

/// Looks where the tool would work: rules stand in the directory `cwd` of the process, the tool in the one
/// `at` that its agent has gone to by now. Reads the disk.
pub fn place(cwd: &Path, at: &Path, input: &Value, places: &Places) -> Place {
    let known = |path: &Path| real(path).unwrap_or_else(|| path.to_owned());
    let at = known(at);
    let file = |path: &str| {
        let named = absolute(&at, path);
        File { real: real(&named), named }
    };
    // the rules themselves, and what of ours lies with them
    let home = places.config.parent().filter(|dir| dir.ends_with(DIRECTORY)).map(Path::to_owned);
    let own = [
        places.config.clone(),
        places.config.with_extension("toml"),
        // what stands there runs in panes of the user's
        layout::dir(&places.config),
        places.state_dir.clone(),
        places.runtime_dir.clone(),
        places.data_dir.clone(),
    ];
    Place {
        cwd: known(cwd),
        files: named_paths(input).map(file).collect(),
        guarded: own.iter().chain(&home).map(|path| known(path)).collect(),
    }
}

/// Where a path leads, links followed as far as there is anything; what is not there yet follows by name.
pub fn real(path: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    let mut there = path;
    loop {
        match there.canonicalize() {
            Ok(real) => {
                let rest: PathBuf = missing.iter().rev().collect();
                return Some(if missing.is_empty() { real } else { real.join(rest) });
            }
            // a link that leads to nothing may lead anywhere once something is there
            Err(_) if there.symlink_metadata().is_ok() => return None,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                missing.push(there.file_name()?);
                there = there.parent()?;
            }
            Err(_) => return None,
        }
    }
}

/// What an edit would change, as a unified diff. Reads the disk.
pub fn diff(tool: &str, input: &Value, cwd: &Path) -> Option<String> {
    let text = |v: &Value, name: &str| v.get(name).and_then(Value::as_str).map(str::to_owned);
    let path = absolute(cwd, named_paths(input).next()?);
    let edits = match tool {
        "Write" => {
            let before = read(&path).unwrap_or_default();
            return unified(&path, &before, &text(input, "content")?);
        }
        "Edit" => vec![input],
        "MultiEdit" => input.get("edits")?.as_array()?.iter().collect(),
        _ => return None,
    };
    let before = read(&path);
    let mut after = before.clone().filter(|_| edits.len() <= EDITS_MAX);
    for edit in &edits {
        let (old, new) = (text(edit, "old_string")?, text(edit, "new_string")?);
        let all = edit.get("replace_all").and_then(Value::as_bool).unwrap_or_default();
        after = after.and_then(|a| replaced(&a, &old, &new, all));
    }
    if let (Some(before), Some(after)) = (&before, &after) {
        return unified(&path, before, after);
    }
    // it does not fit the file as it is now: what it is meant to do is shown all the same
    let side = |name: &str| edits.iter().filter_map(|e| text(e, name)).collect::<Vec<_>>().join("\n");
    unified(&path, &side("old_string"), &side("new_string"))
}

/// A text with one edit in it; none if that does not fit, or would be too large.
fn replaced(text: &str, old: &str, new: &str, all: bool) -> Option<String> {
    if old.is_empty() || !text.contains(old) {
        return None;
    }
    let times = if all { text.matches(old).count() } else { 1 };
    let longer = times.saturating_mul(new.len().saturating_sub(old.len()));
    if text.len().saturating_add(longer) > EDITED_BYTES_MAX {
        return None;
    }
    Some(text.replacen(old, new, times))
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    plain::open(path).ok()?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).ok()?;
    (text.len() as u64 <= FILE_BYTES_MAX).then_some(text)
}

fn unified(path: &Path, before: &str, after: &str) -> Option<String> {
    let name = path.display().to_string();
    let diff = TextDiff::configure()
        .deadline(Instant::now() + Duration::from_millis(DIFF_MS))
        .diff_lines(before, after);
    let mut text = diff.unified_diff().context_radius(CONTEXT_LINES).header(&name, &name).to_string();
    if text.len() > DIFF_BYTES_MAX {
        let rest = text.len() - DIFF_BYTES_MAX;
        text.truncate(text.floor_char_boundary(DIFF_BYTES_MAX));
        text.push_str(&format!("\n… ({rest} bytes more)\n"));
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use serde_json::json;

    use super::*;

    #[test]
    fn an_edit_is_shown_against_the_file_as_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let text: String = (1..=20).map(|n| format!("line {n}\n")).collect();
        fs::write(dir.path().join("a.txt"), text).expect("a file");
        let edit = |input: Value| diff("Edit", &input, dir.path()).expect("a diff");
        let shown = edit(json!({"file_path": "a.txt", "old_string": "line 10\n", "new_string": "ten\n"}));
        assert!(shown.contains("@@ -7,7 +7,7 @@") && shown.contains("-line 10\n+ten\n"), "{shown}");
        let shown = edit(
            json!({"file_path": "a.txt", "old_string": "line", "new_string": "row", "replace_all": true}),
        );
        assert_eq!(shown.matches("\n+row").count(), 20);
        let shown = edit(json!({"file_path": "a.txt", "old_string": "not there\n", "new_string": "x\n"}));
        assert!(shown.contains("-not there\n+x\n"), "{shown}");
        let two = json!({"file_path": "a.txt", "edits": [
            {"old_string": "line 1\n", "new_string": "one\n"}, {"old_string": "one\n", "new_string": "1\n"},
        ]});
        let shown = diff("MultiEdit", &two, dir.path()).expect("a diff");
        assert!(shown.contains("-line 1\n+1\n"), "one after the other: {shown}");
    }

    #[test]
    fn a_file_that_is_written_whole_is_compared_with_what_lies_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |content: &str| {
            diff("Write", &json!({"file_path": dir.path().join("b"), "content": content}), Path::new("/"))
        };
        assert!(write("new\n").expect("a diff").contains("+new\n"));
        fs::write(dir.path().join("b"), "new\n").expect("a file");
        assert_eq!(write("new\n"), None, "it changes nothing");
        let large = write(&"x\n".repeat(DIFF_BYTES_MAX)).expect("a diff");
        assert!(large.len() < DIFF_BYTES_MAX + 64 && large.ends_with("bytes more)\n"));
        assert_eq!(diff("Bash", &json!({"command": "ls"}), Path::new("/")), None);
        assert_eq!(diff("Edit", &json!({"file_path": "x"}), Path::new("/")), None);
    }

    #[test]
    fn an_edit_that_would_fill_the_memory_is_shown_by_its_words() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("a.txt"), "x".repeat(1 << 20)).expect("a file");
        let new = "y".repeat(64 << 10);
        let all = |new: &str| json!({"old_string": "x", "new_string": new, "replace_all": true});
        let mut edit = all(&new);
        edit["file_path"] = "a.txt".into();
        let shown = diff("Edit", &edit, dir.path()).expect("a diff");
        assert!(shown.contains("-x\n") && shown.contains("+yyy"), "{}", &shown[..200]);
        // one by one they are small
        let steps: Vec<Value> =
            (0..64).map(|_| json!({"old_string": "x", "new_string": "xx", "replace_all": true})).collect();
        let many = json!({"file_path": "a.txt", "edits": steps});
        let shown = diff("MultiEdit", &many, dir.path()).expect("a diff");
        assert!(shown.contains("-x\n") && shown.contains("+xx\n"), "{}", &shown[..200]);
        assert_eq!(replaced("aXbX", "X", "", true).as_deref(), Some("ab"));
        assert_eq!(replaced("aXbX", "X", "yy", false).as_deref(), Some("ayybX"));
        let largest = "x".repeat(EDITED_BYTES_MAX);
        assert!(
            replaced(&largest, "x", "y", true).is_some() && replaced(&largest, "x", "yy", false).is_none()
        );
        fs::write(dir.path().join("b.txt"), "x\n").expect("a file");
        let one = |n: usize| {
            let steps = vec![json!({"old_string": "x", "new_string": "xz"}); n];
            diff("MultiEdit", &json!({"file_path": "b.txt", "edits": steps}), dir.path()).expect("a diff")
        };
        assert!(one(EDITS_MAX).contains("+xzz") && !one(EDITS_MAX + 1).contains("+xzz"));
    }

    #[test]
    fn where_a_path_leads_is_known_or_nothing_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("it is there");
        fs::create_dir_all(root.join("api/src")).expect("directories");
        fs::write(root.join("secret"), "").expect("a file");
        symlink(root.join("secret"), root.join("api/src/link")).expect("a link");
        symlink(&root, root.join("api/up")).expect("a link");
        symlink(root.join("nothing"), root.join("api/src/dangling")).expect("a link");
        symlink(root.join("api"), root.join("short")).expect("a link");
        let places = Places::new(|_| None, &root);
        let looked = |cwd: &str, at: &str, path: &str| {
            place(&root.join(cwd), &root.join(at), &json!({ "file_path": path }), &places)
        };
        let leads = |path: &str| looked("api", "api", path).files.remove(0).real;
        assert_eq!(leads("src/a.rs"), Some(root.join("api/src/a.rs")), "not there yet");
        assert_eq!(leads("src/link"), Some(root.join("secret")));
        assert_eq!(leads("up/new/file"), Some(root.join("new/file")));
        assert_eq!(leads("src/dangling"), None);
        assert_eq!(leads("src/dangling/x"), None);
        assert_eq!(leads("secret/../src/a"), Some(root.join("api/src/a")));
        let by_link = looked("short", "short", "src/a.rs");
        assert_eq!(by_link.cwd, root.join("api"));
        assert_eq!(by_link.files[0].real, Some(root.join("api/src/a.rs")));
        // wherever the agent has gone, rules stand where its process does
        let gone = looked("api", "api/up", "src/a.rs");
        assert_eq!((gone.cwd, gone.files[0].real.clone()), (root.join("api"), Some(root.join("src/a.rs"))));
        let input = json!({ "file_path": "src/a", "path": "src/b" });
        assert_eq!(place(&root, &root, &input, &places).files.len(), 2);
        symlink(root.join("dotfiles"), root.join(".config")).expect("a link");
        fs::create_dir(root.join("dotfiles")).expect("a directory");
        let elsewhere = Places { config: root.join("elsewhere.yaml"), ..places.clone() };
        let beside = place(&root, &root, &json!({}), &elsewhere).guarded;
        assert!(beside.contains(&root.join("layouts")), "{beside:?}");
        let own = looked("api", "api", "x").guarded;
        assert!(own.contains(&root.join("dotfiles").join(DIRECTORY)), "{own:?}");
    }
}
