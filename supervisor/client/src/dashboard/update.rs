//! What a message does to the model, and what is wanted for it. Pure: no clock, no socket, no terminal.

use wezterm_parallel_schemas::{
    error::{Code, Error},
    event::{Event, EventKind},
    prompt::PromptView,
    task::{TaskDetail, TaskProgress, TaskState},
};

use super::{
    ask::{Ask, Deed, Fetch, Fetched, Msg, Which},
    keys,
    model::{Link, Model, Notice, Page, Tab},
};

/// Processes or tasks that are asked for one by one at the same time; if it were more, all are asked for at once.
const SINGLE_MAX: usize = 16;

/// Takes in a message; gives what is wanted for it.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Ask> {
    let mut asks = Vec::new();
    match msg {
        Msg::Now(now) => model.now = now,
        Msg::Resize(cols, rows) => {
            model.size = (cols, rows);
            model.arrange();
            model.arrange_tasks();
        }
        Msg::Input(input) => asks = keys::input(model, input),
        Msg::Linked(snapshot) => {
            model.link = Link::Here;
            // what did not work for want of it may be tried again
            model.notice = None;
            model.fetches = Default::default();
            model.workspaces = snapshot.workspaces;
            model.processes = snapshot.processes;
            model.arrange();
            for fetch in [Fetch::All, Fetch::Asks, Fetch::Accounts, Fetch::Tasks, Fetch::Groups] {
                want(model, fetch, &mut asks);
            }
        }
        Msg::Gone(why) => {
            model.link = Link::Gone(why);
            model.fetches = Default::default();
        }
        Msg::Refused(why, hint) => {
            model.link = Link::Refused(why, hint);
            model.fetches = Default::default();
        }
        Msg::Event(event) => happened(model, &event, &mut asks),
        Msg::Fetched(fetch, result) => {
            model.fetches.under_way.remove(&fetch);
            fetched(model, &fetch, result);
            if model.fetches.again.remove(&fetch) {
                want(model, fetch, &mut asks);
            }
        }
        Msg::Done(deed, Ok(text)) => {
            if !matches!(deed, Deed::Reload) || model.notice.as_ref().is_none_or(|n| !n.bad) {
                say(model, text);
            }
        }
        Msg::Done(deed, Err(error)) => fail(model, &format!("failed to {}", deed.what()), &error),
        Msg::Shown(which, Ok(())) => say(model, format!("{which} is shown in WezTerm")),
        // no GUI has the plugin, or the daemon is older than it: there is this terminal
        Msg::Shown(which, Err(e)) if matches!(e.code, Code::Conflict | Code::UnknownMethod) => {
            attach(model, which, &mut asks);
        }
        Msg::Shown(which, Err(error)) => fail(model, &format!("failed to show {which}"), &error),
        Msg::Loads(loads) => {
            model.loads.extend(loads);
            model.arrange();
        }
        Msg::Log(name, lines) => {
            let scroll = lines.len();
            model.page = Page::Log { name, lines, scroll };
        }
        Msg::Failed(text) => model.notice = Some(Notice { text, bad: true }),
    }
    follow(model, &mut asks);
    asks
}

fn attach(model: &Model, which: Which, asks: &mut Vec<Ask>) {
    // a workspace has nothing to attach to; its first process has
    let which = match which.process {
        Some(_) => Some(which),
        None => model.processes.iter().find(|p| p.workspace == which.workspace).map(Which::from),
    };
    asks.extend(which.map(|which| Ask::Attach { which, read_only: false }));
}

/// Says something until the next key.
pub fn say(model: &mut Model, text: impl Into<String>) {
    model.notice = Some(Notice { text: text.into(), bad: false });
}

fn fail(model: &mut Model, what: &str, error: &Error) {
    let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    model.notice = Some(Notice { text: format!("{what}: {}{hint}", error.message), bad: true });
}

/// Asks for something, unless it is under way: then once more when it has come, since it may be older than
/// what it is asked for.
pub fn want(model: &mut Model, fetch: Fetch, asks: &mut Vec<Ask>) {
    if model.link != Link::Here {
        return;
    }
    let many =
        |single: fn(&&Fetch) -> bool| model.fetches.under_way.iter().filter(single).count() >= SINGLE_MAX;
    let fetch = match fetch {
        Fetch::Process(_) if many(|f| matches!(f, Fetch::Process(_))) => Fetch::All,
        Fetch::Task(_) if many(|f| matches!(f, Fetch::Task(_))) => Fetch::Tasks,
        fetch => fetch,
    };
    if model.fetches.under_way.insert(fetch.clone()) {
        asks.push(Ask::Fetch(fetch));
    } else {
        model.fetches.again.insert(fetch);
    }
}

/// An event names what has changed; how it is now is asked.
fn happened(model: &mut Model, event: &Event, asks: &mut Vec<Ask>) {
    let process = event.process.as_ref().and(event.id.clone());
    match event.kind {
        EventKind::ProcessRemoved => {
            if let Some(id) = process {
                remove(model, &id);
            }
        }
        EventKind::WorkspaceAdded
        | EventKind::WorkspaceChanged
        | EventKind::WorkspaceRemoved
        | EventKind::ConfigApplied
        | EventKind::ConfigRefused
        | EventKind::DaemonStarted
        | EventKind::DaemonPanic => want(model, Fetch::All, asks),
        EventKind::TaskAdded | EventKind::TaskChanged => {
            if let Some(id) = event.task.clone() {
                want(model, Fetch::Task(id), asks);
            }
        }
        EventKind::TaskProgress => progress(model, event, asks),
        EventKind::GroupChanged => {
            want(model, Fetch::Groups, asks);
            // why tasks of it do not start is another reason now, which no event tells of each
            want(model, Fetch::Tasks, asks);
        }
        EventKind::DaemonStopping | EventKind::GroupOver => {}
        _ => {
            if let Some(id) = process {
                want(model, Fetch::Process(id), asks);
            }
        }
    }
    match event.kind.topic() {
        "inbox" => want(model, Fetch::Asks, asks),
        "limit" => {
            want(model, Fetch::Accounts, asks);
            if model.tasks.all.iter().any(|t| t.state == TaskState::Queued) {
                want(model, Fetch::Tasks, asks);
            }
        }
        "prompt" => {
            if let Some((id, _)) = &model.prompts {
                let id = id.clone();
                want(model, Fetch::Prompts(id), asks);
            }
        }
        _ => {}
    }
    // what a process has used is also the account's
    if event.kind == EventKind::ProcessUsage && model.areas().second.is_some() {
        want(model, Fetch::Accounts, asks);
    }
}

/// What a task does now stands in the event; how many tokens that took is asked where it is shown.
fn progress(model: &mut Model, event: &Event, asks: &mut Vec<Ask>) {
    let Some(id) = event.task.clone() else { return };
    let Some(task) = model.tasks.all.iter_mut().find(|t| t.id == id) else {
        return want(model, Fetch::Task(id), asks);
    };
    task.progress.get_or_insert_with(TaskProgress::default).doing.clone_from(&event.message);
    if model.tasks.chosen.as_ref() == Some(&id) && shows_task(model) {
        want(model, Fetch::Task(id), asks);
    }
}

/// Whether the chosen task is on the screen, whole.
fn shows_task(model: &Model) -> bool {
    let details = match model.page {
        Page::Table => model.areas().detail.is_some(),
        Page::Detail { .. } => true,
        Page::Inbox { .. } | Page::Log { .. } | Page::Help { .. } => false,
    };
    details && model.tab == Tab::Tasks
}

fn put_task(model: &mut Model, detail: Box<TaskDetail>) {
    match model.tasks.all.iter_mut().find(|t| t.id == detail.task.id) {
        Some(known) => *known = detail.task.clone(),
        None => model.tasks.all.push(detail.task.clone()),
    }
    if model.tasks.chosen.as_ref() == Some(&detail.task.id) {
        model.tasks.whole = Some(detail);
    }
    model.arrange_tasks();
}

fn remove(model: &mut Model, id: &str) {
    model.processes.retain(|p| p.id != id);
    model.asks.retain(|ask| ask.process_id != id);
    model.loads.remove(id);
    model.arrange();
}

fn fetched(model: &mut Model, fetch: &Fetch, result: Result<Fetched, Error>) {
    match result {
        Ok(Fetched::All(all)) => {
            let all = *all;
            model.daemon = Some(all.daemon);
            model.workspaces = all.workspaces;
            model.processes = all.processes;
        }
        Ok(Fetched::Process(process)) => match model.processes.iter_mut().find(|p| p.id == process.id) {
            Some(known) => *known = *process,
            None => model.processes.push(*process),
        },
        Ok(Fetched::Asks(list)) => model.asks = list,
        Ok(Fetched::Ask(ask)) => model.whole = Some(*ask),
        Ok(Fetched::Accounts(list)) => model.accounts = list,
        Ok(Fetched::Prompts(list)) => {
            let Fetch::Prompts(id) = fetch else { return };
            let waits = |p: &PromptView| p.process_id == *id;
            model.prompts = Some((id.clone(), list.into_iter().filter(waits).collect()));
        }
        Ok(Fetched::Tasks(list)) => {
            model.tasks.all = list;
            return model.arrange_tasks();
        }
        Ok(Fetched::Task(detail)) => return put_task(model, detail),
        Ok(Fetched::Groups(list)) => {
            model.tasks.paused = list.into_iter().filter(|g| g.paused).map(|g| g.name).collect();
        }
        Err(error) => match fetch {
            Fetch::Task(id) if error.code == Code::NotFound => {
                model.tasks.all.retain(|t| t.id != *id);
                return model.arrange_tasks();
            }
            // a daemon of a release without tasks has none
            Fetch::Tasks | Fetch::Groups if error.code == Code::UnknownMethod => {}
            Fetch::Process(id) if error.code == Code::NotFound => return remove(model, id),
            // it was decided meanwhile
            Fetch::Ask(_) | Fetch::Prompts(_) if error.code == Code::NotFound => {}
            Fetch::All
            | Fetch::Process(_)
            | Fetch::Asks
            | Fetch::Ask(_)
            | Fetch::Accounts
            | Fetch::Prompts(_)
            | Fetch::Tasks
            | Fetch::Task(_)
            | Fetch::Groups => fail(model, "failed to ask the daemon", &error),
        },
    }
    model.arrange();
}

/// Asks for what belongs to what is chosen now, and notes since when a request can be decided by one key.
fn follow(model: &mut Model, asks: &mut Vec<Ask>) {
    let details = match model.page {
        Page::Table => model.areas().detail.is_some(),
        Page::Inbox { .. } | Page::Detail { .. } => true,
        Page::Log { .. } | Page::Help { .. } => false,
    };
    if details {
        let chosen = model.chosen_ask().map(|ask| ask.id.clone());
        let known = model.whole.as_ref().map(|ask| &ask.id);
        if let Some(id) = chosen.filter(|id| Some(id) != known) {
            let fetch = Fetch::Ask(id);
            if !model.fetches.under_way.contains(&fetch) {
                want(model, fetch, asks);
            }
        }
        let process = model.chosen_process().map(|p| (p.id.clone(), p.prompts));
        let known = model.prompts.as_ref().map(|(id, _)| id.clone());
        if let Some((id, prompts)) = process
            && known.as_ref() != Some(&id)
        {
            model.prompts = None;
            let fetch = Fetch::Prompts(id);
            if prompts > 0 && !model.fetches.under_way.contains(&fetch) {
                want(model, fetch, asks);
            }
        }
    }
    if shows_task(model)
        && let Some(id) = model.tasks.chosen.clone()
        && model.task_whole().is_none()
        && !model.fetches.under_way.contains(&Fetch::Task(id.clone()))
    {
        want(model, Fetch::Task(id), asks);
    }
    let decidable = model.decidable().map(|ask| ask.id.clone());
    if model.decidable_since.0 != decidable {
        model.decidable_since = (decidable, model.now);
    }
}
