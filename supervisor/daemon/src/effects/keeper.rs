//! Keepers: starting them, finding them again, talking to them.

use std::{
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::Command,
    sync::{mpsc, oneshot},
};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::keeper::{
    Attached, ExitRecord, Frames, Hello, ProgramStatus, Progress, Role, RunSpec, StartFailure, StartReport,
    StopRun, Title, Type, Typed, Welcome, encode, encode_bytes, frame,
};

use crate::clock::Clock;

/// A keeper says how its start went within a few milliseconds; one that says nothing for this long
/// is stuck on a dead disk.
const REPORT_TIMEOUT: Duration = Duration::from_secs(20);
/// A report has some forty bytes, a failed one a sentence more.
const REPORT_BYTES_MAX: u64 = 64 << 10;
/// How often a connection that broke is tried again before its keeper counts as unreachable.
const RECONNECTS_MAX: u32 = 5;
/// Between two tries.
const RECONNECT_WAIT: Duration = Duration::from_millis(50);

/// Starts a keeper and waits for its report.
pub async fn launch(executable: &Path, spec: &RunSpec) -> StartReport {
    let message = match tokio::time::timeout(REPORT_TIMEOUT, ask(executable, spec)).await {
        Ok(Ok(report)) => return report,
        Ok(Err(e)) => format!("the keeper did not start: {e}"),
        Err(_) => "the keeper did not report in time".into(),
    };
    // it may come yet; before the run counts as failed, its gate is closed, or it is found to have passed
    let (runs, id) = (spec.runs_dir.clone(), spec.run_id.clone());
    let closed = tokio::task::spawn_blocking(move || {
        let closed = rundir::close_gate(&runs, &id)?;
        if closed {
            rundir::sweep_marked(&id);
        }
        Ok::<bool, io::Error>(closed)
    });
    match closed.await {
        Ok(Ok(false)) => StartReport::Exists,
        Ok(Ok(true)) | Ok(Err(_)) | Err(_) => StartReport::Failed { reason: StartFailure::System, message },
    }
}

async fn ask(executable: &Path, spec: &RunSpec) -> io::Result<StartReport> {
    let spec = rmp_serde::to_vec_named(spec).map_err(io::Error::other)?;
    let mut command = std::process::Command::new(executable);
    // nothing inherited that could hang on to a terminal or a pipe; no code between fork and exec, so
    // that starting stays quick however large the daemon is
    command.arg("keeper").process_group(0).current_dir("/").env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Command::from(command).spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else { return Err(io::Error::other("no pipes")) };
    stdin.write_all(&spec).await?;
    drop(stdin);
    let mut report = Vec::new();
    stdout.take(REPORT_BYTES_MAX).read_to_end(&mut report).await?;
    // the one that we started ends as soon as the real keeper has gone off by itself
    child.wait().await?;
    rmp_serde::from_slice(&report).map_err(|e| io::Error::other(format!("it said nothing sensible ({e})")))
}

/// What a run directory says after the daemon was away.
#[derive(Debug)]
pub enum Found {
    /// Its keeper lives.
    Alive,
    /// It is over, and this is how.
    Over(ExitRecord),
    /// There is no directory: it was never started.
    Never,
}

/// Looks at a run. What a killed keeper left running is ended here. Blocks for some file reads, and
/// in the last case for a walk over all processes of the machine.
pub fn find(runs: &Path, run_id: &str, now: i64) -> Found {
    let dir = rundir::run_dir(runs, run_id);
    // what cannot be looked at is there
    if let Ok(false) = dir.try_exists() {
        return Found::Never;
    }
    if rundir::is_alive(&dir) {
        return Found::Alive;
    }
    match rundir::read_exit(&dir) {
        Ok(Some(exit)) => Found::Over(exit),
        _ => {
            let leftovers = rundir::sweep_marked(run_id);
            Found::Over(unknown_exit("its keeper was killed", leftovers, now))
        }
    }
}

/// The record of an end that nobody saw.
pub fn unknown_exit(note: &str, leftovers: u32, now: i64) -> ExitRecord {
    ExitRecord {
        code: None,
        signal: None,
        ended_at: now,
        stopped: false,
        leftovers,
        cpu_ms: 0,
        max_rss_kib: 0,
        log_lost: 0,
        note: Some(note.to_owned()),
    }
}

/// Runs whose directory stands here.
pub fn all(runs: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(runs) else { return Vec::new() };
    let name = |e: std::fs::DirEntry| e.file_name().into_string().ok();
    entries.flatten().filter_map(name).filter(|n| !n.starts_with('.')).collect()
}

/// Removes the directories of runs that are over, on another thread.
pub fn remove(runs: PathBuf, ids: Vec<String>) {
    if ids.is_empty() {
        return;
    }
    tokio::task::spawn_blocking(move || {
        for id in ids {
            let dir = rundir::run_dir(&runs, &id);
            if let Err(e) = std::fs::remove_dir_all(&dir)
                && e.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(run = id, error = %e, "cannot remove the directory of an old run");
            }
        }
    });
}

/// What a keeper says.
#[derive(Debug)]
pub enum Said {
    /// Its first word.
    Welcome(Box<Welcome>),
    /// The program reported.
    Status(ProgramStatus),
    /// The program's title.
    Title(String),
    /// The program's progress (`OSC 9;4`).
    Progress(Progress),
    /// How many are attached.
    Attached(u32),
    /// Somebody has seen what the program has said of itself so far.
    Looked,
    /// The run is over.
    Exit(ExitRecord),
}

/// A connection to a keeper, kept by a task of its own; dropping it lets the keeper alone.
#[derive(Debug)]
pub struct Link {
    orders: mpsc::UnboundedSender<Order>,
    task: tokio::task::JoinHandle<()>,
}

/// What a keeper is to do.
#[derive(Debug)]
enum Order {
    Stop(StopRun),
    Type(Type, oneshot::Sender<Typing>),
    Announce(String),
}

/// What became of an order to type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typing {
    /// The keeper's answer.
    Answered(Typed),
    /// The keeper is of before such orders: the bytes went to it without any condition, and it says
    /// nothing of them.
    Sent,
    /// The connection broke: whether they were typed is not known.
    Lost,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Connects to the keeper of a run, and calls `hear` with all that it says; the last thing is
    /// always [`Said::Exit`], however the keeper ends.
    pub fn open(runs: PathBuf, run_id: String, clock: Clock, mut hear: impl FnMut(Said) + 'static) -> Self {
        let (orders, mut waiting) = mpsc::unbounded_channel();
        let task = actix_rt::spawn(async move {
            let mut tries = 0;
            // told again after a connection broke: it may have been lost with it
            let mut told = None;
            let exit = loop {
                match converse(&runs, &run_id, &mut waiting, &mut told, &mut hear).await {
                    Ok(exit) => break exit,
                    Err(e) => tracing::warn!(run = run_id, error = %e, "lost a keeper"),
                }
                let (dir, id, now) = (runs.clone(), run_id.clone(), clock.at());
                let found = tokio::task::spawn_blocking(move || find(&dir, &id, now)).await;
                match found {
                    Ok(Found::Over(exit)) => break exit,
                    Ok(Found::Never) => break unknown_exit("its directory is gone", 0, now),
                    Ok(Found::Alive) | Err(_) if tries < RECONNECTS_MAX => {
                        tries += 1;
                        tokio::time::sleep(RECONNECT_WAIT * tries).await;
                    }
                    Ok(Found::Alive) | Err(_) => {
                        // it holds its lock and does not answer: nothing may be started beside it
                        tracing::error!(
                            run = run_id,
                            "a keeper lives and does not answer; waiting for its end"
                        );
                        tokio::time::sleep(Duration::from_secs(2)).await;
                    }
                }
            };
            hear(Said::Exit(exit));
        });
        Self { orders, task }
    }

    /// Tells the keeper to end the run.
    pub fn stop(&self, grace_ms: u64) {
        // without a receiver the run is over already
        let _ = self.orders.send(Order::Stop(StopRun { grace_ms }));
    }

    /// Has those who are attached told anew that they show `process`, by its full name. A keeper of before
    /// such orders tells nobody.
    pub fn announce(&self, process: String) {
        let _ = self.orders.send(Order::Announce(process));
    }

    /// Types into the program, on the order's conditions. The answer comes when the program's terminal
    /// has taken all of it, or nothing; it may take its time, since the program may.
    pub fn type_in(&self, order: Type) -> impl Future<Output = Typing> + use<> {
        let (reply, answer) = oneshot::channel();
        let _ = self.orders.send(Order::Type(order, reply));
        async { answer.await.unwrap_or(Typing::Lost) }
    }
}

/// One connection, from the hello to the exit record.
async fn converse(
    runs: &Path,
    run_id: &str,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    told: &mut Option<StopRun>,
    hear: &mut impl FnMut(Said),
) -> io::Result<ExitRecord> {
    let stream = rundir::connect(&rundir::run_dir(runs, run_id))?;
    stream.set_nonblocking(true)?;
    let (mut from, mut to) = UnixStream::from_std(stream)?.into_split();
    let hello = Hello::new(Role::Control);
    to.write_all(&message(frame::HELLO, &hello)?).await?;
    if let Some(order) = told {
        to.write_all(&message(frame::STOP, order)?).await?;
    }
    let mut frames = Frames::default();
    let mut buffer = vec![0; 4096];
    // none before the keeper has said what it can
    let mut can_type = None;
    // orders to type that wait for their answer; dropped with the connection, which tells who waits
    let mut typing: Vec<(u64, oneshot::Sender<Typing>)> = Vec::new();
    loop {
        tokio::select! {
            order = orders.recv(), if can_type.is_some() => match order {
                None => return Err(io::Error::other("not wanted any more")),
                Some(Order::Stop(stop)) => {
                    *told = Some(stop.clone());
                    to.write_all(&message(frame::STOP, &stop)?).await?;
                }
                Some(Order::Announce(process)) => {
                    let mut bytes = Vec::new();
                    encode_bytes(frame::ANNOUNCE, process.as_bytes(), &mut bytes);
                    to.write_all(&bytes).await?;
                }
                Some(Order::Type(order, reply)) if can_type == Some(true) => {
                    typing.push((order.id, reply));
                    to.write_all(&message(frame::TYPE, &order)?).await?;
                }
                Some(Order::Type(order, reply)) => {
                    let mut bytes = Vec::new();
                    encode_bytes(frame::INPUT, &order.bytes, &mut bytes);
                    to.write_all(&bytes).await?;
                    let _ = reply.send(Typing::Sent);
                }
            },
            n = from.read(&mut buffer) => {
                let n = n?;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                frames.push(&buffer[..n]);
                while let Some((kind, payload)) = frames.take().map_err(io::Error::other)? {
                    match kind {
                        frame::WELCOME => {
                            let welcome: Box<Welcome> = decode(payload)?;
                            can_type = Some(welcome.can_type);
                            hear(Said::Welcome(welcome));
                        }
                        frame::TYPED => {
                            let typed: Typed = decode(payload)?;
                            if let Some(i) = typing.iter().position(|(id, _)| *id == typed.id) {
                                let _ = typing.swap_remove(i).1.send(Typing::Answered(typed));
                            }
                        }
                        frame::PROGRESS => hear(Said::Progress(decode(payload)?)),
                        frame::STATUS => hear(Said::Status(decode(payload)?)),
                        frame::TITLE => hear(Said::Title(decode::<Title>(payload)?.title)),
                        frame::ATTACHED => hear(Said::Attached(decode::<Attached>(payload)?.clients)),
                        frame::LOOKED => hear(Said::Looked),
                        frame::EXIT => return decode(payload),
                        frame::ERROR => return Err(io::Error::other(String::from_utf8_lossy(payload).into_owned())),
                        // of a newer keeper
                        _ => {}
                    }
                }
                // what was heard is done before more is read: else a program that floods fills our memory,
                // instead of making its keeper wait, which then tells only the newest
                tokio::task::yield_now().await;
            }
        }
    }
}

/// A frame with a map in it.
pub fn message(kind: u8, payload: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let payload = rmp_serde::to_vec_named(payload).map_err(io::Error::other)?;
    let mut out = Vec::with_capacity(payload.len() + 5);
    encode(kind, &payload, &mut out);
    Ok(out)
}

/// What a frame's map says.
pub fn decode<T: serde::de::DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(payload).map_err(io::Error::other)
}
