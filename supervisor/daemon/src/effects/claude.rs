//! Claude Code's files and arguments: which session a process goes on with, and how to say so.
//!
//! Facts, seen with 2.1.330: `--session-id` of a session that has a transcript is refused;
//! `--resume` of one that has none, or none with a word of the user in it, is refused; a transcript is
//! `CONFIG_DIR/projects/*/SESSION.jsonl` and appears with the first prompt; the session of a running
//! Claude stands in `CONFIG_DIR/sessions/PID.json`, also after `/clear` has changed it, and stays
//! behind after a SIGKILL.

use std::{
    io::BufRead as _,
    path::{Path, PathBuf},
};

use indexmap::IndexMap;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use wezterm_parallel_core::claude::hook::is_session_id;

/// Largest registry file that is read, in bytes; they have some 600.
const REGISTRY_BYTES_MAX: u64 = 64 << 10;

/// Lines of a transcript among which the first word of the user is looked for; it is some ten lines in.
const TRANSCRIPT_LINES_MAX: usize = 1_000;

/// Arguments by which the user chooses the session; then we add none.
const SESSION_ARGUMENTS: &[&str] =
    &["--resume", "-r", "--continue", "-c", "--session-id", "--fork-session", "--from-pr", "--teleport"];

/// The directory that Claude keeps everything in, in this environment.
pub fn config_dir(env: &IndexMap<String, String>) -> Option<PathBuf> {
    let own = env.get("CLAUDE_CONFIG_DIR").filter(|d| !d.is_empty()).map(PathBuf::from);
    own.or_else(|| env.get("HOME").filter(|h| !h.is_empty()).map(|h| Path::new(h).join(".claude")))
}

/// Switches of the environment by which Claude asks another cloud than Anthropic's own.
const CLOUDS: &[(&str, &str)] = &[
    ("CLAUDE_CODE_USE_BEDROCK", "Bedrock"),
    ("CLAUDE_CODE_USE_VERTEX", "Vertex"),
    ("CLAUDE_CODE_USE_FOUNDRY", "Foundry"),
];
/// Credentials of the environment, in the order in which Claude prefers them to its login.
const CREDENTIALS: &[(&str, &str)] = &[
    ("ANTHROPIC_AUTH_TOKEN", "token"),
    ("ANTHROPIC_API_KEY", "API key"),
    ("CLAUDE_CODE_OAUTH_TOKEN", "login"),
];
/// How much of a credential's hash tells it from others, in bytes: some of them have to be told apart, and
/// nothing is to be learned of any.
const MARK_BYTES: usize = 4;

/// The account that a Claude of this environment uses up: its config directory, which has its login, and
/// behind it what it uses instead. Of a credential only the kind and the beginning of its hash.
pub fn account(env: &IndexMap<String, String>) -> String {
    let dir = config_dir(env).unwrap_or_default().display().to_string();
    let set = |name: &str| env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let is_on = |name: &str| {
        set(name).is_some_and(|value| !matches!(&*value.to_lowercase(), "0" | "false" | "no" | "off"))
    };
    if let Some((_, cloud)) = CLOUDS.iter().find(|(name, _)| is_on(name)) {
        return format!("{dir} ({cloud})");
    }
    match CREDENTIALS.iter().find_map(|(name, kind)| Some((name, kind, set(name)?))) {
        Some((name, kind, value)) => {
            let hash = Sha256::digest(format!("{name}={value}"));
            let mark: String = hash.iter().take(MARK_BYTES).map(|b| format!("{b:02x}")).collect();
            format!("{dir} ({kind} {mark})")
        }
        None => dir,
    }
}

/// Whether the user's own arguments choose the session.
pub fn chooses_session(command: &[String]) -> bool {
    command.iter().any(|a| {
        let name = a.split('=').next().unwrap_or(a);
        SESSION_ARGUMENTS.contains(&name)
    })
}

/// Adds options to a command line, before the `--` behind which there are none.
pub fn add_options(command: &mut Vec<String>, options: impl IntoIterator<Item = String>) {
    let end = command.iter().position(|a| a == "--").unwrap_or(command.len());
    command.splice(end..end, options);
}

/// The session that the user's own arguments name, if they name one and go on with it.
pub fn chosen_session(command: &[String]) -> Option<&str> {
    if command.iter().any(|a| a == "--fork-session") {
        return None;
    }
    let named = |name: &str| matches!(name, "--resume" | "-r" | "--session-id");
    let own = command.iter().filter_map(|a| a.split_once('=')).find(|(name, _)| named(name));
    let next = command.windows(2).find(|w| named(&w[0])).map(|w| w[1].as_str());
    own.map(|(_, id)| id).or(next).filter(|id| is_session_id(id))
}

/// What the user gave for an option: of several the last, as Claude has it.
pub fn option<'a>(command: &'a [String], name: &str) -> Option<&'a str> {
    let options = command.split(|a| a == "--").next().unwrap_or_default();
    let joined = |a: &'a String| a.strip_prefix(name)?.strip_prefix('=');
    let follows = |i: usize| options.get(i + 1).filter(|_| options[i] == name).map(String::as_str);
    (0..options.len()).rev().find_map(|i| joined(&options[i]).or_else(|| follows(i)))
}

/// What can be done with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// It has not begun: `--session-id` begins it.
    Fresh,
    /// It has begun: `--resume` goes on with it.
    Begun,
    /// Claude was killed before it had written a word of the conversation down: the id is taken, and
    /// there is nothing to go on with.
    Spent,
}

/// The transcript of a session, if there is one. Reads the disk.
pub fn transcript(config_dir: &Path, session: &str) -> Option<PathBuf> {
    let file = format!("{session}.jsonl");
    let projects = std::fs::read_dir(config_dir.join("projects")).ok()?;
    projects.flatten().map(|project| project.path().join(&file)).find(|path| path.is_file())
}

/// Looks at the transcript of a session. Reads the disk.
pub fn look(config_dir: &Path, session: &str) -> Session {
    match transcript(config_dir, session) {
        None => Session::Fresh,
        Some(path) if has_user_line(&path) => Session::Begun,
        Some(_) => Session::Spent,
    }
}

/// Whether the user has said anything in a transcript. The first such line stands near its beginning,
/// so that of a long one only that is read.
fn has_user_line(transcript: &Path) -> bool {
    let Ok(file) = super::plain::open(transcript) else { return false };
    let lines = std::io::BufReader::new(file).split(b'\n').map_while(Result::ok);
    lines.take(TRANSCRIPT_LINES_MAX).any(|line| {
        #[derive(Deserialize)]
        struct Line {
            #[serde(rename = "type")]
            kind: String,
        }
        serde_json::from_slice::<Line>(&line).is_ok_and(|l| l.kind == "user")
    })
}

/// The arguments that make Claude go on with a session, or begin it, and which session that is: another
/// one if this one is spent. One that has not begun begins with all of `fork`, if that is given. Reads the
/// disk.
pub fn session_arguments(
    config_dir: Option<&Path>,
    session: &str,
    fork: Option<&str>,
) -> (Vec<String>, String) {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    let session = match config_dir.map_or(Session::Fresh, |dir| look(dir, session)) {
        Session::Begun => return (words(&["--resume", session]), session.to_owned()),
        Session::Fresh => session.to_owned(),
        Session::Spent => uuid::Uuid::new_v4().to_string(),
    };
    let arguments = match fork {
        Some(fork) => words(&["--resume", fork, "--fork-session", "--session-id", &session]),
        None => words(&["--session-id", &session]),
    };
    (arguments, session)
}

/// The session that a running or killed Claude has come to by now. Reads the disk.
pub fn session_of(config_dir: &Path, pid: i32) -> Option<String> {
    #[derive(Deserialize)]
    struct Registry {
        pid: i32,
        #[serde(rename = "sessionId")]
        session: String,
    }
    let path = config_dir.join("sessions").join(format!("{pid}.json"));
    if std::fs::metadata(&path).ok()?.len() > REGISTRY_BYTES_MAX {
        return None;
    }
    let registry: Registry = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let plausible = !registry.session.is_empty()
        && registry.session.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    (registry.pid == pid && plausible).then_some(registry.session)
}

/// Finds a program as a shell would, in the environment that it is to run in.
pub fn find_program(program: &str, cwd: &Path, env: &IndexMap<String, String>) -> Option<PathBuf> {
    let runnable = |p: &Path| rustix::fs::access(p, rustix::fs::Access::EXEC_OK).is_ok() && p.is_file();
    if program.contains('/') {
        let path = cwd.join(program);
        return runnable(&path).then_some(path);
    }
    let path = env.get("PATH")?;
    std::env::split_paths(path).map(|dir| cwd.join(dir).join(program)).find(|p| runnable(p))
}

/// Looks whether there is the program of a command line. That of a Claude may be the one that `up` has
/// installed: `prefix` says where that would be, and its path takes the place of the name then.
///
/// # Errors
/// There is none; in words that say what to do.
pub fn locate(
    command: &mut [String],
    cwd: &Path,
    env: &IndexMap<String, String>,
    prefix: Option<&Path>,
) -> Result<(), String> {
    let Some(program) = command.first_mut() else { return Err("there is no command".into()) };
    if find_program(program, cwd, env).is_some() {
        return Ok(());
    }
    // what stands in the config stays as it is, for programs that look at how they were called
    if program == "claude"
        && let Some(own) = prefix.and_then(own_claude)
    {
        *program = own.to_string_lossy().into_owned();
        return Ok(());
    }
    let help = if prefix.is_some() {
        "Claude Code is not installed: run `wezterm-parallel up`, which offers to install it, or `npm install -g @anthropic-ai/claude-code`"
    } else {
        "give its whole path, or start the daemon from an environment whose PATH has it"
    };
    Err(format!("there is no program `{program}`; {help}"))
}

/// The Claude that `up` has installed, if it has.
pub fn own_claude(prefix: &Path) -> Option<PathBuf> {
    let modules = prefix.join("node_modules/@anthropic-ai");
    let native = std::fs::read_dir(&modules)
        .ok()?
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with("claude-code-"))
        .map(|e| e.path().join("claude"))
        .find(|p| p.is_file());
    native.or_else(|| Some(prefix.join("node_modules/.bin/claude")).filter(|p| p.exists()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_a_directory_and_what_is_used_instead_of_its_login() {
        let of = |vars: &[(&str, &str)]| {
            let home = [("HOME", "/home/me")];
            account(&home.iter().chain(vars).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
        };
        let dir = "/home/me/.claude";
        assert_eq!(of(&[]), dir);
        assert_eq!(of(&[("ANTHROPIC_API_KEY", ""), ("CLAUDE_CODE_USE_BEDROCK", "0")]), dir);
        assert_eq!(
            of(&[("CLAUDE_CODE_USE_BEDROCK", "1"), ("ANTHROPIC_API_KEY", "k")]),
            format!("{dir} (Bedrock)")
        );
        let key = of(&[("ANTHROPIC_API_KEY", "sk-secret"), ("CLAUDE_CODE_OAUTH_TOKEN", "other")]);
        assert!(key.starts_with(&format!("{dir} (API key ")), "{key}");
        assert!(!key.contains("secret"), "{key}");
        assert_eq!(key, of(&[("ANTHROPIC_API_KEY", "sk-secret")]), "what is used counts");
        let others = [
            of(&[("ANTHROPIC_API_KEY", "sk-secret2")]),
            of(&[("ANTHROPIC_AUTH_TOKEN", "sk-secret")]),
            of(&[("CLAUDE_CODE_OAUTH_TOKEN", "sk-secret")]),
            of(&[("CLAUDE_CONFIG_DIR", "/other"), ("ANTHROPIC_API_KEY", "sk-secret")]),
        ];
        assert!(!others.contains(&key), "{others:?}");
    }

    #[test]
    fn a_session_is_begun_once_and_resumed_from_then_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let id = "11111111-2222-4333-8444-555555555555";
        let flags = |fork| session_arguments(Some(dir.path()), id, fork);
        assert_eq!(flags(None), (vec!["--session-id".to_owned(), id.to_owned()], id.to_owned()));
        let forked = ["--resume", "0199-abc", "--fork-session", "--session-id", id].map(str::to_owned);
        assert_eq!(flags(Some("0199-abc")), (forked.to_vec(), id.to_owned()));
        let project = dir.path().join("projects/-home-dev-repo");
        std::fs::create_dir_all(&project).expect("a directory");
        let write = |text: &str| std::fs::write(project.join(format!("{id}.jsonl")), text).expect("a file");
        write("{\"type\":\"mode\"}\n{\"type\":\"user\",\"message\":{}}\n");
        for fork in [None, Some("0199-abc")] {
            assert_eq!(flags(fork), (vec!["--resume".to_owned(), id.to_owned()], id.to_owned()));
        }
        // killed before it had written down what was said: Claude refuses both flags with this id
        write("{\"type\":\"mode\"}\n{\"type\":\"permission-mode\"}\n{half");
        let (arguments, session) = flags(None);
        assert_eq!(arguments, ["--session-id".to_owned(), session.clone()]);
        assert_ne!(session, id);
    }

    #[test]
    fn the_session_after_a_clear_is_read_from_the_registry() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("sessions")).expect("a directory");
        let write = |text: &str| std::fs::write(dir.path().join("sessions/77.json"), text).expect("a file");
        assert_eq!(session_of(dir.path(), 77), None);
        write(r#"{"pid":77,"sessionId":"236c11d6-8d66-427f-9f5d-c3215e6e1e1b","cwd":"/x","status":"idle"}"#);
        assert_eq!(session_of(dir.path(), 77).as_deref(), Some("236c11d6-8d66-427f-9f5d-c3215e6e1e1b"));
        write(r#"{"pid":78,"sessionId":"236c11d6"}"#);
        assert_eq!(session_of(dir.path(), 77), None, "of another process");
        write(r#"{"pid":77,"sessionId":"--dangerous /x"}"#);
        assert_eq!(session_of(dir.path(), 77), None, "no session id");
        write("{half");
        assert_eq!(session_of(dir.path(), 77), None);
    }

    #[test]
    fn the_users_own_choice_of_a_session_is_left_alone() {
        let command = |args: &[&str]| args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
        assert!(chooses_session(&command(&["claude", "--resume", "x"])));
        assert!(chooses_session(&command(&["claude", "--session-id=x"])));
        assert!(chooses_session(&command(&["claude", "-c"])));
        assert!(!chooses_session(&command(&["claude", "--model", "opus"])));
        for (arguments, session) in [
            (&["claude", "--resume", "0199-abc"][..], Some("0199-abc")),
            (&["claude", "--session-id=0199-abc", "--model", "opus"], Some("0199-abc")),
            (&["claude", "-r"], None),
            (&["claude", "--resume", "--model"], None),
            (&["claude", "--resume", "0199-abc", "--fork-session"], None),
            (&["claude", "--continue"], None),
        ] {
            assert_eq!(chosen_session(&command(arguments)), session, "{arguments:?}");
        }
    }
}
