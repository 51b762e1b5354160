//! From the start of a run to its end, with a real keeper.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, thread};

use rustix::process::{Signal, kill_process};
use support::{Peer, Runs, as_pid, contains, hello, lives, start, start_bytes};
use wezterm_parallel_keeper::rundir;
use wezterm_parallel_schemas::keeper::{
    Mode, ProgramStatus, Progress, Role, StartFailure, StartReport, StopRun, Title, frame,
};

#[test]
fn a_run_leaves_its_log_its_screen_and_its_exit_record() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "echo hello; exit 3"));
    let record = run.wait();
    assert_eq!((record.code, record.signal, record.stopped, record.leftovers), (Some(3), None, false, 0));
    assert_eq!(fs::read(rundir::log_path(&run.dir)).expect("a log"), b"hello\r\n");
    assert!(contains(&fs::read(rundir::screen_path(&run.dir)).expect("a screen"), b"hello"));
    assert!(!run.dir.join("sock").exists());
    assert!(!rundir::is_alive(&run.dir));
    let meta = rundir::read_meta(&run.dir).expect("readable").expect("there");
    assert_eq!((meta.run_id.as_str(), meta.process_id.as_str()), (runs.id("r1").as_str(), "process-of-r1"));
}

#[test]
fn a_run_by_pipes_has_nothing_on_its_input_and_both_outputs_in_the_log() {
    let runs = Runs::new();
    let mut spec = runs.script("r1", "cat; echo out; echo errors >&2; test -t 1 || echo no terminal");
    spec.mode = Mode::Pipe;
    let run = runs.start(&spec);
    assert_eq!(run.wait().code, Some(0));
    assert_eq!(fs::read(rundir::log_path(&run.dir)).expect("a log"), b"out\nerrors\nno terminal\n");
}

#[test]
fn on_pipes_it_reads_what_it_was_given_and_nobody_else_can() {
    let runs = Runs::new();
    let text = "line\n".repeat(100_000);
    let mut spec = runs.script("r1", "cat | wc -c; cat | wc -c");
    spec.mode = Mode::Pipe;
    spec.input = Some(text.clone());
    let run = runs.start(&spec);
    assert!(!run.dir.join("input").exists());
    assert_eq!(run.wait().code, Some(0));
    let log = fs::read_to_string(rundir::log_path(&run.dir)).expect("a log");
    assert_eq!(log, format!("{}\n0\n", text.len()), "once, to its end");
}

#[test]
fn only_the_owner_can_read_a_run() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "exec sleep 1000"));
    let mode = |name: &str| fs::metadata(run.dir.join(name)).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode("."), 0o700);
    for name in ["lock", "meta", "log", "exit.tmp"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert_eq!(mode("sock") & 0o077, 0);
}

#[test]
fn the_environment_is_the_specs_and_the_marks_and_the_kind_of_terminal() {
    let runs = Runs::new();
    let mut spec = runs.script("r1", "env | sort | grep -v -e ^PWD -e ^_ -e ^SHLVL -e ^OLDPWD");
    spec.env.insert("SECRET".into(), "x=y z".into());
    let run = runs.start(&spec);
    run.wait();
    assert_eq!(
        fs::read_to_string(rundir::log_path(&run.dir)).expect("a log").replace("\r\n", "\n"),
        format!(
            "COLORTERM=truecolor\nPATH=/usr/local/bin:/usr/bin:/bin\nSECRET=x=y z\nTERM=xterm-256color\n\
             WEZTERM_PARALLEL_PROCESS=process-of-r1\nWEZTERM_PARALLEL_RUN={}\n",
            runs.id("r1")
        )
    );
    let command_line = format!("/proc/{}/cmdline", run.keeper_pid);
    assert!(!fs::read_to_string(command_line).unwrap_or_default().contains("SECRET"));
}

#[test]
fn what_cannot_start_says_why_and_leaves_nothing() {
    let runs = Runs::new();
    let not_executable = runs.dir.path().join("program");
    fs::write(&not_executable, "text").expect("a file");
    let mut cases = vec![];
    let mut spec = runs.script("r1", "");
    spec.command = vec!["no-such-program".into()];
    cases.push((spec.clone(), StartFailure::Program));
    spec.command = vec![not_executable.to_string_lossy().into()];
    cases.push((spec.clone(), StartFailure::Program));
    spec.command = vec![];
    cases.push((spec, StartFailure::Program));
    let mut spec = runs.script("r1", "");
    spec.cwd = "/no/such/directory".into();
    cases.push((spec, StartFailure::Cwd));
    let mut spec = runs.script("r1", "");
    spec.runs_dir = "/no/such/directory".into();
    cases.push((spec, StartFailure::System));
    cases.push((runs.script("../r1", ""), StartFailure::System));
    for (spec, expected) in cases {
        match start(&spec) {
            StartReport::Failed { reason, message } => assert_eq!(reason, expected, "{message}"),
            other => panic!("{:?} gave {other:?}", spec.command),
        }
    }
    assert!(matches!(start_bytes(b"garbage"), StartReport::Failed { reason: StartFailure::System, .. }));
    fs::remove_file(not_executable).expect("the file");
    assert_eq!(fs::read_dir(runs.dir.path()).expect("the runs").count(), 0);
}

#[test]
fn of_twenty_keepers_for_one_run_exactly_one_gets_through() {
    let runs = Runs::new();
    let marker = runs.dir.path().join("started");
    let spec = runs.script("r1", &format!("echo x >> {}; exec sleep 1000", marker.display()));
    let reports: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(|| start(&spec))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a report")).collect()
    });
    let started = reports.iter().filter(|report| matches!(report, StartReport::Started { .. })).count();
    let exists = reports.iter().filter(|report| matches!(report, StartReport::Exists)).count();
    assert_eq!((started, exists), (1, 19), "{reports:?}");
    let names: Vec<_> =
        fs::read_dir(runs.dir.path()).expect("the runs").flatten().map(|e| e.file_name()).collect();
    assert!(names.iter().all(|name| *name == *runs.id("r1") || name == "started"), "{names:?}");
    let mut control = Peer::hello(&runs.run_dir("r1"), Role::Control, None);
    control.send(frame::STOP, &StopRun { grace_ms: 0 });
    control.wait_for_raw(frame::EXIT);
    assert_eq!(fs::read_to_string(marker).expect("the marker"), "x\n");
    // and never again
    assert_eq!(start(&spec), StartReport::Exists);
}

#[test]
fn the_lock_tells_whether_a_keeper_lives_and_a_killed_ones_processes_are_swept() {
    let runs = Runs::new();
    let script = "trap '' HUP TERM; (trap '' HUP; exec sleep 1001) & echo up; while :; do sleep 1002; done";
    let run = runs.start(&runs.script("r1", script));
    assert!(rundir::is_alive(&run.dir));
    let mut control = run.control();
    run.wait_for_first_output();
    kill_process(run.keeper_pid, Signal::KILL).expect("killed");
    while control.next().is_some() {}
    rundir::wait_until_gone(&run.dir).expect("a lock");
    assert!(!rundir::is_alive(&run.dir));
    assert_eq!(rundir::read_exit(&run.dir).expect("readable"), None);
    assert!(rundir::sweep_marked(&runs.id("r1")) >= 2);
    assert!(!lives(run.pid));
}

#[test]
fn stopping_leaves_nothing_of_a_tree_that_tries_to_get_away() {
    let runs = Runs::new();
    // a background job, a new session, a double fork, and all of them ignore SIGTERM
    let script = "trap '' TERM HUP
        sleep 2001 &
        setsid sleep 2002 &
        (setsid sh -c 'trap \"\" TERM; sleep 2003 & echo $! > pids; exec sleep 2004' &) &
        env -i setsid sleep 2005 &
        echo up
        while :; do sleep 2006; done";
    let mut spec = runs.script("r1", script);
    spec.cwd = runs.dir.path().into();
    let run = runs.start(&spec);
    run.wait_for_first_output();
    let record = run.stop(50);
    assert!(record.stopped);
    assert_eq!(record.signal, Some(9));
    assert!(record.leftovers >= 4, "{record:?}");
    let left = std::process::Command::new("pgrep").args(["-f", "^sleep 200[1-6]$"]).output().expect("pgrep");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn what_a_program_leaves_behind_goes_with_it() {
    let runs = Runs::new();
    // it ends when the one that ignores what would end it does so: the end of a terminal is one of these
    let script = "mkfifo ready; setsid sh -c 'trap \"\" TERM HUP; echo > ready; sleep 2011' & sleep 2012 & \
                  read line < ready; exit 4";
    let mut spec = runs.script("r1", script);
    spec.cwd = runs.dir.path().into();
    let run = runs.start(&spec);
    let record = run.wait();
    assert_eq!((record.code, record.stopped), (Some(4), false));
    assert!(record.leftovers >= 1, "{record:?}");
    let left = std::process::Command::new("pgrep").args(["-f", "sleep 201[12]"]).output().expect("pgrep");
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn a_program_that_takes_sigterm_ends_by_itself_within_its_grace() {
    let runs = Runs::new();
    let run =
        runs.start(&runs.script("r1", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done"));
    run.wait_for_first_output();
    let record = run.stop(60_000);
    assert_eq!((record.code, record.signal, record.stopped), (Some(7), None, true));
    assert!(fs::read_to_string(rundir::log_path(&run.dir)).expect("a log").ends_with("bye\r\n"));
}

#[test]
fn asking_again_shortens_the_grace() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "trap '' TERM; echo up; while :; do sleep 1000; done"));
    // before that, it would still end by a SIGTERM
    run.wait_for_first_output();
    let mut control = run.control();
    control.send(frame::STOP, &StopRun { grace_ms: 3_600_000 });
    control.send(frame::STOP, &StopRun { grace_ms: 0 });
    assert_eq!(control.wait_for::<wezterm_parallel_schemas::keeper::ExitRecord>(frame::EXIT).signal, Some(9));
}

#[test]
fn sigterm_to_the_keeper_stops_the_run_and_a_hangup_does_not() {
    let runs = Runs::new();
    let run = runs.start(&runs.script("r1", "exec sleep 1000"));
    let mut control = run.control();
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TTOU, Signal::PIPE] {
        kill_process(run.keeper_pid, signal).expect("sent");
    }
    control.send(frame::SCREEN, &());
    control.wait_for_raw(frame::SCREEN);
    kill_process(run.keeper_pid, Signal::TERM).expect("sent");
    let record: wezterm_parallel_schemas::keeper::ExitRecord = control.wait_for(frame::EXIT);
    assert_eq!((record.signal, record.stopped), (Some(15), true));
}

#[test]
fn a_run_survives_whoever_started_it() {
    let runs = Runs::new();
    // the starter is a shell in a session of its own that is killed with its whole group
    let spec_file = runs.dir.path().join("spec");
    fs::write(&spec_file, rmp_serde::to_vec_named(&runs.script("r1", "exec sleep 1000")).expect("a spec"))
        .expect("a file");
    let mut starter = std::process::Command::new("setsid")
        .args(["--wait", "sh", "-c", "\"$0\" < \"$1\" | cat; echo; kill -9 0"])
        .args([support::keeper_executable(), spec_file])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a shell");
    starter.wait().expect("it has ended");
    let dir = runs.run_dir("r1");
    assert!(rundir::is_alive(&dir));
    let control = Peer::hello(&dir, Role::Control, None);
    let welcome = control.welcome.expect("a welcome");
    assert!(lives(as_pid(welcome.pid)));
    let status = fs::read_to_string(format!("/proc/{}/status", welcome.keeper_pid)).expect("a status");
    assert!(
        !status.contains("PPid:\t".to_string().as_str())
            || !status.contains(&format!("PPid:\t{}\n", std::process::id()))
    );
}

#[test]
fn orphans_are_reaped_while_the_program_runs() {
    let runs = Runs::new();
    let script = "i=0; while [ $i -lt 50 ]; do (sh -c : &); i=$((i+1)); done; echo made; read x";
    let run = runs.start(&runs.script("r1", script));
    run.wait_for_first_output();
    // a zombie is a child as well: nothing but the program may remain once all have been taken in
    let children =
        || fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.keeper_pid)).expect("children");
    let mut control = run.control();
    while children().split_whitespace().count() > 1 {
        control.send(frame::SCREEN, &());
        control.wait_for_raw(frame::SCREEN);
    }
    assert_eq!(children().trim(), run.pid.to_string());
}

#[test]
fn the_programs_status_and_title_reach_who_steers_at_once() {
    let runs = Runs::new();
    // asks as Claude does, and reports only if it is answered
    let script = r"stty raw -echo; printf '\033]7501;?\007'; head -c 9 > answer; stty sane
        if [ $(wc -c < answer) = 9 ]; then printf '\033]0;a title\007\033]7501;state=working:app=claude-code\007'; fi
        read x; printf '\033]7501;state=idle:app=claude-code\033\\'; read y";
    let mut spec = runs.script("r1", script);
    spec.cwd = runs.dir.path().into();
    let run = runs.start(&spec);
    let mut control = run.control();
    let welcome = control.welcome.clone().expect("a welcome");
    let status = match welcome.status {
        Some(status) => status,
        None => control.wait_for::<ProgramStatus>(frame::STATUS),
    };
    assert_eq!((status.seq, status.body.as_str()), (1, "state=working:app=claude-code"));
    if welcome.title.is_none() && !control.seen.iter().any(|(kind, _)| *kind == frame::TITLE) {
        assert_eq!(control.wait_for::<Title>(frame::TITLE).title, "a title");
    }
    control.type_in(b"\r");
    let status = control.wait_for::<ProgramStatus>(frame::STATUS);
    assert_eq!((status.seq, status.body.as_str()), (2, "state=idle:app=claude-code"));
    let later = run.control().welcome.expect("a welcome");
    assert_eq!((later.status, later.title.as_deref()), (Some(status), Some("a title")));
}

#[test]
fn a_flood_of_reports_leaves_who_steers_connected_and_with_the_newest_of_each() {
    let runs = Runs::new();
    let escaped = |text: &str| text.replace("ESC", "$(printf '\\033')").replace("BEL", "$(printf '\\007')");
    let flood =
        escaped("ESC]9;4;1;5BELESC]9;4;2;6BELESC]0;oneBELESC]7501;state=workingBELESC]7501;state=idleBEL");
    let last = escaped("ESC]9;4;4BELESC]0;lastBELESC]7501;state=blockedBEL");
    let script = format!(
        "read x; yes \"{flood}\" | head -n 40000 | tr -d '\\n'; printf '%s' \"{last}\"; echo over; read y; printf '%s' \"{}\"; read z",
        escaped("ESC]9;4;0BEL")
    );
    let run = runs.start(&runs.script("r1", &script));
    let mut control = run.control();
    let mut observer = Peer::hello(&run.dir, Role::Observe, None);
    control.type_in(b"\r");
    observer.wait_for_output("over");
    // it has read nothing of all that
    let (mut progress, mut title, mut status) = (None, None, None);
    while progress != Some(4)
        || title.as_deref() != Some("last")
        || status.as_deref() != Some("state=blocked")
    {
        let (kind, payload) = control.next().expect("the connection holds");
        match kind {
            frame::PROGRESS => progress = Some(decode::<Progress>(&payload).state),
            frame::TITLE => title = Some(decode::<Title>(&payload).title),
            frame::STATUS => status = Some(decode::<ProgramStatus>(&payload).body),
            _ => {}
        }
    }
    control.type_in(b"\r");
    assert_eq!(control.wait_for::<Progress>(frame::PROGRESS).state, 0);
}

fn decode<T: serde::de::DeserializeOwned>(payload: &[u8]) -> T {
    rmp_serde::from_slice(payload).expect("a message")
}

#[test]
fn a_log_that_cannot_be_written_harms_nobody() {
    let runs = Runs::new();
    // no file may grow above 8 blocks of 512 bytes in whoever starts the keeper: a disk that is full
    let spec_file = runs.dir.path().join("spec");
    let spec = runs.script("r1", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end");
    fs::write(&spec_file, rmp_serde::to_vec_named(&spec).expect("a spec")).expect("a file");
    let ended = std::process::Command::new("sh")
        .args(["-c", "ulimit -f 8; \"$0\" < \"$1\" | cat"])
        .args([support::keeper_executable(), spec_file])
        .stdout(std::process::Stdio::null())
        .status()
        .expect("a shell");
    assert!(ended.success());
    let dir = runs.run_dir("r1");
    if let Ok(mut stream) = rundir::connect(&dir) {
        let _ = std::io::Read::read_to_end(&mut stream, &mut vec![]);
    }
    let record = rundir::read_exit(&dir).expect("readable").expect("a record");
    assert_eq!(record.code, Some(0));
    assert_eq!(record.log_lost + fs::metadata(rundir::log_path(&dir)).expect("a log").len(), 100_007);
    assert!(record.log_lost > 90_000);
}

#[test]
fn a_path_too_long_for_a_socket_is_no_obstacle() {
    let runs = Runs::new();
    let deep = runs.dir.path().join("d".repeat(120));
    fs::create_dir(&deep).expect("a directory");
    let mut spec = runs.script("r1", "exec sleep 1000");
    spec.runs_dir = deep.clone();
    assert!(matches!(start(&spec), StartReport::Started { .. }));
    let mut control = Peer::hello_with(&deep.join(runs.id("r1")), &hello(Role::Control, None), None);
    control.send(frame::STOP, &StopRun { grace_ms: 0 });
    control.wait_for_raw(frame::EXIT);
}

#[test]
fn what_was_abandoned_before_its_directory_stood_is_removed() {
    let runs = Runs::new();
    // a process id that nobody has: of a process that has ended
    let mut gone = std::process::Command::new("true").spawn().expect("true");
    gone.wait().expect("ended");
    fs::create_dir(runs.dir.path().join(format!(".r1.{}", gone.id()))).expect("a directory");
    fs::create_dir(runs.dir.path().join(format!(".r2.{}", std::process::id()))).expect("a directory");
    fs::create_dir(runs.dir.path().join("r3")).expect("a directory");
    assert_eq!(rundir::remove_abandoned(runs.dir.path()).expect("removed"), 1);
    assert_eq!(fs::read_dir(runs.dir.path()).expect("the runs").count(), 2);
}
