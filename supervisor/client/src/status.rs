//! `status`.

use wezterm_parallel_schemas::{daemon::Empty, method::DaemonStatus};

use crate::{app::App, connection::CallContext, failure::Outcome, output, time, view};

/// `status`.
pub fn run(app: &App) -> Outcome {
    let mut daemon = app.connect()?;
    let all = daemon.ask::<DaemonStatus>(&Empty {}).to(|| "see how things stand".into())?;
    if app.json {
        return output::print_json(&all);
    }
    output::print(view::status_of_all(&all, time::now(), output::width()))
}
