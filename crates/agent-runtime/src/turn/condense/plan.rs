//! Which events a condensation takes out of the context. Pure.

use std::collections::BTreeSet;

use core_model::EventId;

use super::{Reason, settings::CondenserSettings};
use crate::turn::context::{Unit, UnitKind};

/// Events that a summary stands in for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Forgettable {
    pub(super) events: Vec<EventId>,
    /// How many events of the context stand before the summary.
    pub(super) offset: usize,
    /// How many events the context has.
    of: usize,
    /// An estimate of what goes with them.
    tokens: u64,
    /// An estimate of the whole context.
    of_tokens: u64,
}

impl Forgettable {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn is_too_little(&self, minimum_progress: f64) -> bool {
        (self.events.len() as f64) < self.of as f64 * minimum_progress
    }

    /// Whether a summary would stand in for little more than itself: what is too long is elsewhere.
    pub(super) fn frees_little(&self, minimum_progress: f64) -> bool {
        (self.tokens as f64) < self.of_tokens as f64 * minimum_progress
    }

    /// All but the system prompt and what has to stay.
    pub(super) fn everything(units: &[Unit], kept: &BTreeSet<EventId>) -> Self {
        let start = after_system(units);
        between(units, start, units.len(), kept)
    }
}

/// Events between the first ones, which stay, and as many of the last ones as `reason` leaves. A call
/// and its answer stay together; an unanswered call stays, and so does all of `kept`.
pub(super) fn forgettable(
    units: &[Unit],
    settings: &CondenserSettings,
    reason: Reason,
    kept: &BTreeSet<EventId>,
) -> Forgettable {
    let all = count(units);
    let start = boundary(units, settings.keep_first).max(after_system(units));
    let last_events =
        |size: usize| (size / 2).saturating_sub(settings.keep_first.saturating_add(1));
    let end = match reason {
        Reason::Request => boundary(units, all - last_events(all).min(all)),
        Reason::Events => {
            let size = settings.max_size.unwrap_or(all);
            boundary(units, all - last_events(size).min(all))
        }
        Reason::Tokens { limit } => {
            let first: u64 = units[..start].iter().map(|unit| unit.tokens).sum();
            end_by_tokens(units, (limit / 2).saturating_sub(first))
        }
    };
    between(units, start, end, kept)
}

/// The unit from which on the rest has at most this many tokens.
fn end_by_tokens(units: &[Unit], most: u64) -> usize {
    let mut tokens = 0;
    let fitting = units.iter().rev().take_while(|unit| {
        tokens += unit.tokens;
        tokens <= most
    });
    units.len() - fitting.count()
}

fn between(units: &[Unit], start: usize, end: usize, kept: &BTreeSet<EventId>) -> Forgettable {
    let range = units.get(start..end).unwrap_or_default();
    let stays =
        |unit: &&Unit| !unit.is_open && !unit.events.iter().any(|event| kept.contains(event));
    let gone: Vec<&Unit> = range.iter().filter(stays).collect();
    Forgettable {
        tokens: gone.iter().map(|unit| unit.tokens).sum(),
        of_tokens: units.iter().map(|unit| unit.tokens).sum(),
        events: gone
            .into_iter()
            .flat_map(|unit| unit.events.iter().cloned())
            .collect(),
        offset: count(&units[..start.min(units.len())]),
        of: count(units),
    }
}

/// The first unit that begins at or after this many events.
fn boundary(units: &[Unit], events: usize) -> usize {
    let mut before = 0;
    let place = units.iter().position(|unit| {
        let here = before >= events;
        before += unit.events.len();
        here
    });
    place.unwrap_or(units.len())
}

fn after_system(units: &[Unit]) -> usize {
    let system = units
        .iter()
        .take_while(|unit| unit.kind == UnitKind::System);
    system.count()
}

fn count(units: &[Unit]) -> usize {
    units.iter().map(|unit| unit.events.len()).sum()
}
