//! `stop`: ends the daemon, and every run unless told to keep them.

use std::time::Duration;

use wezterm_parallel_schemas::{
    daemon::{DaemonStop, Empty, Stopped},
    method::{DaemonStatus, StopDaemon},
    process::{ProcessView, Status},
};

use crate::{
    app::App,
    arguments::Stop,
    connection::{CallContext, Connection, Patience},
    failure::{Context, Failure, Outcome},
    os, output,
    view::count,
};

/// How long the daemon may take to end once it has answered. It has nothing left to do but to leave.
const END_MS: u64 = 30_000;
/// How many working agents are named in a question.
const NAMES_MAX: usize = 5;

/// `stop`.
pub fn run(app: &App, args: &Stop) -> Outcome {
    let mut daemon = app.connect()?;
    if !args.keep && !args.yes && output::somebody_there() {
        agree(&mut daemon)?;
    }
    let stopped = stop(&mut daemon, args.keep)?;
    if app.json {
        return output::print_json(&stopped);
    }
    if args.keep {
        output::print(format_args!("the daemon has ended; left alone: {}\n", count(stopped.kept, "run")))
    } else {
        output::print(format_args!("the daemon has ended, and with it {}\n", count(stopped.ended, "run")))
    }
}

/// Asks whether agents that work may be ended. Without any there is nothing to ask.
pub fn agree(daemon: &mut Connection) -> Outcome {
    let status = daemon.ask::<DaemonStatus>(&Empty {}).to(|| "see what runs".into())?;
    let Some(question) = question(&status.processes) else { return Ok(()) };
    if output::ask(&question, false) {
        return Ok(());
    }
    Err(Failure::new("stop", "you did not agree").hint("`wezterm-parallel stop --keep` ends only the daemon"))
}

fn question(processes: &[ProcessView]) -> Option<String> {
    let working: Vec<String> = processes
        .iter()
        .filter(|p| p.status == Some(Status::Working))
        .map(|p| format!("{}/{}", p.workspace, p.name))
        .collect();
    let names = working.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>().join(", ");
    match working.len() {
        0 => None,
        1 => Some(format!("{names} is working. Stop it and everything else?")),
        n if n <= NAMES_MAX => Some(format!("{names} are working. Stop them and everything else?")),
        n => Some(format!("{n} agents are working ({names}, …). Stop them and everything else?")),
    }
}

/// Stops the daemon and waits until it is gone.
pub fn stop(daemon: &mut Connection, keep: bool) -> Outcome<Stopped> {
    let what = || "stop the daemon".to_owned();
    let status = daemon.ask::<DaemonStatus>(&Empty {}).to(what)?;
    let process = os::watch(status.daemon.pid).failed_to(what)?;
    let stopped = daemon.call::<StopDaemon>(&DaemonStop { keep }, Patience::Effect).to(what)?;
    if process.wait(Duration::from_millis(END_MS)).failed_to(what)? {
        return Ok(stopped);
    }
    Err(Failure::new(what(), format!("it is still there (pid {})", status.daemon.pid))
        .hint(format!("its log may say why; `kill {}` ends it", status.daemon.pid)))
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::process::State;

    use super::*;
    use crate::view::tests::process;

    #[test]
    fn only_agents_that_work_are_asked_about() {
        let mut list: Vec<ProcessView> =
            (0..7).map(|n| process("api", &format!("p{n}"), State::Running)).collect();
        list[0].status = Some(Status::Idle);
        assert_eq!(question(&list), None);
        list[1].status = Some(Status::Working);
        assert_eq!(question(&list).as_deref(), Some("api/p1 is working. Stop it and everything else?"));
        for p in &mut list {
            p.status = Some(Status::Working);
        }
        assert!(
            question(&list)
                .is_some_and(|q| q.starts_with("7 agents are working (api/p0, ") && !q.contains("p5"))
        );
    }
}
