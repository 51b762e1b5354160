//! One attempt of a task.
//!
//! Owns: the connection to the keeper of its run, what its Claude has said so far. Receives: that it is to end,
//! what its keeper says, that it may start. Sends: to the tasks what becomes of it, to the gate that it wants to
//! start. Dies when: its run is over, or was never begun. After a panic it finds its run again.

use std::{path::PathBuf, rc::Rc, time::Duration};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message,
    Supervised, WrapFuture as _,
};
use indexmap::IndexMap;
use wezterm_parallel_core::{
    claude::{
        attempt::{Attempt, End},
        digest,
        stream::Line,
    },
    gate::Ticket,
    inbox, lease,
    spec::{AgentSpec, HISTORY_BYTES_DEFAULT, LOG_BYTES_DEFAULT, LOG_FILES_DEFAULT, STOP_GRACE_MS_DEFAULT},
    task::{Outcome, run_of},
};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::{
    config::{OnLimit, StatusFrom},
    keeper::{ExitRecord, Mode, RunSpec, Size, StartFailure, StartReport},
    task::{Denial, TaskAdd, TaskProgress, TaskResult},
};
use wezterm_parallel_store::{Store, TaskBrought};

use super::{FromRun, News, TasksActor};
use crate::{
    actors::{gate, inbox::Tell, lease::Tell as TellLeases},
    effects::{
        claude,
        keeper::{self, Found, Link, Said},
        mcp, print, settings,
        stream::Stream,
        zone,
    },
    guard,
    shared::Shared,
};

/// How far an attempt has come is told at most this often, in milliseconds: a person reads no quicker.
const PROGRESS_MS: u64 = 1_000;
/// How long a Claude may take to say its first word before others start beside it: it takes less than a second.
const START_MS_MAX: u64 = 30_000;
/// What a Claude is told that goes on with a session whose run was ended in the middle.
const GO_ON: &str = "Go on where you left off: your last turn did not come to its end.";
/// Longest answer that is kept in the store, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Characters of what an attempt is doing.
const DOING_CHARS_MAX: usize = 120;
/// Characters of what the model said last, and of what was denied.
const TEXT_CHARS_MAX: usize = 200;

/// What a run is made of.
#[derive(Clone)]
pub struct Plan {
    /// Name of the run: the task's id and the number of the attempt.
    pub run_id: String,
    /// The task.
    pub task: String,
    /// It is a command.
    pub command: bool,
    /// Number of the attempt.
    pub attempt: u32,
    /// The session to go on with.
    pub session: Option<String>,
    /// The first attempt that belongs together with this one.
    pub first: u32,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Options that it has from the agent that has added it.
    pub inherited: Vec<String>,
    /// The agent, for a prompt; none if the config has no such agent any more.
    pub agent: Option<AgentSpec>,
    /// Name of the agent.
    pub agent_name: String,
}

/// What is done with a run when its actor starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It is begun.
    Launch,
    /// A daemon before this one has asked for it: it is looked for, and never begun.
    Adopt,
}

/// See the module.
pub struct RunActor {
    shared: Rc<Shared>,
    tasks: Addr<TasksActor>,
    plan: Plan,
    begin: Begin,
    link: Option<Link>,
    stream: Option<Stream>,
    attempt: Attempt,
    session: Option<String>,
    /// It is in the queue of starts, or was admitted and has not said anything yet.
    at_gate: bool,
    /// It is to end, and has not been begun.
    unwanted: bool,
    /// It was asked for: from here on a panic means that it must be looked for.
    asked: bool,
    progress_rests: bool,
    told: Option<TaskProgress>,
}

impl RunActor {
    /// Starts the actor of a run.
    pub fn start(shared: Rc<Shared>, tasks: Addr<TasksActor>, plan: Plan, begin: Begin) -> Addr<Self> {
        let report = shared.on_panic();
        let (name, run, ear) = (format!("task/{}", plan.run_id), plan.run_id.clone(), tasks.clone());
        let (gate, task) = (shared.gate.clone(), plan.task.clone());
        let on_panic: guard::OnPanic = Rc::new(move |path, what, goes_on| {
            report(path, what, goes_on);
            if !goes_on {
                gate.do_send(gate::Leave { process: task.clone(), through: false, prompt: false });
                ear.do_send(FromRun { run: run.clone(), news: News::Abandoned });
            }
        });
        let actor = Self {
            shared,
            tasks,
            session: plan.session.clone(),
            plan,
            begin,
            link: None,
            stream: None,
            attempt: Attempt::default(),
            at_gate: false,
            unwanted: false,
            asked: false,
            progress_rests: false,
            told: None,
        };
        guard::start(name, actor, on_panic)
    }

    fn tell(&self, news: News) {
        self.tasks.do_send(FromRun { run: self.plan.run_id.clone(), news });
    }

    fn run_dir(&self) -> PathBuf {
        rundir::run_dir(&self.shared.places.runs(), &self.plan.run_id)
    }

    /// What was asked is read, and looked at whether it can be.
    fn prepare(&mut self, ctx: &mut Context<Self>) {
        let (store, plan) = (self.shared.board.store().clone(), self.plan.clone());
        let passed_on = self.shared.environment.borrow().clone();
        let work = Work {
            plan: plan.clone(),
            runs_dir: self.shared.places.runs(),
            claude_prefix: self.shared.places.claude_prefix(),
            settings: self.settings_place(),
            mcp: self.mcp_place(),
            passed_on: (*passed_on).clone(),
        };
        let prepared = tokio::task::spawn_blocking(move || work.prepare(&store));
        ctx.spawn(prepared.into_actor(self).map(|prepared, actor, ctx| match prepared {
            Ok(Ok(ready)) => actor.ask_gate(ready, ctx),
            Ok(Err(outcome)) => actor.never_began(outcome, ctx),
            Err(e) => actor.never_began(Outcome::Crash(e.to_string()), ctx),
        }));
    }

    fn settings_place(&self) -> Option<settings::Place> {
        let agent = self.plan.agent.as_ref().filter(|_| !self.plan.command)?;
        let places = &self.shared.places;
        agent.status.reads(StatusFrom::Hooks).then(|| settings::Place {
            file: settings::file(places, &self.plan.task),
            state_dir: places.state_dir.clone(),
            executable: settings::lasting(&self.shared.executable, &self.shared.home, places),
            tools: false,
            // filled in where the environment is known
            config_dir: None,
            mcp: agent.mcp,
            auto_continue: agent.on_limit == OnLimit::Continue,
        })
    }

    fn mcp_place(&self) -> Option<mcp::Place> {
        self.plan.agent.as_ref().filter(|agent| !self.plan.command && agent.mcp)?;
        let places = &self.shared.places;
        Some(mcp::Place {
            file: settings::mcp(&settings::file(places, &self.plan.task)),
            state_dir: places.state_dir.clone(),
            executable: settings::lasting(&self.shared.executable, &self.shared.home, places),
        })
    }

    fn ask_gate(&mut self, ready: Ready, ctx: &mut Context<Self>) {
        if self.unwanted {
            return self.seal(ctx);
        }
        self.session.clone_from(&ready.session);
        if self.plan.command {
            // only agents are ramped
            return self.launch(ready.spec, ctx);
        }
        self.at_gate = true;
        let ticket = Ticket {
            process: self.plan.task.clone(),
            agent: self.plan.agent_name.clone(),
            account: ready.config_dir.display().to_string(),
            directory: self.plan.cwd.display().to_string(),
        };
        let me = ctx.address();
        let spec = ready.spec;
        let ear: gate::Ear = Box::new(move |told| match told {
            gate::Told::Admitted => me.do_send(Admitted(Box::new(spec.clone()))),
            gate::Told::Waits(reason) => me.do_send(Waits(reason)),
            gate::Told::AskAgain => me.do_send(AskAgain),
        });
        self.shared.gate.do_send(gate::Ask(ticket, ear));
    }

    fn leave_gate(&mut self, through: bool) {
        if std::mem::take(&mut self.at_gate) {
            let process = self.plan.task.clone();
            // it shows no prompt: what it was not asked, another one may be
            self.shared.gate.do_send(gate::Leave { process, through, prompt: false });
        }
    }

    fn launch(&mut self, spec: RunSpec, ctx: &mut Context<Self>) {
        self.asked = true;
        let executable = self.shared.executable.clone();
        let start = async move { keeper::launch(&executable, &spec).await };
        ctx.spawn(start.into_actor(self).map(|report, actor, ctx| match report {
            StartReport::Started { keeper_pid, pid, .. } => {
                actor.lives(pid, keeper_pid);
                actor.open_link(ctx);
            }
            // one of before a panic came first: it is this very run
            StartReport::Exists => actor.open_link(ctx),
            StartReport::Failed { reason, message } => {
                let outcome = match reason {
                    StartFailure::Program | StartFailure::Cwd => Outcome::Final(message),
                    StartFailure::System => Outcome::Crash(message),
                };
                actor.never_began(outcome, ctx);
            }
        }));
    }

    fn lives(&self, pid: i32, keeper_pid: i32) {
        self.tell(News::Lives { pid, keeper_pid, session: self.session.clone() });
    }

    fn open_link(&mut self, ctx: &mut Context<Self>) {
        let (me, runs) = (ctx.address(), self.shared.places.runs());
        if !self.plan.command {
            let ear = me.clone();
            self.stream = Some(Stream::open(runs.clone(), self.plan.run_id.clone(), move |line| {
                ear.do_send(Wrote(line.map(Box::new)));
            }));
        }
        self.link = Some(Link::open(runs, self.plan.run_id.clone(), self.shared.clock, move |said| {
            me.do_send(Heard(said));
        }));
        if self.unwanted {
            self.stop();
        }
    }

    fn stop(&self) {
        if let Some(link) = &self.link {
            link.stop(STOP_GRACE_MS_DEFAULT);
        }
    }

    /// It has not begun: what the tasks hear is why.
    fn never_began(&mut self, outcome: Outcome, ctx: &mut Context<Self>) {
        self.over(News::Over(Box::new(Over { outcome, ..Over::default() })), ctx);
    }

    /// Nobody wants it any more and it has not begun: its name is closed for whoever might come late.
    fn seal(&mut self, ctx: &mut Context<Self>) {
        self.leave_gate(false);
        let (runs, id) = (self.shared.places.runs(), self.plan.run_id.clone());
        let closed = tokio::task::spawn_blocking(move || rundir::close_gate(&runs, &id));
        ctx.spawn(closed.into_actor(self).map(|closed, actor, ctx| match closed {
            Ok(Ok(true)) => actor.over(News::Lost, ctx),
            // somebody has passed it
            Ok(Ok(false)) => actor.find(ctx),
            Ok(Err(_)) | Err(_) => {
                ctx.run_later(Duration::from_millis(PROGRESS_MS), |actor, ctx| actor.seal(ctx));
            }
        }));
    }

    /// Looks what has become of a run that a daemon before this one has asked for.
    fn find(&mut self, ctx: &mut Context<Self>) {
        let (runs, id, now) = (self.shared.places.runs(), self.plan.run_id.clone(), self.shared.clock.at());
        let look = tokio::task::spawn_blocking(move || keeper::find(&runs, &id, now));
        ctx.wait(look.into_actor(self).map(|found, actor, ctx| match found {
            Ok(Found::Alive) => {
                actor.asked = true;
                actor.read_so_far(ctx);
                actor.open_link(ctx);
            }
            // its keeper went with the machine, which is no failure of the task's
            Ok(Found::Over(exit)) if exit.code.is_none() && exit.signal.is_none() => {
                actor.over(News::Lost, ctx);
            }
            Ok(Found::Over(exit)) => actor.ended(exit, ctx),
            Ok(Found::Never) => actor.seal(ctx),
            Err(e) => std::panic::resume_unwind(Box::new(e.to_string())),
        }));
    }

    /// What its Claude said while there was no daemon.
    fn read_so_far(&mut self, ctx: &mut Context<Self>) {
        if self.plan.command {
            return;
        }
        let dir = self.run_dir();
        let read = tokio::task::spawn_blocking(move || print::read(&dir, true));
        ctx.spawn(read.into_actor(self).map(|read, actor, ctx| {
            if let Ok(Ok(output)) = read {
                // what has come since is heard twice by it, which it bears
                actor.attempt = output.attempt;
                actor.follow(ctx);
            }
        }));
    }

    /// Tells how far it has come, if there is news.
    fn follow(&mut self, ctx: &mut Context<Self>) {
        if let Some(session) = self.attempt.session().filter(|s| self.session.as_deref() != Some(s)) {
            self.session = Some(session.to_owned());
            self.tell(News::Session(session.to_owned()));
        }
        if self.progress_rests {
            return;
        }
        let now = progress(&self.attempt);
        if self.told.as_ref() == Some(&now) {
            return;
        }
        self.told = Some(now.clone());
        self.tell(News::Progress { progress: now, cost_usd: self.attempt.progress().cost_usd });
        self.progress_rests = true;
        ctx.run_later(Duration::from_millis(PROGRESS_MS), |actor, ctx| {
            actor.progress_rests = false;
            actor.follow(ctx);
        });
    }

    /// Its run is over: all that it has written is read, and says what has come of it.
    fn ended(&mut self, exit: ExitRecord, ctx: &mut Context<Self>) {
        (self.link, self.stream) = (None, None);
        self.leave_gate(false);
        let (dir, claude) = (self.run_dir(), !self.plan.command);
        let read = tokio::task::spawn_blocking(move || print::read(&dir, claude));
        ctx.spawn(read.into_actor(self).map(move |read, actor, ctx| {
            let mut output = match read {
                Ok(Ok(output)) => output,
                Ok(Err(e)) => {
                    print::Output { tail: format!("its log cannot be read: {e}"), ..Default::default() }
                }
                Err(e) => print::Output { tail: e.to_string(), ..Default::default() },
            };
            let now = actor.shared.clock.at();
            let over = if claude {
                // lines that the log has dropped were heard as they came
                if actor.attempt.progress().turns > output.attempt.progress().turns {
                    output.attempt = std::mem::take(&mut actor.attempt);
                }
                of_claude(&output, exit, now)
            } else {
                of_command(output, exit)
            };
            actor.over(News::Over(Box::new(over)), ctx);
        }));
    }

    fn over(&mut self, news: News, ctx: &mut Context<Self>) {
        self.leave_gate(false);
        let over = lease::Input::Over(lease::End::Run(self.plan.run_id.clone()));
        self.shared.leases.do_send(TellLeases(over));
        if !self.plan.command {
            let (process_id, run_id) = (self.plan.task.clone(), self.plan.run_id.clone());
            self.shared.inbox.do_send(Tell(inbox::Input::RunOver { process_id, run_id }));
            let settings = settings::file(&self.shared.places, &self.plan.task);
            tokio::task::spawn_blocking(move || settings::remove(&settings));
        }
        self.tell(news);
        ctx.stop();
    }
}

/// What has become of an attempt.
#[derive(Debug)]
pub struct Over {
    /// How it ended.
    pub outcome: Outcome,
    /// Claude's session.
    pub session: Option<String>,
    /// What it has brought, if it has begun.
    pub brought: Option<TaskBrought>,
    /// The keeper was told to end it.
    pub stopped: bool,
}

impl Default for Over {
    fn default() -> Self {
        Self { outcome: Outcome::Success, session: None, brought: None, stopped: false }
    }
}

fn of_command(output: print::Output, exit: ExitRecord) -> Over {
    let outcome = match exit.code {
        // many programs end well when they are told to, in the middle of what they do
        Some(0) if !exit.stopped => Outcome::Success,
        _ => Outcome::Crash(exit.text()),
    };
    let stopped = exit.stopped;
    let result = TaskResult {
        text: Some(output.tail).filter(|text| !text.is_empty()),
        cut: output.cut,
        exit: Some(exit),
        ..TaskResult::default()
    };
    Over { outcome, session: None, brought: Some(TaskBrought { cost_usd: None, result }), stopped }
}

fn of_claude(output: &print::Output, exit: ExitRecord, now: i64) -> Over {
    let attempt = &output.attempt;
    let end = End { code: exit.code, signal: exit.signal, stderr_tail: &output.tail };
    let outcome = attempt.outcome(&end, now, zone::next);
    let report = attempt.report();
    let (text, cut) = match report.text {
        Some(text) if text.len() > ANSWER_BYTES_MAX => {
            (Some(text[..text.floor_char_boundary(ANSWER_BYTES_MAX)].to_owned()), true)
        }
        text => (text, false),
    };
    let tail = || Some(output.tail.trim().to_owned()).filter(|t| !t.is_empty());
    let stopped = exit.stopped;
    let result = TaskResult {
        text: text.or_else(tail),
        cut,
        files: report.files,
        denials: report
            .denied
            .into_iter()
            .map(|d| Denial { tool: d.name, what: digest::line(&d.what, TEXT_CHARS_MAX) })
            .collect(),
        turns: report.turns,
        input_tokens: report.tokens.input,
        output_tokens: report.tokens.output,
        duration_ms: report.duration_ms,
        exit: Some(exit),
    };
    let brought = Some(TaskBrought { cost_usd: report.cost_usd, result });
    Over { outcome, session: attempt.session().map(str::to_owned), brought, stopped }
}

fn progress(attempt: &Attempt) -> TaskProgress {
    let now = attempt.progress();
    let doing = match (&now.retrying, &now.tool) {
        (Some(retry), _) => {
            let status = retry.status.map(|s| format!(" after {s}")).unwrap_or_default();
            Some(format!("asks the API again{status}: {} of {}", retry.attempt, retry.most))
        }
        (None, Some(tool)) if tool.what.is_empty() => Some(tool.name.clone()),
        (None, Some(tool)) => Some(format!("{}: {}", tool.name, tool.what)),
        (None, None) => None,
    };
    TaskProgress {
        doing: doing.map(|text| digest::line(&text, DOING_CHARS_MAX)),
        turns: now.turns,
        input_tokens: now.tokens.input,
        output_tokens: now.tokens.output,
        text: now.text.map(|text| digest::line(&text, TEXT_CHARS_MAX)),
    }
}

/// All that it takes to say how a run is to be started.
struct Work {
    plan: Plan,
    runs_dir: PathBuf,
    claude_prefix: PathBuf,
    settings: Option<settings::Place>,
    mcp: Option<mcp::Place>,
    passed_on: IndexMap<String, String>,
}

/// A run that can be started.
struct Ready {
    spec: RunSpec,
    session: Option<String>,
    /// Claude's config directory.
    config_dir: PathBuf,
}

/// A command line, what its program reads, and Claude's session.
type CommandLine = (Vec<String>, Option<String>, Option<String>);

impl Work {
    /// Looks at the disk: is the directory there, is the program, has the session begun?
    fn prepare(self, store: &Store) -> Result<Ready, Outcome> {
        let plan = &self.plan;
        let (asked, own) = store
            .task_asked(&plan.task)
            .map_err(|e| Outcome::Crash(e.to_string()))?
            .ok_or_else(|| Outcome::Final("what was asked is not there any more".into()))?;
        if !plan.cwd.is_dir() {
            return Err(Outcome::Final(format!("the directory {} is not there", plan.cwd.display())));
        }
        let mut env = own.unwrap_or_else(|| self.passed_on.clone());
        if let Some(agent) = &plan.agent {
            env.extend(agent.env.clone());
        }
        env.extend(asked.env.clone());
        let config_dir = claude::config_dir(&env).unwrap_or_default();
        let (command, input, session) = if plan.command {
            let mut command = asked.command.clone();
            claude::locate(&mut command, &plan.cwd, &env, None).map_err(Outcome::Final)?;
            (command, None, None)
        } else {
            self.claude(&asked, &env)?
        };
        let spec = RunSpec {
            run_id: plan.run_id.clone(),
            process_id: plan.task.clone(),
            runs_dir: self.runs_dir.clone(),
            mode: Mode::Pipe,
            command,
            cwd: plan.cwd.clone(),
            env,
            size: Size { cols: 120, rows: 40 },
            history_bytes: HISTORY_BYTES_DEFAULT,
            log_bytes: LOG_BYTES_DEFAULT,
            log_files: LOG_FILES_DEFAULT,
            program_status: false,
            input,
        };
        Ok(Ready { spec, session, config_dir })
    }

    /// The command line of its Claude, what it reads, and its session.
    fn claude(&self, asked: &TaskAdd, env: &IndexMap<String, String>) -> Result<CommandLine, Outcome> {
        let plan = &self.plan;
        let Some(agent) = &plan.agent else {
            let name = &plan.agent_name;
            return Err(Outcome::Final(format!("the config has no agent {name} that is a Claude")));
        };
        let mut command = print::command(agent, asked, &plan.inherited);
        claude::locate(&mut command, &plan.cwd, env, Some(&self.claude_prefix)).map_err(Outcome::Final)?;
        let config_dir = claude::config_dir(env);
        if let Some(place) = &self.settings {
            let place = settings::Place { config_dir: config_dir.clone(), ..place.clone() };
            if let Err(e) = settings::inject(&mut command, &plan.cwd, &place) {
                // it works all the same; what it asks is not seen
                tracing::warn!(task = plan.task, "started without hooks: {e}");
            }
        }
        if let Some(place) = &self.mcp
            && let Err(e) = mcp::inject(&mut command, place)
        {
            tracing::warn!(task = plan.task, "started without our MCP server: {e}");
        }
        let session = session(plan, config_dir.as_deref());
        let (arguments, session) = claude::session_arguments(config_dir.as_deref(), &session, None);
        let resumes = arguments.first().is_some_and(|a| a == "--resume");
        claude::add_options(&mut command, arguments);
        let prompt = asked.prompt.clone().unwrap_or_default();
        let input = if resumes { GO_ON.to_owned() } else { prompt };
        Ok((command, Some(input), Some(session)))
    }
}

/// The session to go on with: the one that is known, or that of the newest attempt that has begun one. Sessions
/// are named after attempts, so that one is found again though a daemon was killed before it had written down
/// which it was.
fn session(plan: &Plan, config_dir: Option<&std::path::Path>) -> String {
    if let Some(session) = &plan.session {
        return session.clone();
    }
    let of = |attempt: u32| {
        let name = format!("wezterm-parallel task {}", run_of(&plan.task, attempt));
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
    };
    let begun =
        |session: &String| config_dir.is_some_and(|d| claude::look(d, session) == claude::Session::Begun);
    let since = plan.attempt.saturating_sub(SESSIONS_LOOKED_AT_MAX).max(plan.first).max(1);
    (since..plan.attempt).rev().map(of).find(begun).unwrap_or_else(|| of(plan.attempt))
}

/// Attempts before the present one whose sessions are looked for.
const SESSIONS_LOOKED_AT_MAX: u32 = 10;

impl Actor for RunActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.begin {
            Begin::Launch => self.prepare(ctx),
            Begin::Adopt => self.find(ctx),
        }
    }
}

impl Supervised for RunActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        (self.link, self.stream) = (None, None);
        self.attempt = Attempt::default();
        self.progress_rests = false;
        self.leave_gate(false);
        if self.asked {
            self.find(ctx);
        } else {
            self.seal(ctx);
        }
    }
}

/// It may start.
#[derive(Message)]
#[rtype(result = "()")]
struct Admitted(Box<RunSpec>);

impl Handler<Admitted> for RunActor {
    type Result = ();
    fn handle(&mut self, m: Admitted, ctx: &mut Context<Self>) {
        if self.unwanted {
            return self.seal(ctx);
        }
        // one that says nothing must not keep all others from starting
        ctx.run_later(Duration::from_millis(START_MS_MAX), |actor, _| actor.leave_gate(true));
        self.launch(*m.0, ctx);
    }
}

/// It waits in the queue of starts.
#[derive(Message)]
#[rtype(result = "()")]
struct Waits(String);

impl Handler<Waits> for RunActor {
    type Result = ();
    fn handle(&mut self, m: Waits, _: &mut Context<Self>) {
        self.tell(News::Waits(m.0));
    }
}

/// The queue of starts knows nothing of it any more.
#[derive(Message)]
#[rtype(result = "()")]
struct AskAgain;

impl Handler<AskAgain> for RunActor {
    type Result = ();
    fn handle(&mut self, _: AskAgain, ctx: &mut Context<Self>) {
        if !self.asked {
            self.prepare(ctx);
        }
    }
}

/// It is to end.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

impl Handler<Stop> for RunActor {
    type Result = ();
    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        let first = !std::mem::replace(&mut self.unwanted, true);
        if self.link.is_some() {
            self.stop();
        } else if first && self.at_gate && !self.asked {
            self.seal(ctx);
        }
    }
}

/// The tasks have lost it: they find its run again, and it goes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Abandon;

impl Handler<Abandon> for RunActor {
    type Result = ();
    fn handle(&mut self, _: Abandon, ctx: &mut Context<Self>) {
        (self.link, self.stream) = (None, None);
        self.leave_gate(false);
        ctx.stop();
    }
}

/// Its keeper said something.
#[derive(Message)]
#[rtype(result = "()")]
struct Heard(Said);

impl Handler<Heard> for RunActor {
    type Result = ();
    fn handle(&mut self, m: Heard, ctx: &mut Context<Self>) {
        match m.0 {
            Said::Welcome(welcome) => self.lives(welcome.pid, welcome.keeper_pid),
            Said::Exit(exit) => self.ended(exit, ctx),
            // there is no terminal
            Said::Status(_) | Said::Title(_) | Said::Progress(_) | Said::Attached(_) | Said::Looked => {}
        }
    }
}

/// Its Claude has written a line; none: some were lost.
#[derive(Message)]
#[rtype(result = "()")]
struct Wrote(Option<Box<Line>>);

impl Handler<Wrote> for RunActor {
    type Result = ();
    fn handle(&mut self, m: Wrote, ctx: &mut Context<Self>) {
        match m.0 {
            Some(line) => {
                // it is through: another one may start
                self.leave_gate(true);
                self.attempt.hear(&line);
                self.follow(ctx);
            }
            None => self.read_so_far(ctx),
        }
    }
}
