//! Runs hooks of the user's: one program with the event on its standard input, ended when its time is up.
//!
//! Nothing here waits for a disk. It is the shell in the hook's own process that goes to the directory, which
//! may lie on a mount that does not answer, and looks for the program. So the daemon runs no code between
//! fork and exec, and what hangs is one more hook whose time runs out.

use std::{
    convert::Infallible,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, ChildStdin, Command},
    time::{Instant, sleep_until, timeout},
};
use wezterm_parallel_schemas::{on::EVENT_VARIABLE, units::Span};

/// Goes to the first directory, or to the second where that is not there, and becomes the program behind.
const ENTER: &str = r#"cd -- "$1" 2>/dev/null || cd -- "$2"; shift 2; exec "$@""#;
/// Time after SIGTERM before the whole group is killed.
const GRACE: Duration = Duration::from_secs(2);
/// Of what a hook that fails has said, so much is logged, in bytes: the last lines, which have the reason.
const SAID_BYTES_MAX: usize = 2 << 10;
/// What a hook has said stands in its pipe when it has ended. This long, since something that it has left
/// behind may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A hook that is to run.
pub struct Hook {
    /// The name of what has happened.
    pub name: &'static str,
    /// The event, as one line of JSON.
    pub line: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where, if that is there.
    pub cwd: Option<PathBuf>,
    /// Where else.
    pub home: PathBuf,
    /// Its environment, but for the variable that names the event.
    pub environment: Arc<IndexMap<String, String>>,
    /// How long it has.
    pub timeout: Duration,
}

/// Runs it to its end, which is at latest some seconds after its time is up. Where this is dropped, the
/// program goes on.
///
/// # Errors
/// Why it has failed, with the end of what it said.
pub async fn run(hook: &Hook) -> Result<(), String> {
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", ENTER, "hook"]);
    command.arg(hook.cwd.as_ref().unwrap_or(&hook.home)).arg(&hook.home).args(&hook.command);
    command.env_clear().envs(hook.environment.iter()).env(EVENT_VARIABLE, hook.name);
    command.process_group(0).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Command::from(command).spawn().map_err(|e| format!("it cannot be run: {e}"))?;
    let (stdin, mut stderr) = (child.stdin.take(), child.stderr.take());
    let mut said = Vec::new();
    let end = tokio::select! {
        end = until_end(&mut child, hook.timeout) => end,
        never = talk(stdin, &hook.line, &mut stderr, &mut said) => match never {},
    };
    let why = match end {
        Ok(Some(status)) if status.success() => return Ok(()),
        Ok(Some(status)) => status.to_string(),
        Ok(None) => format!("it was ended after {}", Span(hook.timeout)),
        Err(e) => format!("nobody knows how it ended: {e}"),
    };
    let _ = timeout(LAST_WORDS, listen(&mut stderr, &mut said)).await;
    let said = shown(&said);
    Err(if said.is_empty() { why } else { format!("{why}; it said: {said}") })
}

/// None: its time was up.
async fn until_end(child: &mut Child, time: Duration) -> std::io::Result<Option<ExitStatus>> {
    let group = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    if let Ok(ended) = timeout(time, child.wait()).await {
        return ended.map(Some);
    }
    let Some(group) = group else { return Ok(None) };
    let _ = kill_process_group(group, Signal::TERM);
    let until = Instant::now() + GRACE;
    if timeout(GRACE, child.wait()).await.is_ok() {
        // as long as one of the group is there, its number is nobody else's
        if test_kill_process_group(group).is_err() {
            return Ok(None);
        }
        sleep_until(until).await;
    }
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().await.map(|_| None)
}

/// Hands the event over and hears what is said, until this is dropped.
async fn talk(
    stdin: Option<ChildStdin>,
    line: &str,
    stderr: &mut Option<ChildStderr>,
    said: &mut Vec<u8>,
) -> Infallible {
    let tell = async move {
        if let Some(mut stdin) = stdin {
            // one that does not read it has ended, or does not care
            let _ = stdin.write_all(line.as_bytes()).await;
        }
    };
    tokio::join!(tell, listen(stderr, said));
    std::future::pending().await
}

/// Keeps the end of what is said.
async fn listen(stderr: &mut Option<ChildStderr>, said: &mut Vec<u8>) {
    let mut buffer = [0; SAID_BYTES_MAX];
    let Some(stderr) = stderr else { return };
    while let Ok(n @ 1..) = stderr.read(&mut buffer).await {
        said.extend_from_slice(&buffer[..n]);
        said.drain(..said.len().saturating_sub(SAID_BYTES_MAX));
    }
}

/// On one line, without what would steer a terminal.
fn shown(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn hook(dir: &Path, script: &str) -> Hook {
        Hook {
            name: "process_blocked",
            line: "{\"kind\":\"process.status\"}\n".into(),
            command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
            cwd: None,
            home: dir.to_owned(),
            environment: Arc::new(
                [("PATH".to_owned(), "/usr/bin:/bin".to_owned()), ("MARK".to_owned(), "here".to_owned())]
                    .into(),
            ),
            timeout: Duration::from_secs(60),
        }
    }

    fn dir() -> tempfile::TempDir {
        tempfile::tempdir().expect("a directory")
    }

    fn read(path: PathBuf) -> String {
        std::fs::read_to_string(path).expect("it was written")
    }

    #[actix::test]
    async fn a_hook_has_the_event_on_its_input_and_its_name_and_nothing_else_in_the_environment() {
        let dir = dir();
        let all = hook(dir.path(), "cat > got; env > env");
        assert_eq!(run(&all).await, Ok(()));
        assert_eq!(read(dir.path().join("got")), all.line);
        let env = read(dir.path().join("env"));
        assert!(env.contains("WEZTERM_PARALLEL_EVENT=process_blocked\n") && env.contains("MARK=here\n"));
        assert!(!env.contains("HOME="), "that of the daemon is not there: {env}");
    }

    #[actix::test]
    async fn a_hook_runs_in_the_directory_if_that_is_there_and_else_at_home() {
        let (home, work) = (dir(), dir());
        let mut hook = hook(home.path(), "pwd -P > \"$OUT\"");
        let out = home.path().join("out");
        Arc::get_mut(&mut hook.environment)
            .expect("nobody else has it")
            .insert("OUT".into(), out.display().to_string());
        let real = |path: &Path| format!("{}\n", path.canonicalize().expect("it is there").display());
        for (cwd, wanted) in [
            (Some(work.path().to_owned()), work.path()),
            (Some("/no/such/place".into()), home.path()),
            (None, home.path()),
        ] {
            hook.cwd = cwd;
            assert_eq!(run(&hook).await, Ok(()));
            assert_eq!(read(out.clone()), real(wanted));
        }
    }

    #[actix::test]
    async fn words_are_given_as_they_are() {
        let dir = dir();
        let mut hook = hook(dir.path(), "");
        let words = ["touch", "a b", "$(c)", "-- *"];
        hook.command = ["touch", "--", "a b", "$(c)", "-- *"].map(str::to_owned).into();
        assert_eq!(run(&hook).await, Ok(()));
        for name in &words[1..] {
            assert!(dir.path().join(name).exists(), "{name}");
        }
    }

    #[actix::test]
    async fn one_that_fails_is_told_with_the_end_of_what_it_said() {
        let dir = dir();
        let flood = "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i + 1)); done; printf '\\033[31mlast\\n' >&2; exit 3";
        let why = run(&hook(dir.path(), flood)).await.expect_err("it fails");
        assert!(why.starts_with("exit status: 3; it said: ") && why.ends_with(" [31mlast"), "{why}");
        assert!(why.len() < SAID_BYTES_MAX + 100 && why.contains("line 1999 "), "{why}");
        let mut missing = hook(dir.path(), "");
        missing.command = vec!["no-such-program".into()];
        let why = run(&missing).await.expect_err("it fails");
        assert!(why.starts_with("exit status: 127") && why.contains("no-such-program"), "{why}");
    }

    #[actix::test]
    async fn what_it_leaves_behind_holds_nothing_up() {
        let dir = dir();
        // it holds the pipe of what is said open, until it finds the file
        let script = "echo oh >&2; (while ! [ -e go ]; do sleep 0.05; done; touch gone) & exit 1";
        assert_eq!(run(&hook(dir.path(), script)).await, Err("exit status: 1; it said: oh".to_owned()));
        std::fs::write(dir.path().join("go"), "").expect("written");
        while !dir.path().join("gone").exists() {
            tokio::task::yield_now().await;
        }
    }

    #[actix::test]
    async fn one_that_hangs_is_ended_with_all_of_its_group_also_if_it_does_not_want_to() {
        let dir = dir();
        for script in [
            "echo $$ > pid; exec sleep 1000",
            "echo $$ > pid; trap '' TERM; sleep 1000; sleep 1000",
            // the first of them goes, and the one behind stays
            "(trap '' TERM; sleep 1000; sleep 1000) & echo $$ > pid; exec sleep 1000",
        ] {
            let mut hook = hook(dir.path(), script);
            hook.timeout = Duration::from_millis(500);
            assert_eq!(run(&hook).await, Err("it was ended after 500ms".to_owned()), "{script}");
            let group: i32 = read(dir.path().join("pid")).trim().parse().expect("a number");
            let group = Pid::from_raw(group).expect("a process id");
            // what was killed is taken away by whoever became its parent
            let until = Instant::now() + Duration::from_secs(10);
            while test_kill_process_group(group).is_ok() && Instant::now() < until {
                tokio::task::yield_now().await;
            }
            assert!(test_kill_process_group(group).is_err(), "{script}");
        }
    }
}
