//! The daemon that is measured, in a place of its own.

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use wezterm_parallel_schemas::{
    method::ListProcesses,
    places::DaemonInfo,
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
/// Between two looks at processes that are not yet what is waited for: a hundredth of the shortest time
/// that is measured in this way.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

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
        // pages of a file that was just built count as dirty memory of those who run it
        let executable = std::fs::File::open(executable()).failed_to("open the executable")?;
        executable.sync_all().failed_to("write the executable to the disk")?;
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

    /// Process id of the daemon, as it writes it down itself.
    pub fn daemon_pid(&self) -> Try<i32> {
        let text = std::fs::read(self.place.path("state/wezterm-parallel/daemon.json"));
        let info: DaemonInfo = serde_json::from_slice(&text.failed_to("read daemon.json")?)?;
        Ok(info.pid)
    }

    /// Process ids of all keepers.
    pub fn keeper_pids(&self) -> Try<Vec<i32>> {
        Ok(self.processes()?.iter().filter_map(|p| p.keeper_pid).collect())
    }

    /// The processes of [`WORKSPACE`].
    pub fn processes(&self) -> Try<Vec<ProcessView>> {
        self.client()?.call::<ListProcesses>(&of(WORKSPACE))
    }

    /// Waits until `count` processes of [`WORKSPACE`] run.
    pub fn wait_running(&self, count: usize) -> Try<()> {
        self.wait_state(WORKSPACE, State::Running, count)
    }

    /// Waits until `count` processes of a workspace are in this state. It asks again and again: a
    /// subscription begins with a snapshot of everything, which is too much where there are 1,000.
    pub fn wait_state(&self, workspace: &str, state: State, count: usize) -> Try<()> {
        let mut calls = self.client()?;
        let deadline = Instant::now() + DEADLINE;
        loop {
            let all = calls.call::<ListProcesses>(&of(workspace))?;
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
            std::thread::sleep(LOOK_AGAIN);
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

fn of(workspace: &str) -> ProcessList {
    ProcessList { workspace: Some(workspace.into()), all: false }
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
