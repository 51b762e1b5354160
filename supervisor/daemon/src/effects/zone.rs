//! Times of the day: those that Claude gives in words, in a named zone and cut to the minute, and now.

use jiff::{Timestamp, ToSpan as _, civil::Time, tz::TimeZone};
use wezterm_parallel_core::claude::usage_limit::Reset;

/// The next such time after `said_at`, in milliseconds since 1970; the minute in which it was said is one
/// too. None if the zone is not known here, or there is no such time.
pub fn next(reset: &Reset, said_at: i64) -> Option<i64> {
    let zone = match &reset.zone {
        Some(name) => TimeZone::get(name).ok()?,
        None => TimeZone::system(),
    };
    let said = Timestamp::from_millisecond(said_at).ok()?.to_zoned(zone.clone());
    let time = Time::new(i8::try_from(reset.hour).ok()?, i8::try_from(reset.minute).ok()?, 0, 0).ok()?;
    let minute = said.with().second(0).subsec_nanosecond(0).build().ok()?;
    let dates = match reset.date {
        None => [said.date(), said.date().tomorrow().ok()?],
        Some((month, day)) => {
            let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
            let this = said.date().with().month(month).day(day).build().ok()?;
            [this, this.checked_add(1.year()).ok()?]
        }
    };
    let times = dates.into_iter().filter_map(|d| d.to_datetime(time).to_zoned(zone.clone()).ok());
    times.into_iter().find(|t| *t >= minute).map(|t| t.timestamp().as_millisecond())
}

/// The minute of the day at a time in milliseconds since 1970, where the machine stands.
pub fn minute_of_day(at: i64) -> Option<u16> {
    let here = Timestamp::from_millisecond(at).ok()?.to_zoned(TimeZone::system());
    u16::try_from(i32::from(here.hour()) * 60 + i32::from(here.minute())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_minutes() {
        let at = jiff::civil::date(2026, 11, 24).at(22, 1, 30, 0).to_zoned(TimeZone::system());
        let at = at.expect("such a time").timestamp().as_millisecond();
        assert_eq!(minute_of_day(at), Some(22 * 60 + 1));
    }

    #[test]
    fn the_next_such_time_is_meant() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time").as_millisecond();
        let said = at("2026-11-24T06:19:50Z");
        let reset = |date, hour, minute, zone: &str| {
            next(&Reset { date, hour, minute, zone: Some(zone.into()) }, said)
        };
        assert_eq!(reset(None, 8, 44, "UTC"), Some(at("2026-11-24T08:44:00Z")));
        assert_eq!(reset(None, 6, 19, "UTC"), Some(at("2026-11-24T06:19:00Z")), "within this minute");
        assert_eq!(reset(None, 6, 18, "UTC"), Some(at("2026-11-25T06:18:00Z")));
        assert_eq!(reset(Some((11, 26)), 15, 0, "UTC"), Some(at("2026-11-26T15:00:00Z")));
        assert_eq!(reset(Some((1, 2)), 15, 0, "UTC"), Some(at("2027-01-02T15:00:00Z")));
        assert_eq!(reset(None, 3, 0, "Mars/Olympus"), None);
        // where the machine has the zones of the world
        if TimeZone::get("Asia/Tokyo").is_ok() {
            assert_eq!(reset(None, 18, 0, "Asia/Tokyo"), Some(at("2026-11-24T09:00:00Z")));
        }
    }
}
