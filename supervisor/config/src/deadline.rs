//! When something must be over, as people write it: from now on, by the clock of this machine, or by RFC 3339.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use wezterm_parallel_schemas::units::Span;

/// The point of time that is meant, in milliseconds since 1970, as `now` is. `2h` is from now on;
/// `2026-12-01 08:00` is a time of this machine's time zone; RFC 3339 has its own.
///
/// # Errors
/// It is none of these, or is over already, in words.
pub fn deadline(text: &str, now: i64) -> Result<i64, String> {
    let at = point(text.trim(), now).ok_or_else(|| {
        format!("`{text}` is no time; write `2h`, `2026-12-01 08:00` or `2026-12-01T08:00:00Z`")
    })?;
    if at <= now { Err(format!("`{text}` is over already")) } else { Ok(at) }
}

fn point(text: &str, now: i64) -> Option<i64> {
    if let Ok(span) = text.parse::<Span>() {
        return now.checked_add(i64::try_from(span.as_millis()).ok()?);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let local: DateTime = text.parse().ok()?;
    Some(local.to_zoned(TimeZone::system()).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_327_622_000;

    #[test]
    fn a_time_is_from_now_on_or_by_a_clock() {
        for (text, at) in [
            ("2h", NOW + 7_200_000),
            (" 1h 30m ", NOW + 5_400_000),
            ("2026-12-01T08:00:00Z", 1_796_112_000_000),
            ("2026-12-01T08:00:00+01:00", 1_796_108_400_000),
        ] {
            assert_eq!(deadline(text, NOW), Ok(at), "{text}");
        }
        let local = |text: &str| text.parse::<DateTime>().expect("a time").to_zoned(TimeZone::system());
        for text in ["2026-12-01 08:00", "2026-12-01T08:00:30", "2026-12-01"] {
            let at = local(text).expect("there is such a time").timestamp().as_millisecond();
            assert_eq!(deadline(text, NOW), Ok(at), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_or_is_over_is_refused() {
        for text in ["", "soon", "tomorrow", "8:00", "-2h", "2026-13-01 08:00", "0s", "2020-01-01 08:00"] {
            assert!(deadline(text, NOW).is_err(), "{text}");
        }
    }
}
