use proptest::prelude::*;

use super::{check::check, *};

fn room(members: &[(&str, Option<&str>)]) -> Room {
    let member = |(name, agent): &(&str, Option<&str>)| Member {
        name: (*name).to_owned(),
        agent: agent.map(str::to_owned),
        command: if agent.is_some() { Vec::new() } else { vec!["run".into(), (*name).to_owned()] },
        cwd: "/w".into(),
    };
    Room { cwd: "/w".into(), home: "/home/u".into(), members: members.iter().map(member).collect() }
}

fn shows(process: &str) -> Pane {
    Pane { process: Some(process.into()), ..Pane::default() }
}

fn agent(process: &str) -> Pane {
    Pane { agent: Some("claude".into()), ..shows(process) }
}

fn in_dir(cwd: &str) -> Pane {
    Pane { cwd: Some(cwd.into()), ..Pane::default() }
}

fn sized(pane: Pane, percent: f64) -> Pane {
    Pane { size: Some(Percent(percent)), ..pane }
}

fn right<const N: usize>(panes: [Pane; N]) -> Pane {
    Pane { split: Some(Split::Right), panes: panes.into(), ..Pane::default() }
}

fn down<const N: usize>(panes: [Pane; N]) -> Pane {
    Pane { split: Some(Split::Down), ..right(panes) }
}

fn window<const N: usize>(tabs: [Pane; N]) -> Vec<Window> {
    vec![Window { title: None, tabs: tabs.into() }]
}

/// Panes in words: `right(60% a, 40% down(50% b, 50% shell))`.
fn words(pane: &Pane) -> String {
    let size = pane.size.map(|s| format!("{s} ")).unwrap_or_default();
    let what = match (&pane.split, &pane.process, &pane.command) {
        (Some(split), _, _) => {
            let inner: Vec<String> = pane.panes.iter().map(words).collect();
            format!("{}({})", format!("{split:?}").to_lowercase(), inner.join(", "))
        }
        (None, Some(process), _) => process.clone(),
        (None, None, Some(command)) => command.join(" "),
        (None, None, None) => "shell".into(),
    };
    format!("{size}{what}")
}

fn tabs(windows: &[Window]) -> Vec<String> {
    windows.iter().flat_map(|w| &w.tabs).map(words).collect()
}

/// What is there of these tabs in a workspace with `a`, `b` and `c`.
fn placed<const N: usize>(all: [Pane; N]) -> (Vec<String>, Vec<String>) {
    let room = room(&[("a", None), ("b", None), ("c", None)]);
    let placed = place(window(all), &room, &HashSet::new());
    (tabs(&placed.windows), placed.missing)
}

#[test]
fn what_is_left_of_a_split_is_shared_by_those_without_a_size() {
    let of = |panes| placed([right(panes)]).0[0].clone();
    assert_eq!(of([shows("a"), shows("b"), Pane::default()]), "right(33.33% a, 33.33% b, 33.34% shell)");
    assert_eq!(of([sized(shows("a"), 60.0), shows("b"), Pane::default()]), "right(60% a, 20% b, 20% shell)");
    let thirds = [sized(shows("a"), 33.0), sized(shows("b"), 33.0), sized(Pane::default(), 33.0)];
    assert_eq!(of(thirds), "right(33.33% a, 33.33% b, 33.34% shell)");
    let full = [sized(shows("a"), 50.0), sized(shows("b"), 50.0), Pane::default()];
    assert_eq!(of(full), "right(37.5% a, 37.5% b, 25% shell)", "as a GUI may tell it");
}

#[test]
fn a_process_that_is_gone_leaves_its_place_to_those_beside_it() {
    let gone = || shows("gone");
    let (tabs, missing) = placed([
        right([sized(shows("a"), 60.0), sized(down([gone(), shows("b")]), 40.0)]),
        down([sized(shows("c"), 30.0), sized(gone(), 70.0)]),
        gone(),
        right([gone(), shows("other")]),
    ]);
    assert_eq!(tabs, ["right(60% a, 40% b)", "c"]);
    assert_eq!(missing, ["gone", "other"]);
}

#[test]
fn what_stands_in_for_a_split_keeps_the_splits_title_and_its_own_focus() {
    let split =
        Pane { title: Some("work".into()), ..right([shows("gone"), Pane { focus: true, ..shows("a") }]) };
    let room = room(&[("a", None)]);
    let placed = place(window([split]), &room, &HashSet::new());
    let tab = &placed.windows[0].tabs[0];
    assert_eq!(
        (tab.title.as_deref(), tab.process.as_deref(), tab.focus, tab.size),
        (Some("work"), Some("a"), true, None)
    );
}

#[test]
fn panes_of_a_split_keep_their_names_also_where_they_come_to_stand_alone() {
    let named = |name: &str, title: &str| Pane { title: Some(title.into()), ..shows(name) };
    let room = room(&[("a", None), ("b", None), ("c", None)]);
    let split = right([named("a", "server"), down([named("b", "log"), shows("gone")]), shows("c")]);
    let placed = place(window([split]), &room, &HashSet::new());
    let titles: Vec<_> = placed.windows[0].tabs[0].panes.iter().map(|p| p.title.as_deref()).collect();
    assert_eq!(titles, [Some("server"), Some("log"), None]);
}

#[test]
fn a_split_of_the_same_kind_within_another_is_one_with_it() {
    let inner = right([sized(shows("b"), 25.0), sized(Pane::default(), 75.0)]);
    assert_eq!(
        placed([right([sized(shows("a"), 60.0), sized(inner.clone(), 40.0)])]).0,
        ["right(60% a, 10% b, 30% shell)"]
    );
    // also if what stood between them has gone
    let between = down([shows("gone"), inner]);
    assert_eq!(
        placed([right([sized(shows("a"), 60.0), sized(between, 40.0)])]).0,
        ["right(60% a, 10% b, 30% shell)"]
    );
}

#[test]
fn a_process_has_one_pane() {
    assert_eq!(placed([right([shows("a"), shows("a")]), shows("a")]).0, ["a"]);
}

#[test]
fn panes_begin_where_they_are_told_to_and_it_is_said_which_directories_are_away() {
    let room = Room {
        members: vec![Member { cwd: "/w/api".into(), ..room(&[("a", None)]).members[0].clone() }],
        ..room(&[])
    };
    let all = window([
        Pane::default(),
        in_dir("sub/./x"),
        in_dir("~/notes"),
        in_dir("~"),
        in_dir("/srv"),
        in_dir("../other"),
        Pane { cwd: Some("elsewhere".into()), ..shows("a") },
    ]);
    let begins = |gone: &[&str]| {
        let gone = gone.iter().map(PathBuf::from).collect();
        let placed = place(all.clone(), &room, &gone);
        let dirs: Vec<String> = placed.windows[0]
            .tabs
            .iter()
            .map(|t| t.cwd.clone().unwrap_or_default().display().to_string())
            .collect();
        (dirs, placed.away.iter().map(|d| d.display().to_string()).collect::<Vec<_>>())
    };
    let (dirs, away) = begins(&[]);
    assert_eq!(dirs, ["/w", "/w/sub/x", "/home/u/notes", "/home/u", "/srv", "/w/../other", "/w/api"]);
    assert_eq!(away, [""; 0]);
    assert_eq!(
        directories(&all, &room).iter().map(|d| d.display().to_string()).collect::<Vec<_>>(),
        dirs,
        "these are looked at"
    );
    // what was wanted stays: the directory may be back the next time
    let (wanted, away) = begins(&["/w/sub/x", "/srv"]);
    assert_eq!((wanted, away), (dirs, vec!["/w/sub/x".to_owned(), "/srv".to_owned()]));
}

#[test]
fn a_pane_of_an_agent_shows_one_that_is_there_before_a_new_one_is_made() {
    let fitted = |members: &[(&str, Option<&str>)], mut all: Vec<Pane>| {
        let room = room(members);
        fill(&mut all, &room);
        let wishes = wishes(&all, &room).into_iter().map(|w| w.name).collect::<Vec<_>>();
        (all.iter().map(words).collect::<Vec<_>>().join(" "), wishes.join(" "))
    };
    let grid = || vec![agent("claude-1"), agent("claude-2")];
    let claude = Some("claude");
    assert_eq!(fitted(&[], grid()), ("claude-1 claude-2".into(), "claude-1 claude-2".into()));
    assert_eq!(fitted(&[("lead", claude)], grid()), ("lead claude-2".into(), "claude-2".into()));
    assert_eq!(
        fitted(&[("lead", claude), ("claude-1", claude)], grid()),
        ("claude-1 lead".into(), "".into()),
        "one of the name goes first"
    );
    assert_eq!(
        fitted(&[("lead", None), ("other", Some("codex"))], grid()),
        ("claude-1 claude-2".into(), "claude-1 claude-2".into()),
        "of another kind"
    );
    assert_eq!(fitted(&[("lead", claude)], vec![shows("x"), agent("y")]), ("x lead".into(), "".into()));
    // once they are made, the next time finds the same
    let later = [("lead", claude), ("claude-2", claude)];
    assert_eq!(fitted(&later, grid()), ("lead claude-2".into(), "".into()));
}

#[test]
fn what_is_to_be_made_has_what_it_runs_and_where() {
    let pane = Pane { command: Some(vec!["npm".into(), "run".into()]), ..shows("server") };
    let all =
        [right([Pane { cwd: Some("web".into()), ..pane }, agent("claude")]), shows("nothing"), shows("a")];
    let server = Wish {
        name: "server".into(),
        agent: None,
        command: vec!["npm".into(), "run".into()],
        cwd: "/w/web".into(),
    };
    let claude =
        Wish { name: "claude".into(), agent: Some("claude".into()), command: Vec::new(), cwd: "/w".into() };
    assert_eq!(wishes(&all, &room(&[("a", None)])), [server, claude]);
}

#[test]
fn processes_without_a_template_lie_side_by_side() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let lie = |n: usize| {
        let members: Vec<_> = names[..n].iter().map(|name| (*name, None)).collect();
        let room = room(&members);
        tabs(&place(side_by_side(&room), &room, &HashSet::new()).windows)
    };
    assert_eq!(lie(0), ["shell"]);
    assert_eq!(lie(1), ["a"]);
    assert_eq!(lie(2), ["right(50% a, 50% b)"]);
    assert_eq!(lie(3), ["right(50% a, 50% down(50% b, 50% c))"]);
    let four = "right(50% down(50% a, 50% c), 50% down(50% b, 50% d))";
    assert_eq!(lie(4), [four]);
    assert_eq!(lie(6), [four, "right(50% e, 50% f)"]);
}

#[test]
fn a_template_of_panes_names_what_runs_and_no_place_of_this_machine() {
    let room = room(&[("lead", Some("claude")), ("server", None)]);
    let left = vec![
        Window {
            title: Some("one".into()),
            tabs: vec![right([shows("lead"), in_dir("/w/api")]), in_dir("/w")],
        },
        Window { title: None, tabs: vec![shows("server"), in_dir("/home/u/notes"), in_dir("/srv")] },
    ];
    let placed = place(left, &room, &HashSet::new());
    let layout = template(&placed.windows, &room);
    assert_eq!(check(&layout), [], "it is right");
    let panes: Vec<Pane> = layout.tabs[0].panes.iter().chain(&layout.tabs[1..]).cloned().collect();
    let half = Some(Percent(50.0));
    assert_eq!(
        panes,
        [
            Pane { size: half, ..agent("lead") },
            Pane { size: half, ..in_dir("api") },
            Pane::default(),
            Pane { command: Some(vec!["run".into(), "server".into()]), ..shows("server") },
            in_dir("~/notes"),
            in_dir("/srv"),
        ]
    );
}

#[test]
fn what_is_wrong_with_a_template_is_told_at_its_place() {
    let wrong = |tab: Pane| {
        let faults = check(&Layout { about: None, tabs: vec![tab] });
        faults.iter().map(|f| format!("{}: {}", f.at.join("."), f.message)).collect::<Vec<_>>().join("; ")
    };
    let two = || right([Pane::default(), Pane::default()]);
    for (tab, expected) in [
        (Pane { panes: Vec::new(), ..two() }, "tabs.0.split: a split has at least two panes"),
        (Pane { split: None, ..two() }, "tabs.0.panes: nothing says how these panes lie"),
        (
            Pane { process: Some("a".into()), ..two() },
            "tabs.0.process: this belongs to one of the panes of the split",
        ),
        (sized(two(), 50.0), "tabs.0.size: a tab fills its window: only a pane of a split has a size"),
        (right([sized(shows("a"), 60.0), sized(shows("b"), 50.0)]), "tabs.0.panes: these panes take 110%"),
        (
            right([sized(shows("a"), 60.0), sized(shows("b"), 40.0), Pane::default()]),
            "tabs.0.panes: nothing is left for the panes without a size",
        ),
        (right([shows("a"), shows("a")]), "tabs.0.panes.1.process: `a` has a pane already"),
        (shows("a/b"), "tabs.0.process: this cannot be the name of a process"),
        (
            Pane { agent: Some("x".into()), ..Pane::default() },
            "tabs.0.agent: an agent is a process, and this one has no name",
        ),
        (
            Pane { command: Some(vec!["x".into()]), ..agent("a") },
            "tabs.0.command: it runs an agent or a command, not both",
        ),
        (Pane { command: Some(Vec::new()), ..shows("a") }, "tabs.0.command: the command is empty"),
        (
            right([
                Pane { title: Some("t".into()), ..right([shows("a"), Pane::default()]) },
                Pane::default(),
            ]),
            "tabs.0.panes.0.title: only a tab and a pane have a title",
        ),
        (in_dir("~other/x"), "tabs.0.cwd: this is not expanded"),
        (
            Pane { title: Some("a\nb".into()), ..Pane::default() },
            "tabs.0.title: a title is a line of at most 256 bytes",
        ),
        (
            right([Pane { focus: true, ..shows("a") }, Pane { focus: true, ..shows("b") }]),
            "tabs.0: only one pane of a tab has the focus",
        ),
    ] {
        assert_eq!(wrong(tab), expected);
    }
    assert_eq!(check(&Layout::default())[0].message, "a layout has at least one tab");
    assert_eq!(wrong(Pane { focus: true, ..right([sized(shows("a"), 33.3), sized(shows("b"), 66.6)]) }), "");
    let many = Layout { about: None, tabs: vec![Pane::default(); 33] };
    assert_eq!(check(&many)[0].message, "a layout has at most 32 tabs");
    let wide = Layout { about: None, tabs: vec![Pane { panes: vec![Pane::default(); 200], ..two() }] };
    assert_eq!(check(&wide)[0].message, "a layout has at most 128 panes");
    let deep = (0..20).fold(Pane::default(), |inner, _| right([inner, Pane::default()]));
    assert!(wrong(deep).ends_with("panes are nested at most 12 deep"));
}

#[test]
fn what_a_gui_tells_is_bounded() {
    let told = |tab: Pane| check::left(&window([tab]));
    assert_eq!(told(right([shows("a"), in_dir("/w")])), Ok(()));
    assert_eq!(told(right([sized(shows("a"), 70.0), sized(shows("a"), 70.0)])), Ok(()), "it is as it is");
    let deep = (0..20).fold(Pane::default(), |inner, _| right([inner, Pane::default()]));
    assert!(told(deep).is_err_and(|e| e.contains("deep")));
    assert!(told(Pane { split: Some(Split::Down), ..Pane::default() }).is_err());
    assert!(told(in_dir("relative")).is_err());
    assert!(told(shows("w/a")).is_err());
    assert!(told(Pane { command: Some(vec!["x".repeat(20_000)]), ..Pane::default() }).is_err());
    assert!(told(Pane { title: Some("x".repeat(300)), ..Pane::default() }).is_err());
    let many = vec![Pane::default(); 600];
    assert!(check::left(&[Window { title: None, tabs: many }]).is_err_and(|e| e.contains("512")));
    assert!(check::left(&[Window::default()]).is_err());
}

fn any_leaf() -> impl Strategy<Value = Pane> {
    let fields = (prop::option::of(0..12_u8), any::<bool>(), prop::option::of(0..3_u8), any::<bool>());
    fields.prop_map(|(process, of_agent, cwd, titled)| Pane {
        title: titled.then(|| "a title".into()),
        process: process.map(|n| format!("p{n}")),
        agent: (of_agent && process.is_some()).then(|| "claude".into()),
        cwd: cwd.map(|n| ["sub", "/abs", "~/x"][usize::from(n)].into()),
        size: titled.then_some(Percent(50.0)),
        ..Pane::default()
    })
}

fn any_pane() -> impl Strategy<Value = Pane> {
    let size = || prop::option::of((1..=100_u32).prop_map(|n| Percent(f64::from(n))));
    any_leaf().prop_recursive(4, 40, 5, move |inner| {
        let sized = (inner, size()).prop_map(|(pane, size)| Pane { size, ..pane });
        (any::<bool>(), prop::collection::vec(sized, 0..5)).prop_map(|(down, panes)| Pane {
            split: Some(if down { Split::Down } else { Split::Right }),
            panes,
            ..Pane::default()
        })
    })
}

/// Sizes of a split as they are written, in hundredths of a percent.
fn written(pane: &Pane) -> u32 {
    let text = pane.size.expect("each has a size").to_string();
    let percent: f64 = text.trim_end_matches('%').parse().expect("a number");
    (percent * 100.0).round() as u32
}

fn sound(pane: &Pane, parent: Option<Split>) -> Result<(), TestCaseError> {
    let Some(split) = pane.split else { return Ok(()) };
    prop_assert!(pane.panes.len() >= 2);
    prop_assert_ne!(Some(split), parent, "splits of a kind are one");
    prop_assert_eq!(pane.panes.iter().map(written).sum::<u32>(), WHOLE);
    prop_assert!(pane.panes.iter().all(|p| written(p) > 0));
    pane.panes.iter().try_for_each(|p| sound(p, Some(split)))
}

proptest! {
    #[test]
    fn whatever_was_meant_can_be_built(
        all in prop::collection::vec(any_pane(), 0..5), there in prop::collection::vec(0..12_u8, 0..8),
    ) {
        let names: Vec<String> = there.iter().map(|n| format!("p{n}")).collect();
        let members: Vec<_> = names.iter().map(|n| (n.as_str(), Some("claude"))).collect();
        let room = room(&members);
        let mut tabs = all;
        fill(&mut tabs, &room);
        let placed = place(vec![Window { title: None, tabs: tabs.clone() }], &room, &HashSet::new());
        let mut shown = Vec::new();
        for window in &placed.windows {
            prop_assert!(!window.tabs.is_empty());
            for tab in &window.tabs {
                prop_assert_eq!(tab.size, None);
                sound(tab, None)?;
            }
            leaves(&window.tabs, &mut |pane| {
                shown.extend(pane.process.clone());
                assert!(pane.cwd.as_ref().is_some_and(|cwd| cwd.is_absolute()) && pane.agent.is_none());
            });
        }
        let mut wanted = Vec::new();
        leaves(&tabs, &mut |pane| wanted.extend(pane.process.clone()));
        for name in &wanted {
            let count = shown.iter().filter(|s| *s == name).count();
            prop_assert_eq!(count, usize::from(names.contains(name)), "{} is there once, or missing", name);
            prop_assert_eq!(placed.missing.contains(name), !names.contains(name));
        }
        // what can be built, built again, is the same
        let again = place(placed.windows.clone(), &room, &HashSet::new());
        prop_assert_eq!(&again.windows, &placed.windows);
        if !placed.windows.is_empty() {
            prop_assert_eq!(check(&template(&placed.windows, &room)), vec![]);
        }
    }
}
