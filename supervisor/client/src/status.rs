//! `status`.

use wezterm_parallel_schemas::{daemon::Empty, method::DaemonStatus};

use crate::{app::App, connection::CallContext, failure::Outcome, gui, output, task, time, view};

/// `status`.
pub fn run(app: &App) -> Outcome {
    let mut daemon = app.connect()?;
    let all = daemon.ask::<DaemonStatus>(&Empty {}).to(|| "see how things stand".into())?;
    if app.json {
        return output::print_json(&all);
    }
    let mut text = view::status_of_all(&all, time::now(), output::width());
    if let Some(tasks) = task::in_short(&mut daemon) {
        text += &format!("\ntasks: {tasks}\n");
    }
    if let Some(n @ 1..) = gui::connected(&mut daemon) {
        text += &format!("\nconnected: {}\n", view::count(n, "WezTerm"));
    }
    output::print(text)
}
