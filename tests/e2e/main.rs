//! The whole server over real sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod approval;
mod auth;
mod bad_input;
mod conversations;
mod cors;
mod delivery;
mod events;
mod goals;
mod hosts;
mod idempotency;
mod large_events;
mod layering;
mod mcp;
mod models;
mod odd_input;
mod openapi;
mod resuming;
mod runs;
mod secrets;
mod sockets;
mod stalled;
mod stopping;
mod streams;
mod titles;
mod trajectory;
mod webhooks;
