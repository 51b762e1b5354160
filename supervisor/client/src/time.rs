//! Points and spans of time as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A span of milliseconds in its two largest units: `40s`, `3m`, `2h 5m`, `4d 1h`. Less than a second,
/// and what a clock that was set back makes of one, is `0s`.
pub fn span(ms: i64) -> String {
    let s = ms.max(0) / 1_000;
    let (d, h, m) = (s / 86_400, s / 3_600 % 24, s / 60 % 60);
    match (d, h, m) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, _) => format!("{m}m"),
        (0, _, 0) => format!("{h}h"),
        (0, ..) => format!("{h}h {m}m"),
        (_, 0, _) => format!("{d}d"),
        _ => format!("{d}d {h}h"),
    }
}

/// A point in time, `2026-11-22T06:07:02Z`: the same on every machine, so that lines from several can
/// be laid beside each other. Before 1970 it is 1970.
pub fn point(ms: i64) -> String {
    let at = UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        const MINUTE: i64 = 60_000;
        for (ms, text) in [
            (-5, "0s"),
            (999, "0s"),
            (40_000, "40s"),
            (3 * MINUTE + 59_000, "3m"),
            (60 * MINUTE, "1h"),
            (125 * MINUTE, "2h 5m"),
            (24 * 60 * MINUTE, "1d"),
            (97 * 60 * MINUTE, "4d 1h"),
        ] {
            assert_eq!(span(ms), text, "{ms}");
        }
    }

    #[test]
    fn points_in_time_sort_as_text() {
        assert_eq!(point(1_795_327_622_000), "2026-11-22T06:07:02Z");
        assert_eq!(point(-1), "1970-01-01T00:00:00Z");
    }
}
