//! What a user is told by a toast, and what not: events in, toasts out.
//!
//! Each state is told once, until it has been left; what flickers is not told again. There are at most so
//! many toasts in a minute, and then one that tells of all the others. What is quiet is not told later: it
//! stands in the status all the time.
//!
//! It is fed with events, which are kept, so that a daemon that comes after this one is brought to the same
//! point by the newest of them, and does not tell anything twice.

use std::collections::{HashMap, VecDeque};

use wezterm_parallel_schemas::{
    event::{Event, EventKind},
    gui::ToastAbout,
    process::{Blocked, State, Status},
    task::TaskState,
};

use crate::spec::NotifySpec;

/// What is left for less than this, in milliseconds, was not left: an agent that is asked twice in a row
/// has its user before it, and a program that fails at once after each start has told so.
pub const FLAP_MS: i64 = 5_000;
/// In which so many toasts are told, in milliseconds.
pub const PERIOD_MS: i64 = 60_000;
/// Toasts that wait to be told together. Further ones are only counted.
const HELD_MAX: usize = 64;
/// Of those that are told together, so many are named: a toast has few lines.
const NAMED_MAX: usize = 4;
/// Longest text of a toast, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// When something comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// In milliseconds since 1970.
    pub at: i64,
    /// The minute of the day, where the machine stands; none if that is not known.
    pub minute: Option<u16>,
}

/// What a user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    /// What kind of thing.
    pub about: ToastAbout,
    /// The workspace.
    pub workspace: Option<String>,
    /// The process.
    pub process: Option<String>,
    /// In a few words.
    pub title: String,
    /// The rest of it, on one line.
    pub text: String,
}

/// What has been told, and what is to be.
#[derive(Debug, Default)]
pub struct Notify {
    spec: NotifySpec,
    turns: HashMap<String, Turn>,
    told: HashMap<Cause, Told>,
    /// When toasts went out, in the last minute.
    sent: VecDeque<i64>,
    held: Vec<(Cause, Toast)>,
    /// Further ones, of which nothing but their number is kept.
    further: usize,
}

/// What it is told of: an id of a process, an account, or nothing for the config; and what of it.
type Cause = (String, ToastAbout);

#[derive(Debug)]
struct Told {
    at: i64,
    text: String,
    left_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    since: Option<i64>,
    /// How long the last one was; nobody has been told of it yet.
    lasted: Option<i64>,
}

impl Notify {
    /// What is to be told from now on.
    pub fn set_spec(&mut self, spec: NotifySpec) {
        self.spec = spec;
    }

    /// Something has happened.
    pub fn hear(&mut self, event: &Event, now: Now) -> Vec<Toast> {
        let mut out = self.tick(now);
        let id = event.id.clone().unwrap_or_default();
        match event.kind {
            EventKind::ProcessStatus => self.status(&id, event, now, &mut out),
            EventKind::ProcessState => self.state(&id, event, now, &mut out),
            EventKind::ProcessRemoved => self.forget(&id),
            EventKind::LimitReached => {
                let account = event.account.clone().unwrap_or_default();
                self.leave(&passed(&account), ToastAbout::Limit, now.at);
                let text = event.message.clone().unwrap_or_else(|| account.clone());
                self.tell(account, ToastAbout::Limit, event, "usage limit reached", text, now, &mut out);
            }
            EventKind::LimitPassed => {
                let account = event.account.clone().unwrap_or_default();
                self.leave(&account, ToastAbout::Limit, now.at);
                let (key, title) = (passed(&account), "usage limit passed");
                self.tell(key, ToastAbout::Limit, event, title, account, now, &mut out);
            }
            EventKind::ConfigRefused => {
                let text = event.message.clone().unwrap_or_default();
                let title = "the config was refused";
                self.tell(String::new(), ToastAbout::Config, event, title, text, now, &mut out);
            }
            EventKind::ConfigApplied => self.leave("", ToastAbout::Config, now.at),
            EventKind::TaskAdded | EventKind::TaskChanged => self.task(event, now, &mut out),
            EventKind::GroupOver => self.group(event, now, &mut out),
            _ => {}
        }
        out
    }

    /// What was held back is not told any more: it is of a time before this one, and was told then.
    pub fn forget_held(&mut self) {
        self.held.clear();
        self.further = 0;
    }

    /// Time has passed: what was held back is told together, once there is room for it.
    pub fn tick(&mut self, now: Now) -> Vec<Toast> {
        self.sent.retain(|at| now.at < at + PERIOD_MS);
        if self.held.is_empty() || self.sent.len() >= self.at_most() {
            return Vec::new();
        }
        let held = std::mem::take(&mut self.held);
        let more = std::mem::take(&mut self.further);
        if self.is_quiet(now) {
            return Vec::new();
        }
        self.sent.push_back(now.at);
        let toasts: Vec<Toast> = held.into_iter().map(|(_, toast)| toast).collect();
        match &toasts[..] {
            [one] if more == 0 => toasts,
            _ => vec![several(&toasts, more)],
        }
    }

    /// When [`Notify::tick`] has something to tell; never while nothing is held back.
    pub fn wake_at(&self) -> Option<i64> {
        if self.held.is_empty() {
            return None;
        }
        // where there is room already, since what was told is longer ago than a minute: now
        Some(self.sent.front().map_or(0, |at| at + PERIOD_MS))
    }

    fn at_most(&self) -> usize {
        usize::try_from(self.spec.at_most).unwrap_or(usize::MAX)
    }

    fn is_quiet(&self, now: Now) -> bool {
        let Some(minute) = now.minute else { return false };
        self.spec.quiet_hours.iter().any(|[from, to]| match from <= to {
            true => (*from..*to).contains(&minute),
            // over midnight
            false => minute >= *from || minute < *to,
        })
    }

    fn wants(&self, about: ToastAbout) -> bool {
        let spec = &self.spec;
        match about {
            ToastAbout::Blocked => spec.blocked,
            ToastAbout::Failed => spec.failed,
            ToastAbout::CrashLoop => spec.crash_loop,
            ToastAbout::Finished => spec.finished,
            ToastAbout::Limit => spec.limit,
            ToastAbout::Config => spec.config,
            ToastAbout::TaskFailed => spec.task_failed,
            ToastAbout::TasksDone => spec.tasks_done,
            ToastAbout::Several | ToastAbout::Unknown => true,
        }
    }

    fn status(&mut self, id: &str, event: &Event, now: Now, out: &mut Vec<Toast>) {
        let name = name(event);
        if let Some(Status::Blocked(why)) = event.status {
            let text = event.message.clone().unwrap_or_else(|| asks_for(why).to_owned());
            self.tell(id.to_owned(), ToastAbout::Blocked, event, &format!("{name} asks"), text, now, out);
        } else {
            self.leave(id, ToastAbout::Blocked, now.at);
        }
        let turn = self.turns.entry(id.to_owned()).or_default();
        match event.status {
            Some(Status::Working | Status::Blocked(_)) => {
                turn.lasted = None;
                turn.since.get_or_insert(event.at);
            }
            Some(Status::Idle | Status::Error) => {
                if let Some(since) = turn.since.take() {
                    turn.lasted = Some(event.at - since);
                }
            }
            // a limit is told of by itself, and what begins anew has no turn
            Some(Status::Starting | Status::RateLimited) | None => *turn = Turn::default(),
            Some(Status::Unknown) => {}
        }
        // somebody who looks on needs no telling
        if let Some(lasted) = turn.lasted
            && event.unread == Some(true)
        {
            turn.lasted = None;
            self.leave(id, ToastAbout::Finished, now.at - FLAP_MS);
            if lasted.unsigned_abs() >= self.spec.long_turn {
                let text = match (&event.message, event.status) {
                    (Some(error), Some(Status::Error)) => format!("it ended with an error: {error}"),
                    _ => format!("after {}", span(lasted)),
                };
                let title = format!("{name} is done");
                self.tell(id.to_owned(), ToastAbout::Finished, event, &title, text, now, out);
            }
        }
    }

    fn state(&mut self, id: &str, event: &Event, now: Now, out: &mut Vec<Toast>) {
        let name = name(event);
        let text = event.message.clone().unwrap_or_default();
        match event.state {
            Some(State::Failed) => {
                let title = format!("{name} failed");
                self.tell(id.to_owned(), ToastAbout::Failed, event, &title, text, now, out);
            }
            Some(State::CrashLoop) => {
                let title = format!("{name} keeps failing");
                self.tell(id.to_owned(), ToastAbout::CrashLoop, event, &title, text, now, out);
            }
            Some(
                State::Stopped
                | State::Starting
                | State::Running
                | State::Backoff
                | State::Stopping
                | State::Exited,
            )
            | None => {
                self.leave(id, ToastAbout::Failed, now.at);
                self.leave(id, ToastAbout::CrashLoop, now.at);
            }
        }
    }

    fn task(&mut self, event: &Event, now: Now, out: &mut Vec<Toast>) {
        let id = event.task.clone().unwrap_or_default();
        match event.task_state {
            Some(TaskState::Failed) => {
                let title = format!("the task {} failed", event.task_name.as_deref().unwrap_or_default());
                let text = event.message.clone().unwrap_or_default();
                // it fails once until it is tried again, and no event tells when it is forgotten: nothing is noted
                self.put((id, ToastAbout::TaskFailed), event, &title, text, now, out);
            }
            Some(
                TaskState::Queued
                | TaskState::Waiting
                | TaskState::Running
                | TaskState::Paused
                | TaskState::Done
                | TaskState::Canceled
                | TaskState::Skipped,
            )
            | None => {
                // it is tried again, and its group is not over any more either
                self.leave(&id, ToastAbout::TaskFailed, now.at);
                if event.task_state.is_some_and(|state| !state.is_end()) {
                    let group = event.group.as_deref().unwrap_or_default();
                    self.leave(&of_group(group), ToastAbout::TasksDone, now.at);
                }
            }
        }
    }

    fn group(&mut self, event: &Event, now: Now, out: &mut Vec<Toast>) {
        let counts = event.tasks.unwrap_or_default();
        let over = counts.done + counts.failed + counts.canceled + counts.skipped;
        let all_canceled = counts.done + counts.failed == 0;
        // that a single one failed was told, and who cancels knows it
        if all_canceled || (over == 1 && counts.failed == 1) {
            return;
        }
        let group = event.group.clone().unwrap_or_default();
        let title = format!("the tasks of {group} are over");
        let text = event.message.clone().unwrap_or_default();
        self.tell(of_group(&group), ToastAbout::TasksDone, event, &title, text, now, out);
    }

    /// Something is so, and may be told.
    #[expect(clippy::too_many_arguments, reason = "a toast has as many parts")]
    fn tell(
        &mut self,
        key: String,
        about: ToastAbout,
        event: &Event,
        title: &str,
        text: String,
        now: Now,
        out: &mut Vec<Toast>,
    ) {
        let cause = (key, about);
        if self.is_news(&cause, &line(&text), now.at) {
            self.put(cause, event, title, text, now, out);
        }
    }

    /// Something is news, and is told if it is wanted: now, or later together with others.
    fn put(
        &mut self,
        cause: Cause,
        event: &Event,
        title: &str,
        text: String,
        now: Now,
        out: &mut Vec<Toast>,
    ) {
        let (about, text) = (cause.1, line(&text));
        if !self.wants(about) || self.is_quiet(now) {
            return;
        }
        let toast = Toast {
            about,
            workspace: event.workspace.clone(),
            process: event.process.clone(),
            title: line(title),
            text,
        };
        if self.held.is_empty() && self.sent.len() < self.at_most() {
            self.sent.push_back(now.at);
            out.push(toast);
        } else if self.held.len() < HELD_MAX {
            self.held.push((cause, toast));
        } else {
            self.further += 1;
        }
    }

    /// Whether this is not known yet; from now on it is.
    fn is_news(&mut self, cause: &Cause, text: &str, at: i64) -> bool {
        let Some(told) = self.told.get_mut(cause) else {
            self.told.insert(cause.clone(), Told { at, text: text.to_owned(), left_at: None });
            return true;
        };
        let same = told.text == text;
        let news = match told.left_at {
            // another question in the place of the first, unless it is only put otherwise
            None => !same && at - told.at >= FLAP_MS,
            Some(left_at) => !same || at - left_at >= FLAP_MS,
        };
        told.left_at = None;
        if news {
            *told = Told { at, text: text.to_owned(), left_at: None };
        }
        news
    }

    /// It is not so any more.
    fn leave(&mut self, key: &str, about: ToastAbout, at: i64) {
        let cause = (key.to_owned(), about);
        if let Some(told) = self.told.get_mut(&cause) {
            told.left_at.get_or_insert(at);
        }
        // what is over before it was told is not told
        if about != ToastAbout::Finished {
            self.held.retain(|(held, _)| *held != cause);
        }
    }

    fn forget(&mut self, id: &str) {
        self.turns.remove(id);
        self.told.retain(|(key, _), _| key != id);
        self.held.retain(|((key, _), _)| key != id);
    }
}

/// All that could not be told one by one.
fn several(toasts: &[Toast], more: usize) -> Toast {
    let mut named: Vec<&str> = toasts.iter().take(NAMED_MAX).map(|t| t.title.as_str()).collect();
    let rest = toasts.len() - named.len() + more;
    let rest_text = format!("and {rest} more");
    if rest > 0 {
        named.push(&rest_text);
    }
    Toast {
        about: ToastAbout::Several,
        workspace: None,
        process: None,
        title: format!("{} more things have happened", toasts.len() + more),
        text: line(&named.join(", ")),
    }
}

/// The end of a limit is a cause of its own.
fn passed(account: &str) -> String {
    format!("{account} passed")
}

/// No id of a process or a task has a blank in it.
fn of_group(group: &str) -> String {
    format!("group {group}")
}

fn name(event: &Event) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}/{}", part(&event.workspace), part(&event.process))
}

fn asks_for(why: Blocked) -> &'static str {
    match why {
        Blocked::Permission => "it wants leave to use a tool",
        Blocked::Question => "it has a question",
        Blocked::Trust => "whether its directory is to be trusted",
        Blocked::Auth => "it needs a login",
        Blocked::Setup => "it has first-run questions",
    }
}

/// One line of a length that a toast can show.
fn line(text: &str) -> String {
    let first = text.lines().next().unwrap_or_default();
    let mut line: String =
        first.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_CHARS_MAX).collect();
    if first.chars().nth(TEXT_CHARS_MAX).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

/// `45s`, `3m 20s`, `1h 5m`.
fn span(ms: i64) -> String {
    let seconds = ms / 1_000;
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}

/// Minutes of the day between which it is quiet, as a person writes them: `22:00-07:30`. The end is not
/// quiet any more; one before the beginning is on the next day.
pub fn hours(text: &str) -> Option<[u16; 2]> {
    let (from, to) = text.split_once('-')?;
    let [from, to] = [minute(from.trim())?, minute(to.trim())?];
    (from != to && from < DAY_MINUTES).then_some([from, to])
}

const DAY_MINUTES: u16 = 24 * 60;

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits =
        |t: &str, most: usize| (1..=most).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(hour, 2) || minute.len() != 2 || !digits(minute, 2) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let at = hour * 60 + minute;
    (minute < 60 && at <= DAY_MINUTES).then_some(at)
}

#[cfg(test)]
mod tests;
