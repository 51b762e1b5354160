//! Claude's transcript of a session, a JSON object per line: what was used, and whether a limit was reached.
//!
//! A message of the model stands there once per block of its content, each time with the whole message's
//! usage. `cost-state` is written at a clean end and holds what the session has used so far, subagents
//! included; after a SIGKILL there is none, and Claude itself then goes on from the one before.

use std::collections::VecDeque;

use serde_json::Value;

use super::{statusline::number, usage_limit::RateLimit};

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A message of the model, or a part of it.
    Message {
        /// Id of the message.
        id: String,
        /// The model.
        model: Option<String>,
        /// What the message used.
        tokens: Tokens,
    },
    /// A turn ended with an error of the API.
    Failed {
        /// In words.
        text: String,
        /// What the API said of the account's limits, if it was one of them.
        limit: Option<RateLimit>,
    },
    /// What the session has used so far.
    CostState {
        /// US dollars.
        cost_usd: f64,
        /// Tokens of all models.
        tokens: Tokens,
    },
    /// Anything else.
    Other,
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// What went in, what was cached included.
    pub input: u64,
    /// What came out.
    pub output: u64,
}

impl Tokens {
    /// Reads `usage` of a message.
    pub(super) fn of_message(usage: &Value) -> Self {
        let n = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
        let cached = n("cache_creation_input_tokens").saturating_add(n("cache_read_input_tokens"));
        Self { input: n("input_tokens").saturating_add(cached), output: n("output_tokens") }
    }

    /// Reads `modelUsage`, all models together.
    pub(super) fn of_models(models: &Value) -> Self {
        let mut all = Self::default();
        for usage in models.as_object().into_iter().flat_map(|m| m.values()) {
            let n = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
            for part in ["inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens"] {
                all.input = all.input.saturating_add(n(part));
            }
            all.output = all.output.saturating_add(n("outputTokens"));
        }
        all
    }

    pub(super) fn add(&mut self, other: Self) {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
    }

    fn sub(&mut self, other: Self) {
        self.input = self.input.saturating_sub(other.input);
        self.output = self.output.saturating_sub(other.output);
    }
}

/// Reads a line. What is none, or half of one, is [`Line::Other`].
pub fn parse(line: &[u8]) -> Line {
    let Ok(raw) = serde_json::from_slice::<Value>(line) else { return Line::Other };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match raw["type"].as_str() {
        Some("assistant") if raw["isApiErrorMessage"] == true => Line::Failed {
            text: text(&raw["message"]["content"][0]["text"]).unwrap_or_default(),
            limit: RateLimit::read(&raw["quotaLimits"])
                .or_else(|| RateLimit::read(&raw["apiErrorParams"]["rate_limit_info"])),
        },
        Some("assistant") => match text(&raw["message"]["id"]) {
            Some(id) => Line::Message {
                id,
                model: text(&raw["message"]["model"]).filter(|m| !m.starts_with('<')),
                tokens: Tokens::of_message(&raw["message"]["usage"]),
            },
            None => Line::Other,
        },
        Some("cost-state") => Line::CostState {
            cost_usd: number(raw.get("totalCostUSD")).unwrap_or(0.0),
            tokens: Tokens::of_models(&raw["modelUsage"]),
        },
        _ => Line::Other,
    }
}

/// Messages that are remembered, so that the lines of one are not counted as several: they stand close
/// together, with results of tools in between.
const MESSAGES_MAX: usize = 32;

/// What a session has used, as far as its transcript was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    tokens: Tokens,
    model: Option<String>,
    newest: VecDeque<(String, Tokens)>,
}

impl Tally {
    /// Takes the next line.
    pub fn take(&mut self, line: &Line) {
        match line {
            Line::Message { id, model, tokens } => {
                if let Some((_, known)) = self.newest.iter_mut().find(|(known, _)| known == id) {
                    self.tokens.sub(*known);
                    *known = *tokens;
                } else {
                    self.newest.push_back((id.clone(), *tokens));
                    if self.newest.len() > MESSAGES_MAX {
                        self.newest.pop_front();
                    }
                }
                self.tokens.add(*tokens);
                if model.is_some() {
                    self.model.clone_from(model);
                }
            }
            // it has what subagents used too, and what stands before the part that was read
            Line::CostState { tokens, .. } => {
                self.tokens.input = self.tokens.input.max(tokens.input);
                self.tokens.output = self.tokens.output.max(tokens.output);
            }
            Line::Failed { .. } | Line::Other => {}
        }
    }

    /// Tokens of the session.
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }
    /// The model that answered last.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAPTURE: &str = include_str!("../../tests/fixtures/transcript.jsonl");
    const LIMITED: &str = include_str!("../../tests/fixtures/transcript_limit.jsonl");

    fn tally<'a>(lines: impl Iterator<Item = &'a str>) -> Tally {
        let mut tally = Tally::default();
        lines.for_each(|l| tally.take(&parse(l.as_bytes())));
        tally
    }

    #[test]
    fn messages_come_to_what_claude_itself_has_counted() {
        let without = tally(CAPTURE.lines().filter(|l| !l.contains("cost-state")));
        let line = CAPTURE.lines().find(|l| l.contains("\"cost-state\"")).expect("it ended well");
        let Line::CostState { cost_usd, tokens } = parse(line.as_bytes()) else { panic!("{line}") };
        assert_eq!(cost_usd, 0.004875);
        assert_eq!(tokens, Tokens { input: 7_870, output: 240 });
        assert_eq!(without.tokens(), tokens, "a message of two lines counts once");
        assert_eq!(without.model(), Some("claude-sonnet-5-5"));
        assert_eq!(tally(CAPTURE.lines()).tokens(), tokens, "and what is summed up does not come on top");
    }

    #[test]
    fn of_the_end_alone_the_sum_is_still_whole_after_a_clean_end() {
        let last = CAPTURE.lines().rev().take(2);
        assert_eq!(tally(last).tokens(), Tokens { input: 7_870, output: 240 });
    }

    #[test]
    fn a_limit_has_its_time() {
        let failed: Vec<Line> = LIMITED.lines().map(|l| parse(l.as_bytes())).collect();
        let [Line::Failed { text, limit: Some(limit) }, Line::Failed { text: old, limit: None }] =
            &failed[..]
        else {
            panic!("{failed:#?}")
        };
        assert!(limit.rejected());
        assert_eq!(limit.resets_at, Some(1_795_501_203_000));
        assert_eq!(text, "You've hit your limit · resets 6:20am (UTC)");
        assert_eq!(old, "You've hit your limit · resets 6:21am (UTC)", "2.1.197 has it in words alone");
    }

    proptest! {
        #[test]
        fn no_line_panics(line: Vec<u8>, big: u64) {
            parse(&line);
            let usage = format!(r#"{{"type":"assistant","message":{{"id":"x","usage":{{"input_tokens":{big},"cache_read_input_tokens":{big}}}}}}}"#);
            tally([usage.as_str(), usage.as_str()].into_iter());
        }
    }
}
