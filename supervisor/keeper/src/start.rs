//! How a run begins: from a [`RunSpec`] on standard input to a [`StartReport`] on standard output.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{Mode as FileMode, OFlags},
    process::getpid,
};
use wezterm_parallel_schemas::keeper::{RunMeta, RunSpec, StartFailure, StartReport};

use crate::{
    keep::{Keeper, Place},
    log::Log,
    os,
    rundir::{NotHeld, RunDir},
    signals::Signals,
    spawn,
};

/// Largest run spec. The kernel takes 2 MiB of arguments and environment together.
const SPEC_BYTES_MAX: u64 = 4 << 20;

/// A keeper, from its beginning to the end of its run. Reads a MessagePack [`RunSpec`] from standard
/// input up to its end, and writes one MessagePack [`StartReport`] to standard output, which it then
/// closes. The process that was started ends at once, so that whoever started it can reap it; the
/// keeper itself is nobody's child.
///
/// Arguments are ignored: they may name the run for those who read `ps`.
///
/// Must be called by a process that has one thread. Returns the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> i32 {
    drop(args);
    let spec = read_spec();
    match detach() {
        Ok(Side::Starter) => return 0,
        Ok(Side::Keeper) => {}
        Err(e) => {
            report(&StartReport::Failed { reason: StartFailure::System, message: format!("fork: {e}") });
            return 1;
        }
    }
    let keeper = match spec.and_then(begin) {
        Ok(keeper) => keeper,
        Err(said) => {
            report(&said);
            return 1;
        }
    };
    keeper.run();
    0
}

fn read_spec() -> Result<RunSpec, StartReport> {
    let mut bytes = vec![];
    // not std's stdin, which would keep a buffer for good
    take_standard(0)
        .and_then(|stdin| File::from(stdin).take(SPEC_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|e| failed(format!("read the run spec: {e}")))?;
    rmp_serde::from_slice(&bytes).map_err(|e| failed(format!("understand the run spec: {e}")))
}

fn failed(message: String) -> StartReport {
    StartReport::Failed { reason: StartFailure::System, message }
}

/// Everything up to the moment where the program runs.
fn begin(spec: RunSpec) -> Result<Keeper, StartReport> {
    os::tune_allocator();
    rustix::process::umask(FileMode::RWXG | FileMode::RWXO);
    let signals = Signals::catch().map_err(|e| failed(format!("catch signals: {e}")))?;
    os::become_reaper().map_err(|e| failed(format!("become the reaper of the run: {e}")))?;
    let meta = RunMeta {
        run_id: spec.run_id.clone(),
        process_id: spec.process_id.clone(),
        keeper_pid: getpid().as_raw_nonzero().get(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    // a relative one would mean something else after the change of directory
    let runs_dir = std::path::absolute(&spec.runs_dir).map_err(|e| failed(format!("find the runs: {e}")))?;
    let spec = RunSpec { runs_dir, ..spec };
    let (dir, listener) = match RunDir::create(&spec.runs_dir, &meta) {
        Ok(held) => held,
        Err(NotHeld::Exists) => return Err(StartReport::Exists),
        Err(NotHeld::Failed(e)) => return Err(failed(format!("make the run's directory: {e}"))),
    };
    // there before anybody is told of the run
    let log = Log::new(dir.path(), spec.log_bytes, spec.log_files);
    let spawned = match spawn::spawn(&spec) {
        Ok(spawned) => spawned,
        Err(e) => {
            dir.remove();
            return Err(StartReport::Failed { reason: e.reason, message: e.message });
        }
    };
    let started_at = now_ms();
    // keep no directory busy, and nothing of who started us
    let _ = std::env::set_current_dir("/");
    report(&StartReport::Started {
        keeper_pid: getpid().as_raw_nonzero().get(),
        pid: spawned.pid.as_raw_nonzero().get(),
        started_at,
    });
    Ok(Keeper::new(spec, Place { dir, listener, log }, signals, spawned, started_at))
}

enum Side {
    Starter,
    Keeper,
}

/// Double fork with a session of its own in between: the keeper has no parent and no terminal.
fn detach() -> io::Result<Side> {
    if fork()? {
        return Ok(Side::Starter);
    }
    rustix::process::setsid()?;
    match fork() {
        Ok(true) => Ok(Side::Starter),
        Ok(false) => Ok(Side::Keeper),
        // there is nobody to return an error to but the one who waits for the report
        Err(e) => Err(e),
    }
}

/// True in the parent.
fn fork() -> io::Result<bool> {
    // SAFETY: the process has one thread, so the child may do everything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(false),
        _ => Ok(true),
    }
}

/// Says how it went, once, and lets go of standard output and standard errors: whoever waits for
/// their end must not wait for the run's.
fn report(said: &StartReport) {
    let bytes = rmp_serde::to_vec_named(said).expect("our own messages can be encoded");
    // if nobody listens, the run goes on all the same: it can be found by its directory
    let _ = take_standard(1).and_then(|stdout| File::from(stdout).write_all(&bytes));
    let _ = take_standard(2);
}

/// A standard descriptor, with `/dev/null` put in its place: a free number would be given to the next
/// file that is opened, and what a library writes to it would land there.
fn take_standard(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: the number is only looked up by the kernel, and an unused one is an error.
    let standard = unsafe { BorrowedFd::borrow_raw(number) };
    let taken = rustix::io::fcntl_dupfd_cloexec(standard, 3);
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, FileMode::empty())?;
    // SAFETY: dup2 puts a copy of an open descriptor into a standard place, which nobody owns; the
    // copy stays open over exec, as it should for these three.
    if unsafe { libc::dup2(null.as_raw_fd(), number) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(taken?)
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
