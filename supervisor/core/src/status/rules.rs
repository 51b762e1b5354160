//! The rules by which the words are weighed, in the order that the module above gives.

use wezterm_parallel_schemas::{
    evidence::{EvidenceSource as Source, Standing},
    process::{Blocked, Status},
};

use super::{DIALOG_OPEN, FOLLOW_MS, LIMIT_LIST, REST_MS, STALE_MS, Said, Tracker, Verdict};

impl Tracker {
    /// When something was heard of it last.
    pub(super) fn newest_heard(&self) -> i64 {
        let all = [&self.report, &self.hook, &self.registry, &self.stream, &self.title, &self.progress];
        all.into_iter().flatten().map(|s| s.heard).max().or(self.started).unwrap_or(0)
    }

    /// Decides anew.
    pub(super) fn settle(&mut self, now: i64) {
        let verdict = self.decide(now);
        let before = self.status();
        match &verdict {
            Some(v) if Some(v.status) != before => self.since = Some(v.at),
            Some(_) => {}
            None => self.since = None,
        }
        self.verdict = verdict;
    }

    /// The rules; see the module.
    fn decide(&self, now: i64) -> Option<Verdict> {
        let started = self.started?;
        if let Some((said, look)) = &self.machine
            && look.halted
            // who has said something since goes on
            && said.heard >= self.newest_heard()
        {
            return Some(Verdict {
                status: Status::Unknown,
                reason: Some("its process is halted by a signal".into()),
                at: said.at,
                source: Some(Source::Machine),
                because: "a halted process does nothing, whatever it said before",
                until: None,
            });
        }
        let told = self.by_report(now).or_else(|| self.by_hold()).or_else(|| self.by_stream(now));
        let told = told.or_else(|| self.by_claude(now));
        let told = told.or_else(|| self.by_terminal());
        let told = told.unwrap_or_else(|| match self.silent {
            Some(at) => Verdict {
                status: Status::Unknown,
                reason: Some("it has not reported any status since it started".into()),
                at,
                source: None,
                because: "no source has said anything for as long as a start may take",
                until: None,
            },
            None => Verdict {
                status: Status::Starting,
                reason: None,
                at: started,
                source: None,
                because: "it has been started, and no source has said anything yet",
                until: None,
            },
        });
        Some(self.limited(self.stale(told, now)))
    }

    /// By what it tells its terminal, held against Claude's file.
    fn by_report(&self, now: i64) -> Option<Verdict> {
        let report = self.report.as_ref()?;
        let status = report.status?;
        let verdict = won(report, status, "the agent tells its terminal itself");
        let Some(registry) = self.registry.as_ref() else { return Some(verdict) };
        let Some(other) = registry.status else { return Some(verdict) };
        if registry.at >= report.at && registry.reason.as_deref() == Some(DIALOG_OPEN) {
            // a list that the user opened: the agent does not report it, and takes no prompt
            return Some(won(registry, other, "its session file says that a dialog is open in its terminal"));
        }
        Some(match self.against_file(report, status, now) {
            Ok(until) => Verdict { until, ..verdict },
            Err(doubt) => doubt,
        })
    }

    /// Holds what an agent says itself against Claude's file, which is written right after it: if that says
    /// otherwise and is clearly newer, a word is missing, and neither is believed. Until when it is awaited.
    fn against_file(&self, said: &Said, status: Status, now: i64) -> Result<Option<i64>, Verdict> {
        let Some((registry, other)) = self.registry.as_ref().and_then(|r| Some((r, r.status?))) else {
            return Ok(None);
        };
        if same_kind(status, other) || registry.at <= said.at + FOLLOW_MS {
            return Ok(None);
        }
        let until = registry.heard + FOLLOW_MS;
        if now < until {
            return Ok(Some(until));
        }
        let told = if said.source == Source::Stream { "it wrote" } else { "it told its terminal" };
        Err(Verdict {
            status: Status::Unknown,
            reason: Some(format!(
                "{told} `{}`, and its session file says `{}` since",
                said.said, registry.said
            )),
            at: registry.at,
            source: None,
            because: "what it said last and its newer session file contradict each other",
            until: None,
        })
    }

    /// By a hook of its that waits for its user.
    fn by_hold(&self) -> Option<Verdict> {
        let held = self.held.as_ref()?;
        Some(Verdict {
            status: Status::Blocked(held.kind),
            reason: held.reason.clone(),
            at: held.at,
            source: Some(Source::Hook),
            because: "a hook of its waits for a decision, and there is no dialog beside",
            until: None,
        })
    }

    /// By the lines that it writes, where it writes them: they are the turn itself. What it asks its user
    /// is told by its hook alone.
    fn by_stream(&self, now: i64) -> Option<Verdict> {
        let stream = self.stream.as_ref()?;
        let status = stream.status?;
        match &self.hook {
            Some(hook) if hook.at > stream.at && matches!(hook.status, Some(Status::Blocked(_))) => {
                Some(won(hook, hook.status?, "it writes what it does, and a hook says what it asks for"))
            }
            _ => Some(match self.against_file(stream, status, now) {
                Ok(until) => Verdict { until, ..won(stream, status, "it writes what it does, line by line") },
                Err(doubt) => doubt,
            }),
        }
    }

    /// By Claude's file, and by what hooks add to it.
    fn by_claude(&self, now: i64) -> Option<Verdict> {
        let hook = self.hook.as_ref().and_then(|h| h.status.map(|s| (h, s)));
        let registry = self.registry.as_ref().and_then(|r| r.status.map(|s| (r, s)));
        let ((hook, by_hook), (registry, by_file)) = match (hook, registry) {
            (None, None) => return None,
            (Some((hook, status)), None) => {
                return Some(won(hook, status, "the newest hook, since there is no session file"));
            }
            (None, Some((file, status))) => return Some(self.rested(file, status, now)),
            (Some(hook), Some(registry)) => (hook, registry),
        };
        if same_kind(by_hook, by_file) {
            return Some(match by_file {
                // how a turn ended is known by hooks alone, unless the file has told of a later turn
                Status::Idle if self.busy_at <= hook.at => {
                    won(hook, by_hook, "its session file says that the turn is over, and a hook how it ended")
                }
                Status::Blocked(_) => self.asked(registry, by_file),
                _ if hook.at > registry.at => {
                    won(hook, by_hook, "the newest hook, as its session file has it")
                }
                _ => won(registry, by_file, "Claude's own session file"),
            });
        }
        if hook.at <= registry.at {
            return Some(match by_file {
                Status::Blocked(_) => self.asked(registry, by_file),
                _ => self.rested(registry, by_file, now),
            });
        }
        if now < hook.heard + FOLLOW_MS {
            let verdict = won(hook, by_hook, "the newest hook, which the session file has yet to follow");
            return Some(Verdict { until: Some(hook.heard + FOLLOW_MS), ..verdict });
        }
        Some(Verdict {
            status: Status::Unknown,
            reason: Some(format!(
                "a hook said `{}`, and its session file still says `{}`",
                hook.said, registry.said
            )),
            at: hook.at,
            source: None,
            because: "the newest hook and the session file contradict each other",
            until: None,
        })
    }

    /// What Claude's file says; `idle` only after a moment.
    fn rested(&self, registry: &Said, by_file: Status, now: i64) -> Verdict {
        let rest = registry.heard + REST_MS;
        match &self.verdict {
            Some(before) if by_file == Status::Idle && before.status == Status::Working && now < rest => {
                Verdict { until: Some(rest), ..before.clone() }
            }
            _ => won(registry, by_file, "Claude's own session file"),
        }
    }

    /// What is asked for, where Claude's file only says that it waits.
    fn asked(&self, registry: &Said, by_file: Status) -> Verdict {
        match &self.ask {
            Some((at, kind, reason)) if (registry.at - at).abs() <= FOLLOW_MS => Verdict {
                reason: reason.clone(),
                source: Some(Source::Hook),
                ..won(
                    registry,
                    Status::Blocked(*kind),
                    "its session file says that it waits, and a hook what for",
                )
            },
            _ => won(registry, by_file, "Claude's own session file"),
        }
    }

    /// By titles and progress reports, whichever is newer.
    fn by_terminal(&self) -> Option<Verdict> {
        let newest = [&self.title, &self.progress]
            .into_iter()
            .flatten()
            .filter(|s| s.status.is_some())
            .max_by_key(|s| s.at)?;
        Some(won(newest, newest.status?, "the newest of its titles and progress reports"))
    }

    /// Doubts a `working` that nothing has borne out for long.
    fn stale(&self, verdict: Verdict, now: i64) -> Verdict {
        let Some((said, look)) = &self.machine else { return verdict };
        let last = self.newest_heard().max(said.heard - look.quiet_ms);
        let stale = verdict.status == Status::Working
            && !look.children
            && said.heard - last > STALE_MS
            && now - last > STALE_MS;
        if !stale {
            return verdict;
        }
        Verdict {
            status: Status::Unknown,
            reason: Some(format!("it said that it works, and has drawn nothing for {} s", STALE_MS / 1_000)),
            at: said.at,
            source: Some(Source::Machine),
            because: "what it said is too old, and nothing shows that it still works",
            until: None,
        }
    }

    /// Lays a limit of the account over what was decided.
    fn limited(&self, verdict: Verdict) -> Verdict {
        let Some(limit) = &self.limit else { return verdict };
        let over = match verdict.status {
            Status::Idle | Status::Error | Status::RateLimited => true,
            // the list of what can be done about the limit
            Status::Blocked(Blocked::Question) => verdict.reason.as_deref() == Some(DIALOG_OPEN),
            // it was in the middle of a turn, and its next request is refused
            Status::Working => verdict.at <= limit.at,
            Status::Starting | Status::Blocked(_) | Status::Unknown => false,
        };
        if !over {
            return verdict;
        }
        let dialog = matches!(verdict.status, Status::Blocked(_));
        Verdict {
            status: Status::RateLimited,
            reason: limit.reason.clone().or(verdict.reason),
            at: limit.at.max(verdict.at),
            source: None,
            because: if dialog { LIMIT_LIST } else { "its account has reached a usage limit" },
            until: verdict.until,
        }
    }
}

/// Says the same of what the agent does: it works, its turn is over, it waits for its user.
fn same_kind(a: Status, b: Status) -> bool {
    let kind = |s: Status| match s {
        Status::Working => 0,
        // who is not logged in has a prompt all the same, and its session file says so
        Status::Idle | Status::Error | Status::RateLimited | Status::Blocked(Blocked::Auth) => 1,
        Status::Blocked(_) => 2,
        Status::Starting | Status::Unknown => 3,
    };
    kind(a) == kind(b)
}

fn won(said: &Said, status: Status, because: &'static str) -> Verdict {
    Verdict {
        status,
        reason: said.reason.clone(),
        at: said.at,
        source: Some(said.source),
        because,
        until: None,
    }
}

/// What became of a word that did not win.
pub(super) fn standing(said: &Said, verdict: &Verdict) -> Standing {
    match said.status {
        None => Standing::Silent,
        Some(_) if verdict.source == Some(said.source) => Standing::Won,
        Some(s) if s == verdict.status => Standing::Agrees,
        Some(_) if verdict.status == Status::Unknown && verdict.source.is_none() => Standing::Contradicts,
        Some(_) if verdict.status == Status::Unknown => Standing::Stale,
        Some(_) => Standing::Overruled,
    }
}
