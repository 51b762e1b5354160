//! Claude Code on this machine: found, or installed by npm into a prefix of ours.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    app::App,
    failure::{Context, Failure, Outcome},
    output, program,
};

/// What is installed: pinned, because npm on an older Node silently takes one that is months old.
pub const PACKAGE: &str = "@anthropic-ai/claude-code@2.1.330";

/// Where Claude Code was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// On the `PATH`: a process finds it too.
    OnPath(PathBuf),
    /// Elsewhere: its directory has to be added to the `PATH` that processes get.
    Elsewhere(PathBuf),
}

impl Found {
    /// The program.
    pub fn program(&self) -> &Path {
        match self {
            Self::OnPath(program) | Self::Elsewhere(program) => program,
        }
    }
}

/// Where Claude Code keeps everything, in this environment.
pub fn config_dir(app: &App) -> Option<PathBuf> {
    let own = std::env::var_os("CLAUDE_CONFIG_DIR").filter(|d| !d.is_empty()).map(PathBuf::from);
    std::path::absolute(own.unwrap_or_else(|| app.home.join(".claude"))).ok()
}

/// Looks for `claude` on `path`, where its own installers put it, and in our prefix.
pub fn find(app: &App, path: &OsStr) -> Option<Found> {
    if let Some(program) = program::find("claude", path) {
        return Some(Found::OnPath(program));
    }
    let theirs = [".local/bin/claude", ".claude/local/claude"].map(|p| app.home.join(p));
    let mut elsewhere = theirs.into_iter().chain(app.places.claude_programs());
    elsewhere.find(|p| program::executable(p)).map(Found::Elsewhere)
}

/// Installs Claude Code into our prefix, after asking unless `yes`.
pub fn install(app: &App, yes: bool) -> Outcome<Found> {
    const WHAT: &str = "find Claude Code, which a process here needs";
    let prefix = app.places.claude_prefix();
    let command = format!("npm install --prefix '{}' {PACKAGE}", prefix.display());
    let Some(npm) = program::find_here("npm") else {
        return Err(Failure::new(WHAT, "there is neither `claude` nor `npm` on the PATH").hint(format!(
            "install Node.js with npm (https://nodejs.org) and run `{command}`, or install Claude Code in any other way"
        )));
    };
    let question =
        format!("Claude Code was not found. Install {PACKAGE} into {} (370 MB)?", prefix.display());
    if !yes && !output::ask(&question, true) {
        return Err(Failure::new(WHAT, "there is no `claude` on the PATH, and it was not to be installed")
            .hint(format!("run `wezterm-parallel up --yes`, or `{command}`")));
    }

    let what = || format!("install {PACKAGE} into {}", prefix.display());
    output::progress(format_args!("{command}"));
    fs::create_dir_all(&prefix).failed_to(what)?;
    let status = Command::new(&npm)
        .args(["install", "--no-fund", "--no-audit", "--loglevel=error", "--prefix"])
        .arg(&prefix)
        .arg(PACKAGE)
        .stdin(Stdio::null())
        // standard output is for results
        .stdout(std::io::stderr())
        .status()
        .failed_to(what)?;
    if !status.success() {
        return Err(Failure::new(what(), format!("npm ended with {status}"))
            .hint(format!("see what npm said above, then run `{command}`")));
    }
    let installed = app.places.claude_programs().into_iter().find(|p| program::executable(p));
    installed.map(Found::Elsewhere).ok_or_else(|| {
        Failure::new(what(), "npm was content, but there is no program")
            .hint(format!("look into {}, or install Claude Code in another way", prefix.display()))
    })
}

/// `path` with the directory of a Claude that is not on it, at the end: what is on it already wins.
pub fn path_with(found: Option<&Found>, path: &str) -> String {
    match found {
        Some(Found::Elsewhere(program)) => {
            let dir = program.parent().map(|d| d.to_string_lossy()).unwrap_or_default();
            if path.is_empty() { dir.into_owned() } else { format!("{path}:{dir}") }
        }
        Some(Found::OnPath(_)) | None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use wezterm_parallel_schemas::places::Places;

    use super::*;

    fn program(file: &Path) {
        fs::create_dir_all(file.parent().expect("a directory")).expect("made");
        fs::write(file, "").expect("a file");
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    #[test]
    fn claude_is_looked_for_on_the_path_then_at_home_then_in_our_prefix() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path();
        let app = App {
            places: Places::new(|_| None, home),
            home: home.to_owned(),
            json: false,
            config_given: None,
        };
        let path = home.join("bin").into_os_string();
        assert_eq!(find(&app, &path), None);
        for place in app.places.claude_programs().into_iter().rev().chain([home.join(".local/bin/claude")]) {
            program(&place);
            assert_eq!(find(&app, &path), Some(Found::Elsewhere(place)));
        }
        program(&home.join("bin/claude"));
        assert_eq!(find(&app, &path), Some(Found::OnPath(home.join("bin/claude"))));
    }

    #[test]
    fn a_claude_of_ours_comes_last_on_the_path() {
        let ours = Found::Elsewhere("/data/claude/x/claude".into());
        assert_eq!(path_with(Some(&ours), "/usr/bin:/bin"), "/usr/bin:/bin:/data/claude/x");
        assert_eq!(path_with(Some(&ours), ""), "/data/claude/x");
        assert_eq!(path_with(Some(&Found::OnPath("/bin/claude".into())), "/bin"), "/bin");
    }
}
