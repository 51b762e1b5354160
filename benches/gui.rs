//! How soon a GUI that waits hears that an agent has changed, with 50 processes there: from the bytes of the
//! report, as they are written by the program, to the last byte of the answer to `gui.wait`.

use std::time::{Duration, Instant};

use wezterm_parallel_schemas::{gui::GuiWait, method::WaitGui, process::Status};

use crate::{
    Plan,
    client::Client,
    crowd::Crowd,
    failure::{Try, failed},
    report::{Figure, Row, Target},
    support::site::Site,
};

const HEARD: &str = "an agent's change → a GUI knows, 50 processes";
/// The rows.
pub const NAMES: &[&str] = &[HEARD];

const CHANGES: usize = 300;
/// Part of what is meant for the whole way into the plugin, at the 99th percentile.
const MEANT: Target = Target::AtMost(20e-3);

/// Measures it.
pub fn measure(plan: &Plan) -> Vec<Row> {
    vec![Row::new(HEARD, run(plan.count(CHANGES, 20))).target(MEANT)]
}

fn run(changes: usize) -> Try<Figure> {
    let crowd = Crowd::start(Site::new())?;
    let mut gui = Client::connect(&crowd.site.socket())?;
    let mut wait = GuiWait { gui: "bench".into(), pid: 1, turn: 1, ..GuiWait::default() };
    let mut times = Vec::with_capacity(changes);
    for n in 0..=changes {
        let (word, status) = if n % 2 == 0 { ("working", Status::Working) } else { ("idle", Status::Idle) };
        let began = Instant::now();
        crowd.tell(word)?;
        let took = heard(&mut gui, &mut wait, status)?.duration_since(began);
        // the first one brings everything
        if n > 0 {
            times.push(took);
        }
    }
    times.sort_unstable();
    let p99 = crate::report::percentile(&times, 0.99);
    let median = times.get(times.len() / 2).copied().unwrap_or(Duration::ZERO);
    Ok(Figure::time(p99).noted(format!("p99; median {}, n {changes}", Figure::time(median).shown())))
}

/// Calls until the lead has this status, and says when that was heard.
fn heard(gui: &mut Client, wait: &mut GuiWait, status: Status) -> Try<Instant> {
    let until = Instant::now() + crate::place::DEADLINE;
    while Instant::now() < until {
        let news = gui.call::<WaitGui>(wait)?;
        let at = Instant::now();
        (wait.after, wait.daemon) = (Some(news.seq), Some(news.daemon));
        if news.processes.iter().any(|p| p.name == "lead" && p.status == Some(status)) {
            return Ok(at);
        }
    }
    Err(failed("the GUI does not hear of it"))
}
