//! `task …`.

use serde::Serialize;
use wezterm_parallel_schemas::{
    error::Error,
    method::{
        AddProcess, AddTask, CancelTask, EditTask, ListTasks, Method, PauseTask, ResumeTask, RetryTask,
        ShowTask,
    },
    process::ProcessAdd,
    task::{TaskDetail, TaskKind, TaskList, TaskReport, TaskRetry, TaskState, TaskTarget, TaskView},
};

use crate::{
    app::App,
    arguments::{Attach, Task, TaskOpen},
    attach,
    connection::{CallContext, CallError, Connection, Patience},
    failure::{Failure, Outcome},
    output,
    target::Target,
    time, view,
};

mod ask;
mod brought;
mod follow;
mod graph;
mod import;
mod lines;
pub mod show;
mod wait;

pub mod report;

/// Calls under way on one connection: the daemon takes 64.
const CALLS_MAX: usize = 48;
/// Tasks that are over and listed, if nobody wants all: what fits a screen beside those that are not.
const OVER_LISTED: u32 = 20;

/// `task …`. The exit code is that of the task where one is waited for.
pub fn run(app: &App, verb: &Task) -> Outcome<i32> {
    let done = match verb {
        Task::Add(args) => return add(app, args),
        Task::Attach { task } => return follow::attach(app, task),
        Task::Import(args) => import::run(app, args),
        Task::List(args) => list(app, args),
        Task::Show { task } => show_one(app, task),
        Task::Logs(args) => follow::logs(app, args),
        Task::Open(args) => open(app, args),
        Task::Cancel { tasks } => orders::<CancelTask>(app, tasks, target, ["cancel", "canceled"]),
        Task::Pause { tasks } => orders::<PauseTask>(app, tasks, target, ["pause", "paused"]),
        Task::Resume { tasks } => orders::<ResumeTask>(app, tasks, target, ["resume", "resumed"]),
        Task::Retry { tasks, fresh } => {
            let params = |task: &str| TaskRetry { task: task.to_owned(), fresh: *fresh, key: None };
            orders::<RetryTask>(app, tasks, params, ["retry", "begins again:"])
        }
        Task::Edit(args) => {
            let params = ask::edit(args)?;
            let what = || format!("change the task {}", args.task);
            let edited = app.connect()?.call::<EditTask>(&params, Patience::Effect).to(what)?;
            say(app, &edited, "changed")
        }
        Task::Wait(args) => wait::run(app, args),
        Task::Result { task } => result(app, task),
        Task::Graph(args) => graph::run(app, args),
    };
    done.map(|()| 0)
}

fn target(task: &str) -> TaskTarget {
    TaskTarget { task: task.to_owned(), key: None }
}

fn add(app: &App, args: &crate::arguments::TaskAdd) -> Outcome<i32> {
    let what = || "add the task".to_owned();
    let params = ask::add(args)?;
    let mut daemon = app.connect()?;
    let added = daemon.call::<AddTask>(&params, Patience::Effect).to(what)?;
    if !args.wait {
        if app.json {
            output::print_json(&added)?;
        } else {
            output::print(format_args!("{}\n", added.id))?;
        }
        return Ok(0);
    }
    wait::for_one(&mut daemon, &added)?;
    let detail =
        daemon.ask::<ShowTask>(&target(&added.id)).to(|| format!("see what {} has brought", added.name))?;
    if app.json {
        output::print_json(&of(&detail))?;
    } else {
        brought::print(&detail)?;
    }
    Ok(brought::exit_code(&detail))
}

fn list(app: &App, args: &crate::arguments::TaskList) -> Outcome {
    let mut daemon = app.connect()?;
    let states: Vec<TaskState> = args.state.iter().map(|state| (*state).into()).collect();
    let all = args.all || !states.is_empty();
    // one more than is shown tells that there are more
    let over = Some(if all { u32::MAX } else { OVER_LISTED + 1 });
    let params = TaskList { group: args.group.clone(), workspace: args.workspace.clone(), states, over };
    let mut list = daemon.ask::<ListTasks>(&params).to(|| "list the tasks".into())?;
    let more = !all && drop_oldest(&mut list);
    if app.json {
        output::print_json(&list)?;
    } else {
        output::print(show::tasks(&list, time::now(), output::width()))?;
    }
    if more {
        output::note("there are more that are over: `wezterm-parallel task list --all`");
    }
    Ok(())
}

/// Leaves out the oldest of those that are over, if there is one too many.
fn drop_oldest(list: &mut Vec<TaskView>) -> bool {
    let over = list.iter().filter(|t| t.state.is_end());
    if over.clone().count() <= OVER_LISTED as usize {
        return false;
    }
    let oldest = over.min_by_key(|t| (t.ended_at, t.id.clone())).map(|t| t.id.clone());
    list.retain(|t| Some(&t.id) != oldest.as_ref());
    true
}

fn show_one(app: &App, task: &str) -> Outcome {
    let mut daemon = app.connect()?;
    let detail = daemon.ask::<ShowTask>(&target(task)).to(|| format!("show the task {task}"))?;
    if app.json {
        return output::print_json(&detail);
    }
    let names = match detail.task.after.is_empty() {
        true => Vec::new(),
        false => all_of(&mut daemon, None)?,
    };
    output::print(show::whole(&detail, &names, time::now()))
}

/// All tasks that are remembered.
fn all_of(daemon: &mut Connection, group: Option<String>) -> Outcome<Vec<TaskView>> {
    let params = TaskList { group, over: Some(u32::MAX), ..TaskList::default() };
    daemon.ask::<ListTasks>(&params).to(|| "list the tasks".into())
}

/// A task with what it has brought.
fn of(detail: &TaskDetail) -> TaskReport {
    TaskReport { task: detail.task.clone(), result: detail.result.clone() }
}

fn result(app: &App, task: &str) -> Outcome {
    let what = || format!("print what {task} has brought");
    let detail = app.connect()?.ask::<ShowTask>(&target(task)).to(what)?;
    let state = detail.task.state;
    if detail.result.is_none() {
        let (why, hint) = match state.is_end() {
            true => (format!("it is {state}, and has not run"), "show"),
            false => (format!("it is {state}"), "wait"),
        };
        let hint = format!("see `wezterm-parallel task {hint} {}`", show::short(&detail.task.id));
        return Err(Failure::new(what(), why).hint(hint));
    }
    if app.json {
        return output::print_json(&of(&detail));
    }
    if !state.is_end() {
        output::note(format_args!("it is {state}: this is what the attempt before has brought"));
    }
    brought::print(&detail)
}

/// What has become of an order.
#[derive(Serialize)]
struct Ordered {
    task: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<TaskView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

/// The same order for several tasks, all at the same time. Each is told of; it has failed if one has.
fn orders<M>(
    app: &App,
    tasks: &[String],
    params: impl Fn(&str) -> M::Params,
    [verb, done]: [&str; 2],
) -> Outcome
where
    M: Method<Result = TaskView>,
{
    let mut daemon = app.connect()?;
    let failed = |e: CallError| e.failure(format!("{verb} the tasks"));
    let mut all: Vec<Ordered> = Vec::new();
    for tasks in tasks.chunks(CALLS_MAX) {
        let of_chunk: Vec<M::Params> = tasks.iter().map(|task| params(task)).collect();
        let at = all.len();
        all.extend(tasks.iter().map(|task| Ordered { task: task.clone(), view: None, error: None }));
        let called = daemon.call_all::<M>(&of_chunk, Patience::Effect, |i, answer| match answer {
            Ok(view) => all[at + i].view = Some(view),
            Err(error) => all[at + i].error = Some(error),
        });
        called.map_err(failed)?;
    }
    if app.json {
        output::print_json(&all)?;
    } else {
        for view in all.iter().filter_map(|o| o.view.as_ref()) {
            say(app, view, done)?;
        }
    }
    let mut refused: Vec<Ordered> = all.into_iter().filter(|o| o.error.is_some()).collect();
    let one = refused.len() == 1;
    let last = refused.pop();
    for o in &refused {
        let error = o.error.as_ref().map(Error::line).unwrap_or_default();
        output::note(format_args!("{}: {}", output::clean(&o.task), output::clean(&error)));
    }
    match last.and_then(|o| Some((o.error?, o.task))) {
        None => Ok(()),
        Some((error, task)) if one => Err(Failure::refused(format!("{verb} the task {task}"), error)),
        Some((error, task)) => {
            output::note(format_args!("{}: {}", output::clean(&task), output::clean(&error.line())));
            Err(Failure::new(format!("{verb} all of them"), format!("{} could not be", refused.len() + 1)))
        }
    }
}

fn say(app: &App, task: &TaskView, done: &str) -> Outcome {
    if app.json {
        return output::print_json(task);
    }
    output::print(format_args!("{done} {}\n", show::line(task)))
}

fn open(app: &App, args: &TaskOpen) -> Outcome {
    let what = || format!("open the session of {}", args.task);
    let mut daemon = app.connect()?;
    let detail = daemon.ask::<ShowTask>(&target(&args.task)).to(what)?;
    let session = session_of(&detail).map_err(|(why, hint)| Failure::new(what(), why).hint(hint))?;
    let workspace = args.workspace.clone().or_else(|| detail.task.workspace.clone());
    let workspace = workspace.ok_or_else(|| {
        Failure::new(what(), "it belongs to no workspace")
            .hint(format!("say which one: `wezterm-parallel task open {} --workspace NAME`", args.task))
    })?;
    let params = ProcessAdd {
        workspace,
        name: args.name.clone(),
        agent: detail.asked.agent.clone(),
        resume: Some(session),
        fork: None,
        command: Vec::new(),
        environment: wezterm_parallel_schemas::environment::passed_on(std::env::vars_os()),
        key: None,
    };
    let added = daemon.call::<AddProcess>(&params, Patience::Effect).to(what)?;
    drop(daemon);
    crate::process::say(app, &added, "added")?;
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stdin()) && output::width().is_some();
    if terminal && !app.json {
        return attach::run(app, &Attach::to(Target::new(added.workspace, added.name)));
    }
    Ok(())
}

/// The session of a task that somebody may go on with; why not, and what to do.
fn session_of(detail: &TaskDetail) -> Result<String, (String, String)> {
    let task = &detail.task;
    let short = show::short(&task.id);
    if task.kind == TaskKind::Command {
        let hint = format!("`wezterm-parallel task logs {short}` prints what it has written");
        return Err(("it is a command, and has no session".into(), hint));
    }
    if !task.state.is_end() {
        let why = format!("it is {}, and goes on with its session by itself", task.state);
        let hint = format!(
            "wait for it, or end it by `wezterm-parallel task cancel {short}`; `task attach {short}` shows what it does"
        );
        return Err((why, hint));
    }
    task.session_id.clone().ok_or_else(|| {
        let hint = format!("`wezterm-parallel task show {short}` says why");
        ("it has not begun a session".into(), hint)
    })
}

/// How many tasks are in which state, for `status`; none if there are none.
pub fn in_short(daemon: &mut Connection) -> Option<String> {
    use wezterm_parallel_schemas::{daemon::Empty, method::ListGroups};
    let groups = daemon.ask::<ListGroups>(&Empty {}).ok()?;
    show::counts(&groups.iter().map(|g| g.tasks).collect::<Vec<_>>())
}

/// `1 task` for a person.
fn count(n: usize) -> String {
    view::count(n, "task")
}
