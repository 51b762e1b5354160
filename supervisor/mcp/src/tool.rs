//! The tools: their names, what they are for, and what they take.

use std::sync::Arc;

use rmcp::{
    handler::server::common::schema_for_input,
    model::{Tool, ToolAnnotations},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// How a tool's use is to be judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It only looks.
    Reads,
    /// It adds something.
    Adds,
    /// It ends something.
    Ends,
}

/// All tools, in the order in which they are listed.
pub fn all() -> Vec<Tool> {
    vec![
        tool::<TaskAdd>(
            "task_add",
            "Add a task: a prompt that another Claude Code works on by itself, in your directory, with no more \
             permissions than you have. Returns at once with the task's id; the task runs when there is room. \
             Use task_wait for its end and task_show for its answer. Write the prompt so that somebody who \
             knows nothing of this conversation can do it. You may have 20 tasks that are not over.",
            Use::Adds,
        ),
        tool::<TaskList>(
            "task_list",
            "List tasks: those that wait, run or are paused, and the newest that are over. Answers are not in \
             it: see task_show.",
            Use::Reads,
        ),
        tool::<Task>(
            "task_show",
            "Show one task whole: what was asked, how it stands and why, and, once it is over, its answer, the \
             files that it has changed, what it was not allowed to do, and its cost.",
            Use::Reads,
        ),
        tool::<TaskWait>(
            "task_wait",
            "Wait until all of these tasks, or all of a group, are over, or the time is up (10 minutes at \
             most). Returns how each stands; `over` says whether all are. Call it again to go on waiting.",
            Use::Reads,
        ),
        tool::<Task>(
            "task_cancel",
            "End a task that you have added yourself, for good. What it has done so far stays.",
            Use::Ends,
        ),
        tool::<ProcessList>(
            "process_list",
            "List the agents and programs that run on this machine, with what each is doing (`status`: idle, \
             working, blocked, …) and where. `you` marks yourself.",
            Use::Reads,
        ),
        tool::<Process>(
            "process_status",
            "Show how one agent or program stands: its status with the reason, what it has open, what it has \
             cost, how its last run ended.",
            Use::Reads,
        ),
        tool::<ProcessSend>(
            "process_send",
            "Send a message to another agent. It sees that it comes from you and not from its user, and decides \
             itself what to do. It gets it when it is idle, or at once with when=now. Returns when it has it or \
             it is kept for it; an answer, if there is one, comes as a message of its own.",
            Use::Adds,
        ),
        tool::<LeaseAcquire>(
            "lease_acquire",
            "Take a lease on something that only one agent can use at a time: a file or directory by its \
             absolute path, `port:NUMBER`, or any name that agents agree on, such as `database migrations`. \
             Nobody is kept out by force: it works because all ask first. If another one holds it you hear who, \
             or wait in line for up to wait_seconds. It ends when you give it back, when your run is over, or \
             after for_seconds. Asking again for what you hold renews it.",
            Use::Adds,
        ),
        tool::<Lease>("lease_release", "Give back a lease that you hold.", Use::Ends),
        tool::<Nothing>(
            "lease_list",
            "List all leases: what is held, by whom, since when, what for, and how many wait for it.",
            Use::Reads,
        ),
    ]
}

fn tool<T: JsonSchema + 'static>(name: &'static str, about: &'static str, used: Use) -> Tool {
    let schema = schema_for_input::<T>().unwrap_or_else(|_| Arc::default());
    let annotations = ToolAnnotations::new()
        .read_only(used == Use::Reads)
        .destructive(used == Use::Ends)
        .idempotent(used != Use::Adds)
        .open_world(false);
    Tool::new(name, about, schema).with_annotations(annotations)
}

/// What `task_add` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskAdd {
    /// What is to be done, with all that has to be known for it.
    pub prompt: String,
    /// A short name; the beginning of the prompt if left out.
    #[serde(default)]
    pub name: Option<String>,
    /// Ids or names of tasks that must have succeeded first.
    #[serde(default)]
    pub after: Vec<String>,
    /// From -100 to 0; larger goes first.
    #[serde(default)]
    #[schemars(range(min = -100, max = 0))]
    pub priority: i32,
    /// A group, by which tasks can be listed and waited for together.
    #[serde(default)]
    pub group: Option<String>,
    /// Further attempts after a failure; 2 if left out.
    #[serde(default)]
    pub retries: Option<u32>,
    /// How long an attempt may take.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
    /// How many turns an attempt may take.
    #[serde(default)]
    pub max_turns: Option<u32>,
}

/// What `task_list` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskList {
    /// Only those of this group.
    #[serde(default)]
    pub group: Option<String>,
    /// At most so many that are over, the newest; 20 if left out.
    #[serde(default)]
    pub over: Option<u32>,
}

/// What `task_show` and `task_cancel` take.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The task: its id, the last characters of it, or its name.
    pub task: String,
}

/// What `task_wait` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskWait {
    /// The tasks, by id or name.
    #[serde(default)]
    pub tasks: Vec<String>,
    /// All tasks of this group.
    #[serde(default)]
    pub group: Option<String>,
    /// How long to wait; 600 if left out, and at most.
    #[serde(default)]
    #[schemars(range(max = 600))]
    pub timeout_seconds: Option<u64>,
}

/// What `process_list` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessList {
    /// Only those of this workspace.
    #[serde(default)]
    pub workspace: Option<String>,
}

/// What `process_status` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The process: `WORKSPACE/PROCESS`, as process_list has it.
    pub process: String,
}

/// What `process_send` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessSend {
    /// The agent: `WORKSPACE/PROCESS`, as process_list has it.
    pub process: String,
    /// The message.
    pub text: String,
    /// `idle`: when it has nothing else to do, the default. `now`: also while it works.
    #[serde(default)]
    pub when: When,
}

/// When a message is given to an agent that works.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// When it is idle.
    #[default]
    Idle,
    /// At once: it takes it up with its next step.
    Now,
}

/// What `lease_acquire` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseAcquire {
    /// What: an absolute path, `port:NUMBER`, or any name.
    pub name: String,
    /// How long to wait while another one holds it; not at all if left out, 600 at most.
    #[serde(default)]
    #[schemars(range(max = 600))]
    pub wait_seconds: Option<u64>,
    /// It ends by itself after this long; with your run if left out.
    #[serde(default)]
    pub for_seconds: Option<u64>,
    /// What for, in a few words: others who want it read it.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What `lease_release` takes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// What: as it was acquired.
    pub name: String,
}

/// What a tool takes that takes nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::mcp::{ASKED_TOOLS, FREE_TOOLS};

    use super::*;

    #[test]
    fn each_tool_is_allowed_or_asked_about() {
        let named: Vec<String> = all().into_iter().map(|tool| tool.name.into_owned()).collect();
        let mut known: Vec<&str> = FREE_TOOLS.iter().chain(ASKED_TOOLS).copied().collect();
        known.sort_by_key(|name| named.iter().position(|other| other == name));
        assert_eq!(named, known);
    }

    #[test]
    fn each_tool_says_what_it_takes_and_what_it_is_for() {
        for tool in all() {
            let schema = serde_json::to_value(&*tool.input_schema).expect("json");
            assert_eq!(schema["type"], "object", "{}", tool.name);
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let said = property.to_string().contains("description");
                assert!(said, "{}.{name} is not described: {property}", tool.name);
            }
            assert!(tool.description.is_some_and(|about| about.len() > 20));
        }
    }
}
