//! The wire, from a client's side. Line 7 of what must work, and the parts of "bad input" that concern it:
//! garbage, oversized, half and endless frames, 300 connections.

use std::{fs, path::PathBuf, time::Instant};

use wezterm_parallel_schemas::{
    daemon::{Empty, Hello},
    envelope::{Message, split},
    error::{Code, Error},
    event::{EventKind, Subscribe},
    method::{
        AddProcess, CreateWorkspace, HelloCall, ListProcesses, ListWorkspaces, RestartProcess, StopProcess,
        SubscribeCall,
    },
    process::{ProcessAdd, ProcessList, ProcessStop, State},
    rpc::FRAME_BYTES_MAX,
    workspace::WorkspaceCreate,
};

use crate::support::{
    DEADLINE,
    rpc::Client,
    site::{Site, finish, say},
};

fn site() -> Site {
    let site = Site::new();
    site.config("version: 1\nworkspaces: { w: { cwd: $WORK, processes: { a: { command: [tail, -f, /dev/null] } } } }\n");
    site.daemon();
    site.wait_state("w/a", State::Running);
    site
}

#[test]
fn hello_agrees_on_a_version_and_says_the_limits() {
    let site = site();
    let mut client = Client::connect_silently(&site.socket());
    let welcome = client
        .call::<HelloCall>(Hello { protocol: [1, 99], client: "test".into(), config: None })
        .expect("version 1 is common");
    assert_eq!(welcome.protocol, 1);
    assert_eq!(welcome.config, site.config_path());
    assert_eq!(welcome.limits.frame_bytes as usize, FRAME_BYTES_MAX);
    assert!(welcome.limits.connections > 0 && welcome.limits.in_flight > 0);
}

#[test]
fn without_a_common_version_or_without_hello_the_connection_ends() {
    let site = site();
    let mut newer = Client::connect_silently(&site.socket());
    let error = newer
        .call::<HelloCall>(Hello { protocol: [77, 99], client: "test".into(), config: None })
        .expect_err("no version is common");
    assert_eq!(error.code, Code::BadHello);
    assert_closed(&mut newer, Code::BadHello, "another version");

    let mut rude = Client::connect_silently(&site.socket());
    let error = rude.call::<ListProcesses>(ProcessList::default()).expect_err("it did not say hello");
    assert_eq!(error.code, Code::BadHello);
    assert_closed(&mut rude, Code::BadHello, "no hello");
}

/// The daemon says why, once, and hangs up.
fn assert_closed(client: &mut Client, code: Code, what: &str) {
    let mut reasons = Vec::new();
    while let Some(frame) = client.frame() {
        let said = match split(&frame).expect("a message") {
            Message::Response { id: 0, error: Some(_), result } => result,
            Message::Notification { method: "closing", params } => params,
            other => panic!("neither a reason nor the end: {other:?}"),
        };
        reasons.push(rmp_serde::from_slice::<Error>(said).expect("an error").code);
    }
    // nothing can be said to somebody whose own words were not read to their end
    assert!(reasons.is_empty() || reasons == [code], "{what}: {reasons:?}");
}

#[test]
fn a_call_that_is_amiss_is_answered_and_the_next_one_works() {
    let site = site();
    let mut client = site.client();
    let id = client.send("process.fly", &Empty {});
    assert_eq!(client.answer(id).expect_err("there is none").code, Code::UnknownMethod);
    // a text in place of the map
    client.send_bytes(b"\x94\x00\x07\xacprocess.list\x91\xa3abc");
    assert_eq!(client.answer(7).expect_err("no map").code, Code::BadParams);
    // a number in place of a text
    client.send_bytes(b"\x94\x00\x08\xacprocess.list\x91\x81\xa9workspace\x07");
    assert_eq!(client.answer(8).expect_err("no text").code, Code::BadParams);
    // an unknown key, and no parameters at all
    client.send_bytes(b"\x94\x00\x09\xacprocess.list\x91\x81\xa6colour\xa3red");
    client.answer(9).expect("unknown keys are skipped");
    client.send_bytes(b"\x94\x00\x0a\xacprocess.list\x90");
    client.answer(10).expect("parameters may be left out");
    assert_eq!(client.call::<ListProcesses>(ProcessList::default()).expect("it still works").len(), 1);
}

#[test]
fn an_unknown_name_is_not_found() {
    let site = site();
    let stop = ProcessStop { workspace: Some("w".into()), process: "nobody".into(), ..Default::default() };
    let error = site.client().call::<StopProcess>(stop).expect_err("there is none");
    assert_eq!(error.code, Code::NotFound);
    assert!(error.message.contains("nobody"), "{}", error.message);
}

#[test]
fn many_requests_in_one_write_are_all_answered() {
    let site = site();
    let mut client = site.client();
    let mut bytes = Vec::new();
    for id in 0..30_u8 {
        bytes.extend([0x94, 0x00, id]);
        bytes.extend(b"\xacprocess.list\x90");
    }
    // in two pieces, cut within a message
    client.send_bytes(&bytes[..101]);
    client.send_bytes(&bytes[101..]);
    let mut answered: Vec<u32> = (0..30)
        .map(|_| match split(&client.frame().expect("an answer")) {
            Ok(Message::Response { id, error: None, .. }) => id,
            other => panic!("not an answer: {other:?}"),
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..30).collect::<Vec<u32>>());
}

#[test]
fn the_same_key_has_the_same_effect_once() {
    let site = site();
    let mut client = site.client();
    let create = WorkspaceCreate {
        name: "x".into(),
        cwd: site.project("x"),
        layout: None,
        key: Some("01JD7Z3Q0V0000000000000KEY".into()),
    };
    let first = client.call::<CreateWorkspace>(create.clone()).expect("it is new");
    let again = site.client().call::<CreateWorkspace>(create.clone()).expect("it is the same call");
    assert_eq!(first.id, again.id);
    let other =
        client.call::<CreateWorkspace>(WorkspaceCreate { key: None, ..create }).expect_err("it is there");
    assert_eq!(other.code, Code::Exists);
    let add = |key: &str| ProcessAdd {
        workspace: "x".into(),
        command: vec!["tail".into(), "-f".into(), "/dev/null".into()],
        key: Some(key.into()),
        ..Default::default()
    };
    let one = client.call::<AddProcess>(add("one")).expect("it is new");
    assert_eq!(client.call::<AddProcess>(add("one")).expect("the same call").id, one.id);
    // over a restart of the daemon too
    site.kill_daemon();
    site.daemon();
    let mut client = site.client();
    assert_eq!(client.call::<AddProcess>(add("one")).expect("the same call").id, one.id);
    assert_ne!(client.call::<AddProcess>(add("two")).expect("another call").id, one.id);
}

#[test]
fn events_follow_a_snapshot_without_a_gap_and_can_be_had_again() {
    let site = site();
    let mut client = site.client();
    let snapshot = client.subscribe();
    assert_eq!((snapshot.workspaces.len(), snapshot.processes.len(), snapshot.gap), (1, 1, None));
    let restart = ProcessStop { workspace: Some("w".into()), process: "a".into(), ..Default::default() };
    site.client().call::<RestartProcess>(restart).expect("it runs");
    let mut seen = Vec::new();
    loop {
        let event = client.event();
        assert_eq!(event.seq, snapshot.seq + 1 + seen.len() as u64, "{event:?}");
        let done = event.kind == EventKind::ProcessState && event.state == Some(State::Running);
        seen.push(event);
        if done {
            break;
        }
    }
    assert!(seen.iter().any(|e| e.kind == EventKind::ProcessExit), "{seen:#?}");
    // again, from where the first one began
    let mut later = site.client();
    later
        .call::<SubscribeCall>(Subscribe { topics: vec!["process".into()], from_seq: Some(snapshot.seq) })
        .expect("it is still kept");
    for event in &seen {
        assert_eq!(&later.event(), event);
    }
}

#[test]
fn events_that_are_being_written_down_are_no_gap_to_who_comes_just_then() {
    let site = Site::new();
    // something happens all the time
    let restless = "{ command: [\"true\"], restart: { policy: always, max_restarts: 1000000, backoff: { initial: 1ms, max: 1ms } } }";
    site.config(&format!(
        "version: 1\nworkspaces: {{ w: {{ cwd: $WORK, processes: {{ a: {restless}, b: {restless}, c: {restless} }} }} }}\n"
    ));
    site.daemon();
    let mut last = site.seq();
    for _ in 0..100 {
        let mut client = site.client();
        let from = Subscribe { topics: Vec::new(), from_seq: Some(last) };
        let snapshot = client.call::<SubscribeCall>(from).expect("everybody may subscribe");
        assert_eq!(snapshot.gap, None, "after {last}, at {}", snapshot.seq);
        for expected in last + 1..=snapshot.seq + 1 {
            assert_eq!(client.event().seq, expected);
        }
        last = snapshot.seq;
    }
}

#[test]
fn what_is_no_message_ends_that_connection_and_no_other() {
    let site = site();
    let mut bystander = site.client();
    bystander.call::<ListWorkspaces>(Empty {}).expect("it is served");
    let endless = [
        &b"\x94\x00\x07\xacprocess.list\x91\x81\xa3key\xc6\x00\x0f\x00\x00"[..],
        &vec![0; 2 * FRAME_BYTES_MAX],
    ]
    .concat();
    for (what, bytes) in [
        ("a text", &b"GET / HTTP/1.1\r\n\r\n"[..]),
        ("the reserved byte", b"\xc1"),
        ("an array of 4 Gi", b"\xdd\xff\xff\xff\xff"),
        ("a text of 4 Gi", b"\xdb\xff\xff\xff\xff"),
        ("too deep", &[0x91; 100]),
        ("too many values", &[b"\xdd\x00\x01\x00\x01", &[0xc0; 65_537][..]].concat()),
        ("no message", b"\x94\x07\x07\x07\x07"),
        ("a frame that does not end", &endless),
    ] {
        for greeted in [false, true] {
            let mut client = if greeted { site.client() } else { Client::connect_silently(&site.socket()) };
            client.send_bytes(bytes);
            if greeted {
                assert_closed(&mut client, Code::BadFrame, what);
            } else {
                // a request that is no hello is one more fault, and may be told first
                while client.frame().is_some() {}
            }
        }
    }
    bystander.call::<ListWorkspaces>(Empty {}).expect("it is served as before");
    assert_eq!(site.process("w/a").state, State::Running);
}

#[test]
fn half_a_frame_holds_up_nobody() {
    let site = site();
    let mut halves: Vec<Client> = (0..20).map(|_| site.client()).collect();
    for half in &mut halves {
        half.send_bytes(b"\x94\x00\x07\xacproc");
    }
    site.client().call::<ListWorkspaces>(Empty {}).expect("others are served");
    // and it is given up in the end
    let last = halves.pop().expect("there are twenty").frame();
    assert!(last.is_none() || halves[0].frame().is_some());
}

#[test]
fn three_hundred_connections_are_served_or_told_and_nothing_breaks() {
    let site = site();
    let mut served = 0;
    let mut open = Vec::new();
    for _ in 0..300 {
        let mut client = Client::connect_silently(&site.socket());
        let hello = Hello { protocol: [1, 1], client: "test".into(), config: None };
        let id = client.send("hello", &hello);
        if let Some(frame) = client.frame() {
            let answer = split(&frame).expect("a message");
            served += usize::from(matches!(answer, Message::Response { id: i, error: None, .. } if i == id));
        }
        open.push(client);
    }
    assert!(served >= 100, "only {served} were served");
    // who finds no room is told so, and not that there is no daemon
    site.run(&["status"]).exits(1).says("clients are connected already");
    drop(open);
    // places are given back, one after another
    let deadline = Instant::now() + DEADLINE;
    while site.run(&["status"]).code != 0 {
        assert!(Instant::now() < deadline, "no place was given back");
    }
    assert_eq!(site.process("w/a").state, State::Running);
}

/// Runs a Lua file in Neovim with the socket in `$SOCK`; what it writes to `$OUT` is the result.
fn neovim(site: &Site, lua: &str) -> Option<String> {
    let Ok(nvim) = which("nvim") else {
        say("left out, as there is no nvim on the PATH: a test with Neovim");
        return None;
    };
    let (file, out) = (site.path("tmp/test.lua"), site.path("tmp/out"));
    fs::write(&file, lua).expect("a file of ours");
    let mut command = site.command(nvim);
    command
        .args(["--headless", "-u", "NONE", "-i", "NONE"])
        .args(["-c", &format!("luafile {}", file.display()), "-c", "qa!"])
        .env("SOCK", site.socket())
        .env("OUT", &out);
    let output = finish(command);
    Some(fs::read_to_string(&out).unwrap_or_else(|e| panic!("Neovim wrote nothing ({e}): {output:?}")))
}

fn which(program: &str) -> Result<PathBuf, ()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file()).ok_or(())
}

const NEOVIM: &str = r#"
local function result()
  local ch = vim.fn.sockconnect('pipe', vim.env.SOCK, { rpc = true })
  vim.fn.rpcrequest(ch, 'hello', { protocol = { 1, 1 }, client = 'neovim' })
  return BODY
end
local ok, value = pcall(result)
local f = assert(io.open(vim.env.OUT, 'w'))
f:write(tostring(ok), ' ', type(value) == 'table' and vim.json.encode(value) or tostring(value))
f:close()
"#;

#[test]
fn neovim_drives_it_as_any_client_of_messagepack_rpc_does() {
    let site = site();
    let listing = NEOVIM.replace("BODY", "vim.fn.rpcrequest(ch, 'process.list')");
    let Some(out) = neovim(&site, &listing) else { return };
    let json = out.strip_prefix("true ").unwrap_or_else(|| panic!("Neovim says: {out}"));
    let processes: serde_json::Value = serde_json::from_str(json).expect("json");
    assert_eq!(processes[0]["name"], "a");
    assert_eq!(processes[0]["state"], "running");
    // an empty table of Lua is no parameters
    let empty = NEOVIM.replace("BODY", "vim.fn.rpcrequest(ch, 'workspace.list', {})[1].name");
    assert_eq!(neovim(&site, &empty).as_deref(), Some("true w"));
}

#[test]
fn neovim_shows_our_errors_as_text() {
    let site = site();
    let body = "vim.fn.rpcrequest(ch, 'process.stop', { workspace = 'w', process = 'nobody' })";
    let Some(out) = neovim(&site, &NEOVIM.replace("BODY", body)) else { return };
    assert!(out.starts_with("false ") && out.contains("not_found: ") && out.contains("nobody"), "{out}");
}
