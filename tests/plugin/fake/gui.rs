//! `wezterm.gui`, and the windows on the glass.

use std::rc::Rc;

use mlua::{
    Error, Lua, LuaSerdeExt, MetaMethod, Result, Table, UserData, UserDataMethods, UserDataRef, Value,
};

use super::{
    mux::{CELL, WindowId},
    mux_lua::{MuxPane, MuxTab, MuxWindow},
    perform,
    world::{Toast, World},
};

/// A handle of a window on the glass. It remembers the window of the mux that was shown when it was made,
/// which another one may have replaced by now.
#[derive(Clone, Copy, Debug)]
pub struct GuiWin {
    pub id: usize,
    pub mux_window: WindowId,
}

impl GuiWin {
    pub fn of(world: &World, id: usize) -> Option<Self> {
        let mux_window = world.with_window(id, |w| w.mux_window)?;
        Some(Self { id, mux_window })
    }

    /// What asks the window waits for its answer, and fails when the window is gone.
    async fn ask<T>(self, lua: &Lua, f: impl FnOnce(&Rc<World>) -> Option<T>) -> Result<T> {
        tokio::task::yield_now().await;
        let world = World::of(lua);
        if !world.windows.borrow().iter().any(|w| w.id == self.id) {
            return Err(Error::external("receiving from an empty and closed channel"));
        }
        f(&world).ok_or_else(|| Error::external("receiving from an empty and closed channel"))
    }
}

impl UserData for GuiWin {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("GuiWin(mux_window_id:{})", this.mux_window))
        });
        methods.add_method("window_id", |_, this, ()| Ok(this.mux_window));
        methods.add_method("mux_window", |_, this, ()| Ok(MuxWindow(this.mux_window)));
        methods.add_method("active_tab", |lua, this, ()| {
            let world = World::of(lua);
            let mux = world.mux.borrow();
            let window = mux
                .windows
                .get(&this.mux_window)
                .ok_or_else(|| Error::external(format!("invalid window {}", this.mux_window)))?;
            Ok(window.active_tab().map(MuxTab))
        });
        methods.add_async_method("active_pane", |lua, this, ()| async move {
            this.ask(lua, |world| Some(world.active_or_overlay(this.id).map(MuxPane))).await
        });
        methods.add_method("active_workspace", |lua, _, ()| {
            Ok(World::of(lua).mux.borrow().active_workspace.clone())
        });
        methods.add_async_method("is_focused", |lua, this, ()| async move {
            this.ask(lua, |world| world.with_window(this.id, |w| w.focused)).await
        });
        methods.add_method("focus", |lua, this, ()| {
            let world = World::of(lua);
            super::host::focus(&world, Some(this.id));
            Ok(())
        });
        methods.add_method(
            "toast_notification",
            |lua, _, (title, message, _url, timeout): (String, String, Option<String>, Option<u64>)| {
                let world = World::of(lua);
                world.record.borrow_mut().toasts.push(Toast { title, message, timeout_ms: timeout });
                world.ring();
                Ok(())
            },
        );
        methods.add_method("set_right_status", |lua, this, status: String| {
            let world = World::of(lua);
            world.record.borrow_mut().statuses.push(status.clone());
            world.with_window(this.id, |w| w.right_status = status);
            world.ring();
            Ok(())
        });
        methods.add_method("set_left_status", |lua, this, status: String| {
            let world = World::of(lua);
            world.with_window(this.id, |w| w.left_status = status);
            world.ring();
            Ok(())
        });
        methods.add_async_method("get_dimensions", |lua, this, ()| async move {
            let (cols, rows) = this.ask(lua, |world| Some(world.cells.get())).await?;
            let dimensions = lua.create_table()?;
            dimensions.set("pixel_width", cols * CELL.0)?;
            dimensions.set("pixel_height", rows * CELL.1)?;
            dimensions.set("dpi", 96)?;
            dimensions.set("is_full_screen", false)?;
            Ok(dimensions)
        });
        methods.add_async_method("effective_config", |lua, this, ()| async move {
            this.ask(lua, |_| Some(())).await?;
            effective_config(lua)
        });
        methods.add_async_method("get_config_overrides", |lua, this, ()| async move {
            let overrides = this.ask(lua, |w| w.with_window(this.id, |w| w.overrides.clone())).await?;
            lua.to_value(&overrides)
        });
        methods.add_method("set_config_overrides", |lua, this, overrides: Value| {
            let world = World::of(lua);
            let overrides: serde_json::Value = lua.from_value(overrides)?;
            world.with_window(this.id, |w| w.overrides = overrides);
            super::host::evaluate_for_overrides(&world);
            Ok(())
        });
        methods.add_async_method(
            "perform_action",
            |lua, this, (action, pane): (Value, UserDataRef<MuxPane>)| async move {
                let pane = pane.0;
                let action = super::action::read(lua, action, false)?;
                this.ask(lua, |_| Some(())).await?;
                let world = World::of(lua);
                if !world.mux.borrow().panes.contains_key(&pane) {
                    return Err(Error::external(format!("pane id {pane} is not valid")));
                }
                perform::perform(&world, this.id, pane, &action.0, &action.1).map_err(Error::external)
            },
        );
        methods.add_async_method("active_key_table", |lua, this, ()| async move {
            this.ask(lua, |w| w.with_window(this.id, |w| w.key_tables.last().cloned())).await
        });
        methods.add_async_method("leader_is_active", |lua, this, ()| async move {
            this.ask(lua, |_| Some(false)).await
        });
        methods.add_async_method("get_selection_text_for_pane", |lua, this, _: Value| async move {
            this.ask(lua, |_| Some(String::new())).await
        });
        methods.add_method("copy_to_clipboard", |lua, _, (text, _): (String, Value)| {
            World::of(lua).record.borrow_mut().clipboard = Some(text);
            Ok(())
        });
        methods.add_method("get_appearance", |_, _, ()| Ok("Dark"));
    }
}

/// The config with WezTerm's defaults below it.
pub fn effective_config(lua: &Lua) -> Result<Table<'_>> {
    let config = lua.create_table()?;
    let palette = lua.create_table()?;
    palette.set("foreground", "#c0c0c0")?;
    palette.set("background", "#101010")?;
    let ansi: Vec<String> = (0..8).map(|i| format!("#{:02x}4080", i * 30)).collect();
    palette.set("ansi", ansi.clone())?;
    palette.set("brights", ansi)?;
    config.set("resolved_palette", palette)?;
    config.set("status_update_interval", 1000)?;
    config.set("use_fancy_tab_bar", true)?;
    config.set("show_tab_index_in_tab_bar", true)?;
    config.set("tab_max_width", 16)?;
    for pair in World::of(lua).config(lua)?.pairs::<Value, Value>() {
        let (key, value) = pair?;
        config.raw_set(key, value)?;
    }
    Ok(config)
}

/// The window on the glass of a window of the mux; it throws for one of a workspace that is not shown.
pub async fn of_mux_window(lua: &Lua, mux_window: WindowId) -> Result<GuiWin> {
    tokio::task::yield_now().await;
    let world = World::of(lua);
    world.reconcile();
    let found = world.window_of(mux_window).and_then(|id| GuiWin::of(&world, id));
    found.ok_or_else(|| {
        Error::external(format!("mux window id {mux_window} is not currently associated with a gui window"))
    })
}

pub fn register(lua: &Lua, wezterm: &Table) -> Result<()> {
    let gui = lua.create_table()?;
    gui.set(
        "gui_windows",
        lua.create_function(|lua, ()| {
            let world = World::of(lua);
            let windows = world.windows.borrow();
            Ok(windows.iter().map(|w| GuiWin { id: w.id, mux_window: w.mux_window }).collect::<Vec<_>>())
        })?,
    )?;
    gui.set(
        "gui_window_for_mux_window",
        lua.create_async_function(|lua, id: WindowId| async move { of_mux_window(lua, id).await })?,
    )?;
    gui.set("default_keys", lua.create_function(|lua, ()| lua.create_table())?)?;
    gui.set("default_key_tables", lua.create_function(|lua, ()| lua.create_table())?)?;
    wezterm.set("gui", gui)
}
