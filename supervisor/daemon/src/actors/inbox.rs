//! What agents ask their user.
//!
//! Owns: everything that is asked and not decided, the hooks that wait for it, the user's rules.
//! Receives: requests and their ends, decisions, what becomes of agents. Sends: answers to hooks, rows and
//! events to the board, counts to processes. Dies when: the daemon ends. After a panic the hooks that
//! waited are let go, and what was open is gone.

use std::{collections::HashMap, rc::Rc, time::Duration};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, MessageResult, Supervised};
use serde_json::Value;
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    claude::decision,
    inbox::{Asked, Choice, Effect, Holder, Inbox, Input, OPEN_MAX},
    rule,
};
use wezterm_parallel_schemas::{
    config::Rule,
    error::{Code, Error},
    event::{Event, EventKind},
    inbox::{AskState, AskView, Decision, RuleAction},
};
use wezterm_parallel_store::Change;

use super::process::Asks;
use crate::{board::Board, clock::Clock, effects::edit::Place, shared::Agents};

/// See the module.
pub struct InboxActor {
    board: Rc<Board>,
    clock: Clock,
    agents: Rc<Agents>,
    inbox: Inbox,
    rules: Vec<Rule>,
    holders: HashMap<Holder, oneshot::Sender<Option<String>>>,
    waiters: HashMap<String, Vec<(Decision, Reply)>>,
    /// What was open when the daemon ended; taken when the actor starts.
    stored: Vec<AskView>,
}

/// Where the answer to a decision goes.
pub type Reply = oneshot::Sender<Result<AskView, Error>>;

/// What a hook gets.
type Given = (Holder, Option<String>);

impl InboxActor {
    /// The inbox, over what the store has.
    pub fn new(board: Rc<Board>, clock: Clock, agents: Rc<Agents>, stored: Vec<AskView>) -> Self {
        Self {
            board,
            clock,
            agents,
            inbox: Inbox::default(),
            rules: Vec::new(),
            holders: HashMap::new(),
            waiters: HashMap::new(),
            stored,
        }
    }

    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let effects = self.inbox.step(input, self.clock.at());
        self.run(effects, ctx);
    }

    /// Saves and publishes what has changed, and tells hooks and callers when that is on the disk.
    fn run(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        let (mut changes, mut events, mut given) = (Vec::new(), Vec::new(), Vec::new());
        let mut over: Vec<AskView> = Vec::new();
        for effect in effects {
            match effect {
                Effect::Save(view) => changes.push(Change::PutAsk(*view)),
                Effect::TellAsked(id) => {
                    if let Some(view) = self.inbox.get(&id) {
                        let what = format!("{}: {}", view.tool, view.summary);
                        events.push(event(EventKind::InboxAsked, view, what));
                    }
                }
                Effect::Over(view) => {
                    events.push(event(EventKind::InboxDecided, &view, decided(&view)));
                    over.push(*view);
                }
                Effect::Give(holder, output) => given.push((holder, output)),
                Effect::Arm { id, epoch, delay } => {
                    ctx.run_later(Duration::from_millis(delay), move |actor, ctx| {
                        actor.input(Input::Timer { id, epoch }, ctx);
                    });
                }
                Effect::Count(process) => self.count(&process),
            }
        }
        if changes.is_empty() && events.is_empty() {
            return self.hand_out(given, over);
        }
        let me = ctx.address();
        // a disk that refuses is told of elsewhere; an agent must not wait for it to be mended
        let then: Box<dyn FnOnce(Result<(), Error>)> =
            Box::new(move |saved| me.do_send(Saved { given, over, refused: saved.is_err() }));
        self.board.commit(changes, events, Some(then));
    }

    fn hand_out(&mut self, given: Vec<Given>, over: Vec<AskView>) {
        for (holder, output) in given {
            if let Some(hook) = self.holders.remove(&holder) {
                // one that has gone is told of by the end of its connection
                let _ = hook.send(output);
            }
        }
        for view in over {
            for (decision, reply) in self.waiters.remove(&view.id).unwrap_or_default() {
                let own = view.decision.as_ref().is_some_and(|d| d.by == decision.by && d.at == decision.at);
                let answer = if own { Ok(view.clone()) } else { Err(decision::late(&view)) };
                let _ = reply.send(answer);
            }
        }
    }

    fn count(&self, process: &str) {
        if let Some(agent) = self.agents.borrow().get(process) {
            agent.do_send(Asks { count: self.inbox.count(process), held: self.inbox.held(process) });
        }
    }

    /// What the user's rules say of a request.
    fn by_rule(&self, view: &AskView, place: Option<&Place>) -> Option<(Choice, Decision)> {
        let nowhere = Place { cwd: view.cwd.clone(), path: None };
        let (number, action) = verdict(&self.rules, view, place.unwrap_or(&nowhere), self.clock.millis())?;
        if place.is_none() && action == RuleAction::Allow {
            return None;
        }
        let rule = self.rules.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        let choice = match action {
            RuleAction::Allow => Choice::Allow,
            RuleAction::Deny => Choice::Deny { message: None },
        };
        let message = Some(rule.why.clone().unwrap_or_else(|| described(rule)));
        let by = format!("rule {number}");
        Some((choice, Decision { at: self.clock.at(), by, message, ..Decision::default() }))
    }
}

/// What rules say of a request, and which of them.
pub fn verdict(rules: &[Rule], view: &AskView, place: &Place, now: u64) -> Option<(u32, RuleAction)> {
    let input: Value = serde_json::from_str(&view.input).ok()?;
    let process = format!("{}/{}", view.workspace, view.process);
    let request = rule::Request {
        tool: &view.tool,
        input: &input,
        process: &process,
        cwd: &place.cwd,
        path: place.path.as_deref(),
        whole: !view.shortened,
    };
    rule::decide(rules, &request, now)
}

/// A rule in words.
fn described(rule: &Rule) -> String {
    let verb = if rule.deny.is_some() { "deny" } else { "allow" };
    let mut text = format!("{verb} {}", rule.deny.as_ref().or(rule.allow.as_ref()).map_or("", |t| t));
    for (name, value) in [("pattern", &rule.pattern), ("path", &rule.path), ("process", &rule.process)] {
        if let Some(value) = value {
            text.push_str(&format!(", {name} `{value}`"));
        }
    }
    text
}

fn event(kind: EventKind, view: &AskView, message: String) -> Event {
    Event {
        workspace: Some(view.workspace.clone()),
        process: Some(view.process.clone()),
        id: Some(view.process_id.clone()),
        run_id: Some(view.run_id.clone()),
        session_id: view.session_id.clone(),
        ask: Some(view.id.clone()),
        message: Some(message),
        ..Event::new(kind)
    }
}

/// How a request was decided, in words.
fn decided(view: &AskView) -> String {
    let verb = decision::verb(view.state);
    let Some(d) = &view.decision else { return verb.to_owned() };
    let by = match d.by.as_str() {
        "user" => " by the user".to_owned(),
        "pane" | "daemon" => String::new(),
        by => format!(" by {by}"),
    };
    let why = d.message.as_ref().map_or_else(String::new, |m| format!(": {m}"));
    format!("{verb}{by}{why}")
}

impl Actor for InboxActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let stored = std::mem::take(&mut self.stored);
        let effects = self.inbox.restore(stored);
        self.run(effects, ctx);
    }
}

impl Supervised for InboxActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        // their hooks end, and Claude goes on as if we were not there; what they had asked does not come back
        self.holders.clear();
        self.waiters.clear();
        self.inbox = Inbox::default();
        let open = self.board.store().asks(u32::try_from(OPEN_MAX).unwrap_or(u32::MAX)).unwrap_or_default();
        let effects = self.inbox.restore(open.into_iter().filter(|a| a.state == AskState::Open).collect());
        self.run(effects, ctx);
    }
}

/// What was saved is on the disk: it may be acted on.
#[derive(Message)]
#[rtype(result = "()")]
struct Saved {
    given: Vec<Given>,
    over: Vec<AskView>,
    refused: bool,
}

impl Handler<Saved> for InboxActor {
    type Result = ();
    fn handle(&mut self, m: Saved, ctx: &mut Context<Self>) {
        let Saved { given, over, refused } = m;
        let (unsaved, given): (Vec<Given>, Vec<Given>) = given
            .into_iter()
            .partition(|(_, output)| refused && output.as_deref().is_some_and(decision::lets));
        self.hand_out(given, over);
        for (holder, _) in unsaved {
            // what nobody could read of afterwards is not allowed: Claude goes on as if we were not there
            let effects = self.inbox.unsaved(holder, self.clock.at());
            self.run(effects, ctx);
        }
    }
}

/// A hook holds a request open.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ask {
    /// The request, and who waits for it.
    pub asked: Asked,
    /// Where the tool would work; none: the disk does not say, and nothing is allowed by a rule.
    pub place: Option<Place>,
    /// Where the decision goes; none: Claude goes on as if we were not there.
    pub reply: oneshot::Sender<Option<String>>,
}

impl Handler<Ask> for InboxActor {
    type Result = ();
    fn handle(&mut self, m: Ask, ctx: &mut Context<Self>) {
        let (id, known) = (m.asked.view.id.clone(), self.inbox.get(&m.asked.view.id).is_some());
        let rule = if known { None } else { self.by_rule(&m.asked.view, m.place.as_ref()) };
        self.holders.insert(m.asked.holder, m.reply);
        let mut effects = self.inbox.step(Input::Asked(Box::new(m.asked)), self.clock.at());
        if let Some((choice, by)) = rule
            && let Ok(more) = self.inbox.decide(&id, choice, by)
        {
            // nobody is asked: only the decision is told
            effects.retain(|e| !matches!(e, Effect::TellAsked(_)));
            effects.extend(more);
        }
        self.run(effects, ctx);
    }
}

/// Something has become of a request, or of an agent.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tell(pub Input);

impl Handler<Tell> for InboxActor {
    type Result = ();
    fn handle(&mut self, m: Tell, ctx: &mut Context<Self>) {
        if let Input::Left(holder) = &m.0 {
            self.holders.remove(holder);
        }
        self.input(m.0, ctx);
    }
}

/// Somebody decides. The answer comes when the agent has it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Decide {
    /// The request.
    pub id: String,
    /// What is decided.
    pub choice: Choice,
    /// The caller's process id.
    pub pid: Option<i32>,
    /// Where the answer goes.
    pub reply: Reply,
}

impl Handler<Decide> for InboxActor {
    type Result = ();
    fn handle(&mut self, m: Decide, ctx: &mut Context<Self>) {
        let by = Decision { at: self.clock.at(), by: "user".into(), pid: m.pid, ..Decision::default() };
        match self.inbox.decide(&m.id, m.choice, by.clone()) {
            Ok(effects) => {
                self.waiters.entry(m.id).or_default().push((by, m.reply));
                self.run(effects, ctx);
            }
            Err(e) => {
                let _ = m.reply.send(Err(e));
            }
        }
    }
}

/// Everything that is open, oldest first.
#[derive(Message)]
#[rtype(result = "Vec<AskView>")]
pub struct Opened;

impl Handler<Opened> for InboxActor {
    type Result = MessageResult<Opened>;
    fn handle(&mut self, _: Opened, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.inbox.open().cloned().collect())
    }
}

/// The rules in force.
#[derive(Message)]
#[rtype(result = "Vec<Rule>")]
pub struct Ruled;

impl Handler<Ruled> for InboxActor {
    type Result = MessageResult<Ruled>;
    fn handle(&mut self, _: Ruled, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.rules.clone())
    }
}

/// Other rules are in force from now on. What is open already is left to the user.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Rules(pub Vec<Rule>);

impl Handler<Rules> for InboxActor {
    type Result = ();
    fn handle(&mut self, m: Rules, _: &mut Context<Self>) {
        self.rules = m.0;
    }
}

/// A process has just started to be watched over: how many of its requests are open?
#[derive(Message)]
#[rtype(result = "()")]
pub struct Recount(pub String);

impl Handler<Recount> for InboxActor {
    type Result = ();
    fn handle(&mut self, m: Recount, _: &mut Context<Self>) {
        self.count(&m.0);
    }
}

/// A request that is known nowhere.
pub fn unknown(item: &str) -> Error {
    Error::new(Code::NotFound, format!("there is no request {item}"))
        .hint("`wezterm-parallel inbox list` shows what is open, `--all` what was decided")
}
