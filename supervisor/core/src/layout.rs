//! How panes lie: a template fitted to a workspace, what was last left made whole again, and either of them
//! made from the other. The rules that a template keeps to: [`check`].

pub mod check;

use std::{
    collections::HashSet,
    path::{Component, Path, PathBuf},
};

use wezterm_parallel_schemas::{
    layout::{Layout, Pane, Split, Window},
    units::Percent,
};

/// Panes in a tab where nobody has said how they lie: more of them are too small for a Claude each.
const GRID_PANES: usize = 4;
/// A whole, in hundredths of a percent, as sizes are written.
const WHOLE: u32 = 10_000;
/// A whole, in percent.
const FULL: f64 = 100.0;
/// By how much a division may miss a whole number, in hundredths of a percent.
const ROUNDING: f64 = 1e-6;

/// A workspace, as far as panes have to do with it.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its directory.
    pub cwd: PathBuf,
    /// What `~` stands for.
    pub home: PathBuf,
    /// Its processes, in start order.
    pub members: Vec<Member>,
}

/// A process of it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its agent, if it has one.
    pub agent: Option<String>,
    /// Its command, if it has no agent.
    pub command: Vec<String>,
    /// Where it runs.
    pub cwd: PathBuf,
}

/// A process that a template wants and the workspace does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// The agent that it is to run, if it is one.
    pub agent: Option<String>,
    /// The command that it is to run, else.
    pub command: Vec<String>,
    /// Where it is to run, absolute.
    pub cwd: PathBuf,
}

/// Panes as they can be built: every directory absolute, every process one of the workspace and in
/// one pane, sizes in each split 100 %.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    /// The windows.
    pub windows: Vec<Window>,
    /// Processes that are named and not there: their panes are left out.
    pub missing: Vec<String>,
    /// Directories that panes were to begin in and that are not there.
    pub away: Vec<PathBuf>,
}

impl Room {
    fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.name == name)
    }

    /// A directory of a pane, absolute.
    fn directory(&self, cwd: Option<&Path>) -> PathBuf {
        let Some(cwd) = cwd else { return self.cwd.clone() };
        let mut parts = cwd.components();
        let whole = match parts.next() {
            Some(Component::Normal(first)) if first == "~" => self.home.join(parts.as_path()),
            _ => self.cwd.join(cwd),
        };
        // `..` stays, since it means another place behind a symbolic link
        whole.components().collect()
    }

    /// The same, as somebody would write it who may be in another workspace.
    fn shortened(&self, cwd: &Path) -> Option<PathBuf> {
        if let Ok(inside) = cwd.strip_prefix(&self.cwd) {
            return (!inside.as_os_str().is_empty()).then(|| inside.to_owned());
        }
        match cwd.strip_prefix(&self.home) {
            Ok(inside) => Some(Path::new("~").join(inside)),
            Err(_) => Some(cwd.to_owned()),
        }
    }
}

/// Gives panes of agents that are not there to agents that are there and that no pane names: a template's
/// `claude` is any Claude of the workspace, before it is a new one.
pub fn fill(tabs: &mut [Pane], room: &Room) {
    let mut named = HashSet::new();
    leaves(tabs, &mut |pane| named.extend(pane.process.clone()));
    let mut free: Vec<&Member> = room.members.iter().filter(|m| !named.contains(&m.name)).collect();
    leaves_mut(tabs, &mut |pane| {
        let there = pane.process.as_ref().is_none_or(|name| room.member(name).is_some());
        let of_agent = |m: &&Member| pane.agent.is_some() && m.agent == pane.agent;
        if let Some(at) = free.iter().position(of_agent).filter(|_| !there) {
            pane.process = Some(free.remove(at).name.clone());
        }
    });
}

/// The processes that a template wants and that are not there, in its order.
pub fn wishes(tabs: &[Pane], room: &Room) -> Vec<Wish> {
    let mut found: Vec<Wish> = Vec::new();
    leaves(tabs, &mut |pane| {
        let Some(name) = pane.process.as_ref().filter(|name| room.member(name).is_none()) else { return };
        let command = pane.command.clone().unwrap_or_default();
        if (pane.agent.is_some() || !command.is_empty()) && !found.iter().any(|w| w.name == *name) {
            let cwd = room.directory(pane.cwd.as_deref());
            found.push(Wish { name: name.clone(), agent: pane.agent.clone(), command, cwd });
        }
    });
    found
}

/// The directories that panes would begin in, for somebody to look which of them are there.
pub fn directories(windows: &[Window], room: &Room) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = vec![room.cwd.clone()];
    for window in windows {
        leaves(&window.tabs, &mut |pane| {
            let directory = begins_in(pane, room);
            if !found.contains(&directory) {
                found.push(directory);
            }
        });
    }
    found
}

/// A terminal that shows a process is split into shells beside it: they begin where the process runs.
fn begins_in(pane: &Pane, room: &Room) -> PathBuf {
    match pane.process.as_ref().and_then(|name| room.member(name)) {
        Some(member) => member.cwd.clone(),
        None => room.directory(pane.cwd.as_deref()),
    }
}

/// Makes panes into what can be built. `gone` are those of [`directories`] that are not there.
pub fn place(windows: Vec<Window>, room: &Room, gone: &HashSet<PathBuf>) -> Placed {
    let mut work = Placing { room, gone, shown: HashSet::new(), placed: Placed::default() };
    for window in windows {
        let whole = |tab: Pane| Pane { size: None, ..tab };
        let tabs: Vec<Pane> = window.tabs.into_iter().filter_map(|tab| work.pane(tab)).map(whole).collect();
        if !tabs.is_empty() {
            work.placed.windows.push(Window { tabs, ..window });
        }
    }
    work.placed
}

struct Placing<'a> {
    room: &'a Room,
    gone: &'a HashSet<PathBuf>,
    shown: HashSet<String>,
    placed: Placed,
}

impl Placing<'_> {
    fn pane(&mut self, mut pane: Pane) -> Option<Pane> {
        let Some(split) = pane.split else { return self.leaf(pane) };
        let mut panes: Vec<Pane> =
            std::mem::take(&mut pane.panes).into_iter().filter_map(|p| self.pane(p)).collect();
        if panes.len() < 2 {
            let only = panes.pop()?;
            return Some(Pane {
                title: pane.title.or_else(|| only.title.clone()),
                size: pane.size,
                focus: pane.focus || only.focus,
                ..only
            });
        }
        even_out(&mut panes);
        // a split of the same kind within is the same split
        let panes = panes.into_iter().flat_map(|p| if p.split == Some(split) { unfold(p) } else { vec![p] });
        pane.panes = panes.collect();
        even_out(&mut pane.panes);
        Some(pane)
    }

    fn leaf(&mut self, mut pane: Pane) -> Option<Pane> {
        if let Some(name) = &pane.process {
            if self.room.member(name).is_none() {
                if !self.placed.missing.contains(name) {
                    self.placed.missing.push(name.clone());
                }
                return None;
            }
            if !self.shown.insert(name.clone()) {
                return None;
            }
            pane.command = None;
        }
        let wanted = begins_in(&pane, self.room);
        if self.gone.contains(&wanted) && !self.placed.away.contains(&wanted) {
            self.placed.away.push(wanted.clone());
        }
        pane.agent = None;
        pane.cwd = Some(wanted);
        Some(pane)
    }
}

/// The panes of a split that is within another one, in sizes of that one.
fn unfold(inner: Pane) -> Vec<Pane> {
    let part = inner.size.map_or(FULL, |s| s.0) / FULL;
    let scaled = |p: Pane| Pane { size: p.size.map(|s| Percent(s.0 * part)), ..p };
    inner.panes.into_iter().map(scaled).collect()
}

/// Gives every pane of a split a size, together 100 %.
fn even_out(panes: &mut [Pane]) {
    let sizes: Vec<Option<f64>> = panes.iter().map(|p| p.size.map(|s| s.0)).collect();
    for (pane, size) in panes.iter_mut().zip(share(&sizes)) {
        pane.size = Some(size);
    }
}

/// The parts of a whole, of which some are given: the others share what is left; if nothing is left, or
/// nothing is left open, all are scaled. To hundredths, so that they are 100 % also as they are written.
fn share(sizes: &[Option<f64>]) -> Vec<Percent> {
    let count = sizes.len() as f64;
    let open = sizes.iter().filter(|s| s.is_none()).count() as f64;
    let left = FULL - sizes.iter().flatten().sum::<f64>();
    let each = if left > 0.0 { left / open } else { FULL / count };
    let raw: Vec<f64> = sizes.iter().map(|s| s.unwrap_or(each)).collect();
    let total: f64 = raw.iter().sum();
    // what is whole hundredths already stays so, whatever the division makes of it
    let part = |r: &f64| ((r / total * f64::from(WHOLE) + ROUNDING) as u32).clamp(1, WHOLE);
    let mut parts: Vec<u32> = raw.iter().map(part).collect();
    let sum: u32 = parts.iter().sum();
    for part in parts.iter_mut().rev().take(WHOLE.saturating_sub(sum) as usize) {
        *part += 1;
    }
    for _ in WHOLE..sum {
        // those that had to be raised to be anything at all
        if let Some(largest) = parts.iter_mut().max() {
            *largest -= 1;
        }
    }
    parts.into_iter().map(|p| Percent(f64::from(p) * FULL / f64::from(WHOLE))).collect()
}

/// The processes of a workspace where nobody has said how they lie: one alone, two beside one another, a
/// third below the second, the fourth below the first; more of them in further tabs. Without any, a shell.
pub fn side_by_side(room: &Room) -> Vec<Window> {
    let show = |m: &Member| Pane { process: Some(m.name.clone()), ..Pane::default() };
    let column = |panes: Vec<Pane>| match panes.len() {
        1 => panes.into_iter().next().unwrap_or_default(),
        _ => Pane { split: Some(Split::Down), panes, ..Pane::default() },
    };
    let tab = |some: &[Member]| {
        // the first column has one less of three
        let (left, right): (Vec<Pane>, Vec<Pane>) = match some {
            [a, b, c, d] => (vec![show(a), show(c)], vec![show(b), show(d)]),
            [first, rest @ ..] => (vec![show(first)], rest.iter().map(show).collect()),
            [] => (vec![Pane::default()], Vec::new()),
        };
        if right.is_empty() {
            return column(left);
        }
        Pane { split: Some(Split::Right), panes: vec![column(left), column(right)], ..Pane::default() }
    };
    let tabs = match &room.members[..] {
        [] => vec![tab(&[])],
        all => all.chunks(GRID_PANES).map(tab).collect(),
    };
    vec![Window { title: None, tabs }]
}

/// A template that makes these panes again, in another workspace as well: processes by name with what they
/// run, directories relative to the workspace's.
pub fn template(windows: &[Window], room: &Room) -> Layout {
    let mut tabs: Vec<Pane> = windows.iter().flat_map(|w| w.tabs.clone()).collect();
    leaves_mut(&mut tabs, &mut |pane| {
        let member = pane.process.as_ref().and_then(|name| room.member(name));
        let begins = match member {
            Some(member) => Some(member.cwd.clone()),
            None => pane.cwd.take(),
        };
        pane.cwd = begins.and_then(|cwd| room.shortened(&cwd));
        if let Some(member) = member {
            pane.agent.clone_from(&member.agent);
            let own = member.agent.is_none() && !member.command.is_empty();
            pane.command = own.then(|| member.command.clone());
        }
    });
    Layout { about: None, tabs }
}

/// The panes that are no splits.
fn leaves(panes: &[Pane], visit: &mut dyn FnMut(&Pane)) {
    for pane in panes {
        match pane.split {
            Some(_) => leaves(&pane.panes, visit),
            None => visit(pane),
        }
    }
}

fn leaves_mut(panes: &mut [Pane], visit: &mut dyn FnMut(&mut Pane)) {
    for pane in panes {
        match pane.split {
            Some(_) => leaves_mut(&mut pane.panes, visit),
            None => visit(pane),
        }
    }
}

#[cfg(test)]
mod tests;
