use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn intent(id: &str, kind: IntentKind, at: i64, expires_at: i64) -> Intent {
    Intent::new(id.into(), kind, at, expires_at)
}

fn show(id: &str, at: i64) -> Intent {
    intent(id, IntentKind::ShowDashboard, at, at + 15_000)
}

fn toast(id: &str, at: i64) -> Intent {
    intent(id, IntentKind::Toast, at, at + 60_000)
}

fn wait(gui: &str, focused_at: i64, turn: u64) -> GuiWait {
    GuiWait { gui: gui.into(), pid: 1, focused_at, turn, ..GuiWait::default() }
}

fn done(mut wait: GuiWait, id: &str) -> GuiWait {
    wait.done.push(IntentDone { id: id.into(), problem: None });
    wait
}

/// Ids that this call is given.
fn given(guis: &mut Guis, ticket: Ticket, now: i64) -> Vec<String> {
    guis.hand_out(ticket, now).expect("it waits").into_iter().map(|i| i.id).collect()
}

fn saved(id: &str) -> Input {
    Input::Saved(id.into())
}

/// Two GUIs that wait: `a` with call 1, and `b`, which had the focus last, with call 2.
fn two() -> Guis {
    let mut guis = Guis::default();
    assert_eq!(guis.wait(1, &wait("a", 10, 1), 100), Ok(vec![]));
    assert_eq!(guis.wait(2, &wait("b", 20, 1), 100), Ok(vec![]));
    guis
}

#[test]
fn the_gui_that_had_the_focus_last_is_asked_when_that_is_on_the_disk() {
    let mut guis = two();
    let out = guis.ask(show("i", 200), None, 200).expect("somebody is there");
    assert_eq!(out, [Effect::Save { intent: Box::new(show("i", 200)), gui: Some("b".into()) }]);
    assert_eq!(guis.step(saved("i"), 201), [Effect::Answer(2)]);
    assert_eq!(given(&mut guis, 2, 201), ["i"]);
    let out = guis.wait(3, &done(wait("b", 20, 1), "i"), 300).expect("there is room");
    let [Effect::Forget(id), Effect::Done { gui, problem: None, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!((id.as_str(), gui.gui.as_str(), gui.intents), ("i", "b", 0));
    assert_eq!(guis.wake_at(), None, "all wait, and nothing is asked for");
}

#[test]
fn the_focus_is_told_between_two_calls_and_never_put_back() {
    let mut guis = two();
    let focus = |gui: &str, at| {
        Input::Focus(GuiFocus {
            gui: gui.into(),
            focused_at: at,
            workspace: Some("api".into()),
            ..GuiFocus::default()
        })
    };
    guis.step(focus("a", 30), 101);
    guis.step(focus("a", 5), 102);
    let views = guis.views();
    let first = (views[0].gui.as_str(), views[0].focused_at, views[0].workspace.as_deref());
    assert_eq!(first, ("a", 30, Some("api")));
    let out = guis.ask(show("i", 200), None, 200).expect("somebody is there");
    assert!(matches!(&out[..], [Effect::Save { gui: Some(gui), .. }] if gui == "a"), "{out:?}");
}

#[test]
fn what_is_done_can_be_told_while_a_call_waits() {
    let mut guis = two();
    guis.ask(show("i", 200), None, 200).expect("somebody is there");
    guis.step(saved("i"), 200);
    assert_eq!(given(&mut guis, 2, 200), ["i"]);
    guis.wait(3, &wait("b", 20, 1), 210).expect("there is room");
    let told = GuiFocus {
        gui: "b".into(),
        focused_at: 20,
        done: vec![IntentDone { id: "i".into(), problem: None }],
        ..GuiFocus::default()
    };
    let out = guis.step(Input::Focus(told), 300);
    let [Effect::Forget(id), Effect::Done { problem: None, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!(id, "i");
    assert_eq!(guis.wake_at(), None, "it is not handed out again");
}

#[test]
fn a_later_turn_of_a_gui_takes_the_place_of_an_earlier_one() {
    let mut guis = two();
    assert_eq!(guis.wait(3, &wait("b", 20, 2), 101), Ok(vec![Effect::Supersede(2)]));
    assert_eq!(guis.wait(4, &wait("b", 20, 1), 102), Ok(vec![Effect::Supersede(4)]));
    assert_eq!(guis.hand_out(2, 103), None);
    assert_eq!(guis.hand_out(3, 103), Some(vec![]));
    assert_eq!(guis.wait(5, &wait("b", 20, 1), 104), Ok(vec![Effect::Supersede(5)]), "also in between");
}

#[test]
fn what_was_handed_out_comes_again_until_it_is_done_but_does_not_pester() {
    let mut guis = two();
    guis.ask(show("i", 200), None, 200).expect("somebody is there");
    guis.step(saved("i"), 200);
    assert_eq!(given(&mut guis, 2, 200), ["i"]);
    assert_eq!(guis.wait(3, &wait("b", 20, 1), 210), Ok(vec![]), "it is at work with it");
    assert_eq!(guis.wake_at(), Some(200 + REDELIVER_MS));
    assert_eq!(guis.step(Input::Tick, 200 + REDELIVER_MS), [Effect::Answer(3)]);
    assert_eq!(given(&mut guis, 3, 1_200), ["i"]);
    // another loop of it cannot know of the answer that the one before had
    assert_eq!(guis.wait(4, &wait("b", 20, 2), 1_210), Ok(vec![Effect::Answer(4)]));
}

#[test]
fn a_gui_that_is_gone_loses_what_it_has_not_done_to_another_but_not_toasts_that_it_may_have_shown() {
    let mut guis = two();
    for asked in [show("shown", 200), toast("told", 200)] {
        guis.ask(asked, None, 200).expect("somebody is there");
    }
    guis.step(saved("shown"), 200);
    guis.step(saved("told"), 200);
    assert_eq!(given(&mut guis, 2, 200), ["shown", "told"]);
    guis.ask(toast("untold", 300), None, 300).expect("somebody is there");
    guis.step(saved("untold"), 300);
    assert_eq!(guis.wake_at(), Some(200 + LOST_MS));
    assert_eq!(guis.step(Input::Tick, 199 + LOST_MS), [], "it may come back");
    let out = guis.step(Input::Tick, 200 + LOST_MS);
    let goes_to_a = |e: &Effect| matches!(e, Effect::Save { gui: Some(gui), .. } if gui == "a");
    assert!(goes_to_a(&out[0]) && goes_to_a(&out[3]), "{out:?}");
    assert_eq!(out[1..3], [Effect::Forget("told".into()), Effect::Expired("told".into())]);
    guis.step(saved("shown"), 3_300);
    assert_eq!(guis.step(saved("untold"), 3_300), [Effect::Answer(1)], "answered once for each call");
    assert_eq!(given(&mut guis, 1, 3_300), ["shown", "untold"]);
}

#[test]
fn what_nobody_does_in_time_is_given_up() {
    let mut guis = two();
    guis.ask(show("i", 200), None, 200).expect("somebody is there");
    assert_eq!(guis.wake_at(), Some(15_200));
    assert_eq!(guis.step(Input::Tick, 15_200), [Effect::Forget("i".into()), Effect::Expired("i".into())]);
    assert_eq!(guis.wake_at(), None);
    assert_eq!(guis.wait(3, &done(wait("b", 20, 1), "i"), 15_300), Ok(vec![Effect::Supersede(2)]));
}

#[test]
fn without_a_gui_nothing_can_be_shown_and_a_toast_waits_for_one() {
    let mut guis = Guis::default();
    assert_eq!(guis.ask(show("i", 0), None, 0).expect_err("nobody is there").code, Code::Conflict);
    guis.ask(toast("t", 0), None, 0).expect("it waits");
    guis.step(saved("t"), 1);
    let out = guis.wait(1, &wait("a", 0, 1), 10).expect("there is room");
    assert!(matches!(&out[..], [Effect::Save { gui: Some(gui), .. }] if gui == "a"), "{out:?}");
    assert_eq!(guis.step(saved("t"), 11), [Effect::Answer(1)]);
}

#[test]
fn since_when_a_gui_has_heard_is_shown_as_it_says_itself_or_since_its_first_call() {
    let mut guis = two();
    let since = |turn, connected_at| GuiWait { connected_at, ..wait("b", 20, turn) };
    guis.wait(3, &since(2, Some(90)), 101).expect("there is room");
    // after a reload into a plugin that says nothing of it, it is still the same GUI
    guis.wait(4, &since(3, None), 102).expect("there is room");
    let shown: Vec<_> = guis.views().iter().map(|view| (view.gui.clone(), view.connected_at)).collect();
    assert_eq!(shown, [("b".to_owned(), Some(90)), ("a".to_owned(), Some(100))]);
}

#[test]
fn a_gui_can_be_named() {
    let mut guis = two();
    let out = guis.ask(show("i", 200), Some("a".into()), 200).expect("it is there");
    assert!(matches!(&out[..], [Effect::Save { gui: Some(gui), .. }] if gui == "a"), "{out:?}");
    let refused = guis.ask(show("j", 200), Some("c".into()), 200).expect_err("it is not there");
    assert_eq!(refused.code, Code::NotFound);
}

#[test]
fn after_a_restart_a_gui_has_time_to_come_back_for_what_it_was_asked() {
    let rows = vec![(show("i", 100), Some("a".to_owned())), (toast("t", 100), Some("a".to_owned()))];
    let mut guis = Guis::restore(rows.clone(), 200);
    assert_eq!(guis.wait(1, &wait("b", 20, 1), 300), Ok(vec![]), "they are not its");
    assert_eq!(guis.wake_at(), Some(200 + LOST_MS));
    assert_eq!(guis.wait(2, &wait("a", 10, 1), 400), Ok(vec![Effect::Answer(2)]));
    assert_eq!(given(&mut guis, 2, 400), ["i", "t"]);

    let mut guis = Guis::restore(rows, 200);
    guis.wait(1, &wait("b", 20, 1), 300).expect("there is room");
    let out = guis.step(Input::Tick, 200 + LOST_MS);
    assert!(matches!(&out[0], Effect::Save { gui: Some(gui), intent } if gui == "b" && intent.id == "i"));
    assert_eq!(out[1..], [Effect::Forget("t".into()), Effect::Expired("t".into())]);
}

#[test]
fn there_is_no_end_of_time_without_work() {
    let mut guis = Guis::restore(vec![(show("i", 0), Some("a".to_owned()))], 0);
    guis.step(Input::Tick, LOST_MS);
    assert_eq!(guis.wake_at(), Some(15_000), "nobody is there to have it: only its end is awaited");
    guis.step(Input::Tick, 15_000);
    assert_eq!(guis.wake_at(), None);
}

#[test]
fn there_is_room_for_so_many_guis_and_those_that_are_gone_make_room() {
    let mut guis = Guis::default();
    for n in 0..GUIS_MAX {
        guis.wait(n as u64, &wait(&n.to_string(), 0, 1), 0).expect("there is room");
    }
    assert_eq!(guis.wait(99, &wait("late", 0, 1), 0).expect_err("it is full").code, Code::Busy);
    guis.step(Input::Left(3), 0);
    guis.wait(99, &wait("late", 0, 1), LOST_MS).expect("one is gone");
    assert_eq!(guis.views().len(), GUIS_MAX);
}

#[derive(Clone, Debug)]
enum Act {
    /// A GUI calls, and says that it has done what it knows of.
    Call { gui: usize, focus: bool, new_turn: bool },
    /// Its connection breaks.
    Drop(usize),
    /// Something is asked for.
    Ask { toast: bool },
    /// The disk catches up.
    Save,
    /// The daemon is killed, and another one begins.
    Kill,
    /// An answer is lost on its way, and the GUI does not know.
    Lose(usize),
    /// Time passes.
    Pass(i64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..3_usize, any::<bool>(), any::<bool>())
            .prop_map(|(gui, focus, new_turn)| Act::Call { gui, focus, new_turn }),
        1 => (0..3_usize).prop_map(Act::Drop),
        3 => any::<bool>().prop_map(|toast| Act::Ask { toast }),
        3 => Just(Act::Save),
        1 => Just(Act::Kill),
        1 => (0..3_usize).prop_map(Act::Lose),
        3 => (1..4_000_i64).prop_map(Act::Pass),
    ]
}

/// An intent as it is kept, with whose it is.
type Row = (Intent, Option<String>);

/// A daemon with its disk, and three GUIs that remember what they have done.
#[derive(Default)]
struct World {
    guis: Guis,
    now: i64,
    ticket: Ticket,
    asked: u32,
    disk: BTreeMap<String, Row>,
    writes: Vec<(String, Option<Row>)>,
    /// Who holds an intent, since when it was handed out.
    holder: BTreeMap<String, String>,
    /// The call that each GUI has open.
    open: [Option<Ticket>; 3],
    turns: [u64; 3],
    /// What each GUI was given and has not said to be done.
    todo: [BTreeSet<String>; 3],
    /// How often each GUI has done something.
    did: BTreeMap<(usize, String), u32>,
    remembered: [BTreeSet<String>; 3],
    lose: [bool; 3],
    /// When they were handed out, done or given up.
    over: BTreeSet<String>,
    alive: BTreeMap<String, i64>,
}

impl World {
    fn name(gui: usize) -> String {
        ["a", "b", "c"][gui].to_owned()
    }

    fn run(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Save { intent, gui } => {
                    // it moves to another only from one that is not there
                    self.holder.remove(&intent.id);
                    self.writes.push((intent.id.clone(), Some((*intent, gui))));
                }
                Effect::Forget(id) => self.writes.push((id, None)),
                Effect::Answer(ticket) => self.answer(ticket),
                Effect::Supersede(ticket) => {
                    for open in &mut self.open {
                        open.take_if(|t| *t == ticket);
                    }
                }
                Effect::Done { id, .. } => {
                    self.over.insert(id);
                }
                Effect::Expired(id) => {
                    let toast = self.disk.get(&id).is_none_or(|(i, _)| i.kind == IntentKind::Toast);
                    let late = self.alive[&id] <= self.now;
                    // a toast that may have been shown goes with its GUI
                    assert!(late || toast, "given up before its time");
                    self.over.insert(id);
                }
            }
        }
    }

    fn answer(&mut self, ticket: Ticket) {
        let gui = self.open.iter().position(|t| *t == Some(ticket)).expect("only who waits is answered");
        self.open[gui] = None;
        let intents = self.guis.hand_out(ticket, self.now).expect("it waits");
        for intent in intents {
            assert!(intent.expires_at > self.now, "it is not worth doing any more");
            assert!(self.disk.contains_key(&intent.id) || self.writes.iter().any(|(id, _)| *id == intent.id));
            let before = self.holder.insert(intent.id.clone(), Self::name(gui));
            assert!(before.is_none_or(|b| b == Self::name(gui)), "two have it at a time");
            if !self.lose[gui] {
                self.todo[gui].insert(intent.id);
            }
        }
        self.lose[gui] = false;
    }

    fn flush(&mut self) {
        for (id, row) in std::mem::take(&mut self.writes) {
            match row {
                Some(row) => {
                    self.disk.insert(id.clone(), row);
                    let out = self.guis.step(Input::Saved(id), self.now);
                    self.run(out);
                }
                None => {
                    self.disk.remove(&id);
                }
            }
        }
    }

    fn call(&mut self, gui: usize, focus: bool, new_turn: bool) {
        self.turns[gui] += u64::from(new_turn);
        let mut wait = wait(&Self::name(gui), if focus { self.now } else { 0 }, self.turns[gui]);
        for id in std::mem::take(&mut self.todo[gui]) {
            // it does once what it does not remember
            if self.remembered[gui].insert(id.clone()) {
                *self.did.entry((gui, id.clone())).or_default() += 1;
            }
            wait.done.push(IntentDone { id, problem: None });
        }
        self.ticket += 1;
        let out = self.guis.wait(self.ticket, &wait, self.now).expect("there are only three");
        // the one before is told that it is superseded
        self.open[gui] = Some(self.ticket);
        self.run(out);
    }

    fn step(&mut self, act: &Act) {
        match *act {
            Act::Call { gui, focus, new_turn } => self.call(gui, focus, new_turn),
            Act::Drop(gui) => {
                if let Some(ticket) = self.open[gui].take() {
                    let out = self.guis.step(Input::Left(ticket), self.now);
                    self.run(out);
                }
            }
            Act::Ask { toast: is_toast } => {
                self.asked += 1;
                let id = format!("{:04}", self.asked);
                let asked = if is_toast { toast(&id, self.now) } else { show(&id, self.now) };
                let expires_at = asked.expires_at;
                if let Ok(out) = self.guis.ask(asked, None, self.now) {
                    self.alive.insert(id, expires_at);
                    self.run(out);
                }
            }
            Act::Save => self.flush(),
            Act::Kill => {
                // what was not written is gone: nobody was told that it is there
                for (id, row) in std::mem::take(&mut self.writes) {
                    if row.is_some() && !self.disk.contains_key(&id) {
                        self.over.insert(id);
                    }
                }
                self.open = [None; 3];
                self.guis = Guis::restore(self.disk.values().cloned().collect(), self.now);
                let out = self.guis.step(Input::Tick, self.now);
                self.run(out);
            }
            Act::Lose(gui) => self.lose[gui] = true,
            Act::Pass(ms) => {
                let until = self.now + ms;
                while let Some(at) = self.guis.wake_at().filter(|at| *at <= until) {
                    assert!(at >= self.now - LOST_MS, "a time that has long passed is not waited for");
                    self.now = self.now.max(at);
                    let before = self.guis.wake_at();
                    let out = self.guis.step(Input::Tick, self.now);
                    let quiet = out.is_empty();
                    self.run(out);
                    assert!(!quiet || self.guis.wake_at() != before, "it is woken for nothing, for ever");
                }
                self.now = until;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 256 } else { 2_048 }))]
    #[test]
    fn no_intent_is_lost_or_done_twice_by_a_gui_or_had_by_two_whatever_happens(
        script in proptest::collection::vec(act(), 1..120)
    ) {
        let mut world = World { now: 1_000_000, ..World::default() };
        for act in &script {
            world.step(act);
        }
        // then one of them goes on waiting, and nothing else happens
        for _ in 0..12 {
            world.lose[0] = false;
            world.call(0, true, false);
            world.flush();
            world.step(&Act::Pass(1_100));
            world.flush();
        }
        for (id, expires_at) in &world.alive {
            let done = world.did.keys().any(|(_, did)| did == id);
            let over = world.over.contains(id) || *expires_at <= world.now;
            prop_assert!(done || over, "{id} is lost");
        }
        prop_assert!(world.did.values().all(|times| *times == 1), "done twice: {:?}", world.did);
    }
}
