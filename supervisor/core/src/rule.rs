//! Rules of the user: what is decided of an agent's request without asking.
//!
//! The first rule that fits decides. An `allow` is read as narrowly as it can be, since an agent writes
//! what is matched; a `deny` as widely. Where nothing fits, the user is asked.

mod command;
mod path;

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use serde_json::Value;
use wezterm_parallel_schemas::{config::Rule, inbox::RuleAction};

use crate::spec::Millis;

pub use command::is_one_command;
pub use path::{File, absolute, named_paths};

/// Tools that ask their user something, or leave a mode the user has chosen: `*` never stands for them.
const ASKING_TOOLS: &[&str] = &["AskUserQuestion", "ExitPlanMode", "EnterPlanMode"];
/// Tools that run a shell's command.
const SHELLS: &[&str] = &["Bash", "Monitor"];
/// Tools that look at an address.
const FETCHERS: &[&str] = &["WebFetch"];

/// A request, as rules look at it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The tool.
    pub tool: &'a str,
    /// Its input.
    pub input: &'a Value,
    /// `WORKSPACE/PROCESS`.
    pub process: &'a str,
    /// The process's directory, without symbolic links on the way.
    pub cwd: &'a Path,
    /// The files that the tool works on.
    pub files: &'a [File],
    /// Places of our own, without symbolic links on the way, which only a rule that names them opens.
    pub guarded: &'a [PathBuf],
    /// The input is all there: what was too long for the wire is not.
    pub whole: bool,
}

/// What the rules say of a request, and which of them: its number, from 1.
pub fn decide(rules: &[Rule], request: &Request<'_>, now: Millis) -> Option<(u32, RuleAction)> {
    (1..).zip(rules).find_map(|(number, rule)| Some((number, fits(rule, request, now)?)))
}

/// What one rule says of a request.
pub fn fits(rule: &Rule, request: &Request<'_>, now: Millis) -> Option<RuleAction> {
    let (action, tool) = match (&rule.allow, &rule.deny) {
        (Some(tool), None) => (RuleAction::Allow, tool),
        (None, Some(tool)) => (RuleAction::Deny, tool),
        // a config with such a rule is refused
        (Some(_), Some(_)) | (None, None) => return None,
    };
    // what is no point in time never was: the config refuses it, and here it must not mean "for ever"
    if rule.until.as_deref().is_some_and(|until| instant(until).is_none_or(|until| now > until)) {
        return None;
    }
    let named = tool == request.tool;
    if !named && !glob(tool, request.tool) {
        return None;
    }
    if rule.process.as_deref().is_some_and(|p| !glob(p, request.process)) {
        return None;
    }
    let allows = action == RuleAction::Allow;
    if allows && (!request.whole || !may_be_allowed(request, named)) {
        return None;
    }
    if let Some(pattern) = &rule.pattern
        && !pattern_fits(pattern, request, allows)
    {
        return None;
    }
    let placed = match allows {
        true => path::allows(rule.path.as_deref(), request),
        false => rule.path.as_deref().is_none_or(|pattern| path::denies(pattern, request)),
    };
    placed.then_some(action)
}

/// Whether a rule may allow this at all.
fn may_be_allowed(request: &Request<'_>, named: bool) -> bool {
    if ASKING_TOOLS.contains(&request.tool) {
        // questions want answers, which no rule has
        return named && request.tool != "AskUserQuestion";
    }
    // a command that steps out of its sandbox is another thing than the same command in it
    let unboxed = request.input.get("dangerouslyDisableSandbox").is_some_and(|v| *v != Value::Bool(false));
    // and what runs none today may run the field of that name tomorrow
    let one = text(request.input, "command").is_none_or(is_one_command);
    let runs = !SHELLS.contains(&request.tool) || text(request.input, "command").is_some();
    !unboxed && one && runs
}

/// Whether a pattern fits what the tool is to do. For an `allow` the tool says which field that is, not who
/// fills them in; a `deny` looks at each.
fn pattern_fits(pattern: &str, request: &Request<'_>, allows: bool) -> bool {
    let (command, url) = (text(request.input, "command"), text(request.input, "url"));
    let whole = || glob(pattern, &request.input.to_string());
    if !allows {
        return command.is_some_and(|c| command::is_in(pattern, c))
            || url.is_some_and(|u| glob(pattern, u))
            || (!SHELLS.contains(&request.tool) && whole());
    }
    match request.tool {
        tool if SHELLS.contains(&tool) => command.is_some_and(|c| glob(pattern, c)),
        tool if FETCHERS.contains(&tool) => url.is_some_and(|u| glob(pattern, u)),
        _ => whole(),
    }
}

/// A field that is a text.
fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name)?.as_str()
}

/// Whether a text fits a pattern in which `*` stands for anything.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // where the last `*` stands, and how much of the text it has taken so far
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            t = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// The point in time that a rule's `until` names, in milliseconds since 1970: a date stands for its end,
/// in UTC. None if it names none.
pub fn instant(until: &str) -> Option<Millis> {
    let until = until.trim();
    let whole =
        if until.len() == "2026-12-31".len() { format!("{until}T23:59:59Z") } else { until.to_owned() };
    let at = humantime::parse_rfc3339_weak(&whole).ok()?;
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const CWD: &str = "/home/u/api";

    fn rule(allow: bool, tool: &str) -> Rule {
        let tool = Some(tool.to_owned());
        if allow { Rule { allow: tool, ..Rule::default() } } else { Rule { deny: tool, ..Rule::default() } }
    }

    fn says(rule: &Rule, tool: &str, input: &Value) -> Option<RuleAction> {
        let files = named_paths(input).map(|p| absolute(Path::new(CWD), p));
        let files: Vec<File> = files.map(|p| File { real: Some(p.clone()), named: p }).collect();
        let request = Request {
            tool,
            input,
            process: "api/lead",
            cwd: Path::new(CWD),
            files: &files,
            guarded: &[],
            whole: true,
        };
        fits(rule, &request, 1_000)
    }

    fn bash(allow: bool, pattern: &str, command: &str) -> bool {
        let rule = Rule { pattern: Some(pattern.into()), ..rule(allow, "Bash") };
        says(&rule, "Bash", &json!({ "command": command })).is_some()
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_none_is_no_leave() {
        let rules = [
            Rule { pattern: Some("cargo publish*".into()), ..rule(false, "Bash") },
            Rule { pattern: Some("cargo *".into()), ..rule(true, "Bash") },
            rule(false, "mcp__*"),
        ];
        let decide = |tool: &str, input: Value| {
            let request = Request {
                tool,
                input: &input,
                process: "api/lead",
                cwd: Path::new(CWD),
                files: &[],
                guarded: &[],
                whole: true,
            };
            decide(&rules, &request, 0)
        };
        assert_eq!(decide("Bash", json!({"command": "cargo publish"})), Some((1, RuleAction::Deny)));
        assert_eq!(decide("Bash", json!({"command": "cargo test"})), Some((2, RuleAction::Allow)));
        assert_eq!(decide("mcp__github__push", json!({})), Some((3, RuleAction::Deny)));
        assert_eq!(decide("Bash", json!({"command": "make"})), None);
        assert_eq!(decide("Read", json!({"file_path": "/x"})), None);
    }

    #[test]
    fn an_allowed_command_has_no_second_one_behind_it() {
        assert!(bash(true, "cargo test*", "cargo test --workspace"));
        for second in [
            "cargo test; rm -rf ~",
            "cargo test && rm x",
            "cargo test || rm x",
            "cargo test | sh",
            "cargo test & rm x",
            "cargo test\nrm x",
            "cargo test\r\nrm x",
            "cargo test $(rm x)",
            "cargo test `rm x`",
            "cargo test <(rm x)",
            "cargo test > ~/.bashrc",
            "cargo test >> ~/.bashrc",
            "cargo test < x",
            "cargo test $X",
            "cargo test \"$(rm x)\"",
            "cargo test ';' x",
            "cargo test \\\nrm",
            "cargo test \u{0}",
            "cargo test \u{b}rm",
        ] {
            assert!(!bash(true, "cargo test*", second), "{second}");
            assert!(!bash(true, "*", second), "{second}");
        }
        assert!(!bash(true, "cargo test*", "X=1 cargo test"), "a pattern begins where the command begins");
        assert!(!bash(true, "*", "  "));
    }

    #[test]
    fn a_denied_command_is_found_wherever_it_stands() {
        for hidden in [
            "rm -rf x",
            "cd y && rm -rf x",
            "true;rm -rf x",
            "echo $(rm -rf x)",
            "a\nrm -rf x",
            "{ rm -rf x; }",
        ] {
            assert!(bash(false, "rm *", hidden), "{hidden}");
        }
        assert!(!bash(false, "rm *", "cargo test"));
    }

    #[test]
    fn a_denied_command_is_not_allowed_under_another_spelling() {
        let rules = [
            Rule { pattern: Some("cargo publish*".into()), ..rule(false, "Bash") },
            Rule { pattern: Some("cargo *".into()), ..rule(true, "Bash") },
            rule(true, "Bash"),
        ];
        let allowed = |command: &str| {
            let input = json!({ "command": command });
            let request = Request {
                tool: "Bash",
                input: &input,
                process: "api/lead",
                cwd: Path::new(CWD),
                files: &[],
                guarded: &[],
                whole: true,
            };
            decide(&rules, &request, 0).is_some_and(|(_, action)| action == RuleAction::Allow)
        };
        assert!(allowed("cargo test") && allowed("make"));
        for spelled in [
            "cargo  publish",
            "cargo 'publish'",
            "cargo publis{h,}",
            "cargo\tpublish",
            "cargo publis?",
            "X=1 cargo publish",
            "sudo cargo publish",
            "bash -c 'cargo publish'",
        ] {
            assert!(!allowed(spelled), "{spelled}");
        }
    }

    #[test]
    fn the_tool_says_which_field_a_pattern_is_held_against() {
        let fits = |allow, tool: &str, pattern: &str, input: Value| {
            says(&Rule { pattern: Some(pattern.into()), ..rule(allow, tool) }, tool, &input).is_some()
        };
        let fetch = json!({ "url": "https://evil.example", "command": "https://docs.rs/" });
        assert!(!fits(true, "WebFetch", "https://docs.rs/*", fetch.clone()));
        assert!(fits(false, "WebFetch", "https://evil*", fetch));
        let search = json!({ "query": "x", "url": "https://docs.rs/" });
        assert!(!fits(true, "WebSearch", "https://docs.rs/*", search));
        let tool = json!({ "text": "rm -rf x", "command": "ls" });
        assert!(!fits(true, "mcp__shell__run", "ls*", tool.clone()));
        assert!(fits(false, "mcp__shell__run", "*rm -rf*", tool));
        assert!(fits(false, "mcp__shell__run", "rm *", json!({ "command": "true; rm x" })));
        assert!(!fits(true, "Bash", "*", json!({ "url": "ls" })), "it runs nothing that is known");
        assert!(!fits(true, "mcp__shell__run", "*", json!({ "command": "ls; rm x" })));
    }

    #[test]
    fn what_steps_out_of_the_sandbox_or_is_not_whole_is_never_allowed() {
        let rule = rule(true, "*");
        let run = |more: Value| says(&rule, "Bash", &more);
        assert!(run(json!({"command": "ls"})).is_some());
        assert!(run(json!({"command": "ls", "dangerouslyDisableSandbox": false})).is_some());
        assert!(run(json!({"command": "ls", "dangerouslyDisableSandbox": true})).is_none());
        assert!(run(json!({"command": "ls", "dangerouslyDisableSandbox": "yes"})).is_none());
        let input = json!({"command": "ls"});
        let cut = Request {
            tool: "Bash",
            input: &input,
            process: "a/b",
            cwd: Path::new(CWD),
            files: &[],
            guarded: &[],
            whole: false,
        };
        assert_eq!(fits(&rule, &cut, 0), None);
        assert!(fits(&self::rule(false, "Bash"), &cut, 0).is_some(), "but it may be denied");
    }

    #[test]
    fn a_star_never_answers_a_question_nor_leaves_a_plan() {
        let plan = json!({});
        assert_eq!(says(&rule(true, "*"), "ExitPlanMode", &plan), None);
        assert_eq!(says(&rule(true, "ExitPlanMode"), "ExitPlanMode", &plan), Some(RuleAction::Allow));
        assert_eq!(says(&rule(true, "AskUserQuestion"), "AskUserQuestion", &plan), None);
        assert_eq!(says(&rule(false, "*"), "AskUserQuestion", &plan), Some(RuleAction::Deny));
    }

    #[test]
    fn a_path_is_matched_where_it_leads() {
        let edit = |pattern: &str, path: &str| {
            let rule = Rule { path: Some(pattern.into()), ..rule(true, "Edit") };
            says(&rule, "Edit", &json!({ "file_path": path })).is_some()
        };
        for (pattern, path) in [
            ("src/**", "/home/u/api/src/a/b.rs"),
            ("src/**", "src/a.rs"),
            ("./src/*.rs", "src/a.rs"),
            ("**/*.md", "docs/a/b.md"),
            ("**/*.md", "README.md"),
            ("**", "x"),
            ("/tmp/**", "/tmp/x/y"),
            ("src/*/mod.rs", "src/a/mod.rs"),
        ] {
            assert!(edit(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("src/**", "src/../Cargo.toml"),
            ("src/**", "src/../../other/src/a.rs"),
            ("src/**", "/home/u/api-2/src/a.rs"),
            ("src/**", "/home/u/apisrc/a.rs"),
            ("src/*", "src/a/b.rs"),
            ("src/*/mod.rs", "src/a/b/mod.rs"),
            ("src/**", "srcx/a.rs"),
            ("**", "/etc/passwd"),
            ("/tmp/**", "/tmp/../etc/passwd"),
            ("", "x"),
        ] {
            assert!(!edit(pattern, path), "{pattern} {path}");
        }
        let rule = Rule { path: Some("**".into()), ..rule(true, "*") };
        assert_eq!(says(&rule, "Bash", &json!({"command": "ls"})), None, "it names no file");
    }

    #[test]
    fn a_file_whose_place_is_not_known_is_denied_by_its_name_and_never_allowed_by_it() {
        let input = json!({ "file_path": "src/link" });
        let request = Request {
            tool: "Edit",
            input: &input,
            process: "api/lead",
            cwd: Path::new(CWD),
            files: &[File { named: "/home/u/api/src/link".into(), real: Some("/etc/passwd".into()) }],
            guarded: &[],
            whole: true,
        };
        let at = |allow| Rule { path: Some("src/**".into()), ..rule(allow, "Edit") };
        assert_eq!(fits(&at(true), &request, 0), None);
        assert_eq!(fits(&at(false), &request, 0), Some(RuleAction::Deny));
        let nowhere = [File { named: "/home/u/api/src/link".into(), real: None }];
        let unknown = Request { files: &nowhere, ..request };
        assert_eq!(fits(&at(true), &unknown, 0), None);
        assert_eq!(fits(&rule(true, "Edit"), &unknown, 0), None);
        assert_eq!(fits(&at(false), &unknown, 0), Some(RuleAction::Deny));
    }

    #[test]
    fn processes_times_and_addresses_narrow_a_rule() {
        let fetch = json!({ "url": "https://docs.rs/serde" });
        let of = |rule: Rule| says(&rule, "WebFetch", &fetch).is_some();
        let base = || rule(true, "WebFetch");
        assert!(of(Rule { process: Some("api/*".into()), ..base() }));
        assert!(!of(Rule { process: Some("web/*".into()), ..base() }));
        assert!(of(Rule { pattern: Some("https://docs.rs/*".into()), ..base() }));
        assert!(!of(Rule { pattern: Some("https://crates.io/*".into()), ..base() }));
        assert!(of(Rule { until: Some("1970-01-01".into()), ..base() }));
        assert!(!of(Rule { until: Some("1970-01-01T00:00:00Z".into()), ..base() }));
        assert!(!of(Rule { until: Some("for ever".into()), ..base() }), "what is no time is over");
        assert!(!of(Rule { deny: Some("WebFetch".into()), ..base() }), "neither one nor the other");
        assert!(!of(Rule::default()));
        let pattern = Rule { pattern: Some(r#"*"repo":"api"*"#.into()), ..rule(true, "mcp__*") };
        assert!(says(&pattern, "mcp__github__list", &json!({"n": 1, "repo": "api"})).is_some());
    }

    #[test]
    fn a_date_stands_for_its_end_and_what_is_none_for_nothing() {
        assert_eq!(instant("1970-01-01"), Some(86_399_000));
        assert_eq!(instant("1970-01-02T00:00:01Z"), Some(86_401_000));
        for bad in ["", "tomorrow", "2026-13-01", "2026-12-31T25:00:00Z", "31.12.2026"] {
            assert_eq!(instant(bad), None, "{bad}");
        }
    }

    proptest! {
        /// Whatever an agent puts behind an allowed command: a shell that sees one of these sees more.
        #[test]
        fn nothing_with_a_separator_is_ever_allowed(
            before in "[ -~]{0,12}", separator in r"(;|&|&&|\||\|\||\n|\r|`|\$\(|<\(|>|>>|<|\$\{)", after in "\\PC{0,12}"
        ) {
            let allowed = bash(true, "echo*", &format!("echo {before}{separator}{after}"));
            prop_assert!(!allowed);
        }

        #[test]
        fn no_way_up_leaves_the_directory(parts in prop::collection::vec("(\\.\\.|\\.|a|src|b c)", 0..9)) {
            let path = format!("src/{}", parts.join("/"));
            let rule = Rule { path: Some("src/**".into()), ..rule(true, "Edit") };
            if says(&rule, "Edit", &json!({ "file_path": path })).is_some() {
                prop_assert!(absolute(Path::new(CWD), &path).starts_with("/home/u/api/src"));
            }
        }

        #[test]
        fn a_glob_is_what_a_regular_expression_would_be(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            fn slow(p: &[u8], t: &[u8]) -> bool {
                match p.split_first() {
                    None => t.is_empty(),
                    Some((b'*', rest)) => (0..=t.len()).any(|n| slow(rest, &t[n..])),
                    Some((c, rest)) => t.first() == Some(c) && slow(rest, &t[1..]),
                }
            }
            prop_assert_eq!(glob(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
