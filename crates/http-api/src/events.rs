//! A conversation's events: send, search, follow.

mod examples;
mod query;
mod queue;
mod read;
mod respond;
mod send;
mod stream;

use crate::operation::Operation;

pub(crate) const OPERATIONS: &[Operation] = &[
    read::LIST,
    read::SEARCH,
    read::COUNT,
    read::GET,
    send::SEND,
    queue::LIST,
    queue::CHANGE,
    queue::TAKE_BACK,
    respond::RESPOND,
    stream::FOLLOW_CONVERSATION,
    stream::FOLLOW_ALL,
];
