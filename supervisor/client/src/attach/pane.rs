//! The pane that a process is shown in: told to WezTerm, so that its plugin knows which pane shows what,
//! and not closed over a reason that nobody has read.

use std::io::{self, Write as _};

use wezterm_parallel_keeper::mark;

/// What the pane is told to show. Taken back when this is dropped: a shell may go on in the pane.
pub struct Mark {
    wezterm: bool,
    told: Option<String>,
}

impl Mark {
    /// Nothing is told yet. Other terminals are not told anything.
    pub fn new() -> Self {
        Self { wezterm: in_wezterm(|name| std::env::var(name).ok()), told: None }
    }

    /// The pane shows this process from now on, also while it is down and no keeper says so.
    pub fn tell(&mut self, process: &str) {
        if self.wezterm && self.told.as_deref() != Some(process) {
            write(process);
            self.told = Some(process.to_owned());
        }
    }

    /// What a keeper is to tell the pane.
    pub fn told(&self) -> Option<String> {
        self.told.clone()
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if self.told.is_some() {
            take_back();
        }
    }
}

/// The pane shows nothing of ours any more.
pub fn take_back() {
    write("");
}

fn write(process: &str) {
    let mut out = io::stdout().lock();
    // a window that is gone does not take it, and does not need it
    let _ = out.write_all(&mark::sequence(process)).and_then(|()| out.flush());
}

fn in_wezterm(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("TERM_PROGRAM").as_deref() == Some("WezTerm")
        || variable("WEZTERM_PANE").is_some_and(|pane| !pane.is_empty())
}

/// Whether the terminal was made for this program, and is closed when it ends. In a shell's terminal the
/// shell leads the session.
pub fn is_ours_alone() -> bool {
    rustix::process::getsid(None).is_ok_and(|leader| leader == rustix::process::getpid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wezterm_is_told() {
        let told = |vars: &[(&str, &str)]| {
            in_wezterm(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert!(told(&[("TERM_PROGRAM", "WezTerm")]));
        assert!(told(&[("WEZTERM_PANE", "0"), ("TERM_PROGRAM", "tmux")]));
        assert!(!told(&[("TERM_PROGRAM", "ghostty"), ("WEZTERM_PANE", "")]));
        assert!(!told(&[]));
    }
}
