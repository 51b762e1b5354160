//! `inbox …`: what agents ask, and what is answered.

use indexmap::IndexMap;
use wezterm_parallel_schemas::{
    config::Rule,
    inbox::{
        AskKind, AskState, AskView, InboxAnswer, InboxDeny, InboxList, InboxTarget, InboxTest, RuleAction,
        RuleVerdict,
    },
    method::{AllowAsk, AnswerAsk, DenyAsk, ListAsks, ShowAsk, TestRules},
};

use crate::{
    app::App,
    arguments::Inbox,
    connection::{CallContext, Patience},
    failure::Outcome,
    output::{self, BAD, FAINT, GOOD, NOTABLE, STRONG, clean_lines},
    table::{Column, column, render, text},
    time,
};

const OPEN_COLUMNS: &[Column] = &[
    column("ID", 0),
    column("PROCESS", 0),
    column("AGE", 2),
    column("BY", 3),
    column("TOOL", 1),
    text("WHAT", 0),
];

const ALL_COLUMNS: &[Column] = &[
    column("ID", 0),
    column("PROCESS", 0),
    column("AGE", 2),
    column("TOOL", 1),
    column("BECAME", 0),
    text("WHAT", 0),
    text("WHY", 3),
];

const TEST_COLUMNS: &[Column] = &[
    column("WOULD", 0),
    column("RULE", 2),
    column("BECAME", 1),
    column("PROCESS", 3),
    column("TOOL", 0),
    text("WHAT", 0),
];

/// Characters of an id in a table, its last ones: they name it, and fit a line.
const ID_CHARS: usize = 8;

/// `inbox …`.
pub fn run(app: &App, verb: &Inbox) -> Outcome {
    let mut daemon = app.connect()?;
    match verb {
        Inbox::List { all, workspace, limit } => {
            let params = InboxList { all: *all, workspace: workspace.clone(), limit: *limit };
            let list = daemon.ask::<ListAsks>(&params).to(|| "list what agents ask".into())?;
            if app.json {
                return output::print_json(&list);
            }
            output::print(asks(&list, *all, time::now(), output::width()))
        }
        Inbox::Show { item } => {
            let params = InboxTarget { item: item.clone(), key: None };
            let ask = daemon.ask::<ShowAsk>(&params).to(|| format!("show {item}"))?;
            if app.json {
                return output::print_json(&ask);
            }
            output::print(whole(&ask, time::now()))
        }
        Inbox::Allow { item } => {
            let params = InboxTarget { item: item.clone(), key: None };
            let what = || format!("allow {item}");
            say(app, &daemon.call::<AllowAsk>(&params, Patience::Effect).to(what)?)
        }
        Inbox::Deny { item, message } => {
            let params = InboxDeny { item: item.clone(), message: message.clone(), key: None };
            let what = || format!("deny {item}");
            say(app, &daemon.call::<DenyAsk>(&params, Patience::Effect).to(what)?)
        }
        Inbox::Answer { item, answers } => {
            // in the order in which they are asked
            let answers = (1..).zip(answers).map(|(n, a): (u32, _)| (n.to_string(), a.clone()));
            let params =
                InboxAnswer { item: item.clone(), answers: answers.collect::<IndexMap<_, _>>(), key: None };
            let what = || format!("answer {item}");
            say(app, &daemon.call::<AnswerAsk>(&params, Patience::Effect).to(what)?)
        }
        Inbox::Test { allow, deny, pattern, path, process, limit } => {
            let rule = Rule {
                allow: allow.clone(),
                deny: deny.clone(),
                pattern: pattern.clone(),
                path: path.clone(),
                process: process.clone(),
                ..Rule::default()
            };
            let given = rule != Rule::default();
            let params = InboxTest { rule: given.then_some(rule), limit: *limit };
            let verdicts = daemon.ask::<TestRules>(&params).to(|| "try the rules".into())?;
            if app.json {
                return output::print_json(&verdicts);
            }
            output::print(tested(&verdicts, given, output::width()))
        }
    }
}

fn say(app: &App, ask: &AskView) -> Outcome {
    if app.json {
        return output::print_json(ask);
    }
    output::print(format_args!(
        "{} {}/{}: {}\n",
        became(ask),
        ask.workspace,
        ask.process,
        clear(&format!("{}: {}", ask.tool, ask.summary))
    ))
}

/// A table of requests; `now` in milliseconds since 1970.
fn asks(list: &[AskView], all: bool, now: i64, width: Option<u16>) -> String {
    if list.is_empty() {
        let none = if all { "no agent has asked anything yet\n" } else { "no agent asks anything\n" };
        return none.into();
    }
    let columns = if all { ALL_COLUMNS } else { OPEN_COLUMNS };
    let row = |a: &AskView| {
        let mut row = vec![short(&a.id), format!("{}/{}", a.workspace, a.process), time::span(now - a.at)];
        if all {
            let why = a.decision.as_ref().and_then(|d| d.message.clone()).unwrap_or_default();
            row.extend([a.tool.clone(), became(a), clear(&a.summary), clear(&why)]);
        } else {
            row.extend([a.agent.clone().unwrap_or_default(), a.tool.clone(), clear(&a.summary)]);
        }
        row
    };
    render(columns, &list.iter().map(row).collect::<Vec<_>>(), width)
}

fn short(id: &str) -> String {
    let skip = id.chars().count().saturating_sub(ID_CHARS);
    id.chars().skip(skip).collect()
}

/// What has become of a request, and by whom.
fn became(ask: &AskView) -> String {
    let by = ask.decision.as_ref().map(|d| d.by.as_str()).unwrap_or_default();
    match (ask.state, by) {
        (AskState::Open, "") => "open".into(),
        (AskState::Open, _) => "being decided".into(),
        (AskState::Allowed, "user") => "allowed".into(),
        (AskState::Allowed, by) => format!("allowed by {by}"),
        (AskState::Denied, "user") => "denied".into(),
        (AskState::Denied, by) => format!("denied by {by}"),
        (AskState::Answered, _) => "answered".into(),
        (AskState::Elsewhere, _) => "answered in its dialog".into(),
        (AskState::Gone, _) => "gone".into(),
        _ => "decided".into(),
    }
}

/// One request, whole; `now` in milliseconds since 1970.
fn whole(ask: &AskView, now: i64) -> String {
    let mut out = format!("{STRONG}{}{STRONG:#} {}\n", ask.tool, clear(&ask.summary));
    let mut line = |name: &str, value: &str| {
        out.push_str(&format!("{FAINT}{name:>9}{FAINT:#}  {}\n", clear(value)));
    };
    line("id", &ask.id);
    line("process", &format!("{}/{}", ask.workspace, ask.process));
    if let Some(agent) = &ask.agent {
        line("subagent", agent);
    }
    line("directory", &ask.cwd.display().to_string());
    line("asked", &format!("{} ({} ago)", time::point(ask.at), time::span(now - ask.at)));
    line("state", &became(ask));
    if let Some(d) = &ask.decision {
        line("decided", &time::point(d.at));
        if let Some(message) = &d.message {
            line("because", message);
        }
        for (question, answer) in &d.answers {
            line("answer", &format!("{question} → {answer}"));
        }
    }
    if ask.shortened {
        line("note", "the input is too large to be shown whole");
    }
    out.push('\n');
    match (ask.kind, &ask.diff) {
        (AskKind::Question, _) => out.push_str(&questions(ask)),
        (_, Some(diff)) => out.push_str(&coloured(&clear_lines(diff))),
        (_, None) => out.push_str(&input(&ask.input)),
    }
    out
}

fn questions(ask: &AskView) -> String {
    let mut out = String::new();
    for (n, q) in (1..).zip(&ask.questions) {
        let several = if q.multi_select { " (several may be chosen)" } else { "" };
        out.push_str(&format!("{STRONG}{n}. {}{STRONG:#}{several}\n", clear(&q.question)));
        for (n, option) in (1..).zip(&q.options) {
            let about = Some(clear(&option.description)).filter(|d| !d.is_empty());
            let about = about.map_or_else(String::new, |d| format!("{FAINT}: {d}{FAINT:#}"));
            out.push_str(&format!("   {n}) {}{about}\n", clear(&option.label)));
        }
    }
    out
}

/// A tool's input: a command as it is, anything else as JSON.
pub fn input(json: &str) -> String {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(json) else {
        return format!("{}\n", clear_lines(json));
    };
    let texts = ["command", "plan"].iter().find_map(|name| value.get(*name)?.as_str());
    let text = match texts {
        Some(text) => clear_lines(text),
        None => clear_lines(&serde_json::to_string_pretty(&value).unwrap_or_else(|_| json.to_owned())),
    };
    format!("{text}\n")
}

fn coloured(diff: &str) -> String {
    let paint = |line: &str| match line.as_bytes().first() {
        Some(b'+') => format!("{GOOD}{line}{GOOD:#}\n"),
        Some(b'-') => format!("{BAD}{line}{BAD:#}\n"),
        Some(b'@') => format!("{NOTABLE}{line}{NOTABLE:#}\n"),
        _ => format!("{line}\n"),
    };
    diff.lines().map(paint).collect()
}

fn tested(verdicts: &[RuleVerdict], one: bool, width: Option<u16>) -> String {
    if verdicts.is_empty() {
        return "no agent has asked anything yet\n".into();
    }
    let would = |action: Option<RuleAction>| match action {
        Some(RuleAction::Allow) => "allow",
        Some(RuleAction::Deny) => "deny",
        None => "ask",
    };
    let row = |v: &RuleVerdict| {
        let rule = v.rule.filter(|_| !one).map(|n| n.to_string()).unwrap_or_default();
        let process = format!("{}/{}", v.ask.workspace, v.ask.process);
        vec![would(v.would).into(), rule, became(&v.ask), process, v.ask.tool.clone(), clear(&v.ask.summary)]
    };
    let rows: Vec<_> = verdicts.iter().map(row).collect();
    let count = |action| verdicts.iter().filter(|v| v.would == action).count();
    format!(
        "{}{} would be allowed, {} denied, {} asked\n",
        render(TEST_COLUMNS, &rows, width),
        count(Some(RuleAction::Allow)),
        count(Some(RuleAction::Deny)),
        count(None)
    )
}

/// A text that somebody decides by: what could make it look like another one is shown as what it is.
pub fn clear(text: &str) -> String {
    output::clean(&unmasked(text))
}

/// The same, with its lines left as they are.
pub fn clear_lines(text: &str) -> String {
    clean_lines(&unmasked(text))
}

/// Characters that turn the direction of a text around, or have no width, stand there by their number.
fn unmasked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}' => out.push_str(&c.escape_unicode().to_string()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use wezterm_parallel_schemas::inbox::{Decision, Question, QuestionOption};

    use super::*;

    const NOW: i64 = 1_795_328_900_000;

    pub(crate) fn ask() -> AskView {
        AskView {
            id: "01JD7Z3Q0V00000000000000AB".into(),
            workspace: "api".into(),
            process: "lead".into(),
            process_id: "p".into(),
            run_id: "r".into(),
            session_id: None,
            kind: AskKind::Permission,
            tool: "Bash".into(),
            summary: "cargo publish --token x".into(),
            input: "{\"command\":\"cargo publish \\\\\\n  --token x\\u001b[2J\\u202e\"}".into(),
            shortened: false,
            diff: None,
            questions: Vec::new(),
            cwd: "/home/u/src/api".into(),
            agent: None,
            agent_id: None,
            at: NOW - 65_000,
            state: AskState::Open,
            decision: None,
        }
    }

    fn edit() -> AskView {
        AskView {
            id: "01JD7Z3Q0V00000000000000CD".into(),
            tool: "Edit".into(),
            summary: "src/main.rs".into(),
            diff: Some("--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n".into()),
            agent: Some("Explore".into()),
            state: AskState::Denied,
            decision: Some(Decision {
                at: NOW - 5_000,
                by: "rule 2".into(),
                denied: true,
                message: Some("not in main".into()),
                ..Decision::default()
            }),
            ..ask()
        }
    }

    fn question() -> AskView {
        let option = |label: &str| QuestionOption { label: label.into(), description: "so".into() };
        AskView {
            kind: AskKind::Question,
            tool: "AskUserQuestion".into(),
            summary: "Which one?".into(),
            questions: vec![Question {
                question: "Which one?".into(),
                header: "Pick".into(),
                multi_select: true,
                options: vec![option("Left"), option("Right")],
            }],
            ..ask()
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn requests_are_a_table_and_fit_a_narrow_terminal() {
        let all = [ask(), edit(), question()];
        let open = asks(&all, false, NOW, Some(80));
        let narrow = asks(&all, false, NOW, Some(40));
        insta::assert_snapshot!(format!("{open}\n{narrow}\n{}", asks(&all, true, NOW, Some(100))));
        assert_eq!(asks(&[], false, NOW, None), "no agent asks anything\n");
    }

    #[test]
    fn one_request_is_shown_with_all_that_one_decides_by() {
        let shown: Vec<String> = [ask(), edit(), question()].iter().map(|a| plain(&whole(a, NOW))).collect();
        insta::assert_snapshot!(shown.join("\n----\n"));
    }

    #[test]
    fn what_would_look_like_another_text_is_shown_as_it_is() {
        let shown = whole(&ask(), NOW);
        assert!(shown.contains("\\u{202e}") && !shown.contains("\u{1b}[2J"), "{shown:?}");
    }

    #[test]
    fn a_dry_run_says_what_each_would_have_become() {
        let verdict = |ask, would, rule| RuleVerdict { ask, would, rule };
        let all = [
            verdict(ask(), Some(RuleAction::Allow), Some(1)),
            verdict(edit(), Some(RuleAction::Deny), Some(3)),
            verdict(question(), None, None),
        ];
        insta::assert_snapshot!(tested(&all, false, Some(100)));
    }
}
