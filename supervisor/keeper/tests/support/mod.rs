//! A real keeper in a directory of its own, and its other side.
#![allow(dead_code)] // each test file uses its own part

use std::{
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use indexmap::IndexMap;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags},
    process::{Pid, Signal, kill_process, test_kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::Winsize,
};
use serde::{Serialize, de::DeserializeOwned};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::keeper::{
    ExitRecord, Frames, Hello, Mode, Role, RunSpec, Size, StartReport, StopRun, Welcome, encode, frame,
};

/// A machine so slow that this is not enough has a fault that the test is to show.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn keeper_executable() -> PathBuf {
    let me = std::env::current_exe().expect("the test knows its own path");
    let target = me.ancestors().nth(2).expect("tests lie in target/…/deps");
    let keeper = target.join("examples/keeper");
    assert!(keeper.exists(), "{} is missing: `cargo build --example keeper` makes it", keeper.display());
    keeper
}

/// A directory for runs; what still lives in it at the end is killed.
pub struct Runs {
    pub dir: tempfile::TempDir,
    /// In every run's id: processes are found by their run's id, and must not be another test's.
    tag: String,
}

impl Runs {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let tag = dir.path().file_name().expect("a name").to_string_lossy().replace('.', "");
        Self { dir, tag }
    }

    /// A run's id.
    pub fn id(&self, name: &str) -> String {
        format!("{name}-{}", self.tag)
    }

    /// A run of `sh -c SCRIPT` on a terminal of 80×24.
    pub fn script(&self, name: &str, script: &str) -> RunSpec {
        RunSpec {
            run_id: self.id(name),
            process_id: format!("process-of-{name}"),
            runs_dir: self.dir.path().into(),
            mode: Mode::Pty,
            command: vec!["/bin/sh".into(), "-c".into(), script.into()],
            cwd: "/".into(),
            env: IndexMap::from([("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())]),
            size: Size { cols: 80, rows: 24 },
            history_bytes: 1 << 20,
            log_bytes: 1 << 20,
            log_files: 2,
            program_status: true,
            input: None,
        }
    }

    pub fn run_dir(&self, name: &str) -> PathBuf {
        rundir::run_dir(self.dir.path(), &self.id(name))
    }

    /// Starts a run that must start.
    pub fn start(&self, spec: &RunSpec) -> Run {
        match start(spec) {
            StartReport::Started { keeper_pid, pid, .. } => Run {
                dir: rundir::run_dir(&spec.runs_dir, &spec.run_id),
                keeper_pid: as_pid(keeper_pid),
                pid: as_pid(pid),
            },
            other => panic!("the run did not start: {other:?}"),
        }
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            if rundir::is_alive(&entry.path())
                && let Ok(Some(meta)) = rundir::read_meta(&entry.path())
            {
                let _ = kill_process(as_pid(meta.keeper_pid), Signal::KILL);
            }
            rundir::sweep_marked(&entry.file_name().to_string_lossy());
        }
    }
}

pub struct Run {
    pub dir: PathBuf,
    pub keeper_pid: Pid,
    pub pid: Pid,
}

impl Run {
    pub fn control(&self) -> Peer {
        Peer::hello(&self.dir, Role::Control, None)
    }

    /// Waits until the program has said something.
    pub fn wait_for_first_output(&self) {
        let mut observer = Peer::hello(&self.dir, Role::Observe, None);
        if observer.welcome.as_ref().expect("a welcome").log_offset == 0 {
            observer.wait_for_raw(frame::OUTPUT);
        }
    }

    pub fn stop(&self, grace_ms: u64) -> ExitRecord {
        let mut control = self.control();
        control.send(frame::STOP, &StopRun { grace_ms });
        control.wait_for(frame::EXIT)
    }

    /// Waits for the end, which may have come already.
    pub fn wait(&self) -> ExitRecord {
        if let Ok(stream) = rundir::connect(&self.dir) {
            let mut rest = vec![];
            let mut stream = stream;
            // the keeper closes it when it ends
            let _ = stream.read_to_end(&mut rest);
        }
        rundir::read_exit(&self.dir)
            .expect("a readable record")
            .expect("a record, since the keeper has ended")
    }
}

pub fn as_pid(raw: i32) -> Pid {
    Pid::from_raw(raw).expect("a process id")
}

pub fn lives(pid: Pid) -> bool {
    // a zombie has ended
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let is_zombie = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    test_kill_process(pid).is_ok() && !is_zombie
}

/// Runs a keeper's start and returns what it said.
pub fn start(spec: &RunSpec) -> StartReport {
    start_bytes(&rmp_serde::to_vec_named(spec).expect("a spec"))
}

pub fn start_bytes(spec: &[u8]) -> StartReport {
    let mut child = Command::new(keeper_executable())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the keeper runs");
    child.stdin.take().expect("a pipe").write_all(spec).expect("the keeper reads");
    let mut report = vec![];
    child.stdout.take().expect("a pipe").read_to_end(&mut report).expect("the keeper reports");
    assert!(child.wait().expect("the starter ends").success());
    rmp_serde::from_slice(&report).expect("a report")
}

/// The other side of a keeper's socket.
pub struct Peer {
    pub socket: UnixStream,
    frames: Frames,
    pub welcome: Option<Welcome>,
    /// Frames that have come, in order.
    pub seen: Vec<(u8, Vec<u8>)>,
}

impl Peer {
    pub fn connect(run_dir: &Path) -> Self {
        let socket = rundir::connect(run_dir).expect("the keeper listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, frames: Frames::default(), welcome: None, seen: vec![] }
    }

    pub fn hello(run_dir: &Path, role: Role, size: Option<Size>) -> Self {
        Self::hello_with(run_dir, &hello(role, size), None)
    }

    pub fn hello_with(run_dir: &Path, hello: &Hello, terminal: Option<&OwnedFd>) -> Self {
        let mut peer = Self::connect(run_dir);
        let mut bytes = vec![];
        encode(frame::HELLO, &rmp_serde::to_vec_named(hello).expect("a hello"), &mut bytes);
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let fds = terminal.map(|fd| [fd.as_fd()]);
        if let Some(fds) = &fds {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(fds)));
        }
        let parts = [std::io::IoSlice::new(&bytes)];
        rustix::net::sendmsg(&peer.socket, &parts, &mut ancillary, SendFlags::empty()).expect("sent");
        peer.welcome = Some(peer.wait_for(frame::WELCOME));
        peer
    }

    pub fn send(&mut self, kind: u8, message: &impl Serialize) {
        self.send_raw(kind, &rmp_serde::to_vec_named(message).expect("a message"));
    }

    pub fn send_raw(&mut self, kind: u8, payload: &[u8]) {
        let mut bytes = vec![];
        encode(kind, payload, &mut bytes);
        self.socket.write_all(&bytes).expect("the keeper reads");
    }

    pub fn type_in(&mut self, bytes: &[u8]) {
        self.send_raw(frame::INPUT, bytes);
    }

    /// The next frame; none at the end of the connection.
    pub fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut buffer = [0; 65536];
        loop {
            if let Some((kind, payload)) = self.frames.take().expect("frames within the bound") {
                let frame = (kind, payload.to_vec());
                self.seen.push(frame.clone());
                return Some(frame);
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Ok(n) => self.frames.push(&buffer[..n]),
                Err(e) => panic!("nothing came from the keeper: {e}; before: {}", self.kinds()),
            }
        }
    }

    fn kinds(&self) -> String {
        self.seen.iter().map(|(kind, _)| char::from(*kind)).collect()
    }

    /// Waits for a frame of a kind.
    pub fn wait_for<T: DeserializeOwned>(&mut self, kind: u8) -> T {
        rmp_serde::from_slice(&self.wait_for_raw(kind)).expect("a message of that kind")
    }

    pub fn wait_for_raw(&mut self, kind: u8) -> Vec<u8> {
        loop {
            match self.next() {
                Some((k, payload)) if k == kind => return payload,
                Some(_) => {}
                None => panic!("no frame {:?} came; what did: {}", char::from(kind), self.kinds()),
            }
        }
    }

    /// Reads output frames until all that came so far has `text` in it.
    pub fn wait_for_output(&mut self, text: &str) -> Vec<u8> {
        let mut output = vec![];
        while !contains(&output, text.as_bytes()) {
            output.extend(self.wait_for_raw(frame::OUTPUT));
        }
        output
    }
}

pub fn hello(role: Role, size: Option<Size>) -> Hello {
    Hello { size, detach_key: vec![0x1c], read_only: false, ..Hello::new(role) }
}

pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// A window: a pseudo terminal whose one side is passed to the keeper, and a terminal emulator (another
/// one than the keeper's) on the other side.
pub struct Window {
    master: OwnedFd,
    slave: OwnedFd,
    pub emulator: vt100::Parser,
    pub raw: Vec<u8>,
}

impl Window {
    pub fn new(cols: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&master).expect("a pty");
        unlockpt(&master).expect("a pty");
        let name = ptsname(&master, vec![]).expect("a name");
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).expect("its other side");
        let mut attributes = rustix::termios::tcgetattr(&slave).expect("attributes");
        attributes.make_raw();
        rustix::termios::tcsetattr(&slave, rustix::termios::OptionalActions::Now, &attributes).expect("raw");
        let size = Winsize { ws_col: cols, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).expect("a size");
        Self { master, slave, emulator: vt100::Parser::new(rows, cols, 1000), raw: vec![] }
    }

    pub fn size(&self) -> Size {
        let (rows, cols) = self.emulator.screen().size();
        Size { cols, rows }
    }

    pub fn attach(&self, run_dir: &Path) -> Peer {
        Peer::hello_with(run_dir, &hello(Role::Attach, Some(self.size())), Some(&self.slave))
    }

    pub fn type_in(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let n = rustix::io::write(&self.master, bytes).expect("typed");
            bytes = &bytes[n..];
        }
    }

    /// Takes in what the keeper writes until the emulator shows what is wanted.
    pub fn wait_until(&mut self, what: &str, mut wanted: impl FnMut(&vt100::Screen) -> bool) {
        while !wanted(self.emulator.screen()) {
            assert!(
                self.read(PATIENCE),
                "{what} never came; the screen is:\n{}\nafter {:?}",
                self.emulator.screen().contents(),
                String::from_utf8_lossy(&self.raw[self.raw.len().saturating_sub(2000)..])
            );
        }
    }

    pub fn wait_for_text(&mut self, text: &str) {
        self.wait_until(text, |screen| screen.contents().contains(text));
    }

    /// Takes in one piece; false if there was none for so long.
    pub fn read(&mut self, patience: Duration) -> bool {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        let timeout = Timespec::try_from(patience).expect("a timeout");
        if poll(&mut fds, Some(&timeout)).expect("a poll") == 0 {
            return false;
        }
        let mut buffer = [0; 65536];
        let n = rustix::io::read(&self.master, &mut buffer).expect("a terminal");
        self.raw.extend_from_slice(&buffer[..n]);
        self.emulator.process(&buffer[..n]);
        true
    }
}

pub fn raw_number(fd: &impl AsRawFd) -> i32 {
    fd.as_raw_fd()
}
