//! How panes lie: the templates of the config, and what GUIs have told of the panes of each workspace.

use std::{cell::RefCell, collections::HashMap, path::PathBuf, rc::Rc};

use indexmap::IndexMap;
use wezterm_parallel_core::spec::Desired;
use wezterm_parallel_schemas::layout::Layout;
use wezterm_parallel_store::ArrangementRow;

/// See the module. One per daemon, on its one thread.
pub struct Layouts {
    config: RefCell<Rc<FromConfig>>,
    /// By the ids of the workspaces.
    left: RefCell<HashMap<String, ArrangementRow>>,
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
        let left = rows.into_iter().map(|row| (row.workspace_id.clone(), row)).collect();
        Self { config: RefCell::default(), left: RefCell::new(left) }
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
        self.left.borrow().get(workspace_id).cloned()
    }

    /// A GUI tells of a workspace. Gives the rows that differ from what was there: also those of the other
    /// workspaces that this GUI had on the glass, as it shows one at a time.
    pub fn tell(&self, mut row: ArrangementRow) -> Vec<ArrangementRow> {
        let mut left = self.left.borrow_mut();
        let mut changed = Vec::new();
        if row.shown {
            let others = left.values_mut().filter(|o| o.workspace_id != row.workspace_id);
            for other in others.filter(|o| o.shown && o.gui == row.gui) {
                other.shown = false;
                changed.push(other.clone());
            }
        }
        let before = left.get(&row.workspace_id);
        if row.windows.is_empty() {
            // somebody closed the last pane, or the whole GUI: nobody meant to forget how they lay
            let Some(before) = before else { return changed };
            row.windows.clone_from(&before.windows);
        }
        let same = |b: &ArrangementRow| b.windows == row.windows && b.shown == row.shown && b.gui == row.gui;
        if !before.is_some_and(same) {
            left.insert(row.workspace_id.clone(), row.clone());
            changed.push(row);
        }
        changed
    }

    /// What the disk has refused: told again, it is written again.
    pub fn unkept(&self, rows: &[ArrangementRow]) {
        let mut left = self.left.borrow_mut();
        for row in rows {
            if let Some(own) = left.get_mut(&row.workspace_id).filter(|own| *own == row) {
                own.gui.clear();
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

    #[test]
    fn only_what_differs_is_told() {
        let all = Layouts::new(vec![row("a", "g", true, 1)]);
        assert_eq!(all.tell(ArrangementRow { at: 9, ..row("a", "g", true, 1) }), []);
        assert_eq!(all.tell(row("a", "g", true, 2)), [row("a", "g", true, 2)]);
        assert_eq!(all.tell(row("a", "g", false, 2)), [row("a", "g", false, 2)]);
        assert_eq!(all.tell(row("a", "h", false, 2)), [row("a", "h", false, 2)], "another GUI has it now");
    }

    #[test]
    fn a_gui_shows_one_workspace_at_a_time_and_says_nothing_of_another_guis() {
        let all = Layouts::new(vec![row("a", "g", true, 1), row("b", "h", true, 1)]);
        let told = all.tell(row("c", "g", true, 1));
        assert_eq!(told, [row("a", "g", false, 1), row("c", "g", true, 1)]);
        assert!(all.left("b").is_some_and(|b| b.shown));
    }

    #[test]
    fn closing_the_last_pane_forgets_nothing() {
        let all = Layouts::new(vec![row("a", "g", true, 3)]);
        assert_eq!(all.tell(row("a", "g", false, 0)), [row("a", "g", false, 3)]);
        assert_eq!(all.tell(row("b", "g", false, 0)), [], "nothing is known of it");
        assert_eq!(all.left("b"), None);
    }

    #[test]
    fn what_the_disk_has_refused_is_written_when_it_is_told_again() {
        let all = Layouts::new(Vec::new());
        let told = all.tell(row("a", "g", true, 1));
        all.unkept(&told);
        assert_eq!(all.tell(row("a", "g", true, 1)), [row("a", "g", true, 1)]);
    }
}
