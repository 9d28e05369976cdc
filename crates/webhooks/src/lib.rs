//! Webhooks: who is told about a conversation's events, and how.

mod backlog;
mod batch;
mod config;
mod guard;
mod hook;
mod http;
mod job;
mod ledger;
mod outbox;
mod recorder;
mod schedule;
mod sender;
mod signature;
mod standing;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod verdict;
mod webhooks;
mod worker;

pub use config::{
    InvalidWebhook, Method, OnExhausted, SecretText, Start, Target, WebhookConfig, check_list,
};
pub use hook::{Ports, Source};
pub use signature::Signer;
pub use webhooks::{Common, StartError, Webhooks};
