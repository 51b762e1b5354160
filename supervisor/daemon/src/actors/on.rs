//! Hooks of the user's.
//!
//! Owns: which hooks there are, what was last told of each process, hooks that wait for their turn.
//! Receives: events, the config, ends of hooks. Sends: nothing but the ends of its own hooks; they are
//! programs. Dies when: the daemon ends, and hooks that run go on. After a panic those that waited are
//! forgotten.

use std::{collections::HashMap, path::PathBuf, rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, Supervised};
use indexmap::IndexMap;
use wezterm_parallel_core::{
    on::{Effect, Hooks, Input, Job, Known},
    spec::OnSpec,
};
use wezterm_parallel_schemas::{event::Event, on::OnEvent};
use wezterm_parallel_store::{ProcessRow, RunRow, RunState, TaskLoaded};

use crate::{
    board::{Board, Listener},
    clock::Clock,
    effects::on,
};

/// Of a command, so much stands in the log, in characters: enough to know it by.
const COMMAND_CHARS_MAX: usize = 80;

/// See the module.
pub struct OnActor {
    board: Rc<Board>,
    clock: Clock,
    home: PathBuf,
    environment: Arc<IndexMap<String, String>>,
    hooks: Hooks,
    /// Hears events for as long as it is kept.
    ear: Option<Rc<dyn Listener>>,
}

/// How things stood when the daemon before this one ended: what is not new is no news.
pub fn known(processes: &[ProcessRow], runs: &[RunRow], tasks: &[TaskLoaded], past: &[Event]) -> Hooks {
    let running = runs.iter().filter(|run| run.state == RunState::Running);
    let running: HashMap<&String, &String> = running.map(|run| (&run.process_id, &run.run_id)).collect();
    let mut hooks = Hooks::default();
    for row in processes {
        let run = running.get(&row.id).map(|run| (*run).clone());
        hooks.knew(row.id.clone(), Known::left(row.state, row.unread, run));
    }
    // what runs for long is not among the newest events; of what is over nothing more is told
    for TaskLoaded { row, .. } in tasks.iter().filter(|task| !task.row.state.is_end()) {
        hooks.knew(row.spec.id.clone(), Known::task(row.state));
    }
    for event in past {
        hooks.past(event);
    }
    hooks
}

impl OnActor {
    /// With what is known already. `environment` is that of hooks, `home` where they run if nowhere else.
    pub fn new(
        board: Rc<Board>,
        clock: Clock,
        home: PathBuf,
        environment: Arc<IndexMap<String, String>>,
        hooks: Hooks,
    ) -> Self {
        Self { board, clock, home, environment, hooks, ear: None }
    }

    fn input(&mut self, input: Input, ctx: &mut Context<Self>) {
        for effect in self.hooks.step(input, self.clock.at()) {
            match effect {
                Effect::Run(job) => self.run(&job, ctx),
                Effect::LeftOut(count) => {
                    tracing::warn!(count, "hooks were left out: too many wait for their turn");
                }
            }
        }
    }

    fn run(&self, job: &Job, ctx: &mut Context<Self>) {
        let turn = Turn(ctx.address());
        let name = job.on.name();
        let line = match serde_json::to_string(&*job.event) {
            Ok(line) => line + "\n",
            Err(e) => return tracing::error!(event = name, "an event has no JSON form: {e}"),
        };
        let workspace = job.event.workspace.as_ref();
        let workspaces = workspace.map_or_else(Vec::new, |_| self.board.workspaces());
        let cwd = workspaces.into_iter().find(|w| Some(&w.name) == workspace).map(|w| w.cwd);
        let hook = on::Hook {
            name,
            line,
            command: job.spec.command.clone(),
            cwd,
            home: self.home.clone(),
            environment: Arc::clone(&self.environment),
            timeout: Duration::from_millis(job.spec.timeout),
        };
        actix_rt::spawn(async move {
            let _turn = turn;
            if let Err(why) = on::run(&hook).await {
                tracing::warn!(event = name, "a hook failed: {}: {why}", shown(&hook.command));
            }
        });
    }

    fn listen(&mut self, ctx: &mut Context<Self>) {
        let ear: Rc<dyn Listener> = Rc::new(Ear(ctx.address()));
        self.board.subscribe(&ear, 0);
        self.ear = Some(ear);
    }
}

/// A command as the log has it.
fn shown(command: &[String]) -> String {
    let command = match command {
        // what was a text in the config
        [_, c, text] if c == "-c" => text.clone(),
        words => words.join(" "),
    };
    command.chars().map(|c| if c.is_control() { ' ' } else { c }).take(COMMAND_CHARS_MAX).collect()
}

impl Actor for OnActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.listen(ctx);
    }
}

impl Supervised for OnActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        self.hooks.forget_waiting();
        self.listen(ctx);
    }
}

/// The turn of one hook, which is over when this is dropped, however that comes.
struct Turn(Addr<OnActor>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.do_send(Ended);
    }
}

struct Ear(Addr<OnActor>);

impl Listener for Ear {
    fn hear(&self, event: &Rc<Event>) -> bool {
        self.0.do_send(Happened(Event::clone(event)));
        true
    }
}

/// Something has happened.
#[derive(Message)]
#[rtype(result = "()")]
struct Happened(Event);

impl Handler<Happened> for OnActor {
    type Result = ();
    fn handle(&mut self, m: Happened, ctx: &mut Context<Self>) {
        self.input(Input::Happened(Rc::new(m.0)), ctx);
    }
}

/// A hook has ended.
#[derive(Message)]
#[rtype(result = "()")]
struct Ended;

impl Handler<Ended> for OnActor {
    type Result = ();
    fn handle(&mut self, _: Ended, ctx: &mut Context<Self>) {
        self.input(Input::Ended, ctx);
    }
}

/// What is to run from now on, and when.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wanted(pub IndexMap<OnEvent, Vec<OnSpec>>);

impl Handler<Wanted> for OnActor {
    type Result = ();
    fn handle(&mut self, m: Wanted, ctx: &mut Context<Self>) {
        self.input(Input::Wanted(m.0), ctx);
    }
}
