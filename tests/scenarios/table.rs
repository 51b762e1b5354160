//! The score as a table.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use crate::{scenario::SCENARIOS, stage::Way};

/// What came of a scenario.
#[derive(Clone, Debug)]
pub enum Found {
    /// The status was right; the latest one came so many milliseconds after what it tells of.
    Right {
        /// Milliseconds.
        late_ms: i64,
    },
    /// It was not.
    Wrong {
        /// What was seen.
        why: String,
    },
}

/// What came of all.
#[derive(Default)]
pub struct Score {
    found: BTreeMap<(usize, usize), Found>,
}

impl Score {
    /// Notes one.
    pub fn put(&mut self, way: usize, scenario: usize, found: Found) {
        self.found.insert((way, scenario), found);
    }

    /// How many were right and not later than `late`, and how many there were.
    pub fn count(&self, way: usize, late: i64) -> (usize, usize) {
        let of_way = self.found.iter().filter(|((w, _), _)| *w == way);
        let right = of_way.clone().filter(|(_, f)| matches!(f, Found::Right { late_ms } if *late_ms <= late));
        (right.count(), of_way.count())
    }

    /// For the terminal.
    pub fn shown(&self, ways: &[Way], late: i64) -> String {
        let mut out = String::from("\n");
        for (s, scenario) in SCENARIOS.iter().enumerate() {
            let _ = write!(out, "{:>2}  {:<44}", s + 1, scenario.name);
            for w in 0..ways.len() {
                let _ = write!(out, "{:>24}", self.cell(w, s));
            }
            out.push('\n');
        }
        let _ = write!(out, "    {:<44}", "");
        for (w, way) in ways.iter().enumerate() {
            let (right, all) = self.count(w, late);
            let _ = write!(out, "{:>24}", format!("{right}/{all} {}", short(way)));
        }
        out.push('\n');
        for ((w, s), found) in &self.found {
            if let Found::Wrong { why } = found {
                let _ = writeln!(out, "- {} ({}): {why}", SCENARIOS[*s].name, ways[*w].name);
            }
        }
        out
    }

    fn cell(&self, way: usize, scenario: usize) -> String {
        match self.found.get(&(way, scenario)) {
            None => "-".into(),
            Some(Found::Right { late_ms }) => format!("{} ms", (*late_ms).max(0)),
            Some(Found::Wrong { .. }) => "✗".into(),
        }
    }

    /// Writes the table between its marks in `docs/STATUS.md`.
    pub fn write(&self, ways: &[Way], late: i64) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/STATUS.md");
        let mut table = String::from("| | scenario |");
        for way in ways {
            let _ = write!(table, " {} |", way.name);
        }
        table += "\n|---|---|";
        table += &"---|".repeat(ways.len());
        table.push('\n');
        for (s, scenario) in SCENARIOS.iter().enumerate() {
            let _ = write!(table, "| {} | {} |", s + 1, scenario.name);
            for w in 0..ways.len() {
                let _ = write!(table, " {} |", self.cell(w, s));
            }
            table.push('\n');
        }
        table += "| | **right** |";
        for w in 0..ways.len() {
            let (right, all) = self.count(w, i64::MAX);
            let _ = write!(table, " **{right}/{all}** |");
        }
        let _ = write!(table, "\n| | within {late} ms |");
        for w in 0..ways.len() {
            let (right, all) = self.count(w, late);
            let _ = write!(table, " {right}/{all} |");
        }
        table.push('\n');
        let text = fs::read_to_string(&path).expect("docs/STATUS.md is there");
        let (start, end) = ("<!-- measured: scenarios -->\n", "<!-- end -->");
        let from = text.find(start).expect("it has a place for the table") + start.len();
        let to = from + text[from..].find(end).expect("the place has an end");
        let text = format!("{}\n{table}\n{}", &text[..from], &text[to..]);
        fs::write(path, text).expect("docs/STATUS.md can be written");
    }
}

fn short(way: &Way) -> String {
    way.name.replace("full screen", "full")
}

/// A line as it comes.
pub fn line(way: &Way, scenario: usize, found: &Found) -> String {
    let name = SCENARIOS[scenario].name;
    match found {
        Found::Right { late_ms } => format!("{}: {name}: right after {late_ms} ms", way.name),
        Found::Wrong { why } => format!("{}: {name}: WRONG: {why}", way.name),
    }
}
