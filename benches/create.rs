//! A workspace of four processes, from the wish to four screens that show their programs: by calls on an
//! open socket, as the WezTerm plugin makes them, and four terminals that attach. Beside tmux: one session
//! with three splits, and one terminal that attaches. Daemon and server run before.

use std::time::{Duration, Instant};

use wezterm_parallel_schemas::{
    method::{AddProcess, CreateWorkspace},
    process::ProcessAdd,
    workspace::WorkspaceCreate,
};

use crate::{
    Plan,
    failure::Try,
    ours::Ours,
    peers::{Fleet, Peer},
    place::{self, Place},
    programs::{greeter, greeting, sleeper},
    report::{Figure, Row, Target},
    terminal::Terminal,
};

const CREATE: &str = "workspace of 4 created and attached";
const SLOW_DISK: &str = "workspace of 4 created and attached, 10 ms more per fsync";
/// The rows.
pub const NAMES: &[&str] = &[CREATE, SLOW_DISK];

const PROCESSES: usize = 4;
const ROUNDS: usize = 20;

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let rounds = plan.count(ROUNDS, 2);
    let row = Row::new(CREATE, ours(rounds, 0)).target(Target::Both(0.1, 1.0));
    let row = plan.beside(
        row,
        |peer| peer == Peer::Tmux,
        |peer, place| {
            let fleet = peer.start(place, 1, &sleeper())?;
            let samples = (0..rounds).map(|round| tmux_round(&fleet, round)).collect::<Try<_>>()?;
            Ok(Figure::median(samples))
        },
    );
    vec![row, Row::new(SLOW_DISK, ours(rounds, 10)).target(Target::AtMost(0.1))]
}

fn ours(rounds: usize, fsync_ms: u32) -> Try<Figure> {
    let ours = Ours::start(Place::new()?, fsync_ms, 1, &sleeper())?;
    let samples = (0..rounds).map(|round| our_round(&ours, round)).collect::<Try<_>>()?;
    ours.stop()?;
    Ok(Figure::median(samples))
}

fn our_round(ours: &Ours, round: usize) -> Try<Duration> {
    let mut client = ours.client()?;
    let name = format!("w{round}");
    let add = |n: usize| ProcessAdd {
        workspace: name.clone(),
        name: Some(format!("p{n}")),
        command: greeter(n),
        ..Default::default()
    };

    let began = Instant::now();
    let create = WorkspaceCreate { name: name.clone(), cwd: ours.place().path("work"), ..Default::default() };
    client.call::<CreateWorkspace>(&create)?;
    let asked = (0..PROCESSES).map(|n| client.send::<AddProcess>(&add(n))).collect::<Try<Vec<_>>>()?;
    let mut terminals = Vec::new();
    for (n, id) in asked.into_iter().enumerate() {
        client.answer::<AddProcess>(id)?;
        let mut command = ours.command();
        command.args(["process", "attach", &format!("{name}/p{n}")]);
        terminals.push(Terminal::spawn(command)?);
    }
    for (n, terminal) in terminals.iter_mut().enumerate() {
        terminal.read_until(&greeting(n))?;
    }
    let took = began.elapsed();

    drop(terminals);
    place::run(ours.command().args(["workspace", "delete", &name]))?;
    Ok(took)
}

fn tmux_round(fleet: &Fleet, round: usize) -> Try<Duration> {
    let name = format!("w{round}");
    let splits: [&[&str]; PROCESSES - 1] = [
        &[";", "split-window", "-h"],
        &[";", "split-window", "-v"],
        &[";", "split-window", "-v", "-t", "{top-left}"],
    ];

    let began = Instant::now();
    let mut command = fleet.tmux(&["new-session", "-d", "-x", "160", "-y", "50", "-s", &name]);
    command.args(greeter(0));
    for (n, split) in splits.iter().enumerate() {
        command.args(*split).args(greeter(n + 1));
    }
    place::run(&mut command)?;
    let mut terminal = Terminal::spawn(fleet.tmux(&["attach", "-t", &name]))?;
    let greetings: Vec<_> = (0..PROCESSES).map(greeting).collect();
    terminal.read_until_all(greetings.iter().map(String::as_str).collect())?;
    let took = began.elapsed();

    drop(terminal);
    place::run(&mut fleet.tmux(&["kill-session", "-t", &name]))?;
    Ok(took)
}
