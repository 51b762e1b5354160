//! What of the views has changed since when: a GUI that comes back is told that, and not all of it.
//!
//! Counts changes of views, not events: a view also changes without one. The numbers begin anew with each
//! daemon.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
};

use wezterm_parallel_schemas::{limit::AccountView, process::ProcessView};

/// Ids of what is gone that are remembered: who has been away for longer gets everything anew.
const REMOVED_KEPT_MAX: usize = 1_024;

/// See the module.
#[derive(Default)]
pub struct Changes {
    newest: Cell<u64>,
    /// The newest change that a user waits for.
    urgent: Cell<u64>,
    /// When something came or changed its place.
    order: Cell<u64>,
    /// Of each workspace and process, by id.
    changed: RefCell<HashMap<String, u64>>,
    removed: RefCell<VecDeque<(u64, String)>>,
    /// Up to here removals are forgotten.
    forgotten: Cell<u64>,
    accounts: Cell<u64>,
    tasks: Cell<u64>,
    bell: RefCell<Option<Box<dyn Fn()>>>,
    armed: Cell<bool>,
}

/// Whether somebody waits for a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Yes.
    Urgent,
    /// It moves along: a title with a clock in it, a sum of tokens.
    Minor,
}

impl Changes {
    /// Number of the newest change.
    pub fn newest(&self) -> u64 {
        self.newest.get()
    }
    /// Number of the newest change that a user waits for.
    pub fn urgent(&self) -> u64 {
        self.urgent.get()
    }
    /// Whether who knows everything up to `after` must be told all of it anew.
    pub fn is_lost(&self, after: u64) -> bool {
        after > self.newest.get() || after < self.order.get() || after < self.forgotten.get()
    }
    /// Whether a workspace or a process has changed since.
    pub fn has_changed(&self, id: &str, after: u64) -> bool {
        self.changed.borrow().get(id).is_some_and(|at| *at > after)
    }
    /// What is gone since.
    pub fn removed(&self, after: u64) -> Vec<String> {
        let removed = self.removed.borrow();
        removed.iter().filter(|(at, _)| *at > after).map(|(_, id)| id.clone()).collect()
    }
    /// Whether an account has changed since.
    pub fn accounts_changed(&self, after: u64) -> bool {
        self.accounts.get() > after
    }

    /// Whether other numbers of tasks are in their states since.
    pub fn tasks_changed(&self, after: u64) -> bool {
        self.tasks.get() > after
    }

    fn next(&self, weight: Weight) -> u64 {
        let next = self.newest.get() + 1;
        self.newest.set(next);
        if weight == Weight::Urgent {
            self.urgent.set(next);
        }
        next
    }

    /// A workspace or a process is another.
    pub fn change(&self, id: &str, weight: Weight) {
        let next = self.next(weight);
        self.changed.borrow_mut().insert(id.to_owned(), next);
        self.ring();
    }
    /// One has come, or stands at another place.
    pub fn place(&self, id: &str) {
        let next = self.next(Weight::Urgent);
        self.order.set(next);
        self.changed.borrow_mut().insert(id.to_owned(), next);
        self.ring();
    }
    /// One is gone.
    pub fn remove(&self, id: &str) {
        let next = self.next(Weight::Urgent);
        self.changed.borrow_mut().remove(id);
        let mut removed = self.removed.borrow_mut();
        removed.push_back((next, id.to_owned()));
        if removed.len() > REMOVED_KEPT_MAX
            && let Some((at, _)) = removed.pop_front()
        {
            self.forgotten.set(at);
        }
        drop(removed);
        self.ring();
    }
    /// Accounts are others.
    pub fn change_accounts(&self, weight: Weight) {
        let next = self.next(weight);
        self.accounts.set(next);
        self.ring();
    }
    /// Other numbers of tasks are in the states that there are: they move along, as a queue of short tasks
    /// would keep a GUI busy.
    pub fn change_tasks(&self) {
        let next = self.next(Weight::Minor);
        self.tasks.set(next);
        self.ring();
    }
    /// Something is wrong, or mended.
    pub fn change_problem(&self) {
        self.next(Weight::Urgent);
        self.ring();
    }

    /// What is done at the next change, once it is armed.
    pub fn on_change(&self, bell: Box<dyn Fn()>) {
        *self.bell.borrow_mut() = Some(bell);
    }
    /// Wants to hear of the next change, and of no further one.
    pub fn arm(&self) {
        self.armed.set(true);
    }
    fn ring(&self) {
        if self.armed.replace(false)
            && let Some(bell) = &*self.bell.borrow()
        {
            bell();
        }
    }
}

/// How much it matters that a process is shown otherwise than before; none if it is not.
pub fn process_weight(old: &ProcessView, new: &ProcessView) -> Option<Weight> {
    if old == new {
        return None;
    }
    let mut minor = old.clone();
    minor.title.clone_from(&new.title);
    minor.usage.clone_from(&new.usage);
    minor.attached = new.attached;
    Some(if minor == *new { Weight::Minor } else { Weight::Urgent })
}

/// The same of all accounts.
pub fn accounts_weight(old: &[AccountView], new: &[AccountView]) -> Option<Weight> {
    if old == new {
        return None;
    }
    let what = |a: &AccountView| (a.account.clone(), a.limited_until, a.processes.clone());
    let same = old.iter().map(what).eq(new.iter().map(what));
    Some(if same { Weight::Minor } else { Weight::Urgent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_for_too_long_is_told_everything() {
        let changes = Changes::default();
        changes.place("a");
        assert!(changes.is_lost(0), "it has come since");
        assert!(!changes.is_lost(1));
        assert!(changes.is_lost(2), "of another daemon");
        changes.change("a", Weight::Minor);
        assert!(!changes.is_lost(1) && changes.has_changed("a", 1) && !changes.has_changed("a", 2));
        changes.remove("a");
        assert_eq!((changes.removed(2), changes.removed(3)), (vec!["a".to_owned()], vec![]));
        assert!(!changes.has_changed("a", 0));
        for n in 0..REMOVED_KEPT_MAX {
            changes.remove(&n.to_string());
        }
        assert!(changes.is_lost(2) && !changes.is_lost(3), "the first removal is forgotten");
    }

    #[test]
    fn what_only_moves_along_is_not_urgent() {
        let changes = Changes::default();
        changes.change("a", Weight::Urgent);
        changes.change("a", Weight::Minor);
        assert_eq!((changes.urgent(), changes.newest()), (1, 2));
    }

    #[test]
    fn the_bell_rings_once_each_time_that_it_is_armed() {
        let changes = Changes::default();
        let rung = std::rc::Rc::new(Cell::new(0));
        let count = rung.clone();
        changes.on_change(Box::new(move || count.set(count.get() + 1)));
        changes.change("a", Weight::Urgent);
        assert_eq!(rung.get(), 0, "nobody waits");
        changes.arm();
        changes.change("a", Weight::Urgent);
        changes.change("a", Weight::Urgent);
        assert_eq!(rung.get(), 1);
    }
}
