//! From `kill -9` of a kept program to the first thing that its replacement does, with no wait before
//! the restart. The program is one that says at once that it runs; the floor is a bare start of it.

use std::time::{Duration, Instant};

use crate::{
    Plan,
    failure::{Try, failed},
    ours::Ours,
    peers::Peer,
    place::{self, Place},
    programs::{Beats, beater},
    report::{Figure, Row, Target, percentile},
};

const MEDIAN: &str = "kill -9 → replacement runs";
const TAIL: &str = "kill -9 → replacement runs, p99";
const SLOW_DISK: &str = "kill -9 → replacement runs, 10 ms more per fsync";
/// The rows.
pub const NAMES: &[&str] = &[MEDIAN, TAIL, SLOW_DISK];

const KILLS: usize = 50;
/// Supervisor needs a second for each.
const KILLS_SLOW_PEER: usize = 10;
/// What has not come back after this long is counted as missing, and ends the row of that peer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two kills, so that each one meets a program that has been seen to run and a keeper at rest.
const REST: Duration = Duration::from_millis(50);

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let kills = plan.count(KILLS, 5);
    let floor = bare_starts(kills);
    let ours = ours(kills, 0);
    let mut median = row(MEDIAN, &ours, 0.5).target(Target::AtMost(3e-3));
    let mut tail = row(TAIL, &ours, 0.99).target(Target::AtMost(5e-3));
    median = median.beside("bare start of it", figure(&floor, 0.5));
    tail = tail.beside("bare start of it", figure(&floor, 0.99));
    for peer in plan.peers.iter().copied().filter(|p| p.restarts()) {
        eprintln!("  {}", peer.name());
        let kills = if peer == Peer::Supervisor { kills.min(KILLS_SLOW_PEER) } else { kills };
        let samples = theirs(peer, kills);
        median = median.beside(peer.name(), figure(&samples, 0.5));
        tail = tail.beside(peer.name(), figure(&samples, 0.99));
    }
    // the commit comes before the start, so one of them is what a restart costs here
    let slow_disk = row(SLOW_DISK, &self::ours(kills, 10), 0.5);
    vec![median, tail, slow_disk]
}

fn ours(kills: usize, fsync_ms: u32) -> Try<Vec<Duration>> {
    let place = Place::new()?;
    let beats = Beats::listen(&place)?;
    let ours = Ours::start(place, fsync_ms, 1, &beater(&beats)?)?;
    let samples = kill_again_and_again(&beats, kills)?;
    ours.stop()?;
    Ok(samples)
}

fn theirs(peer: Peer, kills: usize) -> Try<Vec<Duration>> {
    let place = Place::new()?;
    let beats = Beats::listen(&place)?;
    let fleet = peer.start(place, 1, &beater(&beats)?)?;
    let samples = kill_again_and_again(&beats, kills)?;
    fleet.stop();
    Ok(samples)
}

fn kill_again_and_again(beats: &Beats, kills: usize) -> Try<Vec<Duration>> {
    let mut pid = beats.wait(1)?[0];
    let mut samples = Vec::with_capacity(kills);
    while samples.len() < kills {
        std::thread::sleep(REST);
        let began = Instant::now();
        place::send_kill(pid)?;
        match beats.next(PATIENCE)? {
            Some(next) => pid = next,
            None => {
                let (n, s) = (samples.len() + 1, PATIENCE.as_secs());
                return Err(failed(format!("kill number {n} was not followed by a start within {s} s")));
            }
        }
        samples.push(began.elapsed());
    }
    Ok(samples)
}

/// The program's own start, by a process that is as plain as can be.
fn bare_starts(starts: usize) -> Try<Vec<Duration>> {
    let place = Place::new()?;
    let beats = Beats::listen(&place)?;
    let program = beater(&beats)?;
    let mut samples = Vec::with_capacity(starts);
    for _ in 0..starts {
        std::thread::sleep(REST);
        let began = Instant::now();
        let mut child = place.command(&program[0]).args(&program[1..]).spawn()?;
        beats.wait(1)?;
        samples.push(began.elapsed());
        child.kill()?;
        child.wait()?;
    }
    Ok(samples)
}

fn row(name: &str, samples: &Try<Vec<Duration>>, part: f64) -> Row {
    Row::new(name, figure(samples, part))
}

fn figure(samples: &Try<Vec<Duration>>, part: f64) -> Try<Figure> {
    let mut samples = match samples {
        Ok(samples) => samples.clone(),
        Err(why) => return Err(failed(why.to_string())),
    };
    samples.sort_unstable();
    let at = |part| Figure::time(percentile(&samples, part));
    Ok(at(part).noted(format!("{} to {}, n {}", at(0.0).shown(), at(1.0).shown(), samples.len())))
}
