//! What hooks cost: one of ours from its start to its end beside a program that does nothing, and a turn
//! of the real Claude with them and without. Claude waits for each of its hooks.

use std::{
    io::{BufRead, BufReader, Write as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use wezterm_parallel_schemas::{
    keeper::{PROCESS_MARK, RUN_MARK},
    process::{ProcessView, State},
};

use crate::{
    Plan,
    failure::{Context, Try, failed},
    report::{Figure, Row, Target},
    support::site::{Site, executable},
};

const EXEC: &str = "a hook, from its start to its end";
const TURN: &str = "hooks in a turn of Claude";
/// The rows.
pub const NAMES: &[&str] = &[EXEC, TURN];

/// Time in which a hook is meant to be through.
const EXEC_MAX: Target = Target::AtMost(2e-3);
const EXECS: usize = 300;
const TURNS: usize = 120;
/// Turns that are not counted: the first ones load code.
const WARM_TURNS: usize = 5;

/// What Claude gives a hook at the end of a turn.
const INPUT: &str = r#"{"session_id":"f649621f-d2eb-4d4c-9c1e-a713353676e1","transcript_path":"/home/dev/.claude/projects/-home-dev-repo/f649621f-d2eb-4d4c-9c1e-a713353676e1.jsonl","cwd":"/home/dev/repo","prompt_id":"a5d5c6ba-7272-458a-84e5-a3b8493323c2","permission_mode":"default","effort":{"level":"medium"},"hook_event_name":"Stop","stop_hook_active":false,"last_assistant_message":"all done","background_tasks":[],"session_crons":[]}"#;

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let execs = plan.count(EXECS, 20);
    let row = Row::new(EXEC, exec(execs)).target(EXEC_MAX);
    let row = row.beside("true", run_often(execs, || Command::new("true")).map(Figure::median));
    vec![row, Row::new(TURN, turns(plan.count(TURNS, 5)))]
}

/// A place with an agent that does nothing.
fn still() -> Try<(Site, ProcessView)> {
    let site = Site::new();
    site.project("api");
    site.script("claude", "#!/bin/sh\nexec sleep 1000\n");
    site.config(
        "version: 1\nworkspaces: { api: { cwd: $WORK/api, processes: { lead: { agent: claude } } } }\n",
    );
    site.daemon();
    let lead = site.wait_state("api/lead", State::Running);
    Ok((site, lead))
}

fn exec(count: usize) -> Try<Figure> {
    let (site, lead) = still()?;
    let run = lead.run_id.ok_or_else(|| failed("it has not run"))?;
    let times = run_often(count, || {
        let mut command = site.command(executable());
        command.arg("hook").arg("--state").arg(site.path("state/wezterm-parallel"));
        command.env(RUN_MARK, &run).env(PROCESS_MARK, &lead.id);
        command
    })?;
    Ok(Figure::median(times))
}

/// How long a program takes with a hook's input, from before its start until it is gone.
fn run_often(count: usize, command: impl Fn() -> Command) -> Try<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let mut command = command();
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().failed_to("start a program")?;
        // one that reads nothing may be gone before it has all
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(INPUT.as_bytes()));
        child.wait().failed_to("wait for a program")?;
        times.push(began.elapsed());
    }
    Ok(times)
}

fn turns(count: usize) -> Try<Figure> {
    let Some(site) = Site::with_claude() else { return Err(failed("left out, as all that needs Claude is")) };
    site.project("api");
    site.config(
        "version: 1\nworkspaces: { api: { cwd: $WORK/api, processes: { lead: { agent: claude } } } }\n",
    );
    site.daemon();
    let lead = site.wait_state("api/lead", State::Running);
    let settings = site.path("state/wezterm-parallel/settings").join(format!("{}.json", lead.id));
    let (mut with, mut without) = (
        Talk::begin(&site, &lead, &["--settings", settings.to_str().ok_or_else(|| failed("a path"))?])?,
        Talk::begin(&site, &lead, &[])?,
    );
    let (mut slow, mut quick) = (Vec::new(), Vec::new());
    // by turns, so that what else the machine does meets both
    for turn in 0..count + WARM_TURNS {
        let times = (with.turn()?, without.turn()?);
        if turn >= WARM_TURNS {
            slow.push(times.0);
            quick.push(times.1);
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (slow, quick) = (median(slow), median(quick));
    let note = format!(
        "median turn {} with, {} without, n {count}",
        Figure::time(slow).shown(),
        Figure::time(quick).shown()
    );
    Ok(Figure::time(slow.saturating_sub(quick)).noted(note))
}

/// A Claude that is told one prompt after the other.
struct Talk {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Talk {
    fn begin(site: &Site, lead: &ProcessView, more: &[&str]) -> Try<Self> {
        let mut command = site.command("claude");
        command.args(["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]);
        command.args(more).current_dir(site.path("work/api"));
        command.env(RUN_MARK, lead.run_id.as_deref().unwrap_or_default()).env(PROCESS_MARK, &lead.id);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().failed_to("start Claude")?;
        let out = child.stdout.take().ok_or_else(|| failed("there is no pipe"))?;
        Ok(Self { child, answers: BufReader::new(out) })
    }

    /// One prompt, until its turn is over.
    fn turn(&mut self) -> Try<Duration> {
        let began = Instant::now();
        let stdin = self.child.stdin.as_mut().ok_or_else(|| failed("there is no pipe"))?;
        stdin
            .write_all(b"{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"[[text:x]]\"}}\n")
            .failed_to("tell Claude something")?;
        let mut line = String::new();
        while self.answers.read_line(&mut line).failed_to("read what Claude says")? > 0 {
            if line.contains("\"type\":\"result\"") {
                return Ok(began.elapsed());
            }
            line.clear();
        }
        Err(failed("Claude has ended"))
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // it is ours, and has nothing to lose
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
