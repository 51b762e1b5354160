//! What Claude's hooks tell.

use wezterm_parallel_core::claude::{hook, statusline};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    hook::{HookAnswer, HookKind, HookReport},
};

use super::Router;
use crate::{
    actors::process::{Hooked, StatusLined},
    caller::Caller,
};

impl Router {
    /// Hands a report on to the process that it is about.
    pub(super) async fn report_hook(&self, _: &Caller, p: HookReport) -> Result<HookAnswer, Error> {
        let agent = self.shared.agents.borrow().get(&p.process).cloned();
        let agent =
            agent.ok_or_else(|| Error::new(Code::NotFound, format!("there is no process {}", p.process)))?;
        if p.kind == HookKind::StatusLine {
            let line = statusline::parse(&p.payload).map_err(|e| Error::new(Code::BadParams, e))?;
            agent.do_send(StatusLined { run_id: p.run, line, at: p.at });
            return Ok(HookAnswer::default());
        }
        let hook = hook::parse(&p.payload).map_err(|e| Error::new(Code::BadParams, e))?;
        agent.do_send(Hooked { run_id: p.run, hook, at: p.at });
        Ok(HookAnswer::default())
    }
}
