//! Webhooks: who is told about a conversation's events, and how. This build reads and validates
//! the targets; delivery follows the log and comes later.

mod config;
#[allow(dead_code, reason = "the client that uses all of it comes next")]
mod guard;
mod signature;

pub use config::{
    InvalidWebhook, Method, OnExhausted, SecretText, Start, Target, WebhookConfig, check_list,
};
pub use signature::Signer;
