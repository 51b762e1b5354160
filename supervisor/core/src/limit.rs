//! An account: what its sessions use up, how full its usage windows are, and whether a limit is reached.
//!
//! Claude's figures are sums over the life of a session, over `--resume` and mostly over a fork too. Only what
//! is above the newest figure known of a session is new; the first figure of a session is where counting
//! begins.
//!
//! All processes of an account stop at the same limit. One that says so stands for all; one that begins a
//! turn later and ends it well shows that the limit is none any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use wezterm_parallel_schemas::limit::{Usage, Window};

use crate::claude::statusline::WindowUse;

/// Parts of a window at which a warning is given, in percent: Claude itself warns first at 75.
pub const WARN_PERCENT: [f64; 3] = [75.0, 90.0, 95.0];
/// A window that is used up.
const FULL_PERCENT: f64 = 100.0;
/// Sessions whose figures are kept, the newest ones: what is said of an older one begins anew.
pub const SESSIONS_KEPT_MAX: usize = 128;
/// Two times of reset that are no further apart belong to one window.
const SAME_WINDOW_MS: i64 = 60_000;
/// A time that is given in words is cut to the minute.
const MINUTE_MS: i64 = 60_000;
/// How long a limit is believed in that does not say when it ends: as long as the shortest window.
pub const LIMIT_MS_UNKNOWN: i64 = 5 * 60 * 60 * 1_000;
/// How long after the end of a limit a process has to go on by itself before it is told to. Claude 2.1.330,
/// told to by its settings, goes on after 110 s.
pub const CONTINUE_MS: i64 = 180_000;

/// An account of which nothing was heard for so long is forgotten when another comes, with its sums, in
/// milliseconds: a quarter of a year.
pub const ACCOUNT_KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1_000;
/// Accounts that are kept without a Claude, the newest ones: a script may give each Claude a directory of its
/// own, and take it away again.
pub const ACCOUNTS_KEPT_MAX: usize = 256;
/// Longest wait for the end of a limit before the clock is looked at again, in milliseconds: while a machine
/// sleeps timers do not run, and so much later the end may be noticed.
const LOOK_MS_MAX: i64 = 600_000;
/// It is looked at in this part of the time that is left,
const LOOK_PART: i64 = 8;
/// but not more often than this, in milliseconds.
const LOOK_MS_MIN: i64 = 60_000;

/// How long to wait before the clock is looked at, if something is to be done at the time `at`.
pub fn look_in(at: i64, now: i64) -> u64 {
    let left = at.saturating_sub(now).max(0);
    left.min((left / LOOK_PART).clamp(LOOK_MS_MIN, LOOK_MS_MAX)).unsigned_abs()
}

/// Which of those accounts without a Claude are forgotten, when another comes.
pub fn forgotten<'a>(idle: impl Iterator<Item = (&'a String, &'a Account)>, now: i64) -> Vec<String> {
    let mut idle: Vec<_> = idle.filter(|(_, a)| a.limit.is_none() && a.stopped.is_empty()).collect();
    idle.sort_by_key(|(_, account)| std::cmp::Reverse(account.heard_at()));
    let kept = idle.iter().take(ACCOUNTS_KEPT_MAX);
    let kept = kept.take_while(|(_, a)| now.saturating_sub(a.heard_at()) < ACCOUNT_KEPT_MS).count();
    idle[kept..].iter().map(|(name, _)| (*name).clone()).collect()
}

/// Something was said, or has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// What a session has used so far; what is none was not said.
    Used {
        /// The session.
        session: String,
        /// Its figures.
        usage: Usage,
    },
    /// A session begins: all that is used in it is new. Said of one that is known it is nothing: Claude says
    /// so before each turn where it writes line by line.
    Begins {
        /// The session.
        session: String,
        /// When.
        at: i64,
    },
    /// What a session was told of the usage windows.
    Windows {
        /// The session.
        session: String,
        /// The windows.
        windows: Vec<WindowUse>,
    },
    /// A process was stopped by a usage limit.
    Reached {
        /// Which.
        process: String,
        /// When that is over, if it is known.
        until: Option<Until>,
        /// What Claude said.
        text: String,
        /// When it said so.
        said_at: i64,
    },
    /// A process has begun a turn.
    Began {
        /// Which.
        process: String,
        /// When. A word of it may come later than one of how that turn ended.
        at: i64,
    },
    /// A process has ended a turn well.
    EndedWell {
        /// Which.
        process: String,
        /// When.
        at: i64,
    },
    /// A process does not run any more.
    Gone {
        /// Which.
        process: String,
    },
    /// A wait may be over.
    Look,
}

/// When a limit is over, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// As the API said.
    Exactly(i64),
    /// As the text said, which cuts it to the minute.
    Minute(i64),
}

/// Something must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Figures changed.
    Changed,
    /// The account is limited, or until another time than was known.
    Limited {
        /// Until when, in milliseconds since 1970.
        until: i64,
        /// What Claude said.
        reason: String,
        /// It was not limited before.
        news: bool,
    },
    /// It is not limited any more.
    Passed {
        /// A process went on before the time had come.
        early: bool,
    },
    /// A window has passed a threshold.
    Warn {
        /// Its name.
        window: String,
        /// How much is used.
        percent: f64,
        /// When it begins anew.
        resets_at: Option<i64>,
    },
    /// Tell a process to continue that was stopped in the middle of its turn, if its user wants that.
    Continue {
        /// Which.
        process: String,
    },
}

/// A limit in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Until when, in milliseconds since 1970.
    pub until: i64,
    /// That is as the API said.
    exact: bool,
    /// The reason is what Claude said.
    in_words: bool,
    /// What Claude said.
    pub reason: String,
    /// Since when.
    pub since: i64,
}

/// What is kept of an account over a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Until when it is limited.
    pub limited_until: Option<i64>,
    /// Since when: what is newer was done in spite of it.
    pub limited_since: Option<i64>,
    /// What Claude said with it.
    pub reason: Option<String>,
    /// Its usage windows.
    pub windows: Vec<Window>,
    /// What its sessions have cost, in US dollars.
    pub cost_usd: f64,
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// The newest figures of each session, the one last spoken of last.
    pub sessions: IndexMap<String, Usage>,
    /// Processes that the limit stopped, and when: one that did something later has gone on.
    pub stopped: BTreeMap<String, i64>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Account {
    limit: Option<Limit>,
    windows: Vec<Window>,
    cost_usd: f64,
    input_tokens: u64,
    output_tokens: u64,
    sessions: IndexMap<String, Usage>,
    /// Processes that the limit stopped, and when.
    stopped: BTreeMap<String, i64>,
    /// When the last limit was over, while there are processes that it stopped.
    passed_at: Option<i64>,
    /// A used-up window that processes were seen to go on beyond.
    beyond: Option<i64>,
    /// What each session was told last of the windows: told again, it is no news.
    told: HashMap<String, Vec<WindowUse>>,
    /// Processes whose turn began while the limit was in force.
    tried: BTreeSet<String>,
}

impl Account {
    /// Goes on from what was kept, at the time `now`.
    pub fn restore(record: Record, now: i64) -> Self {
        let reason = record.reason.unwrap_or_default();
        let limit = record.limited_until.map(|until| Limit {
            until,
            exact: true,
            in_words: true,
            reason,
            since: record.limited_since.unwrap_or(now),
        });
        let stopped = record.stopped;
        Self {
            passed_at: (limit.is_none() && !stopped.is_empty()).then_some(now),
            limit,
            windows: record.windows,
            cost_usd: record.cost_usd,
            input_tokens: record.input_tokens,
            output_tokens: record.output_tokens,
            sessions: record.sessions,
            stopped,
            ..Self::default()
        }
    }

    /// What is to be kept.
    pub fn record(&self) -> Record {
        Record {
            limited_until: self.limit.as_ref().map(|l| l.until),
            limited_since: self.limit.as_ref().map(|l| l.since),
            reason: self.limit.as_ref().map(|l| l.reason.clone()),
            windows: self.windows.clone(),
            cost_usd: self.cost_usd,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            sessions: self.sessions.clone(),
            stopped: self.stopped.clone(),
        }
    }

    /// The limit in force.
    pub fn limit(&self) -> Option<&Limit> {
        self.limit.as_ref()
    }

    /// What a session has used.
    pub fn usage(&self, session: &str) -> Option<&Usage> {
        self.sessions.get(session)
    }

    /// When something was said of it last; 0 if nothing was.
    fn heard_at(&self) -> i64 {
        let sessions = self.sessions.values().map(|usage| usage.at);
        sessions.chain(self.windows.iter().map(|window| window.at)).max().unwrap_or(0)
    }

    /// When to say [`Input::Look`] next.
    pub fn wake_at(&self) -> Option<i64> {
        match (&self.limit, self.passed_at) {
            (Some(limit), _) => Some(limit.until),
            (None, Some(at)) => Some(at + CONTINUE_MS),
            (None, None) => None,
        }
    }

    /// Takes one input at the time `now`, in milliseconds since 1970.
    pub fn step(&mut self, input: Input, now: i64) -> Vec<Effect> {
        let mut out = Vec::new();
        match input {
            Input::Used { session, usage } => self.used(session, usage, &mut out),
            Input::Begins { session, .. } if self.sessions.contains_key(&session) => {}
            Input::Begins { session, at } => {
                let usage = Usage { cost_usd: Some(0.0), at, ..Usage::default() };
                self.used(session, usage, &mut out);
            }
            Input::Windows { session, windows } => self.windows(session, windows, now, &mut out),
            Input::Reached { process, until, text, said_at } => {
                self.reached(process, until, text, said_at, now, &mut out);
            }
            Input::Began { process, at } => {
                self.went_on(&process, at, &mut out);
                if self.limit.as_ref().is_some_and(|limit| limit.since < at) {
                    self.tried.insert(process);
                }
            }
            Input::EndedWell { process, at } => {
                // how it began may have been heard by nobody
                self.went_on(&process, at, &mut out);
                if self.tried.remove(&process)
                    && let Some(limit) = self.limit.take()
                {
                    self.beyond = Some(limit.until);
                    self.passed(now, true, &mut out);
                }
            }
            Input::Gone { process } => {
                if self.stopped.remove(&process).is_some() {
                    out.push(Effect::Changed);
                }
                self.tried.remove(&process);
            }
            Input::Look => {}
        }
        self.look(now, &mut out);
        out
    }

    /// A process has done something by itself: that is no news from the turn that the limit stopped.
    fn went_on(&mut self, process: &str, at: i64, out: &mut Vec<Effect>) {
        if self.stopped.get(process).is_some_and(|stopped| *stopped < at) {
            self.stopped.remove(process);
            out.push(Effect::Changed);
        }
    }

    /// Counts what is above the newest figures known of a session. They fall when a Claude was killed: what
    /// it had not written down by then is counted here, and forgotten by Claude.
    fn used(&mut self, session: String, usage: Usage, out: &mut Vec<Effect>) {
        let known = self.sessions.shift_remove(&session);
        if let Some(known) = known.as_ref().filter(|known| known.at > usage.at) {
            // a word that was overtaken by a later one
            self.sessions.insert(session, known.clone());
            return;
        }
        // a session that has cost nothing and has no context is at its beginning: all that comes is new
        let begins = known.is_none() && usage.cost_usd == Some(0.0) && usage.context_percent.is_none();
        let mut kept = known.clone().unwrap_or_default();
        if begins {
            kept.input_tokens = Some(0);
            kept.output_tokens = Some(0);
        }
        if let Some(cost) = usage.cost_usd.filter(|c| c.is_finite() && *c >= 0.0) {
            self.cost_usd += kept.cost_usd.map_or(0.0, |old| (cost - old).max(0.0));
            kept.cost_usd = Some(cost);
        }
        let above = |kept: &mut Option<u64>, new: Option<u64>| {
            let Some(new) = new else { return 0 };
            kept.replace(new).map_or(0, |old| new.saturating_sub(old))
        };
        let input = above(&mut kept.input_tokens, usage.input_tokens);
        let output = above(&mut kept.output_tokens, usage.output_tokens);
        self.input_tokens = self.input_tokens.saturating_add(input);
        self.output_tokens = self.output_tokens.saturating_add(output);
        kept.model = usage.model.or(kept.model);
        kept.context_percent = usage.context_percent.or(kept.context_percent);
        kept.context_size = usage.context_size.or(kept.context_size);
        kept.at = usage.at;
        let news = known.is_none_or(|known| Usage { at: kept.at, ..known } != kept);
        self.sessions.insert(session, kept);
        while self.sessions.len() > SESSIONS_KEPT_MAX {
            if let Some((old, _)) = self.sessions.shift_remove_index(0) {
                self.told.remove(&old);
            }
        }
        if news {
            out.push(Effect::Changed);
        }
    }

    fn windows(&mut self, session: String, windows: Vec<WindowUse>, now: i64, out: &mut Vec<Effect>) {
        if windows.is_empty() || self.told.get(&session) == Some(&windows) {
            return;
        }
        let first = self.told.insert(session.clone(), windows.clone()).is_none();
        if !self.sessions.contains_key(&session) {
            // bounded by the sessions that are kept
            self.told.remove(&session);
        }
        for window in windows {
            self.window(window, first, now, out);
        }
    }

    /// `first`: the session may have been told so long ago; then what is known counts more.
    fn window(&mut self, told: WindowUse, first: bool, now: i64, out: &mut Vec<Effect>) {
        if told.resets_at.is_some_and(|at| at <= now) {
            return;
        }
        let known = self.windows.iter().position(|w| w.name == told.name);
        let old = known.map(|at| self.windows[at].clone());
        let same = old.as_ref().is_some_and(|old| same_window(old.resets_at, told.resets_at));
        let before = old.as_ref().filter(|_| same).and_then(|o| o.used_percent).unwrap_or(0.0);
        let percent = told.used_percent.unwrap_or(0.0);
        let stale = match &old {
            Some(_) if same => percent < before,
            Some(old) => first && old.resets_at > told.resets_at,
            None => false,
        };
        if stale {
            return;
        }
        let window = Window {
            name: told.name.clone(),
            used_percent: told.used_percent,
            resets_at: told.resets_at,
            at: now,
        };
        let changed = old.as_ref().is_none_or(|old| Window { at: now, ..old.clone() } != window);
        match known {
            Some(at) => self.windows[at] = window,
            None => self.windows.push(window),
        }
        if changed {
            out.push(Effect::Changed);
        }
        if WARN_PERCENT.iter().any(|at| before < *at && *at <= percent) && percent < FULL_PERCENT {
            out.push(Effect::Warn { window: told.name.clone(), percent, resets_at: told.resets_at });
        }
        if percent >= FULL_PERCENT
            && let Some(until) = told.resets_at
            && !same_window(self.beyond, Some(until))
        {
            let reason = format!("all of the {} window is used", told.name);
            self.limit_until(Limit { until, exact: true, in_words: false, reason, since: now }, out);
        }
    }

    fn reached(
        &mut self,
        process: String,
        until: Option<Until>,
        text: String,
        said_at: i64,
        now: i64,
        out: &mut Vec<Effect>,
    ) {
        let (until, exact) = match until {
            Some(Until::Exactly(at)) => (at, true),
            Some(Until::Minute(at)) => match self.window_at(at) {
                Some(exact) => (exact, true),
                None => (at + MINUTE_MS, false),
            },
            None => (said_at + LIMIT_MS_UNKNOWN, false),
        };
        if until <= now {
            // said before the daemon came back: it is over
            return;
        }
        self.tried.remove(&process);
        self.beyond = None;
        if self.stopped.insert(process, said_at).is_none() {
            out.push(Effect::Changed);
        }
        self.limit_until(Limit { until, exact, in_words: true, reason: text, since: said_at }, out);
    }

    /// The window that begins anew within this minute.
    fn window_at(&self, minute: i64) -> Option<i64> {
        let fits = |at: &i64| (minute..minute + MINUTE_MS).contains(at);
        self.windows.iter().filter_map(|w| w.resets_at).find(fits)
    }

    fn limit_until(&mut self, new: Limit, out: &mut Vec<Effect>) {
        let news = self.limit.is_none();
        let limit = match self.limit.take() {
            None => new,
            Some(old) => {
                // what the API said is more than what a text did; of two limits, the later end counts
                let later = (new.exact, new.until) > (old.exact, old.until);
                let (until, exact) = if later { (new.until, new.exact) } else { (old.until, old.exact) };
                let better = new.in_words && !old.in_words;
                let reason = if better { new.reason } else { old.reason.clone() };
                let limit =
                    Limit { until, exact, in_words: old.in_words || new.in_words, reason, since: old.since };
                if limit == old {
                    self.limit = Some(old);
                    return;
                }
                limit
            }
        };
        if news {
            self.tried.clear();
        }
        self.passed_at = None;
        out.push(Effect::Limited { until: limit.until, reason: limit.reason.clone(), news });
        self.limit = Some(limit);
    }

    fn passed(&mut self, now: i64, early: bool, out: &mut Vec<Effect>) {
        self.tried.clear();
        self.passed_at = (!self.stopped.is_empty()).then_some(now);
        out.push(Effect::Passed { early });
    }

    /// What the time brings.
    fn look(&mut self, now: i64, out: &mut Vec<Effect>) {
        if self.limit.as_ref().is_some_and(|l| l.until <= now) {
            self.limit = None;
            self.windows.retain(|w| w.resets_at.is_none_or(|at| at > now));
            self.passed(now, false, out);
        }
        if self.stopped.is_empty() {
            self.passed_at = None;
        }
        if self.limit.is_none() && self.passed_at.is_some_and(|at| at + CONTINUE_MS <= now) {
            self.passed_at = None;
            let stopped = std::mem::take(&mut self.stopped);
            out.extend(stopped.into_keys().map(|process| Effect::Continue { process }));
        }
    }
}

fn same_window(a: Option<i64>, b: Option<i64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b) <= SAME_WINDOW_MS.unsigned_abs(),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
