//! How long it takes to be told how things stand: by the command line, and on a socket that is open.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::Command,
    time::{Duration, Instant},
};

use wezterm_parallel_schemas::{
    daemon::Empty,
    method::{DaemonStatus, ListProcesses, ListWorkspaces, Method},
    process::ProcessList,
};

use crate::{
    Plan,
    client::encode,
    failure::{Context, Try, failed},
    ours::Ours,
    place::{self, Place},
    programs,
    report::{Figure, Row, Target},
};

const STATUS: &str = "status by CLI, 50 kept";
const SMALL: &str = "call on an open socket: workspace.list";
const LARGE: &str = "call on an open socket: process.list of 50";
const ALL: &str = "call on an open socket: daemon.status with 50";
/// The rows.
pub const NAMES: &[&str] = &[STATUS, SMALL, LARGE, ALL];

/// As many as the targets speak of.
const KEPT: usize = 50;
const CLI_CALLS: usize = 50;
const SOCKET_CALLS: usize = 2_000;
/// The time in which an answer on an open socket is meant to come.
const CALL_MAX: Target = Target::AtMost(50e-6);

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let kept = plan.count(KEPT, 5);
    let cli_calls = plan.count(CLI_CALLS, 5);
    let socket_calls = plan.count(SOCKET_CALLS, 100);
    let ours = match Place::new().and_then(|place| Ours::start(place, 0, kept, &programs::sleeper())) {
        Ok(ours) => ours,
        Err(why) => return NAMES.iter().map(|n| Row::new(*n, Err(failed(why.to_string())))).collect(),
    };

    let status = Row::new(
        STATUS,
        time_command(cli_calls, || {
            let mut c = ours.command();
            c.arg("status");
            c
        }),
    );
    let mut rows = vec![
        status.target(Target::AtMost(2e-3)),
        call_row::<ListWorkspaces>(SMALL, &ours, socket_calls, &Empty {}),
        call_row::<ListProcesses>(LARGE, &ours, socket_calls, &ProcessList::default()),
        call_row::<DaemonStatus>(ALL, &ours, socket_calls, &Empty {}),
    ];
    if let Err(why) = ours.stop() {
        rows[0].ours = Err(why);
    }

    let status =
        rows.remove(0).beside("true (does nothing)", time_command(cli_calls, || Command::new("true")));
    let status = plan.beside(
        status,
        |_| true,
        |peer, place| {
            let fleet = peer.start(place, kept, &programs::sleeper())?;
            fleet.wait_programs("sleep", kept)?;
            time_command(cli_calls, || fleet.status())
        },
    );
    rows.insert(0, status);
    rows
}

/// The whole life of a process, many times.
fn time_command(calls: usize, command: impl Fn() -> Command) -> Try<Figure> {
    place::run(&mut command())?;
    let samples = (0..calls).map(|_| place::run(&mut command())).collect::<Try<_>>()?;
    Ok(Figure::median(samples))
}

fn call_row<M: Method>(name: &str, ours: &Ours, calls: usize, params: &M::Params) -> Row {
    let mut bytes = (0, 0);
    let figure = (|| {
        let mut client = ours.client()?;
        let request = encode(1, M::NAME, params)?;
        // the first ones find cold caches
        for _ in 0..calls / 10 {
            client.round_trip(&request)?;
        }
        let mut samples = Vec::with_capacity(calls);
        for _ in 0..calls {
            let (took, answer) = client.round_trip(&request)?;
            bytes = (request.len(), answer);
            samples.push(took);
        }
        let figure = Figure::median(samples);
        let note = format!(
            "{}, answer {}",
            figure.note,
            Figure::new(bytes.1 as f64, crate::report::Unit::Bytes).shown()
        );
        Ok(figure.noted(note))
    })();
    let floor = time_echo(calls, bytes.0.max(1), bytes.1.max(1));
    Row::new(name, figure).target(CALL_MAX).beside("bare socket, as many bytes", floor)
}

/// The same bytes between two threads over a socket, and nothing else.
fn time_echo(calls: usize, request: usize, answer: usize) -> Try<Figure> {
    let (mut near, mut far) = UnixStream::pair().failed_to("make a pair of sockets")?;
    std::thread::spawn(move || {
        let (mut asked, said) = (vec![0; request], vec![1; answer]);
        while far.read_exact(&mut asked).is_ok() && far.write_all(&said).is_ok() {}
    });
    let (ask, mut heard) = (vec![0; request], vec![0; answer]);
    let mut samples: Vec<Duration> = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = Instant::now();
        near.write_all(&ask).failed_to("ask")?;
        near.read_exact(&mut heard).failed_to("hear")?;
        samples.push(began.elapsed());
    }
    Ok(Figure::median(samples))
}
