//! `limit …`: accounts with their usage windows, limits, cost and tokens.

use wezterm_parallel_schemas::{
    daemon::Empty,
    limit::{AccountView, LimitOpen, Usage, Window},
    method::{ListLimits, OpenLimit},
};

use crate::{
    app::App,
    arguments::Limit,
    connection::{CallContext, Patience},
    failure::Outcome,
    output,
    table::{Column, column, render, text},
    time,
};

const COLUMNS: &[Column] = &[
    column("ACCOUNT", 0),
    column("LIMITED", 0),
    column("WINDOW", 0),
    column("USED", 0),
    column("RESETS IN", 1),
    column("COST", 2),
    column("TOKENS IN/OUT", 4),
    text("PROCESSES", 3),
];

/// `limit …`.
pub fn run(app: &App, verb: &Limit) -> Outcome {
    let mut daemon = app.connect()?;
    let list = match verb {
        Limit::List => daemon.ask::<ListLimits>(&Empty {}).to(|| "list the accounts".into())?,
        Limit::Open { account } => {
            let params = LimitOpen { account: account.clone(), key: None };
            let what = || "have tasks start again".into();
            daemon.call::<OpenLimit>(&params, Patience::Effect).to(what)?
        }
    };
    if app.json {
        return output::print_json(&list);
    }
    let home = app.home.to_string_lossy();
    output::print(accounts(&list, &home, time::now(), output::width()))
}

/// A table of accounts, a line for each window.
fn accounts(list: &[AccountView], home: &str, now: i64, width: Option<u16>) -> String {
    if list.is_empty() {
        return "no account is known: none of the Claudes here has said anything yet\n".into();
    }
    let rows: Vec<_> = list.iter().flat_map(|account| rows(account, home, now)).collect();
    render(COLUMNS, &rows, width)
}

fn rows(a: &AccountView, home: &str, now: i64) -> Vec<Vec<String>> {
    let limited = match a.limited_until {
        Some(until) => format!("for {}", time::span((until - now).max(0))),
        None => "no".into(),
    };
    let name = match a.account.strip_prefix(home) {
        Some(rest) if rest.starts_with('/') => format!("~{rest}"),
        _ => a.account.clone(),
    };
    let tokens = format!("{}/{}", count(a.input_tokens), count(a.output_tokens));
    let of_account = [name, limited];
    let behind = [cost(a.cost_usd), tokens, a.processes.join(" ")];
    let first = a.windows.first();
    let mut rows = vec![[&of_account[..], &window(first, now)[..], &behind[..]].concat()];
    for w in a.windows.iter().skip(1) {
        let empty = String::new;
        rows.push(
            [&[empty(), empty()][..], &window(Some(w), now)[..], &[empty(), empty(), empty()][..]].concat(),
        );
    }
    rows
}

fn window(w: Option<&Window>, now: i64) -> [String; 3] {
    let Some(w) = w else { return Default::default() };
    [
        w.name.clone(),
        w.used_percent.map(percent).unwrap_or_default(),
        w.resets_at.map(|at| time::span((at - now).max(0))).unwrap_or_default(),
    ]
}

/// US dollars: `$0.00`, `$12.34`, and what is more than nothing is never shown as nothing.
pub fn cost(usd: f64) -> String {
    if usd > 0.0 && usd < 0.01 { "<$0.01".into() } else { format!("${usd:.2}") }
}

/// `93 %`.
pub fn percent(percent: f64) -> String {
    format!("{percent:.0} %")
}

/// What a process has used: its cost, and how full its context is.
pub fn usage(usage: Option<&Usage>) -> [String; 2] {
    let Some(u) = usage else { return Default::default() };
    [u.cost_usd.map(cost).unwrap_or_default(), u.context_percent.map(percent).unwrap_or_default()]
}

/// A number of tokens in four characters: `950`, `12k`, `3.4M`.
pub fn count(n: u64) -> String {
    let n = n as f64;
    match n {
        ..1e3 => format!("{n:.0}"),
        ..1e5 => format!("{:.1}k", n / 1e3),
        ..1e6 => format!("{:.0}k", n / 1e3),
        ..1e8 => format!("{:.1}M", n / 1e6),
        _ => format!("{:.0}M", n / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_327_622_000;

    fn some() -> Vec<AccountView> {
        let window = |name: &str, used, minutes: i64| Window {
            name: name.into(),
            used_percent: Some(used),
            resets_at: Some(NOW + minutes * 60_000),
            at: NOW,
        };
        vec![
            AccountView {
                account: "/home/u/.claude".into(),
                limited_until: Some(NOW + 83 * 60_000),
                reason: Some("You've hit your limit".into()),
                windows: vec![window("five_hour", 100.0, 83), window("seven_day", 41.5, 6_000)],
                processes: vec!["api/lead".into(), "api/second".into()],
                cost_usd: 12.345,
                input_tokens: 3_456_789,
                output_tokens: 45_678,
            },
            AccountView {
                account: "/srv/claude".into(),
                limited_until: None,
                reason: None,
                windows: Vec::new(),
                processes: Vec::new(),
                cost_usd: 0.001,
                input_tokens: 950,
                output_tokens: 7,
            },
        ]
    }

    #[test]
    fn accounts_at_several_widths() {
        let show = |width| accounts(&some(), "/home/u", NOW, width);
        insta::assert_snapshot!(format!("{}\n{}\n{}", show(None), show(Some(80)), show(Some(50))));
    }

    #[test]
    fn what_costs_something_is_never_shown_as_nothing() {
        assert_eq!(
            [cost(0.0), cost(0.001), cost(0.994), cost(1_234.5)],
            ["$0.00", "<$0.01", "$0.99", "$1234.50"]
        );
    }

    #[test]
    fn numbers_of_tokens_are_short() {
        let all = [0, 999, 1_000, 99_949, 123_456, 1_234_567, 123_456_789].map(count);
        assert_eq!(all, ["0", "999", "1.0k", "99.9k", "123k", "1.2M", "123M"]);
    }
}
