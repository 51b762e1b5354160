//! Ten real Claudes, for an hour: prompted, asked, answered and denied from one place, without one lost
//! prompt, wrong status or stuck dialog.
//!
//! `cargo test --test endurance -- --minutes 60 --agents 10`; `--kill` kills the daemon with SIGKILL every
//! two minutes on the way, and `--pause-ms` bounds the pause between two things that are done with one agent. It is left out of a plain `cargo test`. Every prompt bears a number of its own,
//! and the stand-in for the API counts how often it came: the count is the truth, and not what we say.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod support;

mod act;
mod tally;

use std::{
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use act::{Agent, Place};
use support::{claude, site::Site};
use tally::Tally;
use wezterm_parallel_schemas::process::Status;

/// Between two kills of the daemon.
const KILL_EVERY: Duration = Duration::from_secs(120);
/// Between two lines of how it goes.
const SAY_EVERY: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str, default: u64| {
        let at = arguments.iter().position(|a| a == flag);
        at.and_then(|i| arguments.get(i + 1)).map_or(default, |n| n.parse().expect("a number"))
    };
    let (minutes, agents) = (number("--minutes", 60), number("--agents", 10));
    let pause_ms = number("--pause-ms", 3_000);
    let kill = arguments.iter().any(|a| a == "--kill");
    if claude::executable().is_none() {
        return ExitCode::SUCCESS;
    }
    let site = Site::with_claude().expect("there is a Claude");
    let names = start(&site, agents);
    let (socket, work) = (site.socket(), site.path("work"));
    let place = Place { socket: &socket, work: &work, mock: site.mock() };
    let tally = Tally::default();
    let (begun, over) = (Instant::now(), AtomicBool::new(false));
    let length = Duration::from_secs(60 * minutes);
    thread::scope(|threads| {
        let workers: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let (tally, over) = (&tally, &over);
                threads.spawn(move || {
                    let mut agent = Agent::new(place, name, i as u64, pause_ms, tally);
                    while !over.load(Ordering::Relaxed) {
                        agent.act();
                    }
                })
            })
            .collect();
        let watch = threads.spawn(|| tally::watch(place, &tally, &over));
        let (mut said, mut killed) = (begun, begun);
        while begun.elapsed() < length && workers.iter().any(|w| !w.is_finished()) {
            thread::sleep(Duration::from_millis(500));
            if kill && killed.elapsed() >= KILL_EVERY {
                killed = Instant::now();
                tally.note(|t| t.kills += 1);
                site.kill_daemon();
                site.daemon();
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                support::site::say(&format!("{:>5} s  {}", begun.elapsed().as_secs(), tally.line()));
            }
        }
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            if worker.join().is_err() {
                tally.wrong("a worker gave up".into());
            }
        }
        // it wakes up with the daemon's last word
        site.run(&["stop", "--yes"]).ok();
        let _ = watch.join();
    });
    tally.check_counts(place);
    println!("{} agents, {} s\n{}", agents, begun.elapsed().as_secs(), tally.report());
    if tally.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Starts the Claudes, half of them in each of two workspaces, and waits for their prompts.
fn start(site: &Site, agents: u64) -> Vec<String> {
    let names: Vec<String> =
        (0..agents).map(|i| format!("{}/a{i}", if i % 2 == 0 { "api" } else { "web" })).collect();
    let mut config =
        String::from("version: 1\nagents: { claude: { args: [--permission-mode, default] } }\nworkspaces:\n");
    for workspace in ["api", "web"] {
        site.project(workspace);
        config += &format!("  {workspace}:\n    cwd: $WORK/{workspace}\n    processes:\n");
        for name in names.iter().filter_map(|n| n.strip_prefix(workspace)?.strip_prefix('/')) {
            config += &format!("      {name}: {{ agent: claude }}\n");
        }
        if !names.iter().any(|n| n.starts_with(workspace)) {
            config += "      none: { command: [sleep, infinity] }\n";
        }
    }
    site.config(&config);
    site.daemon();
    for name in &names {
        site.wait_status(name, Status::Idle);
    }
    names
}
