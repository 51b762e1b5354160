//! `doctor`: everything this machine needs, looked at one after the other, with what to do about it.
//! Works without a daemon, and changes nothing.

use std::{
    fs::{self, File},
    os::unix::fs::{FileTypeExt, MetadataExt},
    os::unix::net::UnixStream,
    path::Path,
};

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use wezterm_parallel_schemas::{daemon::Empty, method::DaemonStatus, places::SOCKET_PATH_BYTES_MAX};

use crate::{
    app::App,
    claude, config,
    connection::{ConnectError, Connection, daemon_info},
    executable,
    failure::{Failure, Outcome},
    gui,
    output::{self, ADVICE, BAD, GOOD, NOTABLE, STRONG},
    program, unit, view,
    wezterm::{WezTerm, too_old},
};

/// How a thing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    level: Level,
    message: String,
    hint: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, message: message.into(), hint: None }
    }
    fn warn(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, level: Level::Warn, message: message.into(), hint: Some(hint.into()) }
    }
    fn fail(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, level: Level::Fail, message: message.into(), hint: Some(hint.into()) }
    }
}

/// `doctor`.
pub fn run(app: &App) -> Outcome {
    let config = app.config().unwrap_or_else(|_| app.places.config.clone());
    let daemon = Connection::open(&app.places, &config);
    let serves = daemon.is_ok();
    let mut findings = vec![executable_file(app)];
    findings.extend(directories(app));
    findings.push(socket_path(app));
    findings.push(daemon_answers(app, daemon));
    findings.extend(Connection::open(&app.places, &config).ok().and_then(|mut d| plugin(&mut d)));
    findings.push(config_file(app));
    findings.push(stale_files(app, serves));
    findings.push(wezterm());
    findings.extend(pane(|name| std::env::var(name).ok()));
    findings.extend(wezterm_config(&WezTerm::here(app)));
    findings.extend(claude_code(app));
    findings.push(tool("git", &["--version"], Level::Warn, "worktrees need git: install it"));
    findings.extend(linger());

    let failed = findings.iter().filter(|f| f.level == Level::Fail).count();
    if app.json {
        output::print_json(&findings)?;
    } else {
        output::print(findings.iter().map(show).collect::<String>())?;
    }
    match failed {
        0 => Ok(()),
        n => {
            Err(Failure::new("find everything in order", format!("{n} of {} checks failed", findings.len()))
                .hint("do what stands below each `fail`, and run `wezterm-parallel doctor` again"))
        }
    }
}

fn show(f: &Finding) -> String {
    let (style, word) = match f.level {
        Level::Ok => (GOOD, "ok  "),
        Level::Warn => (NOTABLE, "warn"),
        Level::Fail => (BAD, "fail"),
    };
    let mut text = format!(
        "{style}{word}{style:#} {STRONG}{}{STRONG:#}: {}\n",
        f.check,
        indent(&output::clean_lines(&f.message))
    );
    if let Some(hint) = &f.hint {
        text += &format!("     {ADVICE}{}{ADVICE:#}\n", indent(hint));
    }
    text
}

fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n     ")
}

fn executable_file(app: &App) -> Finding {
    const CHECK: &str = "executable";
    let version = env!("CARGO_PKG_VERSION");
    let exe = match executable::current() {
        Ok(exe) => exe,
        Err(e) => return Finding::fail(CHECK, e.why, "call it by its full path"),
    };
    let (copy, link) = (executable::copy_of_this_version(app), executable::link(app));
    let shown = format!("{} (version {version})", exe.display());
    if exe.components().any(|c| c.as_os_str() == "target")
        && !program::same_bytes(&exe, &copy).unwrap_or(false)
    {
        return Finding::warn(
            CHECK,
            format!("{shown} goes with the next `cargo clean`"),
            "run `wezterm-parallel up --yes` to have it copied to where it stays",
        );
    }
    if link.symlink_metadata().is_ok() && !link.exists() {
        return Finding::fail(
            CHECK,
            format!("{} leads nowhere", link.display()),
            "run `up --yes` to have it made anew",
        );
    }
    Finding::ok(CHECK, shown)
}

fn directories(app: &App) -> Vec<Finding> {
    let dirs = [("state directory", &app.places.state_dir), ("runtime directory", &app.places.runtime_dir)];
    dirs.map(|(check, dir)| private(check, dir)).into()
}

/// Nobody else may come at the socket, or at a log that holds what an agent printed.
fn private(check: &'static str, dir: &Path) -> Finding {
    let shown = dir.display();
    let metadata = match dir.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Finding::ok(check, format!("{shown} will be made when it is needed"));
        }
        Err(e) => return Finding::fail(check, format!("{shown}: {e}"), format!("see `ls -ld {shown}`")),
    };
    let (own, mode) = (rustix::process::getuid().as_raw(), metadata.mode() & 0o777);
    if !metadata.is_dir() {
        return Finding::fail(
            check,
            format!("{shown} is not a directory"),
            format!("move it away: `mv {shown} {shown}.old`"),
        );
    }
    if metadata.uid() != own {
        let message = format!("{shown} belongs to user {}, not to you ({own})", metadata.uid());
        return Finding::fail(check, message, format!("remove it, or run `sudo chown {own} {shown}`"));
    }
    if mode & 0o077 != 0 {
        return Finding::fail(
            check,
            format!("{shown} is open to others (mode {mode:o})"),
            format!("run `chmod 700 {shown}`"),
        );
    }
    Finding::ok(check, format!("{shown} (mode {mode:o})"))
}

fn socket_path(app: &App) -> Finding {
    const CHECK: &str = "socket path";
    let socket = app.places.socket();
    let bytes = socket.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        return Finding::fail(
            CHECK,
            format!(
                "{} has {bytes} bytes, and a socket's path may have {SOCKET_PATH_BYTES_MAX}",
                socket.display()
            ),
            "set WEZTERM_PARALLEL_RUNTIME_DIR to a shorter directory of your own",
        );
    }
    Finding::ok(CHECK, socket.display().to_string())
}

fn daemon_answers(app: &App, daemon: Result<Connection, ConnectError>) -> Finding {
    const CHECK: &str = "daemon";
    let mut daemon = match daemon {
        Ok(daemon) => daemon,
        Err(ConnectError::NoDaemon(_)) => {
            return Finding::warn(
                CHECK,
                "none serves",
                "start it with `wezterm-parallel up` or `wezterm-parallel daemon`",
            );
        }
        Err(error) => {
            let failure = error.failure();
            let hint = format!("its log may say why: {}", app.places.log().display());
            return Finding::fail(CHECK, failure.to_string(), hint);
        }
    };
    let version = env!("CARGO_PKG_VERSION");
    let status = match daemon.ask::<DaemonStatus>(&Empty {}) {
        Ok(status) => status.daemon,
        Err(error) => {
            return Finding::fail(CHECK, error.to_string(), format!("see {}", app.places.log().display()));
        }
    };
    let shown =
        format!("version {} serves at {} (pid {})", status.version, status.socket.display(), status.pid);
    if let Some(problem) = status.problem {
        return Finding::fail(
            CHECK,
            format!("{shown}, but: {problem}"),
            format!("see {}", app.places.log().display()),
        );
    }
    if let Some(error) = status.config_error {
        return Finding::warn(
            CHECK,
            format!("{shown}, with an older config:\n{error}"),
            "mend the config file and save it",
        );
    }
    if status.version != version {
        return Finding::warn(
            CHECK,
            format!("{shown}; this program is version {version}"),
            "run `wezterm-parallel stop --keep`, then `wezterm-parallel daemon`: no agent is lost",
        );
    }
    Finding::ok(CHECK, shown)
}

fn config_file(app: &App) -> Finding {
    const CHECK: &str = "config";
    let path = match app.config() {
        Ok(path) => path,
        Err(e) => return Finding::fail(CHECK, e.why, "keep one of the two"),
    };
    if !path.exists() {
        return Finding::warn(
            CHECK,
            format!("there is no {}", path.display()),
            "`wezterm-parallel up` writes one",
        );
    }
    match config::read(app, &path) {
        Ok(loaded) if loaded.warnings.is_empty() => Finding::ok(CHECK, path.display().to_string()),
        Ok(loaded) => Finding::warn(CHECK, path.display().to_string(), loaded.warnings.join("\n")),
        Err(e) => Finding::fail(CHECK, e.why, "mend it; `wezterm-parallel config check` checks it again"),
    }
}

/// What a daemon or a keeper left behind that did not end well. The next daemon sweeps all of it, so
/// it only says something where there is none.
fn stale_files(app: &App, serves: bool) -> Finding {
    const CHECK: &str = "stale files";
    const HINT: &str = "`wezterm-parallel daemon` sweeps them, and takes over what still runs";
    let mut stale = Vec::new();
    let mut alive = 0;
    let mut sockets = vec![app.places.socket()];
    sockets.extend(daemon_info(&app.places).map(|info| info.socket));
    sockets.dedup();
    for socket in sockets {
        let is_socket = socket.symlink_metadata().is_ok_and(|m| m.file_type().is_socket());
        if is_socket && UnixStream::connect(&socket).is_err() {
            stale.push(format!("nobody listens at {}", socket.display()));
        }
    }
    let mut dead = 0;
    for run in fs::read_dir(app.places.runs()).into_iter().flatten().flatten() {
        match File::open(run.path().join("lock")).map(|f| flock(&f, FlockOperation::NonBlockingLockExclusive))
        {
            Ok(Err(rustix::io::Errno::WOULDBLOCK)) => alive += 1,
            // a run that ended has its exit record, and is kept for its log
            Ok(Ok(())) if !run.path().join("exit").exists() => dead += 1,
            Ok(_) | Err(_) => {}
        }
    }
    if dead > 0 {
        stale.push(format!("{dead} runs ended without a record of how"));
    }
    if serves || (stale.is_empty() && alive == 0) {
        return Finding::ok(CHECK, if serves { format!("none; {alive} runs live") } else { "none".into() });
    }
    if alive > 0 {
        stale.push(format!("{alive} runs live without a daemon"));
    }
    Finding::warn(CHECK, stale.join("; "), HINT)
}

/// Whether a WezTerm has the plugin in it and has found the daemon.
fn plugin(daemon: &mut Connection) -> Option<Finding> {
    let message = match gui::connected(daemon)? {
        0 => "no WezTerm is connected; one with the plugin in its config connects by itself".into(),
        n => format!("connected: {}", view::count(n, "WezTerm")),
    };
    Some(Finding::ok("plugin", message))
}

fn wezterm() -> Finding {
    const CHECK: &str = "WezTerm";
    let inside = std::env::var_os("WEZTERM_EXECUTABLE_DIR").map(|dir| Path::new(&dir).join("wezterm"));
    let place = program::find_here("wezterm").or(inside.filter(|p| program::executable(p))).or_else(|| {
        Some("/Applications/WezTerm.app/Contents/MacOS/wezterm".into())
            .filter(|p: &std::path::PathBuf| p.exists())
    });
    match place.as_deref().map(|wezterm| (wezterm, program::first_line(wezterm, &["--version"]))) {
        Some((place, Ok(version))) => {
            let found = format!("{version} at {}", place.display());
            match too_old(&version) {
                Some(why) => Finding::warn(CHECK, found, format!("{why}: https://wezterm.org")),
                None => Finding::ok(CHECK, found),
            }
        }
        Some((place, Err(e))) => Finding::warn(
            CHECK,
            format!("{} does not say its version: {e}", place.display()),
            "install it anew: https://wezterm.org",
        ),
        None => Finding::warn(
            CHECK,
            "not found",
            "install it (https://wezterm.org); without it, `process attach` works in any terminal",
        ),
    }
}

/// The pane of WezTerm that this runs in, if it does.
fn pane(variable: impl Fn(&str) -> Option<String>) -> Option<Finding> {
    const CHECK: &str = "pane";
    let set = |name| variable(name).filter(|v| !v.is_empty());
    let pane = set("WEZTERM_PANE")?;
    Some(match set("WEZTERM_UNIX_SOCKET") {
        Some(socket) if UnixStream::connect(&socket).is_err() => Finding::warn(
            CHECK,
            format!("this is pane {pane} of a WezTerm that is gone: nobody answers at {socket}"),
            "open a new pane; a shell that went on in tmux or screen keeps the old variables",
        ),
        Some(socket) => Finding::ok(CHECK, format!("this is pane {pane} of the WezTerm at {socket}")),
        None => {
            Finding::ok(CHECK, format!("this is pane {pane} of WezTerm, which is not told by which socket"))
        }
    })
}

/// Whether WezTerm's config loads the plugin, and which version of it lies here.
fn wezterm_config(wezterm: &WezTerm) -> Vec<Finding> {
    const CHECK: &str = "WezTerm's config";
    const PLUGIN: &str = "plugin's version";
    let mut findings = vec![match wezterm.config() {
        None => Finding::warn(CHECK, "there is none", "write one with the lines of README, section Install"),
        Some(config) if WezTerm::names_plugin(&config) => Finding::ok(
            CHECK,
            format!(
                "{} loads the plugin; `wezterm show-keys` says what is wrong with it, if anything is",
                config.display()
            ),
        ),
        Some(config) => Finding::warn(
            CHECK,
            format!("{} does not load the plugin", config.display()),
            "put the lines of README, section Install, into it",
        ),
    }];
    let own = env!("CARGO_PKG_VERSION");
    findings.extend(wezterm.checkouts().into_iter().map(|checkout| {
        let dir = checkout.dir.display();
        match checkout.version {
            Some(version) if version == own => Finding::ok(PLUGIN, format!("{version} at {dir}, as this program")),
            Some(version) => Finding::warn(
                PLUGIN,
                format!("{version} at {dir}, and this program is {own}"),
                "update the plugin (`wezterm.plugin.update_all()`), and install its executable from the palette",
            ),
            None => Finding::warn(PLUGIN, format!("{dir} does not say its version"), "update the plugin"),
        }
    }));
    findings
}

fn claude_code(app: &App) -> Vec<Finding> {
    const CHECK: &str = "Claude Code";
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = claude::find(app, &path);
    let missing = found.is_none();
    let mut findings = vec![match found
        .as_ref()
        .map(|f| (f.program(), program::first_line(f.program(), &["--version"])))
    {
        Some((place, Ok(version))) => Finding::ok(CHECK, format!("{version} at {}", place.display())),
        Some((place, Err(e))) => Finding::fail(
            CHECK,
            format!("{} does not run: {e}", place.display()),
            format!(
                "install it anew: `npm install --prefix '{}' {}`",
                app.places.claude_prefix().display(),
                claude::PACKAGE
            ),
        ),
        None => Finding::warn(CHECK, "not found", "`wezterm-parallel up` in a project directory installs it"),
    }];
    // npm and node are only there to install it
    if missing {
        findings.push(tool(
            "npm",
            &["--version"],
            Level::Fail,
            "Claude Code is installed with npm: install Node.js (https://nodejs.org)",
        ));
        findings.push(tool(
            "node",
            &["--version"],
            Level::Fail,
            "npm runs on Node.js: install it (https://nodejs.org)",
        ));
    } else {
        findings.push(tool("npm", &["--version"], Level::Ok, ""));
        findings.push(tool("node", &["--version"], Level::Ok, ""));
    }
    findings
}

/// A program of somebody else; `without` is how bad it is that it is missing.
fn tool(name: &'static str, args: &[&str], without: Level, hint: &str) -> Finding {
    match program::find_here(name) {
        Some(place) => match program::first_line(&place, args) {
            Ok(version) => Finding::ok(name, format!("{version} at {}", place.display())),
            Err(e) => Finding::warn(
                name,
                format!("{} does not say its version: {e}", place.display()),
                "install it anew",
            ),
        },
        None => Finding {
            check: name,
            level: without,
            message: if without == Level::Ok {
                "not found, and not needed".into()
            } else {
                "not found".into()
            },
            hint: Some(hint.to_owned()).filter(|h| !h.is_empty()),
        },
    }
}

/// Without lingering systemd ends everything of a user at the last logout, keepers included.
fn linger() -> Option<Finding> {
    const CHECK: &str = "linger";
    if !unit::systemd_user_manager() {
        return None;
    }
    let loginctl = program::find_here("loginctl")?;
    let uid = rustix::process::getuid().as_raw().to_string();
    match program::first_line(&loginctl, &["show-user", &uid, "--property=Linger"]).as_deref() {
        Ok("Linger=yes") => Some(Finding::ok(CHECK, "agents stay when you log out")),
        Ok("Linger=no") => Some(Finding::warn(
            CHECK,
            "systemd ends every agent when you log out",
            "run `loginctl enable-linger` to have them stay",
        )),
        Ok(_) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt, net::UnixListener};

    use wezterm_parallel_schemas::places::Places;

    use super::*;

    fn app(dir: &Path) -> App {
        App { places: Places::new(|_| None, dir), home: dir.to_owned(), json: false, config_given: None }
    }

    #[test]
    fn a_directory_that_others_can_enter_fails_with_the_command_that_mends_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().join("state");
        assert_eq!(private("state directory", &place).level, Level::Ok, "it is made when it is needed");
        fs::create_dir(&place).expect("made");
        for (mode, level) in [(0o700, Level::Ok), (0o750, Level::Fail), (0o777, Level::Fail)] {
            fs::set_permissions(&place, fs::Permissions::from_mode(mode)).expect("a mode");
            let finding = private("state directory", &place);
            assert_eq!(finding.level, level, "{mode:o}");
            assert_eq!(finding.hint.is_some_and(|h| h.starts_with("run `chmod 700 /")), level == Level::Fail);
        }
        fs::remove_dir(&place).expect("removed");
        fs::write(&place, "").expect("a file");
        assert_eq!(private("state directory", &place).level, Level::Fail);
    }

    #[test]
    fn a_socket_path_that_is_too_long_fails() {
        let mut app = app(Path::new("/home/u"));
        assert_eq!(socket_path(&app).level, Level::Ok);
        app.places.runtime_dir = Path::new("/").join("x".repeat(100));
        assert_eq!(socket_path(&app).level, Level::Fail);
    }

    #[test]
    fn leftovers_are_only_stale_while_no_daemon_serves() {
        let dir = tempfile::tempdir().expect("a directory");
        let app = app(dir.path());
        assert_eq!(stale_files(&app, false).level, Level::Ok);
        fs::create_dir_all(&app.places.runtime_dir).expect("made");
        drop(UnixListener::bind(app.places.socket()).expect("a socket"));
        let run = |name: &str| {
            let run = app.places.runs().join(name);
            fs::create_dir_all(&run).expect("made");
            File::create(run.join("lock")).expect("a lock")
        };
        let held = run("alive");
        flock(&held, FlockOperation::LockExclusive).expect("locked");
        run("dead");
        run("ended");
        fs::write(app.places.runs().join("ended/exit"), "").expect("a record");
        let finding = stale_files(&app, false);
        assert_eq!(finding.level, Level::Warn);
        assert!(
            finding.message.starts_with("nobody listens at")
                && finding
                    .message
                    .ends_with("; 1 runs ended without a record of how; 1 runs live without a daemon"),
            "{}",
            finding.message
        );
        assert_eq!(stale_files(&app, true), Finding::ok("stale files", "none; 1 runs live"));
    }

    #[test]
    fn a_config_that_is_wrong_fails_with_its_whole_message() {
        let dir = tempfile::tempdir().expect("a directory");
        let app = app(dir.path());
        assert_eq!(config_file(&app).level, Level::Warn, "none yet");
        fs::create_dir_all(app.places.config.parent().expect("a directory")).expect("made");
        fs::write(&app.places.config, "version: 1\nworkspces: {}\n").expect("a file");
        let finding = config_file(&app);
        assert!(finding.level == Level::Fail && finding.message.contains("workspces"), "{finding:?}");
        fs::write(&app.places.config, "version: 1\n").expect("a file");
        assert_eq!(config_file(&app).level, Level::Ok);
    }

    #[test]
    fn a_pane_of_a_wezterm_that_is_gone_is_told_from_one_that_lives() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("s");
        let level = |pane: &str| pane_of(pane, &socket).map(|finding| finding.level);
        fn pane_of(number: &str, socket: &Path) -> Option<Finding> {
            pane(|name| match name {
                "WEZTERM_PANE" => Some(number.to_owned()),
                _ => Some(socket.display().to_string()),
            })
        }
        assert_eq!(level(""), None);
        assert_eq!(level("3"), Some(Level::Warn));
        let _listener = UnixListener::bind(&socket).expect("a socket");
        assert_eq!(level("3"), Some(Level::Ok));
    }

    #[test]
    fn findings_are_shown_with_what_to_do_below() {
        let text = [
            Finding::ok("git", "2.39"),
            Finding::warn("daemon", "none serves", "start it"),
            Finding::fail("config", "line 1\nline 2", "mend it"),
        ];
        let text: String = text.iter().map(show).collect();
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "ok   git: 2.39\nwarn daemon: none serves\n     start it\nfail config: line 1\n     line 2\n     mend it\n"
        );
    }
}
