//! Layouts: templates, which panes a workspace gets, how they were last left.

use std::{fs, thread};

use indexmap::IndexMap;
use wezterm_parallel_schemas::{
    PROTOCOL,
    daemon::{Empty, Hello},
    error::{Code, Error},
    event::EventKind,
    layout::{
        Arrangement, ArrangementFrom, Layout, LayoutKeep, LayoutPlan, LayoutSave, LayoutSource, LayoutTarget,
        LayoutView, Pane, ProjectFrom, ProjectView, Split, Window,
    },
    method::{DeleteLayout, HelloCall, KeepLayout, LeftLayouts, Method, PlanLayout, SaveLayout},
    process::{Source, State},
    rpc::Request,
    units::Percent,
};

use crate::support::{
    rpc::Client,
    site::{Site, executable, kill, say},
};

const SLEEP: &str = "[tail, -f, /dev/null]";

fn site(config: &str) -> Site {
    let site = Site::new();
    site.config(&format!("version: 1\n{}", config.replace("SLEEP", SLEEP)));
    site.daemon();
    site
}

fn plan(site: &Site, layout: Option<&str>, create: bool) -> Result<Arrangement, Error> {
    ask(site.client(), layout, create)
}

fn ask(mut client: Client, layout: Option<&str>, create: bool) -> Result<Arrangement, Error> {
    client.call::<PlanLayout>(LayoutPlan {
        workspace: "w".into(),
        layout: layout.map(str::to_owned),
        create,
        environment: IndexMap::from([
            ("MARK".to_owned(), "caller".to_owned()),
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ]),
        key: None,
    })
}

fn keep(site: &Site, gui: &str, workspace: &str, tabs: Vec<Pane>, shown: bool) -> Result<Empty, Error> {
    let windows = if tabs.is_empty() { Vec::new() } else { vec![Window { title: None, tabs }] };
    let keep = LayoutKeep { gui: gui.into(), workspace: workspace.into(), windows, shown };
    site.client().call::<KeepLayout>(keep)
}

fn shows(process: &str) -> Pane {
    Pane { process: Some(process.into()), ..Pane::default() }
}

fn sized(pane: Pane, percent: f64) -> Pane {
    Pane { size: Some(Percent(percent)), ..pane }
}

fn beside(panes: Vec<Pane>) -> Pane {
    Pane { split: Some(Split::Right), panes, ..Pane::default() }
}

/// The panes in words: `right(60% w/a, 40% shell)`.
fn words(pane: &Pane) -> String {
    let size = pane.size.map(|s| format!("{s} ")).unwrap_or_default();
    let what = match (&pane.split, &pane.process, &pane.command) {
        (Some(split), _, _) => {
            let inner: Vec<String> = pane.panes.iter().map(words).collect();
            let split = if *split == Split::Right { "right" } else { "down" };
            format!("{split}({})", inner.join(", "))
        }
        (None, Some(process), _) => process.clone(),
        (None, None, Some(command)) => command.join(" "),
        (None, None, None) => "shell".into(),
    };
    format!("{size}{what}")
}

fn tabs(arrangement: &Arrangement) -> Vec<String> {
    arrangement.windows.iter().flat_map(|w| &w.tabs).map(words).collect()
}

const TEMPLATE: &str = "layouts:
  mine:
    tabs:
      - title: work
        split: right
        panes:
          - { process: a, size: 60% }
          - split: down
            panes:
              - { process: new, command: SLEEP, cwd: sub }
              - { cwd: gone }
workspaces:
  w: { cwd: $WORK, layout: mine, processes: { a: { command: SLEEP }, b: { command: SLEEP } } }
";

#[test]
fn a_workspace_gets_the_panes_of_its_template_and_the_processes_that_are_missing_are_made_once() {
    let site = site(TEMPLATE);
    fs::create_dir(site.path("work/sub")).expect("a new directory");
    let work = site.path("work");
    let first = plan(&site, None, false).expect("a plan");
    assert_eq!(first.from, ArrangementFrom::Template);
    assert_eq!(tabs(&first), ["right(60% a, 40% shell)"], "nothing is made unasked");
    assert_eq!(first.missing, ["new"]);
    let made = plan(&site, None, true).expect("a plan");
    assert_eq!(tabs(&made), ["right(60% a, 40% down(50% new, 50% shell))"]);
    assert_eq!(made.missing, [""; 0]);
    assert_eq!(
        (made.problems.as_slice(), made.away.as_slice()),
        ([].as_slice(), [work.join("gone")].as_slice())
    );
    let new = site.process("w/new");
    assert_eq!((new.source, new.state, &new.cwd), (Source::Runtime, State::Running, &work.join("sub")));
    let environment = fs::read(format!("/proc/{}/environ", new.pid.expect("it runs"))).expect("it is ours");
    assert!(String::from_utf8_lossy(&environment).contains("MARK=caller"));
    let again = plan(&site, None, true).expect("a plan");
    assert_eq!(tabs(&again), tabs(&made));
    assert_eq!(site.process("w/new").run_id, new.run_id);
    assert_eq!(site.processes().len(), 3);
}

#[test]
fn panes_are_given_back_as_they_were_left_also_after_the_daemon_was_killed() {
    let site = site(TEMPLATE);
    let left = vec![beside(vec![sized(shows("b"), 30.0), sized(Pane::default(), 70.0)]), shows("a")];
    keep(&site, "g", "w", left.clone(), true).expect("kept");
    keep(&site, "g", "w", left, true).expect("nothing is new");
    site.kill_daemon();
    site.daemon();
    // at once: a process that has not shown itself yet has its pane all the same
    let early = plan(&site, None, true).expect("a plan");
    assert_eq!(
        (tabs(&early), early.missing),
        (vec!["right(30% b, 70% shell)".to_owned(), "a".to_owned()], vec![])
    );
    site.wait_state("w/a", State::Running);
    site.wait_state("w/b", State::Running);
    let plan = plan(&site, None, true).expect("a plan");
    assert_eq!((plan.from, plan.shown), (ArrangementFrom::Left, true));
    assert_eq!(tabs(&plan), ["right(30% b, 70% shell)", "a"]);
    let all = site.client().call::<LeftLayouts>(Empty {}).expect("an answer");
    assert_eq!(all, [plan]);
    assert!(all[0].at.is_some());
}

#[test]
fn what_is_told_twice_is_on_the_disk_when_the_second_is_answered() {
    let site = Site::new();
    // a slow disk: the first has not come to it when the second is told
    site.set_env("WEZTERM_PARALLEL_TEST_FSYNC_DELAY_MS", "500");
    site.config("version: 1\nworkspaces: { w: { cwd: $WORK } }");
    site.daemon();
    let windows = vec![Window { title: None, tabs: vec![Pane::default(), Pane::default()] }];
    let keep = LayoutKeep { gui: "g".into(), workspace: "w".into(), windows, shown: true };
    let (mut first, mut second) = (site.client(), site.client());
    let pid = site.daemon_pid();
    first.send(KeepLayout::NAME, &keep);
    second.call::<KeepLayout>(keep).expect("kept");
    kill(pid);
    site.daemon();
    let left = site.client().call::<LeftLayouts>(Empty {}).expect("an answer");
    assert_eq!(left.iter().map(|a| tabs(a).len()).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_removed_process_leaves_its_pane_and_a_new_one_gets_none_unasked() {
    let site = site("workspaces: { w: { cwd: $WORK, processes: { a: { command: SLEEP } } } }");
    site.run(&["process", "add", "w", "b", "--", "tail", "-f", "/dev/null"]).ok();
    let left = beside(vec![sized(shows("b"), 20.0), sized(shows("a"), 60.0), sized(Pane::default(), 20.0)]);
    keep(&site, "g", "w", vec![left], true).expect("kept");
    site.run(&["process", "remove", "w/b"]).ok();
    site.run(&["process", "add", "w", "c", "--", "tail", "-f", "/dev/null"]).ok();
    let plan = plan(&site, None, false).expect("a plan");
    assert_eq!(tabs(&plan), ["right(75% a, 25% shell)"]);
    assert_eq!(plan.missing, ["b"]);
}

#[test]
fn an_arrangement_goes_with_its_workspace_and_stays_over_a_new_name() {
    let site = site("workspaces: {}");
    site.run(&["workspace", "create", "w"]).ok();
    keep(&site, "g", "w", vec![Pane::default(), Pane::default()], true).expect("kept");
    site.run(&["workspace", "rename", "w", "x"]).ok();
    let left = || site.client().call::<LeftLayouts>(Empty {}).expect("an answer");
    assert_eq!((left()[0].workspace.name.as_str(), tabs(&left()[0]).len()), ("x", 2));
    // one GUI shows one workspace
    site.run(&["workspace", "create", "w"]).ok();
    keep(&site, "g", "w", vec![Pane::default()], true).expect("kept");
    keep(&site, "other", "w", Vec::new(), true).expect("the last pane was closed");
    let shown: Vec<_> =
        left().into_iter().map(|a| (a.workspace.name.clone(), a.shown, tabs(&a).len())).collect();
    assert_eq!(shown, [("x".to_owned(), false, 2), ("w".to_owned(), true, 1)]);
    site.run(&["workspace", "close", "x"]).ok();
    assert_eq!(left().len(), 1, "only what is open comes back");
    site.run(&["workspace", "delete", "w"]).ok();
    site.run(&["workspace", "create", "w"]).ok();
    site.kill_daemon();
    site.daemon();
    assert_eq!(site.client().call::<LeftLayouts>(Empty {}).expect("an answer"), []);
}

#[test]
fn two_guis_that_want_the_same_at_once_get_each_process_once() {
    let template = "layouts: { four: { tabs: [{ split: right, panes: [
      { process: p, command: SLEEP }, { process: q, command: SLEEP }, { process: r, command: SLEEP }, { process: s, command: SLEEP } ] }] } }
workspaces: { w: { cwd: $WORK, layout: four } }";
    let site = site(template);
    let plans = thread::scope(|scope| {
        let both = [site.client(), site.client()].map(|client| scope.spawn(|| ask(client, None, true)));
        both.map(|one| one.join().expect("it ends").expect("a plan"))
    });
    let four = "right(25% p, 25% q, 25% r, 25% s)";
    assert_eq!(plans.each_ref().map(tabs), [[four], [four]]);
    assert_eq!(plans.map(|p| p.problems), [[""; 0], [""; 0]], "who comes second is told nothing");
    let names: Vec<String> = site.processes().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["p", "q", "r", "s"]);
}

#[test]
fn what_cannot_be_made_costs_no_other_pane() {
    let template = "layouts: { both: { tabs: [{ process: no, command: [no-such-program] }, { process: yes, command: SLEEP }] } }
workspaces: { w: { cwd: $WORK, layout: both } }";
    let plan = plan(&site(template), None, true).expect("a plan");
    assert_eq!((tabs(&plan), plan.missing), (vec!["yes".to_owned()], vec!["no".to_owned()]));
    assert!(plan.problems[0].starts_with("no cannot be made: "), "{:?}", plan.problems);
}

#[test]
fn a_layout_is_saved_from_panes_and_made_again_elsewhere() {
    let site = site("workspaces: { w: { cwd: $WORK, processes: { a: { command: SLEEP } } } }");
    let elsewhere = Pane { cwd: Some(site.project("sub")), ..Pane::default() };
    let refused = site.run(&["layout", "save", "mine", "--workspace", "w"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("nobody has told yet how the panes of w lie"), "{refused:?}");
    keep(&site, "g", "w", vec![beside(vec![sized(shows("a"), 70.0), sized(elsewhere, 30.0)])], true)
        .expect("kept");
    site.run(&["layout", "save", "mine", "--workspace", "w"]).ok();
    let file = site.path("config/wezterm-parallel/layouts/mine.yaml");
    let text = fs::read_to_string(&file).expect("it is written");
    let schema = site.path("data/wezterm-parallel/layout.schema.json");
    assert!(text.starts_with(&format!("# yaml-language-server: $schema={}\n", schema.display())), "{text}");
    let schema: serde_json::Value =
        serde_json::from_slice(&fs::read(schema).expect("it is there")).expect("json");
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/generated/layout.schema.json");
    assert_eq!(
        schema,
        serde_json::from_slice::<serde_json::Value>(&fs::read(kept).expect("it is there")).expect("json")
    );
    assert!(text.contains("cwd: sub") && text.contains("process: a"), "{text}");

    let twice = site.run(&["layout", "save", "mine", "--workspace", "w"]);
    assert!(twice.err.contains("there is a saved layout mine already"), "{twice:?}");
    site.run(&["layout", "save", "mine", "--workspace", "w", "--replace"]).ok();
    let list: Vec<LayoutView> = site.run(&["layout", "list", "--json"]).json();
    let names: Vec<_> = list.iter().map(|v| (v.name.as_str(), v.source)).collect();
    assert_eq!(names[0], ("mine", LayoutSource::Saved));
    assert_eq!(
        names[1..].iter().map(|n| n.0).collect::<Vec<_>>(),
        ["claude-dev", "web-dev", "rust-dev", "research", "grid-4"]
    );
    assert_eq!(site.run(&["layout", "show", "mine"]).out, text);

    site.project("other/sub");
    site.run(&["workspace", "create", "o", "--cwd", "other", "--layout", "mine"]).ok();
    let plan = LayoutPlan { workspace: "o".into(), create: true, ..LayoutPlan::default() };
    let made = site.client().call::<PlanLayout>(plan).expect("a plan");
    assert_eq!(
        (tabs(&made), made.missing, made.problems),
        (vec!["right(70% a, 30% shell)".to_owned()], vec![], vec![])
    );
    assert_eq!(site.process("o/a").state, State::Running);
    let inner = made.windows[0].tabs[0].panes[1].cwd.clone();
    assert_eq!(inner, Some(site.path("work/other/sub")));

    let used = site.run(&["layout", "delete", "mine"]);
    assert!(used.err.contains("the layout mine is the one of o"), "{used:?}");
    site.run(&["workspace", "delete", "o"]).ok();
    site.run(&["layout", "delete", "mine"]).ok();
    assert!(!file.exists());
    let text = "about: from a file\ntabs: [{ title: x }]\n";
    fs::write(site.path("work/l.yaml"), text).expect("written");
    site.run(&["layout", "save", "filed", "--file", "l.yaml"]).ok();
    fs::write(site.path("work/l.yaml"), "tabs: [{ title: x, size: 5% }]\n").expect("written");
    let wrong = site.run(&["layout", "save", "filed", "--file", "l.yaml", "--replace"]);
    assert!(wrong.err.contains("l.yaml:1:20: tabs.0.size: a tab fills its window"), "{wrong:?}");
}

#[test]
fn a_layout_that_is_not_there_is_refused_with_the_one_that_was_meant() {
    let site = site("layouts: { mine: { tabs: [{}] } }\nworkspaces: { w: { cwd: $WORK } }");
    for name in ["claud-dev", "min"] {
        let refused = site.run(&["workspace", "create", "x", "--layout", name]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(
            refused.err.contains(&format!("there is no layout {name}"))
                && refused.err.contains("did you mean `"),
            "{refused:?}"
        );
    }
    let refused = plan(&site, Some("claude-deb"), false).expect_err("there is none");
    assert_eq!((refused.code, refused.hint.as_deref()), (Code::NotFound, Some("did you mean `claude-dev`?")));
    assert_eq!(plan(&site, Some("default"), false).expect("a plan").from, ArrangementFrom::Processes);
    let code = |answer: Result<LayoutView, Error>| answer.expect_err("refused").code;
    let save = |name: &str, replace| {
        let layout = Some(Layout { about: None, tabs: vec![Pane::default()] });
        site.client().call::<SaveLayout>(LayoutSave {
            name: name.into(),
            layout,
            replace,
            ..LayoutSave::default()
        })
    };
    assert_eq!(code(save("../config", true)), Code::BadName);
    assert_eq!(code(save("mine", true)), Code::ManagedByConfig);
    let delete = |name: &str| {
        let target = LayoutTarget { name: name.into(), key: None };
        site.client().call::<DeleteLayout>(target).expect_err("refused").code
    };
    assert_eq!(
        [delete("mine"), delete("grid-4"), delete("../config"), delete("x")],
        [Code::ManagedByConfig, Code::Conflict, Code::NotFound, Code::NotFound,]
    );
}

#[test]
fn a_broken_saved_layout_is_shown_and_costs_its_workspace_nothing() {
    let site = site("workspaces: { w: { cwd: $WORK, processes: { a: { command: SLEEP } } } }");
    let dir = site.path("config/wezterm-parallel/layouts");
    fs::create_dir_all(&dir).expect("made");
    fs::write(dir.join("bad.yaml"), "tabs: [{ splt: right }]\n").expect("written");
    let refused = site.run(&["workspace", "create", "x", "--layout", "bad"]);
    assert!(refused.err.contains("unknown key `splt`"), "{refused:?}");
    let shown: LayoutView = site.run(&["layout", "show", "bad", "--json"]).json();
    assert!(shown.problem.is_some_and(|p| p.contains("bad.yaml:1:10: tabs.0: unknown key `splt`")));
    let layout = Some(Layout { about: None, tabs: vec![Pane::default()] });
    let save = LayoutSave { name: "bad".into(), layout, ..LayoutSave::default() };
    assert_eq!(site.client().call::<SaveLayout>(save).expect_err("it is there").code, Code::Exists);
    assert_eq!(fs::read_to_string(dir.join("bad.yaml")).expect("it is there"), "tabs: [{ splt: right }]\n");
    site.config(&format!(
        "version: 1\nworkspaces: {{ w: {{ cwd: $WORK, layout: bad, processes: {{ a: {{ command: {SLEEP} }} }} }} }}"
    ));
    site.run(&["config", "reload"]).ok();
    let plan = plan(&site, None, true).expect("a plan");
    assert_eq!((plan.from, tabs(&plan)), (ArrangementFrom::Processes, vec!["a".to_owned()]));
    assert!(plan.problems[0].contains("unknown key `splt`"), "{:?}", plan.problems);
}

#[test]
fn another_layout_in_the_config_restarts_nothing() {
    let site = site(TEMPLATE);
    let a = site.wait_state("w/a", State::Running);
    let seq = site.seq();
    let other = format!("version: 1\n{}", TEMPLATE.replace("60%", "70%").replace("SLEEP", SLEEP));
    site.config(&other);
    site.wait_event(seq, "the config is applied", |e| e.kind == EventKind::ConfigApplied);
    assert_eq!(tabs(&plan(&site, None, false).expect("a plan")), ["right(70% a, 30% shell)"]);
    assert_eq!(site.process("w/a"), a);
    let diff = site.path("work/diff.yaml");
    fs::write(&diff, other.replace("70%", "80%").replace("$WORK", site.path("work").to_str().expect("text")))
        .expect("written");
    let plan = site.run(&["config", "diff", "diff.yaml"]);
    assert!(plan.out.contains("layout mine"), "{plan:?}");
    assert!(site.run(&["config", "show"]).out.contains("size: 70%"));
}

/// The words that call a method from a shell.
fn relay<M: Method>(params: &M::Params) -> String
where
    M::Params: serde::Serialize,
{
    let hello = Hello { protocol: PROTOCOL, client: "test".into(), config: None };
    let hello = rmp_serde::to_vec_named(&Request::new(0, HelloCall::NAME, &hello)).expect("it encodes");
    let call = rmp_serde::to_vec_named(&Request::new(1, M::NAME, params)).expect("it encodes");
    let hex: String = hello.iter().chain(&call).map(|b| format!("{b:02x}")).collect();
    format!("relay {hex}")
}

#[test]
fn an_agent_says_nothing_of_panes_and_gets_no_program_by_a_layout() {
    let Some(site) = Site::with_claude() else { return };
    let us = executable();
    let windows = vec![Window { title: None, tabs: vec![Pane::default()] }];
    let keep = LayoutKeep { gui: "g".into(), workspace: "api".into(), windows, shown: true };
    let plan = LayoutPlan { workspace: "api".into(), create: true, ..LayoutPlan::default() };
    let commands = [
        "layout save mine --workspace api".to_owned(),
        "layout delete mine".to_owned(),
        relay::<KeepLayout>(&keep),
        relay::<PlanLayout>(&plan),
    ];
    let calls: String = commands.iter().map(|command| format!("[[bash:{us} {command}]]")).collect();
    let prompt = serde_json::Value::from(format!("{calls}[[text:the turn is over]]"));
    site.project("api");
    site.config(&format!(
        "version: 1
permissions: [{{ allow: Bash, pattern: '{us} *' }}]
layouts: {{ own: {{ tabs: [{{ process: more, command: {SLEEP} }}] }} }}
workspaces:
  api: {{ cwd: $WORK/api, layout: own, processes: {{ lead: {{ agent: claude, args: [-p, {prompt}], restart: {{ policy: never }}, ready_timeout: 1s }} }} }}
"
    ));
    site.daemon();
    let heard = site.mock().wait("what came of it", |r| r.results.len() == commands.len());
    for (command, result) in commands.iter().zip(&heard.results) {
        assert!(result.contains("the agent api/lead may not"), "{command}: {result}");
    }
    assert_eq!(site.processes().len(), 1);
    assert_eq!(site.client().call::<LeftLayouts>(Empty {}).expect("an answer"), []);
}

#[test]
fn directories_for_a_workspace_come_from_all_who_know_some_and_each_is_there_once() {
    let site = site("project_roots: [$WORK/src]\nworkspaces: { w: { cwd: $WORK/src/api } }");
    for name in ["src/api", "src/web", "src/.hidden", "past", "zoxide", "session"] {
        site.project(name);
    }
    fs::write(site.path("work/src/file"), "").expect("written");
    site.run(&["config", "reload"]).ok();
    site.run(&["workspace", "create", "past", "--cwd", "past"]).ok();
    site.run(&["workspace", "delete", "past"]).ok();
    let work = site.path("work");
    let work = work.display();
    site.script(
        "zoxide",
        &format!("#!/bin/sh\nprintf '%s\\n' {work}/zoxide {work}/src/../src/web {work}/gone\n"),
    );
    let transcript = site.path("home/.claude/projects/-some-dir");
    fs::create_dir_all(&transcript).expect("made");
    let line = format!(
        "{{\"parentUuid\":null,\"type\":\"user\",\"message\":{{\"content\":\"hi\"}},\"cwd\":\"{work}/session\"}}\n"
    );
    fs::write(transcript.join("0199-abc.jsonl"), line).expect("written");
    let list = || -> Vec<(String, ProjectFrom, Option<String>)> {
        let all: Vec<ProjectView> = site.run(&["project", "list", "--json"]).json();
        let name = |p: &ProjectView| {
            p.path.strip_prefix(site.path("work")).expect("it lies there").display().to_string()
        };
        let mut all: Vec<_> = all.iter().map(|p| (name(p), p.from, p.workspace.clone())).collect();
        all.sort();
        all
    };
    let expected = [
        ("past", ProjectFrom::Workspace, None),
        ("session", ProjectFrom::Session, None),
        ("src/api", ProjectFrom::Workspace, Some("w".to_owned())),
        ("src/web", ProjectFrom::Root, None),
        ("zoxide", ProjectFrom::Zoxide, None),
    ]
    .map(|(path, from, workspace)| (path.to_owned(), from, workspace));
    assert_eq!(list(), expected);
    // one that does not answer is not waited for, and keeps nobody else waiting
    let script = format!("#!/bin/sh\necho {work}/zoxide\nexec sleep 1000\n");
    site.script("zoxide", &script);
    assert_eq!(list(), expected);
}

/// The mount is one of FUSE's whose program reads nothing. It is made where only the daemon sees it.
#[test]
fn a_mount_that_does_not_answer_keeps_nobody_waiting() {
    let site = Site::new();
    site.config("version: 1\nproject_roots: [$WORK/src]\nworkspaces: { w: { cwd: $WORK/src/api } }\n");
    let [_, dead, _] = ["src/api", "src/dead", "src/web"].map(|name| site.project(name));
    let Ok(fuse) = fs::File::options().read(true).write(true).open("/dev/fuse") else {
        say("left out, as it takes FUSE: a mount that does not answer");
        return;
    };
    let mut daemon = site.command("unshare");
    let mount = "mount -i -n -t fuse -o fd=0,rootmode=40000,user_id=0,group_id=0 dead \"$1\" || exit 77";
    daemon.args(["-m", "sh", "-c", &format!("{mount}; exec \"$2\" daemon </dev/null"), "sh"]);
    daemon.arg(&dead).arg(executable()).stdin(fuse.try_clone().expect("it can be held twice"));
    if !daemon.output().is_ok_and(|output| output.status.success()) {
        say("left out, as it takes leave to mount: a mount that does not answer");
        return;
    }
    let list = || -> Vec<String> {
        let all: Vec<ProjectView> = site.run(&["project", "list", "--json"]).ok().json();
        all.iter().map(|p| p.path.file_name().expect("a name").to_string_lossy().into_owned()).collect()
    };
    for _ in 0..5 {
        let mut names = list();
        names.sort();
        assert_eq!(names, ["api", "web"]);
    }
    let threads = fs::read_dir(format!("/proc/{}/task", site.daemon_pid())).expect("it runs").flatten();
    let looks = threads.filter(|t| fs::read_to_string(t.path().join("comm")).is_ok_and(|c| c == "look\n"));
    assert_eq!(looks.count(), 1, "one waits, and no other one comes to it");
    // nor is a workspace that is to be made there waited for, or a pane that is to begin there
    let lies = site.run(&["workspace", "create", "--cwd", dead.to_str().expect("text"), "other"]);
    assert!(lies.err.contains("does not answer"), "{}", lies.err);
    let there = Pane { cwd: Some(dead.clone()), ..Pane::default() };
    keep(&site, "g", "w", vec![there, Pane::default()], true).expect("kept");
    let left = plan(&site, None, false).expect("a plan");
    assert_eq!((left.away.as_slice(), left.windows[0].tabs.len()), ([dead.clone()].as_slice(), 2));
    // what waits there does not keep the daemon from ending either
    site.run(&["stop", "--yes"]).ok();
    assert_eq!(site.living(), []);
}
