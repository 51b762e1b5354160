//! Directories that a workspace could be made for.

use wezterm_parallel_core::project::{Known, PROJECTS_MAX, merge};
use wezterm_parallel_schemas::{
    error::Error,
    layout::{ProjectFrom, ProjectList, ProjectView},
    workspace::WorkspaceView,
};

use super::{Router, off_thread};
use crate::effects::project::{self, Place};

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
        let mut places: Vec<Place> = Vec::new();
        for w in board.workspaces() {
            let used_at = last_used(&w);
            let known = Known { path: w.cwd, from: ProjectFrom::Workspace, workspace: Some(w.name), used_at };
            places.push(Place::Directory(known));
        }
        let store = board.store().clone();
        // without the past the list is shorter, and no worse
        let past = off_thread(move || store.workspace_directories(PAST_MAX).unwrap_or_default()).await?;
        places.extend(past.into_iter().map(|(cwd, at)| Place::of(cwd, ProjectFrom::Workspace, Some(at))));
        let environment = self.shared.environment.borrow().clone();
        let zoxide = project::of_zoxide(&self.looks, &environment, &self.shared.home).await;
        places.extend(zoxide.into_iter().map(|path| Place::of(path, ProjectFrom::Zoxide, None)));
        places.extend(self.shared.layouts.config().roots.iter().cloned().map(Place::Root));
        // last, as there may be many of them, and their order is that of their times anyway
        places.extend(self.account(None).map(Place::Account));
        Ok(merge(self.looks.at(places, project::look_at).await, limit))
    }
}
