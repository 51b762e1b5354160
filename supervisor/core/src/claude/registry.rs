//! Claude's file of a living session, `CONFIG_DIR/sessions/PID.json`: rewritten at each change, removed at
//! a clean end, left behind by SIGKILL.

use std::path::PathBuf;

use serde::Deserialize;

use super::hook::is_session_id;

/// A living session, as its file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Process id of the Claude.
    pub pid: i32,
    /// Its session.
    pub session_id: Option<String>,
    /// Where it is.
    pub cwd: PathBuf,
    /// When it began, in milliseconds since 1970.
    pub started_at: i64,
    /// Field 22 of `/proc/PID/stat` of the process that wrote it: tells a reused process id.
    pub proc_start: Option<String>,
    /// Claude's version.
    pub version: Option<String>,
    /// `interactive`, `bg`, …
    pub kind: Option<String>,
    /// `cli` for the terminal, `sdk-cli` for `-p`.
    pub entrypoint: Option<String>,
    /// The session's name.
    pub name: Option<String>,
    /// What it does.
    pub status: Option<Activity>,
    /// What it waits for, while waiting.
    pub waiting_for: Option<String>,
    /// When the status changed, in milliseconds since 1970.
    pub status_at: Option<i64>,
    /// When the file was written.
    pub updated_at: Option<i64>,
}

/// What a living session does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It waits for a prompt.
    Idle,
    /// It works.
    Busy,
    /// It waits for its user.
    Waiting,
    /// Only a command in the background runs.
    Shell,
    /// What a newer Claude says.
    Other(String),
}

/// Reads such a file. Claude writes it in place and cuts it to length afterwards: while it does, the whole
/// new text may have an end of the old one behind it, which is skipped.
///
/// # Errors
/// It does not begin with a JSON object with a `pid`; in words.
pub fn parse(json: &[u8]) -> Result<Entry, String> {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<Raw>();
    let raw = match values.next() {
        Some(Ok(raw)) => raw,
        Some(Err(e)) => return Err(format!("no file of a session: {e}")),
        None => return Err("no file of a session: it is empty".into()),
    };
    Ok(Entry {
        pid: raw.pid,
        session_id: raw.session_id.filter(|id| is_session_id(id)),
        cwd: raw.cwd,
        started_at: raw.started_at,
        proc_start: raw.proc_start,
        version: raw.version,
        kind: raw.kind,
        entrypoint: raw.entrypoint,
        name: raw.name,
        status: raw.status.map(|s| match s.as_str() {
            "idle" => Activity::Idle,
            "busy" => Activity::Busy,
            "waiting" => Activity::Waiting,
            "shell" => Activity::Shell,
            _ => Activity::Other(s),
        }),
        waiting_for: raw.waiting_for,
        status_at: raw.status_updated_at,
        updated_at: raw.updated_at,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    pid: i32,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    cwd: PathBuf,
    #[serde(default)]
    started_at: i64,
    #[serde(default)]
    proc_start: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    entrypoint: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    waiting_for: Option<String>,
    #[serde(default)]
    status_updated_at: Option<i64>,
    #[serde(default)]
    updated_at: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_real_claude_writes_is_understood() {
        let entry = parse(br#"{"pid":3809,"sessionId":"236c11d6-8d66-427f-9f5d-c3215e6e1e1b","cwd":"/home/dev/repo","startedAt":1795328884574,"procStart":"195857","version":"2.1.330","peerProtocol":1,"kind":"interactive","entrypoint":"cli","asksForConvertedSkills":null,"name":"sess one","status":"waiting","updatedAt":1795328887177,"statusUpdatedAt":1795328887177,"waitingFor":"permission prompt"}"#)
            .expect("an entry");
        assert_eq!((entry.pid, entry.status), (3809, Some(Activity::Waiting)));
        assert_eq!(entry.waiting_for.as_deref(), Some("permission prompt"));
        assert_eq!(entry.proc_start.as_deref(), Some("195857"));
    }

    #[test]
    fn half_a_file_is_an_error_and_a_strange_status_is_kept() {
        assert!(parse(b"{\"pid\":3809,\"sess").is_err());
        assert!(parse(b"").is_err());
        let torn = br#"{"pid":1,"status":"busy","statusUpdatedAt":1795500360171}67,"waitingFor":"permission prompt"}"#;
        assert_eq!(parse(torn).expect("the new text is whole").status, Some(Activity::Busy));
        let entry = parse(br#"{"pid":1,"status":"dreaming"}"#).expect("an entry");
        assert_eq!(entry.status, Some(Activity::Other("dreaming".into())));
    }
}
