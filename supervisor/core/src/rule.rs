//! Rules of the user: what is decided of an agent's request without asking.

use std::time::UNIX_EPOCH;

use crate::spec::Millis;

/// The point in time that a rule's `until` names, in milliseconds since 1970: a date stands for its end,
/// in UTC. None if it names none.
pub fn instant(until: &str) -> Option<Millis> {
    let until = until.trim();
    let whole =
        if until.len() == "2026-12-31".len() { format!("{until}T23:59:59Z") } else { until.to_owned() };
    let at = humantime::parse_rfc3339_weak(&whole).ok()?;
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_stands_for_its_end_and_what_is_none_for_nothing() {
        assert_eq!(instant("1970-01-01"), Some(86_399_000));
        assert_eq!(instant("1970-01-02T00:00:01Z"), Some(86_401_000));
        for bad in ["", "tomorrow", "2026-13-01", "2026-12-31T25:00:00Z", "31.12.2026"] {
            assert_eq!(instant(bad), None, "{bad}");
        }
    }
}
