//! Workspaces from inside WezTerm: made, shown, left and brought back.

use serde_json::json;

use crate::{
    fake::{Flavour, Host, mux::Rect, world::OverlayKind},
    scene::{FLAVOURS, SLEEP, bare_site, site, started},
    support::site::Site,
};

/// The rectangles of the active tab's panes.
fn places(host: &Host) -> Vec<Rect> {
    let mux = host.mux();
    let (_, tab) = mux.place(host.pane()).expect("it lies somewhere");
    mux.tabs[&tab].places().into_iter().map(|(_, rect)| rect).collect()
}

#[test]
fn a_workspace_is_made_through_questions_alone() {
    for flavour in FLAVOURS {
        let site = bare_site();
        site.config("version: 1\n");
        let project = site.project("my shop");
        let host = started(&site, flavour, "{}");
        host.press("CTRL|SHIFT", "N");
        host.type_a_directory();
        host.type_line(project.to_str().expect("text"));
        host.type_line("");
        host.choose("none");
        host.workspace_is("my-shop");
        let panes = host.run_by("my-shop");
        assert_eq!(panes, [""], "one shell");
        let all: Vec<serde_json::Value> = site.run(&["workspace", "list", "--json"]).ok().json();
        assert_eq!((all.len(), &all[0]["name"], &all[0]["open"]), (1, &json!("my-shop"), &json!(true)));
        let pane = host.pane();
        assert_eq!(host.mux().panes[&pane].cwd.as_deref(), project.to_str());
    }
}

#[test]
fn a_directory_that_is_not_there_is_said_and_nothing_is_made() {
    let site = bare_site();
    site.config("version: 1\n");
    let host = started(&site, Flavour::Stable, "{}");
    host.press("CTRL|SHIFT", "N");
    host.type_a_directory();
    host.type_line("/no/such/directory");
    host.wait("a word about it", |host| {
        host.record().toasts.iter().any(|t| t.message.contains("/no/such/directory"))
    });
    assert_eq!(site.run(&["workspace", "list", "--json"]).ok().out.trim(), "[]");
}

#[test]
fn a_question_that_is_left_changes_nothing() {
    let site = site();
    let host = started(&site, Flavour::Nightly, "{}");
    for brief in briefs(&host) {
        let before =
            (host.panes().len(), site.run(&["workspace", "list", "--json"]).ok().out.matches("name").count());
        if [
            "dashboard",
            "dashboard of tasks",
            "graph of tasks",
            "restore",
            "reload config",
            "doctor",
            "type into several panes",
            "install the executable",
            "next process that needs me",
        ]
        .iter()
        .any(|b| brief.ends_with(b))
        {
            continue;
        }
        host.choose_in_palette(&brief);
        host.wait("a question or a word", |host| host.overlay().is_some() || host.is_at_rest());
        if host.overlay().is_some() {
            host.cancel();
        }
        host.wait("its end", Host::is_at_rest);
        let after =
            (host.panes().len(), site.run(&["workspace", "list", "--json"]).ok().out.matches("name").count());
        assert_eq!(after, before, "{brief}");
    }
}

fn briefs(host: &Host) -> Vec<String> {
    host.palette().iter().map(|e| e["brief"].as_str().expect("text").to_string()).collect()
}

impl Host {
    /// Comes to the question for a directory: it is the first one where no directory is known.
    fn type_a_directory(&self) {
        if matches!(self.question().kind, OverlayKind::Selector { .. }) {
            self.choose("Type a directory");
        }
    }

    /// Nothing is under way but the one call.
    fn is_at_rest(&self) -> bool {
        self.running(|args| !args.iter().any(|a| a == "--wait")) == 0 && self.is_calm()
    }
}

#[test]
fn every_action_takes_any_answer_and_throws_nothing() {
    let answers =
        ["", "x", "~", "/", "../..", "a b", "'", "\"", "$(reboot)", "ü", "\u{202e}", "-1", "%s%n", "*"];
    for flavour in FLAVOURS {
        let site = site();
        let host = started(&site, flavour, "{}");
        let mut n = 0;
        for round in 0..2 {
            for brief in briefs(&host) {
                if brief.ends_with("install the executable") {
                    continue;
                }
                host.choose_in_palette(&brief);
                for _ in 0..6 {
                    host.wait("a question or rest", |host| host.overlay().is_some() || host.is_at_rest());
                    let Some(question) = host.overlay() else { break };
                    n += 1;
                    match question.kind {
                        OverlayKind::Selector { choices, .. } if !choices.is_empty() => {
                            let (_, label) = &choices[(n + round) % choices.len()];
                            host.choose(&crate::fake::format::plain(label));
                        }
                        OverlayKind::Selector { .. } => host.cancel(),
                        OverlayKind::Prompt { .. } => host.type_line(answers[n % answers.len()]),
                        OverlayKind::Confirmation { .. } if n % 2 == 0 => host.confirm(),
                        OverlayKind::Confirmation { .. } => host.cancel(),
                    }
                }
                if host.overlay().is_some() {
                    host.cancel();
                }
            }
        }
        assert!(n > 30, "it asks: {n}");
    }
}

const TEMPLATE: &str = "version: 1
layouts:
  mine:
    tabs:
      - title: work
        split: right
        panes:
          - { process: one, size: 60% }
          - split: down
            panes: [{ process: two }, { command: [top], focus: true }]
      - { title: other, process: three }
workspaces:
  w:
    cwd: $WORK
    layout: mine
    processes: { one: { command: SLEEP }, two: { command: SLEEP }, three: { command: SLEEP } }
";

fn templated() -> Site {
    let site = bare_site();
    site.config(&TEMPLATE.replace("SLEEP", SLEEP));
    site
}

#[test]
fn panes_are_built_as_planned() {
    for flavour in FLAVOURS {
        let site = templated();
        let host = started(&site, flavour, "{}");
        host.press("CTRL|SHIFT", "W");
        host.choose("w");
        host.workspace_is("w");
        host.wait("all panes", |host| host.run_by("w").len() == 4);
        host.wait("the end of it", |host| host.ask("views", "M.is_opening 'w'") == json!(false));
        assert_eq!(host.run_by("w"), ["attach w/one", "attach w/two", "top", "attach w/three"]);
        let tops = host.pane_of("top");
        host.wait("the focus", |host| Some(host.pane()) == tops);
        let places = places(&host);
        let (cols, rows) = host.world.cells.get();
        assert_eq!((places[0].width, places[0].height), ((cols - 1) * 60 / 100, rows), "{places:?}");
        assert_eq!(places[1].width, cols - places[0].width - 1);
        assert!(places[1].height.abs_diff(places[2].height) <= 1, "{places:?}");
        let titles: Vec<String> = host.mux().tabs.values().map(|t| t.title.clone()).collect();
        assert!(titles.contains(&"work".into()) && titles.contains(&"other".into()), "{titles:?}");
        assert_eq!(host.mux().windows_of("w").len(), 1);
    }
}

#[test]
fn an_arrangement_comes_back_in_the_next_wezterm_as_it_was_left() {
    for flavour in FLAVOURS {
        let site = templated();
        let first = started(&site, flavour, "{}");
        first.press("CTRL|SHIFT", "W");
        first.choose("w");
        first.workspace_is("w");
        first.wait("all panes", |host| host.run_by("w").len() == 4);
        // the user closes one, makes another larger and opens a shell
        first.close_pane(first.pane_of("top").expect("it is there"));
        let one = first.pane_of("attach w/one").expect("it is there");
        first.run(&format!("require('wezterm').mux.get_pane({one}):activate()"));
        first.act(&json!({ "AdjustPaneSize": ["Left", 20] }));
        let left = places(&first);
        first.wait("the daemon knows", |_| {
            let shown = serde_json::to_string(&crate::scene::left(&site)).expect("JSON");
            shown.contains("three") && !shown.contains("top") && shown.contains("47")
        });
        drop(first);

        let second = started(&site, flavour, "{ restore = 'automatic' }");
        second.workspace_is("w");
        second.wait("all panes", |host| host.run_by("w").len() == 3);
        second.wait("the end of it", |host| host.ask("views", "M.is_opening 'w'") == json!(false));
        assert_eq!(second.run_by("w"), ["attach w/one", "attach w/two", "attach w/three"]);
        let back = places(&second);
        assert_eq!(back.len(), left.len());
        for (a, b) in left.iter().zip(&back) {
            assert!(a.width.abs_diff(b.width) <= 1 && a.height.abs_diff(b.height) <= 1, "{left:?} {back:?}");
        }
        // once: a reload restores nothing more
        second.reload();
        second.connected();
        second.status();
        assert_eq!(second.run_by("w").len(), 3);
    }
}

#[test]
fn restore_asks_and_no_is_an_answer() {
    let site = templated();
    let first = started(&site, Flavour::Stable, "{}");
    first.press("CTRL|SHIFT", "W");
    first.choose("w");
    first.wait("all panes", |host| host.run_by("w").len() == 4);
    first.wait("the daemon knows", |_| !crate::scene::left(&site).is_empty());
    drop(first);
    let second = started(&site, Flavour::Stable, "{ restore = 'ask' }");
    second.question();
    second.cancel();
    second.status();
    assert_eq!(second.run_by("w"), [""; 0]);
    second.choose_in_palette("wezterm-parallel: restore");
    second.wait("all panes", |host| host.run_by("w").len() == 4);
    // and twice is the same as once
    second.choose_in_palette("wezterm-parallel: restore");
    second.wait("its end", Host::is_at_rest);
    assert_eq!(second.run_by("w").len(), 4);
}

#[test]
fn a_directory_that_is_gone_is_said_and_the_rest_is_opened() {
    let site = templated();
    let gone = site.project("gone");
    site.config(&format!(
        "version: 1\nworkspaces:\n  g: {{ cwd: $WORK/gone, processes: {{ one: {{ command: {SLEEP} }} }} }}\n  h: {{ cwd: $WORK, processes: {{ one: {{ command: {SLEEP} }} }} }}\n"
    ));
    let host = started(&site, Flavour::Nightly, "{}");
    host.hears("g/one", "running");
    std::fs::remove_dir(&gone).expect("it is empty");
    host.press("CTRL|SHIFT", "W");
    host.choose("g");
    host.workspace_is("g");
    host.press("CTRL|SHIFT", "W");
    host.choose("h");
    host.workspace_is("h");
    assert_eq!(host.run_by("h"), ["attach h/one"]);
}

#[test]
fn a_layout_that_names_a_process_that_is_not_there_says_so_in_its_pane() {
    let site = bare_site();
    site.config(&format!(
        "version: 1\nlayouts: {{ odd: {{ tabs: [{{ split: right, panes: [{{ process: one }}, {{ process: ghost }}] }}] }} }}\nworkspaces:\n  w: {{ cwd: $WORK, layout: odd, processes: {{ one: {{ command: {SLEEP} }} }} }}\n"
    ));
    let host = started(&site, Flavour::Stable, "{}");
    host.press("CTRL|SHIFT", "W");
    host.choose("w");
    host.workspace_is("w");
    host.wait("its panes", |host| !host.run_by("w").is_empty());
    host.wait("a word about it", |host| {
        host.run_by("w").iter().any(|args| args.contains("w/ghost"))
            || host.record().toasts.iter().any(|t| t.message.contains("ghost"))
    });
}

#[test]
fn processes_are_added_restarted_and_stopped_through_questions() {
    for flavour in FLAVOURS {
        let site = site();
        let host = started(&site, flavour, "{}");
        host.press("CTRL|SHIFT", "W");
        host.choose("api");
        host.workspace_is("api");
        host.choose_in_palette("wezterm-parallel: add process");
        host.choose("another program");
        host.type_line("sh -c 'echo \"a b\"; exec sleep 1000'");
        host.type_line("added");
        host.hears("api/added", "running");
        host.wait("its pane", |host| host.pane_of("attach api/added").is_some());
        let args = site.process("api/added");
        assert_eq!(args.name, "added");
        let run = site.process("api/added").run_id;
        host.choose_in_palette("wezterm-parallel: restart process");
        host.choose("api/added");
        host.wait("another run", |_| {
            let view = site.process("api/added");
            view.run_id != run && view.pid.is_some()
        });
        host.choose_in_palette("wezterm-parallel: stop process");
        host.choose("api/added");
        host.hears("api/added", "stopped");
        host.choose_in_palette("wezterm-parallel: remove process");
        host.choose("api/added");
        match flavour {
            Flavour::Stable => host.choose("Remove it"),
            Flavour::Nightly => host.confirm(),
        }
        host.wait("it is gone", |host| host.ask("state", "M.process 'api/added' == nil") == json!(true));
    }
}

#[test]
fn an_attached_process_tells_its_pane_and_its_pane_is_found_by_that() {
    let site = bare_site();
    site.project("api");
    site.config("version: 1\nworkspaces:\n  api: { cwd: $WORK/api, processes: { one: { command: [sh, -c, 'echo marked; exec sleep 1000'] } } }\n");
    let host = Host::new(&site, Flavour::Nightly);
    host.world.runs_panes.set(true);
    host.start(&crate::scene::config("{}"));
    host.connected();
    host.hears("api/one", "running");
    host.press("CTRL|SHIFT", "W");
    host.choose("api");
    host.workspace_is("api");
    let pane = host.pane_of("attach api/one").expect("its pane");
    host.wait("the user variable", |host| {
        host.mux()
            .panes
            .get(&pane)
            .is_some_and(|p| p.user_vars.get("wezterm_parallel").is_some_and(|v| v == "api/one"))
    });
    host.wait("what it shows", |host| {
        host.world.ptys.borrow().get(&pane).is_some_and(|p| p.contents().contains("marked"))
    });
    // a pane that the user opened by hand is found too
    host.cli(&site, &["gui", "show", "api/one"]).ok();
    assert_eq!(
        host.panes().iter().filter(|(_, _, args)| args.join(" ").ends_with("attach api/one")).count(),
        1
    );
    site.wait_attached("api/one", 1);
    host.close_pane(pane);
    site.wait_attached("api/one", 0);
}
