//! Scripts of what happens to requests, and a property over any order of it.

use proptest::prelude::*;

use super::*;

/// A request of the agent `p` itself to use a tool.
pub(crate) fn view(id: &str) -> AskView {
    AskView {
        id: id.into(),
        workspace: "api".into(),
        process: "lead".into(),
        process_id: "p".into(),
        run_id: "r".into(),
        session_id: None,
        kind: AskKind::Permission,
        tool: "Bash".into(),
        summary: format!("echo {id}"),
        input: format!("{{\"command\":\"echo {id}\"}}"),
        shortened: false,
        diff: None,
        questions: Vec::new(),
        cwd: "/".into(),
        agent: None,
        agent_id: None,
        at: 100,
        state: AskState::Open,
        decision: None,
    }
}

/// What the hook of one that is allowed prints.
fn allowed() -> String {
    let view = AskView { decision: Some(user()), ..view("a") };
    decision::output(&view).expect("it is decided")
}

fn asks(view: AskView, holder: Holder) -> Input {
    Input::Asked(Box::new(Asked { view, attended: true, holder }))
}
fn headless(view: AskView, holder: Holder) -> Input {
    Input::Asked(Box::new(Asked { view, attended: false, holder }))
}
fn blocked(why: Option<&str>) -> Input {
    Input::Blocked { process_id: "p".into(), why: why.map(str::to_owned) }
}
fn user() -> Decision {
    Decision { at: 150, by: "user".into(), pid: Some(7), ..Decision::default() }
}
fn taken(id: &str) -> Input {
    Input::Taken { id: id.into(), run_id: "r".into() }
}

/// An inbox that remembers its timers and what has become of each request.
#[derive(Default)]
struct Desk {
    inbox: Inbox,
    armed: Vec<(String, u64, Millis)>,
    given: Vec<(Holder, Option<String>)>,
    over: IndexMap<String, AskView>,
}

impl Desk {
    fn with(inputs: impl IntoIterator<Item = Input>) -> Self {
        let mut desk = Self::default();
        for input in inputs {
            desk.step(input);
        }
        desk
    }
    fn step(&mut self, input: Input) -> &mut Self {
        let effects = self.inbox.step(input, 200);
        self.take(effects)
    }
    fn decide(&mut self, id: &str, choice: Choice) -> Result<(), Error> {
        let effects = self.inbox.decide(id, choice, user())?;
        self.take(effects);
        Ok(())
    }
    fn allow(&mut self, id: &str) -> &mut Self {
        self.decide(id, Choice::Allow).expect("nobody was first");
        self
    }
    fn take(&mut self, effects: Vec<Effect>) -> &mut Self {
        for effect in effects {
            match effect {
                Effect::Arm { id, epoch, delay } => self.armed.push((id, epoch, delay)),
                Effect::Give(holder, output) => self.given.push((holder, output)),
                Effect::Over(view) => {
                    assert_eq!(self.over.insert(view.id.clone(), *view), None, "over once");
                }
                Effect::Save(_) | Effect::TellAsked(_) | Effect::Count(_) => {}
            }
        }
        self
    }
    /// Lets every timer run out that is armed by now.
    fn wait(&mut self) -> &mut Self {
        for (id, epoch, _) in std::mem::take(&mut self.armed) {
            self.step(Input::Timer { id, epoch });
        }
        self
    }
    #[track_caller]
    fn is(&self, id: &str, state: AskState) {
        let now = self.over.get(id).map_or(AskState::Open, |v| v.state);
        assert_eq!(now, state, "{:?}", self.inbox);
    }
}

#[test]
fn a_decision_counts_when_the_hook_has_handed_it_over_and_the_agent_goes_on() {
    let mut desk = Desk::with([asks(view("a"), 1), blocked(Some("approve Bash: echo a"))]);
    assert_eq!(desk.inbox.count("p"), 1);
    desk.allow("a");
    assert_eq!(desk.given, [(1, Some(allowed()))]);
    assert_eq!(desk.inbox.count("p"), 0);
    desk.is("a", AskState::Open);
    desk.step(taken("a")).step(Input::Left(1)).is("a", AskState::Open);
    desk.step(blocked(None)).is("a", AskState::Allowed);
    assert_eq!(desk.over["a"].decision.as_ref().map(|d| d.by.as_str()), Some("user"));
}

#[test]
fn an_agent_that_shows_nothing_of_a_decision_is_not_waited_for_for_ever() {
    let mut desk = Desk::with([asks(view("a"), 1), blocked(Some("approve"))]);
    desk.allow("a").step(taken("a")).wait().is("a", AskState::Allowed);
    // without a dialog there is nothing to show, and only the hook tells that it waits
    let mut desk = Desk::with([headless(view("a"), 1)]);
    let held = desk.inbox.held("p").expect("it waits");
    assert_eq!((held.kind, held.reason.as_deref()), (Blocked::Permission, Some("approve Bash: echo a")));
    desk.allow("a");
    assert_eq!(desk.inbox.held("p"), None);
    desk.step(taken("a")).is("a", AskState::Allowed);
}

#[test]
fn yes_in_the_dialog_is_seen_by_the_agent_going_on() {
    let mut desk = Desk::with([asks(view("a"), 1), blocked(Some("approve")), blocked(None)]);
    desk.is("a", AskState::Open);
    assert_eq!(desk.decide("a", Choice::Allow).expect_err("too late").code, Code::Conflict);
    desk.wait().is("a", AskState::Elsewhere);
    assert_eq!(desk.given, [(1, None)], "its hook is let go");
}

#[test]
fn a_flicker_of_the_status_is_no_answer() {
    let mut desk = Desk::with([asks(view("a"), 1), blocked(Some("approve")), blocked(None)]);
    desk.step(blocked(Some("approve"))).wait().is("a", AskState::Open);
    desk.allow("a").step(taken("a")).step(blocked(None)).is("a", AskState::Allowed);
}

#[test]
fn no_in_the_dialog_ends_the_hook() {
    let mut desk = Desk::with([asks(view("a"), 1), blocked(Some("approve")), Input::Left(1)]);
    desk.wait().is("a", AskState::Elsewhere);
    // and the status may be quicker
    let mut desk = Desk::with([asks(view("a"), 1), blocked(Some("approve")), blocked(None), Input::Left(1)]);
    desk.wait().is("a", AskState::Elsewhere);
}

#[test]
fn a_hook_that_is_killed_before_it_had_handed_the_decision_over_is_no_decision() {
    let mut desk = Desk::with([asks(view("a"), 1)]);
    desk.allow("a").step(Input::Left(1)).wait().is("a", AskState::Gone);
    let why = desk.over["a"].decision.as_ref().and_then(|d| d.message.clone()).expect("it says why");
    assert!(why.contains("user had decided"), "{why}");
}

#[test]
fn the_end_of_a_run_takes_its_requests_along() {
    let over = || Input::RunOver { process_id: "p".into(), run_id: "r".into() };
    let desk = Desk::with([asks(view("a"), 1), Input::Left(1), over()]);
    desk.is("a", AskState::Gone);
    let mut desk = Desk::with([asks(view("a"), 1), blocked(Some("approve"))]);
    desk.allow("a").step(taken("a")).step(over()).is("a", AskState::Allowed);
    let other = Input::RunOver { process_id: "p".into(), run_id: "r0".into() };
    Desk::with([asks(view("a"), 1), other]).is("a", AskState::Open);
}

#[test]
fn of_two_dialogs_the_text_says_which_was_answered() {
    let (a, b) = ("approve Bash: echo a", "approve Bash: echo b");
    let mut desk = Desk::with([asks(view("a"), 1), asks(view("b"), 2), blocked(Some(b))]);
    desk.step(blocked(Some(a))).wait().is("b", AskState::Elsewhere);
    desk.is("a", AskState::Open);
    desk.step(blocked(None)).wait().is("a", AskState::Elsewhere);
    // the same dialog in the words of another source, or back again, is no answer
    let mut desk = Desk::with([asks(view("a"), 1), asks(view("b"), 2), blocked(Some(a))]);
    desk.step(blocked(Some("Bash: echo a"))).step(blocked(None)).step(blocked(Some(a)));
    desk.wait().is("a", AskState::Open);
    desk.is("b", AskState::Open);
    // one that is answered from here does not count for the other one
    let mut desk = Desk::with([asks(view("a"), 1), asks(view("b"), 2), blocked(Some(a))]);
    desk.allow("a").step(taken("a")).step(blocked(Some(b)));
    desk.is("a", AskState::Allowed);
    desk.wait().is("b", AskState::Open);
}

#[test]
fn of_two_dialogs_one_is_answered_in_the_terminal_while_the_other_is_decided_here() {
    let (a, b) = ("approve Bash: echo a", "approve Bash: echo b");
    let mut desk = Desk::with([asks(view("a"), 1), asks(view("b"), 2), blocked(Some(a))]);
    // the dialog that stands is of `a`; `b` is decided here and its hook has not handed it over yet
    desk.allow("b").step(blocked(Some(b)));
    desk.armed.retain(|(id, ..)| id == "a");
    desk.wait().is("a", AskState::Elsewhere);
    desk.is("b", AskState::Open);
    // a dialog whose text says nothing is the one that was decided
    let mut desk = Desk::with([asks(view("a"), 1), asks(view("b"), 2), blocked(Some("permission"))]);
    desk.allow("b").step(blocked(None));
    desk.armed.retain(|(id, ..)| id == "a");
    desk.wait().is("a", AskState::Open);
}

#[test]
fn a_hook_that_is_halted_with_its_answer_is_not_waited_for_for_ever() {
    let mut desk = Desk::with([asks(view("a"), 1)]);
    desk.allow("a");
    assert_eq!(desk.armed.last().map(|(_, _, delay)| *delay), Some(HANDED_MS));
    desk.wait().is("a", AskState::Allowed);
    // the same for one that came back for it
    let decided = AskView { decision: Some(user()), ..view("a") };
    let mut desk = Desk::default();
    let effects = desk.inbox.restore(vec![decided]);
    desk.take(effects).step(asks(view("a"), 5));
    desk.wait().is("a", AskState::Allowed);
}

#[test]
fn a_decision_that_could_not_be_saved_is_none() {
    let mut desk = Desk::with([asks(view("a"), 1), asks(view("b"), 2)]);
    desk.allow("a");
    let effects = desk.inbox.unsaved(1, 200);
    desk.take(effects).is("a", AskState::Gone);
    let why = desk.over["a"].decision.as_ref().and_then(|d| d.message.clone()).expect("it says why");
    assert_eq!(why, "the decision could not be saved; user had decided");
    // of one that has not been decided, or is over, nothing becomes by that
    assert_eq!(desk.inbox.unsaved(2, 200), []);
    assert_eq!(desk.inbox.unsaved(1, 200), []);
}

#[test]
fn what_is_open_takes_no_more_memory_than_it_may() {
    let large = |n: usize| AskView { diff: Some("x".repeat(1 << 20)), ..view(&n.to_string()) };
    let mut desk = Desk::default();
    let most = OPEN_BYTES_MAX >> 20;
    for n in 0..most {
        desk.step(asks(large(n), n as u64));
    }
    assert!(desk.inbox.open().count() < most && !desk.given.is_empty());
    assert!(desk.given.iter().all(|(_, output)| output.is_none()), "Claude's own dialog stays");
    desk.step(asks(view("small"), 1_000));
    assert!(desk.inbox.get("small").is_some());
}

#[test]
fn the_end_of_a_turn_ends_what_the_agent_itself_asked() {
    let sub = AskView { agent: Some("Explore".into()), agent_id: Some("x".into()), ..view("s") };
    let turned = |at| Input::Turned { run_id: "r".into(), at };
    let mut desk = Desk::with([asks(view("a"), 1), asks(sub, 2), turned(99)]);
    desk.is("a", AskState::Open);
    desk.step(turned(101)).is("a", AskState::Elsewhere);
    desk.is("s", AskState::Open);
    desk.step(Input::SubagentOver { run_id: "r".into(), agent_id: "x".into(), at: 101 });
    desk.is("s", AskState::Elsewhere);
}

#[test]
fn a_hidden_request_of_a_subagent_is_left_to_the_dialog_once_somebody_sits_there() {
    let sub = || AskView { agent: Some("Explore".into()), agent_id: Some("x".into()), ..view("s") };
    let attached = |attached| Input::Attached { process_id: "p".into(), attached };
    let mut desk = Desk::with([asks(sub(), 1)]);
    assert_eq!(desk.armed[0].2, HIDDEN_MS);
    desk.wait().is("s", AskState::Open);
    desk.step(attached(true)).wait().is("s", AskState::Elsewhere);
    assert_eq!(desk.given, [(1, None)]);
    let mut desk = Desk::with([attached(true), asks(sub(), 1)]);
    desk.wait().is("s", AskState::Elsewhere);
    // where a dialog stands there is nothing to let go for, and without one that is never
    let mut desk = Desk::with([attached(true), asks(sub(), 1), blocked(Some("approve"))]);
    desk.wait().is("s", AskState::Open);
    let mut desk = Desk::with([attached(true), headless(sub(), 1)]);
    desk.wait().is("s", AskState::Open);
}

#[test]
fn after_a_restart_the_hook_comes_back_or_the_request_is_gone() {
    let mut desk = Desk::default();
    let effects = desk.inbox.restore(vec![view("a"), view("b")]);
    desk.take(effects).step(asks(view("a"), 5)).step(blocked(Some("approve")));
    assert_eq!(desk.inbox.count("p"), 2);
    desk.wait();
    desk.is("a", AskState::Open);
    desk.is("b", AskState::Gone);
    desk.allow("a");
    assert_eq!(desk.given, [(5, Some(allowed()))]);
}

#[test]
fn what_was_answered_in_the_dialog_while_there_was_no_daemon_is_not_asked_again() {
    let waited = |known: bool| {
        let mut desk = Desk::default();
        if known {
            let effects = desk.inbox.restore(vec![view("a")]);
            desk.take(effects);
        }
        // or it was asked while there was none
        desk.step(asks(AskView { at: 200 - LATE_MS - 1, ..view("a") }, 5));
        desk
    };
    for known in [true, false] {
        waited(known).step(blocked(None)).wait().is("a", AskState::Elsewhere);
        waited(known).wait().is("a", AskState::Open);
        waited(known).step(blocked(Some("approve"))).wait().is("a", AskState::Open);
    }
}

#[test]
fn a_decision_that_was_on_its_way_when_the_daemon_died_is_given_again() {
    let mut decided = view("a");
    decided.decision = Some(user());
    let mut desk = Desk::default();
    let effects = desk.inbox.restore(vec![decided]);
    desk.take(effects).step(asks(view("a"), 5));
    assert_eq!(desk.given, [(5, Some(allowed()))]);
    assert_eq!(desk.decide("a", Choice::Deny { message: None }).expect_err("late").code, Code::Conflict);
    desk.step(taken("a")).is("a", AskState::Allowed);
}

#[test]
fn the_id_of_a_request_gives_nothing_away_to_another_run() {
    let mut desk = Desk::with([asks(view("a"), 1)]);
    desk.step(asks(AskView { run_id: "r2".into(), ..view("a") }, 2));
    assert_eq!(desk.given, [(2, None)]);
    desk.allow("a").step(Input::Taken { id: "a".into(), run_id: "r2".into() }).is("a", AskState::Open);
}

#[test]
fn what_is_over_is_not_asked_again_under_its_id() {
    let mut desk = Desk::with([asks(view("a"), 1)]);
    desk.decide("a", Choice::Deny { message: None }).expect("nobody was first");
    desk.step(taken("a")).is("a", AskState::Denied);
    desk.given.clear();
    let effects = desk.inbox.step(asks(AskView { summary: "another".into(), ..view("a") }, 2), 200);
    assert_eq!(effects, [Effect::Give(2, None)]);
    assert_eq!(desk.inbox.open().count(), 0);
}

#[test]
fn a_plan_that_is_not_whole_can_only_be_denied() {
    let plan = |shortened| AskView { kind: AskKind::Plan, shortened, ..view("a") };
    Desk::with([asks(plan(false), 1)]).allow("a");
    let mut desk = Desk::with([asks(plan(true), 1)]);
    let refused = desk.decide("a", Choice::Allow).expect_err("it would do nothing");
    assert!(refused.code == Code::BadParams && refused.message.contains("too large"), "{refused:?}");
    desk.decide("a", Choice::Deny { message: None }).expect("a denial needs no plan");
}

#[test]
fn questions_want_answers_and_tools_do_not() {
    let question = AskView { kind: AskKind::Question, ..view("a") };
    let mut desk = Desk::with([asks(question, 1), asks(view("b"), 2)]);
    assert_eq!(desk.decide("a", Choice::Allow).expect_err("no").code, Code::BadParams);
    let answers = Choice::Answer([(String::new(), "x".to_owned())].into());
    assert_eq!(desk.decide("b", answers).expect_err("no").code, Code::BadParams);
    assert_eq!(desk.decide("c", Choice::Allow).expect_err("no").code, Code::NotFound);
    assert_eq!(desk.given, []);
    desk.decide("a", Choice::Deny { message: Some("ask me later".into()) }).expect("a denial");
    desk.step(taken("a")).is("a", AskState::Denied);
}

fn any_input() -> impl Strategy<Value = (u8, u8)> {
    (0..12_u8, 0..3_u8)
}

proptest! {
    /// Whatever happens in whatever order: over is over once, a hook gets one decision and no other,
    /// and what nobody decided is never allowed.
    #[test]
    fn no_order_of_things_decides_twice_or_by_itself(inputs in prop::collection::vec(any_input(), 0..60)) {
        let mut desk = Desk::default();
        let mut decided: IndexMap<String, bool> = IndexMap::new();
        for (n, (what, which)) in inputs.into_iter().enumerate() {
            let id = ["a", "b", "s"][usize::from(which)].to_owned();
            let one = || match id.as_str() {
                "s" => AskView { agent: Some("x".into()), agent_id: Some("x".into()), ..view("s") },
                id => view(id),
            };
            match what {
                0 | 1 if !desk.over.contains_key(&id) => { desk.step(asks(one(), n as u64)); }
                2 if desk.decide(&id, Choice::Allow).is_ok() => {
                    prop_assert_eq!(decided.insert(id, true), None);
                }
                3 if desk.decide(&id, Choice::Deny { message: None }).is_ok() => {
                    prop_assert_eq!(decided.insert(id, false), None);
                }
                4 => { desk.step(taken(&id)); }
                5 => { desk.step(Input::Left((n as u64).saturating_sub(u64::from(which)))); }
                6 => { desk.step(blocked(Some(&format!("approve Bash: echo {id}")))); }
                7 => { desk.step(blocked(None)); }
                8 => { desk.wait(); }
                9 => { desk.step(Input::Turned { run_id: "r".into(), at: 101 }); }
                10 => { desk.step(Input::Attached { process_id: "p".into(), attached: which > 0 }); }
                11 => { desk.step(Input::RunOver { process_id: "p".into(), run_id: "r".into() }); }
                _ => {}
            }
        }
        for view in desk.over.values() {
            match view.state {
                AskState::Allowed => prop_assert_eq!(decided.get(&view.id), Some(&true)),
                AskState::Denied => prop_assert_eq!(decided.get(&view.id), Some(&false)),
                state => prop_assert!(matches!(state, AskState::Elsewhere | AskState::Gone)),
            }
        }
        for (_, output) in desk.given {
            prop_assert!(output != Some(allowed()) || decided.values().any(|a| *a));
        }
    }
}
