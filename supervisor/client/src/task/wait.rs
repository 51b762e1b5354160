//! Waiting for tasks, with a line that says how far they are.

use std::{
    collections::HashMap,
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use wezterm_parallel_schemas::{
    event::{Event, Subscribe},
    method::{ListTasks, ShowTask, SubscribeCall, WaitForTasks},
    task::{TaskCounts, TaskList, TaskState, TaskTarget, TaskView, TaskWait},
};

use super::{count, show};
use crate::{
    app::App,
    arguments,
    connection::{CallContext, CallError, Connection, Patience, Received, decode, readable},
    failure::{Failure, Outcome},
    output::{self, Passing},
    time,
};

/// How often the line is drawn anew while nothing happens: it shows the time.
const DRAW: Duration = Duration::from_secs(1);

/// `task wait`.
pub fn run(app: &App, args: &arguments::TaskWait) -> Outcome {
    let what = || "wait for the tasks".to_owned();
    let mut daemon = app.connect()?;
    let params = TaskWait {
        tasks: args.tasks.clone(),
        group: args.group.clone(),
        timeout_ms: args.timeout.map(super::ask::milliseconds),
    };
    let over = wait(&mut daemon, &params, what)?;
    if over.is_empty() {
        let group = args.group.as_deref().unwrap_or_default();
        return Err(Failure::new(what(), format!("there are none in the group {group}"))
            .hint("`wezterm-parallel group list` shows all groups"));
    }
    if app.json {
        output::print_json(&over)?;
    } else {
        let lines: Vec<String> = over.iter().map(show::end_line).collect();
        output::print(lines.concat())?;
    }
    let failed: Vec<&TaskView> = over.iter().filter(|t| t.state != TaskState::Done).collect();
    match failed[..] {
        [] => Ok(()),
        [one] if over.len() == 1 => Err(Failure::new(format!("get {} done", one.name), show::why(one))
            .hint(format!("`wezterm-parallel task show {}` says more", show::short(&one.id)))),
        _ => Err(Failure::new(
            "get all of them done",
            format!("{} of {} are not", failed.len(), count(over.len())),
        )),
    }
}

/// Waits until one task is over.
pub fn for_one(daemon: &mut Connection, task: &TaskView) -> Outcome {
    let params = TaskWait { tasks: vec![task.id.clone()], ..TaskWait::default() };
    let hint = format!("it goes on: `wezterm-parallel task wait {}`", show::short(&task.id));
    wait(daemon, &params, || format!("wait for {}", task.name)).map(|_| ()).map_err(|f| f.hint(hint))
}

fn wait(
    daemon: &mut Connection,
    params: &TaskWait,
    what: impl Fn() -> String + Copy,
) -> Outcome<Vec<TaskView>> {
    let mut line = Passing::new();
    if !line.can_show() {
        return daemon.call::<WaitForTasks>(params, Patience::Forever).to(what);
    }
    output::progress("waiting; Ctrl-C ends only the wait");
    let topics = vec!["task".to_owned()];
    daemon.ask::<SubscribeCall>(&Subscribe { topics, from_seq: None }).to(what)?;
    let mut far = Far::of(daemon, params).to(what)?;
    let id = daemon.begin::<WaitForTasks>(params).to(what)?;
    loop {
        while let Some(come) = daemon.come().to(what)? {
            match come {
                Received::Answer(answered, answer) if answered == id => {
                    let views = answer.map_err(CallError::Refused).and_then(|bytes| decode(&bytes));
                    line.clear();
                    return views.to(what);
                }
                Received::Answer(0, Err(error)) => return Err(CallError::Refused(error)).to(what),
                Received::Answer(..) => {}
                Received::Event(event) => far.hear(&event),
            }
        }
        line.show(&far.text(time::now()));
        readable(daemon.as_fd(), Some(Instant::now() + DRAW)).map_err(CallError::Lost).to(what)?;
    }
}

/// How far those are that somebody waits for.
struct Far {
    tasks: HashMap<String, (String, TaskState)>,
    /// Name of the one that was last heard of while it runs, and what it does.
    last: Option<(String, String)>,
    since: i64,
}

impl Far {
    fn of(daemon: &mut Connection, params: &TaskWait) -> Result<Self, CallError> {
        let mut views = Vec::new();
        for task in &params.tasks {
            let target = TaskTarget { task: task.clone(), key: None };
            views.push(daemon.ask::<ShowTask>(&target)?.task);
        }
        if let Some(group) = &params.group {
            let params = TaskList { group: Some(group.clone()), over: Some(u32::MAX), ..TaskList::default() };
            views.extend(daemon.ask::<ListTasks>(&params)?);
        }
        Ok(Self::new(views, time::now()))
    }

    fn new(views: Vec<TaskView>, now: i64) -> Self {
        let tasks = views.into_iter().map(|view| (view.id, (view.name, view.state))).collect();
        Self { tasks, last: None, since: now }
    }

    fn hear(&mut self, event: &Event) {
        let Some((name, state)) = event.task.as_ref().and_then(|id| self.tasks.get_mut(id)) else { return };
        if let Some(now) = event.task_state {
            *state = now;
        }
        if *state == TaskState::Running {
            self.last = event.message.clone().map(|doing| (name.clone(), doing));
        } else if self.last.as_ref().is_some_and(|(last, _)| last == name) {
            self.last = None;
        }
    }

    fn text(&self, now: i64) -> String {
        let mut counts = TaskCounts::default();
        for (_, state) in self.tasks.values() {
            *counts.of(*state) += 1;
        }
        let mut parts: Vec<String> = show::counts(&[counts]).into_iter().collect();
        parts.push(time::span(now - self.since));
        parts.extend(self.last.as_ref().map(|(name, doing)| format!("{name}: {doing}")));
        parts.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::event::EventKind;

    use super::{super::show::tests::task, *};

    #[test]
    fn the_line_counts_and_says_what_the_last_one_does() {
        let one = task("build", TaskState::Running);
        let two = TaskView { id: "01J0000000000000000000000B".into(), ..task("tests", TaskState::Waiting) };
        let mut far = Far::new(vec![one.clone(), two.clone()], 0);
        let event = |task: &TaskView, state, message: Option<&str>| Event {
            task: Some(task.id.clone()),
            task_state: Some(state),
            message: message.map(Into::into),
            ..Event::new(EventKind::TaskProgress)
        };
        far.hear(&event(&one, TaskState::Running, Some("Bash: cargo build")));
        assert_eq!(far.text(65_000), "1 running · 1 waiting · 1m · build: Bash: cargo build");
        far.hear(&event(&one, TaskState::Done, None));
        let other = task("of somebody else", TaskState::Running);
        far.hear(&event(&TaskView { id: "other".into(), ..other }, TaskState::Running, Some("x")));
        assert_eq!(far.text(65_000), "1 waiting · 1 done · 1m");
    }
}
