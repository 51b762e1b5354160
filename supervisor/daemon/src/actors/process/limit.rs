//! What a process's Claude uses up, and the usage limit that stops it: heard here, told to its account.

use std::{path::PathBuf, time::Duration};

use actix::{
    ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, SpawnHandle, WrapFuture as _,
};
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    claude::{
        hook::{Hook, HookEvent},
        statusline::StatusLine,
        stream::{Limit, Line, Said},
        usage_limit,
    },
    limit::{Input, Until},
    status,
};
use wezterm_parallel_schemas::{
    config::OnLimit,
    event::EventKind,
    keeper::{ProgramStatus, Type},
    limit::Usage,
    process::{Blocked, Kind, Status},
    prompt::WhileWorking,
};

use super::{ProcessActor, SendPrompt, new_prompt};
use crate::{
    actors::limit::{Join, Leave, Told},
    effects::{
        claude,
        transcript::{self, Reader},
        zone,
    },
};

/// What a process has used is told at most this often, in milliseconds: a person reads no quicker.
const USAGE_EVENT_MS: u64 = 5_000;
/// Claude first shows and tells, and writes down later, mostly after some milliseconds. So a transcript is
/// looked at again after this, and after twice as long each time, until something has come or it has been
/// looked at so often: half a minute.
const LATE: Duration = Duration::from_millis(500);
const LATE_LOOKS: u32 = 6;
/// What Claude calls the error that a usage limit is, and every other 429.
const RATE_LIMIT: &str = "rate_limit";

/// What is known of what a process uses.
#[derive(Default)]
pub struct Own {
    /// As it was told to the account.
    joined: Option<Joined>,
    session: Option<String>,
    usage: Option<Usage>,
    told: Option<Usage>,
    /// It was told of lately.
    rests: bool,
    /// The transcript of the session; away while it is read.
    reader: Option<Reader>,
    reading: bool,
    /// What was spoken of meanwhile.
    next: Option<Transcript>,
    /// The next look at it, if more is to be expected.
    late: Option<SpawnHandle>,
}

/// What a session wrote, and where.
#[derive(Clone)]
struct Transcript {
    session: String,
    path: PathBuf,
    /// When it was last spoken of, in milliseconds since 1970.
    at: i64,
}

#[derive(Clone, Debug, PartialEq)]
struct Joined {
    run_id: String,
    account: String,
    /// Claude's config directory.
    dir: PathBuf,
    name: String,
    continues: bool,
    /// The run began its session: all that is used in it is new.
    begins: bool,
    /// The session of which that was said last: it says so before each turn.
    begun: Option<String>,
}

impl Own {
    /// What its session has used.
    pub fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// The session, if its run has begun it just now.
    fn begins(&mut self, session: Option<&String>) -> Option<String> {
        let joined = self.joined.as_mut().filter(|joined| joined.begins)?;
        let session = session.filter(|session| joined.begun.as_ref() != Some(session))?;
        joined.begun = Some(session.clone());
        joined.begun.clone()
    }
}

/// The status line of its Claude was told this.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StatusLined {
    /// In which run.
    pub run_id: String,
    /// What.
    pub line: StatusLine,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

impl Handler<StatusLined> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: StatusLined, ctx: &mut Context<Self>) {
        let current = self.machine.run().is_some_and(|r| r.id == m.run_id);
        let Some(session) = m.line.session_id.filter(|_| current) else { return };
        let usage = Usage {
            model: m.line.model,
            cost_usd: m.line.cost_usd,
            context_percent: m.line.context_percent,
            context_size: m.line.context_size,
            at: m.at,
            ..Usage::default()
        };
        self.tell_account(Input::Used { session: session.clone(), usage: usage.clone() });
        self.tell_account(Input::Windows { session: session.clone(), windows: m.line.windows });
        self.take_usage(&session, usage, ctx);
        let path = m.line.transcript_path.filter(|p| self.is_transcript(p));
        if let Some(path) = path {
            self.count_tokens(Transcript { session, path, at: m.at }, 0, ctx);
        }
    }
}

/// What its session has used, as it was known before the daemon came back to it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Used {
    /// The session.
    pub session: String,
    /// Its figures.
    pub usage: Usage,
}

impl Handler<Used> for ProcessActor {
    type Result = ();
    fn handle(&mut self, m: Used, ctx: &mut Context<Self>) {
        if self.limits.usage.is_none() && self.session.as_ref() == Some(&m.session) {
            self.limits.told = Some(m.usage.clone());
            self.take_usage(&m.session, m.usage, ctx);
        }
    }
}

impl ProcessActor {
    /// Tells the account when a run of a Claude begins or ends, or is called differently.
    pub(super) fn keep_account(&mut self, ctx: &mut Context<Self>) {
        let run_id = self.machine.run().map(|r| r.id.clone());
        let run_id = run_id.filter(|_| self.machine.spec().kind == Kind::Claude);
        let same = |j: &Joined| run_id.as_ref() == Some(&j.run_id) && j.name == self.full_name();
        if self.limits.joined.as_ref().map_or(run_id.is_none(), same) {
            return;
        }
        let Some(run_id) = run_id else {
            self.limits.joined = None;
            self.shared.limits.do_send(Leave(self.row.id.clone()));
            return;
        };
        // of one run these stay the same, whatever the next one gets: they are in its settings
        let name = self.full_name();
        let joined = match self.limits.joined.take() {
            Some(joined) if joined.run_id == run_id => Joined { name, ..joined },
            Some(_) | None => {
                let env = self.environment();
                let dir = claude::config_dir(&env).unwrap_or_default();
                let continues = self.machine.spec().on_limit == OnLimit::Continue;
                let (account, begins) = (claude::account(&env), self.begins_session());
                Joined { run_id, account, dir, name, continues, begins, begun: None }
            }
        };
        self.shared.limits.do_send(Join {
            process: self.row.id.clone(),
            account: joined.account.clone(),
            name: joined.name.clone(),
            continues: joined.continues,
            session: self.session.clone(),
            address: ctx.address(),
        });
        self.limits.joined = Some(joined);
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.workspace_name, self.row.name)
    }

    fn tell_account(&self, input: Input) {
        if let Some(joined) = &self.limits.joined {
            self.shared.limits.do_send(Told { account: joined.account.clone(), input });
        }
    }

    /// Shows what a session has used; what is none was not said.
    fn take_usage(&mut self, session: &str, new: Usage, ctx: &mut Context<Self>) {
        let same = self.limits.session.as_deref() == Some(session);
        let old = self.limits.usage.take().filter(|_| same).unwrap_or_default();
        self.limits.session = Some(session.to_owned());
        self.limits.usage = Some(Usage {
            model: new.model.or(old.model),
            cost_usd: new.cost_usd.or(old.cost_usd),
            input_tokens: new.input_tokens.or(old.input_tokens),
            output_tokens: new.output_tokens.or(old.output_tokens),
            context_percent: new.context_percent.or(old.context_percent),
            context_size: new.context_size.or(old.context_size),
            at: new.at.max(old.at),
        });
        self.settle(Vec::new(), Vec::new(), Vec::new(), ctx);
        self.tell_usage(ctx);
    }

    /// Says that it changed, at once and then at most every [`USAGE_EVENT_MS`].
    fn tell_usage(&mut self, ctx: &mut Context<Self>) {
        let undated = |usage: &Option<Usage>| usage.clone().map(|u| Usage { at: 0, ..u });
        if self.limits.rests || undated(&self.limits.told) == undated(&self.limits.usage) {
            return;
        }
        self.limits.told.clone_from(&self.limits.usage);
        self.limits.rests = true;
        ctx.run_later(Duration::from_millis(USAGE_EVENT_MS), |actor, ctx| {
            actor.limits.rests = false;
            actor.tell_usage(ctx);
        });
        let mut event = self.event(EventKind::ProcessUsage);
        event.session_id.clone_from(&self.limits.session);
        event.usage.clone_from(&self.limits.usage);
        self.shared.board.commit(Vec::new(), vec![event], None);
    }

    /// Counts the tokens in the session's transcript, of which the status line says nothing. It has been
    /// looked at `looks` times since that was last told.
    fn count_tokens(&mut self, transcript: Transcript, looks: u32, ctx: &mut Context<Self>) {
        if let Some(late) = self.limits.late.take() {
            ctx.cancel_future(late);
        }
        if self.limits.reading {
            self.limits.next = Some(transcript);
            return;
        }
        let reader = self.limits.reader.take().filter(|r| r.path() == transcript.path);
        let mut reader = reader.unwrap_or_else(|| Reader::new(transcript.path.clone()));
        self.limits.reading = true;
        let read = tokio::task::spawn_blocking(move || {
            let before = reader.tokens();
            let tokens = reader.read().map(|tally| tally.tokens());
            (before, reader, tokens)
        });
        ctx.spawn(read.into_actor(self).map(move |read, actor, ctx| {
            actor.limits.reading = false;
            if let Some(next) = actor.limits.next.take() {
                actor.limits.reader = read.ok().map(|(_, reader, _)| reader);
                return actor.count_tokens(next, 0, ctx);
            }
            let Ok((before, reader, Ok(tokens))) = read else { return };
            actor.limits.reader = Some(reader);
            let Transcript { session, at, .. } = transcript.clone();
            let usage = Usage {
                input_tokens: Some(tokens.input),
                output_tokens: Some(tokens.output),
                at,
                ..Usage::default()
            };
            actor.tell_account(Input::Used { session: session.clone(), usage: usage.clone() });
            if actor.limits.session.as_ref() == Some(&session) {
                actor.take_usage(&session, usage, ctx);
            }
            if looks == 0 || (looks < LATE_LOOKS && tokens == before) {
                let late = ctx.run_later(LATE * 2_u32.pow(looks), move |actor, ctx| {
                    actor.count_tokens(transcript, looks + 1, ctx);
                });
                actor.limits.late = Some(late);
            }
        }));
    }

    /// Whether a file may be read that a hook names: a transcript of its account.
    fn is_transcript(&self, path: &std::path::Path) -> bool {
        let plain = path.components().all(|c| c != std::path::Component::ParentDir);
        let home = self.limits.joined.as_ref().map(|j| j.dir.join("projects"));
        plain && home.is_some_and(|home| path.starts_with(home))
    }

    /// Its agent told its terminal how it stands: does a turn begin, end well, or stop at a limit?
    pub(super) fn note_report(&mut self, report: &ProgramStatus, ctx: &mut Context<Self>) {
        let Some(read) = status::report(&report.body) else { return };
        match (read.status, read.reason) {
            (Status::Working, _) => {
                self.tell_account(Input::Began { process: self.row.id.clone(), at: report.at });
            }
            (Status::Idle, _) if read.ends_turn => {
                self.tell_account(Input::EndedWell { process: self.row.id.clone(), at: report.at });
            }
            (Status::Error, Some(text)) => self.note_failure(text, report.at, None, ctx),
            _ => {}
        }
    }

    /// The same by a hook.
    pub(super) fn note_hook(&mut self, hook: &Hook, at: i64, ctx: &mut Context<Self>) {
        if hook.agent_id.is_some() {
            return;
        }
        let process = self.row.id.clone();
        match &hook.event {
            HookEvent::UserPromptSubmit { .. } => self.tell_account(Input::Began { process, at }),
            HookEvent::Stop { .. } => self.tell_account(Input::EndedWell { process, at }),
            HookEvent::StopFailure { error, last_message: Some(text) } if error == RATE_LIMIT => {
                self.note_failure(text.clone(), at, hook.transcript_path.clone(), ctx);
            }
            _ => {}
        }
    }

    /// The same by a line of a Claude that writes line by line.
    pub(super) fn note_line(&mut self, line: &Line, at: i64, ctx: &mut Context<Self>) {
        if line.parent.is_some() {
            return;
        }
        let process = self.row.id.clone();
        let reached = |limit: &Limit| Input::Reached {
            process: process.clone(),
            until: limit.resets_at.map(Until::Exactly),
            text: limit.text.clone(),
            said_at: at,
        };
        match (&line.said, &line.session_id) {
            (Said::Init { .. }, session) => {
                if let Some(session) = self.limits.begins(session.as_ref()) {
                    self.tell_account(Input::Begins { session, at });
                }
                self.tell_account(Input::Began { process, at });
            }
            (Said::RateLimit(limit), Some(session)) => {
                let (session, windows) = (session.clone(), limit.windows.clone());
                self.tell_account(Input::Windows { session, windows });
            }
            (Said::Assistant { limit: Some(limit), .. }, _) => self.tell_account(reached(limit)),
            (Said::Result(ended), session) => {
                if let Some(session) = session.clone() {
                    let usage = Usage {
                        cost_usd: ended.cost_usd,
                        input_tokens: Some(ended.tokens.input),
                        output_tokens: Some(ended.tokens.output),
                        at,
                        ..Usage::default()
                    };
                    self.tell_account(Input::Used { session: session.clone(), usage: usage.clone() });
                    self.take_usage(&session, usage, ctx);
                }
                match &ended.limit {
                    Some(limit) if limit.resets_at.is_some() => self.tell_account(reached(limit)),
                    // the time stands in the message before it
                    Some(_) => {}
                    None if !ended.is_error => self.tell_account(Input::EndedWell { process, at }),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// Whether its run, which has just been started, begins a session of its own.
    fn begins_session(&self) -> bool {
        let spec = self.machine.spec();
        let given = spec.resume.is_some() || spec.fork.is_some() || claude::chooses_session(&spec.command);
        !self.row.session_started && !given
    }

    /// A turn failed: if that is a usage limit, the account is told until when.
    fn note_failure(&mut self, text: String, at: i64, path: Option<PathBuf>, ctx: &mut Context<Self>) {
        if !usage_limit::says_so(&text) {
            return;
        }
        let reached = {
            let process = self.row.id.clone();
            move |until, text| Input::Reached { process: process.clone(), until, text, said_at: at }
        };
        let (said, tell) = (text.clone(), reached.clone());
        let in_words = tokio::task::spawn_blocking(move || {
            let minute = usage_limit::reset(&said).and_then(|r| zone::next(&r, at));
            (minute.map(Until::Minute), said)
        });
        ctx.spawn(in_words.into_actor(self).map(move |found, actor, _| {
            if let Ok((until, text)) = found {
                actor.tell_account(tell(until, text));
            }
        }));
        // the exact time stands in the transcript a moment later
        let path = path.filter(|p| self.is_transcript(p));
        let dir = self.limits.joined.as_ref().map(|j| j.dir.clone());
        let session = self.session.clone();
        let exact = async move {
            let look = std::sync::Arc::new(move || {
                let path = path.clone().or_else(|| claude::transcript(dir.as_ref()?, session.as_ref()?))?;
                let (said, limit) = transcript::last_failure(&path)?;
                let limit = limit.filter(|l| l.rejected() && same_text(&said, &text))?;
                limit.resets_at.map(|until| (until, text.clone()))
            });
            for looks in 0..LATE_LOOKS {
                tokio::time::sleep(LATE * 2_u32.pow(looks)).await;
                let look = look.clone();
                if let Ok(Some(found)) = tokio::task::spawn_blocking(move || look()).await {
                    return Some(found);
                }
            }
            None
        };
        ctx.spawn(exact.into_actor(self).map(move |found, actor, _| {
            if let Some((until, text)) = found {
                actor.tell_account(reached(Some(Until::Exactly(until)), text));
            }
        }));
    }
}

/// What was said by a report is cut where the transcript has it whole.
fn same_text(whole: &str, said: &str) -> bool {
    whole == said || status::shorten(whole).as_deref() == Some(said)
}

/// What an agent is told that a limit stopped: Claude's own words, which keep it from beginning anew.
const CONTINUE: &str = "Your usage limit has reset. Continue the task you were working on when the limit was \
                        reached; do not repeat work that is already complete.";
/// Leaves the list of what can be done about a limit, which an agent that was stopped shows.
const ESCAPE: &[u8] = b"\x1b";
/// It is not left while somebody types there, in milliseconds.
const QUIET_MS: u64 = 5_000;

/// The limit that stopped it is over, its user wants it to go on, and it has not done so by itself.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Continue;

impl Handler<Continue> for ProcessActor {
    type Result = ();
    fn handle(&mut self, _: Continue, ctx: &mut Context<Self>) {
        let status = self.machine.status();
        let list = status.is_some_and(|s| {
            s.status() == Some(Status::Blocked(Blocked::Question)) && s.reason() == Some(status::DIALOG_OPEN)
        });
        if let Some(link) = self.link.as_ref().filter(|_| list) {
            let status_seq = status.and_then(|s| s.report_seq());
            let order = Type { id: 0, status_seq, quiet_ms: Some(QUIET_MS), bytes: ESCAPE.to_vec() };
            // the prompt waits until the list is gone, by us or by its user
            ctx.spawn(link.type_in(order).into_actor(self).map(|_, _, _| ()));
        }
        let view = self.make_view();
        let prompt = new_prompt(&view, CONTINUE.into(), WhileWorking::Queue, self.shared.clock.at());
        let (reply, answer) = oneshot::channel();
        ctx.notify(SendPrompt { prompt, reply });
        ctx.spawn(answer.into_actor(self).map(|answer, actor, _| {
            if let Ok(Err(e)) = answer {
                tracing::warn!(process = actor.row.name, error = %e.line(), "not told to continue");
            }
        }));
    }
}
