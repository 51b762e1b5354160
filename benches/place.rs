//! A place of its own for one measurement: a home, XDG directories, an environment that holds nothing
//! else, and the certainty that nothing is left running in it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use tempfile::TempDir;

use crate::failure::{Context, Try, failed};

/// How long anything may take before its row is given up. A round of the slowest peer takes two seconds.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A place of its own. What still lives in it is killed when it is dropped.
pub struct Place {
    env: Vec<(String, String)>,
    root: TempDir,
}

/// A living process of a place.
pub struct Living {
    /// Its process id.
    pub pid: i32,
    /// Its executable; empty if that cannot be read.
    pub exe: PathBuf,
    /// Its arguments, the name it was started by included.
    pub args: Vec<String>,
}

impl Living {
    /// Whether it runs the program of this name.
    pub fn runs(&self, name: &str) -> bool {
        let started_as = self.args.first().and_then(|arg| Path::new(arg).file_name());
        started_as.is_some_and(|n| n == name) || self.exe.file_name().is_some_and(|n| n == name)
    }
}

impl Place {
    /// Makes a place below /tmp: sockets have short paths, and a temporary directory of CI does not.
    pub fn new() -> Try<Self> {
        let root = tempfile::Builder::new().prefix("wpb").tempdir_in("/tmp").failed_to("make a directory")?;
        let path = root.path();
        for dir in ["home", "run", "config", "state", "data", "work", "tmp"] {
            fs::DirBuilder::new().mode(0o700).create(path.join(dir)).failed_to("make a directory")?;
        }
        let at = |name: &str| path.join(name).to_string_lossy().into_owned();
        let env = vec![
            // peers lie wherever whoever runs this has put them
            ("PATH".into(), std::env::var("PATH").failed_to("read PATH")?),
            ("HOME".into(), at("home")),
            ("XDG_RUNTIME_DIR".into(), at("run")),
            ("XDG_CONFIG_HOME".into(), at("config")),
            ("XDG_STATE_HOME".into(), at("state")),
            ("XDG_DATA_HOME".into(), at("data")),
            ("TMPDIR".into(), at("tmp")),
            ("SHELL".into(), "/bin/sh".into()),
            ("TERM".into(), "xterm-256color".into()),
            ("LANG".into(), "C.UTF-8".into()),
        ];
        Ok(Self { env, root })
    }

    /// A path in this place.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// The same as text.
    pub fn text(&self, relative: &str) -> String {
        self.path(relative).to_string_lossy().into_owned()
    }

    /// Sets a variable for what is started from here on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(n, _)| n != name);
        self.env.push((name.into(), value.into()));
    }

    /// A command with this place's environment and no other. It reads and prints nothing.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.env.iter().cloned()).current_dir(self.path("work"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Every living process that belongs to this place: by its environment, by its arguments, or, since a
    /// keeper has neither, by the files that it has open.
    pub fn living(&self) -> Vec<Living> {
        let mark = self.text("");
        let own = std::process::id().cast_signed();
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
            let read = |name| fs::read(entry.path().join(name)).unwrap_or_default();
            let cmdline = read("cmdline");
            // a zombie has an empty command line
            if pid == own || cmdline.is_empty() {
                continue;
            }
            let named = contains(&read("environ"), mark.as_bytes()) || contains(&cmdline, mark.as_bytes());
            if named || has_open(&entry.path(), self.root.path()) {
                let args = String::from_utf8_lossy(&cmdline);
                let args = args.trim_end_matches('\0').split('\0').map(Into::into).collect();
                let exe = fs::read_link(entry.path().join("exe")).unwrap_or_default();
                found.push(Living { pid, exe, args });
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // a process may start another one while it is being killed
        while let living @ [_, ..] = &self.living()[..] {
            for process in living {
                kill(process.pid);
            }
        }
    }
}

/// Runs a command to its end, and returns how long that took, its start included.
pub fn run(command: &mut Command) -> Try<Duration> {
    let began = Instant::now();
    let status = command.status().failed_to(format!("run {}", shown(command)))?;
    let took = began.elapsed();
    if status.success() { Ok(took) } else { Err(failed(format!("{} ended with {status}", shown(command)))) }
}

/// Runs a command to its end and returns what it printed.
pub fn output(command: &mut Command) -> Try<String> {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.failed_to(format!("run {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{} ended with {}: {}", shown(command), output.status, said.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Sends SIGKILL and does not wait.
pub fn send_kill(pid: i32) -> Try<()> {
    let pid = Pid::from_raw(pid).ok_or_else(|| failed("no process id"))?;
    kill_process(pid, Signal::KILL).failed_to("kill a program")
}

/// Kills a process with SIGKILL, and returns when it is gone. One that is gone already is fine.
pub fn kill(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    // opened first, so that the number cannot become another process's
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if kill_process(pid, Signal::KILL).is_ok() {
        let timeout = Timespec { tv_sec: DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
        let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&timeout));
    }
}

/// Looks until `there` has something, for what nothing tells of. Never used where time is measured finely.
pub fn wait_for<T>(what: &str, mut there: impl FnMut() -> Try<Option<T>>) -> Try<T> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = there()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(failed(format!("{what} did not come within {} s", DEADLINE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where a program lies on the PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| Path::is_file(file))
}

fn shown(command: &Command) -> String {
    let args: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    format!("{} {}", command.get_program().to_string_lossy(), args.join(" "))
}

/// Whether the process of this directory of /proc has a file below `root` open.
fn has_open(process: &Path, root: &Path) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|file| file.starts_with(root)))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}
