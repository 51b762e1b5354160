//! `lease acquire|release|list|run`: who may use a file, a port or anything else that has a name.

use std::{
    os::fd::AsFd as _,
    path::Path,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use wezterm_parallel_schemas::{
    daemon::Empty,
    error::{Code, Error},
    lease::{LeaseAcquire, LeaseRelease, LeaseView},
    method::{AcquireLease, ListLeases, ReleaseLease},
};

use crate::{
    app::App,
    arguments::{Lease, LeaseRun},
    connection::{CallContext, CallError, Connection, Patience},
    failure::{Context as _, Failure, Outcome},
    output,
    signals::Signals,
    table::{Column, column, render, text},
    time,
};

const COLUMNS: &[Column] = &[
    column("LEASE", 0),
    column("HOLDER", 0),
    column("SINCE", 1),
    column("ENDS IN", 2),
    column("WAITING", 3),
    text("REASON", 4),
];
/// Between two looks for a daemon that has ended while a lease was held.
const AGAIN_MS: u64 = 500;
/// A wait without an end, as it is told to the daemon.
const FOREVER_MS: u64 = u64::MAX;
/// Exit code of a shell that cannot run a command.
const EXIT_NOT_RUN: i32 = 127;

/// `lease …`, but for `run`.
pub fn run(app: &App, verb: &Lease) -> Outcome {
    match verb {
        Lease::List => list(app),
        Lease::Acquire { name, wait, time, reason } => {
            let what = || format!("acquire {name}");
            let acquire = LeaseAcquire {
                name: here(name)?,
                wait_ms: wait.map(millis),
                for_ms: time.map(millis),
                reason: reason.clone(),
                while_connected: false,
            };
            let view = app.connect()?.call::<AcquireLease>(&acquire, Patience::Forever).to(what)?;
            if view.run_id.is_none() {
                return Err(Failure::new(what(), "it would end with this command, as no agent runs it")
                    .hint(
                        "hold it for as long as a command runs: `wezterm-parallel lease run NAME -- COMMAND`",
                    ));
            }
            if app.json {
                return output::print_json(&view);
            }
            output::print(format_args!("{} is leased to {}\n", output::clean(&view.name), view.holder))
        }
        Lease::Release { name } => {
            let release = LeaseRelease { name: here(name)?, key: None };
            app.connect()?.ask::<ReleaseLease>(&release).to(|| format!("release {name}"))?;
            Ok(())
        }
        // carried out by `hold`, since it has an exit code of its own
        Lease::Run(_) => Ok(()),
    }
}

fn list(app: &App) -> Outcome {
    let list = app.connect()?.ask::<ListLeases>(&Empty {}).to(|| "list the leases".into())?;
    if app.json {
        return output::print_json(&list);
    }
    output::print(table(&list, time::now(), output::width()))
}

fn table(list: &[LeaseView], now: i64, width: Option<u16>) -> String {
    if list.is_empty() {
        return "nothing is leased\n".into();
    }
    let row = |view: &LeaseView| {
        let waiting = if view.waiting > 0 { view.waiting.to_string() } else { String::new() };
        vec![
            view.name.clone(),
            view.holder.clone(),
            time::span(now - view.at),
            view.until.map(|until| time::span((until - now).max(0))).unwrap_or_default(),
            waiting,
            view.reason.clone().unwrap_or_default(),
        ]
    };
    render(COLUMNS, &list.iter().map(row).collect::<Vec<_>>(), width)
}

/// `lease run`: holds a lease for as long as a command runs, and gives the command's exit code.
pub fn hold(app: &App, args: &LeaseRun) -> Outcome<i32> {
    let name = &args.name;
    let acquire = LeaseAcquire {
        name: here(name)?,
        wait_ms: Some(args.wait.map_or(FOREVER_MS, millis)),
        reason: args.reason.clone(),
        while_connected: true,
        ..LeaseAcquire::default()
    };
    let mut connection = app.connect()?;
    connection.call::<AcquireLease>(&acquire, Patience::Forever).to(|| format!("acquire {name}"))?;
    let Some((program, arguments)) = args.command.split_first() else { return Ok(0) };
    // before it starts: its end is one of them. What a terminal sends it gets from there, and is left to it
    let signals = Signals::catch(&[libc::SIGCHLD]).failed_to(|| "catch signals".into())?;
    let mut child = match Command::new(program).args(arguments).spawn() {
        Ok(child) => child,
        Err(e) => {
            output::failure(&Failure::new(format!("run {program}"), e));
            return Ok(EXIT_NOT_RUN);
        }
    };
    let mut held = Held { app, acquire, connection: Some(connection), again_at: None };
    loop {
        let ended = child.try_wait().failed_to(|| format!("wait for {program}"))?;
        if let Some(status) = ended {
            return Ok(code(status));
        }
        held.wait(&signals).failed_to(|| format!("wait for {program}"))?;
        for signal in signals.take() {
            pass_on(&child, signal);
        }
        held.look();
    }
}

/// A lease, over restarts of the daemon.
struct Held<'a> {
    app: &'a App,
    acquire: LeaseAcquire,
    connection: Option<Connection>,
    /// When the next daemon is looked for.
    again_at: Option<Instant>,
}

impl Held<'_> {
    /// Waits for a signal, for the end of the connection, or until a daemon is to be looked for.
    fn wait(&self, signals: &Signals) -> Result<(), Errno> {
        let mut fds = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        if let Some(connection) = &self.connection {
            fds.push(PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN));
        }
        let timeout = self.again_at.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Looks whether the daemon is still there; if not, the lease is gone, and is asked for again.
    fn look(&mut self) {
        let name = self.acquire.name.clone();
        if let Some(connection) = &mut self.connection {
            if connection.next_event(Some(Instant::now())).is_ok() {
                return;
            }
            output::note(format_args!(
                "the daemon is gone, and with it the lease on {name}; it is looked for"
            ));
            self.connection = None;
            self.again_at = Some(Instant::now());
        }
        if self.again_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        match self.again() {
            Ok(Some(connection)) => {
                output::note(format_args!("the lease on {name} is held again"));
                (self.connection, self.again_at) = (Some(connection), None);
            }
            Ok(None) => self.again_at = Some(Instant::now() + Duration::from_millis(AGAIN_MS)),
            Err(why) => {
                output::note(format_args!("the lease on {name} is lost: {why}; the command goes on"));
                self.again_at = None;
            }
        }
    }

    /// Asks the next daemon; none if there is none yet.
    fn again(&self) -> Result<Option<Connection>, String> {
        let Ok(Some(mut connection)) = self.app.connect_or_none() else { return Ok(None) };
        // nobody waits for it: the command runs already
        let acquire = LeaseAcquire { wait_ms: None, ..self.acquire.clone() };
        match connection.call::<AcquireLease>(&acquire, Patience::Question) {
            Ok(_) => Ok(Some(connection)),
            Err(CallError::Refused(Error { code: Code::ShuttingDown, .. }) | CallError::Lost(_)) => Ok(None),
            Err(e) => Err(e.to_string()),
        }
    }
}

/// Hands on what asks this program alone to end; a terminal tells the command itself.
fn pass_on(child: &Child, signal: i32) {
    let signal = match signal {
        libc::SIGTERM => Signal::TERM,
        libc::SIGHUP => Signal::HUP,
        _ => return,
    };
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // it may have just ended
        let _ = kill_process(pid, signal);
    }
}

/// As a shell gives it.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn here(name: &str) -> Outcome<String> {
    let cwd = std::env::current_dir().failed_to(|| "find the current directory".into())?;
    Ok(self::name(name, &cwd))
}

/// What the daemon is told: a path is meant from a directory, anything else is a name. A path is what has a `/`
/// in it, unless a word and `:` stand before that.
pub fn name(name: &str, cwd: &Path) -> String {
    let is_path = name.split_once('/').is_some_and(|(first, _)| !first.contains(':'));
    if !is_path && name != "." && name != ".." {
        return name.to_owned();
    }
    cwd.join(name).into_os_string().into_string().unwrap_or_else(|_| name.to_owned())
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_meant_from_here_and_a_name_is_a_name() {
        for (given, told) in [
            ("src/db.rs", "/src/api/src/db.rs"),
            ("./Cargo.toml", "/src/api/./Cargo.toml"),
            ("/etc/hosts", "/etc/hosts"),
            (".", "/src/api/."),
            ("Cargo.toml", "Cargo.toml"),
            ("port:8080", "port:8080"),
            ("branch:feature/x", "branch:feature/x"),
            ("a:/b", "a:/b"),
        ] {
            assert_eq!(name(given, Path::new("/src/api")), told);
        }
    }

    #[test]
    fn leases_in_a_table() {
        let view = |name: &str, holder: &str| LeaseView {
            name: name.into(),
            holder: holder.into(),
            run_id: None,
            at: 0,
            until: None,
            reason: None,
            waiting: 0,
        };
        let list = [
            LeaseView {
                until: Some(700_000),
                reason: Some("the dev server\x1b[2J".into()),
                waiting: 2,
                ..view("port:8080", "api/lead")
            },
            view("/src/api/db.rs", "user 4711"),
        ];
        insta::assert_snapshot!(table(&list, 100_000, None));
        assert_eq!(table(&[], 0, None), "nothing is leased\n");
    }
}
