//! A terminal with a program in it: what it shows, and keys for it.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    process::{ioctl_tiocsctty, setsid},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::DEADLINE;

/// Lines that have scrolled off and are still known.
const HISTORY_LINES: usize = 2_000;
/// How long a screen must not change before it counts as resting. Claude's dialogs take keys after half a
/// second.
const REST: Duration = Duration::from_millis(700);
/// Longest that a screen is given to rest: a mark that blinks beside a dialog never does.
const REST_MAX: Duration = Duration::from_secs(2);
/// How long a key is given to have its effect before it is pressed again. Long, as two presses where one
/// was meant may choose something else.
const PRESS_AGAIN: Duration = Duration::from_secs(10);

/// The other one of two terminals is looked at this often, as only one can be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A terminal, and the program that runs in it, which is killed when this is dropped.
pub struct Pty {
    child: Child,
    master: File,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: vt100::Parser,
    /// Everything that came, for what the model of a terminal does not keep.
    raw: Vec<u8>,
    ended: bool,
    stalled: bool,
}

/// What can be seen of a screen, and its modes. A blank that was written looks like one where nothing ever
/// was.
#[derive(PartialEq, Eq)]
pub struct Looks(Vec<String>);

impl Looks {
    /// Those of this screen.
    pub fn of(screen: &vt100::Screen) -> Self {
        let (rows, cols) = screen.size();
        let cell = |row, col| {
            let cell = screen.cell(row, col)?;
            let blank = matches!(cell.contents(), "" | " ") && !cell.is_wide_continuation();
            let drawn = (cell.underline(), cell.inverse(), cell.bgcolor());
            let ink = (cell.fgcolor(), cell.bold(), cell.dim(), cell.italic());
            // of a blank in reverse the ink is the ground
            let ink = (!blank || cell.underline() || cell.inverse()).then_some(ink);
            Some(format!("{:?} {drawn:?} {ink:?}", if blank { " " } else { cell.contents() }))
        };
        let cells =
            (0..rows).flat_map(|row| (0..cols).filter_map(move |col| Some((row, col, cell(row, col)?))));
        let mut all: Vec<String> = cells.map(|(row, col, cell)| format!("{row},{col}: {cell}")).collect();
        all.push(format!("cursor at {:?}, hidden: {}", screen.cursor_position(), screen.hide_cursor()));
        all.push(format!(
            "modes: {}",
            String::from_utf8_lossy(&screen.input_mode_formatted()).escape_debug()
        ));
        Self(all)
    }
}

impl std::fmt::Debug for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.join("\n").fmt(f)
    }
}

impl State {
    fn count(&self, bytes: &[u8]) -> usize {
        self.raw.windows(bytes.len()).filter(|w| *w == bytes).count()
    }
}

impl Pty {
    /// Runs `command` in a new terminal of that size.
    pub fn spawn(command: Command, cols: u16, rows: u16) -> Self {
        Self::spawn_heard(command, cols, rows, |_| ())
    }

    /// The same, and `heard` gets everything that the program writes; nothing at its end.
    pub fn spawn_heard(
        mut command: Command,
        cols: u16,
        rows: u16,
        heard: impl FnMut(&[u8]) + Send + 'static,
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("there is a free terminal");
        grantpt(&master).expect("a terminal of our own");
        unlockpt(&master).expect("a terminal of our own");
        let name = ptsname(&master, Vec::new()).expect("a terminal has a name");
        let path = name.to_str().expect("it is /dev/pts/N").to_string();
        tcsetwinsize(&master, size(cols, rows)).expect("a terminal has a size");
        let slave = File::options().read(true).write(true).open(path).expect("a terminal of our own");
        command
            .stdin(slave.try_clone().expect("a descriptor can be copied"))
            .stdout(slave.try_clone().expect("a descriptor can be copied"))
            .stderr(slave);
        // SAFETY: between fork and exec only two system calls are made, which neither allocate nor lock
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?} cannot be run: {e}"));
        // only the program must hold the other end, or its end would not be seen
        drop(command);

        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                parser: vt100::Parser::new(rows, cols, HISTORY_LINES),
                raw: Vec::new(),
                ended: false,
                stalled: false,
            }),
            changed: Condvar::new(),
        });
        let reader = File::from(master.try_clone().expect("a descriptor can be copied"));
        let master = File::from(master);
        let feed = Arc::clone(&shared);
        thread::spawn(move || feed.read(reader, heard));
        Self { child, master, shared }
    }

    /// Waits until the screen is one of which `wanted` is true.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
        self.wait(what, |state| wanted(state.parser.screen()));
    }

    /// Waits until `text` stands somewhere on the screen, within one line.
    pub fn wait_for_text(&self, text: &str) {
        self.wait_for(text, |screen| screen.contents().contains(text));
    }

    /// Waits until these bytes have come.
    pub fn wait_for_bytes(&self, bytes: &[u8]) {
        let what = String::from_utf8_lossy(bytes).escape_debug().to_string();
        self.wait(&what, |state| state.raw.windows(bytes.len()).any(|w| w == bytes));
    }

    /// Waits until these bytes have come as often as that.
    pub fn wait_until_count(&self, bytes: &[u8], times: usize) {
        let what = format!("{} times {}", times, String::from_utf8_lossy(bytes).escape_debug());
        self.wait(&what, |state| state.count(bytes) >= times);
    }

    /// How often these bytes have come so far.
    pub fn count(&self, bytes: &[u8]) -> usize {
        self.shared.lock().count(bytes)
    }

    /// Whether these bytes have come.
    pub fn saw(&self, bytes: &[u8]) -> bool {
        self.count(bytes) > 0
    }

    /// Waits until two terminals look the same; either may be the later one.
    pub fn wait_to_look_like(&self, other: &Self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let looks = other.looks();
            let same = |state: &State| Looks::of(state.parser.screen()) == looks;
            let Err(state) = self.wait_until(Instant::now() + LOOK_AGAIN, same) else { return };
            assert!(
                Instant::now() < deadline,
                "{}\n\nand\n{}",
                failure(&state, "the same"),
                other.contents()
            );
        }
    }

    /// Waits until the program has ended, and returns its exit code; none if a signal ended it.
    pub fn wait_for_end(&mut self) -> Option<i32> {
        self.wait("the end of the program", |state| state.ended);
        self.child.wait().expect("the program is our child").code()
    }

    /// Process id of the program.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What the screen shows, a line each, without what is blank at the ends of lines.
    pub fn contents(&self) -> String {
        self.shared.lock().parser.screen().contents()
    }

    /// Everything that can be seen of the screen, and its modes.
    pub fn looks(&self) -> Looks {
        Looks::of(self.shared.lock().parser.screen())
    }

    /// Closes the window as WezTerm closes a pane: first it types Enter and the terminal's end-of-file key,
    /// if there is one, then the terminal is gone.
    pub fn close_as_wezterm_does(self) {
        let modes = rustix::termios::tcgetattr(&self.master).expect("a terminal has modes");
        let end_of_file = modes.special_codes[rustix::termios::SpecialCodeIndex::VEOF];
        if end_of_file != 0 {
            self.type_keys(&format!("\n{}", char::from(end_of_file)));
        }
    }

    /// Presses keys: sends the bytes that a terminal sends for them.
    pub fn type_keys(&self, keys: &str) {
        // a terminal that nobody reads from takes some and then blocks
        assert!(!self.shared.lock().ended, "nobody is there to read keys");
        (&self.master).write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Presses keys in a dialog until the screen is one of which `wanted` is true. A dialog takes no keys in
    /// its first moments, so that nobody answers it by what was typed before it came: so this waits until
    /// the screen rests, and presses again if nothing has come of it.
    pub fn press_until(&self, keys: &str, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.wait_until_it_rests((Instant::now() + REST_MAX).min(deadline));
            self.type_keys(keys);
            let again = (Instant::now() + PRESS_AGAIN).min(deadline);
            match self.wait_until(again, |state| wanted(state.parser.screen())) {
                Ok(()) => return,
                Err(state) => {
                    assert!(!state.ended && Instant::now() < deadline, "{}", failure(&state, what));
                }
            }
        }
    }

    /// Waits until nothing has come for a moment, or the program has ended.
    fn wait_until_it_rests(&self, deadline: Instant) {
        loop {
            let seen = self.shared.lock().raw.len();
            let moment = (Instant::now() + REST).min(deadline);
            if self.wait_until(moment, |state| state.raw.len() > seen).is_err() {
                return;
            }
        }
    }

    /// Stops reading what the program writes, as a terminal does that hangs, or reads it again.
    pub fn stall(&self, stalled: bool) {
        self.shared.lock().stalled = stalled;
        self.shared.changed.notify_all();
    }

    /// Gives the terminal another size.
    pub fn resize(&self, cols: u16, rows: u16) {
        self.shared.lock().parser.screen_mut().set_size(rows, cols);
        tcsetwinsize(&self.master, size(cols, rows)).expect("a terminal has a size");
    }

    fn wait(&self, what: &str, wanted: impl Fn(&State) -> bool) {
        if let Err(state) = self.wait_until(Instant::now() + DEADLINE, wanted) {
            panic!("{}", failure(&state, what));
        }
    }

    /// Waits until `wanted` is true of the state, the program has ended, or it is too late.
    fn wait_until(
        &self,
        deadline: Instant,
        wanted: impl Fn(&State) -> bool,
    ) -> Result<(), MutexGuard<'_, State>> {
        let mut state = self.shared.lock();
        loop {
            if wanted(&state) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended {
                return Err(state);
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn failure(state: &State, what: &str) -> String {
    let why = if state.ended { "the program ended before it came" } else { "it does not come" };
    format!("{why}: {what}; the screen:\n{}", state.parser.screen().contents())
}

impl Drop for Pty {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("a terminal showed:\n{}", self.contents());
        }
        self.stall(false);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, mut master: File, mut heard: impl FnMut(&[u8])) {
        let mut buffer = [0; 65_536];
        // the end is an error (EIO) on Linux
        while let Ok(n @ 1..) = master.read(&mut buffer) {
            let mut state = self.lock();
            state.raw.extend_from_slice(&buffer[..n]);
            state.parser.process(&buffer[..n]);
            self.changed.notify_all();
            while state.stalled {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            heard(&buffer[..n]);
        }
        self.lock().ended = true;
        self.changed.notify_all();
        heard(&[]);
    }
}

fn size(cols: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }
}
