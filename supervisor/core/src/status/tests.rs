//! Tables from what the real programs said, and properties over any order of it.

use proptest::prelude::*;

use wezterm_parallel_schemas::evidence::Standing;

use super::*;
use crate::claude::{hook, registry};

/// Claude's report, `at` milliseconds after the start.
fn osc(seq: u64, at: i64, body: &str) -> Word {
    Word { seq, at, claim: Claim::Report(body.into()) }
}

fn reg(at: i64, status: &str, waiting_for: &str) -> Word {
    let json = match (status, waiting_for) {
        ("", _) => r#"{"pid":7}"#.to_owned(),
        (_, "") => format!(r#"{{"pid":7,"status":"{status}"}}"#),
        (_, what) => format!(r#"{{"pid":7,"status":"{status}","waitingFor":"{what}"}}"#),
    };
    let entry = registry::parse(json.as_bytes()).expect("an entry");
    Word { seq: 0, at, claim: Claim::Registry(Box::new(entry)) }
}

fn hook(at: i64, json: &str) -> Word {
    let hook = hook::parse(json).expect("a hook");
    Word { seq: 0, at, claim: Claim::Hook(Box::new(hook)) }
}

fn submit(at: i64) -> Word {
    hook(at, r#"{"hook_event_name":"UserPromptSubmit","prompt":"x"}"#)
}

fn stop(at: i64) -> Word {
    hook(at, r#"{"hook_event_name":"Stop","last_assistant_message":"done"}"#)
}

fn asks(at: i64, tool: &str, input: &str) -> Word {
    hook(
        at,
        &format!(r#"{{"hook_event_name":"PermissionRequest","tool_name":"{tool}","tool_input":{input}}}"#),
    )
}

fn fails(at: i64, error: &str, text: &str) -> Word {
    hook(
        at,
        &format!(
            r#"{{"hook_event_name":"StopFailure","error":"{error}","last_assistant_message":"{text}"}}"#
        ),
    )
}

/// A tracker that was told these words, each at its time, and then left alone for a while.
fn after(words: &[Word]) -> Tracker {
    let mut t = Tracker::default();
    t.started(0);
    for word in words {
        t.hear(word.clone(), word.at);
    }
    settle(&mut t, words.iter().map(|w| w.at).max().unwrap_or(0) + 10 * FOLLOW_MS);
    t
}

/// Lets time pass, as timers would.
fn settle(t: &mut Tracker, until: i64) {
    for _ in 0..4 {
        if let Some(due) = t.due().map(u64::cast_signed).filter(|due| *due <= until) {
            t.tick(due);
        }
    }
    t.tick(until);
}

fn said(t: &Tracker) -> (&str, Option<&str>) {
    (t.status().map_or("", Status::name), t.reason())
}

/// What the real Claude 2.1.330 told in each situation, merged from all its sources, in milliseconds: what it
/// reports to its terminal, what hooks say, what its session file says. And what is true at the end.
fn situations() -> Vec<(&'static str, Vec<Word>, &'static str, Option<&'static str>)> {
    let begin = vec![reg(290, "", ""), reg(379, "idle", ""), osc(1, 470, "state=idle:app=claude-code")];
    let with = |more: Vec<Word>| [begin.clone(), more].concat();
    let work = |more: Vec<Word>| {
        with(
            [
                vec![submit(1_031), osc(2, 1_039, "state=working:app=claude-code"), reg(1_055, "busy", "")],
                more,
            ]
            .concat(),
        )
    };
    let ask = r#"{"command":"echo hi > f1"}"#;
    let permission = |more: Vec<Word>| {
        work(
            [
                vec![
                    asks(1_113, "Bash", ask),
                    osc(3, 1_120, "state=blocked:app=claude-code:kind=permission:msg=YXBwcm92ZSBCYXNoOiBlY2hvIGhpID4gZjE="),
                    reg(1_125, "waiting", "permission prompt"),
                ],
                more,
            ]
            .concat(),
        )
    };
    vec![
        ("idle at the start", begin.clone(), "idle", None),
        ("working", work(vec![]), "working", None),
        (
            "done",
            work(vec![stop(3_128), osc(3, 3_157, "state=done:app=claude-code"), reg(3_163, "idle", "")]),
            "idle",
            None,
        ),
        (
            "Esc in the middle of a text",
            work(vec![osc(3, 8_282, "state=idle:app=claude-code"), reg(8_290, "idle", "")]),
            "idle",
            None,
        ),
        ("a permission shown", permission(vec![]), "blocked(permission)", Some("approve Bash: echo hi > f1")),
        (
            "allowed in the pane",
            permission(vec![osc(4, 6_020, "state=working:app=claude-code"), reg(6_029, "busy", "")]),
            "working",
            None,
        ),
        (
            "denied in the pane",
            permission(vec![osc(4, 6_134, "state=idle:app=claude-code"), reg(6_146, "idle", "")]),
            "idle",
            None,
        ),
        (
            "a question",
            work(vec![
                osc(
                    3,
                    1_086,
                    "state=blocked:app=claude-code:kind=question:msg=YW5zd2VyOiBXaGljaD8gKEEgwrcgQik=",
                ),
                reg(1_090, "waiting", "input needed"),
                asks(
                    1_092,
                    "AskUserQuestion",
                    r#"{"questions":[{"question":"Which?","options":[{"label":"A"},{"label":"B"}]}]}"#,
                ),
            ]),
            "blocked(question)",
            Some("answer: Which? (A · B)"),
        ),
        (
            "an error of the API",
            work(vec![
                fails(1_169, "unknown", "API Error: 400 mock error 400"),
                osc(3, 1_179, "state=error:app=claude-code:msg=QVBJIEVycm9yOiA0MDAgbW9jayBlcnJvciA0MDA="),
                reg(1_186, "idle", ""),
            ]),
            "error",
            Some("API Error: 400 mock error 400"),
        ),
        (
            "not logged in",
            work(vec![
                fails(1_108, "authentication_failed", "Not logged in"),
                osc(3, 1_117, "state=blocked:app=claude-code:kind=auth:msg=Tm90IGxvZ2dlZCBpbg=="),
                reg(1_122, "idle", ""),
            ]),
            "blocked(auth)",
            Some("Not logged in"),
        ),
        (
            "only a command in the background runs",
            work(vec![
                hook(
                    1_269,
                    r#"{"hook_event_name":"Stop","background_tasks":[{"type":"shell","status":"running"}]}"#,
                ),
                osc(3, 1_307, "state=working:app=claude-code:msg=MSBzaGVsbCBzdGlsbCBydW5uaW5n"),
                reg(1_316, "shell", ""),
            ]),
            "idle",
            Some("1 shell still running"),
        ),
        (
            "the turn is over and a subagent works",
            work(vec![
                hook(
                    1_284,
                    r#"{"hook_event_name":"Stop","background_tasks":[{"type":"subagent","status":"running"}]}"#,
                ),
                osc(3, 1_323, "state=working:app=claude-code"),
            ]),
            "working",
            None,
        ),
        (
            "compacted",
            with(vec![
                hook(1_014, r#"{"hook_event_name":"PreCompact","trigger":"manual"}"#),
                osc(2, 1_027, "state=working:app=claude-code"),
                reg(1_049, "busy", ""),
                hook(1_109, r#"{"hook_event_name":"PostCompact","trigger":"manual"}"#),
                osc(3, 1_136, "state=done:app=claude-code"),
                reg(1_140, "idle", ""),
            ]),
            "idle",
            None,
        ),
    ]
}

#[test]
fn what_the_real_claude_tells_means_what_it_shows() {
    for (what, words, status, reason) in situations() {
        let t = after(&words);
        assert_eq!(said(&t), (status, reason), "{what}");
    }
}

/// A Claude that does not report to its terminal: an older one, or one that was not told that it may.
#[test]
fn without_reports_the_session_file_and_hooks_tell_the_same() {
    for (what, words, status, reason) in situations() {
        let words: Vec<Word> = words.into_iter().filter(|w| !matches!(w.claim, Claim::Report(_))).collect();
        let t = after(&words);
        assert_eq!(t.status().map(Status::name), Some(status), "{what}: {:?}", t.explain());
        match (what, reason) {
            ("the turn is over and a subagent works", _) => {}
            (_, Some(_)) => assert_eq!(t.reason(), reason, "{what}"),
            (_, None) => {}
        }
    }
}

/// A question of 2.1.197: its session file calls every dialog a permission.
#[test]
fn a_hook_says_what_the_session_file_only_calls_a_dialog() {
    let t = after(&[
        reg(500, "idle", ""),
        submit(1_000),
        reg(1_010, "busy", ""),
        reg(1_085, "waiting", "permission prompt"),
        asks(1_088, "AskUserQuestion", r#"{"questions":[{"question":"Which?"}]}"#),
    ]);
    assert_eq!(said(&t), ("blocked(question)", Some("answer: Which?")));
}

/// The classic renderer writes its file first without a status, and then with one that is older.
#[test]
fn a_first_status_counts_though_it_is_older_than_the_file_without_one() {
    let t = after(&[reg(203, "", ""), reg(160, "idle", "")]);
    assert_eq!(said(&t).0, "idle");
    let t = after(&[reg(160, "idle", ""), reg(203, "", "")]);
    assert_eq!(said(&t).0, "idle");
}

#[test]
fn a_dialog_that_the_user_opened_blocks_though_the_agent_does_not_report_it() {
    let t = after(&[osc(1, 470, "state=idle"), reg(480, "idle", ""), reg(9_000, "waiting", "dialog open")]);
    assert_eq!(said(&t), ("blocked(question)", Some("dialog open")));
    let t = after(&[osc(1, 470, "state=idle"), reg(9_000, "waiting", "dialog open"), reg(9_900, "idle", "")]);
    assert_eq!(said(&t).0, "idle");
}

#[test]
fn a_finished_turn_is_unread_once_until_somebody_looks() {
    let mut t = after(&[osc(1, 1, "state=idle"), osc(2, 2, "state=working")]);
    t.hear(stop(30_000), 30_000);
    t.hear(osc(3, 30_030, "state=done"), 30_030);
    assert_eq!((t.status(), t.unread()), (Some(Status::Idle), true));
    t.seen();
    assert!(!t.unread());
    // a report that came twice, and the hook that came late, tell of the same turn
    t.hear(osc(3, 30_030, "state=done"), 30_200);
    t.hear(stop(30_001), 30_300);
    assert!(!t.unread());
}

#[test]
fn a_turn_that_was_seen_stays_seen_over_a_restart_of_the_daemon() {
    let last = ProgramStatus { seq: 9, at: 5_000, body: "state=done".into() };
    let mut t = Tracker::default();
    t.started(0);
    t.recall(&last, false, 6_000);
    assert_eq!((t.status(), t.unread()), (Some(Status::Idle), false));
    let mut t = Tracker::default();
    t.started(0);
    t.recall(&last, true, 6_000);
    assert!(t.unread(), "it ended while nobody was there to hear of it");
}

#[test]
fn an_escape_is_no_finished_turn() {
    let t = after(&[osc(1, 1, "state=idle"), osc(2, 2, "state=working"), osc(3, 9_000, "state=idle")]);
    assert_eq!((t.status(), t.unread()), (Some(Status::Idle), false));
}

#[test]
fn an_agent_that_never_says_anything_is_unknown_and_not_guessed_at() {
    let mut t = after(&[]);
    assert_eq!(said(&t).0, "starting");
    t.silent(60_000);
    assert_eq!((t.status(), t.ready()), (Some(Status::Unknown), false));
}

#[test]
fn a_file_that_is_newer_than_the_last_report_and_says_otherwise_makes_it_unknown() {
    let words = [osc(1, 470, "state=idle"), osc(2, 1_000, "state=working"), reg(1_010, "busy", "")];
    let mut t = after(&words);
    t.hear(reg(9_000, "idle", ""), 9_000);
    assert_eq!(said(&t).0, "working", "the report may be on its way");
    settle(&mut t, 9_000 + 2 * FOLLOW_MS);
    assert_eq!(said(&t).0, "unknown", "{:?}", t.explain());
    t.hear(osc(3, 9_001, "state=done"), 20_000);
    assert_eq!(said(&t).0, "idle", "a late report mends it");
}

#[test]
fn a_file_that_is_older_than_the_last_report_is_overruled() {
    let t = after(&[osc(1, 470, "state=idle"), reg(1_010, "busy", ""), osc(2, 9_000, "state=idle")]);
    assert_eq!(said(&t).0, "idle");
}

#[test]
fn a_hook_that_the_file_never_follows_makes_it_unknown() {
    let mut t = after(&[reg(500, "idle", "")]);
    t.hear(submit(10_000), 10_000);
    assert_eq!(said(&t).0, "working");
    settle(&mut t, 10_000 + 2 * FOLLOW_MS);
    assert_eq!(said(&t).0, "unknown");
    assert!(t.reason().is_some_and(|r| r.contains("UserPromptSubmit")), "{:?}", t.reason());
}

#[test]
fn idle_between_two_turns_that_follow_each_other_is_not_shown() {
    let mut t = after(&[reg(500, "idle", ""), submit(1_000), reg(1_010, "busy", "")]);
    t.hear(reg(30_000, "idle", ""), 30_000);
    assert_eq!(said(&t).0, "working");
    t.hear(reg(30_008, "busy", ""), 30_008);
    settle(&mut t, 31_000);
    assert_eq!(said(&t).0, "working");
    t.hear(reg(40_000, "idle", ""), 40_000);
    settle(&mut t, 40_000 + REST_MS);
    assert_eq!(said(&t).0, "idle");
}

/// A command of Claude's own (`/rename`) fires no hook: what the last one said is of the turn before.
#[test]
fn what_a_hook_said_of_one_turn_does_not_speak_for_a_later_one() {
    let failed = [
        reg(500, "idle", ""),
        submit(1_000),
        reg(1_010, "busy", ""),
        fails(1_100, "unknown", "API Error: 400"),
        reg(1_120, "idle", ""),
    ];
    assert_eq!(said(&after(&failed)), ("error", Some("API Error: 400")));
    let later = [reg(9_000, "busy", ""), reg(9_050, "idle", "")];
    assert_eq!(said(&after(&[&failed[..], &later[..]].concat())), ("idle", None));
}

#[test]
fn what_is_heard_twice_stands_in_an_explanation_once() {
    let word = osc(1, 470, "state=idle");
    let t = after(&[word.clone(), word.clone(), osc(2, 900, "state=working"), word]);
    let (_, evidence, history) = t.explain();
    assert_eq!((evidence.len(), history.len()), (1, 1));
}

#[test]
fn a_halted_process_is_unknown_and_comes_back_to_what_it_said() {
    let look = |at, halted| Word {
        seq: 0,
        at,
        claim: Claim::Machine(Machine { halted, quiet_ms: 0, children: false }),
    };
    let mut t = after(&[osc(1, 470, "state=idle"), osc(2, 1_000, "state=working")]);
    assert_eq!(t.look_due(), Some(31_000));
    t.hear(look(31_000, true), 31_000);
    assert_eq!(said(&t), ("unknown", Some("its process is halted by a signal")));
    t.hear(look(61_000, false), 61_000);
    assert_eq!(said(&t).0, "working");
}

#[test]
fn one_that_says_that_it_works_and_draws_nothing_is_unknown() {
    let look = |at, drawn_at, children| Word {
        seq: 0,
        at,
        claim: Claim::Machine(Machine { halted: false, quiet_ms: at - drawn_at, children }),
    };
    let mut t = after(&[osc(1, 470, "state=idle"), osc(2, 1_000, "state=working")]);
    t.hear(look(100_000, 99_000, false), 100_000);
    assert_eq!(said(&t).0, "working", "it draws its clock");
    t.hear(look(200_000, 99_000, true), 200_000);
    assert_eq!(said(&t).0, "working", "its tool runs");
    t.hear(look(300_000, 99_000, false), 300_000);
    assert_eq!(said(&t).0, "unknown");
    t.hear(osc(3, 300_500, "state=done"), 300_500);
    assert_eq!(said(&t).0, "idle");
}

#[test]
fn a_doubt_of_the_machine_is_looked_into_until_it_is_settled() {
    let look = |at, quiet_ms, halted| Word {
        seq: 0,
        at,
        claim: Claim::Machine(Machine { halted, quiet_ms, children: false }),
    };
    let mut t = after(&[osc(1, 470, "state=idle"), osc(2, 1_000, "state=working")]);
    t.hear(look(100_000, 99_000, false), 100_000);
    assert_eq!((said(&t).0, t.look_due()), ("unknown", Some(130_000)), "stale");
    t.hear(look(130_000, 1_000, false), 130_000);
    assert_eq!(said(&t).0, "working", "it draws again");
    t.hear(look(160_000, 0, true), 160_000);
    assert_eq!((said(&t).0, t.look_due()), ("unknown", Some(190_000)), "halted");
    // a last word that was on its way: it ran when it was said
    t.hear(osc(3, 160_100, "state=working:msg=eA=="), 160_100);
    assert_eq!((said(&t).0, t.look_due()), ("working", Some(190_100)));
}

#[test]
fn a_wall_clock_that_is_set_back_casts_no_doubt() {
    let mut t = after(&[osc(1, 470, "state=idle"), osc(2, 1_000, "state=working")]);
    // this clock goes on; the words are an hour behind
    let hour = 3_600_000;
    t.hear(osc(3, 2_000 - hour, "state=idle"), 2_000);
    t.hear(osc(4, 3_000 - hour, "state=working"), 3_000);
    let look = Machine { halted: false, quiet_ms: 500, children: false };
    t.hear(Word { seq: 0, at: 33_000, claim: Claim::Machine(look) }, 33_000);
    assert_eq!((said(&t).0, t.look_due()), ("working", Some(63_000)));

    let mut t = Tracker::default();
    t.started(0);
    t.hear(reg(400 - hour, "idle", ""), 400);
    t.hear(submit(1_000 - hour), 1_000);
    assert_eq!(said(&t).0, "working", "the file has its time to follow");
    assert_eq!(t.due(), Some(3_000));
}

#[test]
fn every_turn_that_ends_is_unread_however_short() {
    let mut t = after(&[osc(1, 470, "state=idle"), osc(2, 1_000, "state=working")]);
    t.hear(osc(3, 1_500, "state=done"), 1_500);
    t.hear(stop(1_510), 1_510);
    t.seen();
    t.hear(stop(1_511), 1_511);
    t.hear(reg(1_520, "idle", ""), 1_520);
    assert!(!t.unread(), "one end, told by others too");
    t.hear(osc(4, 1_600, "state=working"), 1_600);
    t.hear(osc(5, 2_000, "state=done"), 2_000);
    assert!(t.unread(), "the next end, half a second later");
}

#[test]
fn what_is_written_line_by_line_is_held_against_the_file() {
    let line = |seq, at, json: &str| Word {
        seq,
        at,
        claim: Claim::Stream(Box::new(crate::claude::stream::parse(json))),
    };
    let init = r#"{"type":"system","subtype":"init","session_id":"s"}"#;
    let mut t = after(&[line(1, 500, init), reg(9_000, "idle", "")]);
    assert_eq!(said(&t).0, "unknown", "the end of its turn was lost");
    t.stream_ended(90_000);
    assert_eq!(said(&t).0, "idle", "what it wrote before lines were lost does not count");
    t.hear(line(2, 91_000, init), 91_000);
    assert_eq!(said(&t).0, "working");
}

#[test]
fn sources_and_titles_can_be_changed_while_it_runs() {
    let pattern = |p: &str| vec![(TitleMeaning::Working, Regex::new(p).expect("a pattern"))];
    let mut t = Tracker::default();
    t.set_titles(pattern("^busy"), 0);
    t.started(0);
    t.hear(Word { seq: 0, at: 400, claim: Claim::Title("* thinks".into()) }, 400);
    assert_eq!(said(&t).0, "starting");
    t.set_titles(pattern(r"^\*"), 500);
    assert_eq!(said(&t).0, "working", "the title that is shown");
    t.set_titles(pattern("^busy"), 600);
    assert_eq!(said(&t).0, "starting");

    let mut t = after(&[osc(1, 470, "state=working"), reg(480, "busy", ""), reg(4_000, "idle", "")]);
    assert_eq!(said(&t).0, "unknown");
    t.read_only(|source| source == Source::Registry, 9_000);
    assert_eq!(said(&t).0, "idle", "what it reported does not count any more");
}

#[test]
fn a_limit_of_the_account_lies_over_what_rests_and_not_over_what_asks() {
    let limit = Some(Limit { at: 5_000, until: Some(9_000), reason: Some("You've hit your limit".into()) });
    for (body, status) in [
        ("state=idle", "rate_limited"),
        ("state=error:msg=eA==", "rate_limited"),
        ("state=working", "rate_limited"),
        ("state=blocked:msg=ZGlhbG9nIG9wZW4=", "rate_limited"),
        ("state=blocked:kind=permission", "blocked(permission)"),
    ] {
        let mut t = after(&[osc(1, 470, "state=idle"), osc(2, 1_000, body)]);
        t.set_limit(limit.clone(), 5_000);
        assert_eq!(said(&t).0, status, "{body}");
        assert_eq!(t.dialog(), body.contains("blocked"), "{body}");
        t.set_limit(None, 9_000);
        assert_ne!(said(&t).0, "rate_limited", "{body}");
    }
    let mut t = after(&[osc(1, 470, "state=idle")]);
    t.set_limit(limit, 5_000);
    t.hear(osc(2, 6_000, "state=working"), 6_000);
    assert_eq!(said(&t).0, "working", "who works since then is not limited any more");
}

#[test]
fn titles_and_progress_tell_of_agents_that_have_nothing_better() {
    let mut t = Tracker::default();
    t.set_titles(
        vec![
            (TitleMeaning::Working, Regex::new("^⠋").expect("a pattern")),
            (TitleMeaning::Blocked, Regex::new(r"\?$").expect("a pattern")),
        ],
        0,
    );
    t.started(0);
    let title = |at, text: &str| Word { seq: 0, at, claim: Claim::Title(text.into()) };
    t.hear(title(1, "~/src"), 1);
    assert_eq!(said(&t).0, "starting", "a title that means nothing says nothing");
    t.hear(title(2, "⠋ codex"), 2);
    assert_eq!(said(&t).0, "working");
    t.hear(title(3, "run it?"), 3);
    assert_eq!(said(&t).0, "blocked(question)");
    t.hear(Word { seq: 0, at: 4, claim: Claim::Progress { state: 3 } }, 4);
    assert_eq!(said(&t).0, "working");
    t.hear(Word { seq: 0, at: 5, claim: Claim::Progress { state: 0 } }, 5);
    assert_eq!(said(&t).0, "idle");
    t.hear(osc(1, 6, "state=error"), 6);
    t.hear(title(7, "⠋ codex"), 7);
    assert_eq!(said(&t).0, "error", "who reports is believed before its title");
}

/// `-p --output-format stream-json`: no terminal, no reports, and lines instead.
#[test]
fn what_a_claude_without_a_terminal_writes_tells_its_status() {
    let line = |seq, json: &str| Word {
        seq,
        at: 10_000 + 100 * seq.cast_signed(),
        claim: Claim::Stream(Box::new(crate::claude::stream::parse(json))),
    };
    let init = line(1, r#"{"type":"system","subtype":"init","session_id":"x"}"#);
    let retry = line(
        2,
        r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":2,"retry_delay_ms":620,"error_status":429,"error":"rate_limit"}"#,
    );
    assert_eq!(said(&after(std::slice::from_ref(&init))).0, "working");
    assert_eq!(
        said(&after(&[init.clone(), retry.clone()])),
        ("working", Some("rate_limit; asks again in 1 s (1/2)"))
    );
    let failed = line(
        3,
        r#"{"type":"result","subtype":"success","is_error":true,"terminal_reason":"api_error","result":"API Error: 400"}"#,
    );
    let t = after(&[init.clone(), retry, failed]);
    assert_eq!((said(&t), t.unread()), (("error", Some("API Error: 400")), true));
    let done = line(3, r#"{"type":"result","subtype":"success","is_error":false,"result":"ok"}"#);
    // what came late and out of order changes nothing
    assert_eq!(said(&after(&[init.clone(), done.clone(), init.clone()])).0, "idle");
    assert_eq!(said(&after(&[done, init.clone()])).0, "idle");
    let ask = asks(10_150, "Bash", r#"{"command":"ls"}"#);
    assert_eq!(said(&after(&[init.clone(), ask])), ("blocked(permission)", Some("approve Bash: ls")));
    let sub = line(4, r#"{"type":"assistant","parent_tool_use_id":"t","message":{"content":[]}}"#);
    assert_eq!(said(&after(&[sub])).0, "starting", "a subagent does not speak for its agent");
}

#[test]
fn an_explanation_names_what_won_and_what_did_not() {
    let t = after(&[
        osc(1, 470, "state=idle"),
        osc(2, 1_000, "state=working"),
        reg(900, "idle", ""),
        submit(990),
    ]);
    let (because, evidence, history) = t.explain();
    assert!(because.contains("terminal"), "{because}");
    let standings: Vec<_> = evidence.iter().map(|e| (e.source, e.standing)).collect();
    assert_eq!(
        standings,
        [
            (Source::Osc7501, Standing::Won),
            (Source::Hook, Standing::Agrees),
            (Source::Registry, Standing::Overruled)
        ]
    );
    assert_eq!(history.len(), 1);
    assert!(evidence.iter().all(|e| !e.why.is_empty()));
}

proptest! {
    /// Of a real situation, any words but the newest of its report may be lost, any may come twice, and
    /// all in any order: what is decided in the end is what is true, or unknown.
    #[test]
    fn any_order_loss_and_doubling_ends_in_the_truth_or_unknown(
        which in 0usize..13,
        lost in any::<u32>(),
        twice in any::<u32>(),
        order in any::<u64>(),
        reports in any::<bool>(),
    ) {
        let (what, words, status, _) = situations().swap_remove(which);
        let kept = |w: &Word| reports || !matches!(w.claim, Claim::Report(_));
        let words: Vec<Word> = words.into_iter().filter(kept).collect();
        // the last word of the one source that is believed most is not lost: who hears nothing of a change
        // cannot know of it
        let believed = |w: &Word| match w.claim { Claim::Report(_) => reports, Claim::Registry(_) => !reports, _ => false };
        let newest = words.iter().rposition(believed);
        let mut told = Vec::new();
        for (i, word) in words.iter().enumerate() {
            if Some(i) == newest || lost >> (i % 32) & 1 == 0 {
                told.push(word.clone());
                if twice >> (i % 32) & 1 == 1 { told.push(word.clone()); }
            }
        }
        // a shuffle by a number, so that a failure can be told again
        let mut seed = order | 1;
        for i in (1..told.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            told.swap(i, (seed >> 33) as usize % (i + 1));
        }
        let end = words.iter().map(|w| w.at).max().unwrap_or(0);
        let mut t = Tracker::default();
        t.started(0);
        for word in &told { t.hear(word.clone(), end); }
        settle(&mut t, end + 10 * FOLLOW_MS);
        let found = said(&t).0;
        // what a hook alone knows is lost with it: the kind of a question, an error, who is not logged in
        let less = match (what, reports) {
            ("a question", false) => found == "blocked(permission)" || found == "blocked(question)",
            ("an error of the API" | "not logged in", false) => found == "idle",
            _ => false,
        };
        prop_assert!(found == status || found == "unknown" || less, "{}: {} instead of {}: {:?}", what, found, status, t.explain());
    }

    #[test]
    fn nothing_that_is_said_panics(words in proptest::collection::vec((0u64..9, -5i64..100_000, ".{0,40}", 0u8..5), 0..40)) {
        let mut t = Tracker::default();
        t.started(0);
        for (seq, at, text, kind) in words {
            let claim = match kind {
                0 => Claim::Report(format!("state={text}")),
                1 => Claim::Title(text),
                2 => Claim::Progress { state: text.len() as u8 },
                3 => Claim::Machine(Machine { halted: at % 2 == 0, quiet_ms: at, children: false }),
                _ => reg(at, "busy", "").claim,
            };
            t.hear(Word { seq, at, claim }, at);
            t.explain();
        }
    }
}

/// With `-p` there is no dialog: Claude's own file says `busy` while its hook waits for a decision.
#[test]
fn a_hook_that_is_held_without_a_dialog_blocks_until_it_is_answered() {
    let mut t = Tracker::default();
    t.started(0);
    t.hear(reg(100, "busy", ""), 100);
    t.hear(asks(110, "Bash", r#"{"command":"ls"}"#), 110);
    let held = || Held { at: 110, kind: Blocked::Permission, reason: Some("approve Bash: ls".into()) };
    t.set_held(Some(held()), 120);
    t.tick(100_000);
    assert_eq!(
        (t.status(), t.reason()),
        (Some(Status::Blocked(Blocked::Permission)), Some("approve Bash: ls"))
    );
    t.set_held(None, 100_100);
    assert_eq!((t.status(), t.reason()), (Some(Status::Working), None));
    t.tick(110_000);
    assert_eq!(t.status(), Some(Status::Working));
}
