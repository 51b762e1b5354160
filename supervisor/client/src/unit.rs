//! `daemon install|uninstall`: a systemd user unit, or a launchd agent on macOS. Either spares the
//! keepers when it ends the daemon.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    app::App,
    executable,
    failure::{Context, Outcome},
    output, program,
};

/// Name of the systemd unit.
const UNIT: &str = "wezterm-parallel.service";
/// Label of the launchd agent.
const LABEL: &str = "io.github.wezterm-parallel.daemon";

/// The service manager of this system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Systemd,
    Launchd,
}

const MANAGER: Manager = if cfg!(target_os = "macos") { Manager::Launchd } else { Manager::Systemd };

/// The file that tells the service manager of us.
pub fn file(app: &App) -> PathBuf {
    match MANAGER {
        Manager::Systemd => {
            let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
            config.unwrap_or_else(|| app.home.join(".config")).join("systemd/user").join(UNIT)
        }
        Manager::Launchd => app.home.join("Library/LaunchAgents").join(format!("{LABEL}.plist")),
    }
}

/// Whether a systemd of this user is there to be asked.
pub fn systemd_user_manager() -> bool {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    MANAGER == Manager::Systemd && runtime.is_some_and(|dir| dir.join("systemd/private").exists())
}

/// Writes the unit, has it read, and says how to enable it.
pub fn install(app: &App) -> Outcome {
    let exe = executable::settle(app, false)?;
    let variables = app.variables()?;
    let text = match MANAGER {
        Manager::Systemd => systemd_unit(&exe, &variables),
        Manager::Launchd => launchd_agent(&exe, &variables),
    };
    let file = file(app);
    let what = || format!("write {}", file.display());
    fs::create_dir_all(file.parent().expect("it lies in a directory")).failed_to(what)?;
    let fresh = file.with_extension("new");
    fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, &file)).failed_to(what)?;
    output::print(format_args!("wrote {}\n", file.display()))?;
    match MANAGER {
        Manager::Systemd => {
            systemctl(&["daemon-reload"]);
            output::print(format_args!(
                "to start the daemon at login, and now:\n  systemctl --user enable --now {UNIT}\nto have it run while you are not logged in:\n  loginctl enable-linger\n"
            ))
        }
        Manager::Launchd => output::print(format_args!(
            "to start the daemon at login, and now:\n  launchctl bootstrap gui/$(id -u) '{}'\n",
            file.display()
        )),
    }
}

/// Removes the unit. A daemon that runs goes on.
pub fn uninstall(app: &App) -> Outcome {
    match remove(app)? {
        Some(file) => output::print(format_args!("removed {}\n", file.display())),
        None => output::print(format_args!("there is no {}\n", file(app).display())),
    }
}

/// Removes the unit if there is one, and says which.
pub fn remove(app: &App) -> Outcome<Option<PathBuf>> {
    let file = file(app);
    if !file.exists() {
        return Ok(None);
    }
    match MANAGER {
        // without --now: ending the daemon is for `stop`
        Manager::Systemd => systemctl(&["disable", UNIT]),
        Manager::Launchd => {}
    }
    fs::remove_file(&file).failed_to(|| format!("remove {}", file.display()))?;
    if MANAGER == Manager::Systemd {
        systemctl(&["daemon-reload"]);
    }
    Ok(Some(file))
}

/// Asks the user's systemd, if there is one. What it says is shown and changes nothing for us.
fn systemctl(args: &[&str]) {
    let Some(systemctl) = program::find_here("systemctl").filter(|_| systemd_user_manager()) else { return };
    let done = Command::new(systemctl)
        .arg("--user")
        .args(args)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status();
    if !done.is_ok_and(|status| status.success()) {
        output::note(format_args!("`systemctl --user {}` did not work", args.join(" ")));
    }
}

fn systemd_unit(exe: &Path, variables: &[(&str, PathBuf)]) -> String {
    let environment: String = variables
        .iter()
        .map(|(name, path)| format!("Environment={}\n", systemd_word(&format!("{name}={}", path.display()))))
        .collect();
    format!(
        "\
# Written by `wezterm-parallel daemon install`.
[Unit]
Description=wezterm-parallel: keeps Claude Code processes running

[Service]
Type=simple
ExecStart={exe} daemon --foreground
# keepers hold the agents and outlive the daemon: only the daemon itself is ended
KillMode=process
Restart=on-failure
# 2: it was told something wrong, which another start does not mend
RestartPreventExitStatus=2
{environment}
[Install]
WantedBy=default.target
",
        // `$` begins a variable in a command, and only there
        exe = systemd_word(&exe.display().to_string()).replace('$', "$$"),
    )
}

/// A word of a unit file: `%` begins a specifier there, `\\` and `\"` escapes.
fn systemd_word(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{escaped}\"")
}

fn launchd_agent(exe: &Path, variables: &[(&str, PathBuf)]) -> String {
    let environment: String = variables
        .iter()
        .map(|(name, path)| {
            format!("    <key>{name}</key><string>{}</string>\n", xml(&path.display().to_string()))
        })
        .collect();
    format!(
        "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<!-- Written by `wezterm-parallel daemon install`. -->
<plist version=\"1.0\">
<dict>
  <key>Label</key><string>{LABEL}</string>
  <key>ProgramArguments</key>
  <array><string>{exe}</string><string>daemon</string><string>--foreground</string></array>
  <key>EnvironmentVariables</key>
  <dict>
{environment}  </dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
  <!-- keepers hold the agents and outlive the daemon: only the daemon itself is ended -->
  <key>AbandonProcessGroup</key><true/>
</dict>
</plist>
",
        exe = xml(&exe.display().to_string()),
    )
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_spare_the_keepers_and_survive_odd_paths() {
        let exe = Path::new("/home/u/100% \"mine\" & <$yours>/wezterm-parallel");
        let variables = [("WEZTERM_PARALLEL_STATE_DIR", PathBuf::from("/home/u/my state"))];
        insta::assert_snapshot!(format!(
            "{}----\n{}",
            systemd_unit(exe, &variables),
            launchd_agent(exe, &variables)
        ));
    }
}
