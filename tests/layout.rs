//! Layouts: templates, which panes a workspace gets, how they were last left.

use std::fs;

use indexmap::IndexMap;
use wezterm_parallel_schemas::{
    daemon::Empty,
    error::Error,
    layout::{Arrangement, ArrangementFrom, LayoutKeep, LayoutPlan, Pane, Split, Window},
    method::{KeepLayout, LeftLayouts, PlanLayout},
    process::{Source, State},
    units::Percent,
};

use crate::support::site::Site;

const SLEEP: &str = "[tail, -f, /dev/null]";

fn site(config: &str) -> Site {
    let site = Site::new();
    site.config(&format!("version: 1\n{}", config.replace("SLEEP", SLEEP)));
    site.daemon();
    site
}

fn plan(site: &Site, layout: Option<&str>, create: bool) -> Result<Arrangement, Error> {
    let plan = LayoutPlan {
        workspace: "w".into(),
        layout: layout.map(str::to_owned),
        create,
        environment: IndexMap::from([
            ("MARK".to_owned(), "caller".to_owned()),
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ]),
        key: None,
    };
    site.client().call::<PlanLayout>(plan)
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
    let gone =
        format!("the directory {}/gone is not there; its pane begins in {}", work.display(), work.display());
    assert_eq!(made.problems, [gone]);
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
    let plan = plan(&site, None, true).expect("a plan");
    assert_eq!((plan.from, plan.shown), (ArrangementFrom::Left, true));
    assert_eq!(tabs(&plan), ["right(30% b, 70% shell)", "a"]);
    let all = site.client().call::<LeftLayouts>(Empty {}).expect("an answer");
    assert_eq!(all, [plan]);
    assert!(all[0].at.is_some());
}
