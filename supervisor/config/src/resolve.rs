//! The config as a person wrote it into what the supervisor acts on: every default filled in, every
//! path absolute, every name checked. All that is wrong is reported at once.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Component, Path, PathBuf},
};

use indexmap::IndexMap;
use wezterm_parallel_core::layout::check::check;
use wezterm_parallel_core::rule as core_rule;
use wezterm_parallel_core::spec::{
    AgentSpec, BackoffSpec, DaemonSpec, Desired, HISTORY_BYTES_DEFAULT, LOG_BYTES_DEFAULT, LOG_FILES_DEFAULT,
    Millis, NAME_BYTES_MAX, ProcessSpec, READY_TIMEOUT_MS_DEFAULT, RestartSpec, START_AT_ONCE_DEFAULT,
    STOP_GRACE_MS_DEFAULT, StatusSpec, WorkspaceSpec, is_name,
};
use wezterm_parallel_schemas::{
    config::{
        Agent, AgentKind, Condition, Config, OnLimit, Process, Ready, Restart, RestartPolicy, Rule, Screen,
        StatusFrom, Workspace,
    },
    layout::Layout,
    process::{Kind, Source},
    units::Span,
};

use crate::{
    error::{KeyPath, PROBLEMS_MAX, Problem},
    layout,
    suggest::did_you_mean,
};

/// The agent that is always there, and the program that makes an agent one of this kind.
pub(crate) const CLAUDE: &str = "claude";

/// What paths in a config are relative to. Both must be absolute.
#[derive(Clone, Copy, Debug)]
pub struct Dirs<'a> {
    /// What `~` stands for.
    pub home: &'a Path,
    /// What a relative `cwd` of a workspace is relative to: the directory of the config file.
    pub base: &'a Path,
    /// Names of saved templates for panes. Without them no name of a template is checked: what was kept of
    /// a config, or was trusted, holds also when a file has gone.
    pub saved: Option<&'a [String]>,
}

/// A config in which nothing is left open.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// What is meant to be there.
    pub desired: Desired,
    /// What is allowed and yet can hardly be meant, a sentence each.
    pub warnings: Vec<String>,
}

/// Checks a config whole and fills in every default. Touches no file: a directory that is not there
/// shows when something starts in it.
///
/// # Errors
/// All that is wrong, in the order of the file.
pub fn resolve(config: &Config, dirs: Dirs<'_>) -> Result<Resolved, Vec<Problem>> {
    let mut work = Resolver::new(config, dirs, Source::Config);
    work.check_restart(&KeyPath::of(["defaults", "restart"]), &config.defaults.restart);
    if config.defaults.log.files == Some(0) {
        work.problem(KeyPath::of(["defaults", "log", "files"]), "at least 1 log file is needed");
    }
    if config.defaults.log.max_size.is_some_and(|b| b.0 == 0) {
        work.problem(KeyPath::of(["defaults", "log", "max_size"]), "a log file needs some room");
    }
    for (name, agent) in &config.agents {
        work.check_agent(name, agent);
    }
    let mut workspaces = IndexMap::new();
    for (name, workspace) in &config.workspaces {
        workspaces.insert(name.clone(), work.workspace(name, workspace));
    }
    let daemon = DaemonSpec {
        resume: config.daemon.resume.unwrap_or_default(),
        min_free_memory: config
            .daemon
            .min_free_memory
            .map_or(DaemonSpec::default().min_free_memory, |bytes| bytes.0),
    };
    for (at, rule) in config.permissions.iter().enumerate() {
        work.check_rule(&KeyPath::of(["permissions"]).key(&at.to_string()), rule);
    }
    for (name, layout) in &config.layouts {
        work.check_layout(name, layout);
    }
    let roots = config.project_roots.iter().enumerate();
    let project_roots = roots
        .map(|(i, root)| work.path(&KeyPath::of(["project_roots", &i.to_string()]), root, dirs.base))
        .collect();
    let notify = work.notify(&config.notify);
    let tasks = work.tasks(&config.tasks);
    let on = work.on(&config.on);
    let desired = Desired {
        agents: work.agents,
        workspaces,
        daemon,
        permissions: config.permissions.clone(),
        layouts: config.layouts.clone(),
        project_roots,
        notify,
        tasks,
        on,
    };
    if work.problems.is_empty() {
        Ok(Resolved { desired, warnings: work.warnings })
    } else {
        Err(work.problems)
    }
}

/// One pass over a config, or over a project's file under that config.
pub(crate) struct Resolver<'a> {
    config: &'a Config,
    dirs: Dirs<'a>,
    source: Source,
    agents: IndexMap<String, AgentSpec>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<String>,
}

impl<'a> Resolver<'a> {
    /// `source` is where the processes come from; agents are always those of `config`.
    pub(crate) fn new(config: &'a Config, dirs: Dirs<'a>, source: Source) -> Self {
        let mut agents: IndexMap<String, AgentSpec> =
            config.agents.iter().map(|(name, agent)| (name.clone(), agent_spec(name, agent))).collect();
        agents.entry(CLAUDE.to_owned()).or_insert_with(|| agent_spec(CLAUDE, &Agent::default()));
        Self { config, dirs, source, agents, problems: Vec::new(), warnings: Vec::new() }
    }

    pub(crate) fn problem(&mut self, at: KeyPath, message: impl Into<String>) {
        self.problem_with_hint(at, message, None);
    }

    pub(crate) fn problem_with_hint(
        &mut self,
        at: KeyPath,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.problems.push(Problem::new(at, message).hint(hint));
    }

    /// A suggestion, unless more is wrong already than will be shown: looking for one among thousands
    /// of names, thousands of times, would take minutes.
    fn suggest<'n>(&self, word: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
        if self.problems.len() < PROBLEMS_MAX { did_you_mean(word, known) } else { None }
    }

    pub(crate) fn check_name(&mut self, at: &KeyPath, what: &str, name: &str) {
        if is_name(name) {
            return;
        }
        let hint = format!(
            "letters, digits, `.`, `_` and `-`, at most {NAME_BYTES_MAX} of them, a letter or digit first"
        );
        let problem = Problem::new(at.clone(), format!("this cannot be the name of {what}"));
        self.problems.push(problem.hint(hint).on_key());
    }

    fn check_agent(&mut self, name: &str, agent: &Agent) {
        let at = KeyPath::of(["agents", name]);
        self.check_name(&at, "an agent", name);
        if agent.command.is_empty() && name != CLAUDE {
            self.problem_with_hint(
                at.clone(),
                "the key `command` is missing",
                Some("name the program, as in `command: [codex]`".into()),
            );
        }
        self.check_words(&at.key("command"), &agent.command);
        self.check_words(&at.key("args"), &agent.args);
        self.check_env(&at.key("env"), &agent.env);
        if agent.command.first().is_some_and(String::is_empty) {
            self.problem(at.key("command"), "the program has no name");
        }
        if agent.start_at_once == Some(0) {
            self.problem(at.key("start_at_once"), "at least 1 must be able to start");
        }
        for (meaning, pattern) in &agent.titles {
            if let Some(why) = not_a_regex(pattern) {
                let key = serde_json::to_value(meaning).ok().and_then(|v| v.as_str().map(str::to_owned));
                let at = at.key("titles").key(&key.unwrap_or_default());
                self.problem(at, format!("this is not a regular expression: {why}"));
            }
        }
        let reads_titles = agent.status.as_ref().is_some_and(|s| s.contains(&StatusFrom::Title));
        if reads_titles == agent.titles.is_empty() {
            let (key, message) = if reads_titles {
                ("status", "`title` needs patterns that say what titles mean")
            } else {
                ("titles", "these say nothing unless `status` has `title`")
            };
            self.problem_with_hint(
                at.key(key),
                message,
                Some("write both, as in `status: [title]` and `titles: { working: '^✳' }`".into()),
            );
        }
    }

    fn check_layout(&mut self, name: &str, layout: &Layout) {
        let at = KeyPath::of(["layouts", name]);
        self.check_name(&at, "a layout", name);
        self.problems.extend(check(layout).into_iter().map(|fault| layout::problem(&at, fault)));
        let mut unknown = Vec::new();
        layout::agents(&at, layout, &mut |at, agent| {
            if !self.agents.contains_key(agent) {
                unknown.push((at, agent.to_owned()));
            }
        });
        for (at, agent) in unknown {
            let hint = self.suggest(&agent, self.agents.keys().map(String::as_str));
            self.problem_with_hint(at, format!("there is no agent `{agent}`"), hint);
        }
    }

    /// That a template which is named is there.
    pub(crate) fn check_layout_name(&mut self, at: &KeyPath, name: Option<&String>) {
        let (Some(name), Some(saved)) = (name, self.dirs.saved) else { return };
        let config = self.config;
        let known = || {
            config
                .layouts
                .keys()
                .chain(saved)
                .map(String::as_str)
                .chain(layout::shipped_names().chain([layout::DEFAULT]))
        };
        if !known().any(|k| k == name) {
            let hint = self.suggest(name, known()).unwrap_or_else(|| {
                "`wezterm-parallel layout list` shows all; leave it out for processes side by side".into()
            });
            self.problem_with_hint(at.key("layout"), format!("there is no layout `{name}`"), Some(hint));
        }
    }

    fn check_rule(&mut self, at: &KeyPath, rule: &Rule) {
        match (&rule.allow, &rule.deny) {
            (Some(_), Some(_)) => {
                self.problem(at.clone(), "a rule allows or denies, not both");
            }
            (None, None) => self.problem_with_hint(
                at.clone(),
                "this rule says neither `allow` nor `deny`",
                Some("name the tool, as in `allow: Read`".into()),
            ),
            (Some(tool), None) | (None, Some(tool)) if tool.is_empty() => {
                self.problem(at.clone(), "the tool has no name; `*` stands for any");
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
        if let Some(until) = &rule.until
            && core_rule::instant(until).is_none()
        {
            self.problem_with_hint(
                at.key("until"),
                format!("`{until}` is not a point in time"),
                Some(
                    "write a date, as in `2026-12-31`, or one with a time, as in `2026-12-31T18:00:00Z`"
                        .into(),
                ),
            );
        }
    }

    fn workspace(&mut self, name: &str, workspace: &Workspace) -> WorkspaceSpec {
        let at = KeyPath::of(["workspaces", name]);
        self.check_name(&at, "a workspace", name);
        self.check_layout_name(&at, workspace.layout.as_ref());
        self.check_env(&at.key("env"), &workspace.env);
        let cwd = if workspace.cwd.as_os_str().is_empty() {
            self.problem_with_hint(
                at.key("cwd"),
                "the key `cwd` is missing",
                Some("name the project directory, as in `cwd: ~/src/api`".into()),
            );
            PathBuf::new()
        } else {
            self.path(&at.key("cwd"), &workspace.cwd, self.dirs.base)
        };
        let processes = self.processes(
            &at.key("processes"),
            &cwd,
            &workspace.env,
            &workspace.processes,
            &IndexMap::new(),
        );
        WorkspaceSpec {
            cwd,
            source: self.source,
            strategy: workspace.strategy,
            on_crash_loop: workspace.on_crash_loop,
            layout: workspace.layout.clone(),
            processes,
        }
    }

    /// The processes of one workspace, in start order. `others` are already there: they may be named in
    /// `after`.
    pub(crate) fn processes(
        &mut self,
        at: &KeyPath,
        cwd: &Path,
        env: &IndexMap<String, String>,
        processes: &IndexMap<String, Process>,
        others: &IndexMap<String, ProcessSpec>,
    ) -> IndexMap<String, ProcessSpec> {
        // checked in file order, so that problems come in file order, and then put in start order
        let specs: Vec<(String, ProcessSpec)> = processes
            .iter()
            .map(|(name, process)| {
                let at = at.key(name);
                self.check_name(&at, "a process", name);
                self.check_after(&at, name, process, processes, others);
                (name.clone(), self.process(&at, cwd, env, process))
            })
            .collect();
        let order = match start_order(processes) {
            Ok(order) => order,
            Err(cycles) => {
                for cycle in cycles {
                    let first = at.key(cycle[0]).key("after");
                    let chain = [cycle.as_slice(), &cycle[..1]].concat().join(" → ");
                    self.problem_with_hint(
                        first,
                        format!("these wait for each other for ever: {chain}"),
                        Some("take one of them out of the circle".into()),
                    );
                }
                Vec::new()
            }
        };
        order.into_iter().map(|i| specs[i].clone()).collect()
    }

    fn check_after(
        &mut self,
        at: &KeyPath,
        name: &str,
        process: &Process,
        processes: &IndexMap<String, Process>,
        others: &IndexMap<String, ProcessSpec>,
    ) {
        for (first, condition) in &process.after {
            let key = at.key("after").key(first);
            if first == name {
                self.problems.push(Problem::new(key, "a process cannot wait for itself").on_key());
                continue;
            }
            let known = processes.get(first).map(|p| (p.autostart, p.restart.policy));
            let known = known.or_else(|| others.get(first).map(|p| (p.autostart, Some(p.restart.policy))));
            let Some((autostart, policy)) = known else {
                let names = processes.keys().chain(others.keys()).map(String::as_str);
                let hint = self.suggest(first, names.filter(|n| *n != name));
                let problem = Problem::new(key, format!("there is no process `{first}` in this workspace"));
                self.problems.push(problem.hint(hint).on_key());
                continue;
            };
            if process.autostart && !autostart {
                self.warnings.push(format!(
                    "{at}: waits for `{first}`, which has `autostart: false` and must be started by hand"
                ));
            }
            let policy = policy.or(self.config.defaults.restart.policy);
            if *condition == Condition::Exited && policy == Some(RestartPolicy::Always) {
                self.warnings.push(format!(
                    "{at}: waits for `{first}` to end, which has `policy: always` and is started again"
                ));
            }
        }
    }

    fn process(
        &mut self,
        at: &KeyPath,
        workspace_cwd: &Path,
        workspace_env: &IndexMap<String, String>,
        process: &Process,
    ) -> ProcessSpec {
        let (mut command, agent) = self.program(at, process);
        command.extend(process.args.iter().cloned());
        self.check_words(&at.key("args"), &process.args);
        self.check_env(&at.key("env"), &process.env);
        let mut env = agent.as_ref().map(|a| a.env.clone()).unwrap_or_default();
        env.extend(workspace_env.iter().chain(&process.env).map(|(k, v)| (k.clone(), v.clone())));
        let cwd = match &process.cwd {
            Some(cwd) => self.path(&at.key("cwd"), cwd, workspace_cwd),
            None => workspace_cwd.to_owned(),
        };
        self.check_restart(&at.key("restart"), &process.restart);
        self.check_ready(at, process);
        let defaults = &self.config.defaults;
        ProcessSpec {
            source: self.source,
            agent: process.agent.clone(),
            kind: agent.as_ref().map_or(Kind::Command, |a| a.kind),
            command,
            cwd,
            env,
            screen: agent.as_ref().map_or(Screen::Default, |a| a.screen),
            autostart: process.autostart,
            restart: restart_spec(&process.restart, &defaults.restart),
            stop_grace: process.stop.grace.or(defaults.stop.grace).map_or(STOP_GRACE_MS_DEFAULT, millis),
            after: process.after.clone(),
            ready: process.ready.clone(),
            ready_timeout: process.ready_timeout.map_or(READY_TIMEOUT_MS_DEFAULT, millis),
            resume: None,
            fork: None,
            status: agent.as_ref().map_or_else(|| StatusSpec::of(Kind::Command), |a| a.status.clone()),
            on_limit: agent.as_ref().map_or(OnLimit::Notify, |a| a.on_limit),
            mcp: agent.as_ref().is_none_or(|a| a.mcp),
            log_bytes: defaults.log.max_size.map_or(LOG_BYTES_DEFAULT, |b| b.0),
            log_files: defaults.log.files.unwrap_or(LOG_FILES_DEFAULT),
            history_bytes: defaults.history.map_or(HISTORY_BYTES_DEFAULT, |b| b.0),
        }
    }

    /// The program with its first arguments, and the agent it is of.
    fn program(&mut self, at: &KeyPath, process: &Process) -> (Vec<String>, Option<AgentSpec>) {
        match (&process.agent, &process.command) {
            (Some(_), Some(_)) => {
                self.problem_with_hint(
                    at.clone(),
                    "there is an `agent` and a `command`, and only one of them can run",
                    Some("further arguments of an agent are its `args`".into()),
                );
                (Vec::new(), None)
            }
            (None, None) => {
                self.problem_with_hint(
                    at.clone(),
                    "there is nothing to run",
                    Some("write `agent: claude`, or a command as in `command: [cargo, test]`".into()),
                );
                (Vec::new(), None)
            }
            (None, Some(command)) => {
                if command.first().is_none_or(String::is_empty) {
                    self.problem(at.key("command"), "the command is empty");
                }
                self.check_words(&at.key("command"), command);
                if command.first().is_some_and(|program| is_claude(program)) {
                    self.warnings.push(format!(
                        "{at}: runs claude as any other program; write `agent: claude` for its status and sessions"
                    ));
                }
                (command.clone(), None)
            }
            (Some(name), None) => {
                let Some(agent) = self.agents.get(name).cloned() else {
                    let hint = self.suggest(name, self.agents.keys().map(String::as_str));
                    self.problem_with_hint(at.key("agent"), format!("there is no agent `{name}`"), hint);
                    return (Vec::new(), None);
                };
                (agent.command.iter().chain(&agent.args).cloned().collect(), Some(agent))
            }
        }
    }

    fn check_ready(&mut self, at: &KeyPath, process: &Process) {
        let key = at.key("ready");
        match &process.ready {
            Some(Ready::Log(pattern)) => {
                if let Some(why) = not_a_regex(pattern) {
                    self.problem(key.key("log"), format!("this is not a regular expression: {why}"));
                }
            }
            Some(Ready::Port(0)) => {
                self.problem(key.key("port"), "a port is a number from 1 to 65535");
            }
            Some(Ready::Command(command)) => {
                if command.first().is_none_or(String::is_empty) {
                    self.problem(key.key("command"), "the command is empty");
                }
                self.check_words(&key.key("command"), command);
            }
            Some(Ready::Port(_)) | None => {}
        }
        if process.ready_timeout == Some(Span::from_millis(0)) {
            self.problem(at.key("ready_timeout"), "nothing is ready after no time at all");
        }
    }

    fn check_restart(&mut self, at: &KeyPath, restart: &Restart) {
        if restart.within.is_some_and(|w| w.as_millis() == 0) {
            self.problem_with_hint(
                at.key("within"),
                "restarts cannot be counted in no time at all",
                Some("for no limit write a large `max_restarts`".into()),
            );
        }
        let backoff = at.key("backoff");
        if restart.backoff.factor.is_some_and(|f| !(f.is_finite() && f >= 1.0)) {
            self.problem(backoff.key("factor"), "the factor is at least 1: waits do not become shorter");
        }
        if restart.backoff.jitter.is_some_and(|j| !(0.0..=1.0).contains(&j)) {
            self.problem(backoff.key("jitter"), "the part left to chance is from 0 to 1");
        }
    }

    /// No program can be given these: the kernel ends an argument at the first NUL.
    pub(crate) fn check_words(&mut self, at: &KeyPath, words: &[String]) {
        if let Some(i) = words.iter().position(|w| w.contains('\0')) {
            self.problem(at.key(&i.to_string()), "an argument cannot hold a NUL character");
        }
    }

    fn check_env(&mut self, at: &KeyPath, env: &IndexMap<String, String>) {
        for (name, value) in env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                self.problem(at.key(name), "this cannot be a variable of the environment");
            }
        }
    }

    /// The path, absolute: `~` is the home directory, anything else is relative to `base`.
    fn path(&mut self, at: &KeyPath, path: &Path, base: &Path) -> PathBuf {
        let mut parts = path.components();
        let whole = match parts.next() {
            Some(Component::Normal(first)) if first == "~" => self.dirs.home.join(parts.as_path()),
            Some(Component::Normal(first)) if first.to_string_lossy().starts_with('~') => {
                self.problem_with_hint(
                    at.clone(),
                    format!("`{}` is not expanded", first.display()),
                    Some("write `~/…` for your own home directory, and other paths in full".into()),
                );
                return PathBuf::new();
            }
            _ => base.join(path),
        };
        if whole.as_os_str().as_encoded_bytes().contains(&0) {
            self.problem(at.clone(), "a path cannot hold a NUL character");
        }
        // drops `.` and doubled slashes; `..` stays, since it means another place behind a symbolic link
        whole.components().collect()
    }
}

/// The text made into a name: what cannot stand in one becomes `-`. `fallback` if nothing is left.
pub(crate) fn to_name(text: &str, fallback: &str) -> String {
    let replaced: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    let name = replaced.trim_matches(['-', '.', '_']);
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    if name.is_empty() { fallback.to_owned() } else { name.to_owned() }
}

fn agent_spec(name: &str, agent: &Agent) -> AgentSpec {
    let command = if agent.command.is_empty() && name == CLAUDE {
        vec![CLAUDE.to_owned()]
    } else {
        agent.command.clone()
    };
    let kind = match agent.kind {
        Some(AgentKind::Claude) => Kind::Claude,
        Some(AgentKind::Command) => Kind::Command,
        None if command.first().is_some_and(|program| is_claude(program)) => Kind::Claude,
        None => Kind::Command,
    };
    let mut status = StatusSpec::of(kind);
    if let Some(from) = &agent.status {
        status.from.clone_from(from);
    }
    status.titles.clone_from(&agent.titles);
    AgentSpec {
        kind,
        command,
        args: agent.args.clone(),
        env: agent.env.clone(),
        start_at_once: agent.start_at_once.unwrap_or(START_AT_ONCE_DEFAULT),
        screen: agent.screen.unwrap_or_default(),
        status,
        on_limit: agent.on_limit.unwrap_or_default(),
        mcp: agent.mcp.unwrap_or(true),
    }
}

/// Why a text is not a regular expression.
fn not_a_regex(pattern: &str) -> Option<String> {
    let error = regex::Regex::new(pattern).err()?;
    // its text has several lines: a picture of the pattern, and what is wrong at the end
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default();
    Some(why.strip_prefix("error: ").unwrap_or(why).to_owned())
}

fn is_claude(program: &str) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == CLAUDE)
}

fn restart_spec(own: &Restart, defaults: &Restart) -> RestartSpec {
    let last = RestartSpec::default();
    let (b, d) = (&own.backoff, &defaults.backoff);
    RestartSpec {
        policy: own.policy.or(defaults.policy).unwrap_or(last.policy),
        max_restarts: own.max_restarts.or(defaults.max_restarts).unwrap_or(last.max_restarts),
        within: own.within.or(defaults.within).map_or(last.within, millis),
        backoff: BackoffSpec {
            initial: b.initial.or(d.initial).map_or(last.backoff.initial, millis),
            factor: b.factor.or(d.factor).unwrap_or(last.backoff.factor),
            max: b.max.or(d.max).map_or(last.backoff.max, millis),
            jitter: b.jitter.or(d.jitter).unwrap_or(last.backoff.jitter),
            reset_after: b.reset_after.or(d.reset_after).map_or(last.backoff.reset_after, millis),
        },
    }
}

pub(crate) fn millis(span: Span) -> Millis {
    span.as_millis()
}

/// Positions in start order: as near to file order as `after` allows. Unknown names are left out of
/// account.
///
/// # Errors
/// Circles, each by its names in waiting order, beginning with the one that comes first in the file.
fn start_order(processes: &IndexMap<String, Process>) -> Result<Vec<usize>, Vec<Vec<&str>>> {
    let firsts: Vec<Vec<usize>> = processes
        .iter()
        .map(|(name, p)| {
            p.after.keys().filter(|first| *first != name).filter_map(|f| processes.get_index_of(f)).collect()
        })
        .collect();
    let mut waiting_for: Vec<usize> = firsts.iter().map(Vec::len).collect();
    let mut followers: HashMap<usize, Vec<usize>> = HashMap::new();
    for (i, firsts) in firsts.iter().enumerate() {
        for first in firsts {
            followers.entry(*first).or_default().push(i);
        }
    }
    let mut free: BTreeSet<usize> = (0..processes.len()).filter(|i| waiting_for[*i] == 0).collect();
    let mut order = Vec::with_capacity(processes.len());
    while let Some(next) = free.pop_first() {
        order.push(next);
        for follower in followers.get(&next).into_iter().flatten() {
            waiting_for[*follower] -= 1;
            if waiting_for[*follower] == 0 {
                free.insert(*follower);
            }
        }
    }
    if order.len() == processes.len() {
        return Ok(order);
    }
    let names: Vec<&str> = processes.keys().map(String::as_str).collect();
    let circles = circles(&firsts, &waiting_for);
    Err(circles.into_iter().map(|c| c.into_iter().map(|i| names[i]).collect()).collect())
}

/// Circles among those that still wait. Each of them waits for another one that still waits, so that
/// going from one to the next must come round; every circle found is real, and when they are broken
/// those that shared a member with them show.
fn circles(firsts: &[Vec<usize>], waiting_for: &[usize]) -> Vec<Vec<usize>> {
    let mut seen_from: Vec<Option<usize>> = vec![None; firsts.len()];
    let mut found = Vec::new();
    for start in (0..firsts.len()).filter(|i| waiting_for[*i] > 0) {
        let mut trail = Vec::new();
        let mut at = start;
        while seen_from[at].is_none() {
            seen_from[at] = Some(start);
            trail.push(at);
            let next = firsts[at].iter().find(|first| waiting_for[**first] > 0);
            at = *next.expect("what still waits, waits for something that still waits");
        }
        if seen_from[at] == Some(start) {
            let begin = trail.iter().position(|i| *i == at).expect("seen on this trail");
            let mut circle = trail.split_off(begin);
            let smallest = circle.iter().enumerate().min_by_key(|(_, i)| **i).map_or(0, |(pos, _)| pos);
            circle.rotate_left(smallest);
            found.push(circle);
        }
    }
    found
}
