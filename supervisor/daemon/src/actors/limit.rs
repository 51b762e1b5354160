//! The accounts: what their agents use up, and the usage limits that stop all of them.
//!
//! Owns: the state of each account, and who runs in it.
//! Receives: what processes were told by their Claude, and that they begin and end to run.
//! Sends: a limit and its end to all processes of the account, events and rows to the board.
//! Dies when: the daemon ends. After a panic it goes on from the rows that it last saved.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
    time::Duration,
};

use actix::{
    Actor, Addr, AsyncContext as _, Context, Handler, Message, MessageResult, SpawnHandle, Supervised,
};
use wezterm_parallel_core::{
    limit::{Account, Effect, Input, Record, forgotten, look_in},
    process::Input as ProcessInput,
    status::Limit,
};
use wezterm_parallel_schemas::{
    event::{Event, EventKind},
    limit::AccountView,
};
use wezterm_parallel_store::{AccountRow, Change};

use super::{
    process::{Continue, ProcessActor, Tell, Used},
    task::{Limited, TasksActor},
};
use crate::{board::Board, clock::Clock};

/// Figures are saved at most this often, in milliseconds. What is lost with the daemon is told again:
/// Claude's figures are sums.
const SAVE_MS: u64 = 1_000;
/// Two ends of a limit that are closer than this, in milliseconds, are not told as two: the first may have
/// been in words, which are cut to the minute.
const TOLD_MS: u64 = 60_000;

/// See the module.
pub struct LimitActor {
    board: Rc<Board>,
    clock: Clock,
    accounts: BTreeMap<String, Account>,
    /// Running Claudes, by the id of the process.
    members: HashMap<String, Member>,
    /// As last handed to the store.
    saved: HashMap<String, AccountRow>,
    unsaved: HashSet<String>,
    /// Figures were saved lately.
    save_rests: bool,
    /// The tasks, which start nothing in an account that is limited.
    tasks: Option<Addr<TasksActor>>,
    /// The end of a limit that was told of, by account.
    told: HashMap<String, i64>,
    timer: Option<SpawnHandle>,
}

struct Member {
    account: String,
    /// `WORKSPACE/PROCESS`.
    name: String,
    /// It goes on by itself after a limit.
    continues: bool,
    address: Addr<ProcessActor>,
}

impl LimitActor {
    /// With the accounts that were kept.
    pub fn new(board: Rc<Board>, clock: Clock, rows: Vec<AccountRow>) -> Self {
        let saved = rows.into_iter().map(|r| (r.account.clone(), r)).collect();
        let mut actor = Self {
            board,
            clock,
            accounts: BTreeMap::new(),
            members: HashMap::new(),
            saved,
            unsaved: HashSet::new(),
            save_rests: false,
            tasks: None,
            told: HashMap::new(),
            timer: None,
        };
        actor.restore();
        actor
    }

    fn restore(&mut self) {
        let now = self.clock.at();
        let account = |row: &AccountRow| (row.account.clone(), Account::restore(record(row, now), now));
        self.accounts = self.saved.values().map(account).collect();
        let until = |(name, account): (&String, &Account)| Some((name.clone(), account.limit()?.until));
        self.told = self.accounts.iter().filter_map(until).collect();
    }

    fn step(&mut self, account: &str, input: Input, ctx: &mut Context<Self>) {
        let now = self.clock.at();
        let effects = self.accounts.entry(account.to_owned()).or_default().step(input, now);
        let mut events = Vec::new();
        let mut save_now = false;
        for effect in effects {
            match effect {
                Effect::Changed => {
                    self.unsaved.insert(account.to_owned());
                }
                Effect::Limited { until, reason, news } => {
                    save_now = true;
                    self.tell_members(account);
                    let told = self.told.insert(account.to_owned(), until);
                    if news || told.is_none_or(|told| told.abs_diff(until) > TOLD_MS) {
                        let mut event = event(EventKind::LimitReached, account, reason);
                        event.until = Some(until);
                        events.push(event);
                    }
                }
                Effect::Passed { early } => {
                    save_now = true;
                    self.told.remove(account);
                    self.tell_members(account);
                    let how = if early { "an agent goes on beyond it" } else { "its time has come" };
                    events.push(event(EventKind::LimitPassed, account, how.into()));
                }
                Effect::Warn { window, percent, resets_at } => {
                    let text = format!("{percent:.0} % of the {window} window is used");
                    let mut event = event(EventKind::LimitWarning, account, text);
                    event.until = resets_at;
                    events.push(event);
                }
                Effect::Continue { process } => {
                    save_now = true;
                    if let Some(member) = self.members.get(&process).filter(|m| m.continues) {
                        member.address.do_send(Continue);
                    }
                }
            }
        }
        if save_now {
            self.unsaved.insert(account.to_owned());
        }
        self.save(save_now, events, ctx);
        self.publish();
        self.arm(ctx);
    }

    /// Shows how all of them stand.
    fn publish(&self) {
        self.board.put_accounts(self.views());
    }

    fn views(&self) -> Vec<AccountView> {
        let now = self.clock.at();
        let view = |(name, account): (&String, &Account)| {
            let record = account.record();
            let members = self.members.values().filter(|m| m.account == *name);
            let mut processes: Vec<String> = members.map(|m| m.name.clone()).collect();
            processes.sort();
            let windows = record.windows.into_iter().filter(|w| w.resets_at.is_none_or(|at| at > now));
            AccountView {
                account: name.clone(),
                limited_until: record.limited_until,
                reason: record.reason,
                windows: windows.collect(),
                processes,
                cost_usd: record.cost_usd,
                input_tokens: record.input_tokens,
                output_tokens: record.output_tokens,
            }
        };
        self.accounts.iter().map(view).collect()
    }

    /// Tells all of an account whether it is limited.
    fn tell_members(&self, account: &str) {
        let limit = self.limit_of(account);
        for member in self.members.values().filter(|m| m.account == account) {
            member.address.do_send(Tell(ProcessInput::Limited(limit.clone())));
        }
        self.tell_tasks(account);
    }

    fn tell_tasks(&self, account: &str) {
        if let Some(tasks) = &self.tasks {
            let until = self.accounts.get(account).and_then(|a| a.limit()).map(|limit| limit.until);
            tasks.do_send(Limited { account: account.to_owned(), until });
        }
    }

    fn limit_of(&self, account: &str) -> Option<Limit> {
        let limit = self.accounts.get(account)?.limit()?;
        Some(Limit { at: limit.since, until: Some(limit.until), reason: Some(limit.reason.clone()) })
    }

    /// Saves what changed: limits and events at once, figures now and then.
    fn save(&mut self, now: bool, events: Vec<Event>, ctx: &mut Context<Self>) {
        if self.unsaved.is_empty() && events.is_empty() {
            return;
        }
        let mut changes = Vec::new();
        if now || !self.save_rests {
            for name in self.unsaved.drain() {
                if let Some(account) = self.accounts.get(&name) {
                    let row = row(name.clone(), account.record());
                    changes.push(Change::PutAccount(row.clone()));
                    self.saved.insert(name, row);
                }
            }
            if !self.save_rests && !changes.is_empty() {
                self.save_rests = true;
                ctx.run_later(Duration::from_millis(SAVE_MS), |actor, ctx| {
                    actor.save_rests = false;
                    actor.save(false, Vec::new(), ctx);
                });
            }
        }
        if !changes.is_empty() || !events.is_empty() {
            self.board.commit(changes, events, None);
        }
    }

    /// Forgets accounts that no Claude uses any more.
    fn forget(&mut self) {
        let used: HashSet<&String> = self.members.values().map(|member| &member.account).collect();
        let idle = self.accounts.iter().filter(|(name, _)| !used.contains(name));
        let mut changes = Vec::new();
        for name in forgotten(idle, self.clock.at()) {
            self.accounts.remove(&name);
            self.saved.remove(&name);
            self.unsaved.remove(&name);
            changes.push(Change::DeleteAccount(name));
        }
        if !changes.is_empty() {
            self.board.commit(changes, Vec::new(), None);
        }
    }

    /// Sets the one timer. There is none while no account is limited.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let Some(at) = self.accounts.values().filter_map(Account::wake_at).min() else { return };
        let wait = look_in(at, self.clock.at());
        self.timer = Some(ctx.run_later(Duration::from_millis(wait), |actor, ctx| {
            actor.timer = None;
            let now = actor.clock.at();
            let due =
                |(name, a): (&String, &Account)| a.wake_at().filter(|at| *at <= now).map(|_| name.clone());
            let due: Vec<String> = actor.accounts.iter().filter_map(due).collect();
            for account in due {
                actor.step(&account, Input::Look, ctx);
            }
            actor.arm(ctx);
        }));
    }
}

impl Actor for LimitActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.publish();
        self.arm(ctx);
    }
}

impl Supervised for LimitActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        self.unsaved.clear();
        self.save_rests = false;
        self.timer = None;
        self.restore();
        self.arm(ctx);
    }
}

/// A Claude runs, in this account.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Join {
    /// Id of the process.
    pub process: String,
    /// Claude's config directory, and the kind of its credentials if the environment has them.
    pub account: String,
    /// `WORKSPACE/PROCESS`.
    pub name: String,
    /// It goes on by itself after a limit.
    pub continues: bool,
    /// Its session.
    pub session: Option<String>,
    /// The process.
    pub address: Addr<ProcessActor>,
}

impl Handler<Join> for LimitActor {
    type Result = ();
    fn handle(&mut self, m: Join, _: &mut Context<Self>) {
        if !self.accounts.contains_key(&m.account) {
            self.forget();
        }
        let account = self.accounts.entry(m.account.clone()).or_default();
        if let Some(session) = m.session
            && let Some(usage) = account.usage(&session).cloned()
        {
            m.address.do_send(Used { session, usage });
        }
        m.address.do_send(Tell(ProcessInput::Limited(self.limit_of(&m.account))));
        let member = Member { account: m.account, name: m.name, continues: m.continues, address: m.address };
        self.members.insert(m.process, member);
        self.publish();
    }
}

/// A Claude runs no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave(pub String);

impl Handler<Leave> for LimitActor {
    type Result = ();
    fn handle(&mut self, m: Leave, ctx: &mut Context<Self>) {
        if let Some(member) = self.members.remove(&m.0) {
            self.step(&member.account, Input::Gone { process: m.0 }, ctx);
        }
    }
}

/// The daemon ends: what was not saved yet is saved.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Save;

impl Handler<Save> for LimitActor {
    type Result = ();
    fn handle(&mut self, _: Save, ctx: &mut Context<Self>) {
        self.save(true, Vec::new(), ctx);
    }
}

/// A Claude told something of its account.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Told {
    /// The account.
    pub account: String,
    /// What.
    pub input: Input,
}

impl Handler<Told> for LimitActor {
    type Result = ();
    fn handle(&mut self, m: Told, ctx: &mut Context<Self>) {
        self.step(&m.account, m.input, ctx);
    }
}

/// The tasks want to hear of limits.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Watch(pub Addr<TasksActor>);

impl Handler<Watch> for LimitActor {
    type Result = ();
    fn handle(&mut self, m: Watch, _: &mut Context<Self>) {
        self.tasks = Some(m.0);
        let limited: Vec<&String> =
            self.accounts.iter().filter(|(_, a)| a.limit().is_some()).map(|(name, _)| name).collect();
        for account in limited {
            self.tell_tasks(account);
        }
    }
}

/// All accounts.
#[derive(Message)]
#[rtype(result = "Vec<AccountView>")]
pub struct List;

impl Handler<List> for LimitActor {
    type Result = MessageResult<List>;
    fn handle(&mut self, _: List, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.views())
    }
}

fn event(kind: EventKind, account: &str, message: String) -> Event {
    Event { account: Some(account.to_owned()), message: Some(message), ..Event::new(kind) }
}

/// `now`: when those were stopped of which that was not kept.
fn record(row: &AccountRow, now: i64) -> Record {
    let row = row.clone();
    let times = row.stopped_at.into_iter().chain(std::iter::repeat(now));
    Record {
        limited_until: row.limited_until,
        limited_since: row.limited_since,
        reason: row.reason,
        windows: row.windows,
        cost_usd: row.cost_usd,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        sessions: row.sessions,
        stopped: row.stopped.into_iter().zip(times).collect(),
    }
}

fn row(account: String, record: Record) -> AccountRow {
    let (stopped, stopped_at) = record.stopped.into_iter().unzip();
    AccountRow {
        account,
        limited_until: record.limited_until,
        limited_since: record.limited_since,
        reason: record.reason,
        windows: record.windows,
        cost_usd: record.cost_usd,
        input_tokens: record.input_tokens,
        output_tokens: record.output_tokens,
        sessions: record.sessions,
        stopped,
        stopped_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_kept_with_its_times_and_one_that_was_kept_without_them_begins_now() {
        let kept = AccountRow {
            account: "/home/me/.claude".into(),
            limited_until: Some(90),
            limited_since: Some(10),
            stopped: vec!["a".into(), "b".into()],
            stopped_at: vec![11, 12],
            ..AccountRow::default()
        };
        assert_eq!(row(kept.account.clone(), record(&kept, 50)), kept);
        let old = AccountRow { stopped_at: Vec::new(), limited_since: None, ..kept };
        let account = Account::restore(record(&old, 50), 50);
        assert_eq!(account.limit().map(|limit| limit.since), Some(50));
        assert_eq!(account.record().stopped, BTreeMap::from([("a".into(), 50), ("b".into(), 50)]));
    }
}
