//! `process explain`: which evidence there is of an agent's status, which won, and why.

use wezterm_parallel_schemas::{
    evidence::{Evidence, EvidenceSource, Explanation, Standing},
    method::ExplainProcess,
    process::Status,
};

use crate::{
    app::App,
    connection::CallContext,
    failure::Outcome,
    output::{self, FAINT, STRONG, clean},
    table::{Column, column, render, text},
    target::Target,
    time,
};

const COLUMNS: &[Column] = &[
    column("SOURCE", 0),
    column("SAYS", 0),
    column("AGO", 1),
    column("STANDING", 0),
    text("IN ITS OWN WORDS", 2),
    text("WHY", 1),
];

/// `process explain`.
pub fn run(app: &App, process: &Target) -> Outcome {
    let mut daemon = app.connect()?;
    let explained = daemon.ask::<ExplainProcess>(&process.params()).to(|| format!("explain `{process}`"))?;
    if app.json {
        return output::print_json(&explained);
    }
    output::print(explanation(&explained, time::now(), output::width()))
}

fn explanation(e: &Explanation, now: i64, width: Option<u16>) -> String {
    let p = &e.process;
    let status = p.status.map_or("none", Status::name);
    let since =
        p.status_since.map(|at| format!(" for {}", time::span((now - at).max(0)))).unwrap_or_default();
    let mut out = format!("{STRONG}{}/{}{STRONG:#}: {status}{since}\n", clean(&p.workspace), clean(&p.name));
    if let Some(reason) = &p.status_reason {
        out += &format!("  {}\n", clean(reason));
    }
    out += &format!("because: {}\n", clean(&e.because));
    if !e.evidence.is_empty() {
        let rows: Vec<_> = e.evidence.iter().map(|e| row(e, now)).collect();
        out += "\n";
        out += &render(COLUMNS, &rows, width);
    }
    if !e.history.is_empty() {
        out += &format!("\n{FAINT}before, newest first{FAINT:#}\n");
        for e in &e.history {
            out += &format!(
                "{FAINT}{:>8} ago{FAINT:#}  {:<11} {}\n",
                time::span((now - e.at).max(0)),
                source(e.source),
                clean(&e.said)
            );
        }
    }
    out
}

fn row(e: &Evidence, now: i64) -> Vec<String> {
    vec![
        source(e.source).into(),
        e.status.map_or("-", Status::name).into(),
        time::span((now - e.at).max(0)),
        standing(e.standing).into(),
        e.said.clone(),
        e.why.clone(),
    ]
}

/// A source as it stands on the wire.
const fn source(source: EvidenceSource) -> &'static str {
    match source {
        EvidenceSource::Osc7501 => "osc7501",
        EvidenceSource::Hook => "hook",
        EvidenceSource::Registry => "registry",
        EvidenceSource::Stream => "stream",
        EvidenceSource::StatusLine => "status_line",
        EvidenceSource::Title => "title",
        EvidenceSource::Progress => "progress",
        EvidenceSource::Machine => "machine",
        EvidenceSource::Exit => "exit",
        _ => "unknown",
    }
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Won => "won",
        Standing::Agrees => "agrees",
        Standing::Overruled => "overruled",
        Standing::Contradicts => "contradicts",
        Standing::Stale => "stale",
        Standing::Silent => "silent",
        _ => "unknown",
    }
}
