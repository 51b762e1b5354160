//! Who may start now. A Claude costs half a second of CPU and 200 MB to start, so not all of them
//! start at once; and while one of them asks for a login, for trust in a directory or for its
//! first-run answers, others would only ask the same thing again.

use std::collections::{HashMap, HashSet};

use crate::spec::{MIN_FREE_MEMORY_DEFAULT, Millis};

/// How often free memory is measured again while somebody waits for it.
pub const MEMORY_RECHECK_MS: Millis = 2_000;

/// Somebody who wants to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The process's id.
    pub process: String,
    /// Its agent; one without an agent never waits.
    pub agent: String,
    /// What a login belongs to: Claude's config directory.
    pub account: String,
    /// Where it runs.
    pub directory: String,
}

/// What one that started asks of the user, and so keeps others from starting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// A login or first-run answers: everything of the same account waits.
    Account(String),
    /// Trust in a directory: everything in the same directory waits.
    Directory(String),
}

/// What comes of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This process may start.
    Admit(String),
    /// This process waits, for this reason.
    Wait(String, String),
    /// Measure free memory again after [`MEMORY_RECHECK_MS`].
    Recheck,
}

/// The queue before the door.
#[derive(Debug)]
pub struct Gate {
    /// How many of an agent may be starting at once.
    limits: HashMap<String, u32>,
    /// Starts wait below this many bytes of free memory.
    floor: u64,
    /// Free memory as it was last measured.
    free: u64,
    /// Those that wait, in the order of their coming.
    queue: Vec<Ticket>,
    /// Those that are starting.
    starting: Vec<Ticket>,
    /// What those that started ask of the user.
    holds: HashMap<String, Hold>,
    /// Accounts and directories of which one has come to its prompt: others will not be asked for a
    /// login, or for trust.
    known: HashSet<Hold>,
    /// What those that wait were told last.
    told: HashMap<String, String>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            limits: HashMap::new(),
            floor: MIN_FREE_MEMORY_DEFAULT,
            free: u64::MAX,
            queue: Vec::new(),
            starting: Vec::new(),
            holds: HashMap::new(),
            known: HashSet::new(),
            told: HashMap::new(),
        }
    }
}

impl Gate {
    /// New limits: starts at once by agent, and the least free memory in bytes.
    pub fn limit(&mut self, limits: HashMap<String, u32>, floor: u64) -> Vec<Effect> {
        self.limits = limits;
        self.floor = floor;
        self.settle()
    }

    /// Somebody wants to start. One that asks again keeps its place.
    pub fn ask(&mut self, ticket: Ticket) -> Vec<Effect> {
        if !self.queue.iter().any(|t| t.process == ticket.process) {
            self.starting.retain(|t| t.process != ticket.process);
            self.queue.push(ticket);
        }
        self.settle()
    }

    /// One that was admitted is through. `prompt`: it has shown its prompt, so that nobody else of its
    /// account and directory will be asked what it was not.
    pub fn through(&mut self, process: &str, prompt: bool) -> Vec<Effect> {
        if let Some(ticket) = self.starting.iter().find(|t| t.process == process)
            && prompt
        {
            self.known.insert(Hold::Account(ticket.account.clone()));
            self.known.insert(Hold::Directory(ticket.directory.clone()));
        }
        self.starting.retain(|t| t.process != process);
        self.settle()
    }

    /// One is gone, or wants to start no more.
    pub fn leave(&mut self, process: &str) -> Vec<Effect> {
        self.queue.retain(|t| t.process != process);
        self.starting.retain(|t| t.process != process);
        self.holds.remove(process);
        self.told.remove(process);
        self.settle()
    }

    /// One asks something of the user (`Some`), or has been answered (`None`).
    pub fn hold(&mut self, process: &str, hold: Option<Hold>) -> Vec<Effect> {
        match hold {
            Some(h) => self.holds.insert(process.to_owned(), h),
            None => self.holds.remove(process),
        };
        self.settle()
    }

    /// Free memory as it is now, in bytes.
    pub fn memory(&mut self, free: u64) -> Vec<Effect> {
        self.free = free;
        self.settle()
    }

    /// Somebody waits, so that measuring memory is worth it.
    pub fn waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    fn settle(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut behind: HashMap<String, usize> = HashMap::new();
        let mut short_of_memory = false;
        for ticket in std::mem::take(&mut self.queue) {
            let limit = self.limits.get(&ticket.agent).copied().unwrap_or(u32::MAX) as usize;
            let starting = self.starting.iter().filter(|t| t.agent == ticket.agent).count();
            let mut queued = |why: String| {
                let place = behind.entry(ticket.agent.clone()).or_default();
                *place += 1;
                Some(format!("number {place} in the queue: {why}"))
            };
            let reason = match (self.held(&ticket), self.first_of_its_kind(&ticket)) {
                (Some(reason), _) => Some(reason),
                (None, Some(why)) => queued(why),
                (None, None) if self.free < self.floor => {
                    short_of_memory = true;
                    Some(format!(
                        "waits for free memory: {} MiB of {} MiB",
                        self.free >> 20,
                        self.floor >> 20
                    ))
                }
                (None, None) if starting >= limit => queued(format!("{starting} others are starting")),
                (None, None) => None,
            };
            match reason {
                None => {
                    self.told.remove(&ticket.process);
                    effects.push(Effect::Admit(ticket.process.clone()));
                    self.starting.push(ticket);
                }
                Some(reason) => {
                    if self.told.get(&ticket.process) != Some(&reason) {
                        self.told.insert(ticket.process.clone(), reason.clone());
                        effects.push(Effect::Wait(ticket.process.clone(), reason));
                    }
                    self.queue.push(ticket);
                }
            }
        }
        if short_of_memory {
            effects.push(Effect::Recheck);
        }
        effects
    }

    /// Why this one waits for another that is starting: whether that one will be asked something is not
    /// known yet, and both would be.
    fn first_of_its_kind(&self, ticket: &Ticket) -> Option<String> {
        let unknown = |hold: Hold| !self.known.contains(&hold);
        let account = unknown(Hold::Account(ticket.account.clone()));
        let directory = unknown(Hold::Directory(ticket.directory.clone()));
        let first = self.starting.iter().any(|t| {
            (account && t.account == ticket.account) || (directory && t.directory == ticket.directory)
        });
        first.then(|| {
            "the first one here comes to its prompt first, since it may ask for trust or a login".into()
        })
    }

    /// Why this one waits for an answer that another one asks for.
    fn held(&self, ticket: &Ticket) -> Option<String> {
        self.holds.iter().filter(|(process, _)| **process != ticket.process).find_map(|(_, hold)| match hold {
            Hold::Account(a) if *a == ticket.account => {
                Some("waits until another process of this account has been answered: it asks for a login or set-up".into())
            }
            Hold::Directory(d) if *d == ticket.directory => {
                Some(format!("waits until another process has been told whether to trust {d}"))
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(process: &str) -> Ticket {
        Ticket {
            process: process.into(),
            agent: "claude".into(),
            account: "me".into(),
            directory: "/a".into(),
        }
    }

    fn gate(at_once: u32) -> Gate {
        let mut g = Gate::default();
        g.limit([("claude".to_owned(), at_once)].into(), 100 << 20);
        g
    }

    /// The same after one of the account and the directory has come to its prompt.
    fn known_gate(at_once: u32) -> Gate {
        let mut g = gate(at_once);
        g.ask(ticket("first"));
        g.through("first", true);
        g
    }

    fn admitted(effects: &[Effect]) -> Vec<&str> {
        effects
            .iter()
            .filter_map(|e| if let Effect::Admit(p) = e { Some(p.as_str()) } else { None })
            .collect()
    }

    #[test]
    fn no_more_start_at_once_than_allowed_and_the_next_one_follows() {
        let mut g = known_gate(2);
        assert_eq!(admitted(&g.ask(ticket("a"))), ["a"]);
        assert_eq!(admitted(&g.ask(ticket("b"))), ["b"]);
        let waits = g.ask(ticket("c"));
        assert_eq!(waits, [Effect::Wait("c".into(), "number 1 in the queue: 2 others are starting".into())]);
        g.ask(ticket("d"));
        let next = g.through("a", true);
        assert_eq!(next[0], Effect::Admit("c".into()));
        assert_eq!(next[1], Effect::Wait("d".into(), "number 1 in the queue: 2 others are starting".into()));
    }

    #[test]
    fn one_that_died_while_starting_makes_room() {
        let mut g = known_gate(1);
        g.ask(ticket("a"));
        g.ask(ticket("b"));
        assert_eq!(admitted(&g.leave("a")), ["b"]);
    }

    #[test]
    fn nobody_starts_below_the_floor_of_free_memory() {
        let mut g = gate(4);
        g.memory(50 << 20);
        let e = g.ask(ticket("a"));
        assert_eq!(e[0], Effect::Wait("a".into(), "waits for free memory: 50 MiB of 100 MiB".into()));
        assert_eq!(e[1], Effect::Recheck);
        assert_eq!(admitted(&g.memory(200 << 20)), ["a"]);
    }

    #[test]
    fn a_login_question_holds_the_same_account_and_no_other() {
        let mut g = gate(4);
        g.ask(ticket("a"));
        g.hold("a", Some(Hold::Account("me".into())));
        g.through("a", false);
        assert!(admitted(&g.ask(ticket("b"))).is_empty());
        let other = Ticket { account: "work".into(), ..ticket("c") };
        assert_eq!(admitted(&g.ask(other)), ["c"]);
        g.through("c", true);
        assert_eq!(admitted(&g.hold("a", None)), ["b"]);
    }

    #[test]
    fn a_trust_question_holds_the_same_directory_and_no_other() {
        let mut g = gate(4);
        g.ask(ticket("a"));
        g.hold("a", Some(Hold::Directory("/a".into())));
        g.through("a", false);
        assert!(admitted(&g.ask(ticket("b"))).is_empty());
        assert_eq!(admitted(&g.ask(Ticket { directory: "/b".into(), ..ticket("c") })), ["c"]);
        g.through("c", true);
        // the one that asks goes away, its question with it
        assert_eq!(admitted(&g.leave("a")), ["b"]);
    }

    #[test]
    fn the_first_of_an_account_or_directory_starts_alone() {
        let mut g = gate(4);
        assert_eq!(admitted(&g.ask(ticket("a"))), ["a"]);
        assert!(admitted(&g.ask(ticket("b"))).is_empty());
        let other = Ticket { account: "work".into(), directory: "/b".into(), ..ticket("c") };
        assert_eq!(admitted(&g.ask(other)), ["c"]);
        assert!(admitted(&g.ask(ticket("d"))).is_empty());
        assert_eq!(admitted(&g.through("a", true)), ["b", "d"], "the others follow together");
    }

    #[test]
    fn one_that_asks_may_itself_start_again() {
        let mut g = gate(4);
        g.ask(ticket("a"));
        g.hold("a", Some(Hold::Account("me".into())));
        assert_eq!(admitted(&g.ask(ticket("a"))), ["a"]);
    }
}
