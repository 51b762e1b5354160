//! `task …` and `group …`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use wezterm_parallel_schemas::task::{OnFailedDependency, TaskState};

/// How a task is named.
const TASK: &str = "TASK";

const TASK_HELP: &str = "\
TASK is the id of a task, the end of its id (4 characters or more), or its name.

Examples:
  wezterm-parallel task add review --prompt 'review the last commit'
  wezterm-parallel task add tests --after review -- cargo test
  wezterm-parallel task list
  wezterm-parallel task attach review
  wezterm-parallel task import nightly.yaml";

/// `task …`.
#[derive(Debug, Subcommand)]
#[command(after_help = TASK_HELP)]
pub enum Task {
    /// Add a task: a prompt for Claude Code, or a command after `--`. Prints its id
    Add(Box<TaskAdd>),
    /// Add many tasks from a YAML or JSON file, all of them or none
    Import(TaskImport),
    /// Show the tasks that are not over, and the last that are
    List(TaskList),
    /// Show one task whole: what was asked, how it stands, what it has brought
    Show {
        /// The task
        #[arg(value_name = TASK)]
        task: String,
    },
    /// Print what the last attempt of a task has written: Claude's as a text, a command's as it is
    Logs(TaskLogs),
    /// Follow a task from its beginning until it is over. Ctrl-C leaves it running
    Attach {
        /// The task
        #[arg(value_name = TASK)]
        task: String,
    },
    /// Go on with the session of a task that is over, as a process
    Open(TaskOpen),
    /// End tasks for good. Returns when nothing of them runs
    Cancel {
        /// The tasks
        #[arg(value_name = TASK, required = true)]
        tasks: Vec<String>,
    },
    /// Have tasks that are over begin again, and those that were skipped because of them
    Retry {
        /// The tasks
        #[arg(value_name = TASK, required = true)]
        tasks: Vec<String>,
        /// Begin a new session instead of going on with the one that there is
        #[arg(long)]
        fresh: bool,
    },
    /// Have tasks wait until they are resumed; a prompt that runs is ended, and goes on with its session
    Pause {
        /// The tasks
        #[arg(value_name = TASK, required = true)]
        tasks: Vec<String>,
    },
    /// Have paused tasks go on
    Resume {
        /// The tasks
        #[arg(value_name = TASK, required = true)]
        tasks: Vec<String>,
    },
    /// Change a task that neither runs nor is over. What is left out stays
    Edit(Box<TaskEdit>),
    /// Wait until tasks are over. The exit code is 0 if all of them are done
    Wait(TaskWait),
    /// Print what a task has brought: its answer; on standard error files, cost, time, and what was denied
    Result {
        /// The task
        #[arg(value_name = TASK)]
        task: String,
    },
    /// Show which tasks wait for which
    Graph(TaskGraph),
}

const ADD_HELP: &str = "\
Without --workspace and --cwd it runs in the current directory. It has the environment of this command.
--allow, --env and --after can be given several times.

With --wait the exit code is 0 only if the task is done; for a command that failed it is the command's own.

Examples:
  wezterm-parallel task add --prompt 'write tests for src/parse.rs' --allow 'Bash(cargo test:*)'
  wezterm-parallel task add review --workspace api --model opus --budget 2 --prompt-file review.md
  git diff | wezterm-parallel task add --wait --prompt-file -
  wezterm-parallel task add deploy --after tests --after review --deadline '2026-12-01 08:00' -- ./deploy.sh";

/// `task add`.
#[derive(Debug, Default, Args)]
#[command(after_help = ADD_HELP, group(ArgGroup::new("asked").required(true).args(["prompt", "prompt_file", "command"])))]
pub struct TaskAdd {
    /// Its name [default: the beginning of what is asked]
    pub name: Option<String>,
    /// The workspace whose directory it runs in, and that its session can be opened in
    #[arg(long, value_name = "NAME")]
    pub workspace: Option<String>,
    /// Where it runs
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Agent of the config that is asked [default: claude]
    #[arg(long)]
    pub agent: Option<String>,
    /// The model
    #[arg(long)]
    pub model: Option<String>,
    /// What Claude may do without asking: default, acceptEdits, plan, …
    #[arg(long, value_name = "MODE")]
    pub permission_mode: Option<String>,
    /// A tool that it may use without asking, as Claude writes it: `Bash(git log:*)`
    #[arg(long, value_name = "TOOL")]
    pub allow: Vec<String>,
    /// A variable for its environment
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// From -100 to 100; larger goes first, and a minute of waiting counts as one [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// A task that comes first
    #[arg(long, value_name = "TASK")]
    pub after: Vec<String>,
    /// What becomes of it when one that comes first does not succeed [default: skip]
    #[arg(long, value_name = "WHAT")]
    pub on_failed_dependency: Option<OnFailed>,
    /// Its group [default: default]
    #[arg(long)]
    pub group: Option<String>,
    /// Further attempts after a failure [default: 2 for a prompt, none for a command]
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// How long an attempt may take (30s, 10m, 2h)
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// It has failed if it is not over by then: from now (2h), a local time (2026-12-01 08:00), or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub deadline: Option<String>,
    /// What its session may cost, in US dollars
    #[arg(long, value_name = "USD")]
    pub budget: Option<f64>,
    /// How many turns an attempt may take
    #[arg(long, value_name = "N")]
    pub max_turns: Option<u32>,
    /// Idempotency key: of several tasks with the same one only the first is added
    #[arg(long)]
    pub key: Option<String>,
    /// Wait for its end, and print its answer
    #[arg(long)]
    pub wait: bool,
    /// What Claude is asked
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// The same in a file, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
    /// A program and its arguments
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `task edit`.
#[derive(Debug, Default, Args)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args([
    "name", "priority", "group", "model", "retries", "timeout", "deadline", "budget", "max_turns", "prompt",
    "prompt_file", "command",
])), group(ArgGroup::new("asked").args(["prompt", "prompt_file", "command"])))]
pub struct TaskEdit {
    /// The task
    #[arg(value_name = TASK)]
    pub task: String,
    /// Its name
    #[arg(long)]
    pub name: Option<String>,
    /// From -100 to 100
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i32>,
    /// Its group
    #[arg(long)]
    pub group: Option<String>,
    /// The model
    #[arg(long)]
    pub model: Option<String>,
    /// Further attempts after a failure
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// How long an attempt may take (30s, 10m, 2h)
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// When it must be over: from now (2h), a local time (2026-12-01 08:00), or RFC 3339
    #[arg(long, value_name = "TIME")]
    pub deadline: Option<String>,
    /// What its session may cost, in US dollars
    #[arg(long, value_name = "USD")]
    pub budget: Option<f64>,
    /// How many turns an attempt may take
    #[arg(long, value_name = "N")]
    pub max_turns: Option<u32>,
    /// What Claude is asked
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// The same in a file, `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
    /// A program and its arguments
    #[arg(last = true)]
    pub command: Vec<String>,
}

const IMPORT_HELP: &str = "\
The file:
  defaults: { group: nightly, timeout: 30m }        # for all that do not say otherwise
  tasks:
    - { name: build, command: [cargo, build] }
    - { name: tests, command: cargo test 2>&1 | tail -50, after: [build] }    # a text is run by sh -c
    - name: review
      after: [tests]
      prompt_file: review.md                        # or prompt: |
      allow: ['Bash(git log:*)']
Keys of a task: name, prompt, prompt_file, command, after, on_failed_dependency, priority, group, retries,
timeout, deadline, budget, max_turns, env, cwd, workspace, model, agent, permission_mode, allow.
Relative paths begin at the directory of the file, which is also where a task runs that says nothing else.

If anything is wrong, all of it is said, and nothing is added. --dry-run needs no daemon: tasks in `after`
that are not in the file may be there already, so they are only warned of.";

/// `task import`.
#[derive(Debug, Args)]
#[command(after_help = IMPORT_HELP)]
pub struct TaskImport {
    /// The file, `-` for standard input
    pub file: PathBuf,
    /// Only check it, as far as that can be without the daemon
    #[arg(long)]
    pub dry_run: bool,
}

/// `task list`.
#[derive(Debug, Args)]
pub struct TaskList {
    /// Also those that were over long ago
    #[arg(long)]
    pub all: bool,
    /// Only those of this group
    #[arg(long)]
    pub group: Option<String>,
    /// Only those of this workspace
    #[arg(long)]
    pub workspace: Option<String>,
    /// Only those in one of these states
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    pub state: Vec<StateName>,
}

/// `task logs`.
#[derive(Debug, Args)]
pub struct TaskLogs {
    /// The task
    #[arg(value_name = TASK)]
    pub task: String,
    /// Go on with what is written from now on, until the attempt is over
    #[arg(short, long)]
    pub follow: bool,
    /// Print Claude's lines, and escape sequences, as they are
    #[arg(long)]
    pub raw: bool,
}

/// `task open`.
#[derive(Debug, Args)]
pub struct TaskOpen {
    /// The task
    #[arg(value_name = TASK)]
    pub task: String,
    /// The workspace [default: the task's]
    #[arg(long)]
    pub workspace: Option<String>,
    /// The name of the process [default: one that is free]
    #[arg(long)]
    pub name: Option<String>,
}

/// `task wait`.
#[derive(Debug, Args)]
pub struct TaskWait {
    /// The tasks
    #[arg(value_name = TASK, required_unless_present = "group")]
    pub tasks: Vec<String>,
    /// All that are in this group now
    #[arg(long)]
    pub group: Option<String>,
    /// How long to wait at most (30s, 10m, 2h)
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
}

/// `task graph`.
#[derive(Debug, Args)]
pub struct TaskGraph {
    /// Only those of this group
    #[arg(long)]
    pub group: Option<String>,
    /// Also where all that belongs together is over
    #[arg(long)]
    pub all: bool,
    /// In the language of Graphviz
    #[arg(long)]
    pub dot: bool,
}

/// `group …`.
#[derive(Debug, Subcommand)]
pub enum Group {
    /// Show all groups: how many tasks are in which state, and what they have cost
    List,
    /// Start nothing more of a group. What runs goes on
    Pause {
        /// Its name
        group: String,
    },
    /// Have the tasks of a group start again
    Resume {
        /// Its name
        group: String,
    },
    /// Print what the tasks of a group have brought, as Markdown
    Report {
        /// Its name
        group: String,
        /// As Markdown, which is what it is without --json
        #[arg(long, conflicts_with = "json")]
        markdown: bool,
    },
}

/// What becomes of a task when one that comes first has not succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnFailed {
    /// It is skipped, and so is what comes after it
    Skip,
    /// It fails too
    Fail,
    /// It runs all the same
    Run,
}

impl From<OnFailed> for OnFailedDependency {
    fn from(on: OnFailed) -> Self {
        match on {
            OnFailed::Skip => Self::Skip,
            OnFailed::Fail => Self::Fail,
            OnFailed::Run => Self::Run,
        }
    }
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "they are described where the state itself is")]
pub enum StateName {
    Queued,
    Waiting,
    Running,
    Paused,
    Done,
    Failed,
    Canceled,
    Skipped,
}

impl From<StateName> for TaskState {
    fn from(name: StateName) -> Self {
        match name {
            StateName::Queued => Self::Queued,
            StateName::Waiting => Self::Waiting,
            StateName::Running => Self::Running,
            StateName::Paused => Self::Paused,
            StateName::Done => Self::Done,
            StateName::Failed => Self::Failed,
            StateName::Canceled => Self::Canceled,
            StateName::Skipped => Self::Skipped,
        }
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, as in `RUST_LOG=debug`".into()),
    }
}
