//! The status of an agent: decided from everything that is known of it, and never guessed.
//!
//! Several sources tell of the same agent, each in its own way and time. Of each the newest word is kept.
//! [`Tracker::decide`] weighs them by fixed rules, in this order:
//!
//! 1. What the machine says of a process that is halted.
//! 2. What the agent tells its terminal (`OSC 7501`): it comes from the same place as what is on the
//!    screen, in order, also after Esc, where hooks are silent. Claude's file of living sessions is held
//!    against it; if that says otherwise and is clearly newer, neither is believed.
//! 3. Claude's file of living sessions, with what hooks add to it: how a turn ended, what is asked for.
//!    A hook that is newer than the file is believed for the moment that the file takes to follow.
//! 4. Titles and progress reports, for agents that have nothing better.
//!
//! A Claude without a terminal (`-p --output-format stream-json`) writes what it does line by line; that
//! stands in the place of its reports. While a hook of its is held open for a decision it is blocked,
//! whatever its file says.
//!
//! Then a usage limit of the account is laid over what was decided. What is too old, or contradicts, is
//! `unknown`.
//!
//! Order, loss and doubling of words change nothing but how soon the right status is known: of each source
//! the newest word counts, by its number or its time.

mod explain;
mod read;
mod report;
mod rules;

use std::collections::VecDeque;

use regex::Regex;
use wezterm_parallel_schemas::{
    config::TitleMeaning,
    evidence::EvidenceSource as Source,
    keeper::ProgramStatus,
    process::{Blocked, Status},
};

pub use report::{Report, shorten};

use crate::{
    claude::{hook::Hook, registry::Entry, stream::Line},
    spec::Millis,
};

/// How long Claude's file of living sessions may take to follow a hook: it is written 10 to 60 ms later,
/// on a busy machine within a second. And how much newer it must be than a report to cast doubt on it.
pub const FOLLOW_MS: i64 = 2_000;
/// A Claude that works draws its clock every second. One that has drawn nothing for this long and runs
/// nothing is not known to work.
pub const STALE_MS: i64 = 60_000;
/// Between two looks at the machine while an agent works and says nothing.
pub const LOOK_MS: i64 = 30_000;
/// How long Claude's file must say `idle` after it said `busy`, where nothing else tells: between two turns
/// that follow each other it says so for up to 25 ms.
pub const REST_MS: i64 = 60;
/// No turn is shorter: what the same source says within this time of an end, it says of the same one.
const TURN_MS_MIN: i64 = 100;
/// What Claude's file and its report say of a dialog that Claude has no other word for.
pub const DIALOG_OPEN: &str = "dialog open";
/// Why an agent counts as limited that shows the list of what can be done about it.
const LIMIT_LIST: &str = "its account has reached a usage limit, and the list of what to do about it is open";
/// Words that are remembered for an explanation.
const HISTORY_MAX: usize = 32;

/// Something that was said about an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// Its number among those of its source in this run.
    pub seq: u64,
    /// When it was said, in milliseconds since 1970, by the clock of whoever said it.
    pub at: i64,
    /// What.
    pub claim: Claim,
}

/// What was said, by source.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// `OSC 7501`: what stands between `7501;` and the end of the sequence.
    Report(String),
    /// A hook of Claude's.
    Hook(Box<Hook>),
    /// Claude's file of this living session.
    Registry(Box<Entry>),
    /// A line of `--output-format stream-json`.
    Stream(Box<Line>),
    /// The title that it gave its terminal.
    Title(String),
    /// `OSC 9;4`.
    Progress {
        /// 0 none, 1 so many percent, 2 error, 3 under way without a figure, 4 paused.
        state: u8,
    },
    /// What the machine says of its process.
    Machine(Machine),
}

impl Claim {
    /// Who says such a thing.
    pub fn source(&self) -> Source {
        match self {
            Self::Report(_) => Source::Osc7501,
            Self::Hook(_) => Source::Hook,
            Self::Registry(_) => Source::Registry,
            Self::Stream(_) => Source::Stream,
            Self::Title(_) => Source::Title,
            Self::Progress { .. } => Source::Progress,
            Self::Machine(_) => Source::Machine,
        }
    }
}

/// What the machine says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// It is halted by a signal.
    pub halted: bool,
    /// For how long it has written nothing to its terminal, in milliseconds.
    pub quiet_ms: i64,
    /// Some child of it runs.
    pub children: bool,
}

/// A usage limit of the agent's account.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// When it was reached, in milliseconds since 1970.
    pub at: i64,
    /// When it passes.
    pub until: Option<i64>,
    /// What was said with it.
    pub reason: Option<String>,
}

/// What an agent waits for with a hook that is held open, where no dialog could be answered beside.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Since when, in milliseconds since 1970.
    pub at: i64,
    /// A permission or a question.
    pub kind: Blocked,
    /// What is asked.
    pub reason: Option<String>,
}

/// The newest word of a source, understood.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    source: Source,
    seq: u64,
    at: i64,
    /// When it was heard, by this clock: how long ago that is stays true when the wall clock is set.
    heard: i64,
    /// In the source's own words, shortened; never what a user typed.
    said: String,
    status: Option<Status>,
    reason: Option<String>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
struct Verdict {
    status: Status,
    reason: Option<String>,
    /// When what decided was said.
    at: i64,
    /// Which source, if it was one.
    source: Option<Source>,
    /// The rule, in words.
    because: &'static str,
    /// It holds until then, and must be decided anew.
    until: Option<i64>,
}

/// What is known of an agent.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    /// When the run began; none without one.
    started: Option<i64>,
    report: Option<Said>,
    hook: Option<Said>,
    registry: Option<Said>,
    stream: Option<Said>,
    title: Option<Said>,
    progress: Option<Said>,
    machine: Option<(Said, Machine)>,
    /// The newest time at which Claude's file said that it works or waits.
    busy_at: i64,
    /// The newest request for permission that a hook told of, with its kind.
    ask: Option<(i64, Blocked, Option<String>)>,
    /// The newest turn whose end counts as such, and who told of it: what others say of the same end does
    /// not make it unread again.
    turn: Option<(Source, i64)>,
    /// Nothing was said for as long as a start may take.
    silent: Option<i64>,
    limit: Option<Limit>,
    held: Option<Held>,
    unread: bool,
    was_idle: bool,
    verdict: Option<Verdict>,
    since: Option<i64>,
    history: VecDeque<Said>,
    titles: Vec<(TitleMeaning, Regex)>,
    /// The newest title, whole: it may mean something else tomorrow.
    title_text: Option<String>,
}

/// What a report says by itself, `OSC 7501;BODY`. None for one that does not speak for the agent.
pub fn report(body: &str) -> Option<Report> {
    report::parse(body, true)
}

impl Tracker {
    /// What titles mean, in the order in which they are tried: also the one that is shown.
    pub fn set_titles(&mut self, titles: Vec<(TitleMeaning, Regex)>, now: i64) {
        self.titles = titles;
        let (Some(text), Some(title)) = (&self.title_text, &self.title) else { return };
        let word = Word { seq: title.seq, at: title.at, claim: Claim::Title(text.clone()) };
        if let Some(read) = read::read(&word, self.was_idle, &self.titles) {
            self.title = Some(Said { seq: title.seq, at: title.at, heard: title.heard, ..read.said });
        }
        self.settle(now);
    }

    /// Forgets what sources said that are read no longer.
    pub fn read_only(&mut self, reads: impl Fn(Source) -> bool, now: i64) {
        let slots =
            [&mut self.report, &mut self.hook, &mut self.registry, &mut self.title, &mut self.progress];
        for slot in slots {
            slot.take_if(|said| !reads(said.source));
        }
        if !reads(Source::Hook) {
            self.ask = None;
        }
        self.settle(now);
    }

    /// The lines that it writes are heard no longer: the last of them says nothing of what it does now.
    pub fn stream_ended(&mut self, now: i64) {
        self.stream = None;
        self.settle(now);
    }

    /// A new run begins.
    pub fn started(&mut self, at: i64) {
        *self = Self {
            started: Some(at),
            unread: self.unread,
            limit: self.limit.take(),
            titles: std::mem::take(&mut self.titles),
            ..Self::default()
        };
        self.settle(at);
    }

    /// The run is over. What it left unread stays so.
    pub fn ended(&mut self) {
        *self = Self {
            unread: self.unread,
            limit: self.limit.take(),
            titles: std::mem::take(&mut self.titles),
            ..Self::default()
        };
    }

    /// It reported. Reports that came out of order or twice are ignored.
    pub fn said(&mut self, report: &ProgramStatus, now: i64) {
        let claim = Claim::Report(report.body.clone());
        self.hear(Word { seq: report.seq, at: report.at, claim }, now);
    }

    /// What it had reported last when the daemon came back to it. `news`: it said so while the daemon was
    /// away, so nobody can have been told.
    pub fn recall(&mut self, report: &ProgramStatus, news: bool, now: i64) {
        let unread = self.unread;
        self.said(report, now);
        if !news {
            self.unread = unread;
        }
    }

    /// Something was said about it.
    pub fn hear(&mut self, word: Word, now: i64) {
        if self.started.is_none() {
            return;
        }
        let Some(read) = read::read(&word, self.was_idle, &self.titles) else { return };
        let said = Said { seq: word.seq, at: word.at, heard: now, ..read.said };
        // the same word twice is one word, and must not end a second turn
        if self.history.iter().any(|old| *old == Said { heard: old.heard, ..said.clone() }) {
            return;
        }
        if let Claim::Title(text) = &word.claim {
            self.title_text = Some(text.clone());
        }
        self.history.push_front(said.clone());
        self.history.truncate(HISTORY_MAX);
        if let Claim::Registry(_) = word.claim
            && matches!(said.status, Some(Status::Working | Status::Blocked(_)))
        {
            self.busy_at = self.busy_at.max(said.at);
        }
        if let Some((kind, reason)) = read.asks
            && self.ask.as_ref().is_none_or(|(at, ..)| *at <= said.at)
        {
            self.ask = Some((said.at, kind, reason));
        }
        let slot = match &word.claim {
            Claim::Report(_) => &mut self.report,
            Claim::Hook(_) => &mut self.hook,
            Claim::Registry(_) => &mut self.registry,
            Claim::Stream(_) => &mut self.stream,
            Claim::Title(_) => &mut self.title,
            Claim::Progress { .. } => &mut self.progress,
            Claim::Machine(look) => {
                if self.machine.as_ref().is_none_or(|(old, _)| old.at <= said.at) {
                    self.machine = Some((said, *look));
                }
                return self.settle(now);
            }
        };
        let numbered = matches!(word.claim, Claim::Report(_) | Claim::Stream(_));
        let newer = slot.as_ref().is_none_or(|old| match numbered {
            true => said.seq > old.seq,
            // Claude's file may first be written without a status, at a later time than its first status
            false if old.status.is_none() => true,
            false => (said.at, said.seq) >= (old.at, old.seq),
        });
        if newer && (said.status.is_some() || slot.is_none()) {
            *slot = Some(said.clone());
        }
        if newer {
            self.was_idle |= matches!(said.status, Some(Status::Idle | Status::Working));
            // both Claude's report and its hook tell of the same end
            let told = |(by, at): (Source, i64)| {
                said.at <= at + if by == said.source { TURN_MS_MIN } else { FOLLOW_MS / 2 }
            };
            if read.ends_turn && !self.turn.is_some_and(told) {
                self.unread = true;
                self.turn = Some((said.source, said.at));
            }
        }
        self.settle(now);
    }

    /// Time has passed: what held only for a while is decided anew.
    pub fn tick(&mut self, now: i64) {
        self.settle(now);
    }

    /// It has said nothing for as long as a start may take.
    pub fn silent(&mut self, at: i64) {
        self.silent = Some(at);
        self.settle(at);
    }

    /// Its account has reached a usage limit, or is free again.
    pub fn set_limit(&mut self, limit: Option<Limit>, now: i64) {
        self.limit = limit;
        self.settle(now);
    }

    /// It waits for a decision with a hook that is held open, or no longer. True for as long as it is told:
    /// without a dialog, Claude's own file does not say so.
    pub fn set_held(&mut self, held: Option<Held>, now: i64) {
        if self.started.is_none() || self.held == held {
            return;
        }
        if held.is_none() {
            // the hook that asked is answered, and nothing else tells that the agent goes on
            self.hook = Some(Said {
                source: Source::Hook,
                seq: self.hook.as_ref().map_or(0, |h| h.seq),
                at: now,
                heard: now,
                said: "PermissionRequest was answered".into(),
                status: Some(Status::Working),
                reason: None,
            });
        }
        self.held = held;
        self.settle(now);
    }

    /// Somebody looked.
    pub fn seen(&mut self) {
        self.unread = false;
    }

    /// Puts back what was known before a restart of the daemon.
    pub fn restore_unread(&mut self, unread: bool) {
        self.unread = unread;
    }

    /// The status; none where nothing runs.
    pub fn status(&self) -> Option<Status> {
        self.verdict.as_ref().map(|v| v.status)
    }
    /// What was said with it.
    pub fn reason(&self) -> Option<&str> {
        self.verdict.as_ref().and_then(|v| v.reason.as_deref())
    }
    /// A dialog is open in its terminal, whatever else its status says: an Enter would answer it.
    pub fn dialog(&self) -> bool {
        let limited = |v: &Verdict| v.because == LIMIT_LIST;
        self.verdict.as_ref().is_some_and(|v| limited(v) || matches!(v.status, Status::Blocked(_)))
    }
    /// When it last changed.
    pub fn since(&self) -> Option<i64> {
        self.since
    }
    /// Until when its account is limited, as far as that is known.
    pub fn limited_until(&self) -> Option<i64> {
        self.limit.as_ref().and_then(|l| l.until)
    }
    /// A turn has ended and nobody has looked since.
    pub fn unread(&self) -> bool {
        self.unread
    }
    /// It has come as far as a prompt at least once in this run.
    pub fn ready(&self) -> bool {
        self.was_idle
    }
    /// Number of its newest report: whoever types something is to know this one.
    pub fn report_seq(&self) -> Option<u64> {
        self.report.as_ref().map(|r| r.seq)
    }
    /// Whether anything was said of it in this run.
    pub fn heard(&self) -> bool {
        [&self.report, &self.hook, &self.registry, &self.stream].into_iter().any(Option::is_some)
    }

    /// When it must be decided anew though nothing is said: [`Self::tick`] is due then.
    pub fn due(&self) -> Option<Millis> {
        self.verdict.as_ref().and_then(|v| v.until).map(|at| u64::try_from(at).unwrap_or(0))
    }

    /// When the machine is to be looked at: while it works and nothing is heard of it, and while the machine
    /// is why it is in doubt.
    pub fn look_due(&self) -> Option<Millis> {
        let looked = self.machine.as_ref().map_or(0, |(said, _)| said.heard);
        let verdict = self.verdict.as_ref()?;
        let from = match verdict.source {
            // no word puts off the look that may end the doubt
            Some(Source::Machine) => looked,
            _ if verdict.status == Status::Working => looked.max(self.newest_heard()),
            _ => return None,
        };
        Some(u64::try_from(from + LOOK_MS).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
