//! `process …`, but for `attach` and `logs`.

use wezterm_parallel_schemas::{
    daemon::Empty,
    environment,
    method::{
        AddProcess, ListProcesses, ListWorkspaces, RemoveProcess, RestartProcess, StartProcess, StopProcess,
    },
    process::{ProcessAdd, ProcessList, ProcessView, State},
};

use crate::{
    adopt,
    app::App,
    arguments::Process,
    attach,
    connection::{CallContext, Connection, Patience},
    explain,
    failure::{Failure, Outcome},
    logs, output, prompt, time, view,
};

/// `process …`.
pub fn run(app: &App, verb: &Process) -> Outcome {
    match verb {
        Process::Attach(args) => return attach::run(app, args),
        Process::Logs(args) => return logs::run(app, args),
        Process::Adopt(args) => return adopt::run(app, args),
        Process::Send(args) => return prompt::send(app, args),
        Process::Explain { process } => return explain::run(app, process),
        Process::List { .. }
        | Process::Add { .. }
        | Process::Remove { .. }
        | Process::Start { .. }
        | Process::Stop { .. }
        | Process::Restart { .. } => {}
    }
    let mut daemon = app.connect()?;
    match verb {
        Process::List { workspace, all } => {
            let params = ProcessList { workspace: workspace.clone(), all: *all };
            let list = daemon.ask::<ListProcesses>(&params).to(|| "list the processes".into())?;
            if app.json {
                return output::print_json(&list);
            }
            output::print(view::processes(&list, time::now(), output::width()))
        }
        Process::Add { workspace, name, agent, resume, fork, command } => {
            let params = ProcessAdd {
                workspace: workspace.clone(),
                name: name.clone(),
                agent: agent.clone(),
                resume: resume.clone(),
                fork: fork.clone(),
                command: command.clone(),
                environment: environment::passed_on(std::env::vars_os()),
                key: None,
            };
            let what = || match name {
                Some(name) => format!("add `{workspace}/{name}`"),
                None => format!("add a process to `{workspace}`"),
            };
            let added = daemon.call::<AddProcess>(&params, Patience::Effect).to(what)?;
            note_session(app, &mut daemon, &added, fork.is_some());
            say(app, &added, "added")
        }
        Process::Remove { process } => {
            let gone = daemon
                .call::<RemoveProcess>(&process.params(), Patience::Effect)
                .to(|| format!("remove `{process}`"))?;
            if app.json {
                output::print_json(&gone)
            } else {
                output::print(format_args!("removed {process}\n"))
            }
        }
        Process::Start { process } => {
            let started = daemon
                .call::<StartProcess>(&process.params(), Patience::Effect)
                .to(|| format!("start `{process}`"))?;
            say_if_it_runs(app, &started, "start", "started")
        }
        Process::Stop { process, now } => {
            let stopped = daemon
                .call::<StopProcess>(&process.stop_params(*now), Patience::Effect)
                .to(|| format!("stop `{process}`"))?;
            say(app, &stopped, "stopped")
        }
        Process::Restart { process, now } => {
            let restarted = daemon
                .call::<RestartProcess>(&process.stop_params(*now), Patience::Effect)
                .to(|| format!("restart `{process}`"))?;
            say_if_it_runs(app, &restarted, "restart", "restarted")
        }
        Process::Attach(_)
        | Process::Logs(_)
        | Process::Adopt(_)
        | Process::Send(_)
        | Process::Explain { .. } => {
            unreachable!("these are done by now")
        }
    }
}

/// Says it where a session goes on in another directory than a person would think: a Claude looks for one
/// only where it took place, a workspace is somewhere.
fn note_session(app: &App, daemon: &mut Connection, added: &ProcessView, forked: bool) {
    if app.json {
        return;
    }
    let Ok(all) = daemon.ask::<ListWorkspaces>(&Empty {}) else { return };
    let Some(home) = all.into_iter().find(|w| w.name == added.workspace) else { return };
    if home.cwd != added.cwd && !forked {
        output::note(format_args!(
            "its session took place in {}, so it runs there and not in {}",
            output::clean(&added.cwd.display().to_string()),
            output::clean(&home.cwd.display().to_string())
        ));
    }
}

/// A call to start is answered also when the start has failed: for a script that is a failure.
fn say_if_it_runs(app: &App, process: &ProcessView, verb: &str, done: &str) -> Outcome {
    match process.state {
        State::Stopped | State::Starting | State::Running | State::Stopping | State::Exited => {
            say(app, process, done)
        }
        State::Failed | State::CrashLoop | State::Backoff => {
            if app.json {
                output::print_json(process)?;
            }
            let why = process.state_reason.clone().or_else(|| process.last_exit.as_ref().map(|e| e.text()));
            let what = format!("{verb} `{}/{}`", process.workspace, process.name);
            Err(Failure::new(
                what,
                why.unwrap_or_else(|| format!("it is in the state {}", process.state.name())),
            )
            .hint(format!(
                "`wezterm-parallel process logs {}/{}` has what it wrote",
                process.workspace, process.name
            )))
        }
    }
}

pub fn say(app: &App, process: &ProcessView, done: &str) -> Outcome {
    if app.json {
        return output::print_json(process);
    }
    let ProcessView { workspace, name, .. } = process;
    let reason = process.state_reason.as_ref().map(|r| format!(": {}", output::clean(r))).unwrap_or_default();
    output::print(format_args!("{done} {workspace}/{name} ({}{reason})\n", process.state.name()))
}
