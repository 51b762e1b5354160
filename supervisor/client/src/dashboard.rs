//! `dashboard`: all processes on one screen, live, with keys to act on them.
//!
//! [`model`] is all that is known, [`update`] takes in what happens and says what is wanted, [`view`] draws:
//! all three are pure. This file is the loop around them. It waits for the terminal, the daemon and signals
//! together, and for nothing else while nothing is under way. What it costs at rest: one wake-up a minute for
//! the spans of time on the screen (one a second while one of them is below a minute and the terminal has the
//! focus), and a look at the processes on the screen every two seconds while the terminal has the focus.

mod answer;
mod ask;
mod input;
mod keys;
mod layout;
mod line;
mod link;
mod load;
mod model;
mod tasks;
mod terminal;
mod update;
mod view;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Write as _},
    os::fd::AsFd,
    process::Command,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    stdio::stdin,
};

use self::{
    ask::{Ask, Job, Msg, Verb, Which},
    input::Decoder,
    link::Link,
    load::Sampler,
    model::{Look, Model, Tab},
    terminal::Terminal,
    update::update,
};
use crate::{
    app::App,
    arguments::{Attach, Dashboard},
    attach,
    failure::{Context as _, Failure, Outcome},
    signals::{self, Signals},
    target::Target,
    time,
};

/// Bytes read from the terminal at once.
const READ_BYTES: usize = 4 << 10;
/// How long an Escape may be the beginning of a key that is sent as several bytes.
const ESCAPE_MS: u64 = 25;
/// How often CPU and memory are looked at, while somebody looks at them.
const SAMPLE_MS: u64 = 2_000;

/// `dashboard`.
pub fn run(app: &App, args: &Dashboard) -> Outcome {
    let lookup = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let in_wezterm = in_wezterm(lookup);
    let terminal = Terminal::enter(in_wezterm)?;
    let look = Look { ascii: args.ascii || !utf8(lookup), plain: lookup("NO_COLOR").is_some() };
    let mut model = Model::new(look, terminal::size(), time::now());
    model.home = app.home.display().to_string();
    model.in_wezterm = in_wezterm;
    model.table.grouped = args.grouped;
    if args.tasks {
        model.tab = Tab::Tasks;
    }
    let config = app.config().unwrap_or_else(|_| app.places.config.clone());
    let link = Link::new(app.places.clone(), config);
    let mut dashboard = Running {
        app,
        model,
        link,
        terminal: Some(terminal),
        decoder: Decoder::default(),
        sampler: Sampler::default(),
        sampled: None,
        escape: None,
        stale: true,
    };
    let ended = dashboard.run();
    // before anything is said about it
    drop(dashboard.terminal.take());
    match ended? {
        End::Quit => Ok(()),
        End::Signal(signal) => {
            signals::pass_on(signal);
            Ok(())
        }
    }
}

/// Whether this is a pane of WezTerm, straight, without a multiplexer between.
fn in_wezterm(lookup: impl Fn(&str) -> Option<String>) -> bool {
    let wezterm = lookup("WEZTERM_PANE").is_some() || lookup("TERM_PROGRAM").as_deref() == Some("WezTerm");
    wezterm && lookup("TMUX").is_none() && lookup("STY").is_none()
}

/// Whether the terminal takes more than ASCII, by the locale: the first of these that is set decides.
fn utf8(lookup: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(lookup).unwrap_or_default();
    let locale = locale.to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

enum End {
    Quit,
    Signal(i32),
}

struct Running<'a> {
    app: &'a App,
    model: Model,
    link: Link,
    /// Not ours while somebody is attached, or this program is halted.
    terminal: Option<Terminal>,
    decoder: Decoder,
    sampler: Sampler,
    sampled: Option<Instant>,
    /// Until when the rest of a key is waited for.
    escape: Option<Instant>,
    /// What is on the screen is not what the model is.
    stale: bool,
}

impl Running<'_> {
    fn run(&mut self) -> Outcome<End> {
        let what = || "show the dashboard".to_owned();
        loop {
            self.sample();
            self.draw().map_err(|e| Failure::new(what(), e))?;
            let woken = self.wait().map_err(|e| Failure::new(what(), e))?;
            self.take_in(Msg::Now(time::now()), false)?;
            if let Some(end) = self.handle(&woken)? {
                return Ok(end);
            }
        }
    }

    fn handle(&mut self, woken: &Woken) -> Outcome<Option<End>> {
        let came = self.terminal.as_ref().map(|t| t.signals().take()).unwrap_or_default();
        if let Some(signal) = signals::ending(&came) {
            return Ok(Some(End::Signal(signal)));
        }
        if came.contains(&libc::SIGTSTP) {
            self.suspend()?;
        } else if came.contains(&libc::SIGCONT) {
            // whoever halted us may have changed the terminal
            self.enter()?;
        } else if came.contains(&libc::SIGWINCH) {
            self.resize()?;
        }
        if woken.keyboard {
            let mut bytes = [0; READ_BYTES];
            match rustix::io::read(stdin(), &mut bytes) {
                // the window is gone
                Ok(0) => return Ok(Some(End::Quit)),
                Ok(n) => {
                    let found = self.decoder.push(&bytes[..n]);
                    if self.take_keys(found)? {
                        return Ok(Some(End::Quit));
                    }
                }
                Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
                Err(_) => return Ok(Some(End::Quit)),
            }
            self.escape = self.decoder.waits().then(|| Instant::now() + Duration::from_millis(ESCAPE_MS));
        } else if self.escape.is_some_and(|at| at <= Instant::now()) {
            self.escape = None;
            let found = self.decoder.flush();
            if self.take_keys(found)? {
                return Ok(Some(End::Quit));
            }
        }
        loop {
            let msgs = self.link.turn();
            let taken = msgs.len();
            for msg in msgs {
                self.take_in(msg, true)?;
            }
            if !self.link.has_more(taken) {
                return Ok(None);
            }
            // keys come first, also in a flood of events
            if self.wait_none()? {
                return Ok(None);
            }
        }
    }

    fn take_keys(&mut self, found: Vec<input::Input>) -> Outcome<bool> {
        for input in found {
            if self.take_in(Msg::Input(input), true)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has the model take in a message, and does what is wanted; true if that is the end.
    fn take_in(&mut self, msg: Msg, shown: bool) -> Outcome<bool> {
        self.stale |= shown;
        let mut open = update(&mut self.model, msg);
        while !open.is_empty() {
            let mut msgs = Vec::new();
            for ask in std::mem::take(&mut open) {
                match ask {
                    Ask::Fetch(fetch) => self.link.fetch(fetch),
                    Ask::Do(deed) => self.link.act(deed),
                    Ask::Show(which) => self.link.show(which),
                    Ask::Attach { which, read_only } => msgs.extend(self.attach(&which, read_only)?),
                    Ask::Log(which) => self.link.log(which),
                    Ask::Run(verb, job) => msgs.extend(self.run_verb(verb, &job)?),
                    Ask::Suspend => self.suspend()?,
                    Ask::Quit => return Ok(true),
                }
            }
            msgs.extend(self.link.send());
            for msg in msgs {
                self.stale = true;
                open.extend(update(&mut self.model, msg));
            }
        }
        Ok(false)
    }

    fn draw(&mut self) -> io::Result<()> {
        let Some(terminal) = self.terminal.as_mut().filter(|_| self.stale) else { return Ok(()) };
        self.stale = false;
        let model = &self.model;
        terminal.title(&view::title(model))?;
        terminal.draw(|frame| view::draw(frame, model))
    }

    /// Waits for a key, the daemon, a signal, or until something is due.
    fn wait(&mut self) -> io::Result<Woken> {
        let now = Instant::now();
        let clock = self.model.changes_in().map(|ms| now + Duration::from_millis(ms));
        let sample = (!self.model.measured().is_empty())
            .then(|| self.sampled.map_or(now, |at| at + Duration::from_millis(SAMPLE_MS)));
        let due = [clock, sample, self.link.deadline(), self.escape].into_iter().flatten().min();
        let timeout = due.map(|at| {
            let left = at.saturating_duration_since(now);
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        let Some(terminal) = &self.terminal else { return Ok(Woken::default()) };
        let mut fds = vec![
            PollFd::from_borrowed_fd(stdin(), PollFlags::IN),
            PollFd::from_borrowed_fd(terminal.signals().as_fd(), PollFlags::IN),
        ];
        fds.extend(self.link.fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let keyboard = !fds[0].revents().is_empty();
        // spans of time on the screen are older now
        self.stale |= clock.is_some_and(|at| at <= Instant::now());
        Ok(Woken { keyboard })
    }

    /// Whether there is a key, without waiting.
    fn wait_none(&self) -> Outcome<bool> {
        let mut fds = [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)];
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(poll(&mut fds, Some(&none)).is_ok_and(|ready| ready > 0))
    }

    fn sample(&mut self) {
        if self.sampled.is_some_and(|at| at.elapsed() < Duration::from_millis(SAMPLE_MS)) {
            return;
        }
        let wanted = self.model.measured();
        if !wanted.is_empty() {
            let loads = self.sampler.look(wanted);
            self.sampled = Some(Instant::now());
            self.stale = true;
            update(&mut self.model, Msg::Loads(loads));
        }
    }

    fn resize(&mut self) -> Outcome {
        if let Some(terminal) = &mut self.terminal {
            let (cols, rows) =
                terminal.resize().map_err(|e| Failure::new("draw at the new size of the terminal", e))?;
            self.take_in(Msg::Resize(cols, rows), true)?;
        }
        Ok(())
    }

    /// Takes the terminal, anew if it is ours already.
    fn enter(&mut self) -> Outcome {
        self.terminal = None;
        self.terminal = Some(Terminal::enter(self.model.in_wezterm)?);
        self.resize()
    }

    /// Gives the terminal back to the shell until it goes on with us.
    fn suspend(&mut self) -> Outcome {
        self.terminal = None;
        signals::pass_on(libc::SIGTSTP);
        self.link.reset();
        self.enter()
    }

    fn attach(&mut self, which: &Which, read_only: bool) -> Outcome<Option<Msg>> {
        let Some(process) = &which.process else { return Ok(None) };
        self.terminal = None;
        self.link.reset();
        let target = Target::new(&which.workspace, process);
        let attached = attach::run(self.app, &Attach { read_only, ..Attach::to(target) });
        self.enter()?;
        let said = attached.err().filter(|failure| !failure.unread).map(|failure| failure.to_string());
        Ok(said.map(Msg::Failed))
    }

    /// Runs a command of this program in the terminal, and waits until somebody has read what it said.
    fn run_verb(&mut self, verb: Verb, job: &Job) -> Outcome<Option<Msg>> {
        let what = || format!("run `task {}`", verb.name());
        self.terminal = None;
        self.link.reset();
        let caught = Signals::catch(&[]).failed_to(what)?;
        let ran = std::env::current_exe().and_then(|exe| {
            let mut command = Command::new(exe);
            command.args(["task", verb.name(), &job.id]);
            if let Ok(variables) = self.app.variables() {
                command.envs(variables);
            }
            command.status()
        });
        // Ctrl-C and Ctrl-\ were for the command, which is in the foreground too
        let interrupting = [libc::SIGINT, libc::SIGQUIT];
        let came: Vec<i32> = caught.take().into_iter().filter(|s| !interrupting.contains(s)).collect();
        if let Some(signal) = signals::ending(&came) {
            signals::pass_on(signal);
        }
        let opened = verb == Verb::Open && ran.as_ref().is_ok_and(std::process::ExitStatus::success);
        if ran.is_ok() && !opened {
            print!("\n[Enter: back to the dashboard] ");
            let _ = io::stdout().flush();
            // whatever it is: a line, the end, Ctrl-C
            let _ = rustix::io::read(stdin(), &mut [0; READ_BYTES]);
        }
        drop(caught);
        self.enter()?;
        Ok(ran.err().map(|e| Msg::Failed(format!("failed to {}: {e}", what()))))
    }
}

/// What can be read.
#[derive(Default)]
struct Woken {
    keyboard: bool,
}
