//! What tests of several crates share.

pub mod model_server;
