//! What agents use up: tokens, money, and the limits of an account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a process has used in its session. Figures are those that Claude gives; all of them grow over the
/// life of a session, also over `--resume`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// The model that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// US dollars, as Claude counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Tokens that went in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens that came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Part of the context window that is in use, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_percent: Option<f64>,
    /// Size of the context window, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_size: Option<u64>,
    /// When that was said, in milliseconds since 1970.
    pub at: i64,
}

/// An account: a config directory of Claude, or the credentials of an environment that are used instead of
/// the login in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AccountView {
    /// Claude's config directory; behind it in brackets the cloud that the environment chooses, or the kind of
    /// its credentials and the beginning of their hash.
    pub account: String,
    /// Until when it is limited, in milliseconds since 1970; none if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_until: Option<i64>,
    /// What Claude said with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The usage windows that Claude has told of.
    pub windows: Vec<Window>,
    /// Processes of the account, as `WORKSPACE/PROCESS`.
    pub processes: Vec<String>,
    /// What its processes' sessions have cost since they are known here, in US dollars.
    pub cost_usd: f64,
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
}

/// A usage window of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Claude's own name of it: `five_hour`, `seven_day`.
    pub name: String,
    /// How much of it is used, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_percent: Option<f64>,
    /// When it begins anew, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<i64>,
    /// When that was said, in milliseconds since 1970.
    pub at: i64,
}

/// Parameters of `limit.open`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LimitOpen {
    /// The account, as [`AccountView`] names it; the only one that is closed if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
