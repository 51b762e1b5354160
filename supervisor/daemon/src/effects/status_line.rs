//! Our status line in the settings of a Claude, in place of the user's own, which ours runs.

use std::path::Path;

use serde_json::{Map, Value, json};

/// Largest file of settings that is read, in bytes; they have a few thousand.
const SETTINGS_BYTES_MAX: u64 = 1 << 20;

/// Where things lie that a status line is made of.
pub struct Around<'a> {
    /// Our executable.
    pub executable: &'a str,
    /// The state directory, by which it finds the daemon.
    pub state_dir: &'a str,
    /// Where the Claude runs.
    pub cwd: &'a Path,
    /// Its config directory.
    pub config_dir: Option<&'a Path>,
    /// What the user gave for `--setting-sources`.
    pub sources: Option<&'a str>,
    /// Where the user's own settings of the command line are kept for it.
    pub kept: &'a Path,
}

/// Puts ours in. Gives the settings that are to be kept beside, if the user's own command line has a status
/// line. Reads the disk: how the user's own is shown (`padding`, and what else there is) holds for ours.
pub fn put(settings: &mut Map<String, Value>, around: &Around<'_>) -> Option<Value> {
    let given = settings.remove("statusLine").filter(Value::is_object);
    let counts = |source: &str| around.sources.is_none_or(|s| s.split(',').any(|s| s.trim() == source));
    let of_project = |name: &str| around.cwd.join(".claude").join(name);
    let shown = given.clone().or_else(|| {
        let local = counts("local").then(|| of_project("settings.local.json"));
        let project = counts("project").then(|| of_project("settings.json"));
        let user = around.config_dir.filter(|_| counts("user")).map(|d| d.join("settings.json"));
        [local, project, user].into_iter().flatten().find_map(|file| read(&file))
    });
    let mut line = match shown {
        Some(Value::Object(shown)) => shown,
        _ => Map::new(),
    };
    let mut command =
        format!("{} statusline --state {}", quoted(around.executable), quoted(around.state_dir));
    if given.is_some() {
        command += &format!(" --own {}", quoted(&around.kept.to_string_lossy()));
    }
    if let Some(sources) = around.sources {
        command += &format!(" --sources {}", quoted(sources));
    }
    line.insert("type".into(), "command".into());
    line.insert("command".into(), command.into());
    settings.insert("statusLine".into(), line.into());
    given.map(|line| json!({ "statusLine": line }))
}

fn read(file: &Path) -> Option<Value> {
    if std::fs::metadata(file).ok()?.len() > SETTINGS_BYTES_MAX {
        return None;
    }
    let mut settings: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    settings.get_mut("statusLine").map(Value::take).filter(Value::is_object)
}

/// One word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_stands_in_place_of_the_users_and_looks_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = dir.path().join("kept.json");
        let around = Around {
            executable: "/opt/our own/wezterm-parallel",
            state_dir: "/it's/state",
            cwd: dir.path(),
            config_dir: Some(dir.path()),
            sources: None,
            kept: &kept,
        };
        let ours = r"'/opt/our own/wezterm-parallel' statusline --state '/it'\''s/state'";
        let mut settings = Map::new();
        assert_eq!(put(&mut settings, &around), None);
        assert_eq!(settings["statusLine"], json!({ "type": "command", "command": ours }));

        let users = json!({ "statusLine": { "type": "command", "command": "mine", "padding": 2 } });
        std::fs::write(dir.path().join("settings.json"), users.to_string()).expect("written");
        assert_eq!(put(&mut settings, &around).map(|_| ()), Some(()), "what stands there counts as given");
        settings.clear();
        assert_eq!(put(&mut settings, &around), None);
        assert_eq!(settings["statusLine"], json!({ "type": "command", "command": ours, "padding": 2 }));

        let mut settings = Map::new();
        settings.insert("statusLine".into(), json!({ "type": "command", "command": "given" }));
        let kept_there = put(&mut settings, &Around { sources: Some("user"), ..around });
        assert_eq!(kept_there, Some(json!({ "statusLine": { "type": "command", "command": "given" } })));
        let command = settings["statusLine"]["command"].as_str().expect("text");
        assert_eq!(command, format!("{ours} --own '{}' --sources 'user'", kept.display()));
    }
}
