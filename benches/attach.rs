//! Through `attach`: how fast a flood of text goes, and how fast a key comes back. Beside tmux and a bare
//! terminal, all three open at the same time and taken in turns, so that the machine is the same for all.

use std::time::{Duration, Instant};

use crate::{
    Plan,
    failure::{Try, failed},
    ours::{Ours, WORKSPACE},
    peers::{Fleet, Peer},
    place::Place,
    programs::{self, FLOOD_READY, KEYS_READY, Text, flood_end, key_echo},
    report::{Figure, Row, Target, Unit},
    terminal::Terminal,
};

const FLOOD: &str = "cat of 100 MB through attach";
/// The rows of the flood.
pub const FLOOD_NAMES: &[&str] = &[FLOOD];
const KEY: &str = "key → echo through attach, p50";
const KEY_TAIL: &str = "key → echo through attach, p99";
/// The rows of the keys.
pub const KEY_NAMES: &[&str] = &[KEY, KEY_TAIL];

const FLOOD_BYTES: usize = 100_000_000;
const FLOOD_BYTES_QUICK: usize = 10_000_000;
const FLOODS: usize = 5;
const KEYS: usize = 2_000;
/// Keys before those that count.
const KEYS_BEFORE: usize = 100;
/// Keys between two returns: a line must not grow beyond the terminal's width.
const KEYS_PER_LINE: usize = 100;
/// Keys before the next one's turn: so few that a machine that is busy for a moment hits all.
const KEYS_PER_TURN: usize = 100;
/// Letters that end no escape sequence which is in use, in turns, so that each one changes the screen.
const LETTERS: [u8; 3] = *b"yvw";

/// Measures the flood.
pub fn measure_flood(plan: &Plan) -> Vec<Row> {
    let bytes = plan.count(FLOOD_BYTES, FLOOD_BYTES_QUICK);
    let rounds = plan.count(FLOODS, 1);
    let measured = (|| {
        let shared = Place::new()?;
        let text = shared.path("text");
        programs::write_text(&text, bytes as u64, Text::Plain)?;
        let mut views = View::open_all(plan, &programs::flood(&text), FLOOD_READY)?;
        for round in 1..=rounds {
            for view in &mut views {
                view.flood(round);
            }
        }
        close(views)
    })();
    let figure = |mut view: Measured| {
        view.failed.map_or(Ok(()), Err)?;
        view.bytes.sort_unstable();
        let reached = Figure::new(view.bytes[rounds / 2] as f64, Unit::Bytes).shown();
        let figure = Figure::median(view.samples);
        Ok(figure.noted(format!("{reached} reached the terminal, n {rounds}")))
    };
    vec![compare(
        FLOOD,
        measured.map(|m| m.into_iter().map(|(n, v)| (n, figure(v))).collect()),
        Target::Both(0.8, 0.5),
    )]
}

/// Measures the keys.
pub fn measure_keys(plan: &Plan) -> Vec<Row> {
    let keys = plan.count(KEYS, 200);
    let measured = (|| {
        let mut views = View::open_all(plan, &key_echo()?, KEYS_READY)?;
        for turn in 0..(keys + KEYS_BEFORE) / KEYS_PER_TURN {
            for view in &mut views {
                view.press_keys(turn * KEYS_PER_TURN >= KEYS_BEFORE);
            }
        }
        close(views)
    })();
    let measured = match measured {
        Ok(measured) => measured,
        Err(why) => return KEY_NAMES.iter().map(|n| Row::new(*n, Err(failed(why.to_string())))).collect(),
    };
    let half = Target::OfFirstPeer(0.5);
    let pick = |part: f64| {
        let figure = |view: &Measured| match &view.failed {
            Some(why) => Err(failed(why.to_string())),
            None => {
                let mut samples = view.samples.clone();
                samples.sort_unstable();
                let n = samples.len();
                Ok(Figure::time(crate::report::percentile(&samples, part)).noted(format!("n {n}")))
            }
        };
        Ok(measured.iter().map(|(name, view)| (*name, figure(view))).collect())
    };
    vec![compare(KEY, pick(0.5), half), compare(KEY_TAIL, pick(0.99), half)]
}

/// The first one is ours.
fn compare(name: &str, figures: Try<Vec<(&'static str, Try<Figure>)>>, target: Target) -> Row {
    let mut figures = match figures {
        Ok(figures) => figures.into_iter(),
        Err(why) => return Row::new(name, Err(why)).target(target),
    };
    let (_, ours) = figures.next().expect("ours is always opened");
    figures.fold(Row::new(name, ours).target(target), |row, (name, figure)| row.beside(name, figure))
}

/// A terminal in which a program is seen, and what was measured in it.
struct View {
    name: &'static str,
    measured: Measured,
    // before what keeps it: fields are dropped in this order
    terminal: Terminal,
    keeper: Keeper,
}

/// Who keeps the program.
enum Keeper {
    Ours(Ours),
    Tmux { _fleet: Fleet },
    Nobody { _place: Place },
}

#[derive(Default)]
struct Measured {
    samples: Vec<Duration>,
    bytes: Vec<u64>,
    failed: Option<Box<dyn std::error::Error>>,
}

impl View {
    /// Opens ours, tmux's if it is installed, and a bare one, each with this program, and waits until
    /// each shows `ready`.
    fn open_all(plan: &Plan, program: &[String], ready: &str) -> Try<Vec<Self>> {
        let place = Place::new()?;
        let ours = Ours::start(place, 0, 1, program)?;
        let mut command = ours.command();
        command.args(["process", "attach", &format!("{WORKSPACE}/p0")]);
        let mut views = vec![Self::open("ours", command, Keeper::Ours(ours), ready)?];

        if plan.peers.contains(&Peer::Tmux) {
            let fleet = Peer::Tmux.start(Place::new()?, 1, program)?;
            let command = fleet.tmux(&["attach"]);
            views.push(Self::open(Peer::Tmux.name(), command, Keeper::Tmux { _fleet: fleet }, ready)?);
        }
        let place = Place::new()?;
        let mut command = place.command(&program[0]);
        command.args(&program[1..]);
        views.push(Self::open("bare terminal", command, Keeper::Nobody { _place: place }, ready)?);
        Ok(views)
    }

    fn open(name: &'static str, command: std::process::Command, keeper: Keeper, ready: &str) -> Try<Self> {
        let mut terminal = Terminal::spawn(command)?;
        terminal.read_until(ready).map_err(|why| failed(format!("{name}: {why}")))?;
        Ok(Self { name, measured: Measured::default(), terminal, keeper })
    }

    fn flood(&mut self, round: usize) {
        self.unless_failed(|view| {
            let began = Instant::now();
            view.terminal.press(b"\n")?;
            let bytes = view.terminal.read_until(&flood_end(round))?;
            view.measured.samples.push(began.elapsed());
            view.measured.bytes.push(bytes);
            Ok(())
        });
    }

    fn press_keys(&mut self, count: bool) {
        self.unless_failed(|view| {
            for key in 0..KEYS_PER_TURN {
                if key % KEYS_PER_LINE == 0 {
                    // answered before the first letter is: it comes first
                    view.terminal.press(b"\r")?;
                }
                let letter = LETTERS[key % LETTERS.len()];
                let began = Instant::now();
                view.terminal.press(&[letter])?;
                view.terminal.read_key(letter)?;
                // the first one of a line waits for the return, too
                if count && key % KEYS_PER_LINE != 0 {
                    view.measured.samples.push(began.elapsed());
                }
            }
            Ok(())
        });
    }

    /// What failed once is left alone: the others go on.
    fn unless_failed(&mut self, measure: impl FnOnce(&mut Self) -> Try<()>) {
        if self.measured.failed.is_none()
            && let Err(why) = measure(self)
        {
            self.measured.failed = Some(why);
        }
    }
}

/// Ends everything, and returns what was measured.
fn close(views: Vec<View>) -> Try<Vec<(&'static str, Measured)>> {
    let mut all = Vec::new();
    for View { name, measured, terminal, keeper } in views {
        drop(terminal);
        if let Keeper::Ours(ours) = keeper {
            ours.stop()?;
        }
        all.push((name, measured));
    }
    Ok(all)
}
