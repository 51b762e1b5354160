//! All that the dashboard knows, and what follows from it: who needs somebody, in which order rows stand,
//! what is chosen. Changed by [`super::update`] alone.

use std::collections::{BTreeSet, HashMap, HashSet};

use wezterm_parallel_schemas::{
    daemon::DaemonView,
    inbox::AskView,
    limit::AccountView,
    process::{ProcessView, State, Status},
    prompt::PromptView,
    workspace::WorkspaceView,
};

use super::{
    answer::Answering,
    ask::{Deed, Fetch, Which},
    layout::{self, Areas},
    line::Line,
    load::Load,
    tasks::{self, Tasks},
    view,
};

/// All that the dashboard knows.
#[derive(Debug)]
pub struct Model {
    /// Now, in milliseconds since 1970.
    pub now: i64,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// How things are drawn.
    pub look: Look,
    /// The home directory, which is not spelled out.
    pub home: String,
    /// The way to the daemon.
    pub link: Link,
    /// The daemon, once it has told of itself.
    pub daemon: Option<DaemonView>,
    /// All workspaces.
    pub workspaces: Vec<WorkspaceView>,
    /// All processes.
    pub processes: Vec<ProcessView>,
    /// Open requests, oldest first.
    pub asks: Vec<AskView>,
    /// The request that is shown, whole.
    pub whole: Option<AskView>,
    /// All accounts.
    pub accounts: Vec<AccountView>,
    /// Prompts that wait, of the process with this id.
    pub prompts: Option<(String, Vec<PromptView>)>,
    /// What runs use, by id of the process.
    pub loads: HashMap<String, Load>,
    /// The table of processes.
    pub table: Table,
    /// All tasks, and their table.
    pub tasks: Tasks,
    /// Which of the two tables is shown.
    pub tab: Tab,
    /// What is on the screen.
    pub page: Page,
    /// What is asked of the user.
    pub dialog: Option<Dialog>,
    /// What is said at the foot until the next key.
    pub notice: Option<Notice>,
    /// The terminal has the focus, as far as it tells.
    pub focused: bool,
    /// WezTerm shows this, so that it can show a process too.
    pub in_wezterm: bool,
    /// Which request [`Model::decidable`] is, and since when.
    pub(super) decidable_since: (Option<String>, i64),
    /// Where the last click was, and when, for a double click.
    pub(super) clicked: Option<(Id, i64)>,
    pub(super) fetches: Fetches,
}

/// How things are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// ASCII characters only.
    pub ascii: bool,
    /// No colours.
    pub plain: bool,
}

/// The way to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Nothing is known yet.
    Connecting,
    /// It is there.
    Here,
    /// There is none, or it has gone; it is looked for.
    Gone(String),
    /// It is there and cannot be talked to; what to do about it.
    Refused(String, String),
}

/// What is asked for and has not come, so that nothing is asked for twice.
#[derive(Debug, Default)]
pub struct Fetches {
    /// Asked for.
    pub under_way: HashSet<Fetch>,
    /// Old already when it comes, and asked for again then.
    pub again: HashSet<Fetch>,
}

/// The table of processes.
#[derive(Debug, Default)]
pub struct Table {
    /// What is shown, in order.
    pub rows: Vec<Row>,
    /// The chosen row's place.
    pub cursor: usize,
    /// What the chosen row is about.
    pub chosen: Option<Id>,
    /// The first row on the screen.
    pub top: usize,
    /// Ids of the processes that are marked.
    pub marked: BTreeSet<String>,
    /// Only what holds all of these words.
    pub filter: String,
    /// Processes stand below their workspaces.
    pub grouped: bool,
    /// By what it is sorted.
    pub sort: Sort,
    /// The other way round.
    pub reversed: bool,
}

/// A row of the table: a place in the model's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Workspace(usize),
    Process(usize),
}

/// What a row is about, whatever its place: an id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Id {
    Workspace(String),
    Process(String),
    Task(String),
}

/// By what the table is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Who needs somebody most.
    #[default]
    Need,
    Name,
    Since,
    Cost,
    Context,
    Cpu,
    Memory,
    Restarts,
    Attached,
}

/// What the table is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    Processes,
    Tasks,
}

/// What is on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    Table,
    /// What agents ask: the place in the list, and lines that are scrolled off of the one that is shown.
    Inbox {
        cursor: usize,
        scroll: usize,
    },
    /// All of the chosen row.
    Detail {
        scroll: usize,
    },
    /// Last words of a process that does not run.
    Log {
        name: String,
        lines: Vec<String>,
        scroll: usize,
    },
    Help {
        scroll: usize,
    },
}

/// What is asked of the user.
#[derive(Clone, Debug, PartialEq)]
pub enum Dialog {
    /// Yes or no.
    Confirm(String, Vec<Deed>),
    /// Only what holds these words is shown; the filter of before.
    Filter(Line, String),
    /// A prompt for these.
    Prompt(Line, Vec<Which>),
    /// A request is denied, with a word to the agent; the request and who asks.
    Deny(Line, String, String),
    /// Questions of an agent.
    Answer(Box<Answering>),
}

/// What is said at the foot of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The text.
    pub text: String,
    /// Something did not work.
    pub bad: bool,
}

/// Who needs somebody, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// It waits for an answer.
    Blocked,
    /// It does not run, and should.
    Failed,
    /// Its turn ended with an error.
    Error,
    /// Its turn has ended, and nobody has looked.
    Unread,
    /// Its account is limited.
    Limited,
    /// Nothing certain is known.
    Unknown,
    /// It is about to be something else.
    Moving,
    /// It works.
    Working,
    /// It is a program that says nothing of itself.
    Running,
    /// It waits for a prompt.
    Idle,
    /// It is not meant to run.
    Stopped,
}

/// Who needs somebody, and how much.
pub fn need(p: &ProcessView) -> Need {
    match p.state {
        State::Failed | State::CrashLoop => Need::Failed,
        State::Stopped | State::Exited => Need::Stopped,
        State::Starting | State::Backoff | State::Stopping => Need::Moving,
        // what a subagent asks stands in no status
        State::Running if p.asks > 0 => Need::Blocked,
        State::Running => match p.status {
            Some(Status::Blocked(_)) => Need::Blocked,
            Some(Status::Error) => Need::Error,
            Some(Status::RateLimited) => Need::Limited,
            _ if p.unread => Need::Unread,
            Some(Status::Unknown) => Need::Unknown,
            Some(Status::Starting) => Need::Moving,
            Some(Status::Working) => Need::Working,
            Some(Status::Idle) => Need::Idle,
            None => Need::Running,
        },
    }
}

/// The word for how it stands: the agent's own, else the supervisor's.
pub fn word(p: &ProcessView) -> &'static str {
    match (p.state, p.status) {
        (State::Running, Some(Status::Blocked(_))) => "blocked",
        (State::Running, Some(Status::Idle)) if p.unread => "unread",
        (State::Running, Some(status)) => status.name(),
        (state, _) => state.name(),
    }
}

/// Since when it stands so, in milliseconds since 1970.
pub fn since(p: &ProcessView) -> Option<i64> {
    match p.state {
        State::Running => p.status.and(p.status_since).or(p.started_at),
        State::Stopping => p.started_at,
        State::Stopped
        | State::Starting
        | State::Backoff
        | State::CrashLoop
        | State::Exited
        | State::Failed => p.last_exit.as_ref().map(|exit| exit.ended_at),
    }
}

impl Model {
    /// Of which nothing is known yet.
    pub fn new(look: Look, size: (u16, u16), now: i64) -> Self {
        Self {
            now,
            size,
            look,
            home: String::new(),
            link: Link::Connecting,
            daemon: None,
            workspaces: Vec::new(),
            processes: Vec::new(),
            asks: Vec::new(),
            whole: None,
            accounts: Vec::new(),
            prompts: None,
            loads: HashMap::new(),
            table: Table::default(),
            tasks: Tasks::default(),
            tab: Tab::default(),
            page: Page::Table,
            dialog: None,
            notice: None,
            focused: true,
            in_wezterm: false,
            decidable_since: (None, now),
            clicked: None,
            fetches: Fetches::default(),
        }
    }

    /// Where what is drawn.
    pub fn areas(&self) -> Areas {
        layout::areas(self.size, !self.accounts.is_empty() || self.problem().is_some())
    }

    /// What is wrong with the daemon or its config, which may have several lines.
    pub fn problem(&self) -> Option<&str> {
        let daemon = self.daemon.as_ref()?;
        daemon.problem.as_ref().or(daemon.config_error.as_ref()).map(String::as_str)
    }

    /// The process in the chosen row, where processes are shown.
    pub fn chosen_process(&self) -> Option<&ProcessView> {
        if self.tab != Tab::Processes {
            return None;
        }
        let Some(Id::Process(id)) = &self.table.chosen else { return None };
        self.process(id)
    }

    /// The workspace in the chosen row, where processes are shown.
    pub fn chosen_workspace(&self) -> Option<&WorkspaceView> {
        if self.tab != Tab::Processes {
            return None;
        }
        let Some(Id::Workspace(id)) = &self.table.chosen else { return None };
        self.workspaces.iter().find(|w| w.id == *id)
    }

    /// The process with this id.
    pub fn process(&self, id: &str) -> Option<&ProcessView> {
        self.processes.iter().find(|p| p.id == id)
    }

    /// The oldest open request of a process.
    pub fn ask_of(&self, process: &str) -> Option<&AskView> {
        self.asks.iter().find(|ask| ask.process_id == process)
    }

    /// The request that is chosen: on the inbox's page the one there, else that of the chosen process.
    pub fn chosen_ask(&self) -> Option<&AskView> {
        match self.page {
            Page::Inbox { cursor, .. } => self.asks.get(cursor),
            Page::Table | Page::Detail { .. } | Page::Log { .. } | Page::Help { .. } => {
                self.chosen_process().and_then(|p| self.ask_of(&p.id))
            }
        }
    }

    /// The request that is on the screen, whole, so that one key may decide it.
    pub fn decidable(&self) -> Option<&AskView> {
        let shown = match self.page {
            Page::Table => view::pane_is_whole(self),
            // what does not fit is scrolled, and the page says so
            Page::Inbox { .. } | Page::Detail { .. } => true,
            Page::Log { .. } | Page::Help { .. } => false,
        };
        let chosen = self.chosen_ask()?;
        self.whole.as_ref().filter(|whole| shown && whole.id == chosen.id)
    }

    /// How many there are of each need.
    pub fn count(&self, wanted: impl Fn(Need) -> bool) -> usize {
        self.processes.iter().filter(|p| wanted(need(p))).count()
    }

    /// What all sessions have cost, in US dollars.
    pub fn cost(&self) -> f64 {
        self.processes.iter().filter_map(|p| p.usage.as_ref()?.cost_usd).sum()
    }

    /// The rows on the screen.
    pub fn shown(&self) -> &[Row] {
        let top = self.table.top.min(self.table.rows.len());
        let end = (top + usize::from(self.areas().table.height)).min(self.table.rows.len());
        &self.table.rows[top..end]
    }

    /// Processes whose CPU and memory are wanted now, each with its keeper: those on the screen that run,
    /// while somebody looks.
    pub fn measured(&self) -> Vec<(String, i32)> {
        let wanted = self.focused && self.link == Link::Here && self.page == Page::Table;
        let wanted = wanted && self.tab == Tab::Processes;
        let columns = layout::columns(self.areas().table.width);
        let shown = columns.iter().any(|c| matches!(c.sort, Sort::Cpu | Sort::Memory));
        if !(wanted && (shown || self.areas().detail.is_some())) {
            return Vec::new();
        }
        let all = matches!(self.table.sort, Sort::Cpu | Sort::Memory);
        let rows = if all { &self.table.rows[..] } else { self.shown() };
        let pids = rows.iter().filter_map(|row| match row {
            Row::Process(at) => {
                let p = &self.processes[*at];
                Some((p.id.clone(), p.keeper_pid.or(p.pid)?))
            }
            Row::Workspace(_) => None,
        });
        pids.collect()
    }

    /// In how many milliseconds what is shown is another only because time has passed; none if that does
    /// not happen. A span below a minute changes each second, but not while nobody looks; all others are
    /// looked at once a minute, all together.
    pub fn changes_in(&self) -> Option<u64> {
        const MINUTE: i64 = 60_000;
        let times: Vec<i64> = match self.tab {
            Tab::Processes => {
                let times = self.shown().iter().filter_map(|row| match row {
                    Row::Process(at) => {
                        let p = &self.processes[*at];
                        p.next_start_at.filter(|_| p.state == State::Backoff).or_else(|| since(p))
                    }
                    Row::Workspace(_) => None,
                });
                let whole = self.whole.as_ref().filter(|_| self.page != Page::Table).map(|ask| ask.at);
                times.chain(whole).collect()
            }
            Tab::Tasks => {
                let tasks = self.shown_tasks().iter().map(|at| &self.tasks.all[*at]);
                tasks.map(|t| t.held_until.unwrap_or_else(|| tasks::since(t))).collect()
            }
        };
        if times.is_empty() || self.link != Link::Here {
            return None;
        }
        let young = |at: &i64| (self.now - at).abs() < MINUTE;
        let unit = if self.focused && times.iter().any(young) { 1_000 } else { MINUTE };
        u64::try_from(unit - self.now.rem_euclid(unit)).ok()
    }

    /// Puts the rows in order. What was chosen stays so, wherever it stands now.
    pub fn arrange(&mut self) {
        self.asks.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.id.cmp(&b.id)));
        let filter: Vec<String> =
            self.table.filter.to_lowercase().split_whitespace().map(Into::into).collect();
        let mut found: Vec<usize> =
            (0..self.processes.len()).filter(|at| self.fits(&self.processes[*at], &filter)).collect();
        found.sort_by(|a, b| self.compare(*a, *b));
        self.table.rows = if self.table.grouped {
            self.groups(&found, &filter)
        } else {
            found.into_iter().map(Row::Process).collect()
        };
        let there: HashSet<&String> = self.processes.iter().map(|p| &p.id).collect();
        self.table.marked.retain(|id| there.contains(id));
        let rows = &self.table.rows;
        let place = self.table.chosen.as_ref().and_then(|id| {
            rows.iter().position(|row| match (row, id) {
                (Row::Workspace(at), Id::Workspace(id)) => self.workspaces[*at].id == *id,
                (Row::Process(at), Id::Process(id)) => self.processes[*at].id == *id,
                _ => false,
            })
        });
        let place = place.unwrap_or_else(|| self.table.cursor.min(rows.len().saturating_sub(1)));
        self.choose(place);
        if let Page::Inbox { cursor, .. } = &mut self.page {
            *cursor = (*cursor).min(self.asks.len().saturating_sub(1));
        }
    }

    /// Chooses the row at this place, and has it on the screen.
    pub fn choose(&mut self, place: usize) {
        let height = usize::from(self.areas().table.height).max(1);
        let table = &mut self.table;
        table.cursor = place.min(table.rows.len().saturating_sub(1));
        table.chosen = table.rows.get(table.cursor).map(|row| match row {
            Row::Workspace(at) => Id::Workspace(self.workspaces[*at].id.clone()),
            Row::Process(at) => Id::Process(self.processes[*at].id.clone()),
        });
        let least = (table.cursor + 1).saturating_sub(height);
        let last = table.rows.len().saturating_sub(height);
        table.top = table.top.min(last).clamp(least, table.cursor.max(least));
    }

    fn fits(&self, p: &ProcessView, words: &[String]) -> bool {
        if words.is_empty() {
            return true;
        }
        let text = [
            p.workspace.as_str(),
            "/",
            p.name.as_str(),
            " ",
            word(p),
            " ",
            p.status.map_or("", Status::name),
            " ",
            p.status_reason.as_deref().unwrap_or_default(),
            " ",
            p.title.as_deref().unwrap_or_default(),
        ]
        .concat()
        .to_lowercase();
        words.iter().all(|word| text.contains(word))
    }

    fn compare(&self, a: usize, b: usize) -> std::cmp::Ordering {
        let (p, q) = (&self.processes[a], &self.processes[b]);
        let by_name = || (&p.workspace, &p.name).cmp(&(&q.workspace, &q.name));
        let usage = |p: &ProcessView, f: fn(&wezterm_parallel_schemas::limit::Usage) -> Option<f64>| {
            p.usage.as_ref().and_then(f).unwrap_or(-1.0)
        };
        let load = |p: &ProcessView| self.loads.get(&p.id).copied().unwrap_or_default();
        let order = match self.table.sort {
            Sort::Need => need(p).cmp(&need(q)).then_with(|| match need(p) {
                // who has waited longest comes first
                Need::Blocked | Need::Failed | Need::Error | Need::Unread => since(p).cmp(&since(q)),
                Need::Limited
                | Need::Unknown
                | Need::Moving
                | Need::Working
                | Need::Running
                | Need::Idle
                | Need::Stopped => std::cmp::Ordering::Equal,
            }),
            Sort::Name => std::cmp::Ordering::Equal,
            // the youngest, the most expensive, the largest comes first
            Sort::Since => since(q).cmp(&since(p)),
            Sort::Cost => usage(q, |u| u.cost_usd).total_cmp(&usage(p, |u| u.cost_usd)),
            Sort::Context => usage(q, |u| u.context_percent).total_cmp(&usage(p, |u| u.context_percent)),
            Sort::Cpu => load(q).cpu.unwrap_or(-1.0).total_cmp(&load(p).cpu.unwrap_or(-1.0)),
            Sort::Memory => load(q).memory.cmp(&load(p).memory),
            Sort::Restarts => q.restarts.cmp(&p.restarts),
            Sort::Attached => q.attached.cmp(&p.attached),
        };
        let order = order.then_with(by_name);
        if self.table.reversed { order.reverse() } else { order }
    }

    /// Workspaces with their processes below them, in the order in which `found` first names them; then
    /// those of which it names none.
    fn groups(&self, found: &[usize], filter: &[String]) -> Vec<Row> {
        let mut names: Vec<&str> = Vec::new();
        let mut members: HashMap<&str, Vec<Row>> = HashMap::new();
        for at in found {
            let name = self.processes[*at].workspace.as_str();
            let rows = members.entry(name).or_default();
            if rows.is_empty() {
                names.push(name);
            }
            rows.push(Row::Process(*at));
        }
        let mut empty: Vec<&WorkspaceView> =
            self.workspaces.iter().filter(|w| !members.contains_key(w.name.as_str())).collect();
        empty.retain(|w| filter.iter().all(|word| w.name.to_lowercase().contains(word)));
        empty.sort_by(|a, b| b.open.cmp(&a.open).then_with(|| a.name.cmp(&b.name)));
        names.extend(empty.iter().map(|w| w.name.as_str()));
        let mut rows = Vec::new();
        for name in names {
            rows.extend(self.workspaces.iter().position(|w| w.name == name).map(Row::Workspace));
            rows.extend(members.remove(name).unwrap_or_default());
        }
        rows
    }
}
