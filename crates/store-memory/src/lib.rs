//! The ports of [`core_model::port`] in memory: nothing is written, and everything is gone when the last
//! handle is dropped.
//!
//! | module | holds |
//! |---|---|
//! | `store` | [`MemoryStore`]: a handle, which is one server on the store |
//! | `catalog`, `claims`, `feed`, `receipts`, `deliveries`, `spending` | the ports |
//! | `writer` | what a claim writes with |
//! | `staging` | a conversation that is made with a log, until it is published |
//! | `state` | all that is guarded by the store's one lock |
//! | `conversations`, `conversation` | conversations, their rows in both orders, and who writes each |
//! | `receipt_table` | what is known of keyed requests |
//! | `log` | the lines of one conversation, and how they are read |

mod catalog;
mod claims;
mod conversation;
mod conversations;
mod deliveries;
mod feed;
mod lock;
mod log;
mod receipt_table;
mod receipts;
mod spending;
mod staging;
mod state;
mod store;
mod writer;

pub use store::MemoryStore;
