//! What a new config changes, compared with what is meant to be there now: the steps, in the order in
//! which they are done, and a line of words for each.
//!
//! Removals come first and in reverse start order, as anything is stopped; then what is applied without
//! touching what runs; then restarts and additions, in start order. What a command has made
//! ([`Source::Runtime`]) belongs to the user, not to the file: no step touches it.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use wezterm_parallel_schemas::{
    config::Rule,
    daemon::{ConfigAction, ConfigChange},
    layout::Layout,
    on::OnEvent,
    process::Source,
};

use crate::spec::{
    AgentSpec, BackoffSpec, DaemonSpec, Desired, NotifySpec, OnSpec, ProcessSpec, RestartSpec, TasksSpec,
    WorkspaceSpec,
};

/// One step of a plan, with all that is needed to do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// A process goes: stop it and forget it.
    RemoveProcess {
        /// Its workspace.
        workspace: String,
        /// Its name.
        process: String,
    },
    /// A workspace goes; its processes have gone in the steps before.
    RemoveWorkspace {
        /// Its name.
        workspace: String,
    },
    /// An agent goes. What runs of it goes on.
    RemoveAgent {
        /// Its name.
        agent: String,
    },
    /// What the daemon keeps to is another.
    ChangeDaemon {
        /// The keys that differ.
        keys: Vec<String>,
        /// What it keeps to from now on.
        to: DaemonSpec,
    },
    /// What is decided of agents' requests without asking is another.
    ChangePermissions {
        /// The rules from now on.
        to: Vec<Rule>,
    },
    /// What the user is told by a toast is another.
    ChangeNotify {
        /// The keys that differ.
        keys: Vec<String>,
        /// What is told from now on.
        to: NotifySpec,
    },
    /// Another number of tasks may run at once. Those that run go on.
    ChangeTasks {
        /// The keys that differ.
        keys: Vec<String>,
        /// What is kept to from now on.
        to: TasksSpec,
    },
    /// What is run when something happens is another.
    ChangeOn {
        /// The events whose hooks differ.
        keys: Vec<String>,
        /// What is run from now on.
        to: IndexMap<OnEvent, Vec<OnSpec>>,
    },
    /// A template for panes comes to be, goes, or is another. Panes that are there stay as they are.
    ChangeLayout {
        /// Its name.
        layout: String,
        /// What it was, if it was there.
        from: Option<Layout>,
        /// What it is from now on, if it is there.
        to: Option<Layout>,
    },
    /// The directories whose subdirectories are offered are others.
    ChangeProjectRoots {
        /// They, from now on.
        to: Vec<PathBuf>,
    },
    /// An agent comes to be.
    AddAgent {
        /// Its name.
        agent: String,
        /// What it is.
        to: AgentSpec,
    },
    /// An agent is another. Processes that differ by it have steps of their own.
    ChangeAgent {
        /// Its name.
        agent: String,
        /// The keys that differ.
        keys: Vec<String>,
        /// What it is from now on.
        to: AgentSpec,
    },
    /// A workspace comes to be, as yet without processes.
    AddWorkspace {
        /// Its name.
        workspace: String,
        /// What it is; its `processes` are empty.
        to: WorkspaceSpec,
    },
    /// A workspace is another, while what runs in it goes on.
    ChangeWorkspace {
        /// Its name.
        workspace: String,
        /// The keys that differ; `order` if the start order does.
        keys: Vec<String>,
        /// What it is from now on; its `processes` are empty.
        to: WorkspaceSpec,
        /// Its processes in start order, without those that are yet to be added.
        order: Vec<String>,
    },
    /// A process has another definition, which holds from its next start on or for its supervisor only.
    ChangeProcess {
        /// Its workspace.
        workspace: String,
        /// Its name.
        process: String,
        /// The keys that differ.
        keys: Vec<String>,
        /// What it is from now on.
        to: ProcessSpec,
    },
    /// A process has another definition for which it must be started again, if it runs.
    RestartProcess {
        /// Its workspace.
        workspace: String,
        /// Its name.
        process: String,
        /// The keys that differ, also those that would not need it.
        keys: Vec<String>,
        /// What it is from now on.
        to: ProcessSpec,
    },
    /// A process comes to be.
    AddProcess {
        /// Its workspace.
        workspace: String,
        /// Its name.
        process: String,
        /// Its place in the start order when this step is done.
        position: usize,
        /// What it is.
        to: ProcessSpec,
    },
}

/// What a new config changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps, in the order in which they are done.
    pub steps: Vec<Step>,
    /// Workspaces (`WORKSPACE`) and processes (`WORKSPACE/PROCESS`) of the new config that are left out:
    /// a command has made a different one of that name.
    pub shadowed: Vec<String>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// A line for each step.
    pub fn changes(&self) -> Vec<ConfigChange> {
        self.steps.iter().map(Step::change).collect()
    }

    /// What is meant to be there once all steps are done.
    pub fn apply(&self, old: &Desired) -> Desired {
        let mut desired = old.clone();
        for step in &self.steps {
            step.apply(&mut desired);
        }
        desired
    }
}

/// The steps from `old` to `new`. `old` is what is meant to be there now, with what commands have made;
/// `new` comes from files alone. Empty if they do not differ.
///
/// A definition that a command has made and that stands in `new` to the letter goes over to the file,
/// untouched: so what `config export` prints can be pasted. A workspace that the file drops while it
/// holds processes of commands stays for them, and goes over to the commands.
pub fn diff(old: &Desired, new: &Desired) -> Plan {
    let mut parts = Parts::default();
    diff_daemon(old, new, &mut parts);
    if old.permissions != new.permissions {
        parts.changes.push(Step::ChangePermissions { to: new.permissions.clone() });
    }
    diff_notify(&old.notify, &new.notify, &mut parts);
    diff_tasks(&old.tasks, &new.tasks, &mut parts);
    diff_on(&old.on, &new.on, &mut parts);
    diff_layouts(old, new, &mut parts);
    if old.project_roots != new.project_roots {
        parts.changes.push(Step::ChangeProjectRoots { to: new.project_roots.clone() });
    }
    diff_agents(old, new, &mut parts);
    for (name, from) in &old.workspaces {
        if from.source != Source::Runtime && !new.workspaces.contains_key(name) {
            remove_workspace(name, from, &mut parts);
        }
    }
    for (name, to) in &new.workspaces {
        match old.workspaces.get(name) {
            None => add_workspace(name, to, &mut parts),
            Some(from) if from.source == Source::Runtime && from.cwd != to.cwd => {
                parts.shadowed.push(name.clone());
            }
            Some(from) => diff_workspace(name, from, to, &mut parts),
        }
    }
    // gathered in file order; to be undone in reverse
    parts.removals.reverse();
    let Parts { removals, agents_gone, changes, restarts, adds, shadowed } = parts;
    Plan { steps: [removals, agents_gone, changes, restarts, adds].concat(), shadowed }
}

/// The steps as they are gathered.
#[derive(Default)]
struct Parts {
    removals: Vec<Step>,
    agents_gone: Vec<Step>,
    changes: Vec<Step>,
    restarts: Vec<Step>,
    adds: Vec<Step>,
    shadowed: Vec<String>,
}

fn diff_daemon(old: &Desired, new: &Desired, parts: &mut Parts) {
    let DaemonSpec { resume, min_free_memory } = &old.daemon;
    let mut keys = Keys::default();
    keys.differ("resume", resume != &new.daemon.resume);
    keys.differ("min_free_memory", min_free_memory != &new.daemon.min_free_memory);
    if let Some(keys) = keys.any() {
        parts.changes.push(Step::ChangeDaemon { keys, to: new.daemon.clone() });
    }
}

fn diff_notify(old: &NotifySpec, new: &NotifySpec, parts: &mut Parts) {
    let NotifySpec {
        blocked,
        failed,
        crash_loop,
        finished,
        limit,
        config,
        task_failed,
        tasks_done,
        long_turn,
        at_most,
        quiet_hours,
    } = old;
    let mut keys = Keys::default();
    keys.differ("blocked", *blocked != new.blocked);
    keys.differ("failed", *failed != new.failed);
    keys.differ("crash_loop", *crash_loop != new.crash_loop);
    keys.differ("finished", *finished != new.finished);
    keys.differ("limit", *limit != new.limit);
    keys.differ("config", *config != new.config);
    keys.differ("task_failed", *task_failed != new.task_failed);
    keys.differ("tasks_done", *tasks_done != new.tasks_done);
    keys.differ("long_turn", *long_turn != new.long_turn);
    keys.differ("at_most", *at_most != new.at_most);
    keys.differ("quiet_hours", *quiet_hours != new.quiet_hours);
    if let Some(keys) = keys.any() {
        parts.changes.push(Step::ChangeNotify { keys, to: new.clone() });
    }
}

fn diff_tasks(old: &TasksSpec, new: &TasksSpec, parts: &mut Parts) {
    let TasksSpec { parallel, groups } = old;
    let mut keys = Keys::default();
    keys.differ("parallel", *parallel != new.parallel);
    keys.differ("groups", *groups != new.groups);
    if let Some(keys) = keys.any() {
        parts.changes.push(Step::ChangeTasks { keys, to: new.clone() });
    }
}

fn diff_on(old: &IndexMap<OnEvent, Vec<OnSpec>>, new: &IndexMap<OnEvent, Vec<OnSpec>>, parts: &mut Parts) {
    let mut keys = Keys::default();
    let gone = old.keys().filter(|event| !new.contains_key(*event));
    for event in gone.chain(new.keys()) {
        keys.differ(event.name(), old.get(event) != new.get(event));
    }
    if let Some(keys) = keys.any() {
        parts.changes.push(Step::ChangeOn { keys, to: new.clone() });
    }
}

fn diff_layouts(old: &Desired, new: &Desired, parts: &mut Parts) {
    let gone = old.layouts.keys().filter(|name| !new.layouts.contains_key(*name));
    for layout in gone.chain(new.layouts.keys()) {
        let (from, to) = (old.layouts.get(layout).cloned(), new.layouts.get(layout).cloned());
        if from != to {
            parts.changes.push(Step::ChangeLayout { layout: layout.clone(), from, to });
        }
    }
}

fn diff_agents(old: &Desired, new: &Desired, parts: &mut Parts) {
    for agent in old.agents.keys().filter(|name| !new.agents.contains_key(*name)) {
        parts.agents_gone.push(Step::RemoveAgent { agent: agent.clone() });
    }
    for (name, to) in &new.agents {
        match old.agents.get(name) {
            None => parts.changes.push(Step::AddAgent { agent: name.clone(), to: to.clone() }),
            Some(from) => {
                let AgentSpec { kind, command, args, env, start_at_once, screen, status, on_limit, mcp } =
                    from;
                let mut keys = Keys::default();
                keys.differ("kind", kind != &to.kind);
                keys.differ("command", command != &to.command);
                keys.differ("args", args != &to.args);
                keys.env(env, &to.env);
                keys.differ("start_at_once", start_at_once != &to.start_at_once);
                keys.differ("screen", screen != &to.screen);
                keys.differ("status", status.from != to.status.from);
                keys.differ("titles", status.titles != to.status.titles);
                keys.differ("on_limit", on_limit != &to.on_limit);
                keys.differ("mcp", mcp != &to.mcp);
                if let Some(keys) = keys.any() {
                    parts.changes.push(Step::ChangeAgent { agent: name.clone(), keys, to: to.clone() });
                }
            }
        }
    }
}

fn add_workspace(name: &str, to: &WorkspaceSpec, parts: &mut Parts) {
    parts.adds.push(Step::AddWorkspace { workspace: name.to_owned(), to: bare(to) });
    for (position, (process, to)) in to.processes.iter().enumerate() {
        parts.adds.push(Step::AddProcess {
            workspace: name.to_owned(),
            process: process.clone(),
            position,
            to: to.clone(),
        });
    }
}

fn remove_workspace(name: &str, from: &WorkspaceSpec, parts: &mut Parts) {
    let (kept, gone): (Vec<_>, Vec<_>) =
        from.processes.iter().partition(|(_, p)| p.source == Source::Runtime);
    if kept.is_empty() {
        // before its processes, since all of this is turned round
        parts.removals.push(Step::RemoveWorkspace { workspace: name.to_owned() });
    } else {
        parts.changes.push(Step::ChangeWorkspace {
            workspace: name.to_owned(),
            keys: vec!["source".to_owned()],
            to: WorkspaceSpec { source: Source::Runtime, ..bare(from) },
            order: kept.iter().map(|(name, _)| (*name).clone()).collect(),
        });
    }
    for (process, _) in gone {
        parts.removals.push(Step::RemoveProcess { workspace: name.to_owned(), process: process.clone() });
    }
}

fn diff_workspace(name: &str, from: &WorkspaceSpec, to: &WorkspaceSpec, parts: &mut Parts) {
    let workspace = name.to_owned();
    let first_change = parts.changes.len();
    for (process, spec) in &from.processes {
        if spec.source != Source::Runtime && !to.processes.contains_key(process) {
            parts
                .removals
                .push(Step::RemoveProcess { workspace: workspace.clone(), process: process.clone() });
        }
    }
    // everything that will be there: the file's processes in their order, then those of commands
    let mut staying: Vec<&String> = Vec::new();
    let mut adds: Vec<(&String, &ProcessSpec)> = Vec::new();
    let mut order: Vec<&String> = Vec::new();
    for (process, spec) in &to.processes {
        match from.processes.get(process) {
            None => adds.push((process, spec)),
            Some(old) if old.source == Source::Runtime && !same_definition(old, spec) => {
                parts.shadowed.push(format!("{name}/{process}"));
                continue;
            }
            Some(old) => {
                diff_process(name, process, old, spec, parts);
                staying.push(process);
            }
        }
        order.push(process);
    }
    let of_commands: Vec<&String> = from
        .processes
        .iter()
        .filter(|(process, spec)| spec.source == Source::Runtime && !order.contains(process))
        .map(|(process, _)| process)
        .collect();
    // where those of commands stand among the others is no concern of the file's
    let before: Vec<&String> = from.processes.keys().filter(|process| staying.contains(process)).collect();
    let reordered = before != staying;
    staying.extend(&of_commands);
    let mut standing: Vec<&String> = if reordered {
        staying.clone()
    } else {
        from.processes.keys().filter(|p| staying.contains(p)).collect()
    };

    let WorkspaceSpec { cwd, source, strategy, on_crash_loop, layout, processes: _ } = from;
    let mut keys = Keys::default();
    keys.differ("cwd", cwd != &to.cwd);
    keys.differ("source", source != &to.source);
    keys.differ("strategy", strategy != &to.strategy);
    keys.differ("on_crash_loop", on_crash_loop != &to.on_crash_loop);
    keys.differ("layout", layout != &to.layout);
    keys.differ("order", reordered);
    if let Some(keys) = keys.any() {
        let order = standing.iter().map(|name| (*name).clone()).collect();
        let step = Step::ChangeWorkspace { workspace: workspace.clone(), keys, to: bare(to), order };
        // before what changes in it
        parts.changes.insert(first_change, step);
    }
    for (process, spec) in adds {
        // right after the one before it in the file, which stands by now
        let here = order.iter().position(|name| *name == process).expect("gathered above");
        let before = here.checked_sub(1).map(|i| order[i]);
        let position = before.map_or(0, |b| 1 + standing.iter().position(|n| *n == b).expect("it stands"));
        standing.insert(position, process);
        parts.adds.push(Step::AddProcess {
            workspace: workspace.clone(),
            process: process.clone(),
            position,
            to: spec.clone(),
        });
    }
}

fn diff_process(workspace: &str, process: &str, from: &ProcessSpec, to: &ProcessSpec, parts: &mut Parts) {
    let (mut keys, hot) = (restarting_keys(from, to), hot_keys(from, to));
    let restart = !keys.0.is_empty();
    keys.0.extend(hot.0);
    let Some(keys) = keys.any() else { return };
    let (workspace, process, to) = (workspace.to_owned(), process.to_owned(), to.clone());
    if restart {
        parts.restarts.push(Step::RestartProcess { workspace, process, keys, to });
    } else {
        parts.changes.push(Step::ChangeProcess { workspace, process, keys, to });
    }
}

/// Whether a running program must be started again to be what `to` says.
pub fn needs_restart(from: &ProcessSpec, to: &ProcessSpec) -> bool {
    !restarting_keys(from, to).0.is_empty()
}

/// What a running program has been given and cannot be given anew.
fn restarting_keys(from: &ProcessSpec, to: &ProcessSpec) -> Keys {
    let mut keys = Keys::default();
    keys.differ("kind", from.kind != to.kind);
    keys.differ("command", from.command != to.command);
    keys.differ("cwd", from.cwd != to.cwd);
    keys.env(&from.env, &to.env);
    keys.differ("screen", from.screen != to.screen);
    keys.differ("mcp", from.mcp != to.mcp);
    keys
}

/// What concerns its supervisor, or its next start.
fn hot_keys(from: &ProcessSpec, to: &ProcessSpec) -> Keys {
    // every field is named, so that a new one must be put into a class
    let ProcessSpec {
        source,
        agent,
        kind: _,
        command: _,
        cwd: _,
        env: _,
        screen: _,
        autostart,
        restart,
        stop_grace,
        after,
        ready,
        ready_timeout,
        resume,
        fork,
        status,
        on_limit,
        mcp: _,
        log_bytes,
        log_files,
        history_bytes,
    } = from;
    let RestartSpec { policy, max_restarts, within, backoff } = restart;
    let BackoffSpec { initial, factor, max, jitter, reset_after } = backoff;
    let mut keys = Keys::default();
    keys.differ("source", source != &to.source);
    keys.differ("agent", agent != &to.agent);
    keys.differ("autostart", autostart != &to.autostart);
    keys.differ("restart.policy", policy != &to.restart.policy);
    keys.differ("restart.max_restarts", max_restarts != &to.restart.max_restarts);
    keys.differ("restart.within", within != &to.restart.within);
    keys.differ("restart.backoff.initial", initial != &to.restart.backoff.initial);
    keys.differ("restart.backoff.factor", factor != &to.restart.backoff.factor);
    keys.differ("restart.backoff.max", max != &to.restart.backoff.max);
    keys.differ("restart.backoff.jitter", jitter != &to.restart.backoff.jitter);
    keys.differ("restart.backoff.reset_after", reset_after != &to.restart.backoff.reset_after);
    keys.differ("stop.grace", stop_grace != &to.stop_grace);
    keys.differ("after", after != &to.after);
    keys.differ("ready", ready != &to.ready);
    keys.differ("ready_timeout", ready_timeout != &to.ready_timeout);
    keys.differ("resume", resume != &to.resume);
    keys.differ("fork", fork != &to.fork);
    keys.differ("status", status.from != to.status.from);
    keys.differ("titles", status.titles != to.status.titles);
    keys.differ("on_limit", on_limit != &to.on_limit);
    keys.differ("log.max_size", log_bytes != &to.log_bytes);
    keys.differ("log.files", log_files != &to.log_files);
    keys.differ("history", history_bytes != &to.history_bytes);
    keys
}

/// Whether the two differ in nothing but where they come from, and in the session that a command once
/// asked to go on with.
fn same_definition(made: &ProcessSpec, written: &ProcessSpec) -> bool {
    let made = ProcessSpec {
        source: written.source,
        resume: written.resume.clone(),
        fork: written.fork.clone(),
        ..made.clone()
    };
    made == *written
}

/// The workspace without its processes, which have steps of their own.
fn bare(workspace: &WorkspaceSpec) -> WorkspaceSpec {
    WorkspaceSpec {
        cwd: workspace.cwd.clone(),
        source: workspace.source,
        strategy: workspace.strategy,
        on_crash_loop: workspace.on_crash_loop,
        layout: workspace.layout.clone(),
        processes: IndexMap::new(),
    }
}

/// Keys that differ, by their names in the config.
#[derive(Default)]
struct Keys(Vec<String>);

impl Keys {
    fn differ(&mut self, key: &str, differ: bool) {
        if differ {
            self.0.push(key.to_owned());
        }
    }
    /// Variables by name; never their values, which may be secret.
    fn env(&mut self, from: &IndexMap<String, String>, to: &IndexMap<String, String>) {
        let gone = from.keys().filter(|name| !to.contains_key(*name));
        let other = to.iter().filter(|(name, value)| from.get(*name) != Some(value)).map(|(name, _)| name);
        self.0.extend(gone.chain(other).map(|name| format!("env.{name}")));
    }
    fn any(self) -> Option<Vec<String>> {
        if self.0.is_empty() { None } else { Some(self.0) }
    }
}

impl Step {
    /// The step in words.
    pub fn change(&self) -> ConfigChange {
        let of = |workspace: &str, process: &str| format!("{workspace}/{process}");
        let (action, target, keys): (_, String, &[String]) = match self {
            Self::RemoveProcess { workspace, process } => (ConfigAction::Remove, of(workspace, process), &[]),
            Self::RemoveWorkspace { workspace } => (ConfigAction::Remove, workspace.clone(), &[]),
            Self::RemoveAgent { agent } => (ConfigAction::Remove, agent.clone(), &[]),
            Self::ChangeDaemon { keys, .. } => (ConfigAction::Change, "daemon".into(), keys),
            Self::ChangePermissions { .. } => (ConfigAction::Change, "permissions".into(), &[]),
            Self::ChangeNotify { keys, .. } => (ConfigAction::Change, "notify".into(), keys),
            Self::ChangeTasks { keys, .. } => (ConfigAction::Change, "tasks".into(), keys),
            Self::ChangeOn { keys, .. } => (ConfigAction::Change, "on".into(), keys),
            Self::ChangeLayout { layout, from, to } => {
                let action = match (from, to) {
                    (None, _) => ConfigAction::Add,
                    (_, None) => ConfigAction::Remove,
                    (Some(_), Some(_)) => ConfigAction::Change,
                };
                (action, format!("layout {layout}"), &[])
            }
            Self::ChangeProjectRoots { .. } => (ConfigAction::Change, "project_roots".into(), &[]),
            Self::AddAgent { agent, .. } => (ConfigAction::Add, agent.clone(), &[]),
            Self::ChangeAgent { agent, keys, .. } => (ConfigAction::Change, agent.clone(), keys),
            Self::AddWorkspace { workspace, .. } => (ConfigAction::Add, workspace.clone(), &[]),
            Self::ChangeWorkspace { workspace, keys, .. } => (ConfigAction::Change, workspace.clone(), keys),
            Self::ChangeProcess { workspace, process, keys, .. } => {
                (ConfigAction::Change, of(workspace, process), keys)
            }
            Self::RestartProcess { workspace, process, keys, .. } => {
                (ConfigAction::Restart, of(workspace, process), keys)
            }
            Self::AddProcess { workspace, process, .. } => (ConfigAction::Add, of(workspace, process), &[]),
        };
        ConfigChange { action, target, keys: keys.to_vec() }
    }

    fn apply(&self, desired: &mut Desired) {
        match self {
            Self::RemoveProcess { workspace, process } => {
                if let Some(w) = desired.workspaces.get_mut(workspace) {
                    w.processes.shift_remove(process);
                }
            }
            Self::RemoveWorkspace { workspace } => {
                desired.workspaces.shift_remove(workspace);
            }
            Self::RemoveAgent { agent } => {
                desired.agents.shift_remove(agent);
            }
            Self::ChangeDaemon { to, .. } => desired.daemon = to.clone(),
            Self::ChangePermissions { to } => desired.permissions.clone_from(to),
            Self::ChangeNotify { to, .. } => desired.notify.clone_from(to),
            Self::ChangeTasks { to, .. } => desired.tasks.clone_from(to),
            Self::ChangeOn { to, .. } => desired.on.clone_from(to),
            Self::ChangeLayout { layout, to: Some(to), .. } => {
                desired.layouts.insert(layout.clone(), to.clone());
            }
            Self::ChangeLayout { layout, to: None, .. } => {
                desired.layouts.shift_remove(layout);
            }
            Self::ChangeProjectRoots { to } => desired.project_roots.clone_from(to),
            Self::AddAgent { agent, to } | Self::ChangeAgent { agent, to, .. } => {
                desired.agents.insert(agent.clone(), to.clone());
            }
            Self::AddWorkspace { workspace, to } => {
                desired.workspaces.insert(workspace.clone(), to.clone());
            }
            Self::ChangeWorkspace { workspace, to, order, .. } => {
                if let Some(w) = desired.workspaces.get_mut(workspace) {
                    let mut processes = std::mem::take(&mut w.processes);
                    processes.sort_by_cached_key(|name, _| order.iter().position(|n| n == name));
                    *w = WorkspaceSpec { processes, ..to.clone() };
                }
            }
            Self::ChangeProcess { workspace, process, to, .. }
            | Self::RestartProcess { workspace, process, to, .. } => {
                if let Some(w) = desired.workspaces.get_mut(workspace) {
                    w.processes.insert(process.clone(), to.clone());
                }
            }
            Self::AddProcess { workspace, process, position, to } => {
                if let Some(w) = desired.workspaces.get_mut(workspace) {
                    let position = (*position).min(w.processes.len());
                    w.processes.shift_insert(position, process.clone(), to.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wezterm_parallel_schemas::{
        config::{Condition, OnCrashLoop, RestartPolicy, Screen, Strategy as Together},
        process::Kind,
    };

    use super::*;

    fn process(command: &str) -> ProcessSpec {
        ProcessSpec {
            source: Source::Config,
            agent: None,
            kind: Kind::Command,
            command: vec![command.to_owned()],
            cwd: "/w".into(),
            env: IndexMap::new(),
            screen: Screen::Default,
            autostart: true,
            restart: RestartSpec::default(),
            stop_grace: 3_000,
            after: IndexMap::new(),
            ready: None,
            ready_timeout: 60_000,
            resume: None,
            fork: None,
            status: Default::default(),
            on_limit: Default::default(),
            mcp: true,
            log_bytes: 1,
            log_files: 1,
            history_bytes: 1,
        }
    }

    fn workspace(processes: &[(&str, ProcessSpec)]) -> WorkspaceSpec {
        WorkspaceSpec {
            cwd: "/w".into(),
            source: Source::Config,
            strategy: Together::OneForOne,
            on_crash_loop: OnCrashLoop::Nothing,
            layout: None,
            processes: processes.iter().map(|(n, p)| ((*n).to_owned(), p.clone())).collect(),
        }
    }

    fn desired(workspaces: &[(&str, WorkspaceSpec)]) -> Desired {
        Desired {
            workspaces: workspaces.iter().map(|(n, w)| ((*n).to_owned(), w.clone())).collect(),
            ..Desired::default()
        }
    }

    fn runtime(spec: ProcessSpec) -> ProcessSpec {
        ProcessSpec { source: Source::Runtime, ..spec }
    }

    /// The plan in words: `restart api/a: command env.X`.
    fn words(old: &Desired, new: &Desired) -> Vec<String> {
        let line = |c: ConfigChange| {
            let action = match c.action {
                ConfigAction::Add => "add",
                ConfigAction::Remove => "remove",
                ConfigAction::Restart => "restart",
                ConfigAction::Change => "change",
            };
            let keys = if c.keys.is_empty() { String::new() } else { format!(": {}", c.keys.join(" ")) };
            format!("{action} {}{keys}", c.target)
        };
        diff(old, new).changes().into_iter().map(line).collect()
    }

    #[test]
    fn removals_come_first_in_reverse_and_additions_last_in_start_order() {
        let old = desired(&[
            ("gone", workspace(&[("a", process("x")), ("b", process("x"))])),
            ("api", workspace(&[("old1", process("x")), ("old2", process("x")), ("stays", process("x"))])),
        ]);
        let new = desired(&[
            ("api", workspace(&[("new1", process("x")), ("stays", process("y")), ("new2", process("x"))])),
            ("more", workspace(&[("a", process("x")), ("b", process("x"))])),
        ]);
        assert_eq!(
            words(&old, &new),
            [
                "remove api/old2",
                "remove api/old1",
                "remove gone/b",
                "remove gone/a",
                "remove gone",
                "restart api/stays: command",
                "add api/new1",
                "add api/new2",
                "add more",
                "add more/a",
                "add more/b",
            ]
        );
    }

    #[test]
    fn only_what_a_running_program_was_given_restarts_it() {
        let base = process("x");
        let check = |to: ProcessSpec, expect: &[&str]| {
            let old = desired(&[("api", workspace(&[("a", base.clone()), ("b", process("y"))]))]);
            let new = desired(&[("api", workspace(&[("a", to), ("b", process("y"))]))]);
            assert_eq!(words(&old, &new), expect);
        };
        let env = |v: &str| [("X".to_owned(), v.to_owned())].into();
        check(ProcessSpec { cwd: "/v".into(), ..base.clone() }, &["restart api/a: cwd"]);
        check(ProcessSpec { env: env("secret"), ..base.clone() }, &["restart api/a: env.X"]);
        check(ProcessSpec { screen: Screen::Classic, ..base.clone() }, &["restart api/a: screen"]);
        check(ProcessSpec { kind: Kind::Claude, ..base.clone() }, &["restart api/a: kind"]);
        check(ProcessSpec { autostart: false, ..base.clone() }, &["change api/a: autostart"]);
        check(ProcessSpec { stop_grace: 9, ..base.clone() }, &["change api/a: stop.grace"]);
        check(
            ProcessSpec { ready: Some(wezterm_parallel_schemas::config::Ready::Port(1)), ..base.clone() },
            &["change api/a: ready"],
        );
        let mut hot = base.clone();
        hot.restart.policy = RestartPolicy::Never;
        hot.restart.backoff.jitter = 0.5;
        hot.after = [("b".to_owned(), Condition::Ready)].into();
        check(hot.clone(), &["change api/a: restart.policy restart.backoff.jitter after"]);
        hot.command.push("-v".into());
        check(hot, &["restart api/a: command restart.policy restart.backoff.jitter after"]);
    }

    #[test]
    fn a_new_cwd_of_a_workspace_restarts_those_that_are_in_it() {
        let elsewhere = ProcessSpec { cwd: "/elsewhere".into(), ..process("y") };
        let old = desired(&[("api", workspace(&[("a", process("x")), ("b", elsewhere.clone())]))]);
        let moved = ProcessSpec { cwd: "/v".into(), ..process("x") };
        let mut new = desired(&[("api", workspace(&[("a", moved), ("b", elsewhere)]))]);
        new.workspaces["api"].cwd = "/v".into();
        assert_eq!(words(&old, &new), ["change api: cwd", "restart api/a: cwd"]);
    }

    #[test]
    fn another_start_order_is_a_change_that_touches_nothing_that_runs() {
        let old = desired(&[("api", workspace(&[("a", process("x")), ("b", process("x"))]))]);
        let new = desired(&[("api", workspace(&[("b", process("x")), ("a", process("x"))]))]);
        assert_eq!(words(&old, &new), ["change api: order"]);
        let after: Vec<_> =
            diff(&old, &new).apply(&old).workspaces["api"].processes.keys().cloned().collect();
        assert_eq!(after, ["b", "a"]);
    }

    #[test]
    fn what_a_command_has_made_outlives_the_file_that_drops_its_workspace() {
        let old = desired(&[("api", workspace(&[("a", process("x")), ("mine", runtime(process("z")))]))]);
        let none = desired(&[]);
        assert_eq!(words(&old, &none), ["remove api/a", "change api: source"]);
        let left = diff(&old, &none).apply(&old);
        assert_eq!(left.workspaces["api"].source, Source::Runtime);
        assert_eq!(left.workspaces["api"].processes["mine"], runtime(process("z")));
        // and the file takes it up again
        let back = desired(&[("api", workspace(&[("a", process("x"))]))]);
        assert_eq!(words(&left, &back), ["change api: source", "add api/a"]);
        assert_eq!(diff(&left, &back).apply(&left), old);
    }

    #[test]
    fn a_name_that_a_command_has_taken_is_left_alone_and_told() {
        let mut mine = workspace(&[("a", runtime(process("x")))]);
        mine.source = Source::Runtime;
        mine.cwd = "/mine".into();
        let old = desired(&[
            ("taken", mine),
            ("api", workspace(&[("p", runtime(process("mine"))), ("q", process("x"))])),
        ]);
        let new = desired(&[
            ("taken", workspace(&[("a", process("y"))])),
            ("api", workspace(&[("p", process("theirs")), ("q", process("x"))])),
        ]);
        let plan = diff(&old, &new);
        assert!(plan.is_empty(), "{:?}", plan.changes());
        assert_eq!(plan.shadowed, ["taken", "api/p"]);
    }

    #[test]
    fn an_export_that_is_pasted_into_the_file_starts_nothing_anew() {
        let made = runtime(ProcessSpec { resume: Some("session".into()), ..process("x") });
        let mut mine = workspace(&[("a", made)]);
        mine.source = Source::Runtime;
        let new = desired(&[("api", workspace(&[("a", process("x"))]))]);
        assert_eq!(
            words(&desired(&[("api", mine)]), &new),
            ["change api: source", "change api/a: source resume"]
        );
    }

    #[test]
    fn another_layout_touches_nothing_that_runs() {
        let layout = |about: &str| Layout { about: Some(about.to_owned()), tabs: Vec::new() };
        let mut old = desired(&[("api", workspace(&[("a", process("x"))]))]);
        old.layouts = [("gone".to_owned(), layout("")), ("wide".to_owned(), layout("old"))].into();
        let mut new = desired(&[("api", workspace(&[("a", process("x"))]))]);
        new.layouts = [("wide".to_owned(), layout("new")), ("more".to_owned(), layout(""))].into();
        new.project_roots = vec!["/src".into()];
        assert_eq!(
            words(&old, &new),
            ["remove layout gone", "change layout wide", "add layout more", "change project_roots"]
        );
        assert_eq!(diff(&old, &new).apply(&old), new);
    }

    #[test]
    fn agents_and_the_daemon_change_before_anything_is_started() {
        let agent = |n| AgentSpec {
            kind: Kind::Claude,
            command: vec!["claude".into()],
            args: vec![],
            env: IndexMap::new(),
            start_at_once: n,
            screen: Screen::Default,
            status: Default::default(),
            on_limit: Default::default(),
            mcp: true,
        };
        let mut old = desired(&[]);
        old.agents = [("claude".to_owned(), agent(4)), ("old".to_owned(), agent(4))].into();
        let mut new = desired(&[("api", workspace(&[]))]);
        new.agents = [("claude".to_owned(), agent(2)), ("new".to_owned(), agent(4))].into();
        new.daemon.min_free_memory = 1;
        new.notify.at_most = 1;
        new.tasks.parallel = 1;
        let hook = |name: &str| vec![OnSpec { command: vec![name.to_owned()], timeout: 1 }];
        let [gone, same, other, came] =
            [OnEvent::TaskDone, OnEvent::TaskFailed, OnEvent::ProcessDone, OnEvent::ProcessFailed];
        old.on = [(gone, hook("x")), (same, hook("x")), (other, hook("x"))].into();
        new.on = [(came, hook("x")), (same, hook("x")), (other, hook("y"))].into();
        assert_eq!(
            words(&old, &new),
            [
                "remove old",
                "change daemon: min_free_memory",
                "change notify: at_most",
                "change tasks: parallel",
                "change on: task_done process_failed process_done",
                "change claude: start_at_once",
                "add new",
                "add api"
            ]
        );
        assert_eq!(diff(&old, &new).apply(&old), new);
    }

    prop_compose! {
        fn any_process(sources: &'static [Source])(
            source in prop::sample::select(sources),
            command in 0..3_u8, cwd in 0..2_u8, env in prop::collection::vec((0..2_u8, 0..2_u8), 0..3),
            autostart in any::<bool>(), grace in 0..2_u64, restarts in 0..2_u32,
        ) -> ProcessSpec {
            ProcessSpec {
                source,
                cwd: format!("/{cwd}").into(),
                env: env.into_iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
                autostart,
                stop_grace: grace,
                restart: RestartSpec { max_restarts: restarts, ..RestartSpec::default() },
                ..process(&command.to_string())
            }
        }
    }

    prop_compose! {
        fn any_workspace(sources: &'static [Source])(
            source in prop::sample::select(sources),
            cwd in 0..2_u8, layout in prop::option::of(0..2_u8),
            processes in prop::collection::vec((0..5_u8, any_process(sources)), 0..6),
        ) -> WorkspaceSpec {
            WorkspaceSpec {
                source,
                cwd: format!("/{cwd}").into(),
                layout: layout.map(|l| l.to_string()),
                processes: processes.into_iter().map(|(n, p)| (n.to_string(), p)).collect(),
                ..workspace(&[])
            }
        }
    }

    fn any_desired(sources: &'static [Source]) -> impl Strategy<Value = Desired> {
        prop::collection::vec((0..4_u8, any_workspace(sources)), 0..4).prop_map(|workspaces| Desired {
            workspaces: workspaces.into_iter().map(|(n, w)| (n.to_string(), w)).collect(),
            ..Desired::default()
        })
    }

    const OF_FILES: &[Source] = &[Source::Config, Source::Project];
    const OF_ALL: &[Source] = &[Source::Config, Source::Project, Source::Runtime];

    fn orders(desired: &Desired) -> Vec<(&String, Vec<&String>)> {
        let mut all: Vec<_> =
            desired.workspaces.iter().map(|(n, w)| (n, w.processes.keys().collect())).collect();
        all.sort();
        all
    }

    proptest! {
        #[test]
        fn a_plan_applied_to_the_old_gives_the_new(old in any_desired(OF_FILES), new in any_desired(OF_FILES)) {
            let result = diff(&old, &new).apply(&old);
            prop_assert_eq!(orders(&result), orders(&new), "start order");
            prop_assert_eq!(&result, &new);
        }

        #[test]
        fn what_does_not_differ_needs_no_plan(all in any_desired(OF_ALL)) {
            prop_assert!(diff(&all, &of_files(&all)).is_empty());
        }

        #[test]
        fn only_what_differs_is_named(old in any_desired(OF_FILES), new in any_desired(OF_FILES)) {
            for change in diff(&old, &new).changes() {
                let (workspace, process) = match change.target.split_once('/') {
                    Some((w, p)) => (w, Some(p)),
                    None => (change.target.as_str(), None),
                };
                let (from, to) = (old.workspaces.get(workspace), new.workspaces.get(workspace));
                match process {
                    Some(p) => prop_assert_ne!(
                        from.and_then(|w| w.processes.get(p)), to.and_then(|w| w.processes.get(p))
                    ),
                    None => prop_assert!(from != to || orders(&old) != orders(&new)),
                }
            }
        }

        #[test]
        fn nothing_that_a_command_made_is_touched(old in any_desired(OF_ALL), new in any_desired(OF_FILES)) {
            let plan = diff(&old, &new);
            let result = plan.apply(&old);
            for (name, from) in &old.workspaces {
                for (process, spec) in from.processes.iter().filter(|(_, p)| p.source == Source::Runtime) {
                    let there = result.workspaces.get(name).and_then(|w| w.processes.get(process));
                    let there = there.expect("still there");
                    prop_assert!(same_definition(&runtime(there.clone()), spec), "{}/{}", name, process);
                }
            }
            prop_assert!(diff(&result, &new).is_empty(), "a plan is done in one go");
        }
    }

    /// What the files say, if they say all of this.
    fn of_files(all: &Desired) -> Desired {
        let mut files = all.clone();
        files.workspaces.retain(|_, w| w.source != Source::Runtime);
        for workspace in files.workspaces.values_mut() {
            workspace.processes.retain(|_, p| p.source != Source::Runtime);
        }
        // a command never makes a process that belongs to a file
        files
    }
}
