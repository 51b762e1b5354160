//! Directories that a workspace could be made for.

use std::path::PathBuf;

use wezterm_parallel_core::project::{Known, PROJECTS_MAX, merge};
use wezterm_parallel_schemas::{
    error::Error,
    layout::{ProjectFrom, ProjectList, ProjectView},
    workspace::WorkspaceView,
};

use super::{Router, off_thread};
use crate::effects::project;

/// Past workspaces that are looked for: as many as a list has.
const PAST_MAX: u32 = PROJECTS_MAX;

impl Router {
    pub(super) async fn list_projects(&self, p: ProjectList) -> Result<Vec<ProjectView>, Error> {
        let limit = p.limit.unwrap_or(PROJECTS_MAX);
        let board = &self.shared.board;
        let processes = board.processes();
        let last_used = |w: &WorkspaceView| {
            let own = processes.iter().filter(|v| v.workspace == w.name);
            own.filter_map(|v| v.status_since.max(v.started_at)).max()
        };
        let present: Vec<(PathBuf, String, Option<i64>)> =
            board.workspaces().into_iter().map(|w| (w.cwd.clone(), w.name.clone(), last_used(&w))).collect();
        let (store, account) = (board.store().clone(), self.account(None));
        let roots = self.shared.layouts.config().roots.clone();
        let environment = self.shared.environment.borrow().clone();
        let zoxide = project::of_zoxide(&environment, &self.shared.home).await;
        off_thread(move || {
            let mut all: Vec<Option<Known>> = Vec::new();
            for (cwd, name, used_at) in present {
                all.push(project::known(&cwd, ProjectFrom::Workspace, Some(name), used_at));
            }
            // without the past the list is shorter, and no worse
            for (cwd, at) in store.workspace_directories(PAST_MAX).unwrap_or_default() {
                all.push(project::known(&cwd, ProjectFrom::Workspace, None, Some(at)));
            }
            for (cwd, at) in account.map(|a| project::of_sessions(&a)).unwrap_or_default() {
                all.push(project::known(&cwd, ProjectFrom::Session, None, Some(at)));
            }
            all.extend(zoxide.iter().map(|path| project::known(path, ProjectFrom::Zoxide, None, None)));
            let below = project::below(&roots);
            all.extend(below.iter().map(|path| project::known(path, ProjectFrom::Root, None, None)));
            merge(all.into_iter().flatten().collect(), limit)
        })
        .await
    }
}
