//! `events`.

use wezterm_parallel_schemas::{
    event::{EventKind, EventList, Subscribe},
    method::{ListEvents, SubscribeCall},
};

use crate::{
    app::App,
    arguments::Events,
    connection::{CallContext, CallError},
    failure::Outcome,
    output, view,
};

/// Events shown without `--since`: what fits a screen or two. With it, all that are kept.
const RECENT_MAX: u32 = 100;

/// `events`.
pub fn run(app: &App, args: &Events) -> Outcome {
    if args.follow { follow(app, args.since) } else { list(app, args.since) }
}

fn list(app: &App, since: Option<u64>) -> Outcome {
    let limit = if since.is_none() { Some(RECENT_MAX) } else { None };
    let events =
        app.connect()?.ask::<ListEvents>(&EventList { since, limit }).to(|| "list the events".into())?;
    if app.json {
        return output::print_json(&events);
    }
    output::print(events.iter().map(view::event).collect::<String>())
}

/// Goes on until the daemon ends. That is no failure if it said so.
fn follow(app: &App, since: Option<u64>) -> Outcome {
    let what = || "follow the events".to_owned();
    let mut daemon = app.connect()?;
    let params = Subscribe { topics: Vec::new(), from_seq: since };
    let snapshot = daemon.ask::<SubscribeCall>(&params).to(what)?;
    if let Some([from, to]) = snapshot.gap {
        output::note(format_args!("events {from} to {to} are no longer kept"));
    }
    let mut stopping = false;
    loop {
        match daemon.next_event(None) {
            Ok(None) => {}
            Ok(Some(event)) => {
                stopping |= event.kind == EventKind::DaemonStopping;
                if app.json {
                    output::print_json_line(&event)?;
                } else {
                    output::print(view::event(&event))?;
                }
            }
            Err(CallError::Lost(_)) if stopping => return Ok(()),
            Err(error) => return Err(error.failure(what())),
        }
    }
}
