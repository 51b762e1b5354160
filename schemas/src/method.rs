//! Every call there is: its name, what it takes, what it gives. The one table that the router, the
//! clients, the JSON Schemas and PROTOCOL.md are held to.

use schemars::{Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    daemon::{
        ConfigPlan, ConfigTarget, ConfigTrust, DaemonStop, Empty, Hello, StatusView, Stopped, Text, Welcome,
    },
    event::{Event, EventList, Snapshot, Subscribe},
    evidence::Explanation,
    gui::{GuiFocus, GuiNews, GuiShow, GuiView, GuiWait},
    hook::{HookAnswer, HookReport},
    inbox::{AskView, InboxAnswer, InboxDeny, InboxList, InboxTarget, InboxTest, RuleVerdict},
    layout::{
        Arrangement, LayoutKeep, LayoutPlan, LayoutSave, LayoutTarget, LayoutView, ProjectList, ProjectView,
    },
    lease::{LeaseAcquire, LeaseRelease, LeaseView},
    limit::{AccountView, LimitOpen},
    process::{AttachPoint, ProcessAdd, ProcessList, ProcessStop, ProcessTarget, ProcessView},
    prompt::{ProcessSend, PromptList, PromptTarget, PromptView, PromptWait},
    session::{ProcessAdopt, SessionList, SessionView},
    task::{
        GroupReport, GroupTarget, GroupView, TaskAdd, TaskDetail, TaskEdit, TaskImport, TaskList, TaskRetry,
        TaskTarget, TaskView, TaskWait,
    },
    workspace::{WorkspaceCreate, WorkspaceOpen, WorkspaceRename, WorkspaceTarget, WorkspaceView},
};

/// A call: a name, parameters and a result, bound together at compile time.
pub trait Method {
    /// `noun.verb`, as on the wire.
    const NAME: &'static str;
    /// What it takes.
    type Params: Serialize + DeserializeOwned + schemars::JsonSchema;
    /// What it gives.
    type Result: Serialize + DeserializeOwned + schemars::JsonSchema;
}

/// A row of the table of methods.
pub struct Row {
    /// `noun.verb`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Schema of the parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// Schema of the result.
    pub result: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! methods {
    ($($(#[doc = $about:literal])+ $name:literal $ty:ident ($params:ty) -> $result:ty;)*) => {
        $(
            $(#[doc = $about])+
            #[derive(Clone, Copy, Debug)]
            pub struct $ty;
            impl Method for $ty {
                const NAME: &'static str = $name;
                type Params = $params;
                type Result = $result;
            }
        )*
        /// All methods, in the order of the documentation.
        pub const METHODS: &[Row] = &[$(Row {
            name: $name,
            about: concat!($($about),+),
            params: SchemaGenerator::subschema_for::<$params>,
            result: SchemaGenerator::subschema_for::<$result>,
        }),*];
    };
}

methods! {
    /// Agrees on the protocol version. The first call on every connection.
    "hello" HelloCall(Hello) -> Welcome;
    /// How everything stands.
    "daemon.status" DaemonStatus(Empty) -> StatusView;
    /// Ends the daemon, and every run unless told to keep them. Answered when the runs are gone.
    "daemon.stop" StopDaemon(DaemonStop) -> Stopped;
    /// All workspaces.
    "workspace.list" ListWorkspaces(Empty) -> Vec<WorkspaceView>;
    /// Makes a workspace, open and without processes. It is kept in the store.
    "workspace.create" CreateWorkspace(WorkspaceCreate) -> WorkspaceView;
    /// Opens a workspace: starts its processes that have `autostart`. Answered when they are asked for.
    "workspace.open" OpenWorkspace(WorkspaceOpen) -> WorkspaceView;
    /// Closes a workspace: stops its processes. Answered when they are gone.
    "workspace.close" CloseWorkspace(WorkspaceTarget) -> WorkspaceView;
    /// Closes a workspace made by a command and forgets it.
    "workspace.delete" DeleteWorkspace(WorkspaceTarget) -> Empty;
    /// Renames a workspace made by a command.
    "workspace.rename" RenameWorkspace(WorkspaceRename) -> WorkspaceView;
    /// All processes, or those of a workspace.
    "process.list" ListProcesses(ProcessList) -> Vec<ProcessView>;
    /// Makes a process and starts it. It is kept in the store.
    "process.add" AddProcess(ProcessAdd) -> ProcessView;
    /// Stops a process made by a command and forgets it.
    "process.remove" RemoveProcess(ProcessTarget) -> Empty;
    /// Starts a process. Answered when it runs, has failed, or waits for its place in the queue.
    "process.start" StartProcess(ProcessTarget) -> ProcessView;
    /// Stops a process. Answered when it and all it started are gone.
    "process.stop" StopProcess(ProcessStop) -> ProcessView;
    /// Stops and starts a process. Answered as `process.start`.
    "process.restart" RestartProcess(ProcessStop) -> ProcessView;
    /// Where the current or last run of a process can be reached.
    "process.attach" AttachProcess(ProcessTarget) -> AttachPoint;
    /// Somebody has looked: `unread` becomes false.
    "process.seen" SeeProcess(ProcessTarget) -> ProcessView;
    /// Which evidence there is of an agent's status, which of it won, and why.
    "process.explain" ExplainProcess(ProcessTarget) -> Explanation;
    /// Sends a prompt to an agent. Answered when the agent has it, or it is kept in the queue; `busy` or
    /// `undelivered` if neither can be.
    "process.send" SendPrompt(ProcessSend) -> PromptView;
    /// Ends a Claude that somebody started by hand and goes on with its session as a process. Answered
    /// as `process.add`.
    "process.adopt" AdoptProcess(ProcessAdopt) -> ProcessView;
    /// Prompts that were sent: those that wait or are under way, or all.
    "prompt.list" ListPrompts(PromptList) -> Vec<PromptView>;
    /// Takes a prompt back that waits in the queue.
    "prompt.cancel" CancelPrompt(PromptTarget) -> PromptView;
    /// Waits until the turn that a prompt began is over, or it cannot be delivered.
    "prompt.wait" WaitForPrompt(PromptWait) -> PromptView;
    /// Claude's sessions that can be gone on with, newest first.
    "session.list" ListSessions(SessionList) -> Vec<SessionView>;
    /// What agents ask their user, oldest first.
    "inbox.list" ListAsks(InboxList) -> Vec<AskView>;
    /// One request, whole.
    "inbox.show" ShowAsk(InboxTarget) -> AskView;
    /// Allows a request. Answered when the agent has been told; `conflict` if somebody was first.
    "inbox.allow" AllowAsk(InboxTarget) -> AskView;
    /// Denies a request. Answered as `inbox.allow`.
    "inbox.deny" DenyAsk(InboxDeny) -> AskView;
    /// Answers the questions of a request. Answered as `inbox.allow`.
    "inbox.answer" AnswerAsk(InboxAnswer) -> AskView;
    /// What rules would have decided of past requests. Decides nothing.
    "inbox.test" TestRules(InboxTest) -> Vec<RuleVerdict>;
    /// Accounts with their usage windows, limits and cost.
    "limit.list" ListLimits(Empty) -> Vec<AccountView>;
    /// Has an account's tasks start again, whatever was said of its limit or its login.
    "limit.open" OpenLimit(LimitOpen) -> Vec<AccountView>;
    /// Adds a task. Answered when it is on the disk.
    "task.add" AddTask(TaskAdd) -> TaskView;
    /// Adds many tasks, all of them or none. Answered when they are on the disk.
    "task.import" ImportTasks(TaskImport) -> Vec<TaskView>;
    /// Tasks that are not over, and the newest that are, in the order in which they were added.
    "task.list" ListTasks(TaskList) -> Vec<TaskView>;
    /// One task, with all that was asked and what it has brought.
    "task.show" ShowTask(TaskTarget) -> TaskDetail;
    /// Ends a task for good. Answered when nothing of it runs.
    "task.cancel" CancelTask(TaskTarget) -> TaskView;
    /// Has a task that is over begin again, and those that were skipped because of it.
    "task.retry" RetryTask(TaskRetry) -> TaskView;
    /// Changes a task that neither runs nor is over.
    "task.edit" EditTask(TaskEdit) -> TaskView;
    /// Has a task wait until it is resumed; a prompt that runs goes on with its session then. Answered when
    /// nothing of it runs.
    "task.pause" PauseTask(TaskTarget) -> TaskView;
    /// Has a paused task go on.
    "task.resume" ResumeTask(TaskTarget) -> TaskView;
    /// Waits until tasks are over.
    "task.wait" WaitForTasks(TaskWait) -> Vec<TaskView>;
    /// All groups of tasks.
    "group.list" ListGroups(Empty) -> Vec<GroupView>;
    /// Starts nothing more of a group. What runs goes on.
    "group.pause" PauseGroup(GroupTarget) -> GroupView;
    /// Has the tasks of a group start again.
    "group.resume" ResumeGroup(GroupTarget) -> GroupView;
    /// What the tasks of a group have brought.
    "group.report" ReportGroup(GroupTarget) -> GroupReport;
    /// Leases something to the agent that calls, until its run is over. Answered when it has it; `conflict` if
    /// another one holds it and goes on holding it.
    "lease.acquire" AcquireLease(LeaseAcquire) -> LeaseView;
    /// Gives back what the caller holds. A caller that is no agent takes it from whoever holds it.
    "lease.release" ReleaseLease(LeaseRelease) -> Empty;
    /// All that is leased, by name.
    "lease.list" ListLeases(Empty) -> Vec<LeaseView>;
    /// Templates for the panes of a workspace.
    "layout.list" ListLayouts(Empty) -> Vec<LayoutView>;
    /// One template.
    "layout.show" ShowLayout(LayoutTarget) -> LayoutView;
    /// Writes a template into a file of its own beside the config. Answered when it is on the disk.
    "layout.save" SaveLayout(LayoutSave) -> LayoutView;
    /// Removes a template that was saved.
    "layout.delete" DeleteLayout(LayoutTarget) -> Empty;
    /// Which panes a workspace is to have.
    "layout.plan" PlanLayout(LayoutPlan) -> Arrangement;
    /// A GUI tells how the panes of a workspace lie.
    "layout.keep" KeepLayout(LayoutKeep) -> Empty;
    /// How the panes of all open workspaces were last left.
    "layout.left" LeftLayouts(Empty) -> Vec<Arrangement>;
    /// Directories that a workspace could be made for, the one used last first.
    "project.list" ListProjects(ProjectList) -> Vec<ProjectView>;
    /// Waits for news: what has changed, and what this GUI is asked to do. One call of each GUI is open all
    /// the time.
    "gui.wait" WaitGui(GuiWait) -> GuiNews;
    /// A GUI tells that its focus or its workspace has changed, or that it has done what it was asked to.
    "gui.focus" FocusGui(GuiFocus) -> Empty;
    /// All GUIs with the plugin in them, the one that had the focus last first.
    "gui.list" ListGuis(Empty) -> Vec<GuiView>;
    /// Shows something in a GUI. Answered when it is shown; `conflict` if there is no GUI.
    "gui.show" ShowInGui(GuiShow) -> GuiView;
    /// Has every attached terminal told anew which process it shows.
    "gui.announce" AnnounceToGui(Empty) -> Empty;
    /// A hook of a supervised Claude tells what happened. For `wezterm-parallel hook`.
    "hook.report" ReportHook(HookReport) -> HookAnswer;
    /// Reads a config and says what applying it would change. Applies nothing.
    "config.diff" DiffConfig(ConfigTarget) -> ConfigPlan;
    /// Reads the config anew and applies it. Answered when it is applied.
    "config.reload" ReloadConfig(Empty) -> ConfigPlan;
    /// The config in force, all layers together, as YAML.
    "config.show" ShowConfig(Empty) -> Text;
    /// What commands have made, as YAML for the config file.
    "config.export" ExportConfig(Empty) -> Text;
    /// Trusts a project's own config file as it is now.
    "config.trust" TrustProject(ConfigTrust) -> ConfigPlan;
    /// Takes that back.
    "config.untrust" UntrustProject(ConfigTrust) -> ConfigPlan;
    /// Events that have happened.
    "event.list" ListEvents(EventList) -> Vec<Event>;
    /// How things stand, and from then on every event as a notification `event`.
    "subscribe" SubscribeCall(Subscribe) -> Snapshot;
}
