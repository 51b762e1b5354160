//! What one attempt of a task has come to: a run of `claude -p --output-format stream-json`, by its lines and
//! by how its process ended. Seen with 2.1.330.
//!
//! Whether it has failed is told by `is_error` of its last result and by the exit code, never by the subtype:
//! a failure of the API is a `success`, and an interrupted run ends with code 0. There may be several results,
//! as each end of something in the background gives Claude another turn; the last one counts.
//!
//! Lines are heard in the order in which they were written. One that was heard before is passed over: a daemon
//! that adopts a run reads its log from the beginning while new lines come.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use indexmap::IndexSet;

use super::{
    digest::{millis, one_line},
    stream::{Ended, Limit, Line, Said, ToolUse},
    transcript::Tokens,
    usage_limit::{self, Reset},
};
use crate::{limit::LIMIT_MS_UNKNOWN, spec::Millis, task::Outcome};

/// Lines and messages that are known again, as some ten bytes each. A run that says more, which takes days, is
/// counted on all the same; only if it is adopted after that, its counts are too large.
const HEARD_MAX: usize = 1 << 17;
/// Uses of tools that are under way at the same time, the newest ones: a message may ask for several, and so may
/// each subagent.
const TOOLS_MAX: usize = 64;
/// Files that are named: more than somebody reads through.
pub const FILES_MAX: usize = 500;
/// Denials that are named.
pub const DENIED_MAX: usize = 100;
/// Largest final text that is kept, in bytes; the log has the whole.
pub const TEXT_BYTES_MAX: usize = 64 * 1_024;
/// How long Claude waits before it asks the API again for the first time, at most: 500 ms and a quarter.
const BACKOFF_MS: Millis = 625;
/// And at most before a later time.
const BACKOFF_MS_MAX: Millis = 40_000;
/// Exit codes from here on stand for a signal: 143 is SIGTERM.
const CODE_OF_SIGNAL: i32 = 128;
/// What the machine may have had too little of for the moment, in the words of an error at the start.
const PASSING: &[&str] =
    &["EAGAIN", "EBUSY", "EDQUOT", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "ETXTBSY"];

/// What a run of `claude -p` has said so far.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// Hashes of what was heard.
    heard: HashSet<u64>,
    /// It has written something that is JSON.
    spoke: bool,
    session: Option<String>,
    /// Claude has begun to answer in it.
    answered: bool,
    cwd: Option<String>,
    /// Turns that Claude has begun, each with an `init`, and those that have their result.
    begun: u32,
    ended: u32,
    /// The last result.
    last: Option<Box<Ended>>,
    /// Nothing ran in the background at the last result.
    quiet: bool,
    background: usize,
    messages: u32,
    /// By the messages, which say too little of what came out.
    tokens_of_messages: Tokens,
    /// By the results, which come late.
    tokens_of_results: Tokens,
    cost_usd: Option<f64>,
    duration_ms: u64,
    tools: VecDeque<ToolUse>,
    text: Option<String>,
    retry: Option<Retry>,
    /// How long the API has asked to be left alone.
    wait: Option<Millis>,
    /// What stood last in the place of a message.
    error: Option<String>,
    limit: Option<Limit>,
    /// When the usage limit was told of.
    limited_at: Option<i64>,
    /// When the window that is used up begins anew.
    rejected_until: Option<i64>,
    denied: Vec<ToolUse>,
    files: IndexSet<String>,
    more_files: bool,
}

/// How it stands, for a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The tool that is under way.
    pub tool: Option<Tool>,
    /// Messages of the model, those of subagents left out.
    pub turns: u32,
    /// What it has used in this run; at least: what came out is known only at the end of a turn.
    pub tokens: Tokens,
    /// US dollars, over the whole session, also over `--resume`; known at the end of a turn.
    pub cost_usd: Option<f64>,
    /// The first line of what was said last.
    pub text: Option<String>,
    /// The API is asked again.
    pub retrying: Option<Retry>,
    /// How much runs in the background.
    pub background: usize,
}

/// A use of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The tool.
    pub name: String,
    /// What it is to do, on one line.
    pub what: String,
}

/// The API has refused, and is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Which time, from 1.
    pub attempt: u32,
    /// How often at most.
    pub most: u32,
    /// After how long.
    pub delay_ms: Millis,
    /// Status of HTTP; none if there was no answer.
    pub status: Option<u16>,
}

/// What has come out of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// What Claude said at last, or the error in words; at most [`TEXT_BYTES_MAX`].
    pub text: Option<String>,
    /// As in [`Progress`].
    pub cost_usd: Option<f64>,
    /// As in [`Progress`].
    pub turns: u32,
    /// As in [`Progress`].
    pub tokens: Tokens,
    /// How long its turns took, in milliseconds, without the time between them.
    pub duration_ms: u64,
    /// Uses of tools that were denied; at most [`DENIED_MAX`].
    pub denied: Vec<Tool>,
    /// Files that were written or changed, each once; at most [`FILES_MAX`]. Not those that a command of a
    /// subagent changed: of these Claude does not say.
    pub files: Vec<String>,
    /// There were more.
    pub more_files: bool,
}

/// How the process ended. Without a code and a signal it is over, and nobody has seen how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End<'a> {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// The last lines that are no JSON.
    pub stderr_tail: &'a str,
}

impl Attempt {
    /// Takes in a line. One that was heard before changes nothing.
    pub fn hear(&mut self, line: &Line) {
        if !line.raw.is_object() {
            return;
        }
        self.spoke = true;
        match &line.said {
            Said::Status(_) | Said::SessionState(_) | Said::Task { .. } | Said::Other(_) => return,
            _ => {}
        }
        let new = match line.raw["uuid"].as_str() {
            Some(uuid) => self.first("line", uuid),
            None => self.first("line", &line.raw.to_string()),
        };
        if !new {
            return;
        }
        if line.session_id.is_some() {
            self.session.clone_from(&line.session_id);
        }
        self.take(line);
    }

    fn take(&mut self, line: &Line) {
        let main = line.parent.is_none();
        self.answered |= matches!(line.said, Said::Assistant { .. } | Said::User { .. });
        match &line.said {
            Said::Init { cwd, .. } => {
                self.begun += 1;
                self.cwd.clone_from(cwd);
                self.retry = None;
            }
            Said::Assistant { id, model, text, tools, tokens, error, limit } => {
                self.retry = None;
                // an error that stands in the place of a message has no model
                if let Some(id) = id.as_ref().filter(|_| model.is_some())
                    && self.first("message", id)
                {
                    self.tokens_of_messages.add(*tokens);
                    self.messages += u32::from(main);
                }
                for tool in tools {
                    self.begin(tool);
                }
                if main {
                    self.error.clone_from(error);
                    self.limit.clone_from(limit);
                    if limit.is_some() {
                        self.limited_at = line.raw["timestamp"].as_str().and_then(millis);
                    }
                    if error.is_none() {
                        self.wait = None;
                    }
                    let first = text.as_deref().and_then(|t| t.lines().find_map(one_line));
                    self.text = first.or(self.text.take());
                }
            }
            Said::User { results, changed } => {
                self.retry = None;
                for result in results {
                    self.first("done", &result.id);
                    let at = self.tools.iter().position(|t| t.id == result.id);
                    let tool = at.and_then(|at| self.tools.remove(at));
                    if let Some(file) = tool.and_then(|t| t.writes).filter(|_| !result.failed) {
                        self.wrote(&file);
                    }
                }
                for file in changed {
                    self.wrote(file);
                }
            }
            Said::Result(ended) => {
                self.retry = None;
                self.ended += 1;
                self.quiet = self.background == 0;
                self.tokens_of_results.add(ended.tokens_since);
                self.duration_ms = self.duration_ms.saturating_add(ended.duration_ms);
                self.cost_usd = match (self.cost_usd, ended.cost_usd) {
                    (Some(known), Some(cost)) => Some(known.max(cost)),
                    (known, cost) => cost.or(known),
                };
                for tool in &ended.denied {
                    self.deny(tool.clone());
                }
                let newer = match (self.last.as_ref().and_then(|l| l.index), ended.index) {
                    (Some(last), Some(index)) => index >= last,
                    _ => true,
                };
                if newer {
                    self.last = Some(ended.clone());
                }
            }
            Said::ApiRetry { attempt, most, delay_ms, status, .. } => {
                let (attempt, most, delay_ms, status) = (*attempt, *most, *delay_ms, *status);
                self.retry = Some(Retry { attempt, most, delay_ms, status });
                // what the API asked for is not told apart from Claude's own waits, but by its length
                let doubled = BACKOFF_MS.saturating_mul(1 << attempt.saturating_sub(1).min(16));
                self.wait = (delay_ms > doubled.min(BACKOFF_MS_MAX)).then_some(delay_ms);
            }
            Said::RateLimit(limit) if limit.rejected() => self.rejected_until = limit.resets_at,
            Said::RateLimit(_) => self.rejected_until = None,
            Said::PermissionDenied { id, tool, .. } => {
                let known = self.tools.iter().find(|t| t.id == *id).cloned();
                let unknown = || ToolUse { id: id.clone(), name: tool.clone(), ..ToolUse::default() };
                self.deny(known.unwrap_or_else(unknown));
            }
            Said::Background(tasks) => self.background = tasks.len(),
            Said::Status(_) | Said::SessionState(_) | Said::Task { .. } | Said::Other(_) => {}
        }
    }

    /// Claude's session, once something was said in it. Claude tells its id at once, but writes the first line
    /// of the conversation a tenth of a second later: killed before that, it leaves nothing to go on with. So
    /// this is none, too, of a run that goes on with a session and has not come to it yet.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref().filter(|_| self.answered)
    }

    /// There is a result, and nothing is under way that another one would come of. Something in the background
    /// that was running then is under way until the result of the turn that follows its end: killed together
    /// with Claude, it is said to be over, too.
    pub fn settled(&self) -> bool {
        self.last.is_some() && self.quiet && self.begun <= self.ended
    }

    /// How it stands.
    pub fn progress(&self) -> Progress {
        Progress {
            tool: self.tools.back().filter(|_| !self.settled()).map(|t| self.tool(t)),
            turns: self.messages,
            tokens: self.tokens(),
            cost_usd: self.cost_usd,
            text: self.text.clone(),
            retrying: self.retry,
            background: self.background,
        }
    }

    /// What has come out of it.
    pub fn report(&self) -> Report {
        Report {
            text: self.last.as_deref().and_then(said).map(|t| cut(t, TEXT_BYTES_MAX)),
            cost_usd: self.cost_usd,
            turns: self.messages,
            tokens: self.tokens(),
            duration_ms: self.duration_ms,
            denied: self.denied.iter().map(|t| self.tool(t)).collect(),
            files: self.files.iter().cloned().collect(),
            more_files: self.more_files,
        }
    }

    /// How it ended. `moment`: when a time of the day comes next after a moment, for which one must know time
    /// zones; it is asked only if a usage limit says its end in words alone.
    pub fn outcome(&self, end: &End, now: i64, moment: impl Fn(&Reset, i64) -> Option<i64>) -> Outcome {
        let Some(last) = &self.last else { return self.without_result(end) };
        // What has succeeded stays so when the process is killed after it: all the work was done, and what was
        // left were hooks and the exit. Another attempt would do the same work again.
        if end.killed() && !self.settled() {
            return Outcome::Crash(format!("{} before it was done", end.how()));
        }
        if last.is_error {
            return self.failure(last, now, moment);
        }
        if !end.killed() && end.code != Some(0) {
            return Outcome::Crash(format!("{} after its result", end.how()));
        }
        match last.reason.as_deref() {
            Some("tool_deferred") => Outcome::Final("a hook has put off the use of a tool".into()),
            _ => Outcome::Success,
        }
    }

    fn failure(&self, last: &Ended, now: i64, moment: impl Fn(&Reset, i64) -> Option<i64>) -> Outcome {
        if let Some(limit) = &last.limit {
            let exact = limit.resets_at.or_else(|| self.limit.as_ref()?.resets_at).or(self.rejected_until);
            let said_at = self.limited_at.unwrap_or(now);
            let in_words = || moment(&usage_limit::reset(&limit.text)?, said_at);
            let until = exact.or_else(in_words).unwrap_or(said_at.saturating_add(LIMIT_MS_UNKNOWN));
            return Outcome::UsageLimit { until };
        }
        let text = said(last).and_then(one_line).unwrap_or_else(|| "it failed without a word".into());
        let (crash, fatal) = (Outcome::Crash, Outcome::Final);
        if last.stop.as_deref() == Some("refusal") {
            return fatal(text);
        }
        match (last.reason.as_deref(), self.error.as_deref()) {
            (Some("aborted_streaming" | "aborted_tools"), _) => {
                return Outcome::Crash("it was interrupted".into());
            }
            (Some("max_turns" | "budget_exhausted" | "prompt_too_long" | "image_error"), _) => {
                return fatal(text);
            }
            // nothing of this account goes on before somebody does something about it
            (_, Some("authentication_failed" | "billing_error")) => return Outcome::Auth,
            _ => {}
        }
        match (last.status, self.error.as_deref()) {
            (Some(401 | 403), _) => Outcome::Auth,
            (Some(429 | 529), _) | (None, Some("rate_limit" | "overloaded")) => {
                Outcome::Busy { wait: self.wait }
            }
            (Some(408 | 409), _) => crash(text),
            (Some(400..=499), _) => fatal(text),
            (None, Some("invalid_request" | "max_output_tokens" | "model_not_found")) => fatal(text),
            // it did not get as far as a turn: no such session, and the like
            (None, None) if self.begun == 0 => fatal(text),
            _ => crash(text),
        }
    }

    fn without_result(&self, end: &End) -> Outcome {
        let said = end.said();
        if end.killed() {
            return Outcome::Crash(format!("{} before it was done", end.how()));
        }
        match said {
            // it reads its options before anything else, and says nothing but what is wrong with them
            Some(said) if end.code != Some(0) && !self.spoke && !PASSING.iter().any(|p| said.contains(p)) => {
                Outcome::Final(said)
            }
            Some(said) => Outcome::Crash(format!("{} without a result: {said}", end.how())),
            None => Outcome::Crash(format!("{} without a result", end.how())),
        }
    }

    /// Whether this is heard of for the first time.
    fn first(&mut self, kind: &str, id: &str) -> bool {
        if self.heard.len() >= HEARD_MAX {
            self.heard.clear();
        }
        self.heard.insert(hash(kind, id))
    }

    fn begin(&mut self, tool: &ToolUse) {
        if tool.id.is_empty() || self.heard.contains(&hash("done", &tool.id)) {
            return;
        }
        if self.tools.len() >= TOOLS_MAX {
            self.tools.pop_front();
        }
        self.tools.push_back(tool.clone());
    }

    fn deny(&mut self, tool: ToolUse) {
        if self.denied.len() < DENIED_MAX && !self.denied.iter().any(|t| t.id == tool.id) {
            self.denied.push(tool);
        }
    }

    fn wrote(&mut self, file: &str) {
        if self.files.len() < FILES_MAX {
            self.files.insert(file.to_owned());
        } else {
            self.more_files |= !self.files.contains(file);
        }
    }

    fn tokens(&self) -> Tokens {
        let (a, b) = (self.tokens_of_messages, self.tokens_of_results);
        Tokens { input: a.input.max(b.input), output: a.output.max(b.output) }
    }

    fn tool(&self, tool: &ToolUse) -> Tool {
        let below = |dir: &String| tool.what.strip_prefix(dir.as_str())?.strip_prefix('/');
        let what = self.cwd.as_ref().and_then(below).unwrap_or(&tool.what);
        Tool { name: tool.name.clone(), what: what.to_owned() }
    }
}

impl End<'_> {
    /// It did not end by itself.
    fn killed(&self) -> bool {
        self.signal.is_some() || self.code.is_none_or(|code| code >= CODE_OF_SIGNAL)
    }

    fn how(&self) -> String {
        let signal = self.signal.or(self.code.map(|c| c - CODE_OF_SIGNAL).filter(|n| *n >= 0));
        match (signal, self.code) {
            (Some(signal), _) => match signal {
                1 => "it was killed by SIGHUP".into(),
                2 => "it was killed by SIGINT".into(),
                6 => "it was killed by SIGABRT".into(),
                9 => "it was killed by SIGKILL".into(),
                11 => "it was killed by SIGSEGV".into(),
                15 => "it was killed by SIGTERM".into(),
                other => format!("it was killed by signal {other}"),
            },
            (None, Some(code)) => format!("it ended with code {code}"),
            (None, None) => "it was gone".into(),
        }
    }

    /// What it said last beside its lines: from the last error on, as advice may follow one.
    fn said(&self) -> Option<String> {
        let lines: Vec<&str> = self.stderr_tail.lines().filter(|l| !l.trim().is_empty()).collect();
        let error = |line: &&str| line.trim_start().to_lowercase().starts_with("error");
        let from = lines.iter().rposition(error).unwrap_or(lines.len().saturating_sub(1));
        one_line(&lines[from..].join(" "))
    }
}

/// What a result says, as a text or as errors; without what is meant for Claude's makers.
fn said(ended: &Ended) -> Option<&str> {
    let errors = || ended.errors.iter().map(String::as_str).find(|e| !e.starts_with("[ede_diagnostic]"));
    ended.text.as_deref().filter(|t| !t.trim().is_empty()).or_else(errors)
}

fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

fn hash(kind: &str, id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, id).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
