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

use std::collections::VecDeque;

use regex::Regex;
use wezterm_parallel_schemas::{
    config::TitleMeaning,
    evidence::{EvidenceSource as Source, Standing},
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

/// What the machine says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// It is halted by a signal.
    pub halted: bool,
    /// When it last wrote to its terminal, in milliseconds since 1970.
    pub drawn_at: i64,
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
    /// The newest turn whose end counts as such: no later word of it makes it unread again.
    turn_at: i64,
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
}

/// What a report says by itself, `OSC 7501;BODY`. None for one that does not speak for the agent.
pub fn report(body: &str) -> Option<Report> {
    report::parse(body, true)
}

impl Tracker {
    /// What titles mean, in the order in which they are tried.
    pub fn set_titles(&mut self, titles: Vec<(TitleMeaning, Regex)>) {
        self.titles = titles;
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
        let said = Said { seq: word.seq, at: word.at, ..read.said };
        // the same word twice is one word, and must not end a second turn
        if self.history.contains(&said) {
            return;
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
            if read.ends_turn && said.at > self.turn_at + FOLLOW_MS / 2 {
                self.unread = true;
                self.turn_at = said.at;
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

    /// When the machine is to be looked at: while it works and nothing is heard of it.
    pub fn look_due(&self) -> Option<Millis> {
        let working = self.status() == Some(Status::Working)
            || self.machine.as_ref().is_some_and(|(_, look)| look.halted);
        let heard = self.newest_at().max(self.machine.as_ref().map_or(0, |(said, _)| said.at));
        working.then(|| u64::try_from(heard + LOOK_MS).unwrap_or(0))
    }

    fn newest_at(&self) -> i64 {
        let all = [&self.report, &self.hook, &self.registry, &self.stream, &self.title, &self.progress];
        all.into_iter().flatten().map(|s| s.at).max().or(self.started).unwrap_or(0)
    }

    fn settle(&mut self, now: i64) {
        let verdict = self.decide(now);
        let before = self.status();
        match &verdict {
            Some(v) if Some(v.status) != before => self.since = Some(v.at),
            Some(_) => {}
            None => self.since = None,
        }
        self.verdict = verdict;
    }

    /// The rules; see the module.
    fn decide(&self, now: i64) -> Option<Verdict> {
        let started = self.started?;
        if let Some((said, look)) = &self.machine
            && look.halted
        {
            return Some(Verdict {
                status: Status::Unknown,
                reason: Some("its process is halted by a signal".into()),
                at: said.at,
                source: Some(Source::Machine),
                because: "a halted process does nothing, whatever it said before",
                until: None,
            });
        }
        let told = self.by_report(now).or_else(|| self.by_hold()).or_else(|| self.by_stream());
        let told = told.or_else(|| self.by_claude(now));
        let told = told.or_else(|| self.by_terminal());
        let told = told.unwrap_or_else(|| match self.silent {
            Some(at) => Verdict {
                status: Status::Unknown,
                reason: Some("it has not reported any status since it started".into()),
                at,
                source: None,
                because: "no source has said anything for as long as a start may take",
                until: None,
            },
            None => Verdict {
                status: Status::Starting,
                reason: None,
                at: started,
                source: None,
                because: "it has been started, and no source has said anything yet",
                until: None,
            },
        });
        Some(self.limited(self.stale(told, now)))
    }

    /// By what it tells its terminal, held against Claude's file.
    fn by_report(&self, now: i64) -> Option<Verdict> {
        let report = self.report.as_ref()?;
        let status = report.status?;
        let mut verdict = won(report, status, "the agent tells its terminal itself");
        let Some(registry) = self.registry.as_ref() else { return Some(verdict) };
        let Some(other) = registry.status else { return Some(verdict) };
        if registry.at >= report.at && registry.reason.as_deref() == Some(DIALOG_OPEN) {
            // a list that the user opened: the agent does not report it, and takes no prompt
            return Some(won(registry, other, "its session file says that a dialog is open in its terminal"));
        }
        if !same_kind(status, other) && registry.at > report.at + FOLLOW_MS {
            // the file is written right after the report; if it is so much newer, a report is missing
            if now < registry.at + FOLLOW_MS {
                verdict.until = Some(registry.at + FOLLOW_MS);
            } else {
                verdict = Verdict {
                    status: Status::Unknown,
                    reason: Some(format!(
                        "it told its terminal `{}`, and its session file says `{}` since",
                        report.said, registry.said
                    )),
                    at: registry.at,
                    source: None,
                    because: "its newest report and its newer session file contradict each other",
                    until: None,
                };
            }
        }
        Some(verdict)
    }

    /// By a hook of its that waits for its user.
    fn by_hold(&self) -> Option<Verdict> {
        let held = self.held.as_ref()?;
        Some(Verdict {
            status: Status::Blocked(held.kind),
            reason: held.reason.clone(),
            at: held.at,
            source: Some(Source::Hook),
            because: "a hook of its waits for a decision, and there is no dialog beside",
            until: None,
        })
    }

    /// By the lines that it writes, where it writes them: they are the turn itself. What it asks its user
    /// is told by its hook alone.
    fn by_stream(&self) -> Option<Verdict> {
        let stream = self.stream.as_ref()?;
        let status = stream.status?;
        match &self.hook {
            Some(hook) if hook.at > stream.at && matches!(hook.status, Some(Status::Blocked(_))) => {
                Some(won(hook, hook.status?, "it writes what it does, and a hook says what it asks for"))
            }
            _ => Some(won(stream, status, "it writes what it does, line by line")),
        }
    }

    /// By Claude's file, and by what hooks add to it.
    fn by_claude(&self, now: i64) -> Option<Verdict> {
        let hook = self.hook.as_ref().and_then(|h| h.status.map(|s| (h, s)));
        let registry = self.registry.as_ref().and_then(|r| r.status.map(|s| (r, s)));
        let ((hook, by_hook), (registry, by_file)) = match (hook, registry) {
            (None, None) => return None,
            (Some((hook, status)), None) => {
                return Some(won(hook, status, "the newest hook, since there is no session file"));
            }
            (None, Some((file, status))) => return Some(self.rested(file, status, now)),
            (Some(hook), Some(registry)) => (hook, registry),
        };
        if same_kind(by_hook, by_file) {
            return Some(match by_file {
                // how a turn ended is known by hooks alone, unless the file has told of a later turn
                Status::Idle if self.busy_at <= hook.at => {
                    won(hook, by_hook, "its session file says that the turn is over, and a hook how it ended")
                }
                Status::Blocked(_) => self.asked(registry, by_file),
                _ if hook.at > registry.at => {
                    won(hook, by_hook, "the newest hook, as its session file has it")
                }
                _ => won(registry, by_file, "Claude's own session file"),
            });
        }
        if hook.at <= registry.at {
            return Some(match by_file {
                Status::Blocked(_) => self.asked(registry, by_file),
                _ => self.rested(registry, by_file, now),
            });
        }
        if now < hook.at + FOLLOW_MS {
            let verdict = won(hook, by_hook, "the newest hook, which the session file has yet to follow");
            return Some(Verdict { until: Some(hook.at + FOLLOW_MS), ..verdict });
        }
        Some(Verdict {
            status: Status::Unknown,
            reason: Some(format!(
                "a hook said `{}`, and its session file still says `{}`",
                hook.said, registry.said
            )),
            at: hook.at,
            source: None,
            because: "the newest hook and the session file contradict each other",
            until: None,
        })
    }

    /// What Claude's file says; `idle` only after a moment.
    fn rested(&self, registry: &Said, by_file: Status, now: i64) -> Verdict {
        let rest = registry.at + REST_MS;
        match &self.verdict {
            Some(before) if by_file == Status::Idle && before.status == Status::Working && now < rest => {
                Verdict { until: Some(rest), ..before.clone() }
            }
            _ => won(registry, by_file, "Claude's own session file"),
        }
    }

    /// What is asked for, where Claude's file only says that it waits.
    fn asked(&self, registry: &Said, by_file: Status) -> Verdict {
        match &self.ask {
            Some((at, kind, reason)) if (registry.at - at).abs() <= FOLLOW_MS => Verdict {
                reason: reason.clone(),
                source: Some(Source::Hook),
                ..won(
                    registry,
                    Status::Blocked(*kind),
                    "its session file says that it waits, and a hook what for",
                )
            },
            _ => won(registry, by_file, "Claude's own session file"),
        }
    }

    /// By titles and progress reports, whichever is newer.
    fn by_terminal(&self) -> Option<Verdict> {
        let newest = [&self.title, &self.progress]
            .into_iter()
            .flatten()
            .filter(|s| s.status.is_some())
            .max_by_key(|s| s.at)?;
        Some(won(newest, newest.status?, "the newest of its titles and progress reports"))
    }

    /// Doubts a `working` that nothing has borne out for long.
    fn stale(&self, verdict: Verdict, now: i64) -> Verdict {
        let Some((said, look)) = &self.machine else { return verdict };
        let last = self.newest_at().max(look.drawn_at);
        let stale = verdict.status == Status::Working
            && !look.children
            && said.at - last > STALE_MS
            && now - last > STALE_MS;
        if !stale {
            return verdict;
        }
        Verdict {
            status: Status::Unknown,
            reason: Some(format!("it said that it works, and has drawn nothing for {} s", STALE_MS / 1_000)),
            at: said.at,
            source: Some(Source::Machine),
            because: "what it said is too old, and nothing shows that it still works",
            until: None,
        }
    }

    /// Lays a limit of the account over what was decided.
    fn limited(&self, verdict: Verdict) -> Verdict {
        let Some(limit) = &self.limit else { return verdict };
        let over = match verdict.status {
            Status::Idle | Status::Error | Status::RateLimited => true,
            // the list of what can be done about the limit
            Status::Blocked(Blocked::Question) => verdict.reason.as_deref() == Some(DIALOG_OPEN),
            // it was in the middle of a turn, and its next request is refused
            Status::Working => verdict.at <= limit.at,
            Status::Starting | Status::Blocked(_) | Status::Unknown => false,
        };
        if !over {
            return verdict;
        }
        let dialog = matches!(verdict.status, Status::Blocked(_));
        Verdict {
            status: Status::RateLimited,
            reason: limit.reason.clone().or(verdict.reason),
            at: limit.at.max(verdict.at),
            source: None,
            because: if dialog { LIMIT_LIST } else { "its account has reached a usage limit" },
            until: verdict.until,
        }
    }
}

/// Says the same of what the agent does: it works, its turn is over, it waits for its user.
fn same_kind(a: Status, b: Status) -> bool {
    let kind = |s: Status| match s {
        Status::Working => 0,
        // who is not logged in has a prompt all the same, and its session file says so
        Status::Idle | Status::Error | Status::RateLimited | Status::Blocked(Blocked::Auth) => 1,
        Status::Blocked(_) => 2,
        Status::Starting | Status::Unknown => 3,
    };
    kind(a) == kind(b)
}

fn won(said: &Said, status: Status, because: &'static str) -> Verdict {
    Verdict {
        status,
        reason: said.reason.clone(),
        at: said.at,
        source: Some(said.source),
        because,
        until: None,
    }
}

/// What became of a word that did not win.
fn standing(said: &Said, verdict: &Verdict) -> Standing {
    match said.status {
        None => Standing::Silent,
        Some(_) if verdict.source == Some(said.source) => Standing::Won,
        Some(s) if s == verdict.status => Standing::Agrees,
        Some(_) if verdict.status == Status::Unknown && verdict.source.is_none() => Standing::Contradicts,
        Some(_) if verdict.status == Status::Unknown => Standing::Stale,
        Some(_) => Standing::Overruled,
    }
}

#[cfg(test)]
mod tests;
