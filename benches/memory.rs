//! Memory with 50 kept processes: the daemon and all keepers, and of a peer everything but what it keeps.
//! What is shared counts in parts (PSS), so that the sum is what the machine would get back.

use crate::{
    Plan,
    failure::{Context, Try, failed},
    ours::Ours,
    peers::Peer,
    place::{Place, wait_for},
    proc::{self, Memory},
    programs::{self, Text},
    report::{Figure, Row, Target},
};

const BLANK: &str = "memory, 50 kept, blank screens";
const BLANK_DAEMON: &str = "memory, blank: the daemon alone";
const BLANK_KEEPER: &str = "memory, blank: one keeper";
const FULL: &str = "memory, 50 full screens with history";
const FULL_DAEMON: &str = "memory, full: the daemon alone";
const FULL_KEEPER: &str = "memory, full: one keeper";
/// The rows.
pub const NAMES: &[&str] = &[BLANK, BLANK_DAEMON, BLANK_KEEPER, FULL, FULL_DAEMON, FULL_KEEPER];

/// As many as the targets speak of.
const KEPT: usize = 50;
/// What each screen is given: twice the history that is kept by default.
const TEXT_BYTES: u64 = 2 << 20;

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let kept = plan.count(KEPT, 5);
    let blank = Place::new().and_then(|place| weigh(place, kept, &programs::sleeper(), false));
    let [all, daemon, keeper] = rows(blank, kept, [BLANK, BLANK_DAEMON, BLANK_KEEPER]);
    let all = plan.beside(
        all.target(Target::AtMost(12e6)),
        |_| true,
        |peer, place| {
            let fleet = peer.start(place, kept, &programs::sleeper())?;
            fleet.wait_programs("sleep", kept)?;
            weigh_peer(&fleet.pids()?)
        },
    );

    let full = Place::new().and_then(|place| {
        let text = place.path("text");
        programs::write_text(&text, TEXT_BYTES, Text::Coloured)?;
        weigh(place, kept, &programs::show(&text), true)
    });
    let [full_all, full_daemon, full_keeper] = rows(full, kept, [FULL, FULL_DAEMON, FULL_KEEPER]);
    let full_all = plan.beside(
        full_all.target(Target::AtMost(60e6)),
        |p| p == Peer::Tmux,
        |peer, place| {
            let text = place.path("text");
            programs::write_text(&text, TEXT_BYTES, Text::Coloured)?;
            let fleet = peer.start(place, kept, &programs::show(&text))?;
            fleet.wait_programs("sleep", kept)?;
            Ok(weigh_peer(&fleet.pids()?)?.noted("10,000 lines of history each"))
        },
    );
    vec![all, daemon, keeper, full_all, full_daemon, full_keeper]
}

/// What one daemon and its keepers take.
struct Weighed {
    daemon: Memory,
    keepers: Vec<Memory>,
}

fn weigh(place: Place, kept: usize, program: &[String], until_shown: bool) -> Try<Weighed> {
    let ours = Ours::start(place, 0, kept, program)?;
    let (daemon, keepers) = (ours.daemon_pid()?, ours.keeper_pids()?);
    if keepers.len() != kept {
        return Err(failed(format!("{} keepers for {kept} processes", keepers.len())));
    }
    if until_shown {
        // the program that shows the text turns into one that sleeps
        wait_for("the end of all texts", || {
            let asleep = ours.place().living().iter().filter(|p| p.runs("sleep")).count();
            Ok((asleep == kept).then_some(()))
        })?;
    }
    let all: Vec<_> = keepers.iter().copied().chain([daemon]).collect();
    proc::settle(&all)?;
    let daemon = proc::memory(&[daemon])?;
    let keepers = keepers.iter().map(|pid| proc::memory(&[*pid])).collect::<Try<_>>()?;
    ours.stop().failed_to("leave nothing behind")?;
    Ok(Weighed { daemon, keepers })
}

fn weigh_peer(pids: &[i32]) -> Try<Figure> {
    proc::settle(pids)?;
    Ok(Figure::kib(proc::memory(pids)?.pss_kib))
}

/// The sum, the daemon's part and the keeper in the middle.
fn rows(weighed: Try<Weighed>, kept: usize, names: [&str; 3]) -> [Row; 3] {
    let mut weighed = match weighed {
        Ok(weighed) => weighed,
        Err(why) => return names.map(|name| Row::new(name, Err(failed(why.to_string())))),
    };
    weighed.keepers.sort_unstable_by_key(|k| k.pss_kib);
    let keepers: u64 = weighed.keepers.iter().map(|k| k.pss_kib).sum();
    let middle = weighed.keepers[kept / 2];
    let parts = |memory: Memory| {
        let (dirty, anonymous) = (Figure::kib(memory.private_dirty_kib), Figure::kib(memory.anonymous_kib));
        format!("private dirty {}, anonymous {}", dirty.shown(), anonymous.shown())
    };
    let largest = Figure::kib(weighed.keepers[kept - 1].pss_kib).shown();
    let all = Figure::kib(keepers + weighed.daemon.pss_kib);
    let all = all.noted(format!("keepers {}, n {kept}", Figure::kib(keepers).shown()));
    let daemon = Figure::kib(weighed.daemon.pss_kib).noted(parts(weighed.daemon));
    let keeper = Figure::kib(middle.pss_kib).noted(format!("{}, largest {largest}", parts(middle)));
    let [all_name, daemon_name, keeper_name] = names;
    [Row::new(all_name, Ok(all)), Row::new(daemon_name, Ok(daemon)), Row::new(keeper_name, Ok(keeper))]
}
