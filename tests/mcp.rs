//! What supervised Claudes ask by our MCP server: the real Claude calls the tools, the daemon sees whose child
//! the server is. Left out by `WEZTERM_PARALLEL_SKIP_CLAUDE=1`, but for what needs no Claude.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::symlink,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};
use wezterm_parallel_schemas::{
    PROTOCOL,
    daemon::Hello,
    event::EventKind,
    inbox::InboxList,
    mcp::{ASKED_TOOLS, FREE_TOOLS},
    method::{AddTask, HelloCall, ListAsks, ListTasks, Method, ShowTask},
    process::State,
    rpc::Request,
    task::{TaskAdd, TaskList, TaskState, TaskTarget},
};

use crate::support::{
    DEADLINE,
    mock::Request as Asked,
    site::{Site, executable, wait_end},
};

/// What a process of a Claude looks like that begins with this prompt.
fn process(name: &str, args: &str, prompt: &str) -> String {
    let prompt = Value::from(prompt);
    format!("{name}: {{ agent: claude, args: [{args}, {prompt}], restart: {{ policy: never }} }}")
}

/// A place in which these processes run in the workspace `api`.
fn site(more: &str, processes: &[String]) -> Option<Site> {
    let site = Site::with_claude()?;
    site.project("api");
    // what an agent starts by its shell
    symlink(executable(), site.path("bin/wezterm-parallel")).expect("a new link");
    site.config(&format!(
        "version: 1\n{more}\nworkspaces:\n  api: {{ cwd: $WORK/api, processes: {{ {} }} }}\n",
        processes.join(", ")
    ));
    site.daemon();
    Some(site)
}

fn tool(name: &str, input: &Value) -> String {
    format!("[[tool:mcp__wezterm-parallel__{name}:{input}]]")
}

/// Waits until so many tools have given something back to the Claude whose prompt begins so.
fn results(site: &Site, prompt: &str, count: usize) -> Vec<String> {
    let fits = |r: &Asked| r.prompt.starts_with(prompt) && r.results.len() >= count;
    site.mock().wait(&format!("{count} results of {prompt}"), fits).results
}

#[test]
fn a_supervised_claude_adds_a_task_without_being_asked_and_it_runs() {
    let task = json!({ "prompt": "[[text:the tests are written]]", "name": "helper", "priority": -1 });
    let wait = json!({ "tasks": ["helper"] });
    let steps = format!(
        "lead {}{}{}[[text:the turn is over]]",
        tool("task_add", &task),
        tool("task_wait", &wait),
        tool("task_show", &json!({ "task": "helper" }))
    );
    let Some(site) = site("", &[process("lead", "-p", &steps)]) else { return };
    let heard = results(&site, "lead", 3);
    assert!(heard[0].contains("\"added_by\":\"api/lead\""), "{heard:#?}");
    assert!(heard[1].contains("\"over\":true") && heard[1].contains("\"state\":\"done\""), "{heard:#?}");
    assert!(heard[2].contains("the tests are written"), "{heard:#?}");
    let tasks = site.client().call::<ListTasks>(TaskList::default()).expect("a list");
    assert_eq!((tasks.len(), tasks[0].state, tasks[0].priority), (1, TaskState::Done, -1));
    assert_eq!(tasks[0].added_by.as_deref(), Some("api/lead"));
    assert_eq!(tasks[0].cwd, site.path("work/api").canonicalize().expect("it is there"));
    assert_eq!(site.client().call::<ListAsks>(InboxList::default()), Ok(Vec::new()));
}

#[test]
fn the_claude_of_a_task_adds_a_task_too_and_may_cancel_that_and_no_other() {
    let Some(site) = site("", &[]) else { return };
    let added = json!({ "prompt": "[[hang]]", "name": "inner" });
    let cancel = |name: &str| tool("task_cancel", &json!({ "task": name }));
    let prompt = format!(
        "outer {}{}{}[[text:the turn is over]]",
        tool("task_add", &added),
        cancel("of the user"),
        cancel("inner")
    );
    let add = |prompt: &str, name: &str| TaskAdd {
        prompt: Some(prompt.into()),
        name: Some(name.into()),
        workspace: Some("api".into()),
        ..TaskAdd::default()
    };
    site.client().call::<AddTask>(add("[[hang]]", "of the user")).expect("added");
    let outer = site.client().call::<AddTask>(add(&prompt, "outer")).expect("added");
    let heard = results(&site, "outer", 3);
    assert!(heard[0].contains(&format!("\"added_by\":\"{}\"", outer.id)), "{heard:#?}");
    assert!(heard[1].contains("may only touch tasks that it has added (forbidden)"), "{heard:#?}");
    assert!(heard[2].contains("canceled"), "{heard:#?}");
    let refused = site.wait_event(0, "it is refused", |e| e.kind == EventKind::AgentRefused);
    assert_eq!(refused.task, Some(outer.id));
    assert_eq!(refused.method.as_deref(), Some("task.cancel"));
}

#[test]
fn a_message_to_another_agent_is_asked_of_the_user_and_bears_the_name_of_its_sender() {
    let send = tool("process_send", &json!({ "process": "api/second", "text": "/clear and look at db.rs" }));
    let Some(site) = site(
        "",
        &[
            process("lead", "-p", &format!("lead {send}[[text:the turn is over]]")),
            process("second", "--permission-mode, manual", "[[text:here]]"),
        ],
    ) else {
        return;
    };
    let event = site.wait_event(0, "it asks", |e| e.kind == EventKind::InboxAsked);
    assert_eq!(event.process.as_deref(), Some("lead"));
    site.run(&["inbox", "allow", "api/lead"]).ok();
    let got = site.mock().wait("the message", |r| r.prompt.contains("db.rs") && !r.prompt.contains("lead ["));
    assert!(
        got.prompt.starts_with("Message from api/lead. It is another agent and not your user"),
        "{got:?}"
    );
    assert!(got.prompt.ends_with("/clear and look at db.rs"), "{got:?}");
    let heard = results(&site, "lead", 1);
    assert!(heard[0].contains("\"to\":\"api/second\""), "{heard:#?}");
}

#[test]
fn a_rule_may_let_agents_speak_to_each_other() {
    let send = tool("process_send", &json!({ "process": "api/second", "text": "hello" }));
    let rule = "permissions: [{ allow: mcp__wezterm-parallel__process_send }]";
    let Some(site) = site(
        rule,
        &[
            process("lead", "-p", &format!("lead {send}[[text:the turn is over]]")),
            process("second", "--permission-mode, manual", "[[text:here]]"),
        ],
    ) else {
        return;
    };
    site.mock().wait("the message", |r| r.prompt.starts_with("Message from api/lead"));
}

fn hex(frames: &[Vec<u8>]) -> String {
    frames.concat().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn what_an_agent_may_not_it_may_not_by_any_way() {
    let hello = Hello { protocol: PROTOCOL, client: "test".into(), config: None };
    let encode = |method: &str, id: u32, params: &Value| {
        rmp_serde::to_vec_named(&Request::new(id, method, params)).expect("it encodes")
    };
    let touch = json!({ "command": ["touch", "made"], "workspace": "api" });
    let relayed = hex(&[
        rmp_serde::to_vec_named(&Request::new(1, HelloCall::NAME, &hello)).expect("it encodes"),
        encode("task.add", 2, &touch),
        encode("workspace.open", 3, &json!({ "workspace": "api", "environment": { "PATH": "/tmp" } })),
        encode("process.add", 4, &json!({ "workspace": "api", "resume": "0123" })),
        encode("process.stop", 5, &json!({ "process": "api/other" })),
    ]);
    let steps = format!(
        "lead [[bash:wezterm-parallel inbox allow api/other]][[bash:wezterm-parallel relay {relayed} | strings]]{}\
         [[bash:wezterm-parallel process send --now api/other hi]][[bash:wezterm-parallel process stop api/program]]\
         [[text:the turn is over]]",
        tool("task_add", &json!({ "prompt": "x", "priority": 5 }))
    );
    let program = "program: { command: [tail, -f, /dev/null] }".to_owned();
    let Some(site) = site(
        "",
        &[
            program,
            process("other", "--permission-mode, manual", "[[bash:echo hi > made]]"),
            process("lead", "-p, --dangerously-skip-permissions", &steps),
        ],
    ) else {
        return;
    };
    let heard = results(&site, "lead", 5);
    assert!(heard[0].contains("the agent api/lead may not decide what agents may do"), "{heard:#?}");
    for what in [
        "an agent may not run commands as tasks",
        "may not open a workspace",
        "may not go on with a session",
        "may not start or end other agents",
    ] {
        assert!(heard[1].contains(what), "{what}: {heard:#?}");
    }
    assert!(heard[2].contains("may not put its tasks before others"), "{heard:#?}");
    // what is of its own workspace, and no agent, it may
    site.wait_state("api/program", State::Stopped);
    assert!(!site.path("work/api/made").exists());
    let refused: Vec<String> = ["inbox.allow", "task.add", "workspace.open", "process.add", "process.stop"]
        .iter()
        .filter_map(|method| {
            let is_it = |e: &wezterm_parallel_schemas::event::Event| {
                e.kind == EventKind::AgentRefused && e.method.as_deref() == Some(*method)
            };
            site.wait_event(0, method, is_it).process
        })
        .collect();
    assert_eq!(refused, ["lead"; 5]);
    // its words in the other one's terminal are its own
    assert!(site.mock().count(|r| r.prompt == "hi") == 0);
}

#[test]
fn the_config_says_whether_an_agent_gets_the_tools() {
    let prompt = format!("lead {}[[text:the turn is over]]", tool("lease_list", &json!({})));
    let off = "agents: { claude: { mcp: false } }";
    let Some(site) = site(off, &[process("lead", "-p", &prompt)]) else { return };
    let heard = results(&site, "lead", 1);
    assert!(heard[0].contains("No such tool"), "{heard:#?}");
    let id = site.process("api/lead").id;
    let file = site.path("state/wezterm-parallel/settings").join(format!("{id}.mcp.json"));
    assert!(!file.exists());
}

#[test]
fn what_of_a_task_is_secret_is_not_shown_to_an_agent() {
    let prompt = format!("lead {}[[text:over]]", tool("task_show", &json!({ "task": "of the user" })));
    let Some(site) = site("", &[]) else { return };
    let add = |prompt: &str, name: &str| TaskAdd {
        prompt: Some(prompt.into()),
        name: Some(name.into()),
        workspace: Some("api".into()),
        env: [("TOKEN".into(), "secret".into())].into_iter().collect(),
        ..TaskAdd::default()
    };
    let user = site.client().call::<AddTask>(add("[[hang]]", "of the user")).expect("added");
    site.client().call::<AddTask>(add(&prompt, "lead")).expect("added");
    let heard = results(&site, "lead", 1);
    assert!(heard[0].contains("of the user") && !heard[0].contains("secret"), "{heard:#?}");
    let shown = site.client().call::<ShowTask>(TaskTarget { task: user.id, key: None }).expect("it is there");
    assert_eq!(shown.asked.env["TOKEN"], "secret");
}

/// The server by itself, as a client of the protocol has it.
struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    id: u64,
}

impl Server {
    fn start(site: &Site) -> Self {
        let mut command = site.command(executable());
        command.arg("mcp").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the executable can be run");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let stdin = child.stdin.take();
        let mut server = Self { child, stdin, lines, id: 0 };
        let client = json!({ "name": "test", "version": "1" });
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        let welcome = server.ask("initialize", &hello);
        assert_eq!(welcome["serverInfo"]["name"], "wezterm-parallel");
        server.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        server
    }

    fn say(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().expect("it is open");
        writeln!(stdin, "{message}").expect("it reads");
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.id += 1;
        self.say(&json!({ "jsonrpc": "2.0", "id": self.id, "method": method, "params": params }));
        let line = self.lines.recv_timeout(DEADLINE).expect("it answers");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(answer["id"], self.id, "{answer}");
        answer["result"].clone()
    }

    /// What a tool says, and whether it is an error.
    fn tool(&mut self, name: &str, arguments: &Value) -> (String, bool) {
        let result = self.ask("tools/call", &json!({ "name": name, "arguments": arguments }));
        let text = result["content"][0]["text"].as_str().expect("a text").to_owned();
        (text, result["isError"] == true)
    }

    fn end(mut self) {
        self.stdin = None;
        wait_end(i32::try_from(self.child.id()).expect("a process id"));
        assert!(self.child.wait().expect("it is our child").success());
    }
}

#[test]
fn the_server_goes_on_over_restarts_of_the_daemon_and_says_when_there_is_none() {
    let site = Site::new();
    site.config("version: 1\n");
    site.daemon();
    let mut server = Server::start(&site);
    let listed = server.ask("tools/list", &json!({}));
    let named: Vec<&str> =
        listed["tools"].as_array().into_iter().flatten().filter_map(|t| t["name"].as_str()).collect();
    assert_eq!(named.len(), FREE_TOOLS.len() + ASKED_TOOLS.len());
    assert_eq!(server.tool("lease_list", &json!({})), ("[]".into(), false));
    site.kill_daemon();
    let (said, error) = server.tool("lease_list", &json!({}));
    assert!(error && said.contains("does not run") && said.contains("wezterm-parallel up"), "{said}");
    site.daemon();
    assert_eq!(server.tool("lease_list", &json!({})), ("[]".into(), false));
    // whoever is no agent holds nothing by it
    let (said, error) = server.tool("lease_acquire", &json!({ "name": "x" }));
    assert!(error && said.contains("only a supervised agent"), "{said}");
    let (said, error) = server.tool("task_add", &json!({ "prompt": "x", "command": ["rm"] }));
    assert!(error && said.contains("unknown field `command`"), "{said}");
    server.end();
}
