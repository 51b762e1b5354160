//! What the plugin costs inside WezTerm's Lua, with 50 processes there: in the Lua that the tests have, with
//! the real daemon behind it.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use mlua::{Function, Table};
use wezterm_parallel_schemas::{gui::GuiWait, method::WaitGui};

use crate::{
    Plan,
    client::Client,
    crowd::{Crowd, PROCESSES},
    failure::{Context, Try, failed},
    fake::{Flavour, Host, host::checkout, module},
    report::{Figure, Row, Target, percentile},
    support::site::{Site, executable},
};

const APPLY: &str = "plugin: apply_to_config in a new Lua";
const STATUS: &str = "plugin: one update-status, 50 processes";
const DECODE: &str = "plugin: the whole answer decoded in Lua, 50 processes";
const HEARD: &str = "plugin: an agent's change → Lua knows, 50 processes";
/// The rows.
pub const NAMES: &[&str] = &[APPLY, STATUS, DECODE, HEARD];

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let place = Site::new();
    let mut rows = vec![Row::new(APPLY, apply(&place, plan.count(300, 10))).target(Target::AtMost(5e-3))];
    let scene = Scene::start();
    let with = |f: &dyn Fn(&Scene) -> Try<Figure>| match &scene {
        Ok(scene) => f(scene),
        Err(why) => Err(failed(why.to_string())),
    };
    rows.push(Row::new(STATUS, with(&|s| status(s, plan.count(2_000, 20)))));
    rows.push(Row::new(DECODE, with(&|s| decode(s, plan.count(500, 10)))));
    rows.push(Row::new(HEARD, with(&|s| heard(s, plan.count(300, 20)))).target(Target::AtMost(20e-3)));
    rows
}

fn figure(mut times: Vec<Duration>) -> Figure {
    times.sort_unstable();
    let (median, p99) = (percentile(&times, 0.5), percentile(&times, 0.99));
    Figure::time(median).noted(format!("median; p99 {}, n {}", Figure::time(p99).shown(), times.len()))
}

fn config(options: &str) -> String {
    format!(
        "local wezterm = require 'wezterm'
local config = wezterm.config_builder()
local parallel = wezterm.plugin.require 'file://{}'
parallel.apply_to_config(config, {options})
return config",
        checkout().display()
    )
}

/// All that the plugin adds to an evaluation of the config: its files are read, its handlers registered.
fn apply(site: &Site, count: usize) -> Try<Figure> {
    let host = Host::new(site, Flavour::Nightly);
    let with = config("{}");
    let plugin = format!("local parallel = wezterm.plugin.require 'file://{}'\n", checkout().display());
    let without = with.replace(&plugin, "").replace("parallel.apply_to_config(config, {})\n", "");
    let mut times = Vec::new();
    // the first one clones
    for n in 0..=count {
        let mut took = [Duration::ZERO; 2];
        for (text, took) in [&without, &with].into_iter().zip(&mut took) {
            let lua = module::state(&host.world).map_err(|e| failed(e.to_string()))?;
            let began = Instant::now();
            host.block(async { lua.load(text.as_str()).eval_async::<Table>().await.map(|_| ()) })
                .map_err(|e| failed(e.to_string()))?;
            *took = began.elapsed();
        }
        if n > 0 {
            times.push(took[1].saturating_sub(took[0]));
        }
    }
    Ok(figure(times))
}

/// A WezTerm with the plugin, 50 processes, and one of them that reports what it is told to.
struct Scene {
    host: Host,
    // last, as fields are dropped in this order
    crowd: Crowd,
}

impl Scene {
    fn start() -> Try<Self> {
        let site = Site::new();
        site.set_env("WEZTERM_PARALLEL_BIN", executable());
        let crowd = Crowd::start(site)?;
        let host = Host::new(&crowd.site, Flavour::Nightly);
        host.start(&config("{ restore = 'never' }"));
        host.wait("all processes", |host| {
            let known = host.run("return #require('wezterm_parallel.state').processes()");
            known == serde_json::json!(PROCESSES)
        });
        Ok(Self { host, crowd })
    }
}

fn status(scene: &Scene, count: usize) -> Try<Figure> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        scene.host.status();
        times.push(began.elapsed());
    }
    Ok(figure(times))
}

fn decode(scene: &Scene, count: usize) -> Try<Figure> {
    let wait = GuiWait { gui: "bench".into(), pid: 1, turn: 1, ..GuiWait::default() };
    let news = Client::connect(&scene.crowd.site.socket())?.call::<WaitGui>(&wait)?;
    let bytes = rmp_serde::to_vec_named(&news).failed_to("encode the news")?;
    let lua = scene.host.lua();
    let fail = |e: mlua::Error| failed(e.to_string());
    let decode: Function =
        lua.load("return require('wezterm_parallel.msgpack').decode").eval().map_err(fail)?;
    let text = lua.create_string(&bytes).map_err(fail)?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        decode.call::<_, Table>((text.clone(), 1)).map_err(fail)?;
        times.push(began.elapsed());
    }
    let figure = figure(times);
    let note = format!("{}; {} bytes", figure.note, bytes.len());
    Ok(figure.noted(note))
}

fn heard(scene: &Scene, count: usize) -> Try<Figure> {
    let last: Rc<RefCell<(String, Instant)>> = Rc::new(RefCell::new((String::new(), Instant::now())));
    let fail = |e: mlua::Error| failed(e.to_string());
    {
        let lua = scene.host.lua();
        let (last, world) = (Rc::clone(&last), Rc::clone(&scene.host.world));
        let note = lua
            .create_function(move |_, status: Option<String>| {
                *last.borrow_mut() = (status.unwrap_or_default(), Instant::now());
                world.ring();
                Ok(())
            })
            .map_err(fail)?;
        lua.globals().set("note", note).map_err(fail)?;
        lua.load(
            "local state = require 'wezterm_parallel.state'
             local apply = state.apply
             state.apply = function(news)
               apply(news)
               note((state.process 'api/lead' or {}).status)
             end",
        )
        .exec()
        .map_err(fail)?;
    }
    let mut times = Vec::with_capacity(count);
    for n in 0..=count {
        let word = if n % 2 == 0 { "working" } else { "idle" };
        let began = Instant::now();
        scene.crowd.tell(word)?;
        scene.host.wait("the change", |_| last.borrow().0 == word);
        if n > 0 {
            times.push(last.borrow().1.duration_since(began));
        }
    }
    times.sort_unstable();
    let (median, p99) = (percentile(&times, 0.5), percentile(&times, 0.99));
    Ok(Figure::time(p99).noted(format!("p99; median {}, n {count}", Figure::time(median).shown())))
}
