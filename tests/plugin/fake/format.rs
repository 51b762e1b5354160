//! `wezterm.format` and the width of text.

use mlua::{Error, Lua, LuaSerdeExt, MetaMethod, Result, Table, UserData, UserDataMethods, Value};
use serde_json::Value as Json;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Items of `wezterm.format` as text with colours in it.
pub fn format(items: &Json) -> Result<String> {
    let mut out = String::new();
    for item in items.as_array().into_iter().flatten() {
        match item {
            Json::String(name) if name == "ResetAttributes" => out.push_str("\x1b[0m"),
            Json::Object(map) if map.len() == 1 => {
                let (kind, given) = map.iter().next().expect("one");
                match (kind.as_str(), given) {
                    ("Text", Json::String(text)) => out.push_str(text),
                    ("Foreground" | "Background", color) => {
                        out.push_str(&sgr(if kind == "Foreground" { 38 } else { 48 }, color)?);
                    }
                    ("Attribute", Json::Object(_)) => out.push_str("\x1b[1m"),
                    _ => return Err(Error::external(format!("`{item}` is no FormatItem"))),
                }
            }
            other => return Err(Error::external(format!("`{other}` is no FormatItem"))),
        }
    }
    out.push_str("\x1b[0m");
    Ok(out)
}

fn sgr(kind: u8, color: &Json) -> Result<String> {
    match color {
        Json::String(name) if name == "Default" => Ok(format!("\x1b[{}m", kind + 1)),
        Json::Object(map) if map.contains_key("AnsiColor") || map.contains_key("Color") => {
            Ok(format!("\x1b[{kind}:2::1:2:3m"))
        }
        other => Err(Error::external(format!("`{other}` is no FormatColor"))),
    }
}

/// Text without what colours it.
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            out.push(c);
            continue;
        }
        chars.by_ref().find(char::is_ascii_alphabetic);
    }
    out
}

fn truncate(text: impl Iterator<Item = char>, cells: usize) -> Vec<char> {
    let mut width = 0;
    text.take_while(|c| {
        width += c.width().unwrap_or(0);
        width <= cells
    })
    .collect()
}

struct NerdFonts;

impl UserData for NerdFonts {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |_, _, name: String| {
            let known = ["md_", "fa_", "cod_", "oct_", "dev_", "pl_", "ple_", "custom_"];
            Ok(known.iter().any(|p| name.starts_with(p)).then_some("\u{f0001}"))
        });
    }
}

pub fn register(lua: &Lua, wezterm: &Table) -> Result<()> {
    wezterm.set("nerdfonts", NerdFonts)?;
    wezterm
        .set("format", lua.create_function(|lua, items: Value| format(&lua.from_value::<Json>(items)?))?)?;
    wezterm.set("column_width", lua.create_function(|_, text: String| Ok(text.width()))?)?;
    wezterm.set(
        "truncate_right",
        lua.create_function(|_, (text, cells): (String, usize)| {
            Ok(truncate(text.chars(), cells).into_iter().collect::<String>())
        })?,
    )?;
    wezterm.set(
        "truncate_left",
        lua.create_function(|_, (text, cells): (String, usize)| {
            Ok(truncate(text.chars().rev(), cells).into_iter().rev().collect::<String>())
        })?,
    )?;
    wezterm.set(
        "pad_right",
        lua.create_function(|_, (text, cells): (String, usize)| {
            let missing = cells.saturating_sub(text.width());
            Ok(text + &" ".repeat(missing))
        })?,
    )?;
    wezterm.set(
        "pad_left",
        lua.create_function(|_, (text, cells): (String, usize)| {
            let missing = cells.saturating_sub(text.width());
            Ok(" ".repeat(missing) + &text)
        })?,
    )
}
