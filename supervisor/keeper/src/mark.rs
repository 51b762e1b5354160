//! What a WezTerm pane is told that it shows: a user variable of the pane, which its plugin reads. Other
//! terminals do not know the sequence and show nothing of it.

use base64::{Engine, engine::general_purpose::STANDARD};
use wezterm_parallel_schemas::keeper::USER_VARIABLE;

/// The sequence that says that a pane shows `mark`; nothing of ours if that is empty.
pub fn sequence(mark: &str) -> Vec<u8> {
    format!("\x1b]1337;SetUserVar={USER_VARIABLE}={}\x1b\\", STANDARD.encode(mark)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_written_as_wezterm_reads_it() {
        assert_eq!(sequence("w/p"), b"\x1b]1337;SetUserVar=wezterm_parallel=dy9w\x1b\\");
        assert_eq!(sequence(""), b"\x1b]1337;SetUserVar=wezterm_parallel=\x1b\\");
    }
}
