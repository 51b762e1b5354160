//! What a config that is right comes down to.

use std::{fs, path::Path};

use proptest::prelude::*;
use wezterm_parallel_config::{
    ConfigError, Dirs, FILE_BYTES_MAX, Loaded, load, load_text, parse, resolve, schema, template, to_yaml,
};
use wezterm_parallel_core::spec::{BackoffSpec, OnSpec, ProcessSpec, RestartSpec};
use wezterm_parallel_schemas::{
    config::{Condition, Config, Ready, RestartPolicy, Screen, Strategy as Together},
    on::OnEvent,
    process::{Kind, Source},
};

const NONE: [(String, String); 0] = [];

fn loaded(text: &str, name: &str) -> Loaded {
    load_text(text.to_owned(), &Path::new("/etc/wp").join(name), NONE, Path::new("/home/me"))
        .unwrap_or_else(|e| panic!("{e}"))
}

const EXAMPLE: &str = "
version: 1
defaults:
  restart: { policy: on-failure, max_restarts: 5, within: 60s, backoff: { initial: 500ms, factor: 2, max: 60s, jitter: 0.2, reset_after: 10m } }
  stop: { grace: 3s }
agents:
  claude: { command: [claude], args: [], env: {}, start_at_once: 4, screen: default }
workspaces:
  api:
    cwd: ~/src/api
    strategy: one_for_one
    on_crash_loop: nothing
    layout: default
    processes:
      lead:  { agent: claude, args: [--model, opus], autostart: true }
      tests: { command: [cargo, watch, -x, test], env: { RUST_LOG: info }, restart: { policy: always }, after: { lead: ready } }
";

#[test]
fn hooks_come_through_all_layers_in_each_of_their_forms() {
    let yaml = "
version: 1
on:
  task_done: [{ command: [my-program, --flag], timeout: 10s }, { command: make it }]
  process_blocked: [notify-send blocked, [notify-send, a b], 'true']
  inbox_asked: []
";
    let toml = "
version = 1
[on]
task_done = [{ command = ['my-program', '--flag'], timeout = '10s' }, { command = 'make it' }]
process_blocked = ['notify-send blocked', ['notify-send', 'a b'], 'true']
inbox_asked = []
";
    let hook = |words: &[&str], timeout| OnSpec {
        command: words.iter().map(ToString::to_string).collect(),
        timeout,
    };
    for (text, name) in [(yaml, "config.yaml"), (toml, "config.toml")] {
        let loaded = loaded(text, name);
        let on = &loaded.desired.on;
        assert_eq!(on.len(), 2, "an empty list is none: {on:?}");
        let wanted = [hook(&["my-program", "--flag"], 10_000), hook(&["/bin/sh", "-c", "make it"], 30_000)];
        assert_eq!(on[&OnEvent::TaskDone], wanted);
        let wanted = [
            hook(&["/bin/sh", "-c", "notify-send blocked"], 30_000),
            hook(&["notify-send", "a b"], 30_000),
            hook(&["/bin/sh", "-c", "true"], 30_000),
        ];
        assert_eq!(on[&OnEvent::ProcessBlocked], wanted);
        let again = parse::config(&to_yaml(&loaded.config), Path::new("config.yaml")).expect("it reads back");
        assert_eq!(again.on, loaded.config.on);
    }
}

#[test]
fn the_document_of_hooks_has_every_name_and_its_example_is_a_config() {
    let document = include_str!("../../../docs/ON.md");
    let example = document.split("```yaml\n").nth(1).and_then(|b| b.split("```").next()).expect("an example");
    assert_eq!(loaded(&format!("version: 1\n{example}"), "config.yaml").desired.on.len(), 2);
    let schema = schema();
    let names = schema["$defs"]["On"]["properties"].as_object().expect("the names are keys");
    assert_eq!(names.len(), 18);
    for name in names.keys() {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn layouts_and_roots_come_through_all_layers_as_they_are_written() {
    let text = "
version: 1
project_roots: [~/src, /srv/./x, beside]
layouts:
  Mine:
    about: two
    tabs:
      - { title: t, split: right, panes: [{ process: a, agent: claude, size: 33.3%, focus: true }, { cwd: sub, command: [sh, -c, x] }] }
      - {}
workspaces: { w: { cwd: /w, layout: Mine } }
";
    let loaded = loaded(text, "config.yaml");
    let user = parse::config(text, Path::new("config.yaml")).expect("a config");
    assert_eq!(loaded.config.layouts, user.layouts);
    assert_eq!(loaded.desired.layouts, user.layouts);
    let roots: Vec<_> = loaded.desired.project_roots.iter().map(|r| r.to_string_lossy()).collect();
    assert_eq!(roots, ["/home/me/src", "/srv/x", "/etc/wp/beside"]);
    let shown = to_yaml(&loaded.config);
    let again = parse::config(&shown, Path::new("config.yaml")).expect("it reads back");
    assert_eq!((again.layouts, again.project_roots), (user.layouts, user.project_roots), "{shown}");
}

#[test]
fn a_workspace_names_a_layout_of_the_config_a_saved_or_a_shipped_one_and_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.yaml");
    fs::create_dir(dir.path().join("layouts")).expect("made");
    fs::write(dir.path().join("layouts/saved.yaml"), "tabs: [{}]").expect("written");
    let read = |layout: &str| {
        let text = format!(
            "version: 1\nlayouts: {{ mine: {{ tabs: [{{}}] }} }}\nworkspaces:\n  w: {{ cwd: /w, layout: {layout} }}\n"
        );
        fs::write(&path, text).expect("written");
        load(&path, NONE, Path::new("/home/me"))
    };
    for name in ["mine", "saved", "grid-4", "default"] {
        read(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let message = |name: &str| {
        let error = read(name).expect_err("there is none").to_string();
        error.replace(dir.path().to_str().expect("text"), "")
    };
    let first = message("savd");
    assert!(
        first.starts_with("/config.yaml:4:25: workspaces.w.layout: there is no layout `savd`\n"),
        "{first}"
    );
    assert!(first.ends_with("= did you mean `saved`?"), "{first}");
    assert!(
        message("xyz")
            .ends_with("`wezterm-parallel layout list` shows all; leave it out for processes side by side")
    );
    // a config that was kept goes on without the file
    let kept = fs::read_to_string(&path).expect("it is there");
    assert!(load_text(kept, &path, NONE, Path::new("/home/me")).is_ok());
}

#[test]
fn the_documented_example_comes_down_to_two_processes_with_nothing_left_open() {
    let api = &loaded(EXAMPLE, "config.yaml").desired.workspaces["api"];
    assert_eq!(api.cwd, Path::new("/home/me/src/api"));
    let lead = ProcessSpec {
        source: Source::Config,
        agent: Some("claude".into()),
        kind: Kind::Claude,
        command: ["claude", "--model", "opus"].map(String::from).to_vec(),
        cwd: "/home/me/src/api".into(),
        env: [].into(),
        screen: Screen::Default,
        autostart: true,
        restart: RestartSpec {
            policy: RestartPolicy::OnFailure,
            max_restarts: 5,
            within: 60_000,
            backoff: BackoffSpec {
                initial: 500,
                factor: 2.0,
                max: 60_000,
                jitter: 0.2,
                reset_after: 600_000,
            },
        },
        stop_grace: 3_000,
        after: [].into(),
        ready: None,
        ready_timeout: 60_000,
        resume: None,
        fork: None,
        status: Default::default(),
        on_limit: Default::default(),
        mcp: true,
        log_bytes: 8 << 20,
        log_files: 4,
        history_bytes: 1 << 20,
    };
    assert_eq!(api.processes["lead"], lead);
    let tests = &api.processes["tests"];
    assert_eq!(tests.kind, Kind::Command);
    assert_eq!(tests.command, ["cargo", "watch", "-x", "test"]);
    assert_eq!(tests.restart, RestartSpec { policy: RestartPolicy::Always, ..lead.restart });
    assert_eq!(tests.after["lead"], Condition::Ready);
    assert_eq!(tests.env["RUST_LOG"], "info");
}

#[test]
fn toml_of_the_same_shape_comes_down_to_the_same() {
    let toml = r#"
version = 1
[workspaces.api]
cwd = "~/src/api"
layout = "default"
[workspaces.api.processes.lead]
agent = "claude"
args = ["--model", "opus"]
[workspaces.api.processes.tests]
command = ["cargo", "watch", "-x", "test"]
env = { RUST_LOG = "info" }
restart = { policy = "always" }
after = { lead = "ready" }
"#;
    assert_eq!(loaded(toml, "config.toml").desired, loaded(EXAMPLE, "config.yaml").desired);
}

#[test]
fn paths_are_relative_to_the_file_or_to_the_workspace_and_the_tilde_is_the_home_directory() {
    let text = "
version: 1
workspaces:
  a: { cwd: ./sub/, processes: { p: { command: [x] }, q: { command: [x], cwd: deep/er }, r: { command: [x], cwd: ~/own }, s: { command: [x], cwd: /abs } } }
  b: { cwd: '~' }
  c: { cwd: ../up }
";
    let desired = loaded(text, "config.yaml").desired;
    let cwd = |p: &str| desired.workspaces["a"].processes[p].cwd.display().to_string();
    assert_eq!(desired.workspaces["a"].cwd, Path::new("/etc/wp/sub"));
    assert_eq!(["p", "q", "r", "s"].map(cwd), ["/etc/wp/sub", "/etc/wp/sub/deep/er", "/home/me/own", "/abs"]);
    assert_eq!(desired.workspaces["b"].cwd, Path::new("/home/me"));
    assert_eq!(desired.workspaces["c"].cwd, Path::new("/etc/wp/../up"));
}

#[test]
fn the_environment_of_a_process_goes_over_that_of_its_workspace_and_that_over_its_agents() {
    let text = "
version: 1
agents: { mine: { command: [/opt/x/claude, -a], args: [-b], env: { A: agent, B: agent, C: agent }, screen: classic, start_at_once: 2 } }
workspaces:
  w:
    cwd: /
    env: { B: workspace, C: workspace }
    processes: { p: { agent: mine, args: [-c], env: { C: '1.10' } }, q: { command: [x], args: [-y] } }
";
    let desired = loaded(text, "config.yaml").desired;
    let p = &desired.workspaces["w"].processes["p"];
    let env: Vec<_> = p.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(env, ["A=agent", "B=workspace", "C=1.10"]);
    assert_eq!(p.command, ["/opt/x/claude", "-a", "-b", "-c"]);
    assert_eq!((p.kind, p.screen), (Kind::Claude, Screen::Classic), "by the program's file name");
    assert_eq!(desired.workspaces["w"].processes["q"].command, ["x", "-y"]);
    assert_eq!(desired.agents["mine"].start_at_once, 2);
    assert_eq!(desired.agents["claude"].command, ["claude"], "always there");
}

#[test]
fn start_order_is_file_order_as_far_as_after_allows() {
    let text = "
version: 1
workspaces:
  w:
    cwd: /
    strategy: rest_for_one
    processes:
      web: { command: [x], after: { db: ready, build: exited } }
      other: { command: [x] }
      build: { command: [x], after: { db: started } }
      last: { command: [x] }
      db: { command: [x], ready: { port: 5432 } }
";
    let w = &loaded(text, "config.yaml").desired.workspaces["w"];
    let order: Vec<_> = w.processes.keys().map(String::as_str).collect();
    assert_eq!(order, ["other", "last", "db", "build", "web"]);
    assert_eq!(w.strategy, Together::RestForOne);
    assert_eq!(w.processes["db"].ready, Some(Ready::Port(5432)));
}

#[test]
fn defaults_of_the_file_reach_every_process_and_its_own_keys_go_over_them() {
    let text = "
version: 1
defaults:
  restart: { policy: never, backoff: { max: 1h } }
  stop: { grace: 9s }
  log: { max_size: 1MiB, files: 1 }
  history: 64KiB
daemon: { resume: lazy, min_free_memory: 1GiB }
workspaces: { w: { cwd: /, processes: { p: { command: [x], restart: { backoff: { initial: 1s } }, ready_timeout: 5m } } } }
";
    let desired = loaded(text, "config.yaml").desired;
    let p = &desired.workspaces["w"].processes["p"];
    assert_eq!(p.restart.policy, RestartPolicy::Never);
    assert_eq!((p.restart.backoff.initial, p.restart.backoff.max), (1_000, 3_600_000));
    assert_eq!((p.stop_grace, p.ready_timeout), (9_000, 300_000));
    assert_eq!((p.log_bytes, p.log_files, p.history_bytes), (1 << 20, 1, 64 << 10));
    assert_eq!(desired.daemon.min_free_memory, 1 << 30);
}

#[test]
fn a_shared_part_may_be_written_once_with_an_anchor() {
    let text = "
version: 1
workspaces:
  a: { cwd: /, env: &shared { X: '1' }, processes: { p: &p { command: [x] }, q: { <<: *p, args: [y] } } }
  b: { cwd: /, env: *shared, processes: { p: *p } }
";
    let desired = loaded(text, "config.yaml").desired;
    assert_eq!(desired.workspaces["b"].processes["p"].env["X"], "1");
    assert_eq!(desired.workspaces["a"].processes["q"].command, ["x", "y"]);
}

#[test]
fn what_can_hardly_be_meant_is_a_warning() {
    let text = "
version: 1
workspaces:
  w:
    cwd: /
    processes:
      manual: { command: [x], autostart: false }
      always: { command: [x], restart: { policy: always } }
      late: { command: [x], after: { manual: ready, always: exited } }
      plain: { command: [/usr/bin/claude] }
";
    assert_eq!(
        loaded(text, "config.yaml").warnings,
        [
            "workspaces.w.processes.late: waits for `manual`, which has `autostart: false` and must be started by hand",
            "workspaces.w.processes.late: waits for `always` to end, which has `policy: always` and is started again",
            "workspaces.w.processes.plain: runs claude as any other program; write `agent: claude` for its status and sessions",
        ]
    );
}

#[test]
fn a_file_is_read_with_its_hash_and_one_that_cannot_be_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.yaml");
    assert_eq!(load(&path, NONE, dir.path()), Err(ConfigError::Missing { path: path.clone() }));
    fs::write(&path, "version: 1\n").expect("written");
    let right = load(&path, NONE, dir.path()).expect("a config");
    assert_eq!(right.hash, "09bfcc6a14b83e2192b8673677725c84883ee9cd0c70e45c9ec09daa8f2b2847");
    assert_eq!(right.text, "version: 1\n");

    let message = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("written");
        load(&path, NONE, dir.path())
            .expect_err("refused")
            .to_string()
            .replace(dir.path().to_str().expect("utf-8"), "")
    };
    assert_eq!(message(b"version: 1\n# \xff\n"), "/config.yaml: the text is not UTF-8, from line 2 on");
    let large = vec![b'#'; usize::try_from(FILE_BYTES_MAX).expect("small") + 1];
    assert_eq!(message(&large), "/config.yaml: the file is larger than 1 MiB");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    let error = load(&path, NONE, dir.path()).expect_err("refused").to_string();
    assert!(error.ends_with("/config.yaml: this is not a file"), "{error}");
}

#[test]
fn the_template_is_a_config_with_one_claude_in_a_workspace_for_the_directory() {
    for (cwd, name) in [
        ("/home/me/src/api", "api"),
        ("/home/me/src/my project", "my-project"),
        ("/home/me/日本語", "main"),
        ("/", "main"),
        ("/tmp/\"quoted\": {x}\\ # no", "quoted----x-----no"),
        ("/tmp/null", "null"),
        ("/tmp/1.50", "1.50"),
        ("/tmp/.hidden", "hidden"),
    ] {
        let cwd = Path::new(cwd);
        let text = template::text(Path::new("/s/config.schema.json"), cwd, &template::workspace_name(cwd));
        assert!(text.starts_with("# yaml-language-server: $schema=/s/config.schema.json\n"));
        let desired = loaded(&text, "config.yaml").desired;
        let names: Vec<_> = desired.workspaces.keys().map(String::as_str).collect();
        assert_eq!(names, [name]);
        assert_eq!(desired.workspaces[name].cwd, cwd);
        assert_eq!(desired.workspaces[name].processes["claude"].command, ["claude"]);
    }
}

#[test]
fn what_the_template_has_in_comments_is_right_too() {
    let text = template::text(Path::new("/s"), Path::new("/w"), "w");
    let (head, body) = text.split_once("version: 1\n").expect("a version");
    assert!(head.lines().all(|l| l.starts_with('#')));
    // prose lines begin with a capital letter
    let uncommented: String = body
        .lines()
        .filter(|l| !l.strip_prefix("# ").is_some_and(|l| l.starts_with(char::is_uppercase)))
        .map(|l| l.replacen("# ", "", 1) + "\n")
        .collect();
    let with = loaded(&format!("version: 1\n{uncommented}"), "config.yaml");
    assert_eq!(with.desired.workspaces["w"].processes.len(), 3);
    let without = loaded(&text, "config.yaml");
    assert_eq!(with.config.defaults, without.config.defaults, "the values in comments are the defaults");
    assert_eq!(with.config.daemon, without.config.daemon);
    assert_eq!(with.desired.agents, without.desired.agents);
}

#[test]
fn the_examples_in_the_document_are_configs() {
    let document = include_str!("../../../docs/CONFIG.md");
    let blocks: Vec<&str> =
        document.split("```yaml\n").skip(1).filter_map(|b| b.split("```").next()).collect();
    assert!(blocks.len() >= 2, "{blocks:#?}");
    for block in blocks {
        let version = if block.contains("version: 1") { "" } else { "version: 1\n" };
        let desired = loaded(&format!("{version}{block}"), "config.yaml").desired;
        assert!(!desired.workspaces.is_empty(), "{block}");
    }
}

#[test]
fn the_schema_names_every_key_and_refuses_others() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    for key in ["version", "defaults", "daemon", "agents", "workspaces"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
    assert_eq!(schema["$defs"]["Process"]["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["version"]));
    assert_eq!(schema["$defs"]["Workspace"]["required"], serde_json::json!(["cwd"]));
}

#[test]
fn a_config_written_as_yaml_reads_back_equal() {
    let config = loaded(EXAMPLE, "config.yaml").config;
    let text = to_yaml(&config);
    assert_eq!(parse::config(&text, Path::new("x.yaml")).unwrap_or_else(|e| panic!("{e}\n{text}")), config);
    let minimal = parse::config("version: 1\n", Path::new("x.yaml")).expect("a config");
    assert_eq!(to_yaml(&minimal), "version: 1\n");
}

fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            " ",
            "~",
            "null",
            "no",
            "yes",
            "1.10",
            "0x1F",
            "1e3",
            "- a",
            "a: b",
            "# c",
            "*x",
            "&x",
            "!t",
            "'",
            "\"",
            "\n",
            "a\nb\n",
            "\\",
            "{",
            "[",
            "日本",
            "\u{1f600}",
            "2024-01-01",
            "|",
            ">",
            "%",
            "@",
            "`",
            "\t",
            "a #b",
            "---",
            "...",
            "\r\n",
            "<<",
            "=",
            "\u{85}",
            "\u{feff}x",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,12}",
        ".{0,120}",
    ]
}

proptest! {
    #[test]
    fn whatever_is_in_its_texts_a_config_written_as_yaml_reads_back_equal(
        args in prop::collection::vec(nasty(), 0..4),
        env in prop::collection::vec((nasty(), nasty()), 0..3),
        name in nasty(), layout in prop::option::of(nasty()),
    ) {
        let mut config: Config = loaded(EXAMPLE, "config.yaml").config;
        let workspace = &mut config.workspaces["api"];
        workspace.layout = layout;
        let process = &mut workspace.processes["tests"];
        process.command = Some(args.clone());
        process.env = env.into_iter().collect();
        process.args = args;
        let spare = workspace.processes["tests"].clone();
        workspace.processes.insert(name, spare);
        let text = to_yaml(&config);
        let back = parse::config(&text, Path::new("x.yaml"));
        prop_assert_eq!(back.map_err(|e| format!("{e}\n{text}")), Ok(config));
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-a-z0-9:{}\\[\\]&*<~'\"#\n ,.|>%!?]{0,200}") {
        for name in ["x.yaml", "x.toml"] {
            let _ = load_text(text.clone(), Path::new(name), NONE, Path::new("/home/me"));
            let _ = load_text(format!("version: 1\nworkspaces:\n  {text}"), Path::new(name), NONE, Path::new("/h"));
        }
    }
}

#[test]
fn a_config_made_by_hand_resolves_without_a_file() {
    let dirs = Dirs { home: Path::new("/home/me"), base: Path::new("/"), saved: None };
    let resolved = resolve(&Config::default(), dirs).expect("right");
    assert_eq!(resolved.desired.agents.keys().collect::<Vec<_>>(), ["claude"]);
}
