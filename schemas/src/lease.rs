//! Leases: who may use a file, a port or anything else that has a name, so that agents do not get into each
//! other's way. Nothing is locked: who does not ask is not kept out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name of something that is leased, in bytes: that of a path on Linux.
pub const LEASE_NAME_BYTES_MAX: usize = 4096;
/// Longest reason, in bytes: a sentence or two.
pub const LEASE_REASON_BYTES_MAX: usize = 512;

/// Parameters of `lease.acquire`.
///
/// There is no idempotency key: who holds something already and asks again has it renewed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LeaseAcquire {
    /// What: the absolute path of a file or a directory, `port:NUMBER`, or any other name; 4096 bytes at most.
    pub name: String,
    /// How long to wait while another one holds it, in milliseconds; not at all if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// It ends after this long, in milliseconds; when its holder ends if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// What for, in words: 512 bytes at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// It ends with this connection too, and is held by it alone. That of a caller that is no agent always does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub while_connected: bool,
}

/// Parameters of `lease.release`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LeaseRelease {
    /// As for [`LeaseAcquire`].
    pub name: String,
    /// Idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Something that is leased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeaseView {
    /// What.
    pub name: String,
    /// To whom: `WORKSPACE/PROCESS`, a task's id, or `user PID`.
    pub holder: String,
    /// The run that it ends with; none if its holder is no agent.
    pub run_id: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub at: i64,
    /// Until when, if it was asked for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many wait for it.
    #[serde(default)]
    pub waiting: u32,
}
