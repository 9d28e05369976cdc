//! Webhooks: who is told about a conversation's events, and how. This build reads and validates
//! the targets; delivery follows the log and comes later.

mod config;

pub use config::{InvalidWebhook, Method, Target, WebhookConfig};
