//! The program as a user meets it: configuration, start, stop, reload, demonstration.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's helper cannot do, the test cannot either"
)]

mod config;
mod crash;
mod demo;
mod floods;
mod keys;
mod maintenance;
mod processes;
mod reload;
mod repositories;
mod start;
mod support;
mod webhook_secrets;
