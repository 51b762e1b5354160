//! `workspace …`.

use wezterm_parallel_schemas::{
    daemon::Empty,
    environment,
    method::{
        CloseWorkspace, CreateWorkspace, DeleteWorkspace, ListWorkspaces, OpenWorkspace, RenameWorkspace,
    },
    workspace::{WorkspaceCreate, WorkspaceOpen, WorkspaceRename, WorkspaceTarget, WorkspaceView},
};

use crate::{
    app::App,
    arguments::Workspace,
    connection::{CallContext, Patience},
    failure::{Context, Outcome},
    output, view,
};

/// `workspace …`.
pub fn run(app: &App, verb: &Workspace) -> Outcome {
    let mut daemon = app.connect()?;
    let target = |name: &String| WorkspaceTarget { workspace: name.clone(), key: None };
    match verb {
        Workspace::List => {
            let list = daemon.ask::<ListWorkspaces>(&Empty {}).to(|| "list the workspaces".into())?;
            if app.json {
                output::print_json(&list)
            } else {
                output::print(view::workspaces(&list, output::width()))
            }
        }
        Workspace::Create { name, cwd, layout } => {
            let what = || format!("create the workspace `{name}`");
            let here = std::env::current_dir().failed_to(what)?;
            let cwd = cwd.as_ref().map_or(here.clone(), |dir| here.join(dir));
            // without `..` and links, as it will stand beside others in a listing; one that is not there is
            // the daemon's to refuse
            let cwd = cwd.canonicalize().unwrap_or(cwd);
            let params = WorkspaceCreate { name: name.clone(), cwd, layout: layout.clone(), key: None };
            let made = daemon.call::<CreateWorkspace>(&params, Patience::Effect).to(what)?;
            say(app, &made, "created")
        }
        Workspace::Open { name } => {
            let environment = environment::passed_on(std::env::vars_os());
            let params = WorkspaceOpen { workspace: name.clone(), environment, key: None };
            let open = daemon
                .call::<OpenWorkspace>(&params, Patience::Effect)
                .to(|| format!("open the workspace `{name}`"))?;
            say(app, &open, "opened")
        }
        Workspace::Close { name } => {
            let closed = daemon
                .call::<CloseWorkspace>(&target(name), Patience::Effect)
                .to(|| format!("close the workspace `{name}`"))?;
            say(app, &closed, "closed")
        }
        Workspace::Delete { name } => {
            let gone = daemon
                .call::<DeleteWorkspace>(&target(name), Patience::Effect)
                .to(|| format!("delete the workspace `{name}`"))?;
            if app.json { output::print_json(&gone) } else { output::print(format_args!("deleted {name}\n")) }
        }
        Workspace::Rename { old, new } => {
            let params = WorkspaceRename { workspace: old.clone(), name: new.clone(), key: None };
            let renamed = daemon
                .call::<RenameWorkspace>(&params, Patience::Effect)
                .to(|| format!("rename the workspace `{old}`"))?;
            say(app, &renamed, "renamed to")
        }
    }
}

fn say(app: &App, workspace: &WorkspaceView, done: &str) -> Outcome {
    if app.json {
        return output::print_json(workspace);
    }
    if let Some(problem) = &workspace.problem {
        output::note(output::clean(problem));
    }
    let WorkspaceView { name, running, processes, .. } = workspace;
    output::print(format_args!("{done} {name} ({running} of {processes} processes run)\n"))
}
