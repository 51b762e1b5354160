//! Workspaces, processes, events and plans as a person reads them. Pure: texts out of views.

use wezterm_parallel_schemas::{
    daemon::{ConfigAction, ConfigPlan, StatusView},
    event::Event,
    process::{ProcessView, Source, State, Status},
    prompt::{PromptState, PromptView, Proof},
    session::SessionView,
    task::{TaskState, TaskView},
    workspace::WorkspaceView,
};

use crate::{
    limit,
    output::{BAD, FAINT, GOOD, NOTABLE, STRONG, clean},
    table::{Column, column, render, text},
    time,
};

/// It is as it is meant to be.
const STEADY: char = '●';
/// It does not run and is not meant to.
const RESTING: char = '○';
/// It changes, or somebody should look.
const WANTING: char = '▲';
/// It failed.
const BROKEN: char = '✗';
/// It is over, and was a success.
const ACHIEVED: char = '✓';
/// It is over, and never came to be.
const DROPPED: char = '–';

/// In place of a state: somebody started it by hand, and it is left alone.
const FOREIGN: &str = "foreign";

const PROCESS_COLUMNS: &[Column] = &[
    column("  PROCESS", 0),
    column("STATE", 0),
    column("STATUS", 0),
    column("UP", 2),
    column("PID", 5),
    column("RESTARTS", 4),
    column("COST", 6),
    column("CONTEXT", 7),
    text("NOTE", 1),
];

/// Below this many columns state and status share one: what an agent says of itself says that it runs.
const PROCESS_COLS_MIN: u16 = 60;

const PROMPT_COLUMNS: &[Column] = &[
    column("PROMPT", 0),
    column("PROCESS", 0),
    column("STATE", 0),
    column("AGE", 2),
    text("TEXT", 0),
    text("NOTE", 1),
];

const PROCESS_COLUMNS_NARROW: &[Column] = &[column("  PROCESS", 0), column("STATE", 0), text("NOTE", 1)];

/// Characters of a session's id on a screen: as many as git shows of a commit, and as unlikely to be another's.
const SHORT_CHARS: usize = 8;

const SESSION_COLUMNS: &[Column] = &[
    column("  SESSION", 0),
    column("AGE", 0),
    column("COST", 1),
    column("MODEL", 5),
    column("BRANCH", 4),
    column("SIZE", 6),
    text("DIRECTORY", 2),
    text("OPEN IN", 1),
    text("FIRST PROMPT", 0),
    text("LAST PROMPT", 7),
];

const WORKSPACE_COLUMNS: &[Column] = &[
    column("  WORKSPACE", 0),
    column("STATE", 0),
    column("RUNNING", 0),
    column("SOURCE", 4),
    column("LAYOUT", 3),
    text("DIRECTORY", 2),
    text("NOTE", 1),
];

/// A table of prompts; `now` in milliseconds since 1970.
pub fn prompts(list: &[PromptView], now: i64, width: Option<u16>) -> String {
    if list.is_empty() {
        return "no prompts\n".into();
    }
    let row = |p: &PromptView| {
        vec![
            p.id.clone(),
            format!("{}/{}", p.workspace, p.process),
            prompt_state(p),
            time::span(now - p.at),
            p.text.clone(),
            p.reason.clone().or_else(|| p.answer.as_ref().and_then(|a| a.text.clone())).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = list.iter().map(row).collect();
    paint(&render(PROMPT_COLUMNS, &rows, width))
}

fn prompt_state(p: &PromptView) -> String {
    match (p.state, p.place) {
        (PromptState::Queued, Some(place)) => format!("queued, {place}."),
        (state, _) => prompt_word(state).into(),
    }
}

fn prompt_word(state: PromptState) -> &'static str {
    match state {
        PromptState::Queued => "queued",
        PromptState::Typing => "typing",
        PromptState::Delivered => "delivered",
        PromptState::Answered => "answered",
        PromptState::Undelivered => "undelivered",
        PromptState::Canceled => "canceled",
        _ => "unknown",
    }
}

/// What has become of a prompt, on one line.
pub fn prompt_line(p: &PromptView) -> String {
    let proof = match p.proof {
        Some(Proof::Hook) => " (its hook said so)",
        Some(Proof::Transcript) => " (it stands in its transcript)",
        Some(Proof::Status) => " (it began to work)",
        _ => "",
    };
    let proof = if p.state == PromptState::Delivered { proof } else { "" };
    let reason = p.reason.as_ref().map(|r| format!(": {}", clean(r))).unwrap_or_default();
    format!("{}{proof}{reason}, {}", prompt_state(p), p.id)
}

/// A table of processes; `now` in milliseconds since 1970.
pub fn processes(list: &[ProcessView], now: i64, width: Option<u16>) -> String {
    if list.is_empty() {
        return "no processes\n".into();
    }
    if width.is_some_and(|cols| cols < PROCESS_COLS_MIN) {
        let rows: Vec<_> = list.iter().map(|p| process_row_narrow(p, now)).collect();
        return paint(&render(PROCESS_COLUMNS_NARROW, &rows, width));
    }
    let rows: Vec<_> = list.iter().map(|p| process_row(p, now)).collect();
    paint(&render(PROCESS_COLUMNS, &rows, width))
}

fn process_row_narrow(p: &ProcessView, now: i64) -> Vec<String> {
    let state = match (p.state, p.status) {
        _ if p.source == Source::Foreign => FOREIGN.into(),
        (State::Running, Some(_)) => status(p),
        _ => p.state.name().into(),
    };
    vec![format!("{} {}", glyph(p), process_name(p)), state, process_note(p, now)]
}

fn process_row(p: &ProcessView, now: i64) -> Vec<String> {
    let up = match (p.state, p.started_at) {
        (State::Running | State::Stopping, Some(at)) => time::span(now - at),
        _ => String::new(),
    };
    let state = if p.source == Source::Foreign { FOREIGN } else { p.state.name() };
    let [cost, context] = limit::usage(p.usage.as_ref());
    vec![
        format!("{} {}", glyph(p), process_name(p)),
        state.into(),
        status(p),
        up,
        p.pid.map(|pid| pid.to_string()).unwrap_or_default(),
        if p.restarts > 0 { p.restarts.to_string() } else { String::new() },
        cost,
        context,
        process_note(p, now),
    ]
}

/// A process as a person names it. One that is not ours has no workspace.
fn process_name(p: &ProcessView) -> String {
    match p.source {
        Source::Foreign => p.name.clone(),
        Source::Config | Source::Project | Source::Runtime => format!("{}/{}", p.workspace, p.name),
    }
}

/// The agent's status, and whether it has something new to show.
fn status(p: &ProcessView) -> String {
    match (p.status, p.unread) {
        (Some(status), true) => format!("{}, unread", status.name()),
        (Some(status), false) => status.name().into(),
        (None, _) => String::new(),
    }
}

/// The one thing there is to say about a process: why it does not run, else until when its account is
/// limited, else what its agent waits for, else its title.
pub fn process_note(p: &ProcessView, now: i64) -> String {
    if p.source == Source::Foreign {
        let session = p.session_id.as_deref().map_or("none", short);
        return format!("{}, session {session}", p.cwd.display());
    }
    if let (State::Backoff, Some(at)) = (p.state, p.next_start_at) {
        let why = p.state_reason.clone().or_else(|| p.last_exit.as_ref().map(|e| e.text()));
        let wait = format!("starts again in {}", time::span((at - now + 999).max(0)));
        return why.map_or(wait.clone(), |why| format!("{why}; {wait}"));
    }
    let limited = p.limited_until.map(|at| format!("limited for {}", time::span((at - now).max(0))));
    let exit = match p.state {
        State::Exited | State::Failed | State::CrashLoop => p.last_exit.as_ref().map(|e| e.text()),
        State::Stopped | State::Starting | State::Running | State::Backoff | State::Stopping => None,
    };
    // what a subagent in the background asks stands on no screen, and is in no status
    let asks = (p.asks > 0).then(|| format!("asks something: `inbox show {}/{}`", p.workspace, p.name));
    [&p.state_reason, &exit, &limited, &p.status_reason, &asks, &p.title]
        .into_iter()
        .flatten()
        .next()
        .cloned()
        .unwrap_or_default()
}

/// How a task stands, in one character.
pub fn task_glyph(t: &TaskView) -> char {
    match t.state {
        TaskState::Running => STEADY,
        // for its turn, or for others
        TaskState::Queued => RESTING,
        TaskState::Waiting if t.held_until.is_none() => RESTING,
        TaskState::Waiting | TaskState::Paused => WANTING,
        TaskState::Done => ACHIEVED,
        TaskState::Failed => BROKEN,
        TaskState::Canceled | TaskState::Skipped => DROPPED,
    }
}

/// How it stands, in one character.
pub fn glyph(p: &ProcessView) -> char {
    if p.source == Source::Foreign {
        return RESTING;
    }
    match (p.state, p.status) {
        (State::Failed | State::CrashLoop, _) => BROKEN,
        (State::Running, _) if p.asks > 0 => WANTING,
        (State::Running, Some(Status::Blocked(_) | Status::RateLimited | Status::Unknown)) => WANTING,
        (State::Running, Some(Status::Error)) => BROKEN,
        (State::Running, _) if p.unread => WANTING,
        (State::Running, _) => STEADY,
        (State::Starting | State::Backoff | State::Stopping, _) => WANTING,
        (State::Stopped | State::Exited, _) => RESTING,
    }
}

/// A table of sessions; `now` in milliseconds since 1970. `everywhere`: of more than one directory.
pub fn sessions(list: &[SessionView], everywhere: bool, now: i64, width: Option<u16>) -> String {
    if list.is_empty() {
        return "no sessions\n".into();
    }
    let id = |s: &SessionView| {
        // on a screen, what is enough to name it; in a pipe, all of it
        if width.is_some() { short(&s.session_id).to_owned() } else { s.session_id.clone() }
    };
    let rows: Vec<_> = list.iter().map(|s| session_row(s, &id(s), everywhere, now)).collect();
    paint(&render(SESSION_COLUMNS, &rows, width))
}

/// The first characters of a session's id, by which it can be named.
fn short(session: &str) -> &str {
    session.get(..SHORT_CHARS).unwrap_or(session)
}

fn session_row(s: &SessionView, id: &str, everywhere: bool, now: i64) -> Vec<String> {
    let open =
        s.open.as_ref().map(|o| o.process.clone().unwrap_or_else(|| format!("pid {} (foreign)", o.pid)));
    let prompt = match (&s.title, &s.first_prompt) {
        (Some(title), Some(prompt)) => format!("[{title}] {prompt}"),
        (Some(title), None) => format!("[{title}]"),
        (None, prompt) => prompt.clone().unwrap_or_default(),
    };
    let last = s.last_prompt.clone().filter(|last| Some(last) != s.first_prompt.as_ref());
    vec![
        format!("{} {}", if s.open.is_some() { STEADY } else { RESTING }, id),
        time::span(now - s.updated_at),
        s.cost_usd.map(|usd| format!("${usd:.2}")).unwrap_or_default(),
        s.model.clone().unwrap_or_default(),
        s.branch.clone().unwrap_or_default(),
        size(s.bytes),
        if everywhere { s.cwd.display().to_string() } else { String::new() },
        open.unwrap_or_default(),
        prompt,
        last.unwrap_or_default(),
    ]
}

/// `512 B`, `14 kB`, `3.1 MB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// A table of workspaces.
pub fn workspaces(list: &[WorkspaceView], width: Option<u16>) -> String {
    if list.is_empty() {
        return "no workspaces\n".into();
    }
    let rows: Vec<_> = list.iter().map(workspace_row).collect();
    paint(&render(WORKSPACE_COLUMNS, &rows, width))
}

fn workspace_row(w: &WorkspaceView) -> Vec<String> {
    let glyph = match (&w.problem, w.open) {
        (Some(_), _) => BROKEN,
        (None, true) => STEADY,
        (None, false) => RESTING,
    };
    let source = match w.source {
        Source::Config => "config",
        Source::Project => "project",
        Source::Runtime => "command",
        Source::Foreign => "foreign",
    };
    vec![
        format!("{glyph} {}", w.name),
        if w.open { "open" } else { "closed" }.into(),
        format!("{}/{}", w.running, w.processes),
        source.into(),
        w.layout.clone().unwrap_or_default(),
        w.cwd.display().to_string(),
        w.problem.clone().unwrap_or_default(),
    ]
}

/// The daemon, what is wrong with it, its workspaces and its processes.
pub fn status_of_all(all: &StatusView, now: i64, width: Option<u16>) -> String {
    let d = &all.daemon;
    let mut out = format!(
        "daemon {} (pid {}, up {}, config {}, {})\n",
        clean(&d.version),
        d.pid,
        time::span(now - d.started_at),
        d.config_generation,
        clean(&d.config.display().to_string()),
    );
    if let Some(problem) = &d.problem {
        out += &format!("{BAD}problem:{BAD:#} {}\n", clean(problem));
    }
    if let Some(error) = &d.config_error {
        let error = crate::output::clean_lines(error);
        out += &format!("{BAD}the config was refused{BAD:#}, the one before it is in force:\n{error}\n");
    }
    out += "\n";
    out += &workspaces(&all.workspaces, width);
    out += "\n";
    out += &processes(&all.processes, now, width);
    out
}

/// `1 run`, `2 runs`, `3 processes`.
pub fn count(n: impl TryInto<u64>, noun: &str) -> String {
    match n.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        n if noun.ends_with('s') => format!("{n} {noun}es"),
        n => format!("{n} {noun}s"),
    }
}

/// An event on one line.
pub fn event(e: &Event) -> String {
    let target = match (&e.workspace, &e.process) {
        (Some(w), Some(p)) => format!("{w}/{p}"),
        (Some(name), None) | (None, Some(name)) => name.clone(),
        (None, None) => e.account.clone().unwrap_or_default(),
    };
    // a task is named by itself, wherever it runs
    let task = e.task_name.clone().or_else(|| e.task.clone());
    let target = task.or_else(|| e.group.clone()).unwrap_or(target);
    let exit = e.exit.as_ref().map(|exit| exit.text());
    let unread = e.unread.and_then(|unread| unread.then_some("unread"));
    let pid = e.pid.map(|pid| format!("pid {pid}"));
    let until = e.until.map(|at| format!("until {}", time::point(at)));
    let usage = limit::usage(e.usage.as_ref()).map(|text| Some(text).filter(|t| !t.is_empty()));
    let [cost, context] = usage;
    let context = context.map(|c| format!("context {c}"));
    let details = [
        until.as_deref(),
        cost.as_deref(),
        context.as_deref(),
        e.state.map(State::name),
        e.status.map(Status::name),
        e.task_state.map(TaskState::name),
        unread,
        pid.as_deref(),
        exit.as_deref(),
    ];
    let mut words: Vec<&str> = vec![e.kind.name()];
    words.extend(Some(target.as_str()).filter(|t| !t.is_empty()));
    words.extend(details.into_iter().flatten());
    let message = e.message.as_ref().filter(|m| Some(*m) != exit.as_ref());
    let message = message.map(|m| format!(": {}", clean(m))).unwrap_or_default();
    format!("{FAINT}{:>6} {}{FAINT:#} {}{message}\n", e.seq, time::point(e.at), clean(&words.join(" ")),)
}

/// What a reload would do, or has done.
pub fn plan(plan: &ConfigPlan, done: bool) -> String {
    if plan.changes.is_empty() {
        return "nothing changes\n".into();
    }
    let mut out = String::new();
    for change in &plan.changes {
        let (sign, style) = match change.action {
            ConfigAction::Add => ('+', GOOD),
            ConfigAction::Remove => ('-', BAD),
            ConfigAction::Restart => ('↻', NOTABLE),
            ConfigAction::Change => ('~', STRONG),
        };
        let word = match change.action {
            ConfigAction::Add => "add",
            ConfigAction::Remove => "remove",
            ConfigAction::Restart => "restart",
            ConfigAction::Change => "change",
        };
        let keys = if change.keys.is_empty() {
            String::new()
        } else {
            format!(" ({})", clean(&change.keys.join(", ")))
        };
        out += &format!("{style}{sign}{style:#} {word} {}{keys}\n", clean(&change.target));
    }
    if done {
        out += &format!("config {} is in force\n", plan.generation);
    }
    out
}

/// Colours the head and the glyphs, which stand at the beginning of their lines. It repeats what the
/// words say, and is done after the layout, which counts columns.
pub fn paint(table: &str) -> String {
    let mut out = String::with_capacity(table.len() + 256);
    for (at, line) in table.split_inclusive('\n').enumerate() {
        let first = line.chars().next().unwrap_or(' ');
        let style = match first {
            STEADY | ACHIEVED => GOOD,
            WANTING => NOTABLE,
            BROKEN => BAD,
            RESTING | DROPPED => FAINT,
            _ if at == 0 => {
                out += &format!("{FAINT}{}{FAINT:#}\n", line.trim_end_matches('\n'));
                continue;
            }
            _ => {
                out += line;
                continue;
            }
        };
        out += &format!("{style}{first}{style:#}{}", &line[first.len_utf8()..]);
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use wezterm_parallel_schemas::{
        config::{OnCrashLoop, Strategy},
        daemon::{ConfigChange, DaemonView},
        event::EventKind,
        keeper::ExitRecord,
        limit::Usage,
        process::{Blocked, Kind},
        session::SessionOpen,
    };

    use super::*;

    pub(crate) const NOW: i64 = 1_795_327_622_000;

    pub(crate) fn process(workspace: &str, name: &str, state: State) -> ProcessView {
        ProcessView {
            workspace: workspace.into(),
            name: name.into(),
            id: "01J0000000000000000000000P".into(),
            kind: Kind::Claude,
            state,
            state_reason: None,
            status: None,
            status_reason: None,
            status_since: None,
            unread: false,
            pid: None,
            keeper_pid: None,
            run_id: None,
            session_id: None,
            restarts: 0,
            started_at: None,
            source: Source::Config,
            agent: None,
            command: vec!["claude".into()],
            cwd: "/src/api".into(),
            title: None,
            attached: 0,
            last_exit: None,
            next_start_at: None,
            limited_until: None,
            usage: None,
            prompts: 0,
            asks: 0,
        }
    }

    pub(crate) fn exit(code: i32) -> ExitRecord {
        ExitRecord {
            code: Some(code),
            signal: None,
            ended_at: NOW,
            stopped: false,
            leftovers: 0,
            cpu_ms: 0,
            max_rss_kib: 0,
            log_lost: 0,
            note: None,
        }
    }

    fn some_processes() -> Vec<ProcessView> {
        vec![
            ProcessView {
                status: Some(Status::Blocked(Blocked::Permission)),
                status_reason: Some("Bash: rm -rf target\x1b[2J && cargo build --release".into()),
                pid: Some(41_001),
                started_at: Some(NOW - 7_500_000),
                ..process("api", "lead", State::Running)
            },
            ProcessView {
                status: Some(Status::RateLimited),
                status_reason: Some("You've hit your limit · resets 8:44am (UTC)".into()),
                limited_until: Some(NOW + 83 * 60_000),
                usage: Some(Usage { cost_usd: Some(1.236), context_percent: Some(42.0), ..Usage::default() }),
                pid: Some(41_003),
                started_at: Some(NOW - 65_000),
                ..process("api", "third", State::Running)
            },
            ProcessView {
                status: Some(Status::Idle),
                unread: true,
                pid: Some(41_002),
                started_at: Some(NOW - 65_000),
                title: Some("✳ Write the tests".into()),
                ..process("api", "second", State::Running)
            },
            ProcessView {
                kind: Kind::Command,
                restarts: 2,
                last_exit: Some(exit(101)),
                next_start_at: Some(NOW + 1_500),
                ..process("api", "tests", State::Backoff)
            },
            ProcessView {
                restarts: 6,
                state_reason: Some("failed 6 times in 60s: exit code 1".into()),
                ..process("日本語", "テスト", State::CrashLoop)
            },
            process("web", "lead", State::Stopped),
        ]
    }

    pub(crate) fn workspace(name: &str, open: bool) -> WorkspaceView {
        WorkspaceView {
            name: name.into(),
            id: "01J0000000000000000000000W".into(),
            cwd: "/home/u/src/a/rather/deep/directory/api".into(),
            open,
            source: Source::Config,
            strategy: Strategy::OneForOne,
            on_crash_loop: OnCrashLoop::Nothing,
            layout: None,
            processes: 3,
            running: 2,
            problem: None,
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn processes_at_80_columns() {
        insta::assert_snapshot!(plain(&processes(&some_processes(), NOW, Some(80))));
    }

    #[test]
    fn a_claude_of_somebody_else_is_marked_and_has_no_workspace() {
        let foreign = ProcessView {
            source: Source::Foreign,
            name: "sess one\x1b[2J".into(),
            status: Some(Status::Working),
            status_reason: None,
            pid: Some(3_809),
            session_id: Some("236c11d6-8d66-427f-9f5d-c3215e6e1e1b".into()),
            started_at: Some(NOW - 65_000),
            ..process("", "", State::Running)
        };
        let list = [process("api", "lead", State::Stopped), foreign];
        let show = |width| plain(&processes(&list, NOW, width));
        insta::assert_snapshot!(format!(
            "{}\n----\n{}\n----\n{}",
            show(None),
            show(Some(80)),
            show(Some(40))
        ));
    }

    #[test]
    fn sessions_in_a_pipe_and_at_80_columns() {
        let session = |id: &str, open| SessionView {
            session_id: id.into(),
            cwd: "/src/api".into(),
            title: None,
            first_prompt: Some("fix the\x1b[2J tests, then tell me what was wrong with them".into()),
            last_prompt: Some("and now commit".into()),
            started_at: NOW - 9_000_000,
            updated_at: NOW - 7_500_000,
            cost_usd: Some(1.2345),
            model: Some("claude-opus-5-5".into()),
            branch: Some("main".into()),
            bytes: 3_141_592,
            open,
        };
        let list = [
            session(
                "236c11d6-8d66-427f-9f5d-c3215e6e1e1b",
                Some(SessionOpen { pid: 77, process: Some("api/lead".into()) }),
            ),
            session("336c11d6-8d66-427f-9f5d-c3215e6e1e1b", Some(SessionOpen { pid: 78, process: None })),
            SessionView {
                title: Some("the tests".into()),
                cost_usd: None,
                bytes: 14_200,
                ..session("436c11d6-8d66-427f-9f5d-c3215e6e1e1b", None)
            },
        ];
        let show = |everywhere, width| plain(&sessions(&list, everywhere, NOW, width));
        insta::assert_snapshot!(format!("{}\n----\n{}", show(true, None), show(false, Some(80))));
    }

    #[test]
    fn processes_at_40_columns() {
        insta::assert_snapshot!(plain(&processes(&some_processes(), NOW, Some(40))));
    }

    #[test]
    fn processes_in_a_pipe() {
        insta::assert_snapshot!(plain(&processes(&some_processes(), NOW, None)));
    }

    #[test]
    fn everything_at_80_and_40_columns() {
        let all = StatusView {
            daemon: DaemonView {
                pid: 4_000,
                version: "0.1.0".into(),
                protocol: 1,
                socket: "/run/user/1000/wezterm-parallel/daemon.sock".into(),
                config: "/home/u/.config/wezterm-parallel/config.yaml".into(),
                config_generation: 3,
                config_error: Some("line 7, column 3: unknown key `comand`\n  | comand: [x]\n  | ^\nhint: did you mean `command`?".into()),
                started_at: NOW - 100_000_000,
                problem: Some("the disk is full".into()),
            },
            workspaces: vec![
                workspace("api", true),
                WorkspaceView { problem: Some("the directory is gone".into()), ..workspace("web", false) },
            ],
            processes: some_processes(),
        };
        let show = |width| plain(&status_of_all(&all, NOW, Some(width)));
        insta::assert_snapshot!(format!("{}\n----\n{}", show(80), show(40)));
    }

    #[test]
    fn events_and_plans_are_a_line_each() {
        let events = [
            Event {
                seq: 12,
                at: NOW,
                workspace: Some("api".into()),
                process: Some("lead".into()),
                exit: Some(exit(1)),
                ..Event::new(EventKind::ProcessExit)
            },
            Event {
                seq: 14,
                at: NOW,
                account: Some("/home/u/.claude".into()),
                until: Some(NOW + 3_600_000),
                message: Some("You've hit your limit".into()),
                ..Event::new(EventKind::LimitReached)
            },
            Event {
                seq: 13,
                at: NOW,
                message: Some("line 1\nline 2".into()),
                ..Event::new(EventKind::ConfigRefused)
            },
            Event {
                seq: 15,
                at: NOW,
                workspace: Some("api".into()),
                task: Some("01J0000000000000000000000A".into()),
                task_name: Some("build".into()),
                task_state: Some(TaskState::Failed),
                group: Some("night".into()),
                message: Some("exit code 1".into()),
                ..Event::new(EventKind::TaskChanged)
            },
            Event {
                seq: 16,
                at: NOW,
                group: Some("night".into()),
                message: Some("paused".into()),
                ..Event::new(EventKind::GroupChanged)
            },
        ];
        let changes = [ConfigAction::Add, ConfigAction::Remove, ConfigAction::Restart, ConfigAction::Change]
            .map(|action| ConfigChange { action, target: "api/lead".into(), keys: vec!["args".into()] });
        let text = plan(&ConfigPlan { generation: 4, changes: changes.into() }, true);
        insta::assert_snapshot!(plain(&format!("{}{text}", events.iter().map(event).collect::<String>())));
    }

    #[test]
    fn one_of_a_thing_is_not_many() {
        assert_eq!(
            [count(0_u32, "run"), count(1_u32, "process"), count(2_usize, "process")],
            ["0 runs", "1 process", "2 processes"]
        );
    }

    #[test]
    fn what_an_agent_asks_without_a_dialog_is_shown_all_the_same() {
        let working =
            ProcessView { status: Some(Status::Working), asks: 1, ..process("api", "lead", State::Running) };
        let list = plain(&processes(&[working], NOW, None));
        assert!(
            list.contains("▲ api/lead") && list.contains("asks something: `inbox show api/lead`"),
            "{list}"
        );
    }

    #[test]
    fn colours_repeat_the_glyph_and_nothing_else() {
        let list = processes(&some_processes(), NOW, Some(80));
        assert!(list.contains(&format!("{BAD}{BROKEN}{BAD:#} 日本語/テスト")), "{list}");
        assert!(!list.contains("\x1b[2J"), "an agent's text steers the terminal");
    }
}
