//! Living Claudes, as their own files and the machine have them: which of them is the agent of a run of
//! ours, which is only somewhere below one, and which is nobody's.

use std::path::PathBuf;

use wezterm_parallel_schemas::process::{Blocked, Status};

use crate::claude::registry::{Activity, Entry};

/// A Claude that lives.
#[derive(Clone, Debug, PartialEq)]
pub struct Living {
    /// What its file says.
    pub entry: Entry,
    /// Its account: the config directory that the file lies in.
    pub account: PathBuf,
    /// The processes that it descends from, its parent first.
    pub ancestors: Vec<i32>,
}

impl Living {
    /// The keeper whose run it is in: the nearest one, since keepers of a daemon that was started from
    /// inside of a run stand below that run's keeper.
    pub fn keeper(&self, is_keeper: impl Fn(i32) -> bool) -> Option<i32> {
        self.ancestors.iter().copied().find(|pid| is_keeper(*pid))
    }

    /// When what the file says was written, in milliseconds since 1970.
    pub fn written_at(&self) -> i64 {
        self.entry.updated_at.unwrap_or(self.entry.started_at)
    }
}

/// The agent of a run whose program is `pid` and whose keeper is `keeper`: that program itself, or, where
/// a script stands between, the topmost Claude below the keeper. What an agent starts itself (`claude -p`
/// in its shell, a Claude of Claude's own daemon) is none.
pub fn agent_of<'a>(
    living: impl IntoIterator<Item = &'a Living>,
    pid: i32,
    keeper: i32,
    is_keeper: impl Fn(i32) -> bool,
) -> Option<&'a Living> {
    let below: Vec<&Living> = living
        .into_iter()
        .filter(|l| l.keeper(&is_keeper) == Some(keeper) && l.entry.kind.as_deref() != Some("bg"))
        .collect();
    if let Some(itself) = below.iter().find(|l| l.entry.pid == pid) {
        return Some(itself);
    }
    let topmost = |l: &&&Living| !below.iter().any(|other| l.ancestors.contains(&other.entry.pid));
    below.iter().filter(topmost).min_by_key(|l| (l.entry.started_at, l.entry.pid)).copied()
}

/// The status that such a file stands for. It cannot tell an error from an idle prompt.
pub fn status_of(entry: &Entry) -> Status {
    match &entry.status {
        None => Status::Starting,
        Some(Activity::Idle) => Status::Idle,
        Some(Activity::Busy | Activity::Shell) => Status::Working,
        Some(Activity::Waiting) => match entry.waiting_for.as_deref() {
            Some("permission prompt") => Status::Blocked(Blocked::Permission),
            // its user has opened one: it asks for nothing
            Some("dialog open") => Status::Idle,
            Some(_) | None => Status::Blocked(Blocked::Question),
        },
        Some(Activity::Other(_)) => Status::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPERS: &[i32] = &[10, 20];

    fn living(pid: i32, ancestors: &[i32], started_at: i64) -> Living {
        let text = format!(r#"{{"pid":{pid},"startedAt":{started_at},"kind":"interactive"}}"#);
        Living {
            entry: crate::claude::registry::parse(text.as_bytes()).expect("an entry"),
            account: "/home/dev/.claude".into(),
            ancestors: ancestors.to_vec(),
        }
    }

    fn agent(living: &[Living], pid: i32, keeper: i32) -> Option<i32> {
        agent_of(living, pid, keeper, |p| KEEPERS.contains(&p)).map(|l| l.entry.pid)
    }

    #[test]
    fn the_program_of_a_run_is_its_agent_whatever_it_started() {
        let all = [living(11, &[10, 1], 5), living(15, &[14, 11, 10, 1], 9), living(99, &[98, 1], 1)];
        assert_eq!(agent(&all, 11, 10), Some(11));
    }

    #[test]
    fn behind_a_script_the_topmost_claude_is_the_agent() {
        let all = [living(15, &[14, 12, 11, 10, 1], 9), living(12, &[11, 10, 1], 5)];
        assert_eq!(agent(&all, 11, 10), Some(12));
        let mut daemons = living(13, &[10, 1], 1);
        daemons.entry.kind = Some("bg".into());
        assert_eq!(agent(&[daemons, all[1].clone()], 11, 10), Some(12), "Claude's own daemon's is none");
    }

    #[test]
    fn a_run_inside_of_a_run_is_the_inner_ones() {
        let inner = living(21, &[20, 10, 1], 9);
        assert_eq!(agent(std::slice::from_ref(&inner), 21, 20), Some(21));
        assert_eq!(agent(&[inner], 11, 10), None);
    }

    #[test]
    fn a_claude_of_somebody_else_is_no_agent_of_ours() {
        let foreign = living(99, &[98, 1], 1);
        assert_eq!(foreign.keeper(|p| KEEPERS.contains(&p)), None);
        assert_eq!(agent(&[foreign], 11, 10), None);
    }

    #[test]
    fn what_the_file_says_stands_for_a_status() {
        for (json, status) in [
            (r#"{"pid":1}"#, "starting"),
            (r#"{"pid":1,"status":"idle"}"#, "idle"),
            (r#"{"pid":1,"status":"busy"}"#, "working"),
            (r#"{"pid":1,"status":"shell"}"#, "working"),
            (r#"{"pid":1,"status":"waiting","waitingFor":"permission prompt"}"#, "blocked(permission)"),
            (r#"{"pid":1,"status":"waiting","waitingFor":"input needed"}"#, "blocked(question)"),
            (r#"{"pid":1,"status":"waiting","waitingFor":"dialog open"}"#, "idle"),
            (r#"{"pid":1,"status":"dreaming"}"#, "unknown"),
        ] {
            let entry = crate::claude::registry::parse(json.as_bytes()).expect("an entry");
            assert_eq!(status_of(&entry).name(), status, "{json}");
        }
    }
}
