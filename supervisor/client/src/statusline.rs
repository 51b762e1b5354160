//! `wezterm-parallel statusline`: the status line that our settings give a Claude. It hands what it is
//! given to the daemon, and then becomes the user's own status line, if there is one: the same process,
//! with the same input and environment. So a slow one is as slow, a halted one is ended by Claude, and its
//! exit code is its own. Where the user has none, nothing is printed, and Claude shows no line.
//!
//! Seen with 2.1.197 and 2.1.330: the command is run by `/bin/sh -c` in a process group of its own, which
//! gets SIGTERM when the next one is due; an output that is empty, and one of a command that failed, is not
//! shown and takes no room.

use std::{
    ffi::OsString,
    fs::File,
    io::{Seek as _, Write as _},
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::hook;

/// Largest file of settings that is read, in bytes; they have a few thousand.
const SETTINGS_BYTES_MAX: u64 = 1 << 20;
/// What a pipe takes without a reader, on every system: an input is some 2 KB.
const PIPE_BYTES_MAX: usize = 16 << 10;
/// The exit code of a shell that cannot run a command.
const EXIT_NOT_RUN: i32 = 127;

/// Carries out `statusline`; does not return where the user has a status line.
pub fn main(args: impl Iterator<Item = OsString>) -> i32 {
    let asked = Asked::take(args);
    let Some(input) = hook::read_input() else { return 0 };
    hook::tell_status_line(&input, asked.state.clone());
    let said: Value = serde_json::from_slice(&input).unwrap_or_default();
    let Some(command) = asked.own_command(&said) else { return 0 };
    let Ok(stdin) = as_stdin(&input) else { return EXIT_NOT_RUN };
    // only returns if it cannot be run
    let _ = Command::new("/bin/sh").arg("-c").arg(command).stdin(stdin).exec();
    EXIT_NOT_RUN
}

/// What stands on the command line.
#[derive(Default)]
struct Asked {
    /// Where the daemon says where it is.
    state: Option<PathBuf>,
    /// Settings that the user gave by `--settings`.
    own: Option<PathBuf>,
    /// Which other settings count, as the user gave them by `--setting-sources`.
    sources: Option<String>,
}

impl Asked {
    fn take(mut args: impl Iterator<Item = OsString>) -> Self {
        let mut asked = Self::default();
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--state") => asked.state = args.next().map(PathBuf::from),
                Some("--own") => asked.own = args.next().map(PathBuf::from),
                Some("--sources") => asked.sources = args.next().and_then(|s| s.into_string().ok()),
                _ => {}
            }
        }
        asked
    }

    /// The user's own status line: that of `--settings`, of the project's local settings, of the project's,
    /// of the user's, whichever comes first.
    fn own_command(&self, said: &Value) -> Option<String> {
        let project = said["workspace"]["project_dir"].as_str().map(PathBuf::from);
        let project = project.or_else(|| std::env::var_os("CLAUDE_PROJECT_DIR").map(PathBuf::from));
        let user = std::env::var_os("CLAUDE_CONFIG_DIR").filter(|d| !d.is_empty()).map(PathBuf::from);
        let user = user.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".claude")));
        let of_project = |name: &str| project.as_ref().map(|p| p.join(".claude").join(name));
        let counts =
            |source: &str| self.sources.as_ref().is_none_or(|s| s.split(',').any(|s| s.trim() == source));
        let files = [
            self.own.clone(),
            of_project("settings.local.json").filter(|_| counts("local")),
            of_project("settings.json").filter(|_| counts("project")),
            user.map(|d| d.join("settings.json")).filter(|_| counts("user")),
        ];
        let line = files.into_iter().flatten().find_map(|file| status_line(&file))?;
        let command = line["command"].as_str().filter(|_| line["type"] == "command");
        command.filter(|c| !c.trim().is_empty()).map(str::to_owned)
    }
}

/// The status line that stands in a file of settings.
fn status_line(file: &Path) -> Option<Value> {
    if std::fs::metadata(file).ok()?.len() > SETTINGS_BYTES_MAX {
        return None;
    }
    let mut settings: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    settings.get_mut("statusLine").map(Value::take).filter(Value::is_object)
}

/// Something to read the input from once more.
fn as_stdin(input: &[u8]) -> std::io::Result<Stdio> {
    if input.len() <= PIPE_BYTES_MAX {
        let (read, mut write) = std::io::pipe()?;
        write.write_all(input)?;
        return Ok(read.into());
    }
    let mut file = nameless(&std::env::temp_dir())?;
    file.write_all(input)?;
    file.rewind()?;
    Ok(file.into())
}

/// A file for ourselves alone, which has a name for no longer than a moment: what Claude says of itself is
/// nobody else's to read, and a name that could be foreseen could be taken by somebody.
fn nameless(dir: &Path) -> std::io::Result<File> {
    let path = dir.join(format!("wezterm-parallel-{}", ulid::Ulid::generate()));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn the_own_status_line_is_the_one_that_claude_would_have_shown() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, command: &str| {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
            let settings = serde_json::json!({ "statusLine": { "type": "command", "command": command } });
            std::fs::write(&file, settings.to_string()).expect("written");
            file
        };
        let said = serde_json::json!({ "workspace": { "project_dir": dir.path() } });
        let found = |asked: &Asked| asked.own_command(&said);
        let all = Asked { sources: Some("project,local".into()), ..Asked::default() };
        assert_eq!(found(&all), None, "none is configured");
        write(".claude/settings.json", "shared");
        assert_eq!(found(&all).as_deref(), Some("shared"));
        let local = write(".claude/settings.local.json", "mine");
        assert_eq!(found(&all).as_deref(), Some("mine"));
        let shared = Asked { sources: Some("project".into()), ..Asked::default() };
        assert_eq!(found(&shared).as_deref(), Some("shared"));
        let own = write("own.json", "given");
        assert_eq!(found(&Asked { own: Some(own), ..all }).as_deref(), Some("given"));
        std::fs::write(local, "{half").expect("written");
        assert_eq!(found(&Asked { sources: Some("local".into()), ..Asked::default() }), None);
    }

    #[test]
    fn what_is_kept_of_a_large_input_is_nobody_elses_to_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = nameless(dir.path()).expect("a file");
        assert_eq!(file.metadata().expect("it is open").mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0, "it has no name");
    }

    #[test]
    fn an_input_of_any_size_can_be_read_once_more() {
        for size in [0, 2_000, PIPE_BYTES_MAX + 1, 1 << 20] {
            let input = vec![b'x'; size];
            let mut child = Command::new("cat");
            let mut child = child
                .stdin(as_stdin(&input).expect("it can be kept"))
                .stdout(Stdio::piped())
                .spawn()
                .expect("cat runs");
            let mut out = Vec::new();
            child.stdout.take().expect("piped").read_to_end(&mut out).expect("read");
            child.wait().expect("it ends");
            assert_eq!(out.len(), size);
        }
    }
}
