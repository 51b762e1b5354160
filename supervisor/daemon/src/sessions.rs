//! Which sessions of Claude are open in processes of ours, or are about to be: two Claudes in one session
//! write one transcript, and what one of them says is lost to the other.

use std::{cell::RefCell, collections::HashMap};

/// See the module. One per daemon, on its one thread.
#[derive(Default)]
pub struct Sessions {
    /// By process.
    open: RefCell<HashMap<String, String>>,
}

impl Sessions {
    /// A process is about to open a session.
    ///
    /// # Errors
    /// Another process has it: that one's id.
    pub fn take(&self, process: &str, session: &str) -> Result<(), String> {
        let mut open = self.open.borrow_mut();
        if let Some((other, _)) = open.iter().find(|(other, s)| *s == session && *other != process) {
            return Err(other.clone());
        }
        open.insert(process.to_owned(), session.to_owned());
        Ok(())
    }

    /// A process that runs is in this session now. Its user has brought it there, whoever else is in it.
    pub fn moved(&self, process: &str, session: &str) {
        let mut open = self.open.borrow_mut();
        if open.get(process).is_none_or(|s| s != session) {
            open.insert(process.to_owned(), session.to_owned());
        }
    }

    /// A process does not run any more.
    pub fn leave(&self, process: &str) {
        self.open.borrow_mut().remove(process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_opened_by_one_process_at_a_time() {
        let sessions = Sessions::default();
        assert_eq!(sessions.take("a", "s"), Ok(()));
        assert_eq!(sessions.take("a", "s"), Ok(()), "it has it already");
        assert_eq!(sessions.take("b", "s"), Err("a".into()));
        sessions.moved("a", "t");
        assert_eq!(sessions.take("b", "s"), Ok(()));
        assert_eq!(sessions.take("c", "t"), Err("a".into()));
        sessions.leave("a");
        assert_eq!(sessions.take("c", "t"), Ok(()));
    }
}
