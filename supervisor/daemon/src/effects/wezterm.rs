//! WezTerm by its own command line: what is left where one runs and no plugin in it answers.
//!
//! One call at a time, as it is known to stall when many come at once; never one that would start a
//! WezTerm; and only to a socket that a plugin has named and that still answers.

use std::{
    cell::RefCell,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use indexmap::IndexMap;
use tokio::{net::UnixStream, process::Command, sync::Mutex};

/// A WezTerm that answers does so within some 10 ms; one that is busy with a large config, in seconds.
const ANSWER: Duration = Duration::from_secs(5);
/// Of what it says when it fails, in characters.
const SAID_CHARS_MAX: usize = 200;

/// Where a WezTerm can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its socket.
    pub socket: PathBuf,
    /// Directory of its executables.
    pub executables: PathBuf,
}

/// What is to run in a new window.
pub struct Window {
    /// The workspace of the window.
    pub workspace: String,
    /// Where.
    pub cwd: PathBuf,
    /// The program and its arguments; a shell if empty.
    pub command: Vec<OsString>,
    /// Its environment.
    pub environment: IndexMap<String, String>,
}

/// The WezTerm that was known last.
#[derive(Debug, Default)]
pub struct Last {
    place: RefCell<Option<Place>>,
    turn: Mutex<()>,
}

impl Last {
    /// Whether this is the one.
    pub fn is(&self, place: &Place) -> bool {
        self.place.borrow().as_ref() == Some(place)
    }

    /// Its socket.
    pub fn socket(&self) -> Option<PathBuf> {
        self.place.borrow().as_ref().map(|place| place.socket.clone())
    }

    /// Takes note of one.
    pub fn set(&self, place: Place) {
        self.place.replace(Some(place));
    }

    /// Opens a window in it.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub async fn open(&self, window: &Window) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let place = self.place.borrow().clone().ok_or("none has been connected since the daemon began")?;
        let answers = tokio::time::timeout(ANSWER, UnixStream::connect(&place.socket)).await;
        if !matches!(answers, Ok(Ok(_))) {
            self.place.replace(None);
            return Err("the one that was connected last is gone".into());
        }
        spawn(&place, window).await
    }
}

async fn spawn(place: &Place, window: &Window) -> Result<(), String> {
    let wezterm = place.executables.join("wezterm");
    // the pane gets the environment that this has
    let mut command = std::process::Command::new(&wezterm);
    command.env_clear().envs(&window.environment).env("WEZTERM_UNIX_SOCKET", &place.socket);
    command.args(["--skip-config", "cli", "--no-auto-start", "spawn", "--new-window", "--workspace"]);
    command.arg(&window.workspace).arg("--cwd").arg(&window.cwd);
    if !window.command.is_empty() {
        command.arg("--").args(&window.command);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = Command::from(command).kill_on_drop(true).output();
    match tokio::time::timeout(ANSWER, output).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(format!("it refused: {}", last_line(&output.stderr))),
        Ok(Err(e)) => Err(format!("{} cannot be run: {e}", shown(&wezterm))),
        Err(_) => Err("it does not answer".into()),
    }
}

/// What it said last, without what would steer a terminal.
fn last_line(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it does not say why");
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_CHARS_MAX).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A WezTerm that writes down what it is asked, and ends with this code.
    fn wezterm(dir: &Path, code: u8) -> Place {
        let path = dir.join("wezterm");
        let text = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" \"$WEZTERM_UNIX_SOCKET $MARK\" > {0}/asked\necho no such >&2\nexit {code}\n",
            dir.display()
        );
        std::fs::write(&path, text).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("its mode");
        Place { socket: dir.join("sock"), executables: dir.to_owned() }
    }

    fn window() -> Window {
        Window {
            workspace: "api".into(),
            cwd: "/src/a b".into(),
            command: vec!["attach".into(), "api/lead".into()],
            environment: [("MARK".to_owned(), "here".to_owned())].into(),
        }
    }

    #[actix::test]
    async fn a_window_is_opened_in_the_wezterm_that_was_known_last_while_its_socket_answers() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = wezterm(dir.path(), 0);
        let last = Last::default();
        assert!(last.open(&window()).await.is_err_and(|e| e.contains("none has been connected")));
        last.set(place.clone());
        assert!(last.open(&window()).await.is_err_and(|e| e.contains("is gone")));
        assert!(!dir.path().join("asked").exists() && !last.is(&place), "it is forgotten");
        let _listener = std::os::unix::net::UnixListener::bind(&place.socket).expect("a socket");
        last.set(place.clone());
        assert_eq!(last.open(&window()).await, Ok(()));
        let asked = std::fs::read_to_string(dir.path().join("asked")).expect("it was asked");
        let socket = format!("{} here", place.socket.display());
        let wanted =
            ["--skip-config", "cli", "--no-auto-start", "spawn", "--new-window", "--workspace", "api"];
        let wanted = [&wanted[..], &["--cwd", "/src/a b", "--", "attach", "api/lead", &socket]].concat();
        assert_eq!(asked.lines().collect::<Vec<_>>(), wanted);
        wezterm(dir.path(), 1);
        assert_eq!(last.open(&window()).await, Err("it refused: no such".to_owned()));
    }
}
