//! A terminal that somebody drains: nothing is laid out, bytes are only counted and searched.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{ioctl_tiocsctty, setsid},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::{
    failure::{Context, Try, failed},
    place::DEADLINE,
};

/// Columns and rows of every terminal here: a window on half of a usual screen.
pub const COLS: u16 = 160;
/// See [`COLS`].
pub const ROWS: u16 = 50;
/// Linux hands out at most 4 KiB of a terminal at a time; more is for other systems.
const BUFFER_BYTES: usize = 64 << 10;
/// Every marker that is waited for has this byte, and nothing else that is shown has: so that one fast
/// look at each piece is enough to know that the marker is not in it.
pub const MARK: u8 = b'~';

/// A terminal with a program in it, which is killed when this is dropped.
pub struct Terminal {
    child: Child,
    master: File,
    buffer: Vec<u8>,
    /// The last bytes read, for a marker that comes in two pieces.
    tail: Vec<u8>,
}

impl Terminal {
    /// Runs `command` in a new terminal.
    pub fn spawn(mut command: Command) -> Try<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).failed_to("open a terminal")?;
        grantpt(&master).failed_to("open a terminal")?;
        unlockpt(&master).failed_to("open a terminal")?;
        let name = ptsname(&master, Vec::new()).failed_to("name a terminal")?;
        let size = Winsize { ws_row: ROWS, ws_col: COLS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).failed_to("size a terminal")?;
        let name = name.to_string_lossy().into_owned();
        let slave = File::options().read(true).write(true).open(&name).failed_to("open a terminal")?;
        let copy = || slave.try_clone().failed_to("copy a descriptor");
        command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
        // SAFETY: between fork and exec only two system calls are made, which neither allocate nor lock
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().failed_to("run a program in a terminal")?;
        Ok(Self { child, master: File::from(master), buffer: vec![0; BUFFER_BYTES], tail: Vec::new() })
    }

    /// Reads and drops everything from here on, in a thread that ends with the program.
    pub fn drain(&self) -> Try<()> {
        let mut master = self.master.try_clone().failed_to("copy a descriptor")?;
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(1..) = master.read(&mut buffer) {}
        });
        Ok(())
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &[u8]) -> Try<()> {
        self.master.write_all(keys).failed_to("press a key")
    }

    /// Reads until `marker`, which has a [`MARK`] in it, has come. Returns how many bytes came with it.
    pub fn read_until(&mut self, marker: &str) -> Try<u64> {
        self.read_until_all(vec![marker])
    }

    /// Reads until all `markers` have come, in any order.
    pub fn read_until_all(&mut self, mut markers: Vec<&str>) -> Try<u64> {
        let deadline = Instant::now() + DEADLINE;
        let longest = markers.iter().map(|m| m.len()).max().unwrap_or(0);
        let mut bytes = 0;
        while let Some(first) = markers.first() {
            let n = self.read(deadline, first)?;
            bytes += n as u64;
            let piece = &self.buffer[..n];
            if piece.contains(&MARK) || self.tail.contains(&MARK) {
                self.tail.extend_from_slice(piece);
                markers.retain(|m| !self.tail.windows(m.len()).any(|w| w == m.as_bytes()));
            } else {
                self.tail.clear();
                self.tail.extend_from_slice(&piece[n.saturating_sub(longest)..]);
            }
            let known = self.tail.len().saturating_sub(longest);
            self.tail.drain(..known);
        }
        self.tail.clear();
        Ok(bytes)
    }

    /// Reads until one byte has come that is `key`.
    pub fn read_key(&mut self, key: u8) -> Try<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let n = self.read(deadline, "the echo of a key")?;
            if self.buffer[..n].contains(&key) {
                return Ok(());
            }
        }
    }

    fn read(&mut self, deadline: Instant, what: &str) -> Try<usize> {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).failed_to("set a timeout")?;
        let ready = poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&timeout));
        if ready.failed_to("wait for a terminal")? == 0 {
            return Err(failed(format!("{what} did not come within {} s", DEADLINE.as_secs())));
        }
        // its end is an error (EIO) on Linux
        match self.master.read(&mut self.buffer) {
            Ok(n @ 1..) => Ok(n),
            Ok(0) | Err(_) => Err(failed(format!("the program ended before {what} came"))),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
