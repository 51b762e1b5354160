//! `gui …`: WezTerms with the plugin in them, and what is shown there.

use wezterm_parallel_schemas::{
    daemon::Empty,
    gui::{GuiShow, GuiView},
    method::{ListGuis, ShowInGui},
};

use crate::{
    app::App,
    arguments::{Gui, Show},
    connection::{CallContext, Connection, Patience},
    failure::Outcome,
    output,
    table::{Column, column, render, text},
    time,
};

const COLUMNS: &[Column] = &[
    column("GUI", 0),
    column("PID", 3),
    column("VERSION", 2),
    text("WORKSPACE", 0),
    column("FOCUS", 1),
    column("TO DO", 4),
    text("SOCKET", 5),
];

/// `gui …`.
pub fn run(app: &App, verb: &Gui) -> Outcome {
    let mut daemon = app.connect()?;
    match verb {
        Gui::List => {
            let list = daemon.ask::<ListGuis>(&Empty {}).to(|| "list the GUIs".into())?;
            if app.json {
                return output::print_json(&list);
            }
            output::print(guis(&list, time::now(), output::width()))
        }
        Gui::Show(show) => {
            let shown = daemon
                .call::<ShowInGui>(&params(show), Patience::Effect)
                .to(|| format!("show {}", what(show)))?;
            if app.json {
                return output::print_json(&shown);
            }
            output::print(format_args!("shown in {}\n", output::clean(&shown.gui)))
        }
    }
}

fn params(show: &Show) -> GuiShow {
    let (workspace, process) = match show.target.as_deref().map(|t| t.split_once('/').ok_or(t)) {
        Some(Ok((workspace, process))) => (Some(workspace.to_owned()), Some(process.to_owned())),
        Some(Err(workspace)) => (Some(workspace.to_owned()), None),
        None => (None, None),
    };
    GuiShow { workspace, process, dashboard: show.dashboard, gui: show.gui.clone(), key: None }
}

fn what(show: &Show) -> String {
    show.target.clone().unwrap_or_else(|| "the dashboard".into())
}

/// How many GUIs are connected, for who looks at the whole; none if the daemon is of before there were any.
pub fn connected(daemon: &mut Connection) -> Option<usize> {
    daemon.ask::<ListGuis>(&Empty {}).ok().map(|list| list.len())
}

/// A table of GUIs.
fn guis(list: &[GuiView], now: i64, width: Option<u16>) -> String {
    if list.is_empty() {
        return "no WezTerm with the plugin in it is connected\n".into();
    }
    let rows: Vec<_> = list.iter().map(|gui| row(gui, now)).collect();
    render(COLUMNS, &rows, width)
}

fn row(g: &GuiView, now: i64) -> Vec<String> {
    let focus = match g.focused_at {
        0 => "never".into(),
        at => format!("{} ago", time::span((now - at).max(0))),
    };
    let socket = g.socket.as_ref().map(|s| s.display().to_string());
    vec![
        g.gui.clone(),
        g.pid.to_string(),
        g.version.clone().unwrap_or_default(),
        g.workspace.clone().unwrap_or_default(),
        focus,
        g.intents.to_string(),
        socket.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guis_at_several_widths() {
        let now = 1_795_327_622_000;
        let list = [
            GuiView {
                gui: "4711-a1".into(),
                pid: 4_711,
                socket: Some("/run/user/1000/wezterm/gui-sock-4711".into()),
                version: Some("20240203-110809-5046fc22".into()),
                focused_at: now - 65_000,
                workspace: Some("api\x1b[2J".into()),
                intents: 1,
                waiting: 1,
                ..GuiView::default()
            },
            GuiView { gui: "4712-b2".into(), pid: 4_712, ..GuiView::default() },
        ];
        let show = |width| anstream::adapter::strip_str(&guis(&list, now, width)).to_string();
        insta::assert_snapshot!(format!("{}\n{}\n{}", show(None), show(Some(80)), guis(&[], now, None)));
    }

    #[test]
    fn a_workspace_or_a_process_of_it_is_named() {
        let of = |target: &str| {
            let target = Some(target.to_owned());
            let p = params(&Show { target, dashboard: false, gui: None });
            (p.workspace.unwrap_or_default(), p.process)
        };
        assert_eq!(of("api"), ("api".to_owned(), None));
        assert_eq!(of("api/lead"), ("api".to_owned(), Some("lead".to_owned())));
    }
}
