//! A place with the daemon and a WezTerm that has the plugin.

use serde_json::{Value as Json, json};
use wezterm_parallel_schemas::{
    daemon::Empty,
    gui::GuiView,
    layout::Arrangement,
    method::{LeftLayouts, ListGuis},
};

use crate::{
    fake::{Flavour, Host, host::checkout, mux::PaneId},
    support::site::{Output, Site, executable, finish},
};

/// A process that lives until it is ended.
pub const SLEEP: &str = "[sleep, '1000']";

/// Both releases that the plugin is for.
pub const FLAVOURS: [Flavour; 2] = [Flavour::Stable, Flavour::Nightly];

/// The config of a user who has followed README.
pub fn config(options: &str) -> String {
    format!(
        r"local wezterm = require 'wezterm'
local config = wezterm.config_builder()
config.status_update_interval = 100
local parallel = wezterm.plugin.require 'file://{}'
parallel.apply_to_config(config, {options})
return config
",
        checkout().display()
    )
}

/// A place whose WezTerm finds the executable that is tested, with a workspace `api` that is open and has
/// the processes `one` and `two`.
pub fn site() -> Site {
    let site = bare_site();
    site.project("api");
    site.config(&format!(
        "version: 1
workspaces:
  api:
    cwd: $WORK/api
    processes:
      one: {{ command: {SLEEP} }}
      two: {{ command: {SLEEP} }}
"
    ));
    site
}

/// The same without a config.
pub fn bare_site() -> Site {
    let site = Site::new();
    site.set_env("WEZTERM_PARALLEL_BIN", executable());
    site
}

/// A WezTerm of that release with the plugin, which has heard from the daemon.
#[track_caller]
pub fn started(site: &Site, flavour: Flavour, options: &str) -> Host {
    let host = Host::new(site, flavour);
    host.start(&config(options));
    host.connected();
    host
}

impl Host {
    /// Asks the plugin itself, in Lua; `M` is one of its modules.
    #[track_caller]
    pub fn ask(&self, module: &str, expression: &str) -> Json {
        self.run(&format!("local M = require 'wezterm_parallel.{module}'; return {expression}"))
    }

    #[track_caller]
    pub fn connected(&self) {
        self.wait("the daemon's first news", |host| host.ask("state", "M.connected()") == json!(true));
    }

    /// Waits until the status line has this text in it.
    #[track_caller]
    pub fn status_says(&self, text: &str) {
        self.wait(&format!("`{text}` in the status line"), |host| host.right_status().contains(text));
    }

    /// Waits until the plugin has heard that a process is in that state.
    #[track_caller]
    pub fn hears(&self, process: &str, state: &str) {
        let expression = format!("(M.process '{process}' or {{}}).state");
        self.wait(&format!("{process} {state}"), |host| host.ask("state", &expression) == json!(state));
    }

    /// Runs wezterm-parallel to its end, while this WezTerm goes on: what it asks for may need it.
    pub fn cli(&self, site: &Site, args: &[&str]) -> Output {
        let mut command = site.command(executable());
        command.args(args);
        self.during(move || finish(command))
    }

    /// The panes of a workspace, by what they were opened with: the executable itself is left out.
    pub fn run_by(&self, workspace: &str) -> Vec<String> {
        let all = self.panes().into_iter().filter(|(_, of, _)| of == workspace);
        all.map(|(_, _, args)| match args.split_first() {
            Some((first, rest)) if first == executable() => rest.join(" "),
            _ => args.join(" "),
        })
        .collect()
    }

    pub fn pane_of(&self, args: &str) -> Option<PaneId> {
        let all = self.panes().into_iter();
        all.filter(|(_, _, a)| a.join(" ").ends_with(args)).map(|(id, _, _)| id).next()
    }

    /// How many long polls this WezTerm has open.
    pub fn waiting(&self) -> usize {
        self.running(|args| args.iter().any(|a| a == "--wait"))
    }

    /// All that is in the log at this level.
    pub fn logged(&self, level: &str) -> Vec<String> {
        self.record().log.iter().filter(|(l, _)| *l == level).map(|(_, t)| t.clone()).collect()
    }

    /// Waits until no question is asked and no handler of a window is under way.
    #[track_caller]
    pub fn workspace_is(&self, name: &str) {
        self.wait(&format!("the workspace {name} on the glass"), |host| {
            let mux = host.mux();
            let shown = host
                .world
                .windows
                .borrow()
                .iter()
                .any(|w| mux.windows.get(&w.mux_window).is_some_and(|window| window.workspace == name));
            mux.active_workspace == name && shown
        });
    }
}

/// The arrangements that were left.
pub fn left(site: &Site) -> Vec<Arrangement> {
    site.client().call::<LeftLayouts>(Empty {}).expect("they can be asked for")
}

/// The GUIs that the daemon knows.
pub fn guis(site: &Site) -> Vec<GuiView> {
    site.client().call::<ListGuis>(Empty {}).expect("they can be listed")
}
