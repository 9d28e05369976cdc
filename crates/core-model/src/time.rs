use std::{borrow::Cow, fmt, str::FromStr};

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

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
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

/// Any time that is not an event's: written as aware UTC with six digits of a second and a `Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
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
    fn nonsense_is_refused() {
        assert!("bad".parse::<EventTime>().is_err());
    }
}
