//! What is on the glass: toasts, titles, and what the daemon asks to be shown.

use crate::{
    fake::{Flavour, Host},
    scene::{FLAVOURS, bare_site, guis, site, started},
    support::site::Site,
};

/// A workspace whose process `flaky` ends badly when its file is there.
fn with_flaky() -> Site {
    let site = bare_site();
    site.project("api");
    site.config(
        "version: 1
workspaces:
  api:
    cwd: $WORK/api
    processes:
      flaky: { command: [sh, -c, 'until [ -e fail ]; do sleep 0.05; done; exit 3'], restart: { policy: never } }
      calm: { command: [sleep, '1000'] }
",
    );
    site
}

fn fail(site: &Site) {
    std::fs::write(site.path("work/api/fail"), "").expect("a file");
}

fn failures(host: &Host) -> usize {
    host.record().toasts.iter().filter(|t| t.title.contains("flaky") || t.message.contains("flaky")).count()
}

#[test]
fn a_process_that_fails_is_a_toast_once_also_over_a_reload_and_a_kill() {
    for flavour in FLAVOURS {
        let site = with_flaky();
        let host = started(&site, flavour, "{}");
        host.hears("api/flaky", "running");
        fail(&site);
        host.wait("a toast", |host| failures(host) > 0);
        host.status_says("1 failed");
        host.reload();
        host.connected();
        site.kill_daemon();
        host.wait("the gap", |host| host.ask("state", "M.connected()") == serde_json::json!(false));
        host.connected();
        host.hears("api/flaky", "failed");
        host.status();
        assert_eq!(failures(&host), 1, "{:?}", host.record().toasts);
    }
}

#[test]
fn there_is_no_toast_for_the_pane_that_has_the_focus() {
    let site = with_flaky();
    let host = started(&site, Flavour::Stable, "{ restore = 'never' }");
    host.hears("api/flaky", "running");
    host.press("CTRL|SHIFT", "W");
    host.choose("api");
    host.workspace_is("api");
    let pane = host.pane_of("attach api/flaky").expect("its pane");
    host.set_user_var(pane, "wezterm_parallel", "api/flaky");
    host.run(&format!("require('wezterm').mux.get_pane({pane}):activate()"));
    fail(&site);
    host.hears("api/flaky", "failed");
    host.wait("the intent is acknowledged", |_| guis(&site).iter().all(|g| g.intents == 0));
    assert_eq!(failures(&host), 0, "{:?}", host.record().toasts);
}

#[test]
fn what_the_daemon_asks_for_is_shown_and_acknowledged() {
    for flavour in FLAVOURS {
        let site = site();
        let host = started(&site, flavour, "{}");
        host.cli(&site, &["gui", "show", "api/two"]).ok();
        host.workspace_is("api");
        assert_eq!(host.run_by("api"), ["attach api/one", "attach api/two"]);
        let active = host.pane();
        assert_eq!(host.pane_of("attach api/two"), Some(active));
        host.cli(&site, &["gui", "show", "--dashboard"]).ok();
        assert_eq!(host.pane_of("dashboard"), Some(host.pane()));
        // the one that is there is shown again, not another one
        host.cli(&site, &["gui", "show", "--dashboard"]).ok();
        assert_eq!(
            host.panes().iter().filter(|(_, _, args)| args.last().is_some_and(|a| a == "dashboard")).count(),
            1
        );
    }
}

#[test]
fn what_is_asked_for_in_the_middle_of_reloads_and_kills_is_done_once() {
    let site = site();
    let host = started(&site, Flavour::Nightly, "{}");
    for round in 0..6 {
        if round % 2 == 0 {
            host.block(async { crate::fake::host::reload_later(&host.world) });
        }
        host.cli(&site, &["gui", "show", "api/one"]);
        if round % 3 == 2 {
            site.kill_daemon();
            host.wait("the gap", |host| host.ask("state", "M.connected()") == serde_json::json!(false));
        }
        host.connected();
    }
    host.workspace_is("api");
    assert_eq!(host.run_by("api"), ["attach api/one", "attach api/two"], "opened once");
    host.wait("all are acknowledged", |_| guis(&site).iter().all(|g| g.intents == 0));
}

#[test]
fn of_two_guis_the_one_that_had_the_focus_last_shows_it() {
    let site = site();
    let one = started(&site, Flavour::Stable, "{ restore = 'never' }");
    let two = started(&site, Flavour::Nightly, "{ restore = 'never' }");
    assert_eq!(guis(&site).len(), 2);
    one.focus(None);
    one.focus(Some(one.window()));
    one.wait("the daemon knows of the focus", |_| {
        let all = guis(&site);
        all.iter().map(|g| g.focused_at).max()
            == all
                .iter()
                .find(|g| g.version.as_deref() == Some(Flavour::Stable.version()))
                .map(|g| g.focused_at)
            && all.iter().all(|g| g.waiting == 1)
    });
    one.cli(&site, &["gui", "show", "api/one"]).ok();
    one.workspace_is("api");
    assert_eq!(two.run_by("api"), [""; 0]);
    two.go_on(std::time::Duration::from_millis(1));
}

#[test]
fn tabs_have_the_sign_and_the_name_of_their_process() {
    let site = site();
    let host = started(&site, Flavour::Stable, "{ glyphs = 'ascii' }");
    host.press("CTRL|SHIFT", "W");
    host.choose("api");
    host.workspace_is("api");
    host.wait("a title", |host| {
        host.tab_titles().iter().flatten().any(|t| t.contains("> two") || t.contains("> one"))
    });
    host.cli(&site, &["process", "stop", "api/one"]).ok();
    host.cli(&site, &["process", "stop", "api/two"]).ok();
    host.wait("another sign", |host| host.tab_titles().iter().flatten().any(|t| t.contains(". ")));
}

#[test]
fn each_built_in_handler_can_be_switched_off_and_its_pieces_are_exported() {
    let site = site();
    let host = started(
        &site,
        Flavour::Stable,
        "{ status = false, tab_titles = false, palette = false, toasts = false }",
    );
    host.hears("api/one", "running");
    host.status();
    assert!(host.record().statuses.is_empty());
    assert!(host.palette().is_empty());
    assert!(host.tab_titles().iter().all(Option::is_none));
    let pieces = host.run("return require('wezterm_parallel.api').status_segments()");
    assert!(
        pieces.as_array().is_none_or(|p| p.iter().all(|p| p["text"].is_string() && p["color"].is_string()))
    );
    let entries = host.run("local names = {} for _, e in ipairs(require('wezterm_parallel.api').palette_entries()) do names[#names + 1] = e.brief end return names");
    assert!(entries.as_array().is_some_and(|e| e.len() > 20), "{entries}");
}
