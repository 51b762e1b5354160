//! Tasks and their groups. What an agent may ask of them is decided here.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use wezterm_parallel_core::{claude::digest::line, task};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::{
    environment,
    error::{Code, Error},
    limit::{AccountView, LimitOpen},
    process::ProcessView,
    task::{
        GroupReport, GroupTarget, GroupView, IMPORT_TASKS_MAX, TaskAdd, TaskDetail, TaskEdit, TaskImport,
        TaskList, TaskReport, TaskResult, TaskRetry, TaskTarget, TaskView, TaskWait,
    },
};
use wezterm_parallel_store::TaskCard;

use super::{Router, fault, gone, off_thread};
use crate::{
    actors::process::Surroundings,
    actors::task::{
        self as tasks, Add, Edit, EndRuns, Find, Group, GroupOrder, Groups, List, New, Open, Order, Show,
        Target, Wait, name_of, text_of,
    },
    caller::Caller,
    effects::ancestry::Ancestry,
    shared::TaskHome,
};

/// Characters of what was asked that stand in lists.
const TEXT_CHARS_MAX: usize = 200;
/// Answers of tasks in a report, in bytes: where there are more, each is cut.
const REPORT_BYTES_MAX: usize = 512 << 10;
/// To how many bytes it is cut then.
const REPORT_TEXT_BYTES: usize = 4 << 10;
/// Options of Claude that say what it may do: a task has those of the agent that has added it.
const LEAVE: &[(&str, Values)] = &[
    ("--permission-mode", Values::One),
    ("--allowedTools", Values::Several),
    ("--allowed-tools", Values::Several),
    ("--disallowedTools", Values::Several),
    ("--disallowed-tools", Values::Several),
    ("--tools", Values::Several),
    ("--add-dir", Values::Several),
    ("--mcp-config", Values::Several),
    ("--model", Values::One),
    ("--settings", Values::One),
    ("--setting-sources", Values::One),
    ("--dangerously-skip-permissions", Values::None),
    ("--allow-dangerously-skip-permissions", Values::None),
    ("--strict-mcp-config", Values::None),
];

/// What follows an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    None,
    One,
    Several,
}

/// An agent that adds tasks, or processes.
pub(super) struct Adder {
    id: String,
    name: String,
    /// The one at which it began that agents added tasks.
    root: String,
    depth: u32,
    /// The environment that it runs in, as the daemon knows it.
    environment: IndexMap<String, String>,
    pub(super) workspace: Option<String>,
    pub(super) cwd: PathBuf,
    pub(super) agent: Option<String>,
    pub(super) inherited: Vec<String>,
    has_budget: bool,
}

impl Router {
    pub(super) async fn add_task(&self, caller: &Caller, p: TaskAdd) -> Result<TaskView, Error> {
        let mut environments = HashMap::new();
        let adder = self.adder(caller).await?;
        let new = self.new_task(p, adder.as_ref(), None, &mut environments).await?;
        let views = self.add_tasks(vec![new], environments).await?;
        views.into_iter().next().ok_or_else(fault)
    }

    pub(super) async fn import_tasks(&self, p: TaskImport) -> Result<Vec<TaskView>, Error> {
        if p.tasks.is_empty() {
            return Err(Error::new(Code::BadParams, "there are no tasks in it"));
        }
        if p.tasks.len() > IMPORT_TASKS_MAX {
            let message = format!("there are at most {IMPORT_TASKS_MAX} tasks in one import");
            return Err(Error::new(Code::BadParams, message).hint("make several files of it"));
        }
        let mut environments = HashMap::new();
        let shared = environment_of(p.environment, &mut environments);
        let mut new = Vec::new();
        for (n, task) in p.tasks.into_iter().enumerate() {
            let name = task.name.clone().unwrap_or_else(|| format!("task {}", n + 1));
            let one = self.new_task(task, None, shared.clone(), &mut environments).await;
            let mut one = one.map_err(|e| Error { message: format!("{name}: {}", e.message), ..e })?;
            if let Some(key) = &p.key {
                // whoever asks again, since the answer was lost, gets the tasks of before
                one.card.key = Some(format!("{key}#{n}"));
            }
            new.push(one);
        }
        self.add_tasks(new, environments).await
    }

    async fn add_tasks(
        &self,
        tasks: Vec<New>,
        environments: HashMap<String, IndexMap<String, String>>,
    ) -> Result<Vec<TaskView>, Error> {
        let (reply, answer) = oneshot::channel();
        self.tasks()?.do_send(Add { tasks, environments, reply });
        answer.await.map_err(|_| fault())?
    }

    /// A task, looked at by itself.
    async fn new_task(
        &self,
        mut p: TaskAdd,
        adder: Option<&Adder>,
        shared: Option<String>,
        environments: &mut HashMap<String, IndexMap<String, String>>,
    ) -> Result<New, Error> {
        if let Some(adder) = adder {
            within_leave(&mut p, adder)?;
        }
        if let Err(faults) = task::faults(&p) {
            return Err(Error::new(Code::BadParams, faults.join("; ")));
        }
        if let Some(workspace) = &p.workspace {
            let view = self.workspace_view(workspace)?;
            p.cwd.get_or_insert(view.cwd);
            p.workspace = Some(view.name);
        }
        let cwd = p.cwd.take().or_else(|| adder.map(|a| a.cwd.clone())).ok_or_else(|| {
            Error::new(Code::BadParams, "it is not said where it runs").hint("give `workspace` or `cwd`")
        })?;
        let cwd = self.directory(cwd).await?;
        let own = environment_of(std::mem::take(&mut p.environment), environments);
        let card = TaskCard {
            name: p.name.clone().unwrap_or_else(|| name_of(&p)),
            command: p.prompt.is_none(),
            text: line(&text_of(&p), TEXT_CHARS_MAX),
            workspace: p.workspace.clone(),
            cwd,
            added_at: 0,
            added_by: adder.map(|a| a.name.clone()),
            adder: adder.map(|a| a.id.clone()),
            root: adder.map(|a| a.root.clone()),
            agent: p.agent.clone(),
            depth: adder.map_or(0, |a| a.depth),
            inherited: adder.map(|a| a.inherited.clone()).unwrap_or_default(),
            // a key of an agent's means nothing to others
            key: p.key.take().map(|key| adder.map_or(key.clone(), |a| format!("{}:{key}", a.id))),
        };
        Ok(New { asked: p, card, environment: own.or(shared) })
    }

    /// The agent that calls, if it is one.
    pub(super) async fn adder(&self, caller: &Caller) -> Result<Option<Adder>, Error> {
        match self.ancestry(caller) {
            Ancestry::User => Ok(None),
            Ancestry::Unknown => {
                Err(Error::new(Code::Forbidden, "a caller that nobody knows may not add anything"))
            }
            Ancestry::Process(view) => {
                let environment = self.process_actor(&view).await?.send(Surroundings).await.map_err(gone)?;
                Ok(Some(of_process(&view, environment)))
            }
            Ancestry::Task(home) => Ok(Some(self.of_task(&home).await?)),
        }
    }

    async fn of_task(&self, home: &TaskHome) -> Result<Adder, Error> {
        let (store, id) = (self.shared.board.store().clone(), home.id.clone());
        let read = off_thread(move || store.task_asked(&id)).await?;
        let (asked, own) = read.map_err(|e| Error::new(Code::Storage, e.to_string()))?.unwrap_or_default();
        let mut environment = own.unwrap_or_else(|| (**self.shared.environment.borrow()).clone());
        environment.extend(asked.env.clone());
        let mut inherited = home.inherited.clone();
        let mut add = |name: &str, value: &str| inherited.extend([name.to_owned(), value.to_owned()]);
        if let Some(model) = &asked.model {
            add("--model", model);
        }
        if let Some(mode) = &asked.permission_mode {
            add("--permission-mode", mode);
        }
        for tool in &asked.allow {
            add("--allowedTools", tool);
        }
        Ok(Adder {
            id: home.id.clone(),
            name: home.id.clone(),
            root: home.root.clone().unwrap_or_else(|| home.id.clone()),
            depth: home.depth + 1,
            environment,
            workspace: home.workspace.clone(),
            cwd: home.cwd.clone(),
            agent: home.agent.clone(),
            inherited,
            has_budget: asked.budget_usd.is_some(),
        })
    }

    pub(super) async fn list_tasks(&self, p: TaskList) -> Result<Vec<TaskView>, Error> {
        self.tasks()?.send(List(p)).await.map_err(gone)
    }

    pub(super) async fn show_task(&self, caller: &Caller, p: TaskTarget) -> Result<TaskDetail, Error> {
        // before it is looked at: what happens meanwhile is told again, and not missed
        let seq = self.shared.board.seq();
        let task = self.tasks()?.send(Show(p.task)).await.map_err(gone)??;
        // what is told of it is on the disk
        self.shared.board.commit_and_wait(Vec::new(), Vec::new()).await?;
        let (store, id) = (self.shared.board.store().clone(), task.id.clone());
        let read = off_thread(move || Ok((store.task_asked(&id)?, store.task_brought(&id)?))).await?;
        let (asked, brought) =
            read.map_err(|e: wezterm_parallel_store::StoreError| Error::new(Code::Storage, e.to_string()))?;
        let (mut asked, _) = asked.ok_or_else(|| Error::new(Code::NotFound, "it has just been forgotten"))?;
        if self.ancestry(caller) != Ancestry::User {
            // there may be secrets of another agent's in it
            asked.env.clear();
        }
        let run_dir = task.run_id.as_ref().map(|id| self.shared.places.runs().join(id));
        Ok(TaskDetail { task, asked, result: brought.map(|b| b.result), run_dir, seq })
    }

    async fn order_task(&self, caller: &Caller, task: String, order: Order) -> Result<TaskView, Error> {
        let by = match order {
            Order::Cancel => self.adder(caller).await?.map(|adder| adder.id),
            // no agent comes here
            Order::Pause | Order::Resume | Order::Retry { .. } => None,
        };
        let (reply, answer) = oneshot::channel();
        self.tasks()?.do_send(Target { task, order, by, reply });
        answer.await.map_err(|_| fault())?
    }

    pub(super) async fn cancel_task(&self, caller: &Caller, p: TaskTarget) -> Result<TaskView, Error> {
        self.order_task(caller, p.task, Order::Cancel).await
    }

    pub(super) async fn pause_task(&self, caller: &Caller, p: TaskTarget) -> Result<TaskView, Error> {
        self.order_task(caller, p.task, Order::Pause).await
    }

    pub(super) async fn resume_task(&self, caller: &Caller, p: TaskTarget) -> Result<TaskView, Error> {
        self.order_task(caller, p.task, Order::Resume).await
    }

    pub(super) async fn retry_task(&self, caller: &Caller, p: TaskRetry) -> Result<TaskView, Error> {
        self.order_task(caller, p.task, Order::Retry { fresh: p.fresh }).await
    }

    pub(super) async fn edit_task(&self, edit: TaskEdit) -> Result<TaskView, Error> {
        let id = self.tasks()?.send(Find(edit.task.clone())).await.map_err(gone)??;
        self.shared.board.commit_and_wait(Vec::new(), Vec::new()).await?;
        let store = self.shared.board.store().clone();
        let read = off_thread(move || store.task_asked(&id)).await?;
        let asked = read.map_err(|e| Error::new(Code::Storage, e.to_string()))?;
        let (asked, _) = asked.ok_or_else(|| Error::new(Code::NotFound, "it has just been forgotten"))?;
        let (reply, answer) = oneshot::channel();
        self.tasks()?.do_send(Edit { edit, asked, reply });
        answer.await.map_err(|_| fault())?
    }

    pub(super) async fn wait_for_tasks(&self, p: TaskWait) -> Result<Vec<TaskView>, Error> {
        if p.tasks.is_empty() && p.group.is_none() {
            return Err(
                Error::new(Code::BadParams, "it is not said which tasks").hint("give `tasks` or `group`")
            );
        }
        let (reply, answer) = oneshot::channel();
        self.tasks()?.do_send(Wait { tasks: p.tasks, group: p.group, reply });
        let answered = async { answer.await.map_err(|_| fault())? };
        match p.timeout_ms {
            None => answered.await,
            Some(ms) => tokio::time::timeout(Duration::from_millis(ms), answered).await.map_err(|_| {
                Error::new(Code::Timeout, "they are not over yet")
                    .hint("`wezterm-parallel task wait` goes on waiting")
            })?,
        }
    }

    pub(super) async fn list_groups(&self) -> Result<Vec<GroupView>, Error> {
        self.tasks()?.send(Groups).await.map_err(gone)
    }

    pub(super) async fn order_group(&self, p: GroupTarget, order: GroupOrder) -> Result<GroupView, Error> {
        let (reply, answer) = oneshot::channel();
        self.tasks()?.do_send(Group { group: p.group, order, reply });
        answer.await.map_err(|_| fault())?
    }

    pub(super) async fn report_group(&self, p: GroupTarget) -> Result<GroupReport, Error> {
        let mut groups = self.list_groups().await?.into_iter();
        let group = groups.find(|group| group.name == p.group).ok_or_else(|| {
            Error::new(Code::NotFound, format!("there is no group {}", p.group))
                .hint("`wezterm-parallel group list` shows all")
        })?;
        let all = TaskList { group: Some(p.group), over: Some(u32::MAX), ..TaskList::default() };
        let tasks = self.list_tasks(all).await?;
        self.shared.board.commit_and_wait(Vec::new(), Vec::new()).await?;
        let store = self.shared.board.store().clone();
        let read = off_thread(move || {
            let report = |task: TaskView| {
                let brought = store.task_brought(&task.id)?;
                Ok(TaskReport { task, result: brought.map(|b| b.result) })
            };
            tasks.into_iter().map(report).collect::<Result<Vec<_>, wezterm_parallel_store::StoreError>>()
        });
        let mut tasks = read.await?.map_err(|e| Error::new(Code::Storage, e.to_string()))?;
        cut_answers(&mut tasks);
        Ok(GroupReport { group, tasks })
    }

    pub(super) async fn open_limit(&self, p: LimitOpen) -> Result<Vec<AccountView>, Error> {
        self.tasks()?.send(Open(p.account)).await.map_err(gone)??;
        self.list_limits().await
    }

    /// Ends what runs of tasks. They stay what they are: the next daemon has them go on.
    pub(super) async fn end_tasks(&self) -> Result<(), Error> {
        let Some(tasks) = self.shared.tasks.get() else { return Ok(()) };
        let (ended, wait) = oneshot::channel();
        tasks.do_send(EndRuns(ended));
        wait.await.map_err(|_| fault())
    }

    /// Directories of the runs of tasks that live.
    pub(super) fn task_runs(&self) -> Vec<PathBuf> {
        let runs = self.shared.places.runs();
        let homes = self.shared.task_homes.borrow();
        homes.values().map(|home| rundir::run_dir(&runs, &home.run_id)).collect()
    }

    fn tasks(&self) -> Result<&actix::Addr<tasks::TasksActor>, Error> {
        self.shared.tasks.get().ok_or_else(fault)
    }
}

fn of_process(view: &ProcessView, environment: IndexMap<String, String>) -> Adder {
    Adder {
        id: view.id.clone(),
        name: format!("{}/{}", view.workspace, view.name),
        root: view.id.clone(),
        depth: 1,
        environment,
        workspace: Some(view.workspace.clone()),
        cwd: view.cwd.clone(),
        agent: view.agent.clone(),
        inherited: leave_of(&view.command),
        has_budget: false,
    }
}

/// What of a command line says what a Claude may do.
fn leave_of(command: &[String]) -> Vec<String> {
    let mut leave = Vec::new();
    let mut words = command.iter().take_while(|word| *word != "--").peekable();
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or(word);
        let Some((_, values)) = LEAVE.iter().find(|(option, _)| *option == name) else { continue };
        leave.push(word.clone());
        let most = match values {
            _ if name != word => 0,
            Values::None => 0,
            Values::One => 1,
            Values::Several => usize::MAX,
        };
        for _ in 0..most {
            let Some(value) = words.next_if(|next| !next.starts_with('-')) else { break };
            leave.push(value.clone());
        }
    }
    leave
}

/// Refuses what an agent may not ask, and gives its task what it has itself: a task may do no more than the
/// agent that has added it.
fn within_leave(p: &mut TaskAdd, adder: &Adder) -> Result<(), Error> {
    let other = |own: Option<&String>, asked: &Option<String>| asked.as_ref().is_some_and(|a| Some(a) != own);
    let refused = [
        ("run commands as tasks", !p.command.is_empty()),
        ("say what a task may do", p.permission_mode.is_some() || !p.allow.is_empty()),
        ("set the environment of a task", !p.env.is_empty()),
        ("add tasks to another workspace", other(adder.workspace.as_ref(), &p.workspace)),
        ("add tasks in another directory", p.cwd.as_ref().is_some_and(|cwd| *cwd != adder.cwd)),
        ("choose another agent for a task", other(adder.agent.as_ref(), &p.agent)),
        ("give a task a budget", p.budget_usd.is_some()),
        ("add tasks beyond the budget that it has itself", adder.has_budget),
        ("put its tasks before others", p.priority > 0),
    ];
    if let Some((what, _)) = refused.iter().find(|(_, refused)| *refused) {
        tracing::warn!(agent = adder.name, "an agent may not {what}: refused");
        return Err(Error::new(Code::Forbidden, format!("an agent may not {what}")).hint(
            "an agent may add prompts that have no more leave than itself; ask your user for the rest",
        ));
    }
    // not what it says of it, which it could have changed
    p.environment.clone_from(&adder.environment);
    p.workspace.clone_from(&adder.workspace);
    p.cwd = Some(adder.cwd.clone());
    p.agent.clone_from(&adder.agent);
    Ok(())
}

/// The id of an environment, which is put with the others if it is a new one.
fn environment_of(
    all: IndexMap<String, String>,
    environments: &mut HashMap<String, IndexMap<String, String>>,
) -> Option<String> {
    if all.is_empty() {
        return None;
    }
    let variables = environment::without_outer(all);
    let text = serde_json::to_vec(&variables).ok()?;
    let id: String = Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect();
    environments.entry(id.clone()).or_insert(variables);
    Some(id)
}

/// A report fits a frame.
fn cut_answers(tasks: &mut [TaskReport]) {
    let results = || tasks.iter().filter_map(|t| t.result.as_ref());
    let bytes: usize = results().filter_map(|r| r.text.as_ref()).map(String::len).sum();
    if bytes <= REPORT_BYTES_MAX {
        return;
    }
    let most = (REPORT_BYTES_MAX / tasks.len()).min(REPORT_TEXT_BYTES);
    for TaskResult { text, cut, .. } in tasks.iter_mut().filter_map(|t| t.result.as_mut()) {
        if let Some(text) = text.as_mut().filter(|text| text.len() > most) {
            text.truncate(text.floor_char_boundary(most));
            *cut = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adder() -> Adder {
        Adder {
            id: "p".into(),
            name: "api/lead".into(),
            root: "p".into(),
            depth: 1,
            environment: [("PATH".into(), "/usr/bin".into())].into(),
            workspace: Some("api".into()),
            cwd: "/src/api".into(),
            agent: Some("claude".into()),
            inherited: Vec::new(),
            has_budget: false,
        }
    }

    #[test]
    fn an_agent_may_add_prompts_that_have_its_own_leave_and_nothing_else() {
        let prompt = TaskAdd { prompt: Some("write".into()), ..TaskAdd::default() };
        let mut good = TaskAdd {
            workspace: Some("api".into()),
            priority: -5,
            environment: [("PATH".into(), "/tmp/evil".into())].into(),
            ..prompt.clone()
        };
        within_leave(&mut good, &adder()).expect("it may");
        assert_eq!((good.cwd, good.budget_usd), (Some("/src/api".into()), None));
        assert_eq!(good.environment["PATH"], "/usr/bin", "not the environment that the agent says");
        let mut bounded = prompt.clone();
        let error = within_leave(&mut bounded, &Adder { has_budget: true, ..adder() });
        assert!(error.is_err_and(|e| e.message.contains("beyond the budget")));
        for (bad, what) in [
            (TaskAdd { command: vec!["rm".into()], prompt: None, ..prompt.clone() }, "run commands"),
            (TaskAdd { permission_mode: Some("bypassPermissions".into()), ..prompt.clone() }, "may do"),
            (TaskAdd { allow: vec!["Bash".into()], ..prompt.clone() }, "may do"),
            (TaskAdd { env: [("A".into(), "b".into())].into(), ..prompt.clone() }, "environment"),
            (TaskAdd { workspace: Some("web".into()), ..prompt.clone() }, "another workspace"),
            (TaskAdd { cwd: Some("/".into()), ..prompt.clone() }, "another directory"),
            (TaskAdd { agent: Some("yolo".into()), ..prompt.clone() }, "another agent"),
            (TaskAdd { budget_usd: Some(100.0), ..prompt.clone() }, "budget"),
            (TaskAdd { priority: 1, ..prompt.clone() }, "before others"),
        ] {
            let mut bad = bad;
            let error = within_leave(&mut bad, &adder()).expect_err("it may not");
            assert_eq!(error.code, Code::Forbidden);
            assert!(error.message.contains(what), "{}", error.message);
        }
    }

    #[test]
    fn what_an_agent_may_do_is_found_on_its_command_line() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (command, leave) in [
            ("claude", ""),
            ("claude --continue --permission-mode plan fix-it", "--permission-mode plan"),
            ("claude --permission-mode=plan --verbose", "--permission-mode=plan"),
            ("claude --allowedTools Bash(ls) Edit --resume x", "--allowedTools Bash(ls) Edit"),
            ("claude --dangerously-skip-permissions -- --model x", "--dangerously-skip-permissions"),
        ] {
            assert_eq!(leave_of(&words(command)).join(" "), leave, "{command}");
        }
    }
}
