//! Hooks of the user's: commands that run when something happens.

use std::{borrow::Cow, fmt};

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        Error, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

use crate::units::Span;

/// The variable in which a hook finds what happened, by its name in the config.
pub const EVENT_VARIABLE: &str = "WEZTERM_PARALLEL_EVENT";

/// What can have hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnEvent {
    /// An agent waits for you: told once, until it goes on or waits for something of another kind.
    ProcessBlocked,
    /// A process failed and is not started again.
    ProcessFailed,
    /// A process failed too often and is left alone.
    ProcessCrashLoop,
    /// A turn has ended, and nobody has seen it.
    ProcessDone,
    /// An agent waits for a usage limit to pass.
    ProcessRateLimited,
    /// A run of a process has begun.
    ProcessStarted,
    /// A run of a process has ended, however it did.
    ProcessExited,
    /// An agent asks for something; once for each request.
    InboxAsked,
    /// A request has been decided, or is moot.
    InboxDecided,
    /// An account has reached a usage limit.
    LimitReached,
    /// A usage limit is over.
    LimitPassed,
    /// The config was read anew and applied.
    ConfigApplied,
    /// The config was read anew and refused.
    ConfigRefused,
    /// A task has succeeded.
    TaskDone,
    /// A task has failed, as often as it may.
    TaskFailed,
    /// Somebody has ended a task.
    TaskCanceled,
    /// A task is skipped: one that comes first has not succeeded.
    TaskSkipped,
    /// A run of a task has begun.
    TaskStarted,
}

impl OnEvent {
    /// The name as it stands in the config.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProcessBlocked => "process_blocked",
            Self::ProcessFailed => "process_failed",
            Self::ProcessCrashLoop => "process_crash_loop",
            Self::ProcessDone => "process_done",
            Self::ProcessRateLimited => "process_rate_limited",
            Self::ProcessStarted => "process_started",
            Self::ProcessExited => "process_exited",
            Self::InboxAsked => "inbox_asked",
            Self::InboxDecided => "inbox_decided",
            Self::LimitReached => "limit_reached",
            Self::LimitPassed => "limit_passed",
            Self::ConfigApplied => "config_applied",
            Self::ConfigRefused => "config_refused",
            Self::TaskDone => "task_done",
            Self::TaskFailed => "task_failed",
            Self::TaskCanceled => "task_canceled",
            Self::TaskSkipped => "task_skipped",
            Self::TaskStarted => "task_started",
        }
    }
}

/// Hooks, by what they are for, in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct On(pub IndexMap<OnEvent, Vec<OnHook>>);

impl JsonSchema for On {
    fn schema_name() -> Cow<'static, str> {
        "On".into()
    }
    /// Each name as a key of its own: a map would not say which there are.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let hooks = generator.subschema_for::<Vec<OnHook>>().to_value();
        let names = OnEvent::json_schema(generator).to_value();
        let mut properties = json_schema!({}).to_value();
        for name in names["oneOf"].as_array().into_iter().flatten() {
            if let Some(key) = name["const"].as_str() {
                properties[key] = hooks.clone();
                properties[key]["description"] = name["description"].clone();
            }
        }
        let mut schema = json_schema!({
            "description": "Hooks, by what they are for, in the order in which they run.",
            "type": "object",
            "additionalProperties": false,
        });
        schema.insert("properties".to_owned(), properties);
        schema
    }
}

/// A hook: a command as a text, which `sh -c` runs; a command as a list of words, which is run directly;
/// or a command with more to say of it, `{ command: …, timeout: … }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OnHook {
    /// Nothing but a command.
    Plain(OnCommand),
    /// A command, and what else is said of it.
    With(OnHookWith),
}

/// A hook with all that can be said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnHookWith {
    /// What is run.
    pub command: OnCommand,
    /// How long it has, from 1s to 10m, before it is ended. 30s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// A command: a text for `sh -c`, or a list of words, which is run directly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OnCommand {
    /// For `sh -c`.
    Shell(String),
    /// The program and its arguments.
    Words(Vec<String>),
}

// by hand rather than `untagged`, which for whatever is wrong would say that nothing fits, without a line

impl<'de> Deserialize<'de> for OnHook {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Hook;
        impl<'de> Visitor<'de> for Hook {
            type Value = OnHook;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command: a text, a list of words, or `{ command: …, timeout: … }`")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<OnHook, E> {
                Ok(OnHook::Plain(OnCommand::Shell(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, words: A) -> Result<OnHook, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(words))
                    .map(|words| OnHook::Plain(OnCommand::Words(words)))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OnHook, A::Error> {
                OnHookWith::deserialize(MapAccessDeserializer::new(map)).map(OnHook::With)
            }
        }
        d.deserialize_any(Hook)
    }
}

impl<'de> Deserialize<'de> for OnCommand {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Command;
        impl<'de> Visitor<'de> for Command {
            type Value = OnCommand;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command: a text, or a list of words")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<OnCommand, E> {
                Ok(OnCommand::Shell(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, words: A) -> Result<OnCommand, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(words)).map(OnCommand::Words)
            }
        }
        d.deserialize_any(Command)
    }
}
