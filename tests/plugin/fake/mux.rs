//! Windows, tabs and panes, as WezTerm's mux keeps them: a binary tree of splits for each tab, with a line
//! of one cell between two panes.

use std::collections::{BTreeMap, HashMap};

/// Cells of a new window.
pub const COLS: usize = 160;
/// Rows of a new window.
pub const ROWS: usize = 48;
/// Pixels of a cell.
pub const CELL: (usize, usize) = (8, 16);

pub type WindowId = usize;
pub type TabId = usize;
pub type PaneId = usize;

/// All windows of a WezTerm.
#[derive(Debug, Default)]
pub struct Mux {
    pub windows: BTreeMap<WindowId, Window>,
    pub tabs: BTreeMap<TabId, Tab>,
    pub panes: BTreeMap<PaneId, Pane>,
    pub active_workspace: String,
    next: [usize; 3],
}

#[derive(Debug)]
pub struct Window {
    pub workspace: String,
    pub title: String,
    pub tabs: Vec<TabId>,
    pub active: usize,
}

#[derive(Debug)]
pub struct Tab {
    pub title: String,
    root: Node,
    pub cols: usize,
    pub rows: usize,
    pub active: PaneId,
    pub zoomed: Option<PaneId>,
}

/// What a pane was opened with, and what has been done to it.
#[derive(Clone, Debug, Default)]
pub struct Pane {
    pub args: Option<Vec<String>>,
    pub cwd: Option<String>,
    pub env: HashMap<String, String>,
    pub domain: String,
    pub title: String,
    pub user_vars: BTreeMap<String, String>,
    /// What was sent to it by `send_text` and keys.
    pub written: String,
    /// What was pasted into it.
    pub pasted: Vec<String>,
    /// What was injected as if it had written it.
    pub injected: String,
    pub tab: TabId,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(PaneId),
    Split { down: bool, first: usize, a: Box<Node>, b: Box<Node> },
}

/// Where a pane lies in its tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

/// How a pane is split off another one.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    pub down: bool,
    /// The new pane is the right or lower one.
    pub second: bool,
    /// It is split off the whole tab.
    pub top_level: bool,
    /// Below 1 a part, else cells.
    pub size: f64,
}

impl Node {
    fn places(&self, rect: Rect, out: &mut Vec<(PaneId, Rect)>) {
        match self {
            Node::Leaf(pane) => out.push((*pane, rect)),
            Node::Split { a, b, .. } => {
                let (first, second) = self.halves(rect);
                a.places(first, out);
                b.places(second, out);
            }
        }
    }

    fn halves(&self, rect: Rect) -> (Rect, Rect) {
        let Node::Split { down, first, .. } = self else { return (rect, rect) };
        let whole = if *down { rect.height } else { rect.width };
        let first = (*first).clamp(1, whole.saturating_sub(2).max(1));
        let second = whole.saturating_sub(first + 1).max(1);
        if *down {
            let below = Rect { top: rect.top + first + 1, height: second, ..rect };
            (Rect { height: first, ..rect }, below)
        } else {
            let beside = Rect { left: rect.left + first + 1, width: second, ..rect };
            (Rect { width: first, ..rect }, beside)
        }
    }

    fn find(&mut self, pane: PaneId) -> Option<&mut Node> {
        match self {
            Node::Leaf(id) if *id == pane => Some(self),
            Node::Leaf(_) => None,
            Node::Split { a, b, .. } => a.find(pane).or_else(|| b.find(pane)),
        }
    }

    fn leaves(&self) -> Vec<PaneId> {
        match self {
            Node::Leaf(id) => vec![*id],
            Node::Split { a, b, .. } => a.leaves().into_iter().chain(b.leaves()).collect(),
        }
    }

    fn without(self, pane: PaneId) -> Option<Node> {
        match self {
            Node::Leaf(id) => (id != pane).then_some(Node::Leaf(id)),
            Node::Split { down, first, a, b } => match (a.without(pane), b.without(pane)) {
                (Some(a), Some(b)) => Some(Node::Split { down, first, a: a.into(), b: b.into() }),
                (one, other) => one.or(other),
            },
        }
    }

    fn swap(&mut self, one: PaneId, other: PaneId) {
        match self {
            Node::Leaf(id) if *id == one => *id = other,
            Node::Leaf(id) if *id == other => *id = one,
            Node::Leaf(_) => {}
            Node::Split { a, b, .. } => {
                a.swap(one, other);
                b.swap(one, other);
            }
        }
    }

    /// Moves the line that bounds `pane` in this direction by some cells.
    fn adjust(&mut self, pane: PaneId, down: bool, by: isize, rect: Rect) -> bool {
        let halves = self.halves(rect);
        let Node::Split { down: own, first, a, b } = self else { return false };
        let (inner, half) = if a.leaves().contains(&pane) { (a, halves.0) } else { (b, halves.1) };
        if !inner.leaves().contains(&pane) {
            return false;
        }
        if inner.adjust(pane, down, by, half) {
            return true;
        }
        if *own != down {
            return false;
        }
        *first = first.saturating_add_signed(by).max(1);
        true
    }
}

impl Tab {
    fn rect(&self) -> Rect {
        Rect { left: 0, top: 0, width: self.cols, height: self.rows }
    }

    /// Its panes in their order, whether or not one of them fills it.
    pub fn places(&self) -> Vec<(PaneId, Rect)> {
        let mut out = Vec::new();
        self.root.places(self.rect(), &mut out);
        out
    }

    pub fn panes(&self) -> Vec<PaneId> {
        self.root.leaves()
    }

    pub fn activate(&mut self, pane: PaneId) {
        if self.zoomed.is_some_and(|zoomed| zoomed != pane) {
            self.zoomed = None;
        }
        self.active = pane;
    }

    /// Zooms its active pane or ends that; whether one was zoomed before.
    pub fn set_zoomed(&mut self, zoomed: bool) -> bool {
        let before = self.zoomed.is_some();
        self.zoomed = zoomed.then_some(self.active);
        before
    }

    pub fn adjust(&mut self, pane: PaneId, down: bool, by: isize) {
        let rect = self.rect();
        self.root.adjust(pane, down, by, rect);
    }

    pub fn swap(&mut self, one: PaneId, other: PaneId) {
        self.root.swap(one, other);
    }

    pub fn rotate(&mut self, clockwise: bool) {
        let order = self.panes();
        let mut turned = order.clone();
        if clockwise {
            turned.rotate_right(1)
        } else {
            turned.rotate_left(1)
        }
        let mut next = turned.into_iter();
        fn set(node: &mut Node, next: &mut impl Iterator<Item = PaneId>) {
            match node {
                Node::Leaf(id) => *id = next.next().expect("as many as before"),
                Node::Split { a, b, .. } => {
                    set(a, next);
                    set(b, next);
                }
            }
        }
        set(&mut self.root, &mut next);
    }

    /// The pane beside another one.
    pub fn beside(&self, pane: PaneId, direction: &str) -> Option<PaneId> {
        let places = self.places();
        let at = places.iter().position(|(id, _)| *id == pane)?;
        match direction {
            "Next" => return Some(places[(at + 1) % places.len()].0),
            "Prev" => return Some(places[(at + places.len() - 1) % places.len()].0),
            _ => {}
        }
        let own = places[at].1;
        let overlaps = |a: usize, b: usize, c: usize, d: usize| a < c + d && c < a + b;
        places
            .iter()
            .find(|(_, r)| match direction {
                "Left" => r.left + r.width + 1 == own.left && overlaps(r.top, r.height, own.top, own.height),
                "Right" => {
                    own.left + own.width + 1 == r.left && overlaps(r.top, r.height, own.top, own.height)
                }
                "Up" => r.top + r.height + 1 == own.top && overlaps(r.left, r.width, own.left, own.width),
                "Down" => own.top + own.height + 1 == r.top && overlaps(r.left, r.width, own.left, own.width),
                _ => false,
            })
            .map(|(id, _)| *id)
    }
}

impl Window {
    pub fn active_tab(&self) -> Option<TabId> {
        self.tabs.get(self.active).copied()
    }
}

impl Mux {
    pub fn new() -> Self {
        Self { active_workspace: "default".into(), ..Self::default() }
    }

    fn id(&mut self, kind: usize) -> usize {
        let id = self.next[kind];
        self.next[kind] += 1;
        id
    }

    /// Opens a tab, in a new window of the workspace if none is given.
    pub fn spawn(
        &mut self,
        window: Option<WindowId>,
        workspace: &str,
        size: (usize, usize),
        mut pane: Pane,
    ) -> Result<(TabId, PaneId, WindowId), String> {
        let window_id = match window {
            Some(id) if self.windows.contains_key(&id) => id,
            Some(id) => return Err(format!("window id {id} not found in mux")),
            None => self.id(0),
        };
        let (tab_id, pane_id) = (self.id(1), self.id(2));
        pane.tab = tab_id;
        if pane.domain.is_empty() {
            pane.domain = "local".into();
        }
        let window = self.windows.entry(window_id).or_insert_with(|| Window {
            workspace: workspace.into(),
            title: String::new(),
            tabs: Vec::new(),
            active: 0,
        });
        let (cols, rows) =
            window.tabs.first().map_or(size, |first| (self.tabs[first].cols, self.tabs[first].rows));
        window.tabs.push(tab_id);
        window.active = window.tabs.len() - 1;
        self.panes.insert(pane_id, pane);
        let root = Node::Leaf(pane_id);
        self.tabs
            .insert(tab_id, Tab { title: String::new(), root, cols, rows, active: pane_id, zoomed: None });
        Ok((tab_id, pane_id, window_id))
    }

    /// Splits a pane off another one.
    pub fn split(&mut self, from: PaneId, split: Split, mut pane: Pane) -> Result<PaneId, String> {
        let tab_id = self.panes.get(&from).ok_or(format!("pane id {from} not found in mux"))?.tab;
        if pane.domain.is_empty() {
            pane.domain = self.panes[&from].domain.clone();
        }
        let tab = self.tabs.get_mut(&tab_id).ok_or("pane has no tab")?;
        tab.zoomed = None;
        let rect = if split.top_level {
            tab.rect()
        } else {
            tab.places().into_iter().find(|(id, _)| *id == from).expect("a pane lies in its tab").1
        };
        let whole = if split.down { rect.height } else { rect.width };
        let size = if split.size == 0.0 { 0.5 } else { split.size };
        let target =
            if size < 1.0 { whole * (size * 100.0).floor() as usize / 100 } else { size as usize }.max(1);
        let rest = whole.saturating_sub(target + 1);
        if rest == 0 || target + 1 + rest > whole {
            return Err("No space for split!".into());
        }
        let pane_id = {
            let id = self.next[2];
            self.next[2] += 1;
            id
        };
        let node = if split.top_level { &mut tab.root } else { tab.root.find(from).expect("it lies there") };
        let old = Box::new(node.clone());
        let new = Box::new(Node::Leaf(pane_id));
        let (first, a, b) = if split.second { (rest, old, new) } else { (target, new, old) };
        *node = Node::Split { down: split.down, first, a, b };
        tab.active = pane_id;
        pane.tab = tab_id;
        self.panes.insert(pane_id, pane);
        Ok(pane_id)
    }

    /// The window and the tab of a pane.
    pub fn place(&self, pane: PaneId) -> Option<(WindowId, TabId)> {
        let tab = self.panes.get(&pane)?.tab;
        let (window, _) = self.windows.iter().find(|(_, window)| window.tabs.contains(&tab))?;
        Some((*window, tab))
    }

    /// Closes a pane, and with it what holds nothing else.
    pub fn close(&mut self, pane: PaneId) {
        let Some((window_id, tab_id)) = self.place(pane) else { return };
        self.panes.remove(&pane);
        self.take_out(pane, window_id, tab_id);
    }

    fn take_out(&mut self, pane: PaneId, window_id: WindowId, tab_id: TabId) {
        let tab = self.tabs.get_mut(&tab_id).expect("a pane has a tab");
        if tab.zoomed == Some(pane) {
            tab.zoomed = None;
        }
        if let Some(root) = tab.root.clone().without(pane) {
            tab.root = root;
            if tab.active == pane {
                tab.active = tab.panes()[0];
            }
            return;
        }
        self.tabs.remove(&tab_id);
        let window = self.windows.get_mut(&window_id).expect("a tab has a window");
        window.tabs.retain(|id| *id != tab_id);
        window.active = window.active.min(window.tabs.len().saturating_sub(1));
        if window.tabs.is_empty() {
            self.windows.remove(&window_id);
        }
    }

    /// Moves a pane into a tab of its own; in a new window of `workspace` if no window is given.
    pub fn move_out(
        &mut self,
        pane: PaneId,
        window: Option<WindowId>,
        workspace: &str,
    ) -> Result<(TabId, WindowId), String> {
        let (old_window, old_tab) = self.place(pane).ok_or(format!("pane {pane} not found"))?;
        let size = (self.tabs[&old_tab].cols, self.tabs[&old_tab].rows);
        let moved = self.panes.remove(&pane).expect("it has a place");
        let (tab_id, new_pane, window_id) = self.spawn(window, workspace, size, moved)?;
        // it keeps its number
        let kept = self.panes.remove(&new_pane).expect("just made");
        self.panes.insert(pane, kept);
        let tab = self.tabs.get_mut(&tab_id).expect("just made");
        tab.root = Node::Leaf(pane);
        tab.active = pane;
        self.take_out(pane, old_window, old_tab);
        Ok((tab_id, window_id))
    }

    pub fn workspaces(&self) -> Vec<String> {
        let mut names: Vec<String> = self.windows.values().map(|w| w.workspace.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    pub fn windows_of(&self, workspace: &str) -> Vec<WindowId> {
        self.windows.iter().filter(|(_, w)| w.workspace == workspace).map(|(id, _)| *id).collect()
    }

    pub fn rename_workspace(&mut self, from: &str, to: &str) {
        for window in self.windows.values_mut().filter(|w| w.workspace == from) {
            window.workspace = to.into();
        }
        if self.active_workspace == from {
            self.active_workspace = to.into();
        }
    }

    pub fn activate_tab(&mut self, tab: TabId) -> bool {
        for window in self.windows.values_mut() {
            if let Some(at) = window.tabs.iter().position(|id| *id == tab) {
                window.active = at;
                return true;
            }
        }
        false
    }
}
