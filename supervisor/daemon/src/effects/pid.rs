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
}
