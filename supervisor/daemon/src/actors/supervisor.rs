//! The root of the tree.
//!
//! Owns: what is meant to be there, from the config and from commands, and the actors of all
//! workspaces. Receives: configs, orders of the router. Sends: definitions and orders to workspaces,
//! limits to the gate. Dies when: the daemon ends. After a panic it goes on with the workspaces it has.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use actix::{
    Actor, Addr, AsyncContext as _, Context, Handler, Message, MessageResult, ResponseFuture, Supervised,
};
use indexmap::IndexMap;
use tokio::sync::oneshot;
use wezterm_parallel_config::{Dirs, resolve};
use wezterm_parallel_core::{
    layout::Member,
    plan,
    spec::{Desired, ProcessSpec, WorkspaceSpec},
};
use wezterm_parallel_schemas::{
    config::{Config, Process, Resume, Workspace},
    daemon::ConfigChange,
    error::{Code, Error},
    event::{Event, EventKind},
    process::{Kind, ProcessAdd, Source},
};
use wezterm_parallel_store::{Change, ProcessRow, RunRow, WorkspaceRow};

use super::{
    gate, gui, inbox, on, task,
    workspace::{Close, DefineWorkspace, Delete, Open, Rename, WorkspaceActor},
};
use crate::{effects::claude, shared::Shared};

/// See the module.
pub struct SupervisorActor {
    shared: Rc<Shared>,
    home: PathBuf,
    desired: Desired,
    config: Config,
    problems: IndexMap<String, String>,
    workspaces: HashMap<String, Entry>,
    /// Names of workspaces that are still ending: nothing of the name is made before.
    deleting: HashSet<String>,
    me: Option<Addr<Self>>,
    /// What was in the store; taken when the actor starts.
    stored: Stored,
}

struct Entry {
    id: String,
    address: Addr<WorkspaceActor>,
}

/// What the store has of workspaces.
#[derive(Default)]
pub struct Stored {
    /// Workspaces.
    pub workspaces: Vec<WorkspaceRow>,
    /// Processes.
    pub processes: Vec<ProcessRow>,
    /// Runs.
    pub runs: Vec<RunRow>,
    /// What to start of it.
    pub resume: Resume,
}

impl SupervisorActor {
    /// The root, over what the store has.
    pub fn new(shared: Rc<Shared>, home: PathBuf, stored: Stored) -> Self {
        Self {
            shared,
            home,
            desired: Desired::default(),
            config: Config::default(),
            problems: IndexMap::new(),
            workspaces: HashMap::new(),
            deleting: HashSet::new(),
            me: None,
            stored,
        }
    }

    /// Makes what is there into `desired`.
    fn become_as(&mut self, desired: Desired) -> Vec<oneshot::Receiver<()>> {
        let mut waits = Vec::new();
        let gone: Vec<String> =
            self.workspaces.keys().filter(|n| !desired.workspaces.contains_key(*n)).cloned().collect();
        for name in gone {
            if let Some(entry) = self.workspaces.remove(&name) {
                let (told, wait) = oneshot::channel();
                entry.address.do_send(Delete { told });
                self.deleting.insert(name.clone());
                let (tell, deleted) = oneshot::channel();
                waits.push(deleted);
                let me = self.me.clone();
                actix_rt::spawn(async move {
                    // an error is an actor that is gone: that is what is waited for
                    let _ = wait.await;
                    if let Some(me) = me {
                        me.do_send(Deleted(name));
                    }
                    let _ = tell.send(());
                });
            }
        }
        for (position, (name, spec)) in desired.workspaces.iter().enumerate() {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            let known = self.workspaces.contains_key(name);
            if !known && !self.deleting.contains(name) {
                self.make(name, spec, position);
            }
            let Some(entry) = self.workspaces.get(name) else { continue };
            let (told, wait) = oneshot::channel();
            entry.address.do_send(DefineWorkspace {
                spec: spec.clone(),
                position,
                problem: self.problems.get(name).cloned(),
                told,
            });
            waits.push(wait);
        }
        let limits = desired.agents.iter().map(|(name, a)| (name.clone(), a.start_at_once)).collect();
        self.shared.gate.do_send(gate::Limit(limits, desired.daemon.min_free_memory));
        self.shared.inbox.do_send(inbox::Rules(desired.permissions.clone()));
        self.shared.gui.do_send(gui::Wanted(desired.notify.clone()));
        if let Some(tasks) = self.shared.tasks.get() {
            tasks.do_send(task::Config { tasks: desired.tasks.clone(), agents: desired.agents.clone() });
        }
        self.shared.on.do_send(on::Wanted(desired.on.clone()));
        self.shared.layouts.become_as(&desired);
        self.desired = desired;
        waits
    }

    /// A workspace that is new: open, and as yet without processes.
    fn make(&mut self, name: &str, spec: &WorkspaceSpec, position: u32) {
        let row = WorkspaceRow {
            id: ulid::Ulid::generate().to_string(),
            name: name.to_owned(),
            source: spec.source,
            spec: WorkspaceSpec { processes: IndexMap::new(), ..spec.clone() },
            open: true,
            position,
        };
        let event = Event {
            workspace: Some(name.to_owned()),
            id: Some(row.id.clone()),
            ..Event::new(EventKind::WorkspaceAdded)
        };
        self.shared.board.commit(vec![Change::PutWorkspace(row.clone())], vec![event], None);
        let id = row.id.clone();
        let address = WorkspaceActor::start(self.shared.clone(), row, Vec::new(), Resume::Open, None);
        self.workspaces.insert(name.to_owned(), Entry { id, address });
    }

    fn entry(&self, target: &str) -> Result<(&String, &Entry), Error> {
        self.workspaces
            .iter()
            .find(|(name, e)| *name == target || e.id == target)
            .ok_or_else(|| no_workspace(target))
    }

    /// The definition of a process that a command wants.
    fn define(
        &self,
        add: &ProcessAdd,
        cwd: Option<&Path>,
        workspace: &str,
        spec: &WorkspaceSpec,
    ) -> Result<(String, ProcessSpec), Error> {
        let agent = match (&add.agent, add.command.is_empty()) {
            (Some(agent), _) => Some(agent.clone()),
            (None, true) => Some("claude".to_owned()),
            (None, false) => None,
        };
        let program = add.command.first().map(|p| p.rsplit('/').next().unwrap_or(p).to_owned());
        let wish = add.name.clone().or_else(|| agent.clone()).or(program).unwrap_or_default();
        let name = match &add.name {
            Some(name) if spec.processes.contains_key(name) => {
                return Err(Error::new(Code::Exists, format!("{workspace} has a process {name} already"))
                    .hint("choose another name"));
            }
            Some(name) => name.clone(),
            None => (1u32..)
                .map(|n| if n == 1 { wish.clone() } else { format!("{wish}-{n}") })
                .find(|n| !spec.processes.contains_key(n))
                .unwrap_or(wish),
        };
        let process = match agent {
            Some(agent) => Process { agent: Some(agent), args: add.command.clone(), ..Process::default() },
            None => Process { command: Some(add.command.clone()), ..Process::default() },
        };
        let process = Process { cwd: cwd.filter(|d| *d != spec.cwd).map(Path::to_owned), ..process };
        // resolved as if it stood in the config, so that both kinds get the same defaults and checks
        let mut config = self.config.clone();
        let own = Workspace {
            cwd: spec.cwd.clone(),
            processes: [(name.clone(), process)].into(),
            ..Workspace::default()
        };
        config.workspaces = [(workspace.to_owned(), own)].into();
        let dirs = Dirs { home: &self.home, base: &spec.cwd, saved: None };
        let resolved = resolve(&config, dirs).map_err(|problems| {
            let text: Vec<String> = problems.iter().map(|p| p.message.clone()).collect();
            Error::new(Code::BadParams, text.join("; "))
        })?;
        let made = resolved.desired.workspaces.get(workspace).and_then(|w| w.processes.get(&name)).cloned();
        let Some(made) = made else { return Err(Error::new(Code::Internal, "the process was not resolved")) };
        if (add.resume.is_some() || add.fork.is_some())
            && (made.kind != Kind::Claude || claude::chooses_session(&made.command))
        {
            return Err(Error::new(
                Code::BadParams,
                "only a Claude has sessions, and it can be given only one",
            )
            .hint("leave out the session, or the arguments that choose another"));
        }
        Ok((
            name,
            ProcessSpec {
                source: Source::Runtime,
                resume: add.resume.clone(),
                fork: add.fork.clone(),
                ..made
            },
        ))
    }
}

/// Waits until all of these have been told, or are gone, which is as good.
pub async fn all_told(waits: Vec<oneshot::Receiver<()>>) {
    for wait in waits {
        let _ = wait.await;
    }
}

fn no_workspace(name: &str) -> Error {
    Error::new(Code::NotFound, format!("there is no workspace {name}"))
        .hint("`wezterm-parallel workspace list` shows all")
}

/// Names as the config has them.
fn check_name(name: &str) -> Result<(), Error> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() <= 64 && name.chars().all(good) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Error::new(Code::BadName, format!("`{name}` cannot be a name"))
        .hint("use up to 64 letters, digits, `.`, `_` and `-`, and begin with a letter or a digit"))
}

impl Actor for SupervisorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.me = Some(ctx.address());
        let stored = std::mem::take(&mut self.stored);
        let mut runs: HashMap<String, Vec<RunRow>> = HashMap::new();
        for run in stored.runs {
            runs.entry(run.process_id.clone()).or_default().push(run);
        }
        let mut processes: HashMap<String, Vec<(ProcessRow, Vec<RunRow>)>> = HashMap::new();
        for row in stored.processes {
            let own = runs.remove(&row.id).unwrap_or_default();
            processes.entry(row.workspace_id.clone()).or_default().push((row, own));
        }
        for row in stored.workspaces {
            let own = processes.remove(&row.id).unwrap_or_default();
            let specs = own.iter().map(|(p, _)| (p.name.clone(), p.spec.clone())).collect();
            let spec = WorkspaceSpec { processes: specs, ..row.spec.clone() };
            self.desired.workspaces.insert(row.name.clone(), spec);
            let (name, id) = (row.name.clone(), row.id.clone());
            let address = WorkspaceActor::start(self.shared.clone(), row, own, stored.resume, None);
            self.workspaces.insert(name, Entry { id, address });
        }
    }
}

impl Supervised for SupervisorActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        // each workspace is told again what it is, in case the panic came between two of them
        drop(self.become_as(self.desired.clone()));
    }
}

/// Make what is there into this, as far as the config has to say.
#[derive(Message)]
#[rtype(result = "Adopted")]
pub struct Adopt {
    /// What the config wants.
    pub desired: Desired,
    /// The config, for what commands make.
    pub config: Config,
    /// What is wrong with projects, by workspace.
    pub problems: IndexMap<String, String>,
}

/// What came of it.
pub struct Adopted {
    /// What changed.
    pub changes: Vec<ConfigChange>,
    /// What is still going on.
    pub waits: Vec<oneshot::Receiver<()>>,
}

impl Handler<Adopt> for SupervisorActor {
    type Result = MessageResult<Adopt>;
    fn handle(&mut self, m: Adopt, _: &mut Context<Self>) -> Self::Result {
        let plan = plan::diff(&self.desired, &m.desired);
        let problems_changed = self.problems != m.problems;
        self.problems = m.problems;
        self.config = m.config;
        for name in &plan.shadowed {
            self.problems.entry(name.split('/').next().unwrap_or(name).to_owned()).or_insert_with(|| {
                format!("the config's {name} is left out: a command has made a different one of that name")
            });
        }
        let changes = plan.changes();
        let waits = if plan.is_empty() && !problems_changed {
            Vec::new()
        } else {
            let desired = plan.apply(&self.desired);
            self.become_as(desired)
        };
        MessageResult(Adopted { changes, waits })
    }
}

/// A workspace is gone; if one of its name is wanted by now, it may come.
#[derive(Message)]
#[rtype(result = "()")]
struct Deleted(String);

impl Handler<Deleted> for SupervisorActor {
    type Result = ();
    fn handle(&mut self, m: Deleted, _: &mut Context<Self>) {
        self.deleting.remove(&m.0);
        if self.desired.workspaces.contains_key(&m.0) {
            drop(self.become_as(self.desired.clone()));
        }
    }
}

/// What adopting this would change.
#[derive(Message)]
#[rtype(result = "Vec<ConfigChange>")]
pub struct Preview(pub Desired);

impl Handler<Preview> for SupervisorActor {
    type Result = MessageResult<Preview>;
    fn handle(&mut self, m: Preview, _: &mut Context<Self>) -> Self::Result {
        MessageResult(plan::diff(&self.desired, &m.0).changes())
    }
}

/// What is meant to be there.
#[derive(Message)]
#[rtype(result = "Desired")]
pub struct Wanted;

impl Handler<Wanted> for SupervisorActor {
    type Result = MessageResult<Wanted>;
    fn handle(&mut self, _: Wanted, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.desired.clone())
    }
}

/// The processes that a workspace is meant to have, also those that have not shown themselves yet.
#[derive(Message)]
#[rtype(result = "Result<Vec<Member>, Error>")]
pub struct Members(
    /// The workspace's name or id.
    pub String,
);

impl Handler<Members> for SupervisorActor {
    type Result = Result<Vec<Member>, Error>;
    fn handle(&mut self, m: Members, _: &mut Context<Self>) -> Self::Result {
        let (name, _) = self.entry(&m.0)?;
        let own = self.desired.workspaces.get(name).ok_or_else(|| no_workspace(name))?;
        let member = |(name, p): (&String, &ProcessSpec)| Member {
            name: name.clone(),
            agent: p.agent.clone(),
            command: p.command.clone(),
            cwd: p.cwd.clone(),
        };
        Ok(own.processes.iter().map(member).collect())
    }
}

/// The actor of a workspace, by name or id.
#[derive(Message)]
#[rtype(result = "Result<Addr<WorkspaceActor>, Error>")]
pub struct FindWorkspace(pub String);

impl Handler<FindWorkspace> for SupervisorActor {
    type Result = Result<Addr<WorkspaceActor>, Error>;
    fn handle(&mut self, m: FindWorkspace, _: &mut Context<Self>) -> Self::Result {
        self.entry(&m.0).map(|(_, e)| e.address.clone())
    }
}

/// Make a workspace. Gives its id.
#[derive(Message)]
#[rtype(result = "Result<String, Error>")]
pub struct Create {
    /// Its name.
    pub name: String,
    /// Its directory, absolute; looked at by the caller.
    pub cwd: PathBuf,
    /// Its layout.
    pub layout: Option<String>,
}

impl Handler<Create> for SupervisorActor {
    type Result = Result<String, Error>;
    fn handle(&mut self, m: Create, _: &mut Context<Self>) -> Self::Result {
        check_name(&m.name)?;
        if self.workspaces.contains_key(&m.name) || self.deleting.contains(&m.name) {
            return Err(Error::new(Code::Exists, format!("there is a workspace {} already", m.name))
                .hint("choose another name, or `workspace open` that one"));
        }
        let spec = WorkspaceSpec {
            cwd: m.cwd,
            source: Source::Runtime,
            strategy: Default::default(),
            on_crash_loop: Default::default(),
            layout: m.layout,
            processes: IndexMap::new(),
        };
        let mut desired = self.desired.clone();
        desired.workspaces.insert(m.name.clone(), spec);
        drop(self.become_as(desired));
        self.entry(&m.name).map(|(_, e)| e.id.clone())
    }
}

/// Open a workspace.
#[derive(Message)]
#[rtype(result = "Result<String, Error>")]
pub struct OpenIt {
    /// Its name or id.
    pub workspace: String,
    /// Environment of whoever opens it.
    pub environment: Option<Arc<IndexMap<String, String>>>,
}

impl Handler<OpenIt> for SupervisorActor {
    type Result = ResponseFuture<Result<String, Error>>;
    fn handle(&mut self, m: OpenIt, _: &mut Context<Self>) -> Self::Result {
        let found = self.entry(&m.workspace).map(|(_, e)| (e.id.clone(), e.address.clone()));
        Box::pin(async move {
            let (id, address) = found?;
            let _ = address.send(Open { environment: m.environment }).await;
            Ok(id)
        })
    }
}

/// Close a workspace; answered when its processes are gone.
#[derive(Message)]
#[rtype(result = "Result<String, Error>")]
pub struct CloseIt(
    /// Its name or id.
    pub String,
);

impl Handler<CloseIt> for SupervisorActor {
    type Result = ResponseFuture<Result<String, Error>>;
    fn handle(&mut self, m: CloseIt, _: &mut Context<Self>) -> Self::Result {
        let found = self.entry(&m.0).map(|(_, e)| (e.id.clone(), e.address.clone()));
        Box::pin(async move {
            let (id, address) = found?;
            let (told, wait) = oneshot::channel();
            address.do_send(Close { told, stay_open: false });
            wait.await.map_err(|_| {
                Error::new(Code::Conflict, "it was opened again before it was closed")
                    .hint("`process list` shows what runs")
            })?;
            Ok(id)
        })
    }
}

/// Delete a workspace that a command has made; answered when nothing of it is left.
#[derive(Message)]
#[rtype(result = "Result<(), Error>")]
pub struct DeleteIt(
    /// Its name or id.
    pub String,
);

impl Handler<DeleteIt> for SupervisorActor {
    type Result = ResponseFuture<Result<(), Error>>;
    fn handle(&mut self, m: DeleteIt, _: &mut Context<Self>) -> Self::Result {
        let name = match self.of_command(&m.0) {
            Ok(name) => name,
            Err(e) => return Box::pin(async { Err(e) }),
        };
        let mut desired = self.desired.clone();
        desired.workspaces.shift_remove(&name);
        let waits = self.become_as(desired);
        Box::pin(async move {
            all_told(waits).await;
            Ok(())
        })
    }
}

/// Rename a workspace that a command has made. Gives its id.
#[derive(Message)]
#[rtype(result = "Result<String, Error>")]
pub struct RenameIt {
    /// Its name or id.
    pub workspace: String,
    /// The new name.
    pub name: String,
}

impl Handler<RenameIt> for SupervisorActor {
    type Result = Result<String, Error>;
    fn handle(&mut self, m: RenameIt, _: &mut Context<Self>) -> Self::Result {
        let old = self.of_command(&m.workspace)?;
        check_name(&m.name)?;
        if self.workspaces.contains_key(&m.name) || self.deleting.contains(&m.name) {
            return Err(Error::new(Code::Exists, format!("there is a workspace {} already", m.name)));
        }
        let Some(entry) = self.workspaces.remove(&old) else { return Err(no_workspace(&old)) };
        entry.address.do_send(Rename(m.name.clone()));
        let id = entry.id.clone();
        self.workspaces.insert(m.name.clone(), entry);
        self.desired.workspaces = std::mem::take(&mut self.desired.workspaces)
            .into_iter()
            .map(|(n, spec)| if n == old { (m.name.clone(), spec) } else { (n, spec) })
            .collect();
        Ok(id)
    }
}

impl SupervisorActor {
    /// The name of a workspace that commands may change.
    fn of_command(&self, target: &str) -> Result<String, Error> {
        let (name, _) = self.entry(target)?;
        match self.desired.workspaces.get(name).map(|w| w.source) {
            Some(Source::Runtime) => Ok(name.clone()),
            _ => Err(Error::new(Code::ManagedByConfig, format!("the workspace {name} stands in the config"))
                .hint(format!("edit {}", self.shared.places.config.display()))),
        }
    }
}

/// How a process would be defined that is to be made. Makes nothing.
#[derive(Message)]
#[rtype(result = "Result<ProcessSpec, Error>")]
pub struct Would {
    /// What is wanted.
    pub add: ProcessAdd,
    /// Where it is to run, if not in its workspace's directory.
    pub cwd: Option<PathBuf>,
}

impl Handler<Would> for SupervisorActor {
    type Result = Result<ProcessSpec, Error>;
    fn handle(&mut self, m: Would, _: &mut Context<Self>) -> Self::Result {
        self.wish(&m.add, m.cwd.as_deref()).map(|wish| wish.spec)
    }
}

/// Make a process. Gives its workspace's actor and the process's name, once it has its actor.
#[derive(Message)]
#[rtype(result = "Result<(Addr<WorkspaceActor>, String), Error>")]
pub struct Add {
    /// What is wanted.
    pub add: ProcessAdd,
    /// Where it is to run, if not in its workspace's directory.
    pub cwd: Option<PathBuf>,
    /// Environment of whoever wants it.
    pub environment: Option<Arc<IndexMap<String, String>>>,
}

impl Handler<Add> for SupervisorActor {
    type Result = Result<(Addr<WorkspaceActor>, String), Error>;
    fn handle(&mut self, m: Add, _: &mut Context<Self>) -> Self::Result {
        let Wish { workspace, process, spec } = self.wish(&m.add, m.cwd.as_deref())?;
        if let Some(session) = &m.add.resume {
            self.is_free(session)?;
        }
        let address = self.entry(&workspace)?.1.address.clone();
        let mut desired = self.desired.clone();
        if let Some(w) = desired.workspaces.get_mut(&workspace) {
            w.processes.insert(process.clone(), spec);
        }
        drop(self.become_as(desired));
        if let Some(environment) = m.environment {
            address.do_send(super::workspace::Lend { process: process.clone(), environment });
        }
        Ok((address, process))
    }
}

/// A process as it is to be made.
struct Wish {
    workspace: String,
    process: String,
    spec: ProcessSpec,
}

impl SupervisorActor {
    fn wish(&self, add: &ProcessAdd, cwd: Option<&Path>) -> Result<Wish, Error> {
        let workspace = self.entry(&add.workspace)?.0.clone();
        if let Some(name) = &add.name {
            check_name(name)?;
        }
        let own = self.desired.workspaces.get(&workspace).ok_or_else(|| no_workspace(&workspace))?;
        let (process, spec) = self.define(add, cwd, &workspace, own)?;
        Ok(Wish { workspace, process, spec })
    }

    /// Whether no process of ours has a session, or is meant to run with it.
    fn is_free(&self, session: &str) -> Result<(), Error> {
        let shown = self.shared.board.processes();
        let processes = self
            .desired
            .workspaces
            .iter()
            .flat_map(|(w, spec)| spec.processes.iter().map(move |(name, process)| (w, name, process)));
        for (workspace, name, spec) in processes {
            let view = shown.iter().find(|v| v.workspace == *workspace && v.name == *name);
            let now = view.and_then(|v| v.session_id.as_deref());
            // before its first start it has what its definition says
            let own = now.or(spec.resume.as_deref()).or(claude::chosen_session(&spec.command));
            if own == Some(session) {
                return Err(Error::new(Code::Conflict, format!("the session {session} belongs to {workspace}/{name}"))
                    .hint(format!(
                        "`process start {workspace}/{name}` goes on with it; `--fork {session}` begins a new one from it"
                    )));
            }
        }
        Ok(())
    }
}

/// Remove a process that a command has made; answered when nothing of it is left.
#[derive(Message)]
#[rtype(result = "Result<(), Error>")]
pub struct Remove {
    /// Its workspace's name.
    pub workspace: String,
    /// Its name.
    pub process: String,
}

impl Handler<Remove> for SupervisorActor {
    type Result = ResponseFuture<Result<(), Error>>;
    fn handle(&mut self, m: Remove, _: &mut Context<Self>) -> Self::Result {
        let mut desired = self.desired.clone();
        let removed =
            desired.workspaces.get_mut(&m.workspace).and_then(|w| w.processes.shift_remove(&m.process));
        let refused = match removed.map(|p| p.source) {
            None => Some(Error::new(Code::NotFound, format!("{} has no process {}", m.workspace, m.process))),
            Some(Source::Runtime | Source::Foreign) => None,
            Some(Source::Config | Source::Project) => Some(
                Error::new(
                    Code::ManagedByConfig,
                    format!("{}/{} stands in the config", m.workspace, m.process),
                )
                .hint("take it out of the file; `process stop` ends it for now"),
            ),
        };
        if let Some(e) = refused {
            return Box::pin(async { Err(e) });
        }
        let waits = self.become_as(desired);
        Box::pin(async move {
            all_told(waits).await;
            Ok(())
        })
    }
}

/// End every run. Answered when all are gone. What is meant to run stays meant to.
#[derive(Message)]
#[rtype(result = "()")]
pub struct EndAll;

impl Handler<EndAll> for SupervisorActor {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: EndAll, _: &mut Context<Self>) -> Self::Result {
        self.shared.ending.set(true);
        let close = |address: &Addr<WorkspaceActor>| {
            let (told, wait) = oneshot::channel();
            address.do_send(Close { told, stay_open: true });
            wait
        };
        let waits: Vec<_> =
            self.workspaces.values().map(|entry| (entry.address.clone(), close(&entry.address))).collect();
        Box::pin(async move {
            for (address, wait) in waits {
                if wait.await.is_err() {
                    // it was opened, or panicked, meanwhile: once more
                    let _ = close(&address).await;
                }
            }
        })
    }
}
