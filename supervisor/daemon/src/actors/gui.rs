//! GUIs: what they hear, and what they are asked to do.
//!
//! Owns: the calls of GUIs that wait, what GUIs are asked to do, who waits for that, what users were told.
//! Receives: calls of GUIs and their ends, orders to show something, word that views have changed, events.
//! Sends: answers to those calls, rows to the board. Dies when: the daemon ends. After a panic the calls
//! that waited fail, GUIs call again, and it goes on from the rows that it last saved.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use actix::{
    Actor, Addr, AsyncContext as _, Context, Handler, Message, MessageResult, SpawnHandle, Supervised,
};
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    gui::{Effect, Guis, Input, Ticket},
    notify::{Notify, Now, Toast},
    spec::NotifySpec,
};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    event::{Event, EventKind},
    gui::{GuiFocus, GuiNews, GuiView, GuiWait, Intent, IntentKind},
};
use wezterm_parallel_store::{Change, IntentRow};

use crate::{
    board::{Board, Listener},
    clock::Clock,
    effects::zone,
};

/// What happens within this time is told at once, in milliseconds: a turn of an agent changes its status,
/// its workspace and its account, and each answer costs the GUI a small process.
const TOGETHER_MS: u64 = 2;
/// What only moves along is told at most this often, in milliseconds: Claude's title has a clock in it, and
/// turns every second of 50 agents would keep a GUI busy with nothing.
const MINOR_MS: i64 = 1_000;
/// A toast that could not be shown for this long is old, in milliseconds: the status says how it stands.
const TOAST_MS: i64 = 60_000;

/// See the module.
pub struct GuiActor {
    board: Rc<Board>,
    clock: Clock,
    /// Names this life of the daemon.
    life: String,
    guis: Guis,
    /// As last handed to the store.
    rows: BTreeMap<String, IntentRow>,
    waits: HashMap<Ticket, Waiting>,
    shows: HashMap<String, Reply>,
    notify: Notify,
    /// There are hours in which nothing is told.
    has_quiet_hours: bool,
    /// Hears events for as long as it is kept.
    ear: Option<Rc<dyn Listener>>,
    /// The daemon is ending: nobody waits any more.
    ending: bool,
    timer: Option<SpawnHandle>,
    minor_timer: Option<SpawnHandle>,
    /// Small changes are told up to this one.
    ripe: u64,
    ripened_at: i64,
}

/// Where the answer to a call goes that shows something.
pub type Reply = oneshot::Sender<Result<GuiView, Error>>;

/// A call that waits.
struct Waiting {
    /// What its GUI knows already; none: nothing.
    after: Option<u64>,
    reply: oneshot::Sender<Result<GuiNews, Error>>,
}

impl GuiActor {
    /// With what GUIs were still asked to do, and the newest events: what they tell was told.
    pub fn new(board: Rc<Board>, clock: Clock, rows: Vec<IntentRow>, past: &[Event]) -> Self {
        let mut notify = Notify::default();
        for event in past {
            notify.hear(event, Now { at: event.at, minute: None });
        }
        notify.forget_held();
        let rows: BTreeMap<String, IntentRow> =
            rows.into_iter().map(|row| (row.intent.id.clone(), row)).collect();
        Self {
            board,
            clock,
            life: ulid::Ulid::generate().to_string(),
            guis: restored(&rows, clock.at()),
            rows,
            waits: HashMap::new(),
            shows: HashMap::new(),
            notify,
            has_quiet_hours: false,
            ear: None,
            ending: false,
            timer: None,
            minor_timer: None,
            ripe: 0,
            ripened_at: 0,
        }
    }

    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        let effects = self.guis.step(input, self.clock.at());
        self.run(effects, ctx);
    }

    fn run(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Save { intent, gui } => self.save(*intent, gui, ctx),
                Effect::Forget(id) => {
                    self.rows.remove(&id);
                    self.board.commit(vec![Change::DeleteIntent(id)], Vec::new(), None);
                }
                Effect::Answer(ticket) => self.bring(ticket),
                Effect::Supersede(ticket) => {
                    if let Some(wait) = self.waits.remove(&ticket) {
                        let seq = wait.after.unwrap_or(0);
                        let news = GuiNews {
                            seq,
                            daemon: self.life.clone(),
                            superseded: true,
                            ..GuiNews::default()
                        };
                        let _ = wait.reply.send(Ok(news));
                    }
                }
                Effect::Done { id, gui, problem } => {
                    if let Some(problem) = &problem {
                        tracing::warn!(gui = gui.gui, "a GUI could not do what it was asked to: {problem}");
                    }
                    if let Some(reply) = self.shows.remove(&id) {
                        let _ = reply.send(problem.map_or(Ok(*gui), |p| Err(Error::new(Code::Conflict, p))));
                    }
                }
                Effect::Expired(id) => {
                    if let Some(reply) = self.shows.remove(&id) {
                        let e = Error::new(Code::Timeout, "no GUI has shown it in time").hint(
                            "`wezterm-parallel gui list` shows which are there; one that is busy may still do it",
                        );
                        let _ = reply.send(Err(e));
                    }
                }
            }
        }
        self.arm(ctx);
    }

    fn save(&mut self, intent: Intent, gui: Option<String>, ctx: &mut Context<Self>) {
        let id = intent.id.clone();
        let row = IntentRow { intent, gui };
        self.rows.insert(id.clone(), row.clone());
        let me = ctx.address();
        // where the disk refuses it is done all the same; that it may not be kept stands in the status
        let then: Box<dyn FnOnce(Result<(), Error>)> = Box::new(move |_| me.do_send(Heard(Input::Saved(id))));
        self.board.commit(vec![Change::PutIntent(row)], Vec::new(), Some(then));
    }

    /// Answers a call with all that is new to its GUI.
    fn bring(&mut self, ticket: Ticket) {
        let Some(wait) = self.waits.remove(&ticket) else { return };
        let Some(intents) = self.guis.hand_out(ticket, self.clock.at()) else { return };
        let news = GuiNews { daemon: self.life.clone(), intents, ..self.board.news(wait.after) };
        // one that has hung up gets the intents again, and the news with its next call
        let _ = wait.reply.send(Ok(news));
    }

    /// Answers the calls for which there is something new, and wants to hear of more.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let (now, changes) = (self.clock.at(), self.board.changes());
        if changes.newest() > self.ripe.max(changes.urgent()) {
            let rests = self.ripened_at + MINOR_MS - now;
            if rests <= 0 {
                (self.ripe, self.ripened_at) = (changes.newest(), now);
            } else if self.minor_timer.is_none() && !self.waits.is_empty() {
                let rests = Duration::from_millis(rests.unsigned_abs());
                self.minor_timer = Some(ctx.run_later(rests, |actor, ctx| {
                    actor.minor_timer = None;
                    actor.look(ctx);
                }));
            }
        }
        let new = self.ripe.max(changes.urgent());
        let is_new = |(ticket, wait): (&Ticket, &Waiting)| {
            wait.after.is_none_or(|after| after < new || changes.is_lost(after)).then_some(*ticket)
        };
        let mut tickets: Vec<Ticket> = self.waits.iter().filter_map(is_new).collect();
        tickets.sort_unstable();
        for ticket in tickets {
            self.bring(ticket);
        }
        if !self.waits.is_empty() {
            self.board.changes().arm();
        }
        self.arm(ctx);
    }

    /// Sets the one timer. There is none while nothing is asked for and no GUI is missed.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if self.ending {
            return;
        }
        let due = [self.guis.wake_at(), self.notify.wake_at()];
        let Some(at) = due.into_iter().flatten().min() else { return };
        let wait = u64::try_from(at.saturating_sub(self.clock.at())).unwrap_or(0);
        self.timer = Some(ctx.run_later(Duration::from_millis(wait), |actor, ctx| {
            actor.timer = None;
            let toasts = actor.notify.tick(actor.now());
            actor.tell(toasts, ctx);
            actor.input(Input::Tick, ctx);
        }));
    }

    fn now(&self) -> Now {
        let at = self.clock.at();
        let minute = self.has_quiet_hours.then(|| zone::minute_of_day(at)).flatten();
        Now { at, minute }
    }

    /// Has users told.
    fn tell(&mut self, toasts: Vec<Toast>, ctx: &mut Context<Self>) {
        for toast in toasts {
            let at = self.clock.at();
            let id = ulid::Ulid::generate().to_string();
            let intent = Intent {
                workspace: toast.workspace,
                process: toast.process,
                title: Some(toast.title),
                text: Some(toast.text),
                about: Some(toast.about),
                ..Intent::new(id, IntentKind::Toast, at, at + TOAST_MS)
            };
            match self.guis.ask(intent, None, at) {
                Ok(effects) => self.run(effects, ctx),
                Err(e) => tracing::warn!("a toast is left out: {}", e.line()),
            }
        }
    }

    /// Has the board tell it of changes and events.
    fn listen(&mut self, ctx: &mut Context<Self>) {
        let me = ctx.address();
        self.board.changes().on_change(Box::new(move || me.do_send(Rung)));
        let ear: Rc<dyn Listener> = Rc::new(Ear(ctx.address()));
        self.board.subscribe(&ear, 0);
        self.ear = Some(ear);
    }
}

fn restored(rows: &BTreeMap<String, IntentRow>, now: i64) -> Guis {
    Guis::restore(rows.values().map(|row| (row.intent.clone(), row.gui.clone())).collect(), now)
}

impl Actor for GuiActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.listen(ctx);
        self.input(Input::Tick, ctx);
    }
}

impl Supervised for GuiActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        self.waits.clear();
        self.shows.clear();
        (self.timer, self.minor_timer) = (None, None);
        self.guis = restored(&self.rows, self.clock.at());
        self.listen(ctx);
        self.input(Input::Tick, ctx);
    }
}

/// Something has changed since it was last looked at.
#[derive(Message)]
#[rtype(result = "()")]
struct Rung;

impl Handler<Rung> for GuiActor {
    type Result = ();
    fn handle(&mut self, _: Rung, ctx: &mut Context<Self>) {
        ctx.run_later(Duration::from_millis(TOGETHER_MS), |actor, ctx| actor.look(ctx));
    }
}

/// Hears the events that a user may be told of.
struct Ear(Addr<GuiActor>);

impl Listener for Ear {
    fn hear(&self, event: &Rc<Event>) -> bool {
        let matters = matches!(
            event.kind,
            EventKind::ProcessStatus
                | EventKind::ProcessState
                | EventKind::ProcessRemoved
                | EventKind::LimitReached
                | EventKind::LimitPassed
                | EventKind::ConfigRefused
                | EventKind::ConfigApplied
                | EventKind::TaskAdded
                | EventKind::TaskChanged
                | EventKind::GroupOver
        );
        if matters {
            self.0.do_send(Happened(Event::clone(event)));
        }
        true
    }
}

/// Something has happened that a user may be told of.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Happened(pub Event);

impl Handler<Happened> for GuiActor {
    type Result = ();
    fn handle(&mut self, m: Happened, ctx: &mut Context<Self>) {
        let toasts = self.notify.hear(&m.0, self.now());
        self.tell(toasts, ctx);
        self.arm(ctx);
    }
}

/// What users want to be told from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wanted(pub NotifySpec);

impl Handler<Wanted> for GuiActor {
    type Result = ();
    fn handle(&mut self, m: Wanted, _: &mut Context<Self>) {
        self.has_quiet_hours = !m.0.quiet_hours.is_empty();
        self.notify.set_spec(m.0);
    }
}

/// Something has become of a call or an intent.
#[derive(Message)]
#[rtype(result = "()")]
struct Heard(Input);

impl Handler<Heard> for GuiActor {
    type Result = ();
    fn handle(&mut self, m: Heard, ctx: &mut Context<Self>) {
        self.input(m.0, ctx);
    }
}

/// A GUI waits for news.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wait {
    /// Number of the call.
    pub ticket: Ticket,
    /// Its parameters.
    pub wait: GuiWait,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<GuiNews, Error>>,
}

impl Handler<Wait> for GuiActor {
    type Result = ();
    fn handle(&mut self, m: Wait, ctx: &mut Context<Self>) {
        let Wait { ticket, wait, reply } = m;
        if self.ending {
            let _ = reply.send(Err(ended()));
            return;
        }
        // numbers of another daemon mean nothing here
        let after = wait.after.filter(|_| wait.daemon.as_ref() == Some(&self.life));
        match self.guis.wait(ticket, &wait, self.clock.at()) {
            Ok(effects) => {
                self.waits.insert(ticket, Waiting { after, reply });
                self.run(effects, ctx);
                self.look(ctx);
            }
            Err(e) => {
                let _ = reply.send(Err(e));
            }
        }
    }
}

/// The daemon ends because somebody wants it to. All that wait are told so: a GUI starts a daemon again that
/// was lost, and leaves one alone that was stopped.
#[derive(Message)]
#[rtype(result = "()")]
pub struct End;

impl Handler<End> for GuiActor {
    type Result = ();
    fn handle(&mut self, _: End, ctx: &mut Context<Self>) {
        self.ending = true;
        for (ticket, wait) in std::mem::take(&mut self.waits) {
            let _ = wait.reply.send(Err(ended()));
            self.input(Input::Left(ticket), ctx);
        }
        for (_, reply) in self.shows.drain() {
            let _ = reply.send(Err(ended()));
        }
    }
}

/// It does not end after all.
#[derive(Message)]
#[rtype(result = "()")]
pub struct GoOn;

impl Handler<GoOn> for GuiActor {
    type Result = ();
    fn handle(&mut self, _: GoOn, ctx: &mut Context<Self>) {
        self.ending = false;
        self.input(Input::Tick, ctx);
    }
}

fn ended() -> Error {
    Error::new(Code::ShuttingDown, "the daemon was stopped").hint("start it with `wezterm-parallel daemon`")
}

/// The connection of a call that waits is over.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Left(pub Ticket);

impl Handler<Left> for GuiActor {
    type Result = ();
    fn handle(&mut self, m: Left, ctx: &mut Context<Self>) {
        self.waits.remove(&m.0);
        self.input(Input::Left(m.0), ctx);
    }
}

/// A GUI tells of its focus.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Focus(pub GuiFocus);

impl Handler<Focus> for GuiActor {
    type Result = ();
    fn handle(&mut self, m: Focus, ctx: &mut Context<Self>) {
        self.input(Input::Focus(m.0), ctx);
    }
}

/// Something is to be shown. The answer comes when it is.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Show {
    /// What.
    pub intent: Intent,
    /// Where, if not in the GUI that had the focus last.
    pub gui: Option<String>,
    /// Where the answer goes.
    pub reply: Reply,
}

impl Handler<Show> for GuiActor {
    type Result = ();
    fn handle(&mut self, m: Show, ctx: &mut Context<Self>) {
        let id = m.intent.id.clone();
        match self.guis.ask(m.intent, m.gui, self.clock.at()) {
            Ok(effects) => {
                self.shows.insert(id, m.reply);
                self.run(effects, ctx);
            }
            Err(e) => {
                let _ = m.reply.send(Err(e));
            }
        }
    }
}

/// All GUIs.
#[derive(Message)]
#[rtype(result = "Vec<GuiView>")]
pub struct List;

impl Handler<List> for GuiActor {
    type Result = MessageResult<List>;
    fn handle(&mut self, _: List, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.guis.views())
    }
}
