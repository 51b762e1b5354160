//! From calls to actors. The only place that matches on methods.

mod gui;
mod hook;
mod inbox;
mod layout;
mod lease;
mod limit;
mod project;
mod prompt;
mod rights;
mod session;
mod task;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::Addr;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, oneshot};
use wezterm_parallel_config::{project::only_the_users, to_yaml};
use wezterm_parallel_core::spec::{AgentSpec, ProcessSpec};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::{
    PROTOCOL,
    config::{Condition, Config, Process, Workspace},
    daemon::{
        ConfigPlan, ConfigTarget, ConfigTrust, DaemonStop, DaemonView, Empty, StatusView, Stopped, Text,
    },
    environment,
    error::{Code, Error},
    event::{Event, EventKind, EventList},
    evidence::Explanation,
    method::{self as call, Method},
    process::{AttachPoint, Kind, ProcessAdd, ProcessList, ProcessStop, ProcessTarget, ProcessView, Source},
    workspace::{WorkspaceCreate, WorkspaceOpen, WorkspaceRename, WorkspaceTarget, WorkspaceView},
};
use wezterm_parallel_store::{Change, EventFilter, ReplyRow, Take};

use crate::{
    actors::{
        config::{self, ConfigActor},
        gui::{End, GoOn},
        process::{Do, Explain, Order, ProcessActor},
        supervisor::{self, SupervisorActor},
        task::{self as task_actor, GroupOrder},
        workspace,
    },
    caller::Caller,
    effects::{
        ancestry::Ancestry,
        claude,
        mounts::{Look, Looks},
        wezterm,
    },
    listener::CONNECTIONS_MAX,
    shared::Shared,
};

/// Where a call came from, as far as it matters for the answer.
pub struct Router {
    shared: Rc<Shared>,
    supervisor: Addr<SupervisorActor>,
    config: Addr<ConfigActor>,
    started_at: i64,
    /// Calls with an idempotency key that are under way.
    under_way: RefCell<HashMap<String, Rc<Notify>>>,
    /// The daemon is ending.
    stopping: Cell<bool>,
    /// Number of the last hook that was held.
    holders: Cell<u64>,
    /// The WezTerm that was connected last.
    wezterm: wezterm::Last,
    /// Looks at directories that may not answer.
    looks: Looks,
    /// As many as there are connections of hooks that were held, and one more.
    held: Rc<()>,
    /// What agents were refused lately.
    refusals: rights::Refusals,
}

/// An answer, encoded.
pub type Answer = Result<Vec<u8>, Error>;

/// Parameters that any call that changes something may carry.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Keyed {
    key: Option<String>,
}

/// Hooks that are held at the same time. What is left of the connections is for panes, for commands, and
/// for who answers the hooks.
const HELD_MAX: u32 = CONNECTIONS_MAX / 4 * 3;
/// Longest idempotency key, in bytes: a few ULIDs.
const KEY_BYTES_MAX: usize = 128;
/// The agent that is meant where none is named.
const DEFAULT_AGENT: &str = "claude";
/// Processes that a workspace may have been given by commands when an agent adds one more: each takes 200 MB.
const ADDED_MAX: usize = 20;
/// Most events in one answer: they fit a frame.
const EVENTS_MAX: u32 = 1_000;

impl Router {
    /// The router of a daemon that began to serve at `started_at`.
    pub fn new(
        shared: Rc<Shared>,
        supervisor: Addr<SupervisorActor>,
        config: Addr<ConfigActor>,
        started_at: i64,
    ) -> Rc<Self> {
        Rc::new(Self {
            looks: Looks::new(&shared.home),
            shared,
            supervisor,
            config,
            started_at,
            under_way: RefCell::default(),
            stopping: Cell::new(false),
            holders: Cell::new(0),
            wezterm: wezterm::Last::default(),
            held: Rc::new(()),
            refusals: rights::Refusals::default(),
        })
    }

    fn next_holder(&self) -> u64 {
        self.holders.set(self.holders.get() + 1);
        self.holders.get()
    }

    /// Room for one more hook that waits, for as long as it is kept.
    fn room_to_hold(&self) -> Option<Rc<()>> {
        (Rc::strong_count(&self.held) <= HELD_MAX as usize).then(|| self.held.clone())
    }

    /// What every actor has.
    pub fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Answers a call. Parameters are the bytes of one map.
    pub async fn call(&self, caller: &Rc<Caller>, method: &str, params: &[u8]) -> Answer {
        let answer = match self.may_call(caller, method) {
            Ok(()) => self.dispatch(caller, method, params).await,
            Err(e) => Err(e),
        };
        if let Err(e) = &answer
            && e.code == Code::Forbidden
        {
            self.note_refusal(caller, method, e);
        }
        answer
    }

    async fn dispatch(&self, caller: &Rc<Caller>, method: &str, params: &[u8]) -> Answer {
        match method {
            // what only asks
            call::DaemonStatus::NAME => self.answer::<call::DaemonStatus>(params, |_| self.status()).await,
            call::ListWorkspaces::NAME => {
                self.answer::<call::ListWorkspaces>(params, async |_| Ok(self.shared.board.workspaces()))
                    .await
            }
            call::ListProcesses::NAME => {
                self.answer::<call::ListProcesses>(params, |p| self.list_processes(p)).await
            }
            call::AttachProcess::NAME => {
                self.answer::<call::AttachProcess>(params, async |p| self.attach(&p)).await
            }
            call::ExplainProcess::NAME => {
                self.answer::<call::ExplainProcess>(params, |p| self.explain(p)).await
            }
            call::ListSessions::NAME => {
                self.answer::<call::ListSessions>(params, |p| self.list_sessions(p)).await
            }
            call::ListLimits::NAME => self.answer::<call::ListLimits>(params, |_| self.list_limits()).await,
            call::ListLayouts::NAME => {
                self.answer::<call::ListLayouts>(params, |_| self.list_layouts()).await
            }
            call::ShowLayout::NAME => self.answer::<call::ShowLayout>(params, |p| self.show_layout(p)).await,
            call::LeftLayouts::NAME => {
                self.answer::<call::LeftLayouts>(params, |_| self.left_layouts()).await
            }
            call::ListProjects::NAME => {
                self.answer::<call::ListProjects>(params, |p| self.list_projects(p)).await
            }
            call::DiffConfig::NAME => self.answer::<call::DiffConfig>(params, |p| self.diff(p)).await,
            call::ShowConfig::NAME => self.answer::<call::ShowConfig>(params, |_| self.show()).await,
            call::ExportConfig::NAME => self.answer::<call::ExportConfig>(params, |_| self.export()).await,
            call::ListEvents::NAME => self.answer::<call::ListEvents>(params, |p| self.events(p)).await,
            call::ListPrompts::NAME => {
                self.answer::<call::ListPrompts>(params, |p| self.list_prompts(p)).await
            }
            call::WaitForPrompt::NAME => {
                self.answer::<call::WaitForPrompt>(params, |p| self.wait_for_prompt(p)).await
            }
            call::ListTasks::NAME => self.answer::<call::ListTasks>(params, |p| self.list_tasks(p)).await,
            call::ShowTask::NAME => {
                self.answer::<call::ShowTask>(params, |p| self.show_task(caller, p)).await
            }
            call::WaitForTasks::NAME => {
                self.answer::<call::WaitForTasks>(params, |p| self.wait_for_tasks(p)).await
            }
            call::ListGroups::NAME => self.answer::<call::ListGroups>(params, |_| self.list_groups()).await,
            call::ReportGroup::NAME => {
                self.answer::<call::ReportGroup>(params, |p| self.report_group(p)).await
            }
            call::ListLeases::NAME => self.answer::<call::ListLeases>(params, |_| self.list_leases()).await,
            call::ListAsks::NAME => self.answer::<call::ListAsks>(params, |p| self.list_asks(p)).await,
            call::ShowAsk::NAME => self.answer::<call::ShowAsk>(params, |p| self.show_ask(p)).await,
            call::TestRules::NAME => self.answer::<call::TestRules>(params, |p| self.test_rules(p)).await,
            call::ListGuis::NAME => self.answer::<call::ListGuis>(params, |_| self.list_guis()).await,
            call::WaitGui::NAME => {
                self.answer::<call::WaitGui>(params, |p| self.wait_for_news(caller, p)).await
            }
            call::AnnounceToGui::NAME => {
                self.answer::<call::AnnounceToGui>(params, |_| self.announce()).await
            }
            call::FocusGui::NAME => self.answer::<call::FocusGui>(params, |p| self.focus(p)).await,
            // not kept waiting for the disk: Claude waits for it
            call::ReportHook::NAME => {
                self.answer::<call::ReportHook>(params, |p| self.report_hook(caller, p)).await
            }
            // what changes something
            _ if self.stopping.get() => Err(Error::new(Code::ShuttingDown, "the daemon is ending")),
            // without a key: an answer that was kept would end a later daemon, and none of its runs
            call::StopDaemon::NAME => self.change(caller, method, params).await,
            // nor this: an answer that was kept would say that something is held that is not any more
            call::AcquireLease::NAME => self.change(caller, method, params).await,
            _ => self.once(caller, method, params).await,
        }
    }

    /// Carries out a call that changes something; of several with the same key, only the first.
    async fn once(&self, caller: &Rc<Caller>, method: &str, params: &[u8]) -> Answer {
        let Ok(Keyed { key: Some(key) }) = rmp_serde::from_slice(params) else {
            return self.change(caller, method, params).await;
        };
        if key.len() > KEY_BYTES_MAX {
            return Err(Error::new(Code::BadParams, format!("a key has at most {KEY_BYTES_MAX} bytes")));
        }
        let sha256: String = Sha256::digest(params).iter().map(|b| format!("{b:02x}")).collect();
        loop {
            let first = self.under_way.borrow().get(&key).cloned();
            let Some(first) = first else { break };
            first.notified().await;
        }
        if let Ok(Some(reply)) = self.shared.board.store().reply(&key) {
            if reply.method != method || reply.params_sha256 != sha256 {
                return Err(Error::new(Code::Conflict, "this key was used for another call")
                    .hint("use a new key for each thing that you want done"));
            }
            return Ok(reply.result);
        }
        let done = Rc::new(Notify::new());
        self.under_way.borrow_mut().insert(key.clone(), done.clone());
        let answer = self.change(caller, method, params).await;
        let mut kept = Ok(());
        if let Ok(result) = &answer {
            let row = ReplyRow {
                key: key.clone(),
                method: method.to_owned(),
                params_sha256: sha256,
                result: result.clone(),
                at: self.shared.clock.at(),
            };
            kept = self.shared.board.commit_and_wait(vec![Change::PutReply(row)], Vec::new()).await;
        }
        self.under_way.borrow_mut().remove(&key);
        done.notify_waiters();
        kept.and(answer)
    }

    /// Carries out a call that changes something, and answers when that is on the disk.
    async fn change(&self, caller: &Rc<Caller>, method: &str, params: &[u8]) -> Answer {
        let before = self.shared.board.refusals().0;
        let answer = self.carry_out(caller, method, params).await?;
        if method != call::StopDaemon::NAME {
            self.saved(before).await?;
        }
        Ok(answer)
    }

    async fn carry_out(&self, caller: &Rc<Caller>, method: &str, params: &[u8]) -> Answer {
        match method {
            call::StopDaemon::NAME => self.answer::<call::StopDaemon>(params, |p| self.stop(p)).await,
            call::CreateWorkspace::NAME => {
                self.answer::<call::CreateWorkspace>(params, |p| self.create(p)).await
            }
            call::OpenWorkspace::NAME => self.answer::<call::OpenWorkspace>(params, |p| self.open(p)).await,
            call::CloseWorkspace::NAME => {
                self.answer::<call::CloseWorkspace>(params, |p| self.close(p)).await
            }
            call::DeleteWorkspace::NAME => {
                self.answer::<call::DeleteWorkspace>(params, |p| self.delete(p)).await
            }
            call::RenameWorkspace::NAME => {
                self.answer::<call::RenameWorkspace>(params, |p| self.rename(p)).await
            }
            call::AddProcess::NAME => self.answer::<call::AddProcess>(params, |p| self.add(caller, p)).await,
            call::AdoptProcess::NAME => self.answer::<call::AdoptProcess>(params, |p| self.adopt(p)).await,
            call::RemoveProcess::NAME => self.answer::<call::RemoveProcess>(params, |p| self.remove(p)).await,
            call::StartProcess::NAME => {
                self.answer::<call::StartProcess>(params, |p: ProcessTarget| {
                    self.order_by(caller, p.workspace, p.process, Order::Start)
                })
                .await
            }
            call::StopProcess::NAME => {
                self.answer::<call::StopProcess>(params, |p: ProcessStop| {
                    self.order_by(caller, p.workspace, p.process, Order::Stop { now: p.now })
                })
                .await
            }
            call::RestartProcess::NAME => {
                self.answer::<call::RestartProcess>(params, |p: ProcessStop| {
                    self.order_by(caller, p.workspace, p.process, Order::Restart { now: p.now })
                })
                .await
            }
            call::SeeProcess::NAME => {
                self.answer::<call::SeeProcess>(params, |p: ProcessTarget| {
                    self.order(p.workspace, p.process, Order::Seen)
                })
                .await
            }
            call::SendPrompt::NAME => self.answer::<call::SendPrompt>(params, |p| self.send(caller, p)).await,
            call::CancelPrompt::NAME => {
                self.answer::<call::CancelPrompt>(params, |p| self.cancel_prompt(p)).await
            }
            call::AddTask::NAME => self.answer::<call::AddTask>(params, |p| self.add_task(caller, p)).await,
            call::ImportTasks::NAME => {
                self.answer::<call::ImportTasks>(params, |p| self.import_tasks(p)).await
            }
            call::CancelTask::NAME => {
                self.answer::<call::CancelTask>(params, |p| self.cancel_task(caller, p)).await
            }
            call::RetryTask::NAME => {
                self.answer::<call::RetryTask>(params, |p| self.retry_task(caller, p)).await
            }
            call::EditTask::NAME => self.answer::<call::EditTask>(params, |p| self.edit_task(p)).await,
            call::PauseTask::NAME => {
                self.answer::<call::PauseTask>(params, |p| self.pause_task(caller, p)).await
            }
            call::ResumeTask::NAME => {
                self.answer::<call::ResumeTask>(params, |p| self.resume_task(caller, p)).await
            }
            call::PauseGroup::NAME => {
                self.answer::<call::PauseGroup>(params, |p| self.order_group(p, GroupOrder::Pause)).await
            }
            call::ResumeGroup::NAME => {
                self.answer::<call::ResumeGroup>(params, |p| self.order_group(p, GroupOrder::Resume)).await
            }
            call::AcquireLease::NAME => {
                self.answer::<call::AcquireLease>(params, |p| self.acquire_lease(caller, p)).await
            }
            call::ReleaseLease::NAME => {
                self.answer::<call::ReleaseLease>(params, |p| self.release_lease(caller, p)).await
            }
            call::OpenLimit::NAME => self.answer::<call::OpenLimit>(params, |p| self.open_limit(p)).await,
            call::AllowAsk::NAME => {
                self.answer::<call::AllowAsk>(params, |p| self.allow_ask(caller, p)).await
            }
            call::DenyAsk::NAME => self.answer::<call::DenyAsk>(params, |p| self.deny_ask(caller, p)).await,
            call::AnswerAsk::NAME => {
                self.answer::<call::AnswerAsk>(params, |p| self.answer_ask(caller, p)).await
            }
            call::ShowInGui::NAME => self.answer::<call::ShowInGui>(params, |p| self.show_in_gui(p)).await,
            call::SaveLayout::NAME => self.answer::<call::SaveLayout>(params, |p| self.save_layout(p)).await,
            call::DeleteLayout::NAME => {
                self.answer::<call::DeleteLayout>(params, |p| self.delete_layout(p)).await
            }
            call::PlanLayout::NAME => {
                self.answer::<call::PlanLayout>(params, |p| self.plan_layout(caller, p)).await
            }
            call::KeepLayout::NAME => self.answer::<call::KeepLayout>(params, |p| self.keep_layout(p)).await,
            call::ReloadConfig::NAME => self.answer::<call::ReloadConfig>(params, |_| self.reload()).await,
            call::TrustProject::NAME => {
                self.answer::<call::TrustProject>(params, |p| self.trust(p, true)).await
            }
            call::UntrustProject::NAME => {
                self.answer::<call::UntrustProject>(params, |p| self.trust(p, false)).await
            }
            _ => Err(Error::new(Code::UnknownMethod, format!("there is no method `{method}`"))
                .hint("see docs/PROTOCOL.md for all")),
        }
    }

    async fn answer<M: Method>(
        &self,
        params: &[u8],
        carry_out: impl AsyncFnOnce(M::Params) -> Result<M::Result, Error>,
    ) -> Answer
    where
        M::Params: DeserializeOwned,
        M::Result: Serialize,
    {
        let params = rmp_serde::from_slice(params).map_err(|e| {
            Error::new(Code::BadParams, format!("the parameters of {} do not fit: {e}", M::NAME))
        })?;
        let result = carry_out(params).await?;
        rmp_serde::to_vec_named(&result).map_err(|e| Error::new(Code::Internal, e.to_string()))
    }

    async fn status(&self) -> Result<StatusView, Error> {
        let board = &self.shared.board;
        let standing = self.config.send(config::Ask).await.map_err(gone)?;
        Ok(StatusView {
            daemon: DaemonView {
                pid: std::process::id().cast_signed(),
                version: env!("CARGO_PKG_VERSION").into(),
                protocol: PROTOCOL[1],
                socket: self.shared.places.socket(),
                config: self.shared.places.config.clone(),
                config_generation: standing.generation,
                config_error: standing.error,
                started_at: self.started_at,
                problem: board.problem(),
            },
            workspaces: board.workspaces(),
            processes: board.processes(),
        })
    }

    async fn list_processes(&self, p: ProcessList) -> Result<Vec<ProcessView>, Error> {
        let mut all = self.shared.board.processes();
        if let Some(workspace) = &p.workspace {
            let name = self.workspace_view(workspace)?.name;
            all.retain(|v| v.workspace == name);
        }
        if p.all {
            all.extend(self.foreign().await);
        }
        Ok(all)
    }

    fn workspace_view(&self, target: &str) -> Result<WorkspaceView, Error> {
        let mut all = self.shared.board.workspaces().into_iter();
        all.find(|w| w.name == target || w.id == target).ok_or_else(|| {
            Error::new(Code::NotFound, format!("there is no workspace {target}"))
                .hint("`wezterm-parallel workspace list` shows all")
        })
    }

    /// Which process is meant: `PROCESS`, `WORKSPACE/PROCESS`, or an id.
    fn process_view(&self, workspace: Option<&str>, process: &str) -> Result<ProcessView, Error> {
        let all = self.shared.board.processes();
        if let Some(view) = all.iter().find(|v| v.id == process) {
            return Ok(view.clone());
        }
        let (workspace, name) = match (workspace, process.split_once('/')) {
            (Some(w), _) => (Some(self.workspace_view(w)?.name), process),
            (None, Some((w, p))) => (Some(self.workspace_view(w)?.name), p),
            (None, None) => (None, process),
        };
        let fits = |v: &&ProcessView| v.name == name && workspace.as_ref().is_none_or(|w| *w == v.workspace);
        let found: Vec<&ProcessView> = all.iter().filter(fits).collect();
        match found[..] {
            [one] => Ok(one.clone()),
            [] => Err(Error::new(Code::NotFound, format!("there is no process {process}"))
                .hint("`wezterm-parallel process list` shows all")),
            _ => {
                let names: Vec<String> =
                    found.iter().map(|v| format!("{}/{}", v.workspace, v.name)).collect();
                Err(Error::new(Code::Conflict, format!("several processes are called {process}"))
                    .hint(format!("say which: {}", names.join(", "))))
            }
        }
    }

    async fn process_actor(&self, view: &ProcessView) -> Result<Addr<ProcessActor>, Error> {
        let find = supervisor::FindWorkspace(view.workspace.clone());
        let workspace = self.supervisor.send(find).await.map_err(gone)??;
        let found = workspace.send(workspace::Find(view.id.clone())).await.map_err(gone)?;
        found.ok_or_else(|| Error::new(Code::NotFound, format!("{} is being removed", view.name)))
    }

    /// The same, of an agent as well: it may have itself, and the programs of its workspace.
    async fn order_by(
        &self,
        caller: &Caller,
        workspace: Option<String>,
        process: String,
        order: Order,
    ) -> Result<ProcessView, Error> {
        let view = self.process_view(workspace.as_deref(), &process)?;
        let plain = view.kind == Kind::Command && view.agent.is_none();
        let own = match self.ancestry(caller) {
            Ancestry::User => true,
            Ancestry::Process(by) => by.id == view.id || (plain && by.workspace == view.workspace),
            Ancestry::Task(by) => plain && by.workspace.as_ref() == Some(&view.workspace),
            Ancestry::Unknown => false,
        };
        if !own {
            self.only_user(caller, "start or end other agents, or what is of another workspace")?;
        }
        self.order(workspace, process, order).await
    }

    async fn order(
        &self,
        workspace: Option<String>,
        process: String,
        order: Order,
    ) -> Result<ProcessView, Error> {
        let view = self.process_view(workspace.as_deref(), &process)?;
        let actor = self.process_actor(&view).await?;
        let (reply, answer) = oneshot::channel();
        actor.do_send(Do { order, environment: None, reply });
        answer.await.map_err(|_| fault())?
    }

    /// Waits until everything that has been done so far is on the disk. `before` is how many commits had
    /// been refused when the call began: one more since, and its effect may not be kept.
    async fn saved(&self, before: u64) -> Result<(), Error> {
        let board = &self.shared.board;
        board.commit_and_wait(Vec::new(), Vec::new()).await?;
        match board.refusals() {
            (now, Some(e)) if now > before => Err(e),
            _ => Ok(()),
        }
    }

    fn attach(&self, p: &ProcessTarget) -> Result<AttachPoint, Error> {
        let process = self.process_view(p.workspace.as_deref(), &p.process)?;
        let run_dir = process.run_id.as_ref().map(|id| self.shared.places.runs().join(id));
        Ok(AttachPoint { process, run_dir, seq: self.shared.board.seq() })
    }

    async fn explain(&self, p: ProcessTarget) -> Result<Explanation, Error> {
        let view = self.process_view(p.workspace.as_deref(), &p.process)?;
        self.process_actor(&view).await?.send(Explain).await.map_err(gone)
    }

    async fn create(&self, p: WorkspaceCreate) -> Result<WorkspaceView, Error> {
        let cwd = self.directory(p.cwd).await?;
        if let Some(layout) = &p.layout {
            self.usable_layout(layout).await?;
        }
        let before = self.shared.board.refusals().0;
        let create = supervisor::Create { name: p.name, cwd, layout: p.layout };
        let id = self.supervisor.send(create).await.map_err(gone)??;
        if let Err(e) = self.saved(before).await {
            self.supervisor.send(supervisor::DeleteIt(id)).await.map_err(gone)??;
            return Err(e);
        }
        self.workspace_view(&id)
    }

    async fn open(&self, p: WorkspaceOpen) -> Result<WorkspaceView, Error> {
        let environment = client_environment(p.environment);
        let open = supervisor::OpenIt { workspace: p.workspace, environment };
        let id = self.supervisor.send(open).await.map_err(gone)??;
        self.workspace_view(&id)
    }

    async fn close(&self, p: WorkspaceTarget) -> Result<WorkspaceView, Error> {
        let id = self.supervisor.send(supervisor::CloseIt(p.workspace)).await.map_err(gone)??;
        self.workspace_view(&id)
    }

    async fn delete(&self, p: WorkspaceTarget) -> Result<Empty, Error> {
        self.supervisor.send(supervisor::DeleteIt(p.workspace)).await.map_err(gone)??;
        Ok(Empty {})
    }

    async fn rename(&self, p: WorkspaceRename) -> Result<WorkspaceView, Error> {
        let rename = supervisor::RenameIt { workspace: p.workspace, name: p.name };
        let id = self.supervisor.send(rename).await.map_err(gone)??;
        // the actor has taken the name when it answers the next question
        let find = supervisor::FindWorkspace(id.clone());
        let actor = self.supervisor.send(find).await.map_err(gone)??;
        let _ = actor.send(workspace::Find(String::new())).await.map_err(gone)?;
        self.workspace_view(&id)
    }

    async fn add(&self, caller: &Caller, mut p: ProcessAdd) -> Result<ProcessView, Error> {
        let mut environment = client_environment(std::mem::take(&mut p.environment));
        self.may_add(caller, &p)?;
        let cwd = match self.adder(caller).await? {
            None => self.find_session(&mut p, environment.as_deref()).await?,
            Some(adder) => {
                // what it is itself in is said in an environment that it could have changed
                environment = None;
                self.add_within_leave(caller, &mut p, adder)?
            }
        };
        self.make(p, cwd, environment).await
    }

    /// Refuses an agent another process than one like itself, and gives that what it has itself: it may do no
    /// more. Gives the directory to run in.
    fn add_within_leave(
        &self,
        caller: &Caller,
        p: &mut ProcessAdd,
        adder: task::Adder,
    ) -> Result<Option<PathBuf>, Error> {
        let home = self.workspace_view(&p.workspace)?;
        let other = p.agent.is_some() && p.agent.as_deref() != adder.agent.as_deref();
        let refused = [
            ("add processes to another workspace", adder.workspace.as_ref() != Some(&home.name)),
            ("start another agent than itself", other),
            ("go on with a session", p.resume.is_some() || p.fork.is_some()),
        ];
        if let Some((what, _)) = refused.iter().find(|(_, refused)| *refused) {
            self.only_user(caller, what)?;
        }
        let made = |v: &&ProcessView| v.workspace == home.name && v.source == Source::Runtime;
        if self.shared.board.processes().iter().filter(made).count() >= ADDED_MAX {
            let message = format!("{ADDED_MAX} processes were added to {} already", home.name);
            return Err(Error::new(Code::Busy, message).hint("add a task instead, or ask your user"));
        }
        p.agent = adder.agent;
        // behind the prompt: an option of theirs may take all words that follow
        claude::add_options(&mut p.command, adder.inherited);
        Ok((adder.cwd != home.cwd).then_some(adder.cwd))
    }

    /// Refuses an agent a process that has more leave than itself: a program that would count as its
    /// user's, since it runs outside of every agent, and a Claude with arguments that no project may give.
    fn may_add(&self, caller: &Caller, p: &ProcessAdd) -> Result<(), Error> {
        let claude = p.agent.as_deref().is_none_or(|name| name == DEFAULT_AGENT);
        let plain = p.agent.is_none() && !p.command.is_empty();
        let option = match claude {
            true => only_the_users(&p.command),
            // what another agent takes nobody knows here
            false => p.command.iter().map(String::as_str).find(|arg| arg.starts_with('-')),
        };
        match option {
            _ if plain => self.only_user(caller, "run a program outside of itself"),
            Some(option) => self.only_user(caller, &format!("start an agent with `{option}`")),
            None => Ok(()),
        }
    }

    /// Makes a process, in this directory if that is not its workspace's, and starts it.
    async fn make(
        &self,
        p: ProcessAdd,
        cwd: Option<PathBuf>,
        environment: Option<Arc<IndexMap<String, String>>>,
    ) -> Result<ProcessView, Error> {
        let home = self.workspace_view(&p.workspace)?.name;
        let before = self.shared.board.refusals().0;
        let add = supervisor::Add { add: p, cwd, environment };
        let (workspace, name) = self.supervisor.send(add).await.map_err(gone)??;
        let made = workspace.send(workspace::FindByName(name.clone())).await.map_err(gone)?;
        let actor = made.ok_or_else(fault)?;
        let (reply, answer) = oneshot::channel();
        // it starts whatever its workspace does: whoever adds a process wants it to run
        actor.do_send(Do { order: Order::Start, environment: None, reply });
        let started = answer.await.map_err(|_| fault())?;
        let saved = self.saved(before).await;
        match (started, saved) {
            (Ok(view), Ok(())) => Ok(view),
            (Err(e), _) | (_, Err(e)) => {
                // what could not be had is not left lying about
                let remove = supervisor::Remove { workspace: home, process: name };
                self.supervisor.send(remove).await.map_err(gone)??;
                Err(e)
            }
        }
    }

    async fn remove(&self, p: ProcessTarget) -> Result<Empty, Error> {
        let view = self.process_view(p.workspace.as_deref(), &p.process)?;
        let remove = supervisor::Remove { workspace: view.workspace, process: view.name };
        self.supervisor.send(remove).await.map_err(gone)??;
        Ok(Empty {})
    }

    /// A directory as a client names it: absolute, there, without links on the way.
    async fn directory(&self, path: PathBuf) -> Result<PathBuf, Error> {
        let shown = path.display().to_string();
        if !path.is_absolute() {
            return Err(Error::new(Code::BadParams, format!("{shown} is not an absolute path")));
        }
        let look = |path: PathBuf, look: &Look| {
            let found = look.resolve(&path).map(|path| path.is_dir().then_some(path));
            (Some(found), Vec::new())
        };
        let missing = |why: &str| Error::new(Code::CwdMissing, format!("{shown}{why}"));
        match self.looks.at(vec![path], look).await.pop() {
            Some(Some(Some(path))) => Ok(path),
            Some(Some(None)) => Err(missing(" is not a directory")),
            Some(None) => Err(missing(": no such directory, or what it lies on does not answer")
                .hint("make the directory first")),
            None => Err(missing(" lies on something that does not answer")
                .hint("is its server there? `ls` in it waits as well")),
        }
    }

    /// Those of these directories that are not there. One that does not answer is as good as gone.
    async fn away(&self, directories: Vec<PathBuf>) -> HashSet<PathBuf> {
        let all = directories.clone();
        let look = |path: PathBuf, look: &Look| {
            let there = look.resolve(&path).is_some_and(|path| path.is_dir());
            (there.then_some(path), Vec::new())
        };
        let there: HashSet<PathBuf> = self.looks.at(all, look).await.into_iter().collect();
        directories.into_iter().filter(|dir| !there.contains(dir)).collect()
    }

    async fn stop(&self, p: DaemonStop) -> Result<Stopped, Error> {
        self.stopping.set(true);
        // first of all, as the ends of runs are news that GUIs would be fetching when nobody is left to say
        // it: they would start a daemon again that was stopped
        let _ = self.shared.gui.send(End).await;
        let stopped = self.end_runs(p).await;
        if stopped.is_err() {
            // it stays, and so does what it is for
            self.shared.ending.set(false);
            self.stopping.set(false);
            let _ = self.shared.gui.send(GoOn).await;
            if let Some(tasks) = self.shared.tasks.get() {
                tasks.do_send(task_actor::GoOn);
            }
        }
        stopped
    }

    /// Ends all runs, if they are not to be kept.
    async fn end_runs(&self, p: DaemonStop) -> Result<Stopped, Error> {
        let board = &self.shared.board;
        let running = board.processes().iter().filter(|v| v.pid.is_some()).count();
        let running = u32::try_from(running).unwrap_or(u32::MAX);
        let runs_dir = self.shared.places.runs();
        let alive =
            |v: &ProcessView| v.keeper_pid.and(v.run_id.as_ref()).map(|id| rundir::run_dir(&runs_dir, id));
        let mut keepers: Vec<PathBuf> = board.processes().iter().filter_map(alive).collect();
        let tasks: Vec<PathBuf> = self.task_runs();
        let running = running.saturating_add(u32::try_from(tasks.len()).unwrap_or(u32::MAX));
        keepers.extend(tasks);
        let stopped = if p.keep {
            Stopped { ended: 0, kept: running }
        } else {
            let processes = self.supervisor.send(supervisor::EndAll);
            let (tasks, processes) = futures_util::future::join(self.end_tasks(), processes).await;
            tasks?;
            processes.map_err(gone)?;
            until_gone(keepers).await;
            Stopped { ended: running, kept: 0 }
        };
        let event = Event::new(EventKind::DaemonStopping);
        // a full disk must not keep the daemon from ending
        let _ = board.commit_and_wait(Vec::new(), vec![event]).await;
        Ok(stopped)
    }

    async fn diff(&self, p: ConfigTarget) -> Result<ConfigPlan, Error> {
        let (reply, answer) = oneshot::channel();
        self.config.do_send(config::Diff { path: p.path, reply });
        answer.await.map_err(|_| fault())?
    }

    async fn reload(&self) -> Result<ConfigPlan, Error> {
        let (reply, answer) = oneshot::channel();
        self.config.do_send(config::Reload(reply));
        answer.await.map_err(|_| fault())?
    }

    async fn trust(&self, p: ConfigTrust, trust: bool) -> Result<ConfigPlan, Error> {
        let (reply, answer) = oneshot::channel();
        self.config.do_send(config::Trust { path: p.path, trust, reply });
        answer.await.map_err(|_| fault())?
    }

    async fn show(&self) -> Result<Text, Error> {
        Ok(Text { text: self.config.send(config::Ask).await.map_err(gone)?.text })
    }

    async fn export(&self) -> Result<Text, Error> {
        let desired = self.supervisor.send(supervisor::Wanted).await.map_err(gone)?;
        let mut config = Config::default();
        for (name, spec) in &desired.workspaces {
            let made: IndexMap<String, Process> = spec
                .processes
                .iter()
                .filter(|(_, p)| p.source == Source::Runtime)
                .map(|(name, p)| {
                    (
                        name.clone(),
                        exported(p, &spec.cwd, desired.agents.get(p.agent.as_deref().unwrap_or_default())),
                    )
                })
                .collect();
            if spec.source == Source::Runtime || !made.is_empty() {
                let workspace = Workspace {
                    cwd: spec.cwd.clone(),
                    strategy: spec.strategy,
                    on_crash_loop: spec.on_crash_loop,
                    layout: spec.layout.clone(),
                    env: IndexMap::new(),
                    processes: made,
                };
                config.workspaces.insert(name.clone(), workspace);
            }
        }
        Ok(Text { text: to_yaml(&config) })
    }

    async fn events(&self, p: EventList) -> Result<Vec<Event>, Error> {
        let limit = p.limit.unwrap_or(EVENTS_MAX).min(EVENTS_MAX);
        let store = self.shared.board.store().clone();
        let take = if p.since.is_some() { Take::Oldest } else { Take::Newest };
        let filter = EventFilter { topics: Vec::new(), take };
        let read =
            tokio::task::spawn_blocking(move || store.events_since(p.since.unwrap_or(0), limit, &filter));
        let events = read.await.map_err(|_| fault())?;
        events.map(|e| e.events).map_err(|e| Error::new(Code::Storage, e.to_string()))
    }
}

/// How long keepers may take to end after they have said that their run is over. They take a few ms.
const KEEPERS_GONE: Duration = Duration::from_secs(5);

/// Waits until the keepers of these runs are gone.
async fn until_gone(runs: Vec<PathBuf>) {
    let all = async {
        for run in runs {
            while rundir::is_alive(&run) {
                tokio::time::sleep(KEEPER_LOOK).await;
            }
        }
    };
    if tokio::time::timeout(KEEPERS_GONE, all).await.is_err() {
        tracing::warn!("some keepers have not ended in time");
    }
}

/// Between two looks at a keeper that is about to end: it has nothing left to do but to leave.
const KEEPER_LOOK: Duration = Duration::from_millis(2);

/// A process as it would stand in the config.
fn exported(p: &ProcessSpec, workspace: &Path, agent: Option<&AgentSpec>) -> Process {
    let after: IndexMap<String, Condition> = p.after.clone();
    let cwd = (p.cwd != workspace).then(|| p.cwd.clone());
    let skip = agent.map_or(0, |a| a.command.len() + a.args.len());
    let (agent, command, args) = match &p.agent {
        Some(name) => (Some(name.clone()), None, p.command.get(skip..).unwrap_or_default().to_vec()),
        None => (None, Some(p.command.clone()), Vec::new()),
    };
    Process { agent, command, args, cwd, after, autostart: p.autostart, ..Process::default() }
}

/// A client's environment, if it sent one.
fn client_environment(all: IndexMap<String, String>) -> Option<Arc<IndexMap<String, String>>> {
    (!all.is_empty()).then(|| Arc::new(environment::without_outer(all)))
}

/// Asks the disk something, which may take its time, on another thread.
async fn off_thread<T: Send + 'static>(ask: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(ask).await.map_err(|_| fault())
}

fn gone(e: actix::MailboxError) -> Error {
    Error::new(Code::Internal, format!("a part of the daemon did not answer ({e})"))
        .hint("the daemon's log has more: `wezterm-parallel doctor` says where it is")
}

fn fault() -> Error {
    Error::new(Code::Internal, "a part of the daemon failed before it had answered")
        .hint("the daemon's log has more: `wezterm-parallel doctor` says where it is")
}

#[cfg(test)]
mod tests {
    use actix::{Actor, AsyncContext as _, Context};
    use futures_util::future::join;
    use wezterm_parallel_schemas::{
        gui::{GuiNews, GuiView, GuiWait},
        places::Places,
    };
    use wezterm_parallel_store::Store;

    use super::*;
    use crate::{
        actors::gui::GuiActor, board::Board, clock::Clock, guard, layouts::Layouts, sessions::Sessions,
        shared::panic_report,
    };

    /// The address of an actor that is gone.
    fn nobody<A: Actor<Context = Context<A>>>() -> Addr<A> {
        Context::new().address()
    }

    /// A router of a daemon in which only GUIs are served: every other actor is gone.
    fn router(dir: &Path) -> Rc<Router> {
        let (store, _) = Store::open(dir).expect("a store");
        let clock = Clock::start();
        let board = Board::start(store, 0, clock, None);
        let gui = GuiActor::new(board.clone(), clock, Vec::new(), &[]);
        let shared = Shared {
            places: Places::new(|_| None, dir),
            home: dir.to_owned(),
            executable: dir.join("wezterm-parallel"),
            boot_id: String::new(),
            clock,
            gate: nobody(),
            sessions: Sessions::default(),
            registry: nobody(),
            limits: nobody(),
            environment: RefCell::default(),
            last_word: 0,
            ending: Cell::new(false),
            agents: Rc::default(),
            prompts: RefCell::default(),
            layouts: Layouts::new(Vec::new()),
            inbox: nobody(),
            gui: guard::start("gui".into(), gui, panic_report(board.clone())),
            leases: nobody(),
            tasks: std::cell::OnceCell::new(),
            task_homes: RefCell::default(),
            on: nobody(),
            board,
        };
        Router::new(Rc::new(shared), nobody(), nobody(), clock.at())
    }

    async fn ask<M: Method>(router: &Router, params: &M::Params) -> Result<M::Result, Error> {
        let caller = Rc::new(Caller::new(Some(std::process::id().cast_signed())));
        let params = rmp_serde::to_vec_named(params).expect("it encodes");
        let answer = router.call(&caller, M::NAME, &params).await?;
        Ok(rmp_serde::from_slice(&answer).expect("it decodes"))
    }

    #[actix::test]
    async fn after_a_stop_that_failed_guis_and_commands_are_served_as_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let router = router(dir.path());
        let wait = GuiWait { gui: "one".into(), turn: 1, ..GuiWait::default() };
        let first: GuiNews = ask::<call::WaitGui>(&router, &wait).await.expect("all there is");
        let next = GuiWait { after: Some(first.seq), daemon: Some(first.daemon), ..wait.clone() };
        let stop = DaemonStop::default();
        let (told, stopped) =
            join(ask::<call::WaitGui>(&router, &next), ask::<call::StopDaemon>(&router, &stop)).await;
        assert_eq!(told.expect_err("the daemon ends").code, Code::ShuttingDown);
        assert_eq!(stopped.expect_err("nobody is there to end the runs").code, Code::Internal);

        let guis: Vec<GuiView> = ask::<call::ListGuis>(&router, &Empty {}).await.expect("an answer");
        assert_eq!(guis.iter().map(|g| g.waiting).collect::<Vec<_>>(), [0], "its call was answered");
        let again = ask::<call::WaitGui>(&router, &wait).await.map(|news| news.whole);
        assert_eq!(again, Ok(true));
        let refused = ask::<call::DeleteWorkspace>(&router, &WorkspaceTarget::default()).await;
        assert_eq!(refused.expect_err("there is none").code, Code::Internal, "it is carried out");
    }
}
