//! `wezterm.action`: which actions there are, and what they take.

use mlua::{Error, IntoLua, Lua, LuaSerdeExt, MetaMethod, Result, Table, UserData, UserDataMethods, Value};
use serde_json::Value as Json;

use super::world::{Flavour, World};

/// What an action takes.
enum Takes {
    Nothing,
    /// One value: text, a number, a list.
    Value,
    /// A table of these fields; those in the first list must be there.
    Fields(&'static [&'static str], &'static [&'static str]),
}

const SPAWN: &[&str] =
    &["label", "args", "cwd", "set_environment_variables", "domain", "position", "workspace"];
const KEY_TABLE: &[&str] =
    &["timeout_milliseconds", "replace_current", "one_shot", "until_unknown", "prevent_fallback"];
const LAUNCHER: &[&str] = &["title", "flags", "help_text", "fuzzy_help_text", "alphabet"];
const SELECTOR: &[&str] = &["title", "fuzzy", "alphabet", "description", "fuzzy_description"];
const PANE_SELECT: &[&str] = &["alphabet", "mode", "show_pane_ids"];

fn takes(flavour: Flavour, name: &str) -> Option<Takes> {
    use Takes::{Fields, Nothing, Value};
    Some(match name {
        "Confirmation" if flavour == Flavour::Nightly => Fields(&["action"], &["message", "cancel"]),
        "PromptInputLine" if flavour == Flavour::Nightly => {
            Fields(&["action"], &["description", "prompt", "initial_value"])
        }
        "PromptInputLine" => Fields(&["action"], &["description"]),
        "InputSelector" => Fields(&["action", "choices"], SELECTOR),
        "SpawnWindow"
        | "ToggleFullScreen"
        | "Nop"
        | "DisableDefaultAssignment"
        | "Hide"
        | "Show"
        | "ReloadConfiguration"
        | "ShowTabNavigator"
        | "ShowDebugOverlay"
        | "QuitApplication"
        | "ShowLauncher"
        | "ActivateCopyMode"
        | "TogglePaneZoomState"
        | "ActivateLastTab"
        | "QuickSelect"
        | "PopKeyTable"
        | "ClearKeyTableStack"
        | "ResetTerminal"
        | "ActivateCommandPalette"
        | "IncreaseFontSize"
        | "DecreaseFontSize"
        | "ResetFontSize"
        | "ScrollToTop"
        | "ScrollToBottom" => Nothing,
        "SpawnTab"
        | "CopyTo"
        | "PasteFrom"
        | "ActivateTabRelative"
        | "ActivateTabRelativeNoWrap"
        | "ActivateTab"
        | "SendString"
        | "SendKey"
        | "MoveTabRelative"
        | "MoveTab"
        | "ScrollByPage"
        | "ScrollByLine"
        | "ClearScrollback"
        | "Search"
        | "AdjustPaneSize"
        | "ActivatePaneDirection"
        | "ActivatePaneByIndex"
        | "SetPaneZoomState"
        | "EmitEvent"
        | "Multiple"
        | "SwitchWorkspaceRelative"
        | "DetachDomain"
        | "AttachDomain"
        | "CopyMode"
        | "RotatePanes"
        | "OpenUri"
        | "ActivateWindow"
        | "ActivateWindowRelative"
        | "SetWindowLevel" => Value,
        "CloseCurrentTab" | "CloseCurrentPane" => Fields(&["confirm"], &[]),
        "SpawnCommandInNewTab" | "SpawnCommandInNewWindow" | "SplitHorizontal" | "SplitVertical" => {
            Fields(&[], SPAWN)
        }
        "SplitPane" => Fields(&["direction"], &["size", "command", "top_level"]),
        "ShowLauncherArgs" => Fields(&["flags"], LAUNCHER),
        "SwitchToWorkspace" => Fields(&[], &["name", "spawn"]),
        "ActivateKeyTable" => Fields(&["name"], KEY_TABLE),
        "PaneSelect" => Fields(&[], PANE_SELECT),
        "CharSelect" | "QuickSelectArgs" => Fields(&[], &["alphabet", "label", "patterns", "action"]),
        "CopyTextTo" => Fields(&["text", "destination"], &[]),
        _ => return None,
    })
}

/// `wezterm.has_action`.
pub fn has(flavour: Flavour, name: &str) -> bool {
    takes(flavour, name).is_some()
}

/// An action as WezTerm reads it: its name and what it was given. `strict` refuses fields that it does not
/// know; otherwise they are only warned of.
pub fn read(lua: &Lua, value: Value, strict: bool) -> Result<(String, Json)> {
    let world = World::of(lua);
    let json: Json = lua.from_value(value)?;
    let (name, given) = match json {
        Json::String(name) => (name, None),
        Json::Object(map) if map.len() == 1 => {
            let (name, given) = map.into_iter().next().expect("one");
            (name, Some(given))
        }
        other => return Err(Error::external(format!("`{other}` is no KeyAssignment"))),
    };
    let Some(takes) = takes(world.flavour, &name) else {
        return Err(Error::external(format!("`{name}` is not a valid KeyAssignment variant")));
    };
    match (&takes, &given) {
        (Takes::Nothing, None) => {}
        (Takes::Nothing, Some(_)) => return Err(Error::external(format!("{name} takes nothing"))),
        (Takes::Value, None) => return Err(Error::external(format!("{name} takes a value"))),
        (Takes::Value, Some(_)) => {}
        (Takes::Fields(needed, more), given) => {
            let empty = serde_json::Map::new();
            let fields = match given {
                Some(Json::Object(fields)) => fields,
                Some(Json::Array(items)) if items.is_empty() => &empty,
                None => &empty,
                Some(other) => {
                    return Err(Error::external(format!("{name} takes a table, not `{other}`")));
                }
            };
            for field in *needed {
                if !fields.contains_key(*field) {
                    return Err(Error::external(format!("{name}: the field `{field}` is missing")));
                }
            }
            for field in fields.keys() {
                if needed.contains(&field.as_str()) || more.contains(&field.as_str()) {
                    continue;
                }
                let text = format!("`{field}` is not a valid {name} field");
                if strict {
                    return Err(Error::external(text));
                }
                world.note("warn", text);
            }
        }
    }
    Ok((name, given.unwrap_or(Json::Null)))
}

struct Actions;
struct Maker(String);

fn make<'lua>(lua: &'lua Lua, name: &str, given: Value<'lua>) -> Result<Value<'lua>> {
    let table = lua.create_table()?;
    table.set(name, given)?;
    read(lua, Value::Table(table.clone()), true)?;
    Ok(Value::Table(table))
}

impl UserData for Maker {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Call, |lua, this, given: Value| make(lua, &this.0, given));
    }
}

impl UserData for Actions {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Call, |lua, _, given: Value| {
            read(lua, given.clone(), true)?;
            Ok(given)
        });
        methods.add_meta_method(MetaMethod::Index, |lua, _, name: String| {
            match takes(World::of(lua).flavour, &name) {
                None => Err(Error::external(format!("`{name}` is not a valid KeyAssignment variant"))),
                Some(Takes::Nothing) => name.into_lua(lua),
                Some(Takes::Fields([], _)) => {
                    let table = lua.create_table()?;
                    table.set(name.as_str(), lua.create_table()?)?;
                    let meta = lua.create_table()?;
                    let call =
                        lua.create_function(move |lua, (_, given): (Value, Value)| make(lua, &name, given))?;
                    meta.set("__call", call)?;
                    table.set_metatable(Some(meta));
                    Ok(Value::Table(table))
                }
                Some(_) => Maker(name).into_lua(lua),
            }
        });
    }
}

pub fn register(lua: &Lua, wezterm: &Table) -> Result<()> {
    wezterm.set("action", Actions)?;
    wezterm
        .set("has_action", lua.create_function(|lua, name: String| Ok(has(World::of(lua).flavour, &name)))?)
}
