//! Where a tool works, as rules read it: an `allow` by where the file really lies, and only if it is
//! written so that it cannot be read in another way; a `deny` also by its name.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::{Request, glob};

/// Fields with the file that a tool works on.
const PATH_FIELDS: &[&str] = &["file_path", "notebook_path", "path"];
/// Longest path that is matched, in bytes: what Linux takes at most.
const PATH_BYTES_MAX: usize = 4_096;
/// Tools whose work is no file, whatever fields they are given.
const FILELESS: &[&str] = &["Bash", "Monitor", "WebFetch", "WebSearch", "Task", "Agent", "Skill"];
/// Tools that change nothing.
const READING: &[&str] = &["Read", "NotebookRead", "Glob", "Grep", "LS"];
/// Files and directories by which an agent would get more leave than it has, or run something the next
/// time that somebody looks there.
const GUARDED: &[&str] = &[
    ".bash_profile",
    ".bashrc",
    ".claude",
    ".claude.json",
    ".envrc",
    ".git",
    ".gitconfig",
    ".idea",
    ".mcp.json",
    ".profile",
    ".vscode",
    ".wezterm-parallel.yaml",
    ".zprofile",
    ".zshenv",
    ".zshrc",
];
/// Where in `.claude` Claude itself puts whole trees to work in.
const WORKTREES: &str = "worktrees";

/// A file that a tool says it works on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// By its name alone, absolute and without `.` and `..`.
    pub named: PathBuf,
    /// Without symbolic links on the way; none where it really lies cannot be known.
    pub real: Option<PathBuf>,
}

/// The files that a tool says it works on, as it says it.
pub fn named_paths(input: &Value) -> impl Iterator<Item = &str> {
    PATH_FIELDS.iter().filter_map(|name| input.get(*name)?.as_str()).filter(|p| !p.is_empty())
}

/// An absolute path without `.` and `..`, worked out from the names alone.
pub fn absolute(cwd: &Path, path: impl AsRef<Path>) -> PathBuf {
    let mut out = PathBuf::new();
    for part in cwd.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

/// Whether each file of a request lies where an `allow` says, or anywhere if it says nothing.
pub(super) fn allows(pattern: Option<&str>, request: &Request<'_>) -> bool {
    let places: Option<Vec<&Path>> = request.files.iter().map(|f| f.real.as_deref()).collect();
    // of a tool that is not Claude's own nobody knows what its fields are
    if (pattern.is_some() || !request.tool.starts_with("mcp__"))
        && (places.is_none() || !all_plain(request.input))
    {
        return false;
    }
    let reads = READING.contains(&request.tool);
    let guarded = |f: &File| {
        f.real.iter().chain([&f.named]).any(|path| !may_be_changed(pattern, request.guarded, path))
    };
    if !reads && request.files.iter().any(guarded) {
        return false;
    }
    let Some(pattern) = pattern else { return true };
    !FILELESS.contains(&request.tool)
        && (request.tool != "Glob" || looks_below(request.input))
        && places.is_some_and(|all| {
            !all.is_empty() && all.into_iter().all(|path| fits(pattern, request.cwd, path))
        })
}

/// Whether a file of a request lies where a `deny` says, under one of its names.
pub(super) fn denies(pattern: &str, request: &Request<'_>) -> bool {
    let mut names = request.files.iter().flat_map(|f| f.real.iter().chain([&f.named]));
    names.any(|path| fits(pattern, request.cwd, path))
}

/// Whether each field with a file can be read in one way only. Claude takes `~` for the home directory,
/// and blanks around a path away.
fn all_plain(input: &Value) -> bool {
    let plain = |path: &str| {
        !path.is_empty()
            && path.trim() == path
            && !path.starts_with('~')
            && !path.chars().any(|c| c == '$' || c.is_control())
            && !Path::new(path).components().any(|part| part == Component::ParentDir)
    };
    PATH_FIELDS.iter().filter_map(|name| input.get(*name)).all(|field| field.as_str().is_some_and(plain))
}

/// Whether what `Glob` looks for lies below where it looks.
fn looks_below(input: &Value) -> bool {
    let below = |pattern: &str| {
        !pattern.trim_start().starts_with(['/', '~'])
            && !pattern.contains("..")
            && !pattern.contains(['$', '{', '\\'])
    };
    input.get("pattern").and_then(Value::as_str).is_some_and(below)
}

/// Whether an `allow` with this path may cover a change here: what is guarded it must name.
fn may_be_changed(pattern: Option<&str>, own: &[PathBuf], path: &Path) -> bool {
    let parts: Vec<&str> = path.components().filter_map(|part| part.as_os_str().to_str()).collect();
    let named =
        |name: &str| pattern.is_some_and(|p| p.split('/').any(|part| part.eq_ignore_ascii_case(name)));
    let guarded = parts.iter().enumerate().filter(|(at, part)| {
        let tree = part.eq_ignore_ascii_case(".claude")
            && parts.get(at + 1).is_some_and(|next| next.eq_ignore_ascii_case(WORKTREES))
            && parts.len() > at + 2;
        !tree && GUARDED.iter().any(|name| part.eq_ignore_ascii_case(name))
    });
    let literal = || -> PathBuf {
        pattern
            .unwrap_or_default()
            .split_inclusive('/')
            .take_while(|part| !part.contains('*'))
            .collect::<String>()
            .into()
    };
    guarded.map(|(_, part)| part).all(|part| named(part))
        && own.iter().filter(|own| path.starts_with(own)).all(|own| literal().starts_with(own))
}

/// Whether a path lies where a pattern says: `src/**` below `cwd`, or absolute. `*` stops at a `/`.
fn fits(pattern: &str, cwd: &Path, path: &Path) -> bool {
    let (Some(path), Some(cwd)) = (path.to_str(), cwd.to_str()) else { return false };
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    if path.len() > PATH_BYTES_MAX || pattern.len() > PATH_BYTES_MAX {
        return false;
    }
    if pattern.starts_with('/') {
        return segments(pattern, path);
    }
    let below = path
        .strip_prefix(cwd)
        .and_then(|rest| if cwd.ends_with('/') { Some(rest) } else { rest.strip_prefix('/') });
    below.is_some_and(|path| segments(pattern, path))
}

/// Whether a path fits a pattern: `*` stops at a `/`, a part `**` stands for any number of parts.
fn segments(pattern: &str, path: &str) -> bool {
    let path: Vec<&str> = path.split('/').collect();
    // which beginnings of the path fit the parts of the pattern so far
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for part in pattern.split('/') {
        let mut next = vec![false; path.len() + 1];
        if part == "**" {
            let first = reached.iter().position(|r| *r).unwrap_or(reached.len());
            next[first..].fill(true);
        } else {
            for (at, name) in path.iter().enumerate() {
                next[at + 1] = reached[at] && glob(part, name);
            }
        }
        reached = next;
    }
    reached[path.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wezterm_parallel_schemas::config::Rule;

    use super::*;

    const CWD: &str = "/home/u/api";

    /// Whether a rule with this path allows what is done from this directory.
    fn allowed(path: Option<&str>, tool: &str, input: &Value, cwd: &str) -> bool {
        let files = named_paths(input).map(|p| absolute(Path::new(cwd), p));
        let files: Vec<File> = files.map(|p| File { real: Some(p.clone()), named: p }).collect();
        let request = Request {
            tool,
            input,
            process: "api/lead",
            cwd: Path::new(CWD),
            files: &files,
            guarded: &[PathBuf::from("/home/u/.config/wezterm-parallel")],
            whole: true,
        };
        let rule = Rule { allow: Some("*".into()), path: path.map(Into::into), ..Rule::default() };
        super::super::fits(&rule, &request, 0).is_some()
    }

    #[test]
    fn a_rules_path_stands_in_the_processes_directory_wherever_the_agent_has_gone() {
        let edit =
            |path: &str, cwd: &str| allowed(Some("src/**"), "Edit", &json!({ "file_path": path }), cwd);
        assert!(edit("src/a.rs", CWD));
        assert!(edit("a.rs", "/home/u/api/src"));
        assert!(!edit("src/a.rs", "/home/u/other"));
        assert!(!edit("src/a.rs", "/home/u/api/vendor"));
    }

    #[test]
    fn every_file_that_is_named_must_lie_there() {
        let one = |input: Value| allowed(Some("src/**"), "Edit", &input, CWD);
        assert!(one(json!({ "file_path": "src/a", "path": "src/b" })));
        assert!(!one(json!({ "file_path": "src/a", "path": "/etc/passwd" })));
        assert!(!one(json!({ "file_path": "/etc/passwd", "path": "src/a" })));
        assert!(!one(json!({ "file_path": ["/etc/passwd"], "path": "src/a" })));
        assert!(!one(json!({ "file_path": "src/a", "path": "" })));
        assert!(!allowed(Some("src/**"), "Bash", &json!({ "command": "rm x", "file_path": "src/a" }), CWD));
        let look = |pattern: &str| {
            allowed(Some("src/**"), "Glob", &json!({ "path": "src/a", "pattern": pattern }), CWD)
        };
        assert!(look("**/*.rs") && !look("/etc/*") && !look("../../*"));
    }

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_not_allowed() {
        for path in [
            "src/../src/a",
            "~/api/src/a",
            "~u/x",
            "src/$HOME",
            " src/a",
            "src/a ",
            " /etc/passwd",
            "src/a\n",
        ] {
            for pattern in [Some("**"), Some("/**"), None] {
                assert!(!allowed(pattern, "Edit", &json!({ "file_path": path }), CWD), "{path}");
            }
        }
        assert!(allowed(None, "mcp__json__get", &json!({ "path": "$.a" }), CWD), "it may be no file");
    }

    #[test]
    fn what_would_give_an_agent_more_leave_is_allowed_by_name_only() {
        let edit = |pattern, path: &str| allowed(pattern, "Edit", &json!({ "file_path": path }), CWD);
        for path in [
            ".claude/settings.json",
            ".claude/settings.local.json",
            ".Claude/settings.json",
            "a/.claude/hooks/x.sh",
            ".claude/worktrees/a/.claude/settings.json",
            ".claude/worktrees",
            ".mcp.json",
            ".git/hooks/pre-commit",
            ".git/config",
            ".wezterm-parallel.yaml",
            "/home/u/.bashrc",
            "/home/u/.config/wezterm-parallel/config.yaml",
        ] {
            for pattern in [Some("**"), Some("/**"), Some("*/**"), Some("/home/u/**"), None] {
                assert!(!edit(pattern, path), "{pattern:?} {path}");
            }
        }
        assert!(edit(Some(".claude/**"), ".claude/settings.json"));
        assert!(edit(Some(".mcp.json"), ".mcp.json"));
        assert!(edit(Some("/home/u/.config/wezterm-parallel/*"), "/home/u/.config/wezterm-parallel/x"));
        assert!(edit(Some("**"), ".claude/worktrees/a/src/b.rs"));
        assert!(edit(Some("**"), ".github/workflows/ci.yaml"));
        assert!(allowed(Some("**"), "Read", &json!({ "file_path": ".claude/settings.json" }), CWD));
    }
}
