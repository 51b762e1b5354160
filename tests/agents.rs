//! Other agents: their status by what the config says of them, from titles, progress reports and their own
//! word, with a program that does as it is told.

use std::fs;

use wezterm_parallel_schemas::process::{Blocked, State, Status};

use crate::support::{pty::Pty, site::Site};

/// Reads words, and shows each as the agent that it plays would.
const AGENT: &str = r#"#!/bin/sh
stty -echo
while read -r word rest; do
    case $word in
    title) printf '\033]0;%s\007' "$rest" ;;
    progress) printf '\033]9;4;%s\007' "$rest" ;;
    report) printf '\033]7501;%s\007' "$rest" ;;
    flood) yes "$rest" | head -n 100000 | sed "s/one/$(printf '\033]')/;s/two/$(printf '\033]')/;s/end/$(printf '\007')/g" | tr -d '\n' ;;
    esac
    printf 'did %s %s\r\n' "$word" "$rest"
done
"#;

const AGENTS: &str = "version: 1
agents:
  gemini:
    command: [agent]
    status: [osc7501, title]
    titles: { idle: '^◇', working: '^[✦⏲]', blocked: '^✋', error: 'failed' }
  progress:
    command: [agent]
    status: [progress]
  silent:
    command: [agent]
workspaces:
  api:
    cwd: $WORK/api
    processes:
      gemini: { agent: gemini }
      progress: { agent: progress }
      silent: { agent: silent, ready_timeout: 1s }
      plain: { command: [agent] }
";

fn site() -> Site {
    let site = Site::new();
    site.project("api");
    site.script("agent", AGENT);
    site.config(AGENTS);
    site.daemon();
    site
}

/// A terminal at a process, and what it is told to do.
fn attach(site: &Site, name: &str) -> Pty {
    site.wait_state(name, State::Running);
    site.terminal(100, 30, &["process", "attach", name])
}

fn tell(pty: &Pty, line: &str) {
    pty.type_keys(&format!("{line}\r"));
    pty.wait_for_text(&format!("did {line}"));
}

#[test]
fn titles_mean_what_the_config_says_and_others_say_nothing() {
    let site = site();
    let pty = attach(&site, "api/gemini");
    assert_eq!(site.process("api/gemini").status, Some(Status::Starting));
    for (title, status) in [
        ("◇  Ready (api)", Status::Idle),
        ("✦  Working… (api)", Status::Working),
        ("✋  Action Required (api)", Status::Blocked(Blocked::Question)),
        ("⏲  Working… (api)", Status::Working),
        ("the turn failed", Status::Error),
    ] {
        tell(&pty, &format!("title {title}"));
        let shown = site.wait_status("api/gemini", status);
        assert_eq!(shown.title.as_deref(), Some(title));
    }
    tell(&pty, "title something else");
    site.wait_process("api/gemini", |p| p.title.as_deref() == Some("something else"));
    assert_eq!(site.process("api/gemini").status, Some(Status::Error));
    // its own word counts more
    tell(&pty, "report state=working");
    site.wait_status("api/gemini", Status::Working);
    tell(&pty, "title ◇  Ready (api)");
    site.wait_process("api/gemini", |p| p.title.as_deref() == Some("◇  Ready (api)"));
    assert_eq!(site.process("api/gemini").status, Some(Status::Working));
    let why = site.run(&["process", "explain", "api/gemini"]).ok().out;
    assert!(why.contains("osc7501") && why.contains("title"), "{why}");
}

#[test]
fn a_progress_report_is_work_until_it_is_taken_back() {
    let site = site();
    let pty = attach(&site, "api/progress");
    for (state, status) in [
        ("3", Status::Working),
        ("0", Status::Idle),
        ("1;40", Status::Working),
        ("2;40", Status::Error),
        ("4", Status::Blocked(Blocked::Question)),
    ] {
        tell(&pty, &format!("progress {state}"));
        site.wait_status("api/progress", status);
    }
    // a title of its own changes nothing: the config does not read it
    tell(&pty, "title ◇  Ready (api)");
    assert_eq!(site.process("api/progress").status, Some(Status::Blocked(Blocked::Question)));
}

#[test]
fn what_was_shown_last_is_known_to_the_next_daemon() {
    let site = site();
    let (title, progress) = (attach(&site, "api/gemini"), attach(&site, "api/progress"));
    tell(&title, "title ✦  Working… (api)");
    tell(&progress, "progress 3");
    site.wait_status("api/gemini", Status::Working);
    site.wait_status("api/progress", Status::Working);
    site.kill_daemon();
    site.daemon();
    site.wait_status("api/gemini", Status::Working);
    site.wait_status("api/progress", Status::Working);
}

#[test]
fn an_agent_that_says_nothing_is_unknown_and_a_plain_command_has_no_status() {
    let site = site();
    let silent = site.wait_status("api/silent", Status::Unknown);
    assert_eq!(silent.state, State::Running, "it is left alone");
    let pty = attach(&site, "api/plain");
    tell(&pty, "title ◇  Ready (api)");
    site.wait_process("api/plain", |p| p.title.is_some());
    assert_eq!(site.process("api/plain").status, None);
    tell(&pty, "report state=blocked:kind=question");
    site.wait_status("api/plain", Status::Blocked(Blocked::Question));
}

/// Each flood is 200,000 reports, no two alike that follow each other, as fast as a program can write them.
#[test]
fn a_flood_of_reports_costs_no_process_its_status_its_terminal_or_its_life() {
    let site = site();
    let progress = "flood one9;4;1;50endtwo9;4;2;51end";
    let word = "flood one7501;state=workingendtwo7501;state=error:msg=xend";
    for (name, flood, last) in [
        ("api/progress", progress, "progress 0"),
        // of one whose progress is not read it is nothing at all
        ("api/gemini", progress, "report state=idle"),
        ("api/silent", word, "report state=idle"),
    ] {
        let before = site.wait_process(name, |p| p.state == State::Running && p.pid.is_some());
        let pty = attach(&site, name);
        tell(&pty, flood);
        tell(&pty, last);
        let after = site.wait_status(name, Status::Idle);
        assert_eq!((after.pid, after.restarts), (before.pid, before.restarts), "{name}");
    }
    let log = fs::read_to_string(site.path("state/wezterm-parallel/daemon.log")).expect("it logs");
    for diagnostic in ["lost a keeper", "refused a change"] {
        assert!(!log.contains(diagnostic), "{log}");
    }
}
