//! What tests of several crates share.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue fails"
)]

pub mod floods;
pub mod mcp_script;
pub mod model_server;
pub mod receiver;
mod server;
mod socket;

pub use agent_server::config as settings;
pub use server::{TestServer, answer};
pub use socket::{Received, Socket, small_connection};
