//! A Lua state as WezTerm makes one for each evaluation of a config, with the `wezterm` module in it.

use std::{collections::BTreeSet, path::PathBuf, rc::Rc};

use mlua::{Error, Function, Lua, LuaSerdeExt, MultiValue, Result, Table, Value, Variadic};

use super::{
    action, child, events, format, gui, mux_lua, plugin, time,
    world::{Flavour, World},
};

/// Options of a config that a test or the plugin sets. WezTerm knows about 200; one that it does not know
/// throws where a config is built with `config_builder`.
const KNOWN: &[&str] = &[
    "adjust_window_size_when_changing_font_size",
    "automatically_reload_config",
    "check_for_updates",
    "color_scheme",
    "colors",
    "default_cwd",
    "default_prog",
    "default_workspace",
    "disable_default_key_bindings",
    "enable_tab_bar",
    "enable_wayland",
    "front_end",
    "hide_tab_bar_if_only_one_tab",
    "key_tables",
    "keys",
    "leader",
    "mouse_bindings",
    "set_environment_variables",
    "show_tab_index_in_tab_bar",
    "skip_close_confirmation_for_processes_named",
    "status_update_interval",
    "tab_bar_at_bottom",
    "tab_max_width",
    "unix_domains",
    "use_fancy_tab_bar",
    "window_close_confirmation",
];

/// A new state. Nothing of an earlier one is in it but `wezterm.GLOBAL`.
pub fn state(world: &Rc<World>) -> Result<Lua> {
    let lua = Lua::new();
    lua.set_app_data(Rc::clone(world));
    events::prepare(&lua)?;
    paths(world, &lua)?;
    fill(world, &lua)?;
    Ok(lua)
}

fn fill(world: &World, lua: &Lua) -> Result<()> {
    let wezterm = lua.create_table()?;
    lua.globals().get::<_, Table>("package")?.get::<_, Table>("loaded")?.set("wezterm", wezterm.clone())?;
    basics(world, lua, &wezterm)?;
    config(lua, &wezterm)?;
    logging(lua, &wezterm)?;
    json(world, lua, &wezterm)?;
    files(lua, &wezterm)?;
    shell(lua, &wezterm)?;
    blocking(lua)?;
    action::register(lua, &wezterm)?;
    time::register(lua, &wezterm)?;
    format::register(lua, &wezterm)?;
    plugin::register(lua, &wezterm)?;
    mux_lua::register(lua, &wezterm)?;
    if world.has_gui {
        gui::register(lua, &wezterm)?;
    }
    Ok(())
}

fn paths(world: &World, lua: &Lua) -> Result<()> {
    let package: Table = lua.globals().get("package")?;
    let mut entries = Vec::new();
    let mut add = |dir: PathBuf| {
        entries.push(format!("{}/?.lua", dir.display()));
        entries.push(format!("{}/?/init.lua", dir.display()));
    };
    for dir in &world.config_dirs {
        add(dir.clone());
    }
    add(world.home.join(".wezterm"));
    entries.insert(2, format!("{}/plugins/?/plugin/init.lua", world.data_dir.display()));
    package.set("path", entries.join(";"))
}

fn basics(world: &World, lua: &Lua, wezterm: &Table) -> Result<()> {
    let text = |path: &std::path::Path| path.to_str().expect("paths of tests are text").to_string();
    let config_file = world.config_file.borrow();
    wezterm.set("config_file", text(&config_file))?;
    wezterm.set("config_dir", text(config_file.parent().expect("it lies in a directory")))?;
    wezterm.set("home_dir", text(&world.home))?;
    wezterm.set("executable_dir", text(&world.executable_dir))?;
    wezterm.set("version", world.flavour.version())?;
    wezterm.set("target_triple", "x86_64-unknown-linux-gnu")?;
    wezterm.set("GLOBAL", world.global.clone())?;
    wezterm.set("hostname", lua.create_function(|_, ()| Ok("host"))?)?;
    wezterm.set("on", lua.create_function(|lua, args| events::on(lua, args))?)?;
    wezterm.set(
        "emit",
        lua.create_async_function(|lua, (name, args): (String, MultiValue)| async move {
            events::emit(lua, (name, args)).await
        })?,
    )?;
    wezterm.set(
        "action_callback",
        lua.create_function(|lua, function: Function| {
            let action = lua.create_table()?;
            action.set("EmitEvent", events::callback(lua, function)?)?;
            Ok(action)
        })?,
    )?;
    wezterm.set(
        "run_child_process",
        lua.create_async_function(|lua, args: Vec<String>| async move { child::run(lua, args).await })?,
    )?;
    wezterm.set(
        "background_child_process",
        lua.create_async_function(
            |lua, args: Vec<String>| async move { child::background(lua, args).await },
        )?,
    )?;
    wezterm.set(
        "reload_configuration",
        lua.create_function(|lua, ()| {
            super::host::reload_later(&World::of(lua));
            Ok(())
        })?,
    )?;
    wezterm.set("add_to_config_reload_watch_list", lua.create_function(|_, _: Variadic<String>| Ok(()))?)?;
    let procinfo = lua.create_table()?;
    let pid = world.pid;
    procinfo.set("pid", lua.create_function(move |_, ()| Ok(pid))?)?;
    wezterm.set("procinfo", procinfo)?;
    let os: Table = lua.globals().get("os")?;
    os.set("getenv", lua.create_function(|lua, name: String| Ok(World::of(lua).env(&name)))?)
}

/// `config_builder`: a table that refuses what WezTerm does not know, and what cannot be a setting.
fn config(lua: &Lua, wezterm: &Table) -> Result<()> {
    wezterm.set(
        "config_builder",
        lua.create_function(|lua, ()| {
            let config = lua.create_table()?;
            let meta = lua.create_table()?;
            let known: BTreeSet<&str> = KNOWN.iter().copied().collect();
            meta.set(
                "__newindex",
                lua.create_function(move |lua, (config, key, value): (Table, String, Value)| {
                    if !known.contains(key.as_str()) {
                        return Err(Error::external(format!("`{key}` is not a valid Config field")));
                    }
                    // a function or a handle is no setting
                    lua.from_value::<serde_json::Value>(value.clone())?;
                    config.raw_set(key, value)
                })?,
            )?;
            let set_strict_mode = lua.create_function(|_, (_, _): (Table, bool)| Ok(()))?;
            let methods = lua.create_table()?;
            methods.set("set_strict_mode", set_strict_mode)?;
            meta.set("__index", methods)?;
            config.set_metatable(Some(meta));
            Ok(config)
        })?,
    )
}

fn logging(lua: &Lua, wezterm: &Table) -> Result<()> {
    for (name, level) in [("log_error", "error"), ("log_warn", "warn"), ("log_info", "info")] {
        wezterm.set(name, log(lua, level)?)?;
    }
    wezterm.set("to_string", lua.create_function(|_, value: Value| Ok(format!("{value:?}")))?)?;
    lua.globals().set("print", log(lua, "info")?)
}

fn log<'lua>(lua: &'lua Lua, level: &'static str) -> Result<Function<'lua>> {
    lua.create_function(move |lua, args: Variadic<Value>| {
        let texts: Vec<String> = args
            .iter()
            .map(|arg| match arg {
                Value::String(s) => s.to_string_lossy().into_owned(),
                other => other.to_string().unwrap_or_default(),
            })
            .collect();
        World::of(lua).note(level, texts.join(" "));
        Ok(())
    })
}

fn json(world: &World, lua: &Lua, wezterm: &Table) -> Result<()> {
    let decode = |lua: &Lua, text: String| -> Result<mlua::RegistryKey> {
        let value: serde_json::Value = serde_json::from_str(&text).map_err(Error::external)?;
        // as in WezTerm: what is null is not there
        let options =
            mlua::SerializeOptions::new().serialize_none_to_null(false).serialize_unit_to_null(false);
        lua.create_registry_value(lua.to_value_with(&value, options)?)
    };
    let decode = move |lua: &'_ Lua, text: String| decode(lua, text);
    let encode = |lua: &Lua, value: Value| {
        let value: serde_json::Value = lua.from_value(value)?;
        serde_json::to_string(&value).map_err(Error::external)
    };
    let parse = lua.create_function(move |lua, text: String| {
        let key = decode(lua, text)?;
        lua.registry_value::<Value>(&key)
    })?;
    wezterm.set("json_parse", parse.clone())?;
    wezterm.set("json_encode", lua.create_function(encode)?)?;
    if world.flavour == Flavour::Nightly {
        let serde = lua.create_table()?;
        serde.set("json_decode", parse)?;
        serde.set("json_encode", lua.create_function(encode)?)?;
        wezterm.set("serde", serde)?;
    }
    Ok(())
}

fn files(lua: &Lua, wezterm: &Table) -> Result<()> {
    let read_dir = |path: String| -> Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(Error::external)? {
            let path = entry.map_err(Error::external)?.path();
            found.push(path.to_str().ok_or_else(|| Error::external("a path is no text"))?.to_string());
        }
        Ok(found)
    };
    wezterm.set(
        "read_dir",
        lua.create_async_function(move |_, path: String| async move {
            tokio::task::yield_now().await;
            read_dir(path)
        })?,
    )?;
    wezterm.set(
        "glob",
        lua.create_async_function(move |_, (pattern, dir): (String, Option<String>)| async move {
            tokio::task::yield_now().await;
            let all = read_dir(dir.unwrap_or_else(|| ".".into()))?;
            let end = pattern.trim_start_matches('*').to_string();
            Ok(all.into_iter().filter(|path| path.ends_with(&end)).collect::<Vec<_>>())
        })?,
    )
}

fn shell(lua: &Lua, wezterm: &Table) -> Result<()> {
    let quote = |arg: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
        if !arg.is_empty() && arg.chars().all(plain) {
            arg.to_string()
        } else {
            format!("'{}'", arg.replace('\'', "'\\''"))
        }
    };
    wezterm.set("shell_quote_arg", lua.create_function(move |_, arg: String| Ok(quote(&arg)))?)?;
    wezterm.set(
        "shell_join_args",
        lua.create_function(move |_, args: Vec<String>| {
            Ok(args.iter().map(|arg| quote(arg)).collect::<Vec<_>>().join(" "))
        })?,
    )?;
    wezterm.set(
        "shell_split",
        lua.create_function(|_, line: String| {
            Ok(line.split_whitespace().map(str::to_string).collect::<Vec<_>>())
        })?,
    )
}

/// What stops the whole GUI works as it does there, but it is written down.
fn blocking(lua: &Lua) -> Result<()> {
    for (table, name) in [("io", "popen"), ("os", "execute")] {
        let table: Table = lua.globals().get(table)?;
        let real: Function = table.get(name)?;
        let real = lua.create_registry_value(real)?;
        table.set(
            name,
            lua.create_function(move |lua, args: MultiValue| {
                let first = args.get(0).map(|v| v.to_string()).transpose()?.unwrap_or_default();
                World::of(lua).record.borrow_mut().blocking.push(format!("{name} {first}"));
                lua.registry_value::<Function>(&real)?.call::<_, MultiValue>(args)
            })?,
        )?;
    }
    Ok(())
}
