//! `daemon`: started in the background, and known to serve before this program returns.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::{FdFlags, fcntl_setfd},
    pipe::{PipeFlags, pipe_with},
};
use wezterm_parallel_schemas::{
    environment,
    keeper::{PROCESS_MARK, RUN_MARK},
    places::{Places, READY_FD_VARIABLE},
};

use crate::{
    app::App,
    arguments::{Daemon, DaemonVerb},
    connection::readable,
    executable,
    failure::{Context, Failure, Outcome},
    output, program, unit,
};

/// How long a daemon may take until it serves. It opens its store, adopts what runs and binds a socket:
/// tenths of a second, on a disk that is being hammered some seconds.
const READY_MS: u64 = 30_000;
/// Longest thing that a daemon says on why it cannot serve, in bytes.
const SAID_BYTES_MAX: u64 = 16 << 10;
/// How much of the log's end is shown of a daemon that said nothing.
const LOG_TAIL_LINES: usize = 5;

/// `daemon …`. `serve` is the daemon itself; what it gives is the exit code.
pub fn run(app: &App, args: &Daemon, serve: fn(Places) -> i32) -> Outcome<i32> {
    match args.verb {
        Some(DaemonVerb::Install) => unit::install(app).map(|()| 0),
        Some(DaemonVerb::Uninstall) => unit::uninstall(app).map(|()| 0),
        None if args.foreground => foreground(app, serve),
        None => background(app).map(|()| 0),
    }
}

fn foreground(app: &App, serve: fn(Places) -> i32) -> Outcome<i32> {
    if std::env::var_os(READY_FD_VARIABLE).is_some() {
        // a session of its own: it must not end with the terminal that it was started from. It fails
        // where it has one already, which is as well.
        let _ = rustix::process::setsid();
    }
    // the file that is there, which may be the TOML one
    Ok(serve(Places { config: app.config()?, ..app.places.clone() }))
}

fn background(app: &App) -> Outcome {
    if let Some(connection) = app.connect_or_none()? {
        return output::print(format_args!("a daemon serves already at {}\n", connection.socket().display()));
    }
    let exe = executable::current()?;
    start(app, &exe)?;
    let connection = app.connect()?;
    output::print(format_args!("the daemon serves at {}\n", connection.socket().display()))
}

/// Starts `exe` as the daemon and returns once one serves. Where several do that at once, the first one
/// starts it, and the others find it.
pub fn start(app: &App, exe: &Path) -> Outcome {
    let what = || "start the daemon".to_owned();
    private_directory(&app.places.state_dir).failed_to(what)?;
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(app.places.start_lock());
    // held until this returns, or this program ends; nothing that is started inherits it
    let lock = lock.failed_to(what)?;
    flock(&lock, FlockOperation::LockExclusive).failed_to(what)?;
    if app.connect_or_none()?.is_some() {
        return Ok(());
    }
    if let Some(systemd_run) = scope_maker() {
        // in a scope of its own the daemon stays when the scope of the terminal is ended
        if start_as(app, exe, Some(&systemd_run)).is_ok() || app.connect_or_none()?.is_some() {
            return Ok(());
        }
    }
    start_as(app, exe, None)
}

fn start_as(app: &App, exe: &Path, systemd_run: Option<&Path>) -> Outcome {
    let what = || "start the daemon".to_owned();
    let log =
        OpenOptions::new().create(true).append(true).mode(0o600).open(app.places.log()).failed_to(what)?;
    let log_bytes = log.metadata().map(|m| m.len()).unwrap_or(0);
    let (ready, told) = pipe_with(PipeFlags::CLOEXEC).failed_to(what)?;
    // the one descriptor that the daemon inherits; this program has no other thread that could spawn
    fcntl_setfd(&told, FdFlags::empty()).failed_to(what)?;

    let mut command = match systemd_run {
        None => Command::new(exe),
        Some(systemd_run) => {
            let mut command = Command::new(systemd_run);
            let unit = format!("--unit=wezterm-parallel-daemon-{}", std::process::id());
            command.args(["--user", "--scope", "--quiet", "--collect", &unit, "--"]).arg(exe);
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(not_for_the_daemon) {
            command.env_remove(name);
        }
    }
    let child = command
        .args(["daemon", "--foreground"])
        .envs(app.variables()?)
        .env(READY_FD_VARIABLE, told.as_raw_fd().to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .failed_to(|| format!("start the daemon ({})", exe.display()))?;
    drop(told);
    wait_until_ready(app, ready, child, log_bytes)
}

fn wait_until_ready(app: &App, ready: OwnedFd, mut child: Child, log_bytes: u64) -> Outcome {
    let what = "start the daemon";
    let log = app.places.log();
    let see_log = format!("see {}", log.display());
    let deadline = Instant::now() + Duration::from_millis(READY_MS);
    let mut ready = File::from(ready).take(SAID_BYTES_MAX);
    let mut said = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        if !readable(ready.get_ref().as_fd(), Some(deadline)).failed_to(|| what.into())? {
            return Err(
                Failure::new(what, format!("it does not serve after {} s", READY_MS / 1_000)).hint(see_log)
            );
        }
        match ready.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => said.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Failure::new(what, e)),
        }
        if said == b"ready\n" {
            // `up` may stay for hours, attached: a daemon that ends meanwhile must not stay as a zombie
            thread::spawn(move || child.wait());
            return Ok(());
        }
    }
    let said = String::from_utf8_lossy(&said);
    if !said.trim().is_empty() {
        return Err(Failure::new(what, said.trim()).hint(see_log));
    }
    let status = child.wait().failed_to(|| what.into())?;
    let mut why = format!("it ended with {status} and said nothing");
    for line in tail(&log, log_bytes) {
        why += &format!("\n  {line}");
    }
    Err(Failure::new(what, why).hint(see_log))
}

/// What belongs to the terminal, or to the run, that this program was called from. Our own other
/// variables are the daemon's as well: they can set any key of the config.
fn not_for_the_daemon(variable: &str) -> bool {
    let marks = [RUN_MARK, PROCESS_MARK];
    let ours = variable.starts_with("WEZTERM_PARALLEL_");
    if ours { marks.contains(&variable) } else { environment::left_out(variable) }
}

/// The last lines that were written to the log since it had `from` bytes.
fn tail(log: &Path, from: u64) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let new = text.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
    let new = String::from_utf8_lossy(new);
    let lines: Vec<&str> = new.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].iter().map(|l| (*l).to_owned()).collect()
}

/// `systemd-run`, if a user manager of systemd is there to ask.
fn scope_maker() -> Option<PathBuf> {
    unit::systemd_user_manager().then(|| program::find_here("systemd-run")).flatten()
}

/// Makes a directory that is nobody else's. One that exists is left as it is: the daemon judges it.
fn private_directory(dir: &Path) -> io::Result<()> {
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands in for the executable, and does `script` when it is started as a daemon.
    fn started(script: &str) -> (tempfile::TempDir, Outcome) {
        let dir = tempfile::tempdir().expect("a directory");
        let exe = dir.path().join("exe");
        // written by another program: a child of a test beside this one may hold what this one has open
        // for writing, and a file that is open for writing cannot be run
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0"; chmod 755 "$0""#;
        let written =
            Command::new("sh").arg("-c").arg(write).arg(&exe).arg(script).status().expect("a shell");
        assert!(written.success());
        let app = App {
            places: Places::new(|_| None, dir.path()),
            home: dir.path().to_owned(),
            json: false,
            config_given: None,
        };
        private_directory(&app.places.state_dir).expect("made");
        std::fs::write(app.places.log(), "of yesterday\n").expect("a log");
        let outcome = start_as(&app, &exe, None);
        (dir, outcome)
    }

    #[test]
    fn a_daemon_that_says_it_is_ready_is_not_waited_for_any_longer() {
        let (_dir, outcome) =
            started("[ \"$*\" = 'daemon --foreground' ] && echo ready > /dev/fd/$WEZTERM_PARALLEL_READY_FD");
        assert_eq!(outcome, Ok(()));
    }

    #[test]
    fn what_a_daemon_says_is_why_it_does_not_serve() {
        let (_dir, outcome) = started(
            "echo 'a daemon is already running (process 5)' > /dev/fd/$WEZTERM_PARALLEL_READY_FD; exit 1",
        );
        let failure = outcome.expect_err("it does not serve");
        assert_eq!(
            failure.to_string(),
            "failed to start the daemon: a daemon is already running (process 5)"
        );
    }

    #[test]
    fn the_end_of_the_log_stands_in_for_a_daemon_that_said_nothing() {
        let (dir, outcome) = started("echo 'thread panicked' >&2; exit 101");
        let failure = outcome.expect_err("it does not serve");
        assert!(failure.why.ends_with("said nothing\n  thread panicked"), "{failure}");
        let log: PathBuf = dir.path().join(".local/state/wezterm-parallel/daemon.log");
        assert_eq!(failure.hint, Some(format!("see {}", log.display())));
    }

    #[test]
    fn the_daemon_keeps_its_own_variables_and_none_of_a_run() {
        for (name, goes) in [
            ("WEZTERM_PARALLEL_STATE_DIR", false),
            ("WEZTERM_PARALLEL_LOG", false),
            ("HOME", false),
            ("WEZTERM_PARALLEL_RUN", true),
            ("WEZTERM_PARALLEL_PROCESS", true),
            ("CLAUDECODE", true),
        ] {
            assert_eq!(not_for_the_daemon(name), goes, "{name}");
        }
    }
}
