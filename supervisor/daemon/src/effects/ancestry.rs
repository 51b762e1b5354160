//! Which agent a caller is, if it is one: what an agent starts may ask for much, but not decide for its
//! user. The kernel says who is connected; the tree of processes says whose it is. A run's keeper is the
//! reaper of its tree, so that what an agent leaves running stays below it.

use wezterm_parallel_schemas::process::{Kind, ProcessView};

/// Deepest tree that is walked: shells in shells in agents, and far more than anybody has.
const DEPTH_MAX: usize = 256;

/// A process that ends while the tree is walked leaves its children to its reaper: then it is walked again.
const TRIES_MAX: usize = 3;

/// What a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ancestry {
    /// A program of the user's.
    User,
    /// An agent, or something that it has started: `WORKSPACE/PROCESS`.
    Agent(String),
    /// Nobody knows: it was gone before it could be looked at.
    Unknown,
}

/// Which process a caller lives in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// The one with this id.
    In(String),
    /// None of ours.
    Outside,
    /// Nobody knows: it was gone before it could be looked at.
    Unknown,
}

/// Looks at the process that calls. Reads a few small files of the kernel's.
pub fn of(pid: Option<i32>, processes: &[ProcessView]) -> Ancestry {
    let agent = |v: &ProcessView| v.kind == Kind::Claude || v.agent.is_some();
    match climb(pid, processes, agent) {
        Climbed::Found(v) => Ancestry::Agent(format!("{}/{}", v.workspace, v.name)),
        Climbed::Top => Ancestry::User,
        Climbed::Lost => Ancestry::Unknown,
    }
}

/// Looks at which process the caller lives in: the nearest one.
pub fn home(pid: Option<i32>, processes: &[ProcessView]) -> Home {
    match climb(pid, processes, |_| true) {
        Climbed::Found(v) => Home::In(v.id.clone()),
        Climbed::Top => Home::Outside,
        Climbed::Lost => Home::Unknown,
    }
}

/// Where the way up ends.
enum Climbed<'a> {
    Found(&'a ProcessView),
    Top,
    Lost,
}

fn climb(pid: Option<i32>, processes: &[ProcessView], wanted: impl Fn(&ProcessView) -> bool) -> Climbed<'_> {
    let Some(pid) = pid.filter(|pid| *pid > 0) else { return Climbed::Lost };
    let mut walks = (0..TRIES_MAX).map(|_| walk(pid, processes, &wanted));
    walks.find(|found| !matches!(found, Climbed::Lost)).unwrap_or(Climbed::Lost)
}

fn walk<'a>(
    mut pid: i32,
    processes: &'a [ProcessView],
    wanted: &impl Fn(&ProcessView) -> bool,
) -> Climbed<'a> {
    for _ in 0..DEPTH_MAX {
        let here = |v: &&ProcessView| v.keeper_pid == Some(pid) || v.pid == Some(pid);
        if let Some(found) = processes.iter().filter(|v| wanted(v)).find(here) {
            return Climbed::Found(found);
        }
        match parent(pid) {
            Some(above) if above > 1 => pid = above,
            Some(_) => return Climbed::Top,
            None => return Climbed::Lost,
        }
    }
    Climbed::Lost
}

/// The process that started this one, or took it over.
#[cfg(target_os = "linux")]
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name stands in parentheses and may have some itself
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The process that started this one, or took it over.
#[cfg(not(target_os = "linux"))]
fn parent(pid: i32) -> Option<i32> {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
    let (mut system, pid) = (System::new(), Pid::from_u32(u32::try_from(pid).ok()?));
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
    i32::try_from(system.process(pid)?.parent()?.as_u32()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_up_ends_at_an_agent_or_at_the_user() {
        let (me, above) = (std::process::id().cast_signed(), rustix::process::getppid().expect("a parent"));
        let view = |kind: &str, agent: Option<&str>, keeper: i32| {
            serde_json::from_value::<ProcessView>(serde_json::json!({
                "workspace": "api", "name": "lead", "id": "x", "kind": kind, "state": "running", "status": null,
                "unread": false, "pid": 1, "keeper_pid": keeper, "run_id": null, "session_id": null, "restarts": 0,
                "started_at": null, "source": "config", "agent": agent,
            }))
            .expect("a view")
        };
        let above = above.as_raw_nonzero().get();
        let agent = Ancestry::Agent("api/lead".into());
        assert_eq!(of(Some(me), &[view("claude", None, above)]), agent);
        assert_eq!(of(Some(me), &[view("command", Some("codex"), me)]), agent);
        assert_eq!(
            of(Some(me), &[view("command", None, above)]),
            Ancestry::User,
            "a shell is the user's own"
        );
        assert_eq!(of(Some(me), &[]), Ancestry::User);
        assert_eq!(home(Some(me), &[view("command", None, above)]), Home::In("x".into()));
        assert_eq!(home(Some(me), &[]), Home::Outside);
        assert_eq!(home(None, &[]), Home::Unknown);
        assert_eq!(of(None, &[]), Ancestry::Unknown);
        assert_eq!(of(Some(i32::MAX), &[]), Ancestry::Unknown, "it is gone");
    }
}
