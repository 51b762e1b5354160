//! GUIs: what they hear while they wait, and what they are asked to do there. A GUI is played by a client
//! of the wire.

use wezterm_parallel_schemas::{
    daemon::Empty,
    error::Code,
    event::EventKind,
    gui::{GuiFocus, GuiNews, GuiShow, GuiView, GuiWait, IntentDone, IntentKind, ToastAbout},
    method::{AddTask, FocusGui, ImportTasks, ListGuis, ShowTask, WaitForTasks},
    process::State,
    task::{TaskAdd, TaskCounts, TaskImport, TaskTarget, TaskWait},
};

use crate::support::{rpc::Client, site::Site};

/// Titles and texts of the toasts in an answer.
fn toasts(news: &GuiNews) -> Vec<(String, String)> {
    let toasts = news.intents.iter().filter(|i| i.kind == IntentKind::Toast);
    toasts.map(|i| (i.title.clone().unwrap_or_default(), i.text.clone().unwrap_or_default())).collect()
}

/// A GUI, as far as the daemon can tell.
struct Gui {
    socket: std::path::PathBuf,
    wait: GuiWait,
    /// The connection that its call is open on.
    client: Option<Client>,
}

impl Gui {
    fn new(site: &Site, name: &str, focused_at: i64) -> Self {
        let wait = GuiWait { gui: name.into(), pid: 1, focused_at, turn: 1, ..GuiWait::default() };
        Self { socket: site.socket(), wait, client: None }
    }

    /// Begins a call, as a relay of its own would.
    fn call(&mut self) {
        let mut client = Client::connect(&self.socket);
        client.send("gui.wait", &self.wait);
        self.client = Some(client);
    }

    /// The answer to the call that is open. What it says counts as known and is acknowledged with the next.
    fn heard(&mut self) -> GuiNews {
        let news: GuiNews = self.client.take().expect("a call is open").result();
        self.wait.after = Some(news.seq);
        self.wait.daemon = Some(news.daemon.clone());
        self.wait.done = Vec::new();
        news
    }

    fn next(&mut self) -> GuiNews {
        self.call();
        self.heard()
    }

    /// Calls until `wanted` is true of what it hears.
    fn until(&mut self, what: &str, wanted: impl Fn(&GuiNews) -> bool) -> GuiNews {
        for _ in 0..1_000 {
            let news = self.next();
            if wanted(&news) {
                return news;
            }
        }
        panic!("it never hears of this: {what}");
    }

    /// Waits until the daemon knows of the call that is open.
    fn waits(&self) -> GuiView {
        let mut client = Client::connect(&self.socket);
        loop {
            let all = client.call::<ListGuis>(Empty {}).expect("they can be listed");
            if let Some(view) = all.into_iter().find(|g| g.gui == self.wait.gui && g.waiting == 1) {
                return view;
            }
        }
    }

    fn done(&mut self, id: &str, problem: Option<&str>) {
        self.wait.done.push(IntentDone { id: id.into(), problem: problem.map(str::to_owned) });
    }
}

fn site() -> Site {
    let site = Site::new();
    site.project("api");
    site.config(
        "version: 1
workspaces:
  api: { cwd: $WORK/api, processes: { web: { command: [sleep, '1000'], autostart: false } } }
",
    );
    site.daemon();
    site
}

#[test]
fn a_gui_hears_everything_first_and_then_what_has_changed() {
    let site = site();
    let mut gui = Gui::new(&site, "one", 1);
    let first = gui.next();
    assert!(first.whole && first.accounts.is_some() && !first.superseded, "{first:#?}");
    let names = |news: &GuiNews| news.processes.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&first), first.workspaces.len()), (vec!["web".to_owned()], 1));
    // nothing happens, and nothing is heard; then something does
    gui.call();
    gui.waits();
    site.run(&["process", "start", "api/web"]).ok();
    let changed = gui.heard();
    assert!(!changed.whole && changed.seq > first.seq && changed.daemon == first.daemon, "{changed:#?}");
    assert_eq!(names(&changed), ["web"]);
    gui.until("it runs", |news| {
        let runs = news.processes.iter().any(|p| p.state == State::Running);
        runs || news.processes.is_empty()
    });
    site.run(&["process", "add", "api", "other", "--", "sleep", "1000"]).ok();
    let came = gui.until("another one comes", |news| names(news).contains(&"other".to_owned()));
    assert!(came.whole, "its place is told by the order of all");
    let other = came.processes.iter().find(|p| p.name == "other").expect("it has come").id.clone();
    site.run(&["process", "remove", "api/other"]).ok();
    let gone = gui.until("it goes", |news| news.removed.contains(&other));
    assert!(!gone.whole, "{gone:#?}");
}

#[test]
fn a_config_that_is_refused_is_heard_of_with_its_line() {
    let site = site();
    let mut gui = Gui::new(&site, "one", 1);
    assert_eq!(gui.next().problem, None);
    site.config("version: 1\nnonsense: true\n");
    let news = gui.until("the config is refused", |news| news.problem.is_some());
    let problem = news.problem.expect("it is there");
    assert!(problem.contains("config.yaml:2:1: ") && !problem.contains('\n'), "{problem}");
    site.config("version: 1\n");
    gui.until("it is mended", |news| news.problem.is_none());
}

#[test]
fn one_loop_of_a_gui_waits_and_a_later_one_takes_its_place() {
    let site = site();
    let mut gui = Gui::new(&site, "one", 1);
    gui.next();
    gui.call();
    gui.waits();
    let mut later = Gui { wait: GuiWait { turn: 2, ..gui.wait.clone() }, ..Gui::new(&site, "one", 1) };
    later.call();
    assert!(gui.heard().superseded);
    later.waits();
    assert!(gui.next().superseded, "it does not come back");
    let listed: Vec<GuiView> = site.run(&["gui", "list", "--json"]).ok().json();
    assert_eq!((listed.len(), listed[0].waiting), (1, 1));
    assert!(site.run(&["status"]).ok().out.ends_with("connected: 1 WezTerm\n"));
    assert!(site.run(&["doctor"]).out.contains("plugin: connected: 1 WezTerm\n"));
}

/// Asks for the dashboard from a thread of its own; the answer comes when it is shown.
fn show_dashboard(site: &Site) -> std::thread::JoinHandle<Result<GuiView, String>> {
    let socket = site.socket();
    std::thread::spawn(move || {
        let show = GuiShow { dashboard: true, ..GuiShow::default() };
        Client::connect(&socket)
            .call::<wezterm_parallel_schemas::method::ShowInGui>(show)
            .map_err(|e| e.line())
    })
}

#[test]
fn something_is_shown_in_the_gui_that_had_the_focus_last_and_answered_when_it_is() {
    let site = site();
    let (mut one, mut two) = (Gui::new(&site, "one", 1), Gui::new(&site, "two", 2));
    one.next();
    two.next();
    one.call();
    two.call();
    one.waits();
    two.waits();
    let focus =
        GuiFocus { gui: "one".into(), focused_at: 3, workspace: Some("api".into()), ..GuiFocus::default() };
    site.client().call::<FocusGui>(focus).expect("it is told");
    let shown = show_dashboard(&site);
    let news = one.heard();
    let intent = &news.intents[0];
    assert_eq!((news.intents.len(), intent.kind), (1, IntentKind::ShowDashboard));
    assert!(!shown.is_finished(), "it is not shown yet");
    one.done(&intent.id, None);
    (one.wait.focused_at, one.wait.workspace) = (3, Some("api".into()));
    one.call();
    let view = shown.join().expect("it ends").expect("it is shown");
    assert_eq!((view.gui.as_str(), view.workspace.as_deref()), ("one", Some("api")));
    // what it could not do is told to who asked
    let shown = show_dashboard(&site);
    let news = one.heard();
    one.done(&news.intents[0].id, Some("there is no such pane"));
    one.call();
    assert_eq!(shown.join().expect("it ends"), Err("conflict: there is no such pane".to_owned()));
}

#[test]
fn without_a_gui_there_is_nothing_to_show_it_in() {
    let site = site();
    site.run(&["gui", "show", "--dashboard"]).exits(1).says("there is no GUI");
    site.run(&["gui", "show", "nowhere"]).exits(1).says("there is no workspace nowhere");
    site.run(&["gui", "show"]).exits(2);
}

/// A WezTerm without a plugin that answers is played by a script that writes down what it is asked.
#[test]
fn a_window_is_opened_without_the_plugin_in_the_wezterm_that_was_connected_last() {
    let site = site();
    let (socket, asked) = (site.path("run/gui-sock"), site.path("tmp/asked"));
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > {0}.new && mv {0}.new {0}\n", asked.display());
    site.script("wezterm", &script);
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let mut gui = Gui::new(&site, "one", 1);
    (gui.wait.socket, gui.wait.executables) = (Some(socket), Some(site.path("bin")));
    gui.next();
    // it is gone when it has not called for 3 s, which is asked of the list of those that are there
    let mut client = site.client();
    while !client.call::<ListGuis>(Empty {}).expect("they can be listed").is_empty() {
        std::thread::yield_now();
    }
    let shown: GuiView = site.run(&["gui", "show", "api/web", "--json"]).ok().json();
    assert_eq!((shown.gui.as_str(), shown.workspace.as_deref()), ("wezterm cli", Some("api")));
    let asked = std::fs::read_to_string(asked).expect("it was asked");
    assert!(
        asked.contains("cli\n--no-auto-start\nspawn\n") && asked.ends_with("\nattach\napi/web\n"),
        "{asked}"
    );
}

#[test]
fn an_intent_survives_the_daemon_and_goes_to_the_same_gui_until_it_is_done() {
    let site = site();
    let (mut one, mut two) = (Gui::new(&site, "one", 2), Gui::new(&site, "two", 1));
    one.next();
    two.next();
    one.call();
    two.call();
    one.waits();
    two.waits();
    let shown = show_dashboard(&site);
    let id = one.heard().intents[0].id.clone();
    site.kill_daemon();
    assert!(shown.join().is_err(), "its daemon is gone");
    site.daemon();
    // the other one has had the focus since
    two.wait.focused_at = 9;
    assert_eq!(two.next().intents, []);
    let again = one.next();
    assert!(again.whole, "the daemon is another one");
    assert_eq!(again.intents.iter().map(|i| &i.id).collect::<Vec<_>>(), [&id]);
    one.done(&id, None);
    one.call();
    assert_eq!(one.waits().intents, 0);
    site.kill_daemon();
    site.daemon();
    assert_eq!(one.next().intents, [], "it is done for good");
}

#[test]
fn a_crash_loop_is_told_by_a_toast_once_also_over_a_restart_of_the_daemon() {
    let site = Site::new();
    site.project("api");
    site.config(
        "version: 1
defaults: { restart: { max_restarts: 1, backoff: { initial: 10ms } } }
workspaces:
  api: { cwd: $WORK/api, processes: { web: { command: [sh, -c, 'exit 3'] } } }
",
    );
    site.daemon();
    let mut gui = Gui::new(&site, "one", 1);
    let news = gui.until("it is told", |news| !toasts(news).is_empty());
    let told = toasts(&news);
    assert_eq!((told.len(), told[0].0.as_str()), (1, "api/web keeps failing"));
    assert!(told[0].1.contains("exit code 3") || told[0].1.contains("failed"), "{told:?}");
    let toast = &news.intents[0];
    assert_eq!((toast.about, toast.process.as_deref()), (Some(ToastAbout::CrashLoop), Some("web")));
    gui.done(&toast.id, None);
    gui.call();
    assert_eq!(gui.waits().intents, 0);
    site.kill_daemon();
    site.daemon();
    let again = gui.next();
    assert!(again.whole && again.intents.is_empty(), "{again:#?}");
}

#[test]
fn a_config_that_is_refused_is_told_by_a_toast_with_its_line() {
    let site = site();
    site.config("version: 1\nnotify: { quiet_hours: [never] }\n");
    let mut gui = Gui::new(&site, "one", 1);
    let news = gui.until("it is told", |news| !toasts(news).is_empty());
    let (title, text) = &toasts(&news)[0];
    assert_eq!(title, "the config was refused");
    assert!(
        text.ends_with("config.yaml:2:25: notify.quiet_hours.0: `never` are no hours of the day"),
        "{text}"
    );
}

#[test]
fn what_is_switched_off_is_not_told_from_the_next_reload_on() {
    let site = site();
    site.config(
        "version: 1
notify: { failed: false }
workspaces:
  api: { cwd: $WORK/api, processes: { web: { command: ['/nowhere/at-all'], autostart: false } } }
",
    );
    let plan = site.run(&["config", "reload"]).ok().out;
    let mut gui = Gui::new(&site, "one", 1);
    site.run(&["process", "start", "api/web"]).exits(1);
    gui.until("it has failed", |news| news.processes.iter().any(|p| p.state == State::Failed));
    // a toast would be there by the time that the next one is
    site.config("version: 1\nnonsense: 1\n");
    let news = gui.until("the config is refused", |news| !toasts(news).is_empty());
    assert_eq!(news.intents[0].about, Some(ToastAbout::Config), "{plan}");
}

fn task(site: &Site, name: &str, group: &str, script: &str) -> TaskAdd {
    TaskAdd {
        name: Some(name.into()),
        group: Some(group.into()),
        command: vec!["sh".into(), "-c".into(), script.into()],
        cwd: Some(site.path("work")),
        ..TaskAdd::default()
    }
}

/// All that a GUI is told by toasts until one has this title.
fn told_until(gui: &mut Gui, title: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    while !all.iter().any(|(told, _): &(String, String)| told == title) {
        let news = gui.next();
        all.extend(toasts(&news));
        for intent in &news.intents {
            gui.done(&intent.id, None);
        }
    }
    all
}

#[test]
fn guis_hear_how_many_tasks_there_are_and_users_of_failures_and_of_the_end_of_a_group() {
    let site = site();
    let mut gui = Gui::new(&site, "one", 1);
    assert_eq!(gui.next().tasks, None, "there are none");
    let tasks = vec![
        task(&site, "bad", "docs", "exit 3"),
        TaskAdd { after: vec!["bad".into()], ..task(&site, "behind", "docs", "true") },
        task(&site, "good", "docs", "true"),
        task(&site, "long", "other", "while [ ! -e over ]; do sleep 0.1; done"),
    ];
    site.client().call::<ImportTasks>(TaskImport { tasks, ..TaskImport::default() }).expect("they are added");
    let told = told_until(&mut gui, "the tasks of docs are over");
    let toast = |title: &str, text: &str| (title.to_owned(), text.to_owned());
    assert_eq!(
        told,
        [
            toast("the task bad failed", "exit code 3"),
            toast("the tasks of docs are over", "1 done, 1 failed, 1 skipped")
        ]
    );
    let counts = TaskCounts { running: 1, done: 1, failed: 1, skipped: 1, ..TaskCounts::default() };
    let mut other = Gui::new(&site, "two", 0);
    assert_eq!(other.next().tasks, Some(counts), "the other group goes on");

    // by its name, not by its id
    let target = TaskTarget { task: "behind".into(), key: None };
    let behind = site.client().call::<ShowTask>(target).expect("it is known").task;
    assert_eq!(behind.reason.as_deref(), Some("bad comes first, and is failed"));

    // the next daemon knows the same, and tells nothing twice
    site.kill_daemon();
    site.daemon();
    let news = gui.until("everything anew", |news| news.whole);
    assert_eq!((news.tasks, toasts(&news)), (Some(counts), vec![]));
    std::fs::write(site.path("work/over"), "").expect("a file");
    gui.until("it is over", |news| news.tasks.is_some_and(|t| (t.running, t.done) == (0, 2)));

    // a batch that has come to its end is counted until there is another
    let added = site.client().call::<AddTask>(task(&site, "next", "docs", "exit 4")).expect("it is added");
    let wait = TaskWait { tasks: vec![added.id], ..TaskWait::default() };
    site.client().call::<WaitForTasks>(wait).expect("it is over");
    let counts = TaskCounts { failed: 1, ..TaskCounts::default() };
    gui.until("the new batch", |news| news.tasks == Some(counts));
}

#[test]
fn a_task_that_ends_by_the_hand_of_its_user_is_told_by_no_toast() {
    let site = site();
    let mut gui = Gui::new(&site, "one", 1);
    gui.next();
    let added = site.client().call::<AddTask>(task(&site, "long", "docs", "exec sleep 1000"));
    let id = added.expect("it is added").id;
    site.client()
        .call::<wezterm_parallel_schemas::method::CancelTask>(TaskTarget { task: id, key: None })
        .expect("it is canceled");
    // a toast would be there by the time that the next one is
    site.config("version: 1\nnonsense: 1\n");
    assert_eq!(told_until(&mut gui, "the config was refused").len(), 1);
}

/// With the real Claude Code.
#[test]
fn a_claude_that_asks_is_told_by_a_toast_with_what_it_asks() {
    let Some(site) = Site::with_claude() else { return };
    site.project("api");
    site.config(
        "version: 1
workspaces:
  api: { cwd: $WORK/api, processes: { lead: { agent: claude, args: [--permission-mode, manual, '[[bash:echo hi > made]][[text:done]]'] } } }
",
    );
    site.daemon();
    let mut gui = Gui::new(&site, "one", 1);
    let news = gui.until("it is told", |news| !toasts(news).is_empty());
    let (title, text) = &toasts(&news)[0];
    assert_eq!(title, "api/lead asks");
    assert!(text.contains("echo hi > made"), "{text}");
    gui.done(&news.intents[0].id, None);
    // it may be seen to ask before its request is there
    site.wait_event(0, "its request", |e| e.kind == EventKind::InboxAsked);
    site.run(&["inbox", "allow", "api/lead"]).ok();
    let heard = gui.until("it goes on", |news| news.processes.iter().any(|p| p.asks == 0));
    assert_eq!(toasts(&heard), [], "it is told once");
}

#[test]
fn a_gui_that_waits_is_told_when_the_daemon_is_stopped() {
    let site = site();
    for how in [&["stop", "--keep"][..], &["stop", "--yes"]] {
        site.daemon();
        let mut gui = Gui::new(&site, "one", 1);
        gui.next();
        let mut client = Client::connect(&site.socket());
        let call = client.send("gui.wait", &gui.wait);
        gui.waits();
        site.run(how).ok();
        let refused = client.answer(call).expect_err("there are no news any more");
        assert_eq!(refused.code, Code::ShuttingDown, "{how:?}");
    }
}
