use std::ops::Range;

use core_model::{EventTime, HeadFilter};

use crate::entry::{Entry, Kind};

/// A filter as far as entries can tell.
pub(super) struct Sieve {
    kinds: Vec<Kind>,
    filter: HeadFilter,
    micros: Range<i64>,
}

impl Sieve {
    pub(super) fn new(filter: &HeadFilter) -> Self {
        let micros = |time: Option<EventTime>| time.map(|time| time.utc().timestamp_micros());
        Self {
            kinds: filter.kinds.iter().map(|kind| Kind::of(kind)).collect(),
            micros: micros(filter.from).unwrap_or(i64::MIN)
                ..micros(filter.until).unwrap_or(i64::MAX),
            filter: filter.clone(),
        }
    }

    /// Whether the entry suggests that the filter admits its event.
    pub(super) fn admits(&self, entry: &Entry) -> bool {
        !entry.is_damaged()
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| entry.is_of(*kind)))
            && self
                .filter
                .source
                .is_none_or(|source| entry.source() == source)
            && self.micros.contains(&entry.micros)
    }

    /// Whether only the line can confirm that.
    pub(super) fn is_ambiguous(&self, entry: &Entry) -> bool {
        let mut kinds = self.kinds.iter();
        kinds.any(|kind| kind.is_ambiguous() && entry.is_of(*kind))
    }
}
