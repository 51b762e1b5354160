//! A WezTerm GUI of its own.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    poll::within,
    support::{
        screen::Screen,
        site::{Site, executable, kill},
    },
};

/// Longest that a key may take.
const KEY_MAX: Duration = Duration::from_secs(5);
/// How often a file is looked at that a GUI writes: well below what a key takes.
const LOOK: Duration = Duration::from_micros(200);

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
        let mut command = screen.wezterm(site, folder, &log);
        command
            .arg("--config-file")
            .arg(&config)
            .args(["start", "--always-new-process", "--class", &class])
            .env("WEZTERM_LOG", "info");
        let child = command.spawn().expect("the folder has wezterm-gui");
        let window = screen.window(&class, &log);
        Self { child, config, keys, log, window }
    }

    /// Presses a key in it, and says how long it took until Lua heard of it. None if it never did.
    pub fn press(&self, screen: &Screen) -> Option<Duration> {
        let xdotool = |arguments: &[&str]| {
            screen.client("xdotool").args(arguments).output().expect("xdotool is installed");
        };
        xdotool(&["windowactivate", "--sync", &self.window]);
        let heard = || fs::metadata(&self.keys).map_or(0, |m| m.len());
        let before = heard();
        let pressed = now_ms();
        xdotool(&["key", "F9"]);
        within(KEY_MAX, LOOK, || (heard() != before).then_some(()))?;
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

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
