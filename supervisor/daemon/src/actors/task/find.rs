//! Which task is meant, and what is shown of tasks.

use std::collections::BTreeMap;

use actix::{Context, Handler, Message, MessageResult};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    task::{GROUP_DEFAULT, GroupView, TaskList, TaskView},
};

use super::TasksActor;

/// Shortest end of an id that names a task: by fewer characters one meets another by chance.
const ID_CHARS_MIN: usize = 4;
/// So much of an id stands in listings.
const ID_CHARS_SHOWN: usize = 6;
/// Tasks that are over are listed at most this many, if nobody says.
const OVER_LISTED: u32 = 200;
/// Names that an error lists.
const NAMED_MAX: usize = 5;

impl TasksActor {
    /// The id of the task that is meant: its id, its name, or the end of its id.
    pub(super) fn find(&self, target: &str) -> Result<String, Error> {
        if self.shown.contains_key(target) {
            return Ok(target.to_owned());
        }
        if let Some(ids) = self.names.get(target) {
            // a name that looks like the end of another's id must not be taken for it
            let end = target.to_ascii_uppercase();
            let other =
                |id: &&String| target.len() >= ID_CHARS_SHOWN && id.ends_with(&end) && !ids.contains(id);
            if let Some(other) = self.shown.keys().find(other) {
                return Err(ambiguous(target, &[other, &ids[ids.len() - 1]]));
            }
            let is_over = |id: &&String| self.machine.row(id).is_none_or(|row| row.state.is_end());
            let (over, open): (Vec<_>, Vec<_>) = ids.iter().partition(is_over);
            return match (&open[..], over.last()) {
                ([one], _) => Ok((*one).clone()),
                // of those that are over the newest is meant
                ([], Some(newest)) => Ok((*newest).clone()),
                ([], None) => Err(no_task(target)),
                (several, _) => Err(ambiguous(target, several)),
            };
        }
        if target.len() < ID_CHARS_MIN {
            return Err(no_task(target));
        }
        let end = target.to_ascii_uppercase();
        let found: Vec<&String> = self.shown.keys().filter(|id| id.ends_with(&end)).collect();
        match &found[..] {
            [one] => Ok((*one).clone()),
            [] => Err(no_task(target)),
            several => Err(ambiguous(target, several)),
        }
    }

    fn list(&self, p: &TaskList) -> Vec<TaskView> {
        let fits = |view: &TaskView| {
            p.group.as_ref().is_none_or(|group| *group == view.group)
                && p.workspace.as_ref().is_none_or(|name| Some(name) == view.workspace.as_ref())
                && (p.states.is_empty() || p.states.contains(&view.state))
        };
        let views = self.shown.keys().filter_map(|id| self.view(id)).filter(fits);
        let (mut over, mut all): (Vec<_>, Vec<_>) = views.partition(|view| view.state.is_end());
        let most = usize::try_from(p.over.unwrap_or(OVER_LISTED)).unwrap_or(usize::MAX);
        over.sort_by(|a, b| (b.ended_at, &b.id).cmp(&(a.ended_at, &a.id)));
        over.truncate(most);
        all.append(&mut over);
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// All groups, by name.
    pub(super) fn groups(&self) -> BTreeMap<String, GroupView> {
        let mut groups: BTreeMap<String, GroupView> = BTreeMap::new();
        let named = self.limits.groups.keys().map(String::as_str).chain([GROUP_DEFAULT]);
        for name in named {
            groups.insert(name.to_owned(), GroupView::default());
        }
        for row in self.machine.rows() {
            let group = groups.entry(row.spec.group.clone()).or_default();
            *group.tasks.of(row.state) += 1;
            group.cost_usd += self.shown.get(&row.spec.id).and_then(|s| s.cost_usd).unwrap_or(0.0);
        }
        for (name, group) in &mut groups {
            group.name.clone_from(name);
            group.parallel = self.limits.groups.get(name).copied();
            group.paused = self.machine.is_paused(name);
        }
        groups
    }
}

fn no_task(target: &str) -> Error {
    Error::new(Code::NotFound, format!("there is no task {target}"))
        .hint("`wezterm-parallel task list` shows them")
}

fn ambiguous(target: &str, found: &[&String]) -> Error {
    let ids: Vec<&str> = found.iter().take(NAMED_MAX).map(|id| id.as_str()).collect();
    let more = if found.len() > NAMED_MAX { ", …" } else { "" };
    Error::new(Code::Conflict, format!("{} tasks are called {target}", found.len()))
        .hint(format!("say which by its id: {}{more}", ids.join(", ")))
}

/// Which task is meant.
#[derive(Message)]
#[rtype(result = "Result<String, Error>")]
pub struct Find(pub String);

impl Handler<Find> for TasksActor {
    type Result = MessageResult<Find>;
    fn handle(&mut self, m: Find, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.find(&m.0))
    }
}

/// Tasks, in the order in which they were added.
#[derive(Message)]
#[rtype(result = "Vec<TaskView>")]
pub struct List(pub TaskList);

impl Handler<List> for TasksActor {
    type Result = MessageResult<List>;
    fn handle(&mut self, m: List, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.list(&m.0))
    }
}

/// One task.
#[derive(Message)]
#[rtype(result = "Result<TaskView, Error>")]
pub struct Show(pub String);

impl Handler<Show> for TasksActor {
    type Result = MessageResult<Show>;
    fn handle(&mut self, m: Show, _: &mut Context<Self>) -> Self::Result {
        let view = self.find(&m.0).and_then(|id| self.view(&id).ok_or_else(|| no_task(&m.0)));
        MessageResult(view)
    }
}
