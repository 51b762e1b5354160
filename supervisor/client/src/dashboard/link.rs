//! The one connection to the daemon: calls that nobody waits for, events, and the way back after it is gone.
//! Nothing here keeps the screen waiting, but for a socket that takes no more.

use std::{
    collections::{HashMap, VecDeque},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::mpsc::{self, Receiver, TryRecvError},
    thread,
    time::{Duration, Instant},
};

use rustix::pipe::{PipeFlags, pipe_with};
use wezterm_parallel_schemas::{
    daemon::Empty,
    environment,
    error::Error,
    event::{Snapshot, Subscribe},
    gui::GuiShow,
    inbox::{InboxAnswer, InboxDeny, InboxList, InboxTarget},
    method::{
        AllowAsk, AnswerAsk, AttachProcess, CancelTask, CloseWorkspace, DaemonStatus, DenyAsk, ListAsks,
        ListGroups, ListLimits, ListPrompts, ListTasks, Method, OpenWorkspace, PauseGroup, PauseTask,
        ReloadConfig, RestartProcess, ResumeGroup, ResumeTask, RetryTask, SendPrompt, ShowAsk, ShowInGui,
        ShowTask, StartProcess, StopProcess, SubscribeCall,
    },
    places::Places,
    process::{ProcessStop, ProcessTarget, ProcessView, State},
    prompt::{ProcessSend, PromptList, WhileWorking},
    task::{GroupTarget, TaskList, TaskRetry, TaskTarget, TaskView},
    workspace::{WorkspaceOpen, WorkspaceTarget},
};

use super::ask::{Deed, Fetch, Fetched, Job, Msg, Which};
use crate::{
    connection::{CallError, ConnectError, Connection, Received, decode},
    logs, view,
};

/// How long after the first failure the daemon is looked for again; doubled each time.
const RETRY_MS_MIN: u64 = 100;
/// The longest wait between two looks. It costs a call that fails at once.
const RETRY_MS_MAX: u64 = 2_000;
/// Calls under way at the same time: the daemon takes 64.
const CALLS_MAX: usize = 48;
/// Calls that wait for their turn. More than this is nobody at a keyboard.
const WAITING_MAX: usize = 10_000;
/// Lines of the last words of a process.
const LOG_LINES_MAX: usize = 1_000;
/// Messages that are taken from the socket before the screen is drawn again.
const TURN_MAX: usize = 256;

/// What an answer becomes.
type Answered = Box<dyn FnOnce(Result<&[u8], Error>) -> Result<Msg, CallError>>;
/// A call that is sent when there is room.
type Call = Box<dyn FnOnce(&mut Connection) -> Result<(u32, Answered), CallError>>;

/// The way to the daemon.
pub struct Link {
    places: Places,
    config: PathBuf,
    state: Way,
    /// What went wrong last, so that it is said once.
    said: Option<String>,
    wait_ms: u64,
    calls: HashMap<u32, Answered>,
    waiting: VecDeque<Call>,
}

enum Way {
    /// Looked for again at this time.
    Waiting(Instant),
    /// Somebody looks. The descriptor can be read, as its other side is closed, when the outcome is there. It
    /// is this look's own: of one that was given up, nothing is heard.
    Looking(Receiver<Result<Connection, ConnectError>>, OwnedFd),
    Open(Box<Connection>),
}

impl Link {
    /// Begins to look for the daemon.
    pub fn new(places: Places, config: PathBuf) -> Self {
        Self {
            places,
            config,
            state: Way::Waiting(Instant::now()),
            said: None,
            wait_ms: RETRY_MS_MIN,
            calls: HashMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// What is to be waited for; none if it is only the time.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            Way::Open(connection) => Some(connection.as_fd()),
            Way::Looking(_, wake) => Some(wake.as_fd()),
            Way::Waiting(_) => None,
        }
    }

    /// When to come back even if nothing can be read.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            Way::Waiting(at) => Some(*at),
            Way::Looking(..) | Way::Open(_) => None,
        }
    }

    /// Ends the connection, and begins a new one as soon as this is turned again: nothing is read for some
    /// time, and a daemon does not wait for that.
    pub fn reset(&mut self) {
        self.state = Way::Waiting(Instant::now());
        self.wait_ms = RETRY_MS_MIN;
        self.calls.clear();
        self.waiting.clear();
    }

    /// Does what can be done without waiting; gives what has come of it.
    pub fn turn(&mut self) -> Vec<Msg> {
        let mut msgs = Vec::new();
        match &mut self.state {
            Way::Waiting(at) if *at <= Instant::now() => self.look(),
            Way::Waiting(_) => {}
            Way::Looking(outcome, _) => match outcome.try_recv() {
                Ok(Ok(connection)) => self.open(connection, &mut msgs),
                Ok(Err(error)) => self.not_there(error, &mut msgs),
                Err(TryRecvError::Empty) => {}
                // it paniced, and will again
                Err(TryRecvError::Disconnected) => self.wait(RETRY_MS_MAX),
            },
            Way::Open(_) => self.receive(&mut msgs),
        }
        msgs
    }

    fn look(&mut self) {
        let (sender, outcome) = mpsc::channel();
        let (places, config) = (self.places.clone(), self.config.clone());
        let Ok((woken, wakes)) = pipe_with(PipeFlags::CLOEXEC) else { return self.wait(RETRY_MS_MAX) };
        // a daemon that hangs takes seconds to be given up
        thread::spawn(move || {
            let _ = sender.send(Connection::open(&places, &config));
            drop(wakes);
        });
        self.state = Way::Looking(outcome, woken);
    }

    fn wait(&mut self, ms: u64) {
        self.state = Way::Waiting(Instant::now() + Duration::from_millis(ms));
    }

    fn not_there(&mut self, error: ConnectError, msgs: &mut Vec<Msg>) {
        self.wait(self.wait_ms);
        self.wait_ms = (self.wait_ms * 2).min(RETRY_MS_MAX);
        let msg = match error {
            ConnectError::NoDaemon(socket) => Msg::Gone(format!("none listens at {}", socket.display())),
            error => {
                let failure = error.failure();
                let hint = failure.hint.unwrap_or_default();
                Msg::Refused(failure.why, hint)
            }
        };
        let said = format!("{msg:?}");
        // it is not drawn anew for the same
        if self.said.as_ref() != Some(&said) {
            self.said = Some(said);
            msgs.push(msg);
        }
    }

    fn open(&mut self, connection: Connection, msgs: &mut Vec<Msg>) {
        self.state = Way::Open(Box::new(connection));
        self.said = None;
        self.calls.clear();
        self.waiting.clear();
        // the wait starts anew only when the daemon has answered: one that hangs up at once is not tried
        // without end
        let linked = |snapshot: Snapshot| Msg::Linked(Box::new(snapshot));
        self.call::<SubscribeCall>(Subscribe::default(), move |answer| match answer {
            Ok(snapshot) => linked(snapshot),
            Err(error) => Msg::Refused(error.message, error.hint.unwrap_or_default()),
        });
        self.receive(msgs);
    }

    fn receive(&mut self, msgs: &mut Vec<Msg>) {
        if let Err(error) = self.exchange(msgs) {
            let why = match error {
                CallError::Lost(_) => "it has ended".to_owned(),
                error => error.to_string(),
            };
            self.said = None;
            self.calls.clear();
            self.waiting.clear();
            self.wait(self.wait_ms);
            msgs.push(Msg::Gone(why));
        }
    }

    fn exchange(&mut self, msgs: &mut Vec<Msg>) -> Result<(), CallError> {
        let Way::Open(connection) = &mut self.state else { return Ok(()) };
        loop {
            while self.calls.len() < CALLS_MAX
                && let Some(call) = self.waiting.pop_front()
            {
                match call(connection) {
                    Ok((id, answered)) => {
                        self.calls.insert(id, answered);
                    }
                    // one that is too large is no reason to hang up
                    Err(CallError::Refused(error)) => msgs.push(Msg::Failed(error.line())),
                    Err(error) => return Err(error),
                }
            }
            if msgs.len() >= TURN_MAX {
                return Ok(());
            }
            match connection.come()? {
                None => return Ok(()),
                Some(Received::Event(event)) => msgs.push(Msg::Event(event)),
                Some(Received::Answer(id, answer)) => {
                    let Some(answered) = self.calls.remove(&id) else { continue };
                    msgs.push(match &answer {
                        Ok(bytes) => answered(Ok(bytes))?,
                        Err(error) => answered(Err(error.clone()))?,
                    });
                    self.wait_ms = RETRY_MS_MIN;
                }
            }
        }
    }

    /// Whether something may be there that was read already and has not been taken.
    pub fn has_more(&self, taken: usize) -> bool {
        taken >= TURN_MAX
    }

    fn call<M: Method>(
        &mut self,
        params: M::Params,
        answered: impl FnOnce(Result<M::Result, Error>) -> Msg + 'static,
    ) where
        M::Params: 'static,
    {
        if self.waiting.len() >= WAITING_MAX {
            return;
        }
        self.waiting.push_back(Box::new(move |connection| {
            let id = connection.begin::<M>(&params)?;
            let answered: Answered = Box::new(move |answer| match answer {
                Ok(bytes) => Ok(answered(Ok(decode(bytes)?))),
                Err(error) => Ok(answered(Err(error))),
            });
            Ok((id, answered))
        }));
    }

    /// Sends what waits to be sent.
    pub fn send(&mut self) -> Vec<Msg> {
        let mut msgs = Vec::new();
        if matches!(self.state, Way::Open(_)) {
            self.receive(&mut msgs);
        }
        msgs
    }

    /// Asks for something to know.
    pub fn fetch(&mut self, fetch: Fetch) {
        let f = fetch.clone();
        match fetch {
            Fetch::All => self.call::<DaemonStatus>(Empty {}, |answer| {
                Msg::Fetched(f, answer.map(|all| Fetched::All(Box::new(all))))
            }),
            Fetch::Process(id) => self.call::<AttachProcess>(target(&id), |answer| {
                Msg::Fetched(f, answer.map(|point| Fetched::Process(Box::new(point.process))))
            }),
            Fetch::Asks => self
                .call::<ListAsks>(InboxList { limit: Some(1_000), ..InboxList::default() }, |answer| {
                    Msg::Fetched(f, answer.map(Fetched::Asks))
                }),
            Fetch::Ask(item) => self.call::<ShowAsk>(InboxTarget { item, key: None }, |answer| {
                Msg::Fetched(f, answer.map(|ask| Fetched::Ask(Box::new(ask))))
            }),
            Fetch::Accounts => {
                self.call::<ListLimits>(Empty {}, |answer| Msg::Fetched(f, answer.map(Fetched::Accounts)))
            }
            Fetch::Prompts(id) => {
                let list = PromptList { process: Some(id), ..PromptList::default() };
                self.call::<ListPrompts>(list, |answer| Msg::Fetched(f, answer.map(Fetched::Prompts)));
            }
            Fetch::Tasks => self
                .call::<ListTasks>(TaskList::default(), |answer| Msg::Fetched(f, answer.map(Fetched::Tasks))),
            Fetch::Task(task) => self.call::<ShowTask>(TaskTarget { task, key: None }, |answer| {
                Msg::Fetched(f, answer.map(|detail| Fetched::Task(Box::new(detail))))
            }),
            Fetch::Groups => {
                self.call::<ListGroups>(Empty {}, |answer| Msg::Fetched(f, answer.map(Fetched::Groups)));
            }
        }
    }

    /// Has something done.
    pub fn act(&mut self, deed: Deed) {
        let d = deed.clone();
        match deed {
            Deed::Start(which) => self.call::<StartProcess>(target(&which.id), |answer| {
                Msg::Done(d, answer.map(|p| how_it_stands("started", &p)))
            }),
            Deed::Stop(which) => self.call::<StopProcess>(stop(which.id), |answer| {
                Msg::Done(d, answer.map(|p| how_it_stands("stopped", &p)))
            }),
            Deed::Restart(which) => self.call::<RestartProcess>(stop(which.id), |answer| {
                Msg::Done(d, answer.map(|p| how_it_stands("restarted", &p)))
            }),
            Deed::Open(which) => {
                let environment = environment::passed_on(std::env::vars_os());
                let open = WorkspaceOpen { workspace: which.id, environment, key: None };
                self.call::<OpenWorkspace>(open, |answer| {
                    Msg::Done(d, answer.map(|w| w.problem.unwrap_or_else(|| format!("opened {}", w.name))))
                });
            }
            Deed::Close(which) => {
                let close = WorkspaceTarget { workspace: which.id, key: None };
                self.call::<CloseWorkspace>(close, |answer| {
                    Msg::Done(d, answer.map(|w| format!("closed {}", w.name)))
                });
            }
            Deed::Allow(item, who) => self.call::<AllowAsk>(InboxTarget { item, key: None }, move |answer| {
                Msg::Done(d, answer.map(|ask| format!("allowed {who}: {} {}", ask.tool, ask.summary)))
            }),
            Deed::Deny(item, who, message) => {
                self.call::<DenyAsk>(InboxDeny { item, message, key: None }, move |answer| {
                    Msg::Done(d, answer.map(|ask| format!("denied {who}: {} {}", ask.tool, ask.summary)))
                });
            }
            Deed::Answer(item, who, answers) => {
                self.call::<AnswerAsk>(InboxAnswer { item, answers, key: None }, move |answer| {
                    Msg::Done(d, answer.map(|_| format!("answered {who}")))
                });
            }
            Deed::Send(which, text) => {
                let send = ProcessSend {
                    process: which.id.clone(),
                    text,
                    while_working: WhileWorking::Queue,
                    ..ProcessSend::default()
                };
                self.call::<SendPrompt>(send, move |answer| {
                    Msg::Done(d, answer.map(|p| format!("{which}: {}", view::prompt_line(&p))))
                });
            }
            Deed::Reload => self.call::<ReloadConfig>(Empty {}, |answer| {
                let text = |n: usize| match n {
                    0 => "the config is as it was".to_owned(),
                    n => format!("the config is in force: {}", view::count(n as u64, "change")),
                };
                Msg::Done(d, answer.map(|plan| text(plan.changes.len())))
            }),
            Deed::Cancel(job) => self
                .call::<CancelTask>(task(job), |answer| Msg::Done(d, answer.map(|t| how_a_task_stands(&t)))),
            Deed::Pause(job) => self
                .call::<PauseTask>(task(job), |answer| Msg::Done(d, answer.map(|t| how_a_task_stands(&t)))),
            Deed::Resume(job) => self
                .call::<ResumeTask>(task(job), |answer| Msg::Done(d, answer.map(|t| how_a_task_stands(&t)))),
            Deed::Retry(job) => {
                self.call::<RetryTask>(TaskRetry { task: job.id, ..TaskRetry::default() }, |answer| {
                    Msg::Done(d, answer.map(|t| how_a_task_stands(&t)))
                });
            }
            Deed::PauseGroup(group) => self.call::<PauseGroup>(GroupTarget { group, key: None }, |answer| {
                let text = |name: &str| format!("nothing more of the group {name} starts");
                Msg::Done(d, answer.map(|g| text(&g.name)))
            }),
            Deed::ResumeGroup(group) => {
                self.call::<ResumeGroup>(GroupTarget { group, key: None }, |answer| {
                    Msg::Done(d, answer.map(|g| format!("the group {} goes on", g.name)))
                });
            }
        }
    }

    /// Asks for the last words of a process that does not run: all there is, is there.
    pub fn log(&mut self, which: Which) {
        self.call::<AttachProcess>(target(&which.id), move |answer| {
            let lines = match answer {
                Ok(point) => match point.run_dir {
                    Some(dir) => logs::last_lines(&dir, LOG_LINES_MAX).map_err(|e| e.to_string()),
                    None => Err("it has not run yet".into()),
                },
                Err(error) => Err(error.message),
            };
            match lines {
                Ok(lines) => Msg::Log(which.to_string(), lines),
                Err(why) => Msg::Failed(format!("failed to read the log of {which}: {why}")),
            }
        });
    }

    /// Has WezTerm show something.
    pub fn show(&mut self, which: Which) {
        let show = GuiShow {
            workspace: Some(which.workspace.clone()),
            process: which.process.clone(),
            ..GuiShow::default()
        };
        self.call::<ShowInGui>(show, move |answer| Msg::Shown(which, answer.map(|_| ())));
    }
}

fn target(id: &str) -> ProcessTarget {
    ProcessTarget { workspace: None, process: id.to_owned(), key: None }
}

fn task(job: Job) -> TaskTarget {
    TaskTarget { task: job.id, key: None }
}

fn how_a_task_stands(t: &TaskView) -> String {
    let why = t.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} is {}{why}", t.name, t.state)
}

fn stop(id: String) -> ProcessStop {
    ProcessStop { workspace: None, process: id, now: false, key: None }
}

/// What was done to a process, or what came of it instead.
fn how_it_stands(done: &str, p: &ProcessView) -> String {
    let name = format!("{}/{}", p.workspace, p.name);
    match (done, p.state) {
        ("stopped", State::Stopped) | (_, State::Running) => format!("{done} {name}"),
        (_, state) => {
            let why = p.state_reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("{name} is {}{why}", state.name().replace('_', " "))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::connection::readable;

    #[test]
    fn a_look_that_was_given_up_wakes_nobody_when_it_ends() {
        let dir = tempfile::tempdir().expect("a directory");
        let places = Places {
            config: dir.path().join("config.yaml"),
            runtime_dir: dir.path().join("run"),
            state_dir: dir.path().join("state"),
            data_dir: dir.path().join("data"),
        };
        let socket = places.socket();
        std::fs::create_dir_all(socket.parent().expect("it lies in a directory")).expect("a directory");
        let daemon = UnixListener::bind(socket).expect("a socket");
        let config = places.config.clone();
        let mut link = Link::new(places, config);
        link.turn();
        let (first, _) = daemon.accept().expect("somebody who looks");
        // as `reset` does, but for the outcome, by which its end is seen here
        let before = std::mem::replace(&mut link.state, Way::Waiting(Instant::now()));
        let Way::Looking(outcome, _) = before else { panic!("it looks") };
        drop(first);
        while outcome.recv().is_ok() {}
        assert!(link.fd().is_none(), "it waits for its time alone");
        link.turn();
        // the daemon takes its time with this one
        let (second, _) = daemon.accept().expect("somebody who looks again");
        let woken = |link: &Link, until| {
            readable(link.fd().expect("it looks"), Some(until)).expect("it can be asked")
        };
        assert!(!woken(&link, Instant::now()), "it would turn without end");
        drop(second);
        assert!(woken(&link, Instant::now() + Duration::from_secs(60)), "it is woken by its own look");
        assert!(matches!(link.turn().as_slice(), [Msg::Gone(_)]));
    }
}
