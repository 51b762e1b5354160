//! How Claude says that a usage limit of its account is reached, in its data and in words.
//!
//! A 429 of the API is no usage limit: it is tried again, and its text begins with `API Error`. A usage
//! limit is not tried again; it says `You've hit your limit · resets 8:44am (UTC)` and, from 2.1.330 on,
//! tells `usage_limit_reached` with the time beside it. Texts of 2.1.197 and 2.1.330.

use serde_json::Value;

use super::statusline::{WindowUse, moment, number};

/// How Claude says it.
const BEGINNINGS: &[&str] = &["You've hit your", "You're out of usage", "You're out of extra usage"];
/// How older ones did: `Claude usage limit reached`, `5-hour limit reached ∙ resets 3pm`.
const PARTS: &[&str] = &["usage limit reached", "hour limit reached", "weekly limit reached"];
/// What Claude puts before an error that is none of these.
const API_ERROR: &str = "API Error";

/// Whether a text says that a usage limit is reached.
pub fn says_so(text: &str) -> bool {
    let text = text.trim_start();
    if text.starts_with(API_ERROR) {
        return false;
    }
    let lower = text.to_lowercase();
    BEGINNINGS.iter().any(|b| text.starts_with(b)) || PARTS.iter().any(|p| lower.contains(p))
}

/// When a limit is over, as its text says: a time of the day, and perhaps a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Month and day, if it is not today.
    pub date: Option<(u8, u8)>,
    /// Hour, from 0 to 23.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Name of the time zone: `UTC`, `Asia/Tokyo`.
    pub zone: Option<String>,
}

/// Finds the time in a text: `… resets 8:44am (UTC)`, `… resets Nov 26, 3pm (Asia/Tokyo)`. It is cut to the
/// minute.
pub fn reset(text: &str) -> Option<Reset> {
    let (_, rest) = text.split_once("resets ")?;
    let (time, zone) = match rest.split_once('(') {
        Some((time, zone)) => (time, zone.split(')').next().map(str::to_owned)),
        None => (rest.split(['\n', '·', '∙']).next().unwrap_or_default(), None),
    };
    let (date, time) = match time.trim().rsplit_once(", ").or_else(|| time.trim().rsplit_once(" at ")) {
        Some((date, time)) => (Some(day(date)?), time),
        None => (None, time.trim()),
    };
    let (hour, minute) = clock(time.strip_prefix("at ").unwrap_or(time))?;
    Some(Reset { date, hour, minute, zone: zone.filter(|z| !z.is_empty()) })
}

/// `Nov 26`.
fn day(text: &str) -> Option<(u8, u8)> {
    const MONTHS: [&str; 12] =
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (month, day) = text.trim().split_once(' ')?;
    let month = month.get(..3)?.to_lowercase();
    let month = MONTHS.iter().position(|m| *m == month)?;
    let day = day.trim().trim_end_matches(',').parse().ok().filter(|d| (1..=31).contains(d))?;
    Some((u8::try_from(month + 1).ok()?, day))
}

/// `8:44am`, `3pm`, `15:04`.
fn clock(text: &str) -> Option<(u8, u8)> {
    let text = text.trim().to_lowercase();
    let (digits, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(digits), _) => (digits, Some(0)),
        (_, Some(digits)) => (digits, Some(12)),
        (None, None) => (text.as_str(), None),
    };
    let (hour, minute) = digits.trim().split_once(':').unwrap_or((digits.trim(), "0"));
    let (hour, minute): (u8, u8) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = match half {
        Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
        None if digits.contains(':') => hour,
        Some(_) | None => return None,
    };
    (hour < 24 && minute < 60).then_some((hour, minute))
}

/// What the API says of an account's limits: `rate_limit_info` of stream-json, `quotaLimits` of a
/// transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    /// `allowed`, `allowed_warning`, `rejected`.
    pub status: String,
    /// When the limit that counts is over, in milliseconds since 1970.
    pub resets_at: Option<i64>,
    /// Which window that is.
    pub window: Option<String>,
    /// All windows that were told of.
    pub windows: Vec<WindowUse>,
}

impl RateLimit {
    /// Reads it. None if it has no status.
    pub fn read(info: &Value) -> Option<Self> {
        let text = |name: &str| info.get(name).and_then(Value::as_str).map(str::to_owned);
        let all = info.get("unifiedWindows").and_then(Value::as_object);
        let percent = |window: &Value| number(window.get("utilization")).map(|part| part * 100.0);
        let window = |(name, window): (&String, &Value)| WindowUse {
            name: name.clone(),
            used_percent: percent(window),
            resets_at: moment(window.get("resetsAt")),
        };
        Some(Self {
            status: text("status")?,
            resets_at: moment(info.get("resetsAt")),
            window: text("rateLimitType"),
            windows: all.into_iter().flatten().map(window).collect(),
        })
    }

    /// Whether the account may not go on.
    pub fn rejected(&self) -> bool {
        self.status == "rejected"
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_usage_limit_is_told_from_every_other_error() {
        for text in [
            "You've hit your limit · resets 8:44am (UTC)",
            "You've hit your session limit · resets 3pm (Asia/Tokyo)",
            "You've hit your weekly limit · resets Nov 26, 3pm (UTC)",
            "You're out of usage credits. See Usage in Settings",
            "Claude usage limit reached. Your limit will reset at 3pm",
            "5-hour limit reached ∙ resets 3pm",
        ] {
            assert!(says_so(text), "{text}");
        }
        for text in [
            "API Error: Request rejected (429) · mock error 429",
            "API Error: 429 the usage limit reached its limit",
            "API Error: Repeated 529 Overloaded errors",
            "Context limit reached · /compact",
            "Concurrent subagent limit reached.",
            "Reached maximum number of turns (2)",
            "",
        ] {
            assert!(!says_so(text), "{text}");
        }
    }

    #[test]
    fn the_time_is_found_in_the_text() {
        let reset_of = |text: &str| reset(&format!("You've hit your limit · resets {text}"));
        let at = |date, hour, minute, zone: Option<&str>| {
            Some(Reset { date, hour, minute, zone: zone.map(str::to_owned) })
        };
        assert_eq!(reset_of("8:44am (UTC)"), at(None, 8, 44, Some("UTC")));
        assert_eq!(reset_of("12am (UTC)"), at(None, 0, 0, Some("UTC")));
        assert_eq!(reset_of("12:30pm (UTC)"), at(None, 12, 30, Some("UTC")));
        assert_eq!(reset_of("3pm (Asia/Tokyo)"), at(None, 15, 0, Some("Asia/Tokyo")));
        assert_eq!(reset_of("Nov 26, 3pm (UTC)"), at(Some((11, 26)), 15, 0, Some("UTC")));
        assert_eq!(reset_of("Nov 26 at 3pm (UTC)"), at(Some((11, 26)), 15, 0, Some("UTC")));
        assert_eq!(reset_of("3pm"), at(None, 15, 0, None));
        assert_eq!(reset_of("15:04 (UTC)"), at(None, 15, 4, Some("UTC")));
        for nonsense in ["soon", "25:00", "13pm", "0am", "7", "Foo 3, 3pm", ""] {
            assert_eq!(reset_of(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            says_so(&text);
            reset(&format!("resets {text}"));
        }
    }
}
