//! Reports of the Program Status Protocol (`OSC 7501`), as Claude Code writes them:
//! `state=working:app=claude-code`, `state=blocked:kind=permission:msg=BASE64`.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use wezterm_parallel_schemas::process::{Blocked, Status};

use super::DIALOG_OPEN;

/// Longest reason that is kept, in characters: two lines of a wide screen.
pub const REASON_CHARS_MAX: usize = 400;

/// What Claude says while a turn is over and only commands in the background run: `1 shell still
/// running`. It takes prompts then, so it is idle.
const STILL_RUNNING: &str = " still running";

/// Padding is left out by some writers and written by others.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a report means.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The status.
    pub status: Status,
    /// What was said with it.
    pub reason: Option<String>,
    /// A turn has ended by itself.
    pub ends_turn: bool,
}

/// Takes a report apart. None for reports about something else than the program itself (subagents and
/// commands in the background carry an `id`), and for those without a state. `was_idle`: it has shown its
/// prompt in this run, so that a state that is taken back is no onboarding.
pub fn parse(body: &str, was_idle: bool) -> Option<Report> {
    let (mut state, mut kind, mut message) = (None, None, None);
    for field in body.split(':') {
        let (key, value) = field.split_once('=')?;
        match key {
            "state" => state = Some(value),
            "kind" => kind = Some(value),
            "msg" => message = text(value),
            "id" => return None,
            _ => {}
        }
    }
    let (status, ends_turn) = match state? {
        "idle" => (Status::Idle, false),
        "working" if message.as_ref().is_some_and(|m| m.ends_with(STILL_RUNNING)) => (Status::Idle, true),
        "working" => (Status::Working, false),
        "done" => (Status::Idle, true),
        "error" => (Status::Error, true),
        "blocked" => (Status::Blocked(blocked(kind, message.as_deref())), false),
        // onboarding takes its state back and says nothing more until it is through; at its end it does so
        // too, and then nothing is known until it has ended
        "clear" if !was_idle => (Status::Blocked(Blocked::Setup), false),
        _ => (Status::Unknown, false),
    };
    Some(Report { status, reason: message, ends_turn })
}

fn blocked(kind: Option<&str>, message: Option<&str>) -> Blocked {
    match (kind, message) {
        (Some("question"), _) => Blocked::Question,
        (Some("auth"), _) => Blocked::Auth,
        (Some("setup"), _) => Blocked::Setup,
        // the trust dialog calls itself a permission, with this text
        (_, Some("trust this folder")) => Blocked::Trust,
        (None, Some(DIALOG_OPEN)) => Blocked::Question,
        _ => Blocked::Permission,
    }
}

/// A message: base64, UTF-8, without control characters.
fn text(encoded: &str) -> Option<String> {
    let bytes = BASE64.decode(encoded).ok()?;
    shorten(&String::from_utf8_lossy(&bytes))
}

/// A text as a reason: without control characters, bounded; none if nothing is left.
pub fn shorten(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            ("state=blocked:app=claude-code:msg=ZGlhbG9nIG9wZW4=", "blocked(question)", Some("dialog open")),
            ("state=clear", "blocked(setup)", None),
            (
                "state=error:app=claude-code:msg=QVBJIEVycm9yOiA0MDAgbW9jayBlcnJvciA0MDA=",
                "error",
                Some("API Error: 400 mock error 400"),
            ),
            (
                "state=working:app=claude-code:msg=MSBzaGVsbCBzdGlsbCBydW5uaW5n",
                "idle",
                Some("1 shell still running"),
            ),
            ("state=napping:app=claude-code", "unknown", None),
        ] {
            let report = parse(body, false).expect("a report");
            assert_eq!(report.status.name(), status, "{body}");
            assert_eq!(report.reason.as_deref(), reason, "{body}");
        }
    }

    #[test]
    fn a_state_that_is_taken_back_at_the_end_is_no_onboarding() {
        assert_eq!(parse("state=clear", true).map(|r| r.status), Some(Status::Unknown));
    }

    #[test]
    fn subagents_do_not_speak_for_the_agent() {
        assert_eq!(parse("state=done:id=a1:title=c3Vi", true), None);
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_panics(body in ".{0,200}") {
            parse(&body, true);
        }
    }
}
