//! Scopes of systemd's user manager: a run, or the daemon, in a cgroup of its own outlives the terminal
//! session that it was started from, and is accounted for by itself. Where there is no user manager,
//! nothing is done and nothing is lost but that.

use std::{path::PathBuf, process::Stdio};

use tokio::process::Command;

/// The user manager's own socket; it stands exactly while one serves this user.
fn manager() -> Option<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)?;
    Some(runtime.join("systemd/private")).filter(|p| p.exists())
}

/// Puts processes into a scope of their own, in the background. `name` is what the scope is called,
/// without `.scope`.
pub fn put(name: String, about: String, pids: Vec<i32>) {
    if manager().is_none() {
        return;
    }
    actix_rt::spawn(async move {
        let mut call = Command::new("busctl");
        call.args(arguments(&name, &about, &pids));
        call.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        match call.output().await {
            Ok(output) if output.status.success() => tracing::debug!(name, "in a scope of its own"),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                tracing::warn!(name, "the user manager gave no scope: {why}");
            }
            Err(e) => tracing::debug!(error = %e, "no busctl to ask the user manager with"),
        }
    });
}

/// `busctl`'s words for StartTransientUnit(name, mode, properties, aux).
fn arguments(name: &str, about: &str, pids: &[i32]) -> Vec<String> {
    let mut words: Vec<String> = [
        "--user",
        "--timeout=5",
        "call",
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager",
        "StartTransientUnit",
        "ssa(sv)a(sa(sv))",
    ]
    .map(str::to_owned)
    .into();
    words.extend([format!("{name}.scope"), "fail".into(), "3".into()]);
    words.extend(["Description".into(), "s".into(), about.to_owned()]);
    words.extend(["CollectMode".into(), "s".into(), "inactive-or-failed".into()]);
    words.extend(["PIDs".into(), "au".into(), pids.len().to_string()]);
    words.extend(pids.iter().map(i32::to_string));
    words.push("0".into());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_asked_for_in_the_words_of_busctl() {
        let words = arguments("wezterm-parallel-x", "a run", &[7, 8]).join("|");
        let expect = "StartTransientUnit|ssa(sv)a(sa(sv))|wezterm-parallel-x.scope|fail|3|Description|s|a run|CollectMode|s|inactive-or-failed|PIDs|au|2|7|8|0";
        assert!(words.ends_with(expect), "{words}");
    }
}
