//! What an agent says of itself, as far as it can be believed.
//!
//! Claude Code reports by the Program Status Protocol (`OSC 7501`): `state=working:app=claude-code`,
//! `state=blocked:kind=permission:msg=BASE64`. The keeper, being its terminal, records each report;
//! this module says what it means.

use crate::claude::{hook::Hook, registry::Entry};
use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use wezterm_parallel_schemas::{
    keeper::ProgramStatus,
    process::{Blocked, Status},
};

/// Something that was said about an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// Its number among those of its source in this run. One that is not above the last is ignored.
    pub seq: u64,
    /// When it was said, in milliseconds since 1970, by the clock of whoever said it.
    pub at: i64,
    /// What.
    pub claim: Claim,
}

/// What was said, by source.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// `OSC 7501`: what stands between `7501;` and the end of the sequence.
    Report(String),
    /// A hook of Claude's.
    Hook(Box<Hook>),
    /// Claude's file of this living session.
    Registry(Box<Entry>),
    /// The title that it gave its terminal.
    Title(String),
    /// `OSC 9;4`.
    Progress {
        /// 0 none, 1 so many percent, 2 error, 3 under way without a figure, 4 paused.
        state: u8,
    },
}

/// Longest reason that is kept, in characters: two lines of a wide screen.
const REASON_CHARS_MAX: usize = 400;

/// Padding is left out by some writers and written by others.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is known of an agent now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tracker {
    /// Its status; none before it was started.
    status: Option<Status>,
    reason: Option<String>,
    since: Option<i64>,
    unread: bool,
    seq: u64,
    ever_idle: bool,
}

impl Tracker {
    /// A new run begins.
    pub fn started(&mut self, at: i64) {
        *self =
            Self { status: Some(Status::Starting), since: Some(at), unread: self.unread, ..Self::default() };
    }

    /// The run is over. What it left unread stays so.
    pub fn ended(&mut self) {
        *self = Self { unread: self.unread, ..Self::default() };
    }

    /// It said something. Reports that came out of order or twice are ignored.
    pub fn said(&mut self, report: &ProgramStatus) {
        if report.seq <= self.seq && self.seq != 0 {
            return;
        }
        self.seq = report.seq;
        let Some(said) = parse(&report.body) else { return };
        let (status, ends_turn) = match said.state.as_str() {
            "idle" => (Status::Idle, false),
            "working" => (Status::Working, false),
            "done" => (Status::Idle, true),
            "error" => (Status::Error, true),
            "blocked" => (Status::Blocked(blocked(&said)), false),
            // onboarding takes its state back and says nothing more until it is through
            "clear" if !self.ever_idle => (Status::Blocked(Blocked::Setup), false),
            _ => (Status::Unknown, false),
        };
        self.ever_idle |= matches!(status, Status::Idle | Status::Working);
        self.unread |= ends_turn;
        self.put(status, said.message, report.at);
    }

    /// What it had said last when the daemon came back to it. `news`: it said so while the daemon was
    /// away, so nobody can have been told.
    pub fn recall(&mut self, report: &ProgramStatus, news: bool) {
        let unread = self.unread;
        self.said(report);
        if !news {
            self.unread = unread;
        }
    }

    /// Something was said about it.
    pub fn hear(&mut self, word: Word) {
        if let Claim::Report(body) = word.claim {
            self.said(&ProgramStatus { seq: word.seq, at: word.at, body });
        }
    }

    /// It has said nothing for as long as a start may take.
    pub fn silent(&mut self, at: i64) {
        if self.status == Some(Status::Starting) {
            self.put(Status::Unknown, Some("it has not reported any status since it started".into()), at);
        }
    }

    /// Somebody looked.
    pub fn seen(&mut self) {
        self.unread = false;
    }

    /// Puts back what was known before a restart of the daemon.
    pub fn restore_unread(&mut self, unread: bool) {
        self.unread = unread;
    }

    /// The status; none where nothing runs.
    pub fn status(&self) -> Option<Status> {
        self.status
    }
    /// What was said with it.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
    /// When it last changed.
    pub fn since(&self) -> Option<i64> {
        self.since
    }
    /// A turn has ended and nobody has looked since.
    pub fn unread(&self) -> bool {
        self.unread
    }
    /// It has come as far as a prompt at least once in this run.
    pub fn ready(&self) -> bool {
        self.ever_idle
    }

    fn put(&mut self, status: Status, reason: Option<String>, at: i64) {
        if self.status != Some(status) {
            self.since = Some(at);
        }
        self.status = Some(status);
        self.reason = reason;
    }
}

struct Said {
    state: String,
    kind: Option<String>,
    message: Option<String>,
}

/// Takes a report apart. None for reports about something else than the program itself (subagents
/// carry an `id`), and for those without a state.
fn parse(body: &str) -> Option<Said> {
    let (mut state, mut kind, mut message) = (None, None, None);
    for field in body.split(':') {
        let (key, value) = field.split_once('=')?;
        match key {
            "state" => state = Some(value.to_owned()),
            "kind" => kind = Some(value.to_owned()),
            "msg" => message = text(value),
            "id" => return None,
            _ => {}
        }
    }
    Some(Said { state: state?, kind, message })
}

fn blocked(said: &Said) -> Blocked {
    match said.kind.as_deref() {
        Some("question") => Blocked::Question,
        Some("auth") => Blocked::Auth,
        Some("setup") => Blocked::Setup,
        // the trust dialog calls itself a permission, with this text
        _ if said.message.as_deref() == Some("trust this folder") => Blocked::Trust,
        _ => Blocked::Permission,
    }
}

/// A message: base64, UTF-8, without control characters.
fn text(encoded: &str) -> Option<String> {
    let bytes = BASE64.decode(encoded).ok()?;
    let text: String =
        String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(bodies: &[&str]) -> Tracker {
        let mut t = Tracker::default();
        t.started(0);
        for (i, body) in bodies.iter().enumerate() {
            t.said(&ProgramStatus { seq: i as u64 + 1, at: i as i64 + 1, body: (*body).into() });
        }
        t
    }

    #[test]
    fn reports_of_the_real_program_mean_what_it_shows() {
        for (body, status, reason) in [
            ("state=idle:app=claude-code", "idle", None),
            ("state=working:app=claude-code", "working", None),
            (
                "state=blocked:app=claude-code:kind=permission:msg=YXBwcm92ZSBCYXNoOiBlY2hvIGhpID4geno=",
                "blocked(permission)",
                Some("approve Bash: echo hi > zz"),
            ),
            (
                "state=blocked:app=claude-code:kind=question:msg=YW5zd2VyOiBXaGljaD8gKEEgwrcgQik=",
                "blocked(question)",
                Some("answer: Which? (A · B)"),
            ),
            (
                "state=blocked:app=claude-code:kind=permission:msg=dHJ1c3QgdGhpcyBmb2xkZXI=",
                "blocked(trust)",
                Some("trust this folder"),
            ),
            (
                "state=blocked:app=claude-code:kind=auth:msg=Tm90IGxvZ2dlZCBpbg==",
                "blocked(auth)",
                Some("Not logged in"),
            ),
            ("state=clear", "blocked(setup)", None),
            (
                "state=error:app=claude-code:msg=QVBJIEVycm9yOiA0MDAgbW9jayBlcnJvciA0MDA=",
                "error",
                Some("API Error: 400 mock error 400"),
            ),
            ("state=napping:app=claude-code", "unknown", None),
        ] {
            let t = after(&[body]);
            assert_eq!(t.status().map(Status::name), Some(status), "{body}");
            assert_eq!(t.reason(), reason, "{body}");
        }
    }

    #[test]
    fn a_finished_turn_is_unread_until_somebody_looks() {
        let mut t = after(&["state=idle", "state=working", "state=done"]);
        assert_eq!((t.status(), t.unread()), (Some(Status::Idle), true));
        t.seen();
        assert!(!t.unread());
    }

    #[test]
    fn a_turn_that_was_seen_stays_seen_over_a_restart_of_the_daemon() {
        let last = ProgramStatus { seq: 9, at: 5, body: "state=done".into() };
        let mut t = Tracker::default();
        t.started(0);
        t.recall(&last, false);
        assert_eq!((t.status(), t.unread()), (Some(Status::Idle), false));
        let mut t = Tracker::default();
        t.started(0);
        t.recall(&last, true);
        assert!(t.unread(), "it ended while nobody was there to hear of it");
    }

    #[test]
    fn an_escape_is_no_finished_turn() {
        let t = after(&["state=idle", "state=working", "state=idle"]);
        assert_eq!((t.status(), t.unread()), (Some(Status::Idle), false));
    }

    #[test]
    fn subagents_do_not_speak_for_the_agent() {
        let t = after(&["state=working", "state=done:id=a1:title=c3Vi"]);
        assert_eq!((t.status(), t.unread()), (Some(Status::Working), false));
    }

    #[test]
    fn a_report_that_came_late_changes_nothing() {
        let mut t = after(&["state=idle", "state=working", "state=done"]);
        t.said(&ProgramStatus { seq: 2, at: 9, body: "state=working".into() });
        assert_eq!(t.status(), Some(Status::Idle));
    }

    #[test]
    fn an_agent_that_never_reports_is_unknown_and_not_guessed_at() {
        let mut t = after(&[]);
        t.silent(60_000);
        assert_eq!((t.status(), t.ready()), (Some(Status::Unknown), false));
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_panics(body in ".{0,200}") {
            after(&[&body]);
        }
    }
}
