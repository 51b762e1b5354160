//! Panes: their handles in Lua, and the programs in them, where those really run.

use std::{path::Path, process::Command, rc::Rc};

use base64::{Engine, engine::general_purpose::STANDARD};
use mlua::{Error, Lua, MetaMethod, Result, UserData, UserDataMethods, UserDataRef, Value};

use super::{
    events,
    gui::GuiWin,
    mux::{Pane, PaneId, Split},
    mux_lua::{MuxTab, MuxWindow, Spawn, gone},
    world::{Flavour, World},
};
use crate::support::{pty::Pty, site::inherit_nothing};

#[derive(Clone, Copy, Debug)]
pub struct MuxPane(pub PaneId);

/// A URL, as `pane:get_current_working_dir()` gives it.
pub struct Url(pub String);

impl UserData for Url {
    fn add_fields<'lua, F: mlua::UserDataFields<'lua, Self>>(fields: &mut F) {
        fields.add_field_method_get("file_path", |_, this| Ok(this.0.clone()));
        fields.add_field_method_get("scheme", |_, _| Ok("file"));
        fields.add_field_method_get("host", |_, _| Ok(Value::Nil));
    }

    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("file://{}", this.0)));
    }
}

impl MuxPane {
    fn of<T>(self, lua: &Lua, f: impl FnOnce(&mut Pane) -> T) -> Result<T> {
        let world = World::of(lua);
        let mut mux = world.mux.borrow_mut();
        let done = mux.panes.get_mut(&self.0).map(f).ok_or_else(|| gone("pane", self.0));
        drop(mux);
        world.ring();
        done
    }
}

impl UserData for MuxPane {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods
            .add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("MuxPane(pane_id:{})", this.0)));
        methods.add_method("pane_id", |_, this, ()| Ok(this.0));
        methods.add_method("mux_pane", |_, this, ()| Ok(*this));
        methods.add_async_method("split", |lua, this, args: Value| async move {
            let spawn = Spawn::read(lua, args)?;
            let direction = spawn.direction.clone().unwrap_or_else(|| "Right".into());
            let (down, second) = match direction.as_str() {
                "Right" => (false, true),
                "Left" => (false, false),
                "Bottom" => (true, true),
                "Top" => (true, false),
                other => return Err(Error::external(format!("`{other}` is no direction of a split"))),
            };
            tokio::task::yield_now().await;
            let world = World::of(lua);
            let split = Split { down, second, top_level: spawn.top_level, size: spawn.size.unwrap_or(0.5) };
            let pane = world.mux.borrow_mut().split(this.0, split, spawn.pane()).map_err(Error::external)?;
            run(&world, pane)?;
            world.touch();
            Ok(MuxPane(pane))
        });
        methods.add_method("send_text", |lua, this, text: String| {
            write(&World::of(lua), this.0, &text)?;
            this.of(lua, |p| p.written.push_str(&text))
        });
        for name in ["send_paste", "paste"] {
            methods.add_method(name, |lua, this, text: String| {
                write(&World::of(lua), this.0, &text)?;
                this.of(lua, |p| p.pasted.push(text))
            });
        }
        methods.add_method("inject_output", |lua, this, text: String| {
            this.of(lua, |p| p.injected.push_str(&text))
        });
        methods.add_method("window", |lua, this, ()| {
            Ok(World::of(lua).mux.borrow().place(this.0).map(|(window, _)| MuxWindow(window)))
        });
        methods.add_method("tab", |lua, this, ()| {
            Ok(World::of(lua).mux.borrow().place(this.0).map(|(_, tab)| MuxTab(tab)))
        });
        methods.add_method("get_title", |lua, this, ()| this.of(lua, |p| p.title.clone()));
        methods
            .add_method("get_current_working_dir", |lua, this, ()| this.of(lua, |p| p.cwd.clone().map(Url)));
        methods.add_method("get_foreground_process_name", |lua, this, ()| {
            this.of(lua, |p| p.args.as_ref().and_then(|a| a.first().cloned()))
        });
        methods.add_method("get_foreground_process_info", |lua, this, ()| this.of(lua, |_| Value::Nil));
        methods.add_method("get_user_vars", |lua, this, ()| this.of(lua, |p| p.user_vars.clone()));
        methods.add_method("get_domain_name", |lua, this, ()| this.of(lua, |p| p.domain.clone()));
        methods.add_method("has_unseen_output", |lua, this, ()| this.of(lua, |_| false));
        methods.add_method("is_alt_screen_active", |lua, this, ()| this.of(lua, |_| false));
        methods.add_method("get_metadata", |lua, this, ()| {
            this.of(lua, |_| ())?;
            lua.create_table()
        });
        // what only newer releases have is not there at all in older ones
        methods.add_meta_method(MetaMethod::Index, |lua, _, name: String| {
            if name != "get_progress" || World::of(lua).flavour == Flavour::Stable {
                return Ok(Value::Nil);
            }
            let get = lua.create_function(|lua, this: UserDataRef<MuxPane>| this.of(lua, |_| "None"))?;
            Ok(Value::Function(get))
        });
        methods.add_method("get_tty_name", |lua, this, ()| this.of(lua, |_| Value::Nil));
        methods.add_method("get_dimensions", |lua, this, ()| {
            let world = World::of(lua);
            this.of(lua, |_| ())?;
            let mux = world.mux.borrow();
            let (_, tab) = mux.place(this.0).ok_or_else(|| gone("pane", this.0))?;
            let (_, rect) =
                mux.tabs[&tab].places().into_iter().find(|(id, _)| *id == this.0).expect("it lies there");
            let dimensions = lua.create_table()?;
            dimensions.set("cols", rect.width)?;
            dimensions.set("viewport_rows", rect.height)?;
            dimensions.set("scrollback_rows", rect.height)?;
            dimensions.set("physical_top", 0)?;
            dimensions.set("scrollback_top", 0)?;
            Ok(dimensions)
        });
        methods.add_method("get_lines_as_text", |lua, this, _: Option<usize>| {
            this.of(lua, |_| ())?;
            Ok(World::of(lua).ptys.borrow().get(&this.0).map_or_else(String::new, Pty::contents))
        });
        methods.add_method("activate", |lua, this, ()| {
            let world = World::of(lua);
            let mut mux = world.mux.borrow_mut();
            let (_, tab) = mux.place(this.0).ok_or_else(|| gone("pane", this.0))?;
            mux.activate_tab(tab);
            mux.tabs.get_mut(&tab).expect("it has a place").activate(this.0);
            drop(mux);
            world.touch();
            Ok(())
        });
        methods.add_async_method("move_to_new_tab", |lua, this, ()| async move {
            tokio::task::yield_now().await;
            let world = World::of(lua);
            let window = world.mux.borrow().place(this.0).map(|(window, _)| window);
            let (tab, window) =
                world.mux.borrow_mut().move_out(this.0, window, "").map_err(Error::external)?;
            Ok((MuxTab(tab), MuxWindow(window)))
        });
        methods.add_async_method("move_to_new_window", |lua, this, workspace: Option<String>| async move {
            tokio::task::yield_now().await;
            let world = World::of(lua);
            let workspace = workspace.unwrap_or_else(|| world.mux.borrow().active_workspace.clone());
            let moved = world.mux.borrow_mut().move_out(this.0, None, &workspace);
            let (tab, window) = moved.map_err(Error::external)?;
            let later = Rc::clone(&world);
            tokio::task::spawn_local(async move { later.reconcile() });
            Ok((MuxTab(tab), MuxWindow(window)))
        });
    }
}

pub fn write(world: &World, pane: PaneId, text: &str) -> Result<()> {
    if let Some(pty) = world.ptys.borrow().get(&pane) {
        pty.type_keys(text);
    }
    Ok(())
}

/// Runs the program of a pane, if programs are run.
pub fn run(world: &Rc<World>, id: PaneId) -> Result<()> {
    if !world.runs_panes.get() {
        return Ok(());
    }
    let (pane, rect) = {
        let mux = world.mux.borrow();
        let pane = mux.panes[&id].clone();
        let places = mux.tabs[&pane.tab].places();
        (pane, places.into_iter().find(|(p, _)| *p == id).expect("it lies there").1)
    };
    let args = pane.args.filter(|a| !a.is_empty()).unwrap_or_else(|| vec!["/bin/sh".into()]);
    let mut command = Command::new(&args[0]);
    command.args(&args[1..]).env_clear().envs(&*world.env.borrow()).envs(&pane.env);
    command.env("WEZTERM_PANE", id.to_string()).env("TERM_PROGRAM", "WezTerm");
    if let Some(cwd) = pane.cwd.as_deref().map(Path::new).filter(|d| d.is_dir()) {
        command.current_dir(cwd);
    }
    inherit_nothing(&mut command);
    let output = world.pane_output.clone();
    let tap = move |bytes: &[u8]| {
        // without a WezTerm that listens, the test is over
        let _ = output.send((id, bytes.to_vec()));
    };
    let pty = Pty::spawn_heard(
        command,
        u16::try_from(rect.width).expect("a pane is small"),
        u16::try_from(rect.height).expect("a pane is small"),
        tap,
    );
    world.ptys.borrow_mut().insert(id, pty);
    Ok(())
}

/// What the program of a pane has written: only user variables and titles matter to Lua.
pub fn heard(world: &Rc<World>, id: PaneId, rest: &mut Vec<u8>, bytes: &[u8]) {
    rest.extend_from_slice(bytes);
    while let Some(start) = find(rest, b"\x1b]") {
        let after = start + 2;
        let end = rest[after..].iter().position(|b| *b == 0x07 || *b == 0x1b).map(|at| after + at);
        let Some(end) = end else {
            rest.drain(..start);
            return;
        };
        let text = String::from_utf8_lossy(&rest[after..end]).into_owned();
        rest.drain(..end);
        if let Some(var) = text.strip_prefix("1337;SetUserVar=")
            && let Some((name, value)) = var.split_once('=')
            && let Some(value) = STANDARD.decode(value).ok().and_then(|v| String::from_utf8(v).ok())
        {
            set_user_var(world, id, name, &value);
        }
        if let Some(title) = text.strip_prefix("0;").or_else(|| text.strip_prefix("2;"))
            && let Some(pane) = world.mux.borrow_mut().panes.get_mut(&id)
        {
            pane.title = title.into();
        }
    }
    // the beginning of a sequence may be its last byte
    let keep = usize::from(rest.last() == Some(&0x1b));
    rest.drain(..rest.len() - keep);
}

/// The variable is kept; only a window that shows the pane tells Lua.
pub fn set_user_var(world: &Rc<World>, id: PaneId, name: &str, value: &str) {
    if let Some(pane) = world.mux.borrow_mut().panes.get_mut(&id) {
        pane.user_vars.insert(name.into(), value.into());
    }
    let place = world.mux.borrow().place(id);
    if let Some(window) = place.and_then(|(window, _)| world.window_of(window))
        && let Some(gui) = GuiWin::of(world, window)
    {
        let (name, value) = (name.to_string(), value.to_string());
        let again = Rc::clone(world);
        let world = Rc::clone(world);
        tokio::task::spawn_local(async move {
            events::emit_now(&world, "user-var-changed".into(), move |lua| {
                events::pack(lua, (gui, MuxPane(id), name, value))
            })
            .await;
            events::emit_window(&again, window, "update-status", None);
        });
    }
    world.touch();
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
