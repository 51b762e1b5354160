//! A display of its own with a window manager, and what runs a WezTerm there. Needs Xvfb, openbox and xdotool.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::site::{Site, try_finish};

/// A display with a window manager, so that windows get the focus.
pub struct Screen {
    display: String,
    children: Vec<Child>,
}

impl Screen {
    /// `size` is `WIDTHxHEIGHT`. It is the first display that is free, counted from `first` on.
    pub fn start(site: &Site, first: u32, size: &str) -> Self {
        let sockets = Path::new("/tmp/.X11-unix");
        // the first server makes it, and it is watched before that
        if fs::create_dir(sockets).is_ok() {
            fs::set_permissions(sockets, fs::Permissions::from_mode(0o1777)).expect("it is ours");
        }
        let socket = |n: u32| sockets.join(format!("X{n}"));
        let number =
            (first..first + 90).find(|n| !socket(*n).exists()).expect("one of ninety displays is free");
        let display = format!(":{number}");
        let mut server = site.command("Xvfb");
        let depth = format!("{size}x24");
        server.args([&display, "-screen", "0", &depth, "-nolisten", "tcp", "-ac", "-noreset"]);
        let server = quiet(server);
        site.wait_directory(sockets, || socket(number).exists());
        let mut manager = site.command("openbox");
        manager.env("DISPLAY", &display);
        Self { display, children: vec![server, quiet(manager)] }
    }

    /// A program of whoever runs this, on that display.
    pub fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.display);
        command
    }

    /// The WezTerm of this folder, on that display. What it writes goes to `log`.
    pub fn wezterm(&self, site: &Site, folder: &Path, log: &Path) -> Command {
        let log = fs::File::create(log).expect("a log can be made");
        let mut command = site.command(folder.join("wezterm-gui"));
        command
            .env("DISPLAY", &self.display)
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("XDG_SESSION_TYPE", "x11")
            .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor can be copied"))
            .stderr(log)
            .process_group(0);
        command
    }

    /// Waits until there is a window of this class, and says its number. `log` is what its program writes.
    pub fn window(&self, class: &str, log: &Path) -> String {
        let mut search = self.client("xdotool");
        search.args(["search", "--sync", "--onlyvisible", "--class", class]);
        let log = || fs::read_to_string(log).unwrap_or_default();
        let found = try_finish(search).unwrap_or_else(|| panic!("no window {class} comes: {}", log()));
        found.ok().out.lines().next().expect("a window").to_owned()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // a server that is killed leaves its marks, and the display would never be free again
        let number = self.display.trim_start_matches(':');
        for mark in [format!("/tmp/.X11-unix/X{number}"), format!("/tmp/.X{number}-lock")] {
            let _ = fs::remove_file(mark);
        }
    }
}

/// The folder with a WezTerm that `WEZTERM_PARALLEL_TEST_WEZTERM` names, if it does.
pub fn wezterm_folder() -> Option<PathBuf> {
    std::env::var_os("WEZTERM_PARALLEL_TEST_WEZTERM").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Starts a program of which nothing is heard.
pub fn quiet(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|e| panic!("{} cannot be run: {e}", command.get_program().display()))
}
