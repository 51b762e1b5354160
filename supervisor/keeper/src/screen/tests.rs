use proptest::prelude::*;

use super::*;

fn laid_out(bytes: &[u8]) -> Screen {
    laid_out_at(bytes, 40, 10)
}

fn laid_out_at(bytes: &[u8], cols: u16, rows: u16) -> Screen {
    let mut screen = Screen::new(cols, rows, 64 << 10);
    screen.feed(bytes);
    screen
}

fn dump(screen: &Screen) -> Vec<u8> {
    let mut out = vec![];
    screen.dump(screen.history().first(), &mut out);
    out
}

/// A blank at a line's end is seen by nobody.
fn without_trailing_blanks(dump: &[u8]) -> String {
    String::from_utf8_lossy(dump).split("\r\n").map(str::trim_end).collect::<Vec<_>>().join("\r\n")
}

/// The state after its own dump must be the state.
fn check_round_trip(bytes: &[u8]) -> Result<(), String> {
    let (cols, rows) = (40, 10);
    let once = dump(&laid_out_at(bytes, cols, rows));
    let twice = dump(&laid_out_at(&once, cols, rows));
    if without_trailing_blanks(&once) == without_trailing_blanks(&twice) {
        return Ok(());
    }
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
    Err(format!("{}\n gave \n{}\n and then \n{}", show(bytes), show(&once), show(&twice)))
}

#[test]
fn a_dump_brings_the_same_state_up_again() {
    let table: &[&str] = &[
        "",
        "plain text\r\nand more",
        "\x1b[1;2;3;4;5;7;9mall\x1b[0m \x1b[4:3;58:2::1:2:3mcurly\x1b[m \x1b[38;5;200;48;2;1;2;3mcolours",
        "a line that is longer than forty columns and so wraps softly into the next",
        "exactly forty columns, and then no more.",
        "exactly forty columns, and then no more.\r\nnext",
        "日本語 and 🎉 and e\u{301} and 👩\u{200d}🚀 and 👍🏽 in one line",
        "0123456789012345678901234567890123456789\x1b[1;39H日",
        "012345678901234567890123456789012345678日本",
        "\x1b]8;id=a;https://example.com\x1b\\link\x1b]8;;\x1b\\ after",
        "\x1b[3;7r\x1b[?6h\x1b[2;3Hin the region",
        "\x1b[?25l\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?1h\x1b=\x1b[4h",
        "\x1b[>5u\x1b[>1u\x1b[>4;2m",
        "main\x1b7\x1b[5;5Hmore\x1b[?1049h\x1b[31malternate\x1b[>3u",
        "main\x1b[?1047halternate\x1b[5;5H\x1b7\x1b[H",
        "\x1b(0lqk\x1b(B plain \x1b)0\x0eqq",
        "\x1b[3g\x1b[5G\x1bH\x1b[17G\x1bH\rtabs\t|\t|",
        "\x1b]0;title\x07\x1b[22;0t\x1b]0;another\x07",
        "\x1b]4;1;rgb:11/22/33\x07\x1b]11;rgb:44/55/66\x07",
        "\x1b[5 q\x1b[2;2Hx",
        "\x1b[41m\x1b[2J\x1b[5;5Hcoloured background\x1b[K",
        "one\r\ntwo\r\nthree\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n10\r\n11\r\n12\r\n13",
    ];
    for input in table {
        check_round_trip(input.as_bytes()).expect("the same");
    }
}

#[test]
fn a_recorded_claude_comes_up_again() {
    let claude = include_bytes!("../../tests/fixtures/claude_osc_7501.raw");
    let once = dump(&laid_out_at(claude, 120, 40));
    assert_eq!(
        String::from_utf8_lossy(&once).escape_debug().to_string(),
        String::from_utf8_lossy(&dump(&laid_out_at(&once, 120, 40))).escape_debug().to_string()
    );
}

#[test]
fn lines_that_scroll_off_are_kept_with_their_colours() {
    let mut text = String::new();
    for i in 0..30 {
        text.push_str(&format!("\x1b[3{}mline {i}\x1b[m\r\n", i % 8));
    }
    let screen = laid_out(text.as_bytes());
    assert_eq!(screen.history().next(), 21);
    let mut out = vec![];
    screen.history().replay(19, &mut out);
    assert_eq!(out, b"\x1b[0;33mline 19\x1b[0m\r\n\x1b[0;34mline 20\x1b[0m\r\n");
}

#[test]
fn a_long_backlog_ends_in_the_same_screen_and_history_as_line_by_line() {
    let mut text = vec![];
    for i in 0..40_000 {
        text.extend_from_slice(format!("\x1b[3{}mline number {i} of a long log\r\n", i % 8).as_bytes());
    }
    let mut at_once = Screen::new(80, 24, 16 << 10);
    at_once.feed(&text);
    let mut by_line = Screen::new(80, 24, 16 << 10);
    for piece in text.chunks(1000) {
        by_line.feed(piece);
    }
    assert_eq!(at_once.history().next(), by_line.history().next());
    let visible = |screen: &Screen| {
        let mut out = vec![];
        screen.dump(screen.history().next() - 100, &mut out);
        out
    };
    assert_eq!(visible(&at_once), visible(&by_line));
}

#[test]
fn a_full_screen_program_within_a_backlog_is_not_skipped() {
    let lines = "just a line\r\n".repeat(30_000);
    let text = format!("{lines}\x1b]0;title\x07\x1b[?2004h{lines}");
    let mut screen = Screen::new(80, 24, 16 << 10);
    screen.feed(text.as_bytes());
    assert_eq!(screen.title(), Some("title"));
    assert_eq!(screen.mode_report(true, 2004), 1);
}

#[test]
fn a_smaller_size_reflows_and_pushes_lines_off() {
    let mut screen = laid_out("one\r\ntwo\r\nthirty columns of text in a row".as_bytes());
    screen.resize(20, 2);
    let text = String::from_utf8_lossy(&dump(&screen)).into_owned();
    assert!(
        text.contains("one\r\ntwo\r\nthirty columns of tet in a row".replace("tet", "text").as_str()),
        "{text:?}"
    );
    check_round_trip(&dump(&screen)).expect("the same");
}

#[test]
fn the_hidden_main_screen_follows_a_resize() {
    let mut screen = laid_out(b"0123456789 0123456789 0123456789\r\nsecond\x1b[?1049halternate");
    screen.resize(20, 5);
    screen.feed(b"\x1b[?1049l");
    let after = String::from_utf8_lossy(&dump(&screen)).into_owned();
    let mut other = laid_out(b"0123456789 0123456789 0123456789\r\nsecond\x1b[?1049halternate");
    other.resize(20, 5);
    let mut copy = Screen::new(20, 5, 1 << 10);
    copy.feed(&dump(&other));
    copy.feed(b"\x1b[?1049l");
    assert_eq!(String::from_utf8_lossy(&dump(&copy)), after);
    assert!(after.contains("0123456789 012345678"), "{after:?}");
}

#[test]
fn no_input_grows_a_screen_without_bound() {
    let mut screen = laid_out("e".as_bytes());
    screen.feed("\u{301}".repeat(10_000).as_bytes());
    assert!(dump(&screen).len() < 1000);
    for i in 0..10_000 {
        screen.feed(format!("\x1b[?{i}h\x1b[>1u\x1b[22;0t").as_bytes());
        screen.keep_osc(1337, format!("1337;SetUserVar=v{i}=eA==").as_bytes());
    }
    assert!(dump(&screen).len() < 20_000, "{}", dump(&screen).len());
}

#[test]
fn a_smaller_window_is_shown_the_part_with_the_cursor() {
    let screen = laid_out(b"1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n9\r\n10 is a long line");
    let mut out = vec![];
    screen.paint(10, 3, "", &mut out);
    let shown = laid_out_at(&out, 10, 3);
    let text = String::from_utf8_lossy(&dump(&shown)).into_owned();
    assert!(text.contains("8\r\n9\r\n10 is a lo"), "{text:?}");
}

/// Programs' output: mostly well formed.
fn output() -> impl Strategy<Value = String> {
    let number = 0_u16..45;
    let piece = prop_oneof![
        4 => "[ -~]{1,30}",
        1 => prop::sample::select(vec!["日本", "🎉", "e\u{301}", "👩\u{200d}🚀", "👍🏽", "\u{2764}\u{fe0f}", "ｱ"]).prop_map(String::from),
        3 => prop::sample::select(vec![
            "\r\n", "\n", "\r", "\t", "\x08", "\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[J", "\x1b[1J", "\x1b[2J",
            "\x1b[H", "\x1bM", "\x1bD", "\x1b7", "\x1b8", "\x1b[m", "\x1b[?7l", "\x1b[?7h", "\x1b[?6h", "\x1b[?6l",
            "\x1b[?25l", "\x1b[?25h", "\x1b[?1049h", "\x1b[?1049l", "\x1b[?2004h", "\x1b[4h", "\x1b[4l", "\x1b(0",
            "\x1b(B", "\x0e", "\x0f", "\x1b]0;t\x07", "\x1b]8;;http://x\x07", "\x1b]8;;\x07", "\x1bH", "\x1b[3g",
            "\x1b[>1u", "\x1b[<u", "\x1b[r", "\x1b#8", "\x1bc", "\x1b[?1000h", "\x1b[?1003h", "\x1b[2 q",
        ]).prop_map(String::from),
        3 => (number.clone(), number.clone()).prop_map(|(a, b)| format!("\x1b[{a};{b}H")),
        2 => (number.clone(), prop::sample::select(vec!["A", "B", "C", "D", "G", "L", "M", "P", "X", "@", "S", "T", "d"]))
            .prop_map(|(n, c)| format!("\x1b[{n}{c}")),
        1 => (1_u16..11, 1_u16..11).prop_map(|(a, b)| format!("\x1b[{a};{b}r")),
        2 => prop::collection::vec(prop::sample::select(vec![0, 1, 2, 3, 4, 5, 7, 9, 22, 24, 27, 31, 42, 97, 104]), 1..4)
            .prop_map(|n| format!("\x1b[{}m", n.iter().map(i32::to_string).collect::<Vec<_>>().join(";"))),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    // the same cases each time, and nothing written beside the source
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_output_comes_up_again_from_its_dump(text in output()) {
        if let Err(difference) = check_round_trip(text.as_bytes()) {
            prop_assert!(false, "{}", difference);
        }
    }

    #[test]
    fn however_the_output_is_cut_the_screen_is_the_same(text in output(), cut in 0_usize..400) {
        let bytes = text.as_bytes();
        let (a, b) = bytes.split_at(cut.min(bytes.len()));
        let mut cut = laid_out(a);
        cut.feed(b);
        prop_assert_eq!(dump(&cut), dump(&laid_out(bytes)));
    }

    #[test]
    fn no_output_and_no_size_make_it_panic(text in output(), cols in 0_u16..60, rows in 0_u16..20, more in output()) {
        let mut screen = laid_out(text.as_bytes());
        screen.resize(cols, rows);
        screen.feed(more.as_bytes());
        screen.resize(rows, cols);
        let mut out = dump(&screen);
        screen.paint(cols.max(1), rows.max(1), "note", &mut out);
    }

    /// Text and cursor against a terminal that somebody else wrote. What that one does otherwise is left
    /// out: it does not know REP, and joins no emoji.
    #[test]
    fn another_terminal_shows_the_same_text_after_the_dump(lines in prop::collection::vec("[ -~]{0,60}", 0..20), row in 1_u16..11, col in 1_u16..41) {
        let text = format!("{}\x1b[{row};{col}H", lines.join("\r\n"));
        let mut live = vt100::Parser::new(10, 40, 100);
        live.process(text.as_bytes());
        let mut restored = vt100::Parser::new(10, 40, 100);
        restored.process(&dump(&laid_out(text.as_bytes())));
        let trimmed = |p: &vt100::Parser| p.screen().rows(0, 40).map(|r| r.trim_end().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(trimmed(&live), trimmed(&restored));
        prop_assert_eq!(live.screen().cursor_position(), restored.screen().cursor_position());
    }
}
