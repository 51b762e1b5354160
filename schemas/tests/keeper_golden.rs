//! The keeper's protocol, byte by byte. A keeper may be years older than who talks to it: these files
//! are never edited. A new field or frame gets a new file.
//!
//! To add one, write its value below and run with `WRITE_GOLDEN=1`, which writes only files that are
//! not there yet.

use std::{fs, path::PathBuf};

use indexmap::IndexMap;
use serde::{Serialize, de::DeserializeOwned};
use wezterm_parallel_schemas::keeper::{
    Attached, ExitRecord, Frames, HEADER_BYTES, Hello, Looked, Mode, PAYLOAD_BYTES_MAX, ProgramStatus,
    Progress, Role, RunMeta, RunSpec, Size, StartFailure, StartReport, StopRun, Title, Type, TypeRefusal,
    Typed, VERSION, Welcome, encode, encode_bytes, frame,
};

/// The value's bytes are those of the file, and the file's bytes are the value.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let bytes = rmp_serde::to_vec_named(value).expect("a value that can be encoded");
    check_bytes(name, &bytes);
    let path = path(name);
    let golden = fs::read(path).expect("the golden file");
    assert_eq!(&rmp_serde::from_slice::<T>(&golden).expect("the golden bytes"), value, "{name}");
}

fn check_bytes(name: &str, bytes: &[u8]) {
    let path = path(name);
    if std::env::var_os("WRITE_GOLDEN").is_some() && !path.exists() {
        fs::write(&path, bytes).expect("the golden file");
    }
    let golden = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(golden == bytes, "{name}: {}\nis not {}", show(bytes), show(&golden));
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/keeper").join(name)
}

fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

fn status() -> ProgramStatus {
    ProgramStatus { seq: 7, at: 1_795_000_000_123, body: "state=working:app=claude-code".into() }
}

fn run_spec() -> RunSpec {
    RunSpec {
        run_id: "01JD0000000000000000000000".into(),
        process_id: "01JC0000000000000000000000".into(),
        runs_dir: "/state/runs".into(),
        mode: Mode::Pty,
        command: vec!["claude".into(), "--resume".into(), "x".into()],
        cwd: "/home/me/src".into(),
        env: IndexMap::from([("PATH".into(), "/usr/bin".into()), ("LANG".into(), "C.UTF-8".into())]),
        size: Size { cols: 120, rows: 40 },
        history_bytes: 1 << 20,
        log_bytes: 8 << 20,
        log_files: 4,
        program_status: true,
        input: None,
    }
}

#[test]
fn a_run_spec_is_read_by_every_release() {
    check("run_spec", &run_spec());
    let input = Some("write the tests\n".into());
    check("run_spec_input", &RunSpec { mode: Mode::Pipe, input, ..run_spec() });
}

#[test]
fn what_a_keeper_reports_is_read_by_every_release() {
    check(
        "start_report_started",
        &StartReport::Started { keeper_pid: 4711, pid: 4712, started_at: 1_795_000_000_000 },
    );
    check("start_report_exists", &StartReport::Exists);
    for (name, reason) in [
        ("start_report_program", StartFailure::Program),
        ("start_report_cwd", StartFailure::Cwd),
        ("start_report_system", StartFailure::System),
    ] {
        check(name, &StartReport::Failed { reason, message: "run nothing: no such file".into() });
    }
}

#[test]
fn the_files_of_a_run_are_read_by_every_release() {
    check(
        "meta",
        &RunMeta { run_id: "r".into(), process_id: "p".into(), keeper_pid: 4711, version: "0.1.0".into() },
    );
    check(
        "exit_record",
        &ExitRecord {
            code: None,
            signal: Some(15),
            ended_at: 1_795_000_000_456,
            stopped: true,
            leftovers: 3,
            cpu_ms: 1234,
            max_rss_kib: 200_000,
            log_lost: 5,
            note: Some("2 of its processes could not be killed".into()),
        },
    );
}

#[test]
fn every_message_is_read_by_every_release() {
    let size = Size { cols: 80, rows: 24 };
    let hello = |role, size| Hello {
        version: VERSION,
        role,
        size,
        detach_key: vec![0x1c],
        read_only: true,
        mark: None,
    };
    check("hello_attach", &hello(Role::Attach, Some(size)));
    check("hello_control", &hello(Role::Control, None));
    check("hello_observe", &hello(Role::Observe, None));
    check("size", &size);
    check("stop", &StopRun { grace_ms: 3000 });
    check("status", &status());
    check("title", &Title { title: "✳ Claude Code".into() });
    check("attached", &Attached { clients: 2 });
    check("looked", &Looked { seq: 7 });
    check(
        "welcome",
        &Welcome {
            version: VERSION,
            run_id: "r".into(),
            keeper_pid: 4711,
            pid: 4712,
            started_at: 1_795_000_000_000,
            size,
            log_offset: 12_345,
            status: Some(status()),
            title: Some("title".into()),
            attached: 1,
            looked_seq: 0,
            progress: None,
            can_type: false,
        },
    );
}

#[test]
fn frames_and_their_kinds_are_what_they_were() {
    let kinds = [
        frame::HELLO,
        frame::INPUT,
        frame::RESIZE,
        frame::STOP,
        frame::SCREEN,
        frame::WELCOME,
        frame::OUTPUT,
        frame::STATUS,
        frame::TITLE,
        frame::ATTACHED,
        frame::DETACHED,
        frame::EXIT,
        frame::ERROR,
    ];
    let mut bytes = vec![];
    for kind in kinds {
        encode(kind, b"payload", &mut bytes);
    }
    check_bytes("frames", &bytes);
}

#[test]
fn what_came_with_later_releases_is_read_by_every_later_one() {
    check("progress", &Progress { seq: 3, at: 1_795_000_000_123, state: 1, value: Some(40) });
    let typing = Type { id: 5, status_seq: Some(7), quiet_ms: Some(2_000), bytes: b"hello\r".to_vec() };
    check("type", &typing);
    check("typed", &Typed { id: 5, refused: None, status_seq: 7 });
    check(
        "welcome.2",
        &Welcome {
            version: VERSION,
            run_id: "r".into(),
            keeper_pid: 4711,
            pid: 4712,
            started_at: 1_795_000_000_000,
            size: Size { cols: 80, rows: 24 },
            log_offset: 12_345,
            status: None,
            title: None,
            attached: 0,
            looked_seq: 0,
            progress: Some(Progress { seq: 3, at: 1_795_000_000_123, state: 3, value: None }),
            can_type: true,
        },
    );
    for (name, refused) in [
        ("typed_status", TypeRefusal::Status),
        ("typed_person", TypeRefusal::Person),
        ("typed_full", TypeRefusal::Full),
    ] {
        check(name, &Typed { id: 5, refused: Some(refused), status_seq: 8 });
    }
    check(
        "hello_attach.2",
        &Hello {
            version: VERSION,
            role: Role::Attach,
            size: Some(Size { cols: 80, rows: 24 }),
            detach_key: vec![0x1c],
            read_only: false,
            mark: Some("web/lead".into()),
        },
    );
    let mut bytes = vec![];
    encode(frame::ANNOUNCE, b"payload", &mut bytes);
    check_bytes("frames.3", &bytes);
    let mut bytes = vec![];
    for kind in [frame::TYPE, frame::TYPED, frame::PROGRESS] {
        encode(kind, b"payload", &mut bytes);
    }
    check_bytes("frames.2", &bytes);
}

#[test]
fn a_run_spec_of_before_the_choice_tells_the_program_that_its_status_is_welcome() {
    let golden = fs::read(path("run_spec")).expect("the golden file");
    assert!(rmp_serde::from_slice::<RunSpec>(&golden).expect("a run").program_status);
}

#[test]
fn an_older_hello_without_the_later_fields_is_understood() {
    #[derive(Serialize)]
    struct Older {
        version: u32,
        role: Role,
        something_newer: u8,
    }
    let bytes = rmp_serde::to_vec_named(&Older { version: 1, role: Role::Control, something_newer: 1 });
    let hello: Hello = rmp_serde::from_slice(&bytes.expect("bytes")).expect("a hello");
    assert_eq!((hello.size, hello.detach_key.len(), hello.read_only), (None, 0, false));
    assert_eq!(hello.mark, None);
}

#[test]
fn frames_are_found_however_they_arrive() {
    let mut bytes = vec![];
    encode(b'a', b"", &mut bytes);
    encode(b'b', &[7; 1000], &mut bytes);
    encode(b'c', b"end", &mut bytes);
    for size in [1, 2, 3, 7, 500, 5000] {
        let (mut frames, mut found) = (Frames::default(), vec![]);
        for piece in bytes.chunks(size) {
            frames.push(piece);
            while let Some((kind, payload)) = frames.take().expect("within the bound") {
                found.push((kind, payload.len()));
            }
        }
        assert_eq!(found, [(b'a', 0), (b'b', 1000), (b'c', 3)], "in pieces of {size}");
        assert!(!frames.is_partial());
    }
}

#[test]
fn a_frame_above_the_bound_is_refused_by_its_header_alone() {
    let mut frames = Frames::default();
    let length = u32::try_from(PAYLOAD_BYTES_MAX + 1).expect("small");
    frames.push(&[&[b'x'][..], &length.to_le_bytes()].concat());
    assert_eq!(frames.take().expect_err("too long").bytes, length);
    let mut frames = Frames::default();
    frames.push(&[&[b'x'][..], &(length - 1).to_le_bytes()].concat());
    assert_eq!(frames.take(), Ok(None));
    assert!(frames.is_partial());
}

#[test]
fn bytes_above_the_bound_are_split() {
    let mut bytes = vec![];
    encode_bytes(b'O', &vec![1; PAYLOAD_BYTES_MAX + 5], &mut bytes);
    assert_eq!(bytes.len(), PAYLOAD_BYTES_MAX + 5 + 2 * HEADER_BYTES);
}
