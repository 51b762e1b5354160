//! What those see who attach, with a real keeper, real pseudo terminals, and another terminal emulator
//! than the keeper's on the far side.

mod support;

use std::{io::Write, os::fd::OwnedFd};

use rustix::process::{Signal, kill_process};
use support::{Peer, Run, Runs, Window, contains, hello};
use wezterm_parallel_keeper::{mark, rundir};
use wezterm_parallel_schemas::keeper::{Attached, Hello, PAYLOAD_BYTES_MAX, Role, Size, StopRun, frame};

/// A program on the normal screen: colours, a soft wrap, wide characters, history, and the cursor in the
/// middle of a line.
const NORMAL: &str = r"i=1; while [ $i -le 40 ]; do echo line $i; i=$((i+1)); done
    printf '\033[1;31mbold red\033[m \033[48;2;1;2;3mtrue colour\033[m 日本語 🎉 e\314\201\n'
    printf 'a line that is longer than the window is wide, so that it goes on below: 0123456789 0123456789\n'
    printf '\033[?2004h\033]0;a title\007prompt> typed\033[3D'; stty raw -echo; cat > /dev/null";

/// A program on the alternate screen, over a normal one that must come back.
const ALTERNATE: &str = r"echo on the normal screen; printf '\033[?1049h\033[2J\033[5;10Halternate\033[7;1H\033[32mgreen\033[m'
    printf '\033[?1000h\033[?1006h\033[?25l\033[10;20H'; stty raw -echo; head -c 1 > /dev/null
    printf '\033[?1049l\033[?25h'; cat > /dev/null";

/// Everything that a person could tell apart. (A cell that was never written and one with a space look
/// the same, and are kept apart by the emulator.)
fn picture(screen: &vt100::Screen) -> String {
    let (rows, cols) = screen.size();
    let mut picture = String::new();
    for row in 0..rows {
        let mut look = None;
        for col in 0..cols {
            let cell = screen.cell(row, col).expect("within the screen");
            let is_blank = cell.contents().trim().is_empty();
            let attributes = (cell.bold(), cell.italic(), cell.underline(), cell.inverse());
            let next = (cell.bgcolor(), (!is_blank).then(|| (cell.fgcolor(), attributes)));
            if look.as_ref() != Some(&next) {
                picture.push_str(&format!("{next:?}"));
                look = Some(next);
            }
            picture.push_str(if is_blank { " " } else { cell.contents() });
        }
        picture.push('\n');
    }
    let modes = (screen.hide_cursor(), screen.bracketed_paste(), screen.alternate_screen());
    format!("{picture}{:?} {modes:?} {:?}", screen.cursor_position(), screen.mouse_protocol_mode())
}

#[test]
fn the_same_screen_comes_back_on_the_normal_screen() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", NORMAL));
    let mut first = Window::new(80, 24);
    let peer = first.attach(&run.dir);
    first.wait_until("the prompt", |screen| {
        screen.contents().contains("prompt> typed") && screen.cursor_position().1 == 10
    });
    drop(peer);
    let mut second = Window::new(80, 24);
    let _peer = second.attach(&run.dir);
    let wanted = picture(first.emulator.screen());
    second.wait_until(&wanted, |screen| picture(screen) == wanted);
    // and what had scrolled off is there to scroll back to
    second.emulator.screen_mut().set_scrollback(10);
    assert!(
        second.emulator.screen().contents().contains("line 15"),
        "{}",
        second.emulator.screen().contents()
    );
}

#[test]
fn the_same_screen_comes_back_on_the_alternate_screen_and_the_normal_one_behind_it() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", ALTERNATE));
    let mut first = Window::new(80, 24);
    let peer = first.attach(&run.dir);
    first.wait_until("the cursor", |screen| screen.cursor_position() == (9, 19) && screen.alternate_screen());
    drop(peer);
    let mut second = Window::new(80, 24);
    let _peer = second.attach(&run.dir);
    let wanted = picture(first.emulator.screen());
    second.wait_until(&wanted, |screen| picture(screen) == wanted);
    assert!(second.emulator.screen().contents().contains("alternate"));
    second.type_in(b"x");
    second.wait_until("the normal screen", |screen| !screen.alternate_screen() && !screen.hide_cursor());
    assert!(second.emulator.screen().contents().starts_with("on the normal screen"));
}

#[test]
fn a_recorded_claude_looks_the_same_to_who_comes_later() {
    let runs = Runs::new();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/claude_osc_7501.raw");
    let script = format!("stty raw -echo; cat {fixture}; printf '\\033]2;at the end\\007'; cat > /dev/null");
    let mut spec = runs.script("r1", &script);
    spec.size = Size { cols: 120, rows: 40 };
    let run = runs.start(&spec);
    let mut first = Window::new(120, 40);
    let _peer = first.attach(&run.dir);
    while !contains(&first.raw, b"at the end") {
        first.read(std::time::Duration::from_secs(60));
    }
    let mut second = Window::new(120, 40);
    let _other = second.attach(&run.dir);
    let wanted = first.emulator.screen().contents();
    assert!(wanted.contains("Claude"), "{wanted}");
    second.wait_until("the same text", |screen| screen.contents() == wanted);
    second.wait_until("the same cursor", |screen| {
        screen.cursor_position() == first.emulator.screen().cursor_position()
    });
}

#[test]
fn what_is_typed_arrives_unchanged_and_is_echoed() {
    let runs = Runs::new();
    let mut spec = runs.script("r1", "stty raw -echo; printf ready; head -c 40 > typed; printf done; read x");
    spec.cwd = runs.dir.path().into();
    let run = runs.start(&spec);
    let mut window = Window::new(80, 24);
    let _peer = window.attach(&run.dir);
    window.wait_for_text("ready");
    // shift+enter and alt as kitty sends them, a bracketed paste, a mouse click, CJK, and a NUL
    let keys = "\x1b[13;2u\x1bx\x1b[200~a\nb\x1b[201~\x1b[<0;3;4M日本\0".as_bytes();
    assert_eq!(keys.len(), 40);
    window.type_in(keys);
    window.wait_for_text("done");
    assert_eq!(std::fs::read(runs.dir.path().join("typed")).expect("a file"), keys);
}

#[test]
fn the_last_who_typed_decides_the_size_and_the_other_is_letterboxed() {
    let runs = Runs::new();
    let script = "trap 'stty size' WINCH; echo up; while :; do read x && echo read $x; done";
    let run = runs.start(&runs.script("r1", script));
    run.wait_for_first_output();
    let mut wide = Window::new(100, 30);
    let _wide_peer = wide.attach(&run.dir);
    wide.wait_for_text("30 100");
    let mut narrow = Window::new(40, 10);
    let _narrow_peer = narrow.attach(&run.dir);
    narrow.wait_for_text("10 40");
    // the wide one shows the narrow screen in its corner, and says why
    wide.wait_for_text("40×10");
    wide.wait_until("the narrow screen's text", |screen| {
        screen.rows(0, 40).take(10).any(|r| r.contains("10 40"))
    });
    // typing there gives it its size back
    wide.type_in(b"hello\r");
    wide.wait_for_text("read hello");
    wide.wait_until("no note", |screen| !screen.contents().contains("40×10"));
    narrow.wait_until("a part of the wide screen", |screen| screen.contents().contains("read hello"));
    let size = run.control().welcome.expect("a welcome").size;
    assert_eq!(size, Size { cols: 100, rows: 30 });
}

#[test]
fn a_window_that_only_watches_does_not_decide_the_size_and_cannot_type() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "echo up; while read x; do echo got $x; done"));
    let mut window = Window::new(80, 24);
    let _peer = window.attach(&run.dir);
    window.wait_for_text("up");
    let watcher = Hello { read_only: true, ..hello(Role::Attach, Some(Size { cols: 20, rows: 5 })) };
    let mut watching = Peer::hello_with(&run.dir, &watcher, None);
    assert_eq!(watching.welcome.as_ref().expect("a welcome").size, Size { cols: 80, rows: 24 });
    watching.type_in(b"nothing\r");
    watching.wait_for_output("up");
    window.type_in(b"something\r");
    window.wait_for_text("got something");
    assert!(!window.emulator.screen().contents().contains("nothing"));
}

#[test]
fn a_client_that_does_not_read_slows_nobody() {
    let runs = Runs::new();
    let script = "read x; head -c 20000000 /dev/zero | tr '\\0' y; echo; echo finished; cat > /dev/null";
    let run = runs.start(&runs.script("r1", script));
    let stuck = Window::new(80, 24);
    let _stuck_peer = stuck.attach(&run.dir);
    let mut reader = Window::new(80, 24);
    let _peer = reader.attach(&run.dir);
    reader.type_in(b"\r");
    reader.wait_for_text("finished");
    // and the stuck one gets the same picture once it looks
    let mut stuck = stuck;
    stuck.wait_for_text("finished");
    assert!(stuck.raw.len() < 5_000_000, "{} bytes", stuck.raw.len());
}

#[test]
fn the_detach_key_gives_the_terminal_back_in_each_of_its_forms() {
    let runs = Runs::new();
    let mut spec = runs.script("r1", "stty raw -echo; echo up; head -c 20 > typed");
    spec.cwd = runs.dir.path().into();
    let run = runs.start(&spec);
    for (before, key) in [("a", "\x1c"), ("b", "\x1b[92;5u"), ("c", "\x1b[92;5:1u"), ("d", "\x1b[27;5;92~")] {
        let mut window = Window::new(80, 24);
        let mut peer = window.attach(&run.dir);
        window.wait_for_text("up");
        window.type_in(format!("{before}{key}").as_bytes());
        peer.wait_for_raw(frame::DETACHED);
        assert_eq!(peer.next(), None);
    }
    // by frames as well, and pasted it is text
    let mut relayed = Peer::hello(&run.dir, Role::Attach, Some(Size { cols: 80, rows: 24 }));
    relayed.type_in(b"\x1b[200~e\x1cf\x1b[201~g\x1c");
    relayed.wait_for_raw(frame::DETACHED);
    assert_eq!(run.wait().code, Some(0));
    let typed = std::fs::read(runs.dir.path().join("typed")).expect("a file");
    assert_eq!(String::from_utf8_lossy(&typed), "abcd\x1b[200~e\x1cf\x1b[201~g");
}

#[test]
fn a_killed_client_is_dropped_and_counted_off() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "echo up; cat"));
    let mut control = run.control();
    let mut window = Window::new(80, 24);
    let peer = window.attach(&run.dir);
    assert_eq!(control.wait_for::<Attached>(frame::ATTACHED).clients, 1);
    window.wait_for_text("up");
    // what the kernel does for a killed process
    drop(peer);
    assert_eq!(control.wait_for::<Attached>(frame::ATTACHED).clients, 0);
    let mut again = Window::new(80, 24);
    let _peer = again.attach(&run.dir);
    again.wait_for_text("up");
}

#[test]
fn bells_and_notifications_reach_one_window_and_titles_all() {
    let runs = Runs::new();
    let script =
        r"read x; printf '\007\033]777;notify;a;b\007\033]9;text\007\033]2;title\007end'; cat > /dev/null";
    let run = runs.start(&runs.script("r1", script));
    let mut first = Window::new(80, 24);
    let _first_peer = first.attach(&run.dir);
    let mut second = Window::new(80, 24);
    let _second_peer = second.attach(&run.dir);
    first.type_in(b"\r");
    first.wait_for_text("end");
    second.wait_for_text("end");
    let has = |window: &Window| {
        (
            contains(&window.raw, b"\x1b]777;"),
            contains(&window.raw, b"\x1b]9;text"),
            contains(&window.raw, b"title"),
        )
    };
    assert_eq!(has(&first), (true, true, true));
    assert_eq!(has(&second), (false, false, true));
}

#[test]
fn queries_are_answered_once_and_reach_no_window() {
    let runs = Runs::new();
    let script = r"stty raw -echo; printf up; head -c 1 > /dev/null; printf '\033[c\033[6n'; head -c 23 > answer
        printf end; cat > extra";
    let mut spec = runs.script("r1", script);
    spec.cwd = runs.dir.path().into();
    let run = runs.start(&spec);
    let mut windows = [Window::new(80, 24), Window::new(80, 24)];
    let _peers: Vec<Peer> = windows.iter().map(|window| window.attach(&run.dir)).collect();
    windows[0].wait_for_text("up");
    windows[0].type_in(b"x");
    for window in &mut windows {
        window.wait_for_text("end");
        assert!(!contains(&window.raw, b"\x1b[c") && !contains(&window.raw, b"\x1b[6n"));
    }
    assert_eq!(
        std::fs::read(runs.dir.path().join("answer")).expect("a file"),
        b"\x1b[?65;6;18;22;52c\x1b[1;3R"
    );
}

#[test]
fn an_observer_gets_the_bytes_of_the_log_from_where_it_was_told() {
    let runs = Runs::new();
    let run = runs.start(
        &runs.script("r1", "stty raw -echo; printf first; read x; printf '\\033[cse\\007cond'; read x"),
    );
    let mut control = run.control();
    let mut observer = Peer::hello(&run.dir, Role::Observe, None);
    let offset = observer.welcome.as_ref().expect("a welcome").log_offset;
    control.type_in(b"\n");
    let output = observer.wait_for_output("cond");
    let log = std::fs::read(rundir::log_path(&run.dir)).expect("a log");
    let offset = usize::try_from(offset).expect("small");
    assert!(log[offset..].starts_with(&output[..log.len() - offset]), "{log:?} {output:?}");
    assert!(contains(&output, b"\x1b[cse\x07cond"));
}

#[test]
fn the_last_output_and_the_exit_reach_everybody_in_that_order() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "read x; seq 1 20000; echo last words; exit 5"));
    let mut window = Window::new(80, 24);
    let mut peer = window.attach(&run.dir);
    let mut observer = Peer::hello(&run.dir, Role::Observe, None);
    let mut relayed = Peer::hello(&run.dir, Role::Attach, Some(Size { cols: 80, rows: 24 }));
    relayed.type_in(b"\r");
    // all at once: who does not read for long is not waited for
    std::thread::scope(|scope| {
        scope.spawn(|| window.wait_for_text("last words"));
        scope.spawn(|| observer.wait_for_output("last words"));
        relayed.wait_for_output("last words");
    });
    for peer in [&mut peer, &mut observer, &mut relayed] {
        let record: wezterm_parallel_schemas::keeper::ExitRecord = peer.wait_for(frame::EXIT);
        assert_eq!(record.code, Some(5));
        assert_eq!(peer.next(), None);
    }
}

fn still_serves(run: &Run) {
    let mut control = run.control();
    control.send(frame::SCREEN, &());
    assert!(contains(&control.wait_for_raw(frame::SCREEN), b"up"));
}

#[test]
fn whoever_talks_nonsense_is_told_and_dropped_and_nobody_else_is_harmed() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "echo up; exec sleep 1000"));
    let mut window = Window::new(80, 24);
    let _peer = window.attach(&run.dir);
    window.wait_for_text("up");
    let endless = u32::try_from(PAYLOAD_BYTES_MAX + 1).expect("small").to_le_bytes();
    let cases: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        [&[frame::HELLO][..], &endless].concat(),
        [&[frame::HELLO][..], &5_u32.to_le_bytes(), b"\xc1\xc1\xc1\xc1\xc1"].concat(),
        [&[frame::STOP][..], &0_u32.to_le_bytes()].concat(),
        vec![0xff; 300_000],
    ];
    for case in cases {
        let mut peer = Peer::connect(&run.dir);
        // it may be dropped before it has said everything
        let _ = peer.socket.write_all(&case);
        assert!(!peer.wait_for_raw(frame::ERROR).is_empty());
        assert_eq!(peer.next(), None);
    }
    let mut peer = run.control();
    peer.send_raw(frame::STOP, b"\xc1");
    assert!(!peer.wait_for_raw(frame::ERROR).is_empty());
    // half a frame, and then silence
    let mut half = Peer::connect(&run.dir);
    half.socket.write_all(&[frame::HELLO, 200, 0]).expect("sent");
    // what a newer client may say is skipped
    let mut newer = run.control();
    newer.send_raw(b'~', b"anything");
    newer.send(frame::SCREEN, &());
    newer.wait_for_raw(frame::SCREEN);
    still_serves(&run);
}

#[test]
fn a_hundred_silent_connections_keep_nobody_out() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "echo up; exec sleep 1000"));
    run.wait_for_first_output();
    let silent: Vec<Peer> = (0..100).map(|_| Peer::connect(&run.dir)).collect();
    still_serves(&run);
    drop(silent);
    still_serves(&run);
}

#[test]
fn a_passed_descriptor_that_is_no_terminal_is_not_used() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "echo up; exec sleep 1000"));
    let file: OwnedFd = tempfile::tempfile().expect("a file").into();
    let size = Some(Size { cols: 80, rows: 24 });
    let mut peer = Peer::hello_with(&run.dir, &hello(Role::Attach, size), Some(&file));
    // the screen comes in frames instead
    peer.wait_for_output("up");
}

#[test]
fn a_stopped_keeper_takes_no_more_connections() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "exec sleep 1000"));
    let mut control = run.control();
    control.send(frame::STOP, &StopRun { grace_ms: 0 });
    control.wait_for_raw(frame::EXIT);
    rundir::wait_until_gone(&run.dir).expect("a lock");
    assert!(rundir::connect(&run.dir).is_err());
    assert!(kill_process(run.pid, Signal::KILL).is_err());
}

fn marked(mark: &str) -> Hello {
    Hello { mark: Some(mark.into()), ..hello(Role::Attach, Some(Size { cols: 80, rows: 24 })) }
}

#[test]
fn a_window_with_a_mark_is_told_what_it_shows_and_no_other() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "printf up; read x; printf down; cat > /dev/null"));
    let mut wezterm = Peer::hello_with(&run.dir, &marked("web/lead"), None);
    let mut plain = Peer::hello_with(&run.dir, &hello(Role::Attach, None), None);
    let told = wezterm.wait_for_output("\x1b]1337");
    assert!(contains(&told, &mark::sequence("web/lead")), "{}", String::from_utf8_lossy(&told));
    let mut control = run.control();
    // once more, and under another name; the screen may be drawn for the second window before that
    plain.wait_for_output("up");
    control.send_raw(frame::ANNOUNCE, b"");
    while wezterm.wait_for_raw(frame::OUTPUT) != mark::sequence("web/lead") {}
    control.send_raw(frame::ANNOUNCE, "wéb/lead".as_bytes());
    assert_eq!(wezterm.wait_for_raw(frame::OUTPUT), mark::sequence("wéb/lead"));
    control.send_raw(frame::ANNOUNCE, b"");
    assert_eq!(wezterm.wait_for_raw(frame::OUTPUT), mark::sequence("wéb/lead"));
    plain.type_in(b"\r");
    let seen = plain.wait_for_output("down");
    assert!(!contains(&seen, b"1337"), "{}", String::from_utf8_lossy(&seen));
    // one that is too long is nobody's
    let mut long = Peer::hello_with(&run.dir, &marked(&"x".repeat(2_000)), None);
    assert!(!contains(&long.wait_for_output("down"), b"1337"));
}

#[test]
fn only_who_steers_has_marks_announced() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "printf up; cat"));
    let mut wezterm = Peer::hello_with(&run.dir, &marked("w/p"), None);
    wezterm.wait_for_output("1337");
    wezterm.send_raw(frame::ANNOUNCE, b"another/one");
    wezterm.type_in(b"typed after");
    let seen = wezterm.wait_for_output("typed after");
    assert!(!contains(&seen, b"1337"), "{}", String::from_utf8_lossy(&seen));
}

#[test]
fn a_mark_cuts_no_sequence_of_the_program_in_two() {
    let runs = Runs::new();
    // a clipboard so large that it passes before it is whole
    let long = "stty raw -echo; read_one() { dd bs=1 count=1 2>/dev/null >/dev/null; }
        printf up; read_one; printf '\\033]52;c;'; head -c 20000 /dev/zero | tr '\\0' Q; read_one; printf '\\007after'
        read_one; printf '\\033]2;a tit'; read_one; printf 'le\\007end'; cat > /dev/null";
    let run = runs.start(&runs.script("r1", long));
    let mut wezterm = Peer::hello_with(&run.dir, &marked("w/p"), None);
    let mut control = run.control();
    wezterm.wait_for_output("1337");
    wezterm.type_in(b"1");
    let mut cut = wezterm.wait_for_output("QQQQ");
    control.send_raw(frame::ANNOUNCE, b"");
    control.send_raw(frame::SCREEN, b"");
    control.wait_for_raw(frame::SCREEN);
    wezterm.type_in(b"2");
    cut.extend(wezterm.wait_for_output("after"));
    while !contains(&cut, b"1337") {
        cut.extend(wezterm.wait_for_raw(frame::OUTPUT));
    }
    let text = String::from_utf8_lossy(&cut);
    let (end, told) = (text.find("Q\u{7}after").expect("whole"), text.find("\x1b]1337").expect("told"));
    assert!(end < told, "behind the sequence");
    // what is held back until it is whole does not hold it up
    wezterm.type_in(b"3");
    control.send_raw(frame::ANNOUNCE, b"");
    assert_eq!(wezterm.wait_for_raw(frame::OUTPUT), mark::sequence("w/p"));
    wezterm.type_in(b"4");
    assert!(contains(&wezterm.wait_for_output("end"), b"\x1b]2;a title\x07end"));
}

#[test]
fn a_program_cannot_say_that_its_window_shows_another_process() {
    let runs = Runs::new();
    let script = "stty raw -echo; printf up; dd bs=1 count=1 2>/dev/null >/dev/null
        printf '\\033]1337;SetUserVar=wezterm_parallel=b3RoZXIvb25l\\007\\033]1337;SetUserVar=its_own=eA==\\007'
        printf down; cat > /dev/null";
    let run = runs.start(&runs.script("r1", script));
    let mut there = Peer::hello_with(&run.dir, &marked("w/p"), None);
    there.wait_for_output("1337");
    there.type_in(b"1");
    let seen = there.wait_for_output("down");
    assert!(!contains(&seen, b"wezterm_parallel"), "{}", String::from_utf8_lossy(&seen));
    assert!(
        contains(&seen, b"\x1b]1337;SetUserVar=its_own=eA==\x07down"),
        "{}",
        String::from_utf8_lossy(&seen)
    );
    // nor does who comes later hear of it
    let mut later = Peer::hello_with(&run.dir, &hello(Role::Attach, None), None);
    let seen = later.wait_for_output("its_own");
    assert!(!contains(&seen, b"wezterm_parallel"), "{}", String::from_utf8_lossy(&seen));
}

#[test]
fn a_window_that_is_behind_is_told_with_the_screen() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "printf up; cat > /dev/null"));
    let window = Window::new(80, 24);
    let _leads = window.attach(&run.dir);
    // of another size, and not one to decide it: it is painted, never streamed to
    let small = Hello { read_only: true, size: Some(Size { cols: 40, rows: 10 }), ..marked("w/p") };
    let mut small = Peer::hello_with(&run.dir, &small, None);
    assert!(contains(&small.wait_for_output("1337"), &mark::sequence("w/p")));
}
