//! The runtime on a real store and real tools, with a model that does as it is told.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod charge;
mod feed;
mod followers;
mod frail;
mod harness;
mod idle;
mod limits;
mod lists;
mod memory;
mod races;
mod store;
mod timeline;
mod waiting;
