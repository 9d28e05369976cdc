//! The ports of [`core_model::port`] in memory: nothing is written, and everything is gone when the last
//! handle is dropped.
//!
//! | module | holds |
//! |---|---|
//! | `store` | [`MemoryStore`]: a handle, which is one server on the store |
//! | `catalog`, `claims`, `feed`, `receipts`, `deliveries` | the ports |
//! | `writer` | what a claim writes with |
//! | `state` | all that is guarded by the store's one lock |
//! | `conversations` | conversations, and their rows in both orders |
//! | `log` | the lines of one conversation, and how they are read |

mod catalog;
mod claims;
mod conversations;
mod deliveries;
mod feed;
mod log;
mod receipts;
mod state;
mod store;
mod writer;

pub use store::MemoryStore;
