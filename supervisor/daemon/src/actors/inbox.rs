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
    inbox::{AskState, AskView, Decision, Question, QuestionOption, RuleAction},
};
use wezterm_parallel_store::Change;

use super::process::Asks;
use crate::{board::Board, clock::Clock, effects::edit::Place, shared::Agents};

/// Of each long text, and of all questions together, a listing has this much, in bytes.
const LISTED_BYTES_MAX: usize = 4 << 10;
/// Shortest end of an id that names a request: by fewer characters one meets another by chance.
const ID_END_CHARS_MIN: usize = 4;

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
        let nowhere = Place { cwd: view.cwd.clone(), files: Vec::new(), guarded: Vec::new() };
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
        files: &place.files,
        guarded: &place.guarded,
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

/// Which requests are meant.
pub enum By {
    /// By an id, or the end of one.
    Id(String),
    /// By the process that asks.
    Process(String),
}

/// What was found.
pub enum Found {
    /// Nothing is meant by that.
    Nothing,
    /// The one.
    One(Box<AskView>),
    /// Several, by their ids.
    Several(Vec<String>),
}

/// One that is open.
#[derive(Message)]
#[rtype(result = "Found")]
pub struct Find(pub By);

impl Handler<Find> for InboxActor {
    type Result = MessageResult<Find>;
    fn handle(&mut self, m: Find, _: &mut Context<Self>) -> Self::Result {
        let found: Vec<&AskView> = match &m.0 {
            By::Id(id) => match self.inbox.get(id) {
                Some(one) => vec![one],
                None => {
                    let end = id_end(id);
                    self.inbox.open().filter(|a| end.as_ref().is_some_and(|e| a.id.ends_with(e))).collect()
                }
            },
            By::Process(id) => self.inbox.open().filter(|a| a.process_id == *id).collect(),
        };
        MessageResult(match found[..] {
            [] => Found::Nothing,
            [one] => Found::One(Box::new(one.clone())),
            _ => Found::Several(found.iter().map(|a| a.id.clone()).collect()),
        })
    }
}

/// The end of an id as somebody types it; none if it is too short to mean one.
pub fn id_end(item: &str) -> Option<String> {
    (item.len() >= ID_END_CHARS_MIN).then(|| item.to_ascii_uppercase())
}

/// A request as a listing has it: what is long is cut before it is copied.
pub fn listed(ask: &AskView) -> AskView {
    let mut room = LISTED_BYTES_MAX;
    let questions = ask.questions.iter().map_while(|q| short_question(q, &mut room)).collect();
    let (input, long) = short(&ask.input);
    AskView {
        id: ask.id.clone(),
        workspace: ask.workspace.clone(),
        process: ask.process.clone(),
        process_id: ask.process_id.clone(),
        run_id: ask.run_id.clone(),
        session_id: ask.session_id.clone(),
        kind: ask.kind,
        tool: short(&ask.tool).0,
        summary: short(&ask.summary).0,
        input,
        shortened: ask.shortened || long || room == 0,
        diff: ask.diff.as_ref().map(|d| short(d).0),
        questions,
        cwd: ask.cwd.clone(),
        agent: ask.agent.as_ref().map(|a| short(a).0),
        agent_id: ask.agent_id.clone(),
        at: ask.at,
        state: ask.state,
        decision: ask.decision.clone(),
    }
}

fn short(text: &str) -> (String, bool) {
    match text.len() > LISTED_BYTES_MAX {
        true => (format!("{}…", &text[..text.floor_char_boundary(LISTED_BYTES_MAX)]), true),
        false => (text.to_owned(), false),
    }
}

/// A question as far as there is room for it; none if there is none left.
fn short_question(question: &Question, room: &mut usize) -> Option<Question> {
    let mut take = |text: &str| {
        let taken = &text[..text.floor_char_boundary(*room)];
        // a text that is empty takes room too: there may be very many
        *room = if taken.len() < text.len() { 0 } else { room.saturating_sub(text.len() + 1) };
        taken.to_owned()
    };
    let (header, words) = (take(&question.header), take(&question.question));
    let mut options = Vec::new();
    for option in &question.options {
        let label = take(&option.label);
        if label.is_empty() && !option.label.is_empty() {
            break;
        }
        options.push(QuestionOption { label, description: take(&option.description) });
    }
    let nothing = words.is_empty() && !question.question.is_empty();
    (!nothing).then_some(Question { question: words, header, multi_select: question.multi_select, options })
}

/// Everything that is open, oldest first, as a listing has it.
#[derive(Message)]
#[rtype(result = "Vec<AskView>")]
pub struct Opened;

impl Handler<Opened> for InboxActor {
    type Result = MessageResult<Opened>;
    fn handle(&mut self, _: Opened, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.inbox.open().map(listed).collect())
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

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::inbox::AskKind;

    use super::*;

    #[test]
    fn a_listing_has_of_a_long_request_its_beginning_only() {
        let option = || QuestionOption { label: "x".repeat(300), description: "é".repeat(5_000) };
        let question = || Question {
            question: "why?".into(),
            header: String::new(),
            multi_select: false,
            options: (0..1_000).map(|_| option()).collect(),
        };
        let ask = AskView {
            id: "a".into(),
            workspace: "api".into(),
            process: "lead".into(),
            process_id: "p".into(),
            run_id: "r".into(),
            session_id: None,
            kind: AskKind::Question,
            tool: "T".repeat(100_000),
            summary: "s".into(),
            input: "é".repeat(100_000),
            shortened: false,
            diff: Some("d".repeat(100_000)),
            questions: (0..1_000).map(|_| question()).collect(),
            cwd: "/".into(),
            agent: None,
            agent_id: None,
            at: 0,
            state: AskState::Open,
            decision: None,
        };
        let short = listed(&ask);
        let bytes = rmp_serde::to_vec_named(&short).expect("it encodes").len();
        assert!(bytes < 5 * LISTED_BYTES_MAX, "{bytes}");
        assert!(short.shortened && short.questions[0].question == "why?");
        let small = AskView {
            tool: "Bash".into(),
            input: "{}".into(),
            diff: None,
            questions: vec![Question { options: Vec::new(), ..question() }],
            ..ask
        };
        assert_eq!(listed(&small), small, "what is short stays as it is");
    }
}
