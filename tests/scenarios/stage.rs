//! A place with one supervised Claude, and a watch over its status.

use std::{
    fs,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use wezterm_parallel_schemas::{
    event::EventKind,
    process::{ProcessView, State, Status},
};

use crate::{
    scenario::Scenario,
    support::{claude, pty::Pty, site::Site},
};

/// How long a status is waited for. Far above what counts as late.
const PATIENCE: Duration = Duration::from_secs(12);

/// A way in which a Claude runs.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// As it stands in the table.
    pub name: &'static str,
    /// Which Claude Code.
    pub version: &'static str,
    /// It is told that its status is welcome, and reports it.
    pub reports: bool,
    /// Without the alternate screen.
    pub classic: bool,
    /// Runs with every `cargo test`.
    pub always: bool,
}

impl Way {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [
        Self {
            name: "reports, full screen",
            version: claude::VERSION,
            reports: true,
            classic: false,
            always: true,
        },
        Self {
            name: "reports, classic",
            version: claude::VERSION,
            reports: true,
            classic: true,
            always: false,
        },
        Self {
            name: "silent, full screen",
            version: claude::VERSION,
            reports: false,
            classic: false,
            always: false,
        },
        Self {
            name: "silent, classic",
            version: claude::VERSION,
            reports: false,
            classic: true,
            always: true,
        },
        Self { name: "2.1.197", version: claude::OLD_VERSION, reports: false, classic: true, always: false },
    ];
}

/// A status, and when it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// Which; none where nothing runs.
    pub status: Option<Status>,
    /// What was said with it.
    pub reason: Option<String>,
}

#[derive(Default)]
struct Watched {
    seen: Vec<Seen>,
    over: bool,
}

type Watch = Arc<(Mutex<Watched>, Condvar)>;

/// See the module.
pub struct Stage {
    /// The place.
    pub site: Site,
    watch: Watch,
}

/// The one process.
pub const LEAD: &str = "api/lead";

impl Stage {
    /// A place in which the Claude has been started.
    pub fn new(way: Way, scenario: &Scenario) -> Self {
        let site = Site::with_claude_of(way.version).expect("there is a Claude, or nothing would run");
        for (name, value) in scenario.env {
            site.set_env(name, value);
        }
        if scenario.untrusted {
            let path = site.path("home/.claude.json");
            let text = fs::read_to_string(&path).expect("it is there");
            let mut state: serde_json::Value = serde_json::from_str(&text).expect("json");
            state["projects"] = serde_json::json!({});
            fs::write(path, state.to_string()).expect("it is ours");
        }
        site.project("api");
        let args: Vec<&str> =
            ["--permission-mode", "default"].into_iter().chain(scenario.args.iter().copied()).collect();
        let args = serde_json::to_string(&args).expect("json is yaml");
        let status = if way.reports { "[osc7501, hooks, registry]" } else { "[hooks, registry]" };
        let screen = if way.classic { "classic" } else { "default" };
        site.config(&format!(
            "version: 1\n\
             defaults: {{ restart: {{ backoff: {{ initial: 10ms }} }} }}\n\
             agents: {{ claude: {{ args: {args}, status: {status}, screen: {screen} }} }}\n\
             workspaces: {{ api: {{ cwd: $WORK/api, processes: {{ lead: {{ agent: claude, ready_timeout: 4s }} }} }} }}\n"
        ));
        site.daemon();
        let watch = Watch::default();
        let stage = Self { site, watch };
        stage.watch();
        stage
    }

    /// Listens to the daemon from now on; again after it was exchanged.
    pub fn watch(&self) {
        let mut client = self.site.client();
        let snapshot = client.subscribe();
        let watch = Arc::clone(&self.watch);
        if let Some(p) = snapshot.processes.iter().find(|p| p.name == "lead") {
            put(
                &watch,
                Seen { at: p.status_since.unwrap_or(0), status: p.status, reason: p.status_reason.clone() },
            );
        }
        // it ends with the connection
        thread::spawn(move || {
            while let Some(event) = client.event_or_end() {
                if event.kind == EventKind::ProcessStatus {
                    put(&watch, Seen { at: event.at, status: event.status, reason: event.message });
                }
                if watch.0.lock().expect("no thread paniced with it").over {
                    return;
                }
            }
        });
    }

    /// Waits until the status is `status`, and says how many milliseconds after `from` it came to be so.
    pub fn becomes(&self, status: Status, from: i64) -> Result<i64, String> {
        self.comes(&format!("`{}`", status.name()), from, |s| s.status == Some(status)).map(|(late, _)| late)
    }

    /// Waits for a status of which `wanted` is true.
    pub fn comes(
        &self,
        what: &str,
        from: i64,
        wanted: impl Fn(&Seen) -> bool,
    ) -> Result<(i64, Seen), String> {
        // what is to be at a later time is waited for from then on
        let ahead = u64::try_from(from - now()).unwrap_or_default();
        let deadline = Instant::now() + Duration::from_millis(ahead) + PATIENCE;
        let mut watched = self.watch.0.lock().expect("no thread paniced with it");
        loop {
            if let Some(last) = watched.seen.last()
                && wanted(last)
            {
                // since when it is so: an unchanged status may have been told anew
                let run = watched.seen.iter().rev().take_while(|s| wanted(s)).last().unwrap_or(last);
                return Ok((run.at - from, last.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("it never came to {what}: {}", shown(&watched.seen, from)));
            }
            watched = self.watch.1.wait_timeout(watched, left).expect("no thread paniced with it").0;
        }
    }

    /// Every status that came after `from` is one of these.
    pub fn only(&self, from: i64, allowed: &[Status]) -> Result<(), String> {
        let watched = self.watch.0.lock().expect("no thread paniced with it");
        match watched.seen.iter().find(|s| s.at > from && !s.status.is_some_and(|s| allowed.contains(&s))) {
            None => Ok(()),
            Some(_) => Err(format!("it was something else in between: {}", shown(&watched.seen, from))),
        }
    }

    /// It had this status at some moment after `from`.
    pub fn was(&self, from: i64, status: Status) -> Result<(), String> {
        let watched = self.watch.0.lock().expect("no thread paniced with it");
        match watched.seen.iter().any(|s| s.at >= from && s.status == Some(status)) {
            true => Ok(()),
            false => Err(format!("it was never `{}`: {}", status.name(), shown(&watched.seen, from))),
        }
    }

    /// How many milliseconds after `from` it stopped to be `status`.
    pub fn left(&self, status: Status, from: i64) -> Result<i64, String> {
        let watched = self.watch.0.lock().expect("no thread paniced with it");
        match watched.seen.iter().find(|s| s.at >= from && s.status != Some(status)) {
            Some(seen) => Ok(seen.at - from),
            None => Err(format!("it stayed `{}`: {}", status.name(), shown(&watched.seen, from))),
        }
    }

    /// Waits for its prompt, in the status and on the screen.
    pub fn idle(&self) -> Result<Pty, String> {
        self.becomes(Status::Idle, now())?;
        Ok(self.attach())
    }

    /// A terminal on it that shows its prompt.
    pub fn attach(&self) -> Pty {
        let pty = self.site.terminal(110, 32, &["process", "attach", LEAD]);
        pty.wait_for_text("❯");
        pty
    }

    /// Types a prompt, and says when it was sent.
    pub fn prompt(&self, pty: &Pty, text: &str) -> i64 {
        pty.type_keys(text);
        pty.wait_for_text(&text.chars().take(20).collect::<String>());
        let at = now();
        pty.type_keys("\r");
        at
    }

    /// Types a prompt and waits until the API was asked; says when it was.
    pub fn work(&self, pty: &Pty, text: &str) -> i64 {
        self.prompt(pty, text);
        let start: String = text.chars().take(30).collect();
        self.site.mock().wait("the prompt", |r| r.prompt.contains(&start));
        now()
    }

    /// The process as it is listed.
    pub fn process(&self) -> ProcessView {
        self.site.process(LEAD)
    }

    /// Waits until the process has this state, and says when it had.
    pub fn state(&self, state: State) -> ProcessView {
        self.site.wait_state(LEAD, state)
    }

    /// Ends it all.
    pub fn end(self) -> Result<(), String> {
        self.watch.0.lock().map_err(|e| e.to_string())?.over = true;
        self.site.run(&["stop", "--yes"]).ok();
        Ok(())
    }
}

fn put(watch: &Watch, seen: Seen) {
    watch.0.lock().expect("no thread paniced with it").seen.push(seen);
    watch.1.notify_all();
}

fn shown(seen: &[Seen], from: i64) -> String {
    let all = seen.iter().map(|s| format!("{}@{}", s.status.map_or("none", Status::name), s.at - from));
    all.collect::<Vec<_>>().join(" ")
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the year 292277026")
}
