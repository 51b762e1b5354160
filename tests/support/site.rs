//! A place of its own for one test: a home, XDG directories, a config, an environment that holds nothing
//! else, and the certainty that nothing is left running when the test is over.

use std::{
    cell::RefCell,
    fs,
    io::{ErrorKind, Read, Write as _},
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt, symlink},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use wezterm_parallel_schemas::{
    daemon::Empty,
    event::Event,
    keeper,
    method::{DaemonStatus, ListProcesses},
    process::{ProcessList, ProcessView, State, Status},
};

use super::{DEADLINE, claude, mock::Mock, pty::Pty, rpc::Client};

/// The key that Claude is given. It is worth nothing.
const FAKE_KEY: &str = "sk-ant-fake-for-loopback";

/// A place of its own.
pub struct Site {
    env: RefCell<Vec<(String, String)>>,
    mock: Option<Mock>,
    // last, as fields are dropped in this order
    root: TempDir,
}

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// What was run.
    pub command: String,
    /// Exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Site {
    /// A place without Claude Code.
    pub fn new() -> Self {
        // sockets have short paths, and a temporary directory of macOS or of CI does not
        let root = tempfile::Builder::new().prefix("wp").tempdir_in("/tmp").expect("/tmp can be written to");
        let path = root.path();
        for dir in ["home", "run", "config", "state", "data", "work", "bin", "tmp"] {
            fs::DirBuilder::new().mode(0o700).create(path.join(dir)).expect("a new directory");
        }
        let place = |name: &str| path.join(name).to_str().expect("a path of ours is text").to_string();
        let env = vec![
            ("PATH".into(), format!("{}:/usr/local/bin:/usr/bin:/bin", place("bin"))),
            ("HOME".into(), place("home")),
            ("XDG_RUNTIME_DIR".into(), place("run")),
            ("XDG_CONFIG_HOME".into(), place("config")),
            ("XDG_STATE_HOME".into(), place("state")),
            ("XDG_DATA_HOME".into(), place("data")),
            ("TMPDIR".into(), place("tmp")),
            ("SHELL".into(), "/bin/sh".into()),
            ("TERM".into(), "xterm-256color".into()),
            ("LANG".into(), "C.UTF-8".into()),
        ];
        Self { env: RefCell::new(env), mock: None, root }
    }

    /// A place with Claude Code on its PATH, set up so that it shows its prompt, and an API for it to talk
    /// to. None if the tests with Claude are left out.
    pub fn with_claude() -> Option<Self> {
        Self::with_claude_of(claude::VERSION)
    }

    /// The same with another version of Claude Code.
    pub fn with_claude_of(version: &str) -> Option<Self> {
        let executable = claude::executable_of(version)?;
        let mut site = Self::new();
        symlink(executable, site.path("bin/claude")).expect("a new link");
        let mock = Mock::start();
        let key_end = &FAKE_KEY[FAKE_KEY.len() - 20..];
        let projects = serde_json::json!({ site.path("work").to_str().expect("text"): { "hasTrustDialogAccepted": true } });
        let state = serde_json::json!({
            "hasCompletedOnboarding": true,
            "customApiKeyResponses": { "approved": [key_end], "rejected": [] },
            "projects": projects,
        });
        fs::write(site.path("home/.claude.json"), state.to_string()).expect("home can be written to");
        for (name, value) in [
            ("ANTHROPIC_BASE_URL", mock.url()),
            ("ANTHROPIC_API_KEY", FAKE_KEY),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1"),
            ("CLAUDE_CODE_TMPDIR", site.path("tmp").to_str().expect("text")),
            ("IS_SANDBOX", "1"),
        ] {
            site.set_env(name, value);
        }
        site.mock = Some(mock);
        Some(site)
    }

    /// A path in this place.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    /// A project directory, made if need be.
    pub fn project(&self, name: &str) -> PathBuf {
        let path = self.path("work").join(name);
        fs::create_dir_all(&path).expect("a project directory can be made");
        path
    }

    /// The API that Claude talks to here.
    pub fn mock(&self) -> &Mock {
        self.mock.as_ref().expect("a place with Claude")
    }

    /// Sets a variable in the environment of what is run from here on.
    pub fn set_env(&self, name: &str, value: &str) {
        let mut env = self.env.borrow_mut();
        env.retain(|(n, _)| n != name);
        env.push((name.into(), value.into()));
    }

    /// Takes a variable out of it.
    pub fn unset_env(&self, name: &str) {
        self.env.borrow_mut().retain(|(n, _)| n != name);
    }

    /// The environment of what is run here.
    pub fn env_vars(&self) -> Vec<(String, String)> {
        self.env.borrow().clone()
    }

    /// Puts an executable script on this place's PATH, before everything else.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path("bin").join(name);
        fs::write(&path, text).expect("a script can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("a file of ours");
        path
    }

    /// The config file.
    pub fn config_path(&self) -> PathBuf {
        self.path("config/wezterm-parallel/config.yaml")
    }

    /// Saves the config as an editor does: into a new file, then renamed over the old one. `$WORK` stands
    /// for the directory of the projects.
    pub fn config(&self, text: &str) {
        let path = self.config_path();
        fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("it can be made");
        let new = path.with_extension("new");
        fs::write(&new, text.replace("$WORK", self.path("work").to_str().expect("text")))
            .expect("it can be written");
        fs::rename(new, path).expect("within one directory");
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.path("run/wezterm-parallel/daemon.sock")
    }

    /// A command with this place's environment and no other, in the directory of the projects.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.env.borrow().iter().cloned()).current_dir(self.path("work"));
        inherit_nothing(&mut command);
        command
    }

    /// Runs wezterm-parallel to its end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.run_in(&self.path("work"), args)
    }

    /// Runs wezterm-parallel to its end in a directory.
    pub fn run_in(&self, dir: &Path, args: &[&str]) -> Output {
        let mut command = self.command(executable());
        command.args(args).current_dir(dir);
        finish(command)
    }

    /// Runs wezterm-parallel in a terminal.
    pub fn terminal(&self, cols: u16, rows: u16, args: &[&str]) -> Pty {
        let mut command = self.command(executable());
        command.args(args);
        Pty::spawn(command, cols, rows)
    }

    /// Starts the daemon, which must serve when the command returns.
    pub fn daemon(&self) {
        self.run(&["daemon"]).ok();
    }

    /// A connection to the daemon, after `hello`.
    pub fn client(&self) -> Client {
        Client::connect(&self.socket())
    }

    /// Process id of the daemon.
    pub fn daemon_pid(&self) -> i32 {
        self.client().call::<DaemonStatus>(Empty {}).expect("the daemon says how it is").daemon.pid
    }

    /// Kills the daemon with SIGKILL, and returns when it is gone.
    pub fn kill_daemon(&self) {
        kill(self.daemon_pid());
    }

    /// All processes, as `process.list` has them.
    pub fn processes(&self) -> Vec<ProcessView> {
        self.client().call::<ListProcesses>(ProcessList::default()).expect("processes can be listed")
    }

    /// One process, by `WORKSPACE/PROCESS`.
    pub fn process(&self, name: &str) -> ProcessView {
        let all = self.processes();
        find(&all, name).unwrap_or_else(|| panic!("no process {name} in {all:#?}")).clone()
    }

    /// Waits until `WORKSPACE/PROCESS` is one of which `wanted` is true, now or later.
    pub fn wait_process(&self, name: &str, wanted: impl Fn(&ProcessView) -> bool) -> ProcessView {
        let mut events = self.client();
        let mut calls = self.client();
        let mut last = find(&events.subscribe().processes, name).cloned();
        let deadline = Instant::now() + DEADLINE;
        loop {
            match last {
                Some(view) if wanted(&view) => return view,
                _ => {}
            }
            assert!(
                Instant::now() < deadline,
                "{name} does not come to what is waited for: {last:#?}\n{}",
                self.log()
            );
            let event = events.event_before(deadline).unwrap_or_else(|| {
                panic!("{name} does not come to what is waited for: {last:#?}\n{}", self.log())
            });
            // a process that goes into another session may have no other change to tell of
            if matches!(event.kind.topic(), "process" | "session") {
                let all =
                    calls.call::<ListProcesses>(ProcessList::default()).expect("processes can be listed");
                last = find(&all, name).cloned();
            }
        }
    }

    /// Waits until there is no process of this name.
    pub fn wait_gone(&self, name: &str) {
        let mut events = self.client();
        events.subscribe();
        let deadline = Instant::now() + DEADLINE;
        while find(&self.processes(), name).is_some() {
            let event = events.event_before(deadline);
            assert!(event.is_some(), "{name} does not go\n{}", self.log());
        }
    }

    /// Waits until a process has this state.
    pub fn wait_state(&self, name: &str, state: State) -> ProcessView {
        self.wait_process(name, |p| p.state == state)
    }

    /// Waits until a process has this status.
    pub fn wait_status(&self, name: &str, status: Status) -> ProcessView {
        self.wait_process(name, |p| p.status == Some(status))
    }

    /// Waits for an event of which `wanted` is true; what happened before the call does not count, but
    /// for what happened after event number `since`.
    pub fn wait_event(&self, since: u64, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        use wezterm_parallel_schemas::{event::Subscribe, method::SubscribeCall};
        let mut client = self.client();
        let from = Subscribe { topics: Vec::new(), from_seq: Some(since) };
        let snapshot = client.call::<SubscribeCall>(from).expect("everybody may subscribe");
        assert_eq!(snapshot.gap, None, "events that have just happened are still kept");
        let deadline = Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        loop {
            let Some(event) = client.event_before(deadline) else {
                panic!("no such event: {what}; those that came: {seen:#?}\n{}", self.log());
            };
            if wanted(&event) {
                return event;
            }
            seen.push(event);
        }
    }

    /// Waits until that many are attached to the current run of a process. Its keeper is asked: it is no
    /// event of the daemon's.
    pub fn wait_attached(&self, name: &str, clients: u32) {
        let run = self.process(name).run_id.expect("it has run");
        let sock = self.path("state/wezterm-parallel/runs").join(run).join("sock");
        let mut socket = UnixStream::connect(sock).expect("its keeper listens");
        socket.set_read_timeout(Some(DEADLINE)).expect("it is longer than nothing");
        let hello = keeper::Hello::new(keeper::Role::Control);
        let mut bytes = Vec::new();
        let payload = rmp_serde::to_vec_named(&hello).expect("a hello encodes");
        keeper::encode(keeper::frame::HELLO, &payload, &mut bytes);
        socket.write_all(&bytes).expect("its keeper reads");
        let mut frames = keeper::Frames::default();
        let mut attached = None;
        while attached != Some(clients) {
            let mut buffer = [0; 4096];
            // a signal interrupts a read that has a timeout, whatever its handler was set up to
            let n = match socket.read(&mut buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                other => other.unwrap_or(0),
            };
            assert!(n > 0, "{clients} attached to {name} does not come: {attached:?}");
            frames.push(&buffer[..n]);
            while let Some((kind, payload)) = frames.take().expect("its keeper keeps to the limits") {
                let fits = "its keeper keeps to the contract";
                match kind {
                    keeper::frame::WELCOME => {
                        attached =
                            Some(rmp_serde::from_slice::<keeper::Welcome>(payload).expect(fits).attached);
                    }
                    keeper::frame::ATTACHED => {
                        attached =
                            Some(rmp_serde::from_slice::<keeper::Attached>(payload).expect(fits).clients);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Waits until a file is there and `wanted` is true of its text. Its directory must be there.
    pub fn wait_file(&self, path: &Path, wanted: impl Fn(&str) -> bool) -> String {
        let mut text = String::new();
        self.wait_directory(path.parent().expect("a file lies in a directory"), || {
            text = fs::read_to_string(path).unwrap_or_default();
            wanted(&text)
        });
        text
    }

    /// Waits until `wanted` is true, which is asked now and whenever something changes in a directory.
    pub fn wait_directory(&self, directory: &Path, mut wanted: impl FnMut() -> bool) {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).expect("this is Linux");
        let changes = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE;
        inotify::add_watch(&watch, directory, changes).expect("the directory is there");
        let deadline = Instant::now() + DEADLINE;
        while !wanted() {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} does not come to what is waited for", directory.display());
            let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: 0 };
            if ready(&mut [PollFd::new(&watch, PollFlags::IN)], &timeout) > 0 {
                rustix::io::read(&watch, &mut [0_u8; 4096]).expect("there is something to read");
            }
        }
    }

    /// Number of the newest event.
    pub fn seq(&self) -> u64 {
        self.client().subscribe().seq
    }

    /// The end of the daemon's log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.path("state/wezterm-parallel/daemon.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("the daemon's log ends with:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"))
    }

    /// Every living process that belongs to this place, by its environment, its arguments, its directory or
    /// its open files, with its command line.
    pub fn living(&self) -> Vec<(i32, String)> {
        let mark = self.root.path().to_str().expect("a path of ours is text");
        let own = std::process::id();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("this is Linux").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let cwd = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let of_ours = contains(&read("environ"), mark.as_bytes())
                || command.contains(mark)
                || cwd.starts_with(self.root.path())
                || is_keeper_of(&entry.path(), self.root.path());
            // a zombie has an empty command line
            if of_ours && pid != own && !command.is_empty() {
                found.push((i32::try_from(pid).expect("a process id"), command.trim().to_string()));
            }
        }
        found
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let failed = thread::panicking();
        if failed {
            eprintln!("{}", self.log());
        }
        // asked first, as a user would; then what is left is what we lost, and dies by its number
        if !self.living().is_empty() {
            let mut command = self.command(executable());
            command.args(["stop", "--yes"]);
            let _ = try_finish(command);
        }
        let left = self.living();
        for (pid, _) in &left {
            kill(*pid);
        }
        if !failed {
            assert!(left.is_empty(), "left behind after `stop --yes`: {left:#?}\n{}", self.log());
        }
    }
}

impl Output {
    /// It succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// It ended with this code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{} ended with another code:\n{}{}", self.command, self.out, self.err);
        self
    }

    /// Its standard error has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{} does not say `{text}`:\n{}{}", self.command, self.out, self.err);
        self
    }

    /// Its standard output is JSON of this type.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.out).unwrap_or_else(|e| {
            panic!("{} prints no such JSON ({e}):\n{}{}", self.command, self.out, self.err)
        })
    }
}

/// The executable that is tested.
pub fn executable() -> &'static str {
    env!("CARGO_BIN_EXE_wezterm-parallel")
}

/// Says something to those who run the tests, past the test harness's capture.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Has a command inherit no file but the standard ones. Lua opens files so that children inherit them, and
/// beside a test of it another one may start a child just then, which would look like one of that test's.
pub fn inherit_nothing(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only one system call is made, which neither allocates nor locks
    unsafe {
        command.pre_exec(|| {
            let flags = libc::CLOSE_RANGE_CLOEXEC;
            match libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, flags) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
}

/// Runs a command to its end, with nothing on its standard input.
pub fn finish(command: Command) -> Output {
    let shown = format!("{command:?}");
    try_finish(command).unwrap_or_else(|| panic!("it does not end: {shown}"))
}

/// The same; none if it does not end in time. Then it is killed.
pub fn try_finish(mut command: Command) -> Option<Output> {
    let shown: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let shown = format!("{} {}", command.get_program().to_string_lossy(), shown.join(" "));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{shown} cannot be run: {e}"));
    let pid = i32::try_from(child.id()).expect("a process id");
    let mut out = child.stdout.take().expect("it is piped");
    let mut err = child.stderr.take().expect("it is piped");
    let (sender, receiver) = mpsc::channel();
    // the pipes are read to their end: whoever leaves something behind that holds them is found out
    thread::spawn(move || {
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = err.read_to_end(&mut text);
            text
        });
        let mut text = Vec::new();
        let _ = out.read_to_end(&mut text);
        let err = reader.join().unwrap_or_default();
        let _ = sender.send((text, err, child.wait()));
    });
    let Ok((out, err, status)) = receiver.recv_timeout(DEADLINE) else {
        kill(pid);
        return None;
    };
    let status = status.expect("it is our child");
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Some(Output { command: shown, code, out: text(out), err: text(err) })
}

/// Kills a process with SIGKILL, and returns when it is gone. One that is gone already is fine.
pub fn kill(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    // opened first, so that the number cannot become another process's
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if kill_process(pid, Signal::KILL).is_ok() {
        wait_gone(&handle);
    }
}

/// Waits until a process is gone.
pub fn wait_end(pid: i32) {
    if let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
        wait_gone(&handle);
    }
}

/// Whether a process of this number lives.
pub fn lives(pid: i32) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    !command.is_empty()
}

fn wait_gone(handle: &impl std::os::fd::AsFd) {
    let timeout = Timespec { tv_sec: DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
    let mut polled = [PollFd::new(handle, PollFlags::IN)];
    assert!(ready(&mut polled, &timeout) > 0, "a process does not end");
}

/// Polls. The end of a child of another thread interrupts it, and begins its time anew.
fn ready(polled: &mut [PollFd<'_>], timeout: &Timespec) -> usize {
    loop {
        match poll(polled, Some(timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.expect("a handle can be polled"),
        }
    }
}

/// Whether a process is our executable and has a file below `root` open. A keeper has no environment, no
/// arguments and no directory that would give it away, but it holds the lock of its run.
fn is_keeper_of(process: &Path, root: &Path) -> bool {
    let link = |path: &Path| fs::read_link(path).unwrap_or_default();
    if link(&process.join("exe")) != Path::new(executable()) {
        return false;
    }
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    files.map(|file| link(&file.path())).any(|file| file.starts_with(root))
}

fn find<'a>(processes: &'a [ProcessView], name: &str) -> Option<&'a ProcessView> {
    let (workspace, process) = name.split_once('/').expect("WORKSPACE/PROCESS");
    processes.iter().find(|p| p.workspace == workspace && p.name == process)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}
