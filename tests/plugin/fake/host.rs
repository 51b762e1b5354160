//! A WezTerm that a test drives: it starts, its config is evaluated, keys are pressed in it, questions are
//! answered.

use std::{
    future::Future,
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicI32, Ordering},
    time::{Duration, Instant},
};

use mlua::{Lua, LuaSerdeExt, MultiValue, Table, Value};
use serde_json::Value as Json;
use tokio::{runtime::Runtime, sync::mpsc, task::LocalSet};

use super::{
    action, events, format,
    global::Kept,
    gui::GuiWin,
    info, module,
    mux::{Mux, Pane, PaneId},
    pane::{self, MuxPane},
    perform, time,
    world::{EventState, Flavour, Overlay, OverlayKind, Record, World},
};
use crate::support::{DEADLINE, site::Site};

/// WezTerm evaluates the config twice before its first event, and three times for each reload; one of these
/// states is used.
const EVALUATIONS: u32 = 2;
/// Status events come this often unless the config says otherwise: as in WezTerm.
const STATUS_MS_DEFAULT: u64 = 1000;

/// Turns of everything else before an answered question is gone: enough for its answer to ask another one.
const OVERLAY_TURNS: usize = 10;
/// Panes of questions have numbers from here on, which no other pane has.
const FIRST_OVERLAY: PaneId = 10_000;

static PIDS: AtomicI32 = AtomicI32::new(0);

/// A WezTerm that a test drives.
pub struct Host {
    pub world: Rc<World>,
    local: LocalSet,
    runtime: Runtime,
}

impl Host {
    /// A WezTerm in the place of a test, not yet started.
    pub fn new(site: &Site, flavour: Flavour) -> Self {
        Self::make(site, flavour, true)
    }

    /// A process that evaluates the config and has no windows, as `wezterm cli spawn` and the mux server.
    pub fn without_gui(site: &Site) -> Self {
        Self::make(site, Flavour::Nightly, false)
    }

    fn make(site: &Site, flavour: Flavour, has_gui: bool) -> Self {
        let env = site.env_vars();
        let config_dir = site.path("config/wezterm");
        std::fs::create_dir_all(&config_dir).expect("a directory of the test");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (pane_output, output) = mpsc::unbounded_channel();
        // each is a process of its own to the daemon, though all are this test
        let pid = i32::try_from(std::process::id()).expect("a process id");
        let number = PIDS.fetch_add(1, Ordering::Relaxed);
        let world = World {
            flavour,
            env: std::cell::RefCell::new(env.into_iter().collect()),
            pid,
            home: site.path("home"),
            config_file: std::cell::RefCell::new(config_dir.join("wezterm.lua")),
            config_dirs: vec![config_dir],
            data_dir: site.path("data/wezterm"),
            executable_dir: PathBuf::from("/nonexistent/wezterm"),
            has_gui,
            runs_panes: std::cell::Cell::new(false),
            mux: std::cell::RefCell::new(Mux::new()),
            windows: std::cell::RefCell::default(),
            next_window: std::cell::Cell::new(0),
            next_overlay: std::cell::Cell::new(FIRST_OVERLAY),
            cells: std::cell::Cell::new(World::default_cells()),
            record: std::cell::RefCell::default(),
            generation: std::cell::Cell::new(0),
            lua: std::cell::RefCell::new(None),
            global: Kept::new(),
            ptys: std::cell::RefCell::default(),
            pane_output,
            changed: tokio::sync::Notify::new(),
            touched: std::cell::Cell::new(true),
        };
        let socket = site.path("run").join(format!("gui-sock-{pid}-{number}"));
        world
            .env
            .borrow_mut()
            .insert("WEZTERM_UNIX_SOCKET".into(), socket.to_str().expect("text").to_string());
        let host = Self { world: Rc::new(world), local: LocalSet::new(), runtime };
        host.local.spawn_local(listen(Rc::clone(&host.world), output));
        host
    }

    /// Writes the config, and starts with it.
    pub fn start(&self, config: &str) {
        self.write_config(config);
        self.block(async {
            evaluate(&self.world).await;
            if !self.world.has_gui {
                return;
            }
            events::emit_now(&self.world, "gui-startup".into(), |lua| events::pack(lua, ())).await;
            if self.world.mux.borrow().windows.is_empty() {
                let mut mux = self.world.mux.borrow_mut();
                let shell = Pane { title: "sh".into(), ..Pane::default() };
                let (_, pane, _) =
                    mux.spawn(None, "default", World::default_cells(), shell).expect("a first window");
                drop(mux);
                pane::run(&self.world, pane).expect("a shell");
            }
            self.world.reconcile();
            events::emit_now(&self.world, "gui-attached".into(), |lua| events::pack(lua, ())).await;
            for window in self.windows() {
                events::emit_window(&self.world, window, "window-config-reloaded", None);
                events::emit_window(&self.world, window, "window-focus-changed", None);
            }
            tokio::task::spawn_local(tick(Rc::clone(&self.world)));
        });
    }

    pub fn write_config(&self, config: &str) {
        std::fs::write(&*self.world.config_file.borrow(), config).expect("a config of the test");
    }

    /// Evaluates the config anew, as after an edit of it.
    pub fn reload(&self) {
        self.block(async { reload(&self.world).await });
    }

    /// Runs a future to its end, and everything else beside it.
    pub fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(self.local.run_until(future))
    }

    /// Goes on until something is true. It is asked whenever anything has happened.
    #[track_caller]
    pub fn wait(&self, what: &str, wanted: impl Fn(&Host) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !wanted(self) {
            assert!(Instant::now() < deadline, "it does not come: {what}\n{}", self.describe());
            self.go_on(Duration::from_millis(50));
        }
    }

    /// Lets everything go on until something has happened. What is outside of this WezTerm does not ring, so
    /// it is looked at after `at_most`.
    pub fn go_on(&self, at_most: Duration) {
        self.block(async {
            let _ = tokio::time::timeout(at_most, self.world.changed.notified()).await;
        });
    }

    /// Does something that blocks, while this WezTerm goes on.
    pub fn during<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let (sender, mut receiver) = tokio::sync::oneshot::channel();
            let thread = scope.spawn(move || {
                let done = work();
                let _ = sender.send(());
                done
            });
            self.block(async { (&mut receiver).await.ok() });
            match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Emits the status events of all windows, and waits until their handlers have ended.
    pub fn status(&self) {
        self.block(async { events::emit_status(&self.world) });
        self.wait("the end of the status handlers", Host::is_calm);
    }

    pub fn is_calm(&self) -> bool {
        // a further look at the panes only waits for the next second
        let calm = |(name, state): (&String, &EventState)| {
            *state == EventState::None || name.starts_with("wezterm-parallel: look")
        };
        self.world.windows.borrow().iter().all(|w| w.events.iter().all(calm))
    }

    pub fn windows(&self) -> Vec<usize> {
        self.world.windows.borrow().iter().map(|w| w.id).collect()
    }

    /// The window that has the focus, else the first one.
    pub fn window(&self) -> usize {
        let windows = self.world.windows.borrow();
        windows.iter().find(|w| w.focused).or_else(|| windows.first()).expect("there is a window").id
    }

    /// The active pane of that window.
    pub fn pane(&self) -> PaneId {
        self.world.active_pane(self.window()).expect("a window has a pane")
    }

    pub fn record(&self) -> std::cell::Ref<'_, Record> {
        self.world.record.borrow()
    }

    pub fn mux(&self) -> std::cell::Ref<'_, Mux> {
        self.world.mux.borrow()
    }

    /// Another window gets the focus, or none.
    pub fn focus(&self, window: Option<usize>) {
        self.block(async { focus(&self.world, window) });
    }

    /// What a key is bound to in the config, if anything.
    pub fn binding(&self, mods: &str, key: &str) -> Option<Json> {
        let lua = self.lua();
        let config = self.world.config(&lua).expect("a config was evaluated");
        let keys: Option<Json> = config.get::<_, Value>("keys").ok().and_then(|k| lua.from_value(k).ok());
        let wanted = chord(mods, key);
        let keys = keys.as_ref().and_then(Json::as_array).cloned().unwrap_or_default();
        let bound = keys.iter().rev().find(|k| {
            chord(k["mods"].as_str().unwrap_or_default(), k["key"].as_str().unwrap_or_default()) == wanted
        });
        bound.map(|k| k["action"].clone())
    }

    /// Presses a key that the config binds.
    #[track_caller]
    pub fn press(&self, mods: &str, key: &str) {
        let action = self.binding(mods, key).unwrap_or_else(|| panic!("{mods}+{key} is bound to nothing"));
        self.act(&action);
    }

    /// Performs an action in the active pane, as a key or the palette does.
    #[track_caller]
    pub fn act(&self, action: &Json) {
        let (window, pane) = (self.window(), self.pane());
        self.block(async {
            let lua = self.lua();
            let value = lua.to_value(action).expect("an action");
            let (name, given) = action::read(&lua, value, false).unwrap_or_else(|e| panic!("{e}"));
            perform::perform(&self.world, window, pane, &name, &given).unwrap_or_else(|e| panic!("{e}"));
        });
    }

    /// What the command palette has beside WezTerm's own.
    pub fn palette(&self) -> Vec<Json> {
        self.block(async {
            let lua = self.lua();
            let gui = GuiWin::of(&self.world, self.window()).expect("there is a window");
            let pane = MuxPane(self.pane());
            let args = events::pack(&lua, (gui, pane)).expect("arguments");
            let said = events::ask(&lua, "augment-command-palette", args);
            match said {
                Ok(Value::Nil) => Vec::new(),
                Ok(entries) => lua.from_value(entries).expect("entries of the palette"),
                Err(e) => {
                    events::thrown(&self.world, "augment-command-palette", &e);
                    Vec::new()
                }
            }
        })
    }

    /// Chooses an entry of the palette.
    #[track_caller]
    pub fn choose_in_palette(&self, brief: &str) {
        let entries = self.palette();
        let entry = entries.iter().find(|e| e["brief"] == brief);
        let briefs: Vec<&Json> = entries.iter().map(|e| &e["brief"]).collect();
        let entry = entry.unwrap_or_else(|| panic!("the palette has no `{brief}`: {briefs:?}"));
        self.act(&entry["action"]);
    }

    /// What `format-tab-title` says of the tabs of the focused window, without colours; none where it leaves
    /// a tab to WezTerm.
    pub fn tab_titles(&self) -> Vec<Option<String>> {
        let window = self.window();
        let shown = self.world.with_window(window, |w| w.mux_window).expect("the window is there");
        let tabs = info::tabs(&self.world, shown);
        self.block(async {
            let lua = self.lua();
            tabs.iter()
                .map(|tab| {
                    let config = super::gui::effective_config(&lua).expect("a config");
                    let panes =
                        tabs.iter().find(|t| t.is_active).map(|t| t.panes.clone()).unwrap_or_default();
                    let args = events::pack(&lua, (tab.clone(), tabs.clone(), panes, config, false, 16));
                    match events::ask(&lua, "format-tab-title", args.expect("arguments")) {
                        Ok(Value::Nil) => None,
                        Ok(Value::String(text)) => Some(text.to_string_lossy().into_owned()),
                        Ok(items) => {
                            let items: Json = lua.from_value(items).expect("format items");
                            Some(format::plain(&format::format(&items).unwrap_or_else(|e| panic!("{e}"))))
                        }
                        Err(e) => {
                            events::thrown(&self.world, "format-tab-title", &e);
                            None
                        }
                    }
                })
                .collect()
        })
    }

    /// The status line of the focused window, without colours.
    pub fn right_status(&self) -> String {
        let window = self.window();
        self.world.with_window(window, |w| format::plain(&w.right_status)).unwrap_or_default()
    }

    /// The question that is asked in the focused window; waits until one is.
    #[track_caller]
    pub fn question(&self) -> Overlay {
        self.wait("a question", |host| host.overlay().is_some());
        self.overlay().expect("it was there")
    }

    pub fn overlay(&self) -> Option<Overlay> {
        self.world.windows.borrow().iter().find_map(|w| w.overlay.clone())
    }

    /// Answers a list by the choice with that id, else by the first one that has `text` in it.
    #[track_caller]
    pub fn choose(&self, text: &str) {
        let question = self.question();
        let OverlayKind::Selector { choices, .. } = &question.kind else { panic!("no list: {question:?}") };
        let is_it = |(id, _): &&(Option<String>, String)| id.as_deref() == Some(text);
        let fits = |(_, label): &&(Option<String>, String)| format::plain(label).contains(text);
        let choice = choices.iter().find(is_it).or_else(|| choices.iter().find(fits));
        let (id, label) = choice.unwrap_or_else(|| panic!("no choice `{text}`: {choices:?}")).clone();
        self.answer(&question, question.event.clone(), vec![id, Some(label)]);
    }

    /// Answers a prompt.
    #[track_caller]
    pub fn type_line(&self, line: &str) {
        let question = self.question();
        assert!(matches!(question.kind, OverlayKind::Prompt { .. }), "no prompt: {question:?}");
        self.answer(&question, question.event.clone(), vec![Some(line.to_string())]);
    }

    /// Says yes.
    #[track_caller]
    pub fn confirm(&self) {
        let question = self.question();
        assert!(matches!(question.kind, OverlayKind::Confirmation { .. }), "no such question: {question:?}");
        self.answer(&question, question.event.clone(), Vec::new());
    }

    /// Presses Escape.
    #[track_caller]
    pub fn cancel(&self) {
        let question = self.question();
        match question.kind.clone() {
            OverlayKind::Selector { .. } => self.answer(&question, question.event.clone(), vec![None, None]),
            OverlayKind::Prompt { .. } => self.answer(&question, question.event.clone(), vec![None]),
            OverlayKind::Confirmation { cancel: Some(event) } => self.answer(&question, event, Vec::new()),
            OverlayKind::Confirmation { cancel: None } => self.close_overlay(&question),
        }
    }

    fn close_overlay(&self, question: &Overlay) {
        for window in self.world.windows.borrow_mut().iter_mut() {
            if window.overlay.as_ref().is_some_and(|o| o.own_pane == question.own_pane) {
                window.overlay = None;
            }
        }
        self.world.ring();
    }

    /// Lua hears the answer while the question is still there; it goes a moment later.
    fn answer(&self, question: &Overlay, event: String, answer: Vec<Option<String>>) {
        let windows = self.world.windows.borrow();
        let window = windows.iter().find(|w| w.overlay.is_some()).expect("somebody asks").id;
        drop(windows);
        let gui = GuiWin::of(&self.world, window).expect("it is there");
        let pane = MuxPane(question.pane);
        self.block(async {
            events::spawn(&self.world, event, move |lua| {
                let mut args = events::pack(lua, (gui, pane))?.into_vec();
                for given in answer {
                    args.push(mlua::IntoLua::into_lua(given, lua)?);
                }
                Ok(MultiValue::from_vec(args))
            });
            for _ in 0..OVERLAY_TURNS {
                tokio::task::yield_now().await;
            }
        });
        self.close_overlay(question);
    }

    /// Runs a chunk of Lua in the newest state, as a handler would: it may wait.
    #[track_caller]
    pub fn run(&self, chunk: &str) -> Json {
        self.block(async {
            let lua = self.lua();
            let value: Value =
                lua.load(chunk).set_name("=test").eval_async().await.unwrap_or_else(|e| panic!("{e}"));
            lua.from_value(value).unwrap_or_else(|e| panic!("{e}"))
        })
    }

    pub fn lua(&self) -> Rc<Lua> {
        self.world.lua.borrow().clone().expect("a config was evaluated")
    }

    /// Sets a user variable of a pane, as its program does.
    pub fn set_user_var(&self, pane: PaneId, name: &str, value: &str) {
        self.block(async { pane::set_user_var(&self.world, pane, name, value) });
    }

    /// The program of a pane has ended, or its user has closed it.
    pub fn close_pane(&self, pane: PaneId) {
        self.block(async { close_pane(&self.world, pane) });
    }

    /// All panes with what they run, as `WORKSPACE: WINDOW.TAB: args`.
    pub fn panes(&self) -> Vec<(PaneId, String, Vec<String>)> {
        let mux = self.mux();
        let mut all = Vec::new();
        for window in mux.windows.values() {
            for tab in &window.tabs {
                for pane in mux.tabs[tab].panes() {
                    let args = mux.panes[&pane].args.clone().unwrap_or_default();
                    all.push((pane, window.workspace.clone(), args));
                }
            }
        }
        all
    }

    /// How many children run now of which `wanted` is true.
    pub fn running(&self, wanted: impl Fn(&[String]) -> bool) -> usize {
        self.record().children.iter().filter(|c| c.ended.is_none() && wanted(&c.args)).count()
    }

    /// What a failing test wants to know.
    pub fn describe(&self) -> String {
        let record = self.record();
        let log: Vec<String> = record.log.iter().map(|(level, text)| format!("{level}: {text}")).collect();
        let children: Vec<String> = record
            .children
            .iter()
            .rev()
            .take(20)
            .map(|c| format!("{}{}", shorten(&c.args), if c.ended.is_none() { " (runs)" } else { "" }))
            .collect();
        format!(
            "log:\n  {}\ntoasts: {:?}\nstatus: {:?}\npanes: {:?}\nchildren, newest first:\n  {}\nevents: {:?}\nGLOBAL: {}",
            log.join("\n  "),
            record.toasts,
            record.statuses.last().map(|s| format::plain(s)),
            self.panes(),
            children.join("\n  "),
            record.events,
            self.world.global.show(),
        )
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // a state knows its world and the world its state: so neither would end, nor the children that wait
        self.world.lua.borrow_mut().take();
        if std::thread::panicking() {
            eprintln!("{}", self.describe());
            return;
        }
        let thrown = &self.world.record.borrow().thrown;
        assert!(thrown.is_empty(), "handlers threw in the user's config: {thrown:#?}");
        let blocking = &self.world.record.borrow().blocking;
        assert!(blocking.is_empty(), "the whole GUI was stopped for: {blocking:#?}");
    }
}

fn shorten(args: &[String]) -> String {
    let short = args.iter().map(|a| {
        if a.len() > 60 { format!("{}…", a.chars().take(60).collect::<String>()) } else { a.clone() }
    });
    short.collect::<Vec<_>>().join(" ")
}

/// Mods and a key in one form: as WezTerm takes `CTRL|SHIFT` with `n` and with `N` for the same.
fn chord(mods: &str, key: &str) -> (Vec<String>, String) {
    let mut mods: Vec<String> =
        mods.split('|').map(|m| m.trim().to_uppercase()).filter(|m| !m.is_empty() && m != "NONE").collect();
    let single = key.chars().count() == 1;
    if single && key.chars().all(char::is_uppercase) {
        mods.push("SHIFT".into());
    }
    mods.sort();
    mods.dedup();
    (mods, if single { key.to_lowercase() } else { key.to_string() })
}

/// What the programs in the panes write.
async fn listen(world: Rc<World>, mut output: mpsc::UnboundedReceiver<(PaneId, Vec<u8>)>) {
    let mut rests = std::collections::HashMap::<PaneId, Vec<u8>>::new();
    while let Some((id, bytes)) = output.recv().await {
        if bytes.is_empty() {
            // it has ended
            close_pane(&world, id);
        } else {
            pane::heard(&world, id, rests.entry(id).or_default(), &bytes);
        }
        world.touch();
    }
}

/// The status events, in the interval that the config gives, while there is a reason for them.
async fn tick(world: Rc<World>) {
    loop {
        let interval =
            world.lua.borrow().as_ref().and_then(|lua| {
                world.config(lua).ok()?.get::<_, Option<u64>>("status_update_interval").ok()?
            });
        tokio::time::sleep(Duration::from_millis(interval.unwrap_or(STATUS_MS_DEFAULT))).await;
        if world.touched.replace(false) {
            events::emit_status(&world);
        }
    }
}

pub fn close_pane(world: &Rc<World>, pane: PaneId) {
    world.ptys.borrow_mut().remove(&pane);
    world.mux.borrow_mut().close(pane);
    world.reconcile();
}

pub fn focus(world: &Rc<World>, window: Option<usize>) {
    let mut changed = Vec::new();
    for w in world.windows.borrow_mut().iter_mut() {
        let focused = Some(w.id) == window;
        if w.focused != focused {
            w.focused = focused;
            changed.push(w.id);
        }
    }
    world.touch();
    for id in changed {
        events::emit_window(world, id, "window-focus-changed", None);
    }
}

/// One evaluation of the config: its state, if nothing threw.
async fn evaluate_once(world: &Rc<World>) -> mlua::Result<Rc<Lua>> {
    world.record.borrow_mut().evaluations += 1;
    let file = world.config_file.borrow().clone();
    let text = std::fs::read(&file).map_err(mlua::Error::external)?;
    let lua = Rc::new(module::state(world)?);
    {
        let chunk = lua.load(text).set_name(format!("@{}", file.display()));
        let config: Value = chunk.eval_async().await?;
        let Value::Table(config) = config else {
            return Err(mlua::Error::external("the config does not return a table"));
        };
        lua.set_named_registry_value("fake-config", config)?;
    }
    Ok(lua)
}

/// Evaluates the config as often as WezTerm does. The last state is the one that hears events.
async fn evaluate(world: &Rc<World>) {
    for _ in 0..EVALUATIONS {
        match evaluate_once(world).await {
            Ok(lua) => {
                *world.lua.borrow_mut() = Some(lua);
                world.generation.set(world.generation.get() + 1);
            }
            Err(e) => {
                let text = format!("the config throws: {e}");
                world.record.borrow_mut().thrown.push(text.clone());
                world.note("error", text);
                return;
            }
        }
    }
    let lua = world.lua.borrow().clone().expect("just set");
    if let Err(e) = time::schedule_queued(world, &lua) {
        events::thrown(world, "call_after", &e);
    }
}

async fn reload(world: &Rc<World>) {
    evaluate(world).await;
    let windows: Vec<usize> = world.windows.borrow().iter().map(|w| w.id).collect();
    for window in windows {
        world.with_window(window, |w| w.key_tables.clear());
        events::emit_window(world, window, "window-config-reloaded", None);
    }
    world.touch();
    // one more for each window, in a state that hears nothing
    evaluate_for_overrides(world);
}

pub fn reload_later(world: &Rc<World>) {
    let world = Rc::clone(world);
    tokio::task::spawn_local(async move { reload(&world).await });
}

/// The overrides of a window are applied by one more evaluation, whose state is thrown away.
pub fn evaluate_for_overrides(world: &Rc<World>) {
    let world = Rc::clone(world);
    tokio::task::spawn_local(async move {
        if let Err(e) = evaluate_once(&world).await {
            events::thrown(&world, "overrides", &e);
        }
    });
}

/// The table of a config, for those who look into it.
pub fn config_table(host: &Host) -> Json {
    let lua = host.lua();
    let config: Table = host.world.config(&lua).expect("a config was evaluated");
    lua.from_value(Value::Table(config)).expect("settings are plain values")
}

/// Where the plugin is in this checkout.
pub fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
