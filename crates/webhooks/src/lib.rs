//! Webhooks: who is told about a conversation's events, and how. This build reads and validates
//! the targets; delivery follows the log and comes later.

mod config;
mod guard;
#[allow(dead_code, reason = "the worker that sends comes next")]
mod http;
mod signature;

pub use config::{
    InvalidWebhook, Method, OnExhausted, SecretText, Start, Target, WebhookConfig, check_list,
};
pub use signature::Signer;
