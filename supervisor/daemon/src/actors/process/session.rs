//! The session of a process is open in one place only: here, or not at all.

use std::path::Path;

use wezterm_parallel_schemas::{
    error::{Code, Error},
    keeper::StartFailure,
    process::Kind,
};

use super::ProcessActor;
use crate::effects::{claude, registry};

/// Why a run is not to be started.
pub(super) struct Refused {
    /// As its machine takes it.
    pub(super) reason: StartFailure,
    /// As a client sees it.
    pub(super) error: Error,
}

impl Refused {
    /// One whose code follows from its reason.
    pub(super) fn new(reason: StartFailure, message: impl Into<String>) -> Self {
        let code = match reason {
            StartFailure::Program => Code::ProgramMissing,
            StartFailure::Cwd => Code::CwdMissing,
            StartFailure::System => Code::Internal,
        };
        Self { reason, error: Error::new(code, message) }
    }

    /// Its session is open elsewhere. Nothing is tried again: waiting would mend nothing.
    fn open_elsewhere(message: String, hint: &str) -> Self {
        Self { reason: StartFailure::Program, error: Error::new(Code::Conflict, message).hint(hint) }
    }
}

impl ProcessActor {
    /// The session that it is in, or will be in when it starts.
    fn own_session(&self) -> Option<&str> {
        let chosen = || claude::chosen_session(&self.machine.spec().command);
        self.session.as_deref().or_else(chosen).filter(|_| self.machine.spec().kind == Kind::Claude)
    }

    /// Takes its session before a start.
    pub(super) fn take_session(&self) -> Result<(), Refused> {
        let Some(session) = self.own_session() else { return Ok(()) };
        self.shared.sessions.take(&self.row.id, session).map_err(|other| {
            let shown = self.shared.board.processes().into_iter().find(|p| p.id == other);
            let name = shown.map_or(other, |p| format!("{}/{}", p.workspace, p.name));
            let message = format!("its session {session} is open in {name}");
            Refused::open_elsewhere(message, "stop that one, or leave the session there by /clear")
        })
    }

    /// Says which session it has open: while something of it runs, or is about to.
    pub(super) fn hold_session(&self) {
        let open = self.machine.run().is_some();
        match self.own_session() {
            Some(session) if open => self.shared.sessions.moved(&self.row.id, session),
            // between its claim and its launch, it has been taken or not
            _ if self.machine.launching() => {}
            Some(_) | None => self.shared.sessions.leave(&self.row.id),
        }
    }
}

/// Looks whether a session is open in a Claude that is not of this daemon. Reads the disk.
pub(super) fn open_elsewhere(account: Option<&Path>, session: &str) -> Result<(), Refused> {
    let living = account.map(registry::all).unwrap_or_default();
    match living.iter().find(|l| l.entry.session_id.as_deref() == Some(session)) {
        None => Ok(()),
        Some(l) => {
            let (pid, dir) = (l.entry.pid, l.entry.cwd.display());
            let message = format!("its session {session} is open in another Claude, process {pid} in {dir}");
            Err(Refused::open_elsewhere(message, "end that one, then start this one"))
        }
    }
}
