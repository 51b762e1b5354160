//! One clear error where a person looks, and nothing else is harmed: the list "bad input". What concerns
//! the config is in `config.rs`, frames and connections are in `wire.rs`, killed keepers in `durability.rs`.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
};

use wezterm_parallel_schemas::{process::State, workspace::WorkspaceView};

use crate::support::site::{Site, finish, lives, say};

#[test]
fn a_program_that_is_not_there_is_named() {
    let site = Site::new();
    site.config(
        "version: 1
workspaces:
  w:
    cwd: $WORK
    processes:
      a: { command: [no-such-program-of-ours], restart: { policy: never } }
      b: { command: [tail, -f, /dev/null] }
",
    );
    site.daemon();
    let failed = site.wait_state("w/a", State::Failed);
    let reason = failed.state_reason.expect("a failure has a reason");
    assert!(reason.contains("no-such-program-of-ours"), "{reason}");
    site.wait_state("w/b", State::Running);
    site.run(&["process", "start", "w/a"]).exits(1).says("no-such-program-of-ours");
}

#[test]
fn a_missing_claude_says_what_to_do() {
    let site = Site::new();
    // nothing but a shell, so that no claude and no npm of this machine is found
    std::os::unix::fs::symlink("/bin/sh", site.path("bin/sh")).expect("a new link");
    site.set_env("PATH", site.path("bin").to_str().expect("text"));
    site.config(
        "version: 1\nworkspaces: { w: { cwd: $WORK, processes: { lead: { agent: claude, restart: { policy: never } } } } }\n",
    );
    site.daemon();
    let failed = site.wait_state("w/lead", State::Failed);
    let reason = failed.state_reason.expect("a failure has a reason");
    assert!(reason.contains("claude"), "{reason}");
    site.run(&["process", "start", "w/lead"]).exits(1).says("claude");
}

#[test]
fn a_directory_that_is_gone_is_named() {
    let site = Site::new();
    site.project("gone");
    site.config(
        "version: 1
workspaces:
  w: { cwd: $WORK/gone, processes: { a: { command: [tail, -f, /dev/null], restart: { policy: never } } } }
  v: { cwd: $WORK, processes: { a: { command: [tail, -f, /dev/null] } } }
",
    );
    fs::remove_dir(site.path("work/gone")).expect("it is empty");
    site.daemon();
    let failed = site.wait_state("w/a", State::Failed);
    let reason = failed.state_reason.expect("a failure has a reason");
    assert!(reason.contains("gone"), "{reason}");
    site.wait_state("v/a", State::Running);
    let workspaces: Vec<WorkspaceView> = site.run(&["workspace", "list", "--json"]).ok().json();
    assert!(workspaces.iter().any(|w| w.name == "w" && w.problem.is_some()), "{workspaces:#?}");
    site.run(&["process", "start", "w/a"]).exits(1).says("gone");
}

#[test]
fn a_second_daemon_finds_the_first_one() {
    let site = Site::new();
    site.config("version: 1\n");
    site.daemon();
    let pid = site.daemon_pid();
    // asking again is fine, serving twice is not
    site.run(&["daemon"]).ok();
    assert_eq!(site.daemon_pid(), pid);
    let output = site.run(&["daemon", "--foreground"]).exits(1);
    assert!(output.err.contains(&pid.to_string()), "it says which one: {}", output.err);
    assert_eq!(site.daemon_pid(), pid);
    // one state directory has one daemon, whatever the runtime directory
    let mut other = site.command(crate::support::site::executable());
    let runtime = site.path("tmp/other-run");
    fs::create_dir(&runtime).expect("a new directory");
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).expect("it is ours");
    other.args(["daemon", "--foreground"]).env("XDG_RUNTIME_DIR", runtime);
    finish(other).exits(1).says(&pid.to_string());
}

#[test]
fn a_stale_socket_is_no_obstacle() {
    let site = Site::new();
    site.config("version: 1\n");
    site.daemon();
    site.kill_daemon();
    assert!(site.socket().exists());
    site.run(&["status"]).exits(3);
    site.daemon();
    site.run(&["status"]).ok();
}

#[test]
fn a_socket_path_that_is_too_long_is_refused_with_its_length() {
    let site = Site::new();
    site.config("version: 1\n");
    let long = site.path("tmp").join("x".repeat(120));
    fs::create_dir(&long).expect("a new directory");
    fs::set_permissions(&long, fs::Permissions::from_mode(0o700)).expect("it is ours");
    site.set_env("WEZTERM_PARALLEL_RUNTIME_DIR", long.to_str().expect("text"));
    site.run(&["daemon"]).exits(1).says("103").says("WEZTERM_PARALLEL_RUNTIME_DIR");
    assert_eq!(site.living(), []);
}

#[test]
fn a_runtime_directory_that_others_can_enter_is_refused_and_not_repaired() {
    let site = Site::new();
    site.config("version: 1\n");
    let open = site.path("run/wezterm-parallel");
    fs::create_dir(&open).expect("a new directory");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("it is ours");
    site.run(&["daemon"]).exits(1).says("chmod 700").says(open.to_str().expect("text"));
    let mode = fs::metadata(&open).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o755);
    assert_eq!(site.living(), []);
}

#[test]
fn a_runtime_directory_of_somebody_else_is_refused() {
    let site = Site::new();
    site.config("version: 1\n");
    let theirs = site.path("run/wezterm-parallel");
    fs::create_dir(&theirs).expect("a new directory");
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o700)).expect("it is ours");
    if chown(&theirs, Some(65_534), Some(65_534)).is_err() {
        say("left out, as it takes root: a runtime directory of another user");
        return;
    }
    site.run(&["daemon"]).exits(1).says(theirs.to_str().expect("text"));
    assert_eq!(site.living(), []);
}

#[test]
fn a_link_in_place_of_the_runtime_directory_is_refused() {
    let site = Site::new();
    site.config("version: 1\n");
    let target = site.path("tmp/target");
    fs::create_dir(&target).expect("a new directory");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).expect("it is ours");
    std::os::unix::fs::symlink(&target, site.path("run/wezterm-parallel")).expect("a new link");
    site.run(&["daemon"]).exits(1).says("run/wezterm-parallel");
    assert_eq!(site.living(), []);
}

#[test]
fn another_users_connection_is_closed_unread() {
    use std::os::unix::process::CommandExt;
    let site = Site::new();
    site.config("version: 1\n");
    site.daemon();
    // the directories in between are opened, so that only the daemon's own check is left
    let socket = site.socket();
    for dir in [site.path(""), site.path("run"), site.path("run/wezterm-parallel")] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).expect("it is ours");
    let mut other = site.command("python3");
    let hello = r"b'\x94\x00\x01\xa5hello\x91\x81\xa8protocol\x92\x01\x01'";
    other
        .args(["-c", &format!("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(60)\ntry: s.sendall({hello}); d=s.recv(9)\nexcept OSError: d=b''\nprint(len(d))")])
        .arg(&socket)
        .current_dir("/")
        .uid(65_534)
        .gid(65_534);
    if rustix::process::geteuid().is_root() {
        let output = finish(other).ok();
        assert_eq!(output.out.trim(), "0", "it was answered");
    } else {
        say("left out, as it takes root: a connection of another user");
    }
    site.run(&["status"]).ok();
    for dir in [site.path("run/wezterm-parallel"), site.path("run"), site.path("")] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).expect("it is ours");
    }
}

#[test]
fn a_full_disk_is_said_and_what_runs_goes_on() {
    let site = Site::new();
    let state = site.path("state");
    let mut mount = site.command("mount");
    mount.args(["-t", "tmpfs", "-o", "size=4m,mode=0700", "wezterm-parallel-test"]).arg(&state);
    if finish(mount).code != 0 {
        say("left out, as it takes leave to mount: a full disk");
        return;
    }
    let _unmount = Unmount(state.clone());
    site.config("version: 1\nworkspaces: { w: { cwd: $WORK, processes: { a: { command: [tail, -f, /dev/null] } } } }\n");
    site.daemon();
    let running = site.wait_state("w/a", State::Running);
    let fill = fs::File::create(state.join("fill")).expect("there is room");
    let zeros = vec![0_u8; 1 << 16];
    while std::io::Write::write_all(&mut &fill, &zeros).is_ok() {}

    let project = site.project("x");
    let create = site.run(&["workspace", "create", "x", "--cwd", project.to_str().expect("text")]).exits(1);
    assert!(create.err.contains("disk") || create.err.contains("space"), "{}", create.err);
    assert_eq!(site.process("w/a").pid, running.pid);
    assert!(lives(running.pid.expect("it runs")));

    // the room is free when nobody has the file open any more
    drop(fill);
    fs::remove_file(state.join("fill")).expect("it is ours");
    site.run(&["workspace", "create", "x", "--cwd", project.to_str().expect("text")]).ok();
    site.run(&["stop", "--yes"]).ok();
}

/// Takes a file system away again.
struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn names_that_cannot_be_are_refused() {
    let site = Site::new();
    site.config("version: 1\n");
    site.daemon();
    let cwd = site.project("x");
    let cwd = cwd.to_str().expect("text");
    for name in ["", "a/b", "..", "a b", "a\nb", "\u{1b}[31m", "日本"] {
        let output = site.run(&["workspace", "create", name, "--cwd", cwd]);
        assert!(matches!(output.code, 1 | 2), "{name:?}: {output:?}");
        assert!(!output.err.contains('\u{1b}'), "{output:?}");
    }
    site.run(&["workspace", "create", "fine-1.x", "--cwd", cwd]).ok();
}
