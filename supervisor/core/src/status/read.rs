//! What a word says about the status, source by source.

use regex::Regex;
use serde_json::Value;
use wezterm_parallel_schemas::{
    config::TitleMeaning,
    evidence::EvidenceSource as Source,
    process::{Blocked, Status},
};

use super::{
    Claim, Machine, Said, Word,
    report::{self, shorten},
};
use crate::claude::{
    hook::{Hook, HookEvent},
    registry::{Activity, Entry},
    stream::{Line, Said as Written},
};

/// Longest text of a title that is shown, in characters.
const TITLE_CHARS_MAX: usize = 80;

/// A word, understood.
pub struct Read {
    /// What it says.
    pub(super) said: Said,
    /// A turn has ended by itself.
    pub ends_turn: bool,
    /// It asks its user for this, with these words.
    pub asks: Option<(Blocked, Option<String>)>,
}

/// Understands a word. None for one that does not speak for the agent.
pub fn read(word: &Word, was_idle: bool, titles: &[(TitleMeaning, Regex)]) -> Option<Read> {
    match &word.claim {
        Claim::Report(body) => {
            let report = report::parse(body, was_idle)?;
            let said = said(Source::Osc7501, shorten(body).unwrap_or_default(), Some(report.status));
            Some(Read {
                said: Said { reason: report.reason, ..said },
                ends_turn: report.ends_turn,
                asks: None,
            })
        }
        Claim::Hook(hook) => Some(read_hook(hook)),
        Claim::Registry(entry) => Some(read_registry(entry)),
        Claim::Stream(line) => read_stream(line),
        Claim::Title(title) => {
            let meant = titles.iter().find(|(_, pattern)| pattern.is_match(title));
            let status = meant.map(|(meaning, _)| match meaning {
                TitleMeaning::Idle => Status::Idle,
                TitleMeaning::Working => Status::Working,
                TitleMeaning::Blocked => Status::Blocked(Blocked::Question),
                TitleMeaning::Error => Status::Error,
            });
            let shown: String = title.chars().filter(|c| !c.is_control()).take(TITLE_CHARS_MAX).collect();
            Some(plain(said(Source::Title, shown, status)))
        }
        Claim::Progress { state } => {
            let status = match state {
                0 => Some(Status::Idle),
                1 | 3 => Some(Status::Working),
                2 => Some(Status::Error),
                // paused: it waits for something, and does not say for what
                4 => Some(Status::Blocked(Blocked::Question)),
                _ => None,
            };
            Some(plain(said(Source::Progress, format!("9;4;{state}"), status)))
        }
        Claim::Machine(Machine { halted, children, .. }) => {
            let words = match (halted, children) {
                (true, _) => "halted",
                (false, true) => "runs, with children",
                (false, false) => "runs",
            };
            Some(plain(said(Source::Machine, words.into(), halted.then_some(Status::Unknown))))
        }
    }
}

fn read_registry(entry: &Entry) -> Read {
    let (status, word) = match &entry.status {
        Some(Activity::Idle) => (Some(Status::Idle), "idle"),
        Some(Activity::Busy) => (Some(Status::Working), "busy"),
        Some(Activity::Waiting) => {
            let kind = match entry.waiting_for.as_deref() {
                Some("input needed" | "dialog open") => Blocked::Question,
                _ => Blocked::Permission,
            };
            (Some(Status::Blocked(kind)), "waiting")
        }
        // a turn is over, and commands run in the background
        Some(Activity::Shell) => (Some(Status::Idle), "shell"),
        Some(Activity::Other(word)) => (Some(Status::Unknown), word.as_str()),
        None => (None, ""),
    };
    let reason = match &entry.status {
        Some(Activity::Waiting) => entry.waiting_for.as_deref().and_then(shorten),
        Some(Activity::Shell) => Some("a command in the background still runs".into()),
        Some(Activity::Idle | Activity::Busy | Activity::Other(_)) | None => None,
    };
    let words = match &entry.waiting_for {
        None if entry.status.is_none() => "no status yet".to_owned(),
        Some(what) => format!("status={word} waitingFor={what}"),
        None => format!("status={word}"),
    };
    plain(Said { reason, ..said(Source::Registry, shorten(&words).unwrap_or_default(), status) })
}

/// None for what a subagent says.
fn read_stream(line: &Line) -> Option<Read> {
    if line.parent.is_some() {
        return None;
    }
    let (status, words) = match &line.said {
        Written::Init { .. } => (Some(Status::Working), "init".to_owned()),
        Written::Assistant { error: Some(error), .. } => (None, format!("assistant error={error}")),
        Written::Assistant { .. } => (Some(Status::Working), "assistant".to_owned()),
        Written::User { .. } => (Some(Status::Working), "user".to_owned()),
        Written::Result(ended) => {
            let status = if ended.is_error { Status::Error } else { Status::Idle };
            (Some(status), format!("result {}", ended.subtype))
        }
        Written::ApiRetry { attempt, most, .. } => {
            (Some(Status::Working), format!("api_retry {attempt}/{most}"))
        }
        Written::PermissionDenied { tool, .. } => {
            (Some(Status::Working), format!("permission_denied {tool}"))
        }
        Written::Status(Some(what)) => (Some(Status::Working), format!("status {what}")),
        Written::SessionState(state) => {
            let status = match state.as_str() {
                "running" => Some(Status::Working),
                "requires_action" => Some(Status::Blocked(Blocked::Permission)),
                "idle" => Some(Status::Idle),
                _ => None,
            };
            (status, format!("session_state {state}"))
        }
        Written::Task { event, .. } => (None, event.clone()),
        Written::Background(_) => (None, "system/background_tasks_changed".to_owned()),
        Written::RateLimit(_) => (None, "rate_limit_event".to_owned()),
        Written::Status(None) => (None, "status".to_owned()),
        Written::Other(what) => (None, what.clone()),
    };
    let reason = match &line.said {
        Written::Result(ended) if ended.is_error => ended.text.as_deref().and_then(shorten),
        Written::ApiRetry { attempt, most, delay_ms, error, .. } => {
            let why = error.as_deref().unwrap_or("the API refused");
            shorten(&format!("{why}; asks again in {} s ({attempt}/{most})", delay_ms.div_ceil(1_000)))
        }
        _ => None,
    };
    let said = said(Source::Stream, shorten(&words).unwrap_or_default(), status);
    let ends_turn = matches!(line.said, Written::Result(_));
    Some(Read { said: Said { reason, ..said }, ends_turn, asks: None })
}

fn read_hook(hook: &Hook) -> Read {
    let mut read = plain(said(Source::Hook, hook.event.name().to_owned(), None));
    let status = &mut read.said.status;
    let by_subagent = hook.agent_id.is_some();
    match &hook.event {
        HookEvent::SessionStart { source, .. } if source == "clear" => *status = Some(Status::Idle),
        HookEvent::UserPromptSubmit { .. } => *status = Some(Status::Working),
        HookEvent::PreToolUse { tool, .. } | HookEvent::PostToolUse { tool, interrupted: false, .. } => {
            *status = Some(Status::Working);
            read.said.said = format!("{} {tool}", hook.event.name());
        }
        HookEvent::PermissionDenied { .. } => *status = Some(Status::Working),
        HookEvent::PermissionRequest { tool, input } => {
            let (kind, reason) = asked(tool, input);
            *status = Some(Status::Blocked(kind));
            read.said.reason.clone_from(&reason);
            read.said.said = format!("PermissionRequest {tool}");
            read.asks = Some((kind, reason));
        }
        HookEvent::Notification { kind, .. } => {
            // that of a permission comes seconds after the dialog, and may come after its answer
            if kind == "idle_prompt" {
                *status = Some(Status::Idle);
            }
            read.said.said = format!("Notification {kind}");
        }
        HookEvent::Stop { subagents, shells, .. } if !by_subagent => {
            *status = Some(if *subagents > 0 { Status::Working } else { Status::Idle });
            read.said.reason = match (subagents, shells) {
                (0, 0) => None,
                (0, n) => Some(format!("{n} {} still running", if *n == 1 { "shell" } else { "shells" })),
                (n, _) => Some(format!("{n} {} at work", if *n == 1 { "subagent" } else { "subagents" })),
            };
            read.ends_turn = *subagents == 0;
        }
        HookEvent::StopFailure { error, last_message } if !by_subagent => {
            *status = Some(match error.as_str() {
                "authentication_failed" => Status::Blocked(Blocked::Auth),
                _ => Status::Error,
            });
            read.said.said = format!("StopFailure {error}");
            read.said.reason = last_message.as_deref().and_then(shorten);
            read.ends_turn = true;
        }
        HookEvent::PreCompact { .. } => {
            *status = Some(Status::Working);
            read.said.reason = Some("compacting".into());
        }
        HookEvent::PostCompact { trigger } => {
            *status = Some(if trigger == "manual" { Status::Idle } else { Status::Working });
        }
        HookEvent::Elicitation => *status = Some(Status::Blocked(Blocked::Question)),
        HookEvent::SessionStart { .. }
        | HookEvent::SessionEnd { .. }
        | HookEvent::PostToolUse { .. }
        | HookEvent::Stop { .. }
        | HookEvent::StopFailure { .. }
        | HookEvent::SubagentStart
        | HookEvent::SubagentStop
        | HookEvent::Other(_) => {}
    }
    read
}

/// What kind of answer a request wants, and what it is about: in the words that Claude's own report uses.
fn asked(tool: &str, input: &Value) -> (Blocked, Option<String>) {
    let of = |key: &str| input[key].as_str();
    match tool {
        "AskUserQuestion" => {
            let first = &input["questions"][0];
            let labels: Vec<&str> = first["options"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|o| o["label"].as_str())
                .collect();
            let question = first["question"].as_str().unwrap_or("a question");
            let options =
                if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(" · ")) };
            (Blocked::Question, shorten(&format!("answer: {question}{options}")))
        }
        "ExitPlanMode" => (Blocked::Permission, Some("approve plan".into())),
        _ => {
            let what = of("command").or_else(|| of("file_path")).or_else(|| of("url")).or_else(|| of("path"));
            let words = what.map_or_else(|| format!("approve {tool}"), |w| format!("approve {tool}: {w}"));
            (Blocked::Permission, shorten(&words))
        }
    }
}

fn plain(said: Said) -> Read {
    Read { said, ends_turn: false, asks: None }
}

fn said(source: Source, said: String, status: Option<Status>) -> Said {
    Said { source, seq: 0, at: 0, heard: 0, said, status, reason: None }
}
