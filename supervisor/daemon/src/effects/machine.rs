//! The machine: its boot, its memory.

use std::path::Path;

use sysinfo::{MemoryRefreshKind, RefreshKind, System};
use wezterm_parallel_core::status::Machine;

/// Id of the current boot: after another one, no run of before can be alive.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|s| s.trim().to_owned())
        .or_else(|_| System::boot_time().map(|t| t.to_string()))
        .unwrap_or_default()
}

/// Memory that could be had now, in bytes.
pub fn free_memory() -> u64 {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let free = System::new_with_specifics(what).map_or(0, |s| s.available_memory());
    // a machine that does not say: better to start than to wait for ever
    if free == 0 { u64::MAX } else { free }
}

/// What the machine says of a kept program: whether it is halted, has children that run, and how long ago
/// it last wrote to its terminal, which is when its log grew. None where it is gone, or the system does not say.
/// Reads some files.
pub fn look(pid: i32, run_dir: &Path) -> Option<Machine> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name in parentheses may hold anything, parentheses too
    let state = stat.rsplit_once(") ")?.1.chars().next()?;
    let log = std::fs::metadata(run_dir.join("log")).ok()?;
    // a file that is newer than now was written before the clock was set back, and how long ago is not known
    let quiet = log.modified().ok()?.elapsed().unwrap_or_default();
    let quiet_ms = i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX);
    Some(Machine { halted: matches!(state, 'T' | 't'), quiet_ms, children: has_children(pid) })
}

fn has_children(pid: i32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().any(|t| {
        std::fs::read_to_string(t.path().join("children")).is_ok_and(|children| !children.trim().is_empty())
    })
}
