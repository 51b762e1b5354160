//! `wezterm-parallel hook`: what Claude runs when something happens in it. It hands what it is given to
//! the daemon and gets out of the way: no runtime, no command line parser, nothing printed but a
//! decision, exit code 0 whatever happens, since anything else would disturb Claude.
//!
//! A plain report is not waited for. Its bytes are in the daemon's socket when the program ends, and the
//! daemon reads them when it comes to it. A request of permission is held: the answer is printed when it
//! comes, and Claude's own dialog stands beside it all the while.

mod line;
mod payload;

use std::{
    ffi::OsString,
    io::{Read as _, Write as _},
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use wezterm_parallel_schemas::{
    hook::{HookKind, HookReport},
    keeper::{PROCESS_MARK, RUN_MARK},
    places::Places,
};

use line::{Line, Lost};

/// Most that is read of what Claude gives a hook: a file that is written whole stands in it.
const INPUT_BYTES_MAX: u64 = 32 << 20;
/// Longest that a report may take while the daemon is halted or its socket is full. A turn waits for it.
const TELL_MS: u64 = 150;
/// A request that nobody reads is given back to Claude after this long where Claude shows no dialog.
const GREETING_MS: u64 = 150;
/// First wait before a lost daemon is looked for again.
const AGAIN_MS: u64 = 10;
/// Longest wait between two looks: a new daemon is there within a moment, and nobody counts seconds.
const AGAIN_MS_MAX: u64 = 1_000;
/// First wait where the daemon is there and refuses: it will refuse for a while.
const REFUSED_MS: u64 = 100;
/// Longest wait there: hundreds of hooks that come back must not keep the daemon from its work.
const REFUSED_MS_MAX: u64 = 5_000;
/// A connection that has lasted this long was a good one: the next daemon is looked for from the beginning.
const LASTING_MS: u64 = 1_000;

/// Carries out `hook`. Always 0.
pub fn main(args: impl Iterator<Item = OsString>) -> i32 {
    let call = || Call::take(HookKind::Hook, read_input()?, places(args)?);
    if let Some(call) = call() {
        call.carry_out();
    }
    0
}

/// Tells the daemon what the status line was given.
pub(crate) fn tell_status_line(input: &[u8], state_dir: Option<PathBuf>) {
    let mut places = places_here();
    if let Some(dir) = state_dir {
        places.state_dir = dir;
    }
    if let Some(call) = Call::take(HookKind::StatusLine, input.to_vec(), places) {
        call.carry_out();
    }
}

/// What Claude gives it on its standard input; none if that is too large.
pub(crate) fn read_input() -> Option<Vec<u8>> {
    let mut input = Vec::new();
    std::io::stdin().lock().take(INPUT_BYTES_MAX + 1).read_to_end(&mut input).ok()?;
    (input.len() as u64 <= INPUT_BYTES_MAX).then_some(input)
}

/// One call by Claude.
struct Call {
    places: Places,
    report: HookReport,
    /// Claude shows its own dialog beside a hook that is held. It shows none with `-p`, and none of a
    /// subagent's for as long as the hook waits: there Claude waits for us alone.
    beside_dialog: bool,
}

impl Call {
    /// What it is about; none if Claude is not one of ours, or says nothing that could be told.
    fn take(kind: HookKind, input: Vec<u8>, places: Places) -> Option<Self> {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis();
        let text = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let payload = String::from_utf8(input).ok()?;
        let asks = payload::asks(&payload).filter(|_| kind == HookKind::Hook);
        let hold = asks.is_some();
        // 2.1.197 does not say whether somebody sits before it, but how it was started
        let attended = match text("CLAUDE_CODE_SESSION_ATTENDED") {
            Some(said) => said == "1",
            None => text("CLAUDE_CODE_ENTRYPOINT").as_deref() == Some("cli"),
        };
        let report = HookReport {
            kind,
            run: text(RUN_MARK)?,
            process: text(PROCESS_MARK)?,
            pid: text("CLAUDE_PID").and_then(|p| p.parse().ok()),
            at: i64::try_from(at).ok()?,
            payload: payload::fitting(payload)?,
            hold,
            attended,
            ask: hold.then(|| ulid::Ulid::generate().to_string()),
            taken: false,
        };
        let beside_dialog = attended && asks != Some(payload::Asks::Subagent);
        Some(Self { places, report, beside_dialog })
    }

    fn carry_out(self) {
        if !self.report.hold {
            let until = Instant::now() + Duration::from_millis(TELL_MS);
            // nobody is there to be told
            let _ = Line::open(&self.places, until).and_then(|mut line| line.tell(&self.report, until));
            return;
        }
        let (mut wait, mut before) = (0, None);
        loop {
            let began = Instant::now();
            let lost = match self.hold() {
                Ok(()) | Err(Lost::Claude) => return,
                // a Claude without a dialog waits for us alone: it goes on as if we were not there
                Err(_) if !self.beside_dialog => return,
                Err(lost) => lost,
            };
            // a daemon that has ended is another thing than the next one that is not there yet
            if before.replace(lost) != Some(lost) {
                wait = 0;
            }
            wait = pause(lost, began.elapsed(), wait);
            if line::claude_is_gone(Duration::from_millis(wait)) {
                return;
            }
        }
    }

    /// Asks the daemon, waits for its answer, and hands it to Claude.
    fn hold(&self) -> Result<(), Lost> {
        let until = Instant::now() + Duration::from_millis(GREETING_MS);
        let mut line = Line::open(&self.places, until)?;
        line.tell(&self.report, until)?;
        // a halted daemon has its bytes and says nothing: beside a dialog it may take its time
        let answer = line.answer((!self.beside_dialog).then_some(until))?;
        let Some(output) = answer.output else { return Ok(()) };
        let mut out = std::io::stdout().lock();
        if out.write_all(output.as_bytes()).and_then(|()| out.flush()).is_err() {
            return Err(Lost::Claude);
        }
        let taken = HookReport { taken: true, hold: false, payload: String::new(), ..self.report.clone() };
        let until = Instant::now() + Duration::from_millis(TELL_MS);
        // if that is lost, the daemon sees that the hook has ended
        let _ = line.tell(&taken, until);
        Ok(())
    }
}

/// How long to wait before a daemon is looked for again, in milliseconds, after a connection that lasted
/// so long and the wait `before` it.
fn pause(lost: Lost, lasted: Duration, before: u64) -> u64 {
    match lost {
        Lost::Refused => (before * 2).clamp(REFUSED_MS, REFUSED_MS_MAX),
        Lost::Daemon { greeted: true } if lasted >= Duration::from_millis(LASTING_MS) => AGAIN_MS,
        Lost::Daemon { .. } | Lost::Claude => (before * 2).clamp(AGAIN_MS, AGAIN_MS_MAX),
    }
}

/// Where the daemon writes down where it is. What is passed on to programs holds no places of ours, so
/// the settings that name this program name the directory too.
fn places(mut args: impl Iterator<Item = OsString>) -> Option<Places> {
    let mut places = places_here();
    while let Some(arg) = args.next() {
        if arg == "--state" {
            places.state_dir = PathBuf::from(args.next()?);
        }
    }
    Some(places)
}

fn places_here() -> Places {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    Places::new(|name| std::env::var_os(name), &home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_looked_for_at_once_and_one_that_refuses_is_left_in_peace() {
        let (short, long) = (Duration::ZERO, Duration::from_secs(60));
        let gone = Lost::Daemon { greeted: true };
        assert_eq!(pause(gone, long, AGAIN_MS_MAX), AGAIN_MS);
        for (lost, from, to) in [
            (Lost::Daemon { greeted: false }, AGAIN_MS, AGAIN_MS_MAX),
            (gone, AGAIN_MS, AGAIN_MS_MAX),
            (Lost::Refused, REFUSED_MS, REFUSED_MS_MAX),
        ] {
            let waits: Vec<u64> = std::iter::successors(Some(pause(lost, short, 0)), |before| {
                Some(pause(lost, short, *before))
            })
            .take(10)
            .collect();
            assert_eq!((waits[0], waits[1], waits[9]), (from, from * 2, to), "{lost:?}");
        }
    }
}
