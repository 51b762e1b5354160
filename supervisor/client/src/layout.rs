//! `layout …`: templates for the panes of a workspace.

use std::path::Path;

use wezterm_parallel_config::layout as templates;
use wezterm_parallel_schemas::{
    daemon::Empty,
    layout::{LayoutSave, LayoutSource, LayoutTarget, LayoutView, Pane, Split},
    method::{DeleteLayout, ListLayouts, SaveLayout, ShowLayout},
};

use crate::{
    app::App,
    arguments::Layout,
    connection::{CallContext, Patience},
    failure::{Context, Outcome},
    output,
    table::{Column, column, render, text},
};

const COLUMNS: &[Column] = &[column("NAME", 0), column("FROM", 2), text("PANES", 0), text("ABOUT", 1)];

/// `layout …`.
pub fn run(app: &App, verb: &Layout) -> Outcome {
    let target = |name: &String| LayoutTarget { name: name.clone(), key: None };
    match verb {
        Layout::List => {
            let list = app.connect()?.ask::<ListLayouts>(&Empty {}).to(|| "list the layouts".into())?;
            if app.json { output::print_json(&list) } else { output::print(table(&list, output::width())) }
        }
        Layout::Show { name } => {
            let what = || format!("show the layout `{name}`");
            let view = app.connect()?.ask::<ShowLayout>(&target(name)).to(what)?;
            if app.json {
                return output::print_json(&view);
            }
            match &view.problem {
                // what can be read of it is nothing
                Some(problem) => {
                    output::note(output::clean_lines(problem));
                    Ok(())
                }
                None => output::print(templates::to_text(&view.layout, &app.places.layout_schema())),
            }
        }
        Layout::Save { name, workspace, file, replace } => {
            let what = || format!("save the layout `{name}`");
            let layout = match file {
                Some(file) => Some(read(file).failed_to(what)?),
                None => None,
            };
            let params = LayoutSave {
                name: name.clone(),
                layout,
                workspace: workspace.clone(),
                replace: *replace,
                key: None,
            };
            let saved = app.connect()?.call::<SaveLayout>(&params, Patience::Effect).to(what)?;
            if app.json {
                return output::print_json(&saved);
            }
            let file = saved.file.unwrap_or_default();
            output::print(format_args!("saved {} in {}\n", saved.name, file.display()))
        }
        Layout::Delete { name } => {
            let gone = app
                .connect()?
                .call::<DeleteLayout>(&target(name), Patience::Effect)
                .to(|| format!("delete the layout `{name}`"))?;
            if app.json { output::print_json(&gone) } else { output::print(format_args!("deleted {name}\n")) }
        }
    }
}

/// A template in a file, `-` for standard input.
fn read(file: &Path) -> Result<wezterm_parallel_schemas::layout::Layout, String> {
    if file != Path::new("-") {
        return templates::load(file).map_err(|e| e.to_string());
    }
    let text = std::io::read_to_string(std::io::stdin()).map_err(|e| e.to_string())?;
    templates::from_text(&text, Path::new("standard input")).map_err(|e| e.to_string())
}

/// A table of templates.
fn table(list: &[LayoutView], width: Option<u16>) -> String {
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    render(COLUMNS, &rows, width)
}

fn row(view: &LayoutView) -> Vec<String> {
    let from = match view.source {
        LayoutSource::Shipped => "shipped",
        LayoutSource::Config => "config",
        LayoutSource::Saved => "saved",
    };
    let tabs: Vec<String> = view.layout.tabs.iter().map(|tab| sketch(tab, false)).collect();
    // the directory is the same for all
    let dir = view.file.as_deref().and_then(Path::parent).map(|dir| format!("{}/", dir.display()));
    let about = match view.problem.as_deref().and_then(|p| p.lines().next()) {
        Some(problem) => {
            let problem = dir.and_then(|dir| problem.strip_prefix(&dir)).unwrap_or(problem);
            format!("cannot be used: {problem}")
        }
        None => view.layout.about.clone().unwrap_or_default(),
    };
    vec![view.name.clone(), from.into(), tabs.join(" + "), about]
}

/// Panes in a line: `claude | (shell / git)` has two beside one another, the second of two below each other.
fn sketch(pane: &Pane, within: bool) -> String {
    let Some(split) = pane.split else {
        let program = pane.command.as_ref().and_then(|c| c.first()).map(String::as_str);
        return pane.process.as_deref().or(program).unwrap_or("shell").to_owned();
    };
    let between = match split {
        Split::Right => " | ",
        Split::Down => " / ",
    };
    let panes: Vec<String> = pane.panes.iter().map(|p| sketch(p, true)).collect();
    let all = panes.join(between);
    if within { format!("({all})") } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped(name: &str) -> LayoutView {
        let layout = templates::shipped(name).expect("it comes with the program");
        LayoutView { name: name.into(), source: LayoutSource::Shipped, file: None, layout, problem: None }
    }

    #[test]
    fn layouts_at_several_widths() {
        let broken = LayoutView {
            name: "mine".into(),
            source: LayoutSource::Saved,
            file: Some("/c/layouts/mine.yaml".into()),
            layout: Default::default(),
            problem: Some("/c/layouts/mine.yaml:1:1: unknown key `tab`\n  |\n1 | tab: []".into()),
        };
        let mut list: Vec<_> = templates::shipped_names().map(shipped).collect();
        let whole = table(&list, Some(100));
        list.push(broken);
        insta::assert_snapshot!(format!("{whole}\n{}\n{}", table(&list, None), table(&list, Some(80))));
    }
}
