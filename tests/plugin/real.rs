//! The same in a real WezTerm, where there is one: `WEZTERM_PARALLEL_TEST_WEZTERM=FOLDER` names a folder with
//! `wezterm`, `wezterm-gui` and `wezterm-mux-server`. Needs Xvfb, openbox, xdotool and ImageMagick's
//! `import` for the windows. Pictures are kept in `target/plugin-pictures/`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Mutex,
    time::Instant,
};

use wezterm_parallel_schemas::{
    method::{AddTask, ShowTask},
    process::State,
    task::{TaskAdd, TaskState, TaskTarget},
};

use crate::{
    fake::host::checkout,
    scene::{SLEEP, guis},
    support::{
        DEADLINE,
        screen::{Screen, quiet, wezterm_folder},
        site::{Site, executable, finish, kill, say},
    },
};

/// One at a time: a software-drawn WezTerm takes a processor.
static ALONE: Mutex<()> = Mutex::new(());

/// What the config of these tests writes down with each `update-status`: what is on the glass.
const PROBE: &str = r"
wezterm.on('update-status', function(window)
  local lines = { 'active ' .. window:active_workspace() }
  local ok, title = pcall(function() return window:active_pane():get_title() end)
  lines[#lines + 1] = 'front ' .. (ok and title or '?')
  lines[#lines + 1] = 'number ' .. window:active_pane():pane_id()
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

/// Pictures until the screen rests; one that never does is kept as it is.
const PICTURES_MAX: usize = 30;

/// The folder of binaries; none if these tests are left out, which is said.
fn folder(test: &str) -> Option<PathBuf> {
    let folder = wezterm_folder();
    if folder.is_none() {
        say(&format!("{test}: left out, as WEZTERM_PARALLEL_TEST_WEZTERM names no folder with a WezTerm"));
    }
    folder
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
config.cursor_blink_rate = 0
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

/// A screen, and a WezTerm on it.
struct Glass<'a> {
    site: &'a Site,
    folder: PathBuf,
    screen: Screen,
    gui: Option<Child>,
    window: String,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl<'a> Glass<'a> {
    fn start(site: &'a Site, folder: &Path) -> Self {
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let screen = Screen::start(site, 200, "1400x900");
        let folder = folder.to_path_buf();
        let mut glass = Self { site, folder, screen, gui: None, window: String::new(), _alone: alone };
        glass.start_gui();
        glass
    }

    fn start_gui(&mut self) {
        let _ = fs::remove_file(self.site.path("home/probe"));
        let log = self.site.path("home/gui.log");
        let mut command = self.screen.wezterm(self.site, &self.folder, &log);
        command.args(["start", "--always-new-process", "--class", "plugin-test"]);
        self.gui = Some(command.spawn().expect("the folder has wezterm-gui"));
        self.window = self.screen.window("plugin-test", &log);
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

    fn xdotool(&self, arguments: &[&str]) {
        let mut command = self.screen.client("xdotool");
        command.args(arguments);
        finish(command).ok();
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

    /// Waits until another question is asked than the one that was there; of one for a line WezTerm knows no
    /// title.
    #[track_caller]
    fn asked_anew(&self, before: &str) {
        let number = |glass: &str| glass.lines().find(|l| l.starts_with("number ")).map(str::to_string);
        let before = number(before);
        self.wait("another question", |glass| {
            let front = glass.lines().find_map(|l| l.strip_prefix("front ")).unwrap_or_default();
            number(glass) != before && front == "wezterm"
        });
    }

    fn now(&self) -> String {
        self.wait("anything", |_| true)
    }

    /// Keeps a picture of what is on the screen, once it rests: two pictures in a row are the same.
    fn picture(&self, name: &str) {
        let dir = checkout().join("target/plugin-pictures");
        fs::create_dir_all(&dir).expect("target can be written to");
        let path = dir.join(format!("{name}.png"));
        let mut last = Vec::new();
        for _ in 0..PICTURES_MAX {
            let mut import = self.screen.client("import");
            import.args(["-window", "root", "rgb:-"]);
            let now = import.output().expect("import is installed").stdout;
            if now == last {
                break;
            }
            last = now;
        }
        let mut import = self.screen.client("import");
        import.args(["-window", "root"]).arg(path);
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
    }
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
    until("the daemon", || site.socket().exists());
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
    let before = glass.now();
    glass.key("Return");
    glass.asked_anew(&before);
    glass.type_text(project.to_str().expect("text"));
    glass.picture("create-typed");
    let before = glass.now();
    glass.key("Return");
    glass.asked_anew(&before);
    glass.picture("create-name");
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
    until("the daemon again", || std::os::unix::net::UnixStream::connect(site.socket()).is_ok());
    one_waits(&site);
    glass.picture("after-kill");

    glass.key("ctrl+shift+w");
    glass.asked("Switch workspace");
    glass.type_text("api");
    glass.key("Return");
    glass.wait("the first workspace", |glass| glass.contains("active api"));
    until("the daemon knows how its panes lie", || {
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

#[test]
fn in_a_real_window_tasks_are_told_listed_and_held() {
    let Some(folder) = folder("a real window with tasks") else { return };
    let site = place();
    let config = fs::read_to_string(site.config_path()).expect("the config");
    site.config(&format!("{config}tasks: {{ parallel: 2 }}\n"));
    let keys = "keys = { tasks = { key = 'T', mods = 'CTRL|SHIFT' }, \
                show_tasks = { key = 'Y', mods = 'CTRL|SHIFT' } }";
    write_config(&site, &format!("{{ restore = 'automatic', toast_seconds = 0, {keys} }}"));
    let glass = Glass::start(&site, &folder);
    until("the daemon", || site.socket().exists());
    site.wait_state("api/one", State::Running);
    one_waits(&site);
    let add = |name: &str, group: &str, script: &str, after: &[&str]| {
        let add = TaskAdd {
            name: Some(name.into()),
            group: Some(group.into()),
            command: vec!["sh".into(), "-c".into(), script.into()],
            workspace: Some("api".into()),
            after: after.iter().map(|name| (*name).to_owned()).collect(),
            ..TaskAdd::default()
        };
        site.client().call::<AddTask>(add).expect("it is added").id
    };
    let state = |id: &str| {
        let target = TaskTarget { task: id.into(), key: None };
        site.client().call::<ShowTask>(target).expect("it is known").task.state
    };
    let built = add("build", "default", "echo built", &[]);
    until("it is done", || state(&built) == TaskState::Done);
    let long = add("write the tests", "nightly", "echo it begins; exec sleep 1000", &[]);
    let failed = add("review", "default", "echo this is wrong; exit 3", &[]);
    until("it has failed", || state(&failed) == TaskState::Failed);
    add("serve", "default", "exec sleep 1000", &[]);
    let queued = add("document", "nightly", "true", &[]);
    add("deploy", "nightly", "true", &["write the tests", "document"]);
    glass.picture("tasks-status");

    glass.key("ctrl+shift+t");
    glass.asked("Tasks");
    glass.picture("tasks-list");
    glass.type_text("document");
    glass.key("Return");
    glass.wait("what can be done", |glass| glass.contains("front document: queued"));
    glass.picture("tasks-deeds");
    glass.type_text("2");
    until("it is paused", || state(&queued) == TaskState::Paused);

    glass.key("ctrl+shift+y");
    glass.wait("the dashboard", |glass| glass.contains(" dashboard "));
    glass.wait("its title", |glass| glass.contains("front dashboard\n"));
    glass.key("j");
    glass.picture("tasks-dashboard");
    glass.key("Tab");
    glass.picture("tasks-detail");
    assert_eq!(state(&long), TaskState::Running);
    assert!(!glass.log().contains("runtime error"), "{}", glass.log());
}

/// Waits until one GUI waits, and only one.
fn one_waits(site: &Site) {
    until("one GUI that waits", || guis(site).iter().map(|g| g.waiting).eq([1]));
}

/// Asks again and again: for what is no event. Each asking is a call of the daemon.
#[track_caller]
fn until(what: &str, wanted: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !wanted() {
        assert!(Instant::now() < deadline, "it does not come: {what}");
        std::thread::yield_now();
    }
}
