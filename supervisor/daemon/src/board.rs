//! How everything stands, and what happens: the one place that listings are read from and that
//! events go through. Actors put their views here; a question is answered from here without asking
//! them. What changed goes into the store first, and to subscribers when it is on the disk.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::{Rc, Weak},
};

use tokio::sync::mpsc;
use wezterm_parallel_schemas::{
    error::{Code, Error},
    event::Event,
    gui::GuiNews,
    limit::AccountView,
    process::ProcessView,
    task::TaskCounts,
    workspace::WorkspaceView,
};
use wezterm_parallel_store::{Change, Store, StoreError};

use crate::{
    clock::Clock,
    news::{Changes, Weight, accounts_weight, process_weight},
};

/// Events kept in memory, so that a client that was away for a moment is not sent to the disk.
const RING_EVENTS_MAX: usize = 512;

/// Somebody who wants to hear of events.
pub trait Listener {
    /// One event. False ends the subscription.
    fn hear(&self, event: &Rc<Event>) -> bool;
}

/// What follows a commit.
pub type Then = Box<dyn FnOnce(Result<(), Error>)>;

/// See the module.
pub struct Board {
    clock: Clock,
    store: Store,
    committed: mpsc::UnboundedSender<(u64, Result<(), StoreError>)>,
    seq: Cell<u64>,
    /// The newest event that subscribers have been told of; later ones are being written down.
    told: Cell<u64>,
    token: Cell<u64>,
    waiting: RefCell<VecDeque<Commit>>,
    listeners: RefCell<Vec<(u64, Weak<dyn Listener>)>>,
    ring: RefCell<VecDeque<Rc<Event>>>,
    workspaces: RefCell<BTreeMap<(u32, String), WorkspaceView>>,
    processes: RefCell<BTreeMap<(String, u32, String), ProcessView>>,
    accounts: RefCell<Vec<AccountView>>,
    tasks: Cell<TaskCounts>,
    /// What of all that has changed since when.
    changes: Changes,
    problem: RefCell<Option<String>>,
    config_problem: RefCell<Option<String>>,
    /// How many commits have been refused so far, and why the last one.
    refusals: RefCell<(u64, Option<Error>)>,
}

struct Commit {
    token: u64,
    /// It only waits for those before it.
    empty: bool,
    events: Vec<Rc<Event>>,
    then: Option<Then>,
    done: Option<Result<(), StoreError>>,
}

impl Board {
    /// A board over a store whose newest event is `last_seq`.
    pub fn start(store: Store, last_seq: u64, clock: Clock, problem: Option<String>) -> Rc<Self> {
        let (committed, mut done) = mpsc::unbounded_channel();
        let board = Rc::new(Self {
            clock,
            store,
            committed,
            seq: Cell::new(last_seq),
            told: Cell::new(last_seq),
            token: Cell::new(0),
            waiting: RefCell::default(),
            listeners: RefCell::default(),
            ring: RefCell::default(),
            workspaces: RefCell::default(),
            processes: RefCell::default(),
            accounts: RefCell::default(),
            tasks: Cell::default(),
            changes: Changes::default(),
            problem: RefCell::new(problem),
            config_problem: RefCell::default(),
            refusals: RefCell::default(),
        });
        let weak = Rc::downgrade(&board);
        actix_rt::spawn(async move {
            while let Some((token, result)) = done.recv().await {
                let Some(board) = weak.upgrade() else { return };
                board.on_committed(token, result);
            }
        });
        board
    }

    /// Saves `changes` and `events` in one commit, then tells the subscribers, then calls `then`.
    /// Events get their numbers and times now, in the order of the calls. If the disk refuses,
    /// subscribers are told all the same, since it happened all the same; `then` gets the error.
    pub fn commit(&self, mut changes: Vec<Change>, events: Vec<Event>, then: Option<Then>) {
        let events: Vec<Rc<Event>> = events
            .into_iter()
            .map(|mut event| {
                self.seq.set(self.seq.get() + 1);
                event.seq = self.seq.get();
                event.at = self.clock.at();
                changes.push(Change::Event(event.clone()));
                Rc::new(event)
            })
            .collect();
        self.token.set(self.token.get() + 1);
        let token = self.token.get();
        let empty = changes.is_empty();
        self.waiting.borrow_mut().push_back(Commit { token, empty, events, then, done: None });
        let committed = self.committed.clone();
        self.store.commit(changes, move |result| {
            // the daemon has ended if nobody receives it
            let _ = committed.send((token, result));
        });
    }

    /// The same, as something to wait for.
    ///
    /// # Errors
    /// `storage` if the disk refuses.
    pub async fn commit_and_wait(&self, changes: Vec<Change>, events: Vec<Event>) -> Result<(), Error> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.commit(
            changes,
            events,
            Some(Box::new(move |result| {
                let _ = tell.send(result);
            })),
        );
        told.await.unwrap_or_else(|_| Err(Error::new(Code::ShuttingDown, "the daemon is ending")))
    }

    fn on_committed(&self, token: u64, result: Result<(), StoreError>) {
        {
            let mut waiting = self.waiting.borrow_mut();
            if let Some(commit) = waiting.iter_mut().find(|c| c.token == token) {
                commit.done = Some(result);
            }
        }
        loop {
            let mut waiting = self.waiting.borrow_mut();
            if waiting.front().is_none_or(|c| c.done.is_none()) {
                return;
            }
            let Some(commit) = waiting.pop_front() else { return };
            drop(waiting);
            let result = commit.done.unwrap_or(Ok(())).map_err(|e| {
                tracing::error!(error = %e, "the store refused a change");
                storage_error(&e)
            });
            if !commit.empty {
                self.note_disk(result.as_ref().err());
            }
            for event in commit.events {
                self.tell(event);
            }
            if let Some(then) = commit.then {
                then(result);
            }
        }
    }

    /// A refused commit stands in the status until one goes through again.
    fn note_disk(&self, error: Option<&Error>) {
        if let Some(e) = error {
            let mut refusals = self.refusals.borrow_mut();
            *refusals = (refusals.0 + 1, Some(e.clone()));
        }
        let mut problem = self.problem.borrow_mut();
        let before = problem.clone();
        match error {
            Some(e) if e.code == Code::Storage => *problem = Some(e.line()),
            None if problem.as_ref().is_some_and(|p| p.starts_with("storage:")) => *problem = None,
            _ => {}
        }
        let changed = *problem != before;
        drop(problem);
        if changed {
            self.changes.change_problem();
        }
    }

    /// What is wrong with the config, in words, if anything is.
    pub fn put_config_problem(&self, problem: Option<&str>) {
        // the first line says it all
        let line = problem.and_then(|text| text.lines().next()).map(str::to_owned);
        if self.config_problem.replace(line.clone()) != line {
            self.changes.change_problem();
        }
    }

    fn tell(&self, event: Rc<Event>) {
        self.told.set(event.seq);
        let listeners: Vec<_> = self.listeners.borrow().clone();
        let mut gone = false;
        for (after, listener) in listeners {
            match listener.upgrade() {
                Some(l) if event.seq > after => gone |= !l.hear(&event),
                Some(_) => {}
                None => gone = true,
            }
        }
        if gone {
            self.listeners.borrow_mut().retain(|(_, l)| l.strong_count() > 0);
        }
        let mut ring = self.ring.borrow_mut();
        ring.push_back(event);
        if ring.len() > RING_EVENTS_MAX {
            ring.pop_front();
        }
    }

    /// Adds a subscriber, who hears every event after number `after`, of those that have not been told yet.
    pub fn subscribe(&self, listener: &Rc<dyn Listener>, after: u64) {
        self.listeners.borrow_mut().push((after, Rc::downgrade(listener)));
    }

    /// Events after `seq` that have been told, from memory; none if memory does not go back that far.
    pub fn recent(&self, seq: u64) -> Option<Vec<Rc<Event>>> {
        let ring = self.ring.borrow();
        let first = ring.front()?.seq;
        (first <= seq + 1).then(|| ring.iter().filter(|e| e.seq > seq).cloned().collect())
    }

    /// Number of the newest event that has been told.
    pub fn told(&self) -> u64 {
        self.told.get()
    }

    /// Number of the newest event.
    pub fn seq(&self) -> u64 {
        self.seq.get()
    }
    /// The store, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }
    /// How many commits have been refused so far, and why the last one.
    pub fn refusals(&self) -> (u64, Option<Error>) {
        self.refusals.borrow().clone()
    }
    /// What is wrong with the disk or the store, in words.
    pub fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    /// Puts a workspace up, in place of what stood there of the same id.
    pub fn put_workspace(&self, position: u32, view: WorkspaceView) {
        let key = (position, view.id.clone());
        let mut all = self.workspaces.borrow_mut();
        let id = view.id.clone();
        let before = all.get(&key).map(|old| *old == view);
        if before.is_none() {
            all.retain(|(_, other), _| *other != id);
        }
        all.insert(key, view);
        drop(all);
        match before {
            None => self.changes.place(&id),
            Some(false) => self.changes.change(&id, Weight::Urgent),
            Some(true) => {}
        }
    }
    /// Takes a workspace down.
    pub fn drop_workspace(&self, id: &str) {
        self.workspaces.borrow_mut().retain(|(_, i), _| i != id);
        self.changes.remove(id);
    }
    /// Puts a process up, in place of what stood there of the same id.
    pub fn put_process(&self, position: u32, view: ProcessView) {
        let mut all = self.processes.borrow_mut();
        let key = (view.workspace.clone(), position, view.id.clone());
        let (id, workspace, runs) = (view.id.clone(), view.workspace.clone(), view.pid.is_some());
        let old = all.get(&key).map(|old| (process_weight(old, &view), old.pid.is_some() != runs));
        if old.is_none() {
            all.retain(|(_, _, other), _| *other != id);
        }
        all.insert(key, view);
        drop(all);
        match old {
            None => self.changes.place(&id),
            Some((Some(weight), counts)) => {
                self.changes.change(&id, weight);
                if counts {
                    self.recount(&workspace);
                }
            }
            Some((None, _)) => {}
        }
    }
    /// Takes a process down.
    pub fn drop_process(&self, id: &str) {
        let Some(view) = self.process(id) else { return };
        self.processes.borrow_mut().retain(|(_, _, i), _| i != id);
        self.changes.remove(id);
        self.recount(&view.workspace);
    }
    /// The processes of a workspace are counted in its view.
    fn recount(&self, name: &str) {
        let all = self.workspaces.borrow();
        let id = all.values().find(|w| w.name == name).map(|w| w.id.clone());
        drop(all);
        if let Some(id) = id {
            self.changes.change(&id, Weight::Urgent);
        }
    }
    /// Puts all accounts up.
    pub fn put_accounts(&self, accounts: Vec<AccountView>) {
        let weight = accounts_weight(&self.accounts.borrow(), &accounts);
        self.accounts.replace(accounts);
        if let Some(weight) = weight {
            self.changes.change_accounts(weight);
        }
    }
    /// Puts up how many tasks are in each state.
    pub fn put_tasks(&self, counts: TaskCounts) {
        if self.tasks.replace(counts) != counts {
            self.changes.change_tasks();
        }
    }
    /// What has changed since when.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }
    /// What has changed after number `after`; everything where that is not known, or not given.
    pub fn news(&self, after: Option<u64>) -> GuiNews {
        let changes = &self.changes;
        let after = after.filter(|after| !changes.is_lost(*after));
        let (mut processes, mut workspaces) = (self.processes(), self.workspaces());
        if let Some(after) = after {
            processes.retain(|p| changes.has_changed(&p.id, after));
            workspaces.retain(|w| changes.has_changed(&w.id, after));
        }
        let removed = after.map_or_else(Vec::new, |after| changes.removed(after));
        let tasks = match after {
            None => self.tasks.get() != TaskCounts::default(),
            Some(after) => changes.tasks_changed(after),
        };
        let accounts = after.is_none_or(|after| changes.accounts_changed(after));
        let problems = [self.config_problem.borrow().clone(), self.problem()];
        let problem: Vec<String> = problems.into_iter().flatten().collect();
        GuiNews {
            seq: changes.newest(),
            whole: after.is_none(),
            processes,
            workspaces,
            removed,
            accounts: accounts.then(|| self.accounts.borrow().clone()),
            tasks: tasks.then(|| self.tasks.get()),
            problem: (!problem.is_empty()).then(|| problem.join("\n")),
            ..GuiNews::default()
        }
    }
    /// All workspaces, in order.
    pub fn workspaces(&self) -> Vec<WorkspaceView> {
        let processes = self.processes.borrow();
        let mut views: Vec<WorkspaceView> = self.workspaces.borrow().values().cloned().collect();
        for w in &mut views {
            let own = processes.values().filter(|p| p.workspace == w.name);
            (w.processes, w.running) =
                own.fold((0, 0), |(all, up), p| (all + 1, up + u32::from(p.pid.is_some())));
        }
        views
    }
    /// One process, by its id.
    pub fn process(&self, id: &str) -> Option<ProcessView> {
        self.processes.borrow().values().find(|v| v.id == id).cloned()
    }
    /// All processes, by workspace and then in start order.
    pub fn processes(&self) -> Vec<ProcessView> {
        let order: BTreeMap<String, usize> =
            self.workspaces.borrow().values().enumerate().map(|(i, w)| (w.name.clone(), i)).collect();
        let mut views: Vec<ProcessView> = self.processes.borrow().values().cloned().collect();
        views.sort_by_key(|v| order.get(&v.workspace).copied().unwrap_or(usize::MAX));
        views
    }
}

fn storage_error(e: &StoreError) -> Error {
    match e {
        StoreError::Refused(_) => Error::new(Code::Conflict, e.to_string()),
        StoreError::Full => Error::new(Code::Storage, "the disk is full")
            .hint("make room; what was done since may not be kept over a restart of the daemon"),
        _ => Error::new(Code::Storage, e.to_string()),
    }
}
