//! The command line: every verb and option there is. Names are fixed; scripts and hooks use them.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{key::DetachKey, target::Target};

mod task;

pub use task::{
    Group, StateName, Task, TaskAdd, TaskEdit, TaskGraph, TaskImport, TaskList, TaskLogs, TaskOpen, TaskWait,
};

const LONG_ABOUT: &str = "\
Many Claude Code processes in one WezTerm: supervised, kept and never lost.

`wezterm-parallel up` in a project directory is all that is needed to begin.";

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon answers.
Environment: WEZTERM_PARALLEL_CONFIG (the config file), WEZTERM_PARALLEL_RUNTIME_DIR (the socket),
WEZTERM_PARALLEL_STATE_DIR (store, log and runs); NO_COLOR turns colours off.";

/// One call of the program.
#[derive(Debug, Parser)]
#[command(
    name = "wezterm-parallel",
    version,
    about = "Many Claude Code processes in one WezTerm: supervised, kept and never lost",
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Arguments {
    /// Print JSON instead of a table: for scripts
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Set everything up and open a workspace here: the first command to run, and a safe one to repeat
    Up(Up),
    /// Start the daemon in the background; returns once it serves
    Daemon(Daemon),
    /// Stop the daemon and every process it keeps
    Stop(Stop),
    /// Show the daemon, its workspaces and its processes
    Status,
    /// Watch all processes on one screen, and act on them by keys and mouse
    Dashboard(Dashboard),
    /// Workspaces: project directories with their processes
    #[command(subcommand)]
    Workspace(Workspace),
    /// Processes: Claude Codes and other programs that are kept running
    #[command(subcommand)]
    Process(Process),
    /// Claude's sessions: conversations that can be gone on with
    #[command(subcommand)]
    Session(Session),
    /// Tasks: prompts and commands that wait for their turn, run by themselves and bring a result
    #[command(subcommand)]
    Task(Task),
    /// Groups of tasks
    #[command(subcommand)]
    Group(Group),
    /// Layouts: templates for the panes of a workspace
    #[command(subcommand)]
    Layout(Layout),
    /// Directories that a workspace could be made for
    #[command(subcommand)]
    Project(Project),
    /// Leases: who may use a file, a port or anything else of which only one can make use at a time
    #[command(subcommand)]
    Lease(Lease),
    /// Usage limits and cost of the accounts that agents run in
    #[command(subcommand)]
    Limit(Limit),
    /// Prompts that were sent to agents
    #[command(subcommand)]
    Prompt(Prompt),
    /// What agents ask: permissions, questions, plans
    #[command(subcommand)]
    Inbox(Inbox),
    /// WezTerms with the plugin in them
    #[command(subcommand)]
    Gui(Gui),
    /// The config file
    #[command(subcommand)]
    Config(Config),
    /// What has happened, oldest first
    Events(Events),
    /// Find out what is wrong on this machine, and what to do about it
    Doctor,
    /// Remove all that wezterm-parallel put on this machine, but for your config
    Uninstall(Uninstall),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Short for `process attach`
    #[command(hide = true)]
    Attach(Attach),
    /// Short for `process logs`
    #[command(hide = true)]
    Logs(Logs),
}

/// `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Answer every question with yes
    #[arg(short, long)]
    pub yes: bool,
    /// Print the table instead of attaching to the one agent, or showing the dashboard of several
    #[arg(long)]
    pub no_dashboard: bool,
}

/// `dashboard`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
#[command(after_help = DASHBOARD_HELP)]
pub struct Dashboard {
    /// Draw with ASCII characters only [default: if the locale is not UTF-8]
    #[arg(long)]
    pub ascii: bool,
    /// Begin with the processes under their workspaces, instead of those first that need you
    #[arg(long)]
    pub grouped: bool,
    /// Begin with the tasks
    #[arg(long)]
    pub tasks: bool,
}

const DASHBOARD_HELP: &str = "\
The keys stand at the foot of the screen; `?` shows all of them. It needs a terminal: for scripts there is
`wezterm-parallel status --json`. Without a daemon it waits for one.";

/// `daemon`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Daemon {
    /// Stay in the foreground: for service managers
    #[arg(long)]
    pub foreground: bool,
    /// What else to do.
    #[command(subcommand)]
    pub verb: Option<DaemonVerb>,
}

/// `daemon install|uninstall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum DaemonVerb {
    /// Have the daemon started at login (systemd user unit, launchd agent)
    Install,
    /// Take that back
    Uninstall,
}

/// `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// Leave the processes running: only the daemon ends, and the next one takes them over
    #[arg(long)]
    pub keep: bool,
    /// Do not ask, even if an agent is working
    #[arg(short, long)]
    pub yes: bool,
}

/// `workspace …`.
#[derive(Debug, Subcommand)]
pub enum Workspace {
    /// Show all workspaces
    List,
    /// Make a workspace. It is kept until deleted; one for good belongs into the config file
    Create {
        /// Its name
        name: String,
        /// The project directory [default: the current one]
        #[arg(long, value_name = "DIR")]
        cwd: Option<PathBuf>,
        /// The layout of its panes: `layout list` shows all [default: its processes side by side]
        #[arg(long, value_name = "NAME")]
        layout: Option<String>,
    },
    /// Open a workspace: start its processes, in this environment
    Open {
        /// Its name or id
        name: String,
    },
    /// Close a workspace: stop its processes
    Close {
        /// Its name or id
        name: String,
    },
    /// Close a workspace and forget it
    Delete {
        /// Its name or id
        name: String,
    },
    /// Rename a workspace
    Rename {
        /// Its name or id
        old: String,
        /// The new name
        new: String,
    },
}

/// `process …`.
#[derive(Debug, Subcommand)]
pub enum Process {
    /// Show all processes
    List {
        /// Only those of this workspace
        workspace: Option<String>,
        /// Also Claudes that somebody started by hand, marked `foreign`
        #[arg(long)]
        all: bool,
    },
    /// Add a process and start it: a Claude Code, or any command after `--`
    Add {
        /// The workspace
        workspace: String,
        /// The name [default: one that is free]
        name: Option<String>,
        /// The agent to run [default: claude, if there is no command]
        #[arg(long)]
        agent: Option<String>,
        /// A Claude session to go on with: its id, or the first characters of it
        #[arg(long, value_name = "SESSION")]
        resume: Option<String>,
        /// A Claude session to begin a new one from, with all that was said in it
        #[arg(long, value_name = "SESSION", conflicts_with = "resume")]
        fork: Option<String>,
        /// The command; with --agent, further arguments of it
        #[arg(last = true)]
        command: Vec<String>,
    },
    /// End a Claude that somebody started by hand, and go on with its session as a process
    Adopt(Adopt),
    /// Stop a process and forget it
    Remove {
        /// The process
        #[arg(value_name = TARGET)]
        process: Target,
    },
    /// Start a process
    Start {
        /// The process
        #[arg(value_name = TARGET)]
        process: Target,
    },
    /// Stop a process and everything it started
    Stop {
        /// The process
        #[arg(value_name = TARGET)]
        process: Target,
        /// Kill it at once, without its grace time
        #[arg(long)]
        now: bool,
    },
    /// Stop a process and start it again
    Restart {
        /// The process
        #[arg(value_name = TARGET)]
        process: Target,
        /// Kill it at once, without its grace time
        #[arg(long)]
        now: bool,
    },
    /// Send a prompt to agents, and know that it arrived
    Send(Send),
    /// Show the screen of a process here and type into it
    Attach(Attach),
    /// Print what a process wrote
    Logs(Logs),
    /// Say why an agent has the status that it has: the evidence, what won, and what did not
    Explain {
        /// The process
        #[arg(value_name = TARGET)]
        process: Target,
    },
}

/// `process adopt`.
#[derive(Debug, Args)]
pub struct Adopt {
    /// Process id of the Claude, or its session: `process list --all` shows both
    #[arg(value_name = "PID|SESSION")]
    pub claude: String,
    /// The workspace [default: the open one of its directory]
    #[arg(long)]
    pub workspace: Option<String>,
    /// The name [default: one that is free]
    #[arg(long)]
    pub name: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// End it even if it is working
    #[arg(long)]
    pub now: bool,
}

/// `session …`.
#[derive(Debug, Subcommand)]
pub enum Session {
    /// Show Claude's sessions that can be gone on with, newest first
    List {
        /// Of this directory [default: the current one]
        #[arg(long, value_name = "DIR")]
        cwd: Option<PathBuf>,
        /// Of all directories
        #[arg(long, conflicts_with = "cwd")]
        all: bool,
        /// At most so many
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: Option<u32>,
    },
}

const TARGET: &str = "[WORKSPACE/]PROCESS";
/// How a request of an agent is named.
const ITEM: &str = "REQUEST";

const SEND_HELP: &str = "\
The text is the last word, or standard input if that is `-` or missing; or all words after `--`.
Targets may be patterns: `api/*` is every process of the workspace api, `*/lead` every lead.

Without --queue and --now, an agent that works, waits for an answer in its pane or does not run refuses
the prompt. Nothing is ever typed into a dialog. The exit code is 1 if any of the targets did not get it.

Examples:
  wezterm-parallel process send api/lead 'fix the failing test'
  git diff | wezterm-parallel process send api/lead -
  wezterm-parallel process send --queue 'api/*' web/lead 'commit what you have'
  wezterm-parallel process send --wait api/lead 'which files did you touch?'
  wezterm-parallel process send --command api/lead /compact";

/// `process send`.
#[derive(Debug, Args)]
#[command(after_help = SEND_HELP)]
pub struct Send {
    /// The processes, and the text
    #[arg(value_name = "[WORKSPACE/]PROCESS… [TEXT|-]", required = true)]
    pub words: Vec<String>,
    /// While the agent works, keep the prompt and send it when the agent is idle
    #[arg(long, conflicts_with = "now")]
    pub queue: bool,
    /// Type it while the agent works: it takes it up with its next step
    #[arg(long)]
    pub now: bool,
    /// Let a leading `/` or `!` mean what it means when it is typed
    #[arg(long)]
    pub command: bool,
    /// Wait for the end of the turn, and print the agent's answer
    #[arg(long)]
    pub wait: bool,
    /// How long to wait for the answer at most (30s, 10m, 2h)
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration, requires = "wait")]
    pub timeout: Option<Duration>,
    /// Idempotency key: sent again with the same key, it changes nothing and answers the same
    #[arg(long)]
    pub key: Option<String>,
    /// The text
    #[arg(last = true, value_name = "TEXT")]
    pub text: Vec<String>,
}

/// `prompt …`.
#[derive(Debug, Subcommand)]
pub enum Prompt {
    /// Show the prompts that wait or are under way
    List {
        /// Only those of this process
        #[arg(value_name = TARGET)]
        process: Option<Target>,
        /// Also those that are over
        #[arg(long)]
        all: bool,
    },
    /// Take a prompt back that waits in the queue
    Cancel {
        /// Its id
        prompt: String,
    },
    /// Wait until the turn that a prompt began is over, and print the answer
    Wait {
        /// Its id
        prompt: String,
        /// How long to wait at most (30s, 10m, 2h)
        #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
        timeout: Option<Duration>,
    },
}

/// `process attach`.
#[derive(Debug, Args)]
pub struct Attach {
    /// The process
    #[arg(value_name = TARGET)]
    pub process: Target,
    /// The key that detaches: ctrl- and a letter or one of \ ] ^ _ @, or `none`
    #[arg(long, value_name = "KEY", default_value_t)]
    pub detach_key: DetachKey,
    /// Only look: send no keys, and leave the size alone
    #[arg(long)]
    pub read_only: bool,
    /// Have all bytes pass through this program: for terminals that cannot be handed over
    #[arg(long)]
    pub relay: bool,
}

impl Attach {
    /// To `process`, as without any option.
    pub fn to(process: Target) -> Self {
        Self { process, detach_key: DetachKey::default(), read_only: false, relay: false }
    }
}

/// `process logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The process
    #[arg(value_name = TARGET)]
    pub process: Target,
    /// Go on with what is written from now on, over restarts, until the process is removed
    #[arg(short, long)]
    pub follow: bool,
    /// Leave escape sequences as they are
    #[arg(long)]
    pub raw: bool,
}

/// `layout …`.
#[derive(Debug, Subcommand)]
pub enum Layout {
    /// Show all layouts: those of the config, saved ones, and those that come with the program
    List,
    /// Print a layout as its file would have it
    Show {
        /// Its name
        name: String,
    },
    /// Save the panes of a workspace as a layout, in a file of its own beside the config
    Save {
        /// Its name
        name: String,
        /// The workspace whose panes are saved, as they were last seen in WezTerm
        #[arg(long, required_unless_present = "file", conflicts_with = "file")]
        workspace: Option<String>,
        /// Save what this file says instead, `-` for standard input
        #[arg(long)]
        file: Option<PathBuf>,
        /// Put it in the place of one that was saved under this name
        #[arg(long)]
        replace: bool,
    },
    /// Delete a saved layout
    Delete {
        /// Its name
        name: String,
    },
}

/// `project …`.
#[derive(Debug, Subcommand)]
pub enum Project {
    /// Show directories of workspaces, of Claude's sessions, below `project_roots`, and zoxide's
    List {
        /// At most so many
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: Option<u32>,
    },
}

/// `limit …`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Limit {
    /// Show all accounts: how full their usage windows are, until when they are limited, what they cost
    List,
    /// Have an account's tasks start again, whatever was said of its limit or its login
    Open {
        /// The account, as `limit list` names it [default: the only one that is closed]
        account: Option<String>,
    },
}

/// `lease …`.
#[derive(Debug, Subcommand)]
pub enum Lease {
    /// Show what is leased
    List,
    /// Lease something to the agent that runs this, until its run is over
    Acquire {
        /// A path (with a `/` in it), `port:NUMBER`, or any other name
        name: String,
        /// How long to wait while another one holds it (30s, 10m) [default: not at all]
        #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
        wait: Option<Duration>,
        /// It ends after this long
        #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
        time: Option<Duration>,
        /// What for, in words
        #[arg(long)]
        reason: Option<String>,
    },
    /// Give back what you hold; without an agent, take it from whoever holds it
    Release {
        /// As for acquire
        name: String,
    },
    /// Hold a lease for as long as a command runs
    Run(LeaseRun),
}

/// `lease run`.
#[derive(Debug, Args)]
pub struct LeaseRun {
    /// As for acquire
    pub name: String,
    /// How long to wait while another one holds it (30s, 10m) [default: as long as it takes]
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    pub wait: Option<Duration>,
    /// What for, in words
    #[arg(long)]
    pub reason: Option<String>,
    /// The command
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

/// `gui …`.
#[derive(Debug, Subcommand)]
pub enum Gui {
    /// Show all WezTerms that are connected, the one that had the focus last first
    List,
    /// Show a workspace, a process or the dashboard in WezTerm. Returns when it is on the glass
    Show(Show),
}

/// `gui show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The workspace, or a process of it
    #[arg(value_name = "WORKSPACE[/PROCESS]", required_unless_present = "dashboard")]
    pub target: Option<String>,
    /// The dashboard
    #[arg(long, conflicts_with = "target")]
    pub dashboard: bool,
    /// The WezTerm, by its name in `gui list` [default: the one that had the focus last]
    #[arg(long, value_name = "GUI")]
    pub gui: Option<String>,
}

/// `config …`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Check a config file. Needs no daemon
    Check {
        /// The file [default: the one in use]
        file: Option<PathBuf>,
    },
    /// Show what a reload would change
    Diff {
        /// A file instead of the daemon's own
        file: Option<PathBuf>,
    },
    /// Print the config in force, all layers together
    Show,
    /// Print where the config file is. Needs no daemon
    Path,
    /// Print the JSON Schema of the config file. Needs no daemon
    Schema,
    /// Read the config file again and apply it (editing it does that by itself)
    Reload,
    /// Print what commands have made, as YAML for the config file
    Export,
    /// Trust a project's own .wezterm-parallel.yaml as it is now
    Trust {
        /// The file or its directory [default: the current directory]
        path: Option<PathBuf>,
    },
    /// Take that back
    Untrust {
        /// The file or its directory [default: the current directory]
        path: Option<PathBuf>,
    },
}

/// `inbox …`.
#[derive(Debug, Subcommand)]
pub enum Inbox {
    /// Show what agents ask, oldest first
    List {
        /// Also what was decided, newest first: who, when and why
        #[arg(long)]
        all: bool,
        /// Only of this workspace
        #[arg(long)]
        workspace: Option<String>,
        /// At most this many [default: 100]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: Option<u32>,
    },
    /// Show one request whole: its input, the diff of an edit, the questions
    Show {
        /// Its id, the end of its id, or the process that asks
        #[arg(value_name = ITEM)]
        item: String,
    },
    /// Allow a request. Returns when the agent has been told
    Allow {
        /// Its id, the end of its id, or the process that asks
        #[arg(value_name = ITEM)]
        item: String,
    },
    /// Deny a request
    Deny {
        /// Its id, the end of its id, or the process that asks
        #[arg(value_name = ITEM)]
        item: String,
        /// What the agent is told
        #[arg(short, long, value_name = "TEXT")]
        message: Option<String>,
    },
    /// Answer the questions of a request, in their order
    Answer {
        /// Its id, the end of its id, or the process that asks
        #[arg(value_name = ITEM)]
        item: String,
        /// For each question the number or text of an option, several with commas between, or your own words
        #[arg(required = true, value_name = "ANSWER")]
        answers: Vec<String>,
    },
    /// Try a rule, or those of the config, on what was asked before. Decides nothing
    Test {
        /// Tools that the rule allows
        #[arg(long, value_name = "TOOL", conflicts_with = "deny", group = "action")]
        allow: Option<String>,
        /// Tools that the rule denies
        #[arg(long, value_name = "TOOL", group = "action")]
        deny: Option<String>,
        /// Only if this fits the command, the address, or the input as JSON
        #[arg(long, requires = "action")]
        pattern: Option<String>,
        /// Only if the file lies here
        #[arg(long, requires = "action")]
        path: Option<String>,
        /// Only for processes of this name
        #[arg(long, requires = "action", value_name = "WORKSPACE/PROCESS")]
        process: Option<String>,
        /// On at most this many, the newest [default: 1000]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: Option<u32>,
    },
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Go on with what happens from now on; with --json one object per line
    #[arg(short, long)]
    pub follow: bool,
    /// Only what happened after the event with this number
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
}

/// `uninstall`.
#[derive(Debug, Args)]
pub struct Uninstall {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("wezterm-parallel").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_of_the_contract_is_understood() {
        for line in [
            "up",
            "up --yes --no-dashboard",
            "daemon",
            "daemon --foreground",
            "daemon install",
            "daemon uninstall",
            "stop",
            "stop --keep --yes",
            "status",
            "status --json",
            "--json status",
            "dashboard",
            "dashboard --ascii --grouped",
            "workspace list --json",
            "workspace create api --cwd /src/api --layout wide",
            "workspace open api",
            "workspace close api",
            "workspace delete api",
            "workspace rename api backend",
            "process list",
            "process list api --json",
            "process list --all",
            "process add api",
            "process add api lead --agent claude --resume 0199-abc",
            "process add api -- cargo watch -x test",
            "process add api --fork 0199-abc",
            "process adopt 4711",
            "process adopt 0199-abc --workspace api --name lead --yes --now",
            "session list",
            "session list --cwd /src/api --limit 10 --json",
            "session list --all",
            "process add api tests -- sh -c true",
            "process remove api/lead",
            "process start lead",
            "process stop api/lead --now",
            "process restart api/lead",
            "process attach lead",
            "process attach api/lead --read-only --relay --detach-key ctrl-q",
            "process explain api/lead --json",
            "process logs -f api/lead",
            "process logs api/lead --follow --raw",
            "layout list",
            "layout list --json",
            "layout show claude-dev",
            "layout save mine --workspace api",
            "layout save mine --file - --replace",
            "layout delete mine",
            "project list",
            "project list --limit 20 --json",
            "limit list",
            "limit list --json",
            "limit open",
            "limit open /home/u/.claude",
            "task add --prompt hello",
            "task add review --workspace api --agent claude --model opus --permission-mode plan --prompt-file -",
            "task add --allow Bash --allow Edit --env A=b --env C= --priority -5 --prompt x",
            "task add t --after a --after b --on-failed-dependency run --group g -- cargo test --json",
            "task add --retries 3 --timeout 10m --deadline 2h --budget 1.5 --max-turns 9 --key k --wait -- true",
            "task import nightly.yaml",
            "task import - --dry-run --json",
            "task list",
            "task list --all --group g --workspace api --state failed,done --json",
            "task list --state running --state queued",
            "task show review",
            "task logs -f review",
            "task logs review --follow --raw",
            "task attach review",
            "task open review --workspace api --name again",
            "task cancel a b c",
            "task retry a b --fresh",
            "task pause a",
            "task resume a b",
            "task edit a --priority -5 --name b --group g --model m --retries 1 --timeout 5m --deadline 1h",
            "task edit a --prompt x --budget 2 --max-turns 3",
            "task edit a -- cargo test",
            "task wait a b --timeout 10m",
            "task wait --group g",
            "task result a --json",
            "task graph --group g --dot",
            "task graph --all --json",
            "group list",
            "group pause g",
            "group resume g",
            "group report g --json",
            "group report g --markdown",
            "lease list --json",
            "lease acquire port:8080 --wait 10m --for 1h --reason server",
            "lease release src/db.rs",
            "lease run port:8080 -- npm run dev",
            "lease run --wait 5s --reason build ./target -- cargo test --all",
            "process send lead hello",
            "process send api/lead web/* hello --queue --json",
            "process send api/lead --now --command --wait --timeout 10m --key k -- fix it",
            "process send api/lead -",
            "process send api/lead",
            "prompt list",
            "prompt list api/lead --all --json",
            "prompt cancel 01JD7Z3Q0V",
            "prompt wait 01JD7Z3Q0V --timeout 30s",
            "inbox list",
            "inbox list --all --workspace api --limit 20 --json",
            "inbox show api/lead",
            "inbox allow 01JD7Z3Q0V00000000000000AB",
            "inbox deny lead -m no",
            "inbox deny lead --message no",
            "inbox answer lead 1 2,3",
            "inbox test",
            "inbox test --allow Bash --pattern cargo* --process api/* --limit 10",
            "inbox test --deny Edit --path src/**",
            "gui list",
            "gui list --json",
            "gui show api",
            "gui show api/lead --gui 4711-a1 --json",
            "gui show --dashboard",
            "config check",
            "config check some/file.toml",
            "config diff",
            "config show",
            "config path",
            "config schema",
            "config reload",
            "config export",
            "config trust",
            "config trust /src/api",
            "config untrust",
            "events",
            "events --follow --since 17",
            "doctor --json",
            "uninstall --yes",
            "completions bash",
        ] {
            if let Err(e) = parse(line) {
                panic!("{line}: {e}");
            }
        }
    }

    #[test]
    fn what_is_not_a_command_is_wrong_usage() {
        for (line, kind) in [
            ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("fly", ErrorKind::InvalidSubcommand),
            ("stat", ErrorKind::InvalidSubcommand),
            ("workspace open", ErrorKind::MissingRequiredArgument),
            ("process start /lead", ErrorKind::ValueValidation),
            ("process send", ErrorKind::MissingRequiredArgument),
            ("process send lead x --now --queue", ErrorKind::ArgumentConflict),
            ("process send lead x --timeout soon", ErrorKind::ValueValidation),
            ("process attach lead --detach-key x", ErrorKind::ValueValidation),
            ("process add api --resume 1 --fork 2", ErrorKind::ArgumentConflict),
            ("session list --all --cwd /src", ErrorKind::ArgumentConflict),
            ("session list --limit 0", ErrorKind::ValueValidation),
            ("layout save mine", ErrorKind::MissingRequiredArgument),
            ("layout save mine --workspace api --file x", ErrorKind::ArgumentConflict),
            ("project list --limit 501", ErrorKind::ValueValidation),
            ("events --since yesterday", ErrorKind::ValueValidation),
            ("inbox answer lead", ErrorKind::MissingRequiredArgument),
            ("inbox test --pattern x", ErrorKind::MissingRequiredArgument),
            ("inbox test --allow x --deny y", ErrorKind::ArgumentConflict),
            ("inbox list --limit 0", ErrorKind::ValueValidation),
            ("gui show", ErrorKind::MissingRequiredArgument),
            ("task add", ErrorKind::MissingRequiredArgument),
            ("task add name", ErrorKind::MissingRequiredArgument),
            ("task add --prompt x -- true", ErrorKind::ArgumentConflict),
            ("task add --prompt x --prompt-file y", ErrorKind::ArgumentConflict),
            ("task add --prompt x --env A", ErrorKind::ValueValidation),
            ("task add --prompt x --timeout soon", ErrorKind::ValueValidation),
            ("task add --prompt x --on-failed-dependency cry", ErrorKind::InvalidValue),
            ("task list --state tired", ErrorKind::InvalidValue),
            ("task edit a", ErrorKind::MissingRequiredArgument),
            ("task cancel", ErrorKind::MissingRequiredArgument),
            ("task wait", ErrorKind::MissingRequiredArgument),
            ("group report g --markdown --json", ErrorKind::ArgumentConflict),
            ("lease run port:8080", ErrorKind::MissingRequiredArgument),
            ("lease acquire x --for soon", ErrorKind::ValueValidation),
            ("gui show api --dashboard", ErrorKind::ArgumentConflict),
            ("daemon --foreground install", ErrorKind::ArgumentConflict),
            ("process add api lead cargo test", ErrorKind::UnknownArgument),
        ] {
            let e = parse(line).expect_err(line);
            assert_eq!(e.kind(), kind, "{line}: {e}");
            assert_eq!(e.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn options_of_the_command_to_run_are_not_ours() {
        let Verb::Process(Process::Add { name, command, .. }) =
            parse("process add api -- claude --json --resume x").expect("valid").verb
        else {
            panic!("another verb");
        };
        assert_eq!((name, command.join(" ").as_str()), (None, "claude --json --resume x"));
    }
}
