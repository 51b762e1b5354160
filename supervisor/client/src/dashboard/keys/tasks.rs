//! The same for tasks.

use super::{DOUBLE_CLICK_MS, WHEEL_ROWS, deeds, scrolled};
use crate::dashboard::{
    ask::{Ask, Deed, Job, Verb},
    input::{Key, Mouse},
    layout,
    line::Line,
    model::{Dialog, Id, Model, Page, Tab},
    tasks::Sort,
    update::say,
};
use wezterm_parallel_schemas::task::TaskState;

/// What keys do in the table of tasks, and on the page of one.
pub fn key(model: &mut Model, key: Key, asks: &mut Vec<Ask>) {
    if model.page == Page::Table {
        if moved(model, key) {
            return;
        }
    } else {
        match key {
            Key::Esc | Key::Left | Key::Tab | Key::Char('v' | 'q' | 't') => return model.page = Page::Table,
            key if scrolled(model, key) => return,
            _ => {}
        }
    }
    match key {
        Key::Char('q') => return asks.push(Ask::Quit),
        Key::Char('?') => return model.page = Page::Help { scroll: 0 },
        Key::Char('R') => return deeds(model, vec![Deed::Reload], asks),
        _ => {}
    }
    let Some(task) = model.chosen_task() else { return };
    let job = Job { id: task.id.clone(), name: task.name.clone() };
    let (state, group) = (task.state, task.group.clone());
    match key {
        Key::Enter => go(model, asks),
        Key::Char('L') => asks.push(Ask::Run(Verb::Logs, job)),
        Key::Char('o') => asks.push(Ask::Run(Verb::Open, job)),
        Key::Char('c') => {
            if state.is_end() {
                return say(model, format!("{job} is over: {state}"));
            }
            let question = match state {
                TaskState::Running => format!("cancel {job}, which runs?"),
                _ => format!("cancel {job}?"),
            };
            model.dialog = Some(Dialog::Confirm(question, vec![Deed::Cancel(job)]));
        }
        Key::Char('p') => {
            let deed = if state == TaskState::Paused { Deed::Resume(job) } else { Deed::Pause(job) };
            deeds(model, vec![deed], asks);
        }
        Key::Char('r') => deeds(model, vec![Deed::Retry(job)], asks),
        Key::Char('g') => {
            let paused = model.tasks.paused.contains(&group);
            let deed = if paused { Deed::ResumeGroup(group) } else { Deed::PauseGroup(group) };
            deeds(model, vec![deed], asks);
        }
        _ => {}
    }
}

/// Moves in the table; false if the key does not.
fn moved(model: &mut Model, key: Key) -> bool {
    let height = usize::from(model.areas().table.height).max(1);
    let cursor = model.tasks.cursor;
    match key {
        Key::Up | Key::Char('k') => model.choose_task(cursor.saturating_sub(1)),
        Key::Down | Key::Char('j') => model.choose_task(cursor + 1),
        Key::PageUp | Key::Ctrl('b') => model.choose_task(cursor.saturating_sub(height)),
        Key::PageDown | Key::Ctrl('f') => model.choose_task(cursor + height),
        Key::Home => model.choose_task(0),
        Key::End | Key::Char('G') => model.choose_task(usize::MAX),
        Key::Char('t') => model.tab = Tab::Processes,
        Key::Tab | Key::Right | Key::Char('v') => {
            if model.tasks.chosen.is_some() {
                model.page = Page::Detail { scroll: 0 };
            }
        }
        Key::Char('/') => {
            let before = model.tasks.filter.clone();
            model.dialog = Some(Dialog::Filter(Line::default(), before));
        }
        Key::Esc => {
            model.tasks.filter.clear();
            model.arrange_tasks();
        }
        _ => return false,
    }
    true
}

/// Follows a task, or shows what one has written that is over.
fn go(model: &Model, asks: &mut Vec<Ask>) {
    let Some(task) = model.chosen_task() else { return };
    let verb = if task.state.is_end() { Verb::Logs } else { Verb::Attach };
    asks.extend(model.chosen_job().map(|job| Ask::Run(verb, job)));
}

/// What the mouse does in the table of tasks.
pub fn click(model: &mut Model, mouse: Mouse, col: u16, row: u16, asks: &mut Vec<Ask>) {
    let areas = model.areas();
    match mouse {
        Mouse::WheelUp => model.choose_task(model.tasks.cursor.saturating_sub(WHEEL_ROWS)),
        Mouse::WheelDown => model.choose_task(model.tasks.cursor + WHEEL_ROWS),
        Mouse::Click if row == areas.heads.y && areas.heads.height > 0 => {
            let columns = layout::task_columns(areas.heads.width);
            let column = columns.iter().rev().find(|c| col >= c.x || c.x == layout::MARKS_COLS);
            if let Some(column) = column {
                sort(model, column.sort);
            }
        }
        Mouse::Click if row >= areas.table.y && row < areas.table.y + areas.table.height => {
            let place = model.tasks.top + usize::from(row - areas.table.y);
            if place >= model.tasks.rows.len() {
                return;
            }
            model.choose_task(place);
            let Some(id) = model.tasks.chosen.clone().map(Id::Task) else { return };
            let double = model
                .clicked
                .take()
                .is_some_and(|(at, when)| at == id && (0..=DOUBLE_CLICK_MS).contains(&(model.now - when)));
            if double {
                go(model, asks);
            } else {
                model.clicked = Some((id, model.now));
            }
        }
        Mouse::Click => {}
    }
}

/// Sorts by a column; the second time the other way round, the third time as at the beginning.
fn sort(model: &mut Model, by: Sort) {
    let tasks = &mut model.tasks;
    (tasks.sort, tasks.reversed) = match (tasks.sort == by, tasks.reversed) {
        (false, _) => (by, false),
        (true, false) => (by, true),
        (true, true) => (Sort::Need, false),
    };
    model.arrange_tasks();
}
