//! What 50 kept processes cost while nothing happens: CPU time and wake-ups of the daemon and of all
//! keepers, over a window in which nobody asks them anything.

use std::time::{Duration, Instant};

use crate::{
    Plan,
    failure::{Context, Try, failed},
    ours::Ours,
    place::Place,
    proc::{self, Activity},
    programs,
    report::{Figure, Row, Target, Unit},
};

const CPU: &str = "idle, 50 kept: CPU";
const WAKEUPS: &str = "idle, 50 kept: wake-ups";
/// The rows.
pub const NAMES: &[&str] = &[CPU, WAKEUPS];

/// As many as the targets speak of.
const KEPT: usize = 50;
/// Long enough for what comes twice a minute to be seen.
const WINDOW: Duration = Duration::from_secs(60);
const WINDOW_QUICK: Duration = Duration::from_secs(3);
/// Threads and timers of the start are over after this: the daemon's helpers end after two seconds.
const BEFORE: Duration = Duration::from_secs(5);

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let kept = plan.count(KEPT, 5);
    let window = if plan.quick { WINDOW_QUICK } else { WINDOW };
    let ours = Place::new().and_then(|place| watch_ours(place, kept, window));
    let [mut cpu, mut wakeups] = rows(ours, window);
    for peer in &plan.peers {
        eprintln!("  {}", peer.name());
        let watched = Place::new().and_then(|place| {
            let fleet = peer.start(place, kept, &programs::sleeper())?;
            fleet.wait_programs("sleep", kept)?;
            watch(&[("", fleet.pids()?)], window)
        });
        let [peer_cpu, peer_wakeups] = rows(watched, window);
        cpu = cpu.beside(peer.name(), peer_cpu.ours);
        wakeups = wakeups.beside(peer.name(), peer_wakeups.ours);
    }
    // what is printed as 0.000 %
    vec![cpu.target(Target::AtMost(0.0005)), wakeups.target(Target::AtMost(0.0))]
}

/// What each part did, by name.
type Watched = Vec<(&'static str, Activity)>;

fn watch_ours(place: Place, kept: usize, window: Duration) -> Try<Watched> {
    let ours = Ours::start(place, 0, kept, &programs::sleeper())?;
    let parts = [("daemon", vec![ours.daemon_pid()?]), ("keepers", ours.keeper_pids()?)];
    let watched = watch(&parts, window)?;
    ours.stop().failed_to("leave nothing behind")?;
    Ok(watched)
}

fn watch(parts: &[(&'static str, Vec<i32>)], window: Duration) -> Try<Watched> {
    std::thread::sleep(BEFORE);
    let look = || parts.iter().map(|(_, pids)| proc::activity(pids)).collect::<Try<Vec<_>>>();
    let (began, before) = (Instant::now(), look()?);
    std::thread::sleep(window.saturating_sub(began.elapsed()));
    let after = look()?;
    let since = |(before, after): (&Activity, &Activity)| Activity {
        cpu_ns: after.cpu_ns.saturating_sub(before.cpu_ns),
        wakeups: after.wakeups.saturating_sub(before.wakeups),
    };
    let done = before.iter().zip(&after).map(since);
    Ok(parts.iter().map(|(name, _)| *name).zip(done).collect())
}

fn rows(watched: Try<Watched>, window: Duration) -> [Row; 2] {
    let watched = match watched {
        Ok(watched) => watched,
        Err(why) => return [CPU, WAKEUPS].map(|name| Row::new(name, Err(failed(why.to_string())))),
    };
    let row = |name, value: fn(&Activity) -> u64, scale: f64, unit, of: &str| {
        let sum: u64 = watched.iter().map(|(_, a)| value(a)).sum();
        let parts: Vec<_> = watched
            .iter()
            .filter(|(n, _)| !n.is_empty())
            .map(|(n, a)| format!("{n} {}{of}", value(a)))
            .collect();
        let note = format!(
            "{}{}in {} s",
            parts.join(", "),
            if parts.is_empty() { "" } else { " " },
            window.as_secs()
        );
        Row::new(name, Ok(Figure::new(sum as f64 * scale / window.as_secs_f64(), unit).noted(note)))
    };
    // nanoseconds to percent of a second
    [
        row(CPU, |a| a.cpu_ns / 1000, 1e-4, Unit::Percent, " µs"),
        row(WAKEUPS, |a| a.wakeups, 1.0, Unit::PerSecond, ""),
    ]
}
