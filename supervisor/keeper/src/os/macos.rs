//! macOS. It has no subreaper: what double-forks is found by its environment mark alone, unless it
//! cleared that. Untested.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    process::Pid,
};

/// There is no such thing here; see the module's text.
pub fn become_reaper() -> io::Result<()> {
    Ok(())
}

/// User id of whoever is at the other end of a socket, from the kernel.
pub fn peer_uid(socket: impl AsFd) -> io::Result<u32> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: both pointers are to locals that live through the call.
    let failed = unsafe { libc::getpeereid(socket.as_fd().as_raw_fd(), &mut uid, &mut gid) } != 0;
    if failed { Err(io::Error::last_os_error()) } else { Ok(uid) }
}

/// Whether a process is a daemon or a keeper of this product. Orphans never come to a keeper here, so no
/// such process is ever found below one.
pub fn is_one_of_us(_: Pid) -> bool {
    false
}

/// The processes whose parent is `pid` now.
pub fn children(pid: Pid) -> Vec<Pid> {
    list(|buffer, bytes| {
        // SAFETY: the buffer is writable for `bytes` bytes.
        unsafe { libc::proc_listchildpids(pid.as_raw_nonzero().get(), buffer, bytes) }
    })
}

/// The processes that have `entry` (`NAME=value`) in their environment. Only the own user's can be seen.
pub fn marked(entry: &[u8]) -> Vec<Pid> {
    let everybody = list(|buffer, bytes| {
        // SAFETY: the buffer is writable for `bytes` bytes.
        unsafe { libc::proc_listallpids(buffer, bytes) }
    });
    everybody.into_iter().filter(|pid| has_entry(*pid, entry)).collect()
}

/// Runs one of the listing calls, which return the number of pids, with room for twice as many as there are.
fn list(call: impl Fn(*mut libc::c_void, libc::c_int) -> libc::c_int) -> Vec<Pid> {
    let Ok(count) = usize::try_from(call(std::ptr::null_mut(), 0)) else { return vec![] };
    let mut pids: Vec<libc::pid_t> = vec![0; 2 * count.max(32)];
    let bytes = libc::c_int::try_from(size_of_val(&pids[..])).unwrap_or(libc::c_int::MAX);
    let filled = usize::try_from(call(pids.as_mut_ptr().cast(), bytes)).unwrap_or(0);
    pids.truncate(filled);
    pids.into_iter().filter_map(Pid::from_raw).collect()
}

/// The kernel's copy of a process's arguments and environment, which stand one behind the other.
fn has_entry(pid: Pid, entry: &[u8]) -> bool {
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid.as_raw_nonzero().get()];
    let mut text = vec![0_u8; 1 << 20];
    let mut length = text.len();
    // SAFETY: `name` has three elements, and `text` is writable for `length` bytes.
    let failed = unsafe {
        libc::sysctl(name.as_mut_ptr(), 3, text.as_mut_ptr().cast(), &mut length, std::ptr::null_mut(), 0)
    } != 0;
    !failed && text[..length].split(|&c| c == 0).any(|part| part == entry)
}

/// Opens the terminal behind a descriptor once more.
pub fn reopen_terminal(fd: &OwnedFd, flags: OFlags) -> io::Result<OwnedFd> {
    let path = rustix::termios::ttyname(fd, vec![])?;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}
