//! One workspace: which of its processes may start, which must end, and in what order.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use wezterm_parallel_schemas::config::{Condition, OnCrashLoop, Strategy};

use crate::{process::Report, spec::Millis};

/// A crash loop restarts the workspace at most once within this time; the next one stops it.
const RESTART_WORKSPACE_PERIOD_MS: Millis = 60_000;

/// What the workspace must know of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Member {
    /// What must come first.
    pub after: IndexMap<String, Condition>,
    /// Starts when the workspace is opened.
    pub autostart: bool,
}

/// Where a member stands, as far as others depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Standing {
    started: bool,
    ready: bool,
    /// Rests after a run that ended well.
    done: bool,
    /// Rests, has nothing running.
    rests: bool,
    /// Asked whether it may start, and waits for the answer.
    asks: bool,
}

/// Something happened, or is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Start what has `autostart`.
    Open,
    /// End everything, in reverse start order.
    Close,
    /// A member asks whether it may start.
    Asks(String),
    /// A member has something to tell.
    Told(String, Report),
}

/// Something must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell this member to start.
    Start(String),
    /// Tell this member to end and not to start again.
    Stop(String),
    /// Tell this member to end and to start again.
    Restart(String),
    /// Tell this member that it may start.
    Clear(String),
    /// Tell this member to wait, and why.
    HoldBack(String, String),
    /// Everything that was to end has ended.
    Closed,
}

/// The state machine of one workspace.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    strategy: Strategy,
    on_crash_loop: OnCrashLoop,
    /// In start order.
    members: IndexMap<String, (Member, Standing)>,
    /// Members to end, the next one last; each is told only when the one before it rests.
    ending: Vec<(String, Ending)>,
    /// The member that is being waited for.
    waits_for: Option<String>,
    /// Members that may not start before all of the group have ended.
    group: BTreeSet<String>,
    closing: bool,
    restarted_at: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Stop,
    Restart,
}

impl Workspace {
    /// How it deals with failures.
    pub fn rules(&mut self, strategy: Strategy, on_crash_loop: OnCrashLoop) {
        self.strategy = strategy;
        self.on_crash_loop = on_crash_loop;
    }

    /// Its members from now on, in start order. Those known already keep their standing.
    pub fn members(&mut self, members: impl IntoIterator<Item = (String, Member)>) -> Vec<Effect> {
        let mut old = std::mem::take(&mut self.members);
        self.members = members
            .into_iter()
            .map(|(name, member)| {
                let standing = old
                    .swap_remove(&name)
                    .map_or(Standing { rests: true, ..Standing::default() }, |(_, s)| s);
                (name, (member, standing))
            })
            .collect();
        let known = |name: &String| self.members.contains_key(name);
        self.ending.retain(|(name, _)| known(name));
        self.group.retain(known);
        if self.waits_for.as_ref().is_some_and(|w| !self.members.contains_key(w)) {
            self.waits_for = None;
        }
        let mut effects = Vec::new();
        self.settle(&mut effects);
        effects
    }

    /// A member that runs already when the daemon starts.
    pub fn adopt(&mut self, name: &str) {
        if let Some((_, s)) = self.members.get_mut(name) {
            *s = Standing { started: true, ..Standing::default() };
        }
    }

    /// A member of which the last run may be alive: it says so itself, or that it rests.
    pub fn adopt_unknown(&mut self, name: &str) {
        if let Some((_, s)) = self.members.get_mut(name) {
            *s = Standing::default();
        }
    }

    /// A member that rests after a run that ended well.
    pub fn adopt_done(&mut self, name: &str) {
        if let Some((_, s)) = self.members.get_mut(name) {
            *s = Standing { rests: true, done: true, ..Standing::default() };
        }
    }

    /// Takes one input and says what must be done.
    pub fn step(&mut self, input: Input, now: Millis) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Open => {
                self.closing = false;
                self.ending.clear();
                self.waits_for = None;
                effects.extend(
                    self.members
                        .iter()
                        .filter(|(_, (m, _))| m.autostart)
                        .map(|(n, _)| Effect::Start(n.clone())),
                );
            }
            Input::Close => {
                self.closing = true;
                self.group.clear();
                self.end(self.members.keys().cloned().collect(), Ending::Stop);
            }
            Input::Asks(name) => {
                if let Some((_, s)) = self.members.get_mut(&name) {
                    *s = Standing { asks: true, rests: true, ..Standing::default() };
                }
                self.ended(&name);
            }
            Input::Told(name, report) => self.told(&name, &report, now),
        }
        self.settle(&mut effects);
        effects
    }

    fn told(&mut self, name: &str, report: &Report, now: Millis) {
        let Some((_, s)) = self.members.get_mut(name) else { return };
        match report {
            Report::Started => *s = Standing { started: true, ..Standing::default() },
            Report::Ready => s.ready = true,
            Report::Rested { success } => {
                *s = Standing { rests: true, done: *success, ..Standing::default() };
                self.ended(name);
            }
            Report::Failed => {
                *s = Standing { rests: true, ..Standing::default() };
                let others = self.affected(name);
                if !others.is_empty() && !self.closing {
                    self.group.extend(others.iter().cloned());
                    self.group.insert(name.to_owned());
                    self.end(others, Ending::Restart);
                }
            }
            Report::CrashLoop => self.crash_loop(name, now),
        }
    }

    /// Who is restarted with a member that failed.
    fn affected(&self, name: &str) -> Vec<String> {
        let all = self.members.keys();
        let running = |n: &&String| n.as_str() != name && !self.members[n.as_str()].1.rests;
        match self.strategy {
            Strategy::OneForOne => Vec::new(),
            Strategy::OneForAll => all.filter(running).cloned().collect(),
            Strategy::RestForOne => all.skip_while(|n| *n != name).filter(running).cloned().collect(),
        }
    }

    fn crash_loop(&mut self, name: &str, now: Millis) {
        if self.closing {
            return;
        }
        let others: Vec<String> = self.members.keys().filter(|n| *n != name).cloned().collect();
        let lately = self.restarted_at.is_some_and(|t| now.saturating_sub(t) < RESTART_WORKSPACE_PERIOD_MS);
        match self.on_crash_loop {
            OnCrashLoop::Nothing => {}
            OnCrashLoop::RestartWorkspace if !lately => {
                self.restarted_at = Some(now);
                let running = |n: &String| !self.members[n].1.rests;
                let mut all: Vec<String> = others.into_iter().filter(running).collect();
                // the one in the crash loop rests already and only starts again
                all.push(name.to_owned());
                all.sort_by_key(|n| self.members.get_index_of(n));
                self.group.extend(all.iter().cloned());
                self.end(all, Ending::Restart);
            }
            OnCrashLoop::RestartWorkspace | OnCrashLoop::StopWorkspace => self.end(others, Ending::Stop),
        }
    }

    /// Ends these, given in start order, one after another from the last to the first.
    fn end(&mut self, names: Vec<String>, how: Ending) {
        self.ending.retain(|(n, _)| !names.contains(n));
        self.ending.extend(names.into_iter().map(|n| (n, how)));
        let order = |n: &String| self.members.get_index_of(n);
        let mut ending = std::mem::take(&mut self.ending);
        ending.sort_by_key(|(n, _)| order(n));
        self.ending = ending;
    }

    fn ended(&mut self, name: &str) {
        if self.waits_for.as_deref() == Some(name) {
            self.waits_for = None;
        }
    }

    fn settle(&mut self, out: &mut Vec<Effect>) {
        // the next one to end
        while self.waits_for.is_none() {
            let Some((name, how)) = self.ending.pop() else { break };
            let Some((_, standing)) = self.members.get(&name) else { continue };
            if !standing.rests || standing.asks {
                self.waits_for = (!standing.rests).then(|| name.clone());
            }
            out.push(match how {
                Ending::Stop => Effect::Stop(name),
                Ending::Restart => Effect::Restart(name),
            });
        }
        let all_ended = self.waits_for.is_none() && self.ending.is_empty();
        if all_ended {
            self.group.clear();
            if std::mem::take(&mut self.closing) {
                out.push(Effect::Closed);
            }
        }
        // who may start
        let names: Vec<String> =
            self.members.iter().filter(|(_, (_, s))| s.asks).map(|(n, _)| n.clone()).collect();
        for name in names {
            match self.obstacle(&name) {
                None => {
                    self.members[&name].1.asks = false;
                    self.members[&name].1.rests = false;
                    out.push(Effect::Clear(name));
                }
                Some(reason) => out.push(Effect::HoldBack(name, reason)),
            }
        }
    }

    /// Why a member may not start yet.
    fn obstacle(&self, name: &str) -> Option<String> {
        if self.group.contains(name) {
            return Some(
                "waits until the others of the workspace have ended, to start again with them".into(),
            );
        }
        let (member, _) = self.members.get(name)?;
        member.after.iter().find_map(|(other, condition)| {
            let s = self.members.get(other).map(|(_, s)| *s).unwrap_or_default();
            let (met, what) = match condition {
                Condition::Started => (s.started || s.ready || s.done, "to start"),
                Condition::Ready => (s.ready, "to be ready"),
                Condition::Exited => (s.done, "to end well"),
            };
            (!met).then(|| format!("waits for {other} {what}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(strategy: Strategy, members: &[(&str, &[(&str, Condition)])]) -> Workspace {
        let mut w = Workspace::default();
        w.rules(strategy, OnCrashLoop::Nothing);
        w.members(members.iter().map(|(name, after)| {
            let after = after.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect();
            ((*name).to_owned(), Member { after, autostart: true })
        }));
        w
    }

    /// Asks and starts each of these.
    fn start(w: &mut Workspace, names: &[&str]) {
        for n in names {
            w.step(Input::Asks((*n).into()), 0);
            w.step(Input::Told((*n).into(), Report::Started), 0);
            w.step(Input::Told((*n).into(), Report::Ready), 0);
        }
    }

    fn rested(n: &str) -> Input {
        Input::Told(n.into(), Report::Rested { success: false })
    }

    fn lines(effects: &[Effect]) -> Vec<String> {
        effects
            .iter()
            .map(|e| match e {
                Effect::Start(n) => format!("start {n}"),
                Effect::Stop(n) => format!("stop {n}"),
                Effect::Restart(n) => format!("restart {n}"),
                Effect::Clear(n) => format!("clear {n}"),
                Effect::HoldBack(n, why) => format!("hold {n}: {why}"),
                Effect::Closed => "closed".into(),
            })
            .collect()
    }

    #[test]
    fn one_starts_only_when_those_before_it_have_come_far_enough() {
        let mut w = workspace(Strategy::OneForOne, &[("db", &[]), ("app", &[("db", Condition::Ready)])]);
        assert_eq!(lines(&w.step(Input::Open, 0)), ["start db", "start app"]);
        assert_eq!(lines(&w.step(Input::Asks("app".into()), 0)), ["hold app: waits for db to be ready"]);
        assert_eq!(lines(&w.step(Input::Asks("db".into()), 0))[0], "clear db");
        assert_eq!(
            lines(&w.step(Input::Told("db".into(), Report::Started), 0)),
            ["hold app: waits for db to be ready"]
        );
        assert_eq!(lines(&w.step(Input::Told("db".into(), Report::Ready), 0)), ["clear app"]);
    }

    #[test]
    fn one_that_waits_for_an_end_starts_only_after_a_good_one() {
        let mut w =
            workspace(Strategy::OneForOne, &[("build", &[]), ("app", &[("build", Condition::Exited)])]);
        start(&mut w, &["build"]);
        assert_eq!(lines(&w.step(Input::Asks("app".into()), 0)), ["hold app: waits for build to end well"]);
        assert_eq!(lines(&w.step(rested("build"), 0)), ["hold app: waits for build to end well"]);
        let good = Input::Told("build".into(), Report::Rested { success: true });
        assert_eq!(lines(&w.step(good, 0)), ["clear app"]);
    }

    #[test]
    fn closing_ends_them_one_by_one_in_reverse_start_order() {
        let mut w = workspace(Strategy::OneForOne, &[("a", &[]), ("b", &[]), ("c", &[])]);
        start(&mut w, &["a", "b", "c"]);
        assert_eq!(lines(&w.step(Input::Close, 0)), ["stop c"]);
        assert_eq!(lines(&w.step(rested("c"), 0)), ["stop b"]);
        assert_eq!(lines(&w.step(rested("b"), 0)), ["stop a"]);
        assert_eq!(lines(&w.step(rested("a"), 0)), ["closed"]);
    }

    #[test]
    fn closing_what_rests_is_done_at_once() {
        let mut w = workspace(Strategy::OneForOne, &[("a", &[])]);
        assert_eq!(lines(&w.step(Input::Close, 0)), ["stop a", "closed"]);
    }

    #[test]
    fn a_failure_restarts_whom_the_strategy_names_in_order() {
        for (strategy, ends) in [
            (Strategy::OneForOne, vec![]),
            (Strategy::OneForAll, vec!["c", "a"]),
            (Strategy::RestForOne, vec!["c"]),
        ] {
            let mut w = workspace(strategy, &[("a", &[]), ("b", &[]), ("c", &[])]);
            start(&mut w, &["a", "b", "c"]);
            let mut seen = lines(&w.step(Input::Told("b".into(), Report::Failed), 0));
            for n in &ends {
                assert_eq!(seen.last(), Some(&format!("restart {n}")), "{strategy:?}");
                // it has ended, and asks at once whether it may start again
                w.step(rested(n), 0);
                seen = lines(&w.step(Input::Asks((*n).into()), 0));
                seen.retain(|l| l.starts_with("restart"));
                if *n == "c" && ends.len() > 1 {
                    seen = vec!["restart a".into()];
                }
            }
            let cleared = lines(&w.step(Input::Asks("b".into()), 0));
            assert!(cleared.contains(&"clear b".to_owned()), "{strategy:?} {cleared:?}");
        }
    }

    #[test]
    fn nobody_of_a_group_starts_before_all_of_it_have_ended() {
        let mut w = workspace(Strategy::OneForAll, &[("a", &[]), ("b", &[])]);
        start(&mut w, &["a", "b"]);
        assert_eq!(lines(&w.step(Input::Told("a".into(), Report::Failed), 0)), ["restart b"]);
        let held = lines(&w.step(Input::Asks("a".into()), 0));
        assert_eq!(
            held,
            ["hold a: waits until the others of the workspace have ended, to start again with them"]
        );
        assert_eq!(lines(&w.step(rested("b"), 0)), ["clear a"]);
        assert_eq!(lines(&w.step(Input::Asks("b".into()), 0)), ["clear b"]);
    }

    #[test]
    fn a_crash_loop_harms_no_neighbour_unless_the_config_says_so() {
        let mut w = workspace(Strategy::OneForAll, &[("a", &[]), ("b", &[])]);
        start(&mut w, &["a", "b"]);
        w.step(rested("b"), 0);
        assert_eq!(w.step(Input::Told("b".into(), Report::CrashLoop), 0), []);
        w.rules(Strategy::OneForOne, OnCrashLoop::StopWorkspace);
        assert_eq!(lines(&w.step(Input::Told("b".into(), Report::CrashLoop), 0)), ["stop a"]);
    }

    #[test]
    fn a_crash_loop_restarts_the_workspace_once_and_then_stops_it() {
        let mut w = workspace(Strategy::OneForOne, &[("a", &[]), ("b", &[])]);
        w.rules(Strategy::OneForOne, OnCrashLoop::RestartWorkspace);
        start(&mut w, &["a", "b"]);
        w.step(rested("b"), 0);
        let e = lines(&w.step(Input::Told("b".into(), Report::CrashLoop), 0));
        assert_eq!(e, ["restart b", "restart a"]);
        w.step(rested("a"), 0);
        start(&mut w, &["a", "b"]);
        w.step(rested("b"), 1_000);
        let e = lines(&w.step(Input::Told("b".into(), Report::CrashLoop), 1_000));
        assert_eq!(e, ["stop a"]);
    }

    #[test]
    fn a_member_that_is_taken_out_is_waited_for_no_more() {
        let mut w = workspace(Strategy::OneForOne, &[("a", &[]), ("b", &[])]);
        start(&mut w, &["a", "b"]);
        assert_eq!(lines(&w.step(Input::Close, 0)), ["stop b"]);
        let e = w.members([("a".to_owned(), Member::default())]);
        assert_eq!(lines(&e), ["stop a"]);
    }
}
