//! What agents ask, and what their user decides.

use std::{collections::HashMap, path::PathBuf};

use tokio::sync::oneshot;
use wezterm_parallel_core::{claude::decision, inbox::Choice};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    inbox::{AskView, InboxAnswer, InboxDeny, InboxList, InboxTarget, InboxTest, RuleVerdict},
};

use super::{Router, fault, gone};
use crate::{
    actors::inbox::{self, Decide, Opened, Ruled},
    caller::Caller,
    effects::{ancestry, edit},
};

/// Requests in a listing if nobody says how many.
const LIST_DEFAULT: u32 = 100;
/// Requests in a listing, and looked through for an id, at most.
const LIST_MAX: u32 = 1_000;
/// Of an input and of a diff, a listing has this much, in bytes: a thousand of them fit an answer.
const LISTED_BYTES_MAX: usize = 4 << 10;
/// Shortest end of an id that names a request: by fewer characters one meets another by chance.
const ID_END_CHARS_MIN: usize = 4;

impl Router {
    pub(super) async fn list_asks(&self, p: InboxList) -> Result<Vec<AskView>, Error> {
        let limit = p.limit.unwrap_or(LIST_DEFAULT).min(LIST_MAX);
        let mut all = if p.all { self.kept_asks().await? } else { self.open_asks().await? };
        if let Some(workspace) = &p.workspace {
            let name = self.workspace_view(workspace)?.name;
            all.retain(|a| a.workspace == name);
        }
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        for ask in &mut all {
            shorten(ask);
        }
        Ok(all)
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
        match ancestry::of(caller.pid, &self.shared.board.processes()) {
            ancestry::Ancestry::User => Ok(()),
            ancestry::Ancestry::Agent(name) => forbidden(format!("the agent {name}")),
            ancestry::Ancestry::Unknown => forbidden("a caller that nobody knows".into()),
        }
    }

    pub(super) async fn test_rules(&self, p: InboxTest) -> Result<Vec<RuleVerdict>, Error> {
        let limit = usize::try_from(p.limit.unwrap_or(LIST_MAX).min(LIST_MAX)).unwrap_or(usize::MAX);
        let rules = match p.rule {
            Some(rule) => vec![rule],
            None => self.shared.inbox.send(Ruled).await.map_err(gone)?,
        };
        if let Some(bad) = rules.iter().find(|r| r.allow.is_some() == r.deny.is_some()) {
            let what = if bad.allow.is_some() { "not both" } else { "and this one does neither" };
            return Err(Error::new(Code::BadParams, format!("a rule allows or denies, {what}"))
                .hint("name the tool, as in `--allow Read`"));
        }
        let mut asks = self.kept_asks().await?;
        asks.truncate(limit);
        let now = self.shared.clock.millis();
        // where the process of one is removed, the rules stand where the agent was
        let homes: HashMap<String, PathBuf> =
            self.shared.board.processes().into_iter().map(|v| (v.id, v.cwd)).collect();
        let places = self.shared.places.clone();
        let judged = tokio::task::spawn_blocking(move || {
            let judge = |mut ask: AskView| {
                let input = serde_json::from_str(&ask.input).unwrap_or_default();
                let home = homes.get(&ask.process_id).unwrap_or(&ask.cwd);
                let place = edit::place(home, &ask.cwd, &input, &places);
                let verdict = inbox::verdict(&rules, &ask, &place, now);
                shorten(&mut ask);
                RuleVerdict { ask, would: verdict.map(|v| v.1), rule: verdict.map(|v| v.0) }
            };
            asks.into_iter().map(judge).collect()
        });
        judged.await.map_err(|_| fault())
    }

    async fn open_asks(&self) -> Result<Vec<AskView>, Error> {
        self.shared.inbox.send(Opened).await.map_err(gone)
    }

    /// The newest requests, newest first, as they stand now.
    async fn kept_asks(&self) -> Result<Vec<AskView>, Error> {
        let store = self.shared.board.store().clone();
        let read = tokio::task::spawn_blocking(move || store.asks(LIST_MAX));
        let kept = read.await.map_err(|_| fault())?;
        let mut kept = kept.map_err(|e| Error::new(Code::Storage, e.to_string()))?;
        let mut open: HashMap<String, AskView> =
            self.open_asks().await?.into_iter().map(|a| (a.id.clone(), a)).collect();
        for ask in &mut kept {
            if let Some(now) = open.remove(&ask.id) {
                *ask = now;
            }
        }
        Ok(kept)
    }

    /// The open request that is meant: by its id, the end of it, or the process that asks.
    async fn open_ask(&self, item: &str) -> Result<Option<AskView>, Error> {
        let open = self.open_asks().await?;
        if let Some(found) = by_id(&open, item)? {
            return Ok(Some(found));
        }
        let Ok(process) = self.process_view(None, item) else { return Ok(None) };
        let own: Vec<AskView> = open.into_iter().filter(|a| a.process_id == process.id).collect();
        match own.len() {
            0 => Err(Error::new(
                Code::NotFound,
                format!("{}/{} asks nothing", process.workspace, process.name),
            )
            .hint("`wezterm-parallel inbox list` shows what is open")),
            1 => Ok(own.into_iter().next()),
            _ => Err(several(item, own.iter())),
        }
    }

    async fn kept_ask(&self, item: &str) -> Result<AskView, Error> {
        by_id(&self.kept_asks().await?, item)?.ok_or_else(|| inbox::unknown(item))
    }
}

fn by_id(all: &[AskView], item: &str) -> Result<Option<AskView>, Error> {
    if let Some(found) = all.iter().find(|a| a.id == item) {
        return Ok(Some(found.clone()));
    }
    let end = item.to_ascii_uppercase();
    if end.len() < ID_END_CHARS_MIN {
        return Ok(None);
    }
    let found: Vec<&AskView> = all.iter().filter(|a| a.id.ends_with(&end)).collect();
    match found[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        _ => Err(several(item, found.into_iter())),
    }
}

fn several<'a>(item: &str, all: impl Iterator<Item = &'a AskView>) -> Error {
    let ids: Vec<&str> = all.map(|a| a.id.as_str()).collect();
    Error::new(Code::Conflict, format!("{item} names several requests"))
        .hint(format!("say which: {}", ids.join(", ")))
}

/// Leaves of a request what a listing has room for.
fn shorten(ask: &mut AskView) {
    let cut = |text: &mut String| {
        let long = text.len() > LISTED_BYTES_MAX;
        if long {
            text.truncate(text.floor_char_boundary(LISTED_BYTES_MAX));
            text.push('…');
        }
        long
    };
    let input = cut(&mut ask.input);
    ask.shortened |= input;
    if let Some(diff) = &mut ask.diff {
        cut(diff);
    }
}
