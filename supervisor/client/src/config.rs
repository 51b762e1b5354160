//! `config …`.

use std::path::{Path, PathBuf};

use serde::Serialize;
use wezterm_parallel_config::{Loaded, load, schema};
use wezterm_parallel_schemas::{
    daemon::{ConfigPlan, ConfigTarget, ConfigTrust, Empty},
    method::{DiffConfig, ExportConfig, ReloadConfig, ShowConfig, TrustProject, UntrustProject},
};

use crate::{
    app::App,
    arguments::Config,
    connection::{CallContext, Patience},
    failure::{Context, Failure, Outcome},
    output,
    view::{self, count},
};

/// `config …`.
pub fn run(app: &App, verb: &Config) -> Outcome {
    match verb {
        Config::Check { file } => check(app, file.as_deref()),
        Config::Path => {
            let path = app.config()?;
            if app.json {
                output::print_json(&path)
            } else {
                output::print(format_args!("{}\n", path.display()))
            }
        }
        Config::Schema => output::print_json(&schema()),
        Config::Diff { file } => {
            let path = file.as_deref().map(absolute).transpose()?;
            let plan = app.connect()?.ask::<DiffConfig>(&ConfigTarget { path });
            show_plan(app, &plan.to(|| "compare the config with what runs".into())?, false)
        }
        Config::Reload => {
            let plan = app.connect()?.call::<ReloadConfig>(&Empty {}, Patience::Effect);
            show_plan(app, &plan.to(|| "reload the config".into())?, true)
        }
        Config::Trust { path } => {
            let params = ConfigTrust { path: project(path.as_deref())? };
            let plan = app.connect()?.call::<TrustProject>(&params, Patience::Effect);
            show_plan(app, &plan.to(|| format!("trust {}", params.path.display()))?, true)
        }
        Config::Untrust { path } => {
            let params = ConfigTrust { path: project(path.as_deref())? };
            let plan = app.connect()?.call::<UntrustProject>(&params, Patience::Effect);
            show_plan(app, &plan.to(|| format!("take back the trust in {}", params.path.display()))?, true)
        }
        Config::Show => {
            let text = app.connect()?.ask::<ShowConfig>(&Empty {}).to(|| "show the config".into())?;
            if app.json { output::print_json(&text) } else { output::print(text.text) }
        }
        Config::Export => {
            let text = app
                .connect()?
                .ask::<ExportConfig>(&Empty {})
                .to(|| "export what commands have made".into())?;
            if app.json { output::print_json(&text) } else { output::print(text.text) }
        }
    }
}

/// Reads and checks a config file as the daemon would.
pub fn read(app: &App, path: &Path) -> Outcome<Loaded> {
    let variables =
        std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
    load(path, variables, &app.home).failed_to(|| "read the config".into())
}

#[derive(Serialize)]
struct Checked {
    path: PathBuf,
    valid: bool,
    error: Option<String>,
    warnings: Vec<String>,
    workspaces: usize,
    processes: usize,
}

fn check(app: &App, file: Option<&Path>) -> Outcome {
    let path = file.map_or_else(|| app.config(), absolute)?;
    let read = read(app, &path);
    if app.json {
        let none = |error: &Failure| Checked {
            path: path.clone(),
            valid: false,
            error: Some(error.why.clone()),
            warnings: Vec::new(),
            workspaces: 0,
            processes: 0,
        };
        output::print_json(&read.as_ref().map_or_else(none, |loaded| summary(&path, loaded)))?;
        // the error has been printed: what is left of it is the exit code
        return read.map(|_| ());
    }
    let loaded = read?;
    for warning in &loaded.warnings {
        output::note(warning);
    }
    let Checked { workspaces, processes, .. } = summary(&path, &loaded);
    output::print(format_args!(
        "{} is valid: {}, {}\n",
        path.display(),
        count(workspaces, "workspace"),
        count(processes, "process"),
    ))
}

fn summary(path: &Path, loaded: &Loaded) -> Checked {
    let workspaces = &loaded.desired.workspaces;
    Checked {
        path: path.to_owned(),
        valid: true,
        error: None,
        warnings: loaded.warnings.clone(),
        workspaces: workspaces.len(),
        processes: workspaces.values().map(|w| w.processes.len()).sum(),
    }
}

fn show_plan(app: &App, plan: &ConfigPlan, done: bool) -> Outcome {
    if app.json { output::print_json(plan) } else { output::print(view::plan(plan, done)) }
}

fn project(path: Option<&Path>) -> Outcome<PathBuf> {
    absolute(path.unwrap_or(Path::new(".")))
}

/// The daemon has another current directory.
fn absolute(path: &Path) -> Outcome<PathBuf> {
    let made = std::env::current_dir()
        .map(|here| here.join(path))
        .failed_to(|| "find the current directory".into())?;
    Ok(made.canonicalize().unwrap_or(made))
}
