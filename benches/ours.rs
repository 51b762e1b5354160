//! The daemon that is measured, in a place of its own.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use wezterm_parallel_schemas::{
    daemon::Empty,
    method::{DaemonStatus, ListProcesses},
    process::{ProcessList, ProcessView, State},
};

use crate::{
    client::Client,
    failure::{Context, Try, failed},
    place::{self, DEADLINE, Place},
};

/// The variable that adds milliseconds to each commit.
const FSYNC_DELAY_VARIABLE: &str = "WEZTERM_PARALLEL_TEST_FSYNC_DELAY_MS";
/// The one workspace of the configs here.
pub const WORKSPACE: &str = "bench";

/// A daemon with its config. Everything it keeps ends with it.
pub struct Ours {
    place: Place,
}

impl Ours {
    /// Starts a daemon whose workspace [`WORKSPACE`] keeps `count` processes of this command, `p0`, `p1`
    /// and so on, without any wait before a restart, and waits until all of them run. `fsync_ms` is added
    /// to each of its commits.
    pub fn start(mut place: Place, fsync_ms: u32, count: usize, command: &[String]) -> Try<Self> {
        if fsync_ms > 0 {
            place.set_env(FSYNC_DELAY_VARIABLE, &fsync_ms.to_string());
        }
        let config = config(&place.text("work"), count, command)?;
        let path = place.path("config/wezterm-parallel/config.yaml");
        std::fs::create_dir_all(place.path("config/wezterm-parallel")).failed_to("make a directory")?;
        std::fs::write(&path, config).failed_to("write a config")?;
        let ours = Self { place };
        ours.start_daemon()?;
        ours.wait_running(count)?;
        Ok(ours)
    }

    /// Starts the daemon; it serves when this returns. Returns how long that took.
    pub fn start_daemon(&self) -> Try<Duration> {
        place::run(self.command().arg("daemon"))
    }

    /// The command line, with nothing behind it yet.
    pub fn command(&self) -> Command {
        self.place.command(executable())
    }

    /// The place it lives in.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A connection after `hello`.
    pub fn client(&self) -> Try<Client> {
        Client::connect(&self.place.path("run/wezterm-parallel/daemon.sock"))
    }

    /// Process id of the daemon.
    pub fn daemon_pid(&self) -> Try<i32> {
        Ok(self.client()?.call::<DaemonStatus>(&Empty {})?.daemon.pid)
    }

    /// Process ids of all keepers.
    pub fn keeper_pids(&self) -> Try<Vec<i32>> {
        Ok(self.processes()?.iter().filter_map(|p| p.keeper_pid).collect())
    }

    /// All processes.
    pub fn processes(&self) -> Try<Vec<ProcessView>> {
        self.client()?.call::<ListProcesses>(&ProcessList::default())
    }

    /// Waits until `count` processes run.
    pub fn wait_running(&self, count: usize) -> Try<()> {
        self.wait_state(State::Running, count)
    }

    /// Waits until `count` processes are in this state.
    pub fn wait_state(&self, state: State, count: usize) -> Try<()> {
        let mut events = self.client()?;
        let mut calls = self.client()?;
        events.subscribe()?;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let all = calls.call::<ListProcesses>(&ProcessList::default())?;
            if all.iter().filter(|p| p.state == state).count() >= count {
                return Ok(());
            }
            if Instant::now() > deadline {
                let states: Vec<_> = all.iter().map(|p| format!("{} {}", p.name, p.state.name())).collect();
                return Err(failed(format!(
                    "not {count} of them are {}: {}",
                    state.name(),
                    states.join(", ")
                )));
            }
            events.wait_event()?;
        }
    }

    /// Stops the daemon and all it keeps, and makes sure that nothing is left.
    pub fn stop(self) -> Try<()> {
        place::run(self.command().args(["stop", "--yes"]))?;
        let left: Vec<_> = self.place.living().into_iter().map(|p| p.args.join(" ")).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(failed(format!("left behind by `stop`: {}", left.join(", "))))
        }
    }
}

/// The executable that is measured: built as a release.
pub fn executable() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_wezterm-parallel"))
}

fn config(cwd: &str, count: usize, command: &[String]) -> Try<String> {
    // JSON is YAML
    let command = serde_json::to_string(command).failed_to("write a command")?;
    let cwd = serde_json::to_string(cwd).failed_to("write a path")?;
    let restart =
        "{ policy: always, max_restarts: 1000000, within: 1s, backoff: { initial: 0s, max: 0s, jitter: 0 } }";
    let mut text = format!(
        "version: 1\ndefaults: {{ stop: {{ grace: 1s }} }}\nworkspaces:\n  {WORKSPACE}:\n    cwd: {cwd}\n    processes:\n"
    );
    for n in 0..count {
        text.push_str(&format!("      p{n}: {{ command: {command}, restart: {restart} }}\n"));
    }
    Ok(text)
}
