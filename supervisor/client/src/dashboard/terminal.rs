//! The terminal while the dashboard is on it, and as it was before on every way out: the end, an error, a
//! signal, a panic, a pause.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, Once, PoisonError},
};

use ratatui::{Frame, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
use rustix::{
    stdio::{stdin, stdout},
    termios::{OptionalActions, SpecialCodeIndex, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr},
};

use crate::{
    failure::{Context, Failure, Outcome},
    signals::Signals,
};

/// The title saved, another screen, no cursor, the mouse, the focus, pasted text as such.
const ENTER: &str = "\x1b[22;0t\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?1004h\x1b[?2004h";
/// A blank screen.
const CLEAR: &str = "\x1b[0m\x1b[2J";
/// All of that back.
const LEAVE: &str =
    "\x1b[?2026l\x1b[?2004l\x1b[?1004l\x1b[?1006l\x1b[?1000l\x1b[0m\x1b[?25h\x1b[?1049l\x1b[23;0t";
/// Tells WezTerm, and so the plugin, that the dashboard is in this pane: `dashboard` in base64.
const USER_VAR: &str = "\x1b]1337;SetUserVar=wezterm_parallel=ZGFzaGJvYXJk\x07";
/// And that it is not.
const NO_USER_VAR: &str = "\x1b]1337;SetUserVar=wezterm_parallel=\x07";
/// What a terminal has that does not tell its size.
const SIZE_DEFAULT: (u16, u16) = (80, 24);
/// A screen of many colours, written at once.
const BUFFER_BYTES: usize = 64 << 10;

/// What the terminal was like, while it is ours.
static BEFORE: Mutex<Option<Before>> = Mutex::new(None);
static HOOK: Once = Once::new();

struct Before {
    modes: Termios,
    wezterm: bool,
}

type Canvas = ratatui::Terminal<CrosstermBackend<BufWriter<File>>>;

/// The terminal, ours until this is dropped.
pub struct Terminal {
    canvas: Canvas,
    signals: Signals,
    title: String,
}

impl Terminal {
    /// Takes the terminal. `wezterm`: it is a pane of WezTerm, which is told what is in it.
    pub fn enter(wezterm: bool) -> Outcome<Self> {
        if !(isatty(stdin()) && isatty(stdout())) {
            return Err(Failure::new("show the dashboard", "there is no terminal to show it on")
                .hint("`wezterm-parallel status` prints the same as a table, with --json for scripts"));
        }
        Self::take(wezterm).inspect_err(|_| restore()).failed_to(|| "show the dashboard".into())
    }

    fn take(wezterm: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                // so that it can be read, and where it will stay
                restore();
                before(panic);
            }));
        });
        let others = [libc::SIGWINCH, libc::SIGTSTP, libc::SIGCONT];
        let signals = Signals::catch(&others)?;
        let modes = tcgetattr(stdin())?;
        let mut raw = modes.clone();
        raw.make_raw();
        // WezTerm types Enter and the end-of-file key into a pane that is closed, to end what reads there.
        // Here Enter goes to a process. Without such a key it types nothing.
        raw.special_codes[SpecialCodeIndex::VEOF] = 0;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Before { modes, wezterm });
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        let enter = format!("{ENTER}{}", if wezterm { USER_VAR } else { "" });
        let (canvas, _) = canvas(&enter)?;
        Ok(Self { canvas, signals, title: String::new() })
    }

    /// Signals that have to do with the terminal, and those that end the program.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Takes over the terminal's present size, and gives it. All is drawn anew.
    pub fn resize(&mut self) -> io::Result<(u16, u16)> {
        let (canvas, size) = canvas(CLEAR)?;
        self.canvas = canvas;
        Ok(size)
    }

    /// Shows what `draw` draws, all at once.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.canvas.backend_mut().write_all(b"\x1b[?2026h")?;
        self.canvas.draw(draw)?;
        self.canvas.backend_mut().write_all(b"\x1b[?2026l")?;
        Write::flush(self.canvas.backend_mut())
    }

    /// Gives the window a title, without control characters.
    pub fn title(&mut self, title: &str) -> io::Result<()> {
        if self.title != title {
            title.clone_into(&mut self.title);
            write!(self.canvas.backend_mut(), "\x1b]2;{title}\x07")?;
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// A canvas for a blank screen of the terminal's present size, after `first` was written. One that exists is
/// never cleared or resized: it would ask the terminal for its cursor, and a terminal need not answer. For
/// its size the kernel is asked, as the library would start a program where that fails.
fn canvas(first: &str) -> io::Result<(Canvas, (u16, u16))> {
    let out: OwnedFd = stdout().try_clone_to_owned()?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, File::from(out));
    out.write_all(first.as_bytes())?;
    out.flush()?;
    let (cols, rows) = size();
    let viewport = Viewport::Fixed(Rect::new(0, 0, cols, rows));
    let options = TerminalOptions { viewport };
    Ok((ratatui::Terminal::with_options(CrosstermBackend::new(out), options)?, (cols, rows)))
}

/// The terminal's size in columns and rows.
pub fn size() -> (u16, u16) {
    match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => SIZE_DEFAULT,
    }
}

/// Gives the terminal back, if it is ours.
fn restore() {
    let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
    let mut text = LEAVE.to_owned();
    if before.wezterm {
        text.push_str(NO_USER_VAR);
    }
    // a window that is gone does not take it, and does not need it
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(stdout().as_fd(), rest) {
            Ok(n) => rest = &rest[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    // keys that were meant for the dashboard are not for the shell
    let _ = tcsetattr(stdin(), OptionalActions::Flush, &before.modes);
}
