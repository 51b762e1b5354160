//! What an agent may do by each call: an agent, or anything that it has started. A call that is not in this
//! table is refused to it. Why so: docs/design/0023-what-agents-may-ask.md.

use std::{cell::RefCell, collections::HashMap};

use wezterm_parallel_schemas::{
    error::{Code, Error},
    event::{Event, EventKind},
    method::{self as call, Method},
};

use super::Router;
use crate::{caller::Caller, effects::ancestry::Ancestry};

use Right::{All, Own, Users};

/// What an agent may do by a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// All that its user may.
    All,
    /// What is said here; the call itself sees to that.
    Own(&'static str),
    /// Nothing: an agent may not do this.
    Users(&'static str),
}

/// The table, in the order of the documentation.
pub const RIGHTS: &[(&str, Right)] = &[
    (call::HelloCall::NAME, All),
    (call::DaemonStatus::NAME, All),
    (call::StopDaemon::NAME, Users("end the daemon")),
    (call::ListWorkspaces::NAME, All),
    (call::CreateWorkspace::NAME, Users("make a workspace")),
    // its processes get the environment of who opens it
    (call::OpenWorkspace::NAME, Users("open a workspace")),
    (call::CloseWorkspace::NAME, Users("close a workspace")),
    (call::DeleteWorkspace::NAME, Users("delete a workspace")),
    (call::RenameWorkspace::NAME, Users("rename a workspace")),
    (call::ListProcesses::NAME, All),
    (call::AddProcess::NAME, Own("its own agent, in its own workspace and directory, with its own leave")),
    (call::RemoveProcess::NAME, Users("remove a process")),
    (call::StartProcess::NAME, Own("itself, and programs of its own workspace that are no agents")),
    (call::StopProcess::NAME, Own("itself, and programs of its own workspace that are no agents")),
    (call::RestartProcess::NAME, Own("itself, and programs of its own workspace that are no agents")),
    (call::AttachProcess::NAME, All),
    (call::SeeProcess::NAME, Users("say what its user has seen")),
    (call::ExplainProcess::NAME, All),
    (call::SendPrompt::NAME, Own("words to other agents, with its name before them; no commands")),
    (call::AdoptProcess::NAME, Users("take over a session")),
    (call::ListPrompts::NAME, All),
    (call::CancelPrompt::NAME, Users("take back a prompt")),
    (call::WaitForPrompt::NAME, All),
    (call::ListSessions::NAME, All),
    (call::ListAsks::NAME, All),
    (call::ShowAsk::NAME, All),
    (call::AllowAsk::NAME, Users("decide what agents may do")),
    (call::DenyAsk::NAME, Users("decide what agents may do")),
    (call::AnswerAsk::NAME, Users("decide what agents may do")),
    (call::TestRules::NAME, All),
    (call::ListLimits::NAME, All),
    (call::OpenLimit::NAME, Users("go on beyond a limit")),
    (call::AddTask::NAME, Own("prompts for its own agent, with its own leave; 20 at once, 3 deep")),
    (call::ImportTasks::NAME, Users("import tasks")),
    (call::ListTasks::NAME, All),
    (call::ShowTask::NAME, Own("without the variables that were set for it")),
    (call::CancelTask::NAME, Own("tasks that it has added itself")),
    (call::RetryTask::NAME, Users("begin a task again")),
    (call::EditTask::NAME, Users("change tasks")),
    (call::PauseTask::NAME, Users("pause tasks, or have them go on")),
    (call::ResumeTask::NAME, Users("pause tasks, or have them go on")),
    (call::WaitForTasks::NAME, All),
    (call::ListGroups::NAME, All),
    (call::PauseGroup::NAME, Users("pause groups, or have them go on")),
    (call::ResumeGroup::NAME, Users("pause groups, or have them go on")),
    (call::ReportGroup::NAME, All),
    (call::AcquireLease::NAME, All),
    (call::ReleaseLease::NAME, Own("what it holds itself")),
    (call::ListLeases::NAME, All),
    (call::ListLayouts::NAME, All),
    (call::ShowLayout::NAME, All),
    (call::SaveLayout::NAME, Users("save a layout")),
    (call::DeleteLayout::NAME, Users("delete a layout")),
    (call::PlanLayout::NAME, Own("without `create`")),
    // what is kept runs when it is restored
    (call::KeepLayout::NAME, Users("say how panes lie")),
    (call::LeftLayouts::NAME, All),
    (call::ListProjects::NAME, All),
    // who waits for the user hears what only the user is told, and says what is done with it
    (call::WaitGui::NAME, Users("wait for what the user is told")),
    (call::FocusGui::NAME, Users("say where the user is")),
    (call::ListGuis::NAME, All),
    (call::ShowInGui::NAME, Users("put something on the user's screen")),
    (call::AnnounceToGui::NAME, Users("speak to the user's GUI")),
    (call::ReportHook::NAME, Own("of itself")),
    // an error shows a piece of the file
    (call::DiffConfig::NAME, Users("read a config")),
    (call::ReloadConfig::NAME, Users("apply a config")),
    // it has variables of other agents
    (call::ShowConfig::NAME, Users("read the config")),
    (call::ExportConfig::NAME, Users("read the config")),
    (call::TrustProject::NAME, Users("say which projects are trusted")),
    (call::UntrustProject::NAME, Users("say which projects are trusted")),
    (call::ListEvents::NAME, All),
    (call::SubscribeCall::NAME, All),
];

/// The same refusal is told once in this time, in milliseconds: an agent may ask the same again and again.
const REST_MS: i64 = 10_000;
/// Refusals that are remembered for that.
const REMEMBERED_MAX: usize = 256;

/// Refusals that were told of lately: who, which call, when.
#[derive(Default)]
pub struct Refusals(RefCell<HashMap<(String, String), i64>>);

impl Refusals {
    /// Whether this one is to be told.
    fn is_news(&self, who: &str, method: &str, now: i64) -> bool {
        let mut told = self.0.borrow_mut();
        if told.len() >= REMEMBERED_MAX {
            told.retain(|_, at| now - *at < REST_MS);
        }
        if told.len() >= REMEMBERED_MAX {
            return false;
        }
        let before = told.get(&(who.to_owned(), method.to_owned())).copied();
        let news = before.is_none_or(|at| now - at >= REST_MS);
        if news {
            told.insert((who.to_owned(), method.to_owned()), now);
        }
        news
    }
}

impl Router {
    /// Refuses an agent what is its user's alone.
    pub(super) fn may_call(&self, caller: &Caller, method: &str) -> Result<(), Error> {
        match RIGHTS.iter().find(|(name, _)| *name == method) {
            Some((_, Users(what))) => self.only_user(caller, what),
            Some((_, All | Own(_))) => Ok(()),
            None => Err(Error::new(Code::UnknownMethod, format!("there is no method `{method}`"))
                .hint("see docs/PROTOCOL.md for all")),
        }
    }

    /// Has it stand among the events that an agent asked for what it may not.
    pub(super) fn note_refusal(&self, caller: &Caller, method: &str, e: &Error) {
        let (who, mut event) = match self.ancestry(caller) {
            Ancestry::Process(view) => {
                let name = format!("{}/{}", view.workspace, view.name);
                let event = Event {
                    workspace: Some(view.workspace),
                    process: Some(view.name),
                    id: Some(view.id),
                    run_id: view.run_id,
                    ..Event::new(EventKind::AgentRefused)
                };
                (name, event)
            }
            Ancestry::Task(home) => {
                let event = Event {
                    workspace: home.workspace,
                    task: Some(home.id.clone()),
                    task_name: Some(home.name),
                    run_id: Some(home.run_id),
                    ..Event::new(EventKind::AgentRefused)
                };
                (home.id, event)
            }
            Ancestry::User | Ancestry::Unknown => return,
        };
        if self.refusals.is_news(&who, method, self.shared.clock.at()) {
            tracing::warn!(agent = who, method, "refused: {}", e.message);
            event.method = Some(method.to_owned());
            event.message = Some(e.message.clone());
            self.shared.board.commit(Vec::new(), vec![event], None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs, path::Path};

    use wezterm_parallel_schemas::method::METHODS;

    use super::*;

    #[test]
    fn each_call_is_in_the_table_once_and_no_other() {
        let names: Vec<&str> = RIGHTS.iter().map(|(name, _)| *name).collect();
        let mut sorted = (names.clone(), METHODS.iter().map(|row| row.name).collect::<Vec<_>>());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        assert_eq!(sorted.0, sorted.1);
    }

    #[test]
    fn the_table_in_agents_rights_md_is_up_to_date() {
        let mut table = String::from("| call | an agent may |\n|---|---|\n");
        for (name, right) in RIGHTS {
            let what = match right {
                All => "what its user may".to_owned(),
                Own(what) => (*what).to_owned(),
                Users(what) => format!("**not** {what}"),
            };
            let _ = writeln!(table, "| `{name}` | {what} |");
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/AGENTS_RIGHTS.md");
        let text = fs::read_to_string(&path).expect("the document is there");
        let (start, end) = ("<!-- generated: rights -->\n\n", "\n<!-- end -->");
        let from = text.find(start).expect("it has a place for the table") + start.len();
        let to = from + text[from..].find(end).expect("it ends");
        if text[from..to] != table {
            fs::write(&path, format!("{}{table}{}", &text[..from], &text[to..])).expect("it can be written");
            panic!("docs/AGENTS_RIGHTS.md was out of date and has been rewritten: look at it and commit it");
        }
    }

    #[test]
    fn the_same_refusal_is_told_once_in_a_while_and_others_at_once() {
        let refusals = Refusals::default();
        let told = |who: &str, method: &str, now| refusals.is_news(who, method, now);
        assert!(told("a", "x", 0) && !told("a", "x", 1) && told("a", "y", 1) && told("b", "x", 1));
        assert!(!told("a", "x", REST_MS - 1) && told("a", "x", REST_MS));
        for n in 0..2 * REMEMBERED_MAX {
            told(&n.to_string(), "x", REST_MS);
        }
        assert!(refusals.0.borrow().len() <= REMEMBERED_MAX);
        assert!(told("new", "x", 3 * REST_MS), "what is old is forgotten");
    }
}
