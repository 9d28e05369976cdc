//! The runtime on a real store and real tools, with a model that does as it is told.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod followers;
mod harness;
mod limits;
mod races;
mod store;
mod timeline;
