//! What a person is told of a config that is not right: whole messages, with the place, the line and
//! what to do.

use std::path::Path;

use insta::assert_snapshot;
use wezterm_parallel_config::{Loaded, load_text};

fn load(text: &str, name: &str) -> Result<Loaded, String> {
    let none: [(String, String); 0] = [];
    load_text(text.to_owned(), &Path::new("/etc").join(name), none, Path::new("/home/me"))
        .map_err(|e| e.to_string())
}

fn yaml(text: &str) -> String {
    load(text, "config.yaml").expect_err("a message")
}

fn toml(text: &str) -> String {
    load(text, "config.toml").expect_err("a message")
}

/// A config with one process `p`, that has these keys.
fn process(keys: &str) -> String {
    yaml(&format!(
        "version: 1\nworkspaces:\n  api:\n    cwd: /srv\n    processes:\n      p: {{ {keys} }}\n      q: {{ agent: claude }}\n"
    ))
}

#[test]
fn limits_of_tasks_that_cannot_be_are_named() {
    assert_snapshot!(yaml("version: 1\ntasks: { parallel: 5000, groups: { 'a/b': { parallel: 1 } } }\n"), @r#"
        /etc/config.yaml:2:20: tasks.parallel: a number from 0 to 1000 is needed
          |
        2 | tasks: { parallel: 5000, groups: { 'a/b': { parallel: 1 } } }
          |                    ^^^^

        /etc/config.yaml:2:36: tasks.groups."a/b": this cannot be the name of a group of tasks
          |
        2 | tasks: { parallel: 5000, groups: { 'a/b': { parallel: 1 } } }
          |                                    ^^^^^
          = letters, digits, `.`, `_` and `-`, at most 64 of them, a letter or digit first
        "#);
    let text = yaml("version: 1\ntasks: { paralel: 1 }\n");
    assert!(text.contains("did you mean `parallel`?"), "{text}");
}

#[test]
fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    assert_snapshot!(yaml("version: 1\nworkspaces:\n  api:\n    cwd: /srv\n    proceses: {}\n"), @r"
        /etc/config.yaml:5:5: workspaces.api: unknown key `proceses`
          |
        5 |     proceses: {}
          |     ^^^^^^^^
          = did you mean `processes`?
        ");
    assert_snapshot!(yaml("version: 1\nfoo: 1\n"), @r"
        /etc/config.yaml:2:1: unknown key `foo`
          |
        2 | foo: 1
          | ^^^
          = known are `version`, `defaults`, `daemon`, `agents`, `permissions`, `project_roots`, `notify`, `tasks`, `on`, `layouts`, `workspaces`
        ");
    assert_snapshot!(toml("version = 1\n[workspaces.api]\ncwd = '/srv'\nproceses = {}\n"), @r"
        /etc/config.toml:4:1: workspaces.api: unknown key `proceses`
          |
        4 | proceses = {}
          | ^^^^^^^^
          = did you mean `processes`?
        ");
    assert_snapshot!(toml("version = 1\nworkspace = {}\n"), @r"
        /etc/config.toml:2:1: unknown key `workspace`
          |
        2 | workspace = {}
          | ^^^^^^^^^
          = did you mean `workspaces`?
        ");
}

#[test]
fn a_wrong_type_says_what_is_expected() {
    assert_snapshot!(process("command: cargo"), @r"
        /etc/config.yaml:6:21: workspaces.api.processes.p.command: a list is expected here
          |
        6 |       p: { command: cargo }
          |                     ^^^^^
          = as in `[cargo, test]`, each argument by itself
        ");
    assert_snapshot!(process("command: [x], autostart: yes"), @r"
        /etc/config.yaml:6:37: workspaces.api.processes.p.autostart: `true` or `false` is expected here
          |
        6 |       p: { command: [x], autostart: yes }
          |                                     ^^^
        ");
    assert_snapshot!(process("command: [x], restart: { max_restarts: -1 }"), @r"
        /etc/config.yaml:6:51: workspaces.api.processes.p.restart.max_restarts: a whole number from 0 to 4294967295 is expected here
          |
        6 |       p: { command: [x], restart: { max_restarts: -1 } }
          |                                                   ^^
        ");
    assert_snapshot!(process("command: [x], restart: { policy: alwys }"), @r"
        /etc/config.yaml:6:45: workspaces.api.processes.p.restart.policy: unknown value `alwys`
          |
        6 |       p: { command: [x], restart: { policy: alwys } }
          |                                             ^^^^^
          = did you mean `always`?
        ");
    assert_snapshot!(process("command: [x], stop: { grace: 3 }"), @r"
        /etc/config.yaml:6:41: workspaces.api.processes.p.stop.grace: `3` is not a duration (time unit needed, for example 3sec or 3ms); write a number and a unit, as in `500ms`, `3s`, `10m`
          |
        6 |       p: { command: [x], stop: { grace: 3 } }
          |                                         ^
        ");
    assert_snapshot!(process("command: [x], ready: { port: 70000 }"), @r"
        /etc/config.yaml:6:41: workspaces.api.processes.p.ready.port: a whole number from 0 to 65535 is expected here
          |
        6 |       p: { command: [x], ready: { port: 70000 } }
          |                                         ^^^^^
        ");
    assert_snapshot!(process("command: [x], ready: { prot: 7 }"), @r"
        /etc/config.yaml:6:35: workspaces.api.processes.p.ready: unknown key `prot`
          |
        6 |       p: { command: [x], ready: { prot: 7 } }
          |                                   ^^^^
          = did you mean `port`?
        ");
    assert_snapshot!(process("command: [x], after: [q]"), @r"
        /etc/config.yaml:6:33: workspaces.api.processes.p.after: keys with values are expected here
          |
        6 |       p: { command: [x], after: [q] }
          |                                 ^
          = write `{}` for none
        ");
    assert_snapshot!(yaml("version: one\n"), @r"
        /etc/config.yaml:1:10: version: a whole number from 0 to 4294967295 is expected here
          |
        1 | version: one
          |          ^^^
        ");
    assert_snapshot!(yaml("version: 1\nworkspaces:\n"), @r"
        /etc/config.yaml:2:11: workspaces: keys with values are expected here
          |
        2 | workspaces:
          |           ^
          = write `{}` for none
        ");
    assert_snapshot!(yaml("version: 1\nworkspaces:\n  a:\n    cwd: ~\n"), @r#"
        /etc/config.yaml:4:10: workspaces.a.cwd: there is no value here
          |
        4 |     cwd: ~
          |          ^
          = `~` alone is YAML for nothing: write "~" in quotes for the home directory
        "#);
    assert_snapshot!(toml("version = 1\n[defaults.stop]\ngrace = 3\n"), @r"
        /etc/config.toml:3:9: defaults.stop.grace: invalid type: integer `3`, expected a string
          |
        3 | grace = 3
          |         ^
        ");
    assert_snapshot!(toml("version = 1\n[defaults.restart]\npolicy = 'alwys'\n"), @r"
        /etc/config.toml:3:10: defaults.restart.policy: unknown value `alwys`
          |
        3 | policy = 'alwys'
          |          ^^^^^^^
          = did you mean `always`?
        ");
}

#[test]
fn a_key_that_is_there_twice_is_shown_where_it_is_the_second_time() {
    assert_snapshot!(yaml("version: 1\nworkspaces:\n  api: { cwd: /a }\n  api: { cwd: /b }\n"), @r"
        /etc/config.yaml:4:3: workspaces: the key `api` is there twice
          |
        4 |   api: { cwd: /b }
          |   ^^^
        ");
    assert_snapshot!(yaml("version: 1\nversion: 1\n"), @r"
        /etc/config.yaml:2:1: the key `version` is there twice
          |
        2 | version: 1
          | ^^^^^^^
        ");
    assert_snapshot!(toml("version = 1\nversion = 1\n"), @r"
        /etc/config.toml:2:1: this key is there twice
          |
        2 | version = 1
          | ^^^^^^^
        ");
}

#[test]
fn a_file_that_cannot_be_read_as_its_format_is_shown_where_it_breaks_off() {
    assert_snapshot!(yaml("version: 1\nworkspaces:\n  api:\n    cwd: '/srv\n"), @"/etc/config.yaml:5:1: invalid indentation in multiline quoted scalar");
    assert_snapshot!(yaml("version: 1\nworkspaces:\n\tapi: {}\n"), @r"
        /etc/config.yaml:3:2: tabs disallowed within this context (block indentation)
          |
        3 |     api: {}
          |     ^^^
        ");
    assert_snapshot!(yaml("version: 1\n---\nversion: 1\n"), @r"
        /etc/config.yaml:3:1: a second document begins here
          |
        3 | version: 1
          | ^^^^^^^
          = take out the line `---`
        ");
    assert_snapshot!(yaml("version: 1\nworkspaces: { a: *x }\n"), @r"
        /etc/config.yaml:2:18: this alias has no anchor before it
          |
        2 | workspaces: { a: *x }
          |                  ^^
          = a text that begins with `*` or `&` needs quotes
        ");
    assert_snapshot!(yaml(""), @r"
        /etc/config.yaml:1:1: the file is empty
          = begin with `version: 1`
        ");
    assert_snapshot!(yaml("- 1\n"), @r"
        /etc/config.yaml:1:1: keys with values are expected here
          |
        1 | - 1
          | ^
          = write `{}` for none
        ");
    assert_snapshot!(toml("version = [\n"), @r"
        /etc/config.toml:1:12: unclosed array, expected `]`
          |
        1 | version = [
          |            ^
        ");
    assert_snapshot!(toml(""), @"/etc/config.toml:1:1: the file is empty");
}

#[test]
fn another_version_is_refused_and_so_is_none() {
    assert_snapshot!(yaml("version: 2\nworkspaces: {}\n"), @r"
        /etc/config.yaml:1:10: version: this release reads version 1, not 2
          |
        1 | version: 2
          |          ^
          = write `version: 1`, or use a release that knows version 2
        ");
    assert_snapshot!(yaml("workspaces: {}\n"), @r"
        /etc/config.yaml: the key `version` is missing
          = write `version: 1` in the first line
        ");
}

#[test]
fn a_yaml_bomb_is_refused() {
    // each is ten of the one before
    let mut laughs =
        String::from("version: 1\nagents:\n  a: { command: &a0 [x, x, x, x, x, x, x, x, x, x] }\n");
    for i in 1..9 {
        laughs +=
            &format!("  b{i}: {{ command: &a{i} [{}] }}\n", vec![format!("*a{}", i - 1); 10].join(", "));
    }
    assert_snapshot!(yaml(&laughs), @r"
        /etc/config.yaml:4:23: agents.b1.command.0: a text is expected here
          |
        4 |   b1: { command: &a1 [*a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0, *a0] }
          |                       ^^^
        ");
    let mut merges = String::from("version: 1\nagents:\n  a: &a0 { env: { A: b } }\n");
    for i in 1..30 {
        merges += &format!("  b{i}: &a{i} {{ <<: [*a{0}, *a{0}, *a{0}, *a{0}] }}\n", i - 1);
    }
    assert_snapshot!(yaml(&merges), @r"
        /etc/config.yaml:3:12: agents.a.env: this is more than a config can hold: it is nested too deep or repeats itself too often
          = write out what the aliases (`*name`) stand for
        ");

    let mut merged = String::from("version: 1\nagents:\n  a:\n    command: [x]\n    env: &e0 { K: v }\n");
    merged += "workspaces:\n";
    for i in 0..20_000 {
        merged += &format!("  w{i}: {{ cwd: /, env: *e0 }}\n");
    }
    assert_snapshot!(yaml(&merged), @r"
        /etc/config.yaml:5:14: agents.a.env: this is more than a config can hold: it is nested too deep or repeats itself too often
          = write out what the aliases (`*name`) stand for
        ");

    let deep = format!("version: 1\nagents: {}", "{ a: ".repeat(10_000));
    assert_snapshot!(yaml(&deep).lines().next().unwrap_or_default(), @"/etc/config.yaml:2:16: agents.a: unknown key `a`");
    let deep = format!("version = 1\nagents = {}", "[".repeat(100_000));
    assert_snapshot!(toml(&deep).lines().next().unwrap_or_default(), @"/etc/config.toml:2:90: cannot recurse further; max recursion depth met");
}

#[test]
fn processes_that_wait_for_each_other_are_shown_as_the_circle_they_make() {
    assert_snapshot!(
        yaml(
            "version: 1
workspaces:
  api:
    cwd: /srv
    processes:
      d: { command: [x], after: { a: started } }
      a: { command: [x], after: { b: ready } }
      b: { command: [x], after: { c: ready } }
      c: { command: [x], after: { a: exited } }
      e: { command: [x], after: { f: exited } }
      f: { command: [x], after: { e: exited } }
      g: { command: [x], after: { g: exited } }
"
        ),
        @r"
        /etc/config.yaml:12:35: workspaces.api.processes.g.after.g: a process cannot wait for itself
           |
        12 |       g: { command: [x], after: { g: exited } }
           |                                   ^

        /etc/config.yaml:7:26: workspaces.api.processes.a.after: these wait for each other for ever: a → b → c → a
          |
        7 |       a: { command: [x], after: { b: ready } }
          |                          ^^^^^
          = take one of them out of the circle

        /etc/config.yaml:10:26: workspaces.api.processes.e.after: these wait for each other for ever: e → f → e
           |
        10 |       e: { command: [x], after: { f: exited } }
           |                          ^^^^^
          = take one of them out of the circle
        "
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    assert_snapshot!(
        yaml(
            "version: 1
defaults: { restart: { backoff: { factor: .inf } }, log: { files: 0 } }
agents:
  codex: {}
  cluade: { command: [claude], start_at_once: 0 }
workspaces:
  a/b:
    cwd: ~you/src
  api:
    processes:
      both: { agent: claude, command: [x] }
      none: {}
      empty: { command: [] }
      typo: { agent: cluade2, after: { nowhere: ready, empti: started } }
      ready: { command: [x], ready: { log: '(' } }
      port: { command: [x], ready: { port: 0 }, ready_timeout: 0s }
      numbers:
        command: [x]
        restart:
          within: 0s
          backoff:
            factor: 0.5
            jitter: 1.5
      'no good': { command: [x] }
"
        ),
        @r#"
        /etc/config.yaml:2:43: defaults.restart.backoff.factor: the factor is at least 1: waits do not become shorter
          |
        2 | defaults: { restart: { backoff: { factor: .inf } }, log: { files: 0 } }
          |                                           ^^^^

        /etc/config.yaml:2:67: defaults.log.files: at least 1 log file is needed
          |
        2 | defaults: { restart: { backoff: { factor: .inf } }, log: { files: 0 } }
          |                                                                   ^

        /etc/config.yaml:4:3: agents.codex: the key `command` is missing
          |
        4 |   codex: {}
          |   ^^^^^
          = name the program, as in `command: [codex]`

        /etc/config.yaml:5:47: agents.cluade.start_at_once: at least 1 must be able to start
          |
        5 |   cluade: { command: [claude], start_at_once: 0 }
          |                                               ^

        /etc/config.yaml:7:3: workspaces."a/b": this cannot be the name of a workspace
          |
        7 |   a/b:
          |   ^^^
          = letters, digits, `.`, `_` and `-`, at most 64 of them, a letter or digit first

        /etc/config.yaml:8:10: workspaces."a/b".cwd: `~you` is not expanded
          |
        8 |     cwd: ~you/src
          |          ^^^^^^^^
          = write `~/…` for your own home directory, and other paths in full

        /etc/config.yaml:9:3: workspaces.api.cwd: the key `cwd` is missing
          |
        9 |   api:
          |   ^^^
          = name the project directory, as in `cwd: ~/src/api`

        /etc/config.yaml:11:7: workspaces.api.processes.both: there is an `agent` and a `command`, and only one of them can run
           |
        11 |       both: { agent: claude, command: [x] }
           |       ^^^^
          = further arguments of an agent are its `args`

        /etc/config.yaml:12:7: workspaces.api.processes.none: there is nothing to run
           |
        12 |       none: {}
           |       ^^^^
          = write `agent: claude`, or a command as in `command: [cargo, test]`

        /etc/config.yaml:13:25: workspaces.api.processes.empty.command: the command is empty
           |
        13 |       empty: { command: [] }
           |                         ^^

        /etc/config.yaml:14:40: workspaces.api.processes.typo.after.nowhere: there is no process `nowhere` in this workspace
           |
        14 |       typo: { agent: cluade2, after: { nowhere: ready, empti: started } }
           |                                        ^^^^^^^

        /etc/config.yaml:14:56: workspaces.api.processes.typo.after.empti: there is no process `empti` in this workspace
           |
        14 |       typo: { agent: cluade2, after: { nowhere: ready, empti: started } }
           |                                                        ^^^^^
          = did you mean `empty`?

        /etc/config.yaml:14:22: workspaces.api.processes.typo.agent: there is no agent `cluade2`
           |
        14 |       typo: { agent: cluade2, after: { nowhere: ready, empti: started } }
           |                      ^^^^^^^
          = did you mean `cluade`?

        /etc/config.yaml:15:44: workspaces.api.processes.ready.ready.log: this is not a regular expression: unclosed group
           |
        15 |       ready: { command: [x], ready: { log: '(' } }
           |                                            ^^^

        /etc/config.yaml:16:44: workspaces.api.processes.port.ready.port: a port is a number from 1 to 65535
           |
        16 |       port: { command: [x], ready: { port: 0 }, ready_timeout: 0s }
           |                                            ^

        /etc/config.yaml:16:64: workspaces.api.processes.port.ready_timeout: nothing is ready after no time at all
           |
        16 |       port: { command: [x], ready: { port: 0 }, ready_timeout: 0s }
           |                                                                ^^

        /etc/config.yaml:20:19: workspaces.api.processes.numbers.restart.within: restarts cannot be counted in no time at all
           |
        20 |           within: 0s
           |                   ^^
          = for no limit write a large `max_restarts`

        /etc/config.yaml:22:21: workspaces.api.processes.numbers.restart.backoff.factor: the factor is at least 1: waits do not become shorter
           |
        22 |             factor: 0.5
           |                     ^^^

        /etc/config.yaml:23:21: workspaces.api.processes.numbers.restart.backoff.jitter: the part left to chance is from 0 to 1
           |
        23 |             jitter: 1.5
           |                     ^^^

        /etc/config.yaml:24:7: workspaces.api.processes."no good": this cannot be the name of a process
           |
        24 |       'no good': { command: [x] }
           |       ^^^^^^^^^
          = letters, digits, `.`, `_` and `-`, at most 64 of them, a letter or digit first
        "#
    );
}

#[test]
fn a_line_with_values_of_the_environment_is_not_shown() {
    let message =
        yaml("version: 1\nagents:\n  a: { command: [x], env: { TOKEN: hush }, start_at_once: 0 }\n");
    assert_snapshot!(message, @"/etc/config.yaml:3:59: agents.a.start_at_once: at least 1 must be able to start");
    let message = yaml("version: 1\nagents:\n  a: { command: [x], env: { TOKEN: hush }, start: 0 }\n");
    assert_snapshot!(message, @r"
        /etc/config.yaml:3:44: agents.a: unknown key `start`
          = did you mean `start_at_once`?
        ");
}

#[test]
fn control_characters_of_a_file_do_not_reach_a_terminal() {
    let message = yaml("version: 1\n\"\\e[31mred\\u202e\": 1\n");
    assert!(!message.chars().any(|c| c.is_control() && c != '\n'), "{message:?}");
}

#[test]
fn thousands_of_problems_make_one_message_of_bounded_length() {
    let mut text = String::from("version: 1\nworkspaces:\n  api:\n    cwd: /srv\n    processes:\n");
    for i in 0..5_000 {
        text += &format!("      p{i}: {{ agent: claud{i} }}\n");
    }
    let message = yaml(&text);
    assert!(message.ends_with("\n\nand 4980 more"), "{message}");
    assert!(message.len() < 10_000);
}

#[test]
fn a_chain_of_thousands_is_put_in_order_and_a_circle_of_thousands_is_found() {
    let chain = |last: &str| {
        let mut text = String::from("version: 1\nworkspaces:\n  api:\n    cwd: /srv\n    processes:\n");
        for i in 0..10_000 {
            text += &format!("      p{i}: {{ command: [x], after: {{ p{}: ready }} }}\n", i + 1);
        }
        text + last
    };
    let loaded = load(&chain("      p10000: { command: [x] }\n"), "config.yaml").expect("a config");
    let first = loaded.desired.workspaces["api"].processes.keys().next().map(String::as_str);
    assert_eq!(first, Some("p10000"));
    let message = yaml(&chain("      p10000: { command: [x], after: { p0: ready } }\n"));
    assert!(message.contains("these wait for each other for ever: p0 → p1 → p2"), "{}", &message[..200]);
}

#[test]
fn a_layout_that_is_wrong_is_shown_at_its_line() {
    let layouts = |text: &str| yaml(&format!("version: 1\nlayouts:\n  mine:\n    tabs:\n{text}"));
    assert_snapshot!(layouts("      - { process: a, agent: cluade }\n"), @r"
        /etc/config.yaml:5:30: layouts.mine.tabs.0.agent: there is no agent `cluade`
          |
        5 |       - { process: a, agent: cluade }
          |                              ^^^^^^
          = did you mean `claude`?
        ");
    assert_snapshot!(layouts("      - split: right\n        panes:\n          - { size: 70% }\n          - { size: 40% }\n"), @r"
        /etc/config.yaml:6:9: layouts.mine.tabs.0.panes: these panes take 110%
          |
        6 |         panes:
          |         ^^^^^
          = all sizes of a split are at most 100% together
        ");
    assert_snapshot!(layouts("      - { splt: right }\n"), @r"
        /etc/config.yaml:5:11: layouts.mine.tabs.0: unknown key `splt`
          |
        5 |       - { splt: right }
          |           ^^^^
          = did you mean `split`?
        ");
    assert_snapshot!(layouts("      - split: right\n        panes: [{ title: a }, { size: 60 }]\n"), @r"
        /etc/config.yaml:6:39: layouts.mine.tabs.0.panes.1.size: `60` is not a part; write a number from 1 to 100 and `%`, as in `60%`
          |
        6 |         panes: [{ title: a }, { size: 60 }]
          |                                       ^^
        ");
    assert_snapshot!(layouts("      - split: right\n        panes: [{ title: a, split: down, panes: [{}, {}] }, {}]\n"), @r"
        /etc/config.yaml:6:19: layouts.mine.tabs.0.panes.0.title: only a tab and a pane have a title
          |
        6 |         panes: [{ title: a, split: down, panes: [{}, {}] }, {}]
          |                   ^^^^^
          = write it at the tab, or at one of the panes
        ");
    assert_snapshot!(toml("version = 1\n[layouts.mine]\ntabs = [{ process = 'a/b' }]\n"), @r"
        /etc/config.toml:3:21: layouts.mine.tabs.0.process: this cannot be the name of a process
          |
        3 | tabs = [{ process = 'a/b' }]
          |                     ^^^^^
          = letters, digits, `.`, `_` and `-`, at most 64 of them, a letter or digit first
        ");
    assert_snapshot!(yaml("version: 1\nlayouts: { mine: {} }\n"), @r"
        /etc/config.yaml:2:12: layouts.mine.tabs: a layout has at least one tab
          |
        2 | layouts: { mine: {} }
          |            ^^^^
          = a tab with a shell in it is `- {}`
        ");
    assert_snapshot!(yaml("version: 1\nlayouts: { ../x: { tabs: [{}] } }\n"), @r#"
        /etc/config.yaml:2:12: layouts."../x": this cannot be the name of a layout
          |
        2 | layouts: { ../x: { tabs: [{}] } }
          |            ^^^^
          = letters, digits, `.`, `_` and `-`, at most 64 of them, a letter or digit first
        "#);
}

#[test]
fn what_cannot_be_said_of_toasts_is_shown_where_it_stands() {
    let text = "version: 1\nnotify:\n  at_most: 0\n  quiet_hours:\n    - 22:00-07:30\n    - 25:00-26:00\n";
    assert_snapshot!(yaml(text), @r"
        /etc/config.yaml:3:12: notify.at_most: a number from 1 to 60 is needed
          |
        3 |   at_most: 0
          |            ^
          = to be told nothing of a kind, switch it off, as in `finished: false`

        /etc/config.yaml:6:7: notify.quiet_hours.1: `25:00-26:00` are no hours of the day
          |
        6 |     - 25:00-26:00
          |       ^^^^^^^^^^^
          = write when it begins and ends, as in `22:00-07:30`
        ");
}

#[test]
fn a_variable_of_the_environment_that_is_wrong_is_told_by_its_name() {
    let load = |name: &str, value: &str| {
        let text = "version: 1\ndefaults: { restart: { backoff: { factor: 3 } } }\n".to_owned();
        let variables = [(name.to_owned(), value.to_owned())];
        load_text(text, Path::new("/etc/config.yaml"), variables, Path::new("/home/me"))
            .expect_err("refused")
            .to_string()
    };
    assert_snapshot!(load("WEZTERM_PARALLEL__DEFAULTS__RESTART__BACKOFF__FACTOR", "0.5"), @"/etc/config.yaml: with WEZTERM_PARALLEL__DEFAULTS__RESTART__BACKOFF__FACTOR set, defaults.restart.backoff.factor: the factor is at least 1: waits do not become shorter");
    assert_snapshot!(load("WEZTERM_PARALLEL__DEFAULTS__STOPP__GRACE", "1s"), @r"
        /etc/config.yaml: the environment variable WEZTERM_PARALLEL__DEFAULTS__STOPP__GRACE: unknown key `stopp`
          = did you mean `stop`?
        ");
}

#[test]
fn a_hook_that_cannot_be_is_shown_with_what_was_meant() {
    let on = |hooks: &str| yaml(&format!("version: 1\non:\n  {hooks}\n"));
    assert_snapshot!(on("process_bloked: [notify-send x]"), @r"
        /etc/config.yaml:3:3: on: unknown key `process_bloked`
          |
        3 |   process_bloked: [notify-send x]
          |   ^^^^^^^^^^^^^^
          = did you mean `process_blocked`?
        ");
    assert_snapshot!(on("frob: [x]"), @r"
        /etc/config.yaml:3:3: on: unknown key `frob`
          |
        3 |   frob: [x]
          |   ^^^^
          = known are `process_blocked`, `process_failed`, `process_crash_loop`, `process_done`, `process_rate_limited`, `process_started`, `process_exited`, `inbox_asked`, `inbox_decided`, `limit_reached`, `limit_passed`, `config_applied`, `config_refused`, `task_done`, `task_failed`, `task_canceled`, `task_skipped`, `task_started`
        ");
    assert_snapshot!(on("task_done: notify-send x"), @r"
        /etc/config.yaml:3:14: on.task_done: a list is expected here
          |
        3 |   task_done: notify-send x
          |              ^^^^^^^^^^^
          = one text for each command, as in `[notify-send done]`
        ");
    assert_snapshot!(on("task_done: { command: x }"), @r"
        /etc/config.yaml:3:14: on.task_done: a list is expected here
          |
        3 |   task_done: { command: x }
          |              ^
          = one text for each command, as in `[notify-send done]`
        ");
    assert_snapshot!(on("task_done: [5]"), @r"
        /etc/config.yaml:3:15: on.task_done.0: invalid type: integer `5`, expected a command: a text, a list of words, or `{ command: …, timeout: … }`
          |
        3 |   task_done: [5]
          |               ^
        ");
    assert_snapshot!(on("task_done: [~]"), @r"
        /etc/config.yaml:3:15: on.task_done.0: invalid type: unit value, expected a command: a text, a list of words, or `{ command: …, timeout: … }`
          |
        3 |   task_done: [~]
          |               ^
        ");
    assert_snapshot!(on("task_done: [{ timeout: 5s }]"), @r"
        /etc/config.yaml:3:17: on.task_done.0: the key `command` is missing
          |
        3 |   task_done: [{ timeout: 5s }]
          |                 ^^^^^^^
        ");
    assert_snapshot!(on("task_done: [{}]"), @r"
        /etc/config.yaml:3:15: on.task_done: the key `command` is missing
          |
        3 |   task_done: [{}]
          |               ^
        ");
    assert_snapshot!(on("task_done: [{ command: 5 }]"), @r"
        /etc/config.yaml:3:17: on.task_done.0.command: invalid type: integer `5`, expected a command: a text, or a list of words
          |
        3 |   task_done: [{ command: 5 }]
          |                 ^^^^^^^
        ");
    assert_snapshot!(on("task_done: [{ command: x, timout: 5s }]"), @r"
        /etc/config.yaml:3:29: on.task_done.0: unknown key `timout`
          |
        3 |   task_done: [{ command: x, timout: 5s }]
          |                             ^^^^^^
          = did you mean `timeout`?
        ");
    assert_snapshot!(on("task_done: [{ command: x, timeout: 5 }]"), @r"
        /etc/config.yaml:3:38: on.task_done.0.timeout: `5` is not a duration (time unit needed, for example 5sec or 5ms); write a number and a unit, as in `500ms`, `3s`, `10m`
          |
        3 |   task_done: [{ command: x, timeout: 5 }]
          |                                      ^
        ");
    assert_snapshot!(on("task_done: [[a, { b: c }]]"), @r"
        /etc/config.yaml:3:19: on.task_done.0.1: a text is expected here
          |
        3 |   task_done: [[a, { b: c }]]
          |                   ^
        ");
    assert_snapshot!(on("task_done: ['', [], [''], { command: ' ' }, { command: [] }, { command: x, timeout: 999ms }, { command: [x], timeout: 11m }, \"a\\0b\", [a, \"b\\0c\"]]"), @r#"
        /etc/config.yaml:3:15: on.task_done.0: the command is empty
          |
        3 |   task_done: ['', [], [''], { command: ' ' }, { command: [] }, { command: x, timeout: 999ms }, { command: [x], timeout: 11m }, "a\0b"...
          |               ^^

        /etc/config.yaml:3:19: on.task_done.1: the command is empty
          |
        3 |   task_done: ['', [], [''], { command: ' ' }, { command: [] }, { command: x, timeout: 999ms }, { command: [x], timeout: 11m }, "a\0b"...
          |                   ^^

        /etc/config.yaml:3:23: on.task_done.2: the command is empty
          |
        3 |   task_done: ['', [], [''], { command: ' ' }, { command: [] }, { command: x, timeout: 999ms }, { command: [x], timeout: 11m }, "a\0b"...
          |                       ^^^^

        /etc/config.yaml:3:40: on.task_done.3.command: the command is empty
          |
        3 |   task_done: ['', [], [''], { command: ' ' }, { command: [] }, { command: x, timeout: 999ms }, { command: [x], timeout: 11m }, "a\0b"...
          |                                        ^^^

        /etc/config.yaml:3:58: on.task_done.4.command: the command is empty
          |
        3 |   task_done: ['', [], [''], { command: ' ' }, { command: [] }, { command: x, timeout: 999ms }, { command: [x], timeout: 11m }, "a\0b"...
          |                                                          ^^

        /etc/config.yaml:3:87: on.task_done.5.timeout: a time from 1s to 10m is needed
          |
        3 |   task_done: ['', [], [''], { command: ' ' }, { command: [] }, { command: x, timeout: 999ms }, { command: [x], timeout: 11m }, "a\0b"...
          |                                                                                       ^^^^^
          = what takes longer is begun by the hook and left to itself, as in `my-program &`

        /etc/config.yaml:3:121: on.task_done.6.timeout: a time from 1s to 10m is needed
          |
        3 |   task_done: ['', [], [''], { command: ' ' }, { command: [] }, { command: x, timeout: 999ms }, { command: [x], timeout: 11m }, "a\0b"...
          |                                                                                                                         ^^^
          = what takes longer is begun by the hook and left to itself, as in `my-program &`

        /etc/config.yaml:3:128: on.task_done.7: a command cannot hold a NUL character
          |
        3 | ...command: x, timeout: 999ms }, { command: [x], timeout: 11m }, "a\0b", [a, "b\0c"]]
          |                                                                  ^^^^^^

        /etc/config.yaml:3:140: on.task_done.8.1: an argument cannot hold a NUL character
          |
        3 | ...timeout: 999ms }, { command: [x], timeout: 11m }, "a\0b", [a, "b\0c"]]
          |                                                                  ^^^^^^
        "#);
    assert_snapshot!(toml("version = 1\n[on]\nprocess_bloked = ['x']\n"), @r"
        /etc/config.toml:3:1: on: unknown key `process_bloked`
          |
        3 | process_bloked = ['x']
          | ^^^^^^^^^^^^^^
          = did you mean `process_blocked`?
        ");
    assert_snapshot!(toml("version = 1\n[on]\ntask_done = [5]\n"), @r"
        /etc/config.toml:3:14: on.task_done.0: invalid type: integer `5`, expected a command: a text, a list of words, or `{ command: …, timeout: … }`
          |
        3 | task_done = [5]
          |              ^
        ");
}
