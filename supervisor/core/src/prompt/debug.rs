//! How prompts look in logs and panics: without what people say to their agents and what these answer.

use std::fmt::{Debug, Formatter, Result};

use super::{Effect, Found, Input, Prompt, turn::Turn};

impl Debug for Prompt {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Prompt")
            .field("view", &self.view)
            .field("bytes", &self.text.len())
            .field("mode", &self.mode)
            .finish()
    }
}

impl Debug for Found {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Found")
            .field("session_id", &self.session_id)
            .field("prompt_id", &self.prompt_id)
            .field("answered", &self.answer.is_some())
            .finish()
    }
}

impl Debug for Turn {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Turn")
            .field("prompt", &self.prompt)
            .field("merged", &self.merged)
            .field("worked", &self.worked)
            .field("ended", &self.ended)
            .field("timer", &self.timer)
            .field("look", &self.look)
            .finish_non_exhaustive()
    }
}

impl Debug for Input {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Changed => f.write_str("Changed"),
            Self::Cancel(id) => f.debug_tuple("Cancel").field(id).finish(),
            Self::Prepared { order, version, obstacle } => f
                .debug_struct("Prepared")
                .field("order", order)
                .field("version", version)
                .field("obstacle", obstacle)
                .finish(),
            Self::Typed { order, outcome } => {
                f.debug_struct("Typed").field("order", order).field("outcome", outcome).finish()
            }
            Self::Submitted { prompt_id, session_id, .. } => f
                .debug_struct("Submitted")
                .field("prompt_id", prompt_id)
                .field("session_id", session_id)
                .finish_non_exhaustive(),
            Self::Stirred { session_id } => {
                f.debug_struct("Stirred").field("session_id", session_id).finish()
            }
            Self::Ended { prompt_id, failed, .. } => f
                .debug_struct("Ended")
                .field("prompt_id", prompt_id)
                .field("failed", failed)
                .finish_non_exhaustive(),
            Self::Looked { order, found } => {
                f.debug_struct("Looked").field("order", order).field("found", found).finish()
            }
            Self::Cost(total) => f.debug_tuple("Cost").field(total).finish(),
            Self::Exited(why) => f.debug_tuple("Exited").field(why).finish(),
            Self::Timer(number) => f.debug_tuple("Timer").field(number).finish(),
        }
    }
}

impl Debug for Effect {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Put(prompt, event) => f.debug_tuple("Put").field(prompt).field(event).finish(),
            Self::Prepare { order } => f.debug_struct("Prepare").field("order", order).finish(),
            Self::Type { order, status_seq, quiet_ms, bytes } => f
                .debug_struct("Type")
                .field("order", order)
                .field("status_seq", status_seq)
                .field("quiet_ms", quiet_ms)
                .field("bytes", &bytes.len())
                .finish(),
            Self::Look { order, since, .. } => {
                f.debug_struct("Look").field("order", order).field("since", since).finish_non_exhaustive()
            }
            Self::Arm(number, delay) => f.debug_tuple("Arm").field(number).field(delay).finish(),
        }
    }
}
