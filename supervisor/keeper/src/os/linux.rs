//! Linux: what `/proc` and `prctl` offer.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    process::Pid,
};

/// Has orphans of our tree come to us, so that nothing escapes by a double fork or a new session.
pub fn become_reaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// User id of whoever is at the other end of a socket, from the kernel.
pub fn peer_uid(socket: impl AsFd) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(socket)?.uid.as_raw())
}

/// Whether a process is a daemon or a keeper of this product: our executable, called as one of the two.
pub fn is_one_of_us(pid: Pid) -> bool {
    let ours = |path: std::path::PathBuf| {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        // an executable that was replaced since has a word behind its name
        name.split(' ').next() == Some("wezterm-parallel")
    };
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(ours)
        && fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| matches!(line.split(|b| *b == 0).nth(1), Some(b"daemon" | b"keeper")))
}

/// The processes whose parent is `pid` now, zombies included.
pub fn children(pid: Pid) -> Vec<Pid> {
    let mut found = vec![];
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return found };
    for task in tasks.flatten() {
        match fs::read_to_string(task.path().join("children")) {
            Ok(list) => found.extend(list.split_ascii_whitespace().filter_map(parse_pid)),
            // the kernel was built without this file
            Err(e) if e.kind() == io::ErrorKind::NotFound && task.path().exists() => {
                return children_by_stat(pid);
            }
            Err(_) => {}
        }
    }
    found
}

fn children_by_stat(parent: Pid) -> Vec<Pid> {
    let is_child = |pid: &Pid| {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        // the name in parentheses may hold anything: look behind its end
        let parent_field = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        parent_field.and_then(parse_pid) == Some(parent)
    };
    all().filter(is_child).collect()
}

/// The processes that have `entry` (`NAME=value`) in their environment. Only the own user's can be seen.
pub fn marked(entry: &[u8]) -> Vec<Pid> {
    let has_mark = |pid: &Pid| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|all| all.split(|&c| c == 0).any(|e| e == entry))
    };
    all().filter(has_mark).collect()
}

fn all() -> impl Iterator<Item = Pid> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| parse_pid(entry.file_name().to_str()?))
}

fn parse_pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}

/// Opens the terminal behind a descriptor once more.
pub fn reopen_terminal(fd: &OwnedFd, flags: OFlags) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
