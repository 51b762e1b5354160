//! Attaching from a terminal: the same screen, every key, any size, over restarts. Line 4 of what must work.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use wezterm_parallel_schemas::{
    daemon::Empty,
    envelope::{Message, split},
    error::{Code, Error},
    method::AnnounceToGui,
    process::State,
    rpc::Failure,
    scan::{Limits, Scanner},
};

use crate::support::{
    pty::Pty,
    site::{Site, kill},
};

/// Ctrl-\, which detaches unless told otherwise.
const DETACH: &str = "\x1c";

fn site(program: &str) -> Site {
    site_with(program, "")
}

fn site_with(program: &str, keys: &str) -> Site {
    let site = Site::new();
    site.script("program", &format!("#!/bin/sh\n{program}\n"));
    site.config(&format!(
        "version: 1
defaults: {{ restart: {{ backoff: {{ initial: 1ms }} }} }}
workspaces: {{ w: {{ cwd: $WORK, processes: {{ p: {{ command: [program]{keys} }} }} }} }}
"
    ));
    site.daemon();
    site
}

fn attach(site: &Site, cols: u16, rows: u16) -> Pty {
    site.terminal(cols, rows, &["process", "attach", "w/p"])
}

#[test]
fn attach_shows_the_screen_as_it_is_with_colours_and_cursor() {
    let site = site(
        r"printf '\033[2J\033[3;5H\033[1;31mred\033[0m \033[38;2;10;20;30mexact\033[0m \033[7m日本\033[0m👍\033[8;9H'; exec tail -f /dev/null",
    );
    site.wait_state("w/p", State::Running);
    let pty = attach(&site, 80, 24);
    pty.wait_for("the cursor", |s| s.contents().contains("exact") && s.cursor_position() == (7, 8));
    pty.wait_for("colours", |s| {
        let cell = |col| s.cell(2, col).expect("on the screen");
        cell(4).contents() == "r"
            && cell(4).bold()
            && cell(4).fgcolor() == vt100::Color::Idx(1)
            && cell(8).fgcolor() == vt100::Color::Rgb(10, 20, 30)
            && cell(14).contents() == "日"
            && cell(14).inverse()
            && cell(18).contents() == "👍"
    });
}

#[test]
fn attaching_again_shows_the_same_screen_on_the_alternate_screen_too() {
    let site = site(
        r"i=1; while [ $i -le 40 ]; do echo line $i; i=$((i+1)); done
printf '\033[?1049h\033[2J\033[?1h\033[?2004h\033[5;5H\033[44mfull screen\033[0m\033[6;6H'; exec tail -f /dev/null",
    );
    site.wait_state("w/p", State::Running);
    let mut first = attach(&site, 80, 24);
    first.wait_for("the cursor", |s| s.contents().contains("full screen") && s.cursor_position() == (5, 5));
    first.wait_for("the modes", |s| s.alternate_screen() && s.application_cursor() && s.bracketed_paste());
    let seen = first.looks();
    first.type_keys(DETACH);
    assert_eq!(first.wait_for_end(), Some(0));

    let second = attach(&site, 80, 24);
    second.wait_for("the same modes", |s| {
        s.alternate_screen() && s.application_cursor() && s.bracketed_paste()
    });
    second.wait_for("the same cursor", |s| s.cursor_position() == (5, 5));
    assert_eq!(second.looks(), seen);
}

#[test]
fn what_has_scrolled_off_is_in_the_terminals_own_history() {
    let site = site(
        "i=1; while [ $i -le 200 ]; do echo line $i; i=$((i+1)); done; echo end; exec tail -f /dev/null",
    );
    site.wait_state("w/p", State::Running);
    // the screen is full before anybody attaches
    let first = attach(&site, 80, 24);
    first.wait_for_text("end");
    drop(first);
    let pty = attach(&site, 80, 24);
    pty.wait_for_text("end");
    pty.wait_for_bytes(b"line 7\r\n");
    pty.wait_for_bytes(b"line 150\r\n");
}

#[test]
fn keys_pass_as_the_terminal_sends_them() {
    // prints what it reads with nothing in between
    let site = site("stty raw -echo; printf 'ready '; exec cat -v");
    let pty = attach(&site, 120, 24);
    pty.wait_for_text("ready");
    for (keys, shown) in [
        ("\x1b[A", "^[[A"),                               // up
        ("\x1bx", "^[x"),                                 // alt-x
        ("\x1b[13;2u", "^[[13;2u"),                       // shift-enter
        ("\x1b[200~a\rb\x1b[201~", "^[[200~a^Mb^[[201~"), // a paste
        ("\x1b[<0;5;6M", "^[[<0;5;6M"),                   // a click
        ("\x03", "^C"),
        ("\x1a", "^Z"),
        ("\x1b", "^["),
        ("\x7f", "^?"),
        ("é", "M-CM-)"),
        ("日", "M-fM-^WM-%"),
        ("👍", "M-pM-^_M-^QM-^M"),
    ] {
        pty.type_keys(keys);
        pty.wait_for_text(shown);
    }
}

#[test]
fn the_program_follows_the_size_of_the_terminal() {
    let site = site("trap 'stty size' WINCH; stty size; tail -f /dev/null & while :; do wait; done");
    let pty = attach(&site, 90, 20);
    pty.wait_for_text("20 90");
    pty.resize(101, 31);
    pty.wait_for_text("31 101");
}

#[test]
fn several_attach_at_once_with_different_sizes() {
    let site = site("stty -echo; printf 'ready '; exec cat");
    let wide = attach(&site, 120, 30);
    wide.wait_for_text("ready");
    let narrow = attach(&site, 60, 20);
    narrow.wait_for_text("ready");
    wide.type_keys("from the wide one\r");
    narrow.wait_for_text("from the wide one");
    narrow.type_keys("from the narrow one\r");
    wide.wait_for_text("from the narrow one");
    site.wait_attached("w/p", 2);
}

#[test]
fn a_terminal_that_hangs_holds_up_neither_the_program_nor_the_others() {
    // far more than all buffers in between take together
    let site = site(
        "stty -echo; printf 'ready '; read x; yes flood | head -c 20000000; echo; echo the flood is over; exec tail -f /dev/null",
    );
    let hangs = attach(&site, 80, 24);
    hangs.wait_for_text("ready");
    hangs.stall(true);
    let reads = attach(&site, 80, 24);
    reads.wait_for_text("ready");
    reads.type_keys("\r");
    reads.wait_for_text("the flood is over");
    // and it is caught up from the screen when it reads again
    hangs.stall(false);
    hangs.wait_for("the same screen", |s| s.contents() == reads.contents());
}

#[test]
fn detaching_leaves_the_program_alone_and_closing_the_terminal_does_so_too() {
    let site = site("printf 'ready '; exec cat");
    let running = site.wait_state("w/p", State::Running);
    let mut pty = attach(&site, 80, 24);
    pty.wait_for_text("ready");
    pty.type_keys(DETACH);
    assert_eq!(pty.wait_for_end(), Some(0));
    let closed = attach(&site, 80, 24);
    closed.wait_for_text("ready");
    site.wait_attached("w/p", 1);
    drop(closed);
    site.wait_attached("w/p", 0);
    let after = site.process("w/p");
    assert_eq!((after.state, after.pid), (State::Running, running.pid));
}

#[test]
fn the_detach_key_can_be_another_one() {
    let site = site("stty raw -echo; printf 'ready '; exec cat -v");
    let mut pty = site.terminal(80, 24, &["process", "attach", "--detach-key", "ctrl-q", "w/p"]);
    pty.wait_for_text("ready");
    pty.type_keys(DETACH);
    pty.wait_for_text("^\\");
    pty.type_keys("\x11");
    assert_eq!(pty.wait_for_end(), Some(0));
}

#[test]
fn who_only_looks_sends_no_keys() {
    let site = site("stty -echo; printf 'ready '; exec cat");
    let looks = site.terminal(80, 24, &["process", "attach", "--read-only", "w/p"]);
    looks.wait_for_text("ready");
    looks.type_keys("not to be seen\r");
    let types = attach(&site, 80, 24);
    types.wait_for_text("ready");
    types.type_keys("to be seen\r");
    looks.wait_for_text("to be seen");
    assert!(!looks.contents().contains("not to be seen"), "{}", looks.contents());
}

#[test]
fn attach_follows_its_process_over_restarts() {
    let site = site("echo run of $$; exec tail -f /dev/null");
    let first = site.wait_state("w/p", State::Running);
    let pty = attach(&site, 80, 24);
    pty.wait_for_text(&format!("run of {}", first.pid.expect("it runs")));
    kill(first.pid.expect("it runs"));
    let second = site.wait_process("w/p", |p| p.state == State::Running && p.pid != first.pid);
    pty.wait_for_text(&format!("run of {}", second.pid.expect("it runs")));
}

#[test]
fn a_dead_process_shows_why_and_enter_starts_it_again() {
    let site = site_with(
        "test -e ok && { echo it lives; exec tail -f /dev/null; }; echo last words; exit 4",
        ", restart: { policy: never }",
    );
    site.wait_state("w/p", State::Failed);
    let pty = attach(&site, 80, 24);
    pty.wait_for_text("exit code 4");
    std::fs::write(site.path("work/ok"), "").expect("a file of ours");
    pty.type_keys("\r");
    pty.wait_for_text("it lives");
    site.wait_state("w/p", State::Running);
}

#[test]
fn closing_a_pane_types_nothing_into_the_program() {
    let site = site(
        r"stty raw -echo; printf 'ready '; dd bs=1 count=1 2>/dev/null | od -An -c; printf 'done\r\n'; exec tail -f /dev/null",
    );
    let pty = attach(&site, 80, 24);
    pty.wait_for_text("ready");
    pty.close_as_wezterm_does();
    site.wait_attached("w/p", 0);
    // had anything been typed, it would have been read before this
    let pty = attach(&site, 80, 24);
    pty.type_keys("x");
    pty.wait_for_text("done");
    assert!(pty.contents().contains(" x") && !pty.contents().contains(r"\n"), "{}", pty.contents());
}

#[test]
fn links_titles_and_the_bell_reach_the_terminal() {
    let site = site(
        r"stty -echo; printf 'ready '; read x; printf '\033]8;;https://example.org/\033\\link\033]8;;\033\\\033]2;a title\007\007done'; exec tail -f /dev/null",
    );
    let pty = attach(&site, 80, 24);
    pty.wait_for_text("ready");
    pty.type_keys("\r");
    pty.wait_for_text("done");
    pty.wait_for_bytes(b"]8;;https://example.org/");
    pty.wait_for_bytes(b"a title");
    site.wait_process("w/p", |p| p.title.as_deref() == Some("a title"));
}

#[test]
fn the_programs_questions_to_its_terminal_are_answered_once_attached_or_not() {
    let site = site(
        r"stty raw -echo; printf '\033[c'; dd bs=1 count=3 2>/dev/null | od -An -c | tr -d ' \n' > answer; printf '\033[6n'; exec cat -v",
    );
    let pty = attach(&site, 80, 24);
    // the answer to the second question, and nothing that the test's terminal would have answered
    pty.wait_for_text("R");
    let answer = std::fs::read_to_string(site.path("work/answer")).expect("the first one was answered");
    assert_eq!(answer, "033[?");
}

#[test]
fn the_log_is_printed_as_text_and_followed() {
    let site = site(r"printf '\033[31mred words\033[0m\n'; read x; echo more words; exec tail -f /dev/null");
    site.wait_state("w/p", State::Running);
    let follow = site.terminal(80, 24, &["process", "logs", "-f", "w/p"]);
    follow.wait_for_text("red words");
    let pty = attach(&site, 80, 24);
    pty.wait_for_text("red words");
    pty.type_keys("\r");
    follow.wait_for_text("more words");
    let log = site.run(&["process", "logs", "w/p"]).ok();
    assert!(log.out.contains("red words") && !log.out.contains('\x1b'), "{:?}", log.out);
}

/// What WezTerm is told that a pane shows.
fn mark(process: &str) -> Vec<u8> {
    wezterm_parallel_keeper::mark::sequence(process)
}

#[test]
fn wezterm_is_told_which_process_a_pane_shows_and_other_terminals_are_not() {
    let site = site("printf 'ready '; exec cat");
    site.wait_state("w/p", State::Running);
    let plain = attach(&site, 80, 24);
    plain.wait_for_text("ready");
    site.set_env("WEZTERM_PANE", "7");
    // as the daemon names it, not as it was typed
    let mut pane = site.terminal(80, 24, &["process", "attach", "p"]);
    pane.wait_for_text("ready");
    pane.wait_for_bytes(&mark("w/p"));
    pane.type_keys("both\r");
    plain.wait_for_text("both");
    assert!(!plain.saw(b"1337"));
    pane.type_keys(DETACH);
    assert_eq!(pane.wait_for_end(), Some(0));
    assert!(pane.saw(&mark("")), "and that it does not any more");
}

#[test]
fn a_pane_knows_its_process_while_that_is_down_and_over_restarts() {
    let site = site_with("echo run of $$; exec tail -f /dev/null", ", autostart: false");
    site.set_env("TERM_PROGRAM", "WezTerm");
    let pane = site.terminal(80, 24, &["process", "attach", "--read-only", "w/p"]);
    pane.wait_for_text("is stopped");
    pane.wait_for_bytes(&mark("w/p"));
    let before = pane.count(&mark("w/p"));
    site.run(&["process", "start", "w/p"]).ok();
    pane.wait_for_text("run of");
    pane.wait_until_count(&mark("w/p"), before + 1);
    let pid = site.wait_state("w/p", State::Running).pid.expect("it runs");
    kill(pid);
    pane.wait_until_count(&mark("w/p"), before + 2);
    assert!(!pane.saw(&mark("")));
}

#[test]
fn panes_are_told_anew_when_a_gui_asks_and_when_a_workspace_gets_another_name() {
    let site = site("true");
    site.set_env("WEZTERM_PANE", "7");
    site.run(&["workspace", "create", "one"]).ok();
    site.run(&["process", "add", "one", "q", "--", "sh", "-c", "printf 'ready '; exec cat"]).ok();
    let pane = site.terminal(80, 24, &["process", "attach", "one/q"]);
    pane.wait_for_text("ready");
    // from the program that attaches, and from the keeper
    pane.wait_until_count(&mark("one/q"), 2);
    site.client().call::<AnnounceToGui>(Empty {}).expect("it is known");
    pane.wait_until_count(&mark("one/q"), 3);
    site.run(&["workspace", "rename", "one", "two"]).ok();
    pane.wait_for_bytes(&mark("two/q"));
}

#[test]
fn a_pane_whose_process_was_removed_stays_until_its_user_has_read_so() {
    let site = site("printf 'ready '; exec cat");
    site.run(&["process", "add", "w", "q", "--", "sh", "-c", "printf 'ready '; exec cat"]).ok();
    let mut pane = site.terminal(80, 24, &["process", "attach", "w/q"]);
    pane.wait_for_text("ready");
    site.run(&["process", "remove", "w/q"]).ok();
    pane.wait_for_text("w/q was removed");
    pane.wait_for_text("any key closes this");
    pane.type_keys("x");
    assert_eq!(pane.wait_for_end(), Some(0));
    let mut pane = site.terminal(80, 24, &["process", "attach", "w/q"]);
    pane.wait_for_text("there is no process q");
    pane.wait_for_text("any key closes this");
    pane.type_keys("x");
    assert_eq!(pane.wait_for_end(), Some(0));
}

#[test]
fn a_pane_waits_for_a_daemon_that_is_not_there_yet() {
    let site = site("printf 'ready '; exec cat");
    site.run(&["stop", "--yes"]).ok();
    let pane = attach(&site, 80, 24);
    pane.wait_for_text("there is no daemon");
    site.daemon();
    pane.wait_for_text("ready");
}

/// A daemon of another version is played by one that takes nobody in.
#[test]
fn a_pane_says_why_a_daemon_does_not_take_it_in_and_goes_on_when_one_does() {
    let site = site("printf 'ready '; exec cat");
    site.run(&["stop", "--yes"]).ok();
    let refusal = Error::new(Code::BadHello, "this daemon speaks protocol 7 to 9, the client 1 to 1")
        .hint("update the older of the two");
    let other = StrangeDaemon::start(&site.socket(), refusal);
    site.run(&["process", "list"])
        .exits(1)
        .says("speaks protocol 7 to 9")
        .says("update the older of the two");
    let pane = attach(&site, 200, 24);
    pane.wait_for_text("w/p is waited for: failed to talk to the daemon at");
    pane.wait_for_text("speaks protocol 7 to 9, the client 1 to 1");
    pane.wait_for_text("update the older of the two");
    assert!(!pane.contents().contains("there is no daemon"), "{}", pane.contents());
    drop(other);
    site.daemon();
    pane.wait_for_text("ready");
}

#[test]
fn the_key_that_detaches_leaves_a_dead_process_too() {
    let site = site_with("exit 4", ", restart: { policy: never }");
    site.wait_state("w/p", State::Failed);
    let mut pane = attach(&site, 80, 24);
    pane.wait_for_text("exit code 4");
    pane.type_keys(DETACH);
    assert_eq!(pane.wait_for_end(), Some(0));
}

/// Answers every hello with a refusal, until it is dropped.
struct StrangeDaemon {
    socket: PathBuf,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StrangeDaemon {
    fn start(socket: &Path, refusal: Error) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).expect("a socket");
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                refuse(client.expect("a client"), &refusal);
            }
        });
        Self { socket: socket.to_owned(), over, thread: Some(thread) }
    }
}

impl Drop for StrangeDaemon {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
        let ended = self.thread.take().expect("it was started").join();
        assert!(ended.is_ok() || thread::panicking());
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn refuse(mut client: UnixStream, refusal: &Error) {
    let (mut scanner, mut bytes, mut chunk) = (Scanner::new(Limits::ANSWER), Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = client.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..n]);
        if let Some(end) = scanner.scan(&bytes).expect("a frame") {
            let Ok(Message::Request { id, .. }) = split(&bytes[..end]) else { panic!("no request") };
            let answer = rmp_serde::to_vec_named(&Failure::new(id, refusal)).expect("an answer");
            // who was killed meanwhile does not hear it
            let _ = client.write_all(&answer);
            return;
        }
    }
}
