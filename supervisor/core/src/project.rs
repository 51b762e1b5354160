//! Directories that a workspace could be made for: what several sources know, each directory once.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use wezterm_parallel_schemas::layout::{ProjectFrom, ProjectView};

/// Longest list: a fuzzy finder finds anything in it, and an answer of it is some 100 kB.
pub const PROJECTS_MAX: u32 = 500;

/// A directory that somebody knows: without links on the way, and there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// It.
    pub path: PathBuf,
    /// Who knows it.
    pub from: ProjectFrom,
    /// The workspace that it has.
    pub workspace: Option<String>,
    /// When it was last used, in milliseconds since 1970.
    pub used_at: Option<i64>,
}

/// All directories, each once: the one used last first, and then those of which nobody knows when, in the
/// order in which they come, as zoxide has them in an order of its own.
pub fn merge(all: Vec<Known>, limit: u32) -> Vec<ProjectView> {
    let mut places: HashMap<PathBuf, usize> = HashMap::new();
    let mut merged: Vec<ProjectView> = Vec::new();
    for Known { path, from, workspace, used_at } in all {
        match places.get(&path) {
            Some(at) => {
                let one = &mut merged[*at];
                one.from = one.from.min(from);
                one.workspace = one.workspace.take().or(workspace);
                one.used_at = one.used_at.max(used_at);
            }
            None => {
                places.insert(path.clone(), merged.len());
                merged.push(ProjectView { path, workspace, from, used_at });
            }
        }
    }
    // stable: what has no time stays in its order
    merged.sort_by_key(|p| std::cmp::Reverse(p.used_at));
    merged.truncate(limit.min(PROJECTS_MAX) as usize);
    merged
}

/// Whether a subdirectory of a root is offered.
pub fn is_offered(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| !name.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(path: &str, from: ProjectFrom, used_at: Option<i64>) -> Known {
        let workspace = (from == ProjectFrom::Workspace).then(|| "w".to_owned());
        Known { path: path.into(), from, workspace, used_at }
    }

    #[test]
    fn a_directory_is_listed_once_with_the_best_that_is_known_of_it() {
        let all = vec![
            known("/z2", ProjectFrom::Zoxide, None),
            known("/z1", ProjectFrom::Zoxide, None),
            known("/a", ProjectFrom::Root, None),
            known("/a", ProjectFrom::Session, Some(7)),
            known("/b", ProjectFrom::Session, Some(9)),
            known("/a", ProjectFrom::Workspace, Some(5)),
            known("/z1", ProjectFrom::Root, None),
        ];
        let merged = merge(all.clone(), 100);
        let shown: Vec<_> = merged
            .iter()
            .map(|p| (p.path.to_str().expect("text"), p.from, p.workspace.as_deref(), p.used_at))
            .collect();
        assert_eq!(
            shown,
            [
                ("/b", ProjectFrom::Session, None, Some(9)),
                ("/a", ProjectFrom::Workspace, Some("w"), Some(7)),
                ("/z2", ProjectFrom::Zoxide, None, None),
                ("/z1", ProjectFrom::Root, None, None),
            ]
        );
        assert_eq!(merge(all, 2), merged[..2]);
    }

    #[test]
    fn a_list_has_an_end() {
        let all = (0..2_000).map(|n| known(&format!("/{n}"), ProjectFrom::Root, None)).collect();
        assert_eq!(merge(all, u32::MAX).len(), PROJECTS_MAX as usize);
    }
}
