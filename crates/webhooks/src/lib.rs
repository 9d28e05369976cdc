//! Webhooks: every event of every conversation, in order, to the receivers that are configured.
//!
//! Each webhook is a task that follows the feed and reads the logs it leads to from a cursor, which moves
//! when the receiver took what came before. So nothing is queued, nothing is lost, and a receiver that is
//! slow or away costs nobody else anything.
//!
//! | module | holds |
//! |---|---|
//! | `webhooks` | all webhooks of a server; what people ask of them |
//! | `worker/` | one webhook at work: reading the feed, progress, what a job's outcome changes, the receiver, redeliveries |
//! | `job/`, `batch`, `sent` | one request: which events, their bytes, its answer |
//! | `backlog/` | the conversations that have something to deliver, and whose turn it is |
//! | `recorder` | recording how far it got |
//! | `outbox` | deleted conversations that wait to be delivered |
//! | `history` | the last deliveries, for people |
//! | `endpoint`, `signature`, `sender`, `http`, `guard` | where requests go, and how they are sent |
//! | `verdict`, `schedule` | what an answer means, and when to try again |
//! | `config` | what can be configured |

mod backlog;
mod batch;
mod config;
mod endpoint;
mod guard;
mod history;
mod http;
mod job;
mod outbox;
mod recorder;
mod schedule;
mod sender;
mod sent;
mod signature;
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
pub use endpoint::{Ports, ServerIdentity};
pub use webhooks::{StartError, Webhooks};
