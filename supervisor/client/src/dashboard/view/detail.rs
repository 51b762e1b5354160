//! All of what is chosen: a process, its request, its queue; or a workspace.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use wezterm_parallel_schemas::{
    inbox::{AskKind, AskView},
    process::{ProcessView, State},
};

use super::{Pen, table};
use crate::{
    dashboard::model::{Model, Tab, need, word},
    limit, time,
};

/// Columns of the names on the left.
const NAME_COLS: usize = 10;

/// Draws it below the table, with a rule above.
pub fn pane(buffer: &mut Buffer, model: &Model, pen: Pen, area: Rect) {
    if area.height < 2 {
        return;
    }
    let rule = pen.rule().repeat(usize::from(area.width));
    buffer.set_stringn(area.x, area.y, rule, usize::from(area.width), pen.faint());
    let below = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let lines = lines(model, pen, area.width);
    let height = usize::from(below.height);
    pen.lines(buffer, below, &lines, 0);
    if lines.len() > height {
        let more = format!(" {} more lines: Tab ", lines.len() - height);
        let x = area.x + area.width.saturating_sub(u16::try_from(more.len()).unwrap_or(0) + 1);
        buffer.set_stringn(x, area.y, more, usize::from(area.width), pen.notable());
    }
}

/// All there is to say, in lines of this width.
pub fn lines(model: &Model, pen: Pen, width: u16) -> Vec<Line<'static>> {
    all(model, pen, width).lines
}

/// How many of these lines have to be seen by whoever decides the request among them.
pub fn decided_by(model: &Model, pen: Pen, width: u16) -> usize {
    all(model, pen, width).decided_by
}

fn all(model: &Model, pen: Pen, width: u16) -> Out {
    let mut out = Out::new(pen, width);
    if model.tab == Tab::Tasks {
        super::tasks::detail(&mut out, model);
        return out;
    }
    match (model.chosen_process(), model.chosen_workspace()) {
        (Some(p), _) => process(&mut out, model, p),
        (None, Some(w)) => {
            out.head(&w.name, if w.open { "open" } else { "closed" }, Style::new(), "");
            out.named("problem", w.problem.as_deref().unwrap_or_default());
            out.named("directory", &w.cwd.display().to_string());
            out.named("processes", &format!("{}, of which {} run", w.processes, w.running));
            out.named("layout", w.layout.as_deref().unwrap_or_default());
        }
        (None, None) => out.lines.push(Line::styled("nothing is chosen", pen.faint())),
    }
    out
}

fn process(out: &mut Out, model: &Model, p: &ProcessView) {
    let now = model.now;
    let since = table::since_text(p, now);
    let mut facts = Vec::new();
    if !since.is_empty() {
        facts.push(if p.state == State::Backoff { format!("again {since}") } else { format!("for {since}") });
    }
    if let (State::Running, Some(at)) = (p.state, p.started_at) {
        facts.push(format!("up {}", time::span(now - at)));
    }
    facts.extend(p.pid.map(|pid| format!("pid {pid}")));
    if p.restarts > 0 {
        facts.push(format!("restarted {} times", p.restarts));
    }
    if p.attached > 0 {
        facts.push(format!("{} attached", p.attached));
    }
    let name = format!("{}/{}", p.workspace, p.name);
    out.head(&name, word(p), out.pen.need(need(p)), &facts.join(out.pen.dot()));
    // what one is to decide comes before all that one only may want to know
    if let Some(ask) = model.ask_of(&p.id) {
        match model.whole.as_ref().filter(|whole| whole.id == ask.id) {
            Some(whole) => request(out, whole, now),
            None => request(out, ask, now),
        }
        out.decided_by = out.lines.len();
        out.lines.push(Line::raw(""));
    }
    let reasons = [p.state_reason.as_deref(), p.status_reason.as_deref()];
    out.named("reason", &reasons.into_iter().flatten().collect::<Vec<_>>().join("; "));
    if let Some(until) = p.limited_until {
        out.named("limited", &format!("for {}", time::span((until - now).max(0))));
    }
    out.named("title", p.title.as_deref().unwrap_or_default());
    let exit = p.last_exit.as_ref();
    out.named(
        "last exit",
        &exit.map(|e| format!("{}, {} ago", e.text(), time::span(now - e.ended_at))).unwrap_or_default(),
    );
    let usage = p.usage.as_ref();
    let [cost, context] = limit::usage(usage);
    let load = model.loads.get(&p.id).filter(|_| p.state == State::Running).copied().unwrap_or_default();
    let used = [
        cost,
        if context.is_empty() { context } else { format!("context {context}") },
        usage.and_then(|u| u.model.clone()).unwrap_or_default(),
        Some(table::cpu(load)).filter(|t| !t.is_empty()).map(|t| format!("CPU {t}")).unwrap_or_default(),
        Some(table::memory(load))
            .filter(|t| !t.is_empty())
            .map(|t| format!("memory {t}"))
            .unwrap_or_default(),
    ];
    let used: Vec<String> = used.into_iter().filter(|t| !t.is_empty()).collect();
    out.named("uses", &used.join(out.pen.dot()));
    out.named("directory", &p.cwd.display().to_string());
    out.named("session", p.session_id.as_deref().unwrap_or_default());
    out.named("command", &p.command.join(" "));
    if let Some((id, prompts)) = &model.prompts
        && *id == p.id
    {
        for (n, prompt) in (1..).zip(prompts) {
            let text = format!("{n}. {} ({} ago)", prompt.text, time::span(now - prompt.at));
            out.named(if n == 1 { "prompts" } else { "" }, &text);
        }
    }
}

/// A request, with all that one decides by, in lines of this width.
pub fn request_lines(ask: &AskView, now: i64, pen: Pen, width: u16) -> Vec<Line<'static>> {
    let mut out = Out::new(pen, width);
    request(&mut out, ask, now);
    out.lines
}

fn request(out: &mut Out, ask: &AskView, now: i64) {
    let who = ask.agent.as_ref().map(|agent| format!("subagent {agent}, ")).unwrap_or_default();
    let about = format!("{who}{} ago", time::span(now - ask.at));
    out.head(&ask.tool, &ask.summary, out.pen.notable(), &about);
    out.named("directory", &ask.cwd.display().to_string());
    if ask.shortened {
        out.named("note", "this is not all of it: the input is too large to be shown whole");
    }
    match (ask.kind, &ask.diff) {
        (AskKind::Question, _) => {
            for (n, q) in (1..).zip(&ask.questions) {
                let several = if q.multi_select { " (several may be chosen)" } else { "" };
                out.text(&format!("{n}. {}{several}", q.question), out.pen.strong());
                for (n, option) in (1..).zip(&q.options) {
                    let about = Some(&option.description).filter(|d| !d.is_empty());
                    let about = about.map(|d| format!(": {d}")).unwrap_or_default();
                    out.text(&format!("   {n}) {}{about}", option.label), Style::new());
                }
            }
        }
        (_, Some(diff)) => {
            for line in diff.lines() {
                let style = match line.as_bytes().first() {
                    Some(b'+') => out.pen.good(),
                    Some(b'-') => out.pen.bad(),
                    Some(b'@') => out.pen.notable(),
                    _ => Style::new(),
                };
                out.text(line, style);
            }
        }
        (_, None) => out.text(&crate::inbox::input(&ask.input), Style::new()),
    }
}

/// Lines that are written one below the other.
pub struct Out {
    pub pen: Pen,
    width: usize,
    lines: Vec<Line<'static>>,
    decided_by: usize,
}

impl Out {
    fn new(pen: Pen, width: u16) -> Self {
        Self { pen, width: usize::from(width), lines: Vec::new(), decided_by: 0 }
    }

    /// A name, a word on how it stands, and facts.
    pub fn head(&mut self, name: &str, word: &str, style: Style, facts: &str) {
        let whole = format!("{name}  {word}  {facts}");
        let folded = self.pen.fold(&whole, self.width);
        if let [_] = &folded[..] {
            let part = |text: &str, style| Span::styled(self.pen.text(text), style);
            let line = vec![
                part(name, self.pen.strong()),
                Span::raw("  "),
                part(word, style),
                Span::raw("  "),
                part(facts, self.pen.faint()),
            ];
            self.lines.push(Line::from(line));
        } else {
            self.lines.extend(folded.into_iter().map(|line| Line::styled(line, self.pen.strong())));
        }
    }

    /// A value with its name, if there is one.
    pub fn named(&mut self, name: &str, value: &str) {
        if value.trim().is_empty() {
            return;
        }
        let mut name = name;
        for part in self.pen.fold(value, self.width.saturating_sub(NAME_COLS)) {
            let name = std::mem::take(&mut name);
            self.lines.push(Line::from(vec![
                Span::styled(format!("{name:NAME_COLS$}"), self.pen.faint()),
                Span::raw(part),
            ]));
        }
    }

    /// The same of what is coloured and fits on a line.
    pub fn named_spans(&mut self, name: &str, spans: Vec<Span<'static>>) {
        let mut line = vec![Span::styled(format!("{name:NAME_COLS$}"), self.pen.faint())];
        line.extend(spans);
        self.lines.push(Line::from(line));
    }

    /// A line as it is.
    pub fn line(&mut self, line: Line<'static>) {
        self.lines.push(line);
    }

    fn text(&mut self, text: &str, style: Style) {
        let folded = self.pen.fold(text, self.width);
        self.lines.extend(folded.into_iter().map(|line| Line::styled(line, style)));
    }
}
