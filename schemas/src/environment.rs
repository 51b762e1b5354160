//! The environment that processes get from whoever opens their workspace: the client strips it before
//! it goes over the wire, the daemon its own before it is used in place of a client's.

use std::ffi::OsString;

use indexmap::IndexMap;

/// What is not passed on: an end of `*` stands for any rest.
const LEFT_OUT: &[(&str, &str)] = &[
    ("CLAUDECODE", "says that one runs inside Claude Code"),
    ("CLAUDE_CODE_ENTRYPOINT", "says how the outer Claude was started"),
    ("CLAUDE_CODE_EXECPATH", "the outer Claude's program"),
    ("CLAUDE_CODE_SESSION_*", "the outer Claude's session"),
    ("CLAUDE_CODE_CHILD_*", "marks children of the outer Claude"),
    ("CLAUDE_CODE_MESSAGING_*", "the outer Claude's socket and its token"),
    ("CLAUDE_CODE_SSE_PORT", "an editor that is connected to the outer Claude"),
    ("CLAUDE_PROJECT_DIR", "the outer Claude's project"),
    ("CLAUDE_PID", "the outer Claude's process id"),
    ("CLAUDE_EFFORT", "set for the outer Claude's turn"),
    ("CLAUDE_ENV_FILE", "a file of the outer Claude's hook"),
    ("AI_AGENT", "the outer Claude's name"),
    ("WEZTERM_PANE", "the pane of whoever opened, not of who attaches"),
    ("WEZTERM_UNIX_SOCKET", "a GUI that may be gone long before the process"),
    ("WEZTERM_EXECUTABLE*", "belongs to that GUI"),
    ("WEZTERM_CONFIG_*", "belongs to that GUI"),
    ("WEZTERM_PARALLEL_*", "our own marks and places: the keeper sets what a run needs"),
    ("TERM", "the keeper is the terminal; it says which"),
    ("TERM_*", "the outer terminal's"),
    ("COLORTERM", "the keeper is the terminal"),
    ("TMUX", "the outer tmux"),
    ("TMUX_PANE", "the outer tmux's pane"),
    ("STY", "the outer screen"),
    ("VTE_VERSION", "the outer terminal's"),
    ("KITTY_*", "the outer terminal's"),
    ("ITERM_*", "the outer terminal's"),
    ("LC_TERMINAL*", "the outer terminal's"),
    ("WINDOWID", "a window that may close before the process ends"),
    ("COLUMNS", "the outer terminal's size"),
    ("LINES", "the outer terminal's size"),
    ("SHLVL", "depth of the outer shell"),
    ("_", "the outer shell's last command"),
    ("OLDPWD", "the outer shell's last directory"),
    ("PWD", "the process has a directory of its own"),
];

/// `variables` without those that would tell a process something untrue. Bedrock and Vertex settings,
/// proxies, `CLAUDE_CONFIG_DIR` and the ssh agent stay. What is not UTF-8 is left out: the wire holds
/// text.
pub fn passed_on(variables: impl Iterator<Item = (OsString, OsString)>) -> IndexMap<String, String> {
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !left_out(name))
        .collect()
}

/// The same of an environment that is text already.
pub fn without_outer(variables: IndexMap<String, String>) -> IndexMap<String, String> {
    variables.into_iter().filter(|(name, _)| !left_out(name)).collect()
}

/// Whether a variable is not passed on.
pub fn left_out(name: &str) -> bool {
    LEFT_OUT.iter().any(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *pattern,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_claude_and_wezterm_set_for_their_children_is_not_passed_on() {
        for name in [
            "CLAUDECODE",
            "CLAUDE_CODE_SESSION_ID",
            "CLAUDE_CODE_MESSAGING_TOKEN",
            "WEZTERM_PANE",
            "TERM",
            "TERM_PROGRAM",
            "TMUX_PANE",
            "PWD",
            "_",
        ] {
            assert!(left_out(name), "{name}");
        }
    }

    #[test]
    fn what_the_user_set_for_claude_is_passed_on() {
        for name in [
            "CLAUDE_CONFIG_DIR",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_VERTEX",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            "CLAUDE_CODE_TMPDIR",
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_BASE_URL",
            "HTTPS_PROXY",
            "SSH_AUTH_SOCK",
            "PATH",
            "LANG",
            "DISPLAY",
            "PWDX",
        ] {
            assert!(!left_out(name), "{name}");
        }
    }
}
