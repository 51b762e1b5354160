//! The tests that are written in Lua, `tests/plugin/lua/*_test.lua`, in the Lua that WezTerm has: real Lua
//! 5.4 without `debug` and without C modules. Each function is a test by its name, in a state of its own.
//! And what the tools say of all Lua, where they are installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use libtest_mimic::{Arguments, Failed, Trial};
use mlua::{Function, Lua, Table, Value};

fn main() -> ExitCode {
    let mut trials = vec![
        Trial::test("luacheck_finds_nothing", || tool("luacheck", &["--quiet", "plugin", "tests/plugin"])),
        Trial::test("stylua_would_change_nothing", || tool("stylua", &["--check", "plugin", "tests/plugin"])),
        Trial::test("every_lua_file_of_the_plugin_compiles", every_file_compiles),
    ];
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("tests/plugin/lua"))
        .expect("the tests are there")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.to_str().is_some_and(|p| p.ends_with("_test.lua")))
        .collect();
    files.sort();
    for file in files {
        let stem = file.file_stem().expect("it has a name").to_string_lossy().into_owned();
        match names(&file) {
            Ok(names) => trials.extend(names.into_iter().map(|name| {
                let file = file.clone();
                let title = format!("{}::{}", stem.trim_end_matches("_test"), name.replace(' ', "_"));
                Trial::test(title, move || run(&file, &name))
            })),
            Err(e) => trials.push(Trial::test(stem, move || Err(Failed::from(e.to_string())))),
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A state that finds the plugin, and the tests' own modules.
fn state() -> mlua::Result<Lua> {
    let lua = Lua::new();
    {
        let package: Table = lua.globals().get("package")?;
        let path: String = package.get("path")?;
        let root = root().display();
        package.set("path", format!("{root}/plugin/?.lua;{root}/tests/plugin/lua/?.lua;{path}"))?;
        lua.globals().set("ROOT", root.to_string())?;
    }
    Ok(lua)
}

fn load<'lua>(lua: &'lua Lua, file: &Path) -> mlua::Result<Table<'lua>> {
    let text = fs::read(file).map_err(mlua::Error::external)?;
    lua.load(text).set_name(format!("@{}", file.display())).eval()
}

fn names(file: &Path) -> mlua::Result<Vec<String>> {
    let lua = state()?;
    let mut names = Vec::new();
    for pair in load(&lua, file)?.pairs::<String, Value>() {
        names.push(pair?.0);
    }
    names.sort();
    Ok(names)
}

fn run(file: &Path, name: &str) -> Result<(), Failed> {
    let fail = |e: mlua::Error| Failed::from(e.to_string());
    let lua = state().map_err(fail)?;
    let tests = load(&lua, file).map_err(fail)?;
    tests.get::<_, Function>(name).and_then(|test| test.call::<_, ()>(())).map_err(fail)
}

fn every_file_compiles() -> Result<(), Failed> {
    let lua = state().map_err(|e| e.to_string())?;
    let mut directories = vec![root().join("plugin")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).map_err(|e| e.to_string())? {
            let path = entry.map_err(|e| e.to_string())?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "lua") {
                let text = fs::read(&path).map_err(|e| e.to_string())?;
                lua.load(text)
                    .set_name(path.display().to_string())
                    .into_function()
                    .map_err(|e| e.to_string())?;
            }
        }
    }
    Ok(())
}

/// Runs a tool over all Lua, if it is installed: on the PATH, or by npm in `target/`.
fn tool(name: &str, args: &[&str]) -> Result<(), Failed> {
    let from_npm = root().join("target/lua-tools/node_modules/.bin").join(name);
    let program = if from_npm.exists() { from_npm } else { name.into() };
    match Command::new(program).args(args).current_dir(root()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Err(Failed::from(String::from_utf8_lossy(&text).into_owned()))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{name} is not installed: what it would say is not known");
            Ok(())
        }
        Err(e) => Err(Failed::from(format!("{name} cannot be run: {e}"))),
    }
}
