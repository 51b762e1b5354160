//! The settings that a Claude is started with, `--settings FILE`: our hooks, and what the user's own
//! `--settings` has. Nothing of the user's is touched: Claude adds hooks of a file to those of `~/.claude`.
//!
//! Seen with 2.1.197 and 2.1.330: hooks take `args` (no shell in between); of several `--settings` only
//! one counts; an event of an unknown name is skipped, with a complaint on the terminal in the newer one,
//! so that only names are used that both know.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use wezterm_parallel_schemas::{
    mcp::{FREE_TOOLS, SERVER},
    places::Places,
};

use super::{
    claude,
    status_line::{self, Around},
};

/// Events that are told at once, whatever else is known.
const EVENTS: &[&str] = &[
    "SessionStart",
    "SessionEnd",
    "UserPromptSubmit",
    "Stop",
    "StopFailure",
    "PermissionRequest",
    "PermissionDenied",
    "Notification",
    "SubagentStart",
    "SubagentStop",
    "PreCompact",
    "PostCompact",
    "Elicitation",
];
/// Events of each tool.
const TOOL_EVENTS: &[&str] = &["PreToolUse", "PostToolUse", "PostToolUseFailure"];
/// The one that is held open until somebody decides.
const HELD: &str = "PermissionRequest";
/// Seconds that Claude gives a hook. Ours gives up by itself long before.
const TIMEOUT_S: u64 = 5;
/// Seconds that Claude gives a request: a day, since nobody may look before tomorrow.
const HELD_TIMEOUT_S: u64 = 86_400;
/// The key that says whether Claude goes on by itself after a usage limit.
const AUTO_CONTINUE: &str = "autoContinueAtUsageLimit";
/// Largest file of the user's settings that is read, in bytes; they have a few thousand.
const SETTINGS_BYTES_MAX: u64 = 1 << 20;

/// Where they go, and what stands in them.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The state directory, by which a hook finds the daemon.
    pub state_dir: PathBuf,
    /// The executable that Claude runs.
    pub executable: PathBuf,
    /// Whether each tool is told of too.
    pub tools: bool,
    /// Claude's config directory, where the user's settings lie.
    pub config_dir: Option<PathBuf>,
    /// It has our MCP server: its tools are allowed, but for those that its user is to be asked about.
    pub mcp: bool,
    /// Whether Claude may go on by itself when a usage limit has passed. 2.1.330 does unless it is told
    /// not to; of 2.1.197 none does.
    pub auto_continue: bool,
}

/// The file of a process.
pub fn file(places: &Places, process_id: &str) -> PathBuf {
    places.settings().join(format!("{process_id}.json"))
}

/// Removes what was written for a process.
pub fn remove(file: &Path) {
    // there may be none
    let _ = fs::remove_file(file);
    let _ = fs::remove_file(kept(file));
    let _ = fs::remove_file(mcp(file));
}

/// Where the user's own status line is kept beside, if it came by the command line.
fn kept(file: &Path) -> PathBuf {
    file.with_extension("own.json")
}

/// Where our MCP server is described, beside.
pub fn mcp(file: &Path) -> PathBuf {
    file.with_extension("mcp.json")
}

/// The name of our executable that outlives an upgrade, for a Claude that may run for weeks: the link
/// that `up` keeps, if this is one of the executables that it leads to; else the file itself.
pub fn lasting(executable: &Path, home: &Path, places: &Places) -> PathBuf {
    let link = home.join(".local/bin/wezterm-parallel");
    let ours = |p: &Path| p.starts_with(places.executables());
    match fs::read_link(&link) {
        Ok(target) if ours(&target) && ours(executable) => link,
        _ => executable.to_owned(),
    }
}

/// Writes the settings and puts them on the command line, the user's own among them.
///
/// # Errors
/// In words; the command line is as it was.
pub fn inject(command: &mut Vec<String>, cwd: &Path, place: &Place) -> Result<(), String> {
    let (rest, own) = without_settings(command);
    let mut settings = match &own {
        None => Map::new(),
        Some(own) => read(own, cwd)?,
    };
    add_hooks(&mut settings, place)?;
    if place.mcp {
        allow_tools(&mut settings)?;
    }
    settings.insert(AUTO_CONTINUE.into(), place.auto_continue.into());
    add_status_line(&mut settings, &rest, cwd, place)
        .map_err(|e| format!("cannot write {}: {e}", kept(&place.file).display()))?;
    let path = place.file.to_str().ok_or("the path of the state directory is no text")?.to_owned();
    write(&place.file, &Value::Object(settings))
        .map_err(|e| format!("cannot write {}: {e}", place.file.display()))?;
    *command = rest;
    claude::add_options(command, ["--settings".to_owned(), path]);
    Ok(())
}

/// The command line without the user's settings, and those: of several the last, as Claude has it.
fn without_settings(command: &[String]) -> (Vec<String>, Option<String>) {
    let (mut rest, mut own) = (Vec::with_capacity(command.len()), None);
    let mut arguments = command.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            rest.push(argument.clone());
            rest.extend(arguments.by_ref().cloned());
        } else if argument == "--settings" {
            own = arguments.next().cloned();
        } else if let Some(value) = argument.strip_prefix("--settings=") {
            own = Some(value.to_owned());
        } else {
            rest.push(argument.clone());
        }
    }
    (rest, own)
}

/// The user's settings: JSON on the command line, or a file of it.
fn read(own: &str, cwd: &Path) -> Result<Map<String, Value>, String> {
    let text = if own.trim_start().starts_with('{') {
        own.to_owned()
    } else {
        let path = cwd.join(own);
        let bytes = fs::metadata(&path).map_err(|e| format!("cannot read {own}: {e}"))?.len();
        if bytes > SETTINGS_BYTES_MAX {
            return Err(format!("{own} is larger than {SETTINGS_BYTES_MAX} bytes"));
        }
        fs::read_to_string(&path).map_err(|e| format!("cannot read {own}: {e}"))?
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(settings)) => Ok(settings),
        Ok(_) => Err("the settings on its command line are no JSON object".into()),
        // what stands in them is not repeated: it may be a secret
        Err(e) => Err(format!("the settings on its command line are no JSON (line {})", e.line())),
    }
}

/// Puts our hooks behind those that are there.
fn add_hooks(settings: &mut Map<String, Value>, place: &Place) -> Result<(), String> {
    let (Some(executable), Some(state)) = (place.executable.to_str(), place.state_dir.to_str()) else {
        return Err("the path of our executable or of the state directory is no text".into());
    };
    let hooks = settings.entry("hooks").or_insert_with(|| json!({}));
    let Value::Object(hooks) = hooks else { return Err("its `hooks` are no JSON object".into()) };
    let tools: &[&str] = if place.tools { TOOL_EVENTS } else { &[] };
    for event in EVENTS.iter().chain(tools) {
        let timeout = if *event == HELD { HELD_TIMEOUT_S } else { TIMEOUT_S };
        let ours = json!({ "hooks": [{
            "type": "command", "command": executable, "args": ["hook", "--state", state], "timeout": timeout,
        }] });
        match hooks.entry(*event).or_insert_with(|| json!([])) {
            Value::Array(all) => all.push(ours),
            _ => return Err(format!("its hooks of {event} are no JSON array")),
        }
    }
    Ok(())
}

/// Allows the tools of our MCP server beside what the user allows. What the user denies stays denied.
fn allow_tools(settings: &mut Map<String, Value>) -> Result<(), String> {
    let permissions = settings.entry("permissions").or_insert_with(|| json!({}));
    let Value::Object(permissions) = permissions else {
        return Err("its `permissions` are no JSON object".into());
    };
    match permissions.entry("allow").or_insert_with(|| json!([])) {
        Value::Array(all) => {
            all.extend(FREE_TOOLS.iter().map(|tool| json!(format!("mcp__{SERVER}__{tool}"))));
            Ok(())
        }
        _ => Err("what its `permissions` allow is no JSON array".into()),
    }
}

/// Puts our status line in place of the user's.
fn add_status_line(
    settings: &mut Map<String, Value>,
    command: &[String],
    cwd: &Path,
    place: &Place,
) -> std::io::Result<()> {
    let (executable, state_dir) = (place.executable.to_string_lossy(), place.state_dir.to_string_lossy());
    let kept = kept(&place.file);
    let around = Around {
        executable: &executable,
        state_dir: &state_dir,
        cwd,
        config_dir: place.config_dir.as_deref(),
        sources: claude::option(command, "--setting-sources"),
        kept: &kept,
    };
    match status_line::put(settings, &around) {
        Some(own) => write(&kept, &own),
        None => Ok(()),
    }
}

/// For us alone, and never half there: Claude reads it again when it changes.
pub(super) fn write(file: &Path, settings: &Value) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    let fresh = file.with_extension("json.new");
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    out.write_all(settings.to_string().as_bytes())?;
    fs::rename(fresh, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dir: &Path) -> Place {
        Place {
            file: dir.join("state/settings/x.json"),
            state_dir: dir.join("state"),
            executable: "/opt/our own/wezterm-parallel".into(),
            tools: false,
            mcp: false,
            config_dir: None,
            auto_continue: false,
        }
    }

    fn command(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn written(place: &Place) -> Value {
        serde_json::from_slice(&fs::read(&place.file).expect("written")).expect("JSON")
    }

    #[test]
    fn a_claude_gets_our_hooks_in_a_file_of_its_own() {
        use std::os::unix::fs::MetadataExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        let place = place(dir.path());
        let mut line = command(&["claude", "--model", "opus", "--", "--settings is a word here"]);
        inject(&mut line, dir.path(), &place).expect("injected");
        let file = place.file.to_str().expect("text");
        assert_eq!(
            line,
            command(&["claude", "--model", "opus", "--settings", file, "--", "--settings is a word here"])
        );
        let settings = written(&place);
        let held = &settings["hooks"]["PermissionRequest"][0]["hooks"][0];
        assert_eq!(held["command"], "/opt/our own/wezterm-parallel");
        assert_eq!(held["args"][0], "hook");
        assert_eq!(held["timeout"], HELD_TIMEOUT_S);
        assert_eq!(settings["hooks"].get("PreToolUse"), None);
        assert_eq!(settings["autoContinueAtUsageLimit"], false);
        assert!(settings["statusLine"]["command"].as_str().is_some_and(|c| c.contains("statusline --state")));
        assert_eq!(fs::metadata(&place.file).expect("there").mode() & 0o777, 0o600);
        let beside = fs::read_dir(place.file.parent().expect("a directory")).expect("read").count();
        assert_eq!(beside, 1, "nothing half made is left");
    }

    #[test]
    fn the_users_own_settings_go_along_and_the_users_hooks_come_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place { tools: true, ..place(dir.path()) };
        let own = r#"{"model":"opus","statusLine":{"type":"command","command":"mine"},"hooks":{"Stop":[{"hooks":[{"type":"command","command":"say done"}]}]}}"#;
        fs::write(dir.path().join("own.json"), own).expect("a file");
        for arguments in [
            command(&["claude", "--settings", "own.json", "-p", "hi"]),
            command(&["claude", &format!("--settings={own}"), "-p", "hi"]),
        ] {
            let mut line = arguments;
            inject(&mut line, dir.path(), &place).expect("injected");
            assert_eq!(line[..3], command(&["claude", "-p", "hi"]));
            assert_eq!(line.iter().filter(|a| a.starts_with("--settings")).count(), 1, "{line:?}");
            let settings = written(&place);
            assert_eq!(settings["model"], "opus");
            let kept: Value =
                serde_json::from_slice(&fs::read(kept(&place.file)).expect("kept")).expect("JSON");
            assert_eq!(kept["statusLine"]["command"], "mine");
            assert!(settings["statusLine"]["command"].as_str().is_some_and(|c| c.contains("x.own.json")));
            assert_eq!(settings["hooks"]["Stop"][0]["hooks"][0]["command"], "say done");
            assert_eq!(settings["hooks"]["Stop"][1]["hooks"][0]["args"][0], "hook");
            assert_eq!(settings["hooks"]["PreToolUse"][0]["hooks"][0]["args"][0], "hook");
        }
    }

    #[test]
    fn our_tools_are_allowed_beside_the_users_own_but_for_those_that_speak_to_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place { mcp: true, ..place(dir.path()) };
        let own = r#"{"permissions":{"allow":["Bash(ls)"],"deny":["mcp__wezterm-parallel__task_add"]}}"#;
        let mut line = command(&["claude", "--settings", own]);
        inject(&mut line, dir.path(), &place).expect("injected");
        let permissions = &written(&place)["permissions"];
        let allowed: Vec<&str> =
            permissions["allow"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(allowed[..2], ["Bash(ls)", "mcp__wezterm-parallel__task_add"]);
        assert!(!allowed.iter().any(|tool| tool.contains("process_send")), "{allowed:?}");
        assert_eq!(permissions["deny"][0], "mcp__wezterm-parallel__task_add");
        for bad in [r#"{"permissions":7}"#, r#"{"permissions":{"allow":"Bash"}}"#] {
            let mut line = command(&["claude", "--settings", bad]);
            assert!(inject(&mut line, dir.path(), &place).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_that_cannot_be_read_are_left_to_claude() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = place(dir.path());
        fs::write(dir.path().join("bad.json"), "{ // a comment\n}").expect("a file");
        for own in ["missing.json", "bad.json", "{\"hooks\":[]}", "{\"hooks\":{\"Stop\":7}}", "{"] {
            let before = command(&["claude", "--settings", own]);
            let mut line = before.clone();
            assert!(inject(&mut line, dir.path(), &place).is_err(), "{own}");
            assert_eq!(line, before);
            assert!(!place.file.exists(), "{own}");
        }
    }

    #[test]
    fn the_link_of_up_is_used_where_it_leads_to_us() {
        let dir = tempfile::tempdir().expect("a directory");
        let places = Places::new(|_| None, dir.path());
        let copy = places.executables().join("0.1.0/wezterm-parallel");
        let link = dir.path().join(".local/bin/wezterm-parallel");
        assert_eq!(lasting(&copy, dir.path(), &places), copy);
        fs::create_dir_all(link.parent().expect("a directory")).expect("made");
        std::os::unix::fs::symlink(places.executables().join("0.2.0/wezterm-parallel"), &link)
            .expect("a link");
        assert_eq!(lasting(&copy, dir.path(), &places), link);
        let built = Path::new("/src/target/debug/wezterm-parallel");
        assert_eq!(lasting(built, dir.path(), &places), built, "the link leads to another build");
    }
}
