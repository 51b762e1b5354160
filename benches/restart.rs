//! `kill -9` of the daemon with 50 living runs, and a new one: the time from its start until it says of
//! all of them that they run. One that is lost or doubled makes the row fail. No peer takes over what its
//! predecessor left (pueue declares it killed, supervisor and pm2 start all of it a second time, tmux and
//! mprocs take it along), so there is none beside.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use wezterm_parallel_schemas::{
    method::{AddProcess, CreateWorkspace},
    process::{ProcessAdd, State},
    workspace::WorkspaceCreate,
};

use crate::{
    Plan,
    failure::{Try, failed},
    ours::Ours,
    place::{self, Place},
    programs::sleeper,
    report::{Figure, Row, Target},
};

const LIVING: &str = "restart of the daemon, 50 living runs";
const RECORDS: &str = "restart of the daemon, 50 living runs, 1,000 records";
const SLOW_DISK: &str = "restart of the daemon, 50 living runs, 10 ms more per fsync";
/// The rows.
pub const NAMES: &[&str] = &[LIVING, RECORDS, SLOW_DISK];

const KEPT: usize = 50;
/// Processes that have ended, beside those that live.
const ENDED: usize = 950;
/// Processes of one workspace: what a person might have, times ten.
const PER_WORKSPACE: usize = 50;
/// Below the number of calls that the daemon lets one connection have unanswered.
const ADD_AT_ONCE: usize = 32;
const ROUNDS: usize = 10;
/// Everything within this.
const TARGET: Target = Target::AtMost(0.1);

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let kept = plan.count(KEPT, 5);
    let rounds = plan.count(ROUNDS, 2);
    let ended = plan.count(ENDED, 20);
    vec![
        Row::new(LIVING, restart_often(kept, 0, 0, rounds)).target(TARGET),
        Row::new(RECORDS, restart_often(kept, ended, 0, rounds)).target(TARGET),
        Row::new(SLOW_DISK, restart_often(kept, 0, 10, rounds)).target(TARGET),
    ]
}

fn restart_often(kept: usize, ended: usize, fsync_ms: u32, rounds: usize) -> Try<Figure> {
    let ours = Ours::start(Place::new()?, fsync_ms, kept, &sleeper())?;
    add_ended(&ours, ended)?;
    let samples = (0..rounds).map(|_| restart(&ours, kept)).collect::<Try<_>>()?;
    ours.stop()?;
    let figure = Figure::median(samples);
    let note = format!("{}, 0 lost, 0 doubled", figure.note);
    Ok(figure.noted(note))
}

fn restart(ours: &Ours, kept: usize) -> Try<Duration> {
    let before = running(ours)?;
    if before.len() != kept {
        return Err(failed(format!("{} of {kept} ran before the daemon was killed", before.len())));
    }
    place::kill(ours.daemon_pid()?);
    let began = Instant::now();
    ours.start_daemon()?;
    ours.wait_running(kept)?;
    let took = began.elapsed();

    let after = running(ours)?;
    if before != after {
        return Err(failed("other runs than those that lived before"));
    }
    let programs = ours.place().living().iter().filter(|p| p.runs("sleep")).count();
    if programs != kept {
        return Err(failed(format!("{programs} programs live, where there are {kept} processes")));
    }
    Ok(took)
}

/// Ids of runs and of their programs, by the ids of their processes.
type Runs = BTreeMap<String, (Option<String>, Option<i32>)>;

/// What runs.
fn running(ours: &Ours) -> Try<Runs> {
    let all = ours.processes()?.into_iter().filter(|p| p.state == State::Running);
    Ok(all.map(|p| (p.id, (p.run_id, p.pid))).collect())
}

/// Adds processes that end at once and well, in workspaces of their own, and waits until they have.
fn add_ended(ours: &Ours, count: usize) -> Try<()> {
    let mut client = ours.client()?;
    let numbers: Vec<usize> = (0..count).collect();
    for (n, workspace) in numbers.chunks(PER_WORKSPACE).enumerate() {
        let name = format!("ended{n}");
        let create =
            WorkspaceCreate { name: name.clone(), cwd: ours.place().path("work"), ..Default::default() };
        client.call::<CreateWorkspace>(&create)?;
        for some in workspace.chunks(ADD_AT_ONCE) {
            let add = |n: &usize| ProcessAdd {
                workspace: name.clone(),
                name: Some(format!("p{n}")),
                // ends well, and is left so by the default policy
                command: vec!["true".into()],
                ..Default::default()
            };
            let asked = some.iter().map(|n| client.send::<AddProcess>(&add(n))).collect::<Try<Vec<_>>>()?;
            for id in asked {
                client.answer::<AddProcess>(id)?;
            }
        }
        ours.wait_state(&name, State::Exited, workspace.len())?;
    }
    Ok(())
}
