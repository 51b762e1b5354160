//! Does: one actix System on one thread, with a socket in front and the keepers behind.
//!
//! The way of a call: [`listener`] → [`connection`] → [`router`] → [`actors`] → the core decides →
//! [`effects`]; and back: effects → actors → [`board`] → connection.

mod listener;

mod caller;
mod connection;

mod router;

mod actors;
mod guard;

mod effects;

mod board;
mod clock;
mod layouts;
mod news;
mod sessions;
mod shared;

use std::{
    cell::{Cell, OnceCell, RefCell},
    collections::{HashMap, HashSet},
    fs::File,
    io::Write as _,
    os::fd::FromRawFd as _,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actors::{
    config::ConfigActor,
    gate::GateActor,
    gui::GuiActor,
    inbox::InboxActor,
    lease::LeaseActor,
    limit::LimitActor,
    on::OnActor,
    registry::RegistryActor,
    supervisor::{Adopt, Stored, SupervisorActor},
    task::TasksActor,
};
use effects::config_file::Sources;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tracing_subscriber::EnvFilter;
use wezterm_parallel_config::ConfigError;
use wezterm_parallel_core::task::attempt_of;
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::{
    environment,
    event::{Event, EventKind},
    places::{DaemonInfo, Places, READY_FD_VARIABLE},
};
use wezterm_parallel_store::{Change, ConfigRow, EventFilter, Options, PromptRow, Store, Take};

use crate::{board::Board, clock::Clock, effects::config_file::Read, router::Router, shared::Shared};

/// Level of the log, as `tracing` writes them: `warn`, `debug`, `wezterm_parallel_daemon=trace`.
const LOG_VARIABLE: &str = "WEZTERM_PARALLEL_LOG";
/// Adds this many milliseconds to each commit, as a slow disk would; for measuring.
const FSYNC_DELAY_VARIABLE: &str = "WEZTERM_PARALLEL_TEST_FSYNC_DELAY_MS";
/// Stack of the threads that wait for the disk: they read small files.
const BLOCKING_STACK_BYTES: usize = 512 << 10;
/// Threads that wait for the disk at the same time.
const BLOCKING_THREADS_MAX: usize = 8;
/// They end after this long without work, so that an idle daemon has none.
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(2);

/// How long a run that the store knows nothing of has to end: the grace of its keeper and some more.
const ORPHAN_END: Duration = Duration::from_secs(10);

/// Exit code of a daemon that could not begin.
const EXIT_FAILED: i32 = 1;

/// Serves until it is told to end. Blocks. Whoever started it hears `ready`, or what is wrong, on the
/// descriptor in [`READY_FD_VARIABLE`].
pub fn run(places: Places) -> i32 {
    let ready = Ready::take();
    start_log();
    // everything we make is for us alone
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    match serve(places, &ready) {
        Ok(()) => 0,
        Err(message) => {
            tracing::error!("the daemon did not start: {message}");
            ready.say(&format!("{message}\n"));
            EXIT_FAILED
        }
    }
}

fn start_log() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    // a test may have set one up already
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

/// Whoever started the daemon and waits for it to serve.
struct Ready(RefCell<Option<File>>);

impl Ready {
    fn take() -> Self {
        let fd =
            std::env::var(READY_FD_VARIABLE).ok().and_then(|v| v.parse::<i32>().ok()).filter(|fd| *fd > 2);
        let open =
            |fd: &i32| rustix::io::fcntl_getfd(unsafe { rustix::fd::BorrowedFd::borrow_raw(*fd) }).is_ok();
        // SAFETY: whoever set the variable handed the descriptor over to this process; it is open, and
        // nothing else here knows of it.
        let file = fd.filter(open).map(|fd| unsafe { File::from_raw_fd(fd) });
        if let Some(file) = &file {
            // what we start must not hold it open
            let _ = rustix::io::fcntl_setfd(file, rustix::io::FdFlags::CLOEXEC);
        }
        Self(RefCell::new(file))
    }

    /// Says one line, once.
    fn say(&self, line: &str) {
        if let Some(mut file) = self.0.borrow_mut().take() {
            // if nobody listens any more, nobody waits
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Of so many events before this daemon it is known that the user has been told: more than some minutes of
/// a busy day.
const TOLD_EVENTS: u32 = 512;

/// How often a lock is tried that nobody living is known to hold, and the pause between.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Holds the lock of the state directory, or that of the socket's, for as long as the process lives.
/// The second one matters to daemons of two state directories that were told to share a socket.
///
/// A daemon that was killed while it started a keeper leaves the lock to that child for the moment until
/// it becomes another program. So if the daemon that is known has ended, it is tried again, with `pause`
/// in between.
fn lock(places: &Places, path: &Path, mut pause: impl FnMut()) -> Result<File, String> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| format!("cannot open {}: {e}", path.display()))?;
    let mut tries = 0;
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(e) => return Err(format!("cannot lock {}: {e}", path.display())),
        }
        let who = std::fs::read_to_string(places.info()).ok();
        let who = who.and_then(|t| serde_json::from_str::<DaemonInfo>(&t).ok());
        tries += 1;
        if tries < LOCK_TRIES && who.as_ref().is_some_and(|i| effects::pid::began(i.pid).is_none()) {
            pause();
            continue;
        }
        let who = who.map_or_else(String::new, |i| format!(" (process {})", i.pid));
        return Err(format!(
            "a daemon is already running for {}{who}; `wezterm-parallel status` shows it, `wezterm-parallel stop` ends it",
            path.parent().unwrap_or(path).display()
        ));
    }
}

fn serve(places: Places, ready: &Ready) -> Result<(), String> {
    listener::private_dir(&places.state_dir)?;
    listener::private_dir(&places.runtime_dir)?;
    listener::private_dir(&places.runs())?;
    let _lock = lock(&places, &places.lock(), || std::thread::sleep(LOCK_PAUSE))?;
    let _socket_lock =
        lock(&places, &places.socket().with_extension("lock"), || std::thread::sleep(LOCK_PAUSE))?;
    let system = actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_stack_size(BLOCKING_STACK_BYTES)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_keep_alive(BLOCKING_KEEP_ALIVE)
            .build()
            .expect("a runtime without threads needs nothing that could fail but descriptors")
    });
    system.block_on(serve_here(places, ready))
}

async fn serve_here(places: Places, ready: &Ready) -> Result<(), String> {
    let home = home()?;
    let executable = std::env::current_exe().map_err(|e| format!("cannot find this executable: {e}"))?;
    let clock = Clock::start();
    let fsync_delay = std::env::var(FSYNC_DELAY_VARIABLE).ok().and_then(|v| v.parse().ok()).unwrap_or(0);
    let options = Options { fsync_delay: Duration::from_millis(fsync_delay), ..Options::default() };
    let (store, loaded) =
        Store::open_with(&places.state_dir, &options).map_err(|e| format!("cannot open the store: {e}"))?;
    if let Some(problem) = &loaded.problem {
        tracing::error!("{problem}");
    }
    let sources = Sources {
        path: places.config.clone(),
        home: home.clone(),
        trust: loaded.trust.iter().map(|t| (t.path.clone(), t.clone())).collect(),
        in_force: loaded.config.as_ref().is_some_and(|c| c.text != effects::config_file::NOTHING),
    };
    let (first, refused) = first_config(&sources, loaded.config.as_ref());

    let newest = store.events_since(loaded.last_seq.saturating_sub(1), 1, &EventFilter::default());
    let last_word = newest.ok().and_then(|e| e.events.last().map(|e| e.at)).unwrap_or(0);

    let runs: HashSet<&str> = loaded.runs.iter().map(|r| r.run_id.as_str()).collect();
    let tasks: HashMap<&str, u32> =
        loaded.tasks.iter().map(|t| (t.row.spec.id.as_str(), t.row.attempt)).collect();
    end_orphans(&places.runs(), |id| {
        let attempt = attempt_of(id).and_then(|(task, n)| Some((tasks.get(task)?, n)));
        runs.contains(id) || attempt.is_some_and(|(newest, n)| n <= *newest)
    });

    let board = Board::start(store, loaded.last_seq, clock, loaded.problem.clone());
    let gate = guard::start("gate".into(), GateActor::default(), shared::panic_report(board.clone()));
    let registry = RegistryActor::new(board.clone());
    let registry = guard::start("registry".into(), registry, shared::panic_report(board.clone()));
    let limits = LimitActor::new(board.clone(), clock, loaded.accounts);
    let limits = guard::start("limit".into(), limits, shared::panic_report(board.clone()));
    let mut prompts: HashMap<String, Vec<PromptRow>> = HashMap::new();
    for row in loaded.prompts {
        prompts.entry(row.view.process_id.clone()).or_default().push(row);
    }
    let agents = Rc::default();
    let inbox = InboxActor::new(board.clone(), clock, Rc::clone(&agents), loaded.asks);
    let inbox = guard::start("inbox".into(), inbox, shared::panic_report(board.clone()));
    let past = board.store().events_since(
        0,
        TOLD_EVENTS,
        &EventFilter { take: Take::Newest, ..EventFilter::default() },
    );
    let past = past.map(|read| read.events).unwrap_or_default();
    let gui = GuiActor::new(board.clone(), clock, loaded.intents, &past);
    let gui = guard::start("gui".into(), gui, shared::panic_report(board.clone()));
    let runs_dir = places.runs();
    let leases = LeaseActor::new(board.clone(), clock, loaded.leases, |run| {
        rundir::is_alive(&rundir::run_dir(&runs_dir, run))
    });
    let leases = guard::start("lease".into(), leases, shared::panic_report(board.clone()));
    let environment = Arc::new(environment::passed_on(std::env::vars_os()));
    let known = actors::on::known(&loaded.processes, &loaded.runs, &loaded.tasks, &past);
    let on = OnActor::new(board.clone(), clock, home.clone(), Arc::clone(&environment), known);
    let on = guard::start("on".into(), on, shared::panic_report(board.clone()));
    let shared = Rc::new(Shared {
        boot_id: effects::machine::boot_id(),
        home: home.clone(),
        executable,
        clock,
        board: board.clone(),
        gate,
        registry,
        sessions: sessions::Sessions::default(),
        limits,
        environment: RefCell::new(environment),
        last_word,
        ending: Cell::new(false),
        prompts: RefCell::new(prompts),
        agents,
        layouts: layouts::Layouts::new(loaded.arrangements),
        inbox,
        gui,
        leases,
        tasks: OnceCell::new(),
        task_homes: RefCell::default(),
        on,
        places,
    });
    let tasks = TasksActor::new(shared.clone(), loaded.tasks, loaded.paused_groups);
    let tasks = guard::start("tasks".into(), tasks, shared.on_panic());
    shared.limits.do_send(actors::limit::Watch(tasks.clone()));
    // set once, here
    let _ = shared.tasks.set(tasks);
    let stored = Stored {
        workspaces: loaded.workspaces,
        processes: loaded.processes,
        runs: loaded.runs,
        resume: first.as_ref().map(|r| r.loaded.desired.daemon.resume).unwrap_or_default(),
    };
    let root = SupervisorActor::new(shared.clone(), home, stored);
    let supervisor = guard::start("supervisor".into(), root, shared.on_panic());
    let mut generation = loaded.config.as_ref().map_or(0, |c| c.generation);
    let (mut in_force, mut problems) = (None, Default::default());
    if let Some(read) = first {
        in_force = Some(read.loaded);
        problems = read.projects.problems;
    }
    if let Some(config) = &in_force {
        let adopt = Adopt { desired: config.desired.clone(), config: config.config.clone(), problems };
        supervisor.send(adopt).await.map_err(|e| format!("the supervisor did not start: {e}"))?;
        if loaded.config.as_ref().is_none_or(|c| c.text != config.text) {
            generation += 1;
            let row = actors::config::row(generation, config, clock.at());
            board.commit(vec![Change::PutConfig(row)], Vec::new(), None);
        }
    } else {
        // what the store knows of goes on; nothing is taken away because a file cannot be read
        tracing::error!("no config is in force");
        if let Some(tasks) = shared.tasks.get() {
            let (tasks_spec, agents) = (Default::default(), Default::default());
            tasks.do_send(actors::task::Config { tasks: tasks_spec, agents });
        }
    }
    if let Some(e) = &refused {
        let event = Event { message: Some(e.to_string()), ..Event::new(EventKind::ConfigRefused) };
        shared.gui.do_send(actors::gui::Happened(event));
    }
    let config_actor = ConfigActor::new(
        shared.clone(),
        supervisor.clone(),
        sources,
        generation.max(1),
        in_force,
        refused.map(|e| e.to_string()),
    );
    let config = guard::start("config".into(), config_actor, shared.on_panic());

    let socket = shared.places.socket();
    let listener = listener::bind(&socket)?;
    write_info(&shared.places)
        .map_err(|e| format!("cannot write {}: {e}", shared.places.info().display()))?;
    let router = Router::new(shared.clone(), supervisor, config.clone(), clock.at());
    let (end, mut ended) = mpsc::unbounded_channel();
    actix_rt::spawn(listener::accept(listener, router, end));
    board.commit(Vec::new(), vec![Event::new(EventKind::DaemonStarted)], None);
    if std::env::var_os("INVOCATION_ID").is_none() {
        // not started by systemd as a unit: then a scope keeps the end of a login session away
        let pid = std::process::id().cast_signed();
        let name = format!("wezterm-parallel-daemon-{pid}");
        effects::scope::put(name, "wezterm-parallel: the daemon".into(), vec![pid]);
    }
    tracing::info!(pid = std::process::id(), socket = %socket.display(), "serving");
    ready.say("ready\n");

    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;
    let mut hangup = signals(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = ended.recv() => break,
            _ = terminate.recv() => break tracing::info!("told to end; the runs go on"),
            _ = interrupt.recv() => break tracing::info!("interrupted; the runs go on"),
            _ = hangup.recv() => config.do_send(actors::config::Changed { asked: true }),
        }
    }
    // nobody shall find a socket without a daemon, nor the address of one that is gone. The address goes
    // first: who finds no socket but an address takes the daemon for lost
    let _ = std::fs::remove_file(shared.places.info());
    let _ = std::fs::remove_file(&socket);
    let _ = shared.gui.send(actors::gui::End).await;
    let _ = shared.limits.send(actors::limit::Save).await;
    let _ = board.commit_and_wait(Vec::new(), Vec::new()).await;
    Ok(())
}

fn signals(kind: SignalKind) -> Result<tokio::signal::unix::Signal, String> {
    signal(kind).map_err(|e| format!("cannot listen for signals: {e}"))
}

fn home() -> Result<PathBuf, String> {
    let home = std::env::var_os("HOME").filter(|h| !h.is_empty()).map(PathBuf::from);
    home.filter(|h| h.is_absolute()).ok_or_else(|| "HOME is not set to an absolute path".into())
}

/// The config to begin with: the file, or if it is not right, the last one that was. With the error of
/// the file.
fn first_config(sources: &Sources, last_good: Option<&ConfigRow>) -> (Option<Read>, Option<ConfigError>) {
    match sources.read() {
        Ok(read) => (Some(read), None),
        Err(error) => {
            tracing::error!("the config was refused; the last good one is in force\n{error}");
            let kept = last_good.and_then(|row| sources.read_kept(row).ok());
            (kept, Some(error))
        }
    }
}

/// Ends runs that live and that the store knows nothing of: a store that was lost must not lead to a
/// second Claude beside the first. Their programs get the time to end well.
fn end_orphans(runs: &Path, known: impl Fn(&str) -> bool) {
    // directories of keepers that ended before they were in force
    let _ = rundir::remove_abandoned(runs);
    for id in effects::keeper::all(runs) {
        let dir = rundir::run_dir(runs, &id);
        if known(&id) {
            continue;
        }
        if rundir::is_alive(&dir) {
            tracing::error!(run = id, "a run lives that the store knows nothing of; it is ended");
            if let Ok(Some(meta)) = rundir::read_meta(&dir)
                && let Some(pid) = rustix::process::Pid::from_raw(meta.keeper_pid)
            {
                // a keeper takes this as the order to stop its run
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                let until = std::time::Instant::now() + ORPHAN_END;
                while rundir::is_alive(&dir) && std::time::Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        } else {
            let _ = std::fs::remove_dir_all(&dir);
        }
    }
}

/// Tells clients where the daemon is.
fn write_info(places: &Places) -> std::io::Result<()> {
    let info = DaemonInfo {
        pid: std::process::id().cast_signed(),
        socket: places.socket(),
        version: env!("CARGO_PKG_VERSION").into(),
        config: places.config.clone(),
    };
    let path = places.info();
    let temporary = path.with_extension("json.tmp");
    std::fs::write(&temporary, serde_json::to_vec_pretty(&info)?)?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lock that somebody holds, where the daemon that is known has this process id.
    fn held(pid: i32) -> (tempfile::TempDir, Places, Option<File>) {
        let dir = tempfile::tempdir().expect("a directory");
        let places = Places::new(|_| None, dir.path());
        std::fs::create_dir_all(&places.state_dir).expect("a directory");
        std::fs::create_dir_all(&places.runtime_dir).expect("a directory");
        let holder = lock(&places, &places.lock(), || panic!("it is free")).expect("it is free");
        let info = DaemonInfo {
            pid,
            socket: places.socket(),
            version: "0.1.0".into(),
            config: places.config.clone(),
        };
        std::fs::write(places.info(), serde_json::to_vec(&info).expect("json")).expect("written");
        (dir, places, Some(holder))
    }

    /// The id of a process that has ended.
    fn ended() -> i32 {
        let mut child = std::process::Command::new("true").spawn().expect("true runs");
        child.wait().expect("it ends");
        child.id().cast_signed()
    }

    #[test]
    fn a_lock_that_a_killed_daemon_has_left_to_a_child_is_waited_for() {
        let (_dir, places, mut holder) = held(ended());
        let got = lock(&places, &places.lock(), || drop(holder.take()));
        assert!(got.is_ok(), "{got:?}");
        assert!(holder.is_none(), "it was held at first");
    }

    #[test]
    fn a_killed_daemon_that_nobody_has_asked_how_it_ended_is_no_daemon() {
        let mut child = std::process::Command::new("true").spawn().expect("true runs");
        rustix::process::waitid(
            rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child)),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .expect("it ends");
        let (_dir, places, mut holder) = held(child.id().cast_signed());
        let got = lock(&places, &places.lock(), || drop(holder.take()));
        assert!(got.is_ok(), "{got:?}");
        child.wait().expect("it has ended");
    }

    #[test]
    fn a_lock_is_not_waited_for_where_its_daemon_lives_or_for_ever() {
        let (_dir, places, _holder) = held(std::process::id().cast_signed());
        let refused = lock(&places, &places.lock(), || panic!("it lives")).expect_err("it is held");
        assert!(refused.starts_with("a daemon is already running for "), "{refused}");
        let (_dir, places, _holder) = held(ended());
        let mut pauses = 0;
        lock(&places, &places.lock(), || pauses += 1).expect_err("it is held");
        assert_eq!(pauses, LOCK_TRIES - 1);
    }
}
