//! Starting the program, on a terminal of its own or on a pipe.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Command, Stdio},
};

use rustix::{
    fs::{Mode as FileMode, OFlags},
    process::Pid,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::Winsize,
};
use wezterm_parallel_schemas::keeper::{Mode, PROCESS_MARK, RUN_MARK, RunSpec, Size, StartFailure};

use crate::{answers::CELL_PIXELS, rundir::run_dir, signals};

/// The program and our side of what connects it.
pub struct Spawned {
    /// Its process id.
    pub pid: Pid,
    /// The terminal's master, or the pipe's reading end; non-blocking.
    pub output: OwnedFd,
}

/// Why there is no program.
pub struct NotSpawned {
    pub reason: StartFailure,
    pub message: String,
}

/// Starts the program of `spec`.
pub fn spawn(spec: &RunSpec) -> Result<Spawned, NotSpawned> {
    let Some(program) = spec.command.first().filter(|name| !name.is_empty()) else {
        return Err(NotSpawned { reason: StartFailure::Program, message: "no command was given".into() });
    };
    // the keeper itself goes there first: so a bad directory and a bad program can be told apart
    std::env::set_current_dir(&spec.cwd).map_err(|e| NotSpawned {
        reason: StartFailure::Cwd,
        message: format!("enter {}: {e}", spec.cwd.display()),
    })?;
    let system = |what: &str| {
        let what = what.to_owned();
        move |e: io::Error| NotSpawned { reason: StartFailure::System, message: format!("{what}: {e}") }
    };
    let mut command = Command::new(program);
    command.args(&spec.command[1..]).env_clear().envs(&spec.env);
    command.env(RUN_MARK, &spec.run_id).env(PROCESS_MARK, &spec.process_id);
    let output = match spec.mode {
        Mode::Pty => {
            // TERM_PROGRAM is left as it is in the spec: whoever attaches may be any terminal
            for (name, value) in [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")] {
                if !spec.env.contains_key(name) {
                    command.env(name, value);
                }
            }
            let (master, slave) = open_pty(spec.size).map_err(system("open a terminal"))?;
            let copy = || slave.try_clone().map(Stdio::from).map_err(system("open a terminal"));
            command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
            master
        }
        Mode::Pipe => {
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
                .map_err(io::Error::from)
                .map_err(system("open a pipe"))?;
            let copy = write.try_clone().map_err(system("open a pipe"))?;
            let input = match &spec.input {
                Some(text) => input(spec, text).map(Stdio::from).map_err(system("keep its input"))?,
                None => Stdio::null(),
            };
            command.stdin(input).stdout(write).stderr(copy);
            read
        }
    };
    rustix::io::ioctl_fionbio(&output, true).map_err(io::Error::from).map_err(system("set up its output"))?;
    let takes_terminal = spec.mode == Mode::Pty;
    // SAFETY: the keeper has one thread, so between fork and exec everything may be called that may be
    // called at all; the closure allocates nothing.
    unsafe {
        command.pre_exec(move || {
            signals::reset_all();
            rustix::process::setsid()?;
            if takes_terminal {
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            }
            no_core_dumps();
            Ok(())
        });
    }
    match command.spawn() {
        Ok(child) => Ok(Spawned { pid: Pid::from_child(&child), output }),
        Err(e) => Err(NotSpawned { reason: blame(&e), message: format!("run {program}: {e}") }),
    }
}

/// A file that has lost its name, with what the program is to read: a pipe would have to be written to while
/// the program reads.
fn input(spec: &RunSpec, text: &str) -> io::Result<File> {
    let path = run_dir(&spec.runs_dir, &spec.run_id).join("input");
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Tells the program the size of its terminal.
pub fn set_size(master: impl AsFd, size: Size) -> io::Result<()> {
    let size = Winsize {
        ws_col: size.cols,
        ws_row: size.rows,
        ws_xpixel: size.cols.saturating_mul(CELL_PIXELS.0),
        ws_ypixel: size.rows.saturating_mul(CELL_PIXELS.1),
    };
    Ok(rustix::termios::tcsetwinsize(master, size)?)
}

fn open_pty(size: Size) -> io::Result<(OwnedFd, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, FileMode::empty())?;
    set_size(&master, size)?;
    Ok((master, slave))
}

/// A core of Claude is gigabytes, and holds its keys.
fn no_core_dumps() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    // refused by nobody, and no reason not to run
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}

fn blame(error: &io::Error) -> StartFailure {
    let of_program = [
        libc::ENOENT,
        libc::EACCES,
        libc::ENOEXEC,
        libc::ENOTDIR,
        libc::ELOOP,
        libc::ENAMETOOLONG,
        libc::EPERM,
        libc::EISDIR,
        libc::EINVAL,
        libc::ELIBBAD,
    ];
    match error.raw_os_error() {
        Some(code) if of_program.contains(&code) => StartFailure::Program,
        // a NUL in the command is reported without a code
        None if error.kind() == io::ErrorKind::InvalidInput => StartFailure::Program,
        _ => StartFailure::System,
    }
}
