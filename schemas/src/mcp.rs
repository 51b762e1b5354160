//! The MCP server that supervised Claudes get: what it and the settings of a Claude must agree on.

/// Its name: the tools are `mcp__NAME__TOOL` in Claude.
pub const SERVER: &str = "wezterm-parallel";

/// Tools that a Claude may use without asking its user: they look, or touch only what is its own. What an agent
/// may is the daemon's to say.
pub const FREE_TOOLS: &[&str] = &[
    "task_add",
    "task_list",
    "task_show",
    "task_wait",
    "task_cancel",
    "process_list",
    "process_status",
    "lease_acquire",
    "lease_release",
    "lease_list",
];

/// Tools that its user is asked about: they put words into another agent, which may do more than this one.
pub const ASKED_TOOLS: &[&str] = &["process_send"];
