use proptest::prelude::*;
use wezterm_parallel_schemas::process::Blocked;

use super::*;

/// A process with its agent, as far as prompts can tell: what was typed is noted, and time passes.
struct Stand {
    prompts: Prompts,
    scene: Scene,
    /// What was done and not answered.
    open: VecDeque<Effect>,
    timers: Vec<(i64, u64)>,
    typed: Vec<Vec<u8>>,
    /// The newest form of every prompt, and the events.
    kept: Vec<Prompt>,
    events: Vec<EventKind>,
}

fn prompt(id: &str, mode: WhileWorking) -> Prompt {
    Prompt {
        view: PromptView {
            id: id.into(),
            workspace: "api".into(),
            process: "lead".into(),
            process_id: "p".into(),
            state: PromptState::Queued,
            reason: None,
            text: format!("do {id}"),
            command: false,
            key: None,
            at: 1_000,
            typed_at: None,
            delivered_at: None,
            proof: None,
            place: None,
            session_id: None,
            prompt_id: None,
            answer: None,
        },
        text: format!("do {id}").into(),
        mode,
    }
}

impl Stand {
    fn new(status: Status) -> Self {
        let mut stand = Self {
            prompts: Prompts::default(),
            scene: Scene {
                at: 10_000,
                kind: Kind::Claude,
                run: Some(("r1".into(), 5_000)),
                status: Some(status),
                reason: None,
                dialog: false,
                status_seq: Some(7),
                tells: true,
                hooks: true,
            },
            open: VecDeque::new(),
            timers: Vec::new(),
            typed: Vec::new(),
            kept: Vec::new(),
            events: Vec::new(),
        };
        stand.input(Input::Changed);
        stand
    }

    fn do_all(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Put(prompt, event) => {
                    self.kept.retain(|p| p.view.id != prompt.view.id);
                    self.kept.push(*prompt);
                    self.events.extend(event);
                }
                Effect::Arm(number, delay) => {
                    self.timers.push((self.scene.at + i64::try_from(delay).expect("small"), number));
                }
                other => self.open.push_back(other),
            }
        }
    }

    fn input(&mut self, input: Input) {
        let effects = self.prompts.step(input, &self.scene);
        self.do_all(effects);
    }

    fn send(&mut self, id: &str, mode: WhileWorking) -> Result<(), Error> {
        self.send_it(prompt(id, mode))
    }

    fn send_it(&mut self, prompt: Prompt) -> Result<(), Error> {
        let effects = self.prompts.send(prompt, &self.scene)?;
        self.do_all(effects);
        Ok(())
    }

    fn status(&mut self, status: Status) {
        self.scene.status = Some(status);
        self.scene.status_seq = self.scene.status_seq.map(|seq| seq + 1);
        self.input(Input::Changed);
    }

    /// Does the oldest thing that is to be done, well.
    fn serve(&mut self) -> bool {
        let Some(effect) = self.open.pop_front() else { return false };
        match effect {
            Effect::Prepare { order } => {
                self.input(Input::Prepared { order, version: Some((2, 1, 330)), obstacle: None });
            }
            Effect::Type { order, bytes, .. } => {
                self.typed.push(bytes);
                self.input(Input::Typed { order, outcome: Outcome::Done });
            }
            Effect::Look { order, .. } => self.input(Input::Looked { order, found: None }),
            Effect::Put(..) | Effect::Arm(..) => unreachable!("done at once"),
        }
        true
    }

    /// Lets the next timer run out.
    fn wait(&mut self) -> bool {
        let Some(i) = (0..self.timers.len()).min_by_key(|i| self.timers[*i].0) else { return false };
        let (at, number) = self.timers.remove(i);
        self.scene.at = self.scene.at.max(at);
        self.input(Input::Timer(number));
        true
    }

    /// Serves and waits until the Enter of a prompt has been typed.
    fn until_enter(&mut self) {
        let before = self.enters();
        for _ in 0..200 {
            if self.enters() > before {
                return;
            }
            if !self.serve() {
                assert!(self.wait(), "nothing more happens: {:#?}", self.prompts);
            }
        }
        panic!("no Enter: {:#?}", self.prompts);
    }

    fn run_out(&mut self) {
        for _ in 0..2_000 {
            if !self.serve() && !self.wait() {
                return;
            }
        }
        panic!("it never ends: {:#?}", self.prompts);
    }

    fn enters(&self) -> usize {
        self.typed.iter().filter(|bytes| *bytes == ENTER).count()
    }

    fn texts(&self, id: &str) -> usize {
        let text = format!("do {id}");
        let has = |bytes: &&Vec<u8>| String::from_utf8_lossy(bytes).contains(&text);
        self.typed.iter().filter(has).count()
    }

    fn submitted(&mut self, text: &str, turn: &str) {
        let (prompt_id, session_id) = (Some(turn.to_owned()), Some("s".to_owned()));
        self.input(Input::Submitted { text: text.into(), prompt_id, session_id });
    }

    fn ended(&mut self, turn: &str, message: &str) {
        let (prompt_id, last_message) = (Some(turn.to_owned()), Some(message.to_owned()));
        self.input(Input::Ended { prompt_id, last_message, failed: false });
    }

    fn state(&self, id: &str) -> PromptState {
        self.view(id).state
    }

    fn view(&self, id: &str) -> &PromptView {
        &self.kept.iter().find(|p| p.view.id == id).unwrap_or_else(|| panic!("{id} was kept")).view
    }

    fn reason(&self, id: &str) -> &str {
        self.view(id).reason.as_deref().unwrap_or_default()
    }

    /// Types a prompt and has it proven by the hook.
    fn deliver(&mut self, id: &str) {
        self.until_enter();
        self.submitted(&format!("do {id}"), id);
        assert_eq!(self.state(id), PromptState::Delivered);
    }
}

#[test]
fn a_prompt_is_saved_typed_proven_and_answered() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("it is idle");
    assert_eq!(s.state("a"), PromptState::Typing, "saved before anything is typed");
    assert!(s.typed.is_empty());
    s.until_enter();
    assert_eq!(s.typed, [b"\x1b[200~do a\x1b[201~".to_vec(), b"\r".to_vec()]);
    s.submitted("do a", "t1");
    assert_eq!((s.state("a"), s.view("a").proof), (PromptState::Delivered, Some(Proof::Hook)));
    s.status(Status::Working);
    s.ended("other", "no");
    assert_eq!(s.state("a"), PromptState::Delivered);
    s.ended("t1", "done");
    s.status(Status::Idle);
    s.run_out();
    let answer = s.view("a").answer.clone().expect("an answer");
    assert_eq!((answer.text.as_deref(), answer.status), (Some("done"), Status::Idle));
    assert!(s.prompts.is_empty());
    assert_eq!(s.events, [EventKind::PromptDelivered, EventKind::PromptAnswered]);
}

#[test]
fn it_is_refused_queued_or_typed_while_the_agent_works() {
    let mut s = Stand::new(Status::Working);
    let refused = s.send("a", WhileWorking::Refuse).expect_err("it works");
    assert_eq!(refused.code, Code::Busy);
    let hint = refused.hint.expect("what to do");
    assert!(hint.contains("--queue") && hint.contains("--now"), "{hint}");
    s.send("b", WhileWorking::Queue).expect("it waits");
    assert_eq!((s.state("b"), s.view("b").place), (PromptState::Queued, Some(1)));
    s.send("c", WhileWorking::Queue).expect("it waits");
    assert_eq!(s.view("c").place, Some(2));
    s.send("n", WhileWorking::Now).expect("it is typed");
    s.deliver("n");
    assert_eq!((s.texts("b"), s.texts("n")), (0, 1));
    // two turns of which nobody knew that there would be two
    s.ended("t0", "of the turn before");
    s.ended("tn", "of its own");
    s.status(Status::Idle);
    s.run_out();
    assert_eq!(s.view("n").answer.as_ref().and_then(|a| a.text.as_deref()), Some("of its own"));
    // and then those that waited, one after the other
    assert_eq!(s.texts("b"), 1);
}

#[test]
fn queued_prompts_go_out_in_order_each_after_the_turn_before() {
    let mut s = Stand::new(Status::Idle);
    for id in ["a", "b", "c"] {
        s.send(id, WhileWorking::Queue).expect("it waits");
    }
    for (id, next) in [("a", "b"), ("b", "c"), ("c", "c")] {
        s.deliver(id);
        s.status(Status::Working);
        assert!(id == next || s.texts(next) == 0, "{next} is typed into a turn");
        s.ended(id, "done");
        s.status(Status::Idle);
    }
    s.run_out();
    for id in ["a", "b", "c"] {
        assert_eq!((s.state(id), s.texts(id)), (PromptState::Answered, 1));
    }
}

#[test]
fn nothing_is_typed_into_a_dialog_or_an_agent_of_which_nothing_is_known() {
    for status in [
        Status::Blocked(Blocked::Permission),
        Status::Blocked(Blocked::Question),
        Status::Blocked(Blocked::Trust),
        Status::Starting,
        Status::Unknown,
    ] {
        let mut s = Stand::new(status);
        for mode in [WhileWorking::Refuse, WhileWorking::Now] {
            assert_eq!(s.send("a", mode).expect_err("it cannot").code, Code::Busy, "{status:?}");
        }
        s.send("q", WhileWorking::Queue).expect("it waits");
        s.run_out();
        assert_eq!((s.typed.len(), s.state("q")), (0, PromptState::Queued), "{status:?}");
        s.status(Status::Idle);
        s.deliver("q");
    }
    let mut s = Stand::new(Status::Idle);
    s.scene.run = None;
    s.scene.status = None;
    assert_eq!(s.send("a", WhileWorking::Now).expect_err("it does not run").code, Code::Conflict);
}

#[test]
fn a_dialog_that_its_status_does_not_tell_of_is_waited_for() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Queue).expect("idle");
    s.send_it(prompt("b", WhileWorking::Queue)).expect("it waits");
    let Some(Effect::Prepare { order }) = s.open.pop_front() else { panic!("{:?}", s.open) };
    s.input(Input::Prepared { order, version: None, obstacle: Some("a dialog is open".into()) });
    assert_eq!((s.state("a"), s.reason("a")), (PromptState::Queued, "a dialog is open"));
    assert!(s.typed.is_empty());
    // it is tried again, in order
    s.deliver("a");
    assert_eq!(s.texts("b"), 0);
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    let Some(Effect::Prepare { order }) = s.open.pop_front() else { panic!("{:?}", s.open) };
    s.input(Input::Prepared { order, version: None, obstacle: Some("a dialog is open".into()) });
    assert_eq!((s.state("a"), s.reason("a")), (PromptState::Undelivered, "a dialog is open"));
}

#[test]
fn a_dialog_that_opens_between_text_and_enter_gets_no_enter() {
    let mut s = Stand::new(Status::Working);
    s.send("a", WhileWorking::Now).expect("it works");
    while s.texts("a") == 0 {
        assert!(s.serve());
    }
    s.status(Status::Blocked(Blocked::Permission));
    assert!(s.wait() && s.open.is_empty(), "{:?}", s.open);
    assert_eq!(s.enters(), 0);
    // the keeper would refuse it too
    s.status(Status::Working);
    s.until_enter();
    s.submitted("do a", "t");
    assert_eq!((s.state("a"), s.texts("a")), (PromptState::Delivered, 1));

    // and if it stays
    let mut s = Stand::new(Status::Working);
    s.send("a", WhileWorking::Now).expect("it works");
    while s.texts("a") == 0 {
        assert!(s.serve());
    }
    s.status(Status::Blocked(Blocked::Permission));
    s.run_out();
    assert_eq!((s.state("a"), s.enters()), (PromptState::Undelivered, 0));
    assert!(s.reason("a").contains("dialog"), "{}", s.reason("a"));
}

#[test]
fn no_enter_goes_into_the_list_of_what_to_do_about_a_limit() {
    let mut s = Stand::new(Status::RateLimited);
    s.scene.dialog = true;
    assert_eq!(s.send("a", WhileWorking::Now).expect_err("a dialog is open").code, Code::Busy);
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Now).expect("idle");
    while s.texts("a") == 0 {
        assert!(s.serve());
    }
    s.scene.dialog = true;
    s.status(Status::RateLimited);
    assert!(s.wait() && s.open.is_empty(), "{:?}", s.open);
    s.scene.dialog = false;
    s.status(Status::RateLimited);
    s.deliver("a");
    assert_eq!(s.texts("a"), 1);
}

#[test]
fn the_answer_to_a_dialog_does_not_count_as_words_typed_into_the_text() {
    for held_ms in [60_000, 50] {
        let mut s = Stand::new(Status::Working);
        s.send("a", WhileWorking::Now).expect("it works");
        while s.texts("a") == 0 {
            assert!(s.serve());
        }
        s.status(Status::Blocked(Blocked::Permission));
        if held_ms > 1_000 {
            assert!(s.wait() && s.open.is_empty(), "{:?}", s.open);
        }
        // the user answers it in the pane
        s.scene.at += held_ms;
        let answered = s.scene.at;
        s.status(Status::Working);
        while s.open.is_empty() {
            assert!(s.wait());
        }
        let Some(Effect::Type { quiet_ms: Some(quiet), bytes, .. }) = s.open.front() else { panic!() };
        assert_eq!(bytes, ENTER);
        assert!(*quiet <= (s.scene.at - answered).unsigned_abs(), "{quiet} ms reach back into the dialog");
        s.deliver("a");
        assert_eq!(s.texts("a"), 1);
    }
}

#[test]
fn what_somebody_types_while_a_long_text_is_read_holds_its_enter_back() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    while !matches!(s.open.front(), Some(Effect::Type { .. })) {
        assert!(s.serve());
    }
    let Some(Effect::Type { order, .. }) = s.open.pop_front() else { panic!() };
    s.scene.at += 5_000;
    s.input(Input::Typed { order, outcome: Outcome::Done });
    while s.open.is_empty() {
        assert!(s.wait());
    }
    let Some(Effect::Type { order, quiet_ms, .. }) = s.open.pop_front() else { panic!() };
    assert!(quiet_ms >= Some(5_000), "{quiet_ms:?} do not reach back to the order");
    s.input(Input::Typed { order, outcome: Outcome::Person });
    s.run_out();
    assert_eq!((s.state("a"), s.enters()), (PromptState::Undelivered, 0));
}

#[test]
fn an_enter_that_is_refused_is_tried_again_while_the_agent_works_and_not_in_a_dialog() {
    let mut s = Stand::new(Status::Working);
    s.send("a", WhileWorking::Now).expect("it works");
    let mut refusals = 3;
    while refusals > 0 {
        match s.open.front() {
            Some(Effect::Type { order, bytes, .. }) if bytes == ENTER => {
                let order = *order;
                s.open.pop_front();
                refusals -= 1;
                if refusals == 0 {
                    s.scene.status = Some(Status::Blocked(Blocked::Permission));
                }
                s.scene.status_seq = s.scene.status_seq.map(|seq| seq + 1);
                s.input(Input::Typed { order, outcome: Outcome::Status });
            }
            _ => {
                assert!(s.serve() || s.wait());
            }
        }
    }
    assert!(s.open.is_empty() && s.enters() == 0, "{:?}", s.open);
    s.status(Status::Idle);
    s.deliver("a");
    assert_eq!(s.texts("a"), 1);
}

#[test]
fn half_typed_words_are_stashed_and_who_is_typing_is_waited_for() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    let mut asked = Vec::new();
    for _ in 0..3 {
        while !matches!(s.open.front(), Some(Effect::Type { .. })) {
            assert!(s.serve() || s.wait());
        }
        let Some(Effect::Type { order, quiet_ms, bytes, .. }) = s.open.pop_front() else { panic!() };
        asked.push((bytes.first().copied(), quiet_ms));
        s.input(Input::Typed { order, outcome: Outcome::Person });
    }
    // since the run began, then since a moment, with what stands there stashed
    assert_eq!(asked[0], (Some(0x1b), Some(5_000)));
    assert_eq!(asked[1], (Some(0x13), Some(QUIET_MS)));
    assert_eq!(asked[2].0, Some(0x1b));
    assert_eq!(s.state("a"), PromptState::Typing);
    s.deliver("a");
    assert_eq!((s.texts("a"), s.reason("a")), (1, ""));

    // somebody who never stops
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    while s.state("a") == PromptState::Typing {
        match s.open.front() {
            Some(Effect::Type { order, .. }) => {
                let order = *order;
                s.open.pop_front();
                s.input(Input::Typed { order, outcome: Outcome::Person });
            }
            _ => assert!(s.serve() || s.wait()),
        }
    }
    assert_eq!((s.reason("a"), s.typed.len()), ("somebody types in its pane", 0));
}

#[test]
fn words_that_went_along_are_told_of() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.until_enter();
    s.submitted("somebody else's", "t1");
    assert_eq!(s.state("a"), PromptState::Typing);
    s.submitted("half typed do a", "t2");
    assert_eq!(s.state("a"), PromptState::Typing, "so short a text stands in much");
    s.submitted("do a", "t3");
    assert_eq!((s.state("a"), s.reason("a")), (PromptState::Delivered, ""));

    let mut s = Stand::new(Status::Idle);
    s.send("all the tests", WhileWorking::Refuse).expect("idle");
    s.until_enter();
    s.submitted("half typed do all the tests", "t");
    assert_eq!(s.state("all the tests"), PromptState::Delivered);
    let reason = s.reason("all the tests");
    assert!(reason.contains("together with words"), "{reason}");
}

#[test]
fn what_is_said_before_its_enter_proves_nothing() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    while s.texts("a") == 0 {
        // what the user has sent just before may be the same words
        s.submitted("do a", "t0");
        assert!(s.serve());
    }
    s.submitted("do a", "t0");
    assert_eq!((s.state("a"), s.enters()), (PromptState::Typing, 0));
    s.until_enter();
    s.submitted("do a", "t1");
    assert_eq!((s.state("a"), s.view("a").prompt_id.as_deref()), (PromptState::Delivered, Some("t1")));

    let mut s = Stand::new(Status::Idle);
    let mut clear = prompt("a", WhileWorking::Refuse);
    (clear.text, clear.view.command) = ("/clear".into(), true);
    s.send_it(clear).expect("idle");
    while s.typed.is_empty() {
        assert!(s.serve());
    }
    s.input(Input::Stirred { session_id: Some("another".into()) });
    assert_eq!(s.state("a"), PromptState::Typing);
    // nor is a transcript looked at for what was written before the text was typed
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.scene.at += 20_000;
    s.until_enter();
    while !matches!(s.open.front(), Some(Effect::Look { .. })) {
        assert!(s.wait());
    }
    let Some(Effect::Look { since, .. }) = s.open.front() else { panic!() };
    assert!(*since >= 30_000, "{since}");
}

#[test]
fn what_is_not_proven_is_undelivered_cleared_and_never_typed_again() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.run_out();
    assert_eq!((s.state("a"), s.texts("a")), (PromptState::Undelivered, 1));
    assert_eq!(s.typed.last().map(Vec::as_slice), Some(CLEAR), "it must not go out with the next one");
    assert_eq!(s.enters(), usize::try_from(PROOFS_MAX).expect("small"), "an Enter may have been lost");
    // two letters say nothing; one whose proof comes late is told of
    s.submitted("do a", "t");
    assert_eq!(s.state("a"), PromptState::Undelivered);
    let mut s = Stand::new(Status::Idle);
    s.send("all the tests", WhileWorking::Refuse).expect("idle");
    s.run_out();
    s.submitted("do all the tests", "t");
    let told = (s.state("all the tests"), s.reason("all the tests"));
    assert_eq!(told, (PromptState::Delivered, "its proof came late"));
}

#[test]
fn no_second_enter_where_something_moved() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.until_enter();
    s.scene.status_seq = Some(8);
    s.input(Input::Changed);
    s.run_out();
    assert_eq!((s.state("a"), s.enters()), (PromptState::Undelivered, 1));
}

#[test]
fn a_rest_that_could_not_be_cleared_is_cleared_before_the_next() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    while s.state("a") == PromptState::Typing {
        assert!(s.serve() || s.wait());
    }
    let Some(Effect::Type { order, bytes, .. }) = s.open.pop_front() else { panic!("{:?}", s.open) };
    assert_eq!(bytes, CLEAR);
    s.input(Input::Typed { order, outcome: Outcome::Person });
    s.send("b", WhileWorking::Refuse).expect("idle");
    s.until_enter();
    let last: Vec<&[u8]> = s.typed.iter().rev().take(3).map(Vec::as_slice).collect();
    assert_eq!(last, [ENTER, b"\x1b[200~do b\x1b[201~", CLEAR]);
}

#[test]
fn without_hooks_the_transcript_or_the_status_proves_it() {
    let mut s = Stand::new(Status::Idle);
    s.scene.hooks = false;
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.until_enter();
    s.status(Status::Working);
    while !matches!(s.open.front(), Some(Effect::Look { .. })) {
        assert!(s.wait());
    }
    let Some(Effect::Look { order, .. }) = s.open.pop_front() else { panic!() };
    let found = Found { prompt_id: Some("t".into()), ..Found::default() };
    s.input(Input::Looked { order, found: Some(found) });
    assert_eq!(s.view("a").proof, Some(Proof::Transcript));

    let mut s = Stand::new(Status::Idle);
    s.scene.hooks = false;
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.until_enter();
    s.status(Status::Working);
    while s.state("a") == PromptState::Typing {
        assert!(s.serve() || s.wait());
    }
    assert_eq!(s.view("a").proof, Some(Proof::Status));
    // and its end by the status and the transcript
    s.status(Status::Idle);
    while !matches!(s.open.front(), Some(Effect::Look { .. })) {
        assert!(s.wait());
    }
    let Some(Effect::Look { order, .. }) = s.open.pop_front() else { panic!() };
    let found = Found { answer: Some("done".into()), ..Found::default() };
    s.input(Input::Looked { order, found: Some(found) });
    assert_eq!(s.view("a").answer.as_ref().and_then(|a| a.text.as_deref()), Some("done"));
}

#[test]
fn a_look_for_its_answer_that_comes_to_nothing_does_not_keep_a_turn_from_its_end() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.deliver("a");
    while !matches!(s.open.front(), Some(Effect::Look { .. })) {
        assert!(s.wait());
    }
    s.open.clear();
    s.status(Status::Unknown);
    while s.wait() {}
    s.status(Status::Idle);
    s.run_out();
    assert_eq!(s.state("a"), PromptState::Answered);
}

#[test]
fn an_agent_that_begins_before_its_keeper_has_said_that_enter_was_typed_has_begun() {
    let mut s = Stand::new(Status::Idle);
    s.scene.hooks = false;
    s.send("a", WhileWorking::Refuse).expect("idle");
    while !matches!(s.open.front(), Some(Effect::Type { bytes, .. }) if bytes == ENTER) {
        assert!(s.serve() || s.wait());
    }
    s.status(Status::Working);
    assert!(s.serve(), "its Enter");
    s.run_out();
    assert_eq!(s.view("a").proof, Some(Proof::Status));
    // what it did before an Enter that was refused proves nothing
    let mut s = Stand::new(Status::Idle);
    s.scene.hooks = false;
    s.send("a", WhileWorking::Refuse).expect("idle");
    while !matches!(s.open.front(), Some(Effect::Type { bytes, .. }) if bytes == ENTER) {
        assert!(s.serve() || s.wait());
    }
    let Some(Effect::Type { order, .. }) = s.open.pop_front() else { panic!() };
    s.status(Status::Working);
    s.status(Status::Idle);
    s.input(Input::Typed { order, outcome: Outcome::Status });
    s.run_out();
    assert_eq!(s.state("a"), PromptState::Undelivered);
}

/// What Claude says of one end comes by three ways: a hook, its status, and its status line.
#[test]
fn an_answer_is_told_when_the_next_prompt_can_be_sent_and_what_it_cost_is_known() {
    let turn = || {
        let mut s = Stand::new(Status::Idle);
        s.input(Input::Cost(1.0));
        s.send("a", WhileWorking::Refuse).expect("it is idle");
        s.deliver("a");
        s.status(Status::Working);
        // of its first request
        s.input(Input::Cost(1.25));
        s.ended("a", "done");
        assert_eq!(s.state("a"), PromptState::Delivered);
        s
    };
    let cost = |s: &Stand| s.view("a").answer.as_ref().expect("it was answered").cost_usd;
    let figures = |s: &mut Stand| {
        s.input(Input::Cost(1.25));
        assert_eq!(s.state("a"), PromptState::Delivered, "those of before its end");
        s.input(Input::Cost(1.5));
    };
    let mut s = turn();
    figures(&mut s);
    assert_eq!(s.state("a"), PromptState::Delivered, "it does not take the next one");
    s.status(Status::Idle);
    assert_eq!((s.state("a"), cost(&s)), (PromptState::Answered, Some(0.5)));
    s.send("b", WhileWorking::Refuse).expect("it is idle");

    let mut s = turn();
    s.status(Status::Idle);
    figures(&mut s);
    assert_eq!((s.state("a"), cost(&s)), (PromptState::Answered, Some(0.5)));

    // one that says no more of what it cost, and one that works on
    let mut s = turn();
    s.status(Status::Idle);
    assert_eq!(s.state("a"), PromptState::Delivered);
    s.run_out();
    assert_eq!((s.state("a"), cost(&s)), (PromptState::Answered, Some(0.25)));
    let mut s = turn();
    let ended = s.scene.at;
    s.run_out();
    let answered = s.view("a").answer.as_ref().expect("it was answered").at;
    assert_eq!(answered - ended, 6_500);
}

#[test]
fn an_interrupted_turn_is_answered_without_words() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.deliver("a");
    s.status(Status::Working);
    s.status(Status::Idle);
    s.run_out();
    let answer = s.view("a").answer.clone().expect("an answer");
    assert_eq!((answer.text, answer.status), (None, Status::Idle));
    assert!(answer.reason.is_some_and(|r| r.contains("interrupted")));
}

#[test]
fn a_permission_in_the_middle_is_not_the_end() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.deliver("a");
    s.status(Status::Working);
    s.status(Status::Blocked(Blocked::Permission));
    s.run_out();
    assert_eq!(s.state("a"), PromptState::Delivered);
    s.status(Status::Working);
    s.ended("a", "done");
    s.run_out();
    assert_eq!(s.state("a"), PromptState::Answered);
}

#[test]
fn a_command_is_proven_by_what_only_follows_on_a_command() {
    for stir in [true, false] {
        let mut s = Stand::new(Status::Idle);
        let mut clear = prompt("a", WhileWorking::Refuse);
        (clear.text, clear.view.command) = ("/clear".into(), true);
        s.send_it(clear).expect("idle");
        s.until_enter();
        assert_eq!(s.typed[0], b"\x1b[200~/clear\x1b[201~");
        if stir {
            s.input(Input::Stirred { session_id: Some("new".into()) });
            assert_eq!((s.state("a"), s.view("a").proof), (PromptState::Delivered, Some(Proof::Hook)));
        } else {
            s.status(Status::Blocked(Blocked::Question));
            assert_eq!((s.state("a"), s.view("a").proof), (PromptState::Delivered, Some(Proof::Status)));
        }
    }
}

#[test]
fn a_claude_that_has_just_been_started_and_does_not_report_is_given_time_to_read_keys() {
    let mut s = Stand::new(Status::Idle);
    s.scene.status_seq = None;
    s.scene.run = Some(("r1".into(), 9_000));
    s.send("a", WhileWorking::Refuse).expect("it is idle");
    assert!(s.serve() && s.open.is_empty(), "{:?}", s.open);
    s.deliver("a");
    assert!(s.view("a").delivered_at.is_some_and(|at| at >= 9_000 + START_MS));
}

#[test]
fn nothing_is_typed_into_a_working_claude_that_does_not_report_to_its_terminal() {
    let mut s = Stand::new(Status::Working);
    s.scene.status_seq = None;
    let refused = s.send("a", WhileWorking::Now).expect_err("an Enter might answer a dialog");
    assert_eq!(refused.code, Code::Busy);
    s.status(Status::Idle);
    s.send("a", WhileWorking::Now).expect("it is idle");
    s.deliver("a");
}

#[test]
fn what_ends_with_its_run_is_told_of() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.until_enter();
    s.scene.run = None;
    s.scene.status = None;
    s.input(Input::Exited("signal 9 (SIGKILL)".into()));
    s.run_out();
    assert_eq!(s.state("a"), PromptState::Undelivered);

    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.deliver("a");
    s.input(Input::Exited("signal 9 (SIGKILL)".into()));
    let answer = s.view("a").answer.clone().expect("an answer");
    assert_eq!(answer.status, Status::Unknown);
    assert!(answer.reason.is_some_and(|r| r.contains("SIGKILL")));

    // one that waits, waits for the next run
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Queue).expect("idle");
    s.scene.run = None;
    s.scene.status = None;
    s.input(Input::Exited("exit code 0".into()));
    assert_eq!(s.state("a"), PromptState::Queued);
    s.scene.run = Some(("r2".into(), 20_000));
    s.status(Status::Idle);
    s.open.clear();
    s.input(Input::Changed);
    assert_eq!(s.state("a"), PromptState::Typing);
}

#[test]
fn after_a_restart_of_the_daemon_nothing_is_sent_twice() {
    let scene = Stand::new(Status::Idle).scene;
    for there in [true, false] {
        let mut s = Stand::new(Status::Idle);
        let mut typing = prompt("a", WhileWorking::Queue);
        typing.view.state = PromptState::Typing;
        typing.view.typed_at = Some(9_000);
        let effects = s.prompts.restore(vec![typing, prompt("b", WhileWorking::Queue)], &scene);
        s.do_all(effects);
        assert_eq!(s.texts("b"), 0, "it waits until it is known what became of the other");
        while s.kept.iter().all(|p| p.view.id != "a") {
            let Some(Effect::Look { order, since, .. }) = s.open.pop_front() else {
                assert!(s.wait());
                continue;
            };
            assert_eq!(since, 9_000);
            s.input(Input::Looked { order, found: there.then(Found::default) });
        }
        let state = if there { PromptState::Delivered } else { PromptState::Undelivered };
        assert_eq!(s.state("a"), state);
        assert_eq!(s.texts("a"), 0);
        s.run_out();
        assert_eq!(s.texts("b"), 1);
    }
}

#[test]
fn what_became_of_a_prompt_that_a_daemon_left_half_typed_is_asked_as_long_as_of_any_other() {
    let restored = || {
        let mut s = Stand::new(Status::Idle);
        let mut typing = prompt("a", WhileWorking::Queue);
        (typing.text, typing.view.state) = ("do all the tests".into(), PromptState::Typing);
        typing.view.typed_at = Some(9_000);
        let scene = s.scene.clone();
        let effects = s.prompts.restore(vec![typing], &scene);
        s.do_all(effects);
        s
    };
    // a busy machine: its transcript has it after six seconds
    let mut s = restored();
    while s.scene.at < 16_000 {
        assert!(s.serve() || s.wait());
        assert!(s.kept.is_empty(), "{:?}", s.kept);
    }
    while !matches!(s.open.front(), Some(Effect::Look { .. })) {
        assert!(s.wait());
    }
    let Some(Effect::Look { order, .. }) = s.open.pop_front() else { panic!() };
    s.input(Input::Looked { order, found: Some(Found::default()) });
    assert_eq!((s.state("a"), s.view("a").proof), (PromptState::Delivered, Some(Proof::Transcript)));
    // it says so itself meanwhile
    let mut s = restored();
    s.submitted("do all the tests", "t");
    assert_eq!((s.state("a"), s.view("a").proof), (PromptState::Delivered, Some(Proof::Hook)));
    assert_eq!(s.view("a").prompt_id.as_deref(), Some("t"));
    // it says so later, or works and nobody knows on what
    let mut s = restored();
    s.status(Status::Working);
    s.run_out();
    assert_eq!(s.state("a"), PromptState::Undelivered);
    assert!(s.reason("a").contains("may have it"), "{}", s.reason("a"));
    s.submitted("do all the tests", "t");
    assert_eq!((s.state("a"), s.reason("a")), (PromptState::Delivered, "its proof came late"));
    let mut s = restored();
    s.run_out();
    assert!(s.reason("a").contains("nothing shows"), "{}", s.reason("a"));
    // nobody looks at it again
    let mut s = restored();
    s.open.clear();
    s.run_out();
    assert_eq!(s.state("a"), PromptState::Undelivered);
    assert!(s.typed.is_empty(), "{:?}", s.typed);
}

#[test]
fn a_turn_of_before_a_restart_ends_with_its_run_or_with_the_rest_of_its_agent() {
    let mut delivered = prompt("a", WhileWorking::Queue);
    delivered.view.state = PromptState::Delivered;
    (delivered.view.typed_at, delivered.view.delivered_at) = (Some(9_000), Some(9_100));
    for (run, status, ends) in [
        // it ended meanwhile, and stays down; or another one has begun
        (None, None, Some(Status::Unknown)),
        (Some(("r2".to_owned(), 9_500)), Some(Status::Idle), Some(Status::Unknown)),
        (Some(("r2".to_owned(), 9_500)), Some(Status::Working), Some(Status::Unknown)),
        // nothing changes any more
        (Some(("r1".to_owned(), 5_000)), Some(Status::Idle), Some(Status::Idle)),
        (Some(("r1".to_owned(), 5_000)), Some(Status::Working), None),
        (Some(("r1".to_owned(), 5_000)), None, None),
    ] {
        let mut s = Stand::new(Status::Idle);
        (s.scene.run, s.scene.status) = (run.clone(), status);
        let effects = s.prompts.restore(vec![delivered.clone()], &s.scene);
        s.do_all(effects);
        s.run_out();
        let answer = s.kept.first().and_then(|p| p.view.answer.as_ref()).map(|a| a.status);
        assert_eq!(answer, ends, "{run:?} {status:?}");
        assert_eq!(s.prompts.is_empty(), ends.is_some());
    }
    // what was said before its run ended is found
    let mut s = Stand::new(Status::Idle);
    (s.scene.run, s.scene.status) = (None, None);
    let effects = s.prompts.restore(vec![delivered, prompt("b", WhileWorking::Queue)], &s.scene);
    s.do_all(effects);
    while !matches!(s.open.front(), Some(Effect::Look { .. })) {
        assert!(s.wait());
    }
    let Some(Effect::Look { order, .. }) = s.open.pop_front() else { panic!() };
    let found = Found { answer: Some("done".into()), ..Found::default() };
    s.input(Input::Looked { order, found: Some(found) });
    let answer = s.view("a").answer.clone().expect("an answer");
    assert_eq!((answer.text.as_deref(), answer.status), (Some("done"), Status::Unknown));
    assert!(answer.reason.is_some_and(|r| r.contains("run")));
    // and what waited is not held up by it
    s.scene.run = Some(("r2".into(), s.scene.at));
    s.status(Status::Idle);
    s.deliver("b");
}

#[test]
fn a_prompt_that_is_proven_after_its_run_has_ended_has_no_turn_that_never_ends() {
    for next in [None, Some(("r2".to_owned(), 20_000))] {
        let mut s = Stand::new(Status::Idle);
        s.send("a", WhileWorking::Refuse).expect("idle");
        s.until_enter();
        s.scene.run = None;
        s.scene.status = None;
        s.input(Input::Exited("signal 9 (SIGKILL)".into()));
        s.scene.status = next.is_some().then_some(Status::Working);
        s.scene.run = next;
        s.input(Input::Changed);
        let Some(Effect::Look { order, .. }) = s.open.pop_back() else { panic!("{:?}", s.open) };
        s.input(Input::Looked { order, found: Some(Found::default()) });
        assert_eq!((s.state("a"), s.view("a").proof), (PromptState::Delivered, Some(Proof::Transcript)));
        s.run_out();
        assert_eq!(s.view("a").answer.as_ref().map(|a| a.status), Some(Status::Unknown));
    }
}

#[test]
fn a_prompt_that_waits_can_be_taken_back_and_one_that_is_typed_cannot() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Queue).expect("idle");
    s.send("b", WhileWorking::Queue).expect("it waits");
    s.input(Input::Cancel("b".into()));
    s.input(Input::Cancel("a".into()));
    assert_eq!((s.state("a"), s.state("b")), (PromptState::Typing, PromptState::Canceled));
    s.deliver("a");
    s.run_out();
    assert_eq!(s.texts("b"), 0);
}

#[test]
fn all_that_is_under_way_ends_when_its_process_goes() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    s.deliver("a");
    s.status(Status::Working);
    s.send("b", WhileWorking::Now).expect("it works");
    s.send("c", WhileWorking::Queue).expect("it waits");
    let effects = s.prompts.abandon("the process was removed", &s.scene);
    s.do_all(effects);
    assert_eq!((s.state("a"), s.state("b")), (PromptState::Answered, PromptState::Undelivered));
    assert_eq!(s.state("c"), PromptState::Undelivered);
    let answer = s.view("a").answer.clone().expect("how it ended");
    assert_eq!((answer.text, answer.reason.as_deref()), (None, Some("the process was removed")));
    assert!(s.prompts.is_empty());
}

#[test]
fn a_program_that_tells_nothing_is_typed_into_only_if_told_to() {
    let mut s = Stand::new(Status::Unknown);
    s.scene.kind = Kind::Command;
    s.scene.tells = false;
    s.scene.status_seq = None;
    let refused = s.send("a", WhileWorking::Refuse).expect_err("nothing is known");
    assert!(refused.hint.is_some_and(|h| h.contains("--now")));
    s.send("a", WhileWorking::Now).expect("told to");
    s.until_enter();
    assert_eq!((s.state("a"), s.view("a").proof), (PromptState::Delivered, None));
}

#[test]
fn no_words_of_a_prompt_or_an_answer_stand_in_what_is_shown_of_them_for_debugging() {
    let mut s = Stand::new(Status::Idle);
    s.send("a", WhileWorking::Refuse).expect("idle");
    let mut shown = format!("{:?}", s.kept);
    s.until_enter();
    let (prompt_id, session_id) = (Some("t".to_owned()), None);
    let submitted = Input::Submitted { text: "do a".into(), prompt_id: prompt_id.clone(), session_id };
    let ended = Input::Ended { prompt_id, last_message: Some("do a, done".into()), failed: false };
    let found = Found { answer: Some("do a, done".into()), ..Found::default() };
    let looked = Input::Looked { order: 1, found: Some(found) };
    let look = Effect::Look { order: 1, text: "do a".into(), since: 1 };
    let typed = Effect::Type { order: 1, status_seq: None, quiet_ms: None, bytes: b"do a".to_vec() };
    let typed = format!("{typed:?}");
    assert!(typed.contains("bytes: 4"), "{typed}");
    shown += &format!("{submitted:?}{ended:?}{looked:?}{look:?}{typed}{:?}", s.prompts);
    s.input(submitted);
    s.input(ended);
    shown += &format!("{:?}", s.prompts);
    s.run_out();
    shown += &format!("{:?}", s.kept);
    assert!(!shown.contains("do a"), "{shown}");
    assert!(shown.contains("Answered"), "{shown}");
}

#[test]
fn the_queue_is_bounded() {
    let mut s = Stand::new(Status::Working);
    for i in 0..QUEUE_MAX {
        s.send(&i.to_string(), WhileWorking::Queue).expect("room");
    }
    assert_eq!(s.send("x", WhileWorking::Queue).expect_err("full").code, Code::Busy);
}

#[derive(Clone, Debug)]
enum Step {
    Send(WhileWorking),
    Serve,
    Refuse(Outcome),
    Drop,
    Double,
    Status(Status),
    Submit(bool),
    End,
    Exit,
    Start,
    Wait,
    Cancel(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use WhileWorking::{Now, Queue, Refuse};
    let status = prop_oneof![
        Just(Status::Idle),
        Just(Status::Working),
        Just(Status::Blocked(Blocked::Permission)),
        Just(Status::Error),
        Just(Status::Unknown),
        Just(Status::RateLimited),
    ];
    let outcome =
        prop_oneof![Just(Outcome::Status), Just(Outcome::Person), Just(Outcome::Full), Just(Outcome::Lost)];
    let step = prop_oneof![
        3 => prop_oneof![Just(Refuse), Just(Queue), Just(Now)].prop_map(Step::Send),
        8 => Just(Step::Serve),
        1 => outcome.prop_map(Step::Refuse),
        1 => Just(Step::Drop),
        1 => Just(Step::Double),
        4 => status.prop_map(Step::Status),
        3 => any::<bool>().prop_map(Step::Submit),
        2 => Just(Step::End),
        1 => Just(Step::Exit),
        1 => Just(Step::Start),
        6 => Just(Step::Wait),
        1 => (0..8usize).prop_map(Step::Cancel),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever happens, in whatever order, lost or doubled: no text is typed twice, nothing is typed where
    /// it may not be, and everything ends in one state.
    #[test]
    fn no_prompt_is_typed_twice_nor_into_a_dialog_and_each_ends(steps in steps()) {
        let mut s = Stand::new(Status::Idle);
        let mut sent = 0;
        for step in steps {
            let typed = s.typed.len();
            let status = s.scene.status;
            match step {
                Step::Send(mode) => {
                    // a text that no other has within
                    sent += 1;
                    let _ = s.send(&format!("<{sent}>"), mode);
                }
                Step::Serve => { s.serve(); }
                Step::Refuse(outcome) => {
                    if let Some(Effect::Type { order, .. }) = s.open.front() {
                        let order = *order;
                        s.open.pop_front();
                        s.input(Input::Typed { order, outcome });
                    }
                }
                // an answer that never comes
                Step::Drop => { s.open.pop_front(); }
                Step::Double => {
                    if let Some(effect) = s.open.front().cloned() && !matches!(effect, Effect::Type { .. }) {
                        s.open.push_front(effect);
                    }
                }
                Step::Status(status) => if s.scene.run.is_some() { s.status(status) },
                Step::Submit(own) => {
                    let text = s.prompts.current.as_ref().map(|c| c.prompt.text.to_string());
                    s.submitted(&text.filter(|_| own).unwrap_or_else(|| "other".into()), "t");
                }
                Step::End => s.ended("t", "done"),
                Step::Exit => {
                    s.scene.run = None;
                    s.scene.status = None;
                    s.input(Input::Exited("exit code 1".into()));
                }
                Step::Start => if s.scene.run.is_none() {
                    s.scene.run = Some((format!("r{}", s.typed.len() + 2), s.scene.at));
                    s.status(Status::Idle);
                },
                Step::Wait => { s.wait(); }
                Step::Cancel(i) => {
                    let id = s.prompts.all().nth(i).map(|p| p.view.id.clone());
                    if let Some(id) = id { s.input(Input::Cancel(id)); }
                }
            }
            if s.typed.len() > typed {
                // the keeper types what was ordered before a status came only if it is not newer
                prop_assert!(matches!(step_status(status), Some(true)) || status == s.scene.status);
            }
        }
        if s.scene.run.is_none() {
            s.scene.run = Some(("last".into(), s.scene.at));
        }
        // from here on everything goes well
        for _ in 0..sent * 6 + 10 {
            s.status(Status::Idle);
            s.run_out();
            if s.prompts.is_empty() { break; }
        }
        for i in 1..=sent {
            let id = format!("<{i}>");
            prop_assert!(s.texts(&id) <= 1, "{id} was typed {} times", s.texts(&id));
            if let Some(kept) = s.kept.iter().find(|p| p.view.id == id) {
                let over = matches!(kept.view.state, PromptState::Answered | PromptState::Undelivered | PromptState::Canceled);
                prop_assert!(over, "{id}: {:?}", kept.view);
            }
        }
        prop_assert!(s.prompts.is_empty(), "{:#?}", s.prompts);
    }

    /// What is ordered to be typed is ordered only where it may be typed.
    #[test]
    fn nothing_is_ordered_to_be_typed_into_an_agent_that_does_not_take_it(steps in steps()) {
        let mut s = Stand::new(Status::Idle);
        let mut sent = 0;
        for step in steps {
            let before = s.open.iter().filter(|e| matches!(e, Effect::Type { .. })).count();
            match step {
                Step::Send(mode) => { sent += 1; let _ = s.send(&format!("<{sent}>"), mode); }
                Step::Serve | Step::Refuse(_) | Step::Drop => { s.serve(); }
                Step::Status(status) => s.status(status),
                Step::Submit(_) => s.submitted("other", "t"),
                Step::Double | Step::Exit | Step::Start | Step::End | Step::Cancel(_) | Step::Wait => { s.wait(); }
            }
            let after = s.open.iter().filter(|e| matches!(e, Effect::Type { .. })).count();
            if after > before {
                prop_assert!(step_status(s.scene.status).is_some(), "typed while {:?}", s.scene.status);
            }
        }
    }
}

/// Whether something may be typed, and then whether it must be idle.
fn step_status(status: Option<Status>) -> Option<bool> {
    match status {
        Some(Status::Idle | Status::Error) => Some(true),
        Some(Status::Working | Status::RateLimited) => Some(false),
        Some(Status::Starting | Status::Blocked(_) | Status::Unknown) | None => None,
    }
}
