use std::{borrow::Cow, fmt, ops::Range, str::FromStr};

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6f";

/// When an event happened: UTC written without a zone and always with six digits of a second, as
/// the public clients sort these as strings. Strictly increasing within one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventTime(NaiveDateTime);

impl EventTime {
    #[must_use]
    pub fn now() -> Self {
        Self::from(Utc::now())
    }

    /// Now, or the first microsecond after `last` if the clock has not passed it yet.
    #[must_use]
    pub fn now_after(last: Option<Self>) -> Self {
        let now = Self::now();
        match last {
            Some(last) if now <= last => {
                let next = last.0.checked_add_signed(TimeDelta::microseconds(1));
                Self(next.unwrap_or(last.0))
            }
            _ => now,
        }
    }

    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        self.0.and_utc()
    }

    /// Seconds since the epoch, as metrics carry them.
    #[must_use]
    pub fn epoch_seconds(self) -> f64 {
        self.0.and_utc().timestamp_micros() as f64 / 1e6
    }
}

impl From<DateTime<Utc>> for EventTime {
    fn from(time: DateTime<Utc>) -> Self {
        let micros = time.timestamp_micros();
        Self(
            DateTime::from_timestamp_micros(micros)
                .unwrap_or(time)
                .naive_utc(),
        )
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.format(FORMAT).fmt(f)
    }
}

impl FromStr for EventTime {
    type Err = String;

    /// ISO 8601, naive (taken as UTC), aware (converted), or a date alone.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(time) = usual(text) {
            return Ok(time);
        }
        let text = text.trim();
        if let Ok(aware) = DateTime::parse_from_rfc3339(&text.replacen(' ', "T", 1)) {
            return Ok(Self::from(aware.with_timezone(&Utc)));
        }
        for format in [
            "%Y-%m-%dT%H:%M:%S%.f",
            "%Y-%m-%d %H:%M:%S%.f",
            "%Y-%m-%dT%H:%M",
        ] {
            if let Ok(naive) = NaiveDateTime::parse_from_str(text, format) {
                return Ok(Self::from(naive.and_utc()));
            }
        }
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .and_then(|date| date.and_hms_opt(0, 0, 0))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not an ISO 8601 date or time"))
    }
}

/// A time as it is in logs, where a million of them have to be read in a second.
fn usual(text: &str) -> Option<EventTime> {
    let bytes: &[u8; 26] = text.as_bytes().try_into().ok()?;
    let marks = [
        (4, b'-'),
        (7, b'-'),
        (10, b'T'),
        (13, b':'),
        (16, b':'),
        (19, b'.'),
    ];
    if marks.iter().any(|(at, mark)| bytes[*at] != *mark) {
        return None;
    }
    let number = |digits: Range<usize>| {
        bytes[digits].iter().try_fold(0, |number, digit| {
            let digit = char::from(*digit).to_digit(10)?;
            Some(number * 10 + digit)
        })
    };
    let year = i32::try_from(number(0..4)?).ok()?;
    NaiveDate::from_ymd_opt(year, number(5..7)?, number(8..10)?)?
        .and_hms_micro_opt(
            number(11..13)?,
            number(14..16)?,
            number(17..19)?,
            number(20..26)?,
        )
        .map(EventTime)
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = EventTime;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an ISO 8601 date or time")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<EventTime, E> {
        text.parse().map_err(E::custom)
    }
}

impl JsonSchema for EventTime {
    fn schema_name() -> Cow<'static, str> {
        "EventTime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "UTC without a zone, six digits of a second",
            "examples": ["2026-11-22T19:31:36.469689"]
        })
    }
}

/// A time of anything but an event: written as aware UTC with six digits of a second and a `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct UtcTime(pub DateTime<Utc>);

impl UtcTime {
    #[must_use]
    pub fn now() -> Self {
        Self(Utc::now())
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_six_digits_even_on_a_whole_second() {
        let time: EventTime = "2026-11-22T19:31:36Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T19:31:36.000000");
    }

    #[test]
    fn aware_times_become_utc() {
        let time: EventTime = "2026-11-22T19:31:36.5+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T17:31:36.500000");
    }

    #[test]
    fn a_date_alone_is_its_midnight() {
        let time: EventTime = "2026-11-22".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T00:00:00.000000");
    }

    #[test]
    fn now_after_a_future_time_still_increases() {
        let last: EventTime = "2999-01-01T00:00:00".parse().unwrap();
        let next = EventTime::now_after(Some(last));
        assert_eq!(next.to_string(), "2999-01-01T00:00:00.000001");
    }

    #[test]
    fn the_usual_form_is_read_as_the_general_way_reads_it() {
        for text in [
            "2026-11-22T19:31:36.469689",
            "2024-02-29T00:00:00.000000",
            "1969-12-31T23:59:59.999999",
            "0001-01-01T00:00:00.000001",
        ] {
            // A seventh digit is not the usual form.
            let long: EventTime = format!("{text}0").parse().unwrap();
            assert_eq!(usual(text), Some(long));
            assert_eq!(text.parse(), Ok(long));
            for at in 0..text.len() {
                let mut changed = text.to_owned();
                changed.replace_range(at..=at, "x");
                assert_eq!(usual(&changed), None, "{changed}");
            }
        }
        for text in [
            "2026-02-29T19:31:36.469689",
            "2026-13-22T19:31:36.469689",
            "2026-11-22T24:31:36.469689",
            "2026-11-22T19:60:36.469689",
        ] {
            assert!(text.parse::<EventTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!("bad".parse::<EventTime>().is_err());
    }
}
