//! Processes of the machine, ours and others': what names one for good, and whose it is.

/// When a process began, in the kernel's clock ticks since the boot: with its number it names a process for
/// good. None if there is none, or only what is left of one that has ended.
pub fn began(pid: i32) -> Option<u64> {
    stat(pid).map(|s| s.began)
}

/// The processes that a process descends from, its parent first.
pub fn ancestors(pid: i32) -> Vec<i32> {
    let parent = |pid: &i32| stat(*pid).map(|s| s.parent).filter(|parent| *parent > 0);
    std::iter::successors(parent(&pid), parent).take(ANCESTORS_MAX).collect()
}

/// Whether a process is a keeper of this product, of whichever daemon.
#[cfg(target_os = "linux")]
pub fn is_keeper(pid: i32) -> bool {
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let name = exe.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    // an executable that was replaced since has a word behind its name
    name.split(' ').next() == Some("wezterm-parallel") && line.split(|b| *b == 0).nth(1) == Some(b"keeper")
}

/// Not known here, where no process is ever signalled that is not ours.
#[cfg(not(target_os = "linux"))]
pub fn is_keeper(_: i32) -> bool {
    false
}

/// More generations than this have never been seen; the parents of a process that ends meanwhile might
/// otherwise lead round.
const ANCESTORS_MAX: usize = 64;

struct Stat {
    parent: i32,
    began: u64,
}

#[cfg(target_os = "linux")]
fn stat(pid: i32) -> Option<Stat> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // the name in parentheses may hold anything: look behind its end
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let dead = matches!(fields.first(), Some(&"Z" | &"X"));
    // by proc(5) they are the fields 4 and 22; the first one here is field 3
    let (parent, began) = (fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?);
    (!dead).then_some(Stat { parent, began })
}

#[cfg(not(target_os = "linux"))]
fn stat(pid: i32) -> Option<Stat> {
    use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate};
    let pid = Pid::from_u32(pid.cast_unsigned());
    let mut system = sysinfo::System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, ProcessRefreshKind::nothing());
    let process = system.process(pid)?;
    let parent = process.parent().map_or(0, |p| p.as_u32().cast_signed());
    Some(Stat { parent, began: process.start_time() })
}

/// How an attempt to end a process came out.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// It has ended.
    Ended,
    /// It was asked to, and has not in the time that it had.
    Stays,
    /// It was not asked: it is gone, or another one than was meant.
    Gone,
    /// It was not asked: it is another user's, or the system refuses.
    Refused(String),
}

/// Asks exactly this process to end, by SIGTERM, and waits for that. Blocks.
#[cfg(target_os = "linux")]
pub fn end(pid: i32, began_at: u64, within: std::time::Duration) -> End {
    use std::os::unix::fs::MetadataExt as _;

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal},
    };
    let Some(number) = Pid::from_raw(pid) else { return End::Gone };
    let process = match pidfd_open(number, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(e) => return not_opened(e),
    };
    // from here on the handle means one process: if it is the right one now, it stays so
    if began(pid) != Some(began_at) {
        return End::Gone;
    }
    if !std::fs::metadata(format!("/proc/{pid}")).is_ok_and(|m| m.uid() == geteuid().as_raw()) {
        return End::Refused("it is another user's".into());
    }
    if let Err(e) = pidfd_send_signal(&process, Signal::TERM) {
        return End::Refused(format!("the system refuses: {e}"));
    }
    let until = std::time::Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 });
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
            Ok(1..) => return End::Ended,
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return End::Stays,
        }
    }
}

/// Why there is no handle of a process. Only one of these says that the process is gone.
#[cfg(target_os = "linux")]
fn not_opened(e: rustix::io::Errno) -> End {
    match e {
        rustix::io::Errno::SRCH => End::Gone,
        e => End::Refused(format!("the system gives no handle of it: {e}")),
    }
}

/// Without handles of processes, nothing keeps the signal from another process of the same number.
#[cfg(not(target_os = "linux"))]
pub fn end(_: i32, _: u64, _: std::time::Duration) -> End {
    End::Refused("this system has no handles of processes".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_when_it_began_and_by_its_parents() {
        let own = std::process::id().cast_signed();
        let began_first = began(own).expect("this process lives");
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("a child");
        let pid = child.id().cast_signed();
        assert_eq!(ancestors(pid).first(), Some(&own));
        assert!(began(pid).expect("it lives") >= began_first);
        child.kill().expect("it is ours");
        // dead, and nobody has asked how it ended
        rustix::process::waitid(
            rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child)),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        )
        .expect("it ends");
        assert_eq!(began(pid), None);
        child.wait().expect("it has ended");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_there_is_no_handle_of_is_not_gone_by_that() {
        use rustix::io::Errno;
        assert_eq!(not_opened(Errno::SRCH), End::Gone);
        for other in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOSYS, Errno::PERM] {
            assert!(matches!(not_opened(other), End::Refused(_)), "{other}");
        }
    }

    #[test]
    fn only_the_process_that_is_meant_is_ended() {
        let long = std::time::Duration::from_secs(60);
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("a child");
        let pid = child.id().cast_signed();
        let began_at = began(pid).expect("it lives");
        assert_eq!(end(pid, began_at + 1, long), End::Gone, "another one of this number");
        assert_eq!(end(1, began(1).unwrap_or_default() + 1, long), End::Gone);
        assert!(child.try_wait().expect("it is ours").is_none());
        assert_eq!(end(pid, began_at, long), End::Ended);
        child.wait().expect("it has ended");
        assert_eq!(end(pid, began_at, long), End::Gone);
        let mut deaf = std::process::Command::new("sh")
            .args(["-c", "trap '' TERM; echo deaf; exec sleep 600"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a child");
        let mut said = [0; 5];
        std::io::Read::read_exact(deaf.stdout.as_mut().expect("a pipe"), &mut said).expect("it says so");
        let pid = deaf.id().cast_signed();
        assert_eq!(end(pid, began(pid).expect("it lives"), std::time::Duration::ZERO), End::Stays);
        deaf.kill().expect("it is ours");
        deaf.wait().expect("it has ended");
    }
}
