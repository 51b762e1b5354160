//! The queue of tasks: how quickly they are accepted, run and gone on with. All of it is durable: what is
//! answered is on the disk. Beside pueue, which has a queue of commands too.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use wezterm_parallel_schemas::{
    daemon::Empty,
    method::{AddTask, ImportTasks, ListGroups, WaitForTasks},
    task::{TaskAdd, TaskImport, TaskWait},
};

use crate::{
    Plan,
    failure::{Context, Try, failed},
    ours::Ours,
    peers::{Fleet, Peer},
    place::{self, Place, wait_for},
    programs::sleeper,
    report::{Figure, Row, Target, Unit},
};

const ENQUEUE: &str = "task added on one connection";
const BY_CLI: &str = "task added by CLI";
const SHORT: &str = "short task, 2 at a time";
const CROWDED: &str = "short task, 2 at a time, 10,000 queued, 1,000 dependencies";
const AFTER_KILL: &str = "daemon killed with 10,000 tasks: a next one has run";
const RAMP: &str = "20 × claude -p at once: all have asked";
/// The rows.
pub const NAMES: &[&str] = &[ENQUEUE, BY_CLI, SHORT, CROWDED, AFTER_KILL, RAMP];

const ADDED: usize = 20_000;
/// Below the number of calls that the daemon lets one connection have unanswered.
const AT_ONCE: usize = 60;
const ADDED_BY_CLI: usize = 50;
const SHORT_TASKS: usize = 500;
/// pueue runs some six in a second.
const SHORT_TASKS_OF_PEER: usize = 50;
const QUEUED: usize = 10_000;
const DEPENDENCIES: usize = 1_000;
const RESTARTS: usize = 5;
const CLAUDES: usize = 20;
/// The group of what waits.
const LATER: &str = "later";

/// Measures them.
pub fn measure(plan: &Plan) -> Vec<Row> {
    let queued = plan.count(QUEUED, 200);
    let dependencies = plan.count(DEPENDENCIES, 20);
    let by_cli = plan.count(ADDED_BY_CLI, 5);
    let short = plan.count(SHORT_TASKS, 20);
    let of_peer = plan.count(SHORT_TASKS_OF_PEER, 6);
    let is_pueue = |peer| peer == Peer::Pueue;
    vec![
        Row::new(ENQUEUE, enqueue(plan.count(ADDED, 500))).target(Target::AtMost(50e-6)),
        plan.beside(Row::new(BY_CLI, add_by_cli(by_cli)), is_pueue, move |_, place| {
            pueue_adds(place, by_cli)
        }),
        plan.beside(
            Row::new(SHORT, run_short(short, 0, 0)).target(Target::AtMost(1e-3)),
            is_pueue,
            move |_, place| pueue_runs(place, of_peer),
        ),
        Row::new(CROWDED, run_short(short, queued, dependencies)),
        Row::new(AFTER_KILL, after_kill(queued, dependencies, plan.count(RESTARTS, 2))),
        Row::new(RAMP, ramp(plan.count(CLAUDES, 2))),
    ]
}

/// A daemon that runs two tasks at a time, and none of the group [`LATER`].
fn ours() -> Try<Ours> {
    let ours = Ours::start(Place::new()?, 0, 1, &sleeper())?;
    let path = ours.place().path("config/wezterm-parallel/config.yaml");
    let config = fs::read_to_string(&path).failed_to("read the config")?;
    let tasks = format!("tasks: {{ parallel: 2, groups: {{ {LATER}: {{ parallel: 0 }} }} }}\n");
    fs::write(&path, config + &tasks).failed_to("write a config")?;
    place::run(ours.command().args(["config", "reload"]))?;
    Ok(ours)
}

fn task(ours: &Ours, group: Option<&str>) -> TaskAdd {
    TaskAdd {
        command: vec!["/bin/true".into()],
        cwd: Some(ours.place().path("work")),
        group: group.map(str::to_owned),
        ..TaskAdd::default()
    }
}

/// Time for each of many that are sent as quickly as they are answered.
fn enqueue(count: usize) -> Try<Figure> {
    let ours = ours()?;
    let mut client = ours.client()?;
    let params = task(&ours, Some(LATER));
    let began = Instant::now();
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..count {
        if waiting.len() == AT_ONCE
            && let Some(id) = waiting.pop_front()
        {
            client.answer::<AddTask>(id)?;
        }
        waiting.push_back(client.send::<AddTask>(&params)?);
    }
    for id in waiting {
        client.answer::<AddTask>(id)?;
    }
    let took = began.elapsed();
    ours.stop()?;
    Ok(each(took, count))
}

fn add_by_cli(count: usize) -> Try<Figure> {
    let ours = ours()?;
    let add = || {
        let mut c = ours.command();
        c.current_dir(ours.place().path("work"));
        c.args(["task", "add", "--group", LATER, "--", "true"]);
        c
    };
    let figure = time_command(count, add)?;
    ours.stop()?;
    Ok(figure)
}

/// Time for each of many commands that do nothing, two at a time, while others wait that may not start.
fn run_short(count: usize, queued: usize, dependencies: usize) -> Try<Figure> {
    let ours = ours()?;
    queue(&ours, queued, dependencies)?;
    let mut client = ours.client()?;
    let tasks = vec![task(&ours, None); count];
    let began = Instant::now();
    let added = client.call::<ImportTasks>(&TaskImport { tasks, ..TaskImport::default() })?;
    let ids = added.into_iter().map(|t| t.id).collect();
    let over = client.call::<WaitForTasks>(&TaskWait { tasks: ids, ..TaskWait::default() })?;
    let took = began.elapsed();
    if over.iter().any(|t| t.state != wezterm_parallel_schemas::task::TaskState::Done) {
        return Err(failed("not all of them are done"));
    }
    ours.stop()?;
    Ok(each(took, count))
}

/// Adds tasks that wait, the first of them with others behind them.
fn queue(ours: &Ours, count: usize, dependencies: usize) -> Try<()> {
    let mut client = ours.client()?;
    for n in 0..count.div_ceil(1_000) {
        let here = 1_000.min(count - n * 1_000);
        let tasks = (0..here).map(|i| {
            let n = n * 1_000 + i;
            let after = if n % 2 == 1 && n / 2 < dependencies && i > 0 {
                vec![format!("t{}", n - 1)]
            } else {
                Vec::new()
            };
            TaskAdd { name: Some(format!("t{n}")), after, ..task(ours, Some(LATER)) }
        });
        client.call::<ImportTasks>(&TaskImport { tasks: tasks.collect(), ..TaskImport::default() })?;
    }
    Ok(())
}

/// From the start of a daemon after a `kill -9` until one more task has been added and is done.
fn after_kill(queued: usize, dependencies: usize, rounds: usize) -> Try<Figure> {
    let ours = ours()?;
    queue(&ours, queued, dependencies)?;
    let mut samples = Vec::new();
    for _ in 0..rounds {
        place::kill(ours.daemon_pid()?);
        let began = Instant::now();
        ours.start_daemon()?;
        let mut client = ours.client()?;
        let added = client.call::<AddTask>(&task(&ours, None))?;
        client.call::<WaitForTasks>(&TaskWait { tasks: vec![added.id], ..TaskWait::default() })?;
        samples.push(began.elapsed());
        let groups = client.call::<ListGroups>(&Empty {})?;
        let waiting = groups.iter().find(|g| g.name == LATER).map_or(0, |g| g.tasks.queued + g.tasks.waiting);
        if waiting as usize != queued {
            return Err(failed(format!("{waiting} of {queued} tasks wait")));
        }
    }
    ours.stop()?;
    Ok(Figure::median(samples))
}

/// From the import of so many prompts until all of their Claudes have asked the API, which keeps them waiting.
fn ramp(count: usize) -> Try<Figure> {
    let site = crate::support::site::Site::with_claude().ok_or_else(|| failed("there is no Claude Code"))?;
    site.project("api");
    site.config(&format!(
        "version: 1\ntasks: {{ parallel: {count} }}\nworkspaces: {{ api: {{ cwd: $WORK/api }} }}\n"
    ));
    site.daemon();
    let mut client = site.client();
    let tasks = (0..count).map(|n| TaskAdd {
        prompt: Some(format!("number {n} [[hang]]")),
        workspace: Some("api".into()),
        ..TaskAdd::default()
    });
    let began = Instant::now();
    let import = TaskImport { tasks: tasks.collect(), ..TaskImport::default() };
    client.call::<ImportTasks>(import).map_err(|e| failed(e.line()))?;
    wait_for("the first questions of all", || {
        let asked: std::collections::HashSet<String> = site.mock().sessions();
        Ok((asked.len() >= count).then_some(()))
    })?;
    let took = began.elapsed();
    site.run(&["stop", "--yes"]);
    Ok(Figure::new(took.as_secs_f64(), Unit::Seconds).noted(format!("{count} Claudes, 4 starting at a time")))
}

fn pueue(place: Place) -> Try<Fleet> {
    let fleet = Peer::Pueue.start(place, 0, &sleeper())?;
    place::run(&mut fleet.with("pueue", &["parallel", "2"]))?;
    Ok(fleet)
}

fn pueue_adds(place: Place, count: usize) -> Try<Figure> {
    let fleet = pueue(place)?;
    place::run(&mut fleet.with("pueue", &["pause"]))?;
    time_command(count, || fleet.with("pueue", &["add", "--", "true"]))
}

fn pueue_runs(place: Place, count: usize) -> Try<Figure> {
    let fleet = pueue(place)?;
    place::run(&mut fleet.with("pueue", &["pause"]))?;
    for _ in 0..count {
        place::run(&mut fleet.with("pueue", &["add", "--", "true"]))?;
    }
    let began = Instant::now();
    place::run(&mut fleet.with("pueue", &["start"]))?;
    place::run(&mut fleet.with("pueue", &["wait", "--quiet"]))?;
    Ok(each(began.elapsed(), count))
}

fn time_command(count: usize, command: impl Fn() -> Command) -> Try<Figure> {
    place::run(&mut command())?;
    let time = |_| {
        let began = Instant::now();
        place::run(&mut command())?;
        Ok(began.elapsed())
    };
    Ok(Figure::median((0..count).map(time).collect::<Try<Vec<Duration>>>()?))
}

fn each(took: Duration, count: usize) -> Figure {
    let rate = count as f64 / took.as_secs_f64();
    Figure::new(took.as_secs_f64() / count as f64, Unit::Seconds)
        .noted(format!("{rate:.0} a second, {count} of them"))
}
