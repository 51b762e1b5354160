//! `wezterm.plugin`: clones, and loads what was cloned.

use std::{fs, path::Path, rc::Rc};

use mlua::{Error, Function, Lua, Result, Table, Value};

use super::world::World;

/// The directory that WezTerm makes of a URL.
pub fn component(flavour: super::Flavour, url: &str) -> String {
    let mut name = String::new();
    for c in url.chars() {
        match c {
            '/' | '\\' => name.push_str("sZs"),
            ':' => name.push_str("sCs"),
            '.' => name.push_str("sDs"),
            '-' | '_' => name.push(c),
            c if c.is_alphanumeric() => name.push(c),
            c => name.push_str(&format!("u{}", c as u32)),
        }
    }
    if flavour == super::Flavour::Nightly && name.ends_with("sZs") {
        name.truncate(name.len() - 3);
    }
    name
}

/// Puts what a clone would have in place: the plugin's files, as they are in the work tree.
fn clone(world: &World, url: &str) -> Result<String> {
    let name = component(world.flavour, url);
    let place = world.data_dir.join("plugins").join(&name);
    if !place.exists() {
        let from = url.strip_prefix("file://").unwrap_or(url);
        let from = Path::new(from).join("plugin");
        if !from.is_dir() {
            return Err(Error::external(format!("could not find repository at {url:?}")));
        }
        copy(&from, &place.join("plugin")).map_err(Error::external)?;
    }
    Ok(name)
}

pub fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

pub fn register(lua: &Lua, wezterm: &Table) -> Result<()> {
    let plugin = lua.create_table()?;
    plugin.set(
        "require",
        lua.create_function(|lua, url: String| {
            let name = clone(&World::of(lua), &url)?;
            let require: Function = lua.globals().get("require")?;
            require.call::<_, Value>(name)
        })?,
    )?;
    plugin.set(
        "list",
        lua.create_function(|lua, ()| {
            let world = World::of(lua);
            let list = lua.create_table()?;
            for entry in fs::read_dir(world.data_dir.join("plugins")).into_iter().flatten().flatten() {
                let plugin = lua.create_table()?;
                plugin.set("component", entry.file_name().to_string_lossy().into_owned())?;
                plugin.set("plugin_dir", entry.path().to_string_lossy().into_owned())?;
                plugin.set("url", "")?;
                list.push(plugin)?;
            }
            Ok(list)
        })?,
    )?;
    plugin.set(
        "update_all",
        lua.create_function(|lua, ()| {
            let world: Rc<World> = World::of(lua);
            world.note("info", "all plugins are updated".into());
            Ok(())
        })?,
    )?;
    wezterm.set("plugin", plugin)
}
