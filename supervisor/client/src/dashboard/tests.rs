//! What keys and news lead to.

use indexmap::IndexMap;
use wezterm_parallel_schemas::{
    error::{Code, Error},
    event::{Event, EventKind},
    inbox::AskView,
    process::{State, Status},
    task::TaskState,
};

use super::{
    ask::{Deed, Fetch, Fetched},
    fixtures::{
        NOW, agent, answer, ask, busy, choose_task, empty, pass, press, program, question, settle, some,
        task, tasks, type_in, whole, with,
    },
    input::{Input, Key, Mouse},
    model::{Dialog, Id, Link as Way, Need, Page, Row, Sort, need},
    *,
};

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (120, 40);

/// The names in the table, from the top.
fn names(model: &Model) -> Vec<String> {
    let name = |row: &Row| match row {
        Row::Workspace(at) => model.workspaces[*at].name.clone(),
        Row::Process(at) => Which::from(&model.processes[*at]).to_string(),
    };
    model.table.rows.iter().map(name).collect()
}

fn chosen(model: &Model) -> String {
    names(model)[model.table.cursor].clone()
}

fn choose(model: &mut Model, name: &str) {
    let place = names(model).iter().position(|n| n == name).expect("it is in the table");
    model.choose(place);
    pass(model, 0);
    settle(model);
}

fn which(model: &Model, id: &str) -> Which {
    Which::from(model.process(id).expect("it is there"))
}

fn event(kind: EventKind, id: &str) -> Msg {
    let names = Event { workspace: Some("api".into()), process: Some("p".into()), ..Event::new(kind) };
    Msg::Event(Box::new(Event { id: Some(id.into()), ..names }))
}

fn notice(model: &Model) -> &str {
    model.notice.as_ref().map(|n| n.text.as_str()).unwrap_or_default()
}

#[test]
fn who_needs_somebody_is_known_from_state_and_status() {
    use wezterm_parallel_schemas::process::Blocked::{Auth, Permission};
    let running = |status| need(&agent("a", "p", status, 0));
    for (got, expected) in [
        (running(Status::Blocked(Permission)), Need::Blocked),
        (running(Status::Blocked(Auth)), Need::Blocked),
        (running(Status::Error), Need::Error),
        (running(Status::RateLimited), Need::Limited),
        (running(Status::Unknown), Need::Unknown),
        (running(Status::Working), Need::Working),
        (running(Status::Idle), Need::Idle),
        (running(Status::Starting), Need::Moving),
        (need(&program("a", "p", State::Running)), Need::Running),
        (need(&program("a", "p", State::Failed)), Need::Failed),
        (need(&program("a", "p", State::CrashLoop)), Need::Failed),
        (need(&program("a", "p", State::Backoff)), Need::Moving),
        (need(&program("a", "p", State::Exited)), Need::Stopped),
    ] {
        assert_eq!(got, expected);
    }
    let unread = |status| {
        let mut p = agent("a", "p", status, 0);
        p.unread = true;
        need(&p)
    };
    assert_eq!((unread(Status::Idle), unread(Status::Error)), (Need::Unread, Need::Error));
    let mut asks = agent("a", "p", Status::Working, 0);
    asks.asks = 1;
    assert_eq!(need(&asks), Need::Blocked, "a subagent asks while the agent works");
}

#[test]
fn who_has_waited_longest_comes_first_and_others_stay_where_they_are() {
    let model = some(SMALL);
    assert_eq!(
        names(&model),
        [
            "web/lead",
            "api/lead",
            "web/vite",
            "web/second",
            "web/third",
            "api/watch",
            "api/tests",
            "api/server",
            "api/docs",
            "web/storybook"
        ]
    );
}

#[test]
fn what_is_chosen_stays_so_when_rows_move() {
    let mut model = some(SMALL);
    choose(&mut model, "api/tests");
    let mut changed = model.process("api-tests").expect("it is there").clone();
    changed.status = Some(Status::Error);
    let fetch = Fetch::Process("api-tests".into());
    answer(&mut model, fetch, Fetched::Process(Box::new(changed)));
    assert_eq!((chosen(&model).as_str(), model.table.cursor), ("api/tests", 3));
    // what is chosen goes: its place is taken by the next one
    update(&mut model, event(EventKind::ProcessRemoved, "api-tests"));
    assert_eq!((chosen(&model).as_str(), model.table.cursor), ("web/second", 3));
}

#[test]
fn a_head_sorts_then_the_other_way_round_then_as_before() {
    let mut model = some(LARGE);
    let heads = model.areas().heads;
    let cost =
        layout::columns(heads.width).into_iter().find(|c| c.sort == Sort::Cost).expect("there is room");
    let click =
        |model: &mut Model| update(model, Msg::Input(Input::Mouse(Mouse::Click, cost.x + 2, heads.y)));
    click(&mut model);
    assert_eq!(names(&model)[..3], ["api/docs", "api/lead", "api/tests"]);
    click(&mut model);
    assert_eq!(names(&model)[9], "api/docs");
    click(&mut model);
    assert_eq!((model.table.sort, names(&model)[0].as_str()), (Sort::Need, "web/lead"));
}

#[test]
fn a_filter_shows_what_holds_all_its_words_and_escape_takes_it_back() {
    let mut model = some(SMALL);
    press(&mut model, &[Key::Char('/')]);
    type_in(&mut model, "WEB lea");
    assert_eq!(names(&model), ["web/lead"]);
    press(&mut model, &[Key::Enter]);
    assert!(model.dialog.is_none() && names(&model).len() == 1);
    press(&mut model, &[Key::Esc]);
    assert_eq!(names(&model).len(), 10);
    press(&mut model, &[Key::Char('/'), Key::Char('x'), Key::Esc]);
    assert_eq!((names(&model).len(), model.table.filter.as_str()), (10, ""));
}

#[test]
fn groups_have_a_row_for_each_workspace_also_for_an_empty_one() {
    let mut model = some(SMALL);
    press(&mut model, &[Key::Char('g')]);
    let names = names(&model);
    assert_eq!(names.iter().filter(|n| !n.contains('/')).collect::<Vec<_>>(), ["web", "api", "old"]);
    assert_eq!(names[names.len() - 1], "old");
    press(&mut model, &[Key::End]);
    let old = Which { workspace: "old".into(), process: None, id: "w-old".into() };
    assert_eq!(press(&mut model, &[Key::Char('s')]), [Ask::Do(Deed::Open(old.clone()))]);
    press(&mut model, &[Key::Char('S')]);
    assert!(matches!(&model.dialog, Some(Dialog::Confirm(text, _)) if text == "close old?"));
    assert_eq!(press(&mut model, &[Key::Char('y')]), [Ask::Do(Deed::Close(old))]);
}

#[test]
fn what_works_is_not_stopped_before_somebody_has_said_yes() {
    let mut model = some(SMALL);
    choose(&mut model, "api/tests");
    for no in [Key::Char('n'), Key::Enter, Key::Esc, Key::Char('S')] {
        assert_eq!(press(&mut model, &[Key::Char('S')]), []);
        assert_eq!(press(&mut model, &[no]), [], "{no:?}");
        assert!(model.dialog.is_none());
    }
    press(&mut model, &[Key::Char('S')]);
    let stop = Ask::Do(Deed::Stop(which(&model, "api-tests")));
    assert_eq!(press(&mut model, &[Key::Char('y')]), [stop]);
    // an idle one is
    choose(&mut model, "api/docs");
    assert_eq!(press(&mut model, &[Key::Char('S')]), [Ask::Do(Deed::Stop(which(&model, "api-docs")))]);
    // a restart always asks
    assert_eq!(press(&mut model, &[Key::Char('r')]), []);
    assert_eq!(press(&mut model, &[Key::Char('y')]), [Ask::Do(Deed::Restart(which(&model, "api-docs")))]);
}

#[test]
fn a_prompt_goes_to_all_that_are_marked() {
    let mut model = some(SMALL);
    for name in ["api/docs", "api/tests"] {
        choose(&mut model, name);
        press(&mut model, &[Key::Char(' ')]);
    }
    press(&mut model, &[Key::Char('p')]);
    type_in(&mut model, "commit");
    update(&mut model, Msg::Input(Input::Paste("\nand push".into())));
    let send = |id| Ask::Do(Deed::Send(which(&model, id), "commit\nand push".into()));
    let expected = [send("api-docs"), send("api-tests")];
    assert_eq!(press(&mut model, &[Key::Enter]), expected);
    assert!(model.table.marked.is_empty(), "the next prompt is for one again");
    press(&mut model, &[Key::Char('p')]);
    assert_eq!(press(&mut model, &[Key::Char(' '), Key::Enter]), [], "nothing is no prompt");
}

#[test]
fn only_what_is_on_the_screen_whole_is_allowed_by_a_key() {
    let allow = || Ask::Do(Deed::Allow("ask-api-lead".into(), "api/lead".into()));
    let mut model = some(LARGE);
    choose(&mut model, "api/lead");
    assert_eq!(press(&mut model, &[Key::Char('a')]), [allow()]);
    // of a long one not all is to be seen below the table
    let mut model = some(LARGE);
    let diff = "+ a line\n".repeat(20);
    let long = AskView { diff: Some(diff), ..model.ask_of("api-lead").expect("it asks").clone() };
    model.asks[1] = long;
    choose(&mut model, "api/lead");
    assert_eq!(press(&mut model, &[Key::Char('a')]), []);
    assert!(matches!(model.page, Page::Inbox { cursor: 1, .. }), "{:?}", model.page);
    // in a small terminal it is shown first
    let mut model = some(SMALL);
    choose(&mut model, "api/lead");
    assert_eq!(press(&mut model, &[Key::Char('a')]), []);
    assert!(matches!(model.page, Page::Inbox { cursor: 1, .. }), "{:?}", model.page);
    assert_eq!(press(&mut model, &[Key::Char('a')]), [], "it has not come yet");
    settle(&mut model);
    assert_eq!(press(&mut model, &[Key::Char('a')]), [allow()]);
}

#[test]
fn a_request_that_came_this_moment_is_not_decided_by_a_key_for_the_one_before() {
    let mut model = some(LARGE);
    choose(&mut model, "api/lead");
    let next = ask(&model.processes[0]);
    let mut next = AskView { process_id: "api-lead".into(), ..next };
    next.id = "ask-next".into();
    answer(&mut model, Fetch::Asks, Fetched::Asks(vec![next.clone()]));
    answer(&mut model, Fetch::Ask("ask-next".into()), Fetched::Ask(Box::new(next)));
    assert_eq!(press(&mut model, &[Key::Char('a')]), []);
    assert!(notice(&model).contains("just now"), "{}", notice(&model));
    pass(&mut model, 600);
    let allow = Ask::Do(Deed::Allow("ask-next".into(), "api/lead".into()));
    assert_eq!(press(&mut model, &[Key::Char('a')]), [allow]);
}

#[test]
fn a_request_is_denied_with_or_without_a_word() {
    for (text, message) in [("", None), ("not in main", Some("not in main"))] {
        let mut model = some(LARGE);
        choose(&mut model, "api/lead");
        press(&mut model, &[Key::Char('d')]);
        type_in(&mut model, text);
        let deny = Deed::Deny("ask-api-lead".into(), "api/lead".into(), message.map(Into::into));
        assert_eq!(press(&mut model, &[Key::Enter]), [Ask::Do(deny)]);
    }
    let mut model = some(LARGE);
    choose(&mut model, "api/lead");
    assert_eq!(press(&mut model, &[Key::Char('d'), Key::Esc]), []);
    assert!(model.dialog.is_none());
}

#[test]
fn questions_are_answered_by_options_by_several_of_them_or_in_own_words() {
    for (keys, own, answers) in [
        (&[Key::Enter, Key::Char('2'), Key::Enter][..], "", ["SQLite", "Search"]),
        (
            &[Key::Down, Key::Enter, Key::Char(' '), Key::Down, Key::Char(' '), Key::Enter],
            "",
            ["Postgres", "Login, Search"],
        ),
        (&[Key::Char('1'), Key::Char('3')], "none of them", ["SQLite", "none of them"]),
    ] {
        let mut model = some(LARGE);
        choose(&mut model, "web/lead");
        // a is for leave; for a question it opens the options
        press(&mut model, &[Key::Char('a')]);
        let mut asks = press(&mut model, keys);
        if !own.is_empty() {
            type_in(&mut model, own);
            asks = press(&mut model, &[Key::Enter]);
        }
        let questions = ["Which database?", "Which features?"].map(String::from);
        let answers: IndexMap<_, _> = questions.into_iter().zip(answers.map(String::from)).collect();
        let deed = Deed::Answer("ask-web-lead".into(), "web/lead".into(), answers);
        assert_eq!(asks, [Ask::Do(deed)], "{keys:?}");
    }
    let q = question(&agent("a", "p", Status::Idle, 0));
    assert!(answer::Answering::new(&AskView { questions: vec![], ..q }).is_none());
}

#[test]
fn enter_goes_to_it_in_wezterm_and_attaches_elsewhere() {
    let mut model = some(SMALL);
    choose(&mut model, "api/docs");
    let which = which(&model, "api-docs");
    let attach = Ask::Attach { which: which.clone(), read_only: false };
    assert_eq!(press(&mut model, &[Key::Enter]), std::slice::from_ref(&attach));
    model.in_wezterm = true;
    assert_eq!(press(&mut model, &[Key::Enter]), [Ask::Show(which.clone())]);
    assert_eq!(press(&mut model, &[Key::Char('o')]), std::slice::from_ref(&attach));
    // the plugin is in no GUI
    let none = Error::new(Code::Conflict, "no GUI waits");
    assert_eq!(update(&mut model, Msg::Shown(which.clone(), Err(none))), [attach]);
    let bad = Error::new(Code::Internal, "the GUI could not");
    assert_eq!(update(&mut model, Msg::Shown(which, Err(bad))), []);
    assert_eq!(notice(&model), "failed to show api/docs: the GUI could not");
}

#[test]
fn two_clicks_on_a_row_go_to_it_and_two_slow_ones_do_not() {
    let mut model = some(SMALL);
    let y = model.areas().table.y + 2;
    let click = |model: &mut Model, after: i64| {
        pass(model, after);
        let mut asks = update(model, Msg::Input(Input::Mouse(Mouse::Click, 5, y)));
        asks.retain(|ask| !matches!(ask, Ask::Fetch(_)));
        asks
    };
    assert_eq!(click(&mut model, 0), []);
    assert_eq!(chosen(&model), "web/vite");
    assert_eq!(click(&mut model, 900), []);
    assert_eq!(click(&mut model, 200), [Ask::Attach { which: which(&model, "web-vite"), read_only: false }]);
    assert_eq!(click(&mut model, 100), [], "a third one is not the second of two");
}

#[test]
fn the_next_that_needs_somebody_is_below_and_then_from_the_top() {
    let mut model = some(SMALL);
    let mut seen = Vec::new();
    for _ in 0..5 {
        press(&mut model, &[Key::Char('n')]);
        seen.push(chosen(&model));
    }
    assert_eq!(seen, ["api/lead", "web/vite", "web/second", "web/lead", "api/lead"]);
    let mut model = with(SMALL, vec![agent("api", "lead", Status::Idle, 0)]);
    press(&mut model, &[Key::Char('n')]);
    assert_eq!(notice(&model), "nobody needs you");
}

#[test]
fn an_event_has_its_process_asked_for_once_however_many_come() {
    let mut model = with(SMALL, Vec::new());
    let fetch = Fetch::Process("x".into());
    assert_eq!(update(&mut model, event(EventKind::ProcessState, "x")), [Ask::Fetch(fetch.clone())]);
    for _ in 0..3 {
        assert_eq!(update(&mut model, event(EventKind::ProcessStatus, "x")), []);
    }
    // what was asked for before the last event may be older than it
    let view = Box::new(program("api", "x", State::Running));
    let again = update(&mut model, Msg::Fetched(fetch.clone(), Ok(Fetched::Process(view.clone()))));
    assert_eq!(again, [Ask::Fetch(fetch.clone())]);
    assert_eq!(update(&mut model, Msg::Fetched(fetch, Ok(Fetched::Process(view)))), []);
}

#[test]
fn a_flood_of_events_is_one_question_for_all() {
    let mut model = with(SMALL, Vec::new());
    let asked: Vec<Ask> =
        (0..500).flat_map(|n| update(&mut model, event(EventKind::ProcessState, &format!("p{n}")))).collect();
    assert_eq!(asked.iter().filter(|ask| **ask == Ask::Fetch(Fetch::All)).count(), 1);
    assert_eq!(asked.len(), 17);
}

#[test]
fn what_a_daemon_does_not_know_any_more_goes() {
    let mut model = some(SMALL);
    let gone = Error::new(Code::NotFound, "no such process");
    update(&mut model, Msg::Fetched(Fetch::Process("api-lead".into()), Err(gone)));
    assert!(model.process("api-lead").is_none() && model.ask_of("api-lead").is_none());
    assert!(model.notice.is_none(), "that is no failure");
}

#[test]
fn a_failure_is_said_until_the_next_key() {
    let mut model = some(SMALL);
    let deed = Deed::Stop(which(&model, "api-docs"));
    let error = Error::new(Code::Conflict, "it is being stopped").hint("wait");
    update(&mut model, Msg::Done(deed, Err(error)));
    assert_eq!(notice(&model), "failed to stop api/docs: it is being stopped (wait)");
    update(&mut model, event(EventKind::ProcessState, "x"));
    assert!(model.notice.is_some(), "an event is no key");
    press(&mut model, &[Key::Down]);
    assert!(model.notice.is_none());
}

#[test]
fn without_a_daemon_nothing_is_asked_of_it_and_the_picture_stays() {
    let mut model = some(SMALL);
    update(&mut model, Msg::Gone("it has ended".into()));
    choose(&mut model, "api/docs");
    assert_eq!(press(&mut model, &[Key::Char('S')]), []);
    assert_eq!(notice(&model), "there is no daemon to do it");
    assert_eq!((names(&model).len(), model.measured()), (10, vec![]));
    assert_eq!(model.changes_in(), None, "nothing gets older that is not known to be so still");
    update(&mut model, event(EventKind::ProcessState, "x"));
    assert!(model.fetches.under_way.is_empty());
    assert!(matches!(model.link, Way::Gone(_)));
}

#[test]
fn a_clock_ticks_each_second_only_while_seconds_are_seen() {
    // api/tests works for 12 seconds
    let mut model = some(SMALL);
    model.now = NOW + 250;
    assert_eq!(model.changes_in(), Some(750));
    update(&mut model, Msg::Input(Input::Focus(false)));
    let minute = u64::try_from(60_000 - (NOW + 250).rem_euclid(60_000)).expect("positive");
    assert_eq!(model.changes_in(), Some(minute), "nobody looks");
    update(&mut model, Msg::Input(Input::Focus(true)));
    model.processes.retain(|p| p.id == "api-docs");
    model.arrange();
    assert_eq!(model.changes_in(), Some(minute), "it is idle for 40 minutes");
    assert_eq!(empty(SMALL).changes_in(), None);
}

#[test]
fn runs_are_looked_at_only_while_somebody_looks_at_them() {
    let mut model = some(SMALL);
    assert!(model.measured().contains(&("api-lead".into(), 40_999)));
    update(&mut model, Msg::Input(Input::Focus(false)));
    assert_eq!(model.measured(), []);
    let again = update(&mut model, Msg::Input(Input::Focus(true)));
    assert_eq!(again, [Ask::Fetch(Fetch::All)], "of who attached meanwhile no event has told");
    press(&mut model, &[Key::Char('?')]);
    assert_eq!(model.measured(), [], "another page");
    assert_eq!(some((40, 12)).measured(), [], "there is no room for them");
    // only those on the screen
    let list = (0..500).map(|n| agent("api", &format!("p{n:03}"), Status::Idle, 60_000)).collect();
    let mut model = with(SMALL, list);
    assert_eq!(model.measured().len(), usize::from(model.areas().table.height));
    model.table.sort = Sort::Cpu;
    assert_eq!(model.measured().len(), 500, "unless they decide who is on it");
}

#[test]
fn ctrl_c_leaves_what_is_asked_and_then_the_dashboard() {
    let mut model = some(SMALL);
    press(&mut model, &[Key::Char('p')]);
    assert_eq!(press(&mut model, &[Key::Ctrl('c')]), []);
    assert!(model.dialog.is_none());
    assert_eq!(press(&mut model, &[Key::Ctrl('c')]), [Ask::Quit]);
    assert_eq!(press(&mut model, &[Key::Char('q')]), [Ask::Quit]);
    assert_eq!(press(&mut model, &[Key::Ctrl('z')]), [Ask::Suspend]);
}

#[test]
fn marks_go_with_their_processes() {
    let mut model = some(SMALL);
    choose(&mut model, "api/docs");
    press(&mut model, &[Key::Char(' ')]);
    assert_eq!(model.table.marked.len(), 1);
    update(&mut model, event(EventKind::ProcessRemoved, "api-docs"));
    assert!(model.table.marked.is_empty());
    assert_ne!(model.table.chosen, Some(Id::Process("api-docs".into())));
}

#[test]
fn the_locale_decides_whether_only_ascii_is_drawn() {
    for (set, expected) in [
        (&[("LANG", "en_US.UTF-8")][..], true),
        (&[("LANG", "C")], false),
        (&[], false),
        (&[("LANG", "de_DE.utf8"), ("LC_ALL", "C")], false),
        (&[("LANG", "C"), ("LC_CTYPE", "C.UTF-8")], true),
    ] {
        let lookup = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(utf8(lookup), expected, "{set:?}");
    }
}

#[test]
fn a_multiplexer_between_is_no_pane_of_wezterm() {
    for (set, expected) in [
        (&[("WEZTERM_PANE", "3")][..], true),
        (&[("TERM_PROGRAM", "WezTerm")], true),
        (&[("WEZTERM_PANE", "3"), ("TMUX", "/tmp/t,1,0")], false),
        (&[("TERM_PROGRAM", "iTerm.app")], false),
    ] {
        let lookup = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        assert_eq!(in_wezterm(lookup), expected, "{set:?}");
    }
}

/// The names of the tasks in the table, from the top.
fn task_names(model: &Model) -> Vec<&str> {
    model.tasks.rows.iter().map(|at| model.tasks.all[*at].name.as_str()).collect()
}

fn job(name: &str) -> Job {
    Job { id: format!("t-{name}"), name: name.into() }
}

fn task_event(kind: EventKind, name: &str) -> Msg {
    let task = Some(format!("t-{name}"));
    Msg::Event(Box::new(Event { task, ..Event::new(kind) }))
}

#[test]
fn tasks_stand_by_who_needs_somebody_and_what_comes_next() {
    let mut model = busy(LARGE);
    let order = [
        "review of the last commit",
        "tests",
        "limited",
        "sooner",
        "later",
        "deploy",
        "halted",
        "build",
        "left out",
        "of the past",
    ];
    assert_eq!(task_names(&model), order);
    // one minute of waiting is one more of priority
    model.tasks.all.iter_mut().find(|t| t.name == "later").expect("it is there").added_at -= 10 * 60_000;
    model.arrange_tasks();
    assert_eq!(task_names(&model)[3..5], ["later", "sooner"]);
}

#[test]
fn keys_do_to_a_task_what_they_say() {
    let done = |name: &str, key| {
        let mut model = busy(LARGE);
        choose_task(&mut model, name);
        press(&mut model, &[Key::Char(key)])
    };
    let cases = [
        ("later", 'p', Ask::Do(Deed::Pause(job("later")))),
        ("halted", 'p', Ask::Do(Deed::Resume(job("halted")))),
        ("build", 'r', Ask::Do(Deed::Retry(job("build")))),
        ("later", 'g', Ask::Do(Deed::PauseGroup("default".into()))),
        ("tests", 'g', Ask::Do(Deed::ResumeGroup("nightly".into()))),
        ("build", 'o', Ask::Run(Verb::Open, job("build"))),
        ("tests", 'L', Ask::Run(Verb::Logs, job("tests"))),
    ];
    for (name, key, wanted) in cases {
        assert_eq!(done(name, key), [wanted], "{key} on {name}");
    }
    let mut model = busy(LARGE);
    choose_task(&mut model, "tests");
    assert_eq!(press(&mut model, &[Key::Enter]), [Ask::Run(Verb::Attach, job("tests"))]);
    choose_task(&mut model, "build");
    assert_eq!(press(&mut model, &[Key::Enter]), [Ask::Run(Verb::Logs, job("build"))]);
}

#[test]
fn a_task_is_canceled_only_when_that_was_meant() {
    let mut model = busy(LARGE);
    choose_task(&mut model, "tests");
    assert_eq!(press(&mut model, &[Key::Char('c'), Key::Char('n')]), []);
    assert_eq!(notice(&model), "left as it is");
    let asks = press(&mut model, &[Key::Char('c'), Key::Char('y')]);
    assert_eq!(asks, [Ask::Do(Deed::Cancel(job("tests")))]);
    choose_task(&mut model, "build");
    assert_eq!(press(&mut model, &[Key::Char('c'), Key::Char('y')]), []);
    assert_eq!(model.dialog, None, "it is over");
}

#[test]
fn without_a_daemon_nothing_is_asked_of_it_for_a_task() {
    let mut model = busy(LARGE);
    update(&mut model, Msg::Gone("it has ended".into()));
    assert_eq!(press(&mut model, &[Key::Char('p')]), []);
    assert_eq!(notice(&model), "there is no daemon to do it");
}

#[test]
fn a_task_that_changed_is_asked_for_alone_and_many_at_once_as_a_list() {
    let mut model = busy(SMALL);
    let asks = update(&mut model, task_event(EventKind::TaskChanged, "later"));
    assert_eq!(asks, [Ask::Fetch(Fetch::Task("t-later".into()))]);
    assert_eq!(update(&mut model, task_event(EventKind::TaskChanged, "later")), [], "it is under way");
    for n in 0..100 {
        update(&mut model, task_event(EventKind::TaskAdded, &n.to_string()));
    }
    assert!(model.fetches.under_way.contains(&Fetch::Tasks));
    assert!(model.fetches.under_way.len() < 20, "{:?}", model.fetches.under_way);
    let detail = whole(&task("later", TaskState::Done, 0));
    let task = Fetched::Task(Box::new(detail));
    let asks = update(&mut model, Msg::Fetched(Fetch::Task("t-later".into()), Ok(task)));
    assert_eq!(asks, [Ask::Fetch(Fetch::Task("t-later".into()))], "it has changed once more since");
    assert_eq!(model.task("t-later").expect("it is there").state, TaskState::Done);
}

#[test]
fn what_a_task_does_stands_in_the_event_and_is_asked_for_only_where_all_of_it_is_shown() {
    let progress = |model: &mut Model, name: &str| {
        let Msg::Event(mut event) = task_event(EventKind::TaskProgress, name) else { panic!("an event") };
        event.message = Some("Read: a.rs".into());
        update(model, Msg::Event(event))
    };
    let mut small = busy(SMALL);
    choose_task(&mut small, "tests");
    assert_eq!(progress(&mut small, "tests"), []);
    assert_eq!(tasks::note(small.task("t-tests").expect("it is there")), "Read: a.rs");
    let mut large = busy(LARGE);
    choose_task(&mut large, "tests");
    assert_eq!(progress(&mut large, "tests"), [Ask::Fetch(Fetch::Task("t-tests".into()))]);
    choose_task(&mut large, "later");
    large.fetches = Default::default();
    assert_eq!(progress(&mut large, "tests"), []);
}

#[test]
fn a_task_that_is_gone_is_gone_from_the_table() {
    let mut model = busy(SMALL);
    choose_task(&mut model, "limited");
    let gone = Error::new(Code::NotFound, "there is no task");
    update(&mut model, Msg::Fetched(Fetch::Task("t-limited".into()), Err(gone)));
    assert_eq!(model.task("t-limited"), None);
    assert_eq!(model.chosen_task().map(|t| t.name.as_str()), Some("sooner"), "the next one");
    assert_eq!(notice(&model), "");
}

#[test]
fn a_daemon_without_tasks_is_no_failure() {
    let mut model = with(SMALL, Vec::new());
    let unknown = Error::new(Code::UnknownMethod, "no method task.list");
    for fetch in [Fetch::Tasks, Fetch::Groups] {
        update(&mut model, Msg::Fetched(fetch, Err(unknown.clone())));
    }
    assert_eq!(notice(&model), "");
}

#[test]
fn the_mouse_does_in_the_table_of_tasks_what_it_does_in_the_other() {
    let mut model = busy(LARGE);
    let areas = model.areas();
    let click = |model: &mut Model, x, y| update(model, Msg::Input(Input::Mouse(Mouse::Click, x, y)));
    click(&mut model, 5, areas.table.y + 1);
    assert_eq!(model.tasks.chosen.as_deref(), Some("t-tests"));
    let asks = click(&mut model, 5, areas.table.y + 1);
    assert!(asks.contains(&Ask::Run(Verb::Attach, job("tests"))), "{asks:?}");
    click(&mut model, layout::MARKS_COLS, areas.heads.y);
    assert_eq!(task_names(&model)[..2], ["build", "deploy"], "by name");
    click(&mut model, layout::MARKS_COLS, areas.heads.y);
    click(&mut model, layout::MARKS_COLS, areas.heads.y);
    assert_eq!(task_names(&model)[0], "review of the last commit", "as at the beginning");
    update(&mut model, Msg::Input(Input::Mouse(Mouse::WheelDown, 5, 5)));
    assert_eq!(model.tasks.cursor, 4);
}

#[test]
fn each_view_has_a_filter_of_its_own() {
    let mut model = busy(SMALL);
    press(&mut model, &[Key::Char('/')]);
    type_in(&mut model, "nightly run");
    press(&mut model, &[Key::Enter]);
    assert_eq!(task_names(&model), ["tests"]);
    press(&mut model, &[Key::Char('t')]);
    assert_eq!((model.tab, model.table.filter.as_str()), (Tab::Processes, ""));
    press(&mut model, &[Key::Char('t'), Key::Esc]);
    assert_eq!(task_names(&model).len(), tasks().len());
}

#[test]
fn while_tasks_are_shown_no_process_is_measured_and_the_clock_goes_by_the_tasks() {
    let mut model = busy(LARGE);
    assert_eq!(model.measured(), []);
    assert_eq!(model.changes_in(), Some(1_000 - u64::try_from(NOW.rem_euclid(1_000)).expect("it fits")));
    model.tasks.all.retain(|t| t.name == "halted");
    model.arrange_tasks();
    assert!(model.changes_in() > Some(1_000), "minutes only");
    model.tasks.all.clear();
    model.arrange_tasks();
    assert_eq!(model.changes_in(), None);
}
