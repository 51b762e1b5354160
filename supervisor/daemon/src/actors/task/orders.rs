//! What users and agents want of tasks.

use std::collections::{HashMap, HashSet};

use actix::{Context, Handler, Message, MessageResult};
use indexmap::IndexMap;
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    claude::digest::line,
    task::{self, Input, TaskRow, TaskSpec},
};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    event::{Event, EventKind},
    process::Kind,
    task::{GROUP_DEFAULT, GroupView, TaskAdd, TaskEdit, TaskState, TaskView},
};
use wezterm_parallel_store::{Change, TaskCard, TaskKept};

use super::{Along, TasksActor, Until, Waiting, run};
use crate::effects::claude;

/// Tasks of one agent that are not over.
pub const OF_AN_AGENT_MAX: usize = 20;
/// How deep tasks may add tasks.
pub const DEPTH_MAX: u32 = 3;
/// Further attempts after a failure of a prompt, if nobody says: its session goes on.
const PROMPT_RETRIES: u32 = 2;
/// Faults that an error lists.
const FAULTS_SAID_MAX: usize = 10;
/// Characters of what was asked that stand in lists.
const TEXT_CHARS_MAX: usize = 200;

/// Where an answer goes that has one task.
pub type One = oneshot::Sender<Result<TaskView, Error>>;

/// A task that is to be added, as far as it could be looked at before.
pub struct New {
    /// All that was asked, without the environment of whoever asked.
    pub asked: TaskAdd,
    /// Where it runs, and who wants it.
    pub card: TaskCard,
    /// Its environment, by its id.
    pub environment: Option<String>,
}

/// Tasks are to be added, all of them or none.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Add {
    /// They.
    pub tasks: Vec<New>,
    /// Environments of theirs, by their ids.
    pub environments: HashMap<String, IndexMap<String, String>>,
    /// Where the answer goes, when they are on the disk.
    pub reply: oneshot::Sender<Result<Vec<TaskView>, Error>>,
}

impl Handler<Add> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: Add, ctx: &mut Context<Self>) {
        let Add { tasks, environments, reply } = m;
        let known = |new: &New| new.card.key.as_ref().and_then(|key| self.keys.get(key)).cloned();
        if let Some(tasks) = tasks.iter().map(known).collect::<Option<Vec<String>>>() {
            // added by a call whose answer was lost
            self.waits.push(Waiting { tasks, found: 0, until: Until::Saved, reply });
            return self.answer();
        }
        match self.kept(tasks, &environments) {
            Ok(kept) => self.add(kept, environments, reply, ctx),
            Err(e) => drop(reply.send(Err(e))),
        }
    }
}

impl TasksActor {
    /// Fills in what is left out, finds those that come first, and checks all of it together.
    fn kept(
        &mut self,
        tasks: Vec<New>,
        environments: &HashMap<String, IndexMap<String, String>>,
    ) -> Result<Vec<TaskKept>, Error> {
        let now = self.shared.clock.at();
        self.not_too_many(&tasks)?;
        let mut faults = Vec::new();
        let mut new_ids: HashMap<String, Vec<String>> = HashMap::new();
        let mut ids = Vec::new();
        for new in &tasks {
            let id = self.new_id();
            if new.asked.name.is_some() {
                new_ids.entry(new.card.name.clone()).or_default().push(id.clone());
            }
            ids.push(id);
        }
        let alone = tasks.len() == 1;
        let say = |name: &str, what: String| if alone { what } else { format!("{name}: {what}") };
        if !alone {
            let mut doubles: Vec<&String> =
                new_ids.iter().filter(|(_, ids)| ids.len() > 1).map(|(name, _)| name).collect();
            doubles.sort();
            faults.extend(doubles.iter().map(|name| say(name, "there are several of this name".into())));
        }
        let mut kept = Vec::new();
        for (new, id) in tasks.into_iter().zip(ids) {
            let New { mut asked, mut card, environment } = new;
            let account = match self.account(&asked, &card, environment.as_ref(), environments) {
                Ok(account) => account,
                Err(what) => {
                    faults.push(say(&card.name, what));
                    None
                }
            };
            let mut after = Vec::new();
            for target in &asked.after {
                match new_ids.get(target).map(Vec::as_slice) {
                    Some([other, ..]) if *other != id => after.push(other.clone()),
                    Some(_) if !alone => faults.push(say(&card.name, "it waits for itself".into())),
                    Some(_) | None => match self.find(target) {
                        Ok(other) => after.push(other),
                        Err(e) => faults.push(say(&card.name, e.message)),
                    },
                }
            }
            let mut seen = HashSet::new();
            after.retain(|other| seen.insert(other.clone()));
            asked.after.clone_from(&after);
            card.added_at = now;
            let prompt_retries = if card.command { 0 } else { PROMPT_RETRIES };
            let spec = TaskSpec {
                id,
                group: asked.group.clone().unwrap_or_else(|| GROUP_DEFAULT.into()),
                priority: asked.priority,
                after,
                on_failed_dependency: asked.on_failed_dependency,
                retries: asked.retries.unwrap_or(prompt_retries),
                timeout: asked.timeout_ms,
                deadline: asked.deadline,
                account,
                agent: super::agent_of(&card),
            };
            kept.push(TaskKept { row: TaskRow::new(spec, now), card, asked, environment });
        }
        if faults.is_empty() {
            let specs: Vec<TaskSpec> = kept.iter().map(|k| k.row.spec.clone()).collect();
            if let Err(found) = task::check(&self.machine, &specs) {
                faults.extend(found.into_iter().map(|f| say(&kept[f.task].card.name, f.message)));
            }
        }
        if faults.is_empty() { Ok(kept) } else { Err(faulty(&faults)) }
    }

    /// An agent has only so many tasks under way, with those that these have added, and tasks do not add tasks
    /// without end.
    fn not_too_many(&self, tasks: &[New]) -> Result<(), Error> {
        let Some(root) = tasks.first().and_then(|new| new.card.root.clone()) else { return Ok(()) };
        if tasks.iter().any(|new| new.card.depth > DEPTH_MAX) {
            let message = format!("tasks add tasks at most {DEPTH_MAX} deep");
            return Err(Error::new(Code::Forbidden, message).hint("do it in this task"));
        }
        let open = |row: &&TaskRow| {
            let own = self.shown.get(&row.spec.id).is_some_and(|s| s.card.root.as_ref() == Some(&root));
            own && !row.state.is_end()
        };
        if self.machine.rows().filter(open).count() + tasks.len() > OF_AN_AGENT_MAX {
            let message = format!("an agent has at most {OF_AN_AGENT_MAX} tasks that are not over");
            return Err(Error::new(Code::Busy, message).hint("wait for some of them"));
        }
        Ok(())
    }

    /// The account whose limits a task shares; none for a command.
    fn account(
        &self,
        asked: &TaskAdd,
        card: &TaskCard,
        environment: Option<&String>,
        environments: &HashMap<String, IndexMap<String, String>>,
    ) -> Result<Option<String>, String> {
        let Some(name) = super::agent_of(card) else { return Ok(None) };
        let agent = self.agents.get(&name).filter(|agent| agent.kind == Kind::Claude);
        let agent = agent.ok_or_else(|| format!("the config has no agent {name} that is a Claude"))?;
        let mut env = match environment.and_then(|id| environments.get(id)) {
            Some(own) => own.clone(),
            None => (**self.shared.environment.borrow()).clone(),
        };
        env.extend(agent.env.clone());
        env.extend(asked.env.clone());
        Ok(Some(claude::account(&env)))
    }

    /// The next id: later ones are greater, also within a millisecond.
    fn new_id(&mut self) -> String {
        // there are 2^80 of them in each millisecond
        self.ids.generate().unwrap_or_else(|_| ulid::Ulid::generate()).to_string()
    }

    fn add(
        &mut self,
        kept: Vec<TaskKept>,
        environments: HashMap<String, IndexMap<String, String>>,
        reply: oneshot::Sender<Result<Vec<TaskView>, Error>>,
        ctx: &mut Context<Self>,
    ) {
        let put = |(id, variables)| Change::PutEnvironment { id, variables };
        let mut along = Along { changes: environments.into_iter().map(put).collect(), ..Along::default() };
        let ids: Vec<String> = kept.iter().map(|k| k.row.spec.id.clone()).collect();
        let specs = kept.iter().map(|k| k.row.spec.clone()).collect();
        for task in kept {
            let shown = super::Shown {
                card: task.card.clone(),
                cost_usd: None,
                told: (task.row.state, task.row.reason.clone()),
            };
            self.enter(&task.row.spec.id, shown);
            along.added.insert(task.row.spec.id.clone(), Box::new(task));
        }
        along.reply = Some(Box::new(move |actor, result| {
            let views = || Ok(ids.iter().filter_map(|id| actor.view(id)).collect());
            let _ = reply.send(result.and_then(|()| views()));
        }));
        self.input(Input::Add(specs), along, ctx);
    }
}

fn faulty(faults: &[String]) -> Error {
    let more = faults.len().saturating_sub(FAULTS_SAID_MAX);
    let mut said: Vec<String> = faults.iter().take(FAULTS_SAID_MAX).cloned().collect();
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    Error::new(Code::BadParams, said.join("; "))
}

/// What can be wanted of one task.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// That it ends for good.
    Cancel,
    /// That it waits until it is resumed.
    Pause,
    /// That it goes on.
    Resume,
    /// That it begins again.
    Retry {
        /// With a new session.
        fresh: bool,
    },
}

/// Something is wanted of one task.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Target {
    /// Which.
    pub task: String,
    /// What.
    pub order: Order,
    /// Id of the agent that wants it: it may touch only what it has added.
    pub by: Option<String>,
    /// Where the answer goes, when it is so.
    pub reply: One,
}

impl Handler<Target> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: Target, ctx: &mut Context<Self>) {
        let Target { task, order, by, reply } = m;
        match self.order(&task, &order, by.as_deref(), ctx) {
            Ok((id, until)) => self.reply_when(id, until, reply),
            Err(e) => drop(reply.send(Err(e))),
        }
    }
}

impl TasksActor {
    fn order(
        &mut self,
        target: &str,
        order: &Order,
        by: Option<&str>,
        ctx: &mut Context<Self>,
    ) -> Result<(String, Until), Error> {
        let id = self.find(target)?;
        let (Some(row), Some(shown)) = (self.machine.row(&id), self.shown.get(&id)) else {
            return Err(Error::new(Code::NotFound, format!("there is no task {target}")));
        };
        if by.is_some() && shown.card.adder.as_deref() != by {
            return Err(Error::new(Code::Forbidden, "an agent may only touch tasks that it has added"));
        }
        let (state, runs) = (row.state, self.machine.is_running(&id));
        let conflict = |why: String, hint: &str| Err(Error::new(Code::Conflict, why).hint(hint));
        let name = shown.card.name.clone();
        let (input, until) = match order {
            Order::Cancel if state.is_end() => {
                return conflict(
                    format!("{name} is over: {state}"),
                    "`wezterm-parallel task show` says more",
                );
            }
            Order::Cancel => (Input::Cancel(id.clone()), Until::Over),
            Order::Pause if state.is_end() => {
                return conflict(
                    format!("{name} is over: {state}"),
                    "`wezterm-parallel task retry` begins it again",
                );
            }
            Order::Pause if runs && shown.card.command => {
                return conflict(
                    format!("{name} is a command that runs: it cannot go on later where it was ended"),
                    "wait for it, or `wezterm-parallel task cancel` it",
                );
            }
            Order::Pause => (Input::Pause(id.clone()), Until::Rest),
            Order::Resume if state != TaskState::Paused => {
                return conflict(
                    format!("{name} is not paused: {state}"),
                    "`wezterm-parallel task list` shows all",
                );
            }
            Order::Resume => (Input::Resume(id.clone()), Until::Saved),
            Order::Retry { .. } if !state.is_end() => {
                return conflict(format!("{name} is not over: {state}"), "cancel it first");
            }
            Order::Retry { fresh } => (Input::Retry { id: id.clone(), fresh: *fresh }, Until::Saved),
        };
        self.input(input, Along::default(), ctx);
        if until == Until::Saved {
            self.over.retain(|other| *other != id);
            self.outputs.retain(|other| *other != id);
        }
        Ok((id, until))
    }

    /// Answers when the task has come to where the caller waits for it.
    fn reply_when(&mut self, id: String, until: Until, reply: One) {
        let (all, one) = oneshot::channel::<Result<Vec<TaskView>, Error>>();
        actix_rt::spawn(async move {
            let answer = one.await.unwrap_or_else(|_| Err(lost()));
            let view = answer.and_then(|views| views.into_iter().next().ok_or_else(lost));
            let _ = reply.send(view);
        });
        self.waits.push(Waiting { tasks: vec![id], found: 0, until, reply: all });
        self.answer();
    }
}

fn lost() -> Error {
    Error::new(Code::Internal, "a part of the daemon failed before it had answered")
        .hint("the daemon's log has more: `wezterm-parallel doctor` says where it is")
}

/// A task is to be another one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Edit {
    /// What.
    pub edit: TaskEdit,
    /// As it was asked so far.
    pub asked: TaskAdd,
    /// Where the answer goes, when it is on the disk.
    pub reply: One,
}

impl Handler<Edit> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: Edit, ctx: &mut Context<Self>) {
        match self.edit(&m.edit, m.asked, ctx) {
            Ok(id) => self.reply_when(id, Until::Saved, m.reply),
            Err(e) => drop(m.reply.send(Err(e))),
        }
    }
}

impl TasksActor {
    fn edit(
        &mut self,
        edit: &TaskEdit,
        mut asked: TaskAdd,
        ctx: &mut Context<Self>,
    ) -> Result<String, Error> {
        let id = self.find(&edit.task)?;
        let (Some(row), Some(shown)) = (self.machine.row(&id).cloned(), self.shown.get(&id)) else {
            return Err(lost());
        };
        let mut card = shown.card.clone();
        if row.state.is_end() || self.machine.is_running(&id) {
            return Err(Error::new(Code::Conflict, format!("{} is {}", card.name, row.state))
                .hint("only what waits can be changed: pause or cancel it first"));
        }
        let wrong = |what: &str| Err(Error::new(Code::BadParams, what.to_owned()));
        if edit.prompt.is_some() && card.command {
            return wrong("it is a command, and has no prompt");
        }
        if !edit.command.is_empty() && !card.command {
            return wrong("it is a prompt, and has no command");
        }
        asked.prompt = edit.prompt.clone().or(asked.prompt);
        if !edit.command.is_empty() {
            asked.command.clone_from(&edit.command);
        }
        asked.name = edit.name.clone().or(asked.name);
        asked.priority = edit.priority.unwrap_or(asked.priority);
        asked.group = edit.group.clone().or(asked.group);
        asked.model = edit.model.clone().or(asked.model);
        asked.retries = edit.retries.or(asked.retries);
        asked.timeout_ms = edit.timeout_ms.or(asked.timeout_ms);
        asked.deadline = edit.deadline.or(asked.deadline);
        asked.budget_usd = edit.budget_usd.or(asked.budget_usd);
        asked.max_turns = edit.max_turns.or(asked.max_turns);
        if let Err(faults) = task::faults(&asked) {
            return Err(faulty(&faults));
        }
        let text = text_of(&asked);
        card.name = asked.name.clone().unwrap_or_else(|| name_of(&asked));
        card.text = line(&text, TEXT_CHARS_MAX);
        let spec = TaskSpec {
            group: asked.group.clone().unwrap_or_else(|| GROUP_DEFAULT.into()),
            priority: asked.priority,
            retries: asked.retries.unwrap_or(row.spec.retries),
            timeout: asked.timeout_ms,
            deadline: asked.deadline,
            ..row.spec.clone()
        };
        let environment = None;
        let cost_usd = shown.cost_usd;
        self.leave(&id);
        self.enter(&id, super::Shown { card: card.clone(), cost_usd, told: (row.state, row.reason.clone()) });
        let kept = TaskKept {
            row: TaskRow { spec: spec.clone(), ..row.clone() },
            card: card.clone(),
            asked,
            environment,
        };
        // whoever looks at tasks hears of it also where only its text is another one
        let changed = super::event(EventKind::TaskChanged, &kept.row, &card);
        let along = Along {
            changes: vec![Change::EditTask(Box::new(kept))],
            events: vec![changed],
            ..Along::default()
        };
        let fresh = edit.prompt.is_some() && row.attempt > 0;
        self.input(Input::Edit { spec: Box::new(spec), fresh }, along, ctx);
        Ok(id)
    }
}

/// What a task is called that was given no name: the beginning of what was asked.
pub fn name_of(asked: &TaskAdd) -> String {
    line(&text_of(asked), NAME_CHARS)
}

/// What was asked, as a text.
pub fn text_of(asked: &TaskAdd) -> String {
    asked.prompt.clone().unwrap_or_else(|| asked.command.join(" "))
}

/// Characters of a name that was made.
const NAME_CHARS: usize = 32;

/// What can be wanted of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupOrder {
    /// That nothing more of it starts.
    Pause,
    /// That it does again.
    Resume,
}

/// Accounts whose login was refused: nothing of them starts.
#[derive(Message)]
#[rtype(result = "Vec<String>")]
pub struct NoLogin;

impl Handler<NoLogin> for TasksActor {
    type Result = MessageResult<NoLogin>;
    fn handle(&mut self, _: NoLogin, _: &mut Context<Self>) -> Self::Result {
        let closed = self.machine.closed(self.shared.clock.at());
        MessageResult(
            closed.filter(|(_, until)| *until == i64::MAX).map(|(name, _)| name.to_owned()).collect(),
        )
    }
}

/// Something is wanted of a group.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Group {
    /// Which.
    pub group: String,
    /// What.
    pub order: GroupOrder,
    /// Where the answer goes, when it is on the disk.
    pub reply: oneshot::Sender<Result<GroupView, Error>>,
}

impl Handler<Group> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: Group, ctx: &mut Context<Self>) {
        let Group { group, order, reply } = m;
        if !self.groups().contains_key(&group) {
            let e = Error::new(Code::NotFound, format!("there is no group {group}"))
                .hint("`wezterm-parallel group list` shows all");
            let _ = reply.send(Err(e));
            return;
        }
        let (paused, input) = match order {
            GroupOrder::Pause => (true, Input::PauseGroup(group.clone())),
            GroupOrder::Resume => (false, Input::ResumeGroup(group.clone())),
        };
        let event = Event {
            group: Some(group.clone()),
            message: Some(if paused { "paused" } else { "resumed" }.into()),
            ..Event::new(EventKind::GroupChanged)
        };
        let name = group.clone();
        let along = Along {
            changes: vec![Change::PutGroup { name: group.clone(), paused }],
            events: vec![event],
            reply: Some(Box::new(move |actor, result| {
                let view = || actor.groups().remove(&name).ok_or_else(lost);
                let _ = reply.send(result.and_then(|()| view()));
            })),
            ..Along::default()
        };
        self.input(input, along, ctx);
    }
}

/// All groups, by name.
#[derive(Message)]
#[rtype(result = "Vec<GroupView>")]
pub struct Groups;

impl Handler<Groups> for TasksActor {
    type Result = MessageResult<Groups>;
    fn handle(&mut self, _: Groups, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.groups().into_values().collect())
    }
}

/// An account may be used again, whatever was said before; the only one that is closed if none is named.
#[derive(Message)]
#[rtype(result = "Result<(), Error>")]
pub struct Open(pub Option<String>);

impl Handler<Open> for TasksActor {
    type Result = MessageResult<Open>;
    fn handle(&mut self, m: Open, ctx: &mut Context<Self>) -> Self::Result {
        let closed: Vec<String> =
            self.machine.closed(self.shared.clock.at()).map(|(name, _)| name.to_owned()).collect();
        let account = match (m.0, &closed[..]) {
            (Some(account), _) if closed.contains(&account) => account,
            (None, [one]) => one.clone(),
            (None, [_, _, ..]) => {
                let e = Error::new(Code::Conflict, "several accounts are closed")
                    .hint(format!("say which: {}", closed.join(", ")));
                return MessageResult(Err(e));
            }
            (Some(_), _) | (None, []) => {
                return MessageResult(Err(Error::new(Code::NotFound, "no such account is closed")
                    .hint("`wezterm-parallel limit list` shows all")));
            }
        };
        self.input(Input::Open(account), Along::default(), ctx);
        MessageResult(Ok(()))
    }
}

/// A usage limit of an account was reached somewhere, or is over.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Limited {
    /// The account.
    pub account: String,
    /// Until when; none: it is over.
    pub until: Option<i64>,
}

impl Handler<Limited> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: Limited, ctx: &mut Context<Self>) {
        let no_login = self.machine.closed(0).any(|(name, until)| name == m.account && until == i64::MAX);
        let input = match m.until {
            Some(until) => Input::Close { account: m.account, until },
            // a limit that has passed is no login
            None if no_login => return,
            None => Input::Open(m.account),
        };
        self.input(input, Along::default(), ctx);
    }
}

/// Somebody waits for tasks to be over.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wait {
    /// Which.
    pub tasks: Vec<String>,
    /// And all of this group.
    pub group: Option<String>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<Vec<TaskView>, Error>>,
}

impl Handler<Wait> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: Wait, _: &mut Context<Self>) {
        let found: Result<Vec<String>, Error> = m.tasks.iter().map(|target| self.find(target)).collect();
        match found {
            Ok(mut tasks) => {
                if let Some(group) = &m.group {
                    let own = self.machine.rows().filter(|row| row.spec.group == *group);
                    let mut own: Vec<String> = own.map(|row| row.spec.id.clone()).collect();
                    own.sort();
                    tasks.extend(own);
                }
                self.waits.push(Waiting { tasks, found: 0, until: Until::Over, reply: m.reply });
                self.answer();
            }
            Err(e) => drop(m.reply.send(Err(e))),
        }
    }
}

/// The daemon ends, and its runs with it. Answered when nothing of any task runs.
#[derive(Message)]
#[rtype(result = "()")]
pub struct EndRuns(pub oneshot::Sender<()>);

impl Handler<EndRuns> for TasksActor {
    type Result = ();
    fn handle(&mut self, m: EndRuns, ctx: &mut Context<Self>) {
        self.ending = true;
        let agents = self.known_agents();
        let none = Input::Limits { parallel: 0, groups: HashMap::new(), agents };
        self.input(none, Along::default(), ctx);
        for living in self.runs.values() {
            living.address.do_send(run::Stop);
        }
        self.ends.push(m.0);
        self.answer_ended();
    }
}

impl TasksActor {
    pub(super) fn answer_ended(&mut self) {
        if self.ending && self.runs.is_empty() {
            for end in self.ends.drain(..) {
                let _ = end.send(());
            }
        }
    }
}

/// It does not end after all.
#[derive(Message)]
#[rtype(result = "()")]
pub struct GoOn;

impl Handler<GoOn> for TasksActor {
    type Result = ();
    fn handle(&mut self, _: GoOn, ctx: &mut Context<Self>) {
        self.ending = false;
        self.begin(ctx);
    }
}
