//! `process adopt`: a Claude that somebody started by hand ends, and its session goes on as a process.

use wezterm_parallel_schemas::{
    daemon::Empty,
    environment,
    method::{AdoptProcess, ListProcesses, ListWorkspaces},
    process::{ProcessList, ProcessView, Source, Status},
    session::ProcessAdopt,
    workspace::WorkspaceView,
};

use crate::{
    app::{App, same_file},
    arguments::Adopt,
    connection::{CallContext, Patience},
    failure::{Failure, Outcome},
    output, process,
};

/// `process adopt`.
pub fn run(app: &App, args: &Adopt) -> Outcome {
    let what = || format!("adopt `{}`", args.claude);
    let mut daemon = app.connect()?;
    let all = daemon.ask::<ListProcesses>(&ProcessList { workspace: None, all: true }).to(what)?;
    let claude = find(&all, &args.claude)
        .map_err(|why| Failure::new(what(), why).hint("`wezterm-parallel process list --all` shows all"))?;
    let workspace = match &args.workspace {
        Some(name) => name.clone(),
        None => {
            let all = daemon.ask::<ListWorkspaces>(&Empty {}).to(what)?;
            home(&all, claude).map_err(|(why, hint)| Failure::new(what(), why).hint(hint))?
        }
    };
    if !args.yes {
        let agreed = output::ask(&question(claude, &workspace, args.now), false);
        if !agreed {
            return Err(Failure::new(what(), "you did not agree").hint("--yes agrees beforehand"));
        }
    }
    let params = ProcessAdopt {
        pid: claude.pid.unwrap_or_default(),
        workspace,
        name: args.name.clone(),
        session_id: claude.session_id.clone(),
        while_working: args.now,
        environment: environment::passed_on(std::env::vars_os()),
        key: None,
    };
    let adopted = daemon.call::<AdoptProcess>(&params, Patience::Effect).to(what)?;
    process::say(app, &adopted, "adopted as")
}

/// Fewest characters by which a session is found: a mistyped process id is not to end some other Claude.
const SESSION_CHARS_MIN: usize = 4;

/// The Claude that is meant: by its process id, its session, or the first characters of that.
fn find<'a>(all: &'a [ProcessView], wanted: &str) -> Result<&'a ProcessView, String> {
    let by_pid = |p: &&ProcessView| p.pid.is_some_and(|pid| pid.to_string() == wanted);
    let by_session = |p: &&ProcessView| {
        wanted.len() >= SESSION_CHARS_MIN && p.session_id.as_deref().is_some_and(|s| s.starts_with(wanted))
    };
    let found: Vec<&ProcessView> = match all.iter().find(by_pid) {
        Some(one) => vec![one],
        None => all.iter().filter(by_session).collect(),
    };
    match found[..] {
        [one] if one.source == Source::Foreign => Ok(one),
        [one] => Err(format!("it is {}/{} already", one.workspace, one.name)),
        [] => Err("there is no such Claude".into()),
        _ => Err("several have a session that begins so".into()),
    }
}

/// The workspace that a Claude belongs into: the open one of its directory.
fn home(all: &[WorkspaceView], claude: &ProcessView) -> Result<String, (String, String)> {
    let dir = claude.cwd.display();
    let found: Vec<&WorkspaceView> =
        all.iter().filter(|w| w.open && same_file(&w.cwd, &claude.cwd)).collect();
    match found[..] {
        [one] => Ok(one.name.clone()),
        [] => Err((
            format!("there is no open workspace of {dir}"),
            format!(
                "make one: `wezterm-parallel workspace create NAME --cwd {dir}`; or say which: --workspace NAME"
            ),
        )),
        _ => {
            let names: Vec<&str> = found.iter().map(|w| w.name.as_str()).collect();
            Err((
                format!("several workspaces are of {dir}"),
                format!("say which: --workspace {}", names.join(" | ")),
            ))
        }
    }
}

fn question(claude: &ProcessView, workspace: &str, now: bool) -> String {
    let status = claude.status.map_or("unknown", Status::name);
    let working =
        if now && claude.status != Some(Status::Idle) { "; what it is doing is cut off" } else { "" };
    format!(
        "{} (process {}, {status}) in {} is asked to end{working}. Its session {} goes on in the workspace {workspace}. Do that?",
        output::clean(&claude.name),
        claude.pid.unwrap_or_default(),
        output::clean(&claude.cwd.display().to_string()),
        claude.session_id.as_deref().unwrap_or("none"),
    )
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::process::State;

    use super::*;
    use crate::view::tests::process as shown;

    fn claude(pid: i32, session: &str, source: Source) -> ProcessView {
        ProcessView {
            pid: Some(pid),
            session_id: Some(session.into()),
            source,
            ..shown("", "c", State::Running)
        }
    }

    #[test]
    fn a_claude_is_found_by_its_number_or_its_session() {
        let all = [
            claude(77, "23aa10", Source::Foreign),
            claude(78, "23aa20", Source::Foreign),
            claude(79, "77aa30", Source::Config),
        ];
        for (wanted, pid) in
            [("77", Some(77)), ("23aa2", Some(78)), ("23aa", None), ("77aa", None), ("x", None)]
        {
            assert_eq!(find(&all, wanted).ok().and_then(|p| p.pid), pid, "{wanted}");
        }
        assert_eq!(find(&all[..1], "23a"), Err("there is no such Claude".into()), "too few to be sure");
    }

    #[test]
    fn it_goes_into_the_open_workspace_of_its_directory() {
        let workspace = |name: &str, cwd: &str, open| WorkspaceView {
            name: name.into(),
            cwd: cwd.into(),
            open,
            ..crate::view::tests::workspace(name, open)
        };
        let mut all = vec![workspace("api", "/src/api", true), workspace("old", "/src/api", false)];
        let claude = claude(77, "23aa10", Source::Foreign);
        assert_eq!(home(&all, &claude).as_deref(), Ok("api"));
        all.push(workspace("api2", "/src/api", true));
        assert!(home(&all, &claude).is_err_and(|(_, hint)| hint.contains("api | api2")));
        assert!(home(&[], &claude).is_err_and(|(_, hint)| hint.contains("--cwd /src/api")));
    }
}
