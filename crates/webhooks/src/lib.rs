//! Webhooks: every event of every conversation, in order, to whoever was configured to hear of it.
//!
//! Each webhook is a task that follows the feed and reads the logs it leads to from a cursor, which moves
//! when the receiver took what came before. So nothing is queued, nothing is lost, and a receiver that is
//! slow or away costs nobody else anything.
//!
//! | module | holds |
//! |---|---|
//! | `config` | what can be configured |
//! | `webhooks` | all webhooks of a server; what people ask of them |
//! | `worker` | one webhook at work |
//! | `backlog` | whose turn it is |
//! | `job`, `batch` | one request: which events, their bytes |
//! | `hook`, `signature`, `sender`, `http`, `guard` | how it is sent |
//! | `verdict`, `schedule` | what an answer means, and when to try again |
//! | `recorder` | recording how far it got |
//! | `outbox` | deleted conversations that wait to be delivered |
//! | `ledger` | what happened lately |

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
pub use hook::{Common, Ports, Source};
pub use webhooks::{StartError, Webhooks};
