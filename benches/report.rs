//! What was measured, as one table for people and as one JSON file for graphs.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::failure::{Context, Try};

/// One measured quantity.
#[derive(Clone, Debug)]
pub struct Figure {
    /// How much, in `unit`.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// What else was seen: the 99th percentile, the number of samples.
    pub note: String,
}

/// What figures are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Memory, printed as MB of 1,000,000 bytes or as kB.
    Bytes,
    /// Time, printed in the unit that suits.
    Seconds,
    /// Part of one processor, in percent.
    Percent,
    /// How often in a second.
    PerSecond,
}

/// One line of the table, and the peers' lines below it.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Ours, or why there is none.
    pub ours: Try<Figure>,
    /// The others, or why there is none.
    pub peers: Vec<(String, Try<Figure>)>,
    /// What ours is meant to reach.
    pub target: Option<Target>,
}

/// What a figure is meant to reach. Smaller is better in every row.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// At most this, in the row's unit.
    AtMost(f64),
    /// At most this much of the first peer's figure.
    OfFirstPeer(f64),
    /// Both.
    Both(f64, f64),
}

impl Figure {
    /// A figure without a note.
    pub fn new(value: f64, unit: Unit) -> Self {
        Self { value, unit, note: String::new() }
    }

    /// So many bytes.
    pub fn kib(kib: u64) -> Self {
        Self::new(kib as f64 * 1024.0, Unit::Bytes)
    }

    /// So much time.
    pub fn time(time: Duration) -> Self {
        Self::new(time.as_secs_f64(), Unit::Seconds)
    }

    /// The median of `samples`; the 99th percentile and their number are noted.
    ///
    /// # Panics
    /// There are no samples.
    pub fn median(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let p99 = Self::time(percentile(&samples, 0.99)).shown();
        let note = format!("p99 {p99}, n {}", samples.len());
        Self::time(percentile(&samples, 0.5)).noted(note)
    }

    /// The same figure with a note.
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The figure with its unit, in three digits.
    pub fn shown(&self) -> String {
        shown(self.value, self.unit)
    }
}

impl Row {
    /// A row without peers and without a target.
    pub fn new(name: impl Into<String>, ours: Try<Figure>) -> Self {
        Self { name: name.into(), ours, peers: Vec::new(), target: None }
    }

    /// The same row with what it is meant to reach.
    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// The same row beside another one.
    pub fn beside(mut self, name: impl Into<String>, figure: Try<Figure>) -> Self {
        self.peers.push((name.into(), figure));
        self
    }

    /// Whether ours is within the target; none if either is missing.
    fn met(&self) -> Option<bool> {
        let ours = self.ours.as_ref().ok()?.value;
        let first = || Some(self.peers.first()?.1.as_ref().ok()?.value);
        match self.target? {
            Target::AtMost(bound) => Some(ours <= bound),
            Target::OfFirstPeer(part) => first().map(|peer| ours <= part * peer),
            Target::Both(bound, part) => Some(ours <= bound && ours <= part * first()?),
        }
    }

    fn target_shown(&self) -> String {
        let Some(target) = self.target else { return String::new() };
        let unit = self.ours.as_ref().map_or(Unit::Seconds, |f| f.unit);
        let first = self.peers.first().map_or("the first peer", |(name, _)| name);
        match target {
            Target::AtMost(bound) => format!("≤ {}", shown(bound, unit)),
            Target::OfFirstPeer(part) => format!("≤ {part} × {first}"),
            Target::Both(bound, part) => format!("≤ {}, ≤ {part} × {first}", shown(bound, unit)),
        }
    }
}

/// The sample that `part` of the others (0 to 1) do not exceed.
///
/// # Panics
/// There are no samples, or they are not sorted in a way that this finds out.
pub fn percentile(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len().checked_sub(1).expect("there is at least one sample");
    sorted[(last as f64 * part).round() as usize]
}

/// The table.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![["row", "", "figure", "ours ÷ it", "target", ""].map(String::from).to_vec()];
    for row in rows {
        let met = match row.met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        lines.push(vec![
            row.name.clone(),
            "ours".into(),
            cell(&row.ours),
            String::new(),
            row.target_shown(),
            met.into(),
        ]);
        for (name, figure) in &row.peers {
            let ratio = match (&row.ours, figure) {
                (Ok(ours), Ok(peer)) if peer.value > 0.0 => format!("{:.2}", ours.value / peer.value),
                _ => String::new(),
            };
            lines.push(vec![String::new(), name.clone(), cell(figure), ratio, String::new(), String::new()]);
        }
    }
    let columns = lines[0].len();
    let width = |column: usize| lines.iter().map(|l| l[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<_> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}

/// Writes the same as JSON: `{machine, rows: [{row, ours, peers, target, met}]}`, figures as
/// `{value, unit, note}` or `{error}`, bytes and seconds as they are.
pub fn write_json(path: &Path, machine: &[String], rows: &[Row]) -> Try<()> {
    let rows: Vec<_> = rows.iter().map(row_json).collect();
    let text = serde_json::to_string_pretty(&json!({ "machine": machine, "rows": rows }));
    fs::write(path, text.failed_to("write JSON")?).failed_to(format!("write {}", path.display()))
}

fn row_json(row: &Row) -> Value {
    let peers: serde_json::Map<_, _> =
        row.peers.iter().map(|(name, figure)| (name.clone(), figure_json(figure))).collect();
    json!({
        "row": row.name,
        "ours": figure_json(&row.ours),
        "peers": peers,
        "target": row.target.map(|_| row.target_shown()),
        "met": row.met(),
    })
}

fn figure_json(figure: &Try<Figure>) -> Value {
    match figure {
        Ok(figure) => {
            let unit = match figure.unit {
                Unit::Bytes => "bytes",
                Unit::Seconds => "seconds",
                Unit::Percent => "percent",
                Unit::PerSecond => "per second",
            };
            json!({ "value": figure.value, "unit": unit, "note": figure.note })
        }
        Err(why) => json!({ "error": why.to_string() }),
    }
}

fn cell(figure: &Try<Figure>) -> String {
    match figure {
        Ok(figure) if figure.note.is_empty() => figure.shown(),
        Ok(figure) => format!("{} ({})", figure.shown(), figure.note),
        Err(why) => format!("no figure: {why}"),
    }
}

fn shown(value: f64, unit: Unit) -> String {
    let (value, unit) = match unit {
        Unit::Bytes if value >= 1e6 => (value / 1e6, "MB"),
        Unit::Bytes => (value / 1e3, "kB"),
        Unit::Seconds if value >= 1.0 => (value, "s"),
        Unit::Seconds if value >= 1e-3 => (value * 1e3, "ms"),
        Unit::Seconds => (value * 1e6, "µs"),
        Unit::Percent => return format!("{value:.3} %"),
        Unit::PerSecond => return format!("{value:.2} /s"),
    };
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}
