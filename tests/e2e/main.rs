//! The whole server over real sockets.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod auth;
mod bad_input;
mod conversations;
mod cors;
mod events;
mod layering;
mod openapi;
mod runs;
mod sockets;
mod stopping;
