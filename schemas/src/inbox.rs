//! What agents ask their user: one inbox for all of them, and who decided what.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Rule;

/// What kind of answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AskKind {
    /// Leave to use a tool: allow or deny.
    Permission,
    /// Answers to questions.
    Question,
    /// Leave to go on with a plan: allow or deny.
    Plan,
    /// A kind of a newer release.
    #[serde(other)]
    Unknown,
}

/// What has become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AskState {
    /// It waits for an answer.
    Open,
    /// It was allowed from here.
    Allowed,
    /// It was denied from here.
    Denied,
    /// Its questions were answered from here.
    Answered,
    /// Somebody answered in the agent's own dialog.
    Elsewhere,
    /// It is moot: the run ended, the turn was interrupted, or nobody answered in time.
    Gone,
    /// A state of a newer release.
    #[serde(other)]
    Unknown,
}

/// A request of an agent to its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AskView {
    /// Its id (a ULID).
    pub id: String,
    /// The workspace.
    pub workspace: String,
    /// The process.
    pub process: String,
    /// The process's id.
    pub process_id: String,
    /// The run that asks.
    pub run_id: String,
    /// Claude's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What kind of answer is asked for.
    pub kind: AskKind,
    /// The tool that is to be used.
    pub tool: String,
    /// What it is to do, on one line.
    pub summary: String,
    /// Its whole input, as JSON. In a listing, and where it is too large for the wire, only the beginning.
    pub input: String,
    /// The input is not whole.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shortened: bool,
    /// What an edit would change, as a unified diff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// What is asked, for a question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Question>,
    /// Where the agent is.
    pub cwd: PathBuf,
    /// What kind of subagent asks, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Claude's id of that subagent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// When it was asked, in milliseconds since 1970.
    pub at: i64,
    /// What has become of it.
    pub state: AskState,
    /// Who decided, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(v: &bool) -> bool {
    !*v
}

/// A question of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Question {
    /// The question: also the key of its answer.
    pub question: String,
    /// A word or two over it.
    pub header: String,
    /// Several options may be chosen.
    pub multi_select: bool,
    /// What can be chosen; any other text is an answer too.
    pub options: Vec<QuestionOption>,
}

/// An option of a question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QuestionOption {
    /// What is chosen.
    pub label: String,
    /// What it means.
    pub description: String,
}

/// Who decided a request, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Who: `user`, `rule N` (its number in the config's `permissions`), `pane`, `daemon`.
    pub by: String,
    /// The caller's process id, for `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// It was decided not to allow it. Beside an open request: the agent is being told.
    #[serde(default, skip_serializing_if = "is_false")]
    pub denied: bool,
    /// The words that went along, or the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The answers to its questions.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub answers: IndexMap<String, String>,
}

/// Parameters of `inbox.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InboxList {
    /// Also those that are decided: the audit trail, newest first.
    pub all: bool,
    /// Only those of this workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// At most this many; 100 by default, 1,000 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Names one request: by its id, the end of its id, or by the process that asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InboxTarget {
    /// The request.
    pub item: String,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `inbox.deny`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InboxDeny {
    /// The request.
    pub item: String,
    /// What the agent is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `inbox.answer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InboxAnswer {
    /// The request.
    pub item: String,
    /// The answers, by question: a label, labels with `, ` between them, or other words. A request with
    /// one question takes one answer under an empty key.
    pub answers: IndexMap<String, String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Parameters of `inbox.test`: what a rule would have decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InboxTest {
    /// The rule; those of the config if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// Over at most this many requests, the newest; 1,000 by default and at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What a rule would have decided of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleVerdict {
    /// The request.
    pub ask: AskView,
    /// `allow`, `deny`, or nothing where no rule says anything.
    pub would: Option<RuleAction>,
    /// Which rule: its number in the config's `permissions`, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// The tool is used.
    Allow,
    /// The tool is not used.
    Deny,
}
