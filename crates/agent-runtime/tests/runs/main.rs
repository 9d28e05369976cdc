//! The runtime on a real store and real tools, with a scripted model.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod any_history;
mod claims;
mod condensation;
mod delivery;
mod feed;
mod followers;
mod frail;
mod goals;
mod harness;
mod history;
mod idle;
mod limits;
mod lists;
mod memory;
mod money;
mod odd_replies;
mod races;
mod shared_budgets;
mod startup_recovery;
mod store;
mod timeline;
mod titles;
mod waiting;
