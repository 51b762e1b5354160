//! What each tool asks the daemon, and what of the answer a model needs. Blocks until it is known.

use std::{path::Path, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use wezterm_parallel_client::lease;
use wezterm_parallel_schemas::{
    daemon::Empty,
    error::{Code, Error},
    keeper::PROCESS_MARK,
    lease::{LeaseAcquire, LeaseRelease},
    method::{
        AcquireLease, AddTask, CancelTask, ListLeases, ListProcesses, ListTasks, Method, ReleaseLease,
        SendPrompt, ShowTask, WaitForTasks,
    },
    process::{ProcessList, ProcessView},
    prompt::{ProcessSend, WhileWorking},
    task::{TaskAdd, TaskList, TaskTarget, TaskView, TaskWait},
};

use crate::{
    daemon::{Daemon, Hangup},
    tool,
};

/// How long a call may take that is answered when it is done: it waits behind an fsync, or for a process.
const EFFECT: Duration = Duration::from_secs(120);
/// Longest wait that a model may ask for, in seconds: it sees nothing meanwhile, and can ask again.
const WAIT_S_MAX: u64 = 600;
/// What is waited longer here than there: the daemon says that the time is up.
const SLACK: Duration = Duration::from_secs(30);
/// Tasks that one call may wait for: all that an agent has under way, and some of others.
const WAITED_MAX: usize = 50;
/// Tasks that are over in a listing, if nobody says.
const OVER_LISTED: u32 = 20;
/// Longest answer of a task that is shown, in bytes: more would fill the context of whoever asks.
const ANSWER_BYTES_MAX: usize = 32 << 10;

/// Carries a tool out. Both are text for the model.
pub fn carry_out(name: &str, arguments: Value, daemon: &Daemon, hangup: &Hangup) -> Result<String, String> {
    let ask = Ask { daemon, hangup };
    let done = match name {
        "task_add" => take(arguments).and_then(|a| ask.task_add(a)),
        "task_list" => take(arguments).and_then(|a| ask.task_list(a)),
        "task_show" => take(arguments).and_then(|a| ask.task_show(a)),
        "task_wait" => take(arguments).and_then(|a| ask.task_wait(a)),
        "task_cancel" => take(arguments).and_then(|a| ask.task_cancel(a)),
        "process_list" => take(arguments).and_then(|a| ask.process_list(a)),
        "process_status" => take(arguments).and_then(|a| ask.process_status(a)),
        "process_send" => take(arguments).and_then(|a| ask.process_send(a)),
        "lease_acquire" => take(arguments).and_then(|a| ask.lease_acquire(a)),
        "lease_release" => take(arguments).and_then(|a| ask.lease_release(a)),
        "lease_list" => take(arguments).and_then(|a| ask.lease_list(a)),
        _ => Err(Error::new(Code::UnknownMethod, format!("there is no tool {name}"))),
    };
    done.map(|value| value.to_string()).map_err(|e| match e.hint {
        Some(hint) => format!("failed: {} ({}). Hint: {hint}", e.message, e.code.name()),
        None => format!("failed: {} ({})", e.message, e.code.name()),
    })
}

fn take<T: DeserializeOwned>(arguments: Value) -> Result<T, Error> {
    serde_json::from_value(arguments)
        .map_err(|e| Error::new(Code::BadParams, format!("the arguments do not fit: {e}")))
}

struct Ask<'a> {
    daemon: &'a Daemon,
    hangup: &'a Hangup,
}

impl Ask<'_> {
    fn call<M: Method>(&self, params: &M::Params) -> Result<M::Result, Error> {
        self.daemon.call::<M>(params, EFFECT, self.hangup)
    }

    fn task_add(&self, a: tool::TaskAdd) -> Result<Value, Error> {
        let add = TaskAdd {
            prompt: Some(a.prompt),
            name: a.name,
            after: a.after,
            priority: a.priority,
            group: a.group,
            retries: a.retries,
            timeout_ms: a.timeout_seconds.map(|s| s.saturating_mul(1_000)),
            max_turns: a.max_turns,
            key: key(),
            ..TaskAdd::default()
        };
        self.call::<AddTask>(&add).map(|view| task(&view))
    }

    fn task_list(&self, a: tool::TaskList) -> Result<Value, Error> {
        let over = Some(a.over.unwrap_or(OVER_LISTED));
        let list = self.call::<ListTasks>(&TaskList { group: a.group, over, ..TaskList::default() })?;
        Ok(list.iter().map(task).collect())
    }

    fn task_show(&self, a: tool::Task) -> Result<Value, Error> {
        let mut detail = self.call::<ShowTask>(&TaskTarget { task: a.task, key: None })?;
        let mut shown = task(&detail.task);
        shown["prompt"] = json!(detail.asked.prompt.take());
        if let Some(mut result) = detail.result {
            if let Some(text) = result.text.as_mut().filter(|text| text.len() > ANSWER_BYTES_MAX) {
                text.truncate(text.floor_char_boundary(ANSWER_BYTES_MAX));
                result.cut = true;
            }
            shown["result"] = plain(&result);
        }
        Ok(shown)
    }

    fn task_wait(&self, a: tool::TaskWait) -> Result<Value, Error> {
        if a.tasks.len() > WAITED_MAX {
            let message = format!("at most {WAITED_MAX} tasks can be waited for at once");
            return Err(Error::new(Code::BadParams, message).hint("give them a group"));
        }
        let seconds = a.timeout_seconds.unwrap_or(WAIT_S_MAX).min(WAIT_S_MAX);
        let wait =
            TaskWait { tasks: a.tasks.clone(), group: a.group.clone(), timeout_ms: Some(seconds * 1_000) };
        let patience = Duration::from_secs(seconds) + SLACK;
        let (views, over) = match self.daemon.call::<WaitForTasks>(&wait, patience, self.hangup) {
            Ok(views) => (views, true),
            Err(e) if e.code == Code::Timeout => (self.as_they_stand(&a)?, false),
            Err(e) => return Err(e),
        };
        Ok(json!({ "over": over, "tasks": views.iter().map(task).collect::<Vec<_>>() }))
    }

    fn as_they_stand(&self, a: &tool::TaskWait) -> Result<Vec<TaskView>, Error> {
        let one = |name: &String| {
            let target = TaskTarget { task: name.clone(), key: None };
            self.call::<ShowTask>(&target).map(|detail| detail.task)
        };
        let mut views: Vec<TaskView> = a.tasks.iter().map(one).collect::<Result<_, _>>()?;
        if a.group.is_some() {
            let list = TaskList { group: a.group.clone(), over: Some(OVER_LISTED), ..TaskList::default() };
            views.extend(self.call::<ListTasks>(&list)?);
        }
        Ok(views)
    }

    fn task_cancel(&self, a: tool::Task) -> Result<Value, Error> {
        self.call::<CancelTask>(&TaskTarget { task: a.task, key: key() }).map(|view| task(&view))
    }

    fn process_list(&self, a: tool::ProcessList) -> Result<Value, Error> {
        let list = self.call::<ListProcesses>(&ProcessList { workspace: a.workspace, all: false })?;
        Ok(list.iter().map(process).collect())
    }

    fn process_status(&self, a: tool::Process) -> Result<Value, Error> {
        let list = self.call::<ListProcesses>(&ProcessList::default())?;
        let is_meant = |v: &&ProcessView| {
            a.process == v.id || a.process == v.name || a.process == format!("{}/{}", v.workspace, v.name)
        };
        let found: Vec<&ProcessView> = list.iter().filter(is_meant).collect();
        match found[..] {
            [view] => Ok(without_nothing(plain(view))),
            [] => Err(Error::new(Code::NotFound, format!("there is no process {}", a.process))
                .hint("process_list shows all")),
            _ => Err(Error::new(Code::Conflict, format!("several processes are called {}", a.process))
                .hint("write WORKSPACE/PROCESS")),
        }
    }

    fn process_send(&self, a: tool::ProcessSend) -> Result<Value, Error> {
        let send = ProcessSend {
            process: a.process,
            text: a.text,
            while_working: match a.when {
                tool::When::Idle => WhileWorking::Queue,
                tool::When::Now => WhileWorking::Now,
            },
            key: key(),
            ..ProcessSend::default()
        };
        let view = self.call::<SendPrompt>(&send)?;
        Ok(without_nothing(json!({
            "to": format!("{}/{}", view.workspace, view.process),
            "state": plain(&view.state),
            "reason": view.reason,
            "place_in_its_queue": view.place,
        })))
    }

    fn lease_acquire(&self, a: tool::LeaseAcquire) -> Result<Value, Error> {
        let wait = a.wait_seconds.unwrap_or(0).min(WAIT_S_MAX);
        let acquire = LeaseAcquire {
            name: named(&a.name),
            wait_ms: Some(wait * 1_000),
            for_ms: a.for_seconds.map(|s| s.saturating_mul(1_000)),
            reason: a.reason,
            while_connected: false,
        };
        let patience = Duration::from_secs(wait) + SLACK;
        let view = self.daemon.call::<AcquireLease>(&acquire, patience, self.hangup)?;
        if view.run_id.is_none() {
            return Err(Error::new(
                Code::Forbidden,
                "only a supervised agent can hold a lease by this server",
            ));
        }
        Ok(plain(&view))
    }

    fn lease_release(&self, a: tool::Lease) -> Result<Value, Error> {
        let name = named(&a.name);
        self.call::<ReleaseLease>(&LeaseRelease { name: name.clone(), key: key() })?;
        Ok(json!({ "released": name }))
    }

    fn lease_list(&self, _: tool::Nothing) -> Result<Value, Error> {
        self.call::<ListLeases>(&Empty {}).map(|list| plain(&list))
    }
}

/// Of calls with the same one the first counts: so that one can be made again when its daemon has ended.
fn key() -> Option<String> {
    Some(ulid::Ulid::generate().to_string())
}

/// A path is meant from where this runs, which is where the agent was started.
fn named(name: &str) -> String {
    lease::name(name, &std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned()))
}

/// What of a task a list needs.
fn task(view: &TaskView) -> Value {
    let doing = view.progress.as_ref().and_then(|progress| progress.doing.clone());
    without_nothing(json!({
        "id": view.id,
        "name": view.name,
        "state": view.state.to_string(),
        "reason": view.reason,
        "doing": doing,
        "text": view.text,
        "group": view.group,
        "priority": view.priority,
        "after": view.after,
        "attempt": view.attempt,
        "cost_usd": view.cost_usd,
        "workspace": view.workspace,
        "added_by": view.added_by,
    }))
}

/// What of a process a list needs.
fn process(view: &ProcessView) -> Value {
    without_nothing(json!({
        "process": format!("{}/{}", view.workspace, view.name),
        "agent": view.agent,
        "state": plain(&view.state),
        "status": plain(&view.status),
        "status_reason": view.status_reason,
        "title": view.title,
        "cwd": view.cwd,
        "session_id": view.session_id,
        "asks_its_user": view.asks,
        "messages_waiting": view.prompts,
        "you": std::env::var(PROCESS_MARK).is_ok_and(|own| own == view.id).then_some(true),
    }))
}

fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("our own types have a JSON form")
}

/// Without keys that say nothing: they cost as much as those that do.
fn without_nothing(value: Value) -> Value {
    let says = |v: &Value| !matches!(v, Value::Null) && *v != json!([]) && *v != json!(0);
    match value {
        Value::Object(all) => Value::Object(all.into_iter().filter(|(_, v)| says(v)).collect::<Map<_, _>>()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::places::Places;

    use super::*;

    #[test]
    fn each_tool_that_is_listed_is_carried_out_and_says_what_does_not_fit() {
        let dir = tempfile::tempdir().expect("a directory");
        let daemon = Daemon::new(Places::new(|_| None, dir.path()));
        for tool in tool::all() {
            let said = carry_out(&tool.name, json!({ "no such key": 1 }), &daemon, &Hangup::default());
            let said = said.expect_err("it does not fit");
            assert!(said.contains("bad_params") && said.contains("no such key"), "{}: {said}", tool.name);
        }
        let said = carry_out("fly", json!({}), &daemon, &Hangup::default());
        assert!(said.expect_err("there is none").contains("no tool fly"));
    }

    #[test]
    fn without_a_daemon_it_is_said_so_and_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let daemon = Daemon::new(Places::new(|_| None, dir.path()));
        let hangup = Hangup::default();
        hangup.hang_up();
        let said = carry_out("lease_list", json!({}), &daemon, &hangup).expect_err("it is taken back");
        assert!(said.contains("taken back"), "{said}");
        let said = carry_out("lease_list", json!({}), &daemon, &Hangup::default()).expect_err("nobody");
        assert!(said.contains("does not run") && said.contains("wezterm-parallel up"), "{said}");
    }
}
