//! `project …`: directories that a workspace could be made for.

use wezterm_parallel_schemas::{
    layout::{ProjectFrom, ProjectList, ProjectView},
    method::ListProjects,
};

use crate::{
    app::App,
    arguments::Project,
    connection::CallContext,
    failure::Outcome,
    output,
    table::{Column, column, render, text},
    time,
};

const COLUMNS: &[Column] =
    &[text("DIRECTORY", 0), column("WORKSPACE", 1), column("FROM", 2), column("USED", 3)];

/// `project …`.
pub fn run(app: &App, verb: &Project) -> Outcome {
    let Project::List { limit } = verb;
    let params = ProjectList { limit: *limit };
    let list = app.connect()?.ask::<ListProjects>(&params).to(|| "list the projects".into())?;
    if app.json {
        return output::print_json(&list);
    }
    let home = app.home.to_string_lossy();
    output::print(table(&list, &home, time::now(), output::width()))
}

/// A table of directories.
fn table(list: &[ProjectView], home: &str, now: i64, width: Option<u16>) -> String {
    if list.is_empty() {
        return "no directory is known yet; `project_roots` in the config names where yours lie\n".into();
    }
    let rows: Vec<Vec<String>> = list.iter().map(|p| row(p, home, now)).collect();
    render(COLUMNS, &rows, width)
}

fn row(p: &ProjectView, home: &str, now: i64) -> Vec<String> {
    let path = p.path.to_string_lossy();
    let path = match path.strip_prefix(home) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("~{rest}"),
        _ => path.into_owned(),
    };
    let from = match p.from {
        ProjectFrom::Workspace => "workspace",
        ProjectFrom::Session => "session",
        ProjectFrom::Root => "root",
        ProjectFrom::Zoxide => "zoxide",
    };
    let used = p.used_at.map(|at| format!("{} ago", time::span((now - at).max(0)))).unwrap_or_default();
    vec![path, p.workspace.clone().unwrap_or_default(), from.into(), used]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_at_several_widths() {
        const NOW: i64 = 1_795_327_622_000;
        let project = |path: &str, workspace: Option<&str>, from, used_at| ProjectView {
            path: path.into(),
            workspace: workspace.map(str::to_owned),
            from,
            used_at,
        };
        let list = [
            project("/home/u/src/api", Some("api"), ProjectFrom::Workspace, Some(NOW - 60_000)),
            project("/home/u", None, ProjectFrom::Session, Some(NOW - 3 * 86_400_000)),
            project("/home/user2/x", None, ProjectFrom::Zoxide, None),
        ];
        let show = |width| table(&list, "/home/u", NOW, width);
        insta::assert_snapshot!(format!("{}\n{}\n{}", show(None), show(Some(40)), table(&[], "", NOW, None)));
    }
}
