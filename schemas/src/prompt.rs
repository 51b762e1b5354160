//! Prompts that are sent to agents: `process.send` and what becomes of them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::process::Status;

/// Longest prompt, in bytes. Claude takes more; what is longer belongs into a file that the prompt names.
pub const PROMPT_BYTES_MAX: usize = 512 << 10;

/// Parameters of `process.send`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessSend {
    /// The workspace, if the name alone does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The process's name or id.
    pub process: String,
    /// The prompt; 512 KiB at most.
    pub text: String,
    /// What is done while the agent works.
    pub while_working: WhileWorking,
    /// A leading `/` or `!` means what it means when it is typed. Otherwise it is a letter as any other.
    pub command: bool,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What is done with a prompt while the agent works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhileWorking {
    /// It is refused with `busy`.
    #[default]
    Refuse,
    /// It is kept on the disk and sent when the agent is idle; the answer comes at once, and a
    /// `prompt.delivered` or `prompt.undelivered` event later.
    Queue,
    /// It is typed all the same: the agent takes it up with its next step.
    Now,
}

/// What has become of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PromptState {
    /// It waits for the agent to be idle.
    Queued,
    /// It is being typed, and the agent has not said that it has it.
    Typing,
    /// The agent has it, and works on it or will.
    Delivered,
    /// The turn that it began is over.
    Answered,
    /// The agent does not have it; `reason` says why.
    Undelivered,
    /// Somebody took it back before it was sent.
    Canceled,
    /// A state of a newer release.
    #[serde(other)]
    Unknown,
}

/// How it is known that the agent has a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Proof {
    /// Claude's UserPromptSubmit hook said its text.
    Hook,
    /// Claude's transcript has it.
    Transcript,
    /// The agent began to work right after it was typed, and nobody else typed.
    Status,
    /// A proof of a newer release.
    #[serde(other)]
    Unknown,
}

/// A prompt that was sent.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PromptView {
    /// Its id (a ULID).
    pub id: String,
    /// The workspace.
    pub workspace: String,
    /// The process.
    pub process: String,
    /// The process's id.
    pub process_id: String,
    /// What has become of it.
    pub state: PromptState,
    /// Why it is in that state, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its beginning: 200 characters at most.
    pub text: String,
    /// A leading `/` or `!` means what it means when it is typed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub command: bool,
    /// The idempotency key that it was sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it was accepted, in milliseconds since 1970.
    pub at: i64,
    /// When it was begun to be typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typed_at: Option<i64>,
    /// When the agent had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<i64>,
    /// How that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Its place in the queue, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// Claude's session that it went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Claude's own id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// What the agent answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// How a turn ended.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The agent's last message in it; none if it ended without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The agent's status after it: `idle`, `error`, `rate_limited`, `blocked(…)`, `unknown`.
    pub status: Status,
    /// What was said with that status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the turn cost, in US dollars, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// When it ended, in milliseconds since 1970.
    pub at: i64,
}

/// Parameters of `prompt.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PromptList {
    /// The workspace, if the process's name alone does not say; without a process, only those of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Only those of this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Also those that are over.
    pub all: bool,
}

/// Names one prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PromptTarget {
    /// Its id.
    pub prompt: String,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `prompt.wait`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PromptWait {
    /// Its id.
    pub prompt: String,
    /// How long to wait, in milliseconds; for ever if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

// what people say to their agents, and what these answer, is nobody else's business: not in a log either

impl fmt::Debug for ProcessSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessSend")
            .field("workspace", &self.workspace)
            .field("process", &self.process)
            .field("bytes", &self.text.len())
            .field("while_working", &self.while_working)
            .field("command", &self.command)
            .field("key", &self.key)
            .finish()
    }
}

impl fmt::Debug for PromptView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptView")
            .field("id", &self.id)
            .field("workspace", &self.workspace)
            .field("process", &self.process)
            .field("state", &self.state)
            .field("reason", &self.reason)
            .field("command", &self.command)
            .field("at", &self.at)
            .field("typed_at", &self.typed_at)
            .field("delivered_at", &self.delivered_at)
            .field("proof", &self.proof)
            .field("place", &self.place)
            .field("session_id", &self.session_id)
            .field("prompt_id", &self.prompt_id)
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("bytes", &self.text.as_ref().map(String::len))
            .field("status", &self.status)
            .field("reason", &self.reason)
            .field("cost_usd", &self.cost_usd)
            .field("at", &self.at)
            .finish()
    }
}
