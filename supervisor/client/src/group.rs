//! `group …`: groups of tasks.

use wezterm_parallel_schemas::{
    daemon::Empty,
    method::{ListGroups, PauseGroup, ReportGroup, ResumeGroup},
    task::{GroupTarget, GroupView},
};

use crate::{
    app::App,
    arguments::Group,
    connection::{CallContext, Patience},
    failure::Outcome,
    output,
    task::{report, show},
    time,
};

/// `group …`.
pub fn run(app: &App, verb: &Group) -> Outcome {
    let mut daemon = app.connect()?;
    let target = |group: &String| GroupTarget { group: group.clone(), key: None };
    match verb {
        Group::List => {
            let list = daemon.ask::<ListGroups>(&Empty {}).to(|| "list the groups".into())?;
            if app.json {
                return output::print_json(&list);
            }
            output::print(show::groups(&list, output::width()))
        }
        Group::Pause { group } => {
            let what = || format!("pause the group {group}");
            say(app, &daemon.call::<PauseGroup>(&target(group), Patience::Effect).to(what)?, "paused")
        }
        Group::Resume { group } => {
            let what = || format!("resume the group {group}");
            say(app, &daemon.call::<ResumeGroup>(&target(group), Patience::Effect).to(what)?, "resumed")
        }
        Group::Report { group, markdown: _ } => {
            let what = || format!("report on the group {group}");
            let report = daemon.ask::<ReportGroup>(&target(group)).to(what)?;
            if app.json {
                return output::print_json(&report);
            }
            output::print(report::markdown(&report, time::now()))
        }
    }
}

fn say(app: &App, group: &GroupView, done: &str) -> Outcome {
    if app.json {
        return output::print_json(group);
    }
    let counts = show::counts(&[group.tasks]).unwrap_or_else(|| "no tasks".into());
    output::print(format_args!("{done} {} ({counts})\n", group.name))
}
