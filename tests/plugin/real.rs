//! The same in a real WezTerm, where there is one: `WEZTERM_PARALLEL_TEST_WEZTERM=FOLDER` names a folder with
//! `wezterm`, `wezterm-gui` and `wezterm-mux-server`. Needs Xvfb, openbox, xdotool and ImageMagick's
//! `import` for the windows. Pictures are kept in `target/plugin-pictures/`.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Instant,
};

use wezterm_parallel_schemas::process::State;

use crate::{
    fake::host::checkout,
    scene::{SLEEP, guis},
    support::{
        DEADLINE,
        site::{Site, executable, finish, kill, say},
    },
};

/// One at a time: a software-drawn WezTerm takes a processor.
static SCREEN: Mutex<()> = Mutex::new(());

/// What the config of these tests writes down with each `update-status`: what is on the glass.
const PROBE: &str = r"
wezterm.on('update-status', function(window)
  local lines = { 'active ' .. window:active_workspace() }
  local ok, title = pcall(function() return window:active_pane():get_title() end)
  lines[#lines + 1] = 'front ' .. (ok and title or 'OVERLAY')
  local ok, shows = pcall(function() return window:active_pane():get_user_vars().wezterm_parallel end)
  lines[#lines + 1] = 'focus ' .. tostring(ok and shows or nil)
  for _, mux_window in ipairs(wezterm.mux.all_windows()) do
    for _, tab in ipairs(mux_window:tabs()) do
      for _, info in ipairs(tab:panes_with_info()) do
        lines[#lines + 1] = ('pane %s %s %dx%d'):format(mux_window:get_workspace(),
          info.pane:get_user_vars().wezterm_parallel or '-', info.width, info.height)
      end
    end
  end
  local text = table.concat(lines, '\n') .. '\n'
  if text ~= wezterm.GLOBAL.probed then
    wezterm.GLOBAL.probed = text
    local file = assert(io.open(PROBE .. '.new', 'w'))
    file:write(text)
    file:close()
    os.rename(PROBE .. '.new', PROBE)
  end
end)
";

/// The folder of binaries; none if these tests are left out, which is said.
fn folder(test: &str) -> Option<PathBuf> {
    match std::env::var_os("WEZTERM_PARALLEL_TEST_WEZTERM") {
        Some(folder) if !folder.is_empty() => Some(folder.into()),
        _ => {
            say(&format!(
                "{test}: left out, as WEZTERM_PARALLEL_TEST_WEZTERM names no folder with a WezTerm"
            ));
            None
        }
    }
}

/// A bare clone of what is committed here: what a user's WezTerm would clone.
fn repository(site: &Site) -> String {
    let bare = site.path("work/wezterm-parallel.git");
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet", "--bare"]).arg(checkout()).arg(&bare);
    finish(clone).ok();
    format!("file://{}", bare.display())
}

fn write_config(site: &Site, options: &str) {
    let url = repository_of(site);
    let probe = site.path("home/probe");
    let text = format!(
        "local wezterm = require 'wezterm'
local config = wezterm.config_builder()
config.check_for_updates = false
config.front_end = 'OpenGL'
config.enable_wayland = false
config.initial_cols = 150
config.initial_rows = 44
config.window_close_confirmation = 'NeverPrompt'
config.default_prog = {{ '/bin/sh' }}
config.status_update_interval = 100
config.audible_bell = 'Disabled'
local parallel = wezterm.plugin.require '{url}'
parallel.apply_to_config(config, {options})
local PROBE = {probe:?}
{PROBE}
return config
"
    );
    let path = site.path("config/wezterm/wezterm.lua");
    fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("a directory");
    fs::write(path, text).expect("a config can be written");
}

fn repository_of(site: &Site) -> String {
    if site.path("work/wezterm-parallel.git").exists() {
        format!("file://{}", site.path("work/wezterm-parallel.git").display())
    } else {
        repository(site)
    }
}

/// A place with two workspaces, one of them with a template.
fn place() -> Site {
    let site = Site::new();
    site.set_env("WEZTERM_PARALLEL_BIN", executable());
    site.project("api");
    site.project("web");
    site.config(&format!(
        "version: 1
layouts:
  two:
    tabs:
      - split: right
        panes: [{{ process: one, size: 60% }}, {{ split: down, panes: [{{ process: two }}, {{}}] }}]
workspaces:
  api: {{ cwd: $WORK/api, layout: two, processes: {{ one: {{ command: [sh, -c, 'echo this is one; exec sleep 1000'] }}, two: {{ command: {SLEEP} }} }} }}
  web: {{ cwd: $WORK/web, processes: {{ main: {{ command: {SLEEP} }} }} }}
"
    ));
    site
}

/// A screen with a window manager, and a WezTerm on it.
struct Glass<'a> {
    site: &'a Site,
    folder: PathBuf,
    display: String,
    server: Child,
    manager: Child,
    gui: Option<Child>,
    window: String,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl<'a> Glass<'a> {
    fn start(site: &'a Site, folder: &Path) -> Self {
        let alone = SCREEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let socket = |n: u32| PathBuf::from(format!("/tmp/.X11-unix/X{n}"));
        let number = (200..300).find(|n| !socket(*n).exists()).expect("one of a hundred displays is free");
        let display = format!(":{number}");
        let mut server = site.command("Xvfb");
        server.args([&display, "-screen", "0", "1400x900x24", "-nolisten", "tcp", "-ac", "-noreset"]);
        let server = quiet(server);
        site.wait_directory(Path::new("/tmp/.X11-unix"), || socket(number).exists());
        let mut manager = site.command("openbox");
        manager.env("DISPLAY", &display);
        let manager = quiet(manager);
        let folder = folder.to_path_buf();
        let mut glass =
            Self { site, folder, display, server, manager, gui: None, window: String::new(), _alone: alone };
        glass.start_gui();
        glass
    }

    fn start_gui(&mut self) {
        let _ = fs::remove_file(self.site.path("home/probe"));
        let log = fs::File::create(self.site.path("home/gui.log")).expect("a log");
        let mut command = self.site.command(self.folder.join("wezterm-gui"));
        command
            .args(["start", "--always-new-process", "--class", "plugin-test"])
            .env("DISPLAY", &self.display)
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("XDG_SESSION_TYPE", "x11")
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor can be copied"))
            .stderr(log)
            .process_group(0);
        self.gui = Some(command.spawn().expect("the folder has wezterm-gui"));
        let found = self.xdotool(&["search", "--sync", "--onlyvisible", "--class", "plugin-test"]);
        self.window = found.lines().next().expect("a window").to_string();
        self.xdotool(&["windowactivate", "--sync", &self.window]);
        self.wait("its first status", |_| true);
    }

    /// Kills WezTerm, as a crash would.
    fn kill_gui(&mut self) {
        if let Some(mut gui) = self.gui.take() {
            kill(i32::try_from(gui.id()).expect("a process id"));
            let _ = gui.wait();
        }
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("xdotool");
        command.env("DISPLAY", &self.display).args(arguments);
        finish(command).ok().out.trim().to_string()
    }

    fn key(&self, key: &str) {
        self.xdotool(&["key", "--clearmodifiers", key]);
    }

    fn type_text(&self, text: &str) {
        self.xdotool(&["type", "--clearmodifiers", "--delay", "15", text]);
    }

    /// Waits until what is on the glass is what is wanted.
    #[track_caller]
    fn wait(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        let probe = self.site.path("home/probe");
        let mut text = String::new();
        self.site.wait_directory(&self.site.path("home"), || {
            text = fs::read_to_string(&probe).unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "it does not come: {what}; the glass:\n{text}\n{}",
                self.log()
            );
            !text.is_empty() && wanted(&text)
        });
        text
    }

    /// Waits until a question with this title is asked.
    #[track_caller]
    fn asked(&self, title: &str) {
        self.wait(title, |glass| glass.contains(&format!("front {title}\n")));
    }

    /// Waits until a line is asked for: WezTerm gives such a question no title of ours.
    #[track_caller]
    fn asked_for_a_line(&self, after: &str) {
        self.wait("a line is asked for", |glass| {
            let front = glass.lines().find_map(|l| l.strip_prefix("front ")).unwrap_or_default();
            front != after && front != "sh" && front != "wezterm-parallel"
        });
    }

    fn picture(&self, name: &str) {
        let dir = checkout().join("target/plugin-pictures");
        fs::create_dir_all(&dir).expect("target can be written to");
        let mut import = Command::new("import");
        import.env("DISPLAY", &self.display).args(["-window", "root"]).arg(dir.join(format!("{name}.png")));
        finish(import).ok();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.site.path("home/gui.log")).unwrap_or_default()
    }
}

impl Drop for Glass<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.picture("failed");
            eprintln!("{}", self.log());
        }
        self.kill_gui();
        for child in [&mut self.manager, &mut self.server] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn quiet(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|e| panic!("{command:?} cannot be run: {e}"))
}

#[test]
fn in_a_real_mux_server_the_plugin_loads_and_starts_nothing() {
    let Some(folder) = folder("a real mux server") else { return };
    let site = place();
    write_config(&site, "{}");
    let mut server = site.command(folder.join("wezterm-mux-server"));
    server.env("WEZTERM_LOG", "info");
    let mut server = quiet(server);
    let socket = site.path("run/wezterm/sock");
    fs::create_dir_all(site.path("run/wezterm")).expect("a directory");
    site.wait_directory(&site.path("run/wezterm"), || socket.exists());
    let wezterm = |args: &[&str]| {
        let mut command = site.command(folder.join("wezterm"));
        command.env("WEZTERM_UNIX_SOCKET", &socket).args(["cli", "--no-auto-start"]).args(args);
        finish(command).ok().out
    };
    // this evaluates the config once more, in a process of its own
    wezterm(&["spawn", "--new-window", "--workspace", "api", "--", "/bin/sh"]);
    assert!(wezterm(&["list", "--format", "json"]).contains("\"workspace\": \"api\""));
    assert!(
        site.path("data/wezterm/plugins").read_dir().is_ok_and(|mut d| d.next().is_some()),
        "it was cloned"
    );
    assert!(!site.socket().exists(), "no daemon was started");
    let _ = server.kill();
    let _ = server.wait();
    for (pid, _) in site.living() {
        kill(pid);
    }
}

#[test]
fn in_a_real_window_workspaces_are_switched_created_killed_and_restored() {
    let Some(folder) = folder("a real window") else { return };
    let site = place();
    write_config(&site, "{ restore = 'automatic', glyphs = 'unicode' }");
    let mut glass = Glass::start(&site, &folder);
    // the daemon was started by the first event
    glass.wait("the daemon", |_| site.socket().exists());
    site.wait_state("api/one", State::Running);
    one_waits(&site);

    glass.key("ctrl+shift+p");
    glass.type_text("wezterm-parallel");
    glass.picture("palette");
    glass.key("Escape");

    glass.key("ctrl+shift+w");
    glass.asked("Switch workspace");
    glass.picture("switcher");
    glass.type_text("api");
    glass.key("Return");
    let shown = glass.wait("the workspace and what its panes show", |glass| {
        glass.contains("active api")
            && glass.contains("pane api api/one")
            && glass.contains("pane api api/two")
    });
    assert_eq!(shown.matches("pane api ").count(), 3, "{shown}");
    glass.picture("workspace");

    glass.key("ctrl+shift+d");
    glass.wait("the dashboard", |glass| glass.contains("pane api dashboard"));
    glass.picture("dashboard");

    let project = site.project("a new one");
    glass.key("ctrl+shift+n");
    glass.asked("Create a workspace");
    glass.picture("create-directory");
    glass.type_text("Type a directory");
    glass.key("Return");
    glass.asked_for_a_line("Create a workspace");
    glass.type_text(project.to_str().expect("text"));
    glass.picture("create-typed");
    glass.key("Return");
    // the next line is asked for under the same title: only what it leads to can be waited for
    glass.key("Return");
    glass.asked("Layout of its panes");
    glass.picture("create-layout");
    glass.type_text("none");
    glass.key("Return");
    glass.wait("the new workspace", |glass| glass.contains("active a-new-one"));
    glass.picture("created");

    // a reload and a killed daemon change nothing that one sees
    let config = site.path("config/wezterm/wezterm.lua");
    let text = fs::read_to_string(&config).expect("the config");
    fs::write(&config, text + "-- edited\n").expect("it can be written");
    site.kill_daemon();
    glass.wait("the daemon again", |_| std::os::unix::net::UnixStream::connect(site.socket()).is_ok());
    one_waits(&site);
    glass.picture("after-kill");

    glass.key("ctrl+shift+w");
    glass.asked("Switch workspace");
    glass.type_text("api");
    glass.key("Return");
    glass.wait("the first workspace", |glass| glass.contains("active api"));
    site.wait_directory(&site.path("home"), || {
        let left = crate::scene::left(&site);
        left.iter().any(|a| a.workspace.name == "api" && a.shown && a.windows.len() == 1)
    });
    glass.kill_gui();
    glass.start_gui();
    let back = glass.wait("all that was there", |glass| {
        glass.contains("active api")
            && glass.contains("pane api api/one")
            && glass.contains("pane api api/two")
            && glass.contains("pane api dashboard")
    });
    assert_eq!(back.matches(" api/one ").count(), 1, "{back}");
    glass.picture("restored");
    assert!(!glass.log().contains("runtime error"), "{}", glass.log());
}

/// Waits until one GUI waits, and only one.
fn one_waits(site: &Site) {
    let deadline = Instant::now() + DEADLINE;
    while !guis(site).iter().map(|g| g.waiting).eq([1]) {
        assert!(Instant::now() < deadline, "one does not wait: {:?}", guis(site));
        std::thread::yield_now();
    }
}
