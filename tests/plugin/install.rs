//! What happens when the plugin is put into a config, and what may be wrong with that.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::{
    fake::{
        Flavour, Host, events,
        host::{checkout, config_table},
        plugin,
    },
    scene::{FLAVOURS, bare_site, config, guis, site, started},
    support::site::{Site, executable},
};

#[test]
fn the_four_lines_are_all_and_the_daemon_is_started_by_the_first_event() {
    for flavour in FLAVOURS {
        let site = site();
        let host = Host::new(&site, flavour);
        host.start(&config("{}"));
        let first = host.record().children.first().cloned();
        assert!(first.is_none(), "no child belongs to the evaluation of the config: {first:?}");
        host.connected();
        host.hears("api/one", "running");
        assert_eq!(host.logged("error"), [""; 0]);
        host.wait("the one call", |host| host.waiting() == 1);
    }
}

#[test]
fn a_process_without_windows_starts_nothing_and_registers_nothing() {
    let site = site();
    let host = Host::without_gui(&site);
    host.start(&config("{}"));
    host.reload();
    assert!(host.record().children.is_empty());
    assert_eq!(events::handlers(&host.lua(), "update-status").expect("a number"), 0);
    assert!(!site.socket().exists(), "no daemon was started");
}

#[test]
fn applied_twice_nothing_is_there_twice() {
    let site = site();
    site.daemon();
    let host = Host::new(&site, Flavour::Nightly);
    let twice = config("{}").replace("return config", "parallel.setup(config, {})\nreturn config");
    host.start(&twice);
    host.connected();
    let lua = host.lua();
    for event in ["update-status", "window-config-reloaded", "format-tab-title", "augment-command-palette"] {
        assert_eq!(events::handlers(&lua, event).expect("a number"), 1, "{event}");
    }
    let config = config_table(&host);
    let keys = config["keys"].as_array().expect("keys").len();
    let mut chords: Vec<String> = config["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|k| format!("{}{}", k["mods"], k["key"]))
        .collect();
    chords.sort();
    chords.dedup();
    assert_eq!(chords.len(), keys, "{chords:?}");
    host.wait("the one call", |host| host.waiting() == 1);
    assert_eq!(guis(&site).len(), 1);
}

#[test]
fn the_older_snippet_works_unchanged() {
    let site = site();
    let host = Host::new(&site, Flavour::Stable);
    plugin::copy(&checkout().join("plugin/wezterm_parallel"), &site.path("config/wezterm/wezterm_parallel"))
        .expect("a copy");
    let config_path = site.config_path();
    host.start(&format!(
        r"local wezterm = require 'wezterm'
local multi_dev = require 'wezterm_parallel'
local config = wezterm.config_builder()
multi_dev.setup(config, {{
  config_path = '{}',
  auto_start = true,
  debug = false,
}})
config.keys = {{
  {{ key = 'n', mods = 'CTRL|SHIFT', action = multi_dev.actions.create_workspace }},
  {{ key = 'w', mods = 'CTRL|SHIFT', action = multi_dev.actions.switch_workspace }},
  {{ key = 'd', mods = 'CTRL|SHIFT', action = multi_dev.actions.show_dashboard }},
}}
return config
",
        config_path.display()
    ));
    host.connected();
    host.hears("api/one", "running");
    host.press("CTRL|SHIFT", "w");
    host.choose("api");
    host.workspace_is("api");
    host.press("SHIFT|CTRL", "D");
    host.wait("the dashboard", |host| host.pane_of("dashboard").is_some());
}

#[test]
fn a_checkout_may_be_loaded_by_its_path() {
    let site = site();
    let host = Host::new(&site, Flavour::Stable);
    host.start(&format!(
        "local wezterm = require 'wezterm'
local config = wezterm.config_builder()
dofile('{}/plugin.lua').apply_to_config(config, {{}})
return config",
        checkout().display()
    ));
    host.connected();
}

#[test]
fn the_three_keys_are_bound_and_none_of_the_users_is_overwritten() {
    let site = site();
    let host = Host::new(&site, Flavour::Nightly);
    let mine = r"config.keys = {
  { key = 'n', mods = 'SHIFT|CTRL', action = wezterm.action.SendString 'mine' },
  { key = 'phys:D', mods = 'CTRL|SHIFT', action = wezterm.action.SendString 'also mine' },
}
local parallel";
    host.start(
        &config("{ keys = { switch_workspace = { key = 's', mods = 'LEADER' }, inbox = false } }")
            .replace("local parallel", mine),
    );
    assert_eq!(host.binding("CTRL|SHIFT", "N").expect("bound")["SendString"], "mine");
    assert_eq!(host.binding("CTRL|SHIFT", "D"), None, "the user's physical key has it");
    assert!(host.binding("LEADER", "s").is_some());
    assert_eq!(host.binding("CTRL|SHIFT", "W"), None);
    assert_eq!(host.binding("CTRL|SHIFT", "I"), None);
    let plain = Host::new(&site, Flavour::Stable);
    plain.start(&config("{}"));
    for key in ["N", "W", "D"] {
        assert!(plain.binding("CTRL|SHIFT", key).is_some(), "{key}");
    }
}

#[test]
fn a_wrong_option_is_named_and_its_default_is_used() {
    let site = site();
    let host = started(&site, Flavour::Stable, "{ auto_start = 'yes', palete = false, toast_seconds = -1 }");
    host.status_says("auto_start");
    host.wait("a toast that names them all", |host| {
        let names = ["`auto_start`", "`palete` (did you mean `palette`?)", "`toast_seconds`"];
        host.record().toasts.iter().any(|t| names.iter().all(|name| t.message.contains(name)))
    });
    assert!(!host.palette().is_empty());
}

#[test]
fn no_options_throw_in_the_users_config() {
    let values = [
        "nil",
        "true",
        "false",
        "0",
        "-1",
        "1e308",
        "0/0",
        "''",
        "'x'",
        "'\\xff\\xfe'",
        "{}",
        "{ 1, 2 }",
        "{ [{}] = 1 }",
        "function() end",
        "print",
        "setmetatable({}, { __index = function() error 'no' end })",
        "setmetatable({}, { __pairs = function() error 'no' end })",
        "{ key = {}, mods = 1 }",
        "coroutine.create(print)",
        "wezterm",
        "wezterm.GLOBAL",
        "wezterm.action.Nop",
        "('x'):rep(100000)",
    ];
    let names = host_options();
    let site = bare_site();
    let host = Host::new(&site, Flavour::Nightly);
    host.start(&config("{ auto_start = false }"));
    // all in one evaluation: each call is one that a config might make
    let mut calls = String::new();
    for value in values {
        calls.push_str(&format!("try(function() return {value} end)\n"));
        for name in &names {
            calls.push_str(&format!("try(function() return {{ {name} = {value} }} end)\n"));
        }
    }
    let parts: Vec<&str> = calls.lines().collect();
    for part in parts.chunks(150) {
        let said = host.run(&format!(
            r"
            local wezterm = require 'wezterm'
            local parallel = require 'wezterm_parallel.api'
            local function try(make)
              local config = wezterm.config_builder()
              local options = make()
              assert(pcall(parallel.apply_to_config, config, options))
              assert(pcall(parallel.status_segments))
              assert(pcall(parallel.palette_entries))
              assert(pcall(parallel.tab_title, nil, nil))
              assert(parallel.actions.create_workspace)
              assert(parallel.actions.no_such_action)
            end
            {}
            return true",
            part.join("\n")
        ));
        assert_eq!(said, json!(true));
    }
    host.status();
    host.run("require('wezterm_parallel.api').apply_to_config(nil, nil); require('wezterm_parallel.api').apply_to_config(1, {}); return true");
}

fn host_options() -> Vec<String> {
    let text =
        fs::read_to_string(checkout().join("plugin/wezterm_parallel/options.lua")).expect("the options");
    let known =
        text.split("local KNOWN = {").nth(1).and_then(|t| t.split("\n}\n").next()).expect("the table");
    known.lines().filter_map(|l| Some(l.trim().split_once(" = {")?.0.to_string())).collect()
}

#[test]
fn a_missing_executable_is_told_once_and_used_as_soon_as_it_is_there() {
    let site = Site::new();
    site.config("version: 1\n");
    let host = Host::new(&site, Flavour::Stable);
    host.start(&config("{}"));
    host.status_says("not installed");
    for _ in 0..5 {
        host.status();
    }
    host.reload();
    host.status();
    let told = host.record().toasts.iter().filter(|t| t.message.contains("not installed")).count();
    assert_eq!(told, 1, "{:?}", host.record().toasts);
    assert!(host.record().children.is_empty(), "nothing is started that is not there");
    // an action says so too, and throws nothing
    host.choose_in_palette("wezterm-parallel: create workspace");
    host.status();
    let bin = site.path("home/.local/bin");
    fs::create_dir_all(&bin).expect("a directory");
    std::os::unix::fs::symlink(executable(), bin.join("wezterm-parallel")).expect("a link");
    host.connected();
    host.wait("the problem is gone", |host| !host.right_status().contains("not installed"));
}

#[test]
fn to_install_is_an_entry_of_the_palette_that_opens_a_pane() {
    let site = Site::new();
    let host = Host::new(&site, Flavour::Nightly);
    host.start(&config("{}"));
    host.choose_in_palette("wezterm-parallel: install the executable");
    host.wait("a pane with the script, or a word why not", |host| {
        host.pane_of("/plugin/bin/install.sh").is_some()
            || host.record().toasts.iter().any(|t| t.message.contains("install"))
    });
    assert!(host.record().children.is_empty(), "all that is done is done in the pane");
    assert!(host.pane_of("/plugin/bin/install.sh").is_some(), "{}", host.describe());
}

#[test]
fn a_file_that_is_no_program_is_said_and_nothing_loops() {
    let site = Site::new();
    site.config("version: 1\n");
    let file = site.path("bin/broken");
    fs::write(&file, "not a program").expect("a file");
    site.set_env("WEZTERM_PARALLEL_BIN", file.to_str().expect("text"));
    let host = Host::new(&site, Flavour::Stable);
    host.start(&config("{}"));
    host.wait("a word about it", |host| host.right_status().contains("cannot be run"));
    let before = host.record().children.len();
    for _ in 0..10 {
        host.status();
    }
    assert!(host.record().children.len() <= before + 2, "{}", host.describe());
}

#[test]
fn a_plugin_directory_that_is_read_only_and_a_home_with_odd_letters_are_no_matter() {
    let odd = "it's \"odd\" – ünï cödé";
    let site = site();
    for (name, dir) in [("XDG_DATA_HOME", "data"), ("HOME", "home"), ("TMPDIR", "tmp")] {
        let path = site.path(dir).join(odd);
        fs::create_dir_all(&path).expect("a directory");
        site.set_env(name, path.to_str().expect("text"));
    }
    let project = site.project(odd);
    site.config(&format!(
        "version: 1\nworkspaces:\n  odd: {{ cwd: {}, processes: {{ one: {{ command: [sleep, '1000'] }} }} }}\n",
        serde_json::to_string(project.to_str().expect("text")).expect("YAML takes JSON")
    ));
    // the executable, too, lies at such a path
    let bin = site.path("data").join(odd).join("wezterm-parallel");
    fs::create_dir_all(&bin).expect("a directory");
    let link = bin.join("wezterm-parallel");
    std::os::unix::fs::symlink(executable(), &link).expect("a link");
    site.set_env("WEZTERM_PARALLEL_BIN", link.to_str().expect("text"));
    let plugins = site.path("data").join(odd).join("checkout");
    plugin::copy(&checkout().join("plugin"), &plugins.join("plugin")).expect("a copy");
    chmod(&plugins, 0o555, 0o444);
    let host = Host::new(&site, Flavour::Stable);
    let from = plugins.to_str().expect("text").replace('\\', "\\\\").replace('"', "\\\"");
    host.start(
        &config("{}")
            .replace(
                &format!("wezterm.plugin.require 'file://{}'", checkout().display()),
                &format!("dofile(\"{from}/plugin/wezterm_parallel/init.lua\")"),
            )
            .replace(
                "local parallel",
                &format!("package.path = \"{from}/plugin/?.lua;\" .. package.path\nlocal parallel"),
            ),
    );
    host.connected();
    host.hears("odd/one", "running");
    host.choose_in_palette("wezterm-parallel: switch workspace");
    host.choose("odd");
    host.workspace_is("odd");
    assert_eq!(host.run_by("odd").len(), 1);
    chmod(&plugins, 0o755, 0o644);
}

fn chmod(dir: &std::path::Path, directories: u32, files: u32) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("ours");
    for entry in fs::read_dir(dir).expect("ours").flatten() {
        if entry.path().is_dir() {
            chmod(&entry.path(), directories, files);
        } else {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(files)).expect("ours");
        }
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(directories)).expect("ours");
}

#[test]
fn a_gui_without_a_path_finds_everything() {
    let site = site();
    site.unset_env("PATH");
    site.unset_env("WEZTERM_PARALLEL_BIN");
    let bin = site.path("home/.cargo/bin");
    fs::create_dir_all(&bin).expect("a directory");
    std::os::unix::fs::symlink(executable(), bin.join("wezterm-parallel")).expect("a link");
    // a program by its path, as there is no other way to name one here
    site.config("version: 1\nworkspaces:\n  api: { cwd: $WORK/api, processes: { one: { command: [/bin/sleep, '1000'] } } }\n");
    let host = started(&site, Flavour::Stable, "{}");
    host.hears("api/one", "running");
    host.press("CTRL|SHIFT", "W");
    host.choose("api");
    host.workspace_is("api");
    site.set_env("PATH", "/usr/bin:/bin");
}
