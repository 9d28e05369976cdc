//! Numbers as the public server takes them: `5`, `5.0` and `"5"` are the same.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serializer, de};

/// The longest time that can be configured.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A whole number, at least `LEAST`.
#[derive(Clone, Copy)]
pub(super) struct Whole<const LEAST: u32>(pub(super) u32);

/// As [`Whole`], and one or more, for sizes.
#[derive(Clone, Copy)]
pub(super) struct Bytes(pub(super) u64);

/// A number of seconds.
#[derive(Clone, Copy)]
pub(super) struct Seconds(pub(super) Duration);

impl<'de, const LEAST: u32> Deserialize<'de> for Whole<LEAST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = if LEAST == 0 {
            "a whole number, zero or more"
        } else {
            "a whole number, one or more"
        };
        let fits = |number: f64| {
            let fits = number.fract() == 0.0
                && number >= f64::from(LEAST)
                && number <= f64::from(u32::MAX);
            fits.then_some(Self(number as u32))
        };
        deserializer.deserialize_any(Number { expected, fits })
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Beyond that, not every whole number has a floating one.
        const MOST: f64 = (1_u64 << 53) as f64;
        let expected = "a whole number, one or more";
        let fits = |number: f64| {
            let fits = number.fract() == 0.0 && (1.0..=MOST).contains(&number);
            fits.then_some(Self(number as u64))
        };
        deserializer.deserialize_any(Number { expected, fits })
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a number of seconds, zero to 86400";
        let fits = |number: f64| {
            let time = Duration::try_from_secs_f64(number).ok();
            time.filter(|time| *time <= LONGEST).map(Self)
        };
        deserializer.deserialize_any(Number { expected, fits })
    }
}

/// Writes a time as a number of seconds.
pub(super) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// A number in any of its spellings, if it fits.
struct Number<F> {
    expected: &'static str,
    fits: F,
}

impl<T, F: Fn(f64) -> Option<T>> Number<F> {
    fn take<E: de::Error>(&self, number: f64, found: de::Unexpected<'_>) -> Result<T, E> {
        (self.fits)(number).ok_or_else(|| E::invalid_value(found, &self.expected))
    }
}

impl<'de, T, F: Fn(f64) -> Option<T>> de::Visitor<'de> for Number<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.take(number as f64, de::Unexpected::Unsigned(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.take(number as f64, de::Unexpected::Signed(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.take(number, de::Unexpected::Float(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        let number = text.trim().parse().unwrap_or(f64::NAN);
        self.take(number, de::Unexpected::Str(text))
    }
}
