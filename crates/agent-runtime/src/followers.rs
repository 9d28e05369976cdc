//! Readers that keep up: of one conversation's log, and of all conversations by way of the feed.

pub(crate) mod all;
pub(crate) mod follower;
