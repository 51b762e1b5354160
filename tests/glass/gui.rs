//! A WezTerm GUI of its own, on a screen of its own.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::support::{
    DEADLINE,
    site::{Site, executable, kill},
};

/// How often a file is looked at that a GUI writes: well below what a key takes.
const LOOK: Duration = Duration::from_micros(200);

/// A display with a window manager, so that windows get the focus.
pub struct Screen {
    display: String,
    children: Vec<Child>,
}

impl Screen {
    /// On the first display that is free.
    pub fn start(site: &Site) -> Self {
        let number = (110..200)
            .find(|n| !Path::new(&format!("/tmp/.X11-unix/X{n}")).exists())
            .expect("one of ninety displays is free");
        let display = format!(":{number}");
        let mut server = site.command("Xvfb");
        server.args([&display, "-screen", "0", "1600x1000x24", "-nolisten", "tcp", "-ac", "-noreset"]);
        let server = quiet(server);
        let deadline = Instant::now() + DEADLINE;
        while !Path::new(&format!("/tmp/.X11-unix/X{number}")).exists() {
            assert!(Instant::now() < deadline, "Xvfb does not start");
            thread::sleep(Duration::from_millis(20));
        }
        let mut manager = site.command("openbox");
        manager.env("DISPLAY", &display);
        Self { display, children: vec![server, quiet(manager)] }
    }

    fn xdotool(&self, arguments: &[&str]) -> String {
        let output = Command::new("xdotool").env("DISPLAY", &self.display).args(arguments).output();
        String::from_utf8_lossy(&output.expect("xdotool is installed").stdout).trim().to_owned()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A GUI.
pub struct Gui {
    child: Child,
    config: PathBuf,
    keys: PathBuf,
    log: PathBuf,
    window: String,
}

impl Gui {
    /// Starts one with the plugin of this checkout in its config.
    pub fn start(site: &Site, screen: &Screen, folder: &Path, name: &str) -> Self {
        let (config, keys, log) = (
            site.path(&format!("home/{name}.lua")),
            site.path(&format!("home/{name}.keys")),
            site.path(&format!("home/{name}.log")),
        );
        let lua = format!(
            "local wezterm = require 'wezterm'\n\
             local config = wezterm.config_builder()\n\
             config.check_for_updates = false\n\
             config.front_end = 'OpenGL'\n\
             config.enable_wayland = false\n\
             config.default_prog = {{ '/bin/sh' }}\n\
             config.keys = {{ {{ key = 'F9', action = wezterm.action_callback(function()\n\
               local file = io.open({keys:?}, 'a')\n\
               file:write(wezterm.time.now():format_utc('%s%3f'), '\\n')\n\
               file:close()\n\
             end) }} }}\n\
             package.path = {plugin:?} .. '/?.lua;' .. {plugin:?} .. '/?/init.lua;' .. package.path\n\
             local plugin = require 'wezterm_parallel'\n\
             plugin.apply_to_config(config, {{ binary = {binary:?}, debug = true, restore = 'never' }})\n\
             return config\n",
            plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/plugin"),
            binary = executable(),
        );
        fs::write(&config, lua).expect("a config can be written");
        fs::write(&keys, "").expect("a file can be written");
        let class = format!("glass-{name}");
        let mut command = site.command(folder.join("wezterm-gui"));
        command
            .arg("--config-file")
            .arg(&config)
            .args(["start", "--always-new-process", "--class", &class])
            .env("DISPLAY", &screen.display)
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("XDG_SESSION_TYPE", "x11")
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .env("WEZTERM_LOG", "info")
            .stdin(Stdio::null())
            .stdout(fs::File::create(&log).expect("a log can be made"))
            .stderr(OpenOptions::new().append(true).open(&log).expect("it was made"))
            .process_group(0);
        let child = command.spawn().expect("the folder has wezterm-gui");
        let deadline = Instant::now() + DEADLINE;
        let window = loop {
            let found = screen.xdotool(&["search", "--onlyvisible", "--class", &class]);
            if let Some(window) = found.lines().next() {
                break window.to_owned();
            }
            assert!(Instant::now() < deadline, "no window: {}", fs::read_to_string(&log).unwrap_or_default());
            thread::sleep(Duration::from_millis(50));
        };
        Self { child, config, keys, log, window }
    }

    /// Presses a key in it, and says how long it took until Lua heard of it. None if it never did.
    pub fn press(&self, screen: &Screen) -> Option<Duration> {
        screen.xdotool(&["windowactivate", "--sync", &self.window]);
        let before = fs::metadata(&self.keys).map_or(0, |m| m.len());
        let pressed = now_ms();
        screen.xdotool(&["key", "F9"]);
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs::metadata(&self.keys).map_or(0, |m| m.len()) == before {
            if Instant::now() > deadline {
                return None;
            }
            thread::sleep(LOOK);
        }
        let text = fs::read_to_string(&self.keys).ok()?;
        let heard: u64 = text.lines().last()?.parse().ok()?;
        Some(Duration::from_millis(heard.saturating_sub(pressed)))
    }

    /// Saves its config anew, which WezTerm sees.
    pub fn reload(&self) {
        let mut file = OpenOptions::new().append(true).open(&self.config).expect("its config");
        writeln!(file, "-- saved at {}", now_ms()).expect("it can be written");
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    /// Children of it that wait for the daemon.
    pub fn relays(&self) -> u32 {
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid())).unwrap_or_default();
        let all_threads = fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten().flatten();
        let mut pids: Vec<String> = children.split_whitespace().map(str::to_owned).collect();
        for thread in all_threads {
            let more = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            pids.extend(more.split_whitespace().map(str::to_owned));
        }
        pids.sort();
        pids.dedup();
        let waits = |pid: &String| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
            words.get(1) == Some(&&b"relay"[..]) && words.contains(&&b"--wait"[..])
        };
        u32::try_from(pids.iter().filter(|p| waits(p)).count()).unwrap_or(u32::MAX)
    }

    /// Its memory that is resident.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
    }

    /// What it has used of the processors since it began.
    pub fn cpu_ms(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let rest: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| rest.get(at).and_then(|t| t.parse::<u64>().ok()).unwrap_or(0);
        (ticks(11) + ticks(12)) * 1_000 / rustix::param::clock_ticks_per_second()
    }

    /// What it has written.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it.
    pub fn end(mut self) {
        kill(self.pid());
        let _ = self.child.wait();
    }
}

fn quiet(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn().unwrap_or_else(|e| panic!("{} cannot be started: {e}", command.get_program().display()))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
