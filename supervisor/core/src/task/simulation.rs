//! A world in which everything goes wrong that may: daemons that are killed at any moment, a disk that keeps
//! what it was told later or refuses it, words that come late, twice, or only after they were asked for again,
//! clocks that jump, users who want this and then that. Whatever happens, each task that was accepted comes to
//! one end, no run begins twice, no two runs of a task live, and limits and order are kept.
//!
//! All of it follows from one number. A failure prints it; `SEED=N cargo test -p wezterm-parallel-core task`
//! does that one alone.

use std::collections::{BTreeMap, VecDeque};

use super::*;

const SEEDS: u64 = 2_000;
const STEPS: usize = 400;
const GROUPS: [&str; 3] = ["default", "docs", "tests"];
const ACCOUNTS: [&str; 2] = ["me", "work"];
const AGENTS: [&str; 2] = ["claude", "other"];

/// xorshift64*: the same numbers everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % n
    }
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// A run that has begun, by its keeper: it outlives daemons.
struct Keeper {
    ends_at: i64,
    outcome: Outcome,
    stopped: bool,
}

struct World {
    dice: Dice,
    now: i64,
    tasks: Tasks,
    /// What the disk has, and what it was told and has not written yet, in that order.
    disk: BTreeMap<String, TaskRow>,
    writes: VecDeque<(TaskRow, u64)>,
    keepers: BTreeMap<String, Keeper>,
    /// How each run ended, by what its keeper has left.
    records: BTreeMap<String, Outcome>,
    /// Every run that has ever begun, and those that never may any more.
    begun: HashSet<String>,
    sealed: HashSet<String>,
    /// What is on its way to the tasks.
    words: Vec<Input>,
    /// With whom each was added.
    batches: HashMap<String, Vec<String>>,
    /// Tasks whose first row has come to the disk: somebody was told that they are accepted.
    accepted: HashSet<String>,
    /// Tasks of which the disk knows that they are to end.
    unwanted: HashSet<String>,
    /// The first end of each that came to the disk.
    ends: BTreeMap<String, TaskState>,
    parallel: usize,
    groups: HashMap<String, usize>,
    agents: HashSet<String>,
    added: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            now: 1_700_000_000_000,
            tasks: Tasks::default(),
            disk: BTreeMap::new(),
            writes: VecDeque::new(),
            keepers: BTreeMap::new(),
            records: BTreeMap::new(),
            begun: HashSet::new(),
            sealed: HashSet::new(),
            words: Vec::new(),
            batches: HashMap::new(),
            accepted: HashSet::new(),
            unwanted: HashSet::new(),
            ends: BTreeMap::new(),
            parallel: TASKS_PARALLEL_DEFAULT as usize,
            groups: HashMap::new(),
            agents: AGENTS.map(String::from).into(),
            added: 0,
        };
        world.limits();
        world
    }

    fn tell(&mut self, input: Input) {
        let chance = self.dice.below(1_001) as f64 / 1_000.0;
        let before = self.started();
        let effects = self.tasks.step(input, self.now, chance);
        self.check_starts(&before);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Save { row, number } => self.writes.push_back((*row, number)),
                Effect::Launch { run, .. } => self.launch(&run),
                Effect::Stop { run } => {
                    if let Some(keeper) = self.keepers.get_mut(&run) {
                        keeper.stopped = true;
                        keeper.ends_at = keeper.ends_at.min(self.now + 50);
                    }
                }
            }
        }
    }

    /// A keeper begins, if none of this name ever has.
    fn launch(&mut self, run: &str) {
        let row = self.disk.values().find(|row| row.run() == run);
        assert_eq!(row.map(|r| r.state), Some(TaskState::Running), "{run} is asked for and not on the disk");
        assert!(!self.begun.contains(run), "{run} is asked for twice");
        if self.sealed.contains(run) {
            return;
        }
        let id = run.rsplit_once('-').expect("a run").0;
        let other = self.keepers.keys().find(|other| other.rsplit_once('-').is_some_and(|(o, _)| o == id));
        assert_eq!(other, None, "{run} begins while another run of the task lives");
        self.begun.insert(run.into());
        let account = self.tasks.row(id).and_then(|row| row.spec.account.clone());
        let outcome = self.outcome(account.is_some());
        let ends_at = self.now + 1 + self.dice.below(20_000) as i64;
        self.keepers.insert(run.into(), Keeper { ends_at, outcome, stopped: false });
        self.send(Input::Lives { run: run.into(), session: Some(format!("session of {id}")) });
    }

    fn outcome(&mut self, agent: bool) -> Outcome {
        match self.dice.below(if agent { 12 } else { 8 }) {
            0 | 1 => Outcome::Crash("exit code 1".into()),
            2 => Outcome::Final("bad usage".into()),
            8 => Outcome::UsageLimit { until: self.now + self.dice.below(100_000) as i64 },
            9 => Outcome::Busy { wait: self.dice.one_in(2).then_some(3_000) },
            10 if self.dice.one_in(4) => Outcome::Auth,
            _ => Outcome::Success,
        }
    }

    /// A word is on its way: sometimes twice.
    fn send(&mut self, word: Input) {
        if self.dice.one_in(5) {
            self.words.push(word.clone());
        }
        self.words.push(word);
    }

    /// One word comes, any of them. One that is lost is said again later, as who says it asks for an answer.
    fn deliver(&mut self) {
        if self.words.is_empty() {
            return;
        }
        let n = self.dice.below(self.words.len());
        if self.dice.one_in(10) {
            return;
        }
        let word = self.words.swap_remove(n);
        self.tell(word);
    }

    /// The disk writes the oldest of what it was told. Tasks that were added together it takes together, or it
    /// refuses all of them.
    fn write(&mut self) {
        let Some((row, number)) = self.writes.pop_front() else { return };
        let id = row.spec.id.clone();
        if self.accepted.contains(&id) {
            return self.written(row, number);
        }
        let batch = self.batches[&id].clone();
        if self.dice.one_in(20) {
            // nothing of a task that was refused is kept after that
            self.writes.retain(|(row, _)| !batch.contains(&row.spec.id));
            return self.tell(Input::Unsaved(batch.into_iter().map(|id| (id, number)).collect()));
        }
        self.written(row, number);
        for other in batch.iter().filter(|other| **other != id) {
            let first =
                self.writes.iter().position(|(row, _)| row.spec.id == *other).expect("it was added too");
            let (row, number) = self.writes.remove(first).expect("it is there");
            self.written(row, number);
        }
    }

    fn written(&mut self, row: TaskRow, number: u64) {
        let id = row.spec.id.clone();
        self.accepted.insert(id.clone());
        if row.state.is_end() {
            let first = *self.ends.entry(id.clone()).or_insert(row.state);
            assert_eq!(first, row.state, "{id} has come to two ends");
        } else {
            assert!(!self.ends.contains_key(&id), "{id} goes on after its end: {row:?}");
        }
        if row.wish == Some(Wish::Cancel) {
            self.unwanted.insert(id.clone());
        }
        self.disk.insert(id.clone(), row);
        self.send(Input::Saved { id, number });
    }

    /// Runs end whose time has come.
    fn end_runs(&mut self) {
        let over: Vec<String> =
            self.keepers.iter().filter(|(_, k)| k.ends_at <= self.now).map(|(run, _)| run.clone()).collect();
        for run in over {
            let keeper = self.keepers.remove(&run).expect("it was there");
            let outcome = if keeper.stopped && !self.dice.one_in(4) {
                Outcome::Crash("ended by a signal".into())
            } else {
                keeper.outcome
            };
            self.records.insert(run.clone(), outcome.clone());
            self.send(Input::Ended { run, outcome, session: None });
        }
    }

    /// The daemon is killed, and another one comes. With the machine, if `reboot`.
    fn kill(&mut self, reboot: bool) {
        self.words.clear();
        self.writes.clear();
        if reboot {
            // nothing that lived has left a record
            self.keepers.clear();
        }
        let rows: Vec<TaskRow> = self.disk.values().cloned().collect();
        let (tasks, effects) = Tasks::restore(rows, self.now);
        self.tasks = tasks;
        self.carry_out(effects);
        let runs: Vec<String> = self.tasks.runs().map(TaskRow::run).collect();
        for run in runs {
            if self.keepers.contains_key(&run) {
                self.send(Input::Lives { run, session: None });
            } else if let Some(outcome) = self.records.get(&run).cloned() {
                self.send(Input::Ended { run, outcome, session: None });
            } else {
                self.sealed.insert(run.clone());
                self.send(Input::Lost { run });
            }
        }
        self.limits();
    }

    fn limits(&mut self) {
        let (parallel, groups, agents) = (self.parallel, self.groups.clone(), self.agents.clone());
        self.tell(Input::Limits { parallel, groups, agents });
    }

    fn add(&mut self) {
        let mut specs: Vec<TaskSpec> = Vec::new();
        for _ in 0..=self.dice.below(5) {
            self.added += 1;
            let mut after = Vec::new();
            // of others nobody knows yet
            let known = self.accepted.iter().filter(|id| self.tasks.row(id).is_some()).cloned();
            let mut known: Vec<String> = known.chain(specs.iter().map(|s| s.id.clone())).collect();
            known.sort();
            while !known.is_empty() && self.dice.one_in(2) {
                let other = self.dice.pick(&known).clone();
                if !after.contains(&other) {
                    after.push(other);
                }
            }
            let on_failed = [OnFailedDependency::Skip, OnFailedDependency::Fail, OnFailedDependency::Run];
            specs.push(TaskSpec {
                id: format!("t{:04}", self.added),
                group: (*self.dice.pick(&GROUPS)).into(),
                priority: self.dice.below(7) as i32 - 3,
                after,
                on_failed_dependency: *self.dice.pick(&on_failed),
                retries: self.dice.below(3) as u32,
                timeout: self.dice.one_in(4).then(|| 1_000 + self.dice.below(20_000) as u64),
                deadline: self.dice.one_in(8).then(|| self.now + self.dice.below(200_000) as i64),
                account: self.dice.one_in(2).then(|| (*self.dice.pick(&ACCOUNTS)).into()),
                agent: self.dice.one_in(2).then(|| (*self.dice.pick(&AGENTS)).into()),
            });
        }
        assert_eq!(check(&self.tasks, &specs), Ok(()));
        let batch: Vec<String> = specs.iter().map(|s| s.id.clone()).collect();
        self.batches.extend(batch.iter().map(|id| (id.clone(), batch.clone())));
        self.tell(Input::Add(specs));
    }

    fn any_task(&mut self) -> Option<String> {
        let mut ids: Vec<String> = self.tasks.rows().map(|r| r.spec.id.clone()).collect();
        ids.sort();
        (!ids.is_empty()).then(|| self.dice.pick(&ids).clone())
    }

    fn step(&mut self) {
        match self.dice.below(40) {
            0..=3 if self.added < 60 => self.add(),
            4..=12 => self.write(),
            13..=22 => self.deliver(),
            23..=29 => {
                self.now += self.dice.below(3_000) as i64;
                self.end_runs();
                self.tell(Input::Tick);
            }
            30 => self.now += *self.dice.pick(&[-30_000, 3_600_000, -3_600_000, 90_000]),
            31 => {
                let reboot = self.dice.one_in(4);
                self.kill(reboot);
            }
            32 | 33 => {
                if let Some(id) = self.any_task() {
                    let wish = [Input::Cancel, Input::Pause, Input::Resume, Input::Resume];
                    let wish = self.dice.pick(&wish);
                    self.tell(wish(id));
                }
            }
            34 => {
                let group = (*self.dice.pick(&GROUPS)).to_owned();
                let wish = if self.dice.one_in(2) { Input::PauseGroup } else { Input::ResumeGroup };
                self.tell(wish(group));
            }
            35 => {
                self.parallel = self.dice.below(5);
                let limit = self.dice.below(3);
                self.groups.insert((*self.dice.pick(&GROUPS)).into(), limit);
                let agent = (*self.dice.pick(&AGENTS)).to_owned();
                if !self.agents.remove(&agent) {
                    self.agents.insert(agent);
                }
                self.limits();
            }
            36 => {
                let account = (*self.dice.pick(&ACCOUNTS)).to_owned();
                self.tell(Input::Open(account));
            }
            _ => self.deliver(),
        }
    }

    /// Everything that hinders is taken away, and time goes on until nothing happens any more.
    fn come_to_rest(&mut self) {
        self.parallel = 3;
        self.groups.clear();
        self.agents = AGENTS.map(String::from).into();
        self.limits();
        for group in GROUPS {
            self.tell(Input::ResumeGroup(group.into()));
        }
        for round in 0.. {
            assert!(
                round < 3_000,
                "it never comes to rest: now {} wake {:?} words {} writes {} keepers {:?} {:?}",
                self.now,
                self.tasks.wake_at(),
                self.words.len(),
                self.writes.len(),
                self.keepers.keys().collect::<Vec<_>>(),
                self.open()
            );
            while !self.writes.is_empty() || !self.words.is_empty() {
                self.write();
                self.deliver();
            }
            for account in ACCOUNTS {
                self.tell(Input::Open(account.into()));
            }
            let mut paused: Vec<String> = self
                .tasks
                .rows()
                .filter(|r| r.state == TaskState::Paused)
                .map(|r| r.spec.id.clone())
                .collect();
            paused.sort();
            for id in paused {
                self.tell(Input::Resume(id));
            }
            let next = self.keepers.values().map(|k| k.ends_at).chain(self.tasks.wake_at()).min();
            let Some(next) = next else {
                if self.writes.is_empty() && self.words.is_empty() {
                    return;
                }
                continue;
            };
            self.now = self.now.max(next);
            self.end_runs();
            self.tell(Input::Tick);
        }
    }

    fn open(&self) -> Vec<&TaskRow> {
        self.tasks.rows().filter(|row| !row.state.is_end()).take(3).collect()
    }

    /// The runs that have been given room, and how the tasks stood that wait for it.
    fn started(&self) -> HashSet<String> {
        self.tasks.tasks.values().filter(|t| t.stage.runs()).map(|t| t.row.run()).collect()
    }

    /// What has been given room since was within the limits, and nobody who might have gone was before it.
    fn check_starts(&self, before: &HashSet<String>) {
        let running: Vec<&Task> = self.tasks.tasks.values().filter(|t| t.stage.runs()).collect();
        let new: Vec<&&Task> = running.iter().filter(|t| !before.contains(&t.row.run())).collect();
        if new.is_empty() {
            return;
        }
        assert!(running.len() <= self.tasks.parallel, "{} run, of {}", running.len(), self.tasks.parallel);
        for task in &new {
            let group = &task.row.spec.group;
            let of_group = running.iter().filter(|t| t.row.spec.group == *group).count();
            let limit = self.tasks.groups.get(group).copied().unwrap_or(usize::MAX);
            assert!(of_group <= limit, "{of_group} run of {group}, of {limit}");
            assert!(!self.tasks.paused_groups.contains(group), "{group} is paused");
            let agent = task.row.spec.agent.as_ref();
            assert!(agent.is_none_or(|agent| self.agents.contains(agent)), "there is no {agent:?}");
            // one that still waits and shares all limits with it comes behind it
            let same = self.tasks.tasks.values().filter(|t| {
                t.stage == Stage::Queued
                    && t.row.spec.group == *group
                    && t.row.spec.account == task.row.spec.account
                    && t.row.spec.agent == task.row.spec.agent
            });
            for other in same {
                assert!(
                    (rank(&task.row), &task.row.spec.id) < (rank(&other.row), &other.row.spec.id),
                    "{} goes before {}",
                    task.row.spec.id,
                    other.row.spec.id
                );
            }
        }
    }

    fn check_ends(&self) {
        for id in &self.accepted {
            let row = &self.disk[id];
            assert!(row.state.is_end(), "{id} has come to no end: {row:?}");
            assert_eq!(self.tasks.row(id), Some(row), "what is kept is what is so");
            let done = self.records.iter().any(|(run, outcome)| {
                run.rsplit_once('-').is_some_and(|(of, _)| of == id) && *outcome == Outcome::Success
            });
            assert_eq!(
                row.state == TaskState::Done,
                done,
                "what has succeeded is done, and nothing else: {row:?}"
            );
            if self.unwanted.contains(id) {
                let late = row.reason.as_deref() == Some(DEADLINE);
                let ended = matches!(row.state, TaskState::Canceled | TaskState::Done) || late;
                assert!(ended, "{id} was to end for good: {row:?}");
            }
            let ran =
                self.begun.iter().filter(|run| run.rsplit_once('-').is_some_and(|(of, _)| of == id)).count();
            assert!(ran <= row.attempt as usize);
            if row.state == TaskState::Skipped {
                let failed = row.spec.after.iter().any(|other| self.disk[other].state != TaskState::Done);
                assert!(failed, "{id} was skipped for nothing");
            }
        }
        assert_eq!(self.tasks.running.values().sum::<usize>(), 0);
    }
}

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.come_to_rest();
    world.check_ends();
}

#[test]
fn whatever_happens_each_task_comes_to_one_end_and_no_run_begins_twice() {
    if let Ok(seed) = std::env::var("SEED") {
        return simulate(seed.parse().expect("a number"));
    }
    for seed in 0..SEEDS {
        let run = std::panic::catch_unwind(|| simulate(seed));
        assert!(run.is_ok(), "SEED={seed} shows it");
    }
}

/// Nothing starves: one of the lowest priority has its turn however many others keep coming.
#[test]
fn one_of_the_lowest_priority_has_its_turn_though_others_never_cease() {
    let mut tasks = Tasks::default();
    tasks.step(Input::Limits { parallel: 1, groups: HashMap::new(), agents: HashSet::new() }, 0, 0.5);
    let spec = |id: String, priority| TaskSpec { priority, ..tests::task(&id) };
    let mut inputs = VecDeque::from([Input::Add(vec![spec("last".into(), -PRIORITY_MAX)])]);
    inputs.push_front(Input::Add(vec![spec("first".into(), 0)]));
    let (mut now, mut n) = (0, 0);
    loop {
        while let Some(input) = inputs.pop_front() {
            for effect in tasks.step(input, now, 0.5) {
                match effect {
                    Effect::Save { row, number } => {
                        inputs.push_back(Input::Saved { id: row.spec.id.clone(), number });
                    }
                    Effect::Launch { run, .. } if run == "last-1" => {
                        let bound = 2 * i64::from(PRIORITY_MAX) * AGE_MS;
                        assert!((bound..=bound + AGE_MS).contains(&now), "after {now} ms");
                        return;
                    }
                    Effect::Launch { run, .. } => {
                        // the next one of the highest priority is there before this one is over
                        n += 1;
                        now += 10_000;
                        assert!(n < 10_000, "it never has its turn");
                        inputs.push_back(Input::Add(vec![spec(format!("x{n}"), PRIORITY_MAX)]));
                        inputs.push_back(Input::Ended { run, outcome: Outcome::Success, session: None });
                    }
                    Effect::Stop { run } => panic!("nobody stops {run}"),
                }
            }
        }
    }
}
