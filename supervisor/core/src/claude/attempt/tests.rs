//! What runs of the real Claude have come to, and any order of their lines.

use proptest::prelude::*;

use super::*;
use crate::claude::{
    captures::{CAPTURES, capture},
    stream::parse,
};

const NOW: i64 = 1_795_330_000_000;

fn heard(lines: &[Line]) -> Attempt {
    let mut attempt = Attempt::default();
    lines.iter().for_each(|l| attempt.hear(l));
    attempt
}

fn of(name: &str) -> Attempt {
    heard(&capture(name))
}

fn code(code: i32) -> End<'static> {
    End { code: Some(code), ..End::default() }
}

fn signal(signal: i32) -> End<'static> {
    End { signal: Some(signal), ..End::default() }
}

fn no_zone(_: &Reset, _: i64) -> Option<i64> {
    None
}

fn crash(text: &str) -> Outcome {
    Outcome::Crash(text.into())
}

fn fatal(text: &str) -> Outcome {
    Outcome::Final(text.into())
}

fn tool(name: &str, what: &str) -> Tool {
    Tool { name: name.into(), what: what.into() }
}

/// Captures, how their process really ended, and what the attempt has come to.
fn ends() -> Vec<(&'static str, End<'static>, Outcome)> {
    vec![
        ("success", code(0), Outcome::Success),
        ("529_retry", code(0), Outcome::Success),
        ("bypass_tool", code(0), Outcome::Success),
        ("permission_denied", code(0), Outcome::Success),
        ("oauth_warning", code(0), Outcome::Success),
        ("compact", code(0), Outcome::Success),
        ("partial", code(0), Outcome::Success),
        ("files", code(0), Outcome::Success),
        // the API hung up, and what had come by then is what Claude has taken for the answer
        ("dropped", code(0), Outcome::Success),
        // a part of an answer was withheld, and the model went on without it
        ("refusal_once", code(0), Outcome::Success),
        ("subagent", code(0), Outcome::Success),
        ("subagent_slow", code(0), Outcome::Success),
        ("subagent_foreground", code(0), Outcome::Success),
        ("background_shell", code(0), Outcome::Success),
        ("oauth_limit", code(1), Outcome::UsageLimit { until: 1_795_337_037_000 }),
        ("429_fail", code(1), Outcome::Busy { wait: None }),
        ("429_wait", code(1), Outcome::Busy { wait: Some(20_149) }),
        // it says that this is not the usage limit
        ("oauth_429", code(1), Outcome::Busy { wait: None }),
        ("529_fail", code(1), Outcome::Busy { wait: None }),
        ("auth", code(1), Outcome::Auth),
        ("not_logged_in", code(1), Outcome::Auth),
        ("billing", code(1), Outcome::Auth),
        (
            "500",
            code(1),
            crash(
                "API Error: 500 mock error 500. This is a server-side issue, usually temporary — try again in a \
                 moment. If it persists, check your inference gateway (127.0.0.1:8787).",
            ),
        ),
        (
            "timeout",
            code(1),
            crash(
                "Request timed out. If the API is slow to answer, or a proxy or gateway holds responses, set \
                 API_TIMEOUT_MS above 1500.",
            ),
        ),
        (
            "connection_refused",
            code(1),
            crash("API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)"),
        ),
        ("killed_tool", signal(9), crash("it was killed by SIGKILL before it was done")),
        ("terminated_tool", code(143), crash("it was killed by SIGTERM before it was done")),
        // this one ends with code 0
        ("interrupted_tool", code(0), crash("it was interrupted")),
        ("background_killed", signal(9), crash("it was killed by SIGKILL before it was done")),
        ("background_terminated", code(143), crash("it was killed by SIGTERM before it was done")),
        (
            "refusal",
            code(1),
            fatal(
                "API Error: Opus 5.5's safeguards flagged this message (https://www.anthropic.com/legal/aup). This \
                 sometimes happens with safe, normal conversations. Claude Code can't respond to this message with \
                 Opu…",
            ),
        ),
        ("max_turns", code(1), fatal("Reached maximum number of turns (2)")),
        ("budget", code(1), fatal("Reached maximum budget ($0.01)")),
        (
            "bad_model",
            code(1),
            fatal(
                "There's an issue with the selected model (claude-nope-1). It may not exist or you may not have \
                 access to it. Run --model to pick a different model.",
            ),
        ),
        ("400", code(1), fatal("API Error: 400 mock error 400")),
        (
            "output_limit",
            code(1),
            fatal(
                "API Error: Claude's response exceeded the 128000 output token maximum. To configure this \
                 behavior, set the CLAUDE_CODE_MAX_OUTPUT_TOKENS environment variable.",
            ),
        ),
        (
            "prompt_too_long",
            code(1),
            fatal(
                "Prompt is too long · the request is ~210000 tokens (limit 200000) but this conversation is only \
                 ~2652 tokens — the rest is system prompt, tool definitions, and attachment content. A \
                 single-exchange c…",
            ),
        ),
        (
            "no_session",
            code(1),
            fatal("No conversation found with session ID: 11111111-2222-4333-8444-555555555555"),
        ),
        ("tool_deferred", code(0), fatal("a hook has put off the use of a tool")),
    ]
}

#[test]
fn every_capture_has_come_to_what_it_was() {
    for (name, end, outcome) in ends() {
        assert_eq!(of(name).outcome(&end, NOW, no_zone), outcome, "{name}");
    }
    for (name, _) in CAPTURES {
        assert!(ends().iter().any(|(n, ..)| n == name), "{name} has no line in the table");
    }
}

#[test]
fn what_is_wrong_before_a_run_begins_is_final_and_told_as_claude_told_it() {
    for (stderr, told) in [
        (
            include_str!("../../../tests/fixtures/stderr_unknown_option.txt"),
            "error: unknown option '--frobnicate'",
        ),
        (
            include_str!("../../../tests/fixtures/stderr_session_in_use.txt"),
            "Error: Session ID aaaaaaaa-1111-4222-8333-444444444444 is already in use.",
        ),
        (
            include_str!("../../../tests/fixtures/stderr_bad_session_id.txt"),
            "Error: Invalid session ID. Must be a valid UUID.",
        ),
        (
            include_str!("../../../tests/fixtures/stderr_no_prompt.txt"),
            "Error: Input must be provided either through stdin or as a prompt argument when using --print",
        ),
        (
            "Warning: old\nerror: unknown option '--modle'\n(Did you mean --model?)\n",
            "error: unknown option '--modle' (Did you mean --model?)",
        ),
    ] {
        let end = End { stderr_tail: stderr, ..code(1) };
        let attempt = heard(&stderr.lines().map(parse).collect::<Vec<_>>());
        assert_eq!(attempt.outcome(&end, NOW, no_zone), fatal(told));
        assert_eq!(attempt.session(), None);
    }
}

#[test]
fn an_end_without_a_result_is_a_crash() {
    let nothing = Attempt::default();
    let begun = heard(&capture("success")[..1]);
    for (attempt, end, told) in [
        (
            &nothing,
            End { stderr_tail: "Error: ENOSPC: no space left on device", ..code(1) },
            "it ended with code 1 without a result: Error: ENOSPC: no space left on device",
        ),
        (&nothing, code(1), "it ended with code 1 without a result"),
        (&nothing, code(0), "it ended with code 0 without a result"),
        (&nothing, End::default(), "it was gone before it was done"),
        (&nothing, signal(11), "it was killed by SIGSEGV before it was done"),
        (&nothing, code(137), "it was killed by SIGKILL before it was done"),
        (&begun, code(0), "it ended with code 0 without a result"),
        (
            &begun,
            End { stderr_tail: "panic: oh\n", ..code(1) },
            "it ended with code 1 without a result: panic: oh",
        ),
        (&begun, signal(64), "it was killed by signal 64 before it was done"),
    ] {
        assert_eq!(attempt.outcome(&end, NOW, no_zone), crash(told));
    }
}

#[test]
fn what_has_succeeded_stays_so_when_it_is_killed_after_it() {
    for end in [signal(9), code(143), code(129), End::default()] {
        for name in ["success", "subagent", "background_shell", "dropped"] {
            assert_eq!(of(name).outcome(&end, NOW, no_zone), Outcome::Success, "{name} {end:?}");
        }
        let limited = of("oauth_limit").outcome(&end, NOW, no_zone);
        assert!(matches!(limited, Outcome::UsageLimit { .. }), "and what has failed has failed in its way");
    }
    let told = crash("it ended with code 1 after its result");
    assert_eq!(of("success").outcome(&code(1), NOW, no_zone), told, "its own code says something else");
}

#[test]
fn a_result_is_not_the_end_while_something_runs_in_the_background() {
    for (name, results) in [("background_shell", 2), ("subagent_slow", 2), ("subagent", 2)] {
        let lines = capture(name);
        let mut attempt = Attempt::default();
        let mut seen = 0;
        for (n, line) in lines.iter().enumerate() {
            attempt.hear(line);
            seen += usize::from(matches!(line.said, Said::Result(_)));
            let last = n + 1 == lines.len();
            // between two turns of `subagent` nothing was under way
            let between = name == "subagent"
                && seen == 1
                && !matches!(lines[n].said, Said::Init { .. } | Said::Assistant { .. });
            assert_eq!(attempt.settled(), last || between, "{name}: {n}");
        }
        assert_eq!(seen, results, "{name}");
    }
    let lines = capture("background_shell");
    let first = lines.iter().position(|l| matches!(l.said, Said::Result(_))).expect("a result");
    let attempt = heard(&lines[..=first]);
    assert_eq!(attempt.progress().background, 1);
    assert_eq!(
        attempt.outcome(&signal(9), NOW, no_zone),
        crash("it was killed by SIGKILL before it was done")
    );
    assert_eq!(
        attempt.outcome(&code(0), NOW, no_zone),
        Outcome::Success,
        "it has waited for as long as it wanted"
    );
    assert_eq!(attempt.report().text.as_deref(), Some("started bg"));
    let text = heard(&lines).report().text.unwrap_or_default();
    assert!(text.starts_with("MOCK: done Command running"), "the last result counts: {text}");
}

/// Without what only newer ones say of a usage limit.
fn in_words(name: &str) -> Attempt {
    let mut lines: Vec<Line> = Vec::new();
    for mut line in capture(name) {
        if let Some(fields) = line.raw.as_object_mut() {
            fields.remove("api_error");
            fields.remove("api_error_params");
        }
        lines.extend((line.raw["type"] != "rate_limit_event").then(|| parse(&line.raw.to_string())));
    }
    heard(&lines)
}

#[test]
fn a_usage_limit_ends_when_the_api_says_else_as_the_text_says_else_after_five_hours() {
    // 2026-11-22T06:43:57.927Z; the end is noticed later
    const SAID_AT: i64 = 1_795_329_837_927;
    let asked = std::cell::RefCell::new(Vec::new());
    let zone = |reset: &Reset, at: i64| {
        asked.borrow_mut().push((reset.hour, reset.minute, reset.zone.clone(), at));
        Some(42)
    };
    let until = |until| Outcome::UsageLimit { until };
    assert_eq!(of("oauth_limit").outcome(&code(1), NOW, zone), until(1_795_337_037_000));
    assert_eq!(asked.take(), [], "it is known");
    assert_eq!(in_words("oauth_limit").outcome(&code(1), NOW, zone), until(42));
    assert_eq!(asked.take(), [(8, 43, Some("UTC".into()), SAID_AT)]);
    let unknown = in_words("oauth_limit").outcome(&code(1), NOW, no_zone);
    assert_eq!(unknown, until(SAID_AT + LIMIT_MS_UNKNOWN));
}

#[test]
fn a_listing_shows_what_is_under_way() {
    let lines = capture("files");
    let mut attempt = Attempt::default();
    let mut tools = Vec::new();
    for line in &lines {
        attempt.hear(line);
        tools.push(attempt.progress().tool);
    }
    let [write, edit, bash] =
        [tool("Write", "w.txt"), tool("Edit", "w.txt"), tool("Bash", "echo x > b1; echo y > b2")].map(Some);
    let none = || None;
    assert_eq!(
        tools,
        [none(), none(), write, none(), none(), edit, none(), none(), bash, none(), none(), none()]
    );
    let at = attempt.progress();
    assert_eq!((at.turns, at.tokens), (4, Tokens { input: 506, output: 80 }));
    assert_eq!(at.cost_usd, Some(0.003_624));
    assert_eq!(at.text.as_deref(), Some("wrote"));
    assert_eq!(at.retrying, None);

    let killed = of("killed_tool").progress();
    assert_eq!(killed.tool, Some(tool("Bash", "timeout 47 tail -f /dev/null")));
    assert_eq!((killed.turns, killed.cost_usd), (1, None));
    assert!(killed.tokens.input > 0, "what is known before the end of the turn: {killed:?}");
}

#[test]
fn a_listing_shows_that_the_api_is_asked_again_until_it_answers() {
    let lines = capture("529_retry");
    let retrying: Vec<_> = (1..=lines.len()).map(|n| heard(&lines[..n]).progress().retrying).collect();
    let again = |attempt, delay_ms| Some(Retry { attempt, most: 2, delay_ms, status: Some(529) });
    assert_eq!(retrying, [None, again(1, 512), again(2, 1_134), None, None]);
    let lost = capture("connection_refused");
    let lost = heard(&lost[..2]).progress().retrying.map(|r| r.status);
    assert_eq!(lost, Some(None), "there was no answer");
}

#[test]
fn a_report_has_what_was_changed_and_denied() {
    let report = of("files").report();
    assert_eq!(report.files, ["w.txt", "b1", "b2"].map(|f| format!("/home/dev/repo/{f}")), "each once");
    assert!(!report.more_files && report.denied.is_empty());
    assert_eq!(report.text.as_deref(), Some("wrote"));
    assert_eq!(report.duration_ms, 611);

    let report = of("permission_denied").report();
    assert_eq!(report.denied, [tool("Bash", "echo hi > f1")]);
    assert!(report.files.is_empty());
    let lines = capture("permission_denied");
    assert_eq!(heard(&lines[..4]).report().denied, report.denied, "known before the end, and not told twice");

    let report = of("subagent_slow").report();
    assert_eq!((report.turns, report.tokens), (3, Tokens { input: 455, output: 80 }));
    assert_eq!(
        report.cost_usd,
        Some(0.003_420_000_000_000_000_3),
        "the sum of the session, not of the results"
    );
    assert_eq!(report.duration_ms, 331 + 46);
}

#[test]
fn a_write_that_was_denied_changes_no_file() {
    let line = |text: &str| parse(text);
    let write = r#"{"type":"assistant","uuid":"1","message":{"id":"m","model":"x","content":[{"type":"tool_use","id":"t","name":"Write","input":{"file_path":"/a"}}]}}"#;
    let result = |failed: bool| {
        format!(
            r#"{{"type":"user","uuid":"2","message":{{"content":[{{"type":"tool_result","tool_use_id":"t","is_error":{failed}}}]}}}}"#
        )
    };
    for (failed, files) in [(true, Vec::new()), (false, vec!["/a".to_owned()])] {
        assert_eq!(heard(&[line(write), line(&result(failed))]).report().files, files);
        let late = heard(&[line(&result(failed)), line(write)]);
        assert_eq!(late.progress().tool, None, "what is over does not begin");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let mut attempt = Attempt::default();
    for n in 0..FILES_MAX + 5 {
        let names = format!(
            r#"{{"type":"user","uuid":"{n}","message":{{}},"tool_use_result":{{"bashEditDiff":{{"changedFiles":["/f{n}"]}}}}}}"#
        );
        attempt.hear(&parse(&names));
        let uses = format!(
            r#"{{"type":"assistant","uuid":"a{n}","message":{{"id":"m{n}","model":"x","content":[{{"type":"tool_use","id":"t{n}","name":"Bash","input":{{}}}}]}}}}"#
        );
        attempt.hear(&parse(&uses));
        attempt.hear(&parse(&format!(
            r#"{{"type":"system","subtype":"permission_denied","uuid":"d{n}","tool_use_id":"t{n}","tool_name":"Bash"}}"#
        )));
    }
    let end = format!(
        r#"{{"type":"result","uuid":"r","is_error":false,"result":"{}"}}"#,
        "é".repeat(TEXT_BYTES_MAX)
    );
    attempt.hear(&parse(&end));
    let report = attempt.report();
    assert_eq!((report.files.len(), report.more_files), (FILES_MAX, true));
    assert_eq!(report.denied.len(), DENIED_MAX);
    assert_eq!(attempt.tools.len(), TOOLS_MAX);
    assert_eq!(report.text.map(|t| t.len()), Some(TEXT_BYTES_MAX));
    for n in 0..HEARD_MAX {
        attempt.first("line", &format!("x{n}"));
    }
    assert!(attempt.heard.len() <= HEARD_MAX);
}

#[test]
fn a_session_is_told_once_there_is_something_to_go_on_with() {
    let lines = capture("success");
    assert_eq!(heard(&lines[..1]).session(), None);
    assert_eq!(heard(&lines[..2]).session(), Some("69292bb6-59b1-457c-8767-b4484ca6598f"));
    assert_eq!(of("no_session").session(), None);
}

proptest! {
    #[test]
    fn lines_that_are_heard_twice_count_once(which in 0..CAPTURES.len(), cut: prop::sample::Index, again: prop::sample::Index) {
        let lines = capture(CAPTURES[which].0);
        let all = heard(&lines);
        let (cut, again) = (cut.index(lines.len() + 1), again.index(lines.len() + 1));
        let mut attempt = Attempt::default();
        // what came before the daemon went, its log from the beginning, the rest, and a part once more
        lines[..cut].iter().chain(&lines[..cut]).chain(&lines[cut..]).chain(&lines[..again]).for_each(|l| attempt.hear(l));
        prop_assert_eq!(attempt.progress(), all.progress());
        prop_assert_eq!(attempt.report(), all.report());
        prop_assert_eq!(attempt.session(), all.session());
        for end in [code(0), code(1), signal(9)] {
            prop_assert_eq!(attempt.outcome(&end, NOW, no_zone), all.outcome(&end, NOW, no_zone));
        }
    }

    #[test]
    fn no_line_and_no_end_panics(
        which in 0..CAPTURES.len(), order: Vec<prop::sample::Index>, text in ".{0,200}", field in "[a-z_]{0,12}",
        number: i64, code: Option<i32>, signal: Option<i32>
    ) {
        let lines = capture(CAPTURES[which].0);
        let mut attempt = Attempt::default();
        for n in &order {
            let mut line = n.get(&lines).raw.clone();
            if let Some(fields) = line.as_object_mut() {
                fields.insert(field.clone(), number.into());
                fields.remove("uuid");
            }
            attempt.hear(&parse(&line.to_string()));
        }
        for line in [text.clone(), format!(r#"{{"type":"result","result_index":{number},"duration_ms":{number},"result":{text:?}}}"#)] {
            attempt.hear(&parse(&line));
            attempt.outcome(&End { code, signal, stderr_tail: &text }, number, |_, at| Some(at));
            attempt.progress();
            attempt.report();
        }
    }
}
