//! `on` of a config: what is run when something happens.

use indexmap::IndexMap;
use wezterm_parallel_core::spec::{ON_TIMEOUT_MS_DEFAULT, ON_TIMEOUT_MS_MAX, ON_TIMEOUT_MS_MIN, OnSpec};
use wezterm_parallel_schemas::{
    on::{On, OnCommand, OnEvent, OnHook},
    units::Span,
};

use crate::{
    error::KeyPath,
    resolve::{Resolver, millis},
};

/// What runs a command that is a text.
const SHELL: &str = "/bin/sh";

impl Resolver<'_> {
    /// It with every default filled in.
    pub(crate) fn on(&mut self, on: &On) -> IndexMap<OnEvent, Vec<OnSpec>> {
        let mut all = IndexMap::new();
        for (event, hooks) in &on.0 {
            let at = KeyPath::of(["on", event.name()]);
            let specs: Vec<OnSpec> = hooks
                .iter()
                .enumerate()
                .map(|(number, hook)| self.hook(&at.key(&number.to_string()), hook))
                .collect();
            if !specs.is_empty() {
                all.insert(*event, specs);
            }
        }
        all
    }

    fn hook(&mut self, at: &KeyPath, hook: &OnHook) -> OnSpec {
        let (at_command, command, timeout) = match hook {
            OnHook::Plain(command) => (at.clone(), command, None),
            OnHook::With(with) => (at.key("command"), &with.command, with.timeout),
        };
        let words = match command {
            OnCommand::Shell(text) => {
                if text.trim().is_empty() {
                    self.problem(at_command.clone(), "the command is empty");
                }
                if text.contains('\0') {
                    self.problem(at_command, "a command cannot hold a NUL character");
                }
                [SHELL, "-c", text].map(str::to_owned).into()
            }
            OnCommand::Words(words) => {
                if words.first().is_none_or(String::is_empty) {
                    self.problem(at_command.clone(), "the command is empty");
                }
                self.check_words(&at_command, words);
                words.clone()
            }
        };
        let timeout = timeout.map_or(ON_TIMEOUT_MS_DEFAULT, millis);
        if !(ON_TIMEOUT_MS_MIN..=ON_TIMEOUT_MS_MAX).contains(&timeout) {
            let [min, max] = [ON_TIMEOUT_MS_MIN, ON_TIMEOUT_MS_MAX].map(Span::from_millis);
            self.problem_with_hint(
                at.key("timeout"),
                format!("a time from {min} to {max} is needed"),
                Some(
                    "what takes longer is begun by the hook and left to itself, as in `my-program &`".into(),
                ),
            );
        }
        OnSpec { command: words, timeout }
    }
}
