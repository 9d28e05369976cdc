//! All operations of the API.

use crate::{conversations, docs, events, health, models, operation::Operation, sockets, webhooks};

pub(crate) const ALL: &[&[Operation]] = &[
    conversations::OPERATIONS,
    events::OPERATIONS,
    sockets::OPERATIONS,
    webhooks::OPERATIONS,
    models::OPERATIONS,
    health::OPERATIONS,
    docs::OPERATIONS,
];

#[cfg(test)]
mod tests;
