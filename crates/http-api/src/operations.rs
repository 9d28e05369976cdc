//! All operations of the API.

use crate::{
    budgets, conversations, docs, events, health, models, operation::Operation, sockets, webhooks,
};

pub(crate) const ALL: &[&[Operation]] = &[
    conversations::OPERATIONS,
    budgets::OPERATIONS,
    events::OPERATIONS,
    sockets::OPERATIONS,
    webhooks::OPERATIONS,
    models::OPERATIONS,
    health::OPERATIONS,
    docs::OPERATIONS,
];

#[cfg(test)]
mod tests;
