//! What runs use of the machine: CPU and memory of all processes of a run, the keeper with them.

use std::{collections::HashMap, time::Instant};

use rustix::process::Pid as Process;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Processes of one run that are counted: a build may have some hundred for a moment.
const TREE_MAX: usize = 1_000;

/// What a run uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Of one processor, in percent; none before the second look.
    pub cpu: Option<f32>,
    /// Resident memory in bytes. What several processes share is counted for each.
    pub memory: u64,
}

/// Looks at runs, now and then: CPU is what was used since the look before.
pub struct Sampler {
    /// None where the system tells nothing.
    system: Option<System>,
    seen: HashMap<i32, u64>,
    last: Option<Instant>,
}

impl Default for Sampler {
    fn default() -> Self {
        let system = System::new().ok();
        Self { system, seen: HashMap::new(), last: None }
    }
}

impl Sampler {
    /// Looks at the runs of these keepers. The key is the caller's own.
    pub fn look<K: std::hash::Hash + Eq>(
        &mut self,
        keepers: impl IntoIterator<Item = (K, i32)>,
    ) -> HashMap<K, Load> {
        let Some(system) = &mut self.system else { return HashMap::new() };
        let trees: Vec<(K, Vec<Pid>)> = keepers.into_iter().map(|(key, pid)| (key, tree(pid))).collect();
        let all: Vec<Pid> = trees.iter().flat_map(|(_, tree)| tree.iter().copied()).collect();
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&all), true, what);
        let (now, last) = (Instant::now(), self.last);
        let passed = last.map(|last| now.duration_since(last).as_millis()).filter(|ms| *ms > 0);
        let mut seen = HashMap::with_capacity(all.len());
        let mut loads = HashMap::with_capacity(trees.len());
        for (key, tree) in trees {
            let (mut memory, mut used_ms, mut known) = (0, 0, false);
            for pid in tree {
                let Some(process) = system.process(pid) else { continue };
                memory += process.memory();
                let (id, total_ms) = (pid.as_u32().cast_signed(), process.accumulated_cpu_time());
                if let Some(before) = self.seen.get(&id) {
                    known = true;
                    used_ms += total_ms.saturating_sub(*before);
                }
                seen.insert(id, total_ms);
            }
            let cpu = passed.filter(|_| known).map(|passed| used_ms as f32 * 100.0 / passed as f32);
            loads.insert(key, Load { cpu, memory });
        }
        (self.seen, self.last) = (seen, Some(now));
        loads
    }
}

/// A process and all that descend from it.
fn tree(root: i32) -> Vec<Pid> {
    let mut open: Vec<Process> = Process::from_raw(root).into_iter().collect();
    let mut found = Vec::new();
    while let Some(pid) = open.pop().filter(|_| found.len() < TREE_MAX) {
        found.push(Pid::from_u32(pid.as_raw_nonzero().get().cast_unsigned()));
        open.extend(wezterm_parallel_keeper::children(pid));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_and_its_children_use_is_counted_together() {
        let me = std::process::id().cast_signed();
        let mut sampler = Sampler::default();
        let first = sampler.look([("me", me)]);
        assert!(first["me"].memory > 0 && first["me"].cpu.is_none(), "{first:?}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child");
        let tree = tree(me);
        assert!(tree.contains(&Pid::from_u32(child.id())), "{tree:?}");
        // work until it shows, by the clock of the machine
        let begun = Instant::now();
        while begun.elapsed().as_millis() < 60 {}
        let second = sampler.look([("me", me)]);
        child.kill().and_then(|()| child.wait()).expect("it ends");
        assert!(second["me"].cpu.is_some_and(|cpu| cpu > 0.0), "{second:?}");
    }

    #[test]
    fn a_run_that_is_gone_uses_nothing() {
        let mut sampler = Sampler::default();
        assert_eq!(sampler.look([((), 0)])[&()], Load::default());
    }
}
