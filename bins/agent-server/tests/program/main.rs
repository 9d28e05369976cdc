//! The program as a user meets it: configuration, start, stop, reload, demonstration.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's helper cannot do, the test cannot either"
)]

mod config;
mod crash;
mod demo;
mod earlier_workspaces;
mod ephemeral;
mod file_size_limit;
mod first_creations;
mod floods;
mod keys;
mod log_lines;
mod maintenance;
mod models;
mod processes;
mod reload;
mod repositories;
mod start;
mod support;
mod webhook_secrets;
