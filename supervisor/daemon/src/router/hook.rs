//! What Claude's hooks tell.

use std::{path::PathBuf, rc::Rc, time::Duration};

use serde_json::Value;
use tokio::sync::oneshot;
use wezterm_parallel_core::{
    claude::{
        hook::{self, Hook, HookEvent},
        request, statusline,
    },
    inbox::{Asked, Input, LATE_MS},
};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    hook::{HookAnswer, HookKind, HookReport, SHORTENED},
    inbox::{AskState, AskView},
};

use super::{Router, fault};
use crate::{
    actors::{
        inbox::{self, Ask},
        process::{Hooked, StatusLined},
    },
    caller::Caller,
    effects::{
        ancestry::{self, Home},
        edit,
    },
    shared::TaskHome,
};

/// Longest look at where a tool would work and what it would change: on a local disk it takes some
/// milliseconds.
const LOOK: Duration = Duration::from_secs(2);

/// What is asked.
struct Request<'a> {
    /// The id that the hook has given it.
    id: &'a str,
    hook: &'a Hook,
    tool: &'a str,
    input: &'a Value,
}

impl Router {
    /// Hands a report on to the process that it is about; a request of permission is answered when it is
    /// decided.
    pub(super) async fn report_hook(&self, caller: &Rc<Caller>, p: HookReport) -> Result<HookAnswer, Error> {
        self.only_own(caller, &p)?;
        if p.taken {
            let id = p.ask.ok_or_else(|| Error::new(Code::BadParams, "a receipt needs `ask`"))?;
            self.shared.inbox.do_send(inbox::Tell(Input::Taken { id, run_id: p.run }));
            return Ok(HookAnswer::default());
        }
        // not borrowed any more while the request waits, as other tasks begin meanwhile
        let task = self.shared.task_homes.borrow().get(&p.process).cloned();
        if let Some(home) = task {
            return self.report_task(caller, p, home).await;
        }
        let agent = self.shared.agents.borrow().get(&p.process).cloned();
        let agent = agent.ok_or_else(|| no_process(&p.process))?;
        if p.kind == HookKind::StatusLine {
            let line = statusline::parse(&p.payload).map_err(|e| Error::new(Code::BadParams, e))?;
            agent.do_send(StatusLined { run_id: p.run, line, at: p.at });
            return Ok(HookAnswer::default());
        }
        let hook = hook::parse(&p.payload).map_err(|e| Error::new(Code::BadParams, e))?;
        // one that has waited for a daemon may tell of a dialog that is long answered
        let late = p.hold && p.attended && self.shared.clock.at() - p.at > LATE_MS;
        if !late {
            agent.do_send(Hooked { run_id: p.run.clone(), hook: hook.clone(), at: p.at });
        }
        match (&hook.event, &p.ask) {
            (HookEvent::PermissionRequest { tool, input }, Some(id)) if p.hold => {
                let process = self.shared.board.process(&p.process).ok_or_else(|| no_process(&p.process))?;
                let asker = Asker {
                    id: process.id,
                    workspace: process.workspace,
                    name: process.name,
                    cwd: process.cwd,
                    run_id: process.run_id,
                };
                self.hold(caller, &p, Request { id, hook: &hook, tool, input }, asker).await
            }
            _ => Ok(HookAnswer::default()),
        }
    }

    /// The Claude of a task reports: what it asks goes into the inbox, and its output says the rest.
    async fn report_task(
        &self,
        caller: &Rc<Caller>,
        p: HookReport,
        home: TaskHome,
    ) -> Result<HookAnswer, Error> {
        if p.kind == HookKind::StatusLine {
            return Ok(HookAnswer::default());
        }
        let hook = hook::parse(&p.payload).map_err(|e| Error::new(Code::BadParams, e))?;
        let (HookEvent::PermissionRequest { tool, input }, Some(id), true) = (&hook.event, &p.ask, p.hold)
        else {
            return Ok(HookAnswer::default());
        };
        let asker = Asker {
            id: home.id,
            workspace: home.workspace.unwrap_or_else(|| TASKS.into()),
            name: home.name,
            cwd: home.cwd,
            run_id: Some(home.run_id),
        };
        self.hold(caller, &p, Request { id, hook: &hook, tool, input }, asker).await
    }

    /// Refuses what a process says in the name of another one. Who has ended by now cannot be looked at:
    /// its plain reports are believed, but it can hold no request.
    fn only_own(&self, caller: &Caller, p: &HookReport) -> Result<(), Error> {
        let forbidden = |who: &str| {
            Err(Error::new(Code::Forbidden, format!("{who} may not speak for another process"))
                .hint("hooks of an agent are run by that agent"))
        };
        match self.with_kept(|kept| ancestry::home(caller.pid, kept)) {
            Home::In(id) if id != p.process => forbidden("a process"),
            Home::Unknown if p.hold => forbidden("a caller that nobody knows"),
            Home::In(_) | Home::Outside | Home::Unknown => Ok(()),
        }
    }

    /// Puts a request into the inbox and waits for what becomes of it, for as long as its hook does.
    async fn hold(
        &self,
        caller: &Rc<Caller>,
        p: &HookReport,
        request: Request<'_>,
        asker: Asker,
    ) -> Result<HookAnswer, Error> {
        let Request { id, hook, tool, input } = request;
        if ulid::Ulid::from_string(id).is_err() {
            return Err(Error::new(Code::BadParams, "`ask` is no ULID"));
        }
        // one of a run that is over by now asks nobody
        if asker.run_id.as_ref() != Some(&p.run) {
            return Ok(HookAnswer::default());
        }
        let Some(held) = self.room_to_hold() else {
            tracing::warn!(process = p.process, "too many requests are held: this one is left to Claude");
            return Ok(HookAnswer::default());
        };
        let mut view = view(p, id, hook, tool, input, &asker);
        let (home, cwd, input, name) = (asker.cwd.clone(), view.cwd.clone(), input.clone(), tool.to_owned());
        let (places, store, known) =
            (self.shared.places.clone(), self.shared.board.store().clone(), id.to_owned());
        // where that cannot be read, the inbox still knows the newest ones
        let over = tokio::task::spawn_blocking(move || store.ask_is_over(&known).unwrap_or_default());
        if over.await.map_err(|_| fault())? {
            return Err(Error::new(Code::Conflict, format!("the request {id} is over"))
                .hint("ask anew, under an id of its own"));
        }
        let looked = tokio::task::spawn_blocking(move || {
            (edit::place(&home, &cwd, &input, &places), edit::diff(&name, &input, &cwd))
        });
        // a disk that does not answer must not keep the request from its user; no rule may allow it then
        let (place, diff) = match tokio::time::timeout(LOOK, looked).await {
            Ok(looked) => looked.map(|(place, diff)| (Some(place), diff)).map_err(|_| fault())?,
            Err(_) => (None, None),
        };
        view.diff = diff;
        let holder = self.next_holder();
        let (reply, answer) = oneshot::channel();
        let asked = Asked { view, attended: p.attended, holder };
        self.shared.inbox.do_send(Ask { asked, place, reply });
        let (inbox, caller) = (self.shared.inbox.clone(), caller.clone());
        // its end matters also after it has its answer: it may not have handed it over
        actix_rt::spawn(async move {
            caller.gone().await;
            drop(held);
            inbox.do_send(inbox::Tell(Input::Left(holder)));
        });
        // without one, the inbox has failed or let the hook go: Claude goes on as if we were not there
        Ok(HookAnswer { output: answer.await.unwrap_or_default() })
    }
}

/// Stands where the workspace of a task would, if it has none.
const TASKS: &str = "tasks";

/// Who asks: a process or a task.
struct Asker {
    id: String,
    workspace: String,
    name: String,
    cwd: PathBuf,
    run_id: Option<String>,
}

fn view(p: &HookReport, id: &str, hook: &Hook, tool: &str, input: &Value, asker: &Asker) -> AskView {
    let cwd: PathBuf = hook.cwd.clone().unwrap_or_else(|| asker.cwd.clone());
    // `"` stands in front of a key and nowhere in the texts of JSON without a backslash
    let shortened = p.payload.contains(&format!("\"{SHORTENED}\":true"));
    let agent = || hook.agent_type.clone().filter(|t| !t.is_empty()).unwrap_or_else(|| "subagent".into());
    AskView {
        id: id.to_owned(),
        workspace: asker.workspace.clone(),
        process: asker.name.clone(),
        process_id: asker.id.clone(),
        run_id: p.run.clone(),
        session_id: hook.session_id.clone(),
        kind: request::kind(tool),
        tool: tool.to_owned(),
        summary: request::summary(tool, input, &cwd),
        input: input.to_string(),
        shortened,
        diff: None,
        questions: request::questions(input),
        cwd,
        agent: hook.agent_id.as_ref().map(|_| agent()),
        agent_id: hook.agent_id.clone(),
        at: p.at,
        state: AskState::Open,
        decision: None,
    }
}

fn no_process(id: &str) -> Error {
    Error::new(Code::NotFound, format!("there is no process {id}"))
}
