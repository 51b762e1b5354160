//! How a run ends: asked to or by itself, and with it everything it has started. The keeper adopts the
//! orphans of its tree, so that nothing gets out of it by a double fork, a new session or by ignoring
//! SIGTERM.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpgid, getpid, kill_process, kill_process_group};

use crate::{os, rundir};

/// What the program left behind gets SIGTERM and then this long, unless a longer grace was asked for.
/// Short, since the program's successor waits for it.
const LEFTOVER_GRACE_MS: u64 = 200;
/// Between two looks at what could not be killed.
const SURVIVOR_LOOK_MS: u64 = 1_000;
/// Longest grace: a day, so that adding it to a time cannot overflow.
const GRACE_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// While killing, what has come up anew is looked for this often: a fork may be under way.
const LOOK_MS: u64 = 10;
/// How long is killed. What then still lives sits in the kernel and cannot be killed by anybody.
const KILL_MS_MAX: u64 = 5_000;

/// The end of a run, from its first sign to the last process.
pub struct Ending {
    program: Pid,
    mark: String,
    /// Exit code or signal of the program, once it has ended.
    status: Option<Status>,
    stopped: bool,
    /// When everything that lives is killed.
    kill_at: Option<Instant>,
    kill_until: Option<Instant>,
    leftovers: Vec<Pid>,
    survivors: usize,
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Code(i32),
    Signal(i32),
}

impl Ending {
    /// Nothing has ended yet. `mark` is the environment entry of the run's processes.
    pub fn new(program: Pid, mark: String) -> Self {
        Self {
            program,
            mark,
            status: None,
            stopped: false,
            kill_at: None,
            kill_until: None,
            leftovers: vec![],
            survivors: 0,
        }
    }

    /// How the program ended, if it has.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// Whether the end was asked for.
    pub fn was_stopped(&self) -> bool {
        self.stopped
    }

    /// How many processes the program had left behind.
    pub fn leftovers(&self) -> u32 {
        u32::try_from(self.leftovers.len()).unwrap_or(u32::MAX)
    }

    /// How many could not be killed.
    pub fn survivors(&self) -> usize {
        self.survivors
    }

    /// Takes the exit status of every child that has ended: the program, and orphans that came to us.
    pub fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == self.program {
                self.status = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Some(Status::Code(code)),
                    (None, Some(signal)) => Some(Status::Signal(signal)),
                    (None, None) => continue,
                };
            }
        }
    }

    /// Ends the run: SIGTERM now, SIGKILL after the grace; at once with none. Asking again can only
    /// shorten the grace.
    pub fn stop(&mut self, grace: Duration, now: Instant) {
        let kill_at = now + grace.min(Duration::from_millis(GRACE_MS_MAX));
        self.kill_at = Some(self.kill_at.map_or(kill_at, |before| before.min(kill_at)));
        if !self.stopped && self.status.is_none() {
            self.stopped = true;
            if !grace.is_zero() {
                // the group at once, before anybody in it can fork; then whoever is not in it
                let _ = kill_process_group(self.program, Signal::TERM);
                let _ = kill_process_group(self.program, Signal::CONT);
                let outside = |pid: &Pid| getpgid(Some(*pid)) != Ok(self.program);
                ask_to_end(&self.tree().into_iter().filter(outside).collect::<Vec<_>>());
            }
        }
    }

    /// Does what is due. True when nothing of the run lives any more.
    pub fn step(&mut self, now: Instant) -> bool {
        if self.status.is_none() && self.kill_at.is_none_or(|at| now < at) {
            return false;
        }
        let tree = self.tree();
        if self.status.is_some() && tree.is_empty() {
            return self.has_nothing_marked();
        }
        if self.status.is_some() && !self.stopped && self.leftovers.is_empty() {
            self.leftovers.clone_from(&tree);
            ask_to_end(&tree);
            let kill_at = now + Duration::from_millis(LEFTOVER_GRACE_MS);
            self.kill_at = Some(self.kill_at.map_or(kill_at, |at| at.min(kill_at)));
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            let until = *self.kill_until.get_or_insert(now + Duration::from_millis(KILL_MS_MAX));
            if now > until {
                self.survivors = tree.len();
                // the program itself may hang in the kernel: it is looked at now and then
                self.kill_at = Some(now + Duration::from_millis(SURVIVOR_LOOK_MS));
                return self.status.is_some();
            }
            for &pid in &tree {
                let _ = kill_process(pid, Signal::KILL);
                if pid != self.program && !self.leftovers.contains(&pid) {
                    self.leftovers.push(pid);
                }
            }
            self.kill_at = Some(now + Duration::from_millis(LOOK_MS));
        }
        false
    }

    /// When there is something to do again.
    pub fn due(&self) -> Option<Instant> {
        self.kill_at
    }

    fn tree(&self) -> Vec<Pid> {
        rundir::descendants(getpid())
    }

    /// A last look for what is no longer in the tree but bears the run's mark: there is such a thing only
    /// where orphans do not come to us.
    fn has_nothing_marked(&self) -> bool {
        if cfg!(target_os = "linux") && !self.stopped && self.leftovers.is_empty() {
            return true;
        }
        let mut marked = os::marked(self.mark.as_bytes());
        marked.retain(|pid| *pid != getpid());
        for pid in &marked {
            let _ = kill_process(*pid, Signal::KILL);
        }
        // those are nobody's children of ours, so there is no more to wait for than that
        true
    }
}

/// SIGTERM, and SIGCONT so that a halted process can take it.
fn ask_to_end(pids: &[Pid]) {
    for &pid in pids {
        let _ = kill_process(pid, Signal::TERM);
        let _ = kill_process(pid, Signal::CONT);
    }
}
