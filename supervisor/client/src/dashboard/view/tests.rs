//! Every screen as it looks. A snapshot has it at 80×24, 40×12 and 120×40.

use ratatui::{Terminal, backend::TestBackend, style::Color};
use wezterm_parallel_schemas::{
    config::OnCrashLoop,
    process::{State, Status},
};

use super::*;
use crate::dashboard::{
    ask::Msg,
    fixtures::{
        NOW, agent, busy, choose_task, daemon, empty, pass, press, processes, settle, some, tasks, type_in,
        with,
    },
    input::Key,
    update::update,
};

const SIZES: [(u16, u16); 3] = [(80, 24), (40, 12), (120, 40)];

fn buffer(model: &Model) -> Buffer {
    let (cols, rows) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(cols, rows)).expect("a terminal of memory");
    terminal.draw(|frame| draw(frame, model)).expect("it takes all");
    terminal.backend().buffer().clone()
}

fn picture(model: &Model) -> String {
    let buffer = buffer(model);
    let (cols, rows) = model.size;
    let mut out = String::new();
    for y in 0..rows {
        let mut line = String::new();
        let mut x = 0;
        while x < cols {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += u16::try_from(symbol.width()).unwrap_or(1).max(1);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The picture at each size of the model that `make` makes for it.
fn pictures(make: impl Fn((u16, u16)) -> Model) -> String {
    let one = |size: (u16, u16)| format!("── {}×{}\n{}", size.0, size.1, picture(&make(size)));
    SIZES.map(one).concat()
}

#[test]
fn who_needs_somebody_first_comes_first() {
    insta::assert_snapshot!(pictures(some));
}

#[test]
fn processes_stand_below_their_workspaces_when_grouped() {
    insta::assert_snapshot!(pictures(|size| {
        let mut model = some(size);
        model.workspaces[1].problem = Some("the directory is gone".into());
        model.workspaces[1].on_crash_loop = OnCrashLoop::Nothing;
        press(&mut model, &[Key::Char('g'), Key::Home]);
        model
    }));
}

#[test]
fn the_inbox_has_what_one_decides_by() {
    insta::assert_snapshot!(pictures(|size| {
        let mut model = some(size);
        press(&mut model, &[Key::Home, Key::Char('i'), Key::Down]);
        settle(&mut model);
        model
    }));
}

#[test]
fn all_of_one_process() {
    insta::assert_snapshot!(pictures(|size| {
        let mut model = some(size);
        press(&mut model, &[Key::Home, Key::Down, Key::Tab]);
        settle(&mut model);
        model
    }));
}

#[test]
fn tasks_that_need_somebody_stand_first_and_what_is_over_last() {
    insta::assert_snapshot!(pictures(busy));
}

#[test]
fn all_of_a_task_that_runs_and_of_one_that_failed() {
    let page = |name: &'static str| {
        pictures(move |size| {
            let mut model = busy(size);
            choose_task(&mut model, name);
            press(&mut model, &[Key::Tab]);
            settle(&mut model);
            model
        })
    };
    insta::assert_snapshot!([page("tests"), page("review of the last commit")].concat());
}

#[test]
fn processes_say_in_one_line_how_tasks_stand() {
    let head = |size| {
        let mut model = busy(size);
        press(&mut model, &[Key::Char('t')]);
        picture(&model).lines().next().unwrap_or_default().to_owned()
    };
    insta::assert_snapshot!(SIZES.map(head).join("\n"));
}

#[test]
fn what_is_asked_about_tasks_stands_at_the_foot() {
    let foot = |name: &str, keys: &[Key], text: &str| {
        let line = |size| {
            let mut model = busy(size);
            choose_task(&mut model, name);
            press(&mut model, keys);
            type_in(&mut model, text);
            picture(&model).lines().last().unwrap_or_default().to_owned()
        };
        SIZES.map(line).join("\n")
    };
    let all = [
        foot("tests", &[], ""),
        foot("halted", &[], ""),
        foot("build", &[], ""),
        foot("tests", &[Key::Char('c')], ""),
        foot("build", &[Key::Char('c')], ""),
        foot("later", &[Key::Char('p')], ""),
        foot("later", &[Key::Char('/')], "limit"),
        foot("tests", &[Key::Tab], ""),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn the_help_of_tasks_has_every_key() {
    insta::assert_snapshot!(pictures(|size| {
        let mut model = busy(size);
        press(&mut model, &[Key::Char('?')]);
        model
    }));
}

#[test]
fn no_tasks_at_all_say_how_to_begin() {
    let mut model = with((40, 12), Vec::new());
    press(&mut model, &[Key::Char('t')]);
    insta::assert_snapshot!(picture(&model));
}

#[test]
fn tasks_in_ascii_are_ascii_and_colours_say_nothing_of_their_own() {
    let mut model = busy((120, 40));
    model.look.ascii = true;
    let plain = buffer(&model);
    assert!(picture(&model).is_ascii(), "{}", picture(&model));
    model.look.plain = false;
    let coloured = buffer(&model);
    assert!(coloured.content.iter().any(|c| c.fg != Color::Reset), "colours");
    let symbols = |b: &Buffer| b.content.iter().map(|c| c.symbol().to_owned()).collect::<Vec<_>>();
    assert_eq!(symbols(&plain), symbols(&coloured));
}

#[test]
fn the_help_has_every_key() {
    insta::assert_snapshot!(pictures(|size| {
        let mut model = some(size);
        press(&mut model, &[Key::Char('?')]);
        model
    }));
}

#[test]
fn questions_of_an_agent_are_asked_one_after_the_other() {
    insta::assert_snapshot!(pictures(|size| {
        let mut model = some(size);
        press(&mut model, &[Key::Home, Key::Char('i')]);
        settle(&mut model);
        press(&mut model, &[Key::Char('A'), Key::Down, Key::Enter, Key::Char('2')]);
        model
    }));
}

#[test]
fn what_is_asked_and_typed_stands_at_the_foot() {
    let foot = |keys: &[Key], text: &str| {
        let line = |size| {
            let mut model = some(size);
            press(&mut model, &[Key::Home, Key::Down]);
            settle(&mut model);
            press(&mut model, keys);
            type_in(&mut model, text);
            picture(&model).lines().last().unwrap_or_default().to_owned()
        };
        SIZES.map(line).join("\n")
    };
    let all = [
        foot(&[], ""),
        foot(&[Key::Char('r')], ""),
        foot(&[Key::Char(' '), Key::Char(' '), Key::Char('S')], ""),
        foot(&[Key::Char('/')], "lead"),
        foot(
            &[Key::Char('p')],
            "fix the failing test, and 日本語 in the middle of a long line that does not fit",
        ),
        foot(&[Key::Tab, Key::Char('d')], "not in main"),
        foot(&[Key::Char('L')], ""),
    ];
    insta::assert_snapshot!(all.join("\n\n"));
}

#[test]
fn without_a_daemon_the_last_picture_stays_and_says_so() {
    let gone = |size| {
        let mut model = some(size);
        update(&mut model, Msg::Gone("it has ended".into()));
        model
    };
    let refused = |size| {
        let mut model = empty(size);
        let (why, hint) =
            ("the daemon speaks protocol 7 to 9, not 1", "restart it: `wezterm-parallel stop --keep`");
        update(&mut model, Msg::Refused(why.into(), hint.into()));
        model
    };
    let none = |size| {
        let mut model = empty(size);
        update(&mut model, Msg::Gone("none listens at /run/user/1000/wezterm-parallel/daemon.sock".into()));
        model
    };
    let shown = buffer(&gone((80, 24)));
    let dim = |y| shown[(4, y)].modifier.contains(Modifier::DIM);
    assert!(dim(5) && !dim(0), "old is what is below the header");
    insta::assert_snapshot!(
        [gone((80, 24)), refused((40, 12)), none((40, 12))].map(|m| picture(&m)).join("──\n")
    );
}

#[test]
fn what_is_wrong_with_the_daemon_stands_in_the_header() {
    let mut model = some((80, 24));
    model.daemon = Some(daemon());
    model.daemon.as_mut().expect("set").config_error =
        Some("\nline 7, column 3: unknown key `comand`\n".into());
    let head = |size| {
        model.size = size;
        picture(&model).lines().take(2).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(SIZES.map(head).join("\n\n"));
}

#[test]
fn nothing_at_all_says_how_to_begin() {
    insta::assert_snapshot!(picture(&with((40, 12), Vec::new())));
}

#[test]
fn last_words_of_a_process() {
    let mut model = some((40, 12));
    let lines = (1..30).map(|n| format!("line {n}\t\x1b[31mred")).collect();
    update(&mut model, Msg::Log("web/vite".into(), lines));
    insta::assert_snapshot!(picture(&model));
}

#[test]
fn ascii_is_all_there_is_if_it_must_be() {
    let mut model = some((80, 24));
    model.look.ascii = true;
    let table = picture(&model);
    press(&mut model, &[Key::Home, Key::Char('i')]);
    settle(&mut model);
    let inbox = picture(&model);
    assert!(table.is_ascii() && inbox.is_ascii(), "{table}{inbox}");
    insta::assert_snapshot!(table);
}

#[test]
fn colours_only_repeat_what_a_word_says() {
    let mut model = some((120, 40));
    let plain = buffer(&model);
    assert!(plain.content.iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset), "NO_COLOR");
    model.look.plain = false;
    let coloured = buffer(&model);
    assert!(coloured.content.iter().any(|c| c.fg != Color::Reset), "colours");
    let symbols = |b: &Buffer| b.content.iter().map(|c| c.symbol().to_owned()).collect::<Vec<_>>();
    assert_eq!(symbols(&plain), symbols(&coloured));
}

#[test]
fn nothing_that_steers_a_terminal_gets_to_it() {
    const EVIL: &str = "\x1b]0;x\x07\u{9b}2J\r\n\u{202e}\u{200b}\t\u{7f}end";
    for size in SIZES {
        let mut list = processes();
        for p in &mut list {
            p.name = format!("{}{EVIL}", p.name);
            p.title = Some(EVIL.into());
            p.status_reason = Some(EVIL.into());
            p.state_reason = Some(EVIL.into());
            p.command = vec![EVIL.into()];
            p.cwd = EVIL.into();
            p.session_id = Some(EVIL.into());
        }
        let mut model = with(size, list);
        let mut ask = crate::dashboard::fixtures::question(&model.processes[2]);
        (ask.tool, ask.summary, ask.cwd) = (EVIL.into(), EVIL.into(), EVIL.into());
        ask.questions[0].question = EVIL.into();
        ask.questions[0].options[0].label = EVIL.into();
        ask.diff = Some(EVIL.into());
        model.asks = vec![ask.clone()];
        model.whole = Some(ask);
        model.notice = Some(super::super::model::Notice { text: EVIL.into(), bad: true });
        let check = |model: &Model| {
            for cell in &buffer(model).content {
                let bad = |c: char| c.is_control() || "\u{202e}\u{200b}".contains(c);
                assert!(!cell.symbol().contains(bad), "{:?} in {}", cell.symbol(), picture(model));
            }
        };
        check(&model);
        for key in [Key::Tab, Key::Char('i'), Key::Char('A')] {
            pass(&mut model, 1_000);
            press(&mut model, &[key]);
            check(&model);
        }
        assert!(!title(&model).contains(char::is_control));
        let mut list = tasks();
        for t in &mut list {
            (t.name, t.text, t.group) = (format!("{}{EVIL}", t.name), EVIL.into(), EVIL.into());
            (t.reason, t.cwd, t.workspace) = (Some(EVIL.into()), EVIL.into(), Some(EVIL.into()));
            (t.session_id, t.added_by) = (Some(EVIL.into()), Some(EVIL.into()));
            if let Some(p) = &mut t.progress {
                (p.doing, p.text) = (Some(EVIL.into()), Some(EVIL.into()));
            }
        }
        let mut model = busy(size);
        crate::dashboard::fixtures::answer(
            &mut model,
            crate::dashboard::ask::Fetch::Tasks,
            crate::dashboard::ask::Fetched::Tasks(list),
        );
        for key in [Key::Home, Key::End, Key::Tab, Key::Char('c'), Key::Char('/')] {
            settle(&mut model);
            press(&mut model, &[key]);
            check(&model);
        }
    }
}

#[test]
fn at_no_size_is_there_a_panic() {
    for cols in [1, 2, 3, 7, 20, 39, 41, 200] {
        for rows in [1, 2, 3, 4, 7, 8, 19, 30, 90] {
            let mut model = some((cols, rows));
            for key in
                [Key::Char('g'), Key::End, Key::Tab, Key::Char('i'), Key::Char('?'), Key::Esc, Key::Char('p')]
            {
                press(&mut model, &[key]);
                buffer(&model);
            }
            let mut model = busy((cols, rows));
            for key in [Key::End, Key::Tab, Key::Esc, Key::Char('?'), Key::Esc, Key::Char('/')] {
                press(&mut model, &[key]);
                buffer(&model);
            }
        }
    }
}

#[test]
fn wide_characters_keep_the_columns_in_line() {
    let mut list: Vec<_> = ["日本語のとても長いプロセス名前", "e\u{301}ne", "👩‍👩‍👧"]
        .iter()
        .map(|name| agent("api", name, Status::Idle, 60_000))
        .collect();
    list[0].title = Some("テスト".into());
    insta::assert_snapshot!(picture(&with((80, 12), list)));
}

#[test]
fn a_long_table_scrolls_and_the_chosen_row_stays_on_the_screen() {
    let list = (0..500).map(|n| agent("api", &format!("p{n:03}"), Status::Idle, 60_000)).collect();
    let mut model = with((60, 12), list);
    press(&mut model, &[Key::End]);
    assert!(picture(&model).contains(">● api/p499"), "{}", picture(&model));
    press(&mut model, &[Key::PageUp, Key::PageUp]);
    insta::assert_snapshot!(picture(&model));
}

#[test]
fn a_process_that_is_stopped_uses_nothing() {
    let mut model = some((120, 40));
    model.processes.iter_mut().find(|p| p.id == "api-server").expect("it is there").state = State::Stopped;
    model.arrange();
    assert!(!picture(&model).contains("187%"), "{}", picture(&model));
    assert_eq!(model.now, NOW);
}
