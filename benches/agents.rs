//! How soon a change in a real Claude is known: from the bytes in which it reports, as its keeper reads
//! them, to the event at a subscriber, which is on the disk by then. The Claudes talk to a stand-in for
//! their API on the loopback interface.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use wezterm_parallel_schemas::{
    event::EventKind,
    keeper::{self, Frames, Role, encode, frame},
    process::Status,
};

use crate::{
    Plan,
    failure::{Context, Try, failed},
    report::{Figure, Row, Target},
    support::site::Site,
};

const NAMES_BY_COUNT: [(&str, usize); 3] = [
    ("Claude's change → event, 1 agent", 1),
    ("Claude's change → event, 10 agents", 10),
    ("Claude's change → event, 20 agents", 20),
];
/// The rows.
pub const NAMES: &[&str] = &[NAMES_BY_COUNT[0].0, NAMES_BY_COUNT[1].0, NAMES_BY_COUNT[2].0];
/// The time in which the event is meant to come, at the 99th percentile.
const MEANT: Target = Target::AtMost(20e-3);
/// Prompts for each agent; each makes it work and then be idle.
const PROMPTS: usize = 15;
/// Between the first prompts and the first turn.
const SETTLE: Duration = Duration::from_secs(2);
/// How long one prompt may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// When each agent came to be something: working or idle, in order.
type Changes = Arc<Mutex<BTreeMap<String, Vec<(bool, Instant)>>>>;

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let counts = NAMES_BY_COUNT.into_iter().filter(|(_, n)| !plan.quick || *n == 1);
    counts.map(|(name, n)| Row::new(name, run(n, plan.count(PROMPTS, 3))).target(MEANT)).collect()
}

fn run(agents: usize, prompts: usize) -> Try<Figure> {
    let Some(site) = Site::with_claude() else { return Err(failed("left out, as all that needs Claude is")) };
    site.project("api");
    let names: Vec<String> = (0..agents).map(|i| format!("a{i}")).collect();
    let processes: Vec<String> = names.iter().map(|n| format!("{n}: {{ agent: claude }}")).collect();
    site.config(&format!(
        "version: 1\nagents: {{ claude: {{ args: [--permission-mode, manual] }} }}\nworkspaces: {{ api: {{ cwd: $WORK/api, processes: {{ {} }} }} }}\n",
        processes.join(", ")
    ));
    site.daemon();
    for name in &names {
        site.wait_status(&format!("api/{name}"), Status::Idle);
    }

    let (reported, told) = (Changes::default(), Changes::default());
    let mut events = site.client();
    events.subscribe();
    let heard = Arc::clone(&told);
    thread::spawn(move || {
        while let Some(event) = events.event_or_end() {
            let at = Instant::now();
            if let (EventKind::ProcessStatus, Some(name), Some(status)) =
                (event.kind, event.process, event.status)
            {
                note(&heard, &name, status == Status::Working, at);
            }
        }
    });
    let mut typing = Vec::new();
    for name in &names {
        let run = site.process(&format!("api/{name}")).run_id.ok_or_else(|| failed("it has not run"))?;
        let socket = site.path("state/wezterm-parallel/runs").join(run).join("sock");
        observe(&socket, name, &reported)?;
        typing.push(keeper_client(&socket, Role::Control)?);
    }
    // right after its first prompt a Claude on a busy machine may lose what is typed
    thread::sleep(SETTLE);
    for turn in 0..prompts {
        for (name, keeper) in names.iter().zip(&mut typing) {
            type_in(keeper, &format!("[[text:{name} {turn}]]"))?;
        }
        // all of them are at work at once; the next turn begins when all have ended
        let deadline = Instant::now() + PATIENCE;
        for name in &names {
            while ended(&told, name) <= turn {
                if Instant::now() > deadline {
                    return Err(failed(format!("{name} did not end turn {turn}")));
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
    let mut late = Vec::new();
    let (reported, told) =
        (reported.lock().expect("no thread paniced"), told.lock().expect("no thread paniced"));
    for (name, changes) in &*reported {
        let told = told.get(name).ok_or_else(|| failed(format!("nothing was told of {name}")))?;
        for ((said, at), (heard, when)) in changes.iter().zip(told) {
            if said != heard {
                return Err(failed(format!("{name} said one thing, and another was told")));
            }
            late.push(when.saturating_duration_since(*at));
        }
    }
    site.run(&["stop", "--yes"]);
    late.sort_unstable();
    let at = |part: f64| late[((late.len() - 1) as f64 * part).round() as usize];
    let note = format!("p99; p50 {}, n {}", Figure::time(at(0.5)).shown(), late.len());
    Ok(Figure::time(at(0.99)).noted(note))
}

/// Notes a change, and not what only says the same once more.
fn note(changes: &Changes, name: &str, working: bool, at: Instant) {
    let mut changes = changes.lock().expect("no thread paniced with it");
    let own = changes.entry(name.to_owned()).or_default();
    // it was idle when all began
    if own.last().map_or(working, |(last, _)| *last != working) {
        own.push((working, at));
    }
}

/// How many turns have ended.
fn ended(changes: &Changes, name: &str) -> usize {
    let changes = changes.lock().expect("no thread paniced with it");
    changes.get(name).map_or(0, |own| own.iter().filter(|(working, _)| !working).count())
}

/// Reads what a Claude writes, and notes when it reports.
fn observe(socket: &Path, name: &str, reported: &Changes) -> Try<()> {
    let mut keeper = keeper_client(socket, Role::Observe)?;
    let (name, reported) = (name.to_owned(), Arc::clone(reported));
    thread::spawn(move || {
        let (mut frames, mut buffer, mut text) = (Frames::default(), [0; 65_536], Vec::new());
        while let Ok(n @ 1..) = keeper.read(&mut buffer) {
            let at = Instant::now();
            frames.push(&buffer[..n]);
            while let Ok(Some((kind, payload))) = frames.take() {
                if kind == frame::OUTPUT {
                    text.extend_from_slice(payload);
                }
            }
            // a report may be cut: what is not whole waits for the rest
            while let Some((start, end)) = report(&text) {
                let body = String::from_utf8_lossy(&text[start..end]).into_owned();
                text.drain(..end);
                if let Some(working) = working(&body) {
                    note(&reported, &name, working, at);
                }
            }
            let keep = text.len().saturating_sub(8_192);
            text.drain(..keep);
        }
    });
    Ok(())
}

/// Where the first whole report stands.
fn report(text: &[u8]) -> Option<(usize, usize)> {
    let mark = b"\x1b]7501;";
    let start = text.windows(mark.len()).position(|w| w == mark)? + mark.len();
    let length = text[start..].iter().position(|b| matches!(b, 0x07 | 0x1b))?;
    Some((start, start + length))
}

/// Whether a report says that it works; none if it says anything else than that, or idle.
fn working(body: &str) -> Option<bool> {
    if body.contains("id=") {
        return None;
    }
    match body.split(':').next()? {
        "state=working" => Some(true),
        "state=idle" | "state=done" => Some(false),
        _ => None,
    }
}

fn keeper_client(socket: &Path, role: Role) -> Try<UnixStream> {
    let mut stream = UnixStream::connect(socket).failed_to("connect to a keeper")?;
    let hello = keeper::Hello::new(role);
    let mut bytes = Vec::new();
    encode(frame::HELLO, &rmp_serde::to_vec_named(&hello)?, &mut bytes);
    stream.write_all(&bytes).failed_to("greet a keeper")?;
    Ok(stream)
}

/// Types a prompt and Enter, in two pieces, as a person does.
fn type_in(keeper: &mut UnixStream, text: &str) -> Try<()> {
    for keys in [text, "\r"] {
        let mut bytes = Vec::new();
        encode(frame::INPUT, keys.as_bytes(), &mut bytes);
        keeper.write_all(&bytes).failed_to("type")?;
        thread::sleep(Duration::from_millis(60));
    }
    Ok(())
}
