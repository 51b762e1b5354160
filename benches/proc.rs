//! What the kernel knows of processes.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    failure::{Context, Try, failed},
    place::DEADLINE,
};

/// How long nothing may run for things to count as settled.
const SETTLED: Duration = Duration::from_millis(700);

/// Memory of one process or of several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Its share of everything it has mapped, in KiB: what is mapped by two counts half for each.
    pub pss_kib: u64,
    /// What it has written and nobody shares, in KiB.
    pub private_dirty_kib: u64,
    /// What is in no file, in KiB: the rest of the share is mostly the executable itself.
    pub anonymous_kib: u64,
}

/// What processes have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// CPU time in nanoseconds.
    pub cpu_ns: u64,
    /// How often they woke up: times they had gone to sleep by themselves.
    pub wakeups: u64,
}

/// Memory of all of these processes together.
pub fn memory(pids: &[i32]) -> Try<Memory> {
    let mut sum = Memory::default();
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
            .failed_to(format!("read memory of {pid}"))?;
        sum.pss_kib += field(&text, "Pss:")?;
        sum.private_dirty_kib += field(&text, "Private_Dirty:")?;
        sum.anonymous_kib += field(&text, "Anonymous:")?;
    }
    Ok(sum)
}

/// Activity of all threads of these processes together.
pub fn activity(pids: &[i32]) -> Try<Activity> {
    let mut sum = Activity::default();
    for pid in pids {
        let threads =
            fs::read_dir(format!("/proc/{pid}/task")).failed_to(format!("list threads of {pid}"))?;
        for thread in threads.flatten() {
            // a thread may end meanwhile; what it did is then missing, and shows as less, never as more
            let Ok(one) = thread_activity(&thread.path()) else { continue };
            sum.cpu_ns += one.cpu_ns;
            sum.wakeups += one.wakeups;
        }
    }
    Ok(sum)
}

/// Waits until none of these processes does anything any more.
pub fn settle(pids: &[i32]) -> Try<()> {
    let deadline = Instant::now() + DEADLINE;
    let mut before = activity(pids)?;
    loop {
        std::thread::sleep(SETTLED);
        let now = activity(pids)?;
        // one that has a timer is never quite still
        if now.cpu_ns.saturating_sub(before.cpu_ns) < 20_000_000 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(failed("the processes do not come to rest"));
        }
        before = now;
    }
}

fn thread_activity(thread: &Path) -> Try<Activity> {
    let schedstat = fs::read_to_string(thread.join("schedstat")).failed_to("read CPU time")?;
    let cpu_ns =
        schedstat.split(' ').next().and_then(|n| n.parse().ok()).ok_or_else(|| failed("no CPU time"))?;
    let status = fs::read_to_string(thread.join("status")).failed_to("read switches")?;
    Ok(Activity { cpu_ns, wakeups: field(&status, "voluntary_ctxt_switches:")? })
}

fn field(text: &str, name: &str) -> Try<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse().ok());
    number.ok_or_else(|| failed(format!("the kernel tells no {name}")))
}
