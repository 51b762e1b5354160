//! `process attach`: the screen of a process in this terminal, over all its restarts. A run is shown by
//! [`terminal`], straight from its keeper; between two runs the daemon is asked why, and what is next.

use std::{
    io::{self, IsTerminal},
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr},
};
use wezterm_parallel_schemas::{
    error::Code,
    event::{EventKind, Subscribe},
    keeper::ExitRecord,
    method::{AttachProcess, SeeProcess, StartProcess, SubscribeCall},
    process::{AttachPoint, ProcessView, State},
};

use crate::{
    app::App,
    arguments::Attach,
    attach::{
        pane::Mark,
        terminal::{Options, Outcome as Ended},
    },
    connection::{CallError, Connection, Patience},
    failure::{Context, Failure, Outcome},
    output::{self, BAD, FAINT, NOTABLE, STRONG, clean},
    target::Target,
    time,
};

mod pane;
pub mod terminal;

/// How often a daemon that is gone is looked for while somebody waits for it. It is the one thing here
/// that nothing tells of.
const LOOK_MS: u64 = 500;
/// Enter as a terminal sends it, without and with translation.
const ENTER: [u8; 2] = [b'\r', b'\n'];
/// Ctrl-C and Ctrl-D, which leave as well.
const LEAVE: [u8; 3] = [b'q', 0x03, 0x04];

/// `process attach`.
///
/// A terminal that is closed when this ends, as a pane of WezTerm's is, stays until its user has read why;
/// and it is worth waiting in for a daemon that is not there yet.
pub fn run(app: &App, args: &Attach) -> Outcome {
    let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !(on_terminal && pane::is_ours_alone()) {
        return show(app, args, false).map(|_| ());
    }
    match show(app, args, true) {
        Ok(Left::ByKey) => return Ok(()),
        Ok(Left::Removed) => {}
        Err(failure) => output::failure(&failure),
    }
    let keys = SingleKeys::of_stdin()?;
    output::print(format_args!("{FAINT}any key closes this{FAINT:#}\n"))?;
    // it has been told, and an exit code would keep the pane beyond that
    keys.wait(None, None).map(|_| ())
}

/// Why nothing is shown any more.
enum Left {
    /// The user has left.
    ByKey,
    /// The process is gone, which has been told.
    Removed,
}

fn show(app: &App, args: &Attach, patient: bool) -> Outcome<Left> {
    let target = &args.process;
    if !patient {
        // a script that has no terminal either learns first that there is no daemon
        drop(app.connect()?);
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Failure::new(format!("attach to `{target}`"), "there is no terminal to show it on")
            .hint(format!("`wezterm-parallel process logs -f {target}` prints what it writes")));
    }
    let mut mark = Mark::new();
    let mut ended: Option<LastRun> = None;
    loop {
        let run = match next_run(app, args, ended.as_ref(), patient, &mut mark)? {
            Next::Run(run) => run,
            Next::Leave(left) => return Ok(left),
        };
        let options = Options {
            detach_key: args.detach_key.bytes(),
            relay: args.relay,
            read_only: args.read_only,
            mark: mark.told(),
        };
        let outcome = match terminal::attach(&run.dir, &options) {
            // it ended between the daemon's answer and now: the daemon will know soon
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ended::Lost
            }
            other => other
                .failed_to(|| format!("attach to `{target}`"))
                .map_err(|f| f.hint(format!("`wezterm-parallel process list` says how `{target}` is")))?,
        };
        match outcome {
            Ended::Detached => {
                let hint = format!("detached; `wezterm-parallel process attach {target}` comes back");
                output::print(format_args!("{FAINT}{hint}{FAINT:#}\n"))?;
                return Ok(Left::ByKey);
            }
            Ended::Exited(record) => ended = Some(LastRun { id: run.id, exit: Some(record) }),
            Ended::Lost => ended = Some(LastRun { id: run.id, exit: None }),
        }
    }
}

/// A run that is over, as this program saw it.
struct LastRun {
    id: Option<String>,
    exit: Option<ExitRecord>,
}

/// A run that can be attached to.
struct Run {
    id: Option<String>,
    dir: PathBuf,
}

enum Next {
    Run(Run),
    Leave(Left),
}

/// Waits until there is a run that is not the one that just ended, and says meanwhile what is going on.
fn next_run(
    app: &App,
    args: &Attach,
    ended: Option<&LastRun>,
    patient: bool,
    mark: &mut Mark,
) -> Outcome<Next> {
    let target = &args.process;
    let mut told = Told::default();
    // before anything is said, as what is said is answered by keys
    let keys = SingleKeys::of_stdin()?;
    loop {
        // without a daemon there is nobody to ask; the first time that is an error like any other
        let impatient = !patient && ended.is_none() && told.is_empty();
        let missing = match app.connect_or_none() {
            Ok(Some(mut daemon)) => match follow(&mut daemon, args, ended, &mut told, mark, &keys) {
                Ok(next) => return Ok(next),
                Err(Unfollowed::Lost) => continue,
                Err(Unfollowed::Failed(failure)) => return Err(failure),
            },
            Ok(None) if impatient => return app.connect().map(|_| Next::Leave(Left::ByKey)),
            Err(failure) if impatient => return Err(failure),
            Ok(None) => no_daemon(target, ended),
            Err(failure) => no_answer(target, ended, &failure),
        };
        told.say(&missing)?;
        match keys.wait(None, Some(Duration::from_millis(LOOK_MS)))? {
            Woken::Key(key) if leaves(key, args) => return Ok(Next::Leave(Left::ByKey)),
            Woken::Key(_) | Woken::Daemon | Woken::Time => {}
        }
    }
}

enum Unfollowed {
    /// The daemon is gone.
    Lost,
    Failed(Failure),
}

impl From<Failure> for Unfollowed {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The same with a daemon at hand.
fn follow(
    daemon: &mut Connection,
    args: &Attach,
    ended: Option<&LastRun>,
    told: &mut Told,
    mark: &mut Mark,
    keys: &SingleKeys,
) -> Result<Next, Unfollowed> {
    let target = &args.process;
    let what = || format!("attach to `{target}`");
    let lost = |error: CallError| match error {
        CallError::Lost(_) => Unfollowed::Lost,
        error => Unfollowed::Failed(error.failure(what())),
    };
    let topics = vec!["process".to_owned(), "workspace".to_owned()];
    daemon.ask::<SubscribeCall>(&Subscribe { topics, from_seq: None }).map_err(lost)?;
    let mut first = ended.is_none();
    loop {
        let point = match daemon.ask::<AttachProcess>(&target.params()) {
            Ok(point) => point,
            Err(CallError::Refused(e)) if e.code == Code::NotFound && ended.is_some() => {
                output::print(format_args!("{target} was removed\n"))?;
                return Ok(Next::Leave(Left::Removed));
            }
            Err(error) => return Err(lost(error)),
        };
        mark.tell(&format!("{}/{}", point.process.workspace, point.process.name));
        if let Some(run) = attachable(&point, ended) {
            // whoever attaches looks; that the mark stays is no reason not to attach
            let _ = daemon.ask::<SeeProcess>(&target.params());
            return Ok(Next::Run(run));
        }
        let last = ended.and_then(|run| run.exit.as_ref());
        told.say(&story(&point.process, last, time::now(), args.read_only))?;
        // with `resume: lazy` a process starts when somebody comes to see it
        let lazy = first && point.process.state == State::Stopped && !args.read_only;
        first = false;
        match if lazy { Wish::Start } else { wait(daemon, &point, args, keys)? } {
            Wish::Leave => return Ok(Next::Leave(Left::ByKey)),
            Wish::Look => {}
            Wish::Again => {
                if let Some(run) = attachable(&point, None) {
                    return Ok(Next::Run(run));
                }
            }
            // a start may take long, and Ctrl-C ends that like any other program
            Wish::Start => {
                match keys.set_aside(|| daemon.call::<StartProcess>(&target.params(), Patience::Effect)) {
                    // it may have failed, or wait for its turn: how it stands is asked next
                    Ok(_) => {}
                    Err(CallError::Refused(e)) if e.code != Code::NotFound => {
                        told.say(&format!("{BAD}failed to start it:{BAD:#} {}\n", clean(&e.line())))?;
                    }
                    Err(error) => return Err(lost(error)),
                }
            }
        }
    }
}

/// The run to attach to, if there is one that is not the one that just ended.
fn attachable(point: &AttachPoint, ended: Option<&LastRun>) -> Option<Run> {
    let AttachPoint { process, run_dir, .. } = point;
    let lives = match process.state {
        State::Running | State::Stopping => true,
        State::Stopped
        | State::Starting
        | State::Backoff
        | State::CrashLoop
        | State::Exited
        | State::Failed => false,
    };
    let over = ended.is_some_and(|run| run.id == process.run_id);
    let dir = run_dir.as_ref().filter(|_| lives && !over)?;
    Some(Run { id: process.run_id.clone(), dir: dir.clone() })
}

/// What comes of waiting.
enum Wish {
    /// Something has changed.
    Look,
    /// The user wants it started.
    Start,
    /// The user wants to attach once more to what was lost.
    Again,
    /// The user has enough.
    Leave,
}

/// Waits for an event of this process or for a key.
fn wait(
    daemon: &mut Connection,
    point: &AttachPoint,
    args: &Attach,
    keys: &SingleKeys,
) -> Result<Wish, Unfollowed> {
    let process = &point.process;
    loop {
        // what has been read already does not make the connection readable
        loop {
            match daemon.next_event(Some(Instant::now())) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    let about = event.id.as_ref() == Some(&process.id)
                        || (event.workspace.as_ref(), event.process.as_ref())
                            == (Some(&process.workspace), Some(&process.name))
                        || event.kind == EventKind::WorkspaceRemoved;
                    if about && event.seq > point.seq {
                        return Ok(Wish::Look);
                    }
                }
                Err(CallError::Lost(_)) => return Err(Unfollowed::Lost),
                Err(error) => return Err(error.failure("follow the process").into()),
            }
        }
        match keys.wait(Some(daemon), None)? {
            Woken::Daemon | Woken::Time => {}
            Woken::Key(key) if leaves(key, args) => return Ok(Wish::Leave),
            Woken::Key(key) if ENTER.contains(&key) => match process.state {
                State::Running => return Ok(Wish::Again),
                State::Starting | State::Stopping => {}
                State::Stopped | State::Backoff | State::CrashLoop | State::Exited | State::Failed => {
                    if !args.read_only {
                        return Ok(Wish::Start);
                    }
                }
            },
            Woken::Key(_) => {}
        }
    }
}

/// What was said last, so that it is not said twice.
#[derive(Default)]
struct Told(String);

impl Told {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn say(&mut self, text: &str) -> Outcome {
        if self.0 == text {
            return Ok(());
        }
        self.0 = text.to_owned();
        output::print(text)
    }
}

/// How the run ended that was attached to, as part of a sentence.
fn how_it_ended(ended: Option<&LastRun>) -> String {
    ended.and_then(|run| run.exit.as_ref()).map(|e| format!(" ended: {}", e.text())).unwrap_or_default()
}

fn no_daemon(target: &Target, ended: Option<&LastRun>) -> String {
    let exit = how_it_ended(ended);
    if ended.is_none() {
        return format!(
            "{NOTABLE}▲{NOTABLE:#} {STRONG}{target}{STRONG:#} is waited for: there is no daemon\n{FAINT}`wezterm-parallel daemon` starts it, and this goes on; q leaves{FAINT:#}\n"
        );
    }
    format!(
        "{NOTABLE}▲{NOTABLE:#} {STRONG}{target}{STRONG:#}{exit}; the daemon is gone, so nobody starts it again\n{FAINT}`wezterm-parallel daemon` brings it back, and this goes on; q leaves{FAINT:#}\n"
    )
}

/// There is a daemon, and it does not take this program in: it is of another version, say.
fn no_answer(target: &Target, ended: Option<&LastRun>, failure: &Failure) -> String {
    let how = if ended.is_none() { " is waited for:".to_owned() } else { how_it_ended(ended) + ";" };
    let hint = failure.hint.as_deref().map(|hint| clean(hint) + "; ").unwrap_or_default();
    format!(
        "{NOTABLE}▲{NOTABLE:#} {STRONG}{target}{STRONG:#}{how} failed to {}: {}\n{FAINT}{hint}this goes on by itself; q leaves{FAINT:#}\n",
        clean(&failure.what),
        clean(&failure.why),
    )
}

/// Why there is nothing to attach to, and what the keys do. `last` is how the run ended that was
/// attached to, which is known here before the daemon knows it.
fn story(p: &ProcessView, last: Option<&ExitRecord>, now: i64, read_only: bool) -> String {
    let exit = last.or(p.last_exit.as_ref()).map(ExitRecord::text);
    let reason = p.state_reason.clone();
    let (style, glyph, mut what, enter) = match p.state {
        State::Running if last.is_some() => return String::new(),
        State::Running => {
            (NOTABLE, '▲', "runs, but the connection to it was lost".into(), Some("attaches again"))
        }
        State::Stopping => (NOTABLE, '▲', "is being stopped".into(), None),
        State::Starting => (NOTABLE, '▲', told("is starting", reason), None),
        State::Backoff => (BAD, '✗', told("ended", reason.or(exit)), Some("starts it at once")),
        State::CrashLoop => {
            (BAD, '✗', told("failed too often and is left alone", reason.or(exit)), Some("starts it again"))
        }
        State::Failed => (BAD, '✗', told("failed", reason.or(exit)), Some("starts it again")),
        State::Exited => (FAINT, '○', told("has ended", exit.or(reason)), Some("starts it again")),
        State::Stopped => (FAINT, '○', told("is stopped", reason), Some("starts it")),
    };
    if let (State::Backoff, Some(at)) = (p.state, p.next_start_at) {
        what += &format!("; it starts again in {}", time::span((at - now + 999).max(0)));
    }
    let keys = match enter.filter(|_| !read_only || p.state == State::Running) {
        Some(does) => format!("Enter {does}, q leaves"),
        None => "q leaves".into(),
    };
    format!(
        "{style}{glyph}{style:#} {STRONG}{}/{}{STRONG:#} {}\n{FAINT}{keys}{FAINT:#}\n",
        clean(&p.workspace),
        clean(&p.name),
        clean(&what),
    )
}

fn told(what: &str, why: Option<String>) -> String {
    why.map_or_else(|| what.to_owned(), |why| format!("{what}: {why}"))
}

/// Whether a key leaves: the one that detaches does so here too.
fn leaves(key: u8, args: &Attach) -> bool {
    LEAVE.contains(&key) || args.detach_key.bytes() == [key]
}

enum Woken {
    Key(u8),
    Daemon,
    Time,
}

/// The terminal gives each key as it is pressed and shows none; as before when this is dropped.
struct SingleKeys {
    terminal: OwnedFd,
    before: Termios,
}

impl SingleKeys {
    fn of_stdin() -> Outcome<Self> {
        let enter = || Self::enter(io::stdin().as_fd().try_clone_to_owned()?);
        enter().failed_to(|| "read the keyboard".to_owned())
    }

    fn enter(terminal: OwnedFd) -> io::Result<Self> {
        let keys = Self { before: tcgetattr(&terminal)?, terminal };
        keys.set()?;
        Ok(keys)
    }

    fn set(&self) -> io::Result<()> {
        let mut single = self.before.clone();
        // Ctrl-C as well: it leaves like q, with the terminal as it was. And Ctrl-\, the key that detaches,
        // must not end this with a core dump.
        single.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        // WezTerm types Enter and this key into a pane that is closed, unless there is none; here Enter
        // would start what had failed
        single.special_codes[SpecialCodeIndex::VEOF] = 0;
        single.special_codes[SpecialCodeIndex::VMIN] = 1;
        single.special_codes[SpecialCodeIndex::VTIME] = 0;
        Ok(tcsetattr(&self.terminal, OptionalActions::Now, &single)?)
    }

    fn put_back(&self) {
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }

    /// Does something with the terminal as it was before.
    fn set_aside<T>(&self, does: impl FnOnce() -> T) -> T {
        self.put_back();
        let result = does();
        let _ = self.set();
        result
    }

    /// Waits for a key, for the daemon to say something, or for `patience` to end.
    fn wait(&self, daemon: Option<&Connection>, patience: Option<Duration>) -> Outcome<Woken> {
        let timeout = patience.map(|d| Timespec {
            tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: d.subsec_nanos().into(),
        });
        loop {
            let mut fds = vec![PollFd::new(&self.terminal, PollFlags::IN)];
            fds.extend(daemon.map(|d| PollFd::from_borrowed_fd(d.as_fd(), PollFlags::IN)));
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(Woken::Time),
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(e) => return Err(Failure::new("read the keyboard", e)),
            }
            if !fds[0].revents().is_empty() {
                // unbuffered: what follows belongs to whatever is attached to next
                let mut key = [0];
                return match rustix::io::read(&self.terminal, &mut key) {
                    Ok(0) => Ok(Woken::Key(LEAVE[0])),
                    Ok(_) => Ok(Woken::Key(key[0])),
                    Err(rustix::io::Errno::INTR) => continue,
                    // the terminal was closed
                    Err(_) => Ok(Woken::Key(LEAVE[0])),
                };
            }
            return Ok(Woken::Daemon);
        }
    }
}

impl Drop for SingleKeys {
    fn drop(&mut self) {
        self.put_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::{NOW, exit, process};

    #[test]
    fn a_pane_that_is_closed_while_a_dead_process_is_shown_gets_no_enter_from_wezterm() {
        let terminal = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY)
            .expect("a terminal");
        let end_of_file =
            || tcgetattr(&terminal).expect("it has modes").special_codes[SpecialCodeIndex::VEOF];
        let before = end_of_file();
        assert_ne!(before, 0);
        let keys =
            SingleKeys::enter(terminal.try_clone().expect("another handle")).expect("it is a terminal");
        assert_eq!(end_of_file(), 0);
        drop(keys);
        assert_eq!(end_of_file(), before);
    }

    #[test]
    fn a_dead_process_says_why_and_what_the_keys_do() {
        let mut text = String::new();
        for state in [
            State::Running,
            State::Starting,
            State::Backoff,
            State::CrashLoop,
            State::Failed,
            State::Exited,
            State::Stopped,
            State::Stopping,
        ] {
            let mut p = process("api", "lead", state);
            p.last_exit = Some(exit(1));
            p.next_start_at = Some(NOW + 1_500);
            text += &story(&p, None, NOW, false);
        }
        let p = process("api", "lead", State::Failed);
        text += &story(&p, Some(&exit(2)), NOW, true);
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string());
    }

    #[test]
    fn a_daemon_that_does_not_answer_is_told_with_what_to_do_about_it() {
        let target = Target::new("api", "lead");
        let failure = Failure::new("talk to the daemon", "it is older").hint("update it");
        let text = |ended| anstream::adapter::strip_str(&no_answer(&target, ended, &failure)).to_string();
        let rest = "failed to talk to the daemon: it is older\nupdate it; this goes on by itself; q leaves\n";
        assert_eq!(text(None), format!("▲ api/lead is waited for: {rest}"));
        let ended = LastRun { id: None, exit: Some(exit(1)) };
        assert_eq!(text(Some(&ended)), format!("▲ api/lead ended: exit code 1; {rest}"));
    }

    #[test]
    fn the_end_of_a_run_is_not_told_before_the_daemon_knows_what_follows() {
        assert_eq!(story(&process("api", "lead", State::Running), Some(&exit(1)), NOW, false), "");
    }

    #[test]
    fn only_a_run_that_lives_and_is_not_over_is_attached_to() {
        let point = |state, run: &str| {
            let mut process = process("api", "lead", state);
            process.run_id = Some(run.into());
            AttachPoint { process, run_dir: Some(PathBuf::from("/runs").join(run)), seq: 1 }
        };
        let over = LastRun { id: Some("one".into()), exit: Some(exit(1)) };
        let dir = |point, ended| attachable(&point, ended).map(|run| run.dir);
        assert_eq!(dir(point(State::Running, "one"), None), Some("/runs/one".into()));
        assert_eq!(dir(point(State::Running, "one"), Some(&over)), None);
        assert_eq!(dir(point(State::Running, "two"), Some(&over)), Some("/runs/two".into()));
        assert_eq!(dir(point(State::Backoff, "two"), Some(&over)), None);
        assert_eq!(dir(point(State::Failed, "one"), None), None);
    }
}
