//! Questions of an agent, one after the other: options to choose from, or own words.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use wezterm_parallel_schemas::inbox::{AskView, Question};

use super::{
    input::{Input, Key},
    line::Line,
};

/// Where somebody is with the questions of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answering {
    /// The request.
    pub ask: AskView,
    /// Which of its questions.
    pub question: usize,
    /// Which option; the one behind the last is own words.
    pub cursor: usize,
    /// Options that are chosen, where several may be.
    pub chosen: BTreeSet<usize>,
    /// Own words, while they are typed.
    pub own: Option<Line>,
    /// What was answered so far.
    pub answers: IndexMap<String, String>,
}

/// What a key leads to.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// There is more to answer.
    Stay,
    /// Nothing is answered after all.
    Leave,
    /// All is answered.
    Done(IndexMap<String, String>),
}

impl Answering {
    /// At the first question of a request that has any.
    pub fn new(ask: &AskView) -> Option<Self> {
        ask.questions.first()?;
        Some(Self {
            ask: ask.clone(),
            question: 0,
            cursor: 0,
            chosen: BTreeSet::new(),
            own: None,
            answers: IndexMap::new(),
        })
    }

    /// The question at hand.
    pub fn at(&self) -> &Question {
        &self.ask.questions[self.question]
    }

    /// Goes on by a key.
    pub fn take(&mut self, input: &Input) -> Step {
        if let Some(line) = &mut self.own {
            match input {
                Input::Key(Key::Esc) => self.own = None,
                Input::Key(Key::Enter) if line.text().trim().is_empty() => {}
                Input::Key(Key::Enter) => {
                    let text = line.text().to_owned();
                    return self.answer(text);
                }
                input => {
                    line.take(input);
                }
            }
            return Step::Stay;
        }
        let options = self.at().options.len();
        let several = self.at().multi_select;
        match input {
            Input::Key(Key::Esc | Key::Char('q')) => return Step::Leave,
            Input::Key(Key::Up | Key::Char('k')) => self.cursor = self.cursor.saturating_sub(1),
            Input::Key(Key::Down | Key::Char('j') | Key::Tab) => self.cursor = (self.cursor + 1).min(options),
            Input::Key(Key::Char(' ')) if several => self.toggle(self.cursor),
            Input::Key(Key::Char(c @ '1'..='9')) => {
                let place = usize::try_from(u32::from(*c) - u32::from('1')).unwrap_or(usize::MAX);
                if place > options {
                    return Step::Stay;
                }
                self.cursor = place;
                if several && place < options {
                    self.toggle(place);
                } else {
                    return self.enter();
                }
            }
            Input::Key(Key::Enter) => return self.enter(),
            Input::Paste(text) => {
                self.cursor = options;
                self.own = Some(Line::new(text));
            }
            Input::Key(_) | Input::Mouse(..) | Input::Focus(_) => {}
        }
        Step::Stay
    }

    fn toggle(&mut self, place: usize) {
        if place < self.at().options.len() && !self.chosen.remove(&place) {
            self.chosen.insert(place);
        }
    }

    fn enter(&mut self) -> Step {
        let question = self.at();
        if self.cursor >= question.options.len() {
            self.own = Some(Line::default());
            return Step::Stay;
        }
        let label = |place: &usize| question.options[*place].label.clone();
        let text = if question.multi_select && !self.chosen.is_empty() {
            self.chosen.iter().map(label).collect::<Vec<_>>().join(", ")
        } else {
            label(&self.cursor)
        };
        self.answer(text)
    }

    fn answer(&mut self, text: String) -> Step {
        self.answers.insert(self.at().question.clone(), text);
        if self.question + 1 == self.ask.questions.len() {
            return Step::Done(std::mem::take(&mut self.answers));
        }
        self.question += 1;
        (self.cursor, self.own) = (0, None);
        self.chosen.clear();
        Step::Stay
    }
}
