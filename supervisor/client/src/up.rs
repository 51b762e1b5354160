//! `up`: from nothing to an agent in this directory. Every step first looks whether it is done, so
//! that a second call only finds everything in place.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::Path,
};

use wezterm_parallel_config::{Loaded, layout, schema, template};
use wezterm_parallel_schemas::{
    daemon::Empty,
    environment,
    method::{ListProcesses, ListWorkspaces, OpenWorkspace, ReloadConfig},
    process::{Kind, ProcessList, ProcessView, State},
    workspace::{WorkspaceOpen, WorkspaceView},
};

use crate::{
    app::{App, same_file},
    arguments::{Attach, Dashboard, Up},
    attach,
    claude::{self, Found},
    config,
    connection::{CallContext, Connection, Patience},
    daemon, dashboard, executable,
    failure::{Context, Failure, Outcome},
    output,
    target::Target,
    time, view,
};

/// `up`.
pub fn run(app: &App, args: &Up) -> Outcome {
    let here = std::env::current_dir().failed_to(|| "find the current directory".into())?;
    let mut running = app.connect_or_none()?;

    let config = match &running {
        Some(daemon) if !daemon.welcome().config.as_os_str().is_empty() => daemon.welcome().config.clone(),
        Some(_) | None => app.config()?,
    };
    let wrote = write_config(app, &config, &here)?;
    let loaded = match config::read(app, &config) {
        Ok(loaded) => Some(loaded),
        // the daemon goes on with the last good one, and says the same in its status
        Err(failure) => {
            output::failure(&failure);
            None
        }
    };

    let exe = executable::settle(app, args.yes)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut claude = claude::find(app, &path);
    if claude.is_none() && needs_claude(loaded.as_ref(), &here, running.as_mut())? {
        claude = Some(claude::install(app, args.yes)?);
    }

    let mut daemon = match running {
        Some(mut daemon) => {
            if wrote {
                daemon
                    .call::<ReloadConfig>(&Empty {}, Patience::Effect)
                    .to(|| "have the config applied".into())?;
            }
            daemon
        }
        None => {
            daemon::start(app, &exe)?;
            output::progress("started the daemon");
            app.connect()?
        }
    };

    let workspaces = daemon.ask::<ListWorkspaces>(&Empty {}).to(|| "list the workspaces".into())?;
    let Some(workspace) = workspaces.iter().find(|w| same_file(&w.cwd, &here)) else {
        output::note(format_args!("no workspace has this directory, {}", here.display()));
        output::hint(how_to_add(&config, &here));
        return table(app, &mut daemon, None);
    };
    open(&mut daemon, workspace, claude.as_ref())?;
    let processes = list(&mut daemon, Some(&workspace.name))?;

    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let claudes: Vec<&ProcessView> = processes.iter().filter(|p| p.kind == Kind::Claude).collect();
    match &claudes[..] {
        _ if !terminal || args.no_dashboard || app.json => table(app, &mut daemon, Some(&workspace.name)),
        [] => table(app, &mut daemon, Some(&workspace.name)),
        [process] => {
            drop(daemon);
            attach::run(app, &Attach::to(Target::new(&process.workspace, &process.name)))
        }
        // which of them is meant is for a person to say
        [_, _, ..] => {
            drop(daemon);
            dashboard::run(app, &Dashboard::default())
        }
    }
}

/// Writes a first config if there is none; says whether it did. An existing one is never touched.
fn write_config(app: &App, config: &Path, here: &Path) -> Outcome<bool> {
    let what = || format!("write {}", config.display());
    // a link that leads nowhere is somebody's file as well
    if config.symlink_metadata().is_ok() {
        return Ok(false);
    }
    if config.extension().is_some_and(|e| e == "toml") {
        return Err(Failure::new(what(), "there is no such file, and what is written is YAML")
            .hint("write it, or name a .yaml file in WEZTERM_PARALLEL_CONFIG"));
    }
    write_schemas(app)?;
    let text = template::text(&app.places.config_schema(), here, &template::workspace_name(here));
    let dir = config.parent().ok_or_else(|| Failure::new(what(), "it is not a file"))?;
    fs::create_dir_all(dir).failed_to(what)?;
    let fresh = dir.join(format!(".config.{}.new", std::process::id()));
    let written = fs::File::create_new(&fresh)
        .and_then(|mut f| f.write_all(text.as_bytes()).and_then(|()| f.sync_all()));
    // a rename would take the place of a file that somebody has made meanwhile; it is for file systems
    // that know no second name
    let placed = written.and_then(|()| match fs::hard_link(&fresh, config) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => fs::rename(&fresh, config),
        other => other,
    });
    let _ = fs::remove_file(&fresh);
    match placed {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
        Err(e) => return Err(Failure::new(what(), e)),
    }
    output::progress(format_args!("wrote {}", config.display()));
    Ok(true)
}

/// Writes the JSON Schemas that the modelines of the config and of saved layouts name, for editors.
fn write_schemas(app: &App) -> Outcome {
    let all = [(app.places.config_schema(), schema()), (app.places.layout_schema(), layout::schema())];
    for (file, schema) in all {
        fs::create_dir_all(&app.places.data_dir)
            .and_then(|()| fs::write(&file, format!("{schema:#}\n")))
            .failed_to(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

/// Whether a Claude is about to start here that finds its program only if it is installed: one that is
/// named `claude`, without a directory, is meant to start with the workspace, and does not run.
fn needs_claude(loaded: Option<&Loaded>, here: &Path, daemon: Option<&mut Connection>) -> Outcome<bool> {
    let running: Vec<ProcessView> = match daemon {
        Some(daemon) => list(daemon, None)?,
        None => Vec::new(),
    };
    let runs = |workspace: &str, name: &str| {
        running.iter().any(|p| p.workspace == workspace && p.name == name && p.state == State::Running)
    };
    let by_config = loaded.is_some_and(|loaded| {
        loaded.desired.workspaces.iter().filter(|(_, w)| same_file(&w.cwd, here)).any(|(workspace, w)| {
            w.processes.iter().any(|(name, p)| {
                p.kind == Kind::Claude && p.autostart && by_name_only(&p.command) && !runs(workspace, name)
            })
        })
    });
    // those that commands have made stand in no file
    let by_command = running.iter().any(|p| {
        p.kind == Kind::Claude
            && p.state != State::Running
            && by_name_only(&p.command)
            && same_file(&p.cwd, here)
    });
    Ok(by_config || by_command)
}

fn by_name_only(command: &[String]) -> bool {
    command.first().is_some_and(|program| program == "claude")
}

fn open(daemon: &mut Connection, workspace: &WorkspaceView, claude: Option<&Found>) -> Outcome {
    let mut environment = environment::passed_on(std::env::vars_os());
    let path = claude::path_with(claude, environment.get("PATH").map_or("", String::as_str));
    environment.insert("PATH".into(), path);
    let params = WorkspaceOpen { workspace: workspace.name.clone(), environment, key: None };
    let opened = daemon
        .call::<OpenWorkspace>(&params, Patience::Effect)
        .to(|| format!("open the workspace `{}`", workspace.name))?;
    if !workspace.open {
        output::progress(format_args!("opened the workspace {}", workspace.name));
    }
    if let Some(problem) = &opened.problem {
        output::note(output::clean(problem));
    }
    Ok(())
}

fn list(daemon: &mut Connection, workspace: Option<&str>) -> Outcome<Vec<ProcessView>> {
    let params = ProcessList { workspace: workspace.map(Into::into), all: false };
    daemon.ask::<ListProcesses>(&params).to(|| "list the processes".into())
}

fn table(app: &App, daemon: &mut Connection, workspace: Option<&str>) -> Outcome {
    let processes = list(daemon, workspace)?;
    if app.json {
        return output::print_json(&processes);
    }
    output::print(view::processes(&processes, time::now(), output::width()))
}

fn how_to_add(config: &Path, here: &Path) -> String {
    let name = template::workspace_name(here);
    format!(
        "add one to {}:\n\n  workspaces:\n    {name}:\n      cwd: {}\n      processes:\n        claude: {{ agent: claude }}\n\nor for a while: `wezterm-parallel workspace create {name} && wezterm-parallel process add {name} claude`",
        config.display(),
        here.display(),
    )
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::places::Places;

    use super::*;

    fn app(home: &Path) -> App {
        App { places: Places::new(|_| None, home), home: home.to_owned(), json: false, config_given: None }
    }

    #[test]
    fn a_first_config_is_valid_and_has_a_claude_for_this_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let (app, here) = (app(dir.path()), dir.path().join("my project: \"x\""));
        fs::create_dir(&here).expect("a directory");
        let file = &app.places.config;
        assert_eq!(write_config(&app, file, &here), Ok(true));
        let loaded = config::read(&app, file).expect("a valid config");
        assert_eq!(needs_claude(Some(&loaded), &here, None), Ok(true));
        assert_eq!(needs_claude(Some(&loaded), dir.path(), None), Ok(false), "another directory");
        assert!(app.places.config_schema().exists(), "the schema that the modeline names");
    }

    #[test]
    fn a_config_that_exists_is_never_touched() {
        let dir = tempfile::tempdir().expect("a directory");
        let app = app(dir.path());
        let file = &app.places.config;
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        fs::write(file, "mine, and not even valid: [").expect("a file");
        assert_eq!(write_config(&app, file, dir.path()), Ok(false));
        assert_eq!(fs::read_to_string(file).expect("a file"), "mine, and not even valid: [");
        // also one that is a link into a directory which is not mounted just now
        fs::remove_file(file).expect("removed");
        std::os::unix::fs::symlink("/nowhere/config.yaml", file).expect("a link");
        assert_eq!(write_config(&app, file, dir.path()), Ok(false));
    }

    #[test]
    fn a_claude_with_a_path_of_its_own_is_not_installed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (app, file) = (app(dir.path()), dir.path().join("c.yaml"));
        for (command, needed) in [("claude", true), ("/opt/claude", false)] {
            let text = format!(
                "version: 1\nagents: {{ claude: {{ command: [{command}] }} }}\nworkspaces: {{ a: {{ cwd: {:?}, processes: {{ p: {{ agent: claude }}, q: {{ command: [\"true\"] }} }} }} }}\n",
                dir.path()
            );
            fs::write(&file, text).expect("a file");
            let loaded = config::read(&app, &file).expect("valid");
            assert_eq!(needs_claude(Some(&loaded), dir.path(), None), Ok(needed), "{command}");
        }
    }
}
