//! How panes lie: the templates of the config, and what GUIs have told of the panes of each workspace.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::PathBuf,
    rc::Rc,
};

use indexmap::IndexMap;
use wezterm_parallel_core::spec::Desired;
use wezterm_parallel_schemas::layout::Layout;
use wezterm_parallel_store::ArrangementRow;

/// See the module. One per daemon, on its one thread.
pub struct Layouts {
    config: RefCell<Rc<FromConfig>>,
    /// By the ids of the workspaces.
    left: RefCell<HashMap<String, Left>>,
    /// Number of what was told last.
    told: Cell<u64>,
}

/// How the panes of a workspace were last left.
struct Left {
    row: ArrangementRow,
    /// Number of what it is known from.
    told: u64,
    /// It is on the disk as it stands here.
    kept: bool,
}

/// What a GUI has told that is still to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    number: u64,
    /// What is to be written. Nothing if all of it is on the disk already.
    pub rows: Vec<ArrangementRow>,
}

/// What the config says of panes and projects.
#[derive(Default)]
pub struct FromConfig {
    /// Its templates.
    pub layouts: IndexMap<String, Layout>,
    /// Names of all agents: those that a template may name.
    pub agents: Vec<String>,
    /// Directories whose subdirectories are offered for a new workspace.
    pub roots: Vec<PathBuf>,
}

impl Layouts {
    /// With what was kept.
    pub fn new(rows: Vec<ArrangementRow>) -> Self {
        let kept = |row: ArrangementRow| (row.workspace_id.clone(), Left { row, told: 0, kept: true });
        let left = rows.into_iter().map(kept).collect();
        Self { config: RefCell::default(), left: RefCell::new(left), told: Cell::new(0) }
    }

    /// A config has come into force.
    pub fn become_as(&self, desired: &Desired) {
        let config = FromConfig {
            layouts: desired.layouts.clone(),
            agents: desired.agents.keys().cloned().collect(),
            roots: desired.project_roots.clone(),
        };
        self.config.replace(Rc::new(config));
    }

    /// What the config in force says.
    pub fn config(&self) -> Rc<FromConfig> {
        self.config.borrow().clone()
    }

    /// How the panes of a workspace were last left.
    pub fn left(&self, workspace_id: &str) -> Option<ArrangementRow> {
        self.left.borrow().get(workspace_id).map(|left| left.row.clone())
    }

    /// A GUI tells of a workspace. What differs from what is on the disk is to be written, and then told to
    /// [`Layouts::kept`]: also the rows of the other workspaces that this GUI had on the glass, as it shows
    /// one at a time. What is being written just now is written again, since nobody knows yet whether it will
    /// be kept.
    pub fn tell(&self, mut row: ArrangementRow) -> Told {
        let mut left = self.left.borrow_mut();
        let number = self.told.get() + 1;
        self.told.set(number);
        let mut rows = Vec::new();
        if row.shown {
            let others =
                left.values_mut().filter(|o| o.row.workspace_id != row.workspace_id && o.row.gui == row.gui);
            for other in others.filter(|o| o.row.shown || !o.kept) {
                if std::mem::take(&mut other.row.shown) {
                    (other.told, other.kept) = (number, false);
                }
                rows.push(other.row.clone());
            }
            rows.sort_by(|a, b| a.workspace_id.cmp(&b.workspace_id));
        }
        let before = left.get(&row.workspace_id);
        if row.windows.is_empty() {
            // somebody closed the last pane, or the whole GUI: nobody meant to forget how they lay
            let Some(before) = before else { return Told { number, rows } };
            row.windows.clone_from(&before.row.windows);
        }
        let same = |b: &ArrangementRow| b.windows == row.windows && b.shown == row.shown && b.gui == row.gui;
        match before {
            Some(before) if same(&before.row) && before.kept => {}
            Some(before) if same(&before.row) => rows.push(before.row.clone()),
            _ => {
                rows.push(row.clone());
                left.insert(row.workspace_id.clone(), Left { row, told: number, kept: false });
            }
        }
        Told { number, rows }
    }

    /// What was told is on the disk; what was told after it is not yet.
    pub fn kept(&self, told: &Told) {
        let mut left = self.left.borrow_mut();
        for row in &told.rows {
            if let Some(own) = left.get_mut(&row.workspace_id).filter(|own| own.told <= told.number) {
                own.kept = true;
            }
        }
    }

    /// A workspace is gone; its row goes with it.
    pub fn forget(&self, workspace_id: &str) {
        self.left.borrow_mut().remove(workspace_id);
    }
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::layout::{Pane, Window};

    use super::*;

    fn row(id: &str, gui: &str, shown: bool, tabs: usize) -> ArrangementRow {
        let window = Window { title: None, tabs: vec![Pane::default(); tabs] };
        let windows = if tabs == 0 { Vec::new() } else { vec![window] };
        ArrangementRow { workspace_id: id.into(), at: 1, shown, gui: gui.into(), windows }
    }

    /// What is to be written when this is told, and that it has been.
    fn kept(all: &Layouts, row: ArrangementRow) -> Vec<ArrangementRow> {
        let told = all.tell(row);
        all.kept(&told);
        told.rows
    }

    #[test]
    fn only_what_differs_is_written() {
        let all = Layouts::new(vec![row("a", "g", true, 1)]);
        assert_eq!(kept(&all, ArrangementRow { at: 9, ..row("a", "g", true, 1) }), []);
        assert_eq!(kept(&all, row("a", "g", true, 2)), [row("a", "g", true, 2)]);
        assert_eq!(kept(&all, row("a", "g", false, 2)), [row("a", "g", false, 2)]);
        assert_eq!(kept(&all, row("a", "h", false, 2)), [row("a", "h", false, 2)], "another GUI has it now");
        assert_eq!(kept(&all, row("a", "h", false, 2)), []);
    }

    #[test]
    fn a_gui_shows_one_workspace_at_a_time_and_says_nothing_of_another_guis() {
        let all = Layouts::new(vec![row("a", "g", true, 1), row("b", "h", true, 1)]);
        assert_eq!(kept(&all, row("c", "g", true, 1)), [row("a", "g", false, 1), row("c", "g", true, 1)]);
        assert!(all.left("b").is_some_and(|b| b.shown));
    }

    #[test]
    fn closing_the_last_pane_forgets_nothing() {
        let all = Layouts::new(vec![row("a", "g", true, 3)]);
        assert_eq!(kept(&all, row("a", "g", false, 0)), [row("a", "g", false, 3)]);
        assert_eq!(kept(&all, row("b", "g", false, 0)), [], "nothing is known of it");
        assert_eq!(all.left("b"), None);
    }

    #[test]
    fn what_is_told_again_is_written_until_it_is_known_to_be_on_the_disk() {
        let all = Layouts::new(vec![row("b", "g", true, 1)]);
        let told = all.tell(row("a", "g", true, 1));
        assert_eq!(told.rows, [row("b", "g", false, 1), row("a", "g", true, 1)]);
        // the disk is still at work with that, or has refused it
        let again = all.tell(ArrangementRow { at: 9, ..row("a", "g", true, 1) });
        assert_eq!(again.rows, told.rows, "nobody may be told that it is kept before it is");
        all.kept(&told);
        assert_eq!(kept(&all, row("a", "g", true, 1)), []);
    }

    #[test]
    fn what_was_told_meanwhile_is_not_taken_for_what_is_on_the_disk() {
        let all = Layouts::new(Vec::new());
        let (first, _, third) = (
            all.tell(row("a", "g", true, 1)),
            all.tell(row("a", "g", true, 2)),
            all.tell(row("a", "g", true, 1)),
        );
        all.kept(&first);
        assert_eq!(all.tell(row("a", "g", true, 1)).rows, [row("a", "g", true, 1)], "the second lies there");
        all.kept(&third);
        assert_eq!(kept(&all, row("a", "g", true, 1)), []);
    }
}
