//! The queue of starts.
//!
//! Owns: who waits and who is starting. Receives: requests of processes and of runs of tasks. Sends:
//! admissions. Dies when: the daemon ends. After a panic everyone who waits has to ask again, which they do
//! when they are told so.

use std::{collections::HashMap, time::Duration};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, Supervised};
use wezterm_parallel_core::gate::{Effect, Gate, Hold, MEMORY_RECHECK_MS, Ticket};

use crate::effects::machine;

/// What somebody hears who has asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It may start.
    Admitted,
    /// It waits, for this reason.
    Waits(String),
    /// Nothing is known of it any more: it has to ask again.
    AskAgain,
}

/// How it hears that.
pub type Ear = Box<dyn Fn(Told) + Send>;

/// See the module.
#[derive(Default)]
pub struct GateActor {
    gate: Gate,
    asking: HashMap<String, Ear>,
    limits: (HashMap<String, u32>, u64),
    rechecking: bool,
}

impl Actor for GateActor {
    type Context = Context<Self>;
}

impl Supervised for GateActor {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.gate = Gate::default();
        self.gate.limit(self.limits.0.clone(), self.limits.1);
        self.rechecking = false;
        for (_, tell) in self.asking.drain() {
            tell(Told::AskAgain);
        }
    }
}

impl GateActor {
    fn run(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                Effect::Admit(process) => {
                    if let Some(tell) = self.asking.remove(&process) {
                        tell(Told::Admitted);
                    }
                }
                Effect::Wait(process, reason) => {
                    if let Some(tell) = self.asking.get(&process) {
                        tell(Told::Waits(reason));
                    }
                }
                Effect::Recheck if self.rechecking => {}
                Effect::Recheck => {
                    self.rechecking = true;
                    ctx.run_later(Duration::from_millis(MEMORY_RECHECK_MS), |gate, ctx| {
                        gate.rechecking = false;
                        if gate.gate.waiting() {
                            let effects = gate.gate.memory(machine::free_memory());
                            gate.run(effects, ctx);
                        }
                    });
                }
            }
        }
    }
}

/// New limits: starts at once by agent, and the least free memory in bytes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Limit(pub HashMap<String, u32>, pub u64);

impl Handler<Limit> for GateActor {
    type Result = ();
    fn handle(&mut self, m: Limit, ctx: &mut Context<Self>) {
        self.limits = (m.0.clone(), m.1);
        let effects = self.gate.limit(m.0, m.1);
        self.run(effects, ctx);
    }
}

/// Somebody wants to start.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ask(pub Ticket, pub Ear);

impl Handler<Ask> for GateActor {
    type Result = ();
    fn handle(&mut self, m: Ask, ctx: &mut Context<Self>) {
        self.asking.insert(m.0.process.clone(), m.1);
        let mut effects = self.gate.memory(machine::free_memory());
        effects.extend(self.gate.ask(m.0));
        self.run(effects, ctx);
    }
}

/// A process that was admitted is through, or wants to start no more.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave {
    /// The process's id.
    pub process: String,
    /// It runs, and may hold others up by what it asks of its user.
    pub through: bool,
    /// It has shown its prompt.
    pub prompt: bool,
}

impl Handler<Leave> for GateActor {
    type Result = ();
    fn handle(&mut self, m: Leave, ctx: &mut Context<Self>) {
        self.asking.remove(&m.process);
        let effects =
            if m.through { self.gate.through(&m.process, m.prompt) } else { self.gate.leave(&m.process) };
        self.run(effects, ctx);
    }
}

/// A process asks something of its user that others would only ask again, or has been answered.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Holds {
    /// The process's id.
    pub process: String,
    /// What it asks.
    pub hold: Option<Hold>,
}

impl Handler<Holds> for GateActor {
    type Result = ();
    fn handle(&mut self, m: Holds, ctx: &mut Context<Self>) {
        let effects = self.gate.hold(&m.process, m.hold);
        self.run(effects, ctx);
    }
}
