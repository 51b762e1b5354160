//! An hour of two WezTerm GUIs with the plugin in both: fifty processes that change all the time, configs
//! that are reloaded, a daemon that is killed. It shows whether what a GUI is asked to do is done once and
//! by one of them, whether each GUI has one open call, and whether keys stay as quick as they were.
//!
//! `cargo test --test glass -- --wezterm FOLDER --minutes 60 --processes 50`, where FOLDER has `wezterm-gui`.
//! It needs Xvfb, openbox and xdotool, and is left out of a plain `cargo test`.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod support;

mod gui;
mod poll;
mod tally;

use std::{
    panic::AssertUnwindSafe,
    path::PathBuf,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use gui::Gui;
use support::{
    rpc::Client,
    screen::{Screen, wezterm_folder},
    site::{Site, say},
};
use tally::{Asker, Tally};
use wezterm_parallel_schemas::{daemon::Empty, method::ListGuis, process::State};

/// Between two things that a GUI is asked to show.
const SHOW_EVERY: Duration = Duration::from_secs(3);
/// Between two reloads of both configs.
const RELOAD_EVERY: Duration = Duration::from_secs(30);
/// Between two kills of the daemon.
const KILL_EVERY: Duration = Duration::from_secs(180);
/// Between two looks at what the GUIs cost and how many calls they have open.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A look is so many of these: where all processes change all the time, a GUI is often between two calls.
const BLINKS: usize = 250;
/// Between two of them.
const BLINK: Duration = Duration::from_millis(20);
/// Between two lines of how it goes.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Between two acts of the process that is never at rest.
const PACE: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |flag: &str| {
        let at = arguments.iter().position(|a| a == flag)?;
        arguments.get(at + 1).cloned()
    };
    let number = |flag: &str, default: u64| word(flag).map_or(default, |n| n.parse().expect("a number"));
    let Some(folder) = word("--wezterm").map(PathBuf::from).or_else(wezterm_folder) else {
        println!("left out: --wezterm FOLDER names a folder with wezterm-gui");
        return ExitCode::SUCCESS;
    };
    let (minutes, processes) = (number("--minutes", 60), number("--processes", 50));
    let site = Site::new();
    start(&site, processes);
    let screen = Screen::start(&site, 110, "1600x1000");
    let guis = [Gui::start(&site, &screen, &folder, "one"), Gui::start(&site, &screen, &folder, "two")];
    let (tally, asker) = (Tally::default(), Asker::of(&site));
    wait_for_both(&site);
    let (begun, over) = (Instant::now(), AtomicBool::new(false));
    let length = Duration::from_secs(60 * minutes);
    thread::scope(|threads| {
        let shows = threads.spawn(|| {
            let mut n = 0;
            while !over.load(Ordering::Relaxed) {
                n += 1;
                tally.show(&asker, n % processes, n);
                thread::sleep(SHOW_EVERY);
            }
        });
        let (mut said, mut reloaded, mut killed, mut looked, mut turn) = (begun, begun, begun, begun, 0);
        while begun.elapsed() < length && !shows.is_finished() {
            thread::sleep(PACE);
            turn += 1;
            if turn % 10 == 0 {
                let gui = &guis[turn / 10 % 2];
                tally.key(gui.press(&screen), begun.elapsed());
            }
            if reloaded.elapsed() >= RELOAD_EVERY {
                reloaded = Instant::now();
                guis.iter().for_each(Gui::reload);
                tally.note(|t| t.reloads += 1);
            }
            if killed.elapsed() >= KILL_EVERY {
                killed = Instant::now();
                site.kill_daemon();
                tally.note(|t| t.kills += 1);
            }
            // not in the moments after a kill or a reload, when a call is being made anew
            if looked.elapsed() >= LOOK_EVERY
                && killed.elapsed() > LOOK_EVERY
                && reloaded.elapsed() > LOOK_EVERY / 2
            {
                looked = Instant::now();
                look(&site, &guis, &tally);
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                say(&format!("{:>5} s  {}", begun.elapsed().as_secs(), tally.line()));
            }
        }
        over.store(true, Ordering::Relaxed);
        shows.join().expect("the one who asks goes on to the end");
    });
    for gui in &guis {
        tally.read(gui);
    }
    println!("2 GUIs, {processes} processes, {} s\n{}", begun.elapsed().as_secs(), tally.report());
    for gui in guis {
        gui.end();
    }
    site.run(&["stop", "--yes"]).ok();
    if tally.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The daemon, with processes of which each says something of itself every few seconds.
fn start(site: &Site, processes: u64) {
    let agent = site.script(
        "chatter",
        "#!/bin/sh\n\
         n=$1\n\
         while :; do\n\
           printf '\\033]7501;state=working:app=chatter\\007'; sleep $((n % 5 + 2))\n\
           printf '\\033]7501;state=idle:app=chatter\\007line of %s\\r\\n' \"$n\"; sleep $((n % 3 + 1))\n\
         done\n",
    );
    let mut config = format!(
        "version: 1\nnotify: {{ finished: false }}\nagents:\n  chatter: {{ kind: command, command: [{}], status: [osc7501] }}\nworkspaces:\n",
        agent.display()
    );
    for workspace in ["api", "web"] {
        site.project(workspace);
        config += &format!("  {workspace}:\n    cwd: $WORK/{workspace}\n    processes:\n");
        let odd = u64::from(workspace == "web");
        for n in (0..processes).filter(|n| n % 2 == odd) {
            config += &format!("      p{n}: {{ agent: chatter, args: [\"{n}\"] }}\n");
        }
    }
    site.config(&config);
    site.daemon();
    for n in 0..processes {
        site.wait_state(&tally::name(n), State::Running);
    }
}

/// Waits until both GUIs have a call open.
fn wait_for_both(site: &Site) {
    let mut client = Client::connect(&site.socket());
    poll::until(
        || format!("two GUIs at the daemon; its log: {}", site.log()),
        PACE,
        || {
            let guis = client.call::<ListGuis>(Empty {}).expect("a list");
            (guis.iter().filter(|g| g.waiting > 0).count() >= 2).then_some(())
        },
    );
}

/// Each GUI has one open call and no more than one child for it, but for a moment between two.
fn look(site: &Site, guis: &[Gui], tally: &Tally) {
    let Ok(mut client) = std::panic::catch_unwind(AssertUnwindSafe(|| Client::connect(&site.socket())))
    else {
        return tally.wrong("no daemon answers ten seconds after a kill".into());
    };
    for gui in guis {
        let (mut waiting, mut relays) = (0, 0);
        for _ in 0..BLINKS {
            let views = client.call::<ListGuis>(Empty {}).expect("a list");
            waiting =
                waiting.max(views.iter().filter(|v| v.pid == gui.pid()).map(|v| v.waiting).sum::<u32>());
            relays = relays.max(gui.relays());
            if waiting > 0 && relays > 0 {
                break;
            }
            thread::sleep(BLINK);
        }
        tally.subscribers(waiting, relays);
        tally.cost(gui.memory_kib(), gui.cpu_ms());
    }
}
