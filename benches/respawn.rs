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
/// What has not come back after this long is counted as missing. Supervisor may need two seconds.
const PATIENCE: Duration = Duration::from_secs(4);
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

/// How long each replacement took, and how many did not come.
#[derive(Clone, Default)]
struct Kills {
    samples: Vec<Duration>,
    missed: usize,
}

fn ours(kills: usize, fsync_ms: u32) -> Try<Kills> {
    let place = Place::new()?;
    let beats = Beats::listen(&place)?;
    let ours = Ours::start(place, fsync_ms, 1, &beater(&beats)?)?;
    let kills = kill_again_and_again(&beats, kills, || Err(failed("a kill was not followed by a start")))?;
    ours.stop()?;
    Ok(kills)
}

fn theirs(peer: Peer, kills: usize) -> Try<Kills> {
    let place = Place::new()?;
    let beats = Beats::listen(&place)?;
    let fleet = peer.start(place, 1, &beater(&beats)?)?;
    let kills = kill_again_and_again(&beats, kills, || fleet.start_again())?;
    fleet.stop();
    Ok(kills)
}

/// Kills what runs, so many times. What does not come back is started by `start_again`.
fn kill_again_and_again(beats: &Beats, kills: usize, start_again: impl Fn() -> Try<()>) -> Try<Kills> {
    let mut pid = beats.wait(1)?[0];
    let mut seen = Kills::default();
    for _ in 0..kills {
        std::thread::sleep(REST);
        let began = Instant::now();
        place::send_kill(pid)?;
        if let Some(next) = beats.next(PATIENCE)? {
            seen.samples.push(began.elapsed());
            pid = next;
        } else {
            seen.missed += 1;
            start_again()?;
            pid = beats.wait(1)?[0];
        }
    }
    Ok(seen)
}

/// The program's own start, by a process that is as plain as can be.
fn bare_starts(starts: usize) -> Try<Kills> {
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
    Ok(Kills { samples, missed: 0 })
}

fn row(name: &str, kills: &Try<Kills>, part: f64) -> Row {
    Row::new(name, figure(kills, part))
}

fn figure(kills: &Try<Kills>, part: f64) -> Try<Figure> {
    let Kills { mut samples, missed } = match kills {
        Ok(kills) => kills.clone(),
        Err(why) => return Err(failed(why.to_string())),
    };
    if samples.is_empty() {
        return Err(failed(format!("not one of {missed} kills was followed by a start")));
    }
    samples.sort_unstable();
    let at = |part| Figure::time(percentile(&samples, part));
    let mut note = format!("{} to {}, n {}", at(0.0).shown(), at(1.0).shown(), samples.len());
    if missed > 0 {
        note.push_str(&format!(", {missed} more not within {} s", PATIENCE.as_secs()));
    }
    Ok(at(part).noted(note))
}
