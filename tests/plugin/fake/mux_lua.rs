//! `wezterm.mux`, and the handles of windows and tabs. A handle of something that is gone throws.

use std::collections::HashMap;

use mlua::{Error, IntoLua, Lua, LuaSerdeExt, MetaMethod, Result, Table, UserData, UserDataMethods, Value};
use serde::Deserialize;

pub use super::pane::MuxPane;
use super::{
    mux::{CELL, Pane, PaneId, TabId, WindowId},
    world::World,
};

#[derive(Clone, Copy, Debug)]
pub struct MuxWindow(pub WindowId);
#[derive(Clone, Copy, Debug)]
pub struct MuxTab(pub TabId);

/// What may be given to all that opens a pane.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Spawn {
    pub args: Option<Vec<String>>,
    pub cwd: Option<String>,
    #[serde(default)]
    pub set_environment_variables: HashMap<String, String>,
    pub domain: Option<serde_json::Value>,
    pub workspace: Option<String>,
    pub width: Option<usize>,
    pub height: Option<usize>,
    pub position: Option<serde_json::Value>,
    pub label: Option<String>,
    pub direction: Option<String>,
    pub size: Option<f64>,
    #[serde(default)]
    pub top_level: bool,
    #[serde(flatten)]
    pub unknown: HashMap<String, serde_json::Value>,
}

impl Spawn {
    pub fn read(lua: &Lua, value: Value) -> Result<Self> {
        if value.is_nil() {
            return Ok(Self::default());
        }
        let spawn: Spawn = lua.from_value(value)?;
        for field in spawn.unknown.keys() {
            World::of(lua).note("warn", format!("`{field}` is not a valid field of what opens a pane"));
        }
        Ok(spawn)
    }

    /// The pane that it asks for. Without a program, WezTerm forgets the environment.
    pub fn pane(&self) -> Pane {
        let env = if self.args.is_some() { self.set_environment_variables.clone() } else { HashMap::new() };
        let domain = match &self.domain {
            Some(serde_json::Value::Object(named)) => {
                named.get("DomainName").and_then(|d| d.as_str()).unwrap_or_default().to_string()
            }
            _ => String::new(),
        };
        let title = self.args.as_ref().and_then(|a| a.first()).map_or("sh", String::as_str);
        let title = title.rsplit('/').next().unwrap_or_default().to_string();
        Pane { args: self.args.clone(), cwd: self.cwd.clone(), env, domain, title, ..Pane::default() }
    }
}

pub fn gone(what: &str, id: usize) -> Error {
    Error::external(format!("{what} id {id} not found in mux"))
}

/// Opens a pane in a new tab, and runs its program.
pub async fn open(lua: &Lua, window: Option<WindowId>, spawn: Spawn) -> Result<(MuxTab, MuxPane, MuxWindow)> {
    tokio::task::yield_now().await;
    let world = World::of(lua);
    if let Some(cwd) = &spawn.cwd
        && !std::path::Path::new(cwd).is_dir()
        && world.runs_panes.get()
    {
        return Err(Error::external(format!("chdir to {cwd}: No such file or directory")));
    }
    let (tab, pane, window) = {
        let mut mux = world.mux.borrow_mut();
        let workspace = spawn.workspace.clone().unwrap_or_else(|| mux.active_workspace.clone());
        let size = (spawn.width.unwrap_or(80), spawn.height.unwrap_or(24));
        mux.spawn(window, &workspace, size, spawn.pane()).map_err(Error::external)?
    };
    super::pane::run(&world, pane)?;
    if world.mux.borrow().windows[&window].workspace == world.mux.borrow().active_workspace {
        // the window comes a moment after its panes
        let world = std::rc::Rc::clone(&world);
        tokio::task::spawn_local(async move { world.reconcile() });
    }
    world.touch();
    Ok((MuxTab(tab), MuxPane(pane), MuxWindow(window)))
}

impl MuxWindow {
    fn of<T>(self, lua: &Lua, f: impl FnOnce(&super::mux::Window) -> T) -> Result<T> {
        let world = World::of(lua);
        let mux = world.mux.borrow();
        mux.windows.get(&self.0).map(f).ok_or_else(|| gone("window", self.0))
    }
}

impl MuxTab {
    fn of<T>(self, lua: &Lua, f: impl FnOnce(&mut super::mux::Tab) -> T) -> Result<T> {
        let world = World::of(lua);
        let mut mux = world.mux.borrow_mut();
        let done = mux.tabs.get_mut(&self.0).map(f).ok_or_else(|| gone("tab", self.0));
        drop(mux);
        done
    }
}

impl UserData for MuxWindow {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("MuxWindow(mux_window_id:{})", this.0))
        });
        methods.add_method("window_id", |_, this, ()| Ok(this.0));
        methods.add_async_method("gui_window", |lua, this, ()| async move {
            super::gui::of_mux_window(lua, this.0).await
        });
        methods.add_method("get_workspace", |lua, this, ()| this.of(lua, |w| w.workspace.clone()));
        methods.add_method("set_workspace", |lua, this, name: String| {
            let world = World::of(lua);
            let mut mux = world.mux.borrow_mut();
            let window = mux.windows.get_mut(&this.0).ok_or_else(|| gone("window", this.0))?;
            window.workspace = name;
            drop(mux);
            let later = std::rc::Rc::clone(&world);
            tokio::task::spawn_local(async move { later.reconcile() });
            Ok(())
        });
        methods.add_async_method("spawn_tab", |lua, this, spawn: Value| async move {
            let spawn = Spawn::read(lua, spawn)?;
            open(lua, Some(this.0), spawn).await
        });
        methods.add_method("get_title", |lua, this, ()| this.of(lua, |w| w.title.clone()));
        methods.add_method("set_title", |lua, this, title: String| {
            let world = World::of(lua);
            let mut mux = world.mux.borrow_mut();
            mux.windows.get_mut(&this.0).ok_or_else(|| gone("window", this.0))?.title = title;
            Ok(())
        });
        methods.add_method("tabs", |lua, this, ()| {
            this.of(lua, |w| w.tabs.iter().copied().map(MuxTab).collect::<Vec<_>>())
        });
        methods.add_method("tabs_with_info", |lua, this, ()| {
            let (tabs, active) = this.of(lua, |w| (w.tabs.clone(), w.active))?;
            let list = lua.create_table()?;
            for (index, tab) in tabs.into_iter().enumerate() {
                let info = lua.create_table()?;
                info.set("index", index)?;
                info.set("is_active", index == active)?;
                info.set("tab", MuxTab(tab))?;
                list.push(info)?;
            }
            Ok(list)
        });
        methods.add_method("active_tab", |lua, this, ()| this.of(lua, |w| w.active_tab().map(MuxTab)));
        methods.add_method("active_pane", |lua, this, ()| {
            let world = World::of(lua);
            let tab = this.of(lua, |w| w.active_tab())?;
            let mux = world.mux.borrow();
            Ok(tab.map(|tab| MuxPane(mux.tabs[&tab].active)))
        });
    }
}

impl UserData for MuxTab {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("MuxTab(tab_id:{})", this.0)));
        methods.add_method("tab_id", |_, this, ()| Ok(this.0));
        methods.add_method("window", |lua, this, ()| {
            let world = World::of(lua);
            let mux = world.mux.borrow();
            Ok(mux.windows.iter().find(|(_, w)| w.tabs.contains(&this.0)).map(|(id, _)| MuxWindow(*id)))
        });
        methods.add_method("get_title", |lua, this, ()| this.of(lua, |t| t.title.clone()));
        methods.add_method("set_title", |lua, this, title: String| {
            World::of(lua).touch();
            this.of(lua, |t| t.title = title)
        });
        methods.add_method("active_pane", |lua, this, ()| this.of(lua, |t| MuxPane(t.active)));
        methods.add_method("panes", |lua, this, ()| {
            this.of(lua, |t| t.panes().into_iter().map(MuxPane).collect::<Vec<_>>())
        });
        methods.add_method("get_pane_direction", |lua, this, direction: String| {
            this.of(lua, |t| t.beside(t.active, &direction).map(MuxPane))
        });
        methods.add_method("set_zoomed", |lua, this, zoomed: bool| {
            World::of(lua).touch();
            this.of(lua, |t| t.set_zoomed(zoomed))
        });
        methods.add_method("panes_with_info", |lua, this, ()| {
            let (places, active, zoomed) = this.of(lua, |t| (t.places(), t.active, t.zoomed))?;
            let list = lua.create_table()?;
            for (index, (pane, rect)) in places.into_iter().enumerate() {
                let info = lua.create_table()?;
                info.set("index", index)?;
                info.set("is_active", pane == active)?;
                info.set("is_zoomed", zoomed == Some(pane))?;
                info.set("left", rect.left)?;
                info.set("top", rect.top)?;
                info.set("width", rect.width)?;
                info.set("height", rect.height)?;
                info.set("pixel_width", rect.width * CELL.0)?;
                info.set("pixel_height", rect.height * CELL.1)?;
                info.set("pane", MuxPane(pane))?;
                list.push(info)?;
            }
            Ok(list)
        });
        methods.add_method("get_size", |lua, this, ()| {
            let (cols, rows) = this.of(lua, |t| (t.cols, t.rows))?;
            let size = lua.create_table()?;
            size.set("cols", cols)?;
            size.set("rows", rows)?;
            size.set("pixel_width", cols * CELL.0)?;
            size.set("pixel_height", rows * CELL.1)?;
            size.set("dpi", 96)?;
            Ok(size)
        });
        methods.add_method("rotate_counter_clockwise", |lua, this, ()| this.of(lua, |t| t.rotate(false)));
        // also the other way round in WezTerm
        methods.add_method("rotate_clockwise", |lua, this, ()| this.of(lua, |t| t.rotate(false)));
        methods.add_method("activate", |lua, this, ()| {
            this.of(lua, |_| ())?;
            World::of(lua).mux.borrow_mut().activate_tab(this.0);
            World::of(lua).touch();
            Ok(())
        });
    }
}

/// A handle that is made only of what is there.
fn handle<'lua, T: IntoLua<'lua>>(
    lua: &'lua Lua,
    found: Option<T>,
    what: &str,
    id: usize,
) -> Result<Value<'lua>> {
    found.ok_or_else(|| gone(what, id))?.into_lua(lua)
}

pub fn register(lua: &Lua, wezterm: &Table) -> Result<()> {
    let mux = lua.create_table()?;
    mux.set(
        "get_active_workspace",
        lua.create_function(|lua, ()| Ok(World::of(lua).mux.borrow().active_workspace.clone()))?,
    )?;
    mux.set(
        "get_workspace_names",
        lua.create_function(|lua, ()| Ok(World::of(lua).mux.borrow().workspaces()))?,
    )?;
    mux.set(
        "set_active_workspace",
        lua.create_function(|lua, name: String| {
            let world = World::of(lua);
            if !world.mux.borrow().workspaces().contains(&name) {
                return Err(Error::external(format!("{name:?} is not an existing workspace")));
            }
            world.mux.borrow_mut().active_workspace = name;
            let later = std::rc::Rc::clone(&world);
            tokio::task::spawn_local(async move { later.reconcile() });
            Ok(())
        })?,
    )?;
    mux.set(
        "rename_workspace",
        lua.create_function(|lua, (from, to): (String, String)| {
            World::of(lua).mux.borrow_mut().rename_workspace(&from, &to);
            Ok(())
        })?,
    )?;
    mux.set(
        "get_window",
        lua.create_function(|lua, id: WindowId| {
            let found = World::of(lua).mux.borrow().windows.contains_key(&id).then_some(MuxWindow(id));
            handle(lua, found, "window", id)
        })?,
    )?;
    mux.set(
        "get_tab",
        lua.create_function(|lua, id: TabId| {
            let found = World::of(lua).mux.borrow().tabs.contains_key(&id).then_some(MuxTab(id));
            handle(lua, found, "tab", id)
        })?,
    )?;
    mux.set(
        "get_pane",
        lua.create_function(|lua, id: PaneId| {
            let found = World::of(lua).mux.borrow().panes.contains_key(&id).then_some(MuxPane(id));
            handle(lua, found, "pane", id)
        })?,
    )?;
    mux.set(
        "spawn_window",
        lua.create_async_function(|lua, spawn: Value| async move {
            let spawn = Spawn::read(lua, spawn)?;
            open(lua, None, spawn).await
        })?,
    )?;
    mux.set(
        "all_windows",
        lua.create_function(|lua, ()| {
            // WezTerm keeps no order: here it is the wrong one each time
            Ok(World::of(lua).mux.borrow().windows.keys().rev().copied().map(MuxWindow).collect::<Vec<_>>())
        })?,
    )?;
    mux.set("get_domain", lua.create_function(|_, _: Value| Ok(Value::Nil))?)?;
    mux.set("all_domains", lua.create_function(|lua, ()| lua.create_table())?)?;
    wezterm.set("mux", mux)
}
