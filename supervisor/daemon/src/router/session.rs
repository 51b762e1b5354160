//! Claude's sessions: which there are, where they are open, and Claudes that somebody started by hand.

use std::{collections::HashSet, path::PathBuf, time::Duration};

use indexmap::IndexMap;
use wezterm_parallel_core::{
    claude::{
        digest::{Digest, one_line},
        hook::is_session_id,
        registry::{Activity, Entry},
    },
    registry::{Living, status_of},
};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    process::{Kind, ProcessAdd, ProcessView, Source, State},
    session::{ProcessAdopt, SessionList, SessionOpen, SessionView},
};

use super::{Router, client_environment, fault, gone, off_thread};
use crate::{
    actors::{registry::Ask, supervisor},
    effects::{
        claude,
        pid::{self, End},
        registry::{self, Reading},
        sessions::{self, Transcript},
    },
};

/// Sessions in one answer, if the caller does not say.
const SESSIONS_DEFAULT: u32 = 200;
/// And at most.
const SESSIONS_MAX: u32 = 1_000;
/// Bytes of one answer, roughly: with its envelope it fits a frame of 1 MiB.
const ANSWER_BYTES_MAX: usize = 768 << 10;
/// What a session takes in an answer besides its texts.
const SESSION_BYTES: usize = 512;
/// How long a Claude may take to end. It takes 0.3 s; hooks of its user at the end of a session may take
/// longer.
const ADOPT_END: Duration = Duration::from_secs(10);
/// The first characters of a session, as a person would type them: fewer might mean another one tomorrow.
const PREFIX_CHARS_MIN: usize = 4;

impl Router {
    /// Sessions, newest first.
    pub(super) async fn list_sessions(&self, p: SessionList) -> Result<Vec<SessionView>, Error> {
        let account = match p.config_dir {
            Some(dir) if dir.is_absolute() => dir,
            Some(dir) => {
                let message = format!("{} is not an absolute path", dir.display());
                return Err(Error::new(Code::BadParams, message));
            }
            None => self.account(None).ok_or_else(no_account)?,
        };
        let limit = p.limit.unwrap_or(SESSIONS_DEFAULT).min(SESSIONS_MAX) as usize;
        // a directory that is gone has sessions all the same
        let cwd = match p.cwd {
            Some(dir) => Some(off_thread(move || dir.canonicalize().unwrap_or(dir)).await?),
            None => None,
        };
        let living = self.living(vec![account.clone()]).await;
        let open = |id: &str| self.where_open(&living, id);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = 0;
            let of_cwd = |d: &Digest| cwd.is_none() || d.cwd == cwd;
            sessions::all(&account, cwd.as_deref())
                .into_iter()
                .filter_map(|t| sessions::digest(&t).filter(of_cwd).map(|d| view(t, d)))
                .take_while(|v| {
                    let texts = [&v.title, &v.first_prompt, &v.last_prompt];
                    bytes += SESSION_BYTES + texts.into_iter().flatten().map(String::len).sum::<usize>();
                    bytes <= ANSWER_BYTES_MAX
                })
                .take(limit)
                .collect::<Vec<_>>()
        });
        let mut sessions = read.await.map_err(|_| fault())?;
        for session in &mut sessions {
            session.open = open(&session.session_id);
        }
        Ok(sessions)
    }

    /// Living Claudes that are in no run of ours.
    pub(super) async fn foreign(&self) -> Vec<ProcessView> {
        let living = self.living(Vec::new()).await;
        let keepers = self.keepers();
        let foreign = living.iter().filter(|l| l.keeper(|pid| keepers.contains(&pid)).is_none());
        foreign.map(foreign_view).collect()
    }

    /// Where a session is open.
    fn where_open(&self, living: &[Living], session: &str) -> Option<SessionOpen> {
        let found = living.iter().find(|l| l.entry.session_id.as_deref() == Some(session))?;
        let shown = self.shared.board.processes();
        let own = found.keeper(|pid| shown.iter().any(|v| v.keeper_pid == Some(pid)));
        let own = own.and_then(|keeper| shown.iter().find(|v| v.keeper_pid == Some(keeper)));
        Some(SessionOpen {
            pid: found.entry.pid,
            process: own.map(|v| format!("{}/{}", v.workspace, v.name)),
        })
    }

    /// Finds the session that a new process is to go on with or to begin from, which may be given by its
    /// first characters. Gives the directory to run in, if it is another than the workspace's.
    pub(super) async fn find_session(
        &self,
        p: &mut ProcessAdd,
        environment: Option<&IndexMap<String, String>>,
    ) -> Result<Option<PathBuf>, Error> {
        let (wanted, resume) = match (&p.resume, &p.fork) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(Error::new(Code::BadParams, "a session is either resumed or forked")
                    .hint("give one of the two"));
            }
            (Some(session), None) => (session.clone(), true),
            (None, Some(session)) => (session.clone(), false),
        };
        let would = supervisor::Would { add: p.clone(), cwd: None };
        let spec = self.supervisor.send(would).await.map_err(gone)??;
        let mut env = environment.cloned().unwrap_or_else(|| (**self.shared.environment.borrow()).clone());
        env.extend(spec.env);
        let account = claude::config_dir(&env).ok_or_else(no_account)?;
        let (transcript, digest) = find(account.clone(), wanted).await?;
        let session = transcript.session_id;
        if !resume {
            p.fork = Some(session);
            return Ok(None);
        }
        if let Some(open) = self.where_open(&self.living(vec![account]).await, &session) {
            let place =
                open.process.clone().unwrap_or_else(|| format!("the Claude with process id {}", open.pid));
            let hint = match open.process {
                Some(_) => format!("`--fork {session}` begins a new one from it"),
                None => format!(
                    "`process adopt {}` ends that one and goes on with its session; `--fork {session}` begins a new one from it",
                    open.pid
                ),
            };
            return Err(
                Error::new(Code::Conflict, format!("the session {session} is open in {place}")).hint(hint)
            );
        }
        p.resume = Some(session);
        // an older Claude finds a session only from where it took place
        off_thread(move || digest.cwd.filter(|dir| dir.is_dir())).await
    }

    /// Ends a Claude of somebody's and goes on with its session as a process. Until the very end of that
    /// Claude, everything that can be looked at beforehand has been looked at.
    pub(super) async fn adopt(&self, p: ProcessAdopt) -> Result<ProcessView, Error> {
        let environment = client_environment(p.environment);
        let account = self.account(environment.as_deref());
        let living = self.living(account.into_iter().collect()).await;
        let found = living.into_iter().find(|l| l.entry.pid == p.pid).ok_or_else(|| {
            Error::new(Code::NotFound, format!("there is no Claude with process id {}", p.pid))
                .hint("`process list --all` shows all")
        })?;
        self.may_adopt(&found, p.session_id.as_deref(), p.while_working)?;
        // between it and its keeper there may be a script or a shell
        let ancestors = found.ancestors.clone();
        if off_thread(move || ancestors.into_iter().any(pid::is_keeper)).await? {
            // that one would start it again
            return Err(Error::new(Code::Conflict, "another daemon of ours keeps it").hint("stop it there"));
        }
        let Entry { session_id, cwd, .. } = found.entry.clone();
        let session = session_id.ok_or_else(fault)?;
        find(found.account.clone(), session.clone()).await.map_err(|e| {
            let message = "nothing has been said in it yet: there is nothing to go on with";
            Error::new(Code::Conflict, message).hint(e.message)
        })?;
        let add = ProcessAdd {
            workspace: p.workspace,
            name: p.name,
            resume: Some(session.clone()),
            ..ProcessAdd::default()
        };
        let cwd = self.directory(cwd).await?;
        let would = supervisor::Would { add: add.clone(), cwd: Some(cwd.clone()) };
        let spec = self.supervisor.send(would).await.map_err(gone)??;
        let mut env = environment.as_deref().cloned().unwrap_or_default();
        env.extend(spec.env);
        if environment.is_some() && claude::config_dir(&env).as_ref() != Some(&found.account) {
            let message =
                format!("its account is {}, and the process's would be another", found.account.display());
            return Err(Error::new(Code::Conflict, message).hint("set CLAUDE_CONFIG_DIR to that directory"));
        }
        // nobody opens the session while it changes hands
        let hands = format!("adoption of {}", p.pid);
        self.shared.sessions.take(&hands, &session).map_err(|_| {
            Error::new(Code::Conflict, format!("the session {session} is about to be opened elsewhere"))
        })?;
        let ended = self.end(&found, p.while_working).await;
        self.shared.sessions.leave(&hands);
        ended?;
        self.make(add, Some(cwd.clone()), environment).await.map_err(|e| {
            let message = format!("{}; that Claude has ended, and its session {session} is whole", e.message);
            let by_hand =
                format!("go on with it by hand: `cd {} && claude --resume {session}`", cwd.display());
            Error::new(e.code, message).hint(by_hand)
        })
    }

    /// Whether a Claude may be taken over as it is now.
    fn may_adopt(&self, found: &Living, session: Option<&str>, while_working: bool) -> Result<(), Error> {
        let Living { entry, .. } = found;
        let conflict = |message: String| Error::new(Code::Conflict, message);
        let shown = self.shared.board.processes();
        let keeper = found.keeper(|pid| shown.iter().any(|v| v.keeper_pid == Some(pid)));
        if let Some(own) = keeper.and_then(|keeper| shown.iter().find(|v| v.keeper_pid == Some(keeper))) {
            return Err(conflict(format!("it is in {}/{} already", own.workspace, own.name)));
        }
        if entry.kind.as_deref() == Some("bg") {
            return Err(conflict("it belongs to Claude's own daemon, which would start it again".into())
                .hint("`claude stop` ends it there; then `process add --resume`"));
        }
        if !matches!(entry.entrypoint.as_deref(), Some("cli") | None) {
            return Err(conflict("it works for another program, which would miss it".into())
                .hint("only a Claude in a terminal can be taken over"));
        }
        let own = entry.session_id.as_deref();
        if own.is_none() || session.is_some_and(|s| own != Some(s)) {
            return Err(conflict("it is in another session by now".into()).hint("look again, then repeat"));
        }
        if let Some(v) = shown.iter().find(|v| v.session_id.as_deref() == own) {
            return Err(conflict(format!("its session belongs to {}/{}", v.workspace, v.name))
                .hint("end that Claude, then start the process"));
        }
        if entry.status != Some(Activity::Idle) && !while_working {
            let what = match &entry.status {
                Some(Activity::Busy) => "it is working",
                Some(Activity::Waiting) => "it waits for an answer of its user",
                Some(Activity::Shell) => "a command of it runs in the background",
                Some(Activity::Idle | Activity::Other(_)) | None => "it does not say that it is idle",
            };
            return Err(conflict(what.into()).hint("wait until it is idle; `--now` ends it all the same"));
        }
        Ok(())
    }

    /// Asks a Claude to end, and waits for that.
    async fn end(&self, found: &Living, while_working: bool) -> Result<(), Error> {
        let Living { entry, account, .. } = found.clone();
        let began = entry.proc_start.as_deref().and_then(|s| s.parse().ok());
        let began = began.ok_or_else(|| Error::new(Code::Conflict, "it does not say when it began"))?;
        tracing::info!(pid = entry.pid, "a Claude of somebody's is asked to end, to be taken over");
        let end = tokio::task::spawn_blocking(move || {
            // one last look: a prompt may have come while everything else was looked at
            let file = registry::sessions_dir(&account).join(format!("{}.json", entry.pid));
            match registry::read_whole(&account, &file) {
                Reading::Living(now) if now.entry.session_id != entry.session_id => End::Stays,
                Reading::Living(now) if !while_working && now.entry.status != Some(Activity::Idle) => {
                    End::Stays
                }
                // it writes, so it does something; what, nobody knows
                Reading::Torn => End::Stays,
                Reading::Living(_) | Reading::Gone => pid::end(entry.pid, began, ADOPT_END),
            }
        });
        match end.await.map_err(|_| fault())? {
            End::Ended | End::Gone => Ok(()),
            End::Stays => {
                let hint = "it is not idle any more, or takes its time to end; `process list --all` shows it";
                Err(Error::new(Code::Timeout, "it has not ended; nothing was started").hint(hint))
            }
            End::Refused(why) => Err(Error::new(Code::Forbidden, why)),
        }
    }

    async fn living(&self, mut accounts: Vec<PathBuf>) -> Vec<Living> {
        accounts.extend(self.account(None));
        self.shared.registry.send(Ask(accounts)).await.unwrap_or_default()
    }

    /// Claude's config directory in an environment, the daemon's own if none is given.
    pub(super) fn account(&self, environment: Option<&IndexMap<String, String>>) -> Option<PathBuf> {
        match environment {
            Some(env) => claude::config_dir(env),
            None => claude::config_dir(&self.shared.environment.borrow()),
        }
    }

    fn keepers(&self) -> HashSet<i32> {
        self.shared.board.processes().iter().filter_map(|v| v.keeper_pid).collect()
    }
}

fn no_account() -> Error {
    Error::new(Code::BadParams, "nothing says where Claude keeps its sessions")
        .hint("set HOME or CLAUDE_CONFIG_DIR")
}

/// The one session of an account that begins with `wanted`.
async fn find(account: PathBuf, wanted: String) -> Result<(Transcript, Digest), Error> {
    if !is_session_id(&wanted) {
        return Err(Error::new(Code::BadParams, "this cannot be the id of a session")
            .hint("`session list --all` shows all"));
    }
    let look = tokio::task::spawn_blocking(move || {
        let all = sessions::all(&account, None);
        let whole = all.iter().find(|t| t.session_id == wanted).cloned();
        let mut found: Vec<Transcript> = match whole {
            Some(one) => vec![one],
            None if wanted.len() < PREFIX_CHARS_MIN => Vec::new(),
            None => all.into_iter().filter(|t| t.session_id.starts_with(&wanted)).collect(),
        };
        found.dedup_by(|a, b| a.session_id == b.session_id);
        match &found[..] {
            [one] => sessions::digest(one).map(|d| (one.clone(), d)).ok_or_else(|| {
                Error::new(Code::NotFound, format!("nothing has been said in the session {wanted}"))
            }),
            [] => Err(Error::new(Code::NotFound, format!("there is no session {wanted}"))
                .hint("`session list --all` shows all")),
            [one, other, ..] => {
                let which = format!("{} and {}", one.session_id, other.session_id);
                Err(Error::new(Code::Conflict, format!("several sessions begin with {wanted}: {which}"))
                    .hint("give more of it"))
            }
        }
    });
    look.await.map_err(|_| fault())?
}

fn view(t: Transcript, d: Digest) -> SessionView {
    SessionView {
        session_id: t.session_id,
        cwd: d.cwd.unwrap_or_default(),
        title: d.title,
        first_prompt: d.first_prompt,
        last_prompt: d.last_prompt,
        started_at: d.started_at.unwrap_or(t.updated_at),
        updated_at: t.updated_at,
        cost_usd: d.cost_usd,
        model: d.model,
        branch: d.branch,
        bytes: t.bytes,
        open: None,
    }
}

/// A Claude of somebody's as it is shown among processes.
fn foreign_view(living: &Living) -> ProcessView {
    let Living { entry, .. } = living;
    let name = entry.name.as_deref().and_then(one_line);
    ProcessView {
        workspace: String::new(),
        name: name.unwrap_or_else(|| format!("claude-{}", entry.pid)),
        id: format!("foreign-{}", entry.pid),
        kind: Kind::Claude,
        state: State::Running,
        state_reason: None,
        status: Some(status_of(entry)),
        status_reason: entry.waiting_for.as_deref().and_then(one_line),
        status_since: entry.status_at,
        unread: false,
        pid: Some(entry.pid),
        keeper_pid: None,
        run_id: None,
        session_id: entry.session_id.clone(),
        restarts: 0,
        started_at: Some(entry.started_at),
        source: Source::Foreign,
        agent: None,
        command: Vec::new(),
        cwd: entry.cwd.clone(),
        title: None,
        attached: 0,
        last_exit: None,
        next_start_at: None,
        limited_until: None,
        usage: None,
        prompts: 0,
        asks: 0,
    }
}
