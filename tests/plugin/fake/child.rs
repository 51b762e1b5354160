//! Children of the GUI. They really run.

use std::{process::Stdio, time::Instant};

use mlua::{Error, Lua, Result, String as LuaString};

use super::world::{ChildRecord, World};
use crate::support::site::inherit_nothing;

fn command(world: &World, args: &[String]) -> Result<std::process::Command> {
    let Some((program, rest)) = args.split_first() else {
        world.note("error", "panic: index out of bounds: the len is 0 but the index is 0".into());
        return Err(Error::external("no program is given"));
    };
    // looked for on the PATH of this WezTerm, not of this test
    let path = world.env("PATH").unwrap_or_default();
    let program = if program.contains('/') {
        program.into()
    } else {
        std::env::split_paths(&path)
            .map(|dir| dir.join(program))
            .find(|file| file.is_file())
            .ok_or_else(|| Error::external(std::io::Error::from(std::io::ErrorKind::NotFound)))?
    };
    let mut command = std::process::Command::new(program);
    command.args(rest).env_clear().envs(&*world.env.borrow()).stdin(Stdio::null());
    inherit_nothing(&mut command);
    Ok(command)
}

/// `wezterm.run_child_process`. Its arguments are text; it has no deadline, and no end but its child's.
pub async fn run<'lua>(
    lua: &'lua Lua,
    args: Vec<String>,
) -> Result<(bool, LuaString<'lua>, LuaString<'lua>)> {
    let world = World::of(lua);
    let command = command(&world, &args)?;
    let number = {
        let mut record = world.record.borrow_mut();
        record.children.push(ChildRecord { args, started: Instant::now(), ended: None });
        record.children.len() - 1
    };
    // its end is waited for even if it comes at once
    tokio::task::yield_now().await;
    let output = tokio::process::Command::from(command).output().await;
    world.record.borrow_mut().children[number].ended = Some(Instant::now());
    world.ring();
    let output = output.map_err(Error::external)?;
    Ok((output.status.success(), lua.create_string(&output.stdout)?, lua.create_string(&output.stderr)?))
}

/// `wezterm.background_child_process`. It does not wait, so it works everywhere.
pub async fn background(lua: &Lua, args: Vec<String>) -> Result<()> {
    let world = World::of(lua);
    let mut command = command(&world, &args)?;
    world.record.borrow_mut().children.push(ChildRecord { args, started: Instant::now(), ended: None });
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(Error::external)?;
    Ok(())
}
