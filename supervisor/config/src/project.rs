//! A project's own `.wezterm-parallel.yaml`: it may add processes to the workspace of its directory, once
//! the user has trusted it as it is. Whoever can write to a repository can write this file, so it can
//! say what to run, and not what an agent may do: agents, their rights and their accounts are the user's.

use std::path::{Component, Path, PathBuf};

use indexmap::IndexMap;
use wezterm_parallel_core::spec::{Desired, ProcessSpec, WorkspaceSpec};
use wezterm_parallel_schemas::{
    config::{Config, OnCrashLoop, ProjectConfig, Strategy},
    process::{Kind, Source},
};

use crate::{
    error::{ConfigError, KeyPath, Problem, invalid},
    load::{hash, read},
    parse::{self, Format},
    resolve::{Dirs, Resolver},
};

/// Name of the file, in the directory of the workspace.
pub const FILE_NAME: &str = ".wezterm-parallel.yaml";

/// Arguments that a project may give to a Claude. A list of what is harmless, since a list of what is
/// not would be out of date with the next release of Claude Code.
const CLAUDE_ARGS: [&str; 17] = [
    "--agent",
    "--append-system-prompt",
    "--ax-screen-reader",
    "--brief",
    "--disable-slash-commands",
    "--disallowed-tools",
    "--disallowedTools",
    "--effort",
    "--fallback-model",
    "--model",
    "--name",
    "-n",
    "--no-chrome",
    "--prompt-suggestions",
    "--restricted",
    "--safe-mode",
    "--verbose",
];
/// The first of these arguments of a Claude that only its user may give.
pub fn only_the_users(args: &[String]) -> Option<&str> {
    let options = args.iter().filter(|arg| arg.starts_with('-')).map(|arg| option(arg));
    options.into_iter().find(|option| !CLAUDE_ARGS.contains(option))
}

/// An option without its value.
fn option(arg: &str) -> &str {
    arg.split('=').next().unwrap_or(arg)
}

/// Beginnings of variables that say which account an agent uses and what it may do.
const ENV_PREFIXES: [&str; 3] = ["ANTHROPIC_", "CLAUDE_", "WEZTERM_PARALLEL"];
/// Variables, and beginnings of them, that change which program an agent is or what it loads.
const AGENT_ENV_PREFIXES: [&str; 8] = ["PATH", "HOME", "LD_", "DYLD_", "NODE_", "BUN_", "XDG_", "DISABLE_"];

/// A project's file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectFile {
    /// Its path with every symbolic link resolved: what trust is given to, with the hash.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// SHA-256 of the text, in hexadecimal.
    pub hash: String,
}

/// A file as the user has trusted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// SHA-256 of the text, in hexadecimal.
    pub hash: String,
    /// The text: what holds while a changed file waits for trust.
    pub text: String,
}

/// Remembers which project files the user trusts.
pub trait TrustStore {
    /// What of this file (by its path without symbolic links) is trusted.
    fn trusted(&self, path: &Path) -> Option<Trusted>;
}

impl<F: Fn(&Path) -> Option<Trusted>> TrustStore for F {
    fn trusted(&self, path: &Path) -> Option<Trusted> {
        self(path)
    }
}

/// What projects add to a config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Projects {
    /// What is wrong, by workspace, for people.
    pub problems: IndexMap<String, String>,
    /// The project files there are, by workspace: what to watch.
    pub files: IndexMap<String, PathBuf>,
}

/// Reads the project file of a directory; nothing if there is none.
///
/// # Errors
/// [`ConfigError::Unreadable`] if there is one and it is no text of at most 1 MiB.
pub fn find(dir: &Path) -> Result<Option<ProjectFile>, ConfigError> {
    let path = dir.join(FILE_NAME);
    let Ok(path) = path.canonicalize() else { return Ok(None) };
    match read(&path) {
        Ok(text) => Ok(Some(ProjectFile { hash: hash(text.as_bytes()), path, text })),
        // gone since
        Err(ConfigError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Checks a project's file under the user's config, as it must be before it can be trusted. `workspace`
/// is the one it would add to, if there is one: processes of it may be named in `after`. `saved` are the
/// user's saved templates: a project names one, and defines none.
///
/// # Errors
/// All that is wrong with it.
pub fn check(
    file: &ProjectFile,
    config: &Config,
    workspace: Option<&WorkspaceSpec>,
    home: &Path,
    saved: &[String],
) -> Result<ProjectConfig, ConfigError> {
    let base = file.path.parent().unwrap_or(home);
    let project = parse::project(&file.text, &file.path)?;
    added(&project, config, workspace, Dirs { home, base, saved: Some(saved) })
        .map_err(|problems| invalid(&file.path, &file.text, Format::of(&file.path), problems))?;
    Ok(project)
}

/// Adds to each workspace of `desired` what the project file in its directory asks for, as far as it is
/// trusted. `config` is the user's, all layers together. Of several workspaces in one directory the
/// first gets it. What is not trusted, changed or wrong changes nothing and is told as a problem.
pub fn add_all(desired: &mut Desired, config: &Config, trust: &dyn TrustStore, home: &Path) -> Projects {
    let mut projects = Projects::default();
    let mut done: Vec<PathBuf> = Vec::new();
    for (name, workspace) in &mut desired.workspaces {
        let file = match find(&workspace.cwd) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(error) => {
                projects.problems.insert(name.clone(), error.to_string());
                continue;
            }
        };
        if done.contains(&file.path) {
            continue;
        }
        projects.files.insert(name.clone(), file.path.clone());
        let trusted = trust.trusted(&file.path);
        if let Some(problem) = add(workspace, config, &file, trusted.as_ref(), home) {
            projects.problems.insert(name.clone(), problem);
        }
        done.push(file.path);
    }
    projects
}

/// Adds to a workspace what its project file asks for, as far as it is trusted: the file itself if it is
/// trusted as it is, what of it was trusted before if it has changed since. Says what is wrong.
pub fn add(
    workspace: &mut WorkspaceSpec,
    config: &Config,
    file: &ProjectFile,
    trusted: Option<&Trusted>,
    home: &Path,
) -> Option<String> {
    let shown = file.path.display();
    let Some(trusted) = trusted else {
        return Some(format!(
            "{shown} is not trusted: read it, then run `wezterm-parallel config trust {shown}`"
        ));
    };
    let waiting = (trusted.hash != file.hash).then(|| {
        format!("{shown} has changed since it was trusted; what it said then holds until you read it and run `wezterm-parallel config trust {shown}`")
    });
    let dir = file.path.parent().unwrap_or(home);
    let result = parse::project(&trusted.text, &file.path).and_then(|project| {
        added(&project, config, Some(workspace), Dirs { home, base: dir, saved: None })
            .map(|processes| (project, processes))
            .map_err(|problems| invalid(&file.path, &trusted.text, Format::of(&file.path), problems))
    });
    match result {
        Ok((project, processes)) => {
            let own = &project.workspace;
            // what the user has set stays
            if workspace.strategy == Strategy::default() {
                workspace.strategy = own.strategy;
            }
            if workspace.on_crash_loop == OnCrashLoop::default() {
                workspace.on_crash_loop = own.on_crash_loop;
            }
            if workspace.layout.is_none() {
                workspace.layout.clone_from(&own.layout);
            }
            workspace.processes.extend(processes);
            waiting
        }
        Err(error) => Some(error.to_string()),
    }
}

/// The processes that a project adds to a workspace.
fn added(
    project: &ProjectConfig,
    config: &Config,
    workspace: Option<&WorkspaceSpec>,
    dirs: Dirs<'_>,
) -> Result<IndexMap<String, ProcessSpec>, Vec<Problem>> {
    let at = KeyPath::of(["workspace"]);
    let own = &project.workspace;
    let dir = dirs.base;
    let mut work = Resolver::new(config, dirs, Source::Project);
    work.check_layout_name(&at, own.layout.as_ref());
    let no_processes = IndexMap::new();
    // what the file itself brought the last time is not in its way
    let others: IndexMap<String, ProcessSpec> = workspace
        .map_or(&no_processes, |w| &w.processes)
        .iter()
        .filter(|(_, p)| p.source != Source::Project)
        .map(|(name, p)| (name.clone(), p.clone()))
        .collect();
    let inside = |path: &Path| {
        path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
            && !path.to_string_lossy().starts_with('~')
    };
    if !inside(&own.cwd) {
        work.problem(at.key("cwd"), "this leads out of the project's directory");
    }
    check_env(&mut work, &at.key("env"), own.env.keys(), false);
    for (name, process) in &own.processes {
        let at = at.key("processes").key(name);
        if others.contains_key(name) {
            work.problem(at.clone(), format!("the workspace has a process `{name}` of its own"));
        }
        if process.cwd.as_ref().is_some_and(|cwd| !inside(cwd)) {
            work.problem(at.key("cwd"), "this leads out of the project's directory");
        }
        check_env(&mut work, &at.key("env"), process.env.keys(), process.agent.is_some());
        if process.agent.is_some() {
            // those of the workspace reach its agents as well
            check_env(&mut work, &KeyPath::of(["workspace", "env"]), own.env.keys(), true);
        }
    }
    let cwd = if own.cwd.as_os_str().is_empty() { dir.to_owned() } else { dir.join(&own.cwd) };
    let processes = work.processes(&at.key("processes"), &cwd, &own.env, &own.processes, &others);
    for (name, spec) in &processes {
        check_args(&mut work, &at.key("processes").key(name).key("args"), spec.kind, &own.processes[name]);
    }
    work.problems.dedup();
    if work.problems.is_empty() { Ok(processes) } else { Err(work.problems) }
}

fn check_env<'a>(
    work: &mut Resolver<'_>,
    at: &KeyPath,
    names: impl Iterator<Item = &'a String>,
    of_agent: bool,
) {
    for name in names {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
        let problem = if starts(&ENV_PREFIXES) || (of_agent && starts(&AGENT_ENV_PREFIXES)) {
            Problem::new(at.key(name), format!("a project may not set {name}"))
                .hint("set it in your own config.yaml if it is meant".to_owned())
        } else {
            continue;
        };
        if !work.problems.contains(&problem) {
            work.problems.push(problem);
        }
    }
}

fn check_args(
    work: &mut Resolver<'_>,
    at: &KeyPath,
    kind: Kind,
    process: &wezterm_parallel_schemas::config::Process,
) {
    if process.agent.is_none() {
        return;
    }
    for (i, arg) in process.args.iter().enumerate().filter(|(_, arg)| arg.starts_with('-')) {
        let option = option(arg);
        if kind == Kind::Claude && CLAUDE_ARGS.contains(&option) {
            continue;
        }
        let problem =
            Problem::new(at.key(&i.to_string()), format!("a project may not give an agent `{option}`"))
                .hint("make an agent with it in your own config.yaml if it is meant".to_owned());
        work.problems.push(problem);
    }
}
