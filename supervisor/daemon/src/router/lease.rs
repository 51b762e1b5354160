//! Leases: who asks for one, and what a name means.

use std::{path::Path, rc::Rc, time::Duration};

use tokio::sync::oneshot;
use wezterm_parallel_core::{
    lease::{Claim, End, Input, Life},
    rule,
};
use wezterm_parallel_schemas::{
    daemon::Empty,
    error::{Code, Error},
    lease::{LEASE_NAME_BYTES_MAX, LeaseAcquire, LeaseRelease, LeaseView},
};

use super::{Router, fault, gone};
use crate::{
    actors::lease::{Acquire, List, Release, Tell},
    caller::Caller,
    effects::{ancestry::Ancestry, edit},
};

/// Longest look at where a path leads; one on a mount that does not answer is taken as it is written.
const LOOK: Duration = Duration::from_secs(2);
/// What a port is named by.
const PORT: &str = "port:";

impl Router {
    pub(super) async fn acquire_lease(
        &self,
        caller: &Rc<Caller>,
        p: LeaseAcquire,
    ) -> Result<LeaseView, Error> {
        let name = lease_name(p.name).await?;
        // after the look at the disk: between this and the order nothing else happens, so that a run that is
        // over has nothing left behind
        let (holder, run) = self.lease_holder(caller)?;
        let life = match run {
            Some(run) if !p.while_connected => Life::Run(run),
            run => Life::Connection { id: caller.id, run },
        };
        let of_connection = matches!(life, Life::Connection { .. });
        let ticket = self.next_holder();
        let (reply, answer) = oneshot::channel();
        let wait = p.wait_ms.unwrap_or(0);
        let claim = Claim { ticket, name, holder, life, wait, time: p.for_ms, reason: p.reason };
        self.shared.leases.do_send(Acquire { claim, reply });
        let leases = self.shared.leases.clone();
        let view = tokio::select! {
            answer = answer => answer.map_err(|_| fault())??,
            () = caller.gone() => {
                leases.do_send(Tell(Input::Left(ticket)));
                return Err(Error::new(Code::Conflict, "the caller has gone"));
            }
        };
        if of_connection && caller.watch() {
            let caller = caller.clone();
            actix_rt::spawn(async move {
                caller.gone().await;
                leases.do_send(Tell(Input::Over(End::Connection(caller.id))));
            });
        }
        Ok(view)
    }

    pub(super) async fn release_lease(&self, caller: &Caller, p: LeaseRelease) -> Result<Empty, Error> {
        let name = lease_name(p.name).await?;
        let by = self.lease_holder(caller)?.1.map(Life::Run);
        self.shared.leases.send(Release { name, by }).await.map_err(gone)??;
        Ok(Empty {})
    }

    pub(super) async fn list_leases(&self) -> Result<Vec<LeaseView>, Error> {
        self.shared.leases.send(List).await.map_err(gone)
    }

    /// The name of the caller, and its run if it is an agent.
    fn lease_holder(&self, caller: &Caller) -> Result<(String, Option<String>), Error> {
        match self.ancestry(caller) {
            Ancestry::Process(view) => Ok((format!("{}/{}", view.workspace, view.name), view.run_id)),
            Ancestry::Task(home) => Ok((home.id, Some(home.run_id))),
            Ancestry::User => Ok((format!("user {}", caller.pid.unwrap_or_default()), None)),
            Ancestry::Unknown => {
                Err(Error::new(Code::Forbidden, "a caller that nobody knows may not hold a lease"))
            }
        }
    }
}

/// The one name of what is meant: a path without links on the way, a port as a number.
async fn lease_name(name: String) -> Result<String, Error> {
    if name.len() > LEASE_NAME_BYTES_MAX {
        return Err(Error::new(Code::BadParams, format!("a name has at most {LEASE_NAME_BYTES_MAX} bytes")));
    }
    if let Some(number) = name.strip_prefix(PORT) {
        return match number.parse::<u16>() {
            Ok(port) if port > 0 => Ok(format!("{PORT}{port}")),
            _ => Err(Error::new(Code::BadParams, format!("{number} is not the number of a port"))),
        };
    }
    if Path::new(&name).is_absolute() {
        let path = rule::absolute(Path::new("/"), &name);
        let plain = path.display().to_string();
        let looked = tokio::task::spawn_blocking(move || edit::real(&path));
        let real = match tokio::time::timeout(LOOK, looked).await {
            Ok(real) => real.map_err(|_| fault())?,
            Err(_) => None,
        };
        return Ok(real.and_then(|real| real.into_os_string().into_string().ok()).unwrap_or(plain));
    }
    let relative = name.split_once('/').is_some_and(|(first, _)| !first.contains(':'));
    if relative || name == "." || name == ".." {
        return Err(Error::new(Code::BadParams, format!("the path {name} is not absolute"))
            .hint("give the whole path; a name that is no path has no `/`, or a word and `:` before it"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn one_thing_has_one_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().canonicalize().expect("it is there");
        std::fs::write(root.join("file"), "").expect("a file");
        std::os::unix::fs::symlink(root.join("file"), root.join("link")).expect("a link");
        let path = |name: &str| root.join(name).display().to_string();
        for (asked, meant) in [
            (path("link"), path("file")),
            (path("./x/../file"), path("file")),
            (path("not/there/yet"), path("not/there/yet")),
            ("port:08080".into(), "port:8080".into()),
            ("the database".into(), "the database".into()),
            ("branch:feature/x".into(), "branch:feature/x".into()),
        ] {
            assert_eq!(lease_name(asked).await, Ok(meant));
        }
        for bad in ["port:0", "port:http", "port:70000", "src/main.rs", "./x", "..", "."] {
            let e = lease_name(bad.into()).await.expect_err(bad);
            assert_eq!(e.code, Code::BadParams, "{bad}");
        }
    }
}
