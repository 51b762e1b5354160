//! Tasks in WezTerm: added, listed, held and ended through questions, and told of in the status line.

use wezterm_parallel_schemas::{
    daemon::Empty,
    method::{AddTask, ListGroups, ListTasks},
    task::{TaskAdd, TaskList, TaskState, TaskView},
};

use crate::{
    fake::{Flavour, Host},
    scene::{FLAVOURS, site, started},
    support::site::Site,
};

fn add(site: &Site, name: &str, script: &str) {
    let add = TaskAdd {
        name: Some(name.into()),
        command: vec!["sh".into(), "-c".into(), script.into()],
        workspace: Some("api".into()),
        ..TaskAdd::default()
    };
    site.client().call::<AddTask>(add).expect("it is added");
}

fn tasks(site: &Site) -> Vec<TaskView> {
    site.client().call::<ListTasks>(TaskList::default()).expect("they can be listed")
}

fn state(site: &Site, name: &str) -> Option<TaskState> {
    tasks(site).into_iter().find(|t| t.name == name).map(|t| t.state)
}

fn until(host: &Host, site: &Site, name: &str, wanted: TaskState) {
    host.wait(&format!("{name} {wanted}"), |_| state(site, name) == Some(wanted));
}

#[test]
fn the_status_line_says_how_many_tasks_run_wait_and_failed() {
    for flavour in FLAVOURS {
        let site = site();
        let host = started(&site, flavour, "{}");
        assert!(!host.right_status().contains("task"), "{}", host.right_status());
        add(&site, "long", "exec sleep 1000");
        host.status_says("1 task");
        add(&site, "bad", "exit 3");
        host.status_says("1 task · 1 failed");
        let failed = || host.record().toasts.iter().any(|t| t.message.contains("exit code 3"));
        host.wait("a toast", |_| failed());
        // also by a GUI that was reloaded, and over another daemon
        site.kill_daemon();
        site.daemon();
        host.reload();
        host.connected();
        host.status_says("1 task · 1 failed");
    }
}

#[test]
fn a_task_is_added_paused_resumed_and_canceled_through_questions() {
    for flavour in FLAVOURS {
        let site = site();
        // nothing starts, so that no Claude is needed
        let config = std::fs::read_to_string(site.config_path()).expect("the config");
        site.config(&format!("{config}tasks: {{ parallel: 0 }}\n"));
        let host = started(&site, flavour, "{}");
        host.press("CTRL|SHIFT", "W");
        host.choose("api");
        host.workspace_is("api");
        host.choose_in_palette("wezterm-parallel: add a task");
        host.type_line("write the tests; '$(reboot)'");
        host.choose("Priority: 0");
        host.type_line("7");
        host.choose("Name: ");
        host.type_line("tests");
        host.choose("Add it");
        until(&host, &site, "tests", TaskState::Queued);
        let task = tasks(&site).remove(0);
        assert_eq!(
            (task.text.as_str(), task.priority, task.workspace.as_deref()),
            ("write the tests; '$(reboot)'", 7, Some("api"))
        );
        host.status_says("1 queued");
        for (deed, wanted) in [
            ("Pause it", TaskState::Paused),
            ("Have it go on", TaskState::Queued),
            ("Cancel it", TaskState::Canceled),
        ] {
            host.choose_in_palette("wezterm-parallel: tasks");
            host.choose("tests");
            host.choose(deed);
            match (deed, flavour) {
                ("Cancel it", Flavour::Stable) => host.choose("Cancel it"),
                ("Cancel it", Flavour::Nightly) => host.confirm(),
                _ => {}
            }
            until(&host, &site, "tests", wanted);
        }
        host.choose_in_palette("wezterm-parallel: tasks");
        host.choose("tests");
        host.choose("Have it begin again");
        until(&host, &site, "tests", TaskState::Queued);
        host.choose_in_palette("wezterm-parallel: tasks");
        host.choose("tests");
        host.choose("Follow it");
        host.wait("a tab", |host| host.pane_of(&format!("task attach {}", task.id)).is_some());
    }
}

#[test]
fn a_group_is_paused_and_resumed_through_questions() {
    let site = site();
    let host = started(&site, Flavour::Stable, "{}");
    let paused = |site: &Site| {
        let groups = site.client().call::<ListGroups>(Empty {}).expect("they can be listed");
        groups.iter().any(|g| g.paused)
    };
    for (brief, wanted) in [("pause a group of tasks", true), ("resume a group of tasks", false)] {
        host.choose_in_palette(&format!("wezterm-parallel: {brief}"));
        host.choose("default");
        host.wait(brief, |_| paused(&site) == wanted);
    }
}
