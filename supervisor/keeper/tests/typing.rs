//! Typing on a condition, progress reports, and the choice not to be told, with a real keeper.

mod support;

use support::{Peer, Run, Runs, Window};
use wezterm_parallel_schemas::keeper::{
    ProgramStatus, Progress, Role, Type, TypeRefusal, Typed, Welcome, frame,
};

/// Says each line that it reads, and a status before it with every line that begins with `say`.
const ECHO: &str = r"stty raw -echo; printf '\033]7501;state=idle\007ready.'
    while IFS= read -r line; do
        case $line in say*) printf '\033]7501;state=blocked\007';; esac
        printf 'got:%s.' $line
    done";

fn type_into(control: &mut Peer, order: &Type) -> Typed {
    control.send(frame::TYPE, order);
    control.wait_for(frame::TYPED)
}

fn order(id: u64, status_seq: Option<u64>, quiet_ms: Option<u64>, bytes: &str) -> Type {
    Type { id, status_seq, quiet_ms, bytes: bytes.into() }
}

fn echo(runs: &Runs) -> (Run, Peer, Peer) {
    let run = runs.start(&runs.script("r1", ECHO));
    let mut observer = Peer::hello(&run.dir, Role::Observe, None);
    // what came before is in the log
    if observer.welcome.as_ref().expect("a welcome").log_offset == 0 {
        observer.wait_for_output("ready.");
    }
    let control = run.control();
    (run, control, observer)
}

#[test]
fn what_is_typed_on_a_condition_is_typed_once_and_answered() {
    let runs = Runs::new();
    let (_run, mut control, mut observer) = echo(&runs);
    assert!(control.welcome.as_ref().expect("a welcome").can_type);
    let typed = type_into(&mut control, &order(7, Some(1), Some(60_000), "hello\n"));
    assert_eq!(typed, Typed { id: 7, refused: None, status_seq: 1 });
    observer.wait_for_output("got:hello.");
    // whatever it has said
    assert_eq!(type_into(&mut control, &order(8, None, None, "more\n")).refused, None);
    observer.wait_for_output("got:more.");
}

#[test]
fn nothing_is_typed_after_the_program_has_said_something_newer() {
    let runs = Runs::new();
    let (_run, mut control, mut observer) = echo(&runs);
    type_into(&mut control, &order(1, Some(1), None, "say\n"));
    observer.wait_for_output("got:say.");
    let typed = type_into(&mut control, &order(2, Some(1), None, "lost\n"));
    assert_eq!(typed, Typed { id: 2, refused: Some(TypeRefusal::Status), status_seq: 2 });
    // whoever knows of it may
    let typed = type_into(&mut control, &order(3, Some(2), None, "kept\n"));
    assert_eq!(typed.refused, None);
    let output = observer.wait_for_output("got:kept.");
    assert!(!support::contains(&output, b"lost"), "{}", String::from_utf8_lossy(&output));
    // and is told before it is refused
    let statuses = control.seen.iter().filter(|(kind, _)| *kind == frame::STATUS).count();
    assert_eq!(statuses, 1);
}

#[test]
fn nothing_is_typed_into_the_words_of_somebody_who_is_typing() {
    let runs = Runs::new();
    let (run, mut control, mut observer) = echo(&runs);
    let mut window = Window::new(80, 24);
    let _attached = window.attach(&run.dir);
    // to look at it is not to type
    window.type_in(b"\x1b[I\x1b[<35;3;4M");
    control.wait_for_raw(frame::LOOKED);
    assert_eq!(type_into(&mut control, &order(1, None, Some(600_000), "first\n")).refused, None);
    window.type_in(b"mine\n");
    observer.wait_for_output("mine");
    let typed = type_into(&mut control, &order(2, None, Some(600_000), "second\n"));
    assert_eq!(typed.refused, Some(TypeRefusal::Person));
    assert_eq!(type_into(&mut control, &order(3, None, Some(0), "third\n")).refused, None);
    observer.wait_for_output("got:third.");
}

#[test]
fn what_does_not_fit_is_not_typed_in_part() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "stty raw -echo; echo ready; exec sleep 1000"));
    run.wait_for_first_output();
    let mut control = run.control();
    let large = "x".repeat(700 << 10);
    control.send(frame::TYPE, &order(1, None, None, &large));
    // the first waits for its reader
    let typed = type_into(&mut control, &order(2, None, None, &large));
    assert_eq!((typed.id, typed.refused), (2, Some(TypeRefusal::Full)));
}

#[test]
fn only_who_steers_may_type_on_a_condition() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "exec sleep 1000"));
    let mut observer = Peer::hello(&run.dir, Role::Observe, None);
    observer.send(frame::TYPE, &order(1, None, None, "x"));
    let why = observer.wait_for_raw(frame::ERROR);
    assert_eq!(String::from_utf8_lossy(&why), "this connection may not type");
}

#[test]
fn progress_is_told_to_who_steers_and_repeated_in_the_welcome() {
    let runs = Runs::new();
    let script =
        r"stty raw -echo; read x; printf '\033]9;4;1;40\007'; read x; printf '\033]9;4;3\007done.'; read x";
    let run = runs.start(&runs.script("r1", script));
    let mut control = run.control();
    assert_eq!(control.welcome.as_ref().expect("a welcome").progress, None);
    type_into(&mut control, &order(1, None, None, "\n"));
    let told: Progress = control.wait_for(frame::PROGRESS);
    assert_eq!((told.seq, told.state, told.value), (1, 1, Some(40)));
    type_into(&mut control, &order(2, None, None, "\n"));
    let told: Progress = control.wait_for(frame::PROGRESS);
    let Welcome { progress, .. } = run.control().welcome.expect("a welcome");
    assert_eq!(progress, Some(told));
}

#[test]
fn a_program_that_is_not_to_report_gets_no_answer_and_is_heard_if_it_does() {
    let runs = Runs::new();
    let script = r"stty raw -echo min 0 time 5; printf '\033]7501;?\007'; answer=$(head -c 9 | wc -c)
        printf '\033]7501;state=answered-%d\007' $answer; stty min 1; exec sleep 1000";
    let mut spec = runs.script("r1", script);
    spec.program_status = false;
    let run = runs.start(&spec);
    let mut control = run.control();
    let status = control.welcome.as_ref().expect("a welcome").status.clone();
    let status = status.unwrap_or_else(|| control.wait_for::<ProgramStatus>(frame::STATUS));
    assert_eq!(status.body, "state=answered-0");
}
