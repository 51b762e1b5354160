//! Which agent a caller is, if it is one: what an agent starts may ask for much, but not decide for its
//! user. The kernel says who is connected; the tree of processes says whose it is. A run's keeper is the
//! reaper of its tree, so that what an agent leaves running stays below it.

use wezterm_parallel_schemas::process::{Kind, ProcessView};

use crate::shared::TaskHome;

/// Deepest tree that is walked: shells in shells in agents, and far more than anybody has.
const DEPTH_MAX: usize = 256;

/// A process that ends while the tree is walked leaves its children to its reaper: then it is walked again.
const TRIES_MAX: usize = 3;

/// What a caller is.
#[derive(Clone, Debug, PartialEq)]
pub enum Ancestry {
    /// A program of the user's.
    User,
    /// An agent, or something that it has started.
    Process(Box<ProcessView>),
    /// The Claude of a task, or something that it has started.
    Task(Box<TaskHome>),
    /// Nobody knows: it was gone before it could be looked at.
    Unknown,
}

/// In which process or task a caller lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// The one with this id.
    In(String),
    /// None of ours.
    Outside,
    /// Nobody knows: it was gone before it could be looked at.
    Unknown,
}

/// What is kept here: what a caller may live in.
pub struct Kept<'a> {
    /// The processes.
    pub processes: &'a [ProcessView],
    /// The tasks that run.
    pub tasks: &'a [TaskHome],
}

/// Looks at the process that calls. Reads a few small files of the kernel's.
pub fn of(pid: Option<i32>, kept: &Kept<'_>) -> Ancestry {
    match climb(pid, kept, Place::is_agent) {
        Climbed::Found(Place::Process(view)) => Ancestry::Process(Box::new(view.clone())),
        Climbed::Found(Place::Task(home)) => Ancestry::Task(Box::new(home.clone())),
        Climbed::Top => Ancestry::User,
        Climbed::Lost => Ancestry::Unknown,
    }
}

/// Looks at where the caller lives: the nearest one.
pub fn home(pid: Option<i32>, kept: &Kept<'_>) -> Home {
    match climb(pid, kept, |_| true) {
        Climbed::Found(Place::Process(view)) => Home::In(view.id.clone()),
        Climbed::Found(Place::Task(home)) => Home::In(home.id.clone()),
        Climbed::Top => Home::Outside,
        Climbed::Lost => Home::Unknown,
    }
}

#[derive(Clone, Copy)]
enum Place<'a> {
    Process(&'a ProcessView),
    Task(&'a TaskHome),
}

impl Place<'_> {
    fn is_agent(self) -> bool {
        match self {
            Self::Process(view) => view.kind == Kind::Claude || view.agent.is_some(),
            Self::Task(home) => !home.command,
        }
    }

    fn pids(self) -> [Option<i32>; 2] {
        match self {
            Self::Process(view) => [view.keeper_pid, view.pid],
            Self::Task(home) => [home.keeper_pid, home.pid],
        }
    }
}

/// Where the way up ends.
enum Climbed<'a> {
    Found(Place<'a>),
    Top,
    Lost,
}

fn climb<'a>(pid: Option<i32>, kept: &Kept<'a>, wanted: impl Fn(Place<'a>) -> bool) -> Climbed<'a> {
    let Some(pid) = pid.filter(|pid| *pid > 0) else { return Climbed::Lost };
    let places = kept.processes.iter().map(Place::Process).chain(kept.tasks.iter().map(Place::Task));
    let places: Vec<Place<'a>> = places.filter(|place| wanted(*place)).collect();
    let mut walks = (0..TRIES_MAX).map(|_| walk(pid, &places));
    walks.find(|found| !matches!(found, Climbed::Lost)).unwrap_or(Climbed::Lost)
}

fn walk<'a>(mut pid: i32, places: &[Place<'a>]) -> Climbed<'a> {
    for _ in 0..DEPTH_MAX {
        if let Some(found) = places.iter().find(|place| place.pids().contains(&Some(pid))) {
            return Climbed::Found(*found);
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
        let looked = |views: &[ProcessView]| of(Some(me), &Kept { processes: views, tasks: &[] });
        let at_home = |views: &[ProcessView]| home(Some(me), &Kept { processes: views, tasks: &[] });
        let lead = view("claude", None, above);
        assert_eq!(looked(std::slice::from_ref(&lead)), Ancestry::Process(Box::new(lead)));
        let codex = view("command", Some("codex"), me);
        assert_eq!(looked(std::slice::from_ref(&codex)), Ancestry::Process(Box::new(codex)));
        assert_eq!(looked(&[view("command", None, above)]), Ancestry::User, "a shell is the user's own");
        assert_eq!(looked(&[]), Ancestry::User);
        assert_eq!(at_home(&[view("command", None, above)]), Home::In("x".into()));
        assert_eq!(at_home(&[]), Home::Outside);
        let nobody = Kept { processes: &[], tasks: &[] };
        assert_eq!(home(None, &nobody), Home::Unknown);
        assert_eq!(of(None, &nobody), Ancestry::Unknown);
        assert_eq!(of(Some(i32::MAX), &nobody), Ancestry::Unknown, "it is gone");
    }

    #[test]
    fn the_claude_of_a_task_is_an_agent_and_a_command_is_the_users_own() {
        let me = std::process::id().cast_signed();
        let task = |command| TaskHome {
            id: "t".into(),
            name: "tests".into(),
            run_id: "t.1".into(),
            workspace: None,
            cwd: "/src".into(),
            command,
            depth: 0,
            root: None,
            inherited: Vec::new(),
            agent: None,
            pid: Some(1),
            keeper_pid: Some(me),
        };
        let looked = |task: &TaskHome| {
            let kept = Kept { processes: &[], tasks: std::slice::from_ref(task) };
            (of(Some(me), &kept), home(Some(me), &kept))
        };
        let claude = task(false);
        assert_eq!(looked(&claude), (Ancestry::Task(Box::new(claude.clone())), Home::In("t".into())));
        assert_eq!(looked(&task(true)), (Ancestry::User, Home::In("t".into())));
    }
}
