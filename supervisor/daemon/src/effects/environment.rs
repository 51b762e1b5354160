//! The environment that processes run in: the opening client's, without what belongs to the client
//! alone.

use indexmap::IndexMap;

/// Variables that are not handed on, by their beginning, and why.
const DROPPED: &[(&str, &str)] = &[
    ("CLAUDE_CODE_SESSION_ID", "of the Claude that the client was started from"),
    ("CLAUDE_CODE_CHILD_SESSION", "marks children of a Claude"),
    ("CLAUDE_CODE_SESSION_ATTENDED", "marks children of a Claude"),
    ("CLAUDE_CODE_ENTRYPOINT", "marks children of a Claude"),
    ("CLAUDE_CODE_EXECPATH", "marks children of a Claude"),
    ("CLAUDE_CODE_MESSAGING_", "of the Claude that the client was started from"),
    ("CLAUDE_CODE_CHILD_NOTES_DIR", "of the Claude that the client was started from"),
    ("CLAUDE_CODE_SSE_PORT", "of the editor that the client was started from"),
    ("CLAUDE_PROJECT_DIR", "of the Claude that the client was started from"),
    ("CLAUDE_ENV_FILE", "of the Claude that the client was started from"),
    ("CLAUDE_PID", "of the Claude that the client was started from"),
    ("CLAUDE_EFFORT", "of the Claude that the client was started from"),
    ("CLAUDECODE", "marks children of a Claude"),
    ("AI_AGENT", "marks children of an agent"),
    ("WEZTERM_PANE", "the pane of the client"),
    ("WEZTERM_UNIX_SOCKET", "of one WezTerm, which may end before the process"),
    ("WEZTERM_EXECUTABLE", "of one WezTerm, which may be updated before the process ends"),
    ("WEZTERM_CONFIG_", "of one WezTerm"),
    ("WEZTERM_PARALLEL_", "ours; the keeper sets those of its run"),
    ("TERM", "the keeper is the terminal; it sets TERM and COLORTERM"),
    ("COLORTERM", "the keeper is the terminal"),
    ("TMUX", "a terminal that the client runs in"),
    ("STY", "a terminal that the client runs in"),
    ("VTE_VERSION", "a terminal that the client runs in"),
    ("KITTY_", "a terminal that the client runs in"),
    ("ITERM_", "a terminal that the client runs in"),
    ("LC_TERMINAL", "a terminal that the client runs in"),
    ("WINDOWID", "a window that may close before the process ends"),
    ("COLUMNS", "the size of the client's terminal"),
    ("LINES", "the size of the client's terminal"),
    ("SHLVL", "of the client's shell"),
    ("OLDPWD", "of the client's shell"),
    ("PWD", "of the client; the keeper sets that of the run"),
    ("_", "of the client's shell"),
];

/// Names that are dropped only whole, since others begin like them.
const WHOLE: &[&str] =
    &["_", "PWD", "STY", "LINES", "COLUMNS", "AI_AGENT", "CLAUDE_PID", "CLAUDECODE", "SHLVL"];

/// Whether a variable is of the client alone.
fn dropped(name: &str) -> bool {
    DROPPED.iter().any(|(d, _)| if WHOLE.contains(d) { name == *d } else { name.starts_with(d) })
}

/// An environment without what is of the client alone.
pub fn clean(all: impl IntoIterator<Item = (String, String)>) -> IndexMap<String, String> {
    all.into_iter().filter(|(name, _)| !dropped(name)).collect()
}

/// The daemon's own environment, cleaned. Variables that are no text are left out.
pub fn own() -> IndexMap<String, String> {
    clean(std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_needs_stays_and_what_is_the_clients_goes() {
        let all = [
            ("PATH", true),
            ("HOME", true),
            ("CLAUDE_CONFIG_DIR", true),
            ("CLAUDE_CODE_USE_BEDROCK", true),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", true),
            ("ANTHROPIC_BASE_URL", true),
            ("SSH_AUTH_SOCK", true),
            ("HTTPS_PROXY", true),
            ("PWDX", true),
            ("CLAUDECODE", false),
            ("CLAUDE_CODE_SESSION_ID", false),
            ("CLAUDE_CODE_MESSAGING_TOKEN", false),
            ("WEZTERM_PANE", false),
            ("WEZTERM_PARALLEL_RUN", false),
            ("TERM", false),
            ("TERM_PROGRAM", false),
            ("TMUX_PANE", false),
            ("PWD", false),
            ("_", false),
        ];
        let kept = clean(all.iter().map(|(n, _)| ((*n).to_owned(), String::new())));
        for (name, stays) in all {
            assert_eq!(kept.contains_key(name), stays, "{name}");
        }
    }
}
