//! What is done with one agent: prompts, permissions, questions, in an order that a number decides.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use indexmap::IndexMap;
use wezterm_parallel_schemas::{
    error::{Code, Error},
    inbox::{AskKind, AskState, AskView, InboxAnswer, InboxDeny, InboxList, InboxTarget},
    method::{AllowAsk, AnswerAsk, DenyAsk, ListAsks, ListProcesses, Method, SendPrompt, WaitForPrompt},
    process::{Blocked, ProcessList, ProcessView, Status},
    prompt::{ProcessSend, PromptState, PromptView, PromptWait, WhileWorking},
};

use crate::{
    support::{mock::Mock, rpc::Client},
    tally::Tally,
};

/// How long a status may take to be the true one before it counts as wrong.
const STATUS: Duration = Duration::from_secs(5);
/// How long a request may take to come into the inbox, and a turn to end, before it counts as stuck.
const STUCK: Duration = Duration::from_secs(60);
/// Acts in one conversation: it is begun anew then, so that the API is not sent ever longer ones.
const ACTS_IN_ONE: u64 = 12;
/// How long a Claude may be at work once more after it has begun a new conversation.
const AFTER_CLEAR: Duration = Duration::from_millis(500);

/// Where it all takes place.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The daemon's socket.
    pub socket: &'a Path,
    /// The directory of the projects.
    pub work: &'a Path,
    /// The API that the Claudes talk to.
    pub mock: &'a Mock,
}

/// One agent and what is done with it.
pub struct Agent<'a> {
    place: Place<'a>,
    name: &'a str,
    number: u64,
    acts: u64,
    chance: u64,
    pause_ms: u64,
    tally: &'a Tally,
}

impl<'a> Agent<'a> {
    /// Nothing has been done with it yet.
    /// Between two acts are `pause_ms` at most.
    pub fn new(place: Place<'a>, name: &'a str, number: u64, pause_ms: u64, tally: &'a Tally) -> Self {
        Self { place, name, number, acts: 0, chance: number * 7_919 + 17, pause_ms: pause_ms.max(1), tally }
    }

    /// Does one thing, and sees that all is as it must be.
    pub fn act(&mut self) {
        self.acts += 1;
        let pause = self.chance(self.pause_ms);
        thread::sleep(Duration::from_millis(pause));
        let done = if self.acts.is_multiple_of(ACTS_IN_ONE) {
            self.clear()
        } else {
            match self.chance(6) {
                0 => self.plain(),
                1 => self.watched(),
                2 => self.queued(),
                3 => self.permission(true),
                4 => self.permission(false),
                _ => self.question(),
            }
        };
        if let Err(why) = done {
            self.tally.wrong(format!("{} (act {}): {why}", self.name, self.acts));
            // whatever it is in, the next act begins with a prompt that can be given
            let _ = self.status(Status::Idle, STUCK);
        }
    }

    /// A number below `n`, the same in every run.
    fn chance(&mut self, n: u64) -> u64 {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % n
    }

    /// A mark that no other prompt has.
    fn mark(&self, what: &str) -> String {
        format!("{what}-{}-{}-end", self.number, self.acts)
    }

    fn plain(&mut self) -> Result<(), String> {
        let mark = self.mark("plain");
        let sent =
            self.send(&mark, &format!("[[text:the answer of {mark}]]"), WhileWorking::Refuse, false)?;
        self.answer(&sent, &format!("the answer of {mark}"))
    }

    /// Several lines and other alphabets; and while the API is asked, it works.
    fn watched(&mut self) -> Result<(), String> {
        let mark = self.mark("watched");
        let text = format!("[[hold:{mark}]][[text:回答 {mark} 👍]]\nsecond line\n\tthird one: ünïcödé");
        let sent = self.send(&mark, &text, WhileWorking::Refuse, false)?;
        self.place.mock.wait(&mark, |r| r.prompt.contains(&mark));
        self.status(Status::Working, STATUS)?;
        self.place.mock.release(&mark);
        self.answer(&sent, &format!("回答 {mark} 👍"))
    }

    /// A second prompt while the first one is worked on.
    fn queued(&mut self) -> Result<(), String> {
        let (first, second) = (self.mark("first"), self.mark("second"));
        let one =
            self.send(&first, &format!("[[hold:{first}]][[text:one {first}]]"), WhileWorking::Refuse, false)?;
        self.place.mock.wait(&first, |r| r.prompt.contains(&first));
        let two = self.send(&second, &format!("[[text:two {second}]]"), WhileWorking::Queue, false)?;
        self.tally.note(|t| t.queued += 1);
        if two.state != PromptState::Queued {
            return Err(format!("a prompt for who works is {:?}", two.state));
        }
        self.place.mock.release(&first);
        self.answer(&one, &format!("one {first}"))?;
        self.answer(&two, &format!("two {second}"))
    }

    /// A tool that asks for leave, which it gets or not.
    fn permission(&mut self, allow: bool) -> Result<(), String> {
        let mark = self.mark(if allow { "allow" } else { "deny" });
        let sent = self.send(
            &mark,
            &format!("[[bash:echo {mark} > {mark}]][[text:after {mark}]]"),
            WhileWorking::Refuse,
            false,
        )?;
        let ask = self.ask(AskKind::Permission)?;
        self.status(Status::Blocked(Blocked::Permission), STATUS)?;
        if !ask.input.contains(&mark) {
            return Err(format!("another request than the one that was made: {}", ask.input));
        }
        let decided = if allow {
            self.call::<AllowAsk>(|| InboxTarget { item: ask.id.clone(), key: None })
        } else {
            self.call::<DenyAsk>(|| InboxDeny {
                item: ask.id.clone(),
                message: Some(format!("no {mark}")),
                key: None,
            })
        }
        .map_err(|e| e.line())?;
        let wanted = if allow { AskState::Allowed } else { AskState::Denied };
        if decided.state != wanted {
            return Err(format!("decided, and {:?}", decided.state));
        }
        self.answer(&sent, &format!("after {mark}"))?;
        let (workspace, _) = self.name.split_once('/').expect("WORKSPACE/PROCESS");
        let made = self.place.work.join(workspace).join(&mark).exists();
        if made != allow {
            return Err(format!("allowed: {allow}, used: {made}"));
        }
        self.tally.note(|t| if allow { t.allowed += 1 } else { t.denied += 1 });
        Ok(())
    }

    fn question(&mut self) -> Result<(), String> {
        let mark = self.mark("question");
        let question = format!(
            r#"{{"questions":[{{"question":"Which {mark}?","header":"Pick","multiSelect":false,"options":[{{"label":"Alpha","description":"a"}},{{"label":"Beta","description":"b"}}]}}]}}"#
        );
        let sent = self.send(
            &mark,
            &format!("[[tool:AskUserQuestion:{question}]][[text:thanks for {mark}]]"),
            WhileWorking::Refuse,
            false,
        )?;
        let ask = self.ask(AskKind::Question)?;
        self.status(Status::Blocked(Blocked::Question), STATUS)?;
        let answers: IndexMap<String, String> = [(format!("Which {mark}?"), "Beta".to_owned())].into();
        self.call::<AnswerAsk>(|| InboxAnswer { item: ask.id.clone(), answers: answers.clone(), key: None })
            .map_err(|e| e.line())?;
        self.answer(&sent, &format!("thanks for {mark}"))?;
        self.tally.note(|t| t.answered += 1);
        Ok(())
    }

    /// The conversation is begun anew, by a command that is sent as a prompt.
    fn clear(&mut self) -> Result<(), String> {
        let before = self.process()?.session_id;
        let key = self.mark("clear");
        let params = || ProcessSend {
            process: self.name.into(),
            text: "/clear".into(),
            command: true,
            key: Some(key.clone()),
            ..ProcessSend::default()
        };
        self.call::<SendPrompt>(params).map_err(|e| e.line())?;
        let deadline = Instant::now() + STUCK;
        loop {
            let now = self.process()?;
            if now.session_id != before && now.status == Some(Status::Idle) {
                break;
            }
            if Instant::now() > deadline {
                return Err(format!("after /clear it is {:?}, its session {:?}", now.status, now.session_id));
            }
            thread::sleep(Duration::from_millis(50));
        }
        // it works once more for a moment while it draws the new conversation
        thread::sleep(AFTER_CLEAR);
        self.status(Status::Idle, STATUS)?;
        self.tally.note(|t| t.cleared += 1);
        Ok(())
    }

    fn send(
        &self,
        mark: &str,
        text: &str,
        while_working: WhileWorking,
        command: bool,
    ) -> Result<PromptView, String> {
        self.tally.expect(mark, self.name);
        self.tally.note(|t| t.prompts += 1);
        let params = || ProcessSend {
            process: self.name.into(),
            text: format!("{mark} {text}"),
            while_working,
            command,
            key: Some(mark.into()),
            ..ProcessSend::default()
        };
        self.call::<SendPrompt>(params).map_err(|e| e.line())
    }

    /// Waits for the answer of a prompt; then the agent is idle.
    fn answer(&self, prompt: &PromptView, text: &str) -> Result<(), String> {
        let timeout = u64::try_from(STUCK.as_millis()).expect("a minute");
        let params = || PromptWait { prompt: prompt.id.clone(), timeout_ms: Some(timeout) };
        let over = self.call::<WaitForPrompt>(params).map_err(|e| e.line())?;
        match over.answer.as_ref().and_then(|a| a.text.as_deref()) {
            Some(found) if found.contains(text) => self.tally.note(|t| t.answers += 1),
            other => return Err(format!("the answer is {other:?} and not `{text}`: {over:?}")),
        }
        Ok(())
    }

    /// The open request of this agent, as soon as there is one.
    fn ask(&self, kind: AskKind) -> Result<AskView, String> {
        let deadline = Instant::now() + STUCK;
        loop {
            let open = self.call::<ListAsks>(InboxList::default).map_err(|e| e.line())?;
            let of_this = |a: &AskView| format!("{}/{}", a.workspace, a.process) == self.name;
            match open.into_iter().find(of_this) {
                Some(ask) if ask.kind == kind => return Ok(ask),
                Some(ask) => return Err(format!("it asks for {:?}", ask.kind)),
                None if Instant::now() > deadline => return Err("no request came".into()),
                None => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Its status is this one, now or very soon.
    fn status(&self, status: Status, within: Duration) -> Result<(), String> {
        let begun = Instant::now();
        let deadline = begun + within;
        self.tally.note(|t| t.statuses += 1);
        loop {
            let found = self.process()?.status;
            if found == Some(status) {
                self.tally.late(begun.elapsed().as_millis());
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("its status is {found:?} and not {status:?}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The agent as it is listed.
    fn process(&self) -> Result<ProcessView, String> {
        let all = self.call::<ListProcesses>(ProcessList::default).map_err(|e| e.line())?;
        let own = all.into_iter().find(|p| format!("{}/{}", p.workspace, p.name) == self.name);
        own.ok_or_else(|| "it is not listed".into())
    }

    /// Calls, and calls again if the daemon was killed meanwhile: with the same key, nothing is done twice.
    fn call<M: Method>(&self, params: impl Fn() -> M::Params) -> Result<M::Result, Error> {
        let deadline = Instant::now() + 2 * STUCK;
        loop {
            let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Client::connect(self.place.socket).call::<M>(params())
            }));
            match called {
                Ok(answer) => return answer,
                Err(_) if Instant::now() < deadline => {
                    self.tally.note(|t| t.again += 1);
                    thread::sleep(Duration::from_millis(200));
                }
                Err(_) => return Err(Error::new(Code::Timeout, "no daemon answers any more")),
            }
        }
    }
}
