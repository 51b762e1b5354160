//! What happens to an agent, one thing after the other with the real Claude Code, and whether its status
//! was right each time: the score. `cargo test --test scenarios` runs the two ways that must hold and
//! prints it; `-- --all` runs all ways, and writes the table of `docs/STATUS.md`; `-- NAME…` only those
//! scenarios; `-- --strict` also asks that each status came within 200 ms of what it tells of, which
//! wants a quiet machine.
//!
//! Without a harness: a score is a table, not a list of passed tests.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other test program uses the rest")]
mod support;

mod scenario;
mod stage;
mod table;

use std::{
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use scenario::SCENARIOS;
use stage::{Stage, Way};
use table::{Found, Score};

/// How many run at a time: each is a daemon, a Claude and a terminal, which mostly wait.
const AT_ONCE: usize = 3;
/// How late a status may be, in milliseconds, to count with `--strict`.
const LATE_MS: i64 = 200;
/// Of how many scenarios the status must be right where the agent does not report it itself. Three cannot
/// be told then: see `docs/STATUS.md`.
const SILENT_MIN: usize = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| arguments.iter().any(|a| a == flag);
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    if support::claude::executable().is_none() {
        println!("0 passed, 0 failed, {} skipped", SCENARIOS.len());
        return ExitCode::SUCCESS;
    }
    let ways: Vec<Way> = Way::ALL.into_iter().filter(|w| given("--all") || w.always).collect();
    let jobs: Vec<(usize, usize)> = (0..ways.len())
        .flat_map(|w| (0..SCENARIOS.len()).map(move |s| (w, s)))
        .filter(|(_, s)| names.is_empty() || names.iter().any(|n| SCENARIOS[*s].name.contains(n.as_str())))
        .collect();
    // a failure is told with its scenario, not as a panic somewhere in between
    std::panic::set_hook(Box::new(|_| {}));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Score::default()));
    thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some((w, s)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)).copied() {
                    let result = run(ways[w], s);
                    let line = table::line(&ways[w], s, &result);
                    found.lock().expect("no thread paniced with it").put(w, s, result);
                    support::site::say(&line);
                }
            });
        }
    });
    let score = found.into_inner().expect("all threads have ended");
    let late = if given("--strict") { LATE_MS } else { i64::MAX };
    print!("{}", score.shown(&ways, late));
    if given("--all") && names.is_empty() {
        score.write(&ways, LATE_MS);
    }
    let (mut passed, mut failed, mut good) = (0, 0, true);
    for (w, way) in ways.iter().enumerate() {
        let (right, all) = score.count(w, late);
        passed += right;
        failed += all - right;
        let asked = if way.reports { all } else { SILENT_MIN.min(all) };
        good &= !names.is_empty() || right >= asked;
    }
    // what cannot be told is no failure where it is known and bounded
    println!("scenarios: {passed} right, {failed} not; {}", if good { "as it must be" } else { "too few" });
    println!("{} passed, {} failed", passed, if good { 0 } else { failed });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One scenario, one way. A panic of the support is a failure of it.
fn run(way: Way, scenario: usize) -> Found {
    let played = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut stage = Stage::new(way, &SCENARIOS[scenario]);
        let result = (SCENARIOS[scenario].play)(&mut stage);
        (result, stage.end())
    }));
    match played {
        Ok((Ok(late_ms), Ok(()))) => Found::Right { late_ms },
        Ok((Err(why), _) | (_, Err(why))) => Found::Wrong { why },
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Found::Wrong { why: text.unwrap_or_else(|| "paniced".into()) }
        }
    }
}
