//! What agents ask, and what their user decides.

use std::{collections::HashMap, path::PathBuf};

use tokio::sync::oneshot;
use wezterm_parallel_core::{claude::decision, inbox::Choice};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    inbox::{AskView, InboxAnswer, InboxDeny, InboxList, InboxTarget, InboxTest, RuleVerdict},
};
use wezterm_parallel_store::StoreError;

use super::{Router, fault, gone};
use crate::{
    actors::inbox::{self, By, Decide, Find, Found, Opened, Ruled},
    caller::Caller,
    effects::{
        ancestry::{self, Ancestry, Kept},
        edit,
    },
    shared::TaskHome,
};

/// Requests in a listing if nobody says how many.
const LIST_DEFAULT: u32 = 100;
/// Requests in a listing, and looked through for an id, at most.
const LIST_MAX: u32 = 1_000;
/// All of a listing, in bytes as they are sent: with its envelope it fits an answer.
const LIST_BYTES_MAX: usize = 12 << 20;
/// So many ids are named to somebody who means several requests.
const SEVERAL_MAX: u32 = 10;

impl Router {
    pub(super) async fn list_asks(&self, p: InboxList) -> Result<Vec<AskView>, Error> {
        let limit = p.limit.unwrap_or(LIST_DEFAULT).min(LIST_MAX);
        let mut all = if p.all { self.kept_asks().await? } else { self.open_asks().await? };
        if let Some(workspace) = &p.workspace {
            let name = self.workspace_view(workspace)?.name;
            all.retain(|a| a.workspace == name);
        }
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(fitting(all))
    }

    pub(super) async fn show_ask(&self, p: InboxTarget) -> Result<AskView, Error> {
        match self.open_ask(&p.item).await? {
            Some(open) => Ok(open),
            None => self.kept_ask(&p.item).await,
        }
    }

    pub(super) async fn allow_ask(&self, caller: &Caller, p: InboxTarget) -> Result<AskView, Error> {
        self.decide(caller, &p.item, Choice::Allow).await
    }

    pub(super) async fn deny_ask(&self, caller: &Caller, p: InboxDeny) -> Result<AskView, Error> {
        self.decide(caller, &p.item, Choice::Deny { message: p.message }).await
    }

    pub(super) async fn answer_ask(&self, caller: &Caller, p: InboxAnswer) -> Result<AskView, Error> {
        self.decide(caller, &p.item, Choice::Answer(p.answers)).await
    }

    async fn decide(&self, caller: &Caller, item: &str, choice: Choice) -> Result<AskView, Error> {
        self.only_user(caller, "decide what agents may do")?;
        let Some(open) = self.open_ask(item).await? else {
            return Err(decision::late(&self.kept_ask(item).await?));
        };
        let (reply, answer) = oneshot::channel();
        self.shared.inbox.do_send(Decide { id: open.id.clone(), choice, pid: caller.pid, reply });
        match answer.await.map_err(|_| fault())? {
            // it was closed between the two questions
            Err(e) if e.code == Code::NotFound => Err(decision::late(&self.kept_ask(&open.id).await?)),
            answer => answer,
        }
    }

    /// Refuses a caller that is an agent, or was started by one.
    pub(super) fn only_user(&self, caller: &Caller, what: &str) -> Result<(), Error> {
        let forbidden = |who: String| {
            Err(Error::new(Code::Forbidden, format!("{who} may not {what}"))
                .hint("do it yourself, in a terminal that no agent has started"))
        };
        match self.ancestry(caller) {
            Ancestry::User => Ok(()),
            Ancestry::Process(view) => forbidden(format!("the agent {}/{}", view.workspace, view.name)),
            Ancestry::Task(home) => forbidden(format!("the task {}", home.name)),
            Ancestry::Unknown => forbidden("a caller that nobody knows".into()),
        }
    }

    /// Whether a caller is an agent, or was started by one.
    pub(super) fn ancestry(&self, caller: &Caller) -> Ancestry {
        self.with_kept(|kept| ancestry::of(caller.pid, kept))
    }

    /// What is kept here, for who looks where a caller lives.
    pub(super) fn with_kept<T>(&self, look: impl FnOnce(&Kept<'_>) -> T) -> T {
        let tasks: Vec<TaskHome> = self.shared.task_homes.borrow().values().cloned().collect();
        look(&Kept { processes: &self.shared.board.processes(), tasks: &tasks })
    }

    pub(super) async fn test_rules(&self, p: InboxTest) -> Result<Vec<RuleVerdict>, Error> {
        let limit = p.limit.unwrap_or(LIST_MAX).min(LIST_MAX);
        let rules = match p.rule {
            Some(rule) => vec![rule],
            None => self.shared.inbox.send(Ruled).await.map_err(gone)?,
        };
        if let Some(bad) = rules.iter().find(|r| r.allow.is_some() == r.deny.is_some()) {
            let what = if bad.allow.is_some() { "not both" } else { "and this one does neither" };
            return Err(Error::new(Code::BadParams, format!("a rule allows or denies, {what}"))
                .hint("name the tool, as in `--allow Read`"));
        }
        let now = self.shared.clock.millis();
        // where the process of one is removed, the rules stand where the agent was
        let homes: HashMap<String, PathBuf> =
            self.shared.board.processes().into_iter().map(|v| (v.id, v.cwd)).collect();
        let places = self.shared.places.clone();
        let store = self.shared.board.store().clone();
        let mut open = self.open_by_id().await?;
        let judged = tokio::task::spawn_blocking(move || {
            let mut verdicts = Vec::new();
            // one at a time in memory, and the store is not kept from others while the disk is looked at
            for id in store.asks_with(limit, |ask| ask.id)? {
                let Some(ask) = store.ask(&id)? else { continue };
                let input = serde_json::from_str(&ask.input).unwrap_or_default();
                let home = homes.get(&ask.process_id).unwrap_or(&ask.cwd);
                let place = edit::place(home, &ask.cwd, &input, &places);
                let verdict = inbox::verdict(&rules, &ask, &place, now);
                let ask = as_it_stands(inbox::listed(&ask), &mut open);
                verdicts.push(RuleVerdict { ask, would: verdict.map(|v| v.1), rule: verdict.map(|v| v.0) });
            }
            Ok(verdicts)
        });
        judged.await.map_err(|_| fault())?.map_err(unread).map(fitting)
    }

    async fn open_asks(&self) -> Result<Vec<AskView>, Error> {
        self.shared.inbox.send(Opened).await.map_err(gone)
    }

    async fn open_by_id(&self) -> Result<HashMap<String, AskView>, Error> {
        Ok(self.open_asks().await?.into_iter().map(|a| (a.id.clone(), a)).collect())
    }

    /// The newest requests, newest first, as they stand now and as a listing has them.
    async fn kept_asks(&self) -> Result<Vec<AskView>, Error> {
        let store = self.shared.board.store().clone();
        let read = tokio::task::spawn_blocking(move || store.asks_with(LIST_MAX, |ask| inbox::listed(&ask)));
        let kept = read.await.map_err(|_| fault())?.map_err(unread)?;
        let mut open = self.open_by_id().await?;
        Ok(kept.into_iter().map(|ask| as_it_stands(ask, &mut open)).collect())
    }

    /// The open request that is meant: by its id, the end of it, or the process that asks.
    async fn open_ask(&self, item: &str) -> Result<Option<AskView>, Error> {
        match self.find(By::Id(item.to_owned())).await? {
            Found::One(found) => return Ok(Some(*found)),
            Found::Several(ids) => return Err(several(item, &ids)),
            Found::Nothing => {}
        }
        let Ok(process) = self.process_view(None, item) else { return Ok(None) };
        match self.find(By::Process(process.id.clone())).await? {
            Found::One(found) => Ok(Some(*found)),
            Found::Several(ids) => Err(several(item, &ids)),
            Found::Nothing => Err(Error::new(
                Code::NotFound,
                format!("{}/{} asks nothing", process.workspace, process.name),
            )
            .hint("`wezterm-parallel inbox list` shows what is open")),
        }
    }

    async fn find(&self, by: By) -> Result<Found, Error> {
        self.shared.inbox.send(Find(by)).await.map_err(gone)
    }

    async fn kept_ask(&self, item: &str) -> Result<AskView, Error> {
        let (store, wanted) = (self.shared.board.store().clone(), item.to_owned());
        let read = tokio::task::spawn_blocking(move || {
            if let Some(found) = store.ask(&wanted)? {
                return Ok(Ok(Some(found)));
            }
            let Some(end) = inbox::id_end(&wanted) else { return Ok(Ok(None)) };
            let mut ids = store.asks_ending(&end, SEVERAL_MAX)?;
            match (ids.pop(), ids.is_empty()) {
                (None, _) => Ok(Ok(None)),
                (Some(one), true) => store.ask(&one).map(Ok),
                (Some(last), false) => {
                    ids.push(last);
                    Ok(Err(several(&wanted, &ids)))
                }
            }
        });
        read.await.map_err(|_| fault())?.map_err(unread)??.ok_or_else(|| inbox::unknown(item))
    }
}

/// A request that was kept, as the inbox has it now.
fn as_it_stands(kept: AskView, open: &mut HashMap<String, AskView>) -> AskView {
    open.remove(&kept.id).unwrap_or(kept)
}

/// As many from the beginning as an answer has room for.
pub(super) fn fitting<T: serde::Serialize>(all: Vec<T>) -> Vec<T> {
    let mut bytes = 0;
    let fits = |one: &T| {
        bytes += rmp_serde::to_vec_named(one).map_or(LIST_BYTES_MAX, |encoded| encoded.len());
        bytes <= LIST_BYTES_MAX
    };
    all.into_iter().take_while(fits).collect()
}

fn unread(e: StoreError) -> Error {
    Error::new(Code::Storage, e.to_string())
}

fn several(item: &str, ids: &[String]) -> Error {
    let shown = &ids[..ids.len().min(SEVERAL_MAX as usize)];
    Error::new(Code::Conflict, format!("{item} names several requests"))
        .hint(format!("say which: {}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_never_larger_than_an_answer_may_be() {
        let text = "x".repeat(1 << 20);
        let all: Vec<&str> = std::iter::repeat_n(text.as_str(), 20).collect();
        assert_eq!(fitting(all).len(), 11);
        assert_eq!(fitting(vec!["a", "b"]), ["a", "b"]);
    }
}
