//! `session …`.

use wezterm_parallel_schemas::{
    method::ListSessions,
    session::{SessionList, SessionView},
};

use crate::{
    app::App,
    arguments::Session,
    claude,
    connection::{CallContext, Connection},
    failure::{Context, Outcome},
    output, time, view,
};

/// `session …`.
pub fn run(app: &App, verb: &Session) -> Outcome {
    let Session::List { cwd, all, limit } = verb;
    let what = || "list the sessions".to_owned();
    let cwd = match (all, cwd) {
        (true, _) => None,
        (false, Some(dir)) => Some(std::path::absolute(dir).failed_to(what)?),
        (false, None) => Some(std::env::current_dir().failed_to(what)?),
    };
    let params = SessionList { cwd, limit: *limit, config_dir: claude::config_dir(app) };
    let list: Vec<SessionView> = ask(&mut app.connect()?, &params)?;
    if app.json {
        return output::print_json(&list);
    }
    output::print(view::sessions(&list, *all, time::now(), output::width()))
}

fn ask(daemon: &mut Connection, params: &SessionList) -> Outcome<Vec<SessionView>> {
    daemon.ask::<ListSessions>(params).to(|| "list the sessions".into())
}
