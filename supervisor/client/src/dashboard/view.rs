//! What the model looks like. Nothing here changes it. All text of others goes through [`Pen::text`]: no
//! control character and nothing that hides or turns around reaches the terminal.

mod detail;
mod dialog;
mod inbox;
mod table;
mod tasks;

use std::borrow::Cow;

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::model::{Dialog, Link, Look, Model, Need, Page, Tab};
use crate::{inbox::clear, limit, time};

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let areas = model.areas();
    let pen = Pen(model.look);
    let buffer = frame.buffer_mut();
    header(buffer, model, pen, areas.header);
    if let Some(area) = areas.second {
        let line = problem(model, pen).unwrap_or_else(|| accounts(model, pen, area.width));
        pen.line(buffer, area, 0, line);
    }
    match &model.page {
        Page::Table => {
            match model.tab {
                Tab::Processes => table::draw(buffer, model, pen, &areas),
                Tab::Tasks => tasks::draw(buffer, model, pen, &areas),
            }
            if let Some(area) = areas.detail {
                detail::pane(buffer, model, pen, area);
            }
            if let Some(area) = areas.reason {
                match model.tab {
                    Tab::Processes => table::reason(buffer, model, pen, area),
                    Tab::Tasks => tasks::reason(buffer, model, pen, area),
                }
            }
        }
        Page::Inbox { cursor, scroll } => inbox::draw(buffer, model, pen, areas.page, *cursor, *scroll),
        Page::Detail { scroll } => {
            pen.lines(buffer, areas.page, &detail::lines(model, pen, areas.page.width), *scroll);
        }
        Page::Log { lines, scroll, .. } => {
            let lines = log(lines, pen, areas.page.width);
            let last = lines.len().saturating_sub(usize::from(areas.page.height));
            pen.lines(buffer, areas.page, &lines, (*scroll).min(last));
        }
        Page::Help { scroll } => {
            pen.lines(buffer, areas.page, &help(pen, areas.page.width, model.tab), *scroll);
        }
    }
    if model.link != Link::Here {
        // it is how things were; the header says so in words
        let old = Rect { y: 1, height: areas.footer.y.saturating_sub(1), ..areas.page };
        buffer.set_style(old.intersection(buffer.area), Style::new().add_modifier(Modifier::DIM));
    }
    if let Some(Dialog::Answer(answering)) = &model.dialog {
        dialog::answer(buffer, pen, areas.page, answering);
    }
    let cursor = dialog::footer(buffer, model, pen, areas.footer);
    if let Some(at) = cursor {
        frame.set_cursor_position(at);
    }
}

/// The title of the window: what a glance at a tab is to say.
pub fn title(model: &Model) -> String {
    let (needed, failed) =
        (model.count(|n| n == Need::Blocked), model.count(|n| matches!(n, Need::Failed | Need::Error)));
    match (&model.link, needed, failed) {
        (Link::Here, 0, 0) => "dashboard".into(),
        (Link::Here, 0, n) => format!("dashboard: {n} failed"),
        (Link::Here, 1, _) => "dashboard: 1 needs you".into(),
        (Link::Here, n, _) => format!("dashboard: {n} need you"),
        (Link::Connecting | Link::Gone(_) | Link::Refused(..), ..) => "dashboard: no daemon".into(),
    }
}

/// Rows on the screen for what is scrolled on this page.
pub fn scrolled_height(model: &Model) -> u16 {
    let page = model.areas().page;
    match model.page {
        Page::Table => 0,
        Page::Inbox { .. } => inbox::parts(model, page).1.height,
        Page::Detail { .. } | Page::Log { .. } | Page::Help { .. } => page.height,
    }
}

/// Whether the pane below the table has room for all of the chosen process's request.
pub fn pane_is_whole(model: &Model) -> bool {
    model.areas().detail.is_some_and(|area| {
        // one row of it is a rule
        detail::decided_by(model, Pen(model.look), area.width) < usize::from(area.height)
    })
}

/// Lines there are of it.
pub fn scrolled_lines(model: &Model) -> usize {
    let (pen, width) = (Pen(model.look), model.areas().page.width);
    match &model.page {
        Page::Table => 0,
        Page::Inbox { .. } => inbox::lines(model, pen, width).len(),
        Page::Detail { .. } => detail::lines(model, pen, width).len(),
        Page::Log { lines, .. } => log(lines, pen, width).len(),
        Page::Help { .. } => help(pen, width, model.tab).len(),
    }
}

fn header(buffer: &mut Buffer, model: &Model, pen: Pen, area: Rect) {
    let line = match &model.link {
        Link::Connecting => Line::from(Span::styled("looking for the daemon", pen.faint())),
        Link::Gone(why) => Line::from(vec![
            Span::styled(format!("{} no daemon", pen.glyph('✗')), pen.bad()),
            Span::raw(pen.text(&format!(": {why}; looking for it"))),
        ]),
        Link::Refused(why, hint) => Line::from(vec![
            Span::styled(format!("{} ", pen.glyph('✗')), pen.bad()),
            Span::raw(pen.text(&format!("{why}: {hint}"))),
        ]),
        // where there is one line only
        Link::Here if model.areas().second.is_none() && model.problem().is_some() => {
            problem(model, pen).unwrap_or_default()
        }
        Link::Here if model.tab == Tab::Tasks => task_counts(model, pen),
        Link::Here => counts(model, pen),
    };
    pen.line(buffer, area, 0, line);
}

/// `3 working · 1 needs you · 2 idle · $12.34`, and what is wrong with the daemon.
fn counts(model: &Model, pen: Pen) -> Line<'static> {
    let count = |needs: &[Need]| model.count(|n| needs.contains(&n));
    let needed = count(&[Need::Blocked]);
    let needs_you = if needed == 1 { "needs you" } else { "need you" };
    let parts = [
        (count(&[Need::Working]), "working", pen.good()),
        (needed, needs_you, pen.notable()),
        (count(&[Need::Failed, Need::Error]), "failed", pen.bad()),
        (count(&[Need::Unread]), "unread", pen.notable()),
        (count(&[Need::Idle]), "idle", Style::new()),
        (count(&[Need::Limited]), "limited", pen.notable()),
        (count(&[Need::Unknown]), "unknown", pen.notable()),
        (count(&[Need::Moving]), "starting", Style::new()),
        (count(&[Need::Running]), "running", Style::new()),
    ];
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut add = |text: String, style: Style| {
        if !spans.is_empty() {
            spans.push(Span::styled(pen.dot(), pen.faint()));
        }
        spans.push(Span::styled(text, style));
    };
    let (often, seldom) = parts.split_at(5);
    for (n, what, style) in often.iter().filter(|(n, ..)| *n > 0) {
        add(format!("{n} {what}"), *style);
    }
    if model.processes.iter().all(|p| super::model::need(p) == Need::Stopped) {
        add("nothing runs".into(), pen.faint());
    }
    if model.processes.iter().any(|p| p.usage.as_ref().is_some_and(|u| u.cost_usd.is_some())) {
        add(limit::cost(model.cost()), Style::new());
    }
    if let Some(tasks) = tasks_in_short(model) {
        add(tasks, Style::new());
    }
    for (n, what, style) in seldom.iter().filter(|(n, ..)| *n > 0) {
        add(format!("{n} {what}"), *style);
    }
    if model.areas().second.is_none()
        && let Some(until) = model.accounts.iter().filter_map(|a| a.limited_until).max()
    {
        add(format!("limited for {}", time::span(until - model.now)), pen.notable());
    }
    if !model.table.filter.is_empty() {
        add(pen.text(&format!("only \"{}\"", model.table.filter)), pen.notable());
    }
    if !model.table.marked.is_empty() {
        add(format!("{} marked", model.table.marked.len()), pen.strong());
    }
    Line::from(spans)
}

/// `tasks: 2 running, 5 queued, 1 failed`; nothing where none is left to do and none has failed.
fn tasks_in_short(model: &Model) -> Option<String> {
    let counts = model.task_counts();
    let parts = [
        (counts.running, "running"),
        (counts.queued, "queued"),
        (counts.waiting, "waiting"),
        (counts.paused, "paused"),
        (counts.failed, "failed"),
    ];
    let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    let text = parts.collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then(|| format!("tasks: {text}"))
}

/// `2 running · 1 failed · 5 queued · $12.34`, and what processes want.
fn task_counts(model: &Model, pen: Pen) -> Line<'static> {
    let counts = model.task_counts();
    let count = |needs: &[Need]| model.count(|n| needs.contains(&n));
    let needed = count(&[Need::Blocked]);
    let needs_you = if needed == 1 { "needs you" } else { "need you" };
    let parts = [
        (counts.running, "running", pen.good()),
        (counts.failed, "failed", pen.bad()),
        // processes, which nobody sees here
        (u32::try_from(needed).unwrap_or(u32::MAX), needs_you, pen.notable()),
        (counts.queued, "queued", Style::new()),
        (counts.waiting, "waiting", Style::new()),
        (counts.paused, "paused", pen.notable()),
        (counts.done, "done", pen.faint()),
    ];
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut add = |text: String, style: Style| {
        if !spans.is_empty() {
            spans.push(Span::styled(pen.dot(), pen.faint()));
        }
        spans.push(Span::styled(text, style));
    };
    if model.tasks.all.is_empty() {
        add("no tasks".into(), pen.faint());
    }
    for (n, what, style) in parts.iter().filter(|(n, ..)| *n > 0) {
        add(format!("{n} {what}"), *style);
    }
    if !model.tasks.filter.is_empty() {
        add(pen.text(&format!("only \"{}\"", model.tasks.filter)), pen.notable());
    }
    if model.tasks_cost() > 0.0 {
        add(limit::cost(model.tasks_cost()), Style::new());
    }
    let rest = [(count(&[Need::Failed, Need::Error]), "failed"), (count(&[Need::Working]), "working")];
    let rest = rest.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    let rest = rest.collect::<Vec<_>>().join(", ");
    if !rest.is_empty() {
        add(format!("processes: {rest}"), Style::new());
    }
    Line::from(spans)
}

/// What is wrong with the daemon or its config.
fn problem(model: &Model, pen: Pen) -> Option<Line<'static>> {
    let problem = model.problem()?;
    // an error of a config has lines, of which the first says what it is
    let first = problem.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Some(Line::styled(format!("{} {}", pen.glyph('✗'), pen.text(first)), pen.bad()))
}

/// Every account with its windows, those first that are limited.
fn accounts(model: &Model, pen: Pen, width: u16) -> Line<'static> {
    let mut list: Vec<_> = model.accounts.iter().collect();
    list.sort_by_key(|a| std::cmp::Reverse(a.limited_until));
    let mut spans: Vec<Span<'static>> = Vec::new();
    for account in list {
        if !spans.is_empty() {
            spans.push(Span::raw("   "));
        }
        let name = match account.account.strip_prefix(&model.home) {
            Some(rest) if rest.starts_with('/') && !model.home.is_empty() => format!("~{rest}"),
            _ => account.account.clone(),
        };
        spans.push(Span::styled(
            pen.fit(&pen.text(&name), usize::from(width / 3).max(10)).into_owned(),
            pen.faint(),
        ));
        if let Some(until) = account.limited_until {
            let text = format!(" limited for {}", time::span((until - model.now).max(0)));
            spans.push(Span::styled(text, pen.notable()));
        }
        for w in &account.windows {
            let used = w.used_percent.map(limit::percent).unwrap_or_else(|| "?".into());
            let resets = w.resets_at.map(|at| format!(" for {}", time::span((at - model.now).max(0))));
            let text = format!(" {} {used}{}", w.name, resets.unwrap_or_default());
            let full = w.used_percent.is_some_and(|used| used >= 90.0);
            spans.push(Span::styled(pen.text(&text), if full { pen.notable() } else { Style::new() }));
        }
    }
    Line::from(spans)
}

fn log(lines: &[String], pen: Pen, width: u16) -> Vec<Line<'static>> {
    if lines.is_empty() {
        return vec![Line::styled("it wrote nothing", pen.faint())];
    }
    lines.iter().flat_map(|line| pen.fold(line, usize::from(width))).map(Line::from).collect()
}

/// All keys, and what they do.
const HELP: &[(&str, &str)] = &[
    ("Enter", "go to it: in WezTerm if it shows this, else attach in this terminal"),
    ("o", "attach in this terminal; Ctrl-\\ comes back"),
    ("a", "allow what it asks, or answer its question; only what is on the screen whole"),
    ("d", "deny what it asks, with a word to the agent if you like"),
    ("A", "answer its question"),
    ("p", "send a prompt to it, or to all that are marked; an agent that works gets it when it is idle"),
    ("s  S  r", "start, stop, restart it, or all that are marked; a workspace is opened and closed"),
    ("space", "mark it"),
    ("n", "next one that needs you"),
    ("i", "inbox: all that agents ask"),
    ("Tab", "all of the chosen one"),
    ("L", "look on, without typing; of one that does not run, its last words"),
    ("/", "only what holds these words; Esc takes it back"),
    ("g", "processes below their workspaces, or all in one list"),
    ("t", "tasks, and back to processes"),
    ("R", "reload the config"),
    ("Ctrl-Z", "halt it and go back to the shell"),
    ("q", "quit; everything goes on running"),
    ("mouse", "click chooses, two clicks go to it, the wheel scrolls, a head sorts"),
];

/// What is otherwise where tasks are shown.
const TASKS_HELP: &[(&str, &str)] = &[
    ("Enter", "follow the task in this terminal; of one that is over, what it has written"),
    ("L", "what its last attempt has written"),
    ("o", "go on with its session, as a process"),
    ("c", "cancel it"),
    ("p", "pause it, or have it go on"),
    ("r", "have it begin again, once it is over"),
    ("g", "pause its group, so that nothing more of it starts, or have that go on"),
    ("Tab", "all of the chosen one: what comes before and after it, what it has brought"),
    ("/", "only what holds these words; Esc takes it back"),
    ("t", "processes"),
];

fn help(pen: Pen, width: u16, tab: Tab) -> Vec<Line<'static>> {
    const KEY_COLS: usize = 9;
    let mut lines = Vec::new();
    let keys = match tab {
        Tab::Processes => HELP,
        Tab::Tasks => TASKS_HELP,
    };
    for (key, what) in keys {
        let mut key = *key;
        for part in pen.fold(what, usize::from(width).saturating_sub(KEY_COLS)) {
            lines.push(Line::from(vec![
                Span::styled(format!("{key:KEY_COLS$}"), pen.strong()),
                Span::raw(part),
            ]));
            key = "";
        }
    }
    let marks: &[(char, &str)] = match tab {
        Tab::Processes => {
            &[('●', "as it should be"), ('▲', "look at it"), ('✗', "failed"), ('○', "does not run")]
        }
        Tab::Tasks => &[
            ('●', "runs"),
            ('○', "waits for its turn"),
            ('▲', "is held back"),
            ('✓', "done"),
            ('✗', "failed"),
            ('–', "canceled or skipped"),
        ],
    };
    let marks: String =
        marks.iter().map(|(glyph, what)| format!("{} {what}   ", pen.glyph(*glyph))).collect();
    lines.push(Line::raw(""));
    lines.extend(pen.fold(marks.trim_end(), usize::from(width)).into_iter().map(Line::from));
    lines
}

/// How things are drawn here.
#[derive(Clone, Copy)]
pub struct Pen(Look);

impl Pen {
    fn colour(self, colour: Color) -> Style {
        if self.0.plain { Style::new() } else { Style::new().fg(colour) }
    }
    fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }
    fn notable(self) -> Style {
        self.colour(Color::Yellow)
    }
    fn good(self) -> Style {
        self.colour(Color::Green)
    }
    fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }
    fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
    fn need(self, need: Need) -> Style {
        match need {
            Need::Failed | Need::Error => self.bad(),
            Need::Blocked | Need::Unread | Need::Limited | Need::Unknown | Need::Moving => self.notable(),
            Need::Working | Need::Running => self.good(),
            Need::Idle => Style::new(),
            Need::Stopped => self.faint(),
        }
    }

    fn glyph(self, glyph: char) -> char {
        match (self.0.ascii, glyph) {
            (false, glyph) => glyph,
            (true, '●') => '*',
            (true, '○') => 'o',
            (true, '▲') => '!',
            (true, '✓') => '+',
            (true, '–') => '-',
            (true, _) => 'x',
        }
    }
    fn dot(self) -> &'static str {
        if self.0.ascii { " | " } else { " · " }
    }
    fn bend(self) -> &'static str {
        if self.0.ascii { "\\_ " } else { "└ " }
    }
    fn cut(self) -> char {
        if self.0.ascii { '~' } else { '…' }
    }
    fn rule(self) -> &'static str {
        if self.0.ascii { "-" } else { "─" }
    }

    /// A text of somebody else's, as it may stand on the screen.
    fn text(self, text: &str) -> String {
        let text = clear(text);
        if self.0.ascii { text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect() } else { text }
    }

    /// As much of a text as fits, with a mark where something is left out.
    fn fit(self, text: &str, width: usize) -> Cow<'_, str> {
        if text.width() <= width {
            return Cow::Owned(text.to_owned());
        }
        let (mut used, mut out) = (0, String::new());
        for c in text.chars() {
            let cols = c.width().unwrap_or(0);
            if used + cols + 1 > width {
                break;
            }
            used += cols;
            out.push(c);
        }
        if width > 0 {
            out.push(self.cut());
        }
        Cow::Owned(out)
    }

    /// A text of one or more lines, clean, in lines of at most `width` columns; broken at blanks where there
    /// are any.
    fn fold(self, text: &str, width: usize) -> Vec<String> {
        let width = width.max(1);
        let mut lines = Vec::new();
        for line in text.lines() {
            // a tab is a control character, and means something in a program
            let line = self.text(&line.replace('\t', "    "));
            let mut rest = line.as_str();
            loop {
                let (mut used, mut end, mut blank) = (0, rest.len(), None);
                for (at, c) in rest.char_indices() {
                    used += c.width().unwrap_or(0);
                    if used > width {
                        end = at;
                        break;
                    }
                    if c == ' ' && used > width / 2 {
                        blank = Some(at + 1);
                    }
                }
                if end == rest.len() {
                    break;
                }
                // a wide character in one column would never fit
                let end = blank.unwrap_or(end).max(rest.chars().next().map_or(1, char::len_utf8));
                lines.push(rest[..end].trim_end().to_owned());
                rest = &rest[end..];
            }
            lines.push(rest.to_owned());
        }
        lines
    }

    /// Writes a line, with a mark where the area ends before it.
    fn line(self, buffer: &mut Buffer, area: Rect, y: u16, line: Line<'_>) {
        if y >= area.height || area.width == 0 {
            return;
        }
        let (width, mut x) = (usize::from(area.width), area.x);
        let cut = line.spans.iter().map(|span| span.content.width()).sum::<usize>() > width;
        let mut left = if cut { width - 1 } else { width };
        for span in line.spans {
            let (end, _) =
                buffer.set_stringn(x, area.y + y, &span.content, left, line.style.patch(span.style));
            left -= usize::from(end - x);
            x = end;
            if left == 0 {
                break;
            }
        }
        if cut {
            buffer.set_stringn(x, area.y + y, self.cut().to_string(), 1, line.style);
        }
    }

    /// Writes those lines that are not scrolled off.
    fn lines(self, buffer: &mut Buffer, area: Rect, lines: &[Line<'_>], scroll: usize) {
        for (y, line) in (0..area.height).zip(lines.iter().skip(scroll)) {
            self.line(buffer, area, y, line.clone());
        }
    }
}

#[cfg(test)]
mod tests;
