//! Living Claudes, by Claude's own files.
//!
//! Owns: the watch over the accounts of runs, what their files last said. Receives: runs that begin and end,
//! changes of files, questions. Sends: to the process of a run, what the file of its agent says.
//! Dies when: the daemon ends. After a panic it looks at everything anew.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, Message, ResponseFuture,
    Supervised, WrapFuture as _,
};
use wezterm_parallel_core::{
    claude::registry::Entry,
    registry::{Living, agent_of},
};

use super::process::{ProcessActor, registry::Registered};
use crate::{
    board::Board,
    effects::registry::{self, Reading, Touched, Watch},
};

/// After a file that was caught half written, if no further change is told of: one is a fraction of a
/// millisecond away.
const REREAD: Duration = Duration::from_millis(5);

/// See the module.
pub struct RegistryActor {
    board: Rc<Board>,
    /// None before the first run, and where the system cannot watch.
    watch: Option<Arc<Mutex<Watch>>>,
    runs: HashMap<String, Followed>,
    /// What lives, by account and process.
    living: BTreeMap<(PathBuf, i32), Living>,
    /// Files that are being read; true if they have changed since.
    reading: HashMap<PathBuf, bool>,
    /// The directories are being looked at; true if they have changed since.
    looking: Option<bool>,
}

/// A run whose agent is followed.
struct Followed {
    pid: i32,
    keeper_pid: i32,
    account: PathBuf,
    process: Addr<ProcessActor>,
    /// What its process was told last.
    told: Option<Entry>,
}

impl RegistryActor {
    /// One that follows nothing as yet.
    pub fn new(board: Rc<Board>) -> Self {
        Self {
            board,
            watch: None,
            runs: HashMap::new(),
            living: BTreeMap::new(),
            reading: HashMap::new(),
            looking: None,
        }
    }

    fn accounts(&self) -> Vec<PathBuf> {
        self.runs.values().map(|r| r.account.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Keepers of all runs, also of those that are no Claude's.
    fn keepers(&self) -> HashSet<i32> {
        let shown = self.board.processes().into_iter().filter_map(|p| p.keeper_pid);
        shown.chain(self.runs.values().map(|r| r.keeper_pid)).collect()
    }

    /// Tells every process of a run what is new about its agent.
    fn tell(&mut self) {
        let keepers = self.keepers();
        for (run_id, run) in &mut self.runs {
            let living = self.living.values().filter(|l| l.account == run.account);
            let agent = agent_of(living, run.pid, run.keeper_pid, |pid| keepers.contains(&pid));
            let Some(entry) = agent.map(|l| &l.entry).filter(|e| run.told.as_ref() != Some(*e)) else {
                continue;
            };
            run.told = Some(entry.clone());
            run.process.do_send(Registered { run_id: run_id.clone(), entry: entry.clone() });
        }
    }

    /// Looks at the directories and everything in them.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if let Some(again) = &mut self.looking {
            *again = true;
            return;
        }
        self.looking = Some(false);
        let accounts = self.accounts();
        let watch = self.watch(&accounts, ctx);
        let look = tokio::task::spawn_blocking(move || {
            if let Some(watch) = watch {
                watch.lock().unwrap_or_else(PoisonError::into_inner).set(&accounts);
            }
            accounts.iter().flat_map(|account| registry::all(account)).collect::<Vec<_>>()
        });
        ctx.spawn(look.into_actor(self).map(|found, actor, ctx| {
            let again = actor.looking.take().unwrap_or_default();
            if let Ok(found) = found {
                let key = |l: Living| ((l.account.clone(), l.entry.pid), l);
                actor.living = found.into_iter().map(key).collect();
                actor.tell();
            }
            if again {
                actor.look(ctx);
            }
        }));
    }

    /// The watch, begun if there is something to watch.
    fn watch(&mut self, accounts: &[PathBuf], ctx: &mut Context<Self>) -> Option<Arc<Mutex<Watch>>> {
        if self.watch.is_none() && !accounts.is_empty() {
            let me = ctx.address();
            match Watch::start(move |touched| me.do_send(Changed(touched))) {
                Ok(watch) => self.watch = Some(Arc::new(Mutex::new(watch))),
                Err(e) => tracing::warn!(error = %e, "Claude's living sessions cannot be watched"),
            }
        }
        self.watch.clone()
    }

    fn read(&mut self, file: PathBuf, ctx: &mut Context<Self>) {
        let account = file.parent().and_then(|dir| dir.parent()).map(PathBuf::from);
        let Some(account) = account.filter(|a| self.runs.values().any(|r| r.account == *a)) else { return };
        if let Some(again) = self.reading.get_mut(&file) {
            *again = true;
            return;
        }
        self.reading.insert(file.clone(), false);
        let (dir, path) = (account.clone(), file.clone());
        let read = tokio::task::spawn_blocking(move || registry::read(&dir, &path));
        ctx.spawn(read.into_actor(self).map(move |reading, actor, ctx| {
            let again = actor.reading.remove(&file).unwrap_or_default();
            let key = registry::pid_of(&file).map(|pid| (account, pid));
            match (reading, key) {
                (Ok(Reading::Living(living)), Some(key)) => {
                    actor.living.insert(key, *living);
                    actor.tell();
                }
                (Ok(Reading::Gone), Some(key)) => {
                    actor.living.remove(&key);
                }
                // what was known stays
                (Ok(Reading::Torn), Some(_)) if !again => {
                    ctx.run_later(REREAD, move |actor, ctx| actor.read(file, ctx));
                    return;
                }
                (Ok(Reading::Torn) | Err(_), _) | (_, None) => {}
            }
            if again {
                actor.read(file, ctx);
            }
        }));
    }
}

impl Actor for RegistryActor {
    type Context = Context<Self>;
}

impl Supervised for RegistryActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        self.watch = None;
        self.living.clear();
        self.reading.clear();
        self.looking = None;
        for run in self.runs.values_mut() {
            run.told = None;
        }
        self.look(ctx);
    }
}

/// A run of a Claude has begun, or was found again: its process is told what is known of its agent, now and
/// at every change.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Follow {
    /// The run.
    pub run_id: String,
    /// Its program.
    pub pid: i32,
    /// Its keeper.
    pub keeper_pid: i32,
    /// Claude's config directory in its environment.
    pub account: PathBuf,
    /// Who is told.
    pub process: Addr<ProcessActor>,
}

impl Handler<Follow> for RegistryActor {
    type Result = ();
    fn handle(&mut self, m: Follow, ctx: &mut Context<Self>) {
        let Follow { run_id, pid, keeper_pid, account, process } = m;
        self.runs.insert(run_id, Followed { pid, keeper_pid, account, process, told: None });
        self.look(ctx);
    }
}

/// A run is over.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Leave {
    /// The run.
    pub run_id: String,
}

impl Handler<Leave> for RegistryActor {
    type Result = ();
    fn handle(&mut self, m: Leave, ctx: &mut Context<Self>) {
        let gone = self.runs.remove(&m.run_id);
        if gone.is_some_and(|gone| self.runs.values().all(|r| r.account != gone.account)) {
            // nobody asks for this account any more
            self.look(ctx);
        }
    }
}

/// Something has changed on the disk.
#[derive(Message)]
#[rtype(result = "()")]
struct Changed(Touched);

impl Handler<Changed> for RegistryActor {
    type Result = ();
    fn handle(&mut self, m: Changed, ctx: &mut Context<Self>) {
        match m.0 {
            Touched::File(file) => self.read(file, ctx),
            Touched::Directories => self.look(ctx),
        }
    }
}

/// Which Claudes live now, in these accounts and those of all runs: read from the disk, since one that was
/// killed leaves its file behind without a change.
#[derive(Message)]
#[rtype(result = "Vec<Living>")]
pub struct Ask(pub Vec<PathBuf>);

impl Handler<Ask> for RegistryActor {
    type Result = ResponseFuture<Vec<Living>>;
    fn handle(&mut self, m: Ask, _: &mut Context<Self>) -> Self::Result {
        let accounts: BTreeSet<PathBuf> = self.accounts().into_iter().chain(m.0).collect();
        Box::pin(async move {
            let read = move || accounts.iter().flat_map(|account| registry::all(account)).collect();
            tokio::task::spawn_blocking(read).await.unwrap_or_default()
        })
    }
}
