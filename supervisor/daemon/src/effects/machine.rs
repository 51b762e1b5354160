//! The machine: its boot, its memory.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

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
