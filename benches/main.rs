//! Measures speed and size, and prints them beside the peers: `cargo bench`, or `cargo bench -- ROW…`
//! for the rows whose names contain one of the words. See `benches/README.md`.

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

#[path = "../tests/plugin/fake/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod fake;

mod agents;
mod attach;
mod calls;
mod client;
mod create;
mod crowd;
mod failure;
mod gui;
mod hooks;
mod idle;
mod memory;
mod ours;
mod peers;
mod place;
mod plugin;
mod proc;
mod programs;
mod report;
mod respawn;
mod restart;
mod tasks;
mod terminal;

use std::{fs, path::Path, process::ExitCode};

use crate::{
    failure::Try,
    peers::Peer,
    place::Place,
    report::{Figure, Row},
};

/// How much is measured, and beside whom.
pub struct Plan {
    /// Few samples and short windows: to see that everything works. Its figures are worth little.
    pub quick: bool,
    /// The peers that are installed.
    pub peers: Vec<Peer>,
}

impl Plan {
    /// This many, or fewer if it is to be quick.
    pub fn count(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Measures the peers of which `wanted` is true, those that are installed, each in a place of its own.
    pub fn beside(
        &self,
        mut row: Row,
        wanted: impl Fn(Peer) -> bool,
        measure: impl Fn(Peer, Place) -> Try<Figure>,
    ) -> Row {
        for peer in self.peers.iter().copied().filter(|p| wanted(*p)) {
            eprintln!("  {}", peer.name());
            row = row.beside(peer.name(), Place::new().and_then(|place| measure(peer, place)));
        }
        row
    }
}

/// Rows that are measured together.
struct Group {
    /// What its rows are called.
    names: &'static [&'static str],
    measure: fn(&Plan) -> Vec<Row>,
}

const GROUPS: &[Group] = &[
    Group { names: memory::NAMES, measure: memory::measure },
    Group { names: idle::NAMES, measure: idle::measure },
    Group { names: calls::NAMES, measure: calls::measure },
    Group { names: respawn::NAMES, measure: respawn::measure },
    Group { names: attach::FLOOD_NAMES, measure: attach::measure_flood },
    Group { names: attach::KEY_NAMES, measure: attach::measure_keys },
    Group { names: create::NAMES, measure: create::measure },
    Group { names: restart::NAMES, measure: restart::measure },
    Group { names: agents::NAMES, measure: agents::measure },
    Group { names: gui::NAMES, measure: gui::measure },
    Group { names: plugin::NAMES, measure: plugin::measure },
    Group { names: hooks::NAMES, measure: hooks::measure },
    Group { names: tasks::NAMES, measure: tasks::measure },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match programs::run_if_asked(&args) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(why) => return fail(&why.to_string()),
    }
    if let Some(unknown) = args.iter().find(|a| a.starts_with('-') && *a != "--quick" && *a != "--bench") {
        return fail(&format!(
            "unknown option {unknown}; there is --quick, and words that rows are chosen by"
        ));
    }
    let words: Vec<&str> = args.iter().map(String::as_str).filter(|a| !a.starts_with('-')).collect();
    let chosen = |name: &str| words.is_empty() || words.iter().any(|w| name.contains(w));

    let mut machine = machine();
    let mut plan = Plan { quick: args.iter().any(|a| a == "--quick"), peers: Vec::new() };
    for peer in Peer::ALL {
        machine.push(match peer.version() {
            Some(version) => {
                plan.peers.push(peer);
                version
            }
            None => format!("{} is not installed and left out", peer.name()),
        });
    }
    let mut rows = Vec::new();
    for group in GROUPS.iter().filter(|g| g.names.iter().any(|n| chosen(n))) {
        eprintln!("measuring {} …", group.names[0]);
        rows.extend((group.measure)(&plan).into_iter().filter(|row| chosen(&row.name)));
    }
    machine.push(format!("load average afterwards: {}", load()));
    if plan.quick {
        machine.push("--quick: few samples, no figure here is worth quoting".into());
    }
    for line in &machine {
        println!("{line}");
    }
    println!("\n{}", report::table(&rows));

    // cargo's directory for what benches leave, of which the parent is the target directory
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench.json");
    match report::write_json(&json, &machine, &rows) {
        Ok(()) => println!("written to {}", json.display()),
        Err(why) => return fail(&why.to_string()),
    }
    if rows.is_empty() { fail("no row has such a name") } else { ExitCode::SUCCESS }
}

/// What figures depend on.
fn machine() -> Vec<String> {
    let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpu = read("/proc/cpuinfo");
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':']);
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        format!("Linux {}, {processors} × {model}", read("/proc/sys/kernel/osrelease")),
        format!("load average before: {}", load()),
    ]
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn fail(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
