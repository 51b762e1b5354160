//! What a hook prints so that Claude does as somebody has decided. Seen with 2.1.197 and 2.1.330: a plain
//! `allow` of a tool that asks its user (questions, the end of a plan) is ignored, unless the tool's input
//! comes along with it.

use indexmap::IndexMap;
use serde_json::{Value, json};
use wezterm_parallel_schemas::{
    error::{Code, Error},
    inbox::{AskKind, AskState, AskView, Decision, Question},
};

/// What the agent is told if whoever denies has no words for it.
const DENIED: &str = "The user denied this.";
/// As much of a tool's input as a dialog's text is sure to show, in characters.
const SHOWN_CHARS: usize = 12;

/// What a decision comes to once the agent has it.
pub fn outcome(decision: &Decision) -> AskState {
    match decision {
        Decision { denied: true, .. } => AskState::Denied,
        d if !d.answers.is_empty() => AskState::Answered,
        _ => AskState::Allowed,
    }
}

/// What the hook of a decided request prints.
pub fn output(view: &AskView) -> Option<String> {
    let decision = view.decision.as_ref()?;
    let input = || serde_json::from_str::<Value>(&view.input).ok().filter(|_| !view.shortened);
    let mut behaviour = match outcome(decision) {
        AskState::Denied => {
            let message = decision.message.as_deref().filter(|m| !m.is_empty()).unwrap_or(DENIED);
            json!({ "behavior": "deny", "message": message })
        }
        _ => json!({ "behavior": "allow" }),
    };
    if !decision.denied && matches!(view.kind, AskKind::Question | AskKind::Plan) {
        let mut input = input()?;
        if !decision.answers.is_empty() {
            input["answers"] = json!(decision.answers);
        }
        behaviour["updatedInput"] = input;
    }
    let output =
        json!({ "hookSpecificOutput": { "hookEventName": "PermissionRequest", "decision": behaviour } });
    Some(output.to_string())
}

/// Whether what a hook prints lets a tool be used.
pub fn lets(output: &str) -> bool {
    let behaviour = |v: Value| v["hookSpecificOutput"]["decision"]["behavior"] == "deny";
    !serde_json::from_str(output).is_ok_and(behaviour)
}

/// Answers as Claude takes them: one for each question, labels as they are written.
///
/// # Errors
/// `bad_params`: it asks nothing, an answer belongs to no question, or one is missing.
pub fn complete(view: &AskView, given: IndexMap<String, String>) -> Result<IndexMap<String, String>, Error> {
    let bad = |message: String| Err(Error::new(Code::BadParams, message));
    if view.kind != AskKind::Question || view.shortened {
        return bad("this request has no questions; allow or deny it".into());
    }
    let mut answers = IndexMap::new();
    for (key, answer) in given {
        let Some(question) = find(&view.questions, &key) else {
            return match key.is_empty() {
                true => bad("it asks several questions; name each with its answer".into()),
                false => bad(format!("it does not ask `{key}`")),
            };
        };
        let answer = worded(question, answer.trim());
        if answer.is_empty() {
            return bad(format!("the answer to `{}` is empty", question.question));
        }
        answers.insert(question.question.clone(), answer);
    }
    match view.questions.iter().find(|q| !answers.contains_key(&q.question)) {
        Some(missing) => bad(format!("an answer to `{}` is missing", missing.question)),
        // in the order in which they are asked
        None => Ok(view.questions.iter().filter_map(|q| answers.shift_remove_entry(&q.question)).collect()),
    }
}

/// A question by its text, by what stands over it, by its number from 1; the only one by nothing at all.
fn find<'a>(questions: &'a [Question], key: &str) -> Option<&'a Question> {
    let by = |same: &dyn Fn(&Question) -> bool| {
        let mut found = questions.iter().filter(|q| same(q));
        found.next().filter(|_| found.next().is_none())
    };
    by(&|q| q.question == key)
        .or_else(|| by(&|q| q.header.eq_ignore_ascii_case(key) && !key.is_empty()))
        .or_else(|| questions.get(key.parse::<usize>().ok()?.checked_sub(1)?))
        .or_else(|| questions.first().filter(|_| key.is_empty() && questions.len() == 1))
}

/// An answer with labels in place of their numbers, and as they are written.
fn worded(question: &Question, answer: &str) -> String {
    let label = |word: &str| {
        let labels = || question.options.iter().map(|o| o.label.as_str());
        let numbered = || labels().nth(word.parse::<usize>().ok()?.checked_sub(1)?);
        labels()
            .find(|l| *l == word)
            .or_else(|| labels().find(|l| l.eq_ignore_ascii_case(word)))
            .or_else(numbered)
            .unwrap_or(word)
            .to_owned()
    };
    if !question.multi_select || question.options.iter().any(|o| o.label == answer) {
        return label(answer);
    }
    let words: Vec<String> = answer.split(',').map(str::trim).filter(|w| !w.is_empty()).map(label).collect();
    words.join(", ")
}

/// Whether the text of a dialog is about this request: `approve Bash: echo hi`, `answer: Which one? (A · B)`,
/// `approve plan`.
pub fn names(dialog: &str, view: &AskView) -> bool {
    let begins = |text: &str| {
        let line: String = text.trim().lines().next().unwrap_or_default().chars().take(SHOWN_CHARS).collect();
        !line.is_empty() && dialog.contains(&line)
    };
    match view.kind {
        AskKind::Question => view.questions.first().is_some_and(|q| begins(&q.question)),
        AskKind::Plan => dialog.contains("plan"),
        _ => {
            let input = serde_json::from_str::<Value>(&view.input).unwrap_or_default();
            let text = |field: &str| input.get(field).and_then(Value::as_str);
            // however the path of a file is shortened, its name is there
            let file = ["file_path", "notebook_path"].iter().find_map(|f| text(f)?.rsplit('/').next());
            let main = text("command").or(file).or_else(|| text("url")).or_else(|| text("path"));
            dialog.contains(&view.tool) && main.is_none_or(begins)
        }
    }
}

/// What somebody hears who decides too late.
pub fn late(view: &AskView) -> Error {
    let what = match (view.state, view.decision.as_ref()) {
        (AskState::Open, Some(d)) => verb(outcome(d)),
        (state, _) => verb(state),
    };
    let Some(d) = &view.decision else { return Error::new(Code::Conflict, format!("it was {what}")) };
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(d.at.unsigned_abs());
    let at = humantime::format_rfc3339_seconds(at);
    let by = match (d.by.as_str(), d.pid) {
        ("user", Some(pid)) => format!(" by the user (process {pid})"),
        ("user", None) => " by the user".into(),
        ("pane" | "daemon", _) => String::new(),
        (by, _) => format!(" by {by}"),
    };
    let why = d.message.as_ref().filter(|_| d.by == "daemon").map_or_else(String::new, |m| format!(": {m}"));
    Error::new(Code::Conflict, format!("it was {what}{by} at {at}{why}"))
        .hint("`wezterm-parallel inbox list --all` shows every decision")
}

/// What has become of a request, as it reads after "it was".
pub fn verb(state: AskState) -> &'static str {
    match state {
        AskState::Allowed => "allowed",
        AskState::Denied => "denied",
        AskState::Answered => "answered",
        AskState::Elsewhere => "answered in the agent's own dialog",
        AskState::Gone => "withdrawn",
        AskState::Open => "opened",
        _ => "decided",
    }
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::inbox::QuestionOption;

    use super::*;

    fn option(label: &str) -> QuestionOption {
        QuestionOption { label: label.into(), description: String::new() }
    }

    fn asking() -> AskView {
        let one = Question {
            question: "Which one?".into(),
            header: "Pick".into(),
            multi_select: false,
            options: vec![option("Left"), option("Right")],
        };
        let many = Question {
            question: "Which several?".into(),
            header: "Many".into(),
            multi_select: true,
            options: vec![option("X"), option("Y"), option("Z")],
        };
        AskView {
            kind: AskKind::Question,
            tool: "AskUserQuestion".into(),
            input: r#"{"questions":[1,2]}"#.into(),
            questions: vec![one, many],
            ..crate::inbox::tests::view("a")
        }
    }

    fn answers(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        pairs.iter().map(|(q, a)| ((*q).to_owned(), (*a).to_owned())).collect()
    }

    fn decided(mut view: AskView, decision: Decision) -> Value {
        view.decision = Some(decision);
        let text = output(&view).expect("a decision");
        serde_json::from_str::<Value>(&text).expect("JSON")["hookSpecificOutput"]["decision"].take()
    }

    #[test]
    fn questions_are_answered_by_text_by_header_by_number_and_in_words_of_ones_own() {
        let whole = answers(&[("Which one?", "Right"), ("Which several?", "X, Z")]);
        for given in [
            &[("Which one?", "Right"), ("Which several?", "X, Z")],
            &[("many", "x,z"), ("pick", "right")],
            &[("1", "2"), ("2", "1, 3")],
        ] {
            assert_eq!(complete(&asking(), answers(given)), Ok(whole.clone()), "{given:?}");
        }
        let own = complete(&asking(), answers(&[("1", "Neither, \"up\""), ("2", "X, and more")]));
        assert_eq!(own, Ok(answers(&[("Which one?", "Neither, \"up\""), ("Which several?", "X, and more")])));
        let decision = Decision { answers: whole, ..Decision::default() };
        let printed = decided(asking(), decision);
        assert_eq!(printed["behavior"], "allow");
        assert_eq!(printed["updatedInput"]["questions"], json!([1, 2]));
        assert_eq!(printed["updatedInput"]["answers"]["Which several?"], "X, Z");
    }

    #[test]
    fn answers_that_fit_no_question_or_leave_one_out_are_refused() {
        for given in [
            &[][..],
            &[("1", "Left")],
            &[("", "Left")],
            &[("Why?", "Left"), ("2", "X")],
            &[("1", " "), ("2", "X")],
            &[("3", "Left")],
            &[("0", "Left")],
        ] {
            assert!(complete(&asking(), answers(given)).is_err(), "{given:?}");
        }
        let mut one = asking();
        one.questions.pop();
        assert_eq!(complete(&one, answers(&[("", "left")])), Ok(answers(&[("Which one?", "Left")])));
        assert!(complete(&crate::inbox::tests::view("a"), answers(&[("", "x")])).is_err(), "no question");
    }

    #[test]
    fn a_plan_is_allowed_with_its_input_a_tool_without_and_a_denial_has_words() {
        let plan = AskView { kind: AskKind::Plan, input: "{\"plan\":\"1\"}".into(), ..asking() };
        assert_eq!(decided(plan.clone(), Decision::default())["updatedInput"], json!({"plan": "1"}));
        let tool = crate::inbox::tests::view("a");
        assert_eq!(decided(tool.clone(), Decision::default()), json!({"behavior": "allow"}));
        let denied = |message: Option<&str>| Decision {
            denied: true,
            message: message.map(str::to_owned),
            ..Decision::default()
        };
        assert_eq!(decided(tool.clone(), denied(Some("not today")))["message"], "not today");
        assert_eq!(decided(tool, denied(None)), json!({"behavior": "deny", "message": DENIED}));
        assert_eq!(decided(plan, denied(None))["behavior"], "deny");
        let printed = |decision: Decision| {
            let view = AskView { decision: Some(decision), ..crate::inbox::tests::view("a") };
            output(&view).expect("a decision")
        };
        assert!(lets(&printed(Decision::default())));
        assert!(!lets(&printed(denied(Some("\"behavior\":\"allow\"")))));
    }

    #[test]
    fn a_dialog_is_known_by_its_text() {
        let tool = |tool: &str, input: Value| AskView {
            tool: tool.into(),
            input: input.to_string(),
            ..crate::inbox::tests::view("a")
        };
        let bash = tool("Bash", json!({"command": "echo hi > made\nmore"}));
        let edit = tool("Edit", json!({"file_path": "/home/u/api/src/main.rs"}));
        let plan = AskView { kind: AskKind::Plan, ..tool("ExitPlanMode", json!({})) };
        let all = [bash, edit, asking(), plan];
        for (dialog, which) in [
            ("approve Bash: echo hi > made", Some(0)),
            ("approve Edit: src/main.rs", Some(1)),
            ("answer: Which one? (Left · Right)", Some(2)),
            ("approve plan", Some(3)),
            ("permission prompt", None),
            ("", None),
        ] {
            let found: Vec<usize> = (0..all.len()).filter(|n| names(dialog, &all[*n])).collect();
            assert_eq!(found, which.into_iter().collect::<Vec<_>>(), "{dialog}");
        }
    }

    #[test]
    fn who_is_late_hears_who_was_first_and_when() {
        let mut view = crate::inbox::tests::view("a");
        view.decision =
            Some(Decision { at: 3_600_000, by: "user".into(), pid: Some(7), ..Decision::default() });
        assert_eq!(late(&view).message, "it was allowed by the user (process 7) at 1970-01-01T01:00:00Z");
        view.state = AskState::Elsewhere;
        view.decision = Some(Decision { at: 0, by: "pane".into(), ..Decision::default() });
        assert_eq!(late(&view).message, "it was answered in the agent's own dialog at 1970-01-01T00:00:00Z");
    }
}
