//! Durations and sizes as people write them: `500ms`, `10m`, `8MiB`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A span of time, written with its unit: `500ms`, `3s`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

/// A number of bytes, written with its unit: `512KiB`, `8MiB`, `1GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Bytes(pub u64);

/// A part of something, written with its sign: `60%`, `33.3%`. More than 0, at most 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(pub f64);

impl Span {
    /// A span of whole milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }
    /// Whole milliseconds, saturating.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        humantime::parse_duration(s.trim()).map(Self).map_err(|e| {
            format!("`{s}` is not a duration ({e}); write a number and a unit, as in `500ms`, `3s`, `10m`")
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for Bytes {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        s.trim()
            .parse::<bytesize::ByteSize>()
            .map(|b| Self(b.as_u64()))
            .map_err(|_| format!("`{s}` is not a size; write a number and a unit, as in `512KiB` or `8MiB`"))
    }
}

impl FromStr for Percent {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        s.trim()
            .strip_suffix('%')
            .and_then(|n| n.trim().parse::<f64>().ok())
            .filter(|n| *n > 0.0 && *n <= 100.0)
            .map(Self)
            .ok_or_else(|| format!("`{s}` is not a part; write a number from 1 to 100 and `%`, as in `60%`"))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a hundredth of a percent is less than a cell of any screen
        write!(f, "{}%", (self.0 * 100.0).round() / 100.0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // exact, so that what is written reads back as the same number
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(n, _)| self.0 >= *n && self.0.is_multiple_of(*n)) {
            Some((n, unit)) => write!(f, "{}{unit}", self.0 / n),
            None => write!(f, "{}B", self.0),
        }
    }
}

macro_rules! text_form {
    ($t:ident, $name:literal, $pattern:literal, $description:literal) => {
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Cow::<str>::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        }
        impl JsonSchema for $t {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $description })
            }
        }
    };
}
text_form!(Span, "Span", "^[0-9]", "A duration with its unit: 500ms, 3s, 10m, 1h 30m");
text_form!(Percent, "Percent", "^[0-9.]+ *%$", "A part: 60%, 33.3%");
text_form!(Bytes, "Bytes", "^[0-9]", "A size with its unit: 512KiB, 8MiB, 1GB");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_as_written() {
        for s in ["500ms", "3s", "10m", "1h 30m", "0s"] {
            let span: Span = s.parse().expect("a span");
            assert_eq!(span.to_string().parse::<Span>(), Ok(span), "{s}");
        }
        assert!("3".parse::<Span>().is_err_and(|e| e.contains("unit")));
        assert!("-3s".parse::<Span>().is_err());
    }

    #[test]
    fn parts_read_back_as_written() {
        for (s, n) in [("60%", 60.0), ("33.3%", 33.3), ("100%", 100.0), (" 7 % ", 7.0)] {
            let part: Percent = s.parse().expect("a part");
            assert_eq!(part, Percent(n), "{s}");
            assert_eq!(part.to_string().parse::<Percent>(), Ok(part), "{s}");
        }
        assert_eq!(Percent(100.0 / 3.0).to_string(), "33.33%");
        for s in ["60", "0%", "-1%", "101%", "NaN%", "%"] {
            assert!(s.parse::<Percent>().is_err(), "{s}");
        }
    }

    #[test]
    fn sizes_read_back_as_written() {
        for (s, n) in [("8MiB", 8 << 20), ("512KiB", 512 << 10), ("1GB", 1_000_000_000), ("17B", 17)] {
            let b: Bytes = s.parse().expect("a size");
            assert_eq!(b.0, n, "{s}");
            assert_eq!(b.to_string().parse::<Bytes>(), Ok(b), "{s}");
        }
        assert!("much".parse::<Bytes>().is_err());
    }
}
