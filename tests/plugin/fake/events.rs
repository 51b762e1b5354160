//! Who hears an event, and when. An event that is only asked (`format-tab-title`) reaches the first handler
//! and cannot wait; all others reach every handler in turn, each of which may wait, until one throws or says
//! `false`.

use std::rc::Rc;

use mlua::{Function, Lua, MultiValue, Result, Table, Value};

use super::{
    gui::GuiWin,
    mux::PaneId,
    mux_lua::MuxPane,
    world::{EventState, World},
};

const IN_EVENT: &str = "fake-in-event";
const CALLBACKS: &str = "fake-callbacks";

fn key(name: &str) -> String {
    format!("fake-event-{name}")
}

pub fn prepare(lua: &Lua) -> Result<()> {
    lua.set_named_registry_value(IN_EVENT, false)?;
    lua.set_named_registry_value(CALLBACKS, 0)
}

/// `wezterm.on`.
pub fn on(lua: &Lua, (name, handler): (String, Function)) -> Result<()> {
    let handlers: Option<Table> = lua.named_registry_value(&key(&name))?;
    match handlers {
        Some(handlers) => handlers.push(handler),
        None => lua.set_named_registry_value(&key(&name), lua.create_sequence_from([handler])?),
    }
}

pub fn handlers(lua: &Lua, name: &str) -> Result<usize> {
    let handlers: Option<Table> = lua.named_registry_value(&key(name))?;
    Ok(handlers.map_or(0, |t| t.raw_len()))
}

/// A name for a function that an action calls.
pub fn callback(lua: &Lua, function: Function) -> Result<String> {
    let count: u32 = lua.named_registry_value(CALLBACKS)?;
    lua.set_named_registry_value(CALLBACKS, count + 1)?;
    let name = format!("user-defined-{count}");
    on(lua, (name.clone(), function))?;
    Ok(name)
}

/// Whether this Lua has ever heard an event. So it is in WezTerm: it is never taken back.
pub fn has_heard_one(lua: &Lua) -> Result<bool> {
    lua.named_registry_value(IN_EVENT)
}

/// Calls all handlers, which may wait.
pub async fn emit<'lua>(lua: &'lua Lua, (name, args): (String, MultiValue<'lua>)) -> Result<bool> {
    lua.set_named_registry_value(IN_EVENT, true)?;
    let world = World::of(lua);
    *world.record.borrow_mut().events.entry(name.clone()).or_default() += 1;
    let handlers: Option<Table> = lua.named_registry_value(&key(&name))?;
    let mut go_on = true;
    if let Some(handlers) = handlers {
        for handler in handlers.sequence_values::<Function>() {
            let said = handler?.call_async::<_, Value>(args.clone()).await?;
            if matches!(said, Value::Boolean(false)) {
                go_on = false;
                break;
            }
        }
    }
    world.ring();
    Ok(go_on)
}

/// Asks the first handler, which cannot wait.
pub fn ask<'lua>(lua: &'lua Lua, name: &str, args: MultiValue<'lua>) -> Result<Value<'lua>> {
    *World::of(lua).record.borrow_mut().events.entry(name.into()).or_default() += 1;
    let handlers: Option<Table> = lua.named_registry_value(&key(name))?;
    let first: Option<Function> = handlers.map(|t| t.get(1)).transpose()?;
    first.map_or(Ok(Value::Nil), |first| first.call(args))
}

/// Emits an event to the newest Lua, on its own. What it throws is written down.
pub fn spawn<F>(world: &Rc<World>, name: String, args: F)
where
    F: for<'lua> FnOnce(&'lua Lua) -> Result<MultiValue<'lua>> + 'static,
{
    let world = Rc::clone(world);
    tokio::task::spawn_local(async move { emit_now(&world, name, args).await });
}

pub async fn emit_now<F>(world: &Rc<World>, name: String, args: F)
where
    F: for<'lua> FnOnce(&'lua Lua) -> Result<MultiValue<'lua>>,
{
    let Some(lua) = world.lua.borrow().clone() else { return };
    let done = match args(&lua) {
        Ok(args) => emit(&lua, (name.clone(), args)).await.map(|_| ()),
        Err(e) => Err(e),
    };
    if let Err(e) = done {
        thrown(world, &name, &e);
    }
}

pub fn thrown(world: &World, name: &str, error: &mlua::Error) {
    let text = format!("while processing {name} event: {error}");
    world.record.borrow_mut().thrown.push(text.clone());
    world.note("error", text);
}

/// An event of a window: one at a time, and one that waits; others of its name are forgotten.
pub fn emit_window(world: &Rc<World>, window: usize, name: &str, pane: Option<PaneId>) {
    if world.active_pane(window).is_none() {
        return;
    }
    let start = world.with_window(window, |w| {
        let state = w.events.entry(name.into()).or_default();
        match state {
            EventState::None => {
                *state = EventState::Running;
                true
            }
            EventState::Running => {
                *state = EventState::RunningAndQueued(pane);
                false
            }
            EventState::RunningAndQueued(_) => false,
        }
    });
    if start == Some(true) {
        let world = Rc::clone(world);
        let name = name.to_string();
        tokio::task::spawn_local(async move { run_window(world, window, name, pane).await });
    }
}

async fn run_window(world: Rc<World>, window: usize, name: String, mut pane: Option<PaneId>) {
    loop {
        let shown = pane.filter(|id| world.mux.borrow().panes.contains_key(id));
        let shown = shown.or_else(|| world.active_or_overlay(window));
        if let (Some(shown), Some(gui)) = (shown, GuiWin::of(&world, window)) {
            emit_now(&world, name.clone(), move |lua| pack(lua, (gui, MuxPane(shown)))).await;
        }
        let next = world.with_window(window, |w| {
            let state = w.events.entry(name.clone()).or_default();
            match *state {
                EventState::RunningAndQueued(next) => {
                    *state = EventState::Running;
                    Some(next)
                }
                EventState::Running | EventState::None => {
                    *state = EventState::None;
                    None
                }
            }
        });
        world.ring();
        match next.flatten() {
            Some(next) => pane = next,
            None => return,
        }
        tokio::task::yield_now().await;
    }
}

/// The status of all windows, as WezTerm asks for it each second.
pub fn emit_status(world: &Rc<World>) {
    let windows: Vec<usize> = world.windows.borrow().iter().map(|w| w.id).collect();
    for window in windows {
        emit_window(world, window, "update-right-status", None);
        emit_window(world, window, "update-status", None);
    }
}

pub fn pack<'lua>(lua: &'lua Lua, args: impl mlua::IntoLuaMulti<'lua>) -> Result<MultiValue<'lua>> {
    args.into_lua_multi(lua)
}
