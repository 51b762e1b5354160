//! Set-up in one command, `doctor` and `uninstall`. Lines 1 and 9 of what must work.

use std::fs;

use wezterm_parallel_schemas::process::{Kind, State, Status};

use crate::support::site::Site;

#[test]
fn up_writes_a_config_starts_the_daemon_and_has_a_claude_for_this_directory() {
    let Some(site) = Site::with_claude() else { return };
    let api = site.project("api");
    let output = site.run_in(&api, &["up", "--yes"]).ok();
    assert!(output.out.contains("api"), "the table: {}", output.out);
    let config = fs::read_to_string(site.config_path()).expect("it was written");
    assert!(config.contains("yaml-language-server: $schema="), "{config}");
    assert!(
        config.lines().filter(|l| l.trim_start().starts_with('#')).count() > 5,
        "it is commented: {config}"
    );
    site.run(&["config", "check"]).ok();
    let processes = site.processes();
    assert_eq!(processes.len(), 1, "{processes:#?}");
    assert_eq!((processes[0].kind, processes[0].cwd.as_path()), (Kind::Claude, api.as_path()));
    let name = format!("{}/{}", processes[0].workspace, processes[0].name);
    let first = site.wait_status(&name, Status::Idle);

    // again: it finds everything
    let again = site.run_in(&api, &["up", "--yes"]).ok();
    assert!(again.out.contains("api"), "{}", again.out);
    assert_eq!(fs::read_to_string(site.config_path()).expect("it is there"), config);
    assert_eq!(site.processes()[0].pid, first.pid);

    // out of cargo's reach, with a stable link
    let link = site.path("home/.local/bin/wezterm-parallel");
    let target = fs::canonicalize(&link).expect("the link leads somewhere");
    assert!(target.starts_with(fs::canonicalize(site.path("data")).expect("it is there")), "{target:?}");
    assert!(target.to_str().is_some_and(|t| t.contains(env!("CARGO_PKG_VERSION"))), "{target:?}");
}

#[test]
fn up_adds_nothing_to_a_config_that_it_did_not_write() {
    let site = Site::new();
    let text = "version: 1\nworkspaces: { w: { cwd: $WORK, processes: { a: { command: [tail, -f, /dev/null] } } } }\n";
    site.config(text);
    let written = fs::read_to_string(site.config_path()).expect("it is there");
    site.run_in(&site.project("elsewhere"), &["up", "--yes"]).ok();
    site.wait_state("w/a", State::Running);
    assert_eq!(site.processes().len(), 1, "{:#?}", site.processes());
    assert_eq!(fs::read_to_string(site.config_path()).expect("it is there"), written);
}

#[test]
fn up_attaches_on_a_terminal() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    let mut command = site.command(crate::support::site::executable());
    command.args(["up", "--yes"]).current_dir(site.path("work/api"));
    let mut pty = crate::support::pty::Pty::spawn(command, 100, 30);
    pty.wait_for_text("❯");
    pty.type_keys("\x1c");
    assert_eq!(pty.wait_for_end(), Some(0));
}

#[test]
fn without_claude_and_without_npm_up_says_exactly_what_to_run() {
    let site = Site::new();
    std::os::unix::fs::symlink("/bin/sh", site.path("bin/sh")).expect("a new link");
    site.set_env("PATH", site.path("bin").to_str().expect("text"));
    let output = site.run_in(&site.project("api"), &["up", "--yes"]).exits(1).says("npm install");
    assert!(output.err.contains("@anthropic-ai/claude-code"), "{}", output.err);
}

#[test]
fn claude_is_not_installed_unless_a_process_needs_it() {
    let site = Site::new();
    site.script("npm", "#!/bin/sh\necho npm was called >> $HOME/npm-called\nexit 1\n");
    site.config("version: 1\nworkspaces: { w: { cwd: $WORK, processes: { a: { command: [tail, -f, /dev/null] } } } }\n");
    site.run(&["up", "--yes"]).ok();
    site.wait_state("w/a", State::Running);
    assert!(!site.path("home/npm-called").exists());
}

#[test]
fn claude_is_installed_by_npm_into_a_private_prefix_when_none_is_found() {
    let site = Site::new();
    // stands in for npm: puts an executable where npm would, and notes how it was called
    site.script(
        "npm",
        r#"#!/bin/sh
echo "$@" >> "$HOME/npm-called"
while [ $# -gt 0 ]; do [ "$1" = --prefix ] && prefix=$2; shift; done
mkdir -p "$prefix/node_modules/.bin"
printf '#!/bin/sh\necho stand-in\nexec tail -f /dev/null\n' > "$prefix/node_modules/.bin/claude"
chmod +x "$prefix/node_modules/.bin/claude"
"#,
    );
    site.set_env("PATH", &format!("{}:/usr/bin:/bin", site.path("bin").display()));
    if ["/usr/bin/claude", "/bin/claude"].iter().any(|p| std::path::Path::new(p).exists()) {
        crate::support::site::say("left out, as this machine has a claude in /usr/bin: its installation");
        return;
    }
    site.run_in(&site.project("api"), &["up", "--yes"]).ok();
    let called = fs::read_to_string(site.path("home/npm-called")).expect("npm was called");
    assert_eq!(called.lines().count(), 1, "{called}");
    assert!(called.contains("@anthropic-ai/claude-code"), "{called}");
    assert!(called.contains(site.path("data").to_str().expect("text")), "a prefix of ours: {called}");
    assert!(!site.path("home/node_modules").exists());
}

#[test]
fn doctor_says_what_is_wrong_and_what_to_do() {
    let site = Site::new();
    site.config("version: 1\nworkspaces: [\n");
    let output = site.run(&["doctor"]);
    let said = format!("{}{}", output.out, output.err);
    for word in ["config", "socket", "claude", "npm", "git", "wezterm"] {
        assert!(said.to_lowercase().contains(word), "nothing of {word}: {said}");
    }
    assert_eq!(output.code, 1, "{said}");
    let json: serde_json::Value = site.run(&["doctor", "--json"]).json();
    assert!(json.is_array() || json.is_object(), "{json}");
}

#[test]
fn doctor_finds_nothing_wrong_where_nothing_is() {
    let Some(site) = Site::with_claude() else { return };
    site.config("version: 1\n");
    site.daemon();
    let output = site.run(&["doctor"]);
    assert!(
        output.out.contains(&site.daemon_pid().to_string()) || output.out.contains("daemon"),
        "{output:?}"
    );
}

#[test]
fn uninstall_removes_all_of_ours_and_names_what_it_leaves() {
    let site = Site::new();
    site.config("version: 1\nworkspaces: { w: { cwd: $WORK, processes: { a: { command: [tail, -f, /dev/null] } } } }\n");
    site.run(&["up", "--yes"]).ok();
    site.wait_state("w/a", State::Running);
    let output = site.run(&["uninstall", "--yes"]).ok();
    assert_eq!(site.living(), []);
    for gone in [
        "state/wezterm-parallel",
        "data/wezterm-parallel",
        "run/wezterm-parallel",
        "home/.local/bin/wezterm-parallel",
    ] {
        assert!(!site.path(gone).exists(), "{gone} is still there: {}", output.out);
    }
    assert!(site.config_path().exists());
    let said = format!("{}{}", output.out, output.err);
    assert!(said.contains(site.config_path().parent().and_then(|p| p.to_str()).expect("text")), "{said}");
}

#[test]
fn completions_are_printed_for_each_shell() {
    let site = Site::new();
    for shell in ["bash", "zsh", "fish"] {
        let output = site.run(&["completions", shell]).ok();
        assert!(output.out.contains("wezterm-parallel"), "{shell}");
    }
}

#[test]
fn up_shows_the_dashboard_where_there_are_several_agents() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    site.config(
        "version: 1\nworkspaces: { api: { cwd: $WORK/api, processes: { lead: { agent: claude }, second: { agent: claude } } } }\n",
    );
    let mut command = site.command(crate::support::site::executable());
    command.args(["up", "--yes"]).current_dir(site.path("work/api"));
    let mut pty = crate::support::pty::Pty::spawn(command, 100, 30);
    pty.wait_for("both", |s| s.contents().contains("api/lead") && s.contents().contains("api/second"));
    pty.wait_for("on a screen of its own", |s| s.alternate_screen());
    pty.type_keys("q");
    assert_eq!(pty.wait_for_end(), Some(0));
}
