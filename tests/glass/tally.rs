//! What was seen, and what of it is wrong.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    process::Command,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{
    gui::Gui,
    support::site::{Site, executable, finish},
};

/// What a GUI writes into its log for each thing that it begins to do. That it is done is written again when the
/// daemon gives it once more before it has heard so.
const DONE: &str = "wezterm-parallel: intent ";
/// A key that takes longer is felt.
const KEY_FELT_MS: u64 = 100;

/// Sums.
#[derive(Default)]
pub struct Counts {
    /// Things that a GUI was asked to show.
    pub asked: u64,
    /// Of them, those that were answered as shown.
    pub shown: u64,
    /// Of them, those that were refused or cut off: while the daemon was gone, or died.
    pub refused: u64,
    /// Reloads of both configs.
    pub reloads: u64,
    /// Kills of the daemon.
    pub kills: u64,
    looks: u64,
    keys: Vec<(Duration, Duration)>,
    shows: Vec<Duration>,
    memory_kib: (u64, u64),
    cpu_ms: u64,
    done: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

/// See the module.
#[derive(Default)]
pub struct Tally(Mutex<Counts>);

/// Runs commands in the environment of a place, from another thread.
pub struct Asker(Vec<(OsString, OsString)>);

impl Asker {
    /// Of this place.
    pub fn of(site: &Site) -> Self {
        let command = site.command(executable());
        let known = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        Self(known.collect())
    }
}

/// Name of the process with this number.
pub fn name(n: u64) -> String {
    format!("{}/p{n}", if n.is_multiple_of(2) { "api" } else { "web" })
}

impl Tally {
    /// Changes the sums.
    pub fn note(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().expect("nobody panics while counting"));
    }

    /// Something that must not be.
    pub fn wrong(&self, what: String) {
        println!("wrong: {what}");
        self.note(|t| t.wrong.push(what));
    }

    /// Asks for a process to be shown.
    pub fn show(&self, asker: &Asker, process: u64, n: u64) {
        let begun = Instant::now();
        let mut command = Command::new(executable());
        command.args(["gui", "show", &name(process)]).env_clear().envs(asker.0.iter().cloned());
        let output = finish(command);
        self.note(|t| {
            t.asked += 1;
            if output.code == 0 {
                t.shown += 1;
                t.shows.push(begun.elapsed());
            } else {
                t.refused += 1;
            }
        });
        // a daemon that was killed is away for a moment; anything else is a fault
        if !matches!(output.code, 0 | 3)
            && !output.err.contains("connection")
            && !output.err.contains("no GUI")
        {
            self.wrong(format!("show {n} of {}: {}", name(process), output.err.trim()));
        }
    }

    /// How long a key took after so much of the run.
    pub fn key(&self, took: Option<Duration>, at: Duration) {
        match took {
            Some(took) => self.note(|t| t.keys.push((at, took))),
            None => self.wrong(format!("a key was not heard of after {} s", at.as_secs())),
        }
    }

    /// How many calls a GUI has open, by the daemon and by its children.
    pub fn subscribers(&self, waiting: u32, relays: u32) {
        self.note(|t| t.looks += 1);
        if waiting > 1 || relays > 1 {
            self.wrong(format!("{waiting} calls of one GUI are open, with {relays} children"));
        }
        if waiting == 0 && relays == 0 {
            self.wrong("a GUI does not wait for news".into());
        }
    }

    /// What a GUI costs.
    pub fn cost(&self, memory_kib: u64, cpu_ms: u64) {
        self.note(|t| {
            let first = if t.memory_kib.0 == 0 { memory_kib } else { t.memory_kib.0 };
            t.memory_kib = (first, t.memory_kib.1.max(memory_kib));
            t.cpu_ms = t.cpu_ms.max(cpu_ms);
        });
    }

    /// Counts what a GUI has done.
    pub fn read(&self, gui: &Gui) {
        let log = gui.log();
        self.note(|t| {
            for line in log.lines() {
                let Some((_, rest)) = line.split_once(DONE) else { continue };
                if let Some((id, what)) = rest.split_once(' ')
                    && what.starts_with("begun: show")
                {
                    *t.done.entry(id.to_owned()).or_default() += 1;
                }
            }
        });
        for line in log.lines().filter(|l| l.contains("ERROR") && !l.contains("dbus")) {
            self.wrong(line.to_owned());
        }
    }

    /// How it goes, in a line.
    pub fn line(&self) -> String {
        let t = self.0.lock().expect("nobody panics while counting");
        let recent: Vec<u64> = t.keys.iter().rev().take(30).map(|(_, d)| ms(*d)).collect();
        format!(
            "asked {} shown {} refused {} · {} reloads, {} kills · keys p50 {} ms · {} KiB · {} wrong",
            t.asked,
            t.shown,
            t.refused,
            t.reloads,
            t.kills,
            percentile(recent, 50),
            t.memory_kib.1,
            t.wrong.len()
        )
    }

    /// All of it.
    pub fn report(&self) -> String {
        let t = self.0.lock().expect("nobody panics while counting");
        let twice = t.done.values().filter(|n| **n > 1).count();
        let half = t.keys.last().map_or(Duration::ZERO, |(at, _)| *at / 2);
        let keys = |first: bool| -> Vec<u64> {
            t.keys.iter().filter(|(at, _)| (*at < half) == first).map(|(_, d)| ms(*d)).collect()
        };
        let shows: Vec<u64> = t.shows.iter().map(|d| ms(*d)).collect();
        let of = |v: &[u64]| {
            format!(
                "{}, {}, {} ms",
                percentile(v.to_vec(), 50),
                percentile(v.to_vec(), 99),
                percentile(v.to_vec(), 100)
            )
        };
        let felt = t.keys.iter().filter(|(_, d)| ms(*d) > KEY_FELT_MS).count();
        let lost = t.shown.saturating_sub(t.done.len() as u64);
        format!(
            "asked to show {}, answered as shown {}, refused or cut off {}\n\
             done {} different things, {twice} of them twice; lost {lost}\n\
             {} reloads of each config, {} kills of the daemon; {} looks at who waits\n\
             show, p50, p99, most: {}\n\
             key, first half, p50, p99, most: {}; second half: {}; {felt} of {} above {KEY_FELT_MS} ms\n\
             memory of a GUI {} KiB at the first look, {} KiB at most; {} ms of a processor at most\n\
             {} wrong{}",
            t.asked,
            t.shown,
            t.refused,
            t.done.len(),
            t.reloads,
            t.kills,
            t.looks,
            of(&shows),
            of(&keys(true)),
            of(&keys(false)),
            t.keys.len(),
            t.memory_kib.0,
            t.memory_kib.1,
            t.cpu_ms,
            t.wrong.len(),
            t.wrong.iter().take(40).fold(String::new(), |all, w| all + "\n  " + w),
        )
    }

    /// Nothing is wrong.
    pub fn is_clean(&self) -> bool {
        let t = self.0.lock().expect("nobody panics while counting");
        t.wrong.is_empty()
            && t.done.values().all(|n| *n == 1)
            && t.done.len() as u64 >= t.shown
            && t.shown > 0
    }
}

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

fn percentile(mut values: Vec<u64>, percent: usize) -> u64 {
    values.sort_unstable();
    values.get((values.len() * percent / 100).min(values.len().saturating_sub(1))).copied().unwrap_or(0)
}
