//! What is asked of a task, from the command line.

use std::{
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use wezterm_parallel_config::{deadline, import};
use wezterm_parallel_schemas::{
    environment,
    prompt::PROMPT_BYTES_MAX,
    task::{self, TaskAdd},
};

use crate::{
    arguments::{self},
    failure::{Context, Exit, Failure, Outcome},
    time,
};

/// The parameters of `task.add`.
pub fn add(args: &arguments::TaskAdd) -> Outcome<TaskAdd> {
    let what = || "add the task".to_owned();
    let here = std::env::current_dir().failed_to(what)?;
    let cwd = match (&args.cwd, &args.workspace) {
        (Some(dir), _) => Some(whole(&here, dir)),
        (None, Some(_)) => None,
        (None, None) => Some(here),
    };
    Ok(TaskAdd {
        name: args.name.clone(),
        prompt: prompt(args.prompt.as_ref(), args.prompt_file.as_deref(), &what)?,
        command: args.command.clone(),
        workspace: args.workspace.clone(),
        cwd,
        agent: args.agent.clone(),
        model: args.model.clone(),
        permission_mode: args.permission_mode.clone(),
        allow: args.allow.clone(),
        env: args.env.iter().cloned().collect(),
        priority: args.priority.unwrap_or_default(),
        after: args.after.clone(),
        on_failed_dependency: args.on_failed_dependency.map(Into::into).unwrap_or_default(),
        group: args.group.clone(),
        retries: args.retries,
        timeout_ms: args.timeout.map(milliseconds),
        deadline: point(args.deadline.as_deref(), &what)?,
        budget_usd: args.budget,
        max_turns: args.max_turns,
        environment: environment::passed_on(std::env::vars_os()),
        key: args.key.clone(),
    })
}

/// The parameters of `task.edit`.
pub fn edit(args: &arguments::TaskEdit) -> Outcome<task::TaskEdit> {
    let what = || format!("change the task {}", args.task);
    Ok(task::TaskEdit {
        task: args.task.clone(),
        name: args.name.clone(),
        prompt: prompt(args.prompt.as_ref(), args.prompt_file.as_deref(), &what)?,
        command: args.command.clone(),
        priority: args.priority,
        group: args.group.clone(),
        model: args.model.clone(),
        retries: args.retries,
        timeout_ms: args.timeout.map(milliseconds),
        deadline: point(args.deadline.as_deref(), &what)?,
        budget_usd: args.budget,
        max_turns: args.max_turns,
        key: None,
    })
}

/// A directory without `..` and links, as it will stand beside others in a listing; one that is not there is
/// the daemon's to refuse.
fn whole(here: &Path, dir: &Path) -> PathBuf {
    let dir = here.join(dir);
    dir.canonicalize().unwrap_or(dir)
}

fn prompt(text: Option<&String>, file: Option<&Path>, what: &impl Fn() -> String) -> Outcome<Option<String>> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(file)) if file == Path::new("-") => from_stdin(what).map(Some),
        (None, Some(file)) => import::read_prompt(file)
            .map(Some)
            .map_err(|why| Failure::new(what(), format!("{}: {why}", file.display()))),
        (None, None) => Ok(None),
    }
}

fn from_stdin(what: &impl Fn() -> String) -> Outcome<String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(PROMPT_BYTES_MAX).unwrap_or(u64::MAX) + 1;
    std::io::stdin().lock().take(most).read_to_end(&mut bytes).failed_to(what)?;
    if bytes.len() > PROMPT_BYTES_MAX {
        return Err(Failure::new(what(), format!("a prompt has at most {PROMPT_BYTES_MAX} bytes"))
            .hint("write it into a file, and add a prompt that names the file"));
    }
    String::from_utf8(bytes).map_err(|_| Failure::new(what(), "what standard input has is not UTF-8"))
}

fn point(text: Option<&str>, what: &impl Fn() -> String) -> Outcome<Option<i64>> {
    let read = |text| deadline::deadline(text, time::now());
    text.map(read).transpose().map_err(|why| Failure::new(what(), why).exit(Exit::Usage))
}

pub fn milliseconds(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
