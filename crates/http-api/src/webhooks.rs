//! Webhooks: their state, what became of their deliveries, and delivering again.

mod deliver;
mod examples;
mod path;
mod query;
mod read;
mod rewind;

use crate::operation::Operation;

pub(crate) const OPERATIONS: &[Operation] = &[
    read::LIST,
    read::GET,
    read::DELIVERIES,
    deliver::REDELIVER,
    deliver::TEST,
    deliver::REWIND,
];
