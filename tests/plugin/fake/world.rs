//! All that a WezTerm process has beside its Lua.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    rc::Rc,
    time::Instant,
};

use mlua::{Lua, Table};
use tokio::sync::{Notify, mpsc};

use super::{
    global::Kept,
    mux::{COLS, Mux, PaneId, ROWS, WindowId},
};
use crate::support::pty::Pty;

/// Which release it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// 20240203-110809-5046fc22: no `wezterm.serde`, no `Confirmation`, no `pane:get_progress`, and a
    /// prompt has no fields but its description.
    Stable,
    /// What came after it.
    Nightly,
}

impl Flavour {
    pub fn version(self) -> &'static str {
        match self {
            Flavour::Stable => "20240203-110809-5046fc22",
            Flavour::Nightly => "20260301-121212-0a1b2c3d",
        }
    }
}

/// A window on the glass. The window of the mux that it shows changes when another workspace is shown.
#[derive(Debug)]
pub struct GuiWindow {
    pub id: usize,
    pub mux_window: WindowId,
    pub left_status: String,
    pub right_status: String,
    pub focused: bool,
    pub events: HashMap<String, EventState>,
    pub overlay: Option<Overlay>,
    pub key_tables: Vec<String>,
    pub overrides: serde_json::Value,
}

/// At most one event of a name is under way in a window, and one more waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventState {
    #[default]
    None,
    Running,
    RunningAndQueued(Option<PaneId>),
}

/// A question over a tab.
#[derive(Clone, Debug)]
pub struct Overlay {
    pub kind: OverlayKind,
    pub title: String,
    pub description: String,
    pub event: String,
    /// What was the active pane when it was asked: another question, if that had not gone yet.
    pub pane: PaneId,
    /// It is a pane itself, which lies in no tab.
    pub own_pane: PaneId,
}

#[derive(Clone, Debug)]
pub enum OverlayKind {
    Selector { fuzzy: bool, choices: Vec<(Option<String>, String)> },
    Prompt { initial: Option<String> },
    Confirmation { cancel: Option<String> },
}

/// A notification of the desktop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    pub title: String,
    pub message: String,
    pub timeout_ms: Option<u64>,
}

/// A child process that Lua has started.
#[derive(Clone, Debug)]
pub struct ChildRecord {
    pub args: Vec<String>,
    pub started: Instant,
    pub ended: Option<Instant>,
}

/// What has happened.
#[derive(Debug, Default)]
pub struct Record {
    pub log: Vec<(&'static str, String)>,
    /// What handlers threw. WezTerm logs it; a plugin of ours never lets it come to that.
    pub thrown: Vec<String>,
    pub toasts: Vec<Toast>,
    pub children: Vec<ChildRecord>,
    /// Calls that stop the whole GUI: io.popen, os.execute.
    pub blocking: Vec<String>,
    /// Actions that were performed, in their order.
    pub actions: Vec<String>,
    /// Events that were emitted to Lua, by name.
    pub events: BTreeMap<String, u32>,
    pub clipboard: Option<String>,
    pub evaluations: u32,
    /// Every status line that was set, newest last.
    pub statuses: Vec<String>,
    pub bells: u32,
}

/// All that a WezTerm process has beside its Lua.
pub struct World {
    pub flavour: Flavour,
    pub env: RefCell<HashMap<String, String>>,
    pub pid: i32,
    pub home: PathBuf,
    pub config_file: RefCell<PathBuf>,
    pub config_dirs: Vec<PathBuf>,
    pub data_dir: PathBuf,
    pub executable_dir: PathBuf,
    /// It has windows; else it is a mux server or `wezterm cli`.
    pub has_gui: bool,
    /// A pane's program really runs; else it is only written down.
    pub runs_panes: Cell<bool>,
    pub mux: RefCell<Mux>,
    pub windows: RefCell<Vec<GuiWindow>>,
    pub next_window: Cell<usize>,
    pub next_overlay: Cell<PaneId>,
    pub cells: Cell<(usize, usize)>,
    pub record: RefCell<Record>,
    pub generation: Cell<u64>,
    pub lua: RefCell<Option<Rc<Lua>>>,
    pub global: Kept,
    pub ptys: RefCell<HashMap<PaneId, Pty>>,
    pub pane_output: mpsc::UnboundedSender<(PaneId, Vec<u8>)>,
    pub changed: Notify,
}

impl World {
    /// The world of this Lua.
    pub fn of(lua: &Lua) -> Rc<World> {
        Rc::clone(&*lua.app_data_ref::<Rc<World>>().expect("each state is made for a world"))
    }

    /// Tells those who wait for something that something has happened.
    pub fn ring(&self) {
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    pub fn note(&self, level: &'static str, text: String) {
        self.record.borrow_mut().log.push((level, text));
        self.ring();
    }

    /// What the config is now: the table that it returned.
    pub fn config<'lua>(&self, lua: &'lua Lua) -> mlua::Result<Table<'lua>> {
        lua.named_registry_value("fake-config")
    }

    pub fn env(&self, name: &str) -> Option<String> {
        self.env.borrow().get(name).cloned()
    }

    /// The window on the glass that shows this window of the mux.
    pub fn window_of(&self, mux_window: WindowId) -> Option<usize> {
        self.windows.borrow().iter().find(|w| w.mux_window == mux_window).map(|w| w.id)
    }

    pub fn with_window<T>(&self, id: usize, f: impl FnOnce(&mut GuiWindow) -> T) -> Option<T> {
        self.windows.borrow_mut().iter_mut().find(|w| w.id == id).map(f)
    }

    /// The active pane of a window on the glass.
    pub fn active_pane(&self, id: usize) -> Option<PaneId> {
        let mux_window = self.with_window(id, |w| w.mux_window)?;
        let mux = self.mux.borrow();
        let tab = mux.windows.get(&mux_window)?.active_tab()?;
        Some(mux.tabs[&tab].active)
    }

    /// What a window takes for its active pane: the question over it, if there is one.
    pub fn active_or_overlay(&self, id: usize) -> Option<PaneId> {
        let overlay = self.with_window(id, |w| w.overlay.as_ref().map(|o| o.own_pane)).flatten();
        overlay.or_else(|| self.active_pane(id))
    }

    /// Makes the windows on the glass be those of the active workspace, and fits their tabs to them. Those
    /// that are there already show another window of the mux, as in WezTerm.
    pub fn reconcile(&self) {
        if !self.has_gui {
            return;
        }
        let mut mux = self.mux.borrow_mut();
        if mux.windows_of(&mux.active_workspace).is_empty()
            && let Some(other) = mux.workspaces().into_iter().next()
        {
            mux.active_workspace = other;
        }
        let wanted = mux.windows_of(&mux.active_workspace);
        let mut windows = self.windows.borrow_mut();
        let free: Vec<usize> =
            (0..windows.len()).filter(|at| !wanted.contains(&windows[*at].mux_window)).collect();
        let missing: Vec<WindowId> =
            wanted.iter().copied().filter(|id| !windows.iter().any(|w| w.mux_window == *id)).collect();
        let mut free = free.into_iter();
        for mux_window in missing {
            if let Some(at) = free.next() {
                windows[at].mux_window = mux_window;
                windows[at].overlay = None;
                continue;
            }
            let id = self.next_window.get();
            self.next_window.set(id + 1);
            let focused = windows.is_empty();
            windows.push(GuiWindow {
                id,
                mux_window,
                left_status: String::new(),
                right_status: String::new(),
                focused,
                events: HashMap::new(),
                overlay: None,
                key_tables: Vec::new(),
                overrides: serde_json::json!({}),
            });
        }
        windows.retain(|w| wanted.contains(&w.mux_window));
        if !windows.is_empty() && !windows.iter().any(|w| w.focused) {
            windows[0].focused = true;
        }
        let (cols, rows) = self.cells.get();
        for window in wanted {
            for tab in mux.windows[&window].tabs.clone() {
                let tab = mux.tabs.get_mut(&tab).expect("a window's tab is there");
                (tab.cols, tab.rows) = (cols, rows);
            }
        }
        drop((mux, windows));
        self.ring();
    }

    /// What may be bounded by the window: its cells.
    pub fn default_cells() -> (usize, usize) {
        (COLS, ROWS)
    }
}
