//! The store against real files, in one test binary.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod any_files;
mod catalog;
mod claims;
mod crash;
mod damage;
mod examples;
mod feed;
mod fixtures;
mod folder_lock;
mod invariants;
mod log;
mod no_files;
mod reader;
mod support;
mod verify;
