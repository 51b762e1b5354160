//! What an attempt writes, from the files of its run: `task logs`, `task attach`. Also while the daemon is
//! restarted, as far as it has been told where they lie.

use std::{
    io::{self, IsTerminal as _, Write},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use wezterm_parallel_schemas::{
    error::Code,
    event::Subscribe,
    method::{ShowTask, SubscribeCall},
    task::{TaskDetail, TaskKind, TaskState, TaskView},
};

use super::{brought, lines::Lines, show, target};
use crate::{
    app::App,
    arguments::TaskLogs,
    connection::{CallContext, CallError, readable},
    failure::{Context, Failure, Outcome},
    logs::{RunLog, Sink, watch_files},
    output::{self, Passing},
    signals::{self, Signals},
    time,
};

/// How often the line of an attached task is drawn anew while nothing happens: it shows the time.
const DRAW: Duration = Duration::from_secs(1);

/// `task logs`.
pub fn logs(app: &App, args: &TaskLogs) -> Outcome {
    let what = || format!("read the log of {}", args.task);
    if !args.follow {
        let detail = app.connect()?.ask::<ShowTask>(&target(&args.task)).to(what)?;
        let dir = detail.run_dir.ok_or_else(|| {
            Failure::new(what(), format!("it has not run yet: it is {}", detail.task.state)).hint(format!(
                "`wezterm-parallel task logs -f {}` waits for it",
                show::short(&detail.task.id)
            ))
        })?;
        if !dir.is_dir() {
            let why = "what it has written is no longer kept, or it never began";
            return Err(Failure::new(what(), why));
        }
        let mut shown = Shown::new(detail.task.kind, args.raw);
        return RunLog::new(dir)
            .copy_to(&mut shown)
            .and_then(|()| shown.end())
            .map_err(|e| failed(&e, what()));
    }
    let (sender, woken) = mpsc::channel();
    let first = watch_task(app, &args.task, sender.clone(), what)?;
    let mut followed = Followed::new(first.task.kind, args.raw, sender, what)?;
    let end = follow_attempt(&woken, &mut followed, first, what)?;
    output::aside(story(&end, time::now()));
    Ok(())
}

/// Follows an attempt until it is over, and gives how the task stands then.
fn follow_attempt(
    woken: &Receiver<Woken>,
    followed: &mut Followed,
    first: TaskDetail,
    what: impl Fn() -> String + Copy,
) -> Outcome<TaskView> {
    let mut task = first.task;
    let mut run = first.run_dir;
    // what has begun already, running or not, is what is followed; else the first attempt that will be
    let mut begun = run.is_some();
    loop {
        followed.turn(run.as_deref()).map_err(|e| failed(&e, what()))?;
        let over = task.state.is_end() || begun && task.state != TaskState::Running;
        if over {
            followed.end().map_err(|e| failed(&e, what()))?;
            return Ok(task);
        }
        match woken.recv().expect("its senders live as long as this") {
            Woken::Written => {}
            Woken::Task(Some(detail)) => {
                let another = begun && detail.run_dir != run;
                task = detail.task;
                if another {
                    // it was over, and begins again already
                    followed.end().map_err(|e| failed(&e, what()))?;
                    return Ok(task);
                }
                run = detail.run_dir;
                begun = run.is_some();
            }
            Woken::Task(None) => return Err(Failure::new(what(), "it has been forgotten")),
            Woken::NoDaemon => return Err(no_daemon(what())),
            Woken::Signal(_) => {}
        }
    }
}

/// `task attach`. The exit code is that of the task.
pub fn attach(app: &App, name: &str) -> Outcome<i32> {
    let what = || format!("follow the task {name}");
    let (sender, woken) = mpsc::channel();
    let first = watch_task(app, name, sender.clone(), what)?;
    watch_signals(sender.clone()).failed_to(what)?;
    let mut followed = Followed::new(first.task.kind, false, sender, what)?;
    let mut detail = first;
    let mut line = Passing::new();
    loop {
        line.clear();
        if followed.begins_another(detail.run_dir.as_deref()) {
            followed.end().map_err(|e| failed(&e, what()))?;
            output::progress(format_args!("attempt {}", detail.task.attempt));
        }
        followed.turn(detail.run_dir.as_deref()).map_err(|e| failed(&e, what()))?;
        if detail.task.state.is_end() {
            followed.end().map_err(|e| failed(&e, what()))?;
            output::aside(story(&detail.task, time::now()));
            return Ok(brought::exit_code(&detail));
        }
        if followed.at_line_start() {
            line.show(&progress(&detail.task, time::now()));
        }
        let wait = if line.can_show() {
            woken.recv_timeout(DRAW)
        } else {
            Ok(woken.recv().expect("its senders live as long as this"))
        };
        match wait {
            Ok(Woken::Written) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Woken::Task(Some(now))) => detail = *now,
            Ok(Woken::Task(None)) => return Err(Failure::new(what(), "it has been forgotten")),
            Ok(Woken::NoDaemon) => return Err(no_daemon(what())),
            Ok(Woken::Signal(signal)) => {
                line.clear();
                let short = show::short(&detail.task.id);
                output::note(format_args!("it goes on; `wezterm-parallel task attach {short}` comes back"));
                return Ok(brought::CODE_OF_SIGNAL + signal);
            }
            Err(RecvTimeoutError::Disconnected) => unreachable!("its senders live as long as this"),
        }
    }
}

/// How an attached task stands, on one line.
fn progress(task: &TaskView, now: i64) -> String {
    let mut parts = vec![task.state.name().to_owned()];
    if task.state == TaskState::Running {
        parts.extend(task.started_at.map(|at| time::span(now - at)));
        if let Some(progress) = task.progress.as_ref().filter(|p| p.turns > 0) {
            parts.push(crate::view::count(progress.turns, "turn"));
        }
        parts.extend(task.cost_usd.map(crate::limit::cost));
    }
    let note = show::note(task, now);
    if task.reason.is_some() || task.held_until.is_some() || task.state == TaskState::Running {
        parts.push(note);
    }
    parts.join(" · ")
}

/// What is said when nothing more comes.
fn story(task: &TaskView, now: i64) -> String {
    let short = show::short(&task.id);
    match task.state {
        TaskState::Running => {
            format!("attempt {} has begun: `wezterm-parallel task logs -f {short}`", task.attempt)
        }
        TaskState::Queued | TaskState::Waiting | TaskState::Paused => {
            format!(
                "{} is {}: {}",
                output::clean(&task.name),
                task.state,
                output::clean(&show::note(task, now))
            )
        }
        TaskState::Done | TaskState::Failed | TaskState::Canceled | TaskState::Skipped => {
            show::end_line(task).trim_end().to_owned()
        }
    }
}

fn no_daemon(what: String) -> Failure {
    Failure::new(what, "the daemon has ended")
        .hint("start it with `wezterm-parallel daemon`, then follow again")
}

fn failed(error: &io::Error, what: String) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::output(error),
        _ => Failure::new(what, error),
    }
}

/// What a follower is woken by.
enum Woken {
    /// Something was written.
    Written,
    /// How the task stands now; none if it was forgotten.
    Task(Option<Box<TaskDetail>>),
    /// The daemon is gone.
    NoDaemon,
    /// Somebody has enough.
    Signal(i32),
}

/// Has a thread report every change of the task; gives how it stands now.
fn watch_task(
    app: &App,
    name: &str,
    sender: Sender<Woken>,
    what: impl Fn() -> String + Copy,
) -> Outcome<TaskDetail> {
    let mut daemon = app.connect()?;
    let topics = vec!["task".to_owned(), "group".to_owned()];
    daemon.ask::<SubscribeCall>(&Subscribe { topics, from_seq: None }).to(what)?;
    let first = daemon.ask::<ShowTask>(&target(name)).to(what)?;
    let id = first.task.id.clone();
    thread::spawn(move || {
        loop {
            let event = match daemon.next_event(None) {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(_) => return sender.send(Woken::NoDaemon),
            };
            if event.task.as_ref().is_some_and(|of| *of != id) {
                continue;
            }
            let task = match daemon.ask::<ShowTask>(&target(&id)) {
                Ok(detail) => Some(Box::new(detail)),
                Err(CallError::Refused(e)) if e.code == Code::NotFound => None,
                Err(_) => return sender.send(Woken::NoDaemon),
            };
            sender.send(Woken::Task(task))?;
        }
    });
    Ok(first)
}

/// Has a thread report a signal that would end the program. Only the first: a second one ends it.
fn watch_signals(sender: Sender<Woken>) -> io::Result<()> {
    let caught = Signals::catch(&[])?;
    thread::spawn(move || {
        let _ = readable(caught.as_fd(), None);
        if let Some(signal) = signals::ending(&caught.take()) {
            // who followed has gone
            let _ = sender.send(Woken::Signal(signal));
        }
    });
    Ok(())
}

/// The log of one run after the other, shown as it is written.
struct Followed {
    log: Option<RunLog>,
    shown: Shown,
    watcher: RecommendedWatcher,
    watched: Option<PathBuf>,
}

impl Followed {
    fn new(kind: TaskKind, raw: bool, sender: Sender<Woken>, what: impl FnOnce() -> String) -> Outcome<Self> {
        let written = move || {
            // who followed has gone
            let _ = sender.send(Woken::Written);
        };
        let watcher = watch_files(written).failed_to(what)?;
        Ok(Self { log: None, shown: Shown::new(kind, raw), watcher, watched: None })
    }

    fn begins_another(&self, dir: Option<&Path>) -> bool {
        self.log.as_ref().is_some_and(|log| Some(log.dir.as_path()) != dir)
    }

    /// Shows what there is of the run in this directory.
    fn turn(&mut self, dir: Option<&Path>) -> io::Result<()> {
        let Some(dir) = dir else { return Ok(()) };
        if self.begins_another(Some(dir)) {
            self.end()?;
        }
        if self.log.is_none() {
            // until its keeper has made it, the directory around it tells of that
            let around = dir.parent().unwrap_or(dir);
            self.watch(if dir.is_dir() { dir } else { around });
            // looked at once more: it may have come in between
            if dir.is_dir() {
                self.watch(dir);
                self.log = Some(RunLog::new(dir.to_owned()));
            }
        }
        match &mut self.log {
            Some(log) => log.copy_to(&mut self.shown),
            None => Ok(()),
        }
    }

    fn watch(&mut self, dir: &Path) {
        if self.watched.as_deref() == Some(dir) {
            return;
        }
        if let Some(old) = self.watched.take() {
            let _ = self.watcher.unwatch(&old);
        }
        // one that has just gone is no more to be watched
        if self.watcher.watch(dir, RecursiveMode::NonRecursive).is_ok() {
            self.watched = Some(dir.to_owned());
        }
    }

    /// Shows the last words of a run that is over.
    fn end(&mut self) -> io::Result<()> {
        if let Some(mut log) = self.log.take() {
            log.copy_to(&mut self.shown)?;
        }
        self.shown.end()
    }

    fn at_line_start(&self) -> bool {
        self.shown.at_line_start()
    }
}

/// Output as it is shown: Claude's as texts, others' as they are.
enum Shown {
    Claude(Lines<LineStart<anstream::Stdout>>),
    Plain(Sink<LineStart<io::Stdout>>),
}

impl Shown {
    fn new(kind: TaskKind, raw: bool) -> Self {
        match kind {
            TaskKind::Prompt if !raw => Self::Claude(Lines::new(LineStart::new(anstream::stdout()))),
            TaskKind::Prompt | TaskKind::Command => Self::Plain(Sink::new(LineStart::new(io::stdout()), raw)),
        }
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Claude(lines) => lines.end(),
            Self::Plain(sink) => {
                sink.end()?;
                // what follows on a terminal begins a line of its own
                if !sink.out().yes && io::stdout().is_terminal() {
                    writeln!(io::stdout())?;
                }
                Ok(())
            }
        }
    }

    fn at_line_start(&self) -> bool {
        match self {
            // it writes whole lines
            Self::Claude(_) => true,
            Self::Plain(sink) => sink.out().yes,
        }
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Claude(lines) => lines.write(bytes),
            Self::Plain(sink) => sink.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Claude(lines) => lines.flush(),
            Self::Plain(sink) => sink.flush(),
        }
    }
}

/// Knows whether what was written last was the end of a line.
struct LineStart<W> {
    out: W,
    yes: bool,
}

impl<W> LineStart<W> {
    fn new(out: W) -> Self {
        Self { out, yes: true }
    }
}

impl<W: Write> Write for LineStart<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        if let Some(last) = bytes[..n].last() {
            self.yes = *last == b'\n';
        }
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::task::TaskProgress;

    use super::{super::show::tests::task, *};
    use crate::view::tests::NOW;

    #[test]
    fn an_attached_task_says_on_a_line_how_it_stands() {
        let running = TaskView {
            started_at: Some(NOW - 65_000),
            cost_usd: Some(0.5),
            progress: Some(TaskProgress {
                doing: Some("Edit: a.rs".into()),
                turns: 1,
                ..TaskProgress::default()
            }),
            ..task("x", TaskState::Running)
        };
        assert_eq!(progress(&running, NOW), "running · 1m · 1 turn · $0.50 · Edit: a.rs");
        let held = TaskView {
            reason: Some("exit code 1".into()),
            held_until: Some(NOW + 29_500),
            ..task("x", TaskState::Waiting)
        };
        assert_eq!(progress(&held, NOW), "waiting · exit code 1; again in 30s");
        assert_eq!(progress(&task("x", TaskState::Queued), NOW), "queued");
    }

    #[test]
    fn an_attempt_that_is_over_ends_what_is_followed_and_one_that_has_not_begun_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let detail = |state, run: Option<&str>| {
            let mut detail = show::tests::detail();
            (detail.task.state, detail.task.kind) = (state, TaskKind::Command);
            detail.run_dir = run.map(|name| dir.path().join(name));
            detail
        };
        let (sender, woken) = mpsc::channel();
        let what = || "follow it".to_owned();
        let follow = |first, then: Vec<Woken>| {
            let mut followed =
                Followed::new(TaskKind::Command, true, sender.clone(), what).expect("a watcher");
            for word in then {
                sender.send(word).expect("it listens");
            }
            follow_attempt(&woken, &mut followed, first, what).map(|task| task.state)
        };
        let told = |detail| Woken::Task(Some(Box::new(detail)));
        assert_eq!(follow(detail(TaskState::Done, Some("x.1")), vec![]), Ok(TaskState::Done));
        assert_eq!(follow(detail(TaskState::Canceled, None), vec![]), Ok(TaskState::Canceled));
        let later = vec![
            Woken::Written,
            told(detail(TaskState::Running, Some("x.1"))),
            told(detail(TaskState::Waiting, Some("x.1"))),
        ];
        assert_eq!(follow(detail(TaskState::Queued, None), later), Ok(TaskState::Waiting));
        let again = vec![told(detail(TaskState::Running, Some("x.2")))];
        assert_eq!(follow(detail(TaskState::Running, Some("x.1")), again), Ok(TaskState::Running));
        assert!(follow(detail(TaskState::Running, Some("x.1")), vec![Woken::NoDaemon]).is_err());
    }
}
