//! `wezterm.time`, and waiting.

use std::{
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mlua::{Error, Function, Lua, MultiValue, Result, Table, UserData, UserDataMethods};

use super::{events, world::World};

const QUEUED: &str = "fake-call-after";

#[derive(Clone, Copy)]
struct Time(Duration);

impl UserData for Time {
    fn add_methods<'lua, M: UserDataMethods<'lua, Self>>(methods: &mut M) {
        let format = |_: &'lua Lua, this: &Time, format: String| {
            let seconds = this.0.as_secs();
            let of_day = seconds % 86_400;
            // the few directives that can be had without a calendar
            Ok(format
                .replace("%s", &seconds.to_string())
                .replace("%3f", &format!("{:03}", this.0.subsec_millis()))
                .replace("%f", &format!("{:09}", this.0.subsec_nanos()))
                .replace("%H", &format!("{:02}", of_day / 3600))
                .replace("%M", &format!("{:02}", of_day / 60 % 60))
                .replace("%S", &format!("{:02}", of_day % 60)))
        };
        methods.add_method("format", format);
        methods.add_method("format_utc", format);
    }
}

pub fn register(lua: &Lua, wezterm: &Table) -> Result<()> {
    lua.set_named_registry_value(QUEUED, lua.create_table()?)?;
    let time = lua.create_table()?;
    time.set(
        "now",
        lua.create_function(|_, ()| {
            Ok(Time(SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970")))
        })?,
    )?;
    time.set("call_after", lua.create_function(call_after)?)?;
    wezterm.set("time", time)?;
    wezterm.set("sleep_ms", lua.create_async_function(sleep_ms)?)?;
    let now = |_: &Lua, format: String| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Ok(format.replace("%s", &now.as_secs().to_string()))
    };
    wezterm.set("strftime", lua.create_function(now)?)?;
    wezterm.set("strftime_utc", lua.create_function(now)?)?;
    Ok(())
}

async fn sleep_ms(_: &Lua, ms: u64) -> Result<()> {
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(())
}

/// In an event it runs when its time has come. While the config is evaluated it is only written down.
fn call_after(lua: &Lua, (seconds, function): (f64, Function)) -> Result<()> {
    let delay = Duration::try_from_secs_f64(seconds).map_err(Error::external)?;
    let name = events::callback(lua, function)?;
    if events::has_heard_one(lua)? {
        schedule(&World::of(lua), name, delay);
    } else {
        let queued: Table = lua.named_registry_value(QUEUED)?;
        queued.push(lua.create_sequence_from([name, seconds.to_string()])?)?;
    }
    Ok(())
}

/// It is called only if the config has not been evaluated anew by then.
fn schedule(world: &Rc<World>, name: String, delay: Duration) {
    let generation = world.generation.get();
    let world = Rc::clone(world);
    tokio::task::spawn_local(async move {
        let Some(lua) = world.lua.borrow().clone() else { return };
        tokio::time::sleep(delay).await;
        if world.generation.get() == generation
            && let Err(e) = events::emit(&lua, (name.clone(), MultiValue::new())).await
        {
            events::thrown(&world, &name, &e);
        }
    });
}

/// What a config has asked for is called from the moment on when it is the config.
pub fn schedule_queued(world: &Rc<World>, lua: &Lua) -> Result<()> {
    let queued: Table = lua.named_registry_value(QUEUED)?;
    lua.set_named_registry_value(QUEUED, lua.create_table()?)?;
    for entry in queued.sequence_values::<Vec<String>>() {
        let entry = entry?;
        let seconds: f64 = entry[1].parse().expect("written by us");
        schedule(world, entry[0].clone(), Duration::from_secs_f64(seconds));
    }
    Ok(())
}
