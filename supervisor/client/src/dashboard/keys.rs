//! What keys and the mouse do.

mod tasks;

use wezterm_parallel_schemas::inbox::{AskKind, AskView};

use super::{
    answer::{Answering, Step},
    ask::{Ask, Deed, Fetch, Which},
    input::{Input, Key, Mouse},
    layout,
    line::Line,
    model::{Dialog, Id, Link, Model, Need, Notice, Page, Row, Sort, Tab, need},
    update::{say, want},
    view,
};

/// Two clicks within this time are a double click.
const DOUBLE_CLICK_MS: i64 = 500;
/// A request that came to be chosen more recently is not decided by a key: whoever pressed it has hardly seen
/// it. Claude's own dialogs do the same.
const UNSEEN_MS: i64 = 500;
/// Rows that the wheel scrolls by.
const WHEEL_ROWS: usize = 3;

/// Takes in what came from the user.
pub fn input(model: &mut Model, input: Input) -> Vec<Ask> {
    let mut asks = Vec::new();
    if let Input::Focus(focused) = input {
        // of who attaches and leaves nothing tells; somebody comes back to look
        if focused && !model.focused {
            want(model, Fetch::All, &mut asks);
        }
        model.focused = focused;
        return asks;
    }
    model.notice = None;
    if input == Input::Key(Key::Ctrl('z')) {
        return vec![Ask::Suspend];
    }
    if input == Input::Key(Key::Ctrl('c')) && model.dialog.take().is_none() {
        return vec![Ask::Quit];
    }
    if model.dialog.is_some() {
        dialog(model, &input, &mut asks);
        return asks;
    }
    match (&model.page, input) {
        (_, Input::Mouse(mouse, col, row)) => click(model, mouse, col, row, &mut asks),
        (Page::Table | Page::Detail { .. }, Input::Key(key)) if model.tab == Tab::Tasks => {
            tasks::key(model, key, &mut asks);
        }
        (Page::Table, Input::Key(key)) => table(model, key, &mut asks),
        (Page::Inbox { .. }, Input::Key(key)) => inbox(model, key, &mut asks),
        (Page::Detail { .. }, Input::Key(key)) => detail(model, key, &mut asks),
        (Page::Log { .. } | Page::Help { .. }, Input::Key(key)) => {
            if !scrolled(model, key) {
                model.page = Page::Table;
            }
        }
        (_, Input::Paste(_) | Input::Focus(_)) => {}
    }
    asks
}

fn table(model: &mut Model, key: Key, asks: &mut Vec<Ask>) {
    let height = usize::from(model.areas().table.height).max(1);
    let cursor = model.table.cursor;
    match key {
        Key::Up | Key::Char('k') => model.choose(cursor.saturating_sub(1)),
        Key::Down | Key::Char('j') => model.choose(cursor + 1),
        Key::PageUp | Key::Ctrl('b') => model.choose(cursor.saturating_sub(height)),
        Key::PageDown | Key::Ctrl('f') => model.choose(cursor + height),
        Key::Home => model.choose(0),
        Key::End | Key::Char('G') => model.choose(usize::MAX),
        Key::Char(' ') => mark(model),
        Key::Char('g') => {
            model.table.grouped = !model.table.grouped;
            model.arrange();
        }
        Key::Char('n') => next(model),
        Key::Char('t') => model.tab = Tab::Tasks,
        Key::Char('i') => open_inbox(model),
        Key::Tab | Key::Right | Key::Char('v') if model.table.chosen.is_some() => {
            model.page = Page::Detail { scroll: 0 };
        }
        Key::Char('/') => {
            let before = model.table.filter.clone();
            model.dialog = Some(Dialog::Filter(Line::default(), before));
        }
        Key::Esc => {
            if model.table.filter.is_empty() {
                model.table.marked.clear();
            }
            model.table.filter.clear();
            model.arrange();
        }
        key => common(model, key, asks),
    }
}

fn inbox(model: &mut Model, key: Key, asks: &mut Vec<Ask>) {
    let Page::Inbox { cursor, .. } = &mut model.page else { return };
    let last = model.asks.len().saturating_sub(1);
    let to = match key {
        Key::Up | Key::Char('k') => cursor.saturating_sub(1),
        Key::Down | Key::Char('j') => (*cursor + 1).min(last),
        Key::Esc | Key::Left | Key::Char('i' | 'q') => {
            model.page = Page::Table;
            return;
        }
        key => {
            if !scrolled(model, key) {
                common(model, key, asks);
            }
            return;
        }
    };
    model.page = Page::Inbox { cursor: to, scroll: 0 };
}

fn detail(model: &mut Model, key: Key, asks: &mut Vec<Ask>) {
    match key {
        Key::Esc | Key::Left | Key::Tab | Key::Char('v' | 'q') => model.page = Page::Table,
        Key::Char('i') => open_inbox(model),
        key => {
            if !scrolled(model, key) {
                common(model, key, asks);
            }
        }
    }
}

/// Keys that do the same on all pages that have something chosen.
fn common(model: &mut Model, key: Key, asks: &mut Vec<Ask>) {
    match key {
        Key::Char('q') => asks.push(Ask::Quit),
        Key::Char('?') => model.page = Page::Help { scroll: 0 },
        Key::Enter => go(model, model.in_wezterm, asks),
        Key::Char('o') => go(model, false, asks),
        Key::Char('L') => logs(model, asks),
        Key::Char('R') => deeds(model, vec![Deed::Reload], asks),
        Key::Char('s') => {
            let deeds = match model.chosen_workspace() {
                Some(w) => vec![Deed::Open(workspace(w))],
                None => targets(model).into_iter().map(Deed::Start).collect(),
            };
            self::deeds(model, deeds, asks);
        }
        Key::Char('S') => {
            let deeds = match model.chosen_workspace() {
                Some(w) => vec![Deed::Close(workspace(w))],
                None => targets(model).into_iter().map(Deed::Stop).collect(),
            };
            let works = works(model);
            let close = model.chosen_workspace().is_some();
            if works || close || deeds.len() > 1 {
                confirm(model, if close { "close" } else { "stop" }, works, deeds);
            } else {
                self::deeds(model, deeds, asks);
            }
        }
        Key::Char('r') => {
            let works = works(model);
            let deeds = targets(model).into_iter().map(Deed::Restart).collect();
            confirm(model, "restart", works, deeds);
        }
        Key::Char('a') => {
            if let Some((ask, who)) = decide(model) {
                if ask.kind == AskKind::Question {
                    model.dialog = Answering::new(&ask).map(|answering| Dialog::Answer(Box::new(answering)));
                } else {
                    deeds(model, vec![Deed::Allow(ask.id, who)], asks);
                }
            }
        }
        Key::Char('d') => {
            if let Some((ask, who)) = decide(model) {
                model.dialog = Some(Dialog::Deny(Line::default(), ask.id, who));
            }
        }
        Key::Char('A') => {
            if let Some((ask, _)) = decide(model) {
                match Answering::new(&ask) {
                    Some(answering) => model.dialog = Some(Dialog::Answer(Box::new(answering))),
                    None => say(model, "it asks for leave, not a question: a allows, d denies"),
                }
            }
        }
        Key::Char('p') => {
            let targets = targets(model);
            if targets.is_empty() {
                say(model, "choose an agent to send a prompt to");
            } else {
                model.dialog = Some(Dialog::Prompt(Line::default(), targets));
            }
        }
        _ => {}
    }
}

fn workspace(w: &wezterm_parallel_schemas::workspace::WorkspaceView) -> Which {
    Which { workspace: w.name.clone(), process: None, id: w.id.clone() }
}

/// The marked processes, else the one that is chosen.
fn targets(model: &Model) -> Vec<Which> {
    let one = match model.page {
        Page::Inbox { .. } => model.chosen_ask().and_then(|ask| model.process(&ask.process_id)),
        Page::Table if !model.table.marked.is_empty() => {
            let marked = model.processes.iter().filter(|p| model.table.marked.contains(&p.id));
            return marked.map(Which::from).collect();
        }
        Page::Table | Page::Detail { .. } | Page::Log { .. } | Page::Help { .. } => model.chosen_process(),
    };
    one.map(Which::from).into_iter().collect()
}

/// Asks the daemon to do these, if there is one.
fn deeds(model: &mut Model, deeds: Vec<Deed>, asks: &mut Vec<Ask>) {
    if model.link != Link::Here {
        model.notice = Some(Notice { text: "there is no daemon to do it".into(), bad: true });
        return;
    }
    match &deeds[..] {
        [] => return,
        [one] => say(model, format!("{} …", one.what())),
        [first, ..] => say(model, format!("{} and {} more …", first.what(), deeds.len() - 1)),
    }
    asks.extend(deeds.into_iter().map(Ask::Do));
}

/// Whether something would be interrupted: an agent works, or a program runs that does not say what it does.
fn works(model: &Model) -> bool {
    let mut chosen = targets(model).into_iter().filter_map(|which| model.process(&which.id).map(need));
    chosen.any(|need| matches!(need, Need::Working | Need::Running))
}

fn confirm(model: &mut Model, verb: &str, works: bool, deeds: Vec<Deed>) {
    let name = |deed: &Deed| match deed {
        Deed::Start(w)
        | Deed::Stop(w)
        | Deed::Restart(w)
        | Deed::Open(w)
        | Deed::Close(w)
        | Deed::Send(w, _) => w.to_string(),
        Deed::Allow(_, who) | Deed::Deny(_, who, _) | Deed::Answer(_, who, _) => who.clone(),
        Deed::Cancel(job) | Deed::Pause(job) | Deed::Resume(job) | Deed::Retry(job) => job.to_string(),
        Deed::PauseGroup(group) | Deed::ResumeGroup(group) => group.clone(),
        Deed::Reload => String::new(),
    };
    let names: Vec<String> = deeds.iter().map(name).collect();
    let what = match &names[..] {
        [] => return,
        [one] => one.clone(),
        all => format!("{} processes ({})", all.len(), all.join(", ")),
    };
    let working = match (works, deeds.len()) {
        (false, _) => "",
        (true, 1) => ", which is at work",
        (true, _) => ", of which some are at work",
    };
    model.dialog = Some(Dialog::Confirm(format!("{verb} {what}{working}?"), deeds));
}

/// The chosen request, if one key may decide it. If not, it is shown, and the key does it the next time.
fn decide(model: &mut Model) -> Option<(AskView, String)> {
    let chosen = model.chosen_ask()?;
    let (id, process) = (chosen.id.clone(), chosen.process_id.clone());
    match model.decidable().cloned() {
        None => {
            // what is decided must be seen first
            let shown = model.whole.as_ref().is_some_and(|whole| whole.id == id);
            if model.page == Page::Table && (model.areas().detail.is_none() || shown) {
                let cursor = model.asks.iter().position(|ask| ask.id == id).unwrap_or_default();
                model.page = Page::Inbox { cursor, scroll: 0 };
            }
            say(model, "this is what it asks: press the key again to decide it");
            None
        }
        Some(_) if model.now - model.decidable_since.1 < UNSEEN_MS => {
            say(model, "that came just now: look at it, then press the key again");
            None
        }
        Some(ask) => {
            let who = model
                .process(&process)
                .map_or_else(|| format!("{}/{}", ask.workspace, ask.process), |p| Which::from(p).to_string());
            Some((ask, who))
        }
    }
}

fn go(model: &mut Model, in_gui: bool, asks: &mut Vec<Ask>) {
    let which = match model.chosen_workspace() {
        Some(w) => Some(workspace(w)),
        None => match model.page {
            Page::Inbox { .. } => targets(model).into_iter().next(),
            Page::Table | Page::Detail { .. } | Page::Log { .. } | Page::Help { .. } => {
                model.chosen_process().map(Which::from)
            }
        },
    };
    let Some(which) = which else { return };
    if in_gui && model.link == Link::Here {
        asks.push(Ask::Show(which));
    } else if which.process.is_some() {
        asks.push(Ask::Attach { which, read_only: false });
    } else {
        say(model, "choose a process to attach to; s opens a workspace, S closes it");
    }
}

fn logs(model: &mut Model, asks: &mut Vec<Ask>) {
    let Some(p) = model.chosen_process() else { return };
    let (which, runs) = (Which::from(p), !matches!(need(p), Need::Failed | Need::Stopped | Need::Moving));
    asks.push(if runs { Ask::Attach { which, read_only: true } } else { Ask::Log(which) });
}

fn open_inbox(model: &mut Model) {
    let id = model.chosen_ask().map(|ask| ask.id.clone());
    let cursor = model.asks.iter().position(|ask| Some(&ask.id) == id.as_ref()).unwrap_or_default();
    model.page = Page::Inbox { cursor, scroll: 0 };
}

fn mark(model: &mut Model) {
    if let Some(Id::Process(id)) = model.table.chosen.clone()
        && !model.table.marked.remove(&id)
    {
        model.table.marked.insert(id);
    }
    model.choose(model.table.cursor + 1);
}

/// Chooses the next one below that needs somebody, or the first one of all.
fn next(model: &mut Model) {
    let rows = &model.table.rows;
    let needs = |place: &usize| match rows[*place] {
        Row::Process(at) => need(&model.processes[at]) <= Need::Unread,
        Row::Workspace(_) => false,
    };
    let below = (model.table.cursor + 1..rows.len()).find(needs);
    match below.or_else(|| (0..rows.len()).find(needs)) {
        Some(place) => model.choose(place),
        None => say(model, "nobody needs you"),
    }
}

/// Scrolls what is longer than its page; false if the key does not scroll.
fn scrolled(model: &mut Model, key: Key) -> bool {
    let height = usize::from(view::scrolled_height(model)).max(1);
    let last = view::scrolled_lines(model).saturating_sub(height);
    let scroll = match &mut model.page {
        Page::Table => return false,
        Page::Inbox { scroll, .. }
        | Page::Detail { scroll }
        | Page::Log { scroll, .. }
        | Page::Help { scroll } => scroll,
    };
    let now = (*scroll).min(last);
    *scroll = match key {
        Key::Up | Key::Char('k') => now.saturating_sub(1),
        Key::Down | Key::Char('j') => (now + 1).min(last),
        Key::PageUp | Key::Ctrl('b') => now.saturating_sub(height),
        Key::PageDown | Key::Ctrl('f') | Key::Char(' ') => (now + height).min(last),
        Key::Home => 0,
        Key::End | Key::Char('G') => last,
        _ => return false,
    };
    true
}

fn dialog(model: &mut Model, input: &Input, asks: &mut Vec<Ask>) {
    let Some(mut dialog) = model.dialog.take() else { return };
    let (enter, escape) = (*input == Input::Key(Key::Enter), *input == Input::Key(Key::Esc));
    match &mut dialog {
        Dialog::Confirm(_, list) => {
            match input {
                Input::Key(Key::Char('y' | 'Y')) => deeds(model, std::mem::take(list), asks),
                Input::Mouse(..) => model.dialog = Some(dialog),
                // no is what every other key means
                _ => say(model, "left as it is"),
            }
            return;
        }
        Dialog::Filter(line, before) => {
            if escape {
                return filter(model, before);
            }
            match (input, model.tab) {
                (Input::Key(Key::Up), Tab::Processes) => model.choose(model.table.cursor.saturating_sub(1)),
                (Input::Key(Key::Down), Tab::Processes) => model.choose(model.table.cursor + 1),
                (Input::Key(Key::Up), Tab::Tasks) => model.choose_task(model.tasks.cursor.saturating_sub(1)),
                (Input::Key(Key::Down), Tab::Tasks) => model.choose_task(model.tasks.cursor + 1),
                (input, _) => {
                    line.take(input);
                }
            }
            filter(model, line.text());
        }
        Dialog::Prompt(line, targets) => {
            if enter && !line.text().trim().is_empty() {
                let list = targets.drain(..).map(|which| Deed::Send(which, line.text().to_owned())).collect();
                model.table.marked.clear();
                return deeds(model, list, asks);
            }
            line.take(input);
        }
        Dialog::Deny(line, ask, who) => {
            if enter {
                let message = Some(line.text().trim().to_owned()).filter(|text| !text.is_empty());
                let deny = Deed::Deny(std::mem::take(ask), std::mem::take(who), message);
                return deeds(model, vec![deny], asks);
            }
            line.take(input);
        }
        Dialog::Answer(answering) => match answering.take(input) {
            Step::Stay => {}
            Step::Leave => return,
            Step::Done(answers) => {
                let who = format!("{}/{}", answering.ask.workspace, answering.ask.process);
                return deeds(model, vec![Deed::Answer(answering.ask.id.clone(), who, answers)], asks);
            }
        },
    }
    let ends = match &dialog {
        Dialog::Answer(_) => false,
        Dialog::Confirm(..) | Dialog::Filter(..) | Dialog::Prompt(..) | Dialog::Deny(..) => enter || escape,
    };
    if !ends {
        model.dialog = Some(dialog);
    }
}

/// Shows only what holds these words.
fn filter(model: &mut Model, words: &str) {
    match model.tab {
        Tab::Processes => {
            words.clone_into(&mut model.table.filter);
            model.arrange();
        }
        Tab::Tasks => {
            words.clone_into(&mut model.tasks.filter);
            model.arrange_tasks();
        }
    }
}

fn click(model: &mut Model, mouse: Mouse, col: u16, row: u16, asks: &mut Vec<Ask>) {
    let areas = model.areas();
    if model.page != Page::Table {
        let key = match mouse {
            Mouse::Click => return,
            Mouse::WheelUp => Key::Up,
            Mouse::WheelDown => Key::Down,
        };
        if matches!(model.page, Page::Inbox { .. }) {
            inbox(model, key, asks);
        } else {
            scrolled(model, key);
        }
        return;
    }
    if model.tab == Tab::Tasks {
        return tasks::click(model, mouse, col, row, asks);
    }
    match mouse {
        Mouse::WheelUp => model.choose(model.table.cursor.saturating_sub(WHEEL_ROWS)),
        Mouse::WheelDown => model.choose(model.table.cursor + WHEEL_ROWS),
        Mouse::Click if row == areas.heads.y && areas.heads.height > 0 => {
            let columns = layout::columns(areas.heads.width);
            let Some(column) = columns.iter().rev().find(|c| col >= c.x || c.x == layout::MARKS_COLS) else {
                return;
            };
            sort(model, column.sort);
        }
        Mouse::Click if row >= areas.table.y && row < areas.table.y + areas.table.height => {
            let place = model.table.top + usize::from(row - areas.table.y);
            if place >= model.table.rows.len() {
                return;
            }
            model.choose(place);
            let Some(id) = model.table.chosen.clone() else { return };
            let double = model
                .clicked
                .take()
                .is_some_and(|(at, when)| at == id && (0..=DOUBLE_CLICK_MS).contains(&(model.now - when)));
            if double {
                go(model, model.in_wezterm, asks);
            } else {
                model.clicked = Some((id, model.now));
            }
        }
        Mouse::Click => {}
    }
}

/// Sorts by a column; the second time the other way round, the third time as at the beginning.
fn sort(model: &mut Model, by: Sort) {
    let table = &mut model.table;
    (table.sort, table.reversed) = match (table.sort == by, table.reversed) {
        (false, _) => (by, false),
        (true, false) => (by, true),
        (true, true) => (Sort::Need, false),
    };
    model.arrange();
}
